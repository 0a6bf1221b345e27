/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/costs_file.c - recorded cost profiles: gather, save, load.
 *
 * The file is text, one line each, times in nanoseconds; DIST is
 * "NR MEAN Q0 Q5 Q25 Q50 Q75 Q95 Q99 Q99.9 Q100", "0" and ten more zeros for none:
 *
 *	kamino-costs 1
 *	top-bytes BYTES
 *	rule NAME BYTES hit DIST miss DIST
 *	build DIST
 *	hit DIST			every top-level hit
 *	handover QUEUE WHAT DIST	QUEUE: own, asks; WHAT: idle, after-hit, after-miss
 *					(enum km_handover)
 *	type HASH DIST			top-level hits of one type; HASH is hexadecimal
 *	end
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/replace.h"
#include "sim/costs.h"
#include "sim/costs_internal.h"

#define FILE_MAGIC "kamino-costs 1"
#define LINE_BYTES 1024
#define TYPES_MAX (1u << 20) /* of a file or a recording; more is refused or not kept */

/*
 * A small histogram: 16 buckets an octave, 40 octaves, so a quantile is at most
 * 1/16 off. Means are exact. lib/hist.h is as good and 12 times as large.
 */
#define TALLY_BITS 4
#define TALLY_NR (40 << TALLY_BITS)

struct tally {
	uint64_t nr, sum, min, max;
	bool measured; /* holds no sample of a warm-up */
	uint32_t bucket[TALLY_NR];
};

struct type_tally {
	uint64_t hash;
	struct tally *hit; /* NULL until the first */
};

struct km_cost_recorder {
	uint32_t type_cap, rule_nr;
	char *rule_name[KM_RULES_MAX]; /* our copies: a recording outlives its workload */
	uint64_t rule_bytes[KM_RULES_MAX], top_bytes;
	struct tally rule_hit[KM_RULES_MAX], rule_miss[KM_RULES_MAX], build, all_hits;
	struct tally handover[2][KM_HANDOVER_NR]; /* [asks] */
	uint32_t *type_of; /* [type_cap] index into type, or UINT32_MAX */
	struct type_tally *type;
	uint32_t type_nr, type_room;
	uint32_t *slot; /* open addressing over type by hash: index + 1, 0 = empty */
	uint32_t slot_mask;
	bool measured; /* the warm-up is over */
};

static const char *const queue_name[2] = { "own", "asks" };
static const char *const handover_name[KM_HANDOVER_NR] = { "idle", "after-hit", "after-miss" };

/* ---- tallies --------------------------------------------------------------- */

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t shift, octave;

	if (ns < 1 << TALLY_BITS)
		return (uint32_t)ns;
	shift = 63 - (uint32_t)__builtin_clzll(ns) - TALLY_BITS;
	octave = shift + 1;
	if (octave >= 40)
		return TALLY_NR - 1;
	return (octave << TALLY_BITS) + (uint32_t)((ns >> shift) & ((1 << TALLY_BITS) - 1));
}

static uint64_t bucket_mid(uint32_t idx)
{
	uint32_t octave = idx >> TALLY_BITS;
	uint64_t low;

	if (!octave)
		return idx;
	low = (uint64_t)((1 << TALLY_BITS) + (idx & ((1 << TALLY_BITS) - 1))) << (octave - 1);
	return low + (UINT64_C(1) << (octave - 1)) / 2;
}

/* The first sample after a warm-up drops those of the warm-up, and none of a later one counts. */
static void tally_add(struct tally *tally, uint64_t ns, bool measured)
{
	if (tally->measured && !measured)
		return;
	if (tally->measured != measured)
		*tally = (struct tally){ .measured = true };
	if (!tally->nr || ns < tally->min)
		tally->min = ns;
	if (ns > tally->max)
		tally->max = ns;
	tally->nr++;
	tally->sum += ns;
	tally->bucket[bucket_of(ns)]++;
}

static uint64_t tally_quantile(const struct tally *tally, double q)
{
	uint64_t rank = (uint64_t)(q * (double)tally->nr), seen = 0;
	uint32_t i;

	if (q <= 0)
		return tally->min;
	if (q >= 1)
		return tally->max;
	for (i = 0; i < TALLY_NR; i++) {
		seen += tally->bucket[i];
		if (seen > rank)
			break;
	}
	return km_max_u64(tally->min, km_min_u64(tally->max, bucket_mid(i)));
}

static void tally_print(const struct tally *tally, FILE *to)
{
	uint32_t i;

	fprintf(to, " %" PRIu64 " %" PRIu64, tally->nr, tally->nr ? tally->sum / tally->nr : 0);
	for (i = 0; i < KM_COST_POINT_NR; i++)
		fprintf(to, " %" PRIu64, tally_quantile(tally, km_cost_point_at[i]));
}

/* ---- recording ------------------------------------------------------------- */

int km_cost_recorder_create(struct km_cost_recorder **out, uint32_t type_cap, uint32_t rule_nr,
			    const struct km_rule_desc *rules)
{
	struct km_cost_recorder *rec = calloc(1, sizeof(*rec));
	bool named = true;
	uint32_t r;

	if (!rec)
		return -ENOMEM;
	rec->type_cap = type_cap;
	rec->rule_nr = rule_nr;
	for (r = 0; r < rule_nr; r++) {
		rec->rule_name[r] = strdup(rules[r].name);
		named = named && rec->rule_name[r];
	}
	rec->slot_mask = 1023;
	rec->slot = calloc(rec->slot_mask + 1, sizeof(*rec->slot));
	rec->type_of = malloc((size_t)type_cap * sizeof(*rec->type_of));
	if (!rec->slot || !rec->type_of || !named) {
		km_cost_recorder_destroy(rec);
		return -ENOMEM;
	}
	memset(rec->type_of, 0xff, (size_t)type_cap * sizeof(*rec->type_of));
	*out = rec;
	return 0;
}

void km_cost_recorder_destroy(struct km_cost_recorder *rec)
{
	uint32_t i;

	if (!rec)
		return;
	for (i = 0; i < rec->type_nr; i++)
		free(rec->type[i].hit);
	for (i = 0; i < rec->rule_nr; i++)
		free(rec->rule_name[i]);
	free(rec->type);
	free(rec->type_of);
	free(rec->slot);
	free(rec);
}

static uint32_t *slot_of(struct km_cost_recorder *rec, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & rec->slot_mask;

	while (rec->slot[at] && rec->type[rec->slot[at] - 1].hash != hash)
		at = (at + 1) & rec->slot_mask;
	return &rec->slot[at];
}

/* Room for one more type; false when out of memory, then it is not recorded. */
static bool grow(struct km_cost_recorder *rec)
{
	struct type_tally *type;
	uint32_t *slot, i;

	if (rec->type_nr == TYPES_MAX)
		return false;
	if (rec->type_nr == rec->type_room) {
		type = realloc(rec->type, (rec->type_room * 2 + 256) * sizeof(*type));
		if (!type)
			return false;
		rec->type = type;
		rec->type_room = rec->type_room * 2 + 256;
	}
	if (rec->type_nr * 2 < rec->slot_mask)
		return true;
	slot = calloc((size_t)(rec->slot_mask + 1) * 2, sizeof(*slot));
	if (!slot)
		return false;
	free(rec->slot);
	rec->slot = slot;
	rec->slot_mask = rec->slot_mask * 2 + 1;
	for (i = 0; i < rec->type_nr; i++)
		*slot_of(rec, rec->type[i].hash) = i + 1;
	return true;
}

void km_cost_recorder_name(struct km_cost_recorder *rec, uint32_t id, uint64_t hash)
{
	uint32_t *slot;

	if (id >= rec->type_cap ||
	    (rec->type_of[id] != UINT32_MAX && rec->type[rec->type_of[id]].hash == hash))
		return;
	rec->type_of[id] = UINT32_MAX;
	if (!grow(rec))
		return;
	slot = slot_of(rec, hash);
	if (!*slot) {
		rec->type[rec->type_nr] = (struct type_tally){ .hash = hash };
		*slot = ++rec->type_nr;
	}
	rec->type_of[id] = *slot - 1;
}

static void add_type_hit(struct km_cost_recorder *rec, uint32_t id, uint64_t ns)
{
	struct type_tally *type;

	tally_add(&rec->all_hits, ns, rec->measured);
	if (id >= rec->type_cap || rec->type_of[id] == UINT32_MAX)
		return;
	type = &rec->type[rec->type_of[id]];
	if (!type->hit)
		type->hit = calloc(1, sizeof(*type->hit));
	if (type->hit)
		tally_add(type->hit, ns, rec->measured);
}

void km_cost_recorder_add(struct km_cost_recorder *rec, uint64_t sample)
{
	uint32_t id = km_sample_id(sample);
	uint64_t ns = km_sample_ns(sample);

	switch (km_sample_kind(sample)) {
	case KM_SAMPLE_TYPE_HIT:
		add_type_hit(rec, id, ns);
		break;
	case KM_SAMPLE_RULE_HIT:
		if (id < rec->rule_nr)
			tally_add(&rec->rule_hit[id], ns, rec->measured);
		break;
	case KM_SAMPLE_RULE_MISS:
		if (id < rec->rule_nr)
			tally_add(&rec->rule_miss[id], ns, rec->measured);
		break;
	case KM_SAMPLE_BUILD:
		tally_add(&rec->build, ns, rec->measured);
		break;
	}
}

void km_cost_recorder_handover(struct km_cost_recorder *rec, enum km_handover what, bool asks,
			       uint64_t ns)
{
	tally_add(&rec->handover[asks][what], ns, true);
}

void km_cost_recorder_measured(struct km_cost_recorder *rec, bool measured)
{
	rec->measured = measured;
}

void km_cost_recorder_bytes(struct km_cost_recorder *rec, uint32_t rule_idx, uint64_t bytes)
{
	if (rule_idx < rec->rule_nr)
		rec->rule_bytes[rule_idx] = bytes;
}

void km_cost_recorder_top_bytes(struct km_cost_recorder *rec, uint64_t bytes)
{
	rec->top_bytes = bytes;
}

static void save_lines(const void *ctx, FILE *to)
{
	static const struct tally none;
	const struct km_cost_recorder *rec = ctx;
	uint32_t i;

	fprintf(to, "%s\ntop-bytes %" PRIu64 "\n", FILE_MAGIC, rec->top_bytes);
	for (i = 0; i < rec->rule_nr; i++) {
		fprintf(to, "rule %s %" PRIu64 " hit", rec->rule_name[i], rec->rule_bytes[i]);
		tally_print(&rec->rule_hit[i], to);
		fprintf(to, " miss");
		tally_print(&rec->rule_miss[i], to);
		fprintf(to, "\n");
	}
	fprintf(to, "build");
	tally_print(&rec->build, to);
	fprintf(to, "\nhit");
	tally_print(&rec->all_hits, to);
	fprintf(to, "\n");
	for (i = 0; i < 2 * KM_HANDOVER_NR; i++) {
		const struct tally *tally = &rec->handover[i / KM_HANDOVER_NR][i % KM_HANDOVER_NR];

		if (!tally->nr)
			continue;
		fprintf(to, "handover %s %s", queue_name[i / KM_HANDOVER_NR],
			handover_name[i % KM_HANDOVER_NR]);
		tally_print(tally, to);
		fprintf(to, "\n");
	}
	for (i = 0; i < rec->type_nr; i++) {
		fprintf(to, "type %016" PRIx64, rec->type[i].hash);
		tally_print(rec->type[i].hit ? rec->type[i].hit : &none, to);
		fprintf(to, "\n");
	}
	fprintf(to, "end\n");
}

int km_costs_save(const struct km_cost_recorder *rec, const char *path, struct km_diag *diag)
{
	int err = km_replace_print(path, save_lines, rec);

	return err ? km_diag_set(diag, err, path, 0, 0, "cannot save the costs: %s", strerror(-err))
		   : 0;
}

/* ---- loading --------------------------------------------------------------- */

struct loader {
	struct km_costs *costs;
	const struct km_rule_desc *rules;
	size_t known_room;
	uint64_t rules_seen; /* bit r = rule r had a line */
	uint32_t others_seen; /* bits enum line_once */
	struct km_cost_dist rule_hit[KM_RULES_MAX], rule_miss[KM_RULES_MAX], build, all_hits;
	struct km_cost_dist handover[2][KM_HANDOVER_NR];
	const char *path;
	uint64_t line;
	char *at; /* what is left of the line */
	const char *begin;
	struct km_diag *diag;
};

static int refuse(struct loader *in, const char *why)
{
	return km_diag_set(in->diag, -EINVAL, in->path, in->line,
			   (uint32_t)(in->at - in->begin) + 1, "%s", why);
}

/* The next word of the line, or NULL. */
static char *word(struct loader *in)
{
	char *begin;

	while (*in->at == ' ')
		in->at++;
	if (!*in->at)
		return NULL;
	begin = in->at;
	while (*in->at && *in->at != ' ')
		in->at++;
	if (*in->at)
		*in->at++ = 0;
	return begin;
}

static int number(struct loader *in, int base, uint64_t max, uint64_t *value)
{
	char *text = word(in), *end;

	if (!text || *text == '-' || *text == '+')
		return refuse(in, "a whole number is missing");
	errno = 0;
	*value = strtoull(text, &end, base);
	if (errno || *end || *value > max)
		return refuse(in, "not a number, or out of bounds");
	return 0;
}

static int dist(struct loader *in, struct km_cost_dist *out)
{
	uint64_t last = 0;
	uint32_t i;
	int err = number(in, 10, UINT64_MAX, &out->nr);

	if (!err)
		err = number(in, 10, KM_EST_NS_MAX, &out->mean_ns);
	for (i = 0; !err && i < KM_COST_POINT_NR; i++) {
		err = number(in, 10, KM_EST_NS_MAX, &out->point_ns[i]);
		if (!err && out->point_ns[i] < last)
			err = refuse(in, "quantiles must not fall");
		last = out->point_ns[i];
	}
	if (!err && out->nr && (out->mean_ns < out->point_ns[0] || out->mean_ns > last))
		err = refuse(in, "the mean lies outside of the quantiles");
	return err;
}

enum line_once {
	LINE_TOP_BYTES,
	LINE_BUILD,
	LINE_HIT,
	LINE_HANDOVER, /* and 2 * KM_HANDOVER_NR - 1 more */
};

/* Two that differ: which of them counts would be chance. */
static int only_once(struct loader *in, uint32_t which)
{
	if (in->others_seen >> which & 1)
		return refuse(in, "the line is there twice");
	in->others_seen |= 1u << which;
	return 0;
}

static int dist_once(struct loader *in, uint32_t which, struct km_cost_dist *out)
{
	int err = only_once(in, which);

	return err ? err : dist(in, out);
}

static int keyword(struct loader *in, const char *want)
{
	char *text = word(in);

	return text && !strcmp(text, want) ? 0 : refuse(in, "unexpected word");
}

static int rule_line(struct loader *in)
{
	char *name = word(in);
	uint32_t r;
	int err;

	if (!name)
		return refuse(in, "a rule needs a name");
	for (r = 0; r < in->costs->rule_nr; r++)
		if (!strcmp(in->rules[r].name, name))
			break;
	if (r == in->costs->rule_nr)
		return km_diag_set(in->diag, -EDOM, in->path, in->line, 1,
				   "rule '%s' is not of this rule set: recorded with another one?",
				   name);
	if (in->rules_seen >> r & 1)
		return refuse(in, "the rule is there twice");
	in->rules_seen |= UINT64_C(1) << r;
	err = number(in, 10, UINT64_C(1) << 40, &in->costs->rule_bytes[r]);
	if (!err)
		err = keyword(in, "hit");
	if (!err)
		err = dist(in, &in->rule_hit[r]);
	if (!err)
		err = keyword(in, "miss");
	return err ? err : dist(in, &in->rule_miss[r]);
}

static int type_line(struct loader *in)
{
	struct km_costs *costs = in->costs;
	struct km_cost_dist hits;
	struct km_cost_known *grown;
	uint64_t hash;
	int err = number(in, 16, UINT64_MAX, &hash);

	if (!err)
		err = dist(in, &hits);
	if (err)
		return err;
	if (costs->known_nr == TYPES_MAX)
		return refuse(in, "too many types");
	if (costs->known_nr == in->known_room) {
		in->known_room = in->known_room * 2 + 256;
		grown = realloc(costs->known, in->known_room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		costs->known = grown;
	}
	costs->known[costs->known_nr].hash = hash;
	km_cost_draw_init(&costs->known[costs->known_nr].draw, &hits, 0);
	costs->known_nr++;
	return 0;
}

static int top_bytes_line(struct loader *in)
{
	int err = only_once(in, LINE_TOP_BYTES);

	return err ? err : number(in, 10, UINT64_C(1) << 40, &in->costs->top_bytes);
}

static int name_of(struct loader *in, const char *const *names, uint32_t nr, uint32_t *idx)
{
	const char *text = word(in);

	for (*idx = 0; text && *idx < nr; (*idx)++)
		if (!strcmp(names[*idx], text))
			return 0;
	return refuse(in, "unknown kind of hand-over");
}

static int handover_line(struct loader *in)
{
	uint32_t queue, what;
	int err = name_of(in, queue_name, 2, &queue);

	if (!err)
		err = name_of(in, handover_name, KM_HANDOVER_NR, &what);
	return err ? err
		   : dist_once(in, LINE_HANDOVER + queue * KM_HANDOVER_NR + what,
			       &in->handover[queue][what]);
}

static int one_line(struct loader *in, bool *ended)
{
	char *text = word(in);
	int err;

	if (!text)
		return refuse(in, "empty line");
	if (!strcmp(text, "end"))
		*ended = true, err = 0;
	else if (!strcmp(text, "top-bytes"))
		err = top_bytes_line(in);
	else if (!strcmp(text, "rule"))
		err = rule_line(in);
	else if (!strcmp(text, "build"))
		err = dist_once(in, LINE_BUILD, &in->build);
	else if (!strcmp(text, "hit"))
		err = dist_once(in, LINE_HIT, &in->all_hits);
	else if (!strcmp(text, "handover"))
		err = handover_line(in);
	else if (!strcmp(text, "type"))
		err = type_line(in);
	else
		err = refuse(in, "unknown kind of line");
	if (!err && word(in))
		err = refuse(in, "more than the line may hold");
	return err;
}

static int all_lines(struct loader *in, FILE *from)
{
	char line[LINE_BYTES];
	bool ended = false;
	size_t length;
	int err = 0;

	while (!err && !ended && fgets(line, sizeof(line), from)) {
		in->line++;
		in->at = line;
		in->begin = line;
		length = strlen(line);
		if (!length || line[length - 1] != '\n')
			return refuse(in, "cut off or overlong line");
		line[length - 1] = 0;
		if (in->line > 1)
			err = one_line(in, &ended);
		else if (strcmp(line, FILE_MAGIC))
			err = refuse(in, "not a cost profile (want '" FILE_MAGIC "')");
	}
	if (err)
		return err;
	in->at = line;
	in->begin = line;
	return ended ? 0
		     : km_diag_set(in->diag, -EINVAL, in->path, in->line, 0, "truncated: no 'end'");
}

static uint64_t mean_of(const struct km_cost_dist *dist, uint64_t otherwise)
{
	return dist->nr ? dist->mean_ns : otherwise;
}

/* What was never seen is taken for its nearest relative that was. */
static int finish(struct loader *in)
{
	struct km_costs *costs = in->costs;
	uint32_t r;

	for (r = 0; r < costs->rule_nr; r++) {
		if (!(in->rules_seen >> r & 1))
			return km_diag_set(in->diag, -EDOM, in->path, 0, 0,
					   "rule '%s' is missing: recorded with another rule set?",
					   in->rules[r].name);
		km_cost_draw_init(&costs->rule_miss[r], &in->rule_miss[r],
				  mean_of(&in->rule_hit[r], 1));
		km_cost_draw_init(&costs->rule_hit[r], &in->rule_hit[r],
				  mean_of(&in->rule_miss[r], 1));
	}
	km_cost_draw_init(&costs->build, &in->build, mean_of(&in->all_hits, 1));
	km_cost_draw_init(&costs->all_hits, &in->all_hits, mean_of(&in->build, 1));
	for (r = 0; r < 2 * KM_HANDOVER_NR; r++) {
		uint32_t asks = r / KM_HANDOVER_NR, what = r % KM_HANDOVER_NR;

		if (!in->handover[asks][what].nr)
			in->handover[asks][what] = in->handover[!asks][what];
		km_cost_draw_init(&costs->handover[asks][what], &in->handover[asks][what], 0);
	}
	return 0;
}

static int known_by_hash(const void *a, const void *b)
{
	const struct km_cost_known *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

/* By hash, each once. */
static int sort_known(struct loader *in)
{
	struct km_costs *costs = in->costs;
	uint32_t i;

	if (costs->known_nr)
		qsort(costs->known, costs->known_nr, sizeof(costs->known[0]), known_by_hash);
	for (i = 1; i < costs->known_nr; i++)
		if (costs->known[i].hash == costs->known[i - 1].hash)
			return km_diag_set(in->diag, -EINVAL, in->path, 0, 0,
					   "type %016" PRIx64 " is there twice",
					   costs->known[i].hash);
	return 0;
}

int km_costs_load(struct km_costs **out, const char *path, uint32_t rule_nr,
		  const struct km_rule_desc *rules, struct km_diag *diag)
{
	struct loader in = { .rules = rules, .path = path, .diag = diag };
	FILE *from = fopen(path, "re");
	int err;

	if (!from) {
		err = -errno;
		return km_diag_set(diag, err, path, 0, 0, "cannot open: %s", strerror(-err));
	}
	in.costs = calloc(1, sizeof(*in.costs));
	if (!in.costs) {
		fclose(from);
		return -ENOMEM;
	}
	in.costs->rule_nr = rule_nr;
	in.costs->recorded = true;
	err = all_lines(&in, from);
	fclose(from);
	if (!err)
		err = finish(&in);
	if (!err)
		err = sort_known(&in);
	if (err) {
		km_costs_destroy(in.costs);
		return err;
	}
	*out = in.costs;
	return 0;
}
