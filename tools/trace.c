/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/trace.c - "kamino trace": make traces and fleets, and look into them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place/zone.h"
#include "tools/json.h"
#include "tools/trace_stat.h"
#include "tools/verbs.h"

struct trace_args {
	const char *azure, *level, *out, *inventory_out;
	uint64_t requests, servers, types, seed;
	double fill;
	bool batches, json, help;
	int rest_nr;
	char **rest;
};

static const char *const level_name[] = {
	[KM_LEVEL_SHAPE] = "shape",
	[KM_LEVEL_BATCH] = "batch",
	[KM_LEVEL_VMTYPE] = "vmtype",
	NULL,
};

/* What takes seconds says so where somebody watches. */
static void progress(const char *what, const char *of)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "kamino trace: %s %s ...\n", what, of);
}

static int usage(struct km_diag *diag, const char *why)
{
	km_diag_set(diag, -EINVAL, NULL, 0, 0, "%s; see --help", why);
	return km_verb_fail("trace", diag, KM_EXIT_USAGE);
}

static int fail(struct km_diag *diag)
{
	return km_verb_fail("trace", diag, KM_EXIT_FAILED);
}

static int parse_level(const struct trace_args *args, enum km_zone_level *level,
		       struct km_diag *diag)
{
	const char *nearest;
	int i;

	for (i = 0; level_name[i]; i++)
		if (!strcmp(args->level, level_name[i])) {
			*level = (enum km_zone_level)i;
			return 0;
		}
	nearest = km_suggest(args->level, level_name);
	return km_diag_set(diag, -EINVAL, NULL, 0, 0,
			   "--level %s: not shape, batch or vmtype%s%s%s", args->level,
			   nearest ? "; did you mean '" : "", nearest ? nearest : "",
			   nearest ? "'?" : "");
}

static int print_doc(const char *command, json_t *params, json_t *results)
{
	json_t *doc = km_json_envelope(command, params, results);
	int err = km_json_print(doc, stdout);

	json_decref(doc);
	return err ? KM_EXIT_FAILED : KM_EXIT_DONE;
}

/* What was written, for import and synth. */
static int tell_trace(const char *command, const struct trace_args *args,
		      const struct km_trace *trace)
{
	uint64_t deletes = 0, i;

	for (i = 0; i < trace->event_nr; i++)
		deletes += trace->event[i].op == KM_OP_DELETE;
	if (args->json)
		return print_doc(command,
				 json_pack("{s:s?, s:s, s:I, s:b, s:s}", "azure", args->azure,
					   "level", args->level, "seed", (json_int_t)args->seed,
					   "batches", args->batches, "out", args->out),
				 json_pack("{s:I, s:I, s:I}", "rows", (json_int_t)trace->event_nr,
					   "initial_rows", (json_int_t)trace->initial_nr, "deletes",
					   (json_int_t)deletes));
	printf("%s: %" PRIu64 " rows, %" PRIu64 " of them initial, %" PRIu64 " deletes\n",
	       args->out, trace->event_nr, trace->initial_nr, deletes);
	return KM_EXIT_DONE;
}

/* ---- import ---------------------------------------------------------------- */

static bool is_sqlite(const char *path)
{
	char magic[16] = "";
	struct stat st;
	FILE *file;
	bool is;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	file = fopen(path, "re");
	if (!file)
		return false;
	is = fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
	     !memcmp(magic, "SQLite format 3", 16);
	km_ignore(fclose(file)); /* was read only */
	return is;
}

static int run_import(struct trace_args *args, struct km_diag *diag)
{
	struct km_trace *trace;
	enum km_zone_level level;
	int err, code;

	if (!args->azure || !args->out)
		return usage(diag, "import wants --azure and --out");
	if (parse_level(args, &level, diag))
		return km_verb_fail("trace", diag, KM_EXIT_USAGE);
	progress("reading", args->azure);
	err = (is_sqlite(args->azure) ? km_import_azure_sqlite : km_import_azure_csv)(
		&trace, args->azure, level, args->batches, args->seed, args->requests, diag);
	if (err)
		return fail(diag);
	progress("writing", args->out);
	err = km_trace_save(trace, args->out, diag);
	code = err ? fail(diag) : tell_trace("trace import", args, trace);
	km_trace_destroy(trace);
	return code;
}

/* ---- synth and fleet ------------------------------------------------------- */

static int run_synth(struct trace_args *args, struct km_diag *diag)
{
	struct km_zone_cfg cfg = {
		.seed = args->seed,
		.server_nr = (uint32_t)args->servers,
		.create_nr = args->requests ? args->requests : 1000000,
		.type_nr = (uint32_t)args->types,
		.fill = args->fill,
		.batches = args->batches,
	};
	struct km_inventory *inv;
	struct km_trace *trace;
	int err, code;

	if (!args->out)
		return usage(diag, "synth wants --out");
	if (args->inventory_out && km_zone_same_file(args->out, args->inventory_out))
		return usage(diag, "--out and --inventory-out cannot be the same file");
	if (parse_level(args, &cfg.level, diag))
		return km_verb_fail("trace", diag, KM_EXIT_USAGE);
	progress("making", args->out);
	err = km_zone_generate(&cfg, &trace, &inv);
	if (err) {
		km_diag_set(diag, err, NULL, 0, 0, "%s",
			    err == -EINVAL ? "so many requests take such a fleet over a century"
					   : strerror(-err));
		return fail(diag);
	}
	progress("writing", args->out);
	if (args->inventory_out)
		err = km_zone_save(trace, args->out, inv, args->inventory_out, diag);
	else
		err = km_trace_save(trace, args->out, diag);
	code = err ? fail(diag) : tell_trace("trace synth", args, trace);
	km_trace_destroy(trace);
	km_inventory_destroy(inv);
	return code;
}

static int run_fleet(struct trace_args *args, struct km_diag *diag)
{
	struct km_inventory *inv;
	int err, code = KM_EXIT_DONE;

	if (!args->out)
		return usage(diag, "fleet wants --out");
	err = km_zone_fleet(&inv, (uint32_t)args->servers, args->seed);
	if (err) {
		km_diag_set(diag, err, NULL, 0, 0, "%s", strerror(-err));
		return fail(diag);
	}
	err = km_inventory_save(inv, args->out, diag);
	if (err)
		code = fail(diag);
	else if (args->json)
		code = print_doc("trace fleet",
				 json_pack("{s:I, s:s}", "seed", (json_int_t)args->seed, "out",
					   args->out),
				 json_pack("{s:I, s:I, s:I}", "servers", (json_int_t)inv->server_nr,
					   "clusters", (json_int_t)km_dict_nr(inv->clusters),
					   "racks", (json_int_t)km_dict_nr(inv->racks)));
	else
		printf("%s: %" PRIu32 " servers, %" PRIu32 " clusters, %" PRIu32 " racks\n",
		       args->out, inv->server_nr, km_dict_nr(inv->clusters),
		       km_dict_nr(inv->racks));
	km_inventory_destroy(inv);
	return code;
}

/* ---- stat ------------------------------------------------------------------ */

static int show_stat(const struct trace_args *args, const struct km_trace *trace)
{
	struct km_trace_stat *stat = malloc(sizeof(*stat));
	int code = KM_EXIT_DONE;

	if (!stat || km_trace_stat_make(stat, trace)) {
		free(stat);
		fprintf(stderr, "kamino trace: out of memory\n");
		return KM_EXIT_FAILED;
	}
	if (args->json)
		code = print_doc("trace stat",
				 json_pack("{s:s, s:I}", "file", args->rest[0], "requests",
					   (json_int_t)args->requests),
				 km_trace_stat_json(stat, trace));
	else
		km_trace_stat_print(stat, trace, stdout);
	free(stat);
	return code;
}

static int run_stat(struct trace_args *args, struct km_diag *diag)
{
	struct km_trace *trace;
	int code;

	if (args->rest_nr != 1)
		return usage(diag, "stat wants one file");
	progress("reading", args->rest[0]);
	if (km_trace_load(&trace, args->rest[0], args->requests, diag))
		return fail(diag);
	code = show_stat(args, trace);
	km_trace_destroy(trace);
	return code;
}

/* ---- the verb -------------------------------------------------------------- */

static const struct sub {
	const char *name;
	int (*run)(struct trace_args *args, struct km_diag *diag);
	bool takes_file;
} subs[] = {
	{ "import", run_import, false },
	{ "synth", run_synth, false },
	{ "stat", run_stat, true },
	{ "fleet", run_fleet, false },
};

static const char help_text[] =
	"import  the published Azure packing trace, a SQLite file, or the folder of its CSV sample,\n"
	"        to --out\n"
	"synth   a trace of the built-in zone to --out, and the fleet it fits to --inventory-out\n"
	"fleet   only a fleet of --servers, to --out\n"
	"stat    what a trace file holds: types, batches, lifetimes, rates, how cacheable it is";

static const struct sub *find_sub(const char *name, struct km_diag *diag)
{
	const char *names[KM_ARRAY_NR(subs) + 1] = { NULL }, *nearest;
	size_t i;

	for (i = 0; i < KM_ARRAY_NR(subs); i++) {
		if (!strcmp(subs[i].name, name))
			return &subs[i];
		names[i] = subs[i].name;
	}
	nearest = km_suggest(name, names);
	km_diag_set(diag, -EINVAL, NULL, 0, 0, "unknown action '%.60s'%s%s%s; see --help", name,
		    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	return NULL;
}

int km_verb_trace(int argc, char **argv)
{
	struct trace_args args = { .level = "batch", .servers = 100000, .seed = 1, .fill = 0.7 };
	const struct km_opt opts[] = {
		{ "azure", KM_OPT_STRING, &args.azure, "PATH",
		  "import: the SQLite file, or the folder of the CSV sample", 0, 0 },
		{ "level", KM_OPT_STRING, &args.level, "L",
		  "how finely types are told apart: shape, batch or vmtype (batch)", 0, 0 },
		{ "requests", KM_OPT_U64, &args.requests, "N",
		  "creates behind the initial state (import, stat: all; synth: 1M); stat: rows", 0,
		  KM_ZONE_CREATES_MAX },
		{ "servers", KM_OPT_U64, &args.servers, "N", "synth, fleet: servers (100k)", 1,
		  KM_ZONE_SERVERS_MAX },
		{ "types", KM_OPT_U64, &args.types, "N",
		  "synth: about so many types (as the level gives)", 0, KM_ZONE_TYPES_MAX },
		{ "fill", KM_OPT_DOUBLE, &args.fill, "X",
		  "synth: share of the cpu in use at the start (0.7)", 0, 0.95 },
		{ "batches", KM_OPT_FLAG, &args.batches, NULL,
		  "import, synth: what a tenant starts in one second is placed all or nothing", 0,
		  0 },
		{ "seed", KM_OPT_U64, &args.seed, "S", "same seed, same bytes (1)", 0, 0 },
		{ "out", KM_OPT_STRING, &args.out, "FILE",
		  "where to write (-o); gzip when it ends in .gz", 0, 0 },
		{ "inventory-out", KM_OPT_STRING, &args.inventory_out, "FILE",
		  "synth: where to write the fleet", 0, 0 },
		{ "json", KM_OPT_FLAG, &args.json, NULL, "one JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &args.help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag = { .reason = "" };
	const struct sub *sub;

	km_verb_lengthen(argc, argv);
	if (km_opts_parse(opts, argc, argv, &args.rest_nr, &args.rest, &diag))
		return km_verb_fail("trace", &diag, KM_EXIT_USAGE);
	if (args.help)
		return km_verb_help("trace", "import|synth|stat|fleet [options]", help_text, opts);
	if (!args.rest_nr)
		return usage(&diag, "an action is due: import, synth, stat or fleet");
	sub = find_sub(args.rest[0], &diag);
	if (!sub)
		return km_verb_fail("trace", &diag, KM_EXIT_USAGE);
	args.rest++;
	args.rest_nr--;
	if (args.rest_nr && !sub->takes_file)
		return usage(&diag, "too many arguments");
	return sub->run(&args, &diag);
}
