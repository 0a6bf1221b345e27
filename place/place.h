/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/place.h - VM placement as a workload of the runtime.
 */
#ifndef KM_PLACE_PLACE_H
#define KM_PLACE_PLACE_H

#include "core/workload.h"
#include "place/inventory.h"
#include "place/rules.h"
#include "place/store.h"
#include "place/trace.h"

/*
 * Traits of a request: 0..KM_RES_NR - 1 are the resources (the quantity in
 * thousandths), then the trace's categorical columns in order.
 */
#define KM_TRAIT_RES(res) ((uint32_t)(res))
#define KM_TRAIT_COLUMN(idx) ((uint32_t)(KM_RES_NR + (idx)))

struct km_place_cfg {
	const struct km_inventory *inv;
	const struct km_trace_schema *schema;
	const struct km_ruleset *rules;
	const struct km_store_ops *store_ops;
	struct km_store *store;
	uint32_t agent_nr;
	uint32_t history_nr; /* changes an agent remembers, a power of two; 0 = 1 << 17 */
	uint32_t choice_nr; /* N0: random among the best so many under conflicts; 0 = 16 */
	uint64_t seed;
};

struct km_place_ctx; /* all agents' shared read-only part */

int km_place_create(struct km_place_ctx **out, const struct km_place_cfg *cfg,
		    struct km_diag *diag) KM_MUST_CHECK;
void km_place_destroy(struct km_place_ctx *place);

/** km_place_workload() - the ops table and descriptions for the runtime; lives as long as @place. */
const struct km_workload *km_place_workload(const struct km_place_ctx *place);

/* What a request's payload points at: the VMs of one part, same type, same tenant. */
struct km_place_ask {
	uint32_t vm_nr;
	uint32_t tenant, batch; /* trace numbers; KM_DICT_NONE = none */
	uint32_t *vm; /* [vm_nr] dense VM numbers */
	uint32_t *server; /* [vm_nr] set by the agent when placed */
};

/** km_place_fill_traits() - @event's traits into a request's vector. */
void km_place_fill_traits(const struct km_place_ctx *place, const struct km_event *event,
			  uint32_t *trait);

/** km_place_group() - the anti-affinity group of spread rule @spread for a request. */
uint32_t km_place_group(const struct km_place_ctx *place, uint32_t spread,
			const struct km_req *req);

/**
 * km_place_preload() - place @trace's initial VMs into the store before the agents
 * start, single-threaded, by the same rules through one private cache.
 * @unplaced: how many found no server (they are left out).
 * @placed_server: [vm numbers], set to the server or KM_DICT_NONE; may be NULL.
 */
int km_place_preload(struct km_place_ctx *place, const struct km_trace *trace, uint64_t *unplaced,
		     void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
		     struct km_diag *diag) KM_MUST_CHECK;

#endif
