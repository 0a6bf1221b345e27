/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/import_test.c - the importers. The published SQLite schema is tried
 * on a tiny file made here; the sample itself: tests/model/import_sample_test.c.
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
#include <sqlite3.h>

#include "place/zone.h"

static char folder[] = "/tmp/km-import-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/trace.db", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static const char *trait_of(const struct km_trace *trace, const struct km_event *event,
			    const char *name)
{
	uint32_t t = km_trace_trait(&trace->schema, name);

	if (t == KM_DICT_NONE)
		return NULL;
	return event->trait[t] ? km_dict_text(trace->schema.values[t], event->trait[t] - 1) : "";
}

static const char *vm_of(const struct km_trace *trace, const struct km_event *event)
{
	return km_dict_text(trace->schema.vms, event->vm);
}

/* ---- SQLite ---------------------------------------------------------------- */

static const char schema_sql[] =
	"CREATE TABLE vmType (id INTEGER, vmTypeId INTEGER, machineId INTEGER, core REAL,"
	" memory REAL, hdd REAL, ssd REAL, nic REAL);"
	"CREATE TABLE vm (vmId INTEGER, tenantId INTEGER, vmTypeId INTEGER, priority INTEGER,"
	" starttime REAL, endtime REAL);";

static void make_db(const char *rows)
{
	char *why = NULL;
	sqlite3 *db;

	unlink(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_sql, NULL, NULL, &why), SQLITE_OK);
	if (sqlite3_exec(db, rows, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void the_published_schema_becomes_the_neutral_trace(void **state)
{
	struct km_trace *trace;
	const struct km_event *e;
	struct km_diag diag;

	(void)state;
	/* Type 41 is 1 of 40 cores and 1.75 of 256 GB of kind 12; the row of kind 2 comes first. */
	make_db("INSERT INTO vmType VALUES (1,41,2,0.0416666666666667,0.0182291666666667,0,0.05,0.0125),"
		" (2,41,12,0.025,0.0068359375,NULL,0.0167738328207996,0.0125),"
		" (3,44,12,0.2,0.0546875,NULL,0.089,0.1);"
		"INSERT INTO vm VALUES (7,1,41,0,-1.5,0.5), (8,1,41,0,-1.5,NULL),"
		" (9,2,44,1,0.25,0.25000000001), (10,3,41,0,0.5,1.0), (11,3,41,0,0.50000000001,40.0),"
		" (12,3,41,0,0.6,1.0);");
	assert_int_equal(km_import_azure_sqlite(&trace, path, KM_LEVEL_VMTYPE, true, 1, 0, &diag),
			 0);
	assert_int_equal(trace->event_nr, 6 + 4); /* VMs 8 and 11 outlive the 14 days */
	assert_int_equal(trace->initial_nr, 2);
	e = trace->event;
	assert_int_equal(e[0].at_us, -INT64_C(129600000000));
	assert_string_equal(vm_of(trace, &e[0]), "7");
	assert_int_equal(e[0].res[KM_RES_CPU], 1000);
	assert_int_equal(e[0].res[KM_RES_MEMORY], 1750);
	assert_int_equal(e[0].res[KM_RES_NIC], 500);
	assert_string_equal(trait_of(trace, &e[0], "shape"), "100/14");
	assert_string_equal(trait_of(trace, &e[0], "priority"), "high");
	assert_string_equal(trait_of(trace, &e[0], "size"), "2-3");
	assert_string_equal(trait_of(trace, &e[0], "spread"), "rack");
	assert_string_equal(trait_of(trace, &e[0], "vmtype"), "41");
	assert_int_equal(e[0].batch, e[1].batch);
	assert_int_not_equal(e[0].batch, KM_DICT_NONE);
	/* VM 9 ends within its microsecond: its delete comes behind its create all the same. */
	assert_string_equal(vm_of(trace, &e[2]), "9");
	assert_int_equal(e[2].batch, KM_DICT_NONE);
	assert_string_equal(trait_of(trace, &e[2], "priority"), "low");
	assert_string_equal(trait_of(trace, &e[2], "spread"), "");
	assert_int_equal(e[3].op, KM_OP_DELETE);
	assert_int_equal(e[3].vm, e[2].vm);
	/* At half a day VM 7's delete comes before the creates of that microsecond. */
	assert_int_equal(e[4].op, KM_OP_DELETE);
	assert_string_equal(vm_of(trace, &e[4]), "7");
	assert_int_equal(e[4].at_us, e[5].at_us);
	assert_int_equal(e[5].batch, e[6].batch);
	assert_int_equal(e[7].batch, KM_DICT_NONE);
	km_trace_destroy(trace);
}

static void a_limit_counts_creates_and_keeps_deletes_until_then(void **state)
{
	struct km_trace *trace;

	(void)state;
	make_db("INSERT INTO vmType VALUES (2,41,12,0.025,0.0068359375,NULL,0.01,0.0125);"
		"INSERT INTO vm VALUES (1,1,41,0,-1,0.1), (2,2,41,0,-1,0.3), (3,3,41,0,0.05,0.15),"
		" (4,4,41,0,0.2,0.25), (5,5,41,0,0.4,0.5);");
	assert_int_equal(km_import_azure_sqlite(&trace, path, KM_LEVEL_BATCH, false, 1, 2, NULL),
			 0);
	assert_int_equal(trace->initial_nr, 2);
	/* Creates 3 and 4, deletes of 1 and 3; that of 2 comes later. */
	assert_int_equal(trace->event_nr, 6);
	assert_string_equal(vm_of(trace, &trace->event[5]), "4");
	assert_null(trait_of(trace, &trace->event[5], "vmtype"));
	assert_int_equal(trace->event[5].res[KM_RES_NIC], 0);
	km_trace_destroy(trace);
}

static void malformed_databases_are_refused_with_their_reason(void **state)
{
	static const struct {
		const char *rows, *why;
	} bad[] = {
		{ "", "no VM" },
		{ "DROP TABLE vm;", "no such table: vm" },
		{ "DROP TABLE vmType; CREATE TABLE vmType (id, vmTypeId);", "no such column" },
		{ "INSERT INTO vmType VALUES (1,41,12,1.5,0.1,0,0,0);",
		  "vmType, row 1: a fraction" },
		{ "INSERT INTO vmType VALUES (1,41,12,'x',0.1,0,0,0);",
		  "vmType, row 1: a fraction" },
		{ "INSERT INTO vmType VALUES (1,-1,12,0.5,0.1,0,0,0);",
		  "vmTypeId is out of range" },
		{ "INSERT INTO vm VALUES (1,1,41,0,0,0);", "vm, row 1: its vmTypeId" },
		{ "INSERT INTO vmType VALUES (1,41,12,0.5,0.1,0,0,0);"
		  "INSERT INTO vm VALUES (1,1,41,2,0,0);",
		  "priority" },
		{ "INSERT INTO vmType VALUES (1,41,12,0.5,0.1,0,0,0);"
		  "INSERT INTO vm VALUES (-1,1,41,0,0,0);",
		  "negative" },
		{ "INSERT INTO vmType VALUES (1,41,12,0.5,0.1,0,0,0);"
		  "INSERT INTO vm VALUES (1,1,41,0,NULL,0);",
		  "starttime" },
		{ "INSERT INTO vmType VALUES (1,41,12,0.5,0.1,0,0,0);"
		  "INSERT INTO vm VALUES (1,1,41,0,1e300,0);",
		  "starttime" },
		{ "INSERT INTO vmType VALUES (1,41,12,0.5,0.1,0,0,0);"
		  "INSERT INTO vm VALUES (1,1,41,0,0,'late');",
		  "endtime" },
	};
	struct km_trace *trace = NULL;
	struct km_diag diag;
	size_t i;
	FILE *file;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		make_db(bad[i].rows);
		assert_int_equal(km_import_azure_sqlite(&trace, path, KM_LEVEL_SHAPE, false, 1, 0,
							&diag),
				 -EINVAL);
		if (!strstr(diag.reason, bad[i].why))
			fail_msg("%s: %s", bad[i].rows, diag.reason);
	}
	file = fopen(path, "w");
	fputs("this is no database, however long it may be; SQLite wants 16 bytes of magic", file);
	fclose(file);
	assert_int_equal(km_import_azure_sqlite(&trace, path, KM_LEVEL_SHAPE, false, 1, 0, &diag),
			 -EINVAL);
	assert_int_equal(km_import_azure_sqlite(&trace, "/nonexistent/x", KM_LEVEL_SHAPE, false, 1,
						0, &diag),
			 -EINVAL);
	assert_null(trace);
}

/* ---- the CSV sample -------------------------------------------------------- */

#define HEAD "vmId,tenantId,cores,ram,priority,start_s,end_s\n"

static void malformed_samples_are_refused_with_line_and_column(void **state)
{
	static const struct {
		const char *text;
		uint64_t line;
		uint32_t column;
		const char *why;
	} bad[] = {
		{ "", 1, 0, "empty" },
		{ HEAD, 0, 0, "no VM" },
		{ "vmId,tenantId,cores,ram,vmTypeId,starttime,endtime\n", 1, 25,
		  "'priority' is due" },
		{ HEAD "1,2,100,14,0,5\n", 2, 15, "6 fields" },
		{ HEAD "1,2,100,14,2,5,\n", 2, 12, "not within 0..1" },
		{ HEAD "1,2,101,14,0,5,\n", 2, 5, "no VM type has" },
		{ HEAD "1,2,100,14,0,5,1.2.3\n", 2, 16, "not a time" },
		{ HEAD "1,2,100,14,0,5,-1\n", 2, 16, "not a time" },
		{ HEAD "1,2,100,14,0,5,99999999999999999999\n", 2, 16, "not a time" },
		{ HEAD "1,2,100,14,0,5.5,\n", 2, 14, "not a whole number" },
		{ HEAD "x,2,100,14,0,5,\n", 2, 1, "not a whole number" },
	};
	struct km_trace *trace = NULL;
	struct km_diag diag;
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		FILE *file = fopen(path, "w");

		fputs(bad[i].text, file);
		fclose(file);
		assert_int_equal(km_import_azure_csv(&trace, path, KM_LEVEL_SHAPE, false, 1, 0,
						     &diag),
				 -EINVAL);
		if (diag.line != bad[i].line || diag.column != bad[i].column ||
		    !strstr(diag.reason, bad[i].why))
			fail_msg("%s: %llu:%u: %s", bad[i].text, (unsigned long long)diag.line,
				 diag.column, diag.reason);
	}
	assert_null(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_schema_becomes_the_neutral_trace),
		cmocka_unit_test(a_limit_counts_creates_and_keeps_deletes_until_then),
		cmocka_unit_test(malformed_databases_are_refused_with_their_reason),
		cmocka_unit_test(malformed_samples_are_refused_with_line_and_column),
	};

	return cmocka_run_group_tests_name("import", tests, make_folder, drop_folder);
}
