#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kamino report: pages of small real runs, their form, every number on them; hostile and bad input. TAP on stdout."""
import copy
import html.parser
import json
import math
import os
import re
import shutil
import stat
import subprocess

import tap
from tap import KAMINO, Skip, path, run, write

VOID = {"meta", "br", "link", "img", "input", "hr"}
DOCS = {}


class Page(html.parser.HTMLParser):
    """Checks that tags nest, and keeps what the tests ask for."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.svgs, self.cells, self.tags, self.urls = [], [], [], [], [], []
        self.heads, self.text, self.named = [], [], {}
        self.feed(text)
        self.close()
        assert not self.open, "never closed: %s" % self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "svg":
            self.svgs.append(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.heads.append(int(tag[1]))
        self.urls += [(tag, key, value) for key, value in attrs.items()
                      if key in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")]
        if tag not in VOID:
            self.open.append((tag, attrs.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, "</%s> closes %s" % (tag, self.open[-1:])
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1][1]:
            self.named[self.open[-1][1]] = self.named.get(self.open[-1][1], "") + data
        if any(tag in ("td", "th") for tag, _ in self.open[-2:]):
            self.cells.append(data)


def document(name, *args):
    """A document of a real run, made once; (path, document)."""
    if name not in DOCS:
        out, _ = run(*args, "--json")
        DOCS[name] = (write(name + ".json", out), json.loads(out))
    return DOCS[name]


def a_run():
    return document("run", "run", "--policy", "protean,latcache-rule", "--servers", "400", "--requests", "400",
                    "--agents", "2", "--calibrate", "100")


def a_sim():
    return document("sim", "sim", "--policy", "protean,latcache-rule", "--hours", "0.2", "--agents", "2,4",
                    "--zone", "zone3")


def an_experiment():
    return document("paper", "sim", "--experiment", "all", "--set", "hours=0.05")


def a_bench():
    return document("bench", "bench", "dispatch", "--agents", "2,8", "--types", "60", "--samples", "2000",
                    "--rules", "0,5")


def another_bench():
    return document("cache", "bench", "cache", "--seconds", "0.05", "--entries", "128,256", "--rules", "3")


def a_job():
    job = write("two.job", "[global]\npolicy = protean,latcache-rule\nhours = 0.1\n[one]\nagents = 2,3,12\n"
                "[two]\nload = 1.5\n")
    return document("job", "sim", "--job", job)


def folder():
    return os.path.dirname(path("x"))


def report(*paths, out="page.html"):
    _, err = run("report", *paths, "-o", path(out))
    with open(path(out), encoding="utf-8") as page:
        return page.read(), err


def changed(doc, change):
    """The document after a change, as a file."""
    doc = copy.deepcopy(doc)
    change(doc)
    return write("changed.json", json.dumps(doc))


def numbers(value):
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield float(value)
    elif isinstance(value, dict):
        for member in value.values():
            yield from numbers(member)
    elif isinstance(value, list):
        for member in value:
            yield from numbers(member)


def check_page(text, pictures):
    page = Page(text)
    assert len(page.svgs) >= pictures, "%d pictures" % len(page.svgs)
    assert len(set(page.ids)) == len(page.ids), "ids twice: %s" % [i for i in page.ids if page.ids.count(i) > 1][:4]
    for svg in page.svgs:
        assert svg.get("role") == "img", svg
        title, desc = svg["aria-labelledby"].split()
        assert page.named[title].strip() and re.search(r"\d", page.named[desc]), "no words for %s" % title
    # Nothing is fetched: every address is a place on the page, and no style or script names another.
    for tag, key, value in page.urls:
        assert value.startswith("#"), (tag, key, value)
        assert value[1:] in page.ids, "no %s" % value
    for ban in ("script", "iframe", "object", "embed", "link", "img", "base"):
        assert ban not in page.tags, ban
    assert "@import" not in text and "url(" not in text
    for address in re.findall(r"https?://[^\s\"'<]*", text):
        assert address in ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"), address
    assert page.heads[0] == 1 and page.heads.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.heads, page.heads[1:])), page.heads
    assert 'name="viewport"' in text and "@media print" in text and "prefers-color-scheme" in text
    return page


def check_numbers(page, *docs):
    there = set()
    for cell in page.cells:
        for word in cell.replace(",", " ").split():
            try:
                there.add(float(word))
            except ValueError:
                pass
    for doc in docs:
        for number in list(numbers(doc["results"])) + list(numbers(doc["params"])):
            assert number in there or any(math.isclose(number, near, rel_tol=1e-11) for near in there), number


def a_page_of_every_kind_of_document_is_whole_and_has_every_number():
    made = [a_run(), a_sim(), an_experiment(), a_bench(), another_bench()]
    text, err = report(*[file for file, _ in made])
    page = check_page(text, 30)
    check_numbers(page, *[doc for _, doc in made])
    assert "5 documents" in err
    words = "".join(page.text)
    for doc in (doc for _, doc in made):
        for key in ("revision", "command_line", "made_at", "cpu"):
            assert doc["host"][key][:300] in words, key
    for figure in ("Figure 1", "Figure 2", "Figure 6", "Figure 7", "Figure 8", "Figure 9a", "Figure 9b", "Figure 9c",
                   "Table 3", "Accuracy", "Rivals"):
        assert figure in words, figure


def each_kind_alone_makes_a_page():
    for make, pictures in ((a_run, 8), (a_sim, 14), (an_experiment, 20), (a_bench, 2), (another_bench, 1), (a_job, 20)):
        file, doc = make()
        check_numbers(check_page(report(file)[0], pictures), doc)


def load_over_time_adds_up():
    (_, run_doc), (_, sim_doc), (_, job_doc) = a_run(), a_sim(), a_job()
    for result in run_doc["results"] + sim_doc["results"] + job_doc["results"]:
        series = result["series"]
        lines = min(result["agents"], 3 if result["agents"] > 8 else 8)
        assert len(series["lines"]) == lines, result["agents"]
        for key in ("busy", "waiting", "completed_per_s"):
            assert len(series[key]) == lines
            assert len({len(line) for line in series[key]}) == 1 and len(series[key][0]) <= 120
            assert all(value >= 0 for line in series[key] for value in line)
        assert all(value <= 1.001 for line in series["busy"] for value in line)
        if lines == result["agents"] and "virtual_s" in result:
            # The last interval is cut short: all but it, within what it and rounding to four digits may hold.
            whole = len(series["busy"][0]) - 1
            busy = sum(sum(line[:whole]) for line in series["busy"]) * series["interval_s"]
            all_busy = result["busy"] * result["agents"] * result["virtual_s"]
            assert 0 <= all_busy * 1.001 - busy <= result["agents"] * series["interval_s"] + 0.002 * all_busy
            done = sum(sum(line[:whole]) for line in series["completed_per_s"]) * series["interval_s"]
            assert 0.9 * result["completed"] <= done <= 1.001 * result["completed"], (done, result["completed"])


def the_misses_against_the_paper_are_all_there_worst_first():
    file, doc = an_experiment()
    page = Page(report(file)[0])
    compared = [r for r in doc["results"] if r["ours"] is not None and r["paper"] is not None]
    offs = [float(cell.strip()[:-2]) for cell in page.cells if re.fullmatch(r"\s*[\d.]+ %", cell)]
    assert len(offs) == len(compared), (len(offs), len(compared))
    assert offs == sorted(offs, reverse=True)
    gap = [r for r in compared if r["figure"] == "accuracy" and r["column"] == "best_agent_pct"]
    scale = max(abs(r["paper"]) for r in gap)
    for r in gap:
        off = 100 * abs(r["ours"] - r["paper"]) / scale
        assert any(abs(off - have) < 0.06 for have in offs), r


def several_documents_of_a_kind_stand_side_by_side():
    run_file, run_doc = a_run()
    sim_file, sim_doc = a_sim()
    other = changed(run_doc, lambda d: d["results"].pop())
    text, _ = report(run_file, other, sim_file)
    page = check_page(text, 12)
    check_numbers(page, run_doc, sim_doc)
    assert "Side by side" in "".join(page.text)
    twice = report(a_bench()[0], a_bench()[0])[0]
    assert "every document" in "".join(check_page(twice, 4).text)
    assert "B: Figure 6" in "".join(check_page(report(an_experiment()[0], an_experiment()[0])[0], 40).text)


HOSTILE = ["<script>alert(1)</script>", "'; system \"touch %s\"; '", "`touch %s`", "$(touch %s)", "@touch", "a\nsystem 'x'\n",
           "\"><img src=x onerror=alert(1)>", "]]>-->", "EOD\nset output '%s'\n", "\\\\'\\", "\u202e\u0001\u001f\u007f",
           "x" * 100000, "\U0001f600" * 2000, "%n%s%d", "'.system('touch %s').'", "&amp;<b>"]


def poisoned(doc, texts):
    """The document with a hostile text in each place that takes one."""
    def poison(d):
        for nr, result in enumerate(d["results"]):
            text = texts[nr % len(texts)]
            for key, value in list(result.items()):
                if isinstance(value, str):
                    result[key] = text
            result[text] = nr
        for text in texts:
            d["params"][text] = [text, 1]
        for nr, key in enumerate(d["host"]):
            d["host"][key] = texts[nr % len(texts)]
    return changed(doc, poison)


def hostile_strings_are_shown_not_run():
    stung = path("stung")
    texts = [text.replace("%s", stung, 1) if "touch" in text or "output" in text else text for text in HOSTILE]
    for kind in (a_run, a_sim, an_experiment, a_bench, another_bench):
        _, doc = kind()
        nr = len(doc["results"])
        for first in range(0, len(texts), nr):
            check_page(report(poisoned(doc, texts[first:first + nr]))[0], 1)
            assert not os.path.exists(stung), texts[first:first + nr]


def odd_numbers_do_not_stop_it():
    _, doc = a_run()
    for value in (0, -1, 1e300, -1e300, 1e-300, 2**62, None, "x", [], {}):
        def odd(d, value=value):
            for result in d["results"]:
                for key in list(result):
                    if isinstance(result[key], (int, float)) and key != "agents":
                        result[key] = value
                    elif isinstance(result[key], dict):
                        result[key] = {k: value for k in result[key]}
        check_page(report(changed(doc, odd))[0], 0)
    deep = {}
    for _ in range(300):
        deep = {"d": deep, "l": [[1]]}
    check_page(report(changed(doc, lambda d: d["results"][0].update(deep=deep)))[0], 2)


def refused(says, *args, code=1):
    _, err = run("report", *args, code=code)
    assert says in err, "no '%s' in: %s" % (says, err)
    assert err.count("\n") <= 2, err


def bad_input_is_refused_with_its_reason():
    file, doc = a_run()
    out = path("never.html")
    refused("No such file", path("nothing.json"), "-o", out)
    refused("not JSON", write("bad.json", "{ \"schema\": "), "-o", out)
    refused("not JSON", write("empty.json", ""), "-o", out)
    refused("not JSON", folder(), "-o", out)
    refused("not a document of kamino", write("list.json", "[1]"), "-o", out)
    refused("not a document of kamino", write("other.json", "{}"), "-o", out)
    refused("kamino/1", changed(doc, lambda d: d.update(schema="kamino/2")), "-o", out)
    refused("'kamino topo'", changed(doc, lambda d: d.update(command="topo")), "-o", out)
    refused("has no results", changed(doc, lambda d: d.update(results=[])), "-o", out)
    refused("not whole", changed(doc, lambda d: d.pop("host")), "-o", out)
    refused("results[1] is no object", changed(doc, lambda d: d["results"].__setitem__(1, 3)), "-o", out)
    refused("'policy' must be a text", changed(doc, lambda d: d["results"][0].pop("policy")), "-o", out)
    refused("'agents' must be a whole", changed(doc, lambda d: d["results"][1].update(agents="4")), "-o", out)
    refused("'row' must", changed(an_experiment()[1], lambda d: d["results"][0].pop("row")), "-o", out)
    refused("more than", changed(an_experiment()[1], lambda d: d["results"].extend(d["results"][:1] * 20000)), "-o", out)
    assert not os.path.exists(out)
    refused("no document", "-o", out, code=2)
    refused("-o FILE is missing", file, code=2)
    refused("unknown option -x", file, "-x", "-o", out, code=2)
    refused("did you mean --out", file, "--ou", out, code=2)
    refused("at most 64", *[file] * 65, "-o", out, code=2)


def an_older_page_stays_when_the_new_one_cannot_be_written():
    file, _ = a_run()
    os.makedirs(path("folder"), exist_ok=True)
    refused("directory", file, "-o", path("folder"))
    refused("No such file", file, "-o", path("nowhere/page.html"))
    old = write("old.html", "old")
    refused("not JSON", write("bad.json", "nonsense"), "-o", old)
    with open(old, encoding="utf-8") as page:
        assert page.read() == "old"
    report(file, out="old.html")
    assert stat.S_IMODE(os.stat(old).st_mode) == 0o666 & ~umask()
    assert not [name for name in os.listdir(folder()) if name.startswith("old.html.")]


def a_pipe_is_written_to_and_stays():
    file, _ = a_run()
    os.mkfifo(path("pipe"))
    with subprocess.Popen(["cat", path("pipe")], stdout=subprocess.PIPE, text=True) as cat:
        _, err = run("report", file, "-o", path("pipe"))
        if not stat.S_ISFIFO(os.stat(path("pipe")).st_mode):
            cat.kill()
        page = cat.communicate(timeout=60)[0]
    assert stat.S_ISFIFO(os.stat(path("pipe")).st_mode), "the pipe is gone"
    assert page.rstrip().endswith("</html>"), err


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def without_gnuplot_it_names_the_package():
    file, _ = a_run()
    done = subprocess.run([os.path.abspath(KAMINO), "report", file, "-o", path("n.html")], capture_output=True, text=True,
                          env={**os.environ, "PATH": path("nothing")}, check=False)
    assert done.returncode == 2 and "gnuplot-nox" in done.stderr, done


def the_standard_input_is_a_document():
    _, doc = a_run()
    done = subprocess.run([KAMINO, "report", "-", "-o", path("in.html")], input=json.dumps(doc), text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with open(path("in.html"), encoding="utf-8") as page:
        check_page(page.read(), 6)


def chromium(page, *args):
    program = shutil.which("chromium")
    if not program:
        raise Skip("chromium is not installed: the layout was not looked at")
    profile = path("profile")
    try:
        done = subprocess.run([program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                               "--disable-background-networking", "--disable-component-update", "--disable-sync",
                               "--hide-scrollbars", "--user-data-dir=" + profile, *args, "file://" + page],
                              capture_output=True, text=True, timeout=120, check=False)
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


def the_page_fits_a_phone_and_a_desk():
    # A frame as wide as a phone: the window itself cannot be that narrow. What is inside tells its size.
    text, _ = report(a_run()[0], a_sim()[0], an_experiment()[0], a_bench()[0])
    tell = """<script>addEventListener("load", () => parent.postMessage([innerWidth,
        document.documentElement.scrollWidth, document.querySelectorAll("svg").length,
        Math.min(...[...document.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width))], "*"))</script>"""
    write("framed.html", text.replace("</body>", tell + "</body>"))
    for width in (390, 768, 1280):
        write("frame.html", """<title>none</title><iframe src="framed.html" width="%d" height="800"></iframe>
            <script>addEventListener("message", e => document.title = e.data.join(" "))</script>""" % width)
        dom = chromium(path("frame.html"), "--window-size=1400,900", "--virtual-time-budget=20000", "--dump-dom")
        got = re.search(r"<title>([^<]*)</title>", dom).group(1)
        assert got != "none", "the page did not load"
        inner, scroll, svgs, narrowest = (float(word) for word in got.split())
        assert inner == width and svgs >= 30, got
        assert scroll <= inner, "%g wide in a window of %g" % (scroll, inner)
        assert narrowest >= min(300, width - 60), got
    chromium(path("page.html"), "--window-size=1280,2000", "--screenshot=" + path("shot.png"))
    assert os.path.getsize(path("shot.png")) > 20000


tap.main([a_page_of_every_kind_of_document_is_whole_and_has_every_number,
          each_kind_alone_makes_a_page,
          load_over_time_adds_up,
          the_misses_against_the_paper_are_all_there_worst_first,
          several_documents_of_a_kind_stand_side_by_side,
          hostile_strings_are_shown_not_run,
          odd_numbers_do_not_stop_it,
          bad_input_is_refused_with_its_reason,
          an_older_page_stays_when_the_new_one_cannot_be_written,
          a_pipe_is_written_to_and_stays,
          without_gnuplot_it_names_the_package,
          the_standard_input_is_a_document,
          the_page_fits_a_phone_and_a_desk])
