/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/clock.h - monotonic nanoseconds, cheap enough for the decision path.
 *
 * On x86 with an invariant time stamp counter a reading is one rdtsc and a
 * multiplication, calibrated once against CLOCK_MONOTONIC; elsewhere it is
 * clock_gettime() through the vDSO. Neither enters the kernel.
 */
#ifndef KM_LIB_CLOCK_H
#define KM_LIB_CLOCK_H

#include <stdint.h>

#define KM_NS_PER_US UINT64_C(1000)
#define KM_NS_PER_MS UINT64_C(1000000)
#define KM_NS_PER_S UINT64_C(1000000000)

/**
 * km_clock_ns() - nanoseconds since an arbitrary point, the same for all
 * threads of the process; never 0.
 *
 * Calibrates on first use (about 10 ms), so call it once at start-up.
 * Not promised: agreement with CLOCK_MONOTONIC beyond 100 ppm.
 *
 * Context: any thread. Progress: wait-free after the first call.
 */
uint64_t km_clock_ns(void);

/**
 * km_clock_source() - what km_clock_ns() reads.
 * Return: "tsc" or "clock_gettime"; static.
 */
const char *km_clock_source(void);

/**
 * km_clock_cost_ns() - the median cost of one reading, measured now.
 * Return: nanoseconds, at least 1.
 */
uint64_t km_clock_cost_ns(void);

/**
 * km_sleep_until_ns() - sleep in the kernel until km_clock_ns() >= @when_ns.
 * Returns early when a signal handler ran.
 */
void km_sleep_until_ns(uint64_t when_ns);

#endif
