/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/eval_test.c - one agent's way of serving: what it tells the
 * estimator, what it predicts, conflicts, what does not fit, background work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/eval.h"
#include "lib/clock.h"
#include "lib/snap.h"
#include "tests/support/synth.h"

#define RULE_NR 3
#define TYPE_CAP 64

/* The samples of one request. */
struct heard {
	uint32_t nr[4]; /* by kind */
	uint64_t ns; /* sum */
	uint32_t type_id;
};

struct bench {
	struct synth synth;
	struct km_types *types;
	struct km_eval *eval;
	struct heard heard;
	struct km_req req[4];
};

static void hear(void *ctx, uint64_t sample)
{
	struct bench *b = ctx;

	b->heard.nr[km_sample_kind(sample)]++;
	b->heard.ns += km_sample_ns(sample);
	if (km_sample_kind(sample) == KM_SAMPLE_TYPE_HIT)
		b->heard.type_id = km_sample_id(sample);
}

static struct bench *open_bench(struct km_eval_cfg cfg)
{
	struct bench *b = aligned_alloc(KM_SHARE_BYTES, sizeof(*b));
	struct km_types_cfg types = { .type_cap = TYPE_CAP,
				      .rule_obj_cap = 4 * TYPE_CAP,
				      .trait_nr = 3,
				      .rule_nr = RULE_NR };

	assert_non_null(b);
	memset(b, 0, sizeof(*b));
	synth_init(&b->synth, 3, RULE_NR, 256);
	types.rules = b->synth.rule;
	assert_int_equal(km_types_create(&b->types, &types), 0);
	cfg.workload = &b->synth.workload;
	cfg.type_cap = TYPE_CAP;
	cfg.rule_obj_cap = 4 * TYPE_CAP;
	cfg.node = -1;
	cfg.sample = hear;
	cfg.sample_ctx = b;
	assert_int_equal(km_eval_create(&b->eval, &cfg), 0);
	return b;
}

static void close_bench(struct bench *b)
{
	assert_int_equal(atomic_load_explicit(&b->synth.wrong, memory_order_relaxed), 0);
	assert_null(km_cache_check(km_eval_cache(b->eval)));
	km_eval_destroy(b->eval);
	km_types_destroy(b->types);
	free(b);
}

/* Request @i as one part of types (@a, 0, 0). */
static struct km_req *request(struct bench *b, uint32_t i, uint32_t a)
{
	struct km_req *req = &b->req[i];

	memset(req, 0, sizeof(*req));
	req->trait[0] = a;
	req->type = km_types_get(b->types, req->trait);
	assert_non_null(req->type);
	return req;
}

static const struct km_req *serve(struct bench *b, struct km_req *req)
{
	memset(&b->heard, 0, sizeof(b->heard));
	km_eval_serve(b->eval, req);
	km_eval_learn(b->eval);
	return req;
}

static void the_samples_of_a_request_add_up_to_its_time(void **state)
{
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20 });
	const struct km_req *req = serve(b, request(b, 0, 1));

	(void)state;
	assert_false(req->top_hit);
	assert_int_equal(b->heard.nr[KM_SAMPLE_RULE_MISS], RULE_NR);
	assert_int_equal(b->heard.nr[KM_SAMPLE_BUILD], 1);
	assert_int_equal(b->heard.nr[KM_SAMPLE_TYPE_HIT], 0);
	/* Until the agent was free again; a time of 0 is told as 1. */
	assert_in_range(b->heard.ns, req->end_ns - req->start_ns,
			km_clock_ns() - req->start_ns + RULE_NR + 1);
	req = serve(b, request(b, 0, 1));
	assert_true(req->top_hit);
	assert_int_equal(b->heard.nr[KM_SAMPLE_TYPE_HIT], 1);
	assert_int_equal(b->heard.type_id, req->type->key.id);
	assert_in_range(b->heard.ns, req->end_ns - req->start_ns, km_clock_ns() - req->start_ns);
	/* Another type that shares the rule of traits 1 and 2. */
	req = serve(b, request(b, 0, 2));
	assert_int_equal(b->heard.nr[KM_SAMPLE_RULE_HIT], 1);
	assert_int_equal(b->heard.nr[KM_SAMPLE_RULE_MISS], RULE_NR - 1);
	assert_int_equal(req->rule_hits, 1);
	assert_int_equal(req->rule_misses, RULE_NR - 1);
	close_bench(b);
}

static uint32_t usage_nr;
int __real_getrusage(int who, struct rusage *usage);
int __wrap_getrusage(int who, struct rusage *usage);

int __wrap_getrusage(int who, struct rusage *usage)
{
	usage_nr++;
	return __real_getrusage(who, usage);
}

static void a_miss_of_recycled_slots_counts_its_faults_and_a_hit_asks_for_none(void **state)
{
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20 });
	const struct km_req *req;
	struct km_eval_stats stats;
	uint32_t i;

	(void)state;
	req = serve(b, request(b, 0, 1)); /* of fresh slots */
	assert_int_equal(req->fault_nr, UINT32_MAX);
	usage_nr = 0;
	req = serve(b, request(b, 0, 1));
	assert_true(req->top_hit);
	assert_int_equal(req->fault_nr, UINT32_MAX);
	assert_int_equal(usage_nr, 0);
	assert_int_equal(km_eval_stats(b->eval).steady_misses, 0);
	close_bench(b);
	/* Room for a few results: a further one takes their slots. */
	b = open_bench((struct km_eval_cfg){ .cache_bytes = 16384 });
	for (i = 0; i < TYPE_CAP / 2; i++)
		serve(b, request(b, 0, i));
	stats = km_eval_stats(b->eval);
	usage_nr = 0;
	req = serve(b, request(b, 0, i));
	assert_false(req->top_hit);
	assert_int_equal(usage_nr, 2);
	assert_int_equal(km_eval_stats(b->eval).steady_misses, stats.steady_misses + 1);
	assert_int_equal(km_eval_stats(b->eval).steady_faults, stats.steady_faults + req->fault_nr);
	close_bench(b);
}

static void a_prediction_is_of_the_cache_as_it_is(void **state)
{
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20 });
	uint64_t hits[TYPE_CAP] = { 0 };
	struct km_estimates est = { .type_cap = TYPE_CAP,
				    .rule_nr = RULE_NR,
				    .build_ns = 1000,
				    .rule_hit_ns = { 1, 2, 3 },
				    .rule_miss_ns = { 10, 20, 30 },
				    .type_hit_ns = hits };
	struct km_req *known = request(b, 0, 1), *other = request(b, 1, 2);

	(void)state;
	hits[known->type->key.id] = 7;
	assert_int_equal(km_eval_estimate(b->eval, &est, known), 1060);
	serve(b, known);
	assert_int_equal(km_eval_estimate(b->eval, &est, known), 7);
	assert_int_equal(km_eval_estimate(b->eval, &est, other), 1000 + 10 + 2 + 30);
	known->more = other; /* of all parts */
	assert_int_equal(km_eval_estimate(b->eval, &est, known), 7 + 1042);
	close_bench(b);
}

static void what_does_not_fit_is_served_uncached_and_counted(void **state)
{
	/* Room for the rule objects and not for the result of 1 KiB. */
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = RULE_NR * 256 + 100 });
	const struct km_req *req;
	struct km_eval_stats stats;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		req = serve(b, request(b, 0, i));
		assert_int_equal(req->outcome, KM_PLACED);
		assert_true(req->uncached);
		assert_false(req->top_hit);
		assert_int_equal(b->heard.nr[KM_SAMPLE_BUILD], 0); /* not what a miss costs */
	}
	stats = km_eval_stats(b->eval);
	assert_int_equal(stats.uncached, 3);
	assert_int_equal(stats.served, 3);
	assert_true(stats.cache_bytes_peak <= RULE_NR * 256 + 100);
	close_bench(b);
}

static void a_conflict_is_tried_again_up_to_the_limit(void **state)
{
	struct bench *b =
		open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20, .retry_max = 3 });
	const struct km_req *req;

	(void)state;
	b->synth.conflict_every = 2;
	serve(b, request(b, 0, 1));
	req = serve(b, request(b, 0, 1));
	assert_int_equal(req->outcome, KM_PLACED);
	assert_int_equal(req->conflicts, 1);
	b->synth.conflict_every = 1;
	req = serve(b, request(b, 0, 1));
	assert_int_equal(req->outcome, KM_GAVE_UP);
	assert_int_equal(req->conflicts, 4); /* the first try and three more */
	assert_int_equal(km_eval_stats(b->eval).retries_exhausted, 1);
	assert_int_equal(km_eval_stats(b->eval).conflicts, 5);
	close_bench(b);
}

static void parts_are_served_together(void **state)
{
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20 });
	struct km_req *req = request(b, 0, 1);

	(void)state;
	req->more = request(b, 1, 2);
	req->more->more = request(b, 2, 1);
	serve(b, req);
	assert_int_equal(req->outcome, KM_PLACED);
	assert_false(req->top_hit);
	assert_false(req->more->top_hit);
	assert_true(req->more->more->top_hit); /* of the type of the first */
	assert_int_equal(km_eval_stats(b->eval).served, 1);
	assert_int_equal(b->heard.nr[KM_SAMPLE_BUILD] + b->heard.nr[KM_SAMPLE_TYPE_HIT], 0);
	close_bench(b);
}

static void an_idle_agent_updates_what_lags_and_then_rests(void **state)
{
	struct bench *b =
		open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20, .idle_lag = 10 });
	uint32_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		serve(b, request(b, 0, i));
	assert_false(km_eval_idle(b->eval)); /* none lags by 10 */
	/* relaxed: one thread */
	atomic_fetch_add_explicit(&b->synth.rev, 20, memory_order_relaxed);
	for (i = 0; i < 5; i++)
		assert_true(km_eval_idle(b->eval));
	assert_false(km_eval_idle(b->eval));
	assert_int_equal(km_eval_stats(b->eval).idle_updates, 5);
	close_bench(b);
}

static void an_idle_agent_drops_what_is_old(void **state)
{
	struct bench *b = open_bench((struct km_eval_cfg){ .cache_bytes = 1 << 20, .age_ns = 1 });

	(void)state;
	serve(b, request(b, 0, 1));
	km_sleep_until_ns(km_clock_ns() + 1000);
	while (km_eval_idle(b->eval))
		;
	assert_int_equal(km_cache_stats(km_eval_cache(b->eval))->present_nr[KM_CACHE_TOP], 0);
	assert_int_equal(km_cache_stats(km_eval_cache(b->eval))->present_nr[KM_CACHE_RULE], 0);
	assert_int_equal(km_eval_stats(b->eval).aged, 1 + RULE_NR);
	close_bench(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_samples_of_a_request_add_up_to_its_time),
		cmocka_unit_test(
			a_miss_of_recycled_slots_counts_its_faults_and_a_hit_asks_for_none),
		cmocka_unit_test(a_prediction_is_of_the_cache_as_it_is),
		cmocka_unit_test(what_does_not_fit_is_served_uncached_and_counted),
		cmocka_unit_test(a_conflict_is_tried_again_up_to_the_limit),
		cmocka_unit_test(parts_are_served_together),
		cmocka_unit_test(an_idle_agent_updates_what_lags_and_then_rests),
		cmocka_unit_test(an_idle_agent_drops_what_is_old),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_thread_stop();
	return failed;
}
