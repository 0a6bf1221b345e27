/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/rules_probe.c - how fast are rules evaluated, updated and consolidated?
 *
 *	rules_probe [SERVERS [REPEATS]]
 *
 * On the built-in zone, filled to 60 % by the preload:
 *  - each rule over all servers, beside a plain sum over the same columns by
 *    the same instruction set: the ratio is the share of the bandwidth that a
 *    sum reaches. Contestants are interleaved, so that a slow spell hits both;
 *  - a consolidated result built from rule slots, and without slots;
 *  - bringing one type's objects up to date after C changes, beside evaluating
 *    all of it anew: where the two cross is the limit of km_place's can_update();
 *  - one pick and commit of a VM, and the store's part of it alone.
 * One thread, warm memory. Not shown: other cores competing for the memory.
 * Prints median [min .. p90] of REPEATS.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/rand.h"
#include "lib/snap.h"
#include "place/audit.h"
#include "place/place.h"
#include "place/rule_eval.h"
#include "place/zone.h"

#define REPEATS_MAX 1000

struct probe {
	uint32_t server_nr, repeat_nr;
	struct km_inventory *inv;
	struct km_trace *trace;
	struct km_ruleset *rules;
	struct km_store *store;
	struct km_place_ctx *place;
	const struct km_workload *w;
	struct km_workload_agent *wa;
	struct km_type type;
	void *rule[KM_RULES_MAX], *top;
	struct km_rand rand;
};

static volatile uint64_t sink; /* keeps the sums */

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct times {
	uint64_t ns[REPEATS_MAX];
	uint32_t nr;
};

static uint64_t median(struct times *t)
{
	qsort(t->ns, t->nr, sizeof(t->ns[0]), by_value);
	return t->ns[t->nr / 2];
}

static void print_us(struct times *t)
{
	const uint64_t mid = median(t);

	printf("%9.2f [%.2f .. %.2f]", (double)mid / 1e3, (double)t->ns[0] / 1e3,
	       (double)t->ns[(uint32_t)((t->nr - 1) * .9)] / 1e3);
}

/* ---- a plain sum over columns, vectorised like the kernels ------------------------ */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-vectorize", "vect-cost-model=unlimited")
#endif
#if defined(__x86_64__)
#define SUM_TARGET __attribute__((target("avx2")))
#else
#define SUM_TARGET
#endif

SUM_TARGET static uint64_t sum_words(const uint32_t *col, uint64_t bytes)
{
	uint32_t sum[4] = { 0 };
	uint64_t i;

	for (i = 0; i < bytes / 4; i++)
		sum[0] += col[i];
	return sum[0];
}

/* ---- set-up ------------------------------------------------------------------------- */

static void *must(void *ptr)
{
	if (!ptr) {
		fprintf(stderr, "rules_probe: out of memory\n");
		exit(1);
	}
	return ptr;
}

static void check(int err, const struct km_diag *diag)
{
	char text[512];

	if (!err)
		return;
	fprintf(stderr, "rules_probe: %s\n",
		diag ? km_diag_format(diag, text, sizeof(text)) : strerror(-err));
	exit(1);
}

static void *slot_alloc(uint64_t bytes)
{
	void *slot =
		must(aligned_alloc(1 << 21, (bytes + (1 << 21) - 1) & ~(uint64_t)((1 << 21) - 1)));

	memset(slot, 0, bytes);
	return slot;
}

static void open_zone(struct probe *p)
{
	const struct km_zone_cfg zone = { .seed = 1,
					  .server_nr = p->server_nr,
					  .create_nr = 1000,
					  .level = KM_LEVEL_VMTYPE,
					  .fill = .6 };
	struct km_place_cfg cfg = { .store_ops = &km_store_memory, .agent_nr = 1, .seed = 1 };
	struct km_store_cfg store = { 0 };
	struct km_diag diag;
	uint64_t start_ns, unplaced;
	uint32_t r;

	start_ns = km_clock_ns();
	check(km_zone_generate(&zone, &p->trace, &p->inv), NULL);
	check(km_ruleset_default(&p->rules, &p->trace->schema, p->inv), NULL);
	printf("zone: %u servers, %" PRIu64 " initial VMs, %u rules, generated in %.2f s\n",
	       p->server_nr, p->trace->initial_nr, p->rules->rule_nr,
	       (double)(km_clock_ns() - start_ns) / 1e9);
	store.inv = cfg.inv = p->inv;
	store.rules = cfg.rules = p->rules;
	store.vm_cap = km_dict_nr(p->trace->schema.vms) + 1;
	check(km_store_memory.open(&p->store, &store, &diag), &diag);
	cfg.store = p->store;
	cfg.schema = &p->trace->schema;
	check(km_place_create(&p->place, &cfg, &diag), &diag);
	start_ns = km_clock_ns();
	check(km_place_preload(p->place, p->trace, &unplaced, NULL, NULL, &diag), &diag);
	printf("preload: %.2f s, %" PRIu64 " without a place; kernels: %s\n",
	       (double)(km_clock_ns() - start_ns) / 1e9, unplaced, km_kernels_best()->name);
	p->w = km_place_workload(p->place);
	check(p->w->ops->agent_create(p->w->workload, 0, NULL, &p->wa), NULL);
	/* A type that real requests have: that of the first create after the start. */
	km_place_fill_traits(p->place, &p->trace->event[p->trace->initial_nr], p->type.trait);
	for (r = 0; r < p->w->rule_nr; r++)
		p->rule[r] =
			slot_alloc(p->w->class_bytes[p->w->ops->rule_class(p->w->workload, r)]);
	p->top = slot_alloc(p->w->class_bytes[p->w->ops->top_class(p->w->workload)]);
}

/* ---- each rule ------------------------------------------------------------------------ */

/* Bytes a server that a rule's columns have. */
static uint32_t column_bytes(const struct km_bound *bound, uint32_t r)
{
	const struct km_bound_rule *br = &bound->rule[r];

	switch (br->kind) {
	case KM_RULE_FITS:
		return 4;
	case KM_RULE_HEALTHY:
		return 1;
	case KM_RULE_HEADROOM:
	case KM_RULE_BEST_FIT:
	case KM_RULE_WORST_FIT:
		return 8;
	case KM_RULE_BALANCE:
		return 16;
	case KM_RULE_NONEMPTY:
		return 4;
	default:
		return bound->col[br->col_idx].width;
	}
}

/* A rule that does not apply, or a trait without a value, only fills its slot. */
static bool reads_columns(const struct km_bound_rule *br, const uint32_t *trait)
{
	if (br->kind == KM_RULE_MATCH || br->kind == KM_RULE_TABLE)
		return trait[br->trait] && br->value_to[trait[br->trait]] != KM_DICT_NONE;
	if (!br->conditional)
		return true;
	return br->cond_value == KM_DICT_NONE ? trait[br->cond_trait] != 0
					      : trait[br->cond_trait] == br->cond_value;
}

static void rule_by_rule(struct probe *p)
{
	/* Distinct memory for each column, as the rule's are. */
	uint32_t *columns = slot_alloc((uint64_t)p->server_nr * 16 + 64);
	struct km_bound *bound;
	struct km_diag diag;
	double rule_us = 0, sum_us = 0;
	uint32_t r, i;

	check(km_bound_create(&bound, p->rules, &p->trace->schema, p->inv, &diag), &diag);
	printf("\n%-26s %5s  %-28s %-28s %s\n", "rule", "bytes", "evaluate us", "sum us", "share");
	for (r = 0; r < bound->rule_nr; r++) {
		static struct times eval, sum;
		const uint64_t bytes = (uint64_t)column_bytes(bound, r) * p->server_nr;

		eval.nr = sum.nr = p->repeat_nr;
		for (i = 0; i < p->repeat_nr; i++) {
			uint64_t t0 = km_clock_ns(), t1;

			p->w->ops->rule_eval(p->wa, r, &p->type, p->rule[r]);
			t1 = km_clock_ns();
			sink = sum_words(columns, bytes);
			eval.ns[i] = t1 - t0;
			sum.ns[i] = km_clock_ns() - t1;
		}
		printf("%-26s %5u  ", bound->rule[r].rule->name, column_bytes(bound, r));
		if (!reads_columns(&bound->rule[r], p->type.trait)) {
			print_us(&eval);
			printf("  does not apply to this type: filled\n");
			continue;
		}
		print_us(&eval);
		printf("  ");
		print_us(&sum);
		printf("  %.2f\n", (double)median(&sum) / (double)median(&eval));
		rule_us += (double)median(&eval) / 1e3;
		sum_us += (double)median(&sum) / 1e3;
	}
	printf("%-26s %5s  %9.1f %28.1f %18.2f\n", "all", "", rule_us, sum_us, sum_us / rule_us);
	km_bound_destroy(bound);
	free(columns);
}

/* ---- builds, updates -------------------------------------------------------------------- */

static uint64_t sync_now(struct probe *p)
{
	uint64_t rev;

	km_snap_quiesce();
	km_snap_enter();
	rev = p->w->ops->sync(p->wa);
	km_snap_leave();
	return rev;
}

static void evaluate_all(struct probe *p)
{
	uint32_t r;

	for (r = 0; r < p->w->rule_nr; r++)
		p->w->ops->rule_eval(p->wa, r, &p->type, p->rule[r]);
	p->w->ops->top_build(p->wa, &p->type, p->rule, p->top);
}

static void update_all(struct probe *p, uint64_t rev)
{
	uint32_t r;

	for (r = 0; r < p->w->rule_nr; r++)
		p->w->ops->rule_update(p->wa, r, &p->type, p->rule[r], rev);
	p->w->ops->top_update(p->wa, &p->type, p->rule, p->top, rev);
}

/* Delete and place again random initial VMs until @nr entries are journalled. */
static void change(struct probe *p, uint64_t nr)
{
	const uint32_t vms = (uint32_t)p->trace->initial_nr;
	uint64_t i;

	for (i = 0; i < nr; i += 2) {
		const uint32_t vm = (uint32_t)km_rand_below(&p->rand, vms);
		struct km_store_vm at;

		if (!km_store_memory.find(p->store, vm, &at))
			continue;
		km_store_memory.delete(p->store, vm);
		km_ignore(km_store_memory.commit(p->store, &at, 1, NULL) !=
			  KM_COMMIT_DONE); /* its own room */
	}
}

static void builds(struct probe *p)
{
	static struct times top, all;
	uint32_t i;

	top.nr = all.nr = p->repeat_nr;
	for (i = 0; i < p->repeat_nr; i++) {
		const uint64_t t0 = km_clock_ns();

		evaluate_all(p);
		all.ns[i] = km_clock_ns() - t0;
	}
	for (i = 0; i < p->repeat_nr; i++) {
		const uint64_t t0 = km_clock_ns();

		p->w->ops->top_build(p->wa, &p->type, p->rule, p->top);
		top.ns[i] = km_clock_ns() - t0;
	}
	printf("\nconsolidate from rule slots   us ");
	print_us(&top);
	printf("\nall rules and consolidate     us ");
	print_us(&all);
	printf("\n");
}

static void crossover(struct probe *p)
{
	uint64_t nr;

	printf("\n%-9s %-30s %-30s %s\n", "changes", "update us", "anew us", "update/anew");
	for (nr = 64; nr <= p->server_nr / 4 && nr < (1 << 17) && nr < 400000; nr *= 2) {
		static struct times update, anew;
		uint32_t i, repeats = p->repeat_nr < 9 ? p->repeat_nr : 9;

		update.nr = anew.nr = repeats;
		for (i = 0; i < repeats; i++) {
			uint64_t rev = sync_now(p), t0, t1;

			evaluate_all(p);
			change(p, nr);
			sync_now(p);
			t0 = km_clock_ns();
			if (p->w->ops->can_update(p->wa, rev) || nr < (1 << 17) - 4)
				update_all(p, rev);
			t1 = km_clock_ns();
			evaluate_all(p);
			update.ns[i] = t1 - t0;
			anew.ns[i] = km_clock_ns() - t1;
		}
		printf("%-9" PRIu64 " ", nr);
		print_us(&update);
		printf("   ");
		print_us(&anew);
		printf("   %.2f\n", (double)median(&update) / (double)median(&anew));
	}
}

static void picks(struct probe *p, bool cached)
{
	static struct times pick;
	uint32_t vm = km_dict_nr(p->trace->schema.vms), server, i;
	struct km_place_ask ask = { .vm_nr = 1,
				    .tenant = KM_DICT_NONE,
				    .batch = KM_DICT_NONE,
				    .vm = &vm,
				    .server = &server };
	struct km_req req;
	struct km_serve_part part = { .req = &req, .type = &p->type };

	memset(&req, 0, sizeof(req));
	memcpy(req.trait, p->type.trait, sizeof(req.trait));
	req.payload = &ask;
	sync_now(p);
	evaluate_all(p);
	part.top = cached ? p->top : NULL;
	pick.nr = p->repeat_nr;
	for (i = 0; i < p->repeat_nr; i++) {
		const uint64_t t0 = km_clock_ns();

		if (p->w->ops->serve(p->wa, &part, 1) != KM_SERVE_DONE || req.outcome != KM_PLACED)
			printf("not placed: outcome %d\n", req.outcome);
		pick.ns[i] = km_clock_ns() - t0;
		km_store_memory.delete(p->store, vm);
	}
	printf("pick and commit %-12s  us ", cached ? "cached" : "uncached");
	print_us(&pick);
	printf("\n");
}

/* What is held under the store's lock: a delete and a commit of random VMs. */
static void store_alone(struct probe *p)
{
	enum { PAIRS = 1000 };
	static struct times pair;
	uint32_t i;

	pair.nr = p->repeat_nr;
	for (i = 0; i < p->repeat_nr; i++) {
		const uint64_t t0 = km_clock_ns();

		change(p, 2 * PAIRS);
		pair.ns[i] = (km_clock_ns() - t0) / PAIRS;
		km_snap_quiesce();
	}
	printf("find, delete and commit a VM  us ");
	print_us(&pair);
	printf("\n");
}

static void audit(struct probe *p)
{
	static struct km_audit result;
	const struct km_audit_cfg cfg = { .ops = &km_store_memory,
					  .store = p->store,
					  .inv = p->inv,
					  .rules = p->rules,
					  .vm_cap = km_dict_nr(p->trace->schema.vms) + 1 };
	const uint64_t t0 = km_clock_ns();

	check(km_audit_run(&cfg, &result), NULL);
	printf("audit: %" PRIu64 " VMs, %" PRIu64 " failures, %.2f s\n", result.vms,
	       result.failures, (double)(km_clock_ns() - t0) / 1e9);
	if (result.failures)
		printf("first: %s\n", result.reason[0].reason);
}

int main(int argc, char **argv)
{
	static struct probe p;
	struct km_diag diag = { .reason = "servers must be 1..1000000 and repeats 1..1000" };

	p.server_nr = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	p.repeat_nr = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 41;
	if (!p.server_nr || p.server_nr > KM_ZONE_SERVERS_MAX || !p.repeat_nr ||
	    p.repeat_nr > REPEATS_MAX)
		check(-EINVAL, &diag);
	km_rand_init(&p.rand, 1);
	km_snap_thread_start();
	open_zone(&p);
	rule_by_rule(&p);
	builds(&p);
	picks(&p, true);
	picks(&p, false);
	store_alone(&p);
	crossover(&p);
	audit(&p);
	km_snap_drain();
	km_snap_thread_stop();
	return 0;
}
