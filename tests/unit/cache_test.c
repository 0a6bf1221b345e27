/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/cache_test.c - two-level cache: worked examples U3 and U4, order of
 * eviction, pins, ages, refusals, the digest.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/digest.h"
#include "core/type.h"
#include "tests/fail_alloc.h"

enum { RULE, TOP, BIG, CLASS_NR };

static const uint64_t class_bytes[CLASS_NR] = { 10, 30, 40 };

/* Memory of a few slots, which counts what is out and can run dry. */
struct owner {
	uint32_t out, slot_nr;
	char slot[64];
	bool used[64];
};

static void *take(void *ctx, uint32_t class_idx)
{
	struct owner *owner = ctx;
	uint32_t i;

	assert_true(class_idx < CLASS_NR);
	for (i = 0; i < owner->slot_nr; i++) {
		if (!owner->used[i]) {
			owner->used[i] = true;
			owner->out++;
			return &owner->slot[i];
		}
	}
	return NULL;
}

static void give(void *ctx, uint32_t class_idx, void *slot)
{
	struct owner *owner = ctx;
	const size_t i = (size_t)((char *)slot - owner->slot);

	assert_true(class_idx < CLASS_NR);
	assert_true(i < owner->slot_nr && owner->used[i]);
	owner->used[i] = false;
	owner->out--;
}

static const struct km_cache_ops ops = { take, give };

static struct km_cache *create(uint64_t bytes_max, uint64_t age_ns_max, struct owner *owner)
{
	const struct km_cache_cfg cfg = { .type_cap = 16,
					  .rule_cap = 32,
					  .dep_max = 4,
					  .class_nr = CLASS_NR,
					  .class_bytes = class_bytes,
					  .bytes_max = bytes_max,
					  .age_ns_max = age_ns_max,
					  .ops = owner ? &ops : NULL,
					  .owner = owner };
	struct km_cache *cache;

	if (owner && !owner->slot_nr)
		owner->slot_nr = KM_ARRAY_NR(owner->slot);
	assert_int_equal(km_cache_create(&cache, &cfg), 0);
	return cache;
}

static struct km_key key(uint32_t id)
{
	return (struct km_key){ id, 1 };
}

static bool has(struct km_cache *cache, enum km_cache_level level, uint32_t id)
{
	return km_cache_peek(cache, level, key(id)) != NULL;
}

static struct km_cache_obj *rule(struct km_cache *cache, uint32_t id, uint64_t now_ns)
{
	struct km_cache_obj *obj = km_cache_insert_rule(cache, key(id), RULE, now_ns);

	assert_non_null(obj);
	return obj;
}

/* A consolidated result of rules @r0 and @r1, which are made where absent. */
static struct km_cache_obj *top(struct km_cache *cache, uint32_t id, uint32_t r0, uint32_t r1,
				uint64_t now_ns)
{
	const uint32_t id_of[2] = { r0, r1 };
	struct km_cache_obj *deps[2], *obj;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		deps[i] = km_cache_lookup(cache, KM_CACHE_RULE, key(id_of[i]), now_ns);
		if (deps[i])
			km_cache_hold(cache, deps[i]);
		else
			deps[i] = rule(cache, id_of[i], now_ns);
	}
	obj = km_cache_insert_top(cache, key(id), TOP, deps, 2, now_ns);
	assert_non_null(obj);
	for (i = 0; i < 2; i++)
		km_cache_release(cache, deps[i]);
	assert_null(km_cache_check(cache));
	return obj;
}

static void u4_serve(struct km_cache *cache, struct km_types *types, uint32_t a, uint32_t b,
		     uint64_t now_ns)
{
	const uint32_t trait[2] = { a, b };
	struct km_type *type = km_types_get(types, trait);
	struct km_cache_obj *deps[2];
	uint32_t i;

	if (!km_cache_lookup(cache, KM_CACHE_TOP, type->key, now_ns)) {
		for (i = 0; i < 2; i++) {
			deps[i] = km_cache_lookup(cache, KM_CACHE_RULE, type->rule[i], now_ns);
			if (deps[i])
				km_cache_hold(cache, deps[i]);
			else
				deps[i] = km_cache_insert_rule(cache, type->rule[i], RULE, now_ns);
		}
		assert_non_null(km_cache_insert_top(cache, type->key, TOP, deps, 2, now_ns));
		km_cache_release(cache, deps[0]);
		km_cache_release(cache, deps[1]);
	}
	km_types_put(types, type);
	assert_null(km_cache_check(cache));
}

/* What the last request did: rule and top hits and misses, as one number. */
static uint32_t u4_counts(const struct km_cache *cache)
{
	static struct km_cache_stats last;
	const struct km_cache_stats *now = km_cache_stats(cache);
	uint32_t counts;

	counts = (uint32_t)((now->hits[KM_CACHE_TOP] - last.hits[KM_CACHE_TOP]) * 1000 +
			    (now->misses[KM_CACHE_TOP] - last.misses[KM_CACHE_TOP]) * 100 +
			    (now->hits[KM_CACHE_RULE] - last.hits[KM_CACHE_RULE]) * 10 +
			    (now->misses[KM_CACHE_RULE] - last.misses[KM_CACHE_RULE]));
	last = *now;
	return counts;
}

static void u4_hits_and_misses_of_table_1(void **state)
{
	static const struct km_rule_desc rules[] = { { "R1", 3 }, { "R2", 1 } };
	const struct km_types_cfg cfg = { 8, 16, 2, 2, rules };
	struct km_cache *cache = create(1000, 0, NULL);
	struct km_types *types;

	(void)state;
	assert_int_equal(km_types_create(&types, &cfg), 0);
	u4_serve(cache, types, 1, 1, 10); /* misses cons(a1,b1), R1(a1,b1), R2(a1) */
	assert_int_equal(u4_counts(cache), 102);
	u4_serve(cache, types, 1, 2, 20); /* misses cons(a1,b2), R1(a1,b2), hits R2(a1) */
	assert_int_equal(u4_counts(cache), 111);
	u4_serve(cache, types, 1, 1, 30); /* hits cons(a1,b1), looks up nothing else */
	assert_int_equal(u4_counts(cache), 1000);
	km_types_destroy(types);
	km_cache_destroy(cache);
}

/* Serve the n-th of 1,2,2,1,1,2,2,...; the cache has room for one result. */
static void u3_serve(struct km_cache *cache, uint32_t n)
{
	const uint32_t type = 1 + (n + 1) / 2 % 2;

	if (!km_cache_lookup(cache, KM_CACHE_TOP, key(type), n + 1))
		assert_non_null(km_cache_insert_top(cache, key(type), TOP, NULL, 0, n + 1));
}

static void u3_round_robin_never_hits_and_pinning_always_does(void **state)
{
	enum { NR = 100 };
	struct km_cache *agent[2];
	uint32_t n, i, pinned;

	(void)state;
	for (pinned = 0; pinned < 2; pinned++) {
		uint64_t hits, misses;

		for (i = 0; i < 2; i++)
			agent[i] = create(class_bytes[TOP], 0, NULL);
		for (n = 0; n < NR; n++)
			u3_serve(agent[pinned ? (n + 1) / 2 % 2 : n % 2], n);
		hits = km_cache_stats(agent[0])->hits[KM_CACHE_TOP] +
		       km_cache_stats(agent[1])->hits[KM_CACHE_TOP];
		misses = km_cache_stats(agent[0])->misses[KM_CACHE_TOP] +
			 km_cache_stats(agent[1])->misses[KM_CACHE_TOP];
		/* Pinning misses each type once, before anything is cached. */
		assert_int_equal(misses, pinned ? 2 : NR);
		assert_int_equal(hits, pinned ? NR - 2 : 0);
		for (i = 0; i < 2; i++)
			km_cache_destroy(agent[i]);
	}
}

/* C4: the result first, then what it alone had pinned, then what was used later. */
static void what_a_result_leaves_behind_is_as_old_as_it(void **state)
{
	struct km_cache *cache = create(110, 0, NULL); /* two results, five rules */

	(void)state;
	top(cache, 1, 1, 2, 10);
	top(cache, 2, 2, 3, 20);
	km_cache_release(cache, rule(cache, 4, 15));
	assert_int_equal(km_cache_stats(cache)->bytes, 100);
	km_cache_release(cache, rule(cache, 5, 30));
	assert_true(has(cache, KM_CACHE_TOP, 1));

	km_cache_release(cache, rule(cache, 6, 31)); /* 10 bytes: result 1 goes */
	assert_false(has(cache, KM_CACHE_TOP, 1));
	assert_true(has(cache, KM_CACHE_RULE, 1)); /* left behind, used at 10 */
	km_cache_release(cache, rule(cache, 7, 32));
	km_cache_release(cache, rule(cache, 8, 33));
	assert_true(has(cache, KM_CACHE_RULE, 1));
	km_cache_release(cache, rule(cache, 9, 34)); /* full again: 1, then 4 */
	assert_false(has(cache, KM_CACHE_RULE, 1));
	assert_true(has(cache, KM_CACHE_RULE, 4));
	km_cache_release(cache, rule(cache, 10, 35));
	assert_false(has(cache, KM_CACHE_RULE, 4));
	assert_true(has(cache, KM_CACHE_RULE, 2)); /* result 2 pins it */
	assert_true(has(cache, KM_CACHE_TOP, 2));
	assert_null(km_cache_check(cache));
	km_cache_destroy(cache);
}

static void a_top_hit_uses_the_rules_it_pins(void **state)
{
	struct km_cache *cache = create(1000, 0, NULL);

	(void)state;
	top(cache, 1, 1, 2, 10);
	assert_non_null(km_cache_lookup(cache, KM_CACHE_TOP, key(1), 50));
	km_cache_evict(cache, km_cache_peek(cache, KM_CACHE_TOP, key(1)));
	assert_int_equal(km_cache_peek(cache, KM_CACHE_RULE, key(2))->used_ns, 50);
	assert_int_equal(km_cache_stats(cache)->hits[KM_CACHE_RULE], 0);
	km_cache_destroy(cache);
}

static void pinned_and_held_objects_stay_and_the_insert_is_refused(void **state)
{
	struct owner owner = { 0 };
	struct km_cache *cache = create(60, 0, &owner);
	struct km_cache_obj *held[6];
	uint32_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		held[i] = rule(cache, i, 10);
	assert_null(km_cache_insert_rule(cache, key(6), RULE, 11));
	assert_null(km_cache_insert_top(cache, key(0), TOP, held, 2, 11));
	assert_int_equal(km_cache_stats(cache)->refused, 2);
	for (i = 2; i < 5; i++)
		km_cache_release(cache, held[i]);
	/* 30 bytes can go: just enough. */
	assert_non_null(km_cache_insert_top(cache, key(0), TOP, held, 2, 12));
	assert_null(km_cache_check(cache));
	/* 0, 1 and 5 are held: 40 more cannot fit, so the result is not evicted in vain. */
	assert_null(km_cache_insert_rule(cache, key(7), BIG, 13));
	assert_true(has(cache, KM_CACHE_TOP, 0));
	km_cache_destroy(cache);
	assert_int_equal(owner.out, 0); /* holds or not, every slot went back */
}

static void when_the_owner_runs_dry_the_oldest_goes(void **state)
{
	struct owner owner = { .slot_nr = 3 };
	struct km_cache *cache = create(1000, 0, &owner);
	struct km_cache_obj *r1;

	(void)state;
	r1 = rule(cache, 1, 10);
	km_cache_release(cache, rule(cache, 2, 20));
	km_cache_release(cache, rule(cache, 3, 30));
	km_cache_release(cache, rule(cache, 4, 40)); /* 1 is held: 2 goes */
	assert_false(has(cache, KM_CACHE_RULE, 2));
	assert_true(has(cache, KM_CACHE_RULE, 3));
	assert_null(km_cache_check(cache));
	km_cache_release(cache, r1);
	km_cache_destroy(cache);
	assert_int_equal(owner.out, 0);
}

static void refused_when_the_owner_has_nothing_at_all(void **state)
{
	struct owner owner = { .slot_nr = 1 };
	struct km_cache *cache = create(1000, 0, &owner);
	struct km_cache_obj *r1 = rule(cache, 1, 10);

	(void)state;
	assert_null(km_cache_insert_rule(cache, key(2), RULE, 11));
	assert_int_equal(km_cache_stats(cache)->refused, 1);
	assert_false(has(cache, KM_CACHE_RULE, 2));
	assert_null(km_cache_check(cache));
	km_cache_release(cache, r1);
	km_cache_destroy(cache);
}

static void ages_take_what_was_not_used_for_longer(void **state)
{
	struct km_cache *cache = create(1000, 100, NULL);

	(void)state;
	top(cache, 1, 1, 2, 10);
	top(cache, 2, 2, 3, 60);
	assert_int_equal(km_cache_age(cache, 110), 0);
	assert_int_equal(km_cache_age(cache, 111), 2); /* result 1 and rule 1; 2 was used at 60 */
	assert_false(has(cache, KM_CACHE_RULE, 1));
	assert_true(has(cache, KM_CACHE_RULE, 2));
	assert_int_equal(km_cache_age(cache, 1000), 3);
	assert_int_equal(km_cache_stats(cache)->bytes, 0);
	assert_int_equal(km_cache_stats(cache)->evicted_age[KM_CACHE_RULE], 3);
	assert_null(km_cache_check(cache));
	km_cache_destroy(cache);
}

/* C5. */
static void another_generation_is_absent_and_makes_way(void **state)
{
	struct owner owner = { 0 };
	struct km_cache *cache = create(1000, 0, &owner);
	struct km_cache_obj *obj;

	(void)state;
	top(cache, 1, 1, 2, 10);
	top(cache, 2, 2, 3, 10);
	top(cache, 3, 3, 4, 10);
	assert_null(km_cache_lookup(cache, KM_CACHE_RULE, (struct km_key){ 2, 2 }, 11));
	assert_null(km_cache_peek(cache, KM_CACHE_TOP, (struct km_key){ 3, 2 }));
	assert_null(km_cache_peek(cache, KM_CACHE_TOP, (struct km_key){ 1000, 1 }));

	/* Held: it cannot make way. */
	obj = km_cache_peek(cache, KM_CACHE_RULE, key(2));
	km_cache_hold(cache, obj);
	assert_null(km_cache_insert_rule(cache, (struct km_key){ 2, 2 }, RULE, 12));
	km_cache_release(cache, obj);

	obj = km_cache_insert_rule(cache, (struct km_key){ 2, 2 }, RULE, 12);
	assert_non_null(obj);
	assert_false(has(cache, KM_CACHE_TOP, 1));
	assert_false(has(cache, KM_CACHE_TOP, 2));
	assert_true(has(cache, KM_CACHE_TOP, 3)); /* did not name it */
	assert_null(km_cache_check(cache));
	km_cache_release(cache, obj);

	assert_non_null(km_cache_insert_top(cache, (struct km_key){ 3, 2 }, TOP, NULL, 0, 13));
	assert_false(has(cache, KM_CACHE_TOP, 3));
	assert_int_equal(km_cache_peek(cache, KM_CACHE_RULE, key(4))->pins, 0);
	assert_null(km_cache_check(cache));
	km_cache_destroy(cache);
	assert_int_equal(owner.out, 0);
}

static void the_version_grows_with_the_set_only(void **state)
{
	struct km_cache *cache = create(1000, 0, NULL);
	struct km_cache_obj *obj;
	uint64_t version = km_cache_version(cache);

	(void)state;
	obj = rule(cache, 1, 10);
	assert_int_equal(km_cache_version(cache), ++version);
	km_cache_release(cache, obj);
	assert_non_null(km_cache_lookup(cache, KM_CACHE_RULE, key(1), 11));
	assert_int_equal(km_cache_version(cache), version);
	km_cache_evict(cache, obj);
	assert_int_equal(km_cache_version(cache), ++version);
	km_cache_destroy(cache);
}

static void the_oldest_revision_is_found_beyond_the_lag(void **state)
{
	struct km_cache *cache = create(1000, 0, NULL);

	(void)state;
	assert_null(km_cache_oldest_rev(cache, KM_CACHE_TOP, 100, 0));
	top(cache, 1, 1, 2, 10)->rev = 7;
	top(cache, 2, 2, 3, 11)->rev = 5;
	top(cache, 3, 3, 4, 12)->rev = 9;
	assert_ptr_equal(km_cache_oldest_rev(cache, KM_CACHE_TOP, 10, 0),
			 km_cache_peek(cache, KM_CACHE_TOP, key(2)));
	assert_non_null(km_cache_oldest_rev(cache, KM_CACHE_TOP, 10, 5));
	assert_null(km_cache_oldest_rev(cache, KM_CACHE_TOP, 10, 6));
	assert_null(km_cache_oldest_rev(cache, KM_CACHE_TOP, 4, 0));
	assert_null(km_cache_oldest_rev(cache, KM_CACHE_TOP, 10, UINT64_MAX));
	km_cache_destroy(cache);
}

static void bad_configurations_are_refused(void **state)
{
	const uint64_t none = 0;
	const struct km_cache_cfg good = { .type_cap = 1,
					   .rule_cap = 1,
					   .class_nr = 1,
					   .class_bytes = class_bytes,
					   .bytes_max = 1 };
	struct km_cache *cache = NULL;
	struct km_cache_cfg cfg;

	(void)state;
#define REFUSED(field, value)                                             \
	do {                                                              \
		cfg = good;                                               \
		cfg.field = (value);                                      \
		assert_int_equal(km_cache_create(&cache, &cfg), -EINVAL); \
	} while (0)
	REFUSED(type_cap, 0);
	REFUSED(rule_cap, 0);
	REFUSED(class_nr, 0);
	REFUSED(class_bytes, NULL);
	REFUSED(class_bytes, &none);
	REFUSED(bytes_max, 0);
#undef REFUSED
	assert_null(cache);
	assert_int_equal(km_cache_create(&cache, &good), 0);
	/* One byte of budget fits nothing. */
	assert_null(km_cache_insert_top(cache, key(0), 0, NULL, 0, 1));
	km_cache_destroy(cache);
	km_cache_destroy(NULL);
}

static void create_survives_each_failing_allocation(void **state)
{
	const struct km_cache_cfg cfg = { .type_cap = 4,
					  .rule_cap = 4,
					  .dep_max = 2,
					  .class_nr = 1,
					  .class_bytes = class_bytes,
					  .bytes_max = 100 };
	struct km_cache *cache = NULL;
	unsigned int nr;
	int err;

	(void)state;
	for (nr = 1;; nr++) {
		fail_alloc_at = nr;
		err = km_cache_create(&cache, &cfg);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(cache);
		fail_alloc_at = 0;
	}
	assert_true(fail_alloc_at > 0); /* was not reached: all had failed before */
	fail_alloc_at = 0;
	assert_int_equal(nr, 10); /* the cache itself and its eight tables */
	km_cache_destroy(cache);
}

static void the_digest_lists_what_is_cached(void **state)
{
	struct km_cache *cache = create(1000, 0, NULL);
	struct km_snap snap = { NULL };
	struct km_digest *digest;
	uint32_t i, seen = 0;

	(void)state;
	km_snap_thread_start();
	top(cache, 3, 1, 2, 10);
	top(cache, 5, 2, 4, 11);
	digest = km_digest_create(cache);
	assert_non_null(digest);
	assert_int_equal(digest->version, km_cache_version(cache));
	assert_int_equal(digest->nr[KM_CACHE_TOP], 2);
	assert_int_equal(digest->nr[KM_CACHE_RULE], 3);
	for (i = 0; i < 3; i++)
		seen |= 1u << digest->keys[KM_CACHE_RULE][i].id;
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 4);
	for (i = 0, seen = 0; i < 2; i++)
		seen |= 1u << digest->keys[KM_CACHE_TOP][i].id;
	assert_int_equal(seen, 1 << 3 | 1 << 5);

	km_digest_publish(&snap, digest);
	km_snap_enter();
	assert_ptr_equal(km_snap_read(&snap), digest);
	km_snap_leave();
	km_digest_publish(&snap, km_digest_create(cache)); /* retires the first */
	km_digest_publish(&snap, NULL); /* withdraws */
	assert_null(km_snap_read(&snap));
	km_snap_drain(); /* leaks nothing: the sanitizer looks */
	km_snap_thread_stop();
	km_cache_destroy(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u4_hits_and_misses_of_table_1),
		cmocka_unit_test(u3_round_robin_never_hits_and_pinning_always_does),
		cmocka_unit_test(what_a_result_leaves_behind_is_as_old_as_it),
		cmocka_unit_test(a_top_hit_uses_the_rules_it_pins),
		cmocka_unit_test(pinned_and_held_objects_stay_and_the_insert_is_refused),
		cmocka_unit_test(when_the_owner_runs_dry_the_oldest_goes),
		cmocka_unit_test(refused_when_the_owner_has_nothing_at_all),
		cmocka_unit_test(ages_take_what_was_not_used_for_longer),
		cmocka_unit_test(another_generation_is_absent_and_makes_way),
		cmocka_unit_test(the_version_grows_with_the_set_only),
		cmocka_unit_test(the_oldest_revision_is_found_beyond_the_lag),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(create_survives_each_failing_allocation),
		cmocka_unit_test(the_digest_lists_what_is_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
