/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/rules_world.c - a fleet to evaluate rules over, without the hours of a zone's day.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snap.h"
#include "perf/rules_internal.h"

#define EVENT_NR 1000 /* requests of the zone, to choose a type from */
#define HUGE_BYTES (UINT64_C(2) << 20)

uint64_t rules_world_bytes(uint64_t server_nr)
{
	/* inventory, store with its VMs, agent, our columns; twice all objects of a type */
	return server_nr * (100 + 150 + 100 + 60 + 2 * 40) + (256ull << 20);
}

static void *zalloc(uint64_t bytes)
{
	const uint64_t whole = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	void *memory = aligned_alloc(HUGE_BYTES, whole);

	if (memory)
		memset(memory, 0, whole);
	return memory;
}

/* ---- the store's VMs ---------------------------------------------------------- */

static struct km_store_vm vm_on(const struct rules_world *world, uint32_t server)
{
	struct km_store_vm vm = { .vm = world->first_vm + server, .server = server };
	uint32_t i;

	for (i = 0; i < KM_RES_NR; i++)
		vm.res[i] = world->inv->total[i][server] / 2;
	for (i = 0; i < KM_SPREADS_MAX; i++)
		vm.group[i] = KM_GROUP_NONE;
	return vm;
}

bool rules_world_toggle(struct rules_world *world, uint32_t server)
{
	const struct km_store_vm vm = vm_on(world, server);

	if (km_store_memory.delete(world->store, vm.vm))
		return true;
	return km_store_memory.commit(world->store, &vm, 1, NULL) == KM_COMMIT_DONE;
}

static int fill_store(struct rules_world *world)
{
	uint32_t s;

	for (s = 0; s < world->server_nr; s++)
		if (km_rand_below(&world->rand, 5) < 3 && !rules_world_toggle(world, s))
			return -EIO;
	return 0;
}

/* ---- the type ------------------------------------------------------------------- */

static bool value_is_known(const struct km_bound_rule *br, const uint32_t *trait)
{
	const uint32_t value = trait[br->trait];

	return value && value < br->value_nr && br->value_to[value] != KM_DICT_NONE;
}

/* A rule that does not apply, or a trait without a value, only fills its object. */
static bool reads_columns(const struct km_bound_rule *br, const uint32_t *trait)
{
	if (br->kind == KM_RULE_MATCH || br->kind == KM_RULE_TABLE)
		return value_is_known(br, trait);
	if (!br->conditional)
		return true;
	return br->cond_value == KM_DICT_NONE ? trait[br->cond_trait] != 0
					      : trait[br->cond_trait] == br->cond_value;
}

/* That of the zone's requests to which most rules apply. */
static void choose_type(struct rules_world *world)
{
	uint32_t trait[KM_TRAITS_MAX], best = 0, nr, r;
	uint64_t i;

	for (i = world->trace->initial_nr; i < world->trace->event_nr; i++) {
		if (world->trace->event[i].op != KM_OP_CREATE)
			continue;
		km_place_fill_traits(world->place, &world->trace->event[i], trait);
		for (r = 0, nr = 0; r < world->bound->rule_nr; r++)
			nr += reads_columns(&world->bound->rule[r], trait);
		if (nr <= best)
			continue;
		best = nr;
		memcpy(world->type.trait, trait, sizeof(trait));
	}
}

/* ---- columns --------------------------------------------------------------------- */

static int open_totals(struct rules_world *world)
{
	const uint64_t n = world->column_nr;
	uint64_t s;
	uint32_t i;

	for (i = 0; i < KM_RES_NR; i++) {
		int32_t *total = world->own[i] = zalloc(n * sizeof(*total));
		float *inv = world->own[KM_RES_NR + i] = zalloc(n * sizeof(*inv));

		if (!total || !inv)
			return -ENOMEM;
		for (s = 0; s < world->server_nr; s++) {
			total[s] = world->inv->total[i][s];
			inv[s] = total[s] ? 1.0f / (float)total[s] : 0;
		}
		world->cols.total[i] = total;
		world->cols.inv_total[i] = inv;
	}
	return 0;
}

static int open_columns(struct rules_world *world)
{
	const uint64_t n = world->column_nr;
	struct km_columns *cols = &world->cols;
	uint64_t s;
	uint32_t i;

	for (i = 0; i < KM_RES_NR; i++) {
		cols->free[i] = zalloc(n * sizeof(*cols->free[i]));
		if (!cols->free[i])
			return -ENOMEM;
		for (s = world->server_nr; s < n; s++)
			cols->free[i][s] = -1;
	}
	/* Aligned copies, as an agent has them. */
	for (i = 0; i < world->bound->col_nr; i++) {
		const struct km_label_col *col = &world->bound->col[i];

		world->set[i] = zalloc(n * col->width);
		if (!world->set[i])
			return -ENOMEM;
		memcpy(world->set[i], col->set, n * col->width);
		cols->set[i] = world->set[i];
	}
	cols->vm_nr = zalloc(n * sizeof(*cols->vm_nr));
	cols->healthy = zalloc(n);
	world->scratch = zalloc(world->bound->scratch_bytes + 1);
	if (!cols->vm_nr || !cols->healthy || !world->scratch)
		return -ENOMEM;
	km_store_memory.copy_state(world->store, cols->free, cols->vm_nr, cols->healthy);
	return open_totals(world);
}

static void add_column(struct rules_io *io, const void *col, uint64_t bytes)
{
	io->col[io->col_nr] = col;
	io->col_bytes[io->col_nr++] = bytes;
	io->read_bytes += bytes;
}

void rules_world_io(const struct rules_world *world, uint32_t rule_idx, struct rules_io *io)
{
	const struct km_bound_rule *br = &world->bound->rule[rule_idx];
	const struct km_columns *cols = &world->cols;
	const uint64_t n = world->column_nr;

	memset(io, 0, sizeof(*io));
	io->write_bytes = br->validator ? n / 8 : n;
	if (!reads_columns(br, world->type.trait))
		return;
	switch (br->kind) {
	case KM_RULE_HEALTHY:
		add_column(io, cols->healthy, n);
		break;
	case KM_RULE_NONEMPTY:
		add_column(io, cols->vm_nr, 4 * n);
		break;
	case KM_RULE_BALANCE:
		add_column(io, cols->free[KM_RES_CPU], 4 * n);
		add_column(io, cols->inv_total[KM_RES_CPU], 4 * n);
		add_column(io, cols->free[KM_RES_MEMORY], 4 * n);
		add_column(io, cols->inv_total[KM_RES_MEMORY], 4 * n);
		break;
	case KM_RULE_FITS:
	case KM_RULE_HEADROOM:
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		add_column(io, cols->free[br->res], 4 * n);
		if (br->kind == KM_RULE_HEADROOM)
			add_column(io, cols->total[br->res], 4 * n);
		else if (br->kind != KM_RULE_FITS)
			add_column(io, cols->inv_total[br->res], 4 * n);
		break;
	default:
		add_column(io, cols->set[br->col_idx], world->bound->col[br->col_idx].width * n);
	}
}

/* ---- the agent's objects ----------------------------------------------------------- */

uint64_t rules_world_sync(struct rules_world *world)
{
	uint64_t rev;

	km_snap_quiesce();
	km_snap_enter();
	rev = world->w->ops->sync(world->wa);
	km_snap_leave();
	return rev;
}

void rules_world_evaluate(struct rules_world *world, void *const *slot, void *top)
{
	uint32_t r;

	for (r = 0; r < world->w->rule_nr; r++)
		world->w->ops->rule_eval(world->wa, r, &world->type, slot[r]);
	world->w->ops->top_build(world->wa, &world->type, slot, top);
}

static int open_slots(struct rules_world *world)
{
	const struct km_workload *w = world->w;
	uint32_t r;

	for (r = 0; r < w->rule_nr; r++) {
		world->slot[r] = zalloc(w->class_bytes[w->ops->rule_class(w->workload, r)]);
		if (!world->slot[r])
			return -ENOMEM;
	}
	world->top = zalloc(w->class_bytes[w->ops->top_class(w->workload)]);
	return world->top ? 0 : -ENOMEM;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int open_place(struct rules_world *world, uint64_t seed, struct km_diag *diag)
{
	const struct km_trace_schema *schema = &world->trace->schema;
	struct km_store_cfg store = { .inv = world->inv, .rules = world->rules };
	struct km_place_cfg cfg = { .inv = world->inv,
				    .schema = schema,
				    .rules = world->rules,
				    .store_ops = &km_store_memory,
				    .agent_nr = 1,
				    .seed = seed };
	int err;

	world->first_vm = km_dict_nr(schema->vms);
	store.vm_cap = world->first_vm + world->server_nr;
	err = km_store_memory.open(&world->store, &store, diag);
	if (err)
		return err;
	cfg.store = world->store;
	err = fill_store(world);
	if (!err)
		err = km_place_create(&world->place, &cfg, diag);
	if (err)
		return err;
	world->w = km_place_workload(world->place);
	return world->w->ops->agent_create(world->w->workload, 0, NULL, &world->wa);
}

int rules_world_open(struct rules_world *world, uint32_t server_nr, uint64_t seed,
		     struct km_diag *diag)
{
	const struct km_zone_cfg zone = { .seed = seed,
					  .server_nr = server_nr,
					  .create_nr = EVENT_NR,
					  .level = KM_LEVEL_VMTYPE };
	int err;

	memset(world, 0, sizeof(*world));
	world->server_nr = server_nr;
	world->column_nr = KM_COLUMN_NR(server_nr);
	km_rand_init(&world->rand, seed);
	err = km_zone_generate(&zone, &world->trace, &world->inv);
	if (!err)
		err = km_ruleset_default(&world->rules, &world->trace->schema, world->inv);
	if (!err)
		err = open_place(world, seed, diag);
	if (!err)
		err = km_bound_create(&world->bound, world->rules, &world->trace->schema,
				      world->inv, diag);
	if (err)
		return err;
	choose_type(world);
	err = open_columns(world);
	return err ? err : open_slots(world);
}

void rules_world_close(struct rules_world *world)
{
	uint32_t i;

	for (i = 0; i < KM_RULES_MAX; i++)
		free(world->slot[i]);
	free(world->top);
	for (i = 0; i < KM_RES_NR; i++)
		free(world->cols.free[i]);
	for (i = 0; i < KM_ARRAY_NR(world->own); i++)
		free(world->own[i]);
	for (i = 0; i < KM_ARRAY_NR(world->set); i++)
		free(world->set[i]);
	free(world->cols.vm_nr);
	free(world->cols.healthy);
	free(world->scratch);
	if (world->wa)
		world->w->ops->agent_destroy(world->wa);
	km_place_destroy(world->place);
	km_store_memory.close(world->store);
	km_bound_destroy(world->bound);
	km_ruleset_destroy(world->rules);
	km_trace_destroy(world->trace);
	km_inventory_destroy(world->inv);
	km_snap_drain();
}
