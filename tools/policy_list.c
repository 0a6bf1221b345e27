/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/policy_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int no_policy(const char *name, struct km_diag *diag)
{
	const char *nearest = km_policy_suggest(name);
	const struct km_policy *const *list;
	char names[160] = "";

	if (nearest)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "no policy '%s'; did you mean '%s'?",
				   name, nearest);
	for (list = km_policies; *list; list++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s",
			 (*list)->name);
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "no policy '%.40s'; there are%s", name,
			   names);
}

int km_policy_list_parse(const char *names, const struct km_policy **list, uint32_t nr_max,
			 uint32_t *nr, struct km_diag *diag)
{
	char copy[512], *save = NULL, *name;

	*nr = 0;
	if (!strcmp(names, "all")) {
		for (*nr = 0; km_policies[*nr]; (*nr)++)
			list[*nr] = km_policies[*nr];
		return 0;
	}
	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (*nr == nr_max)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "too many policies");
		list[*nr] = km_policy_find(name);
		if (!list[(*nr)++])
			return no_policy(name, diag);
	}
	return *nr ? 0 : km_diag_set(diag, -EINVAL, NULL, 0, 0, "--policy names no policy");
}

int km_policy_list_parse_live(const char *names, const struct km_policy **list, uint32_t nr_max,
			      uint32_t *nr, struct km_diag *diag)
{
	uint32_t i;

	if (km_policy_list_parse(names, list, nr_max, nr, diag))
		return -EINVAL;
	for (i = 0; i < *nr; i++)
		if (list[i]->needs)
			return km_diag_set(
				diag, -EINVAL, NULL, 0, 0,
				"policy '%s' needs to know the future; 'kamino sim' has it",
				list[i]->name);
	return 0;
}
