/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/main.c - the kamino command: finds the verb and runs it.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/job.h"
#include "tools/verbs.h"

static int verb_help(int argc, char **argv);

/* A verb is here when it works. */
static const struct verb {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
	bool jobs; /* takes --job FILE */
} verbs[] = {
	{ "run", "serve a zone's requests with the real runtime, audited", km_verb_run, true },
	{ "sim", "a zone in virtual time, every policy; the paper's evaluation", km_verb_sim,
	  true },
	{ "bench", "what the pieces cost, beside their rivals and floors", km_verb_bench, true },
	{ "report", "one HTML page of what run, sim and bench wrote with --json", km_verb_report,
	  false },
	{ "top", "a live view of a run: queues, decisions and why, estimates", km_verb_top, false },
	{ "topo", "this machine, or a pretended one, and which thread runs where", km_verb_topo,
	  false },
	{ "trace", "make traces and fleets, and look into them", km_verb_trace, false },
	{ "version", "version, libraries and features of this binary", km_verb_version, false },
	{ "help", "this list; 'help VERB' for one verb", verb_help, false },
};

static int print_verbs(FILE *to, int code)
{
	unsigned int i;

	fprintf(to, "usage: kamino VERB [options]\n\n");
	for (i = 0; i < KM_ARRAY_NR(verbs); i++)
		fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(to,
		"\n'kamino VERB --help' lists the options of a verb.\n"
		"run, sim and bench take --job FILE [--section NAME]: see Documentation/jobs.md.\n");
	return code;
}

static const struct verb *find_verb(const char *name)
{
	unsigned int i;

	for (i = 0; i < KM_ARRAY_NR(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int unknown_verb(const char *name)
{
	const char *names[KM_ARRAY_NR(verbs) + 1], *nearest;
	unsigned int i;

	for (i = 0; i < KM_ARRAY_NR(verbs); i++)
		names[i] = verbs[i].name;
	names[i] = NULL;
	nearest = km_suggest(name, names);
	if (nearest)
		fprintf(stderr, "kamino: unknown verb '%s'; did you mean '%s'?\n", name, nearest);
	else
		fprintf(stderr, "kamino: unknown verb '%s'; see 'kamino help'\n", name);
	return KM_EXIT_USAGE;
}

static int verb_help(int argc, char **argv)
{
	char option[] = "--help", *args[3] = { NULL, option, NULL };
	const struct verb *verb;

	if (argc < 2 || !strcmp(argv[1], "help") || !strcmp(argv[1], option))
		return print_verbs(stdout, KM_EXIT_DONE);
	verb = find_verb(argv[1]);
	if (!verb)
		return unknown_verb(argv[1]);
	args[0] = argv[1];
	return verb->run(2, args);
}

int km_verb_fail(const char *verb, const struct km_diag *diag, int code)
{
	char text[768];

	fprintf(stderr, "kamino %s: %s\n", verb, km_diag_format(diag, text, sizeof(text)));
	return code;
}

int km_verb_check_output(const char *option, const char *path, struct km_diag *diag)
{
	char *copy;
	int err;

	if (!path)
		return 0;
	if (!access(path, F_OK)) {
		err = access(path, W_OK) ? -errno : 0;
	} else {
		copy = strdup(path);
		err = !copy ? -ENOMEM : access(dirname(copy), W_OK) ? -errno : 0;
		free(copy);
	}
	return err ? km_diag_set(diag, err, NULL, 0, 0, "--%s %s: cannot be written: %s", option,
				 path, strerror(-err))
		   : 0;
}

void km_verb_lengthen(int argc, char **argv)
{
	static char out[] = "--out";
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-o"))
			argv[i] = out;
}

int km_verb_help(const char *verb, const char *usage, const char *text, const struct km_opt *opts)
{
	static const struct km_opt job[] = {
		{ "job", 0, NULL, "FILE",
		  "a set of runs from a file; --section NAME of it (Documentation/jobs.md)", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	const struct verb *found;

	printf("usage: kamino %s %s\n\n%s\n\n", verb, usage, text);
	km_opts_help(opts, stdout);
	found = find_verb(verb);
	if (found && found->jobs)
		km_opts_help(job, stdout);
	return KM_EXIT_DONE;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	const char *name;
	int code;

	if (argc < 2)
		return print_verbs(stderr, KM_EXIT_USAGE);
	name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	verb = find_verb(name);
	if (!verb)
		return unknown_verb(name);
	if (verb->jobs && km_job_wanted(argc - 1, argv + 1))
		code = km_job_run(argc - 1, argv + 1, verb->run);
	else
		code = verb->run(argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "kamino: cannot write the results: %s\n", strerror(errno));
		return KM_EXIT_FAILED;
	}
	return code;
}
