/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/sim_internal.h - what the files of "kamino sim" share.
 */
#ifndef KM_TOOLS_SIM_INTERNAL_H
#define KM_TOOLS_SIM_INTERNAL_H

#include "lib/diag.h"
#include "sim/experiment.h"

#define SIM_LIST_NR_MAX 64

struct sim_options {
	const char *policy, *agents, *load, *zone, *zone_file, *set, *experiment, *json_out, *trace,
		*inventory, *rules, *costs;
	uint64_t servers;
	double compress, warmup;
	uint64_t requests, seed, types, cache_bytes, threads, conflicts, idle_lag, age_ns,
		period_ns;
	double hours;
	bool json, check, accuracy, no_in_service, print_zones, help;
};

struct sim_world {
	struct sim_options opt;
	struct km_sim_zone zone[KM_SIM_ZONES_MAX];
	uint32_t zone_nr;
	const struct km_policy *policy[SIM_LIST_NR_MAX];
	uint32_t policy_nr;
	double agents[SIM_LIST_NR_MAX], load[SIM_LIST_NR_MAX];
	uint32_t agents_nr, load_nr;
	struct km_sim_trace_cfg trace;
	struct km_inventory *inv;
	struct km_sim_survey survey; /* of the trace */
	double compress[KM_SIM_ZONES_MAX][SIM_LIST_NR_MAX]; /* of the trace; by zone and agents */
	char label[32]; /* the trace's name without folder and ending; or "" */
	bool tty;
};

/* ---- sim_world.c: from options to points ---- */

/**
 * sim_world_load() - the lists, what contradicts itself, the zones.
 * Return: 0; -EINVAL for wrong usage; -errno.
 */
int sim_world_load(struct sim_world *w, struct km_diag *diag) KM_MUST_CHECK;

/** sim_world_open_trace() - survey --trace and choose how it is compressed. Return: 0; -errno. */
int sim_world_open_trace(struct sim_world *w, struct km_diag *diag) KM_MUST_CHECK;

/** sim_world_points() - @point[zones * loads * agents * policies], policies innermost. */
void sim_world_points(const struct sim_world *w, struct km_sim_point *point);

/* ---- sim_report.c: tables, warnings, JSON ---- */

/** sim_report_points() - print what was simulated. Return: an exit code. */
int sim_report_points(const struct sim_world *w, const struct km_sim_point *point, uint32_t nr);

/** sim_report_cells() - print an experiment. Return: an exit code. */
int sim_report_cells(const struct sim_world *w, const struct km_experiment_result *x);

#endif
