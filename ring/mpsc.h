/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/mpsc.h - bounded queue of handles, many producer threads and one consumer thread.
 *
 * Position p of the endless sequence lives in slot p mod slots. The slot's
 * seq says what may happen to it next:
 *
 *	seq == p		free for the producer that claims p
 *	seq == p + 1		filled, waits for the consumer
 *	seq == p + slots	read out, free for position p + slots
 *
 * A producer claims p by moving tail from p to p + 1 (I1: one winner a
 * position), fills the slot, then stores seq. Positions are 64 bits wide, so a
 * producer that slept between looking and claiming never meets its p again.
 *
 * Progress: the consumer is wait-free; producers are lock-free against each
 * other: a lost claim means that another one won it. Not promised: that a
 * handle is seen while one claimed before it is still being filled.
 * km_mpsc_push() refuses rather than waits.
 *
 * Source: Vyukov, "Bounded MPMC queue", 1024cores.net, 2010, with the consumer's
 * claim left out, as there is only one.
 */
#ifndef KM_RING_MPSC_H
#define KM_RING_MPSC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/base.h"

#define KM_MPSC_SLOTS_MIN 2u
#define KM_MPSC_SLOTS_MAX (1u << 20)

struct km_mpsc_slot {
	_Atomic uint64_t seq;
	uint64_t handle; /* Sync: seq */
};

struct km_mpsc {
	/* read-mostly: written by init only */
	alignas(KM_SHARE_BYTES) struct km_mpsc_slot *slots;
	uint64_t slot_mask; /* slots - 1 */

	/* all producers write */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t tail;

	/* consumer's own */
	alignas(KM_SHARE_BYTES) uint64_t head;
};
static_assert(offsetof(struct km_mpsc, tail) - offsetof(struct km_mpsc, slots) >= KM_SHARE_BYTES &&
		      offsetof(struct km_mpsc, head) - offsetof(struct km_mpsc, tail) >=
			      KM_SHARE_BYTES,
	      "the claims of the producers never disturb the consumer's index");

/**
 * km_mpsc_init() - an empty queue; every one of its slots is usable.
 * @q: the caller's, aligned to KM_SHARE_BYTES.
 * @slot_nr: a power of two, 2..2^20.
 *
 * Context: one thread, before producers and consumer start. Allocates.
 * Return: 0; -EINVAL for a bad size; -ENOMEM.
 */
int km_mpsc_init(struct km_mpsc *q, uint32_t slot_nr) KM_MUST_CHECK;

/**
 * km_mpsc_fini() - free the slots; handles still in them are forgotten.
 * @q: initialised, or all zero. No thread uses it any more.
 */
void km_mpsc_fini(struct km_mpsc *q);

/**
 * km_mpsc_push() - append @handle.
 * @handle: not 0.
 *
 * Handles of one producer stay in order; between producers the claim decides.
 *
 * Context: any thread. Progress: lock-free.
 * Return: false when the queue is full; nothing changed then.
 */
static inline bool km_mpsc_push(struct km_mpsc *q, uint64_t handle)
{
	/* relaxed: a guess, checked against the slot's seq and by the claim */
	uint64_t pos = atomic_load_explicit(&q->tail, memory_order_relaxed);
	struct km_mpsc_slot *slot;
	int64_t lag;

	for (;;) {
		slot = &q->slots[pos & q->slot_mask];
		/* MPSC_A2 pairs with MPSC_R2 in km_mpsc_pop(): read out, then filled again. */
		lag = (int64_t)(atomic_load_explicit(&slot->seq, KM_ORDER(MPSC_A2, acquire)) - pos);
		if (lag < 0)
			return false; /* still holds the handle of the lap before */
		/*
		 * relaxed: the claim carries nothing but the position. We retry
		 * only when another producer has claimed it: lock-free.
		 */
		if (lag == 0 && atomic_compare_exchange_weak_explicit(&q->tail, &pos, pos + 1,
								      memory_order_relaxed,
								      memory_order_relaxed))
			break;
		if (lag > 0) /* relaxed: as above */
			pos = atomic_load_explicit(&q->tail, memory_order_relaxed);
	}
	slot->handle = handle;
	/* MPSC_R1 pairs with MPSC_A1 in km_mpsc_pop(): payload and handle, then the seq. */
	atomic_store_explicit(&slot->seq, pos + 1, KM_ORDER(MPSC_R1, release));
	return true;
}

/**
 * km_mpsc_pop() - take the oldest handle.
 * Context: the consumer thread. Progress: wait-free.
 * Return: the handle; 0 when there is none, or the oldest is still being filled.
 */
static inline uint64_t km_mpsc_pop(struct km_mpsc *q)
{
	struct km_mpsc_slot *slot = &q->slots[q->head & q->slot_mask];
	uint64_t handle;

	/* MPSC_A1 pairs with MPSC_R1 in km_mpsc_push(): the seq, then handle and payload. */
	if (atomic_load_explicit(&slot->seq, KM_ORDER(MPSC_A1, acquire)) != q->head + 1)
		return 0;
	handle = slot->handle;
	/* MPSC_R2 pairs with MPSC_A2 in km_mpsc_push(): read out, then free. */
	atomic_store_explicit(&slot->seq, q->head + q->slot_mask + 1, KM_ORDER(MPSC_R2, release));
	q->head++;
	return handle;
}

/**
 * km_mpsc_is_empty() - whether a pop would return 0 now.
 * Context: the consumer thread; a "no" holds until it pops.
 */
static inline bool km_mpsc_is_empty(const struct km_mpsc *q)
{
	/* relaxed: a hint; the pop that follows a "no" loads again with MPSC_A1 */
	return atomic_load_explicit(&q->slots[q->head & q->slot_mask].seq, memory_order_relaxed) !=
	       q->head + 1;
}

#endif
