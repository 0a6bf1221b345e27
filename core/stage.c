/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime_internal.h"
#include "lib/clock.h"

/* What a stage plays for an agent; the rest of struct km_agent is real. */
struct km_stage {
	struct km_runtime *rt;
};

static int open_agent(struct km_runtime *rt, uint32_t i)
{
	struct km_agent *agent = aligned_alloc(KM_SHARE_BYTES, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	memset(agent, 0, sizeof(*agent));
	agent->rt = rt;
	agent->idx = i;
	km_park_init(&agent->park, true);
	rt->agent[i] = agent;
	return km_spsc_init(&agent->ring, rt->cfg.window);
}

static int open_agents(struct km_runtime *rt)
{
	uint32_t i;
	int err = 0;

	rt->agent = calloc(rt->agent_nr, sizeof(*rt->agent));
	rt->type_hash = calloc(rt->cfg.type_cap, sizeof(*rt->type_hash));
	if (!rt->agent || !rt->type_hash)
		return -ENOMEM;
	for (i = 0; i < rt->agent_nr && !err; i++)
		err = open_agent(rt, i);
	return err;
}

int km_stage_create(struct km_stage **out, const struct km_stage_cfg *cfg)
{
	const struct km_runtime_cfg rt_cfg = {
		.workload = cfg->workload,
		.policy = cfg->policy,
		.window = cfg->window,
		.ingress_nr = cfg->ingress_nr,
		.type_cap = cfg->type_cap,
		.rule_obj_cap = cfg->rule_obj_cap,
		.count_serving = cfg->count_serving,
		.seed = cfg->seed,
	};
	struct km_stage *stage;
	int err;

	if (!cfg->agent_nr || cfg->view_rule_nr > cfg->workload->rule_nr)
		return -EINVAL;
	stage = calloc(1, sizeof(*stage));
	if (!stage)
		return -ENOMEM;
	stage->rt = aligned_alloc(KM_SHARE_BYTES, sizeof(*stage->rt));
	if (!stage->rt) {
		free(stage);
		return -ENOMEM;
	}
	memset(stage->rt, 0, sizeof(*stage->rt));
	stage->rt->cfg = rt_cfg;
	stage->rt->agent_nr = cfg->agent_nr;
	err = open_agents(stage->rt);
	if (!err)
		err = km_dispatcher_init(stage->rt);
	if (err) {
		km_stage_destroy(stage);
		return err;
	}
	stage->rt->dispatcher.view->rule_nr = cfg->view_rule_nr;
	*out = stage;
	return 0;
}

static void close_agent(struct km_agent *agent)
{
	km_digest_publish(&agent->digest, NULL);
	if (agent->ring.slots)
		km_spsc_fini(&agent->ring);
	free(agent);
}

void km_stage_destroy(struct km_stage *stage)
{
	struct km_runtime *rt = stage->rt;
	uint32_t i;

	km_stage_estimate(stage, NULL);
	for (i = 0; rt->agent && i < rt->agent_nr && rt->agent[i]; i++)
		close_agent(rt->agent[i]);
	km_dispatcher_fini(rt);
	km_snap_drain();
	free(rt->agent);
	free(rt->type_hash);
	free(rt);
	free(stage);
}

void km_stage_estimate(struct km_stage *stage, struct km_estimates *table)
{
	struct km_estimates *last = km_snap_publish(&stage->rt->estimates, table);

	if (last)
		km_snap_retire(&last->head, km_estimates_free);
}

/* ---- the dispatcher's side ---------------------------------------------------- */

struct km_types *km_stage_types(struct km_stage *stage)
{
	return stage->rt->dispatcher.types;
}

const struct km_view *km_stage_view(const struct km_stage *stage)
{
	return stage->rt->dispatcher.view;
}

const struct km_records *km_stage_records(const struct km_stage *stage)
{
	return stage->rt->dispatcher.records;
}

void km_stage_enter(struct km_stage *stage)
{
	km_dispatch_enter(stage->rt);
}

void km_stage_leave(struct km_stage *stage)
{
	(void)stage;
	km_dispatch_leave();
}

bool km_stage_look(struct km_stage *stage)
{
	return km_dispatch_look(stage->rt, km_clock_ns());
}

bool km_stage_look_at(struct km_stage *stage, uint64_t now_ns)
{
	return km_dispatch_look(stage->rt, now_ns);
}

uint32_t km_stage_classify(struct km_stage *stage, struct km_req *const *req, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		if (!km_dispatch_classify(stage->rt, req[i]))
			break;
	return i;
}

void km_stage_place(struct km_stage *stage, struct km_req *const *req, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		km_dispatch_place(stage->rt, req[i]);
}

bool km_stage_submit(struct km_stage *stage, struct km_req *req)
{
	return km_mpsc_push(&stage->rt->dispatcher.ingress, (uintptr_t)req);
}

uint64_t km_stage_turn(struct km_stage *stage)
{
	km_dispatch_some(stage->rt);
	return stage->rt->dispatcher.accepted;
}

/* ---- the agents' side ----------------------------------------------------------- */

struct km_req *km_stage_pop(struct km_stage *stage, uint32_t agent_idx)
{
	return (struct km_req *)(uintptr_t)km_spsc_pop(&stage->rt->agent[agent_idx]->ring);
}

void km_stage_begin(struct km_stage *stage, uint32_t agent_idx, uint64_t end_ns)
{
	struct km_agent *agent = stage->rt->agent[agent_idx];

	agent->begun++;
	km_summary_write(&agent->summary, km_summary_pack(agent->begun, true, end_ns));
	km_changed_set(stage->rt->changed, agent_idx);
}

void km_stage_end(struct km_stage *stage, uint32_t agent_idx)
{
	struct km_agent *agent = stage->rt->agent[agent_idx];

	km_summary_write(&agent->summary, km_summary_pack(agent->begun, false, 0));
	km_changed_set(stage->rt->changed, agent_idx);
}

void km_stage_touch(struct km_stage *stage, uint32_t agent_idx)
{
	struct km_summary *summary = &stage->rt->agent[agent_idx]->summary;

	km_summary_write(summary, km_summary_read(summary));
	km_changed_set(stage->rt->changed, agent_idx);
}

void km_stage_publish(struct km_stage *stage, uint32_t agent_idx, struct km_digest *digest)
{
	struct km_agent *agent = stage->rt->agent[agent_idx];
	uint64_t version = digest->version;

	km_digest_publish(&agent->digest, digest);
	/* relaxed: published with our bit (CHANGED_R1) */
	atomic_store_explicit(&agent->summary.digest_version, version, memory_order_relaxed);
	km_changed_set(stage->rt->changed, agent_idx);
}
