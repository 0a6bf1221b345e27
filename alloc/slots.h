/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc/slots.h - recycled cache slots of a few size classes out of one arena.
 *
 * A slot that comes back is kept for the next of its class; memory of another
 * class is given back to the arena (which keeps its pages) only when the limit
 * asks for it. Once every class has seen its peak, take() and give() fault no page.
 * One thread, the owner, calls everything here.
 */
#ifndef KM_ALLOC_SLOTS_H
#define KM_ALLOC_SLOTS_H

#include "alloc/arena.h"

/* Choosing what to return walks the classes. */
#define KM_SLOTS_CLASS_NR_MAX 4096

struct km_slots;

struct km_slots_stats {
	uint64_t bytes; /* of slots taken and kept, as the arena rounds them */
	uint64_t taken_bytes; /* of slots taken */
	uint64_t fresh, recycled,
		returned; /* takes from the arena, from the pool; frees to the arena */
	uint64_t refused;
};

/**
 * km_slots_create() - a pool over @arena.
 * @out: set on success only; release with km_slots_destroy(), before @arena.
 * @class_nr: 1..KM_SLOTS_CLASS_NR_MAX.
 * @class_bytes: [class_nr], each at least 1.
 * @bytes_max: hard limit on stats.bytes.
 * @prefault: back a fresh slot's pages in one go (MADV_POPULATE_WRITE) before use.
 * Return: 0; -EINVAL; -ENOMEM.
 */
int km_slots_create(struct km_slots **out, struct km_arena *arena, uint32_t class_nr,
		    const uint64_t *class_bytes, uint64_t bytes_max, bool prefault) KM_MUST_CHECK;

/** km_slots_destroy() - all slots must have been given back. NULL is allowed. */
void km_slots_destroy(struct km_slots *slots);

/**
 * km_slots_take() - a slot of @class_idx, contents undefined, aligned to 64 bytes
 * (2 MiB for classes of at least 2 MiB).
 *
 * A kept slot costs two cache lines. A fresh one asks the arena, and when the
 * limit or the arena's is reached, first returns kept slots, from the class
 * with the most idle memory on.
 *
 * Return: NULL when the limit, the arena's limit or the memory is reached.
 */
void *km_slots_take(struct km_slots *slots, uint32_t class_idx);

/**
 * km_slots_give() - keep @slot for the next of its class.
 * @class_idx: the one it was taken with.
 * Its first bytes are overwritten.
 */
void km_slots_give(struct km_slots *slots, uint32_t class_idx, void *slot);

/** km_slots_round() - what a slot of @bytes counts against a limit; 0 when there can be none. */
uint64_t km_slots_round(uint64_t bytes);

/** km_slots_class_bytes() - what one slot of the class counts against the limit. */
uint64_t km_slots_class_bytes(const struct km_slots *slots, uint32_t class_idx);

/** km_slots_stats() - Return: valid until destroy, changed by take and give. */
const struct km_slots_stats *km_slots_stats(const struct km_slots *slots);

#endif
