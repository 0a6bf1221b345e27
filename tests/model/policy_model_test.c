/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/policy_model_test.c - every policy against a slow and obvious oracle.
 *
 * Random worlds: agents with queues, a request in service, cached types and
 * rule objects, some closed; estimates in which ties are common and a hit may
 * cost more than a miss. The view learns of them the way the dispatcher tells
 * it. The oracle keeps plain lists, looks for everything by scanning them, and
 * shares no code with the view or the policies.
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

#include "core/finish.h"
#include "core/policy.h"
#include "lib/rand.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORLD_NR 200 /* slow builds look at a tenth */
#define LARGE_NR 2
#else
#define WORLD_NR 2000
#define LARGE_NR 12
#endif
#define VIEW_NR 110 /* of each world: 220,000 in all */
#define LARGE_VIEW_NR 40 /* of those of large fleets */
#define CHECK_VIEWS 10 /* one in so many is recounted */

#define AGENT_MAX 200
#define LARGE_MAX 2600 /* groups of more than one set, whatever the instruction set */
#define RULE_MAX 24
#define TYPE_NR 10
#define OBJ_PER_RULE 3
#define OBJ_NR (RULE_MAX * OBJ_PER_RULE)
#define QUEUE_MAX 12

/* What the oracle knows of an agent. */
struct agent {
	uint32_t queue_nr, queue[QUEUE_MAX]; /* type ids, oldest first */
	uint64_t queue_est[QUEUE_MAX];
	bool busy;
	uint32_t serving; /* type id */
	uint64_t end_ns;
	bool open;
	bool has_type[TYPE_NR], has_obj[OBJ_NR];
	bool will_have_type[TYPE_NR], will_have_obj[OBJ_NR]; /* after the queue; any will do */
	uint64_t exact_ns; /* of the request at hand; any will do */
};

struct world {
	struct km_rand rand;
	uint64_t seed;
	uint32_t agent_nr, rule_nr;
	uint64_t unit_ns; /* of most times */
	bool count_serving;
	struct km_type type[TYPE_NR];
	struct agent agent[LARGE_MAX];
	struct km_view *view;
	uint64_t exact_ns[LARGE_MAX]; /* what the view is told */
	struct km_estimates *est[VIEW_NR + 1]; /* each at an address of its own */
	uint32_t est_nr;
};

/* The oracle's idea of one agent as a place for a type. */
struct term {
	bool top_now, top;
	uint32_t rule_hit_nr;
	uint64_t wait, remaining, hit, all_miss, by_rule, by_future, exact;
	uint64_t load; /* requests, the one in service included */
};

struct answer {
	uint32_t agent, runner_up;
	uint64_t wait, remaining, processing, margin;
	bool top_hit;
	uint32_t rule_hit_nr;
};

static uint64_t below(struct world *w, uint64_t n)
{
	return km_rand_below(&w->rand, n);
}

/* Small mostly, so that sums are often equal; now and then as large as may be. */
static uint64_t random_ns(struct world *w)
{
	switch (below(w, 16)) {
	case 0:
		return KM_EST_NS_MAX - below(w, 2);
	case 1:
		return below(w, 1000000000);
	case 2:
		return below(w, 4);
	default:
		return below(w, 4) * w->unit_ns;
	}
}

/* ---- making worlds ------------------------------------------------------------- */

static void new_estimates(struct world *w)
{
	struct km_estimates *est = malloc(sizeof(*est) + TYPE_NR * sizeof(uint64_t));
	uint32_t i;

	assert_non_null(est);
	memset(est, 0, sizeof(*est));
	est->type_cap = TYPE_NR;
	est->rule_nr = w->rule_nr;
	est->type_hit_ns = (uint64_t *)(est + 1);
	est->build_ns = random_ns(w);
	est->hit_all_ns = est->miss_all_ns = est->build_ns;
	for (i = 0; i < w->rule_nr; i++) {
		est->rule_hit_ns[i] = random_ns(w);
		est->rule_miss_ns[i] = random_ns(w);
		est->hit_all_ns += est->rule_hit_ns[i];
		est->miss_all_ns += est->rule_miss_ns[i];
	}
	for (i = 0; i < TYPE_NR; i++)
		est->type_hit_ns[i] = below(w, 2) ? random_ns(w) : est->miss_all_ns;
	if (below(w, 2)) /* else a scan sums them itself */
		km_estimates_sum(est);
	w->est[w->est_nr++] = est;
	w->view->est = est;
}

/* At the end, or now and then somewhere else. */
static void add_key(struct world *w, struct km_key *keys, uint32_t *nr, uint32_t id)
{
	uint32_t at = below(w, 8) ? *nr : (uint32_t)below(w, *nr + 1ul);

	keys[(*nr)++] = keys[at];
	keys[at] = (struct km_key){ id, KM_GEN_FIRST };
}

static void change_cached(struct world *w, uint32_t a)
{
	struct km_key top[TYPE_NR], rule[OBJ_NR];
	struct km_digest digest = { .keys = { top, rule } };
	struct agent *agent = &w->agent[a];
	uint64_t share = 1 + below(w, 4);
	uint32_t i, r;

	/* All anew, or a few more and a few less, as digests mostly are. */
	for (i = 0; i < OBJ_NR; i++)
		if (below(w, 8) < share)
			agent->has_obj[i] = below(w, 4) < share;
	for (i = 0; i < TYPE_NR; i++) {
		if (below(w, 8) < share)
			agent->has_type[i] = below(w, 4) < share - 1;
		/* V5: what it was made of is pinned. */
		for (r = 0; agent->has_type[i] && r < w->rule_nr; r++)
			agent->has_obj[w->type[i].rule[r].id] = true;
	}
	for (i = 0; i < TYPE_NR; i++)
		if (agent->has_type[i])
			add_key(w, top, &digest.nr[KM_CACHE_TOP], i);
	for (i = 0; i < OBJ_NR; i++)
		if (agent->has_obj[i])
			add_key(w, rule, &digest.nr[KM_CACHE_RULE], i);
	assert_int_equal(km_view_fold(w->view, a, &digest), 0);
}

static void change_future(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];
	uint32_t i;

	for (i = 0; i < TYPE_NR; i++) {
		agent->will_have_type[i] = below(w, 4) == 0;
		km_view_note_future(w->view, a, KM_CACHE_TOP, (struct km_key){ i, KM_GEN_FIRST },
				    agent->will_have_type[i]);
	}
	for (i = 0; i < OBJ_NR; i++) {
		agent->will_have_obj[i] = below(w, 2);
		km_view_note_future(w->view, a, KM_CACHE_RULE, (struct km_key){ i, KM_GEN_FIRST },
				    agent->will_have_obj[i]);
	}
	agent->exact_ns = random_ns(w);
	w->exact_ns[a] = agent->exact_ns;
}

static void push(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];
	uint32_t type = (uint32_t)below(w, TYPE_NR);
	uint64_t est = random_ns(w);

	if (agent->queue_nr == QUEUE_MAX)
		return;
	agent->queue[agent->queue_nr] = type;
	agent->queue_est[agent->queue_nr++] = est;
	km_view_enqueue(w->view, a, &w->type[type], est);
}

static void finish(struct world *w, uint32_t a)
{
	struct agent *agent = &w->agent[a];

	if (!agent->busy)
		return;
	agent->busy = false;
	km_view_set_end(w->view, a, 0);
	km_view_finish(w->view, a, &w->type[agent->serving]);
}

/* The head of the queue goes into service, or to another agent. */
static void pop(struct world *w, uint32_t a, bool to_serve)
{
	struct agent *agent = &w->agent[a];
	uint32_t type = agent->queue[0], i;
	uint64_t est = agent->queue_est[0];

	if (!agent->queue_nr)
		return;
	for (i = 1; i < agent->queue_nr; i++) {
		agent->queue[i - 1] = agent->queue[i];
		agent->queue_est[i - 1] = agent->queue_est[i];
	}
	agent->queue_nr--;
	if (!to_serve) {
		km_view_unqueue(w->view, a, &w->type[type], est);
		return;
	}
	finish(w, a);
	agent->busy = true;
	agent->serving = type;
	agent->end_ns = w->view->now_ns + random_ns(w) - below(w, 3);
	/* In either order, as long as no decision comes between. */
	if (below(w, 2))
		km_view_set_end(w->view, a, agent->end_ns);
	km_view_start(w->view, a, &w->type[type], est);
	km_view_set_end(w->view, a, agent->end_ns);
}

static void change_agent(struct world *w, uint32_t a)
{
	switch (below(w, 8)) {
	case 0:
	case 1:
	case 2:
		push(w, a);
		break;
	case 3:
		pop(w, a, true);
		break;
	case 4:
		pop(w, a, false);
		break;
	case 5:
		finish(w, a);
		break;
	case 6:
		change_cached(w, a);
		change_future(w, a);
		break;
	default:
		w->agent[a].open = below(w, 4) > 0;
		km_view_set_open(w->view, a, w->agent[a].open);
	}
}

static void change_world(struct world *w)
{
	uint64_t nr = 1 + below(w, w->agent_nr + 1) / 2, i;

	for (i = 0; i < nr; i++)
		change_agent(w, (uint32_t)below(w, w->agent_nr));
	w->view->now_ns += below(w, 3) * (below(w, 4) ? 1 : w->unit_ns);
	/* So long that ticks start anew. */
	if (below(w, 64) == 0)
		w->view->now_ns += below(w, 100) * UINT64_C(1000000000);
	if (below(w, 8) == 0)
		new_estimates(w);
	if (below(w, 64) == 0)
		for (i = 0; i < w->agent_nr; i++)
			km_view_set_open(w->view, (uint32_t)i, w->agent[i].open = false);
}

static void open_world(struct world *w, uint64_t seed, uint32_t agent_max)
{
	static const uint64_t unit_ns[] = { 1, 1, 30, 64, 1000 };
	struct km_view_cfg cfg = { .type_cap = TYPE_NR, .rule_obj_cap = OBJ_NR, .future = true };
	uint32_t a, i, r;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	km_rand_init(&w->rand, seed);
	/* Few agents more often than many. */
	w->agent_nr = 1 + (uint32_t)below(w, 1 + below(w, agent_max));
	w->unit_ns = unit_ns[below(w, KM_ARRAY_NR(unit_ns))];
	w->rule_nr = (uint32_t)below(w, RULE_MAX + 1);
	w->count_serving = below(w, 2);
	cfg.agent_nr = w->agent_nr;
	cfg.rule_nr = w->rule_nr;
	cfg.count_serving = w->count_serving;
	cfg.bounds = below(w, 4); /* of few agents as well as of many */
	assert_int_equal(km_view_create(&w->view, &cfg), 0);
	w->view->now_ns = 1000;
	w->view->exact_ns = w->exact_ns;
	for (i = 0; i < TYPE_NR; i++) {
		w->type[i].key = (struct km_key){ i, KM_GEN_FIRST };
		w->type[i].hash = km_rand_u64(&w->rand);
		for (r = 0; r < w->rule_nr; r++)
			w->type[i].rule[r] = (struct km_key){
				r * OBJ_PER_RULE + (uint32_t)below(w, OBJ_PER_RULE), KM_GEN_FIRST
			};
	}
	new_estimates(w);
	for (a = 0; a < w->agent_nr; a++) {
		w->agent[a].open = true;
		change_cached(w, a);
		change_future(w, a);
		for (i = 0; i < 6; i++)
			change_agent(w, a);
	}
}

static void close_world(struct world *w)
{
	while (w->est_nr)
		free(w->est[--w->est_nr]);
	km_view_destroy(w->view);
}

/* ---- the oracle ------------------------------------------------------------------ */

static bool is_coming_type(const struct world *w, const struct agent *agent, uint32_t type)
{
	uint32_t i;

	for (i = 0; i < agent->queue_nr; i++)
		if (agent->queue[i] == type)
			return true;
	return w->count_serving && agent->busy && agent->serving == type;
}

static bool is_coming_obj(const struct world *w, const struct agent *agent, uint32_t r,
			  uint32_t obj)
{
	uint32_t type;

	for (type = 0; type < TYPE_NR; type++)
		if (w->type[type].rule[r].id == obj && is_coming_type(w, agent, type))
			return true;
	return false;
}

static struct term term_of(const struct world *w, const struct agent *agent, uint32_t type)
{
	const struct km_estimates *est = w->est[w->est_nr - 1];
	struct term t = { 0 };
	uint32_t i, obj;

	for (i = 0; i < agent->queue_nr; i++)
		t.wait += agent->queue_est[i];
	if (agent->busy && agent->end_ns > w->view->now_ns)
		t.remaining = agent->end_ns - w->view->now_ns;
	t.top_now = agent->has_type[type];
	t.top = t.top_now || is_coming_type(w, agent, type);
	t.hit = est->type_hit_ns[type];
	t.exact = agent->exact_ns;
	t.load = agent->queue_nr + agent->busy;
	t.all_miss = t.by_rule = t.by_future = est->build_ns;
	for (i = 0; i < w->rule_nr; i++) {
		obj = w->type[type].rule[i].id;
		t.all_miss += est->rule_miss_ns[i];
		if (agent->has_obj[obj] || is_coming_obj(w, agent, i, obj)) {
			t.by_rule += est->rule_hit_ns[i];
			t.rule_hit_nr++;
		} else {
			t.by_rule += est->rule_miss_ns[i];
		}
		t.by_future += agent->will_have_obj[obj] ? est->rule_hit_ns[i]
							 : est->rule_miss_ns[i];
	}
	if (agent->will_have_type[type])
		t.by_future = est->type_hit_ns[type];
	return t;
}

/* The answer if @a were chosen, by the terms of one variant. */
static struct answer as_rule(const struct world *w, const struct term *t, uint32_t a)
{
	return (struct answer){ a,
				UINT32_MAX,
				t->wait,
				t->remaining,
				t->top ? t->hit : t->by_rule,
				UINT64_MAX,
				t->top,
				t->top ? w->rule_nr : t->rule_hit_nr };
}

static struct answer as_request(const struct world *w, const struct term *t, uint32_t a)
{
	return (struct answer){ a,
				UINT32_MAX,
				t->wait,
				t->remaining,
				t->top ? t->hit : t->all_miss,
				UINT64_MAX,
				t->top,
				t->top ? w->rule_nr : 0 };
}

static struct answer as_naive(const struct world *w, const struct term *t, uint32_t a)
{
	return (struct answer){ a,
				UINT32_MAX,
				t->wait,
				0,
				t->top_now ? t->hit : t->all_miss,
				UINT64_MAX,
				t->top_now,
				t->top_now ? w->rule_nr : 0 };
}

static uint64_t sum(const struct answer *x)
{
	return x->wait + x->remaining + x->processing;
}

static bool beats(const struct world *w, const struct answer *x, const struct answer *y)
{
	if (sum(x) < sum(y))
		return true;
	if (sum(x) > sum(y))
		return false;
	if (x->top_hit && !y->top_hit)
		return true;
	if (!x->top_hit && y->top_hit)
		return false;
	if (w->agent[x->agent].queue_nr < w->agent[y->agent].queue_nr)
		return true;
	if (w->agent[x->agent].queue_nr > w->agent[y->agent].queue_nr)
		return false;
	return x->agent < y->agent;
}

/* The open agent, @but not this one, that no other beats. */
static uint32_t unbeaten(const struct world *w, const struct answer *of, uint32_t but)
{
	uint32_t a, best = UINT32_MAX;

	for (a = 0; a < w->agent_nr; a++) {
		if (!w->agent[a].open || a == but)
			continue;
		if (best == UINT32_MAX || beats(w, &of[a], &of[best]))
			best = a;
	}
	return best;
}

static const struct answer nobody = { .agent = UINT32_MAX,
				      .runner_up = UINT32_MAX,
				      .margin = UINT64_MAX };

static struct answer oracle_latcache(const struct world *w, const struct answer *of)
{
	uint32_t best = unbeaten(w, of, UINT32_MAX), second;
	struct answer answer;

	if (best == UINT32_MAX)
		return nobody;
	answer = of[best];
	second = unbeaten(w, of, best);
	answer.runner_up = second;
	if (second != UINT32_MAX)
		answer.margin = sum(&of[second]) - sum(&answer);
	return answer;
}

static uint32_t oracle_turn(const struct world *w, uint32_t turn)
{
	uint32_t i;

	for (i = 0; i < w->agent_nr; i++)
		if (w->agent[(turn + i) % w->agent_nr].open)
			return (turn + i) % w->agent_nr;
	return UINT32_MAX;
}

static uint32_t oracle_random(const struct world *w, struct km_rand rand)
{
	uint32_t list[LARGE_MAX], nr = 0, a;

	for (a = 0; a < w->agent_nr; a++)
		if (w->agent[a].open)
			list[nr++] = a;
	return nr ? list[km_rand_below(&rand, nr)] : UINT32_MAX;
}

/* Rendezvous hashing: the finaliser of splitmix64 over type and agent. */
static uint64_t oracle_mix(uint64_t hash, uint32_t a)
{
	uint64_t mix = hash + UINT64_C(0xd1342543de82ef95) * a + UINT64_C(0x9e3779b97f4a7c15);

	mix = (mix ^ mix >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mix = (mix ^ mix >> 27) * UINT64_C(0x94d049bb133111eb);
	return mix ^ mix >> 31;
}

/* Open or not. */
static uint32_t oracle_home(const struct world *w, uint64_t hash)
{
	uint64_t mix, most = 0;
	uint32_t a, home = 0;

	for (a = 0; a < w->agent_nr; a++) {
		mix = oracle_mix(hash, a);
		if (mix > most) {
			most = mix;
			home = a;
		}
	}
	return home;
}

/* The open agent with the fewest requests, going round from @from. */
static uint32_t oracle_shortest(const struct world *w, const struct term *term, uint32_t from)
{
	uint32_t i, a, best = UINT32_MAX;

	for (i = 0; i < w->agent_nr; i++) {
		a = (from + i) % w->agent_nr;
		if (w->agent[a].open && (best == UINT32_MAX || term[a].load < term[best].load))
			best = a;
	}
	return best;
}

/* Two draws, each moved on to the next open agent; the first wins a tie. */
static uint32_t oracle_two_choices(const struct world *w, const struct term *term,
				   struct km_rand rand)
{
	uint32_t first = (uint32_t)km_rand_below(&rand, w->agent_nr);
	uint32_t second = (uint32_t)km_rand_below(&rand, w->agent_nr);

	first = oracle_turn(w, first);
	second = oracle_turn(w, second);
	if (first == UINT32_MAX)
		return first;
	return term[second].load < term[first].load ? second : first;
}

static uint32_t oracle_bounded(const struct world *w, const struct term *term, uint64_t hash)
{
	uint64_t all = 1, mix, most = 0;
	uint32_t a, best = UINT32_MAX;

	for (a = 0; a < w->agent_nr; a++)
		all += term[a].load;
	for (a = 0; a < w->agent_nr; a++) {
		/* load below all * 5/4 / agents, rounded up */
		if (!w->agent[a].open ||
		    term[a].load >= (all * 5 + 4 * w->agent_nr - 1) / (4 * w->agent_nr))
			continue;
		mix = oracle_mix(hash, a);
		if (best == UINT32_MAX || mix > most) {
			most = mix;
			best = a;
		}
	}
	return best == UINT32_MAX ? oracle_shortest(w, term, 0) : best;
}

static uint32_t oracle_affinity(const struct world *w, const struct term *term)
{
	uint64_t least = UINT64_MAX, most = 0, nr, best_nr = 0;
	uint32_t a, best = UINT32_MAX;

	for (a = 0; a < w->agent_nr; a++) {
		if (!w->agent[a].open)
			continue;
		least = term[a].load < least ? term[a].load : least;
		most = term[a].load > most ? term[a].load : most;
		nr = term[a].top ? w->rule_nr + 1 : term[a].rule_hit_nr;
		if (best == UINT32_MAX || nr > best_nr ||
		    (nr == best_nr && term[a].load < term[best].load)) {
			best = a;
			best_nr = nr;
		}
	}
	if (best == UINT32_MAX)
		return best;
	if (2 * best_nr < w->rule_nr || (most > least + 8 && 2 * most > 3 * least))
		return oracle_shortest(w, term, 0);
	return best;
}

static bool is_named(const struct km_policy *policy, const char *name)
{
	return !strcmp(policy->name, name);
}

/* Of policies that compare no sums. */
static uint32_t oracle_unweighed(const struct world *w, const struct km_policy *policy,
				 uint32_t type, const struct term *term, const struct km_pick *pick)
{
	if (is_named(policy, "rr") || is_named(policy, "protean"))
		return oracle_turn(w, pick->turn);
	if (is_named(policy, "random"))
		return oracle_random(w, pick->rand);
	if (is_named(policy, "hash-ws"))
		return oracle_home(w, w->type[type].hash);
	if (is_named(policy, "jsq"))
		return oracle_shortest(w, term, pick->turn);
	if (is_named(policy, "p2c"))
		return oracle_two_choices(w, term, pick->rand);
	if (is_named(policy, "bounded-hash"))
		return oracle_bounded(w, term, w->type[type].hash);
	if (is_named(policy, "affinity"))
		return oracle_affinity(w, term);
	fail_msg("policy %s has no oracle", policy->name);
	return UINT32_MAX;
}

static struct answer oracle(const struct world *w, const struct km_policy *policy, uint32_t type,
			    const struct term *term, const struct km_pick *pick)
{
	const bool exact = is_named(policy, "oracle"), future = is_named(policy, "latcache-future");
	const bool request = is_named(policy, "latcache-request"),
		   naive = is_named(policy, "naive");
	static struct answer of[LARGE_MAX];
	uint32_t a;

	if (!exact && !future && !request && !naive && !is_named(policy, "latcache-rule")) {
		a = oracle_unweighed(w, policy, type, term, pick);
		return a == UINT32_MAX ? nobody : as_rule(w, &term[a], a);
	}
	for (a = 0; a < w->agent_nr; a++) {
		if (request)
			of[a] = as_request(w, &term[a], a);
		else if (naive)
			of[a] = as_naive(w, &term[a], a);
		else
			of[a] = as_rule(w, &term[a], a);
		if (exact || future)
			of[a].processing = exact ? term[a].exact : term[a].by_future;
	}
	return oracle_latcache(w, of);
}

/* ---- the comparison --------------------------------------------------------------- */

/* The instruction sets of latcache's scan, and how many answers of each were looked at. */
static const char *const paths[] = { "portable", "avx2", "avx512" };
static uint64_t path_view_nr[KM_ARRAY_NR(paths)];
static const char *path = "";

static bool has_paths(const struct km_policy *policy)
{
	return policy->pick == km_policy_latcache_rule.pick ||
	       policy->pick == km_policy_latcache_request.pick ||
	       policy->pick == km_policy_naive.pick;
}

static void check(const struct world *w, const struct km_policy *policy, uint64_t got,
		  uint64_t want, const char *what)
{
	if (got != want)
		fail_msg("%s %s: %s is %" PRIu64 ", the oracle says %" PRIu64
			 " (%u agents, %u rules); repeat: SEED=%" PRIu64
			 " WORLDS=1 policy_model_test",
			 policy->name, has_paths(policy) ? path : "", what, got, want, w->agent_nr,
			 w->rule_nr, w->seed);
}

static void compare(struct world *w, const struct km_policy *policy, uint32_t type,
		    const struct term *term, struct km_pick *pick)
{
	struct answer want = oracle(w, policy, type, term, pick);
	uint32_t agent = policy->pick(w->view, &w->type[type], pick);

	check(w, policy, agent, want.agent, "the agent");
	check(w, policy, pick->runner_up_idx, want.runner_up, "the runner-up");
	check(w, policy, pick->margin_ns, want.margin, "the margin");
	if (agent == KM_NO_AGENT)
		return;
	check(w, policy, pick->wait_ns, want.wait, "the queue time");
	check(w, policy, pick->remaining_ns, want.remaining, "the remaining time");
	check(w, policy, pick->processing_ns, want.processing, "the processing time");
	check(w, policy, pick->top_hit, want.top_hit, "the predicted hit");
	check(w, policy, pick->rule_hit_nr, want.rule_hit_nr, "the number of rule hits");
}

/* The @nth policy of both lists; NULL = no more. */
static const struct km_policy *policy_at(uint32_t nth)
{
	uint32_t nr = 0;

	while (km_policies[nr])
		nr++;
	return nth < nr ? km_policies[nth] : km_policies_more[nth - nr];
}

/* The same with every instruction set of this host; latcache's scans have one each. */
static void compare_paths(struct world *w, const struct km_policy *policy, uint32_t type,
			  const struct term *term, struct km_pick *pick)
{
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(paths); i++) {
		if (!km_finish_use(paths[i]))
			continue;
		path = paths[i];
		compare(w, policy, type, term, pick);
		path_view_nr[i]++;
	}
	km_finish_use(NULL);
}

static void look_at_views(struct world *w, uint32_t view_nr)
{
	static struct term term[LARGE_MAX];
	struct km_pick pick[16];
	uint32_t v, p, a, type;
	const char *fault;

	memset(pick, 0, sizeof(pick));
	for (p = 0; policy_at(p); p++)
		km_rand_init(&pick[p].rand, w->seed);
	for (v = 0; v < view_nr; v++) {
		change_world(w);
		/* What is kept, after decisions and changes, against recounting. */
		fault = v % CHECK_VIEWS ? NULL : km_view_check(w->view);
		if (fault)
			fail_msg("%s (%u agents, %u rules); repeat: SEED=%" PRIu64
				 " WORLDS=1 policy_model_test",
				 fault, w->agent_nr, w->rule_nr, w->seed);
		type = (uint32_t)below(w, TYPE_NR);
		for (a = 0; a < w->agent_nr; a++)
			term[a] = term_of(w, &w->agent[a], type);
		for (p = 0; policy_at(p); p++) {
			if (has_paths(policy_at(p)))
				compare_paths(w, policy_at(p), type, term, &pick[p]);
			else
				compare(w, policy_at(p), type, term, &pick[p]);
		}
	}
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void every_policy_agrees_with_the_oracle(void **state)
{
	uint64_t seed = env_u64("SEED", 1), world_nr = env_u64("WORLDS", WORLD_NR), i;
	static struct world w;

	(void)state;
	printf("# SEED=%" PRIu64 ", %" PRIu64 " views\n", seed, world_nr * VIEW_NR);
	for (i = 0; i < world_nr; i++) {
		open_world(&w, seed + i, AGENT_MAX);
		look_at_views(&w, VIEW_NR);
		close_world(&w);
	}
	for (i = 0; i < (world_nr == 1 ? 1 : LARGE_NR); i++) {
		open_world(&w, seed + i, LARGE_MAX);
		look_at_views(&w, LARGE_VIEW_NR);
		close_world(&w);
	}
	for (i = 0; i < KM_ARRAY_NR(paths); i++)
		printf("# %s: %" PRIu64 " answers of latcache's\n", paths[i], path_view_nr[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_policy_agrees_with_the_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
