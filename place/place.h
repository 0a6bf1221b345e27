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

/* Most VMs and parts (types) of one request; more is KM_BAD_REQUEST. */
#define KM_PLACE_VMS_MAX 4096u
#define KM_PLACE_PARTS_MAX 64u

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

/**
 * km_place_create() - bind the rules to the inventory and the trace's columns.
 * @cfg: copied; what it points at is kept by the caller until destroy. Trait values
 *	that the schema does not know yet match no label.
 * Context: allocates. Return: 0; -EINVAL with the reason; -ENOMEM.
 */
int km_place_create(struct km_place_ctx **out, const struct km_place_cfg *cfg,
		    struct km_diag *diag) KM_MUST_CHECK;
/** km_place_destroy() - NULL is allowed; no agent state is left. */
void km_place_destroy(struct km_place_ctx *place);

/** km_place_workload() - the ops table and descriptions for the runtime; lives as long as @place. */
const struct km_workload *km_place_workload(const struct km_place_ctx *place);

/** km_place_agent_bytes() - about what agent_create() takes from an agent's arena. */
uint64_t km_place_agent_bytes(const struct km_place_ctx *place);

/* What a request's payload points at: the VMs of one part, same type, same tenant. */
struct km_place_ask {
	uint32_t vm_nr;
	uint32_t tenant, batch; /* trace numbers; KM_DICT_NONE = none */
	uint32_t *vm; /* [vm_nr] dense VM numbers */
	uint32_t *server; /* [vm_nr] set by the agent when placed */
};

/**
 * km_place_fill_traits() - @event's traits into a request's vector.
 * @trait: [KM_TRAITS_MAX]; those that the trace does not have are set to 0.
 */
void km_place_fill_traits(const struct km_place_ctx *place, const struct km_event *event,
			  uint32_t *trait);

/**
 * km_place_group() - the anti-affinity group of spread rule @spread for a request.
 * @spread: the how-manieth SPREAD rule of the set.
 * @req: payload is a struct km_place_ask, trait[] is filled.
 * Return: the tenant's, batch's or trait value's number; KM_GROUP_NONE when the
 * rule does not apply to the request: the condition on its trait is not met, or
 * there is no tenant, batch or value.
 */
uint32_t km_place_group(const struct km_place_ctx *place, uint32_t spread,
			const struct km_req *req);

/**
 * km_place_preload() - place @trace's initial VMs into the store before the agents
 * start, by the same rules, all VMs of a type after one another.
 * @unplaced: how many found no server (they are left out).
 * @progress: called now and then; may be NULL.
 *
 * What the initial part of the trace deletes again is not placed. VMs are placed
 * one by one: all or nothing is a promise to requests. The store's find() tells
 * where each went.
 *
 * Context: a started thread (lib/snap.h), outside a section. Allocates.
 * Return: 0; -ENOMEM; -EINVAL when the store refuses a VM number.
 */
int km_place_preload(struct km_place_ctx *place, const struct km_trace *trace, uint64_t *unplaced,
		     void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
		     struct km_diag *diag) KM_MUST_CHECK;

#endif
