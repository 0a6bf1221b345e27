/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime_internal.h"
#include "lib/clock.h"
#include "lib/probe.h"

#define SAMPLE_RING_NR 8192

static bool is_pow2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* On failure *@thread is 0, so that stopping knows there is nothing to join. */
static int start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, fn, arg);

	if (err)
		*thread = 0;
	return -err;
}

/* ---- the start-up table: walked forwards to start, backwards to stop -------- */

static int start_estimator(struct km_runtime *rt, struct km_diag *diag)
{
	const struct km_workload *workload = rt->cfg.workload;
	struct km_estimates *table;
	int err;

	km_park_init(&rt->estimator_park, false);
	rt->type_hash = calloc(rt->cfg.type_cap, sizeof(*rt->type_hash));
	if (!rt->type_hash)
		return -ENOMEM;
	err = km_estimator_create(&rt->estimator, rt->cfg.type_cap, workload->rule_nr,
				  workload->rules);
	if (err)
		return err;
	if (rt->cfg.estimate_path) {
		err = km_estimator_load(rt->estimator, rt->cfg.estimate_path, diag);
		if (err && err != -ENOENT)
			rt->cfg.estimate_path = NULL; /* not ours to write over */
		else if (err && diag)
			diag->reason[0] = 0; /* the first run: nothing to load */
	}
	table = km_estimator_table(rt->estimator);
	if (!table)
		return -ENOMEM;
	km_snap_publish(&rt->estimates, table);
	return 0;
}

static void stop_estimator(struct km_runtime *rt, struct km_diag *diag)
{
	struct km_estimates *table = km_snap_publish(&rt->estimates, NULL);

	if (rt->cfg.estimate_path && rt->running)
		km_ignore(km_estimator_save(rt->estimator, rt->cfg.estimate_path,
					    diag)); /* in diag */
	if (table)
		km_snap_retire(&table->head, km_estimates_free);
	km_estimator_destroy(rt->estimator);
	free(rt->type_hash);
}

static void stop_agents(struct km_runtime *rt, struct km_diag *diag)
{
	struct km_agent *agent;
	uint32_t i;

	(void)diag;
	for (i = 0; i < rt->agent_nr && rt->agent[i]; i++) {
		agent = rt->agent[i];
		if (agent->thread) {
			/* relaxed: the wake and the join order it */
			atomic_store_explicit(&agent->stop, true, memory_order_relaxed);
			km_park_wake(&agent->park, KM_WAKE_STOP);
			km_snap_offline();
			pthread_join(agent->thread, NULL);
			km_snap_online();
		}
	}
}

static int start_agent(struct km_runtime *rt, uint32_t i)
{
	struct km_agent *agent = aligned_alloc(KM_SHARE_BYTES, sizeof(*agent));
	int err;

	if (!agent)
		return -ENOMEM;
	memset(agent, 0, sizeof(*agent));
	rt->agent[i] = agent;
	agent->rt = rt;
	agent->idx = i;
	agent->place = rt->cfg.plan->agent[i];
	km_park_init(&agent->park, false);
	err = km_spsc_init(&agent->ring, rt->cfg.window);
	if (!err)
		err = km_spsc_init(&agent->samples, SAMPLE_RING_NR);
	if (err)
		return err;
	return start_thread(&agent->thread, km_agent_main, agent);
}

static int start_agents(struct km_runtime *rt, struct km_diag *diag)
{
	uint32_t i, up = 0;
	int err = 0;

	for (i = 0; i < rt->agent_nr && !err; i++) {
		err = start_agent(rt, i);
		up += !err;
	}
	for (i = 0; i < up; i++) {
		km_snap_offline();
		while (sem_wait(&rt->started) && errno == EINTR)
			;
		km_snap_online();
	}
	for (i = 0; i < up && !err; i++)
		err = rt->agent[i]->start_err;
	if (err)
		km_diag_set(diag, err, NULL, 0, 0, "cannot start %" PRIu32 " agents: %s",
			    rt->agent_nr, strerror(-err));
	return err;
}

static int start_dispatcher(struct km_runtime *rt, struct km_diag *diag)
{
	int err = start_thread(&rt->dispatcher.thread, km_dispatcher_main, rt);

	if (!err) {
		while (sem_wait(&rt->started) && errno == EINTR)
			;
		err = rt->dispatcher.start_err;
	}
	if (err)
		km_diag_set(diag, err, NULL, 0, 0, "cannot start the dispatcher: %s",
			    strerror(-err));
	return err;
}

/* Drains first: everything accepted is finished before the thread ends. */
static void stop_dispatcher(struct km_runtime *rt, struct km_diag *diag)
{
	(void)diag;
	if (!rt->dispatcher.thread)
		return;
	/* relaxed: the wake and the join order it */
	atomic_store_explicit(&rt->dispatcher.stop, true, memory_order_relaxed);
	km_park_wake(&rt->dispatcher.park, KM_WAKE_STOP);
	km_snap_offline();
	pthread_join(rt->dispatcher.thread, NULL);
	km_snap_online();
}

static int start_estimating(struct km_runtime *rt, struct km_diag *diag)
{
	int err = start_thread(&rt->estimator_thread, km_estimator_main, rt);

	if (err)
		return km_diag_set(diag, err, NULL, 0, 0, "cannot start the estimator: %s",
				   strerror(-err));
	while (sem_wait(&rt->started) && errno == EINTR)
		;
	return 0;
}

static void stop_estimating(struct km_runtime *rt, struct km_diag *diag)
{
	(void)diag;
	if (!rt->estimator_thread)
		return;
	/* relaxed: the wake and the join order it */
	atomic_store_explicit(&rt->estimator_stop, true, memory_order_relaxed);
	km_park_wake(&rt->estimator_park, KM_WAKE_STOP);
	km_snap_offline();
	pthread_join(rt->estimator_thread, NULL);
	km_snap_online();
}

static int start_tables(struct km_runtime *rt, struct km_diag *diag)
{
	int err = km_dispatcher_init(rt);

	if (err)
		km_diag_set(diag, err, NULL, 0, 0, "cannot set up the dispatcher: %s",
			    err == -EINVAL ? "a size is out of bounds" : strerror(-err));
	return err;
}

static void stop_tables(struct km_runtime *rt, struct km_diag *diag)
{
	(void)diag;
	km_dispatcher_fini(rt);
}

static const struct {
	int (*start)(struct km_runtime *rt, struct km_diag *diag);
	void (*stop)(struct km_runtime *rt, struct km_diag *diag); /* also undoes half a start */
} parts[] = {
	{ start_estimator, stop_estimator },   { start_tables, stop_tables },
	{ start_agents, stop_agents },	       { start_estimating, stop_estimating },
	{ start_dispatcher, stop_dispatcher },
};

static void stop_parts(struct km_runtime *rt, uint32_t nr, struct km_diag *diag)
{
	while (nr--)
		parts[nr].stop(rt, diag);
}

/* ---- start and stop ---------------------------------------------------------- */

static void set_defaults(struct km_runtime_cfg *cfg)
{
	cfg->window = cfg->window ? cfg->window : 1024;
	cfg->ingress_nr = cfg->ingress_nr ? cfg->ingress_nr : 16384;
	cfg->type_cap = cfg->type_cap ? cfg->type_cap : KM_TYPE_CAP_DEFAULT;
	cfg->rule_obj_cap = cfg->rule_obj_cap ? cfg->rule_obj_cap : 2 * KM_TYPE_CAP_DEFAULT;
	cfg->retry_max = cfg->retry_max ? cfg->retry_max : 16;
	cfg->estimate_period_ns = cfg->estimate_period_ns ? cfg->estimate_period_ns
							  : 20 * KM_NS_PER_MS;
}

static void free_runtime(struct km_runtime *rt)
{
	/* relaxed: every other thread has been joined */
	struct km_client *client = atomic_load_explicit(&rt->clients, memory_order_relaxed), *next;
	uint32_t i;

	for (; client; client = next) {
		next = client->next;
		km_mpsc_fini(&client->done);
		free(client);
	}
	for (i = 0; rt->agent && i < rt->agent_nr && rt->agent[i]; i++) {
		if (rt->agent[i]->samples.slots)
			km_spsc_fini(&rt->agent[i]->samples);
		if (rt->agent[i]->ring.slots)
			km_spsc_fini(&rt->agent[i]->ring);
		free(rt->agent[i]);
	}
	free(rt->agent);
	sem_destroy(&rt->started);
	free(rt);
}

int km_runtime_start(struct km_runtime **out, const struct km_runtime_cfg *cfg,
		     struct km_diag *diag)
{
	struct km_runtime *rt;
	int err = 0;

	km_diag_set(diag, 0, NULL, 0, 0, "%s", "");
	if (!cfg->plan->agent_nr || !cfg->cache_bytes)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "zero agents or an empty cache budget");
	km_clock_ns(); /* calibrates */
	rt = aligned_alloc(KM_SHARE_BYTES, sizeof(*rt));
	if (!rt)
		return -ENOMEM;
	memset(rt, 0, sizeof(*rt));
	rt->cfg = *cfg;
	set_defaults(&rt->cfg);
	sem_init(&rt->started, 0, 0);
	rt->agent_nr = cfg->plan->agent_nr;
	rt->agent = calloc(rt->agent_nr, sizeof(*rt->agent));
	if (!rt->agent)
		err = -ENOMEM;
	else if (!is_pow2(rt->cfg.window) || rt->cfg.window > 32768 || !is_pow2(rt->cfg.ingress_nr))
		err = km_diag_set(
			diag, -EINVAL, NULL, 0, 0,
			"window and ingress must be powers of two, the window at most 32768");
	else if (rt->cfg.type_cap < cfg->workload->part_nr_max ||
		 rt->cfg.rule_obj_cap < cfg->workload->part_nr_max * cfg->workload->rule_nr)
		err = km_diag_set(
			diag, -EINVAL, NULL, 0, 0,
			"too few type or rule object ids for one request of the most parts");
	while (!err && rt->up < KM_ARRAY_NR(parts)) {
		err = parts[rt->up].start(rt, diag);
		rt->up++;
	}
	if (err) {
		if (diag && !diag->reason[0])
			km_diag_set(diag, err, NULL, 0, 0, "cannot start: %s", strerror(-err));
		stop_parts(rt, rt->up, NULL);
		free_runtime(rt);
		return err;
	}
	rt->running = true;
	*out = rt;
	return 0;
}

static void take_stats(struct km_runtime *rt, struct km_runtime_stats *stats)
{
	const struct km_types_stats *types = km_types_stats(rt->dispatcher.types);
	uint32_t i;

	stats->accepted = rt->dispatcher.accepted;
	stats->completed = rt->dispatcher.completed;
	stats->decision_ns = rt->dispatcher.decision_ns;
	stats->types_interned = types->interned;
	stats->types_recycled = types->recycled;
	stats->estimate_tables = rt->estimate_tables;
	stats->agent = calloc(rt->agent_nr, sizeof(*stats->agent));
	stats->agent_nr = stats->agent ? rt->agent_nr : 0;
	for (i = 0; i < rt->agent_nr; i++) {
		if (stats->agent)
			stats->agent[i] = rt->agent[i]->stats;
		if (rt->agent[i]->cache_fault)
			stats->cache_fault = rt->agent[i]->cache_fault;
		/* relaxed: the agent has been joined */
		stats->samples_dropped +=
			atomic_load_explicit(&rt->agent[i]->samples_dropped, memory_order_relaxed);
	}
}

void km_runtime_stop(struct km_runtime *rt, struct km_runtime_stats *stats,
		     struct km_records **records, struct km_diag *diag)
{
	/* relaxed: clients are closed by now; this only catches a mistake */
	KM_BUG_ON(atomic_load_explicit(&rt->client_nr, memory_order_relaxed));
	if (diag)
		diag->reason[0] = 0;
	parts[4].stop(rt, diag);
	parts[3].stop(rt, diag);
	parts[2].stop(rt, diag);
	if (stats) {
		memset(stats, 0, sizeof(*stats));
		take_stats(rt, stats);
	}
	if (records) {
		*records = rt->dispatcher.records;
		rt->dispatcher.records = NULL;
	}
	stop_parts(rt, 2, diag);
	km_snap_drain();
	free_runtime(rt);
}

void km_runtime_stats_fini(struct km_runtime_stats *stats)
{
	free(stats->agent);
	stats->agent = NULL;
}

/* ---- clients ------------------------------------------------------------------ */

int km_client_open(struct km_client **out, struct km_runtime *rt, uint32_t cap)
{
	struct km_client *client;
	int err;

	if (!is_pow2(cap) || cap < 2 || cap > 1u << 20)
		return -EINVAL;
	client = aligned_alloc(KM_SHARE_BYTES, sizeof(*client));
	if (!client)
		return -ENOMEM;
	memset(client, 0, sizeof(*client));
	client->rt = rt;
	client->cap = cap;
	km_park_init(&client->park, false);
	err = km_mpsc_init(&client->done, cap);
	if (err) {
		free(client);
		return err;
	}
	/* relaxed: a count for km_runtime_stop()'s check */
	atomic_fetch_add_explicit(&rt->client_nr, 1, memory_order_relaxed);
	/* relaxed: read after the threads that open clients have been joined */
	client->next = atomic_load_explicit(&rt->clients, memory_order_relaxed);
	/* A failure means that another client was opened meanwhile. */
	while (!atomic_compare_exchange_weak_explicit(&rt->clients, &client->next, client,
						      memory_order_relaxed, memory_order_relaxed))
		;
	*out = client;
	return 0;
}

void km_client_close(struct km_client *client)
{
	KM_BUG_ON(client->in_flight);
	/* relaxed: see km_client_open() */
	atomic_fetch_sub_explicit(&client->rt->client_nr, 1, memory_order_relaxed);
}

static bool has_too_many_parts(const struct km_runtime *rt, const struct km_req *req)
{
	uint32_t nr = 1;

	while ((req = req->more))
		if (++nr > rt->cfg.workload->part_nr_max)
			return true;
	return false;
}

int km_submit(struct km_client *client, struct km_req *req)
{
	struct km_runtime *rt = client->rt;

	if (has_too_many_parts(rt, req))
		return -EINVAL;
	if (client->in_flight == client->cap)
		return -EAGAIN;
	req->client = client;
	KM_PROBE(submit, req->id, req->due_ns); /* before it is seen: classify comes later */
	if (!km_mpsc_push(&rt->dispatcher.ingress, (uintptr_t)req))
		return -EAGAIN;
	client->in_flight++;
	km_park_wake(&rt->dispatcher.park, KM_WAKE_WORK);
	return 0;
}

struct km_req *km_client_reap(struct km_client *client)
{
	struct km_req *req = (struct km_req *)(uintptr_t)km_mpsc_pop(&client->done);

	if (req)
		client->in_flight--;
	return req;
}

static bool has_come_back(void *ctx)
{
	const struct km_client *client = ctx;

	return !km_mpsc_is_empty(&client->done);
}

void km_client_wait(struct km_client *client, uint64_t until_ns)
{
	uint64_t now_ns = km_clock_ns();
	const struct km_park_await how = {
		.ready = has_come_back,
		.ctx = client,
		.mask = KM_WAKE_WORK,
		.timeout_ns = until_ns == UINT64_MAX ? KM_PARK_FOREVER : until_ns - now_ns,
	};

	if (until_ns <= now_ns)
		return;
	km_snap_offline();
	km_park_await(&client->park, &how);
	km_snap_online();
}

uint32_t km_client_in_flight(const struct km_client *client)
{
	return client->in_flight;
}
