/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/stress/store_stress.c - writers, agents and a follower on one store.
 *
 * Raw writers commit batches and delete; agents place through the whole of
 * place/, with cached objects that lag, and try again on a conflict; a follower
 * reads the journal into a state of its own. Each VM number belongs to one
 * thread, whose notes are the ledger. Afterwards the audit must be clean and
 * the follower's state the store's.
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "lib/snap.h"
#include "place/audit.h"
#include "place/place.h"

enum {
	SERVERS = 96,
	WRITERS = 2,
	AGENTS = 2,
	THREADS = WRITERS + AGENTS,
	VMS_EACH = 4096,
	TYPES = 3,
	TRIES = 200,
	OPS_MAX = 3000000, /* a thread: bounds the whole journal to 100 MiB or so */
};

struct world {
	struct km_inventory *inv;
	struct km_trace_schema schema;
	struct km_ruleset rules;
	struct km_store *store;
	struct km_place_ctx *place;
	struct km_ledger ledger;
	uint64_t end_ns;
	_Atomic uint32_t running;
};

struct side {
	struct world *world;
	uint32_t idx;
	struct km_rand rand;
	uint64_t ops, placed, refused, conflicts, bad;
	const char *what; /* of the first bad one */
};

static const struct km_store_ops *const ops = &km_store_memory;

static void wrong(struct side *side, const char *what)
{
	if (!side->bad++)
		side->what = what;
}

static bool goes_on(struct side *side)
{
	km_snap_quiesce();
	return side->ops++ < OPS_MAX && km_clock_ns() < side->world->end_ns;
}

static void stop(struct world *world)
{
	/* relaxed: only tells the follower when to stop; the joins order the rest */
	atomic_fetch_sub_explicit(&world->running, 1, memory_order_relaxed);
}

static void note(struct side *side, uint32_t vm, enum km_ledger_state state, uint32_t server)
{
	side->world->ledger.state[vm] = (uint8_t)state;
	side->world->ledger.server[vm] = server;
}

/* A VM of this thread's own. */
static uint32_t own_vm(struct side *side)
{
	return side->idx * VMS_EACH + (uint32_t)km_rand_below(&side->rand, VMS_EACH);
}

static void delete_one(struct side *side, uint32_t vm)
{
	const bool placed = side->world->ledger.state[vm] == KM_LEDGER_PLACED;

	if (ops->delete (side->world->store, vm) != placed)
		wrong(side, "a delete does not know what stands, or knows what does not");
	if (placed)
		note(side, vm, KM_LEDGER_DELETED, 0);
}

/* ---- raw writers ------------------------------------------------------------------- */

static struct km_store_vm random_vm(struct side *side, uint32_t vm)
{
	struct km_store_vm v = { .vm = vm,
				 .server = (uint32_t)km_rand_below(&side->rand, SERVERS) };
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		v.res[r] = (int32_t)km_rand_below(&side->rand, 4);
	memset(v.group, 0xff, sizeof(v.group));
	if (km_rand_below(&side->rand, 2))
		v.group[0] = (uint32_t)km_rand_below(&side->rand, 50);
	return v;
}

static void write_batch(struct side *side)
{
	const uint32_t nr = 1 + (uint32_t)km_rand_below(&side->rand, 4);
	struct km_store_vm vm[4];
	uint32_t i, at = 0, first = own_vm(side);
	enum km_commit result;
	bool fresh = true;

	if (first % VMS_EACH + nr > VMS_EACH)
		return;
	for (i = 0; i < nr; i++) {
		vm[i] = random_vm(side, first + i);
		fresh = fresh && side->world->ledger.state[first + i] != KM_LEDGER_PLACED;
	}
	result = ops->commit(side->world->store, vm, nr, &at);
	if (at >= nr)
		wrong(side, "the refused VM is none of the batch");
	if ((result == KM_COMMIT_DUPLICATE) && fresh)
		wrong(side, "a duplicate of what does not stand");
	if (result == KM_COMMIT_DONE && !fresh)
		wrong(side, "a duplicate was taken");
	side->placed += result == KM_COMMIT_DONE;
	side->refused += result != KM_COMMIT_DONE;
	for (i = 0; result == KM_COMMIT_DONE && i < nr; i++)
		note(side, vm[i].vm, KM_LEDGER_PLACED, vm[i].server);
}

static void *writer(void *arg)
{
	struct side *side = arg;

	km_snap_thread_start();
	while (goes_on(side)) {
		if (km_rand_below(&side->rand, 5) < 3)
			delete_one(side, own_vm(side));
		else
			write_batch(side);
		stress_delay(&side->rand);
	}
	stop(side->world);
	km_snap_thread_stop();
	return NULL;
}

/* ---- agents -------------------------------------------------------------------------- */

struct cached {
	struct km_type type;
	void *rule[KM_RULES_MAX], *top;
	uint64_t rev;
};

struct agent {
	struct side *side;
	const struct km_workload *w;
	struct km_workload_agent *wa;
	struct cached cached[TYPES];
};

static void *slot(uint64_t bytes)
{
	void *mem = aligned_alloc(64, (bytes + 63) & ~(uint64_t)63);

	if (mem)
		memset(mem, 0, bytes);
	return mem;
}

static bool agent_open(struct agent *agent)
{
	const struct km_workload *w = agent->w;
	bool ok = !w->ops->agent_create(w->workload, agent->side->idx, NULL, &agent->wa);
	uint32_t t, r;

	for (t = 0; t < TYPES; t++) {
		struct cached *c = &agent->cached[t];

		c->type.trait[KM_RES_CPU] = t + 1;
		c->type.trait[KM_RES_MEMORY] = 2 * t;
		for (r = 0; r < w->rule_nr; r++) {
			c->rule[r] = slot(w->class_bytes[w->ops->rule_class(w->workload, r)]);
			ok = ok && c->rule[r];
		}
		c->top = slot(w->class_bytes[w->ops->top_class(w->workload)]);
		ok = ok && c->top;
	}
	return ok;
}

static void agent_close(struct agent *agent)
{
	uint32_t t, r;

	if (agent->wa)
		agent->w->ops->agent_destroy(agent->wa);
	for (t = 0; t < TYPES; t++) {
		for (r = 0; r < agent->w->rule_nr; r++)
			free(agent->cached[t].rule[r]);
		free(agent->cached[t].top);
	}
}

static void bring_up_to_date(struct agent *agent, struct cached *c)
{
	const struct km_workload_ops *w = agent->w->ops;
	uint64_t rev;
	uint32_t r;

	km_snap_enter();
	rev = w->sync(agent->wa);
	km_snap_leave();
	if (c->rev && w->can_update(agent->wa, c->rev)) {
		for (r = 0; r < agent->w->rule_nr; r++)
			w->rule_update(agent->wa, r, &c->type, c->rule[r], c->rev);
		w->top_update(agent->wa, &c->type, c->rule, c->top, c->rev);
	} else {
		for (r = 0; r < agent->w->rule_nr; r++)
			w->rule_eval(agent->wa, r, &c->type, c->rule[r]);
		w->top_build(agent->wa, &c->type, c->rule, c->top);
	}
	c->rev = rev;
}

static void ask_one(struct agent *agent)
{
	struct side *side = agent->side;
	struct cached *c = &agent->cached[km_rand_below(&side->rand, TYPES)];
	uint32_t vm = own_vm(side), server = 0, tries = 0;
	struct km_place_ask ask = { .vm_nr = 1,
				    .tenant = (uint32_t)km_rand_below(&side->rand, 50),
				    .batch = KM_DICT_NONE,
				    .vm = &vm,
				    .server = &server };
	struct km_req req;
	struct km_serve_part part = { .req = &req, .type = &c->type, .top = c->top };

	if (side->world->ledger.state[vm] == KM_LEDGER_PLACED)
		return;
	memset(&req, 0, sizeof(req));
	memcpy(req.trait, c->type.trait, sizeof(req.trait));
	req.payload = &ask;
	if (!c->rev || km_rand_below(&side->rand, 2))
		bring_up_to_date(agent, c);
	while (agent->w->ops->serve(agent->wa, &part, 1) == KM_SERVE_CONFLICT) {
		side->conflicts++;
		req.conflicts++;
		if (++tries == TRIES)
			return; /* gives up: nothing was placed */
		stress_delay(&side->rand); /* the view may be old again by now */
		bring_up_to_date(agent, c);
	}
	if (req.outcome == KM_PLACED)
		note(side, vm, KM_LEDGER_PLACED, server);
	else if (req.outcome != KM_NO_ROOM)
		wrong(side, "an agent's request ends neither placed nor without room");
	side->placed += req.outcome == KM_PLACED;
	side->refused += req.outcome != KM_PLACED;
}

static void *agent_main(void *arg)
{
	struct side *side = arg;
	struct agent agent = { .side = side, .w = km_place_workload(side->world->place) };

	km_snap_thread_start();
	if (!agent_open(&agent))
		wrong(side, "no memory");
	while (!side->bad && goes_on(side)) {
		if (km_rand_below(&side->rand, 2))
			delete_one(side, own_vm(side));
		else
			ask_one(&agent);
		stress_delay(&side->rand);
	}
	agent_close(&agent);
	stop(side->world);
	km_snap_thread_stop();
	return NULL;
}

/* ---- the follower ---------------------------------------------------------------------- */

struct state {
	int32_t free[KM_RES_NR][SERVERS];
	uint32_t vm_nr[SERVERS];
	uint8_t healthy[SERVERS];
	uint64_t rev;
};

static struct state followed;

static void read_state(struct world *world, struct state *st)
{
	int32_t *to[KM_RES_NR];
	int r;

	for (r = 0; r < KM_RES_NR; r++)
		to[r] = st->free[r];
	st->rev = ops->copy_state(world->store, to, st->vm_nr, st->healthy);
}

static uint32_t follow(struct side *side)
{
	struct km_journal_entry entry[64];
	enum km_bcast_result result;
	uint32_t i, nr = 0;
	int r;

	km_snap_enter();
	result = km_bcast_read_some(ops->watch(side->world->store), followed.rev + 1, entry, 64,
				    &nr);
	km_snap_leave();
	if (result != KM_BCAST_OK)
		wrong(side, "a journal that is kept whole was overrun");
	for (i = 0; i < nr; i++) {
		const uint32_t s = entry[i].server;

		for (r = 0; r < KM_RES_NR; r++) {
			if (entry[i].free[r] < 0)
				wrong(side, "an over-committed server was journalled");
			followed.free[r][s] = entry[i].free[r];
		}
		followed.vm_nr[s] = entry[i].vm_nr;
		followed.healthy[s] = (uint8_t)entry[i].healthy;
	}
	followed.rev += nr;
	return nr;
}

static void *follower(void *arg)
{
	struct side *side = arg;
	uint32_t running, nr;

	km_snap_thread_start();
	read_state(side->world, &followed);
	do {
		/* relaxed: what is missed in the end is read after the joins */
		running = atomic_load_explicit(&side->world->running, memory_order_relaxed);
		nr = follow(side);
		side->ops += nr;
		km_snap_quiesce();
		if (!nr)
			sched_yield();
	} while (running || nr);
	km_snap_thread_stop();
	return NULL;
}

/* ---- the world --------------------------------------------------------------------------- */

static void open_world(struct world *world, uint64_t seed)
{
	static char fits_cpu[] = "cpu", fits_memory[] = "memory", best[] = "best", full[] = "full",
		    apart[] = "apart", tenant[] = "tenant";
	struct km_store_cfg cfg = { .vm_cap = THREADS * VMS_EACH, .keep_journal = true };
	struct km_place_cfg place = { .store_ops = ops, .agent_nr = AGENTS, .seed = seed };
	struct km_diag diag;
	uint32_t s, r;

	memset(world, 0, sizeof(*world));
	assert_int_equal(km_inventory_create(&world->inv, SERVERS), 0);
	for (s = 0; s < SERVERS; s++)
		for (r = 0; r < KM_RES_NR; r++)
			world->inv->total[r][s] = 12;
	world->rules.rule_nr = 5;
	world->rules.rule[0] = (struct km_rule){ .name = fits_cpu, .kind = KM_RULE_FITS };
	world->rules.rule[1] = (struct km_rule){ .name = fits_memory,
						 .kind = KM_RULE_FITS,
						 .resource = KM_RES_MEMORY };
	world->rules.rule[2] =
		(struct km_rule){ .name = best, .kind = KM_RULE_BEST_FIT, .bits = 3 };
	world->rules.rule[3] =
		(struct km_rule){ .name = full, .kind = KM_RULE_NONEMPTY, .bits = 1 };
	world->rules.rule[4] = (struct km_rule){
		.name = apart, .kind = KM_RULE_SPREAD, .within = tenant, .max = 2
	};
	cfg.inv = place.inv = world->inv;
	cfg.rules = place.rules = &world->rules;
	assert_int_equal(ops->open(&world->store, &cfg, &diag), 0);
	place.store = world->store;
	place.schema = &world->schema;
	assert_int_equal(km_place_create(&world->place, &place, &diag), 0);
	assert_int_equal(km_ledger_init(&world->ledger, THREADS * VMS_EACH, false), 0);
	atomic_init(&world->running, THREADS);
}

static void close_world(struct world *world)
{
	km_place_destroy(world->place);
	ops->close(world->store);
	km_ledger_fini(&world->ledger);
	km_inventory_destroy(world->inv);
}

static void check_end(struct world *world, struct side *end)
{
	const struct km_audit_cfg cfg = { .ops = ops,
					  .store = world->store,
					  .inv = world->inv,
					  .rules = &world->rules,
					  .vm_cap = THREADS * VMS_EACH,
					  .ledger = &world->ledger,
					  .whole_journal = true };
	static struct km_audit audit;
	static struct state now;

	while (follow(end))
		;
	assert_int_equal(end->bad, 0);
	read_state(world, &now);
	assert_memory_equal(&now, &followed, sizeof(now));
	assert_int_equal(km_audit_run(&cfg, &audit), 0);
	if (audit.failures)
		fail_msg("%s", audit.reason[0].reason);
}

static void what_clients_were_told_stands(void **state)
{
	static struct side side[THREADS + 1];
	pthread_t thread[THREADS + 1];
	struct world world;
	const uint64_t seed = km_test_seed(km_clock_ns());
	uint64_t conflicts = 0, placed = 0;
	uint32_t i;

	(void)state;
	open_world(&world, seed);
	world.end_ns = stress_deadline(1);
	for (i = 0; i <= THREADS; i++) {
		side[i] = (struct side){ .world = &world, .idx = i };
		km_rand_init(&side[i].rand, seed + i);
		assert_int_equal(pthread_create(&thread[i], NULL,
						i < WRITERS   ? writer
						: i < THREADS ? agent_main
							      : follower,
						&side[i]),
				 0);
	}
	/* Only waiting, this thread must not hold up the others' grace periods. */
	km_snap_offline();
	for (i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	km_snap_online();
	for (i = 0; i <= THREADS; i++) {
		conflicts += side[i].conflicts;
		placed += side[i].placed;
		if (side[i].bad)
			fail_msg("thread %u: %s", i, side[i].what);
	}
	printf("# %llu placed, %llu conflicts, %llu journal entries followed\n",
	       (unsigned long long)placed, (unsigned long long)conflicts,
	       (unsigned long long)side[THREADS].ops);
	assert_true(placed > 0);
	check_end(&world, &side[THREADS]);
	close_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_clients_were_told_stands),
	};
	int failed;

	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_drain();
	km_snap_thread_stop();
	return failed;
}
