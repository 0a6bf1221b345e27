#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-layers.sh - includes point down the list of layers, each library has one
# door, policies see nothing but the view, and no source is left out of the Makefile.
#
# Usage: scripts/check-layers.sh [file...]   default: every .c, .h, .inc and .cc of the tree
#
# Reads the include lines; what the preprocessor would skip is checked as well.

set -u
cd "$(dirname "$0")/.." || exit 2

modules="lib ring numa alloc cache core place sim tools perf tests include"

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2086
	set -- $(for m in $modules; do
		[ -d "$m" ] && find "$m" -name '*.[ch]' -o -name '*.inc' -o -name '*.cc'
	done | LC_ALL=C sort)
fi

awk '
BEGIN {
	rank["include"] = 8 # what is installed on top: it names headers of the layers
	rank["lib"] = 1
	rank["ring"] = 2
	rank["numa"] = 2
	rank["alloc"] = 3
	rank["cache"] = 4
	rank["core"] = 5
	rank["place"] = 6
	rank["sim"] = 7 # sim may use place, not the reverse
	rank["tools"] = 8
	rank["perf"] = 8
	rank["tests"] = 8

	# Header, the only file (or folder, with a slash at its end) that may include it.
	door("urcu", "lib/snap.h")
	door("jemalloc/", "alloc/arena.c")
	door("hwloc", "numa/topo.c")
	door("cmocka", "tests/")
	door("sqlite3", "place/import_sqlite.c tests/unit/import_test.c") # the test makes such a file
	door("ini.h", "place/rules.c tools/job.c") # rules and jobs: two formats of one library
	door("jansson", "tools/")
	door("curses.h", "tools/top_screen.c")
	door("zlib", "place/csv.c place/trace.c tests/") # one of the two; tests make such files
	door("xxhash", "core/type.c place/dict.c")
	door("sys/sdt.h", "lib/probe.h")
	door("linux/perf_event.h", "perf/counters.c")
	door("ck_", "perf/ring_ck.c")
	door("boost/", "perf/ring_boost.cc")
	door("rte_", "perf/ring_dpdk.c")
	door("lmdb", "place/store_lmdb.c")
}

function door(header, files)
{
	doors[header] = files
}

function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
	bad = 1
}

function folder_of(path)
{
	return substr(path, 1, index(path, "/") - 1)
}

function check_system(header, prefix, files, nr, i)
{
	if (policy && header !~ /^(stdint|stdbool|stddef|inttypes|string|limits|assert)\.h$/)
		complain("a policy sees no <" header ">")
	for (prefix in doors) {
		if (index(header, prefix) != 1)
			continue
		nr = split(doors[prefix], files, " ")
		for (i = 1; i <= nr; i++)
			if (FILENAME == files[i] ||
			    (files[i] ~ /\/$/ && index(FILENAME, files[i]) == 1))
				break
		if (i > nr)
			complain("<" header "> belongs in " doors[prefix] " alone")
		else if (prefix == "zlib" && from != "tests") {
			if (zlib_user && zlib_user != FILENAME)
				complain("<" header "> is included in " zlib_user " already")
			zlib_user = FILENAME
		}
	}
}

function check_own(header, to)
{
	if (header ~ /^\./ || header !~ /\//) {
		complain("\"" header "\": name it from the root, folder/file.h")
		return
	}
	to = folder_of(header)
	if (!(to in rank)) {
		complain("\"" header "\": " to " is no layer")
		return
	}
	if (header ~ /_internal\.h$/ && to != from && from != "tests")
		complain("\"" header "\" stays inside " to)
	if (policy && header != "core/view.h" && header != "core/policy.h" &&
	    (to != "lib" || header ~ /^lib\/(clock|snap)\.h$/))
		complain("a policy sees core/view.h, core/policy.h and lib/ (no clock, no snapshots), not \"" header "\"")
	if (to == from || rank[to] < rank[from])
		return
	if (rank[from] == rank["tools"] && rank[to] == rank["tools"])
		return # the programs share among themselves
	complain("\"" header "\": " from " may not include " to)
}

FNR == 1 {
	from = folder_of(FILENAME)
	policy = FILENAME ~ /^core\/policy\//
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	match($0, /<[^>]*>/)
	check_system(substr($0, RSTART + 1, RLENGTH - 2))
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	match($0, /"[^"]*"/)
	check_own(substr($0, RSTART + 1, RLENGTH - 2))
}

END { exit bad }
' "$@"
status=$?

# A source that no list of the Makefile names is dead. A module's list is X_SRC, names
# from folder X; those of the programs drop the folder or the suffix.
listed=$(awk '
{
	while (sub(/\\$/, "") && (getline more) > 0)
		$0 = $0 more
}
match($0, /^[a-z]+_SRC[ \t]*[:+]?=/) {
	folder = substr($0, 1, index($0, "_SRC") - 1)
	nr = split(substr($0, RLENGTH + 1), names, " ")
	for (i = 1; i <= nr; i++)
		print folder "/" names[i]
}
{
	for (i = 1; i <= NF; i++)
		print $i
}' Makefile)

is_listed() {
	for name in "$@"; do
		printf '%s\n' "$listed" | grep -qxF -- "$name" && return 0
	done
	return 1
}

for file in "$@"; do
	base=${file##*/}
	case $file in
	*.h | *.inc) continue ;;
	tests/* | perf/*) set -- "$file" "${file#*/}" "$base" "${base%.c}" ;;
	*) set -- "$file" ;;
	esac
	if ! is_listed "$@"; then
		echo "$file: not listed in the Makefile"
		status=1
	fi
done
exit $status
