/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/json_times.c - what pictures are drawn from: whole distributions, and load over time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/json.h"

/* ---- distributions ------------------------------------------------------------------- */

/* Close where the tail is: a picture of 1 - at on a logarithmic scale. */
static const double quantile_at[] = {
	0,   .01,   .02,  .05,	 .1,   .15,  .2,    .25,   .3,	  .35,	  .4,	  .45, .5,  .55,
	.6,  .65,   .7,	  .75,	 .8,   .85,  .9,    .92,   .94,	  .95,	  .96,	  .97, .98, .985,
	.99, .9925, .995, .9975, .998, .999, .9995, .9998, .9999, .99995, .99999, 1,
};

static json_t *quantiles(const struct km_hist *hist)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(quantile_at); i++)
		if (json_array_append_new(
			    list, json_real((double)km_hist_quantile(hist, quantile_at[i]) / 1e3)))
			break;
	if (i == KM_ARRAY_NR(quantile_at))
		return list;
	json_decref(list);
	return NULL;
}

json_t *km_json_quantiles_us(const struct km_hist *latency, const struct km_hist *wait,
			     const struct km_hist *processing)
{
	json_t *at = json_array();
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(quantile_at); i++)
		json_array_append_new(at, json_real(quantile_at[i]));
	return json_pack("{s:o,s:o,s:o,s:o}", "at", at, "latency", quantiles(latency), "wait",
			 quantiles(wait), "processing", quantiles(processing));
}

/* ---- load over time ------------------------------------------------------------------ */

/* So many agents have a line each. */
#define SERIES_AGENTS_MAX 8

/* Four digits: a picture shows no more, and lists are long. */
static json_t *rounded(double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", value);
	return json_real(strtod(text, NULL));
}

static double busy_of(const struct km_series_cell *cell, double length_ns)
{
	return (double)cell->busy_ns / length_ns;
}

static double waiting_of(const struct km_series_cell *cell, double length_ns)
{
	return (double)cell->wait_ns / length_ns;
}

static double done_of(const struct km_series_cell *cell, double length_ns)
{
	return (double)cell->done_nr * 1e9 / length_ns;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Appends interval @idx to each of the @lines; @value has room for all agents. */
static int add_interval(const struct km_series *series, uint32_t idx,
			double (*of)(const struct km_series_cell *cell, double length_ns),
			double *value, json_t *lines)
{
	double length_ns = (double)km_series_length_ns(series, idx);
	uint32_t a, nr = series->agent_nr, line_nr = (uint32_t)json_array_size(lines);
	int err = 0;

	for (a = 0; a < nr; a++)
		value[a] = length_ns > 0 ? of(km_series_at(series, idx, a), length_ns) : 0;
	if (nr > SERIES_AGENTS_MAX) {
		qsort(value, nr, sizeof(*value), by_value);
		value[1] = value[nr / 2];
		value[2] = value[nr - 1];
	}
	for (a = 0; a < line_nr; a++)
		err |= json_array_append_new(json_array_get(lines, a), rounded(value[a]));
	return err;
}

static json_t *series_lines(const struct km_series *series, uint32_t line_nr,
			    double (*of)(const struct km_series_cell *cell, double length_ns))
{
	double *value = malloc(((size_t)series->agent_nr + 3) * sizeof(*value));
	uint32_t i, nr = km_series_nr(series);
	json_t *lines = json_array();
	int err = !value;

	for (i = 0; i < line_nr; i++)
		err |= json_array_append_new(lines, json_array());
	/* The last interval is cut where the run ends: of length 0 it says nothing. */
	for (i = 0; i < nr && !err && km_series_length_ns(series, i); i++)
		err = add_interval(series, i, of, value, lines);
	free(value);
	if (!err)
		return lines;
	json_decref(lines);
	return NULL;
}

static json_t *line_names(const struct km_series *series)
{
	json_t *names = json_array();
	uint32_t a;

	if (series->agent_nr > SERIES_AGENTS_MAX) {
		json_array_append_new(names, json_string("least"));
		json_array_append_new(names, json_string("median"));
		json_array_append_new(names, json_string("most"));
		return names;
	}
	for (a = 0; a < series->agent_nr; a++)
		json_array_append_new(names, json_sprintf("agent %u", a));
	return names;
}

json_t *km_json_series(const struct km_series *series)
{
	json_t *names = line_names(series);
	uint32_t nr = (uint32_t)json_array_size(names);

	return json_pack("{s:f,s:o,s:o,s:o,s:o}", "interval_s",
			 (double)(UINT64_C(1) << series->shift) / 1e9, "lines", names, "busy",
			 series_lines(series, nr, busy_of), "waiting",
			 series_lines(series, nr, waiting_of), "completed_per_s",
			 series_lines(series, nr, done_of));
}
