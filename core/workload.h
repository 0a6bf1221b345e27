/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/workload.h - what core asks of a workload.
 *
 * core knows types, rule objects and slots; the workload knows what a rule
 * means. VM placement (place/) is one workload, the synthetic one of the tests
 * and microbenchmarks another.
 */
#ifndef KM_CORE_WORKLOAD_H
#define KM_CORE_WORKLOAD_H

#include <stdint.h>

#include "core/req.h"
#include "core/type.h"
#include "lib/base.h"

struct km_arena;
struct km_workload_agent; /* one agent's private state; the workload defines it */

enum km_serve {
	KM_SERVE_DONE, /* req->outcome is set */
	KM_SERVE_CONFLICT, /* commit refused: bring the objects up to date and try again */
};

/* One part of a request with what was cached or built for it. */
struct km_serve_part {
	struct km_req *req;
	const struct km_type *type;
	void *top; /* consolidated slot up to date; NULL = serve it uncached */
};

/**
 * struct km_workload_ops - the workload's side. All but agent_create() and
 * agent_destroy() run on the agent's thread, on its own state, and allocate nothing.
 *
 * @agent_create: state of agent @agent_idx, memory from @arena where large.
 *	Runs on the agent's thread before the first request. 0 or -errno.
 * @agent_destroy: undo it, on the same thread.
 * @sync: read the inventory's changes into the private view. Returns its
 *	revision now; revisions start at 1 and never go back. Cheap when nothing
 *	changed. Called inside a km_snap section.
 * @can_update: whether an object at @rev can be brought up to date by changes
 *	(false: the change log no longer reaches back; build it anew).
 * @rule_class, @top_class: the size class of an object, index into class_bytes.
 * @rule_eval: evaluate @rule for @type over the whole inventory into @slot.
 * @rule_update: bring @slot from revision @rev to the one @sync returned last.
 * @top_build: consolidate the rule slots (in rule order) into @slot.
 * @top_update: bring @slot from @rev to now; the rule slots already are.
 * @serve: pick and commit @part_nr parts all or nothing, one try. Sets the
 *	outcome of part[0].req when done.
 */
struct km_workload_ops {
	int (*agent_create)(void *workload, uint32_t agent_idx, struct km_arena *arena,
			    struct km_workload_agent **out);
	void (*agent_destroy)(struct km_workload_agent *wa);
	uint64_t (*sync)(struct km_workload_agent *wa);
	bool (*can_update)(struct km_workload_agent *wa, uint64_t rev);
	uint32_t (*rule_class)(void *workload, uint32_t rule_idx);
	uint32_t (*top_class)(void *workload);
	void (*rule_eval)(struct km_workload_agent *wa, uint32_t rule_idx,
			  const struct km_type *type, void *slot);
	void (*rule_update)(struct km_workload_agent *wa, uint32_t rule_idx,
			    const struct km_type *type, void *slot, uint64_t rev);
	void (*top_build)(struct km_workload_agent *wa, const struct km_type *type,
			  void *const *rule_slots, void *slot);
	void (*top_update)(struct km_workload_agent *wa, const struct km_type *type,
			   void *const *rule_slots, void *slot, uint64_t rev);
	enum km_serve (*serve)(struct km_workload_agent *wa, struct km_serve_part *part,
			       uint32_t part_nr);
};

struct km_workload {
	const char *name;
	const struct km_workload_ops *ops;
	void *workload; /* first argument of some ops */
	uint32_t trait_nr, rule_nr;
	const struct km_rule_desc *rules;
	uint32_t class_nr; /* size classes of slots */
	const uint64_t *class_bytes;
	uint32_t part_nr_max; /* most parts of one request */
};

#endif
