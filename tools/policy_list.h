/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/policy_list.h - the value of --policy: names, separated by commas; "all" is one.
 */
#ifndef KM_TOOLS_POLICY_LIST_H
#define KM_TOOLS_POLICY_LIST_H

#include "core/policy.h"
#include "lib/diag.h"

/**
 * km_policy_list_parse() - each policy once, in the order of the first naming; "all" is the paper's.
 * @list: [nr_max], filled with *@nr of them.
 * Return: 0; -EINVAL with the reason and for a typo the nearest name.
 */
int km_policy_list_parse(const char *names, const struct km_policy **list, uint32_t nr_max,
			 uint32_t *nr, struct km_diag *diag) KM_MUST_CHECK;

/** km_policy_list_parse_live() - the same; policies that only a simulator can serve are refused. */
int km_policy_list_parse_live(const char *names, const struct km_policy **list, uint32_t nr_max,
			      uint32_t *nr, struct km_diag *diag) KM_MUST_CHECK;

#endif
