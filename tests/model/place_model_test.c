/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/place_model_test.c - VM placement against a slow oracle.
 *
 * Random zones, rule sets, requests, commits and deletes. The oracle evaluates
 * each rule for each server from the rule's text, knows no column, kernel, slot
 * or journal, and reads the store's state afresh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/rand.h"
#include "lib/snap.h"
#include "place/audit.h"
#include "place/consolidate.h"
#include "place/place.h"
#include "place/rule_eval.h"
#include "tests/support/seed.h"

enum {
	SERVERS_MAX = 300,
	VMS = 4000,
	AGENTS = 3,
	TYPES = 12,
	TRAITS = 3,
	VALUES = 5,
	STEPS = 160,
	ZONES = 100,
	PARTS = 3,
	PART_VMS = 4,
};

static const char *const trait_names[TRAITS] = { "series", "zone", "tier" };
static const char *const value_names[VALUES] = { "a", "b", "c", "d", "e" };
/* Label sets; of the wide label each server has one of its own as well. */
static const char *const set_names[] = { "", "a", "b", "c", "a|b", "b|c|d", "e|a", "x" };

struct slots {
	void *rule[KM_RULES_MAX], *top;
	uint64_t rule_rev[KM_RULES_MAX], top_rev;
	bool present;
};

struct zone {
	struct km_rand rand;
	struct km_inventory *inv;
	struct km_trace *trace;
	struct km_ruleset rules;
	char *name[KM_RULES_MAX];
	struct km_store *store;
	struct km_place_ctx *place;
	const struct km_workload *w;
	struct km_workload_agent *wa[AGENTS];
	bool had_conflict[AGENTS];
	struct km_type type[TYPES];
	struct slots slots[AGENTS][TYPES];
	struct km_ledger ledger;
	uint32_t vm_next, choice_nr;
	uint64_t placed, no_room, conflicts, updates, evals;
};

static uint32_t below(struct zone *z, uint64_t n)
{
	return (uint32_t)km_rand_below(&z->rand, n);
}

static bool chance(struct zone *z, uint32_t percent)
{
	return below(z, 100) < percent;
}

/* ---- a random zone ----------------------------------------------------------------- */

static uint32_t intern(struct km_dict *dict, const char *text)
{
	uint32_t id;

	assert_int_equal(km_dict_intern(dict, text, strlen(text), &id, NULL), 0);
	return id;
}

static void make_inventory(struct zone *z)
{
	static const uint32_t sizes[] = { 1, 2, 8, 9, 63, 64, 65, 128, 257, SERVERS_MAX };
	const uint32_t n = chance(z, 50) ? sizes[below(z, KM_ARRAY_NR(sizes))]
					 : 1 + below(z, SERVERS_MAX);
	uint32_t s, r, narrow, wide;
	char text[32];

	assert_int_equal(km_inventory_create(&z->inv, n), 0);
	assert_int_equal(km_inventory_add_label(z->inv, "kind", &narrow), 0);
	assert_int_equal(km_inventory_add_label(z->inv, "tag", &wide), 0);
	for (s = 0; s < n; s++) {
		for (r = 0; r < KM_RES_NR; r++)
			z->inv->total[r][s] = chance(z, 10) ? 0 : (int32_t)(4 + below(z, 60));
		z->inv->cluster[s] = below(z, 3);
		z->inv->rack[s] = z->inv->cluster[s] * 4 + below(z, 4);
		z->inv->healthy[s] = !chance(z, 10);
		z->inv->label[narrow][s] =
			intern(z->inv->sets[narrow], set_names[below(z, KM_ARRAY_NR(set_names))]);
		snprintf(text, sizeof(text), "n%u%s", s, chance(z, 50) ? "|a" : "|b");
		z->inv->label[wide][s] = intern(z->inv->sets[wide], text);
	}
	/* Only so that names are found: numbers are the cluster's. */
	for (s = 0; s < 3; s++)
		intern(z->inv->clusters, value_names[s]);
}

static void make_trace(struct zone *z)
{
	uint32_t t, v;

	assert_int_equal(km_trace_create(&z->trace, TRAITS, trait_names), 0);
	for (t = 0; t < TRAITS; t++)
		for (v = 0; v < VALUES; v++)
			intern(z->trace->schema.values[t], value_names[v]);
}

static char *no_const(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void random_condition(struct zone *z, struct km_rule *rule, uint32_t percent)
{
	if (!chance(z, percent))
		return;
	rule->trait = no_const(trait_names[below(z, TRAITS)]);
	/* "never" is no value of the trace; NULL = any value at all. */
	rule->trait_value = chance(z, 20)   ? NULL
			    : chance(z, 10) ? no_const("never")
					    : no_const(value_names[below(z, VALUES)]);
}

static char *orders[3][5], *tables[2][9];

static void fill_lists(void)
{
	char *const order[3][5] = { { no_const("a"), no_const("b"), NULL },
				    { no_const("x"), no_const("nowhere"), no_const("c"),
				      no_const("a"), NULL },
				    { NULL } };
	char *const table[2][9] = { { no_const("a"), no_const("a|b"), no_const("b"), no_const("c"),
				      no_const("a"), no_const("x"), NULL },
				    { no_const("e"), no_const("nowhere"), no_const("unseen"),
				      no_const("a"), NULL } };

	memcpy(orders, order, sizeof(orders));
	memcpy(tables, table, sizeof(tables));
}

static void random_rule(struct zone *z, struct km_rule *rule)
{
	static const char *const labels[] = { "kind", "tag", "cluster" };

	memset(rule, 0, sizeof(*rule));
	rule->kind = (enum km_rule_kind)below(z, KM_RULE_SPREAD);
	rule->bits = 1 + below(z, 5);
	rule->resource = (enum km_res)below(z, KM_RES_NR);
	rule->percent = below(z, 40);
	rule->label = no_const(labels[below(z, KM_ARRAY_NR(labels))]);
	rule->label_value = no_const(value_names[below(z, VALUES)]);
	rule->order = orders[below(z, 3)];
	rule->table = tables[below(z, 2)];
	if (rule->kind == KM_RULE_MATCH || rule->kind == KM_RULE_TABLE)
		rule->trait = no_const(trait_names[below(z, TRAITS)]);
	else
		random_condition(z, rule, rule->kind == KM_RULE_HEADROOM ? 100 : 25);
}

static void random_spread(struct zone *z, struct km_rule *rule)
{
	static const char *const within[] = { "tenant", "batch", "series" };

	memset(rule, 0, sizeof(*rule));
	rule->kind = KM_RULE_SPREAD;
	rule->over = (enum km_spread_over)below(z, 3);
	rule->within = no_const(within[below(z, 3)]);
	rule->max = 1 + below(z, rule->over == KM_OVER_SERVER ? 2 : 12);
	random_condition(z, rule, 30);
}

static void make_rules(struct zone *z)
{
	const uint32_t nr = below(z, 10), spreads = below(z, 3);
	uint32_t i;

	fill_lists();
	z->rules.rule_nr = 0;
	for (i = chance(z, 10) ? KM_RES_NR : 0; i < KM_RES_NR; i++) /* at times none at all */
		if (chance(z, 70))
			z->rules.rule[z->rules.rule_nr++] =
				(struct km_rule){ .kind = KM_RULE_FITS,
						  .resource = (enum km_res)i };
	for (i = 0; i < nr; i++)
		random_rule(z, &z->rules.rule[z->rules.rule_nr++]);
	for (i = 0; i < spreads; i++)
		random_spread(z, &z->rules.rule[z->rules.rule_nr++]);
	for (i = 0; i < z->rules.rule_nr; i++) {
		char text[16];

		snprintf(text, sizeof(text), "r%u", i);
		z->rules.rule[i].name = z->name[i] = strdup(text);
	}
}

static void make_types(struct zone *z)
{
	uint32_t t, i;

	for (t = 0; t < TYPES; t++) {
		memset(&z->type[t], 0, sizeof(z->type[t]));
		for (i = 0; i < KM_RES_NR; i++)
			z->type[t].trait[KM_TRAIT_RES(i)] = chance(z, 50) ? 0 : below(z, 14);
		for (i = 0; i < TRAITS; i++) /* one more than is known: a value seen later */
			z->type[t].trait[KM_TRAIT_COLUMN(i)] = below(z, VALUES + 2);
	}
}

static void *slot_alloc(const struct zone *z, uint32_t class_idx)
{
	const size_t bytes = (z->w->class_bytes[class_idx] + 63) & ~(size_t)63;
	void *slot = aligned_alloc(64, bytes);

	assert_non_null(slot);
	memset(slot, 0x5a, bytes);
	return slot;
}

static void make_slots(struct zone *z, struct slots *s)
{
	const struct km_workload *w = z->w;
	uint32_t r;

	memset(s, 0, sizeof(*s));
	for (r = 0; r < w->rule_nr; r++)
		s->rule[r] = slot_alloc(z, w->ops->rule_class(w->workload, r));
	s->top = slot_alloc(z, w->ops->top_class(w->workload));
}

static void free_slots(const struct zone *z, struct slots *s)
{
	uint32_t r;

	for (r = 0; r < z->w->rule_nr; r++)
		free(s->rule[r]);
	free(s->top);
}

static void open_zone(struct zone *z, uint64_t seed)
{
	struct km_store_cfg store_cfg = { .vm_cap = VMS, .keep_journal = true };
	struct km_place_cfg cfg = { .store_ops = &km_store_memory, .agent_nr = AGENTS };
	struct km_diag diag;
	uint32_t a, t;

	memset(z, 0, sizeof(*z));
	km_rand_init(&z->rand, seed);
	make_inventory(z);
	make_trace(z);
	make_rules(z);
	make_types(z);
	store_cfg.inv = cfg.inv = z->inv;
	store_cfg.rules = cfg.rules = &z->rules;
	assert_int_equal(km_store_memory.open(&z->store, &store_cfg, &diag), 0);
	cfg.store = z->store;
	cfg.schema = &z->trace->schema;
	cfg.seed = seed;
	cfg.history_nr = 2u << below(z, 9);
	cfg.choice_nr = z->choice_nr = 1 + below(z, 6);
	if (km_place_create(&z->place, &cfg, &diag))
		fail_msg("%s", diag.reason);
	z->w = km_place_workload(z->place);
	for (a = 0; a < AGENTS; a++) {
		assert_int_equal(z->w->ops->agent_create(z->w->workload, a, NULL, &z->wa[a]), 0);
		for (t = 0; t < TYPES; t++)
			make_slots(z, &z->slots[a][t]);
	}
	assert_int_equal(km_ledger_init(&z->ledger, VMS, true), 0);
}

static void close_zone(struct zone *z)
{
	uint32_t a, t, i;

	for (a = 0; a < AGENTS; a++) {
		z->w->ops->agent_destroy(z->wa[a]);
		for (t = 0; t < TYPES; t++)
			free_slots(z, &z->slots[a][t]);
	}
	km_place_destroy(z->place);
	km_store_memory.close(z->store);
	km_ledger_fini(&z->ledger);
	km_trace_destroy(z->trace);
	km_inventory_destroy(z->inv);
	for (i = 0; i < z->rules.rule_nr; i++)
		free(z->name[i]);
}

/* ---- the oracle ---------------------------------------------------------------------- */

struct truth {
	int32_t free[KM_RES_NR][SERVERS_MAX];
	uint32_t vm_nr[SERVERS_MAX];
	uint8_t healthy[SERVERS_MAX];
};

static void read_truth(struct zone *z, struct truth *now)
{
	int32_t *to[KM_RES_NR];
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		to[r] = now->free[r];
	km_store_memory.copy_state(z->store, to, now->vm_nr, now->healthy);
}

static const char *label_text(const struct zone *z, const char *label, uint32_t s)
{
	const uint32_t idx = km_inventory_label(z->inv, label);

	if (idx == KM_DICT_NONE) /* "cluster" */
		return km_dict_text(z->inv->clusters, z->inv->cluster[s]);
	return km_dict_text(z->inv->sets[idx], z->inv->label[idx][s]);
}

static bool is_one_of(const char *text, const char *set)
{
	const size_t bytes = strlen(text);

	while (*set) {
		const size_t n = strcspn(set, "|");

		if (n == bytes && n && !memcmp(set, text, n))
			return true;
		set += n + (set[n] == '|');
	}
	return false;
}

static bool share_a_value(const char *a, const char *b)
{
	char one[32];

	while (*a) {
		const size_t n = strcspn(a, "|");

		snprintf(one, sizeof(one), "%.*s", (int)n, a);
		if (is_one_of(one, b))
			return true;
		a += n + (a[n] == '|');
	}
	return false;
}

/* The value's text, "" for none, "?" for one that the trace did not have yet. */
static const char *value_text(const struct zone *z, const struct km_type *type, const char *trait)
{
	const uint32_t t = km_trace_trait(&z->trace->schema, trait);
	const uint32_t v = type->trait[KM_TRAIT_COLUMN(t)];

	if (!v)
		return "";
	return v <= VALUES ? km_dict_text(z->trace->schema.values[t], v - 1) : "?";
}

static bool meets(const struct zone *z, const struct km_rule *rule, const struct km_type *type)
{
	const char *value;

	if (!rule->trait)
		return true;
	value = value_text(z, type, rule->trait);
	return rule->trait_value ? !strcmp(value, rule->trait_value) : *value != '\0';
}

static uint32_t oracle_bucket(float x, uint32_t max)
{
	x *= (float)(max + 1);
	return x <= 0 ? 0 : x >= (float)max ? max : (uint32_t)x;
}

static float oracle_left(const struct zone *z, const struct truth *now, uint32_t r, uint32_t s,
			 const struct km_type *type)
{
	const float inv = z->inv->total[r][s] ? 1.0f / (float)z->inv->total[r][s] : 0.0f;

	return (float)(now->free[r][s] - (int32_t)type->trait[r]) * inv;
}

static bool oracle_validates(const struct zone *z, const struct km_rule *rule,
			     const struct truth *now, const struct km_type *type, uint32_t s)
{
	const int64_t left = (int64_t)now->free[rule->resource][s] - type->trait[rule->resource];
	const char *value, *labels;
	char **pair;
	bool listed = false;

	switch (rule->kind) {
	case KM_RULE_FITS:
		return left >= 0;
	case KM_RULE_HEALTHY:
		return now->healthy[s];
	case KM_RULE_HEADROOM:
		return !meets(z, rule, type) ||
		       left * 100 >= (int64_t)z->inv->total[rule->resource][s] * rule->percent;
	default:
		break;
	}
	value = value_text(z, type, rule->trait);
	labels = label_text(z, rule->label, s);
	if (rule->kind == KM_RULE_MATCH)
		return !*value || is_one_of(value, labels);
	for (pair = rule->table; *pair; pair += 2) {
		if (strcmp(pair[0], value))
			continue;
		listed = true;
		if (share_a_value(pair[1], labels))
			return true;
	}
	return !listed;
}

static uint32_t oracle_score(const struct zone *z, const struct km_rule *rule,
			     const struct truth *now, const struct km_type *type, uint32_t s)
{
	const uint32_t max = (1u << rule->bits) - 1;
	uint32_t nr = 0, rank;
	float apart;

	switch (rule->kind) {
	case KM_RULE_BEST_FIT:
		return oracle_bucket(oracle_left(z, now, rule->resource, s, type), max);
	case KM_RULE_WORST_FIT:
		return max - oracle_bucket(oracle_left(z, now, rule->resource, s, type), max);
	case KM_RULE_BALANCE:
		apart = oracle_left(z, now, KM_RES_CPU, s, type) -
			oracle_left(z, now, KM_RES_MEMORY, s, type);
		return oracle_bucket(apart < 0 ? -apart : apart, max);
	case KM_RULE_NONEMPTY:
		return now->vm_nr[s] ? 0 : max;
	case KM_RULE_PREFER:
		return is_one_of(rule->label_value, label_text(z, rule->label, s)) ? 0 : max;
	default:
		break;
	}
	while (rule->order[nr])
		nr++;
	for (rank = 0; rank < nr; rank++)
		if (is_one_of(rule->order[rank], label_text(z, rule->label, s)))
			break;
	if (nr <= max)
		return rank == nr ? max : rank;
	return rank * max / nr;
}

/* The n-th rule that is cached, i.e. no SPREAD. */
static uint64_t oracle_key(const struct zone *z, const struct truth *now,
			   const struct km_type *type, uint32_t s)
{
	uint64_t key = 0;
	uint32_t i;

	for (i = 0; i < z->rules.rule_nr; i++) {
		const struct km_rule *rule = &z->rules.rule[i];

		if (rule->kind == KM_RULE_SPREAD)
			continue;
		if (rule->kind <= KM_RULE_HEADROOM) {
			if ((rule->kind == KM_RULE_FITS || rule->kind == KM_RULE_HEALTHY) &&
			    !meets(z, rule, type))
				continue;
			if (!oracle_validates(z, rule, now, type, s))
				return KM_KEY_NONE;
		} else {
			key = key << rule->bits |
			      (meets(z, rule, type) ? oracle_score(z, rule, now, type, s) : 0);
		}
	}
	return key;
}

static uint32_t oracle_group(const struct zone *z, const struct km_rule *rule,
			     const struct km_type *type, const struct km_place_ask *ask)
{
	uint32_t t;

	if (!meets(z, rule, type))
		return KM_GROUP_NONE;
	if (!strcmp(rule->within, "tenant"))
		return ask->tenant;
	if (!strcmp(rule->within, "batch"))
		return ask->batch;
	t = km_trace_trait(&z->trace->schema, rule->within);
	t = type->trait[KM_TRAIT_COLUMN(t)];
	return t ? t : KM_GROUP_NONE;
}

/* Counts by walking the table of VMs, and what the request itself has placed. */
static bool oracle_spread_allows(struct zone *z, const struct km_type *type,
				 const struct km_place_ask *ask, uint32_t s,
				 const struct km_store_vm *own, uint32_t own_nr)
{
	uint32_t i, j, spread = 0, vm;

	for (i = 0; i < z->rules.rule_nr; i++) {
		const struct km_rule *rule = &z->rules.rule[i];
		const uint32_t group = rule->kind == KM_RULE_SPREAD
					       ? oracle_group(z, rule, type, ask)
					       : KM_GROUP_NONE;
		uint32_t count = 0, domain;
		struct km_store_vm seen;

		if (rule->kind != KM_RULE_SPREAD)
			continue;
		domain = km_spread_domain(z->inv, rule->over, s);
		for (vm = 0; group != KM_GROUP_NONE && vm < z->vm_next; vm++)
			count += km_store_memory.find(z->store, vm, &seen) &&
				 seen.group[spread] == group &&
				 km_spread_domain(z->inv, rule->over, seen.server) == domain;
		for (j = 0; group != KM_GROUP_NONE && j < own_nr; j++)
			count += own[j].group[spread] == group &&
				 km_spread_domain(z->inv, rule->over, own[j].server) == domain;
		if (group != KM_GROUP_NONE && count >= rule->max)
			return false;
		spread++;
	}
	return true;
}

static bool oracle_allows(struct zone *z, const struct truth *now, const struct km_type *type,
			  const struct km_place_ask *ask, uint32_t s, const struct km_store_vm *own,
			  uint32_t own_nr)
{
	uint32_t r;

	for (r = 0; r < KM_RES_NR; r++)
		if ((int32_t)type->trait[r] > now->free[r][s])
			return false;
	return oracle_spread_allows(z, type, ask, s, own, own_nr);
}

/* How many allowed servers are strictly better than @s; UINT32_MAX: @s is none. */
static uint32_t oracle_rank(struct zone *z, const struct truth *now, const struct km_type *type,
			    const struct km_place_ask *ask, uint32_t s,
			    const struct km_store_vm *own, uint32_t own_nr)
{
	const uint64_t key = s == UINT32_MAX ? KM_KEY_NONE : oracle_key(z, now, type, s);
	uint32_t i, rank = 0;

	if (s != UINT32_MAX &&
	    (key == KM_KEY_NONE || !oracle_allows(z, now, type, ask, s, own, own_nr)))
		return UINT32_MAX;
	for (i = 0; i < z->inv->server_nr; i++)
		rank += oracle_key(z, now, type, i) < key &&
			oracle_allows(z, now, type, ask, i, own, own_nr);
	return rank;
}

/* ---- slots as core keeps them ---------------------------------------------------------- */

static uint64_t sync_agent(struct zone *z, uint32_t a)
{
	uint64_t rev;

	km_snap_enter();
	rev = z->w->ops->sync(z->wa[a]);
	km_snap_leave();
	return rev;
}

/* Now and then only some rules are brought up to date: other types share them. */
static void refresh(struct zone *z, uint32_t a, uint32_t t)
{
	const struct km_workload_ops *ops = z->w->ops;
	struct slots *s = &z->slots[a][t];
	const struct km_type *type = &z->type[t];
	const uint64_t rev = sync_agent(z, a);
	const bool some = chance(z, 10);
	uint32_t r;

	for (r = 0; r < z->w->rule_nr; r++) {
		if (some && chance(z, 50))
			continue;
		if (s->rule_rev[r] && ops->can_update(z->wa[a], s->rule_rev[r])) {
			ops->rule_update(z->wa[a], r, type, s->rule[r], s->rule_rev[r]);
			z->updates++;
		} else {
			ops->rule_eval(z->wa[a], r, type, s->rule[r]);
			z->evals++;
		}
		s->rule_rev[r] = rev;
	}
	if (some) {
		refresh(z, a, t);
		return;
	}
	if (s->present && ops->can_update(z->wa[a], s->top_rev))
		ops->top_update(z->wa[a], type, s->rule, s->top, s->top_rev);
	else
		ops->top_build(z->wa[a], type, s->rule, s->top);
	s->top_rev = rev;
	s->present = true;
}

/* Updated objects equal evaluation from scratch, and both the oracle. */
static void compare(struct zone *z, uint32_t a, uint32_t t)
{
	const struct km_workload *w = z->w;
	const struct slots *s = &z->slots[a][t];
	struct slots anew;
	struct km_cons cons;
	struct truth now;
	uint32_t r, i;

	make_slots(z, &anew);
	for (r = 0; r < w->rule_nr; r++) {
		w->ops->rule_eval(z->wa[a], r, &z->type[t], anew.rule[r]);
		assert_memory_equal(anew.rule[r], s->rule[r],
				    w->class_bytes[w->ops->rule_class(w->workload, r)]);
	}
	w->ops->top_build(z->wa[a], &z->type[t], anew.rule, anew.top);
	assert_memory_equal(anew.top, s->top, km_cons_bytes(z->inv->server_nr));
	km_cons_map(&cons, s->top, z->inv->server_nr);
	assert_null(km_cons_check(&cons));
	read_truth(z, &now);
	for (i = 0; i < z->inv->server_nr; i++)
		assert_int_equal(cons.key[i], oracle_key(z, &now, &z->type[t], i));
	free_slots(z, &anew);
}

/* ---- requests ---------------------------------------------------------------------------- */

struct ask {
	struct km_req req[PARTS];
	struct km_place_ask ask[PARTS];
	uint32_t vm[PARTS][PART_VMS], server[PARTS][PART_VMS];
	struct km_serve_part part[PARTS];
	uint32_t type[PARTS], part_nr;
};

static void make_ask(struct zone *z, struct ask *q)
{
	const uint32_t tenant = chance(z, 20) ? KM_DICT_NONE : below(z, 4);
	uint32_t p, i;

	memset(q, 0, sizeof(*q));
	q->part_nr = chance(z, 60) ? 1 : 1 + below(z, PARTS);
	for (p = 0; p < q->part_nr; p++) {
		q->type[p] = below(z, TYPES);
		q->ask[p] =
			(struct km_place_ask){ .vm_nr = chance(z, 60) ? 1 : 1 + below(z, PART_VMS),
					       .tenant = tenant,
					       .batch = q->part_nr > 1 ? z->vm_next : KM_DICT_NONE,
					       .vm = q->vm[p],
					       .server = q->server[p] };
		for (i = 0; i < q->ask[p].vm_nr; i++)
			q->vm[p][i] = z->vm_next++;
		q->req[p].payload = &q->ask[p];
		memcpy(q->req[p].trait, z->type[q->type[p]].trait, sizeof(q->req[p].trait));
		if (p)
			q->req[p - 1].more = &q->req[p];
		q->part[p].req = &q->req[p];
		q->part[p].type = &z->type[q->type[p]];
	}
}

/* Before it was committed, each pick was the best that was left (P1). */
static void check_picks(struct zone *z, const struct ask *q, struct truth *now, bool widened)
{
	struct km_store_vm own[PARTS * PART_VMS];
	uint32_t p, i, own_nr = 0, rank, r;

	for (p = 0; p < q->part_nr; p++) {
		const struct km_type *type = &z->type[q->type[p]];

		for (i = 0; i < q->ask[p].vm_nr; i++) {
			const uint32_t s = q->server[p][i];
			struct km_store_vm seen;

			rank = oracle_rank(z, now, type, &q->ask[p], s, own, own_nr);
			assert_true(rank < (widened ? z->choice_nr : 1));
			for (r = 0; r < KM_RES_NR; r++)
				now->free[r][s] -= (int32_t)type->trait[r];
			now->vm_nr[s]++;
			/* The oracle walks the VM table, which has this request's VMs by now. */
			assert_true(km_store_memory.find(z->store, q->vm[p][i], &seen));
			assert_int_equal(seen.server, s);
			own[own_nr++] = seen;
		}
	}
}

static void note(struct zone *z, const struct ask *q)
{
	const enum km_outcome outcome = q->req[0].outcome;
	uint32_t p, i, r;

	for (p = 0; p < q->part_nr; p++) {
		for (i = 0; i < q->ask[p].vm_nr; i++) {
			const uint32_t vm = q->vm[p][i];

			z->ledger.state[vm] = outcome == KM_PLACED ? KM_LEDGER_PLACED
								   : KM_LEDGER_REFUSED;
			z->ledger.server[vm] = q->server[p][i];
			for (r = 0; r < KM_RES_NR; r++)
				z->ledger.res[vm][r] = (int32_t)z->type[q->type[p]].trait[r];
		}
	}
}

/* The store must not yet have the request's VMs while the oracle ranks its picks. */
static void check_outcome(struct zone *z, struct ask *q, struct truth *before, bool widened)
{
	uint32_t p, i;

	if (q->req[0].outcome == KM_NO_ROOM) {
		z->no_room++;
		if (q->part_nr == 1 && q->ask[0].vm_nr == 1)
			assert_int_equal(oracle_rank(z, before, &z->type[q->type[0]], &q->ask[0],
						     UINT32_MAX, NULL, 0),
					 0);
		return;
	}
	assert_int_equal(q->req[0].outcome, KM_PLACED);
	z->placed++;
	/* Numbers from vm_next on are not looked at: hide this request's. */
	z->vm_next = q->vm[0][0];
	check_picks(z, q, before, widened);
	for (p = 0; p < q->part_nr; p++)
		for (i = 0; i < q->ask[p].vm_nr; i++)
			z->vm_next++;
}

static void serve(struct zone *z, uint32_t a)
{
	const struct km_workload_ops *ops = z->w->ops;
	struct truth before;
	struct ask q;
	uint32_t p, tries = 0;
	bool stale = chance(z, 30);

	if (z->vm_next + PARTS * PART_VMS > VMS)
		return;
	make_ask(z, &q);
	for (p = 0; p < q.part_nr; p++)
		if (chance(z, 80))
			q.part[p].top = z->slots[a][q.type[p]].top;
	for (;;) {
		void *copy[PARTS];
		enum km_serve result;

		for (p = 0; p < q.part_nr; p++)
			if (!stale || !z->slots[a][q.type[p]].present)
				refresh(z, a, q.type[p]);
		if (!stale && q.part[0].top)
			compare(z, a, q.type[0]);
		for (p = 0; p < q.part_nr; p++) {
			copy[p] = slot_alloc(z, z->w->ops->top_class(z->w->workload));
			memcpy(copy[p], z->slots[a][q.type[p]].top,
			       km_cons_bytes(z->inv->server_nr));
		}
		read_truth(z, &before);
		result = ops->serve(z->wa[a], q.part, q.part_nr);
		for (p = 0; p < q.part_nr; p++) { /* P2 */
			assert_memory_equal(copy[p], z->slots[a][q.type[p]].top,
					    km_cons_bytes(z->inv->server_nr));
			free(copy[p]);
		}
		if (result == KM_SERVE_DONE)
			break;
		z->conflicts++;
		z->had_conflict[a] = true;
		q.req[0].conflicts++;
		assert_true(++tries < 20);
		assert_true(stale); /* one thread: only a stale view can conflict */
		stale = false;
	}
	if (!stale)
		check_outcome(z, &q, &before, z->had_conflict[a]);
	note(z, &q);
}

static void delete_one(struct zone *z)
{
	const uint32_t vm = z->vm_next ? below(z, z->vm_next + 3) : 0;
	const bool known = vm < VMS && z->ledger.state[vm] == KM_LEDGER_PLACED;

	assert_int_equal(km_store_memory.delete(z->store, vm), known);
	if (known)
		z->ledger.state[vm] = KM_LEDGER_DELETED;
}

static void audit_is_clean(struct zone *z)
{
	const struct km_audit_cfg cfg = { .ops = &km_store_memory,
					  .store = z->store,
					  .inv = z->inv,
					  .rules = &z->rules,
					  .vm_cap = VMS,
					  .ledger = &z->ledger,
					  .whole_journal = true };
	static struct km_audit audit;

	assert_int_equal(km_audit_run(&cfg, &audit), 0);
	if (audit.failures)
		fail_msg("%s", audit.reason[0].reason);
}

static void placement_agrees_with_the_oracle(void **state)
{
	static struct zone z;
	const uint64_t seed = km_test_seed(20241101);
	uint64_t placed = 0, no_room = 0, conflicts = 0, updates = 0, evals = 0;
	uint32_t zone, step, a;

	(void)state;
	for (zone = 0; zone < ZONES; zone++) {
		open_zone(&z, seed + zone);
		for (step = 0; step < STEPS; step++) {
			if (chance(&z, 25))
				delete_one(&z);
			else
				serve(&z, below(&z, AGENTS));
			km_snap_quiesce();
		}
		for (a = 0; a < AGENTS; a++) {
			refresh(&z, a, a);
			compare(&z, a, a);
		}
		audit_is_clean(&z);
		placed += z.placed;
		no_room += z.no_room;
		conflicts += z.conflicts;
		updates += z.updates;
		evals += z.evals;
		close_zone(&z);
	}
	/* All the ways were gone. */
	fprintf(stderr,
		"# placed %llu, no room %llu, conflicts %llu, updates %llu, evaluations %llu\n",
		(unsigned long long)placed, (unsigned long long)no_room,
		(unsigned long long)conflicts, (unsigned long long)updates,
		(unsigned long long)evals);
	assert_true(placed > 500 && no_room > 100 && conflicts > 20 && updates > 1000 &&
		    evals > 1000);
}

/* A store whose journal keeps two segments, fed from the real one. */
static struct km_bcast *short_journal;

static struct km_bcast *watch_short(struct km_store *store)
{
	(void)store;
	return short_journal;
}

static void feed_short(struct km_store *store)
{
	struct km_journal_entry entry[64];
	uint32_t i, nr;

	do {
		km_snap_enter();
		assert_int_equal(km_bcast_read_some(km_store_memory.watch(store),
						    km_bcast_head(short_journal) + 1, entry, 64,
						    &nr),
				 KM_BCAST_OK);
		km_snap_leave();
		for (i = 0; i < nr; i++)
			assert_int_equal(km_bcast_append(short_journal, &entry[i], NULL), 0);
	} while (nr);
}

/* A view that the journal has left behind starts over, and says so. */
static void an_overrun_view_starts_over(void **state)
{
	enum { CHANGES = 5000 }; /* more than two segments */
	struct km_store_ops ops = km_store_memory;
	struct km_store_cfg cfg = { .vm_cap = VMS };
	struct km_place_cfg place;
	static struct zone z;
	struct km_store_vm vm;
	uint64_t rev;
	uint32_t i;

	(void)state;
	ops.watch = watch_short;
	assert_int_equal(km_bcast_create(&short_journal, sizeof(struct km_journal_entry), 2), 0);
	open_zone(&z, km_test_seed(20241101));
	for (i = 0; i < AGENTS; i++)
		z.w->ops->agent_destroy(z.wa[i]);
	km_place_destroy(z.place);
	km_store_memory.close(z.store);
	cfg.inv = z.inv;
	cfg.rules = &z.rules;
	assert_int_equal(km_store_memory.open(&z.store, &cfg, NULL), 0);
	place = (struct km_place_cfg){ .inv = z.inv,
				       .schema = &z.trace->schema,
				       .rules = &z.rules,

				       .store_ops = &ops,
				       .store = z.store };
	assert_int_equal(km_place_create(&z.place, &place, NULL), 0);
	z.w = km_place_workload(z.place);
	assert_int_equal(z.w->ops->agent_create(z.w->workload, 0, NULL, &z.wa[0]), 0);
	refresh(&z, 0, 0);
	rev = z.slots[0][0].top_rev;
	for (i = 0; i < CHANGES; i++) {
		vm = (struct km_store_vm){ .vm = i % VMS, .server = i / VMS % z.inv->server_nr };
		memset(vm.group, 0xff, sizeof(vm.group));
		if (!km_store_memory.delete(z.store, vm.vm))
			assert_int_equal(km_store_memory.commit(z.store, &vm, 1, NULL),
					 KM_COMMIT_DONE);
		km_snap_quiesce();
	}
	feed_short(z.store);
	assert_true(z.w->ops->can_update(z.wa[0], rev));
	assert_int_equal(sync_agent(&z, 0), 1 + CHANGES);
	assert_false(z.w->ops->can_update(z.wa[0], rev));
	assert_true(z.w->ops->can_update(z.wa[0], 1 + CHANGES));
	refresh(&z, 0, 0);
	compare(&z, 0, 0);
	for (i = 1; i < AGENTS; i++)
		z.wa[i] = NULL;
	close_zone(&z);
	km_bcast_destroy(short_journal);
}

/*
 * In a zone so large that few changes would still be followed one by one, an
 * overrun makes every older object one that cannot be.
 */
static void nothing_older_than_an_overrun_is_updated(void **state)
{
	enum { SERVERS = 200000, CHANGES = 4000 };
	struct km_store_ops ops = km_store_memory;
	struct km_trace_schema schema = { 0 };
	struct km_ruleset rules = { 0 };
	struct km_store_cfg cfg = { .vm_cap = 1, .rules = &rules };
	struct km_place_cfg place = { .schema = &schema, .rules = &rules };
	struct km_store_vm vm = { .vm = 0 };
	struct km_workload_agent *wa;
	const struct km_workload *w;
	struct km_place_ctx *ctx;
	struct km_inventory *inv;
	uint64_t rev;
	uint32_t i;

	(void)state;
	ops.watch = watch_short;
	assert_int_equal(km_bcast_create(&short_journal, sizeof(struct km_journal_entry), 2), 0);
	assert_int_equal(km_inventory_create(&inv, SERVERS), 0);
	cfg.inv = place.inv = inv;
	assert_int_equal(ops.open(&place.store, &cfg, NULL), 0);
	place.store_ops = &ops;
	assert_int_equal(km_place_create(&ctx, &place, NULL), 0);
	w = km_place_workload(ctx);
	assert_int_equal(w->ops->agent_create(w->workload, 0, NULL, &wa), 0);
	km_snap_enter();
	rev = w->ops->sync(wa);
	km_snap_leave();
	for (i = 0; i < CHANGES / 2; i++) {
		assert_int_equal(ops.commit(place.store, &vm, 1, NULL), KM_COMMIT_DONE);
		assert_true(ops.delete(place.store, 0));
	}
	feed_short(place.store);
	km_snap_enter();
	assert_int_equal(w->ops->sync(wa), rev + CHANGES);
	km_snap_leave();
	assert_false(w->ops->can_update(wa, rev));
	assert_false(w->ops->can_update(wa, rev + CHANGES - 1));
	assert_true(w->ops->can_update(wa, rev + CHANGES));
	w->ops->agent_destroy(wa);
	km_place_destroy(ctx);
	ops.close(place.store);
	km_inventory_destroy(inv);
	km_bcast_destroy(short_journal);
}

/* ---- how widely an agent chooses ------------------------------------------------------ */

static bool refuse_all;

static enum km_commit moody_commit(struct km_store *store, const struct km_store_vm *vm,
				   uint32_t vm_nr, uint32_t *at)
{
	return refuse_all ? KM_COMMIT_OVER : km_store_memory.commit(store, vm, vm_nr, at);
}

struct chooser {
	struct km_workload_agent *wa;
	const struct km_workload *w;
	struct km_store *store;
};

/* Ask @tries times for one VM and take it back. Returns a bit per server that was chosen. */
static uint64_t chosen(struct chooser *c, uint32_t tries, uint32_t conflicts)
{
	uint32_t vm = 0, server = 0;
	struct km_place_ask ask = { .vm_nr = 1,
				    .tenant = KM_DICT_NONE,
				    .batch = KM_DICT_NONE,
				    .vm = &vm,
				    .server = &server };
	struct km_req req;
	struct km_serve_part part = { .req = &req };
	uint64_t seen = 0;

	memset(&req, 0, sizeof(req));
	req.payload = &ask;
	req.trait[KM_RES_CPU] = 1;
	req.conflicts = conflicts;
	while (tries--) {
		if (c->w->ops->serve(c->wa, &part, 1) == KM_SERVE_CONFLICT)
			continue;
		assert_int_equal(req.outcome, KM_PLACED);
		seen |= UINT64_C(1) << server;
		assert_true(km_store_memory.delete(c->store, vm));
	}
	return seen;
}

/* Server s is the s-th best; refusals widen the choice, quiet narrows it. */
static void the_choice_widens_under_conflicts_and_narrows_after(void **state)
{
	enum { SERVERS = 20, WIDEST = 4 };
	struct km_store_ops ops = km_store_memory;
	struct km_trace_schema schema = { 0 };
	struct km_ruleset rules = { .rule_nr = 1 };
	struct km_store_cfg cfg = { .vm_cap = 1, .rules = &rules };
	struct km_place_cfg place = { .schema = &schema, .rules = &rules, .choice_nr = WIDEST };
	struct km_place_ctx *ctx;
	struct km_inventory *inv;
	struct chooser c;
	uint32_t s;

	(void)state;
	refuse_all = false;
	ops.commit = moody_commit;
	assert_int_equal(km_inventory_create(&inv, SERVERS), 0);
	for (s = 0; s < SERVERS; s++) {
		inv->total[KM_RES_CPU][s] = 1;
		inv->total[KM_RES_MEMORY][s] = 10;
	}
	rules.rule[0] = (struct km_rule){ .name = no_const("best"),
					  .kind = KM_RULE_BEST_FIT,
					  .resource = KM_RES_MEMORY,
					  .bits = 8 };
	cfg.inv = place.inv = inv;
	/* Less memory is free on the better servers: others' VMs stand there. */
	cfg.vm_cap = 1 + SERVERS;
	assert_int_equal(ops.open(&place.store, &cfg, NULL), 0);
	for (s = 0; s < SERVERS && s < 10; s++) {
		struct km_store_vm vm = { .vm = 1 + s, .server = s };

		memset(vm.group, 0xff, sizeof(vm.group));
		vm.res[KM_RES_MEMORY] = 10 - (int32_t)s;
		assert_int_equal(ops.commit(place.store, &vm, 1, NULL), KM_COMMIT_DONE);
	}
	place.store_ops = &ops;
	assert_int_equal(km_place_create(&ctx, &place, NULL), 0);
	c.w = km_place_workload(ctx);
	c.store = place.store;
	assert_int_equal(c.w->ops->agent_create(c.w->workload, 0, NULL, &c.wa), 0);
	assert_int_equal(chosen(&c, 100, 0), 1);
	assert_int_equal(chosen(&c, 100, 1), 3); /* a second try: the best two */
	assert_int_equal(chosen(&c, 200, 2), 15);
	assert_int_equal(chosen(&c, 200, 9), 15); /* never wider than it may */
	refuse_all = true;
	assert_int_equal(chosen(&c, 100, 0), 0);
	refuse_all = false;
	assert_true(chosen(&c, 16, 0) > 1); /* learnt: a first try is wide, too */
	chosen(&c, 200, 0);
	assert_int_equal(chosen(&c, 100, 0), 1); /* and forgotten */
	c.w->ops->agent_destroy(c.wa);
	km_place_destroy(ctx);
	ops.close(place.store);
	km_inventory_destroy(inv);
}

/* Columns of random and extreme values, one array for each kind. */
struct columns {
	struct km_columns cols;
	int32_t free[SERVERS_MAX], total[SERVERS_MAX];
	float inv_total[SERVERS_MAX];
	uint32_t vm_nr[SERVERS_MAX];
	uint8_t healthy[SERVERS_MAX];
	uint8_t *set[KM_LABELS_MAX + 2];
};

/* @total: the totals are 0, this and twice this. */
static void random_columns(struct zone *z, const struct km_bound *bound, int32_t total, uint32_t n,
			   struct columns *c)
{
	uint32_t i, s;

	memset(&c->cols, 0, sizeof(c->cols));
	for (i = 0; i < n; i++) {
		c->total[i] = (int32_t)below(z, 3) * total;
		c->free[i] = (int32_t)below(z, (uint64_t)c->total[i] + 2) - 1;
		c->inv_total[i] = c->total[i] ? 1.0f / (float)c->total[i] : 0;
		c->vm_nr[i] = below(z, 2);
		c->healthy[i] = (uint8_t)below(z, 2);
	}
	for (i = 0; i < KM_RES_NR; i++) {
		c->cols.free[i] = c->free;
		c->cols.total[i] = c->total;
		c->cols.inv_total[i] = c->inv_total;
	}
	c->cols.vm_nr = c->vm_nr;
	c->cols.healthy = c->healthy;
	for (i = 0; i < bound->col_nr; i++) {
		const uint32_t width = bound->col[i].width;

		c->set[i] = calloc(n, width);
		assert_non_null(c->set[i]);
		for (s = 0; s < n; s++) {
			const uint32_t v = below(z, bound->col[i].set_nr);

			memcpy(c->set[i] + s * width, &v, width);
		}
		c->cols.set[i] = c->set[i];
	}
}

/* What the rule for one server says of each. */
static void by_the_server(const struct km_bound *bound, uint32_t rule, const uint32_t *trait,
			  const struct km_columns *cols, uint32_t n, uint64_t *out)
{
	uint32_t s;

	for (s = 0; s < n; s++) {
		const uint32_t one = km_rule_at(bound, rule, trait, cols, s);

		if (bound->rule[rule].validator)
			out[s / 64] |= (uint64_t)one << (s % 64);
		else
			((uint8_t *)out)[s] = (uint8_t)one;
	}
}

static void kernels_agree_on(const struct km_bound *bound, const uint32_t *trait,
			     const struct columns *c, uint32_t n, uint8_t *scratch)
{
	static uint64_t want[SERVERS_MAX], got[SERVERS_MAX];
	uint32_t i, k;

	for (i = 0; i < bound->rule_nr; i++) {
		memset(want, 0, sizeof(want));
		by_the_server(bound, i, trait, &c->cols, n, want);
		for (k = 0; km_kernels_all[k]; k++) {
			if (!km_kernels_all[k]->supported())
				continue;
			memset(got, 0, sizeof(got));
			km_rule_stream(km_kernels_all[k], bound, i, trait, &c->cols, scratch, 0, n,
				       got);
			assert_memory_equal(want, got, sizeof(want));
		}
	}
}

/* Around the largest that the loops for small totals take, and around nothing in particular. */
static uint32_t any_want(struct zone *z, uint32_t t)
{
	const uint32_t edge[] = { UINT32_MAX, KM_SMALL_TOTAL, KM_SMALL_TOTAL + 1, 0, 1 };

	if (t < KM_ARRAY_NR(edge))
		return edge[t];
	return below(z, t % 2 ? 2000000000 : 2 * KM_SMALL_TOTAL);
}

/* Every instruction set's loops give the same words and bytes as the rule for one server. */
static void all_kernels_agree(void **state)
{
	const int32_t large = 1000000000, small = KM_SMALL_TOTAL / 2;
	const uint32_t n = SERVERS_MAX / 64 * 64;
	const uint64_t seed = km_test_seed(20241101);
	static struct columns c;
	static struct zone z;
	uint32_t zone, t, i;

	(void)state;
	for (zone = 0; zone < 10; zone++) {
		struct km_bound *bound;
		uint8_t *scratch;

		open_zone(&z, seed + zone);
		assert_int_equal(km_bound_create(&bound, &z.rules, &z.trace->schema, z.inv, NULL),
				 0);
		scratch = calloc(1, bound->scratch_bytes + 1);
		bound->small_total = zone % 2 ? UINT32_MAX : 0;
		random_columns(&z, bound, zone % 2 ? small : large, n, &c);
		for (t = 0; t < TYPES; t++) {
			for (i = 0; i < KM_RES_NR; i++)
				z.type[t].trait[i] = any_want(&z, t);
			kernels_agree_on(bound, z.type[t].trait, &c, n, scratch);
		}
		for (i = 0; i < bound->col_nr; i++)
			free(c.set[i]);
		free(scratch);
		km_bound_destroy(bound);
		close_zone(&z);
	}
}

/* Tables of every size that fits in registers. */
static void small_tables_are_looked_up_right(void **state)
{
	enum { N = 256 };
	uint8_t lut[KM_SMALL_SETS], col[N], byte[N];
	uint32_t k, i, set_nr;
	uint64_t word[N / 64];
	struct zone z;

	(void)state;
	km_rand_init(&z.rand, km_test_seed(20241101));
	for (set_nr = 1; set_nr <= KM_SMALL_SETS; set_nr++) {
		for (i = 0; i < KM_SMALL_SETS; i++)
			lut[i] = i < set_nr ? (uint8_t)below(&z, 2) : 0;
		for (i = 0; i < N; i++)
			col[i] = (uint8_t)below(&z, set_nr);
		for (k = 0; km_kernels_all[k]; k++) {
			if (!km_kernels_all[k]->supported())
				continue;
			km_kernels_all[k]->small_bytes(col, lut, byte, N);
			km_kernels_all[k]->small_bits(col, lut, set_nr, word, N);
			for (i = 0; i < N; i++) {
				assert_int_equal(byte[i], lut[col[i]]);
				assert_int_equal(word[i / 64] >> i % 64 & 1, lut[col[i]]);
			}
		}
	}
}

/* The loops that join buckets and find a block's best agree as well. */
static void all_kernels_consolidate_alike(void **state)
{
	enum { N = 256 };
	static uint64_t key[2][N], bitmap[N / 64];
	static struct km_cons_node leaf[2][N / KM_CONS_BLOCK];
	static uint8_t bucket[N];
	struct zone z;
	uint32_t k, i, round;

	(void)state;
	km_rand_init(&z.rand, km_test_seed(20241101));
	for (round = 0; round < 50; round++) {
		for (i = 0; i < N; i++) {
			bucket[i] = (uint8_t)below(&z, 4);
			key[0][i] = below(&z, 2);
			bitmap[i / 64] = km_rand_u64(&z.rand) | km_rand_u64(&z.rand);
		}
		for (k = 0; km_kernels_all[k]; k++) {
			const struct km_kernels *kernels = km_kernels_all[k];

			if (!kernels->supported())
				continue;
			memcpy(key[1], key[0], sizeof(key[1]));
			kernels->join(key[1], bucket, 2, N);
			kernels->mask(key[1], bitmap, N);
			kernels->leaves(key[1], leaf[1], N / KM_CONS_BLOCK);
			for (i = 0; i < N; i++)
				assert_int_equal(key[1][i], bitmap[i / 64] >> i % 64 & 1
								    ? key[0][i] << 2 | bucket[i]
								    : KM_KEY_NONE);
			for (i = 0; i < N / KM_CONS_BLOCK; i++)
				leaf[0][i] = km_cons_leaf(&key[1][i * KM_CONS_BLOCK]);
			assert_memory_equal(leaf[0], leaf[1], sizeof(leaf[0]));
		}
	}
}

/* The preload places every VM that fits, by the rules, and the audit agrees. */
static void preload_places_by_the_rules(void **state)
{
	static struct zone z;
	const uint64_t seed = km_test_seed(20241101);
	uint64_t unplaced, some = 0;
	uint32_t zone, i;

	(void)state;
	for (zone = 0; zone < 10; zone++) {
		struct km_diag diag;
		uint64_t want = 0, stand = 0;

		open_zone(&z, seed + 1000 + zone);
		for (i = 0; i < 600; i++) {
			const struct km_type *type = &z.type[below(&z, TYPES)];
			struct km_event event = { .at_us = (int64_t)i - 600,
						  .tenant = below(&z, 40),
						  .batch = KM_DICT_NONE,
						  .op = KM_OP_CREATE };
			char text[16];
			uint32_t r;

			snprintf(text, sizeof(text), "v%u", i);
			event.vm = intern(z.trace->schema.vms, text);
			for (r = 0; r < KM_RES_NR; r++)
				event.res[r] = (int32_t)type->trait[r];
			memcpy(event.trait, &type->trait[KM_TRAIT_COLUMN(0)],
			       TRAITS * sizeof(uint32_t));
			assert_int_equal(km_trace_append(z.trace, &event), 0);
			want++;
			if (chance(&z, 10)) {
				event.op = KM_OP_DELETE;
				assert_int_equal(km_trace_append(z.trace, &event), 0);
				want--;
			}
		}
		assert_true(z.trace->initial_nr >= 600);
		if (km_place_preload(z.place, z.trace, &unplaced, NULL, NULL, &diag))
			fail_msg("%s", diag.reason);
		for (i = 0; i < 600; i++) {
			struct km_store_vm at;

			if (!km_store_memory.find(z.store, i, &at))
				continue;
			stand++;
			z.ledger.state[i] = KM_LEDGER_PLACED;
			z.ledger.server[i] = at.server;
			memcpy(z.ledger.res[i], at.res, sizeof(at.res));
		}
		assert_int_equal(stand + unplaced, want);
		some += stand;
		audit_is_clean(&z);
		/* The agents see it, and nothing more of the unplaced fits now. */
		refresh(&z, 0, 0);
		compare(&z, 0, 0);
		close_zone(&z);
	}
	assert_true(some > 300);
}

/* Each VM sees those before it: those that prefer company all go to one server. */
static void preload_follows_its_own_picks(void **state)
{
	enum { SERVERS = 50, ALL = 20 };
	struct km_rule *rule;
	static struct zone z;
	struct km_store_vm at;
	uint64_t unplaced;
	uint32_t i, s, first = 0;
	char text[16];

	(void)state;
	memset(&z, 0, sizeof(z));
	assert_int_equal(km_inventory_create(&z.inv, SERVERS), 0);
	for (s = 0; s < SERVERS; s++)
		z.inv->total[KM_RES_CPU][s] = ALL;
	make_trace(&z);
	rule = z.rules.rule;
	rule[z.rules.rule_nr++] =
		(struct km_rule){ .name = no_const("fits"), .kind = KM_RULE_FITS };
	rule[z.rules.rule_nr++] = (struct km_rule){ .name = no_const("company"),
						    .kind = KM_RULE_NONEMPTY,
						    .bits = 1 };
	for (i = 0; i < 2 * ALL; i++) {
		struct km_event event = {
			.at_us = -1, .tenant = KM_DICT_NONE, .batch = KM_DICT_NONE, .res = { 1 }
		};

		snprintf(text, sizeof(text), "v%u", i);
		event.vm = intern(z.trace->schema.vms, text);
		assert_int_equal(km_trace_append(z.trace, &event), 0);
	}
	{
		const struct km_store_cfg cfg = { .inv = z.inv, .rules = &z.rules, .vm_cap = VMS };

		assert_int_equal(km_store_memory.open(&z.store, &cfg, NULL), 0);
	}
	{
		const struct km_place_cfg cfg = { .inv = z.inv,
						  .schema = &z.trace->schema,
						  .rules = &z.rules,
						  .store = z.store,
						  .store_ops = &km_store_memory };

		assert_int_equal(km_place_create(&z.place, &cfg, NULL), 0);
	}
	assert_int_equal(km_place_preload(z.place, z.trace, &unplaced, NULL, NULL, NULL), 0);
	assert_int_equal(unplaced, 0);
	for (i = 0; i < 2 * ALL; i++) {
		assert_true(km_store_memory.find(z.store, i, &at));
		if (i % ALL == 0)
			first = at.server;
		assert_int_equal(at.server, first);
	}
	km_place_destroy(z.place);
	km_store_memory.close(z.store);
	km_trace_destroy(z.trace);
	km_inventory_destroy(z.inv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placement_agrees_with_the_oracle),
		cmocka_unit_test(an_overrun_view_starts_over),
		cmocka_unit_test(all_kernels_agree),
		cmocka_unit_test(small_tables_are_looked_up_right),
		cmocka_unit_test(all_kernels_consolidate_alike),
		cmocka_unit_test(nothing_older_than_an_overrun_is_updated),
		cmocka_unit_test(the_choice_widens_under_conflicts_and_narrows_after),
		cmocka_unit_test(preload_places_by_the_rules),
		cmocka_unit_test(preload_follows_its_own_picks),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_drain();
	km_snap_thread_stop();
	return failed;
}
