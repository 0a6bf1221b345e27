/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_bench.c - two threads, a line's ping-pong around each run, rounds, medians.
 */
#include "perf/ring_bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/atomic.h"
#include "lib/clock.h"
#include "lib/rand.h"
#include "numa/topo.h"
#include "perf/line.h"
#include "perf/ring_contest.h"

#define TRIPS 200u
#define STREAM_NS 500000.0 /* of messages in a run, about */
#define STREAM_LAPS 8.0 /* at least, or the ring is filled rather than used */
#define STREAM_MAX 8e6 /* the most slots times the laps */
#define FIRST_MOPS 20.0
#define SAMPLE_MAX 4096u /* runs kept of a cell; later ones only count as rounds */

struct samples {
	double mops[SAMPLE_MAX], rtt_ns[SAMPLE_MAX], line_ns[SAMPLE_MAX];
	uint32_t nr;
};

struct entrant {
	const struct ring_ops *ops;
	void *there, *back;
	double mops; /* about, to choose the length of a run */
	struct samples *samples[KM_RING_DISTANCE_NR];
};

/* What both threads see of a run; written between two barriers. */
struct bench {
	const struct km_ring_cfg *cfg;
	struct entrant *entrant;
	pthread_barrier_t barrier;
	pthread_t peer;
	bool stop;
	int peer_err;

	const struct entrant *now;
	uint64_t msg_nr, peer_bad;
	bool peer_disturbed;

	struct bench_line line;
	alignas(KM_SHARE_BYTES) _Atomic uint64_t
		step[2]; /* of the two, each where it stands; only grow */
};

struct run {
	double line_ns[2], mops, rtt_ns;
	uint64_t bad;
	bool disturbed;
};

/* ---- inside a run ------------------------------------------------------------------ */

/* Both are here. Bounded, as both threads come here whatever went wrong before. */
static void meet(struct bench *b, uint32_t self)
{
	/* relaxed: the own step */
	const uint64_t step = atomic_load_explicit(&b->step[self], memory_order_relaxed) + 1;
	struct ring_wait wait = { 0, 0 };

	/* pairs with the acquire below: what was done before the step */
	atomic_store_explicit(&b->step[self], step, memory_order_release);
	while (atomic_load_explicit(&b->step[!self], memory_order_acquire) < step)
		km_ignore(ring_wait(&wait, true));
}

/* How often the kernel took the CPU from this thread. */
static uint64_t preemptions(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_nivcsw;
}

static void peer_run(struct bench *b)
{
	const struct entrant *e = b->now;
	const uint64_t before = preemptions();

	meet(b, 1);
	bench_line_pong(&b->line, 0);
	meet(b, 1);
	b->peer_bad = e->ops->take(e->there, b->msg_nr);
	meet(b, 1);
	b->peer_bad += e->ops->pong(e->there, e->back, TRIPS);
	meet(b, 1);
	bench_line_pong(&b->line, 1);
	b->peer_disturbed = preemptions() != before;
	meet(b, 1);
}

static void own_run(struct bench *b, struct run *run)
{
	const struct entrant *e = b->now;
	const uint64_t before = preemptions();
	uint64_t start;

	meet(b, 0);
	run->line_ns[0] = bench_line_ping(&b->line, 0);
	meet(b, 0);
	start = km_clock_ns();
	run->bad = e->ops->send(e->there, b->msg_nr);
	meet(b, 0); /* all are taken */
	run->mops = (double)b->msg_nr * 1e3 / (double)(km_clock_ns() - start);
	start = km_clock_ns();
	run->bad += e->ops->ping(e->there, e->back, TRIPS);
	run->rtt_ns = (double)(km_clock_ns() - start) / TRIPS;
	meet(b, 0);
	run->line_ns[1] = bench_line_ping(&b->line, 1);
	run->disturbed = preemptions() != before;
	meet(b, 0);
	run->bad += b->peer_bad;
	run->disturbed |= b->peer_disturbed;
}

static void *peer_main(void *arg)
{
	struct bench *b = arg;

	b->peer_err = km_pin_self(b->cfg->peer_cpu, "bench-peer");
	for (;;) {
		pthread_barrier_wait(&b->barrier);
		if (b->stop)
			return NULL;
		peer_run(b);
	}
}

/* ---- rounds ------------------------------------------------------------------------ */

static double clamp(double value, double min, double max)
{
	return value < min ? min : value > max ? max : value;
}

static void run_one(struct bench *b, struct entrant *e, struct run *run)
{
	b->now = e;
	b->msg_nr =
		(uint64_t)clamp(e->mops * STREAM_NS / 1e3, STREAM_LAPS * b->cfg->slots, STREAM_MAX);
	/* The barrier orders it; the peer is done with the ball of the last run. */
	bench_line_reset(&b->line);
	pthread_barrier_wait(&b->barrier);
	own_run(b, run);
}

static void adapt(struct entrant *e, double mops)
{
	e->mops = clamp(mops, e->mops / 2, e->mops * 2);
}

static void keep(const struct bench *b, struct entrant *e, const struct run *run,
		 struct km_ring_result *result)
{
	const double a = run->line_ns[0], z = run->line_ns[1];
	const bool is_far = a > b->cfg->near_ns;
	struct samples *samples = e->samples[is_far ? KM_RING_FAR : KM_RING_NEAR];

	result->run_nr++;
	if (run->disturbed) {
		result->disturbed_nr++;
		return;
	}
	if (bench_line_is_mixed(a, z, b->cfg->near_ns)) {
		result->mixed_nr++;
		return;
	}
	if (samples->nr == SAMPLE_MAX)
		return;
	samples->mops[samples->nr] = run->mops;
	samples->rtt_ns[samples->nr] = run->rtt_ns;
	samples->line_ns[samples->nr++] = (a + z) / 2;
}

static int run_round(struct bench *b, uint32_t *order, struct km_rand *rand, bool warm_up,
		     struct km_ring_result *result, struct km_diag *diag)
{
	const uint32_t nr = b->cfg->contestant_nr;
	const struct ring_contestant *who;
	struct run run;
	uint32_t i, k, swap;

	for (i = 0; i < nr; i++) {
		k = i + (uint32_t)km_rand_below(rand, nr - i);
		swap = order[i];
		order[i] = order[k];
		order[k] = swap;
		who = b->cfg->contestant[order[i]];
		run_one(b, &b->entrant[order[i]], &run);
		result->message_nr += b->msg_nr + 2 * TRIPS;
		if (run.bad)
			return km_diag_set(diag, -EIO, NULL, 0, 0,
					   "%s, %u bytes: %llu messages were wrong or lost",
					   who->name, who->bytes, (unsigned long long)run.bad);
		/* also of a disturbed run, a step at a time, so that no odd one decides the next */
		adapt(&b->entrant[order[i]], run.mops);
		if (!warm_up)
			keep(b, &b->entrant[order[i]], &run, result);
	}
	return 0;
}

static int run_rounds(struct bench *b, struct km_ring_result *result, struct km_diag *diag)
{
	const struct km_ring_cfg *cfg = b->cfg;
	const uint64_t start = km_clock_ns(),
		       length = (uint64_t)(cfg->seconds * (double)KM_NS_PER_S);
	uint32_t *order = calloc(cfg->contestant_nr, sizeof(*order)), i;
	struct km_rand rand;
	int err;

	if (!order)
		return -ENOMEM;
	km_rand_init(&rand, cfg->seed);
	for (i = 0; i < cfg->contestant_nr; i++)
		order[i] = i;
	err = run_round(b, order, &rand, true, result, diag);
	while (!err) {
		err = run_round(b, order, &rand, false, result, diag);
		result->round_nr++;
		if (cfg->progress)
			cfg->progress((double)(km_clock_ns() - start) / (double)length);
		if (km_clock_ns() - start >= length || result->round_nr == cfg->round_nr)
			break;
	}
	free(order);
	return err;
}

/* ---- what comes of it -------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static struct km_ring_spread spread_of(double *value, uint32_t nr)
{
	qsort(value, nr, sizeof(*value), compare);
	return (struct km_ring_spread){ .median = (value[(nr - 1) / 2] + value[nr / 2]) / 2,
					.min = value[0],
					.max = value[nr - 1] };
}

static void sum_up(const struct bench *b, struct km_ring_result *result)
{
	struct km_ring_cell *cell;
	struct samples *s;
	uint32_t i, d;

	for (i = 0; i < b->cfg->contestant_nr; i++) {
		for (d = 0; d < KM_RING_DISTANCE_NR; d++) {
			s = b->entrant[i].samples[d];
			cell = &result->cell[i][d];
			cell->run_nr = s->nr;
			if (!s->nr)
				continue;
			cell->mops = spread_of(s->mops, s->nr);
			cell->rtt_ns = spread_of(s->rtt_ns, s->nr);
			cell->line_rtt_ns = spread_of(s->line_ns, s->nr);
		}
	}
}

static void entrants_free(struct bench *b)
{
	struct entrant *e;
	uint32_t i, d;

	for (i = 0; b->entrant && i < b->cfg->contestant_nr; i++) {
		e = &b->entrant[i];
		if (e->there)
			e->ops->destroy(e->there);
		if (e->back)
			e->ops->destroy(e->back);
		for (d = 0; d < KM_RING_DISTANCE_NR; d++)
			free(e->samples[d]);
	}
	free(b->entrant);
}

static int entrants_create(struct bench *b)
{
	struct entrant *e;
	uint32_t i, d;

	b->entrant = calloc(b->cfg->contestant_nr, sizeof(*b->entrant));
	if (!b->entrant)
		return -ENOMEM;
	for (i = 0; i < b->cfg->contestant_nr; i++) {
		e = &b->entrant[i];
		e->ops = b->cfg->contestant[i]->ops;
		e->mops = FIRST_MOPS;
		e->there = e->ops->create(b->cfg->slots);
		e->back = e->ops->create(b->cfg->slots);
		if (!e->there || !e->back)
			return -ENOMEM;
		for (d = 0; d < KM_RING_DISTANCE_NR; d++)
			if (!(e->samples[d] = calloc(1, sizeof(*e->samples[d]))))
				return -ENOMEM;
	}
	return 0;
}

static int with_peer(struct bench *b, struct km_ring_result *result, struct km_diag *diag)
{
	cpu_set_t before;
	int err;

	if (pthread_getaffinity_np(pthread_self(), sizeof(before), &before))
		return -EINVAL;
	err = -pthread_create(&b->peer, NULL, peer_main, b);
	if (err)
		return err;
	err = km_pin_self(b->cfg->cpu, NULL);
	if (!err)
		err = run_rounds(b, result, diag);
	b->stop = true;
	pthread_barrier_wait(&b->barrier);
	pthread_join(b->peer, NULL);
	km_ignore(
		pthread_setaffinity_np(pthread_self(), sizeof(before), &before)); /* it was ours */
	if (!err && b->peer_err)
		err = b->peer_err;
	if (!err)
		sum_up(b, result);
	return err;
}

int km_bench_rings(const struct km_ring_cfg *cfg, struct km_ring_result *result,
		   struct km_diag *diag)
{
	struct bench *b = aligned_alloc(KM_SHARE_BYTES, sizeof(*b));
	int err = -ENOMEM;

	memset(result, 0, sizeof(*result));
	if (!b)
		return err;
	memset(b, 0, sizeof(*b));
	b->cfg = cfg;
	result->cell = calloc(cfg->contestant_nr, sizeof(*result->cell));
	if (result->cell && !(err = entrants_create(b)) &&
	    !(err = -pthread_barrier_init(&b->barrier, NULL, 2))) {
		err = with_peer(b, result, diag);
		pthread_barrier_destroy(&b->barrier);
	}
	entrants_free(b);
	free(b);
	if (err) {
		free(result->cell);
		result->cell = NULL;
	}
	return err;
}
