/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/report_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 256

const char *report_policy(const struct report_group *group, uint32_t i)
{
	return report_text(group->result[i], "policy");
}

bool report_same(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static struct report_group *group_of(struct report_groups *all, const struct report_doc *doc,
				     const json_t *result)
{
	double agents = report_number(result, NULL, "agents");
	double load = report_number(result, NULL, "load");
	const char *zone = report_text(result, "zone"), *job = report_text(result, "job");
	struct report_group *group;
	uint32_t i;

	for (i = 0; i < all->nr; i++) {
		group = &all->group[i];
		if (group->doc == doc && !strcmp(group->zone, zone) && !strcmp(group->job, job) &&
		    report_same(group->agents, agents) && report_same(group->load, load) &&
		    group->nr < REPORT_POLICIES_MAX)
			return group;
	}
	if (all->nr == GROUPS_MAX) {
		all->cut = true;
		return NULL;
	}
	group = &all->group[all->nr++];
	*group = (struct report_group){
		.doc = doc, .job = job, .zone = zone, .agents = agents, .load = load
	};
	return group;
}

/* What sets the group apart from the others, in few words. */
static void label(const struct report_groups *all, struct report_group *group, bool one_doc)
{
	bool jobs = false, zones = false, agents = false, loads = false;
	char text[3 * REPORT_NAME_MAX] = "", name[REPORT_NAME_MAX], whole[4 * REPORT_NAME_MAX];
	size_t at = 0, room = sizeof(text);
	uint32_t i;

	for (i = 0; i < all->nr; i++) {
		if (all->group[i].doc != group->doc)
			continue;
		jobs |= strcmp(all->group[i].job, group->job) != 0;
		zones |= strcmp(all->group[i].zone, group->zone) != 0;
		agents |= !report_same(all->group[i].agents, group->agents);
		loads |= !report_same(all->group[i].load, group->load);
	}
	if (jobs) {
		report_name(name, sizeof(name), group->job);
		at += (size_t)snprintf(text, room, "%s", name);
	}
	if (zones) {
		report_name(name, sizeof(name), group->zone);
		at += (size_t)snprintf(text + at, room - at, "%s%s", at ? ", " : "", name);
	}
	if (agents)
		at += (size_t)snprintf(text + at, room - at, "%s%.10g agents", at ? ", " : "",
				       group->agents);
	if (loads)
		snprintf(text + at, room - at, "%sload %.6g", at ? ", " : "", group->load);
	report_name(group->setting, sizeof(group->setting), text);
	if (one_doc) {
		report_name(group->label, sizeof(group->label), text);
		return;
	}
	snprintf(whole, sizeof(whole), "%s%s%s", group->doc->tag, text[0] ? ": " : "", text);
	report_name(group->label, sizeof(group->label), whole);
}

int report_groups_find(const struct report *rep, struct report_groups *all)
{
	struct report_group *group;
	json_t *result;
	uint32_t i, nr;
	size_t k;

	all->nr = 0;
	all->cut = false;
	all->group = calloc(GROUPS_MAX, sizeof(*all->group));
	if (!all->group)
		return -ENOMEM;
	for (i = 0; i < rep->doc_nr; i++) {
		if (rep->doc[i].kind != REPORT_RUNS)
			continue;
		json_array_foreach(rep->doc[i].results, k, result) {
			group = group_of(all, &rep->doc[i], result);
			if (group)
				group->result[group->nr++] = result;
		}
	}
	nr = report_of_kind(rep, REPORT_RUNS);
	for (i = 0; i < all->nr; i++)
		label(all, &all->group[i], nr == 1);
	return 0;
}
