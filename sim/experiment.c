/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/experiment.c - which simulations a figure needs, and what it says of them.
 *
 * Each figure is one function that asks for results by what they are of. It runs
 * twice: first get() only takes note of what is wanted, then, when all of that
 * has been simulated, get() hands it out and cells are kept. Figures share
 * simulations.
 */
#include "sim/experiment.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"
#include "sim/paper.h"

struct exp {
	const struct km_experiment_cfg *cfg;
	bool planning;
	struct km_sim_point *point;
	uint32_t point_nr, point_room;
	struct km_cell *cell;
	uint32_t cell_nr, cell_room;
	struct km_sim_result none;
	int err;
};

static bool is_wanted(const struct exp *x, const struct km_policy *policy)
{
	uint32_t i;

	for (i = 0; i < x->cfg->policy_nr; i++)
		if (x->cfg->policy[i] == policy)
			return true;
	return !x->cfg->policy_nr;
}

/* What sets one simulation apart from the plain one. */
struct how {
	uint32_t agent_nr;
	double load, cache;
	bool no_in_service, accuracy;
};

static const struct how plain = { .agent_nr = 4, .load = 1, .cache = 1 };

static bool is_same(const struct km_sim_point *p, const struct km_sim_zone *zone,
		    const struct km_policy *policy, const struct how *how)
{
	return p->zone == zone && p->policy == policy && p->agent_nr == how->agent_nr &&
	       p->load == how->load && p->cache == how->cache &&
	       p->no_in_service == how->no_in_service;
}

static struct km_sim_point *add_point(struct exp *x)
{
	struct km_sim_point *grown;

	if (x->point_nr == x->point_room) {
		grown = realloc(x->point, (x->point_room * 2 + 64) * sizeof(*grown));
		if (!grown) {
			x->err = -ENOMEM;
			return NULL;
		}
		x->point = grown;
		x->point_room = x->point_room * 2 + 64;
	}
	return &x->point[x->point_nr++];
}

static const struct km_sim_result *get(struct exp *x, uint32_t zone_idx,
				       const struct km_policy *policy, const struct how *how)
{
	const struct km_sim_zone *zone = &x->cfg->zone[zone_idx];
	struct km_sim_point *p;
	uint32_t i;

	for (i = 0; i < x->point_nr; i++)
		if (is_same(&x->point[i], zone, policy, how))
			break;
	if (i < x->point_nr) {
		x->point[i].accuracy |= how->accuracy;
		return x->planning ? &x->none : x->point[i].result;
	}
	p = add_point(x);
	if (p)
		*p = (struct km_sim_point){ .zone = zone,
					    .policy = policy,
					    .agent_nr = how->agent_nr,
					    .load = how->load,
					    .cache = how->cache,
					    .no_in_service = how->no_in_service,
					    .accuracy = how->accuracy,
					    .check = x->cfg->check,
					    .seed = x->cfg->seed };
	return &x->none;
}

static void put(struct exp *x, const char *figure, const char *row, const char *column, double ours,
		double paper)
{
	struct km_cell *grown;

	if (x->planning || x->err)
		return;
	if (x->cell_nr == x->cell_room) {
		grown = realloc(x->cell, (x->cell_room * 2 + 64) * sizeof(*grown));
		if (!grown) {
			x->err = -ENOMEM;
			return;
		}
		x->cell = grown;
		x->cell_room = x->cell_room * 2 + 64;
	}
	x->cell[x->cell_nr] = (struct km_cell){ .figure = figure, .ours = ours, .paper = paper };
	snprintf(x->cell[x->cell_nr].row_text, sizeof(x->cell->row_text), "%s", row);
	snprintf(x->cell[x->cell_nr].column, sizeof(x->cell->column), "%s", column);
	x->cell_nr++;
}

/* ---- numbers over zones ---------------------------------------------------- */

struct spread {
	double value[KM_SIM_ZONES_MAX];
	uint32_t nr;
};

static void spread_add(struct spread *s, double value)
{
	s->value[s->nr++] = value;
}

static double spread_mean(const struct spread *s)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		sum += s->value[i];
	return s->nr ? sum / s->nr : 0;
}

static double spread_sd(const struct spread *s)
{
	double mean = spread_mean(s), sum = 0;
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		sum += (s->value[i] - mean) * (s->value[i] - mean);
	return s->nr > 1 ? sqrt(sum / (s->nr - 1)) : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Linear between the ordered values. Sorts them. */
static double quantile(double *value, uint32_t nr, double q)
{
	double at = q * (nr ? nr - 1 : 0);
	uint32_t low = (uint32_t)at;

	if (!nr)
		return 0;
	qsort(value, nr, sizeof(*value), by_value);
	if (low + 1 >= nr)
		return value[nr - 1];
	return value[low] + (at - low) * (value[low + 1] - value[low]);
}

static double p90(const struct km_sim_result *r)
{
	return (double)km_hist_quantile(&r->latency, 0.9);
}

static double hit_pct(const struct km_sim_result *r)
{
	return r->measured ? 100 * (double)r->top_hits / (double)r->measured : 0;
}

/* By how much @ours is less than @base, in % of it. */
static double gain_pct(double base, double ours)
{
	return base > 0 ? 100 * (1 - ours / base) : 0;
}

struct pooled {
	double wait_ns, processing_ns;
	struct km_hist latency;
};

/* Over the requests of all zones. */
static void pool(struct exp *x, const struct km_policy *policy, const struct how *how,
		 struct pooled *out)
{
	double wait = 0, processing = 0, nr = 0;
	uint32_t z;

	km_hist_init(&out->latency);
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *r = get(x, z, policy, how);

		wait += (double)r->wait.sum;
		processing += (double)r->processing.sum;
		nr += (double)r->measured;
		km_hist_merge(&out->latency, &r->latency);
	}
	out->wait_ns = nr > 0 ? wait / nr : 0;
	out->processing_ns = nr > 0 ? processing / nr : 0;
}

static double pooled_total(const struct pooled *p)
{
	return p->wait_ns + p->processing_ns;
}

/* ---- figures --------------------------------------------------------------- */

/* Types with so many hits and as many misses count, by their means. */
#define SEPARABLE_NR 5

static void type_means(struct exp *x, double *miss, double *hit, double *ratio, uint32_t *nr)
{
	uint32_t z, t;

	*nr = 0;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *r = get(x, z, &km_policy_protean, &plain);

		for (t = 0; t < r->type_nr && miss; t++) {
			const struct km_sim_type *m = &r->type[t];

			if (m->hit_nr < SEPARABLE_NR || m->miss_nr < SEPARABLE_NR)
				continue;
			miss[*nr] = (double)m->miss_ns / (double)m->miss_nr / 1e6;
			hit[*nr] = (double)m->hit_ns / (double)m->hit_nr / 1e6;
			ratio[*nr] = miss[*nr] / hit[*nr];
			(*nr)++;
		}
	}
}

static uint32_t all_types(struct exp *x)
{
	uint32_t z, nr = 0;

	for (z = 0; z < x->cfg->zone_nr; z++)
		nr += get(x, z, &km_policy_protean, &plain)->type_nr;
	return nr;
}

static void fig1(struct exp *x)
{
	uint32_t cap = all_types(x) + 1, nr, i, q;
	double *value = x->planning ? NULL : malloc(3 * cap * sizeof(*value));

	if (!value && !x->planning)
		x->err = -ENOMEM;
	if (!value)
		return;
	type_means(x, value, value + cap, value + 2 * cap, &nr);
	for (i = 0; i < 3; i++)
		for (q = 0; q < KM_FIG1_NR; q++)
			put(x, "fig1", km_paper_fig1[i].row, km_paper_fig1_column[q],
			    quantile(value + i * cap, nr, km_paper_fig1_at[q]),
			    km_paper_fig1[i].value[q]);
	put(x, "fig1", "types", "separable", nr, NAN);
	free(value);
}

static void fig2(struct exp *x)
{
	struct pooled base, p;
	struct spread hits;
	uint32_t i, z;
	char row[8];

	pool(x, &km_policy_protean, &plain, &base);
	for (i = 0; i < KM_FIG2_NR; i++) {
		struct how how = plain;

		how.agent_nr = km_paper_fig2[i].agents;
		pool(x, &km_policy_protean, &how, &p);
		hits.nr = 0;
		for (z = 0; z < x->cfg->zone_nr; z++)
			spread_add(&hits, hit_pct(get(x, z, &km_policy_protean, &how)));
		snprintf(row, sizeof(row), "%u", how.agent_nr);
		put(x, "fig2", row, "wait", p.wait_ns / pooled_total(&base), km_paper_fig2[i].wait);
		put(x, "fig2", row, "processing", p.processing_ns / pooled_total(&base),
		    km_paper_fig2[i].processing);
		put(x, "fig2", row, "hit_pct", spread_mean(&hits), km_paper_fig2[i].hit_pct);
		put(x, "fig2", row, "hit_pct_sd", spread_sd(&hits), i ? NAN : 2.9);
	}
}

static void table3(struct exp *x)
{
	uint32_t i, z;

	for (i = 0; i < KM_PAPER_POLICY_NR; i++) {
		const struct km_paper_policy *p = &km_paper_policy[i];
		struct spread hits = { .nr = 0 }, memory = { .nr = 0 };

		if (!is_wanted(x, p->policy))
			continue;
		for (z = 0; z < x->cfg->zone_nr; z++) {
			const struct km_sim_result *base = get(x, z, &km_policy_protean, &plain);
			const struct km_sim_result *r = get(x, z, p->policy, &plain);

			spread_add(&hits, hit_pct(r));
			spread_add(&memory, r->cache_bytes_mean / base->cache_bytes_mean);
		}
		put(x, "table3", p->policy->name, "top_hit_pct", spread_mean(&hits), p->hit_pct);
		put(x, "table3", p->policy->name, "top_hit_pct_sd", spread_sd(&hits),
		    p->hit_pct_sd);
		put(x, "table3", p->policy->name, "cache_memory_norm", spread_mean(&memory),
		    p->memory);
		put(x, "table3", p->policy->name, "cache_memory_norm_sd", spread_sd(&memory),
		    p->memory_sd);
	}
}

static void box(struct exp *x, const char *figure, const char *row, const char *what,
		struct spread *s, const double *paper)
{
	static const struct {
		const char *name;
		double q;
	} part[] = { { "min", 0 }, { "q1", .25 }, { "median", .5 }, { "q3", .75 }, { "max", 1 } };
	char column[32];
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(part); i++) {
		snprintf(column, sizeof(column), "%s_%s", what, part[i].name);
		put(x, figure, row, column, quantile(s->value, s->nr, part[i].q),
		    paper ? paper[i] : NAN);
	}
	snprintf(column, sizeof(column), "%s_mean", what);
	put(x, figure, row, column, spread_mean(s), paper ? paper[5] : NAN);
	snprintf(column, sizeof(column), "%s_sd", what);
	put(x, figure, row, column, spread_sd(s), NAN);
}

/* Boxes over zones of how much better than Protean, and the same of all requests pooled. */
static void gains(struct exp *x, const char *figure, const struct km_policy *policy,
		  const struct how *how, const char *row, const double *average, const double *tail)
{
	struct spread mean_gain = { .nr = 0 }, p90_gain = { .nr = 0 };
	struct pooled base, p;
	uint32_t z;

	if (!is_wanted(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *b = get(x, z, &km_policy_protean, &plain);
		const struct km_sim_result *r = get(x, z, policy, how);

		spread_add(&mean_gain,
			   gain_pct(km_hist_mean(&b->latency), km_hist_mean(&r->latency)));
		spread_add(&p90_gain, gain_pct(p90(b), p90(r)));
	}
	box(x, figure, row, "average", &mean_gain, average);
	box(x, figure, row, "p90", &p90_gain, tail);
	pool(x, &km_policy_protean, &plain, &base);
	pool(x, policy, how, &p);
	put(x, figure, row, "average_pooled", gain_pct(pooled_total(&base), pooled_total(&p)), NAN);
	put(x, figure, row, "p90_pooled",
	    gain_pct((double)km_hist_quantile(&base.latency, .9),
		     (double)km_hist_quantile(&p.latency, .9)),
	    NAN);
}

static void fig6(struct exp *x)
{
	uint32_t i;

	for (i = 1; i < KM_PAPER_POLICY_NR; i++)
		gains(x, "fig6", km_paper_policy[i].policy, &plain, km_paper_policy[i].policy->name,
		      km_paper_policy[i].average, km_paper_policy[i].p90);
}

static double rate_per_s(const struct km_sim_result *r, uint64_t nr, uint64_t windows)
{
	(void)r;
	return windows ? (double)nr / (double)windows / (KM_SIM_WINDOW_NS / 1e9) : 0;
}

/* One node with four agents: means over the zones. */
static void fig7(struct exp *x)
{
	static const struct {
		const struct km_policy *policy;
		double saturated; /* the middle of what the paper says */
	} row[] = { { &km_policy_protean, 8.5 }, { &km_policy_latcache_rule, NAN } };
	uint32_t i, z;

	for (i = 0; i < KM_ARRAY_NR(row); i++) {
		struct spread rate = { .nr = 0 }, burst = rate, saturated = rate, most = rate;
		const char *name = row[i].policy->name;

		if (!is_wanted(x, row[i].policy))
			continue;
		for (z = 0; z < x->cfg->zone_nr; z++) {
			const struct km_sim_result *r = get(x, z, row[i].policy, &plain);

			spread_add(&rate, r->end_ns
						  ? (double)r->submitted / ((double)r->end_ns / 1e9)
						  : 0);
			spread_add(&burst, rate_per_s(r, r->window_arrived_max, 1));
			spread_add(&most, rate_per_s(r, r->window_completed_max, 1));
			if (r->saturated_nr)
				spread_add(&saturated,
					   rate_per_s(r, r->saturated_completed, r->saturated_nr));
		}
		put(x, "fig7", name, "arrivals_per_s", spread_mean(&rate), 8);
		put(x, "fig7", name, "arrivals_per_s_max", spread_mean(&burst), 20);
		put(x, "fig7", name, "saturated_per_s", spread_mean(&saturated), row[i].saturated);
		put(x, "fig7", name, "completed_per_s_max", spread_mean(&most), i ? 19 : NAN);
	}
}

static void fig8(struct exp *x)
{
	struct pooled base, p;
	uint32_t i;

	pool(x, &km_policy_protean, &plain, &base);
	for (i = 0; i < KM_PAPER_POLICY_NR; i++) {
		if (!is_wanted(x, km_paper_policy[i].policy))
			continue;
		pool(x, km_paper_policy[i].policy, &plain, &p);
		put(x, "fig8", km_paper_policy[i].policy->name, "wait",
		    p.wait_ns / pooled_total(&base), km_paper_policy[i].wait);
		put(x, "fig8", km_paper_policy[i].policy->name, "processing",
		    p.processing_ns / pooled_total(&base), km_paper_policy[i].processing);
	}
}

/* The mean over zones of how much less the p90 is than Protean's under @base. */
static void tail_gain(struct exp *x, const char *figure, const struct km_policy *policy,
		      const struct how *base, const struct how *how, double at, double paper)
{
	struct spread gain = { .nr = 0 };
	char column[16], sd[24];
	uint32_t z;

	if (!is_wanted(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++)
		spread_add(&gain, gain_pct(p90(get(x, z, &km_policy_protean, base)),
					   p90(get(x, z, policy, how))));
	snprintf(column, sizeof(column), "%g", at);
	snprintf(sd, sizeof(sd), "%g_sd", at);
	put(x, figure, policy->name, column, spread_mean(&gain), paper);
	put(x, figure, policy->name, sd, spread_sd(&gain), NAN);
}

static void fig9a(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9A_ROWS; i++)
		for (k = 0; k < KM_FIG9A_NR; k++) {
			struct how how = plain;

			how.agent_nr = (uint32_t)km_paper_fig9a_at[k];
			tail_gain(x, "fig9a", km_paper_fig9a[i].policy, &plain, &how,
				  km_paper_fig9a_at[k], km_paper_fig9a[i].value[k]);
		}
}

static void fig9b(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9B_ROWS; i++)
		for (k = 0; k < KM_FIG9B_NR; k++) {
			struct how how = plain;

			how.load = km_paper_fig9b_at[k];
			tail_gain(x, "fig9b", km_paper_fig9b[i].policy, &how, &how,
				  km_paper_fig9b_at[k], km_paper_fig9b[i].value[k]);
		}
}

static void fig9c(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9C_ROWS; i++)
		for (k = 0; k < KM_FIG9C_NR; k++) {
			struct how how = plain;

			how.cache = km_paper_fig9c_at[k] / 100;
			tail_gain(x, "fig9c", km_paper_fig9c[i].policy, &how, &how,
				  km_paper_fig9c_at[k], km_paper_fig9c[i].value[k]);
		}
}

static double share_pct(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static void judge(struct exp *x, const struct km_policy *policy, const struct how *how,
		  const char *row, const double *paper)
{
	struct spread event = { .nr = 0 }, top = event, error = event, best = event, gap = event,
		      regret = event;
	uint32_t z;

	if (!is_wanted(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_accuracy *a = &get(x, z, policy, how)->accuracy;
		uint64_t worse = a->judged - a->best_nr;

		spread_add(&event,
			   share_pct(a->top_right + a->rule_right, a->top_events + a->rule_events));
		spread_add(&top, share_pct(a->top_right, a->top_events));
		spread_add(&error, a->time_nr ? 100 * a->time_error_sum / (double)a->time_nr : 0);
		spread_add(&best, share_pct(a->best_nr, a->judged));
		spread_add(&gap, worse ? 100 * a->gap_ratio_sum / (double)worse : 0);
		spread_add(&regret,
			   a->judged ? (double)a->gap_ns_sum / 1e6 / (double)a->judged : 0);
	}
	put(x, "accuracy", row, "event_pct", spread_mean(&event), paper[0]);
	put(x, "accuracy", row, "top_event_pct", spread_mean(&top), NAN);
	put(x, "accuracy", row, "time_error_pct", spread_mean(&error), paper[1]);
	put(x, "accuracy", row, "best_agent_pct", spread_mean(&best), paper[2]);
	put(x, "accuracy", row, "gap_pct", spread_mean(&gap), paper[3]);
	put(x, "accuracy", row, "regret_ms", spread_mean(&regret), NAN);
}

/* What a change of @policy gains over plain LatCache-rule. */
static void over_rule(struct exp *x, const struct km_policy *policy, const struct how *how,
		      const char *row, double paper_p90)
{
	struct spread mean_gain = { .nr = 0 }, p90_gain = mean_gain;
	struct how judged = plain;
	uint32_t z;

	if (!is_wanted(x, policy))
		return;
	judged.accuracy = true; /* the same simulation as judge()'s */
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *b = get(x, z, &km_policy_latcache_rule, &judged);
		const struct km_sim_result *r = get(x, z, policy, how);

		spread_add(&mean_gain,
			   gain_pct(km_hist_mean(&b->latency), km_hist_mean(&r->latency)));
		spread_add(&p90_gain, gain_pct(p90(b), p90(r)));
	}
	put(x, "accuracy", row, "average_gain_pct", spread_mean(&mean_gain), NAN);
	put(x, "accuracy", row, "p90_gain_pct", spread_mean(&p90_gain), paper_p90);
}

static void accuracy(struct exp *x)
{
	static const double rule[] = { 99.1, 29, 91.9, 2.3 }, naive[] = { NAN, NAN, 65.4, NAN },
			    unsaid[] = { NAN, NAN, NAN, NAN };
	struct how how = plain, no_service;

	how.accuracy = true;
	no_service = how;
	no_service.no_in_service = true;
	judge(x, &km_policy_latcache_rule, &how, "latcache-rule", rule);
	judge(x, &km_policy_naive, &how, "naive", naive);
	judge(x, &km_policy_latcache_request, &how, "latcache-request", unsaid);
	judge(x, &km_policy_oracle, &how, "oracle", unsaid);
	judge(x, &km_policy_future, &how, "latcache-future", unsaid);
	judge(x, &km_policy_latcache_rule, &no_service, "no-in-service", unsaid);
	over_rule(x, &km_policy_oracle, &how, "oracle", 1.1);
	over_rule(x, &km_policy_future, &how, "latcache-future", 0);
	over_rule(x, &km_policy_latcache_rule, &no_service, "no-in-service", NAN);
}

static void rivals(struct exp *x)
{
	static const struct km_policy *const policy[] = {
		&km_policy_jsq,
		&km_policy_p2c,
		&km_policy_bounded_hash,
		&km_policy_affinity,
	};
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(policy); i++)
		gains(x, "rivals", policy[i], &plain, policy[i]->name, NULL, NULL);
}

/* ---- running --------------------------------------------------------------- */

const char *const km_experiments[] = { "fig1",	 "fig2",  "fig6",  "fig7",   "fig8",
				       "fig9a",	 "fig9b", "fig9c", "table3", "accuracy",
				       "rivals", "all",	  NULL };

static void (*const figures[])(struct exp *x) = { fig1,	 fig2,	fig6,	fig7,	  fig8,	 fig9a,
						  fig9b, fig9c, table3, accuracy, rivals };

static int find_figure(const char *name, uint32_t *idx, struct km_diag *diag)
{
	const char *near;

	for (*idx = 0; km_experiments[*idx]; (*idx)++)
		if (!strcmp(km_experiments[*idx], name))
			return 0;
	near = km_suggest(name, km_experiments);
	return km_diag_set(diag, -EINVAL, "", 0, 0, "no experiment '%s'%s%s%s", name,
			   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* Bit i = figure i. */
static int parse_names(const char *names, uint32_t *wanted, struct km_diag *diag)
{
	char copy[256], *save = NULL, *name;
	uint32_t idx;
	int err;

	*wanted = 0;
	if (strlen(names) >= sizeof(copy))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "too many experiments");
	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		err = find_figure(name, &idx, diag);
		if (err)
			return err;
		if (idx == KM_ARRAY_NR(figures))
			*wanted |= (1u << KM_ARRAY_NR(figures)) - 1;
		else
			*wanted |= 1u << idx;
	}
	return *wanted ? 0 : km_diag_set(diag, -EINVAL, "", 0, 0, "no experiment named");
}

static void all_figures(struct exp *x, uint32_t wanted)
{
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(figures); i++)
		if (wanted >> i & 1)
			figures[i](x);
}

int km_experiment_run(struct km_experiment_result *out, const char *names,
		      const struct km_experiment_cfg *cfg, struct km_diag *diag)
{
	struct exp x = { .cfg = cfg, .planning = true };
	uint32_t wanted, i;
	int err = parse_names(names, &wanted, diag);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	km_hist_init(&x.none.latency);
	all_figures(&x, wanted);
	err = x.err;
	if (!err)
		err = km_sweep_run(x.point, x.point_nr, cfg->thread_nr,
				   cfg->progress.done ? &cfg->progress : NULL, diag);
	if (!err) {
		x.planning = false;
		all_figures(&x, wanted);
		err = x.err;
		for (i = 0; i < x.point_nr; i++) {
			out->core_s += x.point[i].cpu_s;
			out->request_nr += x.point[i].result->completed;
			out->refused_nr += x.point[i].result->refused;
		}
		out->point_nr = x.point_nr;
		km_sweep_fini(x.point, x.point_nr);
	}
	free(x.point);
	if (err) {
		free(x.cell);
		return err;
	}
	for (i = 0; i < x.cell_nr; i++)
		x.cell[i].row = x.cell[i].row_text;
	out->cell = x.cell;
	out->cell_nr = x.cell_nr;
	return 0;
}

void km_experiment_fini(struct km_experiment_result *result)
{
	free(result->cell);
	result->cell = NULL;
}
