/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/decision_probe.c - decisions in one thread, the same each time: for callgrind
 * and for perf record.
 *
 *	decision_probe [AGENTS [RULES [TYPES [DECISIONS [POLICY [PATH]]]]]]
 *
 * The same types, rules and caches as "kamino bench dispatch". Agents are played
 * between the decisions, on a clock that is counted, not read, so that each run
 * executes the same instructions; km_stage_place() alone is what is looked at:
 *
 *	valgrind --tool=callgrind --toggle-collect=km_stage_place decision_probe 64
 *
 * Prints the median time of a decision (in batches of 16) and a checksum. Not
 * shown: lines that travel between CPUs, as there is one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/finish.h"
#include "lib/clock.h"
#include "lib/snap.h"
#include "perf/dispatch_internal.h"

#define BATCH 16u
#define DEPTH 3u
/* A decision every so many counted nanoseconds: what the agents complete. */
#define STEP_NS 2000u

struct probe {
	struct km_bench_dispatch_cfg cfg;
	struct bench_world world;
	struct bench_play play;
	struct km_stage *stage;
	struct km_estimates *est;
	struct km_req *pool, **vacant, *now[BATCH];
	uint32_t vacant_nr, turn, in_flight;
	uint64_t clock_ns, sum;
	struct km_hist ps;
};

static int open_probe(struct probe *p)
{
	const struct km_bench_dispatch_cfg *cfg = &p->cfg;
	struct km_stage_cfg stage = { .policy = cfg->policy,
				      .agent_nr = cfg->agent_nr,
				      .view_rule_nr = cfg->rule_nr,
				      .window = 32,
				      .ingress_nr = 2 * BATCH,
				      .type_cap = cfg->type_nr + 2,
				      .count_serving = true,
				      .seed = 1 };
	uint32_t i, trait[KM_TRAITS_MAX];
	int err = bench_world_init(&p->world, cfg->type_nr, cfg->rule_nr, 1);

	if (err)
		return err;
	stage.workload = &p->world.workload;
	stage.rule_obj_cap = p->world.obj_cap;
	err = km_stage_create(&p->stage, &stage);
	p->est = bench_world_estimates(stage.type_cap, cfg->rule_nr, cfg->agent_nr * STEP_NS, 2);
	p->in_flight = cfg->agent_nr * DEPTH + BATCH;
	p->pool = aligned_alloc(KM_SHARE_BYTES, p->in_flight * sizeof(*p->pool));
	p->vacant = calloc(p->in_flight, sizeof(struct km_req *));
	if (err || !p->est || !p->pool || !p->vacant)
		return err ? err : -ENOMEM;
	memset(p->pool, 0, p->in_flight * sizeof(*p->pool));
	for (i = 0; i < p->in_flight; i++)
		p->vacant[p->vacant_nr++] = &p->pool[i];
	km_stage_estimate(p->stage, p->est);
	for (i = 0; i < cfg->type_nr; i++) {
		bench_world_traits(&p->world, i, trait);
		km_types_put(km_stage_types(p->stage),
			     km_types_get(km_stage_types(p->stage), trait));
	}
	err = bench_play_init(&p->play, cfg, p->stage, p->est, p->world.obj_cap, p->in_flight);
	return err ? err : bench_play_fill(&p->play, &p->world, km_stage_types(p->stage));
}

static void take_back(struct probe *p)
{
	uint64_t handle;

	while (p->vacant_nr < BATCH) {
		p->clock_ns += STEP_NS;
		bench_play_step(&p->play, p->clock_ns);
		while ((handle = km_spsc_pop(&p->play.done)))
			p->vacant[p->vacant_nr++] = (struct km_req *)(uintptr_t)handle;
	}
}

static void decide_some(struct probe *p)
{
	uint64_t start_ns, end_ns;
	uint32_t i;

	for (i = 0; i < BATCH; i++) {
		p->now[i] = p->vacant[--p->vacant_nr];
		p->now[i]->id = p->turn;
		bench_world_traits(&p->world, p->world.drawn[p->turn++ & (p->world.drawn_nr - 1)],
				   p->now[i]->trait);
	}
	km_stage_enter(p->stage);
	km_stage_look_at(p->stage, p->clock_ns);
	if (km_stage_classify(p->stage, p->now, BATCH) != BATCH)
		abort();
	start_ns = km_clock_ns();
	km_stage_place(p->stage, p->now, BATCH);
	end_ns = km_clock_ns();
	km_stage_leave(p->stage);
	km_hist_add(&p->ps, (end_ns - start_ns) * 1000 / BATCH);
	for (i = 0; i < BATCH; i++)
		p->sum = (p->sum ^ (p->now[i]->decision.agent_idx + 1)) * UINT64_C(0x100000001b3);
}

int main(int argc, char **argv)
{
	static struct probe p;
	uint64_t decisions = 20000, i;

	p.cfg = (struct km_bench_dispatch_cfg){ .policy = &km_policy_latcache_rule,
						.agent_nr = 64,
						.rule_nr = 20,
						.type_nr = 1700,
						.depth = DEPTH,
						.cached_nr = 256,
						.seed = 1 };
	if (argc > 1)
		p.cfg.agent_nr = (uint32_t)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		p.cfg.rule_nr = (uint32_t)strtoul(argv[2], NULL, 0);
	if (argc > 3)
		p.cfg.type_nr = (uint32_t)strtoul(argv[3], NULL, 0);
	if (argc > 4)
		decisions = strtoull(argv[4], NULL, 0);
	if (argc > 5)
		p.cfg.policy = km_policy_find(argv[5]);
	if (!p.cfg.policy || !p.cfg.agent_nr || p.cfg.agent_nr > 100000 ||
	    p.cfg.rule_nr > KM_RULES_MAX || p.cfg.type_nr < 2 ||
	    (argc > 6 && !km_finish_use(argv[6]))) {
		fprintf(stderr, "usage: decision_probe [AGENTS [RULES [TYPES [DECISIONS [POLICY"
				" [avx512|avx2|portable]]]]]]\n");
		return 2;
	}
	km_snap_thread_start();
	p.clock_ns = km_clock_ns();
	p.clock_ns = KM_NS_PER_S;
	km_hist_init(&p.ps);
	if (open_probe(&p)) {
		fprintf(stderr, "decision_probe: out of memory\n");
		return 1;
	}
	for (i = 0; i < decisions; i += BATCH) {
		take_back(&p);
		decide_some(&p);
	}
	printf("%s %" PRIu32 " agents: %.1f ns a decision; checksum %016" PRIx64 "\n",
	       km_finish_path(), p.cfg.agent_nr, (double)km_hist_quantile(&p.ps, 0.5) / 1000,
	       p.sum);
	return 0;
}
