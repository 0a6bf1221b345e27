/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base.h"

#define PARANOID "/proc/sys/kernel/perf_event_paranoid"
#define LOAD_MISS(cache) \
	((cache) | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

static const struct {
	const char *name;
	uint32_t type;
	uint64_t config;
} counters[KM_COUNTER_NR] = {
	[KM_CYCLES] = { "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
	[KM_INSTRUCTIONS] = { "instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS },
	[KM_BRANCH_MISSES] = { "branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES },
	[KM_L1D_MISSES] = { "l1d_misses", PERF_TYPE_HW_CACHE, LOAD_MISS(PERF_COUNT_HW_CACHE_L1D) },
	[KM_LLC_MISSES] = { "llc_misses", PERF_TYPE_HW_CACHE, LOAD_MISS(PERF_COUNT_HW_CACHE_LL) },
	[KM_CACHE_MISSES] = { "cache_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES },
	[KM_DTLB_MISSES] = { "dtlb_misses", PERF_TYPE_HW_CACHE,
			     LOAD_MISS(PERF_COUNT_HW_CACHE_DTLB) },
	[KM_PAGE_FAULTS] = { .name = "page_faults" },
	[KM_CONTEXT_SWITCHES] = { .name = "context_switches" },
};

static int open_counter(uint32_t type, uint64_t config)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.config = config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = 1,
		.exclude_kernel = 1, /* what perf_event_paranoid = 2 still allows */
		.exclude_hv = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

void km_counters_open(struct km_counters *c)
{
	int i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < KM_COUNTER_HW_NR; i++) {
		c->fd[i] = open_counter(counters[i].type, counters[i].config);
		if (c->fd[i] >= 0) {
			c->is_hw = true;
			continue;
		}
		c->err[i] = c->fd[i];
		c->fd[i] = -1;
	}
	c->running[KM_PAGE_FAULTS] = c->running[KM_CONTEXT_SWITCHES] = 1;
}

static void read_usage(uint64_t *faults, uint64_t *switches)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	*faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt);
	*switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
}

void km_counters_start(struct km_counters *c)
{
	read_usage(&c->faults, &c->switches);
	if (c->is_hw)
		prctl(PR_TASK_PERF_EVENTS_ENABLE); /* all that this thread has opened */
}

void km_counters_stop(struct km_counters *c)
{
	uint64_t faults, switches;

	if (c->is_hw)
		prctl(PR_TASK_PERF_EVENTS_DISABLE);
	read_usage(&faults, &switches);
	c->sum[KM_PAGE_FAULTS] += (double)(faults - c->faults);
	c->sum[KM_CONTEXT_SWITCHES] += (double)(switches - c->switches);
}

/* Scaled to the time it was meant to count, as it may have had to share the hardware. */
static void take_sum(struct km_counters *c, int i)
{
	struct {
		uint64_t value, enabled_ns, running_ns;
	} is;

	if (read(c->fd[i], &is, sizeof(is)) != sizeof(is))
		c->err[i] = -EIO;
	else if (!is.running_ns)
		c->err[i] = -EBUSY;
	else if (!is.value && i <= KM_INSTRUCTIONS)
		c->err[i] = -ENODATA; /* nothing runs without them: a dummy */
	if (c->err[i])
		return;
	c->running[i] = (double)is.running_ns / (double)is.enabled_ns;
	c->sum[i] = (double)is.value / c->running[i];
}

void km_counters_close(struct km_counters *c)
{
	int i;

	for (i = 0; i < KM_COUNTER_HW_NR; i++) {
		if (c->fd[i] < 0)
			continue;
		take_sum(c, i);
		close(c->fd[i]);
		c->fd[i] = -1;
		/* Where cycles stand still the rest is made up as well. */
		if (!c->err[i] && c->err[KM_CYCLES] == -ENODATA)
			c->err[i] = -ENODATA;
	}
}

const char *km_counter_name(enum km_counter counter)
{
	return counters[counter].name;
}

static int read_paranoid(void)
{
	FILE *file = fopen(PARANOID, "re");
	int value = -2;

	if (!file)
		return value;
	if (fscanf(file, "%d", &value) != 1)
		value = -2;
	km_ignore(fclose(file)); /* it was only read */
	return value;
}

const char *km_counters_why(const struct km_counters *c, enum km_counter counter, char *text,
			    uint32_t text_bytes)
{
	switch (c->err[counter]) {
	case 0:
		return NULL;
	case -ENOENT:
	case -ENODEV:
	case -EOPNOTSUPP:
	case -EINVAL:
		snprintf(text, text_bytes, "the processor or virtual machine has no such counter");
		break;
	case -EACCES:
	case -EPERM:
		snprintf(text, text_bytes,
			 "not permitted: " PARANOID " is %d; at most 2 will do, or CAP_PERFMON",
			 read_paranoid());
		break;
	case -ENOSYS:
		snprintf(text, text_bytes, "the kernel has no perf events");
		break;
	case -EBUSY:
		snprintf(text, text_bytes, "it never ran: others hold the hardware's counters");
		break;
	case -ENODATA:
		snprintf(text, text_bytes, "the cycles stood still: not a real counter");
		break;
	default:
		snprintf(text, text_bytes, "%s", strerror(-c->err[counter]));
	}
	return text;
}
