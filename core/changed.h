/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/changed.h - which agents have something new to say: one bit each.
 *
 * An agent writes its summary (or publishes a digest), then sets its bit; the
 * dispatcher takes a word of 64 bits at once and looks at those agents only, so
 * that a look costs what changed and a line for every 64 agents.
 *
 * No change is lost (C1): set and take are read-modify-writes of one word, hence
 * in one order. A set before the take is seen by it, and with it what the agent
 * wrote before (CHANGED_R1, CHANGED_A1); a set after it is there for the next.
 * An agent must not skip the set because its bit still stands: its summary may
 * not be visible yet when the bit is taken.
 *
 * Writers: the agents of the word and the dispatcher, each a few times a request;
 * words are apart, so that groups do not disturb each other.
 */
#ifndef KM_CORE_CHANGED_H
#define KM_CORE_CHANGED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/base.h"

struct km_changed {
	alignas(KM_SHARE_BYTES) _Atomic uint64_t bits; /* of 64 agents */
};

#define KM_CHANGED_NR(agent_nr) KM_DIV_UP(agent_nr, 64)

/* @agent_idx has written something. Context: its thread. Progress: wait-free. */
static inline void km_changed_set(struct km_changed *changed, uint32_t agent_idx)
{
	/* CHANGED_R1 pairs with CHANGED_A1 in km_changed_take(): what was written, then the bit. */
	atomic_fetch_or_explicit(&changed[agent_idx / 64].bits, UINT64_C(1) << (agent_idx % 64),
				 KM_ORDER(CHANGED_R1, release));
}

/* The agents of one word that changed since it was taken last. Context: the dispatcher. */
static inline uint64_t km_changed_take(struct km_changed *word)
{
	/* relaxed: a bit that is missed here is there the next time */
	if (!atomic_load_explicit(&word->bits, memory_order_relaxed))
		return 0;
	/* CHANGED_A1 pairs with CHANGED_R1 in km_changed_set(). */
	return atomic_exchange_explicit(&word->bits, 0, KM_ORDER(CHANGED_A1, acquire));
}

/* Whether any agent changed. A "no" may be stale, as any look can be. */
static inline bool km_changed_any(const struct km_changed *changed, uint32_t agent_nr)
{
	uint32_t w;

	for (w = 0; w < KM_CHANGED_NR(agent_nr); w++)
		/* relaxed: a hint; what changed is read after km_changed_take() */
		if (atomic_load_explicit(&changed[w].bits, memory_order_relaxed))
			return true;
	return false;
}

#endif
