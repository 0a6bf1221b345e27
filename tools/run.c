/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/run.c - kamino run: a zone's stream of VM requests through the real
 * runtime, under one policy or all, audited.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/slots.h"
#include "lib/clock.h"
#include "lib/opts.h"
#include "lib/snap.h"
#include "place/zone.h"
#include "tools/policy_list.h"
#include "tools/run_internal.h"
#include "tools/verbs.h"

#define DEFAULT_REQUESTS 20000
#define IN_FLIGHT_MAX 16384
#define CALIBRATE_NR_MIN 50 /* measured requests that make a throughput */
#define POLICY_NR_MAX 32

static const struct run_options defaults = {
	.policy = "latcache-rule",
	.level = "batch",
	.seed = 1,
	.servers = 100000,
	.calibrate = 6000,
	.load = 0.7,
	.fill = 0.6,
	.warmup = 0.2,
	.idle_lag = 256,
};

static _Atomic int interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	/* relaxed: a flag that is looked at again soon */
	if (atomic_exchange_explicit(&interrupted, 1, memory_order_relaxed)) {
		run_publish_abandon();
		_exit(130); /* the second time: at once */
	}
}

static void catch_interrupts(void)
{
	struct sigaction act = { .sa_handler = on_interrupt };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

/* ---- one run ------------------------------------------------------------------ */

struct phase {
	struct run_world *w;
	const char *name;
};

static void replay_progress(void *arg, uint64_t done, uint64_t all)
{
	const struct phase *phase = arg;

	/* relaxed: where the warm-up ends is not exact */
	atomic_store_explicit(&phase->w->measured, done >= phase->w->warmup_nr,
			      memory_order_relaxed);
	run_progress(phase->w, phase->name, done, all);
}

static void record_name(void *ctx, uint32_t id, uint64_t hash)
{
	const struct run_world *w = ctx;

	km_cost_recorder_name(w->costs, id, hash);
}

static void record_sample(void *ctx, uint64_t sample)
{
	struct run_world *w = ctx;

	/* relaxed: see replay_progress() */
	km_cost_recorder_measured(w->costs,
				  atomic_load_explicit(&w->measured, memory_order_relaxed));
	km_cost_recorder_add(w->costs, sample);
}

/* A recorder of the measured runs' times and of what objects count against a cache's bytes, for "kamino sim --costs". */
static int open_recorder(struct run_world *w, const struct km_workload *workload)
{
	uint32_t r;
	int err;

	if (!w->opt.costs || w->costs)
		return 0;
	err = km_cost_recorder_create(&w->costs, KM_TYPE_CAP_DEFAULT, workload->rule_nr,
				      workload->rules);
	if (err)
		return err;
	for (r = 0; r < workload->rule_nr; r++)
		km_cost_recorder_bytes(
			w->costs, r,
			km_slots_round(workload->class_bytes[workload->ops->rule_class(
				workload->workload, r)]));
	km_cost_recorder_top_bytes(w->costs, km_slots_round(w->top_bytes));
	return 0;
}

static int start_runtime(struct run_world *w, const struct km_policy *policy,
			 const struct km_workload *workload, const char *estimates,
			 const struct km_sample_tap *tap, struct km_runtime **rt,
			 struct km_diag *diag)
{
	const struct km_runtime_cfg cfg = {
		.workload = workload,
		.plan = w->plan,
		.policy = policy,
		.cache_bytes = w->cache_bytes,
		.cache_age_ns = w->opt.age_ns,
		.idle_lag = (uint32_t)w->opt.idle_lag,
		.estimate_path = estimates,
		.tap = tap,
		.huge_pages = w->opt.huge_pages,
		.count_serving = !w->opt.no_in_service,
		.seed = w->opt.seed,
	};
	char text[1024];
	int err = km_runtime_start(rt, &cfg, diag);

	if (!err && diag->reason[0])
		fprintf(stderr, "kamino run: %s (running without)\n",
			km_diag_format(diag, text, sizeof(text)));
	return err;
}

static void stop_runtime(struct km_runtime *rt, struct run_outcome *out)
{
	struct km_records *records;
	struct km_diag diag;
	char text[1024];

	km_runtime_stop(rt, &out->stats, &records, &diag);
	out->estimates_lost = diag.reason[0];
	if (out->estimates_lost)
		fprintf(stderr, "kamino run: %s\n", km_diag_format(&diag, text, sizeof(text)));
	out->recorded = out->replay.explained &&
			km_records_find(records, out->replay.explain.id, &out->record);
	km_records_destroy(records);
}

static double busy_share(const struct run_outcome *out)
{
	const struct km_hist *took = &out->replay.processing_ns;

	if (!out->replay.elapsed_ns || !out->stats.agent_nr)
		return 0;
	return (double)took->sum / (double)out->replay.elapsed_ns / out->stats.agent_nr;
}

/* In pieces that the store takes as one commit each. */
static bool load_initial(const struct run_world *w, struct km_store *store)
{
	uint64_t done, nr;

	for (done = 0; done < w->initial_nr; done += nr) {
		nr = km_min_u64(w->initial_nr - done, KM_COMMIT_VMS_MAX);
		if (km_store_memory.load(store, w->initial + done, nr) != KM_COMMIT_DONE)
			return false;
	}
	return true;
}

static int run_in(struct run_world *w, struct run_outcome *out, struct km_replay_cfg *cfg,
		  const char *estimates, struct km_diag *diag)
{
	const struct km_workload *workload = km_place_workload(cfg->place);
	struct km_sample_tap tap = { .name = record_name, .sample = record_sample };
	struct km_runtime *rt;
	int err;

	if (!load_initial(w, cfg->store))
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "the initial state cannot be loaded");
	err = open_recorder(w, workload);
	if (err)
		return err;
	tap.ctx = w;
	/* relaxed: no other thread yet */
	atomic_store_explicit(&w->measured, false, memory_order_relaxed);
	/* The calibration (a closed loop) is not recorded. */
	err = start_runtime(w, out->policy, workload, estimates,
			    w->costs && cfg->compress > 0 ? &tap : NULL, &rt, diag);
	if (err)
		return err;
	cfg->rt = rt;
	if (cfg->compress > 0) {
		cfg->costs = w->costs;
		cfg->log = w->log;
	}
	run_publish_start(w, rt, cfg->store, out->policy, workload, cfg->plan->create_nr);
	err = km_replay(cfg, &out->replay);
	km_publisher_stop(w->publisher, &out->replay);
	stop_runtime(rt, out);
	out->store = km_store_memory.stats(cfg->store);
	out->busy = busy_share(out);
	return err;
}

/* What the client knows before the first request: where the initial VMs stand. */
static int open_ledger(const struct run_world *w, struct km_ledger *ledger)
{
	int err = km_ledger_init(ledger, km_dict_nr(w->trace->schema.vms), true);
	uint64_t i;

	for (i = 0; !err && i < w->initial_nr; i++) {
		const struct km_store_vm *vm = &w->initial[i];

		ledger->state[vm->vm] = KM_LEDGER_PLACED;
		ledger->server[vm->vm] = vm->server;
		memcpy(ledger->res[vm->vm], vm->res, sizeof(vm->res));
	}
	return err;
}

static int audit(const struct run_world *w, struct km_store *store, const struct km_ledger *ledger,
		 struct km_audit *result)
{
	const struct km_audit_cfg cfg = {
		.ops = &km_store_memory,
		.store = store,
		.inv = w->inv,
		.rules = w->rules,
		.vm_cap = km_dict_nr(w->trace->schema.vms),
		.ledger = ledger,
		.whole_journal = true,
	};

	return km_audit_run(&cfg, result);
}

/*
 * Play the first @request_nr requests (0 = all) under @policy and audit.
 * @compress: 0 = closed loop.
 */
static int run_policy(struct run_world *w, const struct km_policy *policy,
		      struct km_replay_plan *jobs, double compress, struct run_outcome *out,
		      struct km_diag *diag)
{
	struct phase phase = { w, compress > 0 ? policy->name : "calibrating" };
	struct km_replay_cfg cfg = {
		.plan = jobs,
		.store_ops = &km_store_memory,
		.agent_nr = (uint32_t)w->opt.agents,
		.compress = compress,
		.closed_nr = 2 * (uint32_t)w->opt.agents,
		.warmup_nr = compress > 0 ? w->warmup_nr : jobs->create_nr / 2,
		.explain_id = w->opt.explain,
		.in_flight_max = IN_FLIGHT_MAX,
		.interrupted = &interrupted,
		.publisher = w->publisher,
		.policy = policy->name,
		.asks = policy->queueing != KM_QUEUE_OWN,
		.progress = replay_progress,
		.progress_arg = &phase,
		.series = compress > 0 && (w->opt.json || w->opt.json_out),
	};
	struct km_ledger ledger = { 0 };
	struct km_place_ctx *place;
	struct km_store *store;
	int err;

	memset(out, 0, sizeof(*out));
	out->policy = policy;
	err = run_store_open(w, &store, &place, diag);
	if (err)
		return err;
	cfg.place = place;
	cfg.store = store;
	cfg.ledger = &ledger;
	err = open_ledger(w, &ledger);
	if (!err)
		err = run_in(w, out, &cfg, compress > 0 ? w->opt.estimates : NULL, diag);
	run_progress_end(w);
	km_publisher_phase(w->publisher, "auditing", 0, 0);
	if (!err)
		err = audit(w, store, &ledger, &out->audit);
	km_ledger_fini(&ledger);
	run_store_close(store, place);
	return err;
}

/*
 * How fast the agents can go: the head of the stream in a closed loop under the
 * baseline, whose second half counts (the first fills the caches).
 */
static int calibrate(struct run_world *w, struct km_diag *diag)
{
	const struct km_replay_plan *all = w->jobs;
	struct km_replay_plan head = *all;
	struct run_outcome out;
	double span_s, mean_ns;
	int err;

	if (w->opt.compress > 0) {
		w->compress = w->opt.compress;
		return 0;
	}
	for (head.job_nr = 0, head.create_nr = 0;
	     head.job_nr < all->job_nr && head.create_nr < w->opt.calibrate; head.job_nr++)
		head.create_nr += all->job[head.job_nr].op == KM_OP_CREATE;
	err = run_policy(w, &km_policy_protean, &head, 0, &out, diag);
	if (err)
		return err;
	span_s = (double)(all->job[all->job_nr - 1].at_us - all->job[0].at_us) / 1e6;
	/* A handful of requests ends at one instant: then what one agent alone would do. */
	mean_ns = km_hist_mean(&out.replay.processing_ns) + 1;
	if (out.replay.measured >= CALIBRATE_NR_MIN && out.replay.elapsed_ns)
		mean_ns = (double)out.replay.elapsed_ns / (double)out.replay.measured;
	w->capacity = 1e9 / mean_ns;
	w->busy_max = out.busy;
	w->compress = span_s * w->capacity * w->opt.load / (double)all->create_nr;
	if (!(w->compress > 0))
		w->compress = 1;
	km_runtime_stats_fini(&out.stats);
	return 0;
}

/* ---- the verb ------------------------------------------------------------------- */

static int run_all(struct run_world *w, const struct km_policy *const *policy, uint32_t policy_nr)
{
	struct run_outcome *out = calloc(policy_nr, sizeof(*out));
	struct km_diag diag = { .reason = "" };
	uint32_t nr = 0, i;
	int err, rc;

	if (!out)
		return 1;
	w->policy_nr = policy_nr;
	err = w->opt.requests_out ? km_request_log_open(&w->log, w->opt.requests_out, &diag) : 0;
	if (!err)
		err = calibrate(w, &diag);
	/* What came before leaves nothing to report: there an interrupt just ends the process. */
	catch_interrupts();
	if (!err && !w->opt.json)
		run_print_head(w);
	/* relaxed: as below */
	while (!err && nr < policy_nr &&
	       !atomic_load_explicit(&interrupted, memory_order_relaxed)) {
		w->policy_idx = nr + 1;
		err = run_policy(w, policy[nr], w->jobs, w->compress, &out[nr], &diag);
		if (!err && !w->opt.json)
			run_print_row(&out[nr]);
		nr += !err;
	}
	if (err)
		rc = km_verb_fail("run", &diag, KM_EXIT_FAILED);
	else
		rc = run_report(w, out, nr);
	if (!err && w->costs && km_costs_save(w->costs, w->opt.costs, &diag))
		rc = km_verb_fail("run", &diag, KM_EXIT_FAILED);
	if (!err && w->log && km_request_log_close(w->log, &diag))
		rc = km_verb_fail("run", &diag, KM_EXIT_FAILED);
	if (!err)
		w->log = NULL;
	/* relaxed: a flag of this process's signal handler */
	if (atomic_load_explicit(&interrupted, memory_order_relaxed))
		rc = 130;
	for (i = 0; i < nr; i++) {
		km_runtime_stats_fini(&out[i].stats);
		km_replay_result_fini(&out[i].replay);
	}
	free(out);
	return rc;
}

/* What is written would replace, or be replaced by, another file of this run. */
static int check_files(const struct run_options *o, struct km_diag *diag)
{
	const struct {
		const char *option, *path;
		bool written;
	} file[] = {
		{ "json-out", o->json_out, true },
		{ "record-costs", o->costs, true },
		{ "requests-out", o->requests_out, true },
		{ "estimates", o->estimates, true },
		{ "trace", o->trace, false },
		{ "inventory", o->inventory, false },
		{ "rules", o->rules, false },
	};
	size_t i, k;
	int err;

	for (i = 0; i < KM_ARRAY_NR(file) && file[i].written; i++) {
		err = km_verb_check_output(file[i].option, file[i].path, diag);
		if (err)
			return err;
		for (k = i + 1; file[i].path && k < KM_ARRAY_NR(file); k++)
			if (file[k].path && km_zone_same_file(file[i].path, file[k].path))
				return km_diag_set(diag, -EINVAL, NULL, 0, 0,
						   "--%s and --%s are the same file, %s",
						   file[i].option, file[k].option, file[k].path);
	}
	return 0;
}

int km_verb_run(int argc, char **argv)
{
	struct run_world w = { .opt = defaults };
	struct run_options *o = &w.opt;
	const struct km_opt opts[] = {
		{ "policy", KM_OPT_STRING, &o->policy, "P[,P]|all",
		  "who gets a request (latcache-rule)", 0, 0 },
		{ "agents", KM_OPT_U64, &o->agents, "N",
		  "agents (4, or cores - 1 when that is more)", 1, 10000 },
		{ "requests", KM_OPT_U64, &o->requests, "N",
		  "requests of the stream (20000, or all of a trace)", 1, 1e9 },
		{ "servers", KM_OPT_U64, &o->servers, "N", "servers of the fleet (100000)", 1,
		  1e6 },
		{ "load", KM_OPT_DOUBLE, &o->load, "X", "share of what the agents can do (0.7)",
		  0.01, 10 },
		{ "compress", KM_OPT_DOUBLE, &o->compress, "X",
		  "compress time by X instead of --load", 1e-6, 1e12 },
		{ "cache", KM_OPT_BYTES, &o->cache_bytes, "SIZE",
		  "cache of one agent, hard (room for 50 types)", 4096, 1e15 },
		{ "cache-age", KM_OPT_DURATION, &o->age_ns, "TIME",
		  "evict what is unused for so long (never)", 0, 0 },
		{ "trace", KM_OPT_STRING, &o->trace, "FILE", "replay a trace (the built-in zone)",
		  0, 0 },
		{ "inventory", KM_OPT_STRING, &o->inventory, "FILE",
		  "its servers (a fleet of --servers)", 0, 0 },
		{ "rules", KM_OPT_STRING, &o->rules, "FILE", "a rule set (the built-in one)", 0,
		  0 },
		{ "level", KM_OPT_STRING, &o->level, "L",
		  "built-in zone: shape, batch or vmtype (batch)", 0, 0 },
		{ "types", KM_OPT_U64, &o->types, "N", "built-in zone: about so many request types",
		  1, 1e6 },
		{ "fill", KM_OPT_DOUBLE, &o->fill, "X",
		  "built-in zone: cpu in use at the start (0.6)", 0, 0.95 },
		{ "batches", KM_OPT_FLAG, &o->batches, NULL,
		  "built-in zone: a tenant's batch is one request (--requests counts VMs)", 0, 0 },
		{ "seed", KM_OPT_U64, &o->seed, "S", "seed of all that is random (1)", 0, 0 },
		{ "warmup", KM_OPT_DOUBLE, &o->warmup, "X",
		  "share of requests left out of the figures (0.2)", 0, 0.9 },
		{ "calibrate", KM_OPT_U64, &o->calibrate, "N", "requests of the calibration (6000)",
		  1, 1e9 },
		{ "estimates", KM_OPT_STRING, &o->estimates, "FILE",
		  "load the estimates from FILE, save them there", 0, 0 },
		{ "record-costs", KM_OPT_STRING, &o->costs, "FILE",
		  "write the times of hits and misses for kamino sim --costs", 0, 0 },
		{ "requests-out", KM_OPT_STRING, &o->requests_out, "FILE",
		  "write a CSV row a request: agent, times, hits", 0, 0 },
		{ "idle-lag", KM_OPT_U64, &o->idle_lag, "N",
		  "idle agents update what is N changes behind (256; 0 = not)", 0, 1e9 },
		{ "no-in-service", KM_OPT_FLAG, &o->no_in_service, NULL,
		  "the request in service does not count as cached-to-be", 0, 0 },
		{ "huge-pages", KM_OPT_FLAG, &o->huge_pages, NULL, "ask for huge pages", 0, 0 },
		{ "explain", KM_OPT_U64, &o->explain, "REQUEST",
		  "why this request went where it did", 1, 1e18 },
		{ "name", KM_OPT_STRING, &o->name, "NAME", "what 'kamino top --name' calls it", 0,
		  0 },
		{ "no-publish", KM_OPT_FLAG, &o->no_publish, NULL,
		  "nothing for 'kamino top' to look at", 0, 0 },
		{ "json", KM_OPT_FLAG, &o->json, NULL, "one JSON document instead of the tables", 0,
		  0 },
		{ "json-out", KM_OPT_STRING, &o->json_out, "FILE",
		  "write that document to FILE as well", 0, 0 },
		{ "help", KM_OPT_FLAG, &o->help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	const struct km_policy *policy[POLICY_NR_MAX];
	struct km_diag diag;
	uint32_t policy_nr;
	int rc, err;

	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	if (o->help)
		return km_verb_help(
			"run", "[options]",
			"A zone's stream of VM requests through the real runtime, audited.", opts);
	if (o->inventory && !o->trace) {
		km_diag_set(
			&diag, -EINVAL, NULL, 0, 0,
			"--inventory goes with --trace; the built-in zone makes its own servers");
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	}
	if (run_parse_level(o->level, &w.level, &diag))
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	if (km_policy_list_parse_live(o->policy, policy, POLICY_NR_MAX, &policy_nr, &diag))
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	if (check_files(o, &diag))
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	if (o->name && !run_name_ok(o->name)) {
		km_diag_set(&diag, -EINVAL, NULL, 0, 0,
			    "--name %s: 1 to 32 letters, digits, '.', '_' or '-'", o->name);
		return km_verb_fail("run", &diag, KM_EXIT_USAGE);
	}
	if (!o->requests && !o->trace)
		o->requests = DEFAULT_REQUESTS;
	w.tty = isatty(STDERR_FILENO);
	km_snap_thread_start();
	err = run_world_set_up(&w, &diag);
	if (err)
		rc = km_verb_fail("run", &diag, err == -E2BIG ? KM_EXIT_USAGE : KM_EXIT_FAILED);
	else
		rc = run_all(&w, policy, policy_nr);
	run_world_tear_down(&w);
	km_snap_drain();
	km_snap_thread_stop();
	return rc;
}
