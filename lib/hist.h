/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/hist.h - histogram of unsigned values with a bounded relative error.
 *
 * Log-linear buckets: values below 2^KM_HIST_BITS are exact, above that each
 * power of two is cut into 2^(KM_HIST_BITS - 1) equal buckets, so a quantile
 * is at most KM_HIST_ERROR too low, never too high; max, min and mean are exact.
 * Source: the layout of HdrHistogram (Tene).
 */
#ifndef KM_LIB_HIST_H
#define KM_LIB_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define KM_HIST_BITS 7
#define KM_HIST_ERROR (1.0 / (1 << (KM_HIST_BITS - 1)))
#define KM_HIST_NR ((64 - KM_HIST_BITS + 2) << (KM_HIST_BITS - 1))

/*
 * One writer. 30 KiB; lives in the owner's memory. The buckets are atomic (relaxed)
 * for km_hist_glance() alone, the rest is the writer's.
 */
struct km_hist {
	_Atomic uint64_t bucket[KM_HIST_NR];
	uint64_t count, min, max;
	uint64_t sum; /* saturates */
};

/** km_hist_init() - empty the histogram. */
void km_hist_init(struct km_hist *hist);

/* Values below 2^KM_HIST_BITS are their own bucket, as are those just above. */
static inline unsigned int km_hist_bucket(uint64_t value)
{
	const uint64_t at_least = value | UINT64_C(1) << (KM_HIST_BITS - 1);
	const unsigned int shift =
		(63 ^ (unsigned int)__builtin_clzll(at_least)) - (KM_HIST_BITS - 1);

	return (shift << (KM_HIST_BITS - 1)) + (unsigned int)(value >> shift);
}

/** km_hist_add() - count @value once. Progress: wait-free. */
static inline void km_hist_add(struct km_hist *hist, uint64_t value)
{
	_Atomic uint64_t *bucket = &hist->bucket[km_hist_bucket(value)];
	/* Relaxed, both: each bucket has one writer and is a number of its own. */
	const uint64_t nr = atomic_load_explicit(bucket, memory_order_relaxed);

	atomic_store_explicit(bucket, nr + 1, memory_order_relaxed);
	hist->count++;
	if (__builtin_add_overflow(hist->sum, value, &hist->sum))
		hist->sum = UINT64_MAX;
	if (value < hist->min)
		hist->min = value;
	if (value > hist->max)
		hist->max = value;
}

/** km_hist_merge() - add all of @from to @into. */
void km_hist_merge(struct km_hist *into, const struct km_hist *from);

/**
 * km_hist_glance() - a copy while another thread may be adding.
 *
 * Each bucket as it was at some time of the copy; count is their sum, min and max
 * are edges of buckets. The sum of the values is not copied: the mean is 0.
 */
void km_hist_glance(const struct km_hist *hist, struct km_hist *out);

/**
 * km_hist_since() - take @then out of @hist: what was added since.
 * @then: an earlier copy of the same histogram; both by km_hist_glance().
 */
void km_hist_since(struct km_hist *hist, const struct km_hist *then);

/**
 * km_hist_quantile() - the value at quantile @q.
 * @q: 0..1; 0 gives the minimum, 1 the maximum.
 * Return: lower edge of the bucket of the ceil(q * count)-th value; 0 when empty.
 */
uint64_t km_hist_quantile(const struct km_hist *hist, double q);

/** km_hist_mean() - exact mean, 0 when empty. */
double km_hist_mean(const struct km_hist *hist);

#endif
