/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define CALIBRATE_NS (10 * KM_NS_PER_MS)
#define PAIR_TRIES 64 /* the tightest of so many readings of both clocks */
#define COST_SAMPLES 1001

/* Sync: written once under start_once, read-only after. */
static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static bool use_tsc;
static uint64_t tsc_zero, ns_zero;
static uint64_t mult; /* ns per tick, 32.32 fixed point */

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * KM_NS_PER_S + (uint64_t)ts.tv_nsec;
}

#if defined(__x86_64__)
static bool tsc_is_invariant(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(0x80000007, &a, &b, &c, &d))
		return false;
	return d & (1u << 8);
}

static uint64_t tsc_read(void)
{
	return __rdtsc();
}
#else
static bool tsc_is_invariant(void)
{
	return false;
}

static uint64_t tsc_read(void)
{
	return 0;
}
#endif

/* One moment by both clocks. */
struct moment {
	uint64_t ns, tsc;
};

/*
 * A thread that is stopped between two readings would put them milliseconds
 * apart, and the scale off by any factor: so the tightest bracket counts.
 */
static struct moment both_clocks(void)
{
	uint64_t before, after, ns, tightest = UINT64_MAX;
	struct moment now = { 0 };
	int i;

	for (i = 0; i < PAIR_TRIES; i++) {
		before = tsc_read();
		ns = monotonic_ns();
		after = tsc_read();
		if (after - before >= tightest)
			continue;
		tightest = after - before;
		now = (struct moment){ ns, before + tightest / 2 };
	}
	return now;
}

static void start(void)
{
	struct moment first, last;

	ns_zero = monotonic_ns();
	if (!tsc_is_invariant())
		return;
	first = both_clocks();
	do {
		last = both_clocks();
	} while (last.ns - first.ns < CALIBRATE_NS);
	if (last.tsc <= first.tsc)
		return;
	tsc_zero = first.tsc;
	mult = (uint64_t)(((unsigned __int128)(last.ns - first.ns) << 32) / (last.tsc - first.tsc));
	use_tsc = mult != 0;
}

uint64_t km_clock_ns(void)
{
	pthread_once(&start_once, start);
	if (!use_tsc)
		return monotonic_ns() - ns_zero + 1;
	return (uint64_t)(((unsigned __int128)(tsc_read() - tsc_zero) * mult) >> 32) + 1;
}

const char *km_clock_source(void)
{
	pthread_once(&start_once, start);
	return use_tsc ? "tsc" : "clock_gettime";
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t km_clock_cost_ns(void)
{
	uint64_t sample[COST_SAMPLES];
	uint64_t t0, t1 = 0;
	int i, k;

	for (i = 0; i < COST_SAMPLES; i++) {
		t0 = km_clock_ns();
		for (k = 0; k < 16; k++)
			t1 = km_clock_ns();
		sample[i] = (t1 - t0) / 16;
	}
	qsort(sample, COST_SAMPLES, sizeof(sample[0]), compare_u64);
	return sample[COST_SAMPLES / 2] ? sample[COST_SAMPLES / 2] : 1;
}

void km_sleep_until_ns(uint64_t when_ns)
{
	uint64_t now = km_clock_ns();
	struct timespec ts;

	if (when_ns <= now)
		return;
	ts.tv_sec = (time_t)((when_ns - now) / KM_NS_PER_S);
	ts.tv_nsec = (long)((when_ns - now) % KM_NS_PER_S);
	nanosleep(&ts, NULL);
}
