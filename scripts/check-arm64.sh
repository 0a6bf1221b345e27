#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-arm64.sh - builds for arm64, runs the unit and model tests under emulation and
# holds the simulator's document against this machine's: the same but for "host".
#
# Usage: scripts/check-arm64.sh BUILD "TEST..."    BUILD/kamino is this machine's binary
#
# What the emulator or Debian's arm64 jemalloc (64 KiB pages) does differently is
# skipped by name: tests of how memory is mapped. No figure of speed comes from here.

set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 tests=$2 arm=$1/arm64 root=$(realpath -m "$1/arm64/root")
libraries="libc6 libc6-dev libgcc-s1 libstdc++6 liburcu-dev liburcu8 libjemalloc-dev libjemalloc2 libhwloc-dev
	libhwloc15 libudev1 libcap2 libltdl7 libxml2 libicu72 liblzma5 libjansson-dev libjansson4 libinih-dev libinih1
	libxxhash-dev libxxhash0 zlib1g-dev zlib1g libsqlite3-dev libsqlite3-0 libcmocka-dev libcmocka0"
unlike="arena_test slots_test" # see above

for program in aarch64-linux-gnu-gcc qemu-aarch64-static; do
	command -v $program >/dev/null || { echo "check-arm64: no $program: run 'scripts/deps.sh arm64'" >&2; exit 2; }
done
if [ ! -d "$root" ]; then
	mkdir -p "$arm/debs" "$root.part"
	for package in $libraries; do
		(cd "$arm/debs" && apt-get download -qq "$package:arm64" 2>/dev/null) ||
			{ echo "check-arm64: cannot fetch $package for arm64" >&2; exit 2; }
	done
	for deb in "$arm"/debs/*.deb; do dpkg -x "$deb" "$root.part"; done
	mv "$root.part" "$root"
fi

export PKG_CONFIG_LIBDIR=$root/usr/lib/aarch64-linux-gnu/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
programs=$arm/kamino
for test in $tests; do programs="$programs $arm/tests/$test"; done
# shellcheck disable=SC2086
make -j"$(nproc)" WERROR=1 CC="aarch64-linux-gnu-gcc --sysroot=$root" O="$arm" $programs >"$arm/build.log" 2>&1 ||
	{ grep -E 'error|warning' "$arm/build.log" >&2; exit 1; }
without_host() { python3 -c 'import json, sys; d = json.load(sys.stdin); del d["host"]; print(json.dumps(d))'; }
run() { qemu-aarch64-static -L "$root" "$@"; }

failed=0 nr=0
for test in $tests sim; do
	nr=$((nr + 1))
	case " $unlike " in
	*" $(basename "$test") "*) echo "ok $nr - $test # SKIP memory is mapped in another way there"; continue ;;
	esac
	if [ "$test" = sim ]; then
		sim="sim --policy all --hours 0.3 --threads 1 --json"
		# shellcheck disable=SC2086
		cmp <(run "$arm/kamino" $sim 2>/dev/null | without_host) \
			<("$out/kamino" $sim 2>/dev/null | without_host) && good=1 || good=0
	else
		CMOCKA_MESSAGE_OUTPUT=STDOUT run "$arm/tests/$test" >"$arm/test.log" 2>&1 && good=1 || good=0
	fi
	if [ $good = 1 ]; then
		echo "ok $nr - $test"
	else
		echo "not ok $nr - $test" && failed=1
		[ "$test" = sim ] || sed 's/^/# /' "$arm/test.log"
	fi
done
echo "1..$nr"
exit $failed
