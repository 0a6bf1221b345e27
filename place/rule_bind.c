/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/rule_bind.c - a rule set's names to numbers: trait columns, label
 * columns, and small tables by trait value and label set.
 *
 * A label's sets ("a|b") are taken apart into atoms once. MATCH maps a trait
 * value to an atom; TABLE a listed trait value to a row of allowed sets. Values
 * that are not known here match nothing (MATCH) or are unlisted (TABLE).
 */
#include "place/rule_eval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Cells of one TABLE: rows times label sets. */
#define TABLE_CELLS_MAX (UINT64_C(1) << 28)

struct binder {
	struct km_bound *bound;
	const struct km_ruleset *rules;
	const struct km_trace_schema *schema;
	const struct km_inventory *inv;
	struct km_diag *diag;
};

static int refuse(const struct binder *b, const struct km_rule *rule, const char *what,
		  const char *name)
{
	return km_diag_set(b->diag, -EINVAL, b->rules->file, rule->line, 0, "rule %s: %s%s%s",
			   rule->name, what, name ? " " : "", name ? name : "");
}

/* ---- label columns -------------------------------------------------------------- */

struct source {
	const uint32_t *set; /* [server_nr] */
	const struct km_dict *texts; /* NULL = numbers without names */
};

static bool find_source(const struct km_inventory *inv, const char *name, struct source *src)
{
	const uint32_t idx = km_inventory_label(inv, name);

	if (idx != KM_DICT_NONE)
		*src = (struct source){ inv->label[idx], inv->sets[idx] };
	else if (!strcmp(name, "cluster"))
		*src = (struct source){ inv->cluster, inv->clusters };
	else if (!strcmp(name, "rack"))
		*src = (struct source){ inv->rack, inv->racks };
	else
		return false;
	return true;
}

static uint32_t atoms_in(const char *text)
{
	uint32_t nr = 1;

	for (; *text; text++)
		nr += *text == '|';
	return nr;
}

static const char *set_text(const struct source *src, uint32_t set)
{
	return src->texts && set < km_dict_nr(src->texts) ? km_dict_text(src->texts, set) : "";
}

/* Append the numbers of @text's values to col->atom, empty ones left out. */
static int split_set(struct km_label_col *col, const char *text, uint32_t *nr)
{
	for (;;) {
		const size_t bytes = strcspn(text, "|");

		if (bytes) {
			int err = km_dict_intern(col->atoms, text, bytes, &col->atom[*nr], NULL);

			if (err)
				return err;
			(*nr)++;
		}
		if (!text[bytes])
			return 0;
		text += bytes + 1;
	}
}

static int split_sets(struct km_label_col *col, const struct source *src)
{
	uint64_t cap = 1;
	uint32_t set, nr = 0;
	int err;

	for (set = 0; set < col->set_nr; set++)
		cap += atoms_in(set_text(src, set));
	col->atom = malloc(cap * sizeof(*col->atom));
	col->atom_start = malloc(((size_t)col->set_nr + 1) * sizeof(*col->atom_start));
	if (!col->atom || !col->atom_start)
		return -ENOMEM;
	for (set = 0; set < col->set_nr; set++) {
		col->atom_start[set] = nr;
		err = split_set(col, set_text(src, set), &nr);
		if (err)
			return err;
	}
	col->atom_start[set] = nr;
	return 0;
}

static int narrow(struct km_label_col *col, const uint32_t *set, uint32_t server_nr)
{
	uint32_t s;

	col->width = col->set_nr <= 256 ? 1 : col->set_nr <= 65536 ? 2 : 4;
	col->set = calloc(KM_COLUMN_NR(server_nr), col->width);
	if (!col->set)
		return -ENOMEM;
	for (s = 0; s < server_nr; s++) {
		if (col->width == 1)
			((uint8_t *)col->set)[s] = (uint8_t)set[s];
		else if (col->width == 2)
			((uint16_t *)col->set)[s] = (uint16_t)set[s];
		else
			((uint32_t *)col->set)[s] = set[s];
	}
	return 0;
}

/* Find or make the column of the rule's label. */
static int bind_col(struct binder *b, const struct km_rule *rule, uint32_t *idx)
{
	struct km_bound *bound = b->bound;
	struct km_label_col *col;
	struct source src;
	uint32_t s;
	int err;

	if (!rule->label)
		return refuse(b, rule, "no label is named", NULL);
	for (*idx = 0; *idx < bound->col_nr; (*idx)++)
		if (!strcmp(bound->col[*idx].name, rule->label))
			return 0;
	if (!find_source(b->inv, rule->label, &src))
		return refuse(b, rule, "the inventory has no label column", rule->label);
	col = &bound->col[bound->col_nr++]; /* at most every label, cluster and rack */
	col->name = rule->label;
	col->set_nr = src.texts && km_dict_nr(src.texts) ? km_dict_nr(src.texts) : 1;
	for (s = 0; s < b->inv->server_nr; s++)
		if (src.set[s] >= col->set_nr)
			col->set_nr = src.set[s] + 1;
	err = km_dict_create(&col->atoms);
	if (!err)
		err = split_sets(col, &src);
	return err ? err : narrow(col, src.set, b->inv->server_nr);
}

/* ---- traits ----------------------------------------------------------------------- */

static int bind_trait(const struct binder *b, const struct km_rule *rule, const char *name,
		      uint32_t *trait)
{
	const uint32_t idx = km_trace_trait(b->schema, name);

	if (idx == KM_DICT_NONE)
		return refuse(b, rule, "the trace has no column", name);
	*trait = KM_RES_NR + idx;
	return 0;
}

/* Number of the value as requests carry it; KM_DICT_NONE - 1 when no row has it. */
static uint32_t trait_value(const struct binder *b, uint32_t trait, const char *text)
{
	uint32_t id;

	if (!text)
		return KM_DICT_NONE;
	id = km_dict_find(b->schema->values[trait - KM_RES_NR], text, strlen(text));
	return id == KM_DICT_NONE ? KM_DICT_NONE - 1 : id + 1;
}

static int bind_condition(const struct binder *b, const struct km_rule *rule, bool *conditional,
			  uint32_t *trait, uint32_t *value)
{
	int err;

	*conditional = rule->trait != NULL;
	if (!rule->trait)
		return 0;
	err = bind_trait(b, rule, rule->trait, trait);
	if (!err)
		*value = trait_value(b, *trait, rule->trait_value);
	return err;
}

/* ---- tables ----------------------------------------------------------------------- */

static int bind_match(const struct binder *b, struct km_bound_rule *br)
{
	const struct km_dict *values = b->schema->values[br->trait - KM_RES_NR];
	const struct km_label_col *col = &b->bound->col[br->col_idx];
	uint32_t v;

	br->value_nr = km_dict_nr(values) + 1;
	br->value_to = malloc((size_t)br->value_nr * sizeof(*br->value_to));
	if (!br->value_to)
		return -ENOMEM;
	br->value_to[0] = KM_DICT_NONE;
	for (v = 1; v < br->value_nr; v++) {
		const char *text = km_dict_text(values, v - 1);

		br->value_to[v] = km_dict_find(col->atoms, text, strlen(text));
	}
	br->lut_at = b->bound->scratch_bytes;
	b->bound->scratch_bytes += (col->set_nr + UINT64_C(63)) & ~UINT64_C(63);
	return 0;
}

/* Allow in @row every set that holds one of the values "a|b". */
static void allow(const struct km_label_col *col, const char *text, uint8_t *row)
{
	for (;;) {
		const size_t bytes = strcspn(text, "|");
		const uint32_t atom = km_dict_find(col->atoms, text, bytes);
		uint32_t set, i;

		for (set = 0; atom != KM_DICT_NONE && set < col->set_nr; set++)
			for (i = col->atom_start[set]; i < col->atom_start[set + 1]; i++)
				row[set] |= col->atom[i] == atom;
		if (!text[bytes])
			return;
		text += bytes + 1;
	}
}

static int bind_table(const struct binder *b, struct km_bound_rule *br)
{
	const struct km_dict *values = b->schema->values[br->trait - KM_RES_NR];
	const struct km_label_col *col = &b->bound->col[br->col_idx];
	char *const *pair = br->rule->table;
	uint64_t rows = 0;
	uint32_t row = 0, i;

	if (!pair)
		return refuse(b, br->rule, "no table is given", NULL);
	while (pair[2 * rows] && pair[2 * rows + 1])
		rows++;
	if (rows * col->set_nr > TABLE_CELLS_MAX)
		return refuse(b, br->rule, "too many rows for so many values of", col->name);
	br->value_nr = km_dict_nr(values) + 1;
	br->value_to = malloc((size_t)br->value_nr * sizeof(*br->value_to));
	br->lut = calloc(rows ? rows : 1, col->set_nr);
	if (!br->value_to || !br->lut)
		return -ENOMEM;
	for (i = 0; i < br->value_nr; i++)
		br->value_to[i] = KM_DICT_NONE;
	for (; *pair && pair[1]; pair += 2) {
		const uint32_t v = km_dict_find(values, pair[0], strlen(pair[0]));

		if (v == KM_DICT_NONE)
			continue; /* no request has it */
		/* Several rows of one trait value add up. */
		if (br->value_to[v + 1] == KM_DICT_NONE)
			br->value_to[v + 1] = row++;
		allow(col, pair[1], br->lut + (uint64_t)br->value_to[v + 1] * col->set_nr);
	}
	return 0;
}

/* Least rank among the set's values; @last for a set that has none of them. */
static uint32_t rank_of(const struct km_label_col *col, uint32_t set, char *const *order,
			uint32_t last)
{
	uint32_t i, rank;

	for (rank = 0; rank < last; rank++) {
		const uint32_t atom = km_dict_find(col->atoms, order[rank], strlen(order[rank]));

		for (i = col->atom_start[set]; i < col->atom_start[set + 1]; i++)
			if (col->atom[i] == atom)
				return rank;
	}
	return last;
}

/* PREFER is an order of one value. */
static int bind_order(const struct binder *b, struct km_bound_rule *br, char *const *order,
		      uint32_t order_nr)
{
	const struct km_label_col *col = &b->bound->col[br->col_idx];
	uint32_t set;

	br->lut = malloc(col->set_nr);
	if (!br->lut)
		return -ENOMEM;
	for (set = 0; set < col->set_nr; set++) {
		const uint32_t rank = rank_of(col, set, order, order_nr);

		/* Ranks that do not fit share buckets, evenly; unlisted stays last. */
		br->lut[set] = (uint8_t)(order_nr <= br->bucket_max
						 ? (rank == order_nr ? br->bucket_max : rank)
						 : (uint64_t)rank * br->bucket_max / order_nr);
	}
	return 0;
}

static int bind_prefer(const struct binder *b, struct km_bound_rule *br)
{
	char *order[] = { br->rule->label_value };

	if (!order[0])
		return refuse(b, br->rule, "no label value is named", NULL);
	return bind_order(b, br, order, 1);
}

static int bind_ranks(const struct binder *b, struct km_bound_rule *br)
{
	uint32_t nr = 0;

	if (!br->rule->order)
		return refuse(b, br->rule, "no order is given", NULL);
	while (br->rule->order[nr])
		nr++;
	return bind_order(b, br, br->rule->order, nr);
}

/* ---- rules ------------------------------------------------------------------------ */

static bool uses_label(enum km_rule_kind kind)
{
	return kind == KM_RULE_MATCH || kind == KM_RULE_TABLE || kind == KM_RULE_PREFER ||
	       kind == KM_RULE_ORDER;
}

/* The resources that a rule reads, as a mask of traits. */
static uint32_t res_traits(const struct km_bound_rule *br)
{
	switch (br->kind) {
	case KM_RULE_FITS:
	case KM_RULE_HEADROOM:
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		return 1u << br->res;
	case KM_RULE_BALANCE:
		return 1u << KM_RES_CPU | 1u << KM_RES_MEMORY;
	default:
		return 0;
	}
}

static bool is_small(const int32_t *total, uint64_t server_nr)
{
	uint64_t s;

	for (s = 0; s < server_nr; s++)
		if (total[s] > KM_SMALL_TOTAL)
			return false;
	return true;
}

static void bind_total(const struct binder *b, enum km_res res)
{
	b->bound->used_total |= 1u << res;
	if (is_small(b->inv->total[res], b->inv->server_nr))
		b->bound->small_total |= 1u << res;
}

static int bind_numbers(struct binder *b, struct km_bound_rule *br)
{
	const struct km_rule *rule = br->rule;

	if ((uint32_t)rule->resource >= KM_RES_NR)
		return refuse(b, rule, "no such resource", NULL);
	if (rule->kind == KM_RULE_HEADROOM && rule->percent > 100)
		return refuse(b, rule, "percent is over 100", NULL);
	br->res = rule->resource;
	br->percent = rule->percent;
	br->traits = res_traits(br);
	if (rule->kind == KM_RULE_HEADROOM)
		bind_total(b, br->res);
	else if (!br->validator)
		b->bound->used_inv |= br->traits;
	if (br->validator)
		return 0;
	if (rule->bits < 1 || rule->bits > 8)
		return refuse(b, rule, "bits must be 1..8", NULL);
	br->bits = rule->bits;
	br->bucket_max = (1u << rule->bits) - 1;
	return 0;
}

static int bind_traits(struct binder *b, struct km_bound_rule *br)
{
	const struct km_rule *rule = br->rule;
	int err;

	if (rule->kind != KM_RULE_MATCH && rule->kind != KM_RULE_TABLE) {
		err = bind_condition(b, rule, &br->conditional, &br->cond_trait, &br->cond_value);
		if (!err && br->conditional)
			br->traits |= 1u << br->cond_trait;
		return err;
	}
	if (!rule->trait)
		return refuse(b, rule, "no trait is named", NULL);
	err = bind_trait(b, rule, rule->trait, &br->trait);
	if (!err)
		br->traits |= 1u << br->trait;
	return err;
}

static int bind_tables(struct binder *b, struct km_bound_rule *br)
{
	switch (br->kind) {
	case KM_RULE_MATCH:
		return bind_match(b, br);
	case KM_RULE_TABLE:
		return bind_table(b, br);
	case KM_RULE_PREFER:
		return bind_prefer(b, br);
	case KM_RULE_ORDER:
		return bind_ranks(b, br);
	default:
		return 0;
	}
}

static int bind_rule(struct binder *b, const struct km_rule *rule)
{
	struct km_bound_rule *br = &b->bound->rule[b->bound->rule_nr++];
	int err;

	br->rule = rule;
	br->kind = rule->kind;
	br->validator = rule->kind <= KM_RULE_HEADROOM;
	br->fixed = uses_label(rule->kind);
	err = bind_numbers(b, br);
	if (!err)
		err = bind_traits(b, br);
	if (!err && uses_label(br->kind))
		err = bind_col(b, rule, &br->col_idx);
	return err ? err : bind_tables(b, br);
}

static int bind_spread(struct binder *b, const struct km_rule *rule)
{
	struct km_bound_spread *bs = &b->bound->spread[b->bound->spread_nr++];
	int err;

	bs->rule = rule;
	bs->over = rule->over;
	bs->max = rule->max;
	err = bind_condition(b, rule, &bs->conditional, &bs->cond_trait, &bs->cond_value);
	if (err)
		return err;
	if (!rule->within || !strcmp(rule->within, "tenant")) {
		bs->within = KM_WITHIN_TENANT;
	} else if (!strcmp(rule->within, "batch")) {
		bs->within = KM_WITHIN_BATCH;
	} else {
		bs->within = KM_WITHIN_TRAIT;
		err = bind_trait(b, rule, rule->within, &bs->within_trait);
	}
	return err;
}

static int check_key_bits(const struct binder *b)
{
	const struct km_bound *bound = b->bound;
	uint32_t i, bits = 0;

	for (i = 0; i < bound->rule_nr; i++)
		bits += bound->rule[i].bits;
	if (bits <= KM_KEY_BITS_MAX)
		return 0;
	return km_diag_set(b->diag, -EINVAL, NULL, 0, 0,
			   "the preferences have %u bits together, at most %u are possible: "
			   "lower bits of some",
			   bits, KM_KEY_BITS_MAX);
}

static int bind_all(struct binder *b, const struct km_ruleset *rules)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < rules->rule_nr && !err; i++) {
		const struct km_rule *rule = &rules->rule[i];

		if ((uint32_t)rule->kind >= KM_RULE_KIND_NR)
			err = refuse(b, rule, "no such kind", NULL);
		else if (rule->kind != KM_RULE_SPREAD)
			err = bind_rule(b, rule);
		else if (b->bound->spread_nr == KM_SPREADS_MAX)
			err = refuse(b, rule, "there are too many spread rules", NULL);
		else
			err = bind_spread(b, rule);
	}
	for (i = 0; i < b->bound->rule_nr; i++)
		b->bound->pref_nr += !b->bound->rule[i].validator;
	return err ? err : check_key_bits(b);
}

int km_bound_create(struct km_bound **out, const struct km_ruleset *rules,
		    const struct km_trace_schema *schema, const struct km_inventory *inv,
		    struct km_diag *diag)
{
	struct binder b = { .rules = rules, .schema = schema, .inv = inv, .diag = diag };
	int err;

	if (rules->rule_nr > KM_RULES_MAX || KM_RES_NR + schema->trait_nr > KM_TRAITS_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "at most %d rules and %d traits",
				   KM_RULES_MAX, KM_TRAITS_MAX);
	b.bound = calloc(1, sizeof(*b.bound));
	if (!b.bound)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "no memory for the rules");
	b.bound->trait_nr = KM_RES_NR + schema->trait_nr;
	err = bind_all(&b, rules);
	if (err) {
		if (err == -ENOMEM)
			km_ignore(km_diag_set(diag, err, NULL, 0, 0,
					      "no memory for the rules")); /* err is returned */
		km_bound_destroy(b.bound);
		return err;
	}
	*out = b.bound;
	return 0;
}

void km_bound_destroy(struct km_bound *bound)
{
	uint32_t i;

	if (!bound)
		return;
	for (i = 0; i < bound->rule_nr; i++) {
		free(bound->rule[i].value_to);
		free(bound->rule[i].lut);
	}
	for (i = 0; i < bound->col_nr; i++) {
		free(bound->col[i].set);
		free(bound->col[i].atom_start);
		free(bound->col[i].atom);
		km_dict_destroy(bound->col[i].atoms);
	}
	free(bound);
}
