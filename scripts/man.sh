#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# scripts/man.sh - man pages from what the command says of itself.
#
#   scripts/man.sh KAMINO DIR [DATE]     DIR/kamino.1 and DIR/kamino-VERB.1
#
# DATE is YYYY-MM-DD (today). Usage, text and options come from --help, so a page says
# what the binary does; only the example of each verb stands here (tests/cli/man_test.py
# runs them). help2man has no synopsis for "usage: kamino VERB" and names every page KAMINO.

set -eu
[ $# -ge 2 ] || { echo "usage: scripts/man.sh KAMINO DIR [DATE]" >&2; exit 2; }
kamino=$1 dir=$2 date=${3:-$(date -u +%Y-%m-%d)}
version=$("$kamino" version | sed -n '1s/^kamino \([^ ]*\).*/\1/p')

examples() {
	cat <<-'LIST'
		run      kamino run --servers 2000 --requests 2000 --policy rr,latcache-rule
		sim      kamino sim --zone zone3 --hours 0.5 --policy all --json > sim.json
		bench    kamino bench dispatch --agents 4,64 --samples 4000 --no-naive
		report   kamino report sim.json -o sim.html
		top      kamino top --once --agents 50
		topo     kamino topo --synthetic 'pack:2 [numa:1] l3:4 core:8 pu:2' --agents 40
		trace    kamino trace synth --servers 2000 --requests 5000 --out t.csv.gz --inventory-out i.csv.gz
		version  kamino version --json
	LIST
}

# A text of --help as man(7): its first line is the synopsis, or with part=1 left out.
body() {
	awk -v part="${1:-}" '
	function plain(text) {
		gsub(/\\/, "\\e", text)
		gsub(/-/, "\\-", text)
		gsub(/'\''/, "\\(aq", text)
		sub(/^[.]/, "\\\\\\&.", text)
		return text
	}
	function entry(head, text) {
		print ".TP"
		print head
		print plain(text)
		said = 1
		gap = 0
	}
	NR == 1 {
		sub(/^usage: /, "")
		if (part)
			next
		print ".SH SYNOPSIS"
		n = split($0, word, " ")
		line = ""
		for (i = 1; i <= n; i++)
			line = line (i > 1 ? " " : "") (word[i] ~ /^[a-z]+$/ ? "\\fB" word[i] "\\fR" : plain(word[i]))
		print line
		print ".SH DESCRIPTION"
		next
	}
	/^$/ { gap = 1; next }
	/^  --/ { # an option, its value, what it does
		if (!part && !options++)
			print ".SH OPTIONS"
		head = "\\fB" plain($1) "\\fR"
		sub(/^  [^ ]+/, "")
		if ($0 ~ /^ [^ ]/) {
			head = head " \\fI" plain($1) "\\fR"
			sub(/^ [^ ]+/, "")
		}
		sub(/^ +/, "")
		entry(head, $0)
		next
	}
	/^(  )?[a-z][a-z0-9]*  +[^ ]/ { # a name and what it is
		head = "\\fB" $1 "\\fR"
		sub(/^ *[^ ]+ +/, "")
		entry(head, $0)
		next
	}
	{
		if (gap && said)
			print ".PP"
		said = 1
		gap = 0
		sub(/^ +/, "")
		print plain($0)
	}'
}

page() { # page NAME SUMMARY; the rest on stdin
	printf '.TH %s 1 "%s" "kamino %s" "User Commands"\n' \
		"$(echo "$1" | tr 'a-z' 'A-Z' | sed 's/-/\\-/g')" "$date" "$version"
	printf '.SH NAME\n%s \\- %s\n' "$(echo "$1" | sed 's/-/\\-/g')" "$(echo "$2" | sed 's/-/\\-/g')"
	cat
	printf '.SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH SEE ALSO\n'
	for other in kamino $(verbs | sed 's/ .*//; s/^/kamino-/'); do
		[ "$other" = "$1" ] || echo "$other"
	done | sed 's/-/\\-/g; s/^/.BR /; s/$/ (1),/; $s/,$//'
}

verbs() {
	"$kamino" help | sed -n 's/^  \([a-z]*\)  *\(.*\)/\1 \2/p' | grep -v '^help '
}

verb_page() {
	"$kamino" "$1" --help | body
	if [ "$1" = bench ]; then
		"$kamino" bench --help | sed -n 's/^  \([a-z0-9]*\)  .*/\1/p' | while read -r name; do
			printf '.SS kamino bench %s\n' "$name"
			"$kamino" bench "$name" --help | body part
		done
	fi
	printf '.SH EXAMPLE\n.nf\n'
	examples | sed -n "s/^$1  *//p" | sed 's/\\/\\e/g; s/-/\\-/g; '"s/'/\\\\(aq/g"
	printf '.fi\n'
}

mkdir -p "$dir"
"$kamino" help | body | page kamino "dispatch to the worker that will finish first" >"$dir/kamino.1"
verbs | while read -r verb summary; do
	verb_page "$verb" | page "kamino-$verb" "$summary" >"$dir/kamino-$verb.1"
done
