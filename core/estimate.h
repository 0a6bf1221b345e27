/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/estimate.h - how long hits and misses take, as means of what was seen.
 *
 * Agents send samples; a background thread keeps decayed means and publishes an
 * immutable table every period, which the dispatcher and the agents read. The
 * means survive a restart in a file. No learning: Kamino, OSDI '25, section 5.
 */
#ifndef KM_CORE_ESTIMATE_H
#define KM_CORE_ESTIMATE_H

#include <stdint.h>

#include "core/type.h"
#include "lib/diag.h"
#include "lib/snap.h"

/* An estimate never exceeds this (about 18 minutes), so sums cannot overflow. */
#define KM_EST_NS_MAX ((UINT64_C(1) << 40) - 1)

/* The published table. All times in nanoseconds, at most KM_EST_NS_MAX. */
struct km_estimates {
	struct km_snap_head head; /* first: km_snap_retire() */
	uint32_t type_cap, rule_nr;
	uint64_t build_ns; /* consolidation, choice and commit after a top-level miss */
	uint64_t miss_all_ns; /* every rule missed, and build_ns */
	uint64_t hit_all_ns; /* every rule hit, and build_ns: the least a top-level miss takes */
	uint64_t rule_hit_ns[KM_RULES_MAX], rule_miss_ns[KM_RULES_MAX];
	uint64_t any_hit_ns; /* a top-level hit of a type that nothing is known of */
	uint64_t *type_hit_ns; /* [type_cap], in the same allocation */

	/* what every decision would derive from the above; valid when summed is set */
	bool summed;
	uint64_t least_miss_ns,
		most_miss_ns; /* a top-level miss with the rules at their best, worst */
	uint64_t rule_saved_ns[KM_RULES_MAX]; /* miss less hit; wraps when a hit takes longer */
};

/** km_estimates_sum() - derive what stands behind summed; the rest of @table is final. */
void km_estimates_sum(struct km_estimates *table);

enum km_sample_kind {
	KM_SAMPLE_TYPE_HIT, /* id = type id: the whole request */
	KM_SAMPLE_RULE_HIT, /* id = rule index: bringing one object up to date */
	KM_SAMPLE_RULE_MISS, /* id = rule index: evaluating it from scratch */
	KM_SAMPLE_BUILD, /* the rest of a request that missed on top */
};

/*
 * A sample is one non-zero ring handle: kind in bits 62-63, id in 40-61, time
 * in 0-39 (never 0).
 */
static inline uint64_t km_sample_pack(enum km_sample_kind kind, uint32_t id, uint64_t ns)
{
	ns = ns > KM_EST_NS_MAX ? KM_EST_NS_MAX : ns ? ns : 1;
	return (uint64_t)kind << 62 | (uint64_t)(id & 0x3fffff) << 40 | ns;
}

static inline enum km_sample_kind km_sample_kind(uint64_t sample)
{
	return (enum km_sample_kind)(sample >> 62);
}

static inline uint32_t km_sample_id(uint64_t sample)
{
	return (uint32_t)(sample >> 40) & 0x3fffff;
}

static inline uint64_t km_sample_ns(uint64_t sample)
{
	return sample & KM_EST_NS_MAX;
}

struct km_estimator;

/**
 * km_estimator_create() - no samples yet: tables hold the defaults.
 * @type_cap: type ids are 0..type_cap - 1. @rules: [rule_nr], kept by the caller.
 * Return: 0; -ENOMEM.
 */
int km_estimator_create(struct km_estimator **out, uint32_t type_cap, uint32_t rule_nr,
			const struct km_rule_desc *rules) KM_MUST_CHECK;

/** km_estimator_destroy() - free it; NULL is allowed. */
void km_estimator_destroy(struct km_estimator *est);

/** km_estimator_add() - count one sample; an id out of bounds is ignored. */
void km_estimator_add(struct km_estimator *est, uint64_t sample);

/**
 * km_estimator_name() - type id @id now means the type of @hash (0 = nothing yet).
 * Forgets what the id meant before; what a file said of @hash comes back.
 */
void km_estimator_name(struct km_estimator *est, uint32_t id, uint64_t hash);

/**
 * km_estimator_table() - the current means as a table for km_snap_publish().
 *
 * A type without samples gets the mean of all top-level hits; a rule without
 * gets the mean over the rules that have some, then a default.
 * Return: NULL when out of memory; free with km_estimates_free().
 */
struct km_estimates *km_estimator_table(const struct km_estimator *est);

/**
 * km_estimator_refresh() - bring a table of km_estimator_table() up to date in place.
 * @table: of this estimator, the only one that is refreshed, with no other reader.
 *
 * For the simulator, which publishes every few dozen requests. Ids that have never
 * been named or sampled keep what they had; all else is as in a new table.
 * Progress: O(rules, types sampled or named since the last time, types named and
 * never sampled).
 */
void km_estimator_refresh(struct km_estimator *est, struct km_estimates *table);

/** km_estimates_free() - what km_snap_retire() calls on a table after its grace period. */
void km_estimates_free(struct km_snap_head *head);

/**
 * km_estimator_load() - take over what an earlier run saved, or nothing of it.
 * Return: 0; -ENOENT when there is no file; -EINVAL with line and reason; -errno.
 */
int km_estimator_load(struct km_estimator *est, const char *path,
		      struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_estimator_save() - write to a temporary file beside @path, sync, rename.
 * Return: 0, or -errno with the reason; then @path is as it was.
 */
int km_estimator_save(const struct km_estimator *est, const char *path,
		      struct km_diag *diag) KM_MUST_CHECK;

#endif
