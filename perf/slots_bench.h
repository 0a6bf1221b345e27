/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/slots_bench.h - what the memory of a cache slot costs.
 *
 * Measured, for slots of 10 to 100 MiB: getting one, writing a byte to each of its
 * 4 KiB pages, giving it back; and the page faults of all three. Ways to get one:
 *   slot, new		the first of a new arena
 *   slot, prefaulted	the same, its pages backed in one system call
 *   slot, recycled	the agent's pool, as in the steady state: must fault no page
 *   mmap		mmap() and munmap()
 *   malloc, glibc	the C library's
 *   malloc, linked	the process's own malloc(): jemalloc with its defaults
 * on small pages and, where a way can ask for them, on huge ones. What was written
 * is read back before it is given up, outside of the timed part.
 *
 * Left out: what filling a slot costs (bench rules); making an arena. A page that is
 * written lies in no cache, so the least is a memory access a page, not nothing. Not
 * shown: binding to nodes; memory that a virtual host has not backed yet, which the
 * first round, that does not count, asks for.
 */
#ifndef KM_PERF_SLOTS_BENCH_H
#define KM_PERF_SLOTS_BENCH_H

#include "perf/rows.h"

struct km_bench_slots_cfg {
	const uint32_t *mib; /* [mib_nr] */
	uint32_t mib_nr;
};

/**
 * km_bench_slots() - measure.
 * Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a recycled slot faulted each time, or
 * what was written was not there.
 */
int km_bench_slots(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
