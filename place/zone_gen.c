/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone_gen.c - a trace from the fitted numbers.
 *
 * Batches arrive one after another. A batch is of a tenant that came before
 * (same VM type, mostly the same size), or of a new tenant: then its type and
 * size class follow one of the last 64 batches, or are drawn afresh. All VMs of
 * a batch come at one time and most end together. Integer arithmetic
 * throughout, but for a few single operations on doubles, which are exact to
 * the last bit everywhere: same seed, same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rand.h"
#include "place/zone_internal.h"

#define HISTORY_NR 131072 /* batches; the longest fitted lag is 126,330 */
#define CELL_CAP 2048 /* (type, size class); 138 types x 9 classes */
#define CANDIDATES_MAX 8 /* VM types of one shape */
#define KIND_FILL_MAX 0.97 /* of cpu, memory, ssd and nic of one machine kind */
#define REJECTS_MAX 1000 /* draws in a row that find no room: then the fleet is full */
#define GAP_SHIFT 8 /* mean gaps are in 1/256 us */

/* One (type, size class) and its weight. */
struct cell {
	uint16_t type, cls;
	uint64_t fresh_upto, initial_upto; /* cumulative batches */
	int64_t cpu; /* of one VM, in thousandths */
	uint32_t variant_nr; /* types that differ in the variant alone */
};

struct past {
	uint64_t tenant;
	uint32_t cell;
};

struct gen {
	const struct km_zone_cfg *cfg;
	struct km_rand rand;
	struct km_trace *trace;
	uint32_t cell_nr;
	struct cell cell[CELL_CAP];
	uint64_t class_first[ZONE_CLASS_NR], class_batches[ZONE_CLASS_NR];
	uint64_t batch_nr; /* so far */
	struct past past[HISTORY_NR]; /* batch i at i % HISTORY_NR */
	uint64_t tenant_nr, vm_nr, batch_name_nr;
	bool has_variants;
	struct zone_end *end;
	uint64_t end_nr, end_cap;
	int64_t at_us;
	uint64_t gap_mean; /* between batches, at the mean hour, in 1/256 us */
	uint64_t hour_sum;
};

static const struct zone_type *type_of(const struct gen *gen, uint32_t cell)
{
	return &zone_type[gen->cell[cell].type];
}

/* ---- what there is to draw from ------------------------------------------- */

static uint32_t types_of_cell(const struct zone_type *type, enum km_zone_level level)
{
	uint32_t first;

	return level == KM_LEVEL_VMTYPE ? zone_vmtypes_of(type->cores, type->ram, &first) : 1;
}

struct ranked {
	uint64_t weight;
	uint16_t type, cls;
};

static int by_weight(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return x->type != y->type ? x->type - y->type : x->cls - y->cls;
}

/* All cells that hold a batch, the heaviest first. At level shape a type stays whole. */
static uint32_t rank_cells(struct ranked *ranked, enum km_zone_level level)
{
	uint32_t nr = 0, t, c;

	for (t = 0; t < zone_type_nr; t++) {
		uint64_t whole = 0;

		for (c = 0; c < ZONE_CLASS_NR; c++)
			whole += zone_type[t].fresh[c];
		for (c = 0; c < ZONE_CLASS_NR; c++) {
			if (!zone_type[t].fresh[c] && !zone_type[t].initial[c])
				continue;
			ranked[nr].weight = level == KM_LEVEL_SHAPE ? whole : zone_type[t].fresh[c];
			ranked[nr].type = (uint16_t)t;
			ranked[nr++].cls = (uint16_t)c;
		}
	}
	qsort(ranked, nr, sizeof(*ranked), by_weight);
	return nr;
}

/* @more types on top: cells are cut finer by weight, so that new types are not all rare. */
static void add_variants(struct gen *gen, uint64_t more)
{
	uint64_t all = gen->cell[gen->cell_nr - 1].fresh_upto, before = 0;
	uint32_t i;

	gen->has_variants = true;
	for (i = 0; i < gen->cell_nr; i++) {
		struct cell *cell = &gen->cell[i];
		uint32_t types = types_of_cell(&zone_type[cell->type], gen->cfg->level);

		cell->variant_nr += (uint32_t)((cell->fresh_upto - before) * more / all / types);
		before = cell->fresh_upto;
	}
}

/* The cells to draw from: all, or the heaviest that make about cfg->type_nr types. */
static void choose_cells(struct gen *gen)
{
	struct ranked ranked[CELL_CAP];
	enum km_zone_level level = gen->cfg->level;
	uint32_t nr = rank_cells(ranked, level), types = 0, i, limit = gen->cfg->type_nr;
	uint64_t fresh = 0, initial = 0;
	struct zone_vm vm;

	for (i = 0; i < nr; i++) {
		const struct zone_type *type = &zone_type[ranked[i].type];
		bool same_type = i && ranked[i - 1].type == ranked[i].type;

		if (ranked[i].weight && !(level == KM_LEVEL_SHAPE && same_type)) {
			if (limit && types >= limit)
				break;
			types += types_of_cell(type, level);
		}
		if (limit && types >= limit && !ranked[i].weight)
			break; /* only initial VMs have it */
		fresh += type->fresh[ranked[i].cls];
		initial += type->initial[ranked[i].cls];
		zone_vm_set_shape(&vm, type->cores, type->ram);
		gen->cell[gen->cell_nr++] = (struct cell){
			ranked[i].type,
			ranked[i].cls,
			fresh,
			initial,
			(int64_t)vm.cores * vm.cpu_unit,
			1,
		};
	}
	if (limit > types)
		add_variants(gen, limit - types);
}

static void sum_sizes(struct gen *gen)
{
	uint32_t i, cls;

	for (i = 0; i < zone_size_nr; i++) {
		cls = zone_size_class(zone_size[i].size);
		if (!gen->class_batches[cls])
			gen->class_first[cls] = i;
		gen->class_batches[cls] += zone_size[i].batches;
	}
}

/* A fleet of as many servers as the sample fills, filled wholly, has the sample's rate. */
static void set_rate(struct gen *gen)
{
	double fill = gen->cfg->fill > 0.05 ? gen->cfg->fill : 0.05;
	double gap_us = (double)zone_params.window_s * 1e6 / (double)zone_params.batch_nr;
	uint32_t h;

	gap_us = gap_us * (double)zone_params.server_nr / ((double)gen->cfg->server_nr * fill);
	gen->gap_mean = (uint64_t)(gap_us * (1 << GAP_SHIFT)) + 1;
	for (h = 0; h < 24; h++)
		gen->hour_sum += zone_hour[h];
}

/* ---- draws ----------------------------------------------------------------- */

/* Linear between quantiles; ZONE_NEVER where the upper one is. @u: 32 random bits. Microseconds. */
static int64_t quantile_us(const uint32_t *table, uint32_t u)
{
	uint32_t idx = u >> 26, part = u & ((1u << 26) - 1);
	int64_t low = table[idx], high = table[idx + 1];

	if (table[idx + 1] == ZONE_NEVER)
		return INT64_MAX;
	return low * 1000000 + (int64_t)(((__int128)(high - low) * 1000000 * part) >> 26);
}

static uint32_t draw_cell(struct gen *gen, bool initial)
{
	const struct cell *cell = gen->cell, *last = &cell[gen->cell_nr - 1];
	uint64_t all = initial ? last->initial_upto : last->fresh_upto, u;
	uint32_t low = 0, high = gen->cell_nr - 1, mid;

	u = km_rand_below(&gen->rand, all);
	while (low < high) {
		mid = (low + high) / 2;
		if ((initial ? cell[mid].initial_upto : cell[mid].fresh_upto) > u)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* A cell of the same type, by the type's own batch sizes. */
static uint32_t redraw_class(struct gen *gen, uint32_t cell)
{
	uint32_t type = gen->cell[cell].type, i;
	uint64_t all = 0, u;

	for (i = 0; i < gen->cell_nr; i++)
		if (gen->cell[i].type == type)
			all += zone_type[type].fresh[gen->cell[i].cls];
	if (!all)
		return cell;
	u = km_rand_below(&gen->rand, all);
	for (i = 0; i < gen->cell_nr; i++) {
		uint64_t weight = zone_type[type].fresh[gen->cell[i].cls];

		if (gen->cell[i].type != type)
			continue;
		if (u < weight)
			return i;
		u -= weight;
	}
	return cell;
}

static uint32_t draw_size(struct gen *gen, uint32_t cls)
{
	uint64_t u;
	uint32_t i;

	if (!gen->class_batches[cls]) /* only initial batches are so large */
		return 1u << cls;
	u = km_rand_below(&gen->rand, gen->class_batches[cls]);
	for (i = (uint32_t)gen->class_first[cls]; u >= zone_size[i].batches; i++)
		u -= zone_size[i].batches;
	return zone_size[i].size;
}

static const struct past *batch_ago(const struct gen *gen, uint64_t lag)
{
	if (!lag || lag > gen->batch_nr || lag > HISTORY_NR)
		return NULL;
	return &gen->past[(gen->batch_nr - lag) % HISTORY_NR];
}

/* Type, size class and tenant of the next batch. */
static struct past draw_batch(struct gen *gen)
{
	struct past next = { .tenant = gen->tenant_nr };
	const struct past *past = NULL;
	uint32_t u = (uint32_t)km_rand_below(&gen->rand, 65536), i;
	int64_t lag;

	if (u < zone_params.repeat) {
		lag = quantile_us(zone_repeat_lag, (uint32_t)km_rand_u64(&gen->rand)) / 1000000;
		past = batch_ago(gen, (uint64_t)lag);
		if (past) {
			next = *past;
			if (km_rand_below(&gen->rand, 65536) >= zone_params.repeat_same_class)
				next.cell = redraw_class(gen, next.cell);
			return next;
		}
	}
	gen->tenant_nr++;
	u = (uint32_t)km_rand_below(&gen->rand, 65536);
	if (u < zone_params.follow) {
		for (i = 0; u >= zone_follow[i]; i++)
			u -= zone_follow[i];
		past = batch_ago(gen, i + 1);
	}
	next.cell = past ? past->cell : draw_cell(gen, false);
	return next;
}

static void step_time(struct gen *gen)
{
	uint32_t hour = (uint32_t)(gen->at_us / INT64_C(3600000000) % 24);
	uint64_t bits = km_rand_u64(&gen->rand), gap;
	uint32_t idx = (uint32_t)(bits >> 56), part = (uint32_t)(bits >> 40) & 0xffff;
	uint64_t low = zone_exp[idx], high = zone_exp[idx + 1];
	uint64_t draw = (low << 16) + (high - low) * part; /* in 2^-32 */

	gap = (uint64_t)(((unsigned __int128)gen->gap_mean * draw) >> (32 + GAP_SHIFT - 4));
	gap = gap * gen->hour_sum / (24 * (uint64_t)zone_hour[hour]); /* in 1/16 us */
	gen->at_us += (int64_t)(gap >> 4);
}

/* ---- events ---------------------------------------------------------------- */

/* The variant of a tenant, the low ones more often: density ~ v^(-1/2). */
static int set_variant(struct gen *gen, struct km_event *event, uint32_t cell, uint64_t tenant)
{
	uint64_t state = gen->cfg->seed ^ ~tenant;
	uint32_t column = gen->trace->schema.trait_nr - 1;
	double u = (double)(km_splitmix64(&state) >> 11) * 0x1.0p-53;
	uint32_t id, variant = (uint32_t)(u * u * gen->cell[cell].variant_nr);
	int err = zone_intern(gen->trace->schema.values[column], '\0', variant, &id);

	event->trait[column] = err ? 0 : id + 1;
	return err;
}

static int make_template(struct gen *gen, struct km_event *event, uint32_t cell, uint64_t tenant)
{
	const struct zone_type *type = type_of(gen, cell);
	struct zone_vm vm = { .priority = type->priority, .cls = gen->cell[cell].cls };
	uint32_t tenant_id;
	int err;

	memset(event, 0, sizeof(*event));
	event->batch = KM_DICT_NONE;
	zone_vm_set_shape(&vm, type->cores, type->ram);
	if (gen->cfg->level == KM_LEVEL_VMTYPE)
		zone_vm_draw_type(&vm, gen->cfg->seed, tenant);
	err = zone_fill(gen->trace, event, gen->cfg->level, &vm);
	if (!err && gen->has_variants)
		err = set_variant(gen, event, cell, tenant);
	if (!err)
		err = zone_intern(gen->trace->schema.tenants, 't', tenant, &tenant_id);
	event->tenant = err ? KM_DICT_NONE : tenant_id;
	return err;
}

static int add_end(struct gen *gen, int64_t at_us, uint32_t vm)
{
	struct zone_end *fresh;

	if (gen->end_nr == gen->end_cap) {
		gen->end_cap = gen->end_cap ? 2 * gen->end_cap : 4096;
		fresh = realloc(gen->end, gen->end_cap * sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		gen->end = fresh;
	}
	gen->end[gen->end_nr++] = (struct zone_end){ at_us, vm };
	return 0;
}

static const uint32_t *life_table(const struct zone_type *type, uint32_t size, bool initial)
{
	uint32_t cpu = type->cores <= 100 ? 0 : type->cores <= 400 ? 1 : 2;

	if (initial)
		return zone_rest[type->priority * 3 + cpu];
	return zone_life[(type->priority * 3 + cpu) * 3 + (size == 1 ? 0 : size < 8 ? 1 : 2)];
}

/* @size creates at gen->at_us, and their ends. */
static int add_batch(struct gen *gen, const struct km_event *template, uint32_t cell, uint32_t size,
		     bool initial)
{
	const uint32_t *table = life_table(type_of(gen, cell), size, initial);
	uint32_t common = (uint32_t)km_rand_u64(&gen->rand), i;
	struct km_event event = *template;
	int64_t life;
	int err = 0;

	event.at_us = gen->at_us;
	if (gen->cfg->batches && size > 1)
		err = zone_intern(gen->trace->schema.batches, 'b', gen->batch_name_nr++,
				  &event.batch);
	for (i = 0; !err && i < size; i++) {
		bool is_common = km_rand_below(&gen->rand, 65536) < zone_params.common_end;

		err = zone_intern(gen->trace->schema.vms, 'v', gen->vm_nr++, &event.vm);
		if (!err)
			err = km_trace_append(gen->trace, &event);
		life = quantile_us(table, is_common ? common : (uint32_t)km_rand_u64(&gen->rand));
		if (err || life == INT64_MAX)
			continue;
		/* An initial VM's time is counted from 0, not from its create. */
		err = add_end(gen, (initial ? 0 : gen->at_us) + life + 1, event.vm);
	}
	return err;
}

static int add_arrivals(struct gen *gen)
{
	uint64_t target = gen->vm_nr + gen->cfg->create_nr;
	struct km_event template;
	struct past next;
	uint32_t size;
	int err = 0;

	gen->at_us = 0;
	while (!err && gen->vm_nr < target) {
		step_time(gen);
		if (gen->at_us > KM_TRACE_AT_US_MAX / 2)
			return -EINVAL; /* a tiny fleet and very many creates */
		next = draw_batch(gen);
		gen->past[gen->batch_nr++ % HISTORY_NR] = next;
		err = make_template(gen, &template, next.cell, next.tenant);
		size = draw_size(gen, gen->cell[next.cell].cls);
		/* The last batch is cut, so that the count is as asked. */
		if (size > target - gen->vm_nr)
			size = (uint32_t)(target - gen->vm_nr);
		if (!err)
			err = add_batch(gen, &template, next.cell, size, false);
	}
	return err;
}

/* ---- the initial VMs ------------------------------------------------------- */

struct room {
	int64_t left[ZONE_KIND_NR][KM_RES_NR], all[ZONE_KIND_NR][KM_RES_NR];
	int64_t cpu;
};

struct initial {
	uint32_t cell, size;
	uint64_t tenant;
};

static void count_room(const struct km_inventory *inv, struct room *room)
{
	uint32_t label = km_inventory_label(inv, "kind"), kind_of_set[ZONE_KIND_NR + 1] = { 0 };
	uint32_t s, k, r;

	memset(room, 0, sizeof(*room));
	for (s = 1; s < km_dict_nr(inv->sets[label]); s++)
		for (k = 0; k < ZONE_KIND_NR; k++)
			if (!strcmp(km_dict_text(inv->sets[label], s), zone_kind[k].name))
				kind_of_set[s] = k;
	for (s = 0; s < inv->server_nr; s++) {
		k = kind_of_set[inv->label[label][s]];
		room->cpu += inv->total[KM_RES_CPU][s];
		for (r = 0; r < KM_RES_NR; r++)
			room->all[k][r] += inv->total[r][s];
	}
	for (k = 0; k < ZONE_KIND_NR; k++)
		for (r = 0; r < KM_RES_NR; r++)
			room->left[k][r] = (int64_t)((double)room->all[k][r] * KIND_FILL_MAX);
}

/* Bit per machine kind that may host the type. */
static uint32_t kinds_of(const struct zone_type *type, int32_t vmtype)
{
	uint32_t first, nr = zone_vmtypes_of(type->cores, type->ram, &first), kinds = 0, i;

	for (i = 0; i < nr; i++)
		if (vmtype < 0 || zone_vmtype[first + i].id == vmtype)
			kinds |= zone_vmtype[first + i].kinds;
	return kinds;
}

/* Take @size VMs' worth from the kind with the largest share of cpu left, or nothing. */
static bool take_room(struct room *room, const struct zone_vm *vm, uint32_t kinds, uint32_t size)
{
	const int64_t want[KM_RES_NR] = {
		[KM_RES_CPU] = (int64_t)vm->cores * vm->cpu_unit * size,
		[KM_RES_MEMORY] = (int64_t)vm->ram * vm->memory_unit * size,
		[KM_RES_SSD] = (int64_t)vm->ssd * size,
		[KM_RES_NIC] = (int64_t)vm->nic * size,
	};
	uint32_t best = ZONE_KIND_NR, k, r;

	for (k = 0; k < ZONE_KIND_NR; k++) {
		if (!(kinds & 1u << k) || !room->all[k][KM_RES_CPU])
			continue;
		for (r = 0; r < KM_RES_NR; r++)
			if (want[r] > room->left[k][r])
				break;
		if (r < KM_RES_NR)
			continue;
		if (best == ZONE_KIND_NR ||
		    (double)room->left[k][KM_RES_CPU] * (double)room->all[best][KM_RES_CPU] >
			    (double)room->left[best][KM_RES_CPU] * (double)room->all[k][KM_RES_CPU])
			best = k;
	}
	if (best == ZONE_KIND_NR)
		return false;
	for (r = 0; r < KM_RES_NR; r++)
		room->left[best][r] -= want[r];
	return true;
}

/* VMs that make up @cpu when only those of at least @cpu_min are drawn; 0 = there are none. */
static uint64_t vms_for(const struct gen *gen, int64_t cpu, int64_t cpu_min)
{
	uint64_t batches_before = 0;
	double vms = 0, cpus = 0;
	uint32_t i;

	for (i = 0; i < gen->cell_nr; i++) {
		/* The middle of a size class stands for its mean. */
		double nr = (double)(gen->cell[i].initial_upto - batches_before) *
			    (gen->cell[i].cls ? 1.5 * (1u << gen->cell[i].cls) : 1);

		batches_before = gen->cell[i].initial_upto;
		if (gen->cell[i].cpu < cpu_min)
			continue;
		vms += nr;
		cpus += nr * (double)gen->cell[i].cpu;
	}
	return cpus > 0 ? (uint64_t)((double)cpu * vms / cpus) : 0;
}

/* The least VM to draw, so that the limit of initial VMs holds. */
static int64_t least_cpu(const struct gen *gen, int64_t cpu)
{
	int64_t best = 0, next;
	uint32_t i;

	while (vms_for(gen, cpu, best) > KM_ZONE_INITIAL_MAX) {
		next = INT64_MAX;
		for (i = 0; i < gen->cell_nr; i++)
			if (gen->cell[i].cpu > best && gen->cell[i].cpu < next)
				next = gen->cell[i].cpu;
		if (next == INT64_MAX || !vms_for(gen, cpu, next))
			break;
		best = next;
	}
	return best;
}

struct initial_list {
	struct initial *item;
	uint64_t nr, cap;
	uint64_t vm_nr;
};

static int list_initial(struct initial_list *list, uint32_t cell, uint32_t size, uint64_t tenant)
{
	struct initial *fresh;

	if (list->nr == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 1024;
		fresh = realloc(list->item, list->cap * sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		list->item = fresh;
	}
	list->item[list->nr++] = (struct initial){ cell, size, tenant };
	list->vm_nr += size;
	return 0;
}

/* Draw batches until the fleet is as full as asked. */
static int draw_initial(struct gen *gen, const struct km_inventory *inv, struct initial_list *list)
{
	uint32_t rejects = 0;
	struct room room;
	int64_t cpu, cpu_min;
	int err = 0;

	count_room(inv, &room);
	cpu = (int64_t)((double)room.cpu * gen->cfg->fill);
	cpu_min = least_cpu(gen, cpu);
	while (!err && cpu > 0 && rejects < REJECTS_MAX && list->vm_nr < KM_ZONE_INITIAL_MAX) {
		uint32_t cell = draw_cell(gen, true), size = draw_size(gen, gen->cell[cell].cls);
		const struct zone_type *type = type_of(gen, cell);
		struct zone_vm vm;

		zone_vm_set_shape(&vm, type->cores, type->ram);
		if (gen->cfg->level == KM_LEVEL_VMTYPE)
			zone_vm_draw_type(&vm, gen->cfg->seed, gen->tenant_nr);
		if (size > KM_ZONE_INITIAL_MAX - list->vm_nr)
			size = (uint32_t)(KM_ZONE_INITIAL_MAX - list->vm_nr);
		rejects++;
		if (gen->cell[cell].cpu < cpu_min ||
		    !take_room(&room, &vm, kinds_of(type, vm.vmtype), size))
			continue;
		rejects = 0;
		cpu -= gen->cell[cell].cpu * size;
		err = list_initial(list, cell, size, gen->tenant_nr++);
	}
	return err;
}

/* The largest first: what needs a server to itself finds one. Within a cell by tenant. */
static int by_cell(const void *a, const void *b)
{
	const struct initial *x = a, *y = b;

	if (x->cell != y->cell)
		return x->cell < y->cell ? -1 : 1;
	return (x->tenant > y->tenant) - (x->tenant < y->tenant);
}

/* Cells in the order of the size of their VMs, as by_cell() wants: renumber them. */
static void order_cells(const struct gen *gen, uint32_t *rank)
{
	uint32_t i, j;

	for (i = 0; i < gen->cell_nr; i++) {
		rank[i] = 0;
		for (j = 0; j < gen->cell_nr; j++) {
			int64_t x = gen->cell[j].cpu, y = gen->cell[i].cpu;

			rank[i] += x > y || (x == y && j < i);
		}
	}
}

static int add_initial(struct gen *gen, const struct km_inventory *inv)
{
	uint32_t rank[CELL_CAP], back[CELL_CAP], i;
	struct initial_list list = { 0 };
	struct km_event template;
	uint64_t n;
	int err = draw_initial(gen, inv, &list);

	order_cells(gen, rank);
	for (i = 0; i < gen->cell_nr; i++)
		back[rank[i]] = i;
	for (n = 0; n < list.nr; n++)
		list.item[n].cell = rank[list.item[n].cell];
	if (list.nr)
		qsort(list.item, list.nr, sizeof(*list.item), by_cell);
	for (n = 0; !err && n < list.nr; n++) {
		const struct initial *item = &list.item[n];

		gen->at_us = -(int64_t)(list.nr - n) * 1000000;
		err = make_template(gen, &template, back[item->cell], item->tenant);
		if (!err)
			err = add_batch(gen, &template, back[item->cell], item->size, true);
	}
	free(list.item);
	return err;
}

/* ---- entry ----------------------------------------------------------------- */

static bool cfg_is_good(const struct km_zone_cfg *cfg)
{
	return cfg->server_nr && cfg->server_nr <= KM_ZONE_SERVERS_MAX &&
	       cfg->create_nr <= KM_ZONE_CREATES_MAX && cfg->type_nr <= KM_ZONE_TYPES_MAX &&
	       cfg->level <= KM_LEVEL_VMTYPE && cfg->fill >= 0 && cfg->fill <= 0.95;
}

static int generate(struct gen *gen, const struct km_inventory *inv)
{
	int err;

	choose_cells(gen);
	sum_sizes(gen);
	set_rate(gen);
	err = zone_trace_create(&gen->trace, gen->cfg->level, gen->has_variants);
	if (!err && gen->cell[gen->cell_nr - 1].initial_upto)
		err = add_initial(gen, inv);
	if (!err)
		err = add_arrivals(gen);
	if (!err)
		err = zone_merge_ends(gen->trace, gen->end, gen->end_nr, gen->at_us);
	return err;
}

int km_zone_generate(const struct km_zone_cfg *cfg, struct km_trace **trace,
		     struct km_inventory **inv)
{
	struct gen *gen;
	int err;

	if (!cfg_is_good(cfg))
		return -EINVAL;
	gen = calloc(1, sizeof(*gen));
	if (!gen)
		return -ENOMEM;
	gen->cfg = cfg;
	km_rand_init(&gen->rand, cfg->seed + 1); /* not the fleet's numbers */
	err = km_zone_fleet(inv, cfg->server_nr, cfg->seed);
	if (err)
		goto err_free_gen;
	err = generate(gen, *inv);
	if (err) {
		km_inventory_destroy(*inv);
		*inv = NULL;
		km_trace_destroy(gen->trace);
	} else {
		*trace = gen->trace;
	}
	free(gen->end);
err_free_gen:
	free(gen);
	return err;
}
