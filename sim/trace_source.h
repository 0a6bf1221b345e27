/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/trace_source.h - a trace (Documentation/formats.md) as a stream of simulated
 * requests: classified by a rule set, read row by row.
 */
#ifndef KM_SIM_TRACE_SOURCE_H
#define KM_SIM_TRACE_SOURCE_H

#include "place/inventory.h"
#include "place/rules.h"
#include "sim/source.h"

struct km_sim_trace_cfg {
	const char *path;
	const struct km_inventory *inv; /* the caller's; what rules are bound to */
	const char *rules_path; /* NULL = the built-in rules */
	double compress; /* trace seconds per simulated second, > 0 */
	uint64_t seed; /* of the requests' luck with times */
};

/**
 * km_sim_trace_open() - stand before the first row of at_us >= 0.
 *
 * Rows of a batch are one request, by its first row; the others, and deletes,
 * only change the inventory. Types are told by traits, as the runtime does.
 * Memory grows with the values of the traits, not with the length.
 *
 * Return: 0; -EINVAL with place and reason; -ENOMEM; -errno.
 */
int km_sim_trace_open(struct km_source **out, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag) KM_MUST_CHECK;

/* What the simulator wants to know of a trace beforehand. */
struct km_sim_survey {
	uint64_t request_nr;
	uint64_t lead_nr, lead_ns; /* the first KM_SIM_LEAD_NR or all, and the time they span */
	/* as many ids as the trace has, with room; 0 = more than a simulation takes at once */
	uint32_t type_cap, rule_obj_cap;
};

#define KM_SIM_LEAD_NR 100000

/**
 * km_sim_trace_survey() - read through the trace once. Memory does not grow with it.
 * @request_max: stop after so many; 0 = at the end.
 * @costs_path: a recorded profile that it is to be simulated with, or NULL.
 * Times are the trace's: cfg->compress plays no part.
 * Return: 0; -EINVAL with the reason, also when it has no request; -EDOM when the
 * profile was recorded from another trace; -ENOMEM; -errno.
 */
int km_sim_trace_survey(struct km_sim_survey *out, const struct km_sim_trace_cfg *cfg,
			uint64_t request_max, const char *costs_path,
			struct km_diag *diag) KM_MUST_CHECK;

#endif
