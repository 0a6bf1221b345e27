/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/sim.h - the runtime's decision code in virtual time.
 *
 * One thread, integer nanoseconds, a handful of kinds of events: an arrival, the
 * end of a service or of a background update on an agent, and two timers (the
 * estimator publishes, caches age). Classifier, view, scheduler, policies,
 * estimator and caches are the runtime's objects; only time, work and threads
 * are made up. Same inputs, same numbers, on any machine and compiler.
 *
 * At the same nanosecond: timers, then ends by agent index, then the arrival.
 *
 * Invariants, verified at every event with cfg.check:
 *  M1 one agent's requests start in the order in which they were sent to it;
 *  M2 the view's queue time is the sum of the estimates of the agent's queue;
 *  M3 arrived = completed + refused + inside, and inside = queued + in service;
 *  M4 each cache's own invariants (C1 to C3: bytes, pins), every 1024th event.
 */
#ifndef KM_SIM_SIM_H
#define KM_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/policy.h"
#include "lib/diag.h"
#include "lib/hist.h"
#include "lib/series.h"
#include "sim/costs.h"
#include "sim/source.h"

#define KM_SIM_WINDOW_NS UINT64_C(10000000000)

struct km_sim_cfg {
	const struct km_policy *policy;
	struct km_source *source; /* the caller's; read to its end */
	const struct km_costs *costs; /* the caller's */
	uint32_t agent_nr;
	uint32_t type_cap, rule_obj_cap; /* 0 = as many as the source has, or 8192 and 65536 */
	uint64_t cache_bytes; /* per agent */
	uint64_t rule_bytes, top_bytes; /* of one cached object; a profile's sizes win */
	uint64_t age_ns; /* 0 = never */
	uint32_t idle_lag; /* 0 = no background updates */
	uint64_t estimate_period_ns; /* 0 = 10 s */
	uint32_t inside_max; /* requests inside at most, more are refused; 0 = 16384 */
	uint64_t request_max; /* end after so many; 0 = at the source's end */
	uint64_t warmup_nr; /* requests left out of times and hits */
	bool count_serving; /* the request in service counts as cached-to-be */
	bool accuracy; /* work out what every other agent would have taken */
	bool check; /* M1 to M4 */
	bool series; /* fill result->series */
	/*
	 * Commits: how many servers are about as good for a request. A commit conflicts
	 * when another took the same one since the request began. 0 = no conflicts, as
	 * in the paper's simulator.
	 */
	uint32_t conflict_servers;
	uint64_t seed; /* of the policy's own draws */
};

/* Predicted against true, and chosen against best. Times of all requests summed. */
struct km_sim_accuracy {
	uint64_t judged; /* requests of which every agent's latency is known */
	uint64_t best_nr; /* the chosen agent was the best, or as good */
	uint64_t gap_ns_sum; /* latency over the best agent's: the regret */
	double gap_ratio_sum; /* the same, relative to the best, when not the best */
	uint64_t top_events, top_right; /* top-level hit or miss, predicted right */
	uint64_t rule_events, rule_right; /* of rule objects when both say top-level miss */
	uint64_t time_nr; /* served requests with a prediction */
	double time_error_sum; /* |predicted - true| / true of the processing time */
};

struct km_sim_result {
	uint64_t submitted, completed, refused, lost;
	uint64_t measured; /* completed after the warm-up: what times and hits are of */
	uint64_t conflicts, retries_exhausted;
	uint64_t top_hits, top_misses, rule_hits, rule_misses, uncached;
	uint64_t aged, evicted, idle_updates;
	uint64_t events, deletes;
	uint64_t end_ns; /* virtual */
	uint64_t busy_ns; /* of all agents */
	uint64_t inside_peak;
	double cache_bytes_mean; /* of all agents together, over time */
	uint64_t cache_bytes_max; /* of one agent */
	/*
	 * By windows of 10 s. Saturated ones have at least four requests an agent inside at
	 * both ends.
	 */
	uint64_t window_nr, saturated_nr, saturated_completed;
	uint64_t window_arrived_max, window_completed_max;
	struct km_hist latency, wait, processing;
	uint64_t hit_ns, miss_ns; /* processing of top-level hits and misses */
	struct km_sim_accuracy accuracy;
	/* means and spreads by type, for figure 1: [type_nr] */
	struct km_sim_type {
		uint64_t hit_nr, hit_ns, miss_nr, miss_ns;
		double hit_ms2, miss_ms2; /* sums of squares */
	} * type;
	uint32_t type_nr;
	struct km_series *series; /* load over virtual time; NULL unless cfg.series */
	const char *fault; /* a broken invariant (static text), or NULL */
	uint64_t fault_event;
	bool unstable; /* the load is more than the agents can serve */
};

/**
 * km_sim_run() - simulate until the source ends and all is served.
 * @out: filled also when an invariant broke; release with km_sim_result_fini().
 *
 * Memory is bounded by agents, types and inside_max.
 * Return: 0; -EINVAL with the reason; -E2BIG when the machine has too little memory
 * for so many agents and types; -ENOMEM; the source's error; -EPROTO when
 * an invariant broke (cfg.check), with the reason in @diag.
 */
int km_sim_run(struct km_sim_result *out, const struct km_sim_cfg *cfg,
	       struct km_diag *diag) KM_MUST_CHECK;

/** km_sim_result_fini() - free what km_sim_run() filled. */
void km_sim_result_fini(struct km_sim_result *result);

#endif
