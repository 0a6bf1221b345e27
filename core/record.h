/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/record.h - why each request went where it did: a ring of fixed-size
 * records that overwrites itself.
 *
 * The dispatcher writes one line per decision, always, so its cost is part of
 * every figure. Words are relaxed atomics. Read after the dispatcher has ended
 * a record is exact; a monitor that reads while the dispatcher laps it may get a
 * mixed one. The sequence number at both ends of the line tells most of those,
 * on a machine that reorders stores not all: good enough for eyes, not for sums.
 */
#ifndef KM_CORE_RECORD_H
#define KM_CORE_RECORD_H

#include "core/req.h"

#define KM_RECORD_NR 65536

/* One decision, unpacked. */
struct km_record {
	uint64_t req_id;
	uint32_t type_id;
	struct km_decision decision;
};

struct km_records;

/** km_records_create() - an empty ring of KM_RECORD_NR lines. Return: 0; -ENOMEM. */
int km_records_create(struct km_records **out) KM_MUST_CHECK;
/** km_records_destroy() - free it; NULL is allowed. */
void km_records_destroy(struct km_records *records);

/** km_records_write() - append. Context: the dispatcher. Progress: wait-free. */
void km_records_write(struct km_records *records, const struct km_req *req);

/**
 * km_records_find() - the newest record of request @req_id that is still there.
 * Return: whether @out was filled.
 */
bool km_records_find(const struct km_records *records, uint64_t req_id, struct km_record *out);

/**
 * km_records_recent() - the record that @back others followed; 0 = the newest.
 * Context: any thread; see the head for what a monitor may get.
 * Return: whether @out was filled: there is one, and it looks whole.
 */
bool km_records_recent(const struct km_records *records, uint64_t back, struct km_record *out);

/** km_records_nr() - records written in all. */
uint64_t km_records_nr(const struct km_records *records);

#endif
