/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/sim.c - kamino sim: a zone's day in virtual time, under one policy or
 * many, and the paper's evaluation beside the paper's numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/opts.h"
#include "tools/sim_internal.h"
#include "tools/verbs.h"

static void show_progress(void *ctx, uint32_t nr, uint32_t of)
{
	const struct sim_world *w = ctx;

	if (w->tty && of > 1)
		fprintf(stderr, "\rsimulated %u of %u%s", nr, of, nr == of ? "\n" : " ");
}

static int run_experiment(struct sim_world *w, struct km_diag *diag)
{
	const struct km_experiment_cfg cfg = {
		.zone = w->zone,
		.zone_nr = w->zone_nr,
		.policy = w->policy,
		.policy_nr = w->opt.policy ? w->policy_nr : 0,
		.agents = w->agents,
		.agents_nr = w->opt.agents ? w->agents_nr : 0,
		.seed = w->opt.seed,
		.thread_nr = (uint32_t)w->opt.threads,
		.check = w->opt.check,
		.progress = { .done = show_progress, .ctx = w },
	};
	struct km_experiment_result x;
	int rc;

	if (km_experiment_run(&x, w->opt.experiment, &cfg, diag))
		return km_verb_fail("sim", diag, KM_EXIT_FAILED);
	if (x.refused_nr)
		fprintf(stderr,
			"kamino sim: %" PRIu64 " requests were refused: some load is more "
			"than the agents can do\n",
			x.refused_nr);
	rc = sim_report_cells(w, &x);
	km_experiment_fini(&x);
	return rc;
}

static int run_points(struct sim_world *w, struct km_diag *diag)
{
	const struct km_sweep_progress progress = { .done = show_progress, .ctx = w };
	uint32_t nr = w->zone_nr * w->load_nr * w->agents_nr * w->policy_nr;
	struct km_sim_point *point = calloc(nr, sizeof(*point));
	int rc, err;

	if (!point)
		return KM_EXIT_FAILED;
	err = sim_world_open_trace(w, diag);
	if (!err) {
		sim_world_points(w, point);
		err = km_sweep_run(point, nr, (uint32_t)w->opt.threads, &progress, diag);
	}
	if (err) {
		free(point);
		/* What was asked for cannot be, beside what merely went wrong. */
		return km_verb_fail("sim", diag,
				    err == -EDOM || err == -E2BIG ? KM_EXIT_USAGE : KM_EXIT_FAILED);
	}
	rc = sim_report_points(w, point, nr);
	km_sweep_fini(point, nr);
	free(point);
	return rc;
}

int km_verb_sim(int argc, char **argv)
{
	static struct sim_world w;
	struct sim_options *o = &w.opt;
	const struct km_opt opts[] = {
		{ "policy", KM_OPT_STRING, &o->policy, "P[,P]|all",
		  "who gets a request (all: the paper's seven; in experiments only their rows)", 0,
		  0 },
		{ "agents", KM_OPT_STRING, &o->agents, "N[,N]",
		  "agents of the node (4; in experiments figure 2's rows)", 0, 0 },
		{ "load", KM_OPT_STRING, &o->load, "X[,X]", "times the zone's rate (1)", 0, 0 },
		{ "zone", KM_OPT_STRING, &o->zone, "NAME|all",
		  "which zone (zone3; of a file, and for experiments, all)", 0, 0 },
		{ "zone-file", KM_OPT_STRING, &o->zone_file, "FILE",
		  "zones of one's own; see --print-zones", 0, 0 },
		{ "set", KM_OPT_STRING, &o->set, "KEY=VALUE[,..]", "change the zones' parameters",
		  0, 0 },
		{ "types", KM_OPT_U64, &o->types, "N",
		  "request types (the zone's); of a trace, at a time (8192)", 1, 4e6 },
		{ "hours", KM_OPT_DOUBLE, &o->hours, "X", "length of the day (24)", 1e-4, 1e5 },
		{ "requests", KM_OPT_U64, &o->requests, "N",
		  "end after so many requests (the day's)", 1, 1e15 },
		{ "seed", KM_OPT_U64, &o->seed, "S", "of arrivals and of the policy's draws (1)", 0,
		  0 },
		{ "cache", KM_OPT_BYTES, &o->cache_bytes, "SIZE",
		  "cache of one agent (the zone's, divided by agents; with --trace by 4)", 1,
		  1e15 },
		{ "cache-age", KM_OPT_DURATION, &o->age_ns, "TIME",
		  "evict what is unused for so long (the zone's)", 0, 0 },
		{ "idle-lag", KM_OPT_U64, &o->idle_lag, "N",
		  "idle agents update what is N changes behind (the zone's)", 1, 4e9 },
		{ "estimate-period", KM_OPT_DURATION, &o->period_ns, "TIME",
		  "the estimator publishes so often (10s)", 0, 0 },
		{ "trace", KM_OPT_STRING, &o->trace, "FILE",
		  "simulate a trace; --zone gives caches and drawn times", 0, 0 },
		{ "inventory", KM_OPT_STRING, &o->inventory, "FILE",
		  "its servers (a fleet of --servers)", 0, 0 },
		{ "servers", KM_OPT_U64, &o->servers, "N",
		  "servers of that fleet (1000: only their labels matter)", 1, 4e6 },
		{ "rules", KM_OPT_STRING, &o->rules, "FILE",
		  "the trace's rule set (the built-in one)", 0, 0 },
		{ "costs", KM_OPT_STRING, &o->costs, "FILE",
		  "times as 'kamino run --record-costs' wrote them", 0, 0 },
		{ "compress", KM_OPT_DOUBLE, &o->compress, "X",
		  "trace seconds per simulated second (chosen for a load of 0.5, and said)", 1e-9,
		  1e12 },
		{ "warmup", KM_OPT_DOUBLE, &o->warmup, "X",
		  "share of a trace's requests left out of the figures (0)", 0, 0.99 },
		{ "conflicts", KM_OPT_U64, &o->conflicts, "N",
		  "commits conflict: so many servers are as good as the best", 1, 4e9 },
		{ "no-in-service", KM_OPT_FLAG, &o->no_in_service, NULL,
		  "the request in service does not count as cached-to-be", 0, 0 },
		{ "accuracy", KM_OPT_FLAG, &o->accuracy, NULL,
		  "weigh every request on every agent: events, times, regret", 0, 0 },
		{ "experiment", KM_OPT_STRING, &o->experiment, "E[,E]",
		  "fig1 fig2 fig6 fig7 fig8 fig9a fig9b fig9c table3 accuracy rivals order all", 0,
		  0 },
		{ "threads", KM_OPT_U64, &o->threads, "N", "simulations at a time (all cores)", 1,
		  256 },
		{ "check", KM_OPT_FLAG, &o->check, NULL,
		  "verify the simulator's invariants at every event", 0, 0 },
		{ "print-zones", KM_OPT_FLAG, &o->print_zones, NULL,
		  "print the zones as a zone file and end", 0, 0 },
		{ "json", KM_OPT_FLAG, &o->json, NULL, "one JSON document instead of tables", 0,
		  0 },
		{ "json-out", KM_OPT_STRING, &o->json_out, "FILE",
		  "write that document to FILE as well", 0, 0 },
		{ "help", KM_OPT_FLAG, &o->help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag;
	uint32_t z;
	int rc, err;

	w = (struct sim_world){ .opt = { .load = "1", .seed = 1, .servers = 1000 } };
	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("sim", &diag, KM_EXIT_USAGE);
	if (o->help)
		return km_verb_help(
			"sim", "[options]",
			"A zone's day in virtual time, by the runtime's own decision code.", opts);
	err = sim_world_load(&w, &diag);
	if (err) /* a file that says what cannot be is wrong usage, one that cannot be read is not */
		return km_verb_fail("sim", &diag, err == -EINVAL ? KM_EXIT_USAGE : KM_EXIT_FAILED);
	if (km_verb_check_output("json-out", o->json_out, &diag))
		return km_verb_fail("sim", &diag, KM_EXIT_USAGE);
	w.tty = isatty(STDERR_FILENO);
	if (o->print_zones) {
		for (z = 0; z < w.zone_nr; z++)
			km_sim_zone_print(&w.zone[z], stdout);
		return KM_EXIT_DONE;
	}
	rc = o->experiment ? run_experiment(&w, &diag) : run_points(&w, &diag);
	km_inventory_destroy(w.inv);
	return rc;
}
