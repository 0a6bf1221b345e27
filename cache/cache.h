/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/cache.h - one agent's two-level cache: which types and rule objects
 * it holds, what they weigh, and who goes first.
 *
 * The top level is keyed by request type and holds consolidated results; the
 * lower level is keyed by rule object, i.e. (rule, values of its traits). While
 * a consolidated result is cached, all the rule objects it was made of are
 * pinned. Memory comes and goes through two callbacks, so the simulator links
 * the same code with none behind it.
 *
 * Invariants (tests/model/cache_model_test.c cites them):
 *  C1 the bytes of all objects never exceed cfg.bytes_max;
 *  C2 a pinned rule object (pins > 0) is never evicted;
 *  C3 pins equal the cached consolidated results that name the object, plus
 *     the holds taken with km_cache_hold();
 *  C4 objects leave in order of last use (used_ns; on a tie, in the order in
 *     which they became unpinned or were used); a rule object that its last
 *     consolidated result leaves behind is as old as that result, unless it was
 *     used by itself since;
 *  C5 an id whose generation differs is absent.
 *
 * Context: one thread, the agent (or the simulator). Nothing here is shared.
 * Source: Kamino, OSDI '25, sections 2.1 and 4.2.3.
 */
#ifndef KM_CACHE_CACHE_H
#define KM_CACHE_CACHE_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base.h"

enum km_cache_level {
	KM_CACHE_TOP, /* consolidated results, by type id */
	KM_CACHE_RULE, /* rule objects, by rule object id */
	KM_CACHE_LEVEL_NR,
};

/* A name that outlives its index: ids are dense and recycled with a new gen. */
struct km_key {
	uint32_t id;
	uint32_t gen;
};

/*
 * One step of a cache from one version to the next. In the list of its level
 * (km_cache_keys()) an object comes to the end; where one leaves, the last one of
 * the list takes its place.
 */
struct km_change {
	struct km_key key;
	uint32_t place : 30; /* where it came or left */
	uint32_t level : 1; /* enum km_cache_level */
	uint32_t present : 1; /* it came */
};
static_assert(sizeof(struct km_change) == 12, "digests carry many");

/* The last changes that a cache remembers: four misses of 30 rules that evict as many. */
#define KM_CACHE_LOG_NR 256u
/* Ids of both levels: places have 30 bits. */
#define KM_CACHE_ID_NR_MAX (1u << 30)

/*
 * One line each: a lookup touches the object and, to put it first, its two
 * neighbours in the list.
 */
struct km_cache_obj {
	alignas(64) struct km_key key;
	uint64_t used_ns;
	uint64_t rev; /* inventory revision it reflects; the owner's to write */
	void *slot; /* the owner's memory, from ops->take() */
	struct km_cache_obj **deps; /* top level: dep_nr pinned rule objects */
	uint32_t newer, older; /* LRU, the cache's; both 0 while pinned */
	uint32_t present_idx; /* in the cache's dense list of the level; the cache's */
	uint32_t pins; /* rule level: C3; includes the holds */
	uint32_t holds; /* rule level: km_cache_hold() and inserts not yet released */
	uint8_t class_idx; /* the owner's size class, 0..cfg.class_nr - 1 */
	uint8_t dep_nr;
	uint8_t level; /* enum km_cache_level */
	bool present : 1;
	bool mark : 1; /* the owner's; false when inserted */
};
static_assert(sizeof(struct km_cache_obj) == 64, "an object is one line");

/**
 * struct km_cache_ops - where slots come from.
 * @take: memory for one object of @class_idx; NULL when the owner has none now,
 *	in which case the cache evicts the oldest object and asks again.
 * @give: the object's slot is free again.
 */
struct km_cache_ops {
	void *(*take)(void *owner, uint32_t class_idx);
	void (*give)(void *owner, uint32_t class_idx, void *slot);
};

struct km_cache_cfg {
	uint32_t type_cap, rule_cap; /* ids are 0..cap - 1; less than KM_CACHE_ID_NR_MAX of both */
	uint32_t dep_max; /* most rule objects a consolidated result names; to 255 */
	uint32_t class_nr; /* to 255 */
	const uint64_t *class_bytes; /* [class_nr], copied */
	uint64_t bytes_max; /* hard (C1) */
	uint64_t age_ns_max; /* km_cache_age() evicts what is unused for longer; 0 = never */
	const struct km_cache_ops *ops; /* NULL = no memory behind it, slots are NULL */
	/*
	 * Told of every object that comes (its gen is then set) or goes; NULL = nobody
	 * listens. Must not call back into the cache, which then keeps no log (km_cache_log()).
	 */
	void (*changed)(void *owner, enum km_cache_level level, struct km_key key, bool present);
	void *owner;
};

struct km_cache_stats {
	uint64_t hits[KM_CACHE_LEVEL_NR], misses[KM_CACHE_LEVEL_NR];
	uint64_t inserts[KM_CACHE_LEVEL_NR];
	uint64_t evicted_lru[KM_CACHE_LEVEL_NR], evicted_age[KM_CACHE_LEVEL_NR];
	uint64_t evicted_asked[KM_CACHE_LEVEL_NR]; /* km_cache_evict(), an older generation */
	uint64_t refused; /* inserts for which nothing more could be evicted */
	uint64_t bytes, bytes_peak;
	uint32_t present_nr[KM_CACHE_LEVEL_NR];
};

struct km_cache;

/**
 * km_cache_create() - an empty cache; all its tables are allocated here.
 * @out: set on success; release with km_cache_destroy().
 *
 * Context: allocates. Return: 0; -EINVAL for a cap, class or budget out of bounds; -ENOMEM.
 */
int km_cache_create(struct km_cache **out, const struct km_cache_cfg *cfg) KM_MUST_CHECK;

/** km_cache_destroy() - evict everything (slots go back), free the tables. */
void km_cache_destroy(struct km_cache *cache);

/**
 * km_cache_lookup() - the object, counted as a hit or miss and as used now.
 * @now_ns: never less than in an earlier call.
 *
 * A top-level hit also counts as a use of the rule objects it pins; their used_ns
 * says so once the result has left.
 * Progress: O(1). Return: NULL when absent (C5).
 */
struct km_cache_obj *km_cache_lookup(struct km_cache *cache, enum km_cache_level level,
				     struct km_key key, uint64_t now_ns);

/**
 * km_cache_peek() - the same without counting or using.
 * Return: NULL when absent (C5).
 */
struct km_cache_obj *km_cache_peek(const struct km_cache *cache, enum km_cache_level level,
				   struct km_key key);

/**
 * km_cache_objs() - the table that a look-up by id reads, for prefetching.
 * Return: by id, valid as long as the cache.
 */
const struct km_cache_obj *km_cache_objs(const struct km_cache *cache, enum km_cache_level level);

/**
 * km_cache_insert_rule() - make room for a rule object and take its slot.
 * @key: absent (an older generation of the id is evicted first; if that one is
 *	pinned by a consolidated result, that result is evicted with it).
 *
 * Evicts nothing when the budget could not hold it beside what is held anyway.
 *
 * Return: the object, held (as by km_cache_hold()), with slot set and rev 0;
 * NULL (counted as refused) when it does not fit: everything left is pinned or
 * held, or the older generation is held.
 */
struct km_cache_obj *km_cache_insert_rule(struct km_cache *cache, struct km_key key,
					  uint32_t class_idx, uint64_t now_ns);

/**
 * km_cache_insert_top() - make room for a consolidated result, pin @deps, take its slot.
 * @deps: present rule objects, each held by the caller, at most dep_max; the
 *	holds stay the caller's to release.
 *
 * @key: absent (an older generation is evicted first).
 *
 * Return: the object with slot set and rev 0; NULL (counted as refused) when it
 * does not fit.
 */
struct km_cache_obj *km_cache_insert_top(struct km_cache *cache, struct km_key key,
					 uint32_t class_idx, struct km_cache_obj *const *deps,
					 uint32_t dep_nr, uint64_t now_ns);

/** km_cache_hold() - keep a rule object from eviction while a result is being built. */
void km_cache_hold(struct km_cache *cache, struct km_cache_obj *obj);

/** km_cache_release() - undo km_cache_hold() or the hold of an insert. */
void km_cache_release(struct km_cache *cache, struct km_cache_obj *obj);

/**
 * km_cache_evict() - drop one unpinned object now.
 *
 * Of a consolidated result the rule objects stay, unpinned.
 */
void km_cache_evict(struct km_cache *cache, struct km_cache_obj *obj);

/**
 * km_cache_age() - evict what has not been used for cfg.age_ns_max.
 * Return: how many objects left.
 */
uint32_t km_cache_age(struct km_cache *cache, uint64_t now_ns);

/**
 * km_cache_oldest_ns() - when what would be evicted next was last used.
 * Return: UINT64_MAX when nothing can be: all is pinned, or nothing there.
 */
uint64_t km_cache_oldest_ns(const struct km_cache *cache);

/**
 * km_cache_version() - grows by one whenever the set of cached objects changed.
 */
uint64_t km_cache_version(const struct km_cache *cache);

/**
 * km_cache_keys() - list what is cached, in an order that km_cache_log() follows.
 * @keys: room for as many as stats.present_nr[level].
 * Return: how many were written.
 */
uint32_t km_cache_keys(const struct km_cache *cache, enum km_cache_level level,
		       struct km_key *keys);

/**
 * km_cache_log() - the last changes, oldest first: the last one led to the version now.
 * @log: room for KM_CACHE_LOG_NR. Return: how many were written; 0 with cfg.changed.
 */
uint32_t km_cache_log(const struct km_cache *cache, struct km_change *log);

/**
 * km_cache_oldest_rev() - the cached object of @level whose rev is least.
 * @min_lag, @rev_now: only objects with rev + min_lag <= rev_now.
 *
 * For the background update. Progress: O(present objects) in the worst case.
 * Return: NULL when none lags so far.
 */
struct km_cache_obj *km_cache_oldest_rev(const struct km_cache *cache, enum km_cache_level level,
					 uint64_t rev_now, uint64_t min_lag);

/**
 * km_cache_note_req() - on whose behalf evictions happen from now on, for the evict probe.
 * @req_id: UINT64_MAX = nobody's, as in a new cache.
 */
void km_cache_note_req(struct km_cache *cache, uint64_t req_id);

/** km_cache_stats() - counters since create; valid until the next call on the cache. */
const struct km_cache_stats *km_cache_stats(const struct km_cache *cache);

/**
 * km_cache_check() - verify C1 to C3 by recounting everything.
 * Context: tests and the audit; O(ids). Return: NULL, or what is wrong (static text).
 */
const char *km_cache_check(const struct km_cache *cache);

#endif
