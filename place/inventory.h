/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/inventory.h - the servers of a zone: what each has and where it stands.
 *
 * Structure of arrays, read-only once loaded; what is free lives in the store
 * and in each agent's view.
 */
#ifndef KM_PLACE_INVENTORY_H
#define KM_PLACE_INVENTORY_H

#include "lib/diag.h"
#include "place/dict.h"
#include "place/res.h"

#define KM_LABELS_MAX 16
#define KM_SERVERS_MAX 4000000

struct km_inventory {
	uint32_t server_nr;
	int32_t *total[KM_RES_NR]; /* [server_nr] each */
	uint32_t *cluster,
		*rack; /* [server_nr], numbers in the dicts below; racks are per cluster */
	uint8_t *healthy; /* [server_nr] 0 or 1; from a label column "health" (empty, "ok" = 1) */
	uint32_t label_nr;
	char *label_name[KM_LABELS_MAX];
	uint32_t *label[KM_LABELS_MAX]; /* [server_nr]: number of the server's value set */
	struct km_dict *sets[KM_LABELS_MAX]; /* value sets as written: "a|b"; set 0 is "" */
	struct km_dict *servers, *clusters; /* servers: NULL when generated: "s<number>" */
	struct km_dict *racks; /* "cluster/rack" */
};

/** km_inventory_load() - read CSV (plain or .gz) of Documentation/formats.md, or nothing. */
int km_inventory_load(struct km_inventory **out, const char *path,
		      struct km_diag *diag) KM_MUST_CHECK;
/** km_inventory_save() - write @inv; gzip when @path ends in .gz. Return: 0 or -errno, and no file. */
int km_inventory_save(const struct km_inventory *inv, const char *path,
		      struct km_diag *diag) KM_MUST_CHECK;
/** km_inventory_create() - @server_nr servers, all zero but healthy, no labels; dicts empty. */
int km_inventory_create(struct km_inventory **out, uint32_t server_nr) KM_MUST_CHECK;
/**
 * km_inventory_add_label() - a label column, all servers in set "". Sets *@idx.
 * Return: 0; -ENOSPC beyond KM_LABELS_MAX; -EEXIST; -ENOMEM.
 */
int km_inventory_add_label(struct km_inventory *inv, const char *name, uint32_t *idx) KM_MUST_CHECK;
/** km_inventory_destroy() - NULL is allowed. */
void km_inventory_destroy(struct km_inventory *inv);
/** km_inventory_label() - column number of label @name, or KM_DICT_NONE. */
uint32_t km_inventory_label(const struct km_inventory *inv, const char *name);
/** km_inventory_set_has() - whether value @text is one of value set @set of label @idx. */
bool km_inventory_set_has(const struct km_inventory *inv, uint32_t idx, uint32_t set,
			  const char *text);

#endif
