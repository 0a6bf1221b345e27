/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/digest.h - the published, immutable list of what one agent has cached,
 * with the last changes that led to it.
 *
 * Built by the agent when its cache's version changed, published through
 * lib/snap.h, folded by the dispatcher into its own bitmaps: by the log alone
 * when that reaches back to the version it folded last, else by all keys.
 *
 * No change is lost (D1): a version is one change, and the log ends with the
 * digest's version. Who holds version v of a digest of version v + n therefore
 * misses its last n changes, and knows when the log has fewer than n.
 */
#ifndef KM_CACHE_DIGEST_H
#define KM_CACHE_DIGEST_H

#include "cache/cache.h"
#include "lib/snap.h"

struct km_digest {
	struct km_snap_head head; /* first: km_snap_retire() */
	uint64_t version; /* km_cache_version() when built */
	uint32_t log_nr; /* 0: it says only what is there */
	uint32_t nr[KM_CACHE_LEVEL_NR];
	/* both into the same allocation */
	struct km_change *log; /* oldest first; the last one led to version */
	struct km_key *keys[KM_CACHE_LEVEL_NR];
};

/**
 * km_digest_create() - list @cache and its last changes.
 * Context: the agent; allocates. Return: NULL when out of memory.
 */
struct km_digest *km_digest_create(const struct km_cache *cache);

/**
 * km_digest_publish() - make @digest current in @snap and retire the one before.
 * @digest: NULL withdraws (at stop). Context: a started thread (lib/snap.h).
 */
void km_digest_publish(struct km_snap *snap, struct km_digest *digest);

#endif
