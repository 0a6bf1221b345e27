/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report.c - kamino report: documents of run, sim and bench as one HTML page
 * with pictures, that needs no network and no script.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/replace.h"
#include "tools/report_internal.h"
#include "tools/verbs.h"

static void write_page(struct report *rep)
{
	report_page_open(rep);
	report_runs(rep);
	report_paper(rep);
	report_bench(rep);
	report_other(rep);
	report_documents(rep);
	report_numbers(rep);
	report_page_close(rep);
}

static int make_page(struct report *rep, char **text, size_t *bytes)
{
	*text = NULL;
	rep->page = open_memstream(text, bytes);
	if (!rep->page)
		return km_diag_set(&rep->diag, -ENOMEM, NULL, 0, 0, "out of memory");
	write_page(rep);
	if (fclose(rep->page))
		report_fail(rep, -ENOMEM, "out of memory");
	return rep->err;
}

static int write_all(int fd, const char *text, size_t bytes)
{
	ssize_t nr;

	for (; bytes; text += nr, bytes -= (size_t)nr) {
		nr = write(fd, text, bytes);
		if (nr < 0 && errno != EINTR)
			return -errno;
		nr = nr < 0 ? 0 : nr;
	}
	return 0;
}

static int save(const char *path, const char *text, size_t bytes, struct km_diag *diag)
{
	struct km_replace file;
	int err = km_replace_open(&file, path);

	if (!err)
		err = km_replace_end(&file, write_all(file.fd, text, bytes));
	return err ? km_diag_set(diag, err, path, 0, 0, "%s", strerror(-err)) : 0;
}

static int load(struct report *rep, char **path, int nr)
{
	struct report_doc *doc;
	int i, err;

	for (i = 0; i < nr; i++) {
		doc = &rep->doc[rep->doc_nr];
		err = report_doc_load(doc, path[i], &rep->diag);
		if (err)
			return err;
		if (rep->doc_nr < 26)
			snprintf(doc->tag, sizeof(doc->tag), "%c", 'A' + (int)rep->doc_nr);
		else
			snprintf(doc->tag, sizeof(doc->tag), "D%u", rep->doc_nr + 1);
		rep->doc_nr++;
	}
	return 0;
}

static int make_report(struct report *rep, char **path, int nr, const char *out)
{
	size_t bytes = 0;
	char *text = NULL;
	uint32_t i;
	int err = load(rep, path, nr);

	if (!err)
		err = make_page(rep, &text, &bytes);
	if (!err)
		err = save(out, text, bytes, &rep->diag);
	if (!err)
		fprintf(stderr, "kamino report: %s: %u document%s, %u pictures, %zu KiB\n", out,
			rep->doc_nr, rep->doc_nr == 1 ? "" : "s", rep->picture_nr, bytes >> 10);
	free(text);
	for (i = 0; i < rep->doc_nr; i++)
		json_decref(rep->doc[i].json);
	return err;
}

static int check_usage(const char *out, char **path, int nr, struct km_diag *diag)
{
	int i;

	for (i = 0; i < nr; i++)
		if (path[i][0] == '-' && path[i][1])
			return km_diag_set(diag, -EINVAL, NULL, 0, 0,
					   "unknown option %s; see --help", path[i]);
	if (!nr)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "no document: name files that --json wrote, or - for the "
				   "standard input");
	if (nr > REPORT_DOCS_MAX)
		return km_diag_set(diag, -E2BIG, NULL, 0, 0, "at most %d documents",
				   REPORT_DOCS_MAX);
	if (!out)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "-o FILE is missing: where the page goes");
	return report_plot_find(diag);
}

int km_verb_report(int argc, char **argv)
{
	const char *out = NULL;
	bool help = false;
	const struct km_opt opts[] = {
		{ "out", KM_OPT_STRING, &out, "FILE", "where the page goes; -o FILE is the same", 0,
		  0 },
		{ "help", KM_OPT_FLAG, &help, NULL, "this text", 0, 0 },
		{ NULL, KM_OPT_FLAG, NULL, NULL, NULL, 0, 0 },
	};
	struct report *rep;
	struct km_diag diag = { 0 };
	char **path;
	int nr, rc;

	km_verb_lengthen(argc, argv);
	if (km_opts_parse(opts, argc, argv, &nr, &path, &diag))
		return km_verb_fail("report", &diag, KM_EXIT_USAGE);
	if (help)
		return km_verb_help(
			"report", "RUN.json... -o report.html",
			"One HTML page of documents that 'kamino run', 'kamino sim' (also with\n"
			"--experiment) and 'kamino bench' wrote with --json: the paper's figures beside\n"
			"ours, latencies, load, hits, memory, what a decision costs, and all numbers.\n"
			"The page needs no network and no script. - is the standard input. gnuplot\n"
			"draws the pictures. Read Documentation/report.md.",
			opts);
	if (check_usage(out, path, nr, &diag))
		return km_verb_fail("report", &diag, KM_EXIT_USAGE);
	rep = calloc(1, sizeof(*rep));
	if (!rep)
		return KM_EXIT_FAILED;
	rc = KM_EXIT_DONE;
	if (make_report(rep, path, nr, out))
		rc = km_verb_fail("report", &rep->diag, KM_EXIT_FAILED);
	free(rep);
	return rc;
}
