#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino bench: each benchmark for about a second, its document checked; bad input. TAP on stdout."""
import math
import os
import re

import tap
from tap import Skip, run, run_json

SMALL = ("bench", "dispatch", "--samples", "4000", "--rate", "200k")


# Options with which a benchmark takes about a second; "--seconds 1" where nothing is said.
QUICK = {"dispatch": ("--samples", "4000", "--rate", "200k", "--agents", "1,64"),
         "rules": ("--seconds", "1", "--servers", "2000,50000")}


def names():
    out, _ = run("bench", "--help")
    return re.findall(r"^  ([a-z][a-z0-9-]*) +\S", out, re.M)


def check_numbers(value, where):
    if isinstance(value, dict):
        for key, inner in value.items():
            check_numbers(inner, where + "." + key)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            check_numbers(inner, "%s[%d]" % (where, i))
    elif isinstance(value, float):
        assert math.isfinite(value), where


def check_document(name, doc):
    assert doc["schema"].startswith("kamino") and doc["command"] == "bench " + name
    for key in ("cpu", "cores", "memory_bytes", "kernel", "governor", "compiler", "flags", "revision"):
        assert key in doc["host"], key
    assert doc["params"] and doc["results"], name
    check_numbers(doc["results"], name)
    for result in doc["results"]:
        for key, value in result.items():
            if isinstance(value, dict) and "p999" in value:
                check_hist(value, 0 if key.startswith("idle") else 1)


def each_benchmark_of_the_usage_runs_and_tells():
    assert len(names()) >= 2 and "dispatch" in names(), names()
    for name in names():
        doc, _ = run_json("bench", name, *QUICK.get(name, ("--seconds", "1")))
        check_document(name, doc)


def each_benchmark_of_the_usage_has_help_and_refuses_a_typo():
    for name in names():
        out, _ = run("bench", name, "--help")
        assert "--json" in out and "--seed" in out
        _, err = run("bench", name, "--jsn", code=2)
        assert "did you mean" in err, err


def cache_counts_the_objects_it_is_told():
    doc, _ = run_json("bench", "cache", "--seconds", "0.05", "--entries", "128,300", "--rules", "3")
    assert {r["entries"] for r in doc["results"]} == {128, 300}
    for result in doc["results"]:
        assert result["rules"] == 3 and result["checked"] >= result["op_ns"]["samples"]


def the_share_of_known_types_is_what_the_ids_allow():
    doc, _ = run_json("bench", "classify", "--seconds", "0.05", "--types", "64,500", "--rules", "5")
    for result in doc["results"]:
        assert result["rules"] == 5 and result["types"] in (64, 500)
        want = {"plain table": None, "known": 1, "new": 0, "evicted": 0}
        if result["what"] == "mixed":  # ids for a quarter, of the popular
            assert 0.25 < result["known_share"] < 1
        else:
            assert result["known_share"] == want[result["what"]]


def a_simulation_is_the_same_each_time_and_another_with_another_seed():
    args = ("bench", "sim", "--seconds", "0.01", "--requests", "2000", "--policy", "random,latcache-request")
    docs = [run_json(*args, "--seed", seed)[0]["results"] for seed in ("1", "1", "2")]
    sums = [[result["checksum"] for result in results] for results in docs]
    assert sums[0] == sums[1] and not set(sums[0]) & set(sums[2]), sums
    request = [r for r in docs[0] if r["what"] == "latcache-request"][0]
    assert request["aim_per_s"] == 5e6 and request["requests_per_s"] > 0


def only_recycled_slots_fault_no_page():
    doc, _ = run_json("bench", "slots", "--seconds", "0.01", "--mib", "4,16")
    for result in doc["results"]:
        pages = result["mib"] * 256
        if result["what"] == "slot, recycled":
            assert result["faults_least"] == 0, result
        elif result["what"] in ("slot, new", "mmap") and result["page_bytes"] == 4096:
            assert result["faults_least"] >= pages, result


def rules_are_held_against_sums_of_what_they_read():
    doc, _ = run_json("bench", "rules", "--seconds", "0.01", "--servers", "1024,1500")
    rules = [r for r in doc["results"] if "share_of_sum" in r and r["what"] != "all"]
    assert len(rules) >= 2 * 10, len(rules)
    for rule in rules:
        servers = (rule["servers"] + 63) // 64 * 64
        assert rule["read_bytes"] % servers == 0 and rule["share_of_sum"] > 0
        assert rule["write_bytes"] in (servers, servers // 8), rule
    assert [r for r in doc["results"] if r["what"] == "consolidate"]
    updates = [r["changed"] for r in doc["results"] if r["what"] == "update"]
    assert updates == [64, 64], updates


def snapshots_are_read_listed_folded_and_seen():
    doc, _ = run_json("bench", "snap", "--seconds", "0.05", "--keys", "16,100", "--changed", "0,50")
    results = doc["results"]
    folds = [(r["keys"], r["changed_percent"]) for r in results if r["what"] == "fold, by log"]
    assert folds == [(16, 0), (16, 50), (100, 0), (100, 50)], folds
    ages = [r for r in results if "age_ns" in r]
    assert ages or "skipped_because" in results[-1], results[-1]
    for age in ages:
        assert age["what"] in ("near", "far", "mixed") and age["line_rtt_ns"]["min"] > 0
        assert age["age_ns"]["samples"] + age["skipped"] == age["published"], age


def the_way_of_a_request_is_told_in_stages_that_add_up():
    doc, _ = run_json("bench", "e2e", "--seconds", "0.4", "--rate", "500,3000", "--agents", "1", "--service", "5us")
    rows = [r for r in doc["results"] if "start_ns" in r]
    assert [r["rate_per_s"] for r in rows if r["what"] == "parked"] == [500, 3000]
    assert len(rows) == 4 or [r for r in doc["results"] if "cores" in r.get("skipped_because", "")]
    for row in rows:
        served = row["submitted"] - row["refused"]
        for key in ("start_ns", "complete_ns", "late_ns", "ingress_ns", "handover_ns", "service_ns", "back_ns"):
            assert row[key]["samples"] == served, (key, row)
        assert row["service_ns"]["min"] >= 5000 * (1 - doc["params"]["histogram_error"])
        stages = sum(row[key]["min"] for key in ("late_ns", "ingress_ns", "handover_ns"))
        assert stages <= row["start_ns"]["max"] and row["start_ns"]["p50"] <= row["complete_ns"]["p50"]


def check_hist(hist, samples):
    assert set(hist) >= {"min", "p50", "p90", "p99", "p999", "max", "samples"}, hist
    assert hist["samples"] >= samples, hist
    assert 0 <= hist["min"] <= hist["p50"] <= hist["p90"] <= hist["p99"] <= hist["p999"] <= hist["max"], hist


def check_counters(counters):
    """A number or a reason, never missing; what asks for no hardware is always there."""
    assert counters["per"] == "decision"
    for name in ("cycles", "instructions", "branch_misses", "l1d_misses", "llc_misses", "cache_misses",
                 "dtlb_misses", "page_faults", "context_switches"):
        value = counters[name]
        if isinstance(value, str):
            assert value.startswith("unavailable: ") and len(value) > len("unavailable: "), (name, value)
            assert name not in ("page_faults", "context_switches"), (name, value)
        else:
            assert value >= 0 and (value > 0 or name not in ("cycles", "instructions")), (name, value)


def check_result(result, agents, rules, policy, samples=4000):
    assert (result["agents"], result["rules"], result["policy"]) == (agents, rules, policy), result
    for key in ("decision_ns", "single_ns", "classify_ns", "path_ns"):
        check_hist(result[key], samples)
    check_hist(result["look_ns"], samples // result["batch"])
    assert result["decision_ns"]["p50"] > 0 and result["floor_ns"] > 0 and result["naive_ns"] > 0
    ratio = result["decision_ns"]["p50"] / result["floor_ns"]
    assert abs(result["ratio_to_floor"] - ratio) < 1e-6 * ratio
    assert result["timer_ns"] > 0 and 0 < result["histogram_error"] < 0.1
    assert 0 < result["top_hit_share"] <= 1 and result["completed_per_s"] > 0
    assert result["timed"].startswith(("each decision", "batches of %d" % result["batch"]))
    assert int(result["checksum"], 16) != 0
    check_counters(result["counters"])


def every_cell_of_the_lists_is_there_and_checked():
    doc, _ = run_json(*SMALL, "--agents", "1,4,70", "--rules", "0,20", "--types", "130",
                      "--policy", "latcache-rule,latcache-request")
    assert doc["schema"].startswith("kamino") and doc["command"] == "bench dispatch"
    assert doc["host"]["cpu"] and doc["host"]["revision"] and doc["params"]["types"] == 130
    want = [(a, r, p) for p in ("latcache-rule", "latcache-request") for r in (0, 20) for a in (1, 4, 70)]
    assert len(doc["results"]) == len(want)
    for result, cell in zip(doc["results"], want):
        check_result(result, *cell)
        # The naive way came to the same answers by other means.
        assert result["naive_checked"] > 0


def policies_that_hold_requests_back_are_measured_too():
    doc, _ = run_json(*SMALL, "--agents", "1,8", "--types", "130",
                      "--policy", "naive,all,rr")
    assert [r["policy"] for r in doc["results"][::2]] == [
        "naive", "protean", "random", "rr", "hash-ws", "latcache-request", "latcache-rule"]
    for result in doc["results"]:
        for key in ("decision_ns", "path_ns"):
            check_hist(result[key], 4000)


def depth_and_changed_agents_show():
    doc, _ = run_json(*SMALL, "--agents", "64", "--types", "130", "--depth", "7", "--changed", "0.5")
    result = doc["results"][0]
    check_result(result, 64, 20, "latcache-rule")
    assert result["in_flight"] == 64 * 7 + result["batch"]
    assert result["changed_per_look"] > 20, result["changed_per_look"]


def text_names_the_units_and_the_timer():
    out, _ = run(*SMALL, "--agents", "4", "--types", "130", "--no-naive")
    assert "latcache-rule" in out and "ns a decision" in out and "a reading" in out


def bad_input_is_refused_with_its_reason():
    for args, says in (
            (("bench",), "usage"),
            (("bench", "dispach"), "dispach"),
            (("bench", "dispatch", "--agents", "0"), "size"),
            (("bench", "dispatch", "--agents", "4,x"), "4,x"),
            (("bench", "dispatch", "--agents", "-4"), "-4"),
            (("bench", "dispatch", "--agents", ""), "list"),
            (("bench", "dispatch", "--rules", "65"), "65"),
            (("bench", "dispatch", "--types", "1"), "types"),
            (("bench", "dispatch", "--depth", "0"), "depth"),
            (("bench", "dispatch", "--policy", "latcache-rules"), "did you mean 'latcache-rule'"),
            (("bench", "dispatch", "--policy", "oracle"), "kamino sim"),
            (("bench", "dispatch", "--cpu", "99999"), "not allowed"),
            (("bench", "dispatch", "--cpu", "0", "--agents-cpu", "0"), "CPU"),
            (("bench", "dispatch", "--sample", "9"), "did you mean"),
            (("bench", "cache", "--entries", "0"), "objects"),
            (("bench", "cache", "--entries", "256", "--rules", "0"), "rules"),
            (("bench", "cache", "--cpu", "99999"), "not allowed"),
            (("bench", "cache", "--seconds", "0"), "seconds"),
            (("bench", "classify", "--types", "0"), "types"),
            (("bench", "rules", "--servers", "0"), "--servers"),
            (("bench", "rules", "--servers", "2000000"), "--servers"),
            (("bench", "e2e", "--agents", "0"), "agents"),
            (("bench", "e2e", "--rate", "0"), "--rate"),
            (("bench", "e2e", "--rate", "1", "--seconds", "0.01"), "no request came"),
            (("bench", "e2e", "--service", "20"), "service"),
            (("bench", "e2e", "--policy", "all"), "one at a time"),
            (("bench", "sim", "--agents", "0"), "agents"),
            (("bench", "snap", "--keys", "0"), "--keys"),
            (("bench", "snap", "--changed", "101"), "--changed"),
            (("bench", "snap", "--cpu", "0", "--other-cpu", "0"), "two are needed"),
            (("bench", "slots", "--mib", "0"), "--mib"),
            (("bench", "slots", "--mib", "1000000"), "MiB are available"),
            (("bench", "sim", "--zone", "zone33"), "did you mean 'zone3'"),
            (("bench", "sim", "--policy", "latcache-rul"), "did you mean 'latcache-rule'"),
            (("bench", "sim", "--requests", "90000000"), "the zone's day has only"),
            # more than any memory holds
            (("bench", "cache", "--entries", "100000000"), "objects"),
            (("bench", "dispatch", "--agents", "400000", "--types", "2000000", "--depth", "1"), "MiB"),
            (("bench", "dispatch", "--agents", "1048576", "--depth", "4000"), "requests inside")):
        out, err = run(*args, code=2)
        assert says in err, "no '%s' in: %s" % (says, err)


def one_cpu_alone_is_enough():
    if not hasattr(os, "sched_setaffinity"):
        raise Skip("no affinity on this system")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        doc, _ = run_json("bench", "dispatch", "--agents", "4", "--types", "130", "--samples", "500",
                          "--rate", "20k")
    finally:
        os.sched_setaffinity(0, allowed)
    check_result(doc["results"][0], 4, 20, "latcache-rule", 500)


tap.main([each_benchmark_of_the_usage_runs_and_tells,
          each_benchmark_of_the_usage_has_help_and_refuses_a_typo,
          cache_counts_the_objects_it_is_told,
          the_share_of_known_types_is_what_the_ids_allow,
          a_simulation_is_the_same_each_time_and_another_with_another_seed,
          only_recycled_slots_fault_no_page,
          rules_are_held_against_sums_of_what_they_read,
          snapshots_are_read_listed_folded_and_seen,
          the_way_of_a_request_is_told_in_stages_that_add_up,
          every_cell_of_the_lists_is_there_and_checked,
          policies_that_hold_requests_back_are_measured_too,
          depth_and_changed_agents_show,
          text_names_the_units_and_the_timer,
          bad_input_is_refused_with_its_reason,
          one_cpu_alone_is_enough])
