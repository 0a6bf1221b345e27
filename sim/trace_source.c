/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/trace_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rand.h"
#include "place/rule_eval.h"
#include "place/trace.h"

struct trace_source {
	struct km_source source;
	struct km_trace_reader *reader;
	struct km_ruleset *rules;
	struct km_bound *bound;
	struct km_rule_desc desc[KM_RULES_MAX];
	uint32_t column_nr;
	double compress;
	uint64_t seed, row;
	uint32_t batch; /* of the last create */
	uint32_t trait[KM_TRAITS_MAX];
};

/* As km_place_fill_traits(): the resources, then the columns. */
static void fill_traits(struct trace_source *s, const struct km_event *event)
{
	uint32_t i;

	for (i = 0; i < KM_RES_NR; i++)
		s->trait[i] = event->res[i] < 0 ? UINT32_MAX : (uint32_t)event->res[i];
	for (i = 0; i < s->column_nr; i++)
		s->trait[KM_RES_NR + i] = event->trait[i];
}

static bool goes_on(struct trace_source *s, const struct km_event *event)
{
	bool same = event->batch != KM_DICT_NONE && event->batch == s->batch;

	s->batch = event->batch;
	return same;
}

/* One at a time: an arrival's traits are ours. */
static int trace_next(struct km_source *source, struct km_arrival *arrival, uint32_t nr,
		      struct km_diag *diag)
{
	struct trace_source *s = (struct trace_source *)source;
	struct km_event event;
	uint64_t mix;
	int got;

	(void)nr;
	do {
		got = km_trace_next(s->reader, &event, diag);
		if (got <= 0)
			return got;
	} while (event.at_us < 0);
	mix = s->seed ^ ++s->row;
	arrival->at_ns = (uint64_t)((double)event.at_us * 1000 / s->compress);
	arrival->type_idx = KM_NO_TYPE_IDX;
	arrival->noise = (uint32_t)(km_splitmix64(&mix) >> 32);
	arrival->is_delete = event.op == KM_OP_DELETE;
	arrival->trait = s->trait;
	if (arrival->is_delete)
		return 1;
	if (goes_on(s, &event))
		arrival->is_delete = true; /* one more change, no request of its own */
	else
		fill_traits(s, &event);
	return 1;
}

static void trace_destroy(struct km_source *source)
{
	struct trace_source *s = (struct trace_source *)source;

	km_bound_destroy(s->bound);
	km_ruleset_destroy(s->rules);
	if (s->reader)
		km_trace_close(s->reader);
	free(s);
}

static int load_rules(struct trace_source *s, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag)
{
	const struct km_trace_schema *schema = km_trace_reader_schema(s->reader);
	int err;

	if (cfg->rules_path)
		err = km_ruleset_load(&s->rules, cfg->rules_path, diag);
	else
		err = km_ruleset_default(&s->rules, schema, cfg->inv);
	if (!err)
		err = km_ruleset_check(s->rules, schema, cfg->inv, diag);
	return err ? err : km_bound_create(&s->bound, s->rules, schema, cfg->inv, diag);
}

static void describe(struct trace_source *s)
{
	uint32_t i;

	for (i = 0; i < s->bound->rule_nr; i++)
		s->desc[i] = (struct km_rule_desc){ .name = s->bound->rule[i].rule->name,
						    .traits = s->bound->rule[i].traits };
	s->source.trait_nr = s->bound->trait_nr;
	s->source.rule_nr = s->bound->rule_nr;
	s->source.rules = s->desc;
	s->column_nr = s->bound->trait_nr - KM_RES_NR;
}

int km_sim_trace_open(struct km_source **out, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag)
{
	struct trace_source *s;
	int err;

	if (!(cfg->compress > 0))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "time must be compressed by over 0");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->source.next = trace_next;
	s->source.destroy = trace_destroy;
	s->compress = cfg->compress;
	s->seed = cfg->seed;
	s->batch = KM_DICT_NONE;
	err = km_trace_open(&s->reader, cfg->path, diag);
	if (!err)
		err = load_rules(s, cfg, diag);
	if (!err && !s->bound->rule_nr)
		err = km_diag_set(diag, -EINVAL, "", 0, 0, "no rule of the set is cached");
	if (err) {
		trace_destroy(&s->source);
		return err;
	}
	describe(s);
	*out = &s->source;
	return 0;
}
