/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_bench.c - see perf/dispatch_bench.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/host.h"
#include "numa/topo.h"
#include "perf/dispatch_internal.h"

#define BATCH_MAX 1024u
#define AGENT_NR_MAX (1u << 20)
#define RING_NR_MAX 32768u
/* A decision shorter than this many clock readings is timed in batches. */
#define TIMER_SHARE 100
/* Nothing came back for so long: the playing thread is stuck. */
#define STUCK_NS (20 * KM_NS_PER_S)
/* The naive way is slow: so many times, but no longer than this. */
#define NAIVE_NR 200
#define NAIVE_NS (200 * KM_NS_PER_MS)
/* With few agents it is fast enough for the timer to matter. */
#define NAIVE_BATCH 16u
#define NAIVE_BATCH_AGENTS 256u
#define PS_PER_NS 1000
/* One decision in so many is counted as well, after all of them were timed. */
#define COUNTED_SHARE 8

struct bench {
	const struct km_bench_dispatch_cfg *cfg;
	struct km_bench_dispatch_result *result;
	struct bench_world world;
	struct bench_play play;
	struct km_stage *stage;
	struct km_estimates *est; /* the stage's */
	struct km_req *pool; /* [in_flight] */
	struct km_req **vacant;
	uint32_t vacant_nr, in_flight, batch;
	uint32_t turn; /* into the drawn types */
	struct km_req *now[BATCH_MAX];
	uint64_t decided, hits, accepted;
	struct km_rand rand;
};

/* ---- what a cell needs ------------------------------------------------------------ */

static uint32_t in_flight_of(const struct km_bench_dispatch_cfg *cfg, uint32_t *batch)
{
	uint64_t inside = (uint64_t)cfg->agent_nr * cfg->depth;

	*batch = cfg->batch;
	/* Where agents hold one request at a time, half of them stay open. */
	if (cfg->policy->window) {
		inside = km_max_u64(1, (uint64_t)cfg->agent_nr * cfg->policy->window / 2);
		*batch = (uint32_t)km_min_u64(*batch, inside);
		inside -= *batch;
	}
	return (uint32_t)(inside + *batch);
}

/* A ring holds several times the mean; LatCache keeps queues near each other in time only. */
static uint32_t window_of(const struct km_bench_dispatch_cfg *cfg)
{
	return (uint32_t)km_min_u64(km_pow2_up(8ull * cfg->depth + 2), RING_NR_MAX);
}

/* About what the cell needs, so that it is refused in time. */
static uint64_t bytes_of(const struct km_bench_dispatch_cfg *cfg)
{
	const uint64_t agents = cfg->agent_nr;
	const uint64_t rules = cfg->rule_nr ? cfg->rule_nr : 1;
	struct bench_world w;
	uint64_t objs, keys, per_agent;

	bench_world_size(&w, cfg->type_nr, cfg->rule_nr);
	objs = w.obj_cap;
	keys = cfg->cached_nr * (1 + km_min_u64(rules, 1 + objs / cfg->cached_nr));
	/* rings, lanes and summaries; digest, its folded copy, the naive table */
	per_agent = 4096 + 64ull * window_of(cfg) + KM_CACHE_LOG_NR * sizeof(struct km_change) +
		    keys * (8 + 16 + 40) + cfg->cached_nr * 8ull;
	return km_view_bytes(cfg->agent_nr, cfg->type_nr + 2, w.obj_cap) + agents * per_agent +
	       agents * cfg->depth * sizeof(struct km_req) +
	       cfg->type_nr * (sizeof(struct km_type) + 64) + (64ull << 20);
}

/* ---- setting up ---------------------------------------------------------------------- */

static int open_pool(struct bench *b)
{
	uint32_t i;

	b->pool = aligned_alloc(KM_SHARE_BYTES, b->in_flight * sizeof(*b->pool));
	b->vacant = malloc(b->in_flight * sizeof(struct km_req *));
	if (!b->pool || !b->vacant)
		return -ENOMEM;
	memset(b->pool, 0, b->in_flight * sizeof(*b->pool));
	for (i = 0; i < b->in_flight; i++)
		b->vacant[b->vacant_nr++] = &b->pool[i];
	return 0;
}

/* All types get their ids in order, so that id i is type i. */
static int name_types(struct bench *b)
{
	uint32_t i, trait[KM_TRAITS_MAX];
	struct km_type *type;

	for (i = 0; i < b->world.type_nr; i++) {
		bench_world_traits(&b->world, i, trait);
		type = km_types_get(km_stage_types(b->stage), trait);
		if (!type || type->key.id != i)
			return -EINVAL;
		km_types_put(km_stage_types(b->stage), type);
	}
	return 0;
}

static int open_stage(struct bench *b)
{
	const struct km_bench_dispatch_cfg *cfg = b->cfg;
	const uint64_t mean_ns = (uint64_t)cfg->agent_nr * KM_NS_PER_S / cfg->rate;
	const struct km_stage_cfg stage = {
		.workload = &b->world.workload,
		.policy = cfg->policy,
		.agent_nr = cfg->agent_nr,
		.view_rule_nr = cfg->rule_nr,
		.window = window_of(cfg),
		.ingress_nr = (uint32_t)km_pow2_up(2ull * b->batch),
		.type_cap = cfg->type_nr + 2,
		.rule_obj_cap = b->world.obj_cap,
		.count_serving = true,
		.seed = cfg->seed,
	};
	int err = km_stage_create(&b->stage, &stage);

	if (err)
		return err;
	b->est = bench_world_estimates(stage.type_cap, cfg->rule_nr, mean_ns, cfg->seed + 2);
	if (!b->est)
		return -ENOMEM;
	km_stage_estimate(b->stage, b->est);
	return name_types(b);
}

static int set_up(struct bench *b, struct km_diag *diag)
{
	const struct km_bench_dispatch_cfg *cfg = b->cfg;
	int err;

	if (cfg->cpu != KM_BENCH_ANY_CPU && km_pin_self(cfg->cpu, NULL))
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "CPU %" PRIu32 " does not exist or is not allowed", cfg->cpu);
	err = bench_world_init(&b->world, cfg->type_nr, cfg->rule_nr, cfg->seed);
	if (!err)
		err = open_pool(b);
	if (!err)
		err = open_stage(b);
	if (!err)
		err = bench_play_init(&b->play, cfg, b->stage, b->est, b->world.obj_cap,
				      b->in_flight);
	if (!err)
		err = bench_play_fill(&b->play, &b->world, km_stage_types(b->stage));
	if (err)
		return km_diag_set(diag, err, NULL, 0, 0, "cannot set up %" PRIu32 " agents: %s",
				   cfg->agent_nr, strerror(-err));
	err = bench_play_start(&b->play);
	if (err)
		return km_diag_set(diag, err, NULL, 0, 0,
				   "cannot start the playing thread on CPU %" PRIu32,
				   cfg->agents_cpu);
	return 0;
}

static void tear_down(struct bench *b)
{
	bench_play_stop(&b->play);
	bench_play_fini(&b->play);
	if (b->stage)
		km_stage_destroy(b->stage);
	free(b->vacant);
	free(b->pool);
	bench_world_fini(&b->world);
}

/* ---- rounds ---------------------------------------------------------------------------- */

/* Wait until a batch of requests came back. Return: 0; -EIO when nothing comes. */
static int collect(struct bench *b)
{
	uint64_t since = km_clock_ns(), looks = 0, handle;

	while (b->vacant_nr < b->batch) {
		handle = km_spsc_pop(&b->play.done);
		if (handle) {
			b->vacant[b->vacant_nr++] = (struct km_req *)(uintptr_t)handle;
			continue;
		}
		km_cpu_relax();
		km_snap_quiesce();
		if (++looks % 256)
			continue;
		/* What policies hold back goes out with a look. */
		km_stage_enter(b->stage);
		km_stage_look(b->stage);
		km_stage_leave(b->stage);
		sched_yield();
		if (km_clock_ns() - since > STUCK_NS)
			return -EIO;
	}
	return 0;
}

static void draw(struct bench *b)
{
	uint32_t i, k;

	for (i = 0; i < b->batch; i++) {
		b->now[i] = b->vacant[--b->vacant_nr];
		b->now[i]->id = b->decided + i;
		k = b->turn++ & (b->world.drawn_nr - 1);
		bench_world_traits(&b->world, b->world.drawn[k], b->now[i]->trait);
		b->now[i]->decision.agent_idx = KM_NO_AGENT;
	}
}

/* The time since @start_ns less one reading, in ps, for each of @nr. */
static uint64_t each_ps(const struct bench *b, uint64_t start_ns, uint64_t end_ns, uint32_t nr)
{
	uint64_t ns = end_ns - start_ns;

	return (ns > b->result->timer_ns ? ns - b->result->timer_ns : 0) * PS_PER_NS / nr;
}

/* Every one of @nr shares counts as a sample. */
static void add_all(struct km_hist *hist, uint64_t ps, uint32_t nr)
{
	while (nr--)
		km_hist_add(hist, ps);
}

static void time_singles(struct bench *b)
{
	uint64_t start_ns;
	uint32_t i;

	for (i = 0; i < b->batch; i++) {
		start_ns = km_clock_ns();
		km_stage_place(b->stage, &b->now[i], 1);
		km_hist_add(&b->result->single_ps, each_ps(b, start_ns, km_clock_ns(), 1));
	}
}

static int split_round(struct bench *b, bool singles)
{
	struct km_bench_dispatch_result *r = b->result;
	uint64_t t[4];
	uint32_t nr;

	t[0] = km_clock_ns();
	km_stage_enter(b->stage);
	km_stage_look(b->stage);
	t[1] = km_clock_ns();
	nr = km_stage_classify(b->stage, b->now, b->batch);
	t[2] = km_clock_ns();
	if (nr != b->batch)
		return -EIO;
	if (singles) {
		time_singles(b);
	} else {
		km_stage_place(b->stage, b->now, b->batch);
		t[3] = km_clock_ns();
		add_all(&r->batch_ps, each_ps(b, t[2], t[3], nr), nr);
	}
	km_stage_leave(b->stage);
	km_hist_add(&r->look_ps, each_ps(b, t[0], t[1], 1));
	add_all(&r->classify_ps, each_ps(b, t[1], t[2], nr), nr);
	return 0;
}

static int path_round(struct bench *b)
{
	uint64_t start_ns, end_ns, accepted;
	uint32_t i;

	for (i = 0; i < b->batch; i++)
		if (!km_stage_submit(b->stage, b->now[i]))
			return -EIO;
	start_ns = km_clock_ns();
	do
		accepted = km_stage_turn(b->stage);
	while (accepted - b->accepted < b->batch);
	end_ns = km_clock_ns();
	b->accepted = accepted;
	add_all(&b->result->path_ps, each_ps(b, start_ns, end_ns, b->batch), b->batch);
	return 0;
}

/* What was decided, so that none of it can be left out. */
static void sum_up(struct bench *b)
{
	const struct km_decision *d;
	uint32_t i;

	for (i = 0; i < b->batch; i++) {
		d = &b->now[i]->decision;
		b->hits += d->agent_idx != KM_NO_AGENT && d->top_hit;
		b->result->checksum =
			(b->result->checksum ^ d->agent_idx ^ d->wait_ns) * UINT64_C(0x100000001b3);
	}
	b->decided += b->batch;
}

static void floor_round(struct bench *b)
{
	const struct km_view *view = km_stage_view(b->stage);
	uint64_t start_ns = km_clock_ns();
	uint32_t i, sum = 0;

	for (i = 0; i < b->batch; i++) {
		sum += bench_argmin(view->wait_ns, view->agent_nr);
		__asm__ volatile("" ::: "memory"); /* the sums may have changed: look again */
	}
	add_all(&b->result->floor_ps, each_ps(b, start_ns, km_clock_ns(), b->batch), b->batch);
	b->result->checksum ^= sum;
}

static int round_of(struct bench *b, uint64_t nr)
{
	int err = collect(b);

	if (err)
		return err;
	draw(b);
	switch (nr % 3) {
	case 0:
		err = split_round(b, false);
		break;
	case 1:
		err = split_round(b, true);
		break;
	default:
		err = path_round(b);
	}
	/* relaxed: a hint for the playing thread */
	atomic_fetch_add_explicit(&b->play.looks, 1, memory_order_relaxed);
	floor_round(b);
	sum_up(b);
	return err;
}

static void reset_result(struct bench *b)
{
	struct km_bench_dispatch_result *r = b->result;

	km_hist_init(&r->batch_ps);
	km_hist_init(&r->single_ps);
	km_hist_init(&r->classify_ps);
	km_hist_init(&r->path_ps);
	km_hist_init(&r->look_ps);
	km_hist_init(&r->floor_ps);
	km_hist_init(&r->naive_ps);
	b->hits = 0;
}

static int rounds(struct bench *b, uint64_t nr)
{
	uint64_t i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = round_of(b, i);
	return err;
}

/* Apart from the timed rounds: starting and stopping the counters are system calls. */
static int count_round(struct bench *b)
{
	int err = collect(b);

	if (err)
		return err;
	draw(b);
	km_stage_enter(b->stage);
	km_stage_look(b->stage);
	if (km_stage_classify(b->stage, b->now, b->batch) != b->batch)
		err = -EIO;
	if (!err) {
		km_counters_start(&b->result->counters);
		km_stage_place(b->stage, b->now, b->batch);
		km_counters_stop(&b->result->counters);
		b->result->counted_nr += b->batch;
	}
	km_stage_leave(b->stage);
	/* relaxed: a hint for the playing thread */
	atomic_fetch_add_explicit(&b->play.looks, 1, memory_order_relaxed);
	sum_up(b);
	return err;
}

static int count(struct bench *b)
{
	uint64_t i, nr = KM_DIV_UP(b->cfg->sample_nr, COUNTED_SHARE * b->batch);
	int err = 0;

	km_counters_open(&b->result->counters);
	for (i = 0; i < nr && !err; i++)
		err = count_round(b);
	km_counters_close(&b->result->counters);
	return err;
}

static int measure(struct bench *b, struct km_diag *diag)
{
	/* Warm: every agent has had some requests, and queues are as deep as they get. */
	const uint64_t warm = KM_DIV_UP(3 * km_max_u64(2 * b->in_flight, 3000), b->batch);
	struct km_bench_dispatch_result *r = b->result;
	uint64_t start_ns, completed, touched, ns;
	int err;

	r->rtt_ns[0] = bench_play_rtt(&b->play);
	reset_result(b);
	err = rounds(b, warm);
	reset_result(b);
	b->decided = 0;
	completed = km_read_racy(&b->play.completed); /* racy: statistics */
	touched = km_read_racy(&b->play.touched); /* racy: statistics */
	start_ns = km_clock_ns();
	if (!err)
		err = rounds(b, KM_DIV_UP(3 * KM_DIV_UP(b->cfg->sample_nr, b->batch), 3) * 3);
	if (err)
		return km_diag_set(diag, err, NULL, 0, 0, "the agents' thread made no progress");
	ns = km_clock_ns() - start_ns;
	completed = km_read_racy(&b->play.completed) - completed; /* racy: statistics */
	touched = km_read_racy(&b->play.touched) - touched; /* racy: statistics */
	r->completed_per_s = (double)completed * 1e9 / (double)(ns ? ns : 1);
	r->changed_per_look = (double)(2 * completed + touched) * b->batch /
			      (double)(b->decided ? b->decided : 1);
	r->top_hit_share = (double)b->hits / (double)(b->decided ? b->decided : 1);
	r->singles = km_hist_quantile(&r->single_ps, 0.5) > TIMER_SHARE * PS_PER_NS * r->timer_ns;
	r->rtt_ns[1] = bench_play_rtt(&b->play);
	if (count(b))
		return km_diag_set(diag, -EIO, NULL, 0, 0, "the agents' thread made no progress");
	return 0;
}

/* ---- the naive way, on the state as it was left ------------------------------------------ */

static int race_naive(struct bench *b, const struct bench_naive *naive, struct km_diag *diag)
{
	const struct km_view *view = km_stage_view(b->stage);
	const bool is_rule = b->cfg->policy == &km_policy_latcache_rule;
	const bool is_request = b->cfg->policy == &km_policy_latcache_request;
	uint64_t until_ns = km_clock_ns() + NAIVE_NS, start_ns, end_ns = 0;
	const uint32_t batch = b->cfg->agent_nr <= NAIVE_BATCH_AGENTS ? NAIVE_BATCH : 1;
	const struct km_type *type[NAIVE_BATCH];
	struct km_pick pick = { .turn = 0 };
	uint32_t i, k, agent[NAIVE_BATCH], want;

	for (i = 0; i < NAIVE_NR && end_ns < until_ns; i++) {
		for (k = 0; k < batch; k++)
			type[k] = km_types_at(km_stage_types(b->stage),
					      b->world.drawn[b->turn++ & (b->world.drawn_nr - 1)]);
		start_ns = km_clock_ns();
		for (k = 0; k < batch; k++)
			agent[k] = bench_naive_pick(naive, view, type[k], !is_request);
		end_ns = km_clock_ns();
		add_all(&b->result->naive_ps, each_ps(b, start_ns, end_ns, batch), batch);
		for (k = 0; k < batch; k++) {
			b->result->checksum += agent[k];
			if (!is_rule && !is_request)
				continue;
			want = b->cfg->policy->pick(view, type[k], &pick);
			b->result->naive_checked++;
			if (agent[k] != want)
				return km_diag_set(diag, -EIO, NULL, 0, 0,
						   "type %" PRIu32 " goes to agent %" PRIu32
						   " by the policy and to %" PRIu32
						   " by the naive way",
						   type[k]->key.id, want, agent[k]);
		}
	}
	return 0;
}

static int look_naively(struct bench *b, struct km_diag *diag)
{
	struct bench_naive *naive;
	int err;

	const char *fault;

	bench_play_stop(&b->play);
	fault = km_view_check(km_stage_view(b->stage));
	if (fault)
		return km_diag_set(diag, -EIO, NULL, 0, 0, "the view does not add up: %s", fault);
	naive = bench_naive_create(km_stage_view(b->stage));
	if (!naive)
		return -ENOMEM;
	km_stage_enter(b->stage);
	err = race_naive(b, naive, diag);
	km_stage_leave(b->stage);
	bench_naive_destroy(naive);
	return err;
}

/* Each decision left a record; the last one of the last request is there and right. */
static int check_records(struct bench *b, struct km_diag *diag)
{
	const struct km_req *req = b->now[b->batch - 1];
	struct km_record record;

	if (req->decision.agent_idx == KM_NO_AGENT) /* held back */
		return 0;
	if (km_records_find(km_stage_records(b->stage), req->id, &record) &&
	    record.decision.agent_idx == req->decision.agent_idx &&
	    record.decision.processing_ns == req->decision.processing_ns)
		return 0;
	return km_diag_set(diag, -EIO, NULL, 0, 0, "the last decision's record is not right");
}

static int check_cfg(const struct km_bench_dispatch_cfg *cfg, struct km_diag *diag)
{
	uint64_t need, have;

	if (!cfg->agent_nr || cfg->agent_nr > AGENT_NR_MAX || cfg->rule_nr > KM_RULES_MAX ||
	    cfg->type_nr < 2 || cfg->type_nr > 1u << 21 || !cfg->depth || !cfg->batch ||
	    cfg->batch > BATCH_MAX || !cfg->cached_nr || !cfg->rate ||
	    (uint64_t)cfg->agent_nr * cfg->depth + cfg->batch > KM_SPSC_SLOTS_MAX / 2)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "a size is out of bounds, or more than %u requests inside",
				   KM_SPSC_SLOTS_MAX / 2);
	need = bytes_of(cfg);
	have = km_host_memory("");
	if (need > have)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
				   "%" PRIu32 " agents and %" PRIu32 " types need about %" PRIu64
				   " MiB, and %" PRIu64 " MiB are available",
				   cfg->agent_nr, cfg->type_nr, need >> 20, have >> 20);
	return 0;
}

int km_bench_dispatch(const struct km_bench_dispatch_cfg *cfg,
		      struct km_bench_dispatch_result *result, struct km_diag *diag)
{
	struct bench *b;
	int err = check_cfg(cfg, diag);

	if (err)
		return err;
	b = aligned_alloc(KM_SHARE_BYTES, sizeof(*b));
	if (!b)
		return -ENOMEM;
	memset(b, 0, sizeof(*b));
	memset(result, 0, sizeof(*result));
	b->cfg = cfg;
	b->result = result;
	b->in_flight = in_flight_of(cfg, &b->batch);
	result->batch = b->batch;
	result->in_flight = b->in_flight;
	result->timer_ns = km_clock_cost_ns();
	result->floor_by = bench_argmin_init();
	err = set_up(b, diag);
	result->rule_obj_nr = b->world.obj_cap;
	if (!err)
		err = measure(b, diag);
	if (!err)
		err = check_records(b, diag);
	if (!err && !cfg->skip_naive)
		err = look_naively(b, diag);
	tear_down(b);
	free(b);
	return err;
}
