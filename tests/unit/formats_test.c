/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/formats_test.c - dictionary, trace and inventory: what is written
 * is read back, and what is malformed is refused with its place.
 */
#include <setjmp.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "lib/rand.h"
#include "place/dict.h"
#include "place/inventory.h"
#include "place/trace.h"
#include "tests/support/seed.h"

static char folder[] = "/tmp/km-formats-XXXXXX";
static char path[64], path_gz[64], path_2[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a.csv", folder);
	snprintf(path_gz, sizeof(path_gz), "%s/a.csv.gz", folder);
	snprintf(path_2, sizeof(path_2), "%s/b.csv", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(path);
	unlink(path_gz);
	unlink(path_2);
	return rmdir(folder);
}

static void write_file(const char *to, const void *bytes, size_t nr)
{
	FILE *file = fopen(to, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, nr, file), nr);
	assert_int_equal(fclose(file), 0);
}

static size_t read_file(const char *from, char *bytes, size_t cap)
{
	FILE *file = fopen(from, "rb");
	size_t nr;

	assert_non_null(file);
	nr = fread(bytes, 1, cap, file);
	assert_true(nr < cap);
	fclose(file);
	return nr;
}

/* ---- dictionary ------------------------------------------------------------ */

static void dict_numbers_strings_in_order_of_first_appearance(void **state)
{
	enum { NR = 20000 };
	struct km_dict *dict;
	const char *early;
	char text[32];
	uint32_t id, i;
	bool added;

	(void)state;
	assert_int_equal(km_dict_create(&dict), 0);
	assert_int_equal(km_dict_intern(dict, "", 0, &id, NULL), 0);
	assert_int_equal(id, 0);
	early = km_dict_text(dict, 0);
	for (i = 1; i < NR; i++) {
		int nr = snprintf(text, sizeof(text), "name-%u", i * 7919);

		assert_int_equal(km_dict_find(dict, text, (size_t)nr), KM_DICT_NONE);
		assert_int_equal(km_dict_intern(dict, text, (size_t)nr, &id, &added), 0);
		assert_true(added);
		assert_int_equal(id, i);
	}
	assert_int_equal(km_dict_nr(dict), NR);
	for (i = 1; i < NR; i++) {
		int nr = snprintf(text, sizeof(text), "name-%u", i * 7919);

		assert_int_equal(km_dict_intern(dict, text, (size_t)nr, &id, &added), 0);
		assert_false(added);
		assert_int_equal(id, i);
		assert_string_equal(km_dict_text(dict, id), text);
	}
	assert_ptr_equal(early, km_dict_text(dict, 0));
	km_dict_destroy(dict);
}

static void dict_tells_strings_with_common_beginnings_apart(void **state)
{
	struct km_dict *dict;
	uint32_t a, b, c;

	(void)state;
	assert_int_equal(km_dict_create(&dict), 0);
	assert_int_equal(km_dict_intern(dict, "abcd", 3, &a, NULL), 0);
	assert_int_equal(km_dict_intern(dict, "abcd", 4, &b, NULL), 0);
	assert_int_equal(km_dict_intern(dict, "ab\0d", 4, &c, NULL), 0);
	assert_int_equal(a, 0);
	assert_int_equal(b, 1);
	assert_int_equal(c, 2);
	assert_string_equal(km_dict_text(dict, a), "abc");
	km_dict_destroy(dict);
}

/* ---- traces: refusals ------------------------------------------------------ */

struct bad_case {
	const char *text;
	size_t bytes; /* 0 = strlen */
	uint64_t line;
	uint32_t column;
	const char *why;
};

#define HEAD "at_us,op,vm,tenant,batch,cpu,memory,shape\n"
#define A_ROW "1,create,v1,t,b1,1,2,s\n"

static const struct bad_case bad_traces[] = {
	{ "at_us,op,vm,t\n0,create,v\xff,x\n", 0, 2, 11, "0xff is not UTF-8" },
	{ "at_us,op,vm,t\n0,create,v,x\x80\n", 0, 2, 13, "0x80 is not UTF-8" },
	{ "", 0, 1, 0, "empty" },
	{ "\n\n", 0, 1, 0, "empty" },
	{ "op,vm\n", 0, 1, 6, "'at_us' is missing" },
	{ "at_us,vm,cpu\n", 0, 1, 13, "'op' is missing" },
	{ "at_us,op,cpu\n", 0, 1, 13, "'vm' is missing" },
	{ "at_us,op,vm,cpu,cpu\n", 0, 1, 17, "'cpu' is there twice" },
	{ "at_us,op,vm,x,y,x\n", 0, 1, 17, "'x' is there twice" },
	{ "at_us,op,,vm\n", 0, 1, 10, "no name" },
	{ "at_us,op,vm,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y\n", 0, 1, 61,
	  "more than 24 categorical" },
	{ HEAD "1,create,v1,t,b1,1,2\n", 0, 2, 21, "7 fields of 8" },
	{ HEAD "1,create,v1,t,b1,1,2,s,more\n", 0, 2, 24, "9 fields where the header names 8" },
	{ HEAD "1,delete\n", 0, 2, 9, "2 fields of 8" },
	{ HEAD "1,remove,v1,t,b1,1,2,s\n", 0, 2, 3, "neither create nor delete" },
	{ HEAD "1,,v1,t,b1,1,2,s\n", 0, 2, 3, "neither create nor delete" },
	{ HEAD "x,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not a whole number" },
	{ HEAD ",create,v1,t,b1,1,2,s\n", 0, 2, 1, "not a whole number" },
	{ HEAD "1.5,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not a whole number" },
	{ HEAD "1 ,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not a whole number" },
	{ HEAD "-,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not a whole number" },
	{ HEAD "9000000000000001,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not within" },
	{ HEAD "99999999999999999999999,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not within" },
	{ HEAD "-99999999999999999999999,create,v1,t,b1,1,2,s\n", 0, 2, 1, "not within" },
	{ HEAD "2,create,v1,t,b1,1,2,s\n1,create,v2,t,b2,1,2,s\n", 0, 3, 1, "time goes backwards" },
	{ HEAD "2,create,v1,t,,1,2,s\n1,delete,v1\n", 0, 3, 1, "time goes backwards" },
	{ HEAD "1,create,,t,b1,1,2,s\n", 0, 2, 10, "the VM has no name" },
	{ HEAD "1,delete,\n", 0, 2, 10, "the VM has no name" },
	{ HEAD "1,delete,v1,t,b1\n", 0, 2, 15, "belongs to no batch" },
	{ HEAD "1,create,v1,t,b1,1.0005,2,s\n", 0, 2, 18, "more than 3 decimals" },
	{ HEAD "1,create,v1,t,b1,1,-2,s\n", 0, 2, 20, "negative" },
	{ HEAD "1,create,v1,t,b1,1.,2,s\n", 0, 2, 18, "not a decimal" },
	{ HEAD "1,create,v1,t,b1,.5,2,s\n", 0, 2, 18, "not a decimal" },
	{ HEAD "1,create,v1,t,b1,1e3,2,s\n", 0, 2, 18, "not a decimal" },
	{ HEAD "1,create,v1,t,b1,+1,2,s\n", 0, 2, 18, "not a decimal" },
	{ HEAD "1,create,v1,t,b1,nan,2,s\n", 0, 2, 18, "not a decimal" },
	{ HEAD "1,create,v1,t,b1,2000001,2,s\n", 0, 2, 18, "more than 2000000" },
	{ HEAD "1,create,v1,t,b1,2000000.001,2,s\n", 0, 2, 18, "more than 2000000" },
	{ HEAD "1,create,v1,t,b1,99999999999999999999999999,2,s\n", 0, 2, 18, "more than 2000000" },
	{ HEAD "1,delete,v1,t,,x\n", 0, 2, 16, "not a decimal" },
	{ HEAD A_ROW "1,create,v2,t,b2,1,2,s\n1,create,v3,t,b1,1,2,s\n", 0, 4, 15, "not adjacent" },
	{ HEAD A_ROW "1,delete,v1\n1,create,v3,t,b1,1,2,s\n", 0, 4, 15, "not adjacent" },
	{ HEAD A_ROW "2,create,v2,t,b1,1,2,s\n", 0, 3, 15, "differ in time" },
	{ HEAD "1,create,\"v1,t,b1,1,2,s\n", 0, 2, 10, "no closing quote" },
	{ HEAD "1,create,\"v1\"x,t,b1,1,2,s\n", 0, 2, 14, "after a closing quote" },
	{ HEAD "1,create,v\"1,t,b1,1,2,s\n", 0, 2, 11, "a quote inside" },
	{ HEAD "1,create,v\r1,t,b1,1,2,s\n", 0, 2, 11, "carriage return" },
	{ HEAD "1,create,v\0001,t,b1,1,2,s\n", sizeof(HEAD "1,create,v\0001,t,b1,1,2,s\n") - 1, 2,
	  11, "NUL" },
	{ HEAD A_ROW "1,cre", 0, 3, 6, "2 fields of 8" },
};

static void refuse_trace(const struct bad_case *bad)
{
	size_t bytes = bad->bytes ? bad->bytes : strlen(bad->text);
	struct km_trace *trace = NULL;
	struct km_diag diag;

	write_file(path, bad->text, bytes);
	assert_int_equal(km_trace_load(&trace, path, 0, &diag), -EINVAL);
	assert_null(trace);
	if (diag.line != bad->line || diag.column != bad->column || !strstr(diag.reason, bad->why))
		fail_msg("%s\ngave %llu:%u: %s\nnot  %llu:%u: %s", bad->text,
			 (unsigned long long)diag.line, diag.column, diag.reason,
			 (unsigned long long)bad->line, bad->column, bad->why);
	assert_string_equal(diag.file, path);
}

static void malformed_traces_are_refused_with_line_column_and_reason(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad_traces); i++)
		refuse_trace(&bad_traces[i]);
}

static void overlong_lines_fields_and_headers_are_refused(void **state)
{
	static char text[70000];
	struct bad_case bad = { text, 0, 2, 65537, "longer than 65536" };
	size_t head = strlen(HEAD), i;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, HEAD, head);
	refuse_trace(&bad);

	bad = (struct bad_case){ text, 0, 2, 10, "over 255" };
	snprintf(text, sizeof(text), HEAD "1,create,%0256d,t,b,1,2,s\n", 1);
	refuse_trace(&bad);

	bad = (struct bad_case){ text, 0, 1, 129, "more than 64 fields" };
	for (i = 0; i < 65; i++)
		memcpy(text + 2 * i, "a,", 3);
	refuse_trace(&bad);
}

static void an_absent_file_is_told_with_its_errno(void **state)
{
	struct km_trace *trace = NULL;
	struct km_inventory *inv = NULL;
	struct km_diag diag;

	(void)state;
	assert_int_equal(km_trace_load(&trace, "/nonexistent/t.csv", 0, &diag), -ENOENT);
	assert_string_equal(diag.file, "/nonexistent/t.csv");
	assert_int_equal(km_inventory_load(&inv, "/nonexistent/i.csv", NULL), -ENOENT);
	assert_int_equal(km_trace_load(&trace, folder, 0, &diag), -EIO);
}

/* ---- traces: acceptance ---------------------------------------------------- */

static void a_small_trace_is_read_as_documented(void **state)
{
	static const char text[] = "\xef\xbb\xbfvm,op,at_us,\"memory\",color,cpu\r\n"
				   "v1,create,-5,0.25,red,2\r\n"
				   "\r\n"
				   "\"v,\"\"2\"\"\",create,0,,\"\",1.5\r\n"
				   "v1,delete,0\r\n"
				   "v3,create,7,2000000,red,0.001";
	struct km_trace *trace;
	const struct km_event *e;
	struct km_diag diag;

	(void)state;
	write_file(path, text, sizeof(text) - 1);
	assert_int_equal(km_trace_load(&trace, path, 0, &diag), 0);
	assert_int_equal(trace->event_nr, 4);
	assert_int_equal(trace->initial_nr, 1);
	assert_int_equal(trace->schema.trait_nr, 1);
	assert_int_equal(km_trace_trait(&trace->schema, "color"), 0);
	assert_int_equal(km_trace_trait(&trace->schema, "cpu"), KM_DICT_NONE);
	e = trace->event;
	assert_int_equal(e[0].at_us, -5);
	assert_int_equal(e[0].res[KM_RES_CPU], 2000);
	assert_int_equal(e[0].res[KM_RES_MEMORY], 250);
	assert_int_equal(e[0].trait[0], 1);
	assert_int_equal(e[0].tenant, KM_DICT_NONE);
	assert_int_equal(e[0].batch, KM_DICT_NONE);
	assert_string_equal(km_dict_text(trace->schema.vms, e[1].vm), "v,\"2\"");
	assert_int_equal(e[1].res[KM_RES_CPU], 1500);
	assert_int_equal(e[1].trait[0], 0);
	assert_int_equal(e[2].op, KM_OP_DELETE);
	assert_int_equal(e[2].vm, e[0].vm);
	assert_int_equal(e[3].res[KM_RES_CPU], 1);
	assert_int_equal(e[3].res[KM_RES_MEMORY], KM_RES_MAX);
	km_trace_destroy(trace);
}

/* What the simulator reads is as long as it likes: names are not kept, all else is the same. */
static void a_reader_that_forgets_names_reads_the_same_rows(void **state)
{
	static const char text[] = HEAD "1,create,v1,t1,a,1,2,s\n1,create,v2,t1,a,1,2,s\n"
					"1,create,v3,t1,b,1,2,r\n2,create,v4,,,1,2,r\n"
					"3,create,v5,t2,a,1,2,s\n4,delete,v4\n";
	const struct km_trace_schema *schema;
	struct km_trace_reader *all, *some;
	struct km_event x, y, last = { .batch = KM_DICT_NONE };
	uint32_t nr = 0;

	(void)state;
	write_file(path, text, sizeof(text) - 1);
	/* The last batch but the first has its name, which only who keeps names refuses. */
	assert_int_equal(km_trace_open(&all, path, NULL), 0);
	assert_int_equal(km_trace_open(&some, path, NULL), 0);
	km_trace_forget_names(some);
	for (; km_trace_next(some, &y, NULL) == 1; last = y, nr++) {
		const bool same = km_trace_next(all, &x, NULL) == 1;

		assert_int_equal(same, nr != 4);
		if (!same)
			continue;
		assert_int_equal(x.at_us, y.at_us);
		assert_int_equal(x.op, y.op);
		assert_memory_equal(x.res, y.res, sizeof(x.res));
		assert_int_equal(x.trait[0], y.trait[0]);
		assert_int_equal(x.batch == KM_DICT_NONE, y.batch == KM_DICT_NONE);
		if (y.batch != KM_DICT_NONE)
			assert_int_equal(y.batch == last.batch, nr == 1);
	}
	assert_int_equal(nr, 6);
	schema = km_trace_reader_schema(some);
	assert_int_equal(km_dict_nr(schema->vms) + km_dict_nr(schema->tenants) +
				 km_dict_nr(schema->batches),
			 0);
	km_trace_close(some);
	km_trace_close(all);
}

static void a_limit_stops_behind_the_batch_that_reaches_it(void **state)
{
	static const char text[] = HEAD "-1,create,v0,t,,1,2,s\n"
					"1,create,v1,t,,1,2,s\n"
					"2,create,v2,t,b1,1,2,s\n"
					"2,create,v3,t,b1,1,2,s\n"
					"2,create,v4,t,b1,1,2,s\n"
					"3,delete,v1\n"
					"4,this is not read\n";
	static const struct {
		uint64_t max, got;
	} cut[] = { { 1, 2 }, { 2, 5 }, { 3, 5 }, { 4, 5 }, { 5, 6 } };
	struct km_trace *trace;
	size_t i;

	(void)state;
	write_file(path, text, sizeof(text) - 1);
	for (i = 0; i < KM_ARRAY_NR(cut); i++) {
		int err = km_trace_load(&trace, path, cut[i].max, NULL);

		/* The row behind the limit is looked at, to know whether the batch goes on. */
		if (cut[i].max == 5) {
			assert_int_equal(err, -EINVAL);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(trace->event_nr, cut[i].got);
		km_trace_destroy(trace);
	}
}

static void a_batch_has_so_many_vms_and_no_more(void **state)
{
	static char text[KM_TRACE_BATCH_MAX * 24 + 64];
	struct km_trace *trace = NULL;
	struct km_diag diag;
	size_t at, last = 0;
	int i;

	(void)state;
	at = (size_t)snprintf(text, sizeof(text), "at_us,op,vm,batch\n");
	for (i = 0; i <= KM_TRACE_BATCH_MAX; i++) {
		last = at;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "0,create,v%d,b\n", i);
	}
	write_file(path, text, last);
	assert_int_equal(km_trace_load(&trace, path, 0, &diag), 0);
	assert_int_equal(trace->event_nr, KM_TRACE_BATCH_MAX);
	km_trace_destroy(trace);
	trace = NULL;
	write_file(path, text, at);
	assert_int_equal(km_trace_load(&trace, path, 0, &diag), -EINVAL);
	assert_null(trace);
	assert_int_equal(diag.line, KM_TRACE_BATCH_MAX + 2);
	assert_non_null(strstr(diag.reason, "more than 4096 VMs in batch 'b'"));
}

static void damaged_gzip_streams_are_refused(void **state)
{
	static char bytes[1 << 16];
	struct km_trace *trace = NULL;
	struct km_diag diag;
	size_t nr, cut;
	gzFile gz;
	int i, err;

	(void)state;
	gz = gzopen(path_gz, "wb");
	assert_non_null(gz);
	gzprintf(gz, "at_us,op,vm,x\n");
	for (i = 0; i < 2000; i++)
		gzprintf(gz, "%d,create,v%d,%d\n", i, i, i * 7919 % 1000);
	assert_int_equal(gzclose(gz), Z_OK);
	nr = read_file(path_gz, bytes, sizeof(bytes));
	assert_int_equal(km_trace_load(&trace, path_gz, 0, &diag), 0);
	assert_int_equal(trace->event_nr, 2000);
	km_trace_destroy(trace);
	trace = NULL;

	/* Cut short anywhere: never a shorter trace. */
	for (cut = 2; cut < nr; cut += nr / 50) {
		write_file(path_gz, bytes, cut);
		err = km_trace_load(&trace, path_gz, 0, &diag);
		assert_true(err == -EIO || err == -EINVAL);
		assert_null(trace);
	}
	/* A flipped bit in the middle or in the check sum. */
	bytes[nr - 6] ^= 1;
	write_file(path_gz, bytes, nr);
	assert_int_equal(km_trace_load(&trace, path_gz, 0, &diag), -EIO);
	assert_non_null(strstr(diag.reason, "cannot read on"));
	assert_true(diag.line > 0);
}

static size_t gzip_of(const char *text, char *bytes, size_t cap)
{
	gzFile gz = gzopen(path_gz, "wb");

	assert_non_null(gz);
	assert_int_equal(gzwrite(gz, text, (unsigned int)strlen(text)), strlen(text));
	assert_int_equal(gzclose(gz), Z_OK);
	return read_file(path_gz, bytes, cap);
}

static void what_is_behind_a_gzip_member_is_another_or_refused(void **state)
{
	char bytes[1024], second[256];
	size_t nr = gzip_of("at_us,op,vm\n0,create,v1\n", bytes, sizeof(bytes));
	size_t more = gzip_of("1,create,v2\n", second, sizeof(second));
	struct km_trace *trace = NULL;
	struct km_diag diag;
	size_t i;

	(void)state;
	memcpy(bytes + nr, second, more);
	write_file(path_gz, bytes, nr + more);
	assert_int_equal(km_trace_load(&trace, path_gz, 0, &diag), 0);
	assert_int_equal(trace->event_nr, 2);
	km_trace_destroy(trace);
	trace = NULL;
	/* Damage to any byte that is not a time stamp, flag or name of the system (4 to 9). */
	for (i = 0; i < more; i++) {
		if (i >= 4 && i <= 9)
			continue;
		bytes[nr + i] ^= 0x21; /* the last bits of the data may be padding */
		write_file(path_gz, bytes, nr + more);
		if (km_trace_load(&trace, path_gz, 0, &diag) != -EIO)
			fail_msg("damage at byte %zu of the second member was not seen", i);
		assert_string_equal(diag.file, path_gz);
		assert_non_null(strstr(diag.reason, "cannot read on"));
		bytes[nr + i] ^= 0x21;
	}
	for (i = 1; i < more; i++) {
		write_file(path_gz, bytes, nr + i);
		assert_int_equal(km_trace_load(&trace, path_gz, 0, &diag), -EIO);
	}
	memcpy(bytes + nr, "xxtrailing", 10);
	write_file(path_gz, bytes, nr + 10);
	assert_int_equal(km_trace_load(&trace, path_gz, 0, &diag), -EIO);
	assert_int_equal(km_trace_load(&trace, folder, 0, &diag), -EIO);
	assert_non_null(strstr(diag.reason, "Is a directory"));
	assert_int_equal(km_trace_load(&trace, "", 0, &diag), -ENOENT);
	assert_non_null(strstr(diag.reason, "is empty"));
	assert_null(trace);
}

/* ---- round trips ----------------------------------------------------------- */

static const char *const odd_texts[] = {
	"plain",    "with,comma", "with\"quote", "\"",	"\"\"",
	" spaces ", "a|b",	  "caf\xc3\xa9", ";#=", ",",
};

static uint32_t intern_odd(struct km_dict *dict, struct km_rand *rand, const char *prefix)
{
	char text[64];
	uint32_t id;

	snprintf(text, sizeof(text), "%s%s%u", prefix,
		 odd_texts[km_rand_below(rand, KM_ARRAY_NR(odd_texts))],
		 (uint32_t)km_rand_below(rand, 20));
	assert_int_equal(km_dict_intern(dict, text, strlen(text), &id, NULL), 0);
	return id;
}

static struct km_trace *random_trace(struct km_rand *rand)
{
	static const char *const names[] = { "a,b", "c\"d", "e" };
	struct km_trace *trace;
	int64_t at = -500;
	int i, t;

	assert_int_equal(km_trace_create(&trace, 3, names), 0);
	for (i = 0; i < 1000; i++) {
		struct km_event event = { .tenant = KM_DICT_NONE, .batch = KM_DICT_NONE };

		at += (int64_t)km_rand_below(rand, 3);
		event.at_us = at;
		event.vm = intern_odd(trace->schema.vms, rand, "v");
		event.op = km_rand_below(rand, 3) ? KM_OP_CREATE : KM_OP_DELETE;
		if (km_rand_below(rand, 2))
			event.tenant = intern_odd(trace->schema.tenants, rand, "");
		for (t = 0; event.op == KM_OP_CREATE && t < 3; t++)
			if (km_rand_below(rand, 2))
				event.trait[t] = 1 + intern_odd(trace->schema.values[t], rand, "");
		for (t = 0; event.op == KM_OP_CREATE && t < KM_RES_NR; t++)
			event.res[t] =
				(int32_t)km_rand_below(rand, t == KM_RES_GPU ? 1 : KM_RES_MAX + 1);
		assert_int_equal(km_trace_append(trace, &event), 0);
	}
	return trace;
}

static void same_text(const struct km_dict *a, uint32_t a_id, const struct km_dict *b,
		      uint32_t b_id)
{
	assert_int_equal(a_id == KM_DICT_NONE, b_id == KM_DICT_NONE);
	if (a_id != KM_DICT_NONE)
		assert_string_equal(km_dict_text(a, a_id), km_dict_text(b, b_id));
}

static void same_trace(const struct km_trace *a, const struct km_trace *b)
{
	uint64_t i;
	uint32_t t;

	assert_int_equal(a->event_nr, b->event_nr);
	assert_int_equal(a->initial_nr, b->initial_nr);
	assert_int_equal(a->schema.trait_nr, b->schema.trait_nr);
	for (t = 0; t < a->schema.trait_nr; t++)
		assert_string_equal(a->schema.trait_name[t], b->schema.trait_name[t]);
	for (i = 0; i < a->event_nr; i++) {
		const struct km_event *x = &a->event[i], *y = &b->event[i];

		assert_int_equal(x->at_us, y->at_us);
		assert_int_equal(x->op, y->op);
		assert_memory_equal(x->res, y->res, sizeof(x->res));
		same_text(a->schema.vms, x->vm, b->schema.vms, y->vm);
		same_text(a->schema.tenants, x->tenant, b->schema.tenants, y->tenant);
		same_text(a->schema.batches, x->batch, b->schema.batches, y->batch);
		for (t = 0; t < a->schema.trait_nr; t++)
			same_text(a->schema.values[t], x->trait[t] - 1, b->schema.values[t],
				  y->trait[t] - 1);
	}
}

static void a_saved_trace_loads_as_the_same_plain_and_gzip(void **state)
{
	struct km_trace *trace, *again;
	struct km_rand rand;
	struct km_diag diag;
	int round;

	(void)state;
	km_rand_init(&rand, km_test_seed(1));
	for (round = 0; round < 4; round++) {
		const char *to = round & 1 ? path_gz : path;

		trace = random_trace(&rand);
		assert_int_equal(km_trace_save(trace, to, &diag), 0);
		if (km_trace_load(&again, to, 0, &diag))
			fail_msg("%llu:%u: %s", (unsigned long long)diag.line, diag.column,
				 diag.reason);
		same_trace(trace, again);
		km_trace_destroy(trace);
		km_trace_destroy(again);
	}
}

static void saving_refuses_names_with_line_breaks_and_leaves_no_file(void **state)
{
	struct km_event event = { .tenant = KM_DICT_NONE, .batch = KM_DICT_NONE };
	struct km_trace *trace;
	struct km_diag diag;

	(void)state;
	unlink(path);
	assert_int_equal(km_trace_create(&trace, 0, NULL), 0);
	assert_int_equal(km_dict_intern(trace->schema.vms, "a\nb", 3, &event.vm, NULL), 0);
	assert_int_equal(km_trace_append(trace, &event), 0);
	event.at_us = -1;
	assert_int_equal(km_trace_append(trace, &event), -EINVAL);
	assert_int_equal(km_trace_save(trace, path, &diag), -EILSEQ);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(km_trace_save(trace, "/nonexistent/x.csv", &diag), -ENOENT);
	km_trace_destroy(trace);
}

static int files_in_folder(void)
{
	DIR *dir = opendir(folder);
	int nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2; /* . and .. */
}

static void a_failed_save_leaves_the_file_that_was_there(void **state)
{
	static const char old[] = "what was there";
	struct km_event event = { .tenant = KM_DICT_NONE, .batch = KM_DICT_NONE };
	struct km_trace *trace;
	struct km_diag diag;
	char bytes[64];
	int before;

	(void)state;
	write_file(path, old, sizeof(old));
	assert_int_equal(chmod(path, 0640), 0);
	before = files_in_folder();
	assert_int_equal(km_trace_create(&trace, 0, NULL), 0);
	assert_int_equal(km_dict_intern(trace->schema.vms, "a\nb", 3, &event.vm, NULL), 0);
	assert_int_equal(km_trace_append(trace, &event), 0);
	assert_int_equal(km_trace_save(trace, path, &diag), -EILSEQ);
	assert_string_equal(diag.file, path);
	assert_int_equal(read_file(path, bytes, sizeof(bytes)), sizeof(old));
	assert_memory_equal(bytes, old, sizeof(old));
	assert_int_equal(files_in_folder(), before);
	assert_int_equal(km_trace_save(trace, folder, &diag), -EISDIR);
	assert_int_equal(km_trace_save(trace, "", &diag), -ENOENT);
	assert_non_null(strstr(diag.reason, "is empty"));
	km_trace_destroy(trace);
}

static void a_save_replaces_a_file_with_its_rights_and_behind_its_link(void **state)
{
	struct km_trace *trace;
	struct km_diag diag;
	struct stat st;

	(void)state;
	write_file(path, "old", 3);
	assert_int_equal(chmod(path, 0640), 0);
	unlink(path_2);
	assert_int_equal(symlink(path, path_2), 0);
	assert_int_equal(km_trace_create(&trace, 0, NULL), 0);
	assert_int_equal(km_trace_save(trace, path_2, &diag), 0);
	assert_int_equal(lstat(path_2, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(st.st_size, strlen("at_us,op,vm\n"));
	unlink(path_2);
	km_trace_destroy(trace);
}

static void a_full_disk_is_told(void **state)
{
	struct km_event event = { .tenant = KM_DICT_NONE, .batch = KM_DICT_NONE };
	struct km_trace *trace;
	struct km_diag diag;

	(void)state;
	if (access("/dev/full", W_OK)) {
		print_message("no /dev/full\n");
		skip();
	}
	assert_int_equal(km_trace_create(&trace, 0, NULL), 0);
	assert_int_equal(km_dict_intern(trace->schema.vms, "v", 1, &event.vm, NULL), 0);
	assert_int_equal(km_trace_append(trace, &event), 0);
	assert_int_equal(km_trace_save(trace, "/dev/full", &diag), -ENOSPC);
	assert_int_equal(access("/dev/full", W_OK), 0);
	km_trace_destroy(trace);
}

/* ---- inventory ------------------------------------------------------------- */

#define INV_HEAD "server,cluster,rack,cpu,memory,kind,health\n"

static const struct bad_case bad_inventories[] = {
	{ "", 0, 1, 0, "empty" },
	{ "cluster,cpu\n", 0, 1, 12, "'server' is missing" },
	{ "server,kind,kind\n", 0, 1, 13, "twice" },
	{ INV_HEAD, 0, 2, 1, "no server" },
	{ INV_HEAD "s1,c,r,1,2,k,ok\ns1,c,r,1,2,k,ok\n", 0, 3, 1, "'s1' is there twice" },
	{ INV_HEAD ",c,r,1,2,k,ok\n", 0, 2, 1, "no name" },
	{ INV_HEAD "s1,c,r,1,2,k\n", 0, 2, 13, "6 fields where the header names 7" },
	{ INV_HEAD "s1,c,r,1,2,k,ok,x\n", 0, 2, 17, "8 fields where the header names 7" },
	{ INV_HEAD "s1,c,r,-1,2,k,ok\n", 0, 2, 8, "negative" },
	{ INV_HEAD "s1,c,r,1,2.0000,k,ok\n", 0, 2, 10, "more than 3 decimals" },
	{ "server,k\xffz\n", 0, 1, 9, "0xff is not UTF-8" },
	{ INV_HEAD "s1,c,r\xc0\xaf,1,2,k,ok\n", 0, 2, 7, "0xc0 is not UTF-8" },
	{ INV_HEAD "s1,c,r,1,2,k\xed\xa0\x80,ok\n", 0, 2, 13, "0xed is not UTF-8" },
	{ INV_HEAD "s1\xe2\x82,c,r,1,2,k,ok\n", 0, 2, 3, "0xe2 is not UTF-8" },
	{ "server,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n", 0, 1, 40, "more than 16 label" },
};

static void malformed_inventories_are_refused_with_line_column_and_reason(void **state)
{
	struct km_inventory *inv = NULL;
	struct km_diag diag;
	size_t i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad_inventories); i++) {
		const struct bad_case *bad = &bad_inventories[i];

		write_file(path, bad->text, strlen(bad->text));
		assert_int_equal(km_inventory_load(&inv, path, &diag), -EINVAL);
		assert_null(inv);
		if (diag.line != bad->line || diag.column != bad->column ||
		    !strstr(diag.reason, bad->why))
			fail_msg("%s\ngave %llu:%u: %s", bad->text, (unsigned long long)diag.line,
				 diag.column, diag.reason);
	}
}

static void racks_are_told_apart_by_cluster_and_health_is_read(void **state)
{
	static const char text[] = INV_HEAD "a,c1,r1,40,256,12|21,ok\n"
					    "b,c1,r2,40,256,12,down\n"
					    "c,c2,r1,40.125,256,,\n"
					    "d,c1,r1,0,0,12|21,draining\n";
	struct km_inventory *inv;
	struct km_diag diag;
	uint32_t kind;

	(void)state;
	write_file(path, text, sizeof(text) - 1);
	assert_int_equal(km_inventory_load(&inv, path, &diag), 0);
	assert_int_equal(inv->server_nr, 4);
	assert_int_equal(inv->rack[0], inv->rack[3]);
	assert_int_not_equal(inv->rack[0], inv->rack[2]);
	assert_int_not_equal(inv->rack[0], inv->rack[1]);
	assert_int_equal(inv->cluster[0], inv->cluster[1]);
	assert_int_equal(inv->total[KM_RES_CPU][2], 40125);
	assert_int_equal(inv->total[KM_RES_GPU][2], 0);
	assert_int_equal(inv->healthy[0] + 2 * inv->healthy[1] + 4 * inv->healthy[2] +
				 8 * inv->healthy[3],
			 1 + 4);
	kind = km_inventory_label(inv, "kind");
	assert_true(km_inventory_set_has(inv, kind, inv->label[kind][0], "21"));
	assert_true(km_inventory_set_has(inv, kind, inv->label[kind][0], "12"));
	assert_false(km_inventory_set_has(inv, kind, inv->label[kind][0], "1"));
	assert_false(km_inventory_set_has(inv, kind, inv->label[kind][0], "12|21"));
	assert_false(km_inventory_set_has(inv, kind, inv->label[kind][1], "21"));
	assert_int_equal(inv->label[kind][2], 0);
	assert_false(km_inventory_set_has(inv, kind, 0, "12"));
	assert_false(km_inventory_set_has(inv, kind, 0, ""));
	km_inventory_destroy(inv);
}

static void same_inventory(const struct km_inventory *a, const struct km_inventory *b)
{
	uint32_t s, i;

	assert_int_equal(a->server_nr, b->server_nr);
	assert_int_equal(a->label_nr, b->label_nr);
	assert_memory_equal(a->healthy, b->healthy, a->server_nr);
	assert_memory_equal(a->cluster, b->cluster, a->server_nr * sizeof(*a->cluster));
	assert_memory_equal(a->rack, b->rack, a->server_nr * sizeof(*a->rack));
	for (i = 0; i < KM_RES_NR; i++)
		assert_memory_equal(a->total[i], b->total[i], a->server_nr * sizeof(*a->total[i]));
	for (i = 0; i < a->label_nr; i++) {
		assert_string_equal(a->label_name[i], b->label_name[i]);
		for (s = 0; s < a->server_nr; s++)
			assert_string_equal(km_dict_text(a->sets[i], a->label[i][s]),
					    km_dict_text(b->sets[i], b->label[i][s]));
	}
}

static void a_saved_inventory_loads_as_the_same(void **state)
{
	static const char text[] = INV_HEAD "a,c1,r1,40,256,12|21,ok\n"
					    "b,c1,r2,40.5,256,\"1,2\",down\n"
					    "c,c2,r1,40.125,256,,\n";
	struct km_inventory *inv, *again;

	(void)state;
	write_file(path, text, sizeof(text) - 1);
	assert_int_equal(km_inventory_load(&inv, path, NULL), 0);
	assert_int_equal(km_inventory_save(inv, path_2, NULL), 0);
	assert_int_equal(km_inventory_load(&again, path_2, NULL), 0);
	same_inventory(inv, again);
	km_inventory_destroy(inv);
	km_inventory_destroy(again);
}

static void an_inventory_without_names_is_saved_with_numbers(void **state)
{
	struct km_inventory *inv, *again;
	uint32_t label, i;

	(void)state;
	assert_int_equal(km_inventory_create(&inv, 3000), 0);
	assert_int_equal(km_inventory_add_label(inv, "kind", &label), 0);
	assert_int_equal(km_inventory_add_label(inv, "kind", &label), -EEXIST);
	for (i = 0; i < 3000; i++)
		inv->total[KM_RES_CPU][i] = (int32_t)(i * 1001);
	inv->healthy[17] = 0;
	assert_int_equal(km_inventory_save(inv, path_gz, NULL), 0);
	assert_int_equal(km_inventory_load(&again, path_gz, NULL), 0);
	assert_int_equal(again->server_nr, 3000);
	assert_string_equal(km_dict_text(again->servers, 2999), "s2999");
	assert_memory_equal(inv->healthy, again->healthy, 3000);
	assert_memory_equal(inv->total[KM_RES_CPU], again->total[KM_RES_CPU], 12000);
	km_inventory_destroy(inv);
	km_inventory_destroy(again);
	assert_int_equal(km_inventory_create(&inv, 0), -EINVAL);
	assert_int_equal(km_inventory_create(&inv, KM_SERVERS_MAX + 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dict_numbers_strings_in_order_of_first_appearance),
		cmocka_unit_test(dict_tells_strings_with_common_beginnings_apart),
		cmocka_unit_test(malformed_traces_are_refused_with_line_column_and_reason),
		cmocka_unit_test(overlong_lines_fields_and_headers_are_refused),
		cmocka_unit_test(an_absent_file_is_told_with_its_errno),
		cmocka_unit_test(a_small_trace_is_read_as_documented),
		cmocka_unit_test(a_reader_that_forgets_names_reads_the_same_rows),
		cmocka_unit_test(a_limit_stops_behind_the_batch_that_reaches_it),
		cmocka_unit_test(a_batch_has_so_many_vms_and_no_more),
		cmocka_unit_test(damaged_gzip_streams_are_refused),
		cmocka_unit_test(what_is_behind_a_gzip_member_is_another_or_refused),
		cmocka_unit_test(a_saved_trace_loads_as_the_same_plain_and_gzip),
		cmocka_unit_test(saving_refuses_names_with_line_breaks_and_leaves_no_file),
		cmocka_unit_test(a_failed_save_leaves_the_file_that_was_there),
		cmocka_unit_test(a_save_replaces_a_file_with_its_rights_and_behind_its_link),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(malformed_inventories_are_refused_with_line_column_and_reason),
		cmocka_unit_test(racks_are_told_apart_by_cluster_and_health_is_read),
		cmocka_unit_test(a_saved_inventory_loads_as_the_same),
		cmocka_unit_test(an_inventory_without_names_is_saved_with_numbers),
	};

	return cmocka_run_group_tests_name("formats", tests, make_folder, drop_folder);
}
