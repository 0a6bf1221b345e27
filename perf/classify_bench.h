/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/classify_bench.h - from a request's traits to its type.
 *
 * Measured, for so many types of Zipf's popularity (exponent 0.9), each get with
 * the put that ends it:
 *   known	every type has an id
 *   new	types that were never seen, while ids are free
 *   evicted	types whose id another one has taken meanwhile: each get takes the
 *		id of the type unreferenced for longest, and tells who listens
 *   mixed	ids for a quarter of the types: what stays known is the popular part
 * Beside them a plain hash table of the traits' hashes, which names neither rule
 * objects nor generations and compares no names.
 *
 * Left out: what the dispatcher and the estimator do about a recycled id; a
 * request's way here. Not shown: traits that just came over from another core.
 */
#ifndef KM_PERF_CLASSIFY_BENCH_H
#define KM_PERF_CLASSIFY_BENCH_H

#include "perf/rows.h"

struct km_bench_classify_cfg {
	const uint32_t *types; /* [cell_nr] */
	uint32_t cell_nr, rule_nr;
};

/** km_bench_classify() - measure. Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a check failed. */
int km_bench_classify(struct km_bench_env *env, const void *cfg,
		      struct km_diag *diag) KM_MUST_CHECK;

#endif
