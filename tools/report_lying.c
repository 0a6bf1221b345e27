/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_lying.c - bars, stacks, dots and boxes: they lie, so that names stand
 * beside them and can be read on a phone.
 */
#include "tools/report_internal.h"
#include "tools/report_script.h"

struct extent {
	double low, high; /* of what is drawn, with 0 for bars */
};

static void stretch(struct extent *e, double value)
{
	e->low = fmin(e->low, value);
	e->high = fmax(e->high, value);
}

/* Room for the numbers that stand at the ends, and for those below. */
static void x_range(const struct extent *e, FILE *to)
{
	double span = e->high - e->low;

	if (!(span > 0))
		span = fabs(e->high) > 0 ? fabs(e->high) : 1;
	fprintf(to, "set xtics %.12g\n", report_script_step(span / 5));
	fprintf(to, "set xrange [%.12g:%.12g]\n", e->low < 0 ? e->low - 0.16 * span : e->low,
		e->high > 0 ? e->high + 0.16 * span : e->high + 0.02 * span);
}

static void rows_as_tics(const struct report_chart *chart, FILE *to)
{
	char name[37];
	uint32_t r;

	fprintf(to, "set yrange [%.1f:0.5]\nset grid noytics xtics\nset ytics scale 0 (",
		-(double)chart->row_nr + 0.5);
	for (r = 0; r < chart->row_nr; r++) {
		fputs(r ? "," : "", to);
		report_name(name, sizeof(name), chart->row[r].name);
		report_plot_tic(to, name);
		fprintf(to, " %d", -(int)r);
	}
	fputs(")\n", to);
}

static void box(FILE *to, double x0, double x1, double y0, double y1)
{
	/* x y xlow xhigh ylow yhigh of boxxyerror */
	fprintf(to, "%.12g %.6g %.12g %.12g %.6g %.6g\n", x1, (y0 + y1) / 2, fmin(x0, x1),
		fmax(x0, x1), y0, y1);
}

static void fill(const struct report_chart *chart, uint32_t col, uint32_t colour_nr, FILE *to)
{
	bool paper = chart->col[col].style == REPORT_PAPER_STYLE;

	fprintf(to, " with boxxyerror lc rgb '%s' lw 0.8 fs %s", report_script_colour(colour_nr),
		paper ? "transparent solid " FAINT_FILL " border"
		      : "transparent solid " FULL_FILL " border");
}

/* Bars of one column; a lone column takes a colour a row. */
void report_script_bars(const struct report_chart *chart, FILE *to)
{
	double high = 0.8 / chart->col_nr;
	struct extent e = { 0, 0 };
	uint32_t r, c;
	char text[32];

	report_script_head(chart, to,
			   chart->row_nr * (chart->col_nr > 1 ? 10 + 15 * chart->col_nr : 26),
			   report_script_names(chart));
	rows_as_tics(chart, to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "$d%u << EOD\n", c);
		for (r = 0; r < chart->row_nr; r++) {
			double value = chart->row[r].value[c], y = -(double)r + 0.4 - c * high;

			if (isnan(value))
				continue;
			stretch(&e, value);
			fprintf(to, "%s ", report_format(value, text, sizeof(text)));
			box(to, 0, value, y - high + 0.02, y - 0.02);
		}
		fputs("- NaN NaN NaN NaN NaN NaN\nEOD\n", to);
	}
	x_range(&e, to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "%s$d%u using 2:3:4:5:6:7", c ? ", " : "plot ", c);
		fill(chart, c, chart->col[c].colour, to);
	}
	for (c = 0; c < chart->col_nr; c++)
		fprintf(to,
			", $d%u using ($2>=0?$2:NaN):3:1 with labels left offset 0.4,0 "
			"font ',11', $d%u using ($2<0?$2:NaN):3:1 with labels right "
			"offset -0.4,0 font ',11'",
			c, c);
	fputc('\n', to);
}

/* Columns 0 and 1 lie on each other, 2 and 3 on each other below them. */
void report_script_stacks(const struct report_chart *chart, FILE *to)
{
	uint32_t r, c, pairs = chart->col_nr / 2;
	double high = 0.8 / (pairs ? pairs : 1);
	struct extent e = { 0, 0 };
	char text[32];

	report_script_head(chart, to, chart->row_nr * (10 + 17 * pairs),
			   report_script_names(chart));
	rows_as_tics(chart, to);
	for (c = 0; c < 2 * pairs; c++) {
		fprintf(to, "$d%u << EOD\n", c);
		for (r = 0; r < chart->row_nr; r++) {
			double below = c % 2 ? chart->row[r].value[c - 1] : 0;
			double value = chart->row[r].value[c], y = -(double)r + 0.4 - c / 2 * high;

			if (isnan(value) || isnan(below))
				continue;
			stretch(&e, below + value);
			fprintf(to, "%s ", report_format(below + value, text, sizeof(text)));
			box(to, below, below + value, y - high + 0.02, y - 0.02);
		}
		fputs("- NaN NaN NaN NaN NaN NaN\nEOD\n", to);
	}
	x_range(&e, to);
	for (c = 0; c < 2 * pairs; c++) {
		fprintf(to, "%s$d%u using 2:3:4:5:6:7", c ? ", " : "plot ", c);
		fill(chart, c, chart->col[c].colour, to);
	}
	for (c = 1; c < 2 * pairs; c += 2)
		fprintf(to, ", $d%u using 2:3:1 with labels left offset 0.4,0 font ',11'", c);
	fputc('\n', to);
}

/* One line a row, one mark a column. */
void report_script_dots(const struct report_chart *chart, FILE *to)
{
	double low = INFINITY, high = 0, value, tics;
	uint32_t r, c;

	report_script_head(chart, to, chart->row_nr * 24, report_script_names(chart));
	rows_as_tics(chart, to);
	fputs("set logscale x\nset grid ytics\n", to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "$d%u << EOD\n", c);
		for (r = 0; r < chart->row_nr; r++) {
			value = chart->row[r].value[c];
			if (!report_script_drawn(value, true))
				continue;
			fprintf(to, "%.12g %d\n", value, -(int)r);
			low = fmin(low, value);
			high = fmax(high, value);
		}
		fputs("NaN NaN\nEOD\n", to);
	}
	/* A power of ten's name takes about 52 units. */
	tics = fmax(1, floor((440 - report_script_names(chart)) / 52));
	if (high > 0)
		fprintf(to, "set xtics %.12g\n", pow(10, ceil((log10(high / low) + 1) / tics)));
	else
		fputs("set xrange [1:10]\n", to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "%s$d%u using 1:2 with points pt %u ps 0.9 lc rgb '%s'",
			c ? ", " : "plot ", c, report_script_mark(c),
			report_script_colour(chart->col[c].colour));
	}
	fputc('\n', to);
}

static bool is_whole(const struct report_row *row, uint32_t first)
{
	uint32_t i;

	for (i = first; i < first + 6; i++)
		if (!isfinite(row->value[i]))
			return false;
	return true;
}

/* One set of boxes: what to do with each, @y its middle. */
struct box_set {
	const struct report_chart *chart;
	uint32_t first; /* column */
	double high; /* of a box and the gap below it */
	double middle; /* in its row */
};

static void box_block(const struct box_set *set, const char *name,
		      void (*put)(const double *v, double y, double half, FILE *to), FILE *to)
{
	uint32_t r, nr = 0;

	fprintf(to, "$%s%u << EOD\n", name, set->first);
	for (r = 0; r < set->chart->row_nr; r++) {
		const double *v = &set->chart->row[r].value[set->first];

		if (!is_whole(&set->chart->row[r], set->first))
			continue;
		put(v, -(double)r + set->middle, set->high * 0.4, to);
		nr++;
	}
	fputs(nr ? "EOD\n" : "NaN NaN NaN NaN NaN NaN\nEOD\n", to);
}

/* v: min, q1, median, q3, max, mean */
static void put_box(const double *v, double y, double half, FILE *to)
{
	box(to, v[1], v[3], y - half, y + half);
}

static void put_whiskers(const double *v, double y, double half, FILE *to)
{
	(void)half;
	fprintf(to, "%.12g %.6g %.12g 0\n%.12g %.6g %.12g 0\n", v[0], y, v[1] - v[0], v[3], y,
		v[4] - v[3]);
}

static void put_median(const double *v, double y, double half, FILE *to)
{
	fprintf(to, "%.12g %.6g 0 %.6g\n", v[2], y - half, 2 * half);
}

static void put_mean(const double *v, double y, double half, FILE *to)
{
	(void)half;
	fprintf(to, "%.12g %.6g\n", v[5], y);
}

static void plot_boxes(const struct box_set *set, FILE *to)
{
	uint32_t first = set->first;

	fprintf(to, "%s$box%u using 1:2:3:4:5:6", first ? ", " : "plot ", first);
	fill(set->chart, first, set->chart->col[first].colour, to);
	fprintf(to, ", $whisker%u using 1:2:3:4 with vectors nohead lw 1.4 lc rgb '%s'", first,
		report_script_colour(set->chart->col[first].colour));
	fprintf(to, ", $median%u using 1:2:3:4 with vectors nohead lw 2 lc rgb 'black'", first);
	fprintf(to, ", $mean%u using 1:2 with points pt 2 ps 0.6 lw 1.2 lc rgb 'black'", first);
}

/* Whiskers to the extremes, a box between the quartiles, a line at the median, a mark at the mean. */
void report_script_boxes(const struct report_chart *chart, FILE *to)
{
	uint32_t r, i, k, nr = chart->col_nr / 6;
	struct box_set set[REPORT_COLS_MAX / 6];
	struct extent e = { 0, 0 };

	report_script_head(chart, to, chart->row_nr * (12 + 20 * nr), report_script_names(chart));
	rows_as_tics(chart, to);
	fputs("set arrow from 0, graph 0 to 0, graph 1 nohead lw 0.8 back\n", to);
	for (k = 0; k < nr; k++) {
		set[k] = (struct box_set){ chart, 6 * k, 0.8 / nr, 0.4 - (k + 0.5) * 0.8 / nr };
		for (r = 0; r < chart->row_nr; r++)
			for (i = 6 * k; i < 6 * k + 6 && is_whole(&chart->row[r], 6 * k); i++)
				stretch(&e, chart->row[r].value[i]);
		box_block(&set[k], "box", put_box, to);
		box_block(&set[k], "whisker", put_whiskers, to);
		box_block(&set[k], "median", put_median, to);
		box_block(&set[k], "mean", put_mean, to);
	}
	x_range(&e, to);
	for (k = 0; k < nr; k++)
		plot_boxes(&set[k], to);
	fputc('\n', to);
}
