/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_internal.h - what the files of "kamino report" share.
 *
 * A report is one HTML page: sections write into report->page; every picture is a
 * chart, a small matrix of numbers, which is drawn by gnuplot, put into words for
 * those who do not see it, and listed in a table below it.
 *
 * Nothing of an input reaches the page but through report_html(), and nothing
 * reaches gnuplot but numbers and report_plot_text().
 */
#ifndef KM_TOOLS_REPORT_INTERNAL_H
#define KM_TOOLS_REPORT_INTERNAL_H

#include <math.h>
#include <stdio.h>

#include "lib/diag.h"
#include "tools/json.h"

#define REPORT_NAME_MAX 64 /* bytes of a label; longer ones are cut */
#define REPORT_DOCS_MAX 64
#define REPORT_COLOURS_MAX 64

enum report_kind {
	REPORT_RUNS, /* kamino run, kamino sim */
	REPORT_PAPER, /* kamino sim --experiment */
	REPORT_DISPATCH, /* kamino bench dispatch */
	REPORT_OTHER, /* any other benchmark */
};

struct report_doc {
	const char *path;
	char tag[8]; /* "A", "B", ..., by which the page calls it */
	enum report_kind kind;
	json_t *json; /* ours */
	const char *command; /* in json */
	json_t *host, *params, *results; /* in json; objects and an array of objects */
};

struct report {
	FILE *page;
	struct report_doc doc[REPORT_DOCS_MAX];
	uint32_t doc_nr;
	uint32_t picture_nr;
	char coloured[REPORT_COLOURS_MAX][REPORT_NAME_MAX]; /* in order of their colours */
	uint32_t coloured_nr;
	struct km_diag diag; /* of the first error */
	int err; /* the first error; then nothing more is drawn */
};

/* ---- report_doc.c: reading and checking documents ---- */

/** report_doc_load() - Return: 0; -errno with the reason. */
int report_doc_load(struct report_doc *doc, const char *path, struct km_diag *diag) KM_MUST_CHECK;

/** report_text() - member @key of @object when it is a string, else "". */
const char *report_text(const json_t *object, const char *key);

/** report_number() - member @key of @object, or of its member @in (NULL = none); NAN. */
double report_number(const json_t *object, const char *in, const char *key);

/** report_of_kind() - how many documents of that kind there are. */
uint32_t report_of_kind(const struct report *rep, enum report_kind kind);

/* ---- report_html.c: text, tables, head and foot; report_numbers.c: documents and numbers ---- */

/** report_html() - @text as HTML text, at most 400 bytes of it. */
void report_html(FILE *to, const char *text);

/** report_format() - a number for people: four digits. Return: @text. */
const char *report_format(double value, char *text, size_t text_bytes);

/** report_page_open() - everything up to the first section; report_page_close() the rest. */
void report_page_open(struct report *rep);
void report_page_close(struct report *rep);

/** report_documents() - the table of what was read: command, host, revision, seed, parameters. */
void report_documents(struct report *rep);

/** report_numbers() - every number of every document. */
void report_numbers(struct report *rep);

/**
 * report_table_open() - a scrolling box and a table.
 * @heads: of its columns, NULL-terminated; a leading blank marks a column of texts.
 */
void report_table_open(FILE *to, const char *const *heads);
void report_table_close(FILE *to);

/** report_cell() - a number, empty when NAN; report_cell_text() escapes. */
void report_cell(FILE *to, double value);
void report_cell_text(FILE *to, const char *text);
/** report_cell_head() - the first cell of a row. */
void report_cell_head(FILE *to, const char *text);

/* ---- report_chart.c: a matrix of numbers, drawn ---- */

#define REPORT_COLS_MAX 24
#define REPORT_ROWS_MAX 512 /* a picture has an end; what is left out is in the last section */

enum report_shape {
	REPORT_LINES, /* columns over the rows' "at" */
	REPORT_CDF, /* rows are shares, values go to the right */
	REPORT_TAIL, /* the same, 1 - share, on a logarithmic scale */
	REPORT_BARS, /* lying; one group a row */
	REPORT_STACKS, /* lying; columns 0 and 1 on each other, 2 and 3 likewise */
	REPORT_DOTS, /* lying, logarithmic; one mark a column */
	REPORT_BOXES, /* lying; six columns a box: min, q1, median, q3, max, mean */
	REPORT_TIME, /* lines over time without marks, in one or two panels */
};

enum report_style {
	REPORT_OURS, /* full */
	REPORT_PAPER_STYLE, /* dashed, hatched */
	REPORT_FAINT, /* thin */
};

struct report_row {
	char name[REPORT_NAME_MAX];
	double at;
	double value[REPORT_COLS_MAX];
};

struct report_chart {
	struct report *rep;
	enum report_shape shape;
	char title[128];
	const char *x_label, *y_label, *y2_label; /* ours, not an input's; y2: the second panel */
	const char *note; /* of ours, below the picture; NULL = none */
	bool log_x, log_y;
	struct report_row *row;
	uint32_t row_nr, row_room;
	struct {
		char name[REPORT_NAME_MAX];
		uint32_t colour;
		enum report_style style;
		bool second; /* panel */
	} col[REPORT_COLS_MAX];
	uint32_t col_nr;
};

/** report_chart_open() - an empty one; @fmt is its title. */
void report_chart_open(struct report_chart *chart, struct report *rep, enum report_shape shape,
		       const char *fmt, ...) KM_PRINTF(4, 5);

/** report_chart_col() - Return: its index; REPORT_COLS_MAX when there are too many. */
uint32_t report_chart_col(struct report_chart *chart, const char *name, uint32_t colour,
			  enum report_style style);

/** report_chart_row() - Return: its index; UINT32_MAX when there are too many or memory is short. */
uint32_t report_chart_row(struct report_chart *chart, const char *name, double at);

/** report_chart_set() - an index from above that stands for nothing is ignored. */
void report_chart_set(struct report_chart *chart, uint32_t row, uint32_t col, double value);

/** report_chart_close() - draw, write the figure, free. Nothing when all values are NAN. */
void report_chart_close(struct report_chart *chart);

/** report_colour() - the same for the same name all over the page. */
uint32_t report_colour(struct report *rep, const char *name);

/** report_name() - copy @from, cut at a whole UTF-8 character, "..." at the end then. */
void report_name(char *to, size_t to_bytes, const char *from);

/** report_fail() - note the first error. */
void report_fail(struct report *rep, int err, const char *fmt, ...) KM_PRINTF(3, 4);

/* ---- report_script.c: the chart in gnuplot's language ---- */

/** report_script() - all of it. */
void report_script(const struct report_chart *chart, FILE *to);

/* ---- report_plot.c: gnuplot ---- */

/** report_plot_text() - @text as a gnuplot string; what could mean something to it is replaced. */
void report_plot_text(FILE *to, const char *text);
/** report_plot_tic() - the same for the name of a tic, which is a format. */
void report_plot_tic(FILE *to, const char *text);

/** report_plot_find() - Return: 0; -ENOENT with the remedy when there is no gnuplot. */
int report_plot_find(struct km_diag *diag) KM_MUST_CHECK;

/**
 * report_plot() - run gnuplot on @script and write the SVG element to @to.
 * @nr: makes the element's ids unique on the page.
 * @head: written behind the svg tag: its title and description.
 * Return: 0; -errno with what gnuplot said.
 */
int report_plot(FILE *to, const char *script, size_t script_bytes, uint32_t nr, const char *head,
		struct km_diag *diag) KM_MUST_CHECK;

/* ---- sections; each writes nothing when there is no document for it ---- */

void report_runs(struct report *rep);
void report_paper(struct report *rep);
void report_bench(struct report *rep);
void report_other(struct report *rep);

/* Which cells of a figure are of one quantity: what a difference is measured against. */
enum report_scale {
	REPORT_SCALE_ALL,
	REPORT_SCALE_COLUMN,
	REPORT_SCALE_ROW,
};

/** report_paper_scale() - of the figure of that name. */
enum report_scale report_paper_scale(const char *figure);

/** report_off() - the table of what is off, worst first. */
void report_off(struct report *rep);

/** report_paper_glance() - list items on how far the paper's figures are. */
void report_paper_glance(struct report *rep);
void report_runs_glance(struct report *rep);
void report_bench_glance(struct report *rep);

#endif
