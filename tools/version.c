/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/version.c - "kamino version": what this binary is.
 */
#include <stdio.h>
#include <string.h>

#include "alloc/arena.h"
#include "lib/clock.h"
#include "tools/build.h"
#include "tools/json.h"
#include "tools/verbs.h"

/* {"sdt": true, ..} of "+sdt ..". */
static json_t *features_json(void)
{
	char text[128], *word, *rest = NULL;
	json_t *features = json_object();
	int err = 0;

	snprintf(text, sizeof(text), "%s", km_build.features);
	for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		err |= json_object_set_new(features, word + 1, json_boolean(*word == '+'));
	if (!err)
		return features;
	json_decref(features);
	return NULL;
}

/* Calls @add for each "name-version" of the build's libraries. */
static int each_library(int (*add)(void *ctx, const char *name, const char *version), void *ctx)
{
	char text[512], *word, *rest = NULL, *dash;
	int err = 0;

	snprintf(text, sizeof(text), "%s", km_build.libraries);
	for (word = strtok_r(text, " ", &rest); word && !err; word = strtok_r(NULL, " ", &rest)) {
		dash = strrchr(word, '-');
		if (!dash)
			continue;
		*dash = '\0';
		err = add(ctx, word, dash + 1);
	}
	return err;
}

static int print_library(void *ctx, const char *name, const char *version)
{
	(void)ctx;
	printf("  %-14s %s\n", name, version);
	return 0;
}

static int set_library(void *ctx, const char *name, const char *version)
{
	return json_object_set_new(ctx, name, json_string(version));
}

/* Whether memory can be bound to a node here; node 0 stands for all. */
static bool can_bind(void)
{
	const struct km_arena_cfg cfg = { .node = 0 };
	struct km_arena *arena;
	bool bound;

	if (km_arena_create(&arena, &cfg))
		return false;
	bound = km_arena_bound(arena);
	km_arena_destroy(arena);
	return bound;
}

/* The word in brackets: "always [madvise] never". */
static const char *huge_pages(char *text, size_t text_bytes)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	char line[64] = "", *word;

	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		km_ignore(fclose(file)); /* it was only read */
	}
	word = strchr(line, '[');
	if (word)
		snprintf(text, text_bytes, "%.*s", (int)strcspn(word + 1, "]"), word + 1);
	else
		snprintf(text, text_bytes, "unavailable");
	return text;
}

static int print_text(void)
{
	char mode[32];

	printf("kamino %s (%s)\n", km_build.version, km_build.revision);
	printf("compiler   %s\nflags      %s\nsanitizer  %s\nfeatures   %s\n", km_build.compiler,
	       km_build.flags, km_build.sanitizer, km_build.features);
	printf("clock      %s\nhuge pages %s\nbinding    %s\nlibraries\n", km_clock_source(),
	       huge_pages(mode, sizeof(mode)), can_bind() ? "mbind" : "unavailable");
	return each_library(print_library, NULL);
}

static int print_json(void)
{
	json_t *results = json_object(), *libraries = json_object(), *doc;
	char mode[32];
	int err;

	err = json_object_set_new(results, "version", json_string(km_build.version));
	err |= json_object_set_new(results, "revision", json_string(km_build.revision));
	err |= json_object_set_new(results, "sanitizer", json_string(km_build.sanitizer));
	err |= json_object_set_new(results, "features", features_json());
	err |= json_object_set_new(results, "clock", json_string(km_clock_source()));
	err |= json_object_set_new(results, "huge_pages",
				   json_string(huge_pages(mode, sizeof(mode))));
	err |= json_object_set_new(results, "memory_binding", json_boolean(can_bind()));
	err |= each_library(set_library, libraries);
	err |= json_object_set_new(results, "libraries", libraries);
	doc = km_json_envelope("version", NULL, results);
	err = err ? err : km_json_print(doc, stdout);
	json_decref(doc);
	return err;
}

int km_verb_version(int argc, char **argv)
{
	bool help = false, json = false;
	const struct km_opt opts[] = {
		{ "json", KM_OPT_FLAG, &json, NULL, "one JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag;

	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("version", &diag, KM_EXIT_USAGE);
	if (help)
		return km_verb_help("version", "[--json]",
				    "Prints what this binary was built from and how.", opts);
	return (json ? print_json() : print_text()) ? KM_EXIT_FAILED : KM_EXIT_DONE;
}
