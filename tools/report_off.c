/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_off.c - what of the paper's numbers ours miss, worst first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report_internal.h"

/* One number of a document. */
struct cell {
	const struct report_doc *doc;
	const char *figure, *row, *column;
	double ours, paper;
	double off; /* difference over the scale */
};

static bool is_one_quantity(enum report_scale scale, const struct cell *a, const struct cell *b)
{
	if (a->doc != b->doc || strcmp(a->figure, b->figure))
		return false;
	if (scale == REPORT_SCALE_COLUMN)
		return !strcmp(a->column, b->column);
	return scale == REPORT_SCALE_ALL || !strcmp(a->row, b->row);
}

static int by_off(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? 1 : -1;
	return 0;
}

/* All cells for which the paper has a number, worst first. Return: how many. */
static size_t compared_cells(struct report *rep, struct cell **out)
{
	size_t room = 1, nr = 0, i, k;
	struct cell *cell;
	json_t *result;
	uint32_t d;

	for (d = 0; d < rep->doc_nr; d++)
		room += json_array_size(rep->doc[d].results);
	cell = calloc(room, sizeof(*cell));
	if (!cell)
		report_fail(rep, -ENOMEM, "out of memory");
	for (d = 0; cell && d < rep->doc_nr; d++) {
		if (rep->doc[d].kind != REPORT_PAPER)
			continue;
		json_array_foreach(rep->doc[d].results, i, result) {
			struct cell c = { .doc = &rep->doc[d],
					  .figure = report_text(result, "figure"),
					  .row = report_text(result, "row"),
					  .column = report_text(result, "column"),
					  .ours = report_number(result, NULL, "ours"),
					  .paper = report_number(result, NULL, "paper") };

			if (isfinite(c.ours) && isfinite(c.paper))
				cell[nr++] = c;
		}
	}
	for (i = 0; i < nr; i++) {
		enum report_scale kind = report_paper_scale(cell[i].figure);
		double scale = 0;

		for (k = 0; k < nr; k++)
			if (is_one_quantity(kind, &cell[i], &cell[k]))
				scale = fmax(scale, fabs(cell[k].paper));
		cell[i].off = scale > 0 ? fabs(cell[i].ours - cell[i].paper) / scale : 0;
	}
	if (cell)
		qsort(cell, nr, sizeof(*cell), by_off);
	*out = cell;
	return nr;
}

void report_off(struct report *rep)
{
	static const char *const heads[] = { "off by", " figure",    " row",	  " column", "ours",
					     "paper",  "difference", " document", NULL };
	struct cell *cell;
	size_t i, nr = compared_cells(rep, &cell);

	fputs("<h3 id=\"off\">What is off, worst first</h3>\n"
	      "<p>Every number that the paper states or shows, and ours. <i>Off by</i> is the "
	      "difference in % of the largest number that the paper has of the same figure and "
	      "quantity, so that numbers near zero do not look worse than they are. Figures were "
	      "read off the paper's pictures, within about half a unit. "
	      "Source of the paper's numbers: Domingo et al., Kamino, OSDI '25.</p>\n",
	      rep->page);
	report_table_open(rep->page, heads);
	for (i = 0; i < nr; i++) {
		double bar = fmin(cell[i].off, 1) * 4;

		fprintf(rep->page,
			"<tr><th class=\"n\" scope=\"row\"><span class=\"bar\" style=\"width:%.2fem\"></span>"
			"%.1f %%</th>",
			bar, 100 * cell[i].off);
		report_cell_text(rep->page, cell[i].figure);
		report_cell_text(rep->page, cell[i].row);
		report_cell_text(rep->page, cell[i].column);
		report_cell(rep->page, cell[i].ours);
		report_cell(rep->page, cell[i].paper);
		report_cell(rep->page, cell[i].ours - cell[i].paper);
		report_cell_text(rep->page, cell[i].doc->tag);
		fputs("</tr>\n", rep->page);
	}
	report_table_close(rep->page);
	free(cell);
}

void report_paper_glance(struct report *rep)
{
	size_t nr, i, close = 0, far = 0;
	struct cell *cell;

	if (!report_of_kind(rep, REPORT_PAPER))
		return;
	nr = compared_cells(rep, &cell);
	for (i = 0; i < nr; i++) {
		close += cell[i].off <= 0.1;
		far += cell[i].off > 0.5;
	}
	fprintf(rep->page,
		"<li>Of %zu numbers of the paper, ours are within 10 %% for %zu and off by more than "
		"half for %zu",
		nr, close, far);
	if (nr) {
		fputs("; the worst is ", rep->page);
		report_html(rep->page, cell[0].figure);
		fputc(' ', rep->page);
		report_html(rep->page, cell[0].row);
		fputc(' ', rep->page);
		report_html(rep->page, cell[0].column);
		fprintf(rep->page, " (ours %.4g, the paper %.4g)", cell[0].ours, cell[0].paper);
	}
	fputs(": <a href=\"#off\">what is off, worst first</a>.</li>\n", rep->page);
	free(cell);
}
