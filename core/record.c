/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/*
 * One line of eight words:
 *	HEAD	sequence (32, from 1)		chosen agent (32)
 *	REQ, WAIT, DECIDED, MARGIN	as they are
 *	REMAINING	remaining (42)		type id (22)
 *	PROCESSING	processing (42)		runner-up (22; all ones = none)
 *	TAIL	sequence (32)	rule hits (31)	top hit (1)
 * A remaining or processing time beyond 2^42 ns (73 minutes) is told as that.
 */
enum word { HEAD, REQ, WAIT, DECIDED, MARGIN, REMAINING, PROCESSING, TAIL, WORD_NR };

#define SHORT_BITS 22
#define SHORT_MASK ((UINT64_C(1) << SHORT_BITS) - 1)
#define TIME_MAX ((UINT64_C(1) << 42) - 1)

struct line {
	alignas(64) _Atomic uint64_t word[WORD_NR];
};
static_assert(sizeof(struct line) == 64, "one decision, one line");

struct km_records {
	_Atomic uint64_t nr;
	struct line *line; /* [KM_RECORD_NR] */
};

int km_records_create(struct km_records **out)
{
	struct km_records *records = calloc(1, sizeof(*records));

	if (!records)
		return -ENOMEM;
	records->line = aligned_alloc(64, KM_RECORD_NR * sizeof(struct line));
	if (!records->line) {
		free(records);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < KM_RECORD_NR; i++)
		for (uint32_t k = 0; k < WORD_NR; k++)
			atomic_init(&records->line[i].word[k], 0);
	*out = records;
	return 0;
}

void km_records_destroy(struct km_records *records)
{
	if (!records)
		return;
	free(records->line);
	free(records);
}

static void put(_Atomic uint64_t *word, uint64_t value)
{
	/* relaxed: see the head of record.h: exact once the dispatcher has ended */
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *word)
{
	/* relaxed: see put() */
	return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t pack(uint64_t ns, uint32_t number)
{
	return km_min_u64(ns, TIME_MAX) << SHORT_BITS | (number & SHORT_MASK);
}

void km_records_write(struct km_records *records, const struct km_req *req)
{
	const struct km_decision *d = &req->decision;
	uint64_t nr = get(&records->nr);
	_Atomic uint64_t *word = records->line[nr % KM_RECORD_NR].word;
	uint64_t seq = (nr + 1) & UINT32_MAX;

	put(&word[HEAD], seq << 32 | d->agent_idx);
	put(&word[REQ], req->id);
	put(&word[WAIT], d->wait_ns);
	put(&word[DECIDED], d->decided_ns);
	put(&word[MARGIN], d->margin_ns);
	put(&word[REMAINING], pack(d->remaining_ns, req->type->key.id));
	put(&word[PROCESSING], pack(d->processing_ns, d->runner_up_idx));
	put(&word[TAIL], seq << 32 | (uint32_t)d->rule_hit_nr << 1 | d->top_hit);
	put(&records->nr, nr + 1);
}

static bool unpack(const _Atomic uint64_t *word, uint64_t seq, struct km_record *out)
{
	uint64_t head = get(&word[HEAD]), remaining = get(&word[REMAINING]);
	uint64_t processing = get(&word[PROCESSING]), tail;
	uint32_t runner_up = processing & SHORT_MASK;

	out->req_id = get(&word[REQ]);
	out->type_id = remaining & SHORT_MASK;
	out->decision = (struct km_decision){
		.decided_ns = get(&word[DECIDED]),
		.wait_ns = get(&word[WAIT]),
		.remaining_ns = remaining >> SHORT_BITS,
		.processing_ns = processing >> SHORT_BITS,
		.margin_ns = get(&word[MARGIN]),
		.agent_idx = (uint32_t)head,
		.runner_up_idx = runner_up == SHORT_MASK ? UINT32_MAX : runner_up,
	};
	tail = get(&word[TAIL]);
	out->decision.top_hit = tail & 1;
	out->decision.rule_hit_nr = (uint8_t)(tail >> 1);
	return head >> 32 == seq && tail >> 32 == seq;
}

bool km_records_find(const struct km_records *records, uint64_t req_id, struct km_record *out)
{
	uint64_t nr = get(&records->nr), back;

	for (back = 1; back <= nr && back <= KM_RECORD_NR; back++) {
		const _Atomic uint64_t *word = records->line[(nr - back) % KM_RECORD_NR].word;

		if (get(&word[REQ]) == req_id && unpack(word, (nr - back + 1) & UINT32_MAX, out))
			return true;
	}
	return false;
}

bool km_records_recent(const struct km_records *records, uint64_t back, struct km_record *out)
{
	uint64_t nr = get(&records->nr);

	if (back >= nr || back >= KM_RECORD_NR)
		return false;
	return unpack(records->line[(nr - back - 1) % KM_RECORD_NR].word, (nr - back) & UINT32_MAX,
		      out);
}

uint64_t km_records_nr(const struct km_records *records)
{
	return get(&records->nr);
}
