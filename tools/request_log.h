/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/request_log.h - one CSV row a request, for a user's own statistics.
 *
 * The columns are in Documentation/formats.md. One thread.
 */
#ifndef KM_TOOLS_REQUEST_LOG_H
#define KM_TOOLS_REQUEST_LOG_H

#include "core/req.h"
#include "lib/diag.h"

struct km_request_log;

/**
 * km_request_log_open() - @path as km_csv_create() takes it.
 * Return: 0; -errno with the reason.
 */
int km_request_log_open(struct km_request_log **out, const char *path,
			struct km_diag *diag) KM_MUST_CHECK;

/** km_request_log_begin() - rows to come are of @policy's run, which starts at @start_ns. */
void km_request_log_begin(struct km_request_log *log, const char *policy, uint64_t start_ns);

/**
 * km_request_log_add() - one with its outcome; @log NULL: nothing.
 * @submitted_ns: when the client handed it in; 0 = not. @measured: the warm-up is over.
 */
void km_request_log_add(struct km_request_log *log, const struct km_req *req, uint64_t submitted_ns,
			bool measured);

/** km_request_log_close() - the file takes its path. Return: 0; -errno, and no file. */
int km_request_log_close(struct km_request_log *log, struct km_diag *diag) KM_MUST_CHECK;

/** km_request_log_abandon() - instead of close; NULL is allowed. */
void km_request_log_abandon(struct km_request_log *log);

#endif
