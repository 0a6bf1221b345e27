/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/segment_test.c - what a run shows of itself: layout, life and death of
 * its file, readers before damaged ones, and the page that is made of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/rand.h"
#include "tests/support/seed.h"
#include "tools/top_internal.h"

#define AGENT_NR 5
#define SEQ_AT 384 /* the sequence count; the words follow 128 bytes on */

static char dir[64];

static bool make_dir_in(const char *folder)
{
	snprintf(dir, sizeof(dir), "%s/kamino-test-XXXXXX", folder);
	return mkdtemp(dir);
}

static int make_dir(void **state)
{
	(void)state;
	if (!make_dir_in("/dev/shm") && !make_dir_in("/tmp"))
		return -1;
	return setenv("KAMINO_SHM_DIR", dir, 1);
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static struct km_segment *create(void)
{
	struct km_seg_head head = { .agent_nr = AGENT_NR, .seed = 7, .name = "n\x1b[1m" };
	struct km_segment *seg;
	struct km_diag diag;

	if (km_segment_create(&seg, &head, &diag))
		fail_msg("%s", diag.reason);
	return seg;
}

static struct km_segment *open_it(const char *path)
{
	struct km_segment *seg;
	struct km_diag diag;

	if (km_segment_open(&seg, path, &diag))
		fail_msg("%s", diag.reason);
	return seg;
}

static void init_block(struct km_seg_block *block)
{
	assert_int_equal(km_seg_block_init(block, AGENT_NR), 0);
}

/* A change of these needs another KM_SEG_LAYOUT, or an old reader misreads a new run. */
static void the_layout_is_that_of_its_number(void **state)
{
	(void)state;
	assert_int_equal(KM_SEG_LAYOUT, 2);
	assert_int_equal(sizeof(struct km_seg_head), 272);
	assert_int_equal(offsetof(struct km_seg_head, pid), 48);
	assert_int_equal(sizeof(struct km_seg_run), 432);
	assert_int_equal(offsetof(struct km_seg_run, submitted), 176);
	assert_int_equal(sizeof(struct km_seg_agent), 144);
	assert_int_equal(sizeof(struct km_seg_decision), 208);
}

static void a_block_is_read_as_it_was_written(void **state)
{
	struct km_seg_block out, in;
	struct km_segment *writer = create(), *reader = open_it(km_segment_path(writer));
	struct km_rand rand;
	struct stat st;
	size_t i;

	(void)state;
	km_rand_init(&rand, km_test_seed(km_clock_ns()));
	init_block(&out);
	init_block(&in);
	for (i = 0; i < out.word_nr; i++)
		out.word[i] = km_rand_u64(&rand);
	memset(out.run->phase, 0, sizeof(out.run->phase));
	memset(out.run->policy, 0, sizeof(out.run->policy));
	snprintf(out.run->policy, sizeof(out.run->policy), "%s", "rr");
	out.run->state = KM_SEG_SERVING;
	out.run->decided_nr = out.run->done_nr = 0; /* so that no outcome is bounded */
	km_segment_write(writer, &out);
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_READ);
	assert_string_equal(in.run->policy, "rr");
	assert_memory_equal(in.word, out.word, out.word_nr * sizeof(*out.word));
	assert_int_equal(km_segment_head(reader)->pid, getpid());
	assert_int_equal(km_segment_head(reader)->seed, 7);
	assert_string_equal(km_segment_head(reader)->name, "n?[1m");
	assert_int_equal(stat(km_segment_path(writer), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	km_segment_close(reader);
	km_segment_destroy(writer);
	km_seg_block_fini(&out);
	km_seg_block_fini(&in);
}

static void texts_are_printable_and_numbers_bounded(void **state)
{
	struct km_seg_block out, in;
	struct km_segment *writer = create(), *reader = open_it(km_segment_path(writer));

	(void)state;
	init_block(&out);
	init_block(&in);
	memset(out.word, 0xff, out.word_nr * sizeof(*out.word));
	out.run->policy[1] = 'x';
	km_segment_write(writer, &out);
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_READ);
	assert_int_equal(strlen(in.run->phase), sizeof(in.run->phase) - 1);
	assert_int_equal(strspn(in.run->phase, "?"), strlen(in.run->phase));
	assert_int_equal(in.run->policy[1], 'x');
	assert_int_equal(in.run->state, KM_SEG_ENDED);
	assert_int_equal(in.run->decided_nr, KM_SEG_DECIDED_NR);
	assert_int_equal(in.run->done_nr, KM_SEG_DONE_NR);
	assert_int_equal(in.done[KM_SEG_DONE_NR - 1].outcome, KM_OUTCOME_NR - 1);
	assert_int_equal(strspn(in.done[KM_SEG_DONE_NR - 1].type_name, "?"),
			 sizeof(in.done->type_name) - 1);
	km_segment_close(reader);
	km_segment_destroy(writer);
	km_seg_block_fini(&out);
	km_seg_block_fini(&in);
}

/* ---- life and death ---------------------------------------------------------------- */

/* A process that leaves its segment behind. Return: its pid. */
static pid_t leave_one(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		create();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

static void a_dead_run_is_known_and_cleaned_up_and_a_live_one_left(void **state)
{
	static struct km_segment_info info[4];
	struct km_segment *writer = create();
	pid_t dead = leave_one();
	struct km_diag diag;
	int i;

	(void)state;
	assert_int_equal(km_segment_list(info, 4, &diag), 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(info[i].kind, info[i].pid == (uint64_t)dead ? KM_SEGMENT_STALE
									     : KM_SEGMENT_LIVE);
	assert_true(info[0].pid < info[1].pid);
	assert_int_equal(km_segment_clean(), 1);
	assert_int_equal(km_segment_clean(), 0);
	assert_int_equal(km_segment_list(info, 4, &diag), 1);
	assert_int_equal(info[0].pid, getpid());
	km_segment_destroy(writer);
	assert_int_equal(km_segment_list(info, 4, &diag), 0);
}

static void a_file_that_is_none_of_ours_is_told_and_left(void **state)
{
	static struct km_segment_info info[4];
	struct km_diag diag;
	char path[96];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/kamino-4711", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "KAMSHO", 6), 6);
	close(fd);
	assert_int_equal(km_segment_list(info, 4, &diag), 1);
	assert_int_equal(info[0].kind, KM_SEGMENT_BAD);
	assert_true(info[0].diag.reason[0]);
	assert_int_equal(km_segment_clean(), 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* to open it would wait for a writer */
	assert_int_equal(km_segment_list(info, 4, &diag), 1);
	assert_int_equal(info[0].kind, KM_SEGMENT_BAD);
	unlink(path);
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
	struct km_seg_head head = { .agent_nr = 1 };
	struct km_segment *seg;
	struct km_diag diag;

	(void)state;
	setenv("KAMINO_SHM_DIR", "/nonexistent/folder", 1);
	assert_int_equal(km_segment_create(&seg, &head, &diag), -ENOENT);
	assert_true(diag.reason[0]);
	assert_int_equal(km_segment_clean(), 0);
	setenv("KAMINO_SHM_DIR", dir, 1);
}

/* ---- damage ----------------------------------------------------------------------------- */

static int open_rw(const struct km_segment *seg)
{
	int fd = open(km_segment_path(seg), O_RDWR);

	assert_true(fd >= 0);
	return fd;
}

static void put(int fd, size_t at, const void *bytes, size_t nr)
{
	assert_int_equal(pwrite(fd, bytes, nr, (off_t)at), nr);
}

static void a_head_that_lies_is_refused(void **state)
{
	static const size_t at[] = { 0, 7, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44 };
	struct km_segment *writer = create(), *seg;
	struct km_seg_head head;
	struct km_diag diag;
	int fd = open_rw(writer);
	uint8_t byte;
	off_t size = lseek(fd, 0, SEEK_END), cut;
	size_t i;

	(void)state;
	assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
	for (i = 0; i < KM_ARRAY_NR(at); i++) {
		byte = (uint8_t)(((uint8_t *)&head)[at[i]] + 1);
		put(fd, at[i], &byte, 1);
		diag.reason[0] = 0;
		assert_int_equal(km_segment_open(&seg, km_segment_path(writer), &diag), -EINVAL);
		assert_true(diag.reason[0]);
		put(fd, 0, &head, sizeof(head));
	}
	for (cut = size - 1; cut >= 0; cut -= size / 7) {
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(km_segment_open(&seg, km_segment_path(writer), &diag), -EINVAL);
	}
	close(fd);
	km_segment_destroy(writer);
}

static void a_file_cut_short_ends_the_copy(void **state)
{
	struct km_segment *writer = create(), *reader = open_it(km_segment_path(writer));
	struct km_seg_block in;
	int fd = open_rw(writer);

	(void)state;
	init_block(&in);
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_READ);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_GONE);
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_GONE);
	close(fd);
	km_segment_close(reader);
	km_segment_destroy(writer);
	km_seg_block_fini(&in);
}

static void a_writer_that_died_in_the_middle_is_waited_for_not_forever(void **state)
{
	struct km_segment *writer = create(), *reader = open_it(km_segment_path(writer));
	struct km_seg_block in;
	int fd = open_rw(writer);
	uint64_t count = 1;

	(void)state;
	init_block(&in);
	put(fd, SEQ_AT, &count, sizeof(count));
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_BUSY);
	count = 2;
	put(fd, SEQ_AT, &count, sizeof(count));
	assert_int_equal(km_segment_read(reader, &in), KM_SEGMENT_READ);
	close(fd);
	km_segment_close(reader);
	km_segment_destroy(writer);
	km_seg_block_fini(&in);
}

/* ---- the page ------------------------------------------------------------------------------ */

/* Values that a run of a day may reach. */
static void fill(struct km_seg_block *block, struct km_rand *rand)
{
	size_t i;

	for (i = 0; i < block->word_nr; i++)
		block->word[i] = km_rand_below(rand, UINT64_C(1) << km_rand_below(rand, 46));
	memset(block->run->phase, 0, sizeof(block->run->phase));
	snprintf(block->run->phase, sizeof(block->run->phase), "serving");
	memset(block->run->policy, 0, sizeof(block->run->policy));
	snprintf(block->run->policy, sizeof(block->run->policy), "latcache-request");
	block->run->state = KM_SEG_SERVING;
	block->run->policy_idx = block->run->policy_nr = 7;
	block->run->phase_all = km_rand_below(rand, 1e9);
	block->run->phase_done = km_rand_below(rand, block->run->phase_all + 1);
	block->run->decided_nr = KM_SEG_DECIDED_NR;
	block->run->done_nr = KM_SEG_DONE_NR;
	block->run->rule_nr = 20;
	for (i = 0; i < AGENT_NR; i++) {
		block->agent[i].now.rule_hits =
			km_rand_below(rand, 20 * block->agent[i].now.top_misses + 1);
		block->agent[i].cpu = km_rand_below(rand, 1000);
		block->agent[i].node = km_rand_below(rand, 64);
	}
	for (i = 0; i < KM_SEG_DECISION_NR; i++) {
		block->decided[i].done = i >= KM_SEG_DECIDED_NR;
		block->decided[i].type_id = km_rand_below(rand, 8192);
		block->decided[i].agent = km_rand_below(rand, 10000);
		block->decided[i].runner_up = km_rand_below(rand, 10000);
		block->decided[i].rule_hit_nr = km_rand_below(rand, 64);
		block->decided[i].real_rule_hits = km_rand_below(rand, 64);
		snprintf(block->decided[i].type_name, sizeof(block->decided[i].type_name), "Large");
	}
}

static uint32_t make_page(struct top_look *look, struct top_figures *fig, enum top_sort sort,
			  struct top_line *line, uint32_t cap)
{
	const struct top_page_cfg cfg = {
		.look = look,
		.fig = fig,
		.sort = sort,
		.agent_rows = AGENT_NR,
		.decision_rows = KM_SEG_DECISION_NR,
	};

	top_figures_make(fig, &look->block, sort);
	return top_page_make(&cfg, line, cap);
}

/* But for what makes a type, which ends the row of a decision. */
static size_t columns_of(const char *text)
{
	const char *beyond = strstr(text, "  of type");

	if (!beyond)
		beyond = strstr(text, "  Large");
	return beyond ? (size_t)(beyond - text) : strlen(text);
}

static void tables_fit_eighty_columns_and_are_sorted(void **state)
{
	static struct top_line line[100];
	struct km_seg_head head = { .pid = 4194304 };
	struct top_look look = { .head = &head };
	struct top_figures fig;
	struct km_rand rand;
	uint32_t round, nr, i;

	(void)state;
	km_rand_init(&rand, km_test_seed(km_clock_ns()));
	init_block(&look.block);
	assert_int_equal(top_figures_init(&fig, AGENT_NR), 0);
	for (round = 0; round < 2000; round++) {
		fill(&look.block, &rand);
		nr = make_page(&look, &fig, round % TOP_SORT_NR, line, KM_ARRAY_NR(line));
		assert_true(nr >= 7 + 1 + AGENT_NR + 1 + KM_SEG_DONE_NR);
		for (i = 7; i < nr; i++)
			if (columns_of(line[i].text) > TOP_COLUMN_NR)
				fail_msg("%zu: %s", strlen(line[i].text), line[i].text);
		for (i = 1; i < AGENT_NR && round % TOP_SORT_NR == TOP_BY_QUEUE; i++)
			assert_true(fig.agent[i - 1].queued_nr >= fig.agent[i].queued_nr);
		for (i = 1; i < fig.decision_nr; i++)
			assert_true(fig.decision[i - 1].decided_ns >= fig.decision[i].decided_ns);
	}
	assert_int_equal(make_page(&look, &fig, TOP_BY_AGENT, line, 3), 3);
	top_figures_fini(&fig);
	km_seg_block_fini(&look.block);
}

static void figures_are_those_of_the_window(void **state)
{
	struct top_look look = { .head = NULL };
	struct top_figures fig;
	struct km_seg_run *run;

	(void)state;
	init_block(&look.block);
	assert_int_equal(top_figures_init(&fig, AGENT_NR), 0);
	run = look.block.run;
	run->window_ns = 2 * KM_NS_PER_S;
	run->rule_nr = 10;
	run->submitted = 107;
	run->outcome[KM_PLACED] = 90;
	run->outcome[KM_NO_ROOM] = 10;
	run->decided = 100;
	run->decided_then = 40;
	run->judge = (struct km_seg_judge){ 100, 90, 500, 1000, 3 };
	run->judge_then = (struct km_seg_judge){ 60, 52, 400, 800, 1 };
	look.block.agent[1].now = (struct km_seg_counts){ 100, 80, 20, 150, KM_NS_PER_S };
	look.block.agent[1].then = (struct km_seg_counts){ 90, 70, 20, 150, 0 };
	top_figures_make(&fig, &look.block, TOP_BY_RATE);
	assert_int_equal(fig.done, 100);
	assert_int_equal(fig.refused, 10);
	assert_int_equal(fig.in_flight, 7);
	assert_true(fig.decided_per_s == 30 && fig.done_per_s == 5);
	assert_true(fig.time_error == 0.5 && fig.time_error_all == 0.5);
	assert_true(fig.event_accuracy == 0.95 && fig.event_accuracy_all == 0.9);
	assert_true(fig.top_rate == 0.8 && fig.rule_rate == 0.75);
	assert_int_equal(fig.agent[0].idx, 1);
	assert_true(fig.agent[0].done_per_s == 5 && fig.agent[0].busy_share == 0.5);
	assert_true(fig.agent[1].done_per_s == 0 && fig.agent[1].top_rate != fig.agent[1].top_rate);
	top_figures_fini(&fig);
	km_seg_block_fini(&look.block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_layout_is_that_of_its_number),
		cmocka_unit_test(a_block_is_read_as_it_was_written),
		cmocka_unit_test(texts_are_printable_and_numbers_bounded),
		cmocka_unit_test(a_dead_run_is_known_and_cleaned_up_and_a_live_one_left),
		cmocka_unit_test(a_file_that_is_none_of_ours_is_told_and_left),
		cmocka_unit_test(a_folder_that_is_not_there_is_refused),
		cmocka_unit_test(a_head_that_lies_is_refused),
		cmocka_unit_test(a_file_cut_short_ends_the_copy),
		cmocka_unit_test(a_writer_that_died_in_the_middle_is_waited_for_not_forever),
		cmocka_unit_test(tables_fit_eighty_columns_and_are_sorted),
		cmocka_unit_test(figures_are_those_of_the_window),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
