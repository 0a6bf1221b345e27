#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instruments for profiling: trace points in the binary, and what is said of them. TAP on stdout."""
import glob
import os
import re
import shutil
import subprocess

import tap
from tap import KAMINO, Skip, run_json

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Probe: number of arguments.
PROBES = {"submit": 2, "classify": 2, "decide": 9, "enqueue": 3, "dequeue": 2, "hit": 3, "miss": 6,
          "evict": 5, "conflict": 3, "commit": 4, "publish": 4, "complete": 6}


def read(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as text:
        return text.read()


def probes_of(binary):
    """{name: {numbers of arguments}} of the binary's notes."""
    if not shutil.which("readelf"):
        raise Skip("readelf (package binutils) is missing")
    text = subprocess.run(["readelf", "-n", "-W", binary], capture_output=True, text=True, check=True).stdout
    found = {}
    for provider, name, args in re.findall(
            r"Provider: (\S+)\s+Name: (\S+)\s+Location: .*\n\s+Arguments: *(.*)", text):
        assert provider == "kamino", provider
        found.setdefault(name, set()).add(len(args.split()))
    return found


def has_probes():
    return run_json("version")[0]["results"]["features"]["sdt"]


def every_hand_over_has_its_probe_with_all_arguments():
    found = probes_of(KAMINO)
    if not has_probes():
        assert not found, found
        raise Skip("built without probes")
    assert found == {name: {nr} for name, nr in PROBES.items()}, found


def the_page_lists_each_probe_with_as_many_arguments():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", read("Documentation", "profiling.md"), re.M)
    listed = {name: re.sub(r"\([^)]*\)", "", args).count(",") + 1 for name, args in rows if name in PROBES}
    assert listed == PROBES, listed


tap.main([every_hand_over_has_its_probe_with_all_arguments,
          the_page_lists_each_probe_with_as_many_arguments])
