/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/type.h - the classifier: traits to a request type and its rule objects.
 *
 * A request's traits are a vector of small integers. A rule says which of them
 * it uses; the values of those name its rule object, and the values of all
 * traits that any rule uses name the request type. Both get dense ids, bounded
 * and recycled: an endless stream of new types costs evictions, never memory.
 * A recycled id carries a new generation.
 *
 * Context: one thread, the dispatcher (or the simulator). A struct km_type is
 * read by agents too, while a reference is held: immutable until recycled.
 */
#ifndef KM_CORE_TYPE_H
#define KM_CORE_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "lib/atomic.h"
#include "lib/base.h"

#define KM_TRAITS_MAX 32
#define KM_RULES_MAX 64

/* Generation of an id that was never recycled; 0 is none, so that a zeroed key names nothing. */
#define KM_GEN_FIRST 1u

/**
 * struct km_rule_desc - what the classifier and the estimator know of a rule.
 * @name: for messages and for the persisted estimates; unique.
 * @traits: bit t set = the rule uses trait t.
 */
struct km_rule_desc {
	const char *name;
	uint32_t traits;
};

/* A request type; in an array indexed by key.id. */
struct km_type {
	/* written when interned, read by agents while referenced */
	alignas(KM_SHARE_BYTES) struct km_key key;
	uint64_t hash; /* of the used trait values: the type's name across restarts */
	uint32_t trait[KM_TRAITS_MAX]; /* unused ones are 0 */
	struct km_key rule[KM_RULES_MAX]; /* rule object of each rule, in rule order */

	/* the classifier's; on lines of its own, as every request writes refs */
	alignas(KM_SHARE_BYTES) uint32_t refs; /* requests in flight; 0 = may be recycled */
	uint32_t next_idx; /* hash chain, or list of vacant ids */
	bool interned; /* false = vacant: the id has no meaning now */
	struct km_type *newer, *older; /* LRU of the unreferenced; NULL while referenced */
};

struct km_types;

struct km_types_cfg {
	uint32_t type_cap; /* 2..2^22 - 1 */
	uint32_t rule_obj_cap; /* rule_nr * 2..2^28 */
	uint32_t trait_nr, rule_nr; /* 1..KM_TRAITS_MAX, 1..KM_RULES_MAX */
	const struct km_rule_desc *rules; /* [rule_nr], kept by the caller */
};

struct km_types_stats {
	uint64_t interned, recycled; /* types; of those, how many took a used id */
	uint64_t rule_interned, rule_recycled; /* the same of rule objects */
	uint64_t refused; /* every id was in flight */
};

/*
 * Told of each id that gets a new meaning, before it is used; @key has the new
 * generation. Must not call back into the classifier.
 */
typedef void (*km_recycle_fn)(void *ctx, enum km_cache_level level, struct km_key key);

/**
 * km_types_create() - a classifier that knows no type yet; all memory is allocated here.
 * @out: set on success; release with km_types_destroy().
 *
 * Return: 0; -EINVAL for a cap or number out of bounds; -ENOMEM.
 */
int km_types_create(struct km_types **out, const struct km_types_cfg *cfg) KM_MUST_CHECK;

/** km_types_destroy() - free it and all its types; nobody may hold one. */
void km_types_destroy(struct km_types *types);

/** km_types_on_recycle() - have @fn called for each recycled id (not the first use). */
void km_types_on_recycle(struct km_types *types, km_recycle_fn fn, void *ctx);

/**
 * km_types_get() - classify: the type of @trait[0..trait_nr), with a reference.
 *
 * A new type takes a fresh id, else that of the type unreferenced for longest;
 * the same of its rule objects, whose ids stay while any interned type names
 * them: where those run short, more unreferenced types go.
 *
 * Progress: O(1) for a known type; a new one interns up to rule_nr objects.
 * Allocates nothing. Return: NULL (counted) when every id is referenced; types
 * nobody references may have lost their ids on the way.
 */
struct km_type *km_types_get(struct km_types *types, const uint32_t *trait);

/** km_types_put() - drop the reference; the type stays until its id is needed. */
void km_types_put(struct km_types *types, struct km_type *type);

/** km_types_stats() - counters since create; valid until the next call. */
const struct km_types_stats *km_types_stats(const struct km_types *types);

/**
 * km_types_id() - the id of @type, which its memory keeps for good.
 * Context: any thread, also one that holds no reference any more.
 */
uint32_t km_types_id(const struct km_types *types, const struct km_type *type);

/** km_types_at() - the type that has @id now, or NULL. */
const struct km_type *km_types_at(const struct km_types *types, uint32_t id);

#endif
