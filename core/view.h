/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/view.h - what the dispatcher knows of all agents when it decides.
 *
 * Plain memory with one owner: the dispatcher's thread, or the simulator. Per
 * agent: the queue time as a running sum and the predicted end of the request
 * in service. Per type and per rule object: one row of agent bits for what is
 * cached (from the digests) and one for what is coming (queued and, when
 * count_serving is set, in service); their union is the augmented cache.
 *
 * Invariants (tests cite them):
 *  V1 wait_ns[a] is the sum of the estimates that were added for the requests
 *     queued on a, each leaving with exactly what it brought;
 *  V2 a coming bit is set iff the id is coming at least once;
 *  V3 a cached bit speaks of the id's current generation only;
 *  V4 in a view with bounds, at any time from bound_ns on, no agent of a group of
 *     8 or block of 64 has less queue and remaining time than the group's or
 *     block's bound less that time.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2.
 */
#ifndef KM_CORE_VIEW_H
#define KM_CORE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/digest.h"
#include "core/estimate.h"
#include "core/type.h"

#define KM_NO_AGENT UINT32_MAX

/* All that is known of one id on 64 agents. */
struct km_view_cell {
	uint64_t augmented, cached, coming;
	uint64_t many; /* coming more than once: the count says how often */
};

/* Words from one word of a row to the next. */
#define KM_VIEW_STRIDE (sizeof(struct km_view_cell) / sizeof(uint64_t))

struct km_view {
	uint32_t agent_nr;
	uint32_t word_nr; /* 64-bit words of a row: agents / 64, rounded up */
	uint32_t rule_nr;
	uint32_t cap[KM_CACHE_LEVEL_NR]; /* ids of each level */
	bool count_serving; /* the request in service counts as cached-to-be */

	uint64_t now_ns; /* set before each decision */
	const struct km_estimates *est; /* set before each decision */

	/* both with more entries up to whole words, for nobody: scans read them */
	uint64_t *wait_ns; /* [agent_nr] V1 */
	uint64_t *end_ns; /* [agent_nr] predicted end of the request in service; 0 = idle */
	uint32_t *queued_nr; /* [agent_nr] assigned and not started */
	uint64_t *open; /* [word_nr] agents that may be given a request */
	/*
	 * Rows of agent bits: a cell for each id and 64 agents, [cap][word_nr], and
	 * the rows in it as km_view_row() takes them. The bits of one id and agent
	 * stand on one line, as they change together.
	 */
	struct km_view_cell *cell[KM_CACHE_LEVEL_NR];
	uint64_t *augmented[KM_CACHE_LEVEL_NR]; /* cached or coming */
	uint64_t *cached[KM_CACHE_LEVEL_NR]; /* V3 */
	uint64_t *coming[KM_CACHE_LEVEL_NR]; /* V2 */
	/* [cap][agent_nr] of what is coming more than once; others' counts are not kept */
	uint32_t *count[KM_CACHE_LEVEL_NR];
	uint32_t *gen[KM_CACHE_LEVEL_NR]; /* [cap] */

	/* bounds, V4; NULL in a view without */
	uint64_t *group_bound,
		*block_bound; /* ns on the clock of now_ns; [8 * word_nr], [word_nr] */
	uint64_t bound_ns; /* the latest now_ns that they rest on */
	uint32_t fresh_block; /* whose turn it is in km_view_freshen() */

	/* what only the simulator can know; NULL elsewhere */
	const uint64_t *exact_ns; /* [agent_nr] true processing time of the request at hand */
	uint64_t *future[KM_CACHE_LEVEL_NR]; /* a row an id: cached once all queued is served */

	/* per agent: the digest folded last, to take its bits out again */
	struct km_key **folded[KM_CACHE_LEVEL_NR];
	uint32_t *folded_nr[KM_CACHE_LEVEL_NR], *folded_cap[KM_CACHE_LEVEL_NR];
	void *cell_memory[KM_CACHE_LEVEL_NR]; /* what cell was cut from */
};

struct km_view_cfg {
	uint32_t agent_nr, rule_nr;
	uint32_t type_cap, rule_obj_cap;
	bool count_serving;
	bool bounds; /* keep bounds (V4): then only km_view_set_end() writes end_ns */
	bool future; /* keep rows of what will be cached (km_view_note_future()) */
};

/** km_view_create() - all agents idle, empty and open. Return: 0; -EINVAL; -ENOMEM. */
int km_view_create(struct km_view **out, const struct km_view_cfg *cfg) KM_MUST_CHECK;

/** km_view_destroy() - free it; NULL is allowed. */
void km_view_destroy(struct km_view *view);

/** km_view_enqueue() - @type was assigned to @agent_idx; @est_ns joins its queue time. */
void km_view_enqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns);

/** km_view_unqueue() - the assignment is taken back (stealing). */
void km_view_unqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns);

/** km_view_start() - service began; @est_ns as enqueued. @end_ns is set separately. */
void km_view_start(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		   uint64_t est_ns);

/** km_view_finish() - service ended; the digest was folded before. */
void km_view_finish(struct km_view *view, uint32_t agent_idx, const struct km_type *type);

/** km_view_set_end() - @agent_idx serves until @end_ns by its estimate; 0 = it is idle. */
void km_view_set_end(struct km_view *view, uint32_t agent_idx, uint64_t end_ns);

/**
 * km_view_freshen() - bring the bounds of @block_nr blocks to now_ns, in turn.
 *
 * A bound of an idle or overdue agent loosens as time goes by: answers stay right,
 * decisions get slower. Does nothing in a view without bounds.
 */
void km_view_freshen(struct km_view *view, uint32_t block_nr);

/**
 * km_view_fold() - take over @agent_idx's digest. O(keys of the old and new digest).
 * Allocates only when a digest is longer than any before from this agent; keeps
 * the old digest when that fails. Return: 0; -ENOMEM.
 */
int km_view_fold(struct km_view *view, uint32_t agent_idx,
		 const struct km_digest *digest) KM_MUST_CHECK;

/**
 * km_view_note_cached() - one object came to or left @agent_idx's cache.
 * For an owner that hears of each change (km_cache_cfg.changed) instead of digests;
 * the two are not mixed for one agent.
 */
void km_view_note_cached(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present);

/** km_view_note_future() - the same of what will be cached; for a view with cfg.future. */
void km_view_note_future(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present);

/** km_view_recycle() - an id gets a new meaning: nobody has it cached (a km_recycle_fn). */
void km_view_recycle(void *view, enum km_cache_level level, struct km_key key);

static inline const uint64_t *km_view_row(const uint64_t *rows, const struct km_view *view,
					  uint32_t id)
{
	return rows + (size_t)id * view->word_nr * KM_VIEW_STRIDE;
}

static inline bool km_view_bit(const uint64_t *row, uint32_t agent_idx)
{
	return row[agent_idx / 64 * KM_VIEW_STRIDE] >> (agent_idx % 64) & 1;
}

static inline bool km_view_is_open(const struct km_view *view, uint32_t agent_idx)
{
	return view->open[agent_idx / 64] >> (agent_idx % 64) & 1;
}

static inline void km_view_set_open(struct km_view *view, uint32_t agent_idx, bool open)
{
	uint64_t bit = UINT64_C(1) << (agent_idx % 64);

	if (open)
		view->open[agent_idx / 64] |= bit;
	else
		view->open[agent_idx / 64] &= ~bit;
}

/* Bring near what km_view_note_cached() will write. */
static inline void km_view_prefetch(const struct km_view *view, enum km_cache_level level,
				    uint32_t id, uint32_t agent_idx)
{
	__builtin_prefetch(&view->cell[level][(size_t)id * view->word_nr + agent_idx / 64], 1);
}

/* Cached now on the agent. */
static inline bool km_view_cached(const struct km_view *view, enum km_cache_level level,
				  uint32_t id, uint32_t agent_idx)
{
	return km_view_bit(km_view_row(view->cached[level], view, id), agent_idx);
}

/* Cached now, or coming: in the augmented cache. */
static inline bool km_view_augmented(const struct km_view *view, enum km_cache_level level,
				     uint32_t id, uint32_t agent_idx)
{
	return km_view_bit(km_view_row(view->augmented[level], view, id), agent_idx);
}

/* remainingProcTime: 0 when idle or overdue. */
static inline uint64_t km_view_remaining_ns(const struct km_view *view, uint32_t agent_idx)
{
	uint64_t end = view->end_ns[agent_idx];

	return end > view->now_ns ? end - view->now_ns : 0;
}

#endif
