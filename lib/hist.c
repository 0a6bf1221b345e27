/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/hist.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

static uint64_t bucket_low(unsigned int idx)
{
	unsigned int shift;

	if (idx < (1u << KM_HIST_BITS))
		return idx;
	shift = (idx >> (KM_HIST_BITS - 1)) - 1;
	return (uint64_t)(idx - (shift << (KM_HIST_BITS - 1))) << shift;
}

void km_hist_init(struct km_hist *hist)
{
	memset(hist, 0, sizeof(*hist));
	hist->min = UINT64_MAX;
}

/* Relaxed: each bucket has one writer and is a number of its own. */
static uint64_t get(const struct km_hist *hist, unsigned int idx)
{
	return atomic_load_explicit(&hist->bucket[idx], memory_order_relaxed);
}

static void put(struct km_hist *hist, unsigned int idx, uint64_t nr)
{
	atomic_store_explicit(&hist->bucket[idx], nr, memory_order_relaxed);
}

void km_hist_merge(struct km_hist *into, const struct km_hist *from)
{
	unsigned int i;

	for (i = 0; i < KM_HIST_NR; i++)
		put(into, i, get(into, i) + get(from, i));
	into->count += from->count;
	if (__builtin_add_overflow(into->sum, from->sum, &into->sum))
		into->sum = UINT64_MAX;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
}

/* Count, min and max as the buckets have them. */
static void summarise(struct km_hist *hist)
{
	unsigned int i;

	hist->count = hist->max = hist->sum = 0;
	hist->min = UINT64_MAX;
	for (i = 0; i < KM_HIST_NR; i++) {
		if (!get(hist, i))
			continue;
		if (!hist->count)
			hist->min = bucket_low(i);
		hist->count += get(hist, i);
		hist->max = bucket_low(i);
	}
}

void km_hist_glance(const struct km_hist *hist, struct km_hist *out)
{
	unsigned int i;

	for (i = 0; i < KM_HIST_NR; i++)
		put(out, i, get(hist, i));
	summarise(out);
}

void km_hist_since(struct km_hist *hist, const struct km_hist *then)
{
	unsigned int i;

	for (i = 0; i < KM_HIST_NR; i++)
		put(hist, i, get(hist, i) - get(then, i));
	summarise(hist);
}

uint64_t km_hist_quantile(const struct km_hist *hist, double q)
{
	uint64_t rank, seen = 0;
	unsigned int i;

	if (!hist->count)
		return 0;
	rank = (uint64_t)ceil(q * (double)hist->count - 1e-6); /* 0.07 * 100 is 7 */
	if (rank <= 1)
		return hist->min;
	if (rank >= hist->count)
		return hist->max;
	for (i = 0; i < KM_HIST_NR; i++) {
		seen += get(hist, i);
		if (seen >= rank)
			break;
	}
	return bucket_low(i) < hist->min ? hist->min : bucket_low(i);
}

double km_hist_mean(const struct km_hist *hist)
{
	return hist->count ? (double)hist->sum / (double)hist->count : 0;
}
