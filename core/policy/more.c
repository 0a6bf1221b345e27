/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy/more.c - two ablations of LatCache that only a simulator can run,
 * and four policies that one would otherwise pick.
 *
 * An agent's load is the number of requests it has, the one in service included.
 */
#include "core/policy.h"

static inline uint32_t load_of(const struct km_view *view, uint32_t agent_idx)
{
	return view->queued_nr[agent_idx] + (view->end_ns[agent_idx] > 0);
}

/* The next open agent at or after @from, without going round; KM_NO_AGENT when none. */
static uint32_t open_from(const struct km_view *view, uint32_t from)
{
	uint32_t w;
	uint64_t word;

	for (w = from / 64; w < view->word_nr; w++) {
		word = view->open[w];
		if (w == from / 64)
			word &= ~UINT64_C(0) << (from % 64);
		if (word)
			return w * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return KM_NO_AGENT;
}

/* ---- LatCache with what nobody can know ------------------------------------ */

/* Algorithm 2 over what will be cached when the agent's queue is served. */
static uint64_t future_ns(const struct km_view *view, const struct km_type *type,
			  uint32_t agent_idx)
{
	const struct km_estimates *est = view->est;
	uint64_t ns = est->build_ns;
	uint32_t r;

	if (km_view_future(view, KM_CACHE_TOP, type->key.id, agent_idx))
		return est->type_hit_ns[type->key.id];
	for (r = 0; r < view->rule_nr; r++)
		ns += km_view_future(view, KM_CACHE_RULE, type->rule[r].id, agent_idx)
			      ? est->rule_hit_ns[r]
			      : est->rule_miss_ns[r];
	return ns;
}

struct candidate {
	uint64_t sum_ns;
	uint32_t agent_idx, queued_nr;
	bool top_hit;
};

/* LatCache's strict order. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->sum_ns != b->sum_ns)
		return a->sum_ns < b->sum_ns;
	if (a->top_hit != b->top_hit)
		return a->top_hit;
	if (a->queued_nr != b->queued_nr)
		return a->queued_nr < b->queued_nr;
	return a->agent_idx < b->agent_idx;
}

/* Algorithm 1 with another processing time; ties as LatCache's. */
static uint32_t finish_first(const struct km_view *view, const struct km_type *type,
			     struct km_pick *pick, bool future)
{
	struct candidate best = { .sum_ns = UINT64_MAX, .agent_idx = KM_NO_AGENT };
	struct candidate second = best, c;
	uint32_t a;

	for (a = open_from(view, 0); a != KM_NO_AGENT; a = open_from(view, a + 1)) {
		c.agent_idx = a;
		c.queued_nr = view->queued_nr[a];
		c.top_hit = km_view_augmented(view, KM_CACHE_TOP, type->key.id, a);
		c.sum_ns = view->wait_ns[a] + km_view_remaining_ns(view, a) +
			   (future ? future_ns(view, type, a) : view->exact_ns[a]);
		if (is_better(&c, &best)) {
			second = best;
			best = c;
		} else if (is_better(&c, &second)) {
			second = c;
		}
	}
	a = km_pick_describe(view, type, pick, best.agent_idx);
	if (a == KM_NO_AGENT)
		return a;
	pick->processing_ns = future ? future_ns(view, type, a) : view->exact_ns[a];
	pick->runner_up_idx = second.agent_idx;
	if (second.agent_idx != KM_NO_AGENT)
		pick->margin_ns = second.sum_ns - best.sum_ns;
	return a;
}

static uint32_t oracle_pick(const struct km_view *view, const struct km_type *type,
			    struct km_pick *pick)
{
	if (!view->exact_ns)
		return km_policy_latcache_rule.pick(view, type, pick);
	return finish_first(view, type, pick, false);
}

static uint32_t future_pick(const struct km_view *view, const struct km_type *type,
			    struct km_pick *pick)
{
	if (!view->future[KM_CACHE_TOP])
		return km_policy_latcache_rule.pick(view, type, pick);
	return finish_first(view, type, pick, true);
}

/* ---- what one would otherwise pick ----------------------------------------- */

/* The least loaded agent after @from in a circle, so that ties go round. */
static uint32_t least_loaded(const struct km_view *view, uint32_t from)
{
	uint32_t i, a, best = KM_NO_AGENT;

	for (i = 0; i < view->agent_nr; i++) {
		a = from + i < view->agent_nr ? from + i : from + i - view->agent_nr;
		if (km_view_is_open(view, a) &&
		    (best == KM_NO_AGENT || load_of(view, a) < load_of(view, best)))
			best = a;
	}
	return best;
}

static uint32_t jsq_pick(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick)
{
	uint32_t agent_idx = least_loaded(view, pick->turn % view->agent_nr);

	if (agent_idx != KM_NO_AGENT)
		pick->turn = agent_idx + 1;
	return km_pick_describe(view, type, pick, agent_idx);
}

/*
 * Two agents at random, the less loaded of them; of a closed one, the next open.
 * Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
 * TPDS 12(10), 2001.
 */
static uint32_t p2c_pick(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick)
{
	uint32_t two[2], i;

	for (i = 0; i < 2; i++) {
		two[i] = (uint32_t)km_rand_below(&pick->rand, view->agent_nr);
		two[i] = open_from(view, two[i]);
		if (two[i] == KM_NO_AGENT)
			two[i] = open_from(view, 0);
	}
	if (two[0] == KM_NO_AGENT)
		return km_pick_describe(view, type, pick, KM_NO_AGENT);
	i = load_of(view, two[1]) < load_of(view, two[0]);
	return km_pick_describe(view, type, pick, two[i]);
}

static uint64_t mix_of(const struct km_type *type, uint32_t agent_idx)
{
	uint64_t seed = type->hash + agent_idx * UINT64_C(0xd1342543de82ef95);

	return km_splitmix64(&seed);
}

/*
 * The type's favourite agent among those with less than 5/4 of the mean load,
 * the new request counted. Favourites by rendezvous hashing, as in hash-ws.
 * Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded
 * Loads", SODA 2018, with c = 1.25.
 */
static uint32_t bounded_hash_pick(const struct km_view *view, const struct km_type *type,
				  struct km_pick *pick)
{
	uint64_t all = 1, bound, best_mix = 0, mix;
	uint32_t a, best = KM_NO_AGENT;

	for (a = 0; a < view->agent_nr; a++)
		all += load_of(view, a);
	bound = KM_DIV_UP(all * 5, (uint64_t)view->agent_nr * 4);
	for (a = open_from(view, 0); a != KM_NO_AGENT; a = open_from(view, a + 1)) {
		if (load_of(view, a) >= bound)
			continue;
		mix = mix_of(type, a);
		if (best == KM_NO_AGENT || mix > best_mix) {
			best = a;
			best_mix = mix;
		}
	}
	/* Closed agents may hold the rest of the room. */
	if (best == KM_NO_AGENT)
		best = least_loaded(view, 0);
	return km_pick_describe(view, type, pick, best);
}

/* When loads are further apart than both, locality is dropped: routers' usual defaults. */
#define AFFINITY_GAP 8
#define AFFINITY_RATIO_NUM 3
#define AFFINITY_RATIO_DEN 2

static uint32_t matches(const struct km_view *view, const struct km_type *type, uint32_t agent_idx)
{
	uint32_t r, nr = 0;

	if (km_view_augmented(view, KM_CACHE_TOP, type->key.id, agent_idx))
		return view->rule_nr + 1;
	for (r = 0; r < view->rule_nr; r++)
		nr += km_view_augmented(view, KM_CACHE_RULE, type->rule[r].id, agent_idx);
	return nr;
}

/*
 * The longest match of what is cached or coming, as cache-aware routers of
 * language models do with prefixes: fewer requests on a tie; where less than half
 * of the rules match, or the loads are out of balance, the least loaded agent.
 */
static uint32_t affinity_pick(const struct km_view *view, const struct km_type *type,
			      struct km_pick *pick)
{
	uint32_t a, nr, most_nr = 0, best = KM_NO_AGENT;
	uint64_t least = UINT64_MAX, most = 0;

	for (a = open_from(view, 0); a != KM_NO_AGENT; a = open_from(view, a + 1)) {
		least = km_min_u64(least, load_of(view, a));
		most = km_max_u64(most, load_of(view, a));
		nr = matches(view, type, a);
		if (best == KM_NO_AGENT || nr > most_nr ||
		    (nr == most_nr && load_of(view, a) < load_of(view, best))) {
			best = a;
			most_nr = nr;
		}
	}
	if (best != KM_NO_AGENT && (most_nr * 2 < view->rule_nr ||
				    (most - least > AFFINITY_GAP &&
				     most * AFFINITY_RATIO_DEN > least * AFFINITY_RATIO_NUM)))
		best = least_loaded(view, 0);
	return km_pick_describe(view, type, pick, best);
}

const struct km_policy km_policy_oracle = {
	.name = "oracle",
	.summary = "ablation: latcache-rule with perfect times (simulator only)",
	.queueing = KM_QUEUE_OWN,
	.needs = KM_NEEDS_EXACT,
	.pick = oracle_pick,
};

const struct km_policy km_policy_future = {
	.name = "latcache-future",
	.summary = "ablation: latcache-rule with the queue's evictions (simulator only)",
	.queueing = KM_QUEUE_OWN,
	.needs = KM_NEEDS_FUTURE,
	.pick = future_pick,
};

const struct km_policy km_policy_jsq = {
	.name = "jsq",
	.summary = "join the shortest queue",
	.queueing = KM_QUEUE_OWN,
	.pick = jsq_pick,
};

const struct km_policy km_policy_p2c = {
	.name = "p2c",
	.summary = "the less loaded of two random agents",
	.queueing = KM_QUEUE_OWN,
	.pick = p2c_pick,
};

const struct km_policy km_policy_bounded_hash = {
	.name = "bounded-hash",
	.summary = "consistent hashing with loads bounded to 5/4 of the mean",
	.queueing = KM_QUEUE_OWN,
	.pick = bounded_hash_pick,
};

const struct km_policy km_policy_affinity = {
	.name = "affinity",
	.summary = "the longest match of what is cached; shortest queue when out of balance",
	.queueing = KM_QUEUE_OWN,
	.pick = affinity_pick,
};
