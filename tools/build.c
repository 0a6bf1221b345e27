/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/build.c - the one file that is compiled anew when the revision changes;
 * the Makefile hands it the texts.
 */
#include "tools/build.h"

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

const struct km_build km_build = {
	.version = KM_VERSION,
	.revision = KM_REVISION,
	.compiler = COMPILER,
	.flags = KM_FLAGS,
	.features = KM_FEATURES,
	.libraries = KM_LIBRARIES,
	.sanitizer = KM_SANITIZER,
};
