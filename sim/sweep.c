/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct sweep {
	struct km_sim_point *point;
	uint32_t nr;
	const struct km_sweep_progress *progress;
	_Atomic uint32_t next; /* point that nobody has taken */
	_Atomic bool stop;

	pthread_mutex_t lock;
	uint32_t done_nr; /* Sync: lock */
	uint32_t failed; /* Sync: lock; least index of a failed point, or nr */
	int err; /* Sync: lock */
	struct km_diag diag; /* Sync: lock */
};

static int open_source(const struct km_sim_point *point, struct km_source **source,
		       struct km_diag *diag)
{
	struct km_sim_trace_cfg trace;

	if (!point->trace)
		return km_sim_zone_open(source, point->zone, point->load, point->seed, diag);
	trace = *point->trace;
	if (point->compress > 0)
		trace.compress = point->compress;
	trace.compress *= point->load;
	trace.seed = point->seed;
	return km_sim_trace_open(source, &trace, diag);
}

static int run_point(struct km_sim_point *point, const struct km_sim_cfg *cfg, struct km_diag *diag)
{
	struct km_sim_cfg mine = *cfg;
	struct km_source *source;
	struct km_costs *costs;
	int err = open_source(point, &source, diag);

	if (err)
		return err;
	if (point->costs_path)
		err = km_costs_load(&costs, point->costs_path, source->rule_nr, source->rules,
				    diag);
	else
		err = km_costs_create_drawn(&costs, &point->zone->cost, source->rule_nr,
					    source->rules, point->zone->seed, diag);
	if (!err) {
		mine.source = source;
		mine.costs = costs;
		err = km_sim_run(point->result, &mine, diag);
		km_costs_destroy(costs);
	}
	source->destroy(source);
	return err;
}

/* Of this thread: what a simulation costs, however busy the machine is. */
static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int km_sim_point_run(struct km_sim_point *point, struct km_diag *diag)
{
	const struct km_sim_zone *zone = point->zone;
	const double mib = 1048576;
	const struct km_sim_cfg cfg = {
		.policy = point->policy,
		.agent_nr = point->agent_nr,
		.type_cap = point->type_cap,
		.rule_obj_cap = point->rule_obj_cap,
		.cache_bytes = point->cache_bytes
				       ? point->cache_bytes
				       : (uint64_t)(zone->cache_mib * point->cache * mib /
						    (point->agent_nr ? point->agent_nr : 1)),
		.rule_bytes = (uint64_t)(zone->rule_mib * mib),
		.top_bytes = (uint64_t)(zone->top_mib * mib),
		.age_ns = (uint64_t)(zone->age_s * 1e9),
		.idle_lag = zone->idle_lag,
		.estimate_period_ns = point->estimate_period_ns,
		.request_max = point->request_max,
		.warmup_nr = point->warmup_nr,
		.count_serving = !point->no_in_service,
		.accuracy = point->accuracy,
		.check = point->check,
		.series = point->series,
		.conflict_servers = point->conflict_servers,
		.seed = point->seed,
	};
	double start_s = cpu_s();
	int err;

	point->result = calloc(1, sizeof(*point->result));
	if (!point->result)
		return -ENOMEM;
	err = run_point(point, &cfg, diag);
	point->cpu_s = cpu_s() - start_s;
	if (err) {
		km_sim_result_fini(point->result);
		free(point->result);
		point->result = NULL;
	}
	return err;
}

/* So far apart on average that queues stay short, and so the times mean something. */
#define APART_NS 10e9

int km_sim_compress(double *compress, const struct km_sim_point *point,
		    const struct km_sim_survey *survey, double busy, struct km_diag *diag)
{
	struct km_sim_zone zone = *point->zone;
	struct km_sim_point probe = *point;
	double work_ns;
	int err;

	*compress = 1;
	if (!survey->lead_ns)
		return 0; /* all at once: nothing to stretch or to press */
	zone.age_s = 0; /* far apart, everything would age */
	zone.idle_lag = 0;
	probe.zone = &zone;
	probe.policy = &km_policy_rr;
	probe.load = 1;
	probe.request_max = survey->lead_nr;
	probe.warmup_nr = 0;
	probe.accuracy = probe.series = false;
	probe.compress = (double)survey->lead_ns / ((double)survey->lead_nr * APART_NS);
	err = km_sim_point_run(&probe, diag);
	if (err)
		return err;
	work_ns = km_hist_mean(&probe.result->processing) * (double)survey->lead_nr;
	*compress = busy * point->agent_nr * (double)survey->lead_ns / work_ns;
	km_sweep_fini(&probe, 1);
	return 0;
}

static void report(struct sweep *sweep, uint32_t idx, int err, const struct km_diag *diag)
{
	pthread_mutex_lock(&sweep->lock);
	sweep->done_nr++;
	if (err && idx < sweep->failed) {
		sweep->failed = idx;
		sweep->err = err;
		sweep->diag = *diag;
	}
	if (!err && sweep->progress)
		sweep->progress->done(sweep->progress->ctx, sweep->done_nr, sweep->nr);
	pthread_mutex_unlock(&sweep->lock);
}

static void *work(void *ctx)
{
	struct sweep *sweep = ctx;
	uint32_t idx;

	/* relaxed, both: the points themselves pass through create and join */
	while (!atomic_load_explicit(&sweep->stop, memory_order_relaxed)) {
		struct km_diag diag = { .reason = "" };
		int err;

		idx = atomic_fetch_add_explicit(&sweep->next, 1, memory_order_relaxed);
		if (idx >= sweep->nr)
			break;
		err = km_sim_point_run(&sweep->point[idx], &diag);
		if (err)
			/* relaxed: the others only stop sooner */
			atomic_store_explicit(&sweep->stop, true, memory_order_relaxed);
		report(sweep, idx, err, &diag);
	}
	return NULL;
}

static uint32_t core_nr(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	return nr > 0 ? (uint32_t)nr : 1;
}

int km_sweep_run(struct km_sim_point *point, uint32_t nr, uint32_t thread_nr,
		 const struct km_sweep_progress *progress, struct km_diag *diag)
{
	struct sweep sweep = { .point = point, .nr = nr, .progress = progress, .failed = nr };
	pthread_t thread[256];
	uint32_t i, started = 0;

	pthread_mutex_init(&sweep.lock, NULL);
	thread_nr = thread_nr ? thread_nr : core_nr();
	thread_nr = (uint32_t)km_min_u64(km_min_u64(thread_nr, nr), KM_ARRAY_NR(thread));
	for (i = 1; i < thread_nr; i++)
		if (!pthread_create(&thread[started], NULL, work, &sweep))
			started++;
	work(&sweep); /* this thread is one of them, so there is at least one */
	for (i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&sweep.lock);
	if (!sweep.err)
		return 0;
	km_sweep_fini(point, nr);
	if (!sweep.diag.reason[0])
		return km_diag_set(diag, sweep.err, "", 0, 0, "%s", strerror(-sweep.err));
	if (diag)
		*diag = sweep.diag;
	return sweep.err;
}

void km_sweep_fini(struct km_sim_point *point, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (point[i].result)
			km_sim_result_fini(point[i].result);
		free(point[i].result);
		point[i].result = NULL;
	}
}
