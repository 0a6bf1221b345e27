/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/counters.h - what the processor and the kernel counted for one thread
 * between start and stop. The only user of perf_event_open().
 *
 *	km_counters_open(&c);
 *	for each batch {
 *		km_counters_start(&c);
 *		...
 *		km_counters_stop(&c);
 *	}
 *	km_counters_close(&c);
 *	km_bench_counters_json(&c, "decision", decisions)	(tools/bench.h)
 *
 * Hardware counters are those of user space and may all be absent, as in most
 * virtual machines: each then has its reason, and is not 0. Where there are more
 * than the processor counts at once the kernel takes turns, and the sums are scaled.
 * Faults and switches are getrusage()'s, which asks for no permission.
 *
 * A start and a stop are one or two system calls each, so neither belongs between
 * two readings of the clock.
 */
#ifndef KM_PERF_COUNTERS_H
#define KM_PERF_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum km_counter {
	KM_CYCLES,
	KM_INSTRUCTIONS,
	KM_BRANCH_MISSES,
	KM_L1D_MISSES, /* loads */
	KM_LLC_MISSES, /* loads; no such event on AMD */
	KM_CACHE_MISSES, /* the kernel's cache-misses: Intel's last level, AMD's L2 */
	KM_DTLB_MISSES, /* loads */
	KM_COUNTER_HW_NR,
	KM_PAGE_FAULTS = KM_COUNTER_HW_NR,
	KM_CONTEXT_SWITCHES,
	KM_COUNTER_NR,
};

struct km_counters {
	int fd[KM_COUNTER_HW_NR]; /* -1 = absent */
	int err[KM_COUNTER_NR]; /* why, as a negative errno; 0 = it counts */
	double sum[KM_COUNTER_NR];
	double running[KM_COUNTER_NR]; /* share of the time that it really counted, 0..1 */
	uint64_t faults, switches; /* at the last start */
	bool is_hw; /* one of fd is open */
};

/** km_counters_open() - all counters of the calling thread, at 0 and stopped. Cannot fail. */
void km_counters_open(struct km_counters *c);
/** km_counters_start() - count. Context: the thread that opened @c. */
void km_counters_start(struct km_counters *c);
/** km_counters_stop() - count no more until the next start. */
void km_counters_stop(struct km_counters *c);
/** km_counters_close() - take the sums; afterwards @c holds no descriptor and may be copied. */
void km_counters_close(struct km_counters *c);

/** km_counter_name() - as documents call it. */
const char *km_counter_name(enum km_counter counter);

/**
 * km_counters_why() - why @counter has no sum.
 * Return: NULL when it has one; else a text in @text.
 */
const char *km_counters_why(const struct km_counters *c, enum km_counter counter, char *text,
			    uint32_t text_bytes);

#endif
