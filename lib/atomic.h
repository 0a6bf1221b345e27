/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/atomic.h - what <stdatomic.h> lacks: labelled orders that a build can
 * break on purpose, the one full fence, and the pause of a spinning thread.
 *
 * An ordering label is written KM_ORDER(SPSC_R1, release). A build with
 * BREAK=SPSC_R1 weakens that one access to relaxed; "make check-breaks"
 * demands that a test then fails.
 */
#ifndef KM_LIB_ATOMIC_H
#define KM_LIB_ATOMIC_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

/* Two 64-byte lines: the neighbour of a line is prefetched with it. */
#define KM_SHARE_BYTES 128

/* 1 when KM_BREAK_<label> is defined as 1 on the command line, else 0. */
#define KM_IS_BROKEN__3(skip, value, ...) value
#define KM_IS_BROKEN__2(arg_or_junk) KM_IS_BROKEN__3(arg_or_junk 1, 0, 0)
#define KM_BREAK_ARG__1 0,
#define KM_IS_BROKEN__1(value) KM_IS_BROKEN__2(KM_BREAK_ARG__##value)
#define KM_IS_BROKEN__0(value) KM_IS_BROKEN__1(value)
#define KM_IS_BROKEN(label) KM_IS_BROKEN__0(KM_BREAK_##label)

#define KM_ORDER(label, order) (KM_IS_BROKEN(label) ? memory_order_relaxed : memory_order_##order)

/*
 * gcc warns of every fence it compiles for ThreadSanitizer, which indeed does
 * not see them. Called by its own name the fence is the same and quiet; what
 * it orders is checked by a litmus test instead.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_atomic_thread_fence(int order);
#define KM_FENCE__SEQ_CST() __tsan_atomic_thread_fence(__ATOMIC_SEQ_CST)
#else
#define KM_FENCE__SEQ_CST() atomic_thread_fence(memory_order_seq_cst)
#endif

/*
 * Full fence: orders an earlier store before a later load. With a label, so
 * that its broken twin (a compiler fence) can be built.
 */
#define km_smp_mb(label)                                           \
	do {                                                       \
		if (KM_IS_BROKEN(label))                           \
			atomic_signal_fence(memory_order_seq_cst); \
		else                                               \
			KM_FENCE__SEQ_CST();                       \
	} while (0)

/* A read that may be stale; the caller says why any value is safe. */
#define km_read_racy(ptr) atomic_load_explicit((ptr), memory_order_relaxed)

static inline void km_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
