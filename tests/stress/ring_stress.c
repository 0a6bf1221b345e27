/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/ring_stress.c - rings and broadcast log between threads: what
 * stands behind a handle is plain memory, nothing is lost, doubled or reordered.
 *
 * The plain memory is the point: on x86 a weakened order still gives the
 * right sums, but ThreadSanitizer sees that nothing orders the payload.
 * So no other path may order the two sides: payloads are not recycled where
 * the way back would hide a missing order.
 *
 * Catches: SPSC_R1 SPSC_A1 SPSC_R2 SPSC_A2 LINES_R1 LINES_A1 LINES_R2 LINES_A2 (thread sanitizer)
 * Catches: MPSC_R1 MPSC_A1 MPSC_R2 MPSC_A2 BCAST_R1 BCAST_A1 (thread sanitizer)
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "lib/snap.h"
#include "ring/bcast.h"
#include "ring/lines.h"
#include "ring/mpsc.h"
#include "ring/spsc.h"

#define ROUND_NR 20000u /* payloads a producer sends in a round */
#define PRODUCER_NR 3u

struct payload {
	uint64_t producer, nr, check;
};

static uint64_t seed;

static void payload_fill(struct payload *p, uint64_t producer, uint64_t nr)
{
	p->producer = producer;
	p->nr = nr;
	p->check = km_splitmix64(&nr) + producer;
}

static bool payload_is_good(const struct payload *p)
{
	uint64_t nr = p->nr;

	return p->check == km_splitmix64(&nr) + p->producer;
}

/* ---- one producer ---- */

struct spsc_side {
	struct km_spsc *there, *back; /* back: NULL = each payload is used once */
	struct payload *pool;
	uint64_t nr; /* to send or to get */
	uint64_t bad;
	struct km_rand rand;
};

/* A payload to write to: fresh, or one that came back. */
static struct payload *payload_get(struct spsc_side *side, uint64_t i, uint64_t pool_nr)
{
	uint32_t looks = 0;
	uint64_t handle;

	if (i < pool_nr || !side->back)
		return &side->pool[i];
	while (!(handle = km_spsc_pop(side->back)))
		stress_pause(&looks);
	return (struct payload *)(uintptr_t)handle;
}

static void *spsc_produce(void *arg)
{
	struct spsc_side *side = arg;
	struct payload *payload;
	uint32_t looks;
	uint64_t i;

	for (i = 0; i < side->nr; i++) {
		payload = payload_get(side, i, 8);
		payload_fill(payload, 0, i);
		stress_delay(&side->rand);
		for (looks = 0; !km_spsc_push(side->there, (uintptr_t)payload);)
			stress_pause(&looks);
	}
	return NULL;
}

static void *spsc_consume(void *arg)
{
	struct spsc_side *side = arg;
	const struct payload *payload;
	uint64_t i, handle;
	uint32_t looks;

	for (i = 0; i < side->nr; i++) {
		for (looks = 0; !(handle = km_spsc_pop(side->there));)
			stress_pause(&looks);
		payload = (const struct payload *)(uintptr_t)handle;
		side->bad += !payload_is_good(payload) || payload->nr != i;
		stress_delay(&side->rand);
		/* never full: as many slots as payloads */
		side->bad += side->back && !km_spsc_push(side->back, handle);
	}
	side->bad += !km_spsc_is_empty(side->there);
	return NULL;
}

static void spsc_round(uint32_t slot_nr, bool recycles, uint64_t round)
{
	static void *(*const fn[])(void *) = { spsc_produce, spsc_consume };
	struct km_spsc there, back;
	struct spsc_side side[2];
	struct payload *pool = calloc(ROUND_NR, sizeof(*pool));

	assert_non_null(pool);
	assert_int_equal(km_spsc_init(&there, slot_nr), 0);
	assert_int_equal(km_spsc_init(&back, 8), 0);
	memset(side, 0, sizeof(side));
	side[0].there = side[1].there = &there;
	side[0].back = side[1].back = recycles ? &back : NULL;
	side[0].pool = pool;
	side[0].nr = side[1].nr = ROUND_NR;
	km_rand_init(&side[0].rand, seed + round * 2);
	km_rand_init(&side[1].rand, seed + round * 2 + 1);
	stress_run(fn, side, sizeof(side[0]), 2);
	assert_int_equal(side[1].bad, 0);
	km_spsc_fini(&there);
	km_spsc_fini(&back);
	free(pool);
}

static void spsc_hands_over_each_payload_once_in_order(void **state)
{
	uint64_t end = stress_deadline(5), round = 0;

	(void)state;
	do {
		spsc_round(2u << round % 7, round % 2, round);
		round++;
	} while (km_clock_ns() < end);
}

/* ---- one producer, in bursts; payloads come back by the order of the ring alone ---- */

#define BURST_NR 40u

struct burst_side {
	struct km_spsc *ring;
	struct payload *pool; /* of pool_nr, used round and round */
	uint64_t pool_nr, nr, bad;
	struct km_rand rand;
};

static void *burst_produce(void *arg)
{
	struct burst_side *side = arg;
	uint64_t done = 0, handle[BURST_NR];
	uint32_t looks = 0, nr, i;

	while (done < side->nr) {
		nr = 1 + (uint32_t)km_rand_below(&side->rand, BURST_NR);
		nr = km_spsc_room(side->ring, (uint32_t)km_min_u64(nr, side->nr - done));
		if (!nr)
			stress_pause(&looks);
		for (i = 0; i < nr; i++) {
			struct payload *payload = &side->pool[(done + i) % side->pool_nr];

			payload_fill(payload, 0, done + i);
			handle[i] = (uintptr_t)payload;
		}
		side->bad += km_spsc_push_some(side->ring, handle, nr) != nr;
		done += nr;
		stress_delay(&side->rand);
	}
	return NULL;
}

static void *burst_consume(void *arg)
{
	struct burst_side *side = arg;
	uint64_t done = 0, handle[BURST_NR];
	const struct payload *payload;
	uint32_t looks = 0, nr, i;

	while (done < side->nr) {
		nr = km_spsc_pop_some(side->ring, handle,
				      1 + (uint32_t)km_rand_below(&side->rand, BURST_NR));
		if (!nr)
			stress_pause(&looks);
		for (i = 0; i < nr; i++) {
			payload = (const struct payload *)(uintptr_t)handle[i];
			side->bad += !payload_is_good(payload) || payload->nr != done + i;
		}
		done += nr;
		stress_delay(&side->rand);
	}
	side->bad += !km_spsc_is_empty(side->ring);
	return NULL;
}

static void burst_round(uint32_t slot_nr, uint64_t round)
{
	static void *(*const fn[])(void *) = { burst_produce, burst_consume };
	struct burst_side side[2];
	struct km_spsc ring;
	uint32_t i;

	memset(side, 0, sizeof(side));
	assert_int_equal(km_spsc_init(&ring, slot_nr), 0);
	side[0].pool_nr = slot_nr + KM_SPSC_OVER + BURST_NR;
	side[0].pool = calloc(side[0].pool_nr, sizeof(*side[0].pool));
	assert_non_null(side[0].pool);
	for (i = 0; i < 2; i++) {
		side[i].ring = &ring;
		side[i].nr = ROUND_NR;
		km_rand_init(&side[i].rand, seed + round * 2 + i);
	}
	stress_run(fn, side, sizeof(side[0]), 2);
	assert_int_equal(side[0].bad + side[1].bad, 0);
	km_spsc_fini(&ring);
	free(side[0].pool);
}

static void spsc_frees_payloads_with_their_slots(void **state)
{
	uint64_t end = stress_deadline(5), round = 0;

	(void)state;
	do {
		burst_round(2u << round % 9, round);
		round++;
	} while (km_clock_ns() < end);
}

/* ---- messages of a line; what follows the first word is plain memory ---- */

struct lines_side {
	struct km_lines *ring;
	uint64_t bad;
	struct km_rand rand;
};

/*
 * In place and word by word: what the compiler makes of a memcpy() of known size
 * ThreadSanitizer does not see.
 */
static void *lines_produce(void *arg)
{
	struct lines_side *side = arg;
	uint32_t looks, k;
	uint64_t i, *rest;

	for (i = 1; i <= ROUND_NR; i++) {
		stress_delay(&side->rand);
		for (looks = 0; !(rest = km_lines_begin(side->ring));)
			stress_pause(&looks);
		for (k = 0; k < 7; k++)
			rest[k] = i * (k + 2);
		km_lines_commit(side->ring, i);
	}
	return NULL;
}

static void *lines_consume(void *arg)
{
	struct lines_side *side = arg;
	const uint64_t *rest;
	uint32_t looks, k;
	uint64_t i, first;

	for (i = 1; i <= ROUND_NR; i++) {
		for (looks = 0; !(rest = km_lines_peek(side->ring, &first));)
			stress_pause(&looks);
		side->bad += first != i;
		for (k = 0; k < 7; k++)
			side->bad += rest[k] != i * (k + 2);
		km_lines_done(side->ring);
		stress_delay(&side->rand);
	}
	side->bad += !km_lines_is_empty(side->ring);
	return NULL;
}

static void lines_hands_over_each_message_whole_in_order(void **state)
{
	static void *(*const fn[])(void *) = { lines_produce, lines_consume };
	uint64_t end = stress_deadline(5), round = 0;
	struct lines_side side[2];
	struct km_lines ring;
	uint32_t i;

	(void)state;
	do {
		memset(side, 0, sizeof(side));
		assert_int_equal(km_lines_init(&ring, 2u << round % 9), 0);
		for (i = 0; i < 2; i++) {
			side[i].ring = &ring;
			km_rand_init(&side[i].rand, seed + round * 2 + i);
		}
		stress_run(fn, side, sizeof(side[0]), 2);
		assert_int_equal(side[1].bad, 0);
		km_lines_fini(&ring);
		round++;
	} while (km_clock_ns() < end);
}

/* ---- many producers ---- */

struct mpsc_side {
	struct km_mpsc *q;
	struct payload *pool;
	uint64_t producer;
	uint64_t bad, refused;
	struct km_rand rand;
};

static void *mpsc_produce(void *arg)
{
	struct mpsc_side *side = arg;
	uint32_t looks;
	uint64_t i;

	for (i = 0; i < ROUND_NR / PRODUCER_NR; i++) {
		payload_fill(&side->pool[i], side->producer, i);
		stress_delay(&side->rand);
		for (looks = 0; !km_mpsc_push(side->q, (uintptr_t)&side->pool[i]);) {
			side->refused++;
			stress_pause(&looks);
		}
	}
	return NULL;
}

static void *mpsc_consume(void *arg)
{
	uint64_t i, handle, next[PRODUCER_NR] = { 0 };
	struct mpsc_side *side = arg;
	const struct payload *payload;
	uint32_t looks;

	for (i = 0; i < (uint64_t)ROUND_NR / PRODUCER_NR * PRODUCER_NR; i++) {
		for (looks = 0; !(handle = km_mpsc_pop(side->q));)
			stress_pause(&looks);
		payload = (const struct payload *)(uintptr_t)handle;
		side->bad += !payload_is_good(payload) || payload->producer >= PRODUCER_NR ||
			     payload->nr != next[payload->producer % PRODUCER_NR]++;
		stress_delay(&side->rand);
	}
	side->bad += !km_mpsc_is_empty(side->q);
	return NULL;
}

static void mpsc_round(uint32_t slot_nr, uint64_t round)
{
	static void *(*const fn[])(void *) = { mpsc_consume, mpsc_produce, mpsc_produce,
					       mpsc_produce };
	struct mpsc_side side[PRODUCER_NR + 1];
	struct payload *pool = calloc(ROUND_NR, sizeof(*pool));
	struct km_mpsc q;
	uint32_t i;

	assert_non_null(pool);
	assert_int_equal(km_mpsc_init(&q, slot_nr), 0);
	memset(side, 0, sizeof(side));
	for (i = 0; i <= PRODUCER_NR; i++) {
		side[i].q = &q;
		side[i].producer = i - 1; /* of side 0, the consumer, unused */
		side[i].pool = i ? pool + (size_t)(i - 1) * (ROUND_NR / PRODUCER_NR) : NULL;
		km_rand_init(&side[i].rand, seed + round * (PRODUCER_NR + 1) + i);
	}
	stress_run(fn, side, sizeof(side[0]), PRODUCER_NR + 1);
	assert_int_equal(side[0].bad, 0);
	km_mpsc_fini(&q);
	free(pool);
}

static void mpsc_takes_each_payload_once_in_each_producers_order(void **state)
{
	uint64_t end = stress_deadline(5), round = 0;

	(void)state;
	do {
		mpsc_round(2u << round % 7, round);
		round++;
	} while (km_clock_ns() < end);
}

/* ---- broadcast ---- */

struct bcast_side {
	struct km_bcast *b;
	uint64_t nr; /* the revision to stop at */
	uint64_t bad, overruns, seen;
	bool keeps_all;
	struct km_rand rand;
};

static void *bcast_write(void *arg)
{
	struct bcast_side *side = arg;
	struct payload entry;
	uint64_t i, rev;

	km_snap_thread_start();
	for (i = 1; i <= side->nr; i++) {
		payload_fill(&entry, 0, i);
		if (i % 64 == 0)
			stress_delay(&side->rand);
		side->bad += i % 5000 == 1 && km_bcast_reserve(side->b, 3000) != 0;
		side->bad += km_bcast_append(side->b, &entry, &rev) != 0 || rev != i;
		km_snap_quiesce();
	}
	km_snap_thread_stop();
	return NULL;
}

/* Return: the revision to read next. */
static uint64_t bcast_read(struct bcast_side *side, uint64_t from)
{
	struct payload got[100];
	uint32_t nr, i;

	if (km_bcast_read_some(side->b, from, got, 1 + (uint32_t)km_rand_below(&side->rand, 100),
			       &nr) == KM_BCAST_OVERRUN) {
		side->bad += side->keeps_all || nr != 0;
		side->overruns++;
		return km_bcast_oldest(side->b, km_bcast_head(side->b));
	}
	for (i = 0; i < nr; i++)
		side->bad += !payload_is_good(&got[i]) || got[i].nr != from + i;
	side->seen += nr;
	return from + nr;
}

static void *bcast_follow(void *arg)
{
	struct bcast_side *side = arg;
	uint64_t from = 1, next;
	uint32_t looks = 0;

	km_snap_thread_start();
	while (from <= side->nr) {
		km_snap_enter();
		next = bcast_read(side, from);
		km_snap_leave();
		km_snap_quiesce();
		side->bad += next < from;
		if (next == from)
			stress_pause(&looks);
		else
			looks = 0;
		from = next;
		/* at times long enough for the writer to come round */
		if (km_rand_below(&side->rand, 64) == 0) {
			km_snap_offline();
			sched_yield();
			km_snap_online();
		}
	}
	km_snap_thread_stop();
	return NULL;
}

static uint64_t bcast_round(uint32_t seg_nr, uint64_t round)
{
	static void *(*const fn[])(void *) = { bcast_write, bcast_follow, bcast_follow };
	struct bcast_side side[3];
	struct km_bcast *b;
	uint32_t i;

	assert_int_equal(km_bcast_create(&b, sizeof(struct payload), seg_nr), 0);
	memset(side, 0, sizeof(side));
	for (i = 0; i < 3; i++) {
		side[i].b = b;
		side[i].nr = ROUND_NR;
		side[i].keeps_all = seg_nr == 0;
		km_rand_init(&side[i].rand, seed + round * 3 + i);
	}
	stress_run(fn, side, sizeof(side[0]), 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(side[i].bad, 0);
	for (i = 1; i < 3 && seg_nr == 0; i++)
		assert_int_equal(side[i].seen, ROUND_NR);
	km_bcast_destroy(b);
	return side[1].overruns + side[2].overruns;
}

static void bcast_readers_see_each_entry_whole_or_an_overrun(void **state)
{
	uint64_t end = stress_deadline(5), round = 0, overruns = 0;

	(void)state;
	do {
		overruns += bcast_round(round % 3 ? 1u << round % 2 : 0, round);
		round++;
	} while (km_clock_ns() < end);
	printf("# %llu rounds, %llu overruns\n", (unsigned long long)round,
	       (unsigned long long)overruns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spsc_hands_over_each_payload_once_in_order),
		cmocka_unit_test(spsc_frees_payloads_with_their_slots),
		cmocka_unit_test(lines_hands_over_each_message_whole_in_order),
		cmocka_unit_test(mpsc_takes_each_payload_once_in_each_producers_order),
		cmocka_unit_test(bcast_readers_see_each_entry_whole_or_an_overrun),
	};

	seed = km_test_seed(km_clock_ns());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
