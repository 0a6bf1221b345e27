/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top_json.c - a look at a run as a JSON object.
 */
#include <math.h>

#include "tools/top_internal.h"

/* Beyond what JSON's integers hold: only a damaged segment says so. */
static json_int_t whole(uint64_t value)
{
	return (json_int_t)km_min_u64(value, INT64_MAX);
}

static json_t *real(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *us(uint64_t ns)
{
	return json_real((double)ns / 1e3);
}

static json_t *agent_json(const struct top_agent *agent, const struct km_seg_agent *raw)
{
	return json_pack("{s:I,s:I,s:I,s:b,s:b,s:I,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:I}", "agent",
			 (json_int_t)agent->idx, "cpu", whole(raw->cpu), "node", whole(raw->node),
			 "owned", raw->owned != 0, "busy", raw->busy != 0, "queued",
			 whole(raw->queued_nr), "wait_us", us(raw->wait_ns), "remaining_us",
			 us(raw->remaining_ns), "busy_share", real(agent->busy_share), "completed",
			 whole(raw->now.served), "completed_per_s", real(agent->done_per_s),
			 "top_hit_rate", real(agent->top_rate), "rule_hit_rate",
			 real(agent->rule_rate), "cache_bytes", whole(raw->cache_bytes));
}

static json_t *agents_json(const struct km_seg_block *block, const struct top_figures *fig)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < block->agent_nr; i++)
		json_array_append_new(list,
				      agent_json(&fig->agent[i], &block->agent[fig->agent[i].idx]));
	return list;
}

static json_t *decision_json(const struct km_seg_decision *d)
{
	bool rival = d->runner_up != UINT32_MAX;
	json_t *doc = json_pack("{s:I,s:I,s:s,s:I,s:o,s:o,s:o,s:b,s:I,s:o,s:o,s:b}", "request",
				whole(d->req_id), "type", whole(d->type_id), "type_name",
				d->type_name, "agent", whole(d->agent), "wait_us", us(d->wait_ns),
				"remaining_us", us(d->remaining_ns), "processing_us",
				us(d->processing_ns), "top_hit_predicted", d->top_hit != 0,
				"rule_hits_predicted", whole(d->rule_hit_nr), "runner_up",
				rival ? json_integer(whole(d->runner_up)) : json_null(),
				"margin_us", rival ? us(d->margin_ns) : json_null(), "completed",
				d->done != 0);
	json_t *came = NULL;

	if (!d->done)
		return doc;
	came = json_pack("{s:o,s:o,s:b,s:I,s:I,s:s}", "real_wait_us", us(d->real_wait_ns),
			 "real_processing_us", us(d->real_processing_ns), "top_hit",
			 d->real_top_hit != 0, "rule_hits", whole(d->real_rule_hits), "conflicts",
			 whole(d->conflicts), "outcome", top_outcome_name(d->outcome));
	if (json_object_update(doc, came)) {
		json_decref(doc);
		doc = NULL;
	}
	json_decref(came);
	return doc;
}

static json_t *decisions_json(const struct top_figures *fig)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < fig->decision_nr; i++)
		json_array_append_new(list, decision_json(&fig->decision[i]));
	return list;
}

static json_t *run_json(const struct km_seg_run *run, const struct top_figures *fig)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I,s:o}", "submitted",
			 whole(run->submitted), "completed", whole(run->outcome[KM_PLACED]),
			 "refused", whole(fig->refused), "no_room", whole(run->outcome[KM_NO_ROOM]),
			 "gave_up", whole(run->outcome[KM_GAVE_UP]), "bad_request",
			 whole(run->outcome[KM_BAD_REQUEST]), "at_door",
			 whole(run->outcome[KM_AT_DOOR]), "in_flight", whole(fig->in_flight),
			 "waiting", whole(run->waiting), "served_per_s", real(fig->done_per_s),
			 "decisions", whole(run->decided), "decisions_per_s",
			 real(fig->decided_per_s));
}

static json_t *store_json(const struct km_seg_run *run)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "commits", whole(run->store_commits),
			 "conflicts", whole(run->judge.conflicts), "over_committed",
			 whole(run->store_over), "affinity", whole(run->store_affinity),
			 "duplicate", whole(run->store_duplicate), "bad", whole(run->store_bad));
}

static json_t *decision_ns_json(const struct km_seg_run *run)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "p50", whole(run->window_decision_ns_p50), "p99",
			 whole(run->window_decision_ns_p99), "p50_all", whole(run->decision_ns_p50),
			 "p99_all", whole(run->decision_ns_p99), "max_all",
			 whole(run->decision_ns_max));
}

json_t *top_json(const struct top_look *look, const struct top_figures *fig)
{
	static const char *const states[] = {
		[KM_SEG_PREPARING] = "preparing",
		[KM_SEG_SERVING] = "serving",
		[KM_SEG_ENDED] = "ended",
	};
	const struct km_seg_run *run = look->block.run;
	json_t *doc =
		json_pack("{s:I,s:s,s:s,s:I,s:s,s:s,s:s,s:s?,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I}",
			  "pid", whole(look->head->pid), "name", look->head->name, "version",
			  look->head->version, "seed", whole(look->head->seed), "state",
			  states[run->state], "phase", run->phase, "policy", run->policy, "trouble",
			  look->trouble, "age_s", look->age_s, "window_s", fig->window_s,
			  "policy_index", whole(run->policy_idx), "policies", whole(run->policy_nr),
			  "requests", whole(run->phase_all), "servers", whole(run->server_nr),
			  "rules", whole(run->rule_nr), "cache_bytes_max", whole(run->cache_bytes));
	int err;

	err = json_object_set_new(doc, "totals", run_json(run, fig));
	err |= json_object_set_new(doc, "decision_ns", decision_ns_json(run));
	err |= json_object_set_new(doc, "time_error", real(fig->time_error));
	err |= json_object_set_new(doc, "time_error_all", real(fig->time_error_all));
	err |= json_object_set_new(doc, "event_accuracy", real(fig->event_accuracy));
	err |= json_object_set_new(doc, "event_accuracy_all", real(fig->event_accuracy_all));
	err |= json_object_set_new(doc, "top_hit_rate", real(fig->top_rate));
	err |= json_object_set_new(doc, "rule_hit_rate", real(fig->rule_rate));
	err |= json_object_set_new(doc, "store", store_json(run));
	err |= json_object_set_new(doc, "agents", agents_json(&look->block, fig));
	err |= json_object_set_new(doc, "last_decisions", decisions_json(fig));
	if (err) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}
