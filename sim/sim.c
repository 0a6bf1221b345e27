/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/sim.c - the events, from one to the next.
 *
 * What every request goes through is here, in one piece for the compiler, and in
 * sim_serve(); what is rare has files of its own.
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_internal.h"

/* Times a conflicting commit is tried again; "more than 10 retries are allowed". */
#define RETRY_MAX 16

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

/*
 * A tournament in fours: the winner of 4 * at and on is at + 2. Places hold the winner's
 * time, so that a round waits for no load of another's. Of equals the lower agent wins.
 */
static inline void set_end(struct sim *sim, uint32_t agent_idx, uint64_t ns)
{
	struct sim_end *const end = sim->end, *four;
	uint32_t at = sim->end_at + agent_idx, a, b;
	uint64_t low, high;

	end[at].ns = ns;
	do {
		at /= 4;
		four = &end[4 * at];
		a = four[1].ns < four[0].ns;
		low = four[1].ns < four[0].ns ? four[1].ns : four[0].ns;
		b = 2 + (four[3].ns < four[2].ns);
		high = four[3].ns < four[2].ns ? four[3].ns : four[2].ns;
		a ^= (a ^ b) & -(uint32_t)(high < low); /* not a branch */
		at += 2;
		end[at].ns = high < low ? high : low;
		end[at].agent_idx = four[a].agent_idx;
	} while (at != SIM_END_ROOT);
}

/* ---- events ---------------------------------------------------------------- */

/* The classifier's answer; of a source with numbered types it is kept for good. */
static inline int classify(struct sim *sim, const struct km_arrival *arrival, struct km_type **type)
{
	*type = sim->known ? sim->known[arrival->type_idx].type : NULL;
	return km_likely(*type) ? 0 : sim_meet(sim, arrival, type);
}

static void fault(struct sim *sim, const char *what)
{
	sim->out->fault = what;
	sim->watch = true;
}

/*
 * The agent is free and @r is next. First of all what says which event comes next, as
 * the processor has to guess that till then; note_started() does the rest.
 */
static inline void begin(struct sim *sim, struct sim_agent *agent, struct sim_req *r)
{
	agent->serving = r;
	agent->defer = true;
	r->took_ns = sim_serve(sim, agent, r, &r->predicted_ns);
	r->req.start_ns = sim_start_ns(sim, agent, r->req.due_ns, r->noise);
	set_end(sim, agent->idx, r->req.start_ns + r->took_ns);
}

static inline void note_started(struct sim *sim, struct sim_agent *agent, struct sim_req *r)
{
	if (r->req.top_hit)
		sim_sample(sim, KM_SAMPLE_TYPE_HIT, r->req.type->key.id, r->took_ns);
	if (km_unlikely(r->sent_seq != agent->started_seq++))
		fault(sim, "M1: requests of one agent out of order");
	km_sched_started(sim->sched, agent->idx);
	r->req.conflicts = 0;
	sim->view->end_ns[agent->idx] = r->req.start_ns + r->predicted_ns;
	sim->out->busy_ns += r->took_ns;
}

/* What was queued first; NULL = nothing is. */
static inline struct sim_req *begin_next(struct sim *sim, struct sim_agent *agent)
{
	struct sim_req *r = agent->head;

	if (!r)
		return NULL;
	agent->head = r->next;
	if (!agent->head)
		agent->tail = NULL;
	begin(sim, agent, r);
	return r;
}

static void start_next(struct sim *sim, struct sim_agent *agent)
{
	struct sim_req *r = begin_next(sim, agent);

	if (r)
		note_started(sim, agent, r);
}

static bool is_idle(const struct sim_agent *agent)
{
	return !agent->serving && !agent->updating;
}

/* The scheduler sent @r. */
static void note_sent(struct sim *sim, struct sim_agent *agent, struct sim_req *r)
{
	r->sent_seq = agent->sent_seq++;
	if (agent->future)
		sim_future_add(sim, agent, r->req.type);
}

/* Behind what is queued. */
static void queue(struct sim_agent *agent, struct sim_req *r)
{
	r->next = NULL;
	if (agent->tail)
		agent->tail->next = r;
	else
		agent->head = r;
	agent->tail = r;
}

/* Hand over all that the agent may have now; true when there was something. */
static bool hand_over(struct sim *sim, struct sim_agent *agent)
{
	struct km_req *req;
	bool sent = false;

	while ((req = km_sched_next(sim->sched, agent->idx))) {
		note_sent(sim, agent, sim_req_of(req));
		queue(agent, sim_req_of(req));
		sent = true;
	}
	return sent;
}

static bool send(struct sim *sim, uint32_t agent_idx)
{
	struct sim_agent *agent = &sim->agent[agent_idx];
	bool sent = hand_over(sim, agent);

	if (is_idle(agent))
		start_next(sim, agent);
	return sent;
}

static void wake_background(struct sim *sim, struct sim_agent *agent)
{
	uint64_t ns;

	if (agent->head || !is_idle(agent) || sim->arrival_ns == KM_SIM_NEVER)
		return;
	ns = sim_update_begin(sim, agent);
	if (ns)
		set_end(sim, agent->idx, sim->now_ns + ns);
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
	struct sim_type *type = &sim->type[r->req.type->key.id];
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
		type->hit_nr++;
		type->hit_ns += took;
		type->hit_ms2 += ms * ms;
		return;
	}
	out->top_misses++;
	out->miss_ns += took;
	out->rule_hits += r->req.rule_hits;
	out->rule_misses += r->req.rule_misses;
	out->uncached += r->req.uncached;
	type->miss_nr++;
	type->miss_ns += took;
	type->miss_ms2 += ms * ms;
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
	set_end(sim, agent->idx, sim->now_ns + retry_ns);
	return true;
}

static void end_service(struct sim *sim, struct sim_agent *agent)
{
	struct sim_req *r = agent->serving, *next;
	bool waits;

	if (sim->cfg.conflict_servers && tries_again(sim, agent, r))
		return;
	r->req.end_ns = sim->now_ns;
	agent->last_hit = r->req.top_hit;
	sim->changes++;
	if (sim->cfg.accuracy) {
		sim_judge_served(sim, r);
		sim_judge_ghosts(sim, agent, &r->ghosts);
	}
	if (agent->change_nr)
		sim_tell_changes(sim, agent);
	agent->defer = false;
	agent->serving = NULL;
	next = begin_next(sim, agent);
	if (!next)
		set_end(sim, agent->idx, SIM_IDLE_NS);
	km_sched_finished(sim->sched, agent->idx);
	sim->view->end_ns[agent->idx] = 0;
	count_served(sim, r);
	if (sim->out->series)
		km_series_add(sim->out->series, agent->idx, r->req.due_ns, r->req.start_ns,
			      sim->now_ns);
	give_req(sim, r);
	sim->inside--;
	waits = km_sched_waiting(sim->sched);
	if (waits && hand_over(sim, agent) && !next)
		next = begin_next(sim, agent);
	if (next)
		note_started(sim, agent, next);
	if (waits)
		retry_waiting(sim);
	if (sim->cfg.idle_lag)
		wake_background(sim, agent);
}

static void end_update(struct sim *sim, struct sim_agent *agent)
{
	set_end(sim, agent->idx, SIM_IDLE_NS);
	agent->updating = NULL;
	sim_judge_ghosts(sim, agent, &agent->ghosts);
	start_next(sim, agent);
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
	__builtin_prefetch(&sim->type[known->id], 1);
	__builtin_prefetch(&sim->est->type_hit_ns[known->id]);
	km_view_prefetch(sim->view, KM_CACHE_TOP, known->id, 0);
	for (a = 0; a < sim->guess_nr; a++)
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
	struct sim_agent *agent;
	uint32_t agent_idx;
	bool sent;
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->req.id = sim->out->submitted - 1;
	r->req.due_ns = sim->now_ns;
	r->req.type = type;
	r->noise = arrival->noise;
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
	if (!sent) {
		send(sim, agent_idx);
		return err;
	}
	agent = &sim->agent[agent_idx];
	__builtin_prefetch(&agent->top[type->key.id], 1);
	note_sent(sim, agent, r);
	if (is_idle(agent)) {
		begin(sim, agent, r);
		note_started(sim, agent, r);
	} else {
		queue(agent, r);
	}
	return err;
}

static int arrive(struct sim *sim)
{
	const struct km_arrival *arrival = &sim->ahead[sim->ahead_at];
	struct km_type *type = NULL;
	int err = 0;

	if (sim->now_ns >= sim->window_end_ns)
		sim_end_window(sim);
	if (arrival->is_delete) {
		sim->changes++;
		sim->out->deletes++;
		return fetch(sim);
	}
	sim->out->submitted++;
	if (sim->inside < sim->cfg.inside_max)
		err = classify(sim, arrival, &type);
	if (err)
		return err;
	if (type)
		err = admit(sim, type, arrival);
	else
		sim->out->refused++;
	return err ? err : fetch(sim);
}

/* ---- the loop -------------------------------------------------------------- */

static int step(struct sim *sim)
{
	const struct sim_end first = sim->end[SIM_END_ROOT];
	struct sim_agent *agent = &sim->agent[first.agent_idx];

	sim->out->events++;
	if (km_unlikely(sim->timer_ns <= km_min_u64(first.ns, sim->arrival_ns))) {
		if (first.ns == SIM_IDLE_NS && sim->arrival_ns == KM_SIM_NEVER) {
			fault(sim, "M3: requests wait, no agent serves");
			return 0;
		}
		sim->now_ns = sim->timer_ns;
		sim_timers(sim);
		return 0;
	}
	if (first.ns <= sim->arrival_ns) {
		sim->now_ns = first.ns;
		if (agent->serving)
			end_service(sim, agent);
		else
			end_update(sim, agent);
		return 0;
	}
	sim->now_ns = sim->arrival_ns;
	return arrive(sim);
}

static int look(struct sim *sim, int err)
{
	struct km_sim_result *out = sim->out;

	if (sim->oom)
		err = -ENOMEM;
	if (!err && !out->fault)
		out->fault = sim_check(sim);
	if (!out->fault)
		return err;
	out->fault_event = out->events;
	return km_diag_set(sim->diag, -EPROTO, "", 0, 0, "event %llu: %s",
			   (unsigned long long)out->events, out->fault);
}

static int loop(struct sim *sim)
{
	int err = fetch(sim);

	while (!err && (sim->arrival_ns != KM_SIM_NEVER || sim->inside)) {
		err = step(sim);
		if (km_unlikely(sim->watch))
			err = look(sim, err);
	}
	return err;
}

int km_sim_run(struct km_sim_result *out, const struct km_sim_cfg *cfg, struct km_diag *diag)
{
	struct sim *sim;
	int err;

	memset(out, 0, sizeof(*out));
	km_hist_init(&out->latency);
	km_hist_init(&out->wait);
	km_hist_init(&out->processing);
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
	sim->watch = cfg->check;
	err = sim_create(sim);
	if (!err) {
		sim_start_timers(sim);
		err = loop(sim);
	}
	sim_sum_up(sim);
	sim_destroy(sim);
	return err;
}
