/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/publish.h - a run shows itself: gathers what the runtime and the client
 * know four times a second and writes it to a segment (tools/segment.h).
 *
 * All calls come from the run's main thread, which is also its client: agents and
 * dispatcher do nothing for it. A NULL publisher is allowed everywhere and does nothing.
 */
#ifndef KM_TOOLS_PUBLISH_H
#define KM_TOOLS_PUBLISH_H

#include "core/runtime.h"
#include "numa/topo.h"
#include "place/store.h"
#include "tools/replay.h"
#include "tools/segment.h"

struct km_publisher;

/**
 * km_publisher_create() - a segment that says "preparing".
 * @head: agent_nr, what the run was asked for, its name; see km_segment_create().
 * @plan: kept by the caller.
 * Return: 0; -errno with the reason.
 */
int km_publisher_create(struct km_publisher **out, const struct km_seg_head *head,
			const struct km_plan *plan, struct km_diag *diag) KM_MUST_CHECK;

/** km_publisher_path() - the segment's file. */
const char *km_publisher_path(const struct km_publisher *pub);

/** km_publisher_destroy() - say "ended", unlink, free. */
void km_publisher_destroy(struct km_publisher *pub);

/** km_publisher_phase() - what goes on outside of km_publisher_start() and _stop(). */
void km_publisher_phase(struct km_publisher *pub, const char *phase, uint64_t done, uint64_t all);

/**
 * struct km_publish_run - one policy's run.
 * @store: of @ops; may be looked at by any thread. The texts are copied.
 * @type_name: what makes the type of request @req_id, as text; asked for the decisions
 *	that are shown, four times a second.
 * @policy_idx: from 1, of @policy_nr.
 */
struct km_publish_run {
	const struct km_runtime *rt;
	const struct km_store_ops *ops;
	struct km_store *store;
	const char *phase, *policy;
	uint32_t policy_idx, policy_nr;
	uint64_t request_nr, server_nr, rule_nr, cache_bytes;
	void (*type_name)(void *ctx, uint64_t req_id, char *text, size_t bytes);
	void *type_name_ctx;
};

/** km_publisher_start() - the runtime of @run serves from now on; counts begin anew. */
void km_publisher_start(struct km_publisher *pub, const struct km_publish_run *run);

/** km_publisher_reaped() - a request came back. */
void km_publisher_reaped(struct km_publisher *pub, const struct km_req *req);

/** km_publisher_tick() - gather and write, when it is time. */
void km_publisher_tick(struct km_publisher *pub, const struct km_replay_result *result,
		       uint64_t now_ns);

/** km_publisher_stop() - gather and write a last time: the runtime is about to go. */
void km_publisher_stop(struct km_publisher *pub, const struct km_replay_result *result);

#endif
