/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/base.h"

#include <stdio.h>
#include <stdlib.h>

void km_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "kamino: BUG at %s:%d: %s\n", file, line, what);
	abort();
}
