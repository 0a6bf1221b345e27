/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy.h - who gets a request: pure functions of a view.
 *
 * Same view, type and pick state, same answer, in the runtime and in the
 * simulator, on any compiler: integers only, no clock, no global.
 */
#ifndef KM_CORE_POLICY_H
#define KM_CORE_POLICY_H

#include "core/view.h"
#include "lib/rand.h"

/* Where a request waits that no agent has been sent yet. */
enum km_queueing {
	KM_QUEUE_OWN, /* pick() names the agent for good; it waits there */
	KM_QUEUE_SHARED, /* one FIFO; pick() names an open agent for its head */
	KM_QUEUE_STEAL, /* pick() names a home; an open agent takes its own head, else the
			   head of the longest queue */
};

/* State of one dispatcher's picks, and what the last pick saw. */
struct km_pick {
	struct km_rand rand;
	uint32_t turn;

	/* written by pick() */
	uint64_t wait_ns, remaining_ns, processing_ns; /* of the chosen agent */
	uint64_t margin_ns; /* to the runner-up; UINT64_MAX = none */
	uint32_t runner_up_idx; /* KM_NO_AGENT = none */
	bool top_hit; /* predicted for the chosen agent */
	uint8_t rule_hit_nr; /* predicted, when not a top hit */
};

/* What a policy reads beyond what every view has; only the simulator provides it. */
enum km_policy_needs {
	KM_NEEDS_NOTHING,
	KM_NEEDS_EXACT, /* view->exact_ns */
	KM_NEEDS_FUTURE, /* view->future */
};

/**
 * struct km_policy
 * @window: how many requests an agent may hold, the one in service included;
 *	0 = as many as its ring takes.
 * @pick: an agent for a request of @type; KM_NO_AGENT when none is open.
 *	@type is interned: its ids are below the view's caps.
 */
struct km_policy {
	const char *name;
	const char *summary;
	enum km_queueing queueing;
	uint32_t window;
	bool top_only; /* decides and estimates without the view's rule level */
	enum km_policy_needs needs; /* without it the policy decides as latcache-rule */
	uint32_t (*pick)(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick);
};

extern const struct km_policy km_policy_protean, km_policy_random, km_policy_rr, km_policy_hash_ws,
	km_policy_latcache_request, km_policy_latcache_rule, km_policy_naive;

/* The paper's, in the order of the reports; NULL-terminated. "all" means these. */
extern const struct km_policy *const km_policies[];

extern const struct km_policy km_policy_oracle, km_policy_future, km_policy_jsq, km_policy_p2c,
	km_policy_bounded_hash, km_policy_affinity;

/* Further ablations, and what else one would pick; NULL-terminated. */
extern const struct km_policy *const km_policies_more[];

/** km_policy_find() - Return: the policy of either list named @name, or NULL. */
const struct km_policy *km_policy_find(const char *name);

/**
 * km_policy_suggest() - the policy name nearest to @name, or NULL.
 */
const char *km_policy_suggest(const char *name);

/* What a decision by finishing time looks at. */
enum km_finish {
	KM_FINISH_RULE, /* both levels, augmented by what is coming */
	KM_FINISH_REQUEST, /* the top level only: a miss there misses every rule */
	KM_FINISH_NAIVE, /* the top level as cached now, nothing coming, no remaining time */
	KM_FINISH_NR,
};

/**
 * km_finish_first() - the open agent with the least queue + remaining + processing time.
 *
 * Ties go to an agent that holds the type (in the sense of @variant), then to the
 * fewest queued, then to the lowest index; the runner-up is the first of the rest
 * by the same order. Fills @pick's report. Sums are below 2^62 ns.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2; core/finish.c for how.
 * Progress: O(agent_nr * rule_nr) at worst. Return: KM_NO_AGENT when none is open.
 */
uint32_t km_finish_first(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick, enum km_finish variant);

/**
 * km_pick_describe() - fill @pick's report for an agent chosen without looking
 * (random, round robin, hash, shared queue), by the same terms as LatCache.
 * Return: @agent_idx.
 */
uint32_t km_pick_describe(const struct km_view *view, const struct km_type *type,
			  struct km_pick *pick, uint32_t agent_idx);

/**
 * km_processing_ns() - predicted processing time of @type on @agent_idx.
 *
 * Source: Kamino, OSDI '25, algorithm 2 (LatCache-rule), over the augmented cache.
 * @rule_hit_nr: set to how many rule objects are there; all of them on a top hit.
 * Progress: O(rule_nr). Return: nanoseconds.
 */
uint64_t km_processing_ns(const struct km_view *view, const struct km_type *type,
			  uint32_t agent_idx, bool *top_hit, uint8_t *rule_hit_nr);

#endif
