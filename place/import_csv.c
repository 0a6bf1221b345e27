/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/import_csv.c - the CSV sample of the Azure Trace for Packing 2020, and
 * what both importers share: from rows of VMs to creates and deletes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "place/csv.h"
#include "place/zone_internal.h"

#define SAMPLE_NAME "vm-batched-union.csv.gz"
#define SECOND_US INT64_C(1000000)
#define SIZE_MAX_UNITS 65535 /* of a VM, in the sample's units */

/* ---- rows to a trace ------------------------------------------------------- */

int zone_rows_add(struct zone_rows *rows, const struct zone_row *row)
{
	struct zone_row *fresh;

	if (rows->nr == rows->cap) {
		rows->cap = rows->cap ? 2 * rows->cap : 4096;
		fresh = realloc(rows->row, rows->cap * sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		rows->row = fresh;
	}
	rows->row[rows->nr++] = *row;
	return 0;
}

static int64_t second_of(const struct zone_row *row)
{
	return row->start_us / SECOND_US - (row->start_us % SECOND_US < 0);
}

/* By second first, so that the VMs of a batch are neighbours. */
static int by_start(const void *a, const void *b)
{
	const struct zone_row *x = a, *y = b;
	int64_t x_s = second_of(x), y_s = second_of(y);

	if (x_s != y_s)
		return x_s < y_s ? -1 : 1;
	if (x->tenant != y->tenant)
		return x->tenant < y->tenant ? -1 : 1;
	return (x->vm > y->vm) - (x->vm < y->vm);
}

struct weaver {
	struct km_trace *trace;
	enum km_zone_level level;
	bool batches;
	uint64_t seed, batch_nr;
	struct zone_end *end;
	uint64_t end_nr;
};

/* The VMs of one tenant and second: @nr rows. */
static int add_batch(struct weaver *w, struct zone_row *row, uint64_t nr)
{
	struct km_event event;
	uint64_t i;
	int err = 0;

	memset(&event, 0, sizeof(event));
	event.batch = KM_DICT_NONE;
	/* All at the start of the second: the order inside it is not published. */
	event.at_us = second_of(row) * SECOND_US;
	if (w->batches && nr > 1)
		err = zone_intern(w->trace->schema.batches, 'b', w->batch_nr++, &event.batch);
	if (!err)
		err = zone_intern(w->trace->schema.tenants, '\0', row->tenant, &event.tenant);
	for (i = 0; !err && i < nr; i++, row++) {
		row->ask.cls = zone_size_class(nr > UINT32_MAX ? UINT32_MAX : (uint32_t)nr);
		if (w->level == KM_LEVEL_VMTYPE && row->ask.vmtype < 0)
			zone_vm_draw_type(&row->ask, w->seed, row->tenant);
		err = zone_fill(w->trace, &event, w->level, &row->ask);
		if (!err)
			err = zone_intern(w->trace->schema.vms, '\0', row->vm, &event.vm);
		if (!err)
			err = km_trace_append(w->trace, &event);
		if (err || row->end_us == INT64_MAX)
			continue;
		if (row->end_us <= event.at_us)
			row->end_us = event.at_us + 1;
		w->end[w->end_nr++] = (struct zone_end){ row->end_us, event.vm };
	}
	return err;
}

static int weave(struct weaver *w, struct zone_rows *rows, uint64_t create_nr_max)
{
	int64_t last_us = (int64_t)zone_params.window_s * SECOND_US;
	uint64_t at, nr, creates = 0;
	int err = 0;

	for (at = 0; !err && at < rows->nr; at += nr) {
		struct zone_row *row = &rows->row[at];

		for (nr = 1; at + nr < rows->nr && row[nr].tenant == row->tenant &&
			     second_of(&row[nr]) == second_of(row);)
			nr++;
		if (create_nr_max && creates >= create_nr_max && row->start_us >= 0)
			break;
		creates += row->start_us >= 0 ? nr : 0;
		err = add_batch(w, row, nr);
	}
	if (create_nr_max && creates >= create_nr_max)
		last_us = w->trace->event[w->trace->event_nr - 1].at_us;
	return err ? err : zone_merge_ends(w->trace, w->end, w->end_nr, last_us);
}

int zone_rows_to_trace(struct km_trace **out, struct zone_rows *rows, enum km_zone_level level,
		       bool batches, uint64_t seed, uint64_t create_nr_max)
{
	struct weaver w = { .level = level, .batches = batches, .seed = seed };
	int err = zone_trace_create(&w.trace, level, false);

	if (err)
		return err;
	w.end = malloc((rows->nr + 1) * sizeof(*w.end));
	err = w.end ? 0 : -ENOMEM;
	if (!err && rows->nr) {
		qsort(rows->row, rows->nr, sizeof(*rows->row), by_start);
		err = weave(&w, rows, create_nr_max);
	}
	free(w.end);
	if (err)
		km_trace_destroy(w.trace);
	else
		*out = w.trace;
	return err;
}

/* ---- the CSV sample -------------------------------------------------------- */

enum column { COL_VM, COL_TENANT, COL_CORES, COL_RAM, COL_PRIORITY, COL_START, COL_END, COL_NR };

static const char *const column_name[COL_NR] = {
	[COL_VM] = "vmId",   [COL_TENANT] = "tenantId",	  [COL_CORES] = "cores",
	[COL_RAM] = "ram",   [COL_PRIORITY] = "priority", [COL_START] = "start_s",
	[COL_END] = "end_s",
};

static int check_header(struct km_csv_reader *csv, struct km_diag *diag)
{
	uint32_t i;

	for (i = 0; i < COL_NR; i++)
		if (i >= km_csv_field_nr(csv) || strcmp(km_csv_field(csv, i)->text, column_name[i]))
			return km_csv_refuse(csv, i, diag, "column '%s' is due here",
					     column_name[i]);
	if (km_csv_field_nr(csv) > COL_NR)
		return km_csv_refuse(csv, COL_NR, diag, "a column too many");
	return 0;
}

/* "7708845.910" seconds to microseconds; up to six decimals. */
static int take_end(struct km_csv_reader *csv, int64_t *us, struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(csv, COL_END);
	const char *text = field->text;
	int64_t value = 0;
	int decimals = -1;

	*us = INT64_MAX;
	if (!field->bytes)
		return 0;
	for (; *text; text++) {
		if (*text == '.' && decimals < 0 && text > field->text) {
			decimals = 0;
			continue;
		}
		if (*text < '0' || *text > '9' || decimals == 6 || value > KM_TRACE_AT_US_MAX / 10)
			return km_csv_refuse(csv, COL_END, diag, "'%.40s' is not a time in seconds",
					     field->text);
		value = value * 10 + (*text - '0');
		decimals += decimals >= 0;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++) {
		if (value > KM_TRACE_AT_US_MAX / 10)
			return km_csv_refuse(csv, COL_END, diag, "'%.40s' is out of range",
					     field->text);
		value *= 10;
	}
	*us = value;
	return 0;
}

static int take_row(struct km_csv_reader *csv, struct zone_row *row, struct km_diag *diag)
{
	const int64_t far_s = KM_TRACE_AT_US_MAX / SECOND_US;
	static const int64_t max[COL_END] = {
		[COL_VM] = INT64_MAX,	    [COL_TENANT] = INT64_MAX, [COL_CORES] = SIZE_MAX_UNITS,
		[COL_RAM] = SIZE_MAX_UNITS, [COL_PRIORITY] = 1,
	};
	int64_t value[COL_END];
	uint32_t i;
	int err = 0;

	if (km_csv_field_nr(csv) != COL_NR)
		return km_csv_refuse(csv, km_csv_field_nr(csv), diag, "%u fields of %u",
				     km_csv_field_nr(csv), COL_NR);
	for (i = 0; !err && i < COL_START; i++)
		err = km_csv_int(csv, i, 0, max[i], &value[i], diag);
	if (!err)
		err = km_csv_int(csv, COL_START, -far_s, far_s, &value[COL_START], diag);
	if (!err)
		err = take_end(csv, &row->end_us, diag);
	if (err)
		return err;
	row->vm = (uint64_t)value[COL_VM];
	row->tenant = (uint64_t)value[COL_TENANT];
	row->start_us = value[COL_START] * SECOND_US;
	row->ask.priority = (uint32_t)value[COL_PRIORITY];
	if (!zone_vm_set_shape(&row->ask, (uint32_t)value[COL_CORES], (uint32_t)value[COL_RAM]))
		return km_csv_refuse(csv, COL_CORES, diag, "no VM type has %u cores and %u ram",
				     row->ask.cores, row->ask.ram);
	return 0;
}

static int read_rows(struct km_csv_reader *csv, const char *path, struct zone_rows *rows,
		     struct km_diag *diag)
{
	struct zone_row row;
	int got = km_csv_next(csv, diag), err;

	if (!got)
		return km_diag_set(diag, -EINVAL, path, 1, 0, "the file is empty");
	err = got < 0 ? got : check_header(csv, diag);
	while (!err && (got = km_csv_next(csv, diag)) > 0) {
		memset(&row, 0, sizeof(row));
		err = take_row(csv, &row, diag);
		if (!err && zone_rows_add(rows, &row))
			err = km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	}
	if (!err && !got && !rows->nr)
		return km_diag_set(diag, -EINVAL, path, 0, 0, "no VM");
	return err ? err : got;
}

int km_import_azure_csv(struct km_trace **out, const char *dir, enum km_zone_level level,
			bool batches, uint64_t seed, uint64_t create_nr_max, struct km_diag *diag)
{
	struct zone_rows rows = { 0 };
	struct km_csv_reader *csv;
	char path[4096];
	struct stat st;
	int err, nr;

	if (!stat(dir, &st) && S_ISDIR(st.st_mode))
		nr = snprintf(path, sizeof(path), "%s/" SAMPLE_NAME, dir);
	else
		nr = snprintf(path, sizeof(path), "%s", dir);
	if (nr >= (int)sizeof(path))
		return km_diag_set(diag, -ENAMETOOLONG, NULL, 0, 0, "the path is too long");
	err = km_csv_open(&csv, path, diag);
	if (err)
		return err;
	err = read_rows(csv, path, &rows, diag);
	km_csv_close(csv);
	if (!err) {
		err = zone_rows_to_trace(out, &rows, level, batches, seed, create_nr_max);
		if (err)
			km_diag_set(diag, err, path, 0, 0, "%s", strerror(-err));
	}
	free(rows.row);
	return err;
}
