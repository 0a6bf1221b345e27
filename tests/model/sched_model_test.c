/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/sched_model_test.c - the scheduler against plain lists.
 *
 * Random arrivals of one or several parts, starts, ends and digests, driven the
 * way the dispatcher drives it, under every policy. Checked after each step: no
 * request lost or sent twice, FIFO per agent (S1), the window (S2), queue times
 * and counts by recounting (S3, V1, V2), cached bits of the current generation
 * only (V3), no agent idle while something waits; at the end that all is zero
 * and every type's reference is back.
 *
 * A request's memory is overwritten as soon as it was sent: by then an agent may
 * have finished it and its client may use it again.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sched.h"
#include "lib/rand.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORLD_NR 8 /* of each policy */
#else
#define WORLD_NR 120
#endif
#define STEP_NR 1000

#define AGENT_MAX 70
#define PART_MAX 4
#define RULE_NR 3
#define TRAIT_NR 3
#define TYPE_CAP 48
#define OBJ_CAP (TYPE_CAP * 2 + 2) /* what TYPE_CAP types of different first traits need */
#define POOL_NR 400
#define LIST_MAX 512

/* One part of a sent request, by value. */
struct part {
	struct km_type *type;
	uint64_t est_ns;
	uint64_t req_id;
	bool last;
};

struct agent {
	struct km_req *held[LIST_MAX]; /* in order */
	uint32_t held_nr;
	struct part sent[LIST_MAX]; /* parts sent and not started */
	uint32_t sent_nr;
	struct part begun[LIST_MAX]; /* parts started and not finished */
	uint32_t begun_nr;
	uint32_t out_nr; /* requests sent and not finished */
	uint32_t gen[KM_CACHE_LEVEL_NR][OBJ_CAP]; /* folded last; 0 = not in the digest */
};

struct world {
	struct km_rand rand;
	uint64_t seed;
	const struct km_policy *policy;
	uint32_t agent_nr, window, window_max, part_max;
	bool count_serving;
	struct km_types *types;
	struct km_view *view;
	struct km_sched *sched;
	struct km_estimates *est;
	uint32_t gen[KM_CACHE_LEVEL_NR][OBJ_CAP]; /* of each id now */

	struct km_req *pool; /* [POOL_NR][PART_MAX] */
	bool in_use[POOL_NR];
	struct km_req *shared[LIST_MAX];
	uint32_t shared_nr;
	struct agent agent[AGENT_MAX];
	uint64_t arrived, sent, finished;
};

static uint64_t below(struct world *w, uint64_t n)
{
	return km_rand_below(&w->rand, n);
}

static void check(const struct world *w, bool holds, const char *what)
{
	if (!holds)
		fail_msg("%s: %s (%u agents, window %u); repeat: SEED=%" PRIu64
			 " WORLDS=1 sched_model_test",
			 w->policy->name, what, w->agent_nr, w->window, w->seed);
}

/* ---- recounting ------------------------------------------------------------------- */

struct recount {
	uint64_t wait_ns;
	uint32_t queued_nr;
	bool coming[KM_CACHE_LEVEL_NR][OBJ_CAP];
};

static void recount_type(struct recount *c, const struct km_type *type)
{
	uint32_t r;

	c->coming[KM_CACHE_TOP][type->key.id] = true;
	for (r = 0; r < RULE_NR; r++)
		c->coming[KM_CACHE_RULE][type->rule[r].id] = true;
}

static void recount_queued(struct recount *c, const struct km_type *type, uint64_t est_ns)
{
	c->wait_ns += est_ns;
	c->queued_nr++;
	recount_type(c, type);
}

static struct recount recount(const struct world *w, const struct agent *agent)
{
	struct recount c = { 0 };
	const struct km_req *part;
	uint32_t i;

	for (i = 0; i < agent->held_nr; i++)
		for (part = agent->held[i]; part; part = part->more)
			recount_queued(&c, part->type, part->est_ns);
	for (i = 0; i < agent->sent_nr; i++)
		recount_queued(&c, agent->sent[i].type, agent->sent[i].est_ns);
	for (i = 0; i < agent->begun_nr && w->count_serving; i++)
		recount_type(&c, agent->begun[i].type);
	return c;
}

static void check_agent(const struct world *w, uint32_t a)
{
	const struct agent *agent = &w->agent[a];
	struct recount c = recount(w, agent);
	uint32_t level, id;

	check(w, w->view->wait_ns[a] == c.wait_ns, "V1: the queue time is not the sum");
	check(w, w->view->queued_nr[a] == c.queued_nr, "the number of queued parts is off");
	check(w, agent->out_nr <= w->window, "S2: more than the window");
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (id = 0; id < w->view->cap[level]; id++) {
			bool cached = agent->gen[level][id] &&
				      agent->gen[level][id] == w->gen[level][id];

			check(w,
			      km_view_augmented(w->view, level, id, a) ==
				      (c.coming[level][id] || cached),
			      "V2: an augmented bit is off");
			check(w,
			      level != KM_CACHE_TOP ||
				      km_view_coming(w->view, id, a) == c.coming[level][id],
			      "V2: a coming bit is off");
			check(w, km_view_cached(w->view, level, id, a) == cached,
			      "V3: a cached bit is off");
		}
	}
}

static uint64_t waiting(const struct world *w)
{
	uint64_t nr = w->shared_nr;
	uint32_t a;

	for (a = 0; a < w->agent_nr; a++)
		nr += w->agent[a].held_nr;
	return nr;
}

static bool is_open(const struct world *w, uint32_t a)
{
	const struct agent *agent = &w->agent[a];

	return agent->out_nr < w->window && agent->sent_nr + agent->begun_nr <= w->window_max;
}

static void check_all(const struct world *w)
{
	uint32_t a;

	check(w, km_sched_waiting(w->sched) == waiting(w), "the number waiting is off");
	check(w, km_sched_inside(w->sched) == w->arrived - w->finished, "the number inside is off");
	for (a = 0; a < w->agent_nr; a++) {
		check(w, !km_view_is_open(w->view, a) || w->agent[a].out_nr < w->window,
		      "an agent with a full window is open");
		check(w, km_view_is_open(w->view, a) || !is_open(w, a),
		      "an agent with room is closed");
		check(w, !km_view_is_open(w->view, a) || !waiting(w),
		      "something waits beside an open agent");
	}
}

/* ---- the model's queues --------------------------------------------------------------- */

static struct km_req *take_head(struct km_req **list, uint32_t *nr)
{
	struct km_req *head = list[0];
	uint32_t i;

	for (i = 1; i < *nr; i++)
		list[i - 1] = list[i];
	(*nr)--;
	return head;
}

/* Who is sent next to @a by the rules of the queueing; NULL = nobody waits for it. */
static struct km_req *model_next(struct world *w, uint32_t a)
{
	uint32_t i, longest = 0;

	if (w->policy->queueing == KM_QUEUE_SHARED)
		return w->shared_nr ? take_head(w->shared, &w->shared_nr) : NULL;
	if (w->agent[a].held_nr)
		return take_head(w->agent[a].held, &w->agent[a].held_nr);
	if (w->policy->queueing != KM_QUEUE_STEAL)
		return NULL;
	for (i = 0; i < w->agent_nr; i++)
		if (w->agent[i].held_nr > w->agent[longest].held_nr)
			longest = i;
	if (!w->agent[longest].held_nr)
		return NULL;
	return take_head(w->agent[longest].held, &w->agent[longest].held_nr);
}

static void note_sent(struct world *w, uint32_t a, struct km_req *req)
{
	struct agent *agent = &w->agent[a];
	size_t slot = (size_t)(req - w->pool) / PART_MAX;
	struct km_req *part;

	check(w, req->decision.agent_idx == a, "the decision names another agent");
	for (part = req; part; part = part->more)
		agent->sent[agent->sent_nr++] =
			(struct part){ part->type, part->est_ns, req->id, !part->more };
	agent->out_nr++;
	w->sent++;
	memset(req, 0xff, PART_MAX * sizeof(*req));
	w->in_use[slot] = false;
}

/* Send all that @a may have. */
static void drain(struct world *w, uint32_t a)
{
	struct km_req *req;

	for (;;) {
		req = km_sched_next(w->sched, a);
		if (!req)
			break;
		check(w, w->agent[a].out_nr < w->window, "S2: sent beyond the window");
		check(w, req == model_next(w, a), "S1: another request is sent first");
		note_sent(w, a, req);
	}
	if (is_open(w, a))
		check(w, !model_next(w, a), "nothing is sent though something waits");
}

static void retry(struct world *w)
{
	struct km_req *req;
	uint32_t a;

	while (km_sched_waiting(w->sched)) {
		req = w->shared_nr ? w->shared[0] : NULL;
		a = km_sched_retry(w->sched);
		if (a == KM_NO_AGENT)
			break;
		check(w, req, "a retry without a request");
		check(w, w->agent[a].out_nr < w->window, "a retry names a full agent");
		if (w->policy->queueing != KM_QUEUE_SHARED)
			w->agent[a].held[w->agent[a].held_nr++] =
				take_head(w->shared, &w->shared_nr);
		drain(w, a);
	}
}

/* ---- what happens ------------------------------------------------------------------------ */

static struct km_req *new_request(struct world *w)
{
	uint32_t trait[TRAIT_NR], slot, p, t, nr;
	struct km_req *req;

	for (slot = 0; slot < POOL_NR && w->in_use[slot]; slot++)
		;
	if (slot == POOL_NR)
		return NULL;
	req = &w->pool[slot * PART_MAX];
	nr = below(w, 4) ? 1 : 1 + (uint32_t)below(w, w->part_max);
	memset(req, 0, PART_MAX * sizeof(*req));
	for (p = 0; p < nr; p++) {
		for (t = 0; t < TRAIT_NR; t++)
			trait[t] = (uint32_t)below(w, below(w, 2) ? 3 : 12);
		req[p].type = km_types_get(w->types, trait);
		if (!req[p].type) { /* all in flight: the dispatcher waits */
			while (p--)
				km_types_put(w->types, req[p].type);
			return NULL;
		}
		req[p].more = p + 1 < nr ? &req[p + 1] : NULL;
	}
	w->in_use[slot] = true;
	return req;
}

static void arrive(struct world *w)
{
	struct km_req *req = new_request(w);
	uint32_t a, home;

	if (!req)
		return;
	req->id = ++w->arrived;
	req->decision.agent_idx = KM_NO_AGENT;
	a = km_sched_arrive(w->sched, req);
	home = req->decision.agent_idx;
	if (w->policy->queueing == KM_QUEUE_SHARED || home == KM_NO_AGENT) {
		w->shared[w->shared_nr++] = req;
	} else {
		check(w, home < w->agent_nr, "no such agent");
		check(w, w->policy->queueing == KM_QUEUE_STEAL || w->agent[home].out_nr < w->window,
		      "assigned to a full agent");
		w->agent[home].held[w->agent[home].held_nr++] = req;
	}
	if (a != KM_NO_AGENT)
		drain(w, a);
}

static void start(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];
	uint32_t i, nr = 0;
	bool last;

	/* One at a time, as an agent serves. */
	if (!agent->sent_nr || agent->begun_nr)
		return;
	km_sched_started(w->sched, a);
	do {
		last = agent->sent[nr].last;
		agent->begun[agent->begun_nr++] = agent->sent[nr++];
	} while (!last);
	for (i = nr; i < agent->sent_nr; i++)
		agent->sent[i - nr] = agent->sent[i];
	agent->sent_nr -= nr;
	km_view_set_end(w->view, a, w->view->now_ns + below(w, 1000));
}

static void finish(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];

	if (!agent->begun_nr)
		return;
	km_sched_finished(w->sched, a);
	km_view_set_end(w->view, a, 0);
	agent->begun_nr = 0;
	agent->out_nr--;
	w->finished++;
	if (km_sched_waiting(w->sched))
		drain(w, a);
	retry(w);
}

/* The keys of those that the model says are there, in an order that changes now and then. */
static uint32_t list_keys(struct world *w, uint32_t a, uint32_t level, struct km_key *key)
{
	uint32_t id, nr = 0, from = (uint32_t)below(w, 4) ? 0 : (uint32_t)below(w, OBJ_CAP), i;

	for (i = 0; i < w->view->cap[level]; i++) {
		id = (from + i) % w->view->cap[level];
		if (w->agent[a].gen[level][id])
			key[nr++] = (struct km_key){ id, w->agent[a].gen[level][id] };
	}
	return nr;
}

/*
 * A digest of any keys, some of them of a generation that is gone. A type's rule
 * objects are there with it, as a cache pins them.
 */
static void fold(struct world *w, uint32_t a)
{
	struct km_key key[KM_CACHE_LEVEL_NR][OBJ_CAP];
	struct km_digest digest = { .keys = { key[0], key[1] } };
	const uint64_t share = 1 + below(w, 8); /* of all that may change */
	const struct km_type *type;
	uint32_t level, id, r;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (id = 0; id < w->view->cap[level]; id++)
			if (below(w, 8) < share)
				w->agent[a].gen[level][id] =
					below(w, 2) ? w->gen[level][id] - (uint32_t)below(w, 2) : 0;
	for (id = 0; id < w->view->cap[KM_CACHE_TOP]; id++) {
		type = km_types_at(w->types, id);
		if (w->agent[a].gen[KM_CACHE_TOP][id] != w->gen[KM_CACHE_TOP][id])
			continue;
		if (!type) { /* nobody can have it now */
			w->agent[a].gen[KM_CACHE_TOP][id] = 0;
			continue;
		}
		for (r = 0; r < RULE_NR; r++)
			w->agent[a].gen[KM_CACHE_RULE][type->rule[r].id] = type->rule[r].gen;
	}
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		digest.nr[level] = list_keys(w, a, level, key[level]);
	assert_int_equal(km_view_fold(w->view, a, &digest), 0);
}

static void recycled(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct world *w = ctx;

	w->gen[level][key.id] = key.gen;
	km_view_recycle(w->view, level, key);
}

static void step(struct world *w)
{
	uint32_t a = (uint32_t)below(w, w->agent_nr);

	w->view->now_ns += below(w, 100);
	switch (below(w, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
		arrive(w);
		break;
	case 7:
		fold(w, a);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		finish(w, a);
		break;
	default:
		start(w, a);
	}
	check_all(w);
	check_agent(w, a);
	if (below(w, 64) == 0 && km_view_check(w->view))
		check(w, false, km_view_check(w->view));
}

/* ---- one world ------------------------------------------------------------------------------ */

static void make_estimates(struct world *w)
{
	static const struct km_rule_desc rules[RULE_NR] = { { "a", 1 }, { "b", 3 }, { "c", 6 } };
	const struct km_types_cfg types = { .type_cap = TYPE_CAP,
					    .rule_obj_cap = OBJ_CAP,
					    .trait_nr = TRAIT_NR,
					    .rule_nr = RULE_NR,
					    .rules = rules };
	struct km_estimator *est;
	uint32_t i;

	assert_int_equal(km_types_create(&w->types, &types), 0);
	assert_int_equal(km_estimator_create(&est, TYPE_CAP, RULE_NR, rules), 0);
	for (i = 0; i < TYPE_CAP; i++)
		km_estimator_add(est, km_sample_pack(KM_SAMPLE_TYPE_HIT, i, below(w, 500)));
	for (i = 0; i < RULE_NR; i++)
		km_estimator_add(est, km_sample_pack(KM_SAMPLE_RULE_MISS, i, below(w, 900)));
	w->est = km_estimator_table(est);
	assert_non_null(w->est);
	km_estimator_destroy(est);
}

static void open_world(struct world *w, const struct km_policy *policy, uint64_t seed)
{
	struct km_view_cfg view = { .rule_nr = RULE_NR,
				    .type_cap = TYPE_CAP,
				    .rule_obj_cap = OBJ_CAP };
	struct km_sched_cfg sched = { .policy = policy, .seed = seed };
	uint32_t level, id;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->policy = policy;
	km_rand_init(&w->rand, seed);
	view.agent_nr = w->agent_nr = 1 + (uint32_t)below(w, below(w, 8) ? 8 : AGENT_MAX);
	view.count_serving = w->count_serving = below(w, 2);
	view.bounds = below(w, 2);
	sched.window_max = w->window_max = 2u << below(w, 4);
	sched.part_nr_max = w->part_max = 1 + (uint32_t)below(w, PART_MAX);
	w->window = policy->window ? policy->window : w->window_max;
	assert_int_equal(km_view_create(&w->view, &view), 0);
	make_estimates(w);
	w->view->est = w->est;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (id = 0; id < OBJ_CAP; id++)
			w->gen[level][id] = KM_GEN_FIRST;
	km_types_on_recycle(w->types, recycled, w);
	sched.view = w->view;
	sched.types = w->types;
	assert_int_equal(km_sched_create(&w->sched, &sched), 0);
	w->pool = aligned_alloc(KM_SHARE_BYTES, POOL_NR * PART_MAX * sizeof(*w->pool));
	assert_non_null(w->pool);
}

static void drain_all(struct world *w)
{
	uint64_t turns = 0;
	uint32_t a;

	while (w->finished < w->arrived) {
		check(w, turns++ < 10000, "requests are lost");
		for (a = 0; a < w->agent_nr; a++) {
			start(w, a);
			finish(w, a);
		}
		check_all(w);
	}
}

static void check_empty(struct world *w)
{
	uint32_t a, i;

	check(w, w->sent == w->arrived, "not everything was sent");
	check(w, km_sched_inside(w->sched) == 0 && km_sched_waiting(w->sched) == 0,
	      "something is left");
	for (a = 0; a < w->agent_nr; a++) {
		struct km_sched_counts counts = km_sched_counts(w->sched, a);

		check(w, counts.sent == counts.started && counts.started == counts.finished,
		      "the counts differ");
		check(w, w->view->wait_ns[a] == 0 && w->view->queued_nr[a] == 0,
		      "a queue time is left");
		check(w, km_view_is_open(w->view, a), "an idle agent is closed");
		check_agent(w, a);
	}
	/* Every reference is back: as many other types at once as there are ids. */
	for (i = 0; i < TYPE_CAP; i++) {
		const uint32_t trait[TRAIT_NR] = { 1000 + i, 0, 0 };

		check(w, km_types_get(w->types, trait), "a type was not put back");
	}
}

static void close_world(struct world *w)
{
	free(w->pool);
	km_sched_destroy(w->sched);
	km_view_destroy(w->view);
	km_types_destroy(w->types);
	km_estimates_free(&w->est->head);
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Return: requests that went through. */
static uint64_t run_policy(const struct km_policy *policy, uint64_t seed, uint64_t world_nr)
{
	static struct world w;
	uint64_t i, requests = 0;
	uint32_t s;

	for (i = 0; i < world_nr; i++) {
		open_world(&w, policy, seed + i);
		for (s = 0; s < STEP_NR; s++)
			step(&w);
		drain_all(&w);
		check_empty(&w);
		requests += w.finished;
		close_world(&w);
	}
	return requests;
}

static void nothing_is_lost_and_everything_is_counted(void **state)
{
	uint64_t seed = env_u64("SEED", 1), world_nr = env_u64("WORLDS", WORLD_NR), requests = 0;
	uint32_t p;

	(void)state;
	printf("# SEED=%" PRIu64 "\n", seed);
	for (p = 0; km_policies[p]; p++)
		requests += run_policy(km_policies[p], seed, world_nr);
	for (p = 0; km_policies_more[p]; p++)
		requests += run_policy(km_policies_more[p], seed, world_nr);
	printf("# %" PRIu64 " requests\n", requests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_and_everything_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
