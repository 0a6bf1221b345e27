/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/snap_internal.h - what the files of the snap benchmark share.
 */
#ifndef KM_PERF_SNAP_INTERNAL_H
#define KM_PERF_SNAP_INTERNAL_H

#include "perf/snap_bench.h"

/* How old a snapshot is when a thread on env->other_cpu first sees it; a row of its own. */
int km_bench_snap_age(struct km_bench_env *env, double share, struct km_diag *diag);

#endif
