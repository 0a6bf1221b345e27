#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulator, fed with a run's trace and recorded times, against that run. TAP on stdout.

With one agent requests are served in the order in which they came, so what hits does not depend
on time: the simulator must have the run's hits of both levels and its cache's bytes to the digit,
whatever the machine is doing. What depends on time is measured by scripts/validate-sim.py.
"""
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


def one_agents_hits_and_bytes_are_predicted_exactly():
    for cache in ("600KiB", "2MiB", "100MiB"):
        real, sim = simulated_as_run(cache)
        for key in ("submitted", "top_hit_rate", "rule_hit_rate", "cache_bytes_max"):
            assert real[key] == sim[key], (cache, key, real[key], sim[key])
        assert 0 < real["top_hit_rate"] < 1


tap.main([one_agents_hits_and_bytes_are_predicted_exactly])
