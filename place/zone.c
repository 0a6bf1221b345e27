/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone.c - what the zone's generator and its importers share: columns,
 * levels, the order of creates and deletes.
 */
#include "place/zone_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/rand.h"
#include "place/csv.h"

static const char *const column_name[] = {
	[ZONE_SHAPE] = "shape",	  [ZONE_PRIORITY] = "priority", [ZONE_SIZE] = "size",
	[ZONE_SPREAD] = "spread", [ZONE_VMTYPE] = "vmtype",	[ZONE_VARIANT] = "variant",
};

int zone_trace_create(struct km_trace **out, enum km_zone_level level, bool with_variant)
{
	const char *names[KM_ARRAY_NR(column_name)];
	uint32_t nr = level == KM_LEVEL_SHAPE	? ZONE_SIZE
		      : level == KM_LEVEL_BATCH ? ZONE_VMTYPE
						: ZONE_VARIANT;

	memcpy(names, column_name, nr * sizeof(*names));
	if (with_variant)
		names[nr++] = column_name[ZONE_VARIANT];
	return km_trace_create(out, nr, names);
}

static int compare_shape(const struct zone_vmtype *row, uint32_t cores, uint32_t ram)
{
	if (row->cores != cores)
		return row->cores < cores ? -1 : 1;
	return row->ram == ram ? 0 : row->ram < ram ? -1 : 1;
}

uint32_t zone_vmtypes_of(uint32_t cores, uint32_t ram, uint32_t *first)
{
	uint32_t low = 0, high = zone_vmtype_nr, mid, nr;

	while (low < high) {
		mid = (low + high) / 2;
		if (compare_shape(&zone_vmtype[mid], cores, ram) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*first = low;
	for (nr = 0; low + nr < zone_vmtype_nr; nr++)
		if (compare_shape(&zone_vmtype[low + nr], cores, ram))
			break;
	return nr;
}

bool zone_vm_set_shape(struct zone_vm *vm, uint32_t cores, uint32_t ram)
{
	const struct zone_kind *kind = &zone_kind[0];
	uint32_t first, nr = zone_vmtypes_of(cores, ram, &first);

	if (nr)
		kind = &zone_kind[__builtin_ctz(zone_vmtype[first].kinds)];
	vm->cores = cores;
	vm->ram = ram;
	vm->cpu_unit = kind->cpu_unit;
	vm->memory_unit = kind->memory_unit;
	vm->ssd = vm->nic = 0;
	vm->vmtype = -1;
	return nr;
}

void zone_vm_draw_type(struct zone_vm *vm, uint64_t seed, uint64_t tenant)
{
	uint64_t state = seed ^ (tenant * UINT64_C(0x9e3779b97f4a7c15)) ^
			 ((uint64_t)vm->cores << 48 ^ (uint64_t)vm->ram << 32);
	uint32_t first, nr = zone_vmtypes_of(vm->cores, vm->ram, &first);
	const struct zone_vmtype *row;

	if (!nr)
		return;
	km_splitmix64(&state);
	row = &zone_vmtype[first +
			   (uint32_t)(((unsigned __int128)km_splitmix64(&state) * nr) >> 64)];
	vm->vmtype = row->id;
	vm->ssd = row->ssd;
	vm->nic = row->nic;
}

uint32_t zone_size_class(uint32_t size)
{
	return 31 - (uint32_t)__builtin_clz(size);
}

int zone_intern(struct km_dict *dict, char prefix, uint64_t number, uint32_t *id)
{
	char text[24], *at = text + sizeof(text);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	if (prefix)
		*--at = prefix;
	return km_dict_intern(dict, at, (size_t)(text + sizeof(text) - at), id, NULL);
}

/*
 * Constructed: the data says nothing of anti-affinity. A function of priority
 * and size class, so that it makes no type of its own: batches of high priority
 * keep apart, small ones over racks, middling ones over servers; what is larger
 * would not find enough of either.
 */
static const char *spread_of(uint32_t priority, uint32_t cls)
{
	if (priority || cls < 1 || cls > 5)
		return "";
	return cls <= 2 ? "rack" : "server";
}

static int set_trait(struct km_trace *trace, struct km_event *event, enum zone_column column,
		     const char *text)
{
	uint32_t id;
	int err;

	event->trait[column] = 0;
	if (!*text)
		return 0;
	err = km_dict_intern(trace->schema.values[column], text, strlen(text), &id, NULL);
	if (!err)
		event->trait[column] = id + 1;
	return err;
}

int zone_fill(struct km_trace *trace, struct km_event *event, enum km_zone_level level,
	      const struct zone_vm *vm)
{
	char text[32];
	int err;

	event->res[KM_RES_CPU] = (int32_t)vm->cores * vm->cpu_unit;
	event->res[KM_RES_MEMORY] = (int32_t)vm->ram * vm->memory_unit;
	snprintf(text, sizeof(text), "%u/%u", vm->cores, vm->ram);
	err = set_trait(trace, event, ZONE_SHAPE, text);
	if (!err)
		err = set_trait(trace, event, ZONE_PRIORITY, vm->priority ? "low" : "high");
	if (err || level == KM_LEVEL_SHAPE)
		return err;
	if (vm->cls)
		snprintf(text, sizeof(text), "%u-%u", 1u << vm->cls, (2u << vm->cls) - 1);
	else
		snprintf(text, sizeof(text), "1");
	err = set_trait(trace, event, ZONE_SIZE, text);
	if (!err)
		err = set_trait(trace, event, ZONE_SPREAD, spread_of(vm->priority, vm->cls));
	if (err || level == KM_LEVEL_BATCH)
		return err;
	event->res[KM_RES_SSD] = vm->ssd;
	event->res[KM_RES_NIC] = vm->nic;
	snprintf(text, sizeof(text), "%d", vm->vmtype);
	return set_trait(trace, event, ZONE_VMTYPE, vm->vmtype < 0 ? "" : text);
}

/* ---- deletes among creates ------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct zone_end *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	return (x->vm > y->vm) - (x->vm < y->vm);
}

static void set_delete(struct km_event *event, const struct zone_end *end)
{
	memset(event, 0, sizeof(*event));
	event->at_us = end->at_us;
	event->op = KM_OP_DELETE;
	event->vm = end->vm;
	event->tenant = KM_DICT_NONE;
	event->batch = KM_DICT_NONE;
}

int zone_merge_ends(struct km_trace *trace, struct zone_end *end, uint64_t end_nr, int64_t last_us)
{
	uint64_t create_nr = trace->event_nr, nr = 0, i;
	struct km_event *event;

	for (i = 0; i < end_nr; i++)
		if (end[i].at_us <= last_us) {
			trace->initial_nr += end[i].at_us < 0;
			end[nr++] = end[i];
		}
	if (!nr)
		return 0;
	qsort(end, nr, sizeof(*end), by_time);
	event = realloc(trace->event, (create_nr + nr) * sizeof(*event));
	if (!event)
		return -ENOMEM;
	trace->event = event;
	trace->event_nr = trace->event_cap = create_nr + nr;
	/* From the back, in place: what is written was read before. */
	for (i = trace->event_nr; nr;) {
		if (create_nr && event[create_nr - 1].at_us >= end[nr - 1].at_us)
			event[--i] = event[--create_nr];
		else
			set_delete(&event[--i], &end[--nr]);
	}
	return 0;
}

/* ---- both files ------------------------------------------------------------ */

/* The folder and the name of a file that may not be there yet. */
static bool stat_folder(const char *path, struct stat *st, const char **name)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int err;

	*name = slash ? slash + 1 : path;
	if (!slash)
		return !stat(".", st);
	folder = strndup(path, (size_t)(slash - path) + 1);
	err = folder ? stat(folder, st) : -1;
	free(folder);
	return !err;
}

bool km_zone_same_file(const char *a, const char *b)
{
	const char *a_name, *b_name;
	struct stat x, y;

	if (!stat(a, &x) && !stat(b, &y))
		return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
	if (!strcmp(a, b))
		return true;
	return stat_folder(a, &x, &a_name) && stat_folder(b, &y, &b_name) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino && !strcmp(a_name, b_name);
}

int km_zone_save(const struct km_trace *trace, const char *trace_path,
		 const struct km_inventory *inv, const char *inv_path, struct km_diag *diag)
{
	struct km_csv_writer *first, *second;
	int err;

	if (km_zone_same_file(trace_path, inv_path))
		return km_diag_set(diag, -EINVAL, inv_path, 0, 0,
				   "the trace and its inventory cannot be the same file");
	err = km_trace_write(&first, trace, trace_path, diag);
	if (err)
		return err;
	err = km_inventory_write(&second, inv, inv_path, diag);
	if (err) {
		km_csv_abandon(first);
		return err;
	}
	err = km_csv_commit(first, diag);
	if (err) {
		km_csv_abandon(second);
		return err;
	}
	return km_csv_commit(second, diag);
}
