/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/opts.h - long options from a table, with units and suggestions.
 */
#ifndef KM_LIB_OPTS_H
#define KM_LIB_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base.h"
#include "lib/diag.h"

enum km_opt_kind {
	KM_OPT_FLAG, /* bool: --name */
	KM_OPT_U64, /* uint64_t: a whole number, 1000 or 10k or 2M (decimal) */
	KM_OPT_DOUBLE, /* double */
	KM_OPT_STRING, /* const char *: points into argv */
	KM_OPT_DURATION, /* uint64_t nanoseconds: 10us, 1.5s; a bare number is refused */
	KM_OPT_BYTES, /* uint64_t: 64MiB, 1GB; a bare number is refused */
};

/* One row of a verb's table; the table ends with a NULL name. */
struct km_opt {
	const char *name; /* without the dashes */
	enum km_opt_kind kind;
	void *value; /* of the kind's type; holds the default */
	const char *arg; /* for the help text, e.g. "N"; NULL for a flag */
	const char *help; /* one line, with the default */
	double min, max; /* inclusive, checked when max > min */
};

/**
 * km_opts_parse() - set the values of @opts from the command line.
 * @argv: argv[0] is skipped; "--name value" and "--name=value" are the same.
 * @rest_nr, @rest: arguments that are not options, in order; points into @argv,
 *	which is reordered. A NULL @rest_nr refuses them.
 *
 * Return: 0; -EINVAL with the reason (and for a typo the nearest name) in @diag.
 */
int km_opts_parse(const struct km_opt *opts, int argc, char **argv, int *rest_nr, char ***rest,
		  struct km_diag *diag) KM_MUST_CHECK;

/** km_opts_help() - print the table, one line an option, within 100 columns. */
void km_opts_help(const struct km_opt *opts, FILE *to);

/**
 * km_suggest() - the name nearest to @word by edit distance.
 * @names: NULL-terminated.
 * Return: one of @names, or NULL when none is near (distance over 1/2 of its length).
 */
const char *km_suggest(const char *word, const char *const *names);

/**
 * km_no_such() - "no WHAT 'WORD'; did you mean 'NAME'?"
 * @names: NULL-terminated, for km_suggest().
 * @otherwise: what follows "no WHAT 'WORD'" when none is near, e.g. "; see --help".
 * Return: -EINVAL, with the reason in @diag.
 */
int km_no_such(const char *what, const char *word, const char *const *names, const char *otherwise,
	       struct km_diag *diag);

#endif
