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
/* An agent that serves nobody ends: before never, and later than anything else. */
#define SIM_IDLE_NS (KM_SIM_NEVER - 1)
/* Arrivals drawn at a time. */
#define SIM_AHEAD_NR 16

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
	uint64_t sent_seq; /* M1 */
	uint64_t start_rev;
	uint64_t took_ns, predicted_ns; /* of the service; predicted by its agent */
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
	 * Which inventory revision each cached rule object reflects: side by side, as a hit
	 * brings all those of the result up to date. Looked at by misses alone: until then
	 * the results that were hit are remembered, once each.
	 */
	uint64_t *rule_rev; /* [rule_obj_cap] */
	struct km_cache_obj **untold; /* [type_cap + 1], marked; sim_sync_revs() tells them */
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

/* What is kept of a type, by id; a hit touches the first line alone. */
struct sim_type {
	alignas(64) struct km_cost_type cost;
	uint64_t hit_nr, hit_ns;
	double hit_ms2;
	alignas(64) uint64_t miss_nr;
	uint64_t miss_ns;
	double miss_ms2;
};
static_assert(sizeof(struct sim_type) == 128, "two lines");

/* A place of the tournament over the agents' ends; rivals are four, on one line. */
struct sim_end {
	uint64_t ns; /* SIM_IDLE_NS = none */
	uint32_t agent_idx; /* whose */
};
#define SIM_END_ROOT 3

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
	struct sim_end *end; /* of services and updates; at SIM_END_ROOT the first of all */
	uint32_t end_at; /* where agent 0's is; the others' follow */

	struct sim_known *known; /* [source->type_nr] interned once; NULL = each time */
	struct sim_type *type; /* [type_cap] */
	uint64_t *miss_ns; /* [type_cap][rule_nr] */
	uint64_t cost_known_nr, cost_unknown_nr;

	uint64_t now_ns, changes; /* inventory changes by commits and deletes so far */
	uint64_t delete_ns; /* one more every so often */
	uint64_t inside; /* accepted and not completed */
	struct km_arrival ahead[SIM_AHEAD_NR]; /* the next one is at ahead_at */
	uint32_t ahead_at, ahead_nr;
	uint32_t guess_nr; /* agents one of which will likely serve, where no decision tells first */
	uint64_t arrival_ns; /* KM_SIM_NEVER after the last */
	uint64_t publish_ns, age_ns; /* next */
	uint64_t timer_ns; /* the earlier of the two */
	bool watch; /* look for faults after each event: cfg.check, or there is one */

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
	bool oom; /* an allocation in a callback failed */

	/* accuracy and oracle */
	uint64_t *mask; /* [agent_nr] predicted rule hits of the request at hand */
	uint64_t *exact_ns; /* [agent_nr] */
};

/* The revision that rule object @obj of @agent reflects; after sim_sync_revs(). */
static inline uint64_t *sim_rule_rev(const struct sim_agent *agent, const struct km_cache_obj *obj)
{
	return &agent->rule_rev[obj - agent->rule];
}

/* Inventory revision now; 1 at the start. */
static inline uint64_t sim_rev(const struct sim *sim)
{
	return 1 + sim->changes + (sim->delete_ns ? sim->now_ns / sim->delete_ns : 0);
}

/* What an agent measured, for the estimator. */
static inline void sim_sample(struct sim *sim, enum km_sample_kind kind, uint32_t id, uint64_t ns)
{
	km_estimator_add(sim->estimator, km_sample_pack(kind, id, ns));
	sim->est_stale = true;
}

static inline struct km_cost_type *sim_cost(struct sim *sim, const struct km_type *type)
{
	return &sim->type[type->key.id].cost;
}

static inline uint64_t *sim_miss_ns(struct sim *sim, const struct km_type *type)
{
	return &sim->miss_ns[(size_t)type->key.id * sim->rule_nr];
}

/* When a request starts that is next on @agent, where threads take time to hand over. */
uint64_t sim_handed_over_ns(const struct sim *sim, const struct sim_agent *agent, uint64_t due_ns,
			    uint32_t noise);

/* When a request really starts that is next on @agent, which is free now. */
static inline uint64_t sim_start_ns(const struct sim *sim, const struct sim_agent *agent,
				    uint64_t due_ns, uint32_t noise)
{
	return sim->hands_over ? sim_handed_over_ns(sim, agent, due_ns, noise) : sim->now_ns;
}

/* sim/create.c: what it is made of. */

/* Check cfg, fill in its defaults, make everything; sim_destroy() also after an error. */
int sim_create(struct sim *sim);
void sim_destroy(struct sim *sim);
/* @nr objects of @bytes each, zeroed, freed with the simulation; NULL = out of memory. */
void *sim_block(struct sim *sim, size_t nr, size_t bytes);

/* sim/meet.c: classify; @type: set to NULL when every id is in use. */
int sim_meet(struct sim *sim, const struct km_arrival *arrival, struct km_type **type);

/* sim/timers.c: what is due now, and when it is due next. */
void sim_start_timers(struct sim *sim);
void sim_timers(struct sim *sim);

/* sim/check.c: M1 to M4; NULL, or which is broken. */
const char *sim_check(const struct sim *sim);

/* sim/result.c: what is reported. */

/* Between the last arrival of a window and the first of the next. */
void sim_end_window(struct sim *sim);
/* At the end, be it an early one. */
void sim_sum_up(struct sim *sim);

/* sim/serve.c: what an agent does. */

/* What a cache, and a future one, tells of its objects (km_cache_cfg.changed). */
void sim_cache_changed(void *owner, enum km_cache_level level, struct km_key key, bool present);
void sim_future_changed(void *owner, enum km_cache_level level, struct km_key key, bool present);
/* Tell the view what came and went, as an agent publishes its digest when a request has ended. */
void sim_tell_changes(struct sim *sim, struct sim_agent *agent);

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
