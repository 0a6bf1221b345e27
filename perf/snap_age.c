/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/snap_age.c - from the publication of a snapshot to the first look that finds it.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/rand.h"
#include "lib/snap.h"
#include "numa/topo.h"
#include "perf/dispatch_bench.h"
#include "perf/snap_internal.h"
#include "ring/park.h"

/* Of one round; a few microseconds apart, so that the reader is never in step. */
#define STAMP_NR 1000
#define APART_NS_MIN 2000
#define APART_NS_SPREAD 6000
/* The reader did not see the last one for so long: it does not run. */
#define STUCK_NS (5 * KM_NS_PER_S)

struct stamp {
	struct km_snap_head head; /* first: km_snap_retire() */
	uint64_t at_ns, nr, check;
};

struct age_bed {
	const struct km_bench_env *env;
	struct km_snap snap;
	struct km_bench_times *times; /* the reader's while it runs */
	uint64_t skipped; /* overtaken before they were seen; the reader's */
	bool wrong; /* the reader's */
	uint64_t published, warmed; /* in all; of those, before the rounds that count */
	struct km_rand rand;

	/* the reader writes */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t seen; /* number of the newest; 1 = it is up */
	_Atomic int start_err;
	/* the publisher writes */
	alignas(KM_SHARE_BYTES) _Atomic bool stop;
};

static void free_stamp(struct km_snap_head *head)
{
	free(km_container_of(head, struct stamp, head));
}

static void publish(struct age_bed *bed, struct stamp *stamp)
{
	struct stamp *last;

	if (stamp) {
		stamp->nr = ++bed->published;
		stamp->check = ~stamp->nr;
		stamp->at_ns = km_clock_ns();
	}
	last = km_snap_publish(&bed->snap, stamp);
	if (last)
		km_snap_retire(&last->head, free_stamp);
}

/* ---- the reader ------------------------------------------------------------------ */

static uint64_t look(struct age_bed *bed, uint64_t seen)
{
	const struct stamp *stamp;
	uint64_t now_ns, nr = seen, age_ns = 0;

	km_snap_enter();
	stamp = km_snap_read(&bed->snap);
	if (stamp->nr != seen) {
		nr = stamp->nr;
		bed->wrong |= nr < seen || stamp->check != ~nr;
		now_ns = km_clock_ns();
		age_ns = now_ns > stamp->at_ns ? now_ns - stamp->at_ns : 0;
	}
	km_snap_leave();
	if (nr == seen)
		return seen;
	bed->skipped += nr - seen - 1;
	age_ns -= km_min_u64(age_ns, bed->env->timer_ns);
	km_hist_add(&bed->times->round, age_ns * KM_BENCH_PS_PER_NS);
	return nr;
}

static void *read_all(void *ctx)
{
	struct age_bed *bed = ctx;
	int err = km_pin_self(bed->env->other_cpu, NULL);
	uint64_t seen;

	km_snap_thread_start();
	km_snap_enter();
	seen = ((const struct stamp *)km_snap_read(&bed->snap))->nr;
	km_snap_leave();
	/* relaxed, as all below: a hint; the join orders the rest */
	atomic_store_explicit(&bed->start_err, err, memory_order_relaxed);
	atomic_store_explicit(&bed->seen, seen, memory_order_relaxed);
	while (!err && !atomic_load_explicit(&bed->stop, memory_order_relaxed)) {
		const uint64_t nr = look(bed, seen);

		if (nr != seen) {
			seen = nr;
			atomic_store_explicit(&bed->seen, seen, memory_order_relaxed);
		}
		km_snap_quiesce();
	}
	km_snap_thread_stop();
	return NULL;
}

/* ---- the publisher ----------------------------------------------------------------- */

/* Until the reader has seen number @nr. Return: false when it does not. */
static bool await(const struct age_bed *bed, uint64_t nr)
{
	const uint64_t since_ns = km_clock_ns();

	/* relaxed: a hint */
	while (atomic_load_explicit(&bed->seen, memory_order_relaxed) < nr) {
		km_cpu_relax();
		km_snap_quiesce();
		if (atomic_load_explicit(&bed->start_err, memory_order_relaxed) ||
		    km_clock_ns() - since_ns > STUCK_NS)
			return false;
	}
	return true;
}

static int publish_round(struct age_bed *bed)
{
	uint64_t next_ns = km_clock_ns();
	struct stamp *stamp;
	uint32_t i;

	for (i = 0; i < STAMP_NR; i++) {
		stamp = malloc(sizeof(*stamp));
		if (!stamp)
			return -ENOMEM;
		next_ns += APART_NS_MIN + km_rand_below(&bed->rand, APART_NS_SPREAD);
		while (km_clock_ns() < next_ns) {
			km_cpu_relax();
			km_snap_quiesce();
		}
		publish(bed, stamp);
	}
	return await(bed, bed->published) ? 0 : -EIO;
}

/* One reader a round: what it counted is ours after the join. */
static int round_of(struct age_bed *bed, struct km_diag *diag)
{
	pthread_t reader;
	int err;

	/* relaxed: before the thread is */
	atomic_store_explicit(&bed->stop, false, memory_order_relaxed);
	atomic_store_explicit(&bed->seen, 0, memory_order_relaxed);
	err = -pthread_create(&reader, NULL, read_all, bed);
	if (err)
		return err;
	err = await(bed, bed->published) ? publish_round(bed) : -EIO;
	/* relaxed: it only ends the loop */
	atomic_store_explicit(&bed->stop, true, memory_order_relaxed);
	km_snap_offline();
	pthread_join(reader, NULL);
	km_snap_online();
	if (err == -EIO)
		return km_diag_set(diag, err, NULL, 0, 0, "the reader on CPU %" PRIu32 " is stuck",
				   bed->env->other_cpu);
	if (!err && bed->wrong)
		err = km_diag_set(diag, -EIO, NULL, 0, 0, "a snapshot is not as it was published");
	return err;
}

static int tell(const struct age_bed *bed)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "across CPUs", "age when first seen");
	km_bench_times(&row, "age_ns", "p50", bed->times);
	km_bench_count(&row, "published", "published", bed->published - bed->warmed);
	km_bench_count(&row, "skipped", "skipped", bed->skipped);
	return bed->env->tell(bed->env->ctx, &row);
}

static int tell_skipped(const struct km_bench_env *env)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "across CPUs", "age when first seen");
	km_bench_text(&row, "skipped_because", "skipped", "only one CPU is allowed");
	return env->tell(env->ctx, &row);
}

int km_bench_snap_age(struct km_bench_env *env, double share, struct km_diag *diag)
{
	struct age_bed *bed;
	struct km_bench_pace pace;
	struct stamp *first;
	int err = 0;

	if (env->cpu == KM_BENCH_ANY_CPU || env->other_cpu == KM_BENCH_ANY_CPU)
		return tell_skipped(env);
	bed = aligned_alloc(KM_SHARE_BYTES, sizeof(*bed));
	first = malloc(sizeof(*first));
	if (!bed || !first) {
		free(bed);
		free(first);
		return -ENOMEM;
	}
	*bed = (struct age_bed){ .env = env, .times = km_bench_times_create(1, 1) };
	km_rand_init(&bed->rand, env->seed);
	publish(bed, first);
	km_bench_pace_start(&pace, env, share);
	err = bed->times ? 0 : -ENOMEM;
	while (!err && km_bench_pace_more(&pace)) {
		err = round_of(bed, diag);
		if (pace.round_nr == 1) {
			bed->skipped = 0;
			bed->warmed = bed->published;
		}
		km_bench_times_end_round(bed->times, 1, &pace);
	}
	if (!err)
		err = tell(bed);
	publish(bed, NULL);
	km_snap_drain();
	free(bed->times);
	free(bed);
	return err;
}
