/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/support/synth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct km_workload_agent {
	struct synth *synth;
	uint64_t rev, serves;
};

static uint64_t rule_word(const struct synth *synth, uint32_t rule_idx, const struct km_type *type)
{
	uint64_t word = rule_idx + 1;
	uint32_t t;

	for (t = 0; t < synth->workload.trait_nr; t++)
		if (synth->rule[rule_idx].traits >> t & 1)
			word = word * UINT64_C(0x9e3779b97f4a7c15) + type->trait[t] + 1;
	return word;
}

static int agent_create(void *workload, uint32_t agent_idx, struct km_arena *arena,
			struct km_workload_agent **out)
{
	struct km_workload_agent *wa = calloc(1, sizeof(*wa));

	(void)agent_idx;
	(void)arena;
	if (!wa)
		return -ENOMEM;
	wa->synth = workload;
	*out = wa;
	return 0;
}

static void agent_destroy(struct km_workload_agent *wa)
{
	free(wa);
}

static uint64_t sync_rev(struct km_workload_agent *wa)
{
	/* relaxed: only a number that grows */
	wa->rev = 1 + atomic_load_explicit(&wa->synth->rev, memory_order_relaxed);
	return wa->rev;
}

static bool can_update(struct km_workload_agent *wa, uint64_t rev)
{
	return wa->rev - rev < 1000;
}

static uint32_t rule_class(void *workload, uint32_t rule_idx)
{
	(void)workload;
	(void)rule_idx;
	return 0;
}

static uint32_t top_class(void *workload)
{
	(void)workload;
	return 1;
}

static void rule_eval(struct km_workload_agent *wa, uint32_t rule_idx, const struct km_type *type,
		      void *slot)
{
	*(uint64_t *)slot = rule_word(wa->synth, rule_idx, type);
}

static void wrong(struct synth *synth)
{
	/* relaxed: a count */
	atomic_fetch_add_explicit(&synth->wrong, 1, memory_order_relaxed);
}

static void rule_update(struct km_workload_agent *wa, uint32_t rule_idx, const struct km_type *type,
			void *slot, uint64_t rev)
{
	(void)rev;
	if (*(uint64_t *)slot != rule_word(wa->synth, rule_idx, type))
		wrong(wa->synth);
}

static void top_build(struct km_workload_agent *wa, const struct km_type *type,
		      void *const *rule_slots, void *slot)
{
	uint64_t sum = 0;
	uint32_t r;

	(void)type;
	for (r = 0; r < wa->synth->workload.rule_nr; r++)
		sum += *(const uint64_t *)rule_slots[r];
	*(uint64_t *)slot = sum;
}

static void top_update(struct km_workload_agent *wa, const struct km_type *type,
		       void *const *rule_slots, void *slot, uint64_t rev)
{
	(void)rev;
	top_build(wa, type, rule_slots, slot);
}

static enum km_serve serve(struct km_workload_agent *wa, struct km_serve_part *part,
			   uint32_t part_nr)
{
	struct synth *synth = wa->synth;
	uint64_t sum;
	uint32_t i, r;

	for (i = 0; i < part_nr; i++) {
		for (r = 0, sum = 0; r < synth->workload.rule_nr; r++)
			sum += rule_word(synth, r, part[i].type);
		if (part[i].top && *(uint64_t *)part[i].top != sum)
			wrong(synth);
	}
	/* relaxed: counts */
	atomic_fetch_add_explicit(&synth->rev, 1, memory_order_relaxed);
	if (synth->conflict_every && ++wa->serves % synth->conflict_every == 0)
		return KM_SERVE_CONFLICT;
	atomic_fetch_add_explicit(&synth->served, 1, memory_order_relaxed);
	part[0].req->outcome = KM_PLACED;
	return KM_SERVE_DONE;
}

static const struct km_workload_ops ops = {
	.agent_create = agent_create,
	.agent_destroy = agent_destroy,
	.sync = sync_rev,
	.can_update = can_update,
	.rule_class = rule_class,
	.top_class = top_class,
	.rule_eval = rule_eval,
	.rule_update = rule_update,
	.top_build = top_build,
	.top_update = top_update,
	.serve = serve,
};

void synth_init(struct synth *synth, uint32_t trait_nr, uint32_t rule_nr, uint64_t slot_bytes)
{
	uint32_t r;

	memset(synth, 0, sizeof(*synth));
	for (r = 0; r < rule_nr; r++) {
		snprintf(synth->name[r], sizeof(synth->name[r]), "rule%u", r);
		synth->rule[r].name = synth->name[r];
		synth->rule[r].traits = 1u << r % trait_nr | 1u << (r + 1) % trait_nr;
	}
	synth->class_bytes[0] = slot_bytes;
	synth->class_bytes[1] = 4 * slot_bytes;
	synth->workload = (struct km_workload){
		.name = "synthetic",
		.ops = &ops,
		.workload = synth,
		.trait_nr = trait_nr,
		.rule_nr = rule_nr,
		.rules = synth->rule,
		.class_nr = 2,
		.class_bytes = synth->class_bytes,
		.part_nr_max = 4,
	};
}
