#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# scripts/deps.sh - installs what Kamino needs; nothing else in the tree does.
#
#   scripts/deps.sh          what "make" needs
#   scripts/deps.sh check    that, and what the checkers need
#   scripts/deps.sh perf     what "make" needs, and what profiling needs
#   scripts/deps.sh arm64    what "make" needs, a cross compiler and an emulator; lets apt know arm64
#   scripts/deps.sh bench    what "make" needs, and the rivals of "kamino bench"
#   scripts/deps.sh --list   prints all groups, installs nothing
#
# For Debian 12, as root or with sudo. When all is there it says so and
# touches neither the package lists nor the network.

set -eu

usage() {
	echo "usage: scripts/deps.sh [build|check|perf|arm64|bench|--list]" >&2
	exit 2
}

fail() {
	echo "deps: $*" >&2
	exit 1
}

# One package a line: name, then what it is for.
build_packages() {
	cat <<-'LIST'
		gcc               compiles it
		libc6-dev         the C library's headers
		make              builds it
		pkg-config        finds the libraries
		perl              prove runs the tests and reads their TAP
		liburcu-dev       snapshots: read-copy-update
		libjemalloc-dev   arenas and cache slots
		libhwloc-dev      topology of the machine
		libcmocka-dev     unit tests
		libjansson-dev    JSON output
		libinih-dev       rule and job files
		libxxhash-dev     hashes of keys
		zlib1g-dev        compressed traces
		libsqlite3-dev    importer of the packing trace
		systemtap-sdt-dev trace points (optional)
		gnuplot-nox       draws the pictures of reports
		libncurses-dev    the terminal of kamino top (optional)
	LIST
}

check_packages() {
	cat <<-'LIST'
		clang             the second compiler
		clang-format      form of the source
		clang-tidy        lint
		spin              model checker of the lock-free parts
		valgrind          memory checker
		python3           checks JSON in the tests of the command
		chromium          lays out reports in a test
		mandoc            reads the man pages strictly
	LIST
}

perf_packages() {
	cat <<-'LIST'
		linux-perf        flame graphs: make flame
		bpftrace          the scripts of perf/bpftrace
		python3           draws flame graphs
	LIST
}

arm64_packages() {
	cat <<-'LIST'
		gcc-aarch64-linux-gnu  compiles for arm64
		libc6-dev-arm64-cross  headers of its C library
		qemu-user-static       runs what was compiled
	LIST
}

bench_packages() {
	cat <<-'LIST'
		g++               compiles the rival from boost
		libck-dev         a rival of "bench ring"
		libboost-dev      a rival of "bench ring"
	LIST
}

# The fourth rival is one header of DPDK's, whose package would pull in over 200 others:
# it is unpacked beside, not installed. libdpdk-dev, where it is installed, is used instead.
dpdk_headers=/usr/local/share/kamino/dpdk
unpack_dpdk() {
	if pkg-config --exists libdpdk 2>/dev/null || [ -e "$dpdk_headers/usr/include/dpdk/rte_ring.h" ]; then
		return
	fi
	check_rights "the headers of libdpdk-dev"
	echo "deps: unpacking the headers of libdpdk-dev into $dpdk_headers"
	folder=$(mktemp -d)
	chmod 755 "$folder"
	known libdpdk-dev || as_root apt-get update
	(cd "$folder" && { apt-get download -q libdpdk-dev || { as_root apt-get update &&
		apt-get download -q libdpdk-dev; }; }) || fail "apt-get could not download libdpdk-dev"
	as_root mkdir -p "$dpdk_headers"
	dpkg-deb --fsys-tarfile "$folder"/libdpdk-dev_*.deb |
		as_root tar -x -C "$dpdk_headers" --no-same-owner --wildcards './usr/include/*'
	rm -rf "$folder"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Those of the "name why" lines on stdin that are not installed.
missing() {
	while read -r name why; do
		installed "$name" || echo "$name $why"
	done
}

# Known to the package lists that are already here?
known() {
	for name in "$@"; do
		[ -n "$(apt-cache policy "$name" 2>/dev/null | sed -n '/Candidate: [^(]/p')" ] ||
			return 1
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

check_system() {
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
		fail "this is not Debian; install the equivalents of 'scripts/deps.sh --list'"
	# Debian and its children carry the same names; only 12 is tested.
	release=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}") || release=unknown
	[ "$release" = "debian 12" ] ||
		echo "deps: this is '$release', not Debian 12: going on, untested" >&2
}

check_rights() {
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		fail "to install, run as root or install sudo; missing: $*"
}

[ $# -le 1 ] || usage
case ${1:-build} in
build) wanted=$(build_packages) ;;
check) wanted=$(build_packages; check_packages) ;;
perf) wanted=$(build_packages; perf_packages) ;;
arm64) wanted=$(build_packages; arm64_packages) ;;
bench) wanted=$(build_packages; bench_packages) ;;
--list)
	echo "build:"
	build_packages | sed 's/^/  /'
	echo "check:"
	check_packages | sed 's/^/  /'
	echo "perf:"
	perf_packages | sed 's/^/  /'
	echo "arm64:"
	arm64_packages | sed 's/^/  /'
	echo "bench:"
	bench_packages | sed 's/^/  /'
	echo "  libdpdk-dev       a rival of \"bench ring\"; its headers are unpacked, not installed"
	exit 0
	;;
*) usage ;;
esac

check_system
# The libraries are fetched, not installed, by scripts/check-arm64.sh; apt must list them.
if [ "${1:-}" = arm64 ] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
	check_rights arm64
	echo "deps: arm64 becomes a foreign architecture of this system"
	as_root dpkg --add-architecture arm64
	as_root apt-get update
fi
[ "${1:-build}" != bench ] || unpack_dpdk
lines=$(echo "$wanted" | missing)
if [ -z "$lines" ]; then
	echo "deps: all is installed"
	exit 0
fi
names=$(echo "$lines" | cut -d' ' -f1 | tr '\n' ' ')
check_rights "$names"
echo "deps: installing"
echo "$lines" | while read -r name why; do
	printf '  %-17s %s\n' "$name" "$why"
done
# shellcheck disable=SC2086 # names are words without blanks
known $names || as_root apt-get update
# A stale list names versions that the mirror no longer has: refresh once, try again.
install() {
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $names
}
install || { as_root apt-get update && install; } || fail "apt-get could not install: $names"
