/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/dict.c - strings to dense numbers: open addressing over an arena.
 *
 * A slot holds the number plus one (0 = free) beside 32 bits of the hash, so
 * that a probe touches the string only when those agree. Strings lie one after
 * another in blocks that never move, hence km_dict_text() stays valid.
 */
#include "place/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define SLOTS_MIN 16
#define BLOCK_BYTES ((size_t)64 << 10)

struct block {
	struct block *older;
	char text[];
};

struct slot {
	uint32_t hash;
	uint32_t id_plus_1;
};

struct km_dict {
	struct slot *slot;
	uint32_t slot_nr; /* a power of two, more than 4/3 of nr */
	uint32_t nr, text_cap;
	const char **text; /* [nr] */
	uint32_t *text_bytes; /* [nr] */
	struct block *block; /* the newest is filled */
	size_t block_used, block_cap;
};

int km_dict_create(struct km_dict **out)
{
	struct km_dict *dict = calloc(1, sizeof(*dict));

	if (!dict)
		return -ENOMEM;
	dict->slot_nr = SLOTS_MIN;
	dict->slot = calloc(dict->slot_nr, sizeof(*dict->slot));
	if (!dict->slot) {
		free(dict);
		return -ENOMEM;
	}
	*out = dict;
	return 0;
}

void km_dict_destroy(struct km_dict *dict)
{
	struct block *block, *older;

	if (!dict)
		return;
	for (block = dict->block; block; block = older) {
		older = block->older;
		free(block);
	}
	free(dict->text);
	free(dict->text_bytes);
	free(dict->slot);
	free(dict);
}

static uint32_t hash_of(const char *text, size_t bytes)
{
	return (uint32_t)XXH3_64bits(text, bytes);
}

/* The slot of @text, or the free slot where it belongs. */
static struct slot *find_slot(const struct km_dict *dict, uint32_t hash, const char *text,
			      size_t bytes)
{
	uint32_t mask = dict->slot_nr - 1, i;

	for (i = hash & mask;; i = (i + 1) & mask) {
		struct slot *slot = &dict->slot[i];
		uint32_t id = slot->id_plus_1 - 1;

		if (!slot->id_plus_1)
			return slot;
		if (slot->hash == hash && dict->text_bytes[id] == bytes &&
		    !memcmp(dict->text[id], text, bytes))
			return slot;
	}
}

static int grow_slots(struct km_dict *dict)
{
	uint64_t slot_nr = (uint64_t)dict->slot_nr * 2;
	struct slot *old = dict->slot, *fresh;
	uint32_t old_nr = dict->slot_nr, mask, i, j;

	if (slot_nr > UINT32_C(1) << 31)
		return -EOVERFLOW;
	fresh = calloc(slot_nr, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	mask = (uint32_t)slot_nr - 1;
	for (i = 0; i < old_nr; i++) {
		if (!old[i].id_plus_1)
			continue;
		for (j = old[i].hash & mask; fresh[j].id_plus_1; j = (j + 1) & mask)
			;
		fresh[j] = old[i];
	}
	dict->slot = fresh;
	dict->slot_nr = (uint32_t)slot_nr;
	free(old);
	return 0;
}

static int grow_texts(struct km_dict *dict)
{
	uint32_t cap = dict->text_cap ? dict->text_cap * 2 : SLOTS_MIN;
	uint32_t *bytes;
	const char **text;

	text = realloc(dict->text, cap * sizeof(*text));
	if (!text)
		return -ENOMEM;
	dict->text = text;
	bytes = realloc(dict->text_bytes, cap * sizeof(*bytes));
	if (!bytes)
		return -ENOMEM;
	dict->text_bytes = bytes;
	dict->text_cap = cap;
	return 0;
}

/* A copy of @text with a NUL behind it, or NULL. */
static const char *keep_text(struct km_dict *dict, const char *text, size_t bytes)
{
	size_t need = bytes + 1, cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
	struct block *block;
	char *copy;

	if (!dict->block || dict->block_cap - dict->block_used < need) {
		block = malloc(sizeof(*block) + cap);
		if (!block)
			return NULL;
		block->older = dict->block;
		dict->block = block;
		dict->block_cap = cap;
		dict->block_used = 0;
	}
	copy = dict->block->text + dict->block_used;
	dict->block_used += need;
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	return copy;
}

int km_dict_intern(struct km_dict *dict, const char *text, size_t bytes, uint32_t *id, bool *added)
{
	uint32_t hash = hash_of(text, bytes);
	struct slot *slot = find_slot(dict, hash, text, bytes);
	const char *copy;
	int err = 0;

	if (added)
		*added = !slot->id_plus_1;
	if (slot->id_plus_1) {
		*id = slot->id_plus_1 - 1;
		return 0;
	}
	if (bytes > UINT32_MAX - 1)
		return -EOVERFLOW;
	if (dict->nr >= dict->slot_nr / 4 * 3) {
		err = grow_slots(dict);
		slot = find_slot(dict, hash, text, bytes);
	}
	if (!err && dict->nr == dict->text_cap)
		err = grow_texts(dict);
	if (err)
		return err;
	copy = keep_text(dict, text, bytes);
	if (!copy)
		return -ENOMEM;
	*id = dict->nr;
	dict->text[*id] = copy;
	dict->text_bytes[*id] = (uint32_t)bytes;
	slot->hash = hash;
	slot->id_plus_1 = ++dict->nr;
	return 0;
}

uint32_t km_dict_find(const struct km_dict *dict, const char *text, size_t bytes)
{
	/* A free slot has 0 there: 0 - 1 is KM_DICT_NONE. */
	return find_slot(dict, hash_of(text, bytes), text, bytes)->id_plus_1 - 1;
}

const char *km_dict_text(const struct km_dict *dict, uint32_t id)
{
	KM_BUG_ON(id >= dict->nr);
	return dict->text[id];
}

uint32_t km_dict_nr(const struct km_dict *dict)
{
	return dict->nr;
}
