/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/slots_test.c - slots are recycled, counted and limited.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/slots.h"
#include "lib/rand.h"
#include "tests/fail_alloc.h"
#include "tests/support/seed.h"

#define MIB (UINT64_C(1) << 20)
#define NO_LIMIT UINT64_MAX

static struct km_arena *make_arena(uint64_t mapped_bytes_max)
{
	const struct km_arena_cfg cfg = { .node = -1, .mapped_bytes_max = mapped_bytes_max };
	struct km_arena *arena = NULL;

	assert_int_equal(km_arena_create(&arena, &cfg), 0);
	return arena;
}

static struct km_slots *make_slots(struct km_arena *arena, uint32_t class_nr,
				   const uint64_t *class_bytes, uint64_t bytes_max, bool prefault)
{
	struct km_slots *slots = NULL;

	assert_int_equal(km_slots_create(&slots, arena, class_nr, class_bytes, bytes_max, prefault),
			 0);
	return slots;
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

static void a_100_mib_slot_is_reused_without_a_fault(void **state)
{
	const uint64_t class_bytes[] = { 100 * MIB };
	struct km_arena *arena = make_arena(0);
	struct km_slots *slots = make_slots(arena, 1, class_bytes, NO_LIMIT, false);
	char *slot = km_slots_take(slots, 0), *again;
	long faults, faults_min = -1;
	int round;

	(void)state;
	assert_non_null(slot);
	faults = thread_faults();
	touch(slot, 100 * MIB);
	assert_true(thread_faults() > faults); /* the measure itself works */
	/* The minimum: the kernel may take pages away for a moment to move them. */
	for (round = 0; round < 5; round++) {
		faults = thread_faults();
		km_slots_give(slots, 0, slot);
		again = km_slots_take(slots, 0);
		assert_ptr_equal(again, slot);
		touch(again, 100 * MIB);
		faults = thread_faults() - faults;
		if (faults_min < 0 || faults < faults_min)
			faults_min = faults;
	}
	assert_int_equal(faults_min, 0);
	km_slots_give(slots, 0, slot);
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

static size_t resident_pages(void *slot, size_t bytes)
{
	static unsigned char page[8192];
	size_t nr = bytes / 4096, resident = 0, i;

	assert_true(nr <= sizeof(page));
	assert_int_equal(mincore(slot, bytes, page), 0);
	for (i = 0; i < nr; i++)
		resident += page[i] & 1;
	return resident;
}

static void a_fresh_slot_is_backed_when_asked(void **state)
{
	const uint64_t class_bytes[] = { 20 * MIB };
	struct km_arena *arena = make_arena(0);
	struct km_slots *lazy = make_slots(arena, 1, class_bytes, NO_LIMIT, false);
	struct km_slots *eager = make_slots(arena, 1, class_bytes, NO_LIMIT, true);
	void *a = km_slots_take(lazy, 0), *b = km_slots_take(eager, 0);

	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096)
		skip();
	assert_int_equal(resident_pages(a, 20 * MIB), 0);
	assert_int_equal(resident_pages(b, 20 * MIB), 20 * MIB / 4096);
	km_slots_give(lazy, 0, a);
	km_slots_give(eager, 0, b);
	km_slots_destroy(lazy);
	km_slots_destroy(eager);
	km_arena_destroy(arena);
}

static void the_limit_is_hard_and_a_gift_lifts_it(void **state)
{
	const uint64_t class_bytes[] = { 3 * MIB };
	struct km_arena *arena = make_arena(0);
	uint64_t each = km_arena_round(3 * MIB, 64);
	struct km_slots *slots = make_slots(arena, 1, class_bytes, 2 * each, false);
	const struct km_slots_stats *stats = km_slots_stats(slots);
	void *a = km_slots_take(slots, 0), *b = km_slots_take(slots, 0);

	(void)state;
	assert_int_equal(km_slots_class_bytes(slots, 0), each);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(km_slots_take(slots, 0));
	assert_int_equal(stats->refused, 1);
	assert_int_equal(stats->bytes, 2 * each);
	km_slots_give(slots, 0, a);
	assert_int_equal(stats->taken_bytes, each);
	assert_ptr_equal(km_slots_take(slots, 0), a);
	assert_int_equal(stats->recycled, 1);
	km_slots_give(slots, 0, a);
	km_slots_give(slots, 0, b);
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

static void kept_slots_of_other_classes_make_room(void **state)
{
	const uint64_t class_bytes[] = { 2 * MIB, 8 * MIB };
	struct km_arena *arena = make_arena(0);
	struct km_slots *slots = make_slots(arena, 2, class_bytes, 12 * MIB, false);
	const struct km_slots_stats *stats = km_slots_stats(slots);
	void *small[5], *large;
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_non_null(small[i] = km_slots_take(slots, 0));
	for (i = 1; i < 5; i++)
		km_slots_give(slots, 0, small[i]);
	large = km_slots_take(slots, 1); /* 10 MiB held; 8 more need 6 back */
	assert_non_null(large);
	assert_int_equal(stats->returned, 3);
	assert_int_equal(stats->bytes, 12 * MIB);
	assert_null(km_slots_take(slots, 1));
	assert_int_equal(stats->returned, 3); /* no use: the kept one stays */
	km_slots_give(slots, 1, large);
	km_slots_give(slots, 0, small[0]);
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

static void the_class_with_the_most_idle_memory_returns_first(void **state)
{
	const uint64_t class_bytes[] = { 2 * MIB, 4 * MIB, 8 * MIB };
	struct km_arena *arena = make_arena(0);
	struct km_slots *slots = make_slots(arena, 3, class_bytes, 14 * MIB, false);
	const struct km_slots_stats *stats = km_slots_stats(slots);
	void *two = km_slots_take(slots, 0), *four[2], *eight;

	(void)state;
	four[0] = km_slots_take(slots, 1);
	four[1] = km_slots_take(slots, 1);
	km_slots_give(slots, 1, four[0]);
	km_slots_give(slots, 1, four[1]);
	km_slots_give(slots, 0, two);
	eight = km_slots_take(slots, 2); /* 10 MiB kept; 4 of them have to go */
	assert_int_equal(stats->returned, 1);
	assert_ptr_equal(km_slots_take(slots, 0), two);
	assert_ptr_equal(km_slots_take(slots, 1), four[0]);
	km_slots_give(slots, 0, two);
	km_slots_give(slots, 1, four[0]);
	km_slots_give(slots, 2, eight);
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

static void a_full_arena_is_served_from_kept_slots(void **state)
{
	const uint64_t class_bytes[] = { 2 * MIB, 16 * MIB };
	struct km_arena *arena = make_arena(24 * MIB);
	struct km_slots *slots = make_slots(arena, 2, class_bytes, NO_LIMIT, false);
	void *small[16], *large;
	int nr = 0;

	(void)state;
	while (nr < 16 && (small[nr] = km_slots_take(slots, 0)))
		nr++;
	assert_in_range(nr, 5, 12); /* the arena's limit was met */
	assert_null(km_slots_take(slots, 1));
	while (nr--)
		km_slots_give(slots, 0, small[nr]);
	large = km_slots_take(slots, 1);
	assert_non_null(large);
	touch(large, 16 * MIB);
	assert_true(km_arena_mapped_bytes(arena) <= 24 * MIB);
	km_slots_give(slots, 1, large);
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

/* Shrinks the arena's limit to where the n-th take fails, n = 0, 1, ... */
static void the_nth_fresh_slot_fails_without_a_trace(void **state)
{
	const uint64_t class_bytes[] = { 4 * MIB };
	uint64_t each = km_arena_round(4 * MIB, 64), bytes;
	void *slot[6];
	int nr, taken, i;

	(void)state;
	for (nr = 0; nr < 5; nr++) {
		/* 2 MiB of metadata, and up to a page beyond each block */
		struct km_arena *arena = make_arena(2 * MIB + (uint64_t)nr * (each + 4096));
		struct km_slots *slots = make_slots(arena, 1, class_bytes, NO_LIMIT, true);

		for (taken = 0; taken < 6 && (slot[taken] = km_slots_take(slots, 0)); taken++)
			;
		assert_int_equal(taken, nr);
		bytes = km_slots_stats(slots)->bytes;
		assert_int_equal(bytes, (uint64_t)nr * each);
		assert_int_equal(km_slots_stats(slots)->taken_bytes, bytes);
		assert_int_equal(km_slots_stats(slots)->refused, 1);
		for (i = 0; i < taken; i++)
			km_slots_give(slots, 0, slot[i]);
		km_slots_destroy(slots);
		km_arena_destroy(arena);
	}
}

static void bad_configurations_are_refused(void **state)
{
	const uint64_t zero[] = { MIB, 0 }, vast[] = { UINT64_MAX }, good[] = { MIB };
	struct km_arena *arena = make_arena(0);
	struct km_slots *slots = NULL;

	(void)state;
	assert_int_equal(km_slots_create(&slots, arena, 0, good, MIB, false), -EINVAL);
	assert_int_equal(km_slots_create(&slots, arena, UINT32_MAX, good, MIB, false), -EINVAL);
	assert_int_equal(km_slots_create(&slots, arena, 2, zero, MIB, false), -EINVAL);
	assert_int_equal(km_slots_create(&slots, arena, 1, vast, MIB, false), -EINVAL);
	fail_alloc_at = 1;
	assert_int_equal(km_slots_create(&slots, arena, 1, good, MIB, false), -ENOMEM);
	fail_alloc_at = 0;
	assert_null(slots);
	slots = make_slots(arena, 1, good, 0, false);
	assert_null(km_slots_take(slots, 0));
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

/* What the model knows of one slot that is out. */
struct held {
	uint32_t class_idx;
	unsigned char *slot;
	unsigned char mark;
};

static void check_marks(const struct held *held, const uint64_t *class_bytes)
{
	assert_int_equal(held->slot[0], held->mark);
	assert_int_equal(held->slot[class_bytes[held->class_idx] - 1], held->mark);
}

static void random_takes_and_gives_follow_the_model(void **state)
{
	enum { NR = 200, STEPS = 20000 };
	const uint64_t class_bytes[] = { 1, 100, 5000, 70000, MIB, 2 * MIB, 5 * MIB };
	const uint32_t class_nr = KM_ARRAY_NR(class_bytes);
	uint64_t seed = km_test_seed(5), max = 30 * MIB, taken_bytes = 0;
	uint64_t takes = 0, refused = 0;
	struct km_arena *arena = make_arena(0);
	struct km_slots *slots = make_slots(arena, class_nr, class_bytes, max, false);
	const struct km_slots_stats *stats = km_slots_stats(slots);
	static struct held held[NR];
	struct km_rand rand;
	unsigned int step;

	(void)state;
	km_rand_init(&rand, seed);
	for (step = 0; step < STEPS; step++) {
		struct held *one = &held[km_rand_below(&rand, NR)];

		if (one->slot) {
			check_marks(one, class_bytes);
			km_slots_give(slots, one->class_idx, one->slot);
			taken_bytes -= km_slots_class_bytes(slots, one->class_idx);
			one->slot = NULL;
		} else {
			one->class_idx = (uint32_t)km_rand_below(&rand, class_nr);
			one->slot = km_slots_take(slots, one->class_idx);
			takes++;
			if (one->slot) {
				uint64_t bytes = class_bytes[one->class_idx];

				taken_bytes += km_slots_class_bytes(slots, one->class_idx);
				assert_int_equal((uintptr_t)one->slot &
							 (bytes >= 2 * MIB ? 2 * MIB - 1 : 63),
						 0);
				one->mark = (unsigned char)step;
				one->slot[0] = one->slot[bytes - 1] = one->mark;
			} else {
				refused++;
				/* only what is taken may stand in the way */
				assert_true(taken_bytes +
						    km_slots_class_bytes(slots, one->class_idx) >
					    max);
			}
		}
		assert_int_equal(stats->taken_bytes, taken_bytes);
		assert_true(stats->bytes >= taken_bytes && stats->bytes <= max);
		assert_int_equal(stats->fresh + stats->recycled + stats->refused, takes);
	}
	assert_int_equal(stats->refused, refused);
	assert_true(refused && stats->returned && stats->recycled > stats->fresh);
	for (step = 0; step < NR; step++) {
		if (!held[step].slot)
			continue;
		check_marks(&held[step], class_bytes);
		km_slots_give(slots, held[step].class_idx, held[step].slot);
	}
	km_slots_destroy(slots);
	km_arena_destroy(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_100_mib_slot_is_reused_without_a_fault),
		cmocka_unit_test(a_fresh_slot_is_backed_when_asked),
		cmocka_unit_test(the_limit_is_hard_and_a_gift_lifts_it),
		cmocka_unit_test(kept_slots_of_other_classes_make_room),
		cmocka_unit_test(the_class_with_the_most_idle_memory_returns_first),
		cmocka_unit_test(a_full_arena_is_served_from_kept_slots),
		cmocka_unit_test(the_nth_fresh_slot_fails_without_a_trace),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(random_takes_and_gives_follow_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
