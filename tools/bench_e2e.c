/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_e2e.c - kamino bench e2e: options and words of perf/e2e_bench.c.
 */
#include <errno.h>

#include "perf/e2e_bench.h"
#include "tools/bench_rows.h"
#include "tools/policy_list.h"
#include "tools/verbs.h"

static int parse(const char *policy, const char *rate, uint32_t *rates,
		 struct km_bench_e2e_cfg *cfg, struct km_diag *diag)
{
	const struct km_policy *list[KM_BENCH_LIST_MAX];
	uint32_t nr;
	int err = km_policy_list_parse(policy, list, KM_BENCH_LIST_MAX, &nr, diag);

	if (err)
		return err;
	if (nr != 1)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--policy: one at a time");
	cfg->policy = list[0];
	return km_bench_parse_list("rate", rate, 10000000, rates, &cfg->rate_nr, diag);
}

static json_t *params(const struct km_bench_e2e_cfg *cfg, const char *rate)
{
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:s}", "agents", (json_int_t)cfg->agent_nr,
			 "rate", rate, "service_ns", (json_int_t)cfg->service_ns, "types",
			 (json_int_t)cfg->type_nr, "rules", (json_int_t)cfg->rule_nr, "policy",
			 cfg->policy->name);
}

int km_bench_e2e_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(8);
	const char *rate = "1000,5000,20000", *policy = "latcache-rule";
	uint64_t agents = 2, service_ns = 20000, types = 130, rules = 5;
	const struct km_opt opts[] = {
		{ "agents", KM_OPT_U64, &agents, "N", "agents (2)", 1, 1024 },
		{ "rate", KM_OPT_STRING, &rate, "N,..", "requests a second (1000,5000,20000)", 0,
		  0 },
		{ "service", KM_OPT_DURATION, &service_ns, "TIME", "an agent's work (20us)", 1,
		  1e9 },
		{ "types", KM_OPT_U64, &types, "N", "request types (130)", 2, 8000 },
		{ "rules", KM_OPT_U64, &rules, "N", "rules (5)", 1, KM_RULES_MAX },
		{ "policy", KM_OPT_STRING, &policy, "P", "policy (latcache-rule)", 0, 0 },
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t rates[KM_BENCH_LIST_MAX];
	struct km_bench_e2e_cfg cfg = { .rate = rates };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench e2e", "[options]",
			"The real runtime from a request's intended arrival to its agent's\n"
			"start, stage by stage: an open loop at each rate, agents parked and,\n"
			"where there are cores enough, spinning. Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = parse(policy, rate, rates, &cfg, &diag);
	if (err)
		return km_verb_fail("bench e2e", &diag, KM_EXIT_USAGE);
	cfg.agent_nr = (uint32_t)agents;
	cfg.service_ns = service_ns;
	cfg.type_nr = (uint32_t)types;
	cfg.rule_nr = (uint32_t)rules;
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "e2e",
			.head = "from the intended arrival to the agent's start (p50 ..), and the"
				" medians of the stages",
			.params = params(&cfg, rate),
			.measure = km_bench_e2e,
			.cfg = &cfg,
			.unpinned = true,
		},
		&common);
}
