/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/seq_stress.c - what a sequence lock lets through is one block.
 *
 * Blocks all of whose words are equal are written and copied: no accepted copy may
 * mix two. Which order carries that does not show on x86, so the two halves of I1
 * are also tested apart, each with plain memory written before the store in
 * question, once for each value, so that ThreadSanitizer reports a missing order.
 *
 * Catches: SEQ_R1 SEQ_A1 (thread sanitizer)
 * Catches: SEQ_R2 SEQ_A2 (thread sanitizer)
 * Needs: lib
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "lib/seq.h"

#define WORD_NR 97u
#define NOTE_NR 20000u

struct side {
	struct km_seq *seq;
	_Atomic uint64_t *word;
	uint64_t *note; /* [n]: plain, what the writer did before it showed n */
	uint64_t bad, whole, mixed;
	struct km_rand rand;
};

static uint64_t note_of(uint64_t n)
{
	return n * UINT64_C(0x9e3779b97f4a7c15);
}

static void set_up(struct side *side, uint64_t seed)
{
	static struct km_seq seq;
	static _Atomic uint64_t word[WORD_NR];
	static uint64_t note[NOTE_NR + 1];
	uint32_t i;

	memset(&seq, 0, sizeof(seq));
	memset(word, 0, sizeof(word));
	memset(note, 0, sizeof(note));
	memset(side, 0, 2 * sizeof(*side));
	for (i = 0; i < 2; i++) {
		side[i].seq = &seq;
		side[i].word = word;
		side[i].note = note;
		km_rand_init(&side[i].rand, seed + i);
	}
}

/* Play both sides until the time is up. Return: copies that were accepted. */
static void play(void *(*writer)(void *), void *(*reader)(void *), uint64_t seed, struct side *side)
{
	void *(*const fn[])(void *) = { writer, reader };
	uint64_t end_ns = stress_deadline(3), whole = 0, mixed = 0;

	do {
		set_up(side, seed++);
		stress_run(fn, side, sizeof(side[0]), 2);
		assert_int_equal(side[1].bad, 0);
		whole += side[1].whole;
		mixed += side[1].mixed;
	} while (km_clock_ns() < end_ns);
	side[1].whole = whole;
	side[1].mixed = mixed;
}

/* ---- blocks ------------------------------------------------------------------ */

static void *write_blocks(void *arg)
{
	struct side *side = arg;
	uint64_t block[WORD_NR];
	uint32_t n, i;

	for (n = 1; n <= NOTE_NR; n++) {
		for (i = 0; i < WORD_NR; i++)
			block[i] = n;
		km_seq_write(side->seq, side->word, block, WORD_NR);
		stress_delay(&side->rand);
	}
	return NULL;
}

static void *read_blocks(void *arg)
{
	struct side *side = arg;
	uint64_t block[WORD_NR], last = 0;
	uint32_t i, looks = 0;

	while (last < NOTE_NR) {
		if (!km_seq_read(side->seq, block, side->word, WORD_NR)) {
			side->mixed++;
			stress_pause(&looks);
			continue;
		}
		side->whole++;
		for (i = 1; i < WORD_NR; i++)
			side->bad += block[i] != block[0];
		side->bad += block[0] < last;
		looks = block[0] > last ? 0 : looks;
		last = block[0];
		stress_pause(&looks);
	}
	return NULL;
}

static void an_accepted_copy_is_one_block(void **state)
{
	struct side side[2];

	(void)state;
	play(write_blocks, read_blocks, km_test_seed(km_clock_ns()), side);
	assert_true(side[1].whole > 0);
	printf("# %llu copies accepted, %llu refused\n", (unsigned long long)side[1].whole,
	       (unsigned long long)side[1].mixed);
}

/* ---- not older: with the even count comes all that was written before ----------- */

static void *end_blocks(void *arg)
{
	struct side *side = arg;
	uint64_t n;

	for (n = 1; n <= NOTE_NR; n++) {
		km_seq_begin(side->seq);
		side->note[n] = note_of(n);
		stress_delay(&side->rand);
		km_seq_end(side->seq);
	}
	return NULL;
}

static void *look_at_counts(void *arg)
{
	struct side *side = arg;
	uint64_t n, seen = 0;
	uint32_t looks = 0;

	while (seen < NOTE_NR) {
		n = km_seq_look(side->seq) / 2;
		looks = n == seen ? looks : 0;
		for (; seen < n; seen++)
			side->bad += side->note[seen + 1] != note_of(seen + 1);
		stress_pause(&looks);
	}
	return NULL;
}

static void an_even_count_brings_the_block(void **state)
{
	struct side side[2];

	(void)state;
	play(end_blocks, look_at_counts, km_test_seed(km_clock_ns()), side);
}

/* ---- not newer: with a word comes the odd count that was stored before it --------- */

static void *put_words(void *arg)
{
	struct side *side = arg;
	uint64_t n;

	for (n = 1; n <= NOTE_NR; n++) {
		km_seq_begin(side->seq);
		side->note[n] = note_of(n);
		stress_delay(&side->rand);
		km_seq_put(&side->word[0], n);
	}
	return NULL;
}

static void *get_words(void *arg)
{
	struct side *side = arg;
	uint64_t n, seen = 0;
	uint32_t looks = 0;

	while (seen < NOTE_NR) {
		n = km_seq_get(&side->word[0]);
		/* n times begun: a count of less would let an older block's reader pass */
		side->bad += n && km_seq_same(side->seq, n - 1);
		looks = n == seen ? looks : 0;
		for (; seen < n; seen++)
			side->bad += side->note[seen + 1] != note_of(seen + 1);
		stress_pause(&looks);
	}
	return NULL;
}

static void a_word_brings_the_odd_count(void **state)
{
	struct side side[2];

	(void)state;
	play(put_words, get_words, km_test_seed(km_clock_ns()), side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_copy_is_one_block),
		cmocka_unit_test(an_even_count_brings_the_block),
		cmocka_unit_test(a_word_brings_the_odd_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
