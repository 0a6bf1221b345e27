/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/rules_default.c - the built-in rule set, one row a rule, in priority.
 *
 * It suits the built-in zone and its importers (Documentation/zone.md) and takes
 * what applies to other traces: a rule whose trait or label column is absent is
 * left out.
 */
#include "place/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "place/zone_internal.h"

static const char *const generations[] = { "g3", "g2", "g1", NULL };
static const char *const power_zones[] = { "p0", "p1", "p2", "p3", NULL };

/* As struct km_rule; the table of a TABLE rule is made from zone_vmtype[]. */
struct row {
	const char *name;
	enum km_rule_kind kind;
	enum km_res resource;
	uint32_t bits, percent, max;
	const char *trait, *trait_value, *label, *label_value;
	const char *const *order;
	enum km_spread_over over;
	const char *within;
	const char *instead_of; /* left out when this trait column is there */
};

static const struct row rows[] = {
	/* A server under repair or draining takes nothing new. */
	{ .name = "healthy", .kind = KM_RULE_HEALTHY },
	/* One rule a resource, not one for all five: two types that differ in memory
	 * alone then share the other four objects. */
	{ .name = "fits-cpu", .kind = KM_RULE_FITS, .resource = KM_RES_CPU },
	{ .name = "fits-memory", .kind = KM_RULE_FITS, .resource = KM_RES_MEMORY },
	{ .name = "fits-ssd", .kind = KM_RULE_FITS, .resource = KM_RES_SSD },
	{ .name = "fits-nic", .kind = KM_RULE_FITS, .resource = KM_RES_NIC },
	{ .name = "fits-gpu", .kind = KM_RULE_FITS, .resource = KM_RES_GPU },
	/* A VM type is offered on certain machine kinds only; a shape, where the VM
	 * type is not told apart, on those of any of its VM types. */
	{ .name = "vmtype-kind", .kind = KM_RULE_TABLE, .trait = "vmtype", .label = "kind" },
	{ .name = "shape-kind",
	  .kind = KM_RULE_TABLE,
	  .trait = "shape",
	  .label = "kind",
	  .instead_of = "vmtype" },
	/* Some clusters are kept for high priority, whose VMs must not be evicted. */
	{ .name = "priority-cluster",
	  .kind = KM_RULE_MATCH,
	  .trait = "priority",
	  .label = "priority" },
	/* A customer may ask for a hardware generation or for a reserved pool. */
	{ .name = "generation",
	  .kind = KM_RULE_MATCH,
	  .trait = "generation",
	  .label = "generation" },
	{ .name = "pool", .kind = KM_RULE_MATCH, .trait = "pool", .label = "pool" },
	/* Low priority is evicted when high priority needs the room: it leaves a tenth,
	 * so that most arrivals of high priority need no eviction. */
	{ .name = "low-leaves-cpu",
	  .kind = KM_RULE_HEADROOM,
	  .resource = KM_RES_CPU,
	  .percent = 10,
	  .trait = "priority",
	  .trait_value = "low" },
	{ .name = "low-leaves-memory",
	  .kind = KM_RULE_HEADROOM,
	  .resource = KM_RES_MEMORY,
	  .percent = 5,
	  .trait = "priority",
	  .trait_value = "low" },

	/* Old machines are to be retired last where customers can be moved at will. */
	{ .name = "low-on-old",
	  .kind = KM_RULE_PREFER,
	  .bits = 1,
	  .trait = "priority",
	  .trait_value = "low",
	  .label = "generation",
	  .label_value = "g1" },
	/* VMs of a large batch talk to each other: where the network is wide. */
	{ .name = "large-on-wide",
	  .kind = KM_RULE_PREFER,
	  .bits = 1,
	  .trait = "size",
	  .trait_value = "16-31",
	  .label = "fabric",
	  .label_value = "wide" },
	/* A variant is a set of images that one power zone has copies of (constructed:
	 * it makes as many types as a measurement asks for). */
	{ .name = "variant-home",
	  .kind = KM_RULE_PREFER,
	  .bits = 1,
	  .trait = "variant",
	  .trait_value = "0",
	  .label = "power",
	  .label_value = "p0" },
	/* Empty servers are what whole-server VMs and maintenance need: fill used ones. */
	{ .name = "nonempty", .kind = KM_RULE_NONEMPTY, .bits = 1 },
	/* The least stranded: cpu first, as it runs out first in the zone. */
	{ .name = "best-fit-cpu", .kind = KM_RULE_BEST_FIT, .bits = 3, .resource = KM_RES_CPU },
	{ .name = "best-fit-memory",
	  .kind = KM_RULE_BEST_FIT,
	  .bits = 2,
	  .resource = KM_RES_MEMORY },
	/* A server full of cpu and empty of memory helps nobody. */
	{ .name = "balance", .kind = KM_RULE_BALANCE, .bits = 2 },
	/* New machines give more for the same power. */
	{ .name = "newest-first",
	  .kind = KM_RULE_ORDER,
	  .bits = 2,
	  .label = "generation",
	  .order = generations },
	/* Among equals fill one power zone, so that others can be powered down. */
	{ .name = "power-order",
	  .kind = KM_RULE_ORDER,
	  .bits = 3,
	  .label = "power",
	  .order = power_zones },

	/* A tenant's VMs that ask for it do not fall together. The limits leave room for
	 * tenants of some hundred VMs. */
	{ .name = "spread-server",
	  .kind = KM_RULE_SPREAD,
	  .trait = "spread",
	  .trait_value = "server",
	  .over = KM_OVER_SERVER,
	  .within = "tenant",
	  .max = 2 },
	{ .name = "spread-rack",
	  .kind = KM_RULE_SPREAD,
	  .trait = "spread",
	  .trait_value = "rack",
	  .over = KM_OVER_RACK,
	  .within = "tenant",
	  .max = 4 },
};

static bool applies(const struct row *row, const struct km_trace_schema *schema,
		    const struct km_inventory *inv)
{
	if (row->trait && km_trace_trait(schema, row->trait) == KM_DICT_NONE)
		return false;
	if (row->label && km_inventory_label(inv, row->label) == KM_DICT_NONE)
		return false;
	return !row->instead_of || km_trace_trait(schema, row->instead_of) == KM_DICT_NONE ||
	       km_inventory_label(inv, row->label) == KM_DICT_NONE;
}

/* A copy of @text into *@to; a NULL stays one. */
static int copy_text(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return text && !*to ? -ENOMEM : 0;
}

static int copy_order(char ***to, const char *const *from)
{
	uint32_t nr = 0, i;
	int err = 0;

	while (from[nr])
		nr++;
	*to = calloc(nr + 1, sizeof(**to));
	if (!*to)
		return -ENOMEM;
	for (i = 0; !err && i < nr; i++)
		err = copy_text(&(*to)[i], from[i]);
	return err;
}

/* "12|4|21" */
static void print_kinds(uint32_t kinds, char *text, size_t bytes)
{
	size_t at = 0;
	uint32_t k;

	text[0] = '\0';
	for (k = 0; k < ZONE_KIND_NR && at < bytes; k++)
		if (kinds & 1u << k)
			at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? "|" : "",
					       zone_kind[k].name);
}

/* Pairs (VM type or shape, kinds) from the fitted VM types. */
static int make_table(struct km_rule *rule, bool by_shape)
{
	char value[32], kinds[ZONE_KIND_NR * 4];
	uint32_t i = 0, nr = 0, mask;
	int err = 0;

	rule->table = calloc(2 * (size_t)zone_vmtype_nr + 1, sizeof(*rule->table));
	if (!rule->table)
		return -ENOMEM;
	while (!err && i < zone_vmtype_nr) {
		const struct zone_vmtype *row = &zone_vmtype[i];

		for (mask = 0; i < zone_vmtype_nr && zone_vmtype[i].cores == row->cores &&
			       zone_vmtype[i].ram == row->ram;
		     i++) {
			mask |= zone_vmtype[i].kinds;
			if (!by_shape) {
				i++;
				break;
			}
		}
		if (by_shape)
			snprintf(value, sizeof(value), "%u/%u", row->cores, row->ram);
		else
			snprintf(value, sizeof(value), "%u", row->id);
		print_kinds(mask, kinds, sizeof(kinds));
		err = copy_text(&rule->table[nr++], value);
		if (!err)
			err = copy_text(&rule->table[nr++], kinds);
	}
	return err;
}

static int copy_row(struct km_rule *rule, const struct row *row)
{
	int err = copy_text(&rule->name, row->name);

	rule->kind = row->kind;
	rule->resource = row->resource;
	rule->bits = row->bits;
	rule->percent = row->percent;
	rule->max = row->max;
	rule->over = row->over;
	if (!err)
		err = copy_text(&rule->trait, row->trait);
	if (!err)
		err = copy_text(&rule->trait_value, row->trait_value);
	if (!err)
		err = copy_text(&rule->label, row->label);
	if (!err)
		err = copy_text(&rule->label_value, row->label_value);
	if (!err)
		err = copy_text(&rule->within, row->within);
	if (!err && row->order)
		err = copy_order(&rule->order, row->order);
	if (!err && row->kind == KM_RULE_TABLE)
		err = make_table(rule, !strcmp(row->trait, "shape"));
	return err;
}

int km_ruleset_default(struct km_ruleset **out, const struct km_trace_schema *schema,
		       const struct km_inventory *inv)
{
	struct km_ruleset *set = calloc(1, sizeof(*set));
	size_t i;
	int err = 0;

	if (!set)
		return -ENOMEM;
	for (i = 0; !err && i < KM_ARRAY_NR(rows); i++)
		if (applies(&rows[i], schema, inv))
			err = copy_row(&set->rule[set->rule_nr++], &rows[i]);
	if (err) {
		km_ruleset_destroy(set);
		return err;
	}
	*out = set;
	return 0;
}
