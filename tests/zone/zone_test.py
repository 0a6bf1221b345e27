#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job at its real size: the published sample, and a million servers. TAP; the binary in $KAMINO.

What is asserted is the audit; latencies and hit rates are printed for the reader. Needs about 8 GiB of memory."""
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import tap
from tap import path, run, run_json

SAMPLE_REQUESTS = 60000
MILLION_GIB_MAX = 8  # the stated budget of the million-server run: caches, views, store, trace


def say(result):
    print("# %-14s mean %8.3f ms  p50 %8.3f  p90 %8.3f  p99 %8.3f  top hits %6.2f %%  rule hits %6.2f %%" % (
        result["policy"], result["latency_us"]["mean"] / 1e3, result["latency_us"]["p50"] / 1e3,
        result["latency_us"]["p90"] / 1e3, result["latency_us"]["p99"] / 1e3, 100 * result["top_hit_rate"],
        100 * result["rule_hit_rate"]))


def account(result):
    assert result["submitted"] == result["completed"] + result["refused"] and result["lost"] == 0
    assert result["audit_clean"] is True, result["audit_failures"]


def sample(level):
    data = os.environ.get("KAMINO_DATA")
    if not data:
        raise tap.Skip("KAMINO_DATA is unset")
    trace = path(level + ".csv.gz")
    run("trace", "import", "--azure", os.path.join(data, "azure-packing-2020"), "--level", level, "--requests",
        str(SAMPLE_REQUESTS), "--out", trace)
    doc, _ = run_json("run", "--trace", trace, "--servers", "16000", "--policy", "protean,latcache-rule",
                      timeout=900)
    protean, latcache = doc["results"]
    print("# level %s: %d requests, %d types, compressed %.0f times, load %.2f" % (
        level, protean["submitted"], protean["types"], doc["params"]["compress"], doc["params"]["load"]))
    for result in doc["results"]:
        say(result)
        account(result)
        assert result["submitted"] >= 50000
    better = latcache["latency_us"]["mean"] < protean["latency_us"]["mean"]
    hits = latcache["top_hit_rate"] > protean["top_hit_rate"]
    print("# latcache-rule: mean latency %.1f %% of protean's%s, top-level hit rate %+.2f points%s" % (
        100 * latcache["latency_us"]["mean"] / protean["latency_us"]["mean"], "" if better else " (NOT better)",
        100 * (latcache["top_hit_rate"] - protean["top_hit_rate"]), "" if hits else " (NOT better)"))


def the_real_sample_with_batch_size_classes_is_served():
    sample("batch")


def the_real_sample_with_vm_types_is_served():
    sample("vmtype")


def simulated(level):
    data = os.environ.get("KAMINO_DATA")
    if not data:
        raise tap.Skip("KAMINO_DATA is unset")
    trace = path("sim-" + level + ".csv.gz")
    run("trace", "import", "--azure", os.path.join(data, "azure-packing-2020"), "--level", level, "--requests",
        str(SAMPLE_REQUESTS), "--out", trace)
    doc, _ = run_json("sim", "--trace", trace, "--agents", "1,4,64,1024", "--policy", "rr,hash-ws,latcache-rule",
                      "--warmup", "0.1", timeout=900)
    busy = {}
    for result in doc["results"]:
        print("# %-14s %4d agents, compressed %5.0f times, %2.0f %% busy: mean %5.0f ms  p90 %5.0f  top hits %5.2f %%" % (
            result["policy"], result["agents"], result["compress"], 100 * result["busy"],
            result["latency_us"]["mean"] / 1e3, result["latency_us"]["p90"] / 1e3, 100 * result["top_hit_rate"]))
        assert result["submitted"] == result["completed"] >= 50000 and result["lost"] == 0
        assert not result["unstable"]
        busy[result["policy"], result["agents"]] = result["busy"]
    for agents in 1, 4, 64, 1024:
        assert 0.3 < busy["rr", agents] < 0.7, busy["rr", agents]


def the_real_sample_with_batch_size_classes_is_simulated_at_any_agent_count():
    simulated("batch")


def the_real_sample_with_vm_types_is_simulated_at_any_agent_count():
    simulated("vmtype")


def a_trace_of_any_length_is_simulated_in_the_same_memory():
    peak = []
    for requests in 20000, 400000:
        trace = path("long-%d.csv.gz" % requests)
        run("trace", "synth", "--servers", "1000", "--requests", str(requests), "--out", trace)
        with subprocess.Popen([os.environ.get("KAMINO", "build/kamino"), "sim", "--trace", trace, "--policy",
                               "latcache-rule"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sim:
            _, status, usage = os.wait4(sim.pid, 0)
            sim.returncode = os.waitstatus_to_exitcode(status)
        assert sim.returncode == 0
        peak.append(usage.ru_maxrss / 1024)
    print("# %.1f MiB at 20000 requests, %.1f at 400000" % tuple(peak))
    assert peak[1] < peak[0] + 4


def a_million_servers_are_served_within_the_budget():
    doc, _ = run_json("run", "--servers", "1000000", "--requests", "2000", "--calibrate", "200", "--cache", "900MiB",
                      timeout=900)
    result = doc["results"][0]
    say(result)
    account(result)
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print("# one consolidated result %.1f MiB; bytes per agent: %s; whole process %.2f GiB of %d" % (
        doc["params"]["consolidated_bytes"] / 2**20,
        ", ".join("%.0f MiB" % (agent["cache_bytes_peak"] / 2**20) for agent in result["agent"]), peak_gib,
        MILLION_GIB_MAX))
    assert doc["params"]["consolidated_bytes"] >= 10e6
    assert result["cache_bytes_max"] <= doc["params"]["cache_bytes"]
    assert peak_gib <= MILLION_GIB_MAX


def a_miss_in_the_steady_state_faults_no_page():
    doc, _ = run_json("run", "--servers", "20000", "--requests", "6000", "--level", "vmtype", "--policy", "rr")
    result = doc["results"][0]
    account(result)
    print("# %d misses with recycled slots, %d minor faults" % (
        result["steady_misses"], result["steady_minor_faults"]))
    assert result["steady_misses"] > 200 and result["steady_minor_faults"] == 0


tap.main([the_real_sample_with_batch_size_classes_is_served, the_real_sample_with_vm_types_is_served,
          the_real_sample_with_batch_size_classes_is_simulated_at_any_agent_count,
          the_real_sample_with_vm_types_is_simulated_at_any_agent_count,
          a_trace_of_any_length_is_simulated_in_the_same_memory,
          a_million_servers_are_served_within_the_budget, a_miss_in_the_steady_state_faults_no_page])
