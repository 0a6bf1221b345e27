/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/agent.c - an agent's state: all of it allocated here, so that serving
 * allocates nothing.
 */
#include "place/place_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/arena.h"

void *km_place_agent_alloc(struct km_workload_agent *wa, uint64_t bytes)
{
	const uint64_t whole = (bytes + 63) & ~UINT64_C(63);
	void *block;

	KM_BUG_ON(wa->block_nr == KM_AGENT_BLOCKS_MAX);
	/* No arena: the preload's state, before any agent is. */
	block = wa->arena ? km_arena_alloc(wa->arena, whole ? whole : 64, 64)
			  : aligned_alloc(64, whole ? whole : 64);
	if (block)
		wa->block[wa->block_nr++] = block;
	return block;
}

void *km_place_agent_zalloc(struct km_workload_agent *wa, uint64_t bytes)
{
	void *block = km_place_agent_alloc(wa, bytes);

	if (block)
		memset(block, 0, bytes);
	return block;
}

void km_place_agent_destroy(struct km_workload_agent *wa)
{
	if (!wa)
		return;
	while (wa->block_nr) {
		void *block = wa->block[--wa->block_nr];

		if (wa->arena)
			km_arena_free(wa->arena, block);
		else
			free(block);
	}
	free(wa);
}

static uint64_t undo_cap(const struct km_place_ctx *place)
{
	/*
	 * A server is taken out of the running once, unless a VM put on it
	 * changed its key in between; and each earlier pick may change a key.
	 */
	return (uint64_t)place->server_nr + 4 * (uint64_t)KM_PLACE_VMS_MAX;
}

static int alloc_serving(struct km_workload_agent *wa)
{
	const struct km_place_ctx *place = wa->place;

	wa->lut_scratch = km_place_agent_zalloc(wa, place->bound->scratch_bytes);
	wa->stretch_bits = km_place_agent_zalloc(wa, KM_STRETCH / 8);
	wa->stretch_buckets = km_place_agent_zalloc(wa, KM_STRETCH);
	wa->own_top = km_place_agent_zalloc(wa, place->class_bytes[KM_CLASS_CONS]);
	wa->tentative = km_place_agent_zalloc(wa, KM_PLACE_VMS_MAX * sizeof(*wa->tentative));
	wa->tentative_mask = 2 * KM_PLACE_VMS_MAX - 1;
	wa->tentative_at =
		km_place_agent_zalloc(wa, 2 * KM_PLACE_VMS_MAX * sizeof(*wa->tentative_at));
	wa->pick = km_place_agent_zalloc(wa, KM_PLACE_VMS_MAX * sizeof(*wa->pick));
	wa->undo = km_place_agent_alloc(wa, undo_cap(place) * sizeof(*wa->undo));
	return wa->lut_scratch && wa->stretch_bits && wa->stretch_buckets && wa->own_top &&
			       wa->tentative && wa->tentative_at && wa->pick && wa->undo
		       ? 0
		       : -ENOMEM;
}

int km_place_agent_create(void *workload, uint32_t agent_idx, struct km_arena *arena,
			  struct km_workload_agent **out)
{
	struct km_workload_agent *wa = calloc(1, sizeof(*wa));
	int err;

	if (!wa)
		return -ENOMEM;
	wa->place = workload;
	wa->arena = arena;
	km_rand_init(&wa->rand, wa->place->cfg.seed ^ (uint64_t)agent_idx << 32);
	wa->choice.width = 1;
	err = alloc_serving(wa);
	if (!err)
		err = km_place_view_init(wa);
	if (err) {
		km_place_agent_destroy(wa);
		return err;
	}
	*out = wa;
	return 0;
}

uint64_t km_place_agent_bytes(const struct km_place_ctx *place)
{
	const uint64_t n = place->column_nr;
	uint64_t bytes, i;

	bytes = n * (KM_RES_NR * sizeof(int32_t) + sizeof(uint32_t) + 1 + sizeof(uint32_t));
	for (i = 0; i < KM_RES_NR; i++)
		bytes += (place->total[i] ? 4 * n : 0) + (place->inv_total[i] ? 4 * n : 0);
	for (i = 0; i < place->bound->col_nr; i++)
		bytes += n * place->bound->col[i].width;
	bytes += 2 * (uint64_t)place->cfg.history_nr * sizeof(uint32_t);
	bytes += place->bound->scratch_bytes + place->class_bytes[KM_CLASS_CONS];
	bytes += undo_cap(place) * sizeof(struct km_undo);
	bytes += KM_PLACE_VMS_MAX * (sizeof(struct km_tentative) + sizeof(struct km_store_vm) + 8);
	return bytes + (KM_JOURNAL_BATCH * sizeof(struct km_journal_entry) + 8192);
}
