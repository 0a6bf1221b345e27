/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/zone.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rand.h"
#include "sim/math.h"

#define NS 1000000000.0
#define SEGMENT_NS UINT64_C(60000000000) /* the hour's rate is constant for a minute */

/* ---- what a zone is -------------------------------------------------------- */

enum { FAMILY, SIZE, DISK, NET, PRIORITY, PLACE, TENANT, TRAIT_NR };

/* Values of the small traits. */
#define DISK_NR 3
#define NET_NR 3
#define PRIORITY_NR 3
#define PLACE_NR 4

#define USES(a) (1u << (a))
#define USES2(a, b) (USES(a) | USES(b))
#define USES3(a, b, c) (USES2(a, b) | USES(c))

/* Twelve, told apart by their traits; a zone of more rules repeats the pattern. */
#define PATTERN(n)                                                                             \
	{ "family-" n, USES(FAMILY) }, { "fits-" n, USES2(FAMILY, SIZE) },                     \
		{ "capacity-" n, USES(SIZE) }, { "disk-" n, USES2(FAMILY, DISK) },             \
		{ "network-" n, USES2(FAMILY, NET) }, { "priority-" n, USES(PRIORITY) },       \
		{ "headroom-" n, USES2(FAMILY, PRIORITY) }, { "place-" n, USES(PLACE) },       \
		{ "spread-" n, USES2(PLACE, SIZE) }, { "affinity-" n, USES2(FAMILY, TENANT) }, \
		{ "isolation-" n, USES(TENANT) },                                              \
	{                                                                                      \
		"packing-" n, USES3(FAMILY, SIZE, DISK)                                        \
	}

static const struct km_rule_desc rule_descs[] = {
	PATTERN("1"), PATTERN("2"), PATTERN("3"), PATTERN("4"), PATTERN("5"), PATTERN("6"),
};
static_assert(KM_ARRAY_NR(rule_descs) >= KM_RULES_MAX, "a description for each rule");

const struct km_rule_desc *km_sim_zone_rules(void)
{
	return rule_descs;
}

const struct km_sim_zone *km_sim_zone_find(const char *name)
{
	uint32_t i;

	for (i = 0; i < km_sim_zone_nr; i++)
		if (!strcmp(km_sim_zones[i].name, name))
			return &km_sim_zones[i];
	return NULL;
}

/* ---- the stream ------------------------------------------------------------ */

#define EXP_NR 4096
/* Batches under way at a time; the next comes at once and whole. */
#define BATCH_NR 64
/* Mostly there are no more: who is first of them is found without a branch. */
#define BATCH_FEW 4
#define NEVER UINT64_MAX

/* A draw by weight in one look (Walker's alias method). */
struct alias {
	uint32_t below; /* of 2^32: the cell's own share */
	uint32_t other;
};

/* Requests of one type that come shortly after one another. */
struct batch {
	uint64_t next_ns; /* NEVER where there is none */
	uint32_t type_idx;
	uint64_t left; /* so wide that nobody reads two fields at once which were written apart */
};

struct zone_source {
	struct km_source source;
	struct km_sim_zone zone;
	struct km_rand rand;
	double base_per_ns, load; /* without bursts, at the day's mean */
	uint64_t now_ns, end_ns; /* now: of the next batch's start; NEVER = no more */
	struct batch batch[BATCH_NR];
	uint32_t batch_nr, first; /* under way; the one whose request is next */
	uint32_t multi_below; /* of 2^16: batches of more than one */
	uint32_t more_below; /* of 2^16: that go on after the second, third, ... */

	uint64_t segment_end_ns; /* the rate is constant until then */
	double per_ns; /* now, all in all */
	uint32_t burst_below; /* of 2^16: arrivals that are the burst's */
	bool burst_on;
	uint64_t burst_switch_ns;
	uint32_t *burst_type; /* [zone.burst_types] */

	uint64_t trade_ns; /* the next trade of places */
	uint32_t repeat_below; /* of 2^16 */
	uint32_t *recent; /* [zone.recent] types */
	uint32_t recent_at;
	uint32_t *type_of_rank;
	struct alias *alias;
	uint32_t (*trait)[TRAIT_NR];
	double exp_edge[EXP_NR];
};

static void fill_exp(struct zone_source *s)
{
	uint32_t i;

	for (i = 0; i < EXP_NR; i++)
		s->exp_edge[i] = -km_sim_ln(1 - (double)i / EXP_NR);
}

/* Mean 1. The last cell goes on as another draw: an exponential has no memory. */
static double draw_exp(struct zone_source *s, uint64_t bits)
{
	double add = 0, part;
	uint32_t i = (uint32_t)(bits >> 52);

	while (i == EXP_NR - 1) {
		add += s->exp_edge[EXP_NR - 1];
		bits = km_rand_u64(&s->rand);
		i = (uint32_t)(bits >> 52);
	}
	part = (double)(bits >> 28 & 0xffffff) * 0x1.0p-24;
	return add + s->exp_edge[i] + part * (s->exp_edge[i + 1] - s->exp_edge[i]);
}

static uint64_t draw_span_ns(struct zone_source *s, double mean_s)
{
	return (uint64_t)(draw_exp(s, km_rand_u64(&s->rand)) * mean_s * NS) + 1;
}

static uint32_t draw_rank(const struct zone_source *s, uint32_t bits)
{
	uint64_t at = (uint64_t)bits * s->zone.types;
	const struct alias cell = s->alias[at >> 32];

	return (uint32_t)at < cell.below ? (uint32_t)(at >> 32) : cell.other;
}

/* From 1 - swing at midnight up to 1 + swing at noon and down again; a short day is all of it. */
static double hour_factor(const struct zone_source *s)
{
	double at = (double)s->now_ns / (double)s->end_ns, saw;

	at -= (double)(uint64_t)at;
	saw = at < 0.5 ? 4 * at - 1 : 3 - 4 * at;
	/* Rounder than a saw: the cubic that is flat at both ends. */
	return 1 + s->zone.day_swing * saw * (1.5 - 0.5 * saw * saw);
}

static void switch_burst(struct zone_source *s)
{
	const struct km_sim_zone *zone = &s->zone;
	uint32_t i, rare = (uint32_t)(zone->burst_rare * zone->types);
	double span_s;

	s->burst_on = !s->burst_on;
	/* From half to one and a half of the mean: the longest of bursts would rule all waits. */
	span_s = (0.5 + km_rand_unit(&s->rand)) * zone->burst_s;
	if (!s->burst_on)
		span_s *= (1 - zone->burst_share) / zone->burst_share;
	s->burst_switch_ns = s->now_ns + (uint64_t)(span_s * NS) + 1;
	if (!s->burst_on)
		return;
	for (i = 0; i < zone->burst_types; i++)
		s->burst_type[i] =
			s->type_of_rank[zone->types - 1 - km_rand_below(&s->rand, rare ? rare : 1)];
}

static void trade_places(struct zone_source *s)
{
	uint32_t a = (uint32_t)km_rand_below(&s->rand, s->zone.types);
	uint32_t b = (uint32_t)km_rand_below(&s->rand, s->zone.types);
	uint32_t type = s->type_of_rank[a];

	s->type_of_rank[a] = s->type_of_rank[b];
	s->type_of_rank[b] = type;
	s->trade_ns = s->now_ns + draw_span_ns(s, s->zone.trade_s);
}

/* Whatever is due now; then the rate until the next such moment. */
static void next_segment(struct zone_source *s)
{
	double calm, burst;

	if (s->burst_switch_ns <= s->now_ns)
		switch_burst(s);
	while (s->trade_ns <= s->now_ns)
		trade_places(s);
	calm = s->base_per_ns * hour_factor(s) * s->load;
	burst = s->burst_on ? calm * s->zone.burst_factor : 0;
	s->per_ns = calm + burst;
	s->burst_below = (uint32_t)(burst / s->per_ns * 65536);
	s->segment_end_ns = (s->now_ns / SEGMENT_NS + 1) * SEGMENT_NS;
	s->segment_end_ns = km_min_u64(s->segment_end_ns, s->burst_switch_ns);
	s->segment_end_ns = km_min_u64(s->segment_end_ns, s->trade_ns);
}

static void advance(struct zone_source *s, uint64_t bits)
{
	double left = draw_exp(s, bits), fits;

	for (;;) {
		fits = (double)(s->segment_end_ns - s->now_ns) * s->per_ns;
		if (left < fits) {
			s->now_ns += (uint64_t)(left / s->per_ns);
			return;
		}
		left -= fits;
		s->now_ns = s->segment_end_ns;
		next_segment(s);
		if (s->now_ns >= s->end_ns)
			return;
	}
}

static uint32_t draw_type(struct zone_source *s)
{
	uint64_t bits = km_rand_u64(&s->rand);
	uint32_t coin = (uint32_t)(bits & 0xffff), pick = (uint32_t)(bits >> 32);
	uint32_t again, by_rank, type;

	if (s->burst_on && (bits >> 16 & 0xffff) < s->burst_below)
		return s->burst_type[(uint64_t)pick * s->zone.burst_types >> 32];
	/* Both, as nobody can guess which. */
	again = s->recent[(uint64_t)pick * s->zone.recent >> 32];
	by_rank = s->type_of_rank[draw_rank(s, pick)];
	type = coin < s->repeat_below ? again : by_rank;
	s->recent[s->recent_at] = type;
	s->recent_at = s->recent_at + 1 == s->zone.recent ? 0 : s->recent_at + 1;
	return type;
}

static uint32_t draw_batch_size(struct zone_source *s)
{
	uint64_t bits = km_rand_u64(&s->rand);
	uint32_t nr = 1;

	if ((bits & 0xffff) >= s->multi_below)
		return 1;
	do {
		nr++;
		bits = km_rand_u64(&s->rand);
	} while ((bits & 0xffff) < s->more_below && nr < 10000);
	return nr;
}

/* Of those at the same time the one of the least index. */
static void find_first(struct zone_source *s)
{
	const struct batch *batch = s->batch;
	uint32_t a = batch[1].next_ns < batch[0].next_ns, i;
	uint32_t b = 2 + (batch[3].next_ns < batch[2].next_ns);

	s->first = batch[b].next_ns < batch[a].next_ns ? b : a;
	for (i = BATCH_FEW; i < s->batch_nr; i++)
		if (batch[i].next_ns < batch[s->first].next_ns)
			s->first = i;
}

static void end_day(struct zone_source *s)
{
	if (s->now_ns >= s->end_ns)
		s->now_ns = NEVER;
}

/* The batch that now begins is under way; then the next one's time. */
static void begin_batch(struct zone_source *s)
{
	const uint32_t at = s->batch_nr++;

	s->batch[at].next_ns = s->now_ns;
	s->batch[at].type_idx = draw_type(s);
	s->batch[at].left = s->multi_below ? draw_batch_size(s) : 1;
	if (s->batch[at].next_ns < s->batch[s->first].next_ns)
		s->first = at;
	advance(s, km_rand_u64(&s->rand));
	end_day(s);
}

/* The last takes its place; mostly it is the last. */
static void remove_first(struct zone_source *s)
{
	struct batch *first = &s->batch[s->first], *last = &s->batch[--s->batch_nr];

	first->next_ns = last->next_ns;
	first->type_idx = last->type_idx;
	first->left = last->left;
	last->next_ns = NEVER;
}

static void take_one(struct zone_source *s, struct km_arrival *arrival)
{
	struct batch *batch = &s->batch[s->first];
	uint64_t bits = km_rand_u64(&s->rand);

	arrival->at_ns = batch->next_ns;
	arrival->type_idx = batch->type_idx;
	arrival->trait = s->trait[arrival->type_idx];
	arrival->noise = (uint32_t)bits;
	arrival->is_delete = false;
	if (--batch->left)
		batch->next_ns += (uint64_t)(draw_exp(s, bits) * s->zone.batch_gap_s * NS);
	else
		remove_first(s);
	find_first(s);
}

static bool next_one(struct zone_source *s, struct km_arrival *arrival)
{
	while (s->now_ns <= s->batch[s->first].next_ns && s->now_ns != NEVER &&
	       s->batch_nr < BATCH_NR)
		begin_batch(s);
	if (!s->batch_nr)
		return false;
	take_one(s, arrival);
	/* A start that found no room is late by then. */
	if (s->batch_nr == BATCH_NR - 1 && s->now_ns < arrival->at_ns)
		s->now_ns = arrival->at_ns;
	return true;
}

static int zone_next(struct km_source *source, struct km_arrival *arrival, uint32_t nr,
		     struct km_diag *diag)
{
	uint32_t got = 0;

	(void)diag;
	while (got < nr && next_one((struct zone_source *)source, &arrival[got]))
		got++;
	return (int)got;
}

/* ---- building it ----------------------------------------------------------- */

static void zone_destroy(struct km_source *source)
{
	struct zone_source *s = (struct zone_source *)source;

	free(s->trait);
	free(s->alias);
	free(s->type_of_rank);
	free(s->burst_type);
	free(s->recent);
	free(s);
}

/* Small values are more common. */
static uint32_t draw_value(struct km_rand *rand, uint32_t nr)
{
	double u = km_rand_unit(rand);

	return (uint32_t)(u * u * nr);
}

static void draw_traits(const struct km_sim_zone *zone, struct km_rand *rand, uint32_t *trait)
{
	trait[FAMILY] = draw_value(rand, zone->families);
	trait[SIZE] = draw_value(rand, zone->sizes);
	trait[DISK] = draw_value(rand, DISK_NR);
	trait[NET] = draw_value(rand, NET_NR);
	trait[PRIORITY] = draw_value(rand, PRIORITY_NR);
	trait[PLACE] = draw_value(rand, PLACE_NR);
	trait[TENANT] = draw_value(rand, zone->tenants);
}

static uint64_t mix_traits(const uint32_t *trait)
{
	uint64_t mix = 0;
	uint32_t t;

	for (t = 0; t < TRAIT_NR; t++) {
		mix += trait[t];
		mix = km_splitmix64(&mix);
	}
	return mix;
}

/* Whether no type below @nr has the traits of type @nr; then it is in @set, by hash. */
static bool add_if_new(const struct zone_source *s, uint32_t nr, uint32_t *set, uint32_t mask)
{
	uint32_t at = (uint32_t)mix_traits(s->trait[nr]) & mask;

	for (; set[at]; at = (at + 1) & mask)
		if (!memcmp(s->trait[set[at] - 1], s->trait[nr], sizeof(s->trait[nr])))
			return false;
	set[at] = nr + 1;
	return true;
}

/* Distinct trait vectors: draw until there are enough. */
static int make_types(struct zone_source *s, struct km_rand *rand, struct km_diag *diag)
{
	const struct km_sim_zone *zone = &s->zone;
	uint32_t nr = 0, mask = (uint32_t)km_pow2_up((uint64_t)zone->types * 2) - 1;
	uint64_t tries = (uint64_t)zone->types * 200 + 10000;
	uint32_t *set = calloc((size_t)mask + 1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	while (nr < zone->types && tries-- > 0) {
		draw_traits(zone, rand, s->trait[nr]);
		nr += add_if_new(s, nr, set, mask);
	}
	free(set);
	if (nr < zone->types)
		return km_diag_set(diag, -EINVAL, "", 0, 0,
				   "zone '%s': %u types are more than its trait values make: "
				   "fewer types, or more families, sizes or tenants",
				   zone->name, zone->types);
	return 0;
}

static uint64_t mix_rule(const uint32_t *trait, uint32_t uses)
{
	uint32_t masked[TRAIT_NR], t;

	for (t = 0; t < TRAIT_NR; t++)
		masked[t] = uses >> t & 1 ? trait[t] : 0;
	return mix_traits(masked);
}

/*
 * How many rule objects the types have: as many tables are needed, and there is one
 * for each agent. By 64-bit hashes: a collision would cost a recycled id.
 */
static int count_rule_objs(struct zone_source *s)
{
	uint32_t mask = (uint32_t)km_pow2_up((uint64_t)s->zone.types * 2) - 1, r, i, at, nr = 0;
	uint64_t *set = malloc(((size_t)mask + 1) * sizeof(*set)), mix;

	if (!set)
		return -ENOMEM;
	for (r = 0; r < s->zone.rules; r++) {
		memset(set, 0, ((size_t)mask + 1) * sizeof(*set));
		for (i = 0; i < s->zone.types; i++) {
			mix = mix_rule(s->trait[i], rule_descs[r].traits) | 1;
			for (at = (uint32_t)(mix >> 32) & mask; set[at] && set[at] != mix;)
				at = (at + 1) & mask;
			nr += !set[at];
			set[at] = mix;
		}
	}
	free(set);
	s->source.rule_obj_nr = nr;
	return 0;
}

struct ranked {
	double score;
	uint32_t type;
};

static int by_score(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return (x->type > y->type) - (x->type < y->type);
}

/* The most popular first; what costs more tends to be more popular (popular_cost). */
static int rank_types(struct zone_source *s, struct km_rand *rand)
{
	const double with = s->zone.popular_cost, without = sqrt(1 - with * with);
	struct ranked *ranked = malloc(sizeof(*ranked) * s->zone.types);
	double place;
	uint32_t i;

	if (!ranked)
		return -ENOMEM;
	for (i = 0; i < s->zone.types; i++) {
		place = km_cost_drawn_place(s->zone.seed, s->trait[i][FAMILY]);
		ranked[i] = (struct ranked){
			.score = with * km_sim_normal_quantile(place) +
				 without * km_sim_normal_quantile(km_rand_unit(rand)),
			.type = i,
		};
	}
	qsort(ranked, s->zone.types, sizeof(*ranked), by_score);
	for (i = 0; i < s->zone.types; i++)
		s->type_of_rank[i] = ranked[i].type;
	free(ranked);
	return 0;
}

/* Vose's construction. */
static int make_alias(struct zone_source *s)
{
	uint32_t nr = s->zone.types, i, small_nr = 0, large_nr = 0, a, b;
	double *share = malloc(sizeof(*share) * nr), sum = 0;
	uint32_t *small = malloc(sizeof(*small) * nr), *large = malloc(sizeof(*large) * nr);
	int err = share && small && large ? 0 : -ENOMEM;

	for (i = 0; !err && i < nr; i++) {
		share[i] = km_sim_pow(i + 1 + s->zone.shift, -s->zone.skew);
		sum += share[i];
	}
	for (i = 0; !err && i < nr; i++) {
		share[i] *= nr / sum;
		if (share[i] < 1)
			small[small_nr++] = i;
		else
			large[large_nr++] = i;
	}
	while (!err && small_nr && large_nr) {
		a = small[--small_nr];
		b = large[large_nr - 1];
		s->alias[a] = (struct alias){ (uint32_t)(share[a] * 4294967295.0), b };
		share[b] -= 1 - share[a];
		if (share[b] < 1) {
			large_nr--;
			small[small_nr++] = b;
		}
	}
	while (!err && large_nr) {
		a = large[--large_nr];
		s->alias[a] = (struct alias){ UINT32_MAX, a };
	}
	while (!err && small_nr) { /* by rounding */
		a = small[--small_nr];
		s->alias[a] = (struct alias){ UINT32_MAX, a };
	}
	free(large);
	free(small);
	free(share);
	return err;
}

static int build(struct zone_source *s, struct km_diag *diag)
{
	const struct km_sim_zone *zone = &s->zone;
	struct km_rand rand;
	uint32_t i;
	int err;

	km_rand_init(&rand, zone->seed);
	err = make_types(s, &rand, diag);
	if (err)
		return err;
	err = count_rule_objs(s);
	if (err)
		return err;
	err = rank_types(s, &rand);
	if (err)
		return err;
	err = make_alias(s);
	if (err)
		return err;
	for (i = 0; i < zone->recent; i++)
		s->recent[i] = s->type_of_rank[draw_rank(s, (uint32_t)km_rand_u64(&rand))];
	return 0;
}

static void begin(struct zone_source *s, double load, uint64_t seed)
{
	const struct km_sim_zone *zone = &s->zone;
	double bursts = zone->burst_share > 0 ? zone->burst_share * zone->burst_factor : 0, size;
	uint32_t i;

	km_rand_init(&s->rand, seed ^ zone->seed);
	s->load = load;
	/* A multi-request batch has 2 and a geometric number more. */
	size = 1 + zone->batch_share * (zone->batch_mean - 1);
	s->base_per_ns = zone->rate_per_s / (1 + bursts) / size / NS;
	s->multi_below = (uint32_t)(zone->batch_share * 65536);
	s->more_below = (uint32_t)((1 - 1 / (zone->batch_mean - 1)) * 65536);
	s->end_ns = (uint64_t)(zone->hours * 3600 * NS);
	s->repeat_below = (uint32_t)(zone->repeat * 65536);
	fill_exp(s);
	/* With bursts, next_segment() switches at once: the day begins in calm. */
	s->burst_on = zone->burst_share > 0;
	s->burst_switch_ns = zone->burst_share > 0 ? 0 : UINT64_MAX;
	s->trade_ns = zone->trade_s > 0 ? draw_span_ns(s, zone->trade_s) : UINT64_MAX;
	next_segment(s);
	advance(s, km_rand_u64(&s->rand));
	end_day(s);
	for (i = 0; i < BATCH_NR; i++)
		s->batch[i].next_ns = NEVER;
}

int km_sim_zone_open(struct km_source **out, const struct km_sim_zone *zone, double load,
		     uint64_t seed, struct km_diag *diag)
{
	struct zone_source *s;
	int err = km_sim_zone_check(zone, diag);

	if (err)
		return err;
	if (!(load > 0 && load <= 1e6))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "load must be over 0, to 1000000");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->zone = *zone;
	s->source = (struct km_source){
		.next = zone_next,
		.destroy = zone_destroy,
		.type_nr = zone->types,
		/* In the long run as many leave as come. */
		.delete_ns = (uint64_t)(NS / (zone->rate_per_s * load)),
		.trait_nr = TRAIT_NR,
		.rule_nr = zone->rules,
		.rules = rule_descs,
	};
	s->trait = calloc(zone->types, sizeof(*s->trait));
	s->alias = calloc(zone->types, sizeof(*s->alias));
	s->type_of_rank = calloc(zone->types, sizeof(*s->type_of_rank));
	s->recent = calloc(zone->recent, sizeof(*s->recent));
	s->burst_type = calloc(zone->burst_types, sizeof(*s->burst_type));
	err = -ENOMEM;
	if (s->trait && s->alias && s->type_of_rank && s->recent && s->burst_type)
		err = build(s, diag);
	if (err) {
		zone_destroy(&s->source);
		return err;
	}
	begin(s, load, seed);
	*out = &s->source;
	return 0;
}
