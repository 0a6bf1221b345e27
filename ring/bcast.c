/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/bcast.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snap.h"

/* Table of a log that keeps everything, at first; it doubles. */
#define KEEP_ALL_SEGS_MIN 16u
#define KEEP_ALL_SEGS_MAX (UINT64_C(1) << 31)

/* Immutable once the head is past its last entry; until then see I1. */
struct seg {
	struct km_snap_head head;
	uint64_t idx; /* holds revisions idx * KM_BCAST_SEG_NR + 1 and on */
	struct seg *next; /* in the writer's spares, before it is published */
	unsigned char entries[];
};

/* Segment s hangs in s mod seg_nr. Replaced only when it must grow. */
struct table {
	struct km_snap_head head;
	uint64_t seg_nr; /* a power of two */
	struct km_snap seg[];
};

struct km_bcast {
	/* read-mostly; the table pointer changes only to grow */
	alignas(KM_SHARE_BYTES) struct km_snap table;
	uint32_t entry_bytes;
	bool keep_all;

	/* writer stores, readers load (BCAST_A1) */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t head;

	/* writer's own */
	alignas(KM_SHARE_BYTES) struct seg *current;
	struct seg *spares;
	uint64_t spare_nr;
};
static_assert(offsetof(struct km_bcast, head) - offsetof(struct km_bcast, table) >=
			      KM_SHARE_BYTES &&
		      offsetof(struct km_bcast, current) - offsetof(struct km_bcast, head) >=
			      KM_SHARE_BYTES,
	      "a reader that polls the head does not disturb the writer's own");

/* The writer's view of its own table. */
static struct table *own_table(struct km_bcast *b)
{
	/* relaxed: only the writer stores it, and writers follow each other under a lock */
	return atomic_load_explicit(&b->table.current, memory_order_relaxed);
}

/* How many segments the revisions 1..@rev take. */
static uint64_t segs_of(uint64_t rev)
{
	return KM_DIV_UP(rev, KM_BCAST_SEG_NR);
}

static struct table *table_new(uint64_t seg_nr)
{
	struct table *table = calloc(1, sizeof(*table) + seg_nr * sizeof(table->seg[0]));

	if (table)
		table->seg_nr = seg_nr;
	return table;
}

static void table_free(struct km_snap_head *head)
{
	free(km_container_of(head, struct table, head));
}

static void seg_free(struct km_snap_head *head)
{
	free(km_container_of(head, struct seg, head));
}

/* Room for @seg_nr segments in the table of a log that keeps all of them. */
static int table_grow(struct km_bcast *b, uint64_t seg_nr)
{
	struct table *old = own_table(b), *table;
	uint64_t i;

	if (seg_nr <= old->seg_nr)
		return 0;
	if (seg_nr > KEEP_ALL_SEGS_MAX)
		return -ENOMEM;
	table = table_new(km_pow2_up(seg_nr));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < old->seg_nr; i++) /* relaxed: as in own_table() */
		km_snap_publish(&table->seg[i],
				atomic_load_explicit(&old->seg[i].current, memory_order_relaxed));
	km_snap_publish(&b->table, table);
	km_snap_retire(&old->head, table_free);
	return 0;
}

/* Have @nr segments at hand, and a place in the table for each. */
static int segs_reserve(struct km_bcast *b, uint64_t nr)
{
	/* relaxed: as in own_table() */
	uint64_t used = segs_of(atomic_load_explicit(&b->head, memory_order_relaxed));
	struct seg *seg;

	while (b->spare_nr < nr) {
		seg = malloc(sizeof(*seg) + (size_t)KM_BCAST_SEG_NR * b->entry_bytes);
		if (!seg)
			return -ENOMEM;
		seg->next = b->spares;
		b->spares = seg;
		b->spare_nr++;
	}
	return b->keep_all ? table_grow(b, used + nr) : 0;
}

/* Hang segment @idx into the table; what was there goes. */
static int seg_open(struct km_bcast *b, uint64_t idx)
{
	struct table *table;
	struct seg *seg, *last;
	int err = segs_reserve(b, 1);

	if (err)
		return err;
	seg = b->spares;
	b->spares = seg->next;
	b->spare_nr--;
	seg->idx = idx;
	table = own_table(b);
	last = km_snap_publish(&table->seg[idx & (table->seg_nr - 1)], seg);
	if (last)
		km_snap_retire(&last->head, seg_free);
	b->current = seg;
	return 0;
}

int km_bcast_append(struct km_bcast *b, const void *entry, uint64_t *rev)
{
	/* relaxed: as in own_table() */
	uint64_t at = atomic_load_explicit(&b->head, memory_order_relaxed);
	uint64_t in_seg = at % KM_BCAST_SEG_NR;
	int err;

	if (in_seg == 0) {
		err = seg_open(b, at / KM_BCAST_SEG_NR);
		if (err)
			return err;
	}
	memcpy(b->current->entries + in_seg * b->entry_bytes, entry, b->entry_bytes);
	/* BCAST_R1 pairs with BCAST_A1 in head_acquire(): the entry and the table, then the head. */
	atomic_store_explicit(&b->head, at + 1, KM_ORDER(BCAST_R1, release));
	if (rev)
		*rev = at + 1;
	return 0;
}

int km_bcast_reserve(struct km_bcast *b, uint32_t n)
{
	/* relaxed: as in own_table() */
	uint64_t at = atomic_load_explicit(&b->head, memory_order_relaxed);

	if (n > KM_BCAST_RESERVE_MAX)
		return -EINVAL;
	return segs_reserve(b, segs_of(at + n) - segs_of(at));
}

static uint64_t head_acquire(const struct km_bcast *b)
{
	/* BCAST_A1 pairs with BCAST_R1 in km_bcast_append(): the head, then entries and table. */
	return atomic_load_explicit(&b->head, KM_ORDER(BCAST_A1, acquire));
}

uint64_t km_bcast_head(const struct km_bcast *b)
{
	return head_acquire(b);
}

uint64_t km_bcast_oldest(const struct km_bcast *b, uint64_t head)
{
	const struct table *table = km_snap_read(&b->table);
	/* the next append may be under way, and with it the next segment */
	uint64_t used = segs_of(head + 1);

	if (b->keep_all || used <= table->seg_nr)
		return 1;
	return (used - table->seg_nr) * KM_BCAST_SEG_NR + 1;
}

/* Entries from @rev on that lie in one segment, at most @max; 0 = it is gone. */
static uint32_t copy_from_seg(const struct km_bcast *b, const struct table *table, uint64_t rev,
			      uint64_t max, unsigned char *out)
{
	uint64_t idx = (rev - 1) / KM_BCAST_SEG_NR, in_seg = (rev - 1) % KM_BCAST_SEG_NR;
	const struct seg *seg = km_snap_read(&table->seg[idx & (table->seg_nr - 1)]);
	uint64_t nr = km_min_u64(max, KM_BCAST_SEG_NR - in_seg);

	if (seg->idx != idx)
		return 0;
	memcpy(out, seg->entries + in_seg * b->entry_bytes, nr * b->entry_bytes);
	return (uint32_t)nr;
}

enum km_bcast_result km_bcast_read_some(const struct km_bcast *b, uint64_t from_rev, void *out,
					uint32_t max, uint32_t *nr)
{
	uint64_t head = head_acquire(b), rev = from_rev ? from_rev : 1;
	const struct table *table = km_snap_read(&b->table);
	uint32_t copied;

	*nr = 0;
	while (*nr < max && rev <= head) {
		copied = copy_from_seg(b, table, rev, km_min_u64(max - *nr, head - rev + 1),
				       (unsigned char *)out + (size_t)*nr * b->entry_bytes);
		if (!copied)
			return *nr ? KM_BCAST_OK : KM_BCAST_OVERRUN;
		*nr += copied;
		rev += copied;
	}
	return KM_BCAST_OK;
}

int km_bcast_create(struct km_bcast **out, uint32_t entry_bytes, uint32_t seg_nr)
{
	struct table *table;
	struct km_bcast *b;

	if (entry_bytes == 0 || entry_bytes > KM_BCAST_ENTRY_BYTES_MAX ||
	    seg_nr > KM_BCAST_SEGS_MAX || (seg_nr & (seg_nr - 1)))
		return -EINVAL;
	b = aligned_alloc(KM_SHARE_BYTES, sizeof(*b));
	if (!b)
		return -ENOMEM;
	table = table_new(seg_nr ? seg_nr : KEEP_ALL_SEGS_MIN);
	if (!table) {
		free(b);
		return -ENOMEM;
	}
	memset(b, 0, sizeof(*b));
	b->entry_bytes = entry_bytes;
	b->keep_all = seg_nr == 0;
	km_snap_publish(&b->table, table);
	*out = b;
	return 0;
}

void km_bcast_destroy(struct km_bcast *b)
{
	struct table *table;
	struct seg *seg;
	uint64_t i;

	if (!b)
		return;
	table = own_table(b);
	for (i = 0; i < table->seg_nr; i++) /* relaxed: no other thread is left */
		free(atomic_load_explicit(&table->seg[i].current, memory_order_relaxed));
	while ((seg = b->spares)) {
		b->spares = seg->next;
		free(seg);
	}
	free(table);
	free(b);
}
