/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * numa/topo.c - what hwloc knows of a machine, as arrays; the placement plan.
 *
 * A "domain" is the cores that share both a NUMA node and an L3 group; agents
 * are dealt over domains. On most machines it is the L3 group; where one L3
 * serves several nodes (sub-NUMA clustering) it is the node.
 */
#include "numa/topo.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <hwloc.h>

/*
 * hwloc's loading time grows with the third power of a level's width: 4,096
 * nodes take 2.5 s, 8,192 two minutes. A description beyond that is a mistake.
 */
#define SYNTHETIC_CPU_MAX 4096
#define XML_BYTES_MAX (INT64_C(64) << 20)

/* Kernels are built for at most 8,192 CPUs. */
#define PIN_CPU_MAX 65535

struct core {
	uint32_t node, node_idx, package, l3, domain; /* node: OS index; else dense, from 0 */
	uint32_t cpu_first, cpu_nr; /* in km_topo.cpu */
};

struct km_topo {
	struct km_topo_summary summary;
	uint32_t *cpu; /* [summary.cpu_nr] OS index, in the order of the cores */
	struct core *core; /* [summary.core_nr] in hwloc's logical order: neighbours are near */
	uint32_t domain_nr, node_used_nr; /* nodes that have cores of ours */
};

/* ---- reading -------------------------------------------------------------- */

/*
 * How many CPUs a synthetic description asks for: the product of its counts,
 * "pack:2 core:4 2" being 16. What hwloc refuses anyway may come out wrong.
 */
static uint64_t synthetic_cpu_nr(const char *text)
{
	uint64_t product = 1;
	unsigned int depth = 0;
	char last = ' ';

	for (; *text; last = *text++) {
		char *end;
		unsigned long long nr;

		depth += *text == '(';
		depth -= *text == ')' && depth;
		if (depth || !isdigit((unsigned char)*text) || !strchr(" :\t\n", last))
			continue;
		nr = strtoull(text, &end, 0);
		if (nr > SYNTHETIC_CPU_MAX || (product *= nr ? nr : 1) > SYNTHETIC_CPU_MAX)
			return UINT64_MAX;
		text = end - 1;
	}
	return product;
}

static int set_synthetic(hwloc_topology_t hw, const char *text, struct km_diag *diag)
{
	if (synthetic_cpu_nr(text) > SYNTHETIC_CPU_MAX)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "topology '%.80s' has more than %d CPUs", text,
				   SYNTHETIC_CPU_MAX);
	if (hwloc_topology_set_synthetic(hw, text))
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "'%.80s' is not a topology; one is written like "
				   "'pack:2 l3:4 core:8 pu:2' and ends in pu",
				   text);
	return 0;
}

static int set_xml(hwloc_topology_t hw, const char *path, struct km_diag *diag)
{
	struct stat st;

	if (stat(path, &st))
		return km_diag_set(diag, -EINVAL, path, 0, 0, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > XML_BYTES_MAX)
		return km_diag_set(diag, -EINVAL, path, 0, 0, "not a file of at most 64 MiB");
	if (hwloc_topology_set_xml(hw, path))
		return km_diag_set(diag, -EINVAL, path, 0, 0,
				   "not a topology in hwloc's XML; 'lstopo FILE.xml' writes one");
	return 0;
}

/* Leave out the CPUs that taskset or a parent process took away. */
static int keep_allowed(hwloc_topology_t hw, struct km_diag *diag)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	int err = 0;

	if (!set)
		return -ENOMEM;
	/* The union over all threads: a pinned thread may open a topology too. */
	if (!hwloc_get_cpubind(hw, set, HWLOC_CPUBIND_PROCESS) &&
	    hwloc_topology_restrict(hw, set, 0))
		err = errno == ENOMEM
			      ? -ENOMEM
			      : km_diag_set(diag, -EINVAL, NULL, 0, 0,
					    "no CPU of this process's affinity mask is online");
	hwloc_bitmap_free(set);
	return err;
}

static int load(hwloc_topology_t hw, const char *synthetic, const char *xml, struct km_diag *diag)
{
	int err = 0;

	if (synthetic)
		err = set_synthetic(hw, synthetic, diag);
	else if (xml)
		err = set_xml(hw, xml, diag);
	if (err)
		return err;
	if (hwloc_topology_load(hw)) {
		if (errno == ENOMEM)
			return -ENOMEM;
		return km_diag_set(diag, -EINVAL, xml, 0, 0, "the topology cannot be read: %s",
				   strerror(errno));
	}
	return hwloc_topology_is_thissystem(hw) ? keep_allowed(hw, diag) : 0;
}

/* ---- from objects to arrays ------------------------------------------------ */

static uint32_t object_nr(hwloc_topology_t hw, hwloc_obj_type_t type)
{
	int nr = hwloc_get_nbobjs_by_type(hw, type);

	return nr > 0 ? (uint32_t)nr : 0;
}

/* The ancestor of type @first, else of type @second, else the machine. */
static hwloc_obj_t group_of(hwloc_topology_t hw, hwloc_obj_t pu, hwloc_obj_type_t first,
			    hwloc_obj_type_t second)
{
	hwloc_obj_t obj = hwloc_get_ancestor_obj_by_type(hw, first, pu);

	if (!obj)
		obj = hwloc_get_ancestor_obj_by_type(hw, second, pu);
	return obj ? obj : hwloc_get_root_obj(hw);
}

/* The nearest node; of several as near, the first, which is the ordinary memory. */
static uint32_t node_of(hwloc_obj_t pu)
{
	hwloc_obj_t obj;

	for (obj = pu; obj; obj = obj->parent) {
		int node = obj->nodeset ? hwloc_bitmap_first(obj->nodeset) : -1;

		if (node >= 0)
			return (uint32_t)node;
	}
	return 0;
}

/* A dense index per node; nodes come in runs, so the last core's is tried first. */
static uint32_t node_idx_of(struct km_topo *topo, uint32_t core_nr, uint32_t node)
{
	uint32_t i;

	for (i = core_nr; i-- > 0;)
		if (topo->core[i].node == node)
			return topo->core[i].node_idx;
	return topo->node_used_nr++;
}

/* Objects come in logical order, so each kind of group is a run of cores. */
struct run {
	hwloc_obj_t core, l3, package;
};

static void add_core(struct km_topo *topo, hwloc_topology_t hw, hwloc_obj_t pu, struct run *run)
{
	hwloc_obj_t l3 = group_of(hw, pu, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_PACKAGE);
	hwloc_obj_t package = group_of(hw, pu, HWLOC_OBJ_PACKAGE, HWLOC_OBJ_MACHINE);
	struct km_topo_summary *sum = &topo->summary;
	struct core *core = &topo->core[sum->core_nr];
	struct core *last = sum->core_nr ? core - 1 : core;

	sum->l3_nr += l3 != run->l3;
	sum->package_nr += package != run->package;
	run->l3 = l3;
	run->package = package;
	core->cpu_first = sum->cpu_nr;
	core->node = node_of(pu);
	core->node_idx = node_idx_of(topo, sum->core_nr, core->node);
	core->l3 = sum->l3_nr - 1;
	core->package = sum->package_nr - 1;
	topo->domain_nr += !sum->core_nr || core->node != last->node || core->l3 != last->l3;
	core->domain = topo->domain_nr - 1;
	sum->core_nr++;
}

static int fill_arrays(struct km_topo *topo, hwloc_topology_t hw, struct km_diag *diag)
{
	uint32_t cpu_nr = object_nr(hw, HWLOC_OBJ_PU), i;
	struct km_topo_summary *sum = &topo->summary;
	struct run run = { NULL, NULL, NULL };

	if (!cpu_nr)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0, "the topology has no CPU");
	topo->cpu = calloc(cpu_nr, sizeof(*topo->cpu));
	topo->core = calloc(cpu_nr, sizeof(*topo->core));
	if (!topo->cpu || !topo->core)
		return -ENOMEM;
	for (i = 0; i < cpu_nr; i++) {
		hwloc_obj_t pu = hwloc_get_obj_by_type(hw, HWLOC_OBJ_PU, i);
		hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_CORE, pu);

		if (!core || core != run.core) /* without cores, each CPU is one */
			add_core(topo, hw, pu, &run);
		run.core = core;
		topo->cpu[sum->cpu_nr++] = pu->os_index;
		topo->core[sum->core_nr - 1].cpu_nr++;
	}
	sum->node_nr = object_nr(hw, HWLOC_OBJ_NUMANODE);
	sum->memory_bytes = hwloc_get_root_obj(hw)->total_memory;
	sum->real = hwloc_topology_is_thissystem(hw);
	return 0;
}

int km_topo_open(struct km_topo **out, const char *synthetic, const char *xml, struct km_diag *diag)
{
	struct km_topo *topo;
	hwloc_topology_t hw;
	int err;

	if (synthetic && xml)
		return km_diag_set(diag, -EINVAL, NULL, 0, 0,
				   "a topology is either synthetic or from a file");
	topo = calloc(1, sizeof(*topo));
	if (!topo)
		return -ENOMEM;
	err = -ENOMEM;
	if (hwloc_topology_init(&hw))
		goto err_close;
	err = load(hw, synthetic, xml, diag);
	if (!err)
		err = fill_arrays(topo, hw, diag);
	hwloc_topology_destroy(hw);
	if (err)
		goto err_close;
	*out = topo;
	return 0;

err_close:
	km_topo_close(topo);
	return err;
}

void km_topo_close(struct km_topo *topo)
{
	if (!topo)
		return;
	free(topo->cpu);
	free(topo->core);
	free(topo);
}

const struct km_topo_summary *km_topo_summary(const struct km_topo *topo)
{
	return &topo->summary;
}

/* ---- the plan ------------------------------------------------------------- */

/* How full each group is while a plan is made. */
struct deal {
	const struct km_topo *topo;
	uint32_t *node_agents, *package_agents, *l3_agents;
	uint32_t *next; /* [domain] next free core; end[domain] when none */
	uint32_t *end;
	uint32_t *memory; /* the one block behind the above */
};

static int deal_init(struct deal *deal, const struct km_topo *topo)
{
	const struct km_topo_summary *sum = &topo->summary;
	uint32_t i;

	deal->topo = topo;
	deal->memory = calloc((size_t)topo->node_used_nr + sum->package_nr + sum->l3_nr +
				      2 * (size_t)topo->domain_nr,
			      sizeof(*deal->memory));
	if (!deal->memory)
		return -ENOMEM;
	deal->node_agents = deal->memory;
	deal->package_agents = deal->node_agents + topo->node_used_nr;
	deal->l3_agents = deal->package_agents + sum->package_nr;
	deal->next = deal->l3_agents + sum->l3_nr;
	deal->end = deal->next + topo->domain_nr;
	for (i = sum->core_nr; i-- > 0;) {
		deal->next[topo->core[i].domain] = i;
		if (!deal->end[topo->core[i].domain])
			deal->end[topo->core[i].domain] = i + 1;
	}
	return 0;
}

static bool deal_has_core(const struct deal *deal, uint32_t domain)
{
	return deal->next[domain] < deal->end[domain];
}

/* Order of agents: the emptiest node, then package, then L3 group. */
static bool is_emptier(const struct deal *deal, const struct core *a, const struct core *b)
{
	if (deal->node_agents[a->node_idx] != deal->node_agents[b->node_idx])
		return deal->node_agents[a->node_idx] < deal->node_agents[b->node_idx];
	if (deal->package_agents[a->package] != deal->package_agents[b->package])
		return deal->package_agents[a->package] < deal->package_agents[b->package];
	return deal->l3_agents[a->l3] < deal->l3_agents[b->l3];
}

/*
 * Order of the dispatcher: the node, then the package with the most agents, so
 * that most of the lines it reads are near; there the L3 group with the fewest,
 * as agents that stream their slots push its tables out of the cache.
 */
static bool is_better_hub(const struct deal *deal, const struct core *a, const struct core *b)
{
	if (deal->node_agents[a->node_idx] != deal->node_agents[b->node_idx])
		return deal->node_agents[a->node_idx] > deal->node_agents[b->node_idx];
	if (deal->package_agents[a->package] != deal->package_agents[b->package])
		return deal->package_agents[a->package] > deal->package_agents[b->package];
	return deal->l3_agents[a->l3] < deal->l3_agents[b->l3];
}

/* Take the best free core; ties go to the lowest. The caller knows that there is one. */
static uint32_t deal_core(struct deal *deal,
			  bool (*better)(const struct deal *, const struct core *,
					 const struct core *))
{
	const struct core *core = deal->topo->core;
	uint32_t best = UINT32_MAX, i;

	for (i = 0; i < deal->topo->domain_nr; i++) {
		if (!deal_has_core(deal, i))
			continue;
		if (best == UINT32_MAX ||
		    better(deal, &core[deal->next[i]], &core[deal->next[best]]))
			best = i;
	}
	KM_BUG_ON(best == UINT32_MAX);
	return deal->next[best]++;
}

static uint32_t deal_agent(struct deal *deal)
{
	uint32_t core_idx = deal_core(deal, is_emptier);
	const struct core *core = &deal->topo->core[core_idx];

	deal->node_agents[core->node_idx]++;
	deal->package_agents[core->package]++;
	deal->l3_agents[core->l3]++;
	return core_idx;
}

/* @turn: how many threads of the plan this core has already; they take its CPUs in turn. */
static struct km_place place_on(const struct km_topo *topo, uint32_t core_idx, uint32_t turn,
				bool owned)
{
	const struct core *core = &topo->core[core_idx];

	return (struct km_place){
		.cpu = topo->cpu[core->cpu_first + turn % core->cpu_nr],
		.core = core_idx,
		.node = core->node,
		.l3 = core->l3,
		.owned = owned,
	};
}

/* No core is left for the helper: it joins the last agent on the dispatcher's node. */
static void join_helper(struct km_plan *plan, const struct km_topo *topo)
{
	uint32_t i, host = plan->agent_nr - 1;

	for (i = plan->agent_nr; i-- > 0;) {
		if (plan->agent[i].node == plan->dispatcher.node) {
			host = i;
			break;
		}
	}
	plan->agent[host].owned = false;
	plan->helper = place_on(topo, plan->agent[host].core, 1, false);
}

static int by_core(const void *a, const void *b)
{
	const struct km_place *x = a, *y = b;

	return (x->core > y->core) - (x->core < y->core);
}

static void plan_owned(struct km_plan *plan, struct deal *deal)
{
	const struct km_topo *topo = deal->topo;
	uint32_t i;

	for (i = 0; i < plan->agent_nr; i++)
		plan->agent[i] = place_on(topo, deal_agent(deal), 0, true);
	/* Neighbours in number are neighbours in place. */
	qsort(plan->agent, plan->agent_nr, sizeof(plan->agent[0]), by_core);
	plan->dispatcher = place_on(topo, deal_core(deal, is_better_hub), 0, true);
	if (topo->summary.core_nr > plan->agent_nr + 1)
		plan->helper = place_on(topo, deal_core(deal, is_better_hub), 0, false);
	else
		join_helper(plan, topo);
}

static int plan_shared(struct km_plan *plan, struct deal *deal)
{
	uint32_t core_nr = deal->topo->summary.core_nr, i;
	uint32_t *order = calloc(core_nr, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (i = 0; i < core_nr; i++)
		order[i] = deal_agent(deal);
	for (i = 0; i < plan->agent_nr + 2; i++) {
		struct km_place place =
			place_on(deal->topo, order[i % core_nr], i / core_nr, false);

		if (i < plan->agent_nr)
			plan->agent[i] = place;
		else if (i == plan->agent_nr)
			plan->dispatcher = place;
		else
			plan->helper = place;
	}
	plan->oversubscribed = true;
	free(order);
	return 0;
}

int km_plan_make(struct km_plan **out, const struct km_topo *topo, uint32_t agent_nr)
{
	struct km_plan *plan;
	struct deal deal;
	int err;

	if (!agent_nr || agent_nr > KM_PLAN_AGENT_NR_MAX)
		return -EINVAL;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->agent_nr = agent_nr;
	plan->agent = calloc(agent_nr, sizeof(*plan->agent));
	err = plan->agent ? deal_init(&deal, topo) : -ENOMEM;
	if (err)
		goto err_destroy;
	if (agent_nr < topo->summary.core_nr)
		plan_owned(plan, &deal);
	else
		err = plan_shared(plan, &deal);
	free(deal.memory);
	if (err)
		goto err_destroy;
	*out = plan;
	return 0;

err_destroy:
	km_plan_destroy(plan);
	return err;
}

void km_plan_destroy(struct km_plan *plan)
{
	if (!plan)
		return;
	free(plan->agent);
	free(plan);
}

/* ---- pinning -------------------------------------------------------------- */

int km_pin_self(uint32_t cpu, const char *name)
{
	char short_name[16];
	cpu_set_t *set;
	size_t bytes;
	int err;

	if (cpu > PIN_CPU_MAX)
		return -EINVAL;
	set = CPU_ALLOC((size_t)cpu + 1);
	if (!set)
		return -ENOMEM;
	bytes = CPU_ALLOC_SIZE((size_t)cpu + 1);
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(cpu, bytes, set);
	err = pthread_setaffinity_np(pthread_self(), bytes, set);
	CPU_FREE(set);
	if (err)
		return -err;
	if (name) {
		snprintf(short_name, sizeof(short_name), "%s", name);
		km_ignore(pthread_setname_np(pthread_self(), short_name)); /* for people only */
	}
	return 0;
}
