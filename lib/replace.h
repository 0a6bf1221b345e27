/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/replace.h - a file that is written whole or not at all.
 *
 * What is written goes to a file beside it, which takes its place in the end, with
 * its rights; a link stays and leads to the new one. Where the file system can, it
 * has no name until it is whole, so that a killed process leaves nothing. What is no regular file, a
 * device or a pipe, is written to as it is: a file put in its place would end it
 * for everybody.
 */
#ifndef KM_LIB_REPLACE_H
#define KM_LIB_REPLACE_H

#include <stdio.h>

#include "lib/base.h"

struct km_replace {
	int fd; /* where to write; -1 = closed */
	char *target, *temp; /* temp takes target's place; NULL = there is no place to take */
	bool nameless; /* temp is not there yet */
};

/**
 * km_replace_open() - @file->fd is open for writing, or nothing is left behind.
 * Return: 0; -errno.
 */
int km_replace_open(struct km_replace *file, const char *path) KM_MUST_CHECK;

/**
 * km_replace_settle() - all that was written is on the disk; fd is closed.
 * km_replace_commit() or km_replace_abandon() follows. Return: 0; -errno.
 */
int km_replace_settle(struct km_replace *file) KM_MUST_CHECK;

/** km_replace_commit() - it takes its place; on failure nothing is left. Return: 0; -errno. */
int km_replace_commit(struct km_replace *file) KM_MUST_CHECK;

/** km_replace_abandon() - as if it had never been, at any time after km_replace_open(). */
void km_replace_abandon(struct km_replace *file);

/** km_replace_end() - settle and commit; abandon when @err is not 0. Return: the first error. */
int km_replace_end(struct km_replace *file, int err) KM_MUST_CHECK;

/** km_replace_print() - the whole way, with what @print writes. Return: 0; -errno. */
int km_replace_print(const char *path, void (*print)(const void *ctx, FILE *to),
		     const void *ctx) KM_MUST_CHECK;

#endif
