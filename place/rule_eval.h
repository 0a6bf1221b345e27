/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/rule_eval.h - rules bound to an inventory and a trace, and the kernels
 * that evaluate them.
 *
 * A validator's object is a bitmap, one bit a server; a preference's is one
 * byte a server, its bucket 0..2^bits - 1, less is better. Both come from the
 * columns of a struct km_columns in one streaming pass, and one server's part
 * of them can be recomputed alone with the same result, bit for bit (E1):
 * loops and km_rule_one() share the arithmetic below.
 */
#ifndef KM_PLACE_RULE_EVAL_H
#define KM_PLACE_RULE_EVAL_H

#include "core/type.h"
#include "place/consolidate.h"
#include "place/inventory.h"
#include "place/rules.h"
#include "place/store.h"
#include "place/trace.h"

/* Columns are padded to whole words of a bitmap. */
#define KM_WORD_BITS 64u
#define KM_COLUMN_NR(server_nr) ((((uint64_t)(server_nr)) + 63) & ~UINT64_C(63))
/* Label columns of so few sets have tables in registers. */
#define KM_SMALL_SETS 32u
/* A hundred times of what is not more than that, or less than minus that, has 32 bits. */
#define KM_SMALL_TOTAL (INT32_MAX / 100 - 1)
/* Buckets of all preferences together; one value is left for "not feasible". */
#define KM_KEY_BITS_MAX 63u

/* A label column as the kernels want it: narrow, with its sets taken apart. */
struct km_label_col {
	const char *name;
	uint32_t set_nr;
	uint32_t width; /* bytes a server: 1, 2 or 4 */
	void *set; /* [KM_COLUMN_NR], padding 0 */
	uint32_t *atom_start; /* [set_nr + 1] into atom */
	uint32_t *atom; /* numbers of the single values of each set */
	struct km_dict *atoms;
};

struct km_bound_rule {
	const struct km_rule *rule;
	enum km_rule_kind kind;
	bool validator;
	bool fixed; /* depends on labels alone: no change of a server's state touches it */
	uint32_t bits, bucket_max; /* preferences */
	uint32_t traits; /* bit t: the rule uses trait t */
	/* Applies only to requests whose trait has this value; NONE = any but 0. */
	bool conditional;
	uint32_t cond_trait, cond_value;
	enum km_res res;
	uint32_t percent;
	uint32_t col_idx; /* label column of the bound set */
	uint32_t trait; /* MATCH, TABLE: the trait looked up */
	uint32_t value_nr; /* its known values: 0..value_nr - 1, 0 = none */
	uint32_t *value_to; /* MATCH: atom; TABLE: row; KM_DICT_NONE = nothing there */
	uint8_t *lut; /* PREFER, ORDER: bucket [set_nr]; TABLE: allowed [row][set_nr] */
	uint64_t lut_at; /* MATCH: where its row of the agent's scratch begins */
};

struct km_bound_spread {
	const struct km_rule *rule;
	enum km_spread_over over;
	uint32_t max;
	bool conditional;
	uint32_t cond_trait, cond_value;
	enum { KM_WITHIN_TENANT, KM_WITHIN_BATCH, KM_WITHIN_TRAIT } within;
	uint32_t within_trait;
};

struct km_bound {
	uint32_t rule_nr, spread_nr, col_nr, trait_nr, pref_nr;
	struct km_bound_rule rule[KM_RULES_MAX];
	struct km_bound_spread spread[KM_SPREADS_MAX];
	struct km_label_col col[KM_LABELS_MAX + 2];
	uint64_t scratch_bytes; /* of all MATCH rows */
	uint32_t used_total, used_inv; /* bit r: some rule reads total[r] or inv_total[r] */
	uint32_t small_total; /* bit r: total[r] is at most KM_SMALL_TOTAL everywhere */
};

/**
 * km_bound_create() - look up every column and value that the rules name.
 * Return: 0; -EINVAL with the reason; -ENOMEM.
 */
int km_bound_create(struct km_bound **out, const struct km_ruleset *rules,
		    const struct km_trace_schema *schema, const struct km_inventory *inv,
		    struct km_diag *diag) KM_MUST_CHECK;
/** km_bound_destroy() - NULL is allowed. */
void km_bound_destroy(struct km_bound *bound);

/* What the kernels read; each array KM_COLUMN_NR(server_nr) long. */
struct km_columns {
	int32_t *free[KM_RES_NR]; /* padding -1 */
	uint32_t *vm_nr;
	uint8_t *healthy; /* padding 0 */
	const int32_t *total[KM_RES_NR]; /* NULL where no rule reads it; padding 0 */
	const float *inv_total[KM_RES_NR]; /* 1 / total, 0 for 0; NULL likewise */
	const void *set[KM_LABELS_MAX + 2];
};

/* One server, maybe with tentative changes. */
struct km_server_state {
	int32_t free[KM_RES_NR];
	uint32_t vm_nr;
	uint8_t healthy;
};

/**
 * struct km_kernels - the loops, built for one instruction set.
 *
 * @n is a multiple of 64; bitmaps take n / 64 words, buckets n bytes.
 * @lut_bits, @lut_bytes: by log2 of the column's width.
 * @small_bits, @small_bytes: sets are below KM_SMALL_SETS, so is the table's size.
 * @small_headroom: totals, and so what is free of them, and @want are at most KM_SMALL_TOTAL.
 */
struct km_kernels {
	const char *name;
	bool (*supported)(void);
	void (*ge)(const int32_t *col, int32_t want, uint64_t *out, size_t n);
	void (*nonzero)(const uint8_t *col, uint64_t *out, size_t n);
	void (*headroom)(const int32_t *col, const int32_t *total, int32_t want, uint32_t percent,
			 uint64_t *out, size_t n);
	void (*small_headroom)(const int32_t *col, const int32_t *total, int32_t want,
			       uint32_t percent, uint64_t *out, size_t n);
	void (*lut_bits[3])(const void *col, const uint8_t *lut, uint64_t *out, size_t n);
	void (*small_bits)(const uint8_t *col, const uint8_t *lut, uint32_t set_nr, uint64_t *out,
			   size_t n);
	void (*lut_bytes[3])(const void *col, const uint8_t *lut, uint8_t *out, size_t n);
	void (*small_bytes)(const uint8_t *col, const uint8_t *lut, uint8_t *out, size_t n);
	void (*fit)(const int32_t *col, const float *inv, int32_t want, uint32_t max, bool most,
		    uint8_t *out, size_t n);
	void (*balance)(const int32_t *a, const float *inv_a, int32_t want_a, const int32_t *b,
			const float *inv_b, int32_t want_b, uint32_t max, uint8_t *out, size_t n);
	void (*nonempty)(const uint32_t *vm_nr, uint8_t max, uint8_t *out, size_t n);
	void (*join)(uint64_t *key, const uint8_t *bucket, uint32_t bits, size_t n);
	void (*mask)(uint64_t *key, const uint64_t *bitmap, size_t n);
	void (*leaves)(const uint64_t *key, struct km_cons_node *leaf, size_t block_nr);
};

/* Every build of the loops, best first, ends with the portable one. */
extern const struct km_kernels *const km_kernels_all[];
/** km_kernels_best() - the first that this machine supports. */
const struct km_kernels *km_kernels_best(void);

/**
 * km_rule_stream() - evaluate a rule for servers lo..lo + n - 1.
 * @type_trait: the request type's traits.
 * @lo, @n: multiples of 64.
 * @scratch: bound->scratch_bytes of the caller; filled when @lo is 0, used from then on.
 * @out: bitmap words or buckets, the first is that of server @lo.
 */
void km_rule_stream(const struct km_kernels *k, const struct km_bound *bound, uint32_t rule_idx,
		    const uint32_t *type_trait, const struct km_columns *cols, uint8_t *scratch,
		    uint64_t lo, uint64_t n, void *out);

/** km_rule_moves() - whether a change of a server's state can change the rule's result. */
bool km_rule_moves(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait);

/** km_rule_at() - km_rule_one() for the state in @cols, reading no more than the rule needs. */
uint32_t km_rule_at(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait,
		    const struct km_columns *cols, uint32_t server);

/**
 * km_rule_one() - the same for @server alone, in the given state.
 * Return: 0 or 1 for a validator, else the bucket.
 */
uint32_t km_rule_one(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait,
		     const struct km_columns *cols, uint32_t server,
		     const struct km_server_state *now);

/* ---- arithmetic shared by the loops and km_rule_one() (E1) -------------------- */

#define KM_SCORE static inline __attribute__((always_inline))

KM_SCORE uint32_t km_bucket_of(float share, uint32_t max)
{
	/* Clamped as a float: the conversion of anything beyond is undefined. */
	float x = share * (float)(max + 1);

	x = x > 0.0f ? x : 0.0f;
	x = x < (float)max ? x : (float)max;
	return (uint32_t)(int32_t)x;
}

/* Share of the server that is left after placing, 0 where it has none at all. */
KM_SCORE float km_left(int32_t free, int32_t want, float inv_total)
{
	return (float)(free - want) * inv_total;
}

KM_SCORE uint32_t km_score_fit(int32_t free, int32_t want, float inv_total, uint32_t max, bool most)
{
	const uint32_t bucket = km_bucket_of(km_left(free, want, inv_total), max);

	return most ? max - bucket : bucket;
}

KM_SCORE uint32_t km_score_balance(float left_a, float left_b, uint32_t max)
{
	const float apart = left_a - left_b;

	return km_bucket_of(apart < 0.0f ? -apart : apart, max);
}

KM_SCORE bool km_headroom_ok(int32_t free, int32_t total, int32_t want, uint32_t percent)
{
	return (int64_t)(free - want) * 100 >= (int64_t)total * (int32_t)percent;
}

/* Quantities beyond INT32_MAX fit nowhere; free is at least -1, so free - want does not wrap. */
KM_SCORE int32_t km_want(uint32_t trait)
{
	return trait > INT32_MAX ? INT32_MAX : (int32_t)trait;
}

#endif
