/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/policy/policies.c - the list, and what all policies share.
 */
#include "core/policy.h"

#include <string.h>

#include "lib/opts.h"

const struct km_policy *const km_policies[] = {
	&km_policy_protean,	     &km_policy_random,	       &km_policy_rr,	 &km_policy_hash_ws,
	&km_policy_latcache_request, &km_policy_latcache_rule, &km_policy_naive, NULL,
};

const struct km_policy *const km_policies_more[] = {
	&km_policy_oracle,	 &km_policy_future,   &km_policy_jsq, &km_policy_p2c,
	&km_policy_bounded_hash, &km_policy_affinity, NULL,
};

static const struct km_policy *find(const struct km_policy *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp((*list)->name, name))
			return *list;
	return NULL;
}

const struct km_policy *km_policy_find(const char *name)
{
	const struct km_policy *policy = find(km_policies, name);

	return policy ? policy : find(km_policies_more, name);
}

const char *km_policy_suggest(const char *name)
{
	const char *names[KM_ARRAY_NR(km_policies) + KM_ARRAY_NR(km_policies_more)];
	uint32_t i, nr = 0;

	for (i = 0; km_policies[i]; i++)
		names[nr++] = km_policies[i]->name;
	for (i = 0; km_policies_more[i]; i++)
		names[nr++] = km_policies_more[i]->name;
	names[nr] = NULL;
	return km_suggest(name, names);
}

uint64_t km_processing_ns(const struct km_view *view, const struct km_type *type,
			  uint32_t agent_idx, bool *top_hit, uint8_t *rule_hit_nr)
{
	const struct km_estimates *est = view->est;
	uint64_t ns = est->build_ns;
	uint32_t r;

	*top_hit = km_view_augmented(view, KM_CACHE_TOP, type->key.id, agent_idx);
	*rule_hit_nr = (uint8_t)view->rule_nr;
	if (*top_hit)
		return est->type_hit_ns[type->key.id];
	*rule_hit_nr = 0;
	for (r = 0; r < view->rule_nr; r++) {
		if (km_view_augmented(view, KM_CACHE_RULE, type->rule[r].id, agent_idx)) {
			ns += est->rule_hit_ns[r];
			(*rule_hit_nr)++;
		} else {
			ns += est->rule_miss_ns[r];
		}
	}
	return ns;
}

uint32_t km_pick_describe(const struct km_view *view, const struct km_type *type,
			  struct km_pick *pick, uint32_t agent_idx)
{
	pick->margin_ns = UINT64_MAX;
	pick->runner_up_idx = KM_NO_AGENT;
	if (agent_idx == KM_NO_AGENT)
		return agent_idx;
	pick->wait_ns = view->wait_ns[agent_idx];
	pick->remaining_ns = km_view_remaining_ns(view, agent_idx);
	pick->processing_ns =
		km_processing_ns(view, type, agent_idx, &pick->top_hit, &pick->rule_hit_nr);
	return agent_idx;
}
