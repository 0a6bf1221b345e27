/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_doc.c - a document of ours, checked for what the sections rely on.
 */
#include <errno.h>
#include <string.h>

#include "tools/report_internal.h"

/* Cells of figures are compared with each other; an evaluation has some hundreds. */
#define CELLS_MAX 20000

const char *report_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double report_number(const json_t *object, const char *in, const char *key)
{
	const json_t *value = json_object_get(in ? json_object_get(object, in) : object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

uint32_t report_of_kind(const struct report *rep, enum report_kind kind)
{
	uint32_t i, nr = 0;

	for (i = 0; i < rep->doc_nr; i++)
		nr += rep->doc[i].kind == kind;
	return nr;
}

/* What each result of a kind must have. */
static const struct need {
	enum report_kind kind;
	const char *key;
	json_type type;
} needs[] = {
	{ REPORT_RUNS, "policy", JSON_STRING },	    { REPORT_RUNS, "agents", JSON_INTEGER },
	{ REPORT_RUNS, "latency_us", JSON_OBJECT }, { REPORT_PAPER, "figure", JSON_STRING },
	{ REPORT_PAPER, "row", JSON_STRING },	    { REPORT_PAPER, "column", JSON_STRING },
	{ REPORT_DISPATCH, "policy", JSON_STRING }, { REPORT_DISPATCH, "agents", JSON_INTEGER },
	{ REPORT_DISPATCH, "rules", JSON_INTEGER }, { REPORT_DISPATCH, "decision_ns", JSON_OBJECT },
};

static const char *type_name(json_type type)
{
	return type == JSON_STRING   ? "a text"
	       : type == JSON_OBJECT ? "an object"
				     : "a whole number";
}

static int check_result(const struct report_doc *doc, size_t nr, const json_t *result,
			struct km_diag *diag)
{
	const json_t *value;
	size_t i;

	if (!json_is_object(result))
		return km_diag_set(diag, -EINVAL, doc->path, 0, 0, "results[%zu] is no object", nr);
	for (i = 0; i < KM_ARRAY_NR(needs); i++) {
		value = json_object_get(result, needs[i].key);
		if (needs[i].kind == doc->kind && (!value || json_typeof(value) != needs[i].type))
			return km_diag_set(diag, -EINVAL, doc->path, 0, 0,
					   "results[%zu]: '%s' must be %s", nr, needs[i].key,
					   type_name(needs[i].type));
	}
	return 0;
}

static int find_kind(struct report_doc *doc, struct km_diag *diag)
{
	const json_t *first = json_array_get(doc->results, 0);
	char command[REPORT_NAME_MAX];

	if (!strcmp(doc->command, "run"))
		doc->kind = REPORT_RUNS;
	else if (!strcmp(doc->command, "sim"))
		doc->kind = json_object_get(first, "figure") ? REPORT_PAPER : REPORT_RUNS;
	else if (!strcmp(doc->command, "bench dispatch"))
		doc->kind = REPORT_DISPATCH;
	else if (!strncmp(doc->command, "bench ", 6) || !strcmp(doc->command, "bench"))
		doc->kind = REPORT_OTHER;
	else {
		report_name(command, sizeof(command), doc->command);
		return km_diag_set(diag, -EINVAL, doc->path, 0, 0,
				   "a document of 'kamino %s'; reports are made of run, sim and "
				   "bench",
				   command);
	}
	return 0;
}

static int check(struct report_doc *doc, struct km_diag *diag)
{
	char schema[REPORT_NAME_MAX];
	const json_t *result;
	size_t i;
	int err;

	if (!json_is_object(doc->json))
		return km_diag_set(diag, -EINVAL, doc->path, 0, 0, "not a document of kamino");
	report_name(schema, sizeof(schema), report_text(doc->json, "schema"));
	if (strcmp(schema, KM_JSON_SCHEMA))
		return km_diag_set(diag, -EINVAL, doc->path, 0, 0,
				   "not a document of kamino: schema is '%s', not '%s'", schema,
				   KM_JSON_SCHEMA);
	doc->command = report_text(doc->json, "command");
	doc->host = json_object_get(doc->json, "host");
	doc->params = json_object_get(doc->json, "params");
	doc->results = json_object_get(doc->json, "results");
	if (!json_is_object(doc->host) || !json_is_object(doc->params) ||
	    !json_is_array(doc->results))
		return km_diag_set(diag, -EINVAL, doc->path, 0, 0,
				   "not whole: wants 'host', 'params' and 'results'");
	if (!json_array_size(doc->results))
		return km_diag_set(diag, -ENODATA, doc->path, 0, 0, "has no results");
	err = find_kind(doc, diag);
	if (!err && doc->kind == REPORT_PAPER && json_array_size(doc->results) > CELLS_MAX)
		err = km_diag_set(diag, -E2BIG, doc->path, 0, 0, "more than %d results of figures",
				  CELLS_MAX);
	json_array_foreach(doc->results, i, result)
		if (!err)
			err = check_result(doc, i, result, diag);
	return err;
}

int report_doc_load(struct report_doc *doc, const char *path, struct km_diag *diag)
{
	int err;

	doc->path = path;
	err = km_json_load(&doc->json, path, diag);
	if (err)
		return err;
	err = check(doc, diag);
	if (err)
		json_decref(doc->json);
	return err;
}
