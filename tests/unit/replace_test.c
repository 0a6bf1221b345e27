/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file is replaced whole or not at all, and nothing is left beside it. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/replace.h"

static char dir[64], file[96], link_to_file[96];

static int open_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kamino-replace-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(link_to_file, sizeof(link_to_file), "%s/link", dir);
	return 0;
}

static int close_dir(void **state)
{
	(void)state;
	unlink(file);
	unlink(link_to_file);
	return rmdir(dir); /* fails when something is left beside */
}

static void print(const void *ctx, FILE *to)
{
	fputs(ctx, to);
}

static void holds(const char *path, const char *want)
{
	char text[64] = "";
	FILE *from = fopen(path, "re");

	assert_non_null(from);
	assert_true(fgets(text, sizeof(text), from) || !*want);
	assert_int_equal(fclose(from), 0);
	assert_string_equal(text, want);
}

static void a_file_is_made_and_replaced_with_its_rights(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(km_replace_print(file, print, "one"), 0);
	holds(file, "one");
	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(km_replace_print(file, print, "two"), 0);
	holds(file, "two");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void until_the_end_it_is_the_old_one(void **state)
{
	struct km_replace change;

	(void)state;
	assert_int_equal(km_replace_print(file, print, "old"), 0);
	assert_int_equal(km_replace_open(&change, file), 0);
	assert_int_equal(write(change.fd, "new", 3), 3);
	holds(file, "old");
	assert_int_equal(km_replace_settle(&change), 0);
	holds(file, "old");
	km_replace_abandon(&change);
	holds(file, "old");
	assert_int_equal(km_replace_open(&change, file), 0);
	assert_int_equal(km_replace_end(&change, -EILSEQ), -EILSEQ);
	holds(file, "old");
}

static void a_link_leads_to_the_new_file(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(km_replace_print(file, print, "old"), 0);
	assert_int_equal(symlink(file, link_to_file), 0);
	assert_int_equal(km_replace_print(link_to_file, print, "new"), 0);
	holds(file, "new");
	assert_int_equal(lstat(link_to_file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void a_device_stays_one_and_its_errors_are_told(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(km_replace_print("/dev/null", print, "x"), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	if (access("/dev/full", W_OK))
		skip();
	assert_int_equal(km_replace_print("/dev/full", print, "x"), -ENOSPC);
}

static void what_cannot_be_written_is_refused(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/none/file", dir);
	assert_int_equal(km_replace_print(path, print, "x"), -ENOENT);
	assert_int_equal(km_replace_print("", print, "x"), -ENOENT);
	assert_int_equal(km_replace_print(dir, print, "x"), -EISDIR);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_dir, close_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(a_file_is_made_and_replaced_with_its_rights),
		IN_A_FOLDER(until_the_end_it_is_the_old_one),
		IN_A_FOLDER(a_link_leads_to_the_new_file),
		IN_A_FOLDER(a_device_stays_one_and_its_errors_are_told),
		IN_A_FOLDER(what_cannot_be_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
