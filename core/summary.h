/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/summary.h - the one line an agent publishes about itself.
 *
 * All that a decision reads of an agent stands in a single 64-bit word, so it
 * cannot be torn and needs no sequence lock: how many requests it has begun
 * (16 bits, wrapping; windows are far smaller), whether one is in service, and
 * when that one is predicted to end: its start plus the estimate the agent made
 * from its cache as it then was.
 *
 *	63        48 47   46                     0
 *	+-----------+----+------------------------+
 *	| begun     |busy| end, in ticks of 64 ns |
 *	+-----------+----+------------------------+
 *
 * 47 bits of ticks are 104 days of km_clock_ns().
 *
 * Writer: the agent alone. Readers: the dispatcher, monitors.
 */
#ifndef KM_CORE_SUMMARY_H
#define KM_CORE_SUMMARY_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/atomic.h"

#define KM_SUMMARY_TICK_SHIFT 6
#define KM_SUMMARY_END_MASK ((UINT64_C(1) << 47) - 1)
#define KM_SUMMARY_BUSY (UINT64_C(1) << 47)

struct km_summary {
	alignas(KM_SHARE_BYTES) _Atomic uint64_t word;
	_Atomic uint64_t digest_version; /* of the digest published last */
	/* statistics, for monitors: relaxed */
	_Atomic uint64_t served, top_hits, top_misses, rule_hits;
	_Atomic uint64_t busy_ns; /* summed processing times */
	_Atomic uint64_t cache_bytes;
};
static_assert(offsetof(struct km_summary, cache_bytes) + sizeof(uint64_t) <= 64,
	      "all of it rides on the line of the word");

/* What the word says. */
struct km_summary_state {
	uint16_t begun;
	bool busy;
	uint64_t end_ns; /* 0 when idle */
};

static inline uint64_t km_summary_pack(uint16_t begun, bool busy, uint64_t end_ns)
{
	uint64_t ticks = (end_ns >> KM_SUMMARY_TICK_SHIFT) & KM_SUMMARY_END_MASK;

	return (uint64_t)begun << 48 | (busy ? KM_SUMMARY_BUSY | ticks : 0);
}

static inline struct km_summary_state km_summary_unpack(uint64_t word)
{
	struct km_summary_state state = {
		.begun = (uint16_t)(word >> 48),
		.busy = word & KM_SUMMARY_BUSY,
		.end_ns = (word & KM_SUMMARY_END_MASK) << KM_SUMMARY_TICK_SHIFT,
	};

	return state;
}

static inline void km_summary_write(struct km_summary *summary, uint64_t word)
{
	/*
	 * SUMMARY_R1 pairs with SUMMARY_A1 in km_summary_read(): a dispatcher
	 * that sees a request end also sees the digest published before.
	 */
	atomic_store_explicit(&summary->word, word, KM_ORDER(SUMMARY_R1, release));
}

static inline uint64_t km_summary_read(const struct km_summary *summary)
{
	/* SUMMARY_A1 pairs with SUMMARY_R1 in km_summary_write(). */
	return atomic_load_explicit(&summary->word, KM_ORDER(SUMMARY_A1, acquire));
}

#endif
