/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_snap.c - kamino bench snap: options and words of perf/snap_bench.c.
 */
#include "perf/snap_bench.h"
#include "tools/bench_rows.h"
#include "tools/verbs.h"

int km_bench_snap_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(4);
	const char *keys = "64,256,1024", *changed = "0,2,25,100";
	const struct km_opt opts[] = {
		{ "keys", KM_OPT_STRING, &keys, "N,..", "keys of a digest (64,256,1024)", 0, 0 },
		{ "changed", KM_OPT_STRING, &changed, "N,..",
		  "of a hundred of its keys, how many are others than before (0,2,25,100)", 0, 0 },
		KM_BENCH_CPU_OPT(common),
		{ "other-cpu", KM_OPT_U64, &common.other_cpu, "N", "CPU of the reader (the next)",
		  0, 1e9 },
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t key_list[KM_BENCH_LIST_MAX], changed_list[KM_BENCH_LIST_MAX];
	struct km_bench_snap_cfg cfg = { .keys = key_list, .changed = changed_list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench snap", "[options]",
			"Publishing what an agent has cached, and taking it over: sections,\n"
			"digests, folding into the view, and how old it is when another CPU\n"
			"first sees it. Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_bench_parse_list("keys", keys, UINT32_MAX, key_list, &cfg.key_nr, &diag);
	if (!err)
		err = km_bench_parse_list("changed", changed, UINT32_MAX, changed_list,
					  &cfg.changed_nr, &diag);
	if (err)
		return km_verb_fail("bench snap", &diag, KM_EXIT_USAGE);
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "snap",
			.head = "one section, digest or fold; ratio: of a lock to a section, of a fold"
				" to a sum over its keys",
			.params = json_pack("{s:s, s:s}", "keys", keys, "changed", changed),
			.measure = km_bench_snap,
			.cfg = &cfg,
		},
		&common);
}
