/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* No agent has so much to do: what stands behind the last one. */
#define NOBODY_NS (UINT64_C(1) << 62)
#define BLOCK_AGENT_NR 64u
#define HUGE_BYTES ((size_t)2 << 20)
/* Words to a line: rows of types start on one. */
#define LINE_WORD_NR 8u
/* Keys of a digest that are compared at once: where much differs that is a call for nothing. */
#define FOLD_KEY_NR 64u
#define FOLD_NEAR_NR 4u

/* ---- life ----------------------------------------------------------------------- */

/* For whole blocks of agents, on lines of its own. */
static uint64_t *alloc_times(const struct km_view *view)
{
	const size_t bytes = (size_t)view->word_nr * BLOCK_AGENT_NR * sizeof(uint64_t);
	uint64_t *times = aligned_alloc(KM_SHARE_BYTES, bytes);

	if (times)
		memset(times, 0, bytes);
	return times;
}

static uint32_t row_words_of(uint32_t level, uint32_t word_nr)
{
	if (level == KM_CACHE_RULE)
		return (KM_VIEW_CACHED + 1) * word_nr;
	return KM_DIV_UP(KM_VIEW_KIND_NR * word_nr, LINE_WORD_NR) * LINE_WORD_NR;
}

/* Rows of large fleets are read at random: pages of 4 KiB would be a walk for each. */
static void want_huge_pages(void *memory, size_t bytes)
{
	const uintptr_t first = KM_DIV_UP((uintptr_t)memory, HUGE_BYTES) * HUGE_BYTES;
	const uintptr_t end = ((uintptr_t)memory + bytes) / HUGE_BYTES * HUGE_BYTES;

	if (first < end) /* a wish: without them it is only slower */
		km_ignore(madvise((void *)first, end - first, MADV_HUGEPAGE));
}

/* On whole lines; pages that are never touched are never backed. */
static int alloc_rows(struct km_view *view, uint32_t level)
{
	const size_t row_words = row_words_of(level, view->word_nr);
	const size_t word_nr = view->cap[level] * row_words + LINE_WORD_NR;
	uintptr_t start;

	view->row_words[level] = (uint32_t)row_words;
	view->row_memory[level] = calloc(word_nr, sizeof(uint64_t));
	if (!view->row_memory[level])
		return -ENOMEM;
	want_huge_pages(view->row_memory[level], word_nr * sizeof(uint64_t));
	start = (uintptr_t)view->row_memory[level] + LINE_WORD_NR * sizeof(uint64_t) - 1;
	view->row[level] = (uint64_t *)(start - start % (LINE_WORD_NR * sizeof(uint64_t)));
	return 0;
}

uint64_t km_view_bytes(uint32_t agent_nr, uint32_t type_cap, uint32_t rule_obj_cap)
{
	const uint32_t word_nr = KM_DIV_UP(agent_nr, BLOCK_AGENT_NR);
	const uint64_t per_id = sizeof(uint32_t) + sizeof(uint64_t); /* gen, fold_mark */
	const uint64_t type = row_words_of(KM_CACHE_TOP, word_nr) * sizeof(uint64_t);
	const uint64_t obj = row_words_of(KM_CACHE_RULE, word_nr) * sizeof(uint64_t);

	return type_cap * (type + per_id) + rule_obj_cap * (obj + per_id) +
	       agent_nr * (sizeof(struct km_view_queue) + 3 * sizeof(uint64_t) + 40ull);
}

static int alloc_level(struct km_view *view, uint32_t level, bool future)
{
	const size_t nr = view->cap[level], agents = view->agent_nr;
	uint32_t i;

	view->gen[level] = calloc(nr, sizeof(uint32_t));
	view->fold_mark[level] = calloc(nr, sizeof(uint64_t));
	if (future)
		view->future[level] = calloc(nr * view->word_nr, sizeof(uint64_t));
	view->folded[level] = calloc(agents, sizeof(struct km_key *));
	view->folded_nr[level] = calloc(agents, sizeof(uint32_t));
	view->folded_cap[level] = calloc(agents, sizeof(uint32_t));
	if (alloc_rows(view, level) || !view->gen[level] || !view->fold_mark[level] ||
	    !view->folded[level] || !view->folded_nr[level] || !view->folded_cap[level] ||
	    (future && !view->future[level]))
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		view->gen[level][i] = KM_GEN_FIRST;
	return 0;
}

static int alloc_queues(struct km_view *view, uint32_t coming_max)
{
	const size_t agents = view->agent_nr;

	if (!coming_max || coming_max > view->cap[KM_CACHE_TOP])
		coming_max = view->cap[KM_CACHE_TOP];
	view->queue = aligned_alloc(alignof(struct km_view_queue), agents * sizeof(*view->queue));
	if (!view->queue)
		return -ENOMEM;
	memset(view->queue, 0, agents * sizeof(*view->queue));
	if (coming_max <= KM_VIEW_NEAR_NR)
		return 0;
	view->far_nr = coming_max - KM_VIEW_NEAR_NR;
	view->far = calloc(agents * view->far_nr, sizeof(*view->far));
	return view->far ? 0 : -ENOMEM;
}

int km_view_create(struct km_view **out, const struct km_view_cfg *cfg)
{
	struct km_view *view;
	uint32_t level, i;

	if (!cfg->agent_nr || !cfg->type_cap || !cfg->rule_obj_cap || cfg->rule_nr > KM_RULES_MAX)
		return -EINVAL;
	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->agent_nr = cfg->agent_nr;
	view->word_nr = KM_DIV_UP(cfg->agent_nr, BLOCK_AGENT_NR);
	view->rule_nr = cfg->rule_nr;
	view->cap[KM_CACHE_TOP] = cfg->type_cap;
	view->cap[KM_CACHE_RULE] = cfg->rule_obj_cap;
	view->count_serving = cfg->count_serving;
	view->wait_ns = alloc_times(view);
	view->end_ns = alloc_times(view);
	view->queued_nr = calloc(cfg->agent_nr, sizeof(*view->queued_nr));
	/* Scans of groups read whole vectors of them. */
	view->open = calloc(KM_DIV_UP(view->word_nr, 4u) * 4ul, sizeof(*view->open));
	view->rule_turn = calloc(view->word_nr, sizeof(*view->rule_turn));
	view->folded_version = calloc(cfg->agent_nr, sizeof(*view->folded_version));
	if (cfg->agent_nr <= KM_VIEW_FEW_NR)
		view->obj_few = calloc(cfg->rule_obj_cap, sizeof(*view->obj_few));
	if ((cfg->agent_nr <= KM_VIEW_FEW_NR && !view->obj_few) || !view->folded_version ||
	    !view->wait_ns || !view->end_ns || !view->queued_nr || !view->open || !view->rule_turn)
		goto err_destroy;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		if (alloc_level(view, level, cfg->future))
			goto err_destroy;
	if (alloc_queues(view, cfg->coming_max))
		goto err_destroy;
	if (cfg->bounds) {
		view->bounds = km_bounds_create(cfg->agent_nr);
		if (!view->bounds)
			goto err_destroy;
	}
	for (i = 0; i < cfg->agent_nr; i++)
		km_view_set_open(view, i, true);
	for (; i < view->word_nr * BLOCK_AGENT_NR; i++)
		view->wait_ns[i] = NOBODY_NS;
	for (i = 0; i < view->word_nr; i++)
		view->rule_turn[i] = 1; /* a row of zeros speaks of no turn */
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
		free(view->fold_mark[level]);
		free(view->gen[level]);
		free(view->row_memory[level]);
		free(view->future[level]);
	}
	free(view->folded_version);
	km_bounds_destroy(view->bounds);
	free(view->far);
	free(view->queue);
	free(view->obj_few);
	free(view->rule_turn);
	free(view->open);
	free(view->queued_nr);
	free(view->end_ns);
	free(view->wait_ns);
	free(view);
}

/* ---- what is coming ---------------------------------------------------------------- */

/* All that is known of one id and an agent's 64: a word of each kind. */
static inline uint64_t *word_of(struct km_view *view, enum km_cache_level level, uint32_t id,
				uint32_t agent_idx)
{
	return km_view_row(view, level, id, KM_VIEW_AUGMENTED) + agent_idx / 64;
}

static inline uint64_t bit_of(uint32_t agent_idx)
{
	return UINT64_C(1) << (agent_idx % 64);
}

static struct km_view_coming *coming_at(const struct km_view *view, uint32_t agent_idx, uint32_t i)
{
	if (km_likely(i < KM_VIEW_NEAR_NR))
		return &view->queue[agent_idx].near[i];
	return &view->far[(size_t)agent_idx * view->far_nr + i - KM_VIEW_NEAR_NR];
}

/* It is there: its coming bit is set. */
static struct km_view_coming *find_coming(const struct km_view *view, uint32_t agent_idx,
					  uint32_t id)
{
	const uint32_t nr = view->queue[agent_idx].nr;
	uint32_t i;

	for (i = 0; i < nr; i++)
		if (coming_at(view, agent_idx, i)->id == id)
			return coming_at(view, agent_idx, i);
	KM_BUG_ON(true);
}

static bool obj_is_coming(const struct km_view *view, uint32_t agent_idx, uint32_t obj_id)
{
	const uint32_t nr = view->queue[agent_idx].nr;
	const struct km_type *type;
	uint32_t i, r;

	for (i = 0; i < nr; i++) {
		type = &view->type[coming_at(view, agent_idx, i)->id];
		for (r = 0; r < view->rule_nr; r++)
			if (type->rule[r].id == obj_id)
				return true;
	}
	return false;
}

/* Whoever changes augmented bits of rule objects tells once (V6). */
static inline void tell_turn(struct km_view *view, uint32_t agent_idx, bool changed)
{
	view->rule_turn[agent_idx / 64] += changed;
}

/* V7, after a rule object's augmented bits became @word. */
static inline void tell_few(const struct km_view *view, uint32_t id, uint64_t word)
{
	if (view->obj_few)
		view->obj_few[id] = (uint16_t)word;
}

/* It is not cached any more, or what was made of it is not coming. Return: was it augmented, and is not now? */
static inline bool review_obj(const struct km_view *view, uint32_t agent_idx, uint32_t id,
			      uint64_t *word, uint64_t bit)
{
	if (!(word[0] & bit) || (word[KM_VIEW_CACHED * view->word_nr] & bit) ||
	    (view->queue[agent_idx].nr && obj_is_coming(view, agent_idx, id)))
		return false;
	word[0] &= ~bit;
	tell_few(view, id, word[0]);
	return true;
}

/* The type is not cached there: what it is made of will be. */
static __attribute__((noinline)) void rules_come(struct km_view *view, uint32_t agent_idx,
						 const struct km_type *type)
{
	const uint32_t w = agent_idx / 64;
	const uint64_t bit = bit_of(agent_idx);
	uint64_t *word, absent = 0;
	uint32_t r;

	/* V6; the decision that sent it here has mostly found out. */
	if (km_view_row(view, KM_CACHE_TOP, type->key.id, KM_VIEW_WHOLE_AT)[w] ==
		    view->rule_turn[w] &&
	    km_view_bit(km_view_row(view, KM_CACHE_TOP, type->key.id, KM_VIEW_WHOLE), agent_idx))
		return;
	for (r = 0; r < view->rule_nr; r++) {
		word = word_of(view, KM_CACHE_RULE, type->rule[r].id, agent_idx);
		absent |= ~*word & bit;
		*word |= bit;
		tell_few(view, type->rule[r].id, *word);
	}
	tell_turn(view, agent_idx, absent);
}

/* Any type; what is rare on the way of a request. */
static __attribute__((noinline)) void any_type_comes(struct km_view *view, uint32_t agent_idx,
						     const struct km_type *type)
{
	uint64_t *word = word_of(view, KM_CACHE_TOP, type->key.id, agent_idx);
	const size_t word_nr = view->word_nr;
	const uint64_t bit = bit_of(agent_idx);
	struct km_view_queue *queue = &view->queue[agent_idx];

	if (word[KM_VIEW_COMING * word_nr] & bit) {
		find_coming(view, agent_idx, type->key.id)->nr++;
		return;
	}
	KM_BUG_ON(queue->nr == KM_VIEW_NEAR_NR + view->far_nr);
	*coming_at(view, agent_idx, queue->nr++) = (struct km_view_coming){ type->key.id, 1 };
	view->type = type - type->key.id;
	word[KM_VIEW_COMING * word_nr] |= bit;
	word[KM_VIEW_AUGMENTED] |= bit;
	if (!(word[KM_VIEW_CACHED * word_nr] & bit)) /* else V5 */
		rules_come(view, agent_idx, type);
}

/* The same, without a frame where it is not coming yet and the line has room. */
static inline void type_comes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	uint64_t *word = word_of(view, KM_CACHE_TOP, type->key.id, agent_idx);
	const size_t word_nr = view->word_nr;
	const uint64_t bit = bit_of(agent_idx), coming = word[KM_VIEW_COMING * word_nr];
	struct km_view_queue *queue = &view->queue[agent_idx];
	const uint32_t nr = queue->nr;

	if (km_unlikely((coming & bit) || nr >= KM_VIEW_NEAR_NR || !view->type)) {
		any_type_comes(view, agent_idx, type);
		return;
	}
	queue->near[nr] = (struct km_view_coming){ type->key.id, 1 };
	queue->nr = nr + 1;
	word[KM_VIEW_COMING * word_nr] = coming | bit;
	word[KM_VIEW_AUGMENTED] |= bit;
	if (!(word[KM_VIEW_CACHED * word_nr] & bit)) /* else V5 */
		rules_come(view, agent_idx, type);
}

static void type_goes(struct km_view *view, uint32_t agent_idx, const struct km_type *type)
{
	uint64_t *word = word_of(view, KM_CACHE_TOP, type->key.id, agent_idx);
	struct km_view_queue *queue = &view->queue[agent_idx];
	const size_t word_nr = view->word_nr;
	const uint64_t bit = bit_of(agent_idx);
	struct km_view_coming *coming;
	bool changed = false;
	uint32_t r;

	KM_BUG_ON(!(word[KM_VIEW_COMING * word_nr] & bit));
	coming = find_coming(view, agent_idx, type->key.id);
	if (coming->nr > 1) {
		coming->nr--;
		return;
	}
	/* Not one half written and the whole read at once: that waits for the write. */
	*coming = *coming_at(view, agent_idx, --queue->nr);
	word[KM_VIEW_COMING * word_nr] &= ~bit;
	if (word[KM_VIEW_CACHED * word_nr] & bit) /* V5 */
		return;
	word[KM_VIEW_AUGMENTED] &= ~bit;
	for (r = 0; r < view->rule_nr; r++)
		changed |= review_obj(view, agent_idx, type->rule[r].id,
				      word_of(view, KM_CACHE_RULE, type->rule[r].id, agent_idx),
				      bit);
	tell_turn(view, agent_idx, changed);
}

/* ---- queue times -------------------------------------------------------------------- */

/* V4, after an agent's time changed. */
static void bound_this(struct km_view *view, uint32_t agent_idx)
{
	km_bounds_note(view->bounds, agent_idx,
		       view->wait_ns[agent_idx] + km_max_u64(view->end_ns[agent_idx], view->now_ns),
		       view->now_ns);
}

static inline void bound_agent(struct km_view *view, uint32_t agent_idx)
{
	if (view->bounds)
		bound_this(view, agent_idx);
}

void km_view_set_end(struct km_view *view, uint32_t agent_idx, uint64_t end_ns)
{
	view->end_ns[agent_idx] = end_ns;
	bound_agent(view, agent_idx);
}

static void leave_queue(struct km_view *view, uint32_t agent_idx, uint64_t est_ns)
{
	KM_BUG_ON(view->wait_ns[agent_idx] < est_ns || !view->queued_nr[agent_idx]);
	view->wait_ns[agent_idx] -= est_ns;
	view->queued_nr[agent_idx]--;
	bound_agent(view, agent_idx);
}

static __attribute__((noinline)) void bounded_comes(struct km_view *view, uint32_t agent_idx,
						    const struct km_type *type)
{
	bound_this(view, agent_idx);
	type_comes(view, agent_idx, type);
}

void km_view_enqueue(struct km_view *view, uint32_t agent_idx, const struct km_type *type,
		     uint64_t est_ns)
{
	view->wait_ns[agent_idx] += est_ns;
	view->queued_nr[agent_idx]++;
	/* Calls stand last, so that this needs no frame. */
	if (view->bounds)
		bounded_comes(view, agent_idx, type);
	else
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

/* ---- what is cached -------------------------------------------------------------------- */

/* Where the bits of one agent stand in the rows of one level. */
struct spot {
	uint64_t *row, bit; /* row: of id 0 */
	size_t row_words, cached_at;
	enum km_cache_level level;
	uint32_t agent_idx;
};

static inline struct spot spot_of(struct km_view *view, enum km_cache_level level,
				  uint32_t agent_idx)
{
	return (struct spot){
		.row = view->row[level] + agent_idx / 64,
		.bit = bit_of(agent_idx),
		.row_words = view->row_words[level],
		.cached_at = (size_t)KM_VIEW_CACHED * view->word_nr,
		.level = level,
		.agent_idx = agent_idx,
	};
}

/* Return: whether it was not augmented before. */
static inline bool set_cached(const struct km_view *view, const struct spot *at, uint32_t id)
{
	uint64_t *word = at->row + id * at->row_words;
	const bool was_absent = !(*word & at->bit);

	word[at->cached_at] |= at->bit;
	*word |= at->bit;
	if (at->level == KM_CACHE_RULE)
		tell_few(view, id, *word);
	return was_absent;
}

/* Return: whether it is not augmented any more; of rule objects only. */
static inline bool clear_cached(const struct km_view *view, const struct spot *at, uint32_t id)
{
	uint64_t *word = at->row + id * at->row_words;

	word[at->cached_at] &= ~at->bit;
	if (at->level == KM_CACHE_RULE)
		return review_obj(view, at->agent_idx, id, word, at->bit);
	*word &= ~at->bit | word[KM_VIEW_COMING * view->word_nr];
	return false;
}

/* V3: what is not of the current generation says nothing. Return: see the two. */
static inline bool note_cached(const struct km_view *view, const struct spot *at, struct km_key key,
			       bool present)
{
	if (view->gen[at->level][key.id] != key.gen)
		return false;
	return present ? set_cached(view, at, key.id) : clear_cached(view, at, key.id);
}

void km_view_note_cached(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	const struct spot at = spot_of(view, level, agent_idx);
	const bool changed = note_cached(view, &at, key, present);

	tell_turn(view, agent_idx, level == KM_CACHE_RULE && changed);
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

static inline bool is_same(const struct km_key *a, const struct km_key *b, uint32_t nr)
{
	return !memcmp(a, b, nr * sizeof(*a));
}

/* The first place at or after @i, and below @nr, at which the two differ; or @nr. */
static inline uint32_t next_change(const struct km_key *a, const struct km_key *b, uint32_t i,
				   uint32_t nr)
{
	const uint32_t near = (uint32_t)km_min_u64(i + FOLD_NEAR_NR, nr);

	for (; i < near; i++)
		if (!is_same(&a[i], &b[i], 1))
			return i;
	while (i + FOLD_KEY_NR <= nr && is_same(&a[i], &b[i], FOLD_KEY_NR))
		i += FOLD_KEY_NR;
	while (i < nr && is_same(&a[i], &b[i], 1))
		i++;
	return i;
}

/* First what is new comes, then what is not there any more goes, so that what moved stays. */
static inline __attribute__((always_inline)) void fold_level(struct km_view *view,
							     uint32_t agent_idx,
							     enum km_cache_level level,
							     const struct km_key *keys, uint32_t nr)
{
	const struct spot at = spot_of(view, level, agent_idx);
	const uint32_t *const gen = view->gen[level];
	struct km_key *const mine = view->folded[level][agent_idx];
	uint64_t *const mark = view->fold_mark[level];
	const uint32_t old_nr = view->folded_nr[level][agent_idx];
	const uint32_t both = (uint32_t)km_min_u64(old_nr, nr);
	const uint64_t turn = ++view->fold_nr;
	uint32_t i, first = next_change(mine, keys, 0, both);
	bool changed = false;

	for (i = first; i < nr; i = i < both ? next_change(mine, keys, i + 1, both) : i + 1) {
		if (gen[keys[i].id] != keys[i].gen) /* V3 */
			continue;
		mark[keys[i].id] = turn;
		changed |= set_cached(view, &at, keys[i].id);
	}
	for (i = first; i < old_nr; i = i < both ? next_change(mine, keys, i + 1, both) : i + 1)
		if (mark[mine[i].id] != turn)
			changed |= clear_cached(view, &at, mine[i].id);
	tell_turn(view, agent_idx, level == KM_CACHE_RULE && changed);
	if (nr > first)
		memcpy(&mine[first], &keys[first], (nr - first) * sizeof(*mine));
	view->folded_nr[level][agent_idx] = nr;
}

static int fold_all(struct km_view *view, uint32_t agent_idx, const struct km_digest *digest)
{
	uint32_t level;
	int err;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		err = fold_grow(view, agent_idx, level, digest->nr[level]);
		if (err)
			return err;
	}
	fold_level(view, agent_idx, KM_CACHE_TOP, digest->keys[KM_CACHE_TOP],
		   digest->nr[KM_CACHE_TOP]);
	fold_level(view, agent_idx, KM_CACHE_RULE, digest->keys[KM_CACHE_RULE],
		   digest->nr[KM_CACHE_RULE]);
	return 0;
}

/* Room for what @change[0..nr) make of the digest folded last, and its lines on their way. */
static int prepare_log(struct km_view *view, uint32_t agent_idx, const struct km_change *change,
		       uint32_t nr)
{
	uint32_t at[KM_CACHE_LEVEL_NR], most[KM_CACHE_LEVEL_NR], level, i;
	int err;

	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		at[level] = most[level] = view->folded_nr[level][agent_idx];
	for (i = 0; i < nr; i++) {
		level = change[i].level;
		at[level] += change[i].present ? 1u : -1u;
		most[level] = (uint32_t)km_max_u64(most[level], at[level]);
		km_view_prefetch(view, level, change[i].key.id, agent_idx);
		if (!change[i].present)
			__builtin_prefetch(&view->folded[level][agent_idx][change[i].place], 1);
	}
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		err = fold_grow(view, agent_idx, level, most[level]);
		if (err)
			return err;
	}
	return 0;
}

/* One after the other, as the cache made them, so that V5 holds after each. */
static int fold_log(struct km_view *view, uint32_t agent_idx, const struct km_change *change,
		    uint32_t nr)
{
	const struct spot at[] = { spot_of(view, KM_CACHE_TOP, agent_idx),
				   spot_of(view, KM_CACHE_RULE, agent_idx) };
	const struct km_change *const end = change + nr;
	uint32_t mine_nr[KM_CACHE_LEVEL_NR], level;
	struct km_key *mine[KM_CACHE_LEVEL_NR];
	bool changed[KM_CACHE_LEVEL_NR] = { false };

	if (prepare_log(view, agent_idx, change, nr))
		return -ENOMEM;
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		mine[level] = view->folded[level][agent_idx];
		mine_nr[level] = view->folded_nr[level][agent_idx];
	}
	for (; change < end; change++) {
		level = change->level;
		if (change->present) {
			mine[level][mine_nr[level]++] = change->key;
		} else {
			KM_BUG_ON(change->place >= mine_nr[level]);
			mine[level][change->place] = mine[level][--mine_nr[level]];
		}
		changed[level] |= note_cached(view, &at[level], change->key, change->present);
	}
	tell_turn(view, agent_idx, changed[KM_CACHE_RULE]);
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++)
		view->folded_nr[level][agent_idx] = mine_nr[level];
	return 0;
}

int km_view_fold(struct km_view *view, uint32_t agent_idx, const struct km_digest *digest)
{
	const uint64_t behind = digest->version - view->folded_version[agent_idx];
	int err;

	if (digest->log_nr && behind <= digest->log_nr) /* D1 */
		err = fold_log(view, agent_idx, &digest->log[digest->log_nr - behind],
			       (uint32_t)behind);
	else
		err = fold_all(view, agent_idx, digest);
	if (!err)
		view->folded_version[agent_idx] = digest->version;
	return err;
}

void km_view_note_future(struct km_view *view, uint32_t agent_idx, enum km_cache_level level,
			 struct km_key key, bool present)
{
	uint64_t *word =
		view->future[level] + (size_t)key.id * view->word_nr + agent_idx / BLOCK_AGENT_NR;

	if (view->gen[level][key.id] != key.gen) /* V3 */
		return;
	*word = present ? *word | bit_of(agent_idx) : *word & ~bit_of(agent_idx);
}

/* Nobody has it cached, and it is not coming: only what nobody references is recycled. */
void km_view_recycle(void *ctx, enum km_cache_level level, struct km_key key)
{
	struct km_view *view = ctx;
	uint64_t *row = km_view_row(view, level, key.id, KM_VIEW_AUGMENTED);
	uint32_t w;

	view->gen[level][key.id] = key.gen;
	for (w = 0; level == KM_CACHE_RULE && w < view->word_nr; w++)
		view->rule_turn[w] += row[w] != 0;
	memset(row, 0, view->row_words[level] * sizeof(uint64_t));
	if (level == KM_CACHE_RULE)
		tell_few(view, key.id, 0);
	if (view->future[level])
		memset(view->future[level] + (size_t)key.id * view->word_nr, 0,
		       view->word_nr * sizeof(uint64_t));
}
