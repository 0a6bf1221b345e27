/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/place_internal.h - one agent's side of VM placement.
 */
#ifndef KM_PLACE_PLACE_INTERNAL_H
#define KM_PLACE_PLACE_INTERNAL_H

#include "place/consolidate.h"
#include "place/place.h"
#include "place/rule_eval.h"

/* Size classes of slots, indices into km_workload.class_bytes. */
enum { KM_CLASS_BITMAP, KM_CLASS_BUCKETS, KM_CLASS_CONS, KM_CLASS_NR };

/* Servers evaluated at a time where no rule slot is kept; fits in the L1 cache. */
#define KM_STRETCH 512u
#define KM_JOURNAL_BATCH 256u
#define KM_AGENT_BLOCKS_MAX 64u

struct km_place_ctx {
	struct km_place_cfg cfg;
	struct km_bound *bound;
	const struct km_kernels *kernels;
	uint32_t server_nr;
	uint64_t column_nr; /* server_nr rounded up to whole bitmap words */
	uint32_t update_nr_max; /* more changes than this: evaluating anew is cheaper */
	int32_t *total[KM_RES_NR]; /* padded copies of what rules read, or NULL */
	float *inv_total[KM_RES_NR];
	struct km_rule_desc desc[KM_RULES_MAX];
	uint64_t class_bytes[KM_CLASS_NR];
	struct km_workload workload;
};

/*
 * An agent's private inventory. Revisions are the journal's plus one, so that
 * the empty journal is revision 1.
 */
struct km_place_view {
	struct km_columns cols;
	uint64_t rev;
	uint64_t rev_floor; /* objects older than this cannot be updated */
	uint32_t *history; /* [history_mask + 1] server changed by revision r at r & mask */
	uint32_t history_mask;
	uint32_t *last_rev; /* [server_nr] low half of the last revision that changed it */
	/* The servers changed in (memo_from, memo_to], each once. */
	uint64_t memo_from, memo_to;
	uint32_t *memo;
	uint32_t memo_nr;
	struct km_journal_entry *batch; /* [KM_JOURNAL_BATCH] */
};

/* What the request being served has put on a server so far. */
struct km_tentative {
	uint32_t server;
	uint32_t vm_nr;
	int64_t used[KM_RES_NR];
};

/* An undone key change. */
struct km_undo {
	uint64_t key;
	uint32_t server;
};

/* How often commits were refused of late, and how widely to choose. */
struct km_choice {
	uint64_t window; /* one bit a try, newest lowest; 1 = refused */
	uint32_t tries; /* since the width last changed */
	uint32_t width; /* N0: choose among the best so many; 1 = the best bucket only */
};

struct km_workload_agent {
	struct km_place_ctx *place;
	struct km_arena *arena;
	struct km_place_view view;
	struct km_rand rand;
	struct km_choice choice;

	/* evaluation without slots */
	uint8_t *lut_scratch;
	uint64_t *stretch_bits; /* [KM_STRETCH / 64] */
	uint8_t *stretch_buckets; /* [KM_STRETCH] */
	void *own_top; /* a consolidated slot for what is served uncached */

	/* the request being served */
	struct km_tentative *tentative; /* [KM_PLACE_VMS_MAX] */
	uint32_t tentative_nr;
	uint32_t *tentative_at; /* hash: index + 1, 0 = empty; [tentative_mask + 1] */
	uint32_t tentative_mask;
	struct km_store_vm *pick; /* [KM_PLACE_VMS_MAX] */
	uint32_t pick_nr;
	struct km_undo *undo;
	uint64_t undo_nr;

	void *block[KM_AGENT_BLOCKS_MAX]; /* everything allocated, for destroy */
	uint32_t block_nr;
};

/* One part as the choice sees it. */
struct km_choice_part {
	const uint32_t *type_trait;
	struct km_cons cons;
	int32_t want[KM_RES_NR];
	uint32_t group[KM_SPREADS_MAX];
};

/* view.c */
int km_place_view_init(struct km_workload_agent *wa) KM_MUST_CHECK;
uint64_t km_place_view_sync(struct km_workload_agent *wa);
bool km_place_view_can_update(const struct km_workload_agent *wa, uint64_t rev);
/* The servers changed since @rev, each once; valid until the next sync or call. */
const uint32_t *km_place_view_changes(struct km_workload_agent *wa, uint64_t rev, uint32_t *nr);
static inline struct km_server_state km_place_view_state(const struct km_columns *cols,
							 uint32_t server)
{
	struct km_server_state now;
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		now.free[r] = cols->free[r][server];
	now.vm_nr = cols->vm_nr[server];
	now.healthy = cols->healthy[server];
	return now;
}

/* agent.c: memory of the agent, freed with it; the second is zeroed. */
void *km_place_agent_alloc(struct km_workload_agent *wa, uint64_t bytes);
void *km_place_agent_zalloc(struct km_workload_agent *wa, uint64_t bytes);
int km_place_agent_create(void *workload, uint32_t agent_idx, struct km_arena *arena,
			  struct km_workload_agent **out);
void km_place_agent_destroy(struct km_workload_agent *wa);

/* objects.c: the ops on slots, and evaluation without them. */
void km_place_rule_eval(struct km_workload_agent *wa, uint32_t rule_idx, const struct km_type *type,
			void *slot);
void km_place_rule_update(struct km_workload_agent *wa, uint32_t rule_idx,
			  const struct km_type *type, void *slot, uint64_t rev);
void km_place_top_build(struct km_workload_agent *wa, const struct km_type *type,
			void *const *rule_slots, void *slot);
void km_place_top_update(struct km_workload_agent *wa, const struct km_type *type,
			 void *const *rule_slots, void *slot, uint64_t rev);
/* Evaluate all rules for a type straight into a consolidated slot. */
void km_place_top_direct(struct km_workload_agent *wa, const uint32_t *type_trait, void *slot);
/* The key of one server in the given state. */
uint64_t km_place_key_one(struct km_workload_agent *wa, const uint32_t *type_trait, uint32_t server,
			  const struct km_server_state *now);

/* serve.c */
enum km_serve km_place_serve(struct km_workload_agent *wa, struct km_serve_part *part,
			     uint32_t part_nr);
/* Begin picking for a request; then km_place_pick() any number of times per part. */
void km_place_pick_begin(struct km_workload_agent *wa);
/* Appends to wa->pick; @more: another VM of this part will follow. false: no server is left. */
bool km_place_pick(struct km_workload_agent *wa, struct km_choice_part *cp, uint32_t vm,
		   uint32_t width, bool more);
/* Take the part's keys back to what the view says. */
void km_place_part_end(struct km_workload_agent *wa, struct km_choice_part *cp);
/* Take them back, but keep what the last pick did to its own server. */
void km_place_part_keep_last(struct km_workload_agent *wa, struct km_choice_part *cp);

#endif
