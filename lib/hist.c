/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/hist.h"

#include <math.h>
#include <string.h>

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < (1u << KM_HIST_BITS))
		return (unsigned int)value;
	shift = 64 - KM_HIST_BITS - (unsigned int)__builtin_clzll(value);
	return (shift << (KM_HIST_BITS - 1)) + (unsigned int)(value >> shift);
}

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

void km_hist_add(struct km_hist *hist, uint64_t value)
{
	hist->bucket[bucket_of(value)]++;
	hist->count++;
	if (__builtin_add_overflow(hist->sum, value, &hist->sum))
		hist->sum = UINT64_MAX;
	if (value < hist->min)
		hist->min = value;
	if (value > hist->max)
		hist->max = value;
}

void km_hist_merge(struct km_hist *into, const struct km_hist *from)
{
	unsigned int i;

	for (i = 0; i < KM_HIST_NR; i++)
		into->bucket[i] += from->bucket[i];
	into->count += from->count;
	if (__builtin_add_overflow(into->sum, from->sum, &into->sum))
		into->sum = UINT64_MAX;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
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
		seen += hist->bucket[i];
		if (seen >= rank)
			break;
	}
	return bucket_low(i) < hist->min ? hist->min : bucket_low(i);
}

double km_hist_mean(const struct km_hist *hist)
{
	return hist->count ? (double)hist->sum / (double)hist->count : 0;
}
