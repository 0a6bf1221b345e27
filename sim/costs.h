/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/costs.h - how long a simulated agent takes: drawn, or as recorded.
 *
 * Drawn: each type gets a full-miss time and a hit time from figure 1's
 * quantiles (Kamino, OSDI '25), tied to its family, the trait that most rules
 * use. A miss is a share of each rule plus the consolidation; a rule object's
 * share follows its own traits' family, so objects that types share cost all of
 * them the same. A hit grows with the changes of the inventory since its last
 * update, up to a saturation: the journal keeps one newest state per server.
 *
 * Recorded: what a run of the runtime measured, as quantiles: top-level hits by
 * type, rule hits and misses by rule, and the rest of a miss ("build").
 *
 * A time is a function of the costs, the type, the lag and the request's own
 * noise; never of the policy: two policies compare on the same draws.
 */
#ifndef KM_SIM_COSTS_H
#define KM_SIM_COSTS_H

#include <stdio.h>

#include "core/estimate.h"
#include "core/type.h"
#include "lib/diag.h"
#include "lib/hist.h"

/* Parameters of drawn costs; the fit's (scripts/fit-sim.py). */
struct km_cost_drawn {
	double miss_scale; /* times figure 1's misses */
	double hit_scale; /* times figure 1's hits */
	double correlation; /* of a type's hit and miss quantiles, 0..1 */
	double build_share; /* of a full miss: consolidation, choice, commit */
	double common_share; /* of the rules' part: rules that few traits use */
	double hit_floor; /* share of a hit that does not depend on the lag, 0..1 */
	double lag_ref; /* changes at which a hit takes its drawn time */
	double lag_max; /* changes at which growth has halved: distinct servers in play */
	double noise; /* log sd of a single request's time */
};

/* The recorded distribution of one kind of time. */
#define KM_COST_POINT_NR 9
struct km_cost_dist {
	uint64_t nr; /* samples; 0 = none, the rest is void */
	uint64_t mean_ns;
	uint64_t point_ns[KM_COST_POINT_NR]; /* quantiles 0, .05, .25, .5, .75, .95, .99, .999, 1 */
};

struct km_costs;

/* Where a request waits for the runtime's threads and not for other requests. */
enum km_handover {
	KM_HANDOVER_IDLE, /* from its arrival to its start on an agent that was idle by then */
	/* from an end to the start of the next that waited; by how long the others slept meanwhile */
	KM_HANDOVER_AFTER_HIT,
	KM_HANDOVER_AFTER_MISS,
	KM_HANDOVER_NR,
};

/* Of so many types a profile must know half, or it is another trace's. */
#define KM_SIM_PROFILE_TYPES 64

/**
 * km_costs_create_drawn() - @rules: [rule_nr], kept by the caller. Rules with more
 *	traits take more of a miss.
 * Return: 0; -EINVAL with the parameter out of bounds in @diag; -ENOMEM.
 */
int km_costs_create_drawn(struct km_costs **out, const struct km_cost_drawn *drawn,
			  uint32_t rule_nr, const struct km_rule_desc *rules, uint64_t seed,
			  struct km_diag *diag) KM_MUST_CHECK;

/**
 * km_cost_drawn_place() - where a family stands among the misses of drawn costs.
 * @seed: the costs'. @value: of the trait that most rules use.
 * Return: 0..1, the share of families that miss cheaper.
 */
double km_cost_drawn_place(uint64_t seed, uint32_t value);

/**
 * km_costs_load() - a recorded profile.
 * @rules: [rule_nr]: each must be named in the file and the file name no other.
 * Return: 0; -EINVAL with line and reason; -EDOM when it is of other rules; -errno.
 */
int km_costs_load(struct km_costs **out, const char *path, uint32_t rule_nr,
		  const struct km_rule_desc *rules, struct km_diag *diag) KM_MUST_CHECK;

/** km_costs_destroy() - free it; NULL is allowed. */
void km_costs_destroy(struct km_costs *costs);

/** km_costs_knows() - whether a recorded profile has the type @hash; drawn ones know all. */
bool km_costs_knows(const struct km_costs *costs, uint64_t hash);

/** km_costs_rule_bytes() - size of a rule object that a profile states; 0 = it does not. */
uint64_t km_costs_rule_bytes(const struct km_costs *costs, uint32_t rule_idx);

/** km_costs_top_bytes() - the same of a consolidated result. */
uint64_t km_costs_top_bytes(const struct km_costs *costs);

/** km_costs_hand_over() - whether a profile says what km_cost_handover() asks for. */
bool km_costs_hand_over(const struct km_costs *costs);

/* What one simulation keeps of each type, by type id. */
struct km_cost_type {
	uint32_t gen; /* 0 = not filled */
	uint32_t dist_idx; /* recorded; UINT32_MAX = not known */
	uint64_t hit_ns; /* at lag_ref, or the recorded mean */
	uint64_t build_ns;
};

/**
 * km_cost_type_fill() - the times of a type seen first.
 * @miss_ns: [rule_nr] set to each rule's full evaluation.
 */
void km_cost_type_fill(const struct km_costs *costs, const struct km_type *type,
		       struct km_cost_type *ct, uint64_t *miss_ns);

/**
 * km_cost_top_hit() - one top-level hit @lag changes after the last update.
 * @noise: of the request, uniform over 32 bits. At least 1 ns.
 */
uint64_t km_cost_top_hit(const struct km_costs *costs, const struct km_cost_type *ct, uint64_t lag,
			 uint32_t noise);

/** km_cost_rule_hit() - bringing one cached rule object up to date, @lag changes behind. */
uint64_t km_cost_rule_hit(const struct km_costs *costs, const struct km_cost_type *ct,
			  const uint64_t *miss_ns, uint32_t rule_idx, uint64_t lag, uint32_t noise);

/** km_cost_rule_miss() - evaluating one rule from scratch. */
uint64_t km_cost_rule_miss(const struct km_costs *costs, const uint64_t *miss_ns, uint32_t rule_idx,
			   uint32_t noise);

/** km_cost_build() - consolidation, choice and commit after a top-level miss. */
uint64_t km_cost_build(const struct km_costs *costs, const struct km_cost_type *ct, uint32_t noise);

/**
 * km_cost_handover() - time that passes before a start besides service and queueing.
 * @asks: whether an agent asks the dispatcher for each request (queues that are
 *	shared or stolen from), as recorded; what was recorded of the other kind
 *	stands in where only that was.
 * Return: nanoseconds; 0 for drawn costs and for profiles that do not say.
 */
uint64_t km_cost_handover(const struct km_costs *costs, enum km_handover what, bool asks,
			  uint32_t noise);

/* ---- recording ------------------------------------------------------------- */

/*
 * Gathers km_sample_pack() words of a run. One thread. About 60 KiB a rule and
 * 0.3 KiB a type.
 */
struct km_cost_recorder;

/** km_cost_recorder_create() - nothing gathered; copies the rules' names. Return: 0; -ENOMEM. */
int km_cost_recorder_create(struct km_cost_recorder **out, uint32_t type_cap, uint32_t rule_nr,
			    const struct km_rule_desc *rules) KM_MUST_CHECK;

/** km_cost_recorder_destroy() - free it; NULL is allowed. */
void km_cost_recorder_destroy(struct km_cost_recorder *rec);

/** km_cost_recorder_name() - type id @id means @hash from now on; a no-op when it does. */
void km_cost_recorder_name(struct km_cost_recorder *rec, uint32_t id, uint64_t hash);

/** km_cost_recorder_add() - one sample; ids out of bounds and unnamed types are ignored. */
void km_cost_recorder_add(struct km_cost_recorder *rec, uint64_t sample);

/**
 * km_cost_recorder_handover() - one hand-over of a measured request; see km_cost_handover().
 * Context: a thread of its own; it may run beside km_cost_recorder_add().
 */
void km_cost_recorder_handover(struct km_cost_recorder *rec, enum km_handover what, bool asks,
			       uint64_t ns);

/**
 * km_cost_recorder_measured() - whether samples to come are measured or of a warm-up.
 *
 * A warm-up's times (first touches, cold caches) stand in the profile only for
 * what was not seen measured. A new recorder takes warm-up samples.
 */
void km_cost_recorder_measured(struct km_cost_recorder *rec, bool measured);

/** km_cost_recorder_bytes() - what a cached object takes, for the simulated cache. */
void km_cost_recorder_bytes(struct km_cost_recorder *rec, uint32_t rule_idx, uint64_t bytes);

/** km_cost_recorder_top_bytes() - the same of a consolidated result. */
void km_cost_recorder_top_bytes(struct km_cost_recorder *rec, uint64_t bytes);

/** km_costs_save() - write what was gathered. Return: 0; -errno with the reason. */
int km_costs_save(const struct km_cost_recorder *rec, const char *path,
		  struct km_diag *diag) KM_MUST_CHECK;

#endif
