/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/rules_test.c - rule sets: what a file says is what is loaded, what
 * is wrong with it is told with its place; the built-in set holds the same limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "place/rules.h"
#include "place/store.h"
#include "place/zone.h"

static char folder[] = "/tmp/km-rules-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/rules.ini", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_rules(const char *text, size_t bytes)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

static struct km_ruleset *load(const char *text)
{
	struct km_ruleset *set = NULL;
	struct km_diag diag;
	char why[768];

	write_rules(text, strlen(text));
	if (km_ruleset_load(&set, path, &diag))
		fail_msg("%s\n%s", text, km_diag_format(&diag, why, sizeof(why)));
	return set;
}

static void every_kind_is_read_with_its_parameters(void **state)
{
	struct km_ruleset *set = load(
		"\xef\xbb\xbf; a comment\r\n"
		"[rule cpu]\r\nkind = fits\r\nresource = cpu ; trailing\r\n"
		"[rule memory]\nkind = fits\nuses = memory\n"
		"[rule ok]\nkind=healthy\n"
		"[rule pool]\nkind: match\ntrait: pool\nlabel = pools\nuses = pool\n"
		"[rule hw]\nkind = table\ntrait = shape\nlabel = kind\n"
		"rows = 1/2: 12|4, 2/4: 21\n"
		"\t3:4: 9\n"
		"  ,\n"
		"[rule room]\nkind = headroom\ntrait = priority\nvalue = low\nresource = memory\n"
		"percent = 7\nuses = memory, priority\n"
		"[rule new]\nkind = prefer\nlabel = gen\nvalue = g3\n"
		"[rule old]\nkind = prefer\nlabel = gen\nvalue = g1\ntrait = priority\nonly = low\nbits = 2\n"
		"[rule best]\nkind = best-fit\nresource = nic\nbits = 4\n"
		"[rule worst]\nkind = worst-fit\nresource = ssd\n"
		"[rule even]\nkind = balance\n"
		"[rule used]\nkind = nonempty\n"
		"[rule power]\nkind = order\nlabel = power\norder = a, b,\n  c, d\n"
		"[rule apart]\nkind = spread\nover = rack\nwithin = tenant\n"
		"trait = spread\nonly = rack\nmax = 3");
	const struct km_rule *r = set->rule;

	(void)state;
	assert_int_equal(set->rule_nr, 14);
	assert_string_equal(r[0].name, "cpu");
	assert_int_equal(r[0].line, 2);
	assert_int_equal(r[0].kind, KM_RULE_FITS);
	assert_int_equal(r[0].resource, KM_RES_CPU);
	assert_int_equal(r[0].bits, 0);
	assert_int_equal(r[1].resource, KM_RES_MEMORY);
	assert_int_equal(r[2].kind, KM_RULE_HEALTHY);
	assert_string_equal(r[3].trait, "pool");
	assert_string_equal(r[3].label, "pools");
	assert_string_equal(r[4].table[0], "1/2");
	assert_string_equal(r[4].table[1], "12|4");
	assert_string_equal(r[4].table[2], "2/4");
	assert_string_equal(r[4].table[4], "3:4");
	assert_string_equal(r[4].table[5], "9");
	assert_null(r[4].table[6]);
	assert_int_equal(r[5].percent, 7);
	assert_string_equal(r[5].trait_value, "low");
	assert_null(r[5].label_value);
	assert_int_equal(r[6].bits, 1);
	assert_string_equal(r[6].label_value, "g3");
	assert_null(r[6].trait_value);
	assert_string_equal(r[7].trait_value, "low");
	assert_int_equal(r[7].bits, 2);
	assert_int_equal(r[8].bits, 4);
	assert_int_equal(r[9].bits, 3);
	assert_int_equal(r[9].resource, KM_RES_SSD);
	assert_int_equal(r[11].kind, KM_RULE_NONEMPTY);
	assert_string_equal(r[12].order[3], "d");
	assert_null(r[12].order[4]);
	assert_int_equal(r[12].bits, 3); /* four values and all others */
	assert_int_equal(r[13].over, KM_OVER_RACK);
	assert_string_equal(r[13].within, "tenant");
	assert_string_equal(r[13].trait_value, "rack");
	assert_int_equal(r[13].max, 3);
	km_ruleset_destroy(set);
}

struct bad_case {
	const char *text;
	uint64_t line;
	uint32_t column;
	const char *why;
};

#define FITS "[rule a]\nkind = fits\nresource = cpu\n"

static const struct bad_case bad_rules[] = {
	{ "", 1, 0, "no rule" },
	{ "; nothing\n", 2, 0, "no rule" },
	{ "kind = fits\n", 1, 1, "before the first" },
	{ "[rules a]\nkind = fits\n", 1, 1, "unknown section" },
	{ "[rule a\nkind = fits\n", 1, 1, "no ']'" },
	{ "[rule ]\nkind = fits\n", 1, 7, "no name" },
	{ "[rule a]\n", 1, 1, "lacks 'kind'" },
	{ "[rule a]\n[rule b]\nkind = healthy\n", 1, 1, "lacks 'kind'" },
	{ FITS FITS, 4, 7, "rule 'a' is there twice" },
	{ FITS "  junk\n", 4, 3, "cannot go on" },
	{ FITS "junk\n", 4, 1, "neither" },
	{ "[rule a]\nkind = fit\n", 2, 8, "did you mean 'fits'?" },
	{ "[rule a]\nkind =  zebra\n", 2, 9, "unknown kind 'zebra'" },
	{ "[rule a]\nkind = fits\nresourse = cpu\n", 3, 1, "did you mean 'resource'?" },
	{ "[rule a]\nkind = fits\n  resource = cpu\n", 3, 3, "cannot go on" },
	{ "[rule a]\nkind = fits\nresource = cpus\n", 3, 12, "did you mean 'cpu'?" },
	{ "[rule a]\nkind = fits\nkind = fits\n", 3, 1, "'kind' is there twice" },
	{ "[rule a]\nkind = fits\n", 1, 1, "lacks 'resource'" },
	{ "[rule a]\nkind =\n", 2, 7, "no value" },
	{ FITS "percent = 5\n", 4, 11, "has no 'percent'" },
	{ FITS "bits = 1\n", 4, 8, "has no 'bits'" },
	{ FITS "uses = memory\n", 4, 8, "does not use 'memory'" },
	{ "[rule a]\nkind = balance\nuses = cpu\n", 3, 8, "'memory' is missing" },
	{ "[rule a]\nkind = best-fit\nresource = cpu\nbits = 9\n", 4, 8, "within 1..8" },
	{ "[rule a]\nkind = best-fit\nresource = cpu\nbits = 0\n", 4, 8, "within 1..8" },
	{ "[rule a]\nkind = best-fit\nresource = cpu\nbits = 3x\n", 4, 8, "within 1..8" },
	{ "[rule a]\nkind = best-fit\nresource = cpu\nbits = -1\n", 4, 8, "within 1..8" },
	{ "[rule a]\nkind = headroom\ntrait = p\nvalue = low\nresource = cpu\npercent = 100\n", 6,
	  11, "within 1..99" },
	{ "[rule a]\nkind = spread\nover = room\nwithin = tenant\n", 3, 8,
	  "unknown domain 'room'" },
	{ "[rule a]\nkind = spread\nover = racks\nwithin = tenant\n", 3, 8, "did you mean 'rack'" },
	{ "[rule a]\nkind = spread\nover = rack\nwithin = tenant\nmax = 0\n", 5, 7, "within 1.." },
	{ "[rule a]\nkind = spread\nover = rack\nwithin = tenant\nonly = x\n", 1, 1,
	  "go together" },
	{ "[rule a]\nkind = prefer\nlabel = l\nvalue = v\ntrait = x\n", 1, 1, "go together" },
	{ "[rule a]\nkind = table\ntrait = t\nlabel = l\nrows = a: b, c\n", 5, 14,
	  "not of the form" },
	{ "[rule a]\nkind = table\ntrait = t\nlabel = l\nrows = a: b,\n a: c\n", 6, 2, "twice" },
	{ "[rule a]\nkind = table\ntrait = t\nlabel = l\nrows = a:\n", 5, 8, "lacks its labels" },
	{ "[rule a]\nkind = table\ntrait = t\nlabel = l\nrows = : a\n", 5, 8, "lacks its value" },
	{ "[rule a]\nkind = order\nlabel = l\norder = a, b, a\n", 4, 9, "twice" },
	{ "[rule a]\nkind = order\nlabel = l\norder =\n", 4, 8, "'order' has no value" },
	{ "[rule a]\nkind = table\ntrait = t\nlabel = l\nrows =\n", 5, 7, "'rows' has no value" },
	{ "[rule a]\nkind = spread\nover = row\nwithin = tenant\n", 3, 8,
	  "unknown domain 'row'; known are server, rack, cluster" },
	{ FITS "zzzzzzzzz = 1\n", 4, 1, "known are kind, uses, resource" },
	{ FITS "max = 1\n", 4, 7, "it has kind, uses, resource" },
	{ "[rule a]\nkind = spread\nover = rack\nwithin = tenant\n", 0, 0,
	  "at least one rule that is not `spread`" },
};

static void what_is_no_file_is_told_as_such(void **state)
{
	struct km_ruleset *set = NULL;
	struct km_diag diag;

	(void)state;
	assert_int_equal(km_ruleset_load(&set, folder, &diag), -EIO);
	assert_string_equal(diag.reason, "Is a directory");
	assert_int_equal(diag.line, 0);
	assert_int_equal(km_ruleset_load(&set, "", &diag), -ENOENT);
	assert_non_null(strstr(diag.reason, "is empty"));
	assert_null(set);
}

static void refuse_rules(const char *text, size_t bytes, uint64_t line, uint32_t column,
			 const char *why)
{
	struct km_ruleset *set = NULL;
	struct km_diag diag;

	write_rules(text, bytes);
	assert_int_equal(km_ruleset_load(&set, path, &diag), -EINVAL);
	assert_null(set);
	assert_string_equal(diag.file, path);
	if (diag.line != line || diag.column != column || !strstr(diag.reason, why))
		fail_msg("%s\ngave %llu:%u: %s\nnot  %llu:%u: %s", text,
			 (unsigned long long)diag.line, diag.column, diag.reason,
			 (unsigned long long)line, column, why);
}

static void malformed_rule_sets_are_refused_with_line_column_and_reason(void **state)
{
	static const char nul[] = FITS "trait = a\0b\n";
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad_rules); i++)
		refuse_rules(bad_rules[i].text, strlen(bad_rules[i].text), bad_rules[i].line,
			     bad_rules[i].column, bad_rules[i].why);
	refuse_rules(nul, sizeof(nul) - 1, 4, 10, "NUL");
	i = (size_t)snprintf(text, sizeof(text), "[rule a]\nkind = %0300d\n", 1);
	refuse_rules(text, i, 2, 200, "go on in an indented line");
	i = (size_t)snprintf(text, sizeof(text), "[rule %060d]\nkind = fits\n", 1);
	refuse_rules(text, i, 1, 7, "over 43 bytes");
}

static void the_limits_of_a_set_hold(void **state)
{
	static char text[16384];
	size_t at = 0, last = 0;
	int i;

	(void)state;
	for (i = 0; i <= KM_RULES_MAX; i++) {
		last = at;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "[rule r%d]\nkind = healthy\n",
				       i);
	}
	refuse_rules(text, at, 2 * KM_RULES_MAX + 1, 7, "more than 64 rules");
	write_rules(text, last);
	km_ruleset_destroy(load((text[last] = '\0', text)));

	for (i = 0, at = 0; i < 8; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "[rule r%d]\nkind = nonempty\nbits = 8\n", i);
	refuse_rules(text, at, 22, 1, "64 bits, more than 60");

	for (i = 0, at = 0; i <= KM_SPREADS_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "[rule r%d]\nkind = spread\nover = rack\nwithin = batch\n",
				       i);
	refuse_rules(text, at, 17, 1, "more than 4 rules of kind spread");
}

static void columns_that_are_not_there_are_told_with_the_nearest(void **state)
{
	struct km_zone_cfg cfg = {
		.seed = 1, .server_nr = 20, .create_nr = 10, .level = KM_LEVEL_VMTYPE
	};
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "[rule a]\nkind = match\ntrait = priorty\nlabel = kind\n",
		  "'priorty'; did you mean 'priority'" },
		{ "[rule a]\nkind = match\ntrait = priority\nlabel = kin\n",
		  "'kin'; did you mean 'kind'" },
		{ "[rule a]\nkind = spread\nover = rack\nwithin = tenants\n"
		  "[rule b]\nkind = healthy\n",
		  "no trait column 'tenants'" },
		{ "[rule a]\nkind = match\ntrait = nope\nlabel = kind\n",
		  "no trait column 'nope'; there are shape, priority" },
	};
	struct km_inventory *inv;
	struct km_ruleset *set;
	struct km_trace *trace;
	struct km_diag diag;
	size_t i;

	(void)state;
	assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
	for (i = 0; i < KM_ARRAY_NR(cases); i++) {
		set = load(cases[i].text);
		assert_int_equal(km_ruleset_check(set, &trace->schema, inv, &diag), -EINVAL);
		if (!strstr(diag.reason, cases[i].why))
			fail_msg("%s", diag.reason);
		assert_string_equal(diag.file, path);
		assert_int_equal(diag.line, 1);
		km_ruleset_destroy(set);
	}
	km_trace_destroy(trace);
	km_inventory_destroy(inv);
}

static void the_built_in_set_applies_at_every_level_and_holds_the_limits(void **state)
{
	enum km_zone_level level;

	(void)state;
	for (level = KM_LEVEL_SHAPE; level <= KM_LEVEL_VMTYPE; level++) {
		struct km_zone_cfg cfg = { .seed = 1,
					   .server_nr = 20,
					   .create_nr = 10,
					   .level = level,
					   .type_nr = level ? 5000 : 0 };
		uint32_t bits = 0, spreads = 0, tables = 0, fits = 0, i, j;
		struct km_inventory *inv;
		struct km_ruleset *set;
		struct km_trace *trace;
		struct km_diag diag;

		assert_int_equal(km_zone_generate(&cfg, &trace, &inv), 0);
		assert_int_equal(km_ruleset_default(&set, &trace->schema, inv), 0);
		assert_int_equal(km_ruleset_check(set, &trace->schema, inv, &diag), 0);
		assert_in_range(set->rule_nr, 17, 24);
		for (i = 0; i < set->rule_nr; i++) {
			const struct km_rule *rule = &set->rule[i];

			for (j = 0; j < i; j++)
				assert_string_not_equal(rule->name, set->rule[j].name);
			bits += rule->bits;
			assert_int_equal(rule->bits > 0, km_rule_is_preference(rule->kind));
			spreads += rule->kind == KM_RULE_SPREAD;
			tables += rule->kind == KM_RULE_TABLE;
			fits += rule->kind == KM_RULE_FITS;
		}
		assert_true(bits <= KM_RULESET_BITS_MAX);
		assert_int_equal(spreads, level == KM_LEVEL_SHAPE ? 0 : 2);
		assert_int_equal(tables, 1);
		assert_int_equal(fits, KM_RES_NR);
		km_ruleset_destroy(set);
		km_trace_destroy(trace);
		km_inventory_destroy(inv);
	}
}

static void the_built_in_set_leaves_out_what_a_trace_lacks(void **state)
{
	struct km_inventory *inv;
	struct km_ruleset *set;
	struct km_trace *trace;
	uint32_t i;

	(void)state;
	assert_int_equal(km_trace_create(&trace, 0, NULL), 0);
	assert_int_equal(km_inventory_create(&inv, 3), 0);
	assert_int_equal(km_ruleset_default(&set, &trace->schema, inv), 0);
	assert_true(set->rule_nr >= 6);
	for (i = 0; i < set->rule_nr; i++) {
		assert_null(set->rule[i].trait);
		assert_null(set->rule[i].label);
	}
	km_ruleset_destroy(set);
	km_inventory_destroy(inv);
	km_trace_destroy(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_read_with_its_parameters),
		cmocka_unit_test(malformed_rule_sets_are_refused_with_line_column_and_reason),
		cmocka_unit_test(what_is_no_file_is_told_as_such),
		cmocka_unit_test(the_limits_of_a_set_hold),
		cmocka_unit_test(columns_that_are_not_there_are_told_with_the_nearest),
		cmocka_unit_test(the_built_in_set_applies_at_every_level_and_holds_the_limits),
		cmocka_unit_test(the_built_in_set_leaves_out_what_a_trace_lacks),
	};

	return cmocka_run_group_tests_name("rules", tests, make_folder, drop_folder);
}
