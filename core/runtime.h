/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/runtime.h - the runtime: agents on their cores, a dispatcher, an
 * estimator, and the door through which clients submit.
 *
 * The way of a request:
 *   km_submit() -> ingress -> dispatcher -> the agent's ring -> agent
 *   -> the client's completion queue -> km_client_reap()
 * Everything accepted comes back exactly once, with one outcome.
 */
#ifndef KM_CORE_RUNTIME_H
#define KM_CORE_RUNTIME_H

#include "core/eval.h"
#include "core/policy.h"
#include "core/record.h"
#include "core/req.h"
#include "core/workload.h"
#include "lib/diag.h"
#include "lib/hist.h"
#include "numa/topo.h"

/**
 * struct km_sample_tap - sees what the estimator learns from, for a recorded cost profile.
 * @name: type id @id means the type of @hash from now on; called again and again.
 * @sample: one km_sample_pack() word.
 *
 * Context: the estimator's thread, from km_runtime_start() to km_runtime_stop().
 */
struct km_sample_tap {
	void *ctx;
	void (*name)(void *ctx, uint32_t id, uint64_t hash);
	void (*sample)(void *ctx, uint64_t sample);
};

#define KM_TYPE_CAP_DEFAULT 8192

struct km_runtime_cfg {
	const struct km_workload *workload; /* kept by the caller */
	const struct km_plan *plan; /* kept by the caller; plan->agent_nr agents */
	const struct km_policy *policy;
	uint64_t cache_bytes; /* per agent, hard */
	uint64_t cache_age_ns; /* 0 = no eviction by age */
	uint32_t window; /* most requests in an agent's ring; a power of two; 0 = 1024 */
	uint32_t ingress_nr; /* slots of the ingress; a power of two; 0 = 16384 */
	uint32_t type_cap, rule_obj_cap; /* 0 = KM_TYPE_CAP_DEFAULT and twice as many */
	uint32_t retry_max; /* 0 = 16 */
	uint32_t idle_lag; /* background update of objects this many changes behind; 0 = none */
	uint64_t estimate_period_ns; /* 0 = 20 ms */
	const char *estimate_path; /* loaded at start, saved at stop; NULL = neither */
	const struct km_sample_tap *tap; /* kept by the caller; NULL = none */
	bool huge_pages;
	bool count_serving; /* the request in service counts as cached-to-be */
	uint64_t seed;
};

struct km_runtime;

/**
 * km_runtime_start() - bring up every thread; they wait for work on return.
 * @diag: why it failed, or, on success, a warning in reason ("" = none): for
 *	instance that an estimates file was refused: then it is neither used nor written over.
 *
 * Context: a thread started with lib/snap.h. Allocates.
 * Return: 0; -EINVAL for a bad size; -ENOMEM; -ENODEV.
 */
int km_runtime_start(struct km_runtime **out, const struct km_runtime_cfg *cfg,
		     struct km_diag *diag) KM_MUST_CHECK;

struct km_runtime_stats {
	uint64_t accepted, completed;
	struct km_hist decision_ns; /* share of classifying + decide + hand over, every request */
	struct km_eval_stats *agent; /* [agent_nr] */
	uint32_t agent_nr;
	const char *cache_fault; /* a broken cache invariant of some agent; NULL = none */
	uint64_t types_interned, types_recycled;
	uint64_t estimate_tables; /* published */
	uint64_t samples_dropped;
};

/**
 * km_runtime_stop() - drain, join, save the estimates, free everything.
 * @stats: filled when not NULL; release with km_runtime_stats_fini().
 * @records: the decision records, taken over by the caller (km_records_destroy()),
 *	when not NULL.
 * @diag: why the estimates could not be saved; reason "" = nothing to say.
 *
 * Every client must be closed before. Context: the thread that started it.
 */
void km_runtime_stop(struct km_runtime *rt, struct km_runtime_stats *stats,
		     struct km_records **records, struct km_diag *diag);

/** km_runtime_stats_fini() - free what km_runtime_stop() put into @stats. */
void km_runtime_stats_fini(struct km_runtime_stats *stats);

/* One submitting thread's side. */
struct km_client;

/**
 * km_client_open() - @cap: most requests in flight, a power of two, 2..2^20.
 * Return: 0; -EINVAL; -ENOMEM.
 */
int km_client_open(struct km_client **out, struct km_runtime *rt, uint32_t cap) KM_MUST_CHECK;

/** km_client_close() - every accepted request must have been reaped; freed at km_runtime_stop(). */
void km_client_close(struct km_client *client);

/**
 * km_submit() - hand a request in.
 * @req: the client's memory; id, due_ns, payload, more and trait are set. It is
 *	the runtime's until it is reaped.
 *
 * Context: the client's thread. Progress: lock-free; a system call only when the
 * dispatcher sleeps. Return: 0; -EAGAIN when the ingress or the client's own
 * limit is full; -EINVAL when it has more parts than the workload takes. Unless
 * 0 the request was not accepted.
 */
int km_submit(struct km_client *client, struct km_req *req) KM_MUST_CHECK;

/** km_client_reap() - a request with its outcome, or NULL when none came back. */
struct km_req *km_client_reap(struct km_client *client);

/**
 * km_client_wait() - sleep until something came back or the time is up.
 * @until_ns: km_clock_ns() time; UINT64_MAX = no limit.
 */
void km_client_wait(struct km_client *client, uint64_t until_ns);

/** km_client_in_flight() - accepted and not reaped. */
uint32_t km_client_in_flight(const struct km_client *client);

/* A cheap look at one agent while it runs; each number may be stale. */
struct km_agent_glance {
	bool busy;
	uint64_t served; /* requests; what follows counts their parts */
	uint64_t top_hits, top_misses;
	uint64_t rule_hits; /* each top-level miss looks up every rule */
	uint64_t busy_ns, cache_bytes;
	/* as the dispatcher saw it up to KM_SHOW_EVERY_NS ago */
	uint32_t queued_nr; /* assigned and not started; at most 65535 */
	uint64_t wait_ns; /* the sum of their estimates */
	uint64_t remaining_ns; /* of the request in service, by the agent's estimate; 0 = idle */
};

/* How often the dispatcher shows its queues. */
#define KM_SHOW_EVERY_NS (250 * UINT64_C(1000000))

/** km_runtime_glance() - Context: any thread, while the runtime runs. Progress: wait-free. */
struct km_agent_glance km_runtime_glance(const struct km_runtime *rt, uint32_t agent_idx);

/** km_runtime_waiting() - requests not sent to any agent, when the dispatcher last showed. */
uint64_t km_runtime_waiting(const struct km_runtime *rt);

/** km_runtime_type_id() - @req's type, also after it came back. Context: any thread. */
uint32_t km_runtime_type_id(const struct km_runtime *rt, const struct km_req *req);

/** km_runtime_decisions() - decision_ns so far, by km_hist_glance(). Context: any thread. */
void km_runtime_decisions(const struct km_runtime *rt, struct km_hist *out);

/** km_runtime_records() - the decision records, until km_runtime_stop(). Context: any thread. */
const struct km_records *km_runtime_records(const struct km_runtime *rt);

#endif
