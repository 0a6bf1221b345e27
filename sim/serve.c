/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/serve.c - what an agent does with a request: the steps of core/eval.c
 * over the same cache, with made-up times in place of work.
 */
#include <stdlib.h>

#include "lib/rand.h"
#include "sim/sim_internal.h"

/* ---- what the view hears of the cache --------------------------------------- */

void sim_cache_changed(void *owner, enum km_cache_level level, struct km_key key, bool present)
{
	struct sim_agent *agent = owner;
	struct sim_change *grown;

	km_view_prefetch(agent->sim->view, level, key.id, agent->idx);
	if (!agent->defer) {
		km_view_note_cached(agent->sim->view, agent->idx, level, key, present);
		return;
	}
	if (agent->change_nr == agent->change_cap) {
		grown = realloc(agent->change, (agent->change_cap * 2 + 64) * sizeof(*grown));
		if (!grown) {
			agent->sim->oom = agent->sim->watch = true;
			return;
		}
		agent->change = grown;
		agent->change_cap = agent->change_cap * 2 + 64;
	}
	agent->change[agent->change_nr++] = (struct sim_change){ key, (uint8_t)level, present };
}

void sim_tell_changes(struct sim *sim, struct sim_agent *agent)
{
	uint32_t i;

	for (i = 0; i < agent->change_nr; i++)
		km_view_note_cached(sim->view, agent->idx, agent->change[i].level,
				    agent->change[i].key, agent->change[i].present);
	agent->change_nr = 0;
}

void sim_future_changed(void *owner, enum km_cache_level level, struct km_key key, bool present)
{
	struct sim_agent *agent = owner;

	km_view_note_future(agent->sim->view, agent->idx, level, key, present);
}

/* ---- serving ----------------------------------------------------------------- */

void sim_count_bytes(struct sim *sim, struct sim_agent *agent)
{
	uint64_t bytes = km_cache_stats(agent->cache)->bytes;

	if (bytes == agent->bytes)
		return;
	sim->bytes_area += (unsigned __int128)sim->bytes * (sim->now_ns - sim->bytes_since_ns);
	sim->bytes_since_ns = sim->now_ns;
	sim->bytes += bytes - agent->bytes;
	agent->bytes = bytes;
	sim->out->cache_bytes_max = km_max_u64(sim->out->cache_bytes_max, bytes);
}

void sim_sync_revs(struct sim_agent *agent)
{
	struct km_cache_obj *top;
	uint64_t *rev;
	uint32_t t, i;

	for (t = 0; t < agent->untold_nr; t++) {
		top = agent->untold[t];
		top->mark = false;
		for (i = 0; i < top->dep_nr; i++) {
			rev = sim_rule_rev(agent, top->deps[i]);
			*rev = km_max_u64(*rev, top->rev);
		}
	}
	agent->untold_nr = 0;
}

static uint64_t top_hit(struct sim *sim, struct sim_agent *agent, struct km_cache_obj *top,
			const struct sim_req *r, uint64_t rev)
{
	uint64_t ns =
		km_cost_top_hit(sim->costs, sim_cost(sim, r->req.type), rev - top->rev, r->noise);

	top->rev = rev;
	agent->untold[agent->untold_nr] = top;
	agent->untold_nr += !top->mark;
	top->mark = true;
	return ns;
}

uint64_t sim_handed_over_ns(const struct sim *sim, const struct sim_agent *agent, uint64_t due_ns,
			    uint32_t noise)
{
	const bool asks = sim->cfg.policy->queueing != KM_QUEUE_OWN;
	const enum km_handover after = agent->last_hit ? KM_HANDOVER_AFTER_HIT
						       : KM_HANDOVER_AFTER_MISS;

	return km_max_u64(due_ns + km_cost_handover(sim->costs, KM_HANDOVER_IDLE, asks, noise),
			  sim->now_ns + km_cost_handover(sim->costs, after, asks, noise));
}

/* A rule object up to date and held, as core/eval.c's get_rule(); NULL when it does not fit. */
static struct km_cache_obj *get_rule(struct sim *sim, struct sim_agent *agent, struct sim_req *r,
				     uint32_t rule_idx, uint64_t rev, uint64_t *ns)
{
	struct km_cache *cache = agent->cache;
	const struct km_type *type = r->req.type;
	struct km_key key = type->rule[rule_idx];
	struct km_cache_obj *obj = km_cache_lookup(cache, KM_CACHE_RULE, key, sim->now_ns);
	const uint64_t *miss_ns = sim_miss_ns(sim, type);
	uint64_t took;

	if (obj) {
		km_cache_hold(cache, obj);
		took = km_cost_rule_hit(sim->costs, sim_cost(sim, type), miss_ns, rule_idx,
					rev - *sim_rule_rev(agent, obj), r->noise);
		r->req.rule_hits++;
		r->rule_mask ^= UINT64_C(1) << rule_idx;
		sim_sample(sim, KM_SAMPLE_RULE_HIT, rule_idx, took);
	} else {
		obj = km_cache_insert_rule(cache, key, rule_idx, sim->now_ns);
		if (!obj)
			return NULL;
		took = km_cost_rule_miss(sim->costs, miss_ns, rule_idx, r->noise);
		r->req.rule_misses++;
		sim_sample(sim, KM_SAMPLE_RULE_MISS, rule_idx, took);
	}
	*sim_rule_rev(agent, obj) = rev;
	*ns += took;
	return obj;
}

/* Served uncached: every rule that was not got is evaluated for this request alone. */
static uint64_t serve_rest(struct sim *sim, const struct sim_req *r, uint32_t from)
{
	const uint64_t *miss_ns = sim_miss_ns(sim, r->req.type);
	uint64_t ns = 0;
	uint32_t i;

	for (i = from; i < sim->rule_nr; i++)
		ns += km_cost_rule_miss(sim->costs, miss_ns, i, r->noise);
	return ns;
}

static uint64_t top_miss(struct sim *sim, struct sim_agent *agent, struct sim_req *r, uint64_t rev)
{
	struct km_cache *cache = agent->cache;
	struct km_cache_obj *deps[KM_RULES_MAX], *top = NULL;
	uint64_t ns = 0, build_ns = km_cost_build(sim->costs, sim_cost(sim, r->req.type), r->noise);
	uint32_t i, nr;

	for (nr = 0; nr < sim->rule_nr; nr++) {
		deps[nr] = get_rule(sim, agent, r, nr, rev, &ns);
		if (!deps[nr])
			break;
	}
	if (nr == sim->rule_nr)
		top = km_cache_insert_top(cache, r->req.type->key, sim->rule_nr, deps, nr,
					  sim->now_ns);
	if (top)
		top->rev = rev;
	for (i = 0; i < nr; i++)
		km_cache_release(cache, deps[i]);
	r->req.uncached = !top;
	if (top)
		sim_sample(sim, KM_SAMPLE_BUILD, 0, build_ns);
	return ns + build_ns + serve_rest(sim, r, nr);
}

/* What the agent expects of a miss on top, from its current cache. */
static uint64_t predict_miss(struct sim *sim, const struct sim_agent *agent,
			     const struct km_type *type)
{
	const struct km_estimates *est = sim->est;
	const uint64_t *miss_ns = sim_miss_ns(sim, type);
	uint64_t ns = est->build_ns;
	uint32_t i;

	/* All that the miss will look at, at once. */
	for (i = 0; i < sim->rule_nr; i++) {
		__builtin_prefetch(&agent->rule[type->rule[i].id], 1);
		__builtin_prefetch(&agent->rule_rev[type->rule[i].id], 1);
		__builtin_prefetch(&miss_ns[i]);
	}
	for (i = 0; i < sim->rule_nr; i++)
		ns += km_cache_peek(agent->cache, KM_CACHE_RULE, type->rule[i])
			      ? est->rule_hit_ns[i]
			      : est->rule_miss_ns[i];
	return ns;
}

uint64_t sim_serve(struct sim *sim, struct sim_agent *agent, struct sim_req *r,
		   uint64_t *predicted_ns)
{
	const struct km_type *type = r->req.type;
	uint64_t rev = sim_rev(sim), ns;
	struct km_cache_obj *top;

	top = km_cache_lookup(agent->cache, KM_CACHE_TOP, type->key, sim->now_ns);
	r->start_rev = rev;
	r->req.top_hit = top;
	r->req.uncached = false;
	r->req.rule_hits = r->req.rule_misses = 0;
	if (top) {
		*predicted_ns = sim->est->type_hit_ns[type->key.id];
		return top_hit(sim, agent, top, r, rev);
	}
	*predicted_ns = predict_miss(sim, agent, type);
	sim_sync_revs(agent);
	ns = top_miss(sim, agent, r, rev);
	sim_count_bytes(sim, agent);
	return ns;
}

uint64_t sim_weigh(struct sim *sim, struct sim_agent *agent, const struct km_type *type,
		   uint32_t noise)
{
	const struct km_cost_type *ct = sim_cost(sim, type);
	const uint64_t *miss_ns = sim_miss_ns(sim, type);
	const struct km_cache_obj *obj = km_cache_peek(agent->cache, KM_CACHE_TOP, type->key);
	uint64_t ns, rev = sim_rev(sim);
	uint32_t i;

	if (obj)
		return km_cost_top_hit(sim->costs, ct, rev - obj->rev, noise);
	sim_sync_revs(agent);
	ns = km_cost_build(sim->costs, ct, noise);
	for (i = 0; i < sim->rule_nr; i++) {
		obj = km_cache_peek(agent->cache, KM_CACHE_RULE, type->rule[i]);
		ns += obj ? km_cost_rule_hit(sim->costs, ct, miss_ns, i,
					     rev - *sim_rule_rev(agent, obj), noise)
			  : km_cost_rule_miss(sim->costs, miss_ns, i, noise);
	}
	return ns;
}

uint64_t sim_update_begin(struct sim *sim, struct sim_agent *agent)
{
	uint64_t rev = sim_rev(sim);
	struct km_cache_obj *top;
	const struct km_type *type;
	uint32_t i;
	uint64_t lag;

	top = km_cache_oldest_rev(agent->cache, KM_CACHE_TOP, rev, sim->cfg.idle_lag);
	if (!top)
		return 0;
	lag = rev - top->rev;
	type = km_types_at(sim->types, top->key.id);
	top->rev = rev;
	for (i = 0; i < top->dep_nr; i++)
		*sim_rule_rev(agent, top->deps[i]) = rev;
	sim->out->idle_updates++;
	agent->updating = top;
	/* The id may have a new meaning by now; then its times are the new type's. */
	if (!type)
		return 1;
	return km_cost_top_hit(sim->costs, sim_cost(sim, type), lag, UINT32_MAX / 2);
}

bool sim_conflicts(struct sim *sim, struct sim_req *r, uint64_t *retry_ns)
{
	const struct km_type *type = r->req.type;
	uint64_t others = sim_rev(sim) - r->start_rev;
	uint64_t mix = (uint64_t)r->noise << 32 | (r->req.conflicts + 1);
	uint64_t servers = sim->cfg.conflict_servers, i, clear = UINT64_C(1) << 32;

	if (!others)
		return false;
	/* Each of the others took one of the good servers; ours is clear of all of them. */
	for (i = 0; i < km_min_u64(others, 4096); i++)
		clear -= clear / servers;
	if (km_splitmix64(&mix) >> 32 < clear)
		return false;
	r->req.conflicts++;
	sim->out->conflicts++;
	*retry_ns = km_cost_top_hit(sim->costs, sim_cost(sim, type), others, r->noise);
	r->start_rev = sim_rev(sim);
	return true;
}

/* The cache operations of sim_serve(), without times. */
void sim_future_add(struct sim *sim, struct sim_agent *agent, const struct km_type *type)
{
	struct km_cache *cache = agent->future;
	struct km_cache_obj *deps[KM_RULES_MAX];
	uint32_t i, nr;

	if (km_cache_lookup(cache, KM_CACHE_TOP, type->key, sim->now_ns))
		return;
	for (nr = 0; nr < sim->rule_nr; nr++) {
		deps[nr] = km_cache_lookup(cache, KM_CACHE_RULE, type->rule[nr], sim->now_ns);
		if (deps[nr])
			km_cache_hold(cache, deps[nr]);
		else
			deps[nr] = km_cache_insert_rule(cache, type->rule[nr], nr, sim->now_ns);
		if (!deps[nr])
			break;
	}
	if (nr == sim->rule_nr)
		/* Refused when it does not fit: as the real one will be. */
		(void)km_cache_insert_top(cache, type->key, sim->rule_nr, deps, nr, sim->now_ns);
	for (i = 0; i < nr; i++)
		km_cache_release(cache, deps[i]);
}
