/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/place_test.c - what the placement refuses, and how it says so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/arena.h"
#include "lib/snap.h"
#include "place/place.h"

enum { SERVERS = 70, VMS = 5000 };

static char *text(const char *t)
{
	return (char *)(uintptr_t)t;
}

struct fixture {
	struct km_inventory *inv;
	struct km_trace *trace;
	struct km_ruleset rules;
	struct km_store *store;
	struct km_place_ctx *place;
	struct km_workload_agent *wa;
	const struct km_workload *w;
	struct km_diag diag;
};

static uint32_t intern(struct km_dict *dict, const char *t)
{
	uint32_t id;

	assert_int_equal(km_dict_intern(dict, t, strlen(t), &id, NULL), 0);
	return id;
}

static void setup(struct fixture *f, uint32_t server_nr)
{
	static const char *const traits[] = { "series", "prio" };
	uint32_t s, label, r;

	memset(f, 0, sizeof(*f));
	assert_int_equal(km_inventory_create(&f->inv, server_nr), 0);
	assert_int_equal(km_inventory_add_label(f->inv, "kind", &label), 0);
	for (s = 0; s < server_nr; s++) {
		for (r = 0; r < KM_RES_NR; r++)
			f->inv->total[r][s] = 10;
		f->inv->label[label][s] = intern(f->inv->sets[label], s % 2 ? "a" : "b|c");
		f->inv->rack[s] = s / 10;
	}
	assert_int_equal(km_trace_create(&f->trace, 2, traits), 0);
	intern(f->trace->schema.values[0], "a");
	intern(f->trace->schema.values[1], "low");
	f->rules.rule[f->rules.rule_nr++] =
		(struct km_rule){ .name = text("fits"), .kind = KM_RULE_FITS };
}

static int create(struct fixture *f, struct km_place_cfg *cfg)
{
	const struct km_store_cfg store = { .inv = f->inv, .rules = &f->rules, .vm_cap = VMS };

	if (!f->store)
		assert_int_equal(km_store_memory.open(&f->store, &store, NULL), 0);
	cfg->inv = f->inv;
	cfg->schema = &f->trace->schema;
	cfg->rules = &f->rules;
	cfg->store_ops = &km_store_memory;
	cfg->store = f->store;
	return km_place_create(&f->place, cfg, &f->diag);
}

static void create_agent(struct fixture *f)
{
	struct km_place_cfg cfg = { 0 };

	assert_int_equal(create(f, &cfg), 0);
	f->w = km_place_workload(f->place);
	assert_int_equal(f->w->ops->agent_create(f->w->workload, 0, NULL, &f->wa), 0);
}

static void teardown(struct fixture *f)
{
	if (f->wa)
		f->w->ops->agent_destroy(f->wa);
	km_place_destroy(f->place);
	km_store_memory.close(f->store);
	km_trace_destroy(f->trace);
	km_inventory_destroy(f->inv);
}

static void bad_rules_are_refused_with_a_reason(void **state)
{
	const struct {
		struct km_rule rule;
		const char *says;
	} bad[] = {
		{ { .kind = KM_RULE_KIND_NR }, "kind" },
		{ { .kind = KM_RULE_FITS, .resource = KM_RES_NR }, "resource" },
		{ { .kind = KM_RULE_HEADROOM, .percent = 101 }, "percent" },
		{ { .kind = KM_RULE_BEST_FIT, .bits = 0 }, "bits" },
		{ { .kind = KM_RULE_BEST_FIT, .bits = 9 }, "bits" },
		{ { .kind = KM_RULE_MATCH, .label = text("kind") }, "no trait" },
		{ { .kind = KM_RULE_MATCH, .trait = text("series") }, "no label" },
		{ { .kind = KM_RULE_MATCH, .trait = text("nix"), .label = text("kind") }, "nix" },
		{ { .kind = KM_RULE_MATCH, .trait = text("series"), .label = text("nix") }, "nix" },
		{ { .kind = KM_RULE_TABLE, .trait = text("series"), .label = text("kind") },
		  "no table" },
		{ { .kind = KM_RULE_PREFER, .bits = 1, .label = text("kind") }, "no label value" },
		{ { .kind = KM_RULE_ORDER, .bits = 1, .label = text("kind") }, "no order" },
		{ { .kind = KM_RULE_NONEMPTY, .bits = 1, .trait = text("nix") }, "nix" },
		{ { .kind = KM_RULE_SPREAD, .max = 1, .within = text("nix") }, "nix" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		struct km_place_cfg cfg = { 0 };
		struct fixture f;

		setup(&f, SERVERS);
		f.rules.rule[f.rules.rule_nr] = bad[i].rule;
		f.rules.rule[f.rules.rule_nr++].name = text("bad-one");
		assert_int_equal(create(&f, &cfg), -EINVAL);
		assert_non_null(strstr(f.diag.reason, bad[i].says));
		assert_non_null(strstr(f.diag.reason, "bad-one"));
		teardown(&f);
	}
}

static void more_key_bits_than_a_key_has_are_refused(void **state)
{
	struct km_place_cfg cfg = { 0 };
	struct fixture f;
	uint32_t i;

	(void)state;
	setup(&f, SERVERS);
	for (i = 0; i < 8; i++)
		f.rules.rule[f.rules.rule_nr++] = (struct km_rule){ .name = text("r"),
								    .kind = KM_RULE_NONEMPTY,
								    .bits = i ? 8 : 7 };
	assert_int_equal(create(&f, &cfg), 0); /* 63 */
	km_place_destroy(f.place);
	f.place = NULL;
	f.rules.rule[1].bits = 8;
	assert_int_equal(create(&f, &cfg), -EINVAL);
	assert_non_null(strstr(f.diag.reason, "64 bits"));
	teardown(&f);
}

static void bad_settings_are_refused(void **state)
{
	struct km_place_cfg odd = { .history_nr = 1000 }, wide = { .choice_nr = 1 << 20 };
	struct fixture f;

	(void)state;
	setup(&f, SERVERS);
	assert_int_equal(create(&f, &odd), -EINVAL);
	assert_non_null(strstr(f.diag.reason, "1000"));
	assert_int_equal(create(&f, &wide), -EINVAL);
	teardown(&f);
}

/* ---- requests ------------------------------------------------------------------------ */

static struct km_req req_of(struct km_place_ask *ask, uint32_t cpu)
{
	struct km_req req;

	memset(&req, 0, sizeof(req));
	req.payload = ask;
	req.trait[KM_RES_CPU] = cpu;
	return req;
}

static enum km_outcome serve(struct fixture *f, struct km_req *req, uint32_t nr)
{
	struct km_serve_part part[KM_PLACE_PARTS_MAX + 1];
	uint32_t i;

	for (i = 0; i < nr; i++)
		part[i] = (struct km_serve_part){ .req = &req[i] };
	km_snap_enter();
	f->w->ops->sync(f->wa);
	km_snap_leave();
	assert_int_equal(f->w->ops->serve(f->wa, part, nr), KM_SERVE_DONE);
	return req[0].outcome;
}

static void bad_requests_end_as_such(void **state)
{
	static uint32_t vm[VMS], server[VMS];
	static struct km_req req[KM_PLACE_PARTS_MAX + 1];
	struct km_place_ask ask = { .vm_nr = 1,
				    .tenant = KM_DICT_NONE,
				    .batch = KM_DICT_NONE,
				    .vm = vm,
				    .server = server };
	struct fixture f;
	uint32_t i;

	(void)state;
	setup(&f, SERVERS);
	create_agent(&f);
	for (i = 0; i < VMS; i++)
		vm[i] = i;
	req[0] = req_of(NULL, 1);
	assert_int_equal(serve(&f, req, 1), KM_BAD_REQUEST);
	ask.vm_nr = 0;
	req[0] = req_of(&ask, 1);
	assert_int_equal(serve(&f, req, 1), KM_BAD_REQUEST);
	ask.vm_nr = KM_PLACE_VMS_MAX + 1;
	assert_int_equal(serve(&f, req, 1), KM_BAD_REQUEST);
	ask.vm_nr = 1;
	for (i = 0; i <= KM_PLACE_PARTS_MAX; i++)
		req[i] = req_of(&ask, 0);
	assert_int_equal(serve(&f, req, KM_PLACE_PARTS_MAX + 1), KM_BAD_REQUEST);
	assert_int_equal(serve(&f, req, 2), KM_BAD_REQUEST); /* one VM twice */
	vm[0] = VMS; /* beyond the store's numbers */
	assert_int_equal(serve(&f, req, 1), KM_BAD_REQUEST);
	vm[0] = 0;
	assert_int_equal(serve(&f, req, 1), KM_PLACED);
	assert_int_equal(serve(&f, req, 1), KM_BAD_REQUEST); /* it exists */
	assert_int_equal(km_store_memory.stats(f.store).vm_nr, 1);
	teardown(&f);
}

static void the_largest_batch_fits_or_nothing_of_it(void **state)
{
	static uint32_t vm[KM_PLACE_VMS_MAX], server[KM_PLACE_VMS_MAX];
	struct km_place_ask ask = { .vm_nr = SERVERS * 10 + 1,
				    .tenant = KM_DICT_NONE,
				    .batch = KM_DICT_NONE,
				    .vm = vm,
				    .server = server };
	struct km_req req = req_of(&ask, 1);
	struct fixture f;
	uint32_t i;

	(void)state;
	setup(&f, SERVERS);
	create_agent(&f);
	for (i = 0; i < KM_PLACE_VMS_MAX; i++)
		vm[i] = i;
	assert_int_equal(serve(&f, &req, 1), KM_NO_ROOM);
	assert_int_equal(km_store_memory.stats(f.store).vm_nr, 0);
	ask.vm_nr--;
	assert_int_equal(serve(&f, &req, 1), KM_PLACED);
	assert_int_equal(km_store_memory.stats(f.store).vm_nr, SERVERS * 10);
	for (i = 0; i < ask.vm_nr; i++)
		assert_true(km_store_memory.delete(f.store, i));
	req.trait[KM_RES_CPU] = 0; /* as many as may be, all of nothing */
	ask.vm_nr = KM_PLACE_VMS_MAX;
	assert_int_equal(serve(&f, &req, 1), KM_PLACED);
	req.trait[KM_RES_CPU] = UINT32_MAX;
	vm[0] = KM_PLACE_VMS_MAX;
	ask.vm_nr = 1;
	assert_int_equal(serve(&f, &req, 1), KM_NO_ROOM);
	teardown(&f);
}

static void a_group_is_the_one_that_the_rule_names(void **state)
{
	struct km_place_ask ask = { .tenant = 7, .batch = KM_DICT_NONE };
	struct km_req req = req_of(&ask, 1);
	struct fixture f;

	(void)state;
	setup(&f, SERVERS);
	f.rules.rule[1] = (struct km_rule){ .name = text("t"),
					    .kind = KM_RULE_SPREAD,
					    .max = 1,
					    .within = text("tenant"),
					    .trait = text("prio"),
					    .trait_value = text("low") };
	f.rules.rule[2] = (struct km_rule){
		.name = text("b"), .kind = KM_RULE_SPREAD, .max = 1, .within = text("batch")
	};
	f.rules.rule[3] = (struct km_rule){
		.name = text("s"), .kind = KM_RULE_SPREAD, .max = 1, .within = text("series")
	};
	f.rules.rule_nr = 4;
	create_agent(&f);
	assert_int_equal(f.w->rule_nr, 1); /* spread rules are no objects */
	assert_int_equal(km_place_group(f.place, 0, &req), KM_GROUP_NONE);
	req.trait[KM_TRAIT_COLUMN(1)] = 1;
	assert_int_equal(km_place_group(f.place, 0, &req), 7);
	req.trait[KM_TRAIT_COLUMN(1)] = 2; /* a value seen later */
	assert_int_equal(km_place_group(f.place, 0, &req), KM_GROUP_NONE);
	assert_int_equal(km_place_group(f.place, 1, &req), KM_GROUP_NONE);
	ask.batch = 3;
	assert_int_equal(km_place_group(f.place, 1, &req), 3);
	assert_int_equal(km_place_group(f.place, 2, &req), KM_GROUP_NONE);
	req.trait[KM_TRAIT_COLUMN(0)] = 1;
	assert_int_equal(km_place_group(f.place, 2, &req), 1);
	assert_int_equal(km_place_group(f.place, 3, &req), KM_GROUP_NONE);
	teardown(&f);
}

/* Every limit that is too small is told, nothing is left behind; then one is enough. */
static void an_agent_without_memory_is_refused(void **state)
{
	struct km_workload_agent *wa = NULL;
	struct km_arena_cfg cfg = { .node = -1, .mapped_bytes_max = 8 << 20 };
	struct km_place_cfg place = { 0 };
	struct km_arena *arena;
	struct fixture f;
	uint32_t refusals = 0;
	int err;

	(void)state;
	setup(&f, 400000);
	assert_int_equal(create(&f, &place), 0);
	f.w = km_place_workload(f.place);
	do {
		assert_int_equal(km_arena_create(&arena, &cfg), 0);
		err = f.w->ops->agent_create(f.w->workload, 0, arena, &wa);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			refusals++;
		} else {
			f.w->ops->agent_destroy(wa);
		}
		km_arena_destroy(arena);
		cfg.mapped_bytes_max += 2 << 20;
	} while (err);
	assert_true(refusals > 3);
	/* (The arena itself needs a few of the first.) And what is told to be enough is about that. */
	assert_in_range(km_place_agent_bytes(f.place), cfg.mapped_bytes_max / 2,
			cfg.mapped_bytes_max * 2);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_rules_are_refused_with_a_reason),
		cmocka_unit_test(more_key_bits_than_a_key_has_are_refused),
		cmocka_unit_test(bad_settings_are_refused),
		cmocka_unit_test(bad_requests_end_as_such),
		cmocka_unit_test(the_largest_batch_fits_or_nothing_of_it),
		cmocka_unit_test(a_group_is_the_one_that_the_rule_names),
		cmocka_unit_test(an_agent_without_memory_is_refused),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_drain();
	km_snap_thread_stop();
	return failed;
}
