/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/mpsc.h"

#include <errno.h>
#include <stdlib.h>

int km_mpsc_init(struct km_mpsc *q, uint32_t slot_nr)
{
	uint32_t i;

	if (slot_nr < KM_MPSC_SLOTS_MIN || slot_nr > KM_MPSC_SLOTS_MAX || (slot_nr & (slot_nr - 1)))
		return -EINVAL;
	/* whole share units, so that no neighbour on the heap shares the last line */
	q->slots = aligned_alloc(KM_SHARE_BYTES,
				 KM_DIV_UP(slot_nr * sizeof(q->slots[0]), KM_SHARE_BYTES) *
					 KM_SHARE_BYTES);
	if (!q->slots)
		return -ENOMEM;
	for (i = 0; i < slot_nr; i++) {
		atomic_init(&q->slots[i].seq, i);
		q->slots[i].handle = 0;
	}
	q->slot_mask = slot_nr - 1;
	atomic_init(&q->tail, 0);
	q->head = 0;
	return 0;
}

void km_mpsc_fini(struct km_mpsc *q)
{
	free(q->slots);
	q->slots = NULL;
}
