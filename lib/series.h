/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/series.h - what each agent did over time, in a bounded number of equal intervals.
 *
 * The length of a run is not known while it runs: intervals begin short, and when
 * there are too many, neighbours are joined. An interval is a power of two
 * nanoseconds, so that finding one is a shift.
 */
#ifndef KM_LIB_SERIES_H
#define KM_LIB_SERIES_H

#include "lib/base.h"

#define KM_SERIES_NR_MAX 120 /* intervals; even */
#define KM_SERIES_SHIFT_MIN 16 /* the shortest interval is 2^16 ns = 66 us */

struct km_series_cell {
	uint64_t busy_ns; /* serving within the interval */
	uint64_t wait_ns; /* summed over the requests that waited for this agent */
	uint64_t done_nr; /* ended within the interval */
};

/* One writer. */
struct km_series {
	struct km_series_cell *cell; /* [KM_SERIES_NR_MAX][agent_nr] */
	uint64_t start_ns, end_ns; /* end: the latest end that was added */
	uint32_t agent_nr;
	uint32_t shift; /* an interval is 2^shift ns */
};

/**
 * km_series_create() - an empty one.
 * @start_ns: where the first interval begins; what is before is left out.
 * Return: 0; -ENOMEM.
 */
int km_series_create(struct km_series **out, uint32_t agent_nr, uint64_t start_ns) KM_MUST_CHECK;

/** km_series_destroy() - NULL is nothing to do. */
void km_series_destroy(struct km_series *series);

/**
 * km_series_add() - count one served request.
 * @due_ns: it waited from here ...
 * @begin_ns: ... to here, and was served ...
 * @end_ns: ... to here; the three are in order.
 *
 * Context: the writer. Takes as long as the request spans intervals.
 */
void km_series_add(struct km_series *series, uint32_t agent_idx, uint64_t due_ns, uint64_t begin_ns,
		   uint64_t end_ns);

/** km_series_nr() - intervals until the last end; the last one may be cut short. */
uint32_t km_series_nr(const struct km_series *series);

/** km_series_length_ns() - how much of interval @idx the run covers. */
uint64_t km_series_length_ns(const struct km_series *series, uint32_t idx);

/** km_series_at() - one agent in one interval. */
static inline const struct km_series_cell *km_series_at(const struct km_series *series,
							uint32_t idx, uint32_t agent_idx)
{
	return &series->cell[(size_t)idx * series->agent_nr + agent_idx];
}

#endif
