/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/dispatcher.c - the thread that decides: look at the agents, classify,
 * choose, hand over.
 *
 * The decision path, from km_types_get() to the ring, takes no lock, makes no
 * system call (waking a parked agent apart) and allocates nothing
 * (tests/unit/decision_path_test.c counts).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/runtime_internal.h"
#include "lib/clock.h"
#include "lib/probe.h"

/* With fewer agents a scan costs less than keeping bounds. */
#define BOUNDS_AGENT_NR 64

/* Types that come to one agent at a time; agents that hold back others' work may have any. */
static uint32_t coming_max(const struct km_runtime_cfg *cfg)
{
	if (cfg->policy->queueing == KM_QUEUE_STEAL)
		return 0;
	return km_sched_part_max(cfg->window, cfg->workload->part_nr_max);
}

int km_dispatcher_init(struct km_runtime *rt)
{
	struct km_dispatcher *d = &rt->dispatcher;
	const struct km_runtime_cfg *cfg = &rt->cfg;
	const struct km_types_cfg types_cfg = {
		.type_cap = cfg->type_cap,
		.rule_obj_cap = cfg->rule_obj_cap,
		.trait_nr = cfg->workload->trait_nr,
		.rule_nr = cfg->workload->rule_nr,
		.rules = cfg->workload->rules,
	};
	const struct km_view_cfg view_cfg = {
		.agent_nr = rt->agent_nr,
		.rule_nr = cfg->workload->rule_nr,
		.type_cap = cfg->type_cap,
		.rule_obj_cap = cfg->rule_obj_cap,
		.coming_max = coming_max(cfg),
		.count_serving = cfg->count_serving,
		.bounds = rt->agent_nr > BOUNDS_AGENT_NR,
	};
	struct km_sched_cfg sched_cfg = {
		.policy = cfg->policy,
		.window_max = cfg->window,
		.part_nr_max = cfg->workload->part_nr_max,
		.seed = cfg->seed,
	};
	uint32_t i;
	int err;

	km_hist_init(&d->decision_ns);
	km_park_init(&d->park, false);
	rt->changed =
		aligned_alloc(KM_SHARE_BYTES, KM_CHANGED_NR(rt->agent_nr) * sizeof(*rt->changed));
	if (!rt->changed || km_show_init(&d->show, rt->agent_nr))
		return -ENOMEM;
	for (i = 0; i < KM_CHANGED_NR(rt->agent_nr); i++)
		atomic_init(&rt->changed[i].bits, 0);
	err = km_records_create(&d->records);
	if (!err)
		err = km_types_create(&d->types, &types_cfg);
	if (!err)
		err = km_view_create(&d->view, &view_cfg);
	if (err)
		return err;
	km_types_on_recycle(d->types, km_view_recycle, d->view);
	sched_cfg.view = d->view;
	sched_cfg.types = d->types;
	err = km_sched_create(&d->sched, &sched_cfg);
	return err ? err : km_mpsc_init(&d->ingress, cfg->ingress_nr);
}

void km_dispatcher_fini(struct km_runtime *rt)
{
	struct km_dispatcher *d = &rt->dispatcher;

	if (d->ingress.slots)
		km_mpsc_fini(&d->ingress);
	km_sched_destroy(d->sched);
	km_view_destroy(d->view);
	if (d->types)
		km_types_destroy(d->types);
	km_records_destroy(d->records);
	km_show_fini(&d->show);
	free(rt->changed);
}

static inline __attribute__((always_inline)) void push(struct km_runtime *rt, uint32_t agent_idx,
						       struct km_req *req)
{
	km_records_write(rt->dispatcher.records, req);
	KM_PROBE(enqueue, req->id, agent_idx, req->est_ns);
	/* The ring has as many slots as the window: S2 keeps it from being full. */
	KM_BUG_ON(!km_spsc_push(&rt->agent[agent_idx]->ring, (uintptr_t)req));
}

/* Push all that the agent may have now; true when something was pushed. */
static bool hand_over(struct km_runtime *rt, uint32_t agent_idx)
{
	struct km_req *req;
	bool pushed = false;

	while ((req = km_sched_next(rt->dispatcher.sched, agent_idx))) {
		push(rt, agent_idx, req);
		pushed = true;
	}
	return pushed;
}

/* The same, and wake the agent if it sleeps; true when something was sent. */
static bool send(struct km_runtime *rt, uint32_t agent_idx)
{
	if (!hand_over(rt, agent_idx))
		return false;
	km_park_wake(&rt->agent[agent_idx]->park, KM_WAKE_WORK);
	return true;
}

static void fold_digest(struct km_runtime *rt, struct km_agent *agent)
{
	const struct km_digest *digest = km_snap_read(&agent->digest);

	/* Out of memory: the bits stay stale and the next look tries again. */
	if (digest && km_view_fold(rt->dispatcher.view, agent->idx, digest))
		km_changed_set(rt->changed, agent->idx);
}

/* Take over what the agent did since the last look; true when it finished something. */
static bool look_at(struct km_runtime *rt, uint32_t agent_idx)
{
	struct km_dispatcher *d = &rt->dispatcher;
	struct km_agent *agent = rt->agent[agent_idx];
	struct km_summary_state now = km_summary_unpack(km_summary_read(&agent->summary));
	struct km_sched_counts counts = km_sched_counts(d->sched, agent_idx);
	uint16_t begun = (uint16_t)(now.begun - (uint16_t)counts.started);
	uint16_t ended = (uint16_t)(now.begun - now.busy - (uint16_t)counts.finished);
	uint16_t i;

	/* relaxed: ordered by CHANGED_A1 and SUMMARY_A1; a later value only folds sooner */
	if (atomic_load_explicit(&agent->summary.digest_version, memory_order_relaxed) !=
	    d->view->folded_version[agent_idx])
		fold_digest(rt, agent);
	km_view_set_end(d->view, agent_idx, now.busy ? now.end_ns : 0);
	for (i = 0; i < begun; i++)
		km_sched_started(d->sched, agent_idx);
	for (i = 0; i < ended; i++)
		km_sched_finished(d->sched, agent_idx);
	d->completed += ended;
	return ended;
}

/* Tell the estimator, through type_hash, what a type id means. */
static void name_type(struct km_runtime *rt, const struct km_type *type)
{
	_Atomic uint64_t *name = &rt->type_hash[type->key.id];

	/* relaxed: only we store it, and the estimator takes any value, sooner or later */
	if (atomic_load_explicit(name, memory_order_relaxed) != type->hash)
		atomic_store_explicit(name, type->hash, memory_order_relaxed);
}

bool km_dispatch_classify(struct km_runtime *rt, struct km_req *req)
{
	struct km_dispatcher *d = &rt->dispatcher;
	struct km_req *part, *undo;

	for (part = req; part; part = part->more) {
		part->type = km_types_get(d->types, part->trait);
		if (!part->type) {
			for (undo = req; undo != part; undo = undo->more)
				km_types_put(d->types, undo->type);
			return false;
		}
		name_type(rt, part->type);
		km_view_prefetch_type(d->view, part->type);
		KM_PROBE(classify, part->id, part->type->key.id);
	}
	return true;
}

uint32_t km_dispatch_place(struct km_runtime *rt, struct km_req *req)
{
	bool sent;
	uint32_t agent_idx = km_sched_arrive_send(rt->dispatcher.sched, req, &sent);

	if (sent)
		push(rt, agent_idx, req);
	else if (agent_idx != KM_NO_AGENT && !hand_over(rt, agent_idx))
		return KM_NO_AGENT;
	return agent_idx;
}

/* What could not be decided when it came, because every agent was full. */
static bool retry_waiting(struct km_runtime *rt)
{
	struct km_dispatcher *d = &rt->dispatcher;
	bool done = false;
	uint32_t agent_idx;

	while (km_sched_waiting(d->sched)) {
		agent_idx = km_sched_retry(d->sched);
		if (agent_idx == KM_NO_AGENT || !send(rt, agent_idx))
			break;
		done = true;
	}
	return done;
}

static bool look_at_some(struct km_runtime *rt, uint32_t first, uint64_t bits)
{
	bool done = false;
	uint32_t i;

	for (; bits; bits &= bits - 1) {
		i = first + (uint32_t)__builtin_ctzll(bits);
		if (!look_at(rt, i))
			continue;
		done = true;
		if (km_sched_waiting(rt->dispatcher.sched))
			send(rt, i);
	}
	return done;
}

/* The agents that changed since the last look, and no others. */
static bool look_at_changed(struct km_runtime *rt, uint64_t now_ns)
{
	bool done = false;
	uint32_t w;

	rt->dispatcher.view->now_ns = now_ns; /* for what is assigned only when it is sent */
	for (w = 0; w < KM_CHANGED_NR(rt->agent_nr); w++)
		done |= look_at_some(rt, w * 64, km_changed_take(&rt->changed[w]));
	return done;
}

/* Pop what has come; its lines are on their way while the rest is popped. */
static void pop_arrivals(struct km_dispatcher *d)
{
	struct km_req *req;

	while (d->taken_nr < KM_ARRIVALS_PER_LOOK) {
		req = (struct km_req *)(uintptr_t)km_mpsc_pop(&d->ingress);
		if (!req)
			break;
		km_prefetch(req);
		km_prefetch(&req->trait[KM_TRAITS_MAX / 2]);
		km_prefetch_write(&req->type);
		d->taken[d->taken_nr++] = req;
	}
}

static void forget_arrivals(struct km_dispatcher *d, uint32_t nr)
{
	uint32_t i;

	for (i = nr; i < d->taken_nr; i++)
		d->taken[i - nr] = d->taken[i];
	d->taken_nr -= nr;
	d->accepted += nr;
}

/*
 * What has come, through the decision path: all are classified, then each is
 * decided, so that what a decision reads was fetched during the others'
 * classification. Those for which no type id is free stay for the next turn.
 *
 * A decision's time is its own plus its share of the classification, and ends with
 * the handle in the ring: waking a parked agent is a system call of its own, paid
 * only by agents that own no core. It begins where the last one ended, which saves
 * a reading of the clock.
 */
static bool take_arrivals(struct km_runtime *rt)
{
	struct km_dispatcher *d = &rt->dispatcher;
	uint64_t last_ns, now_ns, share_ns;
	uint32_t i, nr, agent_idx;

	pop_arrivals(d);
	if (!d->taken_nr)
		return false;
	last_ns = km_clock_ns();
	for (nr = 0; nr < d->taken_nr && km_dispatch_classify(rt, d->taken[nr]); nr++)
		;
	now_ns = km_clock_ns();
	share_ns = nr ? (now_ns - last_ns) / nr : 0;
	for (i = 0; i < nr; i++) {
		last_ns = d->view->now_ns = now_ns;
		agent_idx = km_dispatch_place(rt, d->taken[i]);
		now_ns = km_clock_ns();
		km_hist_add(&d->decision_ns, share_ns + now_ns - last_ns);
		if (agent_idx == KM_NO_AGENT || rt->agent[agent_idx]->park.never_parks)
			continue;
		km_park_wake(&rt->agent[agent_idx]->park, KM_WAKE_WORK);
		now_ns = km_clock_ns();
	}
	forget_arrivals(d, nr);
	return nr;
}

void km_dispatch_enter(struct km_runtime *rt)
{
	km_snap_enter();
	rt->dispatcher.view->est = km_snap_read(&rt->estimates);
}

bool km_dispatch_look(struct km_runtime *rt, uint64_t now_ns)
{
	bool done = look_at_changed(rt, now_ns);

	return retry_waiting(rt) || done;
}

void km_dispatch_leave(void)
{
	km_snap_leave();
	km_snap_quiesce();
}

bool km_dispatch_some(struct km_runtime *rt)
{
	uint64_t now_ns = km_clock_ns();
	bool done;

	km_dispatch_enter(rt);
	done = km_dispatch_look(rt, now_ns);
	done |= take_arrivals(rt);
	km_dispatch_leave();
	if (km_unlikely(now_ns >= rt->dispatcher.show.due_ns))
		km_show_some(rt, now_ns);
	return done;
}

static bool is_drained(const struct km_runtime *rt)
{
	const struct km_dispatcher *d = &rt->dispatcher;

	return km_mpsc_is_empty(&d->ingress) && !d->taken_nr && !km_sched_inside(d->sched);
}

/* While something waits for an agent, or we drain, the end of a request is news. */
static bool wants_agents(const struct km_runtime *rt)
{
	const struct km_dispatcher *d = &rt->dispatcher;

	/* relaxed: a wake-up follows the store */
	return km_sched_waiting(d->sched) || d->taken_nr ||
	       (atomic_load_explicit(&d->stop, memory_order_relaxed) && km_sched_inside(d->sched));
}

static bool has_news(void *ctx)
{
	struct km_runtime *rt = ctx;
	struct km_dispatcher *d = &rt->dispatcher;

	if (!d->taken_nr && !km_mpsc_is_empty(&d->ingress))
		return true;
	/* relaxed: see wants_agents() */
	if (atomic_load_explicit(&d->stop, memory_order_relaxed) && is_drained(rt))
		return true;
	return wants_agents(rt) && km_changed_any(rt->changed, rt->agent_nr);
}

static void wait_for_news(struct km_runtime *rt)
{
	const struct km_park_await how = {
		.ready = has_news,
		.ctx = rt,
		.mask = KM_WAKE_WORK | KM_WAKE_STOP | (wants_agents(rt) ? KM_WAKE_AGENT : 0),
		.spin_nr = rt->cfg.plan->dispatcher.owned ? KM_SPIN_NR : 0,
		.timeout_ns = km_show_wait_ns(rt),
	};

	km_snap_offline();
	km_park_await(&rt->dispatcher.park, &how);
	km_snap_online();
}

void *km_dispatcher_main(void *ctx)
{
	struct km_runtime *rt = ctx;
	struct km_dispatcher *d = &rt->dispatcher;
	const struct km_place *place = &rt->cfg.plan->dispatcher;

	km_snap_thread_start();
	if (place->owned)
		d->start_err = km_pin_self(place->cpu, "km-dispatch");
	else
		pthread_setname_np(pthread_self(), "km-dispatch");
	sem_post(&rt->started);
	while (!d->start_err) {
		if (km_dispatch_some(rt))
			continue;
		/* relaxed: the join orders the rest */
		if (atomic_load_explicit(&d->stop, memory_order_relaxed) && is_drained(rt))
			break;
		wait_for_news(rt);
	}
	km_snap_thread_stop();
	return NULL;
}
