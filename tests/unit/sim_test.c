/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/sim_test.c - the simulator: same seed same numbers, nothing lost,
 * times as stated, inputs refused (M1 to M4 of sim/sim.h through cfg.check).
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/experiment.h"
#include "sim/math.h"
#include "sim/sweep.h"
#include "tests/support/seed.h"

/* A few thousand requests; no built-in zone, so that a new fit changes no test. */
/* Figure 1 as it stands, and the rest of about what the zones have. */
static void set_drawn(struct km_cost_drawn *drawn)
{
	*drawn = (struct km_cost_drawn){
		.miss_scale = 1,
		.hit_scale = 1,
		.correlation = 0.66, /* gives figure 1's ratios 1.7/2.9/4.0/6.9/18 */
		.build_share = 0.15,
		.common_share = 0.2,
		.hit_floor = 0.1,
		.lag_ref = 2000,
		.lag_max = 20000,
		.noise = 0.2,
	};
}

static struct km_sim_zone small_zone(void)
{
	struct km_sim_zone zone = {
		.name = "small",
		.seed = 3,
		.types = 200,
		.rules = 12,
		.families = 24,
		.sizes = 40,
		.tenants = 8,
		.rate_per_s = 20,
		.day_swing = 0.4,
		.burst_share = 0.1,
		.burst_s = 60,
		.burst_factor = 2,
		.burst_types = 50,
		.burst_rare = 1,
		.batch_share = 0.3,
		.batch_mean = 6,
		.batch_gap_s = 0.05,
		.skew = 1,
		.shift = 2,
		.repeat = 0.3,
		.recent = 64,
		.trade_s = 60,
		.cache_mib = 4000,
		.rule_mib = 4,
		.top_mib = 32,
		.age_s = 3600,
		.hours = 0.05,
	};

	set_drawn(&zone.cost);
	return zone;
}

static struct km_sim_point point_of(const struct km_sim_zone *zone, const struct km_policy *policy)
{
	return (struct km_sim_point){ .zone = zone,
				      .policy = policy,
				      .agent_nr = 4,
				      .load = 1,
				      .cache = 1,
				      .seed = km_test_seed(20) };
}

static void run(struct km_sim_point *point)
{
	struct km_diag diag = { .reason = "" };
	int err = km_sim_point_run(point, &diag);

	if (err)
		print_message("%s\n", diag.reason);
	assert_int_equal(err, 0);
}

static void assert_same(const struct km_sim_result *a, const struct km_sim_result *b)
{
	assert_int_equal(a->completed, b->completed);
	assert_int_equal(a->events, b->events);
	assert_int_equal(a->end_ns, b->end_ns);
	assert_int_equal(a->top_hits, b->top_hits);
	assert_int_equal(a->rule_hits, b->rule_hits);
	assert_memory_equal(&a->latency, &b->latency, sizeof(a->latency));
	assert_memory_equal(&a->wait, &b->wait, sizeof(a->wait));
	assert_true(a->cache_bytes_mean == b->cache_bytes_mean);
}

/* ---- the whole ------------------------------------------------------------- */

static void every_policy_loses_nothing_and_keeps_the_invariants(const struct km_policy *policy)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point point;

	zone.idle_lag = 300;
	zone.age_s = 10;
	point = point_of(&zone, policy);
	point.check = true;
	point.conflict_servers = 50;
	run(&point);
	assert_true(point.result->submitted > 1000);
	assert_int_equal(point.result->lost, 0);
	assert_int_equal(point.result->completed + point.result->refused, point.result->submitted);
	assert_int_equal(point.result->top_hits + point.result->top_misses,
			 point.result->completed);
	assert_true(point.result->idle_updates > 0);
	assert_true(point.result->aged > 0);
	assert_true(point.result->conflicts > 0);
	assert_null(point.result->fault);
	km_sweep_fini(&point, 1);
}

static void nothing_is_lost_and_invariants_hold_under_every_policy(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; km_policies[i]; i++)
		every_policy_loses_nothing_and_keeps_the_invariants(km_policies[i]);
	for (i = 0; km_policies_more[i]; i++)
		every_policy_loses_nothing_and_keeps_the_invariants(km_policies_more[i]);
}

static void any_number_of_agents_ends(void **state)
{
	static const uint32_t agents[] = { 1, 2, 3, 5, 9, 10, 17, 65, 130 };
	struct km_sim_zone zone = small_zone();
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(agents); i++) {
		struct km_sim_point point =
			point_of(&zone, i % 2 ? &km_policy_protean : &km_policy_latcache_rule);

		point.agent_nr = agents[i];
		point.cache = agents[i];
		point.request_max = 1500;
		point.check = agents[i] < 20;
		run(&point);
		assert_int_equal(point.result->lost, 0);
		km_sweep_fini(&point, 1);
	}
}

static void same_seed_gives_the_same_numbers_and_another_gives_others(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point a = point_of(&zone, &km_policy_latcache_rule), b = a, c = a;

	(void)state;
	c.seed++;
	run(&a);
	run(&b);
	run(&c);
	assert_same(a.result, b.result);
	assert_int_not_equal(a.result->latency.sum, c.result->latency.sum);
	km_sweep_fini(&a, 1);
	km_sweep_fini(&b, 1);
	km_sweep_fini(&c, 1);
}

static void results_do_not_depend_on_the_number_of_threads(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point one[6], many[6];
	uint32_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		one[i] = many[i] = point_of(&zone, km_policies[i]);
	assert_int_equal(km_sweep_run(one, 6, 1, NULL, NULL), 0);
	assert_int_equal(km_sweep_run(many, 6, 5, NULL, NULL), 0);
	for (i = 0; i < 6; i++)
		assert_same(one[i].result, many[i].result);
	km_sweep_fini(one, 6);
	km_sweep_fini(many, 6);
}

static void too_much_load_ends_and_is_said(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point point = point_of(&zone, &km_policy_protean);

	(void)state;
	point.load = 300;
	point.request_max = 60000;
	run(&point);
	assert_true(point.result->unstable);
	assert_true(point.result->refused > 0);
	assert_true(point.result->inside_peak <= 16384);
	assert_int_equal(point.result->lost, 0);
	km_sweep_fini(&point, 1);
}

static void a_single_agent_is_always_the_best(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point point = point_of(&zone, &km_policy_latcache_rule);

	(void)state;
	point.agent_nr = 1;
	point.accuracy = true;
	zone.cache_mib = 50000;
	run(&point);
	assert_int_equal(point.result->accuracy.judged, point.result->completed);
	assert_int_equal(point.result->accuracy.best_nr, point.result->completed);
	assert_int_equal(point.result->accuracy.gap_ns_sum, 0);
	km_sweep_fini(&point, 1);
}

static void perfect_times_choose_better_than_chance(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point good = point_of(&zone, &km_policy_oracle), bad = good;

	(void)state;
	bad.policy = &km_policy_random;
	good.accuracy = bad.accuracy = true;
	run(&good);
	run(&bad);
	assert_int_equal(good.result->accuracy.judged, good.result->completed);
	assert_int_equal(bad.result->accuracy.judged, bad.result->completed);
	assert_true(good.result->accuracy.best_nr > bad.result->accuracy.best_nr);
	assert_true(good.result->accuracy.gap_ns_sum < bad.result->accuracy.gap_ns_sum);
	/* Few requests stay open: almost every event is foreseen. */
	assert_true(good.result->accuracy.top_right * 100 > good.result->accuracy.top_events * 98);
	km_sweep_fini(&good, 1);
	km_sweep_fini(&bad, 1);
}

/* One agent, constant times, Poisson arrivals: M/D/1, whose mean wait is known. */
static void one_queue_waits_as_theory_says(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point point = point_of(&zone, &km_policy_latcache_rule);
	double service_ns, load, theory;

	(void)state;
	zone.types = 1;
	zone.day_swing = 0;
	zone.burst_share = 0;
	zone.batch_share = 0;
	zone.trade_s = 0;
	zone.age_s = 0;
	zone.cache_mib = 1000;
	zone.hours = 1000;
	zone.cost.hit_floor = 1;
	zone.cost.noise = 0;
	zone.rate_per_s = 1;
	point.agent_nr = 1;
	point.request_max = 100;
	run(&point); /* how long a hit takes */
	service_ns = (double)point.result->hit_ns / (double)point.result->top_hits;
	km_sweep_fini(&point, 1);
	load = 0.7;
	zone.rate_per_s = load / (service_ns / 1e9);
	point.request_max = 400000;
	point.warmup_nr = 1000;
	run(&point);
	theory = load * service_ns / (2 * (1 - load));
	assert_true(fabs(km_hist_mean(&point.result->wait) / theory - 1) < 0.05);
	km_sweep_fini(&point, 1);
}

/* ---- times ----------------------------------------------------------------- */

static void logarithm_and_exponential_agree_with_libm(void **state)
{
	double x;

	(void)state;
	for (x = 1e-9; x < 1e9; x *= 1.37)
		assert_true(fabs(km_sim_ln(x) - log(x)) < 1e-12 * (1 + fabs(log(x))));
	for (x = -50; x < 50; x += 0.37)
		assert_true(fabs(km_sim_exp(x) / exp(x) - 1) < 1e-12);
}

static struct km_costs *drawn(double lag_max)
{
	struct km_cost_drawn params;
	struct km_costs *costs;

	set_drawn(&params);
	params.hit_floor = 0;
	params.lag_ref = 1000;
	params.lag_max = lag_max;
	params.noise = 0;
	assert_int_equal(km_costs_create_drawn(&costs, &params, 12, km_sim_zone_rules(), 7, NULL),
			 0);
	return costs;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

#define TYPE_NR 4000

/* Types of all families: at lag_ref a hit, and a full miss, as figure 1 has them. */
static void drawn_times_have_the_quantiles_of_figure_1(void **state)
{
	static const double at[] = { .05, .25, .5, .75, .95 },
			    miss_ms[] = { 111, 319, 567, 944, 1548 },
			    hit_ms[] = { 15, 73, 127, 194, 401 };
	static uint64_t hit[TYPE_NR], miss[TYPE_NR];
	struct km_costs *costs = drawn(1e9);
	struct km_type type = { .key = { 0, 1 } };
	struct km_cost_type ct;
	uint64_t rule_ns[KM_RULES_MAX];
	uint32_t i, r;

	(void)state;
	for (i = 0; i < TYPE_NR; i++) {
		type.trait[0] = i; /* the family: the trait that most rules use */
		type.hash = i * UINT64_C(0x9e3779b97f4a7c15);
		km_cost_type_fill(costs, &type, &ct, rule_ns);
		hit[i] = km_cost_top_hit(costs, &ct, 1000, 0);
		/* The family's share of a miss is scaled up to all of it. */
		miss[i] = ct.build_ns * 100 / 15;
		for (r = 0; r < 12; r++)
			assert_true(rule_ns[r] > 0);
	}
	qsort(hit, TYPE_NR, sizeof(*hit), by_size);
	qsort(miss, TYPE_NR, sizeof(*miss), by_size);
	for (i = 0; i < KM_ARRAY_NR(at); i++) {
		uint32_t k = (uint32_t)(at[i] * TYPE_NR);

		assert_true(fabs((double)miss[k] / 1e6 / miss_ms[i] - 1) < 0.03);
		assert_true(fabs((double)hit[k] / 1e6 / hit_ms[i] - 1) < 0.12);
	}
	km_costs_destroy(costs);
}

static void hits_grow_with_the_lag_and_saturate(void **state)
{
	struct km_costs *costs = drawn(10000);
	struct km_type type = { .key = { 0, 1 }, .hash = 99 };
	struct km_cost_type ct;
	uint64_t rule_ns[KM_RULES_MAX], lag, last = 0, ns;

	(void)state;
	km_cost_type_fill(costs, &type, &ct, rule_ns);
	for (lag = 0; lag < 1000000; lag = lag * 2 + 1) {
		ns = km_cost_top_hit(costs, &ct, lag, 0);
		assert_true(ns >= last);
		last = ns;
		assert_true(km_cost_rule_hit(costs, &ct, rule_ns, 1, lag, 0) <= rule_ns[1]);
	}
	/* Linear up to saturation: at lag_max half of the growth is reached. */
	assert_true(fabs((double)km_cost_top_hit(costs, &ct, 10000, 0) * 2 / (double)last - 1) <
		    0.05);
	km_costs_destroy(costs);
}

static const struct km_rule_desc two_rules[] = { { "one", 1 }, { "two", 3 } };

static char *profile_path(void)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/kamino-sim-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return path;
}

static void a_recorded_profile_keeps_means_and_bounds(void **state)
{
	struct km_cost_recorder *rec;
	struct km_costs *costs;
	struct km_type type = { .key = { 3, 1 }, .hash = 0xabc };
	struct km_cost_type ct;
	uint64_t rule_ns[KM_RULES_MAX], sum = 0, ns;
	const char *path = profile_path();
	uint32_t i;

	(void)state;
	assert_int_equal(km_cost_recorder_create(&rec, 16, 2, two_rules), 0);
	km_cost_recorder_name(rec, 3, 0xabc);
	km_cost_recorder_top_bytes(rec, 4096);
	km_cost_recorder_bytes(rec, 1, 100);
	for (i = 1; i <= 1000; i++) {
		km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_TYPE_HIT, 3, 1000 * i));
		km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_RULE_MISS, 1, 700));
		km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_BUILD, 0, 50));
	}
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_RULE_HIT, 9, 700)); /* no such rule */
	assert_int_equal(km_costs_save(rec, path, NULL), 0);
	km_cost_recorder_destroy(rec);

	assert_int_equal(km_costs_load(&costs, path, 2, two_rules, NULL), 0);
	assert_true(km_costs_knows(costs, 0xabc));
	assert_false(km_costs_knows(costs, 0xabd));
	assert_int_equal(km_costs_top_bytes(costs), 4096);
	assert_int_equal(km_costs_rule_bytes(costs, 1), 100);
	km_cost_type_fill(costs, &type, &ct, rule_ns);
	for (i = 0; i < 10000; i++) {
		ns = km_cost_top_hit(costs, &ct, 0, i * (UINT32_MAX / 10000));
		assert_true(ns > 0 && ns < 1100000);
		sum += ns;
	}
	assert_true(fabs((double)sum / 10000 / 500500 - 1) < 0.01);
	assert_int_equal(km_cost_rule_miss(costs, rule_ns, 1, 5), 700);
	assert_int_equal(km_cost_build(costs, &ct, 5), 50);
	km_costs_destroy(costs);
	unlink(path);
}

static void a_profile_gives_hand_overs_and_one_kind_of_queue_stands_in_for_the_other(void **state)
{
	const char *path = profile_path();
	struct km_cost_recorder *rec;
	struct km_costs *costs;
	int asks;

	(void)state;
	assert_int_equal(km_cost_recorder_create(&rec, 16, 2, two_rules), 0);
	km_cost_recorder_handover(rec, KM_HANDOVER_IDLE, false, 70);
	km_cost_recorder_handover(rec, KM_HANDOVER_AFTER_MISS, false, 11);
	km_cost_recorder_handover(rec, KM_HANDOVER_AFTER_MISS, true, 55);
	assert_int_equal(km_costs_save(rec, path, NULL), 0);
	km_cost_recorder_destroy(rec);

	assert_int_equal(km_costs_load(&costs, path, 2, two_rules, NULL), 0);
	assert_true(km_costs_hand_over(costs));
	for (asks = 0; asks < 2; asks++) {
		assert_int_equal(km_cost_handover(costs, KM_HANDOVER_IDLE, asks, 5), 70);
		assert_int_equal(km_cost_handover(costs, KM_HANDOVER_AFTER_HIT, asks, 5), 0);
		assert_int_equal(km_cost_handover(costs, KM_HANDOVER_AFTER_MISS, asks, 5),
				 asks ? 55 : 11);
	}
	km_costs_destroy(costs);
	unlink(path);
}

static void a_profile_holds_a_warm_up_only_where_nothing_was_measured(void **state)
{
	const uint64_t sample = km_sample_pack(KM_SAMPLE_RULE_MISS, 0, 9000);
	struct km_type type = { .key = { 3, 1 }, .hash = 0xabc };
	struct km_cost_recorder *rec;
	struct km_cost_type ct;
	struct km_costs *costs;
	uint64_t rule_ns[KM_RULES_MAX];
	const char *path = profile_path();

	(void)state;
	assert_int_equal(km_cost_recorder_create(&rec, 16, 2, two_rules), 0);
	km_cost_recorder_add(rec, sample);
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_BUILD, 0, 9000));
	km_cost_recorder_measured(rec, true);
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_BUILD, 0, 50));
	/* the next policy's warm-up */
	km_cost_recorder_measured(rec, false);
	km_cost_recorder_add(rec, km_sample_pack(KM_SAMPLE_BUILD, 0, 7000));
	assert_int_equal(km_costs_save(rec, path, NULL), 0);
	km_cost_recorder_destroy(rec);

	assert_int_equal(km_costs_load(&costs, path, 2, two_rules, NULL), 0);
	km_cost_type_fill(costs, &type, &ct, rule_ns);
	assert_int_equal(km_cost_rule_miss(costs, rule_ns, 0, 5), 9000);
	assert_int_equal(km_cost_build(costs, &ct, 5), 50);
	km_costs_destroy(costs);
	unlink(path);
}

static void write_file(const char *path, const char *text)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	fputs(text, to);
	assert_int_equal(fclose(to), 0);
}

#define ZEROS " 0 0 0 0 0 0 0 0 0 0 0"

static void broken_profiles_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *text;
		uint64_t line;
	} bad[] = {
		{ "", 0 },
		{ "kamino-estimates 1\n", 1 },
		{ "kamino-costs 1\ntop-bytes 1\n", 2 },
		{ "kamino-costs 1\ntop-bytes -1\nend\n", 2 },
		{ "kamino-costs 1\nrule three 0 hit" ZEROS " miss" ZEROS "\nend\n", 2 },
		{ "kamino-costs 1\nrule one 0 hit" ZEROS " miss" ZEROS "\nend\n", 0 },
		{ "kamino-costs 1\nbuild 1 5 9 8 7 6 5 4 3 2 1\nend\n", 2 },
		{ "kamino-costs 1\nbuild 1 99 1 1 1 1 1 1 1 1 1\nend\n", 2 },
		{ "kamino-costs 1\nbuild 1 2\nend\n", 2 },
		{ "kamino-costs 1\nwhat 1\nend\n", 2 },
		{ "kamino-costs 1\n\nend\n", 2 },
		{ "kamino-costs 1\nend of it\n", 2 },
		{ "kamino-costs 1\ntop-bytes 1\ntop-bytes 2\nend\n", 3 },
		{ "kamino-costs 1\nbuild" ZEROS "\nbuild" ZEROS "\nend\n", 3 },
		{ "kamino-costs 1\nhit" ZEROS "\nhit" ZEROS "\nend\n", 3 },
		{ "kamino-costs 1\nhandover asks idle" ZEROS "\nhandover own idle" ZEROS
		  "\nhandover asks idle" ZEROS "\nend\n",
		  4 },
		{ "kamino-costs 1\nrule one 0 hit" ZEROS " miss" ZEROS "\nrule two 0 hit" ZEROS
		  " miss" ZEROS "\ntype 7" ZEROS "\ntype 8" ZEROS "\ntype 7" ZEROS "\nend\n",
		  0 },
	};
	const char *path = profile_path();
	struct km_costs *costs;
	struct km_diag diag;
	uint32_t i;
	int err;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		write_file(path, bad[i].text);
		err = km_costs_load(&costs, path, 2, two_rules, &diag);
		assert_int_equal(err, strstr(diag.reason, "another") ? -EDOM : -EINVAL);
		assert_int_equal(diag.line, bad[i].line);
		assert_true(strlen(diag.reason) > 0);
	}
	assert_int_equal(km_costs_load(&costs, "/nowhere/at/all", 2, two_rules, &diag), -ENOENT);
	unlink(path);
}

static void the_profile_of_another_trace_is_refused(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_sim_point point = point_of(&zone, &km_policy_protean);
	struct km_cost_recorder *rec;
	const char *path = profile_path();
	struct km_diag diag;

	(void)state;
	assert_int_equal(km_cost_recorder_create(&rec, 16, 12, km_sim_zone_rules()), 0);
	km_cost_recorder_name(rec, 0, 4711);
	assert_int_equal(km_costs_save(rec, path, NULL), 0);
	km_cost_recorder_destroy(rec);
	point.costs_path = path;
	assert_int_equal(km_sim_point_run(&point, &diag), -EINVAL);
	assert_non_null(strstr(diag.reason, "another trace"));
	assert_null(point.result);
	unlink(path);
}

/* ---- zones ----------------------------------------------------------------- */

static void impossible_zones_are_refused(void **state)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{ "types", "0" },      { "rate_per_s", "0" },  { "rate_per_s", "nan" },
		{ "skew", "-1" },      { "rules", "65" },      { "types", "1.5" },
		{ "types", "many" },   { "burst_share", "1" }, { "hours", "-3" },
		{ "batch_mean", "1" }, { "lag_ref", "0" },     { "tpyes", "5" },
	};
	struct km_sim_zone zone = small_zone();
	struct km_source *source;
	struct km_diag diag;
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		assert_int_equal(km_sim_zone_set(&zone, bad[i].key, bad[i].value, &diag), -EINVAL);
		assert_true(strlen(diag.reason) > 0);
	}
	assert_non_null(strstr(diag.reason, "did you mean 'types'"));
	zone.families = zone.sizes = zone.tenants = 1; /* 108 different vectors are left */
	assert_int_equal(km_sim_zone_open(&source, &zone, 1, 1, &diag), -EINVAL);
	assert_non_null(strstr(diag.reason, "more than its trait values make"));
	zone = small_zone();
	zone.types = 0;
	assert_int_equal(km_sim_zone_open(&source, &zone, 1, 1, &diag), -EINVAL);
	zone = small_zone();
	assert_int_equal(km_sim_zone_open(&source, &zone, 0, 1, &diag), -EINVAL);
}

static void broken_zone_files_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *text;
		uint64_t line;
	} bad[] = {
		{ "", 0 },
		{ "types = 5\n", 1 },
		{ "# only a remark\n", 0 },
		{ "[a]\ntypes 5\n", 2 },
		{ "[a]\n\ntypes = x\n", 3 },
		{ "[a\n", 1 },
		{ "[]\n", 1 },
		{ "[a]\n[a]\n", 2 },
		{ "[a name that is much longer than a zone's may be]\n", 1 },
	};
	static struct km_sim_zone zone[KM_SIM_ZONES_MAX];
	const char *path = profile_path();
	struct km_diag diag;
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		write_file(path, bad[i].text);
		assert_int_equal(km_sim_zones_load(zone, path, &diag), -EINVAL);
		assert_int_equal(diag.line, bad[i].line);
	}
	unlink(path);
}

static void a_printed_zone_reads_back_the_same(void **state)
{
	static struct km_sim_zone zone[KM_SIM_ZONES_MAX];
	const char *path = profile_path();
	FILE *to = fopen(path, "w");
	uint32_t i;

	(void)state;
	assert_non_null(to);
	for (i = 0; i < km_sim_zone_nr; i++)
		km_sim_zone_print(&km_sim_zones[i], to);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(km_sim_zones_load(zone, path, NULL), km_sim_zone_nr);
	for (i = 0; i < km_sim_zone_nr; i++) {
		assert_string_equal(zone[i].name, km_sim_zones[i].name);
		assert_int_equal(zone[i].types, km_sim_zones[i].types);
		assert_true(fabs(zone[i].skew - km_sim_zones[i].skew) < 1e-9);
		assert_true(fabs(zone[i].cost.lag_ref / km_sim_zones[i].cost.lag_ref - 1) < 1e-9);
	}
	unlink(path);
}

static void a_zone_has_the_rate_and_the_types_it_states(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_arrival arrival;
	struct km_source *source;
	uint64_t nr = 0, last = 0;
	bool seen[200] = { false };
	uint32_t types = 0;

	(void)state;
	zone.hours = 20;
	zone.burst_s = 20; /* many short ones: the share of time is near what is stated */
	assert_int_equal(km_sim_zone_open(&source, &zone, 2, km_test_seed(20), NULL), 0);
	while (source->next(source, &arrival, 1, NULL) > 0) {
		assert_true(arrival.at_ns >= last);
		assert_true(arrival.type_idx < 200);
		last = arrival.at_ns;
		types += !seen[arrival.type_idx];
		seen[arrival.type_idx] = true;
		nr++;
	}
	assert_true(fabs((double)nr / (zone.rate_per_s * 2 * 20 * 3600) - 1) < 0.1);
	assert_int_equal(types, 200);
	source->destroy(source);
}

static void bursts_are_of_the_rarer_types(void **state)
{
	struct km_sim_zone zone = small_zone();
	struct km_arrival arrival;
	struct km_source *source;
	bool seen[200] = { false };
	uint32_t types = 0;

	(void)state;
	zone.hours = 20;
	zone.trade_s = 0;
	zone.skew = 10; /* without bursts only a few types come */
	zone.burst_types = 400;
	zone.burst_rare = 0.5;
	assert_int_equal(km_sim_zone_open(&source, &zone, 1, km_test_seed(20), NULL), 0);
	while (source->next(source, &arrival, 1, NULL) > 0) {
		types += !seen[arrival.type_idx];
		seen[arrival.type_idx] = true;
	}
	assert_in_range(types, 80, 120);
	source->destroy(source);
}

static double mean_place(double popular_cost)
{
	struct km_sim_zone zone = small_zone();
	struct km_arrival arrival;
	struct km_source *source;
	double sum = 0, nr = 0;

	zone.families = 200; /* so that a type is as good as a family of its own */
	zone.popular_cost = popular_cost;
	zone.burst_share = 0;
	zone.trade_s = 0;
	zone.seed = km_test_seed(20);
	assert_int_equal(km_sim_zone_open(&source, &zone, 1, km_test_seed(20), NULL), 0);
	while (source->next(source, &arrival, 1, NULL) > 0) {
		sum += km_cost_drawn_place(zone.seed, arrival.trait[0]);
		nr++;
	}
	source->destroy(source);
	return sum / nr;
}

static void popular_types_cost_more_as_far_as_asked_for(void **state)
{
	(void)state;
	assert_true(mean_place(0.95) > mean_place(0) + 0.1);
}

static void an_experiment_names_its_cells_and_refuses_unknown_ones(void **state)
{
	struct km_sim_zone zone = small_zone();
	const struct km_experiment_cfg cfg = {
		.zone = &zone, .zone_nr = 1, .seed = 1, .thread_nr = 1
	};
	struct km_experiment_result x;
	struct km_diag diag;
	uint32_t i, paper = 0;

	(void)state;
	assert_int_equal(km_experiment_run(&x, "table3,fig8", &cfg, &diag), 0);
	assert_int_equal(x.point_nr, 6); /* shared by the two */
	for (i = 0; i < x.cell_nr; i++)
		paper += isfinite(x.cell[i].paper) ? 1 : 0;
	assert_true(paper >= 6 + 6 + 12);
	km_experiment_fini(&x);
	assert_int_equal(km_experiment_run(&x, "tabel3", &cfg, &diag), -EINVAL);
	assert_non_null(strstr(diag.reason, "did you mean 'table3'"));
}

static const struct km_cell *find_cell(const struct km_experiment_result *x, const char *row,
				       const char *column)
{
	uint32_t i;

	for (i = 0; i < x->cell_nr; i++)
		if (!strcmp(x->cell[i].row, row) && !strcmp(x->cell[i].column, column))
			return &x->cell[i];
	return NULL;
}

/* Both sides of the line, by the paper's numbers in sim/paper.c. */
static void the_order_asks_for_pairs_that_the_paper_tells_apart(void **state)
{
	struct km_sim_zone zone = small_zone();
	const struct km_experiment_cfg cfg = {
		.zone = &zone, .zone_nr = 1, .seed = 1, .thread_nr = 1
	};
	struct km_experiment_result x;
	const struct km_cell *cell;
	uint32_t i, held = 0;

	(void)state;
	assert_int_equal(km_experiment_run(&x, "order", &cfg, NULL), 0);
	assert_non_null(find_cell(&x, "latcache-rule", "hits_over_hash-ws"));
	assert_non_null(find_cell(&x, "latcache-rule", "average_over_latcache-request"));
	assert_non_null(find_cell(&x, "protean", "average_over_hash-ws"));
	assert_null(find_cell(&x, "latcache-rule", "hits_over_latcache-request"));
	assert_null(find_cell(&x, "latcache-request", "hits_over_hash-ws"));
	assert_null(find_cell(&x, "rr", "average_over_random"));
	/* Random lets most requests wait, whatever the zone is. */
	cell = find_cell(&x, "latcache-rule", "average_over_random");
	assert_non_null(cell);
	assert_true(cell->ours == 1 && cell->paper == 1);
	for (i = 0; i + 1 < x.cell_nr; i++)
		held += x.cell[i].ours == x.cell[i].paper;
	assert_string_equal(x.cell[i].row, "pairs");
	assert_true(x.cell[i].ours == held && x.cell[i].paper == i);
	km_experiment_fini(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_and_invariants_hold_under_every_policy),
		cmocka_unit_test(any_number_of_agents_ends),
		cmocka_unit_test(same_seed_gives_the_same_numbers_and_another_gives_others),
		cmocka_unit_test(results_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(too_much_load_ends_and_is_said),
		cmocka_unit_test(a_single_agent_is_always_the_best),
		cmocka_unit_test(perfect_times_choose_better_than_chance),
		cmocka_unit_test(one_queue_waits_as_theory_says),
		cmocka_unit_test(logarithm_and_exponential_agree_with_libm),
		cmocka_unit_test(drawn_times_have_the_quantiles_of_figure_1),
		cmocka_unit_test(hits_grow_with_the_lag_and_saturate),
		cmocka_unit_test(
			a_profile_gives_hand_overs_and_one_kind_of_queue_stands_in_for_the_other),
		cmocka_unit_test(a_profile_holds_a_warm_up_only_where_nothing_was_measured),
		cmocka_unit_test(a_recorded_profile_keeps_means_and_bounds),
		cmocka_unit_test(broken_profiles_are_refused_with_their_line),
		cmocka_unit_test(the_profile_of_another_trace_is_refused),
		cmocka_unit_test(impossible_zones_are_refused),
		cmocka_unit_test(broken_zone_files_are_refused_with_their_line),
		cmocka_unit_test(a_printed_zone_reads_back_the_same),
		cmocka_unit_test(a_zone_has_the_rate_and_the_types_it_states),
		cmocka_unit_test(bursts_are_of_the_rarer_types),
		cmocka_unit_test(popular_types_cost_more_as_far_as_asked_for),
		cmocka_unit_test(an_experiment_names_its_cells_and_refuses_unknown_ones),
		cmocka_unit_test(the_order_asks_for_pairs_that_the_paper_tells_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
