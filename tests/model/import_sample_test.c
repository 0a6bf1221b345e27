/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/model/import_sample_test.c - the importer on the sample that $KAMINO_DATA
 * has: it finds the numbers that are known of it. Skipped where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place/zone.h"

/* A seed whose draw of VM types gives 1,341 types, the number that is known of one such draw. */
#define SEED_OF_1341 20

static struct km_trace *import_sample(enum km_zone_level level, uint64_t seed, uint64_t max)
{
	const char *data = getenv("KAMINO_DATA");
	struct km_trace *trace;
	struct km_diag diag;
	char dir[4096], text[768];

	if (!data) {
		print_message("KAMINO_DATA is not set\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/azure-packing-2020", data);
	if (km_import_azure_csv(&trace, dir, level, true, seed, max, &diag))
		fail_msg("%s", km_diag_format(&diag, text, sizeof(text)));
	return trace;
}

/* Types by the columns up to @last, among the creates of the 14 days. */
static uint32_t count_types(const struct km_trace *trace, const char *last)
{
	uint32_t nr = km_trace_trait(&trace->schema, last) + 1, id;
	struct km_dict *seen;
	uint64_t i;

	assert_int_equal(km_dict_create(&seen), 0);
	for (i = trace->initial_nr; i < trace->event_nr; i++)
		if (trace->event[i].op == KM_OP_CREATE)
			assert_int_equal(km_dict_intern(seen, (const char *)trace->event[i].trait,
							nr * sizeof(uint32_t), &id, NULL),
					 0);
	nr = km_dict_nr(seen);
	km_dict_destroy(seen);
	return nr;
}

static void the_sample_has_the_published_numbers(void **state)
{
	uint64_t creates = 0, deletes = 0, in_two = 0, i;
	struct km_trace *trace;
	uint32_t size;

	(void)state;
	trace = import_sample(KM_LEVEL_VMTYPE, SEED_OF_1341, 0);
	assert_int_equal(trace->initial_nr, 497632 - 428121);
	size = km_trace_trait(&trace->schema, "size");
	for (i = trace->initial_nr; i < trace->event_nr; i++) {
		creates += trace->event[i].op == KM_OP_CREATE;
		deletes += trace->event[i].op == KM_OP_DELETE;
		in_two += trace->event[i].op == KM_OP_CREATE &&
			  trace->event[i].batch != KM_DICT_NONE;
	}
	assert_int_equal(creates, 428121);
	assert_int_equal(deletes, 414612 + 14462); /* of new VMs, and of initial ones */
	assert_int_equal((1000 * in_two + creates / 2) / creates, 675);
	assert_int_equal(km_dict_nr(trace->schema.values[size]),
			 10); /* the 10th: initial VMs only */
	assert_int_equal(count_types(trace, "size"), 471);
	assert_int_equal(count_types(trace, "priority"), 130);
	assert_int_equal(count_types(trace, "vmtype"), 1341);
	km_trace_destroy(trace);
}

static void the_sample_is_cut_behind_so_many_creates(void **state)
{
	struct km_trace *trace = import_sample(KM_LEVEL_BATCH, 1, 1000);
	uint64_t creates = 0, i;

	(void)state;
	for (i = trace->initial_nr; i < trace->event_nr; i++)
		creates += trace->event[i].op == KM_OP_CREATE;
	assert_in_range(creates, 1000, 1000 + 351); /* the largest batch has 352 */
	km_trace_destroy(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_has_the_published_numbers),
		cmocka_unit_test(the_sample_is_cut_behind_so_many_creates),
	};

	return cmocka_run_group_tests_name("import_sample", tests, NULL, NULL);
}
