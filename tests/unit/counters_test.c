/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/counters_test.c - a counter has a sum or a reason, whatever the host
 * grants: the kernel's side is played here (see the Makefile's --wrap).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base.h"
#include "perf/counters.h"

/* What the kernel says to the n-th counter: an errno, or 0 and what it reads. */
static struct {
	int err;
	uint64_t value, enabled_ns, running_ns;
	int fd;
} fake[KM_COUNTER_HW_NR];
static int opened, enabled, disabled;

long __wrap_syscall(long nr, ...);
ssize_t __wrap_read(int fd, void *to, size_t bytes);
int __wrap_prctl(int option, ...);

long __wrap_syscall(long nr, ...)
{
	int i = opened++;

	assert_int_equal(nr, SYS_perf_event_open);
	assert_in_range(i, 0, KM_COUNTER_HW_NR - 1);
	if (fake[i].err) {
		errno = fake[i].err;
		return -1;
	}
	fake[i].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fake[i].fd;
}

ssize_t __wrap_read(int fd, void *to, size_t bytes)
{
	int i;

	for (i = 0; i < KM_COUNTER_HW_NR && fake[i].fd != fd; i++)
		;
	assert_in_range(i, 0, KM_COUNTER_HW_NR - 1);
	assert_int_equal(bytes, 3 * sizeof(uint64_t));
	memcpy(to, &fake[i].value, bytes);
	return (ssize_t)bytes;
}

int __wrap_prctl(int option, ...)
{
	enabled += option == PR_TASK_PERF_EVENTS_ENABLE;
	disabled += option == PR_TASK_PERF_EVENTS_DISABLE;
	return 0;
}

static int reset(void **state)
{
	int i;

	(void)state;
	memset(fake, 0, sizeof(fake));
	opened = enabled = disabled = 0;
	for (i = 0; i < KM_COUNTER_HW_NR; i++) {
		fake[i].fd = -1;
		fake[i].value = 1000;
		fake[i].enabled_ns = fake[i].running_ns = 50;
	}
	return 0;
}

static void run_once(struct km_counters *c)
{
	km_counters_open(c);
	km_counters_start(c);
	km_counters_stop(c);
	km_counters_close(c);
}

static void an_absent_counter_has_a_reason(void **state)
{
	static const struct {
		int err;
		const char *says;
	} cases[] = {
		{ ENOENT, "no such counter" },	   { EOPNOTSUPP, "no such counter" },
		{ EACCES, "perf_event_paranoid" }, { EPERM, "CAP_PERFMON" },
		{ ENOSYS, "no perf events" },	   { EMFILE, "open files" },
	};
	struct km_counters c;
	char text[160];
	uint32_t i, k;

	for (i = 0; i < KM_ARRAY_NR(cases); i++) {
		reset(state);
		for (k = 0; k < KM_COUNTER_HW_NR; k++)
			fake[k].err = cases[i].err;
		run_once(&c);
		for (k = 0; k < KM_COUNTER_HW_NR; k++)
			assert_non_null(
				strstr(km_counters_why(&c, k, text, sizeof(text)), cases[i].says));
		assert_null(km_counters_why(&c, KM_PAGE_FAULTS, text, sizeof(text)));
		assert_null(km_counters_why(&c, KM_CONTEXT_SWITCHES, text, sizeof(text)));
		/* There is nothing to switch on. */
		assert_int_equal(enabled + disabled, 0);
	}
}

static void one_refused_counter_leaves_the_others(void **state)
{
	struct km_counters c;
	char text[160];
	int k;

	(void)state;
	fake[KM_LLC_MISSES].err = ENOENT;
	run_once(&c);
	for (k = 0; k < KM_COUNTER_HW_NR; k++) {
		if (k == KM_LLC_MISSES) {
			assert_non_null(km_counters_why(&c, k, text, sizeof(text)));
			continue;
		}
		assert_null(km_counters_why(&c, k, text, sizeof(text)));
		assert_true(c.sum[k] == 1000);
		/* The descriptors are gone. */
		assert_int_equal(fcntl(fake[k].fd, F_GETFD), -1);
	}
	assert_int_equal(enabled, 1);
	assert_int_equal(disabled, 1);
}

static void sums_are_scaled_to_the_time_that_was_shared(void **state)
{
	struct km_counters c;

	(void)state;
	fake[KM_BRANCH_MISSES].running_ns = 10;
	run_once(&c);
	assert_true(c.sum[KM_BRANCH_MISSES] == 5000);
	assert_true(c.running[KM_BRANCH_MISSES] == 0.2);
	assert_true(c.sum[KM_CYCLES] == 1000 && c.running[KM_CYCLES] == 1);
}

static void a_counter_that_never_ran_is_absent_and_not_0(void **state)
{
	struct km_counters c;
	char text[160];

	(void)state;
	fake[KM_DTLB_MISSES].value = fake[KM_DTLB_MISSES].running_ns = 0;
	fake[KM_BRANCH_MISSES].value = 0; /* that is a figure */
	run_once(&c);
	assert_non_null(strstr(km_counters_why(&c, KM_DTLB_MISSES, text, sizeof(text)), "never"));
	assert_null(km_counters_why(&c, KM_BRANCH_MISSES, text, sizeof(text)));
	assert_true(c.sum[KM_BRANCH_MISSES] == 0);
}

static void no_figure_is_taken_from_a_processor_whose_cycles_stand_still(void **state)
{
	struct km_counters c;
	char text[160];
	int k;

	(void)state;
	fake[KM_CYCLES].value = 0;
	run_once(&c);
	for (k = 0; k < KM_COUNTER_HW_NR; k++)
		assert_non_null(strstr(km_counters_why(&c, k, text, sizeof(text)), "stood still"));
}

static void faults_are_counted_between_start_and_stop_alone(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), nr = 64;
	struct rusage before, after;
	struct km_counters c;
	uint32_t i;
	char *pages;

	(void)state;
	pages = mmap(NULL, 3 * nr * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	km_ignore(madvise(pages, 3 * nr * page, MADV_NOHUGEPAGE)); /* EINVAL: there are none */
	km_counters_open(&c);
	assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
	for (i = 0; i < 3 * nr; i++) {
		if (i == nr)
			km_counters_start(&c);
		if (i == 2 * nr)
			km_counters_stop(&c);
		*(volatile char *)(pages + i * page) = 1;
	}
	assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
	km_counters_close(&c);
	/* A third of all; a sanitizer's shadow has faults of its own. */
	assert_in_range((uint64_t)c.sum[KM_PAGE_FAULTS], nr,
			(uint64_t)(after.ru_minflt - before.ru_minflt) / 2);
	munmap(pages, 3 * nr * page);
}

static void a_zeroed_one_counts_nothing_and_breaks_nothing(void **state)
{
	struct km_counters c = { 0 };

	(void)state;
	km_counters_start(&c);
	km_counters_stop(&c);
	assert_int_equal(enabled + disabled, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_absent_counter_has_a_reason, reset),
		cmocka_unit_test_setup(one_refused_counter_leaves_the_others, reset),
		cmocka_unit_test_setup(sums_are_scaled_to_the_time_that_was_shared, reset),
		cmocka_unit_test_setup(a_counter_that_never_ran_is_absent_and_not_0, reset),
		cmocka_unit_test_setup(no_figure_is_taken_from_a_processor_whose_cycles_stand_still,
				       reset),
		cmocka_unit_test_setup(faults_are_counted_between_start_and_stop_alone, reset),
		cmocka_unit_test_setup(a_zeroed_one_counts_nothing_and_breaks_nothing, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
