/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc/arena.h - memory of one agent: a jemalloc arena on the agent's node
 * with a hard limit on what it maps.
 */
#ifndef KM_ALLOC_ARENA_H
#define KM_ALLOC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base.h"

struct km_arena;

struct km_arena_cfg {
	int node; /* OS index of the NUMA node to bind to; -1 = wherever it runs */
	uint64_t mapped_bytes_max; /* hard: mapping beyond it fails; 0 = no limit */
	bool huge_pages; /* ask the kernel for huge pages (madvise) */
};

/**
 * km_arena_create() - Return: 0; -ENOMEM; -ENODEV when @cfg->node cannot be bound.
 */
int km_arena_create(struct km_arena **out, const struct km_arena_cfg *cfg) KM_MUST_CHECK;

/** km_arena_destroy() - unmap everything; what was allocated from it is gone. */
void km_arena_destroy(struct km_arena *arena);

/**
 * km_arena_alloc() - @bytes aligned to @align (a power of two); contents undefined.
 * Return: NULL when the limit or the machine's memory is reached.
 */
void *km_arena_alloc(struct km_arena *arena, size_t bytes, size_t align);
void km_arena_free(struct km_arena *arena, void *ptr);

/** km_arena_mapped_bytes() - mapped now. Any thread; may be stale. */
uint64_t km_arena_mapped_bytes(const struct km_arena *arena);

#endif
