/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/bounds.h - when agents of a large fleet are free at the earliest, in groups
 * of 16: what a decision looks at instead of all agents.
 *
 * Part of a view (core/view.h), which notes each change of an agent's queue time or
 * predicted end. A tick is 64 ns from an epoch that moves with the clock, so that 16
 * bounds are one vector, as the bits of 16 agents are 16 bits of a row.
 *
 * Nothing here is ever too late (V4 of core/view.h), but it may be too early: an
 * agent's tick, as it counts an idle or overdue agent as ending when it was noted;
 * a group's bounds, as they are lowered when an agent's tick falls, and made exact
 * only by a decision that looks into the group. Times beyond the last tick, a minute
 * after the epoch, count as the last one: right, and slow.
 */
#ifndef KM_CORE_BOUNDS_H
#define KM_CORE_BOUNDS_H

#include <stdint.h>

#include "core/type.h"

#define KM_GROUP_AGENT_NR 16u
#define KM_TICK_SHIFT 6
/* Two of them, an agent's and a type's, add up to less than 2^31. */
#define KM_TICK_MAX ((1u << 30) - 1)

struct km_bounds {
	uint64_t epoch_ns;
	uint64_t from_ns; /* V4 speaks of times from here on: the latest now of the view */
	uint32_t agent_nr, group_nr; /* group_nr: up to whole 16 */
	uint32_t *tick; /* [group_nr * 16] agents; KM_TICK_MAX for nobody */
	uint32_t *first, *rest; /* [group_nr] least tick, and the least but for the early agent's */
	uint32_t *early; /* [group_nr] the early agent: one of 16 bits, or none */
	uint32_t *key, *least; /* [group_nr] room for a decision */
	uint8_t rule_order[KM_RULES_MAX]; /* rules, those whose objects were missing first */
};

/** km_bounds_create() - of agents that are free when the clock starts. Return: NULL: out of memory. */
struct km_bounds *km_bounds_create(uint32_t agent_nr);

/** km_bounds_destroy() - free it; NULL is allowed. */
void km_bounds_destroy(struct km_bounds *bounds);

/** km_bounds_move() - have the epoch at @now_ns, which is later. O(agents), each half a minute. */
void km_bounds_move(struct km_bounds *bounds, uint64_t now_ns);

/* A time since the epoch, or of the length @ns with an epoch of 0. */
static inline uint32_t km_tick_of(uint64_t ns, uint64_t epoch_ns)
{
	return ns <= epoch_ns ? 0
			      : (uint32_t)km_min_u64((ns - epoch_ns) >> KM_TICK_SHIFT, KM_TICK_MAX);
}

/* @agent_idx is not free before @free_ns, by what is known at @now_ns. */
static inline void km_bounds_note(struct km_bounds *bounds, uint32_t agent_idx, uint64_t free_ns,
				  uint64_t now_ns)
{
	const uint32_t group = agent_idx / KM_GROUP_AGENT_NR;
	const uint32_t bit = 1u << agent_idx % KM_GROUP_AGENT_NR;
	uint32_t *first = &bounds->first[group], *rest = &bounds->rest[group], tick;

	if (km_unlikely(now_ns > bounds->epoch_ns + ((uint64_t)(KM_TICK_MAX / 2) << KM_TICK_SHIFT)))
		km_bounds_move(bounds, now_ns);
	tick = km_tick_of(free_ns, bounds->epoch_ns);
	bounds->tick[agent_idx] = tick;
	if (bounds->early[group] == bit) {
		*first = tick < *rest ? tick : *rest;
	} else if (tick < *first) {
		*rest = *first;
		*first = tick;
		bounds->early[group] = bit;
	} else {
		*rest = tick < *rest ? tick : *rest;
	}
	bounds->from_ns = km_max_u64(bounds->from_ns, now_ns);
}

#endif
