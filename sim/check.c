/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/check.c - M1 to M4 of sim/sim.h, verified between two events.
 */
#include "sim/sim_internal.h"

#define CHECK_CACHE_EVERY 1024

static const char *check_agent(const struct sim *sim, const struct sim_agent *agent)
{
	const struct sim_req *r;
	uint64_t wait_ns = 0;
	uint32_t queued = 0;

	for (r = agent->head; r; r = r->next) {
		wait_ns += r->req.est_ns;
		queued++;
	}
	/* What a scheduler still holds for the agent is not in our queue. */
	if (sim->cfg.policy->queueing == KM_QUEUE_STEAL)
		return NULL;
	if (sim->view->queued_nr[agent->idx] < queued || sim->view->wait_ns[agent->idx] < wait_ns)
		return "M2: the queue time is less than its estimates";
	if (!km_sched_waiting(sim->sched) && (sim->view->queued_nr[agent->idx] != queued ||
					      sim->view->wait_ns[agent->idx] != wait_ns))
		return "M2: the queue time is not the sum of its estimates";
	return NULL;
}

const char *sim_check(const struct sim *sim)
{
	const struct km_sim_result *out = sim->out;
	uint64_t inside = sim->inside, held = 0;
	const char *wrong = NULL;
	uint32_t a;

	if (out->submitted != out->completed + out->refused + inside ||
	    inside != km_sched_inside(sim->sched))
		return "M3: a request was lost";
	for (a = 0; !wrong && a < sim->cfg.agent_nr; a++) {
		const struct sim_agent *agent = &sim->agent[a];
		const struct sim_req *r;

		wrong = check_agent(sim, agent);
		held += agent->serving ? 1 : 0;
		for (r = agent->head; r; r = r->next)
			held++;
		if (!wrong && out->events % CHECK_CACHE_EVERY == 0)
			wrong = km_cache_check(agent->cache);
	}
	if (!wrong && held + km_sched_waiting(sim->sched) != inside)
		return "M3: a request is neither queued nor served";
	return wrong;
}
