/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/trace.h - the neutral trace: VM creates and deletes in time order.
 *
 * CSV with a header, plain or gzip; the columns are Documentation/formats.md.
 * Reading streams row by row; a loaded trace is wholly valid or not there.
 */
#ifndef KM_PLACE_TRACE_H
#define KM_PLACE_TRACE_H

#include "lib/diag.h"
#include "place/dict.h"
#include "place/res.h"

/* Categorical columns; the five resources are traits of their own (core/type.h). */
#define KM_TRACE_TRAITS_MAX 24

/* 285 years, so that nanoseconds fit in 63 bits. */
#define KM_TRACE_AT_US_MAX INT64_C(9000000000000000)

/* VMs of one batch: what one request may have (KM_PLACE_VMS_MAX). */
#define KM_TRACE_BATCH_MAX 4096

enum km_op { KM_OP_CREATE, KM_OP_DELETE };

struct km_event {
	int64_t at_us; /* negative: initial state */
	uint32_t vm; /* number in schema.vms */
	uint32_t tenant; /* number in schema.tenants; KM_DICT_NONE = none */
	uint32_t batch; /* number in schema.batches; KM_DICT_NONE = none */
	uint8_t op; /* enum km_op */
	int32_t res[KM_RES_NR]; /* creates only */
	uint32_t trait[KM_TRACE_TRAITS_MAX]; /* 0 = none, else 1 + number in schema.values[t] */
};

/* What the numbers of a trace mean. Grows while a stream is read. */
struct km_trace_schema {
	uint32_t trait_nr;
	char *trait_name[KM_TRACE_TRAITS_MAX];
	struct km_dict *values[KM_TRACE_TRAITS_MAX];
	struct km_dict *vms, *tenants, *batches;
};

struct km_trace_reader;

/**
 * km_trace_open() - check the header and stand before the first row.
 * @path: a file, plain or .gz.
 * Return: 0; -EINVAL with place and reason; -errno of the open.
 */
int km_trace_open(struct km_trace_reader **out, const char *path,
		  struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_trace_next() - the next row.
 *
 * Checked here: every field's form and range, at_us never less than in the row
 * before, rows of one batch adjacent, creates at the same time and at most
 * KM_TRACE_BATCH_MAX, texts UTF-8. Not checked:
 * duplicate creates and deletes of unknown VMs: they are requests with an outcome.
 *
 * Return: 1 with *@event filled; 0 at the end; -EINVAL with place and reason;
 * -EIO for a damaged gzip stream.
 */
int km_trace_next(struct km_trace_reader *reader, struct km_event *event,
		  struct km_diag *diag) KM_MUST_CHECK;
/**
 * km_trace_forget_names() - from the first row on keep no name of a VM, tenant or batch.
 *
 * Memory then does not grow with the length of the trace. An event's vm is 0 and its
 * tenant KM_DICT_NONE; its batch only differs from that of the batch before. Not
 * checked then: that a batch's name does not come back later.
 */
void km_trace_forget_names(struct km_trace_reader *reader);
/** km_trace_reader_schema() - what the numbers of the rows so far mean; the reader's. */
const struct km_trace_schema *km_trace_reader_schema(const struct km_trace_reader *reader);
/** km_trace_close() - NULL is allowed. */
void km_trace_close(struct km_trace_reader *reader);

/* A whole trace in memory, in time order. */
struct km_trace {
	struct km_trace_schema schema;
	struct km_event *event;
	uint64_t event_nr;
	uint64_t initial_nr; /* events with at_us < 0: the first ones */
	uint64_t event_cap; /* room in event[]; km_trace_append()'s */
};

/**
 * km_trace_load() - read all of @path, or nothing.
 * @event_nr_max: stop after so many rows of at_us >= 0, or at the end of the
 *	batch that holds the last of them; 0 = all. Rows behind are not read.
 */
int km_trace_load(struct km_trace **out, const char *path, uint64_t event_nr_max,
		  struct km_diag *diag) KM_MUST_CHECK;

/** km_trace_save() - write @trace in the neutral format; gzip when @path ends in .gz. */
int km_trace_save(const struct km_trace *trace, const char *path,
		  struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_trace_create() - an empty trace with the named categorical columns.
 * For importers and generators: they intern names in trace->schema's dictionaries
 * and append events in time order (-EINVAL when time goes backwards).
 */
int km_trace_create(struct km_trace **out, uint32_t trait_nr,
		    const char *const *trait_name) KM_MUST_CHECK;
/** km_trace_append() - Return: 0; -EINVAL for a time before the last event's; -ENOMEM. */
int km_trace_append(struct km_trace *trace, const struct km_event *event) KM_MUST_CHECK;
/** km_trace_destroy() - NULL is allowed. */
void km_trace_destroy(struct km_trace *trace);

/** km_trace_trait() - column number of trait @name, or KM_DICT_NONE. */
uint32_t km_trace_trait(const struct km_trace_schema *schema, const char *name);

#endif
