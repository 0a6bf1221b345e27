/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/segment.h - what a run shows of itself to other processes: one file in
 * shared memory, written by the run, mapped read-only by whoever looks.
 *
 *	head	written before the file has a name, never after
 *	seq	lib/seq.h: guards all that follows
 *	run	one struct km_seg_run
 *	agents	[agent_nr]
 *	decisions	[KM_SEG_DECIDED_NR] the newest, then [KM_SEG_DONE_NR] the last completed
 *
 * All behind the head is 64-bit words, so that it can be copied under the sequence
 * lock. The file is $KAMINO_SHM_DIR/kamino-PID (default /dev/shm), mode 0600, and gets
 * its name when it is complete. The writer holds a lock on it (flock()) for as long as it
 * lives, so a file whose lock is free is stale, whatever its pid means by now.
 *
 * A reader trusts nothing: the head is compared with the file's size before use, a
 * file that shrinks under the mapping ends the copy instead of the process, numbers are
 * bounded and texts made printable before anybody sees them.
 */
#ifndef KM_TOOLS_SEGMENT_H
#define KM_TOOLS_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/req.h"
#include "lib/diag.h"

#define KM_SEG_MAGIC "KAMSHOW" /* 8 bytes with the NUL */
#define KM_SEG_LAYOUT 2 /* goes up with every change of the structs below */
#define KM_SEG_AGENT_NR_MAX 10000
#define KM_SEG_DECIDED_NR 32
#define KM_SEG_DONE_NR 32
#define KM_SEG_DECISION_NR (KM_SEG_DECIDED_NR + KM_SEG_DONE_NR)

struct km_seg_head {
	char magic[8];
	uint32_t layout, head_bytes;
	uint32_t run_bytes, agent_bytes, decision_bytes, decision_nr;
	uint64_t file_bytes;
	uint64_t agent_nr;

	/* the process and what it was asked for */
	uint64_t pid, started_unix_ns, seed;
	char name[40]; /* --name, or "" */
	char version[40];
	char policies[120];
};

enum km_seg_state {
	KM_SEG_PREPARING, /* no runtime: setting up, or between two policies */
	KM_SEG_SERVING,
	KM_SEG_ENDED,
};

/* Sums over requests that came back. */
struct km_seg_judge {
	uint64_t done, top_right; /* top-level hit or miss as predicted */
	uint64_t error_ns, processing_ns; /* |predicted - real| and real processing time */
	uint64_t conflicts;
};

/* One policy's run; "then" is as it was window_ns ago. */
struct km_seg_run {
	uint64_t state; /* enum km_seg_state */
	uint64_t now_ns, now_mono_ns; /* of these figures: the run's clock, CLOCK_MONOTONIC */
	uint64_t begun_ns; /* when this policy's run began */
	uint64_t window_ns;
	char phase[48], policy[32];
	uint64_t phase_done, phase_all; /* of whatever the phase counts; 0 = nothing */
	uint64_t policy_idx, policy_nr; /* from 1; 0 = none of them */
	uint64_t server_nr, rule_nr, cache_bytes; /* of the zone; of one agent, hard */

	uint64_t submitted, waiting; /* waiting: not sent to any agent */
	uint64_t outcome[KM_OUTCOME_NR];
	uint64_t decided, decided_then;
	uint64_t decision_ns_p50, decision_ns_p99, decision_ns_max; /* since the beginning */
	uint64_t window_decision_ns_p50, window_decision_ns_p99;
	struct km_seg_judge judge, judge_then;
	uint64_t store_commits, store_over, store_affinity, store_duplicate, store_bad;

	uint64_t decided_nr, done_nr; /* entries of the two lists of decisions */
};

/* served counts requests, the rest their parts; each top-level miss looks up every rule. */
struct km_seg_counts {
	uint64_t served, top_hits, top_misses, rule_hits, busy_ns;
};

struct km_seg_agent {
	uint64_t cpu, node, owned; /* owned: it has its core to itself */
	uint64_t busy, queued_nr, wait_ns, remaining_ns, cache_bytes;
	struct km_seg_counts now, then;
};

/* One decision with its reasons; what is behind @done only when it is set. */
struct km_seg_decision {
	uint64_t req_id, type_id, decided_ns;
	uint64_t agent, runner_up; /* UINT32_MAX = none */
	uint64_t wait_ns, remaining_ns, processing_ns, margin_ns;
	uint64_t top_hit, rule_hit_nr; /* predicted */
	uint64_t done;
	uint64_t real_wait_ns, real_processing_ns; /* from the decision; of the service */
	uint64_t real_top_hit, real_rule_hits, outcome, conflicts;
	char type_name[64]; /* the traits that make the type, cut off at the end; "" = not known */
};

/* A block as the writer fills it and a reader gets it. */
struct km_seg_block {
	uint64_t *word; /* all of it; the others point into it */
	size_t word_nr;
	uint32_t agent_nr;
	struct km_seg_run *run;
	struct km_seg_agent *agent; /* [agent_nr] */
	struct km_seg_decision *decided, *done;
};

/** km_seg_block_init() - all zero. @agent_nr: at most KM_SEG_AGENT_NR_MAX. Return: 0; -ENOMEM. */
int km_seg_block_init(struct km_seg_block *block, uint32_t agent_nr) KM_MUST_CHECK;
void km_seg_block_fini(struct km_seg_block *block);

/* ---- the writer ------------------------------------------------------------------ */

struct km_segment;

/**
 * km_segment_create() - a file of this process, named and locked when it is complete.
 * @head: magic, layout, sizes and pid are filled in; the rest is the caller's.
 * Return: 0; -errno with the reason.
 */
int km_segment_create(struct km_segment **out, const struct km_seg_head *head,
		      struct km_diag *diag) KM_MUST_CHECK;

/** km_segment_write() - show @block. Progress: wait-free, no system call. */
void km_segment_write(struct km_segment *seg, const struct km_seg_block *block);

/** km_segment_path() - its name. */
const char *km_segment_path(const struct km_segment *seg);

/** km_segment_destroy() - unlink and free; NULL is allowed. */
void km_segment_destroy(struct km_segment *seg);

/** km_segment_clean() - remove what dead runs of this user left. Return: how many files. */
uint32_t km_segment_clean(void);

/* ---- readers --------------------------------------------------------------------- */

enum km_segment_kind {
	KM_SEGMENT_LIVE,
	KM_SEGMENT_STALE, /* its run has ended without removing it */
	KM_SEGMENT_BAD, /* it cannot be opened, or is none of ours */
};

struct km_segment_info {
	char path[256];
	uint64_t pid; /* of the file's name */
	enum km_segment_kind kind;
	struct km_seg_head head; /* unless bad */
	struct km_diag diag; /* why it is bad */
};

/**
 * km_segment_list() - every file named like a segment, by pid.
 * @out: [cap]; further ones are left out. Return: how many; -errno.
 */
int km_segment_list(struct km_segment_info *out, uint32_t cap, struct km_diag *diag) KM_MUST_CHECK;

/** km_segment_dir() - where they are looked for. */
const char *km_segment_dir(void);

/**
 * km_segment_open() - map a segment read-only and check its head.
 * Return: 0; -EACCES, -EINVAL, -errno with the reason.
 */
int km_segment_open(struct km_segment **out, const char *path, struct km_diag *diag) KM_MUST_CHECK;
void km_segment_close(struct km_segment *seg);

/** km_segment_head() - bounded and printable. */
const struct km_seg_head *km_segment_head(const struct km_segment *seg);

/** km_segment_is_live() - whether the process that wrote it is still there. */
bool km_segment_is_live(const struct km_segment *seg);

enum km_segment_read {
	KM_SEGMENT_READ, /* @block is whole, bounded and printable */
	KM_SEGMENT_BUSY, /* the writer was at it all the time; of a stale one: it died so */
	KM_SEGMENT_GONE, /* the file was cut short */
};

/**
 * km_segment_read() - copy what the run shows now.
 * @block: initialised for the head's agent_nr.
 * Context: one thread of the process; catches SIGBUS meanwhile. Waits up to 20 ms.
 */
enum km_segment_read km_segment_read(const struct km_segment *seg, struct km_seg_block *block);

#endif
