/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/record.h"

#include <errno.h>
#include <stdlib.h>

/*
 * One line: sequence (low 32 bits, from 1) and the chosen agent; request;
 * the three terms; margin; time; and the rest with the sequence again.
 * Terms fit 40 bits (core/estimate.h), sums far below 64.
 */
enum word { HEAD, REQ, WAIT, REMAINING, PROCESSING, MARGIN, DECIDED, TAIL, WORD_NR };

struct line {
	alignas(64) _Atomic uint64_t word[WORD_NR];
	_Atomic uint64_t runner_up_type; /* runner-up in the high half, type id in the low */
};

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
	/* relaxed: monitoring data; a torn line is told by its two sequence numbers */
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *word)
{
	/* relaxed: see put() */
	return atomic_load_explicit(word, memory_order_relaxed);
}

void km_records_write(struct km_records *records, const struct km_req *req)
{
	const struct km_decision *d = &req->decision;
	uint64_t nr = get(&records->nr);
	struct line *line = &records->line[nr % KM_RECORD_NR];
	uint64_t seq = (nr + 1) & UINT32_MAX;

	put(&line->word[HEAD], seq << 32 | d->agent_idx);
	put(&line->word[REQ], req->id);
	put(&line->word[WAIT], d->wait_ns);
	put(&line->word[REMAINING], d->remaining_ns);
	put(&line->word[PROCESSING], d->processing_ns);
	put(&line->word[MARGIN], d->margin_ns);
	put(&line->word[DECIDED], d->decided_ns);
	put(&line->runner_up_type, (uint64_t)d->runner_up_idx << 32 | req->type->key.id);
	put(&line->word[TAIL], seq << 32 | (uint32_t)d->rule_hit_nr << 1 | d->top_hit);
	put(&records->nr, nr + 1);
}

static bool unpack(const struct line *line, uint64_t seq, struct km_record *out)
{
	uint64_t head = get(&line->word[HEAD]), tail = get(&line->word[TAIL]);
	uint64_t pair = get(&line->runner_up_type);

	if (head >> 32 != seq || tail >> 32 != seq)
		return false;
	out->req_id = get(&line->word[REQ]);
	out->type_id = (uint32_t)pair;
	out->decision = (struct km_decision){
		.decided_ns = get(&line->word[DECIDED]),
		.wait_ns = get(&line->word[WAIT]),
		.remaining_ns = get(&line->word[REMAINING]),
		.processing_ns = get(&line->word[PROCESSING]),
		.margin_ns = get(&line->word[MARGIN]),
		.agent_idx = (uint32_t)head,
		.runner_up_idx = (uint32_t)(pair >> 32),
		.top_hit = tail & 1,
		.rule_hit_nr = (uint8_t)(tail >> 1),
	};
	return true;
}

bool km_records_find(const struct km_records *records, uint64_t req_id, struct km_record *out)
{
	uint64_t nr = get(&records->nr), back;

	for (back = 1; back <= nr && back <= KM_RECORD_NR; back++) {
		const struct line *line = &records->line[(nr - back) % KM_RECORD_NR];

		if (get(&line->word[REQ]) == req_id &&
		    unpack(line, (nr - back + 1) & UINT32_MAX, out))
			return true;
	}
	return false;
}

uint64_t km_records_nr(const struct km_records *records)
{
	return get(&records->nr);
}
