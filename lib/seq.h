/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/seq.h - a block of words that one thread writes again and again and others
 * read whole: a sequence lock without fences.
 *
 *	writer					reader
 *	count = odd				count, even (SEQ_A1)
 *	each word (SEQ_R2)			each word (SEQ_A2)
 *	count = next even (SEQ_R1)		count still the same?
 *
 * I1: what was read between two looks that showed the same even count is one
 *     block. Not older: the count came with every word before it (R1, A1). Not
 *     newer: a word of a later block comes with that block's odd count (R2, A2),
 *     so the second look shows it; A2 also keeps that look behind the words.
 *
 * The words are read as they are, so a block may lie in memory that another process
 * writes. Writer: wait-free. Reader: obstruction-free; a writer that died in the middle
 * leaves the count odd for good, so readers bound their tries.
 * Source: Boehm, "Can Seqlocks Get Along with Programming Language Memory Models?",
 * MSPC 2012 (the variant with ordered accesses of the data).
 */
#ifndef KM_LIB_SEQ_H
#define KM_LIB_SEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/atomic.h"

struct km_seq {
	_Atomic uint64_t count; /* odd: the writer is at it */
};

/* ---- the writer: one thread ---------------------------------------------------- */

static inline void km_seq_begin(struct km_seq *seq)
{
	/* relaxed: only we store it; seen with the first word (SEQ_R2) */
	uint64_t count = atomic_load_explicit(&seq->count, memory_order_relaxed);

	atomic_store_explicit(&seq->count, count + 1, memory_order_relaxed);
}

static inline void km_seq_put(_Atomic uint64_t *word, uint64_t value)
{
	/* SEQ_R2 pairs with SEQ_A2 in km_seq_get(): the odd count, then a word. */
	atomic_store_explicit(word, value, KM_ORDER(SEQ_R2, release));
}

static inline void km_seq_end(struct km_seq *seq)
{
	/* relaxed: only we store it */
	uint64_t count = atomic_load_explicit(&seq->count, memory_order_relaxed);

	/* SEQ_R1 pairs with SEQ_A1 in km_seq_look(): the words, then the even count. */
	atomic_store_explicit(&seq->count, count + 1, KM_ORDER(SEQ_R1, release));
}

/* ---- readers --------------------------------------------------------------------- */

/* The count; odd = not now. */
static inline uint64_t km_seq_look(const struct km_seq *seq)
{
	/* SEQ_A1 pairs with SEQ_R1 in km_seq_end(): the even count, then the words. */
	return atomic_load_explicit(&seq->count, KM_ORDER(SEQ_A1, acquire));
}

static inline uint64_t km_seq_get(const _Atomic uint64_t *word)
{
	/* SEQ_A2 pairs with SEQ_R2 in km_seq_put(): a word, then the count again. */
	return atomic_load_explicit(word, KM_ORDER(SEQ_A2, acquire));
}

/* Whether what was read since km_seq_look() showed @count is one block. */
static inline bool km_seq_same(const struct km_seq *seq, uint64_t count)
{
	/* relaxed: SEQ_A2 keeps it behind the words */
	return atomic_load_explicit(&seq->count, memory_order_relaxed) == count;
}

/* ---- blocks ---------------------------------------------------------------------- */

/* Context: the writer. */
static inline void km_seq_write(struct km_seq *seq, _Atomic uint64_t *to, const uint64_t *from,
				size_t word_nr)
{
	size_t i;

	km_seq_begin(seq);
	for (i = 0; i < word_nr; i++)
		km_seq_put(&to[i], from[i]);
	km_seq_end(seq);
}

/* Return: whether @to is one block; else look again later. */
static inline bool km_seq_read(const struct km_seq *seq, uint64_t *to, const _Atomic uint64_t *from,
			       size_t word_nr)
{
	uint64_t count = km_seq_look(seq);
	size_t i;

	if (count & 1)
		return false;
	for (i = 0; i < word_nr; i++)
		to[i] = km_seq_get(&from[i]);
	return km_seq_same(seq, count);
}

#endif
