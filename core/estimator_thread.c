/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/estimator_thread.c - the background thread that turns samples into tables.
 */
#include "core/runtime_internal.h"
#include "lib/clock.h"

static void drain_samples(struct km_runtime *rt)
{
	const struct km_sample_tap *tap = rt->cfg.tap;
	uint64_t sample;
	uint32_t i;

	for (i = 0; i < rt->agent_nr; i++)
		while ((sample = km_spsc_pop(&rt->agent[i]->samples))) {
			km_estimator_add(rt->estimator, sample);
			if (tap)
				tap->sample(tap->ctx, sample);
		}
}

static void learn_names(struct km_runtime *rt)
{
	const struct km_sample_tap *tap = rt->cfg.tap;
	uint64_t hash;
	uint32_t id;

	for (id = 0; id < rt->cfg.type_cap; id++) {
		/* relaxed: any value the dispatcher wrote will do, see name_type() */
		hash = atomic_load_explicit(&rt->type_hash[id], memory_order_relaxed);
		km_estimator_name(rt->estimator, id, hash);
		if (tap && hash)
			tap->name(tap->ctx, id, hash);
	}
}

/* When out of memory the old table stays current. */
static void publish_table(struct km_runtime *rt)
{
	struct km_estimates *table = km_estimator_table(rt->estimator), *last;

	if (!table)
		return;
	last = km_snap_publish(&rt->estimates, table);
	if (last)
		km_snap_retire(&last->head, km_estimates_free);
	rt->estimate_tables++;
}

static bool is_stopped(void *ctx)
{
	struct km_runtime *rt = ctx;

	/* relaxed: the join orders the rest */
	return atomic_load_explicit(&rt->estimator_stop, memory_order_relaxed);
}

void *km_estimator_main(void *ctx)
{
	struct km_runtime *rt = ctx;
	const struct km_park_await how = {
		.ready = is_stopped,
		.ctx = rt,
		.mask = KM_WAKE_STOP,
		.timeout_ns = rt->cfg.estimate_period_ns,
	};
	bool stop;

	km_snap_thread_start();
	pthread_setname_np(pthread_self(), "km-estimator");
	sem_post(&rt->started);
	do {
		km_snap_offline();
		stop = km_park_await(&rt->estimator_park, &how);
		km_snap_online();
		learn_names(rt);
		drain_samples(rt);
		publish_table(rt);
	} while (!stop);
	km_snap_thread_stop();
	return NULL;
}
