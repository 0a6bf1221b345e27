/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns of the dispatcher's own loop, with an agent that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/estimate.h"
#include "core/stage.h"
#include "lib/clock.h"
#include "lib/snap.h"
#include "tests/support/synth.h"

#define REQ_NR 3
#define TYPE_CAP 16

static struct synth synth;
static struct km_req req[REQ_NR];

static struct km_stage *open_stage(const struct km_policy *policy)
{
	const struct km_stage_cfg cfg = {
		.workload = &synth.workload,
		.policy = policy,
		.agent_nr = 1,
		.view_rule_nr = 2,
		.window = 2,
		.ingress_nr = 8,
		.type_cap = TYPE_CAP,
		.rule_obj_cap = TYPE_CAP,
		.seed = 1,
	};
	struct km_estimator *est;
	struct km_stage *stage;

	synth_init(&synth, 2, 2, 64);
	memset(req, 0, sizeof(req));
	assert_int_equal(km_stage_create(&stage, &cfg), 0);
	assert_int_equal(km_estimator_create(&est, TYPE_CAP, 2, synth.workload.rules), 0);
	km_stage_estimate(stage, km_estimator_table(est));
	km_estimator_destroy(est);
	return stage;
}

/* The agent is full when the last one comes; it ends the first one, then the last is decided. */
static void check_waiting(const struct km_policy *policy)
{
	struct km_stage *stage = open_stage(policy);
	uint64_t freed_ns;
	uint32_t i, sent;

	for (i = 0; i < REQ_NR; i++) {
		req[i].id = i;
		assert_true(km_stage_submit(stage, &req[i]));
	}
	assert_int_equal(km_stage_turn(stage), REQ_NR);
	for (sent = 0; km_stage_pop(stage, 0); sent++)
		;
	assert_in_range(sent, 1, REQ_NR - 1);
	km_stage_begin(stage, 0, km_clock_ns());
	km_stage_end(stage, 0);
	freed_ns = km_clock_ns();
	km_stage_turn(stage);
	assert_ptr_equal(km_stage_pop(stage, 0), &req[sent]);
	assert_true(req[sent - 1].decision.decided_ns <= freed_ns);
	assert_true(req[sent].decision.decided_ns >= freed_ns);
	km_stage_destroy(stage);
}

static void what_waited_for_room_is_decided_with_the_time_of_its_decision(void **state)
{
	(void)state;
	check_waiting(&km_policy_latcache_rule); /* waits undecided: km_sched_retry() */
	check_waiting(&km_policy_protean); /* waits in the shared queue: km_sched_next() */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waited_for_room_is_decided_with_the_time_of_its_decision),
	};
	int failed;

	km_clock_ns(); /* calibrates */
	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_thread_stop();
	return failed;
}
