/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone_fleet.c - the fleet of the built-in zone.
 *
 * Machine kinds, their sizes and their shares are fitted; clusters of one kind,
 * racks, and the labels other than kind are constructed (Documentation/zone.md).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/rand.h"
#include "place/zone_internal.h"

#define CLUSTER_SERVERS 360 /* "clusters of at most a few hundred" (Protean) */
#define RACK_SERVERS_MIN 20
#define RACK_SERVERS_MAX 40
#define POWER_ZONES 4

struct cluster {
	uint32_t kind, server_nr;
	uint32_t nth; /* of its kind */
};

enum label { LABEL_KIND, LABEL_GENERATION, LABEL_PRIORITY, LABEL_FABRIC, LABEL_POWER, LABEL_NR };

static const char *const label_name[LABEL_NR] = {
	[LABEL_KIND] = "kind",	   [LABEL_GENERATION] = "generation", [LABEL_PRIORITY] = "priority",
	[LABEL_FABRIC] = "fabric", [LABEL_POWER] = "power",
};

/* Servers of each kind: by share, but one of each as long as there are servers. */
static void count_kinds(uint32_t server_nr, uint32_t *nr)
{
	uint64_t shares = 0, done = 0, share_done = 0;
	uint32_t kinds = 0, k;

	for (k = 0; k < ZONE_KIND_NR && zone_kind[k].share; k++) {
		shares += zone_kind[k].share;
		kinds++;
	}
	for (k = 0; k < kinds; k++)
		nr[k] = server_nr >= kinds || k < server_nr;
	if (server_nr <= kinds)
		return;
	for (k = 0; k < kinds; k++) {
		uint64_t upto;

		share_done += zone_kind[k].share;
		upto = share_done * (server_nr - kinds) / shares;
		nr[k] += (uint32_t)(upto - done);
		done = upto;
	}
}

/* Cut the kinds into clusters, in random order. Return: how many, or 0 without memory. */
static uint32_t make_clusters(uint32_t server_nr, struct km_rand *rand, struct cluster **out)
{
	uint32_t nr[ZONE_KIND_NR] = { 0 }, cluster_nr = 0, at = 0, k, i, parts;
	struct cluster *cluster, swap;

	count_kinds(server_nr, nr);
	for (k = 0; k < ZONE_KIND_NR; k++)
		cluster_nr += KM_DIV_UP(nr[k], CLUSTER_SERVERS);
	cluster = calloc(cluster_nr, sizeof(*cluster));
	if (!cluster)
		return 0;
	for (k = 0; k < ZONE_KIND_NR; k++) {
		parts = KM_DIV_UP(nr[k], CLUSTER_SERVERS);
		for (i = 0; i < parts; i++, at++) {
			cluster[at].kind = k;
			cluster[at].nth = i;
			cluster[at].server_nr = nr[k] * (i + 1) / parts - nr[k] * i / parts;
		}
	}
	for (i = cluster_nr; i > 1; i--) {
		at = (uint32_t)km_rand_below(rand, i);
		swap = cluster[at];
		cluster[at] = cluster[i - 1];
		cluster[i - 1] = swap;
	}
	*out = cluster;
	return cluster_nr;
}

static int intern_text(struct km_dict *dict, uint32_t *id, const char *fmt, ...) KM_PRINTF(3, 4);

static int intern_text(struct km_dict *dict, uint32_t *id, const char *fmt, ...)
{
	char text[64];
	va_list args;
	int nr;

	va_start(args, fmt);
	nr = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return km_dict_intern(dict, text, (size_t)nr, id, NULL);
}

/* What all servers of a cluster share. */
static int cluster_labels(struct km_inventory *inv, const struct cluster *cluster, uint32_t *set)
{
	const struct zone_kind *kind = &zone_kind[cluster->kind];
	int err;

	err = intern_text(inv->sets[LABEL_KIND], &set[LABEL_KIND], "%s", kind->name);
	if (!err)
		err = intern_text(inv->sets[LABEL_GENERATION], &set[LABEL_GENERATION], "g%u",
				  kind->generation);
	/* Every eighth cluster of a kind is kept for high priority; never the only one. */
	if (!err)
		err = intern_text(inv->sets[LABEL_PRIORITY], &set[LABEL_PRIORITY], "%s",
				  cluster->nth % 8 == 7 ? "high" : "high|low");
	if (!err)
		err = intern_text(inv->sets[LABEL_FABRIC], &set[LABEL_FABRIC], "%s",
				  cluster->nth % 4 == 1 ? "wide" : "plain");
	return err;
}

static void set_server(struct km_inventory *inv, uint32_t s, const struct zone_kind *kind,
		       const uint32_t *set)
{
	uint32_t i;

	inv->total[KM_RES_CPU][s] = kind->cores * kind->cpu_unit;
	inv->total[KM_RES_MEMORY][s] = kind->ram * kind->memory_unit;
	inv->total[KM_RES_SSD][s] = kind->ssd;
	inv->total[KM_RES_NIC][s] = kind->nic;
	for (i = 0; i < LABEL_NR; i++)
		inv->label[i][s] = set[i];
}

static int fill_cluster(struct km_inventory *inv, uint32_t idx, const struct cluster *cluster,
			uint32_t first, struct km_rand *rand)
{
	uint32_t set[LABEL_NR], cluster_id, rack_id = 0, rack_nr = 0, left = 0, s;
	int err = intern_text(inv->clusters, &cluster_id, "c%u", idx);

	if (!err)
		err = cluster_labels(inv, cluster, set);
	for (s = first; !err && s < first + cluster->server_nr; s++, left--) {
		if (!left) {
			left = RACK_SERVERS_MIN +
			       (uint32_t)km_rand_below(rand,
						       RACK_SERVERS_MAX - RACK_SERVERS_MIN + 1);
			err = intern_text(inv->racks, &rack_id, "c%u/r%u", idx, rack_nr++);
			if (!err)
				err = intern_text(inv->sets[LABEL_POWER], &set[LABEL_POWER], "p%u",
						  (uint32_t)km_rand_below(rand, POWER_ZONES));
		}
		inv->cluster[s] = cluster_id;
		inv->rack[s] = rack_id;
		set_server(inv, s, &zone_kind[cluster->kind], set);
	}
	return err;
}

int km_zone_fleet(struct km_inventory **out, uint32_t server_nr, uint64_t seed)
{
	uint32_t cluster_nr, first = 0, label, i;
	struct cluster *cluster = NULL;
	struct km_inventory *inv;
	struct km_rand rand;
	int err;

	if (!server_nr || server_nr > KM_ZONE_SERVERS_MAX)
		return -EINVAL;
	err = km_inventory_create(&inv, server_nr);
	if (err)
		return err;
	km_rand_init(&rand, seed);
	for (i = 0; !err && i < LABEL_NR; i++)
		err = km_inventory_add_label(inv, label_name[i], &label);
	cluster_nr = make_clusters(server_nr, &rand, &cluster);
	if (!cluster_nr)
		err = -ENOMEM;
	for (i = 0; !err && i < cluster_nr; i++) {
		err = fill_cluster(inv, i, &cluster[i], first, &rand);
		first += cluster[i].server_nr;
	}
	free(cluster);
	if (err) {
		km_inventory_destroy(inv);
		return err;
	}
	*out = inv;
	return 0;
}
