/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy/blind.c - what was there before LatCache: shared queue, random,
 * round robin, hashing with work stealing. Blind to caches and latencies.
 */
#include "core/policy.h"

/* The @nth open agent counted from 0; KM_NO_AGENT when there are fewer. */
static uint32_t nth_open(const struct km_view *view, uint32_t nth)
{
	uint32_t w, nr;
	uint64_t word;

	for (w = 0; w < view->word_nr; w++) {
		word = view->open[w];
		nr = (uint32_t)__builtin_popcountll(word);
		if (nth >= nr) {
			nth -= nr;
			continue;
		}
		while (nth--)
			word &= word - 1;
		return w * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return KM_NO_AGENT;
}

static uint32_t open_nr(const struct km_view *view)
{
	uint32_t w, nr = 0;

	for (w = 0; w < view->word_nr; w++)
		nr += (uint32_t)__builtin_popcountll(view->open[w]);
	return nr;
}

/* The first open agent at or after @from, going round; KM_NO_AGENT when none. */
static uint32_t next_open(const struct km_view *view, uint32_t from)
{
	uint32_t i, agent_idx;

	for (i = 0; i < view->agent_nr; i++) {
		agent_idx = (from + i) % view->agent_nr;
		if (km_view_is_open(view, agent_idx))
			return agent_idx;
	}
	return KM_NO_AGENT;
}

static uint32_t turn_pick(const struct km_view *view, const struct km_type *type,
			  struct km_pick *pick)
{
	uint32_t agent_idx = next_open(view, pick->turn % view->agent_nr);

	if (agent_idx != KM_NO_AGENT)
		pick->turn = (agent_idx + 1) % view->agent_nr;
	return km_pick_describe(view, type, pick, agent_idx);
}

static uint32_t random_pick(const struct km_view *view, const struct km_type *type,
			    struct km_pick *pick)
{
	uint32_t nr = open_nr(view);

	if (!nr)
		return km_pick_describe(view, type, pick, KM_NO_AGENT);
	return km_pick_describe(view, type, pick,
				nth_open(view, (uint32_t)km_rand_below(&pick->rand, nr)));
}

/*
 * The home of a type: rendezvous hashing, the agent whose mix with the type's
 * hash is largest; ties cannot matter less, the lowest index wins. When an agent
 * comes or goes only its own types move, as with a hash ring and no ring to keep.
 * Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit
 * Rates", ToN 6(1), 1998.
 */
static uint32_t hash_ws_pick(const struct km_view *view, const struct km_type *type,
			     struct km_pick *pick)
{
	uint64_t best = 0, mix, seed;
	uint32_t i, home = 0;

	for (i = 0; i < view->agent_nr; i++) {
		seed = type->hash + i * UINT64_C(0xd1342543de82ef95);
		mix = km_splitmix64(&seed);
		if (mix > best) {
			best = mix;
			home = i;
		}
	}
	return km_pick_describe(view, type, pick, home);
}

const struct km_policy km_policy_protean = {
	.name = "protean",
	.summary = "one shared FIFO, an idle agent takes its head (the baseline)",
	.queueing = KM_QUEUE_SHARED,
	.window = 1,
	.pick = turn_pick,
};

const struct km_policy km_policy_random = {
	.name = "random",
	.summary = "a random agent, blind to caches and queues",
	.queueing = KM_QUEUE_OWN,
	.pick = random_pick,
};

const struct km_policy km_policy_rr = {
	.name = "rr",
	.summary = "agents in turn, blind to caches and queues",
	.queueing = KM_QUEUE_OWN,
	.pick = turn_pick,
};

const struct km_policy km_policy_hash_ws = {
	.name = "hash-ws",
	.summary = "the type's home by consistent hash; idle agents steal from the longest queue",
	.queueing = KM_QUEUE_STEAL,
	.window = 1,
	.pick = hash_ws_pick,
};
