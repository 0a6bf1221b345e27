/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The placement store in memory: per-server truth, a table of VMs by number,
 * counters for the SPREAD rules, and the journal.
 *
 * One mutex guards all of it. The journal has one writer and its order must be
 * the order of the changes, so commits are serial whatever the lock; what is
 * held under it is the short check and merge, and no decision comes here
 * (Documentation/placement.md, "One lock").
 *
 * Invariants (tests/unit/store_test.c, the audit):
 *  S1 free[r][s] = total[r][s] minus the sum over the VMs on s, and never negative;
 *  S2 the count of (spread, group, domain) is the number of VMs there, at most max;
 *  S3 the journal replayed over an empty zone gives free and vm_nr;
 *  S4 a refused commit changes nothing: not the state, not the journal.
 */
#include "place/store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Kept entries when the journal is not kept whole: 512 Ki, 16 MiB. */
#define JOURNAL_SEG_NR 512
#define GROUP_CELLS_MIN 1024

static_assert(sizeof(struct km_journal_entry) == 32, "two journal entries a line");

/* Open addressing; a cell with count 0 is empty. */
struct group_cell {
	uint64_t key; /* group, domain */
	uint32_t count;
};

struct group_table {
	struct group_cell *cell;
	uint64_t mask; /* cells - 1 */
	uint64_t used;
	unsigned int shift; /* 64 - log2(cells) */
};

struct vm_slot {
	uint32_t server_plus_one; /* 0 = no such VM; fresh pages need no writing */
	int32_t res[KM_RES_NR];
	uint32_t group[KM_SPREADS_MAX];
};

struct memory_store {
	const struct km_inventory *inv;
	uint32_t server_nr, vm_cap, spread_nr;
	enum km_spread_over over[KM_SPREADS_MAX];
	uint32_t max[KM_SPREADS_MAX];

	pthread_mutex_t lock;
	/* Sync: all below by lock */
	int32_t *free[KM_RES_NR];
	uint32_t *vm_nr;
	uint8_t *healthy;
	struct vm_slot *vm;
	struct group_table groups[KM_SPREADS_MAX];
	uint32_t *touched_by; /* [server_nr] number of the last change that journalled it */
	uint32_t change;
	struct km_bcast *journal;
	struct km_store_stats stats;
};

static struct memory_store *of(struct km_store *store)
{
	return (struct memory_store *)(void *)store;
}

/* ---- counters of the SPREAD rules ------------------------------------------ */

static uint64_t group_key(uint32_t group, uint32_t domain)
{
	return (uint64_t)group << 32 | domain;
}

static uint64_t group_home(const struct group_table *t, uint64_t key)
{
	return (key * UINT64_C(0x9e3779b97f4a7c15)) >> t->shift;
}

/* The key's cell, or the empty one where it would go; the table is never full. */
static struct group_cell *group_cell(const struct group_table *t, uint64_t key)
{
	uint64_t i = group_home(t, key);

	while (t->cell[i].count && t->cell[i].key != key)
		i = (i + 1) & t->mask;
	return &t->cell[i];
}

static int group_alloc(struct group_table *t, uint64_t cells)
{
	t->cell = calloc(cells, sizeof(*t->cell));
	if (!t->cell)
		return -ENOMEM;
	t->mask = cells - 1;
	t->shift = 64 - (unsigned int)__builtin_ctzll(cells);
	t->used = 0;
	return 0;
}

/* Room for @more new keys at a load of at most 2/3: doubling, so rare. */
static int group_reserve(struct group_table *t, uint64_t more)
{
	struct group_table next;
	uint64_t i, want = t->used + more;

	if (want * 3 <= (t->mask + 1) * 2)
		return 0;
	if (group_alloc(&next, km_pow2_up(want * 2)))
		return -ENOMEM;
	for (i = 0; i <= t->mask; i++)
		if (t->cell[i].count)
			*group_cell(&next, t->cell[i].key) = t->cell[i];
	next.used = t->used;
	free(t->cell);
	*t = next;
	return 0;
}

static void group_add(struct group_table *t, uint64_t key)
{
	struct group_cell *cell = group_cell(t, key);

	if (!cell->count) {
		cell->key = key;
		t->used++;
	}
	cell->count++;
}

/* Close the gap at @hole: move back what would no longer be found behind it. */
static void group_close_gap(struct group_table *t, uint64_t hole)
{
	uint64_t i = hole;

	for (;;) {
		uint64_t home;

		i = (i + 1) & t->mask;
		if (!t->cell[i].count)
			break;
		home = group_home(t, t->cell[i].key);
		if (((i - home) & t->mask) < ((i - hole) & t->mask))
			continue;
		t->cell[hole] = t->cell[i];
		hole = i;
	}
	t->cell[hole].count = 0;
	t->used--;
}

static void group_sub(struct group_table *t, uint64_t key)
{
	struct group_cell *cell = group_cell(t, key);

	KM_BUG_ON(!cell->count);
	if (cell->count == 1)
		group_close_gap(t, (uint64_t)(cell - t->cell));
	else
		cell->count--;
}

static uint64_t vm_group_key(const struct memory_store *ms, uint32_t spread, uint32_t group,
			     uint32_t server)
{
	return group_key(group, km_spread_domain(ms->inv, ms->over[spread], server));
}

/* ---- one VM ------------------------------------------------------------------ */

static enum km_commit check_numbers(const struct memory_store *ms, const struct km_store_vm *vm)
{
	int r;

	if (vm->vm >= ms->vm_cap || vm->server >= ms->server_nr)
		return KM_COMMIT_BAD;
	for (r = 0; r < KM_RES_NR; r++)
		if (vm->res[r] < 0)
			return KM_COMMIT_BAD;
	return KM_COMMIT_DONE;
}

static enum km_commit check(const struct memory_store *ms, const struct km_store_vm *vm)
{
	uint32_t i;
	int r;

	if (check_numbers(ms, vm) != KM_COMMIT_DONE)
		return KM_COMMIT_BAD;
	if (ms->vm[vm->vm].server_plus_one)
		return KM_COMMIT_DUPLICATE;
	for (r = 0; r < KM_RES_NR; r++)
		if (vm->res[r] > ms->free[r][vm->server])
			return KM_COMMIT_OVER;
	for (i = 0; i < ms->spread_nr; i++) {
		if (vm->group[i] == KM_GROUP_NONE)
			continue;
		if (group_cell(&ms->groups[i], vm_group_key(ms, i, vm->group[i], vm->server))
			    ->count >= ms->max[i])
			return KM_COMMIT_AFFINITY;
	}
	return KM_COMMIT_DONE;
}

static void apply(struct memory_store *ms, const struct km_store_vm *vm)
{
	struct vm_slot *slot = &ms->vm[vm->vm];
	uint32_t i;
	int r;

	slot->server_plus_one = vm->server + 1;
	memcpy(slot->res, vm->res, sizeof(slot->res));
	memcpy(slot->group, vm->group, sizeof(slot->group));
	for (r = 0; r < KM_RES_NR; r++)
		ms->free[r][vm->server] -= vm->res[r];
	ms->vm_nr[vm->server]++;
	ms->stats.vm_nr++;
	for (i = 0; i < ms->spread_nr; i++)
		if (vm->group[i] != KM_GROUP_NONE)
			group_add(&ms->groups[i], vm_group_key(ms, i, vm->group[i], vm->server));
}

/* Undo apply(). Return: the server. */
static uint32_t unapply(struct memory_store *ms, uint32_t vm)
{
	struct vm_slot *slot = &ms->vm[vm];
	uint32_t i, server = slot->server_plus_one - 1;
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		ms->free[r][server] += slot->res[r];
	ms->vm_nr[server]--;
	ms->stats.vm_nr--;
	for (i = 0; i < ms->spread_nr; i++)
		if (slot->group[i] != KM_GROUP_NONE)
			group_sub(&ms->groups[i], vm_group_key(ms, i, slot->group[i], server));
	slot->server_plus_one = 0;
	return server;
}

/* The append cannot fail: reserved by the caller. */
static void journal(struct memory_store *ms, uint32_t server)
{
	struct km_journal_entry entry = {
		.server = server,
		.vm_nr = ms->vm_nr[server],
		.healthy = ms->healthy[server],
	};
	int err, r;

	for (r = 0; r < KM_RES_NR; r++)
		entry.free[r] = ms->free[r][server];
	err = km_bcast_append(ms->journal, &entry, NULL);
	KM_BUG_ON(err);
}

/* ---- the ops ------------------------------------------------------------------ */

static enum km_commit count_refusal(struct memory_store *ms, enum km_commit why)
{
	switch (why) {
	case KM_COMMIT_OVER:
		ms->stats.over++;
		break;
	case KM_COMMIT_AFFINITY:
		ms->stats.affinity++;
		break;
	case KM_COMMIT_DUPLICATE:
		ms->stats.duplicate++;
		break;
	case KM_COMMIT_BAD:
		ms->stats.bad++;
		break;
	default:
		ms->stats.no_memory++;
		break;
	}
	return why;
}

static int reserve(struct memory_store *ms, uint32_t vm_nr)
{
	uint32_t i;

	/* First of all: from here on a commit cannot half-happen (S4). */
	if (km_bcast_reserve(ms->journal, vm_nr))
		return -ENOMEM;
	for (i = 0; i < ms->spread_nr; i++)
		if (group_reserve(&ms->groups[i], vm_nr))
			return -ENOMEM;
	return 0;
}

static void journal_touched(struct memory_store *ms, const struct km_store_vm *vm, uint32_t vm_nr)
{
	uint32_t i;

	/* 0 is no change's number; on the wrap the marks start over. */
	if (++ms->change == 0) {
		memset(ms->touched_by, 0, ms->server_nr * sizeof(*ms->touched_by));
		ms->change = 1;
	}
	for (i = 0; i < vm_nr; i++) {
		if (ms->touched_by[vm[i].server] == ms->change)
			continue;
		ms->touched_by[vm[i].server] = ms->change;
		journal(ms, vm[i].server);
	}
}

static enum km_commit commit_locked(struct memory_store *ms, const struct km_store_vm *vm,
				    uint32_t vm_nr, uint32_t *at)
{
	enum km_commit why = KM_COMMIT_DONE;
	uint32_t i;

	if (reserve(ms, vm_nr))
		return count_refusal(ms, KM_COMMIT_NO_MEMORY);
	/* Each VM is checked against those before it; a refusal takes them back. */
	for (i = 0; i < vm_nr; i++) {
		why = check(ms, &vm[i]);
		if (why != KM_COMMIT_DONE)
			break;
		apply(ms, &vm[i]);
	}
	if (why != KM_COMMIT_DONE) {
		*at = i;
		while (i--)
			unapply(ms, vm[i].vm);
		return count_refusal(ms, why);
	}
	journal_touched(ms, vm, vm_nr);
	ms->stats.commits++;
	ms->stats.vms_placed += vm_nr;
	return KM_COMMIT_DONE;
}

static enum km_commit memory_commit(struct km_store *store, const struct km_store_vm *vm,
				    uint32_t vm_nr, uint32_t *at)
{
	struct memory_store *ms = of(store);
	enum km_commit result;
	uint32_t refused = 0;

	pthread_mutex_lock(&ms->lock);
	if (vm_nr > KM_COMMIT_VMS_MAX)
		result = count_refusal(ms, KM_COMMIT_BAD);
	else
		result = commit_locked(ms, vm, vm_nr, &refused);
	pthread_mutex_unlock(&ms->lock);
	if (at)
		*at = refused;
	return result;
}

static enum km_commit memory_load(struct km_store *store, const struct km_store_vm *vm,
				  uint64_t vm_nr)
{
	if (vm_nr > KM_COMMIT_VMS_MAX)
		vm_nr = (uint64_t)KM_COMMIT_VMS_MAX + 1; /* refused and counted there */
	return memory_commit(store, vm, (uint32_t)vm_nr, NULL);
}

static bool memory_delete(struct km_store *store, uint32_t vm)
{
	struct memory_store *ms = of(store);
	bool known;

	pthread_mutex_lock(&ms->lock);
	known = vm < ms->vm_cap && ms->vm[vm].server_plus_one;
	if (!known) {
		ms->stats.deletes_unknown++;
	} else if (km_bcast_reserve(ms->journal, 1)) {
		ms->stats.no_memory++;
		known = false;
	} else {
		journal(ms, unapply(ms, vm));
		ms->stats.deletes++;
	}
	pthread_mutex_unlock(&ms->lock);
	return known;
}

static uint32_t memory_group_count(struct km_store *store, uint32_t spread, uint32_t group,
				   uint32_t domain)
{
	struct memory_store *ms = of(store);
	uint32_t count;

	if (spread >= ms->spread_nr)
		return 0;
	pthread_mutex_lock(&ms->lock);
	count = group_cell(&ms->groups[spread], group_key(group, domain))->count;
	pthread_mutex_unlock(&ms->lock);
	return count;
}

static struct km_bcast *memory_watch(struct km_store *store)
{
	return of(store)->journal;
}

static uint64_t memory_copy_state(struct km_store *store, int32_t *const free_to[KM_RES_NR],
				  uint32_t *vm_nr, uint8_t *healthy)
{
	struct memory_store *ms = of(store);
	uint64_t rev;
	int r;

	pthread_mutex_lock(&ms->lock);
	for (r = 0; r < KM_RES_NR; r++)
		memcpy(free_to[r], ms->free[r], ms->server_nr * sizeof(*ms->free[r]));
	memcpy(vm_nr, ms->vm_nr, ms->server_nr * sizeof(*ms->vm_nr));
	memcpy(healthy, ms->healthy, ms->server_nr * sizeof(*ms->healthy));
	rev = km_bcast_head(ms->journal);
	pthread_mutex_unlock(&ms->lock);
	return rev;
}

static struct km_store_stats memory_stats(struct km_store *store)
{
	struct memory_store *ms = of(store);
	struct km_store_stats stats;

	pthread_mutex_lock(&ms->lock);
	stats = ms->stats;
	pthread_mutex_unlock(&ms->lock);
	return stats;
}

static bool memory_find(struct km_store *store, uint32_t vm, struct km_store_vm *out)
{
	struct memory_store *ms = of(store);
	const struct vm_slot *slot;
	bool known;

	if (vm >= ms->vm_cap)
		return false;
	pthread_mutex_lock(&ms->lock);
	slot = &ms->vm[vm];
	known = slot->server_plus_one != 0;
	if (known) {
		out->vm = vm;
		out->server = slot->server_plus_one - 1;
		memcpy(out->res, slot->res, sizeof(out->res));
		memcpy(out->group, slot->group, sizeof(out->group));
	}
	pthread_mutex_unlock(&ms->lock);
	return known;
}

static void memory_close(struct km_store *store)
{
	struct memory_store *ms = of(store);
	uint32_t i;
	int r;

	if (!ms)
		return;
	km_bcast_destroy(ms->journal);
	for (i = 0; i < KM_SPREADS_MAX; i++)
		free(ms->groups[i].cell);
	free(ms->touched_by);
	free(ms->vm);
	free(ms->healthy);
	free(ms->vm_nr);
	for (r = 0; r < KM_RES_NR; r++)
		free(ms->free[r]);
	pthread_mutex_destroy(&ms->lock);
	free(ms);
}

static int open_spreads(struct memory_store *ms, const struct km_ruleset *rules,
			struct km_diag *diag)
{
	uint32_t i;

	for (i = 0; rules && i < rules->rule_nr; i++) {
		const struct km_rule *rule = &rules->rule[i];

		if (rule->kind != KM_RULE_SPREAD)
			continue;
		if (ms->spread_nr == KM_SPREADS_MAX)
			return km_diag_set(diag, -EINVAL, NULL, rule->line, 0,
					   "rule %s: at most %d spread rules", rule->name,
					   KM_SPREADS_MAX);
		ms->over[ms->spread_nr] = rule->over;
		ms->max[ms->spread_nr] = rule->max;
		if (group_alloc(&ms->groups[ms->spread_nr++], GROUP_CELLS_MIN))
			return -ENOMEM;
	}
	return 0;
}

static int open_tables(struct memory_store *ms, const struct km_store_cfg *cfg)
{
	const size_t server_nr = ms->server_nr;
	int r;

	for (r = 0; r < KM_RES_NR; r++) {
		ms->free[r] = malloc(server_nr * sizeof(*ms->free[r]));
		if (!ms->free[r])
			return -ENOMEM;
		memcpy(ms->free[r], cfg->inv->total[r], server_nr * sizeof(*ms->free[r]));
	}
	ms->vm_nr = calloc(server_nr, sizeof(*ms->vm_nr));
	ms->healthy = malloc(server_nr);
	ms->touched_by = calloc(server_nr, sizeof(*ms->touched_by));
	ms->vm = calloc(cfg->vm_cap ? cfg->vm_cap : 1, sizeof(*ms->vm));
	if (!ms->vm_nr || !ms->healthy || !ms->touched_by || !ms->vm)
		return -ENOMEM;
	memcpy(ms->healthy, cfg->inv->healthy, server_nr);
	return km_bcast_create(&ms->journal, sizeof(struct km_journal_entry),
			       cfg->keep_journal ? 0 : JOURNAL_SEG_NR);
}

static int memory_open(struct km_store **out, const struct km_store_cfg *cfg, struct km_diag *diag)
{
	struct memory_store *ms;
	int err;

	if (!cfg->inv->server_nr || cfg->inv->server_nr > KM_SERVERS_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "%u servers: 1..%u are possible",
				   cfg->inv->server_nr, KM_SERVERS_MAX);
	ms = calloc(1, sizeof(*ms));
	if (!ms)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "no memory for the store");
	pthread_mutex_init(&ms->lock, NULL);
	ms->inv = cfg->inv;
	ms->server_nr = cfg->inv->server_nr;
	ms->vm_cap = cfg->vm_cap;
	err = open_spreads(ms, cfg->rules, diag);
	if (!err)
		err = open_tables(ms, cfg);
	if (err) {
		if (err == -ENOMEM)
			km_ignore(km_diag_set(diag, err, NULL, 0, 0,
					      "no memory for %u servers and %u VMs", ms->server_nr,
					      ms->vm_cap)); /* err is returned */
		memory_close((struct km_store *)(void *)ms);
		return err;
	}
	*out = (struct km_store *)(void *)ms;
	return 0;
}

const struct km_store_ops km_store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.load = memory_load,
	.commit = memory_commit,
	.delete = memory_delete,
	.group_count = memory_group_count,
	.watch = memory_watch,
	.copy_state = memory_copy_state,
	.stats = memory_stats,
	.find = memory_find,
};
