#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# flame-diff.sh - flame graphs of two revisions in one: what grew, what shrank.
#
#   perf/flame-diff.sh BUILD REVISION VERB [OPTION..]
#
# BUILD/flame/build is this tree's build; the revision is exported (perf/export.sh) and
# built with the same CC, CPPFLAGS and CFLAGS of the environment. Both run "kamino VERB .." ROUNDS= times (5) in turn,
# the order swapped each time, so that a slow spell of the host meets both.

set -eu
cd "$(dirname "$0")/.."
fail() {
	echo "flame-diff: $*" >&2
	exit 2
}

[ $# -ge 3 ] || fail "usage: perf/flame-diff.sh BUILD REVISION VERB [OPTION..]"
build=$1 base=$2
shift 2
rounds=${ROUNDS:-5}
case $rounds in
'' | *[!0-9]* | 0) fail "ROUNDS='$rounds' is no number of rounds" ;;
esac
hash=$(perf/export.sh "$build" "$base")
tree=$build/compare/$hash
make -s -C "$tree" O=flame REVISION="$hash" CC="$CC" CFLAGS="$CFLAGS" LDFLAGS=-no-pie all >"$tree/flame.log" 2>&1 || {
	tail -20 "$tree/flame.log" >&2
	fail "$base does not build; see $tree/flame.log"
}
out=$build/flame/diff-$hash
rm -rf "$out"

record() {
	case $1 in
	base) program=$tree/flame/kamino ;;
	new) program=$build/flame/build/kamino ;;
	esac
	perf/record.sh --out "$out/$1-$2" -- "$program" $options >/dev/null
}

# Words without blanks, as make hands them over.
options=$*
round=1
while [ $round -le "$rounds" ]; do
	case $((round % 2)) in
	1) record base $round && record new $round ;;
	0) record new $round && record base $round ;;
	esac
	round=$((round + 1))
done
set --
for side in "$out"/base-*/out.folded; do
	set -- "$@" --base "$side"
done
perf/flame.py --out "$out/flame.html" --title "kamino $options: $hash and this tree" \
	--note "base $hash, new $(git describe --always --dirty --abbrev=12)" "$@" "$out"/new-*/out.folded
echo "$out/flame.html"
