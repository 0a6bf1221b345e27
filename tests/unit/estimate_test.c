/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/estimate_test.c - means and their fallbacks, ids that change their
 * meaning, and the file: round trip, what is refused and why, disks that fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/estimate.h"
#include "lib/rand.h"
#include "tests/fail_alloc.h"
#include "tests/support/seed.h"

enum { DISK, GPU, RACK, RULE_NR };
static const struct km_rule_desc rules[] = { { "disk", 1 }, { "gpu", 2 }, { "same rack, 1", 4 } };

#define TYPE_CAP 8

static struct km_estimator *create(void)
{
	struct km_estimator *est;

	assert_int_equal(km_estimator_create(&est, TYPE_CAP, RULE_NR, rules), 0);
	return est;
}

static void add(struct km_estimator *est, enum km_sample_kind kind, uint32_t id, uint64_t ns)
{
	km_estimator_add(est, km_sample_pack(kind, id, ns));
}

static struct km_estimates *table(const struct km_estimator *est)
{
	struct km_estimates *t = km_estimator_table(est);

	assert_non_null(t);
	assert_int_equal(t->type_cap, TYPE_CAP);
	assert_int_equal(t->rule_nr, RULE_NR);
	return t;
}

static uint64_t type_hit(const struct km_estimator *est, uint32_t id)
{
	struct km_estimates *t = table(est);
	uint64_t ns = t->type_hit_ns[id];

	km_estimates_free(&t->head);
	return ns;
}

/* Whether both predict the same of everything. */
static void assert_same(const struct km_estimator *a, const struct km_estimator *b)
{
	struct km_estimates *x = table(a), *y = table(b);

	assert_memory_equal(x->type_hit_ns, y->type_hit_ns, TYPE_CAP * sizeof(uint64_t));
	assert_memory_equal(x->rule_hit_ns, y->rule_hit_ns, sizeof(x->rule_hit_ns));
	assert_memory_equal(x->rule_miss_ns, y->rule_miss_ns, sizeof(x->rule_miss_ns));
	assert_int_equal(x->build_ns, y->build_ns);
	assert_int_equal(x->hit_all_ns, y->hit_all_ns);
	assert_int_equal(x->miss_all_ns, y->miss_all_ns);
	km_estimates_free(&x->head);
	km_estimates_free(&y->head);
}

/* ---- means --------------------------------------------------------------------- */

static void a_sample_survives_packing(void **state)
{
	uint64_t s = km_sample_pack(KM_SAMPLE_BUILD, 0x3fffff, KM_EST_NS_MAX);

	(void)state;
	assert_int_equal(km_sample_kind(s), KM_SAMPLE_BUILD);
	assert_int_equal(km_sample_id(s), 0x3fffff);
	assert_true(km_sample_ns(s) == KM_EST_NS_MAX);
	s = km_sample_pack(KM_SAMPLE_TYPE_HIT, 0, 0);
	assert_true(s != 0); /* 0 is no ring handle */
	assert_int_equal(km_sample_ns(s), 1);
	assert_true(km_sample_ns(km_sample_pack(KM_SAMPLE_RULE_HIT, 1, UINT64_MAX)) ==
		    KM_EST_NS_MAX);
}

static void without_samples_a_miss_costs_more_than_a_hit(void **state)
{
	struct km_estimator *est = create();
	struct km_estimates *t = table(est);
	uint32_t i;

	(void)state;
	for (i = 0; i < RULE_NR; i++)
		assert_true(t->rule_hit_ns[i] < t->rule_miss_ns[i]);
	for (i = 0; i < TYPE_CAP; i++)
		assert_true(t->type_hit_ns[i] < t->hit_all_ns);
	assert_true(t->hit_all_ns < t->miss_all_ns);
	km_estimates_free(&t->head);
	km_estimator_destroy(est);
}

static void means_are_of_their_own_samples(void **state)
{
	struct km_estimator *est = create();
	struct km_estimates *t;

	(void)state;
	add(est, KM_SAMPLE_TYPE_HIT, 1, 10);
	add(est, KM_SAMPLE_TYPE_HIT, 1, 20);
	add(est, KM_SAMPLE_TYPE_HIT, 1, 30);
	add(est, KM_SAMPLE_TYPE_HIT, 2, 100);
	add(est, KM_SAMPLE_RULE_HIT, DISK, 5);
	add(est, KM_SAMPLE_RULE_MISS, DISK, 50);
	add(est, KM_SAMPLE_RULE_HIT, GPU, 7);
	add(est, KM_SAMPLE_RULE_MISS, GPU, 70);
	add(est, KM_SAMPLE_RULE_HIT, RACK, 9);
	add(est, KM_SAMPLE_RULE_MISS, RACK, 90);
	add(est, KM_SAMPLE_BUILD, 0, 1000);
	t = table(est);
	assert_int_equal(t->type_hit_ns[1], 20);
	assert_int_equal(t->type_hit_ns[2], 100);
	assert_int_equal(t->rule_hit_ns[DISK], 5);
	assert_int_equal(t->rule_miss_ns[GPU], 70);
	assert_int_equal(t->build_ns, 1000);
	assert_int_equal(t->hit_all_ns, 1000 + 5 + 7 + 9);
	assert_int_equal(t->miss_all_ns, 1000 + 50 + 70 + 90);
	km_estimates_free(&t->head);
	km_estimator_destroy(est);
}

static void what_has_no_samples_takes_the_mean_of_its_like(void **state)
{
	struct km_estimator *est = create();
	struct km_estimates *t;

	(void)state;
	add(est, KM_SAMPLE_TYPE_HIT, 1, 10);
	add(est, KM_SAMPLE_TYPE_HIT, 2, 20);
	add(est, KM_SAMPLE_RULE_HIT, DISK, 6);
	add(est, KM_SAMPLE_RULE_HIT, GPU, 8);
	add(est, KM_SAMPLE_RULE_MISS, GPU, 60);
	t = table(est);
	assert_int_equal(t->type_hit_ns[0], 15); /* of all hits */
	assert_int_equal(t->rule_hit_ns[RACK], 7); /* of the rules that have some */
	assert_int_equal(t->rule_miss_ns[RACK], 60);
	assert_int_equal(t->rule_miss_ns[DISK], 60);
	km_estimates_free(&t->head);
	km_estimator_destroy(est);
}

static void a_mean_follows_a_change(void **state)
{
	struct km_estimator *est = create();
	uint32_t i;

	(void)state;
	for (i = 0; i < 10000; i++)
		add(est, KM_SAMPLE_TYPE_HIT, 0, 100000);
	assert_int_equal(type_hit(est, 0), 100000);
	for (i = 0; i < 1000; i++)
		add(est, KM_SAMPLE_TYPE_HIT, 0, 200000);
	assert_in_range(type_hit(est, 0), 199900, 200000);
	for (i = 0; i < 1000; i++)
		add(est, KM_SAMPLE_TYPE_HIT, 0, 1000);
	assert_in_range(type_hit(est, 0), 1000, 1100);
	km_estimator_destroy(est);
}

static void ids_out_of_bounds_are_ignored(void **state)
{
	struct km_estimator *est = create(), *fresh = create();

	(void)state;
	add(est, KM_SAMPLE_TYPE_HIT, TYPE_CAP, 1);
	add(est, KM_SAMPLE_TYPE_HIT, 0x3fffff, 1);
	add(est, KM_SAMPLE_RULE_HIT, RULE_NR, 1);
	add(est, KM_SAMPLE_RULE_MISS, KM_RULES_MAX, 1);
	km_estimator_name(est, TYPE_CAP, 7);
	assert_same(est, fresh);
	km_estimator_destroy(est);
	km_estimator_destroy(fresh);
}

static void a_recycled_id_starts_anew(void **state)
{
	struct km_estimator *est = create();

	(void)state;
	km_estimator_name(est, 3, 0xaaaa);
	add(est, KM_SAMPLE_TYPE_HIT, 3, 1000);
	km_estimator_name(est, 3, 0xaaaa); /* still the same */
	assert_int_equal(type_hit(est, 3), 1000);
	add(est, KM_SAMPLE_TYPE_HIT, 4, 3000);
	km_estimator_name(est, 3, 0xbbbb);
	assert_int_equal(type_hit(est, 3), 2000); /* the mean of all hits */
	km_estimator_destroy(est);
}

static void assert_refreshed(struct km_estimator *est, struct km_estimates *kept, uint32_t met)
{
	struct km_estimates *fresh = table(est);
	uint32_t id;

	km_estimator_refresh(est, kept);
	for (id = 0; id < TYPE_CAP; id++)
		if (met >> id & 1)
			assert_int_equal(kept->type_hit_ns[id], fresh->type_hit_ns[id]);
	kept->type_hit_ns = fresh->type_hit_ns; /* compared, so that the rest is too */
	kept->head = fresh->head;
	assert_memory_equal(kept, fresh, sizeof(*fresh));
	kept->type_hit_ns = (uint64_t *)(kept + 1);
	km_estimates_free(&fresh->head);
}

static void a_refreshed_table_is_as_a_new_one(void **state)
{
	struct km_estimator *est = create();
	struct km_estimates *kept = table(est);
	uint32_t met = 0, i, id;
	struct km_rand rand;

	(void)state;
	km_rand_init(&rand, km_test_seed(20));
	for (i = 0; i < 3000; i++) {
		id = (uint32_t)km_rand_below(&rand, TYPE_CAP);
		switch (km_rand_below(&rand, 6)) {
		case 0:
			add(est, KM_SAMPLE_RULE_HIT, id % RULE_NR, km_rand_below(&rand, 1000));
			break;
		case 1:
			add(est, KM_SAMPLE_BUILD, 0, km_rand_below(&rand, 1000));
			break;
		case 2:
			km_estimator_name(est, id, 1 + km_rand_below(&rand, 3));
			met |= 1u << id;
			break;
		case 3:
			assert_refreshed(est, kept, met);
			break;
		default:
			add(est, KM_SAMPLE_TYPE_HIT, id, km_rand_below(&rand, 100000));
			met |= 1u << id;
		}
	}
	km_estimates_free(&kept->head);
	km_estimator_destroy(est);
}

static void creation_survives_each_failing_allocation(void **state)
{
	struct km_estimator *est = NULL;
	unsigned int n;
	int err = -ENOMEM;

	(void)state;
	for (n = 1; err; n++) {
		fail_alloc_at = n;
		err = km_estimator_create(&est, TYPE_CAP, RULE_NR, rules);
		assert_true(!err || err == -ENOMEM);
	}
	fail_alloc_at = 0;
	assert_int_equal(n, 8); /* six callocs failed, the seventh try found none */
	km_estimator_destroy(est);
	km_estimator_destroy(NULL);
}

/* ---- the file -------------------------------------------------------------------- */

struct dir {
	char path[64], file[96];
};

static int make_dir(void **state)
{
	static struct dir dir;
	const char *base = getenv("TMPDIR");

	snprintf(dir.path, sizeof(dir.path), "%.40s/km-est-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir.path))
		return -1;
	snprintf(dir.file, sizeof(dir.file), "%s/estimates", dir.path);
	*state = &dir;
	return 0;
}

/* How many entries, whatever their names. */
static uint32_t entry_nr(const char *path)
{
	DIR *dir = opendir(path);
	uint32_t nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}

static int remove_dir(void **state)
{
	struct dir *dir = *state;

	km_ignore(umount2(dir->path, MNT_DETACH)); /* only when a test stopped midway */
	unlink(dir->file);
	return rmdir(dir->path); /* fails when a temporary file was left */
}

static void write_file(const char *path, const char *text, size_t bytes)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	assert_int_equal(fwrite(text, 1, bytes, to), bytes);
	assert_int_equal(fclose(to), 0);
}

static struct km_estimator *create_full(void)
{
	struct km_estimator *est = create();
	uint32_t i;

	for (i = 0; i < TYPE_CAP; i++) {
		km_estimator_name(est, i, 0x1000 + i);
		add(est, KM_SAMPLE_TYPE_HIT, i, 1000 + 100 * i);
	}
	for (i = 0; i < RULE_NR; i++) {
		add(est, KM_SAMPLE_RULE_HIT, i, 10 + i);
		add(est, KM_SAMPLE_RULE_MISS, i, 100 + i);
	}
	add(est, KM_SAMPLE_BUILD, 0, 55);
	return est;
}

static void save(const struct km_estimator *est, const char *path)
{
	struct km_diag diag;

	if (km_estimator_save(est, path, &diag))
		fail_msg("%s", diag.reason);
}

static void load(struct km_estimator *est, const char *path)
{
	struct km_diag diag;

	if (km_estimator_load(est, path, &diag))
		fail_msg("%" PRIu64 ": %s", diag.line, diag.reason);
}

static void a_restart_begins_with_what_was_known(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *before = create_full(), *after = create();
	uint32_t i;

	save(before, dir->file);
	assert_int_equal(entry_nr(dir->path), 1);
	load(after, dir->file);
	/* Types get other ids this time: their hashes say which they are. */
	for (i = 0; i < TYPE_CAP; i++)
		km_estimator_name(after, TYPE_CAP - 1 - i, 0x1000 + i);
	for (i = 0; i < TYPE_CAP; i++)
		assert_int_equal(type_hit(after, TYPE_CAP - 1 - i), type_hit(before, i));
	for (i = 0; i < TYPE_CAP; i++)
		km_estimator_name(after, i, 0x1000 + i);
	assert_same(before, after);
	km_estimator_destroy(before);
	km_estimator_destroy(after);
}

static void what_was_not_seen_again_is_kept(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *first = create_full(), *second = create(), *third = create();

	save(first, dir->file);
	load(second, dir->file);
	km_estimator_name(second, 0, 0x1003);
	add(second, KM_SAMPLE_TYPE_HIT, 0, 5000); /* one more of a known one */
	save(second, dir->file);
	load(third, dir->file);
	km_estimator_name(third, 0, 0x1003);
	km_estimator_name(third, 1, 0x1007);
	assert_int_equal(type_hit(third, 0), type_hit(second, 0));
	assert_int_equal(type_hit(third, 0), (1300 + 5000) / 2);
	assert_int_equal(type_hit(third, 1), 1700);
	km_estimator_destroy(first);
	km_estimator_destroy(second);
	km_estimator_destroy(third);
}

static void a_recycled_id_gets_what_the_file_said(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *est = create_full(), *again = create();

	save(est, dir->file);
	load(again, dir->file);
	km_estimator_name(again, 0, 0x1001);
	assert_int_equal(type_hit(again, 0), 1100);
	km_estimator_name(again, 0, 0x9999); /* not in the file */
	assert_int_equal(type_hit(again, 0), type_hit(again, 7));
	km_estimator_name(again, 0, 0x1002);
	assert_int_equal(type_hit(again, 0), 1200);
	km_estimator_destroy(est);
	km_estimator_destroy(again);
}

static void rules_that_are_gone_are_skipped(void **state)
{
	static const char text[] = "kamino-estimates 1\n"
				   "hit 11 1\n"
				   "build 22 1\n"
				   "rule 1 1 2 1 bandwidth\n"
				   "rule 33 1 44 1 gpu\n"
				   "end\n";
	const struct dir *dir = *state;
	struct km_estimator *est = create();
	struct km_estimates *t;

	write_file(dir->file, text, strlen(text));
	load(est, dir->file);
	t = table(est);
	assert_int_equal(t->rule_hit_ns[GPU], 33);
	assert_int_equal(t->rule_miss_ns[GPU], 44);
	assert_int_equal(t->rule_hit_ns[DISK], 33); /* nothing said: the mean of the rest */
	assert_int_equal(t->build_ns, 22);
	assert_int_equal(t->type_hit_ns[0], 11);
	km_estimates_free(&t->head);
	km_estimator_destroy(est);
}

static void an_endless_count_of_samples_does_no_harm(void **state)
{
	static const char text[] = "kamino-estimates 1\nhit 500 18446744073709551615\nend\n";
	const struct dir *dir = *state;
	struct km_estimator *est = create();

	write_file(dir->file, text, strlen(text));
	load(est, dir->file);
	assert_int_equal(type_hit(est, 5), 500);
	add(est, KM_SAMPLE_TYPE_HIT, 0, 500);
	assert_int_equal(type_hit(est, 5), 500);
	km_estimator_destroy(est);
}

#define MAGIC "kamino-estimates 1\n"
#define OVERLONG_40 "0000000000000000000000000000000000000000"
#define OVERLONG_200 OVERLONG_40 OVERLONG_40 OVERLONG_40 OVERLONG_40 OVERLONG_40

static const struct {
	const char *text;
	uint64_t line;
	const char *reason; /* a part of it */
} bad_files[] = {
	{ "", 0, "truncated" },
	{ "\n", 1, "not an estimates file" },
	{ "kamino-estimates 2\nend\n", 1, "not an estimates file" },
	{ "kamino-estimates 1", 1, "cut off" },
	{ MAGIC, 1, "truncated" },
	{ MAGIC "hit 5 6\n", 2, "truncated" },
	{ MAGIC "hit 5 6", 2, "cut off" },
	{ MAGIC "hit 5\nend\n", 2, "malformed" },
	{ MAGIC "hit x 6\nend\n", 2, "malformed" },
	{ MAGIC "hit 5 6 7\nend\n", 2, "malformed" },
	{ MAGIC "hit -5 6\nend\n", 2, "malformed" },
	{ MAGIC "hit 1099511627776 6\nend\n", 2, "malformed" }, /* KM_EST_NS_MAX + 1 */
	{ MAGIC "hit 99999999999999999999999 6\nend\n", 2, "malformed" },
	{ MAGIC "build 5\nend\n", 2, "malformed" },
	{ MAGIC "hit 5 6\nbuild 5 y\nend\n", 3, "malformed" },
	{ MAGIC "rule 1 2 3 disk\nend\n", 2, "malformed" },
	{ MAGIC "rule 1 2 3 4\nend\n", 2, "malformed" },
	{ MAGIC "rule 1 2 1099511627776 4 disk\nend\n", 2, "malformed" },
	{ MAGIC "type zz 1 2\nend\n", 2, "malformed" },
	{ MAGIC "type ab 1099511627776 2\nend\n", 2, "malformed" },
	{ MAGIC "type ab 1\nend\n", 2, "malformed" },
	{ MAGIC "hit 5 6\n\nend\n", 3, "malformed" },
	{ MAGIC "speed 5 6\nend\n", 2, "malformed" },
	{ MAGIC "end\nhit 5 6\n", 3, "cut off" },
	{ MAGIC "end\nend\n", 3, "cut off" },
	{ MAGIC "type " OVERLONG_200 OVERLONG_200 OVERLONG_200 " 1 2\nend\n", 2, "overlong" },
};

static void bad_files_are_refused_with_line_and_reason(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *est = create_full(), *untouched = create_full();
	struct km_diag diag;
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(bad_files); i++) {
		write_file(dir->file, bad_files[i].text, strlen(bad_files[i].text));
		memset(&diag, 0, sizeof(diag));
		if (km_estimator_load(est, dir->file, &diag) != -EINVAL)
			fail_msg("taken: %s", bad_files[i].text);
		if (diag.line != bad_files[i].line || !strstr(diag.reason, bad_files[i].reason))
			fail_msg("line %" PRIu64 ", '%s' of: %s", diag.line, diag.reason,
				 bad_files[i].text);
		assert_string_equal(diag.file, dir->file);
		assert_same(est, untouched); /* nothing is half-loaded */
		assert_int_equal(km_estimator_load(est, dir->file, NULL), -EINVAL);
	}
	write_file(dir->file, MAGIC "hit 5\0 6\nend\n", sizeof(MAGIC "hit 5\0 6\nend\n") - 1);
	assert_int_equal(km_estimator_load(est, dir->file, &diag), -EINVAL);
	assert_same(est, untouched);
	km_estimator_destroy(est);
	km_estimator_destroy(untouched);
}

static void every_truncation_is_refused(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *full = create_full(), *est = create(), *untouched = create();
	char text[4096];
	size_t bytes, cut;
	FILE *from;

	save(full, dir->file);
	from = fopen(dir->file, "r");
	assert_non_null(from);
	bytes = fread(text, 1, sizeof(text), from);
	fclose(from);
	assert_in_range(bytes, 100, sizeof(text) - 1);
	for (cut = 0; cut < bytes; cut++) {
		write_file(dir->file, text, cut);
		assert_int_equal(km_estimator_load(est, dir->file, NULL), -EINVAL);
	}
	assert_same(est, untouched);
	write_file(dir->file, text, bytes);
	load(est, dir->file);
	km_estimator_destroy(full);
	km_estimator_destroy(est);
	km_estimator_destroy(untouched);
}

static void a_missing_file_is_told_from_a_bad_one(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *est = create();
	struct km_diag diag;

	assert_int_equal(km_estimator_load(est, "/nonexistent/file", &diag), -ENOENT);
	assert_non_null(strstr(diag.reason, "cannot open"));
	assert_int_equal(km_estimator_load(est, dir->path, &diag), -EINVAL); /* a directory */
	km_estimator_destroy(est);
}

/* ---- disks that fail ----------------------------------------------------------------- */

static void assert_save_fails(const struct dir *dir, int err)
{
	struct km_estimator *est = create_full(), *kept = create();
	struct km_diag diag;
	int got = km_estimator_save(est, dir->file, &diag);

	if (err ? got != err : got >= 0)
		fail_msg("save returned %d", got);
	assert_true(strlen(diag.reason) > 0);
	assert_int_equal(km_estimator_save(est, dir->file, NULL), got);
	load(kept, dir->file); /* what was there before is whole */
	km_estimator_destroy(est);
	km_estimator_destroy(kept);
}

static void a_write_that_fails_leaves_the_old_file(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *est = create();
	struct rlimit old, small;

	save(est, dir->file);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 16;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_save_fails(dir, -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(entry_nr(dir->path), 1); /* no temporary file is left */
	km_estimator_destroy(est);
}

static void fill_disk(const char *path)
{
	char block[4096] = { 1 };
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
	const struct dir *dir = *state;
	struct dir disk;
	struct km_estimator *est = create();
	char filler[96];

	snprintf(disk.path, sizeof(disk.path), "%s", dir->path);
	snprintf(disk.file, sizeof(disk.file), "%s", dir->file);
	snprintf(filler, sizeof(filler), "%s/filler", dir->path);
	if (mount("none", disk.path, "tmpfs", 0, "size=64k")) {
		km_estimator_destroy(est);
		print_message("# skipped: no tmpfs may be mounted here\n");
		skip();
	}
	save(est, disk.file);
	fill_disk(filler);
	assert_save_fails(&disk, -ENOSPC);
	assert_int_equal(entry_nr(disk.path), 2);
	km_estimator_destroy(est);
	assert_int_equal(umount(disk.path), 0);
}

static void a_read_only_directory_is_told(void **state)
{
	const struct dir *dir = *state;
	struct km_estimator *est = create();
	bool root = geteuid() == 0;

	save(est, dir->file);
	km_estimator_destroy(est);
	assert_int_equal(chmod(dir->path, 0555), 0);
	if (root && seteuid(65534)) {
		chmod(dir->path, 0755);
		print_message("# skipped: root cannot become another user here\n");
		skip();
	}
	assert_save_fails(dir, -EACCES);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(dir->path, 0755), 0);
	assert_int_equal(entry_nr(dir->path), 1);
}

static void a_name_too_long_is_told(void **state)
{
	struct km_estimator *est = create();
	struct km_diag diag;
	char path[5000];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(km_estimator_save(est, path, &diag), -ENAMETOOLONG);
	assert_int_equal(km_estimator_save(est, "/nonexistent/file", &diag), -ENOENT);
	assert_true(strlen(diag.reason) > 0);
	km_estimator_destroy(est);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_survives_packing),
		cmocka_unit_test(without_samples_a_miss_costs_more_than_a_hit),
		cmocka_unit_test(means_are_of_their_own_samples),
		cmocka_unit_test(what_has_no_samples_takes_the_mean_of_its_like),
		cmocka_unit_test(a_mean_follows_a_change),
		cmocka_unit_test(ids_out_of_bounds_are_ignored),
		cmocka_unit_test(a_recycled_id_starts_anew),
		cmocka_unit_test(a_refreshed_table_is_as_a_new_one),
		cmocka_unit_test(creation_survives_each_failing_allocation),
		cmocka_unit_test(a_restart_begins_with_what_was_known),
		cmocka_unit_test(what_was_not_seen_again_is_kept),
		cmocka_unit_test(a_recycled_id_gets_what_the_file_said),
		cmocka_unit_test(rules_that_are_gone_are_skipped),
		cmocka_unit_test(an_endless_count_of_samples_does_no_harm),
		cmocka_unit_test(bad_files_are_refused_with_line_and_reason),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_missing_file_is_told_from_a_bad_one),
		cmocka_unit_test(a_write_that_fails_leaves_the_old_file),
		cmocka_unit_test(a_full_disk_leaves_the_old_file),
		cmocka_unit_test(a_read_only_directory_is_told),
		cmocka_unit_test(a_name_too_long_is_told),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
