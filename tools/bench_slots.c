/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/bench_slots.c - kamino bench slots: options and words of perf/slots_bench.c.
 */
#include "perf/slots_bench.h"
#include "tools/bench_rows.h"
#include "tools/verbs.h"

int km_bench_slots_main(int argc, char **argv)
{
	struct km_bench_common common = KM_BENCH_COMMON(8);
	const char *mib = "10,100";
	const struct km_opt opts[] = {
		{ "mib", KM_OPT_STRING, &mib, "N,..", "sizes of a slot in MiB (10,100)", 0, 0 },
		KM_BENCH_CPU_OPT(common),
		KM_BENCH_COMMON_OPTS(common),
	};
	uint32_t list[KM_BENCH_LIST_MAX];
	struct km_bench_slots_cfg cfg = { .mib = list };
	struct km_diag diag = { 0 };
	int err = km_opts_parse(opts, argc, argv, NULL, NULL, &diag);

	if (!err && common.help)
		return km_verb_help(
			"bench slots", "[options]",
			"The memory of a cache slot: get it, touch its pages, give it back;\n"
			"new and recycled, against mmap and two mallocs. A recycled slot that\n"
			"faults a page fails the run. Read Documentation/benchmarks.md.",
			opts);
	if (!err)
		err = km_bench_parse_list("mib", mib, UINT32_MAX, list, &cfg.mib_nr, &diag);
	if (err)
		return km_verb_fail("bench slots", &diag, KM_EXIT_USAGE);
	return km_bench_rows_run(
		&(struct km_bench_rows){
			.name = "slots",
			.head = "a slot got, one byte of each 4 KiB touched, and put; ratio: to the"
				" recycled slot",
			.params = json_pack("{s:s}", "mib", mib),
			.measure = km_bench_slots,
			.cfg = &cfg,
		},
		&common);
}
