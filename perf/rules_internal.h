/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/rules_internal.h - what the files of the rules benchmark share.
 */
#ifndef KM_PERF_RULES_INTERNAL_H
#define KM_PERF_RULES_INTERNAL_H

#include "lib/rand.h"
#include "perf/rules_bench.h"
#include "place/place.h"
#include "place/rule_eval.h"
#include "place/zone.h"

/* Columns of one rule at most: balance reads four. */
#define RULES_COL_MAX 4

/* A fleet with VMs on it, one agent, one request type and all its objects. */
struct rules_world {
	uint32_t server_nr;
	uint64_t column_nr; /* server_nr in whole words */
	struct km_trace *trace;
	struct km_inventory *inv;
	struct km_ruleset *rules;
	struct km_store *store;
	struct km_place_ctx *place;
	const struct km_workload *w;
	struct km_workload_agent *wa;
	struct km_type type;
	void *slot[KM_RULES_MAX], *top;
	uint32_t first_vm; /* VM first_vm + s stands on server s, or nowhere */
	struct km_rand rand;

	/* columns of ours, with what the agent's have, for the rules one by one */
	struct km_bound *bound;
	struct km_columns cols;
	void *own[2 * KM_RES_NR], *set[KM_LABELS_MAX + 2]; /* what cols has of ours */
	uint8_t *scratch;
};

/* What one rule reads and writes for the type of the world. */
struct rules_io {
	const void *col[RULES_COL_MAX];
	uint64_t col_bytes[RULES_COL_MAX], read_bytes, write_bytes;
	uint32_t col_nr; /* 0 = the rule does not apply: its object is filled */
};

int rules_world_open(struct rules_world *world, uint32_t server_nr, uint64_t seed,
		     struct km_diag *diag);
void rules_world_close(struct rules_world *world);

/* About what a world of so many servers takes. */
uint64_t rules_world_bytes(uint64_t server_nr);

void rules_world_io(const struct rules_world *world, uint32_t rule_idx, struct rules_io *io);

/* Take the VM of a server away, or put it there. Return: false when the store refuses. */
bool rules_world_toggle(struct rules_world *world, uint32_t server);

/* The journal into the agent's view. Return: its revision. */
uint64_t rules_world_sync(struct rules_world *world);

/* All rule objects of the type, and its consolidated result, from nothing. */
void rules_world_evaluate(struct rules_world *world, void *const *slot, void *top);

#endif
