#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Job files: sections in order, the command line wins, one document; bad files. TAP on stdout."""
import glob
import os
import signal
import subprocess
import time

import tap
from tap import KAMINO, run, run_json, write

SIM = "[global]\nzone = zone1\nhours = 0.05\nseed = 7\nthreads = 1\n\n[one]\npolicy = rr\n\n" \
      "; a remark\n[two]\npolicy = protean,rr\nagents = 2\ncheck = yes\naccuracy = no\n"


def each_section_runs_in_order_with_the_global_options():
    doc, _ = run_json("sim", "--job", write("a.job", SIM))
    assert doc["command"] == "sim" and doc["schema"].startswith("kamino") and doc["host"]["cpu"]
    assert [(r["job"], r["policy"], r["agents"]) for r in doc["results"]] == [
        ("one", "rr", 4), ("two", "protean", 2), ("two", "rr", 2)]
    assert doc["params"]["sections"]["one"]["seed"] == 7
    assert list(doc["params"]["sections"]) == ["one", "two"]


def a_job_gives_what_the_verb_gives():
    doc, _ = run_json("sim", "--job", write("b.job", SIM), "--section", "one")
    alone, _ = run_json("sim", "--zone", "zone1", "--hours", "0.05", "--seed", "7", "--threads", "1",
                        "--policy", "rr")
    assert len(doc["results"]) == 1
    got = dict(doc["results"][0])
    assert got.pop("job") == "one"
    for timing in ("events_per_s",):
        got.pop(timing, None)
        alone["results"][0].pop(timing, None)
    assert got == alone["results"][0]


def the_command_line_wins():
    doc, _ = run_json("sim", "--policy", "random", "--job=" + write("c.job", SIM), "--agents=3")
    assert [(r["policy"], r["agents"]) for r in doc["results"]] == [("random", 3), ("random", 3)]


def sections_that_write_the_same_file_are_refused():
    rows = tap.path("rows.csv")
    job = "[global]\nservers = 500\nrequests = 200\ncalibrate = 100\nagents = 2\n%s\n[one]\nseed = 1\n[two]\nseed = 2\n"
    shared = write("w.job", job % ("requests-out = " + rows))
    _, err = run("run", "--job", shared, code=2)
    assert "[one] and [two]" in err and "--requests-out" in err and not os.path.exists(rows), err
    _, err = run("run", "--job", write("v.job", job % ""), "--record-costs", rows, code=2)
    assert "--record-costs" in err and not os.path.exists(rows), err
    run("run", "--job", shared, "--section", "two")
    assert os.path.exists(rows)
    run("run", "--job", write("u.job", job % "" + "requests-out = " + rows + "\n"))


def text_names_the_sections():
    out, _ = run("sim", "--job", write("d.job", SIM))
    assert out.index("[one]") < out.index("[two]") and out.count("protean") == 1


def a_file_with_global_options_alone_is_one_job():
    doc, _ = run_json("sim", "--job", write("e.job", SIM.split("[one]")[0] + "policy = rr\n"))
    assert [r["job"] for r in doc["results"]] == ["all"]


def benchmarks_are_named_in_the_file():
    doc, _ = run_json("bench", "--job", write("f.job", "[x]\nbench = dispatch\nagents = 2\nrules = 0\n"
                                              "types = 130\nsamples = 500\nrate = 20k\nno-naive = yes\n"))
    assert doc["command"] == "bench dispatch" and doc["results"][0]["agents"] == 2


def a_section_that_fails_ends_the_job_with_its_code():
    bad = write("g.job", "[good]\nzone = zone1\nhours = 0.01\npolicy = rr\n[bad]\npolicy = rrr\n[never]\n")
    _, err = run("sim", "--job", bad, code=2)
    assert "rrr" in err and "[bad] failed" in err and "never" not in err
    out, _ = run("sim", "--job", bad, "--json", code=2)
    assert out == "", "half a document"


def an_interrupt_ends_the_job_with_its_own_code():
    job = write("long.job", "[one]\npolicy = all\nhours = 90000\n[two]\nhours = 1\n")
    with subprocess.Popen([KAMINO, "sim", "--job", job], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as done:
        done.stdout.read(1)
        time.sleep(0.3)
        os.killpg(done.pid, signal.SIGINT)
        done.communicate(timeout=60)
    assert done.returncode == 130, done.returncode


def bad_files_are_refused_with_their_place():
    for text, says in (("policy = rr\n", "h.job:1:"),
                       ("[a]\nnonsense\n", "h.job:2:"),
                       ("[a]\njson = yes\n", "command line"),
                       ("[a]\n" + "x" * 400 + " = 1\n", "h.job:2: longer than"),
                       ("[a]\npolicy = rr\n\n[a%s]\nb = 1\n" % ("a" * 80), "h.job:4:2: a section's name"),
                       ("".join("[s%d]\nseed = 1\n" % i for i in range(70)), "too many sections"),
                       ("[a]\nagentz = 3\n", "did you mean --agents")):
        _, err = run("sim", "--job", write("h.job", text), code=2)
        assert says in err, "no '%s' in: %s" % (says, err)
    for args, says in ((("sim", "--job", tap.path("none.job")), "No such file"),
                       (("sim", "--job"), "wants a file"),
                       (("sim", "--job", write("i.job", SIM), "--section", "on"), "did you mean [one]"),
                       (("sim", "--job", write("i.job", SIM), "--json-out", "x"), "--json > FILE"),
                       (("topo", "--job", write("i.job", SIM)), "unknown option")):
        _, err = run(*args, code=2)
        assert says in err, "no '%s' in: %s" % (says, err)


def the_verbs_that_take_jobs_say_so_and_no_others():
    for verb in ("run", "sim", "bench", "report", "top", "topo"):
        out, _ = run(verb, "--help")
        assert ("--job FILE" in out and "--section" in out) == (verb in ("run", "sim", "bench")), out


def the_job_files_of_the_tree_are_read_to_their_end():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "jobs")
    files = sorted(glob.glob(os.path.join(folder, "*.job")))
    assert files
    for path in files:
        with open(path, encoding="utf-8") as text:
            verb = next(line.split()[2] for line in text if "kamino " in line)
        # Every option of the file is known; the last one is not, and is what the verb refuses.
        done = subprocess.run([KAMINO, verb, "--job", path, "--no-such-option"], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == 2 and "unknown option --no-such-option" in done.stderr, (path, done.stderr)


tap.main([each_section_runs_in_order_with_the_global_options,
          a_job_gives_what_the_verb_gives,
          the_command_line_wins,
          sections_that_write_the_same_file_are_refused,
          text_names_the_sections,
          a_file_with_global_options_alone_is_one_job,
          benchmarks_are_named_in_the_file,
          a_section_that_fails_ends_the_job_with_its_code,
          an_interrupt_ends_the_job_with_its_own_code,
          bad_files_are_refused_with_their_place,
          the_verbs_that_take_jobs_say_so_and_no_others,
          the_job_files_of_the_tree_are_read_to_their_end])
