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

json_t *km_json_host(void)
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
	err |= json_object_set_new(doc, "host", km_json_host());
	err |= json_object_set_new(doc, "params", params ? params : json_object());
	err |= json_object_set_new(doc, "results", results);
	if (err) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

int km_json_print(json_t *doc, FILE *to)
{
	if (!doc)
		return -ENOMEM;
	if (json_dumpf(doc, to, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS)) ||
	    fputc('\n', to) == EOF || fflush(to))
		return -EIO;
	return 0;
}

json_t *km_json_us(const struct km_hist *hist)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:f}", "mean", km_hist_mean(hist) / 1e3, "p50",
			 (double)km_hist_quantile(hist, .5) / 1e3, "p90",
			 (double)km_hist_quantile(hist, .9) / 1e3, "p99",
			 (double)km_hist_quantile(hist, .99) / 1e3, "max",
			 hist->count ? (double)hist->max / 1e3 : 0.0);
}

/* Close where the tail is: a picture of 1 - at on a logarithmic scale. */
static const double quantile_at[] = {
	0,   .01,   .02,  .05,	 .1,   .15,  .2,    .25,   .3,	  .35,	  .4,	  .45, .5,  .55,
	.6,  .65,   .7,	  .75,	 .8,   .85,  .9,    .92,   .94,	  .95,	  .96,	  .97, .98, .985,
	.99, .9925, .995, .9975, .998, .999, .9995, .9998, .9999, .99995, .99999, 1,
};

static json_t *quantiles(const struct km_hist *hist)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(quantile_at); i++)
		if (json_array_append_new(
			    list, json_real((double)km_hist_quantile(hist, quantile_at[i]) / 1e3)))
			break;
	if (i == KM_ARRAY_NR(quantile_at))
		return list;
	json_decref(list);
	return NULL;
}

json_t *km_json_quantiles_us(const struct km_hist *latency, const struct km_hist *wait,
			     const struct km_hist *processing)
{
	json_t *at = json_array();
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(quantile_at); i++)
		json_array_append_new(at, json_real(quantile_at[i]));
	return json_pack("{s:o,s:o,s:o,s:o}", "at", at, "latency", quantiles(latency), "wait",
			 quantiles(wait), "processing", quantiles(processing));
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
