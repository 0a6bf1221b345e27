/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/runtime_stress.c - real agents, real dispatcher, several clients:
 * every accepted request comes back once, with an outcome, from slots that hold
 * what they must; under every policy, with caches too small and conflicts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "core/runtime.h"
#include "lib/clock.h"
#include "lib/rand.h"
#include "lib/snap.h"
#include "tests/support/synth.h"

#define CLIENT_NR 3
#define IN_FLIGHT 64
#define AGENT_NR 4

struct load {
	struct km_runtime *rt;
	uint64_t seed, until_ns;
	uint64_t submitted, refused, returned[IN_FLIGHT], back, no_outcome;
	pthread_t thread;
};

static void fill(struct km_req *req, struct km_rand *rand, uint32_t type_nr)
{
	uint64_t type = km_rand_below(rand, type_nr);
	uint32_t t;

	for (t = 0; t < 4; t++, type /= 5)
		req->trait[t] = (uint32_t)(type % 5);
}

static void take_back(struct load *load, struct km_client *client, struct km_req *pool,
		      struct km_req **free_req, uint32_t *free_nr)
{
	struct km_req *req;

	while ((req = km_client_reap(client))) {
		load->returned[req - pool]++;
		load->back++;
		load->no_outcome += req->outcome != KM_PLACED && req->outcome != KM_GAVE_UP;
		free_req[(*free_nr)++] = req;
	}
}

static void *client_main(void *ctx)
{
	struct load *load = ctx;
	struct km_req *pool = aligned_alloc(KM_SHARE_BYTES, 2 * IN_FLIGHT * sizeof(*pool));
	struct km_req *free_req[IN_FLIGHT], *req;
	struct km_client *client;
	struct km_rand rand;
	uint32_t free_nr = 0, i;

	memset(pool, 0, 2 * IN_FLIGHT * sizeof(*pool));
	km_snap_thread_start();
	km_rand_init(&rand, load->seed);
	if (km_client_open(&client, load->rt, IN_FLIGHT))
		abort();
	for (i = 0; i < IN_FLIGHT; i++)
		free_req[free_nr++] = &pool[i];
	while (km_clock_ns() < load->until_ns) {
		while (free_nr && km_rand_below(&rand, 8)) {
			req = free_req[free_nr - 1];
			req->id = load->submitted;
			req->more = NULL;
			fill(req, &rand, 300);
			if (km_rand_below(&rand, 16) == 0) { /* a batch of two types */
				req->more = &pool[IN_FLIGHT + (req - pool)];
				req->more->more = NULL;
				fill(req->more, &rand, 300);
			}
			if (km_submit(client, req)) {
				load->refused++;
				break;
			}
			load->submitted++;
			free_nr--;
		}
		take_back(load, client, pool, free_req, &free_nr);
		km_client_wait(client, km_clock_ns() + KM_NS_PER_MS);
		km_snap_quiesce();
	}
	while (km_client_in_flight(client)) {
		km_client_wait(client, UINT64_MAX);
		take_back(load, client, pool, free_req, &free_nr);
	}
	km_client_close(client);
	km_snap_thread_stop();
	free(pool);
	return NULL;
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void run_policy(const struct km_policy *policy, uint64_t seed, uint64_t for_ns)
{
	static struct synth synth;
	struct load load[CLIENT_NR] = { { 0 } };
	struct km_runtime_stats stats;
	struct km_place place[AGENT_NR] = { { 0 } };
	const struct km_plan plan = { .agent_nr = AGENT_NR,
				      .agent = place,
				      .oversubscribed = true };
	struct km_runtime_cfg cfg = {
		.workload = &synth.workload,
		.plan = &plan,
		.policy = policy,
		.cache_bytes = 200000,
		.cache_age_ns = 3 * KM_NS_PER_MS,
		.window = 8,
		.ingress_nr = 64,
		.type_cap = 160,
		.rule_obj_cap = 400,
		.idle_lag = 16,
		.retry_max = 2,
		.estimate_period_ns = KM_NS_PER_MS,
		.count_serving = true,
		.seed = seed,
	};
	struct km_diag diag;
	uint64_t submitted = 0, back = 0;
	uint32_t i, k;

	synth_init(&synth, 4, 6, 512);
	synth.conflict_every = 7;
	assert_int_equal(km_runtime_start(&load[0].rt, &cfg, &diag), 0);
	for (i = 0; i < CLIENT_NR; i++) {
		load[i].rt = load[0].rt;
		load[i].seed = seed + i;
		load[i].until_ns = km_clock_ns() + for_ns;
		assert_int_equal(pthread_create(&load[i].thread, NULL, client_main, &load[i]), 0);
	}
	km_snap_offline();
	for (i = 0; i < CLIENT_NR; i++)
		pthread_join(load[i].thread, NULL);
	km_snap_online();
	km_runtime_stop(load[0].rt, &stats, NULL, &diag);
	for (i = 0; i < CLIENT_NR; i++) {
		submitted += load[i].submitted;
		back += load[i].back;
		assert_int_equal(load[i].no_outcome, 0);
		for (k = 0; k < IN_FLIGHT; k++)
			assert_true(load[i].returned[k] <= load[i].submitted);
	}
	assert_true(submitted > 100);
	assert_int_equal(submitted, back);
	assert_int_equal(stats.accepted, submitted);
	assert_int_equal(stats.completed, submitted);
	assert_int_equal(atomic_load_explicit(&synth.wrong, memory_order_relaxed), 0);
	assert_null(stats.cache_fault);
	assert_int_equal(stats.decision_ns.count >= submitted, 1);
	for (i = 0; i < stats.agent_nr; i++)
		assert_true(stats.agent[i].cache_bytes_peak <= cfg.cache_bytes);
	km_runtime_stats_fini(&stats);
}

static void every_request_comes_back_once_under_every_policy(void **state)
{
	uint64_t seed = env_u64("SEED", 1), secs = env_u64("SECS", 2);
	uint32_t i, nr = 0;

	(void)state;
	printf("# SEED=%llu\n", (unsigned long long)seed);
	km_snap_thread_start();
	while (km_policies[nr])
		nr++;
	for (i = 0; i < nr; i++)
		run_policy(km_policies[i], seed, secs * KM_NS_PER_S / nr);
	km_snap_thread_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_comes_back_once_under_every_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
