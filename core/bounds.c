/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/bounds.h"

#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"

struct km_bounds *km_bounds_create(uint32_t agent_nr)
{
	/* Scans look at up to 16 groups at a time. */
	const uint32_t group_nr = KM_DIV_UP(agent_nr, 16 * KM_GROUP_AGENT_NR) * 16;
	const size_t word_nr = (size_t)group_nr * (KM_GROUP_AGENT_NR + 5);
	struct km_bounds *bounds = calloc(1, sizeof(*bounds));
	uint32_t i;

	if (!bounds)
		return NULL;
	bounds->tick = aligned_alloc(KM_SHARE_BYTES,
				     KM_DIV_UP(word_nr * sizeof(uint32_t), KM_SHARE_BYTES) *
					     KM_SHARE_BYTES);
	if (!bounds->tick) {
		free(bounds);
		return NULL;
	}
	memset(bounds->tick, 0, word_nr * sizeof(uint32_t));
	bounds->agent_nr = agent_nr;
	bounds->group_nr = group_nr;
	bounds->first = bounds->tick + group_nr * KM_GROUP_AGENT_NR;
	bounds->rest = bounds->first + group_nr;
	bounds->early = bounds->rest + group_nr;
	bounds->key = bounds->early + group_nr;
	bounds->least = bounds->key + group_nr;
	for (i = 0; i < KM_RULES_MAX; i++)
		bounds->rule_order[i] = (uint8_t)i;
	for (i = agent_nr; i < group_nr * KM_GROUP_AGENT_NR; i++)
		bounds->tick[i] = KM_TICK_MAX;
	for (i = KM_DIV_UP(agent_nr, KM_GROUP_AGENT_NR); i < group_nr; i++)
		bounds->first[i] = bounds->rest[i] = KM_TICK_MAX;
	return bounds;
}

void km_bounds_destroy(struct km_bounds *bounds)
{
	if (!bounds)
		return;
	free(bounds->tick);
	free(bounds);
}

static void move(uint32_t *tick, uint32_t nr, uint64_t by)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		tick[i] = tick[i] > by ? tick[i] - (uint32_t)by : 0;
}

void km_bounds_move(struct km_bounds *bounds, uint64_t now_ns)
{
	const uint64_t by = (now_ns - bounds->epoch_ns) >> KM_TICK_SHIFT;
	const uint32_t group_nr = KM_DIV_UP(bounds->agent_nr, KM_GROUP_AGENT_NR);

	move(bounds->tick, bounds->agent_nr, by);
	move(bounds->first, group_nr, by);
	move(bounds->rest, group_nr, by);
	bounds->epoch_ns += by << KM_TICK_SHIFT;
}
