/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/lib_test.c - histogram, options, random, clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/hist.h"
#include "lib/opts.h"
#include "lib/rand.h"

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void hist_quantiles_are_within_the_stated_error(void **state)
{
	enum { NR = 20000 };
	static uint64_t value[NR];
	static struct km_hist hist;
	const double q[] = { 0, .01, .1, .5, .9, .99, .999, 1 };
	struct km_rand rand;
	unsigned int i;

	(void)state;
	km_rand_init(&rand, 7);
	km_hist_init(&hist);
	for (i = 0; i < NR; i++) {
		value[i] = km_rand_u64(&rand) >> km_rand_below(&rand, 64);
		km_hist_add(&hist, value[i]);
	}
	qsort(value, NR, sizeof(value[0]), by_value);
	for (i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		double rank = q[i] * NR;
		uint64_t exact =
			value[rank <= 1 ? 0 : (unsigned int)rank - (rank == (unsigned int)rank)];
		uint64_t got = km_hist_quantile(&hist, q[i]);

		assert_true(got <= exact);
		assert_true((double)(exact - got) <= KM_HIST_ERROR * (double)exact);
	}
}

static void hist_glances_tell_what_came_between(void **state)
{
	static struct km_hist hist, then, now;
	uint64_t v;

	(void)state;
	km_hist_init(&hist);
	km_hist_glance(&hist, &then);
	km_hist_since(&then, &then);
	assert_int_equal(then.count, 0);
	assert_int_equal(km_hist_quantile(&then, .5), 0);
	for (v = 1; v <= 50; v++)
		km_hist_add(&hist, v);
	km_hist_glance(&hist, &then);
	assert_int_equal(then.count, 50);
	assert_int_equal(km_hist_quantile(&then, .5), 25);
	for (v = 51; v <= 60; v++)
		km_hist_add(&hist, v);
	km_hist_glance(&hist, &now);
	km_hist_since(&now, &then);
	assert_int_equal(now.count, 10);
	assert_int_equal(km_hist_quantile(&now, 0), 51);
	assert_int_equal(km_hist_quantile(&now, .5), 55);
	assert_int_equal(km_hist_quantile(&now, 1), 60);
}

static void hist_small_values_are_exact(void **state)
{
	static struct km_hist hist;
	uint64_t v;

	(void)state;
	km_hist_init(&hist);
	assert_int_equal(km_hist_quantile(&hist, .5), 0);
	for (v = 1; v <= 100; v++)
		km_hist_add(&hist, v);
	for (v = 1; v <= 100; v++)
		assert_int_equal(km_hist_quantile(&hist, (double)v / 100), v);
	assert_true(km_hist_mean(&hist) == 50.5);
}

static void options_take_units_and_refuse_bare_numbers(void **state)
{
	uint64_t period = 1, bytes = 2, count = 3;
	const struct km_opt opts[] = {
		{ "period", KM_OPT_DURATION, &period, "TIME", "", 1, 3600e9 },
		{ "cache", KM_OPT_BYTES, &bytes, "SIZE", "", 1536, 1 << 30 },
		{ "count", KM_OPT_U64, &count, "N", "", 1, 100000 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	char a0[] = "x", a1[] = "--period=1.5ms", a2[] = "--cache", a3[] = "64MiB",
	     a4[] = "--count", a5[] = "10k", bare[] = "--period=5", typo[] = "--perod=1s",
	     over[] = "--count=0", stray[] = "y", half[] = "--count=1.4", never[] = "--period=0s",
	     small[] = "--cache=1B";
	char *good[] = { a0, a1, a2, a3, a4, a5 };
	char *bads[][2] = { { a0, bare },  { a0, typo }, { a0, over },	{ a0, a4 },
			    { a0, stray }, { a0, half }, { a0, never }, { a0, small } };
	const char *says[] = { "not a time",	    "did you mean --period",
			       "must be 1",	    "wants a value",
			       "unexpected",	    "not a whole number",
			       "must be 1ns to 1h", "must be 1536B to 1GiB" };
	struct km_diag diag;
	unsigned int i;

	(void)state;
	assert_int_equal(km_opts_parse(opts, 6, good, NULL, NULL, &diag), 0);
	assert_int_equal(period, 1500000);
	assert_int_equal(bytes, 64 << 20);
	assert_int_equal(count, 10000);
	for (i = 0; i < KM_ARRAY_NR(bads); i++) {
		assert_true(km_opts_parse(opts, 2, bads[i], NULL, NULL, &diag) < 0);
		assert_non_null(strstr(diag.reason, says[i]));
	}
}

static void random_numbers_repeat_and_stay_in_range(void **state)
{
	struct km_rand a, b;
	int i;

	(void)state;
	km_rand_init(&a, 42);
	km_rand_init(&b, 42);
	for (i = 0; i < 1000; i++) {
		uint64_t x = km_rand_below(&a, 7);

		assert_true(x < 7);
		assert_int_equal(x, km_rand_below(&b, 7));
		assert_true(km_rand_unit(&a) < 1.0);
		km_rand_unit(&b);
	}
}

static uint64_t kernel_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * KM_NS_PER_S + (uint64_t)ts.tv_nsec;
}

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

static int
	stop_after; /* the thread is stopped after so many readings of the kernel's clock; 0 = never */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	const struct timespec while_ts = { .tv_nsec = 15000000 };
	int err = __real_clock_gettime(clock, ts);

	if (stop_after && !--stop_after)
		nanosleep(&while_ts, NULL);
	return err;
}

/* Both clocks at one moment: again when the thread was stopped in between. */
static void read_both(uint64_t *ours, uint64_t *kernels)
{
	uint64_t before;

	do {
		before = kernel_ns();
		*ours = km_clock_ns();
		*kernels = kernel_ns();
	} while (*kernels - before > 5 * KM_NS_PER_US);
}

/* How many ns of ours pass in 1,000 of the kernel's, calibrated now. */
static uint64_t scale(void)
{
	uint64_t t0, t1, k0, k1;

	km_clock_ns();
	stop_after = 0;
	read_both(&t0, &k0);
	do {
		read_both(&t1, &k1);
	} while (k1 - k0 < 5 * KM_NS_PER_MS);
	return (t1 - t0) * 1000 / (k1 - k0);
}

/* The first test: a child calibrates anew only while the parent has not. */
static void clock_keeps_its_scale_when_stopped_while_calibrating(void **state)
{
	int status, nr;
	uint64_t found;
	pid_t child;

	(void)state;
	for (nr = 1; nr <= 8; nr++) {
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			stop_after = nr;
			found = scale();
			_exit(found >= 980 && found <= 1020 ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void clock_goes_forward_and_agrees_with_a_sleep(void **state)
{
	uint64_t t0 = km_clock_ns(), t1;

	(void)state;
	assert_true(t0 != 0);
	km_sleep_until_ns(t0 + 5 * KM_NS_PER_MS);
	t1 = km_clock_ns();
	assert_true(t1 >= t0 + 5 * KM_NS_PER_MS - KM_NS_PER_MS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_keeps_its_scale_when_stopped_while_calibrating),
		cmocka_unit_test(hist_quantiles_are_within_the_stated_error),
		cmocka_unit_test(hist_small_values_are_exact),
		cmocka_unit_test(hist_glances_tell_what_came_between),
		cmocka_unit_test(options_take_units_and_refuse_bare_numbers),
		cmocka_unit_test(random_numbers_repeat_and_stay_in_range),
		cmocka_unit_test(clock_goes_forward_and_agrees_with_a_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
