/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/consolidate.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct km_cons_node) == 16, "two siblings share half a line");
static_assert(KM_CONS_BLOCK * sizeof(uint64_t) == 64, "a block is a line");

uint64_t km_cons_bytes(uint32_t server_nr)
{
	const uint64_t blocks = KM_DIV_UP((uint64_t)server_nr, KM_CONS_BLOCK);

	return blocks * KM_CONS_BLOCK * sizeof(uint64_t) + 2 * blocks * sizeof(struct km_cons_node);
}

void km_cons_map(struct km_cons *cons, void *slot, uint32_t server_nr)
{
	cons->server_nr = server_nr;
	cons->block_nr = (uint32_t)KM_DIV_UP((uint64_t)server_nr, KM_CONS_BLOCK);
	cons->key = slot;
	cons->node = (void *)(cons->key + (uint64_t)cons->block_nr * KM_CONS_BLOCK);
}

static inline struct km_cons_node join(const struct km_cons_node *a, const struct km_cons_node *b)
{
	struct km_cons_node node;

	node.min = km_min_u64(a->min, b->min);
	node.count = (a->min == node.min ? a->count : 0) + (b->min == node.min ? b->count : 0);
	node.zero = 0;
	return node;
}

void km_cons_raise(struct km_cons *cons)
{
	uint64_t i;

	for (i = cons->block_nr - 1; i >= 1; i--)
		cons->node[i] = join(&cons->node[2 * i], &cons->node[2 * i + 1]);
	memset(&cons->node[0], 0, sizeof(cons->node[0]));
}

void km_cons_set(struct km_cons *cons, uint32_t server, uint64_t key)
{
	const uint32_t block = server / KM_CONS_BLOCK;
	uint64_t i = (uint64_t)cons->block_nr + block;
	struct km_cons_node next;

	if (cons->key[server] == key)
		return;
	cons->key[server] = key;
	next = km_cons_leaf(&cons->key[(uint64_t)block * KM_CONS_BLOCK]);
	for (;;) {
		struct km_cons_node *node = &cons->node[i];

		/* Nothing above depends on more than min and count. */
		if (node->min == next.min && node->count == next.count)
			return;
		*node = next;
		if (i == 1)
			return;
		i >>= 1;
		next = join(&cons->node[2 * i], &cons->node[2 * i + 1]);
	}
}

bool km_cons_best(const struct km_cons *cons, struct km_rand *rand, uint32_t *server)
{
	const uint64_t min = cons->node[1].min;
	uint64_t i = 1;
	uint32_t turn, b;

	if (min == KM_KEY_NONE)
		return false;
	turn = (uint32_t)km_rand_below(rand, cons->node[1].count);
	while (i < cons->block_nr) {
		const struct km_cons_node *left = &cons->node[2 * i];
		const uint32_t count = left->min == min ? left->count : 0;

		i = 2 * i + (turn >= count);
		if (turn >= count)
			turn -= count;
	}
	b = (uint32_t)(i - cons->block_nr) * KM_CONS_BLOCK;
	while (cons->key[b] != min || turn--)
		b++;
	*server = b;
	return true;
}

const char *km_cons_check(const struct km_cons *cons)
{
	const uint64_t n = cons->block_nr;
	struct km_cons_node want;
	uint64_t i;

	for (i = cons->server_nr; i < n * KM_CONS_BLOCK; i++)
		if (cons->key[i] != KM_KEY_NONE)
			return "a key past the last server";
	for (i = 1; i < 2 * n; i++) {
		want = i < n ? join(&cons->node[2 * i], &cons->node[2 * i + 1])
			     : km_cons_leaf(&cons->key[(i - n) * KM_CONS_BLOCK]);
		if (want.min != cons->node[i].min)
			return "a node's least key";
		if (want.count != cons->node[i].count)
			return "a node's count";
	}
	return NULL;
}
