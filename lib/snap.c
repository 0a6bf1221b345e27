/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/snap.h"

#include <pthread.h>

#ifdef KM_SNAP_TSAN
char km_snap_domain;
#endif

void km_snap_thread_start(void)
{
	urcu_qsbr_register_thread();
	/* The helper thread is made here, not by the first retire. */
	urcu_qsbr_get_default_call_rcu_data();
}

void km_snap_thread_stop(void)
{
	KM_SNAP_TSAN_RELEASE();
	urcu_qsbr_unregister_thread();
}

static void free_after_grace(struct rcu_head *rcu)
{
	struct km_snap_head *head = km_container_of(rcu, struct km_snap_head, rcu);

	/* SNAP_G1 pairs with every km_snap_quiesce(): the readers left, then we free. */
	KM_SNAP_TSAN_ACQUIRE();
	head->free(head);
}

void km_snap_retire(struct km_snap_head *head, void (*free)(struct km_snap_head *head))
{
	head->free = free;
	if (KM_IS_BROKEN(SNAP_G1)) {
		free(head);
		return;
	}
	/*
	 * The retiring thread wrote the snapshot; liburcu's queue hands it to
	 * the helper, which ThreadSanitizer does not see either.
	 */
	KM_SNAP_TSAN_RELEASE();
	urcu_qsbr_call_rcu(&head->rcu, free_after_grace);
}

/* Sync: drain_lock */
struct drain {
	struct rcu_head rcu;
	bool done;
};

static pthread_mutex_t drain_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t drain_cond = PTHREAD_COND_INITIALIZER;

static void drained(struct rcu_head *rcu)
{
	struct drain *drain = km_container_of(rcu, struct drain, rcu);

	pthread_mutex_lock(&drain_lock);
	drain->done = true;
	pthread_cond_broadcast(&drain_cond);
	pthread_mutex_unlock(&drain_lock);
}

/*
 * The helper runs what it is given in order, so whatever was retired before
 * is freed when this callback runs. (urcu_qsbr_barrier() does the same, but
 * ThreadSanitizer sees only half of it and reports a race.)
 */
void km_snap_drain(void)
{
	struct drain drain = { .done = false };

	urcu_qsbr_call_rcu(&drain.rcu, drained);
	km_snap_offline();
	pthread_mutex_lock(&drain_lock);
	while (!drain.done)
		pthread_cond_wait(&drain_cond, &drain_lock);
	pthread_mutex_unlock(&drain_lock);
	km_snap_online();
}
