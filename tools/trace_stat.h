/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/trace_stat.h - what "kamino trace stat" says of a trace.
 */
#ifndef KM_TOOLS_TRACE_STAT_H
#define KM_TOOLS_TRACE_STAT_H

#include <jansson.h>

#include "lib/hist.h"
#include "place/trace.h"

#define KM_STAT_TOP_NR 10
#define KM_STAT_LRU_SLOTS 50 /* types that a cache holds */
#define KM_STAT_LRU_AGENTS 8

/* Of the creates at at_us >= 0 where nothing else is said. */
struct km_trace_stat {
	uint64_t rows, initial, creates, deletes;
	uint64_t types; /* distinct resources and categorical columns, but for "spread" */
	uint64_t batches; /* one tenant's creates in one second */
	uint64_t batches_one_type;
	uint64_t in_two, in_ten; /* creates in batches of at least so many */
	uint64_t largest_batch;
	uint64_t tenants; /* that create */
	int64_t last_us;
	uint64_t hour[24]; /* creates by hour of the day */
	struct km_hist life_us; /* of those whose delete is in the trace */
	uint64_t open; /* without a delete */
	uint64_t lru_hits_one, lru_hits_turn, lru_hits_home;
	struct {
		uint64_t creates;
		uint64_t event; /* one of them */
	} top[KM_STAT_TOP_NR];
	uint32_t top_nr;
};

/** km_trace_stat_make() - Return: 0 or -ENOMEM. */
int km_trace_stat_make(struct km_trace_stat *stat, const struct km_trace *trace) KM_MUST_CHECK;
void km_trace_stat_print(const struct km_trace_stat *stat, const struct km_trace *trace, FILE *to);
json_t *km_trace_stat_json(const struct km_trace_stat *stat, const struct km_trace *trace);

#endif
