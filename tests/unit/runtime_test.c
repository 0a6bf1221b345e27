/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/runtime_test.c - starting, stopping and refusing, with real threads.
 *
 * Allocations of our own objects and pthread_create() are wrapped by the linker,
 * so that the n-th of them can be made to fail in whatever thread it happens.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/runtime.h"
#include "lib/clock.h"
#include "lib/snap.h"
#include "tests/support/synth.h"

#define AGENT_MAX 24
#define REQ_NR 64

/* ---- failing calls --------------------------------------------------------------- */

/* Count down to the call that fails; 0 or less = none does. */
static _Atomic int64_t alloc_fails_at, thread_fails_at;

static bool is_due(_Atomic int64_t *at)
{
	/* relaxed: a count */
	if (atomic_load_explicit(at, memory_order_relaxed) <= 0)
		return false;
	return atomic_fetch_sub_explicit(at, 1, memory_order_relaxed) == 1;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t nr, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);

void *__wrap_malloc(size_t bytes)
{
	return is_due(&alloc_fails_at) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t nr, size_t bytes)
{
	return is_due(&alloc_fails_at) ? NULL : __real_calloc(nr, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
	return is_due(&alloc_fails_at) ? NULL : __real_realloc(ptr, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return is_due(&alloc_fails_at) ? NULL : __real_aligned_alloc(align, bytes);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	if (is_due(&thread_fails_at)) {
		memset(thread, 0x5a, sizeof(*thread)); /* undefined after a failure */
		return EAGAIN;
	}
	return __real_pthread_create(thread, attr, fn, arg);
}

/* ---- a small runtime -------------------------------------------------------------- */

static struct synth synth;
static struct km_workload_ops gated_ops;
static const struct km_workload_ops *plain;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held: no agent finishes */
static struct km_place place[AGENT_MAX];
static struct km_plan plan;
static struct km_req *req; /* [REQ_NR] */

static enum km_serve gated_serve(struct km_workload_agent *wa, struct km_serve_part *part,
				 uint32_t part_nr)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return plain->serve(wa, part, part_nr);
}

static struct km_runtime_cfg make_cfg(uint32_t agent_nr)
{
	uint32_t i;

	synth_init(&synth, 4, 4, 256);
	plain = synth.workload.ops;
	gated_ops = *plain;
	gated_ops.serve = gated_serve;
	synth.workload.ops = &gated_ops;
	memset(req, 0, REQ_NR * sizeof(*req));
	for (i = 0; i < REQ_NR; i++) {
		req[i].id = i;
		req[i].trait[0] = i % 8;
	}
	plan = (struct km_plan){ .agent_nr = agent_nr, .agent = place, .oversubscribed = true };
	return (struct km_runtime_cfg){
		.workload = &synth.workload,
		.plan = &plan,
		.policy = &km_policy_latcache_rule,
		.cache_bytes = 1 << 20,
		.window = 8,
		.ingress_nr = 64,
		.type_cap = 32,
		.rule_obj_cap = 128,
		.estimate_period_ns = 5 * KM_NS_PER_S,
		.count_serving = true,
		.seed = 1,
	};
}

static struct km_runtime *start(const struct km_runtime_cfg *cfg)
{
	struct km_diag diag;
	struct km_runtime *rt = NULL;

	if (km_runtime_start(&rt, cfg, &diag))
		fail_msg("%s", diag.reason);
	assert_string_equal(diag.reason, "");
	return rt;
}

static struct km_client *open_client(struct km_runtime *rt, uint32_t cap)
{
	struct km_client *client;

	assert_int_equal(km_client_open(&client, rt, cap), 0);
	return client;
}

/* Until nothing is in flight. Return: how many came back. */
static uint32_t reap_all(struct km_client *client)
{
	struct km_req *back;
	uint32_t nr = 0;

	while (km_client_in_flight(client)) {
		back = km_client_reap(client);
		if (!back) {
			km_client_wait(client, UINT64_MAX);
			continue;
		}
		assert_int_equal(back->outcome, KM_PLACED);
		nr++;
	}
	assert_null(km_client_reap(client));
	return nr;
}

/* Stop and compare with what was accepted. */
static void stop(struct km_runtime *rt, uint64_t accepted)
{
	struct km_runtime_stats stats;
	struct km_diag diag;

	km_runtime_stop(rt, &stats, NULL, &diag);
	assert_string_equal(diag.reason, "");
	assert_int_equal(stats.accepted, accepted);
	assert_int_equal(stats.completed, accepted);
	assert_int_equal(stats.decision_ns.count, accepted);
	assert_null(stats.cache_fault);
	/* relaxed: the agents have been joined */
	assert_int_equal(atomic_load_explicit(&synth.served, memory_order_relaxed), accepted);
	assert_int_equal(atomic_load_explicit(&synth.wrong, memory_order_relaxed), 0);
	km_runtime_stats_fini(&stats);
}

/* ---- starting ---------------------------------------------------------------------- */

static void assert_refused(const struct km_runtime_cfg *cfg)
{
	struct km_runtime *rt = NULL;
	struct km_diag diag;

	assert_int_equal(km_runtime_start(&rt, cfg, &diag), -EINVAL);
	assert_null(rt);
	assert_true(strlen(diag.reason) > 0);
	assert_int_equal(km_runtime_start(&rt, cfg, NULL), -EINVAL);
}

static void bad_sizes_are_refused(void **state)
{
	static const uint32_t bad_window[] = { 1, 3, 1000, 65536, 1u << 31 };
	static const uint32_t bad_ingress[] = { 1, 3, 1000, 1u << 31 };
	struct km_runtime_cfg cfg = make_cfg(0);
	uint32_t i;

	(void)state;
	assert_refused(&cfg); /* zero agents */
	cfg = make_cfg(2);
	cfg.cache_bytes = 0;
	assert_refused(&cfg);
	for (i = 0; i < KM_ARRAY_NR(bad_window); i++) {
		cfg = make_cfg(2);
		cfg.window = bad_window[i];
		assert_refused(&cfg);
	}
	for (i = 0; i < KM_ARRAY_NR(bad_ingress); i++) {
		cfg = make_cfg(2);
		cfg.ingress_nr = bad_ingress[i];
		assert_refused(&cfg);
	}
	cfg = make_cfg(2);
	cfg.type_cap = 1;
	assert_refused(&cfg);
	cfg = make_cfg(2);
	cfg.rule_obj_cap = 3; /* less than two of each rule */
	assert_refused(&cfg);
}

static void an_idle_runtime_stops(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(3);

	(void)state;
	stop(start(&cfg), 0);
	cfg.policy = &km_policy_protean;
	km_runtime_stop(start(&cfg), NULL, NULL, NULL);
}

static void clients_of_bad_size_are_refused(void **state)
{
	static const uint32_t bad_cap[] = { 0, 1, 3, (1u << 20) + 1, 1u << 21 };
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client;
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad_cap); i++)
		assert_int_equal(km_client_open(&client, rt, bad_cap[i]), -EINVAL);
	stop(rt, 0);
}

static void more_agents_than_cores_serve_all(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(AGENT_MAX);
	struct km_topo *topo;
	struct km_plan *real;
	struct km_runtime *rt;
	struct km_client *client;
	uint32_t i;

	(void)state;
	cfg.cache_bytes = 64 << 10;
	assert_int_equal(km_topo_open(&topo, NULL, NULL, NULL), 0);
	/* Also on a large machine there are more agents than cores. */
	if (km_topo_summary(topo)->core_nr < AGENT_MAX) {
		assert_int_equal(km_plan_make(&real, topo, AGENT_MAX), 0);
		assert_true(real->oversubscribed);
		cfg.plan = real;
	} else {
		assert_int_equal(km_plan_make(&real, topo, 1), 0);
	}
	rt = start(&cfg);
	client = open_client(rt, REQ_NR);
	for (i = 0; i < REQ_NR; i++)
		assert_int_equal(km_submit(client, &req[i]), 0);
	assert_int_equal(reap_all(client), REQ_NR);
	km_client_close(client);
	stop(rt, REQ_NR);
	km_plan_destroy(real);
	km_topo_close(topo);
}

/* ---- refusing at the door ------------------------------------------------------------- */

static void a_client_has_at_most_its_cap_in_flight(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(2);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client = open_client(rt, 2);

	(void)state;
	assert_int_equal(km_submit(client, &req[0]), 0);
	assert_int_equal(km_submit(client, &req[1]), 0);
	assert_int_equal(km_submit(client, &req[2]), -EAGAIN); /* served or not: none was reaped */
	assert_int_equal(km_client_in_flight(client), 2);
	assert_int_equal(reap_all(client), 2);
	assert_int_equal(km_submit(client, &req[2]), 0);
	assert_int_equal(reap_all(client), 1);
	km_client_close(client);
	stop(rt, 3);
}

static void a_full_ingress_refuses_and_loses_nothing(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt;
	struct km_client *client;
	uint32_t nr;
	int err = 0;

	(void)state;
	/* Two type ids, both in flight behind the gate: the third type waits, then the door. */
	cfg.type_cap = 2;
	synth.workload.part_nr_max = 2; /* no more than there are ids */
	cfg.ingress_nr = 4;
	rt = start(&cfg);
	client = open_client(rt, REQ_NR);
	pthread_mutex_lock(&gate);
	for (nr = 0; nr < REQ_NR && !err; nr += !err)
		err = km_submit(client, &req[nr]);
	assert_int_equal(err, -EAGAIN);
	assert_in_range(nr, 4, 7); /* the ingress alone, up to two decided and one waiting */
	assert_int_equal(km_client_in_flight(client), nr);
	pthread_mutex_unlock(&gate);
	assert_int_equal(reap_all(client), nr);
	assert_int_equal(km_submit(client, &req[nr]), 0); /* the door is open again */
	assert_int_equal(reap_all(client), 1);
	km_client_close(client);
	stop(rt, nr + 1);
}

static void full_agents_hold_up_and_lose_nothing(void **state)
{
	uint32_t p, i;

	(void)state;
	for (p = 0; km_policies[p]; p++) {
		struct km_runtime_cfg cfg = make_cfg(2);
		struct km_runtime *rt;
		struct km_client *client;

		cfg.policy = km_policies[p];
		cfg.window = 2;
		rt = start(&cfg);
		client = open_client(rt, REQ_NR);
		pthread_mutex_lock(&gate);
		for (i = 0; i < REQ_NR; i++)
			assert_int_equal(km_submit(client, &req[i]), 0);
		pthread_mutex_unlock(&gate);
		assert_int_equal(reap_all(client), REQ_NR);
		km_client_close(client);
		stop(rt, REQ_NR);
	}
}

static void requests_of_too_many_parts_are_refused(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client = open_client(rt, 8);
	uint32_t i;

	(void)state;
	for (i = 0; i < synth.workload.part_nr_max; i++)
		req[i].more = &req[i + 1];
	assert_int_equal(km_submit(client, &req[0]), -EINVAL);
	assert_int_equal(km_client_in_flight(client), 0);
	req[synth.workload.part_nr_max - 1].more = NULL;
	assert_int_equal(km_submit(client, &req[0]), 0);
	assert_int_equal(reap_all(client), 1);
	km_client_close(client);
	stop(rt, 1);
}

/* ---- stopping --------------------------------------------------------------------------- */

/* The client has all of them back; the dispatcher has not heard of every end yet. */
static void a_stop_drains_what_is_inside(void **state)
{
	uint32_t turn, i;

	(void)state;
	for (turn = 0; turn < 10; turn++) {
		struct km_runtime_cfg cfg = make_cfg(4);
		struct km_runtime *rt;
		struct km_client *client;

		cfg.policy = km_policies[turn % 7];
		rt = start(&cfg);
		client = open_client(rt, REQ_NR);
		for (i = 0; i < REQ_NR; i++)
			assert_int_equal(km_submit(client, &req[i]), 0);
		assert_int_equal(reap_all(client), REQ_NR);
		km_client_close(client);
		stop(rt, REQ_NR);
	}
}

static void slots_beyond_the_budget_are_served_uncached_and_counted(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime_stats stats;
	struct km_runtime *rt;
	struct km_client *client;
	uint32_t i;

	(void)state;
	cfg.cache_bytes = 300; /* one rule object, no result */
	rt = start(&cfg);
	client = open_client(rt, REQ_NR);
	for (i = 0; i < REQ_NR; i++)
		assert_int_equal(km_submit(client, &req[i]), 0);
	assert_int_equal(reap_all(client), REQ_NR);
	for (i = 0; i < REQ_NR; i++)
		assert_true(req[i].uncached);
	km_client_close(client);
	km_runtime_stop(rt, &stats, NULL, NULL);
	assert_int_equal(stats.completed, REQ_NR);
	assert_int_equal(stats.agent[0].uncached, REQ_NR);
	assert_true(stats.agent[0].cache_bytes_peak <= cfg.cache_bytes);
	km_runtime_stats_fini(&stats);
}

static void the_records_outlive_the_runtime(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(2);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client = open_client(rt, 8);
	struct km_records *records;
	struct km_record record;

	(void)state;
	req[0].id = 4711;
	assert_int_equal(km_submit(client, &req[0]), 0);
	assert_int_equal(reap_all(client), 1);
	km_client_close(client);
	km_runtime_stop(rt, NULL, &records, NULL);
	assert_int_equal(km_records_nr(records), 1);
	assert_true(km_records_find(records, 4711, &record));
	assert_int_equal(record.req_id, 4711);
	assert_int_equal(record.decision.agent_idx, req[0].decision.agent_idx);
	assert_int_equal(record.decision.processing_ns, req[0].decision.processing_ns);
	assert_int_equal(record.decision.margin_ns, req[0].decision.margin_ns);
	assert_false(km_records_find(records, 4712, &record));
	km_records_destroy(records);
}

/* Look until @nr requests are queued in all, or 10 s are over. Return: their sum of estimates. */
static uint64_t queued_ns(const struct km_runtime *rt, uint32_t agent_nr, uint32_t nr)
{
	uint64_t until_ns = km_clock_ns() + 10 * KM_NS_PER_S, wait_ns;
	uint32_t i, seen;

	for (;;) {
		for (i = seen = 0, wait_ns = 0; i < agent_nr; i++) {
			struct km_agent_glance glance = km_runtime_glance(rt, i);

			assert_true(glance.queued_nr ? glance.wait_ns > 0 : !glance.wait_ns);
			seen += glance.queued_nr;
			wait_ns += glance.wait_ns;
		}
		if (seen == nr)
			return wait_ns;
		assert_true(km_clock_ns() < until_ns);
		km_snap_quiesce();
		km_sleep_until_ns(km_clock_ns() + KM_NS_PER_MS);
	}
}

static void a_glance_shows_queues_counts_and_decisions(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(2);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client = open_client(rt, 16);
	static struct km_hist decisions;
	struct km_agent_glance glance;
	struct km_record record;
	uint32_t i, looked = 0;

	(void)state;
	pthread_mutex_lock(&gate);
	for (i = 0; i < 10; i++)
		assert_int_equal(km_submit(client, &req[i]), 0);
	assert_true(queued_ns(rt, 2, 8) > 0); /* one is in service on each */
	for (i = 0; i < 2; i++)
		assert_true(km_runtime_glance(rt, i).busy);
	assert_int_equal(km_runtime_waiting(rt), 0);
	assert_true(km_records_recent(km_runtime_records(rt), 0, &record));
	assert_int_equal(record.req_id, 9);
	assert_true(km_records_recent(km_runtime_records(rt), 9, &record));
	assert_int_equal(record.req_id, 0);
	assert_false(km_records_recent(km_runtime_records(rt), 10, &record));
	pthread_mutex_unlock(&gate);
	assert_int_equal(reap_all(client), 10);
	assert_int_equal(queued_ns(rt, 2, 0), 0); /* shown although nobody submits any more */
	km_runtime_decisions(rt, &decisions);
	assert_int_equal(decisions.count, 10);
	for (i = 0; i < 2; i++) {
		glance = km_runtime_glance(rt, i);
		assert_true(glance.served > 0 && glance.busy_ns > 0 && glance.cache_bytes > 0);
		assert_true(glance.rule_hits < glance.top_misses * synth.workload.rule_nr);
		looked += (uint32_t)(glance.top_hits + glance.top_misses);
	}
	assert_int_equal(looked, 10);
	km_client_close(client);
	stop(rt, 10);
}

/* ---- the estimates file ------------------------------------------------------------------ */

static void write_text(const char *path, const char *text)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	assert_int_equal(fclose(to), 0);
}

static void make_path(char *path, size_t bytes)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, bytes, "%.60s/km-runtime-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static void a_malformed_estimates_file_warns_and_is_left_alone(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt = NULL;
	struct km_diag diag;
	char path[100], text[32] = { 0 };
	FILE *from;

	(void)state;
	make_path(path, sizeof(path));
	write_text(path, "not mine\n");
	cfg.estimate_path = path;
	assert_int_equal(km_runtime_start(&rt, &cfg, &diag), 0);
	assert_true(strlen(diag.reason) > 0);
	assert_string_equal(diag.file, path);
	assert_int_equal(diag.line, 1);
	km_runtime_stop(rt, NULL, NULL, &diag);
	assert_string_equal(diag.reason, "");
	from = fopen(path, "r");
	assert_non_null(from);
	assert_non_null(fgets(text, sizeof(text), from));
	fclose(from);
	assert_string_equal(text, "not mine\n");
	unlink(path);
}

static void estimates_are_saved_at_stop_and_loaded_at_start(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt;
	struct km_client *client;
	char path[100];

	(void)state;
	make_path(path, sizeof(path));
	unlink(path);
	cfg.estimate_path = path;
	rt = start(&cfg); /* no file yet: nothing to warn of */
	client = open_client(rt, 8);
	assert_int_equal(km_submit(client, &req[0]), 0);
	assert_int_equal(reap_all(client), 1);
	km_client_close(client);
	stop(rt, 1);
	assert_int_equal(access(path, R_OK), 0);
	km_runtime_stop(start(&cfg), NULL, NULL, NULL); /* no warning: it was taken */
	unlink(path);
}

static void estimates_that_cannot_be_saved_are_told(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_diag diag;

	(void)state;
	cfg.estimate_path = "/nonexistent/estimates";
	km_runtime_stop(start(&cfg), NULL, NULL, &diag);
	assert_true(strlen(diag.reason) > 0);
}

/* ---- failing allocations and threads -------------------------------------------------------- */

static void set_failure(_Atomic int64_t *at, int64_t nr)
{
	/* relaxed: a count; threads that see it late fail later */
	atomic_store_explicit(at, nr, memory_order_relaxed);
}

/* Start with the n-th call failing, for n = 1, 2, ... until none of them is reached. */
static uint32_t fail_each(_Atomic int64_t *at, uint32_t agent_nr, int wanted)
{
	struct km_runtime_cfg cfg = make_cfg(agent_nr);
	struct km_runtime *rt;
	struct km_diag diag;
	int64_t n, left = 0;
	int err;

	for (n = 1; left <= 0; n++) {
		assert_true(n < 1000);
		set_failure(at, n);
		err = km_runtime_start(&rt, &cfg, n % 2 ? &diag : NULL);
		/* relaxed: the threads of a failed start are gone */
		left = atomic_load_explicit(at, memory_order_relaxed);
		set_failure(at, 0);
		if (err && err != wanted)
			fail_msg("call %lld failed, the start returned %d", (long long)n, err);
		if (!err)
			km_runtime_stop(rt, NULL, NULL, NULL);
		else
			assert_true(left <= 0);
	}
	return (uint32_t)n - 2;
}

static void a_start_survives_each_failing_allocation(void **state)
{
	uint32_t nr = fail_each(&alloc_fails_at, 1, -ENOMEM);

	(void)state;
	printf("# %u allocations\n", nr);
	assert_true(nr > 30);
	km_snap_drain();
}

static void a_start_survives_each_failing_thread(void **state)
{
	(void)state;
	assert_int_equal(fail_each(&thread_fails_at, 2, -EAGAIN), 4); /* 2 agents and 2 more */
	km_snap_drain();
}

static void opening_a_client_survives_each_failing_allocation(void **state)
{
	struct km_runtime_cfg cfg = make_cfg(1);
	struct km_runtime *rt = start(&cfg);
	struct km_client *client;
	int err = -ENOMEM;
	uint32_t n;

	(void)state;
	for (n = 1; err; n++) {
		set_failure(&alloc_fails_at, n);
		err = km_client_open(&client, rt, 8);
		set_failure(&alloc_fails_at, 0);
		assert_true(!err || err == -ENOMEM);
	}
	assert_true(n > 2);
	km_client_close(client);
	stop(rt, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(an_idle_runtime_stops),
		cmocka_unit_test(clients_of_bad_size_are_refused),
		cmocka_unit_test(more_agents_than_cores_serve_all),
		cmocka_unit_test(a_client_has_at_most_its_cap_in_flight),
		cmocka_unit_test(a_full_ingress_refuses_and_loses_nothing),
		cmocka_unit_test(full_agents_hold_up_and_lose_nothing),
		cmocka_unit_test(requests_of_too_many_parts_are_refused),
		cmocka_unit_test(a_stop_drains_what_is_inside),
		cmocka_unit_test(slots_beyond_the_budget_are_served_uncached_and_counted),
		cmocka_unit_test(the_records_outlive_the_runtime),
		cmocka_unit_test(a_glance_shows_queues_counts_and_decisions),
		cmocka_unit_test(a_malformed_estimates_file_warns_and_is_left_alone),
		cmocka_unit_test(estimates_are_saved_at_stop_and_loaded_at_start),
		cmocka_unit_test(estimates_that_cannot_be_saved_are_told),
		cmocka_unit_test(a_start_survives_each_failing_allocation),
		cmocka_unit_test(a_start_survives_each_failing_thread),
		cmocka_unit_test(opening_a_client_survives_each_failing_allocation),
	};
	int failed;

	req = aligned_alloc(KM_SHARE_BYTES, REQ_NR * sizeof(*req));
	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_thread_stop();
	free(req);
	return failed;
}
