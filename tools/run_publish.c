/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/run_publish.c - how "kamino run" shows itself to "kamino top".
 */
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tools/build.h"
#include "tools/run_internal.h"

#define NAME_MAX_NR 32

/* For the signal handler; the process runs one world. */
static char abandon_path[256];
static _Atomic bool abandon;

/* Until the runs catch interrupts themselves: an interrupt ends the process, but not before this. */
static void on_early_end(int sig)
{
	run_publish_abandon();
	raise(sig); /* SA_RESETHAND: ends it now as it would have */
}

static void catch_early_end(int sig)
{
	const struct sigaction act = { .sa_handler = on_early_end, .sa_flags = SA_RESETHAND };
	struct sigaction old;

	if (!sigaction(sig, NULL, &old) && old.sa_handler == SIG_DFL)
		sigaction(sig, &act, NULL);
}

bool run_name_ok(const char *name)
{
	size_t nr = strlen(name);

	return nr && nr <= NAME_MAX_NR &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       nr;
}

void run_publish_open(struct run_world *w)
{
	struct km_seg_head head = { .agent_nr = w->opt.agents, .seed = w->opt.seed };
	struct km_diag diag;
	struct timespec now;
	char text[640];

	if (w->opt.no_publish)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	head.started_unix_ns = (uint64_t)now.tv_sec * KM_NS_PER_S + (uint64_t)now.tv_nsec;
	snprintf(head.name, sizeof(head.name), "%s", w->opt.name ? w->opt.name : "");
	snprintf(head.version, sizeof(head.version), "%s", km_build.version);
	snprintf(head.policies, sizeof(head.policies), "%s", w->opt.policy);
	km_segment_clean();
	if (km_publisher_create(&w->publisher, &head, w->plan, &diag)) {
		fprintf(stderr, "kamino run: nothing for 'kamino top' to look at: %s\n",
			km_diag_format(&diag, text, sizeof(text)));
		return;
	}
	snprintf(abandon_path, sizeof(abandon_path), "%s", km_publisher_path(w->publisher));
	/* relaxed: every other thread is made later, which orders the path as well */
	atomic_store_explicit(&abandon, true, memory_order_relaxed);
	catch_early_end(SIGINT);
	catch_early_end(SIGTERM);
}

void run_publish_close(struct run_world *w)
{
	km_publisher_destroy(w->publisher);
	w->publisher = NULL;
}

void run_publish_abandon(void)
{
	/* relaxed: see run_publish_open() */
	if (atomic_load_explicit(&abandon, memory_order_relaxed))
		unlink(abandon_path);
}

/* ---- names of types ---------------------------------------------------------------- */

/* The job of request @req_id; requests are the jobs that create, numbered from 1. */
static const struct km_job *job_of(struct run_namer *namer, const struct km_replay_plan *plan,
				   uint64_t req_id)
{
	/* From where the last one was found: those that are shown are near each other. */
	while (namer->req_id < req_id && namer->job_idx < plan->job_nr)
		namer->req_id += plan->job[namer->job_idx++].op == KM_OP_CREATE;
	while (namer->req_id > req_id)
		namer->req_id -= plan->job[--namer->job_idx].op == KM_OP_CREATE;
	while (namer->job_idx && plan->job[namer->job_idx - 1].op != KM_OP_CREATE)
		namer->job_idx--;
	return namer->job_idx && namer->req_id == req_id ? &plan->job[namer->job_idx - 1] : NULL;
}

static void append(char *text, size_t bytes, const char *fmt, ...) KM_PRINTF(3, 4);

static void append(char *text, size_t bytes, const char *fmt, ...)
{
	const size_t nr = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + nr, bytes - nr, fmt, args);
	va_end(args);
}

/* What its first part asks for, of the traits that some rule heeds. */
static void name_type(void *ctx, uint64_t req_id, char *text, size_t bytes)
{
	struct run_world *w = ctx;
	const struct km_trace_schema *schema = &w->trace->schema;
	const struct km_job *job = job_of(&w->namer, w->jobs, req_id);
	const struct km_event *event;
	uint32_t i;

	if (!job)
		return;
	event = &w->trace->event[w->jobs->part[job->part_first].event_idx];
	for (i = 0; i < schema->trait_nr; i++)
		if (event->trait[i] && w->namer.traits >> KM_TRAIT_COLUMN(i) & 1)
			append(text, bytes, "%s%s %s", *text ? ", " : "", schema->trait_name[i],
			       km_dict_text(schema->values[i], event->trait[i] - 1));
	for (i = 0; i < KM_RES_NR; i++)
		if (event->res[i] > 0 && w->namer.traits >> KM_TRAIT_RES(i) & 1)
			append(text, bytes, "%s%s %g", *text ? ", " : "", km_res_name[i],
			       (double)event->res[i] / KM_RES_SCALE);
}

void run_publish_start(struct run_world *w, const struct km_runtime *rt, struct km_store *store,
		       const struct km_policy *policy, const struct km_workload *workload,
		       uint64_t create_nr)
{
	const struct km_publish_run run = {
		.rt = rt,
		.ops = &km_store_memory,
		.store = store,
		.phase = w->policy_idx ? "serving" : "calibrating",
		.policy = policy->name,
		.policy_idx = w->policy_idx,
		.policy_nr = w->policy_nr,
		.request_nr = create_nr,
		.server_nr = w->inv->server_nr,
		.rule_nr = w->rules->rule_nr,
		.cache_bytes = w->cache_bytes,
		.type_name = name_type,
		.type_name_ctx = w,
	};
	uint32_t r;

	w->namer = (struct run_namer){ 0 };
	for (r = 0; r < workload->rule_nr; r++)
		w->namer.traits |= workload->rules[r].traits;
	km_publisher_start(w->publisher, &run);
}
