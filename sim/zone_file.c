/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/zone_file.c - zones as text: "[name]", then "key = value" lines; a line
 * that begins with # or ; is a remark.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"
#include "sim/zone.h"

enum kind { U32, U64, REAL };

struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	double min, max;
};

#define KEY(name, kind, min, max)                                         \
	{                                                                 \
#name, kind, offsetof(struct km_sim_zone, name), min, max \
	}
#define COST(name, min, max)                                                   \
	{                                                                      \
#name, REAL, offsetof(struct km_sim_zone, cost.name), min, max \
	}

static const struct key keys[] = {
	KEY(seed, U64, 0, 9e15),
	KEY(types, U32, 1, 4e6),
	KEY(rules, U32, 1, KM_RULES_MAX),
	KEY(families, U32, 1, 1e6),
	KEY(sizes, U32, 1, 1e6),
	KEY(tenants, U32, 1, 1e6),
	KEY(rate_per_s, REAL, 1e-6, 1e9),
	KEY(day_swing, REAL, 0, 0.95),
	KEY(burst_share, REAL, 0, 0.9),
	KEY(burst_s, REAL, 1e-3, 1e6),
	KEY(burst_factor, REAL, 0, 1e4),
	KEY(burst_types, U32, 1, 65536),
	KEY(burst_rare, REAL, 0, 1),
	KEY(batch_share, REAL, 0, 1),
	KEY(batch_mean, REAL, 2, 1000),
	KEY(batch_gap_s, REAL, 0, 1e6),
	KEY(skew, REAL, 0, 10),
	KEY(shift, REAL, 0, 1e6),
	KEY(repeat, REAL, 0, 0.99),
	KEY(recent, U32, 1, 65536),
	KEY(popular_cost, REAL, 0, 1),
	KEY(trade_s, REAL, 0, 1e9),
	KEY(cache_mib, REAL, 1e-3, 1e9),
	KEY(rule_mib, REAL, 1e-3, 1e6),
	KEY(top_mib, REAL, 1e-3, 1e6),
	KEY(age_s, REAL, 0, 1e9),
	KEY(idle_lag, U32, 0, 4e9),
	KEY(hours, REAL, 1e-6, 1e5),
	COST(miss_scale, 1e-6, 1e3),
	COST(hit_scale, 1e-6, 1e3),
	COST(correlation, 0, 1),
	COST(build_share, 0, 0.9),
	COST(common_share, 0, 1),
	COST(hit_floor, 0, 1),
	COST(lag_ref, 1, 1e9),
	COST(lag_max, 1, 1e9),
	COST(noise, 0, 2),
};

static double get(const struct km_sim_zone *zone, const struct key *key)
{
	const char *at = (const char *)zone + key->offset;
	uint64_t u64;
	uint32_t u32;
	double real;

	switch (key->kind) {
	case U32:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	case U64:
		memcpy(&u64, at, sizeof(u64));
		return (double)u64;
	case REAL:
		break;
	}
	memcpy(&real, at, sizeof(real));
	return real;
}

static void put(struct km_sim_zone *zone, const struct key *key, double value)
{
	char *at = (char *)zone + key->offset;
	uint64_t u64 = (uint64_t)value;
	uint32_t u32 = (uint32_t)u64;

	switch (key->kind) {
	case U32:
		memcpy(at, &u32, sizeof(u32));
		break;
	case U64:
		memcpy(at, &u64, sizeof(u64));
		break;
	case REAL:
		memcpy(at, &value, sizeof(value));
		break;
	}
}

static int check_key(const struct km_sim_zone *zone, const struct key *key, struct km_diag *diag)
{
	double value = get(zone, key);

	if (value >= key->min && value <= key->max)
		return 0;
	return km_diag_set(diag, -EINVAL, "", 0, 0, "zone '%s': %s must be %g to %g", zone->name,
			   key->name, key->min, key->max);
}

int km_sim_zone_check(const struct km_sim_zone *zone, struct km_diag *diag)
{
	uint32_t i;
	int err;

	for (i = 0; i < KM_ARRAY_NR(keys); i++) {
		err = check_key(zone, &keys[i], diag);
		if (err)
			return err;
	}
	return 0;
}

static const struct key *find_key(const char *name)
{
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static const char *suggest_key(const char *name)
{
	const char *names[KM_ARRAY_NR(keys) + 1];
	uint32_t i;

	for (i = 0; i < KM_ARRAY_NR(keys); i++)
		names[i] = keys[i].name;
	names[i] = NULL;
	return km_suggest(name, names);
}

int km_sim_zone_set(struct km_sim_zone *zone, const char *name, const char *text,
		    struct km_diag *diag)
{
	const struct key *key = find_key(name);
	const char *near;
	double value;
	char *end;

	if (!key) {
		near = suggest_key(name);
		return km_diag_set(diag, -EINVAL, "", 0, 0, "a zone has no '%s'%s%s%s", name,
				   near ? "; did you mean '"
					: "; kamino sim --print-zones shows what it has",
				   near ? near : "", near ? "'?" : "");
	}
	value = strtod(text, &end);
	if (end == text || *end)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "%s: '%s' is not a number", name, text);
	if (!(value >= key->min && value <= key->max))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "%s must be %g to %g", name, key->min,
				   key->max);
	if (key->kind != REAL && value != (double)(uint64_t)value)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "%s must be a whole number", name);
	put(zone, key, value);
	return 0;
}

void km_sim_zone_print(const struct km_sim_zone *zone, FILE *to)
{
	uint32_t i;

	fprintf(to, "[%s]\n", zone->name);
	for (i = 0; i < KM_ARRAY_NR(keys); i++)
		fprintf(to, "%s = %.10g\n", keys[i].name, get(zone, &keys[i]));
}

/* ---- reading --------------------------------------------------------------- */

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

static int new_zone(struct km_sim_zone *zone, uint32_t *nr, char *text, struct km_diag *diag)
{
	char *end = strchr(text, ']');
	uint32_t i;

	if (!end || end[1] || end == text + 1 || end - text > (ptrdiff_t)sizeof(zone->name))
		return km_diag_set(diag, -EINVAL, "", 0, 0, "want '[name]', up to %zu characters",
				   sizeof(zone->name) - 1);
	*end = 0;
	for (i = 1; text[i]; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return km_diag_set(diag, -EINVAL, "", 0, 0, "a name of control characters");
	if (*nr == KM_SIM_ZONES_MAX)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "more than %d zones", KM_SIM_ZONES_MAX);
	for (i = 0; i < *nr; i++)
		if (!strcmp(zone[i].name, text + 1))
			return km_diag_set(diag, -EINVAL, "", 0, 0, "zone '%s' is there twice",
					   text + 1);
	zone[*nr] = *nr ? zone[*nr - 1] : km_sim_zones[0];
	snprintf(zone[*nr].name, sizeof(zone[*nr].name), "%s", text + 1);
	(*nr)++;
	return 0;
}

static int one_line(struct km_sim_zone *zone, uint32_t *nr, char *line, struct km_diag *diag)
{
	char *text = trim(line), *value;

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (*text == '[')
		return new_zone(zone, nr, text, diag);
	value = strchr(text, '=');
	if (!value)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "want 'key = value'");
	if (!*nr)
		return km_diag_set(diag, -EINVAL, "", 0, 0, "a '[name]' line comes first");
	*value++ = 0;
	return km_sim_zone_set(&zone[*nr - 1], trim(text), trim(value), diag);
}

static int all_lines(struct km_sim_zone *zone, uint32_t *nr, FILE *from, const char *path,
		     struct km_diag *diag)
{
	struct km_diag inner = { .reason = "" };
	char line[512];
	uint64_t at = 0;
	int err;

	while (fgets(line, sizeof(line), from)) {
		at++;
		if (strlen(line) == sizeof(line) - 1)
			return km_diag_set(diag, -EINVAL, path, at, 0, "overlong line");
		err = one_line(zone, nr, line, &inner);
		if (err)
			return km_diag_set(diag, err, path, at, 1, "%s", inner.reason);
	}
	if (ferror(from))
		return km_diag_set(diag, -EIO, path, 0, 0, "cannot read");
	if (!*nr)
		return km_diag_set(diag, -EINVAL, path, 0, 0, "no zone in it");
	return 0;
}

int km_sim_zones_load(struct km_sim_zone *zone, const char *path, struct km_diag *diag)
{
	FILE *from = fopen(path, "re");
	uint32_t nr = 0;
	int err;

	if (!from) {
		err = -errno;
		return km_diag_set(diag, err, path, 0, 0, "cannot open: %s", strerror(-err));
	}
	err = all_lines(zone, &nr, from, path, diag);
	fclose(from);
	return err ? err : (int)nr;
}
