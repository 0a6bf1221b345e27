/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/rules.h - a rule set as written: an INI file, or the built-in one.
 *
 * Order in the file is priority. Validators say may or may not; preferences
 * give a score, lower is better, quantised into 2^bits buckets so that the
 * preference below still has a say. The file's grammar: Documentation/formats.md.
 */
#ifndef KM_PLACE_RULES_H
#define KM_PLACE_RULES_H

#include "core/type.h"
#include "lib/diag.h"
#include "place/inventory.h"
#include "place/res.h"
#include "place/trace.h"

enum km_rule_kind {
	/* validators */
	KM_RULE_FITS, /* free >= wanted, one resource; uses = that resource */
	KM_RULE_HEALTHY, /* server's health is ok */
	KM_RULE_MATCH, /* trait value is one of the server's label values; no value = any */
	KM_RULE_TABLE, /* (trait value, label value) is a row of a table; unlisted trait value = any */
	KM_RULE_HEADROOM, /* trait value `value`: leave `percent` of `resource` free; uses trait + resource */
	/* preferences */
	KM_RULE_PREFER, /* label value `value` first (optionally only for requests with trait value) */
	KM_RULE_BEST_FIT, /* least left of `resource` after placing, relative to the server's total */
	KM_RULE_WORST_FIT, /* most left */
	KM_RULE_BALANCE, /* least difference of cpu and memory use after placing */
	KM_RULE_NONEMPTY, /* servers that already host something first */
	KM_RULE_ORDER, /* rank of the label value in a stated order `order = a, b, c` */
	/* at pick and commit, never cached */
	/*
	 * At most `max` VMs of one group (`within`) in one server, rack or cluster
	 * (`over`); where `trait` is set, only VMs with `trait_value` count and are bound.
	 */
	KM_RULE_SPREAD,
	KM_RULE_KIND_NR,
};

enum km_spread_over { KM_OVER_SERVER, KM_OVER_RACK, KM_OVER_CLUSTER };

struct km_rule {
	char *name;
	enum km_rule_kind kind;
	uint64_t line; /* in the file; 0 = built in */
	uint32_t bits; /* preferences: 1..8 */
	enum km_res resource;
	uint32_t percent;
	char *trait, *label; /* column names or NULL */
	char *trait_value, *label_value; /* or NULL; PREFER and SPREAD: only for this trait value */
	char **order; /* ORDER: NULL-terminated */
	char **table; /* TABLE: NULL-terminated "trait value", "a|b" pairs */
	enum km_spread_over over; /* SPREAD; group = `within`: "tenant", "batch" or a trait name */
	char *within;
	uint32_t max;
};

#define KM_RULE_BITS_MAX 8 /* of one preference */
#define KM_RULESET_BITS_MAX 60 /* of all: a server's score is one 64-bit number */

struct km_ruleset {
	char *file; /* where it was read from; NULL = made by a program */
	uint32_t rule_nr;
	struct km_rule rule[KM_RULES_MAX];
};

/** km_ruleset_load() - read an INI file, or nothing; reasons carry line and column. */
int km_ruleset_load(struct km_ruleset **out, const char *path, struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_ruleset_default() - the about twenty built-in rules that apply to this trace
 * and inventory: a rule whose trait or label column is absent is left out.
 */
int km_ruleset_default(struct km_ruleset **out, const struct km_trace_schema *schema,
		       const struct km_inventory *inv) KM_MUST_CHECK;

/** km_rule_kind_name() - as in a file: "best-fit". */
const char *km_rule_kind_name(enum km_rule_kind kind);

/** km_rule_is_preference() - whether the rule gives a score. */
bool km_rule_is_preference(enum km_rule_kind kind);

/**
 * km_ruleset_check() - every column that a rule names exists, and a rule is not SPREAD.
 * Return: 0 or -EINVAL, with the rule's file and line.
 */
int km_ruleset_check(const struct km_ruleset *set, const struct km_trace_schema *schema,
		     const struct km_inventory *inv, struct km_diag *diag) KM_MUST_CHECK;
/** km_ruleset_destroy() - NULL is allowed. */
void km_ruleset_destroy(struct km_ruleset *set);

#endif
