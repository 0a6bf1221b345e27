/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/zone.h - a made-up zone: which types there are, how often and when they
 * come, what caches and times it has.
 *
 * Requests come as a Poisson process whose rate follows the hour, plus bursts:
 * for a while requests of some of the rarer types come on top. Outside of bursts
 * a request repeats a recent one's type or takes a type by popularity, and
 * popularity wanders: now and then two types trade places.
 *
 * The six built-in zones and their fit: Documentation/sim.md.
 */
#ifndef KM_SIM_ZONE_H
#define KM_SIM_ZONE_H

#include "lib/diag.h"
#include "sim/costs.h"
#include "sim/source.h"

struct km_sim_zone {
	char name[32];
	uint64_t seed; /* of what the zone is: types, popularity, costs */

	uint32_t types;
	uint32_t rules; /* 1..KM_RULES_MAX */
	uint32_t families, sizes, tenants; /* values of the large traits */

	double rate_per_s; /* of the whole day on average, bursts included */
	double day_swing; /* the hour's rate goes from 1 - swing to 1 + swing, 0..0.95 */
	double burst_share; /* of the time, 0..0.9 */
	double burst_s; /* mean length */
	double burst_factor; /* what comes on top, in units of the rate without */
	uint32_t burst_types; /* of one burst, picked evenly among the rarer ones */
	double burst_rare; /* share of the types, from the rarest, that bursts are of; 1 = all */
	double batch_share; /* of the batches have more than one request, 0..1 */
	double batch_mean; /* requests of those, 2.. */
	double batch_gap_s; /* between the requests of a batch, on average */
	double skew; /* popularity falls as (rank + shift)^-skew */
	double shift;
	double repeat; /* share that repeats a recent type, 0..0.99 */
	uint32_t recent; /* so many requests count as recent */
	double popular_cost; /* correlation of popularity and cost of a miss, by type, 0..1 */
	double trade_s; /* two types trade places every so often; 0 = never */

	double cache_mib; /* of all agents of a node together */
	double rule_mib, top_mib; /* of one cached object */
	double age_s; /* unused for longer is evicted; 0 = never */
	uint32_t idle_lag; /* background update behind so many changes; 0 = none */
	double hours; /* length of the day */

	struct km_cost_drawn cost;
};

/* The built-in zones, the fit's. */
extern const struct km_sim_zone km_sim_zones[];
extern const uint32_t km_sim_zone_nr;

/** km_sim_zone_find() - a built-in zone by name, or NULL. */
const struct km_sim_zone *km_sim_zone_find(const char *name);

/** km_sim_zone_check() - Return: 0; -EINVAL with the parameter and its bounds. */
int km_sim_zone_check(const struct km_sim_zone *zone, struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_sim_zone_rules() - descriptions of a zone's rules.
 * Return: [zone->rules], static.
 */
const struct km_rule_desc *km_sim_zone_rules(void);

#define KM_SIM_ZONES_MAX 64

/**
 * km_sim_zones_load() - read a zone file ("[NAME]" and "key = value" lines).
 * A key that a zone leaves out keeps the value of the zone before, the first
 * one's that of the built-in zone 1.
 * @zone: room for KM_SIM_ZONES_MAX.
 * Return: how many; -EINVAL with line and reason; -errno.
 */
int km_sim_zones_load(struct km_sim_zone *zone, const char *path,
		      struct km_diag *diag) KM_MUST_CHECK;

/** km_sim_zone_set() - one key by name. Return: 0; -EINVAL with the reason. */
int km_sim_zone_set(struct km_sim_zone *zone, const char *key, const char *value,
		    struct km_diag *diag) KM_MUST_CHECK;

/** km_sim_zone_print() - @zone as km_sim_zones_load() reads it. */
void km_sim_zone_print(const struct km_sim_zone *zone, FILE *to);

/**
 * km_sim_zone_open() - the stream of a day's requests.
 * @load: rates are multiplied by it, > 0.
 * @seed: of this day; the zone itself follows zone->seed.
 * Return: 0; -EINVAL (more types than trait values make, ...); -ENOMEM.
 */
int km_sim_zone_open(struct km_source **out, const struct km_sim_zone *zone, double load,
		     uint64_t seed, struct km_diag *diag) KM_MUST_CHECK;

#endif
