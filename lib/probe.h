/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/probe.h - trace points for perf, bpftrace and the like (USDT). The only
 * user of <sys/sdt.h>.
 *
 * A probe is one nop in the code and a note in the ELF file that tells tracers
 * where it is and in which registers or memory its arguments lie. So an argument
 * must be at hand: a variable, or a field of something the code around it holds;
 * nothing is computed for a probe. The request id comes first where there is a
 * request. Documentation/profiling.md lists all of them.
 *
 * Without the header, or with NO_SDT=1, probes are nothing at all.
 */
#ifndef KM_LIB_PROBE_H
#define KM_LIB_PROBE_H

#ifdef KM_HAVE_SDT
#define SDT_USE_VARIADIC
#ifdef __clang__
/* It copies what may lie in a register or in memory to the stack: leave it memory alone. */
#define STAP_SDT_ARG_CONSTRAINT no
#endif
#include <sys/sdt.h>
/* KM_PROBE(name, args...) is the probe kamino:name, of 1 to 12 integers or pointers. */
#define KM_PROBE(name, ...) STAP_PROBEV(kamino, name, __VA_ARGS__)
#else
/** km_no_probe() - never called: what is named for a probe alone is not unused. */
static inline void km_no_probe(int nr, ...)
{
	(void)nr;
}
#define KM_PROBE(name, ...) ((void)(0 && (km_no_probe(0, __VA_ARGS__), 0)))
#endif

#endif
