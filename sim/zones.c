/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/zones.c - the six built-in zones. The numbers are scripts/fit-sim.py's,
 * fitted on Protean's rows of the paper alone; see Documentation/sim.md.
 */
#include "sim/zone.h"

#define ZONE(zone_name, zone_seed, zone_types, zone_rate, zone_burst, zone_skew)                  \
	{                                                                                         \
		.name = zone_name, .seed = zone_seed, .types = zone_types, .rules = 12,           \
		.families = 24, .sizes = 40, .tenants = 8, .rate_per_s = zone_rate,               \
		.day_swing = 0.4, .burst_share = 0.1, .burst_s = 60, .burst_factor = zone_burst,  \
		.burst_types = 300, .batch_share = 0.3, .batch_mean = 6, .batch_gap_s = 0.05, .skew = zone_skew, .shift = 2, .repeat = 0.3, .recent = 64,     \
		.trade_s = 60, .cache_mib = 120000, .rule_mib = 4, .top_mib = 32,                 \
		.age_s = 3600, .idle_lag = 0, .hours = 24,                                        \
		.cost = {                                                                         \
			.miss_scale = 1, .hit_scale = 1, .correlation = 0.66,                     \
			.build_share = 0.15, .common_share = 0.2, .hit_floor = 0.1,               \
			.lag_ref = 2000, .lag_max = 20000, .noise = 0.2,                          \
		},                                                                                \
	}

const struct km_sim_zone km_sim_zones[] = {
	ZONE("zone1", 1, 500, 10, 2, 1.0),  ZONE("zone2", 2, 700, 10, 2, 1.0),
	ZONE("zone3", 3, 900, 10, 2, 1.0),  ZONE("zone4", 4, 1150, 10, 2, 1.0),
	ZONE("zone5", 5, 1400, 10, 2, 1.0), ZONE("zone6", 6, 1700, 13, 2, 1.0),
};

const uint32_t km_sim_zone_nr = KM_ARRAY_NR(km_sim_zones);
