/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base.h"

#define LIMIT_PATH_BYTES 4096
#define CAP_MAY_EXCEED (UINT64_C(1) << 24 | UINT64_C(1) << 21) /* CAP_SYS_RESOURCE, CAP_SYS_ADMIN */

/* ---- one number of one file ---------------------------------------------------- */

/*
 * The number after @key, which begins a line. UINT64_MAX when there is no such
 * file or key, or a word instead ("max", "unlimited").
 */
static uint64_t number_in(const char *root, const char *path, const char *key, int base)
{
	char line[256], name[LIMIT_PATH_BYTES];
	uint64_t value = UINT64_MAX;
	char *end;
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", root, path);
	file = fopen(name, "re");
	if (!file)
		return value;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		value = strtoull(line + strlen(key), &end, base);
		if (end == line + strlen(key))
			value = UINT64_MAX;
		break;
	}
	km_ignore(fclose(file)); /* it was only read */
	return value;
}

static uint64_t minus(uint64_t limit, uint64_t used)
{
	if (limit == UINT64_MAX || used == UINT64_MAX)
		return limit;
	return limit > used ? limit - used : 0;
}

/* ---- control groups ------------------------------------------------------------- */

/* A controller's files: where its tree is, the limit, what is used, and what of that can be had back. */
struct controller {
	const char *name; /* of version 1, as in /proc/self/cgroup; "" = version 2 */
	const char *tree, *max, *used, *stat, *reclaimable;
};

static const struct controller memory_groups[] = {
	{ "", "/sys/fs/cgroup", "memory.max", "memory.current", "memory.stat", "inactive_file " },
	{ "memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	  "memory.stat", "total_inactive_file " },
};
static const struct controller pid_groups[] = {
	{ "", "/sys/fs/cgroup", "pids.max", "pids.current", NULL, NULL },
	{ "pids", "/sys/fs/cgroup/pids", "pids.max", "pids.current", NULL, NULL },
};

/* Whether @line of /proc/self/cgroup, "number:controllers:path", is of @name. Cuts it up. */
static const char *path_of(char *line, const char *name)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL, *word, *save;

	if (!path)
		return NULL;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	if (!*name)
		return list[1] ? NULL : path;
	for (word = strtok_r(list + 1, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (!strcmp(word, name))
			return path;
	return NULL;
}

/* Where this process is in @of's tree; "" = at its root, as in a container that sees no more. */
static void find_group(const char *root, const struct controller *of, char *path, size_t bytes)
{
	char line[LIMIT_PATH_BYTES], name[LIMIT_PATH_BYTES];
	const char *found;
	FILE *file;

	*path = 0;
	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file)) {
		found = path_of(line, of->name);
		if (found)
			snprintf(path, bytes, "%s", found);
	}
	if (file)
		km_ignore(fclose(file)); /* it was only read */
}

static uint64_t left_at(const char *root, const struct controller *of, const char *group)
{
	char path[3][LIMIT_PATH_BYTES + 128];
	uint64_t used, back;

	snprintf(path[0], sizeof(path[0]), "%s%s/%s", of->tree, group, of->max);
	snprintf(path[1], sizeof(path[1]), "%s%s/%s", of->tree, group, of->used);
	used = number_in(root, path[1], "", 10);
	if (of->stat && used != UINT64_MAX) {
		snprintf(path[2], sizeof(path[2]), "%s%s/%s", of->tree, group, of->stat);
		back = number_in(root, path[2], of->reclaimable, 10);
		used = back == UINT64_MAX ? used : minus(used, back);
	}
	return minus(number_in(root, path[0], "", 10), used);
}

/* The least that a group on the way from ours to the root leaves. */
static uint64_t left_by_groups(const char *root, const struct controller of[2])
{
	char group[LIMIT_PATH_BYTES], *end;
	uint64_t least = UINT64_MAX;
	int version;

	for (version = 0; version < 2; version++) {
		find_group(root, &of[version], group, sizeof(group));
		do {
			end = strrchr(group, '/');
			least = km_min_u64(least, left_at(root, &of[version], group));
			if (end)
				*end = 0;
		} while (end);
	}
	return least;
}

uint64_t km_host_memory(const char *root)
{
	const uint64_t kib = number_in(root, "/proc/meminfo", "MemAvailable:", 10);

	return km_min_u64(kib == UINT64_MAX ? kib : kib << 10, left_by_groups(root, memory_groups));
}

/* ---- threads ------------------------------------------------------------------------ */

/* What the user may still start, unless it is root or may exceed limits. */
static uint64_t user_threads(const char *root)
{
	uint64_t caps = number_in(root, "/proc/self/status", "CapEff:", 16);

	if (!number_in(root, "/proc/self/status", "Uid:", 10) ||
	    (caps != UINT64_MAX && caps & CAP_MAY_EXCEED))
		return UINT64_MAX;
	return minus(number_in(root, "/proc/self/limits", "Max processes", 10),
		     number_in(root, "/proc/self/status", "Threads:", 10));
}

/* All threads of the machine: "load load load running/all last". */
static uint64_t running_threads(const char *root)
{
	char name[LIMIT_PATH_BYTES];
	uint64_t nr = UINT64_MAX;
	FILE *file;

	snprintf(name, sizeof(name), "%s/proc/loadavg", root);
	file = fopen(name, "re");
	if (!file)
		return nr;
	if (fscanf(file, "%*s %*s %*s %*u/%" SCNu64, &nr) != 1)
		nr = UINT64_MAX;
	km_ignore(fclose(file)); /* it was only read */
	return nr;
}

uint64_t km_host_threads(const char *root, const char **limit)
{
	const uint64_t running = running_threads(root);
	const struct {
		const char *name;
		uint64_t nr;
	} limits[] = {
		{ "RLIMIT_NPROC (ulimit -u)", user_threads(root) },
		{ "the control group's pids.max", left_by_groups(root, pid_groups) },
		{ "kernel.threads-max",
		  minus(number_in(root, "/proc/sys/kernel/threads-max", "", 10), running) },
		{ "kernel.pid_max",
		  minus(number_in(root, "/proc/sys/kernel/pid_max", "", 10), running) },
	};
	uint64_t least = UINT64_MAX;
	uint32_t i;

	*limit = "";
	for (i = 0; i < KM_ARRAY_NR(limits); i++) {
		if (limits[i].nr >= least)
			continue;
		least = limits[i].nr;
		*limit = limits[i].name;
	}
	return least;
}
