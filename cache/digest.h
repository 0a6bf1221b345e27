/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/digest.h - the published, immutable list of what one agent has cached.
 *
 * Built by the agent when its cache's version changed, published through
 * lib/snap.h, folded by the dispatcher into its own bitmaps.
 */
#ifndef KM_CACHE_DIGEST_H
#define KM_CACHE_DIGEST_H

#include "cache/cache.h"
#include "lib/snap.h"

struct km_digest {
	struct km_snap_head head; /* first: km_snap_retire() */
	uint64_t version; /* km_cache_version() when built */
	uint32_t nr[KM_CACHE_LEVEL_NR];
	struct km_key *keys[KM_CACHE_LEVEL_NR]; /* into the same allocation */
};

/**
 * km_digest_create() - list @cache.
 * Context: the agent; allocates. Return: NULL when out of memory.
 */
struct km_digest *km_digest_create(const struct km_cache *cache);

/**
 * km_digest_publish() - make @digest current in @snap and retire the one before.
 * @digest: NULL withdraws (at stop). Context: a started thread (lib/snap.h).
 */
void km_digest_publish(struct km_snap *snap, struct km_digest *digest);

#endif
