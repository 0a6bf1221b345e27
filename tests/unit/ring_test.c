/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/ring_test.c - rings, broadcast log and parking, from one thread:
 * edges, wrap-around, refusals, overrun, failing allocations.
 *
 * Linked with --wrap for the allocators, so that all after the n-th can be
 * made to fail. What needs two threads is in tests/stress.
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

#include "lib/rand.h"
#include "lib/snap.h"
#include "ring/bcast.h"
#include "ring/lines.h"
#include "ring/mpsc.h"
#include "ring/park.h"
#include "ring/spsc.h"
#include "tests/support/seed.h"

#define SEG KM_BCAST_SEG_NR

/* Allocations until the rest fails; -1 = none does. */
static int allocs_left = -1;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t nr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

static bool alloc_fails(void)
{
	if (allocs_left > 0)
		allocs_left--;
	else if (allocs_left == 0)
		return true;
	return false;
}

void *__wrap_malloc(size_t bytes)
{
	return alloc_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t nr, size_t bytes)
{
	return alloc_fails() ? NULL : __real_calloc(nr, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return alloc_fails() ? NULL : __real_aligned_alloc(align, bytes);
}

/* ---- spsc ---- */

static void spsc_refuses_bad_sizes(void **state)
{
	const uint32_t bad[] = { 0, 1, 3, 6, 1000, (1u << 20) + 1, 1u << 21, UINT32_MAX };
	struct km_spsc r;
	size_t i;

	(void)state;
	memset(&r, 0, sizeof(r));
	for (i = 0; i < KM_ARRAY_NR(bad); i++)
		assert_int_equal(km_spsc_init(&r, bad[i]), -EINVAL);
	allocs_left = 0;
	assert_int_equal(km_spsc_init(&r, 2), -ENOMEM);
	allocs_left = -1;
	km_spsc_fini(&r);
}

/* As many as were asked for always fit; more than KM_SPSC_OVER beyond never do. */
static void spsc_takes_what_was_asked_for_then_refuses_then_recovers(void **state)
{
	uint64_t i, in, out;
	struct km_spsc r;
	uint32_t nr;

	(void)state;
	for (nr = 2; nr <= KM_SPSC_SLOTS_MAX; nr *= 8) {
		assert_int_equal(km_spsc_init(&r, nr), 0);
		assert_true(km_spsc_is_empty(&r));
		assert_int_equal(km_spsc_pop(&r), 0);
		for (in = 0; km_spsc_push(&r, in + 1); in++)
			assert_true(in < nr + KM_SPSC_OVER);
		assert_true(in >= nr);
		assert_true(km_spsc_is_full(&r));
		assert_int_equal(km_spsc_room(&r, 1), 0);
		/* wherever the ring stands, one fewer than asked for leaves room for one */
		for (out = i = 0; i < 3 * KM_SPSC_OVER; i++) {
			while (in - out >= nr)
				assert_int_equal(km_spsc_pop(&r), ++out);
			assert_false(km_spsc_is_full(&r));
			assert_true(km_spsc_push(&r, ++in));
		}
		for (i = out + 1; i <= in; i++) {
			assert_false(km_spsc_is_empty(&r));
			assert_int_equal(km_spsc_pop(&r), i);
		}
		assert_true(km_spsc_is_empty(&r));
		assert_int_equal(km_spsc_pop(&r), 0);
		km_spsc_fini(&r);
	}
}

static void spsc_keeps_order_when_positions_wrap(void **state)
{
	const uint32_t near_end = UINT32_MAX - 2 * KM_SPSC_TELL + 1;
	struct km_spsc r;
	uint64_t i;

	(void)state;
	assert_int_equal(km_spsc_init(&r, 4), 0);
	r.put_lap = r.get_lap = near_end;
	atomic_init(&r.head, near_end);
	atomic_init(&r.tail, near_end);
	assert_true(km_spsc_look(&r) >= 4);
	for (i = 1; i <= 3; i++)
		assert_true(km_spsc_push(&r, i));
	for (i = 1; i <= 4 * KM_SPSC_TELL; i++) {
		assert_true(km_spsc_push(&r, i + 3));
		assert_int_equal(km_spsc_pop(&r), i);
	}
	assert_true(r.get_lap < 4 * KM_SPSC_TELL);
	while (km_spsc_push(&r, 99))
		assert_true(i++ < 4 * KM_SPSC_TELL + KM_SPSC_OVER);
	km_spsc_fini(&r);
}

static void spsc_bursts_fit_partly_and_wrap(void **state)
{
	uint64_t in[3 * KM_SPSC_OVER], out[3 * KM_SPSC_OVER], pushed = 0, popped = 0;
	uint32_t i, nr, round;
	struct km_spsc r;

	(void)state;
	assert_int_equal(km_spsc_init(&r, 16), 0);
	assert_int_equal(km_spsc_push_some(&r, in, 0), 0);
	assert_int_equal(km_spsc_pop_some(&r, out, 0), 0);
	assert_int_equal(km_spsc_pop_some(&r, out, 5), 0);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < KM_ARRAY_NR(in); i++)
			in[i] = pushed + i + 1;
		nr = km_spsc_push_some(&r, in, KM_ARRAY_NR(in)); /* more than fit */
		assert_true(pushed - popped + nr >= 16 && nr < 16 + KM_SPSC_OVER);
		pushed += nr;
		assert_int_equal(km_spsc_push_some(&r, in, 3), 0);
		nr = km_spsc_pop_some(&r, out, round % 2 ? KM_ARRAY_NR(out) : 1 + round);
		assert_int_equal(nr, round % 2 ? pushed - popped
					       : km_min_u64(1 + round, pushed - popped));
		for (i = 0; i < nr; i++)
			assert_int_equal(out[i], ++popped);
		assert_int_equal(km_spsc_is_empty(&r), pushed == popped);
	}
	km_spsc_fini(&r);
}

static void spsc_carries_all_64_bits(void **state)
{
	struct km_spsc r;

	(void)state;
	assert_int_equal(km_spsc_init(&r, 2), 0);
	assert_true(km_spsc_push(&r, UINT64_MAX));
	assert_true(km_spsc_push(&r, UINT64_C(1) << 63));
	assert_true(km_spsc_pop(&r) == UINT64_MAX);
	assert_true(km_spsc_pop(&r) == UINT64_C(1) << 63);
	km_spsc_fini(&r);
}

/* ---- mpsc ---- */

static void mpsc_refuses_bad_sizes(void **state)
{
	const uint32_t bad[] = { 0, 1, 3, 6, 1000, (1u << 20) + 1, 1u << 21, UINT32_MAX };
	struct km_mpsc q;
	size_t i;

	(void)state;
	memset(&q, 0, sizeof(q));
	for (i = 0; i < KM_ARRAY_NR(bad); i++)
		assert_int_equal(km_mpsc_init(&q, bad[i]), -EINVAL);
	allocs_left = 0;
	assert_int_equal(km_mpsc_init(&q, 2), -ENOMEM);
	allocs_left = -1;
	km_mpsc_fini(&q);
}

static void mpsc_uses_every_slot_then_refuses_then_recovers(void **state)
{
	struct km_mpsc q;
	uint32_t nr;
	uint64_t i;

	(void)state;
	for (nr = 2; nr <= KM_MPSC_SLOTS_MAX; nr *= 8) {
		assert_int_equal(km_mpsc_init(&q, nr), 0);
		assert_true(km_mpsc_is_empty(&q));
		assert_int_equal(km_mpsc_pop(&q), 0);
		for (i = 1; i <= nr; i++)
			assert_true(km_mpsc_push(&q, i));
		assert_false(km_mpsc_push(&q, nr + 1));
		assert_int_equal(km_mpsc_pop(&q), 1);
		assert_true(km_mpsc_push(&q, nr + 1));
		assert_false(km_mpsc_push(&q, nr + 2));
		for (i = 2; i <= nr + 1; i++) {
			assert_false(km_mpsc_is_empty(&q));
			assert_int_equal(km_mpsc_pop(&q), i);
		}
		assert_true(km_mpsc_is_empty(&q));
		assert_int_equal(km_mpsc_pop(&q), 0);
		km_mpsc_fini(&q);
	}
}

/* As if @at handles had gone through. */
static void mpsc_start_at(struct km_mpsc *q, uint64_t at)
{
	uint64_t i;

	atomic_store_explicit(&q->tail, at, memory_order_relaxed);
	q->head = at;
	for (i = 0; i <= q->slot_mask; i++)
		atomic_store_explicit(&q->slots[(at + i) & q->slot_mask].seq, at + i,
				      memory_order_relaxed);
}

static void mpsc_keeps_order_when_positions_wrap(void **state)
{
	const uint64_t starts[] = { (UINT64_C(1) << 32) - 6, (UINT64_C(1) << 63) - 6,
				    UINT64_MAX - 5 };
	struct km_mpsc q;
	uint64_t i;
	size_t s;

	(void)state;
	assert_int_equal(km_mpsc_init(&q, 4), 0);
	for (s = 0; s < KM_ARRAY_NR(starts); s++) {
		mpsc_start_at(&q, starts[s]);
		for (i = 1; i <= 3; i++)
			assert_true(km_mpsc_push(&q, i));
		for (i = 1; i <= 20; i++) {
			assert_true(km_mpsc_push(&q, i + 3));
			assert_false(km_mpsc_push(&q, 99));
			assert_int_equal(km_mpsc_pop(&q), i);
		}
	}
	km_mpsc_fini(&q);
}

static void mpsc_pop_does_not_pass_a_claimed_slot(void **state)
{
	struct km_mpsc q;
	uint64_t claimed;

	(void)state;
	assert_int_equal(km_mpsc_init(&q, 4), 0);
	/* a producer that stopped right after its claim */
	claimed = atomic_fetch_add_explicit(&q.tail, 1, memory_order_relaxed);
	assert_true(km_mpsc_push(&q, 2));
	assert_true(km_mpsc_is_empty(&q));
	assert_int_equal(km_mpsc_pop(&q), 0);
	assert_true(km_mpsc_push(&q, 3));
	assert_true(km_mpsc_push(&q, 4));
	assert_false(km_mpsc_push(&q, 5)); /* refuses, does not wait */
	q.slots[claimed].handle = 1;
	atomic_store_explicit(&q.slots[claimed].seq, claimed + 1, memory_order_release);
	for (claimed = 1; claimed <= 4; claimed++)
		assert_int_equal(km_mpsc_pop(&q), claimed);
	km_mpsc_fini(&q);
}

/* ---- lines ---- */

static struct km_line line_of(uint64_t nr)
{
	struct km_line line;
	uint32_t i;

	for (i = 0; i < 8; i++)
		line.word[i] = nr + i * 1000;
	return line;
}

static bool lines_push(struct km_lines *r, uint64_t nr)
{
	const struct km_line line = line_of(nr);

	return km_lines_push(r, &line);
}

static void lines_pop_expect(struct km_lines *r, uint64_t nr)
{
	const struct km_line want = line_of(nr);
	struct km_line line;

	assert_false(km_lines_is_empty(r));
	assert_true(km_lines_pop(r, &line));
	assert_memory_equal(&line, &want, sizeof(line));
}

static void lines_refuses_bad_sizes(void **state)
{
	const uint32_t bad[] = { 0, 1, 3, 6, 1000, (1u << 20) + 1, 1u << 21, UINT32_MAX };
	struct km_lines r;
	size_t i;

	(void)state;
	memset(&r, 0, sizeof(r));
	for (i = 0; i < KM_ARRAY_NR(bad); i++)
		assert_int_equal(km_lines_init(&r, bad[i]), -EINVAL);
	allocs_left = 0;
	assert_int_equal(km_lines_init(&r, 2), -ENOMEM);
	allocs_left = -1;
	km_lines_fini(&r);
}

static void lines_takes_what_was_asked_for_then_refuses_then_recovers(void **state)
{
	uint64_t in, out, i, first;
	struct km_line line;
	struct km_lines r;
	uint32_t nr;

	(void)state;
	for (nr = 2; nr <= 2048; nr *= 4) {
		assert_int_equal(km_lines_init(&r, nr), 0);
		assert_true(km_lines_is_empty(&r));
		assert_false(km_lines_pop(&r, &line));
		assert_null(km_lines_peek(&r, &first));
		for (in = 0; lines_push(&r, in + 1); in++)
			assert_true(in < nr + KM_LINES_OVER);
		assert_true(in >= nr);
		assert_null(km_lines_begin(&r));
		for (out = i = 0; i < 5 * KM_LINES_OVER; i++) {
			while (in - out >= nr)
				lines_pop_expect(&r, ++out);
			assert_true(lines_push(&r, ++in));
		}
		while (out < in)
			lines_pop_expect(&r, ++out);
		assert_true(km_lines_is_empty(&r));
		assert_false(km_lines_pop(&r, &line));
		km_lines_fini(&r);
	}
}

static void lines_keeps_order_when_positions_wrap(void **state)
{
	const uint32_t near_end = UINT32_MAX - 2 * KM_LINES_TELL + 1;
	struct km_lines r;
	uint64_t i;

	(void)state;
	assert_int_equal(km_lines_init(&r, 4), 0);
	r.put_lap = r.get_lap = near_end;
	atomic_init(&r.head, near_end);
	atomic_init(&r.tail, near_end);
	assert_true(km_lines_look(&r) >= 4);
	for (i = 1; i <= 3; i++)
		assert_true(lines_push(&r, i));
	for (i = 1; i <= 4 * KM_LINES_TELL; i++) {
		assert_true(lines_push(&r, i + 3));
		lines_pop_expect(&r, i);
	}
	assert_true(r.get_lap < 4 * KM_LINES_TELL);
	km_lines_fini(&r);
}

static void lines_take_run(struct km_lines *r, uint32_t nr)
{
	uint64_t i, first;

	for (i = 1; i <= nr; i++)
		assert_true(lines_push(r, i));
	for (i = 1; i <= nr; i++)
		lines_pop_expect(r, i);
	assert_null(km_lines_peek(r, &first));
}

static void lines_stands_back_longer_while_the_runs_are_worth_it(void **state)
{
	struct km_lines r;
	uint32_t i;

	(void)state;
	assert_int_equal(km_lines_init(&r, 128), 0);
	lines_take_run(&r, 1); /* no run: nothing to stand back from */
	assert_int_equal(r.get_back, KM_LINES_BACK);
	for (i = 0; i < 10; i++)
		lines_take_run(&r, 100); /* across the end of the slots, too */
	assert_int_equal(r.get_back, KM_LINES_BACK_MAX);
	lines_take_run(&r, KM_LINES_BACK_MAX - 1);
	assert_int_equal(r.get_back, KM_LINES_BACK);
	km_lines_fini(&r);
}

static void lines_in_place_is_what_was_begun(void **state)
{
	const uint64_t *got;
	uint64_t *rest, first;
	struct km_lines r;
	uint32_t i;

	(void)state;
	assert_int_equal(km_lines_init(&r, 2), 0);
	for (i = 1; i < 100; i++) {
		rest = km_lines_begin(&r);
		assert_non_null(rest);
		rest[0] = i + 1;
		rest[6] = i + 6;
		assert_true(km_lines_is_empty(&r)); /* begun is not sent */
		km_lines_commit(&r, i);
		got = km_lines_peek(&r, &first);
		assert_ptr_equal(got, rest);
		assert_int_equal(first, i);
		assert_int_equal(got[0], i + 1);
		assert_int_equal(got[6], i + 6);
		assert_false(km_lines_is_empty(&r)); /* looked at is not taken */
		km_lines_done(&r);
	}
	km_lines_fini(&r);
}

/* Random pushes and pops, one or some, against a plain counter pair. */
static void spsc_behaves_as_a_bounded_queue(void **state)
{
	uint64_t pushed = 0, popped = 0, buf[40], must;
	uint32_t step, i, nr, want, slots;
	struct km_spsc r;
	struct km_rand rand;

	(void)state;
	km_rand_init(&rand, km_test_seed(1));
	for (slots = 2; slots <= 512; slots *= 4) {
		assert_int_equal(km_spsc_init(&r, slots), 0);
		pushed = popped = 0;
		for (step = 0; step < 50000; step++) {
			want = km_rand_below(&rand, 3) ? 1 : (uint32_t)km_rand_below(&rand, 41);
			/* drifts between full and empty */
			if (km_rand_below(&rand, 100) < (step / 1000 % 2 ? 60u : 40u)) {
				for (i = 0; i < want; i++)
					buf[i] = pushed + i + 1;
				must = slots - km_min_u64(slots, pushed - popped);
				nr = want == 1 ? km_spsc_push(&r, buf[0])
					       : km_spsc_push_some(&r, buf, want);
				assert_true(nr >= km_min_u64(want, must));
				pushed += nr;
				assert_true(pushed - popped <= slots + KM_SPSC_OVER);
			} else {
				must = km_min_u64(want, pushed - popped);
				assert_int_equal(km_spsc_is_empty(&r), pushed == popped);
				nr = want == 1 ? (buf[0] = km_spsc_pop(&r)) != 0
					       : km_spsc_pop_some(&r, buf, want);
				assert_int_equal(nr, must);
				for (i = 0; i < nr; i++)
					assert_int_equal(buf[i], ++popped);
			}
		}
		km_spsc_fini(&r);
	}
}

static void mpsc_behaves_as_a_bounded_queue(void **state)
{
	enum { SLOTS = 8, STEPS = 100000 };
	uint64_t pushed = 0, popped = 0, expect;
	struct km_mpsc q;
	struct km_rand rand;
	bool fits;
	int i;

	(void)state;
	km_rand_init(&rand, km_test_seed(1));
	assert_int_equal(km_mpsc_init(&q, SLOTS), 0);
	for (i = 0; i < STEPS; i++) {
		if (km_rand_below(&rand, 100) < (i / 1000 % 2 ? 60u : 40u)) {
			fits = pushed - popped < SLOTS;
			assert_int_equal(km_mpsc_push(&q, pushed + 1), fits);
			pushed += fits;
		} else {
			expect = popped < pushed ? ++popped : 0;
			assert_int_equal(km_mpsc_is_empty(&q), expect == 0);
			assert_int_equal(km_mpsc_pop(&q), expect);
		}
	}
	km_mpsc_fini(&q);
}

/* ---- bcast ---- */

struct entry {
	uint64_t rev;
	uint32_t check; /* makes the size no power of two times 8 */
};

static void append(struct km_bcast *b, uint64_t nr)
{
	uint64_t rev, last = km_bcast_head(b);
	struct entry e = { 0, 0 };

	while (nr--) {
		e.rev = ++last;
		e.check = (uint32_t)(last * 7);
		assert_int_equal(km_bcast_append(b, &e, &rev), 0);
		assert_int_equal(rev, last);
		assert_int_equal(km_bcast_head(b), last);
	}
}

/* Expects @nr entries from @from on. */
static void read_expect(const struct km_bcast *b, uint64_t from, uint32_t max, uint32_t nr)
{
	struct entry *out = calloc(max, sizeof(*out));
	uint32_t got = 12345, i;

	assert_non_null(out);
	km_snap_enter();
	assert_int_equal(km_bcast_read_some(b, from, out, max, &got), KM_BCAST_OK);
	km_snap_leave();
	assert_int_equal(got, nr);
	for (i = 0; i < nr; i++) {
		assert_int_equal(out[i].rev, from + i);
		assert_int_equal(out[i].check, (uint32_t)((from + i) * 7));
	}
	for (; i < max; i++)
		assert_int_equal(out[i].rev, 0);
	free(out);
}

static enum km_bcast_result read_result(const struct km_bcast *b, uint64_t from)
{
	enum km_bcast_result result;
	struct entry out;
	uint32_t got = 12345;

	km_snap_enter();
	result = km_bcast_read_some(b, from, &out, 1, &got);
	km_snap_leave();
	assert_int_equal(got, result == KM_BCAST_OK && from <= km_bcast_head(b));
	return result;
}

static void bcast_refuses_bad_sizes(void **state)
{
	struct km_bcast *b = NULL;

	(void)state;
	assert_int_equal(km_bcast_create(&b, 0, 4), -EINVAL);
	assert_int_equal(km_bcast_create(&b, KM_BCAST_ENTRY_BYTES_MAX + 1, 4), -EINVAL);
	assert_int_equal(km_bcast_create(&b, 8, 3), -EINVAL);
	assert_int_equal(km_bcast_create(&b, 8, 1u << 21), -EINVAL);
	assert_null(b);
	km_bcast_destroy(NULL);
}

static void bcast_revisions_start_at_one(void **state)
{
	struct km_bcast *b;

	(void)state;
	assert_int_equal(km_bcast_create(&b, sizeof(struct entry), 4), 0);
	assert_int_equal(km_bcast_head(b), 0);
	assert_int_equal(km_bcast_oldest(b, 0), 1);
	read_expect(b, 1, 4, 0);
	append(b, 3);
	read_expect(b, 1, 4, 3);
	read_expect(b, 3, 4, 1);
	read_expect(b, 4, 4, 0);
	read_expect(b, UINT64_MAX, 4, 0);
	read_expect(b, 1, 2, 2);
	read_expect(b, 2, 0, 0);
	assert_int_equal(read_result(b, 0), KM_BCAST_OK);
	km_bcast_destroy(b);
}

static void bcast_reads_across_segments(void **state)
{
	struct km_bcast *b;

	(void)state;
	assert_int_equal(km_bcast_create(&b, sizeof(struct entry), 4), 0);
	append(b, SEG);
	read_expect(b, 1, SEG + 1, SEG);
	append(b, 2 * SEG + 5);
	read_expect(b, 1, 4 * SEG, 3 * SEG + 5);
	read_expect(b, SEG, 2, 2);
	read_expect(b, SEG + 1, 1, 1);
	read_expect(b, SEG - 1, SEG + 4, SEG + 4);
	km_bcast_destroy(b);
}

/* The drop happens with the first entry of a new segment, no earlier. */
static void bcast_overruns_what_it_no_longer_keeps(void **state)
{
	uint32_t seg_nr;
	uint64_t head;
	struct km_bcast *b;

	(void)state;
	for (seg_nr = 1; seg_nr <= 4; seg_nr *= 2) {
		assert_int_equal(km_bcast_create(&b, sizeof(struct entry), seg_nr), 0);
		append(b, (uint64_t)seg_nr * SEG);
		assert_int_equal(read_result(b, 1), KM_BCAST_OK);
		assert_int_equal(km_bcast_oldest(b, km_bcast_head(b)), SEG + 1); /* to be safe */
		assert_int_equal(km_bcast_oldest(b, km_bcast_head(b) - 1), 1);
		append(b, 1);
		head = km_bcast_head(b);
		assert_int_equal(km_bcast_oldest(b, head), SEG + 1);
		assert_int_equal(read_result(b, 1), KM_BCAST_OVERRUN);
		assert_int_equal(read_result(b, SEG), KM_BCAST_OVERRUN);
		read_expect(b, SEG + 1, seg_nr * SEG, (seg_nr - 1) * SEG + 1);
		append(b, 5 * SEG);
		assert_int_equal(read_result(b, head - 1), KM_BCAST_OVERRUN);
		read_expect(b, km_bcast_oldest(b, km_bcast_head(b)), seg_nr * SEG,
			    (seg_nr - 1) * SEG + 1);
		km_bcast_destroy(b);
		km_snap_drain();
	}
}

static void bcast_keeps_all_when_asked(void **state)
{
	struct km_bcast *b;

	(void)state;
	assert_int_equal(km_bcast_create(&b, sizeof(struct entry), 0), 0);
	append(b, 70 * SEG + 3); /* the table doubles three times */
	assert_int_equal(km_bcast_oldest(b, km_bcast_head(b)), 1);
	read_expect(b, 1, 70 * SEG + 10, 70 * SEG + 3);
	km_bcast_destroy(b);
	km_snap_drain();
}

static void bcast_append_fails_whole(void **state)
{
	struct entry e = { 1, 7 };
	struct km_bcast *b;
	uint64_t rev = 42;

	(void)state;
	assert_int_equal(km_bcast_create(&b, sizeof(struct entry), 2), 0);
	allocs_left = 0;
	assert_int_equal(km_bcast_append(b, &e, &rev), -ENOMEM);
	allocs_left = -1;
	assert_int_equal(rev, 42);
	assert_int_equal(km_bcast_head(b), 0);
	append(b, 2 * SEG);
	allocs_left = 0;
	assert_int_equal(km_bcast_append(b, &e, &rev), -ENOMEM);
	allocs_left = -1;
	assert_int_equal(km_bcast_head(b), 2 * SEG);
	assert_int_equal(read_result(b, 1), KM_BCAST_OK); /* the oldest is still there */
	append(b, 1);
	assert_int_equal(read_result(b, 1), KM_BCAST_OVERRUN);
	km_bcast_destroy(b);
	km_snap_drain();
}

/* From any place in a segment, with both kinds of table. */
static void bcast_reserved_appends_cannot_fail(void **state)
{
	const uint32_t nr[] = { 1, SEG - 1, SEG, SEG + 1, 3 * SEG, 40 * SEG + 7 };
	struct km_bcast *b;
	uint32_t keep;
	size_t i;

	(void)state;
	for (keep = 0; keep <= 2; keep += 2) {
		assert_int_equal(km_bcast_create(&b, sizeof(struct entry), keep), 0);
		assert_int_equal(km_bcast_reserve(b, KM_BCAST_RESERVE_MAX + 1), -EINVAL);
		for (i = 0; i < KM_ARRAY_NR(nr); i++) {
			assert_int_equal(km_bcast_reserve(b, nr[i]), 0);
			allocs_left = 0;
			append(b, nr[i]);
			assert_int_equal(km_bcast_reserve(b, 0), 0);
			allocs_left = -1;
		}
		km_bcast_destroy(b);
		km_snap_drain();
	}
}

static void bcast_survives_each_failing_allocation(void **state)
{
	struct km_bcast *b = NULL;
	int n, err = -ENOMEM;

	(void)state;
	for (n = 0; err == -ENOMEM; n++) {
		allocs_left = n;
		err = km_bcast_create(&b, sizeof(struct entry), 0);
		allocs_left = -1;
		if (err == -ENOMEM)
			assert_null(b);
	}
	assert_int_equal(err, 0);
	assert_true(n >= 2);
	append(b, 10);
	for (err = -ENOMEM, n = 0; err == -ENOMEM; n++) {
		allocs_left = n % 3; /* spares stay, so a few at a time are enough */
		err = km_bcast_reserve(b, 30 * SEG);
		allocs_left = -1;
		assert_int_equal(km_bcast_head(b), 10);
		read_expect(b, 1, 20, 10);
	}
	assert_int_equal(err, 0);
	assert_true(n >= 2);
	allocs_left = 0;
	append(b, 30 * SEG);
	allocs_left = -1;
	km_bcast_destroy(b);
	km_snap_drain();
}

/* ---- park ---- */

static void park_wake_between_prepare_and_wait_is_kept(void **state)
{
	struct km_park p;
	uint32_t key;

	(void)state;
	km_park_init(&p, false);
	key = km_park_prepare(&p, 2 | 4);
	km_park_wake(&p, 4);
	assert_true(km_park_wait(&p, key, KM_PARK_FOREVER));
	/* and is used up by it */
	key = km_park_prepare(&p, 2);
	assert_false(km_park_wait(&p, key, 1000));
}

static void park_other_bits_do_not_wake(void **state)
{
	struct km_park p;
	uint32_t key;

	(void)state;
	km_park_init(&p, false);
	key = km_park_prepare(&p, 1 | 8);
	km_park_wake(&p, 2 | 4);
	assert_false(km_park_wait(&p, key, 1000));
	key = km_park_prepare(&p, UINT32_C(1) << 31);
	km_park_wake(&p, UINT32_MAX >> 1);
	assert_false(km_park_wait(&p, key, 0));
}

static void park_awake_waiter_is_left_alone(void **state)
{
	struct km_park p;
	uint32_t key;

	(void)state;
	km_park_init(&p, false);
	km_park_wake(&p, UINT32_MAX); /* before any wait: not remembered */
	(void)km_park_prepare(&p, 1);
	km_park_cancel(&p);
	km_park_wake(&p, 1); /* cancelled: not remembered */
	key = km_park_prepare(&p, 1);
	assert_false(km_park_wait(&p, key, 1000));
	km_park_wake(&p, 1); /* timed out: not remembered */
	key = km_park_prepare(&p, 1);
	assert_false(km_park_wait(&p, key, 1000));
}

static void park_never_parks_never_sleeps(void **state)
{
	struct km_park p;
	uint32_t key;

	(void)state;
	km_park_init(&p, true);
	key = km_park_prepare(&p, 1);
	assert_true(km_park_wait(&p, key, KM_PARK_FOREVER));
	km_park_wake(&p, 1);
	km_park_cancel(&p);
	assert_int_equal(atomic_load_explicit(&p.word, memory_order_relaxed), 0);
}

static bool count_down(void *ctx)
{
	uint32_t *left = ctx;

	return *left == 0 || --*left == 0;
}

static void park_await_looks_spins_and_gives_up(void **state)
{
	uint32_t left = 1;
	struct km_park_await how = {
		.ready = count_down, .ctx = &left, .mask = 1, .timeout_ns = 1000
	};
	struct km_park p;

	(void)state;
	km_park_init(&p, false);
	assert_true(km_park_await(&p, &how)); /* at the first look */
	left = 2;
	assert_true(km_park_await(&p, &how)); /* at the look after prepare */
	assert_int_equal(atomic_load_explicit(&p.word, memory_order_relaxed), 0);
	left = 3;
	assert_true(km_park_await(&p, &how)); /* after the time was up */
	left = 10;
	assert_false(km_park_await(&p, &how));
	assert_int_equal(left, 7);
	how.spin_nr = 100;
	assert_true(km_park_await(&p, &how));
	how.spin_nr = 0;
	left = 1000;
	km_park_init(&p, true);
	assert_true(km_park_await(&p, &how));
}

static int start_snap(void **state)
{
	(void)state;
	km_snap_thread_start();
	return 0;
}

static int stop_snap(void **state)
{
	(void)state;
	km_snap_drain();
	km_snap_thread_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spsc_refuses_bad_sizes),
		cmocka_unit_test(spsc_takes_what_was_asked_for_then_refuses_then_recovers),
		cmocka_unit_test(spsc_keeps_order_when_positions_wrap),
		cmocka_unit_test(spsc_bursts_fit_partly_and_wrap),
		cmocka_unit_test(spsc_carries_all_64_bits),
		cmocka_unit_test(mpsc_refuses_bad_sizes),
		cmocka_unit_test(mpsc_uses_every_slot_then_refuses_then_recovers),
		cmocka_unit_test(mpsc_keeps_order_when_positions_wrap),
		cmocka_unit_test(mpsc_pop_does_not_pass_a_claimed_slot),
		cmocka_unit_test(lines_refuses_bad_sizes),
		cmocka_unit_test(lines_takes_what_was_asked_for_then_refuses_then_recovers),
		cmocka_unit_test(lines_keeps_order_when_positions_wrap),
		cmocka_unit_test(lines_stands_back_longer_while_the_runs_are_worth_it),
		cmocka_unit_test(lines_in_place_is_what_was_begun),
		cmocka_unit_test(spsc_behaves_as_a_bounded_queue),
		cmocka_unit_test(mpsc_behaves_as_a_bounded_queue),
		cmocka_unit_test(bcast_refuses_bad_sizes),
		cmocka_unit_test(bcast_revisions_start_at_one),
		cmocka_unit_test(bcast_reads_across_segments),
		cmocka_unit_test(bcast_overruns_what_it_no_longer_keeps),
		cmocka_unit_test(bcast_keeps_all_when_asked),
		cmocka_unit_test(bcast_append_fails_whole),
		cmocka_unit_test(bcast_reserved_appends_cannot_fail),
		cmocka_unit_test(bcast_survives_each_failing_allocation),
		cmocka_unit_test(park_wake_between_prepare_and_wait_is_kept),
		cmocka_unit_test(park_other_bits_do_not_wake),
		cmocka_unit_test(park_awake_waiter_is_left_alone),
		cmocka_unit_test(park_never_parks_never_sleeps),
		cmocka_unit_test(park_await_looks_spins_and_gives_up),
	};

	return cmocka_run_group_tests(tests, start_snap, stop_snap);
}
