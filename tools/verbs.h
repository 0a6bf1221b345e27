/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/verbs.h - the verbs of the kamino command, one file each.
 *
 * A verb's argv[0] is its own name. Results go to stdout, messages to stderr;
 * main() flushes stdout and turns a failed write into exit 1.
 */
#ifndef KM_TOOLS_VERBS_H
#define KM_TOOLS_VERBS_H

#include "lib/diag.h"
#include "lib/opts.h"

/* Exit codes. */
enum {
	KM_EXIT_DONE = 0,
	KM_EXIT_FAILED = 1,
	KM_EXIT_USAGE = 2,
};

int km_verb_bench(int argc, char **argv);
int km_verb_report(int argc, char **argv);
int km_verb_run(int argc, char **argv);
int km_verb_sim(int argc, char **argv);
int km_verb_top(int argc, char **argv);
int km_verb_topo(int argc, char **argv);
int km_verb_trace(int argc, char **argv);
int km_verb_version(int argc, char **argv);

/**
 * km_verb_fail() - "kamino VERB: file:line: reason" on stderr.
 * @code: returned as it is, so that a verb can "return km_verb_fail(...)".
 */
int km_verb_fail(const char *verb, const struct km_diag *diag, int code);

/**
 * km_verb_check_output() - whether a file can be written, before work of minutes begins.
 * @path: may be NULL: nothing to check.
 * Return: 0; -errno with the option, the path and the reason in @diag.
 */
int km_verb_check_output(const char *option, const char *path, struct km_diag *diag) KM_MUST_CHECK;

/** km_verb_lengthen() - "-o", the one short option there is, becomes "--out". */
void km_verb_lengthen(int argc, char **argv);

/** km_verb_help() - usage line, one paragraph and the options on stdout. Return: KM_EXIT_DONE. */
int km_verb_help(const char *verb, const char *usage, const char *text, const struct km_opt *opts);

#endif
