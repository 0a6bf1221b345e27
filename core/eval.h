/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/eval.h - one agent's way of serving a request: look up, evaluate or
 * bring up to date, choose, commit. No thread and no ring; core/agent.c runs it.
 *
 * Context: one thread, registered with lib/snap.h, from create to destroy.
 */
#ifndef KM_CORE_EVAL_H
#define KM_CORE_EVAL_H

#include "cache/cache.h"
#include "core/estimate.h"
#include "core/req.h"
#include "core/workload.h"

struct km_eval;

struct km_eval_cfg {
	const struct km_workload *workload;
	uint32_t agent_idx;
	uint32_t type_cap, rule_obj_cap;
	uint64_t cache_bytes; /* hard */
	uint64_t age_ns; /* evict what is unused for longer; 0 = never */
	int node; /* NUMA node of its memory, or -1 */
	bool huge_pages;
	uint32_t retry_max; /* commits tried again after a conflict */
	uint32_t idle_lag; /* background update of objects this many changes behind; 0 = none */
	/* Takes a km_sample_pack() word; may drop it. */
	void (*sample)(void *ctx, uint64_t sample);
	void *sample_ctx;
};

struct km_eval_stats {
	uint64_t served, top_hits, top_misses;
	uint64_t rule_hits, rule_misses;
	uint64_t uncached; /* did not fit into the budget */
	uint64_t conflicts, retries_exhausted;
	uint64_t idle_updates;
	uint64_t aged; /* objects evicted by age */
	uint64_t steady_misses, steady_faults; /* top misses that took only recycled slots */
	uint64_t cache_bytes, cache_bytes_peak, arena_bytes;
	uint64_t hit_ns, miss_ns; /* summed processing times */
};

/**
 * km_eval_create() - an empty cache in arenas of its own, and the workload's agent state.
 * @out: set on success; release with km_eval_destroy(), in the same thread.
 *
 * Return: 0; -EINVAL for a zero cap or budget; -ENOMEM; -ENODEV; what the workload says.
 */
int km_eval_create(struct km_eval **out, const struct km_eval_cfg *cfg) KM_MUST_CHECK;

/** km_eval_destroy() - give everything back; NULL is allowed. */
void km_eval_destroy(struct km_eval *eval);

/**
 * km_eval_estimate() - predicted processing time of @req from the *current* cache.
 * Context: the agent, inside a km_snap section that @est belongs to.
 */
uint64_t km_eval_estimate(const struct km_eval *eval, const struct km_estimates *est,
			  const struct km_req *req);

/**
 * km_eval_serve() - bring @req and its further parts to an outcome.
 *
 * Sets the agent's fields of @req. Returns with nothing held. Runs in sections of
 * its own, so the caller must not be in one.
 */
void km_eval_serve(struct km_eval *eval, struct km_req *req);

/**
 * km_eval_learn() - tell the estimator how long the last km_eval_serve() kept the agent.
 *
 * Called when the agent is free again: what it spends on telling others of the
 * end is part of what the next request waits for.
 */
void km_eval_learn(struct km_eval *eval);

/**
 * km_eval_idle() - one bounded piece of background work: an update, or eviction by age.
 * Return: whether there was any.
 */
bool km_eval_idle(struct km_eval *eval);

/** km_eval_cache() - its cache, for digests and checks. */
const struct km_cache *km_eval_cache(const struct km_eval *eval);
/** km_eval_stats() - counters so far. */
struct km_eval_stats km_eval_stats(const struct km_eval *eval);

#endif
