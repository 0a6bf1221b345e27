/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/digest_stress.c - digests as they travel: an agent changes its cache
 * and publishes, a dispatcher folds what it finds, and misses any number between.
 *
 * The view must be the very digest that was folded, by its log or by its list,
 * while the agent publishes the next ones and those before are freed. The lists are
 * plain memory, so ThreadSanitizer reports a log that is written after it was
 * published.
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "cache/digest.h"
#include "core/type.h"
#include "core/view.h"

#define TYPE_CAP 32u
#define OBJ_CAP 96u
#define DEP_NR 4u
/* Retired digests that may wait for their grace period. */
#define BACKLOG_NR 1000u

struct shared {
	struct km_snap snap;
	_Atomic bool stop;
};

struct side {
	struct shared *shared;
	uint64_t end_ns, nr, bad, by_log;
	struct km_rand rand;
};

/* A miss: objects that are there are used again, others evict. */
static void serve(struct side *side, struct km_cache *cache, uint64_t now_ns)
{
	struct km_key key = { (uint32_t)km_rand_below(&side->rand, TYPE_CAP), KM_GEN_FIRST };
	struct km_cache_obj *dep[DEP_NR];
	uint32_t i, id = key.id;

	if (km_cache_lookup(cache, KM_CACHE_TOP, key, now_ns))
		return;
	for (i = 0; i < DEP_NR; i++) {
		const struct km_key obj = { id = (id * 5 + 7 * i + 1) % OBJ_CAP, KM_GEN_FIRST };

		dep[i] = km_cache_lookup(cache, KM_CACHE_RULE, obj, now_ns);
		if (dep[i])
			km_cache_hold(cache, dep[i]);
		else
			dep[i] = km_cache_insert_rule(cache, obj, 0, now_ns);
	}
	km_cache_insert_top(cache, key, 0, dep, DEP_NR, now_ns);
	for (i = 0; i < DEP_NR; i++)
		km_cache_release(cache, dep[i]);
}

static void *agent(void *arg)
{
	static const uint64_t class_bytes[] = { 1 };
	const struct km_cache_cfg cfg = { .type_cap = TYPE_CAP,
					  .rule_cap = OBJ_CAP,
					  .dep_max = DEP_NR,
					  .class_nr = 1,
					  .class_bytes = class_bytes,
					  .bytes_max = 40 };
	struct side *side = arg;
	struct km_digest *digest;
	struct km_cache *cache;
	uint64_t now_ns = 0;

	km_snap_thread_start();
	side->bad += km_cache_create(&cache, &cfg) != 0;
	while (!side->bad && km_clock_ns() < side->end_ns) {
		serve(side, cache, ++now_ns);
		if (km_rand_below(&side->rand, 2))
			continue;
		digest = km_digest_create(cache);
		side->bad += !digest;
		km_digest_publish(&side->shared->snap, digest);
		stress_delay(&side->rand);
		km_snap_quiesce();
		if (++side->nr % BACKLOG_NR == 0)
			km_snap_drain();
	}
	/* relaxed: carries nothing */
	atomic_store_explicit(&side->shared->stop, true, memory_order_relaxed);
	km_digest_publish(&side->shared->snap, NULL);
	km_snap_drain();
	if (!side->bad)
		km_cache_destroy(cache);
	km_snap_thread_stop();
	return NULL;
}

static bool view_is(const struct km_view *view, const struct km_digest *digest)
{
	uint32_t level, i, id, nr;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (id = 0, nr = 0; id < view->cap[level]; id++)
			nr += km_view_cached(view, level, id, 0);
		if (nr != digest->nr[level])
			return false;
		for (i = 0; i < nr; i++)
			if (!km_view_cached(view, level, digest->keys[level][i].id, 0))
				return false;
	}
	return true;
}

static void *dispatcher(void *arg)
{
	const struct km_view_cfg cfg = {
		.agent_nr = 1, .rule_nr = DEP_NR, .type_cap = TYPE_CAP, .rule_obj_cap = OBJ_CAP
	};
	struct side *side = arg;
	const struct km_digest *digest;
	struct km_view *view = NULL;
	uint32_t looks = 0;

	km_snap_thread_start();
	side->bad += km_view_create(&view, &cfg) != 0;
	/* relaxed: carries nothing */
	while (!side->bad && !atomic_load_explicit(&side->shared->stop, memory_order_relaxed)) {
		km_snap_enter();
		digest = km_snap_read(&side->shared->snap);
		if (digest && digest->version != view->folded_version[0]) {
			side->by_log += digest->version - view->folded_version[0] <= digest->log_nr;
			side->nr++;
			side->bad += km_view_fold(view, 0, digest) || !view_is(view, digest);
			looks = 0;
		}
		km_snap_leave();
		km_snap_quiesce();
		stress_delay(&side->rand);
		if (km_rand_below(&side->rand, 50) == 0)
			sched_yield();
		stress_pause(&looks);
	}
	km_view_destroy(view);
	km_snap_thread_stop();
	return NULL;
}

static void a_view_is_the_digest_it_folded_while_others_follow(void **state)
{
	static void *(*const fn[])(void *) = { agent, dispatcher };
	uint64_t seed = km_test_seed(km_clock_ns()), end = stress_deadline(1);
	static struct shared shared;
	struct side side[2];
	uint32_t i;

	(void)state;
	memset(side, 0, sizeof(side));
	for (i = 0; i < 2; i++) {
		side[i].shared = &shared;
		side[i].end_ns = end;
		km_rand_init(&side[i].rand, seed + i);
	}
	stress_run(fn, side, sizeof(side[0]), 2);
	printf("# %llu published, %llu folded, %llu of them by the log\n",
	       (unsigned long long)side[0].nr, (unsigned long long)side[1].nr,
	       (unsigned long long)side[1].by_log);
	for (i = 0; i < 2; i++)
		assert_int_equal(side[i].bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_is_the_digest_it_folded_while_others_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
