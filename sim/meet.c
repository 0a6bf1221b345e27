/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/meet.c - a type that is not known: for the first time, or again after its id was lost.
 */
#include <errno.h>

#include "sim/sim_internal.h"

static int refuse_profile(struct sim *sim)
{
	return km_diag_set(sim->diag, -EINVAL, "", 0, 0,
			   "the cost profile knows %llu of the first %llu types: "
			   "it was recorded from another trace",
			   (unsigned long long)sim->cost_known_nr,
			   (unsigned long long)(sim->cost_known_nr + sim->cost_unknown_nr));
}

/* Name it, and work out its times. */
static int meet(struct sim *sim, const struct km_type *type)
{
	if (km_costs_knows(sim->costs, type->hash))
		sim->cost_known_nr++;
	else
		sim->cost_unknown_nr++;
	if (sim->cost_known_nr + sim->cost_unknown_nr == KM_SIM_PROFILE_TYPES &&
	    sim->cost_known_nr < KM_SIM_PROFILE_TYPES / 2)
		return refuse_profile(sim);
	km_estimator_name(sim->estimator, type->key.id, type->hash);
	/* A recycled id keeps what it meant until the table is refreshed, as in the runtime. */
	if (type->key.gen == KM_GEN_FIRST)
		sim->est->type_hit_ns[type->key.id] = sim->est->any_hit_ns;
	km_cost_type_fill(sim->costs, type, sim_cost(sim, type), sim_miss_ns(sim, type));
	return 0;
}

int sim_meet(struct sim *sim, const struct km_arrival *arrival, struct km_type **type)
{
	int err = 0;

	*type = km_types_get(sim->types, arrival->trait);
	if (*type && sim_cost(sim, *type)->gen != (*type)->key.gen)
		err = meet(sim, *type);
	if (*type && sim->known)
		sim->known[arrival->type_idx] = (struct sim_known){ *type, (*type)->key.id };
	return err;
}
