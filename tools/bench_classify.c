/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_classify.c - kamino bench classify: options and words of perf/classify_bench.c.
 */
#include "core/type.h"
#include "perf/classify_bench.h"
#include "tools/bench_rows.h"
#include "tools/verbs.h"

int km_bench_classify_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(3);
	const char *types = "130,1700,100000";
	uint64_t rules = 20;
	const struct km_opt opts[] = {
		{ "types", KM_OPT_STRING, &types, "N,..", "request types (130,1700,100000)", 0, 0 },
		{ "rules", KM_OPT_U64, &rules, "N", "rules, thus objects of a type (20)", 1,
		  KM_RULES_MAX },
		KM_BENCH_CPU_OPT(common),
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t list[KM_BENCH_LIST_MAX];
	struct km_bench_classify_cfg cfg = { .types = list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench classify", "[options]",
			"From a request's traits to its type and rule objects: known types,\n"
			"new ones, and those whose id another one took, by Zipf's popularity.\n"
			"Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_bench_parse_list("types", types, UINT32_MAX, list, &cfg.cell_nr, &diag);
	if (err)
		return km_verb_fail("bench classify", &diag, KM_EXIT_USAGE);
	cfg.rule_nr = (uint32_t)rules;
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "classify",
			.head = "one request, its type got and put; ratio: to a plain hash table of the"
				" traits",
			.params =
				json_pack("{s:s, s:I}", "types", types, "rules", (json_int_t)rules),
			.measure = km_bench_classify,
			.cfg = &cfg,
		},
		&common);
}
