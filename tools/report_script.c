/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_script.c - a chart as a gnuplot script.
 *
 * Pictures are 480 units wide, so that their text can be read on a phone, and as
 * high as their rows ask for. Bars and boxes lie, so that names stand beside them.
 * All shapes are computed here and given as plain numbers; black is a stand-in
 * for the reader's text colour.
 */
#include <string.h>

#include "tools/report_internal.h"

#define WIDTH 480
#define FONT 13
#define FULL_FILL "0.85"
#define FAINT_FILL "0.25"
#define TAIL_FROM 0.5 /* share; what is faster is in the other picture */

/* Apart in colour and in lightness, readable on white and on near-black. */
static const char *const colours[] = { "#2f7ed8", "#e07b00", "#2a9d5c", "#d9483b", "#8e63ce",
				       "#0f9fa8", "#b5782a", "#d0459b", "#7f8c8d", "#7a9a01" };

static const char *colour(uint32_t nr)
{
	return colours[nr % KM_ARRAY_NR(colours)];
}

/* Points that differ without colour: discs, squares, triangles ... filled and not. */
static uint32_t mark(uint32_t nr)
{
	static const uint32_t marks[] = { 7, 5, 9, 13, 11, 6, 4, 8, 12, 10 };

	return marks[nr % KM_ARRAY_NR(marks)];
}

static bool is_drawn(double value, bool is_log)
{
	return isfinite(value) && (!is_log || value > 0);
}

/* Characters of the longest name; a character is about 7.4 units wide. */
#define CHAR_WIDTH 7.4
#define NAMES_WIDTH_MAX 266 /* of rows; 36 characters */

static uint32_t longest(const char *name, uint32_t so_far)
{
	uint32_t nr = 0;

	for (; *name; name++)
		nr += ((unsigned char)*name & 0xc0) != 0x80;
	return nr > so_far ? nr : so_far;
}

static uint32_t key_entries(const struct report_chart *chart)
{
	if (chart->shape == REPORT_BOXES)
		return chart->col_nr / 6;
	/* Both panels show the same lines. */
	return chart->y2_label[0] ? chart->col_nr / 2 : chart->col_nr;
}

static bool has_key(const struct report_chart *chart)
{
	return key_entries(chart) > 1;
}

/* Few points are marked, many make a line by themselves. */
static bool is_marked(const struct report_chart *chart)
{
	return chart->shape == REPORT_LINES && chart->row_nr <= 16;
}

static uint32_t key_cols(const struct report_chart *chart)
{
	uint32_t c, chars = 1, nr;

	if (chart->shape == REPORT_BOXES)
		return 2;
	for (c = 0; c < chart->col_nr; c++)
		chars = longest(chart->col[c].name, chars);
	nr = (uint32_t)((WIDTH - 20) / (chars * CHAR_WIDTH + 48));
	return nr < 1 ? 1 : nr > 4 ? 4 : nr;
}

static uint32_t key_height(const struct report_chart *chart)
{
	return has_key(chart) ? KM_DIV_UP(key_entries(chart), key_cols(chart)) * 18 + 6 : 0;
}

/* The swatch, line or mark of a column, its middle at @x, @y of the screen. */
static void key_sample(const struct report_chart *chart, uint32_t col, double x, double y,
		       double height, FILE *to)
{
	const char *rgb = colour(chart->col[col].colour);
	bool paper = chart->col[col].style == REPORT_PAPER_STYLE;
	double half_x = 13. / WIDTH, half_y = 5 / height;

	switch (chart->shape) {
	case REPORT_BARS:
	case REPORT_STACKS:
	case REPORT_BOXES:
		fprintf(to,
			"set object rectangle from screen %.4f, screen %.4f to screen %.4f, "
			"screen %.4f fc rgb '%s' fs transparent solid %s border lc rgb '%s' lw 0.8\n",
			x - half_x, y - half_y, x + half_x, y + half_y, rgb,
			paper ? FAINT_FILL : FULL_FILL, rgb);
		return;
	case REPORT_LINES:
	case REPORT_CDF:
	case REPORT_TAIL:
	case REPORT_TIME:
		fprintf(to,
			"set arrow from screen %.4f, screen %.4f to screen %.4f, screen %.4f nohead "
			"lw 2 lc rgb '%s' dt %s\n",
			x - half_x, y, x + half_x, y, rgb, paper ? "'-'" : "1");
		if (!is_marked(chart))
			return;
		break;
	case REPORT_DOTS:
		break;
	}
	fprintf(to, "set label '' at screen %.4f, screen %.4f point pt %u ps 0.7 lc rgb '%s'\n", x,
		y, mark(chart->shape == REPORT_DOTS ? col : chart->col[col].colour), rgb);
}

/* By hand: gnuplot's own key knows no better than the width of the plot. */
static void draw_key(const struct report_chart *chart, double height, FILE *to)
{
	uint32_t i, cols = key_cols(chart), col;

	for (i = 0; i < key_entries(chart); i++) {
		double x = 20 + i % cols * ((WIDTH - 20.) / cols);
		double y = key_height(chart) - 12 - 18. * (i / cols);

		col = chart->shape == REPORT_BOXES ? 6 * i : i;
		key_sample(chart, col, x / WIDTH, y / height, height, to);
		fputs("set label ", to);
		report_plot_text(to, chart->shape != REPORT_BOXES ? chart->col[col].name
				     : i			  ? "the paper"
								  : "ours");
		fprintf(to, " at screen %.4f, screen %.4f left\n", (x + 20) / WIDTH, y / height);
	}
}

/* Everything around the plot is placed here: gnuplot guesses the width of text badly. */
static void head(const struct report_chart *chart, FILE *to, uint32_t plot_height, double left)
{
	uint32_t below = 26 + (chart->x_label[0] ? 22 : 0), key = key_height(chart);
	double height = 12 + plot_height + below + key;

	fprintf(to,
		"set terminal svg size %u,%.0f dynamic font 'sans-serif,%u' noenhanced linewidth 1.2\n"
		"set encoding utf8\nset datafile missing 'NaN'\n"
		"set border 3 lw 0.8\nset tics nomirror scale 0.5\n"
		"set grid lc rgb '#8a8a8a' lw 0.4 dt 3\n"
		"set format '%%g'\n"
		"set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
		"set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
		WIDTH, height, FONT, left / WIDTH, chart->shape == REPORT_DOTS ? 0.93 : 0.965,
		1 - 12 / height, (below + key) / height);
	if (chart->x_label[0]) {
		fputs("set xlabel ", to);
		report_plot_text(to, chart->x_label);
		fputs(" offset 0,0.4\n", to);
	}
	fputs("unset key\n", to);
	if (has_key(chart))
		draw_key(chart, height, to);
}

/* Room for the names of rows. */
static double names_width(const struct report_chart *chart)
{
	uint32_t r, chars = 1;

	for (r = 0; r < chart->row_nr; r++)
		chars = longest(chart->row[r].name, chars);
	return fmin(chars * CHAR_WIDTH, NAMES_WIDTH_MAX) + 14;
}

/* ---- lines ------------------------------------------------------------------- */

static void line_block(const struct report_chart *chart, uint32_t col, FILE *to)
{
	bool swap = chart->shape == REPORT_CDF || chart->shape == REPORT_TAIL;
	uint32_t r, nr = 0;

	fprintf(to, "$d%u << EOD\n", col);
	for (r = 0; r < chart->row_nr; r++) {
		double at = chart->row[r].at, value = chart->row[r].value[col];
		double x = swap ? value : at, y = swap ? at : value;

		if (chart->shape == REPORT_TAIL) {
			y = 1 - at;
			/* The largest stands where the distribution ends, not at a share of 0. */
			if (at >= 1 || at < TAIL_FROM ||
			    (r && value == chart->row[chart->row_nr - 1].value[col]))
				continue;
		}
		if (!is_drawn(x, chart->log_x) || !is_drawn(y, chart->log_y))
			continue;
		fprintf(to, "%.12g %.12g\n", x, y);
		nr++;
	}
	/* gnuplot refuses an empty block. */
	fputs(nr ? "EOD\n" : "NaN NaN\nEOD\n", to);
}

static bool has_points(const struct report_chart *chart, uint32_t col)
{
	bool swap = chart->shape == REPORT_CDF || chart->shape == REPORT_TAIL;
	uint32_t r;

	for (r = 0; r < chart->row_nr; r++) {
		double value = chart->row[r].value[col];

		if (is_drawn(value, swap ? chart->log_x : chart->log_y) &&
		    (chart->shape != REPORT_TAIL ||
		     (chart->row[r].at >= TAIL_FROM && chart->row[r].at < 1)))
			return true;
	}
	return false;
}

static void line(const struct report_chart *chart, uint32_t col, FILE *to)
{
	bool marked = is_marked(chart);
	bool paper = chart->col[col].style == REPORT_PAPER_STYLE;

	fprintf(to, "$d%u using 1:2 with %s lc rgb '%s' lw %s dt %s", col,
		marked ? "linespoints" : "lines", colour(chart->col[col].colour),
		chart->col[col].style == REPORT_FAINT ? "0.9"
		: chart->shape == REPORT_TIME	      ? "1.1"
						      : "1.8",
		paper ? "'-'" : "1");
	if (marked)
		fprintf(to, " pt %u ps %s", mark(chart->col[col].colour), paper ? "0.4" : "0.6");
}

static void plot_lines(const struct report_chart *chart, FILE *to, bool second)
{
	const char *before = "plot ";
	uint32_t c;

	for (c = 0; c < chart->col_nr; c++) {
		if (chart->col[c].second != second || !has_points(chart, c))
			continue;
		fputs(before, to);
		line(chart, c, to);
		before = ", ";
	}
	/* A panel without a point still keeps its place. */
	fputs(strcmp(before, "plot ") ? "\n" : "plot [1:2] [1:2] NaN\n", to);
}

static void y_label(FILE *to, const char *text)
{
	fputs("set ylabel ", to);
	report_plot_text(to, text);
	fputc('\n', to);
}

/* 1, 2 or 5 times a power of ten, at least @least. */
static double nice_step(double least)
{
	double power = pow(10, floor(log10(least))), times = least / power;

	return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* A panel is low: few tics. */
static void panel_tics(const struct report_chart *chart, bool second, FILE *to)
{
	double most = 0;
	uint32_t r, c;

	for (c = 0; c < chart->col_nr; c++)
		for (r = 0; r < chart->row_nr && chart->col[c].second == second; r++)
			most = fmax(most, chart->row[r].value[c]);
	fprintf(to, "set ytics %.12g\n", nice_step(most > 0 ? most / 4 : 0.25));
}

static void two_panels(const struct report_chart *chart, FILE *to)
{
	double key = key_height(chart), height = 12 + 290 + 48 + key;

	fprintf(to,
		"set multiplot\nset xlabel\nset format x ''\n"
		"set bmargin at screen %.4f\n",
		(key + 48 + 155) / height);
	y_label(to, chart->y_label);
	panel_tics(chart, false, to);
	plot_lines(chart, to, false);
	fprintf(to,
		"unset label\nunset arrow\nset format x '%%g'\nset tmargin at screen %.4f\nset bmargin at screen %.4f\n"
		"set xlabel ",
		(key + 48 + 135) / height, (key + 48) / height);
	report_plot_text(to, chart->x_label);
	fputc('\n', to);
	y_label(to, chart->y2_label);
	panel_tics(chart, true, to);
	plot_lines(chart, to, true);
	fputs("unset multiplot\n", to);
}

/*
 * Where the points are: on a logarithmic axis gnuplot would name powers of ten alone. The
 * ends of the axis are a little beyond, for marks and names of the outermost.
 */
static void rows_as_x_tics(const struct report_chart *chart, FILE *to)
{
	double low = INFINITY, high = -INFINITY, at, more;
	uint32_t r;

	fputs("set xtics (", to);
	for (r = 0; r < chart->row_nr; r++) {
		at = chart->row[r].at;
		if (!is_drawn(at, chart->log_x))
			continue;
		fprintf(to, "%.12g,", at);
		low = fmin(low, at);
		high = fmax(high, at);
	}
	fputs(")\n", to);
	if (!(low <= high))
		return;
	more = high > low ? 0.03 * (high - low) : 1;
	if (chart->log_x)
		fprintf(to, "set xrange [%.12g:%.12g]\n", low / 1.1, high * 1.1);
	else
		fprintf(to, "set xrange [%.12g:%.12g]\n", low - more, high + more);
}

static void lines(const struct report_chart *chart, FILE *to)
{
	bool panels = chart->y2_label[0];
	uint32_t c;

	head(chart, to, panels ? 290 : 230, 70);
	if (chart->log_x)
		fputs("set logscale x\n", to);
	if (chart->log_y)
		fputs("set logscale y\n", to);
	fputs("set autoscale xfix\n", to);
	if (chart->shape == REPORT_TAIL)
		fputs("set autoscale yfixmin\n", to);
	if (is_marked(chart))
		rows_as_x_tics(chart, to);
	if (chart->shape == REPORT_CDF)
		fputs("set yrange [0:1]\n", to);
	if (chart->shape == REPORT_TIME)
		fputs("set yrange [0:*]\n", to);
	for (c = 0; c < chart->col_nr; c++)
		line_block(chart, c, to);
	if (panels) {
		two_panels(chart, to);
		return;
	}
	y_label(to, chart->y_label);
	plot_lines(chart, to, false);
}

/* ---- lying shapes -------------------------------------------------------------- */

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
	fprintf(to, "set xtics %.12g\n", nice_step(span / 5));
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

	fprintf(to, " with boxxyerror lc rgb '%s' lw 0.8 fs %s", colour(colour_nr),
		paper ? "transparent solid " FAINT_FILL " border"
		      : "transparent solid " FULL_FILL " border");
}

/* Bars of one column; a lone column takes a colour a row. */
static void bars(const struct report_chart *chart, FILE *to)
{
	double high = 0.8 / chart->col_nr;
	struct extent e = { 0, 0 };
	uint32_t r, c;
	char text[32];

	head(chart, to, chart->row_nr * (chart->col_nr > 1 ? 10 + 15 * chart->col_nr : 26),
	     names_width(chart));
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
static void stacks(const struct report_chart *chart, FILE *to)
{
	uint32_t r, c, pairs = chart->col_nr / 2;
	double high = 0.8 / (pairs ? pairs : 1);
	struct extent e = { 0, 0 };
	char text[32];

	head(chart, to, chart->row_nr * (10 + 17 * pairs), names_width(chart));
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
static void dots(const struct report_chart *chart, FILE *to)
{
	double low = INFINITY, high = 0, value;
	uint32_t r, c;

	head(chart, to, chart->row_nr * 24, names_width(chart));
	rows_as_tics(chart, to);
	fputs("set logscale x\nset grid ytics\n", to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "$d%u << EOD\n", c);
		for (r = 0; r < chart->row_nr; r++) {
			value = chart->row[r].value[c];
			if (!is_drawn(value, true))
				continue;
			fprintf(to, "%.12g %d\n", value, -(int)r);
			low = fmin(low, value);
			high = fmax(high, value);
		}
		fputs("NaN NaN\nEOD\n", to);
	}
	if (high > 0) /* five powers of ten are named at most */
		fprintf(to, "set xtics %.12g\n", pow(10, ceil((log10(high / low) + 1) / 5)));
	else
		fputs("set xrange [1:10]\n", to);
	for (c = 0; c < chart->col_nr; c++) {
		fprintf(to, "%s$d%u using 1:2 with points pt %u ps 0.9 lc rgb '%s'",
			c ? ", " : "plot ", c, mark(c), colour(chart->col[c].colour));
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
		colour(set->chart->col[first].colour));
	fprintf(to, ", $median%u using 1:2:3:4 with vectors nohead lw 2 lc rgb 'black'", first);
	fprintf(to, ", $mean%u using 1:2 with points pt 2 ps 0.6 lw 1.2 lc rgb 'black'", first);
}

/* Whiskers to the extremes, a box between the quartiles, a line at the median, a mark at the mean. */
static void boxes(const struct report_chart *chart, FILE *to)
{
	uint32_t r, i, k, nr = chart->col_nr / 6;
	struct box_set set[REPORT_COLS_MAX / 6];
	struct extent e = { 0, 0 };

	head(chart, to, chart->row_nr * (12 + 20 * nr), names_width(chart));
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

void report_script(const struct report_chart *chart, FILE *to)
{
	switch (chart->shape) {
	case REPORT_LINES:
	case REPORT_CDF:
	case REPORT_TAIL:
	case REPORT_TIME:
		lines(chart, to);
		return;
	case REPORT_BARS:
		bars(chart, to);
		return;
	case REPORT_STACKS:
		stacks(chart, to);
		return;
	case REPORT_DOTS:
		dots(chart, to);
		return;
	case REPORT_BOXES:
		boxes(chart, to);
		return;
	}
}
