/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/costs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "lib/rand.h"
#include "sim/costs_internal.h"
#include "sim/math.h"

const double km_cost_point_at[KM_COST_POINT_NR] = { 0, .05, .25, .5, .75, .95, .99, .999, 1 };

/* ---- figure 1 -------------------------------------------------------------- */

/*
 * Milliseconds, read off figure 1 at the middle five; the ends are ours: the
 * largest miss and its hit as stated, the least by going on as between the
 * two quantiles beside it.
 */
#define FIG1_NR 7
static const double fig1_at[FIG1_NR] = { 0, .05, .25, .5, .75, .95, 1 };
static const double fig1_miss_ms[FIG1_NR] = { 85, 111, 319, 567, 944, 1548, 2107 };
static const double fig1_hit_ms[FIG1_NR] = { 10, 15, 73, 127, 194, 401, 508 };

/* Linear in the logarithm between the points. */
static double fig1_ms(const double *ms, double u)
{
	double part;
	int i;

	for (i = 1; i < FIG1_NR - 1 && u > fig1_at[i]; i++)
		;
	part = (u - fig1_at[i - 1]) / (fig1_at[i] - fig1_at[i - 1]);
	return km_sim_exp(km_sim_ln(ms[i - 1]) * (1 - part) + km_sim_ln(ms[i]) * part);
}

/* The normal distribution function; error below 1e-5 (Abramowitz and Stegun 26.2.16). */
static double normal_share(double z)
{
	double a = z < 0 ? -z : z, t = 1 / (1 + 0.33267 * a);
	double upper = km_sim_exp(-a * a / 2) * 0.3989422804014327 * t *
		       (0.4361836 + t * (-0.1201676 + t * 0.9372980));

	return z < 0 ? upper : 1 - upper;
}

/* ---- drawn ----------------------------------------------------------------- */

static int check(const char *name, double value, double min, double max, struct km_diag *diag)
{
	if (value >= min && value <= max)
		return 0;
	return km_diag_set(diag, -EINVAL, "", 0, 0, "%s must be %g to %g", name, min, max);
}

static int check_drawn(const struct km_cost_drawn *d, struct km_diag *diag)
{
	const struct {
		const char *name;
		double value, min, max;
	} bound[] = {
		{ "miss_scale", d->miss_scale, 1e-6, 1e3 },
		{ "hit_scale", d->hit_scale, 1e-6, 1e3 },
		{ "correlation", d->correlation, 0, 1 },
		{ "build_share", d->build_share, 0, 0.9 },
		{ "common_share", d->common_share, 0, 1 },
		{ "hit_floor", d->hit_floor, 0, 1 },
		{ "lag_ref", d->lag_ref, 1, 1e9 },
		{ "lag_max", d->lag_max, 1, 1e9 },
		{ "noise", d->noise, 0, 2 },
	};
	uint32_t i;
	int err;

	for (i = 0; i < KM_ARRAY_NR(bound); i++) {
		err = check(bound[i].name, bound[i].value, bound[i].min, bound[i].max, diag);
		if (err)
			return err;
	}
	return 0;
}

static uint32_t most_used_trait(uint32_t rule_nr, const struct km_rule_desc *rules)
{
	uint32_t t, r, nr, most = 0, best = 0;

	for (t = 0; t < KM_TRAITS_MAX; t++) {
		nr = 0;
		for (r = 0; r < rule_nr; r++)
			nr += rules[r].traits >> t & 1;
		if (nr > most) {
			most = nr;
			best = t;
		}
	}
	return best;
}

/* Rules of one trait or none share common_share, the others the rest. */
static void share_out(struct km_costs *costs, const struct km_rule_desc *rules)
{
	double common = costs->drawn.common_share, left = 1 - costs->drawn.build_share;
	uint32_t r, common_nr = 0, other_nr;

	for (r = 0; r < costs->rule_nr; r++)
		common_nr += __builtin_popcount(rules[r].traits) < 2;
	other_nr = costs->rule_nr - common_nr;
	if (!common_nr)
		common = 0;
	if (!other_nr)
		common = 1;
	for (r = 0; r < costs->rule_nr; r++) {
		if (__builtin_popcount(rules[r].traits) < 2)
			costs->weight[r] = left * common / common_nr;
		else
			costs->weight[r] = left * (1 - common) / other_nr;
		costs->weight_q16[r] = (uint32_t)(costs->weight[r] * 65536);
		costs->rule_uses_family[r] = rules[r].traits >> costs->family & 1;
	}
}

/* Log-normal factors at even quantiles, with mean 1. */
static void fill_noise(struct km_costs *costs)
{
	double sum = 0, factor[KM_COST_NOISE_NR];
	uint32_t i;

	for (i = 0; i < KM_COST_NOISE_NR; i++) {
		factor[i] = km_sim_exp(costs->drawn.noise *
				       km_sim_normal_quantile((i + 0.5) / KM_COST_NOISE_NR));
		sum += factor[i];
	}
	for (i = 0; i < KM_COST_NOISE_NR; i++)
		costs->noise_q16[i] = (uint32_t)(factor[i] * KM_COST_NOISE_NR / sum * 65536);
}

static double lag_effect(double lag, double lag_max)
{
	return lag * lag_max / (lag + lag_max);
}

int km_costs_create_drawn(struct km_costs **out, const struct km_cost_drawn *drawn,
			  uint32_t rule_nr, const struct km_rule_desc *rules, uint64_t seed,
			  struct km_diag *diag)
{
	struct km_costs *costs;
	double mean = 0;
	int err = check_drawn(drawn, diag), i;

	if (err)
		return err;
	costs = calloc(1, sizeof(*costs));
	if (!costs)
		return -ENOMEM;
	costs->drawn = *drawn;
	costs->rule_nr = rule_nr;
	costs->seed = seed;
	costs->family = most_used_trait(rule_nr, rules);
	share_out(costs, rules);
	for (i = 0; i < 1000; i++)
		mean += fig1_ms(fig1_miss_ms, (i + 0.5) / 1000) / 1000;
	costs->miss_mean_ns = (uint64_t)(mean * drawn->miss_scale * 1e6);
	costs->lag_max = (uint64_t)drawn->lag_max;
	costs->floor_q32 = (uint64_t)(drawn->hit_floor * 4294967296.0);
	costs->slope_q32 = (uint64_t)((1 - drawn->hit_floor) * 4294967296.0 /
				      lag_effect(drawn->lag_ref, drawn->lag_max));
	fill_noise(costs);
	*out = costs;
	return 0;
}

void km_costs_destroy(struct km_costs *costs)
{
	if (!costs)
		return;
	free(costs->known);
	free(costs);
}

/* Consecutive values spread evenly (golden ratio), from any start. */
double km_cost_drawn_place(uint64_t seed, uint32_t value)
{
	uint64_t start = km_splitmix64(&seed);
	uint64_t at = start + value * UINT64_C(0x9e3779b97f4a7c15);

	return ((double)(at >> 11) + 0.5) * 0x1.0p-53;
}

static void fill_drawn(const struct km_costs *costs, const struct km_type *type,
		       struct km_cost_type *ct, uint64_t *miss_ns)
{
	const struct km_cost_drawn *d = &costs->drawn;
	double u = km_cost_drawn_place(costs->seed, type->trait[costs->family]);
	double miss = fig1_ms(fig1_miss_ms, u) * d->miss_scale * 1e6, z;
	uint64_t mix = costs->seed ^ type->hash;
	uint32_t r;

	z = d->correlation * km_sim_normal_quantile(u) +
	    sqrt(1 - d->correlation * d->correlation) *
		    km_sim_normal_quantile(((double)(km_splitmix64(&mix) >> 11) + 0.5) * 0x1.0p-53);
	ct->hit_ns = (uint64_t)(fig1_ms(fig1_hit_ms, normal_share(z)) * d->hit_scale * 1e6);
	ct->build_ns = (uint64_t)(miss * d->build_share);
	for (r = 0; r < costs->rule_nr; r++)
		miss_ns[r] = (uint64_t)(costs->weight[r] * (costs->rule_uses_family[r]
								    ? miss
								    : (double)costs->miss_mean_ns));
}

/* ---- one event ------------------------------------------------------------- */

static inline uint64_t with_noise(const struct km_costs *costs, uint64_t ns, uint32_t noise)
{
	ns = ns * costs->noise_q16[noise / (UINT32_MAX / KM_COST_NOISE_NR + 1)] >> 16;
	return ns ? ns : 1;
}

/* How a hit grows with the lag, as a fraction of 2^32: linear at first, then saturating. */
static inline uint64_t lag_factor_q32(const struct km_costs *costs, uint64_t lag)
{
	lag = km_min_u64(lag, UINT32_MAX);
	return costs->floor_q32 + lag * costs->lag_max / (lag + costs->lag_max) * costs->slope_q32;
}

static inline uint64_t lagged(const struct km_costs *costs, uint64_t ns, uint64_t lag)
{
	return (uint64_t)(((unsigned __int128)ns * lag_factor_q32(costs, lag)) >> 32);
}

/* By linear interpolation between the points. */
static uint64_t draw_ns(const struct km_cost_draw *draw, uint32_t noise)
{
	static const uint32_t at[KM_COST_POINT_NR] = {
		0,	    214748365,	1073741824, 2147483648, 3221225472,
		4080218931, 4252017623, 4290672329, UINT32_MAX,
	};
	uint64_t span, part, low, ns;
	uint32_t i;

	for (i = 1; i < KM_COST_POINT_NR - 1 && noise > at[i]; i++)
		;
	span = at[i] - at[i - 1];
	part = noise - at[i - 1];
	low = draw->point_ns[i - 1];
	ns = low + (uint64_t)((unsigned __int128)(draw->point_ns[i] - low) * part / span);
	return ns ? ns : 1;
}

/* Another draw of the same request: rules of one request vary apart. */
static uint32_t noise_of(uint32_t noise, uint32_t what)
{
	uint64_t mix = (uint64_t)what << 32 | noise;

	return (uint32_t)(km_splitmix64(&mix) >> 32);
}

static const struct km_cost_draw *hit_draw(const struct km_costs *costs,
					   const struct km_cost_type *ct)
{
	return ct->dist_idx == UINT32_MAX ? &costs->all_hits : &costs->known[ct->dist_idx].draw;
}

uint64_t km_cost_top_hit(const struct km_costs *costs, const struct km_cost_type *ct, uint64_t lag,
			 uint32_t noise)
{
	if (costs->recorded)
		return draw_ns(hit_draw(costs, ct), noise);
	return with_noise(costs, lagged(costs, ct->hit_ns, lag), noise);
}

uint64_t km_cost_rule_hit(const struct km_costs *costs, const struct km_cost_type *ct,
			  const uint64_t *miss_ns, uint32_t rule_idx, uint64_t lag, uint32_t noise)
{
	uint64_t ns;

	if (costs->recorded)
		return draw_ns(&costs->rule_hit[rule_idx], noise_of(noise, rule_idx));
	ns = lagged(costs, ct->hit_ns * costs->weight_q16[rule_idx] >> 16, lag);
	/* What is too far behind is evaluated anew. */
	return with_noise(costs, km_min_u64(ns, miss_ns[rule_idx]), noise);
}

uint64_t km_cost_rule_miss(const struct km_costs *costs, const uint64_t *miss_ns, uint32_t rule_idx,
			   uint32_t noise)
{
	if (costs->recorded)
		return draw_ns(&costs->rule_miss[rule_idx],
			       noise_of(noise, rule_idx + KM_RULES_MAX));
	return with_noise(costs, miss_ns[rule_idx], noise);
}

uint64_t km_cost_build(const struct km_costs *costs, const struct km_cost_type *ct, uint32_t noise)
{
	if (costs->recorded)
		return draw_ns(&costs->build, noise_of(noise, 2 * KM_RULES_MAX));
	return with_noise(costs, ct->build_ns, noise);
}

uint64_t km_cost_handover(const struct km_costs *costs, enum km_handover what, bool asks,
			  uint32_t noise)
{
	const struct km_cost_draw *draw = &costs->handover[asks][what];

	if (!draw->mean_ns)
		return 0;
	return draw_ns(draw, noise_of(noise, 2 * KM_RULES_MAX + 1 + what));
}

/* ---- recorded -------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
	const struct km_cost_known *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static const struct km_cost_known *find(const struct km_costs *costs, uint64_t hash)
{
	const struct km_cost_known key = { .hash = hash };

	if (!costs->known_nr)
		return NULL;
	return bsearch(&key, costs->known, costs->known_nr, sizeof(key), by_hash);
}

bool km_costs_knows(const struct km_costs *costs, uint64_t hash)
{
	return !costs->recorded || find(costs, hash);
}

uint64_t km_costs_rule_bytes(const struct km_costs *costs, uint32_t rule_idx)
{
	return costs->rule_bytes[rule_idx];
}

uint64_t km_costs_top_bytes(const struct km_costs *costs)
{
	return costs->top_bytes;
}

bool km_costs_hand_over(const struct km_costs *costs)
{
	uint32_t i;

	/* Either both kinds of queue have a distribution or none has: see finish(). */
	for (i = 0; i < KM_HANDOVER_NR; i++)
		if (costs->handover[0][i].mean_ns)
			return true;
	return false;
}

void km_cost_type_fill(const struct km_costs *costs, const struct km_type *type,
		       struct km_cost_type *ct, uint64_t *miss_ns)
{
	const struct km_cost_known *known;
	uint32_t r;

	ct->gen = type->key.gen;
	ct->dist_idx = UINT32_MAX;
	if (!costs->recorded) {
		fill_drawn(costs, type, ct, miss_ns);
		return;
	}
	known = find(costs, type->hash);
	if (known && known->draw.mean_ns)
		ct->dist_idx = (uint32_t)(known - costs->known);
	ct->hit_ns = hit_draw(costs, ct)->mean_ns;
	ct->build_ns = costs->build.mean_ns;
	for (r = 0; r < costs->rule_nr; r++)
		miss_ns[r] = costs->rule_miss[r].mean_ns;
}

/* Scale the points so that the distribution between them has the recorded mean. */
void km_cost_draw_init(struct km_cost_draw *draw, const struct km_cost_dist *dist,
		       uint64_t fallback_ns)
{
	double mean = 0, scale;
	uint32_t i;

	draw->mean_ns = dist->nr ? dist->mean_ns : fallback_ns;
	for (i = 0; i < KM_COST_POINT_NR; i++)
		draw->point_ns[i] = fallback_ns;
	if (!dist->nr)
		return;
	for (i = 1; i < KM_COST_POINT_NR; i++)
		mean += (km_cost_point_at[i] - km_cost_point_at[i - 1]) *
			((double)dist->point_ns[i] + (double)dist->point_ns[i - 1]) / 2;
	scale = mean > 0 ? (double)dist->mean_ns / mean : 1;
	for (i = 0; i < KM_COST_POINT_NR; i++)
		draw->point_ns[i] = (uint64_t)((double)dist->point_ns[i] * scale);
}
