#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-litmus.sh - the models in Documentation/litmus hold, and fail where they shall.
#
# A model's head says which -D make it fail, in lines "-DNAME<tab>a lost ...".
# Needs spin (and a C compiler); without it the checks are skipped. Prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
models=Documentation/litmus
nr=0
failed=0

if ! command -v spin >/dev/null 2>&1; then
	echo "1..0 # SKIP spin is not installed (Debian: apt-get install spin)"
	exit 0
fi
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

say() { # ok|not ok, text
	nr=$((nr + 1))
	echo "$1 $nr - $2"
	[ "$1" = ok ] || failed=1
}

# Prints the number of errors that spin finds, nothing when it did not run through.
errors() { # model, -DNAME or nothing
	(cp "$1" "$out/model.pml" && cd "$out" && rm -f pan* &&
		spin ${2:+"$2"} -a model.pml >spin.log 2>&1 &&
		${CC:-cc} -O1 -DSAFETY -w -o pan pan.c >>spin.log 2>&1 &&
		./pan -m100000 >pan.log 2>&1
		if grep -q 'max search depth too small\|out of memory' pan.log; then exit 0; fi
		sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
}

for model in "$models"/*.pml; do
	name=$(basename "$model")
	if [ "$(errors "$model")" = 0 ]; then
		say ok "$name holds"
	else
		say "not ok" "$name does not hold, or does not run"
		sed 's/^/# /' "$out/spin.log" "$out/pan.log" 2>/dev/null | head -n 30
	fi
	for twin in $(sed -n 's/^ \*[[:space:]]*\(-D[A-Z0-9_]*\)[[:space:]].*/\1/p' "$model"); do
		found=$(errors "$model" "$twin")
		if [ -n "$found" ] && [ "$found" -gt 0 ]; then
			say ok "$name with $twin: spin finds the counterexample"
		else
			say "not ok" "$name with $twin: no counterexample"
		fi
	done
done
echo "1..$nr"
exit $failed
