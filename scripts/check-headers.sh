#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-headers.sh - every header compiles alone: it includes what it uses.
#
# Usage: CC=gcc scripts/check-headers.sh [header...]   default: every header of the tree
#
# Warnings count, except for what a header defines and does not use itself.

set -u
cd "$(dirname "$0")/.." || exit 2

cc=${CC:-gcc}
cflags=$(pkg-config --cflags liburcu-qsbr jemalloc hwloc jansson inih libxxhash zlib sqlite3 \
	cmocka 2>/dev/null)

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046
	set -- $(find lib ring numa alloc cache core place sim tools perf tests include \
		-name '*.h' 2>/dev/null | LC_ALL=C sort)
fi

status=0
for header in "$@"; do
	# Included, not compiled itself: twice, so that a missing guard shows as well.
	# shellcheck disable=SC2086
	if ! printf '#include "%s"\n#include "%s"\nextern int km_not_empty;\n' "$header" "$header" |
		$cc -std=gnu11 -Wall -Wextra -Werror -Wundef -Wstrict-prototypes -Wno-unused \
			-I. -D_GNU_SOURCE $cflags -fsyntax-only -x c -; then
		echo "$header: does not compile alone"
		status=1
	fi
done
exit $status
