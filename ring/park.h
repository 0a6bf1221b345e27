/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring/park.h - a thread sleeps until others have work for it: one waiter, many wakers.
 *
 * An eventcount on a futex. The one word holds the mask of what the waiter
 * sleeps for, 0 while it is awake:
 *
 *	waiter				waker
 *	word = mask			make the change visible
 *	PARK_F1				PARK_F2
 *	look for changes		look at the word
 *	none: sleep while word == mask	has my bit: word = 0, wake
 *
 * With both fences at least one of the two sees the other (I1: no change is
 * slept over). Whoever turns the word to 0 also wakes (I2), so a burst of
 * wakers makes one system call, and an awake waiter costs them none. A wake
 * may come late, for an earlier sleep: then the waiter wakes, finds nothing
 * and prepares again.
 *
 * Not promised: a waker that is preempted between the two halves of its wake
 * holds up the wakes of others until it runs again.
 *
 * The word carries no data: whatever is handed over has an order of its own.
 * Model: Documentation/litmus/park.pml. Source: Vyukov, "Eventcounts",
 * 1024cores.net; Drepper, "Futexes Are Tricky", 2011.
 */
#ifndef KM_RING_PARK_H
#define KM_RING_PARK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/atomic.h"
#include "lib/base.h"

#define KM_PARK_FOREVER UINT64_MAX

struct km_park {
	/* written by init only */
	alignas(KM_SHARE_BYTES) bool never_parks; /* the waiter owns its core and spins */

	/* waiter stores a mask or 0, wakers store 0; apart, so that looking at the flag is free */
	alignas(KM_SHARE_BYTES) _Atomic uint32_t word;
};
static_assert(offsetof(struct km_park, word) - offsetof(struct km_park, never_parks) >=
		      KM_SHARE_BYTES,
	      "looking at the flag does not touch the waiter's line");

/**
 * km_park_init() - nobody waits.
 * @never_parks: the waiter never sleeps, so wakers need no fence and no look:
 *	km_park_wait() returns at once, km_park_wake() does nothing.
 */
void km_park_init(struct km_park *p, bool never_parks);

/**
 * km_park_prepare() - announce a sleep; then look for changes once more.
 * @mask: bits of the changes that shall wake; not 0.
 *
 * Context: the waiter. After it comes either km_park_cancel() or km_park_wait().
 * Return: the key for km_park_wait().
 */
static inline uint32_t km_park_prepare(struct km_park *p, uint32_t mask)
{
	if (p->never_parks)
		return mask;
	/* relaxed: the fence below orders it, and the kernel compares it again */
	atomic_store_explicit(&p->word, mask, memory_order_relaxed);
	/* PARK_F1 pairs with PARK_F2 in km_park_wake(): our mask, then their change. */
	km_smp_mb(PARK_F1);
	return mask;
}

/** km_park_cancel() - there is something to do: do not sleep. Context: the waiter. */
static inline void km_park_cancel(struct km_park *p)
{
	if (p->never_parks)
		return;
	/* relaxed: a waker that still sees the mask makes one needless call */
	atomic_store_explicit(&p->word, 0, memory_order_relaxed);
}

/**
 * km_park_wait() - sleep until a bit of the mask is woken.
 * @key: from km_park_prepare().
 * @timeout_ns: at most about this long; KM_PARK_FOREVER = no limit.
 *
 * May return early for no reason (a late wake, a signal); the caller looks for
 * changes in any case, also after a timeout. A reader of snapshots goes
 * offline around it.
 *
 * Context: the waiter. Return: false when the time was up, true otherwise.
 */
bool km_park_wait(struct km_park *p, uint32_t key, uint64_t timeout_ns);

/**
 * km_park_wake_slow() - the rest of km_park_wake(): the waiter sleeps, or is about to.
 * Context: km_park_wake() only. Makes a system call, unless another waker came first.
 */
void km_park_wake_slow(struct km_park *p);

/**
 * km_park_wake() - wake the waiter if it sleeps for one of @bits.
 * @bits: what has changed. The change was stored before the call, by any order.
 *
 * Context: any thread. Progress: wait-free; a system call only when the
 * waiter sleeps or is about to.
 */
static inline void km_park_wake(struct km_park *p, uint32_t bits)
{
	if (p->never_parks)
		return;
	/* PARK_F2 pairs with PARK_F1 in km_park_prepare(): our change, then their mask. */
	km_smp_mb(PARK_F2);
	/* relaxed: ordered by the fence */
	if (km_unlikely(atomic_load_explicit(&p->word, memory_order_relaxed) & bits))
		km_park_wake_slow(p);
}

/**
 * struct km_park_await - how km_park_await() waits.
 * @ready: looks for changes; called any number of times.
 * @ctx: its argument.
 * @mask: bits that shall wake.
 * @spin_nr: looks before it sleeps; 0 unless the waiter owns its core.
 * @timeout_ns: for each sleep; KM_PARK_FOREVER = no limit.
 */
struct km_park_await {
	bool (*ready)(void *ctx);
	void *ctx;
	uint32_t mask;
	uint32_t spin_nr;
	uint64_t timeout_ns;
};

/**
 * km_park_await() - look, spin, then sleep until @how->ready() says yes or time is up.
 *
 * With never_parks it looks until yes, and keeps no time. A reader of
 * snapshots goes offline around it.
 *
 * Context: the waiter. Return: the last answer of @how->ready().
 */
bool km_park_await(struct km_park *p, const struct km_park_await *how);

#endif
