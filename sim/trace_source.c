/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/trace_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rand.h"
#include "place/rule_eval.h"
#include "place/trace.h"
#include "sim/costs.h"

struct trace_source {
	struct km_source source;
	struct km_trace_reader *reader;
	struct km_ruleset *rules;
	struct km_bound *bound;
	struct km_rule_desc desc[KM_RULES_MAX];
	uint32_t column_nr;
	double compress;
	uint64_t seed, row;
	uint32_t batch; /* of the last create */
	uint32_t trait[KM_TRAITS_MAX];
};

/* As km_place_fill_traits(): the resources, then the columns. */
static void fill_traits(struct trace_source *s, const struct km_event *event)
{
	uint32_t i;

	for (i = 0; i < KM_RES_NR; i++)
		s->trait[i] = event->res[i] < 0 ? UINT32_MAX : (uint32_t)event->res[i];
	for (i = 0; i < s->column_nr; i++)
		s->trait[KM_RES_NR + i] = event->trait[i];
}

static bool goes_on(struct trace_source *s, const struct km_event *event)
{
	bool same = event->batch != KM_DICT_NONE && event->batch == s->batch;

	s->batch = event->batch;
	return same;
}

/* One at a time: an arrival's traits are ours. */
static int trace_next(struct km_source *source, struct km_arrival *arrival, uint32_t nr,
		      struct km_diag *diag)
{
	struct trace_source *s = (struct trace_source *)source;
	struct km_event event;
	uint64_t mix;
	int got;

	(void)nr;
	do {
		got = km_trace_next(s->reader, &event, diag);
		if (got <= 0)
			return got;
	} while (event.at_us < 0);
	mix = s->seed ^ ++s->row;
	arrival->at_ns = (uint64_t)((double)event.at_us * 1000 / s->compress);
	arrival->type_idx = KM_NO_TYPE_IDX;
	arrival->noise = (uint32_t)(km_splitmix64(&mix) >> 32);
	arrival->is_delete = event.op == KM_OP_DELETE;
	arrival->trait = s->trait;
	if (arrival->is_delete)
		return 1;
	if (goes_on(s, &event))
		arrival->is_delete = true; /* one more change, no request of its own */
	else
		fill_traits(s, &event);
	return 1;
}

static void trace_destroy(struct km_source *source)
{
	struct trace_source *s = (struct trace_source *)source;

	km_bound_destroy(s->bound);
	km_ruleset_destroy(s->rules);
	if (s->reader)
		km_trace_close(s->reader);
	free(s);
}

static int load_rules(struct trace_source *s, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag)
{
	const struct km_trace_schema *schema = km_trace_reader_schema(s->reader);
	int err;

	if (cfg->rules_path)
		err = km_ruleset_load(&s->rules, cfg->rules_path, diag);
	else
		err = km_ruleset_default(&s->rules, schema, cfg->inv);
	if (!err)
		err = km_ruleset_check(s->rules, schema, cfg->inv, diag);
	return err ? err : km_bound_create(&s->bound, s->rules, schema, cfg->inv, diag);
}

static void describe(struct trace_source *s)
{
	uint32_t i;

	for (i = 0; i < s->bound->rule_nr; i++)
		s->desc[i] = (struct km_rule_desc){ .name = s->bound->rule[i].rule->name,
						    .traits = s->bound->rule[i].traits };
	s->source.trait_nr = s->bound->trait_nr;
	s->source.rule_nr = s->bound->rule_nr;
	s->source.rules = s->desc;
	s->column_nr = s->bound->trait_nr - KM_RES_NR;
}

int km_sim_trace_open(struct km_source **out, const struct km_sim_trace_cfg *cfg,
		      struct km_diag *diag)
{
	struct trace_source *s;
	int err;

	if (!(cfg->compress > 0))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "time must be compressed by over 0");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->source.next = trace_next;
	s->source.destroy = trace_destroy;
	s->compress = cfg->compress;
	s->seed = cfg->seed;
	s->batch = KM_DICT_NONE;
	err = km_trace_open(&s->reader, cfg->path, diag);
	if (!err) {
		km_trace_forget_names(s->reader);
		err = load_rules(s, cfg, diag);
	}
	if (!err && !s->bound->rule_nr)
		err = km_diag_set(diag, -EINVAL, "", 0, 0, "no rule of the set is cached");
	if (err) {
		trace_destroy(&s->source);
		return err;
	}
	describe(s);
	*out = &s->source;
	return 0;
}

/* ---- looking through it ---------------------------------------------------- */

/* Ids there are at once at most; more types than that take turns. */
#define TYPE_CAP 8192
#define RULE_OBJ_CAP 65536

struct survey {
	struct km_sim_survey *out;
	struct km_types *types;
	const struct km_costs *costs; /* NULL = none to compare with */
	uint64_t met_nr, known_nr; /* types of the trace, and of those the profile's */
};

/* As in km_sim_run(), which can only tell halfway. */
static int compare(struct survey *s, const struct km_type *type, struct km_diag *diag)
{
	if (!s->costs || km_types_stats(s->types)->interned == s->met_nr)
		return 0;
	s->met_nr = km_types_stats(s->types)->interned;
	s->known_nr += km_costs_knows(s->costs, type->hash);
	if (s->met_nr != KM_SIM_PROFILE_TYPES || s->known_nr >= KM_SIM_PROFILE_TYPES / 2)
		return 0;
	return km_diag_set(diag, -EDOM, "", 0, 0,
			   "the cost profile knows %llu of the first %llu types: it was recorded "
			   "from another trace",
			   (unsigned long long)s->known_nr, (unsigned long long)s->met_nr);
}

static int survey_all(struct survey *s, struct km_source *source, uint64_t request_max,
		      struct km_diag *diag)
{
	struct km_sim_survey *out = s->out;
	struct km_arrival arrival;
	uint64_t first_ns = 0;
	struct km_type *type;
	int got, err = 0;

	while (!err && (got = source->next(source, &arrival, 1, diag)) > 0) {
		if (arrival.is_delete)
			continue;
		if (!out->request_nr++)
			first_ns = arrival.at_ns;
		if (out->request_nr <= KM_SIM_LEAD_NR) {
			out->lead_nr = out->request_nr;
			out->lead_ns = arrival.at_ns - first_ns;
		}
		type = km_types_get(s->types, arrival.trait);
		if (type) {
			err = compare(s, type, diag);
			km_types_put(s->types, type);
		}
		if (out->request_nr == request_max)
			break;
	}
	return err ? err : got < 0 ? got : 0;
}

int km_sim_trace_survey(struct km_sim_survey *out, const struct km_sim_trace_cfg *cfg,
			uint64_t request_max, const char *costs_path, struct km_diag *diag)
{
	struct km_types_cfg types_cfg = { .type_cap = TYPE_CAP, .rule_obj_cap = RULE_OBJ_CAP };
	struct km_sim_trace_cfg plain = *cfg;
	struct survey s = { .out = out };
	const struct km_types_stats *stats;
	struct km_costs *costs = NULL;
	struct km_source *source;
	int err;

	memset(out, 0, sizeof(*out));
	plain.compress = 1;
	err = km_sim_trace_open(&source, &plain, diag);
	if (err)
		return err;
	types_cfg.trait_nr = source->trait_nr;
	types_cfg.rule_nr = source->rule_nr;
	types_cfg.rules = source->rules;
	err = km_types_create(&s.types, &types_cfg);
	if (err)
		goto out_destroy;
	if (costs_path)
		err = km_costs_load(&costs, costs_path, source->rule_nr, source->rules, diag);
	s.costs = costs;
	if (!err)
		err = survey_all(&s, source, request_max, diag);
	stats = km_types_stats(s.types);
	if (!stats->recycled && !stats->rule_recycled) {
		out->type_cap = (uint32_t)stats->interned + 2;
		out->rule_obj_cap = (uint32_t)stats->rule_interned + 2 * source->rule_nr;
	}
	km_costs_destroy(costs);
	km_types_destroy(s.types);
out_destroy:
	source->destroy(source);
	if (!err && !out->request_nr)
		err = km_diag_set(diag, -EINVAL, cfg->path, 0, 0,
				  "no request at or after the start (at_us of 0)");
	return err;
}
