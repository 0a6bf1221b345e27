/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench.c - kamino bench NAME: the table of benchmarks, and what they share.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/dispatch_bench.h"
#include "tools/bench.h"
#include "tools/verbs.h"

#define PS_PER_NS 1000.0
#define BENCH_NR (sizeof(benches) / sizeof(benches[0]))

static const struct {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
} benches[] = {
	{ "cache", "the two-level cache: look-ups, evictions, pins, against a hash table",
	  km_bench_cache_main },
	{ "classify", "a request's traits to its type: known, new, evicted",
	  km_bench_classify_main },
	{ "dispatch", "one decision: classified request in, handle in the agent's ring",
	  km_bench_dispatch_main },
	{ "e2e", "the real runtime from arrival to start, parked and spinning", km_bench_e2e_main },
	{ "rules", "rules over a whole fleet, against a plain sum; updates, results",
	  km_bench_rules_main },
	{ "ring", "messages and round trips between two threads, against other rings",
	  km_bench_ring_main },
	{ "sim", "requests a second that the simulator serves on one core", km_bench_sim_main },
	{ "slots", "memory of a cache slot: new, recycled, against mmap and malloc",
	  km_bench_slots_main },
	{ "snap", "snapshots: sections, digests, folding, age on another CPU", km_bench_snap_main },
};

/* ---- what benchmarks share ------------------------------------------------------ */

int km_bench_parse_list(const char *name, const char *text, uint64_t max, uint32_t *list,
			uint32_t *nr, struct km_diag *diag)
{
	const char *at = text;
	unsigned long long value;
	char *end;

	for (*nr = 0; *nr < KM_BENCH_LIST_MAX; at = end + 1) {
		errno = 0;
		value = strtoull(at, &end, 10);
		if (end == at || *at == '-' || *at == '+' || *at == ' ' || errno || value > max ||
		    (*end && *end != ','))
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "--%s: '%s' is not a list of numbers up to %" PRIu64,
					   name, text, max);
		list[(*nr)++] = (uint32_t)value;
		if (!*end)
			return 0;
	}
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--%s: more than %d numbers", name,
			   KM_BENCH_LIST_MAX);
}

int km_bench_check_cpu(const char *name, uint64_t cpu, struct km_diag *diag)
{
	cpu_set_t set;

	if (cpu == KM_BENCH_ANY_CPU)
		return 0;
	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set) && CPU_ISSET(cpu, &set))
		return 0;
	return km_diag_set(diag, -EINVAL, NULL, 0, 0,
			   "--%s: CPU %" PRIu64 " does not exist or is not allowed", name, cpu);
}

void km_bench_choose_cpus(uint64_t *first, uint64_t *second)
{
	uint64_t found[2] = { KM_BENCH_ANY_CPU, KM_BENCH_ANY_CPU };
	uint32_t cpu, nr = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &set) && cpu != *first && cpu != *second)
			found[nr++] = cpu;
	nr = 0;
	if (*first == KM_BENCH_ANY_CPU)
		*first = found[nr++];
	if (*second == KM_BENCH_ANY_CPU)
		*second = found[nr];
}

double km_bench_quantile_ns(const struct km_hist *ps, double q)
{
	return (double)km_hist_quantile(ps, q) / PS_PER_NS;
}

json_t *km_bench_hist_json(const struct km_hist *ps)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "min", km_bench_quantile_ns(ps, 0),
			 "p50", km_bench_quantile_ns(ps, 0.5), "p90", km_bench_quantile_ns(ps, 0.9),
			 "p99", km_bench_quantile_ns(ps, 0.99), "p999",
			 km_bench_quantile_ns(ps, 0.999), "max", km_bench_quantile_ns(ps, 1),
			 "samples", (json_int_t)ps->count);
}

json_t *km_bench_rtt_json(uint64_t ns)
{
	return ns ? json_integer((json_int_t)ns) : json_string("unavailable");
}

json_t *km_bench_counters_json(const struct km_counters *c, const char *per, uint64_t nr)
{
	json_t *json = json_pack("{s:s}", "per", per), *value;
	const char *why;
	char text[160];
	int i, err = 0;

	for (i = 0; i < KM_COUNTER_NR; i++) {
		why = nr ? km_counters_why(c, i, text, sizeof(text)) : "nothing was counted";
		value = why ? json_sprintf("unavailable: %s", why)
			    : json_real(c->sum[i] / (double)nr);
		err |= json_object_set_new(json, km_counter_name(i), value);
	}
	if (!err)
		return json;
	json_decref(json);
	return NULL;
}

void km_bench_print_counters(const struct km_counters *c, const char *per, uint64_t nr)
{
	const char *why;
	char text[160];
	int i;

	printf("counted, a %s:", per);
	for (i = 0; i < KM_COUNTER_NR && nr; i++)
		if (!km_counters_why(c, i, text, sizeof(text)))
			printf(" %.4g %s", c->sum[i] / (double)nr, km_counter_name(i));
	why = km_counters_why(c, KM_CYCLES, text, sizeof(text));
	printf("%s%s\n", why ? "\nhardware counters unavailable: " : "", why ? why : "");
}

int km_bench_print(const char *name, json_t *params, json_t *results, struct km_diag *diag)
{
	char command[64];
	json_t *doc;
	int err;

	snprintf(command, sizeof(command), "bench %s", name);
	doc = km_json_envelope(command, params, results);
	err = km_json_print(doc, stdout);
	json_decref(doc);
	return err ? km_diag_set(diag, -EIO, NULL, 0, 0, "cannot write the document") : 0;
}

int km_bench_exit_code(int err)
{
	return err == -EINVAL || err == -ENOMEM ? KM_EXIT_USAGE : KM_EXIT_FAILED;
}

/* ---- the verb -------------------------------------------------------------------- */

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: kamino bench NAME [options]\n\n");
	for (i = 0; i < BENCH_NR; i++)
		fprintf(to, "  %-10s %s\n", benches[i].name, benches[i].summary);
	fprintf(to,
		"\n'kamino bench NAME --help' lists its options.\n"
		"'kamino bench --job FILE [--section NAME]' runs a set of them (Documentation/jobs.md).\n");
}

static int no_such(const char *name)
{
	const char *names[BENCH_NR + 1] = { 0 };
	struct km_diag diag = { 0 };
	size_t i;

	for (i = 0; i < BENCH_NR; i++)
		names[i] = benches[i].name;
	km_ignore(km_no_such("benchmark", name, names, "; see --help", &diag));
	return km_verb_fail("bench", &diag, KM_EXIT_USAGE);
}

int km_verb_bench(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		usage(stderr);
		return KM_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return KM_EXIT_DONE;
	}
	for (i = 0; i < BENCH_NR; i++)
		if (!strcmp(argv[1], benches[i].name))
			return benches[i].run(argc - 1, argv + 1);
	return no_such(argv[1]);
}
