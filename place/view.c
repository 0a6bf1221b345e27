/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/view.c - an agent's private inventory, following the store's journal.
 *
 * Each journal entry is applied once, in order, and its server appended to a
 * ring of the last changes. An object at revision r is brought forward by
 * walking r+1..now; a server that changed often is handled once, at the entry
 * that is its last change:
 *
 *	revision   ... r | r+1 r+2 r+3 now
 *	server         7 |  4   9   4   9      handled: 4 at r+3, 9 at now
 *
 * Invariants (tests/model/place_model_test.c):
 *  V1 after a sync that ends at revision v, the columns are the store's state at v;
 *  V2 every server whose column changed in (r, now] is listed once, for every r
 *     that km_place_view_can_update() allows.
 */
#include "place/place_internal.h"

#include <errno.h>
#include <string.h>

static int alloc_columns(struct km_workload_agent *wa)
{
	struct km_columns *cols = &wa->view.cols;
	const uint64_t n = wa->place->column_nr;
	uint64_t i;
	int r;

	for (r = 0; r < KM_RES_NR; r++) {
		cols->free[r] = km_place_agent_zalloc(wa, n * sizeof(*cols->free[r]));
		if (!cols->free[r])
			return -ENOMEM;
		for (i = wa->place->server_nr; i < n; i++)
			cols->free[r][i] = -1;
	}
	cols->vm_nr = km_place_agent_zalloc(wa, n * sizeof(*cols->vm_nr));
	cols->healthy = km_place_agent_zalloc(wa, n);
	return cols->vm_nr && cols->healthy ? 0 : -ENOMEM;
}

/* A private copy of a read-only column, on this agent's node. */
static int copy_column(struct km_workload_agent *wa, const void *from, uint64_t bytes,
		       const void **to)
{
	void *mine = from ? km_place_agent_alloc(wa, bytes) : NULL;

	if (from && !mine)
		return -ENOMEM;
	if (mine)
		memcpy(mine, from, bytes);
	*to = mine;
	return 0;
}

static int copy_fixed(struct km_workload_agent *wa)
{
	const struct km_place_ctx *place = wa->place;
	struct km_columns *cols = &wa->view.cols;
	const uint64_t n = place->column_nr;
	const void *copy = NULL;
	uint32_t i;
	int err = 0;

	for (i = 0; i < KM_RES_NR && !err; i++) {
		err = copy_column(wa, place->total[i], n * sizeof(int32_t), &copy);
		cols->total[i] = copy;
		if (!err)
			err = copy_column(wa, place->inv_total[i], n * sizeof(float), &copy);
		cols->inv_total[i] = copy;
	}
	for (i = 0; i < place->bound->col_nr && !err; i++) {
		const struct km_label_col *col = &place->bound->col[i];

		err = copy_column(wa, col->set, n * col->width, &cols->set[i]);
	}
	return err;
}

/* The whole state again; what was evaluated before cannot be brought forward. */
static void start_over(struct km_workload_agent *wa)
{
	const struct km_place_cfg *cfg = &wa->place->cfg;
	struct km_place_view *view = &wa->view;

	view->rev = 1 + cfg->store_ops->copy_state(cfg->store, view->cols.free, view->cols.vm_nr,
						   view->cols.healthy);
	view->rev_floor = view->rev;
	view->memo_from = view->memo_to = 0;
}

int km_place_view_init(struct km_workload_agent *wa)
{
	const uint32_t history_nr = wa->place->cfg.history_nr;
	struct km_place_view *view = &wa->view;
	int err;

	err = alloc_columns(wa);
	if (!err)
		err = copy_fixed(wa);
	if (err)
		return err;
	view->history = km_place_agent_alloc(wa, history_nr * sizeof(*view->history));
	view->memo = km_place_agent_alloc(wa, history_nr * sizeof(*view->memo));
	view->last_rev = km_place_agent_alloc(wa, wa->place->server_nr * sizeof(*view->last_rev));
	view->batch = km_place_agent_alloc(wa, KM_JOURNAL_BATCH * sizeof(*view->batch));
	if (!view->history || !view->memo || !view->last_rev || !view->batch)
		return -ENOMEM;
	view->history_mask = history_nr - 1;
	start_over(wa);
	return 0;
}

static void apply_entry(struct km_place_view *view, const struct km_journal_entry *entry)
{
	const uint32_t server = entry->server;
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		view->cols.free[r][server] = entry->free[r];
	view->cols.vm_nr[server] = entry->vm_nr;
	view->cols.healthy[server] = (uint8_t)entry->healthy;
	view->rev++;
	view->history[view->rev & view->history_mask] = server;
	view->last_rev[server] = (uint32_t)view->rev;
}

uint64_t km_place_view_sync(struct km_workload_agent *wa)
{
	const struct km_place_cfg *cfg = &wa->place->cfg;
	struct km_place_view *view = &wa->view;
	struct km_bcast *journal = cfg->store_ops->watch(cfg->store);
	/* Up to the head as it is now: a busy store cannot keep us here. */
	const uint64_t head = km_bcast_head(journal);
	uint32_t i, nr;

	while (view->rev <= head) {
		/* Entry r made revision r + 1, so the next one is number view->rev. */
		if (km_bcast_read_some(journal, view->rev, view->batch, KM_JOURNAL_BATCH, &nr) ==
		    KM_BCAST_OVERRUN) {
			start_over(wa);
			continue;
		}
		for (i = 0; i < nr; i++)
			apply_entry(view, &view->batch[i]);
	}
	return view->rev;
}

bool km_place_view_can_update(const struct km_workload_agent *wa, uint64_t rev)
{
	const struct km_place_view *view = &wa->view;

	return rev >= view->rev_floor && rev <= view->rev &&
	       view->rev - rev <= wa->place->update_nr_max;
}

const uint32_t *km_place_view_changes(struct km_workload_agent *wa, uint64_t rev, uint32_t *nr)
{
	struct km_place_view *view = &wa->view;
	uint64_t r;

	/* core asks can_update() first; update_nr_max is below the ring's length. */
	KM_BUG_ON(rev < view->rev_floor || rev > view->rev || view->rev - rev > view->history_mask);
	if (view->memo_from != rev || view->memo_to != view->rev) {
		view->memo_nr = 0;
		for (r = rev + 1; r <= view->rev; r++) {
			const uint32_t server = view->history[r & view->history_mask];

			/* Low halves suffice: the last change lies at most a ring ahead. */
			if (view->last_rev[server] == (uint32_t)r)
				view->memo[view->memo_nr++] = server;
		}
		view->memo_from = rev;
		view->memo_to = view->rev;
	}
	*nr = view->memo_nr;
	return view->memo;
}
