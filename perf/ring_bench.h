/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_bench.h - rings between two pinned threads: messages a second and round trips.
 *
 * Contestants run one after another, in rounds, each round in a random order. One run
 * of one contestant is, without a break: a ping-pong on one line; a stream of
 * messages; single messages there and back by two rings of its kind; the ping-pong
 * again. The two ping-pongs say how far apart the two CPUs were: near, far, or
 * mixed when they disagree, as a virtual machine may move them at any time. A run
 * during which the kernel took a CPU away from one of the two is disturbed. Mixed
 * and disturbed runs are counted and dropped.
 *
 * Every message is checked by the side that takes it. Between runs both threads sleep.
 *
 * Not shown: what happens in the caches of a busy program; more than two threads;
 * a consumer that sleeps.
 */
#ifndef KM_PERF_RING_BENCH_H
#define KM_PERF_RING_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base.h"
#include "lib/diag.h"

struct ring_contestant;

enum km_ring_distance { KM_RING_NEAR, KM_RING_FAR, KM_RING_DISTANCE_NR };

/**
 * struct km_ring_cfg - what to measure.
 * @contestant: [@contestant_nr] of them, all available.
 * @slots: of each ring; a power of two.
 * @seconds: to run for in all.
 * @round_nr: at most so many rounds; 0 = as many as the time allows.
 * @near_ns: a line's round trip up to this is near.
 * @progress: called after each round, with the share done; NULL is allowed.
 */
struct km_ring_cfg {
	const struct ring_contestant *const *contestant;
	uint32_t contestant_nr, slots;
	double seconds;
	uint64_t round_nr, seed;
	uint32_t cpu, peer_cpu, near_ns;
	void (*progress)(double done);
};

struct km_ring_spread {
	double median, min, max;
};

/* One contestant at one distance; nothing else is set when run_nr is 0. */
struct km_ring_cell {
	uint64_t run_nr;
	struct km_ring_spread mops, rtt_ns, line_rtt_ns;
};

struct km_ring_result {
	uint64_t round_nr, run_nr, mixed_nr, disturbed_nr, message_nr;
	struct km_ring_cell (*cell)[KM_RING_DISTANCE_NR]; /* [contestant_nr]; free() it */
};

/**
 * km_bench_rings() - run all of @cfg; the calling thread is on cfg->cpu meanwhile.
 * @result: filled on success.
 * Return: 0; -EIO when a message was wrong or lost, with its ring in @diag; -ENOMEM; -errno.
 */
int km_bench_rings(const struct km_ring_cfg *cfg, struct km_ring_result *result,
		   struct km_diag *diag) KM_MUST_CHECK;

#endif
