/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/rows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void km_bench_pace_start(struct km_bench_pace *pace, const struct km_bench_env *env, double share)
{
	pace->until_ns = km_clock_ns() + (uint64_t)(env->seconds * share * (double)KM_NS_PER_S);
	pace->round_nr = 0;
}

bool km_bench_pace_more(struct km_bench_pace *pace)
{
	if (pace->round_nr > KM_BENCH_ROUND_NR_MIN &&
	    (pace->round_nr > KM_BENCH_ROUND_NR_MAX || km_clock_ns() >= pace->until_ns))
		return false;
	pace->round_nr++;
	return true;
}

struct km_bench_times *km_bench_times_create(uint32_t nr, uint32_t batch)
{
	struct km_bench_times *times = calloc(nr, sizeof(*times));
	uint32_t i;

	for (i = 0; times && i < nr; i++) {
		km_hist_init(&times[i].all);
		km_hist_init(&times[i].round);
		times[i].batch = batch;
	}
	return times;
}

void km_bench_times_end_round(struct km_bench_times *times, uint32_t nr,
			      const struct km_bench_pace *pace)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (pace->round_nr > 1 && times[i].round.count) {
			times[i].round_p50_ns[times[i].round_nr++] =
				(double)km_hist_quantile(&times[i].round, .5) / KM_BENCH_PS_PER_NS;
			km_hist_merge(&times[i].all, &times[i].round);
		}
		km_hist_init(&times[i].round);
	}
}

double km_bench_p50_ns(const struct km_bench_times *times)
{
	return (double)km_hist_quantile(&times->all, .5) / KM_BENCH_PS_PER_NS;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double km_bench_ratio(const struct km_bench_times *times, const struct km_bench_times *base)
{
	static double ratio[KM_BENCH_ROUND_NR_MAX];
	const uint32_t rounds = times->round_nr < base->round_nr ? times->round_nr : base->round_nr;
	uint32_t i, nr = 0;

	for (i = 0; i < rounds; i++)
		if (base->round_p50_ns[i] > 0)
			ratio[nr++] = times->round_p50_ns[i] / base->round_p50_ns[i];
	qsort(ratio, nr, sizeof(ratio[0]), by_value);
	return nr ? ratio[nr / 2] : 0;
}

/* ---- contestants ---------------------------------------------------------------- */

static bool run_samples(const struct km_bench_env *env, const struct km_bench_contestant *c,
			void *ctx, uint32_t sample_nr, struct km_bench_times *times)
{
	uint64_t start_ns;
	uint32_t i, done;

	times->batch = c->batch;
	for (i = 0; i < sample_nr; i++) {
		start_ns = km_clock_ns();
		done = c->run(ctx, c->batch);
		km_bench_sample(env, times, start_ns, c->batch);
		if (c->after)
			c->after(ctx);
		if (done != c->batch)
			return false;
	}
	return true;
}

/* Apart from what is timed: starting and stopping the counters are system calls. */
static bool count_samples(const struct km_bench_contestant *c, void *ctx, uint32_t sample_nr,
			  struct km_bench_times *times)
{
	uint32_t i, done = c->batch;

	km_counters_open(&times->counters);
	for (i = 0; i < sample_nr && done == c->batch; i++) {
		km_counters_start(&times->counters);
		done = c->run(ctx, c->batch);
		km_counters_stop(&times->counters);
		if (c->after)
			c->after(ctx);
	}
	km_counters_close(&times->counters);
	times->counted_nr = (uint64_t)sample_nr * c->batch;
	return done == c->batch;
}

static int not_right(const struct km_bench_contestant *c, struct km_diag *diag)
{
	return km_diag_set(diag, -EIO, NULL, 0, 0, "'%s' did not do what it must", c->what);
}

int km_bench_contest(const struct km_bench_env *env, const struct km_bench_contestant *c,
		     uint32_t nr, void *ctx, uint32_t sample_nr, double share,
		     struct km_bench_times *times, struct km_diag *diag)
{
	struct km_bench_pace pace;
	uint32_t i;

	km_bench_pace_start(&pace, env, share);
	while (km_bench_pace_more(&pace)) {
		for (i = 0; i < nr; i++)
			if (!run_samples(env, &c[i], ctx, sample_nr, &times[i]))
				return not_right(&c[i], diag);
		km_bench_times_end_round(times, nr, &pace);
	}
	for (i = 0; i < nr; i++)
		if (!count_samples(&c[i], ctx, sample_nr, &times[i]))
			return not_right(&c[i], diag);
	return 0;
}

void km_bench_times_row(struct km_bench_row *row, const struct km_bench_contestant *c, uint32_t i,
			const struct km_bench_times *times)
{
	const int32_t base = c[i].base;

	km_bench_times(row, "op_ns", "p50", &times[i]);
	km_bench_real(row, "ratio", "ratio",
		      base < 0 ? NAN : km_bench_ratio(&times[i], &times[base]));
	km_bench_text(row, "ratio_to", NULL, base < 0 ? NULL : c[base].what);
	km_bench_count(row, "checked", NULL, times[i].all.count * c[i].batch);
}

/* ---- rows ------------------------------------------------------------------- */

static struct km_bench_col *append(struct km_bench_row *row, const char *key, const char *head)
{
	struct km_bench_col *col = &row->col[row->nr++];

	KM_BUG_ON(row->nr > KM_BENCH_COL_NR_MAX);
	memset(col, 0, sizeof(*col));
	col->key = key;
	col->head = head;
	return col;
}

void km_bench_text(struct km_bench_row *row, const char *key, const char *head, const char *text)
{
	struct km_bench_col *col = append(row, key, head);

	col->kind = KM_BENCH_TEXT;
	col->text = text;
}

void km_bench_count(struct km_bench_row *row, const char *key, const char *head, uint64_t count)
{
	struct km_bench_col *col = append(row, key, head);

	col->kind = KM_BENCH_COUNT;
	col->count = count;
}

void km_bench_real(struct km_bench_row *row, const char *key, const char *head, double real)
{
	struct km_bench_col *col = append(row, key, head);

	col->kind = KM_BENCH_REAL;
	col->real = real;
}

void km_bench_times(struct km_bench_row *row, const char *key, const char *head,
		    const struct km_bench_times *times)
{
	struct km_bench_col *col = append(row, key, head);

	col->kind = KM_BENCH_TIMES;
	col->times = times;
}

void km_bench_p50(struct km_bench_row *row, const char *key, const char *head,
		  const struct km_bench_times *times)
{
	struct km_bench_col *col = append(row, key, head);

	col->kind = KM_BENCH_P50;
	col->times = times;
}
