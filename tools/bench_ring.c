/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_ring.c - kamino bench ring: options and words of perf/ring_bench.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf/dispatch_bench.h"
#include "perf/line.h"
#include "perf/ring_bench.h"
#include "perf/ring_contest.h"
#include "ring/spsc.h"
#include "tools/bench.h"
#include "tools/verbs.h"

#define WHO_NR_MAX 32

struct ring_args {
	const char *rings, *bytes;
	double seconds;
	uint64_t rounds, slots, near_ns, cpu, peer_cpu, seed;
	bool single, burst, json, help;
};

/* Those asked for; the available ones among them are measured, in their order. */
struct entry {
	const struct ring_contestant *all[WHO_NR_MAX], *runs[WHO_NR_MAX];
	uint32_t all_nr, run_nr;
};

static const char *const distance_name[KM_RING_DISTANCE_NR] = { "near", "far" };

/* ---- options ----------------------------------------------------------------------- */

static bool is_in(const char *name, const char *list)
{
	const size_t len = strlen(name);
	const char *at = list;

	for (; (at = strstr(at, name)); at += len)
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static bool is_known(const char *name)
{
	const struct ring_contestant *who;

	for (who = km_ring_contestants; who->name; who++)
		if (!strcmp(who->name, name))
			return true;
	return false;
}

/* Each name of the list is that of a ring. */
static int check_rings(const char *list, struct km_diag *diag)
{
	const char *names[WHO_NR_MAX + 1] = { 0 };
	char copy[256], *save = NULL, *name;
	uint32_t i;

	for (i = 0; km_ring_contestants[i].name && i < WHO_NR_MAX; i++)
		names[i] = km_ring_contestants[i].name;
	snprintf(copy, sizeof(copy), "%s", list);
	name = strtok_r(copy, ",", &save);
	if (!name || strlen(list) >= sizeof(copy))
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--ring names no ring");
	for (; name; name = strtok_r(NULL, ",", &save))
		if (!is_known(name))
			return km_no_such("ring", name, names, "; see --help", diag);
	return 0;
}

static int choose_rings(const struct ring_args *args, struct entry *entry, struct km_diag *diag)
{
	uint32_t size[KM_BENCH_LIST_MAX], size_nr, i;
	const struct ring_contestant *who;
	int err = km_bench_parse_list("bytes", args->bytes, 64, size, &size_nr, diag);

	for (i = 0; !err && i < size_nr; i++)
		if (size[i] != 8 && size[i] != 64)
			err = km_diag_set(diag, -EINVAL, NULL, 0, 0,
					  "--bytes: messages have 8 or 64 bytes, not %" PRIu32,
					  size[i]);
	if (!err && args->rings)
		err = check_rings(args->rings, diag);
	for (who = km_ring_contestants; !err && who->name; who++) {
		if ((args->rings && !is_in(who->name, args->rings)) ||
		    (args->single && who->burst && !args->burst) ||
		    (args->burst && !who->burst && !args->single))
			continue;
		for (i = 0; i < size_nr && size[i] != who->bytes; i++)
			;
		if (i == size_nr)
			continue;
		entry->all[entry->all_nr++] = who;
		if (who->ops)
			entry->runs[entry->run_nr++] = who;
	}
	if (!err && !entry->all_nr)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0, "no such ring has bursts");
	if (!err && !entry->run_nr)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0,
				  "none of them was built; install %s, then make",
				  entry->all[0]->package);
	return err;
}

static int choose_cpus(struct ring_args *args, struct km_diag *diag)
{
	int err = km_bench_check_cpu("cpu", args->cpu, diag);

	if (!err)
		err = km_bench_check_cpu("peer-cpu", args->peer_cpu, diag);
	if (!err && args->cpu == args->peer_cpu && args->cpu != KM_BENCH_ANY_CPU)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0,
				  "--cpu and --peer-cpu are one CPU; two are needed");
	if (err)
		return err;
	km_bench_choose_cpus(&args->cpu, &args->peer_cpu);
	if (args->cpu == KM_BENCH_ANY_CPU || args->peer_cpu == KM_BENCH_ANY_CPU)
		return km_diag_set(
			diag, -EINVAL, NULL, 0, 0,
			"cannot measure with one allowed CPU: two threads spin; allow two,"
			" e.g. with taskset -c 0,1");
	return 0;
}

static int check_slots(const struct ring_args *args, struct km_diag *diag)
{
	if ((args->slots & (args->slots - 1)) == 0)
		return 0;
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--slots: %" PRIu64 " is no power of two",
			   args->slots);
}

/* ---- output ------------------------------------------------------------------------ */

/* The most messages a second of those that carry as much in the same mode. */
static double best_mops(const struct entry *entry, const struct km_ring_result *result,
			const struct ring_contestant *who, uint32_t distance)
{
	const struct km_ring_cell *cell;
	double best = 0;
	uint32_t i;

	for (i = 0; i < entry->run_nr; i++) {
		cell = &result->cell[i][distance];
		if (entry->runs[i]->bytes == who->bytes && entry->runs[i]->burst == who->burst &&
		    cell->run_nr && cell->mops.median > best)
			best = cell->mops.median;
	}
	return best;
}

static const char *mode_of(const struct ring_contestant *who)
{
	return who->burst ? "burst" : "single";
}

static json_t *cell_json(const struct entry *entry, const struct km_ring_result *result, uint32_t i,
			 uint32_t distance)
{
	const struct ring_contestant *who = entry->runs[i];
	const struct km_ring_cell *cell = &result->cell[i][distance];
	const double best = best_mops(entry, result, who, distance);

	return json_pack("{s:s, s:I, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
			 "s:f, s:I, s:I}",
			 "ring", who->name, "bytes", (json_int_t)who->bytes, "mode", mode_of(who),
			 "distance", distance_name[distance], "mops_median", cell->mops.median,
			 "mops_min", cell->mops.min, "mops_max", cell->mops.max, "ratio_to_best",
			 cell->mops.median / best, "rtt_ns_p50", cell->rtt_ns.median, "rtt_ns_min",
			 cell->rtt_ns.min, "rtt_ns_max", cell->rtt_ns.max, "line_rtt_ns",
			 cell->line_rtt_ns.median, "line_rtt_ns_min", cell->line_rtt_ns.min,
			 "line_rtt_ns_max", cell->line_rtt_ns.max, "rtt_ratio_to_line",
			 cell->rtt_ns.median / cell->line_rtt_ns.median, "runs",
			 (json_int_t)cell->run_nr, "rounds", (json_int_t)result->round_nr);
}

static json_t *unavailable_json(const struct ring_contestant *who)
{
	return json_pack("{s:s, s:I, s:s, s:n, s:n, s:n, s:n, s:o}", "ring", who->name, "bytes",
			 (json_int_t)who->bytes, "mode", mode_of(who), "distance", "mops_median",
			 "ratio_to_best", "rtt_ns_p50", "status",
			 json_sprintf("unavailable: install %s, then make", who->package));
}

static json_t *results_json(const struct entry *entry, const struct km_ring_result *result)
{
	json_t *results = json_array();
	uint32_t i, d;
	int err = 0;

	for (d = 0; d < KM_RING_DISTANCE_NR; d++)
		for (i = 0; i < entry->run_nr; i++)
			if (result->cell[i][d].run_nr)
				err |= json_array_append_new(results,
							     cell_json(entry, result, i, d));
	for (i = 0; i < entry->all_nr; i++)
		if (!entry->all[i]->ops)
			err |= json_array_append_new(results, unavailable_json(entry->all[i]));
	if (!err)
		return results;
	json_decref(results);
	return NULL;
}

static json_t *params_json(const struct ring_args *args, const struct km_ring_result *result)
{
	return json_pack(
		"{s:s?, s:s, s:b, s:b, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, "
		"s:I, s:I}}",
		"ring", args->rings, "bytes", args->bytes, "single", args->single || !args->burst,
		"burst", args->burst || !args->single, "burst_messages", (json_int_t)RING_BURST,
		"seconds", args->seconds, "rounds", (json_int_t)args->rounds, "slots",
		(json_int_t)args->slots, "near_ns", (json_int_t)args->near_ns, "cpu",
		(json_int_t)args->cpu, "peer_cpu", (json_int_t)args->peer_cpu, "seed",
		(json_int_t)args->seed, "done", "rounds", (json_int_t)result->round_nr, "runs",
		(json_int_t)result->run_nr, "mixed", (json_int_t)result->mixed_nr, "disturbed",
		(json_int_t)result->disturbed_nr, "messages", (json_int_t)result->message_nr);
}

static void print_cell(const struct entry *entry, const struct km_ring_result *result, uint32_t i,
		       uint32_t d)
{
	const struct ring_contestant *who = entry->runs[i];
	const struct km_ring_cell *cell = &result->cell[i][d];

	printf("%-12s %5" PRIu32 "  %-6s  %-4s %6.1f %6.1f-%-6.1f %5.2f %6.0f %5.0f-%-5.0f %5.2f "
	       "%5" PRIu64 "\n",
	       who->name, who->bytes, mode_of(who), distance_name[d], cell->mops.median,
	       cell->mops.min, cell->mops.max, cell->mops.median / best_mops(entry, result, who, d),
	       cell->rtt_ns.median, cell->rtt_ns.min, cell->rtt_ns.max,
	       cell->rtt_ns.median / cell->line_rtt_ns.median, cell->run_nr);
}

/* All of one size, mode and distance, so that those that compare stand together. */
static void print_group(const struct entry *entry, const struct km_ring_result *result,
			uint32_t bytes, bool burst, uint32_t d)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < entry->run_nr; i++) {
		if (entry->runs[i]->bytes != bytes || entry->runs[i]->burst != burst ||
		    !result->cell[i][d].run_nr)
			continue;
		print_cell(entry, result, i, d);
		any = true;
	}
	if (any)
		printf("\n");
}

static void print_text(const struct ring_args *args, const struct entry *entry,
		       const struct km_ring_result *result)
{
	uint32_t i, d, k;

	printf("million messages a second, to the best of their kind; a message there and back in"
	       " ns,\nto a line's round trip; medians, least-most; burst: up to %u at once\n\n",
	       RING_BURST);
	printf("%-12s %5s  %-6s  %-4s %6s %13s %5s %6s %11s %5s %5s\n", "ring", "bytes", "mode", "",
	       "M/s", "", "best", "rtt", "", "line", "runs");
	for (d = 0; d < KM_RING_DISTANCE_NR; d++)
		for (k = 0; k < 4; k++)
			print_group(entry, result, k / 2 ? 64 : 8, k % 2, d);
	for (i = 0; i < entry->all_nr; i++)
		if (!entry->all[i]->ops)
			printf("%-12s %5" PRIu32 "  %-6s  unavailable: install %s, then make\n",
			       entry->all[i]->name, entry->all[i]->bytes, mode_of(entry->all[i]),
			       entry->all[i]->package);
	printf("%" PRIu64 " rounds on CPUs %" PRIu64 " and %" PRIu64 "; of %" PRIu64
	       " runs %" PRIu64 " were disturbed and %" PRIu64
	       " mixed, which are\ndropped; near: a line's round"
	       " trip of at most %" PRIu64 " ns; %" PRIu64 " messages, all checked\n",
	       result->round_nr, args->cpu, args->peer_cpu, result->run_nr, result->disturbed_nr,
	       result->mixed_nr, args->near_ns, result->message_nr);
}

static void progress(double done)
{
	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, done < 1 ? "\r%3.0f %%" : "\r\033[K", done * 100);
		fflush(stderr);
	}
}

/* ---- running ----------------------------------------------------------------------- */

static bool is_all_dropped(const struct entry *entry, const struct km_ring_result *result)
{
	uint32_t i;

	for (i = 0; i < entry->run_nr; i++)
		if (result->cell[i][KM_RING_NEAR].run_nr || result->cell[i][KM_RING_FAR].run_nr)
			return false;
	return true;
}

static int measure(const struct ring_args *args, const struct entry *entry, struct km_diag *diag)
{
	const struct km_ring_cfg cfg = {
		.contestant = entry->runs,
		.contestant_nr = entry->run_nr,
		.slots = (uint32_t)args->slots,
		.seconds = args->seconds,
		.round_nr = args->rounds,
		.seed = args->seed,
		.cpu = (uint32_t)args->cpu,
		.peer_cpu = (uint32_t)args->peer_cpu,
		.near_ns = (uint32_t)args->near_ns,
		.progress = progress,
	};
	struct km_ring_result result;
	int err = km_bench_rings(&cfg, &result, diag);

	if (err == -ENOMEM)
		return km_diag_set(diag, err, NULL, 0, 0, "out of memory");
	if (err)
		return err == -EIO ? err : km_diag_set(diag, err, NULL, 0, 0, "%s", strerror(-err));
	if (is_all_dropped(entry, &result))
		err = km_diag_set(diag, -EAGAIN, NULL, 0, 0,
				  "all %" PRIu64 " runs were disturbed or mixed: other work has the"
				  " CPUs; try again, or longer with --seconds",
				  result.run_nr);
	else if (args->json)
		err = km_bench_print("ring", params_json(args, &result),
				     results_json(entry, &result), diag);
	else
		print_text(args, entry, &result);
	free(result.cell);
	return err;
}

int km_bench_ring_main(int argc, char **argv)
{
	struct ring_args args = {
		.bytes = "8,64",
		.seconds = 25,
		.slots = 1024,
		.near_ns = BENCH_LINE_NEAR_NS,
		.cpu = KM_BENCH_ANY_CPU,
		.peer_cpu = KM_BENCH_ANY_CPU,
		.seed = 1,
	};
	const struct km_opt opts[] = {
		{ "ring", KM_OPT_STRING, &args.rings, "R,..",
		  "of kamino[-pool], cached[-touch], ck, boost, dpdk (all)", 0, 0 },
		{ "bytes", KM_OPT_STRING, &args.bytes, "N,..", "of a message: 8, 64 (8,64)", 0, 0 },
		{ "single", KM_OPT_FLAG, &args.single, NULL, "only messages one by one", 0, 0 },
		{ "burst", KM_OPT_FLAG, &args.burst, NULL, "only up to 32 messages at once", 0, 0 },
		{ "slots", KM_OPT_U64, &args.slots, "N", "of each ring, a power of two (1024)", 64,
		  KM_SPSC_SLOTS_MAX },
		{ "seconds", KM_OPT_DOUBLE, &args.seconds, "S", "to measure in all (25)", 1e-3,
		  3600 },
		{ "rounds", KM_OPT_U64, &args.rounds, "N", "at most so many; 0 = by time (0)", 0,
		  1e9 },
		{ "near-ns", KM_OPT_U64, &args.near_ns, "N",
		  "a line's round trip up to this is near (200)", 1, 1000000 },
		{ "cpu", KM_OPT_U64, &args.cpu, "N", "CPU that sends (the first allowed)", 0,
		  UINT32_MAX - 1 },
		{ "peer-cpu", KM_OPT_U64, &args.peer_cpu, "N", "CPU that takes (the next)", 0,
		  UINT32_MAX - 1 },
		{ "seed", KM_OPT_U64, &args.seed, "N", "of the order within rounds (1)", 0, 0 },
		{ "json", KM_OPT_FLAG, &args.json, NULL, "one JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &args.help, NULL, "this text", 0, 0 },
		{ NULL, KM_OPT_FLAG, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag = { 0 };
	struct entry entry = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && args.help)
		return km_verb_help(
			"bench ring", "[options]",
			"Rings between two threads: messages a second and the round trip of one, ours\n"
			"(kamino-pool: messages in a pool, handles in the ring) against others, near\n"
			"and far. Contestants alternate; a ping-pong of one line around each run says\n"
			"how far apart the CPUs were. Read Documentation/rings.md.",
			opts);
	if (!err)
		err = check_slots(&args, &diag);
	if (!err)
		err = choose_rings(&args, &entry, &diag);
	if (!err)
		err = choose_cpus(&args, &diag);
	if (!err)
		err = measure(&args, &entry, &diag);
	return err ? km_verb_fail("bench ring", &diag, km_bench_exit_code(err)) : KM_EXIT_DONE;
}
