/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/preload.c - where a trace's initial VMs stand.
 *
 * One pass over the inventory per type of VM, then all its VMs one after
 * another, each on one of the best servers as they are by then: the
 * consolidated result is kept up to date VM by VM. Large VMs go first, so
 * that fewest find no room. Cost: types * servers + VMs * log(servers).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snap.h"
#include "place/place_internal.h"

/* VMs of one commit: long enough to amortise it, short for the own picks' walk. */
#define CHUNK_NR 512u

struct preload {
	struct km_place_ctx *place;
	struct km_workload_agent *wa;
	const struct km_trace *trace;
	struct km_diag *diag;
	uint32_t *order; /* [nr] events of the VMs to place, by type */
	uint64_t nr, done, unplaced;
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *arg;
};

static int by_type(const struct km_trace *trace, const struct km_event *a, const struct km_event *b)
{
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		if (a->res[r] != b->res[r])
			return a->res[r] > b->res[r] ? -1 : 1;
	return memcmp(a->trait, b->trait, trace->schema.trait_nr * sizeof(a->trait[0]));
}

static int by_type_then_time(const void *a, const void *b, void *arg)
{
	const struct km_trace *trace = arg;
	const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const int type = by_type(trace, &trace->event[i], &trace->event[j]);

	return type ? type : (i > j) - (i < j);
}

/* The creates that no later initial event deletes; of two of one VM the first. */
static int list_alive(struct preload *pre)
{
	const struct km_trace *trace = pre->trace;
	const uint64_t vm_nr = km_dict_nr(trace->schema.vms);
	uint32_t *at, i;
	uint64_t vm;

	at = calloc(vm_nr ? vm_nr : 1, sizeof(*at)); /* event number plus one */
	pre->order = malloc((trace->initial_nr ? trace->initial_nr : 1) * sizeof(*pre->order));
	if (!at || !pre->order) {
		free(at);
		return -ENOMEM;
	}
	for (i = 0; i < trace->initial_nr; i++) {
		const struct km_event *event = &trace->event[i];

		if (event->vm >= vm_nr)
			continue; /* not a number of this trace */
		if (event->op == KM_OP_DELETE)
			at[event->vm] = 0;
		else if (!at[event->vm])
			at[event->vm] = i + 1;
	}
	for (vm = 0; vm < vm_nr; vm++)
		if (at[vm])
			pre->order[pre->nr++] = at[vm] - 1;
	free(at);
	qsort_r(pre->order, pre->nr, sizeof(*pre->order), by_type_then_time,
		(void *)(uintptr_t)trace);
	return 0;
}

static void fill_part(const struct km_place_ctx *place, const struct km_event *event,
		      struct km_req *req, struct km_choice_part *cp)
{
	struct km_place_ask ask = { .tenant = event->tenant, .batch = event->batch };
	uint32_t i;

	km_place_fill_traits(place, event, req->trait);
	req->payload = &ask;
	cp->type_trait = req->trait;
	for (i = 0; i < KM_RES_NR; i++)
		cp->want[i] = km_want(req->trait[i]);
	for (i = 0; i < KM_SPREADS_MAX; i++)
		cp->group[i] = i < place->bound->spread_nr ? km_place_group(place, i, req)
							   : KM_GROUP_NONE;
	req->payload = NULL;
}

/* Nobody else commits, so the view with the picks is what the store will say. */
static int commit_picks(struct preload *pre)
{
	const struct km_place_cfg *cfg = &pre->place->cfg;
	struct km_workload_agent *wa = pre->wa;
	enum km_commit result = KM_COMMIT_DONE;
	uint32_t at = 0;

	if (wa->pick_nr)
		result = cfg->store_ops->commit(cfg->store, wa->pick, wa->pick_nr, &at);
	if (result == KM_COMMIT_NO_MEMORY)
		return km_diag_set(pre->diag, -ENOMEM, NULL, 0, 0, "no memory for the initial VMs");
	if (result != KM_COMMIT_DONE)
		return km_diag_set(pre->diag, -EINVAL, NULL, 0, 0,
				   "the store refuses initial VM number %u (%s)", wa->pick[at].vm,
				   result == KM_COMMIT_DUPLICATE ? "it exists"
				   : result == KM_COMMIT_BAD	 ? "out of bounds"
								 : "another writer is at work");
	km_snap_quiesce();
	km_snap_enter();
	km_place_view_sync(wa);
	km_snap_leave();
	km_place_pick_begin(wa);
	if (pre->progress)
		pre->progress(pre->arg, pre->done, pre->nr);
	return 0;
}

static int place_one(struct preload *pre, const struct km_event *event, struct km_choice_part *cp,
		     struct km_req *req)
{
	struct km_workload_agent *wa = pre->wa;

	/* Same type, so the same traits; the groups are each VM's own. */
	fill_part(pre->place, event, req, cp);
	pre->done++;
	if (km_place_pick(wa, cp, event->vm, 1, true)) {
		km_place_part_keep_last(wa, cp);
	} else {
		km_place_part_end(wa, cp);
		pre->unplaced++;
	}
	return wa->pick_nr == CHUNK_NR ? commit_picks(pre) : 0;
}

/* All VMs of the type of order[from]. Sets *@to to the first of the next type. */
static int place_type(struct preload *pre, uint64_t from, uint64_t *to)
{
	const struct km_event *first = &pre->trace->event[pre->order[from]];
	struct km_workload_agent *wa = pre->wa;
	struct km_choice_part cp;
	struct km_req req;
	uint64_t i;
	int err = 0;

	memset(&req, 0, sizeof(req));
	fill_part(pre->place, first, &req, &cp);
	km_place_top_direct(wa, req.trait, wa->own_top);
	km_cons_map(&cp.cons, wa->own_top, pre->place->server_nr);
	for (i = from; i < pre->nr && !err; i++) {
		const struct km_event *event = &pre->trace->event[pre->order[i]];

		if (by_type(pre->trace, first, event))
			break;
		err = place_one(pre, event, &cp, &req);
	}
	*to = i;
	return err ? err : commit_picks(pre);
}

int km_place_preload(struct km_place_ctx *place, const struct km_trace *trace, uint64_t *unplaced,
		     void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
		     struct km_diag *diag)
{
	struct preload pre = {
		.place = place,
		.trace = trace,
		.diag = diag,
		.progress = progress,
		.arg = arg,
	};
	uint64_t i = 0;
	int err;

	*unplaced = 0;
	if (trace->initial_nr >= UINT32_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "too many initial events");
	/* No agent has this number: its random numbers are nobody else's. */
	err = km_place_agent_create(place, UINT32_MAX, NULL, &pre.wa);
	if (!err)
		err = list_alive(&pre);
	if (err)
		km_ignore(km_diag_set(diag, err, NULL, 0, 0,
				      "no memory to place the initial VMs")); /* err is returned */
	if (!err)
		km_place_pick_begin(pre.wa);
	while (!err && i < pre.nr)
		err = place_type(&pre, i, &i);
	*unplaced = pre.unplaced;
	free(pre.order);
	km_place_agent_destroy(pre.wa);
	return err;
}
