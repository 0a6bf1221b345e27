/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_groups.h - results of run and sim that served the same requests.
 *
 * A group is of one document, one section of a job, one zone, number of agents and load.
 */
#ifndef KM_TOOLS_REPORT_GROUPS_H
#define KM_TOOLS_REPORT_GROUPS_H

#include "tools/report_internal.h"

#define REPORT_GROUPS_DRAWN 8 /* more only in the tables: a page has an end */
#define REPORT_POLICIES_MAX 32

struct report_group {
	const struct report_doc *doc;
	const char *job, *zone; /* "" = none */
	double agents, load; /* NAN = not said */
	char label[REPORT_NAME_MAX]; /* document and setting; "" when there is one group */
	char setting[REPORT_NAME_MAX]; /* the same without the document */
	const json_t *result[REPORT_POLICIES_MAX];
	uint32_t nr;
};

struct report_groups {
	struct report_group *group;
	uint32_t nr;
	bool cut; /* there were more than fit */
};

/* A key of the results as a column of a chart. */
struct report_column {
	const char *in, *key, *name;
	double scale;
	uint32_t colour;
};

/** report_groups_find() - free all->group afterwards. Return: 0; -ENOMEM. */
int report_groups_find(const struct report *rep, struct report_groups *all) KM_MUST_CHECK;

/** report_policy() - of the group's result @i. */
const char *report_policy(const struct report_group *group, uint32_t i);

/** report_same() - equal, or both not said. */
bool report_same(double a, double b);

/** report_beside() - pictures of all groups, side by side and over agents and loads. */
void report_beside(struct report *rep, const struct report_groups *all);

#endif
