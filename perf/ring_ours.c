/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_ours.c - ring/spsc.h and ring/lines.h in "bench ring".
 *
 * 8 bytes: ring/spsc.h, the message is the handle. 64 bytes: ring/lines.h; and as
 * "kamino-pool" handles into a pool, as the runtime's requests travel. The pool is used
 * round and round, by what ring/spsc.h says about payloads that need no way back.
 */
#include <stdlib.h>

#include "perf/ring_contest.h"
#include "ring/lines.h"
#include "ring/spsc.h"

#define MSG_WORDS 8u

struct ours {
	struct km_spsc ring;

	/* producer's own */
	alignas(KM_SHARE_BYTES) uint64_t *put, *pool, *pool_end;
};

static void destroy(void *arg)
{
	struct ours *ours = arg;

	if (!ours)
		return;
	km_spsc_fini(&ours->ring);
	free(ours->pool);
	free(ours);
}

static void *create_8(uint32_t slots)
{
	struct ours *ours = aligned_alloc(KM_SHARE_BYTES, sizeof(*ours));

	if (!ours)
		return NULL;
	ours->pool = NULL;
	if (km_spsc_init(&ours->ring, slots)) {
		free(ours);
		return NULL;
	}
	return ours;
}

static void *create_64(uint32_t slots)
{
	/* what the ring may hold, and a burst that is being read */
	const size_t msg_nr = slots + KM_SPSC_OVER + RING_BURST;
	struct ours *ours = create_8(slots);

	if (!ours)
		return NULL;
	ours->pool = aligned_alloc(KM_SHARE_BYTES, msg_nr * MSG_WORDS * sizeof(uint64_t));
	if (!ours->pool) {
		destroy(ours);
		return NULL;
	}
	ours->put = ours->pool;
	ours->pool_end = ours->pool + msg_nr * MSG_WORDS;
	return ours;
}

RING_INLINE uint32_t send_8(void *arg, uint64_t first, uint32_t nr)
{
	struct ours *ours = arg;

	(void)nr;
	return km_spsc_push(&ours->ring, ring_word(first, 0));
}

RING_INLINE uint32_t take_8(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ours *ours = arg;
	uint64_t word = km_spsc_pop(&ours->ring);

	(void)nr;
	*bad += word && word != ring_word(first, 0);
	return word != 0;
}

RING_INLINE uint32_t send_8_burst(void *arg, uint64_t first, uint32_t nr)
{
	struct ours *ours = arg;
	uint64_t word[RING_BURST];
	uint32_t i;

	for (i = 0; i < nr; i++)
		word[i] = ring_word(first + i, 0);
	return km_spsc_push_some(&ours->ring, word, nr);
}

RING_INLINE uint32_t take_8_burst(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ours *ours = arg;
	uint64_t word[RING_BURST];
	uint32_t i;

	nr = km_spsc_pop_some(&ours->ring, word, nr);
	for (i = 0; i < nr; i++)
		*bad += word[i] != ring_word(first + i, 0);
	return nr;
}

RING_INLINE uint64_t fill_next(struct ours *ours, uint64_t msg)
{
	uint64_t *words = ours->put;

	ring_fill(words, MSG_WORDS, msg);
	ours->put = words + MSG_WORDS == ours->pool_end ? ours->pool : words + MSG_WORDS;
	return (uintptr_t)words;
}

RING_INLINE uint32_t send_64(void *arg, uint64_t first, uint32_t nr)
{
	struct ours *ours = arg;

	(void)nr;
	/* first the room, as with it comes the message's place */
	return !km_spsc_is_full(&ours->ring) && km_spsc_push(&ours->ring, fill_next(ours, first));
}

RING_INLINE uint32_t take_64(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ours *ours = arg;
	const uint64_t handle = km_spsc_pop(&ours->ring);

	(void)nr;
	if (!handle)
		return 0;
	*bad += ring_is_bad((const uint64_t *)(uintptr_t)handle, MSG_WORDS, first);
	return 1;
}

RING_INLINE uint32_t send_64_burst(void *arg, uint64_t first, uint32_t nr)
{
	struct ours *ours = arg;
	uint64_t handle[RING_BURST];
	uint32_t i;

	nr = km_spsc_room(&ours->ring, nr);
	for (i = 0; i < nr; i++)
		handle[i] = fill_next(ours, first + i);
	return km_spsc_push_some(&ours->ring, handle, nr);
}

RING_INLINE uint32_t take_64_burst(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ours *ours = arg;
	uint64_t handle[RING_BURST];
	uint32_t i;

	nr = km_spsc_pop_some(&ours->ring, handle, nr);
	for (i = 0; i < nr; i++)
		__builtin_prefetch((const void *)(uintptr_t)handle[i]);
	for (i = 0; i < nr; i++)
		*bad += ring_is_bad((const uint64_t *)(uintptr_t)handle[i], MSG_WORDS, first + i);
	return nr;
}

static void *create_lines(uint32_t slots)
{
	struct km_lines *ring = aligned_alloc(KM_SHARE_BYTES, sizeof(*ring));

	if (ring && km_lines_init(ring, slots)) {
		free(ring);
		return NULL;
	}
	return ring;
}

static void destroy_lines(void *ring)
{
	km_lines_fini(ring);
	free(ring);
}

RING_INLINE uint32_t send_lines(void *ring, uint64_t first, uint32_t nr)
{
	uint64_t *rest;
	uint32_t i;

	for (i = 0; i < nr && (rest = km_lines_begin(ring)); i++) {
		ring_fill_from(rest, 1, MSG_WORDS, first + i);
		km_lines_commit(ring, ring_word(first + i, 0));
	}
	return i;
}

RING_INLINE uint32_t take_lines(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	const uint64_t *rest;
	uint64_t word;
	uint32_t i;

	for (i = 0; i < nr && (rest = km_lines_peek(ring, &word)); i++) {
		*bad += word != ring_word(first + i, 0) ||
			ring_is_bad_from(rest, 1, MSG_WORDS, first + i);
		km_lines_done(ring);
	}
	return i;
}

RING_CONTEST(ring_kamino_8, create_8, destroy, send_8, take_8, 1);
RING_CONTEST(ring_kamino_8_burst, create_8, destroy, send_8_burst, take_8_burst, RING_BURST);
RING_CONTEST(ring_pool_64, create_64, destroy, send_64, take_64, 1);
RING_CONTEST(ring_pool_64_burst, create_64, destroy, send_64_burst, take_64_burst, RING_BURST);
RING_CONTEST(ring_kamino_64, create_lines, destroy_lines, send_lines, take_lines, 1);
RING_CONTEST(ring_kamino_64_burst, create_lines, destroy_lines, send_lines, take_lines, RING_BURST);
