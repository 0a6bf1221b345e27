/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/spsc.h - bounded ring of handles, one producer thread and one consumer thread.
 *
 * A handle is 8 bytes and never 0: a slot that holds 0 is free, so that one
 * line carries both the news and the handle. The producer only stores into
 * slots and never looks at one; the consumer looks at its next slot only:
 *
 *	line:    | a b c d e f g h | i j k 0 0 0 0 0 | 0 0 0 0 0 0 0 0 |
 *	           ^ get                   ^ put
 *
 * The consumer clears a line when it has taken its last handle, and tells its
 * head every KM_SPSC_TELL handles (rings of less than four times that: every
 * line). The producer asks for the head when the room it knows of is used up:
 * once a lap, not once a push. It tells its tail as often: a hint that lines
 * are full, which lets the consumer fetch them ahead.
 *
 * I1: only the producer turns 0 into a handle, in slots before the told head's
 * lap end; I2: only the consumer clears, before it tells the head. So a slot
 * is cleared before it is filled again, and no handle is overwritten or lost.
 *
 * The price: what is not told yet counts as full. The ring has as many slots
 * more, so it takes at least what was asked for, and up to KM_SPSC_OVER more.
 *
 * A consumer that has caught up with a stream would take the line away for
 * each handle. After a run of KM_SPSC_RUN it waits for KM_SPSC_BACK pauses
 * (about 0.2 us) and looks again, before it says that the ring is empty.
 *
 * Orders: SPSC_R1 and SPSC_A1 carry the payload behind the handle. SPSC_R2 and
 * SPSC_A2 carry the cleared lines, and what the consumer did before it took the
 * last handle of them: pop n happens before push n + slots + KM_SPSC_OVER. So
 * payloads that are used before the next pop may lie in a ring of that many and
 * one more; others go back by a ring of their own.
 *
 * Documentation/rings.md has the argument, Documentation/litmus/spsc.pml a model.
 * Source: a free slot holds 0: Giacomoni, Moseley, Vachharajani, "FastForward for
 * Efficient Pipeline Parallelism", PPoPP 2008; batches and keeping away from the
 * producer: Wang, Zhang, Tang, Hua, "B-Queue", IJPP 2013.
 */
#ifndef KM_RING_SPSC_H
#define KM_RING_SPSC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/base.h"

#define KM_SPSC_SLOTS_MIN 2u
#define KM_SPSC_SLOTS_MAX (1u << 20)
#define KM_SPSC_LINE 8u /* handles */
#define KM_SPSC_TELL 64u /* handles between two tellings */
#define KM_SPSC_OVER (KM_SPSC_TELL + KM_SPSC_LINE) /* handles that may fit beyond the slots */
#define KM_SPSC_AHEAD (4 * KM_SPSC_LINE) /* handles that the consumer fetches ahead */
#define KM_SPSC_RUN 8u
#define KM_SPSC_BACK 8u

struct km_spsc {
	/* producer's own */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t *put; /* the next slot to fill */
	_Atomic uint64_t *put_stop; /* end of the room known of; equal to put: none */
	_Atomic uint64_t *slots, *put_end; /* never change */
	uint32_t put_lap; /* position of the first slot in this lap; free-running */
	uint32_t put_tell; /* tells when the position has none of these bits */

	/* producer stores: handles filled, all lines up to it complete */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t tail;

	/* consumer's own */
	alignas(KM_SHARE_BYTES) _Atomic uint64_t *get; /* the next slot to look at */
	_Atomic uint64_t *get_empty; /* get when the ring was last found empty */
	_Atomic uint64_t *get_base, *get_end; /* never change */
	uint32_t get_lap, get_tell;
	uint32_t tail_seen;

	/* consumer stores: handles taken, all lines up to it cleared */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t head;
};
static_assert(offsetof(struct km_spsc, tail) - offsetof(struct km_spsc, put) >= KM_SHARE_BYTES &&
		      offsetof(struct km_spsc, get) - offsetof(struct km_spsc, tail) >=
			      KM_SHARE_BYTES &&
		      offsetof(struct km_spsc, head) - offsetof(struct km_spsc, get) >=
			      KM_SHARE_BYTES,
	      "the two sides never share a prefetched pair of lines");

/**
 * km_spsc_init() - an empty ring.
 * @r: the caller's, aligned to KM_SHARE_BYTES.
 * @slot_nr: a power of two, 2..2^20: so many handles always fit, up to
 *	KM_SPSC_OVER more may.
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
 * km_spsc_look() - learn anew how much room there is.
 * Context: the producer thread. Progress: wait-free.
 * Return: handles that fit now for sure; 0 when the ring is full.
 */
uint32_t km_spsc_look(struct km_spsc *r);

/**
 * km_spsc_stand_back() - what km_spsc_pop() does about an empty slot after others were full.
 * Context: km_spsc_pop() and km_spsc_pop_some() only. Progress: wait-free, at most about 0.2 us.
 * Return: what the slot holds at last; 0 when it is still empty.
 */
uint64_t km_spsc_stand_back(struct km_spsc *r);

static inline bool km_spsc_is_line_start(const _Atomic uint64_t *slot)
{
	return ((uintptr_t)slot & (KM_SPSC_LINE * sizeof(*slot) - 1)) == 0;
}

/* ---- producer ---- */

static inline void km_spsc_fill(_Atomic uint64_t *slot, uint64_t handle)
{
	/* SPSC_R1 pairs with SPSC_A1 in km_spsc_read(): the payload, then its handle. */
	atomic_store_explicit(slot, handle, KM_ORDER(SPSC_R1, release));
}

/* The put slot has moved behind a line. */
static inline void km_spsc_put_line(struct km_spsc *r)
{
	uint32_t tail;

	if (r->put == r->put_end) {
		r->put_lap += (uint32_t)(r->put_end - r->slots);
		r->put = r->slots;
	}
	tail = r->put_lap + (uint32_t)(r->put - r->slots);
	if ((tail & r->put_tell) == 0)
		/* relaxed: a hint; the handles have their own order */
		atomic_store_explicit(&r->tail, tail, memory_order_relaxed);
}

/**
 * km_spsc_push() - append @handle.
 * @handle: not 0.
 *
 * Context: the producer thread. Progress: wait-free.
 * Return: false when the ring is full; nothing changed then.
 */
static inline bool km_spsc_push(struct km_spsc *r, uint64_t handle)
{
	_Atomic uint64_t *slot = r->put;

	if (km_unlikely(slot == r->put_stop) && !km_spsc_look(r))
		return false;
	km_spsc_fill(slot, handle);
	r->put = slot + 1;
	if (km_spsc_is_line_start(slot + 1))
		km_spsc_put_line(r);
	return true;
}

/**
 * km_spsc_room() - how many of @want handles fit now for sure.
 * Context: the producer thread; holds until it pushes. Progress: wait-free.
 * Return: 0..@want; fewer than @want only when no more fit.
 */
static inline uint32_t km_spsc_room(struct km_spsc *r, uint32_t want)
{
	ptrdiff_t room = r->put_stop - r->put;

	if (room < 0)
		room += r->put_end - r->slots;
	if (room < (ptrdiff_t)want)
		room = km_spsc_look(r);
	return room < (ptrdiff_t)want ? (uint32_t)room : want;
}

/**
 * km_spsc_push_some() - append as many of @handle[0..nr) as fit, in their order.
 * @handle: none is 0.
 *
 * Context: the producer thread. Progress: wait-free, O(@nr).
 * Return: how many were appended, the first ones.
 */
static inline uint32_t km_spsc_push_some(struct km_spsc *r, const uint64_t *handle, uint32_t nr)
{
	const uint32_t fit = km_spsc_room(r, nr);
	_Atomic uint64_t *slot = r->put;
	uint32_t i;

	for (i = 0; i < fit; i++) {
		km_spsc_fill(slot++, handle[i]);
		if (km_spsc_is_line_start(slot)) {
			r->put = slot;
			km_spsc_put_line(r);
			slot = r->put;
		}
	}
	r->put = slot;
	return fit;
}

/**
 * km_spsc_is_full() - whether a push would be refused now.
 * Context: the producer thread; a "no" holds until it pushes.
 */
static inline bool km_spsc_is_full(struct km_spsc *r)
{
	return r->put == r->put_stop && !km_spsc_look(r);
}

/* ---- consumer ---- */

static inline uint64_t km_spsc_read(const _Atomic uint64_t *slot)
{
	/* SPSC_A1 pairs with SPSC_R1 in km_spsc_fill(): the handle, then the payload. */
	return atomic_load_explicit(slot, KM_ORDER(SPSC_A1, acquire));
}

/* The get slot has moved behind a line: all its handles were taken. */
static inline void km_spsc_get_line(struct km_spsc *r)
{
	_Atomic uint64_t *ahead;
	uint32_t head;

	/*
	 * Plain stores: the producer is done with these slots until it sees the
	 * head that is told below, and we read them again only after it filled them.
	 */
	memset((void *)(r->get - KM_SPSC_LINE), 0, KM_SPSC_LINE * sizeof(*r->get));
	if (r->get == r->get_end) {
		r->get_lap += (uint32_t)(r->get_end - r->get_base);
		r->get = r->get_base;
	}
	head = r->get_lap + (uint32_t)(r->get - r->get_base);
	if ((head & r->get_tell) == 0) {
		/* SPSC_R2 pairs with SPSC_A2 in km_spsc_look(): the line is cleared, then told. */
		atomic_store_explicit(&r->head, head, KM_ORDER(SPSC_R2, release));
		/* relaxed: decides what is fetched ahead, nothing else */
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_relaxed);
	}
	/* Only lines that are complete: to fetch one that is being filled would hold up both. */
	if ((int32_t)(r->tail_seen - head) > (int32_t)KM_SPSC_AHEAD) {
		ahead = r->get + KM_SPSC_AHEAD;
		__builtin_prefetch(
			(void *)(ahead < r->get_end ? ahead : ahead - (r->get_end - r->get_base)));
	}
}

/**
 * km_spsc_pop() - take the oldest handle.
 * Context: the consumer thread. Progress: wait-free.
 * Return: the handle, 0 when the ring is empty.
 */
static inline uint64_t km_spsc_pop(struct km_spsc *r)
{
	_Atomic uint64_t *slot = r->get;
	uint64_t handle = km_spsc_read(slot);

	if (km_unlikely(!handle) && (slot == r->get_empty || !(handle = km_spsc_stand_back(r))))
		return 0;
	r->get = slot + 1;
	if (km_spsc_is_line_start(slot + 1))
		km_spsc_get_line(r);
	return handle;
}

/**
 * km_spsc_pop_some() - take up to @max of the oldest handles, in their order.
 * @handle: takes @max of them.
 *
 * Context: the consumer thread. Progress: wait-free, O(@max).
 * Return: how many were taken, 0 only when the ring is empty (or @max is 0).
 */
static inline uint32_t km_spsc_pop_some(struct km_spsc *r, uint64_t *handle, uint32_t max)
{
	_Atomic uint64_t *slot = r->get;
	uint32_t nr;

	if (max == 0 || (!km_spsc_read(slot) && (slot == r->get_empty || !km_spsc_stand_back(r))))
		return 0;
	for (nr = 0; nr < max && (handle[nr] = km_spsc_read(slot)); nr++) {
		if (km_spsc_is_line_start(++slot)) {
			r->get = slot;
			km_spsc_get_line(r);
			slot = r->get;
		}
	}
	r->get = slot;
	return nr;
}

/**
 * km_spsc_is_empty() - whether a pop would find nothing now.
 * Context: the consumer thread; a "no" holds until it pops.
 */
static inline bool km_spsc_is_empty(const struct km_spsc *r)
{
	/* relaxed: a hint; the pop that follows a "no" loads again with SPSC_A1 */
	return atomic_load_explicit(r->get, memory_order_relaxed) == 0;
}

#endif
