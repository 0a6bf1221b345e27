#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# compare.sh - builds another revision beside this tree and compares benchmarks.
#
#   perf/compare.sh BUILD REVISION [compare.py's options] -- bench NAME [options]
#
# The revision is exported to BUILD/compare/HASH and built with this tree's
# flags; it stays there, so the next comparison with it starts at once.

set -eu
cd "$(dirname "$0")/.."
fail() {
	echo "compare: $*" >&2
	exit 2
}

[ $# -ge 3 ] || fail "usage: perf/compare.sh BUILD REVISION [options] -- bench NAME [options]"
out=$1 base=$2
shift 2
[ -x "$out/kamino" ] || fail "no $out/kamino: run 'make' first"
hash=$(perf/export.sh "$out" "$base")
tree=$out/compare/$hash
make -s -C "$tree" O=build REVISION="$hash" all >"$tree/build.log" 2>&1 || {
	tail -20 "$tree/build.log" >&2
	fail "$base does not build; see $tree/build.log"
}
exec perf/compare.py --base "$tree/build/kamino" --new "$out/kamino" "$@"
