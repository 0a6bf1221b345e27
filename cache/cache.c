/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/cache.c - see cache/cache.h for the invariants C1 to C5.
 *
 * Both levels are arrays of objects by id, so that a lookup is one index. One
 * list runs through the unpinned objects of both levels in order of last use;
 * pinned rule objects are outside of it and come back at the place that their
 * last use gives them. The list is a ring of places in one array of all objects,
 * closed by the first, which is nobody: its newer is the oldest object, its
 * older the newest. Each level also has a dense list of what is present, for
 * the digest and the background update, and a ring remembers the last changes of
 * these lists, one a version.
 */
#include "cache/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/probe.h"

enum why { WHY_LRU, WHY_AGE, WHY_ASKED };

struct km_cache {
	struct km_cache_cfg cfg;
	uint64_t *class_bytes; /* our copy */
	uint32_t cap[KM_CACHE_LEVEL_NR];
	struct km_cache_obj *all; /* nobody, then both levels */
	struct km_cache_obj *obj[KM_CACHE_LEVEL_NR]; /* by id, in all */
	struct km_key *present[KM_CACHE_LEVEL_NR]; /* dense, present_nr of them */
	struct km_change *log; /* [KM_CACHE_LOG_NR] by version; NULL with cfg.changed */
	void *all_memory; /* what all was cut from */

	/* Arrays of dep_max pointers: as many as consolidated results fit the budget. */
	struct km_cache_obj **dep_pool;
	struct km_cache_obj ***dep_free;
	uint32_t dep_free_nr;

	uint64_t held_bytes; /* of rule objects with holds: what cannot be evicted */
	uint64_t version;
	uint64_t for_req; /* km_cache_note_req() */
	uint32_t *recount; /* [rule_cap], scratch of km_cache_check() */
	struct km_cache_stats stats;
};

/* ---- the list in order of last use ---------------------------------------- */

static inline uint32_t place_of(const struct km_cache *cache, const struct km_cache_obj *obj)
{
	return (uint32_t)(obj - cache->all);
}

/* NULL when there is none. */
static inline struct km_cache_obj *oldest(const struct km_cache *cache)
{
	return cache->all->newer ? &cache->all[cache->all->newer] : NULL;
}

static void lru_del(struct km_cache *cache, struct km_cache_obj *obj)
{
	cache->all[obj->newer].older = obj->older;
	cache->all[obj->older].newer = obj->newer;
	obj->newer = 0;
	obj->older = 0;
}

/* Put @obj between @older and its newer neighbour; nobody = the old end. */
static void lru_add_after(struct km_cache *cache, struct km_cache_obj *older,
			  struct km_cache_obj *obj)
{
	const uint32_t place = place_of(cache, obj);

	obj->older = place_of(cache, older);
	obj->newer = older->newer;
	cache->all[older->newer].older = place;
	older->newer = place;
}

/*
 * Put @obj after everything that was used no later (C4). What was used just
 * now belongs to the new end and what an evicted result leaves behind to the
 * old one, so we look from both: O(distance to the nearer end).
 */
static void lru_add(struct km_cache *cache, struct km_cache_obj *obj)
{
	struct km_cache_obj *const all = cache->all;
	struct km_cache_obj *down = &all[all->older], *up = &all[all->newer];

	while (down != all) {
		if (down->used_ns <= obj->used_ns) {
			lru_add_after(cache, down, obj);
			return;
		}
		if (up->used_ns > obj->used_ns) {
			lru_add_after(cache, &all[up->older], obj);
			return;
		}
		down = &all[down->older];
		up = &all[up->newer];
	}
	lru_add_after(cache, all, obj);
}

/* ---- pins ------------------------------------------------------------------ */

static inline uint64_t bytes_of(const struct km_cache *cache, const struct km_cache_obj *obj)
{
	return cache->class_bytes[obj->class_idx];
}

static void pin(struct km_cache *cache, struct km_cache_obj *obj)
{
	if (obj->pins++ == 0)
		lru_del(cache, obj);
}

static void unpin(struct km_cache *cache, struct km_cache_obj *obj)
{
	if (--obj->pins == 0)
		lru_add(cache, obj);
}

void km_cache_hold(struct km_cache *cache, struct km_cache_obj *obj)
{
	KM_BUG_ON(!obj->present || obj->level != KM_CACHE_RULE);
	pin(cache, obj);
	if (obj->holds++ == 0)
		cache->held_bytes += bytes_of(cache, obj);
}

void km_cache_release(struct km_cache *cache, struct km_cache_obj *obj)
{
	KM_BUG_ON(obj->level != KM_CACHE_RULE || obj->holds == 0);
	if (--obj->holds == 0)
		cache->held_bytes -= bytes_of(cache, obj);
	unpin(cache, obj);
}

/* ---- coming and going ------------------------------------------------------ */

static void tell(struct km_cache *cache, const struct km_cache_obj *obj)
{
	const struct km_change change = { obj->key, obj->present_idx, obj->level, obj->present };

	if (cache->log)
		cache->log[cache->version % KM_CACHE_LOG_NR] = change;
	else
		cache->cfg.changed(cache->cfg.owner, obj->level, obj->key, obj->present);
	cache->version++;
}

static void present_add(struct km_cache *cache, struct km_cache_obj *obj)
{
	obj->present_idx = cache->stats.present_nr[obj->level]++;
	cache->present[obj->level][obj->present_idx] = obj->key;
	obj->present = true;
	tell(cache, obj);
}

static void present_del(struct km_cache *cache, struct km_cache_obj *obj)
{
	struct km_key *present = cache->present[obj->level];
	struct km_key last = present[--cache->stats.present_nr[obj->level]];

	present[obj->present_idx] = last;
	cache->obj[obj->level][last.id].present_idx = obj->present_idx;
	obj->present = false;
	tell(cache, obj);
}

/*
 * A use of a result is a use of its rule objects (C4). While they are pinned their
 * place in the list does not matter, so they are told when the result leaves: a
 * hit touches one object and not all of them.
 */
static void drop_deps(struct km_cache *cache, struct km_cache_obj *top)
{
	struct km_cache_obj *rule;
	uint32_t i;

	/* All at once: each is on a line that nobody has touched for long. */
	for (i = 0; i < top->dep_nr; i++)
		__builtin_prefetch(top->deps[i], 1);
	for (i = 0; i < top->dep_nr; i++) {
		rule = top->deps[i];
		rule->used_ns = km_max_u64(rule->used_ns, top->used_ns);
		unpin(cache, rule);
	}
	if (top->deps)
		cache->dep_free[cache->dep_free_nr++] = top->deps;
	top->deps = NULL;
	top->dep_nr = 0;
}

static void evict(struct km_cache *cache, struct km_cache_obj *obj, enum why why)
{
	struct km_cache_stats *stats = &cache->stats;
	uint64_t bytes = bytes_of(cache, obj);

	KM_PROBE(evict, cache->for_req, obj->level, obj->key.id, why, bytes);
	lru_del(cache, obj);
	if (obj->level == KM_CACHE_TOP)
		drop_deps(cache, obj);
	if (cache->cfg.ops)
		cache->cfg.ops->give(cache->cfg.owner, obj->class_idx, obj->slot);
	obj->slot = NULL;
	stats->bytes -= bytes;
	if (why == WHY_LRU)
		stats->evicted_lru[obj->level]++;
	else if (why == WHY_AGE)
		stats->evicted_age[obj->level]++;
	else
		stats->evicted_asked[obj->level]++;
	present_del(cache, obj);
}

void km_cache_evict(struct km_cache *cache, struct km_cache_obj *obj)
{
	KM_BUG_ON(!obj->present || obj->pins > 0);
	evict(cache, obj, WHY_ASKED);
}

uint64_t km_cache_oldest_ns(const struct km_cache *cache)
{
	return oldest(cache) ? oldest(cache)->used_ns : UINT64_MAX;
}

uint32_t km_cache_age(struct km_cache *cache, uint64_t now_ns)
{
	struct km_cache_obj *obj;
	uint32_t nr = 0;

	if (!cache->cfg.age_ns_max)
		return 0;
	/*
	 * A pinned rule object is in use as long as the results that pin it, so
	 * those that are too old are in the list, or will be when their result
	 * has left.
	 */
	while ((obj = oldest(cache)) && obj->used_ns < now_ns &&
	       now_ns - obj->used_ns > cache->cfg.age_ns_max) {
		evict(cache, obj, WHY_AGE);
		nr++;
	}
	return nr;
}

static bool names(const struct km_cache_obj *top, const struct km_cache_obj *rule)
{
	uint32_t i;

	for (i = 0; i < top->dep_nr; i++)
		if (top->deps[i] == rule)
			return true;
	return false;
}

/* Evict every consolidated result that names @rule, oldest first. Rare, so it walks. */
static void evict_tops_of(struct km_cache *cache, const struct km_cache_obj *rule)
{
	struct km_cache_obj *const all = cache->all, *obj, *newer;

	for (obj = &all[all->newer]; obj != all && rule->pins > 0; obj = newer) {
		/* What the eviction adds to the list between the two is no result. */
		newer = &all[obj->newer];
		if (names(obj, rule))
			evict(cache, obj, WHY_ASKED);
	}
}

/* The id gets a new meaning: what it stood for leaves. False when that is held. */
static bool evict_older_gen(struct km_cache *cache, struct km_cache_obj *obj)
{
	if (obj->holds > 0)
		return false;
	evict_tops_of(cache, obj);
	KM_BUG_ON(obj->pins > 0);
	evict(cache, obj, WHY_ASKED);
	return true;
}

/* Evict until @bytes more fit (C1). */
static bool make_room(struct km_cache *cache, uint64_t bytes)
{
	const uint64_t max = cache->cfg.bytes_max;

	/* What is held stays, all else can go: no use in evicting it in vain. */
	if (bytes > max || cache->held_bytes > max - bytes)
		return false;
	while (cache->stats.bytes > max - bytes) {
		KM_BUG_ON(!oldest(cache));
		evict(cache, oldest(cache), WHY_LRU);
	}
	return true;
}

static bool take_slot(struct km_cache *cache, uint32_t class_idx, void **slot)
{
	*slot = NULL;
	if (!cache->cfg.ops)
		return true;
	while (!(*slot = cache->cfg.ops->take(cache->cfg.owner, class_idx))) {
		if (!oldest(cache))
			return false;
		evict(cache, oldest(cache), WHY_LRU);
	}
	return true;
}

/* A new object, neither in the list nor pinned yet; NULL when it does not fit. */
static struct km_cache_obj *insert(struct km_cache *cache, enum km_cache_level level,
				   struct km_key key, uint32_t class_idx, uint64_t now_ns)
{
	struct km_cache_obj *obj;
	uint64_t bytes;
	void *slot;

	KM_BUG_ON(key.id >= cache->cap[level] || class_idx >= cache->cfg.class_nr);
	obj = &cache->obj[level][key.id];
	KM_BUG_ON(obj->present && obj->key.gen == key.gen);
	bytes = cache->class_bytes[class_idx];
	if ((obj->present && !evict_older_gen(cache, obj)) || !make_room(cache, bytes) ||
	    !take_slot(cache, class_idx, &slot)) {
		cache->stats.refused++;
		return NULL;
	}
	*obj = (struct km_cache_obj){ .key = key,
				      .level = level,
				      .class_idx = (uint8_t)class_idx,
				      .used_ns = now_ns,
				      .slot = slot };
	present_add(cache, obj);
	cache->stats.inserts[level]++;
	cache->stats.bytes += bytes;
	cache->stats.bytes_peak = km_max_u64(cache->stats.bytes_peak, cache->stats.bytes);
	return obj;
}

struct km_cache_obj *km_cache_insert_rule(struct km_cache *cache, struct km_key key,
					  uint32_t class_idx, uint64_t now_ns)
{
	struct km_cache_obj *obj = insert(cache, KM_CACHE_RULE, key, class_idx, now_ns);

	if (!obj)
		return NULL;
	obj->pins = 1;
	obj->holds = 1;
	cache->held_bytes += bytes_of(cache, obj);
	return obj;
}

struct km_cache_obj *km_cache_insert_top(struct km_cache *cache, struct km_key key,
					 uint32_t class_idx, struct km_cache_obj *const *deps,
					 uint32_t dep_nr, uint64_t now_ns)
{
	struct km_cache_obj *obj;
	uint32_t i;

	KM_BUG_ON(dep_nr > cache->cfg.dep_max);
	for (i = 0; i < dep_nr; i++)
		KM_BUG_ON(!deps[i]->present || deps[i]->holds == 0);
	obj = insert(cache, KM_CACHE_TOP, key, class_idx, now_ns);
	if (!obj)
		return NULL;
	if (dep_nr > 0)
		obj->deps = cache->dep_free[--cache->dep_free_nr];
	obj->dep_nr = (uint8_t)dep_nr;
	for (i = 0; i < dep_nr; i++) {
		obj->deps[i] = deps[i];
		deps[i]->used_ns = km_max_u64(deps[i]->used_ns, now_ns);
		pin(cache, deps[i]);
	}
	lru_add(cache, obj);
	return obj;
}

/* ---- lookup ---------------------------------------------------------------- */

struct km_cache_obj *km_cache_peek(const struct km_cache *cache, enum km_cache_level level,
				   struct km_key key)
{
	struct km_cache_obj *obj;

	if (key.id >= cache->cap[level])
		return NULL;
	obj = &cache->obj[level][key.id];
	return obj->present && obj->key.gen == key.gen ? obj : NULL;
}

const struct km_cache_obj *km_cache_objs(const struct km_cache *cache, enum km_cache_level level)
{
	return cache->obj[level];
}

static void use(struct km_cache *cache, struct km_cache_obj *obj, uint64_t now_ns)
{
	obj->used_ns = km_max_u64(obj->used_ns, now_ns);
	if (obj->pins > 0) /* then it is not in the list; of a result never */
		return;
	lru_del(cache, obj);
	if (km_likely(cache->all[cache->all->older].used_ns <= obj->used_ns))
		lru_add_after(cache, &cache->all[cache->all->older], obj);
	else
		lru_add(cache, obj);
}

struct km_cache_obj *km_cache_lookup(struct km_cache *cache, enum km_cache_level level,
				     struct km_key key, uint64_t now_ns)
{
	struct km_cache_obj *obj = km_cache_peek(cache, level, key);

	if (!obj) {
		cache->stats.misses[level]++;
		return NULL;
	}
	cache->stats.hits[level]++;
	use(cache, obj, now_ns); /* its rule objects learn of it in drop_deps() */
	return obj;
}

/* ---- listings -------------------------------------------------------------- */

uint64_t km_cache_version(const struct km_cache *cache)
{
	return cache->version;
}

/* Of what is @i-th in the level's list. */
static struct km_cache_obj *present_at(const struct km_cache *cache, enum km_cache_level level,
				       uint32_t i)
{
	return &cache->obj[level][cache->present[level][i].id];
}

uint32_t km_cache_keys(const struct km_cache *cache, enum km_cache_level level, struct km_key *keys)
{
	const uint32_t nr = cache->stats.present_nr[level];

	memcpy(keys, cache->present[level], nr * sizeof(*keys));
	return nr;
}

uint32_t km_cache_log(const struct km_cache *cache, struct km_change *log)
{
	const uint32_t end = (uint32_t)cache->version % KM_CACHE_LOG_NR;
	uint32_t old_nr = 0;

	if (!cache->log)
		return 0;
	if (cache->version >= KM_CACHE_LOG_NR) {
		old_nr = KM_CACHE_LOG_NR - end;
		memcpy(log, &cache->log[end], old_nr * sizeof(*log));
	}
	memcpy(&log[old_nr], cache->log, end * sizeof(*log));
	return old_nr + end;
}

struct km_cache_obj *km_cache_oldest_rev(const struct km_cache *cache, enum km_cache_level level,
					 uint64_t rev_now, uint64_t min_lag)
{
	struct km_cache_obj *least = NULL;
	uint32_t i;

	for (i = 0; i < cache->stats.present_nr[level]; i++) {
		struct km_cache_obj *obj = present_at(cache, level, i);

		if (obj->rev > rev_now || rev_now - obj->rev < min_lag)
			continue;
		if (!least || obj->rev < least->rev)
			least = obj;
	}
	return least;
}

void km_cache_note_req(struct km_cache *cache, uint64_t req_id)
{
	cache->for_req = req_id;
}

const struct km_cache_stats *km_cache_stats(const struct km_cache *cache)
{
	return &cache->stats;
}

/* ---- the audit ------------------------------------------------------------- */

static const char *check_bytes(const struct km_cache *cache)
{
	uint64_t bytes = 0, held_bytes = 0;
	uint32_t level, id, nr;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		nr = 0;
		for (id = 0; id < cache->cap[level]; id++) {
			const struct km_cache_obj *obj = &cache->obj[level][id];

			if (!obj->present)
				continue;
			nr++;
			bytes += bytes_of(cache, obj);
			held_bytes += obj->holds > 0 ? bytes_of(cache, obj) : 0;
			if (cache->present[level][obj->present_idx].id != id)
				return "an object is not where the list of present ones says";
		}
		if (nr != cache->stats.present_nr[level])
			return "the number of present objects is wrong";
	}
	if (bytes != cache->stats.bytes || held_bytes != cache->held_bytes)
		return "C1: the bytes do not add up";
	return bytes > cache->cfg.bytes_max ? "C1: more bytes than the budget" : NULL;
}

static const char *check_pins(const struct km_cache *cache)
{
	uint32_t i, j;

	memset(cache->recount, 0, cache->cap[KM_CACHE_RULE] * sizeof(cache->recount[0]));
	for (i = 0; i < cache->stats.present_nr[KM_CACHE_TOP]; i++) {
		const struct km_cache_obj *top = present_at(cache, KM_CACHE_TOP, i);

		for (j = 0; j < top->dep_nr; j++) {
			if (!top->deps[j]->present)
				return "C2: a pinned rule object is gone";
			cache->recount[top->deps[j]->key.id]++;
		}
	}
	for (i = 0; i < cache->stats.present_nr[KM_CACHE_RULE]; i++) {
		const struct km_cache_obj *rule = present_at(cache, KM_CACHE_RULE, i);

		if (rule->pins != cache->recount[rule->key.id] + rule->holds)
			return "C3: pins differ from the results that name the object and its holds";
	}
	return NULL;
}

static const char *check_lru(const struct km_cache *cache)
{
	const struct km_cache_obj *const all = cache->all, *obj, *older = all;
	uint32_t i, nr = cache->stats.present_nr[KM_CACHE_TOP];

	for (i = 0; i < cache->stats.present_nr[KM_CACHE_RULE]; i++)
		nr += present_at(cache, KM_CACHE_RULE, i)->pins == 0;
	for (obj = &all[all->newer]; obj != all; older = obj, obj = &all[obj->newer]) {
		if (&all[obj->older] != older || nr-- == 0)
			return "C4: the list is broken";
		if (!obj->present || obj->pins > 0)
			return "C2: the list holds an absent or a pinned object";
		if (older->used_ns > obj->used_ns) /* nobody's is 0 */
			return "C4: the list is out of order";
	}
	return nr > 0 || &all[all->older] != older ? "C4: the list misses an object" : NULL;
}

const char *km_cache_check(const struct km_cache *cache)
{
	const char *wrong = check_bytes(cache);

	if (!wrong)
		wrong = check_pins(cache);
	if (!wrong)
		wrong = check_lru(cache);
	return wrong;
}

/* ---- life ------------------------------------------------------------------ */

static bool cfg_is_valid(const struct km_cache_cfg *cfg)
{
	uint32_t i;

	if (!cfg->type_cap || !cfg->rule_cap || !cfg->class_nr || !cfg->class_bytes ||
	    !cfg->bytes_max || cfg->dep_max > UINT8_MAX || cfg->class_nr > UINT8_MAX ||
	    (uint64_t)cfg->type_cap + cfg->rule_cap >= KM_CACHE_ID_NR_MAX)
		return false;
	if (cfg->ops && (!cfg->ops->take || !cfg->ops->give))
		return false;
	for (i = 0; i < cfg->class_nr; i++)
		if (!cfg->class_bytes[i])
			return false;
	return true;
}

/* Most consolidated results at a time: no more than ids, no more than fit. */
static uint32_t top_nr_max(const struct km_cache_cfg *cfg)
{
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < cfg->class_nr; i++)
		least = km_min_u64(least, cfg->class_bytes[i]);
	return (uint32_t)km_min_u64(cfg->type_cap, cfg->bytes_max / least);
}

/* Zeroed, with its pages already there: a first use must not fault in the steady state. */
static void *calloc_touched(size_t nr, size_t bytes)
{
	volatile char *table = calloc(nr, bytes);
	size_t i;

	for (i = 0; table && i < nr * bytes; i += 4096)
		table[i] = 0;
	if (table && nr)
		table[nr * bytes - 1] = 0;
	return (void *)table;
}

/* Each object on a line of its own. */
static int alloc_objs(struct km_cache *cache)
{
	const size_t nr = 1 + (size_t)cache->cap[KM_CACHE_TOP] + cache->cap[KM_CACHE_RULE];
	uintptr_t start;

	cache->all_memory = calloc_touched(nr + 1, sizeof(*cache->all));
	if (!cache->all_memory)
		return -ENOMEM;
	start = (uintptr_t)cache->all_memory + sizeof(*cache->all) - 1;
	cache->all = (struct km_cache_obj *)(start - start % sizeof(*cache->all));
	cache->obj[KM_CACHE_TOP] = cache->all + 1;
	cache->obj[KM_CACHE_RULE] = cache->obj[KM_CACHE_TOP] + cache->cap[KM_CACHE_TOP];
	return 0;
}

static int alloc_tables(struct km_cache *cache)
{
	const uint32_t top_nr = top_nr_max(&cache->cfg), dep_max = cache->cfg.dep_max;
	uint32_t level, i;

	if (alloc_objs(cache))
		return -ENOMEM;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		cache->present[level] =
			calloc_touched(cache->cap[level], sizeof(*cache->present[level]));
		if (!cache->present[level])
			return -ENOMEM;
	}
	if (!cache->cfg.changed) {
		cache->log = calloc_touched(KM_CACHE_LOG_NR, sizeof(*cache->log));
		if (!cache->log)
			return -ENOMEM;
	}
	cache->class_bytes = calloc(cache->cfg.class_nr, sizeof(*cache->class_bytes));
	cache->recount = calloc(cache->cfg.rule_cap, sizeof(*cache->recount));
	/* At least one each: whether calloc(0) is NULL differs between libraries. */
	cache->dep_pool = calloc_touched((size_t)top_nr * dep_max + 1, sizeof(*cache->dep_pool));
	cache->dep_free = calloc_touched((size_t)top_nr + 1, sizeof(*cache->dep_free));
	if (!cache->class_bytes || !cache->recount || !cache->dep_pool || !cache->dep_free)
		return -ENOMEM;
	for (i = 0; i < top_nr; i++)
		cache->dep_free[i] = &cache->dep_pool[(size_t)i * dep_max];
	cache->dep_free_nr = top_nr;
	return 0;
}

static void free_tables(struct km_cache *cache)
{
	uint32_t level;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		free(cache->present[level]);
	free(cache->log);
	free(cache->all_memory);
	free(cache->class_bytes);
	free(cache->recount);
	free(cache->dep_pool);
	free(cache->dep_free);
	free(cache);
}

int km_cache_create(struct km_cache **out, const struct km_cache_cfg *cfg)
{
	struct km_cache *cache;
	int err;

	if (!cfg_is_valid(cfg))
		return -EINVAL;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->cfg = *cfg;
	cache->for_req = UINT64_MAX;
	cache->cap[KM_CACHE_TOP] = cfg->type_cap;
	cache->cap[KM_CACHE_RULE] = cfg->rule_cap;
	err = alloc_tables(cache);
	if (err) {
		free_tables(cache);
		return err;
	}
	memcpy(cache->class_bytes, cfg->class_bytes, cfg->class_nr * sizeof(*cache->class_bytes));
	cache->cfg.class_bytes = cache->class_bytes;
	*out = cache;
	return 0;
}

void km_cache_destroy(struct km_cache *cache)
{
	uint32_t i;

	if (!cache)
		return;
	for (i = 0; i < cache->stats.present_nr[KM_CACHE_RULE]; i++) {
		struct km_cache_obj *rule = present_at(cache, KM_CACHE_RULE, i);

		/* A stop in the middle of a build leaves holds behind. */
		while (rule->holds > 0)
			km_cache_release(cache, rule);
	}
	while (oldest(cache))
		evict(cache, oldest(cache), WHY_ASKED);
	free_tables(cache);
}
