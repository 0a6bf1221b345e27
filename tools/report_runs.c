/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_runs.c - policies beside each other: documents of kamino run and sim.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report_groups.h"

#define SERIES_LINES_MAX 16

/* " (A 8 agents)", or nothing when there is one group. */
static const char *suffix(const struct report_group *group, char *text, size_t text_bytes)
{
	if (group->label[0])
		snprintf(text, text_bytes, " (%s)", group->label);
	else
		text[0] = '\0';
	return text;
}

/* ---- pictures of one group ---------------------------------------------------------- */

/* The points of a distribution: the whole list, or of an older document five of them. */
static void distribution(const struct report_group *group, struct report_chart *chart, double unit)
{
	static const struct {
		const char *key;
		double at;
	} few[] = { { "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "max", 1 } };
	const json_t *list, *at = NULL;
	uint32_t i, k, col, row;
	char name[32];

	for (i = 0; i < group->nr && !at; i++)
		at = json_object_get(json_object_get(group->result[i], "quantiles_us"), "at");
	for (k = 0; k < (at ? json_array_size(at) : KM_ARRAY_NR(few)); k++) {
		double share = at ? json_number_value(json_array_get(at, k)) : few[k].at;

		if (!(share >= 0 && share <= 1))
			continue;
		snprintf(name, sizeof(name), "%.8g", share);
		row = report_chart_row(chart, name, share);
		for (i = 0; i < group->nr; i++) {
			if (!k)
				report_chart_col(chart, report_policy(group, i),
						 report_colour(chart->rep, report_policy(group, i)),
						 REPORT_OURS);
			col = i;
			list = json_object_get(json_object_get(group->result[i], "quantiles_us"),
					       "latency");
			if (at && json_is_number(json_array_get(list, k)))
				report_chart_set(chart, row, col,
						 json_number_value(json_array_get(list, k)) / unit);
			else if (!at)
				report_chart_set(chart, row, col,
						 report_number(group->result[i], "latency_us",
							       few[k].key) /
							 unit);
		}
	}
	if (!at)
		chart->note = "The document has four points of each distribution; newer ones have "
			      "forty.";
}

static void latency_pictures(struct report *rep, const struct report_group *group)
{
	struct report_chart chart;
	char text[128];

	report_chart_open(&chart, rep, REPORT_CDF, "Latency: the distribution%s",
			  suffix(group, text, sizeof(text)));
	chart.x_label = "latency, ms";
	chart.y_label = "share of requests";
	chart.log_x = true;
	distribution(group, &chart, 1e3);
	report_chart_close(&chart);
	report_chart_open(&chart, rep, REPORT_TAIL, "Latency: the tail%s",
			  suffix(group, text, sizeof(text)));
	chart.x_label = "latency, ms";
	chart.y_label = "share that takes longer";
	chart.log_x = chart.log_y = true;
	distribution(group, &chart, 1e3);
	report_chart_close(&chart);
}

static void mean_picture(struct report *rep, const struct report_group *group)
{
	struct report_chart chart;
	char text[128];
	uint32_t i, row;

	report_chart_open(&chart, rep, REPORT_STACKS, "Mean latency: waiting and processing%s",
			  suffix(group, text, sizeof(text)));
	chart.x_label = "ms";
	report_chart_col(&chart, "wait", 1, REPORT_OURS);
	report_chart_col(&chart, "processing", 0, REPORT_OURS);
	for (i = 0; i < group->nr; i++) {
		row = report_chart_row(&chart, report_policy(group, i), i);
		report_chart_set(&chart, row, 0,
				 report_number(group->result[i], "wait_us", "mean") / 1e3);
		report_chart_set(&chart, row, 1,
				 report_number(group->result[i], "processing_us", "mean") / 1e3);
	}
	report_chart_close(&chart);
}

static void columns_picture(struct report *rep, const struct report_group *group,
			    enum report_shape shape, const char *title, const char *x_label,
			    const struct report_column *column, uint32_t nr)
{
	struct report_chart chart;
	char text[128];
	uint32_t i, k, row;

	report_chart_open(&chart, rep, shape, "%s%s", title, suffix(group, text, sizeof(text)));
	chart.x_label = x_label;
	for (k = 0; k < nr; k++)
		report_chart_col(&chart, column[k].name, column[k].colour, REPORT_OURS);
	for (i = 0; i < group->nr; i++) {
		row = report_chart_row(&chart, report_policy(group, i), i);
		for (k = 0; k < nr; k++)
			report_chart_set(&chart, row, k,
					 report_number(group->result[i], column[k].in,
						       column[k].key) *
						 column[k].scale);
	}
	report_chart_close(&chart);
}

static void bar_pictures(struct report *rep, const struct report_group *group)
{
	static const struct report_column hits[] = {
		{ NULL, "top_hit_rate", "top-level results", 100, 0 },
		{ NULL, "rule_hit_rate", "rule objects", 100, 2 },
	};
	static const struct report_column memory[] = {
		{ NULL, "cache_bytes_mean", "mean", 1. / 1048576, 0 },
		{ NULL, "cache_bytes_max", "most of one agent", 1. / 1048576, 5 },
	};
	static const struct report_column decision[] = {
		{ "decision_ns", "p50", "median", 1, 2 },
		{ "decision_ns", "p99", "99 %", 1, 1 },
		{ "decision_ns", "p999", "99.9 %", 1, 3 },
	};

	columns_picture(rep, group, REPORT_BARS, "Cache hits", "% of look-ups", hits, 2);
	columns_picture(rep, group, REPORT_BARS, "Cache memory of an agent", "MiB", memory, 2);
	columns_picture(rep, group, REPORT_DOTS, "Classify, decide and hand over", "ns", decision,
			3);
}

/* Lines of one kind of a result's series. */
static void series_lines(struct report_chart *chart, const json_t *series, const char *key,
			 double unit_s, bool second)
{
	const json_t *lines = json_object_get(series, key), *names, *line;
	double interval = report_number(series, NULL, "interval_s") / unit_s;
	uint32_t i, k, col, nr = (uint32_t)json_array_size(lines);

	names = json_object_get(series, "lines");
	for (i = 0; i < nr && i < SERIES_LINES_MAX; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		line = json_array_get(lines, i);
		col = report_chart_col(chart, name ? name : "", i, REPORT_OURS);
		if (col < REPORT_COLS_MAX)
			chart->col[col].second = second;
		for (k = 0; k < json_array_size(line); k++) {
			if (k >= chart->row_nr)
				report_chart_row(chart, "", (k + 0.5) * interval);
			if (json_is_number(json_array_get(line, k)))
				report_chart_set(chart, k, col,
						 json_number_value(json_array_get(line, k)));
		}
	}
}

/* Seconds, or hours for what takes many. */
static bool is_long(const json_t *series)
{
	const json_t *lines = json_object_get(series, "busy");

	return report_number(series, NULL, "interval_s") *
		       (double)json_array_size(json_array_get(lines, 0)) >
	       3 * 3600;
}

static void load_pictures(struct report *rep, const struct report_group *group)
{
	struct report_chart chart;
	const json_t *series;
	char text[128];
	double unit_s;
	uint32_t i;

	for (i = 0; i < group->nr; i++) {
		series = json_object_get(group->result[i], "series");
		if (!json_is_object(series))
			continue;
		report_chart_open(&chart, rep, REPORT_TIME, "Load over time: %s%s",
				  report_policy(group, i), suffix(group, text, sizeof(text)));
		unit_s = is_long(series) ? 3600 : 1;
		chart.x_label = is_long(series) ? "hours from the start, the warm-up included"
						: "seconds from the start, the warm-up included";
		chart.y_label = "busy, share";
		chart.y2_label = "waiting requests";
		series_lines(&chart, series, "busy", unit_s, false);
		series_lines(&chart, series, "waiting", unit_s, true);
		report_chart_close(&chart);
	}
}

static bool has_audit(const struct report_group *group)
{
	return json_object_get(group->result[0], "audit_clean") != NULL;
}

static void group_table(struct report *rep, const struct report_group *group)
{
	const char *heads[] = { "policy",     "mean, ms",   "p50",
				"p90",	      "p99",	    "max",
				"wait",	      "processing", "top hit %",
				"rule hit %", "cache MiB",  "completed",
				"refused",    "busy",	    has_audit(group) ? "audit" : NULL,
				NULL };
	static const struct report_column cells[] = {
		{ "latency_us", "mean", NULL, 1e-3, 0 },
		{ "latency_us", "p50", NULL, 1e-3, 0 },
		{ "latency_us", "p90", NULL, 1e-3, 0 },
		{ "latency_us", "p99", NULL, 1e-3, 0 },
		{ "latency_us", "max", NULL, 1e-3, 0 },
		{ "wait_us", "mean", NULL, 1e-3, 0 },
		{ "processing_us", "mean", NULL, 1e-3, 0 },
		{ NULL, "top_hit_rate", NULL, 100, 0 },
		{ NULL, "rule_hit_rate", NULL, 100, 0 },
		{ NULL, "cache_bytes_mean", NULL, 1. / 1048576, 0 },
		{ NULL, "completed", NULL, 1, 0 },
		{ NULL, "refused", NULL, 1, 0 },
		{ NULL, "busy", NULL, 1, 0 },
	};
	uint32_t i;
	bool clean;
	size_t k;

	report_table_open(rep->page, heads);
	for (i = 0; i < group->nr; i++) {
		fputs("<tr>", rep->page);
		report_cell_head(rep->page, report_policy(group, i));
		for (k = 0; k < KM_ARRAY_NR(cells); k++)
			report_cell(rep->page,
				    report_number(group->result[i], cells[k].in, cells[k].key) *
					    cells[k].scale);
		clean = json_is_true(json_object_get(group->result[i], "audit_clean"));
		if (has_audit(group))
			fputs(clean ? "<td>clean</td>" : "<td class=\"off\">FAILED</td>",
			      rep->page);
		fputs("</tr>\n", rep->page);
	}
	report_table_close(rep->page);
}

static void one_group(struct report *rep, const struct report_group *group)
{
	fprintf(rep->page, "<h3>%s: ", group->doc->tag);
	report_html(rep->page, group->doc->path);
	if (group->setting[0]) {
		fputs(", ", rep->page);
		report_html(rep->page, group->setting);
	}
	fputs("</h3>\n", rep->page);
	group_table(rep, group);
	fputs("<div class=\"grid\">\n", rep->page);
	latency_pictures(rep, group);
	mean_picture(rep, group);
	bar_pictures(rep, group);
	load_pictures(rep, group);
	fputs("</div>\n", rep->page);
}

/* False where there are no runs, or no memory for them. */
static bool find_groups(struct report *rep, struct report_groups *all)
{
	if (!report_of_kind(rep, REPORT_RUNS))
		return false;
	if (!report_groups_find(rep, all))
		return true;
	report_fail(rep, -ENOMEM, "out of memory");
	return false;
}

void report_runs(struct report *rep)
{
	struct report_groups all;
	uint32_t g;

	if (!find_groups(rep, &all))
		return;
	fputs("<section id=\"runs\"><h2>Policies</h2>\n"
	      "<p>Latency counts from a request's intended arrival to the end of its service. A "
	      "sim document has virtual time and drawn or recorded costs, a run document this "
	      "machine's.</p>\n",
	      rep->page);
	report_beside(rep, &all);
	for (g = 0; g < all.nr && g < REPORT_GROUPS_DRAWN; g++)
		one_group(rep, &all.group[g]);
	if (all.nr > REPORT_GROUPS_DRAWN || all.cut)
		fprintf(rep->page,
			"<p class=\"warn\">Pictures show the first %d settings; the last section "
			"has the numbers of all.</p>\n",
			REPORT_GROUPS_DRAWN);
	fputs("</section>\n", rep->page);
	free(all.group);
}

/* ---- at a glance ---------------------------------------------------------------------- */

static void glance(struct report *rep, const struct report_group *group)
{
	double best = INFINITY, worst = -INFINITY;
	const char *best_name = "", *worst_name = "";
	char text[2][32];
	uint32_t i;

	for (i = 0; i < group->nr; i++) {
		double mean = report_number(group->result[i], "latency_us", "mean");

		if (mean < best) {
			best = mean;
			best_name = report_policy(group, i);
		}
		if (mean > worst) {
			worst = mean;
			worst_name = report_policy(group, i);
		}
	}
	if (!(best < INFINITY))
		return;
	fprintf(rep->page, "<li><b>%s</b>%s", group->doc->tag, group->setting[0] ? " (" : "");
	report_html(rep->page, group->setting);
	fprintf(rep->page, "%s: mean latency is least under <b>", group->setting[0] ? ")" : "");
	report_html(rep->page, best_name);
	fprintf(rep->page, "</b>, %s ms", report_format(best / 1e3, text[0], sizeof(text[0])));
	if (group->nr > 1 && best > 0) {
		fputs(", and most under ", rep->page);
		report_html(rep->page, worst_name);
		fprintf(rep->page, ", %s ms: %.2f times as much",
			report_format(worst / 1e3, text[1], sizeof(text[1])), worst / best);
	}
	fputs(".</li>\n", rep->page);
}

static void audits(struct report *rep, const struct report_groups *all)
{
	uint32_t g, i, nr = 0, failed = 0;

	for (g = 0; g < all->nr; g++) {
		for (i = 0; i < all->group[g].nr; i++) {
			const json_t *clean =
				json_object_get(all->group[g].result[i], "audit_clean");

			nr += clean != NULL;
			failed += json_is_false(clean);
		}
	}
	if (failed)
		fprintf(rep->page, "<li class=\"bad\">%u of %u audits FAILED.</li>\n", failed, nr);
	else if (nr)
		fprintf(rep->page, "<li>All %u audits are clean.</li>\n", nr);
}

void report_runs_glance(struct report *rep)
{
	struct report_groups all;
	uint32_t g;

	if (!find_groups(rep, &all))
		return;
	for (g = 0; g < all.nr && g < REPORT_GROUPS_DRAWN; g++)
		glance(rep, &all.group[g]);
	audits(rep, &all);
	free(all.group);
}
