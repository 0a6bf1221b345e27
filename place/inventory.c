/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/inventory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "place/csv.h"

#define HEALTH "health"
#define SERVER_CAP_MIN 1024

enum column { COL_SERVER, COL_CLUSTER, COL_RACK, COL_RES, COL_LABEL };

struct column_use {
	enum column what;
	uint32_t idx; /* resource or label */
};

static const char *const fixed_name[] = {
	[COL_SERVER] = "server",
	[COL_CLUSTER] = "cluster",
	[COL_RACK] = "rack",
};

struct loader {
	struct km_csv_reader *csv;
	struct km_inventory *inv;
	uint32_t server_cap;
	uint32_t column_nr;
	struct column_use column[KM_CSV_FIELDS_MAX];
	uint32_t cluster_column, rack_column; /* UINT32_MAX = absent */
};

/* The file is not at fault: its name would mislead. */
static int no_memory(struct km_diag *diag)
{
	return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
}

/* ---- memory ---------------------------------------------------------------- */

static int grow_u32(uint32_t **array, uint32_t nr, uint32_t cap)
{
	uint32_t *fresh = realloc(*array, cap * sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	memset(fresh + nr, 0, (cap - nr) * sizeof(*fresh));
	*array = fresh;
	return 0;
}

/* Room for @cap servers in every array; the new ones are zero, and healthy. */
static int inventory_grow(struct km_inventory *inv, uint32_t cap)
{
	uint32_t nr = inv->server_nr, i;
	uint8_t *healthy;
	int err;

	err = grow_u32(&inv->cluster, nr, cap);
	if (!err)
		err = grow_u32(&inv->rack, nr, cap);
	for (i = 0; !err && i < KM_RES_NR; i++)
		err = grow_u32((uint32_t **)&inv->total[i], nr, cap);
	for (i = 0; !err && i < inv->label_nr; i++)
		err = grow_u32(&inv->label[i], nr, cap);
	if (err)
		return err;
	healthy = realloc(inv->healthy, cap);
	if (!healthy)
		return -ENOMEM;
	memset(healthy + nr, 1, cap - nr);
	inv->healthy = healthy;
	return 0;
}

int km_inventory_create(struct km_inventory **out, uint32_t server_nr)
{
	struct km_inventory *inv;
	int err;

	if (!server_nr || server_nr > KM_SERVERS_MAX)
		return -EINVAL;
	inv = calloc(1, sizeof(*inv));
	if (!inv)
		return -ENOMEM;
	err = inventory_grow(inv, server_nr);
	if (!err)
		err = km_dict_create(&inv->clusters);
	if (!err)
		err = km_dict_create(&inv->racks);
	if (err) {
		km_inventory_destroy(inv);
		return err;
	}
	inv->server_nr = server_nr;
	*out = inv;
	return 0;
}

void km_inventory_destroy(struct km_inventory *inv)
{
	uint32_t i;

	if (!inv)
		return;
	for (i = 0; i < KM_RES_NR; i++)
		free(inv->total[i]);
	for (i = 0; i < inv->label_nr; i++) {
		free(inv->label_name[i]);
		free(inv->label[i]);
		km_dict_destroy(inv->sets[i]);
	}
	free(inv->cluster);
	free(inv->rack);
	free(inv->healthy);
	km_dict_destroy(inv->servers);
	km_dict_destroy(inv->clusters);
	km_dict_destroy(inv->racks);
	free(inv);
}

/* @room: servers to make room for. */
static int add_label(struct km_inventory *inv, const char *name, uint32_t room, uint32_t *idx)
{
	uint32_t i = inv->label_nr, empty;
	int err;

	if (i == KM_LABELS_MAX)
		return -ENOSPC;
	if (km_inventory_label(inv, name) != KM_DICT_NONE)
		return -EEXIST;
	inv->label[i] = calloc(room, sizeof(*inv->label[i]));
	inv->label_name[i] = strdup(name);
	err = km_dict_create(&inv->sets[i]);
	if (!err)
		err = km_dict_intern(inv->sets[i], "", 0, &empty, NULL);
	if (err || !inv->label[i] || !inv->label_name[i]) {
		km_dict_destroy(inv->sets[i]);
		free(inv->label_name[i]);
		free(inv->label[i]);
		inv->sets[i] = NULL;
		return -ENOMEM;
	}
	inv->label_nr++;
	*idx = i;
	return 0;
}

int km_inventory_add_label(struct km_inventory *inv, const char *name, uint32_t *idx)
{
	return add_label(inv, name, inv->server_nr, idx);
}

uint32_t km_inventory_label(const struct km_inventory *inv, const char *name)
{
	uint32_t i;

	for (i = 0; i < inv->label_nr; i++)
		if (!strcmp(inv->label_name[i], name))
			return i;
	return KM_DICT_NONE;
}

bool km_inventory_set_has(const struct km_inventory *inv, uint32_t idx, uint32_t set,
			  const char *text)
{
	const char *value = km_dict_text(inv->sets[idx], set);
	size_t bytes = strlen(text), part;

	for (;; value += part + 1) {
		part = strcspn(value, "|");
		if (part == bytes && part && !memcmp(value, text, bytes))
			return true;
		if (!value[part])
			return false;
	}
}

/* ---- loading --------------------------------------------------------------- */

static int take_column(struct loader *load, uint32_t idx, struct km_diag *diag)
{
	const char *name = km_csv_field(load->csv, idx)->text;
	struct column_use *use = &load->column[idx];
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(fixed_name); i++)
		if (!strcmp(name, fixed_name[i])) {
			use->what = (enum column)i;
			return 0;
		}
	for (i = 0; i < KM_RES_NR; i++)
		if (!strcmp(name, km_res_name[i])) {
			use->what = COL_RES;
			use->idx = i;
			return 0;
		}
	use->what = COL_LABEL;
	if (load->inv->label_nr == KM_LABELS_MAX)
		return km_csv_refuse(load->csv, idx, diag, "more than %d label columns",
				     KM_LABELS_MAX);
	return add_label(load->inv, name, load->server_cap, &use->idx);
}

static int read_header(struct loader *load, const char *path, struct km_diag *diag)
{
	int got = km_csv_next(load->csv, diag), err;
	bool has_server = false;
	uint32_t i;

	if (got < 0)
		return got;
	if (!got)
		return km_diag_set(diag, -EINVAL, path, 1, 0, "the file is empty; a header is due");
	err = km_csv_header(load->csv, diag);
	load->column_nr = km_csv_field_nr(load->csv);
	load->cluster_column = load->rack_column = UINT32_MAX;
	for (i = 0; !err && i < load->column_nr; i++) {
		err = take_column(load, i, diag);
		has_server |= load->column[i].what == COL_SERVER;
		if (load->column[i].what == COL_CLUSTER)
			load->cluster_column = i;
		if (load->column[i].what == COL_RACK)
			load->rack_column = i;
	}
	if (!err && !has_server)
		err = km_csv_refuse(load->csv, KM_CSV_FIELDS_MAX, diag,
				    "column 'server' is missing");
	return err;
}

static int intern(struct loader *load, uint32_t idx, struct km_dict *dict, const char *text,
		  uint32_t *id, bool *added, struct km_diag *diag)
{
	int err = km_csv_name(load->csv, idx, diag);

	if (err)
		return err;
	err = km_dict_intern(dict, text, strlen(text), id, added);
	if (err == -ENOMEM)
		return no_memory(diag);
	if (err)
		km_csv_refuse(load->csv, idx, diag, "%s", strerror(-err));
	return err;
}

/* A rack's name holds within its cluster: its dictionary has "cluster/rack". */
static int take_place(struct loader *load, struct km_diag *diag)
{
	struct km_inventory *inv = load->inv;
	uint32_t cluster = load->cluster_column, rack = load->rack_column, at = inv->server_nr;
	char both[2 * KM_CSV_TEXT_MAX + 2];
	const char *cluster_text = "", *rack_text = "";
	int err;

	if (cluster != UINT32_MAX)
		cluster_text = km_csv_field(load->csv, cluster)->text;
	if (rack != UINT32_MAX)
		rack_text = km_csv_field(load->csv, rack)->text;
	/* Field 0 stands in for an absent column: its length was checked. */
	err = intern(load, cluster == UINT32_MAX ? 0 : cluster, inv->clusters, cluster_text,
		     &inv->cluster[at], NULL, diag);
	if (err)
		return err;
	if (rack != UINT32_MAX)
		err = km_csv_name(load->csv, rack, diag); /* before it is copied */
	if (err)
		return err;
	snprintf(both, sizeof(both), "%s/%s", cluster_text, rack_text);
	return intern(load, rack == UINT32_MAX ? 0 : rack, inv->racks, both, &inv->rack[at], NULL,
		      diag);
}

static int take_label(struct loader *load, uint32_t idx, struct km_diag *diag)
{
	struct km_inventory *inv = load->inv;
	uint32_t label = load->column[idx].idx, at = inv->server_nr;
	const char *text = km_csv_field(load->csv, idx)->text;

	if (!strcmp(inv->label_name[label], HEALTH))
		inv->healthy[at] = !*text || !strcmp(text, "ok");
	return intern(load, idx, inv->sets[label], text, &inv->label[label][at], NULL, diag);
}

static int take_server(struct loader *load, uint32_t idx, struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(load->csv, idx);
	uint32_t id;
	bool added;
	int err;

	if (!field->bytes)
		return km_csv_refuse(load->csv, idx, diag, "the server has no name");
	err = intern(load, idx, load->inv->servers, field->text, &id, &added, diag);
	if (!err && !added)
		err = km_csv_refuse(load->csv, idx, diag, "server '%.40s' is there twice",
				    field->text);
	return err;
}

static int take_row(struct loader *load, struct km_diag *diag)
{
	struct km_inventory *inv = load->inv;
	uint32_t nr = km_csv_field_nr(load->csv), i;
	int err = 0;

	if (nr != load->column_nr)
		return km_csv_refuse(load->csv, nr > load->column_nr ? load->column_nr : nr, diag,
				     "%u fields where the header names %u", nr, load->column_nr);
	if (inv->server_nr == KM_SERVERS_MAX)
		return km_csv_refuse(load->csv, 0, diag, "more than %d servers", KM_SERVERS_MAX);
	if (inv->server_nr == load->server_cap) {
		err = inventory_grow(inv, load->server_cap * 2);
		load->server_cap *= 2;
		if (err)
			return no_memory(diag);
	}
	for (i = 0; !err && i < nr; i++) {
		const struct column_use *use = &load->column[i];

		if (use->what == COL_SERVER)
			err = take_server(load, i, diag);
		else if (use->what == COL_RES)
			err = km_csv_decimal(load->csv, i, &inv->total[use->idx][inv->server_nr],
					     diag);
		else if (use->what == COL_LABEL)
			err = take_label(load, i, diag);
	}
	if (!err)
		err = take_place(load, diag);
	inv->server_nr += !err;
	return err;
}

static int load_all(struct loader *load, const char *path, struct km_diag *diag)
{
	int err, got;

	err = km_dict_create(&load->inv->servers);
	if (!err)
		err = read_header(load, path, diag);
	if (err == -ENOMEM)
		km_ignore(no_memory(diag)); /* err is returned */
	if (err)
		return err;
	while ((got = km_csv_next(load->csv, diag)) > 0) {
		err = take_row(load, diag);
		if (err)
			return err;
	}
	if (!got && !load->inv->server_nr)
		return km_csv_refuse(load->csv, KM_CSV_FIELDS_MAX, diag, "no server");
	return got;
}

int km_inventory_load(struct km_inventory **out, const char *path, struct km_diag *diag)
{
	struct loader load = { .server_cap = SERVER_CAP_MIN };
	int err = km_csv_open(&load.csv, path, diag);

	if (err)
		return err;
	err = km_inventory_create(&load.inv, load.server_cap);
	if (err) {
		km_csv_close(load.csv);
		return no_memory(diag);
	}
	load.inv->server_nr = 0; /* the room stays */
	err = load_all(&load, path, diag);
	km_csv_close(load.csv);
	if (err) {
		km_inventory_destroy(load.inv);
		return err;
	}
	*out = load.inv;
	return 0;
}

/* ---- saving ---------------------------------------------------------------- */

/* The name within a dictionary that a generated inventory may have left empty. */
static const char *name_of(const struct km_dict *dict, uint32_t id)
{
	return id < km_dict_nr(dict) ? km_dict_text(dict, id) : "";
}

static void write_place(struct km_csv_writer *csv, const struct km_inventory *inv, uint32_t s)
{
	const char *cluster = name_of(inv->clusters, inv->cluster[s]);
	const char *rack = name_of(inv->racks, inv->rack[s]);
	size_t bytes = strlen(cluster);

	km_csv_text(csv, cluster);
	if (!strncmp(rack, cluster, bytes) && rack[bytes] == '/')
		rack += bytes + 1;
	km_csv_text(csv, rack);
}

static void write_server(struct km_csv_writer *csv, const struct km_inventory *inv, uint32_t s,
			 bool with_health)
{
	char text[16];
	uint32_t i;

	if (!inv->servers)
		snprintf(text, sizeof(text), "s%u", s);
	km_csv_text(csv, inv->servers ? km_dict_text(inv->servers, s) : text);
	write_place(csv, inv, s);
	for (i = 0; i < KM_RES_NR; i++)
		km_csv_thousandths(csv, inv->total[i][s]);
	for (i = 0; i < inv->label_nr; i++)
		km_csv_text(csv, km_dict_text(inv->sets[i], inv->label[i][s]));
	if (with_health)
		km_csv_text(csv, inv->healthy[s] ? "" : "down");
	km_csv_end_line(csv);
}

int km_inventory_write(struct km_csv_writer **out, const struct km_inventory *inv, const char *path,
		       struct km_diag *diag)
{
	bool with_health = false;
	struct km_csv_writer *csv;
	uint32_t i;
	int err = km_csv_create(&csv, path, diag);

	if (err)
		return err;
	if (km_inventory_label(inv, HEALTH) == KM_DICT_NONE)
		with_health = memchr(inv->healthy, 0, inv->server_nr);
	for (i = 0; i < KM_ARRAY_NR(fixed_name); i++)
		km_csv_text(csv, fixed_name[i]);
	for (i = 0; i < KM_RES_NR; i++)
		km_csv_text(csv, km_res_name[i]);
	for (i = 0; i < inv->label_nr; i++)
		km_csv_text(csv, inv->label_name[i]);
	if (with_health)
		km_csv_text(csv, HEALTH);
	km_csv_end_line(csv);
	for (i = 0; i < inv->server_nr; i++)
		write_server(csv, inv, i, with_health);
	err = km_csv_settle(csv, diag);
	if (!err)
		*out = csv;
	return err;
}

int km_inventory_save(const struct km_inventory *inv, const char *path, struct km_diag *diag)
{
	struct km_csv_writer *csv;
	int err = km_inventory_write(&csv, inv, path, diag);

	return err ? err : km_csv_commit(csv, diag);
}
