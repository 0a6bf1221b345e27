/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_beside.c - groups of run and sim beside each other: side by side, and as
 * lines where a document has three or more numbers of agents or loads.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/report_groups.h"

static const json_t *result_of(const struct report_group *group, const char *policy)
{
	uint32_t i;

	for (i = 0; i < group->nr; i++)
		if (!strcmp(report_policy(group, i), policy))
			return group->result[i];
	return NULL;
}

static bool is_first(const struct report_groups *all, uint32_t g, uint32_t i)
{
	uint32_t k;

	for (k = 0; k < g; k++)
		if (result_of(&all->group[k], report_policy(&all->group[g], i)))
			return false;
	return true;
}

/* The first groups that a verb made, which are comparable: run's time is not sim's. */
static uint32_t groups_of(const struct report_groups *all, const char *command,
			  struct report_groups *some)
{
	uint32_t g;

	*some = (struct report_groups){ .group =
						calloc(REPORT_GROUPS_DRAWN, sizeof(*some->group)) };
	for (g = 0; some->group && g < all->nr && some->nr < REPORT_GROUPS_DRAWN; g++)
		if (!strcmp(all->group[g].doc->command, command))
			some->group[some->nr++] = all->group[g];
	return some->nr;
}

/* A row a policy, a column a group. */
static void beside(struct report *rep, const struct report_groups *all, const char *title,
		   const char *x_label, const struct report_column *column)
{
	const char *command = all->group[0].doc->command;
	struct report_chart chart;
	uint32_t g, i, k, row;

	report_chart_open(&chart, rep, REPORT_BARS, "%s (kamino %s)", title, command);
	chart.x_label = x_label;
	for (g = 0; g < all->nr; g++)
		report_chart_col(&chart, all->group[g].label, g, REPORT_OURS);
	for (g = 0; g < all->nr; g++) {
		for (i = 0; i < all->group[g].nr; i++) {
			const char *policy = report_policy(&all->group[g], i);

			if (!is_first(all, g, i))
				continue;
			row = report_chart_row(&chart, policy, 0);
			for (k = 0; k < all->nr; k++)
				report_chart_set(&chart, row, k,
						 report_number(result_of(&all->group[k], policy),
							       column->in, column->key) *
							 column->scale);
		}
	}
	report_chart_close(&chart);
}

static void all_beside(struct report *rep, const struct report_groups *all, const char *command)
{
	static const struct report_column mean = { "latency_us", "mean", NULL, 1e-3, 0 },
					  tail = { "latency_us", "p99", NULL, 1e-3, 0 },
					  hits = { NULL, "top_hit_rate", NULL, 100, 0 };
	struct report_groups some;

	if (groups_of(all, command, &some) > 1) {
		beside(rep, &some, "Mean latency", "ms", &mean);
		beside(rep, &some, "99th percentile", "ms", &tail);
		beside(rep, &some, "Top-level hits", "%", &hits);
	}
	free(some.group);
}

/* ---- over agents, over loads --------------------------------------------------------- */

#define OVER_MIN 3 /* points that make a line; two stand side by side */
#define OVER_SETS_MAX 4

static double agents_of(const struct report_group *group)
{
	return group->agents;
}

static double load_of(const struct report_group *group)
{
	return group->load;
}

/* What is varied, and what then has to be the same. */
struct over {
	double (*at)(const struct report_group *group);
	double (*fixed)(const struct report_group *group);
	const char *what, *x_label;
	bool log_x;
};

static bool is_one_set(const struct over *over, const struct report_group *a,
		       const struct report_group *b)
{
	return a->doc == b->doc && !strcmp(a->zone, b->zone) &&
	       report_same(over->fixed(a), over->fixed(b));
}

/* Groups like @first that differ in what is varied; 0 when @first is not their first. */
static uint32_t set_size(const struct over *over, const struct report_groups *all, uint32_t first)
{
	uint32_t g, nr = 0;

	for (g = 0; g < all->nr; g++) {
		if (!is_one_set(over, &all->group[first], &all->group[g]))
			continue;
		if (g < first)
			return 0;
		nr += g == first || over->at(&all->group[g]) != over->at(&all->group[first]);
	}
	return nr;
}

static void line_over(struct report *rep, const struct over *over, const struct report_groups *all,
		      uint32_t first, const char *title, const struct report_column *column)
{
	const struct report_group *group = &all->group[first];
	struct report_chart chart;
	char fixed[64] = "";
	uint32_t g, i, k, row;

	if (!isnan(over->fixed(group)))
		snprintf(fixed, sizeof(fixed), over->fixed == load_of ? ", load %g" : ", %g agents",
			 over->fixed(group));
	report_chart_open(&chart, rep, REPORT_LINES, "%s by %s (%s%s)", title, over->what,
			  group->doc->tag, fixed);
	chart.x_label = over->x_label;
	chart.y_label = column->name;
	chart.log_x = over->log_x;
	for (i = 0; i < group->nr; i++)
		report_chart_col(&chart, report_policy(group, i),
				 report_colour(rep, report_policy(group, i)), REPORT_OURS);
	for (g = first; g < all->nr; g++) {
		if (!is_one_set(over, group, &all->group[g]))
			continue;
		row = report_chart_row(&chart, "", over->at(&all->group[g]));
		for (k = 0; k < group->nr; k++)
			report_chart_set(
				&chart, row, k,
				report_number(result_of(&all->group[g], report_policy(group, k)),
					      column->in, column->key) *
					column->scale);
	}
	report_chart_close(&chart);
}

static void all_over(struct report *rep, const struct report_groups *all)
{
	static const struct report_column mean = { "latency_us", "mean", "ms", 1e-3, 0 },
					  tail = { "latency_us", "p99", "ms", 1e-3, 0 },
					  hits = { NULL, "top_hit_rate", "%", 100, 0 };
	static const struct over overs[] = {
		{ agents_of, load_of, "agents", "agents", true },
		{ load_of, agents_of, "load", "load", false },
	};
	uint32_t g, nr = 0;
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(overs); i++)
		for (g = 0; g < all->nr && nr < OVER_SETS_MAX; g++) {
			if (set_size(&overs[i], all, g) < OVER_MIN)
				continue;
			nr++;
			line_over(rep, &overs[i], all, g, "Mean latency", &mean);
			line_over(rep, &overs[i], all, g, "99th percentile", &tail);
			line_over(rep, &overs[i], all, g, "Top-level hits", &hits);
		}
}

void report_beside(struct report *rep, const struct report_groups *all)
{
	if (all->nr < 2)
		return;
	fputs("<h3>Side by side</h3>\n<div class=\"grid\">\n", rep->page);
	all_beside(rep, all, "run");
	all_beside(rep, all, "sim");
	all_over(rep, all);
	fputs("</div>\n", rep->page);
}
