/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/judge.c - was the chosen agent the best one? Exactly, not by estimates.
 *
 * Of a request that was assigned to one agent, a ghost stands at the end of every
 * other agent's queue. When all ahead of the ghost has been served, that
 * agent's true cache, inventory revision and time are what the request would
 * have met there, so its latency there is known. What the other requests did
 * is taken as it was; what comes behind in the queue cannot matter.
 *
 * Holds for policies that name the agent for good (KM_QUEUE_OWN).
 */
#include <errno.h>
#include <stdlib.h>

#include "sim/sim_internal.h"

struct sim_judged {
	struct sim_judged *next; /* of the free ones */
	struct km_type *type; /* referenced, unless known for good */
	uint64_t due_ns, own_ns, best_ns; /* latencies; best of the others */
	uint32_t pending, noise;
};

void sim_judge_before(struct sim *sim, const struct km_type *type)
{
	uint32_t a, r;

	for (a = 0; a < sim->cfg.agent_nr; a++) {
		sim->mask[a] = 0;
		for (r = 0; r < sim->rule_nr; r++)
			if (km_view_augmented(sim->view, KM_CACHE_RULE, type->rule[r].id, a))
				sim->mask[a] |= UINT64_C(1) << r;
	}
}

void sim_exact(struct sim *sim, const struct km_type *type, uint32_t noise)
{
	const struct km_cost_type *ct = sim_cost(sim, type);
	const uint64_t *miss_ns = sim_miss_ns(sim, type);
	uint64_t rev = sim_rev(sim), ns;
	const struct km_cache_obj *obj;
	uint32_t a, r;

	for (a = 0; a < sim->cfg.agent_nr; a++) {
		if (km_view_augmented(sim->view, KM_CACHE_TOP, type->key.id, a)) {
			/* What is queued before will have brought it up to date. */
			obj = km_cache_peek(sim->agent[a].cache, KM_CACHE_TOP, type->key);
			if (km_view_coming(sim->view, type->key.id, a))
				obj = NULL;
			sim->exact_ns[a] =
				km_cost_top_hit(sim->costs, ct, obj ? rev - obj->rev : 0, noise);
			continue;
		}
		sim_sync_revs(&sim->agent[a]);
		ns = km_cost_build(sim->costs, ct, noise);
		for (r = 0; r < sim->rule_nr; r++) {
			obj = km_cache_peek(sim->agent[a].cache, KM_CACHE_RULE, type->rule[r]);
			if (km_view_augmented(sim->view, KM_CACHE_RULE, type->rule[r].id, a))
				ns += km_cost_rule_hit(
					sim->costs, ct, miss_ns, r,
					obj ? rev - *sim_rule_rev(&sim->agent[a], obj) : 0, noise);
			else
				ns += km_cost_rule_miss(sim->costs, miss_ns, r, noise);
		}
		sim->exact_ns[a] = ns;
	}
}

#define BLOCK_NR 256

static struct sim_ghost *take_ghost(struct sim *sim)
{
	struct sim_ghost *ghost = sim->free_ghost, *block;
	uint32_t i;

	if (!ghost) {
		block = sim_block(sim, BLOCK_NR, sizeof(*block));
		for (i = 0; block && i < BLOCK_NR; i++) {
			block[i].next = ghost;
			ghost = &block[i];
		}
	}
	if (ghost)
		sim->free_ghost = ghost->next;
	return ghost;
}

static struct sim_judged *take_judged(struct sim *sim)
{
	struct sim_judged *judged = sim->free_judged, *block;
	uint32_t i;

	if (!judged) {
		block = sim_block(sim, BLOCK_NR, sizeof(*block));
		for (i = 0; block && i < BLOCK_NR; i++) {
			block[i].next = judged;
			judged = &block[i];
		}
	}
	if (judged)
		sim->free_judged = judged->next;
	return judged;
}

static void settle(struct sim *sim, struct sim_judged *judged)
{
	struct km_sim_accuracy *acc = &sim->out->accuracy;

	if (--judged->pending)
		return;
	acc->judged++;
	if (judged->own_ns <= judged->best_ns) {
		acc->best_nr++;
	} else {
		acc->gap_ns_sum += judged->own_ns - judged->best_ns;
		acc->gap_ratio_sum +=
			(double)(judged->own_ns - judged->best_ns) / (double)judged->best_ns;
	}
	if (!sim->known)
		km_types_put(sim->types, judged->type);
	judged->next = sim->free_judged;
	sim->free_judged = judged;
}

static void weigh(struct sim *sim, struct sim_agent *agent, struct sim_judged *judged)
{
	uint64_t ns = sim_start_ns(sim, agent, judged->due_ns, judged->noise) - judged->due_ns +
		      sim_weigh(sim, agent, judged->type, judged->noise);

	judged->best_ns = km_min_u64(judged->best_ns, ns);
	settle(sim, judged);
}

void sim_judge_ghosts(struct sim *sim, struct sim_agent *agent, struct sim_ghost **ghosts)
{
	struct sim_ghost *ghost;

	while ((ghost = *ghosts)) {
		*ghosts = ghost->next;
		weigh(sim, agent, ghost->judged);
		ghost->next = sim->free_ghost;
		sim->free_ghost = ghost;
	}
}

static int stand(struct sim *sim, struct sim_agent *agent, struct sim_judged *judged)
{
	struct sim_ghost *ghost, **list;

	if (agent->tail)
		list = &agent->tail->ghosts;
	else if (agent->serving)
		list = &agent->serving->ghosts;
	else if (agent->updating)
		list = &agent->ghosts;
	else {
		weigh(sim, agent, judged);
		return 0;
	}
	ghost = take_ghost(sim);
	if (!ghost)
		return -ENOMEM;
	ghost->judged = judged;
	ghost->next = *list;
	*list = ghost;
	return 0;
}

int sim_judge_after(struct sim *sim, struct sim_req *r)
{
	uint32_t a, own = r->req.decision.agent_idx;
	struct sim_judged *judged = take_judged(sim);
	int err = 0;

	if (!judged)
		return -ENOMEM;
	*judged = (struct sim_judged){ .type = r->req.type,
				       .due_ns = r->req.due_ns,
				       .best_ns = UINT64_MAX,
				       .noise = r->noise,
				       .pending = sim->cfg.agent_nr };
	if (!sim->known) /* one more reference: ours may outlive the request's */
		judged->type = km_types_get(sim->types, r->req.type->trait);
	r->judged = judged;
	r->rule_mask = sim->mask[own];
	for (a = 0; !err && a < sim->cfg.agent_nr; a++)
		if (a != own)
			err = stand(sim, &sim->agent[a], judged);
	return err;
}

void sim_judge_served(struct sim *sim, struct sim_req *r)
{
	struct km_sim_accuracy *acc = &sim->out->accuracy;
	const struct km_decision *d = &r->req.decision;
	uint64_t took = r->req.end_ns - r->req.start_ns, predicted = r->req.est_ns;
	uint32_t wrong;

	acc->top_events++;
	acc->top_right += d->top_hit == r->req.top_hit;
	if (!d->top_hit && !r->req.top_hit && !r->req.uncached) {
		/* sim_serve() took the rules that hit out of the mask and put the others in. */
		wrong = (uint32_t)__builtin_popcountll(r->rule_mask);
		acc->rule_events += sim->rule_nr;
		acc->rule_right += sim->rule_nr - wrong;
	}
	if (d->top_hit == r->req.top_hit) {
		acc->time_nr++;
		acc->time_error_sum +=
			(double)(predicted > took ? predicted - took : took - predicted) /
			(double)took;
	}
	if (!r->judged)
		return;
	r->judged->own_ns = r->req.end_ns - r->req.due_ns;
	settle(sim, r->judged);
	r->judged = NULL;
}
