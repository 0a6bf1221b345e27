/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/stage.h - the real dispatcher without its thread, before agents that
 * somebody plays: for benchmarks and tests that look at one decision.
 *
 * One thread plays the dispatcher's loop, step by step, another one all the
 * agents, by the protocol that real agents use: ring, summary, digest. Nothing
 * here decides anything: the steps are those of core/dispatcher.c.
 */
#ifndef KM_CORE_STAGE_H
#define KM_CORE_STAGE_H

#include "cache/digest.h"
#include "core/policy.h"
#include "core/record.h"
#include "core/req.h"
#include "core/workload.h"

struct km_stage; /* a runtime in which no thread was started */

/**
 * struct km_stage_cfg
 * @workload: kept by the caller; its ops are not called.
 * @view_rule_nr: rules that the view knows of: at most workload->rule_nr.
 * @window: slots of an agent's ring; a power of two.
 * @ingress_nr: slots of the ingress; a power of two.
 */
struct km_stage_cfg {
	const struct km_workload *workload;
	const struct km_policy *policy;
	uint32_t agent_nr, view_rule_nr, window, ingress_nr, type_cap, rule_obj_cap;
	bool count_serving;
	uint64_t seed;
};

/**
 * km_stage_create() - agents idle and empty, no estimates yet.
 * @out: set on success only; release with km_stage_destroy().
 * Context: a thread started with lib/snap.h. Return: 0; -EINVAL; -ENOMEM.
 */
int km_stage_create(struct km_stage **out, const struct km_stage_cfg *cfg) KM_MUST_CHECK;

/** km_stage_destroy() - both sides have stopped; requests inside are forgotten. */
void km_stage_destroy(struct km_stage *stage);

/** km_stage_estimate() - publish @table, which becomes the stage's. */
void km_stage_estimate(struct km_stage *stage, struct km_estimates *table);

/* ---- the dispatcher's side: one thread ---------------------------------------- */

/** km_stage_types() - the classifier. */
struct km_types *km_stage_types(struct km_stage *stage);
/** km_stage_view() - what the dispatcher knows now; read only. */
const struct km_view *km_stage_view(const struct km_stage *stage);
/** km_stage_records() - its records. */
const struct km_records *km_stage_records(const struct km_stage *stage);

/** km_stage_enter() - begin a turn: a snapshot section, the estimates, the time. */
void km_stage_enter(struct km_stage *stage);
/** km_stage_leave() - end the turn; the thread holds no snapshot then. */
void km_stage_leave(struct km_stage *stage);

/**
 * km_stage_look() - take over what the agents did since the last look; decide what waited.
 * Return: whether an agent finished something. Context: within a turn.
 */
bool km_stage_look(struct km_stage *stage);

/**
 * km_stage_look_at() - the same at a time that the caller counts, which stays the turn's.
 * Context: within a turn; once used, km_stage_look() and km_stage_turn() are not.
 */
bool km_stage_look_at(struct km_stage *stage, uint64_t now_ns);

/**
 * km_stage_classify() - types for all of @req[0..nr), each with its references.
 * Return: how many got one. Context: within a turn.
 */
uint32_t km_stage_classify(struct km_stage *stage, struct km_req *const *req, uint32_t nr);

/**
 * km_stage_place() - from the end of classification to the handle in the ring:
 * decide, account, record, push, for each of @req[0..nr) in turn.
 * Context: within a turn. Wakes nobody.
 */
void km_stage_place(struct km_stage *stage, struct km_req *const *req, uint32_t nr);

/** km_stage_submit() - into the ingress. Return: false when it is full. */
bool km_stage_submit(struct km_stage *stage, struct km_req *req);

/**
 * km_stage_turn() - one turn of the dispatcher's own loop, all of it.
 * Return: requests decided since the stage was made.
 */
uint64_t km_stage_turn(struct km_stage *stage);

/* ---- the agents' side: one thread, for all agents -------------------------------- */

/** km_stage_pop() - the next request of @agent_idx, or NULL. */
struct km_req *km_stage_pop(struct km_stage *stage, uint32_t agent_idx);

/** km_stage_begin() - @agent_idx serves what it popped, until @end_ns by its own estimate. */
void km_stage_begin(struct km_stage *stage, uint32_t agent_idx, uint64_t end_ns);

/** km_stage_end() - it is done. */
void km_stage_end(struct km_stage *stage, uint32_t agent_idx);

/** km_stage_touch() - write the summary once more as it is: a change that says nothing new. */
void km_stage_touch(struct km_stage *stage, uint32_t agent_idx);

/**
 * km_stage_publish() - a new digest, which becomes the stage's; seen with the next summary.
 * @digest: allocated with malloc(); its version differs from the one before.
 */
void km_stage_publish(struct km_stage *stage, uint32_t agent_idx, struct km_digest *digest);

#endif
