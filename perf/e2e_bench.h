/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/e2e_bench.h - from a request's intended arrival to its agent's start, and to its end.
 *
 * The real runtime with a synthetic workload: a request's service spins for so long
 * (--service), its rule objects are words that are checked. Requests come as a Poisson
 * process at each rate, and latency counts from the *intended* arrival: the client
 * never waits for an answer before it submits, and what it comes too late itself is
 * part of the latency and told apart (no coordinated omission). What the door
 * refuses is counted.
 *
 * Parked: nobody owns a core, every idle thread sleeps, a hand-over is a wake-up.
 * Spinning: agents and the dispatcher are pinned to cores of their own and look for
 * work before they sleep; left out, with the reason, where there are too few cores.
 *
 * Stages, each of every request: late (intended to submitted), ingress (until the
 * dispatcher took it up), handover (decision, ring, the queue before it, wake), idle
 * handover (the same of requests whose agent was predicted idle), service, back
 * (until the client took it). Runs of all cells take turns; the first fifth of a run,
 * in which caches fill, does not count.
 *
 * Not shown: clients on several threads; the time in the network before a client.
 */
#ifndef KM_PERF_E2E_BENCH_H
#define KM_PERF_E2E_BENCH_H

#include "core/policy.h"
#include "perf/rows.h"

struct km_bench_e2e_cfg {
	const uint32_t *rate; /* [rate_nr] requests a second */
	uint32_t rate_nr, agent_nr, type_nr, rule_nr;
	uint64_t service_ns;
	const struct km_policy *policy;
};

/** km_bench_e2e() - measure. Return: 0; -EINVAL, -ENOMEM: too large; -EIO: a check failed. */
int km_bench_e2e(struct km_bench_env *env, const void *cfg, struct km_diag *diag) KM_MUST_CHECK;

#endif
