/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/ring_bench_test.c - "bench ring" finds a ring that loses, doubles or
 * changes messages, with made-up contestants that do so once in a while.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "perf/ring_bench.h"
#include "perf/ring_contest.h"
#include "ring/spsc.h"

#define WRONG_AT 777u /* the message that goes wrong */

static void *create(uint32_t slots)
{
	struct km_spsc *ring = aligned_alloc(KM_SHARE_BYTES, sizeof(*ring));

	if (ring && km_spsc_init(ring, slots)) {
		free(ring);
		return NULL;
	}
	return ring;
}

static void destroy(void *ring)
{
	km_spsc_fini(ring);
	free(ring);
}

RING_INLINE uint32_t send_good(void *ring, uint64_t first, uint32_t nr)
{
	(void)nr;
	return km_spsc_push(ring, ring_word(first, 0));
}

RING_INLINE uint32_t send_changed(void *ring, uint64_t first, uint32_t nr)
{
	(void)nr;
	return km_spsc_push(ring, ring_word(first, 0) ^ (first == WRONG_AT ? 4 : 0));
}

RING_INLINE uint32_t send_doubled(void *ring, uint64_t first, uint32_t nr)
{
	(void)nr;
	return km_spsc_push(ring, ring_word(first == WRONG_AT ? first - 1 : first, 0));
}

RING_INLINE uint32_t take(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	uint64_t word = km_spsc_pop(ring);

	(void)nr;
	*bad += word && word != ring_word(first, 0);
	return word != 0;
}

extern const struct ring_ops ring_good, ring_changed, ring_doubled;
RING_CONTEST(ring_good, create, destroy, send_good, take, 1);
RING_CONTEST(ring_changed, create, destroy, send_changed, take, 1);
RING_CONTEST(ring_doubled, create, destroy, send_doubled, take, 1);

static const struct ring_contestant good = { "good", NULL, 8, false, &ring_good };
static const struct ring_contestant changed = { "changed", NULL, 8, false, &ring_changed };
static const struct ring_contestant doubled = { "doubled", NULL, 8, false, &ring_doubled };

/* The first two CPUs that are allowed; skips where there is one. */
static void choose_cpus(struct km_ring_cfg *cfg)
{
	uint32_t cpu, nr = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			*(nr++ ? &cfg->peer_cpu : &cfg->cpu) = cpu;
	if (nr < 2)
		skip();
}

static int bench(const struct ring_contestant *who, struct km_ring_result *result,
		 struct km_diag *diag)
{
	struct km_ring_cfg cfg = {
		.contestant = &who,
		.contestant_nr = 1,
		.slots = 64,
		.seconds = 0.05,
		.round_nr = 3,
		.seed = 1,
		.near_ns = 1000000,
	};

	choose_cpus(&cfg);
	memset(diag, 0, sizeof(*diag));
	return km_bench_rings(&cfg, result, diag);
}

static void a_good_ring_passes(void **state)
{
	struct km_ring_result result;
	struct km_diag diag;

	(void)state;
	assert_int_equal(bench(&good, &result, &diag), 0);
	assert_true(result.round_nr >= 1 && result.run_nr == result.round_nr);
	assert_true(result.message_nr > 0);
	free(result.cell);
}

static void a_ring_that_errs_fails_by_name(void **state)
{
	const struct ring_contestant *const who[] = { &changed, &doubled };
	struct km_ring_result result;
	struct km_diag diag;
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(who); i++) {
		assert_int_equal(bench(who[i], &result, &diag), -EIO);
		assert_non_null(strstr(diag.reason, who[i]->name));
		assert_non_null(strstr(diag.reason, "wrong or lost"));
		assert_null(result.cell);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_ring_passes),
		cmocka_unit_test(a_ring_that_errs_fails_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
