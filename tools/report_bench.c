/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_bench.c - what one decision costs, by the number of agents.
 */
#include <string.h>

#include "tools/report_internal.h"

/* Results of one document with the same rules share a picture. */
static bool is_first_of_rules(const json_t *results, size_t nr)
{
	double rules = report_number(json_array_get(results, nr), NULL, "rules");
	size_t i;

	for (i = 0; i < nr; i++)
		if (report_number(json_array_get(results, i), NULL, "rules") == rules)
			return false;
	return true;
}

static uint32_t row_at(struct report_chart *chart, double at)
{
	uint32_t i;

	for (i = 0; i < chart->row_nr; i++)
		if (chart->row[i].at == at)
			return i;
	return report_chart_row(chart, "", at);
}

static uint32_t col_of(struct report_chart *chart, const char *name, enum report_style style)
{
	char cut[REPORT_NAME_MAX];
	uint32_t i;

	report_name(cut, sizeof(cut), name);
	for (i = 0; i < chart->col_nr; i++)
		if (!strcmp(chart->col[i].name, cut))
			return i;
	return report_chart_col(chart, name, report_colour(chart->rep, name), style);
}

static int by_at(const void *a, const void *b)
{
	double x = ((const struct report_row *)a)->at, y = ((const struct report_row *)b)->at;

	return (x > y) - (x < y);
}

/* The policy, and in a job the section, behind @before. */
static void line_name(const json_t *result, const char *before, char *name, size_t name_bytes)
{
	char policy[REPORT_NAME_MAX], job[REPORT_NAME_MAX], text[3 * REPORT_NAME_MAX];

	report_name(policy, sizeof(policy), report_text(result, "policy"));
	report_name(job, sizeof(job), report_text(result, "job"));
	snprintf(text, sizeof(text), "%s%s%s%s", before, policy, *job ? ", " : "", job);
	report_name(name, name_bytes, text);
}

static void scaling(struct report *rep, const struct report_doc *doc, double rules)
{
	char name[REPORT_NAME_MAX];
	struct report_chart chart;
	json_t *result;
	uint32_t row;
	size_t i;

	report_chart_open(&chart, rep, REPORT_LINES, "%s: one decision by agents, %g rules",
			  doc->tag, rules);
	chart.x_label = "agents";
	chart.y_label = "ns, median";
	chart.log_x = chart.log_y = true;
	json_array_foreach(doc->results, i, result) {
		if (report_number(result, NULL, "rules") != rules)
			continue;
		row = row_at(&chart, report_number(result, NULL, "agents"));
		line_name(result, "", name, sizeof(name));
		report_chart_set(&chart, row, col_of(&chart, name, REPORT_OURS),
				 report_number(result, "decision_ns", "p50"));
		report_chart_set(&chart, row, col_of(&chart, "floor: argmin", REPORT_PAPER_STYLE),
				 report_number(result, NULL, "floor_ns"));
		report_chart_set(&chart, row,
				 col_of(&chart, "naive: hash probes", REPORT_PAPER_STYLE),
				 report_number(result, NULL, "naive_ns"));
	}
	qsort(chart.row, chart.row_nr, sizeof(*chart.row), by_at);
	report_chart_close(&chart);
}

/* Each document a line: the same policy and rules, another build or machine. */
static void documents_beside(struct report *rep)
{
	char name[REPORT_NAME_MAX], before[48];
	struct report_chart chart;
	json_t *result;
	uint32_t i;
	size_t k;

	report_chart_open(&chart, rep, REPORT_LINES, "One decision by agents, every document");
	chart.x_label = "agents";
	chart.y_label = "ns, median";
	chart.log_x = chart.log_y = true;
	for (i = 0; i < rep->doc_nr; i++) {
		if (rep->doc[i].kind != REPORT_DISPATCH)
			continue;
		json_array_foreach(rep->doc[i].results, k, result) {
			snprintf(before, sizeof(before), "%s, %g rules: ", rep->doc[i].tag,
				 report_number(result, NULL, "rules"));
			line_name(result, before, name, sizeof(name));
			report_chart_set(&chart,
					 row_at(&chart, report_number(result, NULL, "agents")),
					 col_of(&chart, name, REPORT_OURS),
					 report_number(result, "decision_ns", "p50"));
		}
	}
	qsort(chart.row, chart.row_nr, sizeof(*chart.row), by_at);
	report_chart_close(&chart);
}

static void table(struct report *rep, const struct report_doc *doc)
{
	static const char *const heads[] = { "policy",	 "agents", "rules",	  "types",
					     "p50, ns",	 "p99",	   "p99.9",	  "floor",
					     "/floor",	 "naive",  "naive / p50", "classify p50",
					     "path p50", NULL };
	json_t *result;
	size_t i;

	report_table_open(rep->page, heads);
	json_array_foreach(doc->results, i, result) {
		double p50 = report_number(result, "decision_ns", "p50");
		double naive = report_number(result, NULL, "naive_ns");

		fputs("<tr>", rep->page);
		report_cell_head(rep->page, report_text(result, "policy"));
		report_cell(rep->page, report_number(result, NULL, "agents"));
		report_cell(rep->page, report_number(result, NULL, "rules"));
		report_cell(rep->page, report_number(result, NULL, "types"));
		report_cell(rep->page, p50);
		report_cell(rep->page, report_number(result, "decision_ns", "p99"));
		report_cell(rep->page, report_number(result, "decision_ns", "p999"));
		report_cell(rep->page, report_number(result, NULL, "floor_ns"));
		report_cell(rep->page, report_number(result, NULL, "ratio_to_floor"));
		report_cell(rep->page, naive);
		report_cell(rep->page, p50 > 0 ? naive / p50 : NAN);
		report_cell(rep->page, report_number(result, "classify_ns", "p50"));
		report_cell(rep->page, report_number(result, "path_ns", "p50"));
		fputs("</tr>\n", rep->page);
	}
	report_table_close(rep->page);
}

void report_bench(struct report *rep)
{
	uint32_t i, nr = report_of_kind(rep, REPORT_DISPATCH);
	const json_t *results;
	size_t k;

	if (!nr)
		return;
	fputs("<section id=\"bench\"><h2>What a decision costs</h2>\n"
	      "<p>From the end of classification to the handle in the agent's ring. The floor is an "
	      "argmin over the queue times alone; the naive way probes a hash table per agent and "
	      "rule. All three were measured in one run: trust their ratios more than the "
	      "nanoseconds.</p>\n",
	      rep->page);
	if (nr > 1) {
		fputs("<div class=\"grid\">\n", rep->page);
		documents_beside(rep);
		fputs("</div>\n", rep->page);
	}
	for (i = 0; i < rep->doc_nr; i++) {
		if (rep->doc[i].kind != REPORT_DISPATCH)
			continue;
		fprintf(rep->page, "<h3>%s: ", rep->doc[i].tag);
		report_html(rep->page, rep->doc[i].path);
		fputs("</h3>\n<div class=\"grid\">\n", rep->page);
		results = rep->doc[i].results;
		for (k = 0; k < json_array_size(results); k++)
			if (is_first_of_rules(results, k))
				scaling(rep, &rep->doc[i],
					report_number(json_array_get(results, k), NULL, "rules"));
		fputs("</div>\n", rep->page);
		table(rep, &rep->doc[i]);
	}
	fputs("</section>\n", rep->page);
}

void report_bench_glance(struct report *rep)
{
	uint32_t i;

	for (i = 0; i < rep->doc_nr; i++) {
		const json_t *first = NULL, *last = NULL;
		json_t *result;
		char text[2][32];
		size_t k;

		if (rep->doc[i].kind != REPORT_DISPATCH)
			continue;
		json_array_foreach(rep->doc[i].results, k, result) {
			double agents = report_number(result, NULL, "agents");

			if (first &&
			    (strcmp(report_text(result, "policy"), report_text(first, "policy")) ||
			     report_number(result, NULL, "rules") !=
				     report_number(first, NULL, "rules")))
				continue;
			if (!first || agents < report_number(first, NULL, "agents"))
				first = result;
			if (!last || agents > report_number(last, NULL, "agents"))
				last = result;
		}
		fprintf(rep->page, "<li><b>%s</b>: a decision of ", rep->doc[i].tag);
		report_html(rep->page, report_text(first, "policy"));
		fprintf(rep->page, " takes %s ns over %g agents",
			report_format(report_number(first, "decision_ns", "p50"), text[0],
				      sizeof(text[0])),
			report_number(first, NULL, "agents"));
		if (last != first)
			fprintf(rep->page, " and %s ns over %g",
				report_format(report_number(last, "decision_ns", "p50"), text[1],
					      sizeof(text[1])),
				report_number(last, NULL, "agents"));
		fputs(" (medians).</li>\n", rep->page);
	}
}
