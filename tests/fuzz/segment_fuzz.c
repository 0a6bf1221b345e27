/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fuzz/segment_fuzz.c - segments of any content before the reader of kamino top.
 *
 * Nothing crashes: a head is refused with a reason, or what follows makes a page of
 * printable lines and a document. With -DKM_LIBFUZZER the target alone, for
 * libFuzzer; else a driver that damages a valid segment for SECS seconds (SEED=
 * to choose, ITER= to repeat one input and write it out).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/rand.h"
#include "tests/fuzz/fuzz.h"
#include "tools/top_internal.h"

static char path[64];
static int file_fd = -1;

static void remove_file(void)
{
	unlink(path);
}

static void open_file(void)
{
	if (file_fd >= 0)
		return;
	snprintf(path, sizeof(path), "/dev/shm/kamino-fuzz-XXXXXX");
	file_fd = mkstemp(path);
	if (file_fd < 0) {
		snprintf(path, sizeof(path), "/tmp/kamino-fuzz-XXXXXX");
		file_fd = mkstemp(path);
	}
	REQUIRE(file_fd >= 0);
	atexit(remove_file);
}

static void check_page(const struct top_look *look, struct top_figures *fig, enum top_sort sort)
{
	static struct top_line line[64];
	const struct top_page_cfg cfg = {
		.look = look,
		.fig = fig,
		.sort = sort,
		.first = look->block.agent_nr > 3 ? 3 : 0,
		.agent_rows = 20,
		.decision_rows = 20,
	};
	uint32_t i, nr;
	const char *c;

	top_figures_make(fig, &look->block, sort);
	nr = top_page_make(&cfg, line, KM_ARRAY_NR(line));
	REQUIRE(nr >= 1 && nr <= KM_ARRAY_NR(line));
	for (i = 0; i < nr; i++)
		for (c = line[i].text; *c; c++)
			REQUIRE(*c >= ' ' && *c <= '~');
}

static void check_json(const struct top_look *look, const struct top_figures *fig)
{
	json_t *doc = top_json(look, fig);
	char *text;

	REQUIRE(doc);
	text = json_dumps(doc, 0);
	REQUIRE(text);
	free(text);
	json_decref(doc);
}

static void look_at(const struct km_segment *seg)
{
	struct top_look look = { .head = km_segment_head(seg), .trouble = "none" };
	struct top_figures fig;
	uint32_t sort;

	REQUIRE(!km_seg_block_init(&look.block, (uint32_t)look.head->agent_nr));
	REQUIRE(!top_figures_init(&fig, (uint32_t)look.head->agent_nr));
	if (km_segment_read(seg, &look.block) == KM_SEGMENT_READ) {
		for (sort = 0; sort < TOP_SORT_NR; sort++)
			check_page(&look, &fig, (enum top_sort)sort);
		check_json(&look, &fig);
	}
	top_figures_fini(&fig);
	km_seg_block_fini(&look.block);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nr)
{
	struct km_diag diag = { .reason = "" };
	struct km_segment *seg;
	int err;

	open_file();
	REQUIRE(!ftruncate(file_fd, 0));
	REQUIRE(pwrite(file_fd, bytes, nr, 0) == (ssize_t)nr);
	err = km_segment_open(&seg, path, &diag);
	if (err) {
		REQUIRE(err == -EINVAL && diag.reason[0]);
		return 0;
	}
	look_at(seg);
	km_segment_close(seg);
	return 0;
}

#ifndef KM_LIBFUZZER

#define AGENT_NR_MAX 40

static size_t base_of(struct input *in, uint64_t agent_nr)
{
	struct km_seg_head head = { .agent_nr = agent_nr, .name = "fuzz" };
	struct km_segment *seg;
	ssize_t nr;
	int fd;

	REQUIRE(!km_segment_create(&seg, &head, NULL));
	fd = open(km_segment_path(seg), O_RDONLY);
	nr = pread(fd, in->bytes, sizeof(in->bytes), 0);
	REQUIRE(nr > 0 && nr < (ssize_t)sizeof(in->bytes));
	close(fd);
	km_segment_destroy(seg);
	return (size_t)nr;
}

static const uint64_t odd_words[] = {
	0, 1, 2, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 63
};

/* The count of the sequence lock stays even mostly, or each input waits. */
static void make_input(struct input *in, uint64_t seed)
{
	struct km_rand rand;
	uint64_t i, rounds, word;
	size_t at;

	km_rand_init(&rand, seed);
	in->nr = base_of(in, 1 + km_rand_below(&rand, AGENT_NR_MAX));
	for (i = 384 + 128; i + 8 <= in->nr; i += 8) {
		word = km_rand_below(&rand, 4) ? km_rand_u64(&rand) >> km_rand_below(&rand, 64)
					       : odd_words[km_rand_below(&rand, 7)];
		memcpy(in->bytes + i, &word, 8);
	}
	for (rounds = km_rand_below(&rand, 4); rounds; rounds--) {
		at = km_rand_below(&rand, km_rand_below(&rand, 2) ? 380 : in->nr);
		if (at < 384 || at >= 392 || !km_rand_below(&rand, 16))
			in->bytes[at] = (uint8_t)km_rand_u64(&rand);
	}
	if (!km_rand_below(&rand, 8))
		in->nr = km_rand_below(&rand, in->nr);
}

int main(void)
{
	return fuzz_main("segment_fuzz", make_input);
}

#endif
