/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/rules_bench.h - how fast rules are evaluated, brought up to date and consolidated.
 *
 * On the built-in fleet, three servers in five with a VM that takes half of them,
 * for the request type of the built-in zone to which most rules apply:
 *   rule	each rule over all servers, beside a plain sum over the very columns it
 *		reads, by the same instruction set, and beside that sum with as many
 *		bytes set as the rule writes. share_of_sum is the share of the bandwidth
 *		of the sum that the rule reaches; the aim is 0.7
 *   all	the rules that apply, one after another
 *   consolidate	a consolidated result from its rule objects, beside a plain sum
 *		over them and a fill of as many bytes
 *   sync, update	after so many servers changed: the journal into the agent's view;
 *		all rule objects of the type and its result brought up to date, beside
 *		evaluating all of it anew: where the two cross is when an agent does that
 *
 * Checked: sums of what a rule wrote, in every round; 1,024 servers against the rule
 * for one server; what was brought up to date against what is evaluated anew, byte
 * for byte. One thread, memory touched before. Left out: pick and commit (kamino
 * run). Not shown: other cores that want the same memory.
 */
#ifndef KM_PERF_RULES_BENCH_H
#define KM_PERF_RULES_BENCH_H

#include "perf/rows.h"

struct km_bench_rules_cfg {
	const uint32_t *servers; /* [cell_nr] */
	uint32_t cell_nr;
};

/** km_bench_rules() - measure. Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a check failed. */
int km_bench_rules(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
