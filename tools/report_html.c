/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_html.c - text and tables of the page, its head and foot.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/build.h"
#include "tools/report_css.h"
#include "tools/report_internal.h"

#define TEXT_BYTES_MAX 400

void report_html(FILE *to, const char *text)
{
	char cut[TEXT_BYTES_MAX];
	const char *c;

	report_name(cut, sizeof(cut), text);
	for (c = cut; *c; c++) {
		switch (*c) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		case '\'':
			fputs("&#39;", to);
			break;
		default:
			/* Control characters are allowed in JSON and not in HTML. */
			fputc((unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c, to);
		}
	}
}

const char *report_format(double value, char *text, size_t text_bytes)
{
	if (isnan(value))
		snprintf(text, text_bytes, "-");
	else if (fabs(value) >= 1000 && fabs(value) < 1e15)
		snprintf(text, text_bytes, "%.0f", value);
	else
		snprintf(text, text_bytes, "%.4g", value);
	return text;
}

/* ---- tables --------------------------------------------------------------------- */

void report_table_open(FILE *to, const char *const *heads)
{
	fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>", to);
	for (; *heads; heads++) {
		/* A leading blank: a column of texts. */
		fputs(**heads == ' ' ? "<th class=\"t\" scope=\"col\">" : "<th scope=\"col\">", to);
		report_html(to, *heads + (**heads == ' '));
		fputs("</th>", to);
	}
	fputs("</tr></thead>\n<tbody>\n", to);
}

void report_table_close(FILE *to)
{
	fputs("</tbody></table></div>\n", to);
}

void report_cell(FILE *to, double value)
{
	char text[32];

	fprintf(to, "<td>%s</td>", isnan(value) ? "" : report_format(value, text, sizeof(text)));
}

/* Short texts stay on one line. */
#define SHORT_TEXT 28

void report_cell_text(FILE *to, const char *text)
{
	fputs(strlen(text) <= SHORT_TEXT ? "<td class=\"s\">" : "<td class=\"t\">", to);
	report_html(to, text);
	fputs("</td>", to);
}

void report_cell_head(FILE *to, const char *text)
{
	fputs("<th scope=\"row\">", to);
	report_html(to, text);
	fputs("</th>", to);
}

/* ---- head and foot -------------------------------------------------------------------- */

static void when(char *text, size_t text_bytes)
{
	time_t now = time(NULL);
	struct tm utc;

	if (!gmtime_r(&now, &utc) || !strftime(text, text_bytes, "%Y-%m-%d %H:%M UTC", &utc))
		snprintf(text, text_bytes, "at an unknown time");
}

static void navigation(struct report *rep)
{
	static const struct {
		const char *id, *text;
		enum report_kind kind;
	} links[] = {
		{ "runs", "Policies", REPORT_RUNS },
		{ "paper", "Beside the paper", REPORT_PAPER },
		{ "bench", "What a decision costs", REPORT_DISPATCH },
		{ "other", "Other benchmarks", REPORT_OTHER },
	};
	size_t i;

	fputs("<nav aria-label=\"Sections\"><ul>\n", rep->page);
	for (i = 0; i < KM_ARRAY_NR(links); i++)
		if (report_of_kind(rep, links[i].kind))
			fprintf(rep->page, "<li><a href=\"#%s\">%s</a></li>\n", links[i].id,
				links[i].text);
	fputs("<li><a href=\"#documents\">Documents</a></li>\n"
	      "<li><a href=\"#numbers\">All numbers</a></li>\n</ul></nav>\n",
	      rep->page);
}

void report_page_open(struct report *rep)
{
	char at[64];
	uint32_t i;

	when(at, sizeof(at));
	fprintf(rep->page,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta name=\"color-scheme\" content=\"light dark\">\n"
		"<meta name=\"generator\" content=\"kamino %s (%s)\">\n"
		"<title>Kamino report</title>\n<style>\n%s</style>\n</head>\n<body>\n"
		"<header>\n<h1>Kamino report</h1>\n<p class=\"sub\">Made %s by kamino %s (%s) of ",
		km_build.version, km_build.revision, report_css, at, km_build.version,
		km_build.revision);
	for (i = 0; i < rep->doc_nr; i++) {
		fprintf(rep->page, "%s<b>%s</b> ", i ? ", " : "", rep->doc[i].tag);
		report_html(rep->page, rep->doc[i].path);
		fputs(" (kamino ", rep->page);
		report_html(rep->page, rep->doc[i].command);
		fputc(')', rep->page);
	}
	fputs("</p>\n", rep->page);
	navigation(rep);
	fputs("</header>\n<main>\n<section id=\"glance\"><h2>At a glance</h2>\n<ul class=\"glance\">\n",
	      rep->page);
	report_runs_glance(rep);
	report_paper_glance(rep);
	report_bench_glance(rep);
	fputs("</ul></section>\n", rep->page);
}

void report_page_close(struct report *rep)
{
	fprintf(rep->page,
		"</main>\n<footer>kamino %s (%s). One file: nothing is fetched, no script runs. "
		"Numbers with four digits are rounded; the last section has them in full.</footer>\n"
		"</body>\n</html>\n",
		km_build.version, km_build.revision);
}
