/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/cache_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "core/type.h"
#include "lib/host.h"
#include "lib/rand.h"
#include "perf/table.h"

#define ENTRY_NR_MAX (1u << 22)
#define DRAWN_NR 65536u /* keys drawn beforehand; a power of two */
#define SAMPLE_NR 32
#define AGED_NR 64 /* objects that one sweep takes */

enum { CLASS_RULE, CLASS_TOP };
static const uint64_t class_bytes[] = { 1, 1 };

struct bed {
	uint32_t nr, rule_nr;
	struct km_cache *full; /* nr results, each of rule_nr of nr rule objects */
	struct km_cache *turn; /* nr unpinned rule objects: one in, one out */
	struct km_cache *aging; /* the same, leaving by age */
	struct bench_table table;
	uint32_t *dep; /* [nr][rule_nr] */
	uint32_t *drawn; /* [DRAWN_NR] below nr */
	uint32_t at, next_turn, next_aging, next_key;
	uint64_t now_ns;
	struct km_rand rand;
};

static struct km_key key_of(uint32_t id)
{
	return (struct km_key){ .id = id, .gen = 1 };
}

static uint32_t draw(struct bed *bed)
{
	return bed->drawn[bed->at++ & (DRAWN_NR - 1)];
}

/* ---- contestants ----------------------------------------------------------------- */

static uint32_t lookup(struct bed *bed, enum km_cache_level level, uint32_t offset, uint32_t nr)
{
	uint32_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += km_cache_lookup(bed->full, level, key_of(draw(bed) + offset),
					 ++bed->now_ns) != NULL;
	return offset ? nr - found : found;
}

static uint32_t table_hit(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += bench_table_has(&bed->table, draw(bed) + 1 + bed->next_key);
	return found;
}

static uint32_t table_miss(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += bench_table_has(&bed->table, UINT64_MAX - draw(bed));
	return nr - found;
}

/* First in, first out: the table itself does not know whose turn it is. */
static uint32_t table_turn(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		bench_table_remove(&bed->table, ++bed->next_key);
		bench_table_insert(&bed->table, bed->next_key + bed->nr);
	}
	return nr;
}

static uint32_t top_hit(void *ctx, uint32_t nr)
{
	return lookup(ctx, KM_CACHE_TOP, 0, nr);
}

static uint32_t top_miss(void *ctx, uint32_t nr)
{
	return lookup(ctx, KM_CACHE_TOP, ((struct bed *)ctx)->nr, nr);
}

static uint32_t rule_hit(void *ctx, uint32_t nr)
{
	return lookup(ctx, KM_CACHE_RULE, 0, nr);
}

static uint32_t rule_miss(void *ctx, uint32_t nr)
{
	return lookup(ctx, KM_CACHE_RULE, ((struct bed *)ctx)->nr, nr);
}

static uint32_t hold_release(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	struct km_cache_obj *obj;
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++) {
		obj = km_cache_peek(bed->full, KM_CACHE_RULE, key_of(draw(bed)));
		if (!obj)
			continue;
		km_cache_hold(bed->full, obj);
		done += obj->holds == 1;
		km_cache_release(bed->full, obj);
	}
	return done;
}

static bool insert_top(struct bed *bed, uint32_t id)
{
	struct km_cache_obj *dep[KM_RULES_MAX], *top;
	uint32_t r;

	for (r = 0; r < bed->rule_nr; r++) {
		dep[r] = km_cache_lookup(bed->full, KM_CACHE_RULE,
					 key_of(bed->dep[(uint64_t)id * bed->rule_nr + r]),
					 ++bed->now_ns);
		if (!dep[r])
			return false;
		km_cache_hold(bed->full, dep[r]);
	}
	top = km_cache_insert_top(bed->full, key_of(id), CLASS_TOP, dep, bed->rule_nr,
				  ++bed->now_ns);
	for (r = 0; r < bed->rule_nr; r++)
		km_cache_release(bed->full, dep[r]);
	return top;
}

static uint32_t top_turn(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	struct km_cache_obj *top;
	uint32_t i, id, done = 0;

	for (i = 0; i < nr; i++) {
		id = draw(bed);
		top = km_cache_peek(bed->full, KM_CACHE_TOP, key_of(id));
		if (!top)
			break;
		km_cache_evict(bed->full, top);
		done += insert_top(bed, id);
	}
	return done;
}

static bool insert_rule(struct bed *bed, struct km_cache *cache, uint32_t id)
{
	struct km_cache_obj *obj =
		km_cache_insert_rule(cache, key_of(id), CLASS_RULE, ++bed->now_ns);

	if (obj)
		km_cache_release(cache, obj);
	return obj;
}

/* Twice as many ids as room: the oldest is always the one that is missing next. */
static uint32_t rule_turn(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++) {
		done += insert_rule(bed, bed->turn, bed->next_turn);
		bed->next_turn = bed->next_turn + 1 == 2 * bed->nr ? 0 : bed->next_turn + 1;
	}
	return done;
}

/* What came in last, outside of the timed part, has turned that many too old. */
static uint32_t sweep(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;

	(void)nr;
	return km_cache_age(bed->aging, bed->now_ns);
}

static void refill(void *ctx)
{
	struct bed *bed = ctx;
	uint32_t i, ids = bed->nr + 2 * AGED_NR;

	/* The youngest of those to leave comes to just above the age. */
	for (i = 0; i < AGED_NR; i++) {
		bed->now_ns += UINT64_C(1) << 32;
		km_ignore(!insert_rule(bed, bed->aging, bed->next_aging));
		bed->next_aging = bed->next_aging + 1 == ids ? 0 : bed->next_aging + 1;
	}
}

static const struct km_bench_contestant contestants[] = {
	{ "table: hit", table_hit, NULL, 256, -1 },
	{ "table: miss", table_miss, NULL, 256, -1 },
	{ "table: remove, insert", table_turn, NULL, 256, -1 },
	{ "top: hit", top_hit, NULL, 256, 0 },
	{ "top: miss", top_miss, NULL, 256, 1 },
	{ "rule: hit", rule_hit, NULL, 256, 0 },
	{ "rule: miss", rule_miss, NULL, 256, 1 },
	{ "rule: hold, release", hold_release, NULL, 256, -1 },
	{ "rule: evict, insert", rule_turn, NULL, 256, 2 },
	{ "top: evict, miss", top_turn, NULL, 32, -1 },
	{ "sweep by age, each", sweep, refill, AGED_NR, -1 },
};

/* ---- setting up --------------------------------------------------------------------- */

static int open_cache(struct km_cache **out, uint32_t type_cap, uint32_t rule_cap, uint32_t dep_max,
		      uint64_t bytes_max, uint64_t age_ns_max)
{
	const struct km_cache_cfg cfg = {
		.type_cap = type_cap,
		.rule_cap = rule_cap,
		.dep_max = dep_max,
		.class_nr = KM_ARRAY_NR(class_bytes),
		.class_bytes = class_bytes,
		.bytes_max = bytes_max,
		.age_ns_max = age_ns_max,
	};

	return km_cache_create(out, &cfg);
}

static int open_bed(struct bed *bed)
{
	const uint32_t nr = bed->nr;
	const uint64_t age_ns = ((uint64_t)(nr - 1) << 32) + (UINT64_C(1) << 31);
	int err;

	bed->dep = malloc((uint64_t)nr * bed->rule_nr * sizeof(*bed->dep));
	bed->drawn = malloc(DRAWN_NR * sizeof(*bed->drawn));
	if (!bed->dep || !bed->drawn || !bench_table_init(&bed->table, nr))
		return -ENOMEM;
	err = open_cache(&bed->full, 2 * nr, 2 * nr, bed->rule_nr, 2ull * nr, 0);
	if (!err)
		err = open_cache(&bed->turn, 1, 2 * nr, 1, nr, 0);
	if (!err)
		err = open_cache(&bed->aging, 1, nr + 2 * AGED_NR, 1, nr + 2 * AGED_NR, age_ns);
	return err;
}

/* Distinct rule objects for each result: a run of numbers from a random one on. */
static void draw_deps(struct bed *bed)
{
	uint32_t i, r, first;

	for (i = 0; i < bed->nr; i++) {
		first = (uint32_t)km_rand_below(&bed->rand, bed->nr);
		for (r = 0; r < bed->rule_nr; r++)
			bed->dep[(uint64_t)i * bed->rule_nr + r] =
				(uint32_t)((first + r * (uint64_t)(bed->nr / bed->rule_nr)) %
					   bed->nr);
	}
	for (i = 0; i < DRAWN_NR; i++)
		bed->drawn[i] = (uint32_t)km_rand_below(&bed->rand, bed->nr);
}

static bool fill(struct bed *bed)
{
	uint32_t i;
	bool ok = true;

	draw_deps(bed);
	for (i = 0; i < bed->nr && ok; i++) {
		bench_table_insert(&bed->table, i + 1);
		ok = insert_rule(bed, bed->full, i) && insert_rule(bed, bed->turn, i);
		bed->now_ns += UINT64_C(1) << 32;
		ok = ok && insert_rule(bed, bed->aging, i);
	}
	bed->next_turn = bed->next_aging = bed->nr;
	for (i = 0; i < bed->nr && ok; i++)
		ok = insert_top(bed, i);
	refill(bed);
	return ok;
}

static void close_bed(struct bed *bed)
{
	struct km_cache *cache[] = { bed->full, bed->turn, bed->aging };
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(cache); i++)
		if (cache[i])
			km_cache_destroy(cache[i]);
	free(bed->table.key);
	free(bed->drawn);
	free(bed->dep);
}

/* ---- one cell -------------------------------------------------------------------------- */

static int check(struct bed *bed, struct km_diag *diag)
{
	struct km_cache *cache[] = { bed->full, bed->turn, bed->aging };
	const char *fault;
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(cache); i++) {
		fault = km_cache_check(cache[i]);
		if (fault)
			return km_diag_set(diag, -EIO, NULL, 0, 0, "a cache is broken: %s", fault);
	}
	return 0;
}

static int tell_cell(struct km_bench_env *env, const struct bed *bed,
		     const struct km_bench_times *times)
{
	struct km_bench_row row;
	uint32_t i;
	int err = 0;

	for (i = 0; i < KM_ARRAY_NR(contestants) && !err; i++) {
		row.nr = 0;
		km_bench_text(&row, "what", "cache", contestants[i].what);
		km_bench_count(&row, "entries", "entries", bed->nr);
		km_bench_count(&row, "rules", NULL, bed->rule_nr);
		km_bench_times_row(&row, contestants, i, times);
		err = env->tell(env->ctx, &row);
	}
	return err;
}

static int run_cell(struct km_bench_env *env, const struct km_bench_cache_cfg *cfg, uint32_t nr,
		    struct km_diag *diag)
{
	struct bed bed = { .nr = nr, .rule_nr = cfg->rule_nr };
	struct km_bench_times *times = km_bench_times_create(KM_ARRAY_NR(contestants), 1);
	int err = times ? 0 : -ENOMEM;

	km_rand_init(&bed.rand, env->seed);
	if (!err)
		err = open_bed(&bed);
	if (!err && !fill(&bed))
		err = km_diag_set(diag, -EIO, NULL, 0, 0, "cannot fill a cache of %" PRIu32, nr);
	if (!err)
		err = km_bench_contest(env, contestants, KM_ARRAY_NR(contestants), &bed, SAMPLE_NR,
				       1. / cfg->entry_nr, times, diag);
	if (!err)
		err = check(&bed, diag);
	if (!err)
		err = tell_cell(env, &bed, times);
	close_bed(&bed);
	free(times);
	return err;
}

int km_bench_cache(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_cache_cfg *cfg = ctx;
	const uint64_t have = km_host_memory("");
	uint64_t need;
	uint32_t i;
	int err = 0;

	for (i = 0; i < cfg->entry_nr; i++) {
		/* 96 bytes and a pointer an id, of nine ids an entry; pointers to rule objects */
		need = cfg->entries[i] * (1000 + 20ull * cfg->rule_nr);
		if (cfg->entries[i] < 2 * KM_RULES_MAX || cfg->entries[i] > ENTRY_NR_MAX)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "--entries: from %d to %u objects", 2 * KM_RULES_MAX,
					   ENTRY_NR_MAX);
		if (need > have)
			return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
					   "%" PRIu32 " entries need about %" PRIu64
					   " MiB, and %" PRIu64 " MiB are available",
					   cfg->entries[i], need >> 20, have >> 20);
	}
	for (i = 0; i < cfg->entry_nr && !err; i++)
		err = run_cell(env, cfg, cfg->entries[i], diag);
	return err;
}
