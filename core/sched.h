/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/sched.h - the order of requests: decide, hold back, send, account.
 *
 * The part of a dispatcher that has no thread, ring or clock: the runtime's
 * dispatcher (core/dispatcher.c) and the simulator drive the same code. It
 * keeps every request from arrival to completion in exactly one place:
 *   the shared queue -> an agent's held queue -> sent -> started -> finished.
 *
 * Invariants:
 *  S1 requests of one agent are sent, started and finished in one order, FIFO;
 *  S2 an agent has at most window requests sent and not finished;
 *  S3 the view's queue time counts a request from its assignment to its start.
 */
#ifndef KM_CORE_SCHED_H
#define KM_CORE_SCHED_H

#include "core/policy.h"
#include "core/req.h"
#include "core/view.h"

struct km_sched;

struct km_sched_cfg {
	const struct km_policy *policy;
	struct km_view *view; /* the caller's; its open bits are the scheduler's to write */
	struct km_types *types; /* finished requests' types are put here; NULL = nowhere */
	uint32_t window_max; /* what an agent's ring takes: a power of two, 2..32768 */
	uint32_t part_nr_max; /* most parts of a request; 0 = 1 */
	uint64_t seed;
};

/**
 * km_sched_create() - nothing inside, all agents open.
 * Return: 0; -EINVAL for a window out of bounds; -ENOMEM.
 */
int km_sched_create(struct km_sched **out, const struct km_sched_cfg *cfg) KM_MUST_CHECK;

/** km_sched_part_max() - most parts that an agent can have been sent, by what is in the cfg. */
uint32_t km_sched_part_max(uint32_t window_max, uint32_t part_nr_max);

/** km_sched_destroy() - free it; requests inside are forgotten. NULL is allowed. */
void km_sched_destroy(struct km_sched *sched);

/**
 * km_sched_arrive() - a classified request arrived (req->type is set).
 *
 * Decides, or queues behind earlier ones that could not be decided.
 * view->now_ns and view->est are set by the caller.
 * Return: an agent for which km_sched_next() may have work now, or KM_NO_AGENT.
 */
uint32_t km_sched_arrive(struct km_sched *sched, struct km_req *req);

/**
 * km_sched_arrive_send() - km_sched_arrive(), then km_sched_next() for @req itself.
 * @sent: set to whether the agent that is returned is to be sent @req now, which
 *	then counts as sent; else km_sched_next() tells what to send, as after
 *	km_sched_arrive().
 * Return: as km_sched_arrive().
 */
uint32_t km_sched_arrive_send(struct km_sched *sched, struct km_req *req, bool *sent);

/**
 * km_sched_next() - the request to send to @agent_idx now.
 *
 * For KM_QUEUE_STEAL takes from the longest queue when its own is empty.
 * The caller sends it; it counts as sent. Return: NULL when there is none or
 * the agent's window is full.
 */
struct km_req *km_sched_next(struct km_sched *sched, uint32_t agent_idx);

/**
 * km_sched_retry() - decide requests of the shared queue for which an agent opened.
 * For policies with own queues, after a time when every agent was closed.
 * Return: an agent for km_sched_next(), or KM_NO_AGENT: call until then.
 */
uint32_t km_sched_retry(struct km_sched *sched);

/** km_sched_started() - the agent began the next of what it was sent. */
void km_sched_started(struct km_sched *sched, uint32_t agent_idx);

/**
 * km_sched_finished() - the agent ended the oldest it had started.
 *
 * The request itself is not touched: its client may have it back already.
 */
void km_sched_finished(struct km_sched *sched, uint32_t agent_idx);

/** km_sched_waiting() - requests not sent to any agent yet. */
uint64_t km_sched_waiting(const struct km_sched *sched);

/** km_sched_inside() - requests arrived and not finished. */
uint64_t km_sched_inside(const struct km_sched *sched);

/* Requests of one agent in all; each wraps at 2^32. */
struct km_sched_counts {
	uint32_t sent, started, finished;
};

/** km_sched_counts() - what @agent_idx was sent, has started and has finished. */
struct km_sched_counts km_sched_counts(const struct km_sched *sched, uint32_t agent_idx);

#endif
