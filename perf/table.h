/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/table.h - a plain hash table to hold others against: open addressing with
 * linear probing, at most half full, keys that are not 0.
 */
#ifndef KM_PERF_TABLE_H
#define KM_PERF_TABLE_H

#include <stdbool.h>
#include <stdlib.h>

#include "lib/base.h"

struct bench_table {
	uint64_t *key; /* [mask + 1]; 0 = vacant */
	uint32_t mask;
};

/* For @nr keys. Return: whether there was memory. */
static inline bool bench_table_init(struct bench_table *table, uint32_t nr)
{
	table->mask = (uint32_t)km_pow2_up(2ull * nr + 2) - 1;
	table->key = calloc(table->mask + 1ul, sizeof(*table->key));
	return table->key;
}

static inline uint32_t bench_table_home(const struct bench_table *table, uint64_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & table->mask;
}

/* Where @key is, or the vacant slot where it belongs. */
static inline uint32_t bench_table_find(const struct bench_table *table, uint64_t key)
{
	uint32_t i = bench_table_home(table, key);

	while (table->key[i] && table->key[i] != key)
		i = (i + 1) & table->mask;
	return i;
}

static inline bool bench_table_has(const struct bench_table *table, uint64_t key)
{
	return table->key[bench_table_find(table, key)] == key;
}

static inline void bench_table_insert(struct bench_table *table, uint64_t key)
{
	table->key[bench_table_find(table, key)] = key;
}

/* Source: Knuth, The Art of Computer Programming 3, 6.4, algorithm R. */
static inline void bench_table_remove(struct bench_table *table, uint64_t key)
{
	uint32_t hole = bench_table_find(table, key), i = hole, home;

	for (;;) {
		table->key[hole] = 0;
		do {
			i = (i + 1) & table->mask;
			if (!table->key[i])
				return;
			home = bench_table_home(table, table->key[i]);
			/* It stays where it is when its home lies behind the hole. */
		} while (((i - home) & table->mask) < ((i - hole) & table->mask));
		table->key[hole] = table->key[i];
		hole = i;
	}
}

#endif
