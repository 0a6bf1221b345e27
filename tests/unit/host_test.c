/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The least of all limits counts, wherever it stands: a pretended /proc and /sys in a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host.h"

#define GIB (UINT64_C(1) << 30)

static char root[64];

/* Makes the folders on the way. */
static void put(const char *path, const char *text)
{
	char name[512], *at;
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (at = strchr(name + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		mkdir(name, 0700);
		*at = '/';
	}
	file = fopen(name, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int open_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/kamino-host-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int close_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static void nothing_said_is_no_limit(void **state)
{
	const char *limit = NULL;

	(void)state;
	assert_int_equal(km_host_memory(root), UINT64_MAX);
	assert_int_equal(km_host_threads(root, &limit), UINT64_MAX);
	assert_string_equal(limit, "");
}

static void memory_is_what_the_kernel_calls_available(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable:  4194304 kB\n");
	assert_int_equal(km_host_memory(root), 4 * GIB);
	put("/sys/fs/cgroup/memory.max", "max\n");
	put("/sys/fs/cgroup/memory.current", "1000\n");
	assert_int_equal(km_host_memory(root), 4 * GIB);
}

static void a_group_of_version_2_bounds_those_below_it(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemAvailable: 8388608 kB\n");
	put("/proc/self/cgroup", "1:cpu:/elsewhere\n0::/a.slice/b.scope\n");
	put("/sys/fs/cgroup/a.slice/memory.max", "3221225472\n");
	put("/sys/fs/cgroup/a.slice/memory.current", "2147483648\n");
	put("/sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n");
	put("/sys/fs/cgroup/a.slice/b.scope/memory.current", "5\n");
	assert_int_equal(km_host_memory(root), GIB);
	/* Cached pages that nobody uses can be had back. */
	put("/sys/fs/cgroup/a.slice/memory.stat", "anon 7\ninactive_file 1073741824\n");
	assert_int_equal(km_host_memory(root), 2 * GIB);
	put("/sys/fs/cgroup/a.slice/b.scope/memory.max", "1029\n");
	assert_int_equal(km_host_memory(root), 1024);
	put("/sys/fs/cgroup/a.slice/b.scope/memory.current", "2000\n");
	assert_int_equal(km_host_memory(root), 0);
}

static void a_group_of_version_1_is_found_among_others(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemAvailable: 8388608 kB\n");
	put("/proc/self/cgroup", "9:name=systemd:/x\n4:cpu,memory:/box\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
	assert_int_equal(km_host_memory(root), 8 * GIB);
	put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
	put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1610612736\n");
	put("/sys/fs/cgroup/memory/box/memory.stat",
	    "inactive_file 1\ntotal_inactive_file 536870912\n");
	assert_int_equal(km_host_memory(root), GIB);
}

static void the_tightest_limit_of_threads_is_named(void **state)
{
	const char *limit;

	(void)state;
	put("/proc/sys/kernel/threads-max", "100000\n");
	put("/proc/sys/kernel/pid_max", "32768\n");
	put("/proc/loadavg", "0.5 0.25 0.1 3/768 4711\n");
	assert_int_equal(km_host_threads(root, &limit), 32000);
	assert_non_null(strstr(limit, "pid_max"));
	put("/proc/sys/kernel/threads-max", "20768\n");
	assert_int_equal(km_host_threads(root, &limit), 20000);
	assert_non_null(strstr(limit, "threads-max"));
	put("/sys/fs/cgroup/pids/pids.max", "510\n");
	put("/sys/fs/cgroup/pids/pids.current", "10\n");
	assert_int_equal(km_host_threads(root, &limit), 500);
	assert_non_null(strstr(limit, "pids.max"));
}

static void a_users_limit_binds_users_alone(void **state)
{
	const char *limit;

	(void)state;
	put("/proc/self/limits", "Limit       Soft Limit   Hard Limit   Units\n"
				 "Max stack size   8388608   unlimited   bytes\n"
				 "Max processes   120   200   processes\n");
	put("/proc/self/status", "Name: x\nUid:\t1000\t1000\t1000\t1000\nThreads:\t20\n"
				 "CapEff:\t0000000000000000\n");
	assert_int_equal(km_host_threads(root, &limit), 100);
	assert_non_null(strstr(limit, "ulimit -u"));
	put("/proc/self/status", "Uid:\t1000\t0\t0\t0\nThreads:\t20\nCapEff:\t0000000001000000\n");
	assert_int_equal(km_host_threads(root, &limit), UINT64_MAX);
	put("/proc/self/status", "Uid:\t0\t0\t0\t0\nThreads:\t20\nCapEff:\t0000000000000000\n");
	assert_int_equal(km_host_threads(root, &limit), UINT64_MAX);
	put("/proc/self/limits", "Max processes   unlimited   unlimited   processes\n");
	put("/proc/self/status", "Uid:\t1000\t0\t0\t0\nThreads:\t20\nCapEff:\t0000000000000000\n");
	assert_int_equal(km_host_threads(root, &limit), UINT64_MAX);
}

static void this_machine_says_something(void **state)
{
	const char *limit;

	(void)state;
	assert_in_range(km_host_memory(""), 1, UINT64_C(1) << 50);
	assert_in_range(km_host_threads("", &limit), 1, UINT64_C(1) << 40);
	assert_true(*limit);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_root, close_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(nothing_said_is_no_limit),
		IN_A_FOLDER(memory_is_what_the_kernel_calls_available),
		IN_A_FOLDER(a_group_of_version_2_bounds_those_below_it),
		IN_A_FOLDER(a_group_of_version_1_is_found_among_others),
		IN_A_FOLDER(the_tightest_limit_of_threads_is_named),
		IN_A_FOLDER(a_users_limit_binds_users_alone),
		cmocka_unit_test(this_machine_says_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
