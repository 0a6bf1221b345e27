/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/bcast.h - broadcast log: one writer at a time appends, any thread reads.
 *
 * Entries have a fixed size and get revisions 1, 2, 3, ... They live in
 * segments of KM_BCAST_SEG_NR entries that hang in a table:
 *
 *	table:    | seg 4 | seg 5 | seg 2 | seg 3 |     seg_nr = 4: seg s in s mod 4
 *	                    ^ head is here; revisions of segs 0 and 1 are gone
 *
 * An entry is plain memory, written once, before the head moves over it (I1).
 * A segment is never reused: the writer publishes its successor in its place
 * and retires it through lib/snap.h, so a reader that fell behind finds
 * another segment there (OVERRUN) and never races with the writer (I2).
 * Readers never hold up the writer.
 *
 * Orders: BCAST_R1 and BCAST_A1 carry the entries and the table up to the
 * head; the segments themselves are published through SNAP_R1.
 */
#ifndef KM_RING_BCAST_H
#define KM_RING_BCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/base.h"

/* Long enough that a segment's publication is spread thin over its appends. */
#define KM_BCAST_SEG_NR 1024u
#define KM_BCAST_ENTRY_BYTES_MAX 65536u
#define KM_BCAST_SEGS_MAX (1u << 20)
/* Most appends that one km_bcast_reserve() may ask for. */
#define KM_BCAST_RESERVE_MAX (1u << 20)

struct km_bcast;

enum km_bcast_result {
	KM_BCAST_OK, /* possibly 0 entries: nothing newer yet */
	KM_BCAST_OVERRUN, /* the first one asked for is no longer kept */
};

/**
 * km_bcast_create() - an empty log.
 * @out: set on success only; release with km_bcast_destroy().
 * @entry_bytes: 1..KM_BCAST_ENTRY_BYTES_MAX.
 * @seg_nr: how many segments are kept, a power of two up to KM_BCAST_SEGS_MAX, so
 *	at least the last (seg_nr - 1) * KM_BCAST_SEG_NR entries; 0 = all of them, for ever.
 *
 * Context: any thread. Allocates.
 * Return: 0; -EINVAL for a bad size; -ENOMEM.
 */
int km_bcast_create(struct km_bcast **out, uint32_t entry_bytes, uint32_t seg_nr) KM_MUST_CHECK;

/**
 * km_bcast_destroy() - free the log and what it keeps.
 * @b: NULL is allowed. No thread reads or writes it any more.
 */
void km_bcast_destroy(struct km_bcast *b);

/**
 * km_bcast_append() - make @entry the newest one.
 * @entry: entry_bytes of it are copied.
 * @rev: set to its revision on success; NULL is allowed.
 *
 * Context: one thread at a time (the caller's lock says which), a started
 * thread of lib/snap.h. Allocates once in KM_BCAST_SEG_NR appends, unless reserved.
 * Return: 0; -ENOMEM, nothing changed then.
 */
int km_bcast_append(struct km_bcast *b, const void *entry, uint64_t *rev) KM_MUST_CHECK;

/**
 * km_bcast_reserve() - allocate now what the next @n appends need.
 * @n: 0..KM_BCAST_RESERVE_MAX; the appends that follow cannot fail, up to @n of
 *	them. Not summed over calls: a second call counts from the head again.
 *
 * Context: as km_bcast_append(), under the same lock as those appends.
 * Return: 0; -EINVAL for a bad @n; -ENOMEM: what the log holds is unchanged.
 */
int km_bcast_reserve(struct km_bcast *b, uint32_t n) KM_MUST_CHECK;

/**
 * km_bcast_head() - the newest revision, 0 when nothing was appended.
 * Context: any thread. Progress: wait-free. May be old when it returns.
 */
uint64_t km_bcast_head(const struct km_bcast *b);

/**
 * km_bcast_oldest() - the oldest revision that is still kept for sure.
 * @head: from km_bcast_head(); as it grows, less is kept.
 *
 * Beyond the revision for which km_bcast_read_some() last said OVERRUN, when
 * @head was read after it. Context: as km_bcast_read_some().
 * Return: 1..@head + 1; 1 when everything is kept.
 */
uint64_t km_bcast_oldest(const struct km_bcast *b, uint64_t head);

/**
 * km_bcast_read_some() - copy entries in order of their revisions.
 * @from_rev: the first one wanted; 0 means 1. Beyond the head: nothing is copied.
 * @out: takes @max entries.
 * @nr: set to how many were copied, 0 with OVERRUN.
 *
 * Context: a started thread of lib/snap.h inside a section. Progress:
 * wait-free, O(@max).
 * Return: OVERRUN when @from_rev is no longer kept; the reader starts over
 * from a full state. OK may come with fewer than @max before the head, when
 * the writer overtook the reader midway; the next call says so.
 */
enum km_bcast_result km_bcast_read_some(const struct km_bcast *b, uint64_t from_rev, void *out,
					uint32_t max, uint32_t *nr);

#endif
