/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int km_series_create(struct km_series **out, uint32_t agent_nr, uint64_t start_ns)
{
	struct km_series *series = calloc(1, sizeof(*series));

	if (!series)
		return -ENOMEM;
	series->cell = calloc((size_t)KM_SERIES_NR_MAX * agent_nr, sizeof(*series->cell));
	if (!series->cell) {
		free(series);
		return -ENOMEM;
	}
	series->start_ns = series->end_ns = start_ns;
	series->agent_nr = agent_nr;
	series->shift = KM_SERIES_SHIFT_MIN;
	*out = series;
	return 0;
}

void km_series_destroy(struct km_series *series)
{
	if (series)
		free(series->cell);
	free(series);
}

/* Join neighbours: half as many intervals, twice as long. */
static void fold(struct km_series *series)
{
	size_t nr = series->agent_nr, i, a;

	for (i = 0; i < KM_SERIES_NR_MAX / 2; i++)
		for (a = 0; a < nr; a++) {
			const struct km_series_cell *even = &series->cell[2 * i * nr + a];
			const struct km_series_cell *odd = even + nr;
			struct km_series_cell both = { even->busy_ns + odd->busy_ns,
						       even->wait_ns + odd->wait_ns,
						       even->done_nr + odd->done_nr };

			series->cell[i * nr + a] = both;
		}
	memset(&series->cell[KM_SERIES_NR_MAX / 2 * nr], 0,
	       KM_SERIES_NR_MAX / 2 * nr * sizeof(*series->cell));
	series->shift++;
}

static struct km_series_cell *cell_at(struct km_series *series, uint64_t idx, uint32_t agent_idx)
{
	return &series->cell[idx * series->agent_nr + agent_idx];
}

/* Calls @put for each interval's part of @from .. @to, times since the start. */
static void spread(struct km_series *series, uint32_t agent_idx, uint64_t from, uint64_t to,
		   void (*put)(struct km_series_cell *cell, uint64_t ns))
{
	uint64_t next;

	while (from < to) {
		next = ((from >> series->shift) + 1) << series->shift;
		put(cell_at(series, from >> series->shift, agent_idx), km_min_u64(next, to) - from);
		from = next;
	}
}

static void put_wait(struct km_series_cell *cell, uint64_t ns)
{
	cell->wait_ns += ns;
}

static void put_busy(struct km_series_cell *cell, uint64_t ns)
{
	cell->busy_ns += ns;
}

static uint64_t since(const struct km_series *series, uint64_t ns)
{
	return ns > series->start_ns ? ns - series->start_ns : 0;
}

void km_series_add(struct km_series *series, uint32_t agent_idx, uint64_t due_ns, uint64_t begin_ns,
		   uint64_t end_ns)
{
	uint64_t due = since(series, due_ns), begin = since(series, begin_ns),
		 end = since(series, end_ns);

	struct km_series_cell *cell;

	while (end >> series->shift >= KM_SERIES_NR_MAX)
		fold(series);
	series->end_ns = km_max_u64(series->end_ns, end_ns);
	cell = cell_at(series, end >> series->shift, agent_idx);
	cell->done_nr++;
	/* Nearly always, as a run has at most 120 intervals. */
	if (km_likely(!((due ^ end) >> series->shift))) {
		cell->wait_ns += begin - due;
		cell->busy_ns += end - begin;
		return;
	}
	spread(series, agent_idx, due, begin, put_wait);
	spread(series, agent_idx, begin, end, put_busy);
}

uint32_t km_series_nr(const struct km_series *series)
{
	uint64_t end = since(series, series->end_ns);

	/* A request that ends with an interval is counted in the next. */
	return end ? (uint32_t)(end >> series->shift) + 1 : 0;
}

uint64_t km_series_length_ns(const struct km_series *series, uint32_t idx)
{
	uint64_t begin = (uint64_t)idx << series->shift, end = since(series, series->end_ns);

	return km_min_u64(UINT64_C(1) << series->shift, end > begin ? end - begin : 0);
}
