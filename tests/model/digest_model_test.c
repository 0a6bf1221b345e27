/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/digest_model_test.c - what a view makes of digests, against the
 * digest itself.
 *
 * Real caches serve random requests whose types the real classifier names, with so
 * few ids that they are recycled all the time. Each agent publishes at random, the
 * view folds at random: sometimes every digest, sometimes one of many, sometimes
 * after more changes than a log holds. After each fold every cached bit of the agent
 * is what the full list says of the id's current generation (D1 of cache/digest.h, V3
 * of core/view.h), and km_view_check() recounts what was derived from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/digest.h"
#include "core/view.h"
#include "lib/rand.h"
#include "tests/support/seed.h"

enum { TYPE_CAP = 40, OBJ_CAP = 60, RULE_NR = 3, TRAIT_NR = 3, VALUE_NR = 8 };
enum { AGENT_NR = 3, FLEET_NR = 70, COMING_MAX = 6, ROUNDS = 60, STEPS = 400 };

/* In both words of a row, and at their ends. */
static const uint32_t place[AGENT_NR] = { 0, 63, 69 };

struct agent {
	struct km_cache *cache;
	struct km_digest *digest; /* published last */
	struct km_type *coming[COMING_MAX];
	uint32_t coming_nr;
};

struct world {
	struct km_rand rand;
	struct km_types *types;
	struct km_view *view;
	struct agent agent[AGENT_NR];
	uint64_t now_ns, by_log, by_keys;
};

static uint32_t below(struct world *w, uint32_t nr)
{
	return (uint32_t)km_rand_below(&w->rand, nr);
}

static void open_world(struct world *w, uint64_t seed)
{
	static const struct km_rule_desc rules[RULE_NR] = { { "a", 1 }, { "b", 3 }, { "c", 4 } };
	static const uint64_t class_bytes[] = { 1 };
	const struct km_types_cfg types_cfg = {
		.type_cap = TYPE_CAP,
		.rule_obj_cap = OBJ_CAP,
		.trait_nr = TRAIT_NR,
		.rule_nr = RULE_NR,
		.rules = rules,
	};
	const struct km_view_cfg view_cfg = {
		.agent_nr = FLEET_NR,
		.rule_nr = RULE_NR,
		.type_cap = TYPE_CAP,
		.rule_obj_cap = OBJ_CAP,
		.count_serving = true,
	};
	struct km_cache_cfg cache_cfg = {
		.type_cap = TYPE_CAP,
		.rule_cap = OBJ_CAP,
		.dep_max = RULE_NR,
		.class_nr = 1,
		.class_bytes = class_bytes,
		.age_ns_max = 200,
	};
	uint32_t a;

	memset(w, 0, sizeof(*w));
	km_rand_init(&w->rand, seed);
	assert_int_equal(km_types_create(&w->types, &types_cfg), 0);
	assert_int_equal(km_view_create(&w->view, &view_cfg), 0);
	km_types_on_recycle(w->types, km_view_recycle, w->view);
	for (a = 0; a < AGENT_NR; a++) {
		cache_cfg.bytes_max = 4 + below(w, 50);
		assert_int_equal(km_cache_create(&w->agent[a].cache, &cache_cfg), 0);
	}
}

static void close_world(struct world *w)
{
	uint32_t a;

	for (a = 0; a < AGENT_NR; a++) {
		free(w->agent[a].digest);
		km_cache_destroy(w->agent[a].cache);
	}
	km_view_destroy(w->view);
	km_types_destroy(w->types);
}

static struct km_type *draw_type(struct world *w)
{
	uint32_t t, trait[TRAIT_NR];

	for (t = 0; t < TRAIT_NR; t++)
		trait[t] = below(w, VALUE_NR);
	return km_types_get(w->types, trait);
}

/* As an agent does: what is missing is made, then pinned by the result. */
static void serve(struct world *w, struct km_cache *cache, const struct km_type *type)
{
	struct km_cache_obj *dep[RULE_NR];
	uint32_t r, nr = 0;

	if (km_cache_lookup(cache, KM_CACHE_TOP, type->key, w->now_ns))
		return;
	for (r = 0; r < RULE_NR; r++) {
		dep[nr] = km_cache_lookup(cache, KM_CACHE_RULE, type->rule[r], w->now_ns);
		if (dep[nr])
			km_cache_hold(cache, dep[nr]);
		else
			dep[nr] = km_cache_insert_rule(cache, type->rule[r], 0, w->now_ns);
		nr += dep[nr] != NULL;
	}
	if (nr == RULE_NR)
		km_cache_insert_top(cache, type->key, 0, dep, nr, w->now_ns);
	while (nr--)
		km_cache_release(cache, dep[nr]);
}

static void arrive(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];
	struct km_type *type;

	if (agent->coming_nr == COMING_MAX)
		return;
	type = draw_type(w);
	if (!type)
		return;
	km_view_enqueue(w->view, place[a], type, 1);
	agent->coming[agent->coming_nr++] = type;
}

static void leave(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];
	struct km_type *type;
	uint32_t i;

	if (!agent->coming_nr)
		return;
	i = below(w, agent->coming_nr);
	type = agent->coming[i];
	agent->coming[i] = agent->coming[--agent->coming_nr];
	serve(w, agent->cache, type);
	km_view_start(w->view, place[a], type, 1);
	km_view_finish(w->view, place[a], type);
	km_types_put(w->types, type);
}

/* Requests of which the view hears nothing: only the cache changes. */
static void serve_some(struct world *w, uint32_t a)
{
	uint32_t i, nr = below(w, 8) ? below(w, 4) : below(w, 200);
	struct km_type *type;

	for (i = 0; i < nr; i++) {
		type = draw_type(w);
		if (!type)
			return;
		w->now_ns++;
		serve(w, w->agent[a].cache, type);
		km_types_put(w->types, type);
	}
	if (!below(w, 20))
		km_cache_age(w->agent[a].cache, w->now_ns += below(w, 300));
}

static void publish(struct world *w, uint32_t a)
{
	free(w->agent[a].digest);
	w->agent[a].digest = km_digest_create(w->agent[a].cache);
	assert_non_null(w->agent[a].digest);
}

static void check_bits(const struct world *w, uint32_t a)
{
	const struct km_digest *digest = w->agent[a].digest;
	static const uint32_t cap[] = { TYPE_CAP, OBJ_CAP };
	bool cached[OBJ_CAP];
	uint32_t level, i, id;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		memset(cached, 0, sizeof(cached));
		for (i = 0; i < digest->nr[level]; i++) {
			id = digest->keys[level][i].id;
			cached[id] = digest->keys[level][i].gen == w->view->gen[level][id];
		}
		for (id = 0; id < cap[level]; id++)
			assert_int_equal(km_view_cached(w->view, level, id, place[a]), cached[id]);
	}
}

static void fold(struct world *w, uint32_t a)
{
	const struct km_digest *digest = w->agent[a].digest;
	uint64_t behind;

	if (!digest)
		return;
	behind = digest->version - w->view->folded_version[place[a]];
	if (behind > digest->log_nr)
		w->by_keys++;
	else
		w->by_log += behind > 0;
	assert_int_equal(km_view_fold(w->view, place[a], digest), 0);
	assert_int_equal(w->view->folded_version[place[a]], digest->version);
	check_bits(w, a);
}

static void step(struct world *w)
{
	const uint32_t a = below(w, AGENT_NR);

	w->now_ns += below(w, 3);
	switch (below(w, 6)) {
	case 0:
		arrive(w, a);
		break;
	case 1:
		leave(w, a);
		break;
	case 2:
		fold(w, a);
		break;
	case 3:
		publish(w, a);
		break;
	default:
		serve_some(w, a);
	}
}

static void a_view_is_the_digest_it_folded_last(void **state)
{
	uint64_t seed = km_test_seed(1), by_log = 0, by_keys = 0;
	const char *fault;
	struct world w;
	uint32_t round, i;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		open_world(&w, seed + round);
		for (i = 0; i < STEPS; i++) {
			step(&w);
			fault = i % 16 ? NULL : km_view_check(w.view);
			if (fault)
				fail_msg("round %u, step %u: %s", round, i, fault);
		}
		by_log += w.by_log;
		by_keys += w.by_keys;
		for (i = 0; i < AGENT_NR; i++)
			while (w.agent[i].coming_nr)
				leave(&w, i);
		close_world(&w);
	}
	printf("# %llu folds by the log, %llu by all keys\n", (unsigned long long)by_log,
	       (unsigned long long)by_keys);
	assert_true(by_log > 10 * ROUNDS && by_keys > 2 * ROUNDS);
}

/* The list is not there to be read. */
static void a_log_that_reaches_back_is_all_that_is_read(void **state)
{
	static const struct km_view_cfg cfg = {
		.agent_nr = 1, .rule_nr = 1, .type_cap = 8, .rule_obj_cap = 8
	};
	struct km_change log[] = {
		{ { 3, 1 }, 0, KM_CACHE_RULE, true },  { { 4, 1 }, 1, KM_CACHE_RULE, true },
		{ { 2, 1 }, 0, KM_CACHE_TOP, true },   { { 2, 1 }, 0, KM_CACHE_TOP, false },
		{ { 3, 1 }, 0, KM_CACHE_RULE, false },
	};
	struct km_digest digest = { .log = log };
	struct km_view *view;

	(void)state;
	assert_int_equal(km_view_create(&view, &cfg), 0);
	for (digest.version = digest.log_nr = 3; digest.version <= 5; digest.version++) {
		digest.log_nr = (uint32_t)digest.version;
		assert_int_equal(km_view_fold(view, 0, &digest), 0);
		assert_true(km_view_cached(view, KM_CACHE_RULE, 4, 0));
		assert_int_equal(km_view_cached(view, KM_CACHE_TOP, 2, 0), digest.version == 3);
		assert_int_equal(km_view_cached(view, KM_CACHE_RULE, 3, 0), digest.version < 5);
	}
	km_view_destroy(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_is_the_digest_it_folded_last),
		cmocka_unit_test(a_log_that_reaches_back_is_all_that_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
