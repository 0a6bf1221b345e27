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
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "no policy '%.40s'; there are all%s", name,
			   names);
}

/* Unless it is there. */
static int add(const struct km_policy *policy, const struct km_policy **list, uint32_t nr_max,
	       uint32_t *nr, struct km_diag *diag)
{
	uint32_t i;

	for (i = 0; i < *nr; i++)
		if (list[i] == policy)
			return 0;
	if (*nr == nr_max)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "too many policies");
	list[(*nr)++] = policy;
	return 0;
}

static int add_all(const struct km_policy **list, uint32_t nr_max, uint32_t *nr,
		   struct km_diag *diag)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && km_policies[i]; i++)
		err = add(km_policies[i], list, nr_max, nr, diag);
	return err;
}

int km_policy_list_parse(const char *names, const struct km_policy **list, uint32_t nr_max,
			 uint32_t *nr, struct km_diag *diag)
{
	char copy[512], *save = NULL, *name;
	const struct km_policy *policy;
	int err = 0;

	*nr = 0;
	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, ",", &save); name && !err; name = strtok_r(NULL, ",", &save)) {
		policy = km_policy_find(name);
		if (!strcmp(name, "all"))
			err = add_all(list, nr_max, nr, diag);
		else
			err = policy ? add(policy, list, nr_max, nr, diag) : no_policy(name, diag);
	}
	if (!err && !*nr)
		err = km_diag_set(diag, -EINVAL, NULL, 0, 0, "--policy names no policy");
	return err;
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
