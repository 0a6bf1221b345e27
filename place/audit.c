/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snap.h"

#define READ_NR 256u

/* One zone's state, as told or as recomputed. */
struct zone_state {
	int64_t *free[KM_RES_NR]; /* 64 bits: a recomputed one may be far below zero */
	uint32_t *vm_nr;
	uint8_t *healthy;
};

struct member {
	uint64_t key; /* group, domain */
	uint32_t spread;
};

struct run {
	const struct km_audit_cfg *cfg;
	struct km_audit *audit;
	uint32_t server_nr, spread_nr;
	const struct km_rule *spread[KM_SPREADS_MAX];
	struct zone_state told, recount;
	uint64_t told_rev;
	struct member *member;
	uint64_t member_nr, member_cap;
};

static void fail(struct run *run, const char *fmt, ...) KM_PRINTF(2, 3);

static void fail(struct run *run, const char *fmt, ...)
{
	struct km_audit *audit = run->audit;
	char why[sizeof(audit->reason[0].reason)];
	va_list args;

	audit->failures++;
	if (audit->reason_nr == KM_AUDIT_REASONS_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	km_ignore(km_diag_set(&audit->reason[audit->reason_nr++], 1, NULL, 0, 0, "%s",
			      why)); /* collected, not returned */
}

/* ---- ledger ---------------------------------------------------------------------- */

int km_ledger_init(struct km_ledger *ledger, uint32_t vm_nr, bool with_res)
{
	const size_t nr = vm_nr ? vm_nr : 1;

	ledger->vm_nr = vm_nr;
	ledger->state = calloc(nr, sizeof(*ledger->state));
	ledger->server = calloc(nr, sizeof(*ledger->server));
	ledger->res = with_res ? calloc(nr, sizeof(*ledger->res)) : NULL;
	if (ledger->state && ledger->server && (ledger->res || !with_res))
		return 0;
	km_ledger_fini(ledger);
	return -ENOMEM;
}

void km_ledger_fini(struct km_ledger *ledger)
{
	free(ledger->state);
	free(ledger->server);
	free(ledger->res);
	memset(ledger, 0, sizeof(*ledger));
}

/* ---- states ------------------------------------------------------------------------ */

static int state_init(struct zone_state *st, uint32_t server_nr)
{
	int r;

	for (r = 0; r < KM_RES_NR; r++) {
		st->free[r] = calloc(server_nr, sizeof(*st->free[r]));
		if (!st->free[r])
			return -ENOMEM;
	}
	st->vm_nr = calloc(server_nr, sizeof(*st->vm_nr));
	st->healthy = calloc(server_nr, sizeof(*st->healthy));
	return st->vm_nr && st->healthy ? 0 : -ENOMEM;
}

static void state_fini(struct zone_state *st)
{
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		free(st->free[r]);
	free(st->vm_nr);
	free(st->healthy);
}

static void state_empty_zone(struct zone_state *st, const struct km_inventory *inv)
{
	uint32_t s;
	int r;

	for (s = 0; s < inv->server_nr; s++) {
		for (r = 0; r < KM_RES_NR; r++)
			st->free[r][s] = inv->total[r][s];
		st->vm_nr[s] = 0;
		st->healthy[s] = inv->healthy[s];
	}
}

static int read_told(struct run *run)
{
	int32_t *narrow[KM_RES_NR], *all;
	uint32_t s;
	int r;

	all = malloc((size_t)run->server_nr * KM_RES_NR * sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (r = 0; r < KM_RES_NR; r++)
		narrow[r] = all + (size_t)r * run->server_nr;
	run->told_rev = run->cfg->ops->copy_state(run->cfg->store, narrow, run->told.vm_nr,
						  run->told.healthy);
	for (r = 0; r < KM_RES_NR; r++)
		for (s = 0; s < run->server_nr; s++)
			run->told.free[r][s] = narrow[r][s];
	free(all);
	return 0;
}

/* Every difference of two states, each server once. */
static void compare_states(struct run *run, const struct zone_state *want, const char *what)
{
	const struct zone_state *told = &run->told;
	uint32_t s;
	int r;

	for (s = 0; s < run->server_nr; s++) {
		for (r = 0; r < KM_RES_NR; r++)
			if (told->free[r][s] != want->free[r][s])
				break;
		if (r < KM_RES_NR)
			fail(run, "server %u: %s free is %lld by the store, %lld by %s", s,
			     km_res_name[r], (long long)told->free[r][s],
			     (long long)want->free[r][s], what);
		else if (told->vm_nr[s] != want->vm_nr[s])
			fail(run, "server %u: %u VMs by the store, %u by %s", s, told->vm_nr[s],
			     want->vm_nr[s], what);
		else if (!told->healthy[s] != !want->healthy[s])
			fail(run, "server %u: health differs from that by %s", s, what);
	}
}

/* ---- U1, U2: VM by VM ------------------------------------------------------------- */

static int add_members(struct run *run, const struct km_store_vm *vm)
{
	uint32_t i;

	for (i = 0; i < run->spread_nr; i++) {
		const uint32_t domain =
			km_spread_domain(run->cfg->inv, run->spread[i]->over, vm->server);

		if (vm->group[i] == KM_GROUP_NONE)
			continue;
		if (run->member_nr == run->member_cap) {
			const uint64_t cap = run->member_cap ? 2 * run->member_cap : 4096;
			struct member *more = realloc(run->member, cap * sizeof(*more));

			if (!more)
				return -ENOMEM;
			run->member = more;
			run->member_cap = cap;
		}
		run->member[run->member_nr++] =
			(struct member){ (uint64_t)vm->group[i] << 32 | domain, i };
	}
	return 0;
}

static void check_against_ledger(struct run *run, uint32_t vm, const struct km_store_vm *at)
{
	const struct km_ledger *ledger = run->cfg->ledger;
	enum km_ledger_state state;

	if (!ledger)
		return;
	state = vm < ledger->vm_nr ? (enum km_ledger_state)ledger->state[vm] : KM_LEDGER_NONE;
	if (state != KM_LEDGER_PLACED) {
		if (at)
			fail(run, "VM %u stands on server %u, the client was told that it %s", vm,
			     at->server,
			     state == KM_LEDGER_DELETED	  ? "is deleted"
			     : state == KM_LEDGER_REFUSED ? "is refused"
							  : "does not exist");
		return;
	}
	if (!at)
		fail(run, "VM %u is gone, the client was told that it is on server %u", vm,
		     ledger->server[vm]);
	else if (at->server != ledger->server[vm])
		fail(run, "VM %u stands on server %u, the client was told %u", vm, at->server,
		     ledger->server[vm]);
	else if (ledger->res && memcmp(ledger->res[vm], at->res, sizeof(at->res)))
		fail(run, "VM %u is not as large as the client asked for", vm);
}

static int recount_vm(struct run *run, const struct km_store_vm *vm)
{
	int r;

	run->audit->vms++;
	if (vm->server >= run->server_nr) {
		fail(run, "VM %u stands on server %u, which does not exist", vm->vm, vm->server);
		return 0;
	}
	for (r = 0; r < KM_RES_NR; r++)
		run->recount.free[r][vm->server] -= vm->res[r];
	run->recount.vm_nr[vm->server]++;
	return add_members(run, vm);
}

static int check_vms(struct run *run)
{
	const uint32_t ledger_nr = run->cfg->ledger ? run->cfg->ledger->vm_nr : 0;
	const uint32_t nr = run->cfg->vm_cap > ledger_nr ? run->cfg->vm_cap : ledger_nr;
	struct km_store_vm at;
	uint32_t vm;
	int err = 0;

	for (vm = 0; vm < nr && !err; vm++) {
		const bool there = run->cfg->ops->find(run->cfg->store, vm, &at);

		check_against_ledger(run, vm, there ? &at : NULL);
		if (there)
			err = recount_vm(run, &at);
	}
	return err;
}

static void check_servers(struct run *run)
{
	uint32_t s;
	int r;

	run->audit->servers = run->server_nr;
	for (s = 0; s < run->server_nr; s++)
		for (r = 0; r < KM_RES_NR; r++)
			if (run->recount.free[r][s] < 0)
				fail(run, "server %u is over-committed: %lld of %s too much", s,
				     -(long long)run->recount.free[r][s], km_res_name[r]);
	compare_states(run, &run->recount, "its VMs");
}

/* ---- U3 ------------------------------------------------------------------------------ */

static int by_member(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->spread != y->spread)
		return x->spread < y->spread ? -1 : 1;
	return (x->key > y->key) - (x->key < y->key);
}

static void check_group(struct run *run, const struct member *m, uint64_t count)
{
	const struct km_rule *rule = run->spread[m->spread];
	const uint32_t group = (uint32_t)(m->key >> 32), domain = (uint32_t)m->key;
	const uint32_t told = run->cfg->ops->group_count(run->cfg->store, m->spread, group, domain);

	run->audit->groups++;
	if (count > rule->max)
		fail(run, "rule %s: %llu VMs of group %u in domain %u, at most %u may be",
		     rule->name, (unsigned long long)count, group, domain, rule->max);
	if (told != count)
		fail(run, "rule %s: %u VMs of group %u in domain %u by the store, %llu there are",
		     rule->name, told, group, domain, (unsigned long long)count);
}

static void check_groups(struct run *run)
{
	uint64_t i, first;

	if (!run->member_nr)
		return;
	qsort(run->member, run->member_nr, sizeof(*run->member), by_member);
	for (first = 0, i = 1; i <= run->member_nr; i++) {
		if (i < run->member_nr && !by_member(&run->member[first], &run->member[i]))
			continue;
		check_group(run, &run->member[first], i - first);
		first = i;
	}
}

/* ---- U4 ------------------------------------------------------------------------------ */

static void replay_entry(struct run *run, struct zone_state *st,
			 const struct km_journal_entry *entry)
{
	int r;

	run->audit->journal_entries++;
	if (entry->server >= run->server_nr) {
		fail(run, "the journal tells of server %u, which does not exist", entry->server);
		return;
	}
	for (r = 0; r < KM_RES_NR; r++) {
		if (entry->free[r] < 0)
			fail(run, "the journal tells of server %u with %d %s free", entry->server,
			     entry->free[r], km_res_name[r]);
		st->free[r][entry->server] = entry->free[r];
	}
	st->vm_nr[entry->server] = entry->vm_nr;
	st->healthy[entry->server] = (uint8_t)entry->healthy;
}

static void replay(struct run *run, struct zone_state *st)
{
	struct km_bcast *journal = run->cfg->ops->watch(run->cfg->store);
	struct km_journal_entry entry[READ_NR];
	enum km_bcast_result result;
	uint32_t i, nr;
	uint64_t from;

	state_empty_zone(st, run->cfg->inv);
	for (from = 1; from <= run->told_rev; from += nr) {
		km_snap_enter();
		result = km_bcast_read_some(journal, from, entry, READ_NR, &nr);
		km_snap_leave();
		if (result != KM_BCAST_OK || !nr) {
			fail(run, "the journal cannot be read from revision %llu",
			     (unsigned long long)from);
			return;
		}
		for (i = 0; i < nr; i++)
			replay_entry(run, st, &entry[i]);
	}
	compare_states(run, st, "the journal");
}

/* ---- U5 ------------------------------------------------------------------------------ */

static uint64_t ledger_count(const struct km_ledger *ledger, enum km_ledger_state state)
{
	uint64_t nr = 0;
	uint32_t vm;

	for (vm = 0; vm < ledger->vm_nr; vm++)
		nr += ledger->state[vm] == state;
	return nr;
}

static void check_totals(struct run *run)
{
	const struct km_store_stats stats = run->cfg->ops->stats(run->cfg->store);
	const uint64_t alive = run->audit->vms;

	if (stats.vm_nr != alive)
		fail(run, "%u VMs by the store's count, %llu there are", stats.vm_nr,
		     (unsigned long long)alive);
	if (stats.vms_placed - stats.deletes != alive)
		fail(run, "%llu VMs placed less %llu deleted are not the %llu there are",
		     (unsigned long long)stats.vms_placed, (unsigned long long)stats.deletes,
		     (unsigned long long)alive);
	if (run->cfg->ledger && ledger_count(run->cfg->ledger, KM_LEDGER_PLACED) != alive)
		fail(run, "clients were told of %llu placed VMs, %llu there are",
		     (unsigned long long)ledger_count(run->cfg->ledger, KM_LEDGER_PLACED),
		     (unsigned long long)alive);
}

static int run_all(struct run *run)
{
	int err;

	err = state_init(&run->told, run->server_nr);
	if (!err)
		err = state_init(&run->recount, run->server_nr);
	if (!err)
		err = read_told(run);
	if (err)
		return err;
	state_empty_zone(&run->recount, run->cfg->inv);
	/* A server's health is the store's own to say; only the journal is held to it. */
	memcpy(run->recount.healthy, run->told.healthy, run->server_nr);
	err = check_vms(run);
	if (err)
		return err;
	check_servers(run);
	check_groups(run);
	if (run->cfg->whole_journal)
		replay(run, &run->recount);
	check_totals(run);
	return 0;
}

int km_audit_run(const struct km_audit_cfg *cfg, struct km_audit *audit)
{
	struct run run = { .cfg = cfg, .audit = audit, .server_nr = cfg->inv->server_nr };
	uint32_t i;
	int err;

	memset(audit, 0, sizeof(*audit));
	for (i = 0; cfg->rules && i < cfg->rules->rule_nr && run.spread_nr < KM_SPREADS_MAX; i++)
		if (cfg->rules->rule[i].kind == KM_RULE_SPREAD)
			run.spread[run.spread_nr++] = &cfg->rules->rule[i];
	err = run_all(&run);
	free(run.member);
	state_fini(&run.told);
	state_fini(&run.recount);
	return err;
}
