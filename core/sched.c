/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/sched.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/probe.h"

/* On the way of every request that is decided at once. */
#define INLINE static inline __attribute__((always_inline))

struct fifo {
	struct km_req *head, *tail;
	uint32_t nr;
};

/*
 * One part of a request that was sent. By value: once an agent has finished a
 * request its client may use the memory again before we hear of the end.
 */
struct sent_part {
	struct km_type *type;
	uint64_t est_ns;
	bool last; /* of its request */
};

/* One agent: what is held for it, and a ring of what it was sent. */
struct lane {
	struct fifo held;
	struct sent_part *part; /* [part_mask + 1] */
	uint32_t part_sent, part_started, part_finished; /* cursors into part */
	uint32_t sent_nr, started_nr, finished_nr; /* requests; all wrap at 2^32 */
};

struct km_sched {
	const struct km_policy *policy;
	struct km_view *view;
	struct km_pick pick;
	struct km_types *types; /* where finished types are put; or NULL */
	uint32_t window, part_mask, part_nr_max;
	struct fifo shared;
	struct lane *lane; /* [agent_nr] */
	uint64_t waiting_nr, inside_nr;
};

static void fifo_push(struct fifo *fifo, struct km_req *req)
{
	req->held_next = NULL;
	if (fifo->tail)
		fifo->tail->held_next = req;
	else
		fifo->head = req;
	fifo->tail = req;
	fifo->nr++;
}

static struct km_req *fifo_pop(struct fifo *fifo)
{
	struct km_req *req = fifo->head;

	if (!req)
		return NULL;
	fifo->head = req->held_next;
	if (!fifo->head)
		fifo->tail = NULL;
	fifo->nr--;
	return req;
}

uint32_t km_sched_part_max(uint32_t window_max, uint32_t part_nr_max)
{
	return (uint32_t)km_pow2_up(window_max + (part_nr_max ? part_nr_max : 1));
}

int km_sched_create(struct km_sched **out, const struct km_sched_cfg *cfg)
{
	struct km_sched *sched;
	uint32_t i, agent_nr = cfg->view->agent_nr;

	if (cfg->window_max < 2 || cfg->window_max > 32768 ||
	    (cfg->window_max & (cfg->window_max - 1)))
		return -EINVAL;
	sched = calloc(1, sizeof(*sched));
	if (!sched)
		return -ENOMEM;
	sched->policy = cfg->policy;
	sched->view = cfg->view;
	sched->types = cfg->types;
	sched->part_nr_max = cfg->part_nr_max ? cfg->part_nr_max : 1;
	sched->part_mask = km_sched_part_max(cfg->window_max, cfg->part_nr_max) - 1;
	sched->window = cfg->policy->window && cfg->policy->window < cfg->window_max
				? cfg->policy->window
				: cfg->window_max;
	km_rand_init(&sched->pick.rand, cfg->seed);
	sched->lane = calloc(agent_nr, sizeof(*sched->lane));
	if (!sched->lane)
		goto err_destroy;
	for (i = 0; i < agent_nr; i++) {
		sched->lane[i].part = calloc(sched->part_mask + 1, sizeof(struct sent_part));
		if (!sched->lane[i].part)
			goto err_destroy;
	}
	*out = sched;
	return 0;

err_destroy:
	km_sched_destroy(sched);
	return -ENOMEM;
}

void km_sched_destroy(struct km_sched *sched)
{
	uint32_t i;

	if (!sched)
		return;
	for (i = 0; sched->lane && i < sched->view->agent_nr; i++)
		free(sched->lane[i].part);
	free(sched->lane);
	free(sched);
}

INLINE void record(struct km_sched *sched, struct km_req *req, uint32_t agent_idx)
{
	const struct km_pick *pick = &sched->pick;
	struct km_decision *d = &req->decision;

	d->decided_ns = sched->view->now_ns;
	d->wait_ns = pick->wait_ns;
	d->remaining_ns = pick->remaining_ns;
	d->processing_ns = pick->processing_ns;
	d->margin_ns = pick->margin_ns;
	d->agent_idx = agent_idx;
	d->runner_up_idx = pick->runner_up_idx;
	d->top_hit = pick->top_hit;
	d->rule_hit_nr = pick->rule_hit_nr;
	req->est_ns = pick->processing_ns;
}

/* Further parts of a batch wait, count and leave together with the first. */
static __attribute__((noinline)) void assign_more(struct km_sched *sched, struct km_req *part,
						  uint32_t agent_idx)
{
	for (; part; part = part->more) {
		bool top_hit;
		uint8_t rule_hit_nr;

		part->est_ns = km_processing_ns(sched->view, part->type, agent_idx, &top_hit,
						&rule_hit_nr);
		km_view_enqueue(sched->view, agent_idx, part->type, part->est_ns);
	}
}

INLINE void assign(struct km_sched *sched, struct km_req *req, uint32_t agent_idx)
{
	const struct km_decision *d = &req->decision;

	record(sched, req, agent_idx);
	km_view_enqueue(sched->view, agent_idx, req->type, req->est_ns);
	/* Behind a call, so that no field is kept in a register for it. */
	KM_PROBE(decide, req->id, d->agent_idx, d->wait_ns, d->remaining_ns, d->processing_ns,
		 d->margin_ns, d->top_hit, d->runner_up_idx, d->rule_hit_nr);
	if (km_unlikely(req->more))
		assign_more(sched, req->more, agent_idx);
}

static uint32_t assign_own(struct km_sched *sched, struct km_req *req)
{
	uint32_t agent_idx = sched->policy->pick(sched->view, req->type, &sched->pick);

	if (agent_idx == KM_NO_AGENT)
		return KM_NO_AGENT;
	assign(sched, req, agent_idx);
	fifo_push(&sched->lane[agent_idx].held, req);
	return agent_idx;
}

/* Who takes what was just held for @home: with stealing, an idle agent when home is busy. */
static uint32_t taker(const struct km_sched *sched, uint32_t home)
{
	uint32_t w;

	if (sched->policy->queueing != KM_QUEUE_STEAL || km_view_is_open(sched->view, home))
		return home;
	for (w = 0; w < sched->view->word_nr; w++)
		if (sched->view->open[w])
			return w * 64 + (uint32_t)__builtin_ctzll(sched->view->open[w]);
	return home;
}

uint32_t km_sched_arrive(struct km_sched *sched, struct km_req *req)
{
	uint32_t agent_idx;

	sched->waiting_nr++;
	sched->inside_nr++;
	if (sched->policy->queueing == KM_QUEUE_SHARED) {
		fifo_push(&sched->shared, req);
		return sched->policy->pick(sched->view, sched->shared.head->type, &sched->pick);
	}
	if (!sched->shared.head) {
		agent_idx = assign_own(sched, req);
		if (agent_idx != KM_NO_AGENT)
			return taker(sched, agent_idx);
	}
	fifo_push(&sched->shared, req);
	return KM_NO_AGENT;
}

uint32_t km_sched_retry(struct km_sched *sched)
{
	struct km_req *req = sched->shared.head;
	uint32_t agent_idx;

	if (!req)
		return KM_NO_AGENT;
	if (sched->policy->queueing == KM_QUEUE_SHARED)
		return sched->policy->pick(sched->view, req->type, &sched->pick);
	agent_idx = sched->policy->pick(sched->view, req->type, &sched->pick);
	if (agent_idx == KM_NO_AGENT)
		return KM_NO_AGENT;
	fifo_pop(&sched->shared);
	assign(sched, req, agent_idx);
	fifo_push(&sched->lane[agent_idx].held, req);
	return agent_idx;
}

/* The agent with the most held requests, lowest index first; KM_NO_AGENT when none. */
static uint32_t longest_held(const struct km_sched *sched)
{
	uint32_t i, longest = KM_NO_AGENT, nr = 0;

	for (i = 0; i < sched->view->agent_nr; i++) {
		if (sched->lane[i].held.nr > nr) {
			nr = sched->lane[i].held.nr;
			longest = i;
		}
	}
	return longest;
}

static struct km_req *steal(struct km_sched *sched, uint32_t thief)
{
	uint32_t victim = longest_held(sched);
	struct km_req *req, *part;

	if (victim == KM_NO_AGENT)
		return NULL;
	req = fifo_pop(&sched->lane[victim].held);
	for (part = req; part; part = part->more)
		km_view_unqueue(sched->view, victim, part->type, part->est_ns);
	km_pick_describe(sched->view, req->type, &sched->pick, thief);
	assign(sched, req, thief);
	return req;
}

static struct km_req *take_shared(struct km_sched *sched, uint32_t agent_idx)
{
	struct km_req *req = fifo_pop(&sched->shared);

	if (!req)
		return NULL;
	km_pick_describe(sched->view, req->type, &sched->pick, agent_idx);
	assign(sched, req, agent_idx);
	return req;
}

/* S2, and room for the parts of any request. */
INLINE bool is_full(const struct km_sched *sched, const struct lane *lane)
{
	/* Of requests of one part each, a window full leaves room. */
	return lane->sent_nr - lane->finished_nr >= sched->window ||
	       (sched->part_nr_max > 1 &&
		lane->part_sent - lane->part_finished + sched->part_nr_max > sched->part_mask + 1);
}

INLINE void remember_sent(struct km_sched *sched, struct lane *lane, const struct km_req *req)
{
	const uint32_t mask = sched->part_mask;
	uint32_t sent_nr = lane->part_sent;
	const struct km_req *part = req;

	do {
		lane->part[sent_nr++ & mask] =
			(struct sent_part){ part->type, part->est_ns, !part->more };
	} while (km_unlikely((part = part->more) != NULL));
	lane->part_sent = sent_nr;
	lane->sent_nr++;
}

INLINE void send_now(struct km_sched *sched, uint32_t agent_idx, const struct km_req *req)
{
	struct lane *lane = &sched->lane[agent_idx];

	remember_sent(sched, lane, req);
	if (is_full(sched, lane))
		km_view_set_open(sched->view, agent_idx, false);
}

struct km_req *km_sched_next(struct km_sched *sched, uint32_t agent_idx)
{
	struct lane *lane = &sched->lane[agent_idx];
	struct km_req *req;

	if (is_full(sched, lane))
		return NULL;
	if (sched->policy->queueing == KM_QUEUE_SHARED)
		req = take_shared(sched, agent_idx);
	else
		req = fifo_pop(&lane->held);
	if (!req && sched->policy->queueing == KM_QUEUE_STEAL)
		req = steal(sched, agent_idx);
	if (!req)
		return NULL;
	send_now(sched, agent_idx, req);
	sched->waiting_nr--;
	return req;
}

uint32_t km_sched_arrive_send(struct km_sched *sched, struct km_req *req, bool *sent)
{
	struct lane *lane;
	uint32_t agent_idx;

	*sent = false;
	if (km_unlikely(sched->policy->queueing != KM_QUEUE_OWN || sched->shared.head))
		return km_sched_arrive(sched, req);
	sched->inside_nr++;
	agent_idx = sched->policy->pick(sched->view, req->type, &sched->pick);
	if (agent_idx == KM_NO_AGENT) {
		sched->waiting_nr++;
		fifo_push(&sched->shared, req);
		return KM_NO_AGENT;
	}
	lane = &sched->lane[agent_idx];
	assign(sched, req, agent_idx);
	/* It is open, hence not full. */
	if (km_unlikely(lane->held.head)) {
		sched->waiting_nr++;
		fifo_push(&lane->held, req);
		return agent_idx;
	}
	send_now(sched, agent_idx, req);
	*sent = true;
	return agent_idx;
}

void km_sched_started(struct km_sched *sched, uint32_t agent_idx)
{
	struct lane *lane = &sched->lane[agent_idx];
	struct sent_part *part;

	KM_BUG_ON(lane->started_nr == lane->sent_nr);
	lane->started_nr++;
	do {
		part = &lane->part[lane->part_started++ & sched->part_mask];
		km_view_start(sched->view, agent_idx, part->type, part->est_ns);
	} while (!part->last);
}

void km_sched_finished(struct km_sched *sched, uint32_t agent_idx)
{
	struct lane *lane = &sched->lane[agent_idx];
	struct sent_part *part;

	KM_BUG_ON(lane->finished_nr == lane->started_nr);
	lane->finished_nr++;
	do {
		part = &lane->part[lane->part_finished++ & sched->part_mask];
		km_view_finish(sched->view, agent_idx, part->type);
		if (sched->types)
			km_types_put(sched->types, part->type);
	} while (!part->last);
	/* Start over, so that a lane that is mostly empty stays on its first lines. */
	if (lane->part_finished == lane->part_sent)
		lane->part_sent = lane->part_started = lane->part_finished = 0;
	/* Closed is rare, where windows are wide. */
	if (!km_view_is_open(sched->view, agent_idx) && !is_full(sched, lane))
		km_view_set_open(sched->view, agent_idx, true);
	sched->inside_nr--;
}

uint64_t km_sched_waiting(const struct km_sched *sched)
{
	return sched->waiting_nr;
}

uint64_t km_sched_inside(const struct km_sched *sched)
{
	return sched->inside_nr;
}

struct km_sched_counts km_sched_counts(const struct km_sched *sched, uint32_t agent_idx)
{
	const struct lane *lane = &sched->lane[agent_idx];

	return (struct km_sched_counts){ lane->sent_nr, lane->started_nr, lane->finished_nr };
}
