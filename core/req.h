/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/req.h - one request on its way from submit to its outcome.
 *
 * A request lives in its client's pool. Its fields are grouped by the thread
 * that writes them; each hand-over (ingress, ring, completion queue) passes
 * the whole of it on, so none of them is atomic.
 */
#ifndef KM_CORE_REQ_H
#define KM_CORE_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/type.h"
#include "lib/atomic.h"

enum km_outcome {
	KM_PENDING, /* accepted, no outcome yet */
	KM_PLACED, /* committed */
	KM_NO_ROOM, /* refused: no server fits all of it */
	KM_GAVE_UP, /* refused: more conflicts than the retry limit */
	KM_BAD_REQUEST, /* refused: duplicate VM, id out of bounds */
	KM_AT_DOOR, /* refused by submit: -EAGAIN */
	KM_OUTCOME_NR,
};

/* Why this agent: what the dispatcher saw when it chose. */
struct km_decision {
	uint64_t decided_ns; /* when the choice was made */
	uint64_t wait_ns, remaining_ns, processing_ns; /* the chosen agent's three terms */
	uint64_t margin_ns; /* runner-up's sum minus the chosen sum; UINT64_MAX = no rival */
	uint32_t agent_idx, runner_up_idx; /* UINT32_MAX = none */
	bool top_hit; /* predicted */
	uint8_t rule_hit_nr; /* predicted, when not a top hit */
};

struct km_client;

struct km_req {
	/* client writes, before the ingress */
	alignas(KM_SHARE_BYTES) uint64_t id;
	uint64_t due_ns; /* intended arrival: latency counts from here */
	struct km_client *client;
	void *payload; /* the workload's */
	struct km_req *more; /* next part of an all-or-nothing batch, or NULL */
	uint32_t trait[KM_TRAITS_MAX];

	/* dispatcher writes, before the agent's ring */
	alignas(KM_SHARE_BYTES) struct km_type *type;
	struct km_req *held_next; /* the dispatcher's own queues */
	struct km_decision decision;
	uint64_t est_ns; /* what was added to the agent's queue time */

	/* agent writes, before the completion queue */
	alignas(KM_SHARE_BYTES) uint64_t start_ns;
	uint64_t end_ns;
	enum km_outcome outcome;
	bool top_hit, uncached;
	uint8_t rule_hits, rule_misses;
	uint32_t conflicts; /* commits refused and tried again */
	uint32_t fault_nr; /* minor page faults of a miss, from look-up to consolidated result,
			      when all its slots were recycled; UINT32_MAX = not counted */
};

#endif
