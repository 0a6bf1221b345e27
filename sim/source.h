/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/source.h - where simulated requests come from: a stream in time order.
 *
 * Memory is bounded by types, not by the length of the stream.
 */
#ifndef KM_SIM_SOURCE_H
#define KM_SIM_SOURCE_H

#include "core/type.h"
#include "lib/diag.h"

/* type_idx of an arrival whose type only its traits tell. */
#define KM_NO_TYPE_IDX UINT32_MAX

struct km_arrival {
	uint64_t at_ns;
	const uint32_t *trait; /* valid until the next call of next() */
	uint32_t type_idx; /* dense number of the type, or KM_NO_TYPE_IDX */
	uint32_t noise; /* uniform over 32 bits: the request's luck with times */
	bool is_delete; /* only a change of the inventory */
};

/**
 * struct km_source
 * @next: the next arrivals, at most @nr (over 0), in time order. Returns how many, as
 *	many as suit it; 0 at the end; -errno with the reason in @diag.
 * @type_nr: types there are at most, when type_idx is used; else 0.
 * @delete_ns: a delete that is no arrival every so often on average; 0 = none.
 */
struct km_source {
	int (*next)(struct km_source *source, struct km_arrival *arrival, uint32_t nr,
		    struct km_diag *diag);
	void (*destroy)(struct km_source *source);
	uint32_t type_nr;
	uint32_t rule_obj_nr; /* rule objects of those types; 0 = not counted */
	uint64_t delete_ns;
	uint32_t trait_nr, rule_nr;
	const struct km_rule_desc *rules;
};

#endif
