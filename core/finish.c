/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/finish.c - the open agent with the least queue + remaining + processing
 * time, and the runner-up: algorithm 1 of LatCache, vectorised and pruned.
 *
 * What makes it cheaper than looking at everything:
 *  P1 Of a block of 64 agents each is first weighed by the least it could take: a
 *     hit, or a miss of which every rule hits. Only for those that are then among
 *     the best two the rule rows are read; mostly every rule does hit, and which
 *     agents have all of a type's rule objects is kept (V6 in core/view.h). One or
 *     two vectors of agents are weighed exactly at once, which costs less.
 *  P2 In a view that keeps bounds, groups of 16 agents are taken in the order of the
 *     least that anyone there could take (V4), until that exceeds the second best sum;
 *     within a group first who holds the type, of the others who is still in the race.
 * Both leave out only who can be neither first nor second, so the answer, ties
 * included, is that of the plain rule, whatever the instruction set:
 * tests/model/policy_model_test.c compares each with an oracle.
 *
 * Times are counted from where the clock starts, not from now: an agent's queue
 * time plus its predicted end, or now when that is past. A sum is now too late then,
 * as all of them are.
 *
 * Source: Kamino, OSDI '25, algorithms 1 and 2, section 4.2.
 */
#include "core/finish.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK_AGENT_NR 64u
/* Later than any sum. */
#define FAR_NS ((uint64_t)INT64_MAX - 1)
/* Of so many agents each rule that misses is looked for; of more, all are evaluated. */
#define FEW_AGENT_NR 8
/* In a rank: the agent does not hold the type. */
#define RANK_MISS (UINT64_C(1) << 32)

struct candidate {
	uint64_t sum_ns; /* FAR_NS = nobody */
	uint64_t rank; /* of equal sums: RANK_MISS or not, then how many are queued */
	uint32_t agent_idx;
};

struct scan {
	const struct km_view *view;
	const struct km_type *type;
	const uint64_t *top; /* agents that have the type, in the sense of the variant */
	const uint64_t *rule_rows;
	const uint64_t *saved_ns; /* [rule_nr] miss less hit; may be negative, then it wraps */
	uint64_t now_ns; /* 0 where remaining times do not count */
	uint64_t hit_ns, least_ns; /* of a hit on top; of a miss, the least it takes */
	bool whole_is_least; /* a miss takes the least where every rule hits */
	uint32_t now_tick, hit_tick, least_tick; /* the same, of a view with bounds */
	struct candidate best, second;
};

/* What a scan of one block found: agents as bits, their sums. */
struct two {
	uint64_t first, both; /* of the least sum; of it and of the second least */
	uint64_t first_ns, second_ns;
};

/* Vectors or blocks, and of those whether there is an order. */
enum fleet {
	FLEET_ONE_VECTOR,
	FLEET_TWO_VECTORS,
	FLEET_ONE_BLOCK,
	FLEET_ANY,
	FLEET_BOUNDED,
	FLEET_NR
};

struct scan_ops {
	uint32_t lane_nr; /* agents of a vector */
	uint32_t (*first[KM_FINISH_NR][FLEET_NR])(const struct km_view *view,
						  const struct km_type *type, struct km_pick *pick);
};

/* ---- what no instruction set makes faster ------------------------------------------ */

/* Inlined into what is compiled for each set, so that a scan lives in registers. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4")

INLINE bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->sum_ns != b->sum_ns)
		return a->sum_ns < b->sum_ns;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	return a->agent_idx < b->agent_idx;
}

INLINE void offer(struct scan *s, uint32_t agent_idx, uint64_t sum_ns, uint64_t rank)
{
	const struct candidate c = {
		.sum_ns = sum_ns,
		.rank = rank | s->view->queued_nr[agent_idx],
		.agent_idx = agent_idx,
	};

	if (is_better(&c, &s->best)) {
		s->second = s->best;
		s->best = c;
	} else if (is_better(&c, &s->second)) {
		s->second = c;
	}
}

INLINE uint64_t rank_of(const struct scan *s, size_t block, uint32_t i, bool is_hit)
{
	return (is_hit ? 0 : RANK_MISS) | s->view->queued_nr[block * BLOCK_AGENT_NR + i];
}

/* Agents @bits of @block, which take @x: each in the race for first and second. */
INLINE void offer_all(struct scan *s, size_t block, uint64_t bits, const uint64_t *x)
{
	const uint64_t top = s->top[block];
	uint64_t m;
	uint32_t i;

	for (m = bits & top; m; m &= m - 1) {
		i = (uint32_t)__builtin_ctzll(m);
		offer(s, (uint32_t)block * BLOCK_AGENT_NR + i, x[i], 0);
		/* Idle fleets are full of equals: nobody after two idle holders is better. */
		if (!s->second.rank && s->second.sum_ns == s->now_ns + s->hit_ns)
			break;
	}
	for (m = bits & ~top; m; m &= m - 1) {
		i = (uint32_t)__builtin_ctzll(m);
		offer(s, (uint32_t)block * BLOCK_AGENT_NR + i, x[i], RANK_MISS);
		if (!(uint32_t)s->second.rank && s->second.sum_ns == s->now_ns + s->least_ns)
			break;
	}
}

/* The same where nobody was offered before, and there are two who differ, as mostly. */
INLINE bool take_two(struct scan *s, size_t block, uint64_t bits, const uint64_t *x)
{
	const uint64_t rest = bits & (bits - 1), top = s->top[block];
	uint32_t i, k;

	if (km_unlikely(!rest || (rest & (rest - 1))))
		return false;
	i = (uint32_t)__builtin_ctzll(bits);
	k = (uint32_t)__builtin_ctzll(rest);
	if (km_unlikely(x[i] == x[k]))
		return false;
	if (x[k] < x[i]) {
		const uint32_t best = k;

		k = i;
		i = best;
	}
	s->best = (struct candidate){ x[i], rank_of(s, block, i, top >> i & 1),
				      (uint32_t)block * BLOCK_AGENT_NR + i };
	s->second = (struct candidate){ x[k], rank_of(s, block, k, top >> k & 1),
					(uint32_t)block * BLOCK_AGENT_NR + k };
	return true;
}

/* How many vectors of @lane_nr agents @block has. */
INLINE size_t vec_nr_of(const struct scan *s, size_t block, uint32_t lane_nr)
{
	const size_t left = s->view->agent_nr - block * BLOCK_AGENT_NR;

	return left >= BLOCK_AGENT_NR ? BLOCK_AGENT_NR / lane_nr : KM_DIV_UP(left, lane_nr);
}

/* Agents that there are and that are closed. */
INLINE uint64_t closed_of(const struct scan *s, size_t block)
{
	const size_t left = s->view->agent_nr - block * BLOCK_AGENT_NR;
	const uint64_t all = left >= BLOCK_AGENT_NR ? UINT64_MAX : (UINT64_C(1) << left) - 1;

	return all & ~s->view->open[block];
}

/*
 * Agents of @block of which it is known that every rule hits, so that a miss takes
 * the least: V6, made true for the block if it was not.
 */
INLINE uint64_t whole_of(const struct scan *s, size_t block)
{
	const struct km_view *view = s->view;
	const uint32_t id = s->type->key.id;
	uint64_t *at = km_view_row(view, KM_CACHE_TOP, id, KM_VIEW_WHOLE_AT) + block;
	uint64_t *whole = km_view_row(view, KM_CACHE_TOP, id, KM_VIEW_WHOLE) + block;
	const struct km_key *key = s->type->rule, *const end = key + view->rule_nr;
	const size_t row_words = view->row_words[KM_CACHE_RULE];
	uint64_t bits = UINT64_MAX;

	if (!s->whole_is_least)
		return 0;
	if (*at == view->rule_turn[block])
		return *whole;
	for (; key < end; key++)
		bits &= s->rule_rows[key->id * row_words + block];
	*whole = bits;
	*at = view->rule_turn[block];
	return bits;
}

/* Agents @todo, of which @x has what they take if every rule hits. Return: @todo. */
INLINE uint64_t add_missed(const struct scan *s, size_t block, uint64_t todo, uint64_t *x)
{
	const struct km_key *key = s->type->rule;
	const uint64_t *saved_ns = s->saved_ns, *const end = saved_ns + s->view->rule_nr;
	const uint64_t *const rows = s->rule_rows + block;
	const size_t row_words = s->view->row_words[KM_CACHE_RULE];
	uint64_t missed;

	for (; saved_ns < end; saved_ns++, key++)
		for (missed = todo & ~rows[key->id * row_words]; km_unlikely(missed);
		     missed &= missed - 1)
			x[__builtin_ctzll(missed)] += *saved_ns;
	return todo;
}

/* What a miss saves by each rule that hits. Return: the least that it takes. */
static __attribute__((noinline)) uint64_t sum_rules(const struct km_estimates *est,
						    uint32_t rule_nr, uint64_t *saved_ns)
{
	uint64_t least_ns = est->miss_all_ns;
	uint32_t r;

	for (r = 0; r < rule_nr; r++) {
		saved_ns[r] = est->rule_miss_ns[r] - est->rule_hit_ns[r];
		if (est->rule_hit_ns[r] < est->rule_miss_ns[r])
			least_ns -= saved_ns[r];
	}
	return least_ns;
}

/* @saved_ns: room for what a table without sums does not have. */
INLINE void begin(struct scan *s, const struct km_view *view, const struct km_type *type,
		  enum km_finish variant, uint64_t *saved_ns)
{
	static const struct candidate nobody = { FAR_NS, UINT64_MAX, KM_NO_AGENT };
	const struct km_estimates *est = view->est;

	s->view = view;
	s->type = type;
	s->top = km_view_row(view, KM_CACHE_TOP, type->key.id,
			     variant == KM_FINISH_NAIVE ? KM_VIEW_CACHED : KM_VIEW_AUGMENTED);
	s->rule_rows = view->row[KM_CACHE_RULE];
	s->now_ns = variant == KM_FINISH_NAIVE ? 0 : view->now_ns;
	s->hit_ns = est->type_hit_ns[type->key.id];
	s->best = s->second = nobody;
	s->least_ns = est->miss_all_ns;
	s->saved_ns = saved_ns;
	if (variant != KM_FINISH_RULE)
		return;
	if (km_likely(est->summed && est->rule_nr == view->rule_nr)) {
		s->saved_ns = est->rule_saved_ns;
		s->least_ns = est->least_miss_ns;
	} else {
		s->least_ns = sum_rules(est, view->rule_nr, saved_ns);
	}
	s->whole_is_least = s->least_ns == est->hit_all_ns;
}

INLINE uint8_t count_rule_hits(const struct scan *s)
{
	uint32_t r, nr = 0, agent_idx = s->best.agent_idx;

	if (whole_of(s, agent_idx / BLOCK_AGENT_NR) >> (agent_idx % 64) & 1)
		return (uint8_t)s->view->rule_nr;
	for (r = 0; r < s->view->rule_nr; r++)
		nr += km_view_augmented(s->view, KM_CACHE_RULE, s->type->rule[r].id, agent_idx);
	return (uint8_t)nr;
}

/* ---- of one block ------------------------------------------------------------------- */

/* V6: whose miss is known to take the least, without a look at the rules. */
INLINE uint64_t whole_if_known(const struct scan *s)
{
	const uint64_t *row =
		km_view_row(s->view, KM_CACHE_TOP, s->type->key.id, KM_VIEW_AUGMENTED);

	return s->whole_is_least && row[KM_VIEW_WHOLE_AT] == s->view->rule_turn[0]
		       ? row[KM_VIEW_WHOLE]
		       : 0;
}

INLINE void know_whole(const struct scan *s, uint64_t whole)
{
	uint64_t *row = km_view_row(s->view, KM_CACHE_TOP, s->type->key.id, KM_VIEW_AUGMENTED);

	row[KM_VIEW_WHOLE] = whole;
	row[KM_VIEW_WHOLE_AT] = s->view->rule_turn[0];
}

INLINE uint64_t row_of_obj(const struct scan *s, const struct km_key *key)
{
	return s->rule_rows[key->id * (size_t)(KM_VIEW_CACHED + 1)];
}

/* Of agents @bits, which finish at the same time, the one that goes first. */
INLINE uint32_t first_of(const struct scan *s, uint64_t bits)
{
	const uint64_t holders = bits & s->top[0];
	uint32_t first, i;

	if (holders)
		bits = holders;
	first = (uint32_t)__builtin_ctzll(bits);
	while (km_unlikely(bits &= bits - 1) && s->view->queued_nr[first]) {
		i = (uint32_t)__builtin_ctzll(bits);
		if (s->view->queued_nr[i] < s->view->queued_nr[first])
			first = i;
	}
	return first;
}

/* Those of agents @bits that take @ns; which of two it is nobody can predict: no branch. */
INLINE uint64_t equals(const uint64_t *x, uint64_t bits, uint64_t ns)
{
	uint64_t rest, equal = 0;

	for (rest = bits; rest; rest &= rest - 1) {
		const uint32_t i = (uint32_t)__builtin_ctzll(rest);

		equal |= (uint64_t)(x[i] == ns) << i;
	}
	return equal;
}

/* How many of @row[0..rule_nr) have the agent. */
INLINE uint8_t count_hits(const uint64_t *row, uint32_t rule_nr, uint32_t agent_idx)
{
	uint32_t r;
	uint8_t nr = 0;

	UNROLL
	for (r = 0; r < rule_nr; r++)
		nr += row[r] >> agent_idx & 1;
	return nr;
}

/* @pick's report, as if every rule hit there. */
INLINE uint32_t settle(const struct scan *s, struct km_pick *pick, enum km_finish variant,
		       struct two two)
{
	const struct km_view *view = s->view;
	uint64_t base_ns;
	uint32_t i;

	pick->runner_up_idx = KM_NO_AGENT;
	pick->margin_ns = UINT64_MAX;
	if (km_unlikely(!two.first))
		return KM_NO_AGENT;
	i = first_of(s, two.first);
	two.both &= ~(UINT64_C(1) << i);
	if (km_likely(two.both)) {
		pick->runner_up_idx = first_of(s, two.both);
		pick->margin_ns = two.second_ns - two.first_ns;
	}
	pick->wait_ns = view->wait_ns[i];
	base_ns = variant == KM_FINISH_NAIVE ? 0 : km_max_u64(view->end_ns[i], s->now_ns);
	pick->remaining_ns = base_ns - s->now_ns;
	pick->processing_ns = two.first_ns - base_ns - pick->wait_ns;
	pick->top_hit = s->top[0] >> i & 1;
	pick->rule_hit_nr = pick->top_hit || variant == KM_FINISH_RULE ? (uint8_t)view->rule_nr : 0;
	return i;
}

#include "core/finish_ticks.inc"

INLINE void report(const struct scan *s, struct km_pick *pick, enum km_finish variant)
{
	const struct candidate *best = &s->best, *second = &s->second;

	pick->runner_up_idx = second->agent_idx;
	pick->margin_ns = second->agent_idx == KM_NO_AGENT ? UINT64_MAX
							   : second->sum_ns - best->sum_ns;
	if (best->agent_idx == KM_NO_AGENT)
		return;
	pick->wait_ns = s->view->wait_ns[best->agent_idx];
	pick->remaining_ns =
		variant == KM_FINISH_NAIVE ? 0 : km_view_remaining_ns(s->view, best->agent_idx);
	pick->processing_ns = best->sum_ns - s->now_ns - pick->wait_ns - pick->remaining_ns;
	pick->top_hit = best->rank < RANK_MISS;
	if (pick->top_hit)
		pick->rule_hit_nr = (uint8_t)s->view->rule_nr;
	else
		pick->rule_hit_nr = variant == KM_FINISH_RULE ? count_rule_hits(s) : 0;
}

/* ---- one scan for each instruction set ------------------------------------------ */

#define LANES 1
#define KEYS 1
#define TARGET
#define NAME(x) portable_##x
typedef uint64_t portable_vec;
INLINE portable_vec portable_splat(uint64_t x)
{
	return x;
}
INLINE portable_vec portable_choose(uint64_t word, uint32_t i, portable_vec a, portable_vec b)
{
	return word >> i & 1 ? a : b;
}
INLINE portable_vec portable_less(portable_vec x, portable_vec y, uint64_t word, uint32_t i)
{
	return x - (y & -(word >> i & 1));
}
INLINE portable_vec portable_add_if(portable_vec x, portable_vec y, portable_vec z,
				    portable_vec bit)
{
	return x + (y & -(uint64_t)((z & bit) != 0));
}
INLINE uint64_t portable_total(portable_vec x)
{
	return x;
}
INLINE portable_vec portable_add(portable_vec a, portable_vec b)
{
	return a + b;
}
INLINE portable_vec portable_min(portable_vec a, portable_vec b)
{
	return a < b ? a : b;
}
INLINE portable_vec portable_max(portable_vec a, portable_vec b)
{
	return a > b ? a : b;
}
INLINE uint32_t portable_above(portable_vec x, portable_vec limit)
{
	return x > limit;
}
INLINE uint64_t portable_second(portable_vec one, portable_vec two)
{
	(void)one;
	return two;
}
INLINE void portable_two_least(portable_vec *one, portable_vec *two)
{
	(void)one;
	(void)two;
}
INLINE void portable_two_of(const portable_vec *one, portable_vec *two)
{
	(void)one;
	*two = FAR_NS;
}
INLINE uint64_t portable_lane(portable_vec x)
{
	return x;
}
#include "core/finish.inc"

#if defined(__x86_64__)
#define LANES 4
#define KEYS 8
#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define NAME(x) avx2_##x
typedef __m256i avx2_vec;
/* How far bits 4 * i and on stand from the sign, which is what a blend looks at. */
#define ROW(i)                                                         \
	{                                                              \
		63 - 4 * (i), 62 - 4 * (i), 61 - 4 * (i), 60 - 4 * (i) \
	}
static const int64_t avx2_shift[16][4] __attribute__((aligned(64))) = {
	ROW(0), ROW(1), ROW(2),	 ROW(3),  ROW(4),  ROW(5),  ROW(6),  ROW(7),
	ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
};
TARGET INLINE avx2_vec avx2_splat(uint64_t x)
{
	return _mm256_set1_epi64x((int64_t)x);
}
TARGET INLINE avx2_vec avx2_blend(avx2_vec sign, avx2_vec a, avx2_vec b)
{
	return (avx2_vec)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)sign);
}
TARGET INLINE avx2_vec avx2_choose(uint64_t word, uint32_t i, avx2_vec a, avx2_vec b)
{
	const avx2_vec *shift = (const avx2_vec *)avx2_shift[i];

	return avx2_blend(_mm256_sllv_epi64(avx2_splat(word), *shift), a, b);
}
TARGET INLINE avx2_vec avx2_less(avx2_vec x, avx2_vec y, uint64_t word, uint32_t i)
{
	return _mm256_sub_epi64(x, avx2_choose(word, i, y, _mm256_setzero_si256()));
}
TARGET INLINE avx2_vec avx2_add_if(avx2_vec x, avx2_vec y, avx2_vec z, avx2_vec bit)
{
	const avx2_vec has = _mm256_cmpeq_epi64(_mm256_and_si256(z, bit), bit);

	return _mm256_add_epi64(x, _mm256_and_si256(y, has));
}
TARGET INLINE uint64_t avx2_total(avx2_vec x)
{
	x = _mm256_add_epi64(x, _mm256_permute4x64_epi64(x, 0x4e));
	x = _mm256_add_epi64(x, _mm256_shuffle_epi32(x, 0x4e));
	return (uint64_t)_mm256_extract_epi64(x, 0);
}
TARGET INLINE avx2_vec avx2_add(avx2_vec a, avx2_vec b)
{
	return _mm256_add_epi64(a, b);
}
TARGET INLINE avx2_vec avx2_min(avx2_vec a, avx2_vec b)
{
	return avx2_blend(_mm256_cmpgt_epi64(a, b), b, a);
}
TARGET INLINE avx2_vec avx2_max(avx2_vec a, avx2_vec b)
{
	return avx2_blend(_mm256_cmpgt_epi64(a, b), a, b);
}
TARGET INLINE uint32_t avx2_above(avx2_vec x, avx2_vec limit)
{
	return (uint32_t)_mm256_movemask_pd((__m256d)_mm256_cmpgt_epi64(x, limit));
}
TARGET INLINE uint64_t avx2_least(avx2_vec x)
{
	x = avx2_min(x, _mm256_permute4x64_epi64(x, 0x4e));
	x = avx2_min(x, _mm256_shuffle_epi32(x, 0x4e));
	return (uint64_t)_mm256_extract_epi64(x, 0);
}
TARGET INLINE uint64_t avx2_second(avx2_vec one, avx2_vec two)
{
	const uint32_t first = 15u & ~avx2_above(one, avx2_splat(avx2_least(one)));

	return avx2_least(avx2_choose(first & -first, 0, two, one));
}
/* The best two of two pairs. */
TARGET INLINE void avx2_pair(avx2_vec *one, avx2_vec *two, avx2_vec other, avx2_vec other_two)
{
	*two = avx2_min(avx2_min(*two, other_two), avx2_max(*one, other));
	*one = avx2_min(*one, other);
}
TARGET INLINE void avx2_two_least(avx2_vec *one, avx2_vec *two)
{
	avx2_pair(one, two, _mm256_shuffle_epi32(*one, 0x4e), _mm256_shuffle_epi32(*two, 0x4e));
	avx2_pair(one, two, _mm256_permute4x64_epi64(*one, 0x4e),
		  _mm256_permute4x64_epi64(*two, 0x4e));
}
TARGET INLINE void avx2_two_of(avx2_vec *one, avx2_vec *two)
{
	const avx2_vec other = _mm256_shuffle_epi32(*one, 0x4e);

	*two = avx2_max(*one, other);
	*one = avx2_min(*one, other);
	avx2_pair(one, two, _mm256_permute4x64_epi64(*one, 0x4e),
		  _mm256_permute4x64_epi64(*two, 0x4e));
}
TARGET INLINE uint64_t avx2_lane(avx2_vec x)
{
	return (uint64_t)_mm256_extract_epi64(x, 0);
}
#include "core/finish.inc"

#define LANES 8
#define KEYS 16
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,bmi,bmi2,popcnt")))
#define NAME(x) avx512_##x
typedef __m512i avx512_vec;
TARGET INLINE avx512_vec avx512_splat(uint64_t x)
{
	return _mm512_set1_epi64((int64_t)x);
}
TARGET INLINE avx512_vec avx512_choose(uint64_t word, uint32_t i, avx512_vec a, avx512_vec b)
{
	return _mm512_mask_blend_epi64((__mmask8)(word >> (8 * i)), b, a);
}
TARGET INLINE avx512_vec avx512_less(avx512_vec x, avx512_vec y, uint64_t word, uint32_t i)
{
	return _mm512_mask_sub_epi64(x, (__mmask8)(word >> (8 * i)), x, y);
}
TARGET INLINE avx512_vec avx512_add_if(avx512_vec x, avx512_vec y, avx512_vec z, avx512_vec bit)
{
	return _mm512_mask_add_epi64(x, _mm512_test_epi64_mask(z, bit), x, y);
}
TARGET INLINE uint64_t avx512_total(avx512_vec x)
{
	return (uint64_t)_mm512_reduce_add_epi64(x);
}
TARGET INLINE avx512_vec avx512_add(avx512_vec a, avx512_vec b)
{
	return _mm512_add_epi64(a, b);
}
TARGET INLINE avx512_vec avx512_min(avx512_vec a, avx512_vec b)
{
	return _mm512_min_epi64(a, b);
}
TARGET INLINE avx512_vec avx512_max(avx512_vec a, avx512_vec b)
{
	return _mm512_max_epi64(a, b);
}
TARGET INLINE uint32_t avx512_above(avx512_vec x, avx512_vec limit)
{
	return _mm512_cmpgt_epi64_mask(x, limit);
}
TARGET INLINE uint64_t avx512_least(avx512_vec x)
{
	return (uint64_t)_mm512_reduce_min_epi64(x);
}
TARGET INLINE uint64_t avx512_second(avx512_vec one, avx512_vec two)
{
	const uint32_t first = 255u & ~avx512_above(one, avx512_splat(avx512_least(one)));

	return avx512_least(avx512_choose(first & -first, 0, two, one));
}
TARGET INLINE void avx512_pair(avx512_vec *one, avx512_vec *two, avx512_vec other,
			       avx512_vec other_two)
{
	*two = avx512_min(avx512_min(*two, other_two), avx512_max(*one, other));
	*one = avx512_min(*one, other);
}
TARGET INLINE void avx512_pairs(avx512_vec *one, avx512_vec *two)
{
	avx512_pair(one, two, _mm512_permutex_epi64(*one, 0x4e), _mm512_permutex_epi64(*two, 0x4e));
	avx512_pair(one, two, _mm512_shuffle_i64x2(*one, *one, 0x4e),
		    _mm512_shuffle_i64x2(*two, *two, 0x4e));
}
TARGET INLINE void avx512_two_least(avx512_vec *one, avx512_vec *two)
{
	avx512_pair(one, two, _mm512_shuffle_epi32(*one, 0x4e), _mm512_shuffle_epi32(*two, 0x4e));
	avx512_pairs(one, two);
}
TARGET INLINE void avx512_two_of(avx512_vec *one, avx512_vec *two)
{
	const avx512_vec other = _mm512_shuffle_epi32(*one, 0x4e);

	*two = avx512_max(*one, other);
	*one = avx512_min(*one, other);
	avx512_pairs(one, two);
}
TARGET INLINE uint64_t avx512_lane(avx512_vec x)
{
	return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(x));
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

uint32_t km_finish_first(const struct km_view *view, const struct km_type *type,
			 struct km_pick *pick, enum km_finish variant)
{
	enum fleet fleet = FLEET_ANY;

	if (view->agent_nr <= 2 * ops->lane_nr)
		fleet = view->agent_nr <= ops->lane_nr ? FLEET_ONE_VECTOR : FLEET_TWO_VECTORS;
	else if (view->word_nr == 1)
		fleet = FLEET_ONE_BLOCK;

	/* V4 speaks of times from there on. */
	if (view->bounds && view->now_ns >= view->bounds->from_ns)
		fleet = FLEET_BOUNDED;
	return ops->first[variant][fleet](view, type, pick);
}
