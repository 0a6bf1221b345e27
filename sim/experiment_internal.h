/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/experiment_internal.h - what the figures ask with and answer through.
 *
 * Each figure is one function that asks for results by what they are of. It runs
 * twice: first exp_get() only takes note of what is wanted, then, when all of that
 * has been simulated, it hands it out and exp_put() keeps cells. Figures share
 * simulations.
 */
#ifndef KM_SIM_EXPERIMENT_INTERNAL_H
#define KM_SIM_EXPERIMENT_INTERNAL_H

#include "sim/experiment.h"

struct exp {
	const struct km_experiment_cfg *cfg;
	bool planning;
	struct km_sim_point *point;
	uint32_t point_nr, point_room;
	struct km_cell *cell;
	uint32_t cell_nr, cell_room;
	struct km_sim_result none;
	int err;
};

/* What sets one simulation apart from the plain one. */
struct how {
	uint32_t agent_nr;
	double load, cache;
	bool no_in_service, accuracy;
};

extern const struct how exp_plain; /* four agents, load and cache as they are */

/* Whether rows of @policy are asked for. */
bool exp_wants(const struct exp *x, const struct km_policy *policy);
/* What came out; while planning one without requests. */
const struct km_sim_result *exp_get(struct exp *x, uint32_t zone_idx,
				    const struct km_policy *policy, const struct how *how);
/* Keep one number; nothing while planning. */
void exp_put(struct exp *x, const char *figure, const char *row, const char *column, double ours,
	     double paper);

/* In % of the requests; the 90th percentile of latency. */
double exp_hit_pct(const struct km_sim_result *r);
double exp_p90(const struct km_sim_result *r);

/* The figures, in sim/figures.c and sim/order.c. */
void exp_fig1(struct exp *x);
void exp_fig2(struct exp *x);
void exp_fig6(struct exp *x);
void exp_fig7(struct exp *x);
void exp_fig8(struct exp *x);
void exp_fig9a(struct exp *x);
void exp_fig9b(struct exp *x);
void exp_fig9c(struct exp *x);
void exp_table3(struct exp *x);
void exp_accuracy(struct exp *x);
void exp_rivals(struct exp *x);
void exp_order(struct exp *x);

#endif
