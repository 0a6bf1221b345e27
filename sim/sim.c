/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host.h"
#include "sim/sim_internal.h"

#define ESTIMATE_PERIOD_NS UINT64_C(10000000000)
#define INSIDE_MAX 16384
/* Times a conflicting commit is tried again; "more than 10 retries are allowed". */
#define RETRY_MAX 16
/* Caches age this often within their limit. */
#define AGE_PARTS 16
#define CHECK_CACHE_EVERY 1024
/* With more agents the one that will serve is too unlikely among them. */
#define PREFETCH_AGENT_NR 8

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

/* ---- requests -------------------------------------------------------------- */

static struct sim_req *take_req(struct sim *sim)
{
	struct sim_req *r = sim->free_req, *block;
	uint32_t i;

	if (!r) {
		block = sim_block(sim, 64, sizeof(*block));
		for (i = 0; block && i < 64; i++) {
			block[i].next = r;
			r = &block[i];
		}
	}
	if (r)
		sim->free_req = r->next;
	return r;
}

static void give_req(struct sim *sim, struct sim_req *r)
{
	r->next = sim->free_req;
	sim->free_req = r;
}

static struct sim_req *sim_req_of(struct km_req *req)
{
	return km_container_of(req, struct sim_req, req);
}

/* ---- the next end ---------------------------------------------------------- */

static inline uint32_t earlier(const struct sim *sim, uint32_t a, uint32_t b)
{
	return sim->done_ns[b] < sim->done_ns[a] ? b : a; /* a is the lower index */
}

static inline void set_done(struct sim *sim, uint32_t agent_idx, uint64_t ns)
{
	uint32_t at = (agent_idx + sim->leaf_nr) / 2;

	sim->done_ns[agent_idx] = ns;
	sim->winner[at] = earlier(sim, agent_idx & ~1u, agent_idx | 1u);
	for (at /= 2; at > 0; at /= 2)
		sim->winner[at] = earlier(sim, sim->winner[2 * at], sim->winner[2 * at + 1]);
}

/* ---- what the view hears of caches ----------------------------------------- */

static void cache_changed(void *owner, enum km_cache_level level, struct km_key key, bool present)
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
			agent->sim->oom++;
			return;
		}
		agent->change = grown;
		agent->change_cap = agent->change_cap * 2 + 64;
	}
	agent->change[agent->change_nr++] = (struct sim_change){ key, (uint8_t)level, present };
}

/* As an agent publishes its digest when a request has ended. */
static void tell_changes(struct sim *sim, struct sim_agent *agent)
{
	uint32_t i;

	for (i = 0; i < agent->change_nr; i++)
		km_view_note_cached(sim->view, agent->idx, agent->change[i].level,
				    agent->change[i].key, agent->change[i].present);
	agent->change_nr = 0;
	agent->defer = false;
}

static void future_changed(void *owner, enum km_cache_level level, struct km_key key, bool present)
{
	struct sim_agent *agent = owner;

	km_view_note_future(agent->sim->view, agent->idx, level, key, present);
}

/* ---- events ---------------------------------------------------------------- */

static int refuse_profile(struct sim *sim)
{
	return km_diag_set(sim->diag, -EINVAL, "", 0, 0,
			   "the cost profile knows %llu of the first %llu types: "
			   "it was recorded from another trace",
			   (unsigned long long)sim->cost_known_nr,
			   (unsigned long long)(sim->cost_known_nr + sim->cost_unknown_nr));
}

/* A type id with a meaning it did not have: name it and work out its times. */
static int meet_type(struct sim *sim, const struct km_type *type)
{
	if (km_costs_knows(sim->costs, type->hash))
		sim->cost_known_nr++;
	else
		sim->cost_unknown_nr++;
	if (sim->cost_known_nr + sim->cost_unknown_nr == KM_SIM_PROFILE_TYPES &&
	    sim->cost_known_nr < KM_SIM_PROFILE_TYPES / 2)
		return refuse_profile(sim);
	km_estimator_name(sim->estimator, type->key.id, type->hash);
	/* A recycled id keeps what it meant until the table is refreshed, as in the runtime. */
	if (type->key.gen == KM_GEN_FIRST)
		sim->est->type_hit_ns[type->key.id] = sim->est->any_hit_ns;
	km_cost_type_fill(sim->costs, type, sim_cost(sim, type), sim_miss_ns(sim, type));
	return 0;
}

/* The classifier's answer; of a source with numbered types it is kept for good. */
static struct km_type *classify(struct sim *sim, const struct km_arrival *arrival)
{
	struct km_type *type;

	if (sim->known && sim->known[arrival->type_idx].type)
		return sim->known[arrival->type_idx].type;
	type = km_types_get(sim->types, arrival->trait);
	if (type && sim->known)
		sim->known[arrival->type_idx] = (struct sim_known){ type, type->key.id };
	return type;
}

uint64_t sim_start_ns(const struct sim *sim, const struct sim_agent *agent, uint64_t due_ns,
		      uint32_t noise)
{
	const bool asks = sim->cfg.policy->queueing != KM_QUEUE_OWN;
	const enum km_handover after = agent->last_hit ? KM_HANDOVER_AFTER_HIT
						       : KM_HANDOVER_AFTER_MISS;

	if (!sim->hands_over)
		return sim->now_ns;
	return km_max_u64(due_ns + km_cost_handover(sim->costs, KM_HANDOVER_IDLE, asks, noise),
			  sim->now_ns + km_cost_handover(sim->costs, after, asks, noise));
}

static void start(struct sim *sim, struct sim_agent *agent)
{
	struct sim_req *r = agent->head;
	uint64_t predicted_ns, ns;

	agent->head = r->next;
	if (!agent->head)
		agent->tail = NULL;
	if (r->sent_seq != agent->started_seq++)
		sim->out->fault = "M1: requests of one agent out of order";
	km_sched_started(sim->sched, agent->idx);
	agent->serving = r;
	agent->defer = true;
	r->req.start_ns = sim_start_ns(sim, agent, r->req.due_ns, r->noise);
	r->req.conflicts = 0;
	ns = sim_serve(sim, agent, r, &predicted_ns);
	sim->view->end_ns[agent->idx] = r->req.start_ns + predicted_ns;
	sim->out->busy_ns += ns;
	set_done(sim, agent->idx, r->req.start_ns + ns);
}

static void start_if_idle(struct sim *sim, struct sim_agent *agent)
{
	if (agent->head && !agent->serving && !agent->updating)
		start(sim, agent);
}

/* The scheduler sent @r: behind what is queued. */
static void take(struct sim *sim, struct sim_agent *agent, struct sim_req *r)
{
	r->next = NULL;
	r->sent_seq = agent->sent_seq++;
	if (agent->tail)
		agent->tail->next = r;
	else
		agent->head = r;
	agent->tail = r;
	if (agent->future)
		sim_future_add(sim, agent, r->req.type);
}

/* Hand over all that the agent may have now; true when there was something. */
static bool send(struct sim *sim, uint32_t agent_idx)
{
	struct sim_agent *agent = &sim->agent[agent_idx];
	struct km_req *req;
	bool sent = false;

	while ((req = km_sched_next(sim->sched, agent_idx))) {
		take(sim, agent, sim_req_of(req));
		sent = true;
	}
	start_if_idle(sim, agent);
	return sent;
}

static void wake_background(struct sim *sim, struct sim_agent *agent)
{
	uint64_t ns;

	if (agent->serving || agent->head || agent->updating || sim->arrival_ns == KM_SIM_NEVER)
		return;
	ns = sim_update_begin(sim, agent);
	if (ns)
		set_done(sim, agent->idx, sim->now_ns + ns);
}

/* What waits for any agent, now that one opened. */
static void retry_waiting(struct sim *sim)
{
	uint32_t agent_idx;

	while (km_sched_waiting(sim->sched)) {
		agent_idx = km_sched_retry(sim->sched);
		if (agent_idx == KM_NO_AGENT || !send(sim, agent_idx))
			return;
	}
}

static void count_served(struct sim *sim, const struct sim_req *r)
{
	struct km_sim_result *out = sim->out;
	uint64_t took = r->req.end_ns - r->req.start_ns;
	struct km_sim_type *mean = &out->type[r->type_slot];
	double ms = (double)took / 1e6;

	out->completed++;
	if (r->req.id < sim->cfg.warmup_nr)
		return;
	out->measured++;
	km_hist_add(&out->latency, r->req.end_ns - r->req.due_ns);
	km_hist_add(&out->wait, r->req.start_ns - r->req.due_ns);
	km_hist_add(&out->processing, took);
	if (r->req.top_hit) {
		out->top_hits++;
		out->hit_ns += took;
		mean->hit_nr++;
		mean->hit_ns += took;
		mean->hit_ms2 += ms * ms;
		return;
	}
	out->top_misses++;
	out->miss_ns += took;
	out->rule_hits += r->req.rule_hits;
	out->rule_misses += r->req.rule_misses;
	out->uncached += r->req.uncached;
	mean->miss_nr++;
	mean->miss_ns += took;
	mean->miss_ms2 += ms * ms;
}

/* Whether it is not over: another took its server, and it tries again. */
static bool tries_again(struct sim *sim, struct sim_agent *agent, struct sim_req *r)
{
	uint64_t retry_ns;

	if (!sim_conflicts(sim, r, &retry_ns))
		return false;
	if (r->req.conflicts > RETRY_MAX) {
		sim->out->retries_exhausted++;
		return false;
	}
	sim->out->busy_ns += retry_ns;
	set_done(sim, agent->idx, sim->now_ns + retry_ns);
	return true;
}

static void end_service(struct sim *sim, struct sim_agent *agent)
{
	struct sim_req *r = agent->serving;

	if (sim->cfg.conflict_servers && tries_again(sim, agent, r))
		return;
	agent->serving = NULL;
	r->req.end_ns = sim->now_ns;
	agent->last_hit = r->req.top_hit;
	sim->changes++;
	tell_changes(sim, agent);
	km_sched_finished(sim->sched, agent->idx);
	sim->view->end_ns[agent->idx] = 0;
	count_served(sim, r);
	if (sim->out->series)
		km_series_add(sim->out->series, agent->idx, r->req.due_ns, r->req.start_ns,
			      sim->now_ns);
	if (sim->cfg.accuracy) {
		sim_judge_served(sim, r);
		sim_judge_ghosts(sim, agent, &r->ghosts);
	}
	give_req(sim, r);
	sim->inside--;
	if (km_sched_waiting(sim->sched)) {
		send(sim, agent->idx);
		retry_waiting(sim);
	}
	start_if_idle(sim, agent);
	if (!agent->serving)
		set_done(sim, agent->idx, KM_SIM_NEVER);
	if (sim->cfg.idle_lag)
		wake_background(sim, agent);
}

static void end_update(struct sim *sim, struct sim_agent *agent)
{
	set_done(sim, agent->idx, KM_SIM_NEVER);
	agent->updating = NULL;
	sim_judge_ghosts(sim, agent, &agent->ghosts);
	if (agent->head)
		start(sim, agent);
	else
		wake_background(sim, agent);
}

/* What a request of the type will touch, as far as one can tell before its turn. */
static void prefetch_known(const struct sim *sim, uint32_t type_idx)
{
	const struct sim_known *known = &sim->known[type_idx];
	uint32_t a;

	if (!known->type)
		return;
	__builtin_prefetch(known->type);
	__builtin_prefetch(&known->type->rule[0]);
	__builtin_prefetch(&known->type->rule[8]);
	__builtin_prefetch(&sim->cost[known->id]);
	__builtin_prefetch(&sim->est->type_hit_ns[known->id]);
	__builtin_prefetch(&sim->out->type[type_idx], 1);
	km_view_prefetch(sim->view, KM_CACHE_TOP, known->id, 0);
	for (a = 0; a < km_min_u64(sim->cfg.agent_nr, PREFETCH_AGENT_NR); a++)
		__builtin_prefetch(&sim->agent[a].top[known->id], 1);
}

/* The source gives some at a time: its own tables are near then, and ours come nearer. */
static int draw_ahead(struct sim *sim)
{
	int got = sim->source->next(sim->source, sim->ahead, SIM_AHEAD_NR, sim->diag);
	uint32_t i;

	sim->ahead_at = 0;
	sim->ahead_nr = got > 0 ? (uint32_t)got : 0;
	for (i = 0; sim->known && i < sim->ahead_nr; i++)
		prefetch_known(sim, sim->ahead[i].type_idx);
	return got < 0 ? got : 0;
}

static int fetch(struct sim *sim)
{
	int err = 0;

	sim->arrival_ns = KM_SIM_NEVER;
	if (sim->out->submitted >= sim->cfg.request_max)
		return 0;
	if (++sim->ahead_at >= sim->ahead_nr)
		err = draw_ahead(sim);
	if (sim->ahead_nr)
		sim->arrival_ns = km_max_u64(sim->ahead[sim->ahead_at].at_ns, sim->now_ns);
	return err;
}

static int admit(struct sim *sim, struct km_type *type, const struct km_arrival *arrival)
{
	struct sim_req *r = take_req(sim);
	uint32_t agent_idx;
	bool sent;
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->req.id = sim->out->submitted - 1;
	r->req.due_ns = sim->now_ns;
	r->req.type = type;
	r->noise = arrival->noise;
	r->type_slot = sim->known ? arrival->type_idx : type->key.id;
	sim->view->now_ns = sim->now_ns;
	if (sim->cfg.accuracy)
		sim_judge_before(sim, type);
	if (sim->exact_ns)
		sim_exact(sim, type, r->noise);
	sim->inside++;
	sim->out->inside_peak = km_max_u64(sim->out->inside_peak, sim->inside);
	agent_idx = km_sched_arrive_send(sim->sched, &r->req, &sent);
	if (agent_idx == KM_NO_AGENT)
		return 0;
	if (sim->cfg.accuracy && sim->cfg.policy->queueing == KM_QUEUE_OWN)
		err = sim_judge_after(sim, r);
	if (sent) {
		take(sim, &sim->agent[agent_idx], r);
		start_if_idle(sim, &sim->agent[agent_idx]);
	} else {
		send(sim, agent_idx);
	}
	return err;
}

/* Between the last arrival of a window and the first of the next. */
static void end_window(struct sim *sim)
{
	struct km_sim_result *out = sim->out;
	uint64_t arrived = out->submitted - sim->window_submitted;
	uint64_t completed = out->completed - sim->window_completed;
	bool saturated = sim->inside >= 4 * (uint64_t)sim->cfg.agent_nr;

	if (sim->window_end_ns && sim->window_submitted >= sim->cfg.warmup_nr) {
		out->window_nr++;
		out->window_arrived_max = km_max_u64(out->window_arrived_max, arrived);
		out->window_completed_max = km_max_u64(out->window_completed_max, completed);
		if (saturated && sim->window_saturated) {
			out->saturated_nr++;
			out->saturated_completed += completed;
		}
	}
	sim->window_saturated = saturated;
	sim->window_submitted = out->submitted;
	sim->window_completed = out->completed;
	sim->window_end_ns = (sim->now_ns / KM_SIM_WINDOW_NS + 1) * KM_SIM_WINDOW_NS;
}

static int arrive(struct sim *sim)
{
	const struct km_arrival *arrival = &sim->ahead[sim->ahead_at];
	struct km_type *type;
	int err = 0;

	if (sim->now_ns >= sim->window_end_ns)
		end_window(sim);
	if (arrival->is_delete) {
		sim->changes++;
		sim->out->deletes++;
		return fetch(sim);
	}
	sim->out->submitted++;
	type = sim->inside < sim->cfg.inside_max ? classify(sim, arrival) : NULL;
	if (!type)
		sim->out->refused++;
	else if (sim_cost(sim, type)->gen != type->key.gen)
		err = meet_type(sim, type);
	if (type && !err)
		err = admit(sim, type, arrival);
	return err ? err : fetch(sim);
}

static void publish(struct sim *sim)
{
	sim->publish_ns = sim->now_ns + sim->cfg.estimate_period_ns;
	if (!sim->est_stale)
		return;
	km_estimator_refresh(sim->estimator, sim->est);
	sim->est_stale = false;
}

static void age(struct sim *sim)
{
	uint32_t a;

	for (a = 0; a < sim->cfg.agent_nr; a++) {
		sim_sync_revs(&sim->agent[a]);
		sim->out->aged += km_cache_age(sim->agent[a].cache, sim->now_ns);
		if (sim->agent[a].future)
			(void)km_cache_age(sim->agent[a].future, sim->now_ns);
		sim_count_bytes(sim, &sim->agent[a]);
	}
	sim->age_ns = sim->now_ns + km_max_u64(sim->cfg.age_ns / AGE_PARTS, 1);
}

/* ---- M1 to M4 -------------------------------------------------------------- */

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

static const char *check_all(const struct sim *sim)
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

/* ---- the loop -------------------------------------------------------------- */

static void timers(struct sim *sim)
{
	if (sim->now_ns >= sim->age_ns)
		age(sim);
	if (sim->now_ns >= sim->publish_ns)
		publish(sim);
}

static int step(struct sim *sim)
{
	uint32_t first = sim->winner[1];
	uint64_t done_ns = sim->done_ns[first];
	uint64_t timer_ns = km_min_u64(sim->publish_ns, sim->age_ns);
	struct sim_agent *agent = &sim->agent[first];

	sim->out->events++;
	if (done_ns == KM_SIM_NEVER && sim->arrival_ns == KM_SIM_NEVER) {
		sim->out->fault = "M3: requests wait, no agent serves";
		return 0;
	}
	if (timer_ns <= done_ns && timer_ns <= sim->arrival_ns) {
		sim->now_ns = timer_ns;
		timers(sim);
		return 0;
	}
	if (done_ns <= sim->arrival_ns) {
		sim->now_ns = done_ns;
		if (agent->serving)
			end_service(sim, agent);
		else
			end_update(sim, agent);
		return 0;
	}
	sim->now_ns = sim->arrival_ns;
	return arrive(sim);
}

static int loop(struct sim *sim)
{
	struct km_sim_result *out = sim->out;
	int err = fetch(sim);

	while (!err && (sim->arrival_ns != KM_SIM_NEVER || sim->inside)) {
		err = step(sim);
		if (km_unlikely(sim->oom))
			err = -ENOMEM;
		if (sim->cfg.check && !err && !out->fault)
			out->fault = check_all(sim);
		if (km_unlikely(out->fault != NULL)) {
			out->fault_event = out->events;
			return km_diag_set(sim->diag, -EPROTO, "", 0, 0, "event %llu: %s",
					   (unsigned long long)out->events, out->fault);
		}
	}
	return err;
}

static void sum_up(struct sim *sim)
{
	struct km_sim_result *out = sim->out;
	const struct km_cache_stats *stats;
	double capacity = (double)sim->now_ns * sim->cfg.agent_nr;
	uint32_t a;

	out->end_ns = sim->now_ns;
	out->lost = out->submitted - out->completed - out->refused;
	sim->bytes_area += (unsigned __int128)sim->bytes * (sim->now_ns - sim->bytes_since_ns);
	out->cache_bytes_mean = sim->now_ns ? (double)sim->bytes_area / (double)sim->now_ns : 0;
	for (a = 0; sim->agent && a < sim->cfg.agent_nr; a++) {
		if (!sim->agent[a].cache)
			continue; /* out of memory while it was built */
		stats = km_cache_stats(sim->agent[a].cache);
		out->evicted += stats->evicted_lru[KM_CACHE_TOP];
	}
	out->unstable = out->refused > out->submitted / 1000 ||
			(double)out->busy_ns > 0.999 * capacity;
}

/* ---- building it ----------------------------------------------------------- */

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
	       ids * 5 + 65536;
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
		.changed = cache_changed,
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
		cache_cfg.changed = cache_changed;
		err = km_cache_create(&agent->cache, &cache_cfg);
		if (err)
			break;
		agent->top = km_cache_objs(agent->cache, KM_CACHE_TOP);
		agent->rule = km_cache_objs(agent->cache, KM_CACHE_RULE);
		if (cfg->policy->needs != KM_NEEDS_FUTURE)
			continue;
		cache_cfg.changed = future_changed;
		err = km_cache_create(&agent->future, &cache_cfg);
	}
	return err;
}

static int create_tables(struct sim *sim)
{
	const struct km_sim_cfg *cfg = &sim->cfg;
	uint32_t i, nr = cfg->agent_nr;

	sim->leaf_nr = (uint32_t)km_max_u64(km_pow2_up(nr), 2);
	sim->agent = calloc(nr, sizeof(*sim->agent));
	sim->done_ns = calloc(sim->leaf_nr, sizeof(*sim->done_ns));
	sim->winner = calloc(sim->leaf_nr, sizeof(*sim->winner));
	sim->cost = calloc(sim->type_cap, sizeof(*sim->cost));
	sim->miss_ns = calloc((size_t)sim->type_cap * sim->rule_nr, sizeof(*sim->miss_ns));
	sim->mask = calloc(nr, sizeof(*sim->mask));
	sim->out->type_nr = sim->type_cap;
	sim->out->type = calloc(sim->type_cap, sizeof(*sim->out->type));
	if (!sim->agent || !sim->done_ns || !sim->winner || !sim->cost || !sim->miss_ns ||
	    !sim->mask || !sim->out->type)
		return -ENOMEM;
	for (i = 0; i < sim->leaf_nr; i++)
		sim->done_ns[i] = KM_SIM_NEVER;
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

static void destroy(struct sim *sim)
{
	uint32_t i;

	for (i = 0; sim->agent && i < sim->cfg.agent_nr; i++) {
		km_cache_destroy(sim->agent[i].cache);
		km_cache_destroy(sim->agent[i].future);
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
	free(sim->cost);
	free(sim->winner);
	free(sim->done_ns);
	free(sim->agent);
	free(sim);
}

int km_sim_run(struct km_sim_result *out, const struct km_sim_cfg *cfg, struct km_diag *diag)
{
	struct sim *sim;
	uint32_t i;
	int err = check_cfg(cfg, diag);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return -ENOMEM;
	sim->cfg = *cfg;
	sim->out = out;
	sim->diag = diag;
	sim->source = cfg->source;
	sim->costs = cfg->costs;
	sim->hands_over = km_costs_hand_over(cfg->costs);
	sim->delete_ns = cfg->source->delete_ns;
	km_hist_init(&out->latency);
	km_hist_init(&out->wait);
	km_hist_init(&out->processing);
	set_defaults(sim);
	err = cfg->series ? km_series_create(&out->series, cfg->agent_nr, 0) : 0;
	if (!err)
		err = check_memory(sim);
	if (!err)
		err = create_tables(sim);
	if (!err)
		err = create_core(sim);
	if (!err)
		err = create_agents(sim);
	if (!err) {
		for (i = 0; i < sim->leaf_nr; i++)
			set_done(sim, i, KM_SIM_NEVER);
		sim->view->exact_ns = sim->exact_ns;
		sim->publish_ns = sim->cfg.estimate_period_ns;
		sim->age_ns = cfg->age_ns ? km_max_u64(cfg->age_ns / AGE_PARTS, 1) : KM_SIM_NEVER;
	}
	if (!err)
		err = loop(sim);
	sum_up(sim);
	destroy(sim);
	return err;
}

void km_sim_result_fini(struct km_sim_result *result)
{
	free(result->type);
	result->type = NULL;
	km_series_destroy(result->series);
	result->series = NULL;
}
