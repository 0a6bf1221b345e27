/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/changed_stress.c - no change of an agent is lost (C1), and who
 * takes its bit sees what it wrote before.
 *
 * Agents that share a word write plain memory, a new entry each round, set their
 * bit and wait until they were looked at. A lost bit would leave one waiting for
 * ever; the answer goes back by a relaxed store, which orders nothing, so that
 * ThreadSanitizer reports when the bit does not either.
 *
 * Catches: CHANGED_R1 CHANGED_A1 (thread sanitizer)
 * Needs: lib
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "core/changed.h"

#define AGENT_NR 3u
#define ROUND_NR 3000u

struct side {
	uint32_t idx;
	struct km_rand rand;
	uint64_t bad;
};

static struct km_changed changed[1];
static uint64_t said[AGENT_NR][ROUND_NR];
static _Atomic uint32_t seen[AGENT_NR]; /* rounds looked at */

static uint64_t word_of(uint32_t agent, uint32_t round)
{
	return (agent + 1) * UINT64_C(0x9e3779b97f4a7c15) + round;
}

static void *agent(void *arg)
{
	struct side *side = arg;
	uint32_t round, looks = 0;

	for (round = 0; round < ROUND_NR; round++) {
		said[side->idx][round] = word_of(side->idx, round);
		stress_delay(&side->rand);
		km_changed_set(changed, side->idx);
		/* relaxed: see above */
		while (atomic_load_explicit(&seen[side->idx], memory_order_relaxed) == round)
			stress_pause(&looks);
	}
	return NULL;
}

static void *dispatcher(void *arg)
{
	struct side *side = arg;
	uint32_t left = AGENT_NR * ROUND_NR, looks = 0, a, round;
	uint64_t bits;

	while (left) {
		bits = km_changed_take(changed);
		looks = bits ? 0 : looks;
		for (; bits; bits &= bits - 1, left--) {
			a = (uint32_t)__builtin_ctzll(bits);
			/* relaxed: only we store it */
			round = atomic_load_explicit(&seen[a], memory_order_relaxed);
			side->bad += said[a][round] != word_of(a, round);
			/* relaxed: see above */
			atomic_store_explicit(&seen[a], round + 1, memory_order_relaxed);
		}
		stress_pause(&looks);
	}
	return NULL;
}

static void no_change_is_lost_and_each_brings_what_was_written(void **state)
{
	static void *(*const fn[])(void *) = { agent, agent, agent, dispatcher };
	uint64_t seed = km_test_seed(km_clock_ns()), end = stress_deadline(2), round = 0;
	struct side side[AGENT_NR + 1];
	uint32_t i;

	(void)state;
	do {
		memset(said, 0, sizeof(said));
		memset(side, 0, sizeof(side));
		for (i = 0; i <= AGENT_NR; i++) {
			side[i].idx = i;
			km_rand_init(&side[i].rand, seed + round++);
			if (i < AGENT_NR)
				atomic_init(&seen[i], 0);
		}
		stress_run(fn, side, sizeof(side[0]), AGENT_NR + 1);
		assert_int_equal(side[AGENT_NR].bad, 0);
		assert_false(km_changed_any(changed, AGENT_NR));
	} while (km_clock_ns() < end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_change_is_lost_and_each_brings_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
