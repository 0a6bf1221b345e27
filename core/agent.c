/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/agent.c - the thread that serves: pop, evaluate, tell, complete.
 */
#include <errno.h>
#include <stdio.h>

#include "cache/digest.h"
#include "core/runtime_internal.h"
#include "lib/clock.h"
#include "lib/probe.h"

#define NAP_NS_MIN (4 * KM_NS_PER_MS)
#define NAP_NS_MAX (512 * KM_NS_PER_MS)

static void take_sample(void *ctx, uint64_t sample)
{
	struct km_agent *agent = ctx;

	if (!km_spsc_push(&agent->samples, sample))
		/* relaxed: a statistic */
		atomic_fetch_add_explicit(&agent->samples_dropped, 1, memory_order_relaxed);
}

/* When out of memory the old digest stays: stale, and tried again after the next change. */
static void publish_digest(struct km_agent *agent)
{
	const struct km_cache *cache = km_eval_cache(agent->eval);
	uint64_t version = km_cache_version(cache);
	struct km_digest *digest;

	if (version == agent->digest_version)
		return;
	digest = km_digest_create(cache);
	if (!digest)
		return;
	km_digest_publish(&agent->digest, digest);
	agent->digest_version = version;
	KM_PROBE(publish, agent->idx, version, digest->nr[KM_CACHE_TOP], digest->nr[KM_CACHE_RULE]);
	/* relaxed: published with the summary's word that follows, or with our bit (CHANGED_R1) */
	atomic_store_explicit(&agent->summary.digest_version, version, memory_order_relaxed);
}

static void tell_start(struct km_agent *agent, const struct km_req *req)
{
	const struct km_estimates *est;
	uint64_t end_ns;

	km_snap_enter();
	est = km_snap_read(&agent->rt->estimates);
	end_ns = km_clock_ns() + km_eval_estimate(agent->eval, est, req);
	km_snap_leave();
	agent->begun++;
	km_summary_write(&agent->summary, km_summary_pack(agent->begun, true, end_ns));
	km_changed_set(agent->rt->changed, agent->idx);
}

static void tell_end(struct km_agent *agent)
{
	struct km_eval_stats stats = km_eval_stats(agent->eval);
	struct km_summary *summary = &agent->summary;

	/* relaxed: statistics, each on its own */
	atomic_store_explicit(&summary->served, stats.served, memory_order_relaxed);
	atomic_store_explicit(&summary->top_hits, stats.top_hits, memory_order_relaxed);
	atomic_store_explicit(&summary->top_misses, stats.top_misses, memory_order_relaxed);
	atomic_store_explicit(&summary->rule_hits, stats.rule_hits, memory_order_relaxed);
	atomic_store_explicit(&summary->busy_ns, stats.hit_ns + stats.miss_ns,
			      memory_order_relaxed);
	atomic_store_explicit(&summary->cache_bytes, stats.cache_bytes, memory_order_relaxed);
	publish_digest(agent);
	km_summary_write(summary, km_summary_pack(agent->begun, false, 0));
	km_changed_set(agent->rt->changed, agent->idx);
	km_park_wake(&agent->rt->dispatcher.park, KM_WAKE_AGENT);
}

static void serve(struct km_agent *agent, struct km_req *req)
{
	struct km_client *client = req->client;

	KM_PROBE(dequeue, req->id, agent->idx);
	tell_start(agent, req);
	km_eval_serve(agent->eval, req);
	tell_end(agent);
	KM_PROBE(complete, req->id, agent->idx, req->outcome, req->due_ns, req->start_ns,
		 req->end_ns);
	/* The queue holds as many as the client may have in flight: it is never full. */
	KM_BUG_ON(!km_mpsc_push(&client->done, (uintptr_t)req));
	km_park_wake(&client->park, KM_WAKE_WORK);
	km_eval_learn(agent->eval);
}

static bool has_work(void *ctx)
{
	struct km_agent *agent = ctx;

	/* relaxed: the join orders what the stopping thread did before */
	return !km_spsc_is_empty(&agent->ring) ||
	       atomic_load_explicit(&agent->stop, memory_order_relaxed);
}

/*
 * How long to sleep when nobody wakes us. Others' commits make our objects old,
 * so an agent that updates in the background looks again; the longer there was
 * nothing to do, the later.
 */
static uint64_t nap_ns(struct km_agent *agent)
{
	const struct km_runtime_cfg *cfg = &agent->rt->cfg;
	uint64_t ns = cfg->cache_age_ns ? cfg->cache_age_ns : KM_PARK_FOREVER;

	if (!cfg->idle_lag)
		return ns;
	agent->nap_ns = km_min_u64(2 * agent->nap_ns, NAP_NS_MAX);
	return km_min_u64(ns, agent->nap_ns);
}

static void wait_for_work(struct km_agent *agent)
{
	const struct km_park_await how = {
		.ready = has_work,
		.ctx = agent,
		.mask = KM_WAKE_WORK | KM_WAKE_STOP,
		.spin_nr = agent->place.owned ? KM_SPIN_NR : 0,
		.timeout_ns = nap_ns(agent),
	};

	km_snap_offline();
	km_park_await(&agent->park, &how);
	km_snap_online();
}

static void run(struct km_agent *agent)
{
	struct km_req *req;

	for (;; km_snap_quiesce()) {
		req = (struct km_req *)(uintptr_t)km_spsc_pop(&agent->ring);
		/* relaxed: see has_work() */
		if (!req && atomic_load_explicit(&agent->stop, memory_order_relaxed))
			return;
		if (req) {
			serve(agent, req);
		} else if (km_eval_idle(agent->eval)) {
			publish_digest(agent);
			km_changed_set(agent->rt->changed, agent->idx);
		} else {
			wait_for_work(agent);
			continue;
		}
		agent->nap_ns = NAP_NS_MIN;
	}
}

/* On its own core, where it owns one: memory it touches first is then near. */
static int come_up(struct km_agent *agent)
{
	const struct km_runtime_cfg *cfg = &agent->rt->cfg;
	struct km_eval_cfg eval_cfg = {
		.workload = cfg->workload,
		.agent_idx = agent->idx,
		.type_cap = cfg->type_cap,
		.rule_obj_cap = cfg->rule_obj_cap,
		.cache_bytes = cfg->cache_bytes,
		.age_ns = cfg->cache_age_ns,
		.node = agent->place.owned ? (int)agent->place.node : -1,
		.huge_pages = cfg->huge_pages,
		.retry_max = cfg->retry_max,
		.idle_lag = cfg->idle_lag,
		.sample = take_sample,
		.sample_ctx = agent,
	};
	char name[16];
	int err;

	snprintf(name, sizeof(name), "km-agent%u", agent->idx);
	if (agent->place.owned) {
		err = km_pin_self(agent->place.cpu, name);
		if (err)
			return err;
	} else {
		pthread_setname_np(pthread_self(), name);
	}
	return km_eval_create(&agent->eval, &eval_cfg);
}

void *km_agent_main(void *ctx)
{
	struct km_agent *agent = ctx;

	km_snap_thread_start();
	agent->start_err = come_up(agent);
	sem_post(&agent->rt->started);
	if (!agent->start_err) {
		agent->nap_ns = NAP_NS_MIN;
		run(agent);
		agent->stats = km_eval_stats(agent->eval);
		agent->cache_fault = km_cache_check(km_eval_cache(agent->eval));
		km_digest_publish(&agent->digest, NULL);
		km_eval_destroy(agent->eval);
	}
	km_snap_thread_stop();
	return NULL;
}
