/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/audit_test.c - the audit passes a true store and finds each lie.
 *
 * The lies are told by an ops table that stands before the real one: one per
 * check U1 to U5, so that none of the checks can pass by looking away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/snap.h"
#include "place/audit.h"

enum { SERVERS = 8, VMS = 40, TOTAL = 10 };

enum lie {
	NO_LIE,
	FREE_OFF, /* copy_state() says one too much */
	COUNT_OFF, /* copy_state() says one VM too many */
	HEALTH_OFF, /* copy_state() says a server is sick */
	TOO_LARGE, /* find() says a VM is larger than its server */
	MOVED, /* find() says another server */
	GONE, /* find() knows it not */
	RISEN, /* find() knows a deleted one */
	NOWHERE, /* find() says a server that does not exist */
	CROWDED, /* find() puts two of a group on one server */
	GROUP_OFF, /* group_count() says one too many */
	STATS_OFF, /* stats() says one VM too many */
	PLACED_OFF, /* stats() says one placed too many */
	JOURNAL_OFF, /* watch() tells of another store's history */
};

static enum lie lie;
static struct km_bcast *false_journal;
static struct km_store_ops liar;

static uint64_t lying_copy_state(struct km_store *store, int32_t *const free_to[KM_RES_NR],
				 uint32_t *vm_nr, uint8_t *healthy)
{
	const uint64_t rev = km_store_memory.copy_state(store, free_to, vm_nr, healthy);

	free_to[KM_RES_SSD][3] += lie == FREE_OFF;
	vm_nr[2] += lie == COUNT_OFF;
	healthy[1] ^= lie == HEALTH_OFF;
	return rev;
}

static bool lying_find(struct km_store *store, uint32_t vm, struct km_store_vm *out)
{
	bool known = km_store_memory.find(store, vm, out);

	if (lie == RISEN && vm == 1) {
		*out = (struct km_store_vm){ .vm = 1, .server = 1 };
		memset(out->group, 0xff, sizeof(out->group));
		return true;
	}
	if (!known || vm != 6)
		return known;
	if (lie == TOO_LARGE)
		out->res[KM_RES_CPU] = TOTAL + 1;
	if (lie == MOVED)
		out->server = (out->server + 1) % SERVERS;
	if (lie == NOWHERE)
		out->server = SERVERS;
	if (lie == CROWDED)
		out->group[0] = 7; /* as VM 7, which stands there too */
	return lie != GONE;
}

static uint32_t lying_group_count(struct km_store *store, uint32_t spread, uint32_t group,
				  uint32_t domain)
{
	return km_store_memory.group_count(store, spread, group, domain) + (lie == GROUP_OFF);
}

static struct km_store_stats lying_stats(struct km_store *store)
{
	struct km_store_stats stats = km_store_memory.stats(store);

	stats.vm_nr += lie == STATS_OFF;
	stats.vms_placed += lie == PLACED_OFF;
	return stats;
}

static struct km_bcast *lying_watch(struct km_store *store)
{
	return lie == JOURNAL_OFF ? false_journal : km_store_memory.watch(store);
}

struct fixture {
	struct km_inventory *inv;
	struct km_ruleset rules;
	struct km_store *store;
	struct km_ledger ledger;
};

/* VMs 0..39, two on a server 4 apart, VMs 6 and 7 on one; 1 and 2 deleted, 39 refused. */
static void setup(struct fixture *f)
{
	static char name[] = "apart";
	struct km_store_cfg cfg = { .vm_cap = VMS, .keep_journal = true };
	uint32_t s, vm;
	int r;

	memset(f, 0, sizeof(*f));
	assert_int_equal(km_inventory_create(&f->inv, SERVERS), 0);
	for (s = 0; s < SERVERS; s++)
		for (r = 0; r < KM_RES_NR; r++)
			f->inv->total[r][s] = TOTAL;
	f->rules.rule_nr = 1;
	f->rules.rule[0] = (struct km_rule){
		.name = name, .kind = KM_RULE_SPREAD, .over = KM_OVER_SERVER, .max = 1
	};
	cfg.inv = f->inv;
	cfg.rules = &f->rules;
	assert_int_equal(km_store_memory.open(&f->store, &cfg, NULL), 0);
	assert_int_equal(km_ledger_init(&f->ledger, VMS, true), 0);
	for (vm = 0; vm < 10; vm++) {
		struct km_store_vm v = { .vm = vm, .server = vm / 2, .res = { 2, 1, 0, 0, 0 } };

		memset(v.group, 0xff, sizeof(v.group));
		v.group[0] = vm;
		assert_int_equal(km_store_memory.commit(f->store, &v, 1, NULL), KM_COMMIT_DONE);
		f->ledger.state[vm] = KM_LEDGER_PLACED;
		f->ledger.server[vm] = v.server;
		memcpy(f->ledger.res[vm], v.res, sizeof(v.res));
	}
	for (vm = 1; vm < 3; vm++) {
		assert_true(km_store_memory.delete(f->store, vm));
		f->ledger.state[vm] = KM_LEDGER_DELETED;
	}
	f->ledger.state[39] = KM_LEDGER_REFUSED;
	liar = km_store_memory;
	liar.copy_state = lying_copy_state;
	liar.find = lying_find;
	liar.group_count = lying_group_count;
	liar.stats = lying_stats;
	liar.watch = lying_watch;
}

static void teardown(struct fixture *f)
{
	km_store_memory.close(f->store);
	km_ledger_fini(&f->ledger);
	km_inventory_destroy(f->inv);
}

/* Runs with the lie; returns how many failures, and whether a reason has @text. */
static uint64_t run(struct fixture *f, enum lie which, const char *text)
{
	struct km_audit_cfg cfg = { .ops = &liar,
				    .store = f->store,
				    .inv = f->inv,
				    .rules = &f->rules,
				    .vm_cap = VMS,
				    .ledger = &f->ledger,
				    .whole_journal = true };
	static struct km_audit audit;
	bool found = false;
	uint32_t i;

	lie = which;
	assert_int_equal(km_audit_run(&cfg, &audit), 0);
	for (i = 0; i < audit.reason_nr; i++)
		found = found || strstr(audit.reason[i].reason, text);
	if (audit.failures && !found)
		fail_msg("no \"%s\" but \"%s\"", text, audit.reason[0].reason);
	return audit.failures;
}

static void a_true_store_is_clean(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(run(&f, NO_LIE, ""), 0);
	teardown(&f);
}

static void each_lie_is_found(void **state)
{
	static const struct {
		enum lie lie;
		const char *text;
	} lies[] = {
		{ FREE_OFF, "ssd free" },      { COUNT_OFF, "VMs by the store" },
		{ HEALTH_OFF, "health" },      { TOO_LARGE, "over-committed" },
		{ TOO_LARGE, "not as large" }, { MOVED, "the client was told" },
		{ GONE, "is gone" },	       { RISEN, "is deleted" },
		{ NOWHERE, "does not exist" }, { CROWDED, "at most 1" },
		{ GROUP_OFF, "by the store" }, { STATS_OFF, "store's count" },
		{ PLACED_OFF, "placed less" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(lies); i++) {
		struct fixture f;

		setup(&f);
		assert_int_not_equal(run(&f, lies[i].lie, lies[i].text), 0);
		teardown(&f);
	}
}

static void a_journal_that_differs_is_found(void **state)
{
	const struct km_journal_entry bad = { .server = SERVERS }, over = { .free = { -1 } };
	struct km_journal_entry same = { .server = 7, .free = { 9, 9, 9, 9, 9 }, .healthy = 1 };
	struct fixture f;
	uint32_t i;

	(void)state;
	setup(&f);
	assert_int_equal(km_bcast_create(&false_journal, sizeof(bad), 0), 0);
	assert_int_not_equal(run(&f, JOURNAL_OFF, "cannot be read"), 0);
	assert_int_equal(km_bcast_append(false_journal, &bad, NULL), 0);
	assert_int_equal(km_bcast_append(false_journal, &over, NULL), 0);
	for (i = 2; i < 12; i++)
		assert_int_equal(km_bcast_append(false_journal, &same, NULL), 0);
	assert_int_not_equal(run(&f, JOURNAL_OFF, "does not exist"), 0);
	assert_int_not_equal(run(&f, JOURNAL_OFF, "-1 cpu free"), 0);
	assert_int_not_equal(run(&f, JOURNAL_OFF, "by the journal"), 0);
	km_bcast_destroy(false_journal);
	teardown(&f);
}

static void a_ledger_that_differs_is_found(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.ledger.server[4] = 7;
	assert_int_not_equal(run(&f, NO_LIE, "the client was told 7"), 0);
	f.ledger.server[4] = 2;
	f.ledger.state[20] = KM_LEDGER_PLACED;
	assert_int_not_equal(run(&f, NO_LIE, "is gone"), 0);
	f.ledger.state[20] = KM_LEDGER_NONE;
	f.ledger.state[5] = KM_LEDGER_REFUSED;
	assert_int_not_equal(run(&f, NO_LIE, "is refused"), 0);
	f.ledger.state[5] = KM_LEDGER_NONE;
	assert_int_not_equal(run(&f, NO_LIE, "placed VMs"), 0);
	f.ledger.state[5] = KM_LEDGER_PLACED;
	f.ledger.res[5][KM_RES_GPU] = 1;
	assert_int_not_equal(run(&f, NO_LIE, "not as large"), 0);
	f.ledger.res[5][KM_RES_GPU] = 0;
	assert_int_equal(run(&f, NO_LIE, ""), 0);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_true_store_is_clean),
		cmocka_unit_test(each_lie_is_found),
		cmocka_unit_test(a_journal_that_differs_is_found),
		cmocka_unit_test(a_ledger_that_differs_is_found),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_drain();
	km_snap_thread_stop();
	return failed;
}
