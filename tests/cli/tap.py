# SPDX-License-Identifier: LGPL-2.1-or-later
"""Just enough TAP for the tests of the command: named checks, a temporary folder, runs of the binary."""
import json
import os
import subprocess
import sys
import tempfile
import traceback

KAMINO = os.environ.get("KAMINO", "build/kamino")
TMP = tempfile.TemporaryDirectory(prefix="kamino-test-")


class Skip(Exception):
    """Raised by a test that lacks what it needs; the text says what."""


def path(name):
    return os.path.join(TMP.name, name)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as to:
        to.write(text)
    return path(name)


def run(*args, code=0, timeout=300):
    """Run the binary; returns (stdout, stderr) and demands the exit code."""
    done = subprocess.run([KAMINO, *args], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == code, "exit %d, not %d: %s\n%s" % (
        done.returncode, code, " ".join(args), done.stderr[-2000:])
    return done.stdout, done.stderr


def run_json(*args, code=0, timeout=300):
    """Run with --json; returns the document and stderr."""
    out, err = run(*args, "--json", code=code, timeout=timeout)
    return json.loads(out), err


def refused(code, *args, says=""):
    """Run; the exit code, nothing on stdout, and a message that has these words in it."""
    out, err = run(*args, code=code)
    assert not out and err and says in err, "no '%s' in: %s%s" % (says, out, err)
    return err


def main(tests):
    """Run them; ONLY= picks those whose name has that text in it."""
    tests = [test for test in tests if os.environ.get("ONLY", "") in test.__name__]
    print("1..%d" % len(tests))
    failed = 0
    for nr, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print("ok %d - %s" % (nr, name), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (nr, name, why), flush=True)
        except Exception:  # a test that breaks has failed, whatever broke
            failed += 1
            print("not ok %d - %s" % (nr, name))
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), flush=True)
    TMP.cleanup()
    sys.exit(1 if failed else 0)
