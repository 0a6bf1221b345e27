/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/experiment.c - which simulations the figures need, run once, and their cells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"
#include "sim/experiment_internal.h"

bool exp_wants(const struct exp *x, const struct km_policy *policy)
{
	uint32_t i;

	for (i = 0; i < x->cfg->policy_nr; i++)
		if (x->cfg->policy[i] == policy)
			return true;
	return !x->cfg->policy_nr;
}

const struct how exp_plain = { .agent_nr = 4, .load = 1, .cache = 1 };

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

/* What fills the caches at first is not measured: an hour, of a short day a sixth. */
static uint64_t warmup_nr(const struct km_sim_zone *zone, const struct how *how)
{
	double hours = zone->hours < 6 ? zone->hours / 6 : 1;

	return (uint64_t)(hours * 3600 * zone->rate_per_s * how->load);
}

const struct km_sim_result *exp_get(struct exp *x, uint32_t zone_idx,
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
					    .warmup_nr = warmup_nr(zone, how),
					    .seed = x->cfg->seed };
	return &x->none;
}

void exp_put(struct exp *x, const char *figure, const char *row, const char *column, double ours,
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

/* ---- running --------------------------------------------------------------- */

static const char *const figure_name[] = { "fig1",   "fig2",  "fig6",  "fig7",	 "fig8",
					   "fig9a",  "fig9b", "fig9c", "table3", "accuracy",
					   "rivals", "order", "all",   NULL };

static void (*const figures[])(struct exp *x) = {
	exp_fig1,  exp_fig2,  exp_fig6,	  exp_fig7,	exp_fig8,   exp_fig9a,
	exp_fig9b, exp_fig9c, exp_table3, exp_accuracy, exp_rivals, exp_order,
};

static int find_figure(const char *name, uint32_t *idx, struct km_diag *diag)
{
	for (*idx = 0; figure_name[*idx]; (*idx)++)
		if (!strcmp(figure_name[*idx], name))
			return 0;
	return km_no_such("experiment", name, figure_name, "; see --help", diag);
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

int km_experiment_check(const char *names, struct km_diag *diag)
{
	uint32_t wanted;

	return parse_names(names, &wanted, diag);
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
