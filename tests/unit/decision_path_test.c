/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/unit/decision_path_test.c - a decision allocates nothing, takes no lock
 * and makes no system call.
 *
 * The dispatcher's own loop body runs on a runtime without threads: the test
 * plays the agents between two turns. Around each turn three counters are on:
 * calls of allocators and of lock functions, by whatever code, as this program
 * defines them all; and system calls, which the kernel turns into a signal
 * (syscall user dispatch). They must stay 0; a twin shows that each of them counts.
 *
 * Left out: waking a parked agent, which is a system call by nature. The agents
 * here own their cores (km_park_init() with never_parks).
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/runtime_internal.h"
#include "lib/clock.h"
#include "lib/rand.h"
#include "tests/support/seed.h"
#include "tests/support/synth.h"

/* A sanitizer brings allocators, locks and calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTED 0
#endif
#endif
#ifndef COUNTED
#define COUNTED 1
#endif

#define DECISION_NR (COUNTED ? 100000u : 20000u) /* of each policy */
#define AGENT_NR 6
#define POOL_NR 96
#define PART_MAX 2
#define TYPE_CAP 256
#define OBJ_CAP 1200
#define KNOWN_NR 40 /* types that come again and again */

/* ---- the counters ---------------------------------------------------------------- */

/* Of this thread: liburcu has one of its own, which may lock at any time. */
static _Thread_local volatile sig_atomic_t counting;
static volatile uint64_t alloc_nr, lock_nr, syscall_nr;
static volatile int last_syscall; /* its number, for the report */

#if COUNTED
static void count(volatile uint64_t *nr)
{
	if (counting)
		(*nr)++;
}

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t nr, size_t bytes);
void *__libc_realloc(void *ptr, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *ptr);

void *malloc(size_t bytes)
{
	count(&alloc_nr);
	return __libc_malloc(bytes);
}

void *calloc(size_t nr, size_t bytes)
{
	count(&alloc_nr);
	return __libc_calloc(nr, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
	count(&alloc_nr);
	return __libc_realloc(ptr, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	count(&alloc_nr);
	return __libc_memalign(align, bytes);
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes)
{
	count(&alloc_nr);
	return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
	void *ptr = __libc_memalign(align, bytes);

	count(&alloc_nr);
	if (!ptr)
		return ENOMEM;
	*out = ptr;
	return 0;
}

void free(void *ptr)
{
	count(&alloc_nr);
	__libc_free(ptr);
}

void *mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	count(&alloc_nr);
	return (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd, offset); /* NOLINT */
}

/* Defines @name(@type *) as a counted call of the one in the C library. */
#define COUNTED_LOCK(name, type)                                         \
	int name(type *lock)                                             \
	{                                                                \
		static int (*real)(type *);                              \
                                                                         \
		if (!real)                                               \
			real = (int (*)(type *))dlsym(RTLD_NEXT, #name); \
		count(&lock_nr);                                         \
		return real(lock);                                       \
	}

COUNTED_LOCK(pthread_mutex_lock, pthread_mutex_t)
COUNTED_LOCK(pthread_mutex_trylock, pthread_mutex_t)
COUNTED_LOCK(pthread_mutex_unlock, pthread_mutex_t)
COUNTED_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_rwlock_tryrdlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_rwlock_trywrlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_rwlock_unlock, pthread_rwlock_t)
COUNTED_LOCK(pthread_cond_signal, pthread_cond_t)
COUNTED_LOCK(pthread_cond_broadcast, pthread_cond_t)
COUNTED_LOCK(sem_wait, sem_t)
COUNTED_LOCK(sem_trywait, sem_t)
COUNTED_LOCK(sem_post, sem_t)

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *);

	if (!real)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *))dlsym(RTLD_NEXT,
									   "pthread_cond_wait");
	count(&lock_nr);
	return real(cond, lock);
}
#endif

/* ---- system calls, counted by the kernel's help --------------------------------------- */

#if COUNTED && defined(PR_SET_SYSCALL_USER_DISPATCH) && defined(__x86_64__)
static volatile char may_call = SYSCALL_DISPATCH_FILTER_ALLOW;
static bool is_filtered; /* after syscalls_are_counted() */

/* Count it, let the rest of this turn through, and do what was asked for. */
static void on_syscall(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *reg = uc->uc_mcontext.gregs;
	long result;

	(void)sig;
	may_call = SYSCALL_DISPATCH_FILTER_ALLOW;
	syscall_nr++;
	last_syscall = info->si_syscall;
	result = syscall(info->si_syscall, reg[REG_RDI], reg[REG_RSI], reg[REG_RDX], reg[REG_R10],
			 reg[REG_R8], reg[REG_R9]);
	reg[REG_RAX] = result < 0 ? -errno : result;
}

static bool syscalls_are_counted(void)
{
	static const struct sigaction action = { .sa_sigaction = on_syscall,
						 .sa_flags = SA_SIGINFO };
	static int answer = -1;

	if (answer < 0)
		answer =
			!prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &may_call);
	/* Each time, as cmocka takes the signal for itself at the start of a test. */
	if (answer)
		assert_int_equal(sigaction(SIGSYS, &action, NULL), 0);
	is_filtered = answer;
	return answer;
}

static void filter_syscalls(bool on)
{
	may_call = on && syscalls_are_counted() ? SYSCALL_DISPATCH_FILTER_BLOCK
						: SYSCALL_DISPATCH_FILTER_ALLOW;
}
#else
static bool syscalls_are_counted(void)
{
	return false;
}

static void filter_syscalls(bool on)
{
	(void)on;
}
#endif

static void start_counting(void)
{
	counting = 1;
	filter_syscalls(true);
}

static void stop_counting(void)
{
	filter_syscalls(false);
	counting = 0;
}

static void reset_counters(void)
{
	alloc_nr = lock_nr = syscall_nr = 0;
}

/* ---- a runtime without threads ----------------------------------------------------------- */

/* What the test knows of an agent that it plays. */
struct player {
	struct km_req *serving;
	uint16_t begun;
	uint64_t version;
	struct km_digest digest[2]; /* in turn; the dispatcher holds none between its turns */
	struct km_key keys[2][TYPE_CAP + OBJ_CAP];
};

struct stage {
	struct km_rand rand;
	struct synth synth;
	struct km_plan plan;
	struct km_runtime *rt;
	struct player player[AGENT_NR];
	struct km_req *pool; /* [POOL_NR][PART_MAX] */
	struct km_req *vacant[POOL_NR];
	uint32_t vacant_nr;
	uint64_t submitted, served;
};

static uint64_t below(struct stage *s, uint64_t n)
{
	return km_rand_below(&s->rand, n);
}

/* As large a digest as there can be, once: later folds find their buffers grown. */
static void grow_fold_buffers(struct stage *s)
{
	struct km_view *view = s->rt->dispatcher.view;
	struct km_key *keys = calloc(OBJ_CAP, sizeof(*keys));
	struct km_digest digest = { .nr = { TYPE_CAP, OBJ_CAP }, .keys = { keys, keys } };
	uint32_t i;

	assert_non_null(keys);
	for (i = 0; i < AGENT_NR; i++)
		assert_int_equal(km_view_fold(view, i, &digest), 0); /* generation 0: nothing */
	free(keys);
}

static void open_agents(struct km_runtime *rt)
{
	struct km_agent *agent;
	uint32_t i;

	rt->agent = calloc(AGENT_NR, sizeof(*rt->agent));
	assert_non_null(rt->agent);
	for (i = 0; i < AGENT_NR; i++) {
		agent = aligned_alloc(KM_SHARE_BYTES, sizeof(*agent));
		assert_non_null(agent);
		memset(agent, 0, sizeof(*agent));
		agent->rt = rt;
		agent->idx = i;
		km_park_init(&agent->park, true);
		assert_int_equal(km_spsc_init(&agent->ring, rt->cfg.window), 0);
		rt->agent[i] = agent;
	}
}

static void open_estimates(struct km_runtime *rt)
{
	struct km_estimator *est;

	assert_int_equal(km_estimator_create(&est, TYPE_CAP, rt->cfg.workload->rule_nr,
					     rt->cfg.workload->rules),
			 0);
	km_snap_publish(&rt->estimates, km_estimator_table(est));
	km_estimator_destroy(est);
	rt->type_hash = calloc(TYPE_CAP, sizeof(*rt->type_hash));
	assert_non_null(rt->type_hash);
}

static void open_stage(struct stage *s, const struct km_policy *policy, uint64_t seed)
{
	const struct km_runtime_cfg cfg = { .workload = &s->synth.workload,
					    .plan = &s->plan,
					    .policy = policy,
					    .window = 32,
					    .ingress_nr = 128,
					    .type_cap = TYPE_CAP,
					    .rule_obj_cap = OBJ_CAP,
					    .count_serving = true,
					    .seed = seed };
	uint32_t i;

	memset(s, 0, sizeof(*s));
	km_rand_init(&s->rand, seed);
	synth_init(&s->synth, 4, 6, 64);
	s->plan.agent_nr = AGENT_NR;
	s->rt = aligned_alloc(KM_SHARE_BYTES, sizeof(*s->rt));
	assert_non_null(s->rt);
	memset(s->rt, 0, sizeof(*s->rt));
	s->rt->cfg = cfg;
	s->rt->agent_nr = AGENT_NR;
	open_agents(s->rt);
	open_estimates(s->rt);
	assert_int_equal(km_dispatcher_init(s->rt), 0);
	grow_fold_buffers(s);
	s->pool = aligned_alloc(KM_SHARE_BYTES, POOL_NR * PART_MAX * sizeof(*s->pool));
	assert_non_null(s->pool);
	memset(s->pool, 0, POOL_NR * PART_MAX * sizeof(*s->pool));
	for (i = 0; i < POOL_NR; i++)
		s->vacant[s->vacant_nr++] = &s->pool[i * PART_MAX];
}

static void close_stage(struct stage *s)
{
	struct km_estimates *est = km_snap_publish(&s->rt->estimates, NULL);
	uint32_t i;

	km_dispatcher_fini(s->rt);
	km_estimates_free(&est->head);
	for (i = 0; i < AGENT_NR; i++) {
		km_spsc_fini(&s->rt->agent[i]->ring);
		free(s->rt->agent[i]);
	}
	free(s->rt->agent);
	free(s->rt->type_hash);
	free(s->rt);
	free(s->pool);
}

/* ---- clients and agents, between two turns -------------------------------------------------- */

/* Three in four of a type that was there before; the others new, for ever. */
static void draw_traits(struct stage *s, struct km_req *req)
{
	uint64_t type = below(s, 4) ? below(s, KNOWN_NR) : 1000 + s->submitted;
	uint32_t t;

	for (t = 0; t < 4; t++, type /= 3)
		req->trait[t] = (uint32_t)(t < 3 ? type % 3 : type);
}

static void submit_some(struct stage *s)
{
	uint64_t nr = below(s, 20);
	struct km_req *req;

	for (; nr && s->vacant_nr && s->submitted < DECISION_NR; nr--) {
		req = s->vacant[--s->vacant_nr];
		req->id = s->submitted++;
		req->more = NULL;
		draw_traits(s, req);
		if (below(s, 8) == 0) {
			req->more = req + 1;
			req->more->more = NULL;
			draw_traits(s, req->more);
		}
		assert_true(km_mpsc_push(&s->rt->dispatcher.ingress, (uintptr_t)req));
	}
}

static void publish_digest(struct stage *s, uint32_t a)
{
	const struct km_types *types = s->rt->dispatcher.types;
	struct player *player = &s->player[a];
	uint64_t turn = ++player->version % 2;
	struct km_digest *digest = &player->digest[turn];
	bool listed[OBJ_CAP] = { false };
	const struct km_type *type;
	uint32_t id, r;

	digest->version = player->version;
	digest->keys[KM_CACHE_TOP] = player->keys[turn];
	digest->keys[KM_CACHE_RULE] = player->keys[turn] + TYPE_CAP;
	digest->nr[KM_CACHE_TOP] = digest->nr[KM_CACHE_RULE] = 0;
	for (id = (uint32_t)below(s, 8); id < TYPE_CAP; id += 1 + (uint32_t)below(s, 8)) {
		type = km_types_at(types, id);
		if (!type)
			continue;
		digest->keys[KM_CACHE_TOP][digest->nr[KM_CACHE_TOP]++] = type->key;
		for (r = 0; r < s->synth.workload.rule_nr; r++) {
			if (!listed[type->rule[r].id])
				digest->keys[KM_CACHE_RULE][digest->nr[KM_CACHE_RULE]++] =
					type->rule[r];
			listed[type->rule[r].id] = true;
		}
	}
	km_snap_publish(&s->rt->agent[a]->digest, digest);
	/* relaxed: one thread */
	atomic_store_explicit(&s->rt->agent[a]->summary.digest_version, player->version,
			      memory_order_relaxed);
}

static void play_agent(struct stage *s, uint32_t a)
{
	struct km_agent *agent = s->rt->agent[a];
	struct player *player = &s->player[a];
	uint64_t nr = below(s, 4);

	for (; nr; nr--) {
		if (player->serving) {
			s->vacant[s->vacant_nr++] = player->serving;
			player->serving = NULL;
			s->served++;
		} else {
			player->serving = (struct km_req *)(uintptr_t)km_spsc_pop(&agent->ring);
			if (!player->serving)
				break;
			player->begun++;
		}
		if (below(s, 32) == 0)
			publish_digest(s, a);
		km_summary_write(&agent->summary,
				 km_summary_pack(player->begun, player->serving,
						 km_clock_ns() + below(s, 100000)));
		km_changed_set(s->rt->changed, a);
	}
}

static void take_turns(struct stage *s)
{
	uint64_t turns = 0;
	uint32_t a;

	while (s->served < DECISION_NR) {
		assert_true(turns++ < 100 * DECISION_NR);
		submit_some(s);
		start_counting();
		km_dispatch_some(s->rt);
		stop_counting();
		for (a = 0; a < AGENT_NR; a++)
			play_agent(s, a);
	}
	km_dispatch_some(s->rt);
}

/* ---- the tests --------------------------------------------------------------------------------- */

static struct stage stage;

static void count_policy(const struct km_policy *policy, uint64_t seed)
{
	const struct km_types_stats *types;
	struct km_dispatcher *d;

	open_stage(&stage, policy, seed);
	reset_counters();
	take_turns(&stage);
	d = &stage.rt->dispatcher;
	types = km_types_stats(d->types);
	/* It was the path that was meant: every kind of type, all decided and ended. */
	assert_int_equal(d->accepted, DECISION_NR);
	assert_int_equal(d->completed, DECISION_NR);
	assert_int_equal(km_records_nr(d->records), DECISION_NR);
	assert_true(types->recycled > DECISION_NR / 50);
	assert_true(types->rule_recycled > DECISION_NR / 50);
	if (alloc_nr || lock_nr || syscall_nr)
		fail_msg("%s: %llu allocations, %llu locks, %llu system calls (the last was %d)",
			 policy->name, (unsigned long long)alloc_nr, (unsigned long long)lock_nr,
			 (unsigned long long)syscall_nr, last_syscall);
	close_stage(&stage);
}

static void a_decision_allocates_locks_and_calls_nothing(void **state)
{
	const uint64_t seed = km_test_seed(1);
	uint32_t p;

	(void)state;
	printf("# allocations and locks %s, system calls %s\n",
	       COUNTED ? "counted" : "not counted under a sanitizer",
	       syscalls_are_counted() ? "counted" : "not counted");
	for (p = 0; km_policies[p]; p++)
		count_policy(km_policies[p], seed + p);
	for (p = 0; km_policies_more[p]; p++)
		count_policy(km_policies_more[p], seed + 100 + p);
}

/* volatile: the compiler would take an unused allocation away */
static void *volatile kept;

static void the_counters_count(void **state)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	(void)state;
	if (!COUNTED)
		skip();
	syscalls_are_counted();
	reset_counters();
	start_counting();
	kept = malloc(10);
	free(kept);
	stop_counting();
	assert_int_equal(alloc_nr, 2);
	start_counting();
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	stop_counting();
	assert_int_equal(lock_nr, 2);
	assert_int_equal(alloc_nr, 2);
	if (!syscalls_are_counted()) {
		print_message("# system calls are not counted here\n");
		return;
	}
	assert_int_equal(syscall_nr, 0);
	start_counting();
	assert_int_equal(getppid(), getppid());
	stop_counting();
	assert_int_equal(syscall_nr, 1); /* the first of a turn, which is enough */
	kept = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(munmap(kept, 4096), 0);
}

static void a_digest_that_outgrows_its_buffer_is_seen(void **state)
{
	struct km_key keys[8] = { { 0 } };
	struct km_digest digest = { .nr = { 8, 8 }, .keys = { keys, keys } };
	const struct km_view_cfg cfg = {
		.agent_nr = 1, .rule_nr = 1, .type_cap = 8, .rule_obj_cap = 8
	};
	struct km_view *view;

	(void)state;
	if (!COUNTED)
		skip();
	assert_int_equal(km_view_create(&view, &cfg), 0);
	syscalls_are_counted();
	reset_counters();
	start_counting();
	assert_int_equal(km_view_fold(view, 0, &digest), 0);
	stop_counting();
	assert_int_equal(alloc_nr, 2); /* grows once a level */
	start_counting();
	assert_int_equal(km_view_fold(view, 0, &digest), 0);
	stop_counting();
	assert_int_equal(alloc_nr, 2);
	km_view_destroy(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_counters_count),
		cmocka_unit_test(a_digest_that_outgrows_its_buffer_is_seen),
		cmocka_unit_test(a_decision_allocates_locks_and_calls_nothing),
	};
	int failed;

	km_clock_ns(); /* calibrates, as the start of a runtime does */
	km_snap_thread_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	km_snap_thread_stop();
	return failed;
}
