/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_paper.c - the paper's evaluation beside ours: documents of kamino sim
 * --experiment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report_internal.h"

#define FIGURES_MAX 64

struct figure {
	const char *name;
	const char *section; /* figures of one section share a heading */
	const char *title; /* begins the titles of its pictures */
	const char *about;
	enum report_scale scale;
	void (*draw)(struct report *rep, const struct report_doc *doc, const struct figure *figure);
};

/* ---- cells ----------------------------------------------------------------------------- */

static double cell_value(const json_t *result, const char *key)
{
	return report_number(result, NULL, key);
}

static bool is_of(const json_t *result, const char *figure)
{
	return !strcmp(report_text(result, "figure"), figure);
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

static double find(const struct report_doc *doc, const char *figure, const char *row,
		   const char *column, const char *key)
{
	json_t *result;
	size_t i;

	json_array_foreach(doc->results, i, result)
		if (is_of(result, figure) && !strcmp(report_text(result, "row"), row) &&
		    !strcmp(report_text(result, "column"), column))
			return cell_value(result, key);
	return NAN;
}

/* Index of the row of that name; it is added when it is new. */
static uint32_t row_of(struct report_chart *chart, const char *name, double at)
{
	char cut[REPORT_NAME_MAX];
	uint32_t i;

	report_name(cut, sizeof(cut), name);
	for (i = 0; i < chart->row_nr; i++)
		if (!strcmp(chart->row[i].name, cut))
			return i;
	return report_chart_row(chart, name, at);
}

/* The column of @name; the paper's stands right behind ours. */
static uint32_t pair_of(struct report_chart *chart, const char *name)
{
	char paper[REPORT_NAME_MAX + 16], cut[REPORT_NAME_MAX];
	uint32_t i, colour;

	report_name(cut, sizeof(cut), name);
	for (i = 0; i < chart->col_nr; i += 2)
		if (!strcmp(chart->col[i].name, cut))
			return i;
	colour = report_colour(chart->rep, name);
	i = report_chart_col(chart, name, colour, REPORT_OURS);
	snprintf(paper, sizeof(paper), "%s, paper", cut);
	report_chart_col(chart, paper, colour, REPORT_PAPER_STYLE);
	return i;
}

static const char *column_in_words(const char *column);

/* ---- ways to draw ------------------------------------------------------------------------ */

/* Each column of the figure a picture: rows by name, ours and the paper's. */
static void draw_column(struct report *rep, const struct report_doc *doc,
			const struct figure *figure, const char *column)
{
	struct report_chart chart;
	json_t *result;
	uint32_t row;
	size_t i;

	report_chart_open(&chart, rep, REPORT_BARS, "%s: %s", figure->title,
			  column_in_words(column));
	report_chart_col(&chart, "ours", 0, REPORT_OURS);
	report_chart_col(&chart, "the paper", 8, REPORT_PAPER_STYLE);
	json_array_foreach(doc->results, i, result) {
		if (!is_of(result, figure->name) || strcmp(report_text(result, "column"), column))
			continue;
		row = row_of(&chart, report_text(result, "row"), 0);
		report_chart_set(&chart, row, 0, cell_value(result, "ours"));
		report_chart_set(&chart, row, 1, cell_value(result, "paper"));
	}
	report_chart_close(&chart);
}

static bool is_first_column(const struct report_doc *doc, size_t nr, const char *figure)
{
	const char *column = report_text(json_array_get(doc->results, nr), "column");
	size_t i;

	for (i = 0; i < nr; i++)
		if (is_of(json_array_get(doc->results, i), figure) &&
		    !strcmp(report_text(json_array_get(doc->results, i), "column"), column))
			return false;
	return true;
}

static void draw_columns(struct report *rep, const struct report_doc *doc,
			 const struct figure *figure)
{
	const char *column;
	json_t *result;
	uint32_t nr = 0;
	size_t i;

	json_array_foreach(doc->results, i, result) {
		column = report_text(result, "column");
		if (is_of(result, figure->name) && !ends_in(column, "_sd") &&
		    strcmp(column, "wait") && strcmp(column, "processing") &&
		    is_first_column(doc, i, figure->name) && nr++ < REPORT_COLS_MAX)
			draw_column(rep, doc, figure, column);
	}
}

/* Columns are numbers, rows lines. */
static void draw_lines(struct report *rep, const struct report_doc *doc,
		       const struct figure *figure)
{
	struct report_chart chart;
	const char *column;
	json_t *result;
	uint32_t row, col;
	char *end;
	size_t i;

	report_chart_open(&chart, rep, REPORT_LINES, "%s", figure->title);
	chart.x_label = strcmp(figure->name, "fig9a") ? strcmp(figure->name, "fig9b")
								? "cache, % of the zone's"
								: "load, times the zone's"
						      : "agents";
	chart.y_label = "p90 better by, %";
	json_array_foreach(doc->results, i, result) {
		column = report_text(result, "column");
		if (!is_of(result, figure->name) || ends_in(column, "_sd"))
			continue;
		row = row_of(&chart, column, strtod(column, &end));
		col = pair_of(&chart, report_text(result, "row"));
		report_chart_set(&chart, row, col, cell_value(result, "ours"));
		report_chart_set(&chart, row, col + 1, cell_value(result, "paper"));
	}
	report_chart_close(&chart);
}

/* Rows are percentiles p5 ... p95 here: each row of the figure a picture. */
static void draw_percentiles(struct report *rep, const struct report_doc *doc,
			     const struct figure *figure)
{
	static const struct {
		const char *row, *title, *label;
	} part[] = {
		{ "miss_ms", "misses", "ms" },
		{ "hit_ms", "hits", "ms" },
		{ "miss_by_hit", "a miss by a hit", "times" },
	};
	struct report_chart chart;
	const char *column;
	json_t *result;
	uint32_t row;
	char *end;
	size_t i, k;

	for (k = 0; k < KM_ARRAY_NR(part); k++) {
		report_chart_open(&chart, rep, REPORT_LINES, "%s: %s", figure->title,
				  part[k].title);
		chart.x_label = "percentile of the types";
		chart.y_label = part[k].label;
		chart.log_y = true;
		report_chart_col(&chart, "ours", 0, REPORT_OURS);
		report_chart_col(&chart, "the paper", 8, REPORT_PAPER_STYLE);
		json_array_foreach(doc->results, i, result) {
			column = report_text(result, "column");
			if (!is_of(result, figure->name) ||
			    strcmp(report_text(result, "row"), part[k].row) || column[0] != 'p')
				continue;
			row = row_of(&chart, column, strtod(column + 1, &end));
			report_chart_set(&chart, row, 0, cell_value(result, "ours"));
			report_chart_set(&chart, row, 1, cell_value(result, "paper"));
		}
		report_chart_close(&chart);
	}
}

static void draw_stacks(struct report *rep, const struct report_doc *doc,
			const struct figure *figure)
{
	struct report_chart chart;
	const char *column;
	json_t *result;
	uint32_t row, col;
	size_t i;

	report_chart_open(&chart, rep, REPORT_STACKS, "%s: waiting and processing", figure->title);
	chart.x_label = "times Protean's mean latency with 4 agents";
	report_chart_col(&chart, "wait", 1, REPORT_OURS);
	report_chart_col(&chart, "processing", 0, REPORT_OURS);
	report_chart_col(&chart, "wait, paper", 1, REPORT_PAPER_STYLE);
	report_chart_col(&chart, "processing, paper", 0, REPORT_PAPER_STYLE);
	json_array_foreach(doc->results, i, result) {
		column = report_text(result, "column");
		if (!is_of(result, figure->name) ||
		    (strcmp(column, "wait") && strcmp(column, "processing")))
			continue;
		row = row_of(&chart, report_text(result, "row"), 0);
		col = !strcmp(column, "processing");
		report_chart_set(&chart, row, col, cell_value(result, "ours"));
		report_chart_set(&chart, row, col + 2, cell_value(result, "paper"));
	}
	report_chart_close(&chart);
}

static void draw_agents(struct report *rep, const struct report_doc *doc,
			const struct figure *figure)
{
	draw_stacks(rep, doc, figure);
	draw_columns(rep, doc, figure); /* the others */
}

static void draw_boxes_of(struct report *rep, const struct report_doc *doc,
			  const struct figure *figure, const char *what, const char *title)
{
	static const char *const part[] = { "min", "q1", "median", "q3", "max", "mean" };
	struct report_chart chart;
	json_t *result;
	uint32_t row, i;
	char column[64];
	size_t k;

	report_chart_open(&chart, rep, REPORT_BOXES, "%s: %s", figure->title, title);
	chart.x_label = "better than Protean by, %";
	chart.note = "Whiskers: the extremes over the zones; box: quartiles; line: median; cross: "
		     "mean.";
	for (i = 0; i < KM_ARRAY_NR(part); i++)
		report_chart_col(&chart, part[i], 0, REPORT_OURS);
	for (i = 0; i < KM_ARRAY_NR(part); i++) {
		snprintf(column, sizeof(column), "%s, paper", part[i]);
		report_chart_col(&chart, column, 8, REPORT_PAPER_STYLE);
	}
	json_array_foreach(doc->results, k, result) {
		const char *name = report_text(result, "row");
		uint32_t before = chart.row_nr;

		if (!is_of(result, figure->name))
			continue;
		row = row_of(&chart, name, 0);
		if (row < before)
			continue; /* seen */
		for (i = 0; i < KM_ARRAY_NR(part); i++) {
			snprintf(column, sizeof(column), "%s_%s", what, part[i]);
			report_chart_set(&chart, row, i,
					 find(doc, figure->name, name, column, "ours"));
			report_chart_set(&chart, row, i + KM_ARRAY_NR(part),
					 find(doc, figure->name, name, column, "paper"));
		}
	}
	report_chart_close(&chart);
}

static void draw_boxes(struct report *rep, const struct report_doc *doc,
		       const struct figure *figure)
{
	draw_boxes_of(rep, doc, figure, "average", "mean latency");
	draw_boxes_of(rep, doc, figure, "p90", "90th percentile");
}

/* Columns are MEASURE_over_POLICY: each measure a picture, each pair of policies a bar. */
static void draw_order_of(struct report *rep, const struct report_doc *doc,
			  const struct figure *figure, const char *measure, const char *title)
{
	char start[32], name[3 * REPORT_NAME_MAX], better[REPORT_NAME_MAX], worse[REPORT_NAME_MAX];
	struct report_chart chart;
	const char *column;
	json_t *result;
	size_t i;

	snprintf(start, sizeof(start), "%s_over_", measure);
	report_chart_open(&chart, rep, REPORT_BARS, "%s: %s", figure->title, title);
	chart.x_label = "zones on which the first is better";
	report_chart_col(&chart, "zones", 0, REPORT_OURS);
	json_array_foreach(doc->results, i, result) {
		column = report_text(result, "column");
		if (!is_of(result, figure->name) || strncmp(column, start, strlen(start)))
			continue;
		report_name(better, sizeof(better), report_text(result, "row"));
		report_name(worse, sizeof(worse), column + strlen(start));
		snprintf(name, sizeof(name), "%s, %s", better, worse);
		report_chart_set(&chart, report_chart_row(&chart, name, 0), 0,
				 cell_value(result, "ours"));
	}
	report_chart_close(&chart);
}

static void draw_order(struct report *rep, const struct report_doc *doc,
		       const struct figure *figure)
{
	draw_order_of(rep, doc, figure, "hits", "more hits");
	draw_order_of(rep, doc, figure, "memory", "less memory");
	draw_order_of(rep, doc, figure, "average", "less mean latency");
	draw_order_of(rep, doc, figure, "p90", "less 90th percentile");
}

/* ---- the figures ---------------------------------------------------------------------------- */

#define FIG1 "Figure 1: how long a type takes"
#define FIG2 "Figure 2: more agents under Protean"
#define FIG6 "Figure 6: gain over Protean"
#define FIG7 "Figure 7: rates under load"
#define FIG8 "Figure 8: what latency is made of"
#define FIG9 "Figure 9: gain of the 90th percentile"
#define TABLE3 "Table 3: hits and memory"
#define ACCURACY "Accuracy of the predictions"
#define ORDER "Order of the policies, zone by zone"
#define RIVALS "Rivals: gain over Protean"

static const struct figure figures[] = {
	{ "fig1", FIG1, "Figure 1",
	  "Mean times of types' top-level misses and hits, and their ratio.", REPORT_SCALE_ROW,
	  draw_percentiles },
	{ "fig2", FIG2, "Figure 2",
	  "More agents wait less and miss more, as each has less cache. The fit saw this figure.",
	  REPORT_SCALE_COLUMN, draw_agents },
	{ "fig6", FIG6, "Figure 6", "By how much less the latency is than Protean's, zone by zone.",
	  REPORT_SCALE_ALL, draw_boxes },
	{ "fig7", FIG7, "Figure 7",
	  "Requests a second of the heaviest zone's node, with four agents.", REPORT_SCALE_ALL,
	  draw_columns },
	{ "fig8", FIG8, "Figure 8", "Means of all requests.", REPORT_SCALE_COLUMN, draw_stacks },
	{ "fig9a", FIG9, "Figure 9a, by agents",
	  "9a: over Protean with four agents. 9b and 9c: over Protean under the same load and with "
	  "the same cache.",
	  REPORT_SCALE_ALL, draw_lines },
	{ "fig9b", FIG9, "Figure 9b, by load", "Over Protean under the same load.",
	  REPORT_SCALE_ALL, draw_lines },
	{ "fig9c", FIG9, "Figure 9c, by cache", "Over Protean with the same cache.",
	  REPORT_SCALE_ALL, draw_lines },
	{ "table3", TABLE3, "Table 3", "Means over the zones.", REPORT_SCALE_COLUMN, draw_columns },
	{ "accuracy", ACCURACY, "Accuracy",
	  "What the dispatcher foresaw against what came, and how often it chose the best agent.",
	  REPORT_SCALE_COLUMN, draw_columns },
	{ "order", ORDER, "Order",
	  "Pairs of policies whose boxes the paper keeps apart: there the first is better on every "
	  "zone.",
	  REPORT_SCALE_COLUMN, draw_order },
	{ "rivals", RIVALS, "Rivals",
	  "Schedulers that the paper does not compare with, on the same zones.", REPORT_SCALE_ALL,
	  draw_boxes },
};

/* Columns in words. */
static const struct {
	const char *column, *words;
} in_words[] = {
	{ "hit_pct", "top-level hits, %" },
	{ "hit_ms", "what a hit takes, ms" },
	{ "miss_ms", "what a miss takes, ms" },
	{ "rule_hit_pct", "rule hits, %" },
	{ "top_hit_pct", "top-level hits, %" },
	{ "cache_memory_norm", "cache memory, times Protean's" },
	{ "arrivals_per_s", "requests arriving, a second" },
	{ "arrivals_per_s_max", "arriving in the busiest ten seconds, a second" },
	{ "saturated_per_s", "completed while saturated, a second" },
	{ "completed_per_s_max", "completed in the best ten seconds, a second" },
	{ "event_pct", "hits and misses foreseen, %" },
	{ "top_event_pct", "top-level hits and misses foreseen, %" },
	{ "time_error_pct", "error of the predicted processing time, %" },
	{ "best_agent_pct", "the best agent was chosen, %" },
	{ "gap_pct", "how much slower when it was not, %" },
	{ "regret_ms", "regret a request, ms" },
	{ "average_gain_pct", "gain of the mean over latcache-rule, %" },
	{ "p90_gain_pct", "gain of the 90th percentile over latcache-rule, %" },
};

static const char *column_in_words(const char *column)
{
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(in_words); i++)
		if (!strcmp(in_words[i].column, column))
			return in_words[i].words;
	return column;
}

static struct figure figure_named(const char *name)
{
	const struct figure other = { name, name, name, "", REPORT_SCALE_COLUMN, draw_columns };
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(figures); i++)
		if (!strcmp(figures[i].name, name))
			return figures[i];
	return other;
}

enum report_scale report_paper_scale(const char *name)
{
	return figure_named(name).scale;
}

/* ---- the section -------------------------------------------------------------------------------- */

static bool has_figure(const struct report_doc *doc, const char *name)
{
	json_t *result;
	size_t i;

	json_array_foreach(doc->results, i, result)
		if (is_of(result, name))
			return true;
	return false;
}

/* The pictures of one figure, a document after the other. */
static void one_figure(struct report *rep, struct figure figure)
{
	char title[2 * REPORT_NAME_MAX];
	uint32_t d;

	for (d = 0; d < rep->doc_nr; d++) {
		struct figure mine = figure;

		if (rep->doc[d].kind != REPORT_PAPER || !has_figure(&rep->doc[d], figure.name))
			continue;
		if (report_of_kind(rep, REPORT_PAPER) > 1) {
			snprintf(title, sizeof(title), "%s: ", rep->doc[d].tag);
			report_name(title + strlen(title), REPORT_NAME_MAX, figure.title);
			mine.title = title;
		}
		mine.draw(rep, &rep->doc[d], &mine);
	}
}

static bool any_has(const struct report *rep, const char *name)
{
	uint32_t d;

	for (d = 0; d < rep->doc_nr; d++)
		if (rep->doc[d].kind == REPORT_PAPER && has_figure(&rep->doc[d], name))
			return true;
	return false;
}

static void section_open(struct report *rep, const struct figure *figure)
{
	fputs("<h3>", rep->page);
	report_html(rep->page, figure->section);
	fputs("</h3>\n", rep->page);
	if (figure->about[0])
		fprintf(rep->page, "<p class=\"note\">%s</p>\n", figure->about);
	fputs("<div class=\"grid\">\n", rep->page);
}

static void known_figures(struct report *rep)
{
	const char *section = "";
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(figures); i++) {
		if (!any_has(rep, figures[i].name))
			continue;
		if (strcmp(section, figures[i].section)) {
			fputs(*section ? "</div>\n" : "", rep->page);
			section_open(rep, &figures[i]);
			section = figures[i].section;
		}
		one_figure(rep, figures[i]);
	}
	fputs(*section ? "</div>\n" : "", rep->page);
}

/* Names of figures that we have no picture for, in order; known ones come in the paper's order. */
static uint32_t unknown_figures(const struct report *rep, const char **name)
{
	uint32_t d, k, nr = 0;
	json_t *result;
	size_t i;

	for (d = 0; d < rep->doc_nr; d++) {
		if (rep->doc[d].kind != REPORT_PAPER)
			continue;
		json_array_foreach(rep->doc[d].results, i, result) {
			const char *figure = report_text(result, "figure");

			for (k = 0; k < nr && strcmp(name[k], figure); k++)
				;
			if (k == nr && nr < FIGURES_MAX && !figure_named(figure).about[0])
				name[nr++] = figure;
		}
	}
	return nr;
}

void report_paper(struct report *rep)
{
	const char *name[FIGURES_MAX];
	uint32_t i, nr;

	if (!report_of_kind(rep, REPORT_PAPER))
		return;
	fputs("<section id=\"paper\"><h2>Beside the paper</h2>\n"
	      "<p>Each simulation is fitted to Protean's rows alone (figure 2, table 3's first "
	      "column, figure 7's rates, figure 1's times); every other number is a prediction. "
	      "Full colour is ours, faint or dashed the paper's.</p>\n",
	      rep->page);
	known_figures(rep);
	nr = unknown_figures(rep, name);
	for (i = 0; i < nr; i++) {
		struct figure figure = figure_named(name[i]);

		section_open(rep, &figure);
		one_figure(rep, figure);
		fputs("</div>\n", rep->page);
	}
	report_off(rep);
	fputs("</section>\n", rep->page);
}
