/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int km_view_create(struct km_view **out, const struct km_view_cfg *cfg)
{
	struct km_view *view;
	uint32_t level, i;
	size_t bits, agents = cfg->agent_nr;

	if (!cfg->agent_nr || !cfg->type_cap || !cfg->rule_obj_cap || cfg->rule_nr > KM_RULES_MAX)
		return -EINVAL;
	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->agent_nr = cfg->agent_nr;
	view->word_nr = KM_DIV_UP(cfg->agent_nr, 64);
	view->rule_nr = cfg->rule_nr;
	view->cap[KM_CACHE_TOP] = cfg->type_cap;
	view->cap[KM_CACHE_RULE] = cfg->rule_obj_cap;
	view->count_serving = cfg->count_serving;
	view->wait_ns = calloc(agents, sizeof(*view->wait_ns));
	view->end_ns = calloc(agents, sizeof(*view->end_ns));
	view->queued_nr = calloc(agents, sizeof(*view->queued_nr));
	view->open = calloc(view->word_nr, sizeof(*view->open));
	if (!view->wait_ns || !view->end_ns || !view->queued_nr || !view->open)
		goto err_destroy;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		bits = (size_t)view->cap[level] * view->word_nr;
		view->cached[level] = calloc(bits, sizeof(uint64_t));
		view->coming[level] = calloc(bits, sizeof(uint64_t));
		view->count[level] = calloc(view->cap[level] * agents, sizeof(uint32_t));
		view->gen[level] = calloc(view->cap[level], sizeof(uint32_t));
		if (cfg->future)
			view->future[level] = calloc(bits, sizeof(uint64_t));
		view->folded[level] = calloc(agents, sizeof(struct km_key *));
		view->folded_nr[level] = calloc(agents, sizeof(uint32_t));
		view->folded_cap[level] = calloc(agents, sizeof(uint32_t));
		if (!view->cached[level] || !view->coming[level] || !view->count[level] ||
		    !view->gen[level] || !view->folded[level] || !view->folded_nr[level] ||
		    !view->folded_cap[level] || (cfg->future && !view->future[level]))
			goto err_destroy;
	}
	for (i = 0; i < cfg->agent_nr; i++)
		km_view_set_open(view, i, true);
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (i = 0; i < view->cap[level]; i++)
			view->gen[level][i] = KM_GEN_FIRST;
	*out = view;
	return 0;

err_destroy:
	km_view_destroy(view);
	return -ENOMEM;
}

void km_view_destroy(struct km_view *view)
{
	uint32_t level, i;

	if (!view)
		return;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		for (i = 0; view->folded[level] && i < view->agent_nr; i++)
			free(view->folded[level][i]);
		free(view->folded_cap[level]);
		free(view->folded_nr[level]);
		free(view->folded[level]);
		free(view->gen[level]);
		free(view->count[level]);
		free(view->coming[level]);
		free(view->cached[level]);
		free(view->future[level]);
	}
	free(view->open);
	free(view->queued_nr);
	free(view->end_ns);
	free(view->wait_ns);
	free(view);
}

static void row_set(struct km_view *view, uint64_t *rows, uint32_t id, uint32_t agent_idx)
{
	rows[(size_t)id * view->word_nr + agent_idx / 64] |= UINT64_C(1) << (agent_idx % 64);
}

static void row_clear(struct km_view *view, uint64_t *rows, uint32_t id, uint32_t agent_idx)
{
	rows[(size_t)id * view->word_nr + agent_idx / 64] &= ~(UINT64_C(1) << (agent_idx % 64));
}

/* Returns true when this was the first. */
static bool count_up(struct km_view *view, enum km_cache_level level, uint32_t id,
		     uint32_t agent_idx)
{
	uint32_t *count = &view->count[level][(size_t)id * view->agent_nr + agent_idx];

	if ((*count)++)
		return false;
	row_set(view, view->coming[level], id, agent_idx);
	return true;
}

/* Returns true when this was the last. */
static bool count_down(struct km_view *view, enum km_cache_level level, uint32_t id,
		       uint32_t agent_idx)
{
	uint32_t *count = &view->count[level][(size_t)id * view->agent_nr + agent_idx];

	KM_BUG_ON(!*count);
	if (--(*count))
		return false;
	row_clear(view, view->coming[level], id, agent_idx);
	return true;
}

/* Rule objects are counted once per distinct type that is coming, not per request. */
static void type_comes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	uint32_t r;

	if (count_up(view, KM_CACHE_TOP, type->key.id, agent_idx))
		for (r = 0; r < view->rule_nr; r++)
			count_up(view, KM_CACHE_RULE, type->rule[r].id, agent_idx);
}

static void type_goes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	uint32_t r;

	if (count_down(view, KM_CACHE_TOP, type->key.id, agent_idx))
		for (r = 0; r < view->rule_nr; r++)
			count_down(view, KM_CACHE_RULE, type->rule[r].id, agent_idx);
}

static void leave_queue(struct km_view *view, uint32_t agent_idx, uint64_t est_ns)
{
	KM_BUG_ON(view->wait_ns[agent_idx] < est_ns || !view->queued_nr[agent_idx]);
	view->wait_ns[agent_idx] -= est_ns;
	view->queued_nr[agent_idx]--;
}

void km_view_enqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns)
{
	view->wait_ns[agent_idx] += est_ns;
	view->queued_nr[agent_idx]++;
	type_comes(view, agent_idx, type);
}

void km_view_unqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns)
{
	leave_queue(view, agent_idx, est_ns);
	type_goes(view, agent_idx, type);
}

void km_view_start(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		   uint64_t est_ns)
{
	leave_queue(view, agent_idx, est_ns);
	if (!view->count_serving)
		type_goes(view, agent_idx, type);
}

void km_view_finish(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	if (view->count_serving)
		type_goes(view, agent_idx, type);
}

static int fold_grow(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
		     uint32_t nr)
{
	uint32_t cap = (uint32_t)km_pow2_up(nr);
	struct km_key *mine;

	if (nr <= view->folded_cap[level][agent_idx])
		return 0;
	mine = realloc(view->folded[level][agent_idx], cap * sizeof(*mine));
	if (!mine)
		return -ENOMEM;
	view->folded[level][agent_idx] = mine;
	view->folded_cap[level][agent_idx] = cap;
	return 0;
}

static void fold_level(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
		       const struct km_key *keys, uint32_t nr)
{
	struct km_key *mine = view->folded[level][agent_idx];
	uint32_t i;

	for (i = 0; i < view->folded_nr[level][agent_idx]; i++)
		row_clear(view, view->cached[level], mine[i].id, agent_idx);
	for (i = 0; i < nr; i++) {
		mine[i] = keys[i];
		if (view->gen[level][keys[i].id] == keys[i].gen) /* V3 */
			row_set(view, view->cached[level], keys[i].id, agent_idx);
	}
	view->folded_nr[level][agent_idx] = nr;
}

int km_view_fold(struct km_view *view, uint32_t agent_idx, const struct km_digest *digest)
{
	uint32_t level;
	int err;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		err = fold_grow(view, agent_idx, level, digest->nr[level]);
		if (err)
			return err;
	}
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		fold_level(view, agent_idx, level, digest->keys[level], digest->nr[level]);
	return 0;
}

static void note(struct km_view *view, uint64_t *rows, uint32_t agent_idx,
		 enum km_cache_level level, struct km_key key, bool present)
{
	if (view->gen[level][key.id] != key.gen) /* V3 */
		return;
	if (present)
		row_set(view, rows, key.id, agent_idx);
	else
		row_clear(view, rows, key.id, agent_idx);
}

void km_view_note_cached(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	note(view, view->cached[level], agent_idx, level, key, present);
}

void km_view_note_future(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	note(view, view->future[level], agent_idx, level, key, present);
}

void km_view_recycle(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct km_view *view = ctx;

	view->gen[level][key.id] = key.gen;
	memset(view->cached[level] + (size_t)key.id * view->word_nr, 0,
	       view->word_nr * sizeof(uint64_t));
	if (view->future[level])
		memset(view->future[level] + (size_t)key.id * view->word_nr, 0,
		       view->word_nr * sizeof(uint64_t));
}
