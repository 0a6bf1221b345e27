/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/snap_stress.c - snapshots: a reader sees one whole version,
 * never an older one after a newer one, and never one that was freed.
 *
 * The contents are plain memory, and freeing first overwrites it, so that a
 * missing order or grace period is a race that ThreadSanitizer reports.
 *
 * Catches: SNAP_R1 SNAP_A1 SNAP_G1 (thread sanitizer)
 */
#include "tests/stress/stress.h"

#include "lib/snap.h"

#define WORD_NR 32u
#define READER_NR 2u
/* Retired snapshots that may wait for their grace period. */
#define BACKLOG_NR 1000u

struct version {
	struct km_snap_head head;
	uint64_t nr;
	uint64_t word[WORD_NR]; /* nr + index */
};

struct side {
	struct km_snap *snap;
	_Atomic bool *stop;
	uint64_t end_ns;
	uint64_t nr; /* published or read */
	uint64_t bad;
	struct km_rand rand;
};

static _Atomic uint64_t freed_nr;

static void version_free(struct km_snap_head *head)
{
	struct version *v = km_container_of(head, struct version, head);
	uint32_t i;

	for (i = 0; i < WORD_NR; i++)
		v->word[i] = UINT64_MAX;
	free(v);
	/* relaxed: a count, read after the drain */
	atomic_fetch_add_explicit(&freed_nr, 1, memory_order_relaxed);
}

static bool publish(struct side *side)
{
	struct version *v = malloc(sizeof(*v)), *last;
	uint32_t i;

	if (!v)
		return false;
	v->nr = ++side->nr;
	for (i = 0; i < WORD_NR; i++)
		v->word[i] = v->nr + i;
	last = km_snap_publish(side->snap, v);
	if (last)
		km_snap_retire(&last->head, version_free);
	return true;
}

static void *writer(void *arg)
{
	struct side *side = arg;
	struct version *last;

	km_snap_thread_start();
	while (km_clock_ns() < side->end_ns) {
		side->bad += !publish(side);
		stress_delay(&side->rand);
		km_snap_quiesce();
		if (side->nr % BACKLOG_NR == 0)
			km_snap_drain();
	}
	/* relaxed: carries nothing */
	atomic_store_explicit(side->stop, true, memory_order_relaxed);
	last = km_snap_publish(side->snap, NULL);
	if (last)
		km_snap_retire(&last->head, version_free);
	km_snap_drain();
	/* relaxed: the drain ordered it */
	side->bad += atomic_load_explicit(&freed_nr, memory_order_relaxed) != side->nr;
	km_snap_thread_stop();
	return NULL;
}

/* Return: the version read, 0 = none is published. */
static uint64_t read_once(struct side *side, uint64_t seen)
{
	const struct version *v;
	uint64_t nr = 0;
	uint32_t i;

	km_snap_enter();
	v = km_snap_read(side->snap);
	if (v) {
		nr = v->nr;
		stress_delay(&side->rand);
		for (i = 0; i < WORD_NR; i++)
			side->bad += v->word[i] != nr + i;
		side->bad += nr < seen;
	}
	km_snap_leave();
	return nr;
}

static void *reader(void *arg)
{
	struct side *side = arg;
	uint64_t seen = 0, nr;

	km_snap_thread_start();
	/* relaxed: carries nothing */
	while (!atomic_load_explicit(side->stop, memory_order_relaxed)) {
		nr = read_once(side, seen);
		seen = nr ? nr : seen;
		side->nr += nr != 0;
		/* several sections between two quiescent states, as an agent does */
		if (km_rand_below(&side->rand, 4) == 0)
			km_snap_quiesce();
		if (km_rand_below(&side->rand, 100) == 0) {
			km_snap_offline();
			sched_yield();
			km_snap_online();
		}
	}
	km_snap_thread_stop();
	return NULL;
}

static void readers_see_whole_live_versions_in_order(void **state)
{
	static void *(*const fn[])(void *) = { writer, reader, reader };
	uint64_t seed = km_test_seed(km_clock_ns()), end = stress_deadline(1);
	struct side side[1 + READER_NR] = { 0 };
	static struct km_snap snap;
	_Atomic bool stop = false;
	uint32_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(side); i++) {
		side[i].snap = &snap;
		side[i].stop = &stop;
		side[i].end_ns = end;
		km_rand_init(&side[i].rand, seed + i);
	}
	stress_run(fn, side, sizeof(side[0]), KM_ARRAY_NR(side));
	for (i = 0; i < KM_ARRAY_NR(side); i++)
		assert_int_equal(side[i].bad, 0);
	printf("# %llu versions, %llu + %llu reads\n", (unsigned long long)side[0].nr,
	       (unsigned long long)side[1].nr, (unsigned long long)side[2].nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_whole_live_versions_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
