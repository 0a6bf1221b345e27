/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/sim_internal.h - the state of one simulation, shared by its files.
 */
#ifndef KM_SIM_SIM_INTERNAL_H
#define KM_SIM_SIM_INTERNAL_H

#include "cache/cache.h"
#include "core/estimate.h"
#include "core/sched.h"
#include "sim/sim.h"

#define KM_SIM_NEVER UINT64_MAX
/* Arrivals drawn at a time. */
#define SIM_AHEAD_NR 16
/* Results whose rule objects are told of a hit later, at a time. */
#define SIM_UNTOLD_NR 32

struct sim_judged;

/* "Had this request been here": weighed when all ahead of it is done. */
struct sim_ghost {
	struct sim_ghost *next;
	struct sim_judged *judged;
};

/* A request; from the simulation's pool. */
struct sim_req {
	struct km_req req;
	struct sim_req *next; /* of its agent's queue, or of the free ones */
	uint32_t noise;
	uint32_t type_slot; /* index into result->type */
	uint64_t sent_seq; /* M1 */
	uint64_t start_rev;
	/* accuracy */
	uint64_t rule_mask; /* bit r = rule r predicted a hit */
	struct sim_judged *judged;
	struct sim_ghost *ghosts; /* that come right behind it */
};

/* A key that came or went while a request was served: told at its end. */
struct sim_change {
	struct km_key key;
	uint8_t level;
	bool present;
};

struct sim_agent {
	struct km_cache *cache;
	const struct km_cache_obj *top, *rule; /* its tables by id, to prefetch from */
	struct sim_req *head, *tail; /* sent and not started */
	struct sim_req *serving;
	struct km_cache_obj *updating; /* background; NULL = none */
	struct sim_ghost *ghosts; /* that wait for the background update's end */
	bool last_hit; /* what it served last */
	bool defer; /* changes go to the list, not to the view */
	uint32_t idx, change_nr, change_cap;
	struct sim_change *change;
	struct sim *sim;
	/*
	 * A hit brings all rule objects of the result up to date, but few of them are
	 * looked at before the next hit: their rev follows in sim_sync_revs().
	 */
	struct km_cache_obj *untold[SIM_UNTOLD_NR]; /* results that were hit; marked */
	uint32_t untold_nr;
	uint64_t bytes; /* of the cache, as last added up */
	uint64_t sent_seq, started_seq; /* M1 */

	/* the future: what the cache will be when all that is queued is served */
	struct km_cache *future;
};

/* What a number of the source's stands for. */
struct sim_known {
	struct km_type *type; /* NULL = not met yet */
	uint32_t id; /* of type */
};

struct sim {
	struct km_sim_cfg cfg;
	struct km_sim_result *out;
	struct km_diag *diag;
	struct km_source *source;
	const struct km_costs *costs;
	bool hands_over; /* the costs say what passes before a start */
	uint32_t rule_nr, type_cap, rule_obj_cap;

	struct km_types *types;
	struct km_view *view;
	struct km_sched *sched;
	struct km_estimator *estimator;
	struct km_estimates *est;
	bool est_stale;

	struct sim_agent *agent;
	uint64_t *done_ns; /* [leaf_nr] end of service or update; KM_SIM_NEVER = none */
	uint32_t *winner; /* [leaf_nr] tournament over done_ns; 1 is the root */
	uint32_t leaf_nr;

	struct sim_known *known; /* [source->type_nr] interned once; NULL = each time */
	struct km_cost_type *cost; /* [type_cap] */
	uint64_t *miss_ns; /* [type_cap][rule_nr] */
	uint64_t cost_known_nr, cost_unknown_nr;

	uint64_t now_ns, changes; /* inventory changes by commits and deletes so far */
	uint64_t delete_ns; /* one more every so often */
	uint64_t inside; /* accepted and not completed */
	struct km_arrival ahead[SIM_AHEAD_NR]; /* the next one is at ahead_at */
	uint32_t ahead_at, ahead_nr;
	uint64_t arrival_ns; /* KM_SIM_NEVER after the last */
	uint64_t publish_ns, age_ns; /* next */

	struct sim_req *free_req;
	void **block; /* what was allocated */
	uint32_t block_nr;
	struct sim_ghost *free_ghost;
	struct sim_judged *free_judged;

	/* the window under way */
	uint64_t window_end_ns, window_submitted, window_completed;
	bool window_saturated; /* at its start */

	uint64_t bytes; /* of all caches */
	uint64_t bytes_since_ns;
	unsigned __int128 bytes_area; /* byte nanoseconds */
	uint64_t oom; /* an allocation in a callback failed */

	/* accuracy and oracle */
	uint64_t *mask; /* [agent_nr] predicted rule hits of the request at hand */
	uint64_t *exact_ns; /* [agent_nr] */
};

/* Inventory revision now; 1 at the start. */
static inline uint64_t sim_rev(const struct sim *sim)
{
	return 1 + sim->changes + (sim->delete_ns ? sim->now_ns / sim->delete_ns : 0);
}

static inline struct km_cost_type *sim_cost(struct sim *sim, const struct km_type *type)
{
	return &sim->cost[type->key.id];
}

static inline uint64_t *sim_miss_ns(struct sim *sim, const struct km_type *type)
{
	return &sim->miss_ns[(size_t)type->key.id * sim->rule_nr];
}

/* @nr objects of @bytes each, zeroed, freed with the simulation; NULL = out of memory. */
void *sim_block(struct sim *sim, size_t nr, size_t bytes);

/* When a request really starts that is next on @agent, which is free now. */
uint64_t sim_start_ns(const struct sim *sim, const struct sim_agent *agent, uint64_t due_ns,
		      uint32_t noise);

/* sim/serve.c: what an agent does. */

/*
 * Look up, insert, evict for @r on @agent now.
 * @predicted_ns: set to what the agent expects, by its cache before it.
 * Return: how long it takes.
 */
uint64_t sim_serve(struct sim *sim, struct sim_agent *agent, struct sim_req *r,
		   uint64_t *predicted_ns);
/* Bring the revs of rule objects up to date: before one is read, or a result leaves. */
void sim_sync_revs(struct sim_agent *agent);
/* The same without doing it. */
uint64_t sim_weigh(struct sim *sim, struct sim_agent *agent, const struct km_type *type,
		   uint32_t noise);
/* Begin to bring the oldest result up to date; 0 = none lags enough, else the time. */
uint64_t sim_update_begin(struct sim *sim, struct sim_agent *agent);
/* Whether the commit met another's; then how long the retry takes. */
bool sim_conflicts(struct sim *sim, struct sim_req *r, uint64_t *retry_ns);
/* Add up the cache's bytes after they may have changed. */
void sim_count_bytes(struct sim *sim, struct sim_agent *agent);
/* Apply @type to the cache that @agent will have once its queue is served. */
void sim_future_add(struct sim *sim, struct sim_agent *agent, const struct km_type *type);

/* sim/judge.c: accuracy. */

/* Before the decision: what is predicted for each agent. */
void sim_judge_before(struct sim *sim, const struct km_type *type);
/* After it: set up the comparison with the other agents. */
int sim_judge_after(struct sim *sim, struct sim_req *r);
/* All ahead of @ghosts on @agent is done. */
void sim_judge_ghosts(struct sim *sim, struct sim_agent *agent, struct sim_ghost **ghosts);
/* @r was served. */
void sim_judge_served(struct sim *sim, struct sim_req *r);
/* Exact processing time of the request at hand on every agent, for the oracle. */
void sim_exact(struct sim *sim, const struct km_type *type, uint32_t noise);

#endif
