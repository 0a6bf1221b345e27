/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/result.c - what a simulation reports beyond what each request adds to.
 */
#include <stdlib.h>

#include "sim/sim_internal.h"

void sim_end_window(struct sim *sim)
{
	struct km_sim_result *out = sim->out;
	uint64_t arrived = out->submitted - sim->window_submitted;
	uint64_t completed = out->completed - sim->window_completed;
	bool saturated = sim->inside >= 4 * (uint64_t)sim->cfg.agent_nr;

	if (sim->window_end_ns && sim->window_submitted >= sim->cfg.warmup_nr) {
		out->window_nr++;
		out->window_arrived_max = km_max_u64(out->window_arrived_max, arrived);
		out->window_completed_max = km_max_u64(out->window_completed_max, completed);
		if (saturated && sim->window_saturated) {
			out->saturated_nr++;
			out->saturated_completed += completed;
		}
	}
	sim->window_saturated = saturated;
	sim->window_submitted = out->submitted;
	sim->window_completed = out->completed;
	sim->window_end_ns = (sim->now_ns / KM_SIM_WINDOW_NS + 1) * KM_SIM_WINDOW_NS;
}

/* By the source's number of the type, or by its id. */
static void sum_up_types(struct sim *sim)
{
	const uint32_t nr = sim->known ? sim->source->type_nr : sim->type_cap;
	const struct sim_type *type;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (sim->known && !sim->known[i].type)
			continue;
		type = &sim->type[sim->known ? sim->known[i].id : i];
		sim->out->type[i] = (struct km_sim_type){
			.hit_nr = type->hit_nr,
			.hit_ns = type->hit_ns,
			.miss_nr = type->miss_nr,
			.miss_ns = type->miss_ns,
			.hit_ms2 = type->hit_ms2,
			.miss_ms2 = type->miss_ms2,
		};
	}
}

void sim_sum_up(struct sim *sim)
{
	struct km_sim_result *out = sim->out;
	const struct km_cache_stats *stats;
	double capacity = (double)sim->now_ns * sim->cfg.agent_nr;
	uint32_t a;

	if (sim->type && out->type)
		sum_up_types(sim);
	out->end_ns = sim->now_ns;
	out->lost = out->submitted - out->completed - out->refused;
	sim->bytes_area += (unsigned __int128)sim->bytes * (sim->now_ns - sim->bytes_since_ns);
	out->cache_bytes_mean = sim->now_ns ? (double)sim->bytes_area / (double)sim->now_ns : 0;
	for (a = 0; sim->agent && a < sim->cfg.agent_nr; a++) {
		if (!sim->agent[a].cache)
			continue; /* out of memory while it was built */
		stats = km_cache_stats(sim->agent[a].cache);
		out->evicted += stats->evicted_lru[KM_CACHE_TOP];
	}
	out->unstable = out->refused > out->submitted / 1000 ||
			(double)out->busy_ns > 0.999 * capacity;
}

void km_sim_result_fini(struct km_sim_result *result)
{
	free(result->type);
	result->type = NULL;
	km_series_destroy(result->series);
	result->series = NULL;
}
