/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/snap_age.c - from the publication of a snapshot to the first look that finds it.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rand.h"
#include "lib/snap.h"
#include "numa/topo.h"
#include "perf/dispatch_bench.h"
#include "perf/line.h"
#include "perf/snap_internal.h"
#include "ring/park.h"

/* Of one round; a few microseconds apart, so that the reader is never in step. */
#define STAMP_NR 1000
#define APART_NS_MIN 2000
#define APART_NS_SPREAD 6000
/* Ping-pongs before a round and after it. */
#define LINE_NR 5
/* The reader did not see the last one for so long: it does not run. */
#define STUCK_NS (5 * KM_NS_PER_S)

struct stamp {
	struct km_snap_head head; /* first: km_snap_retire() */
	uint64_t at_ns, nr, check;
};

/* How far apart the two CPUs were in a round. */
enum distance { NEAR, FAR, MIXED, DISTANCE_NR };

/* What was seen at one distance; age and a line's round trip. */
struct seen {
	struct km_bench_times *age, *line;
	uint64_t published, skipped;
};

struct age_bed {
	const struct km_bench_env *env;
	struct km_snap snap;
	struct km_hist age_ps; /* of one round; the reader's */
	uint64_t skipped; /* of one round, overtaken before they were seen; the reader's */
	bool wrong; /* the reader's */
	uint64_t published;
	double line_ns[2]; /* before and after the round */
	struct seen at[DISTANCE_NR];
	struct bench_line line;
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
	km_hist_add(&bed->age_ps, age_ns * KM_BENCH_PS_PER_NS);
	return nr;
}

static void pong_all(struct age_bed *bed, uint32_t first)
{
	uint32_t i;

	for (i = first; i < first + LINE_NR; i++)
		bench_line_pong(&bed->line, i);
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
	if (!err)
		pong_all(bed, 0);
	while (!err && !atomic_load_explicit(&bed->stop, memory_order_relaxed)) {
		const uint64_t nr = look(bed, seen);

		if (nr != seen) {
			seen = nr;
			atomic_store_explicit(&bed->seen, seen, memory_order_relaxed);
		}
		km_snap_quiesce();
	}
	if (!err)
		pong_all(bed, LINE_NR);
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

/* The least: in the others somebody may have lost the CPU. */
static double ping_all(struct age_bed *bed, uint32_t first)
{
	double ns, least_ns = INFINITY;
	uint32_t i;

	for (i = first; i < first + LINE_NR; i++) {
		ns = bench_line_ping(&bed->line, i);
		least_ns = ns < least_ns ? ns : least_ns;
	}
	return least_ns;
}

/* Between ping-pongs with the reader, which answers all unless it could not start. */
static int measured_round(struct age_bed *bed)
{
	int err;

	if (!await(bed, bed->published))
		return -EIO;
	bed->line_ns[0] = ping_all(bed, 0);
	err = publish_round(bed);
	/* relaxed: it only ends the loop */
	atomic_store_explicit(&bed->stop, true, memory_order_relaxed);
	bed->line_ns[1] = ping_all(bed, LINE_NR);
	return err;
}

/* One reader a round: what it counted is ours after the join. */
static int round_of(struct age_bed *bed, struct km_diag *diag)
{
	pthread_t reader;
	int err;

	km_hist_init(&bed->age_ps);
	bed->skipped = 0;
	bench_line_reset(&bed->line);
	/* relaxed: before the thread is */
	atomic_store_explicit(&bed->stop, false, memory_order_relaxed);
	atomic_store_explicit(&bed->seen, 0, memory_order_relaxed);
	err = -pthread_create(&reader, NULL, read_all, bed);
	if (err)
		return err;
	err = measured_round(bed);
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

/* The round joins those of its distance. */
static void keep_round(struct age_bed *bed, const struct km_bench_pace *pace)
{
	const double a = bed->line_ns[0], b = bed->line_ns[1];
	const bool is_mixed = bench_line_is_mixed(a, b, BENCH_LINE_NEAR_NS);
	struct seen *at = &bed->at[is_mixed ? MIXED : a > BENCH_LINE_NEAR_NS ? FAR : NEAR];

	if (pace->round_nr > 1) {
		at->published += STAMP_NR;
		at->skipped += bed->skipped;
	}
	at->age->round = bed->age_ps;
	km_bench_times_end_round(at->age, 1, pace);
	km_hist_add(&at->line->round, (uint64_t)((a + b) / 2 * KM_BENCH_PS_PER_NS));
	km_bench_times_end_round(at->line, 1, pace);
}

static int tell(const struct age_bed *bed)
{
	static const char *const name[] = { "near", "far", "mixed" };
	struct km_bench_row row;
	uint32_t i;
	int err = 0;

	for (i = 0; i < DISTANCE_NR && !err; i++) {
		const struct seen *at = &bed->at[i];

		if (!at->age->all.count)
			continue;
		row.nr = 0;
		km_bench_text(&row, "what", "age when first seen", name[i]);
		km_bench_times(&row, "age_ns", "p50", at->age);
		km_bench_p50(&row, "line_rtt_ns", "line rtt", at->line);
		km_bench_real(&row, "ratio", "ratio", km_bench_ratio(at->age, at->line));
		km_bench_count(&row, "published", "published", at->published);
		km_bench_count(&row, "skipped", "skipped", at->skipped);
		err = bed->env->tell(bed->env->ctx, &row);
	}
	return err;
}

static int tell_skipped(const struct km_bench_env *env)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "age when first seen", "near, far");
	km_bench_text(&row, "skipped_because", "skipped", "only one CPU is allowed");
	return env->tell(env->ctx, &row);
}

static int measure(struct age_bed *bed, double share, struct km_diag *diag)
{
	struct km_bench_pace pace;
	int err = 0;

	km_bench_pace_start(&pace, bed->env, share);
	while (!err && km_bench_pace_more(&pace)) {
		err = round_of(bed, diag);
		keep_round(bed, &pace);
	}
	return err ? err : tell(bed);
}

int km_bench_snap_age(struct km_bench_env *env, double share, struct km_diag *diag)
{
	struct km_bench_times *times;
	struct age_bed *bed;
	struct stamp *first;
	uint32_t i;
	int err = -ENOMEM;

	if (env->cpu == KM_BENCH_ANY_CPU || env->other_cpu == KM_BENCH_ANY_CPU)
		return tell_skipped(env);
	bed = aligned_alloc(KM_SHARE_BYTES, sizeof(*bed));
	first = malloc(sizeof(*first));
	times = km_bench_times_create(2 * DISTANCE_NR, 1);
	if (!bed || !first || !times) {
		free(first);
		goto out;
	}
	memset(bed, 0, sizeof(*bed));
	bed->env = env;
	for (i = 0; i < DISTANCE_NR; i++) {
		bed->at[i].age = &times[2 * i];
		bed->at[i].line = &times[2 * i + 1];
	}
	km_rand_init(&bed->rand, env->seed);
	publish(bed, first);
	err = measure(bed, share, diag);
	publish(bed, NULL);
	km_snap_drain();
out:
	free(times);
	free(bed);
	return err;
}
