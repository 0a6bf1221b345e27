/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/topo_test.c - plans over pretended machines keep their promises.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "numa/topo.h"
#include "tests/fail_alloc.h"

#define CORE_MAX 512

struct machine {
	const char *text;
	uint32_t node_nr, package_nr, l3_nr, core_nr, cpu_nr;
};

/* Symmetrical; hwloc numbers the CPUs of these from 0, core by core. */
static const struct machine machines[] = {
	{ "pu:1", 1, 1, 1, 1, 1 },
	{ "core:2 pu:1", 1, 1, 1, 2, 2 },
	{ "core:16 pu:1", 1, 1, 1, 16, 16 },
	{ "pack:1 l3:4 core:4 pu:2", 1, 1, 4, 16, 32 },
	{ "pack:2 [numa:1] l3:2 core:4 pu:2", 2, 2, 4, 16, 32 },
	{ "pack:2 l3:1 numa:2 core:3 pu:1", 4, 2, 2, 12, 12 }, /* one L3, two nodes */
	{ "pack:8 [numa:1] l3:3 core:8 pu:2", 8, 8, 24, 192, 384 },
	{ "pack:2 numa:4 l3:3 core:8 pu:2", 8, 2, 24, 192, 384 },
};

static struct km_topo *open_topo(const char *text)
{
	struct km_topo *topo = NULL;
	struct km_diag diag = { .reason = "" };

	if (km_topo_open(&topo, text, NULL, &diag))
		fail_msg("%s: %s", text, diag.reason);
	return topo;
}

static const struct km_place *thread_of(const struct km_plan *plan, uint32_t i)
{
	if (i < plan->agent_nr)
		return &plan->agent[i];
	return i == plan->agent_nr ? &plan->dispatcher : &plan->helper;
}

static void check_threads(const struct km_plan *plan, const struct km_topo_summary *sum)
{
	static uint32_t on_core[CORE_MAX];
	uint32_t smt = sum->cpu_nr / sum->core_nr, i;

	memset(on_core, 0, sizeof(on_core));
	for (i = 0; i < plan->agent_nr + 2; i++) {
		const struct km_place *place = thread_of(plan, i);

		assert_true(place->core < sum->core_nr && place->l3 < sum->l3_nr);
		assert_int_equal(place->cpu / smt, place->core);
		on_core[place->core]++;
	}
	for (i = 0; i < plan->agent_nr + 2; i++) {
		const struct km_place *place = thread_of(plan, i);

		if (place->owned)
			assert_int_equal(on_core[place->core], 1);
		else if (i <= plan->agent_nr && !plan->oversubscribed)
			assert_true(on_core[place->core] > 1);
	}
	assert_false(plan->helper.owned);
}

static void check_even(const uint32_t *nr, uint32_t group_nr)
{
	uint32_t min = UINT32_MAX, max = 0, i;

	for (i = 0; i < group_nr; i++) {
		min = nr[i] < min ? nr[i] : min;
		max = nr[i] > max ? nr[i] : max;
	}
	assert_true(max - min <= 1);
}

static void check_groups(const struct km_plan *plan, const struct km_topo_summary *sum)
{
	uint32_t on_l3[CORE_MAX] = { 0 }, on_node[CORE_MAX] = { 0 }, i;

	for (i = 0; i < plan->agent_nr; i++) {
		on_l3[plan->agent[i].l3]++;
		on_node[plan->agent[i].node]++;
	}
	check_even(on_l3, sum->l3_nr);
	check_even(on_node, sum->node_nr);
}

/* No node with a core to spare has more agents than the dispatcher's. */
static void check_hub(const struct km_plan *plan, const struct km_topo_summary *sum)
{
	uint32_t nr[CORE_MAX] = { 0 }, room = sum->core_nr / sum->node_nr, i;

	for (i = 0; i < plan->agent_nr; i++)
		nr[plan->agent[i].node]++;
	for (i = 0; i < sum->node_nr; i++)
		assert_true(nr[i] >= room || nr[i] <= nr[plan->dispatcher.node]);
}

static void check_plan(const struct km_topo *topo, uint32_t agent_nr)
{
	const struct km_topo_summary *sum = km_topo_summary(topo);
	struct km_plan *plan = NULL;
	uint32_t i, owned = 0;

	assert_int_equal(km_plan_make(&plan, topo, agent_nr), 0);
	assert_int_equal(plan->agent_nr, agent_nr);
	check_threads(plan, sum);
	check_groups(plan, sum);
	for (i = 0; i < agent_nr; i++)
		owned += plan->agent[i].owned;
	assert_int_equal(plan->oversubscribed, agent_nr >= sum->core_nr);
	if (agent_nr < sum->core_nr) {
		assert_true(plan->dispatcher.owned);
		assert_int_equal(owned, agent_nr - (agent_nr + 1 == sum->core_nr));
		check_hub(plan, sum);
		for (i = 1; i < agent_nr; i++)
			assert_true(plan->agent[i].core > plan->agent[i - 1].core);
	} else {
		assert_int_equal(owned + plan->dispatcher.owned, 0);
	}
	km_plan_destroy(plan);
}

static void summaries_count_what_the_description_says(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(machines); i++) {
		const struct machine *m = &machines[i];
		struct km_topo *topo = open_topo(m->text);
		const struct km_topo_summary *sum = km_topo_summary(topo);

		assert_int_equal(sum->node_nr, m->node_nr);
		assert_int_equal(sum->package_nr, m->package_nr);
		assert_int_equal(sum->l3_nr, m->l3_nr);
		assert_int_equal(sum->core_nr, m->core_nr);
		assert_int_equal(sum->cpu_nr, m->cpu_nr);
		assert_false(sum->real);
		km_topo_close(topo);
	}
}

static void plans_are_even_and_honest_about_ownership(void **state)
{
	unsigned int i;
	uint32_t nr;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(machines); i++) {
		struct km_topo *topo = open_topo(machines[i].text);
		uint32_t core_nr = machines[i].core_nr;

		for (nr = 1; nr <= core_nr + 3; nr++)
			check_plan(topo, nr);
		check_plan(topo, 2 * machines[i].cpu_nr + 1);
		km_topo_close(topo);
	}
}

static void sharing_threads_use_the_siblings_of_a_core(void **state)
{
	struct km_topo *topo = open_topo("core:2 pu:2");
	struct km_plan *plan = NULL;

	(void)state;
	assert_int_equal(km_plan_make(&plan, topo, 4), 0);
	assert_int_equal(plan->agent[0].core, plan->agent[2].core);
	assert_int_not_equal(plan->agent[0].cpu, plan->agent[2].cpu);
	assert_true(plan->oversubscribed);
	km_plan_destroy(plan);
	km_topo_close(topo);
}

static void a_bad_description_is_refused_with_a_reason(void **state)
{
	const char *const bad[] = { "",
				    "bogus",
				    "pack:",
				    "core:0",
				    "pu:-1",
				    "core:2 (",
				    "core:2",
				    "pu:99999999999999999999",
				    "pack:4294967297 pu:1",
				    "core:100 pu:100",
				    "numa:64 core:64 2",
				    ":",
				    "((((",
				    "pu" };
	struct km_topo *topo = NULL;
	unsigned int i;

	(void)state;
	for (i = 0; i < KM_ARRAY_NR(bad); i++) {
		struct km_diag diag = { .reason = "" };

		assert_int_equal(km_topo_open(&topo, bad[i], NULL, &diag), -EINVAL);
		assert_true(diag.reason[0]);
		assert_int_equal(km_topo_open(&topo, bad[i], NULL, NULL), -EINVAL);
	}
	assert_null(topo);
}

/* Three cores beside node 4, one beside node 5; no L3 is known. */
static const char lopsided[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
	"<topology version=\"2.0\">\n"
#define SETS(cpus, nodes)                                                         \
	" cpuset=\"" cpus "\" complete_cpuset=\"" cpus "\" nodeset=\"" nodes "\"" \
	" complete_nodeset=\"" nodes "\""
#define CORE(idx, cpus, nodes, gp, gp_pu)                                                 \
	"<object type=\"Core\" os_index=\"" idx                                           \
	"\"" SETS(cpus, nodes) " gp_index=\"" gp "\"><object type=\"PU\" os_index=\"" idx \
			       "\"" SETS(cpus, nodes) " gp_index=\"" gp_pu "\"/></object>\n"
	"<object type=\"Machine\" os_index=\"0\"" SETS(
		"0xf",
		"0x30") " allowed_cpuset=\"0xf\" allowed_nodeset=\"0x30\" gp_index=\"1\">\n"
			"<object type=\"Package\" os_index=\"0\"" SETS(
				"0x7",
				"0x10") " gp_index=\"2\">\n"
					"<object type=\"NUMANode\" os_index=\"4\"" SETS(
						"0x7",
						"0x10") " gp_index=\"3\" local_memory=\"1000\"/>\n" CORE("0",
													 "0x1",
													 "0x10",
													 "4",
													 "5")
						CORE("1", "0x2", "0x10", "6", "7") CORE(
							"2", "0x4", "0x10", "8",
							"9") "</object>\n"
							     "<object type=\"Package\" os_index=\"1\"" SETS(
								     "0x8",
								     "0x20") " gp_index=\"10\">\n"
									     "<object type=\"NUMANode\" os_index=\"5\"" SETS("0x8", "0x20") " gp_index=\"11\" local_memory=\"500\"/>\n" CORE(
										     "3", "0x8",
										     "0x20", "12",
										     "13") "</object></object></topology>\n";

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_file_describes_a_lopsided_machine(void **state)
{
	char path[] = "topo_test_XXXXXX";
	struct km_diag diag = { .reason = "" };
	struct km_topo *topo = NULL;
	struct km_plan *plan = NULL;
	int err;

	(void)state;
	write_file(path, lopsided);
	err = km_topo_open(&topo, NULL, path, &diag);
	unlink(path);
	if (err)
		fail_msg("%s", diag.reason);
	assert_int_equal(km_topo_summary(topo)->node_nr, 2);
	assert_int_equal(km_topo_summary(topo)->l3_nr, 2); /* a package each */
	assert_int_equal(km_topo_summary(topo)->memory_bytes, 1500);
	assert_int_equal(km_plan_make(&plan, topo, 2), 0);
	assert_int_equal(plan->agent[0].node, 4);
	assert_int_equal(plan->agent[1].node, 5);
	assert_int_equal(plan->dispatcher.node, 4); /* node 5 is full */
	assert_int_equal(plan->helper.node, 4);
	km_plan_destroy(plan);
	km_topo_close(topo);
}

static void a_bad_file_is_refused_with_a_reason(void **state)
{
	static const char *const text[] = { "", "no xml", "<topology version=\"2.0\"></topology>",
					    "<topology version=\"2.0\"><object type=\"Machine\">" };
	struct km_diag diag = { .reason = "" };
	struct km_topo *topo = NULL;
	unsigned int i;

	(void)state;
	assert_int_equal(km_topo_open(&topo, NULL, "no/such/file.xml", &diag), -EINVAL);
	assert_string_equal(diag.file, "no/such/file.xml");
	assert_int_equal(km_topo_open(&topo, NULL, "/", &diag), -EINVAL);
	assert_int_equal(km_topo_open(&topo, "pu:1", "x.xml", &diag), -EINVAL);
	for (i = 0; i < KM_ARRAY_NR(text); i++) {
		char path[] = "topo_test_XXXXXX";
		int err;

		write_file(path, text[i]);
		diag.reason[0] = '\0';
		err = km_topo_open(&topo, NULL, path, &diag);
		unlink(path);
		assert_int_equal(err, -EINVAL);
		assert_true(diag.reason[0]);
	}
	assert_null(topo);
}

static void the_real_machine_offers_what_the_affinity_mask_allows(void **state)
{
	struct km_topo *topo = open_topo(NULL);
	const struct km_topo_summary *sum = km_topo_summary(topo);
	struct km_plan *plan = NULL;
	uint32_t allowed, i;
	cpu_set_t set;

	(void)state;
	if (sched_getaffinity(0, sizeof(set), &set)) /* more CPUs than cpu_set_t has */
		skip();
	allowed = (uint32_t)CPU_COUNT(&set);
	assert_true(sum->real);
	assert_true(sum->cpu_nr > 0 && sum->cpu_nr <= allowed);
	assert_int_equal(km_plan_make(&plan, topo, 2 * sum->cpu_nr), 0);
	for (i = 0; i < plan->agent_nr; i++)
		assert_true(CPU_ISSET(plan->agent[i].cpu, &set));
	km_plan_destroy(plan);
	km_topo_close(topo);
}

struct pin {
	uint32_t cpu;
	int err;
	cpu_set_t set;
	char name[16];
};

static void *pin_thread(void *arg)
{
	struct pin *pin = arg;

	pin->err = km_pin_self(pin->cpu, "a name far too long for a thread");
	if (sched_getaffinity(0, sizeof(pin->set), &pin->set))
		pin->err = -errno;
	km_ignore(pthread_getname_np(pthread_self(), pin->name, sizeof(pin->name))); /* asserted */
	return NULL;
}

/* In a thread of its own: the others keep their CPUs. */
static struct pin pin_to(uint32_t cpu)
{
	struct pin pin = { .cpu = cpu };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, pin_thread, &pin), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return pin;
}

static void a_pinned_thread_has_one_cpu_and_its_name(void **state)
{
	struct km_topo *topo = open_topo(NULL);
	struct km_plan *plan = NULL;
	struct pin pin;

	(void)state;
	assert_int_equal(km_plan_make(&plan, topo, 1), 0);
	pin = pin_to(plan->agent[0].cpu);
	assert_int_equal(pin.err, 0);
	assert_int_equal(CPU_COUNT(&pin.set), 1);
	assert_true(CPU_ISSET(plan->agent[0].cpu, &pin.set));
	assert_string_equal(pin.name, "a name far too ");
	km_plan_destroy(plan);
	km_topo_close(topo);
}

static void a_cpu_that_does_not_exist_is_refused(void **state)
{
	(void)state;
	assert_int_equal(pin_to(60000).err, -EINVAL);
	assert_int_equal(pin_to(UINT32_MAX).err, -EINVAL);
}

static void a_plan_fails_cleanly_without_memory(void **state)
{
	struct km_topo *topo = open_topo("core:4 pu:1");
	const uint32_t agents[] = { 2, 9 };
	struct km_plan *plan = NULL;
	unsigned int at, i;

	(void)state;
	assert_int_equal(km_plan_make(&plan, topo, 0), -EINVAL);
	assert_int_equal(km_plan_make(&plan, topo, UINT32_MAX), -EINVAL);
	for (i = 0; i < KM_ARRAY_NR(agents); i++) {
		for (at = 1;; at++) {
			int err;

			fail_alloc_at = at;
			err = km_plan_make(&plan, topo, agents[i]);
			if (fail_alloc_at) /* not reached: it needs fewer */
				break;
			assert_int_equal(err, -ENOMEM);
			assert_null(plan);
		}
		fail_alloc_at = 0;
		assert_true(at > 3);
		assert_non_null(plan);
		km_plan_destroy(plan);
		plan = NULL;
	}
	km_topo_close(topo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(summaries_count_what_the_description_says),
		cmocka_unit_test(plans_are_even_and_honest_about_ownership),
		cmocka_unit_test(sharing_threads_use_the_siblings_of_a_core),
		cmocka_unit_test(a_bad_description_is_refused_with_a_reason),
		cmocka_unit_test(a_file_describes_a_lopsided_machine),
		cmocka_unit_test(a_bad_file_is_refused_with_a_reason),
		cmocka_unit_test(the_real_machine_offers_what_the_affinity_mask_allows),
		cmocka_unit_test(a_pinned_thread_has_one_cpu_and_its_name),
		cmocka_unit_test(a_cpu_that_does_not_exist_is_refused),
		cmocka_unit_test(a_plan_fails_cleanly_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
