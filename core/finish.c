/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/finish.c - the open agent with the least queue + remaining + processing
 * time, and the runner-up: algorithm 1 of LatCache, vectorised and pruned.
 *
 * What makes it cheaper than looking at everything:
 *  P1 An agent is weighed in full only if its queue and remaining time plus the
 *     least it could take do not exceed an upper bound on the second best sum.
 *     The bound starts as the second least of what agents take at most (a hit,
 *     or the dearest miss) and falls as sums are found.
 *  P2 In a view that keeps bounds, groups of 8 and blocks of 64 agents are left
 *     out as a whole by the least that stands in core/view.h for each (V4),
 *     beginning with the most promising block.
 * Both leave out only who can be neither first nor second, so the answer, ties
 * included, is that of the plain rule, whatever the instruction set:
 * tests/model/policy_model_test.c compares each with an oracle.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2, section 4.2.
 */
#include "core/finish.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct candidate {
	uint64_t sum_ns;
	uint64_t rank; /* of equal sums: no hit in bit 32, then how many are queued */
	uint32_t agent_idx;
};

struct scan {
	const struct km_view *view;
	const struct km_type *type;
	const uint64_t *top_row; /* agents that have the type, in the sense of the variant */
	const uint64_t *rule_rows;
	const uint64_t *saved_ns; /* [rule_nr] miss less hit; may be negative, then it wraps */
	uint64_t hit_ns, least_ns, most_ns; /* of a miss on top: the least and most it takes */
	uint64_t cheapest_ns; /* the lesser of hit_ns and least_ns */
	uint64_t limit_ns; /* at least the second best sum */
	enum km_finish variant;
	uint32_t first_block;
	struct candidate best, second;
};

struct scan_ops {
	void (*all[KM_FINISH_NR])(struct scan *s);
	void (*bounded[KM_FINISH_NR])(struct scan *s);
};

static inline bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->sum_ns != b->sum_ns)
		return a->sum_ns < b->sum_ns;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	return a->agent_idx < b->agent_idx;
}

static inline void offer(struct scan *s, uint32_t agent_idx, uint64_t sum_ns, bool hit)
{
	const struct candidate c = {
		.sum_ns = sum_ns,
		.rank = (uint64_t)!hit << 32 | s->view->queued_nr[agent_idx],
		.agent_idx = agent_idx,
	};

	if (is_better(&c, &s->best)) {
		s->second = s->best;
		s->best = c;
	} else if (is_better(&c, &s->second)) {
		s->second = c;
	} else {
		return;
	}
	s->limit_ns = km_min_u64(s->limit_ns, s->second.sum_ns);
}

/*
 * What a sum may be to matter from @agent_idx on. Where the second best is a hit
 * on an idle agent before it, an equal sum cannot win: fleets that idle are full
 * of such ties.
 */
static inline uint64_t limit_for(const struct scan *s, uint32_t agent_idx)
{
	const bool beats_ties = !s->second.rank && agent_idx > s->second.agent_idx &&
				s->limit_ns == s->second.sum_ns;

	return s->limit_ns - beats_ties;
}

/* ---- one scan for each instruction set ------------------------------------------ */

#define INLINE static inline __attribute__((always_inline))

#define LANES 2
#define TARGET
#define NAME(x) portable_##x
typedef int64_t portable_vec __attribute__((vector_size(16)));
INLINE uint32_t portable_le_mask(portable_vec x, portable_vec limit)
{
	return (uint32_t)(x[0] <= limit[0]) | (uint32_t)(x[1] <= limit[1]) << 1;
}
INLINE portable_vec portable_choose(uint32_t bits, portable_vec a, portable_vec b)
{
	return (portable_vec){ bits & 1 ? a[0] : b[0], bits & 2 ? a[1] : b[1] };
}
INLINE portable_vec portable_sub(portable_vec x, portable_vec y, uint32_t bits)
{
	return x - (y & (portable_vec){ -(int64_t)(bits & 1), -(int64_t)(bits >> 1) });
}
INLINE portable_vec portable_min(portable_vec a, portable_vec b)
{
	return (portable_vec){ a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1] };
}
INLINE portable_vec portable_max(portable_vec a, portable_vec b)
{
	return (portable_vec){ a[0] < b[0] ? b[0] : a[0], a[1] < b[1] ? b[1] : a[1] };
}
#include "core/finish.inc"

#if defined(__x86_64__)
#define LANES 4
#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define NAME(x) avx2_##x
typedef int64_t avx2_vec __attribute__((vector_size(32)));
TARGET INLINE uint32_t avx2_le_mask(avx2_vec x, avx2_vec limit)
{
	return 15u & ~(uint32_t)_mm256_movemask_pd((__m256d)(x > limit));
}
/* All ones in the lanes whose bits are set. */
#define LANE(i, bits) (-((bits) >> (i)&1))
#define ROW(bits)                                                          \
	{                                                                  \
		LANE(0, bits), LANE(1, bits), LANE(2, bits), LANE(3, bits) \
	}
static const int64_t avx2_lanes_of[16][4] __attribute__((aligned(64))) = {
	ROW(0), ROW(1), ROW(2),	 ROW(3),  ROW(4),  ROW(5),  ROW(6),  ROW(7),
	ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
};
TARGET INLINE avx2_vec avx2_lanes(uint32_t bits)
{
	avx2_vec lanes;

	memcpy(&lanes, avx2_lanes_of[bits], sizeof(lanes));
	return lanes;
}
TARGET INLINE avx2_vec avx2_choose(uint32_t bits, avx2_vec a, avx2_vec b)
{
	return (avx2_vec)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)avx2_lanes(bits));
}
TARGET INLINE avx2_vec avx2_sub(avx2_vec x, avx2_vec y, uint32_t bits)
{
	return x - (y & avx2_lanes(bits));
}
TARGET INLINE avx2_vec avx2_min(avx2_vec a, avx2_vec b)
{
	return (avx2_vec)_mm256_blendv_pd((__m256d)a, (__m256d)b, (__m256d)(a > b));
}
TARGET INLINE avx2_vec avx2_max(avx2_vec a, avx2_vec b)
{
	return (avx2_vec)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)(a > b));
}
#include "core/finish.inc"

#define LANES 8
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,bmi,bmi2,popcnt")))
#define NAME(x) avx512_##x
typedef int64_t avx512_vec __attribute__((vector_size(64)));
TARGET INLINE uint32_t avx512_le_mask(avx512_vec x, avx512_vec limit)
{
	return _mm512_cmple_epi64_mask((__m512i)x, (__m512i)limit);
}
TARGET INLINE avx512_vec avx512_choose(uint32_t bits, avx512_vec a, avx512_vec b)
{
	return (avx512_vec)_mm512_mask_blend_epi64((__mmask8)bits, (__m512i)b, (__m512i)a);
}
TARGET INLINE avx512_vec avx512_sub(avx512_vec x, avx512_vec y, uint32_t bits)
{
	return (avx512_vec)_mm512_mask_sub_epi64((__m512i)x, (__mmask8)bits, (__m512i)x,
						 (__m512i)y);
}
TARGET INLINE avx512_vec avx512_min(avx512_vec a, avx512_vec b)
{
	return (avx512_vec)_mm512_min_epi64((__m512i)a, (__m512i)b);
}
TARGET INLINE avx512_vec avx512_max(avx512_vec a, avx512_vec b)
{
	return (avx512_vec)_mm512_max_epi64((__m512i)a, (__m512i)b);
}
#include "core/finish.inc"
#endif

static const struct {
	const char *name;
	const struct scan_ops *ops;
} paths[] = {
#if defined(__x86_64__)
	{ "avx512", &avx512_ops },
	{ "avx2", &avx2_ops },
#endif
	{ "portable", &portable_ops },
};

static bool is_supported(const char *name)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (!strcmp(name, "avx512"))
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
		       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
	if (!strcmp(name, "avx2"))
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#endif
	return !strcmp(name, "portable");
}

/* Sync: written before main(), then by km_finish_use() in tests and benchmarks only. */
static const struct scan_ops *ops = &portable_ops;
static const char *path_name = "portable";

bool km_finish_use(const char *name)
{
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(paths); i++) {
		if (!is_supported(paths[i].name) || (name && strcmp(name, paths[i].name)))
			continue;
		ops = paths[i].ops;
		path_name = paths[i].name;
		return true;
	}
	return false;
}

const char *km_finish_path(void)
{
	return path_name;
}

__attribute__((constructor)) static void choose_path(void)
{
	km_finish_use(NULL);
}

/* ---- the entry ---------------------------------------------------------------------- */

/* What a miss saves by each rule that hits, and the two ends of what it takes. */
static void sum_rules(struct scan *s, uint64_t *saved_ns)
{
	const struct km_estimates *est = s->view->est;
	uint32_t r;

	if (est->summed && est->rule_nr == s->view->rule_nr) {
		s->saved_ns = est->rule_saved_ns;
		s->least_ns = est->least_miss_ns;
		s->most_ns = est->most_miss_ns;
		return;
	}
	s->saved_ns = saved_ns;
	s->least_ns = s->most_ns = est->miss_all_ns;
	for (r = 0; r < s->view->rule_nr; r++) {
		saved_ns[r] = est->rule_miss_ns[r] - est->rule_hit_ns[r];
		if (est->rule_hit_ns[r] < est->rule_miss_ns[r])
			s->least_ns -= saved_ns[r];
		else
			s->most_ns -= saved_ns[r];
	}
}

static uint32_t least_block(const struct km_view *view)
{
	uint64_t bound_ns, least_ns = UINT64_MAX;
	uint32_t b, least = 0;

	for (b = 0; b < view->word_nr; b++) {
		/* Of blocks with idle agents the first, so that ties are found in order. */
		bound_ns = km_max_u64(view->block_bound[b], view->now_ns);
		if (bound_ns < least_ns) {
			least_ns = bound_ns;
			least = b;
		}
	}
	return least;
}

static uint8_t count_rule_hits(const struct scan *s)
{
	uint32_t r, nr = 0, agent_idx = s->best.agent_idx;

	for (r = 0; r < s->view->rule_nr; r++)
		nr += km_view_bit(km_view_row(s->rule_rows, s->view, s->type->rule[r].id),
				  agent_idx);
	return (uint8_t)nr;
}

static void report(const struct scan *s, struct km_pick *pick)
{
	const struct candidate *best = &s->best, *second = &s->second;

	pick->runner_up_idx = second->agent_idx;
	pick->margin_ns = second->agent_idx == KM_NO_AGENT ? UINT64_MAX
							   : second->sum_ns - best->sum_ns;
	if (best->agent_idx == KM_NO_AGENT)
		return;
	pick->wait_ns = s->view->wait_ns[best->agent_idx];
	pick->remaining_ns =
		s->variant == KM_FINISH_NAIVE ? 0 : km_view_remaining_ns(s->view, best->agent_idx);
	pick->processing_ns = best->sum_ns - pick->wait_ns - pick->remaining_ns;
	pick->top_hit = !(best->rank >> 32);
	if (pick->top_hit)
		pick->rule_hit_nr = (uint8_t)s->view->rule_nr;
	else
		pick->rule_hit_nr = s->variant == KM_FINISH_RULE ? count_rule_hits(s) : 0;
}

uint32_t km_finish_first(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick, enum km_finish variant)
{
	static const struct candidate nobody = { UINT64_MAX, UINT64_MAX, KM_NO_AGENT };
	uint64_t saved_ns[KM_RULES_MAX];
	struct scan s;

	s.view = view;
	s.type = type;
	s.top_row = km_view_row(variant == KM_FINISH_NAIVE ? view->cached[KM_CACHE_TOP]
							   : view->augmented[KM_CACHE_TOP],
				view, type->key.id);
	s.rule_rows = view->augmented[KM_CACHE_RULE];
	s.hit_ns = view->est->type_hit_ns[type->key.id];
	s.limit_ns = INT64_MAX - 1;
	s.variant = variant;
	s.best = s.second = nobody;
	if (variant == KM_FINISH_RULE)
		sum_rules(&s, saved_ns);
	else
		s.least_ns = s.most_ns = view->est->miss_all_ns;
	s.cheapest_ns = km_min_u64(s.hit_ns, s.least_ns);
	/* V4 speaks of times from bound_ns on, and of the remaining time. */
	if (view->block_bound && view->now_ns >= view->bound_ns && ops->bounded[variant]) {
		s.first_block = least_block(view);
		ops->bounded[variant](&s);
	} else {
		ops->all[variant](&s);
	}
	report(&s, pick);
	return s.best.agent_idx;
}
