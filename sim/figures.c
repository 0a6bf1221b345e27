/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/figures.c - the paper's figures and tables: what each is made of.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/experiment_internal.h"
#include "sim/paper.h"

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

double exp_p90(const struct km_sim_result *r)
{
	return (double)km_hist_quantile(&r->latency, 0.9);
}

double exp_hit_pct(const struct km_sim_result *r)
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
	double hit_ns, miss_ns; /* processing of a top-level hit, of a miss */
	double rule_hit_pct; /* of the rules looked up */
	struct km_hist latency;
};

/* Over the requests of all zones. */
static void pool(struct exp *x, const struct km_policy *policy, const struct how *how,
		 struct pooled *out)
{
	double wait = 0, processing = 0, nr = 0, hits = 0, rules = 0, rule_hits = 0;
	uint32_t z;

	memset(out, 0, sizeof(*out));
	km_hist_init(&out->latency);
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *r = exp_get(x, z, policy, how);

		hits += (double)r->top_hits;
		out->hit_ns += (double)r->hit_ns;
		out->miss_ns += (double)r->miss_ns;
		rule_hits += (double)r->rule_hits;
		rules += (double)(r->rule_hits + r->rule_misses);
		wait += (double)r->wait.sum;
		processing += (double)r->processing.sum;
		nr += (double)r->measured;
		km_hist_merge(&out->latency, &r->latency);
	}
	out->wait_ns = nr > 0 ? wait / nr : 0;
	out->processing_ns = nr > 0 ? processing / nr : 0;
	out->hit_ns = hits > 0 ? out->hit_ns / hits : 0;
	out->miss_ns = nr > hits ? out->miss_ns / (nr - hits) : 0;
	out->rule_hit_pct = rules > 0 ? 100 * rule_hits / rules : 0;
}

static double pooled_total(const struct pooled *p)
{
	return p->wait_ns + p->processing_ns;
}

/* ---- figures --------------------------------------------------------------- */

/*
 * The paper measured types whose hits and misses it could tell apart by their times. Here: types of
 * at least five of each, the means further apart than Ashman's D = 2, the usual sign
 * of two humps (Ashman, Bird and Zepf, "Detecting Bimodality in Astronomical Datasets",
 * AJ 108, 1994).
 */
#define SEPARABLE_NR 5

static double variance(double sum, double squares, double nr)
{
	return squares / nr - sum / nr * (sum / nr);
}

static bool is_separable(const struct km_sim_type *t)
{
	double hit = (double)t->hit_ns / 1e6, miss = (double)t->miss_ns / 1e6, apart, spread;

	if (t->hit_nr < SEPARABLE_NR || t->miss_nr < SEPARABLE_NR)
		return false;
	apart = miss / (double)t->miss_nr - hit / (double)t->hit_nr;
	spread = variance(hit, t->hit_ms2, (double)t->hit_nr) +
		 variance(miss, t->miss_ms2, (double)t->miss_nr);
	return apart > 0 && apart * apart > 2 * spread;
}

/* [*nr] of the separable types; @of: how many came at all. */
static void type_means(struct exp *x, double *miss, double *hit, double *ratio, uint32_t *nr,
		       uint32_t *of)
{
	uint32_t z, t;

	*nr = *of = 0;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *r = exp_get(x, z, &km_policy_protean, &exp_plain);

		for (t = 0; t < r->type_nr && miss; t++) {
			const struct km_sim_type *m = &r->type[t];

			*of += m->hit_nr + m->miss_nr > 0;
			if (!is_separable(m))
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
		nr += exp_get(x, z, &km_policy_protean, &exp_plain)->type_nr;
	return nr;
}

void exp_fig1(struct exp *x)
{
	uint32_t cap = all_types(x) + 1, nr, of, i, q;
	double *value = x->planning ? NULL : malloc(3 * cap * sizeof(*value));

	if (!value && !x->planning)
		x->err = -ENOMEM;
	if (!value)
		return;
	type_means(x, value, value + cap, value + 2 * cap, &nr, &of);
	for (i = 0; i < 3; i++)
		for (q = 0; q < KM_FIG1_NR; q++)
			exp_put(x, "fig1", km_paper_fig1[i].row, km_paper_fig1_column[q],
				quantile(value + i * cap, nr, km_paper_fig1_at[q]),
				km_paper_fig1[i].value[q]);
	exp_put(x, "fig1", "types", "separable_pct", of ? 100.0 * nr / of : 0, 100.0 * 231 / 400);
	free(value);
}

static bool wants_agents(const struct exp *x, uint32_t agent_nr)
{
	uint32_t i;

	for (i = 0; i < x->cfg->agents_nr; i++)
		if (x->cfg->agents[i] == agent_nr)
			return true;
	return !x->cfg->agents_nr;
}

void exp_fig2(struct exp *x)
{
	struct pooled base, p;
	struct spread hits;
	uint32_t i, z;
	char row[8];

	pool(x, &km_policy_protean, &exp_plain, &base);
	for (i = 0; i < KM_FIG2_NR; i++) {
		struct how how = exp_plain;

		how.agent_nr = km_paper_fig2[i].agents;
		if (!wants_agents(x, how.agent_nr))
			continue;
		pool(x, &km_policy_protean, &how, &p);
		hits.nr = 0;
		for (z = 0; z < x->cfg->zone_nr; z++)
			spread_add(&hits, exp_hit_pct(exp_get(x, z, &km_policy_protean, &how)));
		snprintf(row, sizeof(row), "%u", how.agent_nr);
		exp_put(x, "fig2", row, "wait", p.wait_ns / pooled_total(&base),
			km_paper_fig2[i].wait);
		exp_put(x, "fig2", row, "processing", p.processing_ns / pooled_total(&base),
			km_paper_fig2[i].processing);
		exp_put(x, "fig2", row, "hit_pct", spread_mean(&hits), km_paper_fig2[i].hit_pct);
		exp_put(x, "fig2", row, "hit_pct_sd", spread_sd(&hits), i ? NAN : 2.9);
		exp_put(x, "fig2", row, "hit_ms", p.hit_ns / 1e6, NAN);
		exp_put(x, "fig2", row, "miss_ms", p.miss_ns / 1e6, NAN);
		exp_put(x, "fig2", row, "rule_hit_pct", p.rule_hit_pct, NAN);
	}
}

void exp_table3(struct exp *x)
{
	uint32_t i, z;

	for (i = 0; i < KM_PAPER_POLICY_NR; i++) {
		const struct km_paper_policy *p = &km_paper_policy[i];
		struct spread hits = { .nr = 0 }, memory = { .nr = 0 };

		if (!exp_wants(x, p->policy))
			continue;
		for (z = 0; z < x->cfg->zone_nr; z++) {
			const struct km_sim_result *base =
				exp_get(x, z, &km_policy_protean, &exp_plain);
			const struct km_sim_result *r = exp_get(x, z, p->policy, &exp_plain);

			spread_add(&hits, exp_hit_pct(r));
			spread_add(&memory, r->cache_bytes_mean / base->cache_bytes_mean);
		}
		exp_put(x, "table3", p->policy->name, "top_hit_pct", spread_mean(&hits),
			p->hit_pct);
		exp_put(x, "table3", p->policy->name, "top_hit_pct_sd", spread_sd(&hits),
			p->hit_pct_sd);
		exp_put(x, "table3", p->policy->name, "cache_memory_norm", spread_mean(&memory),
			p->memory);
		exp_put(x, "table3", p->policy->name, "cache_memory_norm_sd", spread_sd(&memory),
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
		exp_put(x, figure, row, column, quantile(s->value, s->nr, part[i].q),
			paper ? paper[i] : NAN);
	}
	snprintf(column, sizeof(column), "%s_mean", what);
	exp_put(x, figure, row, column, spread_mean(s), paper ? paper[5] : NAN);
	snprintf(column, sizeof(column), "%s_sd", what);
	exp_put(x, figure, row, column, spread_sd(s), NAN);
}

/* Boxes over zones of how much better than Protean, and the same of all requests pooled. */
static void gains(struct exp *x, const char *figure, const struct km_policy *policy,
		  const struct how *how, const char *row, const double *average, const double *tail)
{
	struct spread mean_gain = { .nr = 0 }, p90_gain = { .nr = 0 };
	struct pooled base, p;
	uint32_t z;

	if (!exp_wants(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *b = exp_get(x, z, &km_policy_protean, &exp_plain);
		const struct km_sim_result *r = exp_get(x, z, policy, how);

		spread_add(&mean_gain,
			   gain_pct(km_hist_mean(&b->latency), km_hist_mean(&r->latency)));
		spread_add(&p90_gain, gain_pct(exp_p90(b), exp_p90(r)));
	}
	box(x, figure, row, "average", &mean_gain, average);
	box(x, figure, row, "p90", &p90_gain, tail);
	pool(x, &km_policy_protean, &exp_plain, &base);
	pool(x, policy, how, &p);
	exp_put(x, figure, row, "average_pooled", gain_pct(pooled_total(&base), pooled_total(&p)),
		NAN);
	exp_put(x, figure, row, "p90_pooled",
		gain_pct((double)km_hist_quantile(&base.latency, .9),
			 (double)km_hist_quantile(&p.latency, .9)),
		NAN);
}

void exp_fig6(struct exp *x)
{
	uint32_t i;

	for (i = 1; i < KM_PAPER_POLICY_NR; i++)
		gains(x, "fig6", km_paper_policy[i].policy, &exp_plain,
		      km_paper_policy[i].policy->name, km_paper_policy[i].average,
		      km_paper_policy[i].p90);
}

static double rate_per_s(const struct km_sim_result *r, uint64_t nr, uint64_t windows)
{
	(void)r;
	return windows ? (double)nr / (double)windows / (KM_SIM_WINDOW_NS / 1e9) : 0;
}

/* The zone whose day has the most requests. */
static uint32_t heaviest_zone(struct exp *x)
{
	uint32_t z, heaviest = 0;

	for (z = 1; z < x->cfg->zone_nr; z++)
		if (exp_get(x, z, &km_policy_protean, &exp_plain)->submitted >
		    exp_get(x, heaviest, &km_policy_protean, &exp_plain)->submitted)
			heaviest = z;
	return heaviest;
}

/* One node of four agents that bursts saturate: of the heaviest zone. */
void exp_fig7(struct exp *x)
{
	static const struct {
		const struct km_policy *policy;
		double saturated; /* the middle of what the paper says */
	} row[] = { { &km_policy_protean, 8.5 }, { &km_policy_latcache_rule, NAN } };
	const uint32_t zone = heaviest_zone(x);
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(row); i++) {
		const char *name = row[i].policy->name;
		const struct km_sim_result *r;

		if (!exp_wants(x, row[i].policy))
			continue;
		r = exp_get(x, zone, row[i].policy, &exp_plain);
		exp_put(x, "fig7", name, "arrivals_per_s",
			r->end_ns ? (double)r->submitted / ((double)r->end_ns / 1e9) : 0, 8);
		exp_put(x, "fig7", name, "arrivals_per_s_max",
			rate_per_s(r, r->window_arrived_max, 1), 20);
		exp_put(x, "fig7", name, "saturated_per_s",
			r->saturated_nr ? rate_per_s(r, r->saturated_completed, r->saturated_nr)
					: NAN,
			row[i].saturated);
		exp_put(x, "fig7", name, "completed_per_s_max",
			rate_per_s(r, r->window_completed_max, 1), i ? 19 : NAN);
	}
}

void exp_fig8(struct exp *x)
{
	struct pooled base, p;
	uint32_t i;

	pool(x, &km_policy_protean, &exp_plain, &base);
	for (i = 0; i < KM_PAPER_POLICY_NR; i++) {
		if (!exp_wants(x, km_paper_policy[i].policy))
			continue;
		pool(x, km_paper_policy[i].policy, &exp_plain, &p);
		exp_put(x, "fig8", km_paper_policy[i].policy->name, "wait",
			p.wait_ns / pooled_total(&base), km_paper_policy[i].wait);
		exp_put(x, "fig8", km_paper_policy[i].policy->name, "processing",
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

	if (!exp_wants(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++)
		spread_add(&gain, gain_pct(exp_p90(exp_get(x, z, &km_policy_protean, base)),
					   exp_p90(exp_get(x, z, policy, how))));
	snprintf(column, sizeof(column), "%g", at);
	snprintf(sd, sizeof(sd), "%g_sd", at);
	exp_put(x, figure, policy->name, column, spread_mean(&gain), paper);
	exp_put(x, figure, policy->name, sd, spread_sd(&gain), NAN);
}

void exp_fig9a(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9A_ROWS; i++)
		for (k = 0; k < KM_FIG9A_NR; k++) {
			struct how how = exp_plain;

			how.agent_nr = (uint32_t)km_paper_fig9a_at[k];
			tail_gain(x, "fig9a", km_paper_fig9a[i].policy, &exp_plain, &how,
				  km_paper_fig9a_at[k], km_paper_fig9a[i].value[k]);
		}
}

void exp_fig9b(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9B_ROWS; i++)
		for (k = 0; k < KM_FIG9B_NR; k++) {
			struct how how = exp_plain;

			how.load = km_paper_fig9b_at[k];
			tail_gain(x, "fig9b", km_paper_fig9b[i].policy, &how, &how,
				  km_paper_fig9b_at[k], km_paper_fig9b[i].value[k]);
		}
}

void exp_fig9c(struct exp *x)
{
	uint32_t i, k;

	for (i = 0; i < KM_FIG9C_ROWS; i++)
		for (k = 0; k < KM_FIG9C_NR; k++) {
			struct how how = exp_plain;

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

	if (!exp_wants(x, policy))
		return;
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_accuracy *a = &exp_get(x, z, policy, how)->accuracy;
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
	exp_put(x, "accuracy", row, "event_pct", spread_mean(&event), paper[0]);
	exp_put(x, "accuracy", row, "top_event_pct", spread_mean(&top), NAN);
	exp_put(x, "accuracy", row, "time_error_pct", spread_mean(&error), paper[1]);
	exp_put(x, "accuracy", row, "best_agent_pct", spread_mean(&best), paper[2]);
	exp_put(x, "accuracy", row, "gap_pct", spread_mean(&gap), paper[3]);
	exp_put(x, "accuracy", row, "regret_ms", spread_mean(&regret), NAN);
}

/* What a change of @policy gains over exp_plain LatCache-rule. */
static void over_rule(struct exp *x, const struct km_policy *policy, const struct how *how,
		      const char *row, double paper_p90)
{
	struct spread mean_gain = { .nr = 0 }, p90_gain = mean_gain;
	struct how judged = exp_plain;
	uint32_t z;

	if (!exp_wants(x, policy))
		return;
	judged.accuracy = true; /* the same simulation as judge()'s */
	for (z = 0; z < x->cfg->zone_nr; z++) {
		const struct km_sim_result *b = exp_get(x, z, &km_policy_latcache_rule, &judged);
		const struct km_sim_result *r = exp_get(x, z, policy, how);

		spread_add(&mean_gain,
			   gain_pct(km_hist_mean(&b->latency), km_hist_mean(&r->latency)));
		spread_add(&p90_gain, gain_pct(exp_p90(b), exp_p90(r)));
	}
	exp_put(x, "accuracy", row, "average_gain_pct", spread_mean(&mean_gain), NAN);
	exp_put(x, "accuracy", row, "p90_gain_pct", spread_mean(&p90_gain), paper_p90);
}

void exp_accuracy(struct exp *x)
{
	static const double rule[] = { 99.1, 29, 91.9, 2.3 }, naive[] = { NAN, NAN, 65.4, NAN },
			    unsaid[] = { NAN, NAN, NAN, NAN };
	struct how how = exp_plain, no_service;

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

void exp_rivals(struct exp *x)
{
	static const struct km_policy *const policy[] = {
		&km_policy_jsq,
		&km_policy_p2c,
		&km_policy_bounded_hash,
		&km_policy_affinity,
	};
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(policy); i++)
		gains(x, "rivals", policy[i], &exp_plain, policy[i]->name, NULL, NULL);
}
