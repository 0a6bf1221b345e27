/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_script.h - what the files that write gnuplot scripts share.
 */
#ifndef KM_TOOLS_REPORT_SCRIPT_H
#define KM_TOOLS_REPORT_SCRIPT_H

#include <stdio.h>

#include "tools/report_internal.h"

/* How solid an area is: ours and the paper's. */
#define FULL_FILL "0.85"
#define FAINT_FILL "0.25"

const char *report_script_colour(uint32_t nr);

/** report_script_mark() - gnuplot's number of a point's shape. */
uint32_t report_script_mark(uint32_t nr);

/** report_script_drawn() - whether the value has a place on an axis. */
bool report_script_drawn(double value, bool is_log);

/** report_script_head() - terminal, margins, labels, key; @left: units left of the plot. */
void report_script_head(const struct report_chart *chart, FILE *to, uint32_t plot_height,
			double left);

/** report_script_names() - units that the names of rows need. */
double report_script_names(const struct report_chart *chart);

/** report_script_step() - 1, 2 or 5 times a power of ten, at least @least. */
double report_script_step(double least);

/* The shapes of report_lying.c, scripts as a whole. */
void report_script_bars(const struct report_chart *chart, FILE *to);
void report_script_stacks(const struct report_chart *chart, FILE *to);
void report_script_dots(const struct report_chart *chart, FILE *to);
void report_script_boxes(const struct report_chart *chart, FILE *to);

#endif
