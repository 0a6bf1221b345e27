/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/view.h - what the dispatcher knows of all agents when it decides.
 *
 * Plain memory with one owner: the dispatcher's thread, or the simulator. Per
 * agent: the queue time as a running sum, the predicted end of the request in
 * service and which types are coming (queued and, when count_serving is set, in
 * service). Per type and per rule object: rows of agent bits for what is cached
 * (from the digests) and for the augmented cache, cached or coming.
 *
 * Nothing is counted for rule objects: while a type is cached, what it was made of
 * is cached too (V5), so its coming adds nothing to them; and an object that was
 * cached is looked for in what is coming when it goes, which is rare.
 *
 * Invariants (tests cite them; km_view_check() recounts V2 and V4 to V7):
 *  V1 wait_ns[a] is the sum of the estimates that were added for the requests
 *     queued on a, each leaving with exactly what it brought;
 *  V2 a type's coming bit is set iff it is coming at least once; an augmented bit
 *     iff the id is cached, or a type that is coming is it or was made of it;
 *  V3 a cached bit speaks of the id's current generation only;
 *  V4 in a view with bounds, at any time from from_ns on, no agent has less queue and
 *     remaining time, from the epoch on, than its tick says; no agent of a group of 16
 *     a lower tick than the group's first, and none but the early one than its rest;
 *  V5 where an interned type is cached, so are all its rule objects: a cache pins
 *     them, and a digest that says otherwise is not one of a cache;
 *  V6 where a type's WHOLE_AT is the block's rule_turn, its WHOLE has the agents on
 *     which all its rule objects are augmented;
 *  V7 of few agents, each rule object's augmented bits stand in two bytes as well: of
 *     all objects these are a few dozen lines, which a decision after a miss reads.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2.
 */
#ifndef KM_CORE_VIEW_H
#define KM_CORE_VIEW_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/digest.h"
#include "core/bounds.h"
#include "core/estimate.h"
#include "core/type.h"

#define KM_NO_AGENT UINT32_MAX

/* What the rows of an id say, a bit an agent; rule objects have the first two. */
enum km_view_kind {
	KM_VIEW_AUGMENTED, /* cached or coming */
	KM_VIEW_CACHED, /* V3 */
	KM_VIEW_COMING, /* V2 */
	KM_VIEW_WHOLE, /* V6 */
	KM_VIEW_WHOLE_AT, /* a number for each 64 agents */
	KM_VIEW_KIND_NR,
};

/* A type that is coming, and how often. */
struct km_view_coming {
	uint32_t id, nr;
};

#define KM_VIEW_FEW_NR 16 /* agents of which two bytes say enough */
#define KM_VIEW_NEAR_NR 7 /* on the line of struct km_view_queue */

/* Those of one agent, on a line as long as they are few; in any order. */
struct km_view_queue {
	alignas(64) uint32_t nr;
	struct km_view_coming near[KM_VIEW_NEAR_NR];
};

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
	 * Rows of agent bits: for each id row_words words, word_nr of each kind, as
	 * km_view_row() takes them. All of one type and up to 64 agents is one line.
	 */
	uint64_t *row[KM_CACHE_LEVEL_NR];
	uint32_t row_words[KM_CACHE_LEVEL_NR];
	uint16_t *obj_few; /* [cap] V7; NULL with more than KM_VIEW_FEW_NR agents */
	uint64_t *rule_turn; /* [word_nr] grows when a rule object's augmented bit changes */
	uint32_t *gen[KM_CACHE_LEVEL_NR]; /* [cap] */

	struct km_view_queue *queue; /* [agent_nr] */
	struct km_view_coming *far; /* [agent_nr][far_nr] what has no room on the line */
	uint32_t far_nr;
	const struct km_type *type; /* by id; NULL until one was coming */

	/*
	 * V4; NULL in a view without. A decision tightens them: they say no more than
	 * the times they were made of.
	 */
	struct km_bounds *bounds;

	/* what only the simulator can know; NULL elsewhere */
	const uint64_t *exact_ns; /* [agent_nr] true processing time of the request at hand */
	uint64_t *future[KM_CACHE_LEVEL_NR]; /* [cap][word_nr] cached once all queued is served */

	/* per agent: the digest folded last, to tell what is new in the next */
	uint64_t *folded_version; /* [agent_nr] */
	struct km_key **folded[KM_CACHE_LEVEL_NR];
	uint32_t *folded_nr[KM_CACHE_LEVEL_NR], *folded_cap[KM_CACHE_LEVEL_NR];
	uint64_t *fold_mark[KM_CACHE_LEVEL_NR]; /* [cap] the last fold in which the id was new */
	uint64_t fold_nr;
	void *row_memory[KM_CACHE_LEVEL_NR]; /* what row was cut from */
};

struct km_view_cfg {
	uint32_t agent_nr, rule_nr;
	uint32_t type_cap, rule_obj_cap;
	uint32_t coming_max; /* most types that are coming to an agent; 0 = type_cap */
	bool count_serving;
	bool bounds; /* keep bounds (V4): then only km_view_set_end() writes end_ns */
	bool future; /* keep rows of what will be cached (km_view_note_future()) */
};

/** km_view_create() - all agents idle, empty and open. Return: 0; -EINVAL; -ENOMEM. */
int km_view_create(struct km_view **out, const struct km_view_cfg *cfg) KM_MUST_CHECK;

/** km_view_bytes() - about what a view without cfg.future takes; what stands in it comes on top. */
uint64_t km_view_bytes(uint32_t agent_nr, uint32_t type_cap, uint32_t rule_obj_cap);

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
 * km_view_fold() - take over @agent_idx's digest: each key once, and V5.
 *
 * Costs what changed, where the digest's log reaches back to the version folded
 * last (D1 in cache/digest.h). Else compares it with the one before place by place,
 * which costs little where most keys keep their places, as a cache's do. Allocates
 * only when more is cached than ever before on this agent; keeps the old digest
 * when that fails.
 * Return: 0; -ENOMEM.
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

/**
 * km_view_check() - V2 and V4 to V7 by recounting everything.
 * Context: tests; O(ids * agents). Return: NULL, or what is wrong (static text).
 */
const char *km_view_check(const struct km_view *view);

/* The row of @id: word_nr words. */
static inline uint64_t *km_view_row(const struct km_view *view, enum km_cache_level level,
				    uint32_t id, enum km_view_kind kind)
{
	return view->row[level] + (size_t)id * view->row_words[level] +
	       (size_t)kind * view->word_nr;
}

/* Fetch what a decision about @type will read first. */
static inline void km_view_prefetch_type(const struct km_view *view, const struct km_type *type)
{
	const uint64_t *row = km_view_row(view, KM_CACHE_TOP, type->key.id, KM_VIEW_AUGMENTED);
	uint32_t w;

	km_prefetch(row);
	for (w = 8; w < view->word_nr; w += 8)
		km_prefetch(row + w);
	km_prefetch(&view->est->type_hit_ns[type->key.id]);
	km_prefetch(&type->rule[0]);
	km_prefetch(&type->rule[8]);
	km_prefetch(&type->rule[16]);
}

static inline bool km_view_bit(const uint64_t *row, uint32_t agent_idx)
{
	return row[agent_idx / 64] >> (agent_idx % 64) & 1;
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
	km_prefetch_write(km_view_row(view, level, id, KM_VIEW_AUGMENTED) + agent_idx / 64);
}

/* Cached now on the agent. */
static inline bool km_view_cached(const struct km_view *view, enum km_cache_level level,
				  uint32_t id, uint32_t agent_idx)
{
	return km_view_bit(km_view_row(view, level, id, KM_VIEW_CACHED), agent_idx);
}

/* Cached now, or coming: in the augmented cache. */
static inline bool km_view_augmented(const struct km_view *view, enum km_cache_level level,
				     uint32_t id, uint32_t agent_idx)
{
	return km_view_bit(km_view_row(view, level, id, KM_VIEW_AUGMENTED), agent_idx);
}

/* The type is coming. */
static inline bool km_view_coming(const struct km_view *view, uint32_t type_id, uint32_t agent_idx)
{
	return km_view_bit(km_view_row(view, KM_CACHE_TOP, type_id, KM_VIEW_COMING), agent_idx);
}

/* It will be cached once all that is queued is served; for a view with cfg.future. */
static inline bool km_view_future(const struct km_view *view, enum km_cache_level level,
				  uint32_t id, uint32_t agent_idx)
{
	return km_view_bit(view->future[level] + (size_t)id * view->word_nr, agent_idx);
}

/* remainingProcTime: 0 when idle or overdue. */
static inline uint64_t km_view_remaining_ns(const struct km_view *view, uint32_t agent_idx)
{
	uint64_t end = view->end_ns[agent_idx];

	return end > view->now_ns ? end - view->now_ns : 0;
}

#endif
