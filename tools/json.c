/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "numa/topo.h"
#include "tools/build.h"

#define UNAVAILABLE "unavailable"

/* Twelve digits: no measurement of ours has more, and 0.1 stays "0.1". */
#define REAL_DIGITS 12

/* Of a document that is read; ours are a few MiB at most. */
#define LOAD_BYTES_MAX (256L << 20)

#define GOVERNOR "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"

/* The first line of @path that starts with @key, from behind @skip; false when there is none. */
static bool read_line(const char *path, const char *key, char skip, char *text, size_t text_bytes)
{
	char line[512], *value = NULL;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (!value && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = skip ? strchr(line, skip) : line;
	km_ignore(fclose(file)); /* it was only read */
	if (!value)
		return false;
	value += skip ? 1 : 0;
	value += strspn(value, " \t");
	value[strcspn(value, "\n")] = '\0';
	snprintf(text, text_bytes, "%s", value);
	return true;
}

static json_t *line_of(const char *path, const char *key, char skip)
{
	json_t *line = NULL;
	char text[256];

	if (read_line(path, key, skip, text, sizeof(text)))
		line = json_string(text); /* NULL for what is not UTF-8 */
	return line ? line : json_string(UNAVAILABLE);
}

static json_t *kernel(void)
{
	struct utsname name;

	return uname(&name) ? json_string(UNAVAILABLE)
			    : json_sprintf("%s %s %s", name.sysname, name.release, name.machine);
}

static json_t *memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? json_integer((json_int_t)pages * page) : json_null();
}

/* In UTC, to the second. */
static json_t *made_at(void)
{
	time_t now = time(NULL);
	struct tm utc;
	char text[32];

	if (!gmtime_r(&now, &utc) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc))
		return json_string(UNAVAILABLE);
	return json_string(text);
}

/* As it was given, the words separated by blanks. */
static json_t *command_line(void)
{
	FILE *file = fopen("/proc/self/cmdline", "re");
	char text[4096];
	size_t i, nr = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	json_t *line;

	if (file)
		km_ignore(fclose(file)); /* it was only read */
	for (i = 0; i + 1 < nr; i++)
		if (!text[i])
			text[i] = ' ';
	text[nr] = '\0';
	line = nr ? json_string(text) : NULL; /* NULL for what is not UTF-8 */
	return line ? line : json_string(UNAVAILABLE);
}

/* Whether each of the members could be made is what json_object_set_new() returns. */
static int set_cores(json_t *host)
{
	struct km_topo *topo;
	int err;

	if (km_topo_open(&topo, NULL, NULL, NULL))
		return json_object_set_new(host, "cores", json_null());
	err = json_object_set_new(host, "nodes", json_integer(km_topo_summary(topo)->node_nr));
	err |= json_object_set_new(host, "cores", json_integer(km_topo_summary(topo)->core_nr));
	err |= json_object_set_new(host, "cpus", json_integer(km_topo_summary(topo)->cpu_nr));
	km_topo_close(topo);
	return err;
}

/* The machine and the build; what the machine does not tell is "unavailable", or null for a number. */
static json_t *host_json(void)
{
	json_t *host = json_object();
	int err;

	err = json_object_set_new(host, "cpu", line_of("/proc/cpuinfo", "model name", ':'));
	err |= set_cores(host);
	err |= json_object_set_new(host, "memory_bytes", memory());
	err |= json_object_set_new(host, "kernel", kernel());
	err |= json_object_set_new(host, "governor", line_of(GOVERNOR, "", 0));
	err |= json_object_set_new(host, "clock", json_string(km_clock_source()));
	err |= json_object_set_new(host, "compiler", json_string(km_build.compiler));
	err |= json_object_set_new(host, "flags", json_string(km_build.flags));
	err |= json_object_set_new(host, "version", json_string(km_build.version));
	err |= json_object_set_new(host, "revision", json_string(km_build.revision));
	err |= json_object_set_new(host, "command_line", command_line());
	err |= json_object_set_new(host, "made_at", made_at());
	if (err) {
		json_decref(host);
		return NULL;
	}
	return host;
}

json_t *km_json_envelope(const char *command, json_t *params, json_t *results)
{
	json_t *doc = json_object();
	int err;

	err = json_object_set_new(doc, "schema", json_string(KM_JSON_SCHEMA));
	err |= json_object_set_new(doc, "command", json_string(command));
	err |= json_object_set_new(doc, "host", host_json());
	err |= json_object_set_new(doc, "params", params ? params : json_object());
	err |= json_object_set_new(doc, "results", results);
	if (err) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

bool km_json_is_plain(const json_t *value)
{
	return value && !json_is_object(value) && !json_is_array(value);
}

bool km_json_is_plain_list(const json_t *value)
{
	size_t i;

	for (i = 0; i < json_array_size(value); i++)
		if (!km_json_is_plain(json_array_get(value, i)))
			return false;
	return json_is_array(value);
}

static int print_on_a_line(const json_t *value, FILE *to)
{
	return json_dumpf(value, to, JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS)) ? -EIO : 0;
}

static int print_key(const char *key, FILE *to)
{
	json_t *text = json_string(key);
	int err = text ? print_on_a_line(text, to) : -ENOMEM;

	fputs(": ", to);
	json_decref(text);
	return err;
}

/* As JSON_INDENT(2), but for lists of plain values: a series is a line, not a page. */
static int print_value(json_t *value, FILE *to, int depth)
{
	const char *key, *between = "\n";
	json_t *member;
	int err = 0;
	size_t i;

	if (km_json_is_plain(value) || km_json_is_plain_list(value) ||
	    (json_is_object(value) && !json_object_size(value)))
		return print_on_a_line(value, to);
	putc(json_is_object(value) ? '{' : '[', to);
	json_object_foreach(value, key, member) {
		fprintf(to, "%s%*s", between, 2 * depth + 2, "");
		err = err ? err : print_key(key, to);
		err = err ? err : print_value(member, to, depth + 1);
		between = ",\n";
	}
	json_array_foreach(value, i, member) {
		fprintf(to, "%s%*s", between, 2 * depth + 2, "");
		err = err ? err : print_value(member, to, depth + 1);
		between = ",\n";
	}
	fprintf(to, "\n%*s%c", 2 * depth, "", json_is_object(value) ? '}' : ']');
	return err;
}

int km_json_print(json_t *doc, FILE *to)
{
	int err = doc ? print_value(doc, to, 0) : -ENOMEM;

	if (!err && (fputc('\n', to) == EOF || fflush(to) || ferror(to)))
		err = -EIO;
	return err;
}

json_t *km_json_us(const struct km_hist *hist)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:f}", "mean", km_hist_mean(hist) / 1e3, "p50",
			 (double)km_hist_quantile(hist, .5) / 1e3, "p90",
			 (double)km_hist_quantile(hist, .9) / 1e3, "p99",
			 (double)km_hist_quantile(hist, .99) / 1e3, "max",
			 hist->count ? (double)hist->max / 1e3 : 0.0);
}

int km_json_load(json_t **doc, const char *path, struct km_diag *diag)
{
	bool standard = !strcmp(path, "-");
	FILE *from = standard ? stdin : fopen(path, "re");
	const char *name = standard ? "standard input" : path;
	struct stat about;
	json_error_t wrong;

	if (!from)
		return km_diag_set(diag, -errno, name, 0, 0, "%s", strerror(errno));
	if (!fstat(fileno(from), &about) && about.st_size > LOAD_BYTES_MAX) {
		km_ignore(fclose(from)); /* it was only read */
		return km_diag_set(diag, -EFBIG, name, 0, 0, "over 256 MiB: no document of kamino");
	}
	*doc = json_loadf(from, 0, &wrong);
	if (!standard)
		km_ignore(fclose(from)); /* it was only read */
	if (*doc)
		return 0;
	return km_diag_set(diag, -EINVAL, name, wrong.line > 0 ? (uint64_t)wrong.line : 0,
			   wrong.column > 0 ? (uint32_t)wrong.column : 0, "not JSON: %s",
			   wrong.text);
}
