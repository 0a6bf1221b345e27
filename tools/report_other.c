/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_other.c - benchmarks that the report knows nothing of but how our documents
 * are made: the members before the first measured one say what a result is of, an
 * object with "p50" is a distribution, a real number is a figure.
 */
#include <string.h>

#include "tools/report_internal.h"

#define ROWS_MAX 64
#define PICTURES_MAX 8 /* of a document */

static bool is_distribution(const json_t *value)
{
	return json_is_number(json_object_get(value, "p50"));
}

static bool is_measured(const json_t *value)
{
	return json_is_object(value) || json_is_real(value);
}

/* Whether the results differ in that member. */
static bool varies(const json_t *results, const char *key)
{
	const json_t *first = json_object_get(json_array_get(results, 0), key);
	size_t i;

	for (i = 1; i < json_array_size(results); i++)
		if (!json_equal(first, json_object_get(json_array_get(results, i), key)))
			return true;
	return false;
}

static void append(char *text, size_t text_bytes, const char *more)
{
	size_t at = strlen(text);

	snprintf(text + at, text_bytes - at, "%s%s", at ? ", " : "", more);
}

/* What tells @result from the others: its values, or when @keys their names. */
static void row_name(const json_t *results, json_t *result, bool keys, char *name,
		     size_t name_bytes)
{
	char text[512] = "", part[REPORT_NAME_MAX];
	const char *key;
	json_t *member;

	json_object_foreach(result, key, member) {
		if (is_measured(member))
			break;
		if ((!json_is_string(member) && !json_is_integer(member)) || !varies(results, key))
			continue;
		if (keys)
			report_name(part, sizeof(part), key);
		else if (json_is_string(member))
			report_name(part, sizeof(part), json_string_value(member));
		else
			snprintf(part, sizeof(part), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(member));
		if (strlen(text) + sizeof(part) + 3 < sizeof(text))
			append(text, sizeof(text), part);
	}
	report_name(name, name_bytes, text[0] ? text : "all");
}

/* The last part of a key's name is its unit. */
static const char *unit_of(const char *key)
{
	static const char *const units[] = { "ns", "us", "ms", "bytes", "mib" };
	const char *last = strrchr(key, '_');
	size_t i;

	for (i = 0; last && i < KM_ARRAY_NR(units); i++)
		if (!strcmp(last + 1, units[i]))
			return units[i];
	return "";
}

static void picture(struct report *rep, const struct report_doc *doc, const char *key,
		    bool distribution)
{
	char name[REPORT_NAME_MAX], by[REPORT_NAME_MAX];
	struct report_chart chart;
	json_t *result;
	uint32_t row;
	size_t i;

	report_name(name, sizeof(name), key);
	row_name(doc->results, json_array_get(doc->results, 0), true, by, sizeof(by));
	report_chart_open(&chart, rep, distribution ? REPORT_DOTS : REPORT_BARS, "%s: %s by %s",
			  doc->tag, name, by);
	chart.x_label = unit_of(key);
	report_chart_col(&chart, distribution ? "median" : key, 2, REPORT_OURS);
	if (distribution)
		report_chart_col(&chart, "99 %", 1, REPORT_OURS);
	json_array_foreach(doc->results, i, result) {
		if (i == ROWS_MAX) {
			chart.note = "The first 64 results; the last section has all.";
			break;
		}
		row_name(doc->results, result, false, name, sizeof(name));
		row = report_chart_row(&chart, name, (double)i);
		if (distribution) {
			report_chart_set(&chart, row, 0, report_number(result, key, "p50"));
			report_chart_set(&chart, row, 1, report_number(result, key, "p99"));
		} else {
			report_chart_set(&chart, row, 0, report_number(result, NULL, key));
		}
	}
	report_chart_close(&chart);
}

/* Distributions; a benchmark that has none shows its other figures. */
static void pictures(struct report *rep, const struct report_doc *doc)
{
	json_t *first = json_array_get(doc->results, 0), *member;
	bool distributions = false;
	uint32_t nr = 0;
	const char *key;

	json_object_foreach(first, key, member)
		distributions |= is_distribution(member);
	json_object_foreach(first, key, member)
		if (nr < PICTURES_MAX &&
		    (distributions ? is_distribution(member) : json_is_real(member))) {
			picture(rep, doc, key, distributions);
			nr++;
		}
}

void report_other(struct report *rep)
{
	uint32_t i;

	if (!report_of_kind(rep, REPORT_OTHER))
		return;
	fputs("<section id=\"other\"><h2>Other benchmarks</h2>\n", rep->page);
	for (i = 0; i < rep->doc_nr; i++) {
		if (rep->doc[i].kind != REPORT_OTHER)
			continue;
		fprintf(rep->page, "<h3>%s: ", rep->doc[i].tag);
		report_html(rep->page, rep->doc[i].path);
		fputs(" (", rep->page);
		report_html(rep->page, rep->doc[i].command);
		fputs(")</h3>\n<div class=\"grid\">\n", rep->page);
		pictures(rep, &rep->doc[i]);
		fputs("</div>\n", rep->page);
	}
	fputs("</section>\n", rep->page);
}
