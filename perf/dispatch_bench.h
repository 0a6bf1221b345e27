/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_bench.h - what one decision costs, on live state.
 *
 * The dispatcher of core/stage.h decides about requests of made-up types. One
 * other thread plays all agents: it pops their rings, serves for as long as the
 * estimates say, writes their summaries and publishes their digests. As many
 * requests are inside as depth times agents, so queues, remaining times, cached
 * and coming objects are those of a balanced system under LatCache.
 *
 * Rounds of three kinds alternate, so that a slow spell of the host hits all:
 *   batch	look; classify a batch; place a batch: three times taken, each
 *		divided by the batch
 *   single	the same, each placement timed alone, less the timer's cost
 *   path	the dispatcher's own turn, with all it does, divided by the batch
 * The floor is taken in the same rounds: an argmin over the agents' queue times.
 *
 * Not shown: the wake of a parked agent; a cold start; other work that evicts
 * the dispatcher's lines between two decisions.
 */
#ifndef KM_PERF_DISPATCH_BENCH_H
#define KM_PERF_DISPATCH_BENCH_H

#include "core/policy.h"
#include "lib/diag.h"
#include "lib/hist.h"
#include "perf/counters.h"

#define KM_BENCH_ANY_CPU UINT32_MAX

struct km_bench_dispatch_cfg {
	const struct km_policy *policy;
	uint32_t agent_nr, rule_nr, type_nr;
	uint32_t depth; /* requests inside for each agent */
	uint32_t batch; /* decisions between two looks, at most 1,024 */
	uint32_t cached_nr; /* types an agent can cache */
	uint64_t rate; /* requests that all agents together complete in a second */
	uint64_t sample_nr; /* decisions */
	double changed; /* share of agents that also write their summary before each look */
	uint64_t seed;
	uint32_t cpu, agents_cpu; /* of the two threads; KM_BENCH_ANY_CPU = not pinned */
	bool skip_naive;
};

/* Times are in picoseconds, so that a batch's mean keeps its digits. */
struct km_bench_dispatch_result {
	struct km_hist batch_ps, single_ps, classify_ps, path_ps; /* per decision */
	struct km_hist look_ps; /* per look */
	struct km_hist floor_ps, naive_ps; /* per decision */
	struct km_counters counters; /* of counted_nr decisions more, in batches, not timed */
	uint64_t counted_nr;
	bool singles; /* decisions are long enough to be timed one by one */
	uint32_t batch, in_flight, rule_obj_nr;
	uint64_t timer_ns; /* one reading of the clock */
	uint64_t rtt_ns[2]; /* one line to the other thread and back, before and after; 0 = none */
	double completed_per_s, changed_per_look, top_hit_share;
	const char *floor_by; /* instruction set of the floor */
	uint64_t naive_checked; /* naive answers that were compared with the policy's */
	uint64_t checksum; /* of all decisions' agents and terms */
};

/**
 * km_bench_dispatch() - one cell: create, warm up, measure, check, destroy.
 * @result: filled on success; about 200 KiB.
 * @diag: why it failed.
 *
 * Context: a thread started with lib/snap.h, which it pins when cfg->cpu says so.
 * Return: 0; -EINVAL or -ENOMEM for a cell that this host cannot hold; -EIO when
 * a checked result was wrong; -errno.
 */
int km_bench_dispatch(const struct km_bench_dispatch_cfg *cfg,
		      struct km_bench_dispatch_result *result, struct km_diag *diag) KM_MUST_CHECK;

#endif
