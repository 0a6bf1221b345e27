/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/stress.h - what the contended tests share: seed, running time,
 * random delays, threads that start together.
 *
 * Threads count what went wrong and the main thread asserts, since an assert
 * of the test library may only leave the thread that runs the test.
 */
#ifndef KM_TESTS_STRESS_H
#define KM_TESTS_STRESS_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/atomic.h"
#include "lib/base.h"
#include "lib/clock.h"
#include "lib/rand.h"
#include "tests/support/seed.h"

/* Looks before it gives the core away: a few microseconds. */
#define STRESS_SPIN_NR 200u

/* When a test that gets one @share-th of SECS (2) has to stop. */
static inline uint64_t stress_deadline(uint32_t share)
{
	const char *text = getenv("SECS");
	double secs = text ? strtod(text, NULL) : 2;

	if (!(secs > 0 && secs < 1e6))
		secs = 2;
	return km_clock_ns() + (uint64_t)(secs * (double)KM_NS_PER_S) / share;
}

/* Mostly nothing, at times a pause, rarely the core: moves the race about. */
static inline void stress_delay(struct km_rand *rand)
{
	uint64_t dice = km_rand_u64(rand);
	uint32_t i;

	if (dice % 256 == 0)
		sched_yield();
	else if (dice % 4 == 0)
		for (i = 0; i < (dice >> 8) % 32; i++)
			km_cpu_relax();
}

/* Wait politely; @looks is the caller's count of looks so far. */
static inline void stress_pause(uint32_t *looks)
{
	if (++*looks < STRESS_SPIN_NR)
		km_cpu_relax();
	else
		sched_yield();
}

/* Run @nr threads to their end; @arg is an array of elements of @arg_bytes. */
static inline void stress_run(void *(*const *fn)(void *), void *arg, size_t arg_bytes, uint32_t nr)
{
	pthread_t thread[16];
	uint32_t i;

	assert_true(nr <= KM_ARRAY_NR(thread));
	for (i = 0; i < nr; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, fn[i], (char *)arg + i * arg_bytes), 0);
	for (i = 0; i < nr; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
}

#endif
