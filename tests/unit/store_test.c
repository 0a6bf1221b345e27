/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/store_test.c - what every placement store promises.
 *
 * Each case runs against each ops table in backends[].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/snap.h"
#include "place/store.h"

enum { SERVERS = 6, VMS = 64, TOTAL = 10 };

static const struct km_store_ops *const backends[] = { &km_store_memory };

struct fixture {
	const struct km_store_ops *ops;
	struct km_inventory *inv;
	struct km_ruleset rules;
	struct km_store *store;
};

/* Two servers a rack, three a cluster; rule 0 one a server, rule 1 two a rack. */
static void setup(struct fixture *f, const struct km_store_ops *ops)
{
	static char server_rule[] = "server", rack_rule[] = "rack", fits[] = "fits";
	struct km_store_cfg cfg = { .vm_cap = VMS, .keep_journal = true };
	struct km_diag diag;
	uint32_t s, r;

	memset(f, 0, sizeof(*f));
	f->ops = ops;
	assert_int_equal(km_inventory_create(&f->inv, SERVERS), 0);
	for (s = 0; s < SERVERS; s++) {
		for (r = 0; r < KM_RES_NR; r++)
			f->inv->total[r][s] = TOTAL;
		f->inv->rack[s] = s / 2;
		f->inv->cluster[s] = s / 3;
	}
	f->rules.rule_nr = 3;
	f->rules.rule[0] = (struct km_rule){ .name = fits, .kind = KM_RULE_FITS };
	f->rules.rule[1] = (struct km_rule){
		.name = server_rule, .kind = KM_RULE_SPREAD, .over = KM_OVER_SERVER, .max = 1
	};
	f->rules.rule[2] = (struct km_rule){
		.name = rack_rule, .kind = KM_RULE_SPREAD, .over = KM_OVER_RACK, .max = 2
	};
	cfg.inv = f->inv;
	cfg.rules = &f->rules;
	assert_int_equal(ops->open(&f->store, &cfg, &diag), 0);
}

static void teardown(struct fixture *f)
{
	f->ops->close(f->store);
	km_inventory_destroy(f->inv);
}

static struct km_store_vm vm_at(uint32_t vm, uint32_t server, int32_t cpu)
{
	struct km_store_vm v = { .vm = vm, .server = server, .res = { cpu, 1, 0, 0, 0 } };
	int i;

	for (i = 0; i < KM_SPREADS_MAX; i++)
		v.group[i] = KM_GROUP_NONE;
	return v;
}

struct state {
	int32_t free[KM_RES_NR][SERVERS];
	uint32_t vm_nr[SERVERS];
	uint8_t healthy[SERVERS];
	uint64_t rev;
};

static void read_state(struct fixture *f, struct state *st)
{
	int32_t *to[KM_RES_NR];
	int r;

	memset(st, 0, sizeof(*st));
	for (r = 0; r < KM_RES_NR; r++)
		to[r] = st->free[r];
	st->rev = f->ops->copy_state(f->store, to, st->vm_nr, st->healthy);
}

static enum km_commit commit(struct fixture *f, const struct km_store_vm *vm, uint32_t nr,
			     uint32_t *at)
{
	return f->ops->commit(f->store, vm, nr, at);
}

static enum km_commit commit_one(struct fixture *f, struct km_store_vm vm)
{
	return commit(f, &vm, 1, NULL);
}

/* A refusal is total: state, revision, find() and the counters of groups stay. */
static void refused(struct fixture *f, const struct km_store_vm *vm, uint32_t nr,
		    enum km_commit why, uint32_t where)
{
	struct state before, after;
	struct km_store_vm seen;
	uint32_t at = 999, i;
	bool there[VMS];

	for (i = 0; i < VMS; i++)
		there[i] = f->ops->find(f->store, i, &seen);
	read_state(f, &before);
	assert_int_equal(commit(f, vm, nr, &at), why);
	assert_int_equal(at, where);
	read_state(f, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	for (i = 0; i < VMS; i++)
		assert_int_equal(there[i], f->ops->find(f->store, i, &seen));
}

/* ---- the cases ----------------------------------------------------------------- */

static void a_commit_is_seen_by_all(struct fixture *f)
{
	struct km_store_vm vm = vm_at(3, 1, 4), seen;
	struct state st;

	vm.group[0] = 77;
	assert_int_equal(commit_one(f, vm), KM_COMMIT_DONE);
	read_state(f, &st);
	assert_int_equal(st.free[KM_RES_CPU][1], TOTAL - 4);
	assert_int_equal(st.free[KM_RES_MEMORY][1], TOTAL - 1);
	assert_int_equal(st.free[KM_RES_GPU][1], TOTAL);
	assert_int_equal(st.vm_nr[1], 1);
	assert_int_equal(st.rev, 1);
	assert_true(f->ops->find(f->store, 3, &seen));
	assert_int_equal(seen.server, 1);
	assert_int_equal(seen.res[KM_RES_CPU], 4);
	assert_int_equal(seen.group[0], 77);
	assert_int_equal(f->ops->group_count(f->store, 0, 77, 1), 1);
	assert_int_equal(f->ops->group_count(f->store, 0, 77, 0), 0);
	assert_int_equal(f->ops->stats(f->store).vm_nr, 1);
}

static void several_on_one_server_are_summed(struct fixture *f)
{
	struct km_store_vm vm[3] = { vm_at(0, 2, 5), vm_at(1, 2, 5), vm_at(2, 2, 1) };
	struct state st;

	refused(f, vm, 3, KM_COMMIT_OVER, 2);
	assert_int_equal(commit(f, vm, 2, NULL), KM_COMMIT_DONE);
	read_state(f, &st);
	assert_int_equal(st.free[KM_RES_CPU][2], 0);
	assert_int_equal(st.vm_nr[2], 2);
	assert_int_equal(st.rev, 1); /* one entry for the one server */
}

static void over_commit_is_refused_all_or_nothing(struct fixture *f)
{
	struct km_store_vm vm[3] = { vm_at(0, 0, 9), vm_at(1, 1, 1), vm_at(2, 0, 2) };

	refused(f, vm, 3, KM_COMMIT_OVER, 2);
	vm[2].server = 3;
	assert_int_equal(commit(f, vm, 3, NULL), KM_COMMIT_DONE);
	vm[0] = vm_at(9, 5, TOTAL + 1);
	refused(f, vm, 1, KM_COMMIT_OVER, 0);
	vm[0] = vm_at(9, 5, INT32_MAX);
	refused(f, vm, 1, KM_COMMIT_OVER, 0);
}

static void anti_affinity_is_refused(struct fixture *f)
{
	struct km_store_vm vm[3] = { vm_at(0, 0, 1), vm_at(1, 1, 1), vm_at(2, 1, 1) };

	vm[0].group[0] = vm[1].group[0] = vm[2].group[0] = 5;
	refused(f, vm, 3, KM_COMMIT_AFFINITY, 2);
	assert_int_equal(commit(f, vm, 2, NULL), KM_COMMIT_DONE);
	vm[2].server = 0;
	refused(f, &vm[2], 1, KM_COMMIT_AFFINITY, 0);
	vm[2].group[0] = 6; /* another group may */
	assert_int_equal(commit(f, &vm[2], 1, NULL), KM_COMMIT_DONE);
}

static void a_rack_is_one_domain(struct fixture *f)
{
	struct km_store_vm vm[3] = { vm_at(0, 2, 1), vm_at(1, 3, 1), vm_at(2, 2, 1) };
	int i;

	for (i = 0; i < 3; i++)
		vm[i].group[1] = 8;
	refused(f, vm, 3, KM_COMMIT_AFFINITY, 2);
	vm[2].server = 4;
	assert_int_equal(commit(f, vm, 3, NULL), KM_COMMIT_DONE);
	assert_int_equal(f->ops->group_count(f->store, 1, 8, 1), 2);
	assert_true(f->ops->delete (f->store, 0));
	assert_int_equal(f->ops->group_count(f->store, 1, 8, 1), 1);
}

static void duplicates_are_refused(struct fixture *f)
{
	struct km_store_vm vm[2] = { vm_at(4, 0, 1), vm_at(4, 1, 1) };

	refused(f, vm, 2, KM_COMMIT_DUPLICATE, 1);
	assert_int_equal(commit(f, vm, 1, NULL), KM_COMMIT_DONE);
	refused(f, &vm[1], 1, KM_COMMIT_DUPLICATE, 0);
	assert_true(f->ops->delete (f->store, 4));
	assert_int_equal(commit(f, &vm[1], 1, NULL), KM_COMMIT_DONE);
}

static void bad_numbers_are_refused(struct fixture *f)
{
	struct km_store_vm vm[2] = { vm_at(0, 0, 1), vm_at(VMS, 0, 1) };

	refused(f, vm, 2, KM_COMMIT_BAD, 1);
	vm[1] = vm_at(1, SERVERS, 1);
	refused(f, vm, 2, KM_COMMIT_BAD, 1);
	vm[1] = vm_at(UINT32_MAX, UINT32_MAX, 1);
	refused(f, vm, 2, KM_COMMIT_BAD, 1);
	vm[1] = vm_at(1, 1, -1);
	refused(f, vm, 2, KM_COMMIT_BAD, 1);
	vm[1] = vm_at(1, 1, INT32_MIN);
	refused(f, vm, 2, KM_COMMIT_BAD, 1);
	assert_int_equal(f->ops->load(f->store, vm, (uint64_t)1 << 40), KM_COMMIT_BAD);
	assert_int_equal(f->ops->stats(f->store).bad, 6);
}

static void a_delete_frees_and_an_unknown_one_is_told(struct fixture *f)
{
	struct state before, after;
	struct km_store_vm seen;

	read_state(f, &before);
	assert_int_equal(commit_one(f, vm_at(7, 4, 6)), KM_COMMIT_DONE);
	assert_true(f->ops->delete (f->store, 7));
	read_state(f, &after);
	assert_memory_equal(before.free, after.free, sizeof(before.free));
	assert_int_equal(after.vm_nr[4], 0);
	assert_int_equal(after.rev, 2);
	assert_false(f->ops->delete (f->store, 7));
	assert_false(f->ops->delete (f->store, VMS));
	assert_false(f->ops->delete (f->store, UINT32_MAX));
	assert_false(f->ops->find(f->store, 7, &seen));
	assert_false(f->ops->find(f->store, UINT32_MAX, &seen));
	assert_int_equal(f->ops->stats(f->store).deletes, 1);
	assert_int_equal(f->ops->stats(f->store).deletes_unknown, 3);
}

static void load_is_all_or_nothing_and_one_entry_a_server(struct fixture *f)
{
	struct km_store_vm vm[VMS];
	struct state st;
	uint32_t i;

	for (i = 0; i < 30; i++)
		vm[i] = vm_at(i, i % 3, 1);
	vm[30] = vm_at(30, 0, 1); /* the eleventh there */
	assert_int_equal(f->ops->load(f->store, vm, 31), KM_COMMIT_OVER);
	read_state(f, &st);
	assert_int_equal(st.rev, 0);
	assert_int_equal(f->ops->load(f->store, vm, 30), KM_COMMIT_DONE);
	read_state(f, &st);
	assert_int_equal(st.rev, 3);
	assert_int_equal(f->ops->stats(f->store).vm_nr, 30);
}

static void nothing_to_commit_is_done(struct fixture *f)
{
	struct state st;

	assert_int_equal(commit(f, NULL, 0, NULL), KM_COMMIT_DONE);
	read_state(f, &st);
	assert_int_equal(st.rev, 0);
}

/* S3: replayed over the empty zone, the journal gives the state. */
static void the_journal_replayed_is_the_state(struct fixture *f)
{
	struct km_journal_entry entry[16];
	struct state st, again;
	uint32_t i, nr, step;
	uint64_t from;

	for (step = 0; step < 400; step++) {
		const uint32_t mix = step * 2654435761u, vm = (mix >> 8) % VMS;

		if (!f->ops->delete (f->store, vm)) {
			struct km_store_vm two[2] = { vm_at(vm, (mix >> 16) % SERVERS, 2),
						      vm_at((vm + 9) % VMS, (mix >> 20) % SERVERS,
							    1) };

			two[0].group[0] = step % 3;
			(void)commit(f, two, 1 + step % 2, NULL);
		}
	}
	read_state(f, &st);
	assert_true(st.rev > 200);
	memset(&again, 0, sizeof(again));
	for (i = 0; i < SERVERS; i++) {
		for (nr = 0; nr < KM_RES_NR; nr++)
			again.free[nr][i] = TOTAL;
		again.healthy[i] = 1;
	}
	for (from = 1; from <= st.rev; from += nr) {
		km_snap_enter();
		assert_int_equal(km_bcast_read_some(f->ops->watch(f->store), from, entry, 16, &nr),
				 KM_BCAST_OK);
		km_snap_leave();
		assert_true(nr > 0);
		for (i = 0; i < nr; i++) {
			int r;

			for (r = 0; r < KM_RES_NR; r++)
				again.free[r][entry[i].server] = entry[i].free[r];
			again.vm_nr[entry[i].server] = entry[i].vm_nr;
			again.healthy[entry[i].server] = (uint8_t)entry[i].healthy;
		}
	}
	again.rev = st.rev;
	assert_memory_equal(&st, &again, sizeof(st));
}

/* Many groups come and go: the counters' table grows and closes its gaps. */
static void group_counts_survive_growth_and_deletes(struct fixture *f)
{
	static uint32_t group_of[VMS];
	uint32_t round, i, server[VMS];
	bool there[VMS] = { false };

	for (round = 0; round < 20000; round++) {
		const uint32_t vm = (round * 2654435761u >> 7) % VMS;

		if (there[vm]) {
			assert_true(f->ops->delete (f->store, vm));
			there[vm] = false;
			assert_int_equal(f->ops->group_count(f->store, 0, group_of[vm], server[vm]),
					 0);
		} else {
			struct km_store_vm one = vm_at(vm, round % SERVERS, 0);

			one.res[KM_RES_MEMORY] = 0;
			one.group[0] = group_of[vm] = round;
			server[vm] = one.server;
			assert_int_equal(commit_one(f, one), KM_COMMIT_DONE);
			there[vm] = true;
		}
	}
	for (i = 0; i < VMS; i++)
		assert_int_equal(f->ops->group_count(f->store, 0, group_of[i], server[i]),
				 there[i]);
}

static void a_batch_larger_than_the_counters_fits(struct fixture *f)
{
	enum { NR = 5000 };
	struct km_store_vm *vm = calloc(NR, sizeof(*vm));
	struct km_store_cfg cfg = { .inv = f->inv, .rules = &f->rules, .vm_cap = NR };
	struct km_diag diag;
	uint32_t i;

	f->ops->close(f->store);
	assert_int_equal(f->ops->open(&f->store, &cfg, &diag), 0);
	assert_non_null(vm);
	for (i = 0; i < NR; i++) {
		vm[i] = vm_at(i, i % SERVERS, 0);
		vm[i].res[KM_RES_MEMORY] = 0;
		vm[i].group[0] = i;
	}
	assert_int_equal(commit(f, vm, NR, NULL), KM_COMMIT_DONE);
	for (i = 0; i < NR; i++)
		assert_int_equal(f->ops->group_count(f->store, 0, i, i % SERVERS), 1);
	free(vm);
}

static void too_many_spread_rules_are_told(struct fixture *f)
{
	struct km_store_cfg cfg = { .inv = f->inv, .rules = &f->rules, .vm_cap = 1 };
	struct km_store *store = NULL;
	struct km_diag diag;
	uint32_t i;

	for (i = 3; i < 3 + KM_SPREADS_MAX; i++)
		f->rules.rule[i] = f->rules.rule[1];
	f->rules.rule_nr = i;
	assert_true(f->ops->open(&store, &cfg, &diag) < 0);
	assert_non_null(strstr(diag.reason, "spread"));
	f->rules.rule_nr = 3;
}

static void (*const cases[])(struct fixture *) = {
	a_commit_is_seen_by_all,
	several_on_one_server_are_summed,
	over_commit_is_refused_all_or_nothing,
	anti_affinity_is_refused,
	a_rack_is_one_domain,
	duplicates_are_refused,
	bad_numbers_are_refused,
	a_delete_frees_and_an_unknown_one_is_told,
	load_is_all_or_nothing_and_one_entry_a_server,
	nothing_to_commit_is_done,
	the_journal_replayed_is_the_state,
	group_counts_survive_growth_and_deletes,
	a_batch_larger_than_the_counters_fits,
	too_many_spread_rules_are_told,
};

static void conforms(void **state)
{
	const struct km_store_ops *ops = *state;
	struct fixture f;
	unsigned int i;

	for (i = 0; i < KM_ARRAY_NR(cases); i++) {
		setup(&f, ops);
		cases[i](&f);
		teardown(&f);
	}
}

int main(void)
{
	struct CMUnitTest tests[KM_ARRAY_NR(backends)];
	unsigned int i;
	int failed;

	for (i = 0; i < KM_ARRAY_NR(backends); i++)
		tests[i] = (struct CMUnitTest){ .name = backends[i]->name,
						.test_func = conforms,
						.initial_state = (void *)(uintptr_t)backends[i] };
	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_drain();
	km_snap_thread_stop();
	return failed;
}
