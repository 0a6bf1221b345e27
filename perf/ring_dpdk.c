/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_dpdk.c - a contestant of "bench ring": DPDK's rte_ring with one producer and
 * one consumer, single and in bursts.
 *
 * Its hot functions are inlined from the headers. The ring is set up here, field by
 * field as the headers document them, on memory of our own: so neither DPDK's
 * libraries nor its environment are needed.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "perf/ring_contest.h"

static void *create(uint32_t slots, size_t bytes)
{
	const size_t size = sizeof(struct rte_ring) + slots * bytes;
	struct rte_ring *ring = aligned_alloc(128, (size + 127) / 128 * 128);

	if (!ring)
		return NULL;
	memset(ring, 0, size);
	ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	ring->prod.sync_type = RTE_RING_SYNC_ST;
	ring->cons.sync_type = RTE_RING_SYNC_ST;
	ring->size = slots;
	ring->mask = slots - 1;
	ring->capacity = slots - 1; /* one slot of an rte_ring stays free */
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

RING_INLINE uint32_t send_some(struct rte_ring *ring, uint64_t first, uint32_t nr, uint32_t word_nr)
{
	uint64_t words[RING_BURST * 8];
	uint32_t i;

	for (i = 0; i < nr; i++)
		ring_fill(words + (size_t)i * word_nr, word_nr, first + i);
	return rte_ring_sp_enqueue_burst_elem(ring, words, word_nr * 8, nr, NULL);
}

RING_INLINE uint32_t take_some(struct rte_ring *ring, uint64_t first, uint32_t nr, uint32_t word_nr,
			       uint64_t *bad)
{
	uint64_t words[RING_BURST * 8];
	uint32_t i;

	nr = rte_ring_sc_dequeue_burst_elem(ring, words, word_nr * 8, nr, NULL);
	for (i = 0; i < nr; i++)
		*bad += ring_is_bad(words + (size_t)i * word_nr, word_nr, first + i);
	return nr;
}

RING_INLINE uint32_t send_8(void *ring, uint64_t first, uint32_t nr)
{
	(void)nr;
	return rte_ring_sp_enqueue(ring, (void *)(uintptr_t)ring_word(first, 0)) == 0;
}

RING_INLINE uint32_t take_8(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	void *word;

	(void)nr;
	if (rte_ring_sc_dequeue(ring, &word))
		return 0;
	*bad += (uintptr_t)word != ring_word(first, 0);
	return 1;
}

RING_INLINE uint32_t send_8_burst(void *ring, uint64_t first, uint32_t nr)
{
	return send_some(ring, first, nr, 1);
}

RING_INLINE uint32_t take_8_burst(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 1, bad);
}

RING_INLINE uint32_t send_64(void *ring, uint64_t first, uint32_t nr)
{
	uint64_t words[8];

	(void)nr;
	ring_fill(words, 8, first);
	return rte_ring_sp_enqueue_elem(ring, words, 64) == 0;
}

RING_INLINE uint32_t take_64(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	uint64_t words[8];

	(void)nr;
	if (rte_ring_sc_dequeue_elem(ring, words, 64))
		return 0;
	*bad += ring_is_bad(words, 8, first);
	return 1;
}

RING_INLINE uint32_t send_64_burst(void *ring, uint64_t first, uint32_t nr)
{
	return send_some(ring, first, nr, 8);
}

RING_INLINE uint32_t take_64_burst(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	return take_some(ring, first, nr, 8, bad);
}

RING_CONTEST(ring_dpdk_8, create_8, free, send_8, take_8, 1);
RING_CONTEST(ring_dpdk_8_burst, create_8, free, send_8_burst, take_8_burst, RING_BURST);
RING_CONTEST(ring_dpdk_64, create_64, free, send_64, take_64, 1);
RING_CONTEST(ring_dpdk_64_burst, create_64, free, send_64_burst, take_64_burst, RING_BURST);
