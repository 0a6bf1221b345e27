#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lint-form.sh - clang-format agrees with every C file.
#
# Usage: scripts/lint-form.sh [--fix] [file...]   default: every .c and .h of the tree
#
# --fix rewrites the files. Version 14 is the reference; others may differ in details.

set -u
cd "$(dirname "$0")/.." || exit 2

fix=0
if [ "${1:-}" = --fix ]; then
	fix=1
	shift
fi
if ! command -v clang-format >/dev/null 2>&1; then
	echo "lint-form: skipped, clang-format is missing"
	exit 0
fi
if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046
	set -- $(find lib ring numa alloc cache core place sim tools perf tests include \
		-name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
fi
if [ $fix -eq 1 ]; then
	exec clang-format -i "$@"
fi

status=0
for file in "$@"; do
	lines=$(clang-format "$file" | diff "$file" - | grep -c '^<')
	if [ "$lines" -gt 0 ]; then
		echo "$file: clang-format changes $lines lines; scripts/lint-form.sh --fix $file"
		status=1
	fi
done
exit $status
