/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/sweep.h - many simulations, on as many threads as asked for.
 *
 * Points share nothing that changes, so the results do not depend on the number
 * of threads.
 */
#ifndef KM_SIM_SWEEP_H
#define KM_SIM_SWEEP_H

#include "sim/sim.h"
#include "sim/trace_source.h"
#include "sim/zone.h"

/* One simulation of a zone's day, or of a trace. */
struct km_sim_point {
	const struct km_sim_zone *zone; /* with a trace: its caches and drawn times */
	const struct km_sim_trace_cfg *trace; /* NULL = the zone's own requests */
	const char *costs_path; /* a recorded profile; NULL = drawn times */
	const struct km_policy *policy;
	uint32_t agent_nr;
	double load, cache; /* times the zone's */
	double compress; /* of the trace; 0 = as the trace's cfg says */
	uint32_t type_cap, rule_obj_cap; /* of a trace; 0 = as struct km_sim_cfg says */
	bool no_in_service, accuracy, check, series;
	uint32_t conflict_servers;
	uint64_t seed, request_max, warmup_nr;
	uint64_t cache_bytes; /* per agent; 0 = the zone's, divided by agents */
	uint64_t estimate_period_ns;

	/* set by the run */
	struct km_sim_result *result;
	double cpu_s;
};

struct km_sweep_progress {
	void (*done)(void *ctx, uint32_t nr, uint32_t of); /* from any thread, one at a time */
	void *ctx;
};

/**
 * km_sweep_run() - simulate all points.
 * @thread_nr: 0 = as many as the machine's cores.
 * Return: 0; else the first failed point's error with the reason in @diag; then no
 * result is set.
 */
int km_sweep_run(struct km_sim_point *point, uint32_t nr, uint32_t thread_nr,
		 const struct km_sweep_progress *progress, struct km_diag *diag) KM_MUST_CHECK;

/** km_sweep_fini() - free the points' results. */
void km_sweep_fini(struct km_sim_point *point, uint32_t nr);

/**
 * km_sim_compress() - how a trace is to be compressed to load the agents so much.
 * @point: the simulation; its policy, load and compress play no part.
 * @busy: over 0; what is meant: agents at work that share of their time if its requests
 *	went to them in turn (round robin, which no state of theirs sways).
 *
 * Simulates the first requests of the trace, all of them far apart.
 * Return: 0; as km_sim_point_run().
 */
int km_sim_compress(double *compress, const struct km_sim_point *point,
		    const struct km_sim_survey *survey, double busy,
		    struct km_diag *diag) KM_MUST_CHECK;

/** km_sim_point_run() - one of them, in the calling thread. */
int km_sim_point_run(struct km_sim_point *point, struct km_diag *diag) KM_MUST_CHECK;

#endif
