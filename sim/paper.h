/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/paper.h - what the paper states or shows, to set ours beside.
 *
 * Source: Domingo et al., "Kamino: Efficient VM Allocation at Scale with
 * Latency-Driven Cache-Aware Scheduling", OSDI '25. Figures are read off, with an
 * error of about half a unit.
 */
#ifndef KM_SIM_PAPER_H
#define KM_SIM_PAPER_H

#include "core/policy.h"

#define KM_FIG1_NR 5
extern const double km_paper_fig1_at[KM_FIG1_NR];
extern const char *const km_paper_fig1_column[KM_FIG1_NR];
extern const struct km_paper_fig1 {
	const char *row;
	double value[KM_FIG1_NR];
} km_paper_fig1[3]; /* miss, hit, ratio */

#define KM_FIG2_NR 7
extern const struct km_paper_fig2 {
	uint32_t agents;
	double wait, processing, hit_pct;
} km_paper_fig2[KM_FIG2_NR];

/* Table 3 and figures 6 and 8. NAN where the paper gives nothing. */
#define KM_PAPER_POLICY_NR 6
extern const struct km_paper_policy {
	const struct km_policy *policy;
	double hit_pct, hit_pct_sd, memory, memory_sd;
	double average[6], p90[6]; /* min, q1, median, q3, max, mean */
	double wait, processing;
} km_paper_policy[KM_PAPER_POLICY_NR];

#define KM_FIG9A_NR 4
#define KM_FIG9A_ROWS 4
#define KM_FIG9B_NR 5
#define KM_FIG9B_ROWS 3
#define KM_FIG9C_NR 8
#define KM_FIG9C_ROWS 3

struct km_paper_row {
	const struct km_policy *policy;
	double value[8];
};

extern const double km_paper_fig9a_at[KM_FIG9A_NR], km_paper_fig9b_at[KM_FIG9B_NR],
	km_paper_fig9c_at[KM_FIG9C_NR];
extern const struct km_paper_row km_paper_fig9a[KM_FIG9A_ROWS], km_paper_fig9b[KM_FIG9B_ROWS],
	km_paper_fig9c[KM_FIG9C_ROWS];

#endif
