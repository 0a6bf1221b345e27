/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/experiment.h - the paper's evaluation, cell by cell: ours beside theirs.
 */
#ifndef KM_SIM_EXPERIMENT_H
#define KM_SIM_EXPERIMENT_H

#include "sim/sweep.h"

/* One number. */
struct km_cell {
	const char *figure, *row;
	char column[32], row_text[24]; /* row points at row_text where it is no name */
	double ours;
	double paper; /* NAN = the paper does not say */
};

struct km_experiment_cfg {
	const struct km_sim_zone *zone; /* [zone_nr] */
	uint32_t zone_nr;
	uint64_t seed;
	const struct km_policy *const *policy; /* [policy_nr] rows of others are left out */
	uint32_t policy_nr; /* 0 = all rows */
	const double *agents; /* [agents_nr] figure 2's rows of other numbers are left out */
	uint32_t agents_nr; /* 0 = all rows */
	uint32_t thread_nr; /* 0 = all cores */
	bool check;
	struct km_sweep_progress progress;
};

struct km_experiment_result {
	struct km_cell *cell;
	uint32_t cell_nr;
	uint32_t point_nr; /* simulations */
	uint64_t request_nr; /* simulated in all */
	uint64_t refused_nr;
	double core_s; /* summed over the simulations */
};

/**
 * km_experiment_check() - @names: figures, separated by commas, or "all".
 * Return: 0; -EINVAL for an unknown name (suggested).
 */
int km_experiment_check(const char *names, struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_experiment_run() - run them; @names: as km_experiment_check() takes them.
 * @out: release with km_experiment_fini().
 * Return: 0; -EINVAL for an unknown name (suggested); a simulation's error.
 */
int km_experiment_run(struct km_experiment_result *out, const char *names,
		      const struct km_experiment_cfg *cfg, struct km_diag *diag) KM_MUST_CHECK;

/** km_experiment_fini() - free what km_experiment_run() filled. */
void km_experiment_fini(struct km_experiment_result *result);

#endif
