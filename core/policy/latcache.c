/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy/latcache.c - the agent where the request will finish first.
 *
 * Algorithm 1: the least of queue time + remaining time + processing time over
 * all open agents. Ties go to an agent that holds the type (in the sense of the
 * policy), then to the fewest queued, then to the lowest index.
 *
 * Pruning (P1): an agent whose wait plus the least possible processing time is
 * above the second best full sum can be neither chosen nor runner-up, so its
 * rule rows are not read. The answer is the same with and without.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2, section 4.2.
 */
#include "core/policy.h"

/* What a variant looks at. */
enum variant {
	RULE, /* both levels, augmented by what is coming */
	REQUEST, /* the top level only: a miss there misses every rule */
	NAIVE, /* the top level as cached now, nothing coming, no remaining time */
};

struct candidate {
	uint64_t sum_ns, wait_ns, remaining_ns, processing_ns;
	uint32_t agent_idx, queued_nr;
	bool top_hit;
	uint8_t rule_hit_nr;
};

/* Strict order of candidates that compares in increasing agent_idx. */
static inline bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->sum_ns != b->sum_ns)
		return a->sum_ns < b->sum_ns;
	if (a->top_hit != b->top_hit)
		return a->top_hit;
	if (a->queued_nr != b->queued_nr)
		return a->queued_nr < b->queued_nr;
	return a->agent_idx < b->agent_idx;
}

static inline void rule_times(const struct km_view *view, const struct km_type *type,
			      struct candidate *c)
{
	const struct km_estimates *est = view->est;
	uint64_t ns = est->miss_all_ns;
	uint32_t r;

	for (r = 0; r < view->rule_nr; r++) {
		if (!km_view_augmented(view, KM_CACHE_RULE, type->rule[r].id, c->agent_idx))
			continue;
		ns += est->rule_hit_ns[r] - est->rule_miss_ns[r]; /* wraps and comes back */
		c->rule_hit_nr++;
	}
	c->processing_ns = ns;
}

/* False when P1 rules the agent out. */
static inline bool weigh(const struct km_view *view, const struct km_type *type,
			 enum variant variant, uint64_t least_miss_ns, uint64_t limit_ns,
			 struct candidate *c)
{
	const struct km_estimates *est = view->est;
	uint64_t base;

	c->wait_ns = view->wait_ns[c->agent_idx];
	c->queued_nr = view->queued_nr[c->agent_idx];
	c->remaining_ns = variant == NAIVE ? 0 : km_view_remaining_ns(view, c->agent_idx);
	base = c->wait_ns + c->remaining_ns;
	c->rule_hit_nr = 0;
	if (variant == NAIVE)
		c->top_hit = km_view_cached(view, KM_CACHE_TOP, type->key.id, c->agent_idx);
	else
		c->top_hit = km_view_augmented(view, KM_CACHE_TOP, type->key.id, c->agent_idx);
	if (c->top_hit) {
		c->processing_ns = est->type_hit_ns[type->key.id];
		c->rule_hit_nr = (uint8_t)view->rule_nr;
	} else if (variant != RULE) {
		c->processing_ns = est->miss_all_ns;
	} else {
		if (base + least_miss_ns > limit_ns)
			return false;
		rule_times(view, type, c);
	}
	c->sum_ns = base + c->processing_ns;
	return true;
}

/* The least that a top-level miss can take, with every rule at its better time. */
static uint64_t least_miss(const struct km_view *view)
{
	const struct km_estimates *est = view->est;
	uint64_t ns = est->build_ns;
	uint32_t r;

	for (r = 0; r < view->rule_nr; r++)
		ns += km_min_u64(est->rule_hit_ns[r], est->rule_miss_ns[r]);
	return ns;
}

static inline uint32_t finish_first(const struct km_view *view, const struct km_type *type,
				    struct km_pick *pick, enum variant variant)
{
	struct candidate best = { .sum_ns = UINT64_MAX, .agent_idx = KM_NO_AGENT };
	struct candidate second = best, c;
	uint64_t least = variant == RULE ? least_miss(view) : 0, word;
	uint32_t w;

	for (w = 0; w < view->word_nr; w++) {
		for (word = view->open[w]; word; word &= word - 1) {
			c.agent_idx = w * 64 + (uint32_t)__builtin_ctzll(word);
			if (!weigh(view, type, variant, least, second.sum_ns, &c))
				continue;
			if (is_better(&c, &best)) {
				second = best;
				best = c;
			} else if (is_better(&c, &second)) {
				second = c;
			}
		}
	}
	pick->runner_up_idx = second.agent_idx;
	pick->margin_ns = second.agent_idx == KM_NO_AGENT ? UINT64_MAX
							  : second.sum_ns - best.sum_ns;
	if (best.agent_idx == KM_NO_AGENT)
		return KM_NO_AGENT;
	pick->wait_ns = best.wait_ns;
	pick->remaining_ns = best.remaining_ns;
	pick->processing_ns = best.processing_ns;
	pick->top_hit = best.top_hit;
	pick->rule_hit_nr = best.rule_hit_nr;
	return best.agent_idx;
}

static uint32_t rule_pick(const struct km_view *view, const struct km_type *type,
			  struct km_pick *pick)
{
	return finish_first(view, type, pick, RULE);
}

static uint32_t request_pick(const struct km_view *view, const struct km_type *type,
			     struct km_pick *pick)
{
	return finish_first(view, type, pick, REQUEST);
}

static uint32_t naive_pick(const struct km_view *view, const struct km_type *type,
			   struct km_pick *pick)
{
	return finish_first(view, type, pick, NAIVE);
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
