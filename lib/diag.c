/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/diag.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int km_diag_set(struct km_diag *diag, int err, const char *file, uint64_t line, uint32_t column,
		const char *fmt, ...)
{
	va_list args;

	if (!diag)
		return err;
	snprintf(diag->file, sizeof(diag->file), "%s", file ? file : "");
	diag->line = line;
	diag->column = column;
	va_start(args, fmt);
	vsnprintf(diag->reason, sizeof(diag->reason), fmt, args);
	va_end(args);
	return err;
}

const char *km_diag_format(const struct km_diag *diag, char *text, size_t text_bytes)
{
	if (!diag->file[0])
		snprintf(text, text_bytes, "%s", diag->reason);
	else if (!diag->line)
		snprintf(text, text_bytes, "%s: %s", diag->file, diag->reason);
	else if (!diag->column)
		snprintf(text, text_bytes, "%s:%" PRIu64 ": %s", diag->file, diag->line,
			 diag->reason);
	else
		snprintf(text, text_bytes, "%s:%" PRIu64 ":%" PRIu32 ": %s", diag->file, diag->line,
			 diag->column, diag->reason);
	return text;
}
