/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/run_internal.h - what the files of "kamino run" share.
 */
#ifndef KM_TOOLS_RUN_INTERNAL_H
#define KM_TOOLS_RUN_INTERNAL_H

#include "core/record.h"
#include "core/runtime.h"
#include "numa/topo.h"
#include "place/audit.h"
#include "place/place.h"
#include "place/rules.h"
#include "place/zone.h"
#include "sim/costs.h"
#include "tools/publish.h"
#include "tools/replay.h"
#include "tools/request_log.h"

struct run_options {
	const char *name, *policy, *trace, *inventory, *rules, *level, *estimates, *costs,
		*requests_out, *json_out;
	uint64_t agents, requests, seed, servers, types, cache_bytes, age_ns, explain, idle_lag,
		calibrate;
	double load, fill, warmup, compress;
	bool json, batches, huge_pages, no_in_service, no_publish, help;
};

/* Where in the plan the last type was looked up that kamino top shows by name. */
struct run_namer {
	uint64_t req_id, job_idx; /* the jobs before job_idx hold req_id requests */
	uint32_t traits; /* bit t: some rule uses trait t */
};

/* What all policies share. */
struct run_world {
	struct run_options opt;
	struct km_topo *topo;
	struct km_plan *plan;
	struct km_trace *trace;
	struct km_inventory *inv;
	struct km_ruleset *rules;
	struct km_store_vm *initial; /* where the initial VMs stand */
	uint64_t initial_nr, unplaced;
	struct km_replay_plan *jobs;
	uint64_t cache_bytes, top_bytes;
	enum km_zone_level level;
	uint64_t warmup_nr;
	double compress;
	double capacity, busy_max; /* closed loop: requests per second, busy share of an agent */
	/* --record-costs, or NULL; the estimator thread adds, the client's the hand-overs */
	struct km_cost_recorder *costs;
	struct km_request_log *log; /* --requests-out, or NULL */
	_Atomic bool measured; /* the warm-up is over; the client's thread writes */
	bool tty;
	struct km_publisher *publisher; /* NULL: nobody can look */
	struct run_namer namer;
	uint32_t policy_idx, policy_nr; /* which one runs, from 1; 0 = the calibration */
};

/* One policy's run. */
struct run_outcome {
	const struct km_policy *policy;
	struct km_replay_result replay;
	struct km_runtime_stats stats;
	struct km_audit audit;
	struct km_store_stats store;
	struct km_record record;
	bool recorded;
	bool estimates_lost; /* --estimates could not be saved */
	double busy; /* share of the run the agents were busy, mean over agents */
};

/* ---- run_world.c: from options to a zone with its initial VMs placed ---- */

/** run_parse_level() - --level's name to its number. Return: 0; -EINVAL. */
int run_parse_level(const char *name, enum km_zone_level *level,
		    struct km_diag *diag) KM_MUST_CHECK;

/**
 * run_world_set_up() - Return: 0; -E2BIG when the machine has no room for so many agents;
 * -errno. The reason is in @diag; tear it down in any case.
 */
int run_world_set_up(struct run_world *w, struct km_diag *diag) KM_MUST_CHECK;
void run_world_tear_down(struct run_world *w);

/** run_store_open() - a store with nothing in it, and the workload over it. */
int run_store_open(struct run_world *w, struct km_store **store, struct km_place_ctx **place,
		   struct km_diag *diag) KM_MUST_CHECK;
void run_store_close(struct km_store *store, struct km_place_ctx *place);

/** run_progress() - one line on a terminal, overwritten; run_progress_end() clears it. */
void run_progress(struct run_world *w, const char *what, uint64_t done, uint64_t all);
void run_progress_end(struct run_world *w);

/* ---- run_publish.c: the segment that kamino top reads ---- */

/** run_name_ok() - may --name be @name? */
bool run_name_ok(const char *name);

/** run_publish_open() - unless --no-publish; a failure is a warning. The plan is made. */
void run_publish_open(struct run_world *w);
void run_publish_close(struct run_world *w);

/** run_publish_start() - @rt serves @create_nr requests under @policy. */
void run_publish_start(struct run_world *w, const struct km_runtime *rt, struct km_store *store,
		       const struct km_policy *policy, const struct km_workload *workload,
		       uint64_t create_nr);

/** run_publish_abandon() - take the segment's name away. Context: a signal handler. */
void run_publish_abandon(void);

/* ---- run_report.c: tables, JSON, explanation, failed audits ---- */

void run_print_head(const struct run_world *w);
void run_print_row(const struct run_outcome *out);

/** run_report() - all that comes after the last run. Return: 0, or 1 when an audit failed. */
int run_report(const struct run_world *w, const struct run_outcome *out, uint32_t nr);

#endif
