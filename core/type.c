/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/type.c - see core/type.h.
 *
 * Two interning tables, types and rule objects, each an array by id with a
 * chained hash over it. Ids go through three stages: fresh (never used),
 * interned, and interned but referenced by nobody, which a list keeps in the
 * order in which the last reference went. A type is referenced by requests in
 * flight, a rule object by interned types.
 *
 *  T1 a referenced id keeps its meaning;
 *  T2 equal values of the used traits give the same type while it is interned,
 *     and the same rule object wherever a rule uses no other traits;
 *  T3 an id that changes its meaning changes its generation.
 *
 * Hash collisions cost time, never correctness: names are compared in full.
 */
#include "core/type.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NONE UINT32_MAX
#define TYPE_CAP_MAX ((UINT32_C(1) << 22) - 1)
#define RULE_OBJ_CAP_MAX (UINT32_C(1) << 28)

/* A rule object's name is (rule, values of its traits); the values are in obj_value. */
struct rule_obj {
	uint64_t hash;
	uint32_t gen;
	uint32_t rule_idx;
	uint32_t refs; /* interned types that name it */
	uint32_t next_idx; /* hash chain */
	uint32_t newer_idx, older_idx; /* LRU of the unreferenced */
};

/* The traits that somebody uses, by index, in order. */
struct used_traits {
	uint32_t nr;
	uint8_t idx[KM_TRAITS_MAX];
};

struct km_types {
	struct km_types_cfg cfg;
	struct used_traits used, rule_used[KM_RULES_MAX];
	km_recycle_fn recycle_fn;
	void *recycle_ctx;

	struct km_type *type; /* by id */
	uint32_t *type_head; /* hash chains */
	uint32_t type_mask, type_fresh_nr; /* ids below have been used */
	uint32_t type_vacant; /* used ids without a meaning, by next_idx */
	struct km_type *type_newest, *type_oldest;

	struct rule_obj *obj; /* by id */
	uint32_t *obj_value; /* obj_value_nr each */
	uint32_t obj_value_nr; /* most traits that any rule uses */
	uint32_t *obj_head;
	uint32_t obj_mask, obj_fresh_nr;
	uint32_t obj_newest, obj_oldest;

	struct km_types_stats stats;
};

/* ---- names ----------------------------------------------------------------- */

static void pick_values(const struct used_traits *used, const uint32_t *trait, uint32_t *value)
{
	uint32_t i;

	for (i = 0; i < used->nr; i++)
		value[i] = trait[used->idx[i]];
}

static void list_used(struct used_traits *used, uint32_t traits)
{
	used->nr = 0;
	for (; traits; traits &= traits - 1)
		used->idx[used->nr++] = (uint8_t)__builtin_ctz(traits);
}

/* Generation 0 is no generation, so that a zeroed key names nothing. */
static uint32_t gen_next(uint32_t gen)
{
	return gen + 1 ? gen + 1 : 1;
}

static void tell_recycled(struct km_types *types, enum km_cache_level level, struct km_key key)
{
	if (types->recycle_fn)
		types->recycle_fn(types->recycle_ctx, level, key);
}

/* ---- rule objects ---------------------------------------------------------- */

static uint32_t *obj_value_of(const struct km_types *types, uint32_t idx)
{
	return &types->obj_value[(size_t)idx * types->obj_value_nr];
}

static void obj_lru_del(struct km_types *types, uint32_t idx)
{
	const struct rule_obj *obj = &types->obj[idx];

	if (obj->newer_idx != NONE)
		types->obj[obj->newer_idx].older_idx = obj->older_idx;
	else
		types->obj_newest = obj->older_idx;
	if (obj->older_idx != NONE)
		types->obj[obj->older_idx].newer_idx = obj->newer_idx;
	else
		types->obj_oldest = obj->newer_idx;
}

static void obj_lru_add(struct km_types *types, uint32_t idx)
{
	struct rule_obj *obj = &types->obj[idx];

	obj->newer_idx = NONE;
	obj->older_idx = types->obj_newest;
	if (obj->older_idx != NONE)
		types->obj[obj->older_idx].newer_idx = idx;
	else
		types->obj_oldest = idx;
	types->obj_newest = idx;
}

static void obj_get(struct km_types *types, uint32_t idx)
{
	if (types->obj[idx].refs++ == 0)
		obj_lru_del(types, idx);
}

static void obj_put(struct km_types *types, uint32_t idx)
{
	if (--types->obj[idx].refs == 0)
		obj_lru_add(types, idx);
}

static void obj_unchain(struct km_types *types, uint32_t idx)
{
	uint32_t *link = &types->obj_head[types->obj[idx].hash & types->obj_mask];

	while (*link != idx)
		link = &types->obj[*link].next_idx;
	*link = types->obj[idx].next_idx;
}

static uint64_t obj_hash(uint32_t rule_idx, const uint32_t *value, uint32_t nr)
{
	return XXH3_64bits_withSeed(value, nr * sizeof(value[0]), rule_idx);
}

static uint32_t obj_find(const struct km_types *types, uint32_t rule_idx, const uint32_t *value)
{
	const uint32_t nr = types->rule_used[rule_idx].nr;
	const uint64_t hash = obj_hash(rule_idx, value, nr);
	uint32_t idx = types->obj_head[hash & types->obj_mask];

	for (; idx != NONE; idx = types->obj[idx].next_idx) {
		const struct rule_obj *obj = &types->obj[idx];

		if (obj->hash == hash && obj->rule_idx == rule_idx &&
		    !memcmp(obj_value_of(types, idx), value, nr * sizeof(value[0])))
			return idx;
	}
	return NONE;
}

/* ---- types: list and chain ------------------------------------------------- */

static void type_lru_del(struct km_types *types, struct km_type *type)
{
	if (type->newer)
		type->newer->older = type->older;
	else
		types->type_newest = type->older;
	if (type->older)
		type->older->newer = type->newer;
	else
		types->type_oldest = type->newer;
	type->newer = NULL;
	type->older = NULL;
}

static void type_lru_add(struct km_types *types, struct km_type *type)
{
	type->newer = NULL;
	type->older = types->type_newest;
	if (type->older)
		type->older->newer = type;
	else
		types->type_oldest = type;
	types->type_newest = type;
}

static bool type_has(const struct km_types *types, const struct km_type *type,
		     const uint32_t *value)
{
	uint32_t i;

	for (i = 0; i < types->used.nr; i++)
		if (type->trait[types->used.idx[i]] != value[i])
			return false;
	return true;
}

static struct km_type *type_find(const struct km_types *types, uint64_t hash, const uint32_t *value)
{
	uint32_t idx = types->type_head[hash & types->type_mask];

	for (; idx != NONE; idx = types->type[idx].next_idx) {
		struct km_type *type = &types->type[idx];

		if (type->hash == hash && type_has(types, type, value))
			return type;
	}
	return NULL;
}

static void type_unchain(struct km_types *types, const struct km_type *type)
{
	uint32_t *link = &types->type_head[type->hash & types->type_mask];

	while (*link != type->key.id)
		link = &types->type[*link].next_idx;
	*link = type->next_idx;
}

/* Take the meaning from the type that was unreferenced for longest; false = none. */
static bool type_evict(struct km_types *types)
{
	struct km_type *type = types->type_oldest;
	uint32_t i;

	if (!type)
		return false;
	type_lru_del(types, type);
	type_unchain(types, type);
	for (i = 0; i < types->cfg.rule_nr; i++)
		obj_put(types, type->rule[i].id);
	type->interned = false;
	type->next_idx = types->type_vacant;
	types->type_vacant = type->key.id;
	return true;
}

/* ---- interning ------------------------------------------------------------- */

/* An id for a rule object, with its generation set; NONE when all are named. */
static uint32_t obj_take(struct km_types *types)
{
	uint32_t idx;

	if (types->obj_fresh_nr < types->cfg.rule_obj_cap) {
		idx = types->obj_fresh_nr++;
		types->obj[idx].gen = KM_GEN_FIRST;
		return idx;
	}
	/* Each round makes one type vacant, so this ends. */
	while (types->obj_oldest == NONE)
		if (!type_evict(types))
			return NONE;
	idx = types->obj_oldest;
	obj_lru_del(types, idx);
	obj_unchain(types, idx);
	types->obj[idx].gen = gen_next(types->obj[idx].gen);
	types->stats.rule_recycled++;
	tell_recycled(types, KM_CACHE_RULE, (struct km_key){ idx, types->obj[idx].gen });
	return idx;
}

/* A new rule object with one reference. */
static uint32_t obj_intern(struct km_types *types, uint32_t rule_idx, const uint32_t *value)
{
	const uint32_t nr = types->rule_used[rule_idx].nr, idx = obj_take(types);
	struct rule_obj *obj;
	uint32_t *head;

	if (idx == NONE)
		return NONE;
	obj = &types->obj[idx];
	obj->hash = obj_hash(rule_idx, value, nr);
	obj->rule_idx = rule_idx;
	obj->refs = 1;
	memcpy(obj_value_of(types, idx), value, nr * sizeof(value[0]));
	head = &types->obj_head[obj->hash & types->obj_mask];
	obj->next_idx = *head;
	*head = idx;
	types->stats.rule_interned++;
	return idx;
}

static void obj_put_all(struct km_types *types, const uint32_t *obj_idx)
{
	uint32_t i;

	for (i = 0; i < types->cfg.rule_nr; i++)
		if (obj_idx[i] != NONE)
			obj_put(types, obj_idx[i]);
}

/*
 * References to the rule objects of @trait, all or none. Those that exist
 * come first, so that none of them is recycled to make room for another.
 */
static bool objs_get(struct km_types *types, const uint32_t *trait, uint32_t *obj_idx)
{
	uint32_t value[KM_TRAITS_MAX], i;

	for (i = 0; i < types->cfg.rule_nr; i++) {
		pick_values(&types->rule_used[i], trait, value);
		obj_idx[i] = obj_find(types, i, value);
		if (obj_idx[i] != NONE)
			obj_get(types, obj_idx[i]);
	}
	for (i = 0; i < types->cfg.rule_nr; i++) {
		if (obj_idx[i] != NONE)
			continue;
		pick_values(&types->rule_used[i], trait, value);
		obj_idx[i] = obj_intern(types, i, value);
		if (obj_idx[i] == NONE) {
			obj_put_all(types, obj_idx);
			return false;
		}
	}
	return true;
}

/* A vacant or fresh id; the caller made sure that there is one. */
static struct km_type *type_take(struct km_types *types)
{
	struct km_type *type;

	if (types->type_vacant == NONE) {
		type = &types->type[types->type_fresh_nr];
		/* Not at create: a bound that is never reached costs no pages. */
		memset(type, 0, sizeof(*type));
		type->key.id = types->type_fresh_nr++;
		type->key.gen = KM_GEN_FIRST;
		return type;
	}
	type = &types->type[types->type_vacant];
	types->type_vacant = type->next_idx;
	type->key.gen = gen_next(type->key.gen);
	types->stats.recycled++;
	tell_recycled(types, KM_CACHE_TOP, type->key);
	return type;
}

static void type_fill(struct km_types *types, struct km_type *type, uint64_t hash,
		      const uint32_t *trait, const uint32_t *obj_idx)
{
	uint32_t *head = &types->type_head[hash & types->type_mask];
	uint32_t i;

	/* The other traits were zeroed with the first use of the id and stay so. */
	for (i = 0; i < types->used.nr; i++)
		type->trait[types->used.idx[i]] = trait[types->used.idx[i]];
	for (i = 0; i < types->cfg.rule_nr; i++)
		type->rule[i] = (struct km_key){ obj_idx[i], types->obj[obj_idx[i]].gen };
	type->hash = hash;
	type->refs = 1;
	type->interned = true;
	type->next_idx = *head;
	*head = type->key.id;
	types->stats.interned++;
}

static struct km_type *type_intern(struct km_types *types, uint64_t hash, const uint32_t *trait)
{
	uint32_t obj_idx[KM_RULES_MAX];
	struct km_type *type;

	if (types->type_fresh_nr == types->cfg.type_cap && types->type_vacant == NONE &&
	    !type_evict(types))
		return NULL;
	if (!objs_get(types, trait, obj_idx))
		return NULL;
	type = type_take(types);
	type_fill(types, type, hash, trait, obj_idx);
	return type;
}

struct km_type *km_types_get(struct km_types *types, const uint32_t *trait)
{
	uint32_t value[KM_TRAITS_MAX];
	struct km_type *type;
	uint64_t hash;

	pick_values(&types->used, trait, value);
	hash = XXH3_64bits(value, types->used.nr * sizeof(value[0]));
	type = type_find(types, hash, value);
	if (type) {
		if (type->refs++ == 0)
			type_lru_del(types, type);
		return type;
	}
	type = type_intern(types, hash, trait);
	types->stats.refused += !type;
	return type;
}

void km_types_put(struct km_types *types, struct km_type *type)
{
	KM_BUG_ON(!type->interned || type->refs == 0);
	if (--type->refs == 0)
		type_lru_add(types, type);
}

void km_types_on_recycle(struct km_types *types, km_recycle_fn fn, void *ctx)
{
	types->recycle_fn = fn;
	types->recycle_ctx = ctx;
}

const struct km_types_stats *km_types_stats(const struct km_types *types)
{
	return &types->stats;
}

uint32_t km_types_id(const struct km_types *types, const struct km_type *type)
{
	return (uint32_t)(type - types->type);
}

const struct km_type *km_types_at(const struct km_types *types, uint32_t id)
{
	return id < types->type_fresh_nr && types->type[id].interned ? &types->type[id] : NULL;
}

/* ---- life ------------------------------------------------------------------ */

static bool cfg_is_valid(const struct km_types_cfg *cfg)
{
	uint32_t i;

	if (cfg->type_cap < 2 || cfg->type_cap > TYPE_CAP_MAX || !cfg->rules)
		return false;
	if (cfg->trait_nr < 1 || cfg->trait_nr > KM_TRAITS_MAX || cfg->rule_nr < 1 ||
	    cfg->rule_nr > KM_RULES_MAX)
		return false;
	if (cfg->rule_obj_cap < cfg->rule_nr * 2 || cfg->rule_obj_cap > RULE_OBJ_CAP_MAX)
		return false;
	for (i = 0; i < cfg->rule_nr; i++)
		if ((uint64_t)cfg->rules[i].traits >> cfg->trait_nr)
			return false;
	return true;
}

/* Twice as many chains as ids: most lookups see one entry. */
static uint32_t *alloc_heads(uint32_t cap, uint32_t *mask)
{
	const size_t nr = km_pow2_up((uint64_t)cap * 2);
	uint32_t *head = malloc(nr * sizeof(*head));

	if (head)
		memset(head, 0xff, nr * sizeof(*head)); /* NONE */
	*mask = (uint32_t)(nr - 1);
	return head;
}

static int alloc_tables(struct km_types *types)
{
	const struct km_types_cfg *cfg = &types->cfg;

	types->type = aligned_alloc(KM_SHARE_BYTES, cfg->type_cap * sizeof(*types->type));
	types->type_head = alloc_heads(cfg->type_cap, &types->type_mask);
	types->obj = calloc(cfg->rule_obj_cap, sizeof(*types->obj));
	/* One more: rules that use no trait need no values, and calloc(0) may be NULL. */
	types->obj_value = calloc((size_t)cfg->rule_obj_cap * types->obj_value_nr + 1,
				  sizeof(*types->obj_value));
	types->obj_head = alloc_heads(cfg->rule_obj_cap, &types->obj_mask);
	if (!types->type || !types->type_head || !types->obj || !types->obj_value ||
	    !types->obj_head)
		return -ENOMEM;
	return 0;
}

int km_types_create(struct km_types **out, const struct km_types_cfg *cfg)
{
	struct km_types *types;
	uint32_t i, traits = 0;

	if (!cfg_is_valid(cfg))
		return -EINVAL;
	types = calloc(1, sizeof(*types));
	if (!types)
		return -ENOMEM;
	types->cfg = *cfg;
	types->type_vacant = NONE;
	types->obj_newest = NONE;
	types->obj_oldest = NONE;
	for (i = 0; i < cfg->rule_nr; i++) {
		list_used(&types->rule_used[i], cfg->rules[i].traits);
		traits |= cfg->rules[i].traits;
		types->obj_value_nr =
			(uint32_t)km_max_u64(types->obj_value_nr, types->rule_used[i].nr);
	}
	list_used(&types->used, traits);
	if (alloc_tables(types)) {
		km_types_destroy(types);
		return -ENOMEM;
	}
	*out = types;
	return 0;
}

void km_types_destroy(struct km_types *types)
{
	if (!types)
		return;
	free(types->type);
	free(types->type_head);
	free(types->obj);
	free(types->obj_value);
	free(types->obj_head);
	free(types);
}
