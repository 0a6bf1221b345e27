/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/sim.c - kamino sim: a zone's day in virtual time, under one policy or
 * many, and the paper's evaluation beside the paper's numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/opts.h"
#include "place/zone.h"
#include "sim/experiment.h"
#include "tools/json.h"
#include "tools/policy_list.h"
#include "tools/verbs.h"

#define LIST_NR_MAX 64
/* Agents that a zone's cache_mib is for. */
#define NODE_AGENT_NR 4

struct options {
	const char *policy, *agents, *load, *zone, *zone_file, *set, *experiment, *json_out, *trace,
		*inventory, *rules, *costs;
	uint64_t servers;
	double compress, warmup;
	uint64_t requests, seed, types, cache_bytes, threads, conflicts, idle_lag, age_ns,
		period_ns;
	double hours;
	bool json, check, accuracy, no_in_service, print_zones, quiet, help;
};

struct world {
	struct options opt;
	struct km_sim_zone zone[KM_SIM_ZONES_MAX];
	uint32_t zone_nr;
	const struct km_policy *policy[LIST_NR_MAX];
	uint32_t policy_nr;
	double agents[LIST_NR_MAX], load[LIST_NR_MAX];
	uint32_t agents_nr, load_nr;
	struct km_sim_trace_cfg trace;
	struct km_inventory *inv;
	struct km_sim_survey survey; /* of the trace */
	double compress[KM_SIM_ZONES_MAX][LIST_NR_MAX]; /* of the trace; by zone and agents */
	char label[32]; /* the trace's name without folder and ending; or "" */
	bool tty;
};

/* ---- from options to points ------------------------------------------------ */

static int parse_policies(struct world *w, struct km_diag *diag)
{
	return km_policy_list_parse(w->opt.policy ? w->opt.policy : "all", w->policy, LIST_NR_MAX,
				    &w->policy_nr, diag);
}

static int parse_numbers(const char *option, const char *text, double min, double max, double *list,
			 uint32_t *nr, struct km_diag *diag)
{
	char copy[512], *save = NULL, *word, *end;

	snprintf(copy, sizeof(copy), "%s", text);
	*nr = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (*nr == LIST_NR_MAX)
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

static int parse_agents(struct world *w, struct km_diag *diag)
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

/* The zones that --zone names, of the file's or the built-in ones. */
static int pick_zones(struct world *w, const struct km_sim_zone *all, uint32_t nr,
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
static int apply_set(struct world *w, struct km_diag *diag)
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
static void label_trace(struct world *w)
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
static int check_zones(const struct world *w, struct km_diag *diag)
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

static int load_zones(struct world *w, struct km_diag *diag)
{
	static struct km_sim_zone file[KM_SIM_ZONES_MAX];
	const struct options *o = &w->opt;
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

static int load_inventory(struct world *w, struct km_diag *diag)
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
static struct km_sim_point point_of(const struct world *w, uint32_t z, uint32_t a)
{
	const struct options *o = &w->opt;
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

static int choose_compress(struct world *w, uint32_t z, uint32_t a, struct km_diag *diag)
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

static int open_trace(struct world *w, struct km_diag *diag)
{
	const struct options *o = &w->opt;
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

static void make_points(const struct world *w, struct km_sim_point *point)
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

static void show_progress(void *ctx, uint32_t nr, uint32_t of)
{
	const struct world *w = ctx;

	if (w->tty && of > 1)
		fprintf(stderr, "\rsimulated %u of %u%s", nr, of, nr == of ? "\n" : " ");
}

/* ---- results --------------------------------------------------------------- */

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* What a row is about: the trace or the zone. */
static const char *name_of(const struct world *w, const struct km_sim_point *p)
{
	return p->trace ? w->label : p->zone->name;
}

static void print_head(const struct world *w)
{
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n", "", "", "", "",
	       "top", "rule", "latency", "", "", "", "wait", "process", "cache MiB");
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n",
	       w->label[0] ? "trace" : "zone", "policy", "agents", "load", "hit %", "hit %",
	       "mean ms", "p50", "p90", "p99", "mean ms", "mean ms", "mean");
}

static void print_point(const struct world *w, const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;

	printf("%-8.12s %-16s %6u %5g | %6.2f %6.2f | %8.1f %8.1f %8.1f %8.1f | %8.1f %8.1f | %9.0f\n",
	       name_of(w, p), p->policy->name, p->agent_nr, p->load,
	       100 * ratio(r->top_hits, r->measured),
	       100 * ratio(r->rule_hits, r->rule_hits + r->rule_misses),
	       km_hist_mean(&r->latency) / 1e6, ms(km_hist_quantile(&r->latency, .5)),
	       ms(km_hist_quantile(&r->latency, .9)), ms(km_hist_quantile(&r->latency, .99)),
	       km_hist_mean(&r->wait) / 1e6, km_hist_mean(&r->processing) / 1e6,
	       r->cache_bytes_mean / p->agent_nr / 1048576);
}

static void print_accuracy(const struct world *w, const struct km_sim_point *p)
{
	const struct km_sim_accuracy *a = &p->result->accuracy;

	printf("%-8.12s %-16s events right: top %.2f %%, rule %.2f %%; time error %.1f %%; best agent "
	       "%.1f %%, regret %.2f ms\n",
	       name_of(w, p), p->policy->name, 100 * ratio(a->top_right, a->top_events),
	       100 * ratio(a->rule_right, a->rule_events),
	       a->time_nr ? 100 * a->time_error_sum / (double)a->time_nr : 0,
	       100 * ratio(a->best_nr, a->judged),
	       a->judged ? ms(a->gap_ns_sum) / (double)a->judged : 0);
}

static void warn_unstable(const struct world *w, const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;

	fprintf(stderr,
		"kamino sim: %s, %s, %u agents, load %g: more work than the agents can do; "
		"%" PRIu64 " of %" PRIu64 " requests refused, latencies depend on the length\n",
		name_of(w, p), p->policy->name, p->agent_nr, p->load, r->refused, r->submitted);
}

/* By row, then for those rows of which no policy keeps up. */
static void warn_all(const struct world *w, const struct km_sim_point *point, uint32_t nr)
{
	uint32_t i, p, lost;

	for (i = 0; i < nr; i += w->policy_nr) {
		for (p = lost = 0; p < w->policy_nr; p++) {
			if (!point[i + p].result->unstable)
				continue;
			warn_unstable(w, &point[i + p]);
			lost++;
		}
		if (lost && lost == w->policy_nr)
			fprintf(stderr,
				"kamino sim: %s, %u agents, load %g: no queue is stable; give more "
				"--agents or a lower --load%s\n",
				name_of(w, &point[i]), point[i].agent_nr, point[i].load,
				point[i].trace ? " or --compress" : "");
	}
}

static json_t *accuracy_json(const struct km_sim_accuracy *a)
{
	return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f}", "judged", (json_int_t)a->judged,
			 "top_event_rate", ratio(a->top_right, a->top_events), "rule_event_rate",
			 ratio(a->rule_right, a->rule_events), "time_error",
			 a->time_nr ? a->time_error_sum / (double)a->time_nr : 0.0,
			 "best_agent_rate", ratio(a->best_nr, a->judged), "regret_us_mean",
			 a->judged ? (double)a->gap_ns_sum / 1e3 / (double)a->judged : 0.0);
}

static json_t *point_json(const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;
	json_t *doc = json_pack("{s:s,s:s,s:i,s:f,s:I,s:I,s:I,s:I}", "policy", p->policy->name,
				"zone", p->zone->name, "agents", (int)p->agent_nr, "load", p->load,
				"submitted", (json_int_t)r->submitted, "completed",
				(json_int_t)r->completed, "refused", (json_int_t)r->refused, "lost",
				(json_int_t)r->lost);
	/* Per virtual second: the same on every machine. Our own speed is in "host". */
	double seconds = (double)r->end_ns / 1e9;

	json_object_set_new(doc, "latency_us", km_json_us(&r->latency));
	json_object_set_new(doc, "wait_us", km_json_us(&r->wait));
	json_object_set_new(doc, "processing_us", km_json_us(&r->processing));
	json_object_set_new(doc, "quantiles_us",
			    km_json_quantiles_us(&r->latency, &r->wait, &r->processing));
	json_object_set_new(doc, "top_hit_rate", json_real(ratio(r->top_hits, r->measured)));
	json_object_set_new(doc, "rule_hit_rate",
			    json_real(ratio(r->rule_hits, r->rule_hits + r->rule_misses)));
	json_object_set_new(doc, "cache_bytes_mean", json_real(r->cache_bytes_mean / p->agent_nr));
	json_object_set_new(doc, "cache_bytes_max", json_integer((json_int_t)r->cache_bytes_max));
	json_object_set_new(doc, "events_per_s",
			    json_real(seconds > 0 ? (double)r->completed / seconds : 0));
	json_object_set_new(
		doc, "busy",
		json_real(seconds > 0 ? (double)r->busy_ns / (double)r->end_ns / p->agent_nr : 0));
	json_object_set_new(doc, "hit_us_mean",
			    json_real(r->top_hits ? (double)r->hit_ns / 1e3 / (double)r->top_hits
						  : 0));
	json_object_set_new(
		doc, "miss_us_mean",
		json_real(r->top_misses ? (double)r->miss_ns / 1e3 / (double)r->top_misses : 0));
	json_object_set_new(doc, "uncached", json_integer((json_int_t)r->uncached));
	json_object_set_new(doc, "aged", json_integer((json_int_t)r->aged));
	json_object_set_new(doc, "idle_updates", json_integer((json_int_t)r->idle_updates));
	json_object_set_new(doc, "conflicts", json_integer((json_int_t)r->conflicts));
	json_object_set_new(doc, "retries",
			    json_integer((json_int_t)(r->conflicts - r->retries_exhausted)));
	json_object_set_new(doc, "unstable", json_boolean(r->unstable));
	if (p->trace) {
		json_object_set_new(doc, "compress", json_real(p->compress * p->load));
		json_object_set_new(doc, "cache_bytes", json_integer((json_int_t)p->cache_bytes));
	}
	json_object_set_new(doc, "virtual_s", json_real(seconds));
	if (p->accuracy)
		json_object_set_new(doc, "accuracy", accuracy_json(&r->accuracy));
	if (r->series)
		json_object_set_new(doc, "series", km_json_series(r->series));
	return doc;
}

static json_t *cell_json(const struct km_cell *cell)
{
	json_t *doc = json_pack("{s:s,s:s,s:s}", "figure", cell->figure, "row", cell->row, "column",
				cell->column);

	json_object_set_new(doc, "ours",
			    isfinite(cell->ours) ? json_real(cell->ours) : json_null());
	json_object_set_new(doc, "paper",
			    isfinite(cell->paper) ? json_real(cell->paper) : json_null());
	return doc;
}

static json_t *params_json(const struct world *w)
{
	const struct options *o = &w->opt;
	json_t *zones = json_array();
	uint32_t z;

	for (z = 0; z < w->zone_nr; z++)
		json_array_append_new(zones, json_string(w->zone[z].name));
	return json_pack("{s:s?,s:s?,s:s,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:b,s:I,s:o}", "policy",
			 o->policy, "agents",
			 o->agents	 ? o->agents
			 : o->experiment ? NULL
					 : "4",
			 "load", o->load, "experiment", o->experiment, "trace", o->trace,
			 "zone_file", o->zone_file, "set", o->set, "requests",
			 (json_int_t)o->requests, "seed", (json_int_t)o->seed, "in_service_counts",
			 !o->no_in_service, "conflict_servers", (json_int_t)o->conflicts, "zones",
			 zones);
}

/* @results is taken over. What depends on the machine goes into "host". */
static int write_json(const struct world *w, json_t *results, double core_s, uint64_t requests,
		      const char *path)
{
	json_t *doc = km_json_envelope("sim", params_json(w), results), *host;
	FILE *to = path ? fopen(path, "we") : stdout;
	int err;

	host = doc ? json_object_get(doc, "host") : NULL;
	if (host) {
		json_object_set_new(host, "core_s", json_real(core_s));
		json_object_set_new(host, "requests_per_core_s",
				    json_real(core_s > 0 ? (double)requests / core_s : 0));
	}
	err = to ? km_json_print(doc, to) : -errno;
	if (path && to && fclose(to) && !err)
		err = -EIO;
	json_decref(doc);
	if (!err)
		return KM_EXIT_DONE;
	fprintf(stderr, "kamino sim: cannot write the JSON document%s%s\n", path ? " to " : "",
		path ? path : "");
	return KM_EXIT_FAILED;
}

static int write_points(const struct world *w, const struct km_sim_point *point, uint32_t nr,
			const char *path, double core_s, uint64_t requests)
{
	json_t *results = json_array();
	uint32_t i;

	for (i = 0; i < nr; i++)
		json_array_append_new(results, point_json(&point[i]));
	return write_json(w, results, core_s, requests, path);
}

static int report_points(const struct world *w, const struct km_sim_point *point, uint32_t nr)
{
	double core_s = 0;
	uint64_t requests = 0;
	uint32_t i;
	int rc = KM_EXIT_DONE;

	for (i = 0; i < nr; i++) {
		core_s += point[i].cpu_s;
		requests += point[i].result->submitted;
	}
	warn_all(w, point, nr);
	if (w->opt.json)
		rc = write_points(w, point, nr, NULL, core_s, requests);
	if (w->opt.json_out && rc == KM_EXIT_DONE)
		rc = write_points(w, point, nr, w->opt.json_out, core_s, requests);
	if (w->opt.json)
		return rc;
	print_head(w);
	for (i = 0; i < nr; i++)
		print_point(w, &point[i]);
	for (i = 0; i < nr && w->opt.accuracy; i++)
		print_accuracy(w, &point[i]);
	fprintf(stderr, "%" PRIu64 " requests in %.2f s of one core: %.2f million a second\n",
		requests, core_s, core_s > 0 ? (double)requests / core_s / 1e6 : 0);
	return rc;
}

static void print_cells(const struct km_experiment_result *x)
{
	uint32_t i;

	printf("%-9s %-17s %-22s %10s %10s %10s\n", "figure", "row", "column", "ours", "paper",
	       "difference");
	for (i = 0; i < x->cell_nr; i++) {
		const struct km_cell *c = &x->cell[i];

		printf("%-9s %-17s %-22s %10.3f ", c->figure, c->row, c->column, c->ours);
		if (isfinite(c->paper))
			printf("%10.3f %+10.3f\n", c->paper, c->ours - c->paper);
		else
			printf("%10s %10s\n", "-", "-");
	}
}

static int write_cells(const struct world *w, const struct km_experiment_result *x,
		       const char *path)
{
	json_t *results = json_array();
	uint32_t i;

	for (i = 0; i < x->cell_nr; i++)
		json_array_append_new(results, cell_json(&x->cell[i]));
	return write_json(w, results, x->core_s, x->request_nr, path);
}

static int run_experiment(struct world *w, struct km_diag *diag)
{
	const struct km_experiment_cfg cfg = {
		.zone = w->zone,
		.zone_nr = w->zone_nr,
		.policy = w->policy,
		.policy_nr = w->opt.policy ? w->policy_nr : 0,
		.agents = w->agents,
		.agents_nr = w->opt.agents ? w->agents_nr : 0,
		.seed = w->opt.seed,
		.thread_nr = (uint32_t)w->opt.threads,
		.check = w->opt.check,
		.progress = { .done = show_progress, .ctx = w },
	};
	struct km_experiment_result x;
	int rc = KM_EXIT_DONE;

	if (km_experiment_run(&x, w->opt.experiment, &cfg, diag))
		return km_verb_fail("sim", diag, KM_EXIT_FAILED);
	if (x.refused_nr)
		fprintf(stderr,
			"kamino sim: %" PRIu64 " requests were refused: some load is more "
			"than the agents can do\n",
			x.refused_nr);
	if (w->opt.json)
		rc = write_cells(w, &x, NULL);
	else
		print_cells(&x);
	if (w->opt.json_out && rc == KM_EXIT_DONE)
		rc = write_cells(w, &x, w->opt.json_out);
	if (!w->opt.json)
		fprintf(stderr,
			"%u simulations, %" PRIu64
			" requests in %.1f s of one core: %.2f million a "
			"second\n",
			x.point_nr, x.request_nr, x.core_s, (double)x.request_nr / x.core_s / 1e6);
	km_experiment_fini(&x);
	return rc;
}

static int run_points(struct world *w, struct km_diag *diag)
{
	const struct km_sweep_progress progress = { .done = show_progress, .ctx = w };
	uint32_t nr = w->zone_nr * w->load_nr * w->agents_nr * w->policy_nr;
	struct km_sim_point *point = calloc(nr, sizeof(*point));
	int rc, err;

	if (!point)
		return KM_EXIT_FAILED;
	err = open_trace(w, diag);
	if (!err) {
		make_points(w, point);
		err = km_sweep_run(point, nr, (uint32_t)w->opt.threads, &progress, diag);
	}
	if (err) {
		free(point);
		/* What was asked for cannot be, beside what merely went wrong. */
		return km_verb_fail("sim", diag,
				    err == -EDOM || err == -E2BIG ? KM_EXIT_USAGE : KM_EXIT_FAILED);
	}
	rc = report_points(w, point, nr);
	km_sweep_fini(point, nr);
	free(point);
	return rc;
}

/* An experiment is the paper's: what it would not heed is refused. */
static int check_experiment(const struct options *o, struct km_diag *diag)
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

static int parse_lists(struct world *w, struct km_diag *diag)
{
	int err = parse_policies(w, diag);

	if (!err)
		err = parse_agents(w, diag);
	if (!err)
		err = parse_numbers("load", w->opt.load, 1e-3, 1e3, w->load, &w->load_nr, diag);
	if (!err && w->opt.experiment)
		err = check_experiment(&w->opt, diag);
	return err ? err : load_zones(w, diag);
}

int km_verb_sim(int argc, char **argv)
{
	static struct world w;
	struct options *o = &w.opt;
	const struct km_opt opts[] = {
		{ "policy", KM_OPT_STRING, &o->policy, "P[,P]|all",
		  "who gets a request (all: the paper's seven; in experiments only their rows)", 0,
		  0 },
		{ "agents", KM_OPT_STRING, &o->agents, "N[,N]",
		  "agents of the node (4; in experiments figure 2's rows)", 0, 0 },
		{ "load", KM_OPT_STRING, &o->load, "X[,X]", "times the zone's rate (1)", 0, 0 },
		{ "zone", KM_OPT_STRING, &o->zone, "NAME|all",
		  "which zone (zone3; of a file, and for experiments, all)", 0, 0 },
		{ "zone-file", KM_OPT_STRING, &o->zone_file, "FILE",
		  "zones of one's own; see --print-zones", 0, 0 },
		{ "set", KM_OPT_STRING, &o->set, "KEY=VALUE[,..]", "change the zones' parameters",
		  0, 0 },
		{ "types", KM_OPT_U64, &o->types, "N",
		  "request types (the zone's); of a trace, at a time (8192)", 1, 4e6 },
		{ "hours", KM_OPT_DOUBLE, &o->hours, "X", "length of the day (24)", 1e-4, 1e5 },
		{ "requests", KM_OPT_U64, &o->requests, "N",
		  "end after so many requests (the day's)", 1, 1e15 },
		{ "seed", KM_OPT_U64, &o->seed, "S", "of arrivals and of the policy's draws (1)", 0,
		  0 },
		{ "cache", KM_OPT_BYTES, &o->cache_bytes, "SIZE",
		  "cache of one agent (the zone's, divided by agents; with --trace by 4)", 1,
		  1e15 },
		{ "cache-age", KM_OPT_DURATION, &o->age_ns, "TIME",
		  "evict what is unused for so long (the zone's)", 0, 0 },
		{ "idle-lag", KM_OPT_U64, &o->idle_lag, "N",
		  "idle agents update what is N changes behind (the zone's)", 1, 4e9 },
		{ "estimate-period", KM_OPT_DURATION, &o->period_ns, "TIME",
		  "the estimator publishes so often (10s)", 0, 0 },
		{ "trace", KM_OPT_STRING, &o->trace, "FILE",
		  "simulate a trace; --zone gives caches and drawn times", 0, 0 },
		{ "inventory", KM_OPT_STRING, &o->inventory, "FILE",
		  "its servers (a fleet of --servers)", 0, 0 },
		{ "servers", KM_OPT_U64, &o->servers, "N",
		  "servers of that fleet (1000: only their labels matter)", 1, 4e6 },
		{ "rules", KM_OPT_STRING, &o->rules, "FILE",
		  "the trace's rule set (the built-in one)", 0, 0 },
		{ "costs", KM_OPT_STRING, &o->costs, "FILE",
		  "times as 'kamino run --record-costs' wrote them", 0, 0 },
		{ "compress", KM_OPT_DOUBLE, &o->compress, "X",
		  "trace seconds per simulated second (chosen for a load of 0.5, and said)", 1e-9,
		  1e12 },
		{ "warmup", KM_OPT_DOUBLE, &o->warmup, "X",
		  "share of a trace's requests left out of the figures (0)", 0, 0.99 },
		{ "conflicts", KM_OPT_U64, &o->conflicts, "N",
		  "commits conflict: so many servers are as good as the best", 1, 4e9 },
		{ "no-in-service", KM_OPT_FLAG, &o->no_in_service, NULL,
		  "the request in service does not count as cached-to-be", 0, 0 },
		{ "accuracy", KM_OPT_FLAG, &o->accuracy, NULL,
		  "weigh every request on every agent: events, times, regret", 0, 0 },
		{ "experiment", KM_OPT_STRING, &o->experiment, "E[,E]",
		  "fig1 fig2 fig6 fig7 fig8 fig9a fig9b fig9c table3 accuracy rivals order all", 0,
		  0 },
		{ "threads", KM_OPT_U64, &o->threads, "N", "simulations at a time (all cores)", 1,
		  256 },
		{ "check", KM_OPT_FLAG, &o->check, NULL,
		  "verify the simulator's invariants at every event", 0, 0 },
		{ "print-zones", KM_OPT_FLAG, &o->print_zones, NULL,
		  "print the zones as a zone file and end", 0, 0 },
		{ "json", KM_OPT_FLAG, &o->json, NULL, "one JSON document instead of tables", 0,
		  0 },
		{ "json-out", KM_OPT_STRING, &o->json_out, "FILE",
		  "write that document to FILE as well", 0, 0 },
		{ "help", KM_OPT_FLAG, &o->help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag;
	uint32_t z;
	int rc, err;

	w = (struct world){ .opt = { .load = "1", .seed = 1, .servers = 1000 } };
	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("sim", &diag, KM_EXIT_USAGE);
	if (o->help)
		return km_verb_help(
			"sim", "[options]",
			"A zone's day in virtual time, by the runtime's own decision code.", opts);
	err = parse_lists(&w, &diag);
	if (err) /* a file that says what cannot be is wrong usage, one that cannot be read is not */
		return km_verb_fail("sim", &diag, err == -EINVAL ? KM_EXIT_USAGE : KM_EXIT_FAILED);
	if (km_verb_check_output("json-out", o->json_out, &diag))
		return km_verb_fail("sim", &diag, KM_EXIT_USAGE);
	w.tty = isatty(STDERR_FILENO);
	if (o->print_zones) {
		for (z = 0; z < w.zone_nr; z++)
			km_sim_zone_print(&w.zone[z], stdout);
		return KM_EXIT_DONE;
	}
	rc = o->experiment ? run_experiment(&w, &diag) : run_points(&w, &diag);
	km_inventory_destroy(w.inv);
	return rc;
}
