/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/slots_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "alloc/slots.h"
#include "lib/host.h"

#define MIB (UINT64_C(1) << 20)
#define MIB_MAX (1u << 20)
#define PAGE_BYTES 4096u
/* Slots that are there at a time: two kept, one more, and what allocators keep. */
#define SLOT_NR 6

enum { GET, TOUCH, PUT, ALL, PHASE_NR };

/* One way to a slot, and what it keeps from one to the next. */
struct way {
	const char *what;
	bool huge, prefault;
	/* Untimed, around each get and put; NULL = nothing to do. */
	int (*open)(struct way *way);
	void (*close)(struct way *way);
	void *(*get)(struct way *way);
	void (*put)(struct way *way, void *slot);

	uint64_t bytes;
	struct km_arena *arena;
	struct km_slots *slots;
	struct km_bench_times *times; /* [PHASE_NR] */
	uint64_t faults_least, faults_most;
};

/* ---- ways ------------------------------------------------------------------------ */

static int open_pool(struct way *way)
{
	const struct km_arena_cfg cfg = { .node = -1, .huge_pages = way->huge };
	int err = way->slots ? 0 : km_arena_create(&way->arena, &cfg);

	if (err || way->slots)
		return err;
	return km_slots_create(&way->slots, way->arena, 1, &way->bytes, UINT64_MAX, way->prefault);
}

static void close_pool(struct way *way)
{
	km_slots_destroy(way->slots);
	km_arena_destroy(way->arena);
	way->slots = NULL;
	way->arena = NULL;
}

static void *take(struct way *way)
{
	return km_slots_take(way->slots, 0);
}

static void give(struct way *way, void *slot)
{
	km_slots_give(way->slots, 0, slot);
}

static void *map(struct way *way)
{
	void *slot =
		mmap(NULL, way->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slot == MAP_FAILED)
		return NULL;
	km_ignore(madvise(slot, way->bytes,
			  way->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)); /* a wish */
	return slot;
}

static void unmap(struct way *way, void *slot)
{
	munmap(slot, way->bytes);
}

static void *linked_get(struct way *way)
{
	return malloc(way->bytes);
}

static void linked_put(struct way *way, void *slot)
{
	(void)way;
	free(slot);
}

#ifdef __GLIBC__
/* The C library's own, which the process's malloc() hides. */
void *__libc_malloc(size_t bytes);
void __libc_free(void *ptr);

static void *glibc_get(struct way *way)
{
	return __libc_malloc(way->bytes);
}

static void glibc_put(struct way *way, void *slot)
{
	(void)way;
	__libc_free(slot);
}
#endif

/* The recycled slot on small pages is what the others are held against. */
#define BASE 0

static const struct way ways[] = {
	{ .what = "slot, recycled", .open = open_pool, .get = take, .put = give, .prefault = true },
	{ .what = "slot, recycled",
	  .huge = true,
	  .prefault = true,
	  .open = open_pool,
	  .get = take,
	  .put = give },
	{ .what = "slot, new", .open = open_pool, .close = close_pool, .get = take, .put = give },
	{ .what = "slot, new",
	  .huge = true,
	  .open = open_pool,
	  .close = close_pool,
	  .get = take,
	  .put = give },
	{ .what = "slot, prefaulted",
	  .prefault = true,
	  .open = open_pool,
	  .close = close_pool,
	  .get = take,
	  .put = give },
	{ .what = "slot, prefaulted",
	  .huge = true,
	  .prefault = true,
	  .open = open_pool,
	  .close = close_pool,
	  .get = take,
	  .put = give },
	{ .what = "mmap", .get = map, .put = unmap },
	{ .what = "mmap", .huge = true, .get = map, .put = unmap },
#ifdef __GLIBC__
	{ .what = "malloc, glibc", .get = glibc_get, .put = glibc_put },
#endif
	{ .what = "malloc, linked", .get = linked_get, .put = linked_put },
};

#define WAY_NR KM_ARRAY_NR(ways)

/* ---- one slot, once ------------------------------------------------------------------ */

static uint64_t thread_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_minflt;
}

static void touch(volatile uint8_t *slot, uint64_t bytes, uint8_t mark)
{
	uint64_t at;

	for (at = 0; at < bytes; at += PAGE_BYTES)
		slot[at] = mark;
}

static bool is_marked(const volatile uint8_t *slot, uint64_t bytes, uint8_t mark)
{
	uint64_t at, right = 0;

	for (at = 0; at < bytes; at += PAGE_BYTES)
		right += slot[at] == mark;
	return right == KM_DIV_UP(bytes, PAGE_BYTES);
}

static void count_faults(struct way *way, uint64_t faults, bool first)
{
	way->faults_least = first ? faults : km_min_u64(faults, way->faults_least);
	way->faults_most = first ? faults : km_max_u64(faults, way->faults_most);
}

static int cycle(const struct km_bench_env *env, struct way *way, uint32_t round_nr)
{
	const uint8_t mark = (uint8_t)round_nr;
	uint64_t at[2], got_ns, touched_ns, put_ns, faults = thread_faults();
	void *slot;
	bool right;

	at[0] = km_clock_ns();
	slot = way->get(way);
	got_ns = km_clock_ns() - at[0];
	if (!slot)
		return -ENOMEM;
	at[1] = km_clock_ns();
	touch(slot, way->bytes, mark);
	touched_ns = km_clock_ns() - at[1];
	right = is_marked(slot, way->bytes, mark);
	at[1] = km_clock_ns();
	way->put(way, slot);
	put_ns = km_clock_ns() - at[1];
	faults = thread_faults() - faults;
	if (!right)
		return -EIO;
	if (round_nr > 1)
		count_faults(way, faults, round_nr == 2);
	got_ns -= km_min_u64(got_ns, env->timer_ns);
	touched_ns -= km_min_u64(touched_ns, env->timer_ns);
	put_ns -= km_min_u64(put_ns, env->timer_ns);
	km_hist_add(&way->times[GET].round, got_ns * KM_BENCH_PS_PER_NS);
	km_hist_add(&way->times[TOUCH].round, touched_ns * KM_BENCH_PS_PER_NS);
	km_hist_add(&way->times[PUT].round, put_ns * KM_BENCH_PS_PER_NS);
	km_hist_add(&way->times[ALL].round, (got_ns + touched_ns + put_ns) * KM_BENCH_PS_PER_NS);
	return 0;
}

static int round_of(const struct km_bench_env *env, struct way *way,
		    const struct km_bench_pace *pace)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < WAY_NR && !err; i++) {
		err = way[i].open ? way[i].open(&way[i]) : 0;
		if (!err)
			err = cycle(env, &way[i], pace->round_nr);
		if (way[i].close)
			way[i].close(&way[i]);
		km_bench_times_end_round(way[i].times, PHASE_NR, pace);
	}
	return err;
}

/* ---- one size ------------------------------------------------------------------------ */

static int tell_way(const struct km_bench_env *env, const struct way *way, const struct way *base)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "slot", way->what);
	km_bench_count(&row, "mib", "MiB", way->bytes / MIB);
	km_bench_count(&row, "page_bytes", "page", way->huge ? KM_ARENA_HUGE_BYTES : PAGE_BYTES);
	km_bench_times(&row, "all_ns", "p50", &way->times[ALL]);
	km_bench_p50(&row, "get_ns", "get", &way->times[GET]);
	km_bench_p50(&row, "touch_ns", "touch", &way->times[TOUCH]);
	km_bench_p50(&row, "put_ns", "put", &way->times[PUT]);
	km_bench_count(&row, "faults_least", "faults", way->faults_least);
	km_bench_count(&row, "faults_most", "most", way->faults_most);
	km_bench_real(&row, "ratio", "ratio", km_bench_ratio(&way->times[ALL], &base->times[ALL]));
	return env->tell(env->ctx, &row);
}

static int check(const struct way *way, struct km_diag *diag)
{
	uint32_t i;

	/* Least, as the kernel may take a page away for a moment to move it. */
	for (i = 0; i < WAY_NR; i++)
		if (!way[i].close && way[i].open && way[i].faults_least)
			return km_diag_set(diag, -EIO, NULL, 0, 0,
					   "a recycled slot of %" PRIu64 " MiB faults %" PRIu64
					   " pages",
					   way[i].bytes / MIB, way[i].faults_least);
	return 0;
}

static int run_size(struct km_bench_env *env, uint64_t bytes, double share, struct km_diag *diag)
{
	struct km_bench_times *times = km_bench_times_create(WAY_NR * PHASE_NR, 1);
	struct way way[WAY_NR];
	struct km_bench_pace pace;
	uint32_t i;
	int err = times ? 0 : -ENOMEM;

	for (i = 0; i < WAY_NR; i++) {
		way[i] = ways[i];
		way[i].bytes = bytes;
		way[i].times = times + (size_t)i * PHASE_NR;
	}
	km_bench_pace_start(&pace, env, share);
	while (!err && km_bench_pace_more(&pace))
		err = round_of(env, way, &pace);
	if (err == -EIO)
		km_diag_set(diag, err, NULL, 0, 0, "what was written to a slot is not there");
	if (!err)
		err = check(way, diag);
	for (i = 0; i < WAY_NR && !err; i++)
		err = tell_way(env, &way[i], &way[BASE]);
	for (i = 0; i < WAY_NR; i++)
		close_pool(&way[i]);
	free(times);
	return err;
}

int km_bench_slots(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_slots_cfg *cfg = ctx;
	const uint64_t have = km_host_memory("") / MIB;
	uint64_t sum = 0;
	uint32_t i;
	int err = 0;

	for (i = 0; i < cfg->mib_nr; i++) {
		if (!cfg->mib[i] || cfg->mib[i] > MIB_MAX)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--mib: from 1 to %u",
					   MIB_MAX);
		if (SLOT_NR * (uint64_t)cfg->mib[i] > have)
			return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
					   "%d slots of %" PRIu32 " MiB are needed, and %" PRIu64
					   " MiB are available",
					   SLOT_NR, cfg->mib[i], have);
		sum += cfg->mib[i];
	}
	for (i = 0; i < cfg->mib_nr && !err; i++)
		err = run_size(env, cfg->mib[i] * MIB, (double)cfg->mib[i] / (double)sum, diag);
	return err;
}
