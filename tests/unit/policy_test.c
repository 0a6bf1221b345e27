/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/policy_test.c - policies on views made by hand: the worked examples
 * U1, U2, U5 and U6 (U3 and U4 are in cache_test.c), what counts as
 * cached-to-be, tie-breaks, closed agents, hashing and stealing.
 *
 * Nothing is pretended: types come from the classifier, cached bits from the
 * digests of caches, times from an estimator that was given samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"
#include "core/sched.h"

#define MS UINT64_C(1000000)
#define AGENT_MAX 70
#define TYPE_CAP 512

/* Two rules; each uses one trait. */
enum { DISK, GPU, TRAIT_NR };
static const struct km_rule_desc rules[] = { { "disk", 1 << DISK }, { "gpu", 1 << GPU } };

/* A top-level hit takes 20 ms, a miss 4 + 16 + 30 = 50 ms. */
enum { HIT = 20, BUILD = 4, DISK_HIT = 3, DISK_MISS = 16, GPU_HIT = 7, GPU_MISS = 30, MISS = 50 };

struct world {
	struct km_types *types;
	struct km_view *view;
	struct km_estimates *est;
	struct km_cache *cache[AGENT_MAX];
	struct km_pick pick;
	uint32_t agent_nr;
};

static struct km_estimates *estimates(void)
{
	struct km_estimator *est;
	struct km_estimates *table;

	assert_int_equal(km_estimator_create(&est, TYPE_CAP, KM_ARRAY_NR(rules), rules), 0);
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_TYPE_HIT, 0, HIT * MS));
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_BUILD, 0, BUILD * MS));
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_RULE_HIT, DISK, DISK_HIT * MS));
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_RULE_MISS, DISK, DISK_MISS * MS));
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_RULE_HIT, GPU, GPU_HIT * MS));
	km_estimator_add(est, km_sample_pack(KM_SAMPLE_RULE_MISS, GPU, GPU_MISS * MS));
	table = km_estimator_table(est);
	assert_non_null(table);
	km_estimator_destroy(est);
	return table;
}

static void open_world(struct world *w, uint32_t agent_nr, bool count_serving)
{
	static const uint64_t class_bytes[] = { 1, 1 };
	const struct km_types_cfg types = { .type_cap = TYPE_CAP,
					    .rule_obj_cap = 2 * TYPE_CAP,
					    .trait_nr = TRAIT_NR,
					    .rule_nr = KM_ARRAY_NR(rules),
					    .rules = rules };
	const struct km_view_cfg view = { .agent_nr = agent_nr,
					  .rule_nr = KM_ARRAY_NR(rules),
					  .type_cap = TYPE_CAP,
					  .rule_obj_cap = 2 * TYPE_CAP,
					  .count_serving = count_serving };
	const struct km_cache_cfg cache = { .type_cap = TYPE_CAP,
					    .rule_cap = 2 * TYPE_CAP,
					    .dep_max = 2,
					    .class_nr = 2,
					    .class_bytes = class_bytes,
					    .bytes_max = 1000 };
	uint32_t i;

	memset(w, 0, sizeof(*w));
	w->agent_nr = agent_nr;
	assert_int_equal(km_types_create(&w->types, &types), 0);
	assert_int_equal(km_view_create(&w->view, &view), 0);
	km_types_on_recycle(w->types, km_view_recycle, w->view);
	for (i = 0; i < agent_nr; i++)
		assert_int_equal(km_cache_create(&w->cache[i], &cache), 0);
	w->est = estimates();
	w->view->est = w->est;
	w->view->now_ns = 1000 * MS;
	km_rand_init(&w->pick.rand, 1);
}

static void close_world(struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->agent_nr; i++)
		km_cache_destroy(w->cache[i]);
	km_estimates_free(&w->est->head);
	km_view_destroy(w->view);
	km_types_destroy(w->types);
}

static struct km_type *type_of(struct world *w, uint32_t disk, uint32_t gpu)
{
	const uint32_t trait[TRAIT_NR] = { disk, gpu };
	struct km_type *type = km_types_get(w->types, trait);

	assert_non_null(type);
	return type;
}

static void fold(struct world *w, uint32_t agent_idx)
{
	struct km_digest *digest = km_digest_create(w->cache[agent_idx]);

	assert_non_null(digest);
	assert_int_equal(km_view_fold(w->view, agent_idx, digest), 0);
	free(digest);
}

static struct km_cache_obj *cache_rule(struct world *w, uint32_t agent_idx, struct km_key key)
{
	struct km_cache_obj *obj = km_cache_lookup(w->cache[agent_idx], KM_CACHE_RULE, key, 0);

	if (obj)
		km_cache_hold(w->cache[agent_idx], obj);
	else
		obj = km_cache_insert_rule(w->cache[agent_idx], key, 0, 0);
	assert_non_null(obj);
	return obj;
}

/* The agent served @type once and told. */
static void cache_type(struct world *w, uint32_t agent_idx, const struct km_type *type)
{
	struct km_cache_obj *deps[2];
	uint32_t r;

	for (r = 0; r < 2; r++)
		deps[r] = cache_rule(w, agent_idx, type->rule[r]);
	assert_non_null(km_cache_insert_top(w->cache[agent_idx], type->key, 1, deps, 2, 0));
	for (r = 0; r < 2; r++)
		km_cache_release(w->cache[agent_idx], deps[r]);
	fold(w, agent_idx);
}

/* Assigned by the terms of the moment. Returns the estimate that joined the queue. */
static uint64_t enqueue(struct world *w, uint32_t agent_idx, const struct km_type *type)
{
	uint8_t rule_hit_nr;
	bool top_hit;
	uint64_t ns = km_processing_ns(w->view, type, agent_idx, &top_hit, &rule_hit_nr);

	km_view_enqueue(w->view, agent_idx, type, ns);
	return ns;
}

/* In service now, until @left_ms from now. */
static void serve(struct world *w, uint32_t agent_idx, const struct km_type *type, uint64_t left_ms)
{
	km_view_start(w->view, agent_idx, type, enqueue(w, agent_idx, type));
	w->view->end_ns[agent_idx] = w->view->now_ns + left_ms * MS;
}

static uint32_t pick(struct world *w, const struct km_policy *policy, const struct km_type *type)
{
	return policy->pick(w->view, type, &w->pick);
}

/* ---- the worked examples ----------------------------------------------------- */

static void u1_the_whole_sum_decides_not_the_hit(void **state)
{
	struct world w;
	struct km_type *type, *other;

	(void)state;
	open_world(&w, 2, true);
	type = type_of(&w, 1, 1);
	other = type_of(&w, 2, 2);
	cache_type(&w, 0, type);
	km_view_enqueue(w.view, 0, other, 60 * MS);
	w.view->end_ns[0] = w.view->now_ns + 20 * MS;
	km_view_enqueue(w.view, 1, other, 30 * MS);
	w.view->end_ns[1] = w.view->now_ns + 10 * MS;
	assert_int_equal(pick(&w, &km_policy_latcache_rule, type), 1);
	assert_int_equal(w.pick.wait_ns, 30 * MS);
	assert_int_equal(w.pick.remaining_ns, 10 * MS);
	assert_int_equal(w.pick.processing_ns, MISS * MS);
	assert_false(w.pick.top_hit);
	assert_int_equal(w.pick.runner_up_idx, 0);
	assert_int_equal(w.pick.margin_ns, 10 * MS); /* 100 - 90 */
	assert_int_equal(pick(&w, &km_policy_latcache_request, type), 1);
	/* Without what is queued there the hit wins. */
	km_view_unqueue(w.view, 0, other, 60 * MS);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, type), 0);
	assert_int_equal(w.pick.processing_ns, HIT * MS);
	assert_true(w.pick.top_hit);
	assert_int_equal(w.pick.margin_ns, 50 * MS); /* 90 - 40 */
	close_world(&w);
}

static void u2_a_miss_on_top_adds_up_its_rules(void **state)
{
	enum { HDD = 1, SSD, NONE = 0, ONE_GPU = 1 };
	struct world w;
	struct km_type *hdd, *gpu, *both;

	(void)state;
	open_world(&w, 2, true);
	hdd = type_of(&w, HDD, NONE);
	gpu = type_of(&w, HDD, ONE_GPU);
	both = type_of(&w, SSD, ONE_GPU);
	/* Only the two rule objects, no consolidated result. */
	km_cache_release(w.cache[1], cache_rule(&w, 1, hdd->rule[DISK]));
	km_cache_release(w.cache[1], cache_rule(&w, 1, gpu->rule[GPU]));
	fold(&w, 1);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, both), 1);
	assert_int_equal(w.pick.processing_ns, (BUILD + GPU_HIT + DISK_MISS) * MS);
	assert_int_equal(w.pick.rule_hit_nr, 1);
	assert_false(w.pick.top_hit);
	assert_int_equal(w.pick.margin_ns, (GPU_MISS - GPU_HIT) * MS);
	/* LatCache-request sees no rule: both agents miss, the lowest index wins. */
	assert_int_equal(pick(&w, &km_policy_latcache_request, both), 0);
	assert_int_equal(w.pick.processing_ns, MISS * MS);
	assert_int_equal(w.pick.margin_ns, 0);
	close_world(&w);
}

static void u5_a_miss_elsewhere_beats_a_hit_behind_a_queue(void **state)
{
	struct world w;
	struct km_type *orange, *green;
	uint32_t counted;

	(void)state;
	for (counted = 0; counted < 2; counted++) {
		open_world(&w, 2, counted);
		orange = type_of(&w, 1, 1);
		green = type_of(&w, 2, 2);
		cache_type(&w, 0, orange);
		cache_type(&w, 1, green);
		serve(&w, 1, orange, MISS);
		/* Its like is in service: a hit where that counts, else a miss. */
		assert_int_equal(enqueue(&w, 1, orange), (counted ? HIT : MISS) * MS);
		assert_int_equal(pick(&w, &km_policy_latcache_rule, green), 0);
		assert_int_equal(w.pick.processing_ns, MISS * MS);
		assert_int_equal(w.pick.margin_ns,
				 ((counted ? HIT : MISS) + MISS + HIT - MISS) * MS);
		close_world(&w);
	}
}

static void u6_what_is_queued_will_be_cached(void **state)
{
	struct world w;
	struct km_type *orange, *green;

	(void)state;
	open_world(&w, 2, true);
	orange = type_of(&w, 1, 1);
	green = type_of(&w, 2, 2);
	cache_type(&w, 0, green);
	cache_type(&w, 1, orange);
	serve(&w, 0, green, HIT);
	assert_int_equal(enqueue(&w, 0, orange), MISS * MS);
	assert_int_equal(enqueue(&w, 0, orange), HIT * MS);
	serve(&w, 1, orange, HIT);
	assert_int_equal(enqueue(&w, 1, green), MISS * MS);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, green), 1);
	assert_true(w.pick.top_hit);
	assert_int_equal(w.pick.wait_ns, MISS * MS);
	assert_int_equal(w.pick.remaining_ns, HIT * MS);
	assert_int_equal(w.pick.processing_ns, HIT * MS);
	assert_int_equal(w.pick.margin_ns, HIT * MS); /* a hit on the other, too */
	close_world(&w);
}

/* ---- what counts as cached-to-be ----------------------------------------------- */

static void the_request_in_service_counts_only_when_asked(void **state)
{
	struct world w;
	struct km_type *type;
	uint32_t counted;
	uint64_t est;

	(void)state;
	for (counted = 0; counted < 2; counted++) {
		open_world(&w, 1, counted);
		type = type_of(&w, 1, 1);
		est = enqueue(&w, 0, type);
		assert_int_equal(est, MISS * MS);
		pick(&w, &km_policy_latcache_rule, type);
		assert_true(w.pick.top_hit); /* queued counts either way */
		km_view_start(w.view, 0, type, est);
		pick(&w, &km_policy_latcache_rule, type);
		assert_int_equal(w.pick.top_hit, counted);
		assert_int_equal(w.pick.rule_hit_nr, counted ? 2 : 0);
		pick(&w, &km_policy_latcache_request, type);
		assert_int_equal(w.pick.top_hit, counted);
		km_view_finish(w.view, 0, type);
		pick(&w, &km_policy_latcache_rule, type);
		assert_false(w.pick.top_hit); /* it was not kept */
		cache_type(&w, 0, type);
		pick(&w, &km_policy_latcache_rule, type);
		assert_true(w.pick.top_hit);
		close_world(&w);
	}
}

static void rule_objects_of_what_is_queued_count(void **state)
{
	struct world w;
	struct km_type *queued, *like_it;

	(void)state;
	open_world(&w, 1, true);
	queued = type_of(&w, 1, 1);
	like_it = type_of(&w, 1, 2); /* the same disk */
	enqueue(&w, 0, queued);
	enqueue(&w, 0, queued);
	pick(&w, &km_policy_latcache_rule, like_it);
	assert_int_equal(w.pick.rule_hit_nr, 1);
	assert_int_equal(w.pick.processing_ns, (BUILD + DISK_HIT + GPU_MISS) * MS);
	km_view_unqueue(w.view, 0, queued, MISS * MS);
	pick(&w, &km_policy_latcache_rule, like_it);
	assert_int_equal(w.pick.rule_hit_nr, 1); /* one is left */
	km_view_unqueue(w.view, 0, queued, HIT * MS);
	pick(&w, &km_policy_latcache_rule, like_it);
	assert_int_equal(w.pick.rule_hit_nr, 0);
	assert_int_equal(w.view->wait_ns[0], 0);
	close_world(&w);
}

static void naive_sees_neither_queue_contents_nor_remaining_time(void **state)
{
	struct world w;
	struct km_type *type;

	(void)state;
	open_world(&w, 2, true);
	type = type_of(&w, 1, 1);
	w.view->end_ns[0] = w.view->now_ns + 500 * MS;
	enqueue(&w, 1, type);
	assert_int_equal(pick(&w, &km_policy_naive, type), 0);
	assert_int_equal(w.pick.remaining_ns, 0);
	assert_false(w.pick.top_hit);
	assert_int_equal(w.pick.processing_ns, MISS * MS);
	cache_type(&w, 1, type); /* 50 of queue and 20 are more than 50 */
	assert_int_equal(pick(&w, &km_policy_naive, type), 0);
	km_view_unqueue(w.view, 1, type, MISS * MS);
	assert_int_equal(pick(&w, &km_policy_naive, type), 1);
	assert_true(w.pick.top_hit);
	close_world(&w);
}

static void an_overdue_request_has_no_time_left(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 1, true);
	w.view->end_ns[0] = w.view->now_ns - 1;
	pick(&w, &km_policy_latcache_rule, type_of(&w, 1, 1));
	assert_int_equal(w.pick.remaining_ns, 0);
	close_world(&w);
}

static void a_recycled_id_is_cached_nowhere(void **state)
{
	struct world w;
	struct km_type *type;
	struct km_key old;

	(void)state;
	open_world(&w, 1, true);
	type = type_of(&w, 1, 1);
	old = type->key;
	cache_type(&w, 0, type);
	assert_true(km_view_augmented(w.view, KM_CACHE_TOP, old.id, 0));
	km_view_recycle(w.view, KM_CACHE_TOP, (struct km_key){ old.id, old.gen + 1 });
	assert_false(km_view_augmented(w.view, KM_CACHE_TOP, old.id, 0));
	fold(&w, 0); /* the agent still holds what the id meant before (V3) */
	assert_false(km_view_augmented(w.view, KM_CACHE_TOP, old.id, 0));
	close_world(&w);
}

/* ---- tie-breaks and closed agents ------------------------------------------------ */

static void ties_go_to_the_holder_then_fewest_queued_then_lowest_index(void **state)
{
	struct world w;
	struct km_type *type, *other;

	(void)state;
	open_world(&w, 4, true);
	type = type_of(&w, 1, 1);
	other = type_of(&w, 2, 2);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, type), 0); /* lowest index */
	assert_int_equal(w.pick.runner_up_idx, 1);
	assert_int_equal(w.pick.margin_ns, 0);
	/* Equal sums, two queued on 0 and one on 1: agent 1; 2 and 3 wait longer. */
	km_view_enqueue(w.view, 0, other, 5 * MS);
	km_view_enqueue(w.view, 0, other, 5 * MS);
	km_view_enqueue(w.view, 1, other, 10 * MS);
	km_view_enqueue(w.view, 2, other, 11 * MS);
	km_view_enqueue(w.view, 3, other, 40 * MS);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, type), 1);
	assert_int_equal(w.pick.runner_up_idx, 0);
	/* Agent 3 holds the type: 40 + 20 = 10 + 50, and three more queued. */
	cache_type(&w, 3, type);
	km_view_enqueue(w.view, 3, other, 0);
	km_view_enqueue(w.view, 3, other, 0);
	assert_int_equal(pick(&w, &km_policy_latcache_rule, type), 3);
	assert_int_equal(w.pick.runner_up_idx, 1);
	assert_int_equal(w.pick.margin_ns, 0);
	assert_int_equal(pick(&w, &km_policy_latcache_request, type), 3);
	close_world(&w);
}

static void closed_agents_get_nothing_from_policies_that_do_not_hold(void **state)
{
	struct world w;
	struct km_type *type;
	uint32_t i, p;

	(void)state;
	for (p = 0; km_policies[p]; p++) {
		if (km_policies[p]->queueing == KM_QUEUE_STEAL)
			continue;
		open_world(&w, 70, true);
		type = type_of(&w, 1, 1);
		for (i = 0; i < 70; i++)
			km_view_set_open(w.view, i, i == 3 || i == 66);
		cache_type(&w, 7, type); /* tempting and closed */
		for (i = 0; i < 100; i++) {
			uint32_t agent_idx = pick(&w, km_policies[p], type);

			assert_true(agent_idx == 3 || agent_idx == 66);
		}
		km_view_set_open(w.view, 3, false);
		assert_int_equal(pick(&w, km_policies[p], type), 66);
		assert_int_equal(w.pick.runner_up_idx, KM_NO_AGENT);
		assert_true(w.pick.margin_ns == UINT64_MAX);
		km_view_set_open(w.view, 66, false);
		assert_int_equal(pick(&w, km_policies[p], type), KM_NO_AGENT);
		assert_int_equal(w.pick.runner_up_idx, KM_NO_AGENT);
		close_world(&w);
	}
}

static void round_robin_goes_round_and_skips_the_closed(void **state)
{
	static const uint32_t want[] = { 0, 1, 3, 0, 1, 3 };
	struct world w;
	struct km_type *type;
	uint32_t i;

	(void)state;
	open_world(&w, 4, true);
	type = type_of(&w, 1, 1);
	km_view_set_open(w.view, 2, false);
	for (i = 0; i < KM_ARRAY_NR(want); i++)
		assert_int_equal(pick(&w, &km_policy_rr, type), want[i]);
	km_view_set_open(w.view, 2, true);
	assert_int_equal(pick(&w, &km_policy_rr, type), 0);
	assert_int_equal(pick(&w, &km_policy_rr, type), 1);
	assert_int_equal(pick(&w, &km_policy_rr, type), 2);
	close_world(&w);
}

static void random_reaches_every_open_agent(void **state)
{
	struct world w;
	struct km_type *type;
	uint32_t i, seen[70] = { 0 };

	(void)state;
	open_world(&w, 70, true);
	type = type_of(&w, 1, 1);
	km_view_set_open(w.view, 69, false);
	for (i = 0; i < 7000; i++)
		seen[pick(&w, &km_policy_random, type)]++;
	for (i = 0; i < 69; i++)
		assert_true(seen[i] > 20); /* about 101 each */
	assert_int_equal(seen[69], 0);
	close_world(&w);
}

/* ---- hashing and stealing ---------------------------------------------------------- */

static void a_home_is_stable_and_few_move_when_an_agent_comes(void **state)
{
	enum { NR = 300, AGENTS = 8 };
	struct world small, large;
	uint32_t i, before, after, moved = 0, of[AGENTS] = { 0 };

	(void)state;
	open_world(&small, AGENTS, true);
	open_world(&large, AGENTS + 1, true);
	for (i = 0; i < NR; i++) {
		before = pick(&small, &km_policy_hash_ws, type_of(&small, i, 1));
		after = pick(&large, &km_policy_hash_ws, type_of(&large, i, 1));
		km_view_enqueue(small.view, before, type_of(&small, i, 1), MS);
		assert_int_equal(pick(&small, &km_policy_hash_ws, type_of(&small, i, 1)), before);
		of[before]++;
		if (before == after)
			continue;
		assert_int_equal(after, AGENTS); /* only to the new one */
		moved++;
	}
	assert_in_range(moved, 1, NR / 4); /* 1 of 9 is due */
	for (i = 0; i < AGENTS; i++)
		assert_true(of[i] > NR / AGENTS / 3);
	close_world(&large);
	close_world(&small);
}

/* A type whose home is @home. */
static struct km_type *type_at_home(struct world *w, uint32_t home)
{
	struct km_type *type;
	uint32_t i;

	for (i = 0; i < 200; i++) {
		type = type_of(w, i, 1);
		if (pick(w, &km_policy_hash_ws, type) == home)
			return type;
	}
	fail_msg("no type has home %u", home);
	return NULL;
}

static void a_thief_takes_the_head_of_the_longest_queue(void **state)
{
	struct world w;
	struct km_sched_cfg cfg = { .policy = &km_policy_hash_ws, .window_max = 8 };
	struct km_req *req = aligned_alloc(KM_SHARE_BYTES, 8 * sizeof(*req));
	struct km_sched *sched;
	uint32_t i;

	(void)state;
	memset(req, 0, 8 * sizeof(*req));
	open_world(&w, 3, true);
	cfg.view = w.view;
	assert_int_equal(km_sched_create(&sched, &cfg), 0);
	/* All busy: 0 with one of its own, 1 and 2 likewise. */
	for (i = 0; i < 3; i++) {
		req[i].type = type_at_home(&w, i);
		assert_int_equal(km_sched_arrive(sched, &req[i]), i);
		assert_ptr_equal(km_sched_next(sched, i), &req[i]);
		km_sched_started(sched, i);
	}
	/* One more waits for 0, three for 1. */
	for (i = 3; i < 7; i++) {
		req[i].type = type_at_home(&w, i > 3);
		assert_int_equal(km_sched_arrive(sched, &req[i]), i > 3);
		assert_null(km_sched_next(sched, i > 3));
	}
	assert_int_equal(w.view->queued_nr[1], 3);
	km_sched_finished(sched, 2);
	assert_ptr_equal(km_sched_next(sched, 2), &req[4]); /* the head, not the tail */
	assert_int_equal(req[4].decision.agent_idx, 2);
	assert_int_equal(w.view->queued_nr[1], 2);
	assert_int_equal(w.view->queued_nr[2], 1);
	/* Agent 0 has one of its own: it does not steal. */
	km_sched_finished(sched, 0);
	assert_ptr_equal(km_sched_next(sched, 0), &req[3]);
	km_sched_destroy(sched);
	close_world(&w);
	free(req);
}

static void an_idle_agent_takes_what_comes_to_a_busy_home(void **state)
{
	struct world w;
	struct km_sched_cfg cfg = { .policy = &km_policy_hash_ws, .window_max = 8 };
	struct km_req *req = aligned_alloc(KM_SHARE_BYTES, 2 * sizeof(*req));
	struct km_sched *sched;

	(void)state;
	memset(req, 0, 2 * sizeof(*req));
	open_world(&w, 2, true);
	cfg.view = w.view;
	assert_int_equal(km_sched_create(&sched, &cfg), 0);
	req[0].type = req[1].type = type_at_home(&w, 1);
	assert_int_equal(km_sched_arrive(sched, &req[0]), 1);
	assert_ptr_equal(km_sched_next(sched, 1), &req[0]);
	assert_int_equal(km_sched_arrive(sched, &req[1]), 0);
	assert_ptr_equal(km_sched_next(sched, 0), &req[1]);
	assert_int_equal(km_sched_waiting(sched), 0);
	km_sched_destroy(sched);
	close_world(&w);
	free(req);
}

static void more_than_65536_of_a_type_may_be_held(void **state)
{
	enum { NR = 70000 };
	struct world w;
	struct km_type *type;
	uint32_t i;

	(void)state;
	open_world(&w, 1, true);
	type = type_of(&w, 1, 1);
	for (i = 0; i < NR; i++)
		km_view_enqueue(w.view, 0, type, 1);
	for (i = 0; i < NR; i++) {
		assert_true(km_view_augmented(w.view, KM_CACHE_TOP, type->key.id, 0));
		km_view_unqueue(w.view, 0, type, 1);
	}
	assert_false(km_view_augmented(w.view, KM_CACHE_TOP, type->key.id, 0));
	close_world(&w);
}

/* ---- names ---------------------------------------------------------------------------- */

static void every_policy_is_found_by_its_name(void **state)
{
	static const char *const names[] = { "protean",		 "random",	  "rr",	  "hash-ws",
					     "latcache-request", "latcache-rule", "naive" };
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(names); i++) {
		assert_ptr_equal(km_policy_find(names[i]), km_policies[i]);
		assert_string_equal(km_policies[i]->name, names[i]);
		assert_true(strlen(km_policies[i]->summary) > 0);
	}
	assert_null(km_policies[i]);
	for (i = 0; km_policies_more[i]; i++)
		assert_ptr_equal(km_policy_find(km_policies_more[i]->name), km_policies_more[i]);
	assert_true(i >= 6);
	assert_null(km_policy_find("latcache"));
	assert_null(km_policy_find(""));
	assert_null(km_policy_find("RR"));
}

static void a_typo_gets_the_nearest_name(void **state)
{
	(void)state;
	assert_string_equal(km_policy_suggest("latcache-rul"), "latcache-rule");
	assert_string_equal(km_policy_suggest("proteen"), "protean");
	assert_string_equal(km_policy_suggest("hashws"), "hash-ws");
	assert_null(km_policy_suggest("zzzzzzzzzzzzzzzz"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u1_the_whole_sum_decides_not_the_hit),
		cmocka_unit_test(u2_a_miss_on_top_adds_up_its_rules),
		cmocka_unit_test(u5_a_miss_elsewhere_beats_a_hit_behind_a_queue),
		cmocka_unit_test(u6_what_is_queued_will_be_cached),
		cmocka_unit_test(the_request_in_service_counts_only_when_asked),
		cmocka_unit_test(rule_objects_of_what_is_queued_count),
		cmocka_unit_test(naive_sees_neither_queue_contents_nor_remaining_time),
		cmocka_unit_test(an_overdue_request_has_no_time_left),
		cmocka_unit_test(a_recycled_id_is_cached_nowhere),
		cmocka_unit_test(ties_go_to_the_holder_then_fewest_queued_then_lowest_index),
		cmocka_unit_test(closed_agents_get_nothing_from_policies_that_do_not_hold),
		cmocka_unit_test(round_robin_goes_round_and_skips_the_closed),
		cmocka_unit_test(random_reaches_every_open_agent),
		cmocka_unit_test(a_home_is_stable_and_few_move_when_an_agent_comes),
		cmocka_unit_test(a_thief_takes_the_head_of_the_longest_queue),
		cmocka_unit_test(an_idle_agent_takes_what_comes_to_a_busy_home),
		cmocka_unit_test(more_than_65536_of_a_type_may_be_held),
		cmocka_unit_test(every_policy_is_found_by_its_name),
		cmocka_unit_test(a_typo_gets_the_nearest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
