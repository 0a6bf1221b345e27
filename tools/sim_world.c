/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/sim_world.c - from options to points: lists, zones, a trace, and what
 * contradicts itself.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"
#include "place/zone.h"
#include "tools/policy_list.h"
#include "tools/sim_internal.h"

/* Agents that a zone's cache_mib is for. */
#define NODE_AGENT_NR 4

/* ---- lists ------------------------------------------------------------------- */

static int parse_policies(struct sim_world *w, struct km_diag *diag)
{
	return km_policy_list_parse(w->opt.policy ? w->opt.policy : "all", w->policy,
				    SIM_LIST_NR_MAX, &w->policy_nr, diag);
}

static int parse_numbers(const char *option, const char *text, double min, double max, double *list,
			 uint32_t *nr, struct km_diag *diag)
{
	char copy[512], *save = NULL, *word, *end;

	snprintf(copy, sizeof(copy), "%s", text);
	*nr = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (*nr == SIM_LIST_NR_MAX)
			return km_diag_set(diag, -EINVAL, "", 0, 0, "--%s: too many", option);
		list[*nr] = strtod(word, &end);
		if (end == word || *end || !(list[*nr] >= min && list[*nr] <= max))
			return km_diag_set(diag, -EINVAL, "", 0, 0,
					   "--%s %s: numbers from %g to %g", option, word, min,
					   max);
		(*nr)++;
	}
	return *nr ? 0 : km_diag_set(diag, -EINVAL, "", 0, 0, "--%s names none", option);
}

static int parse_agents(struct sim_world *w, struct km_diag *diag)
{
	int err = parse_numbers("agents", w->opt.agents ? w->opt.agents : "4", 1, 4096, w->agents,
				&w->agents_nr, diag);
	uint32_t i;

	for (i = 0; !err && i < w->agents_nr; i++)
		if (w->agents[i] != floor(w->agents[i]))
			err = km_diag_set(diag, -EINVAL, "", 0, 0,
					  "--agents %g: want a whole number", w->agents[i]);
	return err;
}

/* ---- zones ------------------------------------------------------------------- */

/* The zones that --zone names, of the file's or the built-in ones. */
static int pick_zones(struct sim_world *w, const struct km_sim_zone *all, uint32_t nr,
		      struct km_diag *diag)
{
	const char *names[KM_SIM_ZONES_MAX + 2];
	uint32_t i;

	for (i = 0; i < nr; i++) {
		names[i] = all[i].name;
		if (!strcmp(w->opt.zone, "all") || !strcmp(w->opt.zone, all[i].name))
			w->zone[w->zone_nr++] = all[i];
	}
	names[nr] = "all";
	names[nr + 1] = NULL;
	if (w->zone_nr)
		return 0;
	return km_no_such("zone", w->opt.zone, names, "; --print-zones shows which there are",
			  diag);
}

/* "key=value,key=value" onto every zone. */
static int apply_set(struct sim_world *w, struct km_diag *diag)
{
	char copy[1024], *save = NULL, *word, *value;
	uint32_t z;
	int err = 0;

	if (!w->opt.set)
		return 0;
	if (strlen(w->opt.set) >= sizeof(copy))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "--set: too long");
	snprintf(copy, sizeof(copy), "%s", w->opt.set);
	for (word = strtok_r(copy, ",", &save); word && !err; word = strtok_r(NULL, ",", &save)) {
		value = strchr(word, '=');
		if (!value)
			return km_diag_set(diag, -EINVAL, "", 0, 0, "--set %s: want KEY=VALUE",
					   word);
		*value++ = 0;
		for (z = 0; z < w->zone_nr && !err; z++)
			err = km_sim_zone_set(&w->zone[z], word, value, diag);
	}
	return err;
}

/* "DIR/day.csv.gz" is "day". */
static void label_trace(struct sim_world *w)
{
	const char *from = w->opt.trace ? strrchr(w->opt.trace, '/') : NULL;

	if (!w->opt.trace)
		return;
	snprintf(w->label, sizeof(w->label), "%s", from ? from + 1 : w->opt.trace);
	w->label[strcspn(w->label, ".")] = 0;
	if (!w->label[0])
		snprintf(w->label, sizeof(w->label), "trace");
}

/* A parameter that is out of bounds, or that its others leave no room for. */
static int check_zones(const struct sim_world *w, struct km_diag *diag)
{
	struct km_source *source;
	uint32_t z;
	int err = 0;

	for (z = 0; z < w->zone_nr && !err; z++) {
		err = km_sim_zone_open(&source, &w->zone[z], 1, w->opt.seed, diag);
		if (!err)
			source->destroy(source);
	}
	return err;
}

static int load_zones(struct sim_world *w, struct km_diag *diag)
{
	static struct km_sim_zone file[KM_SIM_ZONES_MAX];
	const struct sim_options *o = &w->opt;
	int err, nr = (int)km_sim_zone_nr;
	uint32_t z;

	if (!o->zone)
		w->opt.zone = o->experiment || o->zone_file || o->print_zones ? "all" : "zone3";
	if (o->zone_file) {
		nr = km_sim_zones_load(file, o->zone_file, diag);
		if (nr < 0)
			return nr;
	}
	err = pick_zones(w, o->zone_file ? file : km_sim_zones, (uint32_t)nr, diag);
	for (z = 0; z < w->zone_nr; z++) {
		if (o->types)
			w->zone[z].types = (uint32_t)o->types;
		if (o->hours > 0)
			w->zone[z].hours = o->hours;
		if (o->idle_lag)
			w->zone[z].idle_lag = (uint32_t)o->idle_lag;
		if (o->age_ns)
			w->zone[z].age_s = (double)o->age_ns / 1e9;
	}
	if (!err)
		err = apply_set(w, diag);
	label_trace(w);
	/* The built-in ones are possible. */
	if (err || o->print_zones || !(o->zone_file || o->set || o->types))
		return err;
	return check_zones(w, diag);
}

/* An experiment is the paper's: what it would not heed is refused. */
static int check_experiment(const struct sim_options *o, struct km_diag *diag)
{
	const char *given = o->trace		   ? "trace"
			    : o->costs		   ? "costs"
			    : o->requests	   ? "requests"
			    : o->cache_bytes	   ? "cache"
			    : o->conflicts	   ? "conflicts"
			    : o->period_ns	   ? "estimate-period"
			    : o->accuracy	   ? "accuracy"
			    : o->no_in_service	   ? "no-in-service"
			    : strcmp(o->load, "1") ? "load"
						   : NULL;

	return given ? km_diag_set(diag, -EINVAL, "", 0, 0,
				   "--%s has no effect with --experiment: leave one of them out; "
				   "--set changes the zones",
				   given)
		     : km_experiment_check(o->experiment, diag);
}

int sim_world_load(struct sim_world *w, struct km_diag *diag)
{
	int err = parse_policies(w, diag);

	if (!err)
		err = parse_agents(w, diag);
	if (!err)
		err = parse_numbers("load", w->opt.load, 1e-3, 1e3, w->load, &w->load_nr, diag);
	if (!err && w->opt.experiment)
		err = check_experiment(&w->opt, diag);
	else if (!err && w->opt.costs && !w->opt.trace)
		err = km_diag_set(diag, -EINVAL, "", 0, 0,
				  "--costs goes with --trace: a run recorded its trace's rules, "
				  "a zone draws times of its own");
	return err ? err : load_zones(w, diag);
}

/* ---- a trace, and points ------------------------------------------------------- */

static int load_inventory(struct sim_world *w, struct km_diag *diag)
{
	int err;

	if (w->opt.inventory)
		return km_inventory_load(&w->inv, w->opt.inventory, diag);
	err = km_zone_fleet(&w->inv, (uint32_t)w->opt.servers, 1);
	return err ? km_diag_set(diag, err, "", 0, 0, "cannot make the servers") : 0;
}

/* Under it half of the agents' time is work, if requests went round robin. */
#define BUSY 0.5

/* The simulation of one zone's caches and times on so many agents. */
static struct km_sim_point point_of(const struct sim_world *w, uint32_t z, uint32_t a)
{
	const struct sim_options *o = &w->opt;
	const struct km_sim_zone *zone = &w->zone[z];
	struct km_sim_point point = {
		.zone = zone,
		.costs_path = o->costs,
		.agent_nr = (uint32_t)w->agents[a],
		.load = 1,
		.cache = 1,
		.cache_bytes = o->cache_bytes,
		.no_in_service = o->no_in_service,
		.accuracy = o->accuracy,
		.check = o->check,
		.series = o->json || o->json_out,
		.conflict_servers = (uint32_t)o->conflicts,
		.seed = o->seed,
		.request_max = o->requests,
		.estimate_period_ns = o->period_ns,
	};

	if (!o->trace)
		return point;
	point.trace = &w->trace;
	point.compress = w->compress[z][a];
	point.type_cap = o->types ? (uint32_t)o->types : w->survey.type_cap;
	point.rule_obj_cap = o->types ? (uint32_t)o->types * 8 + 256 : w->survey.rule_obj_cap;
	point.warmup_nr = (uint64_t)(o->warmup * (double)w->survey.request_nr);
	/* A zone's node has four agents; a fleet of any size has as much for each of its own. */
	if (!point.cache_bytes)
		point.cache_bytes = (uint64_t)(zone->cache_mib * 1048576 / NODE_AGENT_NR);
	return point;
}

static int choose_compress(struct sim_world *w, uint32_t z, uint32_t a, struct km_diag *diag)
{
	struct km_sim_point point = point_of(w, z, a);
	double *compress = &w->compress[z][a];
	int err;

	*compress = w->opt.compress;
	if (*compress > 0)
		return 0;
	err = km_sim_compress(compress, &point, &w->survey, BUSY, diag);
	if (!err)
		fprintf(stderr,
			"kamino sim: %s, %u agents: time compressed %.4g times, for a load of %g "
			"(round robin) at --load 1; --compress chooses another\n",
			w->label, point.agent_nr, *compress, BUSY);
	return err;
}

int sim_world_open_trace(struct sim_world *w, struct km_diag *diag)
{
	const struct sim_options *o = &w->opt;
	uint32_t z, a;
	int err;

	if (!o->trace)
		return 0;
	err = load_inventory(w, diag);
	if (err)
		return err;
	w->trace = (struct km_sim_trace_cfg){
		.path = o->trace, .inv = w->inv, .rules_path = o->rules, .compress = 1
	};
	err = km_sim_trace_survey(&w->survey, &w->trace, o->requests, o->costs, diag);
	for (z = 0; z < w->zone_nr; z++)
		for (a = 0; !err && a < w->agents_nr; a++)
			err = choose_compress(w, z, a, diag);
	return err;
}

void sim_world_points(const struct sim_world *w, struct km_sim_point *point)
{
	uint32_t z, l, a, p;

	for (z = 0; z < w->zone_nr; z++)
		for (l = 0; l < w->load_nr; l++)
			for (a = 0; a < w->agents_nr; a++)
				for (p = 0; p < w->policy_nr; p++, point++) {
					*point = point_of(w, z, a);
					point->policy = w->policy[p];
					point->load = w->load[l];
				}
}
