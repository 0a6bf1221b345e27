/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/snap_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/digest.h"
#include "core/view.h"
#include "lib/rand.h"
#include "lib/snap.h"
#include "perf/snap_internal.h"

#define KEY_NR_MIN 8u
#define KEY_NR_MAX 65536u
#define AGENT_NR 64u
#define FOLDER_NR 16u /* agents whose digests are folded in turn */
#define TYPE_SHARE 8u /* one key in so many names a type */
#define READ_BATCH 1024u
#define DIGEST_BATCH 16u
#define SAMPLE_NR 32
#define AGE_SHARE .3 /* of the seconds */

/* ---- reading --------------------------------------------------------------------- */

struct read_bed {
	struct km_snap snap;
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	uint64_t *plain; /* Sync: mutex or rwlock */
};

static uint32_t read_snap(void *ctx, uint32_t nr)
{
	struct read_bed *bed = ctx;
	uint32_t i, sum = 0;

	for (i = 0; i < nr; i++) {
		km_snap_enter();
		sum += ((const struct km_digest *)km_snap_read(&bed->snap))->nr[0];
		km_snap_leave();
	}
	return sum;
}

static uint32_t quiesce(void *ctx, uint32_t nr)
{
	uint32_t i;

	(void)ctx;
	for (i = 0; i < nr; i++)
		km_snap_quiesce();
	return i;
}

static uint32_t read_mutex(void *ctx, uint32_t nr)
{
	struct read_bed *bed = ctx;
	uint32_t i, sum = 0;

	for (i = 0; i < nr; i++) {
		pthread_mutex_lock(&bed->mutex);
		sum += (uint32_t)*bed->plain;
		pthread_mutex_unlock(&bed->mutex);
	}
	return sum;
}

static uint32_t read_rwlock(void *ctx, uint32_t nr)
{
	struct read_bed *bed = ctx;
	uint32_t i, sum = 0;

	for (i = 0; i < nr; i++) {
		pthread_rwlock_rdlock(&bed->rwlock);
		sum += (uint32_t)*bed->plain;
		pthread_rwlock_unlock(&bed->rwlock);
	}
	return sum;
}

static const struct km_bench_contestant readers[] = {
	{ "enter, read, leave", read_snap, NULL, READ_BATCH, -1 },
	{ "quiesce", quiesce, NULL, READ_BATCH, -1 },
	{ "mutex: lock, read", read_mutex, NULL, READ_BATCH, 0 },
	{ "rwlock: lock, read", read_rwlock, NULL, READ_BATCH, 0 },
};

static int run_readers(struct km_bench_env *env, double share, struct km_diag *diag)
{
	struct km_digest digest = { .nr = { 1 } };
	uint64_t one = 1;
	struct read_bed bed = { .mutex = PTHREAD_MUTEX_INITIALIZER,
				.rwlock = PTHREAD_RWLOCK_INITIALIZER,
				.plain = &one };
	struct km_bench_times *times = km_bench_times_create(KM_ARRAY_NR(readers), 1);
	struct km_bench_row row;
	uint32_t i;
	int err = times ? 0 : -ENOMEM;

	km_snap_publish(&bed.snap, &digest);
	if (!err)
		err = km_bench_contest(env, readers, KM_ARRAY_NR(readers), &bed, SAMPLE_NR, share,
				       times, diag);
	for (i = 0; i < KM_ARRAY_NR(readers) && !err; i++) {
		row.nr = 0;
		km_bench_text(&row, "what", "reading", readers[i].what);
		km_bench_times_row(&row, readers, i, times);
		err = env->tell(env->ctx, &row);
	}
	free(times);
	return err;
}

/* ---- publishing ------------------------------------------------------------------ */

struct publish_bed {
	struct km_cache *cache;
	struct km_snap snap;
	struct km_digest *made[DIGEST_BATCH]; /* listed, not published */
	uint32_t key_nr;
};

static uint32_t create_digests(void *ctx, uint32_t nr)
{
	struct publish_bed *bed = ctx;
	uint32_t i, done = 0;

	for (i = 0; i < nr; i++) {
		bed->made[i] = km_digest_create(bed->cache);
		done += bed->made[i] &&
			bed->made[i]->nr[KM_CACHE_TOP] + bed->made[i]->nr[KM_CACHE_RULE] ==
				bed->key_nr;
	}
	return done;
}

/* Those that were listed just before. */
static uint32_t publish_digests(void *ctx, uint32_t nr)
{
	struct publish_bed *bed = ctx;
	uint32_t i;

	for (i = 0; i < nr; i++)
		km_digest_publish(&bed->snap, bed->made[i]);
	return km_snap_read(&bed->snap) == bed->made[nr - 1] ? nr : 0;
}

/* Rule objects alone, or results without any: a digest only lists them. */
static int fill_cache(struct publish_bed *bed)
{
	static const uint64_t class_bytes[] = { 1 };
	const uint32_t type_nr = bed->key_nr / TYPE_SHARE;
	const struct km_cache_cfg cfg = {
		.type_cap = type_nr + 1,
		.rule_cap = bed->key_nr,
		.dep_max = 1,
		.class_nr = 1,
		.class_bytes = class_bytes,
		.bytes_max = bed->key_nr,
	};
	struct km_cache_obj *obj;
	struct km_key key = { .gen = KM_GEN_FIRST };
	uint32_t i;
	int err = km_cache_create(&bed->cache, &cfg);

	for (i = 0; i < bed->key_nr && !err; i++) {
		key.id = i < type_nr ? i : i - type_nr;
		if (i < type_nr) {
			obj = km_cache_insert_top(bed->cache, key, 0, NULL, 0, i);
		} else {
			obj = km_cache_insert_rule(bed->cache, key, 0, i);
			if (obj)
				km_cache_release(bed->cache, obj);
		}
		err = obj ? 0 : -EIO;
	}
	return err;
}

/* One round lists and publishes in turn, so that each batch is published once. */
static int publish_rounds(struct km_bench_env *env, struct publish_bed *bed, double share,
			  struct km_bench_times *times)
{
	struct km_bench_pace pace;
	uint64_t start_ns;
	uint32_t i, done;

	km_bench_pace_start(&pace, env, share);
	while (km_bench_pace_more(&pace)) {
		for (i = 0; i < SAMPLE_NR; i++) {
			start_ns = km_clock_ns();
			done = create_digests(bed, DIGEST_BATCH);
			km_bench_sample(env, &times[0], start_ns, DIGEST_BATCH);
			start_ns = km_clock_ns();
			done += publish_digests(bed, DIGEST_BATCH);
			km_bench_sample(env, &times[1], start_ns, DIGEST_BATCH);
			km_snap_quiesce();
			if (done != 2 * DIGEST_BATCH)
				return -EIO;
		}
		km_bench_times_end_round(times, 2, &pace);
		km_snap_drain(); /* else what is retired piles up */
	}
	return 0;
}

static int run_publish(struct km_bench_env *env, uint32_t key_nr, double share,
		       struct km_diag *diag)
{
	static const struct km_bench_contestant what[] = {
		{ .what = "list a cache", .batch = DIGEST_BATCH, .base = -1 },
		{ .what = "publish, retire", .batch = DIGEST_BATCH, .base = -1 },
	};
	struct publish_bed bed = { .key_nr = key_nr };
	struct km_bench_times *times = km_bench_times_create(2, DIGEST_BATCH);
	struct km_bench_row row;
	uint32_t i;
	int err = times ? fill_cache(&bed) : -ENOMEM;

	if (!err)
		err = publish_rounds(env, &bed, share, times);
	if (err == -EIO)
		km_diag_set(diag, err, NULL, 0, 0, "a digest of %" PRIu32 " keys is not right",
			    key_nr);
	for (i = 0; i < 2 && !err; i++) {
		row.nr = 0;
		km_bench_text(&row, "what", "publishing", what[i].what);
		km_bench_count(&row, "keys", "keys", key_nr);
		km_bench_times_row(&row, what, i, times);
		err = env->tell(env->ctx, &row);
	}
	km_digest_publish(&bed.snap, NULL);
	km_snap_drain();
	if (bed.cache)
		km_cache_destroy(bed.cache);
	free(times);
	return err;
}

/* ---- folding --------------------------------------------------------------------- */

enum { BY_KEYS, BY_LOG, WAY_NR };

/* Each way has its view and its turns; the digests are the same, but for the log. */
struct fold_bed {
	struct km_view *view[WAY_NR];
	struct km_digest *digest[FOLDER_NR][2];
	struct km_change *log[FOLDER_NR][2]; /* from the one before, however often that was */
	uint32_t log_nr;
	uint32_t key_nr, cap[KM_CACHE_LEVEL_NR], turn[WAY_NR];
};

static uint64_t sum_keys(const struct km_digest *digest)
{
	uint64_t sum = 0;
	uint32_t level, i;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (i = 0; i < digest->nr[level]; i++)
			sum += digest->keys[level][i].id + digest->keys[level][i].gen;
	return sum;
}

/* Every key once: nothing that takes over a digest can look at less. */
static uint32_t sum_both(void *ctx, uint32_t nr)
{
	struct fold_bed *bed = ctx;
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < nr; i++)
		sum += sum_keys(bed->digest[i % FOLDER_NR][0]) +
		       sum_keys(bed->digest[i % FOLDER_NR][1]);
	return sum ? nr : 0;
}

/* Each agent's two digests in turn. */
static uint32_t fold(struct fold_bed *bed, uint32_t nr, uint32_t way)
{
	uint32_t i, agent, done = 0;
	struct km_digest *digest;

	for (i = 0; i < nr; i++, bed->turn[way]++) {
		agent = bed->turn[way] % FOLDER_NR;
		digest = bed->digest[agent][bed->turn[way] / FOLDER_NR % 2];
		digest->log = bed->log[agent][bed->turn[way] / FOLDER_NR % 2];
		/* The first one has none before it. */
		digest->log_nr = way == BY_LOG && bed->turn[way] >= FOLDER_NR ? bed->log_nr : 0;
		digest->version = bed->view[way]->folded_version[agent] + digest->log_nr;
		done += !km_view_fold(bed->view[way], agent, digest);
	}
	return done;
}

static uint32_t fold_keys(void *ctx, uint32_t nr)
{
	return fold(ctx, nr, BY_KEYS);
}

static uint32_t fold_log(void *ctx, uint32_t nr)
{
	return fold(ctx, nr, BY_LOG);
}

static const struct km_bench_contestant folders[] = {
	{ "sum of both", sum_both, NULL, FOLDER_NR, -1 },
	{ "fold, by keys", fold_keys, NULL, FOLDER_NR, 0 },
	{ "fold, by log", fold_log, NULL, FOLDER_NR, 0 },
};

/*
 * Keys by a random order of ids, @percent of them others than with 0: each in the
 * place of the one it replaces, as a cache lists them.
 */
static struct km_digest *make_digest(struct fold_bed *bed, uint32_t *const order[],
				     uint32_t percent)
{
	const uint32_t nr[] = { bed->key_nr / TYPE_SHARE, bed->key_nr - bed->key_nr / TYPE_SHARE };
	struct km_digest *digest = malloc(sizeof(*digest) + bed->key_nr * sizeof(struct km_key));
	struct km_key *key;
	uint32_t level, i;
	bool other;

	if (!digest)
		return NULL;
	key = (struct km_key *)(digest + 1);
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		digest->nr[level] = nr[level];
		digest->keys[level] = key;
		for (i = 0; i < nr[level]; i++) {
			other = (i + 1) * percent / 100 != i * percent / 100;
			*key++ = (struct km_key){ order[level][other ? nr[level] + i : i],
						  KM_GEN_FIRST };
		}
	}
	return digest;
}

/* What differs from @from in @to: the new key comes, the old one goes and it takes the place. */
static struct km_change *make_log(struct fold_bed *bed, const struct km_digest *from,
				  const struct km_digest *to)
{
	struct km_change *log = malloc((2ul * bed->key_nr + 1) * sizeof(*log));
	uint32_t level, i;

	bed->log_nr = 0;
	for (level = 0; log && level < KM_CACHE_LEVEL_NR; level++) {
		for (i = 0; i < to->nr[level]; i++) {
			if (to->keys[level][i].id == from->keys[level][i].id)
				continue;
			log[bed->log_nr++] = (struct km_change){ to->keys[level][i], to->nr[level],
								 level, true };
			log[bed->log_nr++] =
				(struct km_change){ from->keys[level][i], i, level, false };
		}
	}
	return log;
}

static void shuffle(uint32_t *order, uint32_t nr, struct km_rand *rand)
{
	uint32_t i, k, swap;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = nr; i > 1; i--) {
		k = (uint32_t)km_rand_below(rand, i);
		swap = order[i - 1];
		order[i - 1] = order[k];
		order[k] = swap;
	}
}

static int make_pair(struct fold_bed *bed, uint32_t agent, uint32_t *const order[],
		     uint32_t percent)
{
	struct km_digest **pair = bed->digest[agent];

	pair[0] = make_digest(bed, order, 0);
	pair[1] = make_digest(bed, order, percent);
	if (!pair[0] || !pair[1])
		return -ENOMEM;
	bed->log[agent][0] = make_log(bed, pair[1], pair[0]);
	bed->log[agent][1] = make_log(bed, pair[0], pair[1]);
	return bed->log[agent][0] && bed->log[agent][1] ? 0 : -ENOMEM;
}

/* The second digest of each agent differs from the first in @percent of its keys. */
static int make_digests(struct fold_bed *bed, uint32_t percent, uint64_t seed)
{
	uint32_t *order[KM_CACHE_LEVEL_NR], level, agent;
	struct km_rand rand;
	int err = 0;

	km_rand_init(&rand, seed);
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		order[level] = malloc(bed->cap[level] * sizeof(uint32_t));
	for (agent = 0; agent < FOLDER_NR && !err; agent++) {
		for (level = 0; level < KM_CACHE_LEVEL_NR && order[level]; level++)
			shuffle(order[level], bed->cap[level], &rand);
		if (!order[0] || !order[1])
			err = -ENOMEM;
		else
			err = make_pair(bed, agent, order, percent);
	}
	free(order[0]);
	free(order[1]);
	return err;
}

/* The view's bits of each folder are those of the digest it folded last, and no more. */
static bool view_is_right(const struct fold_bed *bed, uint32_t way)
{
	const struct km_view *view = bed->view[way];
	const uint32_t last = bed->turn[way] - 1;
	uint32_t agent, level, i, nr, found;

	for (agent = 0; agent < FOLDER_NR; agent++) {
		const uint32_t turn = last - (last - agent) % FOLDER_NR;
		const struct km_digest *digest = bed->digest[agent][turn / FOLDER_NR % 2];

		for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
			for (i = 0, nr = 0; i < bed->cap[level]; i++)
				nr += km_view_cached(view, level, i, agent);
			for (i = 0, found = 0; i < digest->nr[level]; i++)
				found += km_view_cached(view, level, digest->keys[level][i].id,
							agent);
			if (nr != found || found != digest->nr[level])
				return false;
		}
	}
	return true;
}

static int open_fold(struct fold_bed *bed, uint32_t percent, uint64_t seed)
{
	struct km_view_cfg cfg = { .agent_nr = AGENT_NR, .rule_nr = 1, .count_serving = true };
	uint32_t way;
	int err = 0;

	/* Four times as many ids as keys: agents share some. */
	cfg.type_cap = bed->cap[KM_CACHE_TOP] = 4 * (bed->key_nr / TYPE_SHARE);
	cfg.rule_obj_cap = bed->cap[KM_CACHE_RULE] = 4 * (bed->key_nr - bed->key_nr / TYPE_SHARE);
	for (way = 0; way < WAY_NR && !err; way++)
		err = km_view_create(&bed->view[way], &cfg);
	return err ? err : make_digests(bed, percent, seed);
}

static void close_fold(struct fold_bed *bed)
{
	uint32_t i, k;

	for (i = 0; i < FOLDER_NR; i++) {
		for (k = 0; k < 2; k++) {
			free(bed->digest[i][k]);
			free(bed->log[i][k]);
		}
	}
	for (k = 0; k < WAY_NR; k++)
		km_view_destroy(bed->view[k]);
}

static int run_fold(struct km_bench_env *env, uint32_t key_nr, uint32_t percent, double share,
		    struct km_diag *diag)
{
	struct fold_bed bed = { .key_nr = key_nr };
	struct km_bench_times *times = km_bench_times_create(KM_ARRAY_NR(folders), 1);
	struct km_bench_row row;
	uint32_t i;
	int err = times ? open_fold(&bed, percent, env->seed) : -ENOMEM;

	if (!err)
		err = km_bench_contest(env, folders, KM_ARRAY_NR(folders), &bed, SAMPLE_NR, share,
				       times, diag);
	if (!err && (!view_is_right(&bed, BY_KEYS) || !view_is_right(&bed, BY_LOG)))
		err = km_diag_set(diag, -EIO, NULL, 0, 0, "a view is not what was folded into it");
	for (i = 0; i < KM_ARRAY_NR(folders) && !err; i++) {
		row.nr = 0;
		km_bench_text(&row, "what", "folding", folders[i].what);
		km_bench_count(&row, "keys", "keys", key_nr);
		km_bench_count(&row, "changed_percent", "changed %", percent);
		km_bench_times_row(&row, folders, i, times);
		km_bench_real(&row, "key_ns", "ns a key", km_bench_p50_ns(&times[i]) / key_nr);
		err = env->tell(env->ctx, &row);
	}
	close_fold(&bed);
	free(times);
	return err;
}

/* ---- all of it ---------------------------------------------------------------------- */

static int check_cfg(const struct km_bench_snap_cfg *cfg, struct km_diag *diag)
{
	uint32_t i;

	for (i = 0; i < cfg->key_nr; i++)
		if (cfg->keys[i] < KEY_NR_MIN || cfg->keys[i] > KEY_NR_MAX)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--keys: from %u to %u",
					   KEY_NR_MIN, KEY_NR_MAX);
	for (i = 0; i < cfg->changed_nr; i++)
		if (cfg->changed[i] > 100)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--changed: up to 100 %%");
	return 0;
}

int km_bench_snap(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_snap_cfg *cfg = ctx;
	const double share = (1 - AGE_SHARE) / (1 + cfg->key_nr + cfg->key_nr * cfg->changed_nr);
	uint32_t i, k;
	int err = check_cfg(cfg, diag);

	if (!err)
		err = run_readers(env, share, diag);
	for (i = 0; i < cfg->key_nr && !err; i++)
		err = run_publish(env, cfg->keys[i], share, diag);
	for (i = 0; i < cfg->key_nr; i++)
		for (k = 0; k < cfg->changed_nr && !err; k++)
			err = run_fold(env, cfg->keys[i], cfg->changed[k], share, diag);
	return err ? err : km_bench_snap_age(env, AGE_SHARE, diag);
}
