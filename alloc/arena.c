/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc/arena.c - a jemalloc arena over extent hooks of ours.
 *
 * The hooks map, bind to the node and count; the arena cuts and reuses. What
 * is freed stays mapped and backed: decay is off, purging is refused, and the
 * size from which jemalloc gives blocks back at once is raised out of reach
 * (5.3.0 needs one of first and last; which one, its manual does not promise).
 * Only a full arena gives free blocks back to the kernel (make_room()).
 *
 * Each arena is independent; the limit is kept by compare-and-swap, so that
 * several threads may use one arena.
 */
#include "alloc/arena.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <jemalloc/jemalloc.h>

#include "lib/atomic.h"

#define HUGE_BYTES ((size_t)KM_ARENA_HUGE_BYTES)

/* What km_arena_alloc() leaves unaligned is at most this, with jemalloc's page of padding. */
#define UNALIGNED_BYTES_MAX (HUGE_BYTES + 65536)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define NODE_NR_MAX 1024
#define ARENA_NR_MAX 4095 /* jemalloc's MALLOCX_ARENA_LIMIT */
#define LONG_BITS (8 * sizeof(unsigned long))

struct km_arena {
	extent_hooks_t hooks; /* jemalloc passes its address to every hook */
	struct km_arena_cfg cfg;
	unsigned int idx; /* jemalloc's */
	bool bound;
	_Atomic uint64_t mapped_bytes;
};

/* ---- the node ------------------------------------------------------------- */

static int bind_pages(void *addr, size_t bytes, int node)
{
	unsigned long mask[NODE_NR_MAX / LONG_BITS] = { 0 };

	mask[(size_t)node / LONG_BITS] = 1UL << ((size_t)node % LONG_BITS);
	/* + 1: the kernel takes one bit less than it is told. */
	if (syscall(SYS_mbind, addr, bytes, MPOL_BIND, mask, (unsigned long)NODE_NR_MAX + 1, 0UL))
		return -errno;
	return 0;
}

static bool node_listed(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	return !access(path, F_OK);
}

/*
 * Try @node with one page. A kernel or container without mbind is no error:
 * memory then comes from where the thread runs that touches it first.
 */
static int probe_node(int node, bool *bound)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *addr;
	int err;

	*bound = false;
	if (node < 0)
		return 0;
	if (node >= NODE_NR_MAX)
		return -ENODEV;
	addr = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED)
		return -ENOMEM;
	err = bind_pages(addr, page, node);
	km_ignore(munmap(addr, page)); /* one page of ours: nothing to fail */
	if (err == -ENOSYS || err == -EPERM)
		return node == 0 || node_listed(node) ? 0 : -ENODEV;
	if (err)
		return err == -ENOMEM ? err : -ENODEV;
	*bound = true;
	return 0;
}

/* ---- mapping -------------------------------------------------------------- */

static bool count_mapped(struct km_arena *arena, size_t bytes)
{
	/* relaxed: a counter; it orders nothing */
	uint64_t now = atomic_load_explicit(&arena->mapped_bytes, memory_order_relaxed);
	uint64_t max = arena->cfg.mapped_bytes_max;

	do {
		if (max && (bytes > max || now > max - bytes))
			return false;
		/* relaxed: a counter; a retry means another thread mapped or unmapped */
	} while (!atomic_compare_exchange_weak_explicit(&arena->mapped_bytes, &now, now + bytes,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

static void count_unmapped(struct km_arena *arena, size_t bytes)
{
	/* relaxed: a counter; it orders nothing */
	atomic_fetch_sub_explicit(&arena->mapped_bytes, bytes, memory_order_relaxed);
}

/* @bytes at a multiple of @align: map more, cut both ends off. */
static void *map_aligned(size_t bytes, size_t align)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), slack = align > page ? align - page : 0;
	size_t before, after;
	char *addr;

	if (bytes + slack < bytes)
		return NULL;
	addr = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (addr == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)addr & (align - 1);
	after = slack - before;
	/* A refused cut leaves address space unused, which no limit counts. */
	if (before)
		km_ignore(munmap(addr, before));
	if (after)
		km_ignore(munmap(addr + before + bytes, after));
	return addr + before;
}

static void *map_extent(struct km_arena *arena, size_t bytes, size_t align)
{
	void *addr;

	if (bytes >= HUGE_BYTES && align < HUGE_BYTES)
		align = HUGE_BYTES;
	addr = map_aligned(bytes, align);
	if (!addr)
		return NULL;
	if (arena->bound && bind_pages(addr, bytes, arena->cfg.node)) {
		km_ignore(munmap(addr, bytes)); /* just mapped */
		return NULL;
	}
	if (arena->cfg.huge_pages) /* advice: a kernel without huge pages says no */
		km_ignore(madvise(addr, bytes, MADV_HUGEPAGE));
	if (arena->cfg.populate) /* an old kernel says no: the pages then come one by one */
		km_ignore(madvise(addr, bytes, MADV_POPULATE_WRITE));
	return addr;
}

/* ---- extent hooks; "true" is jemalloc's word for failure ------------------- */

static struct km_arena *to_arena(extent_hooks_t *hooks)
{
	return km_container_of(hooks, struct km_arena, hooks);
}

static void *hook_alloc(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment,
			bool *zero, bool *commit, unsigned int arena_idx)
{
	struct km_arena *arena = to_arena(hooks);
	void *addr;

	(void)arena_idx;
	if (new_addr) /* growing in place: nobody asks for it */
		return NULL;
	/*
	 * jemalloc first asks for the next step of a growing series (for 2 MiB
	 * twice what it needs) and keeps the rest; refused that, it asks for the
	 * exact size and alignment. km_arena_alloc() aligns all that is large,
	 * so a large request without alignment is of the first kind.
	 */
	if (size > UNALIGNED_BYTES_MAX && alignment < HUGE_BYTES)
		return NULL;
	if (!count_mapped(arena, size))
		return NULL;
	addr = map_extent(arena, size, alignment);
	if (!addr) {
		count_unmapped(arena, size);
		return NULL;
	}
	*zero = true;
	*commit = true;
	return addr;
}

static bool hook_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
			unsigned int arena_idx)
{
	(void)committed;
	(void)arena_idx;
	if (munmap(addr, size))
		return true; /* the arena keeps it */
	count_unmapped(to_arena(hooks), size);
	return false;
}

static void hook_destroy(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
			 unsigned int arena_idx)
{
	/* A refusal stays in the count: destroy has no way to say so. */
	km_ignore(hook_dalloc(hooks, addr, size, committed, arena_idx));
}

/* Nothing to do: what is mapped is committed. */
static bool hook_commit(extent_hooks_t *hooks, void *addr, size_t size, size_t offset,
			size_t length, unsigned int arena_idx)
{
	(void)hooks, (void)addr, (void)size, (void)offset, (void)length, (void)arena_idx;
	return false;
}

/* Decommit and both purges: refused, so that pages stay. */
static bool hook_keep(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
		      unsigned int arena_idx)
{
	(void)hooks, (void)addr, (void)size, (void)offset, (void)length, (void)arena_idx;
	return true;
}

static bool hook_split(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b,
		       bool committed, unsigned int arena_idx)
{
	(void)hooks, (void)addr, (void)size, (void)size_a, (void)size_b;
	(void)committed, (void)arena_idx;
	return false; /* munmap() takes any range of pages */
}

static bool hook_merge(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b,
		       size_t size_b, bool committed, unsigned int arena_idx)
{
	(void)hooks, (void)addr_a, (void)size_a, (void)addr_b, (void)size_b;
	(void)committed, (void)arena_idx;
	return false; /* neighbours of one arena: same node, same advice */
}

static const extent_hooks_t hooks_template = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.destroy = hook_destroy,
	.commit = hook_commit,
	.decommit = hook_keep,
	.purge_lazy = hook_keep,
	.purge_forced = hook_keep,
	.split = hook_split,
	.merge = hook_merge,
};

/* ---- the arena ------------------------------------------------------------ */

static int arena_ctl(const struct km_arena *arena, const char *what, void *value, size_t bytes)
{
	char name[64];

	snprintf(name, sizeof(name), "arena.%u.%s", arena->idx, what);
	return -mallctl(name, NULL, NULL, value, bytes);
}

static int keep_freed_pages(struct km_arena *arena)
{
	size_t oversize = SIZE_MAX, grow_limit = HUGE_BYTES;
	ssize_t never = -1;
	int err;

	err = arena_ctl(arena, "oversize_threshold", &oversize, sizeof(oversize));
	if (!err)
		err = arena_ctl(arena, "dirty_decay_ms", &never, sizeof(never));
	if (!err)
		err = arena_ctl(arena, "muzzy_decay_ms", &never, sizeof(never));
	if (!err)
		err = arena_ctl(arena, "retain_grow_limit", &grow_limit, sizeof(grow_limit));
	return err;
}

int km_arena_create(struct km_arena **out, const struct km_arena_cfg *cfg)
{
	extent_hooks_t *hooks;
	struct km_arena *arena;
	size_t idx_bytes;
	int err;

	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return -ENOMEM;
	arena->cfg = *cfg;
	arena->hooks = hooks_template;
	atomic_init(&arena->mapped_bytes, 0);
	err = probe_node(cfg->node, &arena->bound);
	if (err)
		goto err_free;
	hooks = &arena->hooks;
	idx_bytes = sizeof(arena->idx);
	/* It fails for want of memory, of arena numbers, or of mapped_bytes_max. */
	if (mallctl("arenas.create", &arena->idx, &idx_bytes, &hooks, sizeof(hooks))) {
		err = -ENOMEM;
		goto err_free;
	}
	err = keep_freed_pages(arena);
	if (err)
		goto err_destroy;
	*out = arena;
	return 0;

err_destroy:
	km_arena_destroy(arena);
	return err;
err_free:
	free(arena);
	return err;
}

uint32_t km_arena_nr_left(void)
{
	unsigned int nr;
	size_t bytes = sizeof(nr);

	if (mallctl("arenas.narenas", &nr, &bytes, NULL, 0))
		return ARENA_NR_MAX;
	return nr < ARENA_NR_MAX ? ARENA_NR_MAX - nr : 0;
}

void km_arena_destroy(struct km_arena *arena)
{
	if (!arena)
		return;
	/* It fails for a number that is no arena or that a thread is bound to: ours is neither. */
	KM_BUG_ON(arena_ctl(arena, "destroy", NULL, 0));
	free(arena);
}

static int arena_flags(const struct km_arena *arena, size_t align)
{
	/* As MALLOCX_ARENA() does, whose shift is out of an int's bounds from number 2047 on. */
	const int number = (int)((arena->idx + 1) << 20);

	return MALLOCX_ALIGN(align) | number | MALLOCX_TCACHE_NONE;
}

static size_t wanted_align(size_t bytes, size_t align)
{
	return bytes >= HUGE_BYTES && align < HUGE_BYTES ? HUGE_BYTES : align;
}

/* Give free blocks back to the kernel: true when that unmapped something. */
static bool make_room(struct km_arena *arena)
{
	uint64_t before = km_arena_mapped_bytes(arena);

	return !arena_ctl(arena, "purge", NULL, 0) && km_arena_mapped_bytes(arena) < before;
}

void *km_arena_alloc(struct km_arena *arena, size_t bytes, size_t align)
{
	int flags = arena_flags(arena, wanted_align(bytes, align));
	void *ptr;

	if (!bytes)
		bytes = 1; /* mallocx() takes no 0 */
	ptr = mallocx(bytes, flags);
	if (!ptr && make_room(arena))
		ptr = mallocx(bytes, flags);
	return ptr;
}

void km_arena_free(struct km_arena *arena, void *ptr)
{
	if (ptr)
		dallocx(ptr, arena_flags(arena, 1));
}

size_t km_arena_round(size_t bytes, size_t align)
{
	if (!bytes)
		bytes = 1;
	return nallocx(bytes, MALLOCX_ALIGN(wanted_align(bytes, align)));
}

uint64_t km_arena_mapped_bytes(const struct km_arena *arena)
{
	/* any value it had is a right answer for some moment */
	return km_read_racy(&arena->mapped_bytes);
}

bool km_arena_bound(const struct km_arena *arena)
{
	return arena->bound;
}
