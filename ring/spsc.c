/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/spsc.h"

#include <errno.h>
#include <stdlib.h>

/* What is told seldom costs slots: a small ring tells every line. */
static uint32_t tell_every(uint32_t slot_nr)
{
	return slot_nr >= 4 * KM_SPSC_TELL ? KM_SPSC_TELL : KM_SPSC_LINE;
}

int km_spsc_init(struct km_spsc *r, uint32_t slot_nr)
{
	uint32_t nr, i;

	if (slot_nr < KM_SPSC_SLOTS_MIN || slot_nr > KM_SPSC_SLOTS_MAX || (slot_nr & (slot_nr - 1)))
		return -EINVAL;
	/* Whole lines: those asked for, those taken and not told yet. */
	nr = KM_DIV_UP(slot_nr, KM_SPSC_LINE) * KM_SPSC_LINE + tell_every(slot_nr);
	/* whole share units, so that no neighbour on the heap shares the last line */
	r->slots =
		aligned_alloc(KM_SHARE_BYTES,
			      KM_DIV_UP(nr * sizeof(r->slots[0]), KM_SHARE_BYTES) * KM_SHARE_BYTES);
	if (!r->slots)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		atomic_init(&r->slots[i], 0);
	r->put = r->get = r->get_base = r->slots;
	r->put_end = r->get_end = r->slots + nr;
	r->put_stop = r->slots + nr - 1; /* see km_spsc_look() */
	r->get_empty = r->slots;
	r->put_lap = r->get_lap = r->tail_seen = 0;
	r->put_tell = r->get_tell = tell_every(slot_nr) - 1;
	atomic_init(&r->tail, 0);
	atomic_init(&r->head, 0);
	return 0;
}

void km_spsc_fini(struct km_spsc *r)
{
	free((void *)r->slots);
	r->slots = NULL;
}

uint32_t km_spsc_look(struct km_spsc *r)
{
	const uint32_t nr = (uint32_t)(r->put_end - r->slots);
	/* SPSC_A2 pairs with SPSC_R2 in km_spsc_get_line(): the head, then the lines it frees. */
	const uint32_t head = atomic_load_explicit(&r->head, KM_ORDER(SPSC_A2, acquire));
	const uint32_t tail = r->put_lap + (uint32_t)(r->put - r->slots);
	/* One slot stays free: the stop of an empty ring must differ from its put. */
	const uint32_t room = head + nr - 1 - tail;

	r->put_stop = r->put + room;
	if (r->put_stop >= r->put_end)
		r->put_stop -= nr;
	return room;
}

uint64_t km_spsc_stand_back(struct km_spsc *r)
{
	ptrdiff_t run = r->get - r->get_empty;
	uint32_t i;

	if (run < 0)
		run += r->get_end - r->get_base;
	r->get_empty = r->get;
	if (run < (ptrdiff_t)KM_SPSC_RUN)
		return 0;
	for (i = 0; i < KM_SPSC_BACK; i++)
		km_cpu_relax();
	return km_spsc_read(r->get);
}
