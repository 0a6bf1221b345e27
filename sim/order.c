/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/order.c - does the paper's order of policies stand on each zone?
 *
 * Only of pairs that the paper tells apart: in figure 6 the boxes (first to third
 * quartile) do not overlap, in table 3 the mean with its standard deviation does
 * not. Protean, by which the others are measured, is a box without width.
 */
#include <math.h>
#include <stdio.h>

#include "sim/experiment_internal.h"
#include "sim/paper.h"

/* More is better; what the paper gives as less is better is negated. */
struct measure {
	const char *name;
	void (*box)(const struct km_paper_policy *p, double *low, double *high);
	double (*of)(const struct km_sim_result *r);
};

static void hits_box(const struct km_paper_policy *p, double *low, double *high)
{
	*low = p->hit_pct - p->hit_pct_sd;
	*high = p->hit_pct + p->hit_pct_sd;
}

static void memory_box(const struct km_paper_policy *p, double *low, double *high)
{
	*low = -p->memory - p->memory_sd;
	*high = -p->memory + p->memory_sd;
}

static void average_box(const struct km_paper_policy *p, double *low, double *high)
{
	*low = p->average[1];
	*high = p->average[3];
}

static void p90_box(const struct km_paper_policy *p, double *low, double *high)
{
	*low = p->p90[1];
	*high = p->p90[3];
}

static double memory_of(const struct km_sim_result *r)
{
	return -r->cache_bytes_mean;
}

static double average_of(const struct km_sim_result *r)
{
	return -km_hist_mean(&r->latency);
}

static double p90_of(const struct km_sim_result *r)
{
	return -exp_p90(r);
}

static const struct measure measures[] = {
	{ "hits", hits_box, exp_hit_pct },
	{ "memory", memory_box, memory_of },
	{ "average", average_box, average_of },
	{ "p90", p90_box, p90_of },
};

/* False also where the paper gives no box. */
static bool is_above(const struct measure *m, const struct km_paper_policy *better,
		     const struct km_paper_policy *worse)
{
	double low, high, ignored;

	m->box(better, &low, &ignored);
	m->box(worse, &ignored, &high);
	return low > high;
}

static uint32_t zones_in_order(struct exp *x, const struct measure *m,
			       const struct km_policy *better, const struct km_policy *worse)
{
	uint32_t z, nr = 0;

	for (z = 0; z < x->cfg->zone_nr; z++)
		nr += m->of(exp_get(x, z, better, &exp_plain)) >
		      m->of(exp_get(x, z, worse, &exp_plain));
	return nr;
}

/* Row: the better of the two by the paper. Ours: on how many zones it is; paper: of how many. */
void exp_order(struct exp *x)
{
	const struct km_paper_policy *all = km_paper_policy;
	uint32_t m, a, b, nr, pairs = 0, held = 0;
	char column[32];

	for (m = 0; m < KM_ARRAY_NR(measures); m++)
		for (a = 0; a < KM_PAPER_POLICY_NR; a++)
			for (b = 0; b < KM_PAPER_POLICY_NR; b++) {
				if (!exp_wants(x, all[a].policy) || !exp_wants(x, all[b].policy) ||
				    !is_above(&measures[m], &all[a], &all[b]))
					continue;
				nr = zones_in_order(x, &measures[m], all[a].policy, all[b].policy);
				snprintf(column, sizeof(column), "%s_over_%s", measures[m].name,
					 all[b].policy->name);
				exp_put(x, "order", all[a].policy->name, column, nr,
					x->cfg->zone_nr);
				pairs++;
				held += nr == x->cfg->zone_nr;
			}
	exp_put(x, "order", "pairs", "on_every_zone", held, pairs);
}
