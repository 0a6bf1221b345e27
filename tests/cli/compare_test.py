#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""perf/compare.py with binaries whose difference is known: it must be found, and none be made up. TAP on stdout."""
import json
import os
import subprocess
import sys

import tap
from tap import path

COMPARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "perf", "compare.py")
FAKE = """#!%s
import json, os, random
count = %r
turn = int(open(count).read()) if os.path.exists(count) else 0
open(count, "w").write(str(turn + 1))
draw = random.Random(1000 * %d + turn)
noise = lambda: draw.lognormvariate(0, 0.05)
print(json.dumps({"schema": "kamino/1", "command": "bench x", "host": {"cpu": "none", "revision": %r},
    "params": {}, "results": [
    {"agents": 4, "decision_ns": {"p50": 100 * %r * noise(), "p99": 1}, "timer_ns": 3, "naive": True},
    {"agents": 64, "decision_ns": {"p50": 200 * noise()}, "mops_median": 50 * %r * noise()}]}))
"""


def fake(name, seed, slower):
    count = path(name + ".count")
    if os.path.exists(count):
        os.unlink(count)
    file = path(name)
    with open(file, "w", encoding="utf-8") as to:
        to.write(FAKE % (sys.executable, count, seed, name, slower, slower))
    os.chmod(file, 0o755)
    return file


def compare(*args, code=0):
    done = subprocess.run([COMPARE, *args], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stdout, done.stderr


def by_figure(out):
    return {(r["cell"], r["figure"]): r for r in json.loads(out)["results"]}


def a_slower_build_is_called_worse_and_a_higher_rate_better():
    out, _ = compare("--base", fake("a", 1, 1.0), "--new", fake("b", 2, 1.3), "--json", "--", "bench", "x")
    got = by_figure(out)
    assert set(got) == {("agents=4", "decision_ns.p50"), ("agents=64", "decision_ns.p50"),
                        ("agents=64", "mops_median")}, got
    slower = got["agents=4", "decision_ns.p50"]
    assert slower["verdict"] == "WORSE" and 1.15 < slower["ratio_median"] < 1.45, slower
    assert slower["ratio_low"] <= slower["ratio_median"] <= slower["ratio_high"] and slower["coverage"] >= 0.97
    assert got["agents=64", "decision_ns.p50"]["verdict"] == "no difference"
    assert got["agents=64", "mops_median"]["verdict"] == "better"


def a_build_does_not_differ_from_itself():
    # With intervals at 99 %, one of 3 x 6 verdicts is wrong now and then.
    wrong = 0
    for seed in range(6):
        out, _ = compare("--base", fake("a", 3 + seed, 1.0), "--new", fake("b", 103 + seed, 1.0), "--json",
                         "--pairs", "9", "--", "bench", "x")
        wrong += sum(r["verdict"] != "no difference" for r in by_figure(out).values())
    assert wrong <= 2, wrong


def few_pairs_decide_nothing():
    out, _ = compare("--base", fake("a", 1, 1.0), "--new", fake("b", 2, 3.0), "--json", "--pairs", "3",
                     "--", "bench", "x")
    assert {r["verdict"] for r in by_figure(out).values()} == {"too few pairs"}


def text_and_exit_code_say_it():
    args = ("--base", fake("a", 1, 1.0), "--new", fake("b", 2, 1.3))
    out, _ = compare(*args, "--", "bench", "x")
    assert "WORSE" in out and "no difference" in out and "agents=64" in out and "base a, new b" in out
    compare(*args, "--fail", "--", "bench", "x", code=1)


def bad_input_is_refused():
    good = fake("a", 1, 1.0)
    for args, code, says in (
            (("--base", good, "--new", path("none"), "--", "bench", "x"), 2, "cannot run"),
            (("--base", good, "--new", "/bin/false", "--", "bench", "x"), 1, "ended with 1"),
            (("--base", good, "--new", "/bin/true", "--", "bench", "x"), 1, "no document"),
            (("--base", good, "--new", good, "--pairs", "0", "--", "bench", "x"), 2, "--pairs"),
            (("--base", good, "--new", good, "--figures", "(", "--", "bench", "x"), 2, "--figures"),
            (("--base", good, "--new", good, "--figures", "zzz", "--pairs", "1", "--", "bench", "x"), 1, "zzz"),
            (("--base", good, "--", "bench", "x"), 2, "--new")):
        _, err = compare(*args, code=code)
        assert says in err, "no '%s' in: %s" % (says, err)


def an_unknown_revision_is_refused():
    done = subprocess.run([os.path.join(os.path.dirname(COMPARE), "compare.sh"), os.path.dirname(tap.KAMINO),
                           "no-such-revision", "--", "bench", "dispatch"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "is no revision" in done.stderr, done.stderr


tap.main([a_slower_build_is_called_worse_and_a_higher_rate_better,
          a_build_does_not_differ_from_itself,
          few_pairs_decide_nothing,
          text_and_exit_code_say_it,
          bad_input_is_refused,
          an_unknown_revision_is_refused])
