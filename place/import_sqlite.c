/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/import_sqlite.c - the Azure Trace for Packing 2020 as published: a SQLite
 * file with the tables vm and vmType. The only user of sqlite3.
 *
 * The file states fractions of machines; what a machine kind has is fitted
 * (zone_kind[]). A VM type's size is read off the first of those kinds that hosts it.
 */
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "place/zone_internal.h"

#define VMTYPES_MAX 65536
#define DAY_US 86400e6
#define SNAP_US 5000
#define VMTYPE_SQL "SELECT vmTypeId, machineId, core, memory, ssd, nic FROM vmType"
#define VM_SQL "SELECT vmId, tenantId, vmTypeId, priority, starttime, endtime FROM vm"

struct vmtype {
	struct zone_vm ask;
	uint32_t kind; /* index in zone_kind[] it was read off; ZONE_KIND_NR = none */
};

struct import {
	sqlite3 *db;
	const char *path;
	struct km_diag *diag;
	struct vmtype *vmtype; /* [VMTYPES_MAX] */
	struct zone_rows rows;
};

static int refuse(const struct import *in, uint64_t row, const char *table, const char *why)
{
	return km_diag_set(in->diag, -EINVAL, in->path, 0, 0, "table %s, row %llu: %s", table,
			   (unsigned long long)row, why);
}

static int refuse_db(const struct import *in)
{
	int code = sqlite3_errcode(in->db);

	return km_diag_set(in->diag, code == SQLITE_NOMEM ? -ENOMEM : -EINVAL, in->path, 0, 0, "%s",
			   sqlite3_errmsg(in->db));
}

static uint32_t find_kind(int64_t machine)
{
	uint32_t k;

	for (k = 0; k < ZONE_KIND_NR; k++)
		if (strtol(zone_kind[k].name, NULL, 10) == machine)
			break;
	return k;
}

/* A fraction of something; -1 when it is none. NULL counts as 0. */
static double fraction(sqlite3_stmt *stmt, int column)
{
	double value = sqlite3_column_double(stmt, column);
	int type = sqlite3_column_type(stmt, column);

	if (type == SQLITE_NULL)
		return 0;
	return (type == SQLITE_FLOAT || type == SQLITE_INTEGER) && value >= 0 && value <= 1 ? value
											    : -1;
}

static void size_vmtype(struct vmtype *type, int64_t id, uint32_t k, const double *part)
{
	const struct zone_kind *kind = &zone_kind[k];
	struct zone_vm *ask = &type->ask;

	ask->cores = (uint32_t)(part[0] * kind->cores + 0.5);
	ask->ram = (uint32_t)(part[1] * kind->ram + 0.5);
	/* Sizes are whole units; what is left out of the samples may be less than one. */
	ask->cores += part[0] > 0 && !ask->cores;
	ask->ram += part[1] > 0 && !ask->ram;
	ask->cpu_unit = kind->cpu_unit;
	ask->memory_unit = kind->memory_unit;
	ask->ssd = (int32_t)(part[2] * kind->ssd + 0.5);
	ask->nic = (int32_t)(part[3] * kind->nic + 0.5);
	ask->vmtype = (int32_t)id;
	type->kind = k;
}

static int take_vmtype(struct import *in, sqlite3_stmt *stmt, uint64_t row)
{
	int64_t id = sqlite3_column_int64(stmt, 0);
	uint32_t k = find_kind(sqlite3_column_int64(stmt, 1));
	double part[4];
	int i;

	if (id < 0 || id >= VMTYPES_MAX)
		return refuse(in, row, "vmType", "vmTypeId is out of range");
	for (i = 0; i < 4; i++) {
		part[i] = fraction(stmt, 2 + i);
		if (part[i] < 0)
			return refuse(in, row, "vmType", "a fraction is not within 0..1");
	}
	/* The first kind in the order of zone_kind[], whatever the order of the rows. */
	if (k < in->vmtype[id].kind)
		size_vmtype(&in->vmtype[id], id, k, part);
	return 0;
}

/* Days to microseconds. Return: false when that is no time. */
static bool days_to_us(sqlite3_stmt *stmt, int column, int64_t *us)
{
	double value = sqlite3_column_double(stmt, column) * DAY_US;
	int type = sqlite3_column_type(stmt, column);

	if ((type != SQLITE_FLOAT && type != SQLITE_INTEGER) ||
	    !(fabs(value) <= (double)KM_TRACE_AT_US_MAX))
		return false;
	/* Fractional days carry about 15 digits: the microsecond is not exact. */
	*us = (int64_t)(value + (value < 0 ? -0.5 : 0.5));
	return true;
}

/*
 * Starts are whole seconds, published as fractions of days that are off by up to
 * some milliseconds; a batch must not fall into two seconds.
 */
static int64_t snap_to_second(int64_t us)
{
	int64_t second = (us + (us < 0 ? -500000 : 500000)) / 1000000 * 1000000;

	return llabs(us - second) <= SNAP_US ? second : us;
}

static int take_vm(struct import *in, sqlite3_stmt *stmt, uint64_t row)
{
	int64_t vm = sqlite3_column_int64(stmt, 0), tenant = sqlite3_column_int64(stmt, 1);
	int64_t type = sqlite3_column_int64(stmt, 2), priority = sqlite3_column_int64(stmt, 3);
	struct zone_row out = { .end_us = INT64_MAX };

	if (vm < 0 || tenant < 0)
		return refuse(in, row, "vm", "vmId or tenantId is negative");
	if (type < 0 || type >= VMTYPES_MAX || in->vmtype[type].kind == ZONE_KIND_NR)
		return refuse(in, row, "vm", "its vmTypeId runs on no machine kind that is known");
	if (priority < 0 || priority > 1)
		return refuse(in, row, "vm", "priority is neither 0 nor 1");
	if (!days_to_us(stmt, 4, &out.start_us))
		return refuse(in, row, "vm", "starttime is no time in days");
	out.start_us = snap_to_second(out.start_us);
	if (sqlite3_column_type(stmt, 5) != SQLITE_NULL && !days_to_us(stmt, 5, &out.end_us))
		return refuse(in, row, "vm", "endtime is no time in days");
	out.vm = (uint64_t)vm;
	out.tenant = (uint64_t)tenant;
	out.ask = in->vmtype[type].ask;
	out.ask.priority = (uint32_t)priority;
	if (zone_rows_add(&in->rows, &out))
		return km_diag_set(in->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	return 0;
}

static int each_row(struct import *in, const char *sql,
		    int (*take)(struct import *, sqlite3_stmt *, uint64_t))
{
	sqlite3_stmt *stmt;
	uint64_t row = 0;
	int got, err = 0;

	if (sqlite3_prepare_v2(in->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return refuse_db(in);
	while (!err && (got = sqlite3_step(stmt)) == SQLITE_ROW)
		err = take(in, stmt, ++row);
	if (!err && got != SQLITE_DONE)
		err = refuse_db(in);
	sqlite3_finalize(stmt);
	return err;
}

static int read_all(struct import *in)
{
	uint32_t i;
	int err;

	in->vmtype = calloc(VMTYPES_MAX, sizeof(*in->vmtype));
	if (!in->vmtype)
		return km_diag_set(in->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	for (i = 0; i < VMTYPES_MAX; i++)
		in->vmtype[i].kind = ZONE_KIND_NR;
	err = each_row(in, VMTYPE_SQL, take_vmtype);
	if (!err)
		err = each_row(in, VM_SQL, take_vm);
	if (!err && !in->rows.nr)
		err = km_diag_set(in->diag, -EINVAL, in->path, 0, 0, "no VM");
	return err;
}

int km_import_azure_sqlite(struct km_trace **out, const char *path, enum km_zone_level level,
			   bool batches, uint64_t seed, uint64_t create_nr_max,
			   struct km_diag *diag)
{
	struct import in = { .path = path, .diag = diag };
	int err;

	if (sqlite3_open_v2(path, &in.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		err = in.db ? refuse_db(&in) : -ENOMEM;
	else
		err = read_all(&in);
	if (!err) {
		err = zone_rows_to_trace(out, &in.rows, level, batches, seed, create_nr_max);
		if (err)
			km_diag_set(diag, err, path, 0, 0, "%s", strerror(-err));
	}
	km_ignore(sqlite3_close(in.db)); /* was read only */
	free(in.vmtype);
	free(in.rows.row);
	return err;
}
