#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flame graphs: stacks folded and drawn, what recording says when it cannot, frames of leaves. TAP on stdout."""
import html.parser
import os
import re
import shutil
import subprocess

import tap
from tap import Skip, path, write

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PERF = os.path.join(ROOT, "perf")

SCRIPT = """\
kamino 4711
\t            55d0 km_view_fold (/build/kamino)
\t            4400 km_dispatch_look (/build/kamino)
\t            4300 main (/build/kamino)
\t           27249 __libc_start_call_main (/usr/lib/libc.so.6)
\t            40a5 _start (/build/kamino)

kamino 4711
\t            55d4 km_view_fold (/build/kamino)
\t            4400 km_dispatch_look (/build/kamino)
\t            4300 main (/build/kamino)

km-agent0 4712/4713
\tffffffff81001000 do_syscall_64 ([kernel.kallsyms])
\t           e1f0c [unknown] (/usr/lib/libc.so.6)
\t            7000 km_agent_main (/build/kamino (deleted))
\t           89134 start_thread (/usr/lib/libc.so.6)

km-agent1 4714
\tffffffff81001000 do_syscall_64 ([kernel.kallsyms])
\t           e1f0c [unknown] (/usr/lib/libc.so.6)
\t            7000 km_agent_main (/build/kamino (deleted))

a thread; named oddly 7
\t               0 [unknown] ([unknown])
\t           12345 std::vector<int, (x)>::f(int) (/opt/a b.so)
"""

FOLDED = """\
a thread: named oddly;std::vector<int, (x)>::f(int);[unknown] 1
kamino;main;km_dispatch_look;km_view_fold 2
km-agent*;km_agent_main;[libc.so.6];do_syscall_64_[k] 2
"""


def call(*args, stdin=None, code=0, env=None):
    done = subprocess.run(args, input=stdin, capture_output=True, text=True, check=False, timeout=120, env=env)
    assert done.returncode == code, "exit %d, not %d: %s\n%s%s" % (
        done.returncode, code, " ".join(args), done.stdout, done.stderr)
    return done.stdout, done.stderr


def fold(text, *options, code=0):
    return call(os.path.join(PERF, "fold.py"), *options, stdin=text, code=code)


def draw(*args, code=0):
    out, err = call(os.path.join(PERF, "flame.py"), "--out", path("flame.html"), *args, code=code)
    if code:
        return err
    with open(path("flame.html"), encoding="utf-8") as page:
        return page.read(), out


class Page(html.parser.HTMLParser):
    """Boxes of a page as (name, left, width, depth, tip), and all tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.boxes, self.tags, self.attributes, self.box = [], set(), set(), None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.attributes.update(attrs)
        style = re.match(r"left:([\d.]+)%;width:([\d.]+)%;--d:(\d+)", attrs.get("style", ""))
        if style:
            self.box = [float(style[1]), float(style[2]), int(style[3]), attrs["title"]]

    def handle_data(self, data):
        if self.box:
            self.boxes.append((data, *self.box))
            self.box = None


def stacks_fold_with_and_without_symbols():
    assert fold(SCRIPT)[0] == FOLDED, fold(SCRIPT)[0]
    each = fold(SCRIPT, "--each-thread")[0]
    assert "km-agent0;" in each and "km-agent1;" in each and "*" not in each
    # the last sample may lack its empty line; bytes may be no text
    assert fold(SCRIPT.rstrip("\n"))[0] == FOLDED
    assert "no samples" in fold("", code=2)[1] and "no samples" in fold("\n\n", code=2)[1]
    assert "no 64-bit program" in fold(SCRIPT, "--binary", os.path.join(PERF, "fold.py"))[1]


def inlined_functions_show_under_the_one_that_holds_them():
    if not shutil.which("addr2line") or not shutil.which("cc"):
        raise Skip("addr2line or cc is missing")
    source = write("inl.c", """
volatile int sink;
static inline __attribute__((always_inline)) void inner(int i) { sink += i; }
__attribute__((noinline)) void outer(int i) { inner(i); }
int main(void) { outer(1); return 0; }
""")
    call("cc", "-O1", "-g", "-o", path("inl"), source)
    code = call("objdump", "-d", "--no-show-raw-insn", path("inl"))[0]
    body = re.search(r"<outer>:\n(.*?)\n\n", code, re.S)[1]
    add = int(re.search(r"^\s*([0-9a-f]+):\s+\S+.*sink", body, re.M)[1], 16)
    load = [re.split(r"\s+", line.strip()) for line in call("readelf", "-lW", path("inl"))[0].splitlines()
            if line.strip().startswith("LOAD")]
    offset, = (add - int(at[2], 16) + int(at[1], 16) for at in load
               if int(at[2], 16) <= add < int(at[2], 16) + int(at[4], 16))
    sample = "x 1\n\t %x outer (%s)\n\t 1 main (/other)\n" % (offset, path("inl"))
    assert fold(sample, "--binary", path("inl"))[0] == "x;main;outer;inner_[i] 1\n"


def sums_are_conserved():
    page = Page(draw(write("a.folded", FOLDED))[0])
    boxes = {(name, depth): (left, width) for name, left, width, depth, _ in page.boxes}
    assert boxes[("all", 0)] == (0, 100)
    assert boxes[("km_view_fold", 4)][1] == 40 and boxes[("km-agent*", 1)][1] == 40
    by_depth = {}
    for _, left, width, depth, _ in page.boxes:
        by_depth.setdefault(depth, []).append((left, left + width))
    for depth, spans in by_depth.items():
        spans.sort()
        # side by side, within those below
        assert all(a[1] <= b[0] + 1e-4 for a, b in zip(spans, spans[1:])), spans
        if depth:
            for left, right in spans:
                assert any(a - 1e-4 <= left and right <= b + 1e-4 for a, b in by_depth[depth - 1]), (depth, left)
    assert sum(right - left for left, right in by_depth[1]) == 100
    tips = {name: tip for name, _, _, _, tip in page.boxes}
    assert tips["km_view_fold"] == "km_view_fold: 2 samples, 40.00 %; itself 40.00 %", tips["km_view_fold"]
    assert tips["do_syscall_64"].startswith("do_syscall_64 (kernel): 2 samples")


def a_page_needs_nothing_else():
    text, _ = draw(write("a.folded", FOLDED))
    for sign in ("http:", "https:", "//", "src=", "href=", "@import", "url("):
        assert sign not in text.replace("// ", ""), sign


def hostile_names_stay_text():
    names = ["<script>alert(1)</script>", "\" onmouseover=\"alert(1)", "</div></style><img>", "a & b &amp; c",
             "'; drop", "\u202egnp", "x" * 5000, "%(title)s %s"]
    lines = "".join("t;%s 5\n" % name.replace(";", ":") for name in names)
    clean = Page(draw(write("a.folded", FOLDED))[0])
    text, _ = draw("--title", "</title><b>", "--note", "<i>%s", write("h.folded", lines))
    page = Page(text)
    assert page.tags == clean.tags and page.attributes == clean.attributes, page.tags ^ clean.tags
    assert {name for name, *_ in page.boxes} == {"all", "t"} | {name.replace(";", ":") for name in names}


def what_is_no_profile_is_refused_with_its_place():
    for text, says in (("", "no samples"), ("\n\n", "no samples"), ("a;b 0\n", "no samples"),
                       ("a;b 3\na;b\n", ":2: not"), ("a;b -3\n", ":1: not"), ("7\n", ":1: not"),
                       ("a;b 1.5\n", ":1: not")):
        assert says in draw(write("bad.folded", text), code=2), (text, says)
    assert "No such file" in draw(path("none.folded"), code=2)
    assert "No such file" in call(os.path.join(PERF, "flame.py"), "--out", path("no/dir.html"),
                                  write("a.folded", FOLDED), code=2)[1]


def deep_stacks_are_drawn():
    text, _ = draw(write("deep.folded", ";".join(["f"] * 5000) + " 3\n"))
    assert len(Page(text).boxes) == 5001


def two_profiles_compare_as_shares():
    base = write("base.folded", "t;main;same 300\nt;main;gone 100\nt;main;less.part.0 400\nt;main;more_[i] 200\n")
    double = write("double.folded", "t;main;same 600\nt;main;gone 200\nt;main;less 800\nt;main;more 400\n")
    new = write("new.folded", "t;main;same 30\nt;main;come 10\nt;main;less 10\nt;main;more 50\n")
    _, out = draw("--base", base, double)
    moved = dict(re.findall(r"^(\w+) .*? ([+-]\d+\.\d+) ", out, re.M))
    assert set(moved.values()) == {"+0.00"} and len(moved) == 4, out
    assert re.search(r"^gone .* -$", out, re.M), out
    text, out = draw("--base", base, "--base", double, "--base", base, new, new, new)
    moved = dict(re.findall(r"^(\w+) .*? ([+-]\d+\.\d+) ", out, re.M))
    assert moved == {"less": "-30.00", "more": "+30.00", "gone": "-10.00", "come": "+10.00", "same": "+0.00"}, out
    assert re.search(r"^more .* yes$", out, re.M) and re.search(r"^same .* no$", out, re.M), out
    boxes = {name: (width, tip) for name, _, width, _, tip in Page(text).boxes}
    assert boxes["gone"][0] == 5 and "0.00 %, was 10.00 %" in boxes["gone"][1], boxes["gone"]
    assert boxes["all"][0] == 100 and boxes["same"][0] == 30


# ---- recording ----------------------------------------------------------------------

def fake_perf(record="exit 0", stat="echo '<not supported>,,cycles' >&2", script="cat %s"):
    """A perf of our own; returns the environment that finds it."""
    folder = path("fake")
    os.makedirs(folder, exist_ok=True)
    sample = write("sample.script", SCRIPT)
    write("fake/perf", "#!/bin/sh\nlast=$*\ncase $1 in\nrecord) echo \"$last\" >>%s; %s ;;\nstat) %s ;;\nscript) %s ;;\nesac\n" % (
        path("perf.log"), record, stat, script % sample if "%s" in script else script))
    os.chmod(path("fake/perf"), 0o755)
    write("perf.log", "")
    return dict(os.environ, PATH=folder + ":" + os.environ["PATH"])


def record(*args, env, code=0):
    return call(os.path.join(PERF, "record.sh"), *args, code=code, env=env)


def recording_without_perf_names_the_package():
    folder = path("tools")
    os.makedirs(folder, exist_ok=True)
    for tool in ("sh", "dirname", "mktemp", "rm", "sed", "cat", "python3"):
        if not os.path.exists(os.path.join(folder, tool)):
            os.symlink(shutil.which(tool), os.path.join(folder, tool))
    for args in (("--check",), ("--", "true"), ("--out", path("rec"), "true")):
        if args[-1] == "true":
            os.path.exists(os.path.join(folder, "true")) or os.symlink(shutil.which("true"), os.path.join(folder, "true"))
        err = record(*args, env=dict(os.environ, PATH=folder), code=2)[1]
        assert "linux-perf" in err and "deps.sh perf" in err, err


def recording_without_permission_names_the_remedy():
    env = fake_perf(record="echo 'No permission to enable cpu-clock event.' >&2; exit 255")
    for args in (("--check",), ("--", "true")):
        err = record(*args, env=env, code=2)[1]
        assert "No permission" in err and "perf_event_paranoid is" in err and "sysctl" in err, err


def recording_no_samples_is_an_error():
    err = record("--out", path("rec"), "--", "true", env=fake_perf(script="exit 0"), code=2)[1]
    assert "no samples" in err and "too soon" in err, err


def a_command_that_fails_is_said():
    err = record("--out", path("rec"), "--", "false",
                 env=fake_perf(record="case $last in *false) exit 3;; esac"), code=1)[1]
    assert "ended with 3" in err, err


def recording_samples_by_what_there_is():
    env = fake_perf()
    assert "by cpu-clock, 1999 times" in record("--check", env=env)[0]
    env = fake_perf(stat="echo '123456,,cycles,100,100.00,,' >&2")
    assert "by cycles" in record("--check", env=env)[0]
    out, _ = record("--out", path("rec/a"), "--title", "T<1>", "--", "true", env=env)
    assert out.split() == [path("rec/a/flame.html"), path("rec/a/out.folded")], out
    with open(path("rec/a/out.folded"), encoding="utf-8") as folded:
        assert folded.read() == FOLDED
    with open(path("rec/a/flame.html"), encoding="utf-8") as page:
        assert "T&lt;1&gt;" in page.read()
    with open(path("perf.log"), encoding="utf-8") as log:
        assert "-e cycles --call-graph fp" in log.read()


def recording_without_out_leaves_the_folder_it_is_called_in_alone():
    env = dict(fake_perf(), O=path("build"))
    out, err = record("--", "true", env=env)
    assert out.split()[0] == path("build/perf-data/flame.html") and os.path.exists(out.split()[0]), out
    assert "into " + path("build/perf-data") in err, err


def wrong_usage_exits_2():
    env = fake_perf()
    for args in ((), ("--out",), ("--nonsense", "true"), ("--",), ("--pid", "1", "true"),
                 ("--pid", "no-such-process"), ("no-such-program-here",)):
        record(*args, env=env, code=2)
    for hz in ("", "x", "-5"):
        assert (hz or "1999") in record("--check", env=dict(env, HZ=hz), code=0 if not hz else 2)[0 if not hz else 1]


LEAVES = """
#include <stdint.h>
#include <stdio.h>
#define NOINLINE __attribute__((noinline))
NOINLINE uint64_t leaf(uint64_t x, int n)
{
	for (int i = 0; i < n; i++)
		x = x * 6364136223846793005u + (x >> 29);
	return x;
}
NOINLINE uint64_t one(uint64_t x) { return leaf(x, 20000) + 1; }
NOINLINE uint64_t tail(uint64_t x) { return leaf(x, 20000); }
NOINLINE uint64_t early(uint64_t *p, uint64_t x, int n)
{
	if (!p) {
		for (int i = 0; i < n; i++)
			x = x * 6364136223846793005u ^ (x >> 7);
		return x;
	}
	*p += leaf(x, n);
	printf("%d", (int)*p);
	return *p;
}
NOINLINE uint64_t two(uint64_t x) { return early(NULL, x, 20000) + 1; }
int main(void)
{
	uint64_t x = 1;

	for (int i = 0; i < 3000; i++)
		x += one(x) + tail(x) + two(x);
	printf("%d", (int)x);
	return 0;
}
"""


def build_leaves(compiler):
    if not shutil.which(compiler):
        raise Skip(compiler + " is missing")
    flags = call("make", "-s", "-C", ROOT, "frame-cflags", "CC=" + compiler, env=dict(os.environ, MAKEFLAGS=""))[0]
    call(compiler, "-fno-omit-frame-pointer", *flags.split(), "-c", "-o", path("leaves.o"), write("leaves.c", LEAVES))
    call(compiler, "-no-pie", "-o", path("leaves"), path("leaves.o"))


def each_function_of_a_profile_build_has_a_frame():
    """What "make flame" builds with; without its flags both compilers fail this."""
    if os.uname().machine != "x86_64":
        raise Skip("not x86-64")
    if not shutil.which("objdump"):
        raise Skip("objdump (package binutils) is missing")
    for compiler in ("gcc", "clang"):
        build_leaves(compiler)
        code = call("objdump", "-d", "--no-show-raw-insn", path("leaves"))[0]
        for name in ("leaf", "one", "tail", "early", "two"):
            body = re.search(r"<%s>:\n(.*?)\n\n" % name, code, re.S)[1]
            assert re.search(r"push +%rbp.*\n.*mov +%rsp,%rbp", "\n".join(body.split("\n")[:3])), (compiler, name, body)
            assert not re.search(r"\bjmp +[0-9a-f]+ <(?!%s)" % name, body), (compiler, "tail call", body)


def a_profile_build_compiles_for_frames_and_links_without_gprof():
    out, _ = call("make", "-n", "-C", ROOT, "flame-build", "CC=gcc", "O=" + path("o"), "V=1",
                  env=dict(os.environ, MAKEFLAGS="", PATH=fake_perf()["PATH"]))
    lines = [line for line in out.splitlines() if line.startswith("gcc ")]
    compiled = [line for line in lines if " -c " in line]
    linked = [line for line in lines if line.endswith("-o " + path("o/flame/build/kamino"))]
    assert len(linked) == 1 and len(compiled) > 50, (len(linked), len(compiled))
    assert all("-fno-optimize-sibling-calls" in line for line in compiled)
    assert " -pg" not in linked[0] and "-no-pie" in linked[0], linked
    if os.uname().machine == "x86_64":
        assert all(" -pg -mnop-mcount " in line for line in compiled), compiled[0]


def callers_of_hot_leaves_appear():
    if os.uname().machine != "x86_64":
        raise Skip("not x86-64")
    done = subprocess.run([os.path.join(PERF, "record.sh"), "--check"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(done.stderr.strip().splitlines()[-1])
    build_leaves("gcc")
    record("--out", path("leaves.d"), "--", path("leaves"), env=os.environ)
    with open(path("leaves.d/out.folded"), encoding="utf-8") as folded:
        counts = dict(line.rsplit(" ", 1) for line in folded)
    total = sum(map(int, counts.values()))
    for stack in ("one;leaf", "tail;leaf", "two;early"):
        share = int(counts.get("leaves;main;" + stack, 0)) / total
        assert share > 0.1, (stack, share, counts)


tap.main([stacks_fold_with_and_without_symbols,
          inlined_functions_show_under_the_one_that_holds_them,
          sums_are_conserved,
          a_page_needs_nothing_else,
          hostile_names_stay_text,
          what_is_no_profile_is_refused_with_its_place,
          deep_stacks_are_drawn,
          two_profiles_compare_as_shares,
          recording_without_perf_names_the_package,
          recording_without_permission_names_the_remedy,
          recording_no_samples_is_an_error,
          a_command_that_fails_is_said,
          recording_samples_by_what_there_is,
          recording_without_out_leaves_the_folder_it_is_called_in_alone,
          wrong_usage_exits_2,
          each_function_of_a_profile_build_has_a_frame,
          a_profile_build_compiles_for_frames_and_links_without_gprof,
          callers_of_hot_leaves_appear])
