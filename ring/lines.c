/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/lines.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t tell_every(uint32_t slot_nr)
{
	const uint32_t quarter = slot_nr / 4;

	return quarter < KM_LINES_TELL_MIN ? KM_LINES_TELL_MIN
	       : quarter > KM_LINES_TELL   ? KM_LINES_TELL
					   : quarter;
}

int km_lines_init(struct km_lines *r, uint32_t slot_nr)
{
	const uint32_t tell = tell_every(slot_nr);
	uint32_t nr;

	if (slot_nr < KM_LINES_SLOTS_MIN || slot_nr > KM_LINES_SLOTS_MAX ||
	    (slot_nr & (slot_nr - 1)))
		return -EINVAL;
	/* those asked for, and those taken that are not told yet */
	nr = KM_DIV_UP(slot_nr, tell) * tell + tell;
	r->slots = aligned_alloc(KM_SHARE_BYTES, nr * sizeof(r->slots[0]));
	if (!r->slots)
		return -ENOMEM;
	memset((void *)r->slots, 0, nr * sizeof(r->slots[0]));
	r->put = r->get = r->get_base = r->get_empty = r->slots;
	r->put_end = r->get_end = r->slots + nr;
	r->put_stop = r->slots + nr - 1; /* see km_lines_look() */
	r->put_lap = r->get_lap = 0;
	r->get_known = 0;
	r->put_tell = r->get_tell = tell - 1;
	r->get_back = KM_LINES_BACK;
	atomic_init(&r->tail, 0);
	atomic_init(&r->head, 0);
	return 0;
}

void km_lines_fini(struct km_lines *r)
{
	free(r->slots);
	r->slots = NULL;
}

uint32_t km_lines_look(struct km_lines *r)
{
	const uint32_t nr = (uint32_t)(r->put_end - r->slots);
	/* LINES_A2 pairs with LINES_R2 in km_lines_tell_head(): the head, then the slots it frees. */
	const uint32_t head = atomic_load_explicit(&r->head, KM_ORDER(LINES_A2, acquire));
	/* One slot stays free: the stop of an empty ring must differ from its put. */
	const uint32_t room = head + nr - 1 - r->put_lap - (uint32_t)(r->put - r->slots);

	r->put_stop = r->put + room;
	if (r->put_stop >= r->put_end)
		r->put_stop -= nr;
	return room;
}

uint64_t km_lines_stand_back(struct km_lines *r)
{
	ptrdiff_t run = r->get - r->get_empty;
	uint32_t i;

	if (run < 0)
		run += r->get_end - r->get_base;
	r->get_empty = r->get;
	if (run < (ptrdiff_t)r->get_back) {
		r->get_back = KM_LINES_BACK;
		return 0;
	}
	for (i = 0; i < r->get_back; i++)
		km_cpu_relax();
	if (r->get_back < KM_LINES_BACK_MAX)
		r->get_back *= 2;
	return km_lines_first(r->get);
}

/* A lap is a whole number of tellings, so its end is found here. */
void km_lines_tell_tail(struct km_lines *r)
{
	if (r->put == r->put_end) {
		r->put_lap += (uint32_t)(r->put_end - r->slots);
		r->put = r->slots;
	}
	/* relaxed: a hint; the messages have their own order */
	atomic_store_explicit(&r->tail, r->put_lap + (uint32_t)(r->put - r->slots),
			      memory_order_relaxed);
}

void km_lines_tell_head(struct km_lines *r)
{
	struct km_lines_slot *slot;
	uint32_t head;
	int32_t i;

	if (r->get == r->get_end) {
		r->get_lap += (uint32_t)(r->get_end - r->get_base);
		r->get = r->get_base;
	}
	slot = r->get;
	head = r->get_lap + (uint32_t)(slot - r->get_base);

	/* LINES_R2 pairs with LINES_A2 in km_lines_look(): copied and cleared, then told. */
	atomic_store_explicit(&r->head, head, KM_ORDER(LINES_R2, release));
	if (r->get_known > (int32_t)KM_LINES_AHEAD)
		return; /* all of them are on their way */
	/* relaxed: decides what is fetched ahead, nothing else */
	r->get_known = (int32_t)(atomic_load_explicit(&r->tail, memory_order_relaxed) - head);
	for (i = 0; i < (int32_t)KM_LINES_AHEAD && i < r->get_known; i++) {
		__builtin_prefetch(slot);
		if (++slot == r->get_end)
			slot = r->get_base;
	}
}
