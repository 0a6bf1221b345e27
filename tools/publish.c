/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"

#define EVERY_NS KM_SHOW_EVERY_NS
#define PHASE_EVERY_NS (100 * KM_NS_PER_MS)

/* Figures "of the last second" compare with the moment that many ticks ago. */
#define MOMENT_NR 4u

struct moment {
	uint64_t now_ns, decided;
	struct km_seg_judge judge;
	struct km_hist decision_ns;
	struct km_seg_counts *counts; /* [agent_nr] */
};

struct km_publisher {
	struct km_segment *seg;
	struct km_seg_block block;
	const struct km_plan *plan;
	struct km_publish_run run; /* rt NULL: none */
	uint64_t due_ns;
	struct km_seg_judge judge;
	uint64_t done_nr;
	struct km_seg_decision done[KM_SEG_DONE_NR]; /* a ring */
	struct moment moment[MOMENT_NR]; /* a ring */
	uint64_t moment_nr;
	struct km_hist decision_ns; /* scratch */
};

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * KM_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void set_text(char *to, size_t bytes, const char *text)
{
	memset(to, 0, bytes);
	snprintf(to, bytes, "%s", text);
}

static void write_block(struct km_publisher *pub, uint64_t now_ns)
{
	pub->block.run->now_ns = now_ns;
	pub->block.run->now_mono_ns = mono_ns();
	km_segment_write(pub->seg, &pub->block);
}

/* ---- create and destroy ---------------------------------------------------------- */

static void free_publisher(struct km_publisher *pub)
{
	uint32_t i;

	km_segment_destroy(pub->seg);
	for (i = 0; i < MOMENT_NR; i++)
		free(pub->moment[i].counts);
	km_seg_block_fini(&pub->block);
	free(pub);
}

static void set_places(struct km_publisher *pub)
{
	uint32_t i;

	for (i = 0; i < pub->plan->agent_nr; i++) {
		pub->block.agent[i].cpu = pub->plan->agent[i].cpu;
		pub->block.agent[i].node = pub->plan->agent[i].node;
		pub->block.agent[i].owned = pub->plan->agent[i].owned;
	}
}

int km_publisher_create(struct km_publisher **out, const struct km_seg_head *head,
			const struct km_plan *plan, struct km_diag *diag)
{
	struct km_publisher *pub = calloc(1, sizeof(*pub));
	uint32_t i;
	int err;

	if (!pub)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	pub->plan = plan;
	err = km_seg_block_init(&pub->block, plan->agent_nr);
	for (i = 0; i < MOMENT_NR && !err; i++) {
		pub->moment[i].counts = calloc(plan->agent_nr, sizeof(struct km_seg_counts));
		err = pub->moment[i].counts ? 0 : -ENOMEM;
	}
	if (err) {
		km_diag_set(diag, err, NULL, 0, 0, "out of memory");
	} else {
		set_places(pub);
		err = km_segment_create(&pub->seg, head, diag);
	}
	if (err) {
		free_publisher(pub);
		return err;
	}
	km_publisher_phase(pub, "setting up", 0, 0);
	*out = pub;
	return 0;
}

const char *km_publisher_path(const struct km_publisher *pub)
{
	return km_segment_path(pub->seg);
}

void km_publisher_destroy(struct km_publisher *pub)
{
	if (!pub)
		return;
	pub->block.run->state = KM_SEG_ENDED;
	set_text(pub->block.run->phase, sizeof(pub->block.run->phase), "ended");
	write_block(pub, km_clock_ns());
	free_publisher(pub);
}

void km_publisher_phase(struct km_publisher *pub, const char *phase, uint64_t done, uint64_t all)
{
	uint64_t now_ns = km_clock_ns();
	struct km_seg_run *run;

	if (!pub || pub->run.rt)
		return;
	run = pub->block.run;
	if (now_ns < pub->due_ns && !strncmp(run->phase, phase, sizeof(run->phase) - 1))
		return;
	pub->due_ns = now_ns + PHASE_EVERY_NS;
	run->state = KM_SEG_PREPARING;
	set_text(run->phase, sizeof(run->phase), phase);
	run->phase_done = done;
	run->phase_all = all;
	write_block(pub, now_ns);
}

/* ---- gathering --------------------------------------------------------------------- */

static void take_agent(struct km_publisher *pub, uint32_t i)
{
	struct km_agent_glance glance = km_runtime_glance(pub->run.rt, i);
	struct km_seg_agent *agent = &pub->block.agent[i];

	agent->busy = glance.busy;
	agent->queued_nr = glance.queued_nr;
	agent->wait_ns = glance.wait_ns;
	agent->remaining_ns = glance.remaining_ns;
	agent->cache_bytes = glance.cache_bytes;
	agent->now = (struct km_seg_counts){
		.served = glance.served,
		.top_hits = glance.top_hits,
		.top_misses = glance.top_misses,
		.rule_hits = glance.rule_hits,
		.busy_ns = glance.busy_ns,
	};
}

static void take_reasons(struct km_seg_decision *to, uint64_t req_id, uint32_t type_id,
			 const struct km_decision *from)
{
	*to = (struct km_seg_decision){
		.req_id = req_id,
		.type_id = type_id,
		.decided_ns = from->decided_ns,
		.agent = from->agent_idx,
		.runner_up = from->runner_up_idx,
		.wait_ns = from->wait_ns,
		.remaining_ns = from->remaining_ns,
		.processing_ns = from->processing_ns,
		.margin_ns = from->margin_ns,
		.top_hit = from->top_hit,
		.rule_hit_nr = from->rule_hit_nr,
	};
}

static void name_types(struct km_publisher *pub, struct km_seg_decision *list, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++) {
		memset(list[i].type_name, 0, sizeof(list[i].type_name));
		pub->run.type_name(pub->run.type_name_ctx, list[i].req_id, list[i].type_name,
				   sizeof(list[i].type_name));
	}
}

static void take_decisions(struct km_publisher *pub)
{
	const struct km_records *records = km_runtime_records(pub->run.rt);
	struct km_seg_run *run = pub->block.run;
	struct km_record record;
	uint64_t i;

	run->decided = km_records_nr(records);
	for (i = run->decided_nr = 0; i < KM_SEG_DECIDED_NR; i++)
		if (km_records_recent(records, i, &record))
			take_reasons(&pub->block.decided[run->decided_nr++], record.req_id,
				     record.type_id, &record.decision);
	run->done_nr = km_min_u64(pub->done_nr, KM_SEG_DONE_NR);
	for (i = 0; i < run->done_nr; i++)
		pub->block.done[i] = pub->done[(pub->done_nr - 1 - i) % KM_SEG_DONE_NR];
	name_types(pub, pub->block.decided, run->decided_nr);
	name_types(pub, pub->block.done, run->done_nr);
}

static void take_store(struct km_publisher *pub)
{
	struct km_store_stats stats = pub->run.ops->stats(pub->run.store);
	struct km_seg_run *run = pub->block.run;

	run->store_commits = stats.commits;
	run->store_over = stats.over;
	run->store_affinity = stats.affinity;
	run->store_duplicate = stats.duplicate;
	run->store_bad = stats.bad;
}

static void take_replay(struct km_seg_run *run, const struct km_replay_result *result)
{
	uint32_t i;

	run->submitted = result->submitted;
	run->phase_done = 0;
	for (i = 0; i < KM_OUTCOME_NR; i++) {
		run->outcome[i] = result->outcome[i];
		run->phase_done += result->outcome[i];
	}
}

/* The window: from the oldest moment kept until now, which is kept in its place. */
static void compare(struct km_publisher *pub, uint64_t now_ns)
{
	struct moment *moment = &pub->moment[pub->moment_nr % MOMENT_NR];
	struct km_hist *hist = &pub->decision_ns;
	struct km_seg_run *run = pub->block.run;
	uint32_t i;

	run->window_ns = now_ns - moment->now_ns;
	run->decided_then = moment->decided;
	run->judge = pub->judge;
	run->judge_then = moment->judge;
	for (i = 0; i < pub->block.agent_nr; i++) {
		take_agent(pub, i);
		pub->block.agent[i].then = moment->counts[i];
		moment->counts[i] = pub->block.agent[i].now;
	}
	km_runtime_decisions(pub->run.rt, hist);
	km_hist_since(hist, &moment->decision_ns);
	run->window_decision_ns_p50 = km_hist_quantile(hist, .5);
	run->window_decision_ns_p99 = km_hist_quantile(hist, .99);
	km_runtime_decisions(pub->run.rt, hist);
	run->decision_ns_p50 = km_hist_quantile(hist, .5);
	run->decision_ns_p99 = km_hist_quantile(hist, .99);
	run->decision_ns_max = hist->max;
	moment->now_ns = now_ns;
	moment->decided = run->decided;
	moment->judge = pub->judge;
	moment->decision_ns = *hist;
	pub->moment_nr++;
}

static void gather(struct km_publisher *pub, const struct km_replay_result *result, uint64_t now_ns)
{
	take_replay(pub->block.run, result);
	pub->block.run->waiting = km_runtime_waiting(pub->run.rt);
	take_decisions(pub);
	take_store(pub);
	compare(pub, now_ns);
	write_block(pub, now_ns);
}

/* ---- one policy's run ----------------------------------------------------------------- */

void km_publisher_start(struct km_publisher *pub, const struct km_publish_run *run)
{
	struct km_seg_run *show;
	uint64_t now_ns = km_clock_ns();
	uint32_t i;

	if (!pub)
		return;
	pub->run = *run;
	pub->done_nr = pub->moment_nr = pub->due_ns = 0;
	memset(&pub->judge, 0, sizeof(pub->judge));
	for (i = 0; i < MOMENT_NR; i++) {
		struct km_seg_counts *counts = pub->moment[i].counts;

		memset(&pub->moment[i], 0, sizeof(pub->moment[i]));
		memset(counts, 0, pub->block.agent_nr * sizeof(*counts));
		pub->moment[i].counts = counts;
		pub->moment[i].now_ns = now_ns;
	}
	memset(pub->block.word, 0, pub->block.word_nr * sizeof(*pub->block.word));
	set_places(pub);
	show = pub->block.run;
	show->state = KM_SEG_SERVING;
	show->begun_ns = now_ns;
	show->phase_all = run->request_nr;
	show->policy_idx = run->policy_idx;
	show->policy_nr = run->policy_nr;
	show->server_nr = run->server_nr;
	show->rule_nr = run->rule_nr;
	show->cache_bytes = run->cache_bytes;
	set_text(show->phase, sizeof(show->phase), run->phase);
	set_text(show->policy, sizeof(show->policy), run->policy);
	write_block(pub, now_ns);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void km_publisher_reaped(struct km_publisher *pub, const struct km_req *req)
{
	const struct km_decision *d = &req->decision;
	uint64_t took_ns = req->end_ns - req->start_ns;
	struct km_seg_decision *done;

	if (!pub || !pub->run.rt)
		return;
	pub->judge.done++;
	pub->judge.top_right += req->top_hit == d->top_hit;
	pub->judge.error_ns += distance(d->processing_ns, took_ns);
	pub->judge.processing_ns += took_ns;
	pub->judge.conflicts += req->conflicts;
	done = &pub->done[pub->done_nr++ % KM_SEG_DONE_NR];
	take_reasons(done, req->id, km_runtime_type_id(pub->run.rt, req), d);
	done->done = true;
	done->real_wait_ns = req->start_ns - km_min_u64(d->decided_ns, req->start_ns);
	done->real_processing_ns = took_ns;
	done->real_top_hit = req->top_hit;
	done->real_rule_hits = req->rule_hits;
	done->outcome = req->outcome;
	done->conflicts = req->conflicts;
}

void km_publisher_tick(struct km_publisher *pub, const struct km_replay_result *result,
		       uint64_t now_ns)
{
	if (!pub || !pub->run.rt || now_ns < pub->due_ns)
		return;
	pub->due_ns = now_ns + EVERY_NS;
	gather(pub, result, now_ns);
}

void km_publisher_stop(struct km_publisher *pub, const struct km_replay_result *result)
{
	if (!pub || !pub->run.rt)
		return;
	gather(pub, result, km_clock_ns());
	pub->run.rt = NULL;
}
