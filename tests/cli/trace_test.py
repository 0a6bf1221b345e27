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


def an_interrupted_write_leaves_what_was_there():
    out = tap.write("old.csv", "what was there\n")
    before = set(folder())
    work = subprocess.Popen([tap.KAMINO, "trace", "synth", "--servers", "2000", "--requests", "1M", "--out", out],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while work.poll() is None and set(folder()) == before:
        time.sleep(0.005)
    assert work.poll() is None, "it ended before it was seen to write"
    work.kill()
    work.wait()
    assert read(out) == b"what was there\n"
    for name in set(folder()) - before:
        os.unlink(tap.path(name))


if __name__ == "__main__":
    tap.main([
        a_write_that_fails_leaves_what_was_there,
        an_interrupted_write_leaves_what_was_there,
    ])
