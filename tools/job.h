/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/job.h - job files: "kamino VERB --job FILE" runs the verb once for each
 * section of an INI file.
 *
 * [global] holds options of all sections, a section adds its own; the command
 * line comes last and wins. A key is an option without its dashes; a flag is
 * given with "yes" and left out with "no". For bench the key "bench" names the
 * benchmark. A file without further sections is one job. Paths are as on the
 * command line, relative to the current folder.
 */
#ifndef KM_TOOLS_JOB_H
#define KM_TOOLS_JOB_H

#include "lib/base.h"

/** km_job_wanted() - does a verb's command line name a job file, and not ask for help? */
bool km_job_wanted(int argc, char **argv);

/**
 * km_job_run() - run the verb of @argv[0] for each section, one after the other.
 * @run: the verb. Each section runs in a child process, so none sees another's
 *	state, and a section that fails ends the job.
 *
 * With --json the sections' documents become one: results in order, each with
 * "job" = its section; params by section.
 *
 * Context: the main thread, before any other was started.
 * Return: an exit code.
 */
int km_job_run(int argc, char **argv, int (*run)(int argc, char **argv));

#endif
