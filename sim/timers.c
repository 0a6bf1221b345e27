/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/timers.c - what comes by the clock: the estimator publishes, caches age.
 */
#include "sim/sim_internal.h"

/* Caches age this often within their limit. */
#define AGE_PARTS 16

static void publish(struct sim *sim)
{
	if (!sim->est_stale)
		return;
	km_estimator_refresh(sim->estimator, sim->est);
	sim->est_stale = false;
}

static void age(struct sim *sim)
{
	struct sim_agent *agent;
	uint64_t oldest_ns;
	uint32_t a;

	for (a = 0; a < sim->cfg.agent_nr; a++) {
		agent = &sim->agent[a];
		if (agent->future)
			(void)km_cache_age(agent->future, sim->now_ns);
		oldest_ns = km_cache_oldest_ns(agent->cache);
		if (oldest_ns > sim->now_ns || sim->now_ns - oldest_ns <= sim->cfg.age_ns)
			continue; /* nothing is too old, and no rev is asked for */
		sim_sync_revs(agent);
		sim->out->aged += km_cache_age(agent->cache, sim->now_ns);
		sim_count_bytes(sim, agent);
	}
}

static uint64_t next_publish_ns(const struct sim *sim)
{
	return sim->now_ns + sim->cfg.estimate_period_ns;
}

static uint64_t next_age_ns(const struct sim *sim)
{
	if (!sim->cfg.age_ns)
		return KM_SIM_NEVER;
	return sim->now_ns + km_max_u64(sim->cfg.age_ns / AGE_PARTS, 1);
}

void sim_timers(struct sim *sim)
{
	if (sim->now_ns >= sim->age_ns) {
		age(sim);
		sim->age_ns = next_age_ns(sim);
	}
	if (sim->now_ns >= sim->publish_ns) {
		publish(sim);
		sim->publish_ns = next_publish_ns(sim);
	}
	sim->timer_ns = km_min_u64(sim->publish_ns, sim->age_ns);
}

void sim_start_timers(struct sim *sim)
{
	sim->publish_ns = next_publish_ns(sim);
	sim->age_ns = next_age_ns(sim);
	sim->timer_ns = km_min_u64(sim->publish_ns, sim->age_ns);
}
