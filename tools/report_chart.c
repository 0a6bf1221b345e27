/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_chart.c - a chart on its way onto the page: the picture, the same
 * in words, and its numbers in a table that opens below.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report_internal.h"

/* The description names so many values and points to the table for the rest. */
#define WORDS_MAX 40

void report_fail(struct report *rep, int err, const char *fmt, ...)
{
	char reason[256];
	va_list args;

	if (rep->err)
		return;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	rep->err = km_diag_set(&rep->diag, err, NULL, 0, 0, "%s", reason);
}

void report_name(char *to, size_t to_bytes, const char *from)
{
	size_t len = strlen(from);

	if (len < to_bytes) {
		memcpy(to, from, len + 1);
		return;
	}
	for (len = to_bytes - 4; len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80; len--)
		;
	memcpy(to, from, len);
	memcpy(to + len, "...", 4);
}

uint32_t report_colour(struct report *rep, const char *name)
{
	char cut[REPORT_NAME_MAX];
	uint32_t i;

	report_name(cut, sizeof(cut), name);
	for (i = 0; i < rep->coloured_nr; i++)
		if (!strcmp(rep->coloured[i], cut))
			return i;
	if (i == REPORT_COLOURS_MAX)
		return 0;
	memcpy(rep->coloured[i], cut, sizeof(cut));
	return rep->coloured_nr++;
}

void report_chart_open(struct report_chart *chart, struct report *rep, enum report_shape shape,
		       const char *fmt, ...)
{
	va_list args;
	char title[512];

	memset(chart, 0, sizeof(*chart));
	chart->rep = rep;
	chart->shape = shape;
	chart->x_label = chart->y_label = chart->y2_label = "";
	va_start(args, fmt);
	vsnprintf(title, sizeof(title), fmt, args);
	va_end(args);
	report_name(chart->title, sizeof(chart->title), title);
}

uint32_t report_chart_col(struct report_chart *chart, const char *name, uint32_t colour,
			  enum report_style style)
{
	if (chart->col_nr == REPORT_COLS_MAX)
		return REPORT_COLS_MAX;
	report_name(chart->col[chart->col_nr].name, REPORT_NAME_MAX, name);
	chart->col[chart->col_nr].colour = colour;
	chart->col[chart->col_nr].style = style;
	return chart->col_nr++;
}

uint32_t report_chart_row(struct report_chart *chart, const char *name, double at)
{
	struct report_row *grown;
	uint32_t i;

	if (chart->row_nr == REPORT_ROWS_MAX) {
		chart->note = "More than is drawn: the last section has all.";
		return UINT32_MAX;
	}
	if (chart->row_nr == chart->row_room) {
		grown = realloc(chart->row, (chart->row_room * 2 + 16) * sizeof(*grown));
		if (!grown) {
			report_fail(chart->rep, -ENOMEM, "out of memory");
			return UINT32_MAX;
		}
		chart->row = grown;
		chart->row_room = chart->row_room * 2 + 16;
	}
	report_name(chart->row[chart->row_nr].name, REPORT_NAME_MAX, name);
	chart->row[chart->row_nr].at = at;
	for (i = 0; i < REPORT_COLS_MAX; i++)
		chart->row[chart->row_nr].value[i] = NAN;
	return chart->row_nr++;
}

void report_chart_set(struct report_chart *chart, uint32_t row, uint32_t col, double value)
{
	/* Beyond that gnuplot's own arithmetic gives up, and so do eyes. */
	if (row < chart->row_nr && col < chart->col_nr && fabs(value) < 1e18)
		chart->row[row].value[col] = fabs(value) < 1e-18 ? 0 : value;
}

/* ---- in words --------------------------------------------------------------- */

static bool is_over_x(const struct report_chart *chart)
{
	return chart->shape == REPORT_LINES || chart->shape == REPORT_TIME ||
	       chart->shape == REPORT_CDF || chart->shape == REPORT_TAIL;
}

/* "name: from A to B, least C, most D": a line's shape. */
static void line_in_words(const struct report_chart *chart, uint32_t col, FILE *to)
{
	double first = NAN, last = NAN, least = INFINITY, most = -INFINITY;
	char text[4][32];
	uint32_t r;

	for (r = 0; r < chart->row_nr; r++) {
		double value = chart->row[r].value[col];

		if (isnan(value))
			continue;
		first = isnan(first) ? value : first;
		last = value;
		least = fmin(least, value);
		most = fmax(most, value);
	}
	if (isnan(first))
		return;
	report_html(to, chart->col[col].name);
	fprintf(to, " from %s to %s, least %s, most %s; ",
		report_format(first, text[0], sizeof(text[0])),
		report_format(last, text[1], sizeof(text[1])),
		report_format(least, text[2], sizeof(text[2])),
		report_format(most, text[3], sizeof(text[3])));
}

static void rows_in_words(const struct report_chart *chart, FILE *to)
{
	uint32_t r, c, nr = 0;
	char text[32];

	for (r = 0; r < chart->row_nr; r++) {
		if (nr >= WORDS_MAX) {
			fprintf(to, "and %u more rows in the table", chart->row_nr - r);
			return;
		}
		report_html(to, chart->row[r].name);
		fputc(':', to);
		for (c = 0; c < chart->col_nr; c++) {
			if (isnan(chart->row[r].value[c]))
				continue;
			fputc(' ', to);
			if (chart->col_nr > 1) {
				report_html(to, chart->col[c].name);
				fputc(' ', to);
			}
			fputs(report_format(chart->row[r].value[c], text, sizeof(text)), to);
			nr++;
		}
		fputs("; ", to);
	}
}

/* Title and description of the SVG: what a reader hears. */
static char *words(const struct report_chart *chart, uint32_t nr)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	uint32_t c;

	if (!to)
		return NULL;
	fprintf(to, "<title id=\"f%u-title\">", nr);
	report_html(to, chart->title);
	fprintf(to, "</title>\n<desc id=\"f%u-desc\">", nr);
	fprintf(to, "%s%s%s. ", chart->y_label, chart->y_label[0] ? ", by " : "", chart->x_label);
	if (is_over_x(chart))
		for (c = 0; c < chart->col_nr; c++)
			line_in_words(chart, c, to);
	else
		rows_in_words(chart, to);
	fputs("</desc>\n", to);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- the table below it ------------------------------------------------------ */

static void chart_table(const struct report_chart *chart, FILE *to)
{
	uint32_t r, c;

	fputs("<details><summary>Numbers of this picture</summary>\n"
	      "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">",
	      to);
	report_html(to, chart->shape == REPORT_CDF || chart->shape == REPORT_TAIL ? "share"
			: is_over_x(chart)					  ? chart->x_label
										  : "");
	for (c = 0; c < chart->col_nr; c++) {
		fputs("</th><th scope=\"col\">", to);
		report_html(to, chart->col[c].name);
	}
	fputs("</th></tr></thead>\n<tbody>\n", to);
	for (r = 0; r < chart->row_nr; r++) {
		fputs("<tr>", to);
		report_cell_head(to, chart->row[r].name);
		for (c = 0; c < chart->col_nr; c++)
			report_cell(to, chart->row[r].value[c]);
		fputs("</tr>\n", to);
	}
	fputs("</tbody></table></div></details>\n", to);
}

static bool is_empty_col(const struct report_chart *chart, uint32_t col)
{
	uint32_t r;

	for (r = 0; r < chart->row_nr; r++)
		if (!isnan(chart->row[r].value[col]))
			return false;
	return true;
}

/* Columns at the end that say nothing would only take room: the paper's, where it is silent. */
static void drop_empty_cols(struct report_chart *chart)
{
	while (chart->col_nr && is_empty_col(chart, chart->col_nr - 1))
		chart->col_nr--;
}

/* A name for those rows of a line chart that have only a number. */
static void name_rows(struct report_chart *chart)
{
	uint32_t r;

	for (r = 0; r < chart->row_nr; r++)
		if (!chart->row[r].name[0])
			snprintf(chart->row[r].name, REPORT_NAME_MAX, "%.6g", chart->row[r].at);
}

static int draw(struct report_chart *chart, char **script, const char *head)
{
	struct report *rep = chart->rep;
	size_t bytes;
	FILE *to = open_memstream(script, &bytes);

	if (!to)
		return -ENOMEM;
	report_script(chart, to);
	if (fclose(to))
		return -ENOMEM;
	return report_plot(rep->page, *script, bytes, rep->picture_nr, head, &rep->diag);
}

void report_chart_close(struct report_chart *chart)
{
	struct report *rep = chart->rep;
	char *script = NULL, *head = NULL;

	drop_empty_cols(chart);
	if (rep->err || !chart->col_nr)
		goto out;
	name_rows(chart);
	rep->picture_nr++;
	head = words(chart, rep->picture_nr);
	fputs("<figure>\n<figcaption>", rep->page);
	report_html(rep->page, chart->title);
	fputs("</figcaption>\n", rep->page);
	rep->err = head ? draw(chart, &script, head) : -ENOMEM;
	if (chart->note)
		fprintf(rep->page, "<p class=\"note\">%s</p>\n", chart->note);
	chart_table(chart, rep->page);
	fputs("</figure>\n", rep->page);
out:
	free(script);
	free(head);
	free(chart->row);
	chart->row = NULL;
}
