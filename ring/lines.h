/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/lines.h - bounded ring of 64-byte messages, one producer thread and one consumer thread.
 *
 * The protocol of ring/spsc.h with one message a line: the first word of a
 * message is never 0 and is stored last, so that the line that carries the
 * message also says that it is there. A message takes one transfer of a line
 * where a handle and what it points to take two.
 *
 * The producer never looks at a slot; the consumer clears a slot's first word
 * when it has copied the message, and tells its head every KM_LINES_TELL
 * messages (small rings: a quarter of theirs, at least 16). The producer tells its
 * tail as often, a hint for the consumer to fetch complete lines ahead. What is not
 * told counts as full: at least as many messages fit as were asked for, up to
 * KM_LINES_OVER more.
 *
 * A consumer that is faster than the producer is always at its heels and takes the line
 * that is being filled. One that empties the ring after a run of messages stands back, for
 * twice as long each time the run was worth it: as many messages as it waited pauses.
 *
 * I1: only the producer turns a first word into one that is not 0, within the
 * told head's lap; I2: only the consumer turns it into 0, before it tells.
 *
 * Orders: LINES_R1 and LINES_A1 carry the message; LINES_R2 and LINES_A2 carry that
 * the slot was copied and cleared before it is written again. Documentation/litmus/lines.pml
 * is a model.
 */
#ifndef KM_RING_LINES_H
#define KM_RING_LINES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/base.h"

#define KM_LINES_SLOTS_MIN 2u
#define KM_LINES_SLOTS_MAX (1u << 20)
#define KM_LINES_TELL 256u
#define KM_LINES_TELL_MIN 16u
#define KM_LINES_OVER KM_LINES_TELL
#define KM_LINES_AHEAD 16u /* lines that the consumer fetches ahead */
/* Pauses of standing back, the first time and at most; also the run that is worth it. */
#define KM_LINES_BACK 8u
#define KM_LINES_BACK_MAX 64u

/* A message; word[0] is not 0. */
struct km_line {
	alignas(64) uint64_t word[8];
};

struct km_lines_slot {
	alignas(64) _Atomic uint64_t first; /* 0 = free */
	uint64_t rest[7]; /* Sync: first, head */
};

struct km_lines {
	/* producer's own */
	alignas(KM_SHARE_BYTES) struct km_lines_slot *put;
	struct km_lines_slot *put_stop; /* end of the room known of; equal to put: none */
	struct km_lines_slot *slots, *put_end; /* never change */
	uint32_t put_lap, put_tell; /* as in struct km_spsc */

	/* producer stores */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t tail;

	/* consumer's own */
	alignas(KM_SHARE_BYTES) struct km_lines_slot *get;
	struct km_lines_slot *get_empty; /* get when the ring was last found empty */
	struct km_lines_slot *get_base, *get_end; /* never change */
	uint32_t get_lap, get_tell;
	int32_t get_known; /* messages from get to the tail last seen; below 0 when behind that */
	uint32_t get_back; /* pauses to stand back next time */

	/* consumer stores */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t head;
};
static_assert(offsetof(struct km_lines, tail) - offsetof(struct km_lines, put) >= KM_SHARE_BYTES &&
		      offsetof(struct km_lines, get) - offsetof(struct km_lines, tail) >=
			      KM_SHARE_BYTES &&
		      offsetof(struct km_lines, head) - offsetof(struct km_lines, get) >=
			      KM_SHARE_BYTES,
	      "the two sides never share a prefetched pair of lines");

/**
 * km_lines_init() - an empty ring.
 * @r: the caller's, aligned to KM_SHARE_BYTES.
 * @slot_nr: a power of two, 2..2^20: so many messages always fit, up to
 *	KM_LINES_OVER more may.
 *
 * Context: one thread, before the two ends start. Allocates.
 * Return: 0; -EINVAL for a bad size; -ENOMEM.
 */
int km_lines_init(struct km_lines *r, uint32_t slot_nr) KM_MUST_CHECK;

/**
 * km_lines_fini() - free the slots; messages still in them are forgotten.
 * @r: initialised, or all zero. No thread uses it any more.
 */
void km_lines_fini(struct km_lines *r);

/**
 * km_lines_look() - learn anew how much room there is.
 * Context: the producer thread. Progress: wait-free.
 * Return: messages that fit now for sure; 0 when the ring is full.
 */
uint32_t km_lines_look(struct km_lines *r);

/**
 * km_lines_stand_back() - what km_lines_peek() does about an empty slot after others were full.
 * Context: km_lines_peek() only. Progress: wait-free, at most KM_LINES_BACK_MAX pauses (1.6 us).
 * Return: what the first word is at last.
 */
uint64_t km_lines_stand_back(struct km_lines *r);

/**
 * km_lines_tell_tail() - the part of km_lines_commit() that is due every so many messages, and
 * at the end of the slots.
 * Context: km_lines_commit() only. Progress: wait-free.
 */
void km_lines_tell_tail(struct km_lines *r);

/**
 * km_lines_tell_head() - the same for km_lines_done().
 * Context: km_lines_done() only. Progress: wait-free.
 */
void km_lines_tell_head(struct km_lines *r);

/**
 * km_lines_begin() - where the next message is to be written.
 * Context: the producer thread. Progress: wait-free.
 * Return: its last seven words, to be filled in any order before km_lines_commit();
 *	NULL when the ring is full.
 */
static inline uint64_t *km_lines_begin(struct km_lines *r)
{
	return km_unlikely(r->put == r->put_stop) && !km_lines_look(r) ? NULL : r->put->rest;
}

/**
 * km_lines_commit() - append the message that was begun.
 * @first: its first word, not 0.
 *
 * Context: the producer thread, after km_lines_begin(). Progress: wait-free.
 */
static inline void km_lines_commit(struct km_lines *r, uint64_t first)
{
	struct km_lines_slot *slot = r->put;

	/* LINES_R1 pairs with LINES_A1 in km_lines_first(): the rest, then the first word. */
	atomic_store_explicit(&slot->first, first, KM_ORDER(LINES_R1, release));
	r->put = ++slot;
	if (km_unlikely(((slot - r->slots) & r->put_tell) == 0))
		km_lines_tell_tail(r);
}

/**
 * km_lines_push() - append a copy of @msg.
 * @msg: its first word is not 0.
 *
 * Context: the producer thread. Progress: wait-free.
 * Return: false when the ring is full; nothing changed then.
 */
static inline bool km_lines_push(struct km_lines *r, const struct km_line *msg)
{
	uint64_t *rest = km_lines_begin(r);

	if (!rest)
		return false;
	memcpy(rest, msg->word + 1, sizeof(r->put->rest));
	km_lines_commit(r, msg->word[0]);
	return true;
}

static inline uint64_t km_lines_first(const struct km_lines_slot *slot)
{
	/* LINES_A1 pairs with LINES_R1 in km_lines_commit(): the first word, then the rest. */
	return atomic_load_explicit(&slot->first, KM_ORDER(LINES_A1, acquire));
}

/**
 * km_lines_peek() - the oldest message, where it lies.
 * @first: set to its first word.
 *
 * Context: the consumer thread. Progress: wait-free.
 * Return: its last seven words, until km_lines_done(); NULL when the ring is empty.
 */
static inline const uint64_t *km_lines_peek(struct km_lines *r, uint64_t *first)
{
	struct km_lines_slot *slot = r->get;

	*first = km_lines_first(slot);
	if (km_unlikely(!*first) && (slot == r->get_empty || !(*first = km_lines_stand_back(r))))
		return NULL;
	return slot->rest;
}

/**
 * km_lines_done() - free the oldest message.
 * Context: the consumer thread, after km_lines_peek(). Progress: wait-free.
 */
static inline void km_lines_done(struct km_lines *r)
{
	struct km_lines_slot *slot = r->get, *ahead;

	/* relaxed: told with the head */
	atomic_store_explicit(&slot->first, 0, memory_order_relaxed);
	r->get = ++slot;
	r->get_known--;
	if (km_unlikely(((slot - r->get_base) & r->get_tell) == 0))
		km_lines_tell_head(r);
	/* only what is complete: to fetch a line that is being filled would hold up both */
	if (r->get_known > (int32_t)KM_LINES_AHEAD) {
		ahead = r->get + KM_LINES_AHEAD;
		__builtin_prefetch(ahead < r->get_end ? ahead : ahead - (r->get_end - r->get_base));
	}
}

/**
 * km_lines_pop() - copy the oldest message to @msg.
 * Context: the consumer thread. Progress: wait-free.
 * Return: false when the ring is empty; only @msg->word[0] is changed then.
 */
static inline bool km_lines_pop(struct km_lines *r, struct km_line *msg)
{
	const uint64_t *rest = km_lines_peek(r, &msg->word[0]);

	if (!rest)
		return false;
	memcpy(msg->word + 1, rest, sizeof(r->get->rest));
	km_lines_done(r);
	return true;
}

/**
 * km_lines_is_empty() - whether a pop would find nothing now.
 * Context: the consumer thread; a "no" holds until it pops.
 */
static inline bool km_lines_is_empty(const struct km_lines *r)
{
	/* relaxed: a hint; the pop that follows a "no" loads again with LINES_A1 */
	return atomic_load_explicit(&r->get->first, memory_order_relaxed) == 0;
}

#endif
