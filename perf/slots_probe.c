/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/slots_probe.c - what a cache slot costs: fresh, prefaulted, reused.
 *
 * Times writing one byte to each 4 KiB page of a slot, and counts the page
 * faults of that, for a slot that is taken fresh, taken prefaulted (the time
 * then includes the take), taken again, and for malloc() and free() of the
 * same size. The page that is written lies in no cache, so the floor is a
 * memory access a page, not nothing. Not shown: what filling a slot costs.
 *
 * Usage: slots_probe [MiB [ROUNDS [CPU]]]	default 100, 20 and the first allowed
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "alloc/slots.h"
#include "lib/clock.h"
#include "numa/topo.h"

#define MIB (UINT64_C(1) << 20)
#define ROUND_NR_MAX 1000

struct series {
	uint64_t ns[ROUND_NR_MAX];
	long faults_min, faults_max;
	unsigned int nr;
};

struct mark {
	uint64_t ns;
	long faults;
};

static long thread_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_minflt;
}

static struct mark start(void)
{
	return (struct mark){ .faults = thread_faults(), .ns = km_clock_ns() };
}

static void stop(struct series *series, struct mark mark)
{
	uint64_t ns = km_clock_ns() - mark.ns;
	long faults = thread_faults() - mark.faults;

	if (!series->nr || faults < series->faults_min)
		series->faults_min = faults;
	if (!series->nr || faults > series->faults_max)
		series->faults_max = faults;
	series->ns[series->nr++] = ns;
}

static void touch(char *slot, uint64_t bytes)
{
	uint64_t at;

	for (at = 0; at < bytes; at += 4096)
		((volatile char *)slot)[at] = 1;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_series(const char *pages, const char *what, struct series *series)
{
	const uint64_t *ns = series->ns;

	qsort(series->ns, series->nr, sizeof(series->ns[0]), by_value);
	printf("%-6s %-12s %10.1f %10.1f %10.1f %8ld %8ld\n", pages, what, (double)ns[0] / 1e3,
	       (double)ns[series->nr / 2] / 1e3, (double)ns[series->nr - 1] / 1e3,
	       series->faults_min, series->faults_max);
}

/* A new arena and pool each round: only so is a slot fresh. */
static int fresh_rounds(struct series *series, uint64_t bytes, unsigned int rounds, bool huge,
			bool prefault)
{
	const struct km_arena_cfg cfg = { .node = -1, .huge_pages = huge };
	int err = 0;

	while (!err && rounds--) {
		struct km_slots *slots;
		struct km_arena *arena;
		struct mark mark;
		char *slot;

		err = km_arena_create(&arena, &cfg);
		if (err)
			return err;
		err = km_slots_create(&slots, arena, 1, &bytes, UINT64_MAX, prefault);
		if (!err) {
			mark = start();
			slot = km_slots_take(slots, 0);
			err = slot ? 0 : -ENOMEM;
			if (slot) {
				touch(slot, bytes);
				stop(series, mark);
				km_slots_give(slots, 0, slot);
			}
			km_slots_destroy(slots);
		}
		km_arena_destroy(arena);
	}
	return err;
}

static int reuse_rounds(struct series *series, struct series *arena_series, uint64_t bytes,
			unsigned int rounds, bool huge)
{
	const struct km_arena_cfg cfg = { .node = -1, .huge_pages = huge };
	struct km_slots *slots;
	struct km_arena *arena;
	char *slot;
	int err;

	err = km_arena_create(&arena, &cfg);
	if (err)
		return err;
	err = km_slots_create(&slots, arena, 1, &bytes, UINT64_MAX, true);
	if (err)
		goto out_arena;
	slot = km_slots_take(slots, 0);
	while (slot && series->nr < rounds) {
		struct mark mark = start();

		km_slots_give(slots, 0, slot);
		slot = km_slots_take(slots, 0);
		touch(slot, bytes);
		stop(series, mark);
	}
	if (slot)
		km_slots_give(slots, 0, slot);
	km_slots_destroy(slots); /* the arena keeps the pages */
	slot = km_arena_alloc(arena, bytes, 64);
	while (slot && arena_series->nr < rounds) {
		struct mark mark = start();

		km_arena_free(arena, slot);
		slot = km_arena_alloc(arena, bytes, 64);
		if (slot)
			touch(slot, bytes);
		stop(arena_series, mark);
	}
	err = slot ? 0 : -ENOMEM;
out_arena:
	km_arena_destroy(arena);
	return err;
}

static int malloc_rounds(struct series *series, uint64_t bytes, unsigned int rounds)
{
	char *block = malloc(bytes);

	while (block && series->nr < rounds) {
		struct mark mark = start();

		free(block);
		block = malloc(bytes);
		if (block)
			touch(block, bytes);
		stop(series, mark);
	}
	free(block);
	return block ? 0 : -ENOMEM;
}

static int probe(uint64_t bytes, unsigned int rounds)
{
	static struct series fresh, prefault, slot, arena, heap;
	int huge, err = 0;

	printf("%-6s %-12s %10s %10s %10s %8s %8s\n", "pages", "what", "min us", "median us",
	       "max us", "faults", "to");
	for (huge = 0; huge <= 1 && !err; huge++) {
		const char *pages = huge ? "2 MiB" : "4 KiB";

		fresh.nr = prefault.nr = slot.nr = arena.nr = 0;
		/* The first pass over memory that the host has not backed yet is not ours. */
		err = fresh_rounds(&fresh, bytes, 2, huge, true);
		fresh.nr = 0;
		err = err ? err : fresh_rounds(&fresh, bytes, rounds, huge, false);
		err = err ? err : fresh_rounds(&prefault, bytes, rounds, huge, true);
		err = err ? err : reuse_rounds(&slot, &arena, bytes, rounds, huge);
		if (err)
			break;
		print_series(pages, "fresh", &fresh);
		print_series(pages, "prefaulted", &prefault);
		print_series(pages, "slot again", &slot);
		print_series(pages, "arena again", &arena);
	}
	err = err ? err : malloc_rounds(&heap, bytes, rounds);
	if (!err)
		print_series("heap", "malloc again", &heap);
	return err;
}

static int pin(const char *cpu_text)
{
	struct km_topo *topo;
	struct km_plan *plan;
	uint32_t cpu;
	int err;

	if (cpu_text)
		return km_pin_self((uint32_t)strtoul(cpu_text, NULL, 10), NULL);
	err = km_topo_open(&topo, NULL, NULL, NULL);
	if (err)
		return err;
	err = km_plan_make(&plan, topo, 1);
	km_topo_close(topo);
	if (err)
		return err;
	cpu = plan->agent[0].cpu;
	km_plan_destroy(plan);
	return km_pin_self(cpu, NULL);
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 20;
	int err;

	if (argc > 4 || !mib || mib > 65536 || !rounds || rounds > ROUND_NR_MAX) {
		fprintf(stderr, "usage: slots_probe [MiB [ROUNDS [CPU]]]; ROUNDS at most %d\n",
			ROUND_NR_MAX);
		return 2;
	}
	err = pin(argc > 3 ? argv[3] : NULL);
	err = err ? err : probe(mib * MIB, (unsigned int)rounds);
	if (err)
		fprintf(stderr, "slots_probe: %s\n", strerror(-err));
	return err ? 1 : 0;
}
