/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/estimate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/replace.h"

/*
 * A mean follows its last WINDOW samples or so: enough to be steady, few enough
 * to follow a cache that fills. Ours; the paper states no window.
 */
#define WINDOW 64

/* Before any sample: only their order matters, a miss costs more than a hit. */
#define DEFAULT_TYPE_HIT_NS 100000
#define DEFAULT_RULE_HIT_NS 10000
#define DEFAULT_RULE_MISS_NS 100000
#define DEFAULT_BUILD_NS 200000

#define FILE_MAGIC "kamino-estimates 1"
#define LINE_BYTES 512

/* Types a file carries over that did not come this time: beyond it the file would only grow. */
#define SAVED_NR_MAX 65536

struct mean {
	uint64_t ns;
	uint64_t nr; /* samples seen; 0 = none */
};

enum { IS_CHANGED = 1, IS_UNSEEN = 2 };

struct saved {
	uint64_t hash;
	struct mean mean;
};

struct km_estimator {
	uint32_t type_cap, rule_nr;
	const struct km_rule_desc *rules;
	struct mean all_hits, build;
	struct mean rule_hit[KM_RULES_MAX], rule_miss[KM_RULES_MAX];
	struct mean *type_hit; /* [type_cap] */
	uint64_t *hash; /* [type_cap] */

	/* what km_estimator_refresh() has to look at */
	uint8_t *listed; /* [type_cap] IS_CHANGED, IS_UNSEEN: which lists the id is in */
	uint32_t *changed; /* [type_cap + 1] sampled or named since the last refresh */
	uint32_t *unseen; /* [type_cap] named, and no sample when last looked at */
	uint32_t changed_nr, unseen_nr;

	struct saved *saved; /* by hash */
	size_t saved_nr;
};

int km_estimator_create(struct km_estimator **out, uint32_t type_cap, uint32_t rule_nr,
			const struct km_rule_desc *rules)
{
	struct km_estimator *est = calloc(1, sizeof(*est));

	if (!est)
		return -ENOMEM;
	est->type_cap = type_cap;
	est->rule_nr = rule_nr;
	est->rules = rules;
	est->type_hit = calloc(type_cap, sizeof(*est->type_hit));
	est->hash = calloc(type_cap, sizeof(*est->hash));
	est->listed = calloc(type_cap, sizeof(*est->listed));
	est->changed = calloc((size_t)type_cap + 1, sizeof(*est->changed));
	est->unseen = calloc(type_cap, sizeof(*est->unseen));
	if (!est->type_hit || !est->hash || !est->listed || !est->changed || !est->unseen) {
		km_estimator_destroy(est);
		return -ENOMEM;
	}
	*out = est;
	return 0;
}

void km_estimator_destroy(struct km_estimator *est)
{
	if (!est)
		return;
	free(est->saved);
	free(est->unseen);
	free(est->changed);
	free(est->listed);
	free(est->hash);
	free(est->type_hit);
	free(est);
}

static inline void mean_add(struct mean *mean, uint64_t ns)
{
	const int64_t apart = (int64_t)ns - (int64_t)mean->ns;

	/* Nearly always WINDOW: a constant to divide by. */
	if (km_likely(mean->nr >= WINDOW))
		mean->ns = (uint64_t)((int64_t)mean->ns + apart / WINDOW);
	else
		mean->ns = (uint64_t)((int64_t)mean->ns + apart / (int64_t)(mean->nr + 1));
	mean->nr += mean->nr < UINT64_MAX; /* a file may say anything */
}

/* Without a branch: half of the samples are of a type that is listed, in no order. */
static inline void note_changed(struct km_estimator *est, uint32_t id)
{
	est->changed[est->changed_nr] = id;
	est->changed_nr += !(est->listed[id] & IS_CHANGED);
	est->listed[id] |= IS_CHANGED;
}

static void note_named(struct km_estimator *est, uint32_t id)
{
	note_changed(est, id);
	if (est->listed[id] & IS_UNSEEN)
		return;
	est->listed[id] |= IS_UNSEEN;
	est->unseen[est->unseen_nr++] = id;
}

void km_estimator_add(struct km_estimator *est, uint64_t sample)
{
	uint32_t id = km_sample_id(sample);
	uint64_t ns = km_sample_ns(sample);

	switch (__builtin_expect(km_sample_kind(sample), KM_SAMPLE_TYPE_HIT)) {
	case KM_SAMPLE_TYPE_HIT:
		if (id < est->type_cap) {
			mean_add(&est->type_hit[id], ns);
			mean_add(&est->all_hits, ns);
			note_changed(est, id);
		}
		break;
	case KM_SAMPLE_RULE_HIT:
		if (id < est->rule_nr)
			mean_add(&est->rule_hit[id], ns);
		break;
	case KM_SAMPLE_RULE_MISS:
		if (id < est->rule_nr)
			mean_add(&est->rule_miss[id], ns);
		break;
	case KM_SAMPLE_BUILD:
		mean_add(&est->build, ns);
		break;
	}
}

static int by_hash(const void *a, const void *b)
{
	const struct saved *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

void km_estimator_name(struct km_estimator *est, uint32_t id, uint64_t hash)
{
	const struct saved key = { .hash = hash }, *found;

	if (id >= est->type_cap || est->hash[id] == hash)
		return;
	est->hash[id] = hash;
	est->type_hit[id] = (struct mean){ 0 };
	note_named(est, id);
	if (!est->saved_nr)
		return;
	found = bsearch(&key, est->saved, est->saved_nr, sizeof(key), by_hash);
	if (found)
		est->type_hit[id] = found->mean;
}

static uint64_t mean_or(const struct mean *mean, uint64_t fallback)
{
	return mean->nr ? mean->ns : fallback;
}

static uint64_t mean_of_known(const struct mean *mean, uint32_t nr, uint64_t fallback)
{
	uint64_t sum = 0, known = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (!mean[i].nr)
			continue;
		sum += mean[i].ns;
		known++;
	}
	return known ? sum / known : fallback;
}

/* All but the types' times. */
static void fill_rules(const struct km_estimator *est, struct km_estimates *table)
{
	uint64_t hit = mean_of_known(est->rule_hit, est->rule_nr, DEFAULT_RULE_HIT_NS);
	uint64_t miss = mean_of_known(est->rule_miss, est->rule_nr, DEFAULT_RULE_MISS_NS);
	uint32_t i;

	table->any_hit_ns = mean_or(&est->all_hits, DEFAULT_TYPE_HIT_NS);
	table->build_ns = mean_or(&est->build, DEFAULT_BUILD_NS);
	table->hit_all_ns = table->miss_all_ns = table->build_ns;
	for (i = 0; i < est->rule_nr; i++) {
		table->rule_hit_ns[i] = mean_or(&est->rule_hit[i], hit);
		table->rule_miss_ns[i] = mean_or(&est->rule_miss[i], miss);
		table->hit_all_ns += table->rule_hit_ns[i];
		table->miss_all_ns += table->rule_miss_ns[i];
	}
	km_estimates_sum(table);
}

struct km_estimates *km_estimator_table(const struct km_estimator *est)
{
	struct km_estimates *table;
	uint32_t i;

	table = malloc(sizeof(*table) + est->type_cap * sizeof(table->type_hit_ns[0]));
	if (!table)
		return NULL;
	memset(table, 0, sizeof(*table));
	table->type_hit_ns = (uint64_t *)(table + 1);
	table->type_cap = est->type_cap;
	table->rule_nr = est->rule_nr;
	fill_rules(est, table);
	for (i = 0; i < est->type_cap; i++)
		table->type_hit_ns[i] = mean_or(&est->type_hit[i], table->any_hit_ns);
	return table;
}

void km_estimator_refresh(struct km_estimator *est, struct km_estimates *table)
{
	uint32_t i, id;

	fill_rules(est, table);
	for (i = 0; i < est->changed_nr; i++) {
		id = est->changed[i];
		est->listed[id] &= (uint8_t)~IS_CHANGED;
		table->type_hit_ns[id] = est->type_hit[id].ns;
	}
	est->changed_nr = 0;
	for (i = 0; i < est->unseen_nr;) {
		id = est->unseen[i];
		if (est->type_hit[id].nr) {
			est->listed[id] &= (uint8_t)~IS_UNSEEN;
			est->unseen[i] = est->unseen[--est->unseen_nr];
		} else {
			table->type_hit_ns[id] = table->any_hit_ns;
			i++;
		}
	}
}

void km_estimates_sum(struct km_estimates *table)
{
	uint32_t i;

	table->least_miss_ns = table->most_miss_ns = table->build_ns;
	for (i = 0; i < table->rule_nr; i++) {
		const uint64_t hit = table->rule_hit_ns[i], miss = table->rule_miss_ns[i];

		table->rule_saved_ns[i] = miss - hit;
		table->least_miss_ns += km_min_u64(hit, miss);
		table->most_miss_ns += km_max_u64(hit, miss);
	}
	table->summed = true;
}

void km_estimates_free(struct km_snap_head *head)
{
	free(head);
}

/* ---- the file -------------------------------------------------------------- */

/* What a file said, before any of it is believed. */
struct loaded {
	struct mean all_hits, build, rule_hit[KM_RULES_MAX], rule_miss[KM_RULES_MAX];
	struct saved *saved;
	size_t saved_nr, saved_cap;
};

static uint32_t rule_by_name(const struct km_estimator *est, const char *name)
{
	uint32_t i;

	for (i = 0; i < est->rule_nr; i++)
		if (!strcmp(est->rules[i].name, name))
			return i;
	return est->rule_nr;
}

static bool mean_is_sane(const struct mean *mean)
{
	return mean->ns <= KM_EST_NS_MAX;
}

static int load_type(struct loaded *in, const struct saved *saved)
{
	struct saved *grown;

	if (in->saved_nr == in->saved_cap) {
		in->saved_cap = in->saved_cap ? 2 * in->saved_cap : 256;
		grown = realloc(in->saved, in->saved_cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		in->saved = grown;
	}
	in->saved[in->saved_nr++] = *saved;
	return 0;
}

static int load_line(const struct km_estimator *est, struct loaded *in, const char *line)
{
	struct mean a, b;
	struct saved saved;
	int end = -1;
	uint32_t rule;

	if (sscanf(line, "hit %" SCNu64 " %" SCNu64 " %n", &a.ns, &a.nr, &end) == 2 && end >= 0 &&
	    !line[end] && mean_is_sane(&a)) {
		in->all_hits = a;
		return 0;
	}
	if (sscanf(line, "build %" SCNu64 " %" SCNu64 " %n", &a.ns, &a.nr, &end) == 2 && end >= 0 &&
	    !line[end] && mean_is_sane(&a)) {
		in->build = a;
		return 0;
	}
	if (sscanf(line, "type %" SCNx64 " %" SCNu64 " %" SCNu64 " %n", &saved.hash, &saved.mean.ns,
		   &saved.mean.nr, &end) == 3 &&
	    end >= 0 && !line[end] && mean_is_sane(&saved.mean))
		return load_type(in, &saved);
	/* The name comes last, as it may hold blanks. */
	if (sscanf(line, "rule %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %n", &a.ns, &a.nr,
		   &b.ns, &b.nr, &end) == 4 &&
	    end >= 0 && line[end] && mean_is_sane(&a) && mean_is_sane(&b)) {
		rule = rule_by_name(est, line + end); /* a rule that is gone is skipped */
		if (rule < est->rule_nr) {
			in->rule_hit[rule] = a;
			in->rule_miss[rule] = b;
		}
		return 0;
	}
	return -EINVAL;
}

static int load_lines(const struct km_estimator *est, struct loaded *in, FILE *from,
		      const char *path, struct km_diag *diag)
{
	char line[LINE_BYTES];
	uint64_t nr = 0;
	bool ended = false;
	size_t length;
	int err;

	while (fgets(line, sizeof(line), from)) {
		nr++;
		length = strlen(line);
		if (!length || line[length - 1] != '\n' || ended)
			return km_diag_set(
				diag, -EINVAL, path, nr, 0,
				"cut off or overlong line; remove the file to start anew");
		line[length - 1] = 0;
		if (nr == 1) {
			if (strcmp(line, FILE_MAGIC))
				return km_diag_set(diag, -EINVAL, path, 1, 1,
						   "not an estimates file (want '%s')", FILE_MAGIC);
			continue;
		}
		ended = !strcmp(line, "end");
		if (ended)
			continue;
		err = load_line(est, in, line);
		if (err == -ENOMEM)
			return err;
		if (err)
			return km_diag_set(diag, err, path, nr, 1, "malformed line");
	}
	if (!ended)
		return km_diag_set(diag, -EINVAL, path, nr, 0,
				   "truncated (no 'end'); remove the file to start anew");
	return 0;
}

int km_estimator_load(struct km_estimator *est, const char *path, struct km_diag *diag)
{
	struct loaded in = { 0 };
	FILE *from = fopen(path, "re");
	int err;

	if (!from) {
		err = -errno;
		return km_diag_set(diag, err, path, 0, 0, "cannot open: %s", strerror(-err));
	}
	err = load_lines(est, &in, from, path, diag);
	fclose(from);
	if (err) {
		free(in.saved);
		return err;
	}
	est->all_hits = in.all_hits;
	est->build = in.build;
	memcpy(est->rule_hit, in.rule_hit, sizeof(in.rule_hit));
	memcpy(est->rule_miss, in.rule_miss, sizeof(in.rule_miss));
	free(est->saved);
	est->saved = in.saved;
	est->saved_nr = in.saved_nr;
	if (est->saved_nr)
		qsort(est->saved, est->saved_nr, sizeof(est->saved[0]), by_hash);
	return 0;
}

/* What was learned now, over what the file said of types that did not come this time. */
static struct saved *merge_types(const struct km_estimator *est, size_t *nr)
{
	struct saved *list = malloc((est->type_cap + est->saved_nr + 1) * sizeof(*list)), key;
	size_t fresh = 0, k;
	uint32_t i;

	if (!list)
		return NULL;
	for (i = 0; i < est->type_cap; i++)
		if (est->hash[i] && est->type_hit[i].nr)
			list[fresh++] = (struct saved){ est->hash[i], est->type_hit[i] };
	if (fresh)
		qsort(list, fresh, sizeof(*list), by_hash);
	*nr = fresh;
	for (k = 0; k < est->saved_nr && *nr < SAVED_NR_MAX; k++) {
		key.hash = est->saved[k].hash;
		if (!fresh || !bsearch(&key, list, fresh, sizeof(key), by_hash))
			list[(*nr)++] = est->saved[k];
	}
	return list;
}

struct saving {
	const struct km_estimator *est;
	const struct saved *type;
	size_t type_nr;
};

static void save_lines(const void *ctx, FILE *to)
{
	const struct saving *saving = ctx;
	const struct km_estimator *est = saving->est;
	const struct saved *type = saving->type;
	uint32_t i;
	size_t k;

	fprintf(to, "%s\n", FILE_MAGIC);
	fprintf(to, "hit %" PRIu64 " %" PRIu64 "\n", est->all_hits.ns, est->all_hits.nr);
	fprintf(to, "build %" PRIu64 " %" PRIu64 "\n", est->build.ns, est->build.nr);
	for (i = 0; i < est->rule_nr; i++)
		fprintf(to, "rule %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
			est->rule_hit[i].ns, est->rule_hit[i].nr, est->rule_miss[i].ns,
			est->rule_miss[i].nr, est->rules[i].name);
	for (k = 0; k < saving->type_nr; k++)
		fprintf(to, "type %016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", type[k].hash,
			type[k].mean.ns, type[k].mean.nr);
	fprintf(to, "end\n");
}

int km_estimator_save(const struct km_estimator *est, const char *path, struct km_diag *diag)
{
	struct saving saving = { .est = est };
	struct saved *type = merge_types(est, &saving.type_nr);
	int err = -ENOMEM;

	saving.type = type;
	if (type)
		err = km_replace_print(path, save_lines, &saving);
	free(type);
	return err ? km_diag_set(diag, err, path, 0, 0, "cannot save the estimates: %s",
				 strerror(-err))
		   : 0;
}
