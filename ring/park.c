/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring/park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "the kernel sees the word as it is");

void km_park_init(struct km_park *p, bool never_parks)
{
	p->never_parks = never_parks;
	atomic_init(&p->word, 0);
}

/* Return: false when the time was up. */
static bool sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct timespec ts, *limit = NULL;

	if (timeout_ns != KM_PARK_FOREVER) {
		ts.tv_sec = (time_t)(timeout_ns / NS_PER_S);
		ts.tv_nsec = (long)(timeout_ns % NS_PER_S);
		limit = &ts;
	}
	/* the errors that mean "awake": EAGAIN, the word has changed; EINTR */
	return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, limit, NULL, 0) == 0 ||
	       errno != ETIMEDOUT;
}

bool km_park_wait(struct km_park *p, uint32_t key, uint64_t timeout_ns)
{
	bool woken;

	if (p->never_parks) {
		km_cpu_relax();
		return true;
	}
	woken = sleep_while(&p->word, key, timeout_ns);
	/* A waker that found the mask right before the timeout has cleared it. */
	if (!woken && atomic_load_explicit(&p->word, memory_order_relaxed) == 0)
		woken = true; /* relaxed: only the answer depends on it, the caller looks anyway */
	km_park_cancel(p);
	return woken;
}

void km_park_wake_slow(struct km_park *p)
{
	/*
	 * relaxed: the word carries no data. Of all the wakers that saw the
	 * mask one gets it and calls. If it is the mask of a later sleep than
	 * the one we saw, that sleep ends early.
	 */
	if (atomic_exchange_explicit(&p->word, 0, memory_order_relaxed) == 0)
		return;
	syscall(SYS_futex, &p->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool km_park_await(struct km_park *p, const struct km_park_await *how)
{
	uint32_t i = 0, key;

	while (!how->ready(how->ctx)) {
		if (p->never_parks || i < how->spin_nr) {
			i++;
			km_cpu_relax();
			continue;
		}
		key = km_park_prepare(p, how->mask);
		if (how->ready(how->ctx)) {
			km_park_cancel(p);
			return true;
		}
		if (!km_park_wait(p, key, how->timeout_ns))
			return how->ready(how->ctx);
	}
	return true;
}
