/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/create.c - what a simulation is made of, from its tables to its agents' caches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host.h"
#include "sim/sim_internal.h"

#define ESTIMATE_PERIOD_NS UINT64_C(10000000000)
#define INSIDE_MAX 16384
/* Among more agents the one that will serve is too unlikely. */
#define GUESS_AGENT_NR 8

void *sim_block(struct sim *sim, size_t nr, size_t bytes)
{
	void **grown = realloc(sim->block, (sim->block_nr + 1) * sizeof(*grown)), *block;
	size_t all = KM_DIV_UP(nr * bytes, KM_SHARE_BYTES) * KM_SHARE_BYTES;

	if (!grown)
		return NULL;
	sim->block = grown;
	block = aligned_alloc(KM_SHARE_BYTES, all);
	if (!block)
		return NULL;
	memset(block, 0, all);
	sim->block[sim->block_nr++] = block;
	return block;
}

static int create_core(struct sim *sim)
{
	const struct km_sim_cfg *cfg = &sim->cfg;
	const struct km_source *source = sim->source;
	const struct km_types_cfg types_cfg = {
		.type_cap = sim->type_cap,
		.rule_obj_cap = sim->rule_obj_cap,
		.trait_nr = source->trait_nr,
		.rule_nr = sim->rule_nr,
		.rules = source->rules,
	};
	const struct km_view_cfg view_cfg = {
		.agent_nr = cfg->agent_nr,
		/* What nobody looks at need not be kept. */
		.rule_nr = cfg->policy->top_only && !cfg->accuracy ? 0 : sim->rule_nr,
		.type_cap = sim->type_cap,
		.rule_obj_cap = sim->rule_obj_cap,
		.count_serving = cfg->count_serving,
		.future = cfg->policy->needs == KM_NEEDS_FUTURE,
	};
	struct km_sched_cfg sched_cfg = {
		.policy = cfg->policy,
		.seed = cfg->seed,
		/* What an agent holds at most; deep enough not to matter but under overload. */
		.window_max = cfg->agent_nr > 256 ? 1024 : 4096,
	};
	int err = km_types_create(&sim->types, &types_cfg);

	if (!err)
		err = km_view_create(&sim->view, &view_cfg);
	if (!err)
		err = km_estimator_create(&sim->estimator, sim->type_cap, sim->rule_nr,
					  source->rules);
	if (!err) {
		sim->est = km_estimator_table(sim->estimator);
		sim->view->est = sim->est;
		err = sim->est ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	km_types_on_recycle(sim->types, km_view_recycle, sim->view);
	sched_cfg.view = sim->view;
	sched_cfg.types = sim->known ? NULL : sim->types;
	return km_sched_create(&sim->sched, &sched_cfg);
}

/* What one agent takes: its caches' tables, its lane, its column of the view's counts. */
static uint64_t agent_bytes(const struct sim *sim)
{
	const uint64_t ids = (uint64_t)sim->type_cap + sim->rule_obj_cap;
	const uint64_t caches = sim->cfg.policy->needs == KM_NEEDS_FUTURE ? 2 : 1;

	return sizeof(struct sim_agent) + caches * ids * (sizeof(struct km_cache_obj) + 16) +
	       ids * (5 + sizeof(uint64_t)) + 65536;
}

/* Tables are touched when they are made: too many would be the machine's end, not an error. */
static int check_memory(const struct sim *sim)
{
	const double want = (double)agent_bytes(sim) * sim->cfg.agent_nr;
	double have;

	/* To ask takes up to half a millisecond, as long as a short simulation. */
	if (want < 0x1p26)
		return 0;
	have = (double)km_host_memory("");
	if (want <= have)
		return 0;
	return km_diag_set(sim->diag, -E2BIG, "", 0, 0,
			   "%u agents with %u types and %u rule objects take %.1f GiB, %.1f "
			   "are available: fewer agents or types",
			   sim->cfg.agent_nr, sim->type_cap, sim->rule_obj_cap, want / 0x1p30,
			   have / 0x1p30);
}

static int create_agents(struct sim *sim)
{
	const struct km_sim_cfg *cfg = &sim->cfg;
	uint64_t class_bytes[KM_RULES_MAX + 1], bytes;
	struct km_cache_cfg cache_cfg = {
		.type_cap = sim->type_cap,
		.rule_cap = sim->rule_obj_cap,
		.dep_max = sim->rule_nr,
		.class_nr = sim->rule_nr + 1,
		.class_bytes = class_bytes,
		.bytes_max = cfg->cache_bytes,
		.age_ns_max = cfg->age_ns,
	};
	uint32_t i;
	int err = 0;

	for (i = 0; i <= sim->rule_nr; i++) {
		bytes = i < sim->rule_nr ? km_costs_rule_bytes(sim->costs, i)
					 : km_costs_top_bytes(sim->costs);
		class_bytes[i] = bytes		    ? bytes
				 : i < sim->rule_nr ? cfg->rule_bytes
						    : cfg->top_bytes;
	}
	for (i = 0; !err && i < cfg->agent_nr; i++) {
		struct sim_agent *agent = &sim->agent[i];

		agent->idx = i;
		agent->sim = sim;
		cache_cfg.owner = agent;
		cache_cfg.changed = sim_cache_changed;
		err = km_cache_create(&agent->cache, &cache_cfg);
		if (err)
			break;
		agent->top = km_cache_objs(agent->cache, KM_CACHE_TOP);
		agent->rule = km_cache_objs(agent->cache, KM_CACHE_RULE);
		agent->untold = calloc(sim->type_cap + 1, sizeof(*agent->untold));
		agent->rule_rev = calloc(sim->rule_obj_cap, sizeof(*agent->rule_rev));
		if (!agent->untold || !agent->rule_rev)
			return -ENOMEM;
		if (cfg->policy->needs != KM_NEEDS_FUTURE)
			continue;
		cache_cfg.changed = sim_future_changed;
		err = km_cache_create(&agent->future, &cache_cfg);
	}
	return err;
}

/* Nobody serves. */
static int create_ends(struct sim *sim)
{
	uint32_t i, nr, at = 4 * (SIM_END_ROOT - 2);

	for (nr = 4; nr < sim->cfg.agent_nr; nr *= 4)
		at = 4 * (at - 2);
	sim->end_at = at;
	sim->end = sim_block(sim, at + nr, sizeof(*sim->end));
	if (!sim->end)
		return -ENOMEM;
	for (i = 0; i < at + nr; i++)
		sim->end[i] = (struct sim_end){ SIM_IDLE_NS, i < at ? 0 : i - at };
	return 0;
}

static int create_tables(struct sim *sim)
{
	const struct km_sim_cfg *cfg = &sim->cfg;
	uint32_t nr = cfg->agent_nr;

	sim->agent = calloc(nr, sizeof(*sim->agent));
	sim->type = sim_block(sim, sim->type_cap, sizeof(*sim->type));
	sim->miss_ns = calloc((size_t)sim->type_cap * sim->rule_nr, sizeof(*sim->miss_ns));
	sim->mask = calloc(nr, sizeof(*sim->mask));
	sim->out->type_nr = sim->type_cap;
	sim->out->type = calloc(sim->type_cap, sizeof(*sim->out->type));
	if (!sim->agent || !sim->type || !sim->miss_ns || !sim->mask || !sim->out->type)
		return -ENOMEM;
	if (sim->source->type_nr && sim->type_cap >= sim->source->type_nr) {
		sim->known = calloc(sim->source->type_nr, sizeof(*sim->known));
		if (!sim->known)
			return -ENOMEM;
	}
	if (cfg->policy->needs == KM_NEEDS_EXACT) {
		sim->exact_ns = calloc(nr, sizeof(*sim->exact_ns));
		if (!sim->exact_ns)
			return -ENOMEM;
	}
	return 0;
}

static void set_defaults(struct sim *sim)
{
	struct km_sim_cfg *cfg = &sim->cfg;
	uint32_t type_nr = sim->source->type_nr;

	if (!cfg->estimate_period_ns)
		cfg->estimate_period_ns = ESTIMATE_PERIOD_NS;
	if (!cfg->inside_max)
		cfg->inside_max = INSIDE_MAX;
	if (!cfg->request_max)
		cfg->request_max = UINT64_MAX;
	sim->rule_nr = sim->source->rule_nr;
	sim->type_cap = cfg->type_cap;
	if (!sim->type_cap)
		sim->type_cap = type_nr ? (uint32_t)km_max_u64(type_nr, 2) : 8192;
	sim->rule_obj_cap = cfg->rule_obj_cap;
	if (!sim->rule_obj_cap)
		sim->rule_obj_cap = sim->source->rule_obj_nr
					    ? sim->source->rule_obj_nr + 2 * sim->rule_nr
					    : 65536;
}

static int check_cfg(const struct km_sim_cfg *cfg, struct km_diag *diag)
{
	if (!cfg->agent_nr || cfg->agent_nr > 4096)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "agents must be 1 to 4096");
	if (!cfg->cache_bytes || !cfg->rule_bytes || !cfg->top_bytes)
		return km_diag_set(diag, -EINVAL, "", 0, 0,
				   "a cache and its objects must have a size");
	/* The view counts what is queued of one type on one agent in 16 bits. */
	if (cfg->inside_max > 60000)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "at most 60000 requests inside");
	if (cfg->accuracy && cfg->conflict_servers)
		return km_diag_set(diag, -EINVAL, "", 0, 0,
				   "accuracy is worked out without commit conflicts");
	return 0;
}

int sim_create(struct sim *sim)
{
	const struct km_sim_cfg *cfg = &sim->cfg;
	int err = check_cfg(cfg, sim->diag);

	if (err)
		return err;
	set_defaults(sim);
	err = cfg->series ? km_series_create(&sim->out->series, cfg->agent_nr, 0) : 0;
	if (!err)
		err = check_memory(sim);
	if (!err)
		err = create_tables(sim);
	if (!err)
		err = create_ends(sim);
	if (!err)
		err = create_core(sim);
	if (!err)
		err = create_agents(sim);
	if (err)
		return err;
	sim->view->exact_ns = sim->exact_ns;
	if (cfg->policy->queueing != KM_QUEUE_OWN && cfg->agent_nr <= GUESS_AGENT_NR)
		sim->guess_nr = cfg->agent_nr;
	return 0;
}

void sim_destroy(struct sim *sim)
{
	uint32_t i;

	for (i = 0; sim->agent && i < sim->cfg.agent_nr; i++) {
		km_cache_destroy(sim->agent[i].cache);
		km_cache_destroy(sim->agent[i].future);
		free(sim->agent[i].rule_rev);
		free(sim->agent[i].untold);
		free(sim->agent[i].change);
	}
	for (i = 0; i < sim->block_nr; i++)
		free(sim->block[i]);
	free(sim->block);
	if (sim->est)
		km_estimates_free(&sim->est->head);
	km_estimator_destroy(sim->estimator);
	km_sched_destroy(sim->sched);
	km_view_destroy(sim->view);
	km_types_destroy(sim->types);
	free(sim->exact_ns);
	free(sim->known);
	free(sim->mask);
	free(sim->miss_ns);
	free(sim->agent);
	free(sim);
}
