/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/line.h - one cache line to another thread and back: how far apart two CPUs are.
 *
 * A virtual machine may move its CPUs at any time, and no table of the topology shows
 * it: what runs on two threads is bracketed by two ping-pongs and sorted by them.
 */
#ifndef KM_PERF_LINE_H
#define KM_PERF_LINE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/clock.h"

/* Of one ping-pong: long beside a reading of the clock, short beside what it brackets. */
#define BENCH_LINE_TRIPS 100u
/* A round trip up to this is near: one group of cores over a shared cache. */
#define BENCH_LINE_NEAR_NS 200
/* Two that differ by more than this say that the CPUs were moved. */
#define BENCH_LINE_MIXED_RATIO 1.5
/* Looks before the core is offered to others: the other side may have lost its own. */
#define BENCH_LINE_LOOKS 4096

struct bench_line {
	alignas(KM_SHARE_BYTES) _Atomic uint64_t ball;
};

static inline void bench_line_wait(struct bench_line *line, uint64_t ball)
{
	uint32_t looks = 0;

	/* relaxed: nothing goes with the ball */
	while (atomic_load_explicit(&line->ball, memory_order_relaxed) != ball)
		if (!(++looks % BENCH_LINE_LOOKS))
			sched_yield();
}

/* Nobody plays; the next ping-pong is number 0. */
static inline void bench_line_reset(struct bench_line *line)
{
	/* relaxed: the caller orders it before the other thread's first look */
	atomic_store_explicit(&line->ball, 0, memory_order_relaxed);
}

/* Ping-pong number @nr since the reset. Return: ns of a round trip, on average. */
static inline double bench_line_ping(struct bench_line *line, uint32_t nr)
{
	const uint64_t from = 2ull * nr * BENCH_LINE_TRIPS, start_ns = km_clock_ns();
	uint64_t i;

	for (i = from; i < from + 2 * BENCH_LINE_TRIPS; i += 2) {
		atomic_store_explicit(&line->ball, i + 1, memory_order_relaxed); /* as above */
		bench_line_wait(line, i + 2);
	}
	return (double)(km_clock_ns() - start_ns) / BENCH_LINE_TRIPS;
}

/* The other side of it. */
static inline void bench_line_pong(struct bench_line *line, uint32_t nr)
{
	const uint64_t from = 2ull * nr * BENCH_LINE_TRIPS;
	uint64_t i;

	for (i = from; i < from + 2 * BENCH_LINE_TRIPS; i += 2) {
		bench_line_wait(line, i + 1);
		atomic_store_explicit(&line->ball, i + 2, memory_order_relaxed); /* as above */
	}
}

/* Whether two ping-pongs @a and @b, in ns, are of two distances. */
static inline bool bench_line_is_mixed(double a, double b, double near_ns)
{
	return (a > near_ns) != (b > near_ns) || a > BENCH_LINE_MIXED_RATIO * b ||
	       b > BENCH_LINE_MIXED_RATIO * a;
}

#endif
