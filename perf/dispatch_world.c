/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_world.c - made-up types: eight traits of a few values each,
 * rules that use one to four of them, popularity by Zipf's law.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/dispatch_internal.h"

/* Drawn once, so that a draw in a round is one load. */
#define DRAWN_NR_MIN 65536u
/* Traces repeat types soon; with this exponent 64 of 1,700 types are half of the requests. */
#define ZIPF 0.9

static uint32_t power(uint32_t base, uint32_t exp)
{
	uint64_t value = 1;

	while (exp--)
		value *= base;
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int draw_types(struct bench_world *w, uint64_t seed)
{
	double *sum = malloc(w->type_nr * sizeof(*sum)), all = 0, point;
	uint32_t i, low, high, middle;
	struct km_rand rand;

	w->drawn_nr = (uint32_t)km_pow2_up(km_max_u64(DRAWN_NR_MIN, 8ull * w->type_nr));
	w->drawn = malloc(w->drawn_nr * sizeof(*w->drawn));
	if (!sum || !w->drawn) {
		free(sum);
		return -ENOMEM;
	}
	for (i = 0; i < w->type_nr; i++)
		sum[i] = all += pow(i + 1.0, -ZIPF);
	km_rand_init(&rand, seed);
	for (i = 0; i < w->drawn_nr; i++) {
		point = km_rand_unit(&rand) * all;
		for (low = 0, high = w->type_nr - 1; low < high;) {
			middle = (low + high) / 2;
			if (sum[middle] < point)
				low = middle + 1;
			else
				high = middle;
		}
		w->drawn[i] = low;
	}
	free(sum);
	return 0;
}

/* Rules use one to four traits each; the last one those that no other uses. */
static void make_rules(struct bench_world *w, bool named_only)
{
	const uint32_t all = (1u << BENCH_TRAIT_NR) - 1;
	uint32_t r, k, arity, traits, used = 0;

	for (r = 0; r < w->rule_nr; r++) {
		arity = named_only ? BENCH_TRAIT_NR : 1 + r % 4;
		for (traits = 0, k = 0; k < arity; k++)
			traits |= 1u << ((r * 3 + k) % BENCH_TRAIT_NR);
		used |= traits;
		if (r == w->rule_nr - 1)
			traits |= ~used & all;
		snprintf(w->name[r], sizeof(w->name[r]), "rule%u", r);
		w->rule[r] = (struct km_rule_desc){ .name = w->name[r], .traits = traits };
	}
}

void bench_world_size(struct bench_world *w, uint32_t type_nr, uint32_t rule_nr)
{
	uint64_t objs = 0;
	uint32_t r;

	memset(w, 0, sizeof(*w));
	w->type_nr = type_nr;
	w->rule_nr = rule_nr ? rule_nr : 1; /* one rule that names the types; the view has none */
	w->value_nr = 2;
	while (power(w->value_nr, BENCH_TRAIT_NR) / 4 < type_nr)
		w->value_nr++;
	make_rules(w, !rule_nr);
	for (r = 0; r < w->rule_nr; r++)
		objs += km_min_u64(power(w->value_nr,
					 (uint32_t)__builtin_popcount(w->rule[r].traits)),
				   type_nr);
	w->obj_cap = (uint32_t)(objs + 2 * w->rule_nr);
}

int bench_world_init(struct bench_world *w, uint32_t type_nr, uint32_t rule_nr, uint64_t seed)
{
	static const uint64_t class_bytes[1] = { 1 };

	bench_world_size(w, type_nr, rule_nr);
	w->workload = (struct km_workload){
		.name = "bench",
		.trait_nr = BENCH_TRAIT_NR,
		.rule_nr = w->rule_nr,
		.rules = w->rule,
		.class_nr = 1,
		.class_bytes = class_bytes,
		.part_nr_max = 1,
	};
	return draw_types(w, seed);
}

void bench_world_fini(struct bench_world *w)
{
	free(w->drawn);
}

void bench_world_traits(const struct bench_world *w, uint32_t i, uint32_t *trait)
{
	uint32_t t, digit, carry = 0;

	/*
	 * The digits of i to base value_nr, each plus those below: distinct for
	 * distinct i, and near numbers differ in many traits.
	 */
	for (t = 0; t < BENCH_TRAIT_NR; t++) {
		digit = i % w->value_nr;
		i /= w->value_nr;
		carry = (carry + digit) % w->value_nr;
		trait[t] = carry;
	}
}

/* Around 1: a half to one and a half. */
static double spread(struct km_rand *rand)
{
	return 0.5 + km_rand_unit(rand);
}

struct km_estimates *bench_world_estimates(uint32_t type_cap, uint32_t view_rule_nr,
					   uint64_t mean_ns, uint64_t seed)
{
	/*
	 * Nine in ten hit on top; bringing an object up to date takes a seventh of
	 * evaluating it, and a hit on top about what its rules' objects take: the
	 * mean is 0.2 misses.
	 */
	const double miss = (double)mean_ns / 0.2, rule = miss / (view_rule_nr + 1);
	struct km_estimates *est;
	struct km_rand rand;
	uint32_t i;

	est = calloc(1, sizeof(*est) + type_cap * sizeof(uint64_t));
	if (!est)
		return NULL;
	km_rand_init(&rand, seed);
	est->type_hit_ns = (uint64_t *)(est + 1);
	est->type_cap = type_cap;
	est->rule_nr = view_rule_nr;
	est->build_ns = (uint64_t)rule;
	est->miss_all_ns = est->hit_all_ns = est->build_ns;
	for (i = 0; i < view_rule_nr; i++) {
		est->rule_miss_ns[i] = (uint64_t)(rule * spread(&rand));
		est->rule_hit_ns[i] = (uint64_t)(rule * spread(&rand) / 7);
		est->miss_all_ns += est->rule_miss_ns[i];
		est->hit_all_ns += est->rule_hit_ns[i];
	}
	for (i = 0; i < type_cap; i++)
		est->type_hit_ns[i] = (uint64_t)(miss / 7 * (0.7 + 0.6 * km_rand_unit(&rand)));
	km_estimates_sum(est);
	return est;
}
