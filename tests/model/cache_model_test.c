/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/cache_model_test.c - the two cache levels against a slow, obvious
 * model, over random operations.
 *
 * The model keeps flat tables and finds everything by scanning them: pins are
 * counted from the results, the next victim is the minimum over all objects. After
 * each operation both must agree on every object, counter and slot, which is C2
 * to C5 of cache/cache.h; C1 is asserted on the model's own sum. The cache's own
 * km_cache_check() must find nothing either.
 *
 * Operations: requests as an agent serves them, single inserts and lookups, holds
 * that stay open, evictions, ages, new generations, and an owner that runs out of
 * slots or refuses at random. Time sometimes stands still, so that the order on
 * ties is checked as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "lib/rand.h"
#include "tests/support/seed.h"

enum { TYPE_NR = 12, RULE_NR = 18, DEP_MAX = 4, CLASS_NR = 3, ID_MAX = 18 };
enum { ROUNDS = 150, STEPS = 1500 };

static const uint64_t class_bytes[CLASS_NR] = { 7, 20, 33 };
static const uint32_t cap[KM_CACHE_LEVEL_NR] = { TYPE_NR, RULE_NR };

/* ---- the owner's side: both the cache and the model ask one of these ------- */

struct owner {
	uint32_t slot_nr[CLASS_NR], out[CLASS_NR];
	uint64_t luck; /* of this operation; the n-th take of both has the same */
	uint32_t ask_nr;
	uint32_t refuse_of_256;
	char given[CLASS_NR]; /* addresses to hand out */
};

static bool owner_take(struct owner *owner, uint32_t class_idx)
{
	uint64_t state = owner->luck + owner->ask_nr++;

	if ((km_splitmix64(&state) & 255) < owner->refuse_of_256)
		return false;
	if (owner->out[class_idx] == owner->slot_nr[class_idx])
		return false;
	owner->out[class_idx]++;
	return true;
}

static void *take(void *ctx, uint32_t class_idx)
{
	struct owner *owner = ctx;

	return owner_take(owner, class_idx) ? &owner->given[class_idx] : NULL;
}

static void give(void *ctx, uint32_t class_idx, void *slot)
{
	struct owner *owner = ctx;

	assert_ptr_equal(slot, &owner->given[class_idx]);
	assert_true(owner->out[class_idx] > 0);
	owner->out[class_idx]--;
}

/* ---- the model -------------------------------------------------------------- */

struct model_obj {
	bool present;
	uint32_t gen, class_idx, holds;
	uint64_t used_ns, rev;
	uint64_t turn; /* breaks ties: when it became unpinned or was used unpinned */
	uint32_t dep_nr, dep[DEP_MAX];
};

struct model {
	struct model_obj obj[KM_CACHE_LEVEL_NR][ID_MAX];
	struct owner owner;
	uint64_t bytes_max, age_ns_max, turn, version;
	struct km_cache_stats stats;
};

static uint32_t model_pins(const struct model *model, uint32_t rule_id)
{
	uint32_t id, i, pins = model->obj[KM_CACHE_RULE][rule_id].holds;

	for (id = 0; id < TYPE_NR; id++) {
		const struct model_obj *top = &model->obj[KM_CACHE_TOP][id];

		for (i = 0; top->present && i < top->dep_nr; i++)
			pins += top->dep[i] == rule_id;
	}
	return pins;
}

static bool model_unpinned(const struct model *model, uint32_t level, uint32_t id)
{
	return model->obj[level][id].present &&
	       (level == KM_CACHE_TOP || model_pins(model, id) == 0);
}

static uint64_t model_bytes(const struct model *model)
{
	uint32_t level, id;
	uint64_t bytes = 0;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (id = 0; id < cap[level]; id++)
			if (model->obj[level][id].present)
				bytes += class_bytes[model->obj[level][id].class_idx];
	return bytes;
}

static uint64_t model_held_bytes(const struct model *model)
{
	uint64_t bytes = 0;
	uint32_t id;

	for (id = 0; id < RULE_NR; id++) {
		const struct model_obj *rule = &model->obj[KM_CACHE_RULE][id];

		if (rule->present && rule->holds > 0)
			bytes += class_bytes[rule->class_idx];
	}
	return bytes;
}

/* C4: the least used_ns, then the least turn. */
static bool model_oldest(const struct model *model, uint32_t *level_out, uint32_t *id_out)
{
	const struct model_obj *oldest = NULL;
	uint32_t level, id;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (id = 0; id < cap[level]; id++) {
			const struct model_obj *obj = &model->obj[level][id];

			if (!model_unpinned(model, level, id))
				continue;
			if (oldest &&
			    (obj->used_ns > oldest->used_ns ||
			     (obj->used_ns == oldest->used_ns && obj->turn > oldest->turn)))
				continue;
			oldest = obj;
			*level_out = level;
			*id_out = id;
		}
	}
	return oldest;
}

static void model_evict(struct model *model, uint32_t level, uint32_t id, uint64_t *counter)
{
	struct model_obj *obj = &model->obj[level][id];
	uint32_t i;

	obj->present = false;
	for (i = 0; level == KM_CACHE_TOP && i < obj->dep_nr; i++)
		model->obj[KM_CACHE_RULE][obj->dep[i]].turn = ++model->turn;
	model->owner.out[obj->class_idx]--;
	model->version++;
	counter[level]++;
}

static bool model_evict_oldest(struct model *model)
{
	uint32_t level, id;

	if (!model_oldest(model, &level, &id))
		return false;
	model_evict(model, level, id, model->stats.evicted_lru);
	return true;
}

static uint32_t model_age(struct model *model, uint64_t now_ns)
{
	uint32_t level, id, nr = 0;

	while (model->age_ns_max && model_oldest(model, &level, &id) &&
	       model->obj[level][id].used_ns + model->age_ns_max < now_ns) {
		model_evict(model, level, id, model->stats.evicted_age);
		nr++;
	}
	return nr;
}

/* An older generation leaves, with the results that name it, oldest first. */
static bool model_evict_older_gen(struct model *model, uint32_t level, uint32_t id)
{
	uint32_t top, i, oldest;

	if (model->obj[level][id].holds > 0)
		return false;
	for (;;) {
		oldest = ID_MAX;
		for (top = 0; level == KM_CACHE_RULE && top < TYPE_NR; top++) {
			const struct model_obj *t = &model->obj[KM_CACHE_TOP][top],
					       *o = &model->obj[KM_CACHE_TOP][oldest % ID_MAX];
			bool names = false;

			for (i = 0; t->present && i < t->dep_nr; i++)
				names |= t->dep[i] == id;
			if (names && (oldest == ID_MAX || t->used_ns < o->used_ns ||
				      (t->used_ns == o->used_ns && t->turn < o->turn)))
				oldest = top;
		}
		if (oldest == ID_MAX)
			break;
		model_evict(model, KM_CACHE_TOP, oldest, model->stats.evicted_asked);
	}
	model_evict(model, level, id, model->stats.evicted_asked);
	return true;
}

static bool model_make_room(struct model *model, uint32_t class_idx)
{
	if (model_held_bytes(model) + class_bytes[class_idx] > model->bytes_max)
		return false;
	while (model_bytes(model) + class_bytes[class_idx] > model->bytes_max)
		assert_true(model_evict_oldest(model));
	while (!owner_take(&model->owner, class_idx))
		if (!model_evict_oldest(model))
			return false;
	return true;
}

static bool model_insert(struct model *model, uint32_t level, struct km_key key, uint32_t class_idx,
			 uint64_t now_ns)
{
	struct model_obj *obj = &model->obj[level][key.id];

	if ((obj->present && !model_evict_older_gen(model, level, key.id)) ||
	    !model_make_room(model, class_idx)) {
		model->stats.refused++;
		return false;
	}
	*obj = (struct model_obj){ .present = true,
				   .gen = key.gen,
				   .class_idx = class_idx,
				   .used_ns = now_ns,
				   .turn = ++model->turn };
	model->version++;
	model->stats.inserts[level]++;
	model->stats.bytes_peak = km_max_u64(model->stats.bytes_peak, model_bytes(model));
	return true;
}

static bool model_lookup(struct model *model, uint32_t level, struct km_key key, uint64_t now_ns)
{
	struct model_obj *obj = &model->obj[level][key.id];
	uint32_t i;

	if (!obj->present || obj->gen != key.gen) {
		model->stats.misses[level]++;
		return false;
	}
	model->stats.hits[level]++;
	obj->used_ns = now_ns;
	obj->turn = ++model->turn;
	for (i = 0; level == KM_CACHE_TOP && i < obj->dep_nr; i++)
		model->obj[KM_CACHE_RULE][obj->dep[i]].used_ns = now_ns;
	return true;
}

/* ---- both together ----------------------------------------------------------- */

struct pair {
	struct km_cache *cache;
	struct owner owner;
	struct model model;
	struct km_rand rand;
	uint64_t now_ns;
	uint32_t gen[KM_CACHE_LEVEL_NR][ID_MAX];
	uint32_t type_dep[TYPE_NR][DEP_MAX], type_dep_nr[TYPE_NR];
};

static uint32_t below(struct pair *pair, uint32_t n)
{
	return (uint32_t)km_rand_below(&pair->rand, n);
}

static struct km_key key_of(const struct pair *pair, uint32_t level, uint32_t id)
{
	return (struct km_key){ id, pair->gen[level][id] };
}

static void choose_deps(struct pair *pair, uint32_t type_id)
{
	uint32_t i, j, id;

	pair->type_dep_nr[type_id] = below(pair, DEP_MAX + 1);
	for (i = 0; i < pair->type_dep_nr[type_id]; i++) {
		do {
			id = below(pair, RULE_NR);
			for (j = 0; j < i && pair->type_dep[type_id][j] != id; j++)
				;
		} while (j < i);
		pair->type_dep[type_id][i] = id;
	}
}

static void compare_obj(const struct pair *pair, uint32_t level, uint32_t id)
{
	const struct model_obj *want = &pair->model.obj[level][id];
	const struct km_cache_obj *got =
		km_cache_peek(pair->cache, level, (struct km_key){ id, want->gen });
	uint32_t i;

	assert_int_equal(got != NULL, want->present);
	/* C5 */
	assert_null(km_cache_peek(pair->cache, level, (struct km_key){ id, want->gen + 1 }));
	if (!got)
		return;
	assert_int_equal(got->class_idx, want->class_idx);
	assert_int_equal(got->class_idx, want->class_idx);
	/* A pinned object learns of its results' uses when they leave. */
	if (level == KM_CACHE_TOP || !got->pins)
		assert_int_equal(got->used_ns, want->used_ns);
	assert_int_equal(got->rev, want->rev);
	assert_int_equal(got->dep_nr, level == KM_CACHE_TOP ? want->dep_nr : 0);
	for (i = 0; i < got->dep_nr; i++)
		assert_int_equal(got->deps[i]->key.id, want->dep[i]);
	if (level == KM_CACHE_RULE) { /* C3; and C2, as a pinned one is still present */
		assert_int_equal(got->pins, model_pins(&pair->model, id));
		assert_int_equal(got->holds, want->holds);
	}
}

static void compare_stats(const struct pair *pair)
{
	const struct km_cache_stats *got = km_cache_stats(pair->cache), *want = &pair->model.stats;
	uint32_t level;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		assert_int_equal(got->hits[level], want->hits[level]);
		assert_int_equal(got->misses[level], want->misses[level]);
		assert_int_equal(got->inserts[level], want->inserts[level]);
		assert_int_equal(got->evicted_lru[level], want->evicted_lru[level]);
		assert_int_equal(got->evicted_age[level], want->evicted_age[level]);
		assert_int_equal(got->evicted_asked[level], want->evicted_asked[level]);
		assert_int_equal(got->present_nr[level],
				 got->inserts[level] - got->evicted_lru[level] -
					 got->evicted_age[level] - got->evicted_asked[level]);
	}
	assert_int_equal(got->refused, want->refused);
	assert_int_equal(got->bytes, model_bytes(&pair->model));
	assert_int_equal(got->bytes_peak, want->bytes_peak);
	assert_true(model_bytes(&pair->model) <= pair->model.bytes_max); /* C1 */
	assert_int_equal(km_cache_version(pair->cache), pair->model.version);
	assert_memory_equal(pair->owner.out, pair->model.owner.out, sizeof(pair->owner.out));
}

static void compare_keys(const struct pair *pair, uint32_t level)
{
	struct km_key keys[ID_MAX];
	bool seen[ID_MAX] = { false };
	uint32_t i, nr = km_cache_keys(pair->cache, level, keys);

	assert_int_equal(nr, km_cache_stats(pair->cache)->present_nr[level]);
	for (i = 0; i < nr; i++) {
		const struct model_obj *want = &pair->model.obj[level][keys[i].id];

		assert_true(want->present && want->gen == keys[i].gen && !seen[keys[i].id]);
		seen[keys[i].id] = true;
	}
}

static void compare_oldest_rev(struct pair *pair, uint32_t level)
{
	const uint64_t rev_now = below(pair, 120), min_lag = below(pair, 40);
	const struct km_cache_obj *got = km_cache_oldest_rev(pair->cache, level, rev_now, min_lag);
	uint64_t least = UINT64_MAX;
	uint32_t id;

	for (id = 0; id < cap[level]; id++) {
		const struct model_obj *obj = &pair->model.obj[level][id];

		if (obj->present && obj->rev + min_lag <= rev_now)
			least = km_min_u64(least, obj->rev);
	}
	assert_true(got ? got->rev == least : least == UINT64_MAX);
}

static void compare(struct pair *pair)
{
	uint32_t level, id;
	const char *wrong;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (id = 0; id < cap[level]; id++)
			compare_obj(pair, level, id);
		compare_keys(pair, level);
		compare_oldest_rev(pair, level);
	}
	compare_stats(pair);
	wrong = km_cache_check(pair->cache);
	if (wrong)
		fail_msg("%s", wrong);
}

/* Both owners have the same luck from here on. */
static void new_luck(struct pair *pair)
{
	pair->owner.luck = pair->model.owner.luck = km_rand_u64(&pair->rand);
	pair->owner.ask_nr = pair->model.owner.ask_nr = 0;
}

static struct km_cache_obj *both_lookup(struct pair *pair, uint32_t level, uint32_t id)
{
	const struct km_key key = key_of(pair, level, id);
	struct km_cache_obj *obj = km_cache_lookup(pair->cache, level, key, pair->now_ns);

	assert_int_equal(obj != NULL, model_lookup(&pair->model, level, key, pair->now_ns));
	return obj;
}

static void both_hold(struct pair *pair, struct km_cache_obj *obj)
{
	km_cache_hold(pair->cache, obj);
	pair->model.obj[KM_CACHE_RULE][obj->key.id].holds++;
}

static void both_release(struct pair *pair, struct km_cache_obj *obj)
{
	km_cache_release(pair->cache, obj);
	pair->model.obj[KM_CACHE_RULE][obj->key.id].holds--;
	if (model_pins(&pair->model, obj->key.id) == 0)
		pair->model.obj[KM_CACHE_RULE][obj->key.id].turn = ++pair->model.turn;
}

static void write_rev(struct pair *pair, struct km_cache_obj *obj)
{
	assert_int_equal(obj->rev, 0);
	obj->rev = below(pair, 100);
	pair->model.obj[obj->level][obj->key.id].rev = obj->rev;
}

/* Absent; NULL when refused, else held once. */
static struct km_cache_obj *both_insert_rule(struct pair *pair, uint32_t id)
{
	const struct km_key key = key_of(pair, KM_CACHE_RULE, id);
	const uint32_t class_idx = below(pair, 8) ? id % 2 : below(pair, CLASS_NR);
	struct km_cache_obj *obj;

	new_luck(pair);
	obj = km_cache_insert_rule(pair->cache, key, class_idx, pair->now_ns);
	assert_int_equal(obj != NULL,
			 model_insert(&pair->model, KM_CACHE_RULE, key, class_idx, pair->now_ns));
	if (!obj)
		return NULL;
	pair->model.obj[KM_CACHE_RULE][id].holds = 1;
	write_rev(pair, obj);
	return obj;
}

/* Absent; all of @deps are held. */
static void both_insert_top(struct pair *pair, uint32_t id, struct km_cache_obj **deps,
			    uint32_t dep_nr)
{
	const struct km_key key = key_of(pair, KM_CACHE_TOP, id);
	const uint32_t class_idx = below(pair, 8) ? 1 : below(pair, CLASS_NR);
	struct model_obj *want = &pair->model.obj[KM_CACHE_TOP][id];
	struct km_cache_obj *obj;
	uint32_t i;

	new_luck(pair);
	obj = km_cache_insert_top(pair->cache, key, class_idx, deps, dep_nr, pair->now_ns);
	assert_int_equal(obj != NULL,
			 model_insert(&pair->model, KM_CACHE_TOP, key, class_idx, pair->now_ns));
	if (!obj)
		return;
	want->dep_nr = dep_nr;
	for (i = 0; i < dep_nr; i++) {
		want->dep[i] = deps[i]->key.id;
		pair->model.obj[KM_CACHE_RULE][want->dep[i]].used_ns = pair->now_ns;
	}
	write_rev(pair, obj);
}

/* ---- operations --------------------------------------------------------------- */

/* A request as an agent serves it. */
static void serve(struct pair *pair)
{
	const uint32_t type_id = below(pair, TYPE_NR), dep_nr = pair->type_dep_nr[type_id];
	struct km_cache_obj *deps[DEP_MAX];
	uint32_t i, nr;

	if (both_lookup(pair, KM_CACHE_TOP, type_id))
		return;
	for (nr = 0; nr < dep_nr; nr++) {
		const uint32_t rule_id = pair->type_dep[type_id][nr];

		deps[nr] = both_lookup(pair, KM_CACHE_RULE, rule_id);
		if (deps[nr])
			both_hold(pair, deps[nr]);
		else
			deps[nr] = both_insert_rule(pair, rule_id);
		if (!deps[nr])
			break; /* served uncached */
		compare(pair);
	}
	if (nr == dep_nr)
		both_insert_top(pair, type_id, deps, dep_nr);
	for (i = 0; i < nr; i++)
		both_release(pair, deps[i]);
}

static void single_rule(struct pair *pair)
{
	const uint32_t id = below(pair, RULE_NR);
	struct km_cache_obj *obj = both_lookup(pair, KM_CACHE_RULE, id);

	if (obj)
		return;
	obj = both_insert_rule(pair, id);
	if (obj && below(pair, 4)) /* else the hold stays open */
		both_release(pair, obj);
}

/* Over rule objects whose holds are open since earlier. */
static void late_top(struct pair *pair)
{
	const uint32_t type_id = below(pair, TYPE_NR);
	struct km_cache_obj *deps[DEP_MAX];
	uint32_t id, nr = 0;

	if (both_lookup(pair, KM_CACHE_TOP, type_id))
		return;
	for (id = 0; id < RULE_NR && nr < DEP_MAX; id++) {
		const struct model_obj *want = &pair->model.obj[KM_CACHE_RULE][id];

		if (want->present && want->holds > 0)
			deps[nr++] = km_cache_peek(pair->cache, KM_CACHE_RULE,
						   (struct km_key){ id, want->gen });
	}
	both_insert_top(pair, type_id, deps, nr);
}

static void hold_or_release(struct pair *pair)
{
	const uint32_t id = below(pair, RULE_NR);
	const struct model_obj *want = &pair->model.obj[KM_CACHE_RULE][id];
	struct km_cache_obj *obj =
		km_cache_peek(pair->cache, KM_CACHE_RULE, (struct km_key){ id, want->gen });

	if (!obj)
		return;
	if (want->holds > 0 && below(pair, 4))
		both_release(pair, obj);
	else if (!below(pair, 3))
		both_hold(pair, obj);
}

static void release_all(struct pair *pair)
{
	uint32_t id;

	for (id = 0; id < RULE_NR; id++) {
		const struct model_obj *want = &pair->model.obj[KM_CACHE_RULE][id];

		while (want->present && want->holds > 0)
			both_release(pair, km_cache_peek(pair->cache, KM_CACHE_RULE,
							 (struct km_key){ id, want->gen }));
	}
}

static void evict_one(struct pair *pair)
{
	const uint32_t level = below(pair, KM_CACHE_LEVEL_NR), id = below(pair, cap[level]);
	const struct km_key key = { id, pair->model.obj[level][id].gen };

	if (!model_unpinned(&pair->model, level, id))
		return;
	km_cache_evict(pair->cache, km_cache_peek(pair->cache, level, key));
	model_evict(&pair->model, level, id, pair->model.stats.evicted_asked);
}

static void age(struct pair *pair)
{
	assert_int_equal(km_cache_age(pair->cache, pair->now_ns),
			 model_age(&pair->model, pair->now_ns));
}

static void recycle(struct pair *pair)
{
	const uint32_t level = below(pair, KM_CACHE_LEVEL_NR), id = below(pair, cap[level]);

	pair->gen[level][id]++;
	if (level == KM_CACHE_TOP)
		choose_deps(pair, id);
}

static void step(struct pair *pair)
{
	const uint32_t op = below(pair, 100);

	pair->now_ns += below(pair, 3) ? below(pair, 20) : 0;
	if (op < 50)
		serve(pair);
	else if (op < 55)
		late_top(pair);
	else if (op < 70)
		single_rule(pair);
	else if (op < 82)
		hold_or_release(pair);
	else if (op < 85)
		release_all(pair);
	else if (op < 89)
		evict_one(pair);
	else if (op < 95)
		age(pair);
	else
		recycle(pair);
	compare(pair);
}

static const struct km_cache_ops ops = { take, give };

static void pair_create(struct pair *pair)
{
	struct km_cache_cfg cfg = { .type_cap = TYPE_NR,
				    .rule_cap = RULE_NR,
				    .dep_max = DEP_MAX,
				    .class_nr = CLASS_NR,
				    .class_bytes = class_bytes,
				    .ops = &ops,
				    .owner = &pair->owner };
	uint32_t i;

	cfg.bytes_max = 20 + below(pair, 400);
	cfg.age_ns_max = below(pair, 3) ? 1 + below(pair, 500) : 0;
	for (i = 0; i < CLASS_NR; i++)
		pair->owner.slot_nr[i] = below(pair, 4) ? 100 : 1 + below(pair, 8);
	pair->owner.refuse_of_256 = below(pair, 3) ? 0 : below(pair, 80);
	for (i = 0; i < TYPE_NR; i++)
		choose_deps(pair, i);
	pair->model.owner = pair->owner;
	pair->model.bytes_max = cfg.bytes_max;
	pair->model.age_ns_max = cfg.age_ns_max;
	assert_int_equal(km_cache_create(&pair->cache, &cfg), 0);
}

static void every_step_agrees_with_the_model(void **state)
{
	static struct pair pair;
	const uint64_t seed = km_test_seed(1);
	uint64_t refused = 0, hits = 0, aged = 0, asked = 0;
	uint32_t round, i;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		memset(&pair, 0, sizeof(pair));
		km_rand_init(&pair.rand, seed + round);
		pair_create(&pair);
		for (i = 0; i < STEPS; i++)
			step(&pair);
		refused += pair.model.stats.refused;
		hits += pair.model.stats.hits[KM_CACHE_TOP];
		aged += pair.model.stats.evicted_age[KM_CACHE_TOP];
		asked += pair.model.stats.evicted_asked[KM_CACHE_TOP];
		km_cache_destroy(pair.cache);
		for (i = 0; i < CLASS_NR; i++)
			assert_int_equal(pair.owner.out[i], 0);
	}
	/* The walk went through all of it. */
	assert_true(refused > 0 && hits > 0 && aged > 0 && asked > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_agrees_with_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
