/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_rules.c - kamino bench rules: options and words of perf/rules_bench.c.
 */
#include "perf/rules_bench.h"
#include "tools/bench_rows.h"
#include "tools/verbs.h"

int km_bench_rules_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(8);
	const char *servers = "100000,1000000";
	const struct km_opt opts[] = {
		{ "servers", KM_OPT_STRING, &servers, "N,..", "fleets (100000,1000000)", 0, 0 },
		KM_BENCH_CPU_OPT(common),
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t list[KM_BENCH_LIST_MAX];
	struct km_bench_rules_cfg cfg = { .servers = list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench rules", "[options]",
			"Each built-in rule over a whole fleet, beside a plain sum over the\n"
			"columns it reads; consolidating; bringing objects up to date after\n"
			"changes. Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_bench_parse_list("servers", servers, UINT32_MAX, list, &cfg.cell_nr,
					  &diag);
	if (err)
		return km_verb_fail("bench rules", &diag, KM_EXIT_USAGE);
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "rules",
			.head = "a rule over all servers; of sum: share of a plain sum's bandwidth"
				" over the same columns (aim 0.7);\nand fill: the same with as many"
				" bytes set as the rule writes",
			.params = json_pack("{s:s}", "servers", servers),
			.measure = km_bench_rules,
			.cfg = &cfg,
		},
		&common);
}
