/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "perf/rules_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host.h"
#include "perf/rules_internal.h"

#define SERVER_NR_MIN 1024u
#define SERVER_NR_MAX KM_ZONE_SERVERS_MAX
/* Servers that change between two updates; those beyond an eighth of all are left out. */
static const uint32_t change_nrs[] = { 64, 1024, 4096, 16384, 65536 };
#define CHANGE_NR KM_ARRAY_NR(change_nrs)
#define CHECK_NR 1024
#define CHANGE_SHARE 8
/*
 * Passes before a rule is timed. After one alone part of a large fleet's columns still
 * come from memory, for the rule more of them than for the sums that follow it.
 */
#define WARM_NR 3
/* A kernel call is short: repeat it over so many servers' worth for one sample. */
#define SAMPLE_SERVERS 500000u

/* ---- a plain sum -------------------------------------------------------------- */

#define SUM(name, bytes, isa)                                                                   \
	typedef uint64_t name##_vec __attribute__((vector_size(bytes), aligned(8), may_alias)); \
	isa static uint64_t name(const void *col, uint64_t nr)                                  \
	{                                                                                       \
		const name##_vec *v = col;                                                      \
		name##_vec a = { 0 }, b = a, c = a, d = a;                                      \
		uint64_t i, sum = 0;                                                            \
                                                                                                \
		for (i = 0; i + 4 <= nr / (bytes); i += 4) {                                    \
			a += v[i];                                                              \
			b += v[i + 1];                                                          \
			c += v[i + 2];                                                          \
			d += v[i + 3];                                                          \
		}                                                                               \
		for (; i < nr / (bytes); i++)                                                   \
			a += v[i];                                                              \
		a += b + c + d;                                                                 \
		for (i = 0; i < (bytes) / sizeof(sum); i++)                                     \
			sum += a[i];                                                            \
		for (i = nr / (bytes) * (bytes); i < nr; i++)                                   \
			sum += ((const uint8_t *)col)[i];                                       \
		return sum;                                                                     \
	}

#if defined(__x86_64__)
SUM(sum_avx512, 64, __attribute__((target("avx512f"))))
SUM(sum_avx2, 32, __attribute__((target("avx2"))))
#endif
SUM(sum_portable, 16, )

static uint64_t (*sum_of)(const void *col, uint64_t nr) = sum_portable;

/* The same instruction set as the rules'. */
static void choose_sum(const struct km_kernels *kernels)
{
#if defined(__x86_64__)
	if (!strcmp(kernels->name, "avx512"))
		sum_of = sum_avx512;
	if (!strcmp(kernels->name, "avx2"))
		sum_of = sum_avx2;
#endif
	(void)kernels;
}

/* ---- one cell --------------------------------------------------------------------- */

enum { EVAL, SUMMED, FILLED, RULE_TIMES_NR };
enum { CONS, CONS_SUM, CONS_TIMES_NR };
enum { SYNC, UPDATE, ANEW, UPDATE_TIMES_NR };

struct cell {
	struct rules_world world;
	const struct km_kernels *kernels;
	struct rules_io io[KM_RULES_MAX];
	void *out[KM_RULES_MAX]; /* what the rules write; the world's slots are the agent's */
	uint64_t sum[KM_RULES_MAX], column_sum[KM_RULES_MAX]; /* of the first round */
	void *anew[KM_RULES_MAX], *anew_top;
	uint32_t change_idx, server_at, server_step, repeat;
	struct km_bench_times *rule; /* [rule_nr][RULE_TIMES_NR] */
	struct km_bench_times *all; /* [RULE_TIMES_NR] */
	struct km_bench_times *cons; /* [CONS_TIMES_NR] */
	struct km_bench_times *update; /* [CHANGE_NR][UPDATE_TIMES_NR] */
	uint64_t rev;
	bool can_update[CHANGE_NR]; /* whether an agent would, rather than evaluate anew */
};

static bool applies(const struct cell *cell, uint32_t r)
{
	return cell->io[r].col_nr;
}

static void evaluate(const struct cell *cell, uint32_t r)
{
	km_rule_stream(cell->kernels, cell->world.bound, r, cell->world.type.trait,
		       &cell->world.cols, cell->world.scratch, 0, cell->world.column_nr,
		       cell->out[r]);
}

static uint64_t sum_columns(const struct rules_io *io)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < io->col_nr; i++)
		sum += sum_of(io->col[i], io->col_bytes[i]);
	return sum;
}

/* ---- rules one by one --------------------------------------------------------------- */

/* Against the rule for one server, and against the round before. */
static bool is_right(struct cell *cell, uint32_t r, uint64_t column_sum, bool first)
{
	struct rules_world *world = &cell->world;
	const bool validator = world->bound->rule[r].validator;
	const uint64_t sum = sum_of(cell->out[r], cell->io[r].write_bytes);
	uint32_t i, s, got;

	if (!first)
		return sum == cell->sum[r] && column_sum == cell->column_sum[r];
	cell->sum[r] = sum;
	cell->column_sum[r] = column_sum;
	for (i = 0; i < CHECK_NR; i++) {
		s = (uint32_t)km_rand_below(&world->rand, world->server_nr);
		got = validator ? ((const uint64_t *)cell->out[r])[s / 64] >> (s % 64) & 1
				: ((const uint8_t *)cell->out[r])[s];
		if (got != km_rule_at(world->bound, r, world->type.trait, &world->cols, s))
			return false;
	}
	return true;
}

static bool time_rule(const struct km_bench_env *env, struct cell *cell, uint32_t r, bool first)
{
	struct km_bench_times *times = cell->rule + (size_t)r * RULE_TIMES_NR;
	uint64_t start_ns, sum = 0;
	uint32_t i;

	for (i = 0; i < WARM_NR; i++)
		evaluate(cell, r); /* as near as its columns get: neither goes first from afar */
	start_ns = km_clock_ns();
	for (i = 0; i < cell->repeat; i++) {
		evaluate(cell, r);
		__asm__ volatile("" ::: "memory"); /* each time anew */
	}
	km_bench_sample(env, &times[EVAL], start_ns, cell->repeat);
	if (!is_right(cell, r, first ? sum_columns(&cell->io[r]) : cell->column_sum[r], first))
		return false;
	start_ns = km_clock_ns();
	for (i = 0; i < cell->repeat; i++) {
		sum += sum_columns(&cell->io[r]);
		__asm__ volatile("" ::: "memory");
	}
	km_bench_sample(env, &times[SUMMED], start_ns, cell->repeat);
	start_ns = km_clock_ns();
	for (i = 0; i < cell->repeat; i++) {
		sum += sum_columns(&cell->io[r]);
		memset(cell->out[r], (int)i, cell->io[r].write_bytes);
		__asm__ volatile("" ::: "memory");
	}
	km_bench_sample(env, &times[FILLED], start_ns, cell->repeat);
	return sum == 2 * cell->repeat * cell->column_sum[r];
}

static void evaluate_all(const struct cell *cell)
{
	uint32_t r;

	for (r = 0; r < cell->world.bound->rule_nr; r++)
		if (applies(cell, r))
			evaluate(cell, r);
}

/* All that apply, and the sums over what each reads, in turn. */
static void time_all(const struct km_bench_env *env, struct cell *cell)
{
	const uint32_t nr = cell->world.bound->rule_nr;
	uint64_t start_ns, sum = 0;
	uint32_t r, i;

	for (i = 0; i < WARM_NR; i++)
		evaluate_all(cell);
	start_ns = km_clock_ns();
	evaluate_all(cell);
	km_bench_sample(env, &cell->all[EVAL], start_ns, 1);
	start_ns = km_clock_ns();
	for (r = 0; r < nr; r++)
		sum += sum_columns(&cell->io[r]);
	__asm__ volatile("" : : "r"(sum) : "memory");
	km_bench_sample(env, &cell->all[SUMMED], start_ns, 1);
	start_ns = km_clock_ns();
	for (r = 0; r < nr; r++) {
		sum += sum_columns(&cell->io[r]);
		if (applies(cell, r))
			memset(cell->out[r], 0, cell->io[r].write_bytes);
	}
	__asm__ volatile("" : : "r"(sum) : "memory");
	km_bench_sample(env, &cell->all[FILLED], start_ns, 1);
}

/* ---- consolidating ---------------------------------------------------------------------- */

static void time_cons(const struct km_bench_env *env, struct cell *cell)
{
	struct rules_world *world = &cell->world;
	uint64_t start_ns = km_clock_ns(), sum = 0;
	uint32_t r;

	world->w->ops->top_build(world->wa, &world->type, world->slot, world->top);
	km_bench_sample(env, &cell->cons[CONS], start_ns, 1);
	start_ns = km_clock_ns();
	for (r = 0; r < world->w->rule_nr; r++)
		sum += sum_of(world->slot[r], cell->io[r].write_bytes);
	memset(cell->anew_top, 0, km_cons_bytes(world->server_nr));
	__asm__ volatile("" : : "r"(sum) : "memory");
	km_bench_sample(env, &cell->cons[CONS_SUM], start_ns, 1);
}

/* ---- bringing up to date ---------------------------------------------------------------- */

/* Distinct servers, far from each other. */
static bool change(struct cell *cell, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		cell->server_at = (uint32_t)(((uint64_t)cell->server_at + cell->server_step) %
					     cell->world.server_nr);
		if (!rules_world_toggle(&cell->world, cell->server_at))
			return false;
	}
	return true;
}

static bool is_up_to_date(const struct cell *cell)
{
	const struct rules_world *world = &cell->world;
	uint32_t r;

	for (r = 0; r < world->w->rule_nr; r++)
		if (memcmp(world->slot[r], cell->anew[r], cell->io[r].write_bytes))
			return false;
	return !memcmp(world->top, cell->anew_top, km_cons_bytes(world->server_nr));
}

static bool time_update(const struct km_bench_env *env, struct cell *cell, uint32_t idx)
{
	struct km_bench_times *times = cell->update + (size_t)idx * UPDATE_TIMES_NR;
	struct rules_world *world = &cell->world;
	const struct km_workload_ops *ops = world->w->ops;
	const uint64_t rev = cell->rev;
	const uint32_t nr = change_nrs[idx];
	uint64_t start_ns;
	uint32_t r;

	if (!change(cell, nr))
		return false;
	start_ns = km_clock_ns();
	cell->rev = rules_world_sync(world);
	km_bench_sample(env, &times[SYNC], start_ns, nr);
	cell->can_update[idx] = ops->can_update(world->wa, rev);
	start_ns = km_clock_ns();
	for (r = 0; r < world->w->rule_nr; r++)
		ops->rule_update(world->wa, r, &world->type, world->slot[r], rev);
	ops->top_update(world->wa, &world->type, world->slot, world->top, rev);
	km_bench_sample(env, &times[UPDATE], start_ns, nr);
	start_ns = km_clock_ns();
	rules_world_evaluate(world, cell->anew, cell->anew_top);
	km_bench_sample(env, &times[ANEW], start_ns, nr);
	return is_up_to_date(cell);
}

static bool is_small(const struct cell *cell, uint32_t idx)
{
	return change_nrs[idx] <= cell->world.server_nr / CHANGE_SHARE;
}

/* ---- rounds ------------------------------------------------------------------------------- */

static int round_of(const struct km_bench_env *env, struct cell *cell,
		    const struct km_bench_pace *pace, struct km_diag *diag)
{
	const uint32_t nr = cell->world.bound->rule_nr;
	uint32_t i;

	for (i = 0; i < nr; i++)
		if (applies(cell, i) && !time_rule(env, cell, i, pace->round_nr == 1))
			return km_diag_set(diag, -EIO, NULL, 0, 0, "rule '%s' is evaluated wrongly",
					   cell->world.bound->rule[i].rule->name);
	time_all(env, cell);
	time_cons(env, cell);
	for (i = 0; i < CHANGE_NR; i++)
		if (is_small(cell, i) && !time_update(env, cell, i))
			return km_diag_set(diag, -EIO, NULL, 0, 0,
					   "an object brought up to date is not what it would be"
					   " anew");
	km_bench_times_end_round(cell->rule, nr * RULE_TIMES_NR, pace);
	km_bench_times_end_round(cell->all, RULE_TIMES_NR, pace);
	km_bench_times_end_round(cell->cons, CONS_TIMES_NR, pace);
	km_bench_times_end_round(cell->update, CHANGE_NR * UPDATE_TIMES_NR, pace);
	return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double gb_per_s(uint64_t bytes, const struct km_bench_times *times)
{
	const double ns = km_bench_p50_ns(times);

	return ns > 0 ? (double)bytes / ns : 0;
}

static int tell_rule(const struct km_bench_env *env, const struct cell *cell, const char *what,
		     const char *kind, const struct rules_io *io,
		     const struct km_bench_times *times)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "rule", what);
	km_bench_count(&row, "servers", "servers", cell->world.server_nr);
	km_bench_text(&row, "kind", NULL, kind);
	km_bench_text(&row, "instruction_set", NULL, cell->kernels->name);
	km_bench_count(&row, "read_bytes", "read", io->read_bytes);
	km_bench_count(&row, "write_bytes", "written", io->write_bytes);
	if (io->read_bytes) {
		km_bench_times(&row, "eval_ns", "p50", &times[EVAL]);
		km_bench_p50(&row, "sum_ns", "sum", &times[SUMMED]);
		km_bench_p50(&row, "sum_and_fill_ns", "and fill", &times[FILLED]);
		km_bench_real(&row, "read_gb_per_s", "GB/s", gb_per_s(io->read_bytes, times));
		km_bench_real(&row, "share_of_sum", "of sum",
			      km_bench_ratio(&times[SUMMED], &times[EVAL]));
		km_bench_real(&row, "share_of_sum_and_fill", "and fill",
			      km_bench_ratio(&times[FILLED], &times[EVAL]));
	}
	return env->tell(env->ctx, &row);
}

static int tell_rules(const struct km_bench_env *env, const struct cell *cell)
{
	const struct km_bound *bound = cell->world.bound;
	struct rules_io all = { .col_nr = 0 };
	uint32_t r;
	int err = 0;

	for (r = 0; r < bound->rule_nr && !err; r++) {
		if (!applies(cell, r))
			continue;
		all.read_bytes += cell->io[r].read_bytes;
		all.write_bytes += cell->io[r].write_bytes;
		err = tell_rule(env, cell, bound->rule[r].rule->name,
				km_rule_kind_name(bound->rule[r].kind), &cell->io[r],
				cell->rule + (size_t)r * RULE_TIMES_NR);
	}
	return err ? err : tell_rule(env, cell, "all", "all", &all, cell->all);
}

static int tell_cons(const struct km_bench_env *env, const struct cell *cell)
{
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "result", "consolidate");
	km_bench_count(&row, "servers", "servers", cell->world.server_nr);
	km_bench_times(&row, "build_ns", "p50", &cell->cons[CONS]);
	km_bench_p50(&row, "sum_and_fill_ns", "sum,fill", &cell->cons[CONS_SUM]);
	km_bench_real(&row, "share_of_sum_and_fill", "share",
		      km_bench_ratio(&cell->cons[CONS_SUM], &cell->cons[CONS]));
	return env->tell(env->ctx, &row);
}

static int tell_update(const struct km_bench_env *env, const struct cell *cell, uint32_t idx)
{
	const struct km_bench_times *times = cell->update + (size_t)idx * UPDATE_TIMES_NR;
	struct km_bench_row row = { .nr = 0 };

	km_bench_text(&row, "what", "a changed server", "update");
	km_bench_count(&row, "servers", "servers", cell->world.server_nr);
	km_bench_count(&row, "changed", "changed", change_nrs[idx]);
	km_bench_times(&row, "update_ns", "p50", &times[UPDATE]);
	km_bench_p50(&row, "sync_ns", "sync", &times[SYNC]);
	km_bench_p50(&row, "anew_ns", "anew", &times[ANEW]);
	km_bench_real(&row, "ratio", "ratio", km_bench_ratio(&times[UPDATE], &times[ANEW]));
	km_bench_text(&row, "an_agent_would", "an agent would",
		      cell->can_update[idx] ? "update" : "evaluate anew");
	return env->tell(env->ctx, &row);
}

static int tell(const struct km_bench_env *env, const struct cell *cell)
{
	uint32_t i;
	int err = tell_rules(env, cell);

	if (!err)
		err = tell_cons(env, cell);
	for (i = 0; i < CHANGE_NR && !err; i++)
		if (is_small(cell, i))
			err = tell_update(env, cell, i);
	return err;
}

/* ---- setting up --------------------------------------------------------------------------------- */

static int open_objects(struct cell *cell)
{
	struct rules_world *world = &cell->world;
	const uint64_t n = world->column_nr;
	uint32_t r;

	for (r = 0; r < world->bound->rule_nr; r++) {
		rules_world_io(world, r, &cell->io[r]);
		cell->out[r] = aligned_alloc(64, n);
		cell->anew[r] = aligned_alloc(64, n);
		if (!cell->out[r] || !cell->anew[r])
			return -ENOMEM;
		memset(cell->out[r], 0, n);
		memset(cell->anew[r], 0, n);
	}
	cell->anew_top = aligned_alloc(64, (km_cons_bytes(world->server_nr) + 63) & ~63ull);
	return cell->anew_top ? 0 : -ENOMEM;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	return b ? gcd(b, a % b) : a;
}

static int open_cell(struct cell *cell, const struct km_bench_env *env, uint32_t server_nr,
		     struct km_diag *diag)
{
	int err = rules_world_open(&cell->world, server_nr, env->seed, diag);

	if (err)
		return err;
	cell->kernels = km_kernels_best();
	choose_sum(cell->kernels);
	cell->repeat = SAMPLE_SERVERS / server_nr + 1;
	cell->server_step = (uint32_t)(server_nr * 0.618) | 1;
	while (gcd(cell->server_step, server_nr) != 1)
		cell->server_step += 2;
	cell->rule =
		km_bench_times_create(cell->world.bound->rule_nr * RULE_TIMES_NR, cell->repeat);
	cell->all = km_bench_times_create(RULE_TIMES_NR, 1);
	cell->cons = km_bench_times_create(CONS_TIMES_NR, 1);
	cell->update = km_bench_times_create(CHANGE_NR * UPDATE_TIMES_NR, 1);
	if (!cell->rule || !cell->all || !cell->cons || !cell->update)
		return -ENOMEM;
	err = open_objects(cell);
	if (err)
		return err;
	cell->rev = rules_world_sync(&cell->world);
	rules_world_evaluate(&cell->world, cell->world.slot, cell->world.top);
	return 0;
}

static void close_cell(struct cell *cell)
{
	uint32_t r;

	for (r = 0; r < KM_RULES_MAX; r++) {
		free(cell->out[r]);
		free(cell->anew[r]);
	}
	free(cell->anew_top);
	free(cell->rule);
	free(cell->all);
	free(cell->cons);
	free(cell->update);
	rules_world_close(&cell->world);
	free(cell);
}

static int run_cell(const struct km_bench_env *env, uint32_t server_nr, double share,
		    struct km_diag *diag)
{
	struct cell *cell = calloc(1, sizeof(*cell));
	struct km_bench_pace pace;
	int err = cell ? open_cell(cell, env, server_nr, diag) : -ENOMEM;

	if (!cell)
		return err;
	km_bench_pace_start(&pace, env, share);
	while (!err && km_bench_pace_more(&pace))
		err = round_of(env, cell, &pace, diag);
	if (!err)
		err = tell(env, cell);
	close_cell(cell);
	return err;
}

int km_bench_rules(struct km_bench_env *env, const void *ctx, struct km_diag *diag)
{
	const struct km_bench_rules_cfg *cfg = ctx;
	const uint64_t have = km_host_memory("");
	uint64_t need;
	uint32_t i;
	int err = 0;

	for (i = 0; i < cfg->cell_nr; i++) {
		need = rules_world_bytes(cfg->servers[i]);
		if (cfg->servers[i] < SERVER_NR_MIN || cfg->servers[i] > SERVER_NR_MAX)
			return km_diag_set(diag, -EINVAL, NULL, 0, 0, "--servers: from %u to %d",
					   SERVER_NR_MIN, SERVER_NR_MAX);
		if (need > have)
			return km_diag_set(diag, -ENOMEM, NULL, 0, 0,
					   "%" PRIu32 " servers need about %" PRIu64
					   " MiB, and %" PRIu64 " MiB are available",
					   cfg->servers[i], need >> 20, have >> 20);
	}
	for (i = 0; i < cfg->cell_nr && !err; i++)
		err = run_cell(env, cfg->servers[i], 1. / cfg->cell_nr, diag);
	return err;
}
