/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/type_test.c - the classifier: names, bounds, recycling (T1 to T3
 * of core/type.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/type.h"
#include "lib/rand.h"
#include "tests/support/seed.h"

/* Traits a, b, and c, which no rule uses. */
enum { A, B, C, TRAIT_NR };

static const struct km_rule_desc rules[] = {
	{ "R1", 1 << A | 1 << B },
	{ "R2", 1 << A },
};

static struct km_types *create(uint32_t type_cap, uint32_t rule_obj_cap)
{
	const struct km_types_cfg cfg = { .type_cap = type_cap,
					  .rule_obj_cap = rule_obj_cap,
					  .trait_nr = TRAIT_NR,
					  .rule_nr = KM_ARRAY_NR(rules),
					  .rules = rules };
	struct km_types *types;

	assert_int_equal(km_types_create(&types, &cfg), 0);
	return types;
}

static struct km_type *get(struct km_types *types, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t trait[TRAIT_NR] = { a, b, c };

	return km_types_get(types, trait);
}

static bool same_key(struct km_key a, struct km_key b)
{
	return a.id == b.id && a.gen == b.gen;
}

static void same_used_traits_are_the_same_type(void **state)
{
	struct km_types *types = create(8, 16);
	struct km_type *t = get(types, 1, 2, 3);

	(void)state;
	assert_ptr_equal(get(types, 1, 2, 99), t); /* c is used by no rule */
	assert_int_equal(t->refs, 2);
	assert_int_equal(t->trait[A], 1);
	assert_int_equal(t->trait[B], 2);
	assert_int_equal(t->trait[C], 0);
	assert_ptr_not_equal(get(types, 2, 1, 3), t);
	assert_ptr_not_equal(get(types, 0, 2, 3), t);
	assert_int_equal(km_types_stats(types)->interned, 3);
	km_types_destroy(types);
}

/* The keys of U4: R1(a,b) and R2(a). */
static void rule_objects_are_shared_where_the_used_traits_are_equal(void **state)
{
	struct km_types *types = create(8, 16);
	struct km_type *t11 = get(types, 1, 1, 0), *t12 = get(types, 1, 2, 0),
		       *t21 = get(types, 2, 1, 0);

	(void)state;
	assert_true(same_key(t11->rule[1], t12->rule[1])); /* R2(a1) */
	assert_false(same_key(t11->rule[0], t12->rule[0])); /* R1(a1,b1), R1(a1,b2) */
	assert_false(same_key(t11->rule[0], t21->rule[0]));
	assert_false(same_key(t11->rule[1], t21->rule[1]));
	assert_false(t11->rule[0].id == t11->rule[1].id);
	assert_int_equal(km_types_stats(types)->rule_interned, 5);
	km_types_destroy(types);
}

static void rules_of_equal_traits_have_objects_of_their_own(void **state)
{
	static const struct km_rule_desc twins[] = { { "x", 1 }, { "y", 1 }, { "z", 0 } };
	const struct km_types_cfg cfg = {
		.type_cap = 4, .rule_obj_cap = 6, .trait_nr = 1, .rule_nr = 3, .rules = twins
	};
	const uint32_t one = 1, two = 2;
	struct km_type *t1, *t2;
	struct km_types *types;

	(void)state;
	assert_int_equal(km_types_create(&types, &cfg), 0);
	t1 = km_types_get(types, &one);
	t2 = km_types_get(types, &two);
	assert_false(t1->rule[0].id == t1->rule[1].id);
	assert_true(same_key(t1->rule[2], t2->rule[2])); /* uses no trait: one object */
	assert_int_equal(km_types_stats(types)->rule_interned, 5);
	km_types_destroy(types);
}

static void the_name_survives_a_restart(void **state)
{
	struct km_types *types = create(8, 16);
	const uint64_t hash = get(types, 5, 6, 0)->hash;

	(void)state;
	km_types_destroy(types);
	types = create(100, 200);
	assert_true(get(types, 6, 5, 0)->hash != hash);
	assert_true(get(types, 5, 6, 1)->hash == hash);
	km_types_destroy(types);
}

static void bounds_are_checked(void **state)
{
	static const struct km_rule_desc wide[] = { { "w", 1 << 5 } };
	static const struct km_rule_desc narrow[] = { { "n", 1 } };
	const struct km_types_cfg good = { 2, 2, 1, 1, narrow };
	struct km_types *types = NULL;
	struct km_types_cfg cfg;

	(void)state;
#define REFUSED(field, value)                                             \
	do {                                                              \
		cfg = good;                                               \
		cfg.field = (value);                                      \
		assert_int_equal(km_types_create(&types, &cfg), -EINVAL); \
	} while (0)
	REFUSED(type_cap, 1);
	REFUSED(type_cap, UINT32_C(1) << 22);
	REFUSED(rule_obj_cap, 1);
	REFUSED(rule_obj_cap, UINT32_MAX);
	REFUSED(trait_nr, 0);
	REFUSED(trait_nr, KM_TRAITS_MAX + 1);
	REFUSED(rule_nr, 0);
	REFUSED(rule_nr, KM_RULES_MAX + 1);
	REFUSED(rules, wide);
	REFUSED(rules, NULL);
#undef REFUSED
	assert_null(types);
	assert_int_equal(km_types_create(&types, &good), 0);
	assert_null(km_types_at(types, 0));
	assert_null(km_types_at(types, 2));
	assert_null(km_types_at(types, UINT32_MAX));
	km_types_destroy(types);
}

struct told {
	uint32_t nr;
	enum km_cache_level level[8];
	struct km_key key[8];
};

static void note(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct told *told = ctx;

	if (told->nr < KM_ARRAY_NR(told->key)) {
		told->level[told->nr] = level;
		told->key[told->nr] = key;
	}
	told->nr++;
}

static void a_recycled_id_has_a_new_generation_and_is_told(void **state)
{
	struct km_types *types = create(2, 4);
	struct told told = { 0 };
	struct km_type *t0, *t1, *t2;
	struct km_key was;

	(void)state;
	km_types_on_recycle(types, note, &told);
	t0 = get(types, 1, 1, 0);
	t1 = get(types, 2, 2, 0);
	was = t0->key;
	km_types_put(types, t1);
	km_types_put(types, t0); /* t1 is unreferenced for longer */
	assert_ptr_equal(get(types, 2, 2, 0), t1); /* but in flight again */
	assert_int_equal(told.nr, 0);

	t2 = get(types, 3, 3, 0);
	assert_ptr_equal(t2, t0);
	assert_int_equal(t2->key.id, was.id);
	assert_int_not_equal(t2->key.gen, was.gen);
	assert_ptr_equal(km_types_at(types, was.id), t2);
	assert_int_equal(told.nr, 3); /* R1(1,1), R2(1), the type */
	assert_int_equal(told.level[0], KM_CACHE_RULE);
	assert_true(same_key(told.key[0], t2->rule[0]));
	assert_true(same_key(told.key[1], t2->rule[1]));
	assert_int_equal(told.level[2], KM_CACHE_TOP);
	assert_true(same_key(told.key[2], t2->key));

	/* Both are in flight now. */
	assert_null(get(types, 4, 4, 0));
	assert_int_equal(km_types_stats(types)->refused, 1);
	assert_int_equal(told.nr, 3);
	km_types_put(types, t2);
	assert_non_null(get(types, 4, 4, 0));
	km_types_destroy(types);
}

static void more_types_go_when_rule_objects_run_short(void **state)
{
	struct km_types *types = create(8, 4);
	struct km_type *held;
	struct km_key shared;
	uint32_t id, live = 0;

	(void)state;
	/* R2(1) is shared by three types, R1 takes the other three objects. */
	km_types_put(types, get(types, 1, 1, 0));
	km_types_put(types, get(types, 1, 2, 0));
	held = get(types, 1, 3, 0);
	shared = held->rule[1];

	/* Needs two objects: (1,1) and (1,2) go, (1,3) keeps R2(1). */
	assert_non_null(get(types, 2, 2, 0));
	for (id = 0; id < 8; id++)
		live += km_types_at(types, id) != NULL;
	assert_int_equal(live, 2);
	assert_true(same_key(held->rule[1], shared));

	/* All four are named by types in flight. */
	assert_null(get(types, 3, 3, 0));
	assert_int_equal(km_types_stats(types)->refused, 1);
	/* What exists is still found, and a fresh type id was not lost. */
	assert_ptr_equal(get(types, 1, 3, 0), held);
	km_types_put(types, held);
	km_types_put(types, held);
	assert_true(get(types, 3, 3, 0)->rule[1].gen > 0);
	assert_int_equal(km_types_stats(types)->interned, 5);
	km_types_destroy(types);
}

static void a_refusal_leaves_no_reference_behind(void **state)
{
	struct km_types *types = create(8, 4);
	struct km_type *t1 = get(types, 1, 1, 0), *t2 = get(types, 2, 2, 0);
	uint32_t i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_null(get(types, 2, 9, 0)); /* R2(2) is there, R1(2,9) finds no room */
	km_types_put(types, t1);
	km_types_put(types, t2);
	/* All four objects can be had again. */
	assert_non_null(get(types, 7, 7, 0));
	assert_non_null(get(types, 8, 8, 0));
	km_types_destroy(types);
}

/*
 * T1 and T3 over an endless stream: a window of types stays in flight, and
 * what one of them was told at get() must hold until its put().
 */
static void a_million_new_types_never_disturb_those_in_flight(void **state)
{
	enum { TYPE_CAP = 64, OBJ_CAP = 100, FLIGHT = 40, STREAM = 1000000 };
	struct flight {
		struct km_type *type;
		struct km_type copy;
	} flight[FLIGHT] = { { 0 } };
	struct km_types *types = create(TYPE_CAP, OBJ_CAP);
	uint32_t last_gen[TYPE_CAP] = { 0 };
	struct km_rand rand;
	uint32_t i, j;

	(void)state;
	km_rand_init(&rand, km_test_seed(1));
	for (i = 0; i < STREAM; i++) {
		struct flight *f = &flight[km_rand_below(&rand, FLIGHT)];
		struct km_type *type;

		if (f->type) {
			assert_memory_equal(f->type->trait, f->copy.trait, sizeof(f->copy.trait));
			assert_memory_equal(f->type->rule, f->copy.rule, sizeof(f->copy.rule));
			assert_true(same_key(f->type->key, f->copy.key));
			km_types_put(types, f->type);
			f->type = NULL;
		}
		type = get(types, i, i % 7, i);
		assert_non_null(type);
		assert_true(type->key.id < TYPE_CAP);
		assert_true(type->rule[0].id < OBJ_CAP && type->rule[1].id < OBJ_CAP);
		assert_int_equal(type->refs, 1); /* never one in flight */
		assert_true(type->key.gen > last_gen[type->key.id]);
		last_gen[type->key.id] = type->key.gen;
		f->type = type;
		f->copy = *type;
	}
	assert_int_equal(km_types_stats(types)->interned, STREAM);
	assert_int_equal(km_types_stats(types)->refused, 0);
	for (i = 0; i < FLIGHT; i++) /* no two rule objects of those in flight are one */
		for (j = 0; j < i; j++)
			if (flight[i].type && flight[j].type)
				assert_true(flight[i].type->rule[0].id !=
					    flight[j].type->rule[0].id);
	km_types_destroy(types);
}

/* T3 for rule objects: one key, one meaning. @meaning is by id. */
struct meaning {
	uint32_t gen, rule_idx, a, b;
};

static void one_key_one_meaning(struct meaning *meaning, const struct km_type *type)
{
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(rules); i++) {
		const struct meaning now = { type->rule[i].gen, i, type->trait[A],
					     i == 0 ? type->trait[B] : 0 };
		struct meaning *last = &meaning[type->rule[i].id];

		assert_true(now.gen >= last->gen);
		if (now.gen == last->gen)
			assert_memory_equal(&now, last, sizeof(now));
		*last = now;
	}
}

/*
 * T2 and T3 against what is in flight: few values, so that types come back,
 * and tight bounds, so that they are recycled in between.
 */
static void names_stay_true_under_recycling(void **state)
{
	enum { VALUES = 6, TYPE_CAP = 12, OBJ_CAP = 20, FLIGHT = 6, ROUNDS = 200000 };
	struct km_type *flight[FLIGHT] = { 0 };
	struct meaning meaning[OBJ_CAP] = { { 0 } };
	struct km_types *types = create(TYPE_CAP, OBJ_CAP);
	struct km_rand rand;
	uint32_t i, j;

	(void)state;
	km_rand_init(&rand, km_test_seed(2));
	for (i = 0; i < ROUNDS; i++) {
		const uint32_t f = (uint32_t)km_rand_below(&rand, FLIGHT);
		const uint32_t a = (uint32_t)km_rand_below(&rand, VALUES);
		const uint32_t b = (uint32_t)km_rand_below(&rand, VALUES);

		if (flight[f])
			km_types_put(types, flight[f]);
		flight[f] = get(types, a, b, i);
		assert_non_null(flight[f]);
		one_key_one_meaning(meaning, flight[f]);
		for (j = 0; j < FLIGHT; j++) {
			const struct km_type *t = flight[j];
			bool a_same, both_same;

			if (!t)
				continue;
			a_same = t->trait[A] == a;
			both_same = a_same && t->trait[B] == b;
			assert_true((t == flight[f]) == both_same);
			assert_true(same_key(t->rule[0], flight[f]->rule[0]) == both_same);
			assert_true(same_key(t->rule[1], flight[f]->rule[1]) == a_same);
		}
	}
	assert_true(km_types_stats(types)->recycled > 0);
	assert_true(km_types_stats(types)->rule_recycled > 0);
	km_types_destroy(types);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_used_traits_are_the_same_type),
		cmocka_unit_test(rule_objects_are_shared_where_the_used_traits_are_equal),
		cmocka_unit_test(rules_of_equal_traits_have_objects_of_their_own),
		cmocka_unit_test(the_name_survives_a_restart),
		cmocka_unit_test(bounds_are_checked),
		cmocka_unit_test(a_recycled_id_has_a_new_generation_and_is_told),
		cmocka_unit_test(more_types_go_when_rule_objects_run_short),
		cmocka_unit_test(a_refusal_leaves_no_reference_behind),
		cmocka_unit_test(a_million_new_types_never_disturb_those_in_flight),
		cmocka_unit_test(names_stay_true_under_recycling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
