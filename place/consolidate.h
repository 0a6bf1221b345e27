/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/consolidate.h - one type's servers in order of preference.
 *
 * One 64-bit key a server, smaller is better, UINT64_MAX = not feasible. Keys
 * lie in blocks of eight, one 64-byte line each; over the blocks stands a binary
 * tree whose nodes hold the least key below them and how many servers have it:
 *
 *	node[1]            {min, count} of all
 *	node[2]  node[3]   children of node i are 2i and 2i + 1
 *	...
 *	node[n .. 2n - 1]  leaf of block b is node[n + b], n = blocks
 *
 * The best key is at the root; one of the best servers is found by descending
 * with a random number below the count, so each is equally likely (C6). n need not be
 * a power of two: every node from 2 on has its parent, and min and count do not
 * depend on the order of the blocks. 12 bytes a server.
 *
 * Context: one thread, the owner of the slot. Progress: bounded, as stated.
 */
#ifndef KM_PLACE_CONSOLIDATE_H
#define KM_PLACE_CONSOLIDATE_H

#include <stdint.h>

#include "lib/base.h"
#include "lib/rand.h"

#define KM_CONS_BLOCK 8u
#define KM_KEY_NONE UINT64_MAX

struct km_cons_node {
	uint64_t min;
	uint32_t count; /* servers with that key; 0 when min is KM_KEY_NONE */
	uint32_t zero; /* so that equal objects are equal bytes */
};

/* Where things lie in a slot; made by km_cons_map(), holds nothing of its own. */
struct km_cons {
	uint32_t server_nr, block_nr;
	uint64_t *key; /* [block_nr * KM_CONS_BLOCK] */
	struct km_cons_node *node; /* [2 * block_nr] */
};

/** km_cons_bytes() - size of a slot for @server_nr (at least 1) servers. */
uint64_t km_cons_bytes(uint32_t server_nr);

/** km_cons_map() - @slot (64-byte aligned, km_cons_bytes() long) as an object. */
void km_cons_map(struct km_cons *cons, void *slot, uint32_t server_nr);

/**
 * km_cons_raise() - build the tree over leaves that are all there.
 *
 * Who builds makes the leaves while their keys are at hand; keys past server_nr are
 * KM_KEY_NONE. O(server_nr), streaming.
 */
void km_cons_raise(struct km_cons *cons);

/* The leaf over one block of keys. */
static inline struct km_cons_node km_cons_leaf(const uint64_t *key)
{
	struct km_cons_node leaf = { KM_KEY_NONE, 0, 0 };
	uint32_t i;

	for (i = 0; i < KM_CONS_BLOCK; i++)
		leaf.min = km_min_u64(leaf.min, key[i]);
	for (i = 0; i < KM_CONS_BLOCK; i++)
		leaf.count += key[i] == leaf.min;
	if (leaf.min == KM_KEY_NONE)
		leaf.count = 0;
	return leaf;
}

/** km_cons_set() - give @server (below server_nr) a new key. O(log server_nr). */
void km_cons_set(struct km_cons *cons, uint32_t server, uint64_t key);

/**
 * km_cons_best() - a uniformly random one of the servers with the least key.
 * O(log server_nr). Return: false when no server is feasible.
 */
bool km_cons_best(const struct km_cons *cons, struct km_rand *rand, uint32_t *server);

/** km_cons_check() - recount everything; tests. Return: NULL or what is wrong. */
const char *km_cons_check(const struct km_cons *cons);

#endif
