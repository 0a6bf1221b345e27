/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone_internal.h - the tables of place/zone_data.c, which scripts/fit-zone.py
 * writes; what each was fitted from: Documentation/zone.md.
 */
#ifndef KM_PLACE_ZONE_INTERNAL_H
#define KM_PLACE_ZONE_INTERNAL_H

#include <stdint.h>

#include "place/dict.h"
#include "place/zone.h"

#define ZONE_KIND_NR 30
#define ZONE_CLASS_NR 9 /* batch sizes 1, 2-3, 4-7, ... 256-511 */
#define ZONE_LIFE_NR 18 /* priority x cpu class (3) x batch group (3) */
#define ZONE_REST_NR 6 /* priority x cpu class */
#define ZONE_QUANTILE_NR 64
#define ZONE_FOLLOW_NR 64
#define ZONE_NEVER UINT32_MAX

/* A machine kind, in the order in which a VM type's size is read off. */
struct zone_kind {
	char name[4];
	uint16_t cores, ram; /* in the sample's units */
	int32_t ssd, nic; /* thousandths */
	int32_t cpu_unit, memory_unit; /* thousandths of a core and GB in one of its units */
	uint16_t share; /* of the fleet's servers, in 1/10000; 0 = not in the fleet */
	uint8_t generation; /* ours: 1 old .. 3 new; 0 = not in the fleet */
};

struct zone_vmtype {
	uint16_t cores, ram, id;
	int32_t ssd, nic; /* thousandths */
	uint32_t kinds; /* bit k: runs on zone_kind[k] */
};

/* (cores, ram, priority), and how many batches of each size class; priority 0 is high. */
struct zone_type {
	uint16_t cores, ram;
	uint8_t priority;
	uint32_t fresh[ZONE_CLASS_NR], initial[ZONE_CLASS_NR];
};

struct zone_size {
	uint32_t size, batches;
};

struct zone_params {
	uint32_t batch_nr; /* of the window */
	uint32_t repeat; /* share of batches whose tenant came before; in 1/65536 */
	uint32_t repeat_same_class; /* of those, with the same size class */
	uint32_t follow; /* sum of zone_follow[] */
	uint32_t common_end; /* share of a batch's VMs that end in one minute */
	uint32_t window_s;
	uint32_t server_nr; /* that the VMs alive at the start need, filled to the brim */
};

extern const struct zone_kind zone_kind[ZONE_KIND_NR];
extern const struct zone_vmtype zone_vmtype[]; /* sorted by cores, ram, id */
extern const uint32_t zone_vmtype_nr;
extern const struct zone_type zone_type[]; /* sorted by cores, ram, priority */
extern const uint32_t zone_type_nr;
extern const struct zone_size zone_size[];
extern const uint32_t zone_size_nr;
/* Seconds at quantiles 0, 1/64, ... 63/64 and 99.9 %; of new VMs, and left of initial ones. */
extern const uint32_t zone_life[ZONE_LIFE_NR][ZONE_QUANTILE_NR + 1];
extern const uint32_t zone_rest[ZONE_REST_NR][ZONE_QUANTILE_NR + 1];
extern const uint32_t zone_hour[24]; /* batches of each hour of the day */
extern const uint32_t zone_repeat_lag[ZONE_QUANTILE_NR + 1]; /* batches */
extern const uint32_t zone_follow[ZONE_FOLLOW_NR]; /* as that of 1 + i batches ago; 1/65536 */
extern const uint32_t zone_exp[257]; /* unit exponential at 0, 1/256, ...; 1/65536 */
extern const struct zone_params zone_params;

/* The columns that importers and generator share, in the order of the trace. */
enum zone_column { ZONE_SHAPE, ZONE_PRIORITY, ZONE_SIZE, ZONE_SPREAD, ZONE_VMTYPE, ZONE_VARIANT };

/** zone_trace_create() - an empty trace with the columns of @level. */
int zone_trace_create(struct km_trace **out, enum km_zone_level level,
		      bool with_variant) KM_MUST_CHECK;

/** zone_size_class() - floor(log2(@size)): 0 for one VM, 1 for 2 and 3, ... */
uint32_t zone_size_class(uint32_t size);

/* What one VM asks for. */
struct zone_vm {
	uint32_t cores, ram; /* in the sample's units: its shape */
	int32_t cpu_unit, memory_unit; /* thousandths of a core and GB in one */
	int32_t ssd, nic; /* thousandths; used at KM_LEVEL_VMTYPE only */
	int32_t vmtype; /* id, or -1 = not told apart */
	uint32_t priority; /* 0 high, 1 low */
	uint32_t cls; /* size class of its batch */
};

/**
 * zone_vm_set_shape() - sizes and scale of a shape, without a VM type.
 * Return: false when no VM type has that shape (then the common scale holds).
 */
bool zone_vm_set_shape(struct zone_vm *vm, uint32_t cores, uint32_t ram);

/** zone_vm_draw_type() - the VM type that @tenant asks for with this shape: always the same. */
void zone_vm_draw_type(struct zone_vm *vm, uint64_t seed, uint64_t tenant);

/** zone_fill() - set a create's resources and traits. Return: 0 or -ENOMEM. */
int zone_fill(struct km_trace *trace, struct km_event *event, enum km_zone_level level,
	      const struct zone_vm *vm) KM_MUST_CHECK;

/** zone_intern() - number a text that is a prefix and a number: "v12". */
int zone_intern(struct km_dict *dict, char prefix, uint64_t number, uint32_t *id) KM_MUST_CHECK;

/** zone_vmtypes_of() - the rows of a shape: zone_vmtype[*first] and on. Return: how many. */
uint32_t zone_vmtypes_of(uint32_t cores, uint32_t ram, uint32_t *first);

/* A VM's end, on its way into the trace. */
struct zone_end {
	int64_t at_us;
	uint32_t vm;
};

/**
 * zone_merge_ends() - weave deletes into a trace that holds creates only.
 * @end: sorted here, by time, then VM; those after @last_us are left out.
 *
 * A delete comes before the creates of its microsecond. The caller has made
 * every VM live for a microsecond at least, so a delete never precedes its create.
 */
int zone_merge_ends(struct km_trace *trace, struct zone_end *end, uint64_t end_nr,
		    int64_t last_us) KM_MUST_CHECK;

/* One VM of a published trace, as an importer read it. */
struct zone_row {
	int64_t start_us;
	int64_t end_us; /* INT64_MAX = not known, lives on */
	uint64_t tenant, vm; /* as published */
	struct zone_vm ask; /* cls is set by zone_rows_to_trace() */
};

struct zone_rows {
	struct zone_row *row;
	uint64_t nr, cap;
};

int zone_rows_add(struct zone_rows *rows, const struct zone_row *row) KM_MUST_CHECK;

/**
 * zone_rows_to_trace() - sort, cut into batches, weave in the deletes.
 * @rows: sorted here, by start, tenant, VM.
 * @level, @batches, @seed, @create_nr_max: as for km_import_azure_csv(). At
 *	KM_LEVEL_VMTYPE a VM without a VM type is given one.
 *
 * A batch is what one tenant starts in one second.
 */
int zone_rows_to_trace(struct km_trace **out, struct zone_rows *rows, enum km_zone_level level,
		       bool batches, uint64_t seed, uint64_t create_nr_max) KM_MUST_CHECK;

#endif
