/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/objects.c - rule slots and consolidated slots: built anew in one
 * streaming pass, or brought up to date server by server.
 *
 * A key joins the buckets of all preferences, earlier rules more significant,
 * so comparing keys is comparing in strict priority.
 */
#include "place/place_internal.h"

#include <string.h>

/* Changed servers are looked up in many slots: fetch ahead of use. */
#define AHEAD 8u

void km_place_rule_eval(struct km_workload_agent *wa, uint32_t rule_idx, const struct km_type *type,
			void *slot)
{
	km_rule_stream(wa->place->kernels, wa->place->bound, rule_idx, type->trait, &wa->view.cols,
		       wa->lut_scratch, 0, wa->place->column_nr, slot);
}

static inline void put_bit(uint64_t *bitmap, uint32_t server, uint32_t value)
{
	uint64_t *word = &bitmap[server / KM_WORD_BITS];

	*word = (*word & ~(UINT64_C(1) << server % KM_WORD_BITS)) |
		(uint64_t)value << server % KM_WORD_BITS;
}

static inline bool get_bit(const uint64_t *bitmap, uint32_t server)
{
	return bitmap[server / KM_WORD_BITS] >> server % KM_WORD_BITS & 1;
}

void km_place_rule_update(struct km_workload_agent *wa, uint32_t rule_idx,
			  const struct km_type *type, void *slot, uint64_t rev)
{
	const struct km_bound *bound = wa->place->bound;
	const bool validator = bound->rule[rule_idx].validator;
	const struct km_columns *cols = &wa->view.cols;
	const uint32_t *server;
	uint32_t i, nr;

	if (!km_rule_moves(bound, rule_idx, type->trait))
		return;
	server = km_place_view_changes(wa, rev, &nr);
	for (i = 0; i < nr; i++) {
		uint32_t value = km_rule_at(bound, rule_idx, type->trait, cols, server[i]);

		if (validator)
			put_bit(slot, server[i], value);
		else
			((uint8_t *)slot)[server[i]] = (uint8_t)value;
	}
}

/* ---- consolidated ------------------------------------------------------------------ */

/* Keys of @n servers from @lo on and their leaves; what is past the last server is none. */
static void put_stretch(const struct km_kernels *k, struct km_cons *cons, uint64_t lo, uint64_t n,
			uint64_t *key)
{
	/* The last block ends within the last word. */
	const uint64_t whole = km_min_u64(n, (uint64_t)cons->block_nr * KM_CONS_BLOCK - lo);
	uint64_t i;

	for (i = cons->server_nr - lo; i < whole; i++)
		key[i] = KM_KEY_NONE;
	memcpy(cons->key + lo, key, whole * sizeof(*key));
	k->leaves(key, cons->node + cons->block_nr + lo / KM_CONS_BLOCK, whole / KM_CONS_BLOCK);
}

void km_place_top_build(struct km_workload_agent *wa, const struct km_type *type,
			void *const *rule_slots, void *slot)
{
	const struct km_kernels *k = wa->place->kernels;
	const struct km_bound *bound = wa->place->bound;
	const uint64_t all = wa->place->column_nr;
	struct km_cons cons;
	uint64_t lo, n, w;
	uint32_t i;

	(void)type;
	km_cons_map(&cons, slot, wa->place->server_nr);
	for (lo = 0; lo < all; lo += n) {
		uint64_t *bits = wa->stretch_bits, key[KM_STRETCH];

		n = km_min_u64(all - lo, KM_STRETCH);
		memset(bits, 0xff, n / 8);
		memset(key, 0, n * sizeof(*key));
		for (i = 0; i < bound->rule_nr; i++) {
			const uint64_t *from = rule_slots[i];

			if (bound->rule[i].validator)
				for (w = 0; w < n / KM_WORD_BITS; w++)
					bits[w] &= from[lo / KM_WORD_BITS + w];
			else
				k->join(key, (const uint8_t *)rule_slots[i] + lo,
					bound->rule[i].bits, n);
		}
		k->mask(key, bits, n);
		put_stretch(k, &cons, lo, n, key);
	}
	km_cons_raise(&cons);
}

static void fetch(const struct km_bound *bound, void *const *rule_slots, const struct km_cons *cons,
		  uint32_t server)
{
	uint32_t i;

	for (i = 0; i < bound->rule_nr; i++) {
		if (bound->rule[i].validator)
			__builtin_prefetch((const uint64_t *)rule_slots[i] + server / KM_WORD_BITS);
		else
			__builtin_prefetch((const uint8_t *)rule_slots[i] + server);
	}
	__builtin_prefetch(&cons->key[server], 1);
	__builtin_prefetch(&cons->node[cons->block_nr + server / KM_CONS_BLOCK], 1);
}

static uint64_t key_of_slots(const struct km_bound *bound, void *const *rule_slots, uint32_t server)
{
	uint64_t key = 0;
	uint32_t i;

	for (i = 0; i < bound->rule_nr; i++) {
		if (!bound->rule[i].validator)
			key = key << bound->rule[i].bits | ((const uint8_t *)rule_slots[i])[server];
		else if (!get_bit(rule_slots[i], server))
			return KM_KEY_NONE;
	}
	return key;
}

void km_place_top_update(struct km_workload_agent *wa, const struct km_type *type,
			 void *const *rule_slots, void *slot, uint64_t rev)
{
	const struct km_bound *bound = wa->place->bound;
	struct km_cons cons;
	uint32_t i, nr;
	const uint32_t *server = km_place_view_changes(wa, rev, &nr);

	(void)type;
	km_cons_map(&cons, slot, wa->place->server_nr);
	for (i = 0; i < nr; i++) {
		if (i + AHEAD < nr)
			fetch(bound, rule_slots, &cons, server[i + AHEAD]);
		km_cons_set(&cons, server[i], key_of_slots(bound, rule_slots, server[i]));
	}
}

/* ---- without rule slots -------------------------------------------------------------- */

static bool any_bit(const uint64_t *bits, uint64_t n)
{
	uint64_t w, any = 0;

	for (w = 0; w < n / KM_WORD_BITS; w++)
		any |= bits[w];
	return any != 0;
}

/* The validators of one stretch, into @bits. */
static void direct_validators(struct km_workload_agent *wa, const uint32_t *type_trait, uint64_t lo,
			      uint64_t n, uint64_t *bits)
{
	const struct km_bound *bound = wa->place->bound;
	uint64_t w;
	uint32_t i;

	memset(bits, 0xff, n / 8);
	for (i = 0; i < bound->rule_nr; i++) {
		if (!bound->rule[i].validator)
			continue;
		km_rule_stream(wa->place->kernels, bound, i, type_trait, &wa->view.cols,
			       wa->lut_scratch, lo, n, wa->stretch_bits);
		for (w = 0; w < n / KM_WORD_BITS; w++)
			bits[w] &= wa->stretch_bits[w];
	}
}

static void direct_stretch(struct km_workload_agent *wa, const uint32_t *type_trait, uint64_t lo,
			   uint64_t n, uint64_t *key)
{
	const struct km_kernels *k = wa->place->kernels;
	const struct km_bound *bound = wa->place->bound;
	uint64_t bits[KM_STRETCH / KM_WORD_BITS];
	uint32_t i;

	direct_validators(wa, type_trait, lo, n, bits);
	memset(key, 0, n * sizeof(*key));
	for (i = 0; any_bit(bits, n) && i < bound->rule_nr; i++) {
		if (bound->rule[i].validator)
			continue;
		km_rule_stream(k, bound, i, type_trait, &wa->view.cols, wa->lut_scratch, lo, n,
			       wa->stretch_buckets);
		k->join(key, wa->stretch_buckets, bound->rule[i].bits, n);
	}
	k->mask(key, bits, n);
}

void km_place_top_direct(struct km_workload_agent *wa, const uint32_t *type_trait, void *slot)
{
	const uint64_t all = wa->place->column_nr;
	struct km_cons cons;
	uint64_t lo, n;

	km_cons_map(&cons, slot, wa->place->server_nr);
	for (lo = 0; lo < all; lo += n) {
		uint64_t key[KM_STRETCH];

		n = km_min_u64(all - lo, KM_STRETCH);
		direct_stretch(wa, type_trait, lo, n, key);
		put_stretch(wa->place->kernels, &cons, lo, n, key);
	}
	km_cons_raise(&cons);
}

uint64_t km_place_key_one(struct km_workload_agent *wa, const uint32_t *type_trait, uint32_t server,
			  const struct km_server_state *now)
{
	const struct km_bound *bound = wa->place->bound;
	uint64_t key = 0;
	uint32_t i, value;

	for (i = 0; i < bound->rule_nr; i++) {
		value = km_rule_one(bound, i, type_trait, &wa->view.cols, server, now);
		if (!bound->rule[i].validator)
			key = key << bound->rule[i].bits | value;
		else if (!value)
			return KM_KEY_NONE;
	}
	return key;
}
