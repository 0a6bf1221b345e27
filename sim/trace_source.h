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
 *
 * Return: 0; -EINVAL with place and reason; -ENOMEM; -errno.
 */
int km_sim_trace_open(struct km_source **out, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag) KM_MUST_CHECK;

#endif
