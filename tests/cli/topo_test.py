#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino topo, version, help, and wrong usage. TAP on stdout; the binary in $KAMINO."""
import os
import subprocess

import tap
from tap import KAMINO, Skip, refused, run, run_json

EIGHT_SOCKETS = ("topo", "--synthetic", "pack:8 [numa:1] l3:3 core:8 pu:2", "--agents", "100")


def printed(*args):
    """A result goes to stdout alone."""
    out, err = run(*args)
    assert out and not err, (args, err)
    return out


def results(*args):
    return run_json(*args)[0]["results"]


def topo_says_whether_the_machine_is_real():
    assert "this machine:" in printed("topo")
    assert "pretended machine: 1 node, 2 packages" in printed("topo", "--synthetic", "pack:2 core:2 pu:1", "--agents", "3")


def help_and_version_are_printed():
    assert "--synthetic" in printed("topo", "--help") and printed("help", "topo") == printed("topo", "--help")
    assert "topo" in printed("help")
    assert "jemalloc" in printed("version")


def wrong_usage_is_refused_and_a_typo_gets_a_suggestion():
    refused(2)
    refused(2, "tpoo", says="did you mean 'topo'")
    refused(2, "help", "tpoo")
    refused(2, "topo", "--agnets", "3", says="did you mean --agents")
    for args in (("--agents", "0"), ("--agents", "2M"), ("--agents", "many"), ("--agents",), ("here",),
                 ("--synthetic", "bogus"), ("--synthetic", ""), ("--synthetic", "pu:1", "--xml", "x.xml")):
        refused(2, "topo", *args)


def a_file_that_is_missing_or_no_topology_fails():
    refused(1, "topo", "--xml", "no/such/file.xml", says="no/such/file.xml")
    refused(1, "topo", "--xml", __file__)


def a_full_disk_fails():
    if not os.access("/dev/full", os.W_OK):
        raise Skip("no /dev/full")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([KAMINO, "topo"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and done.stderr


def the_document_describes_host_and_libraries():
    doc, _ = run_json("topo")
    assert set(doc) >= {"schema", "command", "host", "params", "results"}
    assert doc["schema"] == "kamino/1" and doc["command"] == "topo"
    assert {"cpu", "cores", "kernel", "governor", "memory_bytes", "compiler", "flags", "version", "revision",
            "clock"} <= set(doc["host"])
    assert "hwloc" in results("version")["libraries"]


def by_default_one_core_is_the_dispatchers():
    r = results("topo")
    assert len(r["agents"]) == max(1, r["cores"] - 1)


def eight_sockets_are_planned_with_a_core_each():
    r = results(*EIGHT_SOCKETS)
    assert (r["nodes"], r["packages"], r["l3_groups"], r["cores"], r["cpus"]) == (8, 8, 24, 192, 384)
    assert not r["oversubscribed"] and {"cpu", "node"} <= set(r["dispatcher"])
    assert [a["agent"] for a in r["agents"]] == list(range(100))
    assert len({a["core"] for a in r["agents"]} | {r["dispatcher"]["core"]}) == 101
    assert all(a["owned"] for a in r["agents"])


def more_agents_than_cores_own_nothing():
    r = results("topo", "--synthetic", "core:2 pu:1", "--agents", "4")
    assert r["oversubscribed"] and not any(a["owned"] for a in r["agents"])


tap.main([topo_says_whether_the_machine_is_real,
          help_and_version_are_printed,
          wrong_usage_is_refused_and_a_typo_gets_a_suggestion,
          a_file_that_is_missing_or_no_topology_fails,
          a_full_disk_fails,
          the_document_describes_host_and_libraries,
          by_default_one_core_is_the_dispatchers,
          eight_sockets_are_planned_with_a_core_each,
          more_agents_than_cores_own_nothing])
