/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/opts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64
#define OPT_NR_MAX 64

struct unit {
	const char *name;
	double factor;
};

static const struct unit time_units[] = {
	{ "ns", 1 },	 { "us", 1e3 },	  { "ms", 1e6 }, { "s", 1e9 },
	{ "min", 60e9 }, { "h", 3600e9 }, { NULL, 0 },
};
static const struct unit byte_units[] = {
	{ "B", 1 },	 { "kB", 1e3 },	     { "MB", 1e6 },	    { "GB", 1e9 },
	{ "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 }, { NULL, 0 },
};
static const struct unit count_units[] = {
	{ "", 1 }, { "k", 1e3 }, { "M", 1e6 }, { "G", 1e9 }, { NULL, 0 },
};

/* A decimal number followed by exactly one of @units. */
static int parse_with_unit(const char *text, const struct unit *units, uint64_t *value)
{
	char *end;
	double number, scaled;

	if (!((*text >= '0' && *text <= '9') || *text == '.'))
		return -EINVAL;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return -EINVAL;
	number = strtod(text, &end);
	for (; units->name; units++) {
		if (strcmp(end, units->name))
			continue;
		scaled = number * units->factor;
		if (!isfinite(scaled) || scaled >= 0x1p63)
			return -EINVAL;
		*value = (uint64_t)(scaled + 0.5);
		return 0;
	}
	return -EINVAL;
}

/* Digits alone are taken as they are: a double would round beyond 2^53. */
static int parse_digits(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

/* 1000, 10k, 1.5M: what is left after the unit must be whole. */
static int parse_count(const char *text, uint64_t *value)
{
	char *end;
	double scaled;

	if (!text[strspn(text, "0123456789")] && *text)
		return parse_digits(text, value);
	if (parse_with_unit(text, count_units, value))
		return -EINVAL;
	scaled = strtod(text, &end);
	scaled *= *end == 'k' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 1;
	return fabs(scaled - (double)*value) < 1e-6 * scaled ? 0 : -EINVAL;
}

static size_t edit_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], a_nr = strlen(a), b_nr = strlen(b), i, j, diag, above;

	if (a_nr > WORD_MAX || b_nr > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= b_nr; j++)
		row[j] = j;
	for (i = 1; i <= a_nr; i++) {
		diag = row[0];
		row[0] = i;
		for (j = 1; j <= b_nr; j++) {
			above = row[j];
			row[j] = diag + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diag = above;
		}
	}
	return row[b_nr];
}

const char *km_suggest(const char *word, const char *const *names)
{
	size_t best = WORD_MAX, distance;
	const char *nearest = NULL;

	for (; *names; names++) {
		distance = edit_distance(word, *names);
		if (distance < best && 2 * distance <= strlen(*names)) {
			best = distance;
			nearest = *names;
		}
	}
	return nearest;
}

int km_no_such(const char *what, const char *word, const char *const *names, const char *otherwise,
	       struct km_diag *diag)
{
	const char *nearest = km_suggest(word, names);

	if (nearest)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "no %s '%s'; did you mean '%s'?",
				   what, word, nearest);
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "no %s '%s'%s", what, word, otherwise);
}

static const struct km_opt *find_opt(const struct km_opt *opts, const char *name, size_t name_nr)
{
	for (; opts->name; opts++)
		if (!strncmp(opts->name, name, name_nr) && !opts->name[name_nr])
			return opts;
	return NULL;
}

static int unknown_opt(const struct km_opt *opts, const char *arg, struct km_diag *diag)
{
	const char *names[OPT_NR_MAX + 1], *nearest;
	char name[WORD_MAX];
	unsigned int nr = 0;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);

	for (; opts->name && nr < OPT_NR_MAX; opts++)
		names[nr++] = opts->name;
	names[nr] = NULL;
	nearest = km_suggest(name, names);
	if (nearest)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "unknown option --%s; did you mean --%s?", name, nearest);
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "unknown option --%s; see --help", name);
}

/* A bound as one would write it: in the largest unit in which it is whole. */
static void put_bound(char *to, size_t size, enum km_opt_kind kind, double bound)
{
	static const struct unit none[] = { { "", 1 }, { NULL, 0 } };
	const struct unit *unit = kind == KM_OPT_DURATION ? time_units
				  : kind == KM_OPT_BYTES  ? byte_units
							  : none;
	const struct unit *best = unit;

	for (; unit->name; unit++)
		if (bound >= unit->factor && fmod(bound, unit->factor) == 0 &&
		    unit->factor > best->factor)
			best = unit;
	snprintf(to, size, "%.15g%s", bound / best->factor, best->name);
}

static int out_of_range(const struct km_opt *opt, const char *text, struct km_diag *diag)
{
	char min[WORD_MAX], max[WORD_MAX];

	put_bound(min, sizeof(min), opt->kind, opt->min);
	put_bound(max, sizeof(max), opt->kind, opt->max);
	return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--%s %s: must be %s to %s", opt->name, text,
			   min, max);
}

static bool in_range(const struct km_opt *opt, double value)
{
	return opt->max <= opt->min || (value >= opt->min && value <= opt->max);
}

static int set_opt(const struct km_opt *opt, const char *text, struct km_diag *diag)
{
	static const char *const wants[] = {
		[KM_OPT_U64] = "a whole number such as 1000 or 10k",
		[KM_OPT_DURATION] = "a time with its unit such as 10us or 1.5s",
		[KM_OPT_BYTES] = "a size with its unit such as 64MiB",
		[KM_OPT_DOUBLE] = "a number",
	};
	uint64_t whole = 0;
	double number;
	char *end;
	int err = 0;

	switch (opt->kind) {
	case KM_OPT_FLAG:
		*(bool *)opt->value = true;
		return 0;
	case KM_OPT_STRING:
		*(const char **)opt->value = text;
		return 0;
	case KM_OPT_DOUBLE:
		number = strtod(text, &end);
		if (end == text || *end || !isfinite(number))
			break;
		if (!in_range(opt, number))
			return out_of_range(opt, text, diag);
		*(double *)opt->value = number;
		return 0;
	case KM_OPT_U64:
		err = parse_count(text, &whole);
		break;
	case KM_OPT_DURATION:
		err = parse_with_unit(text, time_units, &whole);
		break;
	case KM_OPT_BYTES:
		err = parse_with_unit(text, byte_units, &whole);
		break;
	}
	if (opt->kind == KM_OPT_DOUBLE || err)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--%s %s: not %s", opt->name, text,
				   wants[opt->kind]);
	if (!in_range(opt, (double)whole))
		return out_of_range(opt, text, diag);
	*(uint64_t *)opt->value = whole;
	return 0;
}

int km_opts_parse(const struct km_opt *opts, int argc, char **argv, int *rest_nr, char ***rest,
		  struct km_diag *diag)
{
	int i, nr = 0, err;

	for (i = 1; i < argc; i++) {
		const struct km_opt *opt;
		const char *name, *value;

		if (strncmp(argv[i], "--", 2) || !argv[i][2]) {
			if (!rest_nr)
				return km_diag_set(diag, -EINVAL, NULL, 0, 0,
						   "unexpected argument '%s'; see --help", argv[i]);
			argv[1 + nr++] = argv[i];
			continue;
		}
		name = argv[i] + 2;
		value = strchr(name, '=');
		opt = find_opt(opts, name, value ? (size_t)(value - name) : strlen(name));
		if (!opt)
			return unknown_opt(opts, name, diag);
		if (opt->kind == KM_OPT_FLAG && value)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--%s takes no value",
					   opt->name);
		if (value)
			value++;
		else if (opt->kind != KM_OPT_FLAG && ++i < argc)
			value = argv[i];
		if (opt->kind != KM_OPT_FLAG && !value)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--%s wants a value: %s",
					   opt->name, opt->arg);
		err = set_opt(opt, value, diag);
		if (err)
			return err;
	}
	if (rest_nr) {
		*rest_nr = nr;
		*rest = argv + 1;
	}
	return 0;
}

void km_opts_help(const struct km_opt *opts, FILE *to)
{
	char left[WORD_MAX];

	for (; opts->name; opts++) {
		snprintf(left, sizeof(left), "--%s%s%s", opts->name, opts->arg ? " " : "",
			 opts->arg ? opts->arg : "");
		fprintf(to, "  %-24s %s\n", left, opts->help);
	}
}
