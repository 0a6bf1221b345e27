/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/serve.c - choose servers for a request's VMs and commit them.
 *
 * Each VM goes to one of the best servers as they are after the VMs before it:
 * what the request has put on a server so far is kept beside the view
 * (tentative), and the server's key in the part's consolidated slot is replaced
 * by its key in that state. Servers that a rule outside the slot refuses
 * (anti-affinity, a resource that no rule looks at) leave the running by getting
 * KM_KEY_NONE. Every change of a key is undone before the part ends, so the slot
 * is again what the view says.
 *
 * Invariants (tests/model/place_model_test.c):
 *  P1 a pick is among the best of the feasible servers at that moment (among
 *     the best N0 when commits were refused of late);
 *  P2 after a try, done or refused, every slot is as before, byte for byte;
 *  P3 all VMs of a request are placed, or none.
 */
#include "place/place_internal.h"

#include <string.h>

/* ---- what this request has put where --------------------------------------------- */

static uint32_t *tentative_cell(const struct km_workload_agent *wa, uint32_t server)
{
	uint32_t i = (uint32_t)((server * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & wa->tentative_mask;

	while (wa->tentative_at[i] && wa->tentative[wa->tentative_at[i] - 1].server != server)
		i = (i + 1) & wa->tentative_mask;
	return &wa->tentative_at[i];
}

static void tentative_clear(struct km_workload_agent *wa)
{
	/* Newest first: each is then still found behind what it collided with. */
	while (wa->tentative_nr) {
		*tentative_cell(wa, wa->tentative[wa->tentative_nr - 1].server) = 0;
		wa->tentative_nr--;
	}
}

static struct km_tentative *tentative_get(struct km_workload_agent *wa, uint32_t server)
{
	uint32_t *cell = tentative_cell(wa, server);

	if (!*cell) {
		/* At most one server a VM: the picks are bounded, so is this. */
		wa->tentative[wa->tentative_nr] = (struct km_tentative){ .server = server };
		*cell = ++wa->tentative_nr;
	}
	return &wa->tentative[*cell - 1];
}

/* The server as it is with this request's VMs; false if they do not fit any more. */
static bool state_with_picks(const struct km_workload_agent *wa, uint32_t server,
			     struct km_server_state *now)
{
	const uint32_t cell = *tentative_cell(wa, server);
	bool fits = true;
	int r;

	*now = km_place_view_state(&wa->view.cols, server);
	if (!cell)
		return true;
	for (r = 0; r < KM_RES_NR; r++) {
		const int64_t left = now->free[r] - wa->tentative[cell - 1].used[r];

		fits = fits && left >= 0;
		now->free[r] = left < 0 ? 0 : (int32_t)left;
	}
	now->vm_nr += wa->tentative[cell - 1].vm_nr;
	return fits;
}

/* ---- keys and their undo ------------------------------------------------------------ */

static void set_key(struct km_workload_agent *wa, struct km_cons *cons, uint32_t server,
		    uint64_t key)
{
	if (cons->key[server] == key)
		return;
	wa->undo[wa->undo_nr++] = (struct km_undo){ cons->key[server], server };
	km_cons_set(cons, server, key);
}

static void undo_to(struct km_workload_agent *wa, struct km_cons *cons, uint64_t mark)
{
	while (wa->undo_nr > mark) {
		const struct km_undo *undo = &wa->undo[--wa->undo_nr];

		km_cons_set(cons, undo->server, undo->key);
	}
}

static uint64_t key_with_picks(struct km_workload_agent *wa, const struct km_choice_part *cp,
			       uint32_t server)
{
	struct km_server_state now;

	if (!state_with_picks(wa, server, &now))
		return KM_KEY_NONE;
	return km_place_key_one(wa, cp->type_trait, server, &now);
}

/* ---- choice ---------------------------------------------------------------------------- */

static bool has_room(const struct km_workload_agent *wa, const struct km_choice_part *cp,
		     uint32_t server)
{
	struct km_server_state now;
	int r;

	if (!state_with_picks(wa, server, &now))
		return false;
	for (r = 0; r < KM_RES_NR; r++)
		if (cp->want[r] > now.free[r])
			return false;
	return true;
}

static uint32_t own_count(const struct km_workload_agent *wa, uint32_t spread, uint32_t group,
			  uint32_t domain)
{
	const struct km_place_ctx *place = wa->place;
	const enum km_spread_over over = place->bound->spread[spread].over;
	uint32_t i, count = 0;

	for (i = 0; i < wa->pick_nr; i++)
		count += wa->pick[i].group[spread] == group &&
			 km_spread_domain(place->cfg.inv, over, wa->pick[i].server) == domain;
	return count;
}

static bool spread_allows(const struct km_workload_agent *wa, const struct km_choice_part *cp,
			  uint32_t server)
{
	const struct km_place_cfg *cfg = &wa->place->cfg;
	uint32_t i;

	for (i = 0; i < wa->place->bound->spread_nr; i++) {
		const struct km_bound_spread *bs = &wa->place->bound->spread[i];
		uint32_t domain, count;

		if (cp->group[i] == KM_GROUP_NONE)
			continue;
		domain = km_spread_domain(cfg->inv, bs->over, server);
		count = own_count(wa, i, cp->group[i], domain);
		if (count < bs->max)
			count += cfg->store_ops->group_count(cfg->store, i, cp->group[i], domain);
		if (count >= bs->max)
			return false;
	}
	return true;
}

/*
 * One of the best @width servers, each equally likely, equals in random order:
 * take a random number of better ones out of the running, choose, put them back.
 */
static bool choose(struct km_workload_agent *wa, struct km_cons *cons, uint32_t width,
		   uint32_t *server)
{
	const uint64_t mark = wa->undo_nr;
	uint64_t skip = width > 1 ? km_rand_below(&wa->rand, width) : 0;

	if (!km_cons_best(cons, &wa->rand, server))
		return false;
	/* All equals: which of them are skipped makes no difference. */
	if (skip < cons->node[1].count)
		return true;
	while (skip--) {
		uint32_t next;

		set_key(wa, cons, *server, KM_KEY_NONE);
		if (!km_cons_best(cons, &wa->rand, &next))
			break; /* fewer than that are left: the last of them */
		*server = next;
	}
	undo_to(wa, cons, mark);
	return true;
}

static void accept(struct km_workload_agent *wa, const struct km_choice_part *cp, uint32_t vm,
		   uint32_t server)
{
	struct km_tentative *t = tentative_get(wa, server);
	struct km_store_vm *pick = &wa->pick[wa->pick_nr++];
	int r;

	pick->vm = vm;
	pick->server = server;
	memcpy(pick->res, cp->want, sizeof(pick->res));
	memcpy(pick->group, cp->group, sizeof(pick->group));
	for (r = 0; r < KM_RES_NR; r++)
		t->used[r] += cp->want[r];
	t->vm_nr++;
}

bool km_place_pick(struct km_workload_agent *wa, struct km_choice_part *cp, uint32_t vm,
		   uint32_t width, bool more)
{
	uint32_t server;

	for (;;) {
		if (!choose(wa, &cp->cons, width, &server))
			return false;
		if (has_room(wa, cp, server) && spread_allows(wa, cp, server))
			break;
		set_key(wa, &cp->cons, server, KM_KEY_NONE);
	}
	accept(wa, cp, vm, server);
	if (more)
		set_key(wa, &cp->cons, server, key_with_picks(wa, cp, server));
	return true;
}

void km_place_pick_begin(struct km_workload_agent *wa)
{
	tentative_clear(wa);
	wa->pick_nr = 0;
	wa->undo_nr = 0;
}

static void part_begin(struct km_workload_agent *wa, struct km_choice_part *cp)
{
	uint32_t i;

	/* What earlier parts of this request took. */
	for (i = 0; i < wa->tentative_nr; i++) {
		const uint32_t server = wa->tentative[i].server;

		set_key(wa, &cp->cons, server, key_with_picks(wa, cp, server));
	}
}

void km_place_part_end(struct km_workload_agent *wa, struct km_choice_part *cp)
{
	undo_to(wa, &cp->cons, 0);
}

void km_place_part_keep_last(struct km_workload_agent *wa, struct km_choice_part *cp)
{
	const uint32_t server = wa->pick[wa->pick_nr - 1].server;

	undo_to(wa, &cp->cons, 0);
	km_cons_set(&cp->cons, server, key_with_picks(wa, cp, server));
}

/* ---- how widely -------------------------------------------------------------------------- */

/* Twice as wide from 8 refusals in the last 64 tries, half as wide below 2. */
static void choice_learn(struct km_choice *choice, uint32_t width_max, bool refused)
{
	uint32_t nr;

	choice->window = choice->window << 1 | refused;
	if (++choice->tries < 16)
		return; /* let the last change show */
	nr = (uint32_t)__builtin_popcountll(choice->window);
	if (nr >= 8 && choice->width < width_max) {
		choice->width = (uint32_t)km_min_u64((uint64_t)choice->width * 2, width_max);
		choice->tries = 0;
	} else if (nr < 2 && choice->width > 1) {
		choice->width /= 2;
		choice->tries = 0;
	}
}

/* A try after a refusal is at least twice as wide as the one before it. */
static uint32_t choice_width(const struct km_workload_agent *wa, uint32_t conflicts)
{
	const uint32_t shift = conflicts < 16 ? conflicts : 16;
	const uint64_t width = km_max_u64(wa->choice.width, UINT64_C(1) << shift);

	return (uint32_t)km_min_u64(width, wa->place->cfg.choice_nr);
}

/* ---- serve --------------------------------------------------------------------------------- */

static void part_of(const struct km_place_ctx *place, const struct km_req *req,
		    struct km_choice_part *cp)
{
	uint32_t i;

	cp->type_trait = req->trait;
	for (i = 0; i < KM_RES_NR; i++)
		cp->want[i] = km_want(req->trait[i]);
	for (i = 0; i < KM_SPREADS_MAX; i++)
		cp->group[i] = i < place->bound->spread_nr ? km_place_group(place, i, req)
							   : KM_GROUP_NONE;
}

static bool pick_part(struct km_workload_agent *wa, const struct km_serve_part *part,
		      uint32_t width)
{
	const struct km_place_ask *ask = part->req->payload;
	struct km_choice_part cp;
	void *slot = part->top;
	bool found = true;
	uint32_t i;

	if (!slot) {
		slot = wa->own_top;
		km_place_top_direct(wa, part->req->trait, slot);
	}
	part_of(wa->place, part->req, &cp);
	km_cons_map(&cp.cons, slot, wa->place->server_nr);
	part_begin(wa, &cp);
	for (i = 0; i < ask->vm_nr && found; i++)
		found = km_place_pick(wa, &cp, ask->vm[i], width, i + 1 < ask->vm_nr);
	km_place_part_end(wa, &cp);
	return found;
}

static bool bounds_ok(const struct km_serve_part *part, uint32_t part_nr)
{
	uint64_t vm_nr = 0;
	uint32_t i;

	if (!part_nr || part_nr > KM_PLACE_PARTS_MAX)
		return false;
	for (i = 0; i < part_nr; i++) {
		const struct km_place_ask *ask = part[i].req->payload;

		if (!ask || !ask->vm_nr)
			return false;
		vm_nr += ask->vm_nr;
	}
	return vm_nr <= KM_PLACE_VMS_MAX;
}

/* In the order in which they were picked. */
static void tell_servers(const struct km_workload_agent *wa, const struct km_serve_part *part,
			 uint32_t part_nr)
{
	uint32_t i, j, at = 0;

	for (i = 0; i < part_nr; i++) {
		struct km_place_ask *ask = part[i].req->payload;

		for (j = 0; j < ask->vm_nr; j++)
			ask->server[j] = wa->pick[at++].server;
	}
}

static enum km_serve done(struct km_serve_part *part, enum km_outcome outcome)
{
	part[0].req->outcome = outcome;
	return KM_SERVE_DONE;
}

enum km_serve km_place_serve(struct km_workload_agent *wa, struct km_serve_part *part,
			     uint32_t part_nr)
{
	const struct km_place_cfg *cfg = &wa->place->cfg;
	uint32_t i, width;

	if (!bounds_ok(part, part_nr))
		return done(part, KM_BAD_REQUEST);
	width = choice_width(wa, part[0].req->conflicts);
	km_place_pick_begin(wa);
	for (i = 0; i < part_nr; i++)
		if (!pick_part(wa, &part[i], width))
			return done(part, KM_NO_ROOM);
	switch (cfg->store_ops->commit(cfg->store, wa->pick, wa->pick_nr, NULL)) {
	case KM_COMMIT_DONE:
		choice_learn(&wa->choice, cfg->choice_nr, false);
		tell_servers(wa, part, part_nr);
		return done(part, KM_PLACED);
	case KM_COMMIT_DUPLICATE:
	case KM_COMMIT_BAD:
		return done(part, KM_BAD_REQUEST);
	case KM_COMMIT_OVER:
	case KM_COMMIT_AFFINITY:
		choice_learn(&wa->choice, cfg->choice_nr, true);
		return KM_SERVE_CONFLICT;
	case KM_COMMIT_NO_MEMORY:
		break;
	}
	return KM_SERVE_CONFLICT; /* counted by the store; core bounds the tries */
}
