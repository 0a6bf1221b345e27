/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/digest.h"

#include <stdlib.h>

static void digest_free(struct km_snap_head *head)
{
	free(km_container_of(head, struct km_digest, head));
}

struct km_digest *km_digest_create(const struct km_cache *cache)
{
	const struct km_cache_stats *stats = km_cache_stats(cache);
	const size_t nr =
		(size_t)stats->present_nr[KM_CACHE_TOP] + stats->present_nr[KM_CACHE_RULE];
	struct km_digest *digest;
	struct km_key *keys;
	uint32_t level;

	digest = malloc(sizeof(*digest) + KM_CACHE_LOG_NR * sizeof(struct km_change) +
			nr * sizeof(struct km_key));
	if (!digest)
		return NULL;
	*digest = (struct km_digest){ .version = km_cache_version(cache) };
	digest->log = (struct km_change *)(digest + 1);
	digest->log_nr = km_cache_log(cache, digest->log);
	keys = (struct km_key *)(digest->log + digest->log_nr);
	for (level = 0; level < KM_CACHE_LEVEL_NR; level++) {
		digest->keys[level] = keys;
		digest->nr[level] = km_cache_keys(cache, level, keys);
		keys += digest->nr[level];
	}
	return digest;
}

void km_digest_publish(struct km_snap *snap, struct km_digest *digest)
{
	struct km_digest *last = km_snap_publish(snap, digest);

	if (last)
		km_snap_retire(&last->head, digest_free);
}
