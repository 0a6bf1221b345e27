/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/topo.c - "kamino topo": the machine and which thread runs where.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "numa/topo.h"
#include "tools/json.h"
#include "tools/verbs.h"

/* Text is for reading; --json has every agent. */
#define ROW_NR_MAX 64
#define CPU_NR_MAX 8

struct topo_args {
	uint64_t agents;
	const char *synthetic, *xml;
	bool json, help;
};

/* ---- text ----------------------------------------------------------------- */

static const char *waits(const struct km_place *place)
{
	return place->owned ? "spinning" : "parking";
}

/* Agents in a row that share node, L3 group and manner of waiting. */
static uint32_t run_end(const struct km_plan *plan, uint32_t first)
{
	const struct km_place *a = &plan->agent[first];
	uint32_t end = first + 1;

	while (end < plan->agent_nr && plan->agent[end].node == a->node &&
	       plan->agent[end].l3 == a->l3 && plan->agent[end].owned == a->owned)
		end++;
	return end;
}

static void print_row(const char *who, const struct km_place *place, uint32_t nr)
{
	uint32_t i;

	printf("%-16s %5" PRIu32 " %5" PRIu32 "  %-9s ", who, place->node, place->l3, waits(place));
	for (i = 0; i < nr && i < CPU_NR_MAX; i++)
		printf("%s%" PRIu32, i ? "," : "", place[i].cpu);
	printf("%s\n", i < nr ? ",..." : "");
}

static void print_agents(const struct km_plan *plan)
{
	uint32_t first, end, row_nr = 0;
	char who[32];

	for (first = 0; first < plan->agent_nr; first = end) {
		if (row_nr++ == ROW_NR_MAX) {
			printf("... %" PRIu32 " more agents; --json lists all\n",
			       plan->agent_nr - first);
			return;
		}
		end = run_end(plan, first);
		if (end == first + 1)
			snprintf(who, sizeof(who), "agent %" PRIu32, first);
		else
			snprintf(who, sizeof(who), "agents %" PRIu32 "-%" PRIu32, first, end - 1);
		print_row(who, &plan->agent[first], end - first);
	}
}

static void print_count(uint32_t nr, const char *what, const char *end)
{
	printf("%" PRIu32 " %s%s%s", nr, what, nr == 1 ? "" : "s", end);
}

static int print_text(const struct km_topo_summary *sum, const struct km_plan *plan)
{
	printf("%s: ", sum->real ? "this machine" : "pretended machine");
	print_count(sum->node_nr, "node", ", ");
	print_count(sum->package_nr, "package", ", ");
	print_count(sum->l3_nr, "L3 group", ", ");
	print_count(sum->core_nr, "core", ", ");
	print_count(sum->cpu_nr, "CPU", "\n");
	if (plan->oversubscribed)
		printf("more agents than there are cores for: threads share cores, nobody spins\n");
	printf("\n%-16s %5s %5s  %-9s %s\n", "thread", "node", "L3", "waits by", "CPU");
	print_agents(plan);
	print_row("dispatcher", &plan->dispatcher, 1);
	print_row("helper", &plan->helper, 1);
	return 0;
}

/* ---- JSON ----------------------------------------------------------------- */

static json_t *place_json(const struct km_place *place)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "cpu", (json_int_t)place->cpu, "core",
			 (json_int_t)place->core, "node", (json_int_t)place->node, "l3",
			 (json_int_t)place->l3, "owned", place->owned);
}

static json_t *agents_json(const struct km_plan *plan)
{
	json_t *agents = json_array();
	uint32_t i;

	for (i = 0; i < plan->agent_nr; i++) {
		json_t *agent = json_pack("{s:I}", "agent", (json_int_t)i);
		json_t *place = place_json(&plan->agent[i]);
		int err = json_object_update(agent, place);

		json_decref(place);
		if (json_array_append_new(agents, agent) || err) {
			json_decref(agents);
			return NULL;
		}
	}
	return agents;
}

static json_t *results_json(const struct km_topo_summary *sum, const struct km_plan *plan)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:b}", "nodes",
			 (json_int_t)sum->node_nr, "packages", (json_int_t)sum->package_nr,
			 "l3_groups", (json_int_t)sum->l3_nr, "cores", (json_int_t)sum->core_nr,
			 "cpus", (json_int_t)sum->cpu_nr, "memory_bytes",
			 (json_int_t)sum->memory_bytes, "real", sum->real, "agents",
			 agents_json(plan), "dispatcher", place_json(&plan->dispatcher), "helper",
			 place_json(&plan->helper), "oversubscribed", plan->oversubscribed);
}

static int print_json(const struct topo_args *args, const struct km_topo_summary *sum,
		      const struct km_plan *plan)
{
	json_t *params = json_pack("{s:I, s:s?, s:s?}", "agents", (json_int_t)plan->agent_nr,
				   "synthetic", args->synthetic, "xml", args->xml);
	json_t *doc = km_json_envelope("topo", params, results_json(sum, plan));
	int err = km_json_print(doc, stdout);

	json_decref(doc);
	return err;
}

/* ---- the verb ------------------------------------------------------------- */

static int show(const struct topo_args *args, const struct km_topo *topo)
{
	const struct km_topo_summary *sum = km_topo_summary(topo);
	uint32_t agent_nr = (uint32_t)args->agents;
	struct km_plan *plan;
	int err;

	if (!agent_nr)
		agent_nr = sum->core_nr > 1 ? sum->core_nr - 1 : 1;
	err = km_plan_make(&plan, topo, agent_nr);
	if (err) {
		fprintf(stderr, "kamino topo: %s\n", strerror(-err));
		return KM_EXIT_FAILED;
	}
	err = args->json ? print_json(args, sum, plan) : print_text(sum, plan);
	km_plan_destroy(plan);
	return err ? KM_EXIT_FAILED : KM_EXIT_DONE;
}

int km_verb_topo(int argc, char **argv)
{
	struct topo_args args = { 0 };
	const struct km_opt opts[] = {
		{ "agents", KM_OPT_U64, &args.agents, "N",
		  "how many agents to place (default: the cores less one)", 1,
		  KM_PLAN_AGENT_NR_MAX },
		{ "synthetic", KM_OPT_STRING, &args.synthetic, "S",
		  "pretend a machine, such as 'pack:2 [numa:1] l3:4 core:8 pu:2'", 0, 0 },
		{ "xml", KM_OPT_STRING, &args.xml, "FILE",
		  "pretend the machine of a file that lstopo wrote", 0, 0 },
		{ "json", KM_OPT_FLAG, &args.json, NULL, "one JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &args.help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag = { .reason = "out of memory" };
	struct km_topo *topo;
	int err, code;

	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("topo", &diag, KM_EXIT_USAGE);
	if (args.help)
		return km_verb_help("topo", "[options]",
				    "Prints the cores this process may use and the plan of a run "
				    "with N agents:\nwhich CPU each thread gets, and whether it "
				    "spins (it owns its core) or parks.",
				    opts);
	err = km_topo_open(&topo, args.synthetic, args.xml, &diag);
	if (err) /* a bad file is no bad usage, except beside --synthetic */
		return km_verb_fail("topo", &diag,
				    err == -EINVAL && args.synthetic ? KM_EXIT_USAGE
								     : KM_EXIT_FAILED);
	code = show(&args, topo);
	km_topo_close(topo);
	return code;
}
