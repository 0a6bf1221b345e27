/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/place.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place/place_internal.h"

static_assert(KM_TRACE_BATCH_MAX == KM_PLACE_VMS_MAX, "a loaded batch is a request");

#define HISTORY_NR (UINT32_C(1) << 17)
#define CHOICE_NR 16
#define CHOICE_NR_MAX 4096
/*
 * From this share of the servers changed, a stretch of the inventory streams
 * faster than its changed servers are looked up (Documentation/placement.md,
 * "Update or anew"; kamino bench rules).
 */
#define UPDATE_SHARE 80
#define UPDATE_NR_MIN 64

static uint64_t sync_view(struct km_workload_agent *wa)
{
	return km_place_view_sync(wa);
}

static bool can_update(struct km_workload_agent *wa, uint64_t rev)
{
	return km_place_view_can_update(wa, rev);
}

static uint32_t rule_class(void *workload, uint32_t rule_idx)
{
	const struct km_place_ctx *place = workload;

	return place->bound->rule[rule_idx].validator ? KM_CLASS_BITMAP : KM_CLASS_BUCKETS;
}

static uint32_t top_class(void *workload)
{
	(void)workload;
	return KM_CLASS_CONS;
}

static const struct km_workload_ops place_ops = {
	.agent_create = km_place_agent_create,
	.agent_destroy = km_place_agent_destroy,
	.sync = sync_view,
	.can_update = can_update,
	.rule_class = rule_class,
	.top_class = top_class,
	.rule_eval = km_place_rule_eval,
	.rule_update = km_place_rule_update,
	.top_build = km_place_top_build,
	.top_update = km_place_top_update,
	.serve = km_place_serve,
};

static int check_cfg(struct km_place_cfg *cfg, struct km_diag *diag)
{
	if (!cfg->inv->server_nr || cfg->inv->server_nr > KM_SERVERS_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "%u servers: 1..%u are possible",
				   cfg->inv->server_nr, KM_SERVERS_MAX);
	if (!cfg->history_nr)
		cfg->history_nr = HISTORY_NR;
	if (!cfg->choice_nr)
		cfg->choice_nr = CHOICE_NR;
	if (cfg->history_nr & (cfg->history_nr - 1) || cfg->history_nr < 2)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "history of %u changes: must be a power of two",
				   cfg->history_nr);
	if (cfg->choice_nr > CHOICE_NR_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "choice among %u: at most %u",
				   cfg->choice_nr, CHOICE_NR_MAX);
	return 0;
}

static int copy_total(struct km_place_ctx *place, uint32_t r)
{
	const int32_t *total = place->cfg.inv->total[r];

	place->total[r] = calloc(place->column_nr, sizeof(*place->total[r]));
	if (!place->total[r])
		return -ENOMEM;
	memcpy(place->total[r], total, place->server_nr * sizeof(*total));
	return 0;
}

static int invert_total(struct km_place_ctx *place, uint32_t r)
{
	const int32_t *total = place->cfg.inv->total[r];
	uint32_t s;

	place->inv_total[r] = calloc(place->column_nr, sizeof(*place->inv_total[r]));
	if (!place->inv_total[r])
		return -ENOMEM;
	for (s = 0; s < place->server_nr; s++)
		place->inv_total[r][s] = total[s] > 0 ? 1.0f / (float)total[s] : 0.0f;
	return 0;
}

static int make_columns(struct km_place_ctx *place)
{
	uint32_t r;
	int err = 0;

	for (r = 0; r < KM_RES_NR && !err; r++) {
		if (place->bound->used_total >> r & 1)
			err = copy_total(place, r);
		if (!err && place->bound->used_inv >> r & 1)
			err = invert_total(place, r);
	}
	return err;
}

static void describe(struct km_place_ctx *place)
{
	const struct km_bound *bound = place->bound;
	uint32_t i;

	for (i = 0; i < bound->rule_nr; i++) {
		place->desc[i].name = bound->rule[i].rule->name;
		place->desc[i].traits = bound->rule[i].traits;
	}
	place->class_bytes[KM_CLASS_BITMAP] = (place->column_nr / 8 + 63) & ~UINT64_C(63);
	place->class_bytes[KM_CLASS_BUCKETS] = place->column_nr;
	place->class_bytes[KM_CLASS_CONS] = (km_cons_bytes(place->server_nr) + 63) & ~UINT64_C(63);
	place->workload = (struct km_workload){
		.name = "placement",
		.ops = &place_ops,
		.workload = place,
		.trait_nr = bound->trait_nr,
		.rule_nr = bound->rule_nr,
		.rules = place->desc,
		.class_nr = KM_CLASS_NR,
		.class_bytes = place->class_bytes,
		.part_nr_max = KM_PLACE_PARTS_MAX,
	};
}

static uint32_t update_nr_max(const struct km_place_ctx *place)
{
	const uint64_t share = km_max_u64(UPDATE_NR_MIN, place->server_nr / UPDATE_SHARE);

	return (uint32_t)km_min_u64(share, place->cfg.history_nr - 1);
}

int km_place_create(struct km_place_ctx **out, const struct km_place_cfg *cfg, struct km_diag *diag)
{
	struct km_place_ctx *place = calloc(1, sizeof(*place));
	int err;

	if (!place)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "no memory for the placement");
	place->cfg = *cfg;
	err = check_cfg(&place->cfg, diag);
	if (!err)
		err = km_bound_create(&place->bound, cfg->rules, cfg->schema, cfg->inv, diag);
	if (err)
		goto err_destroy;
	place->kernels = km_kernels_best();
	place->server_nr = cfg->inv->server_nr;
	place->column_nr = KM_COLUMN_NR(place->server_nr);
	place->update_nr_max = update_nr_max(place);
	err = make_columns(place);
	if (err) {
		km_ignore(km_diag_set(diag, err, NULL, 0, 0, "no memory for %u servers",
				      place->server_nr)); /* err is returned */
		goto err_destroy;
	}
	describe(place);
	*out = place;
	return 0;

err_destroy:
	km_place_destroy(place);
	return err;
}

void km_place_destroy(struct km_place_ctx *place)
{
	uint32_t r;

	if (!place)
		return;
	for (r = 0; r < KM_RES_NR; r++) {
		free(place->total[r]);
		free(place->inv_total[r]);
	}
	km_bound_destroy(place->bound);
	free(place);
}

const struct km_workload *km_place_workload(const struct km_place_ctx *place)
{
	return &place->workload;
}

void km_place_fill_traits(const struct km_place_ctx *place, const struct km_event *event,
			  uint32_t *trait)
{
	const uint32_t columns = place->bound->trait_nr - KM_RES_NR;
	uint32_t i;

	memset(trait, 0, KM_TRAITS_MAX * sizeof(*trait));
	/* Never negative in a trace; a bad event asks for what fits nowhere. */
	for (i = 0; i < KM_RES_NR; i++)
		trait[KM_TRAIT_RES(i)] = event->res[i] < 0 ? UINT32_MAX : (uint32_t)event->res[i];
	for (i = 0; i < columns; i++)
		trait[KM_TRAIT_COLUMN(i)] = event->trait[i];
}

uint32_t km_place_group(const struct km_place_ctx *place, uint32_t spread, const struct km_req *req)
{
	const struct km_place_ask *ask = req->payload;
	const struct km_bound_spread *bs;
	uint32_t value;

	if (spread >= place->bound->spread_nr)
		return KM_GROUP_NONE;
	bs = &place->bound->spread[spread];
	if (bs->conditional) {
		value = req->trait[bs->cond_trait];
		if (bs->cond_value == KM_DICT_NONE ? !value : value != bs->cond_value)
			return KM_GROUP_NONE;
	}
	switch (bs->within) {
	case KM_WITHIN_TENANT:
		return ask->tenant;
	case KM_WITHIN_BATCH:
		return ask->batch;
	default:
		value = req->trait[bs->within_trait];
		return value ? value : KM_GROUP_NONE;
	}
}
