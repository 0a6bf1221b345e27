/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/spsc.h - bounded ring of handles, one producer thread and one consumer thread.
 *
 * A handle is 8 bytes and never 0: a slot that holds 0 is free. Each side
 * keeps its own index and looks at its own next slot only, so the only line
 * that travels is the one that carries the handles, and both ends are
 * wait-free. Indices run free and wrap at 2^32; they are only masked.
 *
 * Invariants, by slot: only the producer turns 0 into a handle (I1), only the
 * consumer turns a handle into 0 (I2). So neither side can overwrite what the
 * other has not yet seen, whatever the order of other accesses.
 *
 * Orders: SPSC_R1 and SPSC_A1 carry the payload behind the handle. There is
 * no order the other way: a free slot does not say that the consumer is done
 * with the payload, so payloads go back by a ring of their own.
 *
 * Source: Giacomoni, Moseley, Vachharajani, "FastForward for Efficient
 * Pipeline Parallelism", PPoPP 2008.
 */
#ifndef KM_RING_SPSC_H
#define KM_RING_SPSC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/base.h"

#define KM_SPSC_SLOTS_MIN 2u
#define KM_SPSC_SLOTS_MAX (1u << 20)

struct km_spsc {
	/* read-mostly: written by init only */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t *slots; /* 0 = free; both sides write */
	uint32_t slot_mask; /* slots - 1 */

	/* producer's own */
	alignas(KM_SHARE_BYTES) uint32_t tail;

	/* consumer's own */
	alignas(KM_SHARE_BYTES) uint32_t head;
};
static_assert(offsetof(struct km_spsc, tail) - offsetof(struct km_spsc, slots) >= KM_SHARE_BYTES &&
		      offsetof(struct km_spsc, head) - offsetof(struct km_spsc, tail) >=
			      KM_SHARE_BYTES,
	      "the two sides never share a prefetched pair of lines");

/**
 * km_spsc_init() - an empty ring; every one of its slots is usable.
 * @r: the caller's, aligned to KM_SHARE_BYTES.
 * @slot_nr: a power of two, 2..2^20.
 *
 * Context: one thread, before the two ends start. Allocates.
 * Return: 0; -EINVAL for a bad size; -ENOMEM.
 */
int km_spsc_init(struct km_spsc *r, uint32_t slot_nr) KM_MUST_CHECK;

/**
 * km_spsc_fini() - free the slots; handles still in them are forgotten.
 * @r: initialised, or all zero. No thread uses it any more.
 */
void km_spsc_fini(struct km_spsc *r);

/**
 * km_spsc_push() - append @handle.
 * @handle: not 0.
 *
 * Context: the producer thread. Progress: wait-free.
 * Return: false when the ring is full; nothing changed then.
 */
static inline bool km_spsc_push(struct km_spsc *r, uint64_t handle)
{
	_Atomic uint64_t *slot = &r->slots[r->tail & r->slot_mask];

	/* relaxed: the slot's own value is all we ask for, and by I1 only we fill it */
	if (km_unlikely(atomic_load_explicit(slot, memory_order_relaxed) != 0))
		return false;
	/* SPSC_R1 pairs with SPSC_A1 in km_spsc_pop(): the payload, then its handle. */
	atomic_store_explicit(slot, handle, KM_ORDER(SPSC_R1, release));
	r->tail++;
	return true;
}

/**
 * km_spsc_is_full() - whether a push would be refused now.
 * Context: the producer thread; a "no" holds until it pushes.
 */
static inline bool km_spsc_is_full(const struct km_spsc *r)
{
	/* relaxed: as in km_spsc_push() */
	return atomic_load_explicit(&r->slots[r->tail & r->slot_mask], memory_order_relaxed) != 0;
}

/**
 * km_spsc_pop() - take the oldest handle.
 * Context: the consumer thread. Progress: wait-free.
 * Return: the handle, 0 when the ring is empty.
 */
static inline uint64_t km_spsc_pop(struct km_spsc *r)
{
	_Atomic uint64_t *slot = &r->slots[r->head & r->slot_mask];
	/* SPSC_A1 pairs with SPSC_R1 in km_spsc_push(): the handle, then the payload. */
	uint64_t handle = atomic_load_explicit(slot, KM_ORDER(SPSC_A1, acquire));

	if (!handle)
		return 0;
	/* relaxed: says only that the slot is free (I2); nothing else goes with it */
	atomic_store_explicit(slot, 0, memory_order_relaxed);
	r->head++;
	return handle;
}

/**
 * km_spsc_is_empty() - whether a pop would find nothing now.
 * Context: the consumer thread; a "no" holds until it pops.
 */
static inline bool km_spsc_is_empty(const struct km_spsc *r)
{
	/* relaxed: a hint; the pop that follows a "no" loads again with SPSC_A1 */
	return atomic_load_explicit(&r->slots[r->head & r->slot_mask], memory_order_relaxed) == 0;
}

#endif
