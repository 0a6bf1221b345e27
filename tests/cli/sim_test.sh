#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/cli/sim_test.sh - "kamino sim": documents, determinism, wrong usage, bad input.
# TAP on stdout; the binary in $KAMINO. Short days, so that it takes seconds.

KAMINO=${KAMINO:-build/kamino}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
out=$dir/out err=$dir/err
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

exits() { # exits CODE NAME ARGS...
	want=$1 name=$2
	shift 2
	timeout 60 "$KAMINO" sim "$@" >"$out" 2>"$err"
	got=$?
	[ "$got" -eq "$want" ] || echo "# exit $got, not $want"
	[ "$got" -eq "$want" ] && { [ "$want" -eq 0 ] || { [ ! -s "$out" ] && [ -s "$err" ]; }; }
	report $? "$name"
}

says() { # says WORDS NAME: the last refusal or result has them
	cat "$out" "$err" | grep -qF -- "$1"
	report $? "$2"
}

json() { # json NAME EXPRESSION ARGS...: of the document d and its results r
	name=$1 expression=$2
	shift 2
	if ! command -v python3 >/dev/null; then
		skip "$name" "no python3"
		return
	fi
	timeout 100 "$KAMINO" sim "$@" --json 2>"$err" | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert set(d) >= {"schema", "command", "host", "params", "results"}, "envelope"
r = d["results"]
cells = {(c["figure"], c["row"], c["column"]): c for c in r if "figure" in c}
assert eval("(" + sys.argv[1] + ")"), json.dumps(r)[:600]
' "$expression" 2>>"$err"
	report $? "$name"
}

without_host() { # without_host FILE
	python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
del d["host"]
print(json.dumps(d, sort_keys=True))' "$1"
}

same() { # same NAME, of $dir/a and $dir/b
	if ! command -v python3 >/dev/null; then
		skip "$1" "no python3"
		return
	fi
	without_host "$dir/a" >"$dir/a.cut" 2>"$err" && without_host "$dir/b" >"$dir/b.cut" 2>"$err" &&
		[ -s "$dir/a.cut" ] && cmp "$dir/a.cut" "$dir/b.cut" >"$err" 2>&1
	report $? "$1"
}

exits 0 "a plain simulation" --hours 0.2
says "latcache-rule" "has a row for every policy"
exits 0 "a help text" --help
says "--zone-file" "that lists the options"
json "the keys that are promised" \
	'len(r) == 7 and all({"policy", "agents", "submitted", "completed", "refused", "lost",
	  "latency_us", "wait_us", "processing_us", "top_hit_rate", "rule_hit_rate",
	  "cache_bytes_mean", "cache_bytes_max", "events_per_s"} <= set(x)
	  and {"mean", "p50", "p90", "p99", "max"} <= set(x["latency_us"])
	  and x["submitted"] == x["completed"] + x["refused"] and x["lost"] == 0 for x in r)' \
	--hours 0.2
json "all and a name are each policy once" \
	'[x["policy"] for x in r] == ["jsq", "protean", "random", "rr", "hash-ws", "latcache-request",
	  "latcache-rule", "naive"]' --hours 0.05 --policy jsq,all,rr
json "agents and loads are lists" 'len(r) == 4 and [x["agents"] for x in r] == [2, 300, 2, 300]' \
	--hours 0.1 --agents 2,300 --load 1,2 --policy rr
json "every policy of both lists runs with the invariants verified" 'len(r) == 5' \
	--hours 0.1 --check --policy jsq,p2c,bounded-hash,affinity,latcache-future
json "accuracy" '0 < r[0]["accuracy"]["best_agent_rate"] <= 1 and r[0]["accuracy"]["judged"] > 0' \
	--hours 0.2 --accuracy --policy latcache-rule
json "conflicts happen when asked for" 'r[0]["conflicts"] > 0 and r[0]["lost"] == 0' \
	--hours 0.5 --conflicts 20 --policy protean
json "an experiment has ours and the paper's" \
	'cells["table3", "latcache-rule", "top_hit_pct"]["paper"] == 95.0
	 and cells["fig8", "protean", "wait"]["paper"] == 0.67
	 and abs(cells["fig8", "protean", "wait"]["ours"] + cells["fig8", "protean", "processing"]["ours"]
		 - 1) < 1e-9
	 and all(c["ours"] is not None for c in r)' \
	--experiment table3,fig8 --set hours=0.2

json "figure 2 has the rows that --agents asks for" '{c["row"] for c in r} == {"4", "10"}' \
	--experiment fig2 --agents 4,10 --set hours=0.2
json "the order of policies is counted over zones" \
	'cells["order", "latcache-rule", "p90_over_hash-ws"]["paper"] == 6
	 and 0 <= cells["order", "latcache-rule", "p90_over_hash-ws"]["ours"] <= 6
	 and cells["order", "pairs", "on_every_zone"]["paper"] == len(r) - 1' \
	--experiment order --set hours=0.2

timeout 60 "$KAMINO" sim --hours 0.3 --json --threads 1 >"$dir/a" 2>"$err"
timeout 60 "$KAMINO" sim --hours 0.3 --json --threads 1 >"$dir/b" 2>"$err"
same "the same document twice, but for the host"
timeout 60 "$KAMINO" sim --hours 0.3 --json --threads 3 >"$dir/b" 2>"$err"
same "the same document with more threads"
timeout 60 "$KAMINO" sim --experiment fig6 --set hours=0.1 --json --threads 1 >"$dir/a" 2>"$err"
timeout 60 "$KAMINO" sim --experiment fig6 --set hours=0.1 --json --threads 2 >"$dir/b" 2>"$err"
same "the same experiment with more threads"
timeout 60 "$KAMINO" sim --print-zones >"$dir/zones" 2>"$err"
timeout 60 "$KAMINO" sim --zone zone2 --hours 0.1 --json >"$dir/a" 2>"$err"
timeout 60 "$KAMINO" sim --zone-file "$dir/zones" --zone zone2 --hours 0.1 --json 2>"$err" |
	sed 's|"zone_file": "[^"]*"|"zone_file": null|' >"$dir/b"
same "a printed zone simulates like the built-in one"

# A trace of one's own.
{
	echo "at_us,op,vm,cpu,memory,kind"
	i=0
	while [ $i -lt 300 ]; do
		echo "$((i * 50000)),create,v$i,$((i % 5 + 1)),$((i % 3 + 1)),k$((i % 7))"
		[ $i -gt 50 ] && echo "$((i * 50000)),delete,v$((i - 50)),,,"
		i=$((i + 1))
	done
} >"$dir/trace.csv"
json "a trace" 'r[0]["submitted"] == 300 and r[0]["completed"] == 300 and r[0]["top_hit_rate"] > 0.2' \
	--trace "$dir/trace.csv" --policy latcache-rule
json "a trace faster" '1.4 < r[0]["virtual_s"] < 14' \
	--trace "$dir/trace.csv" --policy latcache-rule --compress 10
json "a trace whose compression is chosen: as busy as it is said to be" \
	'len(r) == 4 and [x["agents"] for x in r] == [1, 1, 64, 64]
	 and all(x["unstable"] is False and x["submitted"] == x["completed"] == 300 for x in r)
	 and 0.35 < r[0]["busy"] < 0.65 and r[0]["compress"] < r[2]["compress"]
	 and r[0]["cache_bytes"] == r[2]["cache_bytes"] and d["params"]["trace"].endswith("trace.csv")' \
	--trace "$dir/trace.csv" --policy rr,latcache-rule --agents 1,64
exits 0 "the same as a table" --trace "$dir/trace.csv" --policy rr --agents 16
says "time compressed" "says the compression"
says "trace    rr" "and names the trace"
exits 0 "a trace pressed too much ends" --trace "$dir/trace.csv" --policy rr,jsq --agents 1 --compress 1e6
says "no queue is stable" "and it is said that no policy keeps up"
exits 1 "a trace that is none fails" --trace "$0"
head -n 1 "$dir/trace.csv" >"$dir/empty.csv"
exits 1 "a trace without requests fails" --trace "$dir/empty.csv"
says "no request" "and says so"
exits 1 "a missing trace fails" --trace "$dir/nothing"
echo "kamino-costs 1" >"$dir/costs"
exits 1 "a cut-off cost profile fails" --trace "$dir/trace.csv" --costs "$dir/costs"
says "costs:" "and is named"
printf 'kamino-costs 1\nhandover own never 1 1 1 1 1 1 1 1 1 1 1\nend\n' >"$dir/costs"
exits 1 "a hand-over of no known kind fails" --trace "$dir/trace.csv" --costs "$dir/costs"
says "unknown kind of hand-over" "and says why"

exits 2 "an unknown policy is wrong usage" --policy latcach-rule
says "did you mean 'latcache-rule'" "and gets a suggestion"
exits 2 "one that is like none is wrong usage" --policy zzzzzz
says "latcache-request" "and is told which there are"
exits 2 "an unknown zone is wrong usage" --zone zone33
says "did you mean 'zone3'" "and gets a suggestion"
exits 2 "an unknown experiment is wrong usage" --experiment fig66
says "did you mean 'fig6'" "and gets a suggestion"
for option in --requests=5 --load=2 --trace=x --costs=x --cache=1GiB --conflicts=2 --accuracy; do
	exits 2 "an experiment refuses $option, which it would not heed" --experiment fig6 $option
done
exits 2 "a zone like none is wrong usage" --zone nowhere
says "print-zones" "and is told where they stand"
exits 2 "an unknown option is wrong usage" --polciy rr
exits 2 "no agents is wrong usage" --agents 0
exits 2 "too many agents is wrong usage" --agents 5000
says "4096" "and the bound is named"
exits 2 "half an agent is wrong usage" --agents 1.5
says "whole number" "and is said"
exits 2 "more agents and types than the machine holds is wrong usage" --agents 4096 --types 1000000 \
	--set families=1000,tenants=1000
says "fewer agents or types" "with the remedy"
exits 2 "agents that are no number are wrong usage" --agents 4,many
exits 2 "no types is wrong usage" --types 0
exits 2 "no load is wrong usage" --load 0
exits 2 "a zone has no such parameter" --set tpyes=5
says "did you mean 'types'" "and gets a suggestion"
exits 2 "a parameter out of bounds is wrong usage" --set skew=-1
printf '[a]\nrate_per_s = fast\n' >"$dir/zone"
exits 2 "a broken zone file is wrong usage" --zone-file "$dir/zone"
says "zone:2:1:" "with the line"
printf '[a\033[31m]\ntypes = 9\n' >"$dir/zone"
exits 2 "a zone's name may not steer the terminal" --zone-file "$dir/zone"
printf '[a]\nfamilies = 1\nsizes = 1\ntenants = 1\n' >"$dir/zone"
exits 2 "an impossible zone is wrong usage" --zone-file "$dir/zone"
says "more than its trait values make" "and says why"
printf '[a]\ntypes = 0\n' >"$dir/zone"
exits 2 "a zone without types is wrong usage" --zone-file "$dir/zone"
says "types" "and is named"
exits 1 "a missing zone file fails" --zone-file "$dir/nothing"
exits 0 "a load that nobody can serve ends" --load 200 --requests 40000 --policy protean
says "more work than the agents can do" "and is said"

echo "1..$nr"
