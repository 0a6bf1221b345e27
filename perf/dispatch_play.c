/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_play.c - one thread that is all the agents.
 *
 * Each agent serves one request at a time, for as long as its own cache makes
 * it take, on the real clock; who is due next stands in a heap. Agents that
 * idle are asked in turn for what is in their rings.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "numa/topo.h"
#include "perf/dispatch_internal.h"

/* Idle agents whose rings are looked at between two looks at the heap. */
#define IDLE_LOOKS 16
#define RTT_ROUNDS 400
#define BALL_SPINS 2000u
#define RTT_LIMIT_NS (20 * KM_NS_PER_MS)

/* ---- heap of busy agents by end ------------------------------------------------ */

static bool ends_first(const struct bench_play *p, uint32_t a, uint32_t b)
{
	return p->agent[a].end_ns < p->agent[b].end_ns;
}

static void heap_push(struct bench_play *p, uint32_t agent_idx)
{
	uint32_t at = p->busy_nr++, up;

	for (; at; at = up) {
		up = (at - 1) / 2;
		if (!ends_first(p, agent_idx, p->busy[up]))
			break;
		p->busy[at] = p->busy[up];
	}
	p->busy[at] = agent_idx;
}

static uint32_t heap_pop(struct bench_play *p)
{
	uint32_t first = p->busy[0], last = p->busy[--p->busy_nr], at = 0, down;

	for (;;) {
		down = 2 * at + 1;
		if (down >= p->busy_nr)
			break;
		if (down + 1 < p->busy_nr && ends_first(p, p->busy[down + 1], p->busy[down]))
			down++;
		if (!ends_first(p, p->busy[down], last))
			break;
		p->busy[at] = p->busy[down];
		at = down;
	}
	p->busy[at] = last;
	return first;
}

static void add_idle(struct bench_play *p, uint32_t agent_idx)
{
	p->idle_at[agent_idx] = p->idle_nr;
	p->idle[p->idle_nr++] = agent_idx;
}

static void del_idle(struct bench_play *p, uint32_t agent_idx)
{
	uint32_t at = p->idle_at[agent_idx], last = p->idle[--p->idle_nr];

	p->idle[at] = last;
	p->idle_at[last] = at;
}

/* ---- caches and digests --------------------------------------------------------- */

static const struct km_type **cache_of(struct bench_play *p, uint32_t agent_idx)
{
	return p->cached + (size_t)agent_idx * p->cfg->cached_nr;
}

static bool has_type(struct bench_play *p, uint32_t agent_idx, const struct km_type *type)
{
	const struct km_type **cache = cache_of(p, agent_idx);
	uint32_t i;

	for (i = 0; i < p->agent[agent_idx].cached_nr; i++)
		if (cache[i] == type)
			return true;
	return false;
}

/* First in, first out: what is evicted does not matter here. */
static void cache_type(struct bench_play *p, uint32_t agent_idx, const struct km_type *type)
{
	struct bench_agent *agent = &p->agent[agent_idx];

	if (agent->cached_nr < p->cfg->cached_nr) {
		cache_of(p, agent_idx)[agent->cached_nr++] = type;
		return;
	}
	cache_of(p, agent_idx)[agent->next_out++ % agent->cached_nr] = type;
}

/* Mark the cached types and their rule objects with stamp_nr. */
static void mark_cached(struct bench_play *p, uint32_t agent_idx)
{
	const struct km_type **cache = cache_of(p, agent_idx);
	uint32_t i, r;

	p->stamp_nr++;
	for (i = 0; i < p->agent[agent_idx].cached_nr; i++) {
		p->stamp[KM_CACHE_TOP][cache[i]->key.id] = p->stamp_nr;
		for (r = 0; r < p->est->rule_nr; r++)
			p->stamp[KM_CACHE_RULE][cache[i]->rule[r].id] = p->stamp_nr;
	}
}

static void note_change(struct km_digest *d, enum km_cache_level level, struct km_key key,
			uint32_t place, bool present)
{
	d->log[d->log_nr++] = (struct km_change){ key, place, level, present };
	d->version++;
}

/* What is not marked leaves, as from a cache; the mark of what stays goes. */
static void drop_unmarked(struct bench_play *p, struct km_digest *d, enum km_cache_level level)
{
	struct km_key *keys = d->keys[level];
	uint32_t i = 0;

	while (i < d->nr[level]) {
		if (p->stamp[level][keys[i].id] == p->stamp_nr) {
			p->stamp[level][keys[i++].id] = 0;
			continue;
		}
		note_change(d, level, keys[i], i, false);
		keys[i] = keys[--d->nr[level]];
	}
}

static void add_marked(struct bench_play *p, struct km_digest *d, enum km_cache_level level,
		       struct km_key key)
{
	if (p->stamp[level][key.id] != p->stamp_nr)
		return;
	p->stamp[level][key.id] = 0;
	note_change(d, level, key, d->nr[level], true);
	d->keys[level][d->nr[level]++] = key;
}

/* From the digest before to what is cached now: a type goes before its rule objects, and comes after. */
static void change_digest(struct bench_play *p, uint32_t agent_idx, struct km_digest *d)
{
	const struct km_type **cache = cache_of(p, agent_idx);
	const uint32_t nr = p->agent[agent_idx].cached_nr;
	uint32_t i, r;

	mark_cached(p, agent_idx);
	drop_unmarked(p, d, KM_CACHE_TOP);
	drop_unmarked(p, d, KM_CACHE_RULE);
	for (i = 0; i < nr; i++)
		for (r = 0; r < p->est->rule_nr; r++)
			add_marked(p, d, KM_CACHE_RULE, cache[i]->rule[r]);
	for (i = 0; i < nr; i++)
		add_marked(p, d, KM_CACHE_TOP, cache[i]->key);
}

/* All that @from says, into @to, which has room for it. */
static void copy_digest(struct km_digest *to, const struct km_digest *from)
{
	uint32_t level;

	to->version = from->version;
	to->log_nr = (uint32_t)km_min_u64(from->log_nr, KM_CACHE_LOG_NR);
	memcpy(to->log, from->log + from->log_nr - to->log_nr, to->log_nr * sizeof(*to->log));
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		to->nr[level] = from->nr[level];
		memcpy(to->keys[level], from->keys[level], to->nr[level] * sizeof(struct km_key));
	}
}

static int publish(struct bench_play *p, uint32_t agent_idx)
{
	struct bench_agent *agent = &p->agent[agent_idx];
	struct km_digest *made = &p->made, *digest;

	if (agent->digest)
		copy_digest(made, agent->digest);
	else
		made->version = made->log_nr = made->nr[KM_CACHE_TOP] = made->nr[KM_CACHE_RULE] = 0;
	change_digest(p, agent_idx, made);
	digest = malloc(sizeof(*digest) + KM_CACHE_LOG_NR * sizeof(*made->log) +
			(made->nr[KM_CACHE_TOP] + made->nr[KM_CACHE_RULE]) * sizeof(struct km_key));
	if (!digest)
		return -ENOMEM;
	digest->log = (struct km_change *)(digest + 1);
	digest->keys[KM_CACHE_TOP] = (struct km_key *)(digest->log + KM_CACHE_LOG_NR);
	digest->keys[KM_CACHE_RULE] = digest->keys[KM_CACHE_TOP] + made->nr[KM_CACHE_TOP];
	copy_digest(digest, made);
	agent->digest = digest;
	km_stage_publish(p->stage, agent_idx, digest);
	return 0;
}

/* What it takes here by the estimates, which are right up to a fifth. */
static uint64_t service_ns(struct bench_play *p, uint32_t agent_idx, const struct km_type *type)
{
	uint64_t ns = p->est->build_ns;
	uint32_t r;

	if (has_type(p, agent_idx, type))
		return p->est->type_hit_ns[type->key.id];
	mark_cached(p, agent_idx);
	for (r = 0; r < p->est->rule_nr; r++)
		ns += p->stamp[KM_CACHE_RULE][type->rule[r].id] == p->stamp_nr
			      ? p->est->rule_hit_ns[r]
			      : p->est->rule_miss_ns[r];
	return ns;
}

/* ---- the agents' steps --------------------------------------------------------------- */

static void count(_Atomic uint64_t *nr)
{
	/* relaxed: a statistic, and only this thread writes it */
	atomic_store_explicit(nr, atomic_load_explicit(nr, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void begin(struct bench_play *p, uint32_t agent_idx, struct km_req *req, uint64_t now_ns)
{
	struct bench_agent *agent = &p->agent[agent_idx];
	uint64_t ns = service_ns(p, agent_idx, req->type);

	agent->serving = req;
	km_stage_begin(p->stage, agent_idx, now_ns + ns);
	agent->end_ns = now_ns + ns * (80 + km_rand_below(&p->rand, 41)) / 100;
	heap_push(p, agent_idx);
}

static void end(struct bench_play *p, uint32_t agent_idx)
{
	struct bench_agent *agent = &p->agent[agent_idx];
	const struct km_type *type = agent->serving->type;

	if (!has_type(p, agent_idx, type)) {
		cache_type(p, agent_idx, type);
		/* Out of memory: the digest stays as it was, as with a real agent. */
		km_ignore(publish(p, agent_idx));
	}
	km_stage_end(p->stage, agent_idx);
	/* As many slots as requests: it is never full. */
	KM_BUG_ON(!km_spsc_push(&p->done, (uintptr_t)agent->serving));
	agent->serving = NULL;
	count(&p->completed);
}

/* End what is due; the agent goes on with what is in its ring. */
static bool serve_due(struct bench_play *p, uint64_t now_ns)
{
	struct km_req *req;
	uint32_t a;

	if (!p->busy_nr || p->agent[p->busy[0]].end_ns > now_ns)
		return false;
	a = heap_pop(p);
	end(p, a);
	req = km_stage_pop(p->stage, a);
	if (req)
		begin(p, a, req, now_ns);
	else
		add_idle(p, a);
	return true;
}

static bool ask_idle(struct bench_play *p, uint64_t now_ns)
{
	uint32_t i, a, nr = p->idle_nr;
	struct km_req *req;
	bool found = false;

	for (i = 0; i < IDLE_LOOKS && i < nr && p->idle_nr; i++) {
		a = p->idle[p->idle_turn++ % p->idle_nr];
		req = km_stage_pop(p->stage, a);
		if (!req)
			continue;
		del_idle(p, a);
		begin(p, a, req, now_ns);
		found = true;
	}
	return found;
}

/* After each look of the dispatcher a share of the agents has something new to say. */
static uint32_t touch_some(struct bench_play *p, uint32_t looks_seen)
{
	/* relaxed: a hint of when; what is touched has orders of its own */
	uint32_t looks = atomic_load_explicit(&p->looks, memory_order_relaxed);
	uint32_t nr = (uint32_t)(p->cfg->changed * p->cfg->agent_nr), i;

	if (looks == looks_seen)
		return looks;
	for (i = 0; i < nr; i++) {
		km_stage_touch(p->stage, (uint32_t)km_rand_below(&p->rand, p->cfg->agent_nr));
		count(&p->touched);
	}
	return looks;
}

/* Send the ball back, for as long as it comes. Return: whether it was there. */
static bool play_ball(struct bench_play *p)
{
	uint32_t i, ball;
	bool played = false;

	for (i = 0; i < (played ? BALL_SPINS : 1u); i++) {
		/* relaxed: nothing goes with it */
		ball = atomic_load_explicit(&p->ball, memory_order_relaxed);
		if (!(ball & 1))
			continue;
		atomic_store_explicit(&p->ball, ball + 1, memory_order_relaxed); /* relaxed */
		played = true;
		i = 0;
	}
	return played;
}

static void play(struct bench_play *p)
{
	uint32_t looks = 0, idle_turns = 0;
	uint64_t now_ns;
	bool done;

	/* relaxed: the join orders the rest */
	while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
		now_ns = km_clock_ns();
		done = play_ball(p);
		done |= serve_due(p, now_ns);
		done |= ask_idle(p, now_ns);
		looks = touch_some(p, looks);
		km_snap_quiesce();
		idle_turns = done ? 0 : idle_turns + 1;
		/* It need not own its core: then it is given away now and then. */
		if (idle_turns % 64 == 63)
			sched_yield();
	}
}

static void *play_main(void *arg)
{
	struct bench_play *p = arg;

	km_snap_thread_start();
	if (p->cfg->agents_cpu != KM_BENCH_ANY_CPU)
		p->start_err = km_pin_self(p->cfg->agents_cpu, "bench-agents");
	/* relaxed: the bench only waits for it; start_err is read after the join or unset */
	atomic_store_explicit(&p->up, p->start_err ? 2 : 1, memory_order_relaxed);
	if (!p->start_err)
		play(p);
	km_snap_thread_stop();
	return NULL;
}

/* ---- for the bench ---------------------------------------------------------------------- */

/* Room for the longest digest, and for each of its keys to come and to go. */
static int init_made(struct bench_play *p, uint32_t obj_cap)
{
	const uint32_t cap[] = { p->cfg->type_nr + 2, obj_cap };
	const uint32_t key_nr = p->cfg->cached_nr + obj_cap;
	struct km_digest *made = &p->made;
	uint32_t level;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		p->stamp[level] = calloc(cap[level], sizeof(*p->stamp[level]));
	made->log = calloc(KM_CACHE_LOG_NR + 2ul * key_nr, sizeof(*made->log));
	made->keys[KM_CACHE_TOP] = calloc(key_nr, sizeof(struct km_key));
	if (!p->stamp[KM_CACHE_TOP] || !p->stamp[KM_CACHE_RULE] || !made->log ||
	    !made->keys[KM_CACHE_TOP])
		return -ENOMEM;
	made->keys[KM_CACHE_RULE] = made->keys[KM_CACHE_TOP] + p->cfg->cached_nr;
	return 0;
}

int bench_play_init(struct bench_play *p, const struct km_bench_dispatch_cfg *cfg,
		    struct km_stage *stage, const struct km_estimates *est, uint32_t obj_cap,
		    uint32_t in_flight)
{
	const size_t nr = cfg->agent_nr;
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->cfg = cfg;
	p->stage = stage;
	p->est = est;
	km_rand_init(&p->rand, cfg->seed + 1);
	p->cached = calloc(nr * cfg->cached_nr, sizeof(*p->cached));
	p->agent = calloc(nr, sizeof(*p->agent));
	p->busy = calloc(nr, sizeof(*p->busy));
	p->idle = calloc(nr, sizeof(*p->idle));
	p->idle_at = calloc(nr, sizeof(*p->idle_at));
	if (!p->cached || !p->agent || !p->busy || !p->idle || !p->idle_at || init_made(p, obj_cap))
		return -ENOMEM;
	for (i = 0; i < cfg->agent_nr; i++)
		add_idle(p, i);
	return km_spsc_init(&p->done, (uint32_t)km_pow2_up(in_flight + 2));
}

void bench_play_fini(struct bench_play *p)
{
	if (p->done.slots)
		km_spsc_fini(&p->done);
	free(p->made.keys[KM_CACHE_TOP]);
	free(p->made.log);
	free(p->stamp[KM_CACHE_RULE]);
	free(p->stamp[KM_CACHE_TOP]);
	free(p->idle_at);
	free(p->idle);
	free(p->busy);
	free(p->agent);
	free(p->cached);
}

int bench_play_fill(struct bench_play *p, const struct bench_world *w, struct km_types *types)
{
	const struct km_type *type;
	uint32_t a, i;
	int err = 0;

	for (a = 0; a < p->cfg->agent_nr && !err; a++) {
		for (i = 0; i < p->cfg->cached_nr; i++) {
			type = km_types_at(types, w->drawn[km_rand_below(&p->rand, w->drawn_nr)]);
			if (type && !has_type(p, a, type))
				cache_type(p, a, type);
		}
		err = publish(p, a);
	}
	return err;
}

void bench_play_step(struct bench_play *p, uint64_t now_ns)
{
	uint32_t i;

	while (serve_due(p, now_ns))
		;
	for (i = 0; i < p->cfg->agent_nr; i += IDLE_LOOKS)
		ask_idle(p, now_ns);
	km_snap_quiesce();
}

int bench_play_start(struct bench_play *p)
{
	int err = pthread_create(&p->thread, NULL, play_main, p);

	if (err) {
		p->thread = 0;
		return -err;
	}
	/* relaxed: see play_main() */
	while (!atomic_load_explicit(&p->up, memory_order_relaxed))
		sched_yield();
	return atomic_load_explicit(&p->up, memory_order_relaxed) == 2 ? -EINVAL : 0; /* relaxed */
}

void bench_play_stop(struct bench_play *p)
{
	if (!p->thread)
		return;
	/* relaxed: the join orders the rest */
	atomic_store_explicit(&p->stop, 1, memory_order_relaxed);
	km_snap_offline();
	pthread_join(p->thread, NULL);
	km_snap_online();
	p->thread = 0;
}

uint64_t bench_play_rtt(struct bench_play *p)
{
	uint64_t start = km_clock_ns(), now = start, last;
	struct km_hist hist;
	uint32_t i, ball;

	km_hist_init(&hist);
	for (i = 0; i < RTT_ROUNDS && now - start < RTT_LIMIT_NS; i++) {
		/* relaxed: nothing goes with the ball */
		ball = atomic_load_explicit(&p->ball, memory_order_relaxed) + 1;
		last = km_clock_ns();
		atomic_store_explicit(&p->ball, ball, memory_order_relaxed); /* relaxed */
		do {
			now = km_clock_ns();
		} while (atomic_load_explicit(&p->ball, memory_order_relaxed) ==
				 ball && /* relaxed */
			 now - start < RTT_LIMIT_NS);
		km_hist_add(&hist, now - last);
	}
	km_snap_quiesce();
	return now - start < RTT_LIMIT_NS ? km_hist_quantile(&hist, 0.5) : 0;
}
