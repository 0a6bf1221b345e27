/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/snap_bench.h - what it costs to tell others of a cache, and to hear of it.
 *
 * Measured on one thread:
 *   reading	a snapshot section with one load in it, a quiescent state; beside a
 *		mutex and a reader's lock around the same load
 *   publishing	an agent's digest of so many keys: listing a real cache; exchanging
 *		the pointer and retiring the one before
 *   folding	a digest into the dispatcher's view of 64 agents, by its size and by
 *		the share of its keys that changed: by comparing all keys, and by a log
 *		that reaches back, of whatever length; beside a plain sum over the keys
 *		of the old and the new digest
 * and across two CPUs the age of what a reader sees: from the clock reading before
 * the publication to the one after the first look that finds it, by a reader that
 * does nothing else; beside the round trip of one line, by which rounds are sorted into
 * near, far and mixed (perf/line.h). The two CPUs' clocks agree to some nanoseconds only.
 *
 * Left out: the free behind a grace period (a helper thread's). One key in eight
 * names a type, the others rule objects. Checked: every value that is read; the bits
 * of the view against the digest folded last. Not shown: the dispatcher's other work
 * between two looks, which adds to the age; several agents that publish at once.
 */
#ifndef KM_PERF_SNAP_BENCH_H
#define KM_PERF_SNAP_BENCH_H

#include "perf/rows.h"

struct km_bench_snap_cfg {
	const uint32_t *keys; /* [key_nr] of a digest */
	const uint32_t *changed; /* [changed_nr] per cent of them */
	uint32_t key_nr, changed_nr;
};

/** km_bench_snap() - measure. Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a check failed. */
int km_bench_snap(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
