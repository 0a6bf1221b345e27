/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/costs_internal.h - what the model of costs and its file share.
 */
#ifndef KM_SIM_COSTS_INTERNAL_H
#define KM_SIM_COSTS_INTERNAL_H

#include "sim/costs.h"

#define KM_COST_NOISE_NR 1024

/* A distribution ready to draw from: the points scaled so that the mean is kept. */
struct km_cost_draw {
	uint64_t point_ns[KM_COST_POINT_NR];
	uint64_t mean_ns;
};

struct km_cost_known {
	uint64_t hash;
	struct km_cost_draw draw;
};

struct km_costs {
	uint32_t rule_nr;
	bool recorded;

	/* drawn */
	struct km_cost_drawn drawn;
	uint32_t family; /* the trait that most rules use */
	uint64_t seed;
	uint32_t rule_uses_family[KM_RULES_MAX];
	double weight[KM_RULES_MAX]; /* of a full miss; with the build they sum to 1 */
	uint32_t weight_q16[KM_RULES_MAX];
	uint64_t miss_mean_ns;
	uint64_t floor_q32, slope_q32, lag_max; /* see lag_factor() */
	uint32_t noise_q16[KM_COST_NOISE_NR];

	/* recorded */
	struct km_cost_draw rule_hit[KM_RULES_MAX], rule_miss[KM_RULES_MAX], build, all_hits;
	struct km_cost_draw handover[2][KM_HANDOVER_NR]; /* [asks]; points of 0 = not recorded */
	uint64_t rule_bytes[KM_RULES_MAX], top_bytes;
	struct km_cost_known *known; /* [known_nr] by hash */
	size_t known_nr;
};

/* Quantiles of the points. */
extern const double km_cost_point_at[KM_COST_POINT_NR];

void km_cost_draw_init(struct km_cost_draw *draw, const struct km_cost_dist *dist,
		       uint64_t fallback_ns);

#endif
