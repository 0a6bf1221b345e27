/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/rule_eval.h"

#include <string.h>

static bool value_meets(bool conditional, uint32_t want, uint32_t value)
{
	return !conditional || (want == KM_DICT_NONE ? value != 0 : value == want);
}

static bool applies(const struct km_bound_rule *br, const uint32_t *trait)
{
	return value_meets(br->conditional, br->cond_value, trait[br->cond_trait]);
}

static uint32_t set_of(const struct km_label_col *col, const void *set, uint64_t server)
{
	if (col->width == 1)
		return ((const uint8_t *)set)[server];
	if (col->width == 2)
		return ((const uint16_t *)set)[server];
	return ((const uint32_t *)set)[server];
}

static bool set_has(const struct km_label_col *col, uint32_t set, uint32_t atom)
{
	uint32_t i;

	for (i = col->atom_start[set]; i < col->atom_start[set + 1]; i++)
		if (col->atom[i] == atom)
			return true;
	return false;
}

/* Where a MATCH or TABLE leads for this request; false: any server will do. */
static bool value_leads(const struct km_bound_rule *br, const uint32_t *trait, uint32_t *to)
{
	const uint32_t value = trait[br->trait];

	*to = value < br->value_nr ? br->value_to[value] : KM_DICT_NONE;
	if (br->kind == KM_RULE_MATCH)
		return value != 0;
	return *to != KM_DICT_NONE;
}

/* ---- one server --------------------------------------------------------------------- */

static uint32_t validate_one(const struct km_bound *bound, const struct km_bound_rule *br,
			     const uint32_t *trait, const struct km_columns *cols, uint32_t server,
			     const struct km_server_state *now)
{
	const struct km_label_col *col = &bound->col[br->col_idx];
	uint32_t to, set;

	switch (br->kind) {
	case KM_RULE_FITS:
		return now->free[br->res] >= km_want(trait[br->res]);
	case KM_RULE_HEALTHY:
		return now->healthy != 0;
	case KM_RULE_HEADROOM:
		return km_headroom_ok(now->free[br->res], cols->total[br->res][server],
				      km_want(trait[br->res]), br->percent);
	default:
		if (!value_leads(br, trait, &to))
			return 1;
		set = set_of(col, cols->set[br->col_idx], server);
		if (br->kind == KM_RULE_MATCH)
			return to != KM_DICT_NONE && set_has(col, set, to);
		return br->lut[(uint64_t)to * col->set_nr + set];
	}
}

static uint32_t score_one(const struct km_bound *bound, const struct km_bound_rule *br,
			  const uint32_t *trait, const struct km_columns *cols, uint32_t server,
			  const struct km_server_state *now)
{
	const int32_t want = km_want(trait[br->res]);

	switch (br->kind) {
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		return km_score_fit(now->free[br->res], want, cols->inv_total[br->res][server],
				    br->bucket_max, br->kind == KM_RULE_WORST_FIT);
	case KM_RULE_BALANCE:
		return km_score_balance(km_left(now->free[KM_RES_CPU], km_want(trait[KM_RES_CPU]),
						cols->inv_total[KM_RES_CPU][server]),
					km_left(now->free[KM_RES_MEMORY],
						km_want(trait[KM_RES_MEMORY]),
						cols->inv_total[KM_RES_MEMORY][server]),
					br->bucket_max);
	case KM_RULE_NONEMPTY:
		return now->vm_nr ? 0 : br->bucket_max;
	default: /* PREFER, ORDER */
		return br->lut[set_of(&bound->col[br->col_idx], cols->set[br->col_idx], server)];
	}
}

uint32_t km_rule_one(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait,
		     const struct km_columns *cols, uint32_t server,
		     const struct km_server_state *now)
{
	const struct km_bound_rule *br = &bound->rule[rule_idx];

	if (!applies(br, type_trait))
		return br->validator;
	return br->validator ? validate_one(bound, br, type_trait, cols, server, now)
			     : score_one(bound, br, type_trait, cols, server, now);
}

bool km_rule_moves(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait)
{
	const struct km_bound_rule *br = &bound->rule[rule_idx];

	return !br->fixed && applies(br, type_trait);
}

uint32_t km_rule_at(const struct km_bound *bound, uint32_t rule_idx, const uint32_t *type_trait,
		    const struct km_columns *cols, uint32_t server)
{
	const struct km_bound_rule *br = &bound->rule[rule_idx];
	struct km_server_state now;

	switch (br->kind) {
	case KM_RULE_HEALTHY:
		now.healthy = cols->healthy[server];
		break;
	case KM_RULE_NONEMPTY:
		now.vm_nr = cols->vm_nr[server];
		break;
	case KM_RULE_BALANCE:
		now.free[KM_RES_CPU] = cols->free[KM_RES_CPU][server];
		now.free[KM_RES_MEMORY] = cols->free[KM_RES_MEMORY][server];
		break;
	default:
		now.free[br->res] = cols->free[br->res][server];
	}
	return km_rule_one(bound, rule_idx, type_trait, cols, server, &now);
}

/* ---- a stretch of servers ------------------------------------------------------------- */

static void stream_sets(const struct km_kernels *k, const struct km_label_col *col, const void *set,
			const uint8_t *lut, uint64_t lo, uint64_t n, uint64_t *out)
{
	const void *from = (const char *)set + lo * col->width;
	uint8_t small[KM_SMALL_SETS] = { 0 };

	if (col->set_nr > KM_SMALL_SETS) {
		k->lut_bits[__builtin_ctz(col->width)](from, lut, out, n);
		return;
	}
	memcpy(small, lut, col->set_nr);
	k->small_bits(from, small, col->set_nr, out, n);
}

static const uint8_t *match_row(const struct km_bound_rule *br, const struct km_label_col *col,
				uint32_t atom, uint64_t lo, uint8_t *scratch)
{
	uint8_t *row = scratch + br->lut_at;
	uint32_t set;

	if (lo)
		return row; /* made for the first stretch */
	for (set = 0; set < col->set_nr; set++)
		row[set] = atom != KM_DICT_NONE && set_has(col, set, atom);
	return row;
}

static void stream_validator(const struct km_kernels *k, const struct km_bound *bound,
			     const struct km_bound_rule *br, const uint32_t *trait,
			     const struct km_columns *cols, uint8_t *scratch, uint64_t lo,
			     uint64_t n, uint64_t *out)
{
	const struct km_label_col *col = &bound->col[br->col_idx];
	const int32_t want = km_want(trait[br->res]);
	const bool small = (bound->small_total >> br->res & 1) && want <= KM_SMALL_TOTAL;
	const uint8_t *row;
	uint32_t to;

	switch (br->kind) {
	case KM_RULE_FITS:
		k->ge(cols->free[br->res] + lo, want, out, n);
		return;
	case KM_RULE_HEALTHY:
		k->nonzero(cols->healthy + lo, out, n);
		return;
	case KM_RULE_HEADROOM:
		(small ? k->small_headroom : k->headroom)(cols->free[br->res] + lo,
							  cols->total[br->res] + lo, want,
							  br->percent, out, n);
		return;
	default:
		if (!value_leads(br, trait, &to)) {
			memset(out, 0xff, n / 8);
			return;
		}
		row = br->kind == KM_RULE_MATCH ? match_row(br, col, to, lo, scratch)
						: br->lut + (uint64_t)to * col->set_nr;
		stream_sets(k, col, cols->set[br->col_idx], row, lo, n, out);
	}
}

static void stream_ranks(const struct km_kernels *k, const struct km_label_col *col,
			 const void *set, const uint8_t *lut, uint64_t lo, uint64_t n, uint8_t *out)
{
	const void *from = (const char *)set + lo * col->width;
	uint8_t small[KM_SMALL_SETS] = { 0 };

	if (col->set_nr > KM_SMALL_SETS) {
		k->lut_bytes[__builtin_ctz(col->width)](from, lut, out, n);
		return;
	}
	memcpy(small, lut, col->set_nr);
	k->small_bytes(from, small, out, n);
}

static void stream_preference(const struct km_kernels *k, const struct km_bound *bound,
			      const struct km_bound_rule *br, const uint32_t *trait,
			      const struct km_columns *cols, uint64_t lo, uint64_t n, uint8_t *out)
{
	switch (br->kind) {
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		k->fit(cols->free[br->res] + lo, cols->inv_total[br->res] + lo,
		       km_want(trait[br->res]), br->bucket_max, br->kind == KM_RULE_WORST_FIT, out,
		       n);
		return;
	case KM_RULE_BALANCE:
		k->balance(cols->free[KM_RES_CPU] + lo, cols->inv_total[KM_RES_CPU] + lo,
			   km_want(trait[KM_RES_CPU]), cols->free[KM_RES_MEMORY] + lo,
			   cols->inv_total[KM_RES_MEMORY] + lo, km_want(trait[KM_RES_MEMORY]),
			   br->bucket_max, out, n);
		return;
	case KM_RULE_NONEMPTY:
		k->nonempty(cols->vm_nr + lo, (uint8_t)br->bucket_max, out, n);
		return;
	default: /* PREFER, ORDER */
		stream_ranks(k, &bound->col[br->col_idx], cols->set[br->col_idx], br->lut, lo, n,
			     out);
	}
}

void km_rule_stream(const struct km_kernels *k, const struct km_bound *bound, uint32_t rule_idx,
		    const uint32_t *type_trait, const struct km_columns *cols, uint8_t *scratch,
		    uint64_t lo, uint64_t n, void *out)
{
	const struct km_bound_rule *br = &bound->rule[rule_idx];

	if (!applies(br, type_trait))
		memset(out, br->validator ? 0xff : 0, br->validator ? n / 8 : n);
	else if (br->validator)
		stream_validator(k, bound, br, type_trait, cols, scratch, lo, n, out);
	else
		stream_preference(k, bound, br, type_trait, cols, lo, n, out);
}
