/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/glance.c - what a running runtime tells monitors.
 *
 * Agents and records are read where they stand: relaxed words on lines that their
 * writers write anyway. The queues are the dispatcher's plain memory; it copies
 * them every KM_SHOW_EVERY_NS, between two turns and at most SHOW_NR agents at a
 * time: no decision executes any of it, a request that comes meanwhile waits that long.
 *
 *	63        48 47                                    0
 *	+-----------+---------------------------------------+
 *	| queued_nr |  wait_ns                              |	each at most all ones
 *	+-----------+---------------------------------------+
 */
#include <errno.h>
#include <stdlib.h>

#include "core/runtime_internal.h"
#include "lib/clock.h"

/* Agents of one turn: 19 instructions each, in all less than a decision over as many. */
#define SHOW_NR 64u

#define WAIT_BITS 48
#define WAIT_MAX ((UINT64_C(1) << WAIT_BITS) - 1)

int km_show_init(struct km_show *show, uint32_t agent_nr)
{
	show->queue = calloc(agent_nr, sizeof(*show->queue));
	show->empty = true;
	return show->queue ? 0 : -ENOMEM;
}

void km_show_fini(struct km_show *show)
{
	free(show->queue);
}

void km_show_some(struct km_runtime *rt, uint64_t now_ns)
{
	struct km_show *show = &rt->dispatcher.show;
	const struct km_view *view = rt->dispatcher.view;
	uint32_t end = (uint32_t)km_min_u64(rt->agent_nr, show->next + SHOW_NR);
	uint64_t queued_nr, wait_ns;

	if (!show->next)
		show->empty = !km_sched_inside(rt->dispatcher.sched);
	for (; show->next < end; show->next++) {
		queued_nr = km_min_u64(view->queued_nr[show->next], UINT16_MAX);
		wait_ns = km_min_u64(view->wait_ns[show->next], WAIT_MAX);
		/* relaxed: a statistic, whole in one word */
		atomic_store_explicit(&show->queue[show->next], queued_nr << WAIT_BITS | wait_ns,
				      memory_order_relaxed);
	}
	if (end < rt->agent_nr)
		return;
	/* relaxed: a statistic */
	atomic_store_explicit(&show->waiting, km_sched_waiting(rt->dispatcher.sched),
			      memory_order_relaxed);
	show->next = 0;
	show->due_ns = now_ns + KM_SHOW_EVERY_NS;
}

uint64_t km_show_wait_ns(const struct km_runtime *rt)
{
	const struct km_show *show = &rt->dispatcher.show;

	if (show->next)
		return 0;
	return show->empty && !km_sched_inside(rt->dispatcher.sched) ? KM_PARK_FOREVER
								     : KM_SHOW_EVERY_NS;
}

struct km_agent_glance km_runtime_glance(const struct km_runtime *rt, uint32_t agent_idx)
{
	const struct km_summary *summary = &rt->agent[agent_idx]->summary;
	struct km_summary_state state = km_summary_unpack(km_summary_read(summary));
	uint64_t now_ns = km_clock_ns();
	/* racy, here and below: numbers for a person to look at */
	uint64_t queue = km_read_racy(&rt->dispatcher.show.queue[agent_idx]);
	struct km_agent_glance glance = {
		.busy = state.busy,
		.served = km_read_racy(&summary->served),
		.top_hits = km_read_racy(&summary->top_hits),
		.top_misses = km_read_racy(&summary->top_misses),
		.rule_hits = km_read_racy(&summary->rule_hits),
		.busy_ns = km_read_racy(&summary->busy_ns),
		.cache_bytes = km_read_racy(&summary->cache_bytes),
		.queued_nr = (uint32_t)(queue >> WAIT_BITS),
		.wait_ns = queue & WAIT_MAX,
		.remaining_ns = state.end_ns > now_ns ? state.end_ns - now_ns : 0,
	};

	return glance;
}

uint64_t km_runtime_waiting(const struct km_runtime *rt)
{
	return km_read_racy(&rt->dispatcher.show.waiting);
}

uint32_t km_runtime_type_id(const struct km_runtime *rt, const struct km_req *req)
{
	return km_types_id(rt->dispatcher.types, req->type);
}

void km_runtime_decisions(const struct km_runtime *rt, struct km_hist *out)
{
	km_hist_glance(&rt->dispatcher.decision_ns, out);
}

const struct km_records *km_runtime_records(const struct km_runtime *rt)
{
	return rt->dispatcher.records;
}
