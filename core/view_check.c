/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/view_check.c - a view's invariants by recounting, for tests.
 */
#include <stdlib.h>

#include "core/view.h"

static const struct km_view_coming *coming_at(const struct km_view *view, uint32_t a, uint32_t i)
{
	return i < KM_VIEW_NEAR_NR ? &view->queue[a].near[i]
				   : &view->far[(size_t)a * view->far_nr + i - KM_VIEW_NEAR_NR];
}

static uint32_t times_coming(const struct km_view *view, uint32_t a, uint32_t type_id)
{
	uint32_t i, nr = 0;

	for (i = 0; i < view->queue[a].nr; i++)
		if (coming_at(view, a, i)->id == type_id)
			nr += coming_at(view, a, i)->nr;
	return nr;
}

static const char *check_types(const struct km_view *view, uint32_t a)
{
	uint32_t id, nr = 0;

	for (id = 0; id < view->cap[KM_CACHE_TOP]; id++) {
		const bool coming = km_view_coming(view, id, a);

		if (coming != (times_coming(view, a, id) > 0))
			return "V2: a coming bit is off";
		if (km_view_augmented(view, KM_CACHE_TOP, id, a) !=
		    (coming || km_view_cached(view, KM_CACHE_TOP, id, a)))
			return "V2: a type's augmented bit is off";
		nr += coming;
	}
	return nr == view->queue[a].nr ? NULL : "V2: a type is listed twice";
}

/* @is_made[id]: room for a mark of each rule object. */
static const char *check_objs(const struct km_view *view, uint32_t a, bool *is_made)
{
	uint32_t i, r, id;

	for (id = 0; id < view->cap[KM_CACHE_RULE]; id++)
		is_made[id] = km_view_cached(view, KM_CACHE_RULE, id, a);
	for (i = 0; i < view->queue[a].nr; i++) {
		const struct km_type *type = &view->type[coming_at(view, a, i)->id];
		const bool cached = km_view_cached(view, KM_CACHE_TOP, type->key.id, a);

		for (r = 0; r < view->rule_nr; r++) {
			if (cached && !km_view_cached(view, KM_CACHE_RULE, type->rule[r].id, a))
				return "V5: a type is cached and its rule object is not";
			is_made[type->rule[r].id] = true;
		}
	}
	for (id = 0; id < view->cap[KM_CACHE_RULE]; id++)
		if (km_view_augmented(view, KM_CACHE_RULE, id, a) != is_made[id])
			return "V2: a rule object's augmented bit is off";
		else if (view->obj_few && (view->obj_few[id] >> a & 1) != is_made[id])
			return "V7: a rule object's two bytes are off";
	return NULL;
}

static const char *check_whole(const struct km_view *view, uint32_t id)
{
	const struct km_type *type = &view->type[id];
	uint32_t w, r;

	for (w = 0; w < view->word_nr; w++) {
		uint64_t whole = UINT64_MAX;

		if (km_view_row(view, KM_CACHE_TOP, id, KM_VIEW_WHOLE_AT)[w] != view->rule_turn[w])
			continue;
		for (r = 0; r < view->rule_nr; r++)
			whole &= km_view_row(view, KM_CACHE_RULE, type->rule[r].id,
					     KM_VIEW_AUGMENTED)[w];
		if (km_view_row(view, KM_CACHE_TOP, id, KM_VIEW_WHOLE)[w] != whole)
			return "V6: who has all of a type's rule objects is off";
	}
	return NULL;
}

static bool is_bounded(const struct km_view *view, uint32_t a)
{
	const uint64_t ns = view->wait_ns[a] + km_max_u64(view->end_ns[a], view->now_ns);
	const uint32_t group = a / KM_GROUP_AGENT_NR, bit = 1u << a % KM_GROUP_AGENT_NR;
	const struct km_bounds *bounds = view->bounds;

	if (!bounds || view->now_ns < bounds->from_ns)
		return true;
	return km_tick_of(ns, bounds->epoch_ns) >= bounds->tick[a] &&
	       bounds->tick[a] >= bounds->first[group] &&
	       (bounds->tick[a] >= bounds->rest[group] || bounds->early[group] == bit);
}

const char *km_view_check(const struct km_view *view)
{
	bool *is_made = calloc(view->cap[KM_CACHE_RULE], sizeof(*is_made));
	const char *fault = is_made ? NULL : "out of memory";
	uint32_t a, id;

	for (a = 0; a < view->agent_nr && !fault; a++) {
		fault = check_types(view, a);
		if (!fault)
			fault = check_objs(view, a, is_made);
		if (!fault && !is_bounded(view, a))
			fault = "V4: a bound is too late";
	}
	for (id = 0; view->type && id < view->cap[KM_CACHE_TOP] && !fault; id++)
		fault = check_whole(view, id);
	free(is_made);
	return fault;
}
