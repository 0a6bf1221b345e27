/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc/arena.h - memory of one agent: a jemalloc arena on the agent's node
 * with a hard limit on what it maps.
 *
 * Freed memory stays mapped and backed for the next allocation. When the limit
 * stands in the way, the arena gives what is free back to the kernel and tries
 * once more.
 */
#ifndef KM_ALLOC_ARENA_H
#define KM_ALLOC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base.h"

/* From this size on, an allocation is aligned to it: a huge page of x86-64 and arm64/4K. */
#define KM_ARENA_HUGE_BYTES (UINT64_C(2) << 20)

struct km_arena;

struct km_arena_cfg {
	int node; /* OS index of the NUMA node to bind to; -1 = wherever it runs */
	uint64_t mapped_bytes_max; /* hard: mapping beyond it fails; 0 = no limit */
	bool huge_pages; /* ask the kernel for huge pages (madvise) */
	bool populate; /* map pages at once: nothing allocated here faults later */
};

/**
 * km_arena_create() - an empty arena.
 * @out: set on success only; release with km_arena_destroy().
 * @cfg: read during the call. The arena's own metadata counts against
 *	mapped_bytes_max: 2 MiB, more beyond some thousand allocations.
 *
 * A kernel that refuses mbind (no NUMA support, a container) is no error:
 * km_arena_bound() is then false and pages come from the node of the thread
 * that touches them first.
 *
 * Context: start-up. Allocates; about 50 us.
 * Return: 0; -ENOMEM, also when the limit has no room for the metadata;
 * -ENODEV when @cfg->node does not exist or has no memory.
 */
int km_arena_create(struct km_arena **out, const struct km_arena_cfg *cfg) KM_MUST_CHECK;

/**
 * km_arena_nr_left() - how many more arenas there can be.
 *
 * jemalloc numbers them with twelve bits and takes four a CPU for itself; it uses
 * the numbers of destroyed ones again, which are not counted here.
 */
uint32_t km_arena_nr_left(void);

/**
 * km_arena_destroy() - unmap everything; what was allocated from it is gone.
 * Context: no other thread uses the arena. NULL is allowed.
 */
void km_arena_destroy(struct km_arena *arena);

/**
 * km_arena_alloc() - @bytes aligned to @align (a power of two); contents undefined.
 * @bytes: from 2 MiB on, aligned to 2 MiB at least.
 *
 * Context: any thread. Progress: locks inside jemalloc; a system call when
 * the arena has to grow or to make room.
 * Return: NULL when the limit or the machine's memory is reached.
 */
void *km_arena_alloc(struct km_arena *arena, size_t bytes, size_t align);

/**
 * km_arena_free() - keep the memory of @ptr for the next allocation.
 * @ptr: from km_arena_alloc() of this arena; NULL is allowed.
 * Context: any thread.
 */
void km_arena_free(struct km_arena *arena, void *ptr);

/**
 * km_arena_round() - what an allocation of @bytes aligned to @align occupies.
 * Return: bytes, at least @bytes (100 MiB take 112 MiB); 0 when no arena can
 * serve it. Mapping it costs up to a page more.
 */
size_t km_arena_round(size_t bytes, size_t align);

/** km_arena_mapped_bytes() - mapped now. Any thread; may be stale. */
uint64_t km_arena_mapped_bytes(const struct km_arena *arena);

/** km_arena_bound() - whether its memory is bound to cfg.node. Never changes. */
bool km_arena_bound(const struct km_arena *arena);

#endif
