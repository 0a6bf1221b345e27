/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/job.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place/zone.h"
#include "tools/json.h"
#include "tools/verbs.h"

#define SECTION_NR_MAX 64
#define OPTION_NR_MAX 64 /* of one section, and of [global] */
#define NAME_MAX_BYTES 50 /* inih cuts longer names without a word */

/* A section's options, ready for a command line. */
struct section {
	char name[NAME_MAX_BYTES];
	char *option[OPTION_NR_MAX]; /* "--key=value"; ours to free */
	unsigned int option_nr;
	char *bench; /* the value of the key "bench"; ours to free */
};

struct job {
	const char *path;
	const char *only; /* run this section alone; NULL = all */
	bool json;
	int arg_nr; /* of the command line, less what is the job's */
	char **arg; /* arg[0] is the verb */
	struct section global, *section[SECTION_NR_MAX];
	unsigned int section_nr;
	FILE *file;
	unsigned int line;
	struct km_diag diag;
	int err;
};

/* ---- the file ------------------------------------------------------------------- */

static char *read_line(char *line, int bytes, void *ctx)
{
	struct job *job = ctx;
	char *got = fgets(line, bytes, job->file);
	size_t length = got ? strlen(line) : 0;

	job->line++;
	if (got && *line == '[' && strcspn(line + 1, "]") >= NAME_MAX_BYTES && !job->err)
		job->err = km_diag_set(&job->diag, -EINVAL, job->path, job->line, 2,
				       "a section's name has at most %d characters",
				       NAME_MAX_BYTES - 1);
	if (got && length + 1 == (size_t)bytes && line[length - 1] != '\n' && !job->err)
		job->err = km_diag_set(&job->diag, -EINVAL, job->path, job->line, 0,
				       "longer than %d characters", bytes - 2);
	return job->err ? NULL : got;
}

static int refuse(struct job *job, const char *what, const char *name)
{
	job->err = km_diag_set(&job->diag, -EINVAL, job->path, job->line, 1, what, name);
	return 0;
}

static struct section *find_section(struct job *job, const char *name)
{
	struct section *section;
	unsigned int i;

	if (!strcmp(name, "global"))
		return &job->global;
	for (i = 0; i < job->section_nr; i++)
		if (!strcmp(job->section[i]->name, name))
			return job->section[i];
	if (job->section_nr == SECTION_NR_MAX)
		return NULL;
	section = calloc(1, sizeof(*section));
	if (!section)
		return NULL;
	snprintf(section->name, sizeof(section->name), "%s", name);
	job->section[job->section_nr++] = section;
	return section;
}

/* inih's callback; 0 ends the reading. */
static int take_pair(void *ctx, const char *name, const char *key, const char *value)
{
	struct job *job = ctx;
	struct section *section;
	char *option;

	if (!*name)
		return refuse(job, "'%s' stands before the first section; begin with [global]",
			      key);
	section = find_section(job, name);
	if (!section)
		return refuse(job, "[%s] is one of too many sections", name);
	if (!strcmp(key, "bench")) {
		free(section->bench);
		section->bench = strdup(value);
		return section->bench ? 1 : refuse(job, "out of memory at '%s'", key);
	}
	if (!strcmp(key, "job") || !strcmp(key, "section") || !strncmp(key, "json", 4))
		return refuse(job, "'%s' belongs on the command line", key);
	if (!strcmp(value, "no"))
		return 1;
	if (section->option_nr == OPTION_NR_MAX)
		return refuse(job, "[%s] has too many options", name);
	if (asprintf(&option, strcmp(value, "yes") ? "--%s=%s" : "--%s", key, value) < 0)
		return refuse(job, "out of memory at '%s'", key);
	section->option[section->option_nr++] = option;
	return 1;
}

static int load(struct job *job)
{
	int bad_line;

	job->file = fopen(job->path, "re");
	if (!job->file)
		return km_diag_set(&job->diag, -errno, job->path, 0, 0, "%s", strerror(errno));
	bad_line = ini_parse_stream(read_line, job, take_pair, job);
	fclose(job->file);
	if (!job->err && bad_line > 0)
		job->err = km_diag_set(&job->diag, -EINVAL, job->path, (uint64_t)bad_line, 1,
				       "neither '[section]' nor 'option = value'");
	if (!job->err && bad_line < 0)
		job->err = km_diag_set(&job->diag, -EIO, job->path, 0, 0, "cannot be read");
	if (!job->err && !job->section_nr && !find_section(job, "all"))
		job->err = km_diag_set(&job->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	return job->err;
}

static void fini_section(struct section *section)
{
	while (section->option_nr)
		free(section->option[--section->option_nr]);
	free(section->bench);
}

static void fini(struct job *job)
{
	while (job->section_nr) {
		fini_section(job->section[--job->section_nr]);
		free(job->section[job->section_nr]);
	}
	fini_section(&job->global);
	free(job->arg);
}

/* ---- the command line ------------------------------------------------------------ */

/* The value of --@name at argv[*at], which is moved to its last word; NULL = another option. */
static const char *value_of(const char *name, int argc, char **argv, int *at)
{
	const char *arg = argv[*at];
	size_t length = strlen(name);

	if (strncmp(arg, "--", 2) || strncmp(arg + 2, name, length))
		return NULL;
	if (arg[2 + length] == '=')
		return arg + 2 + length + 1;
	if (arg[2 + length])
		return NULL;
	return *at + 1 < argc ? argv[++*at] : "";
}

bool km_job_wanted(int argc, char **argv)
{
	bool wanted = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help"))
			return false;
		wanted |= !strcmp(argv[i], "--job") || !strncmp(argv[i], "--job=", 6);
	}
	return wanted;
}

static int parse(struct job *job, int argc, char **argv)
{
	const char *value;
	int i;

	job->arg = calloc((size_t)argc, sizeof(*job->arg));
	if (!job->arg)
		return km_diag_set(&job->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	job->arg[job->arg_nr++] = argv[0];
	for (i = 1; i < argc; i++) {
		value = value_of("job", argc, argv, &i);
		if (value) {
			job->path = value;
			continue;
		}
		value = value_of("section", argc, argv, &i);
		if (value) {
			job->only = value;
			continue;
		}
		if (!strncmp(argv[i], "--json-out", 10))
			return km_diag_set(&job->diag, -EINVAL, NULL, 0, 0,
					   "--json-out does not go with --job; use --json > FILE");
		if (!strcmp(argv[i], "--json"))
			job->json = true;
		else
			job->arg[job->arg_nr++] = argv[i];
	}
	if (!*job->path)
		return km_diag_set(&job->diag, -EINVAL, NULL, 0, 0, "--job wants a file");
	return 0;
}

static int check_only(struct job *job)
{
	const char *names[SECTION_NR_MAX + 1] = { 0 }, *nearest;
	unsigned int i;

	for (i = 0; i < job->section_nr; i++) {
		names[i] = job->section[i]->name;
		if (job->only && !strcmp(job->only, names[i]))
			return 0;
	}
	if (!job->only)
		return 0;
	nearest = km_suggest(job->only, names);
	return km_diag_set(&job->diag, -EINVAL, job->path, 0, 0, "no section [%s]%s%s%s", job->only,
			   nearest ? "; did you mean [" : "", nearest ? nearest : "",
			   nearest ? "]?" : "");
}

/* The last value of --@name among words from @first on; @otherwise when there is none. */
static const char *last_value(const char *name, char **word, int first, int word_nr,
			      const char *otherwise)
{
	const char *value;
	int i;

	for (i = first; i < word_nr; i++) {
		value = value_of(name, word_nr, word, &i);
		otherwise = value ? value : otherwise;
	}
	return otherwise;
}

static const char *value_in(struct job *job, struct section *section, const char *name)
{
	const char *value =
		last_value(name, job->global.option, 0, (int)job->global.option_nr, NULL);

	value = last_value(name, section->option, 0, (int)section->option_nr, value);
	return last_value(name, job->arg, 1, job->arg_nr, value);
}

/* What one section wrote would be gone with the next. */
static int check_written(struct job *job)
{
	static const char *const name[] = { "requests-out", "record-costs" };
	unsigned int n, a, b;

	for (n = 0; n < KM_ARRAY_NR(name) && !job->only; n++)
		for (a = 0; a < job->section_nr; a++)
			for (b = 0; b < a; b++) {
				const char *x = value_in(job, job->section[a], name[n]);
				const char *y = value_in(job, job->section[b], name[n]);

				if (x && y && km_zone_same_file(x, y))
					return km_diag_set(&job->diag, -EINVAL, job->path, 0, 0,
							   "[%s] and [%s] both write --%s %s: "
							   "name one in each section",
							   job->section[b]->name,
							   job->section[a]->name, name[n], x);
			}
	return 0;
}

/* ---- running --------------------------------------------------------------------- */

/* Verb, benchmark, [global], the section, the command line. In a child, whose end frees. */
static int run_section(const struct job *job, struct section *section,
		       int (*run)(int argc, char **argv))
{
	char json[] = "--json", *bench;
	/* besides: the benchmark, --json, the closing NULL */
	char **argv = calloc((size_t)job->arg_nr + 2 * OPTION_NR_MAX + 3, sizeof(*argv));
	int i, argc = 0;

	if (!argv)
		return KM_EXIT_FAILED;
	argv[argc++] = job->arg[0];
	bench = section->bench ? section->bench : job->global.bench;
	if (bench)
		argv[argc++] = bench;
	for (i = 0; i < (int)job->global.option_nr; i++)
		argv[argc++] = job->global.option[i];
	for (i = 0; i < (int)section->option_nr; i++)
		argv[argc++] = section->option[i];
	for (i = 1; i < job->arg_nr; i++)
		argv[argc++] = job->arg[i];
	if (job->json)
		argv[argc++] = json;
	argv[argc] = NULL;
	return run(argc, argv);
}

/* In a child, whose stdout is @to when that is not -1. Return: its pid, or -errno. */
static pid_t start_section(const struct job *job, struct section *section, int to,
			   int (*run)(int argc, char **argv))
{
	pid_t pid, parent = getpid();
	int code;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid < 0 ? -errno : pid;
	/* Whoever ends the job ends the section. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || (to >= 0 && dup2(to, STDOUT_FILENO) < 0))
		_exit(KM_EXIT_FAILED);
	code = run_section(job, section, run);
	if (fflush(stdout) || ferror(stdout))
		code = KM_EXIT_FAILED;
	_exit(code);
}

/* Exit code of the child. The terminal's interrupt reaches it as well; it ends in its own way. */
static int wait_section(pid_t pid)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	int status = 0;
	pid_t got;

	sigaction(SIGINT, &ignore, &before);
	do {
		got = waitpid(pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	sigaction(SIGINT, &before, NULL);
	if (got == pid && WIFSIGNALED(status))
		return 128 + WTERMSIG(status); /* as a shell tells it */
	return got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : KM_EXIT_FAILED;
}

/* The section's document from the pipe, then its exit code. */
static int collect(const struct job *job, struct section *section,
		   int (*run)(int argc, char **argv), json_t **doc, struct km_diag *diag)
{
	json_error_t why;
	int fd[2], code;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC)) {
		km_ignore(km_diag_set(diag, -errno, NULL, 0, 0, "pipe: %s", strerror(errno)));
		return KM_EXIT_FAILED;
	}
	pid = start_section(job, section, fd[1], run);
	close(fd[1]);
	*doc = pid > 0 ? json_loadfd(fd[0], 0, &why) : NULL;
	close(fd[0]);
	code = pid > 0 ? wait_section(pid) : KM_EXIT_FAILED;
	if (code == KM_EXIT_DONE && *doc)
		return code;
	json_decref(*doc);
	*doc = NULL;
	return code ? code : KM_EXIT_FAILED;
}

/* Results of @doc, each marked with its section, go to @results; its params to @params. */
static int take(const char *name, json_t *doc, json_t *results, json_t *params)
{
	json_t *result;
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(doc, "results"), i, result) {
		if (json_is_object(result))
			err |= json_object_set_new(result, "job", json_string(name));
		err |= json_array_append(results, result);
	}
	err |= json_object_set(params, name, json_object_get(doc, "params"));
	return err;
}

/* One command for all sections, or the first word that they share. */
static void join_command(char *command, size_t bytes, const json_t *doc)
{
	const char *other = json_string_value(json_object_get(doc, "command"));

	if (!*command)
		snprintf(command, bytes, "%s", other ? other : "");
	else if (other && strcmp(command, other))
		command[strcspn(command, " ")] = '\0';
}

static int run_json(struct job *job, int (*run)(int argc, char **argv))
{
	json_t *results = json_array(), *sections = json_object(), *doc;
	char command[NAME_MAX_BYTES] = "";
	unsigned int i;
	int code = KM_EXIT_DONE;

	for (i = 0; i < job->section_nr && code == KM_EXIT_DONE; i++) {
		if (job->only && strcmp(job->only, job->section[i]->name))
			continue;
		code = collect(job, job->section[i], run, &doc, &job->diag);
		if (code == KM_EXIT_DONE) {
			join_command(command, sizeof(command), doc);
			if (take(job->section[i]->name, doc, results, sections))
				code = KM_EXIT_FAILED;
			json_decref(doc);
		}
		if (code != KM_EXIT_DONE)
			fprintf(stderr, "kamino %s: %s: [%s] failed\n", job->arg[0], job->path,
				job->section[i]->name);
	}
	if (code == KM_EXIT_DONE) {
		doc = km_json_envelope(
			command, json_pack("{s:s, s:O}", "job", job->path, "sections", sections),
			json_incref(results));
		code = km_json_print(doc, stdout) ? KM_EXIT_FAILED : KM_EXIT_DONE;
		json_decref(doc);
	}
	json_decref(results);
	json_decref(sections);
	return code;
}

static int run_text(struct job *job, int (*run)(int argc, char **argv))
{
	unsigned int i;
	pid_t pid;
	int code = KM_EXIT_DONE;

	for (i = 0; i < job->section_nr && code == KM_EXIT_DONE; i++) {
		if (job->only && strcmp(job->only, job->section[i]->name))
			continue;
		printf("%s[%s]\n", i ? "\n" : "", job->section[i]->name);
		pid = start_section(job, job->section[i], -1, run);
		code = pid > 0 ? wait_section(pid) : KM_EXIT_FAILED;
		if (code != KM_EXIT_DONE)
			fprintf(stderr, "kamino %s: %s: [%s] failed\n", job->arg[0], job->path,
				job->section[i]->name);
	}
	return code;
}

int km_job_run(int argc, char **argv, int (*run)(int argc, char **argv))
{
	struct job job = { .path = "" };
	int code;

	if (parse(&job, argc, argv) || load(&job) || check_only(&job) || check_written(&job))
		code = km_verb_fail(argv[0], &job.diag, KM_EXIT_USAGE);
	else
		code = job.json ? run_json(&job, run) : run_text(&job, run);
	fini(&job);
	return code;
}
