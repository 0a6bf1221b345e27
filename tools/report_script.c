/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_script.c - a chart as a gnuplot script.
 *
 * Pictures are 480 units wide, so that their text can be read on a phone, and as
 * high as their rows ask for. All shapes are computed here and given as plain numbers; black is a stand-in
 * for the reader's text colour.
 */
#include <string.h>

#include "tools/report_internal.h"
#include "tools/report_script.h"

#define WIDTH 480
#define FONT 13
#define TAIL_FROM 0.5 /* share; what is faster is in the other picture */

/* Apart in colour and in lightness, readable on white and on near-black. */
static const char *const colours[] = { "#2f7ed8", "#e07b00", "#2a9d5c", "#d9483b", "#8e63ce",
				       "#0f9fa8", "#b5782a", "#d0459b", "#7f8c8d", "#7a9a01" };

const char *report_script_colour(uint32_t nr)
{
	return colours[nr % KM_ARRAY_NR(colours)];
}

/* Points that differ without colour: discs, squares, triangles ... filled and not. */
uint32_t report_script_mark(uint32_t nr)
{
	static const uint32_t marks[] = { 7, 5, 9, 13, 11, 6, 4, 8, 12, 10 };

	return marks[nr % KM_ARRAY_NR(marks)];
}

bool report_script_drawn(double value, bool is_log)
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
	const char *rgb = report_script_colour(chart->col[col].colour);
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
		y, report_script_mark(chart->shape == REPORT_DOTS ? col : chart->col[col].colour),
		rgb);
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
void report_script_head(const struct report_chart *chart, FILE *to, uint32_t plot_height,
			double left)
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
double report_script_names(const struct report_chart *chart)
{
	uint32_t r, chars = 1;

	for (r = 0; r < chart->row_nr; r++)
		chars = longest(chart->row[r].name, chars);
	return fmin(chars * CHAR_WIDTH, NAMES_WIDTH_MAX) + 14;
}

/* 1, 2 or 5 times a power of ten, at least @least. */
double report_script_step(double least)
{
	double power = pow(10, floor(log10(least))), times = least / power;

	return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
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
		if (!report_script_drawn(x, chart->log_x) || !report_script_drawn(y, chart->log_y))
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

		if (report_script_drawn(value, swap ? chart->log_x : chart->log_y) &&
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
		marked ? "linespoints" : "lines", report_script_colour(chart->col[col].colour),
		chart->col[col].style == REPORT_FAINT ? "0.9"
		: chart->shape == REPORT_TIME	      ? "1.1"
						      : "1.8",
		paper ? "'-'" : "1");
	if (marked)
		fprintf(to, " pt %u ps %s", report_script_mark(chart->col[col].colour),
			paper ? "0.4" : "0.6");
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

/* A panel is low: few tics. */
static void panel_tics(const struct report_chart *chart, bool second, FILE *to)
{
	double most = 0;
	uint32_t r, c;

	for (c = 0; c < chart->col_nr; c++)
		for (r = 0; r < chart->row_nr && chart->col[c].second == second; r++)
			most = fmax(most, chart->row[r].value[c]);
	fprintf(to, "set ytics %.12g\n", report_script_step(most > 0 ? most / 4 : 0.25));
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
		if (!report_script_drawn(at, chart->log_x))
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

	report_script_head(chart, to, panels ? 290 : 230, 70);
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
		report_script_bars(chart, to);
		return;
	case REPORT_STACKS:
		report_script_stacks(chart, to);
		return;
	case REPORT_DOTS:
		report_script_dots(chart, to);
		return;
	case REPORT_BOXES:
		report_script_boxes(chart, to);
		return;
	}
}
