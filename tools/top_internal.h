/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top_internal.h - what the files of "kamino top" share.
 */
#ifndef KM_TOOLS_TOP_INTERNAL_H
#define KM_TOOLS_TOP_INTERNAL_H

#include "tools/json.h"
#include "tools/segment.h"

/* ---- top.c: a look at a run ---- */

struct top_look {
	const struct km_seg_head *head;
	struct km_seg_block block;
	const char *
		trouble; /* why the figures are old: "the run has ended", ...; NULL = they are not */
	double age_s; /* of the figures */
};

enum top_sort {
	TOP_BY_QUEUE,
	TOP_BY_WAIT,
	TOP_BY_RATE,
	TOP_BY_BUSY,
	TOP_BY_HITS,
	TOP_BY_AGENT,
	TOP_SORT_NR
};

/* ---- top_figures.c: what follows from a look ---- */

/* Of one agent; rates are of the window, hit rates since the policy's run began. */
struct top_agent {
	uint32_t idx;
	uint64_t queued_nr, queue_ns; /* with the request in service: how many, how long */
	double done_per_s, busy_share, top_rate, rule_rate; /* NAN = nothing to tell it from */
};

struct top_figures {
	uint64_t done, refused, in_flight;
	double window_s, decided_per_s, done_per_s;
	double top_rate, rule_rate;
	double time_error, event_accuracy; /* of the window */
	double time_error_all, event_accuracy_all;
	uint64_t served;
	struct top_agent *agent; /* [block->agent_nr], sorted */
	struct km_seg_decision *decision; /* newest first */
	uint32_t decision_nr;
};

/** top_figures_init() - room for @agent_nr agents. Return: 0; -ENOMEM. */
int top_figures_init(struct top_figures *fig, uint32_t agent_nr) KM_MUST_CHECK;
void top_figures_fini(struct top_figures *fig);

/** top_figures_make() - from what a run shows, bounded or not. */
void top_figures_make(struct top_figures *fig, const struct km_seg_block *block,
		      enum top_sort sort);

/* ---- top_page.c: lines of text ---- */

#define TOP_COLUMN_NR 80
#define TOP_LINE_BYTES 256

enum top_style { TOP_PLAIN, TOP_BOLD, TOP_BAR, TOP_ALARM };

struct top_line {
	char text[TOP_LINE_BYTES];
	enum top_style style;
};

struct top_page_cfg {
	const struct top_look *look;
	const struct top_figures *fig;
	enum top_sort sort;
	bool frozen;
	uint32_t first; /* agent row on top */
	uint32_t agent_rows, decision_rows; /* at most */
};

/** top_page_make() - Return: how many of @line [@cap] were filled. */
uint32_t top_page_make(const struct top_page_cfg *cfg, struct top_line *line, uint32_t cap);

/** top_sort_name() - for the head of the table. */
const char *top_sort_name(enum top_sort sort);

/** top_outcome_name() - of a completed request. */
const char *top_outcome_name(uint64_t outcome);

/** top_json() - the results of --once --json. Return: a new object; NULL without memory. */
json_t *top_json(const struct top_look *look, const struct top_figures *fig);

/* ---- top_screen.c: the terminal; the only user of curses ---- */

enum top_key {
	TOP_KEY_NONE,
	TOP_KEY_QUIT,
	TOP_KEY_SORT,
	TOP_KEY_FREEZE,
	TOP_KEY_UP,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_REDRAW, /* also after a resize */
};

/** top_screen_open() - take the terminal. Return: 0; -ENOSYS, -ENOTTY with the reason. */
int top_screen_open(struct km_diag *diag) KM_MUST_CHECK;
/** top_screen_close() - give it back as it was. */
void top_screen_close(void);
/** top_screen_size() - now. */
void top_screen_size(uint32_t *rows, uint32_t *columns);
/** top_screen_show() - these lines, and below them nothing but @foot on the last row. */
void top_screen_show(const struct top_line *line, uint32_t nr, const char *foot);
/** top_screen_key() - the next key, waiting at most @wait_ms for it. */
enum top_key top_screen_key(int wait_ms);

#endif
