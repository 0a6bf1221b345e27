/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/runtime_internal.h - what the runtime's threads share.
 */
#ifndef KM_CORE_RUNTIME_INTERNAL_H
#define KM_CORE_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>

#include "core/changed.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/summary.h"
#include "lib/snap.h"
#include "ring/mpsc.h"
#include "ring/park.h"
#include "ring/spsc.h"

/* What a parked thread is woken for. */
enum {
	KM_WAKE_WORK = 1, /* ingress, ring or completion queue is not empty */
	KM_WAKE_AGENT = 2, /* an agent finished a request */
	KM_WAKE_STOP = 4,
};

/* A spinning thread that owns its core looks this often before it parks. */
#define KM_SPIN_NR 20000

/* Arrivals taken in between two looks: each reads the lines of the agents that changed. */
#define KM_ARRIVALS_PER_LOOK 16

struct km_client {
	/* read-mostly: written by open */
	struct km_runtime *rt;
	uint32_t cap;
	struct km_client *next; /* in rt->clients */

	/* the client writes */
	alignas(KM_SHARE_BYTES) uint32_t in_flight;

	/* agents push, the client pops */
	struct km_mpsc done;
	struct km_park park;
};

struct km_agent {
	/* read-mostly: written by start */
	struct km_runtime *rt;
	uint32_t idx;
	struct km_place place;
	pthread_t thread;
	int start_err;

	/* dispatcher pushes, the agent pops */
	struct km_spsc ring;
	struct km_park park;
	_Atomic bool stop;

	/* the agent writes */
	struct km_summary summary;
	struct km_snap digest;
	struct km_spsc samples; /* the estimator pops */
	alignas(KM_SHARE_BYTES) struct km_eval *eval;
	uint64_t digest_version; /* published last */
	uint16_t begun;
	uint64_t nap_ns; /* the last sleep that nobody ended */
	_Atomic uint64_t samples_dropped;

	/* at the end, read after the join */
	struct km_eval_stats stats;
	const char *cache_fault;
};

/* What the dispatcher shows of its queues, for monitors (core/glance.c). */
struct km_show {
	_Atomic uint64_t *queue; /* [agent_nr] a word each, so it cannot be torn */
	_Atomic uint64_t waiting;
	uint64_t due_ns; /* the next pass over the agents */
	uint32_t next; /* agent, within a pass */
	bool empty; /* nothing was inside when the last pass began */
};

struct km_dispatcher {
	struct km_types *types;
	struct km_view *view;
	struct km_sched *sched;
	struct km_records *records;
	/* popped and not decided: within a turn, or because no type id was free */
	struct km_req *taken[KM_ARRIVALS_PER_LOOK];
	uint32_t taken_nr;
	struct km_hist decision_ns;
	uint64_t accepted, completed;
	struct km_show show;
	pthread_t thread;
	int start_err;
	_Atomic bool stop;

	/* submitters push, the dispatcher pops */
	struct km_mpsc ingress;
	struct km_park park;
};

struct km_runtime {
	struct km_runtime_cfg cfg;
	uint32_t agent_nr;
	struct km_agent **agent; /* [agent_nr], each its own allocation */
	struct km_dispatcher dispatcher;
	struct km_changed *changed; /* a bit an agent: agents set, the dispatcher takes */

	/* the estimator publishes, dispatcher and agents read */
	struct km_snap estimates;
	struct km_estimator *estimator;
	_Atomic uint64_t *type_hash; /* [type_cap] the dispatcher writes, the estimator reads */
	pthread_t estimator_thread;
	struct km_park estimator_park;
	_Atomic bool estimator_stop;
	uint64_t estimate_tables;

	/*
	 * All clients ever opened, freed at stop: an agent that pushed a client's
	 * last request may still be about to wake it when the client closes.
	 */
	_Atomic(struct km_client *) clients;
	_Atomic uint32_t client_nr; /* open ones */
	bool running; /* every part came up */
	sem_t started; /* posted once by each thread that came up or failed to */
	uint32_t up; /* how many entries of the start-up table are up */
};

/** km_agent_main(), km_dispatcher_main(), km_estimator_main() - the threads. */
void *km_agent_main(void *agent);
void *km_dispatcher_main(void *rt);
void *km_estimator_main(void *rt);

int km_dispatcher_init(struct km_runtime *rt) KM_MUST_CHECK;
void km_dispatcher_fini(struct km_runtime *rt);

/** km_show_init(), km_show_fini() - nothing queued; -ENOMEM. */
int km_show_init(struct km_show *show, uint32_t agent_nr) KM_MUST_CHECK;
void km_show_fini(struct km_show *show);
/** km_show_some() - the next agents' queues. Context: the dispatcher, when show.due_ns has come. */
void km_show_some(struct km_runtime *rt, uint64_t now_ns);
/** km_show_wait_ns() - how long the dispatcher may sleep before it has to show again. */
uint64_t km_show_wait_ns(const struct km_runtime *rt);

/** km_dispatch_enter() - begin a turn: a snapshot section, with the estimates of now. */
void km_dispatch_enter(struct km_runtime *rt);
/**
 * km_dispatch_look() - what the agents did up to @now_ns, and what waited for them.
 * Return: whether any.
 */
bool km_dispatch_look(struct km_runtime *rt, uint64_t now_ns);
/** km_dispatch_classify() - types for all parts, or none. Return: whether there were ids. */
bool km_dispatch_classify(struct km_runtime *rt, struct km_req *req);
/**
 * km_dispatch_place() - decide and push; the view's time is set.
 * Return: the agent that was pushed something, for the wake; or KM_NO_AGENT.
 */
uint32_t km_dispatch_place(struct km_runtime *rt, struct km_req *req);
/** km_dispatch_leave() - end the turn; no snapshot is held any more. */
void km_dispatch_leave(void);

/** km_dispatch_some() - one turn of the dispatcher's loop. Return: whether anything was done. */
bool km_dispatch_some(struct km_runtime *rt);

#endif
