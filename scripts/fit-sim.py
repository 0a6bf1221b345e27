#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fit the six simulated zones on Protean's rows of the paper, and on nothing else.

What counts: figure 2 (wait, processing and hits of Protean with 4 to 10 agents; its
first point is table 3's first column and figure 8's wait share), table 3's spread of
Protean's hits over zones, figure 7's rates (arrivals, and what Protean completes when
saturated), and, for the made-up times, figure 1's quantiles. No other policy is ever
simulated here, so that every number of theirs stays a prediction.

    scripts/fit-sim.py --kamino build/kamino --state fit.json --minutes 10
    scripts/fit-sim.py --state fit.json --write sim/zones.c
    scripts/fit-sim.py --kamino build/kamino --state fit.json --show

A random search that keeps what is better: steps of all parameters at once, in
logarithms between bounds, widened after a success and narrowed after failures.
Seeded; the state file carries on where it stopped.
"""
import argparse, json, math, os, random, subprocess, sys, tempfile, time

# name: (least, most, start); all are searched in the logarithm.
PARAMS = {
    "rate_per_s": (5, 11, 8),
    "day_swing": (0.05, 0.7, 0.3),
    "burst_share": (0.04, 0.4, 0.1),
    "burst_factor": (0.3, 6, 2),
    "burst_s": (20, 150, 80),
    "burst_types_share": (0.02, 1, 0.3),
    "batch_share": (0.01, 0.7, 0.2),
    "batch_mean": (2.05, 40, 6),
    "batch_gap_s": (0.001, 5, 0.05),
    "skew": (0.4, 2, 1),
    "shift": (0.1, 50, 2),
    "repeat": (0.01, 0.9, 0.3),
    "recent": (4, 2000, 64),
    "trade_s": (2, 7200, 60),
    "cache_mib": (10000, 400000, 70000),
    "cache_power": (0.05, 2, 0.5),
    "age_s": (300, 43200, 3600),
    "families": (6, 120, 40),
    "sizes": (10, 1000, 200),
    "tenants": (4, 1000, 300),
    "miss_scale": (0.4, 3, 1.3),
    "hit_scale": (0.1, 4, 1),
    "build_share": (0.02, 0.6, 0.15),
    "common_share": (0.01, 0.6, 0.1),
    "hit_floor": (0.005, 0.8, 0.05),
    "lag_ref": (200, 100000, 8000),
    "lag_max": (500, 500000, 20000),
    "skew_spread": (0.003, 0.4, 0.05),
}
WHOLE = {"families", "sizes", "tenants", "recent"}

# How the six differ: stated are 500 to 1,700 types, different rates and burstiness,
# one much heavier. The pattern is ours and not fitted.
TYPES = [500, 700, 900, 1150, 1400, 1700]
RATE = [0.80, 0.95, 0.70, 1.05, 0.90, 1.60]
BURST = [1.00, 0.80, 1.25, 0.90, 1.10, 0.95]
SKEW = [0.6, -1.0, 0.3, 1.0, -0.6, -0.3]


def zones(p):
    out = []
    for i in range(6):
        z = {k: p[k] for k in p if k not in ("burst_types_share", "cache_power", "skew_spread")}
        z["types"] = TYPES[i]
        z["seed"] = i + 1
        z["rate_per_s"] = p["rate_per_s"] * RATE[i]
        z["burst_factor"] = p["burst_factor"] * BURST[i]
        z["burst_types"] = max(1, round(TYPES[i] * p["burst_types_share"]))
        z["skew"] = p["skew"] + p["skew_spread"] * SKEW[i]
        z["cache_mib"] = p["cache_mib"] * (TYPES[i] / 1000) ** p["cache_power"]
        z.update(rules=12, rule_mib=4, top_mib=32, idle_lag=0, hours=24, correlation=0.66,
                 noise=0.2)
        for k in z:
            z[k] = round(z[k]) if k in WHOLE else float("%.4g" % z[k]) if isinstance(z[k], float) else z[k]
        out.append(z)
    return out


def simulate(kamino, p, hours, seed, only=range(6)):
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as f:
        for i, z in enumerate(zones(p)):
            if i not in only:
                continue
            f.write("[zone%d]\n" % (i + 1))
            for k, v in z.items():
                f.write("%s = %s\n" % (k, hours if k == "hours" else v))
        f.flush()
        r = subprocess.run([kamino, "sim", "--zone-file", f.name, "--experiment",
                            "fig1,fig2,fig7", "--policy", "protean", "--seed", str(seed), "--json"],
                           capture_output=True, text=True)
    if r.returncode:
        return None
    return {(c["figure"], c["row"], c["column"]): (c["ours"], c["paper"])
            for c in json.loads(r.stdout)["results"]}


def score(cells):
    """Squared errors in units of what seems a fair miss. Protean's rows and figure 1 only."""
    total, parts = 0.0, {}

    def add(group, value):
        nonlocal total
        if value > 9:  # Huber: a far miss pulls, but does not blind for the rest
            value = 6 * math.sqrt(value) - 9
        total += value
        parts[group] = parts.get(group, 0) + value

    for (figure, row, column), (ours, paper) in cells.items():
        if paper is None or ours is None:
            continue
        ratio = math.log(max(ours, 1e-6) / paper) if paper > 0 else 0
        if figure == "fig2" and column == "wait":
            add("wait", (ratio / 0.08) ** 2)
        elif figure == "fig2" and column == "processing":
            add("processing", (ratio / 0.04) ** 2)
        elif figure == "fig2" and column == "hit_pct":
            add("hits", ((ours - paper) / 0.8) ** 2)
        elif figure == "fig2" and column == "hit_pct_sd":
            add("sd", ((ours - paper) / 0.5) ** 2)
        elif figure == "fig7" and row == "protean" and column == "arrivals_per_s":
            add("rate", (ratio / 0.1) ** 2)
        elif figure == "fig7" and row == "protean" and column == "arrivals_per_s_max":
            add("burst", (ratio / 0.25) ** 2)
        elif figure == "fig7" and row == "protean" and column == "saturated_per_s":
            add("saturated", (ratio / 0.3) ** 2)
        elif figure == "fig1":
            add("fig1", (ratio / 0.3) ** 2)
    return total, parts


def step(p, rng, width):
    q = dict(p)
    # A few at a time, so that a good one is not drowned by the others.
    for k in rng.sample(sorted(PARAMS), rng.randint(1, 6)):
        least, most, _ = PARAMS[k]
        v = math.log(q[k]) + rng.gauss(0, width) * math.log(most / least) * 0.25
        q[k] = min(most, max(least, math.exp(v)))
    return q


def search(args):
    state = {"p": {k: v[2] for k, v in PARAMS.items()}, "score": None, "hours": None, "tries": 0}
    if os.path.exists(args.state):
        with open(args.state) as f:
            state.update(json.load(f))
    rng = random.Random(args.seed + state["tries"])
    only = [int(z) - 1 for z in args.zones.split(",")]
    width, end = args.width, time.time() + args.minutes * 60
    if state["hours"] != [args.hours, args.zones]:
        state["score"], state["hours"] = None, [args.hours, args.zones]
    while time.time() < end:
        p = step(state["p"], rng, width) if state["score"] is not None else state["p"]
        cells = simulate(args.kamino, p, args.hours, 1, only)
        state["tries"] += 1
        s, parts = score(cells) if cells else (math.inf, {})
        if state["score"] is None or s < state["score"]:
            state.update(p=p, score=s)
            width = min(1.0, width * 1.3)
            print("%4d %8.2f width %.3f %s" % (state["tries"], s, width,
                  {k: round(v, 1) for k, v in parts.items()}), flush=True)
            with open(args.state, "w") as f:
                json.dump(state, f, indent=1, sort_keys=True)
        else:
            width = max(0.02, width * 0.97)


def show(args):
    with open(args.state) as f:
        p = json.load(f)["p"]
    cells = simulate(args.kamino, p, args.hours, 1)
    s, parts = score(cells)
    for key, (ours, paper) in cells.items():
        if key[:2] != ("fig7", "latcache-rule"):
            print("%-6s %-12s %-20s %9.3f %s" % (*key, ours or 0, paper))
    print(s, parts)


HEAD = """/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/zones.c - the six built-in zones, as "scripts/fit-sim.py --write" wrote them:
 * fitted on Protean's rows of the paper alone; see Documentation/sim.md.
 */
#include "sim/zone.h"

const struct km_sim_zone km_sim_zones[] = {
"""
COST = ("miss_scale", "hit_scale", "correlation", "build_share", "common_share", "hit_floor",
        "lag_ref", "lag_max", "noise")


def write(args):
    with open(args.state) as f:
        p = json.load(f)["p"]
    with open(args.write, "w") as f:
        f.write(HEAD)
        for i, z in enumerate(zones(p)):
            f.write("\t{\n\t\t.name = \"zone%d\",\n" % (i + 1))
            for k in sorted(z):
                if k not in COST:
                    f.write("\t\t.%s = %s,\n" % (k, z[k]))
            f.write("\t\t.cost = {\n")
            for k in COST:
                f.write("\t\t\t.%s = %s,\n" % (k, z[k]))
            f.write("\t\t},\n\t},\n")
        f.write("};\n\nconst uint32_t km_sim_zone_nr = KM_ARRAY_NR(km_sim_zones);\n")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    a.add_argument("--kamino", default="build/kamino")
    a.add_argument("--state", required=True)
    a.add_argument("--minutes", type=float, default=0)
    a.add_argument("--hours", type=float, default=6)
    a.add_argument("--zones", default="1,2,3,4,5,6", help="of the search; fewer are quicker")
    a.add_argument("--width", type=float, default=0.3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--write")
    a.add_argument("--show", action="store_true")
    args = a.parse_args()
    if args.minutes:
        search(args)
    if args.show:
        show(args)
    if args.write:
        write(args)


main()
