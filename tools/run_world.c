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

static uint64_t available_bytes(void)
{
	char line[256];
	uint64_t kib = 0;
	FILE *from = fopen("/proc/meminfo", "re");

	while (from && fgets(line, sizeof(line), from))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (from)
		fclose(from);
	return kib << 10;
}

/* Budgets are hard, so they are checked against the machine before anything runs. */
static int check_memory(struct run_world *w, const struct km_workload *workload,
			struct km_diag *diag)
{
	uint64_t agents = w->opt.agents, have = available_bytes(), want;

	w->top_bytes = workload->class_bytes[workload->ops->top_class(workload->workload)];
	w->cache_bytes = w->opt.cache_bytes ? w->opt.cache_bytes
					    : w->top_bytes * DEFAULT_CACHE_TYPES * 3 / 2;
	w->view_bytes = (uint64_t)w->inv->server_nr * (KM_RES_NR * sizeof(int32_t) + 16);
	if (!w->opt.cache_bytes && have && w->cache_bytes * agents > have / 2)
		w->cache_bytes = have / 2 / agents;
	want = agents * (w->cache_bytes + w->view_bytes);
	if (have && want > have)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
				   "%" PRIu64 " agents with %" PRIu64 " MiB of cache and %" PRIu64
				   " MiB of inventory each want more than the %" PRIu64
				   " MiB that are free; lower --cache or --agents",
				   agents, w->cache_bytes >> 20, w->view_bytes >> 20, have >> 20);
	if (w->top_bytes > w->cache_bytes)
		fprintf(stderr,
			"kamino run: one consolidated result takes %" PRIu64
			" KiB, the cache has %" PRIu64 " KiB: every request is served uncached\n",
			w->top_bytes >> 10, w->cache_bytes >> 10);
	return 0;
}

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
	err = check_memory(w, km_place_workload(place), diag);
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
