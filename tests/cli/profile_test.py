#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instruments for profiling: trace points in the binary, and what is said of them. TAP on stdout."""
import glob
import os
import re
import shutil
import subprocess
import time

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


def each_script_names_probes_and_arguments_that_exist():
    scripts = sorted(glob.glob(os.path.join(ROOT, "perf", "bpftrace", "*.bt")))
    assert len(scripts) >= 5, scripts
    for script in scripts:
        text = read(script)
        blocks = re.findall(r"^usdt:\$1:(\w+):(\w+)\n(.*?)^}", text, re.M | re.S)
        assert len(blocks) == text.count("usdt:"), script
        for provider, name, body in blocks:
            assert provider == "kamino" and name in PROBES, (script, name)
            for arg in re.findall(r"\barg(\d+)\b", body):
                # bpftrace 0.17 reads the first six alone
                assert int(arg) < min(PROBES[name], 6), (script, name, arg)
        for name in re.findall(r"(?<=\n \*\t)sudo bpftrace .*", text):
            assert "perf/bpftrace/" + os.path.basename(script) in name, (script, name)
    page = read("Documentation", "profiling.md")
    assert all("`%s`" % os.path.basename(script) in page for script in scripts)


def bpftrace(*args):
    if not shutil.which("bpftrace"):
        raise Skip("bpftrace is missing")
    if os.geteuid():
        raise Skip("bpftrace wants root")
    if not has_probes():
        raise Skip("built without probes")
    return subprocess.run(["bpftrace", *args], capture_output=True, text=True, check=False, timeout=300)


def bpftrace_takes_each_script():
    for script in glob.glob(os.path.join(ROOT, "perf", "bpftrace", "*.bt")):
        done = bpftrace("-d", script, KAMINO)
        assert done.returncode == 0 and "WARNING" not in done.stderr, (script, done.stderr)


def each_thread_has_a_name():
    with subprocess.Popen([KAMINO, "run", "--requests", "2000", "--servers", "2000", "--agents", "2"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        seen = set()
        while running.poll() is None:
            for comm in glob.glob("/proc/%d/task/*/comm" % running.pid):
                try:
                    with open(comm, encoding="utf-8") as name:
                        seen.add(name.read().strip())
                except OSError:  # it has just ended
                    pass
            time.sleep(0.005)
    missing = {"kamino", "km-dispatch", "km-agent0", "km-agent1", "km-estimator"} - seen
    assert not missing, (missing, seen)


def each_request_is_seen_at_every_stage():
    """Attached to a run whose load is set, so that it has no calibration."""
    done = bpftrace(os.path.join(ROOT, "perf", "bpftrace", "stages.bt"), KAMINO, "-c",
                    KAMINO + " run --requests 300 --servers 1000 --agents 2 --compress 20000")
    if "Attaching" not in done.stdout + done.stderr or "BPF" in done.stderr:
        raise Skip("bpftrace may not attach here")
    seen = {}
    for name, bars in re.findall(r"@(\w+): \n((?:[\[(].*\n)+)", done.stdout):
        seen[name] = sum(int(nr) for nr in re.findall(r"^[\[(].*[\])] +(\d+) \|", bars, re.M))
    assert seen["submit_to_complete"] == 300 and seen["submit_to_classify"] == 300, (seen, done.stderr)
    assert seen["enqueue_to_dequeue"] == 300 and seen["commit_to_complete"] == 300, seen
    assert seen["dequeue_to_hit"] + seen["dequeue_to_miss"] == 300, seen


tap.main([every_hand_over_has_its_probe_with_all_arguments,
          the_page_lists_each_probe_with_as_many_arguments,
          each_script_names_probes_and_arguments_that_exist,
          each_thread_has_a_name,
          bpftrace_takes_each_script,
          each_request_is_seen_at_every_stage])
