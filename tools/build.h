/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/build.h - what this binary was built from and how.
 */
#ifndef KM_TOOLS_BUILD_H
#define KM_TOOLS_BUILD_H

struct km_build {
	const char *version;
	const char *revision; /* of the source; ends in "-dirty" when it had changes */
	const char *compiler;
	const char *flags;
	const char *features; /* the optional ones: "+name" or "-name", separated by blanks */
	const char *libraries; /* "name-version", separated by blanks */
	const char *sanitizer; /* "none" or as given to SAN= */
};

extern const struct km_build km_build;

#endif
