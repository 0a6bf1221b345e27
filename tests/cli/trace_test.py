#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino trace: what it writes is whole or as it was before, what it refuses is named."""
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402


def folder():
    return sorted(os.listdir(tap.TMP.name))


def read(path):
    with open(path, "rb") as at:
        return at.read()


def small_limit():
    """A file may have 4 KiB: writing fails behind that, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def run_limited(*args):
    return subprocess.run([tap.KAMINO, *args], capture_output=True, text=True, timeout=300, check=False,
                          preexec_fn=small_limit)


def a_write_that_fails_leaves_what_was_there():
    for verb in (("synth", "--servers", "50", "--requests", "2000"), ("fleet", "--servers", "500")):
        out = tap.write("old.csv", "what was there\n")
        before = folder()
        done = run_limited("trace", *verb, "--out", out)
        assert done.returncode == 1, done
        assert "old.csv: " in done.stderr, done.stderr
        assert read(out) == b"what was there\n"
        assert folder() == before, folder()


def writes_into_the_folder(pid):
    """Whether the process has a file open there, with a name or (yet) without."""
    fds = "/proc/%d/fd" % pid
    try:
        return any(os.readlink(os.path.join(fds, fd)).startswith(tap.TMP.name) for fd in os.listdir(fds))
    except OSError:
        return False


def an_interrupted_write_leaves_what_was_there():
    out = tap.write("old.csv", "what was there\n")
    before = set(folder())
    work = subprocess.Popen([tap.KAMINO, "trace", "synth", "--servers", "2000", "--requests", "1M", "--out", out],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while work.poll() is None and not writes_into_the_folder(work.pid):
        time.sleep(0.005)
    assert work.poll() is None, "it ended before it was seen to write"
    work.kill()
    work.wait()
    assert read(out) == b"what was there\n"
    assert set(folder()) == before, folder()


def a_trace_and_its_fleet_are_both_written_or_neither():
    out = tap.write("old.csv", "what was there\n")
    before = folder()
    synth = ("trace", "synth", "--servers", "50", "--requests", "100", "--out", out)
    _, err = tap.run(*synth, "--inventory-out", tap.path("nowhere/inv.csv"), code=1)
    assert "nowhere/inv.csv: " in err, err
    assert read(out) == b"what was there\n"
    for same in (out, os.path.join(tap.TMP.name, ".", "old.csv")):
        _, err = tap.run(*synth, "--inventory-out", same, code=2)
        assert "same file" in err, err
    new = tap.path("new.csv")
    _, err = tap.run("trace", "synth", "--servers", "50", "--out", new, "--inventory-out",
                     os.path.join(tap.TMP.name, ".", "new.csv"), code=2)
    assert read(out) == b"what was there\n"
    assert folder() == before, folder()
    tap.run(*synth, "--inventory-out", tap.path("inv.csv"))
    assert read(out).startswith(b"at_us,op,vm") and read(tap.path("inv.csv")).startswith(b"server,")


def too_many_servers_are_told_with_the_limit():
    for verb in ("synth", "fleet"):
        _, err = tap.run("trace", verb, "--servers", "4000000", "--out", tap.path("x.csv"), code=2)
        assert "--servers" in err and ("1000000" in err or "1M" in err), err


def an_import_of_nothing_is_refused():
    empty = tap.write("empty.csv", "vmId,tenantId,cores,ram,priority,start_s,end_s\n")
    _, err = tap.run("trace", "import", "--azure", empty, "--out", tap.path("x.csv"), code=1)
    assert "empty.csv: no VM" in err, err
    assert not os.path.exists(tap.path("x.csv"))


def a_text_that_is_no_utf8_is_refused_with_its_place():
    with open(tap.path("latin.csv"), "wb") as to:
        to.write(b"at_us,op,vm\n0,create,caf\xe9\n")
    for more in ((), ("--json",)):
        _, err = tap.run("trace", "stat", tap.path("latin.csv"), *more, code=1)
        assert "latin.csv:2:13: byte 0xe9 is not UTF-8" in err, err


if __name__ == "__main__":
    tap.main([
        a_write_that_fails_leaves_what_was_there,
        an_interrupted_write_leaves_what_was_there,
        a_trace_and_its_fleet_are_both_written_or_neither,
        too_many_servers_are_told_with_the_limit,
        an_import_of_nothing_is_refused,
        a_text_that_is_no_utf8_is_refused_with_its_place,
    ])
