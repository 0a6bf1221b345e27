/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone.h - the built-in Azure zone: a generator fitted to published data,
 * and the importers that turn that data into the neutral formats.
 */
#ifndef KM_PLACE_ZONE_H
#define KM_PLACE_ZONE_H

#include "lib/diag.h"
#include "place/inventory.h"
#include "place/trace.h"

#define KM_ZONE_SERVERS_MAX 1000000
#define KM_ZONE_CREATES_MAX 100000000
#define KM_ZONE_INITIAL_MAX 2000000
#define KM_ZONE_TYPES_MAX 1000000

/* How finely requests are told apart; see Documentation/formats.md. */
enum km_zone_level {
	KM_LEVEL_SHAPE, /* cores, memory, priority: about 130 types */
	KM_LEVEL_BATCH, /* and the size class of the batch: about 470 */
	KM_LEVEL_VMTYPE, /* and a VM type drawn among those of that shape: about 1,340 */
};

struct km_zone_cfg {
	uint64_t seed; /* of everything: fleet, VMs, times */
	uint32_t server_nr; /* 100,000 */
	uint64_t create_nr; /* creates at at_us >= 0; deletes of them and of initial VMs come on top */
	enum km_zone_level level;
	uint32_t type_nr; /* 0 = as the level gives; else scale the number of types to about this */
	double fill; /* share of the fleet's cpu in use at the start, 0..0.95 */
	bool batches; /* rows of one tenant and second form an all-or-nothing batch */
};

/**
 * km_zone_generate() - a trace and the fleet that it fits on, from numbers alone.
 *
 * Same cfg, same bytes on every machine. The initial VMs are events with
 * at_us < 0, the largest first; where they stand is the placement's choice. They
 * are 2 million at most: for a fill that needs more, only larger VMs are drawn.
 *
 * Return: 0; -EINVAL for a cfg out of bounds; -ENOMEM.
 */
int km_zone_generate(const struct km_zone_cfg *cfg, struct km_trace **trace,
		     struct km_inventory **inv) KM_MUST_CHECK;

/** km_zone_fleet() - only the fleet: @server_nr servers (1..KM_ZONE_SERVERS_MAX) of the fitted kinds. */
int km_zone_fleet(struct km_inventory **inv, uint32_t server_nr, uint64_t seed) KM_MUST_CHECK;

/**
 * km_zone_save() - write a trace and its fleet, or neither of them.
 *
 * Both are whole on the disk before the first takes its path. Not promised: that a
 * second rename cannot fail, or be cut off, behind the first.
 *
 * Return: 0; -EINVAL when both paths are one file; -errno.
 */
int km_zone_save(const struct km_trace *trace, const char *trace_path,
		 const struct km_inventory *inv, const char *inv_path,
		 struct km_diag *diag) KM_MUST_CHECK;

/** km_zone_same_file() - whether two paths to write to lead to one file, there or not yet. */
bool km_zone_same_file(const char *a, const char *b);

/**
 * km_import_azure_csv() - the sample of the 2020 packing trace (Documentation/formats.md).
 * @dir: folder with vm-batched-union.csv.gz; or that file itself.
 * @seed: which VM type a tenant asks for with a shape (KM_LEVEL_VMTYPE).
 * @create_nr_max: stop behind so many creates of at_us >= 0, or at the end of the
 *	batch that holds the last of them; 0 = all of the 14 days. Deletes up to then stay.
 */
int km_import_azure_csv(struct km_trace **out, const char *dir, enum km_zone_level level,
			bool batches, uint64_t seed, uint64_t create_nr_max,
			struct km_diag *diag) KM_MUST_CHECK;

/** km_import_azure_sqlite() - the published file (tables vm and vmType). */
int km_import_azure_sqlite(struct km_trace **out, const char *path, enum km_zone_level level,
			   bool batches, uint64_t seed, uint64_t create_nr_max,
			   struct km_diag *diag) KM_MUST_CHECK;

#endif
