/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/json.h - the JSON documents that verbs print. The only user of jansson.
 */
#ifndef KM_TOOLS_JSON_H
#define KM_TOOLS_JSON_H

#include <stdio.h>

#include <jansson.h>

#include "lib/base.h"
#include "lib/diag.h"
#include "lib/hist.h"
#include "lib/series.h"

#define KM_JSON_SCHEMA "kamino/1"

/**
 * km_json_envelope() - {schema, command, host, params, results}.
 * @params: taken over, also on failure; NULL = an empty object.
 * @results: taken over, also on failure; NULL (it could not be built) fails.
 * Return: a new object, released with json_decref(); NULL when memory is short.
 */
json_t *km_json_envelope(const char *command, json_t *params, json_t *results);

/**
 * km_json_print() - write @doc and a line feed; a list of plain values is one line.
 * @doc: stays the caller's; NULL fails.
 * Return: 0; -ENOMEM; -EIO when @to does not take it.
 */
int km_json_print(json_t *doc, FILE *to) KM_MUST_CHECK;

/** km_json_is_plain() - neither an object nor a list. NULL is not plain. */
bool km_json_is_plain(const json_t *value);

/** km_json_is_plain_list() - a list of plain values, also an empty one. */
bool km_json_is_plain_list(const json_t *value);

/** km_json_us() - {mean, p50, p90, p99, max} of nanoseconds, in microseconds. NULL: no memory. */
json_t *km_json_us(const struct km_hist *hist);

/**
 * km_json_quantiles_us() - whole distributions, for pictures: {at, latency, wait, processing}.
 * @latency: as @wait and @processing in nanoseconds; told in microseconds.
 * Return: arrays of one length, at[i] being 0..1; NULL: no memory.
 */
json_t *km_json_quantiles_us(const struct km_hist *latency, const struct km_hist *wait,
			     const struct km_hist *processing);

/**
 * km_json_series() - load over time: {interval_s, lines, busy, waiting, completed_per_s}.
 *
 * Each of the last three is a list of lines, each a list of as many numbers as there
 * are intervals: one line an agent while they are few, else least, median and most of them.
 * busy is a share, waiting the mean number of requests. Return: NULL: no memory.
 */
json_t *km_json_series(const struct km_series *series);

/**
 * km_json_load() - read one document.
 * @path: "-" is the standard input.
 * @doc: set on success only; release with json_decref().
 * Return: 0; -errno with the reason and, when it is not JSON, the place in @diag.
 */
int km_json_load(json_t **doc, const char *path, struct km_diag *diag) KM_MUST_CHECK;

#endif
