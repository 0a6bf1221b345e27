/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/eval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "alloc/arena.h"
#include "alloc/slots.h"
#include "lib/clock.h"
#include "lib/probe.h"
#include "lib/snap.h"

/* An arena may map this much over its slots: size-class rounding and holes. */
#define ARENA_SLACK_BYTES (32 << 20)

/* What km_eval_learn() needs of the request served last: its client has it back. */
struct lesson {
	uint64_t start_ns;
	uint32_t type_id;
	bool top_hit, counts;
};

struct km_eval {
	struct km_eval_cfg cfg;
	const struct km_workload *workload;
	const struct km_workload_ops *ops;
	struct km_workload_agent *wa;
	struct km_arena *state_arena, *slot_arena;
	struct km_slots *slots;
	struct km_cache *cache;
	struct km_serve_part *part; /* [part_nr_max] */
	struct km_cache_obj **part_top; /* [part_nr_max] NULL = uncached */
	uint32_t *trait_of; /* [type_cap][trait_nr] of the types cached on top: the idle
			       update runs when the classifier may have recycled them */
	uint64_t rev; /* of the private inventory, after the last sync */
	struct lesson lesson;
	uint64_t sampled_ns; /* of the request in service, told by samples of its rules */
	struct km_eval_stats stats;
};

static void *slots_take(void *owner, uint32_t class_idx)
{
	struct km_eval *eval = owner;

	return km_slots_take(eval->slots, class_idx);
}

static void slots_give(void *owner, uint32_t class_idx, void *slot)
{
	struct km_eval *eval = owner;

	km_slots_give(eval->slots, class_idx, slot);
}

static const struct km_cache_ops slot_ops = { .take = slots_take, .give = slots_give };

static int create_cache(struct km_eval *eval)
{
	const struct km_workload *workload = eval->workload;
	uint64_t class_bytes[16];
	struct km_cache_cfg cfg = {
		.type_cap = eval->cfg.type_cap,
		.rule_cap = eval->cfg.rule_obj_cap,
		.dep_max = workload->rule_nr,
		.class_nr = workload->class_nr,
		.class_bytes = class_bytes,
		.bytes_max = eval->cfg.cache_bytes,
		.age_ns_max = eval->cfg.age_ns,
		.ops = &slot_ops,
		.owner = eval,
	};
	uint32_t i;

	if (workload->class_nr > KM_ARRAY_NR(class_bytes))
		return -EINVAL;
	for (i = 0; i < workload->class_nr; i++)
		class_bytes[i] = km_slots_class_bytes(eval->slots, i);
	return km_cache_create(&eval->cache, &cfg);
}

static size_t trait_bytes(const struct km_eval *eval)
{
	return eval->workload->trait_nr * sizeof(uint32_t);
}

int km_eval_create(struct km_eval **out, const struct km_eval_cfg *cfg)
{
	struct km_arena_cfg arena_cfg = {
		.node = cfg->node,
		.huge_pages = cfg->huge_pages,
		.populate = true, /* the agent's own state: there from the start */
	};
	struct km_eval *eval = calloc(1, sizeof(*eval));
	int err = -ENOMEM;

	if (!eval)
		return -ENOMEM;
	eval->cfg = *cfg;
	eval->workload = cfg->workload;
	eval->ops = cfg->workload->ops;
	eval->part = calloc(cfg->workload->part_nr_max, sizeof(*eval->part));
	eval->part_top = calloc(cfg->workload->part_nr_max, sizeof(*eval->part_top));
	if (!eval->part || !eval->part_top)
		goto err_destroy;
	err = km_arena_create(&eval->state_arena, &arena_cfg);
	if (err)
		goto err_destroy;
	err = -ENOMEM;
	eval->trait_of = km_arena_alloc(eval->state_arena, trait_bytes(eval) * cfg->type_cap, 64);
	if (!eval->trait_of)
		goto err_destroy;
	arena_cfg.populate = false; /* slots are populated when they are first taken */
	arena_cfg.mapped_bytes_max = cfg->cache_bytes + cfg->cache_bytes / 4 + ARENA_SLACK_BYTES;
	err = km_arena_create(&eval->slot_arena, &arena_cfg);
	if (err)
		goto err_destroy;
	err = km_slots_create(&eval->slots, eval->slot_arena, cfg->workload->class_nr,
			      cfg->workload->class_bytes, cfg->cache_bytes, true);
	if (err)
		goto err_destroy;
	err = create_cache(eval);
	if (err)
		goto err_destroy;
	err = eval->ops->agent_create(cfg->workload->workload, cfg->agent_idx, eval->state_arena,
				      &eval->wa);
	if (err)
		goto err_destroy;
	*out = eval;
	return 0;

err_destroy:
	km_eval_destroy(eval);
	return err;
}

void km_eval_destroy(struct km_eval *eval)
{
	if (!eval)
		return;
	if (eval->wa)
		eval->ops->agent_destroy(eval->wa);
	if (eval->cache)
		km_cache_destroy(eval->cache);
	if (eval->slots)
		km_slots_destroy(eval->slots);
	if (eval->slot_arena)
		km_arena_destroy(eval->slot_arena);
	if (eval->state_arena)
		km_arena_destroy(eval->state_arena);
	free(eval->part_top);
	free(eval->part);
	free(eval);
}

uint64_t km_eval_estimate(const struct km_eval *eval, const struct km_estimates *est,
			  const struct km_req *req)
{
	uint64_t ns = 0;
	uint32_t r;

	for (; req; req = req->more) {
		const struct km_type *type = req->type;

		if (km_cache_peek(eval->cache, KM_CACHE_TOP, type->key)) {
			ns += est->type_hit_ns[type->key.id];
			continue;
		}
		ns += est->build_ns;
		for (r = 0; r < eval->workload->rule_nr; r++)
			ns += km_cache_peek(eval->cache, KM_CACHE_RULE, type->rule[r])
				      ? est->rule_hit_ns[r]
				      : est->rule_miss_ns[r];
	}
	return ns;
}

static void sample(struct km_eval *eval, enum km_sample_kind kind, uint32_t id, uint64_t ns)
{
	if (eval->cfg.sample)
		eval->cfg.sample(eval->cfg.sample_ctx, km_sample_pack(kind, id, ns));
}

static void sync_inventory(struct km_eval *eval)
{
	km_snap_enter();
	eval->rev = eval->ops->sync(eval->wa);
	km_snap_leave();
}

/* ---- bringing objects up to date ------------------------------------------- */

static void refresh_rule(struct km_eval *eval, struct km_cache_obj *obj, uint32_t rule_idx,
			 const struct km_type *type)
{
	if (obj->rev == eval->rev)
		return;
	if (eval->ops->can_update(eval->wa, obj->rev))
		eval->ops->rule_update(eval->wa, rule_idx, type, obj->slot, obj->rev);
	else
		eval->ops->rule_eval(eval->wa, rule_idx, type, obj->slot);
	obj->rev = eval->rev;
}

static void rule_slots(const struct km_cache_obj *top, void **slots)
{
	uint32_t r;

	for (r = 0; r < top->dep_nr; r++)
		slots[r] = top->deps[r]->slot;
}

/* The consolidated result and all it was made of, to the revision of the last sync. */
static void refresh_top(struct km_eval *eval, struct km_cache_obj *top, const struct km_type *type)
{
	void *slots[KM_RULES_MAX];
	uint32_t r;

	if (top->rev == eval->rev)
		return;
	for (r = 0; r < top->dep_nr; r++)
		refresh_rule(eval, top->deps[r], r, type);
	rule_slots(top, slots);
	if (eval->ops->can_update(eval->wa, top->rev))
		eval->ops->top_update(eval->wa, type, slots, top->slot, top->rev);
	else
		eval->ops->top_build(eval->wa, type, slots, top->slot);
	top->rev = eval->rev;
}

/* ---- a miss on top --------------------------------------------------------- */

/* A rule object up to date and held; NULL when it does not fit. */
static struct km_cache_obj *get_rule(struct km_eval *eval, struct km_req *req, uint32_t rule_idx,
				     uint64_t *now_ns)
{
	const struct km_type *type = req->type;
	struct km_key key = type->rule[rule_idx];
	enum km_sample_kind kind = KM_SAMPLE_RULE_HIT;
	struct km_cache_obj *obj;
	uint64_t end_ns;

	obj = km_cache_lookup(eval->cache, KM_CACHE_RULE, key, *now_ns);
	if (obj) {
		km_cache_hold(eval->cache, obj);
		refresh_rule(eval, obj, rule_idx, type);
		req->rule_hits++;
	} else {
		obj = km_cache_insert_rule(
			eval->cache, key, eval->ops->rule_class(eval->workload->workload, rule_idx),
			*now_ns);
		if (!obj)
			return NULL;
		eval->ops->rule_eval(eval->wa, rule_idx, type, obj->slot);
		obj->rev = eval->rev;
		kind = KM_SAMPLE_RULE_MISS;
		req->rule_misses++;
	}
	end_ns = km_clock_ns();
	sample(eval, kind, rule_idx, end_ns - *now_ns);
	eval->sampled_ns += end_ns - *now_ns;
	*now_ns = end_ns;
	return obj;
}

/* Build the consolidated result; NULL when the budget does not allow it. */
static struct km_cache_obj *build_top(struct km_eval *eval, struct km_req *req, uint64_t now_ns)
{
	struct km_cache_obj *deps[KM_RULES_MAX], *top = NULL;
	void *slots[KM_RULES_MAX];
	uint32_t r, nr = 0, rule_nr = eval->workload->rule_nr;

	for (nr = 0; nr < rule_nr; nr++) {
		deps[nr] = get_rule(eval, req, nr, &now_ns);
		if (!deps[nr])
			goto out;
	}
	top = km_cache_insert_top(eval->cache, req->type->key,
				  eval->ops->top_class(eval->workload->workload), deps, rule_nr,
				  now_ns);
	if (!top)
		goto out;
	rule_slots(top, slots);
	eval->ops->top_build(eval->wa, req->type, slots, top->slot);
	top->rev = eval->rev;
	memcpy(eval->trait_of + req->type->key.id * (size_t)eval->workload->trait_nr,
	       req->type->trait, trait_bytes(eval));
out:
	for (r = 0; r < nr; r++)
		km_cache_release(eval->cache, deps[r]);
	return top;
}

/* Have the part's consolidated result cached and up to date, unless it does not fit. */
static void get_top(struct km_eval *eval, struct km_req *req)
{
	uint64_t now_ns = km_clock_ns();
	struct km_cache_obj *top;

	top = km_cache_lookup(eval->cache, KM_CACHE_TOP, req->type->key, now_ns);
	req->top_hit = top;
	req->uncached = false;
	req->rule_hits = req->rule_misses = 0;
	if (top) {
		refresh_top(eval, top, req->type);
		eval->stats.top_hits++;
		KM_PROBE(hit, req->id, eval->cfg.agent_idx, req->type->key.id);
		return;
	}
	eval->stats.top_misses++;
	top = build_top(eval, req, now_ns);
	req->uncached = !top;
	eval->stats.uncached += req->uncached;
	eval->stats.rule_hits += req->rule_hits;
	eval->stats.rule_misses += req->rule_misses;
	KM_PROBE(miss, req->id, eval->cfg.agent_idx, req->type->key.id, req->rule_hits,
		 req->rule_misses, req->uncached);
}

/* ---- serving --------------------------------------------------------------- */

static uint64_t minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_minflt;
}

static void commit(struct km_eval *eval, struct km_req *req, uint32_t part_nr)
{
	uint32_t i;

	for (i = 0; i < part_nr; i++) {
		const struct km_type *type = eval->part[i].req->type;

		/* A later part's miss may have evicted an earlier part's result. */
		eval->part_top[i] = km_cache_peek(eval->cache, KM_CACHE_TOP, type->key);
		eval->part[i].type = type;
		eval->part[i].top = eval->part_top[i] ? eval->part_top[i]->slot : NULL;
	}
	while (eval->ops->serve(eval->wa, eval->part, part_nr) == KM_SERVE_CONFLICT) {
		req->conflicts++;
		eval->stats.conflicts++;
		KM_PROBE(conflict, req->id, eval->cfg.agent_idx, req->conflicts);
		if (req->conflicts > eval->cfg.retry_max) {
			req->outcome = KM_GAVE_UP;
			eval->stats.retries_exhausted++;
			return;
		}
		sync_inventory(eval);
		for (i = 0; i < part_nr; i++)
			if (eval->part_top[i])
				refresh_top(eval, eval->part_top[i], eval->part[i].type);
	}
	KM_PROBE(commit, req->id, eval->cfg.agent_idx, req->outcome, req->conflicts);
}

/* Have all parts' results at hand. Return: how many parts. */
static uint32_t prepare(struct km_eval *eval, struct km_req *req)
{
	uint64_t fresh = km_slots_stats(eval->slots)->fresh, faults = 0;
	struct km_req *part;
	uint32_t part_nr = 0;

	/* A system call, as long as a fifth of a hit on a small fleet: a hit does without. */
	if (!km_cache_peek(eval->cache, KM_CACHE_TOP, req->type->key))
		faults = minor_faults();
	for (part = req; part; part = part->more) {
		KM_BUG_ON(part_nr == eval->workload->part_nr_max);
		eval->part[part_nr++].req = part;
		get_top(eval, part);
	}
	req->fault_nr = UINT32_MAX;
	if (!req->top_hit && fresh == km_slots_stats(eval->slots)->fresh) {
		req->fault_nr = (uint32_t)(minor_faults() - faults);
		eval->stats.steady_misses++;
		eval->stats.steady_faults += req->fault_nr;
	}
	return part_nr;
}

void km_eval_serve(struct km_eval *eval, struct km_req *req)
{
	req->start_ns = km_clock_ns();
	req->conflicts = 0;
	req->outcome = KM_PENDING;
	eval->sampled_ns = 0;
	km_cache_note_req(eval->cache, req->id);
	sync_inventory(eval);
	commit(eval, req, prepare(eval, req));
	km_cache_note_req(eval->cache, UINT64_MAX);
	KM_BUG_ON(req->outcome == KM_PENDING);
	req->end_ns = km_clock_ns();
	eval->stats.served++;
	*(req->top_hit ? &eval->stats.hit_ns : &eval->stats.miss_ns) += req->end_ns - req->start_ns;
	eval->lesson = (struct lesson){
		.start_ns = req->start_ns,
		.type_id = req->type->key.id,
		.top_hit = req->top_hit,
		.counts = !req->more && !req->uncached,
	};
}

/*
 * A request that hit on top gives one sample; one that missed gave a sample per
 * rule already and now the rest, so the samples of a miss add up to the time
 * from one request to the next.
 */
void km_eval_learn(struct km_eval *eval)
{
	const struct lesson *last = &eval->lesson;
	uint64_t ns;

	if (!last->counts)
		return;
	ns = km_clock_ns() - last->start_ns;
	if (last->top_hit)
		sample(eval, KM_SAMPLE_TYPE_HIT, last->type_id, ns);
	else
		sample(eval, KM_SAMPLE_BUILD, 0, ns - eval->sampled_ns);
}

/* Bring the consolidated result that lags most up to date, if one lags enough. */
static bool update_oldest(struct km_eval *eval)
{
	struct km_type type = { .trait = { 0 } };
	struct km_cache_obj *top;

	sync_inventory(eval);
	top = km_cache_oldest_rev(eval->cache, KM_CACHE_TOP, eval->rev, eval->cfg.idle_lag);
	if (!top)
		return false;
	type.key = top->key;
	memcpy(type.trait, eval->trait_of + top->key.id * (size_t)eval->workload->trait_nr,
	       trait_bytes(eval));
	refresh_top(eval, top, &type);
	eval->stats.idle_updates++;
	return true;
}

bool km_eval_idle(struct km_eval *eval)
{
	uint32_t aged = 0;

	if (eval->cfg.age_ns)
		aged = km_cache_age(eval->cache, km_clock_ns());
	eval->stats.aged += aged;
	return aged || (eval->cfg.idle_lag && update_oldest(eval));
}

const struct km_cache *km_eval_cache(const struct km_eval *eval)
{
	return eval->cache;
}

struct km_eval_stats km_eval_stats(const struct km_eval *eval)
{
	struct km_eval_stats stats = eval->stats;
	const struct km_cache_stats *cache = km_cache_stats(eval->cache);

	stats.cache_bytes = cache->bytes;
	stats.cache_bytes_peak = cache->bytes_peak;
	stats.arena_bytes = km_arena_mapped_bytes(eval->slot_arena);
	return stats;
}
