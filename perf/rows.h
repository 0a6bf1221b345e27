/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/rows.h - what the contestants of a benchmark took, and the rows it is told in.
 *
 * A benchmark runs its contestants one after another, round after round, so that a
 * slow spell of the host hits all of them. The first round warms up; every sample
 * of every later one counts. A sample is a batch of operations, timed from outside
 * and divided, where an operation is short; the clock's own cost is taken off.
 */
#ifndef KM_PERF_ROWS_H
#define KM_PERF_ROWS_H

#include "lib/clock.h"
#include "lib/diag.h"
#include "lib/hist.h"
#include "perf/counters.h"

#define KM_BENCH_ROUND_NR_MAX 2000
#define KM_BENCH_ROUND_NR_MIN 3
#define KM_BENCH_COL_NR_MAX 24
#define KM_BENCH_PS_PER_NS 1000

/* What one contestant took, in picoseconds, so that a batch's mean keeps its digits. 75 KiB. */
struct km_bench_times {
	struct km_hist all, round;
	double round_p50_ns[KM_BENCH_ROUND_NR_MAX];
	uint32_t round_nr;
	uint32_t batch; /* operations of one sample */
	struct km_counters counters; /* of counted_nr operations more, not timed */
	uint64_t counted_nr;
};

/* One cell of a row. Texts and times are the benchmark's until the row is told. */
struct km_bench_col {
	const char *key; /* of the document, its unit last */
	const char *head; /* above the column of the text; NULL = in the document only */
	enum { KM_BENCH_TEXT, KM_BENCH_COUNT, KM_BENCH_REAL, KM_BENCH_TIMES, KM_BENCH_P50 } kind;
	const char *text; /* NULL = not measured */
	uint64_t count;
	double real;
	const struct km_bench_times *times;
};

struct km_bench_row {
	struct km_bench_col col[KM_BENCH_COL_NR_MAX];
	uint32_t nr;
};

/**
 * struct km_bench_env - what every benchmark is given.
 * @seconds: to measure in all; setting up comes on top.
 * @cpu, @other_cpu: where the calling thread is pinned, and another; KM_BENCH_ANY_CPU = none.
 * @timer_ns: one reading of the clock.
 * @tell: takes a row; 0 or -errno.
 */
struct km_bench_env {
	double seconds;
	uint64_t seed, timer_ns;
	uint32_t cpu, other_cpu;
	int (*tell)(void *ctx, const struct km_bench_row *row);
	void *ctx;
};

/* When to stop. The first round warms up. */
struct km_bench_pace {
	uint64_t until_ns;
	uint32_t round_nr; /* begun */
};

/** km_bench_pace_start() - rounds for @share of the benchmark's seconds. */
void km_bench_pace_start(struct km_bench_pace *pace, const struct km_bench_env *env, double share);

/** km_bench_pace_more() - begin another round? At least KM_BENCH_ROUND_NR_MIN that count. */
bool km_bench_pace_more(struct km_bench_pace *pace);

/** km_bench_times_create() - @nr empty ones in a row, each sample @batch operations; free(). */
struct km_bench_times *km_bench_times_create(uint32_t nr, uint32_t batch);

/** km_bench_times_end_round() - count the round's samples, or drop them when it warmed up. */
void km_bench_times_end_round(struct km_bench_times *times, uint32_t nr,
			      const struct km_bench_pace *pace);

/** km_bench_p50_ns() - the median of all samples. */
double km_bench_p50_ns(const struct km_bench_times *times);

/**
 * km_bench_ratio() - the median over the rounds of @times by @base, each by its median.
 * Both ran in the same rounds. Return: 0 when there are none.
 */
double km_bench_ratio(const struct km_bench_times *times, const struct km_bench_times *base);

/** km_bench_sample() - @nr operations ran since @start_ns: one sample. */
static inline void km_bench_sample(const struct km_bench_env *env, struct km_bench_times *times,
				   uint64_t start_ns, uint64_t nr)
{
	const uint64_t ns = km_clock_ns() - start_ns;

	km_hist_add(&times->round,
		    (ns > env->timer_ns ? ns - env->timer_ns : 0) * KM_BENCH_PS_PER_NS / nr);
}

/**
 * struct km_bench_contestant - one thing to be timed.
 * @run: do it @nr times. Return: how many came out right; anything but @nr fails the run.
 * @after: called behind each sample, not timed; NULL = nothing to do.
 * @batch: operations of one sample.
 * @base: index of the contestant it is held against, or -1.
 */
struct km_bench_contestant {
	const char *what;
	uint32_t (*run)(void *ctx, uint32_t nr);
	void (*after)(void *ctx);
	uint32_t batch;
	int32_t base;
};

/**
 * km_bench_contest() - rounds of @sample_nr samples of each contestant in turn, and one more that
 * is counted and not timed.
 * @times: [@nr] filled; from km_bench_times_create().
 * Return: 0; -EIO with the contestant in @diag when one did not do its work.
 */
int km_bench_contest(const struct km_bench_env *env, const struct km_bench_contestant *c,
		     uint32_t nr, void *ctx, uint32_t sample_nr, double share,
		     struct km_bench_times *times, struct km_diag *diag) KM_MUST_CHECK;

/** km_bench_times_row() - append times, ratio and checked operations of contestant @i. */
void km_bench_times_row(struct km_bench_row *row, const struct km_bench_contestant *c, uint32_t i,
			const struct km_bench_times *times);

/** km_bench_text() - append a text; NULL = not measured ("-", null). */
void km_bench_text(struct km_bench_row *row, const char *key, const char *head, const char *text);
/** km_bench_count() - append a whole number. */
void km_bench_count(struct km_bench_row *row, const char *key, const char *head, uint64_t count);
/** km_bench_real() - append a number; NAN = not measured ("-", null). */
void km_bench_real(struct km_bench_row *row, const char *key, const char *head, double real);
/** km_bench_times() - append a distribution: least, p50, p99 and p999 in the text. */
void km_bench_times(struct km_bench_row *row, const char *key, const char *head,
		    const struct km_bench_times *times);
/** km_bench_p50() - the same, in the text its median alone. */
void km_bench_p50(struct km_bench_row *row, const char *key, const char *head,
		  const struct km_bench_times *times);

#endif
