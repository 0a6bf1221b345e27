#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fold.py - the stacks that "perf script" prints, one a line: thread;caller;..;callee count.

	perf script -F comm,tid,ip,sym,dso --no-inline | perf/fold.py [--binary FILE] > out.folded

Flame graphs and speedscope read the result. Kernel functions end in _[k]. With --binary, what
the compiler inlined into functions of that program is shown as well, ending in _[i]: addr2line
(binutils) is asked once about all addresses. Threads that differ in a number at the end
(km-agent0, km-agent1, ..) are one, unless --each-thread. A frame without a symbol bears its
library's name.
"""
import argparse
import collections
import os
import re
import struct
import subprocess
import sys

KERNEL_FROM = 0xffff800000000000
# What starts a thread says nothing; libc has no frame pointers, so it is not even complete.
STARTERS = re.compile(r"^(_start|__libc_start\w*|__clone\w*|clone3?|start_thread|\[unknown\]|\[libc\.so\.6\])$")


def fail(text):
    print("fold: " + text, file=sys.stderr)
    sys.exit(2)


def load_segments(elf):
    """(offset, address, size) of what is loaded from the file."""
    head = elf.read(64)
    if head[:6] != b"\x7fELF\x02\x01":
        raise ValueError
    at, = struct.unpack_from("<Q", head, 32)
    size, nr = struct.unpack_from("<HH", head, 54)
    elf.seek(at)
    for _ in range(nr):
        kind, _, offset, address, _, file_bytes = struct.unpack_from("<IIQQQQ", elf.read(size))
        if kind == 1:
            yield offset, address, file_bytes


class Inlines:
    """What was inlined at addresses of one program, innermost first."""

    def __init__(self, binary):
        self.binary = os.path.realpath(binary)
        self.at = {}  # names by offset in the file, which is what perf prints
        try:
            with open(binary, "rb") as elf:
                self.segments = list(load_segments(elf))
        except (OSError, struct.error, ValueError):
            print("fold: %s is no 64-bit program: what was inlined is not shown" % binary, file=sys.stderr)
            self.binary, self.segments = None, []

    def is_in(self, dso):
        return os.path.realpath(dso) == self.binary

    def address_of(self, offset):
        for at, address, size in self.segments:
            if at <= offset < at + size:
                return offset - at + address
        return offset

    def resolve(self, offsets):
        if not offsets:
            return
        offset_of = {self.address_of(offset): offset for offset in offsets}
        asked = "\n".join("%x" % address for address in sorted(offset_of))
        try:
            out = subprocess.run(["addr2line", "-a", "-i", "-f", "-e", self.binary], input=asked, text=True,
                                 capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            print("fold: addr2line (package binutils) failed: inlined functions are not shown", file=sys.stderr)
            return
        names = None
        for nr, line in enumerate(out.splitlines()):
            if re.match(r"^0x[0-9a-f]+$", line):
                names = self.at[offset_of[int(line, 16)]] = []
                first = nr + 1
            elif names is not None and (nr - first) % 2 == 0:
                names.append(line)

    def of(self, offset):
        return self.at.get(offset, [])[:-1]  # the last is the function itself


def clean(name):
    """A name that can stand in a folded line."""
    return re.sub(r"[\s;\x00-\x1f]+", " ", name.replace(";", ":")).strip() or "[unknown]"


def read_samples(lines):
    """(comm, [(address, symbol, dso), ..] leaf first) of each sample."""
    comm, frames = None, []
    for line in lines:
        line = line.rstrip("\n")
        if not line.strip():
            if comm is not None:
                yield comm, frames
            comm, frames = None, []
        elif comm is None:
            comm = re.sub(r"\s+[\d/]+\s*$", "", line.strip())
        else:
            match = re.match(r"^\s*([0-9a-f]+)\s+(.*?)\s*(?:\(([^()]*|[^()]*\(deleted\))\))?\s*$", line)
            if match:
                frames.append((int(match[1], 16), match[2], match[3] or ""))
    if comm is not None:
        yield comm, frames


def name_of(address, symbol, dso):
    if not symbol or symbol == "[unknown]":
        base = os.path.basename(dso.replace(" (deleted)", ""))
        symbol = "[unknown]" if base in ("", "[unknown]") else "[%s]" % base.strip("[]")
    in_kernel = address >= KERNEL_FROM or dso.startswith(("[kernel", "[guest.kernel"))
    return clean(symbol) + ("_[k]" if in_kernel else "")


def path_of(frames, inlines):
    """Names from the root to the leaf."""
    names = []
    for depth, (address, symbol, dso) in enumerate(frames):
        if inlines and inlines.is_in(dso):
            # A return address may already be the next statement's.
            names += [clean(name) + "_[i]" for name in inlines.of(address - (depth > 0))]
        names.append(name_of(address, symbol, dso))
    while len(names) > 1 and STARTERS.match(names[-1]):
        names.pop()
    return names[::-1]


def fold(lines, inlines, each_thread):
    samples = list(read_samples(lines))
    if inlines:
        inlines.resolve({address - (depth > 0) for _, frames in samples
                         for depth, (address, _, dso) in enumerate(frames) if inlines.is_in(dso)})
    counts = collections.Counter()
    for comm, frames in samples:
        thread = clean(comm)
        if not each_thread:
            thread = re.sub(r"(?<=\w)\d+$", "*", thread)
        counts[";".join([thread] + path_of(frames, inlines))] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description="folds the output of perf script", allow_abbrev=False)
    parser.add_argument("--binary", help="program whose inlined functions are shown")
    parser.add_argument("--each-thread", action="store_true", help="km-agent0 and km-agent1 apart")
    args = parser.parse_args()
    sys.stdin.reconfigure(errors="replace")
    counts = fold(sys.stdin, Inlines(args.binary) if args.binary else None, args.each_thread)
    if not counts:
        fail("no samples")
    for stack, count in sorted(counts.items()):
        print(stack, count)


if __name__ == "__main__":
    main()
