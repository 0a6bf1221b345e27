#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""compare.py - is one build faster than another? Two binaries, interleaved, as ratios.

Both run the same benchmark in pairs whose order is drawn; each figure of each cell gives one
ratio new / base a pair. Printed are the median ratio and an interval for it that needs no
assumption about how the noise is distributed: between order statistics, at 99 % or what so
few pairs allow. An interval that holds 1 says "no difference", which means: none that so
many pairs on this host could show. Slow spells of the host longer than a pair cancel out;
those shorter than a run widen the interval.
"""
import argparse
import json
import math
import random
import re
import statistics
import subprocess
import sys

FIGURES = r"(_ns\.(p50|median)|_us\.p50|_ns_(p50|median)|_(ns|us)_median|mops_median|_per_s(\.median|_median)?)$"
NOT_FIGURES = r"(^|\.)(timer|line_rtt|completed_per_s)"
HIGHER_IS_BETTER = r"mops|_per_s"
# What tells one cell from another, in the order in which it is shown.
CELL = ("job", "bench", "name", "what", "ring", "mode", "bytes", "distance", "policy", "agents", "rules", "types",
        "servers", "entries", "keys", "changed", "mib", "rate", "zone")
COVERAGE = 0.99


def fail(text, code=2):
    print("compare: " + text, file=sys.stderr)
    sys.exit(code)


def figures_of(value, path=""):
    """All numbers of a result as (path, number)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from figures_of(item, path + "." + key if path else key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, float(value)


def cells_of(doc, wanted):
    cells = {}
    for result in doc.get("results", []):
        name = " ".join("%s=%s" % (key, result[key]) for key in CELL
                        if isinstance(result.get(key), (str, int, float)))
        for path, number in figures_of(result):
            if re.search(wanted, path) and not re.search(NOT_FIGURES, path) and number > 0:
                cells.setdefault((name, path), number)
    return cells


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fail("'%s' ended with %d: %s" % (" ".join(command), done.returncode, done.stderr.strip()[-600:]), 1)
    try:
        doc = json.loads(done.stdout)
    except ValueError as why:
        fail("'%s' printed no document: %s" % (" ".join(command), why), 1)
    if not isinstance(doc, dict) or not str(doc.get("schema", "")).startswith("kamino/"):
        fail("'%s' printed no document of kamino" % " ".join(command), 1)
    return doc


def interval_ranks(count):
    """0-based ranks of the narrowest interval of the median with COVERAGE; (rank, rank, coverage)."""
    tail = 0.0
    best = 0
    for rank in range(count // 2):
        tail += math.comb(count, rank) / 2.0 ** count
        if 1 - 2 * tail < COVERAGE:
            break
        best = rank
    below = sum(math.comb(count, k) for k in range(best + 1)) / 2.0 ** count
    return best, count - 1 - best, 1 - 2 * below


def verdict(figure, low, high):
    if low <= 1 <= high:
        return "no difference"
    grew = low > 1
    better = grew == bool(re.search(HIGHER_IS_BETTER, figure))
    return "better" if better else "WORSE"


def measure(args):
    """All pairs; returns {(cell, figure): [(base, new), ...]} and both hosts."""
    draw = random.Random(args.seed)
    pairs, hosts, missing = {}, {}, set()
    for pair in range(args.pairs):
        order = ["base", "new"]
        draw.shuffle(order)
        seen = {}
        for side in order:
            if sys.stderr.isatty():
                print("\rpair %d of %d: %s " % (pair + 1, args.pairs, side), end="", file=sys.stderr, flush=True)
            doc = run([getattr(args, side), *args.command, "--json"])
            hosts[side] = doc.get("host", {})
            seen[side] = cells_of(doc, args.figures)
        for key in seen["base"].keys() ^ seen["new"].keys():
            missing.add(key)
        for key in seen["base"]:
            if key in seen["new"]:
                pairs.setdefault(key, []).append((seen["base"][key], seen["new"][key]))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return pairs, hosts, missing


def compare(pairs):
    results = []
    for (cell, figure), both in pairs.items():
        ratios = sorted(new / base for base, new in both)
        low, high, coverage = interval_ranks(len(ratios))
        results.append({
            "cell": cell, "figure": figure, "pairs": len(ratios),
            "base_median": statistics.median(base for base, _ in both),
            "new_median": statistics.median(new for _, new in both),
            "ratio_median": statistics.median(ratios), "ratio_low": ratios[low], "ratio_high": ratios[high],
            "coverage": coverage,
            "verdict": verdict(figure, ratios[low], ratios[high]) if coverage > 0.9 else "too few pairs"})
    return results


def print_table(results, hosts, command):
    print("kamino %s\nbase %s, new %s, on %s\n" % (
        " ".join(command), hosts["base"].get("revision"), hosts["new"].get("revision"), hosts["new"].get("cpu")))
    width = max([len(r["figure"]) for r in results] + [6])
    print("%-*s %10s %10s  %5s  %-15s %s" % (width, "figure", "base", "new", "ratio", "interval", "verdict"))
    last = None
    for r in results:
        if r["cell"] != last:
            print(r["cell"] or "(one cell)")
            last = r["cell"]
        print("%-*s %10.4g %10.4g  %5.3f  %6.3f .. %-6.3f %s" % (
            width, r["figure"], r["base_median"], r["new_median"], r["ratio_median"], r["ratio_low"],
            r["ratio_high"], r["verdict"]))
    coverages = [r["coverage"] for r in results]
    print("\nratio = new / base, median of %d pairs; intervals hold it with %.1f %%" % (
        max(r["pairs"] for r in results), 100 * min(coverages)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0],
                                     usage="compare.py --base KAMINO --new KAMINO [options] -- bench NAME [options]")
    parser.add_argument("--base", required=True, help="the binary that is compared with")
    parser.add_argument("--new", required=True, help="the binary in question")
    parser.add_argument("--pairs", type=int, default=10, help="interleaved pairs of runs (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in each pair (1)")
    parser.add_argument("--figures", default=FIGURES, help="regular expression of the figures (medians and rates)")
    parser.add_argument("--fail", action="store_true", help="exit 1 when a figure is worse")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("command", nargs="+", help="what both run, without --json")
    args = parser.parse_args()
    if not 1 <= args.pairs <= 10000:
        fail("--pairs must be 1 to 10000")
    try:
        re.compile(args.figures)
    except re.error as why:
        fail("--figures: %s" % why)
    try:
        pairs, hosts, missing = measure(args)
    except OSError as why:
        fail("cannot run it: %s" % why)
    except KeyboardInterrupt:
        fail("interrupted", 1)
    if not pairs:
        fail("no figure that both sides print matches '%s'" % args.figures, 1)
    results = compare(pairs)
    for cell, figure in sorted(missing):
        print("compare: only one side printed %s %s in some pair" % (cell, figure), file=sys.stderr)
    if args.json:
        json.dump({"schema": "kamino/1", "command": "compare", "host": hosts["new"],
                   "params": {"command": args.command, "pairs": args.pairs, "seed": args.seed, "base": hosts["base"]},
                   "results": results}, sys.stdout, indent=2)
        print()
    else:
        print_table(results, hosts, args.command)
    sys.exit(1 if args.fail and any(r["verdict"] == "WORSE" for r in results) else 0)


if __name__ == "__main__":
    main()
