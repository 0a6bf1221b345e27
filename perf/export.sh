#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# export.sh - another revision's tree beside this one, for a comparison.
#
#   perf/export.sh BUILD REVISION    prints its twelve digits; the tree is BUILD/compare/DIGITS
#
# It stays there, so that the next comparison with it need not build it again. What git
# says of an exported tree would be this tree's, hence build it with REVISION=DIGITS.

set -eu
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || {
	echo "usage: perf/export.sh BUILD REVISION" >&2
	exit 2
}
hash=$(git rev-parse --verify --quiet --short=12 "$2^{commit}") || {
	echo "compare: '$2' is no revision of this repository" >&2
	exit 2
}
tree=$1/compare/$hash
if [ ! -d "$tree" ]; then
	rm -rf "$tree.part"
	mkdir -p "$tree.part"
	git archive "$hash" | tar -x -C "$tree.part"
	mv "$tree.part" "$tree"
fi
echo "$hash"
