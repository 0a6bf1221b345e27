/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/run_world.c - from options to a zone that stands ready: topology, trace,
 * servers, rules, memory check, and the VMs that run at the start.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/arena.h"
#include "lib/host.h"
#include "tools/run_internal.h"

/* Room for so many consolidated results, with the rule objects pinned beside them. */
#define DEFAULT_CACHE_TYPES 50

int run_parse_level(const char *name, enum km_zone_level *level, struct km_diag *diag)
{
	static const char *const names[] = { "shape", "batch", "vmtype", NULL };
	uint32_t i;

	for (i = 0; names[i]; i++)
		if (!strcmp(name, names[i])) {
			*level = i;
			return 0;
		}
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--level %s: one of shape, batch, vmtype",
			   name);
}

static int load_zone(struct run_world *w, struct km_diag *diag)
{
	const struct run_options *opt = &w->opt;
	struct km_zone_cfg cfg = {
		.seed = opt->seed,
		.server_nr = (uint32_t)opt->servers,
		.create_nr = opt->requests,
		.type_nr = (uint32_t)opt->types,
		.fill = opt->fill,
		.batches = opt->batches,
		.level = w->level,
	};
	int err;

	if (!opt->trace) {
		err = km_zone_generate(&cfg, &w->trace, &w->inv);
		if (err)
			return km_diag_set(diag, err, NULL, 0, 0, "cannot generate the zone: %s",
					   strerror(-err));
		return 0;
	}
	err = km_trace_load(&w->trace, opt->trace, 0, diag);
	if (err)
		return err;
	if (opt->inventory)
		return km_inventory_load(&w->inv, opt->inventory, diag);
	err = km_zone_fleet(&w->inv, (uint32_t)opt->servers, opt->seed);
	return err ? km_diag_set(diag, err, NULL, 0, 0, "cannot make the fleet") : 0;
}

static int load_rules(struct run_world *w, struct km_diag *diag)
{
	int err;

	if (w->opt.rules)
		err = km_ruleset_load(&w->rules, w->opt.rules, diag);
	else
		err = km_ruleset_default(&w->rules, &w->trace->schema, w->inv);
	if (err)
		return err;
	return km_ruleset_check(w->rules, &w->trace->schema, w->inv, diag);
}

/* ---- what the machine has ------------------------------------------------------- */

/*
 * An agent's tables, rings and touched stack, beside its cache and its inventory: 8.04
 * MiB by the difference between 204 and 4 agents of --servers 1000 --cache 64KiB.
 */
#define AGENT_BYTES (UINT64_C(8) << 20)
#define AGENT_ARENA_NR 2
#define THREAD_NR 3 /* dispatcher, estimator, publisher */

/* The least of an agent's inventory; km_place_agent_bytes() knows the labels as well. */
static uint64_t view_bytes(uint64_t server_nr)
{
	return server_nr * (KM_RES_NR * sizeof(int32_t) + 16);
}

/*
 * Whether the machine takes so many threads, arenas and @bytes each: what it lacks
 * would else be found out when most of them are up.
 */
static int check_room(const struct run_world *w, uint64_t bytes, struct km_diag *diag)
{
	const char *limit;
	const uint64_t threads = km_host_threads("", &limit), memory = km_host_memory("");
	const uint64_t by_memory = memory / (AGENT_BYTES + bytes);
	const uint64_t by_threads = threads > THREAD_NR ? threads - THREAD_NR : 0;
	const uint64_t by_arenas = km_arena_nr_left() / AGENT_ARENA_NR;
	const uint64_t most = km_min_u64(by_memory, km_min_u64(by_threads, by_arenas));
	char what[128];

	if (w->opt.agents <= most)
		return 0;
	if (most == by_memory)
		snprintf(what, sizeof(what),
			 "%" PRIu64 " MiB of memory are available and one takes %" PRIu64 ": lower "
			 "--cache, --servers or",
			 memory >> 20, (AGENT_BYTES + bytes) >> 20);
	else if (most == by_threads)
		snprintf(what, sizeof(what), "%s leaves %" PRIu64 " threads: raise it or lower",
			 limit, threads);
	else
		snprintf(what, sizeof(what), "jemalloc numbers no more arenas: lower");
	return km_diag_set(diag, -E2BIG, NULL, 0, 0,
			   "%" PRIu64 " agents are too many, there is room for %" PRIu64
			   ": %s --agents",
			   w->opt.agents, most, what);
}

/* Budgets are hard, so they are checked against the machine before anything runs. */
static int check_memory(struct run_world *w, const struct km_place_ctx *place, struct km_diag *diag)
{
	const struct km_workload *workload = km_place_workload(place);
	const uint64_t have = km_host_memory("");

	w->top_bytes = workload->class_bytes[workload->ops->top_class(workload->workload)];
	w->cache_bytes = w->opt.cache_bytes ? w->opt.cache_bytes
					    : w->top_bytes * DEFAULT_CACHE_TYPES * 3 / 2;
	if (!w->opt.cache_bytes)
		w->cache_bytes = km_min_u64(w->cache_bytes, have / 2 / w->opt.agents);
	if (w->top_bytes > w->cache_bytes)
		fprintf(stderr,
			"kamino run: one consolidated result takes %" PRIu64
			" KiB, the cache has %" PRIu64 " KiB: every request is served uncached\n",
			w->top_bytes >> 10, w->cache_bytes >> 10);
	return check_room(w, w->cache_bytes + km_place_agent_bytes(place), diag);
}

/* ---- what it serves ----------------------------------------------------------------- */

void run_progress(struct run_world *w, const char *what, uint64_t done, uint64_t all)
{
	km_publisher_phase(w->publisher, what, done, all);
	if (w->tty)
		fprintf(stderr, "\r\033[K%s: %" PRIu64 " of %" PRIu64 " (%.0f %%)", what, done, all,
			all ? 100.0 * (double)done / (double)all : 100.0);
}

void run_progress_end(struct run_world *w)
{
	if (w->tty)
		fprintf(stderr, "\r\033[K");
}

static void preload_progress(void *arg, uint64_t done, uint64_t all)
{
	run_progress(arg, "placing the VMs that run at the start", done, all);
}

/* A store with nothing in it, and the workload over it. */
int run_store_open(struct run_world *w, struct km_store **store, struct km_place_ctx **place,
		   struct km_diag *diag)
{
	const struct km_store_cfg store_cfg = {
		.inv = w->inv,
		.rules = w->rules,
		.vm_cap = km_dict_nr(w->trace->schema.vms),
		.keep_journal = true,
	};
	struct km_place_cfg place_cfg = {
		.inv = w->inv,
		.schema = &w->trace->schema,
		.rules = w->rules,
		.store_ops = &km_store_memory,
		.agent_nr = (uint32_t)w->opt.agents,
		.seed = w->opt.seed,
	};
	int err = km_store_memory.open(store, &store_cfg, diag);

	if (err)
		return err;
	place_cfg.store = *store;
	err = km_place_create(place, &place_cfg, diag);
	if (err)
		km_store_memory.close(*store);
	return err;
}

void run_store_close(struct km_store *store, struct km_place_ctx *place)
{
	km_place_destroy(place);
	km_store_memory.close(store);
}

/* Where the initial VMs stand, once; every policy starts from there. */
static int place_initial(struct run_world *w, struct km_diag *diag)
{
	struct km_place_ctx *place;
	struct km_store *store;
	uint64_t i;
	int err = run_store_open(w, &store, &place, diag);

	if (err)
		return err;
	err = check_memory(w, place, diag);
	if (!err)
		err = km_replay_plan_make(&w->jobs, w->trace, place,
					  km_place_workload(place)->part_nr_max, w->opt.requests,
					  diag);
	if (!err)
		err = km_place_preload(place, w->trace, &w->unplaced, preload_progress, w, diag);
	run_progress_end(w);
	if (!err) {
		w->initial = malloc((w->trace->initial_nr + 1) * sizeof(*w->initial));
		err = w->initial ? 0 : -ENOMEM;
	}
	/* By VM, not by row: a name may come, go and come again. */
	for (i = 0; !err && i < km_dict_nr(w->trace->schema.vms); i++)
		if (km_store_memory.find(store, (uint32_t)i, &w->initial[w->initial_nr]))
			w->initial_nr++;
	run_store_close(store, place);
	return err;
}

int run_world_set_up(struct run_world *w, struct km_diag *diag)
{
	int err = km_topo_open(&w->topo, NULL, NULL, diag);

	if (err)
		return err;
	if (!w->opt.agents)
		w->opt.agents = km_max_u64(4, km_topo_summary(w->topo)->core_nr - 1);
	/* The servers of a file are counted when it has been read. */
	err = check_room(w, w->opt.cache_bytes + view_bytes(w->opt.inventory ? 0 : w->opt.servers),
			 diag);
	if (err)
		return err;
	err = km_plan_make(&w->plan, w->topo, (uint32_t)w->opt.agents);
	if (err)
		return km_diag_set(diag, err, NULL, 0, 0, "cannot plan %" PRIu64 " agents",
				   w->opt.agents);
	if (w->plan->oversubscribed)
		fprintf(stderr,
			"kamino run: %" PRIu64
			" agents and a dispatcher share %u cores: they park, "
			"not spin\n",
			w->opt.agents, km_topo_summary(w->topo)->core_nr);
	run_publish_open(w);
	err = load_zone(w, diag);
	if (!err)
		err = load_rules(w, diag);
	if (!err)
		err = place_initial(w, diag);
	if (!err && w->unplaced)
		fprintf(stderr,
			"kamino run: %" PRIu64 " of %" PRIu64
			" VMs of the initial state fit on no server and are left out\n",
			w->unplaced, w->trace->initial_nr);
	if (!err && !w->jobs->create_nr)
		err = km_diag_set(diag, -EINVAL, w->opt.trace, 0, 0, "the trace has no request");
	if (!err)
		w->warmup_nr = (uint64_t)(w->opt.warmup * (double)w->jobs->create_nr);
	return err;
}

void run_world_tear_down(struct run_world *w)
{
	run_publish_close(w);
	km_replay_plan_free(w->jobs);
	free(w->initial);
	km_request_log_abandon(w->log);
	km_cost_recorder_destroy(w->costs);
	if (w->rules)
		km_ruleset_destroy(w->rules);
	if (w->trace)
		km_trace_destroy(w->trace);
	if (w->inv)
		km_inventory_destroy(w->inv);
	if (w->plan)
		km_plan_destroy(w->plan);
	if (w->topo)
		km_topo_close(w->topo);
}
