#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/cli/topo_test.sh - "kamino topo", "version", "help" and wrong usage.
# TAP on stdout; the binary in $KAMINO.

KAMINO=${KAMINO:-build/kamino}
out=$(mktemp) || exit 1
err=$(mktemp) || exit 1
trap 'rm -f "$out" "$err"' EXIT
nr=0

report() { # report STATUS NAME
	nr=$((nr + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		sed 's/^/# /' "$err"
	fi
}

skip() {
	nr=$((nr + 1))
	echo "ok $nr - $1 # SKIP $2"
}

# exits CODE NAME ARGS... : the exit code, and messages only where they belong.
exits() {
	want=$1 name=$2
	shift 2
	"$KAMINO" "$@" >"$out" 2>"$err"
	got=$?
	if [ "$got" -ne "$want" ]; then
		echo "# exit $got, not $want"
		report 1 "$name"
	elif [ "$want" -ne 0 ] && { [ -s "$out" ] || ! [ -s "$err" ]; }; then
		echo "# a refusal goes to stderr alone"
		report 1 "$name"
	elif [ "$want" -eq 0 ] && { [ -s "$err" ] || ! [ -s "$out" ]; }; then
		echo "# a result goes to stdout alone"
		report 1 "$name"
	else
		report 0 "$name"
	fi
}

# says WORDS NAME : the last refusal or result has them.
says() {
	cat "$out" "$err" | grep -qF -- "$1"
	report $? "$2"
}

# json NAME EXPRESSION ARGS... : of the document d and its results r.
json() {
	name=$1 expression=$2
	shift 2
	if ! command -v python3 >/dev/null; then
		skip "$name" "no python3"
		return
	fi
	"$KAMINO" "$@" --json 2>"$err" | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert set(d) >= {"schema", "command", "host", "params", "results"}, "envelope"
r = d["results"]
assert eval("(" + sys.argv[1] + ")"), json.dumps(r)[:400]
' "$expression" 2>>"$err"
	report $? "$name"
}

exits 0 "topo prints this machine" topo
says "this machine:" "it says that the machine is real"
exits 0 "topo prints a pretended machine" topo --synthetic "pack:2 core:2 pu:1" --agents 3
says "pretended machine: 1 node, 2 packages" "it says that the machine is not real"
exits 0 "topo has a help text" topo --help
says "--synthetic" "the help text lists the options"
exits 0 "version prints" version
says "jemalloc" "version lists the libraries"
exits 0 "help prints" help
exits 0 "help of a verb prints" help topo

exits 2 "no verb is wrong usage"
exits 2 "an unknown verb is wrong usage" tpoo
says "did you mean 'topo'" "a typo gets a suggestion"
exits 2 "help of an unknown verb is wrong usage" help tpoo
exits 2 "an unknown option is wrong usage" topo --agnets 3
says "did you mean --agents" "a typo in an option gets a suggestion"
exits 2 "no agents is wrong usage" topo --agents 0
exits 2 "a million and more agents is wrong usage" topo --agents 2M
exits 2 "agents that are no number are wrong usage" topo --agents many
exits 2 "a missing value is wrong usage" topo --agents
exits 2 "an argument too many is wrong usage" topo here
exits 2 "a bad description is wrong usage" topo --synthetic bogus
exits 2 "an empty description is wrong usage" topo --synthetic ""
exits 2 "two machines are wrong usage" topo --synthetic pu:1 --xml x.xml
exits 1 "a missing file fails" topo --xml no/such/file.xml
says "no/such/file.xml" "the message names the file"
exits 1 "a file that is no topology fails" topo --xml "$0"
if [ -w /dev/full ]; then
	"$KAMINO" topo >/dev/full 2>"$err"
	[ $? -eq 1 ]
	report $? "a full disk fails"
else
	skip "a full disk fails" "no /dev/full"
fi

json "topo: envelope" 'd["schema"] == "kamino/1" and d["command"] == "topo"' topo
json "topo: the host is described" \
	'{"cpu", "cores", "kernel", "governor", "memory_bytes", "compiler", "flags",
	  "version", "revision", "clock"} <= set(d["host"])' topo
json "topo: by default one core is the dispatcher's" \
	'len(r["agents"]) == max(1, r["cores"] - 1)' topo
json "topo: eight sockets" \
	'(r["nodes"], r["packages"], r["l3_groups"], r["cores"], r["cpus"]) == (8, 8, 24, 192, 384)
	 and not r["oversubscribed"]' \
	topo --synthetic "pack:8 [numa:1] l3:3 core:8 pu:2" --agents 100
json "topo: agents are numbered and own their cores" \
	'[a["agent"] for a in r["agents"]] == list(range(100))
	 and len({a["core"] for a in r["agents"]}
		 | {r["dispatcher"]["core"]}) == 101
	 and all(a["owned"] for a in r["agents"])' \
	topo --synthetic "pack:8 [numa:1] l3:3 core:8 pu:2" --agents 100
json "topo: the dispatcher has a CPU and a node" \
	'{"cpu", "node"} <= set(r["dispatcher"])' topo
json "topo: more agents than cores own nothing" \
	'r["oversubscribed"] and not any(a["owned"] for a in r["agents"])' \
	topo --synthetic "core:2 pu:1" --agents 4
json "version: libraries" '"hwloc" in r["libraries"]' version

echo "1..$nr"
