/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* No agent has so much to do: what stands behind the last one. */
#define NOBODY_NS (UINT64_C(1) << 62)
#define BLOCK_AGENT_NR 64u
#define GROUP_AGENT_NR 8u

/* For whole blocks of agents, on lines of its own. */
static uint64_t *alloc_times(const struct km_view *view)
{
	const size_t bytes = (size_t)view->word_nr * BLOCK_AGENT_NR * sizeof(uint64_t);
	uint64_t *times = aligned_alloc(KM_SHARE_BYTES, bytes);

	if (times)
		memset(times, 0, bytes);
	return times;
}

/* Cells of one level, on whole lines; pages that are never touched are never backed. */
static int alloc_cells(struct km_view *view, uint32_t level)
{
	const size_t nr = (size_t)view->cap[level] * view->word_nr;
	uintptr_t start;

	view->cell_memory[level] = calloc(nr + KM_SHARE_BYTES / sizeof(struct km_view_cell),
					  sizeof(struct km_view_cell));
	if (!view->cell_memory[level])
		return -ENOMEM;
	start = (uintptr_t)view->cell_memory[level] + KM_SHARE_BYTES - 1;
	view->cell[level] = (struct km_view_cell *)(start - start % KM_SHARE_BYTES);
	view->augmented[level] = &view->cell[level]->augmented;
	view->cached[level] = &view->cell[level]->cached;
	view->coming[level] = &view->cell[level]->coming;
	return 0;
}

static int alloc_bounds(struct km_view *view)
{
	uint32_t block;

	view->group_bound = calloc((size_t)view->word_nr * 8, sizeof(*view->group_bound));
	/* Scans look at 8 blocks at a time. */
	view->block_bound = calloc(view->word_nr + 7ul, sizeof(*view->block_bound));
	if (!view->group_bound || !view->block_bound)
		return -ENOMEM;
	for (block = view->word_nr; block < view->word_nr + 7; block++)
		view->block_bound[block] = NOBODY_NS;
	km_view_freshen(view, view->word_nr);
	return 0;
}

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
	view->wait_ns = alloc_times(view);
	view->end_ns = alloc_times(view);
	view->queued_nr = calloc(agents, sizeof(*view->queued_nr));
	view->open = calloc(view->word_nr, sizeof(*view->open));
	if (!view->wait_ns || !view->end_ns || !view->queued_nr || !view->open)
		goto err_destroy;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		bits = (size_t)view->cap[level] * view->word_nr;
		view->count[level] = calloc(view->cap[level] * agents, sizeof(uint32_t));
		view->gen[level] = calloc(view->cap[level], sizeof(uint32_t));
		if (cfg->future)
			view->future[level] = calloc(bits, KM_VIEW_STRIDE * sizeof(uint64_t));
		view->folded[level] = calloc(agents, sizeof(struct km_key *));
		view->folded_nr[level] = calloc(agents, sizeof(uint32_t));
		view->folded_cap[level] = calloc(agents, sizeof(uint32_t));
		if (alloc_cells(view, level) || !view->count[level] || !view->gen[level] ||
		    !view->folded[level] || !view->folded_nr[level] || !view->folded_cap[level] ||
		    (cfg->future && !view->future[level]))
			goto err_destroy;
	}
	for (i = 0; i < cfg->agent_nr; i++)
		km_view_set_open(view, i, true);
	for (; i < view->word_nr * BLOCK_AGENT_NR; i++)
		view->wait_ns[i] = NOBODY_NS;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		for (i = 0; i < view->cap[level]; i++)
			view->gen[level][i] = KM_GEN_FIRST;
	if (cfg->bounds && alloc_bounds(view))
		goto err_destroy;
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
		free(view->cell_memory[level]);
		free(view->future[level]);
	}
	free(view->block_bound);
	free(view->group_bound);
	free(view->open);
	free(view->queued_nr);
	free(view->end_ns);
	free(view->wait_ns);
	free(view);
}

static inline struct km_view_cell *cell_of(struct km_view *view, enum km_cache_level level,
					   uint32_t id, uint32_t agent_idx)
{
	return &view->cell[level][(size_t)id * view->word_nr + agent_idx / 64];
}

static inline uint64_t bit_of(uint32_t agent_idx)
{
	return UINT64_C(1) << (agent_idx % 64);
}

static void set_cached(struct km_view *view, enum km_cache_level level, uint32_t id,
		       uint32_t agent_idx)
{
	struct km_view_cell *cell = cell_of(view, level, id, agent_idx);

	cell->cached |= bit_of(agent_idx);
	cell->augmented |= bit_of(agent_idx);
}

static void clear_cached(struct km_view *view, enum km_cache_level level, uint32_t id,
			 uint32_t agent_idx)
{
	struct km_view_cell *cell = cell_of(view, level, id, agent_idx);

	cell->cached &= ~bit_of(agent_idx);
	cell->augmented = cell->cached | cell->coming;
}

/* ---- bounds (V4) ------------------------------------------------------------ */

static uint64_t least_of_8(const uint64_t *value)
{
	uint64_t least = value[0];
	uint32_t i;

	for (i = 1; i < 8; i++)
		least = km_min_u64(least, value[i]);
	return least;
}

/* An overdue or idle agent counts as ending now: it can only be later that it is looked at. */
static void bound_group(struct km_view *view, uint32_t group)
{
	const uint64_t *wait = view->wait_ns + (size_t)group * GROUP_AGENT_NR;
	const uint64_t *end = view->end_ns + (size_t)group * GROUP_AGENT_NR;
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < GROUP_AGENT_NR; i++)
		least = km_min_u64(least, wait[i] + km_max_u64(end[i], view->now_ns));
	view->group_bound[group] = least;
}

static void bound_agent(struct km_view *view, uint32_t agent_idx)
{
	const uint32_t block = agent_idx / BLOCK_AGENT_NR;

	if (!view->block_bound)
		return;
	bound_group(view, agent_idx / GROUP_AGENT_NR);
	view->block_bound[block] = least_of_8(view->group_bound + (size_t)block * 8);
	view->bound_ns = km_max_u64(view->bound_ns, view->now_ns);
}

void km_view_freshen(struct km_view *view, uint32_t block_nr)
{
	uint32_t block, i;

	if (!view->block_bound)
		return;
	for (; block_nr; block_nr--) {
		block = view->fresh_block;
		view->fresh_block = block + 1 < view->word_nr ? block + 1 : 0;
		for (i = 0; i < 8; i++)
			bound_group(view, block * 8 + i);
		view->block_bound[block] = least_of_8(view->group_bound + (size_t)block * 8);
	}
	view->bound_ns = km_max_u64(view->bound_ns, view->now_ns);
}

void km_view_set_end(struct km_view *view, uint32_t agent_idx, uint64_t end_ns)
{
	view->end_ns[agent_idx] = end_ns;
	bound_agent(view, agent_idx);
}

/* ---- counts ------------------------------------------------------------------- */

static uint32_t *count_of(struct km_view *view, enum km_cache_level level, uint32_t id,
			  uint32_t agent_idx)
{
	return &view->count[level][(size_t)id * view->agent_nr + agent_idx];
}

static void comes_again(struct km_view *view, enum km_cache_level level, uint32_t id,
			uint32_t agent_idx)
{
	struct km_view_cell *cell = cell_of(view, level, id, agent_idx);
	uint32_t *count = count_of(view, level, id, agent_idx);

	if (!(cell->many & bit_of(agent_idx)))
		*count = 1;
	cell->many |= bit_of(agent_idx);
	(*count)++;
}

/* Return: whether it was the first; mostly it is, and then no count is touched. */
static inline bool comes(struct km_view *view, enum km_cache_level level, uint32_t id,
			 uint32_t agent_idx)
{
	struct km_view_cell *cell = cell_of(view, level, id, agent_idx);
	const uint64_t bit = bit_of(agent_idx);

	if (cell->coming & bit) {
		comes_again(view, level, id, agent_idx);
		return false;
	}
	cell->coming |= bit;
	cell->augmented |= bit;
	return true;
}

/* Return: whether it was the last. */
static inline bool goes(struct km_view *view, enum km_cache_level level, uint32_t id,
			uint32_t agent_idx)
{
	struct km_view_cell *cell = cell_of(view, level, id, agent_idx);
	const uint64_t bit = bit_of(agent_idx);

	KM_BUG_ON(!(cell->coming & bit));
	if (cell->many & bit) {
		if (--*count_of(view, level, id, agent_idx) == 1)
			cell->many &= ~bit;
		return false;
	}
	cell->coming &= ~bit;
	cell->augmented = cell->cached | cell->coming;
	return true;
}

/* Rule objects are counted once per distinct type that is coming, not per request. */
static void type_comes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	/* Copies, as the compiler cannot know that the stores leave the view alone. */
	const struct km_key *key = type->rule, *const end = key + view->rule_nr;
	struct km_view_cell *const first = view->cell[KM_CACHE_RULE] + agent_idx / 64, *cell;
	const size_t word_nr = view->word_nr;
	const uint64_t bit = bit_of(agent_idx);

	if (!comes(view, KM_CACHE_TOP, type->key.id, agent_idx))
		return;
	for (; key < end; key++) {
		cell = first + key->id * word_nr;
		if (km_unlikely(cell->coming & bit)) {
			comes_again(view, KM_CACHE_RULE, key->id, agent_idx);
			continue;
		}
		cell->coming |= bit;
		cell->augmented |= bit;
	}
}

static void type_goes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	const uint32_t rule_nr = view->rule_nr;
	uint32_t r;

	if (!goes(view, KM_CACHE_TOP, type->key.id, agent_idx))
		return;
	for (r = 0; r < rule_nr; r++)
		goes(view, KM_CACHE_RULE, type->rule[r].id, agent_idx);
}

static void leave_queue(struct km_view *view, uint32_t agent_idx, uint64_t est_ns)
{
	KM_BUG_ON(view->wait_ns[agent_idx] < est_ns || !view->queued_nr[agent_idx]);
	view->wait_ns[agent_idx] -= est_ns;
	view->queued_nr[agent_idx]--;
	bound_agent(view, agent_idx);
}

void km_view_enqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns)
{
	view->wait_ns[agent_idx] += est_ns;
	view->queued_nr[agent_idx]++;
	bound_agent(view, agent_idx);
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
		clear_cached(view, level, mine[i].id, agent_idx);
	for (i = 0; i < nr; i++) {
		mine[i] = keys[i];
		if (view->gen[level][keys[i].id] == keys[i].gen) /* V3 */
			set_cached(view, level, keys[i].id, agent_idx);
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

void km_view_note_cached(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	if (view->gen[level][key.id] != key.gen) /* V3 */
		return;
	if (present)
		set_cached(view, level, key.id, agent_idx);
	else
		clear_cached(view, level, key.id, agent_idx);
}

void km_view_note_future(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	uint64_t *word = view->future[level] +
			 ((size_t)key.id * view->word_nr + agent_idx / 64) * KM_VIEW_STRIDE;

	if (view->gen[level][key.id] != key.gen) /* V3 */
		return;
	*word = present ? *word | bit_of(agent_idx) : *word & ~bit_of(agent_idx);
}

void km_view_recycle(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct km_view *view = ctx;
	struct km_view_cell *cell = cell_of(view, level, key.id, 0);
	uint32_t w;

	view->gen[level][key.id] = key.gen;
	for (w = 0; w < view->word_nr; w++, cell++) {
		cell->cached = 0;
		cell->augmented = cell->coming;
	}
	if (view->future[level])
		memset(view->future[level] + (size_t)key.id * view->word_nr * KM_VIEW_STRIDE, 0,
		       view->word_nr * sizeof(*cell));
}
