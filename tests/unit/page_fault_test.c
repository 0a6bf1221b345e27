/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/page_fault_test.c - in the steady state a cache miss faults no page.
 *
 * One agent without a thread, results of 10 MB that are written from end to
 * end, room for eight of them, a hundred types in turn: every request misses,
 * evicts and builds. Left out: what the kernel does on its own, e.g. swapping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/eval.h"
#include "lib/snap.h"
#include "tests/support/synth.h"

#ifdef KM_SNAP_TSAN
#define SHADOWED true
#else
#define SHADOWED false
#endif

#define RESULT_BYTES 10000000u
#define RULE_BYTES 100000u
#define RULE_NR 4
#define TYPE_NR 100
#define HELD_NR 8
#define WARM_UP_NR TYPE_NR
#define MISS_NR 200

static struct synth synth;
static struct km_workload_ops ops;
static const struct km_workload_ops *plain;

static void rule_eval(struct km_workload_agent *wa, uint32_t rule_idx, const struct km_type *type,
		      void *slot)
{
	memset(slot, (int)rule_idx, RULE_BYTES);
	plain->rule_eval(wa, rule_idx, type, slot);
}

static void top_build(struct km_workload_agent *wa, const struct km_type *type,
		      void *const *rule_slots, void *slot)
{
	memset(slot, 0x5a, RESULT_BYTES);
	plain->top_build(wa, type, rule_slots, slot);
}

static struct km_eval *create(void)
{
	struct km_eval_cfg cfg = {
		.workload = &synth.workload,
		.type_cap = 256,
		.rule_obj_cap = 1024,
		/* a result takes up to a quarter more as the arena rounds it */
		.cache_bytes = HELD_NR * UINT64_C(12 << 20),
		.node = -1,
		.retry_max = 1,
	};
	struct km_eval *eval;

	synth_init(&synth, 4, RULE_NR, RULE_BYTES);
	synth.class_bytes[1] = RESULT_BYTES;
	plain = synth.workload.ops;
	ops = *plain;
	ops.rule_eval = rule_eval;
	ops.top_build = top_build;
	synth.workload.ops = &ops;
	assert_int_equal(km_eval_create(&eval, &cfg), 0);
	return eval;
}

static struct km_types *create_types(void)
{
	const struct km_types_cfg cfg = { .type_cap = 256,
					  .rule_obj_cap = 1024,
					  .trait_nr = 4,
					  .rule_nr = RULE_NR,
					  .rules = synth.rule };
	struct km_types *types;

	assert_int_equal(km_types_create(&types, &cfg), 0);
	return types;
}

static uint64_t minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_minflt;
}

/* Serve one that must miss. Return: the pages it faulted. */
static uint64_t miss(struct km_eval *eval, struct km_types *types, uint32_t nr, bool is_steady)
{
	static struct km_req req;
	uint64_t before;

	memset(&req, 0, sizeof(req));
	req.trait[0] = nr % TYPE_NR;
	req.trait[2] = nr % 7;
	req.type = km_types_get(types, req.trait);
	assert_non_null(req.type);
	before = minor_faults();
	km_eval_serve(eval, &req);
	before = minor_faults() - before;
	km_types_put(types, req.type);
	assert_false(req.top_hit);
	assert_false(req.uncached);
	assert_int_equal(req.outcome, KM_PLACED);
	if (is_steady) /* told as it was measured, not left out as a first use */
		assert_int_equal(req.fault_nr, 0);
	return before;
}

static void a_miss_in_the_steady_state_faults_no_page(void **state)
{
	struct km_types *types;
	struct km_eval *eval;
	uint64_t faults = 0;
	uint32_t i;

	(void)state;
	if (SHADOWED) {
		print_message("# skipped: ThreadSanitizer's shadow memory faults on its own\n");
		skip();
	}
	eval = create();
	types = create_types();
	for (i = 0; i < WARM_UP_NR; i++)
		miss(eval, types, i, false);
	assert_in_range(km_cache_stats(km_eval_cache(eval))->present_nr[KM_CACHE_TOP], HELD_NR - 2,
			HELD_NR + 2);
	for (i = 0; i < MISS_NR; i++)
		faults += miss(eval, types, WARM_UP_NR + i, true);
	assert_int_equal(faults, 0);
	assert_int_equal(atomic_load_explicit(&synth.wrong, memory_order_relaxed), 0);
	km_types_destroy(types);
	km_eval_destroy(eval);
}

/* The twin: the same writes into memory that is mapped for each miss. */
static void memory_mapped_for_each_miss_faults(void **state)
{
	uint64_t before = minor_faults();
	uint32_t i;
	void *slot;

	(void)state;
	for (i = 0; i < 10; i++) {
		slot = mmap(NULL, RESULT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		assert_true(slot != MAP_FAILED);
		memset(slot, 0x5a, RESULT_BYTES);
		assert_int_equal(munmap(slot, RESULT_BYTES), 0);
	}
	assert_true(minor_faults() - before >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_in_the_steady_state_faults_no_page),
		cmocka_unit_test(memory_mapped_for_each_miss_faults),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_thread_stop();
	return failed;
}
