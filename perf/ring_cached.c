/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_cached.c - a contestant of "bench ring": the textbook ring with two indices,
 * where each side keeps the other's index until it needs a newer one.
 *
 * "cached-touch" is the same ring whose consumer stores into each message that it has
 * read, for nothing but the line's state: where that helps, the writer waits less for a
 * line that the reader has written than for one that both only hold.
 *
 * Source: Lamport's queue with the caching of Lee, Bu, Chandranmenon, "MCRingBuffer", 2010.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"
#include "perf/ring_contest.h"

struct cached {
	/* read-mostly */
	alignas(KM_SHARE_BYTES) uint64_t *words;
	uint32_t slots;

	/* producer's */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t tail;
	uint32_t head_seen;

	/* consumer's */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t head;
	uint32_t tail_seen;
};

static void *create(uint32_t slots, uint32_t bytes)
{
	struct cached *ring = aligned_alloc(KM_SHARE_BYTES, sizeof(*ring));

	if (!ring)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	ring->slots = slots;
	ring->words = aligned_alloc(KM_SHARE_BYTES, ((size_t)slots * bytes + KM_SHARE_BYTES - 1) /
							    KM_SHARE_BYTES * KM_SHARE_BYTES);
	if (!ring->words) {
		free(ring);
		return NULL;
	}
	return ring;
}

static void *create_8(uint32_t slots)
{
	return create(slots, 8);
}

static void *create_64(uint32_t slots)
{
	return create(slots, 64);
}

static void destroy(void *arg)
{
	struct cached *ring = arg;

	if (!ring)
		return;
	free(ring->words);
	free(ring);
}

RING_INLINE uint64_t *slot_of(const struct cached *ring, uint32_t pos, uint32_t word_nr)
{
	return ring->words + (size_t)(pos & (ring->slots - 1)) * word_nr;
}

RING_INLINE uint32_t send_some(struct cached *ring, uint64_t first, uint32_t nr, uint32_t word_nr)
{
	/* relaxed: the own index */
	const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t room = ring->slots - (tail - ring->head_seen), i;

	if (room < nr) {
		/* pairs with the release in take_some() */
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		room = ring->slots - (tail - ring->head_seen);
		nr = room < nr ? room : nr;
	}
	for (i = 0; i < nr; i++)
		ring_fill(slot_of(ring, tail + i, word_nr), word_nr, first + i);
	if (nr)
		atomic_store_explicit(&ring->tail, tail + nr, memory_order_release);
	return nr;
}

RING_INLINE uint32_t take_some(struct cached *ring, uint64_t first, uint32_t nr, uint32_t word_nr,
			       bool touch, uint64_t *bad)
{
	/* relaxed: the own index */
	const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t there = ring->tail_seen - head, i;
	uint64_t *words;

	if (there < nr) {
		/* pairs with the release in send_some() */
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		there = ring->tail_seen - head;
		nr = there < nr ? there : nr;
	}
	for (i = 0; i < nr; i++) {
		words = slot_of(ring, head + i, word_nr);
		*bad += ring_is_bad(words, word_nr, first + i);
		if (touch)
			words[0] = 0;
	}
	if (nr)
		atomic_store_explicit(&ring->head, head + nr, memory_order_release);
	return nr;
}

RING_INLINE uint32_t send_8(void *ring, uint64_t first, uint32_t nr)
{
	return send_some(ring, first, nr, 1);
}

RING_INLINE uint32_t take_8(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 1, false, bad);
}

RING_INLINE uint32_t send_64(void *ring, uint64_t first, uint32_t nr)
{
	return send_some(ring, first, nr, 8);
}

RING_INLINE uint32_t take_64(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 8, false, bad);
}

RING_INLINE uint32_t touch_8(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 1, true, bad);
}

RING_INLINE uint32_t touch_64(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 8, true, bad);
}

RING_CONTEST(ring_cached_8, create_8, destroy, send_8, take_8, 1);
RING_CONTEST(ring_cached_8_burst, create_8, destroy, send_8, take_8, RING_BURST);
RING_CONTEST(ring_cached_64, create_64, destroy, send_64, take_64, 1);
RING_CONTEST(ring_cached_64_burst, create_64, destroy, send_64, take_64, RING_BURST);
RING_CONTEST(ring_touch_8, create_8, destroy, send_8, touch_8, 1);
RING_CONTEST(ring_touch_8_burst, create_8, destroy, send_8, touch_8, RING_BURST);
RING_CONTEST(ring_touch_64, create_64, destroy, send_64, touch_64, 1);
RING_CONTEST(ring_touch_64_burst, create_64, destroy, send_64, touch_64, RING_BURST);
