/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top_figures.c - rates, shares and orders from what a run shows.
 *
 * The numbers may be anything: a difference that is negative counts as none.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tools/top_internal.h"

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static double share(double part, double whole)
{
	return whole > 0 ? part / whole : (double)NAN;
}

int top_figures_init(struct top_figures *fig, uint32_t agent_nr)
{
	fig->agent = calloc(agent_nr, sizeof(*fig->agent));
	fig->decision = calloc(KM_SEG_DECISION_NR, sizeof(*fig->decision));
	if (fig->agent && fig->decision)
		return 0;
	top_figures_fini(fig);
	return -ENOMEM;
}

void top_figures_fini(struct top_figures *fig)
{
	free(fig->agent);
	free(fig->decision);
	fig->agent = NULL;
	fig->decision = NULL;
}

/* ---- agents ------------------------------------------------------------------------ */

static void make_agent(struct top_agent *to, uint32_t idx, const struct km_seg_block *block)
{
	const struct km_seg_agent *from = &block->agent[idx];
	const struct km_seg_run *run = block->run;
	double window_ns = (double)run->window_ns;

	*to = (struct top_agent){
		.idx = idx,
		.queued_nr = from->queued_nr + (from->busy != 0),
		.queue_ns = from->wait_ns + from->remaining_ns,
		.done_per_s =
			share((double)since(from->now.served, from->then.served), window_ns / 1e9),
		.busy_share =
			share((double)since(from->now.busy_ns, from->then.busy_ns), window_ns),
		.top_rate = share((double)from->now.top_hits,
				  (double)from->now.top_hits + (double)from->now.top_misses),
		.rule_rate = share((double)from->now.rule_hits,
				   (double)from->now.top_misses * (double)run->rule_nr),
	};
	/* A request counts when it ends, also what of it was before the window. */
	to->busy_share = to->busy_share > 1 ? 1 : to->busy_share;
}

/* Descending; what there is nothing to tell of comes last. */
static int descending(double x, double y)
{
	x = isnan(x) ? -1 : x;
	y = isnan(y) ? -1 : y;
	return (x < y) - (x > y);
}

static int compare(const struct top_agent *x, const struct top_agent *y, enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_WAIT:
		return descending((double)x->queue_ns, (double)y->queue_ns);
	case TOP_BY_RATE:
		return descending(x->done_per_s, y->done_per_s);
	case TOP_BY_BUSY:
		return descending(x->busy_share, y->busy_share);
	case TOP_BY_HITS:
		return descending(x->top_rate, y->top_rate);
	case TOP_BY_QUEUE:
		if (x->queued_nr != y->queued_nr)
			return x->queued_nr < y->queued_nr ? 1 : -1;
		return descending((double)x->queue_ns, (double)y->queue_ns);
	case TOP_BY_AGENT:
	case TOP_SORT_NR:
		break;
	}
	return 0;
}

static int compare_by(const void *a, const void *b, void *sort)
{
	const struct top_agent *x = a, *y = b;
	int order = compare(x, y, *(const enum top_sort *)sort);

	return order ? order : (x->idx > y->idx) - (x->idx < y->idx);
}

/* ---- decisions ---------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct km_seg_decision *x = a, *y = b;

	if (x->decided_ns != y->decided_ns)
		return x->decided_ns < y->decided_ns ? 1 : -1;
	return (x->req_id < y->req_id) - (x->req_id > y->req_id);
}

static bool is_done(const struct km_seg_block *block, uint64_t req_id)
{
	uint64_t i;

	for (i = 0; i < block->run->done_nr; i++)
		if (block->done[i].req_id == req_id)
			return true;
	return false;
}

/* The newest decisions, and those whose requests came back last, each once. */
static void make_decisions(struct top_figures *fig, const struct km_seg_block *block)
{
	uint64_t i;

	fig->decision_nr = 0;
	for (i = 0; i < block->run->done_nr; i++)
		fig->decision[fig->decision_nr++] = block->done[i];
	for (i = 0; i < block->run->decided_nr; i++)
		if (!is_done(block, block->decided[i].req_id))
			fig->decision[fig->decision_nr++] = block->decided[i];
	qsort(fig->decision, fig->decision_nr, sizeof(*fig->decision), newest_first);
}

/* ---- the whole run -------------------------------------------------------------------- */

static void sum_agents(struct top_figures *fig, const struct km_seg_block *block)
{
	double hits = 0, misses = 0, rule_hits = 0;
	uint64_t done = 0;
	uint32_t i;

	fig->served = 0;
	for (i = 0; i < block->agent_nr; i++) {
		const struct km_seg_agent *agent = &block->agent[i];

		make_agent(&fig->agent[i], i, block);
		fig->served += agent->now.served;
		done += since(agent->now.served, agent->then.served);
		hits += (double)agent->now.top_hits;
		misses += (double)agent->now.top_misses;
		rule_hits += (double)agent->now.rule_hits;
	}
	fig->done_per_s = share((double)done, fig->window_s);
	fig->top_rate = share(hits, hits + misses);
	fig->rule_rate = share(rule_hits, misses * (double)block->run->rule_nr);
}

static void judge(struct top_figures *fig, const struct km_seg_run *run)
{
	const struct km_seg_judge *now = &run->judge, *then = &run->judge_then;

	fig->time_error_all = share((double)now->error_ns, (double)now->processing_ns);
	fig->event_accuracy_all = share((double)now->top_right, (double)now->done);
	fig->time_error = share((double)since(now->error_ns, then->error_ns),
				(double)since(now->processing_ns, then->processing_ns));
	fig->event_accuracy = share((double)since(now->top_right, then->top_right),
				    (double)since(now->done, then->done));
}

void top_figures_make(struct top_figures *fig, const struct km_seg_block *block, enum top_sort sort)
{
	const struct km_seg_run *run = block->run;
	uint32_t i;

	for (fig->done = 0, i = 0; i < KM_OUTCOME_NR; i++)
		fig->done += run->outcome[i];
	fig->refused = since(fig->done, run->outcome[KM_PLACED]);
	fig->in_flight = since(run->submitted, fig->done);
	fig->window_s = (double)run->window_ns / 1e9;
	fig->decided_per_s = share((double)since(run->decided, run->decided_then), fig->window_s);
	sum_agents(fig, block);
	judge(fig, run);
	make_decisions(fig, block);
	qsort_r(fig->agent, block->agent_nr, sizeof(*fig->agent), compare_by, &sort);
}
