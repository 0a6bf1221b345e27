#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the simulator predict the runtime? A run's trace and recorded times, simulated, beside the run.

For each policy, --repeat times, the two in turn: "kamino run --record-costs" plays a trace; "kamino
sim --costs" simulates the same trace with the times that this run recorded. Printed are top-level
hits, mean wait and mean processing of both, and ours against the aims: hits within 1 point, mean
wait plus processing within 15 %.

The run's threads must not wait for CPUs: use a machine that does nothing else, and services
well above a thread's wake-up (tens of microseconds): many servers (--servers), small caches
(--cache). Where the client and the dispatcher have no core besides the agents', --realtime
(as root) gives these two, which need microseconds a request, priority over the agents, and
the agents priority over the rest of the machine.

"queueing" is the wait that Lindley's recursion gives of the run's own arrivals, order and service
times (--requests-out); the rest of the run's waits are hand-overs between threads.
"""
import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HITS_POINTS, TIME_SHARE = 1.0, 0.15


def kamino(args, *command):
    done = subprocess.run([args.kamino, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        sys.exit("validate-sim: kamino %s: %s" % (" ".join(command[:2]), done.stderr[-800:]))
    return done.stdout


def prefer_client_and_dispatcher(pid):
    """Of a run, whose first thread is the client: before the agents, who are before all else."""
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, tid), encoding="utf-8") as comm:
                name = comm.read()
            priority = 2 if int(tid) == pid or "dispatch" in name else 1 if "agent" in name else 0
            if priority:  # and threads that these create start as any other
                os.sched_setscheduler(int(tid), os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile


def kamino_run(args, *command):
    if not args.realtime:
        return kamino(args, "run", *command)
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([args.kamino, "run", *command], stdout=out, stderr=subprocess.PIPE, text=True)
        try:
            while child.poll() is None:
                prefer_client_and_dispatcher(child.pid)
                time.sleep(0.05)
        except BaseException:  # whatever ends us: no run goes on alone, least of all before all else
            child.kill()
            child.wait()
            raise
        if child.returncode:
            sys.exit("validate-sim: kamino run: " + child.stderr.read()[-800:])
        out.seek(0)
        return out.read()


def make_trace(args, folder):
    trace, inventory = os.path.join(folder, "trace.csv.gz"), os.path.join(folder, "inventory.csv.gz")
    kamino(args, "trace", "synth", "--servers", str(args.servers), "--requests", str(args.requests),
           "--seed", str(args.seed), "--out", trace, "--inventory-out", inventory)
    return ("--trace", trace, "--inventory", inventory)


def queueing_us(path):
    """Mean wait by Lindley's recursion: each request starts when it comes or its agent is free, at once."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["start_ns"]]
    rows.sort(key=lambda r: int(r["start_ns"]))
    free, waits = {}, []
    for r in rows:
        due = int(r["due_ns"])
        start = max(due, free.get(r["agent"], 0))
        free[r["agent"]] = start + int(r["end_ns"]) - int(r["start_ns"])
        if r["measured"] == "1":
            waits.append(start - due)
    return statistics.fmean(waits) / 1000


def one_pair(args, zone, policy, folder):
    costs, requests = os.path.join(folder, "costs"), os.path.join(folder, "requests.csv")
    common = (*zone, "--policy", policy, "--agents", str(args.agents), "--seed", str(args.seed))
    run = json.loads(kamino_run(args, *common, "--load", str(args.load), "--cache", args.cache,
                            "--warmup", str(args.warmup), "--record-costs", costs, "--requests-out", requests,
                                "--json"))
    params = run["params"]
    sim = json.loads(kamino(args, "sim", *common, "--costs", costs, "--warmup", str(args.warmup),
                            "--set", "age_s=0", "--idle-lag", "256", "--estimate-period", "20ms",
                            "--compress", repr(params["compress"]), "--cache", "%dB" % params["cache_bytes"],
                            "--json"))
    return run["results"][0], sim["results"][0], queueing_us(requests), run["host"]


def row_of(run, sim, queueing):
    times = [(r["wait_us"]["mean"], r["processing_us"]["mean"]) for r in (run, sim)]
    hits = [100 * r["top_hit_rate"] for r in (run, sim)]
    return {"top_hit_pct": hits, "wait_us": [t[0] for t in times], "processing_us": [t[1] for t in times],
            "queueing_us": queueing, "latency_ratio": sum(times[1]) / sum(times[0]), "hits_off_points": hits[1] - hits[0],
            "busy": run.get("busy")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kamino", default="build/kamino")
    parser.add_argument("--policy", default="protean,latcache-rule", help="policies (%(default)s)")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--servers", type=int, default=400000)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--cache", default="60MiB", help="of one agent (%(default)s)")
    parser.add_argument("--load", type=float, default=0.5)
    parser.add_argument("--warmup", type=float, default=0.2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--realtime", action="store_true", help="client and dispatcher before agents (root)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 1:
        parser.error("--repeat: at least once")
    results, host = [], {}
    with tempfile.TemporaryDirectory(prefix="kamino-validate-") as folder:
        zone = make_trace(args, folder)
        for turn in range(args.repeat):
            for policy in args.policy.split(","):
                *pair, host = one_pair(args, zone, policy, folder)
                results.append({"policy": policy, "turn": turn, **row_of(*pair)})
                if not args.json:
                    r = results[-1]
                    print("%-14s hits %6.2f / %6.2f %%  wait %7.1f / %7.1f (queueing %7.1f)  processing %6.1f / %6.1f us"
                          "  sum %5.3f" % (policy, *r["top_hit_pct"], *r["wait_us"], r["queueing_us"],
                                           *r["processing_us"], r["latency_ratio"]), flush=True)
    if args.json:
        json.dump({"schema": "kamino/1", "command": "validate-sim", "host": host,
                   "params": {k: v for k, v in vars(args).items() if k not in ("kamino", "json")},
                   "results": results}, sys.stdout, indent=2)
        print()
        return
    for policy in args.policy.split(","):
        mine = [r for r in results if r["policy"] == policy]
        hits = statistics.median(r["hits_off_points"] for r in mine)
        ratio = statistics.median(r["latency_ratio"] for r in mine)
        print("%-17s hits off by %+.2f points (%s), wait + processing %.3f of the run's (%s)" % (
            policy, hits, "met" if abs(hits) <= HITS_POINTS else "MISSED", ratio,
            "met" if abs(ratio - 1) <= TIME_SHARE else "MISSED"))


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as missing:
        sys.exit("validate-sim: %s is not there: build it, or name one with --kamino" % missing.filename)
    except PermissionError:
        sys.exit("validate-sim: --realtime needs root, or CAP_SYS_NICE; and --kamino a program")
    except KeyboardInterrupt:
        sys.exit(130)
