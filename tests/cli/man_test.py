#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The man pages: one a verb, whole, without a warning, their examples as they stand. TAP on stdout."""
import os
import re
import shutil
import subprocess

import tap
from tap import KAMINO, Skip, path, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAN = path("man")


def pages():
    """Name to text, as man(7)."""
    if not os.path.isdir(MAN):
        subprocess.run([os.path.join(ROOT, "scripts", "man.sh"), KAMINO, MAN, "2026-01-02"], check=True)
    texts = {}
    for name in sorted(os.listdir(MAN)):
        with open(os.path.join(MAN, name), encoding="utf-8") as page:
            texts[name[:-2]] = page.read()
    return texts


def verbs():
    return [verb for verb in re.findall(r"^  ([a-z]+) ", run("help")[0], re.M) if verb != "help"]


def plain(text):
    return text.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")


def there_is_a_page_for_each_verb_and_one_for_all():
    assert sorted(pages()) == sorted(["kamino"] + ["kamino-" + verb for verb in verbs()])
    for name, text in pages().items():
        assert text.startswith(".TH %s 1 \"2026-01-02\"" % name.upper().replace("-", "\\-")), text[:80]
        others = re.findall(r"^\.BR (\S+) \(1\)", text, re.M)
        assert sorted(map(plain, others)) == sorted(set(pages()) - {name}), name


def a_page_says_all_that_help_says():
    for verb in verbs():
        words = re.sub(r"\\f[A-Z]", "", plain(pages()["kamino-" + verb])).split()
        for word in run(verb, "--help")[0].split()[1:]:
            assert word in words, "%s: no '%s'" % (verb, word)
    for bench in re.findall(r"^  ([a-z0-9]+) ", run("bench", "--help")[0], re.M):
        assert ".SS kamino bench " + bench in pages()["kamino-bench"]


def readers_of_pages_have_nothing_to_warn_of():
    checkers = [checker for checker in (["mandoc", "-Tlint", "-Wwarning"], ["groff", "-z", "-ww", "-man", "-Tutf8"])
                if shutil.which(checker[0])]
    if not checkers:
        raise Skip("needs mandoc or groff")
    pages()
    for checker in checkers:
        for name in sorted(os.listdir(MAN)):
            done = subprocess.run(checker + [os.path.join(MAN, name)], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr


def examples_do_what_they_say():
    os.makedirs(path("bin"))
    os.makedirs(path("examples"))
    os.symlink(os.path.abspath(KAMINO), path("bin/kamino"))
    env = dict(os.environ, PATH=path("bin") + ":" + os.environ["PATH"], KAMINO_SHM_DIR=path("examples"))
    for verb in sorted(verbs(), key=lambda verb: verb == "report"):  # its example reads the one of sim
        example = plain(re.search(r"^\.SH EXAMPLE\n\.nf\n(.*?)^\.fi", pages()["kamino-" + verb], re.M | re.S).group(1))
        if verb == "report" and not shutil.which("gnuplot"):
            continue
        done = subprocess.run(["sh", "-ec", example], cwd=path("examples"), env=env, capture_output=True, text=True,
                              check=False, timeout=300)
        # There is no run to look at here.
        want = 1 if verb == "top" else 0
        assert done.returncode == want, "%s: exit %d\n%s" % (example, done.returncode, done.stderr)


tap.main([there_is_a_page_for_each_verb_and_one_for_all,
          a_page_says_all_that_help_says,
          readers_of_pages_have_nothing_to_warn_of,
          examples_do_what_they_say])
