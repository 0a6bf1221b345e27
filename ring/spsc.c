/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/spsc.h"

#include <errno.h>
#include <stdlib.h>

int km_spsc_init(struct km_spsc *r, uint32_t slot_nr)
{
	uint32_t i;

	if (slot_nr < KM_SPSC_SLOTS_MIN || slot_nr > KM_SPSC_SLOTS_MAX || (slot_nr & (slot_nr - 1)))
		return -EINVAL;
	/* whole share units, so that no neighbour on the heap shares the last line */
	r->slots = aligned_alloc(KM_SHARE_BYTES,
				 KM_DIV_UP(slot_nr * sizeof(r->slots[0]), KM_SHARE_BYTES) *
					 KM_SHARE_BYTES);
	if (!r->slots)
		return -ENOMEM;
	for (i = 0; i < slot_nr; i++)
		atomic_init(&r->slots[i], 0);
	r->slot_mask = slot_nr - 1;
	r->tail = 0;
	r->head = 0;
	return 0;
}

void km_spsc_fini(struct km_spsc *r)
{
	free((void *)r->slots);
	r->slots = NULL;
}
