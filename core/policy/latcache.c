/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy/latcache.c - the agent where the request will finish first.
 *
 * Algorithm 1: the least of queue time + remaining time + processing time over
 * all open agents, in three variants of what the processing time looks at.
 * The search itself, its pruning and its ties: km_finish_first().
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2, section 4.2.
 */
#include "core/policy.h"

static uint32_t rule_pick(const struct km_view *view, const struct km_type *type,
			  struct km_pick *pick)
{
	return km_finish_first(view, type, pick, KM_FINISH_RULE);
}

static uint32_t request_pick(const struct km_view *view, const struct km_type *type,
			     struct km_pick *pick)
{
	return km_finish_first(view, type, pick, KM_FINISH_REQUEST);
}

static uint32_t naive_pick(const struct km_view *view, const struct km_type *type,
			   struct km_pick *pick)
{
	return km_finish_first(view, type, pick, KM_FINISH_NAIVE);
}

const struct km_policy km_policy_latcache_rule = {
	.name = "latcache-rule",
	.summary = "finish first, by queue, remaining time and both cache levels",
	.queueing = KM_QUEUE_OWN,
	.pick = rule_pick,
};

const struct km_policy km_policy_latcache_request = {
	.name = "latcache-request",
	.summary = "finish first, by queue, remaining time and the top cache level",
	.queueing = KM_QUEUE_OWN,
	.top_only = true,
	.pick = request_pick,
};

const struct km_policy km_policy_naive = {
	.name = "naive",
	.summary = "ablation: no rule level, nothing coming, no remaining time",
	.queueing = KM_QUEUE_OWN,
	.top_only = true,
	.pick = naive_pick,
};
