/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_rows.h - the options and the output of benchmarks that tell rows (perf/rows.h).
 */
#ifndef KM_TOOLS_BENCH_ROWS_H
#define KM_TOOLS_BENCH_ROWS_H

#include "lib/opts.h"
#include "perf/dispatch_bench.h"
#include "perf/rows.h"
#include "tools/bench.h"

struct km_bench_common {
	double seconds;
	uint64_t seed, cpu, other_cpu;
	bool json, help;
};

#define KM_BENCH_COMMON(measure_s)                                          \
	{                                                                   \
		.seconds = (measure_s), .seed = 1, .cpu = KM_BENCH_ANY_CPU, \
		.other_cpu = KM_BENCH_ANY_CPU                               \
	}

/* The options that all of them have; @c is a struct km_bench_common with its defaults. */
#define KM_BENCH_COMMON_OPTS(c)                                                                    \
	{ "seconds", KM_OPT_DOUBLE, &(c).seconds, "S", "time to measure; setting up comes on top", \
	  1e-3,	     3600 },                                                                       \
		{ "seed", KM_OPT_U64, &(c).seed, "N", "random seed (1)", 0, 0 },                   \
		{ "json", KM_OPT_FLAG, &(c).json, NULL, "one JSON document", 0, 0 },               \
		{ "help", KM_OPT_FLAG, &(c).help, NULL, "this text", 0, 0 },                       \
	{                                                                                          \
		NULL, KM_OPT_FLAG, NULL, NULL, NULL, 0, 0                                          \
	}

#define KM_BENCH_CPU_OPT(c)                                                                   \
	{                                                                                     \
		"cpu", KM_OPT_U64, &(c).cpu, "N", "CPU to run on (the first allowed)", 0, 1e9 \
	}

/**
 * struct km_bench_rows - one benchmark that tells rows.
 * @head: what the figures are, above the text.
 * @params: its own parameters; taken over by km_bench_rows_run(), also on failure.
 * @measure: tells the rows through @env. 0; -EINVAL or -ENOMEM for sizes that cannot be
 *	held; -EIO when a checked result was wrong; -errno. @cfg is the benchmark's own.
 */
struct km_bench_rows {
	const char *name, *head;
	json_t *params;
	int (*measure)(struct km_bench_env *env, const void *cfg, struct km_diag *diag);
	const void *cfg;
	bool unpinned; /* starts threads that find their own places */
};

/**
 * km_bench_rows_run() - pin, measure, print the table or the document.
 * Return: an exit code.
 */
int km_bench_rows_run(const struct km_bench_rows *bench, struct km_bench_common *common);

#endif
