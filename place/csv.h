/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/csv.h - CSV lines in and out, plain or gzip (RFC 4180).
 *
 * One record is one line: a quoted field may hold commas and doubled quotes,
 * not a line break. LF and CRLF both end a line; the last may lack its end.
 * The only user of zlib.
 */
#ifndef KM_PLACE_CSV_H
#define KM_PLACE_CSV_H

#include "lib/diag.h"

#define KM_CSV_LINE_MAX 65536 /* bytes; a longer line is refused */
#define KM_CSV_FIELDS_MAX 64
#define KM_CSV_TEXT_MAX 255 /* bytes of one name, number or trait value */

struct km_csv_field {
	char *text; /* NUL-terminated, unquoted; valid until the next line */
	uint32_t bytes;
	uint32_t column; /* where it starts in the line, from 1 */
};

struct km_csv_reader;

/** km_csv_open() - Return: 0; -errno of the open; -ENOMEM. */
int km_csv_open(struct km_csv_reader **out, const char *path, struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_close() - NULL is allowed. */
void km_csv_close(struct km_csv_reader *csv);

/**
 * km_csv_next() - the next line that is not blank, cut into fields.
 * Return: 1; 0 at the end; -EINVAL for a malformed line; -EIO for a damaged
 * gzip stream or a failed read.
 */
int km_csv_next(struct km_csv_reader *csv, struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_field_nr() - of this line. */
uint32_t km_csv_field_nr(const struct km_csv_reader *csv);
/** km_csv_field() - field @idx of this line, below km_csv_field_nr(). */
const struct km_csv_field *km_csv_field(const struct km_csv_reader *csv, uint32_t idx);

/**
 * km_csv_refuse() - fill @diag with this line and the column of field @idx.
 * @idx: KM_CSV_FIELDS_MAX or a field that is not there = the end of the line.
 * Return: -EINVAL.
 */
int km_csv_refuse(const struct km_csv_reader *csv, uint32_t idx, struct km_diag *diag,
		  const char *fmt, ...) KM_PRINTF(4, 5);

/**
 * km_csv_header() - check this line as a header: no name empty, overlong or twice.
 * Return: 0 or -EINVAL.
 */
int km_csv_header(const struct km_csv_reader *csv, struct km_diag *diag) KM_MUST_CHECK;

/** km_csv_name() - a field that is kept as text: its length, and UTF-8. Return: 0 or -EINVAL. */
int km_csv_name(const struct km_csv_reader *csv, uint32_t idx, struct km_diag *diag) KM_MUST_CHECK;

/** km_csv_decimal() - "12.5" as thousandths, "" as 0. Refuses signs and a fourth decimal. */
int km_csv_decimal(const struct km_csv_reader *csv, uint32_t idx, int32_t *thousandths,
		   struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_int() - a whole number in @min..@max. */
int km_csv_int(const struct km_csv_reader *csv, uint32_t idx, int64_t min, int64_t max,
	       int64_t *value, struct km_diag *diag) KM_MUST_CHECK;

struct km_csv_writer;

/**
 * km_csv_create() - write what becomes @path; gzip when it ends in .gz.
 *
 * Rows go to a file of their own beside @path until km_csv_commit(), so that @path
 * is as it was, or whole. A pipe or a device is written as it is.
 */
int km_csv_create(struct km_csv_writer **out, const char *path, struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_text() - one more field, quoted where it must be. Errors stick: km_csv_settle(). */
void km_csv_text(struct km_csv_writer *csv, const char *text);
/** km_csv_number() - one more field, a whole number. */
void km_csv_number(struct km_csv_writer *csv, int64_t value);
/** km_csv_thousandths() - one more field, a decimal; 0 is written as nothing. */
void km_csv_thousandths(struct km_csv_writer *csv, int32_t value);
/** km_csv_end_line() - the row is complete. */
void km_csv_end_line(struct km_csv_writer *csv);
/** km_csv_settle() - all rows to the disk; on any error @csv is gone, and the path as it was. */
int km_csv_settle(struct km_csv_writer *csv, struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_commit() - the settled rows take the path; @csv is gone. */
int km_csv_commit(struct km_csv_writer *csv, struct km_diag *diag) KM_MUST_CHECK;
/** km_csv_abandon() - instead of commit: the path stays as it was; NULL is allowed. */
void km_csv_abandon(struct km_csv_writer *csv);

struct km_inventory;
struct km_trace;

/** km_trace_write() - km_trace_save() without the commit. */
int km_trace_write(struct km_csv_writer **out, const struct km_trace *trace, const char *path,
		   struct km_diag *diag) KM_MUST_CHECK;
/** km_inventory_write() - km_inventory_save() without the commit. */
int km_inventory_write(struct km_csv_writer **out, const struct km_inventory *inv, const char *path,
		       struct km_diag *diag) KM_MUST_CHECK;

#endif
