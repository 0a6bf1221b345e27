/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/e2e_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "core/runtime.h"
#include "lib/host.h"
#include "lib/rand.h"
#include "lib/snap.h"
#include "perf/dispatch_internal.h"
#include "ring/park.h"
#include "tests/support/synth.h"

#define AGENT_NR_MAX 1024u
#define TYPE_NR_MAX 8000u /* KM_TYPE_CAP_DEFAULT knows them all */
#define SLOT_BYTES 4096u
#define CACHE_BYTES (UINT64_C(16) << 20)
/* Requests inside at most; what comes on top is refused and counted. */
#define INSIDE_NR 4096u
/* So many runs of each cell: one that warms up, and those that count. */
#define RUN_NR (1 + KM_BENCH_ROUND_NR_MIN)
#define RUN_NS_MIN (20 * KM_NS_PER_MS)
/* Requests of the first part of a run only fill the caches. */
#define WARM_SHARE 5
#define STUCK_NS (20 * KM_NS_PER_S)

enum stage { START, COMPLETE, LATE, INGRESS, HANDOVER, IDLE, SERVICE, BACK, STAGE_NR };

/* One rate in one mode. */
struct cell {
	uint32_t rate;
	bool spinning;
	struct km_bench_times *times; /* [STAGE_NR] */
	uint64_t submitted, refused;
	double decision_p50_ns, decision_p99_ns; /* the most of all runs that count */
};

struct bed {
	const struct km_bench_env *env;
	const struct km_bench_e2e_cfg *cfg;
	struct synth synth;
	struct km_workload workload;
	struct km_workload_ops ops;
	struct bench_world world;
	struct km_plan *plan[2]; /* parked, spinning */
	cpu_set_t allowed; /* of the calling thread, before it was pinned */
	struct km_req *pool; /* [INSIDE_NR] */
	uint64_t *submit_ns; /* [INSIDE_NR] of the request in that place */
	struct km_req **vacant;
	uint32_t vacant_nr, drawn_at;
	struct km_rand rand;
};

/* One run of a cell. */
struct run {
	struct bed *bed;
	struct cell *cell;
	struct km_client *client;
	uint64_t start_ns, end_ns, count_from_ns;
	uint64_t accepted, reaped;
	const char *fault;
};

/* ---- the workload -------------------------------------------------------------------- */

/* Written before the runtime starts; an agent's ops have no room for it. */
static uint64_t service_ns;
static enum km_serve (*serve_words)(struct km_workload_agent *wa, struct km_serve_part *part,
				    uint32_t part_nr);

static enum km_serve spin_and_serve(struct km_workload_agent *wa, struct km_serve_part *part,
				    uint32_t part_nr)
{
	const uint64_t until_ns = km_clock_ns() + service_ns;

	while (km_clock_ns() < until_ns)
		km_cpu_relax();
	return serve_words(wa, part, part_nr);
}

static void open_workload(struct bed *bed)
{
	synth_init(&bed->synth, BENCH_TRAIT_NR, bed->cfg->rule_nr, SLOT_BYTES);
	bed->workload = bed->synth.workload;
	bed->ops = *bed->workload.ops;
	serve_words = bed->ops.serve;
	bed->ops.serve = spin_and_serve;
	bed->workload.ops = &bed->ops;
	service_ns = bed->cfg->service_ns;
}

/* ---- the client ------------------------------------------------------------------------ */

static void add(struct km_bench_times *times, uint64_t from_ns, uint64_t to_ns)
{
	km_hist_add(&times->round, (to_ns - from_ns) * KM_BENCH_PS_PER_NS);
}

static const char *check_req(const struct km_req *req, uint64_t submit_ns, uint64_t now_ns)
{
	if (req->outcome != KM_PLACED)
		return "a request was not served";
	if (submit_ns < req->due_ns || req->decision.decided_ns < submit_ns ||
	    req->start_ns < req->decision.decided_ns || req->end_ns < req->start_ns ||
	    now_ns < req->end_ns)
		return "a request's times are out of order";
	return NULL;
}

static void account(struct run *run, const struct km_req *req)
{
	struct km_bench_times *times = run->cell->times;
	const uint64_t submit_ns = run->bed->submit_ns[req - run->bed->pool];
	const uint64_t now_ns = km_clock_ns();
	const char *fault = check_req(req, submit_ns, now_ns);

	run->reaped++;
	run->fault = fault ? fault : run->fault;
	if (fault || req->due_ns < run->count_from_ns)
		return;
	add(&times[START], req->due_ns, req->start_ns);
	add(&times[COMPLETE], req->due_ns, req->end_ns);
	add(&times[LATE], req->due_ns, submit_ns);
	add(&times[INGRESS], submit_ns, req->decision.decided_ns);
	add(&times[HANDOVER], req->decision.decided_ns, req->start_ns);
	if (!req->decision.wait_ns && !req->decision.remaining_ns)
		add(&times[IDLE], req->decision.decided_ns, req->start_ns);
	add(&times[SERVICE], req->start_ns, req->end_ns);
	add(&times[BACK], req->end_ns, now_ns);
}

static void reap(struct run *run)
{
	struct km_req *req;

	while ((req = km_client_reap(run->client))) {
		account(run, req);
		run->bed->vacant[run->bed->vacant_nr++] = req;
	}
}

static void submit(struct run *run, uint64_t due_ns)
{
	struct bed *bed = run->bed;
	const bool counts = due_ns >= run->count_from_ns;
	struct km_req *req;

	run->cell->submitted += counts;
	if (!bed->vacant_nr) {
		run->cell->refused += counts;
		return;
	}
	req = bed->vacant[bed->vacant_nr - 1];
	req->id++;
	req->due_ns = due_ns;
	bench_world_traits(&bed->world,
			   bed->world.drawn[bed->drawn_at++ & (bed->world.drawn_nr - 1)],
			   req->trait);
	bed->submit_ns[req - bed->pool] = km_clock_ns();
	if (km_submit(run->client, req)) {
		run->cell->refused += counts;
		return;
	}
	bed->vacant_nr--;
	run->accepted++;
}

/* Or until something came back. Where agents own their cores the client has one as well. */
static void wait_until(struct run *run, uint64_t due_ns)
{
	if (run->cell->spinning) {
		km_cpu_relax();
		km_snap_quiesce();
		return;
	}
	km_snap_offline();
	km_client_wait(run->client, due_ns);
	km_snap_online();
}

/* Intended arrivals follow each other whatever became of those before. */
static void play(struct run *run)
{
	const double gap_ns = (double)KM_NS_PER_S / run->cell->rate;
	double due_ns = (double)run->start_ns;

	for (;;) {
		due_ns += -log(1 - km_rand_unit(&run->bed->rand)) * gap_ns;
		if (due_ns >= (double)run->end_ns)
			return;
		for (;;) {
			reap(run);
			if ((double)km_clock_ns() >= due_ns)
				break;
			wait_until(run, (uint64_t)due_ns);
		}
		submit(run, (uint64_t)due_ns);
	}
}

static bool drain(struct run *run)
{
	const uint64_t until_ns = km_clock_ns() + STUCK_NS;

	for (reap(run); km_client_in_flight(run->client); reap(run)) {
		if (km_clock_ns() > until_ns)
			return false;
		wait_until(run, until_ns);
	}
	return true;
}

/* ---- one run -------------------------------------------------------------------------------- */

static const char *check_stats(const struct run *run, const struct km_runtime_stats *stats)
{
	if (run->fault)
		return run->fault;
	if (stats->cache_fault)
		return stats->cache_fault;
	if (run->reaped != run->accepted || stats->completed != run->accepted)
		return "requests went missing";
	/* relaxed: the runtime has stopped */
	if (atomic_load_explicit(&run->bed->synth.wrong, memory_order_relaxed))
		return "a slot did not hold what it must";
	return NULL;
}

static void note_decisions(struct cell *cell, const struct km_hist *ns)
{
	cell->decision_p50_ns = fmax(cell->decision_p50_ns, (double)km_hist_quantile(ns, .5));
	cell->decision_p99_ns = fmax(cell->decision_p99_ns, (double)km_hist_quantile(ns, .99));
}

static int run_with(struct run *run, struct km_runtime *rt, uint64_t run_ns)
{
	int err = km_client_open(&run->client, rt, INSIDE_NR);

	if (err)
		return err;
	/* Timers to the microsecond, for this thread alone: its lateness is not the runtime's. */
	km_ignore(prctl(PR_SET_TIMERSLACK, 1)); /* then it is later, and tells so */
	run->start_ns = km_clock_ns();
	run->count_from_ns = run->start_ns + run_ns / WARM_SHARE;
	run->end_ns = run->start_ns + run_ns;
	play(run);
	if (!drain(run))
		KM_BUG_ON(true); /* accepted requests always come back */
	km_client_close(run->client);
	km_ignore(prctl(PR_SET_TIMERSLACK, 0)); /* as it was */
	return 0;
}

/* The client goes where the plan has room for it, or where it may. */
static int place_client(const struct bed *bed, const struct cell *cell)
{
	if (cell->spinning)
		return km_pin_self(bed->plan[true]->helper.cpu, NULL);
	return sched_setaffinity(0, sizeof(bed->allowed), &bed->allowed) ? -errno : 0;
}

static int run_cell(struct bed *bed, struct cell *cell, bool counts, uint64_t run_ns,
		    struct km_diag *diag)
{
	struct run run = { .bed = bed, .cell = cell };
	const struct km_runtime_cfg cfg = {
		.workload = &bed->workload,
		.plan = bed->plan[cell->spinning],
		.policy = bed->cfg->policy,
		.cache_bytes = CACHE_BYTES,
		.count_serving = true,
		.seed = bed->env->seed,
	};
	struct km_runtime_stats stats;
	struct km_runtime *rt;
	int err = km_runtime_start(&rt, &cfg, diag);

	if (err)
		return err;
	diag->reason[0] = '\0'; /* warnings are about estimates, which are not kept */
	err = place_client(bed, cell);
	if (!err)
		err = run_with(&run, rt, run_ns);
	km_runtime_stop(rt, &stats, NULL, diag);
	if (counts)
		note_decisions(cell, &stats.decision_ns);
	run.fault = check_stats(&run, &stats);
	km_runtime_stats_fini(&stats);
	/* Before the next runtime's threads are made, which inherit where we may run. */
	if (sched_setaffinity(0, sizeof(bed->allowed), &bed->allowed))
		err = -errno;
	return !err && run.fault ? km_diag_set(diag, -EIO, NULL, 0, 0, "%s", run.fault) : err;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int tell(const struct bed *bed, const struct cell *cell)
{
	const struct km_bench_times *t = cell->times;
	const double capacity = (double)bed->cfg->agent_nr * 1e9 / (double)bed->cfg->service_ns;
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "intended to start", cell->spinning ? "spinning" : "parked");
	km_bench_count(&row, "agents", "agents", bed->cfg->agent_nr);
	km_bench_count(&row, "rate_per_s", "per s", cell->rate);
	km_bench_real(&row, "service_load", "load", cell->rate / capacity);
	km_bench_times(&row, "start_ns", "p50", &t[START]);
	km_bench_p50(&row, "complete_ns", "complete", &t[COMPLETE]);
	km_bench_p50(&row, "late_ns", "late", &t[LATE]);
	km_bench_p50(&row, "ingress_ns", "ingress", &t[INGRESS]);
	km_bench_p50(&row, "handover_ns", "handover", &t[HANDOVER]);
	km_bench_p50(&row, "idle_handover_ns", "if idle", &t[IDLE]);
	km_bench_p50(&row, "service_ns", "service", &t[SERVICE]);
	km_bench_p50(&row, "back_ns", "back", &t[BACK]);
	km_bench_count(&row, "submitted", NULL, cell->submitted);
	km_bench_count(&row, "refused", "refused", cell->refused);
	km_bench_real(&row, "decision_p50_ns_most", NULL, cell->decision_p50_ns);
	km_bench_real(&row, "decision_p99_ns_most", NULL, cell->decision_p99_ns);
	return bed->env->tell(bed->env->ctx, &row);
}

static int tell_skipped(const struct bed *bed, const struct km_topo *topo)
{
	struct km_bench_row row = { .nr = 0 };
	char why[128];

	snprintf(why, sizeof(why),
		 "%" PRIu32 " agents, a dispatcher and a client need %" PRIu32 " cores; there are"
		 " %" PRIu32,
		 bed->cfg->agent_nr, bed->cfg->agent_nr + 2, km_topo_summary(topo)->core_nr);
	km_bench_text(&row, "what", "intended to start", "spinning");
	km_bench_text(&row, "skipped_because", "left out", why);
	return bed->env->tell(bed->env->ctx, &row);
}

/* ---- all of it --------------------------------------------------------------------------------- */

static bool all_own(const struct km_plan *plan)
{
	bool own = plan->dispatcher.owned;
	uint32_t i;

	for (i = 0; i < plan->agent_nr; i++)
		own = own && plan->agent[i].owned;
	return own;
}

static int open_plans(struct bed *bed, struct km_diag *diag)
{
	struct km_topo *topo;
	uint32_t i;
	int err = km_topo_open(&topo, NULL, NULL, diag);

	if (err)
		return err;
	for (i = 0; i < 2 && !err; i++)
		err = km_plan_make(&bed->plan[i], topo, bed->cfg->agent_nr);
	for (i = 0; !err && i < bed->cfg->agent_nr; i++)
		bed->plan[0]->agent[i].owned = false;
	if (!err)
		bed->plan[0]->dispatcher.owned = false;
	if (!err && !all_own(bed->plan[1])) {
		err = tell_skipped(bed, topo);
		km_plan_destroy(bed->plan[1]);
		bed->plan[1] = NULL;
	}
	km_topo_close(topo);
	return err;
}

static int open_bed(struct bed *bed, struct km_diag *diag)
{
	uint32_t i;
	int err;

	open_workload(bed);
	km_rand_init(&bed->rand, bed->env->seed);
	if (sched_getaffinity(0, sizeof(bed->allowed), &bed->allowed))
		return -errno;
	bed->pool = aligned_alloc(KM_SHARE_BYTES, INSIDE_NR * sizeof(*bed->pool));
	bed->submit_ns = calloc(INSIDE_NR, sizeof(*bed->submit_ns));
	bed->vacant = calloc(INSIDE_NR, sizeof(struct km_req *));
	if (!bed->pool || !bed->submit_ns || !bed->vacant)
		return -ENOMEM;
	memset(bed->pool, 0, INSIDE_NR * sizeof(*bed->pool));
	for (i = 0; i < INSIDE_NR; i++)
		bed->vacant[bed->vacant_nr++] = &bed->pool[i];
	err = bench_world_init(&bed->world, bed->cfg->type_nr, bed->cfg->rule_nr, bed->env->seed);
	return err ? err : open_plans(bed, diag);
}

static void close_bed(struct bed *bed)
{
	km_plan_destroy(bed->plan[0]);
	km_plan_destroy(bed->plan[1]);
	bench_world_fini(&bed->world);
	free(bed->vacant);
	free(bed->submit_ns);
	free(bed->pool);
	free(bed);
}

static int run_cells(struct bed *bed, struct cell *cell, uint32_t nr, struct km_diag *diag)
{
	const uint64_t all_ns = (uint64_t)(bed->env->seconds * (double)KM_NS_PER_S);
	const uint64_t run_ns = km_max_u64(RUN_NS_MIN, all_ns / (nr * RUN_NR));
	struct km_bench_pace pace;
	uint32_t i;
	int err = 0;

	km_bench_pace_start(&pace, bed->env, 1);
	while (!err && km_bench_pace_more(&pace)) {
		for (i = 0; i < nr && !err; i++) {
			if (pace.round_nr == 2) /* what warmed up does not count */
				cell[i].submitted = cell[i].refused = 0;
			err = run_cell(bed, &cell[i], pace.round_nr > 1, run_ns, diag);
			km_bench_times_end_round(cell[i].times, STAGE_NR, &pace);
		}
	}
	for (i = 0; i < nr && !err; i++) {
		if (!cell[i].times[START].all.count)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "no request came at %" PRIu32
					   " a second: more --seconds, or a higher --rate",
					   cell[i].rate);
		err = tell(bed, &cell[i]);
	}
	return err;
}

static int measure(struct bed *bed, struct km_diag *diag)
{
	const struct km_bench_e2e_cfg *cfg = bed->cfg;
	const uint32_t nr = cfg->rate_nr * (bed->plan[1] ? 2 : 1);
	struct cell *cell = calloc(nr, sizeof(*cell));
	struct km_bench_times *times = km_bench_times_create(nr * STAGE_NR, 1);
	uint32_t i;
	int err = cell && times ? 0 : -ENOMEM;

	for (i = 0; i < nr && !err; i++) {
		cell[i].rate = cfg->rate[i % cfg->rate_nr];
		cell[i].spinning = i >= cfg->rate_nr;
		cell[i].times = times + (size_t)i * STAGE_NR;
	}
	if (!err)
		err = run_cells(bed, cell, nr, diag);
	free(times);
	free(cell);
	return err;
}

int km_bench_e2e(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_e2e_cfg *cfg = ctx;
	const uint64_t need = cfg->agent_nr * (CACHE_BYTES + (16ull << 20)) + (64ull << 20);
	const uint64_t have = km_host_memory("");
	struct bed *bed;
	uint32_t i;
	int err;

	for (i = 0; i < cfg->rate_nr; i++)
		if (!cfg->rate[i])
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "--rate: at least 1 a second");
	if (!cfg->agent_nr || cfg->agent_nr > AGENT_NR_MAX || !cfg->service_ns ||
	    cfg->type_nr > TYPE_NR_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "up to %u agents and %u types, a service of at least 1 ns",
				   AGENT_NR_MAX, TYPE_NR_MAX);
	if (need > have)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
				   "%" PRIu32 " agents need about %" PRIu64 " MiB, and %" PRIu64
				   " MiB are available",
				   cfg->agent_nr, need >> 20, have >> 20);
	bed = calloc(1, sizeof(*bed));
	if (!bed)
		return -ENOMEM;
	bed->env = env;
	bed->cfg = cfg;
	err = open_bed(bed, diag);
	if (!err)
		err = measure(bed, diag);
	close_bed(bed);
	return err;
}
