/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/dispatch_rivals.c - what a decision is held against: the least that any
 * could cost, and the usual way.
 *
 * The floor looks at one owned number an agent and nothing else: no policy that
 * weighs queues can look at less. The naive way keeps a hash table of each
 * agent's keys and probes it for the type and for every rule.
 */
#include <stdlib.h>
#include <string.h>

#include "perf/dispatch_internal.h"

/* ---- the floor ------------------------------------------------------------------ */

static uint32_t argmin_plain(const uint64_t *value, uint32_t nr)
{
	uint32_t i, least = 0;

	for (i = 1; i < nr; i++)
		if (value[i] < value[least])
			least = i;
	return least;
}

uint32_t (*bench_argmin)(const uint64_t *value, uint32_t nr) = argmin_plain;

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static uint32_t argmin_avx512(const uint64_t *value, uint32_t nr)
{
	const __m512i *v = (const __m512i *)(const void *)value;
	__m512i min0 = _mm512_set1_epi64(-1), min1 = min0, want;
	uint64_t least;
	uint32_t i;

	for (i = 0; i + 16 <= nr; i += 16) {
		min0 = _mm512_min_epu64(min0, _mm512_loadu_si512(v + i / 8));
		min1 = _mm512_min_epu64(min1, _mm512_loadu_si512(v + i / 8 + 1));
	}
	least = _mm512_reduce_min_epu64(_mm512_min_epu64(min0, min1));
	for (; i < nr; i++)
		least = km_min_u64(least, value[i]);
	want = _mm512_set1_epi64((long long)least);
	for (i = 0; i + 8 <= nr; i += 8) {
		uint32_t mask = _mm512_cmpeq_epi64_mask(_mm512_loadu_si512(v + i / 8), want);

		if (mask)
			return i + (uint32_t)__builtin_ctz(mask);
	}
	while (value[i] != least)
		i++;
	return i;
}

/* Sums are far below 2^63, so the signed comparison that AVX2 has is right. */
__attribute__((target("avx2"))) static uint32_t argmin_avx2(const uint64_t *value, uint32_t nr)
{
	const __m256i *v = (const __m256i *)(const void *)value;
	__m256i min = _mm256_set1_epi64x(INT64_MAX), x, want;
	uint64_t lane[4], least;
	uint32_t i;

	for (i = 0; i + 4 <= nr; i += 4) {
		x = _mm256_loadu_si256(v + i / 4);
		min = _mm256_blendv_epi8(min, x, _mm256_cmpgt_epi64(min, x));
	}
	_mm256_storeu_si256((__m256i *)(void *)lane, min);
	least = km_min_u64(km_min_u64(lane[0], lane[1]), km_min_u64(lane[2], lane[3]));
	for (; i < nr; i++)
		least = km_min_u64(least, value[i]);
	want = _mm256_set1_epi64x((long long)least);
	for (i = 0; i + 4 <= nr; i += 4) {
		x = _mm256_cmpeq_epi64(_mm256_loadu_si256(v + i / 4), want);
		if (_mm256_movemask_epi8(x))
			return i + (uint32_t)__builtin_ctz((uint32_t)_mm256_movemask_epi8(x)) / 8;
	}
	while (value[i] != least)
		i++;
	return i;
}
#endif

const char *bench_argmin_init(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f")) {
		bench_argmin = argmin_avx512;
		return "avx512";
	}
	if (__builtin_cpu_supports("avx2")) {
		bench_argmin = argmin_avx2;
		return "avx2";
	}
#endif
	bench_argmin = argmin_plain;
	return "portable";
}

/* ---- the naive way ---------------------------------------------------------------- */

/* Open addressing, at most half full; 0 = vacant. */
struct table {
	uint64_t *key;
	uint32_t mask, nr;
};

struct bench_naive {
	uint32_t agent_nr;
	struct table *table; /* [agent_nr] */
};

static uint64_t key_of(enum km_cache_level level, uint32_t id)
{
	return ((uint64_t)level + 1) << 32 | id;
}

static uint32_t first_slot(const struct table *table, uint64_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & table->mask;
}

static bool probe(const struct table *table, uint64_t key)
{
	uint32_t i = first_slot(table, key);

	for (; table->key[i]; i = (i + 1) & table->mask)
		if (table->key[i] == key)
			return true;
	return false;
}

static void insert(struct table *table, uint64_t key)
{
	uint32_t i = first_slot(table, key);

	while (table->key[i])
		i = (i + 1) & table->mask;
	table->key[i] = key;
}

/* For each (level, id, agent) of the augmented cache: count it, or insert it. */
static void for_all(struct bench_naive *naive, const struct km_view *view, bool fill)
{
	uint32_t level, id, w, a;
	uint64_t word;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (id = 0; id < view->cap[level]; id++) {
			const uint64_t *row = km_view_row(view, level, id, KM_VIEW_AUGMENTED);

			for (w = 0; w < view->word_nr; w++) {
				for (word = row[w]; word; word &= word - 1) {
					a = w * 64 + (uint32_t)__builtin_ctzll(word);
					if (fill)
						insert(&naive->table[a], key_of(level, id));
					else
						naive->table[a].nr++;
				}
			}
		}
	}
}

struct bench_naive *bench_naive_create(const struct km_view *view)
{
	struct bench_naive *naive = calloc(1, sizeof(*naive));
	struct table *table;
	uint32_t a;

	if (!naive)
		return NULL;
	naive->agent_nr = view->agent_nr;
	naive->table = calloc(view->agent_nr, sizeof(*naive->table));
	if (!naive->table) {
		bench_naive_destroy(naive);
		return NULL;
	}
	for_all(naive, view, false);
	for (a = 0; a < view->agent_nr; a++) {
		table = &naive->table[a];
		table->mask = (uint32_t)km_pow2_up(2ull * table->nr + 2) - 1;
		table->key = calloc(table->mask + 1ul, sizeof(*table->key));
		if (!table->key) {
			bench_naive_destroy(naive);
			return NULL;
		}
	}
	for_all(naive, view, true);
	return naive;
}

void bench_naive_destroy(struct bench_naive *naive)
{
	uint32_t a;

	if (!naive)
		return;
	for (a = 0; naive->table && a < naive->agent_nr; a++)
		free(naive->table[a].key);
	free(naive->table);
	free(naive);
}

static uint64_t naive_ns(const struct table *table, const struct km_view *view,
			 const struct km_type *type, bool rule_level, bool *top)
{
	const struct km_estimates *est = view->est;
	uint64_t ns = est->build_ns;
	uint32_t r;

	*top = probe(table, key_of(KM_CACHE_TOP, type->key.id));
	if (*top)
		return est->type_hit_ns[type->key.id];
	if (!rule_level)
		return est->miss_all_ns;
	for (r = 0; r < view->rule_nr; r++)
		ns += probe(table, key_of(KM_CACHE_RULE, type->rule[r].id)) ? est->rule_hit_ns[r]
									    : est->rule_miss_ns[r];
	return ns;
}

uint32_t bench_naive_pick(const struct bench_naive *naive, const struct km_view *view,
			  const struct km_type *type, bool rule_level)
{
	uint64_t best_ns = UINT64_MAX, ns;
	uint32_t a, best = KM_NO_AGENT;
	bool best_top = false, top;

	for (a = 0; a < naive->agent_nr; a++) {
		if (!km_view_is_open(view, a))
			continue;
		ns = view->wait_ns[a] + km_view_remaining_ns(view, a) +
		     naive_ns(&naive->table[a], view, type, rule_level, &top);
		if (ns < best_ns ||
		    (ns == best_ns &&
		     (top > best_top ||
		      (top == best_top && view->queued_nr[a] < view->queued_nr[best])))) {
			best_ns = ns;
			best = a;
			best_top = top;
		}
	}
	return best;
}
