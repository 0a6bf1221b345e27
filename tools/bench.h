/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench.h - what the benchmarks of "kamino bench NAME" share.
 *
 * A benchmark is two files: perf/NAME_bench.c measures, tools/bench_NAME.c reads
 * options and prints. Its row stands in the table of tools/bench.c.
 */
#ifndef KM_TOOLS_BENCH_H
#define KM_TOOLS_BENCH_H

#include "lib/diag.h"
#include "lib/hist.h"
#include "perf/counters.h"
#include "tools/json.h"

#define KM_BENCH_LIST_MAX 32 /* numbers in one option */

/* Each benchmark's own command line; argv[0] is its name. Return: an exit code. */
int km_bench_cache_main(int argc, char **argv);
int km_bench_classify_main(int argc, char **argv);
int km_bench_dispatch_main(int argc, char **argv);
int km_bench_e2e_main(int argc, char **argv);
int km_bench_rules_main(int argc, char **argv);
int km_bench_sim_main(int argc, char **argv);
int km_bench_ring_main(int argc, char **argv);
int km_bench_slots_main(int argc, char **argv);
int km_bench_snap_main(int argc, char **argv);

/**
 * km_bench_parse_list() - the numbers of "--name 1,4,16".
 * @list: room for KM_BENCH_LIST_MAX; *@nr is set to how many.
 * Return: 0; -EINVAL with the reason in @diag.
 */
int km_bench_parse_list(const char *name, const char *text, uint64_t max, uint32_t *list,
			uint32_t *nr, struct km_diag *diag) KM_MUST_CHECK;

/** km_bench_check_cpu() - may this process run on @cpu, or is it KM_BENCH_ANY_CPU? Else -EINVAL. */
int km_bench_check_cpu(const char *name, uint64_t cpu, struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_bench_choose_cpus() - the first two CPUs that this process may use.
 * @first, @second: those that are KM_BENCH_ANY_CPU are set; they stay so where there are too few.
 */
void km_bench_choose_cpus(uint64_t *first, uint64_t *second);

/** km_bench_quantile_ns() - of a histogram of picoseconds. */
double km_bench_quantile_ns(const struct km_hist *ps, double q);

/** km_bench_hist_json() - {min, p50, p90, p99, p999, max, samples} in ns, of picoseconds. */
json_t *km_bench_hist_json(const struct km_hist *ps);

/** km_bench_rtt_json() - a line's round trip in ns, or "unavailable" for 0. */
json_t *km_bench_rtt_json(uint64_t ns);

/**
 * km_bench_counters_json() - {per, each counter: a number or "unavailable: why"}.
 * @c: closed. @per: what one of @nr is called, in the singular; numbers are for one.
 */
json_t *km_bench_counters_json(const struct km_counters *c, const char *per, uint64_t nr);

/** km_bench_print_counters() - the same in one or two lines on stdout. */
void km_bench_print_counters(const struct km_counters *c, const char *per, uint64_t nr);

/**
 * km_bench_print() - the document of "bench @name" on stdout.
 * @params, @results: taken over, also on failure; NULL (it could not be built) fails.
 * Return: 0; -EIO with the reason in @diag.
 */
int km_bench_print(const char *name, json_t *params, json_t *results,
		   struct km_diag *diag) KM_MUST_CHECK;

/** km_bench_exit_code() - of a negative errno: what the host cannot hold is wrong usage. */
int km_bench_exit_code(int err);

#endif
