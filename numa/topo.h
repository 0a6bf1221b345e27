/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * numa/topo.h - the machine's topology and which thread runs where.
 *
 * The only user of hwloc is numa/topo.c. A topology may be synthetic or read
 * from a file, so an eight-socket plan is tested on a laptop; pinning works on
 * the real one only.
 */
#ifndef KM_NUMA_TOPO_H
#define KM_NUMA_TOPO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base.h"
#include "lib/diag.h"

/* More agents than any machine has cores; bounds the plan's memory. */
#define KM_PLAN_AGENT_NR_MAX (1u << 20)

struct km_topo;

/* Only what this process may use. Without L3 caches a package counts as one L3 group. */
struct km_topo_summary {
	uint32_t node_nr, package_nr, l3_nr, core_nr, cpu_nr;
	bool real; /* false for synthetic and file topologies */
	uint64_t memory_bytes; /* of the usable nodes; 0 when unknown */
};

/* Where one thread runs. */
struct km_place {
	uint32_t cpu, core, node,
		l3; /* OS index of the cpu and node; logical index of core and l3 */
	bool owned; /* no other thread of the plan has this core: it may spin */
};

struct km_plan {
	uint32_t agent_nr;
	struct km_place *agent; /* [agent_nr] */
	struct km_place dispatcher;
	struct km_place helper; /* estimator, submitters: never owned */
	bool oversubscribed; /* agents and dispatcher are more than the cores */
};

/**
 * km_topo_open() - the real machine, or a pretended one.
 * @out: set on success only; release with km_topo_close().
 * @synthetic: hwloc synthetic description or NULL; at most 4,096 CPUs.
 * @xml: path of an hwloc XML file or NULL. At most one of the two.
 * Only CPUs of this process's affinity mask count on the real machine.
 * Return: 0; -EINVAL with the reason in @diag; -ENOMEM.
 */
int km_topo_open(struct km_topo **out, const char *synthetic, const char *xml,
		 struct km_diag *diag) KM_MUST_CHECK;

/** km_topo_close() - NULL is allowed. Plans made of @topo stay valid. */
void km_topo_close(struct km_topo *topo);

/** km_topo_summary() - Return: valid until km_topo_close(). */
const struct km_topo_summary *km_topo_summary(const struct km_topo *topo);

/**
 * km_plan_make() - spread @agent_nr agents and one dispatcher over the cores.
 *
 * One hardware thread a core first; the dispatcher gets its own core when there
 * are more cores than agents, on the node with the most agents nearby; agents
 * fill L3 groups and nodes evenly, and are numbered so that neighbours in number
 * are near. The helper takes a core that is left; when none is, it joins an agent,
 * which then does not own its core. With agents and dispatcher more than the
 * cores, cores are shared round robin and nobody owns one.
 *
 * @agent_nr: 1..KM_PLAN_AGENT_NR_MAX.
 * Return: 0; -EINVAL for zero agents or too many; -ENOMEM.
 */
int km_plan_make(struct km_plan **out, const struct km_topo *topo, uint32_t agent_nr) KM_MUST_CHECK;

/** km_plan_destroy() - NULL is allowed. */
void km_plan_destroy(struct km_plan *plan);

/**
 * km_pin_self() - bind the calling thread to @cpu and name it @name (15 bytes).
 * @name: cut when longer; NULL keeps the name.
 * Return: 0; -EINVAL when the cpu does not exist or is not allowed.
 */
int km_pin_self(uint32_t cpu, const char *name) KM_MUST_CHECK;

#endif
