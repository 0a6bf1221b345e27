/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/park_stress.c - no wake is lost: a waiter that sleeps until its
 * time is up although there has long been work is a failure.
 *
 * The first test lets both sides enter the protocol at the same moment, some
 * hundred thousand times a second. A missing fence shows on real hardware,
 * x86 included, since a store may pass a later load there. It needs two cores.
 *
 * Catches: PARK_F1 PARK_F2 (plain)
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "ring/park.h"

#define TIMEOUT_NS (KM_NS_PER_S / 2)
/* Work this old when the time was up: the waker was done with it. */
#define SURELY_DONE_NS (KM_NS_PER_S / 10)

/* ---- both at once ---- */

struct duel {
	struct km_park park;
	/* each written by one side */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t waiter_round;
	alignas(KM_SHARE_BYTES) _Atomic uint64_t waker_round;
	alignas(KM_SHARE_BYTES) _Atomic uint64_t work; /* the round it is for */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t done_round; /* the waker is through with it */
	_Atomic uint64_t done_ns; /* since then; Sync: done_round */
	_Atomic bool stop;
	uint64_t end_ns;
	uint64_t lost, sleeps, rounds;
};

struct duel_side {
	struct duel *duel;
	struct km_rand rand;
};

/* Both sides arrive, then leave at once. Return: false when the other has stopped. */
static bool meet(struct duel *d, _Atomic uint64_t *mine, _Atomic uint64_t *other, uint64_t round)
{
	uint32_t looks = 0;

	atomic_store_explicit(mine, round, memory_order_release);
	while (atomic_load_explicit(other, memory_order_acquire) < round) {
		if (atomic_load_explicit(&d->stop, memory_order_relaxed))
			return false;
		stress_pause(&looks);
	}
	return true;
}

/* A few nanoseconds, so that each side is first about as often. */
static void step_aside(struct km_rand *rand)
{
	uint32_t i, nr = (uint32_t)km_rand_below(rand, 64);

	for (i = 0; i < nr; i++)
		atomic_signal_fence(memory_order_seq_cst);
}

static bool has_work(struct duel *d, uint64_t round)
{
	return atomic_load_explicit(&d->work, memory_order_relaxed) == round;
}

/* The waker was through with @round long before now. */
static bool is_long_done(struct duel *d, uint64_t round)
{
	if (atomic_load_explicit(&d->done_round, memory_order_acquire) != round)
		return false;
	return km_clock_ns() - atomic_load_explicit(&d->done_ns, memory_order_relaxed) >
	       SURELY_DONE_NS;
}

/* Return: false when the work of @round was slept over. */
static bool wait_for_work(struct duel *d, uint64_t round)
{
	uint32_t key;

	for (;;) {
		key = km_park_prepare(&d->park, 1);
		if (has_work(d, round)) {
			km_park_cancel(&d->park);
			return true;
		}
		d->sleeps++;
		if (!km_park_wait(&d->park, key, TIMEOUT_NS) && is_long_done(d, round))
			return false;
	}
}

static void *duel_waiter(void *arg)
{
	struct duel_side *side = arg;
	struct duel *d = side->duel;
	uint64_t round;

	for (round = 1; !d->lost && km_clock_ns() < d->end_ns; round++) {
		if (!meet(d, &d->waiter_round, &d->waker_round, round))
			break;
		step_aside(&side->rand);
		d->lost += !wait_for_work(d, round);
	}
	d->rounds = round;
	atomic_store_explicit(&d->stop, true, memory_order_relaxed);
	return NULL;
}

static void *duel_waker(void *arg)
{
	struct duel_side *side = arg;
	struct duel *d = side->duel;
	uint64_t round;

	for (round = 1; meet(d, &d->waker_round, &d->waiter_round, round); round++) {
		step_aside(&side->rand);
		atomic_store_explicit(&d->work, round, memory_order_relaxed);
		km_park_wake(&d->park, 1);
		atomic_store_explicit(&d->done_ns, km_clock_ns(), memory_order_relaxed);
		atomic_store_explicit(&d->done_round, round, memory_order_release);
	}
	return NULL;
}

static void no_wake_is_lost_when_both_are_at_it(void **state)
{
	static void *(*const fn[])(void *) = { duel_waiter, duel_waker };
	uint64_t seed = km_test_seed(km_clock_ns());
	struct duel_side side[2];
	static struct duel d;
	uint32_t i;

	(void)state;
	memset(&d, 0, sizeof(d));
	km_park_init(&d.park, false);
	d.end_ns = stress_deadline(2);
	for (i = 0; i < 2; i++) {
		side[i].duel = &d;
		km_rand_init(&side[i].rand, seed + i);
	}
	stress_run(fn, side, sizeof(side[0]), 2);
	printf("# %llu rounds, %llu sleeps\n", (unsigned long long)d.rounds,
	       (unsigned long long)d.sleeps);
	assert_int_equal(d.lost, 0);
}

/* ---- many wakers, each with a bit ---- */

#define WAKER_NR 3u
#define AHEAD_MAX 4u /* how far a waker runs ahead of the waiter */

struct crowd {
	struct km_park park;
	struct {
		alignas(KM_SHARE_BYTES) _Atomic uint64_t made;
		alignas(KM_SHARE_BYTES) _Atomic uint64_t taken;
	} work[WAKER_NR];
	_Atomic uint64_t stopped; /* wakers */
	uint64_t end_ns;
	uint64_t overslept, taken;
};

struct crowd_side {
	struct crowd *crowd;
	uint32_t idx, mask;
	struct km_rand rand;
};

static bool is_due(struct crowd *c, uint32_t i)
{
	return atomic_load_explicit(&c->work[i].made, memory_order_relaxed) !=
	       atomic_load_explicit(&c->work[i].taken, memory_order_relaxed);
}

/* Something of what the mask asks for is there, or nothing will come. */
static bool crowd_ready(void *ctx)
{
	struct crowd_side *side = ctx;
	struct crowd *c = side->crowd;
	uint32_t i;

	for (i = 0; i < WAKER_NR; i++)
		if ((side->mask & 1u << i) && is_due(c, i))
			return true;
	/* acquire: what the wakers made before they stopped */
	return atomic_load_explicit(&c->stopped, memory_order_acquire) == WAKER_NR;
}

static uint64_t take_all(struct crowd *c)
{
	uint64_t made, nr = 0;
	uint32_t i;

	for (i = 0; i < WAKER_NR; i++) {
		made = atomic_load_explicit(&c->work[i].made, memory_order_relaxed);
		nr += made - atomic_load_explicit(&c->work[i].taken, memory_order_relaxed);
		atomic_store_explicit(&c->work[i].taken, made, memory_order_relaxed);
	}
	return nr;
}

/* Sleeps for any waker, at times for some of them only. */
static void *crowd_waiter(void *arg)
{
	struct crowd_side *side = arg;
	struct km_park_await how = { .ready = crowd_ready,
				     .ctx = side,
				     .timeout_ns = 20 * TIMEOUT_NS };
	struct crowd *c = side->crowd;
	uint64_t before;

	do {
		side->mask = 1 + (uint32_t)km_rand_below(&side->rand, (1u << WAKER_NR) - 1);
		how.mask = side->mask | 1u << WAKER_NR;
		before = km_clock_ns();
		km_park_await(&c->park, &how);
		/* every waker keeps making work, so nobody sleeps this long */
		c->overslept += km_clock_ns() - before > how.timeout_ns;
		c->taken += take_all(c);
		stress_delay(&side->rand);
	} while (atomic_load_explicit(&c->stopped, memory_order_acquire) < WAKER_NR);
	c->taken += take_all(c);
	return NULL;
}

static void *crowd_waker(void *arg)
{
	struct crowd_side *side = arg;
	struct crowd *c = side->crowd;
	_Atomic uint64_t *made = &c->work[side->idx].made, *taken = &c->work[side->idx].taken;
	uint64_t nr = 0;
	uint32_t looks = 0;

	while (km_clock_ns() < c->end_ns) {
		if (nr - atomic_load_explicit(taken, memory_order_relaxed) >= AHEAD_MAX) {
			stress_pause(&looks);
			continue;
		}
		looks = 0;
		stress_delay(&side->rand);
		atomic_store_explicit(made, ++nr, memory_order_relaxed);
		km_park_wake(&c->park, 1u << side->idx);
	}
	atomic_fetch_add_explicit(&c->stopped, 1, memory_order_release);
	km_park_wake(&c->park, 1u << WAKER_NR);
	return NULL;
}

static void many_wakers_with_masks_lose_nothing(void **state)
{
	static void *(*const fn[])(void *) = { crowd_waiter, crowd_waker, crowd_waker,
					       crowd_waker };
	uint64_t seed = km_test_seed(km_clock_ns()), made = 0;
	struct crowd_side side[1 + WAKER_NR];
	static struct crowd c;
	uint32_t i;

	(void)state;
	memset(&c, 0, sizeof(c));
	km_park_init(&c.park, false);
	c.end_ns = stress_deadline(2);
	for (i = 0; i <= WAKER_NR; i++) {
		side[i].crowd = &c;
		side[i].idx = i - 1; /* of side 0, the waiter, unused */
		km_rand_init(&side[i].rand, seed + i);
	}
	stress_run(fn, side, sizeof(side[0]), 1 + WAKER_NR);
	for (i = 0; i < WAKER_NR; i++)
		made += atomic_load_explicit(&c.work[i].made, memory_order_relaxed);
	assert_int_equal(c.overslept, 0);
	assert_int_equal(c.taken, made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_is_lost_when_both_are_at_it),
		cmocka_unit_test(many_wakers_with_masks_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
