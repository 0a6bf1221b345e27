/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/snap.h - immutable snapshots, published by one thread and read by many.
 *
 * The only user of liburcu, in its QSBR flavour: a reader's section costs
 * nothing, in return each registered thread says now and then that it holds
 * no snapshot (km_snap_quiesce()) or that it will hold none for a while
 * (km_snap_offline(), before it blocks). A retired snapshot is freed once
 * every online thread has said so.
 *
 * Orders: SNAP_R1 publishes the contents, SNAP_A1 reads them, SNAP_G1 is the
 * grace period between a retire and its free. ThreadSanitizer does not see
 * into liburcu 0.13, so the wrappers tell it of the quiescent states and the
 * end of the grace period.
 *
 * Source: Desnoyers et al., "User-Level Implementations of Read-Copy
 * Update", TPDS 23(2), 2012.
 */
#ifndef KM_LIB_SNAP_H
#define KM_LIB_SNAP_H

#if defined(__SANITIZE_THREAD__)
#define KM_SNAP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KM_SNAP_TSAN 1
#endif
#endif

/*
 * Inlined, except under ThreadSanitizer, which would take liburcu's own plain
 * accesses for races; those of the shared library it does not see.
 */
#if !defined(KM_SNAP_TSAN) && !defined(_LGPL_SOURCE)
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-qsbr.h>

#include "lib/atomic.h"
#include "lib/base.h"

#ifdef KM_SNAP_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
extern char km_snap_domain;
#define KM_SNAP_TSAN_RELEASE() __tsan_release(&km_snap_domain)
#define KM_SNAP_TSAN_ACQUIRE() __tsan_acquire(&km_snap_domain)
#else
#define KM_SNAP_TSAN_RELEASE() ((void)0)
#define KM_SNAP_TSAN_ACQUIRE() ((void)0)
#endif

/* Where the current snapshot hangs. One writer at a time. */
struct km_snap {
	_Atomic(void *) current;
};

/* First member of everything that is published; owned by km_snap_retire(). */
struct km_snap_head {
	struct rcu_head rcu;
	void (*free)(struct km_snap_head *head);
};

/**
 * km_snap_thread_start() - let this thread read, publish and retire; it is online.
 * Context: each such thread once, before its first section. Allocates.
 */
void km_snap_thread_start(void);

/** km_snap_thread_stop() - undo km_snap_thread_start(), in the same thread. */
void km_snap_thread_stop(void);

/**
 * km_snap_retire() - have @free called on @head after a grace period.
 * @head: unreachable for new readers: its successor is published.
 *
 * @free runs in a helper thread. Context: a started thread. Progress: lock-free.
 */
void km_snap_retire(struct km_snap_head *head, void (*free)(struct km_snap_head *head));

/**
 * km_snap_drain() - wait until all that was retired before is freed.
 * Context: a started thread outside a section; goes offline meanwhile.
 */
void km_snap_drain(void);

/*
 * This thread holds no snapshot now. About 1 ns when no grace period waits.
 * Pairs with SNAP_G1 in free_after_grace().
 */
static inline void km_snap_quiesce(void)
{
	KM_SNAP_TSAN_RELEASE();
	urcu_qsbr_quiescent_state();
}

/* This thread holds no snapshot until km_snap_online(): around every wait. */
static inline void km_snap_offline(void)
{
	KM_SNAP_TSAN_RELEASE();
	urcu_qsbr_thread_offline();
}

static inline void km_snap_online(void)
{
	urcu_qsbr_thread_online();
}

static inline void km_snap_enter(void)
{
	urcu_qsbr_read_lock();
}

static inline void km_snap_leave(void)
{
	urcu_qsbr_read_unlock();
}

/* The current snapshot or NULL; valid until km_snap_leave(). */
static inline void *km_snap_read(const struct km_snap *snap)
{
	/* SNAP_A1 pairs with SNAP_R1 in km_snap_publish(): the pointer, then the contents. */
	return atomic_load_explicit(&snap->current, KM_ORDER(SNAP_A1, acquire));
}

/* Make @next current; returns the one before, for km_snap_retire(), or NULL. */
static inline void *km_snap_publish(struct km_snap *snap, void *next)
{
	/* relaxed: only the publisher stores current */
	void *last = atomic_load_explicit(&snap->current, memory_order_relaxed);

	/* SNAP_R1 pairs with SNAP_A1 in km_snap_read(): the contents, then the pointer. */
	atomic_store_explicit(&snap->current, next, KM_ORDER(SNAP_R1, release));
	return last;
}

#endif
