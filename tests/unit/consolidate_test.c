/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/consolidate_test.c - keys in blocks under a tree of least keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place/consolidate.h"
#include "tests/support/seed.h"

static void *slot_alloc(uint32_t server_nr)
{
	const size_t bytes = (km_cons_bytes(server_nr) + 63) & ~(size_t)63;
	void *slot = aligned_alloc(64, bytes);

	assert_non_null(slot);
	memset(slot, 0xa5, bytes);
	return slot;
}

static uint64_t random_key(struct km_rand *rand)
{
	return km_rand_below(rand, 4) ? km_rand_below(rand, 6) : KM_KEY_NONE;
}

static uint64_t least(const struct km_cons *cons, uint32_t *count)
{
	uint64_t min = KM_KEY_NONE;
	uint32_t i;

	for (i = 0, *count = 0; i < cons->server_nr; i++)
		min = km_min_u64(min, cons->key[i]);
	for (i = 0; i < cons->server_nr; i++)
		*count += min != KM_KEY_NONE && cons->key[i] == min;
	return min;
}

/* The tree over the keys that were written. */
static void build(struct km_cons *cons)
{
	const uint32_t n = cons->block_nr;
	uint64_t i;

	for (i = cons->server_nr; i < (uint64_t)n * KM_CONS_BLOCK; i++)
		cons->key[i] = KM_KEY_NONE;
	for (i = 0; i < n; i++)
		cons->node[n + i] = km_cons_leaf(&cons->key[i * KM_CONS_BLOCK]);
	km_cons_raise(cons);
}

static void updates_equal_a_build_and_the_root_is_the_least(void **state)
{
	struct km_cons cons, again;
	struct km_rand rand;
	uint32_t n, i, round, count;

	(void)state;
	km_rand_init(&rand, km_test_seed(20240611));
	for (n = 1; n <= 200; n += 1 + n / 7) {
		void *slot = slot_alloc(n), *slot2 = slot_alloc(n);

		km_cons_map(&cons, slot, n);
		km_cons_map(&again, slot2, n);
		for (i = 0; i < n; i++)
			cons.key[i] = random_key(&rand);
		build(&cons);
		for (round = 0; round < 50; round++) {
			km_cons_set(&cons, (uint32_t)km_rand_below(&rand, n), random_key(&rand));
			assert_null(km_cons_check(&cons));
			assert_int_equal(cons.node[1].min, least(&cons, &count));
			assert_int_equal(cons.node[1].count, count);
		}
		memcpy(again.key, cons.key, n * sizeof(*cons.key));
		build(&again);
		assert_memory_equal(slot, slot2, km_cons_bytes(n));
		free(slot);
		free(slot2);
	}
}

static void every_one_of_the_best_is_picked_and_nothing_else(void **state)
{
	enum { N = 37, TRIES = 4000 };
	uint32_t i, server, best_nr, hits[N] = { 0 };
	void *slot = slot_alloc(N);
	struct km_cons cons;
	struct km_rand rand;

	(void)state;
	km_rand_init(&rand, km_test_seed(20240611));
	km_cons_map(&cons, slot, N);
	for (i = 0; i < N; i++)
		cons.key[i] = i % 5 == 2 ? 7 : 8 + i;
	build(&cons);
	for (i = 0; i < TRIES; i++) {
		assert_true(km_cons_best(&cons, &rand, &server));
		hits[server]++;
	}
	best_nr = cons.node[1].count;
	assert_int_equal(best_nr, 7);
	for (i = 0; i < N; i++) {
		if (i % 5 != 2)
			assert_int_equal(hits[i], 0);
		else /* expected 571, deviation 22: nine of them are never reached */
			assert_in_range(hits[i], TRIES / best_nr - 200, TRIES / best_nr + 200);
	}
	free(slot);
}

static void no_feasible_server_means_no_pick(void **state)
{
	void *slot = slot_alloc(9);
	struct km_cons cons;
	struct km_rand rand;
	uint32_t i, server;

	(void)state;
	km_rand_init(&rand, 1);
	km_cons_map(&cons, slot, 9);
	for (i = 0; i < 9; i++)
		cons.key[i] = KM_KEY_NONE;
	build(&cons);
	assert_false(km_cons_best(&cons, &rand, &server));
	km_cons_set(&cons, 8, KM_KEY_NONE - 1);
	assert_true(km_cons_best(&cons, &rand, &server));
	assert_int_equal(server, 8);
	free(slot);
}

static void the_check_sees_a_stale_node(void **state)
{
	void *slot = slot_alloc(64);
	struct km_cons cons;
	uint32_t i;

	(void)state;
	km_cons_map(&cons, slot, 64);
	for (i = 0; i < 64; i++)
		cons.key[i] = i;
	build(&cons);
	cons.key[20] = 0; /* behind the tree's back */
	assert_non_null(km_cons_check(&cons));
	free(slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_equal_a_build_and_the_root_is_the_least),
		cmocka_unit_test(every_one_of_the_best_is_picked_and_nothing_else),
		cmocka_unit_test(no_feasible_server_means_no_pick),
		cmocka_unit_test(the_check_sees_a_stale_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
