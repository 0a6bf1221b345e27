/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/replay.h - plays a trace against a running runtime, as one client.
 *
 * Creates are submitted as requests at their time, divided by the compression;
 * deletes go straight to the store, after their VM's create has come back. Each
 * request's outcome and each VM's place is written to a ledger for the audit.
 */
#ifndef KM_TOOLS_REPLAY_H
#define KM_TOOLS_REPLAY_H

#include "core/runtime.h"
#include "lib/hist.h"
#include "lib/series.h"
#include "place/audit.h"
#include "place/place.h"
#include "place/trace.h"

/* VMs of one part of a request: same traits, rows next to each other in vm[]. */
struct km_job_part {
	uint64_t event_idx; /* the row whose traits it has */
	uint32_t vm_first, vm_nr; /* in plan->vm */
};

/* One request or one delete. */
struct km_job {
	int64_t at_us;
	uint8_t op; /* enum km_op */
	uint32_t part_first, part_nr; /* creates: in plan->part */
	uint32_t vm; /* deletes */
};

/* A trace cut into requests; the same for every policy. */
struct km_replay_plan {
	const struct km_trace *trace;
	struct km_job *job;
	uint64_t job_nr, create_nr; /* create_nr = requests */
	struct km_job_part *part;
	uint32_t *vm;
	uint32_t part_nr_max; /* of one request */
};

/**
 * km_replay_plan_make() - cut rows of at_us >= 0 into requests.
 * @request_nr_max: stop after so many requests; 0 = all.
 *
 * Rows of one batch are one request; rows of it with equal traits one part.
 * Return: 0; -ENOMEM; -EINVAL when a batch has more parts than @part_nr_max.
 */
int km_replay_plan_make(struct km_replay_plan **out, const struct km_trace *trace,
			const struct km_place_ctx *place, uint32_t part_nr_max,
			uint64_t request_nr_max, struct km_diag *diag) KM_MUST_CHECK;
void km_replay_plan_free(struct km_replay_plan *plan);

struct km_publisher; /* tools/publish.h */
struct km_request_log; /* tools/request_log.h */
struct km_cost_recorder; /* sim/costs.h */

struct km_replay_cfg {
	const struct km_replay_plan *plan;
	const struct km_place_ctx *place;
	const struct km_store_ops *store_ops;
	struct km_store *store;
	struct km_runtime *rt;
	uint32_t agent_nr;
	double compress; /* trace seconds per second of ours; 0 = closed loop */
	uint32_t closed_nr; /* closed loop: requests in flight */
	uint64_t warmup_nr; /* requests left out of the statistics, not of the audit */
	uint64_t explain_id; /* request to report on, from 1; 0 = none */
	uint32_t in_flight_max; /* a power of two */
	struct km_ledger *ledger; /* holds the initial VMs; with res; filled in */
	const volatile _Atomic int *interrupted; /* stop submitting when not 0 */
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *progress_arg;
	bool series; /* fill result->series */
	struct km_request_log *log; /* a row for each; NULL = none */
	const char *policy; /* its name there */
	struct km_cost_recorder *costs; /* told of hand-overs; NULL = nobody */
	bool asks; /* agents ask for each request: km_cost_handover() */
	struct km_publisher *publisher; /* told what comes back, and of time; NULL = nobody */
};

struct km_replay_result {
	uint64_t submitted, completed, lost; /* submitted = completed + refused */
	uint64_t outcome[KM_OUTCOME_NR];
	uint64_t returned_twice; /* requests with more than one outcome: must be 0 */
	uint64_t vms_placed;
	/* delete rows that came, and what became of them: the three add up to the first */
	uint64_t delete_rows, deletes, deletes_unknown, deletes_of_refused;
	bool interrupted;

	/* after the warm-up */
	uint64_t measured;
	struct km_hist latency_ns, wait_ns, processing_ns;
	uint64_t top_hits, rule_hits, rule_misses, uncached, conflicts, gave_up;
	uint64_t top_predicted_right; /* top-level hits and misses */
	uint64_t time_error_ns; /* |predicted - real| processing time, summed */
	/* from the decision to the end: the sum of the three terms, and what came of it */
	uint64_t finish_predicted_ns, finish_real_ns, finish_error_ns;
	uint64_t steady_misses, steady_faults;
	uint64_t elapsed_ns; /* first to last measured completion */
	double cache_bytes_mean; /* of the agents, over time */
	struct km_series *series; /* load over time, the warm-up included; NULL unless cfg.series */
	bool explained;
	struct km_req explain; /* copy of the request, without its pointers' targets */
};

/** km_replay_result_fini() - free what km_replay() put into it. */
void km_replay_result_fini(struct km_replay_result *result);

/** km_replay_refused() - all outcomes that are refusals. */
uint64_t km_replay_refused(const struct km_replay_result *result);

/**
 * km_replay() - play the plan to its end, or until interrupted; drain.
 * Context: a thread started with lib/snap.h. Return: 0; -ENOMEM.
 */
int km_replay(const struct km_replay_cfg *cfg, struct km_replay_result *result) KM_MUST_CHECK;

#endif
