/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/sim_model_test.c - the simulator against other ways to compute the
 * same: recursions of queueing theory, and a replay of whole queues.
 *
 * With constant times a policy blind to caches needs no simulator: round robin
 * is Lindley's recursion per agent, the shared queue is Kiefer and Wolfowitz's.
 * Both must agree to the nanosecond. What the accuracy says of agents that were
 * not chosen is replayed from a log of one run: each agent's requests in order,
 * with one more put in at the place where it would have stood.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/rand.h"
#include "sim/sim.h"
#include "sim/zone.h"
#include "tests/support/seed.h"

#define RULE_NR 3
#define HIT_NS 100
#define AGENT_NR 5
#define REQUEST_NR 20000

static const struct km_rule_desc rules[RULE_NR] = { { "a", 1 }, { "b", 2 }, { "c", 3 } };

/* Arrivals out of an array. */
struct list {
	struct km_source source;
	uint32_t nr, at;
	uint64_t at_ns[REQUEST_NR];
	uint32_t trait[REQUEST_NR][2];
};

static int list_next(struct km_source *source, struct km_arrival *arrival, uint32_t nr,
		     struct km_diag *diag)
{
	struct list *list = (struct list *)source;

	(void)diag;
	(void)nr;
	if (list->at == list->nr)
		return 0;
	*arrival = (struct km_arrival){ .at_ns = list->at_ns[list->at],
					.trait = list->trait[list->at],
					.type_idx = KM_NO_TYPE_IDX };
	list->at++;
	return 1;
}

/* A mean of @gap_ns between arrivals, some at the same time; 40 types. */
static struct list *make_list(struct km_rand *rand, uint64_t gap_ns)
{
	struct list *list = calloc(1, sizeof(*list));
	uint64_t now = 0;
	uint32_t i;

	assert_non_null(list);
	list->source = (struct km_source){
		.next = list_next, .trait_nr = 2, .rule_nr = RULE_NR, .rules = rules
	};
	list->nr = REQUEST_NR;
	for (i = 0; i < REQUEST_NR; i++) {
		if (km_rand_below(rand, 4))
			now += km_rand_below(rand, gap_ns * 8 / 3);
		list->at_ns[i] = now;
		list->trait[i][0] = (uint32_t)km_rand_below(rand, 8);
		list->trait[i][1] = (uint32_t)km_rand_below(rand, 5);
	}
	return list;
}

/* Hits and misses alike take HIT_NS; @handover_ns: [KM_HANDOVER_NR], or NULL = starts are at once. */
static struct km_costs *constant_costs(const uint64_t *handover_ns)
{
	char path[] = "/tmp/kamino-sim-model-XXXXXX";
	struct km_cost_recorder *rec;
	struct km_costs *costs;
	uint32_t i, fd = (uint32_t)mkstemp(path);

	close((int)fd);
	assert_int_equal(km_cost_recorder_create(&rec, 4, RULE_NR, rules), 0);
	for (i = 0; i < RULE_NR; i++) {
		km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_RULE_HIT, i, 1));
		km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_RULE_MISS, i, 1));
	}
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_BUILD, 0, HIT_NS - RULE_NR));
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_TYPE_HIT, 0, HIT_NS));
	for (i = 0; handover_ns && i < KM_HANDOVER_NR; i++)
		km_cost_recorder_handover(rec, i, false, handover_ns[i]);
	assert_int_equal(km_costs_save(rec, path, NULL), 0);
	km_cost_recorder_destroy(rec);
	assert_int_equal(km_costs_load(&costs, path, RULE_NR, rules, NULL), 0);
	unlink(path);
	return costs;
}

static void simulate(struct km_sim_result *out, struct list *list, const struct km_costs *costs,
		     const struct km_policy *policy)
{
	const struct km_sim_cfg cfg = {
		.policy = policy,
		.source = &list->source,
		.costs = costs,
		.agent_nr = AGENT_NR,
		.cache_bytes = 100,
		.rule_bytes = 1,
		.top_bytes = 10,
		.inside_max = 30000,
		.count_serving = true,
		.seed = 1,
	};
	struct km_diag diag = { .reason = "" };
	int err;

	list->at = 0;
	err = km_sim_run(out, &cfg, &diag);
	if (err)
		print_message("%s\n", diag.reason);
	assert_int_equal(err, 0);
	assert_int_equal(out->refused, 0);
}

static void round_robin_is_lindleys_recursion(void **state)
{
	struct km_rand rand;
	struct km_costs *costs = constant_costs(NULL);
	uint64_t gap;

	(void)state;
	km_rand_init(&rand, km_test_seed(5));
	for (gap = 12; gap < 60; gap += 6) {
		struct list *list = make_list(&rand, gap);
		struct km_sim_result out;
		uint64_t free_ns[AGENT_NR] = { 0 }, wait = 0, start;
		uint32_t i;

		simulate(&out, list, costs, &km_policy_rr);
		for (i = 0; i < REQUEST_NR; i++) {
			start = km_max_u64(free_ns[i % AGENT_NR], list->at_ns[i]);
			wait += start - list->at_ns[i];
			free_ns[i % AGENT_NR] = start + HIT_NS;
		}
		assert_int_equal(out.completed, REQUEST_NR);
		assert_int_equal(out.wait.sum, wait);
		assert_int_equal(out.processing.sum, (uint64_t)REQUEST_NR * HIT_NS);
		km_sim_result_fini(&out);
		free(list);
	}
	km_costs_destroy(costs);
}

/* One type: each agent misses once, then hits. */
static void hand_overs_come_on_top_of_lindleys_recursion(void **state)
{
	static const uint64_t handover_ns[KM_HANDOVER_NR] = {
		[KM_HANDOVER_IDLE] = 17, [KM_HANDOVER_AFTER_HIT] = 2, [KM_HANDOVER_AFTER_MISS] = 40
	};
	struct km_costs *costs = constant_costs(handover_ns);
	struct list *list;
	struct km_sim_result out;
	struct km_rand rand;
	uint64_t free_ns[AGENT_NR] = { 0 }, wait = 0, start, after, due;
	uint32_t i;

	(void)state;
	km_rand_init(&rand, km_test_seed(5));
	list = make_list(&rand, 30);
	memset(list->trait, 0, sizeof(list->trait));
	simulate(&out, list, costs, &km_policy_rr);
	for (i = 0; i < REQUEST_NR; i++) {
		due = list->at_ns[i];
		after = handover_ns[i / AGENT_NR > 1 ? KM_HANDOVER_AFTER_HIT
						     : KM_HANDOVER_AFTER_MISS];
		start = km_max_u64(km_max_u64(free_ns[i % AGENT_NR], due) + after,
				   due + handover_ns[KM_HANDOVER_IDLE]);
		wait += start - due;
		free_ns[i % AGENT_NR] = start + HIT_NS;
	}
	assert_int_equal(out.top_hits, REQUEST_NR - AGENT_NR);
	assert_int_equal(out.wait.sum, wait);
	km_sim_result_fini(&out);
	free(list);
	km_costs_destroy(costs);
}

static void the_shared_queue_is_kiefer_and_wolfowitzs_recursion(void **state)
{
	struct km_rand rand;
	struct km_costs *costs = constant_costs(NULL);
	uint64_t gap;

	(void)state;
	km_rand_init(&rand, km_test_seed(5));
	for (gap = 21; gap < 60; gap += 6) {
		struct list *list = make_list(&rand, gap);
		struct km_sim_result out;
		uint64_t free_ns[AGENT_NR] = { 0 }, wait = 0, start;
		uint32_t i, a, first;

		simulate(&out, list, costs, &km_policy_protean);
		for (i = 0; i < REQUEST_NR; i++) {
			for (first = 0, a = 1; a < AGENT_NR; a++)
				if (free_ns[a] < free_ns[first])
					first = a;
			start = km_max_u64(free_ns[first], list->at_ns[i]);
			wait += start - list->at_ns[i];
			free_ns[first] = start + HIT_NS;
		}
		assert_int_equal(out.wait.sum, wait);
		assert_int_equal(out.latency.count, REQUEST_NR);
		km_sim_result_fini(&out);
		free(list);
	}
	km_costs_destroy(costs);
}

/*
 * Constant times make the best agent plain: the one that is free first. Under random
 * choices, drawn as the policy draws them, the judge must find what the recursion
 * finds.
 */
static void the_judge_agrees_with_the_recursion(void **state)
{
	struct km_rand rand;
	struct km_costs *costs = constant_costs(NULL);
	struct list *list;
	struct km_sim_result out;
	struct km_sim_cfg cfg;
	uint64_t free_ns[AGENT_NR] = { 0 }, best, own = 0, start, gap_sum = 0, best_nr = 0;
	struct km_rand draws;
	uint32_t i, a, chosen;

	(void)state;
	km_rand_init(&rand, km_test_seed(5));
	list = make_list(&rand, 30);
	cfg = (struct km_sim_cfg){
		.policy = &km_policy_random,
		.source = &list->source,
		.costs = costs,
		.agent_nr = AGENT_NR,
		.cache_bytes = 100,
		.rule_bytes = 1,
		.top_bytes = 10,
		.count_serving = true,
		.accuracy = true,
		.check = true,
		.seed = 1,
	};
	assert_int_equal(km_sim_run(&out, &cfg, NULL), 0);
	km_rand_init(&draws, cfg.seed);
	for (i = 0; i < REQUEST_NR; i++) {
		chosen = (uint32_t)km_rand_below(&draws, AGENT_NR);
		best = UINT64_MAX;
		for (a = 0; a < AGENT_NR; a++) {
			start = km_max_u64(free_ns[a], list->at_ns[i]);
			if (a == chosen)
				own = start;
			else
				best = km_min_u64(best, start);
		}
		best_nr += own <= best;
		gap_sum += own > best ? own - best : 0;
		free_ns[chosen] = own + HIT_NS;
	}
	assert_int_equal(out.accuracy.judged, REQUEST_NR);
	assert_int_equal(out.accuracy.best_nr, best_nr);
	assert_int_equal(out.accuracy.gap_ns_sum, gap_sum);
	assert_true(best_nr < REQUEST_NR);
	km_sim_result_fini(&out);
	free(list);
	km_costs_destroy(costs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_is_lindleys_recursion),
		cmocka_unit_test(hand_overs_come_on_top_of_lindleys_recursion),
		cmocka_unit_test(the_shared_queue_is_kiefer_and_wolfowitzs_recursion),
		cmocka_unit_test(the_judge_agrees_with_the_recursion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
