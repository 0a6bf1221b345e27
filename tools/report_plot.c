/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_plot.c - gnuplot as a child process: a script in, an SVG out.
 *
 * Script, picture and messages go through unnamed temporary files, so neither
 * side ever waits for the other to read. gnuplot reads no start-up file (-d).
 */
#include <ctype.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/report_internal.h"

extern char **environ;

/*
 * Letters, digits and harmless marks stay; so do the bytes of UTF-8. What could end a
 * string, begin a command, a macro or a substitution becomes a question mark. In
 * single quotes gnuplot itself expands nothing; this does not rely on it alone.
 */
static void put_string(FILE *to, const char *text, const char *percent)
{
	fputc('\'', to);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\'')
			fputs("\xe2\x80\x99", to); /* the typographic one ends no string */
		else if (c == '%')
			fputs(percent, to);
		else
			fputc(isalnum(c) || c >= 0x80 || strchr(" .,:;+/()=_-", c) ? c : '?', to);
	}
	fputc('\'', to);
}

void report_plot_text(FILE *to, const char *text)
{
	put_string(to, text, "%");
}

void report_plot_tic(FILE *to, const char *text)
{
	put_string(to, text, "%%");
}

static int no_gnuplot(struct km_diag *diag)
{
	return km_diag_set(diag, -ENOENT, NULL, 0, 0,
			   "gnuplot draws the pictures and is not installed: "
			   "apt-get install gnuplot-nox");
}

/* The child's exit status, or -errno. */
static int run(char *const *argv, FILE *in, FILE *out, FILE *messages)
{
	posix_spawn_file_actions_t actions;
	int err, status;
	pid_t pid;

	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, fileno(messages), STDERR_FILENO);
	if (!err)
		err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int report_plot_find(struct km_diag *diag)
{
	char name[] = "gnuplot", option[] = "--version", *argv[] = { name, option, NULL };
	FILE *file = tmpfile();
	int rc = file ? run(argv, file, file, file) : -errno;

	if (file)
		km_ignore(fclose(file)); /* it goes away */
	if (rc == -ENOENT || rc == 127)
		return no_gnuplot(diag);
	if (rc)
		return km_diag_set(diag, rc < 0 ? rc : -EIO, NULL, 0, 0, "gnuplot does not run: %s",
				   rc < 0 ? strerror(-rc) : "it fails");
	return 0;
}

/* ---- from gnuplot's SVG to ours --------------------------------------------- */

/* Replace each @from in @line by @to; what does not fit is cut, which a test would see. */
static void replace(char *line, size_t line_bytes, const char *from, const char *to)
{
	size_t from_len = strlen(from), to_len = strlen(to), tail;
	char *at = line;

	while ((at = strstr(at, from))) {
		tail = strlen(at + from_len) + 1;
		if ((size_t)(at - line) + to_len + tail > line_bytes)
			return;
		memmove(at + to_len, at + from_len, tail);
		memcpy(at, to, to_len);
		at += to_len;
	}
}

/* The names of plots say nothing; readers would show them. */
static void drop_title(char *line)
{
	char *start = strstr(line, "<title>gnuplot_"), *end;

	end = start ? strstr(start, "</title>") : NULL;
	if (end)
		memmove(start, end + 8, strlen(end + 8) + 1);
}

static void copy_line(FILE *to, char *line, size_t line_bytes, uint32_t nr)
{
	char id[32];

	drop_title(line);
	snprintf(id, sizeof(id), "id='f%u-gp", nr);
	replace(line, line_bytes, "id='gp", id);
	snprintf(id, sizeof(id), "'#f%u-gp", nr);
	replace(line, line_bytes, "'#gp", id);
	snprintf(id, sizeof(id), "id=\"f%u-", nr);
	replace(line, line_bytes, "id=\"gnuplot_", id);
	/* Black is the reader's text colour, light or dark. */
	replace(line, line_bytes, "=\"black\"", "=\"currentColor\"");
	replace(line, line_bytes, "='black'", "='currentColor'");
	fputs(line, to);
}

/* Everything behind the description that gnuplot writes, without what is not used. */
static void copy_svg(FILE *to, FILE *svg, uint32_t nr)
{
	char *line = NULL, group[512] = "";
	size_t room = 0;
	bool filter = false;

	while (getline(&line, &room, svg) >= 0) {
		size_t need = 2 * strlen(line) + 64;
		char *grown;

		if (strstr(line, "<filter "))
			filter = true;
		if (!filter && !strncmp(line, "<g fill", 7) && strlen(line) < sizeof(group)) {
			if (group[0])
				copy_line(to, group, sizeof(group), nr);
			snprintf(group, sizeof(group), "%s", line);
			continue;
		}
		/* A group that ends where it begins is left out. */
		if (group[0] && !strcmp(line, "</g>\n")) {
			group[0] = '\0';
			continue;
		}
		if (group[0])
			copy_line(to, group, sizeof(group), nr);
		group[0] = '\0';
		if (room < need) {
			grown = realloc(line, need);
			if (!grown)
				break;
			line = grown;
			room = need;
		}
		if (!filter && line[0] != '\n')
			copy_line(to, line, room, nr);
		if (strstr(line, "</filter>"))
			filter = false;
	}
	free(line);
}

/* Our own tag in place of gnuplot's, which ends behind its <desc>. */
static int take_svg(FILE *to, FILE *svg, uint32_t nr, const char *head)
{
	char line[512], box[64] = "";

	while (fgets(line, sizeof(line), svg)) {
		if (!strncmp(line, " viewBox=", 9))
			snprintf(box, sizeof(box), "%.*s", (int)strcspn(line, "\n"), line);
		if (strncmp(line, "<desc>", 6))
			continue;
		fprintf(to,
			"<svg%s xmlns=\"http://www.w3.org/2000/svg\" "
			"xmlns:xlink=\"http://www.w3.org/1999/xlink\" role=\"img\" "
			"aria-labelledby=\"f%u-title f%u-desc\">\n%s",
			box, nr, nr, head);
		copy_svg(to, svg, nr);
		return 0;
	}
	return -EIO;
}

/* The line of gnuplot's messages that says what is wrong. */
static void last_words(FILE *messages, char *words, size_t words_bytes)
{
	char line[256];

	words[0] = '\0';
	rewind(messages);
	while (fgets(line, sizeof(line), messages)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, " \t^")])
			snprintf(words, words_bytes, "%s", line + strspn(line, " \t^"));
	}
}

int report_plot(FILE *to, const char *script, size_t script_bytes, uint32_t nr, const char *head,
		struct km_diag *diag)
{
	char name[] = "gnuplot", option[] = "-d", *argv[] = { name, option, NULL };
	FILE *in = tmpfile(), *svg = tmpfile(), *messages = tmpfile();
	char words[200] = "it wrote no picture";
	int rc = -errno;

	if (in && svg && messages) {
		rc = -EIO;
		if (fwrite(script, 1, script_bytes, in) == script_bytes && !fflush(in)) {
			rewind(in);
			rc = run(argv, in, svg, messages);
		}
		if (rc > 0)
			last_words(messages, words, sizeof(words));
		if (!rc) {
			rewind(svg);
			rc = take_svg(to, svg, nr, head);
		}
	}
	if (in)
		km_ignore(fclose(in)); /* they go away */
	if (svg)
		km_ignore(fclose(svg));
	if (messages)
		km_ignore(fclose(messages));
	if (rc == -ENOENT)
		return no_gnuplot(diag);
	if (rc)
		return km_diag_set(diag, rc < 0 ? rc : -EIO, NULL, 0, 0,
				   "gnuplot could not draw picture %u: %s", nr,
				   rc < 0 && rc != -EIO ? strerror(-rc) : words);
	return 0;
}
