/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/sim_bench.h - how fast virtual time runs.
 *
 * Measured, on one core, in processor time of the thread: the first requests of a
 * built-in zone's day, simulated under each policy in turn; and the stream of
 * requests alone, which every simulation reads. A sample is a whole simulation,
 * with what it sets up. The same seed must give the same numbers each time.
 *
 * Left out: judging decisions (--accuracy), threads. Not shown: a day's later
 * hours, and how times change with the machine's memory, of which it needs little.
 */
#ifndef KM_PERF_SIM_BENCH_H
#define KM_PERF_SIM_BENCH_H

#include "core/policy.h"
#include "perf/rows.h"
#include "sim/zone.h"

struct km_bench_sim_cfg {
	const struct km_policy *const *policy; /* [policy_nr] */
	uint32_t policy_nr, agent_nr;
	const struct km_sim_zone *zone;
	uint64_t request_nr;
};

/** km_bench_sim() - measure. Return: 0; -EINVAL; -ENOMEM; -EIO: two runs differ. */
int km_bench_sim(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
