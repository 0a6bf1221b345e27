/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/classify_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/type.h"
#include "lib/host.h"
#include "perf/dispatch_internal.h"
#include "perf/table.h"

#define TYPE_NR_MIN 16u
#define TYPE_NR_MAX (1u << 21)
#define SAMPLE_NR 32
#define BATCH 64u

enum { KNOWN, NEW, EVICTED, MIXED, BED_NR };

struct bed {
	struct bench_world world;
	uint32_t nr;
	uint32_t (*trait)[BENCH_TRAIT_NR]; /* [nr] */
	struct km_types *types[BED_NR];
	uint64_t told; /* ids that were recycled, as a listener hears of them */
	struct bench_table table;
	uint32_t drawn_at, next_new, next_evicted, new_batch;
	uint64_t mixed_gets;
};

static uint32_t draw(struct bed *bed)
{
	return bed->world.drawn[bed->drawn_at++ & (bed->world.drawn_nr - 1)];
}

/* ---- contestants --------------------------------------------------------------- */

static uint64_t hash_of(const uint32_t *trait)
{
	uint64_t hash = 0;
	uint32_t t;

	for (t = 0; t < BENCH_TRAIT_NR; t++)
		hash = (hash ^ trait[t]) * UINT64_C(0x9e3779b97f4a7c15);
	return hash | 1;
}

static uint32_t plain_table(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i, found = 0;

	for (i = 0; i < nr; i++)
		found += bench_table_has(&bed->table, hash_of(bed->trait[draw(bed)]));
	return found;
}

/* Whether it is the type that was asked for: all traits of these worlds are used. */
static uint32_t get_put(struct km_types *types, const uint32_t *trait)
{
	struct km_type *type = km_types_get(types, trait);
	uint32_t right;

	if (!type)
		return 0;
	right = !memcmp(type->trait, trait, BENCH_TRAIT_NR * sizeof(*trait));
	km_types_put(types, type);
	return right;
}

static uint32_t drawn_types(struct bed *bed, uint32_t which, uint32_t nr)
{
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++)
		done += get_put(bed->types[which], bed->trait[draw(bed)]);
	return done;
}

static uint32_t known(void *ctx, uint32_t nr)
{
	return drawn_types(ctx, KNOWN, nr);
}

static uint32_t mixed(void *ctx, uint32_t nr)
{
	((struct bed *)ctx)->mixed_gets += nr;
	return drawn_types(ctx, MIXED, nr);
}

static uint32_t new_types(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++)
		done += get_put(bed->types[NEW], bed->trait[bed->next_new++]);
	return done;
}

/* Half as many ids as types, in turn: the next one always lost its id. */
static uint32_t evicted(void *ctx, uint32_t nr)
{
	struct bed *bed = ctx;
	const uint64_t told = bed->told;
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++) {
		done += get_put(bed->types[EVICTED], bed->trait[bed->next_evicted]);
		bed->next_evicted = bed->next_evicted + 1 == bed->nr ? 0 : bed->next_evicted + 1;
	}
	return bed->told - told >= nr ? done : 0;
}

static int open_types(struct bed *bed, uint32_t which);

/* Once all types were seen, a new classifier has seen none. */
static void forget(void *ctx)
{
	struct bed *bed = ctx;

	if (bed->next_new + bed->new_batch <= bed->nr)
		return;
	km_types_destroy(bed->types[NEW]);
	bed->types[NEW] = NULL;
	bed->next_new = 0;
	KM_BUG_ON(open_types(bed, NEW)); /* what was just freed is there */
}

/* ---- setting up ------------------------------------------------------------------- */

static void hear(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct bed *bed = ctx;

	(void)key;
	bed->told += level == KM_CACHE_TOP;
}

static uint32_t type_cap(const struct bed *bed, uint32_t which)
{
	return which == EVICTED ? bed->nr / 2 : which == MIXED ? bed->nr / 4 : bed->nr;
}

static int open_types(struct bed *bed, uint32_t which)
{
	const struct km_types_cfg cfg = {
		.type_cap = type_cap(bed, which),
		.rule_obj_cap = bed->world.obj_cap,
		.trait_nr = BENCH_TRAIT_NR,
		.rule_nr = bed->world.rule_nr,
		.rules = bed->world.rule,
	};
	int err = km_types_create(&bed->types[which], &cfg);

	if (!err)
		km_types_on_recycle(bed->types[which], hear, bed);
	return err;
}

static int open_bed(struct bed *bed, uint32_t rule_nr, uint64_t seed)
{
	uint32_t i, which;
	int err = bench_world_init(&bed->world, bed->nr, rule_nr, seed);

	bed->new_batch = BATCH < bed->nr ? BATCH : bed->nr;
	bed->trait = malloc(bed->nr * sizeof(*bed->trait));
	if (err || !bed->trait || !bench_table_init(&bed->table, bed->nr))
		return -ENOMEM;
	for (i = 0; i < bed->nr; i++) {
		bench_world_traits(&bed->world, i, bed->trait[i]);
		bench_table_insert(&bed->table, hash_of(bed->trait[i]));
	}
	for (which = 0; which < BED_NR && !err; which++)
		err = open_types(bed, which);
	/* Each has seen all types, but for the one that shall see none. */
	for (i = 0; i < bed->nr && !err; i++)
		for (which = 0; which < BED_NR; which++)
			if (which != NEW && !get_put(bed->types[which], bed->trait[i]))
				return -EIO;
	return err;
}

static void close_bed(struct bed *bed)
{
	uint32_t which;

	for (which = 0; which < BED_NR; which++)
		if (bed->types[which])
			km_types_destroy(bed->types[which]);
	free(bed->table.key);
	free(bed->trait);
	bench_world_fini(&bed->world);
}

/* ---- one cell ------------------------------------------------------------------------ */

/* Of the gets that were measured and those of the first round. */
static double hit_share(const struct bed *bed, uint64_t interned_before)
{
	const uint64_t interned = km_types_stats(bed->types[MIXED])->interned - interned_before;

	return 1 - (double)interned / (double)bed->mixed_gets;
}

static int run_cell(struct km_bench_env *env, struct bed *bed, double share, struct km_diag *diag)
{
	const struct km_bench_contestant contestants[] = {
		{ "plain table", plain_table, NULL, BATCH, -1 },
		{ "known", known, NULL, BATCH, 0 },
		{ "new", new_types, forget, bed->new_batch, 0 },
		{ "evicted", evicted, NULL, BATCH, 0 },
		{ "mixed", mixed, NULL, BATCH, 0 },
	};
	static const double share_of[] = { NAN, 1, 0, 0, NAN }; /* known, by what they do */
	struct km_bench_times *times = km_bench_times_create(KM_ARRAY_NR(contestants), 1);
	const uint64_t interned = km_types_stats(bed->types[MIXED])->interned;
	struct km_bench_row row;
	uint32_t i;
	int err = times ? 0 : -ENOMEM;

	if (!err)
		err = km_bench_contest(env, contestants, KM_ARRAY_NR(contestants), bed, SAMPLE_NR,
				       share, times, diag);
	for (i = 0; i < KM_ARRAY_NR(contestants) && !err; i++) {
		row.nr = 0;
		km_bench_text(&row, "what", "classify, a request", contestants[i].what);
		km_bench_count(&row, "types", "types", bed->nr);
		km_bench_count(&row, "rules", NULL, bed->world.rule_nr);
		km_bench_count(&row, "rule_objects", NULL, bed->world.obj_cap);
		km_bench_times_row(&row, contestants, i, times);
		km_bench_real(&row, "known_share", "known",
			      contestants[i].run == mixed ? hit_share(bed, interned) : share_of[i]);
		err = env->tell(env->ctx, &row);
	}
	free(times);
	return err;
}

static int check_cfg(const struct km_bench_classify_cfg *cfg, uint32_t type_nr,
		     struct km_diag *diag)
{
	const uint64_t have = km_host_memory("");
	struct bench_world w;
	uint64_t need;

	if (type_nr < TYPE_NR_MIN || type_nr > TYPE_NR_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--types: from %u to %u", TYPE_NR_MIN,
				   TYPE_NR_MAX);
	bench_world_size(&w, type_nr, cfg->rule_nr);
	/* four classifiers, the table, the traits, the draws */
	need = type_nr * (3 * (sizeof(struct km_type) + 64) + 128ull) + 4ull * w.obj_cap * 128;
	if (need <= have)
		return 0;
	return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
			   "%" PRIu32 " types need about %" PRIu64 " MiB, and %" PRIu64
			   " MiB are available",
			   type_nr, need >> 20, have >> 20);
}

int km_bench_classify(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_classify_cfg *cfg = ctx;
	uint32_t i;
	int err = 0;

	for (i = 0; i < cfg->cell_nr && !err; i++)
		err = check_cfg(cfg, cfg->types[i], diag);
	for (i = 0; i < cfg->cell_nr && !err; i++) {
		struct bed bed = { .nr = cfg->types[i] };

		err = open_bed(&bed, cfg->rule_nr, env->seed);
		if (!err)
			err = run_cell(env, &bed, 1. / cfg->cell_nr, diag);
		close_bed(&bed);
	}
	return err;
}
