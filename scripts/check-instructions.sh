#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-instructions.sh - instructions a decision executes, held against perf/instructions.txt.
#
# Usage: KAMINO=build/kamino scripts/check-instructions.sh [--update]
#
# Runs perf/decision_probe, which does the same each time, under callgrind and counts what
# km_stage_place() executes: from the end of classification to the handle in the ring. In
# rows whose path is sim:POLICY, what kamino sim executes for a request of zone3: the
# difference of two lengths. A cell fails when it needs a quarter more than the file says,
# so that a machine's noise has no part in it. --update writes what was counted. Last, that
# what a decision reads is fetched before it. Prints TAP.
#
# The figures are those of gcc at -O2: other compilers and sanitizers are skipped. Not
# counted: AVX-512, which valgrind does not run, and the time of a cache miss.

set -u
cd "$(dirname "$0")/.." || exit 2

kamino=${KAMINO:-build/kamino}
probe=$(dirname "$kamino")/perf/decision_probe
file=perf/instructions.txt

skip() {
	echo "1..0 # SKIP $1"
	exit 0
}

command -v valgrind >/dev/null 2>&1 || skip "valgrind is missing"
[ -x "$probe" ] || skip "no $probe; run 'make perf'"
"$kamino" version | grep -qi 'gcc\|GNU' || skip "not built by gcc"
"$kamino" version | grep -q -- '-O2' || skip "not built with -O2"
"$kamino" version | grep -qi 'sanitizer.*\(address\|thread\|undefined\)' && skip "built with a sanitizer"

out=$(mktemp) || exit 2
new=$(mktemp) || exit 2
trap 'rm -f "$out" "$new"' EXIT
grep '^#' "$file" >"$new"
cells=$(grep -v '^#' "$file")
echo "1..$(($(echo "$cells" | wc -l) + 1))"

sim_requests=20000

# The instructions of a simulation of $1 requests, or of nothing.
sim_count() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$kamino" sim --threads 1 --policy "${path#sim:}" \
		--agents "$agents" --types "$types" --set "rules=$rules" --requests "$1" 2>&1 >/dev/null |
		sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

nr=0
failed=0
while read -r path agents rules types bound; do
	nr=$((nr + 1))
	name="$path, $agents agents, $rules rules, $types types"
	if [ "${path#sim:}" != "$path" ]; then
		short=$(sim_count $sim_requests)
		long=$(sim_count $((2 * sim_requests)))
		count=$(((${long:-0} - ${short:-0}) / sim_requests))
	elif ! valgrind --tool=callgrind --toggle-collect=km_stage_place --callgrind-out-file=/dev/null \
		"$probe" "$agents" "$rules" "$types" 8000 latcache-rule "$path" >"$out" 2>&1; then
		if grep -q '^usage' "$out"; then
			echo "ok $nr - $name # SKIP this host cannot run $path"
			echo "$path $agents $rules $types $bound" >>"$new"
			continue
		fi
		echo "not ok $nr - $name"
		sed 's/^/# /' "$out"
		failed=1
		continue
	else
		count=$(sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' "$out")
		count=$((count / 8000))
	fi
	echo "$path $agents $rules $types $count" >>"$new"
	if [ "$count" -eq 0 ] || [ $((count * 4)) -gt $((bound * 5)) ]; then
		echo "not ok $nr - $name: $count instructions, $bound are on file"
		failed=1
	else
		echo "ok $nr - $name: $count instructions, $bound are on file"
	fi
done <<CELLS
$cells
CELLS
# A compiler once took the function that fetches them for one without effect, and no count told.
nr=$((nr + 1))
name="classification fetches the lines that the decision reads"
if [ "$(uname -m)" != x86_64 ] || ! command -v objdump >/dev/null 2>&1; then
	echo "ok $nr - $name # SKIP looked for in x86 code, with objdump"
elif objdump -d --disassemble=km_dispatch_classify "$kamino" | grep -q prefetch; then
	echo "ok $nr - $name"
else
	echo "not ok $nr - $name: no prefetch in km_dispatch_classify()"
	failed=1
fi
if [ "${1:-}" = --update ]; then
	cat "$new" >"$file"
	exit 0
fi
exit $failed
