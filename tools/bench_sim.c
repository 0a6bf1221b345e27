/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_sim.c - kamino bench sim: options and words of perf/sim_bench.c.
 */
#include <errno.h>

#include "perf/sim_bench.h"
#include "tools/bench_rows.h"
#include "tools/policy_list.h"
#include "tools/verbs.h"

static int pick_zone(struct km_bench_sim_cfg *cfg, const char *name, struct km_diag *diag)
{
	const char *names[KM_SIM_ZONES_MAX + 1] = { 0 };
	uint32_t i;

	cfg->zone = km_sim_zone_find(name);
	if (cfg->zone)
		return 0;
	for (i = 0; i < km_sim_zone_nr; i++)
		names[i] = km_sim_zones[i].name;
	return km_no_such("zone", name, names, "; kamino sim --print-zones shows which there are",
			  diag);
}

int km_bench_sim_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(8);
	const char *policy = "all", *zone = "zone3";
	uint64_t agents = 4, requests = 50000;
	const struct km_opt opts[] = {
		{ "policy", KM_OPT_STRING, &policy, "P,..", "policies, or all", 0, 0 },
		{ "agents", KM_OPT_U64, &agents, "N", "agents (4)", 1, 65536 },
		{ "zone", KM_OPT_STRING, &zone, "Z", "built-in zone (zone3)", 0, 0 },
		{ "requests", KM_OPT_U64, &requests, "N", "of one simulation (50k)", 1, 100000000 },
		KM_BENCH_CPU_OPT(common),
		KM_BENCH_COMMON_OPTS(common),
	};
	const struct km_policy *list[KM_BENCH_LIST_MAX];
	struct km_bench_sim_cfg cfg = { .policy = list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench sim", "[options]",
			"Requests a second that the simulator serves on one core, under each\n"
			"policy, in processor time. Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_policy_list_parse(policy, list, KM_BENCH_LIST_MAX, &cfg.policy_nr, &diag);
	if (!err)
		err = pick_zone(&cfg, zone, &diag);
	if (err)
		return km_verb_fail("bench sim", &diag, KM_EXIT_USAGE);
	cfg.agent_nr = (uint32_t)agents;
	cfg.request_nr = requests;
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "sim",
			.head = "processor time of one simulated request; ratio: to reading the stream"
				" alone",
			.params = json_pack("{s:s, s:I, s:s, s:I}", "policy", policy, "agents",
					    (json_int_t)agents, "zone", zone, "requests",
					    (json_int_t)requests),
			.measure = km_bench_sim,
			.cfg = &cfg,
		},
		&common);
}
