/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/cache_bench.h - what the two-level cache's own work costs.
 *
 * Measured, on caches of so many objects: looking up what is there and what is not,
 * on both levels; holding and releasing a rule object; a rule object coming in while
 * the oldest leaves; a consolidated result leaving and coming back, with everything
 * a miss does around it (its rule objects looked up, held, pinned, released); the
 * sweep by age. Beside them a plain hash table of as many keys. Keys come at random.
 *
 * Left out: the memory behind the objects (bench slots), evaluating them (bench
 * rules), the digest that tells of them (bench snap). Not shown: what the agent's
 * other work evicts from the processor's caches between two requests.
 */
#ifndef KM_PERF_CACHE_BENCH_H
#define KM_PERF_CACHE_BENCH_H

#include "perf/rows.h"

struct km_bench_cache_cfg {
	const uint32_t *entries; /* [entry_nr] consolidated results, and rule objects */
	uint32_t entry_nr, rule_nr;
};

/** km_bench_cache() - measure. Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a check failed. */
int km_bench_cache(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
