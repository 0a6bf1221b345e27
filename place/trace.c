/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "place/csv.h"

enum column { COL_AT, COL_OP, COL_VM, COL_TENANT, COL_BATCH, COL_RES, COL_TRAIT };

struct column_use {
	enum column what;
	uint32_t idx; /* resource or trait */
};

struct km_trace_reader {
	struct km_csv_reader *csv;
	struct km_trace_schema schema;
	uint32_t column_nr;
	uint32_t needed_nr; /* a row has at least so many fields: at_us, op and vm */
	struct column_use column[KM_CSV_FIELDS_MAX];
	uint32_t at_column, op_column, vm_column, batch_column;
	int64_t at_us; /* of the row before */
	uint32_t batch; /* of the row before */
	int64_t batch_at_us;
	uint32_t batch_nr; /* its rows so far */
	bool forget; /* km_trace_forget_names() */
	char batch_name[KM_CSV_TEXT_MAX + 1]; /* then: of the row before, or "" */
	uint32_t batch_id; /* then: of the last batch */
};

static const char *const fixed_name[] = {
	[COL_AT] = "at_us",	 [COL_OP] = "op",	[COL_VM] = "vm",
	[COL_TENANT] = "tenant", [COL_BATCH] = "batch",
};

/* The file is not at fault: its name would mislead. */
static int no_memory(struct km_diag *diag)
{
	return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
}

/* ---- schema ---------------------------------------------------------------- */

static void schema_fini(struct km_trace_schema *schema)
{
	uint32_t i;

	for (i = 0; i < schema->trait_nr; i++) {
		free(schema->trait_name[i]);
		km_dict_destroy(schema->values[i]);
	}
	km_dict_destroy(schema->vms);
	km_dict_destroy(schema->tenants);
	km_dict_destroy(schema->batches);
	memset(schema, 0, sizeof(*schema));
}

static int schema_init(struct km_trace_schema *schema)
{
	int err;

	memset(schema, 0, sizeof(*schema));
	err = km_dict_create(&schema->vms);
	if (!err)
		err = km_dict_create(&schema->tenants);
	if (!err)
		err = km_dict_create(&schema->batches);
	if (err)
		schema_fini(schema);
	return err;
}

/* There is room: the caller checked against KM_TRACE_TRAITS_MAX. */
static int schema_add_trait(struct km_trace_schema *schema, const char *name)
{
	uint32_t i = schema->trait_nr;

	schema->trait_name[i] = strdup(name);
	if (!schema->trait_name[i])
		return -ENOMEM;
	if (km_dict_create(&schema->values[i])) {
		free(schema->trait_name[i]);
		return -ENOMEM;
	}
	schema->trait_nr++;
	return 0;
}

uint32_t km_trace_trait(const struct km_trace_schema *schema, const char *name)
{
	uint32_t i;

	for (i = 0; i < schema->trait_nr; i++)
		if (!strcmp(schema->trait_name[i], name))
			return i;
	return KM_DICT_NONE;
}

/* ---- header ---------------------------------------------------------------- */

/* What column @idx of the header is. Return: 0, -EINVAL or -ENOMEM. */
static int take_column(struct km_trace_reader *reader, uint32_t idx, struct km_diag *diag)
{
	const char *name = km_csv_field(reader->csv, idx)->text;
	struct column_use *use = &reader->column[idx];
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(fixed_name); i++)
		if (!strcmp(name, fixed_name[i])) {
			use->what = (enum column)i;
			return 0;
		}
	for (i = 0; i < KM_RES_NR; i++)
		if (!strcmp(name, km_res_name[i])) {
			use->what = COL_RES;
			use->idx = i;
			return 0;
		}
	use->what = COL_TRAIT;
	use->idx = reader->schema.trait_nr;
	if (use->idx == KM_TRACE_TRAITS_MAX)
		return km_csv_refuse(reader->csv, idx, diag, "more than %d categorical columns",
				     KM_TRACE_TRAITS_MAX);
	return schema_add_trait(&reader->schema, name);
}

/* Where the fixed columns are; a delete row may end behind the last needed one. */
static int find_fixed(struct km_trace_reader *reader, struct km_diag *diag)
{
	uint32_t at[KM_ARRAY_NR(fixed_name)], i;

	memset(at, 0xff, sizeof(at));
	for (i = 0; i < reader->column_nr; i++)
		if (reader->column[i].what <= COL_BATCH)
			at[reader->column[i].what] = i;
	for (i = COL_AT; i <= COL_VM; i++) {
		if (at[i] == UINT32_MAX)
			return km_csv_refuse(reader->csv, KM_CSV_FIELDS_MAX, diag,
					     "column '%s' is missing", fixed_name[i]);
		if (at[i] + 1 > reader->needed_nr)
			reader->needed_nr = at[i] + 1;
	}
	reader->at_column = at[COL_AT];
	reader->op_column = at[COL_OP];
	reader->vm_column = at[COL_VM];
	reader->batch_column = at[COL_BATCH];
	return 0;
}

static int read_header(struct km_trace_reader *reader, const char *path, struct km_diag *diag)
{
	int got = km_csv_next(reader->csv, diag), err;
	uint32_t i;

	if (got < 0)
		return got;
	if (!got)
		return km_diag_set(diag, -EINVAL, path, 1, 0, "the file is empty; a header is due");
	err = km_csv_header(reader->csv, diag);
	reader->column_nr = km_csv_field_nr(reader->csv);
	for (i = 0; !err && i < reader->column_nr; i++)
		err = take_column(reader, i, diag);
	return err ? err : find_fixed(reader, diag);
}

int km_trace_open(struct km_trace_reader **out, const char *path, struct km_diag *diag)
{
	struct km_trace_reader *reader = calloc(1, sizeof(*reader));
	int err;

	if (!reader)
		return no_memory(diag);
	reader->at_us = INT64_MIN;
	reader->batch = KM_DICT_NONE;
	err = km_csv_open(&reader->csv, path, diag);
	if (err)
		goto err_close;
	err = schema_init(&reader->schema);
	if (!err)
		err = read_header(reader, path, diag);
	if (err == -ENOMEM)
		km_ignore(no_memory(diag)); /* err is returned */
	if (err)
		goto err_close;
	*out = reader;
	return 0;

err_close:
	km_trace_close(reader);
	return err;
}

void km_trace_close(struct km_trace_reader *reader)
{
	if (!reader)
		return;
	km_csv_close(reader->csv);
	schema_fini(&reader->schema);
	free(reader);
}

const struct km_trace_schema *km_trace_reader_schema(const struct km_trace_reader *reader)
{
	return &reader->schema;
}

/* ---- rows ------------------------------------------------------------------ */

static int intern_field(struct km_trace_reader *reader, uint32_t idx, struct km_dict *dict,
			uint32_t *id, bool *added, struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(reader->csv, idx);
	int err = km_csv_name(reader->csv, idx, diag);

	if (err)
		return err;
	err = km_dict_intern(dict, field->text, field->bytes, id, added);
	if (err == -ENOMEM)
		return no_memory(diag);
	if (err)
		km_ignore(km_csv_refuse(reader->csv, idx, diag, "%s", strerror(-err)));
	return err;
}

void km_trace_forget_names(struct km_trace_reader *reader)
{
	reader->forget = true;
}

/* A name that is only checked for form where names are not kept. */
static int take_name(struct km_trace_reader *reader, uint32_t idx, struct km_dict *dict,
		     uint32_t *id, struct km_diag *diag)
{
	if (reader->forget)
		return km_csv_name(reader->csv, idx, diag);
	return intern_field(reader, idx, dict, id, NULL, diag);
}

static int take_batch_name(struct km_trace_reader *reader, uint32_t idx, uint32_t *id, bool *added,
			   struct km_diag *diag)
{
	const char *text = km_csv_field(reader->csv, idx)->text;
	int err;

	if (!reader->forget)
		return intern_field(reader, idx, reader->schema.batches, id, added, diag);
	err = km_csv_name(reader->csv, idx, diag);
	if (err)
		return err;
	*added = reader->batch == KM_DICT_NONE || strcmp(text, reader->batch_name);
	if (*added) {
		snprintf(reader->batch_name, sizeof(reader->batch_name), "%s", text);
		reader->batch_id = (reader->batch_id + 1) & INT32_MAX;
	}
	*id = reader->batch_id;
	return 0;
}

static int take_at(struct km_trace_reader *reader, struct km_event *event, struct km_diag *diag)
{
	uint32_t idx = reader->at_column;
	int err = km_csv_int(reader->csv, idx, -KM_TRACE_AT_US_MAX, KM_TRACE_AT_US_MAX,
			     &event->at_us, diag);

	if (err)
		return err;
	if (event->at_us < reader->at_us)
		return km_csv_refuse(reader->csv, idx, diag, "time goes backwards: %lld after %lld",
				     (long long)event->at_us, (long long)reader->at_us);
	reader->at_us = event->at_us;
	return 0;
}

static int take_op(struct km_trace_reader *reader, struct km_event *event, struct km_diag *diag)
{
	const char *text = km_csv_field(reader->csv, reader->op_column)->text;

	if (!strcmp(text, "create"))
		event->op = KM_OP_CREATE;
	else if (!strcmp(text, "delete"))
		event->op = KM_OP_DELETE;
	else
		return km_csv_refuse(reader->csv, reader->op_column, diag,
				     "op '%.40s' is neither create nor delete", text);
	return 0;
}

static int take_batch(struct km_trace_reader *reader, uint32_t idx, struct km_event *event,
		      struct km_diag *diag)
{
	const char *text = km_csv_field(reader->csv, idx)->text;
	bool added;
	int err;

	if (event->op == KM_OP_DELETE)
		return km_csv_refuse(reader->csv, idx, diag, "a delete belongs to no batch");
	err = take_batch_name(reader, idx, &event->batch, &added, diag);
	if (err)
		return err;
	if (added) {
		reader->batch_at_us = event->at_us;
		reader->batch_nr = 1;
		return 0;
	}
	if (event->batch != reader->batch)
		return km_csv_refuse(reader->csv, idx, diag,
				     "the rows of batch '%.40s' are not adjacent", text);
	if (event->at_us != reader->batch_at_us)
		return km_csv_refuse(reader->csv, idx, diag,
				     "the rows of batch '%.40s' differ in time", text);
	if (reader->batch_nr == KM_TRACE_BATCH_MAX)
		return km_csv_refuse(reader->csv, idx, diag, "more than %d VMs in batch '%.40s'",
				     KM_TRACE_BATCH_MAX, text);
	reader->batch_nr++;
	return 0;
}

/* One field behind op and at_us. A delete's resources and traits say nothing: only their form counts. */
static int take_field(struct km_trace_reader *reader, uint32_t idx, struct km_event *event,
		      struct km_diag *diag)
{
	const struct column_use *use = &reader->column[idx];
	bool is_create = event->op == KM_OP_CREATE,
	     is_empty = !km_csv_field(reader->csv, idx)->bytes;
	int32_t ignored;
	int err = 0;

	switch (use->what) {
	case COL_AT:
	case COL_OP:
		break;
	case COL_VM:
		if (is_empty)
			return km_csv_refuse(reader->csv, idx, diag, "the VM has no name");
		err = take_name(reader, idx, reader->schema.vms, &event->vm, diag);
		break;
	case COL_TENANT:
		if (!is_empty)
			err = take_name(reader, idx, reader->schema.tenants, &event->tenant, diag);
		break;
	case COL_BATCH:
		if (!is_empty)
			err = take_batch(reader, idx, event, diag);
		break;
	case COL_RES:
		err = km_csv_decimal(reader->csv, idx, is_create ? &event->res[use->idx] : &ignored,
				     diag);
		break;
	case COL_TRAIT:
		if (is_empty || !is_create)
			break;
		err = intern_field(reader, idx, reader->schema.values[use->idx],
				   &event->trait[use->idx], NULL, diag);
		event->trait[use->idx] += !err; /* 0 is "none" */
		break;
	}
	return err;
}

int km_trace_next(struct km_trace_reader *reader, struct km_event *event, struct km_diag *diag)
{
	int got = km_csv_next(reader->csv, diag), err;
	uint32_t nr, i;

	if (got <= 0)
		return got;
	memset(event, 0, sizeof(*event));
	event->tenant = KM_DICT_NONE;
	event->batch = KM_DICT_NONE;
	nr = km_csv_field_nr(reader->csv);
	if (nr > reader->column_nr)
		return km_csv_refuse(reader->csv, reader->column_nr, diag,
				     "%u fields where the header names %u", nr, reader->column_nr);
	if (nr < reader->needed_nr)
		return km_csv_refuse(reader->csv, KM_CSV_FIELDS_MAX, diag, "%u fields of %u", nr,
				     reader->column_nr);
	err = take_op(reader, event, diag);
	if (!err && event->op == KM_OP_CREATE && nr < reader->column_nr)
		err = km_csv_refuse(reader->csv, KM_CSV_FIELDS_MAX, diag, "%u fields of %u", nr,
				    reader->column_nr);
	if (!err)
		err = take_at(reader, event, diag);
	for (i = 0; !err && i < nr; i++)
		err = take_field(reader, i, event, diag);
	reader->batch = event->batch;
	return err ? err : 1;
}

/* ---- a whole trace --------------------------------------------------------- */

static int trace_grow(struct km_trace *trace)
{
	uint64_t cap = trace->event_cap ? trace->event_cap * 2 : 1024;
	struct km_event *event = realloc(trace->event, cap * sizeof(*event));

	if (!event)
		return -ENOMEM;
	trace->event = event;
	trace->event_cap = cap;
	return 0;
}

int km_trace_append(struct km_trace *trace, const struct km_event *event)
{
	if (trace->event_nr && event->at_us < trace->event[trace->event_nr - 1].at_us)
		return -EINVAL;
	if (trace->event_nr == trace->event_cap && trace_grow(trace))
		return -ENOMEM;
	trace->event[trace->event_nr++] = *event;
	trace->initial_nr += event->at_us < 0;
	return 0;
}

int km_trace_create(struct km_trace **out, uint32_t trait_nr, const char *const *trait_name)
{
	struct km_trace *trace;
	uint32_t i;
	int err;

	if (trait_nr > KM_TRACE_TRAITS_MAX)
		return -EINVAL;
	trace = calloc(1, sizeof(*trace));
	if (!trace)
		return -ENOMEM;
	err = schema_init(&trace->schema);
	for (i = 0; !err && i < trait_nr; i++)
		err = schema_add_trait(&trace->schema, trait_name[i]);
	if (err) {
		km_trace_destroy(trace);
		return err;
	}
	*out = trace;
	return 0;
}

void km_trace_destroy(struct km_trace *trace)
{
	if (!trace)
		return;
	schema_fini(&trace->schema);
	free(trace->event);
	free(trace);
}

/* Whether @event is beyond the limit; a batch is never cut. */
static bool is_enough(const struct km_trace *trace, const struct km_event *event, uint64_t nr_max)
{
	const struct km_event *last;

	if (!nr_max || trace->event_nr - trace->initial_nr < nr_max || event->at_us < 0)
		return false;
	last = &trace->event[trace->event_nr - 1];
	return event->batch == KM_DICT_NONE || event->batch != last->batch;
}

static int load_rows(struct km_trace *trace, struct km_trace_reader *reader, uint64_t nr_max,
		     struct km_diag *diag)
{
	struct km_event event;
	int got, err;

	while ((got = km_trace_next(reader, &event, diag)) > 0) {
		if (is_enough(trace, &event, nr_max))
			return 0;
		err = km_trace_append(trace, &event);
		if (err)
			return no_memory(diag);
	}
	return got;
}

int km_trace_load(struct km_trace **out, const char *path, uint64_t event_nr_max,
		  struct km_diag *diag)
{
	struct km_trace_reader *reader;
	struct km_trace *trace;
	int err = km_trace_open(&reader, path, diag);

	if (err)
		return err;
	trace = calloc(1, sizeof(*trace));
	if (!trace) {
		km_trace_close(reader);
		return no_memory(diag);
	}
	err = load_rows(trace, reader, event_nr_max, diag);
	trace->schema = reader->schema; /* the dictionaries change hands */
	memset(&reader->schema, 0, sizeof(reader->schema));
	km_trace_close(reader);
	if (err) {
		km_trace_destroy(trace);
		return err;
	}
	*out = trace;
	return 0;
}

/* ---- saving ---------------------------------------------------------------- */

/* Which optional columns say anything. */
struct columns_used {
	bool tenant, batch, res[KM_RES_NR];
};

static void find_used(const struct km_trace *trace, struct columns_used *used)
{
	uint64_t i;
	int r;

	memset(used, 0, sizeof(*used));
	for (i = 0; i < trace->event_nr; i++) {
		used->tenant |= trace->event[i].tenant != KM_DICT_NONE;
		used->batch |= trace->event[i].batch != KM_DICT_NONE;
		for (r = 0; r < KM_RES_NR; r++)
			used->res[r] |= trace->event[i].res[r] != 0;
	}
}

static void write_header(struct km_csv_writer *csv, const struct km_trace_schema *schema,
			 const struct columns_used *used)
{
	uint32_t i;

	for (i = COL_AT; i <= COL_VM; i++)
		km_csv_text(csv, fixed_name[i]);
	if (used->tenant)
		km_csv_text(csv, fixed_name[COL_TENANT]);
	if (used->batch)
		km_csv_text(csv, fixed_name[COL_BATCH]);
	for (i = 0; i < KM_RES_NR; i++)
		if (used->res[i])
			km_csv_text(csv, km_res_name[i]);
	for (i = 0; i < schema->trait_nr; i++)
		km_csv_text(csv, schema->trait_name[i]);
	km_csv_end_line(csv);
}

static const char *text_or_none(const struct km_dict *dict, uint32_t id)
{
	return id == KM_DICT_NONE ? "" : km_dict_text(dict, id);
}

static void write_row(struct km_csv_writer *csv, const struct km_trace_schema *schema,
		      const struct columns_used *used, const struct km_event *event)
{
	uint32_t i;

	km_csv_number(csv, event->at_us);
	km_csv_text(csv, event->op == KM_OP_CREATE ? "create" : "delete");
	km_csv_text(csv, km_dict_text(schema->vms, event->vm));
	/* A delete needs no more; its tenant is kept where there is one. */
	if (used->tenant && (event->op == KM_OP_CREATE || event->tenant != KM_DICT_NONE))
		km_csv_text(csv, text_or_none(schema->tenants, event->tenant));
	if (event->op == KM_OP_CREATE) {
		if (used->batch)
			km_csv_text(csv, text_or_none(schema->batches, event->batch));
		for (i = 0; i < KM_RES_NR; i++)
			if (used->res[i])
				km_csv_thousandths(csv, event->res[i]);
		for (i = 0; i < schema->trait_nr; i++)
			km_csv_text(csv, event->trait[i] ? km_dict_text(schema->values[i],
									event->trait[i] - 1)
							 : "");
	}
	km_csv_end_line(csv);
}

int km_trace_write(struct km_csv_writer **out, const struct km_trace *trace, const char *path,
		   struct km_diag *diag)
{
	struct columns_used used;
	struct km_csv_writer *csv;
	uint64_t i;
	int err = km_csv_create(&csv, path, diag);

	if (err)
		return err;
	find_used(trace, &used);
	write_header(csv, &trace->schema, &used);
	for (i = 0; i < trace->event_nr; i++)
		write_row(csv, &trace->schema, &used, &trace->event[i]);
	err = km_csv_settle(csv, diag);
	if (!err)
		*out = csv;
	return err;
}

int km_trace_save(const struct km_trace *trace, const char *path, struct km_diag *diag)
{
	struct km_csv_writer *csv;
	int err = km_trace_write(&csv, trace, path, diag);

	return err ? err : km_csv_commit(csv, diag);
}
