/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/rules.c - rule sets from INI files. The only user of inih.
 *
 * inih cuts lines into section, name and value; which line that was, and where
 * in it, it does not tell: the reader it is given counts lines and keeps the
 * raw one. A rule is judged when the next begins, as its kind may come last.
 */
#include "place/rules.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"
#include "place/store.h"

#define RAW_MAX 4096
#define ROWS_MAX 65536
#define NAME_MAX_BYTES 48
#define RULE_PREFIX "rule "

enum key {
	KEY_KIND,
	KEY_USES,
	KEY_RESOURCE,
	KEY_PERCENT,
	KEY_TRAIT,
	KEY_LABEL,
	KEY_VALUE,
	KEY_ONLY,
	KEY_BITS,
	KEY_ORDER,
	KEY_ROWS,
	KEY_OVER,
	KEY_WITHIN,
	KEY_MAX,
	KEY_NR,
};

static const char *const key_name[KEY_NR + 1] = {
	[KEY_KIND] = "kind",	   [KEY_USES] = "uses",	  [KEY_RESOURCE] = "resource",
	[KEY_PERCENT] = "percent", [KEY_TRAIT] = "trait", [KEY_LABEL] = "label",
	[KEY_VALUE] = "value",	   [KEY_ONLY] = "only",	  [KEY_BITS] = "bits",
	[KEY_ORDER] = "order",	   [KEY_ROWS] = "rows",	  [KEY_OVER] = "over",
	[KEY_WITHIN] = "within",   [KEY_MAX] = "max",
};

static const char *const kind_name[KM_RULE_KIND_NR + 1] = {
	[KM_RULE_FITS] = "fits",	 [KM_RULE_HEALTHY] = "healthy",
	[KM_RULE_MATCH] = "match",	 [KM_RULE_TABLE] = "table",
	[KM_RULE_HEADROOM] = "headroom", [KM_RULE_PREFER] = "prefer",
	[KM_RULE_BEST_FIT] = "best-fit", [KM_RULE_WORST_FIT] = "worst-fit",
	[KM_RULE_BALANCE] = "balance",	 [KM_RULE_NONEMPTY] = "nonempty",
	[KM_RULE_ORDER] = "order",	 [KM_RULE_SPREAD] = "spread",
};

static const char *const over_name[] = {
	[KM_OVER_SERVER] = "server",
	[KM_OVER_RACK] = "rack",
	[KM_OVER_CLUSTER] = "cluster",
	NULL,
};

#define K(key) (1u << KEY_##key)

/* Which keys a kind needs, and which it may have besides kind and uses. */
static const struct {
	uint32_t needs, may;
} kind_keys[KM_RULE_KIND_NR] = {
	[KM_RULE_FITS] = { K(RESOURCE), 0 },
	[KM_RULE_HEALTHY] = { 0, 0 },
	[KM_RULE_MATCH] = { K(TRAIT) | K(LABEL), 0 },
	[KM_RULE_TABLE] = { K(TRAIT) | K(LABEL) | K(ROWS), 0 },
	[KM_RULE_HEADROOM] = { K(TRAIT) | K(VALUE) | K(RESOURCE) | K(PERCENT), 0 },
	[KM_RULE_PREFER] = { K(LABEL) | K(VALUE), K(TRAIT) | K(ONLY) | K(BITS) },
	[KM_RULE_BEST_FIT] = { K(RESOURCE), K(BITS) },
	[KM_RULE_WORST_FIT] = { K(RESOURCE), K(BITS) },
	[KM_RULE_BALANCE] = { 0, K(BITS) },
	[KM_RULE_NONEMPTY] = { 0, K(BITS) },
	[KM_RULE_ORDER] = { K(LABEL) | K(ORDER), K(BITS) },
	[KM_RULE_SPREAD] = { K(OVER) | K(WITHIN), K(MAX) | K(TRAIT) | K(ONLY) },
};

struct place_in_file {
	uint64_t line;
	uint32_t column;
};

struct parser {
	const char *path;
	FILE *file;
	struct km_diag *diag;
	int err; /* the first error; nothing is taken behind it */
	struct km_ruleset *set;

	uint64_t line;
	char raw[RAW_MAX];

	/* the rule that is being read; NULL = none yet */
	struct km_rule *rule;
	struct place_in_file rule_at;
	bool has_key; /* an indented line continues the key before */
	enum key last_key;
	uint32_t seen; /* bit per key */
	char *text[KEY_NR];
	struct place_in_file at[KEY_NR];
	uint32_t order_nr, rows_nr;
};

static int refuse(struct parser *p, struct place_in_file at, const char *fmt, ...) KM_PRINTF(3, 4);

static int refuse(struct parser *p, struct place_in_file at, const char *fmt, ...)
{
	char why[256];
	va_list args;

	if (p->err)
		return p->err;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	p->err = km_diag_set(p->diag, -EINVAL, p->path, at.line, at.column, "%s", why);
	return p->err;
}

static int no_memory(struct parser *p)
{
	if (!p->err)
		p->err = km_diag_set(p->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	return p->err;
}

/* "a, b, c" of the @names whose bit is set; cut short where @text ends. */
static const char *list_names(const char *const *names, uint32_t mask, char *text, size_t bytes)
{
	size_t at = 0;
	uint32_t i;

	text[0] = '\0';
	for (i = 0; names[i] && at < bytes; i++)
		if (mask & 1u << i)
			at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "",
					       names[i]);
	return text;
}

static int refuse_unknown(struct parser *p, struct place_in_file at, const char *what,
			  const char *word, const char *const *names)
{
	const char *nearest = km_suggest(word, names);
	char known[160];

	if (nearest)
		return refuse(p, at, "unknown %s '%.60s'; did you mean '%s'?", what, word, nearest);
	return refuse(p, at, "unknown %s '%.60s'; known are %s", what, word,
		      list_names(names, UINT32_MAX, known, sizeof(known)));
}

static uint32_t find_name(const char *word, const char *const *names)
{
	uint32_t i;

	for (i = 0; names[i]; i++)
		if (!strcmp(word, names[i]))
			return i;
	return UINT32_MAX;
}

const char *km_rule_kind_name(enum km_rule_kind kind)
{
	return kind_name[kind];
}

bool km_rule_is_preference(enum km_rule_kind kind)
{
	return kind >= KM_RULE_PREFER && kind <= KM_RULE_ORDER;
}

/*
 * The resources (a bit each) and the trait column, or NULL, that a rule's evaluation
 * uses. A SPREAD rule is no cached evaluation: both are empty for it.
 */
static void traits_of(const struct km_rule *rule, uint32_t *res, const char **trait)
{
	*res = 0;
	*trait = NULL;
	switch (rule->kind) {
	case KM_RULE_FITS:
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		*res = 1u << rule->resource;
		break;
	case KM_RULE_HEADROOM:
		*res = 1u << rule->resource;
		*trait = rule->trait;
		break;
	case KM_RULE_BALANCE:
		*res = 1u << KM_RES_CPU | 1u << KM_RES_MEMORY;
		break;
	case KM_RULE_MATCH:
	case KM_RULE_TABLE:
	case KM_RULE_PREFER:
		*trait = rule->trait;
		break;
	case KM_RULE_HEALTHY:
	case KM_RULE_NONEMPTY:
	case KM_RULE_ORDER:
	case KM_RULE_SPREAD:
	case KM_RULE_KIND_NR:
		break;
	}
}

/* ---- values ---------------------------------------------------------------- */

static int take_number(struct parser *p, enum key key, uint32_t min, uint32_t max, uint32_t *value)
{
	const char *text = p->text[key];
	unsigned long number;
	char *end;

	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || strlen(text) > 9 || number < min ||
	    number > max)
		return refuse(p, p->at[key], "%s = %.40s: not a whole number within %u..%u",
			      key_name[key], text, min, max);
	*value = (uint32_t)number;
	return 0;
}

static int take_resource(struct parser *p, enum key key, enum km_res *res)
{
	const char *names[KM_RES_NR + 1] = { NULL };
	uint32_t found;

	memcpy(names, km_res_name, sizeof(km_res_name));
	found = find_name(p->text[key], names);
	if (found == UINT32_MAX)
		return refuse_unknown(p, p->at[key], "resource", p->text[key], names);
	*res = (enum km_res)found;
	return 0;
}

/* The next item of a comma-separated list, trimmed; NULL at its end. Cuts @list up. */
static char *next_item(char **list)
{
	char *item = *list, *end;

	if (!item)
		return NULL;
	end = item + strcspn(item, ",");
	*list = *end ? end + 1 : NULL;
	*end = '\0';
	item += strspn(item, " \t");
	for (end = item + strlen(item); end > item && isspace((unsigned char)end[-1]);)
		*--end = '\0';
	return item;
}

/* Append a copy of @text to a NULL-terminated list of @nr. */
static int list_add(struct parser *p, char ***list, uint32_t *nr, const char *text)
{
	char **fresh;

	/* Room doubles: it is full whenever nr + 1 is a power of two. */
	if (!(*nr & (*nr + 1))) {
		fresh = realloc(*list, (2 * (size_t)*nr + 2) * sizeof(*fresh));
		if (!fresh)
			return no_memory(p);
		*list = fresh;
	}
	(*list)[*nr + 1] = NULL;
	(*list)[*nr] = strdup(text);
	if (!(*list)[*nr])
		return no_memory(p);
	++*nr;
	return 0;
}

/* Where @item, a piece of a value of this line, stands. */
static struct place_in_file item_at(const struct parser *p, const char *item)
{
	const char *found = *item ? strstr(p->raw, item) : NULL;

	return (struct place_in_file){ p->line, found ? (uint32_t)(found - p->raw) + 1 : 0 };
}

static int add_order(struct parser *p, const char *value)
{
	char *copy = strdup(value), *list = copy, *item;
	uint32_t i;
	int err = copy ? 0 : no_memory(p);

	while (!err && (item = next_item(&list))) {
		if (!*item)
			continue; /* a comma at the end of a line */
		for (i = 0; i < p->order_nr; i++)
			if (!strcmp(p->rule->order[i], item))
				err = refuse(p, item_at(p, item), "'%.60s' is in the order twice",
					     item);
		if (!err && p->order_nr == 255)
			err = refuse(p, item_at(p, item), "more than 255 values in an order");
		if (!err)
			err = list_add(p, &p->rule->order, &p->order_nr, item);
	}
	free(copy);
	return err;
}

/* One "value: a|b" of a table. */
static int add_row(struct parser *p, char *item)
{
	char *colon = strrchr(item, ':'), *label, *end;
	struct place_in_file at = item_at(p, item);
	uint32_t i;
	int err;

	if (!colon)
		return refuse(p, at, "'%.60s' is not of the form 'value: label|label'", item);
	label = colon + 1 + strspn(colon + 1, " \t");
	for (end = colon; end > item && isspace((unsigned char)end[-1]);)
		end--;
	*end = '\0';
	if (!*item || !*label)
		return refuse(p, at, "a row lacks its %s", *item ? "labels" : "value");
	for (i = 0; i < p->rows_nr; i += 2)
		if (!strcmp(p->rule->table[i], item))
			return refuse(p, at, "value '%.60s' is in the table twice", item);
	if (p->rows_nr == 2 * ROWS_MAX)
		return refuse(p, at, "more than %d rows in a table", ROWS_MAX);
	err = list_add(p, &p->rule->table, &p->rows_nr, item);
	return err ? err : list_add(p, &p->rule->table, &p->rows_nr, label);
}

static int add_rows(struct parser *p, const char *value)
{
	char *copy = strdup(value), *list = copy, *item;
	int err = copy ? 0 : no_memory(p);

	while (!err && (item = next_item(&list)))
		if (*item)
			err = add_row(p, item);
	free(copy);
	return err;
}

/* ---- a finished rule ------------------------------------------------------- */

/* `uses` only repeats what the kind implies; it is there to be checked. */
static int check_uses(struct parser *p)
{
	const char *trait, *names[KM_RES_NR + 2] = { NULL };
	uint32_t res, nr = 0, found, seen = 0, i;
	char *list = p->text[KEY_USES], *item;

	if (!list)
		return 0;
	traits_of(p->rule, &res, &trait);
	for (i = 0; i < KM_RES_NR; i++)
		if (res & 1u << i)
			names[nr++] = km_res_name[i];
	if (trait)
		names[nr++] = trait;
	while ((item = next_item(&list))) {
		found = find_name(item, names);
		if (found == UINT32_MAX)
			return refuse(p, p->at[KEY_USES], "uses: the rule does not use '%.60s'",
				      item);
		seen |= 1u << found;
	}
	for (i = 0; i < nr; i++)
		if (!(seen & 1u << i))
			return refuse(p, p->at[KEY_USES], "uses: '%.60s' is missing", names[i]);
	return 0;
}

static int check_keys(struct parser *p)
{
	enum km_rule_kind kind = p->rule->kind;
	uint32_t known = kind_keys[kind].needs | kind_keys[kind].may | K(KIND) | K(USES), key;
	char names[160];

	/* fits: "uses = cpu" says it all. */
	if (kind == KM_RULE_FITS && !(p->seen & K(RESOURCE)) && p->text[KEY_USES]) {
		p->text[KEY_RESOURCE] = strdup(p->text[KEY_USES]);
		if (!p->text[KEY_RESOURCE])
			return no_memory(p);
		p->at[KEY_RESOURCE] = p->at[KEY_USES];
		p->seen |= K(RESOURCE);
	}
	for (key = 0; key < KEY_NR; key++) {
		if (p->seen & ~known & 1u << key)
			return refuse(p, p->at[key], "a rule of kind %s has no '%s'; it has %s",
				      kind_name[kind], key_name[key],
				      list_names(key_name, known, names, sizeof(names)));
		if (kind_keys[kind].needs & ~p->seen & 1u << key)
			return refuse(p, p->rule_at, "rule '%s' of kind %s lacks '%s'",
				      p->rule->name, kind_name[kind], key_name[key]);
	}
	if (kind_keys[kind].may & K(ONLY) && !(p->seen & K(ONLY)) != !(p->seen & K(TRAIT)))
		return refuse(p, p->rule_at, "rule '%s': 'trait' and 'only' go together",
			      p->rule->name);
	if (kind == KM_RULE_ORDER && !p->order_nr)
		return refuse(p, p->at[KEY_ORDER], "'order' has no value");
	if (kind == KM_RULE_TABLE && !p->rows_nr)
		return refuse(p, p->at[KEY_ROWS], "'rows' has no value");
	return 0;
}

/* A kind's own number of buckets, where the file states none. */
static uint32_t default_bits(const struct km_rule *rule, uint32_t order_nr)
{
	uint32_t bits = 1;

	switch (rule->kind) {
	case KM_RULE_PREFER:
	case KM_RULE_NONEMPTY:
		return 1; /* yes or no */
	case KM_RULE_ORDER:
		while (1u << bits < order_nr + 1) /* and one for all others */
			bits++;
		return bits;
	default:
		return 3; /* eighths of a server */
	}
}

static void move_text(struct parser *p, enum key key, char **to)
{
	*to = p->text[key];
	p->text[key] = NULL;
}

static int check_totals(struct parser *p)
{
	uint32_t bits = 0, spreads = 0, i;

	for (i = 0; i < p->set->rule_nr; i++) {
		bits += p->set->rule[i].bits;
		spreads += p->set->rule[i].kind == KM_RULE_SPREAD;
	}
	if (bits > KM_RULESET_BITS_MAX)
		return refuse(p, p->rule_at, "the preferences take %u bits, more than %d", bits,
			      KM_RULESET_BITS_MAX);
	if (spreads > KM_SPREADS_MAX)
		return refuse(p, p->rule_at, "more than %d rules of kind spread", KM_SPREADS_MAX);
	return 0;
}

/* The keys' texts into the rule. */
static int fill_rule(struct parser *p)
{
	struct km_rule *rule = p->rule;
	uint32_t over;
	int err = 0;

	if (p->seen & K(RESOURCE))
		err = take_resource(p, KEY_RESOURCE, &rule->resource);
	if (!err && p->seen & K(PERCENT))
		err = take_number(p, KEY_PERCENT, 1, 99, &rule->percent);
	rule->max = 1;
	if (!err && p->seen & K(MAX))
		err = take_number(p, KEY_MAX, 1, 1000000, &rule->max);
	if (!err && p->seen & K(BITS))
		err = take_number(p, KEY_BITS, 1, KM_RULE_BITS_MAX, &rule->bits);
	else if (km_rule_is_preference(rule->kind))
		rule->bits = default_bits(rule, p->order_nr);
	if (!err && p->seen & K(OVER)) {
		over = find_name(p->text[KEY_OVER], over_name);
		if (over == UINT32_MAX)
			return refuse_unknown(p, p->at[KEY_OVER], "domain", p->text[KEY_OVER],
					      over_name);
		rule->over = (enum km_spread_over)over;
	}
	move_text(p, KEY_TRAIT, &rule->trait);
	move_text(p, KEY_LABEL, &rule->label);
	move_text(p, KEY_WITHIN, &rule->within);
	move_text(p, KEY_ONLY, &rule->trait_value);
	move_text(p, KEY_VALUE,
		  rule->kind == KM_RULE_HEADROOM ? &rule->trait_value : &rule->label_value);
	return err;
}

static int finish_rule(struct parser *p)
{
	uint32_t kind;
	int err;

	if (!p->rule || p->err)
		return p->err;
	if (!(p->seen & K(KIND)))
		return refuse(p, p->rule_at, "rule '%s' lacks 'kind'", p->rule->name);
	kind = find_name(p->text[KEY_KIND], kind_name);
	if (kind == UINT32_MAX)
		return refuse_unknown(p, p->at[KEY_KIND], "kind", p->text[KEY_KIND], kind_name);
	p->rule->kind = (enum km_rule_kind)kind;
	err = check_keys(p);
	if (!err)
		err = fill_rule(p);
	if (!err)
		err = check_uses(p);
	return err ? err : check_totals(p);
}

static void forget_texts(struct parser *p)
{
	uint32_t key;

	for (key = 0; key < KEY_NR; key++) {
		free(p->text[key]);
		p->text[key] = NULL;
	}
	p->seen = 0;
	p->has_key = false;
	p->order_nr = p->rows_nr = 0;
}

/* ---- lines ----------------------------------------------------------------- */

static int check_rule_name(struct parser *p, struct place_in_file at, const char *name)
{
	uint32_t i;

	if (!*name)
		return refuse(p, at, "the rule has no name");
	if (strlen(name) + strlen(RULE_PREFIX) > NAME_MAX_BYTES)
		return refuse(p, at, "the rule's name is over %zu bytes",
			      NAME_MAX_BYTES - strlen(RULE_PREFIX));
	for (i = 0; i < p->set->rule_nr; i++)
		if (!strcmp(p->set->rule[i].name, name))
			return refuse(p, at, "rule '%s' is there twice", name);
	if (p->set->rule_nr == KM_RULES_MAX)
		return refuse(p, at, "more than %d rules", KM_RULES_MAX);
	return 0;
}

/* A line "[rule NAME]": judge the rule before, begin the next. */
static int begin_rule(struct parser *p, const char *bracket)
{
	struct place_in_file at = { p->line, (uint32_t)(bracket - p->raw) + 1 };
	size_t bytes = strcspn(++bracket, "]");
	char name[RAW_MAX];
	int err = finish_rule(p);

	if (err)
		return err;
	forget_texts(p);
	if (!bracket[bytes])
		return refuse(p, at, "the section has no ']'");
	memcpy(name, bracket, bytes);
	name[bytes] = '\0';
	if (strncmp(name, RULE_PREFIX, strlen(RULE_PREFIX)))
		return refuse(p, at, "unknown section '[%.60s]'; a rule is '[rule NAME]'", name);
	at.column += 1 + (uint32_t)strlen(RULE_PREFIX);
	err = check_rule_name(p, at, name + strlen(RULE_PREFIX));
	if (err)
		return err;
	p->rule = &p->set->rule[p->set->rule_nr];
	p->rule_at = (struct place_in_file){ p->line, (uint32_t)(bracket - p->raw) };
	p->rule->line = p->line;
	p->rule->name = strdup(name + strlen(RULE_PREFIX));
	if (!p->rule->name)
		return no_memory(p);
	p->set->rule_nr++;
	return 0;
}

static bool raw_has(const char *raw, size_t bytes, char c)
{
	return memchr(raw, c, bytes);
}

/* What inih reads lines with; NULL at the end and behind an error. */
static char *read_line(char *text, int cap, void *ctx)
{
	struct parser *p = ctx;
	size_t room = (size_t)cap < RAW_MAX ? (size_t)cap : RAW_MAX, nr = 0;
	int c = EOF;
	char *start;

	if (p->err)
		return NULL;
	p->line++;
	while (nr < room - 1 && (c = fgetc(p->file)) != EOF) {
		p->raw[nr++] = (char)c;
		if (c == '\n')
			break;
	}
	p->raw[nr] = '\0';
	if (ferror(p->file)) {
		p->err = km_diag_set(p->diag, -EIO, p->path, p->line - 1, 0, "%s", strerror(errno));
		return NULL;
	}
	if (!nr)
		return NULL;
	if (raw_has(p->raw, nr, '\0')) {
		refuse(p, (struct place_in_file){ p->line, (uint32_t)strlen(p->raw) + 1 },
		       "a NUL byte");
		return NULL;
	}
	if (c != '\n' && c != EOF) {
		refuse(p, (struct place_in_file){ p->line, (uint32_t)nr + 1 },
		       "the line is over %zu bytes; go on in an indented line", room - 2);
		return NULL;
	}
	start = p->raw;
	if (p->line == 1 && !strncmp(start, "\xef\xbb\xbf", 3))
		start += 3;
	start += strspn(start, " \t\r\n\v\f");
	/* Indented behind a key it would be a value going on, for inih too. */
	if (*start == '[' && (start == p->raw || !p->has_key || p->line == 1) &&
	    begin_rule(p, start))
		return NULL;
	memcpy(text, p->raw, nr + 1);
	return text;
}

static struct place_in_file value_at(const struct parser *p, bool goes_on)
{
	const char *value = p->raw;

	if (!goes_on) {
		value += strcspn(value, "=:");
		value += !!*value;
	}
	value += strspn(value, " \t");
	return (struct place_in_file){ p->line, (uint32_t)(value - p->raw) + 1 };
}

static int take_key(struct parser *p, const char *name, const char *value)
{
	struct place_in_file key_at = { p->line, (uint32_t)strspn(p->raw, " \t") + 1 };
	uint32_t key = find_name(name, key_name);

	if (!p->rule)
		return refuse(p, key_at, "'%.60s' stands before the first '[rule NAME]'", name);
	if (key == UINT32_MAX)
		return refuse_unknown(p, key_at, "key", name, key_name);
	if (p->seen & 1u << key)
		return refuse(p, key_at, "'%s' is there twice", name);
	p->seen |= 1u << key;
	p->has_key = true;
	p->last_key = (enum key)key;
	p->at[key] = value_at(p, false);
	if (!*value && key != KEY_ROWS && key != KEY_ORDER)
		return refuse(p, p->at[key], "'%s' has no value", name);
	p->text[key] = strdup(value);
	if (!p->text[key])
		return no_memory(p);
	return 0;
}

/* What inih calls for each "name = value" and each line that goes on. */
static int take_pair(void *ctx, const char *section, const char *name, const char *value)
{
	struct parser *p = ctx;
	bool goes_on = p->has_key && (p->raw[0] == ' ' || p->raw[0] == '\t');
	int err = p->err;

	(void)section; /* read_line() knows it, whole and with its place */
	if (!err && goes_on && p->last_key != KEY_ROWS && p->last_key != KEY_ORDER)
		err = refuse(p, value_at(p, true), "'%s' cannot go on in a second line",
			     key_name[p->last_key]);
	else if (!err && !goes_on)
		err = take_key(p, name, value);
	if (!err && p->last_key == KEY_ORDER)
		err = add_order(p, value);
	else if (!err && p->last_key == KEY_ROWS)
		err = add_rows(p, value);
	return !err;
}

/* What is cached are the other rules' objects; without one there is nothing to choose by. */
static int check_has_more_than_spread(const struct km_ruleset *set, struct km_diag *diag)
{
	uint32_t i;

	for (i = 0; i < set->rule_nr; i++)
		if (set->rule[i].kind != KM_RULE_SPREAD)
			return 0;
	return km_diag_set(diag, -EINVAL, set->file, 0, 0,
			   "a rule set needs at least one rule that is not `spread`");
}

static int parse(struct parser *p)
{
	int bad_line = ini_parse_stream(read_line, p, take_pair, p);

	if (!p->err && bad_line > 0)
		p->err = km_diag_set(p->diag, -EINVAL, p->path, (uint64_t)bad_line, 1,
				     "neither '[rule NAME]' nor 'key = value'");
	if (!p->err && bad_line < 0)
		return no_memory(p);
	if (!p->err)
		finish_rule(p);
	if (!p->err && !p->set->rule_nr)
		p->err = km_diag_set(p->diag, -EINVAL, p->path, p->line, 0, "no rule");
	if (!p->err)
		p->err = check_has_more_than_spread(p->set, p->diag);
	return p->err;
}

int km_ruleset_load(struct km_ruleset **out, const char *path, struct km_diag *diag)
{
	struct parser *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	p->path = path;
	p->diag = diag;
	p->set = calloc(1, sizeof(*p->set));
	if (p->set)
		p->set->file = strdup(path);
	p->file = fopen(path, "re");
	if (!p->set || !p->set->file)
		err = no_memory(p);
	else if (!p->file && !*path)
		err = km_diag_set(diag, -ENOENT, NULL, 0, 0,
				  "the name of the rules' file is empty");
	else if (!p->file)
		err = km_diag_set(diag, -errno, path, 0, 0, "%s", strerror(errno));
	else
		err = parse(p);
	forget_texts(p);
	if (p->file)
		km_ignore(fclose(p->file)); /* was read only */
	if (err)
		km_ruleset_destroy(p->set);
	else
		*out = p->set;
	free(p);
	return err;
}

void km_ruleset_destroy(struct km_ruleset *set)
{
	uint32_t i, j;

	for (i = 0; set && i < set->rule_nr; i++) {
		struct km_rule *rule = &set->rule[i];

		for (j = 0; rule->order && rule->order[j]; j++)
			free(rule->order[j]);
		for (j = 0; rule->table && rule->table[j]; j++)
			free(rule->table[j]);
		free(rule->order);
		free(rule->table);
		free(rule->name);
		free(rule->trait);
		free(rule->label);
		free(rule->trait_value);
		free(rule->label_value);
		free(rule->within);
	}
	if (set)
		free(set->file);
	free(set);
}

/* ---- against a trace and an inventory -------------------------------------- */

static int missing_column(const struct km_ruleset *set, const struct km_rule *rule,
			  const char *what, const char *name, const char *const *names,
			  struct km_diag *diag)
{
	const char *nearest = km_suggest(name, names);
	char known[120];

	if (nearest)
		return km_diag_set(diag, -EINVAL, set->file, rule->line, 0,
				   "rule '%s': no %s '%s'; did you mean '%s'?", rule->name, what,
				   name, nearest);
	list_names(names, UINT32_MAX, known, sizeof(known));
	return km_diag_set(diag, -EINVAL, set->file, rule->line, 0,
			   "rule '%s': no %s '%.60s'; there %s%s", rule->name, what, name,
			   known[0] ? "are " : "is none", known);
}

static int check_trait(const struct km_ruleset *set, const struct km_rule *rule, const char *name,
		       const struct km_trace_schema *schema, struct km_diag *diag)
{
	const char *names[KM_TRACE_TRAITS_MAX + 1] = { NULL };

	if (km_trace_trait(schema, name) != KM_DICT_NONE)
		return 0;
	memcpy(names, schema->trait_name, schema->trait_nr * sizeof(*names));
	return missing_column(set, rule, "trait column", name, names, diag);
}

int km_ruleset_check(const struct km_ruleset *set, const struct km_trace_schema *schema,
		     const struct km_inventory *inv, struct km_diag *diag)
{
	const char *names[KM_LABELS_MAX + 1] = { NULL };
	int err = check_has_more_than_spread(set, diag);
	uint32_t i;

	memcpy(names, inv->label_name, inv->label_nr * sizeof(*names));
	for (i = 0; !err && i < set->rule_nr; i++) {
		const struct km_rule *rule = &set->rule[i];

		if (rule->label && km_inventory_label(inv, rule->label) == KM_DICT_NONE)
			err = missing_column(set, rule, "label column", rule->label, names, diag);
		if (!err && rule->trait)
			err = check_trait(set, rule, rule->trait, schema, diag);
		if (!err && rule->within && strcmp(rule->within, "tenant") &&
		    strcmp(rule->within, "batch"))
			err = check_trait(set, rule, rule->within, schema, diag);
	}
	return err;
}
