/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/json.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/clock.h"
#include "numa/topo.h"
#include "tools/build.h"

#define UNAVAILABLE "unavailable"

/* Twelve digits: no measurement of ours has more, and 0.1 stays "0.1". */
#define REAL_DIGITS 12

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
