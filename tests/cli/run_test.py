#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino run: documents, audits, bad input, interrupts. TAP on stdout; the binary in $KAMINO."""
import csv
import gzip
import json
import os
import signal
import subprocess
import time

import tap
from tap import path, run, run_json, write

SMALL = ("run", "--servers", "2000", "--requests", "600", "--calibrate", "100", "--compress", "30000")
POLICIES = ["protean", "random", "rr", "hash-ws", "latcache-request", "latcache-rule", "naive"]

INVENTORY = "server,cluster,rack,cpu,memory,kind\n" + "".join(
    "s%d,c%d,r%d,16,64,k%d\n" % (i, i // 8, i // 4, i % 2) for i in range(16))


def account(result):
    assert result["submitted"] == result["completed"] + result["refused"], result
    assert result["lost"] == 0, result
    assert result["audit_clean"] is True, result["audit_failures"]


def run_trace(rows, *more, header="at_us,op,vm,tenant,cpu,memory,batch", code=0):
    """Replay these rows on 16 small servers; returns the first result."""
    trace = write("rows.csv", header + "\n" + "\n".join(rows) + "\n")
    inventory = write("servers.csv", INVENTORY)
    doc, err = run_json("run", "--trace", trace, "--inventory", inventory, "--compress", "1000",
                        "--warmup", "0", *more, code=code)
    account(doc["results"][0])
    return doc["results"][0], err


def refused(name, text, *says):
    """An input file is refused with its place and reason."""
    file = write(name, text)
    option = {"t": "--trace", "i": "--inventory", "r": "--rules"}[name[0]]
    args = ["run", option, file, "--compress", "1000"]
    if option == "--inventory":
        args += ["--trace", write("rows.csv", "at_us,op,vm\n1,create,a\n")]
    _, err = run(*args, code=1)
    for what in (file,) + says:
        assert what in err, "no '%s' in: %s" % (what, err)


def what_the_machine_has_no_room_for_is_refused_before_anything_is_built():
    for args, says in ((("--agents", "10000"), "--agents"), (("--agents", "2", "--cache", "900000GiB"), "--cache")):
        out, err = run("run", *args, code=2)
        assert out == "" and "room for" in err and says in err and "\n" not in err.strip(), err


def every_policy_serves_the_same_stream_and_is_audited():
    doc, _ = run_json(*SMALL, "--policy", "protean,all,naive,rr")
    assert doc["schema"].startswith("kamino") and doc["command"] == "run"
    assert doc["host"] and doc["params"]["seed"] == 1
    assert [r["policy"] for r in doc["results"]] == POLICIES
    for result in doc["results"]:
        account(result)
        assert result["submitted"] == 600 and result["agents"] == 4
        assert result["completed"] > 500
        for key in ("latency_us", "wait_us", "processing_us"):
            assert set(result[key]) >= {"mean", "p50", "p90", "p99", "max"}
            assert 0 < result[key]["max"] and result[key]["p50"] <= result[key]["p99"]
        assert set(result["decision_ns"]) == {"p50", "p99", "p999"}
        assert 0 < result["top_hit_rate"] < 1 and 0 <= result["rule_hit_rate"] <= 1
        assert 0 < result["cache_bytes_mean"] <= result["cache_bytes_max"]
        assert result["cache_bytes_max"] <= doc["params"]["cache_bytes"]
        assert result["events_per_s"] > 0 and "conflicts" in result and "retries" in result


def the_table_names_every_policy_and_its_audit():
    out, _ = run(*SMALL, "--policy", "protean,latcache-rule")
    assert out.count("protean") >= 2 and out.count("latcache-rule") >= 2
    assert out.count("clean") == 2
    assert max(map(len, out.splitlines())) <= 110


def a_generated_trace_is_written_read_and_served():
    run("trace", "synth", "--servers", "1000", "--requests", "400", "--seed", "3", "--out", path("t.csv.gz"),
        "--inventory-out", path("i.csv.gz"))
    doc, _ = run_json("run", "--trace", path("t.csv.gz"), "--inventory", path("i.csv.gz"), "--compress", "30000")
    account(doc["results"][0])
    assert doc["results"][0]["submitted"] == 400
    assert doc["params"]["servers"] == 1000


def a_batch_is_placed_whole_or_not_at_all():
    fits = ["%d,create,a%d,t,4,8,b1" % (1000, i) for i in range(10)]
    too_big = ["%d,create,c%d,t,16,8,b2" % (2000, i) for i in range(17)]
    result, _ = run_trace(fits + too_big + ["3000,create,d,t,1,1,"])
    assert result["submitted"] == 3 and result["completed"] == 2
    assert result["vms_placed"] == 11 and result["refusals"]["no_room"] == 1


def a_batch_of_several_types_is_one_request():
    result, _ = run_trace(["1,create,a,t,4,8,b", "1,create,b,t,2,8,b", "1,create,c,t,4,8,b"])
    assert result["submitted"] == 1 and result["vms_placed"] == 3


def a_vm_that_no_server_can_host_is_refused():
    result, _ = run_trace(["1,create,a,t,1000,8,", "2,create,b,t,1,1,"])
    assert result["refusals"]["no_room"] == 1 and result["completed"] == 1


def unknown_deletes_and_duplicate_vms_are_counted():
    result, _ = run_trace(["1,create,a,t,1,1,", "900000,create,a,t,1,1,", "900001,delete,ghost,,,,",
                           "900002,delete,a,,,,", "900003,delete,a,,,,"])
    assert result["refusals"]["bad_request"] == 1
    assert result["deletes"] == {"done": 1, "unknown_vm": 2, "of_refused": 0}


def a_delete_waits_for_its_create():
    rows = []
    for i in range(200):
        rows += ["%d,create,v%d,t,1,1," % (i, i), "%d,delete,v%d,,,," % (i, i)]
    result, _ = run_trace(rows)
    assert result["deletes"]["done"] == 200 and result["deletes"]["unknown_vm"] == 0


def a_vm_name_that_comes_again_and_again_loses_no_delete():
    rows = []
    for i in range(500):
        rows += ["%d,create,v%d,t,1,1," % (i, i), "%d,delete,v%d,,,," % (i, i)] * 2
    result, _ = run_trace(rows)
    assert sum(result["deletes"].values()) == 1000
    result, _ = run_trace(["0,create,a,t,1,1,", "0,delete,a,,,,", "0,create,a,t,1,1,"])
    assert sum(result["deletes"].values()) == 1 and result["submitted"] == 2


def a_trace_starts_at_its_first_row():
    day = 1700000000000000
    result, _ = run_trace(["%d,create,v%d,t,1,1," % (day + i * 1000, i) for i in range(100)])
    assert result["completed"] == 100
    trace = write("late.csv", "at_us,op,vm\n7000000000,create,a\n7000000000,create,b\n")
    doc, _ = run_json("run", "--trace", trace, "--inventory", write("servers.csv", INVENTORY), timeout=60)
    account(doc["results"][0])
    assert doc["results"][0]["submitted"] == 2 and doc["params"]["compress"] > 0


def an_initial_vm_may_come_go_and_come_again():
    result, _ = run_trace(["-3,create,a,t,1,1,", "-2,delete,a,,,,", "-1,create,a,t,1,1,", "5,delete,a,,,,",
                           "6,create,b,t,1,1,"])
    assert result["deletes"]["done"] == 1 and result["completed"] == 1


def a_recorded_cost_profile_is_written():
    run(*SMALL, "--policy", "rr,latcache-rule", "--record-costs", path("costs"))
    with open(path("costs"), encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("kamino-costs") and text.count("rule ") > 10
    assert "handover own after-hit" in text


def each_request_has_a_row_that_adds_up():
    name = path("requests.csv.gz")
    doc, _ = run_json(*SMALL, "--policy", "rr,protean", "--requests-out", name)
    with gzip.open(name, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for result in doc["results"]:
        mine = [row for row in rows if row["policy"] == result["policy"]]
        assert [int(row["request"]) for row in sorted(mine, key=lambda row: int(row["request"]))] == \
            list(range(1, result["submitted"] + 1))
        times = ("due_ns", "submitted_ns", "decided_ns", "start_ns", "end_ns")
        for row in mine:
            at = [int(row[name]) for name in times]
            assert at == sorted(at), row
        measured = [row for row in mine if row["measured"] == "1"]
        waits = [int(row["start_ns"]) - int(row["due_ns"]) for row in measured]
        assert abs(sum(waits) / len(waits) / 1000 - result["wait_us"]["mean"]) < 0.01
        assert sum(row["outcome"] == "placed" for row in mine) == result["completed"]


def malformed_traces_are_refused_with_their_place():
    refused("t1.csv", "at_us,op,vm\n1,create\n", ":2:")
    refused("t2.csv", "at_us,op,vm\n1,create,a\n0,create,b\n", ":3:")
    refused("t3.csv", "at_us,op,vm,cpu\n1,create,a,4x\n", ":2:12:")
    refused("t4.csv", "at_us,vm\n1,a\n", ":1:", "op")
    refused("t5.csv", "at_us,op,vm\n1,crate,a\n", ":2:3:")
    refused("t6.csv", "", "t6.csv")
    refused("t7.csv", "at_us,op,vm\n-5,create,a\n", "no request")


def a_truncated_gzip_trace_is_refused():
    run("trace", "synth", "--servers", "500", "--requests", "300", "--out", path("whole.csv.gz"))
    with open(path("whole.csv.gz"), "rb") as whole, open(path("cut.csv.gz"), "wb") as cut:
        data = whole.read()
        cut.write(data[:len(data) // 2])
    _, err = run("run", "--trace", path("cut.csv.gz"), code=1)
    assert "cut.csv.gz" in err


def malformed_inventories_are_refused_with_their_place():
    refused("i1.csv", "server,cpu\na,4\na,4\n", ":3:")
    refused("i2.csv", "server,cpu\na,-4\n", ":2:3:")
    refused("i3.csv", "cpu\n4\n", ":1:")


def malformed_rules_are_refused_with_their_place():
    refused("r1.ini", "[rule x]\nkind = fitss\n", ":2:", "fits")
    refused("r2.ini", "[rule x]\nkind = match\n", "r2.ini")
    refused("r3.ini", "[rule x\n", ":1:")


def wrong_usage_exits_2_and_says_what_to_do():
    for args, says in ((("--agents", "0"), "must be 1"), (("--policy", "latcache-rul"), "latcache-rule"),
                       (("--polcy", "rr"), "--policy"), (("--load", "0"), "must be"),
                       (("--cache", "64"), "64MiB"), (("--servers", "5000000"), "must be"),
                       (("--level", "shap"), "shape"), (("extra",), "extra"), (("--agents", "1.5"), "whole"),
                       (("--inventory", "x.csv"), "--trace"), (("--policy", "oracle"), "kamino sim")):
        out, err = run("run", *args, code=2)
        assert says in err and out == "", (args, err)


def a_budget_beyond_memory_is_refused_with_the_remedy():
    _, err = run(*SMALL, "--cache", "900GB", code=2)
    assert "lower --cache" in err and "--agents" in err, err


def slots_beyond_the_budget_are_served_uncached_and_counted():
    doc, err = run_json("run", "--servers", "20000", "--requests", "300", "--cache", "64KiB", "--compress", "30000",
                        "--warmup", "0")
    result = doc["results"][0]
    account(result)
    assert "uncached" in err
    assert result["uncached"] == result["submitted"] and result["top_hit_rate"] == 0
    assert result["cache_bytes_max"] <= 65536


def more_agents_than_cores_work_and_say_so():
    agents = str(2 * os.cpu_count() + 5)
    doc, err = run_json(*SMALL, "--agents", agents)
    account(doc["results"][0])
    assert "share" in err and doc["results"][0]["agents"] == int(agents)


def more_types_than_ids_are_recycled():
    doc, _ = run_json("run", "--servers", "500", "--requests", "12000", "--types", "20000", "--compress", "3000000",
                      "--warmup", "0")
    account(doc["results"][0])
    assert doc["results"][0]["types"] > 1000


def an_interrupt_drains_audits_reports_and_exits_130():
    done = subprocess.Popen([tap.KAMINO, "run", "--servers", "2000", "--requests", "500000", "--compress", "1000",
                             "--policy", "rr,latcache-rule", "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    # Before the runtime's threads are there, an interrupt just ends the process.
    while len(os.listdir("/proc/%d/task" % done.pid)) < 4:
        time.sleep(0.1)
    time.sleep(1)
    done.send_signal(signal.SIGINT)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 130, err
    result = json.loads(out)["results"][0]
    account(result)
    assert result["interrupted"] is True and result["submitted"] < 500000


def estimates_survive_a_restart():
    run(*SMALL, "--estimates", path("est"))
    with open(path("est"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert lines[-1] == "end" and sum(line.startswith("type ") for line in lines) > 10
    _, err = run(*SMALL, "--estimates", path("est"))
    assert "estimates" not in err


def bad_estimates_files_are_said_and_the_run_goes_on():
    write("bad", "kamino-estimates 1\nrule nonsense\n")
    doc, err = run_json(*SMALL, "--estimates", path("bad"))
    account(doc["results"][0])
    assert "bad:2" in err and "running without" in err


def outputs_that_cannot_be_written_are_refused_before_the_work():
    for verb, option in (("run", "--estimates"), ("run", "--record-costs"), ("run", "--json-out"), ("run", "--requests-out"),
                         ("sim", "--json-out")):
        out, err = run(verb, option, path("no/such/folder/x"), code=2)
        assert option in err and "cannot be written" in err and "no/such/folder" in err and not out, err


def one_file_for_two_options_is_refused_before_the_work():
    trace, same = write("t.csv", "at_us,op,vm\n1,create,a\n"), path("same")
    for a, b in (("--json-out", "--requests-out"), ("--record-costs", "--requests-out"), ("--json-out", "--estimates")):
        _, err = run(*SMALL, a, same, b, os.path.join(tap.TMP.name, ".", "same"), code=2)
        assert a in err and b in err and "same file" in err and not os.path.exists(same), err
    _, err = run("run", "--trace", trace, "--requests-out", trace, code=2)
    assert "--trace" in err and "same file" in err, err
    run(*SMALL, "--json-out", "/dev/null", "--requests-out", "/dev/null")


def what_ends_a_run_at_once_leaves_no_half_written_file():
    folder = path("ended")
    os.mkdir(folder)
    for sig in (signal.SIGHUP, signal.SIGKILL):
        ended = subprocess.Popen([tap.KAMINO, "run", "--servers", "2000", "--requests", "500000", "--compress", "1000",
                                  "--no-publish", "--requests-out", os.path.join(folder, "rows.csv")],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(os.listdir("/proc/%d/task" % ended.pid)) < 4:
            time.sleep(0.1)
        time.sleep(0.2)
        ended.send_signal(sig)
        assert ended.wait(timeout=120) == -sig
        assert not os.listdir(folder), os.listdir(folder)


def a_full_disk_for_the_estimates_is_said_and_loses_nothing():
    folder = path("full")
    os.mkdir(folder)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=False,
                                      capture_output=True).returncode:
        raise tap.Skip("needs root and mount")
    try:
        with open(os.path.join(folder, "filler"), "wb") as filler:
            filler.write(b"x" * 4096)
        doc, err = run_json(*SMALL, "--estimates", os.path.join(folder, "est"), code=1)
        account(doc["results"][0])
        assert "No space" in err, err
        assert os.listdir(folder) == ["filler"]
    finally:
        subprocess.run(["umount", folder], check=True)


def explain_gives_the_three_terms_and_what_came_of_it():
    out, _ = run(*SMALL, "--explain", "500")
    for what in ("request 500 under latcache-rule", "predicted: wait", "real: wait", "done after"):
        assert what in out, out
    doc, _ = run_json(*SMALL, "--explain", "500")
    why = doc["results"][0]["explain"]
    assert why["request"] == 500 and why["real_processing_us"] > 0 and why["wait_us"] >= 0


def costs_go_to_a_pipe_that_stays():
    os.symlink("/dev/stdout", path("pipe"))
    out, _ = run(*SMALL, "--policy", "rr", "--record-costs", path("pipe"))
    assert "kamino-costs 1" in out and os.path.islink(path("pipe")), out[:500]


tap.main([test for test in list(globals().values())
          if callable(test) and getattr(test, "__module__", "") == "__main__" and
          test.__name__ not in ("account", "run_trace", "refused")])
