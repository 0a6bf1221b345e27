/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/zone_test.c - the built-in zone: same seed, same bytes; what it
 * generates can run on the fleet it generates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place/rules.h"
#include "place/zone.h"
#include "tests/support/seed.h"

/* What small_cfg() generates; to be set anew when the fit or the generator changes. */
#define TRACE_OF_SEED_1 UINT64_C(0x351030244caf6411)
#define FLEET_OF_SEED_1 UINT64_C(0xae148ce63466f694)

static struct km_zone_cfg small_cfg(void)
{
	return (struct km_zone_cfg){
		.seed = km_test_seed(1),
		.server_nr = 500,
		.create_nr = 20000,
		.level = KM_LEVEL_VMTYPE,
		.fill = 0.7,
		.batches = true,
	};
}

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t nr)
{
	const unsigned char *at = bytes;

	for (; nr; nr--)
		hash = (hash ^ *at++) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_bytes(hash, text, strlen(text) + 1);
}

static uint64_t hash_trace(const struct km_trace *trace)
{
	uint64_t hash = trace->event_nr, i;
	uint32_t t;

	for (i = 0; i < trace->event_nr; i++) {
		const struct km_event *e = &trace->event[i];

		hash = hash_bytes(hash + e->op, &e->at_us, sizeof(e->at_us));
		hash = hash_bytes(hash, e->res, sizeof(e->res));
		hash = hash_text(hash, km_dict_text(trace->schema.vms, e->vm));
		if (e->tenant != KM_DICT_NONE)
			hash = hash_text(hash, km_dict_text(trace->schema.tenants, e->tenant));
		if (e->batch != KM_DICT_NONE)
			hash = hash_text(hash, km_dict_text(trace->schema.batches, e->batch));
		for (t = 0; t < trace->schema.trait_nr; t++)
			if (e->trait[t])
				hash = hash_text(hash, km_dict_text(trace->schema.values[t],
								    e->trait[t] - 1));
	}
	return hash;
}

static uint64_t hash_fleet(const struct km_inventory *inv)
{
	uint64_t hash = inv->server_nr;
	uint32_t s, i;

	for (s = 0; s < inv->server_nr; s++) {
		for (i = 0; i < KM_RES_NR; i++)
			hash = hash * 31 + (uint64_t)inv->total[i][s];
		hash = hash_text(hash, km_dict_text(inv->racks, inv->rack[s]));
		for (i = 0; i < inv->label_nr; i++)
			hash = hash_text(hash, km_dict_text(inv->sets[i], inv->label[i][s]));
	}
	return hash;
}

static void same_seed_gives_the_same_zone_and_another_another(void **state)
{
	struct km_zone_cfg cfg = small_cfg();
	struct km_trace *a, *b, *c;
	struct km_inventory *x, *y, *z;

	(void)state;
	assert_int_equal(km_zone_generate(&cfg, &a, &x), 0);
	assert_int_equal(km_zone_generate(&cfg, &b, &y), 0);
	cfg.seed++;
	assert_int_equal(km_zone_generate(&cfg, &c, &z), 0);
	if (cfg.seed == 2) { /* on every machine and compiler */
		assert_int_equal(hash_trace(a), TRACE_OF_SEED_1);
		assert_int_equal(hash_fleet(x), FLEET_OF_SEED_1);
	}
	assert_true(hash_trace(a) == hash_trace(b));
	assert_true(hash_trace(a) != hash_trace(c));
	assert_true(hash_fleet(x) == hash_fleet(y));
	assert_true(hash_fleet(x) != hash_fleet(z));
	km_trace_destroy(a);
	km_trace_destroy(b);
	km_trace_destroy(c);
	km_inventory_destroy(x);
	km_inventory_destroy(y);
	km_inventory_destroy(z);
}

/* The value of TABLE rule @rule for @text, or NULL. */
static const char *table_row(const struct km_rule *rule, const char *text)
{
	uint32_t i;

	for (i = 0; rule->table[i]; i += 2)
		if (!strcmp(rule->table[i], text))
			return rule->table[i + 1];
	return NULL;
}

static const struct km_rule *find_rule(const struct km_ruleset *set, const char *name)
{
	uint32_t i;

	for (i = 0; i < set->rule_nr; i++)
		if (!strcmp(set->rule[i].name, name))
			return &set->rule[i];
	return NULL;
}

static bool list_has(const char *list, const char *item)
{
	size_t bytes = strlen(item);
	const char *at = list;

	while ((at = strstr(at, item))) {
		if ((at == list || at[-1] == '|') && (!at[bytes] || at[bytes] == '|'))
			return true;
		at += bytes;
	}
	return false;
}

static bool server_takes(const struct km_inventory *inv, uint32_t s, const struct km_event *event,
			 const char *kinds, const char *priority)
{
	uint32_t kind = km_inventory_label(inv, "kind"),
		 label = km_inventory_label(inv, "priority");
	uint32_t r;

	for (r = 0; r < KM_RES_NR; r++)
		if (event->res[r] > inv->total[r][s])
			return false;
	return list_has(kinds, km_dict_text(inv->sets[kind], inv->label[kind][s])) &&
	       km_inventory_set_has(inv, label, inv->label[label][s], priority);
}

static void every_request_fits_some_empty_server(enum km_zone_level level, const char *rule_name,
						 const char *trait)
{
	struct km_zone_cfg cfg = small_cfg();
	struct km_inventory *inv;
	struct km_trace *trace;
	struct km_ruleset *set;
	const struct km_rule *rule;
	uint32_t column, priority, s;
	uint64_t i;

	cfg.level = level;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
	assert_int_equal(km_ruleset_default(&set, &trace->schema, inv), 0);
	rule = find_rule(set, rule_name);
	assert_non_null(rule);
	column = km_trace_trait(&trace->schema, trait);
	priority = km_trace_trait(&trace->schema, "priority");
	for (i = 0; i < trace->event_nr; i++) {
		const struct km_event *e = &trace->event[i];
		const char *value, *kinds;

		if (e->op != KM_OP_CREATE)
			continue;
		value = km_dict_text(trace->schema.values[column], e->trait[column] - 1);
		kinds = table_row(rule, value);
		assert_non_null(kinds);
		for (s = 0; s < inv->server_nr; s++)
			if (server_takes(inv, s, e, kinds,
					 km_dict_text(trace->schema.values[priority],
						      e->trait[priority] - 1)))
				break;
		if (s == inv->server_nr)
			fail_msg("%s %s fits nowhere", trait, value);
	}
	km_ruleset_destroy(set);
	km_trace_destroy(trace);
	km_inventory_destroy(inv);
}

static void every_request_fits_somewhere_at_level_shape(void **state)
{
	(void)state;
	every_request_fits_some_empty_server(KM_LEVEL_SHAPE, "shape-kind", "shape");
}

static void every_request_fits_somewhere_at_level_vmtype(void **state)
{
	(void)state;
	every_request_fits_some_empty_server(KM_LEVEL_VMTYPE, "vmtype-kind", "vmtype");
}

static void times_rise_and_each_delete_follows_its_create(void **state)
{
	struct km_zone_cfg cfg = small_cfg();
	uint64_t i, creates = 0, deletes = 0, in_batches = 0;
	struct km_inventory *inv;
	struct km_trace *trace;
	int64_t *created, last = INT64_MIN;

	(void)state;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
	created = malloc(km_dict_nr(trace->schema.vms) * sizeof(*created));
	memset(created, 0xff, km_dict_nr(trace->schema.vms) * sizeof(*created));
	for (i = 0; i < trace->event_nr; i++) {
		const struct km_event *e = &trace->event[i];

		assert_true(e->at_us >= last);
		last = e->at_us;
		assert_int_equal(e->at_us < 0, i < trace->initial_nr);
		if (e->op == KM_OP_CREATE) {
			created[e->vm] = e->at_us;
			creates += e->at_us >= 0;
			in_batches += e->batch != KM_DICT_NONE && e->at_us >= 0;
			continue;
		}
		assert_true(created[e->vm] < e->at_us);
		created[e->vm] = INT64_MAX; /* no second delete */
		deletes++;
	}
	assert_int_equal(creates, cfg.create_nr);
	assert_true(deletes > creates / 4);
	/* 67.5 % of the sample's arrivals are in batches of at least 2. */
	assert_in_range(1000 * in_batches / creates, 600, 750);
	free(created);
	km_trace_destroy(trace);
	km_inventory_destroy(inv);
}

static void the_initial_fill_is_as_asked(void **state)
{
	static const double fills[] = { 0, 0.3, 0.8 };
	struct km_zone_cfg cfg = small_cfg();
	struct km_inventory *inv;
	struct km_trace *trace;
	size_t f;

	(void)state;
	cfg.create_nr = 10;
	for (f = 0; f < KM_ARRAY_NR(fills); f++) {
		int64_t used = 0, total = 0;
		uint64_t i;

		cfg.fill = fills[f];
		assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
		for (i = 0; i < trace->initial_nr; i++)
			used += trace->event[i].res[KM_RES_CPU];
		for (i = 0; i < inv->server_nr; i++)
			total += inv->total[KM_RES_CPU][i];
		if (f)
			assert_in_range(1000 * used / total, (uint64_t)(1000 * fills[f]) - 30,
					(uint64_t)(1000 * fills[f]) + 30);
		else
			assert_int_equal(trace->initial_nr, 0);
		km_trace_destroy(trace);
		km_inventory_destroy(inv);
	}
}

static void bad_configurations_are_refused(void **state)
{
	const struct km_zone_cfg good = small_cfg();
	struct km_zone_cfg cfg;
	struct km_inventory *inv;
	struct km_trace *trace;

	(void)state;
	cfg = good, cfg.server_nr = 0;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.server_nr = KM_ZONE_SERVERS_MAX + 1;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.fill = 0.96;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.fill = -0.1;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.level = (enum km_zone_level)3;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.create_nr = KM_ZONE_CREATES_MAX + 1;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	cfg = good, cfg.type_nr = KM_ZONE_TYPES_MAX + 1;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), -EINVAL);
	assert_int_equal(km_zone_fleet(&inv, 0, 1), -EINVAL);
}

/* Distinct (shape, priority, size, vmtype, variant) among the creates. */
static uint32_t count_types(const struct km_trace *trace)
{
	struct km_dict *seen;
	uint32_t id, nr;
	uint64_t i;

	assert_int_equal(km_dict_create(&seen), 0);
	for (i = 0; i < trace->event_nr; i++)
		if (trace->event[i].op == KM_OP_CREATE)
			assert_int_equal(km_dict_intern(seen, (const char *)trace->event[i].trait,
							sizeof(trace->event[i].trait), &id, NULL),
					 0);
	nr = km_dict_nr(seen);
	km_dict_destroy(seen);
	return nr;
}

static void the_number_of_types_can_be_scaled(void **state)
{
	static const struct {
		enum km_zone_level level;
		uint32_t asked, min, max;
	} cases[] = {
		{ KM_LEVEL_SHAPE, 0, 90, 130 },
		{ KM_LEVEL_BATCH, 0, 250, 471 },
		{ KM_LEVEL_VMTYPE, 0, 600, 1668 },
		{ KM_LEVEL_SHAPE, 20, 20, 20 },
		{ KM_LEVEL_BATCH, 100, 90, 100 },
		{ KM_LEVEL_VMTYPE, 300, 250, 305 },
		{ KM_LEVEL_VMTYPE, 100000, 15000, 40000 },
	};
	struct km_zone_cfg cfg = small_cfg();
	struct km_inventory *inv;
	struct km_trace *trace;
	size_t i;

	(void)state;
	cfg.fill = 0;
	cfg.create_nr = 100000;
	for (i = 0; i < KM_ARRAY_NR(cases); i++) {
		uint32_t types;

		cfg.level = cases[i].level;
		cfg.type_nr = cases[i].asked;
		assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
		types = count_types(trace);
		if (types < cases[i].min || types > cases[i].max)
			fail_msg("case %zu: %u types", i, types);
		km_trace_destroy(trace);
		km_inventory_destroy(inv);
	}
}

static void fleets_of_any_size_have_their_kinds_racks_and_clusters(void **state)
{
	static const uint32_t sizes[] = { 1, 5, 9, 10, 100, 5000 };
	struct km_inventory *inv;
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(sizes); i++) {
		uint32_t nr = sizes[i], s, kind, *rack_nr, *cluster_nr;

		assert_int_equal(km_zone_fleet(&inv, nr, 7), 0);
		assert_int_equal(inv->server_nr, nr);
		kind = km_inventory_label(inv, "kind");
		/* Set 0 is the empty one. */
		assert_int_equal(km_dict_nr(inv->sets[kind]) - 1, nr < 9 ? nr : 9);
		rack_nr = calloc(km_dict_nr(inv->racks), sizeof(*rack_nr));
		cluster_nr = calloc(km_dict_nr(inv->clusters), sizeof(*cluster_nr));
		for (s = 0; s < nr; s++) {
			assert_true(inv->total[KM_RES_CPU][s] > 0);
			assert_true(++rack_nr[inv->rack[s]] <= 40);
			assert_true(++cluster_nr[inv->cluster[s]] <= 400);
		}
		free(rack_nr);
		free(cluster_nr);
		km_inventory_destroy(inv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed_gives_the_same_zone_and_another_another),
		cmocka_unit_test(every_request_fits_somewhere_at_level_shape),
		cmocka_unit_test(every_request_fits_somewhere_at_level_vmtype),
		cmocka_unit_test(times_rise_and_each_delete_follows_its_create),
		cmocka_unit_test(the_initial_fill_is_as_asked),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(the_number_of_types_can_be_scaled),
		cmocka_unit_test(fleets_of_any_size_have_their_kinds_racks_and_clusters),
	};

	return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
