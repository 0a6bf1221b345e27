#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino bench ring: about a second, its document and text checked; bad input. TAP on stdout."""
import os

import tap
from tap import Skip, run, run_json

OURS = [("kamino", 8, "single"), ("kamino", 8, "burst"), ("kamino", 64, "single"), ("kamino", 64, "burst"),
        ("kamino-pool", 64, "single"), ("kamino-pool", 64, "burst")]
CACHED = [(r, b, m) for r in ("cached", "cached-touch") for b in (8, 64) for m in ("single", "burst")]
RIVALS = [("ck", 8, "single"), ("ck", 64, "single")] + [
    (r, b, m) for r in ("boost", "dpdk") for b in (8, 64) for m in ("single", "burst")]


def two_cpus():
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Skip("one CPU allowed; two are needed")
    return allowed[:2]


def check_measured(row):
    assert row["distance"] in ("near", "far"), row
    assert 0 < row["mops_min"] <= row["mops_median"] <= row["mops_max"], row
    assert 0 < row["rtt_ns_min"] <= row["rtt_ns_p50"] <= row["rtt_ns_max"], row
    assert 0 < row["line_rtt_ns_min"] <= row["line_rtt_ns"] <= row["line_rtt_ns_max"], row
    assert abs(row["rtt_ratio_to_line"] * row["line_rtt_ns"] / row["rtt_ns_p50"] - 1) < 1e-6, row
    assert 0 < row["ratio_to_best"] <= 1 and row["runs"] >= 1 and row["rounds"] >= row["runs"], row


def measured(*args):
    """A document with at least one measured row; busy hosts get more time."""
    for seconds in ("0.7", "3", "10"):
        out, err = run_any("bench", "ring", "--seconds", seconds, *args, "--json")
        if "disturbed or mixed" not in err:
            break
    else:
        raise Skip("other work has the CPUs: every run was disturbed")
    return out


def run_any(*args):
    """As run_json(), but a run that could not measure is told by its message."""
    try:
        return run_json(*args[:-1])
    except AssertionError as why:
        if "disturbed or mixed" in str(why):
            return None, str(why)
        raise


def all_contestants_are_measured_or_said_to_be_missing():
    two_cpus()
    doc = measured()
    assert doc["schema"].startswith("kamino") and doc["command"] == "bench ring"
    done = doc["params"]["done"]
    assert done["runs"] >= done["mixed"] + done["disturbed"] and done["messages"] > 0
    seen, kept = set(), 0
    for row in doc["results"]:
        key = (row["ring"], row["bytes"], row["mode"])
        assert key in OURS + CACHED + RIVALS, key
        seen.add(key)
        if "status" in row:
            assert key in RIVALS and row["status"].startswith("unavailable: install lib"), row
            assert row["mops_median"] is None and row["distance"] is None
        else:
            check_measured(row)
            kept += row["runs"]
    assert kept == done["runs"] - done["mixed"] - done["disturbed"], (kept, done)
    # in each group the best one has ratio 1
    groups = {}
    for row in doc["results"]:
        if "status" not in row:
            groups.setdefault((row["bytes"], row["mode"], row["distance"]), []).append(row)
    for rows in groups.values():
        best = max(row["mops_median"] for row in rows)
        assert max(row["ratio_to_best"] for row in rows) == 1
        for row in rows:
            assert abs(row["ratio_to_best"] - row["mops_median"] / best) < 1e-9, row


def choices_are_kept():
    cpus = two_cpus()
    doc = measured("--ring", "cached,kamino", "--bytes", "8", "--burst", "--slots", "64", "--seed", "7",
                   "--cpu", str(cpus[1]), "--peer-cpu", str(cpus[0]))
    assert {(r["ring"], r["bytes"], r["mode"]) for r in doc["results"]} <= {("cached", 8, "burst"),
                                                                            ("kamino", 8, "burst")}
    params = doc["params"]
    assert (params["slots"], params["seed"], params["burst"], params["single"]) == (64, 7, True, False)
    assert (params["cpu"], params["peer_cpu"]) == (cpus[1], cpus[0])


def rounds_are_counted():
    two_cpus()
    doc = measured("--ring", "kamino", "--rounds", "2", "--near-ns", "1000000")
    assert doc["params"]["done"]["rounds"] == 2 and doc["params"]["done"]["runs"] == 8
    assert all(row["distance"] == "near" for row in doc["results"])


def text_names_units_and_what_was_dropped():
    two_cpus()
    for seconds in ("0.7", "5"):
        try:
            out, _ = run("bench", "ring", "--seconds", seconds)
            break
        except AssertionError as why:
            if "disturbed or mixed" not in str(why):
                raise
    else:
        raise Skip("other work has the CPUs: every run was disturbed")
    for word in ("M/s", "rtt", "kamino", "disturbed", "mixed", "all checked", "near: a line's round trip"):
        assert word in out, "no '%s' in:\n%s" % (word, out)
    for name, _, _ in RIVALS:
        assert name in out, name


def bad_input_is_refused_with_its_reason():
    for args, says in (
            (("--ring", "kamin"), "did you mean 'kamino'"),
            (("--ring", "kamino,nothing-like-it"), "nothing-like-it"),
            (("--ring", ""), "no ring"),
            (("--ring", "ck", "--burst"), "bursts"),
            (("--bytes", "7"), "8 or 64"),
            (("--bytes", "8,x"), "8,x"),
            (("--bytes", "-8"), "-8"),
            (("--slots", "1000"), "power of two"),
            (("--slots", "2"), "slots"),
            (("--cpu", "99999"), "not allowed"),
            (("--peer-cpu", "99999"), "not allowed"),
            (("--cpu", "0", "--peer-cpu", "0"), "one CPU"),
            (("--seconds", "0"), "seconds"),
            (("--second", "1"), "did you mean"),
            (("extra",), "extra")):
        _, err = run("bench", "ring", *args, code=2)
        assert says in err, "no '%s' in: %s" % (says, err)


def with_one_cpu_it_says_that_it_cannot_measure():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        out, err = run("bench", "ring", "--seconds", "1", "--json", code=2)
    finally:
        os.sched_setaffinity(0, allowed)
    assert not out and "one allowed CPU" in err, err


tap.main([all_contestants_are_measured_or_said_to_be_missing,
          choices_are_kept,
          rounds_are_counted,
          text_names_units_and_what_was_dropped,
          bad_input_is_refused_with_its_reason,
          with_one_cpu_it_says_that_it_cannot_measure])
