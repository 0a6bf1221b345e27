/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/arena_test.c - an arena keeps its limit, its pages and its node.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/arena.h"
#include "lib/rand.h"
#include "tests/fail_alloc.h"
#include "tests/support/seed.h"

#define MIB (UINT64_C(1) << 20)

static struct km_arena *make_arena(uint64_t mapped_bytes_max)
{
	const struct km_arena_cfg cfg = { .node = -1, .mapped_bytes_max = mapped_bytes_max };
	struct km_arena *arena = NULL;

	assert_int_equal(km_arena_create(&arena, &cfg), 0);
	return arena;
}

/* Without the sanitizers' bookkeeping, which faults pages of its own. */
__attribute__((no_sanitize_thread, no_sanitize_address)) static void touch(char *ptr, size_t bytes)
{
	size_t at;

	for (at = 0; at < bytes; at += 4096)
		((volatile char *)ptr)[at] = 1;
}

static long thread_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt;
}

static bool is_mapped(void *ptr)
{
	char *page = (char *)ptr - ((uintptr_t)ptr & 4095);

	return !msync(page, 4096, MS_ASYNC);
}

static void a_freed_block_comes_back_without_a_fault(void **state)
{
	struct km_arena *arena = make_arena(0);
	const size_t bytes = 100 * MIB;
	long before, faults_min = -1;
	int round;
	char *ptr;

	(void)state;
	ptr = km_arena_alloc(arena, bytes, 64);
	assert_non_null(ptr);
	before = thread_faults();
	touch(ptr, bytes);
	assert_true(thread_faults() > before); /* the measure itself works */
	/* The minimum: the kernel may take pages away for a moment to move them. */
	for (round = 0; round < 5; round++) {
		before = thread_faults();
		km_arena_free(arena, ptr);
		ptr = km_arena_alloc(arena, bytes, 64);
		assert_non_null(ptr);
		touch(ptr, bytes);
		before = thread_faults() - before;
		if (faults_min < 0 || before < faults_min)
			faults_min = before;
	}
	assert_int_equal(faults_min, 0);
	km_arena_destroy(arena);
}

static void large_blocks_are_mapped_exactly(void **state)
{
	struct km_arena *arena = make_arena(0);
	uint64_t before = km_arena_mapped_bytes(arena);

	(void)state;
	assert_non_null(km_arena_alloc(arena, 100 * MIB, 64));
	/* a page of padding at most beyond what it says it takes */
	assert_in_range(km_arena_mapped_bytes(arena) - before, 100 * MIB,
			km_arena_round(100 * MIB, 64) + 4096);
	km_arena_destroy(arena);
}

static void the_mapped_limit_is_never_passed(void **state)
{
	enum { NR = 64, STEPS = 4000 };
	uint64_t seed = km_test_seed(11), max = 24 * MIB;
	struct km_arena *arena = make_arena(max);
	char *held[NR] = { NULL };
	unsigned int refused = 0, i, step;
	struct km_rand rand;

	(void)state;
	km_rand_init(&rand, seed);
	for (step = 0; step < STEPS; step++) {
		size_t bytes = 1 + km_rand_below(&rand, UINT64_C(1) << km_rand_below(&rand, 24));

		i = (unsigned int)km_rand_below(&rand, NR);
		if (held[i]) {
			assert_int_equal(*held[i], (char)i);
			km_arena_free(arena, held[i]);
			held[i] = NULL;
		} else {
			held[i] = km_arena_alloc(arena, bytes, 64);
			refused += !held[i];
			if (held[i]) {
				assert_int_equal((uintptr_t)held[i] & 63, 0);
				held[i][bytes - 1] = (char)i;
				*held[i] = (char)i;
			}
		}
		assert_true(km_arena_mapped_bytes(arena) <= max);
	}
	assert_true(refused > 0); /* the limit was met */
	km_arena_destroy(arena);
}

static void a_full_arena_makes_room_out_of_freed_blocks(void **state)
{
	struct km_arena *arena = make_arena(36 * MIB);
	void *small[8], *large;
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		small[i] = km_arena_alloc(arena, 4 * MIB, 64);
		if (i < 7)
			assert_non_null(small[i]);
	}
	for (i = 0; i < 8; i++)
		km_arena_free(arena, small[i]);
	large = km_arena_alloc(arena, 28 * MIB, 64);
	assert_non_null(large);
	touch(large, 28 * MIB);
	assert_null(km_arena_alloc(arena, 28 * MIB, 64));
	assert_true(km_arena_mapped_bytes(arena) <= 36 * MIB);
	km_arena_destroy(arena);
}

static void blocks_are_aligned_as_asked_and_huge_ones_to_2_mib(void **state)
{
	struct km_arena *arena = make_arena(0);
	size_t align;

	(void)state;
	for (align = 1; align <= 4 * MIB; align *= 2)
		assert_int_equal((uintptr_t)km_arena_alloc(arena, 10, align) & (align - 1), 0);
	assert_int_equal((uintptr_t)km_arena_alloc(arena, 3 * MIB, 1) & (2 * MIB - 1), 0);
	assert_non_null(km_arena_alloc(arena, 0, 1));
	assert_null(km_arena_alloc(arena, SIZE_MAX, 64));
	assert_null(km_arena_alloc(arena, SIZE_MAX / 4, 64));
	km_arena_free(arena, NULL);
	km_arena_destroy(arena);
}

static void destroy_unmaps_what_was_never_freed(void **state)
{
	struct km_arena *arena = make_arena(0);
	void *large = km_arena_alloc(arena, 32 * MIB, 64), *small = km_arena_alloc(arena, 100, 64);
	void *freed = km_arena_alloc(arena, 8 * MIB, 64);

	(void)state;
	assert_true(is_mapped(large) && is_mapped(small) && is_mapped(freed));
	km_arena_free(arena, freed);
	km_arena_destroy(arena);
	assert_false(is_mapped(large) || is_mapped(small) || is_mapped(freed));
	km_arena_destroy(NULL);
}

static void two_arenas_share_no_memory(void **state)
{
	struct km_arena *a = make_arena(0), *b = make_arena(0);
	char *x = km_arena_alloc(a, 4 * MIB, 64), *y;

	(void)state;
	km_arena_free(a, x);
	y = km_arena_alloc(b, 4 * MIB, 64);
	assert_ptr_not_equal(x, y);
	km_arena_destroy(a);
	touch(y, 4 * MIB);
	km_arena_destroy(b);
}

static void a_node_that_does_not_exist_is_refused(void **state)
{
	struct km_arena_cfg cfg = { .node = 1023 };
	struct km_arena *arena = NULL;

	(void)state;
	if (!access("/sys/devices/system/node/node1023", F_OK))
		skip();
	assert_int_equal(km_arena_create(&arena, &cfg), -ENODEV);
	cfg.node = 1 << 20;
	assert_int_equal(km_arena_create(&arena, &cfg), -ENODEV);
	assert_null(arena);
}

static void pages_lie_on_the_node_when_the_kernel_binds(void **state)
{
	const struct km_arena_cfg cfg = { .node = 0, .huge_pages = true };
	struct km_arena *arena = NULL;
	int node = -1, policy = -1, err;
	char *ptr;

	(void)state;
	err = km_arena_create(&arena, &cfg);
	if (err == -ENODEV) /* a machine whose node 0 has no memory */
		skip();
	assert_int_equal(err, 0);
	ptr = km_arena_alloc(arena, 4 * MIB, 64);
	assert_non_null(ptr);
	touch(ptr, 4 * MIB);
	if (km_arena_bound(arena)) {
		assert_int_equal(syscall(SYS_get_mempolicy, &policy, NULL, 0, ptr, MPOL_F_ADDR), 0);
		assert_int_equal(policy, MPOL_BIND);
		assert_int_equal(syscall(SYS_get_mempolicy, &node, NULL, 0, ptr,
					 MPOL_F_NODE | MPOL_F_ADDR),
				 0);
		assert_int_equal(node, 0);
	} else {
		print_message("# not bound: this kernel has no mbind\n");
	}
	km_arena_destroy(arena);
}

static void create_fails_cleanly_without_memory(void **state)
{
	struct km_arena_cfg cfg = { .node = -1, .mapped_bytes_max = MIB };
	struct km_arena *arena = NULL;

	(void)state;
	assert_int_equal(km_arena_create(&arena, &cfg), -ENOMEM);
	cfg.mapped_bytes_max = 0;
	fail_alloc_at = 1;
	assert_int_equal(km_arena_create(&arena, &cfg), -ENOMEM);
	fail_alloc_at = 0;
	assert_null(arena);
}

static void arena_numbers_do_not_run_out(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5000; i++) /* jemalloc has about 4,000 */
		km_arena_destroy(make_arena(0));
}

static void as_many_arenas_as_it_says_can_be_made(void **state)
{
	const struct km_arena_cfg cfg = { .node = -1 };
	struct km_arena **arena, *more;
	uint32_t nr = km_arena_nr_left(), i;

	(void)state;
	assert_in_range(nr, 1, 4095);
	arena = calloc(nr, sizeof(struct km_arena *));
	assert_non_null(arena);
	for (i = 0; i < nr; i++)
		assert_int_equal(km_arena_create(&arena[i], &cfg), 0);
	assert_int_equal(km_arena_nr_left(), 0);
	/* Nothing was destroyed before: it is the first test. */
	assert_int_equal(km_arena_create(&more, &cfg), -ENOMEM);
	for (i = 0; i < nr; i++)
		km_arena_destroy(arena[i]);
	free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_arenas_as_it_says_can_be_made),
		cmocka_unit_test(a_freed_block_comes_back_without_a_fault),
		cmocka_unit_test(large_blocks_are_mapped_exactly),
		cmocka_unit_test(the_mapped_limit_is_never_passed),
		cmocka_unit_test(a_full_arena_makes_room_out_of_freed_blocks),
		cmocka_unit_test(blocks_are_aligned_as_asked_and_huge_ones_to_2_mib),
		cmocka_unit_test(destroy_unmaps_what_was_never_freed),
		cmocka_unit_test(two_arenas_share_no_memory),
		cmocka_unit_test(a_node_that_does_not_exist_is_refused),
		cmocka_unit_test(pages_lie_on_the_node_when_the_kernel_binds),
		cmocka_unit_test(create_fails_cleanly_without_memory),
		cmocka_unit_test(arena_numbers_do_not_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
