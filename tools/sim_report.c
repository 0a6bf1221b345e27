/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/sim_report.c - what "kamino sim" prints: tables, warnings, documents.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "tools/json.h"
#include "tools/sim_internal.h"
#include "tools/verbs.h"

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* What a row is about: the trace or the zone. */
static const char *name_of(const struct sim_world *w, const struct km_sim_point *p)
{
	return p->trace ? w->label : p->zone->name;
}

static void print_head(const struct sim_world *w)
{
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n", "", "", "", "",
	       "top", "rule", "latency", "", "", "", "wait", "process", "cache MiB");
	printf("%-8s %-16s %6s %5s | %6s %6s | %8s %8s %8s %8s | %8s %8s | %9s\n",
	       w->label[0] ? "trace" : "zone", "policy", "agents", "load", "hit %", "hit %",
	       "mean ms", "p50", "p90", "p99", "mean ms", "mean ms", "mean");
}

static void print_point(const struct sim_world *w, const struct km_sim_point *p)
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

static void print_accuracy(const struct sim_world *w, const struct km_sim_point *p)
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

static void warn_unstable(const struct sim_world *w, const struct km_sim_point *p)
{
	const struct km_sim_result *r = p->result;

	fprintf(stderr,
		"kamino sim: %s, %s, %u agents, load %g: more work than the agents can do; "
		"%" PRIu64 " of %" PRIu64 " requests refused, latencies depend on the length\n",
		name_of(w, p), p->policy->name, p->agent_nr, p->load, r->refused, r->submitted);
}

/* By row, then for those rows of which no policy keeps up. */
static void warn_all(const struct sim_world *w, const struct km_sim_point *point, uint32_t nr)
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

static json_t *params_json(const struct sim_world *w)
{
	const struct sim_options *o = &w->opt;
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
static int write_json(const struct sim_world *w, json_t *results, double core_s, uint64_t requests,
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

static int write_points(const struct sim_world *w, const struct km_sim_point *point, uint32_t nr,
			const char *path, double core_s, uint64_t requests)
{
	json_t *results = json_array();
	uint32_t i;

	for (i = 0; i < nr; i++)
		json_array_append_new(results, point_json(&point[i]));
	return write_json(w, results, core_s, requests, path);
}

int sim_report_points(const struct sim_world *w, const struct km_sim_point *point, uint32_t nr)
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

static int write_cells(const struct sim_world *w, const struct km_experiment_result *x,
		       const char *path)
{
	json_t *results = json_array();
	uint32_t i;

	for (i = 0; i < x->cell_nr; i++)
		json_array_append_new(results, cell_json(&x->cell[i]));
	return write_json(w, results, x->core_s, x->request_nr, path);
}

int sim_report_cells(const struct sim_world *w, const struct km_experiment_result *x)
{
	int rc = KM_EXIT_DONE;

	if (w->opt.json)
		rc = write_cells(w, x, NULL);
	else
		print_cells(x);
	if (w->opt.json_out && rc == KM_EXIT_DONE)
		rc = write_cells(w, x, w->opt.json_out);
	if (!w->opt.json)
		fprintf(stderr,
			"%u simulations, %" PRIu64
			" requests in %.1f s of one core: %.2f million a "
			"second\n",
			x->point_nr, x->request_nr, x->core_s,
			(double)x->request_nr / x->core_s / 1e6);
	return rc;
}
