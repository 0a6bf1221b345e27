/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/bench_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/snap.h"
#include "numa/topo.h"
#include "tools/verbs.h"

/* Where rows go. */
struct sink {
	json_t *results; /* NULL = text */
	const char *intro; /* before the first row of a text */
	uint64_t row_nr;
	const char *head[KM_BENCH_COL_NR_MAX]; /* of the last row printed */
	uint32_t head_nr;
};

/* ---- the document ------------------------------------------------------------- */

static json_t *times_json(const struct km_bench_times *times)
{
	json_t *json = km_bench_hist_json(&times->all);
	double least = 0, most = 0;
	uint32_t i;
	int err;

	for (i = 0; i < times->round_nr; i++) {
		least = i && least < times->round_p50_ns[i] ? least : times->round_p50_ns[i];
		most = most > times->round_p50_ns[i] ? most : times->round_p50_ns[i];
	}
	err = json_object_set_new(json, "batch", json_integer(times->batch));
	err |= json_object_set_new(json, "rounds", json_integer(times->round_nr));
	err |= json_object_set_new(json, "round_p50_least", json_real(least));
	err |= json_object_set_new(json, "round_p50_most", json_real(most));
	if (!err)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *col_json(const struct km_bench_col *col)
{
	switch (col->kind) {
	case KM_BENCH_TEXT:
		return col->text ? json_string(col->text) : json_null();
	case KM_BENCH_COUNT:
		return json_integer((json_int_t)col->count);
	case KM_BENCH_REAL:
		return isnan(col->real) ? json_null() : json_real(col->real);
	default:
		return times_json(col->times);
	}
}

static int row_json(struct sink *sink, const struct km_bench_row *row)
{
	const struct km_bench_times *times;
	json_t *json = json_object();
	uint32_t i;
	int err = 0;

	for (i = 0; i < row->nr; i++) {
		times = row->col[i].kind == KM_BENCH_TIMES ? row->col[i].times : NULL;
		err |= json_object_set_new(json, row->col[i].key, col_json(&row->col[i]));
		if (times && times->counted_nr)
			err |= json_object_set_new(json, "counters",
						   km_bench_counters_json(&times->counters,
									  "operation",
									  times->counted_nr));
	}
	if (!err)
		return json_array_append_new(sink->results, json) ? -ENOMEM : 0;
	json_decref(json);
	return -ENOMEM;
}

/* ---- the text -------------------------------------------------------------------- */

#define TEXT_WIDTH 22
#define WIDTH 9

static void print_ns(double ns)
{
	static const char unit[][3] = { "ns", "us", "ms", "s" };
	int u = 0;

	for (; ns >= 1000 && u < 3; u++)
		ns /= 1000;
	printf(" %*.*f%-2s", WIDTH - 2, ns < 10 ? 2 : ns < 100 ? 1 : 0, ns, unit[u]);
}

static void print_heads(const struct km_bench_row *row)
{
	const struct km_bench_col *col;

	printf("\n");
	for (col = row->col; col < row->col + row->nr; col++) {
		if (!col->head)
			continue;
		if (col->kind == KM_BENCH_TEXT)
			printf(col == row->col ? "%-*s " : "  %-*s", TEXT_WIDTH, col->head);
		else if (col->kind == KM_BENCH_TIMES)
			printf(" %*s %*s %*s %*s", WIDTH, "least", WIDTH, col->head, WIDTH, "p99",
			       WIDTH, "p999");
		else
			printf(" %*s", WIDTH, col->head);
	}
	printf("\n");
}

static void print_col(const struct km_bench_col *col, bool first)
{
	static const double q[] = { 0, .5, .99, .999 };
	uint32_t i;

	switch (col->kind) {
	case KM_BENCH_TEXT:
		printf(first ? "%-*s " : "  %-*s", TEXT_WIDTH, col->text ? col->text : "-");
		break;
	case KM_BENCH_COUNT:
		printf(" %*" PRIu64, WIDTH, col->count);
		break;
	case KM_BENCH_REAL:
		if (isnan(col->real))
			printf(" %*s", WIDTH, "-");
		else
			printf(fabs(col->real) < 1000 ? " %*.3g" : " %*.0f", WIDTH, col->real);
		break;
	case KM_BENCH_P50:
		print_ns(km_bench_p50_ns(col->times));
		break;
	case KM_BENCH_TIMES:
		for (i = 0; i < KM_ARRAY_NR(q); i++)
			print_ns(km_bench_quantile_ns(&col->times->all, q[i]));
		break;
	}
}

/* The heads again whenever they differ from those of the row before. */
static void row_text(struct sink *sink, const struct km_bench_row *row)
{
	bool same = sink->head_nr == row->nr;
	uint32_t i;

	for (i = 0; i < row->nr; i++) {
		same = same && sink->head[i] == row->col[i].head;
		sink->head[i] = row->col[i].head;
	}
	sink->head_nr = row->nr;
	if (!same)
		print_heads(row);
	for (i = 0; i < row->nr; i++)
		if (row->col[i].head)
			print_col(&row->col[i], i == 0);
	printf("\n");
	fflush(stdout);
}

static int tell(void *ctx, const struct km_bench_row *row)
{
	struct sink *sink = ctx;

	const bool first = !sink->row_nr++;

	if (sink->results)
		return row_json(sink, row);
	if (first)
		printf("%s\n", sink->intro);
	row_text(sink, row);
	return 0;
}

/* ---- running ----------------------------------------------------------------------- */

static json_t *all_params(const struct km_bench_rows *bench, const struct km_bench_env *env)
{
	int err;

	err = json_object_set_new(bench->params, "seconds", json_real(env->seconds));
	err |= json_object_set_new(bench->params, "seed", json_integer((json_int_t)env->seed));
	err |= json_object_set_new(bench->params, "cpu", json_integer(env->cpu));
	err |= json_object_set_new(bench->params, "timer_ns",
				   json_integer((json_int_t)env->timer_ns));
	err |= json_object_set_new(bench->params, "histogram_error", json_real(KM_HIST_ERROR));
	return err ? NULL : json_incref(bench->params);
}

static int place_threads(struct km_bench_common *common, struct km_bench_env *env, bool unpinned,
			 struct km_diag *diag)
{
	int err = km_bench_check_cpu("cpu", common->cpu, diag);

	if (!err)
		err = km_bench_check_cpu("other-cpu", common->other_cpu, diag);
	if (!err && common->cpu == common->other_cpu && common->cpu != KM_BENCH_ANY_CPU)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0,
				  "--cpu and --other-cpu are one CPU; two are needed");
	if (err)
		return err;
	km_bench_choose_cpus(&common->cpu, &common->other_cpu);
	env->cpu = (uint32_t)common->cpu;
	env->other_cpu = (uint32_t)common->other_cpu;
	if (unpinned || env->cpu == KM_BENCH_ANY_CPU || !km_pin_self(env->cpu, NULL))
		return 0;
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "cannot run on CPU %" PRIu32, env->cpu);
}

static int measure(const struct km_bench_rows *bench, struct km_bench_common *common,
		   struct sink *sink, struct km_diag *diag)
{
	struct km_bench_env env = {
		.seconds = common->seconds, .seed = common->seed, .tell = tell, .ctx = sink
	};
	int err = place_threads(common, &env, bench->unpinned, diag);

	if (err)
		return err;
	env.timer_ns = km_clock_cost_ns();
	err = bench->measure(&env, bench->cfg, diag);
	if (!err && !sink->row_nr)
		err = km_diag_set(diag, -EIO, NULL, 0, 0, "nothing was measured");
	if (err && !diag->reason[0])
		km_diag_set(diag, err, NULL, 0, 0, "%s", strerror(-err));
	if (err)
		return err;
	if (common->json)
		return km_bench_print(bench->name, all_params(bench, &env),
				      json_incref(sink->results), diag);
	printf("\nclock %s, %" PRIu64 " ns a reading, taken off; quantiles up to %.1f %% too low;"
	       " seed %" PRIu64 "; CPU %" PRId64 "\n",
	       km_clock_source(), env.timer_ns, KM_HIST_ERROR * 100, env.seed,
	       env.cpu == KM_BENCH_ANY_CPU ? -1 : (int64_t)env.cpu);
	return 0;
}

int km_bench_rows_run(const struct km_bench_rows *bench, struct km_bench_common *common)
{
	struct sink sink = { .results = common->json ? json_array() : NULL, .intro = bench->head };
	struct km_diag diag = { 0 };
	char verb[32];
	int err;

	/* First, so that its helper thread is not pinned to our CPU. */
	km_snap_thread_start();
	if (!bench->params || (common->json && !sink.results))
		err = km_diag_set(&diag, -ENOMEM, NULL, 0, 0, "out of memory");
	else
		err = measure(bench, common, &sink, &diag);
	km_snap_thread_stop();
	json_decref(sink.results);
	json_decref(bench->params);
	if (!err)
		return KM_EXIT_DONE;
	snprintf(verb, sizeof(verb), "bench %s", bench->name);
	return km_verb_fail(verb, &diag, km_bench_exit_code(err));
}
