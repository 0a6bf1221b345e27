/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/diag.h - what was wrong with an input, and where.
 */
#ifndef KM_LIB_DIAG_H
#define KM_LIB_DIAG_H

#include <stdint.h>

#include "lib/base.h"

struct km_diag {
	char file[256]; /* as given by the user; "" when not about a file */
	uint64_t line; /* from 1; 0 = the whole file */
	uint32_t column; /* from 1, in bytes of the line; 0 = the whole line */
	char reason[256]; /* what is wrong and, where known, the remedy */
};

/**
 * km_diag_set() - fill @diag; a NULL @diag is allowed and ignored.
 * @err: returned as it is, so that a caller can "return km_diag_set(...)".
 * Return: @err.
 */
int km_diag_set(struct km_diag *diag, int err, const char *file, uint64_t line, uint32_t column,
		const char *fmt, ...) KM_PRINTF(6, 7);

/**
 * km_diag_format() - "file:line:column: reason", leaving out what is 0 or "".
 * Return: @text.
 */
const char *km_diag_format(const struct km_diag *diag, char *text, size_t text_bytes);

#endif
