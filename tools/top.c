/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top.c - "kamino top": a live view of a run, from what it shows in shared memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tools/top_internal.h"
#include "tools/verbs.h"

#define RUN_NR_MAX 256
#define LINE_NR_MAX 512
#define ONCE_DECISIONS 16
#define DECISION_ROWS_MIN 6u
#define KEY_WAIT_MS 200 /* so that a signal is seen soon */

struct top {
	uint64_t pid, agents, interval_ns;
	const char *name;
	bool once, json, help;

	struct km_segment *seg;
	struct top_look look;
	struct km_seg_block spare; /* what is read, until it is known to be whole */
	struct top_figures fig;
	enum top_sort sort;
	bool frozen, seen;
	uint32_t first;
	struct top_line line[LINE_NR_MAX];
};

static _Atomic int stopped;

static void on_stop(int sig)
{
	/* relaxed: a flag that is looked at again soon */
	atomic_store_explicit(&stopped, sig, memory_order_relaxed);
}

/* ---- which run ------------------------------------------------------------------------ */

static bool is_wanted(const struct top *top, const struct km_segment_info *info)
{
	if (top->pid && info->pid != top->pid)
		return false;
	return !top->name || (info->kind != KM_SEGMENT_BAD && !strcmp(info->head.name, top->name));
}

static void tell_bad(const struct km_segment_info *info)
{
	char text[640];

	if (info->kind == KM_SEGMENT_STALE)
		fprintf(stderr,
			"kamino top: %s is stale: its run has ended; the next run of its user "
			"removes it\n",
			info->path);
	else
		fprintf(stderr, "kamino top: %s\n",
			km_diag_format(&info->diag, text, sizeof(text)));
}

static void list_runs(const struct top *top, const struct km_segment_info *info, int nr)
{
	struct timespec now;
	int i;

	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(stderr, "kamino top: several runs live; choose one by --pid or --name:\n");
	for (i = 0; i < nr; i++) {
		const struct km_seg_head *head = &info[i].head;

		if (info[i].kind != KM_SEGMENT_LIVE || !is_wanted(top, &info[i]))
			continue;
		fprintf(stderr,
			"  --pid %-10" PRIu64 " %-12s %5" PRIu64 " agents, %s, for %.0f s\n",
			info[i].pid, head->name[0] ? head->name : "-", head->agent_nr,
			head->policies, (double)now.tv_sec - (double)head->started_unix_ns / 1e9);
	}
}

static int none_lives(const struct top *top)
{
	if (top->pid)
		fprintf(stderr, "kamino top: no run of process %" PRIu64 " shows itself in %s\n",
			top->pid, km_segment_dir());
	else if (top->name)
		fprintf(stderr, "kamino top: no run named '%s' shows itself in %s\n", top->name,
			km_segment_dir());
	else
		fprintf(stderr,
			"kamino top: nothing runs here (no live %s/kamino-PID); start a 'kamino "
			"run'\n",
			km_segment_dir());
	return KM_EXIT_FAILED;
}

/* Among @info[0..nr), the one that is wanted and lives. Return: an exit code. */
static int choose(const struct top *top, const struct km_segment_info *info, int nr, int *chosen)
{
	int i, live_nr = 0;

	for (i = 0; i < nr; i++) {
		if (!is_wanted(top, &info[i]))
			continue;
		if (info[i].kind != KM_SEGMENT_LIVE) {
			tell_bad(&info[i]);
		} else {
			live_nr++;
			*chosen = i;
		}
	}
	if (!live_nr)
		return none_lives(top);
	if (live_nr == 1)
		return KM_EXIT_DONE;
	list_runs(top, info, nr);
	return KM_EXIT_USAGE;
}

static int find_run(struct top *top)
{
	struct km_segment_info *info = calloc(RUN_NR_MAX, sizeof(*info));
	struct km_diag diag;
	int nr, chosen = 0, code = KM_EXIT_FAILED;

	if (!info)
		return KM_EXIT_FAILED;
	nr = km_segment_list(info, RUN_NR_MAX, &diag);
	if (nr == -ENOENT)
		nr = 0;
	if (nr < 0)
		km_verb_fail("top", &diag, KM_EXIT_FAILED);
	else
		code = choose(top, info, nr, &chosen);
	if (!code && km_segment_open(&top->seg, info[chosen].path, &diag))
		code = km_verb_fail("top", &diag, KM_EXIT_FAILED);
	free(info);
	return code;
}

/* ---- looking ---------------------------------------------------------------------------- */

static int set_up(struct top *top)
{
	uint32_t agent_nr;
	int err;

	top->look.head = km_segment_head(top->seg);
	agent_nr = (uint32_t)top->look.head->agent_nr;
	err = km_seg_block_init(&top->look.block, agent_nr);
	if (!err)
		err = km_seg_block_init(&top->spare, agent_nr);
	if (!err)
		err = top_figures_init(&top->fig, agent_nr);
	if (err)
		fprintf(stderr, "kamino top: out of memory\n");
	return err ? KM_EXIT_FAILED : KM_EXIT_DONE;
}

static void tear_down(struct top *top)
{
	top_figures_fini(&top->fig);
	km_seg_block_fini(&top->spare);
	km_seg_block_fini(&top->look.block);
	km_segment_close(top->seg);
}

static double age_s(const struct km_seg_run *run)
{
	struct timespec now;
	double age;

	clock_gettime(CLOCK_MONOTONIC, &now);
	age = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)run->now_mono_ns / 1e9;
	return age > 0 ? age : 0;
}

/* Take what the run shows now, or keep what it last showed and say why. */
static void look(struct top *top)
{
	bool live = km_segment_is_live(top->seg);
	enum km_segment_read got = km_segment_read(top->seg, &top->spare);
	struct km_seg_block last = top->look.block;

	top->look.trouble = live ? NULL : "stale: the run has ended";
	if (got == KM_SEGMENT_GONE) {
		top->look.trouble = "damaged: the file was cut short";
	} else if (got == KM_SEGMENT_BUSY) {
		top->look.trouble = live ? "the run is writing without end"
					 : "stale: the run has ended in the middle of a write";
	} else {
		top->look.block = top->spare;
		top->spare = last;
		top->seen = true;
		if (top->look.block.run->state == KM_SEG_ENDED)
			top->look.trouble = "the run has ended";
	}
	top_figures_make(&top->fig, &top->look.block, top->sort);
}

static uint32_t make_page(struct top *top, uint32_t agent_rows, uint32_t decision_rows)
{
	const struct top_page_cfg cfg = {
		.look = &top->look,
		.fig = &top->fig,
		.sort = top->sort,
		.frozen = top->frozen,
		.first = top->first,
		.agent_rows = agent_rows,
		.decision_rows = decision_rows,
	};

	top->look.age_s = age_s(top->look.block.run);
	return top_page_make(&cfg, top->line, LINE_NR_MAX);
}

/* ---- once ------------------------------------------------------------------------------- */

static int print_json(struct top *top)
{
	json_t *params =
		json_pack("{s:I,s:s?}", "pid", (json_int_t)top->look.head->pid, "name", top->name);
	json_t *doc;
	int err;

	top->look.age_s = age_s(top->look.block.run);
	doc = km_json_envelope("top", params, top_json(&top->look, &top->fig));
	err = km_json_print(doc, stdout);
	json_decref(doc);
	return err ? KM_EXIT_FAILED : KM_EXIT_DONE;
}

static int print_once(struct top *top)
{
	struct winsize size = { .ws_col = 0 };
	uint32_t i, nr;

	look(top);
	if (!top->seen) {
		fprintf(stderr, "kamino top: run %" PRIu64 ": %s\n", top->look.head->pid,
			top->look.trouble);
		return KM_EXIT_FAILED;
	}
	if (top->json)
		return print_json(top);
	nr = make_page(top, (uint32_t)top->agents, ONCE_DECISIONS);
	if (isatty(STDOUT_FILENO))
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	for (i = 0; i < nr; i++)
		printf("%.*s\n", size.ws_col ? size.ws_col : TOP_LINE_BYTES, top->line[i].text);
	if (top->look.block.agent_nr > top->agents)
		printf("%" PRIu64 " of %" PRIu32 " agents, by %s\n", top->agents,
		       top->look.block.agent_nr, top_sort_name(top->sort));
	return KM_EXIT_DONE;
}

/* ---- live ------------------------------------------------------------------------------- */

/* How the rows between head and foot are shared: agents first, some decisions always. */
static uint32_t agent_rows(const struct top *top, uint32_t body)
{
	uint32_t keep = top->fig.decision_nr < DECISION_ROWS_MIN ? top->fig.decision_nr
								 : DECISION_ROWS_MIN;
	uint32_t rows = body > keep ? body - keep : body;

	return rows < top->look.block.agent_nr ? rows : top->look.block.agent_nr;
}

/* Return: rows of agents on the screen. */
static uint32_t show(struct top *top)
{
	uint32_t rows, columns, nr, body, agents, agent_nr = top->look.block.agent_nr;
	char foot[TOP_LINE_BYTES];

	top_screen_size(&rows, &columns);
	if (rows > LINE_NR_MAX)
		rows = LINE_NR_MAX;
	nr = make_page(top, 0, 0);
	body = rows > nr + 3 ? rows - nr - 3 : 0; /* two heads of tables and the foot */
	agents = agent_rows(top, body);
	if (top->first + agents > agent_nr)
		top->first = agent_nr - agents;
	nr = make_page(top, agents, body - agents);
	snprintf(foot, sizeof(foot),
		 "q quit  s sort (%s)  space %s  arrows scroll  agents %" PRIu32 "-%" PRIu32
		 " of %" PRIu32,
		 top_sort_name(top->sort), top->frozen ? "go on" : "freeze",
		 agents ? top->first + 1 : 0, top->first + agents, agent_nr);
	top_screen_show(top->line, nr, foot);
	return agents;
}

static void scroll(struct top *top, enum top_key key, uint32_t page)
{
	uint32_t last = top->look.block.agent_nr; /* show() draws it back */

	if (key == TOP_KEY_HOME)
		top->first = 0;
	else if (key == TOP_KEY_END)
		top->first = last;
	else if (key == TOP_KEY_UP || key == TOP_KEY_PAGE_UP)
		top->first -= (uint32_t)km_min_u64(top->first, key == TOP_KEY_UP ? 1 : page);
	else if (key == TOP_KEY_DOWN || key == TOP_KEY_PAGE_DOWN)
		top->first =
			(uint32_t)km_min_u64(last, top->first + (key == TOP_KEY_DOWN ? 1 : page));
}

/* Return: whether to go on. */
static bool obey(struct top *top, enum top_key key, uint32_t page)
{
	switch (key) {
	case TOP_KEY_QUIT:
		return false;
	case TOP_KEY_SORT:
		top->sort = (enum top_sort)((top->sort + 1) % TOP_SORT_NR);
		top_figures_make(&top->fig, &top->look.block, top->sort);
		break;
	case TOP_KEY_FREEZE:
		top->frozen = !top->frozen;
		break;
	default:
		scroll(top, key, page);
	}
	return true;
}

static void watch(struct top *top)
{
	uint64_t due_ns = 0, now_ns;
	uint32_t page;
	enum top_key key;

	/* relaxed: a flag of this process's signal handler */
	while (!atomic_load_explicit(&stopped, memory_order_relaxed)) {
		now_ns = km_clock_ns();
		if (now_ns >= due_ns && !top->frozen) {
			look(top);
			due_ns = now_ns + top->interval_ns;
		}
		page = show(top);
		do {
			now_ns = km_clock_ns();
			key = top_screen_key((int)km_min_u64(
				KEY_WAIT_MS,
				due_ns > now_ns ? (due_ns - now_ns) / KM_NS_PER_MS + 1 : 1));
			/* relaxed: as above */
		} while (key == TOP_KEY_NONE && (top->frozen || km_clock_ns() < due_ns) &&
			 !atomic_load_explicit(&stopped, memory_order_relaxed));
		if (!obey(top, key, page))
			return;
	}
}

static int watch_live(struct top *top)
{
	struct sigaction act = { .sa_handler = on_stop };
	struct km_diag diag;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	if (top_screen_open(&diag))
		return km_verb_fail("top", &diag, KM_EXIT_FAILED);
	watch(top);
	top_screen_close();
	return KM_EXIT_DONE;
}

/* ---- the verb ---------------------------------------------------------------------------- */

int km_verb_top(int argc, char **argv)
{
	static struct top top = { .interval_ns = 500 * KM_NS_PER_MS, .agents = 20 };
	const struct km_opt opts[] = {
		{ "pid", KM_OPT_U64, &top.pid, "PID", "the run of this process", 1, 4194304 },
		{ "name", KM_OPT_STRING, &top.name, "NAME", "the run started with --name NAME", 0,
		  0 },
		{ "interval", KM_OPT_DURATION, &top.interval_ns, "TIME",
		  "between two looks (500ms; runs show 4 a second)", 5e7, 3.6e12 },
		{ "once", KM_OPT_FLAG, &top.once, NULL, "print one look as text", 0, 0 },
		{ "agents", KM_OPT_U64, &top.agents, "N", "agents listed by --once, by queue (20)",
		  1, KM_SEG_AGENT_NR_MAX },
		{ "json", KM_OPT_FLAG, &top.json, NULL, "print one look as a JSON document", 0, 0 },
		{ "help", KM_OPT_FLAG, &top.help, NULL, "this text", 0, 0 },
		{ NULL, 0, NULL, NULL, NULL, 0, 0 },
	};
	struct km_diag diag;
	int code;

	if (km_opts_parse(opts, argc, argv, NULL, NULL, &diag))
		return km_verb_fail("top", &diag, KM_EXIT_USAGE);
	if (top.help)
		return km_verb_help("top", "[options]",
				    "A live view of a 'kamino run', from what it shows in shared "
				    "memory: queues,\nhit rates, decisions with their reasons, "
				    "estimates, the store.\n\nKeys: q quit, s sort, space freeze, "
				    "arrows and page keys scroll.",
				    opts);
	code = find_run(&top);
	if (!code)
		code = set_up(&top);
	if (!code)
		code = top.once || top.json ? print_once(&top) : watch_live(&top);
	tear_down(&top);
	return code;
}
