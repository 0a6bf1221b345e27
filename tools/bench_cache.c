/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_cache.c - kamino bench cache: options and words of perf/cache_bench.c.
 */
#include "core/type.h"
#include "perf/cache_bench.h"
#include "tools/bench_rows.h"
#include "tools/verbs.h"

int km_bench_cache_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(3);
	const char *entries = "256,4096,65536";
	uint64_t rules = 20;
	const struct km_opt opts[] = {
		{ "entries", KM_OPT_STRING, &entries, "N,..",
		  "cached objects of each level (256,4096,65536)", 0, 0 },
		{ "rules", KM_OPT_U64, &rules, "N", "rule objects of one result (20)", 1,
		  KM_RULES_MAX },
		KM_BENCH_CPU_OPT(common),
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t list[KM_BENCH_LIST_MAX];
	struct km_bench_cache_cfg cfg = { .entries = list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench cache", "[options]",
			"What the two-level cache's own work costs: look-ups, evictions,\n"
			"pins, the sweep by age, beside a plain hash table of as many keys.\n"
			"Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_bench_parse_list("entries", entries, UINT32_MAX, list, &cfg.entry_nr,
					  &diag);
	if (err)
		return km_verb_fail("bench cache", &diag, KM_EXIT_USAGE);
	cfg.rule_nr = (uint32_t)rules;
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "cache",
			.head = "one operation of a cache of so many objects a level; ratio: to the"
				" table's like",
			.params = json_pack("{s:s, s:I}", "entries", entries, "rules",
					    (json_int_t)rules),
			.measure = km_bench_cache,
			.cfg = &cfg,
		},
		&common);
}
