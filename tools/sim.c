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
	uint64_t trace_nr; /* requests of the trace, when the warm-up asks for it */
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

/* The zones that --zone names, of the file's or the built-in ones. */
static int pick_zones(struct world *w, const struct km_sim_zone *all, uint32_t nr,
		      struct km_diag *diag)
{
	const char *names[KM_SIM_ZONES_MAX + 2], *near;
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
	near = km_suggest(w->opt.zone, names);
	return km_diag_set(diag, -EINVAL, "", 0, 0, "no zone '%s'%s%s%s", w->opt.zone,
			   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
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
	return err ? err : apply_set(w, diag);
}

static int load_inventory(struct world *w, struct km_diag *diag)
{
	int err;

	if (w->opt.inventory)
		return km_inventory_load(&w->inv, w->opt.inventory, diag);
	err = km_zone_fleet(&w->inv, (uint32_t)w->opt.servers, 1);
	return err ? km_diag_set(diag, err, "", 0, 0, "cannot make the servers") : 0;
}

/* How many requests a stream of the trace has: the warm-up is a share of them. */
static int count_requests(struct world *w, struct km_diag *diag)
{
	struct km_arrival arrival;
	struct km_source *source;
	int got, err = km_sim_trace_open(&source, &w->trace, diag);

	if (err)
		return err;
	while ((got = source->next(source, &arrival, 1, diag)) > 0)
		w->trace_nr += !arrival.is_delete;
	source->destroy(source);
	if (w->opt.requests)
		w->trace_nr = km_min_u64(w->trace_nr, w->opt.requests);
	return got;
}

static int open_trace(struct world *w, struct km_diag *diag)
{
	const struct options *o = &w->opt;
	int err;

	if (!o->trace)
		return 0;
	err = load_inventory(w, diag);
	if (err)
		return err;
	w->trace = (struct km_sim_trace_cfg){
		.path = o->trace, .inv = w->inv, .rules_path = o->rules, .compress = o->compress
	};
	return o->warmup > 0 ? count_requests(w, diag) : 0;
}

static uint32_t make_points(const struct world *w, struct km_sim_point *point)
{
	const struct options *o = &w->opt;
	uint32_t z, l, a, p, nr = 0;

	for (z = 0; z < w->zone_nr; z++)
		for (l = 0; l < w->load_nr; l++)
			for (a = 0; a < w->agents_nr; a++)
				for (p = 0; p < w->policy_nr; p++)
					point[nr++] = (struct km_sim_point){
						.zone = &w->zone[z],
						.trace = o->trace ? &w->trace : NULL,
						.costs_path = o->costs,
						.warmup_nr =
							(uint64_t)(o->warmup * (double)w->trace_nr),
						.policy = w->policy[p],
						.agent_nr = (uint32_t)w->agents[a],
						.load = w->load[l],
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
	return nr;
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

static void print_head(void)
{
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n", "", "", "", "",
	       "top", "rule", "latency", "", "", "", "wait", "process", "cache MiB");
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n", "zone", "policy",
	       "agents", "load", "hit %", "hit %", "mean ms", "p50", "p90", "p99", "mean ms",
	       "mean ms", "mean");
}

static void print_point(const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;

	printf("%-8s %-16s %6u %5g | %6.2f %6.2f | %8.1f %8.1f %8.1f %8.1f | %8.1f %8.1f | %9.0f\n",
	       p->zone->name, p->policy->name, p->agent_nr, p->load,
	       100 * ratio(r->top_hits, r->measured),
	       100 * ratio(r->rule_hits, r->rule_hits + r->rule_misses),
	       km_hist_mean(&r->latency) / 1e6, ms(km_hist_quantile(&r->latency, .5)),
	       ms(km_hist_quantile(&r->latency, .9)), ms(km_hist_quantile(&r->latency, .99)),
	       km_hist_mean(&r->wait) / 1e6, km_hist_mean(&r->processing) / 1e6,
	       r->cache_bytes_mean / p->agent_nr / 1048576);
}

static void print_accuracy(const struct km_sim_point *p)
{
	const struct km_sim_accuracy *a = &p->result->accuracy;

	printf("%-8s %-16s events right: top %.2f %%, rule %.2f %%; time error %.1f %%; best agent "
	       "%.1f %%, regret %.2f ms\n",
	       p->zone->name, p->policy->name, 100 * ratio(a->top_right, a->top_events),
	       100 * ratio(a->rule_right, a->rule_events),
	       a->time_nr ? 100 * a->time_error_sum / (double)a->time_nr : 0,
	       100 * ratio(a->best_nr, a->judged),
	       a->judged ? ms(a->gap_ns_sum) / (double)a->judged : 0);
}

static void warn_unstable(const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;

	if (r->unstable)
		fprintf(stderr,
			"kamino sim: %s, %s, %u agents, load %g: more work than the agents can do; "
			"%" PRIu64 " of %" PRIu64
			" requests refused, latencies depend on the length\n",
			p->zone->name, p->policy->name, p->agent_nr, p->load, r->refused,
			r->submitted);
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
	return json_pack("{s:s?,s:s?,s:s,s:s?,s:s?,s:s?,s:I,s:I,s:b,s:I,s:o}", "policy", o->policy,
			 "agents",
			 o->agents	 ? o->agents
			 : o->experiment ? NULL
					 : "4",
			 "load", o->load, "experiment", o->experiment, "zone_file", o->zone_file,
			 "set", o->set, "requests", (json_int_t)o->requests, "seed",
			 (json_int_t)o->seed, "in_service_counts", !o->no_in_service,
			 "conflict_servers", (json_int_t)o->conflicts, "zones", zones);
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
		warn_unstable(&point[i]);
	}
	if (w->opt.json)
		rc = write_points(w, point, nr, NULL, core_s, requests);
	if (w->opt.json_out && rc == KM_EXIT_DONE)
		rc = write_points(w, point, nr, w->opt.json_out, core_s, requests);
	if (w->opt.json)
		return rc;
	print_head();
	for (i = 0; i < nr; i++)
		print_point(&point[i]);
	for (i = 0; i < nr && w->opt.accuracy; i++)
		print_accuracy(&point[i]);
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
	int rc;

	if (!point)
		return KM_EXIT_FAILED;
	if (open_trace(w, diag)) {
		free(point);
		return km_verb_fail("sim", diag, KM_EXIT_FAILED);
	}
	make_points(w, point);
	if (km_sweep_run(point, nr, (uint32_t)w->opt.threads, &progress, diag)) {
		free(point);
		return km_verb_fail("sim", diag, KM_EXIT_FAILED);
	}
	rc = report_points(w, point, nr);
	km_sweep_fini(point, nr);
	free(point);
	return rc;
}

static int known_experiment(const char *names, struct km_diag *diag)
{
	char copy[256], *save = NULL, *name;
	const char *near;
	uint32_t i;

	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		for (i = 0; km_experiments[i] && strcmp(km_experiments[i], name); i++)
			;
		near = km_suggest(name, km_experiments);
		if (!km_experiments[i])
			return km_diag_set(diag, -EINVAL, "", 0, 0, "no experiment '%s'%s%s%s",
					   name, near ? "; did you mean '" : "; see --help",
					   near ? near : "", near ? "'?" : "");
	}
	return 0;
}

static int parse_lists(struct world *w, struct km_diag *diag)
{
	int err = parse_policies(w, diag);

	if (!err)
		err = parse_numbers("agents", w->opt.agents ? w->opt.agents : "4", 1, 4096,
				    w->agents, &w->agents_nr, diag);
	if (!err)
		err = parse_numbers("load", w->opt.load, 1e-3, 1e3, w->load, &w->load_nr, diag);
	if (!err && w->opt.experiment)
		err = known_experiment(w->opt.experiment, diag);
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
		{ "types", KM_OPT_U64, &o->types, "N", "request types (the zone's)", 1, 4e6 },
		{ "hours", KM_OPT_DOUBLE, &o->hours, "X", "length of the day (24)", 1e-4, 1e5 },
		{ "requests", KM_OPT_U64, &o->requests, "N",
		  "end after so many requests (the day's)", 1, 1e15 },
		{ "seed", KM_OPT_U64, &o->seed, "S", "of arrivals and of the policy's draws (1)", 0,
		  0 },
		{ "cache", KM_OPT_BYTES, &o->cache_bytes, "SIZE",
		  "cache of one agent (the zone's, divided by agents)", 1, 1e15 },
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
		  "trace seconds per simulated second (1)", 1e-9, 1e12 },
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
	int rc;

	w = (struct world){ .opt = { .load = "1", .seed = 1, .servers = 1000, .compress = 1 } };
	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("sim", &diag, KM_EXIT_USAGE);
	if (o->help)
		return km_verb_help(
			"sim", "[options]",
			"A zone's day in virtual time, by the runtime's own decision code.", opts);
	if (parse_lists(&w, &diag))
		return km_verb_fail("sim", &diag,
				    o->zone_file && diag.file[0] ? KM_EXIT_FAILED : KM_EXIT_USAGE);
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
