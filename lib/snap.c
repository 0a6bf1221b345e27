/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/snap.h"

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

void km_snap_drain(void)
{
	km_snap_offline();
	urcu_qsbr_barrier();
	KM_SNAP_TSAN_ACQUIRE();
	km_snap_online();
}
