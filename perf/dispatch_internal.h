/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_internal.h - what the files of the dispatch benchmark share.
 */
#ifndef KM_PERF_DISPATCH_INTERNAL_H
#define KM_PERF_DISPATCH_INTERNAL_H

#include <pthread.h>

#include "core/stage.h"
#include "lib/rand.h"
#include "perf/dispatch_bench.h"
#include "ring/spsc.h"

#define BENCH_TRAIT_NR 8

/* ---- dispatch_world.c: types, rules, estimates, popularity ---------------------- */

struct bench_world {
	uint32_t type_nr, rule_nr, value_nr; /* values of each trait: 0..value_nr - 1 */
	uint32_t obj_cap;
	struct km_workload workload;
	struct km_rule_desc rule[KM_RULES_MAX];
	char name[KM_RULES_MAX][16];
	uint32_t *drawn; /* [drawn_nr] types by popularity */
	uint32_t drawn_nr;
};

/* Rules and sizes only: nothing to free. */
void bench_world_size(struct bench_world *w, uint32_t type_nr, uint32_t rule_nr);

int bench_world_init(struct bench_world *w, uint32_t type_nr, uint32_t rule_nr, uint64_t seed);
void bench_world_fini(struct bench_world *w);

/* The traits of type @i. */
void bench_world_traits(const struct bench_world *w, uint32_t i, uint32_t *trait);

/* Estimates with which a request takes about @mean_ns. NULL = out of memory. */
struct km_estimates *bench_world_estimates(uint32_t type_cap, uint32_t view_rule_nr,
					   uint64_t mean_ns, uint64_t seed);

/* ---- dispatch_play.c: the thread that plays the agents ----------------------------- */

/* One agent as it is played. */
struct bench_agent {
	struct km_req *serving;
	uint64_t end_ns;
	uint32_t cached_nr,
		next_out; /* types cached; which is evicted next (first in, first out) */
	const struct km_digest *digest; /* published last: ours until the next one */
};

struct bench_play {
	const struct km_bench_dispatch_cfg *cfg;
	struct km_stage *stage;
	const struct km_estimates *est;
	const struct km_type **cached; /* [agent_nr][cached_nr] */
	struct bench_agent *agent;
	uint32_t *busy, busy_nr; /* heap by end_ns */
	uint32_t *idle, idle_nr, *idle_at; /* in any order; where each stands */
	uint32_t idle_turn;
	/* by id: what is cached now, where it is stamp_nr */
	uint32_t *stamp[KM_CACHE_LEVEL_NR], stamp_nr;
	struct km_digest made; /* the next one, with room for all */
	struct km_rand rand;
	pthread_t thread;
	int start_err;

	/* the agents push what is done, the bench pops */
	struct km_spsc done;

	alignas(KM_SHARE_BYTES) _Atomic uint32_t stop;
	_Atomic uint32_t looks; /* the bench counts its looks */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t ball; /* line that is sent to and fro */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t completed, touched;
	_Atomic uint32_t up; /* 1 = plays, 2 = could not start */
};

int bench_play_init(struct bench_play *p, const struct km_bench_dispatch_cfg *cfg,
		    struct km_stage *stage, const struct km_estimates *est, uint32_t obj_cap,
		    uint32_t in_flight);
void bench_play_fini(struct bench_play *p);

/* Fill the caches with what is popular; before the thread starts. */
int bench_play_fill(struct bench_play *p, const struct bench_world *w, struct km_types *types);

/* All that happens up to @now_ns, without a thread. */
void bench_play_step(struct bench_play *p, uint64_t now_ns);

int bench_play_start(struct bench_play *p);
void bench_play_stop(struct bench_play *p);

/* A line to the playing thread and back, in ns; 0 when it did not come back in time. */
uint64_t bench_play_rtt(struct bench_play *p);

/* ---- dispatch_rivals.c: the floor and the naive way ---------------------------------- */

/* Index of the least of @value[0..nr), the first of equals. */
extern uint32_t (*bench_argmin)(const uint64_t *value, uint32_t nr);

/* Choose the widest instruction set of this host. Return: its name. */
const char *bench_argmin_init(void);

/* One hash table of cached and coming keys an agent, as a router would have it. */
struct bench_naive;

/* Of @view as it now is. NULL = out of memory. */
struct bench_naive *bench_naive_create(const struct km_view *view);
void bench_naive_destroy(struct bench_naive *naive);

/* LatCache by a probe per agent and rule; @rule_level false: the top level only. */
uint32_t bench_naive_pick(const struct bench_naive *naive, const struct km_view *view,
			  const struct km_type *type, bool rule_level);

#endif
