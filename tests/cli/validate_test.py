#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulator, fed with a run's trace and recorded times, against that run. TAP on stdout.

With one agent requests are served in the order in which they came, so what hits does not depend
on time: the simulator must have the run's hits of both levels and its cache's bytes to the digit,
whatever the machine is doing. What depends on time is measured by scripts/validate-sim.py.
"""
import os
import signal
import subprocess
import time

import tap
from tap import path, run, run_json


def simulated_as_run(cache):
    trace, fleet, costs = path("t.csv"), path("i.csv"), path("costs")
    run("trace", "synth", "--servers", "4000", "--requests", "1500", "--seed", "3", "--out", trace,
        "--inventory-out", fleet)
    common = ("--trace", trace, "--inventory", fleet, "--policy", "rr", "--agents", "1", "--warmup", "0")
    real, _ = run_json("run", *common, "--cache", cache, "--compress", "20000", "--record-costs", costs)
    sim, _ = run_json("sim", *common, "--cache", "%dB" % real["params"]["cache_bytes"], "--compress", "20000",
                      "--costs", costs, "--set", "age_s=0")
    return real["results"][0], sim["results"][0]


SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "validate-sim.py")


def script(*args, **more):
    return subprocess.Popen([SCRIPT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def what_the_script_lacks_is_said_in_a_line():
    for args, code, says in ((("--kamino", "/nowhere/kamino"), 1, "/nowhere/kamino is not there"),
                             (("--kamino", "/"), 1, "needs"), (("--repeat", "0"), 2, "--repeat")):
        child = script(*args)
        _, err = child.communicate(timeout=60)
        assert child.returncode == code and says in err and "Traceback" not in err, err


def an_interrupted_script_ends_quietly():
    child = script("--kamino", tap.KAMINO, "--servers", "2000", "--requests", "100000", start_new_session=True)
    with open("/proc/%d/task/%d/children" % (child.pid, child.pid), encoding="utf-8") as children:
        while not children.read():  # kamino works
            children.seek(0)
            time.sleep(0.01)
    os.killpg(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and not err, err


def one_agents_hits_and_bytes_are_predicted_exactly():
    for cache in ("600KiB", "2MiB", "100MiB"):
        real, sim = simulated_as_run(cache)
        for key in ("submitted", "top_hit_rate", "rule_hit_rate", "cache_bytes_max"):
            assert real[key] == sim[key], (cache, key, real[key], sim[key])
        assert 0 < real["top_hit_rate"] < 1


tap.main([what_the_script_lacks_is_said_in_a_line, an_interrupted_script_ends_quietly,
          one_agents_hits_and_bytes_are_predicted_exactly])
