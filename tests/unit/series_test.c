/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * series_test - what km_series keeps is what was added, however often it was folded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/rand.h"
#include "lib/series.h"
#include "tests/support/seed.h"

#define AGENTS 3
#define SHORTEST (UINT64_C(1) << KM_SERIES_SHIFT_MIN)

static uint64_t overlap(uint64_t from, uint64_t to, uint64_t low, uint64_t high)
{
	from = km_max_u64(from, low);
	to = km_min_u64(to, high);
	return to > from ? to - from : 0;
}

struct added {
	uint64_t due, begin, end;
	uint32_t agent;
};

/* Each interval of @series against the sum over all of @added. */
static void check(const struct km_series *series, const struct added *added, uint32_t nr)
{
	uint64_t length = UINT64_C(1) << series->shift;
	uint32_t i, a, k;

	for (i = 0; i < KM_SERIES_NR_MAX; i++) {
		struct km_series_cell want[AGENTS] = { 0 };
		uint64_t low = series->start_ns + i * length, high = low + length;

		for (k = 0; k < nr; k++) {
			struct km_series_cell *cell = &want[added[k].agent];

			cell->wait_ns += overlap(added[k].due, added[k].begin, low, high);
			cell->busy_ns += overlap(added[k].begin, added[k].end, low, high);
			cell->done_nr += added[k].end >= low && added[k].end < high;
		}
		for (a = 0; a < AGENTS; a++) {
			const struct km_series_cell *have = km_series_at(series, i, a);

			assert_int_equal(have->wait_ns, want[a].wait_ns);
			assert_int_equal(have->busy_ns, want[a].busy_ns);
			assert_int_equal(have->done_nr, want[a].done_nr);
			if (i >= km_series_nr(series))
				assert_int_equal(have->done_nr + have->busy_ns + have->wait_ns, 0);
		}
	}
}

static void every_interval_holds_its_part_at_every_length(void **state)
{
	uint64_t mix = km_test_seed(1);
	struct added added[400];
	struct km_series *series;
	uint32_t k;

	(void)state;
	assert_int_equal(km_series_create(&series, AGENTS, 1000), 0);
	for (k = 0; k < KM_ARRAY_NR(added); k++) {
		/* The run grows by half every 20 requests: some 12 folds in all. */
		uint64_t reach = SHORTEST << (k / 20);

		added[k].agent = (uint32_t)(km_splitmix64(&mix) % AGENTS);
		added[k].due = 1000 + km_splitmix64(&mix) % (4 * reach);
		added[k].begin = added[k].due + km_splitmix64(&mix) % reach;
		added[k].end = added[k].begin + km_splitmix64(&mix) % reach;
		km_series_add(series, added[k].agent, added[k].due, added[k].begin, added[k].end);
		if (k % 20 == 19)
			check(series, added, k + 1);
	}
	assert_true(series->shift > KM_SERIES_SHIFT_MIN + 8);
	assert_true(km_series_nr(series) > KM_SERIES_NR_MAX / 2 - 1);
	km_series_destroy(series);
}

static void what_is_before_the_start_is_left_out(void **state)
{
	struct km_series *series;

	(void)state;
	assert_int_equal(km_series_create(&series, 1, 5000), 0);
	assert_int_equal(km_series_nr(series), 0);
	km_series_add(series, 0, 10, 4000, 5100);
	assert_int_equal(km_series_at(series, 0, 0)->wait_ns, 0);
	assert_int_equal(km_series_at(series, 0, 0)->busy_ns, 100);
	km_series_destroy(series);
}

static void the_last_interval_is_as_long_as_the_run_covers_it(void **state)
{
	struct km_series *series;

	(void)state;
	assert_int_equal(km_series_create(&series, 1, 0), 0);
	km_series_add(series, 0, 0, 0, 2 * SHORTEST + 7);
	assert_int_equal(km_series_nr(series), 3);
	assert_int_equal(km_series_length_ns(series, 1), SHORTEST);
	assert_int_equal(km_series_length_ns(series, 2), 7);
	assert_int_equal(km_series_length_ns(series, 3), 0);
	/* Ends with an interval: counted in the next, which has no length. */
	km_series_add(series, 0, 0, 0, 3 * SHORTEST);
	assert_int_equal(km_series_nr(series), 4);
	assert_int_equal(km_series_length_ns(series, 3), 0);
	assert_int_equal(km_series_at(series, 3, 0)->done_nr, 1);
	km_series_destroy(series);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_interval_holds_its_part_at_every_length),
		cmocka_unit_test(what_is_before_the_start_is_left_out),
		cmocka_unit_test(the_last_interval_is_as_long_as_the_run_covers_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
