/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/trace_stat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define NOT_CREATED INT64_MIN
#define TEXT_MAX 512

static const struct {
	const char *name;
	double q;
} life_quantile[] = {
	{ "p10", .1 }, { "p25", .25 }, { "p50", .5 }, { "p75", .75 }, { "p90", .9 }, { "p99", .99 },
};

/* A cache of types, the one used last in front. */
struct lru {
	uint32_t nr, type[KM_STAT_LRU_SLOTS];
};

/* Return: whether @type was there; it is now, in front. */
static bool lru_use(struct lru *lru, uint32_t type)
{
	uint32_t at;

	for (at = 0; at < lru->nr && lru->type[at] != type; at++)
		;
	if (at == KM_STAT_LRU_SLOTS)
		at--; /* the oldest goes */
	else if (at == lru->nr)
		lru->nr++;
	else if (lru->type[at] == type) {
		memmove(lru->type + 1, lru->type, at * sizeof(type));
		lru->type[0] = type;
		return true;
	}
	memmove(lru->type + 1, lru->type, at * sizeof(type));
	lru->type[0] = type;
	return false;
}

/* Working state of one pass. */
struct pass {
	struct km_dict *types;
	uint64_t *type_creates, *type_event; /* [type_cap] */
	uint32_t type_cap;
	int64_t *created_us; /* [vms]; NOT_CREATED */
	uint8_t *has_tenant; /* [tenants] */
	uint32_t spread; /* that column, or KM_DICT_NONE */
	struct lru one, turn[KM_STAT_LRU_AGENTS], home[KM_STAT_LRU_AGENTS];

	/* the batch that is being counted */
	uint64_t batch_size;
	uint32_t batch_tenant, batch_type;
	int64_t batch_second;
	bool batch_one_type;
};

static int find_type(struct pass *pass, const struct km_event *event, uint64_t idx, uint32_t *type)
{
	uint32_t key[KM_RES_NR + KM_TRACE_TRAITS_MAX];
	void *fresh;
	bool added;
	int err;

	memcpy(key, event->res, sizeof(event->res));
	memcpy(key + KM_RES_NR, event->trait, sizeof(event->trait));
	if (pass->spread != KM_DICT_NONE)
		key[KM_RES_NR + pass->spread] = 0; /* no rule's evaluation depends on it */
	err = km_dict_intern(pass->types, (const char *)key, sizeof(key), type, &added);
	if (err)
		return err;
	if (*type == pass->type_cap) {
		pass->type_cap = pass->type_cap ? 2 * pass->type_cap : 1024;
		fresh = realloc(pass->type_creates, pass->type_cap * sizeof(uint64_t));
		if (!fresh)
			return -ENOMEM;
		pass->type_creates = fresh;
		fresh = realloc(pass->type_event, pass->type_cap * sizeof(uint64_t));
		if (!fresh)
			return -ENOMEM;
		pass->type_event = fresh;
	}
	if (added) {
		pass->type_creates[*type] = 0;
		pass->type_event[*type] = idx;
	}
	pass->type_creates[*type]++;
	return 0;
}

static void end_batch(struct km_trace_stat *stat, struct pass *pass)
{
	uint64_t size = pass->batch_size;

	if (!size)
		return;
	stat->batches++;
	stat->batches_one_type += pass->batch_one_type;
	stat->in_two += size >= 2 ? size : 0;
	stat->in_ten += size >= 10 ? size : 0;
	if (size > stat->largest_batch)
		stat->largest_batch = size;
	pass->batch_size = 0;
}

static void count_in_batch(struct km_trace_stat *stat, struct pass *pass,
			   const struct km_event *event, uint32_t type)
{
	int64_t second = event->at_us / SECOND_US;

	if (event->tenant == KM_DICT_NONE || event->tenant != pass->batch_tenant ||
	    second != pass->batch_second) {
		end_batch(stat, pass);
		pass->batch_tenant = event->tenant;
		pass->batch_second = second;
		pass->batch_type = type;
		pass->batch_one_type = true;
	}
	pass->batch_size++;
	pass->batch_one_type &= type == pass->batch_type;
}

static int count_create(struct km_trace_stat *stat, struct pass *pass, const struct km_event *event,
			uint64_t idx)
{
	uint32_t type, agent;
	int err = find_type(pass, event, idx, &type);

	if (err)
		return err;
	agent = (uint32_t)(stat->creates++ % KM_STAT_LRU_AGENTS);
	stat->hour[event->at_us / (3600 * SECOND_US) % 24]++;
	if (event->tenant != KM_DICT_NONE && !pass->has_tenant[event->tenant]) {
		pass->has_tenant[event->tenant] = 1;
		stat->tenants++;
	}
	count_in_batch(stat, pass, event, type);
	stat->lru_hits_one += lru_use(&pass->one, type);
	stat->lru_hits_turn += lru_use(&pass->turn[agent], type);
	stat->lru_hits_home += lru_use(&pass->home[type % KM_STAT_LRU_AGENTS], type);
	return 0;
}

static int count_event(struct km_trace_stat *stat, struct pass *pass, const struct km_event *event,
		       uint64_t idx)
{
	int64_t *created = &pass->created_us[event->vm];

	if (event->op == KM_OP_CREATE) {
		*created = event->at_us;
		if (event->at_us >= 0)
			return count_create(stat, pass, event, idx);
		stat->initial++;
		return 0;
	}
	stat->deletes++;
	if (*created != NOT_CREATED && *created >= 0)
		km_hist_add(&stat->life_us, (uint64_t)(event->at_us - *created));
	*created = NOT_CREATED;
	return 0;
}

static void find_top(struct km_trace_stat *stat, const struct pass *pass)
{
	uint32_t t, i, nr = (uint32_t)stat->types;

	for (t = 0; t < nr; t++) {
		uint64_t creates = pass->type_creates[t];

		for (i = stat->top_nr; i && stat->top[i - 1].creates < creates; i--)
			if (i < KM_STAT_TOP_NR)
				stat->top[i] = stat->top[i - 1];
		if (i == KM_STAT_TOP_NR)
			continue;
		stat->top[i].creates = creates;
		stat->top[i].event = pass->type_event[t];
		stat->top_nr += stat->top_nr < KM_STAT_TOP_NR;
	}
}

static int pass_init(struct pass *pass, const struct km_trace *trace)
{
	uint32_t vms = km_dict_nr(trace->schema.vms), i;

	memset(pass, 0, sizeof(*pass));
	pass->batch_tenant = KM_DICT_NONE;
	pass->spread = km_trace_trait(&trace->schema, "spread");
	pass->created_us = malloc(((size_t)vms + 1) * sizeof(*pass->created_us));
	pass->has_tenant = calloc((size_t)km_dict_nr(trace->schema.tenants) + 1, 1);
	if (km_dict_create(&pass->types) || !pass->created_us || !pass->has_tenant)
		return -ENOMEM;
	for (i = 0; i < vms; i++)
		pass->created_us[i] = NOT_CREATED;
	return 0;
}

int km_trace_stat_make(struct km_trace_stat *stat, const struct km_trace *trace)
{
	struct pass *pass = malloc(sizeof(*pass));
	uint64_t i;
	uint32_t vm;
	int err;

	memset(stat, 0, sizeof(*stat));
	km_hist_init(&stat->life_us);
	if (!pass)
		return -ENOMEM;
	err = pass_init(pass, trace);
	for (i = 0; !err && i < trace->event_nr; i++)
		err = count_event(stat, pass, &trace->event[i], i);
	if (!err) {
		end_batch(stat, pass);
		stat->rows = trace->event_nr;
		stat->types = km_dict_nr(pass->types);
		stat->last_us = trace->event_nr ? trace->event[trace->event_nr - 1].at_us : 0;
		for (vm = 0; vm < km_dict_nr(trace->schema.vms); vm++)
			stat->open += pass->created_us[vm] >= 0;
		find_top(stat, pass);
	}
	km_dict_destroy(pass->types);
	free(pass->type_creates);
	free(pass->type_event);
	free(pass->created_us);
	free(pass->has_tenant);
	free(pass);
	return err;
}

/* ---- output ---------------------------------------------------------------- */

static double ratio(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

/* "cpu=1 memory=1.75 shape=100/14 ..." */
static void describe(const struct km_trace *trace, const struct km_event *event, char *text)
{
	size_t at = 0;
	uint32_t i;

	text[0] = '\0';
	for (i = 0; i < KM_RES_NR && at < TEXT_MAX; i++)
		if (event->res[i])
			at += (size_t)snprintf(text + at, TEXT_MAX - at, "%s%s=%g", at ? " " : "",
					       km_res_name[i], event->res[i] / 1000.0);
	for (i = 0; i < trace->schema.trait_nr && at < TEXT_MAX; i++)
		if (event->trait[i])
			at += (size_t)snprintf(text + at, TEXT_MAX - at, "%s%s=%s", at ? " " : "",
					       trace->schema.trait_name[i],
					       km_dict_text(trace->schema.values[i],
							    event->trait[i] - 1));
}

static double life_s(const struct km_trace_stat *stat, double q)
{
	return (double)km_hist_quantile(&stat->life_us, q) / 1e6;
}

void km_trace_stat_print(const struct km_trace_stat *stat, const struct km_trace *trace, FILE *to)
{
	double span_s = stat->last_us > 0 ? (double)stat->last_us / 1e6 : 0;
	char text[TEXT_MAX];
	uint32_t i;

	fprintf(to, "rows                  %12" PRIu64 "\n", stat->rows);
	fprintf(to, "initial VMs           %12" PRIu64 "\n", stat->initial);
	fprintf(to, "creates               %12" PRIu64 "  %.3f a second over %.1f h\n",
		stat->creates, span_s > 0 ? (double)stat->creates / span_s : 0, span_s / 3600);
	fprintf(to, "deletes               %12" PRIu64 "\n", stat->deletes);
	fprintf(to, "types                 %12" PRIu64 "\n", stat->types);
	fprintf(to, "tenants               %12" PRIu64 "\n", stat->tenants);
	fprintf(to,
		"batches               %12" PRIu64 "  largest %" PRIu64 ", of one type %.2f %%\n",
		stat->batches, stat->largest_batch,
		100 * ratio(stat->batches_one_type, stat->batches));
	fprintf(to, "creates in batches    of 2 and more %.1f %%, of 10 and more %.1f %%\n",
		100 * ratio(stat->in_two, stat->creates), 100 * ratio(stat->in_ten, stat->creates));
	fprintf(to, "lifetime, s          ");
	for (i = 0; i < KM_ARRAY_NR(life_quantile); i++)
		fprintf(to, " %s %.0f", life_quantile[i].name, life_s(stat, life_quantile[i].q));
	fprintf(to, "; not deleted %.1f %%\n", 100 * ratio(stat->open, stat->creates));
	fprintf(to,
		"LRU of %d types       hits: one cache %.1f %%; %d caches in turn %.1f %%, "
		"by home %.1f %%\n",
		KM_STAT_LRU_SLOTS, 100 * ratio(stat->lru_hits_one, stat->creates),
		KM_STAT_LRU_AGENTS, 100 * ratio(stat->lru_hits_turn, stat->creates),
		100 * ratio(stat->lru_hits_home, stat->creates));
	fprintf(to, "creates by hour      ");
	for (i = 0; i < 24; i++)
		fprintf(to, " %" PRIu64, stat->hour[i]);
	fprintf(to, "\n");
	for (i = 0; i < stat->top_nr; i++) {
		describe(trace, &trace->event[stat->top[i].event], text);
		fprintf(to, "%-21s %11.2f %%  %s\n", i ? "" : "top types",
			100 * ratio(stat->top[i].creates, stat->creates), text);
	}
}

static json_t *hours_json(const struct km_trace_stat *stat)
{
	json_t *hours = json_array();
	int i, err = 0;

	for (i = 0; i < 24; i++)
		err |= json_array_append_new(hours, json_integer((json_int_t)stat->hour[i]));
	if (err) {
		json_decref(hours);
		return NULL;
	}
	return hours;
}

static json_t *life_json(const struct km_trace_stat *stat)
{
	json_t *life = json_object();
	size_t i;
	int err = 0;

	for (i = 0; i < KM_ARRAY_NR(life_quantile); i++)
		err |= json_object_set_new(life, life_quantile[i].name,
					   json_real(life_s(stat, life_quantile[i].q)));
	if (err) {
		json_decref(life);
		return NULL;
	}
	return life;
}

static json_t *top_json(const struct km_trace_stat *stat, const struct km_trace *trace)
{
	json_t *top = json_array();
	char text[TEXT_MAX];
	uint32_t i;
	int err = 0;

	for (i = 0; i < stat->top_nr; i++) {
		describe(trace, &trace->event[stat->top[i].event], text);
		err |= json_array_append_new(top,
					     json_pack("{s:s, s:f}", "type", text, "share",
						       ratio(stat->top[i].creates, stat->creates)));
	}
	if (err) {
		json_decref(top);
		return NULL;
	}
	return top;
}

json_t *km_trace_stat_json(const struct km_trace_stat *stat, const struct km_trace *trace)
{
	uint64_t creates = stat->creates;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o, s:f,"
		" s:{s:f, s:f, s:f}, s:o, s:o}",
		"rows", (json_int_t)stat->rows, "initial", (json_int_t)stat->initial, "creates",
		(json_int_t)creates, "deletes", (json_int_t)stat->deletes, "types",
		(json_int_t)stat->types, "tenants", (json_int_t)stat->tenants, "batches",
		(json_int_t)stat->batches, "largest_batch", (json_int_t)stat->largest_batch,
		"batches_one_type_share", ratio(stat->batches_one_type, stat->batches),
		"in_batches_of_2_share", ratio(stat->in_two, creates), "in_batches_of_10_share",
		ratio(stat->in_ten, creates), "span_s", (double)stat->last_us / 1e6, "lifetime_s",
		life_json(stat), "not_deleted_share", ratio(stat->open, creates), "lru_50_hit_rate",
		"one", ratio(stat->lru_hits_one, creates), "turn_8",
		ratio(stat->lru_hits_turn, creates), "home_8", ratio(stat->lru_hits_home, creates),
		"creates_by_hour", hours_json(stat), "top_types", top_json(stat, trace));
}
