/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_numbers.c - every number of every document, and where documents come from.
 */
#include <errno.h>
#include <string.h>

#include "tools/report_internal.h"

#define BESIDE_MAX 8 /* results that stand beside each other in a table */
#define KEYS_MAX 12 /* keys that do */
#define DEPTH_MAX 6
#define PATH_BYTES 256

/* ---- every number ----------------------------------------------------------------- */

/* As the document has it. */
static void scalar(FILE *to, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_INTEGER:
		fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(to, "%.12g", json_real_value(value));
		break;
	case JSON_STRING:
		report_html(to, json_string_value(value));
		break;
	case JSON_TRUE:
		fputs("yes", to);
		break;
	case JSON_FALSE:
		fputs("no", to);
		break;
	case JSON_NULL:
		fputs("-", to);
		break;
	case JSON_OBJECT:
	case JSON_ARRAY:
		fputs("(nested too deep)", to);
		break;
	}
}

/* Many objects of plain values, as one of each agent: read as one list a key. */
static bool is_long_table(const json_t *value)
{
	json_t *member;
	const char *key;
	size_t i;

	for (i = 0; i < json_array_size(value); i++) {
		if (!json_is_object(json_array_get(value, i)))
			return false;
		json_object_foreach(json_array_get(value, i), key, member)
			if (!km_json_is_plain(member))
				return false;
	}
	return json_array_size(value) > BESIDE_MAX;
}

static void flatten_table(json_t *flat, const char *path, json_t *value)
{
	char name[REPORT_NAME_MAX], longer[2 * PATH_BYTES], cut[PATH_BYTES];
	json_t *object, *member;
	const char *key;
	size_t i;

	json_array_foreach(value, i, object)
		json_object_foreach(object, key, member) {
			report_name(name, sizeof(name), key);
			snprintf(longer, sizeof(longer), "%s[].%s", path, name);
			report_name(cut, sizeof(cut), longer);
			if (!json_object_get(flat, cut))
				json_object_set_new(flat, cut, json_array());
			json_array_append(json_object_get(flat, cut), member);
		}
}

/* Adds each plain value and each list of them below @value to @flat, by its path. */
static void flatten(json_t *flat, const char *path, json_t *value, uint32_t depth)
{
	char name[REPORT_NAME_MAX], longer[2 * PATH_BYTES], cut[PATH_BYTES];
	const char *key;
	json_t *member;
	size_t i;

	if (km_json_is_plain(value) || km_json_is_plain_list(value) || depth == DEPTH_MAX) {
		json_object_set(flat, path, value);
		return;
	}
	if (is_long_table(value)) {
		flatten_table(flat, path, value);
		return;
	}
	json_array_foreach(value, i, member) {
		snprintf(longer, sizeof(longer), "%s[%zu]", path, i);
		report_name(cut, sizeof(cut), longer);
		flatten(flat, cut, member, depth + 1);
	}
	json_object_foreach(value, key, member) {
		report_name(name, sizeof(name), key);
		snprintf(longer, sizeof(longer), "%s%s%s", path, *path ? "." : "", name);
		report_name(cut, sizeof(cut), longer);
		flatten(flat, cut, member, depth + 1);
	}
}

static void value_cell(FILE *to, const json_t *value)
{
	const json_t *member;
	size_t i;

	if (!value) {
		fputs("<td></td>", to);
		return;
	}
	if (json_is_string(value)) {
		report_cell_text(to, json_string_value(value));
		return;
	}
	fputs(json_is_array(value)    ? "<td class=\"t\">"
	      : json_is_number(value) ? "<td>"
				      : "<td class=\"s\">",
	      to);
	if (km_json_is_plain_list(value)) {
		json_array_foreach((json_t *)value, i, member) {
			fputs(i ? ", " : "", to);
			scalar(to, member);
		}
	} else {
		scalar(to, value);
	}
	fputs("</td>", to);
}

/* What a column or row of one result is called. */
static void result_name(const json_t *result, size_t nr, char *name, size_t name_bytes)
{
	const char *policy = report_text(result, "policy");
	char text[256];

	if (*policy)
		snprintf(text, sizeof(text), "%zu: %.200s", nr + 1, policy);
	else
		snprintf(text, sizeof(text), "%zu", nr + 1);
	report_name(name, name_bytes, text);
}

/* Results @first and following beside each other: a row a key. Lists are left to lists_table(). */
static void keys_table(FILE *to, const json_t *results, json_t *keys, const json_t *flats,
		       size_t first)
{
	size_t i, end = km_min_u64(first + BESIDE_MAX, json_array_size(results));
	char name[REPORT_NAME_MAX];
	json_t *of_key;
	const char *key;

	fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">key</th>",
	      to);
	for (i = first; i < end; i++) {
		result_name(json_array_get(results, i), i, name, sizeof(name));
		fputs("<th scope=\"col\">", to);
		report_html(to, name);
		fputs("</th>", to);
	}
	fputs("</tr></thead>\n<tbody>\n", to);
	json_object_foreach(keys, key, of_key) {
		if (json_is_array(of_key))
			continue;
		fputs("<tr>", to);
		report_cell_head(to, key);
		for (i = first; i < end; i++)
			value_cell(to, json_object_get(json_array_get(flats, i), key));
		fputs("</tr>\n", to);
	}
	report_table_close(to);
}

/* The results below each other: a column a key. */
static void rows_table(FILE *to, json_t *keys, json_t *flats)
{
	json_t *flat, *of_key;
	const char *key;
	size_t i;

	fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">nr</th>",
	      to);
	json_object_foreach(keys, key, of_key) {
		if (json_is_array(of_key))
			continue;
		fputs(json_is_string(of_key) ? "<th class=\"t\" scope=\"col\">"
					     : "<th scope=\"col\">",
		      to);
		report_html(to, key);
		fputs("</th>", to);
	}
	fputs("</tr></thead>\n<tbody>\n", to);
	json_array_foreach(flats, i, flat) {
		fprintf(to, "<tr><th scope=\"row\">%zu</th>", i + 1);
		json_object_foreach(keys, key, of_key)
			if (!json_is_array(of_key))
				value_cell(to, json_object_get(flat, key));
		fputs("</tr>\n", to);
	}
	report_table_close(to);
}

/* Lists: a row each, the members in one cell. */
static void lists_table(FILE *to, const json_t *results, json_t *keys, json_t *flats)
{
	static const char *const heads[] = { "result", " key", " values", NULL };
	char name[REPORT_NAME_MAX];
	json_t *flat, *of_key, *value;
	const char *key;
	size_t i, nr = 0;

	json_object_foreach(keys, key, of_key)
		nr += json_is_array(of_key);
	if (!nr)
		return;
	fputs("<details><summary>Lists: distributions, series</summary>\n", to);
	report_table_open(to, heads);
	json_array_foreach(flats, i, flat) {
		result_name(json_array_get(results, i), i, name, sizeof(name));
		json_object_foreach(keys, key, of_key) {
			value = json_object_get(flat, key);
			if (!json_is_array(of_key) || !value)
				continue;
			fputs("<tr>", to);
			report_cell_head(to, name);
			report_cell_text(to, key);
			value_cell(to, value);
			fputs("</tr>\n", to);
		}
	}
	report_table_close(to);
	fputs("</details>\n", to);
}

static void numbers_of(struct report *rep, const struct report_doc *doc)
{
	json_t *flats = json_array(), *keys = json_object(), *result, *flat;
	size_t i;

	json_array_foreach(doc->results, i, result) {
		flat = json_object();
		flatten(flat, "", result, 0);
		json_object_update_missing(keys, flat);
		if (json_array_append_new(flats, flat))
			report_fail(rep, -ENOMEM, "out of memory");
	}
	fprintf(rep->page, "<h3>%s: ", doc->tag);
	report_html(rep->page, doc->path);
	fputs("</h3>\n", rep->page);
	if (json_object_size(keys) <= KEYS_MAX)
		rows_table(rep->page, keys, flats);
	else
		for (i = 0; i < json_array_size(flats); i += BESIDE_MAX)
			keys_table(rep->page, doc->results, keys, flats, i);
	lists_table(rep->page, doc->results, keys, flats);
	json_decref(keys);
	json_decref(flats);
}

void report_numbers(struct report *rep)
{
	uint32_t i;

	fputs("<section id=\"numbers\"><h2>All numbers</h2>\n"
	      "<p class=\"note\">As the documents have them; a unit is the last part of a key's name."
	      "</p>\n",
	      rep->page);
	for (i = 0; i < rep->doc_nr; i++)
		numbers_of(rep, &rep->doc[i]);
	fputs("</section>\n", rep->page);
}

/* ---- what was read ------------------------------------------------------------------ */

static void row_of(struct report *rep, const char *head, const char *in, const char *key)
{
	json_t *json, *value;
	uint32_t i;

	fputs("<tr>", rep->page);
	report_cell_head(rep->page, head);
	for (i = 0; i < rep->doc_nr; i++) {
		json = rep->doc[i].json;
		value = json_object_get(in ? json_object_get(json, in) : json, key);
		if (json_is_string(value)) {
			report_cell_text(rep->page, json_string_value(value));
			continue;
		}
		fputs("<td class=\"s\">", rep->page);
		if (km_json_is_plain(value))
			scalar(rep->page, value);
		fputs("</td>", rep->page);
	}
	fputs("</tr>\n", rep->page);
}

/* The parameters of all documents, each key once. */
static void rows_of_params(struct report *rep)
{
	json_t *keys = json_object(), *flat[REPORT_DOCS_MAX], *of_key;
	const char *key;
	uint32_t i;

	for (i = 0; i < rep->doc_nr; i++) {
		flat[i] = json_object();
		flatten(flat[i], "", rep->doc[i].params, 0);
		json_object_update_missing(keys, flat[i]);
	}
	json_object_foreach(keys, key, of_key) {
		fputs("<tr>", rep->page);
		report_cell_head(rep->page, key);
		for (i = 0; i < rep->doc_nr; i++)
			value_cell(rep->page, json_object_get(flat[i], key));
		fputs("</tr>\n", rep->page);
	}
	for (i = 0; i < rep->doc_nr; i++)
		json_decref(flat[i]);
	json_decref(keys);
}

static void documents_head(struct report *rep, const char *first)
{
	uint32_t i;

	fprintf(rep->page,
		"<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">%s</th>",
		first);
	for (i = 0; i < rep->doc_nr; i++) {
		fprintf(rep->page, "<th class=\"t\" scope=\"col\">%s: ", rep->doc[i].tag);
		report_html(rep->page, rep->doc[i].path);
		fputs("</th>", rep->page);
	}
	fputs("</tr></thead>\n<tbody>\n", rep->page);
}

/* Whether a member of host differs between documents. */
static bool differs(const struct report *rep, const char *key)
{
	uint32_t i;

	for (i = 1; i < rep->doc_nr; i++)
		if (strcmp(report_text(rep->doc[0].host, key), report_text(rep->doc[i].host, key)))
			return true;
	return false;
}

static void warnings(struct report *rep)
{
	uint32_t i;

	if (differs(rep, "cpu") || differs(rep, "kernel") || differs(rep, "flags"))
		fputs("<p class=\"warn\">These documents come from different machines or builds: "
		      "compare ratios within one, not times across them.</p>\n",
		      rep->page);
	else if (differs(rep, "revision"))
		fputs("<p class=\"warn\">These documents come from different revisions.</p>\n",
		      rep->page);
	for (i = 0; i < rep->doc_nr; i++) {
		const char *revision = report_text(rep->doc[i].host, "revision");

		if (!strstr(revision, "-dirty"))
			continue;
		fputs("<p class=\"warn\">A revision that ends in -dirty is no commit: nobody else "
		      "can build the same.</p>\n",
		      rep->page);
		break;
	}
}

void report_documents(struct report *rep)
{
	static const struct {
		const char *head, *in, *key;
	} rows[] = {
		{ "command", NULL, "command" },
		{ "as given", "host", "command_line" },
		{ "made at (UTC)", "host", "made_at" },
		{ "revision", "host", "revision" },
		{ "version", "host", "version" },
		{ "seed", "params", "seed" },
		{ "processor", "host", "cpu" },
		{ "cores", "host", "cores" },
		{ "CPUs", "host", "cpus" },
		{ "nodes", "host", "nodes" },
		{ "memory, bytes", "host", "memory_bytes" },
		{ "kernel", "host", "kernel" },
		{ "governor", "host", "governor" },
		{ "clock", "host", "clock" },
		{ "compiler", "host", "compiler" },
		{ "flags", "host", "flags" },
	};
	size_t i;

	fputs("<section id=\"documents\"><h2>Documents</h2>\n", rep->page);
	warnings(rep);
	documents_head(rep, "made by");
	for (i = 0; i < KM_ARRAY_NR(rows); i++)
		row_of(rep, rows[i].head, rows[i].in, rows[i].key);
	report_table_close(rep->page);
	fputs("<h3>Parameters</h3>\n", rep->page);
	documents_head(rep, "parameter");
	rows_of_params(rep);
	report_table_close(rep->page);
	fputs("</section>\n", rep->page);
}
