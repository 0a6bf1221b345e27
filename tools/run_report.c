/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/run_report.c - what "kamino run" prints: tables, JSON, explanations,
 * and what an audit found.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/json.h"
#include "tools/run_internal.h"

static uint64_t bytes_peak(const struct run_outcome *out)
{
	uint64_t peak = 0;
	uint32_t i;

	for (i = 0; i < out->stats.agent_nr; i++)
		peak = km_max_u64(peak, out->stats.agent[i].cache_bytes_peak);
	return peak;
}

static bool deletes_add_up(const struct km_replay_result *r)
{
	return r->delete_rows == r->deletes + r->deletes_unknown + r->deletes_of_refused;
}

static bool is_clean(const struct run_world *w, const struct run_outcome *out)
{
	const struct km_replay_result *r = &out->replay;

	return !out->audit.failures && !r->lost && !r->returned_twice &&
	       r->submitted == r->completed + km_replay_refused(r) && deletes_add_up(r) &&
	       !out->stats.cache_fault && out->stats.accepted == out->stats.completed &&
	       bytes_peak(out) <= w->cache_bytes;
}

static void print_audit(const struct run_world *w, const struct run_outcome *out, FILE *to)
{
	const struct km_replay_result *r = &out->replay;
	uint32_t i;

	if (is_clean(w, out))
		return;
	fprintf(to, "AUDIT FAILED under %s:\n", out->policy->name);
	if (r->lost)
		fprintf(to, "  %" PRIu64 " requests never came back\n", r->lost);
	if (r->returned_twice)
		fprintf(to, "  %" PRIu64 " requests came back more than once\n", r->returned_twice);
	if (r->submitted != r->completed + km_replay_refused(r))
		fprintf(to,
			"  submitted %" PRIu64 " is not completed %" PRIu64 " + refused %" PRIu64
			"\n",
			r->submitted, r->completed, km_replay_refused(r));
	if (!deletes_add_up(r))
		fprintf(to,
			"  of %" PRIu64 " deletes %" PRIu64 " were done, %" PRIu64
			" of unknown VMs and %" PRIu64 " of refused ones\n",
			r->delete_rows, r->deletes, r->deletes_unknown, r->deletes_of_refused);
	if (out->stats.accepted != out->stats.completed)
		fprintf(to, "  the dispatcher took %" PRIu64 " requests and ended %" PRIu64 "\n",
			out->stats.accepted, out->stats.completed);
	if (out->stats.cache_fault)
		fprintf(to, "  a cache is inconsistent: %s\n", out->stats.cache_fault);
	if (bytes_peak(out) > w->cache_bytes)
		fprintf(to, "  an agent held %" PRIu64 " bytes of a budget of %" PRIu64 "\n",
			bytes_peak(out), w->cache_bytes);
	for (i = 0; i < out->audit.reason_nr; i++)
		fprintf(to, "  %s\n", out->audit.reason[i].reason);
}

/* ---- reporting ------------------------------------------------------------------ */

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

void run_print_head(const struct run_world *w)
{
	printf("zone: %u servers, %" PRIu64 " VMs at the start, %" PRIu64
	       " requests (the first %" PRIu64 " warm up), seed %" PRIu64 "\n",
	       w->inv->server_nr, w->initial_nr, w->jobs->create_nr, w->warmup_nr, w->opt.seed);
	printf("agents: %" PRIu64 ", %u rules, cache %.4g MiB an agent, one consolidated result "
	       "%.3g MiB\n",
	       w->opt.agents, w->rules->rule_nr, (double)w->cache_bytes / 1048576.0,
	       (double)w->top_bytes / 1048576.0);
	if (w->capacity > 0)
		printf("load: %.2f of %.0f requests/s (closed loop, protean: agents busy %.2f); time "
		       "compressed %.3g times\n",
		       w->opt.load, w->capacity, w->busy_max, w->compress);
	else
		printf("load: time compressed %.3g times\n", w->compress);
	printf("\n%-16s %6s %6s %8s %8s %8s %8s %7s %7s %6s %9s\n", "", "top", "rule", "latency",
	       "", "", "", "wait", "process", "decide", "cache MiB");
	printf("%-16s %6s %6s %8s %8s %8s %8s %7s %7s %6s %9s\n", "policy", "hit %", "hit %",
	       "mean ms", "p50", "p90", "p99", "mean", "mean", "ns p50", "mean/max");
}

void run_print_row(const struct run_outcome *out)
{
	const struct km_replay_result *r = &out->replay;
	char cache[32];

	snprintf(cache, sizeof(cache), "%.3g/%.3g", r->cache_bytes_mean / 1048576.0,
		 (double)bytes_peak(out) / 1048576.0);
	printf("%-16s %6.2f %6.2f %8.3f %8.3f %8.3f %8.3f %7.3f %7.3f %6" PRIu64 " %9s\n",
	       out->policy->name, 100 * ratio(r->top_hits, r->measured),
	       100 * ratio(r->rule_hits, r->rule_hits + r->rule_misses),
	       km_hist_mean(&r->latency_ns) / 1e6, ms(km_hist_quantile(&r->latency_ns, .5)),
	       ms(km_hist_quantile(&r->latency_ns, .9)), ms(km_hist_quantile(&r->latency_ns, .99)),
	       km_hist_mean(&r->wait_ns) / 1e6, km_hist_mean(&r->processing_ns) / 1e6,
	       km_hist_quantile(&out->stats.decision_ns, .5), cache);
	fflush(stdout);
}

static void print_counts_head(void)
{
	printf("\n%-16s %9s %9s %7s %6s %7s %6s %9s %7s %5s %6s %6s\n", "policy", "submitted",
	       "completed", "no room", "door", "gave up", "bad", "conflicts", "deletes", "busy",
	       "event%", "audit");
}

static void print_counts(const struct run_world *w, const struct run_outcome *out)
{
	const struct km_replay_result *r = &out->replay;

	printf("%-16s %9" PRIu64 " %9" PRIu64 " %7" PRIu64 " %6" PRIu64 " %7" PRIu64 " %6" PRIu64
	       " %9" PRIu64 " %7" PRIu64 " %5.2f %6.1f %6s\n",
	       out->policy->name, r->submitted, r->completed, r->outcome[KM_NO_ROOM],
	       r->outcome[KM_AT_DOOR], r->outcome[KM_GAVE_UP], r->outcome[KM_BAD_REQUEST],
	       r->conflicts, r->deletes, out->busy,
	       100 * ratio(r->top_predicted_right, r->measured),
	       is_clean(w, out) ? "clean" : "FAILED");
}

static void explain(const struct run_world *w, const struct run_outcome *out)
{
	const struct km_req *req = &out->replay.explain;
	const struct km_decision *d = out->recorded ? &out->record.decision : &req->decision;
	static const char *const outcomes[] = {
		[KM_PENDING] = "pending",	  [KM_PLACED] = "placed",
		[KM_NO_ROOM] = "no room",	  [KM_GAVE_UP] = "gave up after conflicts",
		[KM_BAD_REQUEST] = "bad request", [KM_AT_DOOR] = "refused at the door",
	};

	if (!out->replay.explained) {
		printf("\nrequest %" PRIu64 " under %s: not accepted or not in this stream\n",
		       w->opt.explain, out->policy->name);
		return;
	}
	printf("\nrequest %" PRIu64 " under %s: agent %" PRIu32 ", %s\n", req->id,
	       out->policy->name, d->agent_idx, outcomes[req->outcome]);
	printf("  predicted: wait %.3f ms + remaining %.3f ms + processing %.3f ms (%s, %u rule objects)\n",
	       ms(d->wait_ns), ms(d->remaining_ns), ms(d->processing_ns),
	       d->top_hit ? "top-level hit" : "top-level miss", d->rule_hit_nr);
	if (d->runner_up_idx != KM_NO_AGENT)
		printf("  runner-up: agent %" PRIu32 ", %.3f ms later\n", d->runner_up_idx,
		       ms(d->margin_ns));
	printf("  real: wait %.3f ms, processing %.3f ms (%s, %u of %u rule objects hit), %u conflicts\n",
	       ms(req->start_ns - km_min_u64(req->due_ns, req->start_ns)),
	       ms(req->end_ns - req->start_ns), req->top_hit ? "top-level hit" : "top-level miss",
	       req->rule_hits, req->rule_hits + req->rule_misses, req->conflicts);
	printf("  from its intended arrival: decided after %.3f ms, begun after %.3f ms, done after %.3f ms\n",
	       ms(d->decided_ns - km_min_u64(req->due_ns, d->decided_ns)),
	       ms(req->start_ns - km_min_u64(req->due_ns, req->start_ns)),
	       ms(req->end_ns - km_min_u64(req->due_ns, req->end_ns)));
}

static double per_request_us(uint64_t sum_ns, const struct km_replay_result *r)
{
	return r->measured ? (double)sum_ns / 1e3 / (double)r->measured : 0;
}

static json_t *agents_json(const struct run_outcome *out)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < out->stats.agent_nr; i++) {
		const struct km_eval_stats *s = &out->stats.agent[i];

		json_array_append_new(list,
				      json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
						"agent", i, "served", (json_int_t)s->served,
						"top_hits", (json_int_t)s->top_hits, "conflicts",
						(json_int_t)s->conflicts, "uncached",
						(json_int_t)s->uncached, "idle_updates",
						(json_int_t)s->idle_updates, "cache_bytes",
						(json_int_t)s->cache_bytes, "cache_bytes_peak",
						(json_int_t)s->cache_bytes_peak, "arena_bytes",
						(json_int_t)s->arena_bytes, "steady_faults",
						(json_int_t)s->steady_faults));
	}
	return list;
}

static json_t *explain_json(const struct run_outcome *out)
{
	const struct km_req *req = &out->replay.explain;
	const struct km_decision *d = out->recorded ? &out->record.decision : &req->decision;

	if (!out->replay.explained)
		return json_null();
	return json_pack("{s:I,s:i,s:f,s:f,s:f,s:b,s:i,s:o,s:o,s:f,s:f,s:b,s:i,s:i,s:i}", "request",
			 (json_int_t)req->id, "agent", (int)d->agent_idx, "wait_us",
			 (double)d->wait_ns / 1e3, "remaining_us", (double)d->remaining_ns / 1e3,
			 "processing_us", (double)d->processing_ns / 1e3, "top_hit_predicted",
			 d->top_hit, "rule_hits_predicted", (int)d->rule_hit_nr, "runner_up",
			 d->runner_up_idx == KM_NO_AGENT ? json_null()
							 : json_integer(d->runner_up_idx),
			 "margin_us",
			 d->runner_up_idx == KM_NO_AGENT ? json_null()
							 : json_real((double)d->margin_ns / 1e3),
			 "real_wait_us",
			 (double)(req->start_ns - km_min_u64(req->due_ns, req->start_ns)) / 1e3,
			 "real_processing_us", (double)(req->end_ns - req->start_ns) / 1e3,
			 "top_hit", req->top_hit, "rule_hits", (int)req->rule_hits, "rule_misses",
			 (int)req->rule_misses, "conflicts", (int)req->conflicts);
}

static json_t *outcome_json(const struct run_world *w, const struct run_outcome *out)
{
	const struct km_replay_result *r = &out->replay;
	const struct km_hist *dec = &out->stats.decision_ns;
	json_t *failures = json_array(), *doc;
	uint32_t i;

	for (i = 0; i < out->audit.reason_nr; i++)
		json_array_append_new(failures, json_string(out->audit.reason[i].reason));
	doc = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "policy", out->policy->name, "agents",
			(json_int_t)w->opt.agents, "submitted", (json_int_t)r->submitted,
			"completed", (json_int_t)r->completed, "refused",
			(json_int_t)km_replay_refused(r), "lost", (json_int_t)r->lost);
	json_object_set_new(doc, "latency_us", km_json_us(&r->latency_ns));
	json_object_set_new(doc, "wait_us", km_json_us(&r->wait_ns));
	json_object_set_new(doc, "processing_us", km_json_us(&r->processing_ns));
	json_object_set_new(doc, "quantiles_us",
			    km_json_quantiles_us(&r->latency_ns, &r->wait_ns, &r->processing_ns));
	json_object_set_new(doc, "top_hit_rate", json_real(ratio(r->top_hits, r->measured)));
	json_object_set_new(doc, "rule_hit_rate",
			    json_real(ratio(r->rule_hits, r->rule_hits + r->rule_misses)));
	json_object_set_new(doc, "cache_bytes_mean", json_real(r->cache_bytes_mean));
	json_object_set_new(doc, "cache_bytes_max", json_integer((json_int_t)bytes_peak(out)));
	json_object_set_new(
		doc, "events_per_s",
		json_real(r->elapsed_ns ? (double)r->measured * 1e9 / (double)r->elapsed_ns : 0));
	json_object_set_new(doc, "decision_ns",
			    json_pack("{s:I,s:I,s:I}", "p50", (json_int_t)km_hist_quantile(dec, .5),
				      "p99", (json_int_t)km_hist_quantile(dec, .99), "p999",
				      (json_int_t)km_hist_quantile(dec, .999)));
	json_object_set_new(doc, "conflicts", json_integer((json_int_t)r->conflicts));
	json_object_set_new(doc, "retries", json_integer((json_int_t)(r->conflicts - r->gave_up)));
	json_object_set_new(doc, "refusals",
			    json_pack("{s:I,s:I,s:I,s:I}", "no_room",
				      (json_int_t)r->outcome[KM_NO_ROOM], "gave_up",
				      (json_int_t)r->outcome[KM_GAVE_UP], "bad_request",
				      (json_int_t)r->outcome[KM_BAD_REQUEST], "at_door",
				      (json_int_t)r->outcome[KM_AT_DOOR]));
	json_object_set_new(doc, "deletes",
			    json_pack("{s:I,s:I,s:I}", "done", (json_int_t)r->deletes, "unknown_vm",
				      (json_int_t)r->deletes_unknown, "of_refused",
				      (json_int_t)r->deletes_of_refused));
	json_object_set_new(doc, "vms_placed", json_integer((json_int_t)r->vms_placed));
	json_object_set_new(doc, "measured", json_integer((json_int_t)r->measured));
	json_object_set_new(doc, "uncached", json_integer((json_int_t)r->uncached));
	json_object_set_new(doc, "busy", json_real(out->busy));
	json_object_set_new(doc, "event_accuracy",
			    json_real(ratio(r->top_predicted_right, r->measured)));
	json_object_set_new(doc, "time_error",
			    json_real(ratio(r->time_error_ns, r->processing_ns.sum)));
	json_object_set_new(doc, "finish_predicted_us",
			    json_real(per_request_us(r->finish_predicted_ns, r)));
	json_object_set_new(doc, "finish_real_us", json_real(per_request_us(r->finish_real_ns, r)));
	json_object_set_new(doc, "finish_error",
			    json_real(ratio(r->finish_error_ns, r->finish_real_ns)));
	json_object_set_new(doc, "steady_misses", json_integer((json_int_t)r->steady_misses));
	json_object_set_new(doc, "steady_minor_faults", json_integer((json_int_t)r->steady_faults));
	json_object_set_new(doc, "types", json_integer((json_int_t)out->stats.types_interned));
	json_object_set_new(doc, "interrupted", json_boolean(r->interrupted));
	json_object_set_new(doc, "audit_clean", json_boolean(is_clean(w, out)));
	json_object_set_new(doc, "audit_failures", failures);
	json_object_set_new(doc, "agent", agents_json(out));
	if (r->series)
		json_object_set_new(doc, "series", km_json_series(r->series));
	if (w->opt.explain)
		json_object_set_new(doc, "explain", explain_json(out));
	return doc;
}

/* JSON is UTF-8, the names of files need not be. */
static json_t *name_json(const char *name)
{
	json_t *text = json_string(name);

	return text ? text : json_string("(a name that is not UTF-8)");
}

static json_t *params_json(const struct run_world *w)
{
	const struct run_options *o = &w->opt;

	return json_pack(
		"{s:s,s:I,s:I,s:I,s:I,s:o,s:s,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}",
		"policy", o->policy, "agents", (json_int_t)o->agents, "requests",
		(json_int_t)w->jobs->create_nr, "seed", (json_int_t)o->seed, "servers",
		(json_int_t)w->inv->server_nr, "trace", name_json(o->trace ? o->trace : "built-in"),
		"level", o->level, "load", o->load, "fill", o->fill, "compress", w->compress,
		"capacity_per_s", w->capacity, "busy_at_capacity", w->busy_max, "warmup_requests",
		(json_int_t)w->warmup_nr, "cache_bytes", (json_int_t)w->cache_bytes,
		"consolidated_bytes", (json_int_t)w->top_bytes, "calibrate_requests",
		(json_int_t)o->calibrate, "rules", (json_int_t)w->rules->rule_nr, "initial_vms",
		(json_int_t)w->initial_nr, "initial_unplaced", (json_int_t)w->unplaced,
		"in_service_counts", !o->no_in_service);
}

/* To the file @path, or to stdout. Return: 0 or 1. */
static int print_json(const struct run_world *w, const struct run_outcome *out, uint32_t nr,
		      const char *path)
{
	FILE *to = path ? fopen(path, "we") : stdout;
	json_t *results, *doc;
	uint32_t i;
	int err;

	if (!to) {
		fprintf(stderr, "kamino run: %s: %s\n", path, strerror(errno));
		return 1;
	}
	results = json_array();
	for (i = 0; i < nr; i++)
		json_array_append_new(results, outcome_json(w, &out[i]));
	doc = km_json_envelope("run", params_json(w), results);
	err = km_json_print(doc, to);
	if (path && fclose(to))
		err = -EIO;
	json_decref(doc);
	if (err)
		fprintf(stderr, "kamino run: cannot write the JSON document%s%s\n",
			path ? " to " : "", path ? path : "");
	return err != 0;
}

int run_report(const struct run_world *w, const struct run_outcome *out, uint32_t nr)
{
	uint32_t i;
	int rc = 0;

	for (i = 0; i < nr; i++) {
		print_audit(w, &out[i], stderr);
		rc |= !is_clean(w, &out[i]) || out[i].estimates_lost;
	}
	if (!w->opt.json && nr && out[nr - 1].replay.interrupted)
		printf("\ninterrupted: %s stopped after %" PRIu64 " of %" PRIu64 " requests\n",
		       out[nr - 1].policy->name, out[nr - 1].replay.submitted, w->jobs->create_nr);
	if (!w->opt.json) {
		print_counts_head();
		for (i = 0; i < nr; i++)
			print_counts(w, &out[i]);
		for (i = 0; i < nr && w->opt.explain; i++)
			explain(w, &out[i]);
	}
	if (w->opt.json)
		rc |= print_json(w, out, nr, NULL);
	if (w->opt.json_out)
		rc |= print_json(w, out, nr, w->opt.json_out);
	return rc;
}
