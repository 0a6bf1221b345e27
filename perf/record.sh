#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# record.sh - samples a command's stacks and draws them as a flame graph.
#
#   perf/record.sh [--out DIR] [--title TEXT] [--each-thread] [--] COMMAND [ARGUMENT..]
#   perf/record.sh [..] --pid PID [--seconds N]     a process that runs, for N seconds (10)
#   perf/record.sh --check      says whether that would work here, and what it would sample by
#
# Writes to DIR (perf-data in the build folder, which O= names as for make): out.folded
# (a stack a line, speedscope opens it), flame.html, perf.data, and stdout.txt, what
# the command printed. Samples by the processor's cycles, or by the clock where there are none, HZ= times a second (1999: odd, so that
# it does not run in step with the system's own ticks). Build what is to be seen as "make flame" does:
# see Documentation/profiling.md for why frame pointers alone are not enough.

set -u
here=$(dirname "$0")
perf=${PERF:-perf}
paranoid_file=/proc/sys/kernel/perf_event_paranoid

fail() {
	echo "record: $*" >&2
	exit 2
}

usage() {
	echo "usage: perf/record.sh [--out DIR] [--title TEXT] [--each-thread] [--] COMMAND [ARGUMENT..]" >&2
	echo "       perf/record.sh [..] --pid PID [--seconds N]" >&2
	echo "       perf/record.sh --check" >&2
	exit 2
}

# Sets $event; leaves when there is nothing to sample by.
choose_event() {
	command -v "$perf" >/dev/null 2>&1 ||
		fail "perf is missing: install the package linux-perf ('scripts/deps.sh perf' does)"
	tmp=$(mktemp -d) || exit 2
	trap 'rm -rf "$tmp"' EXIT
	if ! "$perf" record -q -N -e cpu-clock --call-graph fp -o "$tmp/data" -- true >"$tmp/out" 2>&1; then
		sed -n '/./{s/^/record: perf: /p;q;}' "$tmp/out" >&2
		fail "perf may not sample here: $paranoid_file is $(cat "$paranoid_file" 2>/dev/null || echo absent)." \
			"Run as root, or 'sysctl kernel.perf_event_paranoid=1' (2 shows no kernel);" \
			"in a container, allow perf_event_open or grant CAP_PERFMON"
	fi
	event=cpu-clock
	# perf stat says "<not supported>" where it has no number.
	case $("$perf" stat -x, -e cycles true 2>&1 >/dev/null) in
	[0-9]*) event=cycles ;;
	esac
}

choose_rate() {
	hz=${HZ:-1999}
	case $hz in
	'' | *[!0-9]*) fail "HZ='$hz' is no number" ;;
	esac
	max=$(cat /proc/sys/kernel/perf_event_max_sample_rate 2>/dev/null || echo "$hz")
	[ "$hz" -le "$max" ] || hz=$(((max - 1) | 1))
}

out=${O:-$here/../build}/perf-data
title=
pid=
seconds=10
fold_options=
while [ $# -gt 0 ]; do
	case $1 in
	--out | --title | --pid | --seconds)
		[ $# -ge 2 ] || usage
		case $1 in
		--out) out=$2 ;;
		--title) title=$2 ;;
		--pid) pid=$2 ;;
		--seconds) seconds=$2 ;;
		esac
		shift
		;;
	--each-thread) fold_options=--each-thread ;;
	--check)
		choose_event
		choose_rate
		echo "perf samples by $event, $hz times a second"
		exit 0
		;;
	--)
		shift
		break
		;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
if [ -n "$pid" ]; then
	[ $# -eq 0 ] || usage
	program=$(readlink "/proc/$pid/exe") || fail "no process $pid that we may look at"
	set -- sleep "$seconds"
	what="process $pid ($program)"
else
	[ $# -ge 1 ] || usage
	program=$(command -v "$1") || fail "no program '$1'"
	what=$*
fi
command -v python3 >/dev/null 2>&1 || fail "python3 is missing: install the package python3"
choose_event
choose_rate
mkdir -p "$out" || exit 2
echo "record: $what (by $event, $hz Hz), into $out" >&2
"$perf" record -q -N -F "$hz" -e "$event" --call-graph fp ${pid:+-p "$pid"} -o "$out/perf.data" \
	-- "$@" >"$out/stdout.txt" || {
	status=$?
	echo "record: '$what' ended with $status" >&2
	exit 1
}
"$perf" script -i "$out/perf.data" -F comm,tid,ip,sym,dso --no-inline 2>"$tmp/script" |
	"$here/fold.py" --binary "$program" $fold_options >"$tmp/folded" || {
	head -3 "$tmp/script" >&2
	fail "no samples: '$what' ended too soon, or perf lost them; give it more to do, or raise HZ="
}
mv "$tmp/folded" "$out/out.folded"
"$here/flame.py" --title "${title:-$what}" --out "$out/flame.html" --note "$what
by $event, $hz Hz, $(date -u '+%Y-%m-%d %H:%M') UTC, $(uname -sr)" "$out/out.folded" || exit 2
echo "$out/flame.html"
echo "$out/out.folded"
