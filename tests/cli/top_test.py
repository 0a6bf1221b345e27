#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino top: looks at living, dead and lying runs, as text, document and on a terminal. TAP on stdout."""
import contextlib
import fcntl
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

import tap
from tap import KAMINO, Skip, run, run_json

SHM = tempfile.TemporaryDirectory(prefix="kamino-test-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
os.environ["KAMINO_SHM_DIR"] = SHM.name
os.environ.pop("NO_COLOR", None)
# Some 2,000 requests a second; never seen to their end, as each test interrupts its run.
LONG = ("run", "--servers", "2000", "--requests", "100000", "--compress", "3000", "--policy", "latcache-rule")
WAIT_S = 60
AGENTS = 4
REDRAW = "\x0c"


def until(what, says):
    """Call until it returns something true."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("not within %d s: %s" % (WAIT_S, says))


def segments():
    return sorted(name for name in os.listdir(SHM.name) if name.startswith("kamino-"))


def start(*more):
    """A run in the background that shows itself."""
    child = subprocess.Popen([KAMINO, *LONG, "--agents", str(AGENTS), *more], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    until(lambda: "kamino-%d" % child.pid in segments() or child.poll() is not None, "a segment")
    assert child.poll() is None, "the run ended at once"
    return child


@contextlib.contextmanager
def running(*more, killed=False):
    """A run in the background, interrupted at the end."""
    child = start(*more)
    try:
        if not killed:  # before, an interrupt ends it as any process
            until(lambda: look(child)["state"] == "serving", "a run that serves")
        yield child
    finally:
        child.send_signal(signal.SIGKILL if killed else signal.SIGINT)
        child.wait(timeout=WAIT_S)
    assert killed or child.returncode == 130, child.returncode


def look(child):
    doc, _ = run_json("top", "--pid", str(child.pid))
    return doc["results"]


def serving(child, done=500):
    """The first look that shows so many completed requests."""
    def ready():
        seen = look(child)
        return seen if seen["state"] == "serving" and seen["totals"]["completed"] >= done \
            and seen["phase"] == "serving" else None
    return until(ready, "%d completed requests" % done)


# ---- looks ---------------------------------------------------------------------------------

def check_adds_up(seen):
    totals, agents = seen["totals"], seen["agents"]
    assert sorted(a["agent"] for a in agents) == list(range(AGENTS)), agents
    assert [a["queued"] for a in agents] == sorted((a["queued"] for a in agents), reverse=True) or \
        any(a["busy"] for a in agents)
    done = totals["completed"] + totals["refused"]
    assert done + totals["in_flight"] == totals["submitted"], totals
    assert sum(a["completed"] for a in agents) <= totals["submitted"]
    assert totals["refused"] == sum(totals[k] for k in ("no_room", "gave_up", "bad_request", "at_door"))
    assert 0 < seen["decision_ns"]["p50_all"] <= seen["decision_ns"]["p99_all"] <= seen["decision_ns"]["max_all"]
    for agent in agents:
        assert 0 <= agent["cache_bytes"] <= seen["cache_bytes_max"]
        assert agent["top_hit_rate"] is None or 0 <= agent["top_hit_rate"] <= 1
        assert agent["rule_hit_rate"] is None or 0 <= agent["rule_hit_rate"] <= 1
        assert agent["busy_share"] is None or 0 <= agent["busy_share"] <= 1
    assert 0 < seen["top_hit_rate"] < 1 and 0 <= seen["event_accuracy_all"] <= 1
    assert seen["store"]["commits"] >= totals["completed"] - 1


def check_decision(one, seen):
    assert 0 <= one["agent"] < AGENTS and 1 <= one["request"] <= seen["requests"], one
    assert (one["runner_up"] is None) == (one["margin_us"] is None), one
    assert one["runner_up"] is None or (one["runner_up"] != one["agent"] and 0 <= one["runner_up"] < AGENTS), one
    assert min(one["wait_us"], one["remaining_us"]) >= 0 and one["processing_us"] > 0, one
    assert one["rule_hits_predicted"] <= seen["rules"], one
    assert re.fullmatch(r"(\w+ \S+, )*\w+ \S+", one["type_name"]) and "shape " in one["type_name"], one
    if one["completed"]:
        assert one["outcome"] in ("placed", "no room", "gave up", "bad"), one
        assert one["real_processing_us"] > 0 and one["real_wait_us"] >= 0, one


def a_look_at_a_serving_run_adds_up():
    with running() as child:
        first = serving(child)
        check_adds_up(first)
        time.sleep(0.4)
        second = look(child)
        check_adds_up(second)
        for key in ("submitted", "completed", "decisions"):
            assert second["totals"][key] > first["totals"][key], key
        before = {a["agent"]: a["completed"] for a in first["agents"]}
        assert all(a["completed"] >= before[a["agent"]] for a in second["agents"])
        assert sum(a["completed"] for a in second["agents"]) > sum(before.values())
        assert second["policy"] == "latcache-rule" and second["policy_index"] == 1 and second["servers"] == 2000
        decisions = second["last_decisions"]
        assert sum(d["completed"] for d in decisions) == 32
        assert len({d["request"] for d in decisions}) == len(decisions)
        for one in decisions:
            check_decision(one, second)
        assert len({d["type"] for d in decisions}) <= len({d["type_name"] for d in decisions})
        out, _ = run("top", "--once")
        lines = out.splitlines()
        assert lines[0].startswith("kamino run %d: latcache-rule, serving" % child.pid), lines[0]
        assert len([line for line in lines if re.match(r" +\d+ +\d+~? ", line)]) >= AGENTS
        placed = [line for line in lines if " placed   shape " in line]
        assert len(placed) >= 5 and all(len(line[:line.index("  shape")]) <= 80 for line in placed), lines
        assert max(len(line) for line in lines if line not in placed) <= 160 and "\x1b" not in out
    assert segments() == []


def a_document_has_the_usual_head():
    with running("--name", "zone.a") as child:
        doc, _ = run_json("top", "--name", "zone.a")
        assert set(doc) == {"schema", "command", "host", "params", "results"} and doc["command"] == "top"
        assert doc["results"]["pid"] == child.pid and doc["results"]["name"] == "zone.a"
        _, err = run("top", "--once", "--name", "zone.b", code=1)
        assert "zone.b" in err


def a_run_is_seen_from_its_set_up_to_its_audit():
    seen = set()
    child = subprocess.Popen([KAMINO, "run", "--servers", "20000", "--requests", "2000", "--calibrate", "500",
                              "--policy", "rr,random", "--agents", str(AGENTS)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + WAIT_S
    while child.poll() is None and time.monotonic() < end:
        done = subprocess.run([KAMINO, "top", "--once"], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done
        seen.add(re.sub(r".*?: |, .*| \d.*", "", done.stdout.split("\n")[0]))
        time.sleep(0.02)
    assert child.wait(timeout=WAIT_S) == 0
    assert segments() == []
    assert len(seen - {""}) >= 2, seen


def more_agents_than_asked_for_are_left_out():
    with running("--agents", "40") as child:
        until(lambda: look(child)["totals"]["completed"] > 100, "100 completed requests")
        out, _ = run("top", "--once", "--agents", "3")
        assert "3 of 40 agents" in out
        assert len(look(child)["agents"]) == 40


# ---- which run -------------------------------------------------------------------------------

def without_a_run_it_says_so():
    _, err = run("top", "--once", code=1)
    assert "kamino run" in err and SHM.name in err
    _, err = run("top", "--once", "--pid", "12345", code=1)
    assert "12345" in err
    os.environ["KAMINO_SHM_DIR"] = SHM.name + "/none"
    try:
        run("top", "--once", code=1)
    finally:
        os.environ["KAMINO_SHM_DIR"] = SHM.name


def wrong_usage_is_told():
    _, err = run("top", "--onec", code=2)
    assert "--once" in err
    _, err = run("top", "--interval", "3", code=2)
    assert "interval" in err
    run("top", "--interval", "1ms", code=2)
    run("top", "--pid", "0", code=2)
    _, err = run("run", "--name", "a b", code=2)
    assert "--name" in err
    out, _ = run("top", "--help")
    assert "--once" in out and max(map(len, out.splitlines())) <= 80


def of_two_runs_one_must_be_chosen():
    with running("--name", "one") as one, running("--name", "two") as two:
        _, err = run("top", "--once", code=2)
        for what in ("--pid", "--name", str(one.pid), str(two.pid), "one", "two"):
            assert what in err, err
        out, _ = run("top", "--once", "--pid", str(two.pid))
        assert "run %d two" % two.pid in out
        out, _ = run("top", "--once", "--name", "one")
        assert "run %d one" % one.pid in out


def a_killed_run_leaves_a_stale_segment_that_the_next_removes():
    with running(killed=True) as child:
        pass
    assert segments() == ["kamino-%d" % child.pid]
    _, err = run("top", "--once", code=1)
    assert "stale" in err and "kamino-%d" % child.pid in err
    _, err = run("top", "--once", "--pid", str(child.pid), code=1)
    assert "stale" in err
    with running() as next_child:
        assert segments() == ["kamino-%d" % next_child.pid]
    assert segments() == []


def a_stale_segment_beside_a_live_run_is_named_and_ignored():
    with running() as live:
        with running(killed=True) as dead:
            pass
        out, err = run("top", "--once")
        assert "run %d" % live.pid in out and "stale" in err and str(dead.pid) in err
    os.unlink(os.path.join(SHM.name, "kamino-%d" % dead.pid))


def an_interrupted_run_leaves_nothing():
    for sig in (signal.SIGINT, signal.SIGTERM):
        for state in ("preparing", "serving"):
            child = start("--servers", "20000")
            until(lambda: look(child)["state"] == state, state)
            child.send_signal(sig)
            child.wait(timeout=WAIT_S)
            assert segments() == [], (sig, state)


def a_run_can_do_without():
    child = subprocess.Popen([KAMINO, *LONG, "--no-publish"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    assert segments() == [] and child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=WAIT_S) in (130, -signal.SIGINT)
    env = dict(os.environ, KAMINO_SHM_DIR=SHM.name + "/none")
    done = subprocess.run([KAMINO, "run", "--servers", "1000", "--requests", "200", "--compress", "30000"], env=env,
                          capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0 and "kamino top" in done.stderr, done.stderr


# ---- lies ---------------------------------------------------------------------------------------

@contextlib.contextmanager
def forged(content, locked=True):
    """A segment of this content, whose lock this process may hold as if it wrote it."""
    path = os.path.join(SHM.name, "kamino-4711")
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        if locked:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield path
    os.unlink(path)


def top_survives(says=None):
    for mode in ("--once", "--json"):
        done = subprocess.run([KAMINO, "top", mode], capture_output=True, check=False, timeout=WAIT_S)
        assert done.returncode in (0, 1), (done.returncode, done.stderr)
        assert not re.search(rb"[^\n -~]", done.stdout + done.stderr), done
        if says:
            assert done.returncode == 1 and says in done.stderr.decode(), done.stderr


def genuine():
    with running() as child:
        serving(child, 50)
        with open(os.path.join(SHM.name, "kamino-%d" % child.pid), "rb") as file:
            return file.read()


def hostile_segments_do_no_harm():
    rand = random.Random(os.environ.get("SEED", 1))
    good = genuine()
    with forged(good):
        top_survives()
    for size in (0, 1, 8, 100, 384, 511, 512, len(good) - 1):
        with forged(good[:size]):
            top_survives("kamino-4711")
    with forged(rand.randbytes(len(good))):
        top_survives("kamino-4711")
    with forged(good[:8] + struct.pack("<I", 99) + good[12:]):
        top_survives("layout 99")
    for _ in range(20):  # a head that fits, and anything behind it
        with forged(good[:512] + rand.randbytes(len(good) - 512)):
            top_survives()
    with forged(good[:384] + struct.pack("<Q", 7) + good[392:]):  # in the middle of a write for ever
        top_survives("writ")
    with forged(good, locked=False):
        top_survives("stale")
    os.symlink("/etc/passwd", os.path.join(SHM.name, "kamino-4711"))
    top_survives("kamino-4711")
    os.unlink(os.path.join(SHM.name, "kamino-4711"))


def a_segment_without_permission_is_named():
    with running() as child:
        if os.geteuid():
            os.chmod(os.path.join(SHM.name, "kamino-%d" % child.pid), 0)
            _, err = run("top", "--once", code=1)
        else:
            os.chmod(SHM.name, 0o755)
            try:
                done = subprocess.run([KAMINO, "top", "--once"], capture_output=True, text=True, check=False, user=65534,
                                      group=65534, timeout=WAIT_S)
            except PermissionError as err:
                raise Skip("another user cannot run the binary: %s" % err) from err
            assert done.returncode == 1
            err = done.stderr
        assert "permission" in err and "kamino-%d" % child.pid in err, err


# ---- the terminal ----------------------------------------------------------------------------------

class Terminal:
    """kamino top on a pseudo terminal."""

    def __init__(self, *args, rows=24, columns=80, **env):
        if "+curses" not in subprocess.run([KAMINO, "version"], capture_output=True, text=True, check=True).stdout:
            raise Skip("built without curses")
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        env = dict(os.environ, TERM="xterm", **env)
        env.pop("LINES", None)
        env.pop("COLUMNS", None)
        self.child = subprocess.Popen([KAMINO, "top", "--interval", "100ms", *args], stdin=self.slave, stdout=self.slave,
                                      stderr=self.slave, env=env, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, wait_s):
        while select.select([self.master], [], [], wait_s)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                return
            wait_s = 0

    def expect(self, pattern):
        """Read on until it is there; what was read before is forgotten."""
        def seen():
            self.read(0.05)
            return re.search(pattern, self.text)
        until(seen, pattern)
        self.text = ""

    def send(self, keys):
        os.write(self.master, keys.encode())

    def ends(self):
        def over():
            self.read(0.02)
            return self.child.poll() is not None
        until(over, "the end")
        self.read(0.1)
        now = termios.tcgetattr(self.slave)
        assert now == self.before, "the terminal's settings are not restored"
        assert "\x1b[?1049l" in self.text, "the screen is not given back"
        os.close(self.master)
        os.close(self.slave)
        assert self.child.returncode == 0, self.child.returncode


def a_session_sorts_freezes_scrolls_resizes_and_quits():
    with running("--agents", "40") as child:
        until(lambda: look(child)["totals"]["completed"] > 100, "100 completed requests")
        term = Terminal()
        term.expect("kamino run %d" % child.pid)
        term.send("s")
        term.expect("wait")
        term.send(" ")
        term.expect("frozen")
        term.send(" ")
        term.expect("freeze")
        term.resize(50, 120)
        term.expect("agents 1-3[0-9] of 40")
        for keys, says in (("\x1bOB\x1bOB", "agents 3-3[0-9] of 40"), ("\x1bOA", "agents 2-3[0-9] of 40"),
                           ("\x1bOF", "agents [0-9]+-40 of 40"), ("\x1b[5~", "agents 1-3[0-9] of 40")):
            term.send(keys + REDRAW)  # curses sends what changed, a redraw all of it
            term.expect(says)
        term.resize(3, 20)
        time.sleep(0.3)
        term.resize(24, 80)
        term.expect("rates of")
        term.send("q")
        term.ends()


def a_session_outlives_its_run():
    with running() as child:
        serving(child, 100)
        term = Terminal()
        term.expect("serving")
    term.expect("the run has ended")
    term.send("q")
    term.ends()


def a_signal_gives_the_terminal_back():
    for sig in (signal.SIGINT, signal.SIGTERM):
        with running() as child:
            term = Terminal("--pid", str(child.pid))
            term.expect("kamino run")
            term.child.send_signal(sig)
            term.ends()


def colours_are_left_out_on_request():
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        with running() as child:
            serving(child, 100)
            term = Terminal(**env)
            term.expect("rates of")
            term.send(" ")
            time.sleep(0.5)
            term.read(0.5)
            assert "frozen" in term.text
            assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", term.text)) == coloured, repr(term.text[-400:])
            term.send("q")
            term.ends()


def what_is_no_terminal_is_told():
    with running():
        _, err = run("top", code=1)
        assert "--once" in err
        if "+curses" in run("version")[0]:
            master, slave = pty.openpty()
            done = subprocess.run([KAMINO, "top"], stdin=slave, stdout=slave, stderr=subprocess.PIPE, check=False,
                                  env=dict(os.environ, TERM="nonsense"), timeout=WAIT_S)
            os.close(master)
            os.close(slave)
            assert done.returncode == 1 and b"nonsense" in done.stderr, done


tap.main([
    a_look_at_a_serving_run_adds_up,
    a_document_has_the_usual_head,
    a_run_is_seen_from_its_set_up_to_its_audit,
    more_agents_than_asked_for_are_left_out,
    without_a_run_it_says_so,
    wrong_usage_is_told,
    of_two_runs_one_must_be_chosen,
    a_killed_run_leaves_a_stale_segment_that_the_next_removes,
    a_stale_segment_beside_a_live_run_is_named_and_ignored,
    an_interrupted_run_leaves_nothing,
    a_run_can_do_without,
    hostile_segments_do_no_harm,
    a_segment_without_permission_is_named,
    a_session_sorts_freezes_scrolls_resizes_and_quits,
    a_session_outlives_its_run,
    a_signal_gives_the_terminal_back,
    colours_are_left_out_on_request,
    what_is_no_terminal_is_told,
])
