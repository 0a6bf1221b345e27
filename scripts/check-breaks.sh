#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-breaks.sh - each ordering label has a broken twin, and a test that fails on it.
#
# The labels are those the sources use in KM_ORDER(), km_smp_mb() and
# KM_IS_BROKEN(); which test catches which is said by the tests themselves:
#
#	 * Catches: SPSC_R1 SPSC_A1 (thread sanitizer)
#	 * Catches: PARK_F1 PARK_F2 (plain)
#	 * Needs: lib ring			the layers to link; this is the default
#
# Plain twins show on hardware only, by chance, so they get several runs.
# Only objects that see the label are built anew for a twin. Prints TAP.
#
# Called by "make check-breaks", which sets CC, FLAGS, SRC, LIBS and OUT.
# LABELS="A B" checks only these.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${CC:=cc}" "${OUT:=build/breaks}"
: "${FLAGS:?run make check-breaks}" "${SRC:?}" "${LIBS:?}"
LAYERS="lib ring numa alloc cache core place sim tools"
PLAIN_RUNS=6

nr=0
failed=0
say() { # ok|not, text
	nr=$((nr + 1))
	if [ "$1" = ok ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		failed=1
	fi
}

# Files of ours that hold label $1.
files_with() {
	grep -rlwE "(KM_ORDER|km_smp_mb|KM_IS_BROKEN)\($1\b" --include='*.[ch]' $LAYERS 2>/dev/null
}

labels() {
	grep -rhoE '\b(KM_ORDER|km_smp_mb|KM_IS_BROKEN)\([A-Z][A-Z0-9_]*' --include='*.[ch]' $LAYERS \
		2>/dev/null | sed 's/.*(//' | sort -u
}

# "label test mode" for each claim of the tests; mode is plain or thread.
claims() {
	grep -rE '^ \* Catches: ' tests --include='*.c' | sed 's/thread sanitizer/thread/' |
		awk -F': Catches: |:[^:]*Catches: ' '{
			mode = $2; sub(/.*\(/, "", mode); sub(/\).*/, "", mode)
			names = $2; sub(/ *\(.*/, "", names)
			n = split(names, name, /[ ,]+/)
			for (i = 1; i <= n; i++) print name[i], $1, mode
		}'
}

sources_of() { # test.c
	local layers layer
	layers=$(sed -n 's/^ \* Needs: //p' "$1")
	for layer in ${layers:-lib ring}; do
		for file in $SRC; do
			case $file in "$layer"/*) echo "$file" ;; esac
		done
	done
	echo "$1"
}

san_of() {
	if [ "$1" = thread ]; then echo -fsanitize=thread; fi
}

object_of() { # mode, source
	echo "$OUT/$1/${2%.c}.o"
}

compile() { # mode, label or -, object, source
	local define=
	[ "$2" = - ] || define=-DKM_BREAK_$2=1
	mkdir -p "$(dirname "$3")" &&
		$CC $FLAGS $(san_of "$1") $define -MMD -c "$4" -o "$3"
}

# Build test $3 in mode $1 with label $2 broken (- = none) as program $4.
build() {
	local objects= source object seen
	seen=$([ "$2" = - ] || files_with "$2")
	for source in $(sources_of "$3"); do
		object=$(object_of "$1" "$source")
		if [ "$2" != - ] && sees "$object" "$seen"; then
			object=$OUT/$2/${source%.c}.o
			compile "$1" "$2" "$object" "$source" || return 1
		elif [ "$2" = - ] && [ ! -e "$object" ]; then
			compile "$1" - "$object" "$source" || return 1
		fi
		objects="$objects $object"
	done
	$CC $FLAGS $(san_of "$1") -pthread $objects -Wl,--as-needed $LIBS -o "$4"
}

# Whether what object $1 was built from has one of the files $2.
sees() {
	local file
	for file in $2; do
		grep -qE "(^|[ /])$file( |\$)" "${1%.o}.d" && return 0
	done
	return 1
}

run() { # program, secs
	CMOCKA_MESSAGE_OUTPUT=TAP SECS=$2 TSAN_OPTIONS='halt_on_error=1 exitcode=66' \
		timeout -k 5 120 "$1" >"$1.log" 2>&1
}

# Run the broken twin until it fails.
fails() { # program, mode
	local runs=2 i
	[ "$2" = plain ] && runs=$PLAIN_RUNS
	for ((i = 0; i < runs; i++)); do
		run "$1" 4 || return 0
	done
	return 1
}

words() {
	if [ "$1" = thread ]; then echo "thread sanitizer"; else echo "plain"; fi
}

rm -rf "$OUT"
mkdir -p "$OUT"
all_labels=$(labels)
all_claims=$(claims)
wanted=${LABELS:-$all_labels}

# The unbroken builds pass: else a failing twin shows nothing.
while read -r test mode; do
	[ -n "$test" ] || continue
	name=$(basename "$test" .c)
	if ! build "$mode" - "$test" "$OUT/$name-$mode"; then
		say not "$name does not build ($(words "$mode"))"
	elif run "$OUT/$name-$mode" 2; then
		say ok "unbroken $name passes ($(words "$mode"))"
	else
		say not "unbroken $name fails ($(words "$mode"))"
		tail -n 30 "$OUT/$name-$mode.log" | sed 's/^/# /'
	fi
done <<<"$(for label in $wanted; do echo "$all_claims" | grep "^$label "; done | cut -d' ' -f2- | sort -u)"

for label in $wanted; do
	read -r _ test mode <<<"$(echo "$all_claims" | grep "^$label " | head -n 1)"
	if [ -z "$test" ]; then
		say not "$label: no test says that it catches it (in $(echo $(files_with "$label")))"
		continue
	fi
	name=$(basename "$test" .c)
	case $mode in
	thread | plain) ;;
	*)
		say not "$label: $name catches it by an unknown way: $mode"
		continue
		;;
	esac
	if ! build "$mode" "$label" "$test" "$OUT/$name-$label"; then
		say not "$label: the broken twin does not build"
	elif fails "$OUT/$name-$label" "$mode"; then
		say ok "$label is caught by $name ($(words "$mode"))"
	else
		say not "$label survives $name ($(words "$mode"))"
	fi
done

while read -r label test _; do
	[ -n "$label" ] || continue
	echo "$all_labels" | grep -qx "$label" || say not "$test: there is no label $label"
done <<<"$all_claims"

echo "1..$nr"
exit $failed
