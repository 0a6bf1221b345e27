/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_dispatch.c - kamino bench dispatch: what one decision costs, one line a cell.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/snap.h"
#include "perf/dispatch_bench.h"
#include "tools/bench.h"
#include "tools/policy_list.h"
#include "tools/verbs.h"

struct bench_args {
	const char *agents, *rules, *policy;
	uint64_t types, depth, batch, cached, rate, samples, seed, cpu, agents_cpu;
	double changed;
	bool no_naive, json, help;
};

static const struct bench_args defaults = {
	.agents = "1,4,16,64,256,1024",
	.rules = "20",
	.policy = "latcache-rule",
	.types = 1700,
	.depth = 3,
	.batch = 16,
	.cached = 256,
	.rate = 500000,
	.samples = 200000,
	.seed = 1,
	.cpu = KM_BENCH_ANY_CPU,
	.agents_cpu = KM_BENCH_ANY_CPU,
};

/* All cells: the product of three lists. */
struct cells {
	uint32_t agent[KM_BENCH_LIST_MAX], agent_nr, rule[KM_BENCH_LIST_MAX], rule_nr;
	const struct km_policy *policy[KM_BENCH_LIST_MAX];
	uint32_t policy_nr;
};

/* ---- options ------------------------------------------------------------------ */

static int parse(struct bench_args *args, struct cells *cells, struct km_diag *diag)
{
	int err;

	memset(cells, 0, sizeof(*cells));
	err = km_bench_parse_list("agents", args->agents, 1u << 20, cells->agent, &cells->agent_nr,
				  diag);
	if (!err)
		err = km_bench_parse_list("rules", args->rules, KM_RULES_MAX, cells->rule,
					  &cells->rule_nr, diag);
	if (!err)
		err = km_policy_list_parse_live(args->policy, cells->policy, KM_BENCH_LIST_MAX,
						&cells->policy_nr, diag);
	if (!err)
		err = km_bench_check_cpu("cpu", args->cpu, diag);
	if (!err)
		err = km_bench_check_cpu("agents-cpu", args->agents_cpu, diag);
	if (!err && args->cpu == args->agents_cpu && args->cpu != KM_BENCH_ANY_CPU)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0,
				  "--cpu and --agents-cpu are one CPU; two are needed");
	if (!err)
		km_bench_choose_cpus(&args->cpu, &args->agents_cpu);
	return err;
}

/* ---- output ---------------------------------------------------------------------- */

static const struct km_hist *decision_of(const struct km_bench_dispatch_result *r)
{
	return r->singles ? &r->single_ps : &r->batch_ps;
}

static json_t *result_json(const struct km_bench_dispatch_cfg *cfg,
			   const struct km_bench_dispatch_result *r)
{
	const double floor_ns = km_bench_quantile_ns(&r->floor_ps, 0.5);
	const double p50 = km_bench_quantile_ns(decision_of(r), 0.5);
	json_t *json = json_pack("{s:I, s:I, s:I, s:s, s:o, s:f, s:f}", "agents",
				 (json_int_t)cfg->agent_nr, "rules", (json_int_t)cfg->rule_nr,
				 "types", (json_int_t)cfg->type_nr, "policy", cfg->policy->name,
				 "decision_ns", km_bench_hist_json(decision_of(r)), "floor_ns",
				 floor_ns, "ratio_to_floor", floor_ns > 0 ? p50 / floor_ns : 0.0);
	int err = 0;

	err |= json_object_set_new(json, "naive_ns",
				   r->naive_ps.count
					   ? json_real(km_bench_quantile_ns(&r->naive_ps, 0.5))
					   : json_null());
	err |= json_object_set_new(json, "timed",
				   r->singles ? json_string("each decision")
					      : json_sprintf("batches of %" PRIu32
							     ", each of which counts as so many"
							     " decisions of its mean",
							     r->batch));
	err |= json_object_set_new(json, "single_ns", km_bench_hist_json(&r->single_ps));
	err |= json_object_set_new(json, "classify_ns", km_bench_hist_json(&r->classify_ps));
	err |= json_object_set_new(json, "look_ns", km_bench_hist_json(&r->look_ps));
	err |= json_object_set_new(json, "path_ns", km_bench_hist_json(&r->path_ps));
	err |= json_object_set_new(json, "counters",
				   km_bench_counters_json(&r->counters, "decision", r->counted_nr));
	err |= json_object_set_new(json, "timer_ns", json_integer((json_int_t)r->timer_ns));
	err |= json_object_set_new(json, "histogram_error", json_real(KM_HIST_ERROR));
	err |= json_object_set_new(json, "batch", json_integer(r->batch));
	err |= json_object_set_new(json, "in_flight", json_integer(r->in_flight));
	err |= json_object_set_new(json, "rule_objects", json_integer(r->rule_obj_nr));
	err |= json_object_set_new(json, "completed_per_s", json_real(r->completed_per_s));
	err |= json_object_set_new(json, "changed_per_look", json_real(r->changed_per_look));
	err |= json_object_set_new(json, "top_hit_share", json_real(r->top_hit_share));
	err |= json_object_set_new(json, "line_rtt_ns",
				   json_pack("[o, o]", km_bench_rtt_json(r->rtt_ns[0]),
					     km_bench_rtt_json(r->rtt_ns[1])));
	err |= json_object_set_new(json, "floor_by", json_string(r->floor_by));
	err |= json_object_set_new(json, "naive_checked",
				   json_integer((json_int_t)r->naive_checked));
	err |= json_object_set_new(json, "checksum", json_sprintf("%016" PRIx64, r->checksum));
	if (err) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *params_json(const struct bench_args *args)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I}",
			 "agents", args->agents, "rules", args->rules, "types",
			 (json_int_t)args->types, "policy", args->policy, "depth",
			 (json_int_t)args->depth, "batch", (json_int_t)args->batch, "cached",
			 (json_int_t)args->cached, "rate", (json_int_t)args->rate, "samples",
			 (json_int_t)args->samples, "changed", args->changed, "seed",
			 (json_int_t)args->seed, "cpu", (json_int_t)args->cpu, "agents_cpu",
			 (json_int_t)args->agents_cpu);
}

static void print_head(void)
{
	printf("ns a decision, from the end of classification to the handle in the ring;"
	       " floor: an argmin over\nthe queue times; naive: a hash probe per agent and rule;"
	       " path: the dispatcher's whole turn\n\n");
	printf("%7s %5s  %-17s %8s %8s %8s %8s %8s %9s %8s %8s %5s\n", "agents", "rules", "policy",
	       "p50", "p99", "p999", "floor", "/floor", "naive", "classify", "path", "by");
}

static void print_row(const struct km_bench_dispatch_cfg *cfg,
		      const struct km_bench_dispatch_result *r)
{
	const struct km_hist *hist = decision_of(r);
	const double floor_ns = km_bench_quantile_ns(&r->floor_ps, 0.5);

	printf("%7" PRIu32 " %5" PRIu32 "  %-17s %8.1f %8.1f %8.1f %8.1f %8.1f %9.0f %8.1f %8.1f"
	       " %5s\n",
	       cfg->agent_nr, cfg->rule_nr, cfg->policy->name, km_bench_quantile_ns(hist, 0.5),
	       km_bench_quantile_ns(hist, 0.99), km_bench_quantile_ns(hist, 0.999), floor_ns,
	       floor_ns > 0 ? km_bench_quantile_ns(hist, 0.5) / floor_ns : 0.0,
	       km_bench_quantile_ns(&r->naive_ps, 0.5), km_bench_quantile_ns(&r->classify_ps, 0.5),
	       km_bench_quantile_ns(&r->path_ps, 0.5), r->singles ? "each" : "batch");
	fflush(stdout);
}

static void print_tail(const struct bench_args *args, const struct km_bench_dispatch_result *r)
{
	printf("\nbatches of %" PRIu32 "; clock %s, %" PRIu64
	       " ns a reading, taken off; quantiles up to %.1f %% too low;\nCPUs %" PRId64
	       " and %" PRId64 ", a line's round trip %" PRIu64
	       " ns before the last cell and %" PRIu64 " after it (0: not measured)\n",
	       r->batch, km_clock_source(), r->timer_ns, KM_HIST_ERROR * 100,
	       args->cpu == KM_BENCH_ANY_CPU ? -1 : (int64_t)args->cpu,
	       args->agents_cpu == KM_BENCH_ANY_CPU ? -1 : (int64_t)args->agents_cpu, r->rtt_ns[0],
	       r->rtt_ns[1]);
	km_bench_print_counters(&r->counters, "decision", r->counted_nr);
}

/* ---- running ------------------------------------------------------------------------ */

static void progress(const struct km_bench_dispatch_cfg *cfg, bool clear)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (clear)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "%" PRIu32 " agents, %" PRIu32 " rules, %s ...", cfg->agent_nr,
			cfg->rule_nr, cfg->policy->name);
	fflush(stderr);
}

static int run_cell(const struct bench_args *args, struct km_bench_dispatch_cfg *cfg,
		    struct km_bench_dispatch_result *r, json_t *results, struct km_diag *diag)
{
	int err;

	progress(cfg, false);
	err = km_bench_dispatch(cfg, r, diag);
	progress(cfg, true);
	if (err)
		return err;
	if (!args->json)
		print_row(cfg, r);
	else if (json_array_append_new(results, result_json(cfg, r)))
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	return 0;
}

static int run_cells(const struct bench_args *args, const struct cells *cells,
		     struct km_bench_dispatch_result *r, json_t *results, struct km_diag *diag)
{
	struct km_bench_dispatch_cfg cfg = {
		.type_nr = (uint32_t)args->types,
		.depth = (uint32_t)args->depth,
		.batch = (uint32_t)args->batch,
		.cached_nr = (uint32_t)args->cached,
		.rate = args->rate,
		.sample_nr = args->samples,
		.changed = args->changed,
		.seed = args->seed,
		.cpu = (uint32_t)args->cpu,
		.agents_cpu = (uint32_t)args->agents_cpu,
		.skip_naive = args->no_naive,
	};
	uint32_t p, u, a;
	int err = 0;

	for (p = 0; p < cells->policy_nr; p++) {
		for (u = 0; u < cells->rule_nr; u++) {
			for (a = 0; a < cells->agent_nr && !err; a++) {
				cfg.policy = cells->policy[p];
				cfg.rule_nr = cells->rule[u];
				cfg.agent_nr = cells->agent[a];
				err = run_cell(args, &cfg, r, results, diag);
			}
		}
	}
	return err;
}

static int bench_dispatch(struct bench_args *args)
{
	struct km_bench_dispatch_result *r;
	struct km_diag diag = { 0 };
	struct cells cells;
	json_t *results;
	int err = parse(args, &cells, &diag);

	if (err)
		return km_verb_fail("bench dispatch", &diag, KM_EXIT_USAGE);
	r = calloc(1, sizeof(*r));
	results = json_array();
	if (!args->json)
		print_head();
	km_snap_thread_start();
	if (!r || !results)
		err = km_diag_set(&diag, -ENOMEM, NULL, 0, 0, "out of memory");
	else
		err = run_cells(args, &cells, r, results, &diag);
	km_snap_thread_stop();
	if (!err && args->json) {
		err = km_bench_print("dispatch", params_json(args), json_incref(results), &diag);
	} else if (!err) {
		print_tail(args, r);
	}
	json_decref(results);
	free(r);
	return err ? km_verb_fail("bench dispatch", &diag, km_bench_exit_code(err)) : KM_EXIT_DONE;
}

int km_bench_dispatch_main(int argc, char **argv)
{
	struct bench_args args = defaults;
	const struct km_opt opts[] = {
		{ "agents", KM_OPT_STRING, &args.agents, "N,..", "agents of each cell", 0, 0 },
		{ "rules", KM_OPT_STRING, &args.rules, "N,..", "rules of each cell (20)", 0, 0 },
		{ "types", KM_OPT_U64, &args.types, "N", "request types (1700)", 2, 1 << 21 },
		{ "policy", KM_OPT_STRING, &args.policy, "P,..", "policies, or all (latcache-rule)",
		  0, 0 },
		{ "depth", KM_OPT_U64, &args.depth, "N", "requests inside for each agent (3)", 1,
		  4096 },
		{ "batch", KM_OPT_U64, &args.batch, "N", "decisions between two looks (16)", 1,
		  1024 },
		{ "cached", KM_OPT_U64, &args.cached, "N", "types an agent can cache (256)", 1,
		  65536 },
		{ "rate", KM_OPT_U64, &args.rate, "N", "requests completed a second (500k)", 1,
		  1e9 },
		{ "changed", KM_OPT_DOUBLE, &args.changed, "SHARE",
		  "agents that also write their summary before each look (0)", 0, 1 },
		{ "samples", KM_OPT_U64, &args.samples, "N", "decisions of each kind (200k)", 1,
		  1e12 },
		{ "seed", KM_OPT_U64, &args.seed, "N", "random seed (1)", 0, 0 },
		{ "cpu", KM_OPT_U64, &args.cpu, "N", "CPU that decides (the first allowed)", 0,
		  UINT32_MAX },
		{ "agents-cpu", KM_OPT_U64, &args.agents_cpu, "N",
		  "CPU that plays all agents (the next)", 0, UINT32_MAX },
		{ "no-naive", KM_OPT_FLAG, &args.no_naive, NULL, "leave out the naive way", 0, 0 },
		{ "json", KM_OPT_FLAG, &args.json, NULL, "one JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &args.help, NULL, "this text", 0, 0 },
		{ NULL, KM_OPT_FLAG, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag = { 0 };

	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("bench dispatch", &diag, KM_EXIT_USAGE);
	if (args.help)
		return km_verb_help(
			"bench dispatch", "[options]",
			"What one decision costs on live state: the real dispatcher decides, one\n"
			"thread on another CPU plays all the agents by their real protocol. Beside it\n"
			"the floor (a vectorised argmin over the queue times) and the naive way (a\n"
			"hash probe per agent and rule), in the same run. Read Documentation/perf.md.",
			opts);
	return bench_dispatch(&args);
}
