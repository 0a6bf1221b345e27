/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/clock.h"
#include "lib/snap.h"
#include "sim/costs.h"
#include "tools/publish.h"
#include "tools/request_log.h"

#define GLANCE_EVERY_NS (10 * KM_NS_PER_MS)
#define PROGRESS_EVERY_NS (200 * KM_NS_PER_MS)
#define LOOK_EVERY_NS KM_NS_PER_MS
#define WAIT_NS_MAX (50 * KM_NS_PER_MS) /* so that an interrupt is seen soon */

/* ---- the plan ------------------------------------------------------------- */

static bool same_traits(const struct km_place_ctx *place, const struct km_event *a,
			const struct km_event *b)
{
	uint32_t x[KM_TRAITS_MAX] = { 0 }, y[KM_TRAITS_MAX] = { 0 };

	km_place_fill_traits(place, a, x);
	km_place_fill_traits(place, b, y);
	return !memcmp(x, y, sizeof(x));
}

/* Rows from @first that belong to one request. */
static uint64_t batch_end(const struct km_trace *trace, uint64_t first)
{
	const struct km_event *event = &trace->event[first];
	uint64_t end = first + 1;

	if (event->op != KM_OP_CREATE || event->batch == KM_DICT_NONE)
		return end;
	while (end < trace->event_nr && trace->event[end].op == KM_OP_CREATE &&
	       trace->event[end].batch == event->batch)
		end++;
	return end;
}

struct plan_builder {
	struct km_replay_plan *plan;
	const struct km_place_ctx *place;
	uint64_t part_nr;
	uint32_t vm_nr;
	bool *taken; /* [event_nr] row already in a part */
};

/* One request from rows first..end - 1; false when it has too many parts. */
static bool add_request(struct plan_builder *b, uint64_t first, uint64_t end)
{
	struct km_replay_plan *plan = b->plan;
	const struct km_event *event = plan->trace->event;
	struct km_job *job = &plan->job[plan->job_nr++];
	uint64_t i, k;

	*job = (struct km_job){ .at_us = event[first].at_us,
				.op = KM_OP_CREATE,
				.part_first = (uint32_t)b->part_nr };
	for (i = first; i < end; i++) {
		struct km_job_part *part;

		if (b->taken[i])
			continue;
		if (job->part_nr == plan->part_nr_max)
			return false;
		part = &plan->part[b->part_nr++];
		*part = (struct km_job_part){ .event_idx = i, .vm_first = b->vm_nr };
		job->part_nr++;
		for (k = i; k < end; k++) {
			if (b->taken[k] || !same_traits(b->place, &event[i], &event[k]))
				continue;
			b->taken[k] = true;
			plan->vm[b->vm_nr++] = event[k].vm;
			part->vm_nr++;
		}
	}
	plan->create_nr++;
	return true;
}

static int build_plan(struct plan_builder *b, uint64_t request_nr_max, struct km_diag *diag)
{
	struct km_replay_plan *plan = b->plan;
	const struct km_trace *trace = plan->trace;
	uint64_t i, end;

	for (i = trace->initial_nr; i < trace->event_nr; i = end) {
		end = batch_end(trace, i);
		if (trace->event[i].op == KM_OP_DELETE) {
			plan->job[plan->job_nr++] = (struct km_job){ .at_us = trace->event[i].at_us,
								     .op = KM_OP_DELETE,
								     .vm = trace->event[i].vm };
			continue;
		}
		if (request_nr_max && plan->create_nr == request_nr_max)
			break;
		if (!add_request(b, i, end))
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "batch '%s' has more than %" PRIu32
					   " different request types; split it",
					   km_dict_text(trace->schema.batches,
							trace->event[i].batch),
					   plan->part_nr_max);
	}
	return 0;
}

int km_replay_plan_make(struct km_replay_plan **out, const struct km_trace *trace,
			const struct km_place_ctx *place, uint32_t part_nr_max,
			uint64_t request_nr_max, struct km_diag *diag)
{
	struct km_replay_plan *plan = calloc(1, sizeof(*plan));
	struct plan_builder b = { .plan = plan, .place = place };
	uint64_t nr = trace->event_nr - trace->initial_nr;
	int err = -ENOMEM;

	if (!plan)
		return -ENOMEM;
	plan->trace = trace;
	plan->part_nr_max = part_nr_max;
	plan->job = malloc((nr + 1) * sizeof(*plan->job));
	plan->part = malloc((nr + 1) * sizeof(*plan->part));
	plan->vm = malloc((nr + 1) * sizeof(*plan->vm));
	b.taken = calloc(trace->event_nr + 1, 1);
	if (plan->job && plan->part && plan->vm && b.taken)
		err = build_plan(&b, request_nr_max, diag);
	else
		km_diag_set(diag, err, NULL, 0, 0, "out of memory");
	free(b.taken);
	if (err)
		km_replay_plan_free(plan);
	else
		*out = plan;
	return err;
}

void km_replay_plan_free(struct km_replay_plan *plan)
{
	if (!plan)
		return;
	free(plan->vm);
	free(plan->part);
	free(plan->job);
	free(plan);
}

/* ---- the replay ------------------------------------------------------------ */

/* One part in flight; the client's pool is made of these. */
struct slot {
	struct km_req req; /* first: a request is its slot */
	struct km_place_ask ask;
	uint64_t job_idx, submitted_ns;
	struct slot *next_free;
};

/* What an agent served last. */
struct served {
	uint64_t end_ns;
	bool top_hit;
};

/* Creates of a VM's name that are under way, and deletes that wait for their end. */
struct flight {
	uint32_t creates, deletes;
};

struct replay {
	const struct km_replay_cfg *cfg;
	struct km_replay_result *result;
	struct km_client *client;
	struct slot *slot; /* [slot_nr] */
	uint32_t slot_nr;
	struct slot *free_slot;
	uint32_t free_nr;
	struct served *last; /* [agent_nr] */
	uint32_t *server; /* [vms of the plan] where the agents write placements */
	uint8_t *seen; /* [job_nr] outcomes that came back */
	struct flight *flight; /* [vm numbers] */
	uint64_t next_job, next_id, done;
	uint64_t start_ns, first_end_ns, last_end_ns;
	uint64_t glance_ns, glance_nr, progress_ns;
	double cache_bytes_sum;
};

uint64_t km_replay_refused(const struct km_replay_result *result)
{
	return result->outcome[KM_NO_ROOM] + result->outcome[KM_GAVE_UP] +
	       result->outcome[KM_BAD_REQUEST] + result->outcome[KM_AT_DOOR];
}

void km_replay_result_fini(struct km_replay_result *result)
{
	km_series_destroy(result->series);
	result->series = NULL;
}

static struct slot *take_slot(struct replay *r)
{
	struct slot *slot = r->free_slot;

	r->free_slot = slot->next_free;
	r->free_nr--;
	return slot;
}

static void give_slots(struct replay *r, struct km_req *req)
{
	struct km_req *next;

	for (; req; req = next) {
		struct slot *slot = (struct slot *)req;

		next = req->more;
		slot->next_free = r->free_slot;
		r->free_slot = slot;
		r->free_nr++;
	}
}

static struct slot *fill_part(struct replay *r, const struct km_job_part *part, uint64_t due_ns,
			      uint64_t job_idx)
{
	const struct km_event *event = &r->cfg->plan->trace->event[part->event_idx];
	struct slot *slot = take_slot(r);

	memset(slot->req.trait, 0, sizeof(slot->req.trait));
	km_place_fill_traits(r->cfg->place, event, slot->req.trait);
	slot->ask = (struct km_place_ask){
		.vm_nr = part->vm_nr,
		.tenant = event->tenant,
		.batch = event->batch,
		.vm = r->cfg->plan->vm + part->vm_first,
		.server = r->server + part->vm_first,
	};
	slot->job_idx = job_idx;
	slot->req.id = r->next_id;
	slot->req.due_ns = due_ns;
	slot->req.payload = &slot->ask;
	slot->req.more = NULL;
	return slot;
}

/* Call @fn for each VM of a request; @i is its place in plan->vm. */
static void for_each_vm(struct replay *r, const struct km_job *job,
			void (*fn)(struct replay *r, const struct km_event *event, uint32_t i))
{
	const struct km_replay_plan *plan = r->cfg->plan;
	uint32_t p, i;

	for (p = 0; p < job->part_nr; p++) {
		const struct km_job_part *part = &plan->part[job->part_first + p];

		for (i = part->vm_first; i < part->vm_first + part->vm_nr; i++)
			fn(r, &plan->trace->event[part->event_idx], i);
	}
}

static void take_off(struct replay *r, const struct km_event *event, uint32_t i)
{
	(void)event;
	r->flight[r->cfg->plan->vm[i]].creates++;
}

static void note_placed(struct replay *r, const struct km_event *event, uint32_t i)
{
	struct km_ledger *ledger = r->cfg->ledger;
	uint32_t vm = r->cfg->plan->vm[i];

	ledger->state[vm] = KM_LEDGER_PLACED;
	ledger->server[vm] = r->server[i];
	memcpy(ledger->res[vm], event->res, sizeof(event->res));
	r->result->vms_placed++;
}

/* A refused duplicate leaves what is known of the VM of that name as it is. */
static void note_refused(struct replay *r, const struct km_event *event, uint32_t i)
{
	uint8_t *state = &r->cfg->ledger->state[r->cfg->plan->vm[i]];

	(void)event;
	if (*state != KM_LEDGER_PLACED)
		*state = KM_LEDGER_REFUSED;
}

static void delete_vm(struct replay *r, uint32_t vm)
{
	if (r->cfg->store_ops->delete (r->cfg->store, vm)) {
		r->cfg->ledger->state[vm] = KM_LEDGER_DELETED;
		r->result->deletes++;
	} else if (r->cfg->ledger->state[vm] == KM_LEDGER_REFUSED) {
		r->result->deletes_of_refused++;
	} else {
		r->result->deletes_unknown++;
	}
}

/* The create is over: now the deletes that came meanwhile. */
static void land(struct replay *r, const struct km_event *event, uint32_t i)
{
	uint32_t vm = r->cfg->plan->vm[i];
	struct flight *flight = &r->flight[vm];

	(void)event;
	if (--flight->creates)
		return;
	for (; flight->deletes; flight->deletes--)
		delete_vm(r, vm);
}

/* @outcome of a request, which is over. */
static void settle(struct replay *r, uint64_t job_idx, enum km_outcome outcome)
{
	const struct km_job *job = &r->cfg->plan->job[job_idx];

	r->result->outcome[outcome]++;
	r->result->returned_twice += r->seen[job_idx]++ != 0;
	for_each_vm(r, job, outcome == KM_PLACED ? note_placed : note_refused);
	for_each_vm(r, job, land);
	r->done++;
}

/* What submit did not take has no decision and no times. */
static void refuse_at_door(struct replay *r, uint64_t job_idx, uint64_t due_ns)
{
	const struct km_req req = { .id = r->next_id,
				    .due_ns = due_ns,
				    .outcome = KM_AT_DOOR,
				    .decision.agent_idx = UINT32_MAX };

	km_request_log_add(r->cfg->log, &req, 0, req.id > r->cfg->warmup_nr);
	settle(r, job_idx, KM_AT_DOOR);
}

static void submit(struct replay *r, uint64_t job_idx, uint64_t due_ns)
{
	const struct km_job *job = &r->cfg->plan->job[job_idx];
	struct km_req *first = NULL, **link = &first;
	uint32_t p;

	r->result->submitted++;
	r->next_id++;
	for_each_vm(r, job, take_off);
	if (r->free_nr < job->part_nr) {
		refuse_at_door(r, job_idx, due_ns);
		return;
	}
	for (p = 0; p < job->part_nr; p++) {
		struct slot *slot =
			fill_part(r, &r->cfg->plan->part[job->part_first + p], due_ns, job_idx);

		slot->submitted_ns = km_clock_ns();
		*link = &slot->req;
		link = &slot->req.more;
	}
	if (km_submit(r->client, first)) {
		give_slots(r, first);
		refuse_at_door(r, job_idx, due_ns);
	}
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* What the dispatcher predicted, against what came of it. */
static void judge(struct km_replay_result *result, const struct km_req *req)
{
	const struct km_decision *d = &req->decision;
	uint64_t predicted_ns = d->wait_ns + d->remaining_ns + d->processing_ns;
	uint64_t real_ns = req->end_ns - km_min_u64(d->decided_ns, req->end_ns);

	result->top_predicted_right += req->top_hit == d->top_hit;
	result->time_error_ns += distance(d->processing_ns, req->end_ns - req->start_ns);
	result->finish_predicted_ns += predicted_ns;
	result->finish_real_ns += real_ns;
	result->finish_error_ns += distance(predicted_ns, real_ns);
}

static void measure(struct replay *r, const struct km_req *req)
{
	struct km_replay_result *result = r->result;
	uint64_t took_ns = req->end_ns - req->start_ns;

	result->measured++;
	km_hist_add(&result->latency_ns, req->end_ns - km_min_u64(req->due_ns, req->end_ns));
	km_hist_add(&result->wait_ns, req->start_ns - km_min_u64(req->due_ns, req->start_ns));
	km_hist_add(&result->processing_ns, took_ns);
	result->top_hits += req->top_hit;
	result->rule_hits += req->rule_hits;
	result->rule_misses += req->rule_misses;
	result->uncached += req->uncached;
	result->conflicts += req->conflicts;
	result->gave_up += req->outcome == KM_GAVE_UP;
	judge(result, req);
	if (req->fault_nr != UINT32_MAX) {
		result->steady_misses++;
		result->steady_faults += req->fault_nr;
	}
}

static void add_to_series(struct replay *r, const struct km_req *req)
{
	if (req->decision.agent_idx < r->cfg->agent_nr && req->start_ns)
		km_series_add(r->result->series, req->decision.agent_idx, req->due_ns,
			      km_max_u64(req->start_ns, req->due_ns), req->end_ns);
}

/* What passed before the start besides other requests; agents end in the order they serve. */
static void note_handover(struct replay *r, const struct km_req *req, bool measured)
{
	const uint64_t handed_in_ns = r->cfg->asks ? ((const struct slot *)req)->submitted_ns
						   : req->decision.decided_ns;
	struct served *last;

	if (!r->cfg->costs || req->decision.agent_idx >= r->cfg->agent_nr || !req->start_ns)
		return;
	last = &r->last[req->decision.agent_idx];
	if (measured && last->end_ns < req->due_ns)
		km_cost_recorder_handover(r->cfg->costs, KM_HANDOVER_IDLE, r->cfg->asks,
					  req->start_ns - req->due_ns);
	else if (measured && handed_in_ns <= last->end_ns)
		km_cost_recorder_handover(r->cfg->costs,
					  last->top_hit ? KM_HANDOVER_AFTER_HIT
							: KM_HANDOVER_AFTER_MISS,
					  r->cfg->asks, req->start_ns - last->end_ns);
	*last = (struct served){ req->end_ns, req->top_hit };
}

static void reap(struct replay *r)
{
	struct km_req *req;
	bool measured;

	while ((req = km_client_reap(r->client))) {
		measured = req->id > r->cfg->warmup_nr;
		r->last_end_ns = km_max_u64(r->last_end_ns, req->end_ns);
		km_publisher_reaped(r->cfg->publisher, req);
		note_handover(r, req, measured);
		km_request_log_add(r->cfg->log, req, ((struct slot *)req)->submitted_ns, measured);
		if (measured) {
			if (!r->first_end_ns)
				r->first_end_ns = req->end_ns;
			measure(r, req);
		}
		if (r->result->series)
			add_to_series(r, req);
		if (req->id == r->cfg->explain_id) {
			r->result->explained = true;
			r->result->explain = *req;
		}
		settle(r, ((struct slot *)req)->job_idx, req->outcome);
		give_slots(r, req);
	}
}

static bool stopped(const struct replay *r)
{
	/* relaxed: a signal handler's flag, looked at again soon */
	return r->cfg->interrupted &&
	       atomic_load_explicit(r->cfg->interrupted, memory_order_relaxed);
}

/* The first row of the plan is due at the start. */
static uint64_t due_ns(const struct replay *r, const struct km_job *job)
{
	int64_t since_us = job->at_us - r->cfg->plan->job[0].at_us;

	return r->start_ns + (uint64_t)((double)since_us * 1000.0 / r->cfg->compress);
}

static void do_job(struct replay *r, uint64_t when_ns)
{
	const struct km_job *job = &r->cfg->plan->job[r->next_job];

	r->result->delete_rows += job->op == KM_OP_DELETE;
	if (job->op == KM_OP_CREATE)
		submit(r, r->next_job, when_ns);
	else if (r->flight[job->vm].creates)
		r->flight[job->vm].deletes++;
	else
		delete_vm(r, job->vm);
	r->next_job++;
}

/* All that is due; returns when the next job is. */
static uint64_t do_due_jobs(struct replay *r)
{
	const struct km_replay_plan *plan = r->cfg->plan;
	uint64_t now_ns = km_clock_ns(), when_ns;

	while (r->next_job < plan->job_nr) {
		if (r->cfg->compress > 0) {
			when_ns = due_ns(r, &plan->job[r->next_job]);
			if (when_ns > now_ns)
				return when_ns;
			do_job(r, when_ns);
		} else {
			if (km_client_in_flight(r->client) >= r->cfg->closed_nr)
				break;
			do_job(r, now_ns);
		}
	}
	return UINT64_MAX;
}

static void glance(struct replay *r, uint64_t now_ns)
{
	uint32_t i;

	km_publisher_tick(r->cfg->publisher, r->result, now_ns);
	if (now_ns - r->progress_ns > PROGRESS_EVERY_NS && r->cfg->progress) {
		r->progress_ns = now_ns;
		r->cfg->progress(r->cfg->progress_arg, r->done, r->cfg->plan->create_nr);
	}
	if (now_ns - r->glance_ns < GLANCE_EVERY_NS || r->done < r->cfg->warmup_nr)
		return;
	r->glance_ns = now_ns;
	for (i = 0; i < r->cfg->agent_nr; i++)
		r->cache_bytes_sum +=
			(double)km_runtime_glance(r->cfg->rt, i).cache_bytes / r->cfg->agent_nr;
	r->glance_nr++;
}

/*
 * In the open loop nothing depends on a completion, so we look every millisecond
 * and spare the agents the system call that would wake us for each.
 */
static void pause_until(struct replay *r, uint64_t next_ns)
{
	if (r->cfg->compress > 0) {
		km_snap_offline();
		km_sleep_until_ns(km_min_u64(next_ns, km_clock_ns() + LOOK_EVERY_NS));
		km_snap_online();
	} else {
		km_snap_quiesce();
		km_client_wait(r->client, km_min_u64(next_ns, km_clock_ns() + WAIT_NS_MAX));
	}
}

static void play(struct replay *r)
{
	uint64_t next_ns, job_nr = r->cfg->plan->job_nr;

	r->start_ns = km_clock_ns();
	if (r->cfg->log)
		km_request_log_begin(r->cfg->log, r->cfg->policy, r->start_ns);
	if (r->result->series)
		r->result->series->start_ns = r->result->series->end_ns = r->start_ns;
	for (;;) {
		reap(r);
		if (stopped(r) && r->next_job < job_nr) {
			r->result->interrupted = true;
			r->next_job = job_nr;
		}
		next_ns = do_due_jobs(r);
		if (r->next_job == job_nr && !km_client_in_flight(r->client))
			break;
		glance(r, km_clock_ns());
		pause_until(r, next_ns);
	}
}

static int set_up(struct replay *r)
{
	const struct km_replay_plan *plan = r->cfg->plan;
	uint64_t vm_nr = km_dict_nr(plan->trace->schema.vms), last;
	const struct km_job_part *part;
	uint32_t i;

	part = plan->create_nr ? plan->part : NULL;
	for (i = 0, last = 0; part && i < plan->job_nr; i++)
		if (plan->job[i].op == KM_OP_CREATE) {
			part = &plan->part[plan->job[i].part_first + plan->job[i].part_nr - 1];
			last = part->vm_first + part->vm_nr;
		}
	r->slot_nr = 2 * r->cfg->in_flight_max;
	r->slot = aligned_alloc(KM_SHARE_BYTES, r->slot_nr * sizeof(*r->slot));
	r->server = malloc((last + 1) * sizeof(*r->server));
	r->last = calloc(r->cfg->agent_nr, sizeof(*r->last));
	r->seen = calloc(plan->job_nr + 1, 1);
	r->flight = calloc(vm_nr + 1, sizeof(*r->flight));
	if (!r->slot || !r->server || !r->last || !r->seen || !r->flight)
		return -ENOMEM;
	memset(r->slot, 0, r->slot_nr * sizeof(*r->slot));
	for (i = 0; i < r->slot_nr; i++)
		give_slots(r, &r->slot[i].req);
	for (i = 0; i < last; i++)
		r->server[i] = KM_DICT_NONE;
	return km_client_open(&r->client, r->cfg->rt, r->cfg->in_flight_max);
}

int km_replay(const struct km_replay_cfg *cfg, struct km_replay_result *result)
{
	struct replay r = { .cfg = cfg, .result = result };
	int err;

	memset(result, 0, sizeof(*result));
	km_hist_init(&result->latency_ns);
	km_hist_init(&result->wait_ns);
	km_hist_init(&result->processing_ns);
	err = cfg->series ? km_series_create(&result->series, cfg->agent_nr, 0) : 0;
	if (!err)
		err = set_up(&r);
	if (!err) {
		/* Timers to the microsecond: the client's lateness would count as the runtime's. */
		km_ignore(prctl(PR_SET_TIMERSLACK, 1)); /* then it is later, and tells so */
		play(&r);
		km_ignore(prctl(PR_SET_TIMERSLACK, 0)); /* as it was */
		result->lost = km_client_in_flight(r.client);
		km_client_close(r.client);
		result->completed = result->outcome[KM_PLACED];
		result->elapsed_ns = r.last_end_ns - r.first_end_ns;
		result->cache_bytes_mean = r.glance_nr ? r.cache_bytes_sum / (double)r.glance_nr
						       : 0;
	}
	free(r.flight);
	free(r.seen);
	free(r.last);
	free(r.server);
	free(r.slot);
	if (err)
		km_replay_result_fini(result);
	return err;
}
