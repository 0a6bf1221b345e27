/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/sim_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/sweep.h"

/* The aim, of latcache-request on 4 agents (Documentation/benchmarks.md). */
#define AIM_PER_S 5e6

struct bed {
	const struct km_bench_sim_cfg *cfg;
	uint64_t seed;
	uint64_t *checksum; /* [policy_nr + 1] of the first run; the last is the stream's */
	struct km_bench_times *times; /* [policy_nr + 1] */
	double *top_hits; /* [policy_nr] share */
};

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * UINT64_C(0x100000001b3);
}

/* A pure function of the seed: any other number is a fault. */
static uint64_t sum_of(const struct km_sim_result *r)
{
	const uint64_t value[] = { r->submitted, r->completed, r->top_hits,
				   r->rule_hits, r->events,    r->latency.sum,
				   r->end_ns,	 r->busy_ns,   r->rule_misses };
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(value); i++)
		sum = mix(sum, value[i]);
	return sum;
}

static int simulate(struct bed *bed, uint32_t i, double *cpu_s, uint64_t *sum, struct km_diag *diag)
{
	struct km_sim_point point = {
		.zone = bed->cfg->zone,
		.policy = bed->cfg->policy[i],
		.agent_nr = bed->cfg->agent_nr,
		.load = 1,
		.cache = 1,
		.seed = bed->seed,
		.request_max = bed->cfg->request_nr,
	};
	int err = km_sim_point_run(&point, diag);

	if (err)
		return err;
	*cpu_s = point.cpu_s;
	*sum = sum_of(point.result);
	bed->top_hits[i] = (double)point.result->top_hits /
			   (double)km_max_u64(1, point.result->top_hits + point.result->top_misses);
	if (point.result->submitted != bed->cfg->request_nr ||
	    point.result->completed + point.result->refused != point.result->submitted)
		err = km_diag_set(diag, -EIO, NULL, 0, 0, "%s: %" PRIu64 " of %" PRIu64 " ended",
				  point.policy->name, point.result->completed,
				  bed->cfg->request_nr);
	km_sweep_fini(&point, 1);
	return err;
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The same requests without anyone to serve them. */
static int drain(struct bed *bed, double *taken_s, uint64_t *sum, struct km_diag *diag)
{
	const double start_s = cpu_s();
	struct km_source *source;
	struct km_arrival arrival;
	uint64_t nr = 0;
	int err = km_sim_zone_open(&source, bed->cfg->zone, 1, bed->seed, diag);

	if (err)
		return err;
	*sum = 0;
	while (nr < bed->cfg->request_nr && (err = source->next(source, &arrival, 1, diag)) == 1) {
		nr += !arrival.is_delete;
		*sum = mix(*sum, arrival.at_ns ^ arrival.type_idx);
	}
	source->destroy(source);
	*taken_s = cpu_s() - start_s;
	if (err < 0)
		return err;
	return nr == bed->cfg->request_nr
		       ? 0
		       : km_diag_set(diag, -EINVAL, NULL, 0, 0,
				     "--requests: the zone's day has only %" PRIu64, nr);
}

static int sample(struct bed *bed, uint32_t i, const struct km_bench_pace *pace,
		  struct km_diag *diag)
{
	const bool stream = i == bed->cfg->policy_nr;
	uint64_t sum;
	double s;
	int err = stream ? drain(bed, &s, &sum, diag) : simulate(bed, i, &s, &sum, diag);

	if (err)
		return err;
	if (pace->round_nr == 1)
		bed->checksum[i] = sum;
	if (sum != bed->checksum[i])
		return km_diag_set(diag, -EIO, NULL, 0, 0, "%s: the same seed gave other numbers",
				   stream ? "the stream" : bed->cfg->policy[i]->name);
	km_hist_add(&bed->times[i].round, (uint64_t)(s * 1e12 / (double)bed->cfg->request_nr));
	return 0;
}

static int tell(const struct bed *bed, const struct km_bench_env *env)
{
	const struct km_bench_sim_cfg *cfg = bed->cfg;
	const struct km_bench_times *stream = &bed->times[cfg->policy_nr];
	struct km_bench_row row;
	char sum[17];
	uint32_t i;
	int err = 0;

	for (i = 0; i <= cfg->policy_nr && !err; i++) {
		const bool last = i == cfg->policy_nr;
		const double p50 = km_bench_p50_ns(&bed->times[i]);
		const bool aimed = !last && cfg->agent_nr == 4 &&
				   !strcmp(cfg->policy[i]->name, "latcache-request");

		row.nr = 0;
		snprintf(sum, sizeof(sum), "%016" PRIx64, bed->checksum[i]);
		km_bench_text(&row, "what", "simulated request",
			      last ? "the stream alone" : cfg->policy[i]->name);
		km_bench_count(&row, "agents", "agents", last ? 0 : cfg->agent_nr);
		km_bench_count(&row, "rules", "rules", cfg->zone->rules);
		km_bench_p50(&row, "request_ns", "p50", &bed->times[i]);
		km_bench_real(&row, "requests_per_s", "per s", p50 > 0 ? 1e9 / p50 : 0);
		km_bench_real(&row, "aim_per_s", "aim", aimed ? AIM_PER_S : NAN);
		km_bench_real(&row, "share_of_aim", "reached",
			      aimed && p50 > 0 ? 1e9 / p50 / AIM_PER_S : NAN);
		km_bench_real(&row, "ratio", "ratio",
			      last ? NAN : km_bench_ratio(&bed->times[i], stream));
		km_bench_real(&row, "top_hit_share", "top hits", last ? NAN : bed->top_hits[i]);
		km_bench_text(&row, "checksum", NULL, sum);
		err = env->tell(env->ctx, &row);
	}
	return err;
}

int km_bench_sim(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_sim_cfg *cfg = ctx;
	const uint32_t nr = cfg->policy_nr + 1;
	struct bed bed = { .cfg = cfg, .seed = env->seed };
	struct km_bench_pace pace;
	uint64_t sum;
	uint32_t i;
	int err = 0;
	double s;

	bed.times = km_bench_times_create(nr, (uint32_t)cfg->request_nr);
	bed.checksum = calloc(nr, sizeof(*bed.checksum));
	bed.top_hits = calloc(nr, sizeof(*bed.top_hits));
	if (!bed.times || !bed.checksum || !bed.top_hits)
		err = -ENOMEM;
	if (!err) /* before the long part: are there so many? */
		err = drain(&bed, &s, &sum, diag);
	km_bench_pace_start(&pace, env, 1);
	while (!err && km_bench_pace_more(&pace)) {
		for (i = 0; i < nr && !err; i++)
			err = sample(&bed, i, &pace, diag);
		if (!err)
			km_bench_times_end_round(bed.times, nr, &pace);
	}
	if (!err)
		err = tell(&bed, env);
	free(bed.times);
	free(bed.checksum);
	free(bed.top_hits);
	return err;
}
