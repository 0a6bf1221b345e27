/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/summary_stress.c - who reads an agent's summary also sees what
 * the agent wrote before it.
 *
 * In the runtime that is the digest; here it is plain memory, one entry a
 * request, so that ThreadSanitizer reports a missing order.
 *
 * Catches: SUMMARY_R1 SUMMARY_A1 (thread sanitizer)
 * Needs: lib
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "core/summary.h"

#define REQUEST_NR 20000u /* begun has 16 bits: it does not wrap here */

struct side {
	struct km_summary *summary;
	uint64_t *before; /* [i]: what the agent wrote before it began request i */
	uint64_t bad;
	struct km_rand rand;
};

static uint64_t end_of(uint64_t i)
{
	return (1000 + i) << KM_SUMMARY_TICK_SHIFT;
}

static void *agent(void *arg)
{
	struct side *side = arg;
	uint32_t i;

	for (i = 1; i <= REQUEST_NR; i++) {
		side->before[i] = i * UINT64_C(0x9e3779b97f4a7c15);
		stress_delay(&side->rand);
		km_summary_write(side->summary,
				 km_summary_pack((uint16_t)i, i % 2, i % 2 ? end_of(i) : 0));
	}
	return NULL;
}

static void *dispatcher(void *arg)
{
	struct side *side = arg;
	struct km_summary_state now;
	uint32_t seen = 0, looks = 0;

	while (seen < REQUEST_NR) {
		now = km_summary_unpack(km_summary_read(side->summary));
		side->bad += now.begun < seen || now.busy != now.begun % 2 ||
			     now.end_ns != (now.busy ? end_of(now.begun) : 0);
		looks = now.begun == seen ? looks : 0;
		for (; seen < now.begun; seen++)
			side->bad += side->before[seen + 1] !=
				     (seen + 1) * UINT64_C(0x9e3779b97f4a7c15);
		stress_pause(&looks);
	}
	return NULL;
}

static void summary_is_whole_and_orders_what_came_before(void **state)
{
	static void *(*const fn[])(void *) = { agent, dispatcher };
	uint64_t seed = km_test_seed(km_clock_ns()), end = stress_deadline(2), round = 0;
	static uint64_t before[REQUEST_NR + 1];
	static struct km_summary summary;
	struct side side[2];
	uint32_t i;

	(void)state;
	do {
		memset(&summary, 0, sizeof(summary));
		memset(before, 0, sizeof(before));
		memset(side, 0, sizeof(side));
		for (i = 0; i < 2; i++) {
			side[i].summary = &summary;
			side[i].before = before;
			km_rand_init(&side[i].rand, seed + round++);
		}
		stress_run(fn, side, sizeof(side[0]), 2);
		assert_int_equal(side[1].bad, 0);
	} while (km_clock_ns() < end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(summary_is_whole_and_orders_what_came_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
