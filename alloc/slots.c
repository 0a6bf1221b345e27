/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc/slots.c - free slots on a stack per class, linked through themselves.
 *
 * The last slot given is the next taken: its lines are the warmest. Nothing
 * but a fresh slot leaves this file, so take() and give() touch two lines.
 */
#include "alloc/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE_BYTES 64

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; libc headers may be older */
#endif

/* Lies in the first bytes of a slot that nobody has. */
struct free_slot {
	struct free_slot *next;
};

struct slot_class {
	uint64_t bytes; /* asked for */
	uint64_t rounded_bytes; /* counted */
	size_t align;
	struct free_slot *free;
	uint64_t kept_bytes; /* of the free slots */
};

struct km_slots {
	struct km_arena *arena;
	uint64_t bytes_max;
	bool prefault;
	struct km_slots_stats stats;
	uint32_t class_nr;
	struct slot_class class[];
};

static size_t align_of(uint64_t bytes)
{
	return bytes >= KM_ARENA_HUGE_BYTES ? (size_t)KM_ARENA_HUGE_BYTES : LINE_BYTES;
}

uint64_t km_slots_round(uint64_t bytes)
{
	if (!bytes || bytes > SIZE_MAX / 2)
		return 0;
	return km_arena_round((size_t)bytes, align_of(bytes));
}

static int class_init(struct slot_class *class, uint64_t bytes)
{
	class->bytes = bytes;
	class->align = align_of(bytes);
	class->rounded_bytes = km_slots_round(bytes);
	return class->rounded_bytes ? 0 : -EINVAL;
}

int km_slots_create(struct km_slots **out, struct km_arena *arena, uint32_t class_nr,
		    const uint64_t *class_bytes, uint64_t bytes_max, bool prefault)
{
	struct km_slots *slots;
	uint32_t i;
	int err;

	if (!class_nr || class_nr > KM_SLOTS_CLASS_NR_MAX)
		return -EINVAL;
	slots = calloc(1, sizeof(*slots) + class_nr * sizeof(slots->class[0]));
	if (!slots)
		return -ENOMEM;
	slots->arena = arena;
	slots->bytes_max = bytes_max;
	slots->prefault = prefault;
	slots->class_nr = class_nr;
	for (i = 0; i < class_nr; i++) {
		err = class_init(&slots->class[i], class_bytes[i]);
		if (err) {
			free(slots);
			return err;
		}
	}
	*out = slots;
	return 0;
}

static struct free_slot *pop_free(struct slot_class *class)
{
	struct free_slot *slot = class->free;

	class->free = slot->next;
	class->kept_bytes -= class->rounded_bytes;
	return slot;
}

/* Give one kept slot of the class with the most idle memory back to the arena. */
static bool return_one(struct km_slots *slots)
{
	struct slot_class *victim = NULL;
	uint32_t i;

	for (i = 0; i < slots->class_nr; i++) {
		struct slot_class *class = &slots->class[i];

		if (class->free && (!victim || class->kept_bytes > victim->kept_bytes))
			victim = class;
	}
	if (!victim)
		return false;
	km_arena_free(slots->arena, pop_free(victim));
	slots->stats.bytes -= victim->rounded_bytes;
	slots->stats.returned++;
	return true;
}

static void touch_pages(volatile char *slot, size_t bytes, size_t page)
{
	size_t at;

	for (at = 0; at < bytes; at += page)
		slot[at] = 0;
	slot[bytes - 1] = 0;
}

/* Back every page of a fresh slot. Return: false when memory ran out. */
static bool prefault(char *slot, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *from = slot - ((uintptr_t)slot & (page - 1));
	size_t whole = ((size_t)(slot + bytes - from) + page - 1) & ~(page - 1);

	if (!madvise(from, whole, MADV_POPULATE_WRITE))
		return true;
	if (errno == ENOMEM)
		return false;
	touch_pages(slot, bytes, page); /* kernels before 5.14 */
	return true;
}

static void *alloc_fresh(struct km_slots *slots, const struct slot_class *class)
{
	void *slot = km_arena_alloc(slots->arena, (size_t) class->bytes, class->align);

	if (slot && slots->prefault && !prefault(slot, (size_t) class->bytes)) {
		km_arena_free(slots->arena, slot);
		return NULL;
	}
	return slot;
}

/* Bounded by the number of kept slots: each round but the last returns one. */
static void *take_fresh(struct km_slots *slots, const struct slot_class *class)
{
	struct km_slots_stats *stats = &slots->stats;
	void *slot;

	/* What is taken does not come back: spare the kept ones if they cannot help. */
	if (class->rounded_bytes > slots->bytes_max ||
	    stats->taken_bytes > slots->bytes_max - class->rounded_bytes)
		return NULL;
	while (stats->bytes > slots->bytes_max - class->rounded_bytes)
		KM_BUG_ON(!return_one(slots)); /* bytes > taken_bytes: some slot is kept */
	do {
		slot = alloc_fresh(slots, class);
	} while (!slot && return_one(slots));
	return slot;
}

void *km_slots_take(struct km_slots *slots, uint32_t class_idx)
{
	struct km_slots_stats *stats = &slots->stats;
	struct slot_class *class;
	void *slot;

	KM_BUG_ON(class_idx >= slots->class_nr);
	class = &slots->class[class_idx];
	if (class->free) {
		slot = pop_free(class);
		stats->recycled++;
	} else {
		slot = take_fresh(slots, class);
		if (!slot) {
			stats->refused++;
			return NULL;
		}
		stats->bytes += class->rounded_bytes;
		stats->fresh++;
	}
	stats->taken_bytes += class->rounded_bytes;
	return slot;
}

void km_slots_give(struct km_slots *slots, uint32_t class_idx, void *slot)
{
	struct free_slot *free_slot = slot;
	struct slot_class *class;

	KM_BUG_ON(class_idx >= slots->class_nr);
	class = &slots->class[class_idx];
	KM_BUG_ON(!slot || slots->stats.taken_bytes < class->rounded_bytes);
	slots->stats.taken_bytes -= class->rounded_bytes;
	class->kept_bytes += class->rounded_bytes;
	free_slot->next = class->free;
	class->free = free_slot;
}

void km_slots_destroy(struct km_slots *slots)
{
	if (!slots)
		return;
	KM_BUG_ON(slots->stats.taken_bytes);
	while (return_one(slots))
		;
	free(slots);
}

uint64_t km_slots_class_bytes(const struct km_slots *slots, uint32_t class_idx)
{
	KM_BUG_ON(class_idx >= slots->class_nr);
	return slots->class[class_idx].rounded_bytes;
}

const struct km_slots_stats *km_slots_stats(const struct km_slots *slots)
{
	return &slots->stats;
}
