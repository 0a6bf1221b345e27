/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_ck.c - a contestant of "bench ring": Concurrency Kit's ck_ring (inlined from its header).
 */
#include <stdlib.h>
#include <string.h>

#include <ck_ring.h>

#include "perf/ring_contest.h"

struct msg {
	uint64_t words[8];
};
CK_RING_PROTOTYPE(msg, msg)

struct ck {
	ck_ring_t ring;
	void *buffer;
};

static void destroy(void *arg)
{
	struct ck *ck = arg;

	if (!ck)
		return;
	free(ck->buffer);
	free(ck);
}

static void *create(uint32_t slots, size_t bytes)
{
	struct ck *ck = aligned_alloc(128, (sizeof(*ck) + 127) / 128 * 128);

	if (!ck)
		return NULL;
	memset(ck, 0, sizeof(*ck));
	ck_ring_init(&ck->ring, slots);
	ck->buffer = aligned_alloc(128, (slots * bytes + 127) / 128 * 128);
	if (!ck->buffer) {
		free(ck);
		return NULL;
	}
	memset(ck->buffer, 0, slots * bytes);
	return ck;
}

static void *create_8(uint32_t slots)
{
	return create(slots, sizeof(ck_ring_buffer_t));
}

static void *create_64(uint32_t slots)
{
	return create(slots, sizeof(struct msg));
}

RING_INLINE uint32_t send_8(void *arg, uint64_t first, uint32_t nr)
{
	struct ck *ck = arg;

	(void)nr;
	return ck_ring_enqueue_spsc(&ck->ring, ck->buffer, (void *)(uintptr_t)ring_word(first, 0));
}

RING_INLINE uint32_t take_8(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ck *ck = arg;
	void *word;

	(void)nr;
	if (!ck_ring_dequeue_spsc(&ck->ring, ck->buffer, &word))
		return 0;
	*bad += (uintptr_t)word != ring_word(first, 0);
	return 1;
}

RING_INLINE uint32_t send_64(void *arg, uint64_t first, uint32_t nr)
{
	struct ck *ck = arg;
	struct msg msg;

	(void)nr;
	ring_fill(msg.words, 8, first);
	return CK_RING_ENQUEUE_SPSC(msg, &ck->ring, ck->buffer, &msg);
}

RING_INLINE uint32_t take_64(void *arg, uint64_t first, uint32_t nr, uint64_t *bad)
{
	struct ck *ck = arg;
	struct msg msg;

	(void)nr;
	if (!CK_RING_DEQUEUE_SPSC(msg, &ck->ring, ck->buffer, &msg))
		return 0;
	*bad += ring_is_bad(msg.words, 8, first);
	return 1;
}

RING_CONTEST(ring_ck_8, create_8, destroy, send_8, take_8, 1);
RING_CONTEST(ring_ck_64, create_64, destroy, send_64, take_64, 1);
