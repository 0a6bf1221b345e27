/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/request_log.h"

#include <errno.h>
#include <stdlib.h>

#include "place/csv.h"

struct km_request_log {
	struct km_csv_writer *csv;
	const char *policy;
	uint64_t start_ns;
};

static const char *const column[] = {
	"policy",
	"request",
	"measured",
	"agent",
	"due_ns",
	"submitted_ns",
	"decided_ns",
	"start_ns",
	"end_ns",
	"outcome",
	"top_hit",
	"rule_hits",
	"rule_misses",
	"conflicts",
	"wait_ns_predicted",
	"remaining_ns_predicted",
	"processing_ns_predicted",
};

static const char *const outcome_name[KM_OUTCOME_NR] = {
	"pending", "placed", "no-room", "gave-up", "bad-request", "at-door",
};

int km_request_log_open(struct km_request_log **out, const char *path, struct km_diag *diag)
{
	struct km_request_log *log = calloc(1, sizeof(*log));
	size_t i;
	int err;

	if (!log)
		return -ENOMEM;
	err = km_csv_create(&log->csv, path, diag);
	if (err) {
		free(log);
		return err;
	}
	for (i = 0; i < KM_ARRAY_NR(column); i++)
		km_csv_text(log->csv, column[i]);
	km_csv_end_line(log->csv);
	*out = log;
	return 0;
}

void km_request_log_begin(struct km_request_log *log, const char *policy, uint64_t start_ns)
{
	log->policy = policy;
	log->start_ns = start_ns;
}

/* Nanoseconds since the run's start; a step that was not reached is left empty. */
static void put_time(struct km_request_log *log, uint64_t ns)
{
	if (ns)
		km_csv_number(log->csv, (int64_t)(ns - log->start_ns));
	else
		km_csv_text(log->csv, "");
}

void km_request_log_add(struct km_request_log *log, const struct km_req *req, uint64_t submitted_ns,
			bool measured)
{
	const struct km_decision *d = &req->decision;

	if (!log)
		return;
	km_csv_text(log->csv, log->policy);
	km_csv_number(log->csv, (int64_t)req->id);
	km_csv_number(log->csv, measured);
	if (d->agent_idx == UINT32_MAX)
		km_csv_text(log->csv, "");
	else
		km_csv_number(log->csv, d->agent_idx);
	put_time(log, req->due_ns);
	put_time(log, submitted_ns);
	put_time(log, d->decided_ns);
	put_time(log, req->start_ns);
	put_time(log, req->end_ns);
	km_csv_text(log->csv, outcome_name[req->outcome]);
	km_csv_number(log->csv, req->top_hit);
	km_csv_number(log->csv, req->rule_hits);
	km_csv_number(log->csv, req->rule_misses);
	km_csv_number(log->csv, req->conflicts);
	km_csv_number(log->csv, (int64_t)d->wait_ns);
	km_csv_number(log->csv, (int64_t)d->remaining_ns);
	km_csv_number(log->csv, (int64_t)d->processing_ns);
	km_csv_end_line(log->csv);
}

int km_request_log_close(struct km_request_log *log, struct km_diag *diag)
{
	int err = km_csv_settle(log->csv, diag);

	if (!err)
		err = km_csv_commit(log->csv, diag);
	free(log);
	return err;
}

void km_request_log_abandon(struct km_request_log *log)
{
	if (!log)
		return;
	km_csv_abandon(log->csv);
	free(log);
}
