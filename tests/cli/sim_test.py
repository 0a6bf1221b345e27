#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino sim: documents, determinism, traces, wrong usage, bad input. TAP on stdout; the binary in $KAMINO.

Short days, so that it takes seconds.
"""
import functools

import tap
from tap import path, refused, run, run_json, write


def sim(*args):
    """The results of a document."""
    doc, _ = run_json("sim", *args)
    assert set(doc) >= {"schema", "command", "host", "params", "results"}
    return doc["results"]


def cells(*args):
    return {(c["figure"], c["row"], c["column"]): c for c in sim(*args)}


def without_host(*args):
    doc, _ = run_json("sim", *args)
    del doc["host"]
    return doc


# ---- documents --------------------------------------------------------------------------

def a_table_has_a_row_for_every_policy_and_help_lists_the_options():
    assert "latcache-rule" in run("sim", "--hours", "0.2")[0]
    assert "--zone-file" in run("sim", "--help")[0]


def the_keys_that_are_promised():
    results = sim("--hours", "0.2")
    assert len(results) == 7
    for x in results:
        assert {"policy", "agents", "submitted", "completed", "refused", "lost", "latency_us", "wait_us",
                "processing_us", "top_hit_rate", "rule_hit_rate", "cache_bytes_mean", "cache_bytes_max",
                "events_per_s"} <= set(x)
        assert {"mean", "p50", "p90", "p99", "max"} <= set(x["latency_us"])
        assert x["submitted"] == x["completed"] + x["refused"] and x["lost"] == 0, x


def all_and_a_name_are_each_policy_once():
    assert [x["policy"] for x in sim("--hours", "0.05", "--policy", "jsq,all,rr")] == [
        "jsq", "protean", "random", "rr", "hash-ws", "latcache-request", "latcache-rule", "naive"]


def agents_and_loads_are_lists():
    assert [x["agents"] for x in sim("--hours", "0.1", "--agents", "2,300", "--load", "1,2", "--policy", "rr")] == [
        2, 300, 2, 300]


def every_policy_of_both_lists_runs_with_the_invariants_verified():
    assert len(sim("--hours", "0.1", "--check", "--policy", "jsq,p2c,bounded-hash,affinity,latcache-future")) == 5


def accuracy_is_told_when_asked_for():
    accuracy = sim("--hours", "0.2", "--accuracy", "--policy", "latcache-rule")[0]["accuracy"]
    assert 0 < accuracy["best_agent_rate"] <= 1 and accuracy["judged"] > 0


def conflicts_happen_when_asked_for():
    result = sim("--hours", "0.5", "--conflicts", "20", "--policy", "protean")[0]
    assert result["conflicts"] > 0 and result["lost"] == 0


def a_load_that_nobody_can_serve_ends_and_is_said():
    _, err = run("sim", "--load", "200", "--requests", "40000", "--policy", "protean")
    assert "more work than the agents can do" in err


# ---- experiments ------------------------------------------------------------------------

def an_experiment_has_ours_and_the_papers():
    got = cells("--experiment", "table3,fig8", "--set", "hours=0.2")
    assert got["table3", "latcache-rule", "top_hit_pct"]["paper"] == 95.0
    wait, work = got["fig8", "protean", "wait"], got["fig8", "protean", "processing"]
    assert wait["paper"] == 0.67 and abs(wait["ours"] + work["ours"] - 1) < 1e-9
    assert all(c["ours"] is not None for c in got.values())


def figure_2_has_the_rows_that_agents_asks_for():
    got = cells("--experiment", "fig2", "--agents", "4,10", "--set", "hours=0.2")
    assert {row for _, row, _ in got} == {"4", "10"}


def the_order_of_policies_is_counted_over_zones():
    got = cells("--experiment", "order", "--set", "hours=0.2")
    over = got["order", "latcache-rule", "p90_over_hash-ws"]
    assert over["paper"] == 6 and 0 <= over["ours"] <= 6
    assert got["order", "pairs", "on_every_zone"]["paper"] == len(got) - 1


# ---- the same bytes -----------------------------------------------------------------------

def a_simulation_is_the_same_twice_and_with_more_threads():
    first = without_host("--hours", "0.3", "--threads", "1")
    assert first["results"]
    assert without_host("--hours", "0.3", "--threads", "1") == first
    assert without_host("--hours", "0.3", "--threads", "3") == first


def an_experiment_is_the_same_with_more_threads():
    args = ("--experiment", "fig6", "--set", "hours=0.1", "--threads")
    assert without_host(*args, "1") == without_host(*args, "2")


def a_printed_zone_simulates_like_the_built_in_one():
    zones = write("zones", run("sim", "--print-zones")[0])
    got = without_host("--zone-file", zones, "--zone", "zone2", "--hours", "0.1")
    assert got["params"]["zone_file"] == zones
    got["params"]["zone_file"] = None
    assert got == without_host("--zone", "zone2", "--hours", "0.1")


# ---- a trace of one's own -------------------------------------------------------------------

@functools.cache
def trace():
    rows = ["at_us,op,vm,cpu,memory,kind"]
    for i in range(300):
        rows.append("%d,create,v%d,%d,%d,k%d" % (i * 50000, i, i % 5 + 1, i % 3 + 1, i % 7))
        if i > 50:
            rows.append("%d,delete,v%d,,," % (i * 50000, i - 50))
    return write("trace.csv", "\n".join(rows) + "\n")


def a_trace_is_simulated_and_faster_when_compressed():
    result = sim("--trace", trace(), "--policy", "latcache-rule")[0]
    assert result["submitted"] == result["completed"] == 300 and result["top_hit_rate"] > 0.2
    assert 1.4 < sim("--trace", trace(), "--policy", "latcache-rule", "--compress", "10")[0]["virtual_s"] < 14


def a_chosen_compression_makes_agents_as_busy_as_is_said():
    doc, _ = run_json("sim", "--trace", trace(), "--policy", "rr,latcache-rule", "--agents", "1,64")
    r = doc["results"]
    assert doc["params"]["trace"].endswith("trace.csv") and [x["agents"] for x in r] == [1, 1, 64, 64]
    assert all(x["unstable"] is False and x["submitted"] == x["completed"] == 300 for x in r)
    assert 0.35 < r[0]["busy"] < 0.65 and r[0]["compress"] < r[2]["compress"]
    assert r[0]["cache_bytes"] == r[2]["cache_bytes"]
    out, err = run("sim", "--trace", trace(), "--policy", "rr", "--agents", "16")
    assert "time compressed" in err and "trace    rr" in out


def a_trace_pressed_too_much_ends_and_is_said():
    _, err = run("sim", "--trace", trace(), "--policy", "rr,jsq", "--agents", "1", "--compress", "1e6")
    assert "no queue is stable" in err


def traces_and_costs_that_are_none_fail():
    refused(1, "sim", "--trace", __file__)
    refused(1, "sim", "--trace", path("nothing"))
    refused(1, "sim", "--trace", write("empty.csv", "at_us,op,vm,cpu,memory,kind\n"), says="no request")
    refused(1, "sim", "--trace", trace(), "--costs", write("costs", "kamino-costs 1\n"), says="costs:")
    refused(2, "sim", "--costs", path("costs"), says="goes with --trace")


# ---- wrong usage ----------------------------------------------------------------------------

def a_wrong_name_gets_a_suggestion_or_the_list():
    for option, name, says in (("policy", "latcach-rule", "did you mean 'latcache-rule'"),
                               ("policy", "zzzzzz", "latcache-request"),
                               ("zone", "zone33", "did you mean 'zone3'"),
                               ("zone", "nowhere", "print-zones"),
                               ("experiment", "fig66", "did you mean 'fig6'"),
                               ("set", "tpyes=5", "did you mean 'types'"),
                               ("polciy", "rr", "did you mean --policy")):
        refused(2, "sim", "--" + option, name, says=says)


def an_experiment_refuses_what_it_would_not_heed():
    for option in ("--requests=5", "--load=2", "--trace=x", "--costs=x", "--cache=1GiB", "--conflicts=2", "--accuracy"):
        refused(2, "sim", "--experiment", "fig6", option, says=option.split("=")[0])


def a_number_out_of_bounds_is_refused():
    for option, value, says in (("agents", "0", ""), ("agents", "5000", "4096"), ("agents", "1.5", "whole number"),
                                ("agents", "4,many", ""), ("types", "0", ""), ("load", "0", ""),
                                ("set", "skew=-1", "")):
        refused(2, "sim", "--" + option, value, says=says)


def more_agents_and_types_than_the_machine_holds_are_refused_with_the_remedy():
    refused(2, "sim", "--agents", "4096", "--types", "1000000", "--set", "families=1000,tenants=1000",
            says="fewer agents or types")


def a_zone_file_that_says_what_cannot_be_is_refused():
    for text, says in (("[a]\nrate_per_s = fast\n", "zone:2:1:"),
                       ("[a\033[31m]\ntypes = 9\n", ""),  # a name may not steer the terminal
                       ("[a]\nfamilies = 1\nsizes = 1\ntenants = 1\n", "more than its trait values make"),
                       ("[a]\ntypes = 0\n", "types")):
        refused(2, "sim", "--zone-file", write("zone", text), says=says)
    refused(1, "sim", "--zone-file", path("nothing"))


tap.main([test for test in list(globals().values())
          if callable(test) and getattr(test, "__module__", "") == "__main__" and
          test.__name__ not in ("sim", "cells", "without_host", "trace")])
