#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""flame.py - draws folded stacks (perf/fold.py) as one HTML page that needs nothing else.

	perf/flame.py --title "bench dispatch" --out flame.html out.folded
	perf/flame.py --base a1.folded --base a2.folded --out diff.html b1.folded b2.folded

The page has a box for each place in the tree of stacks, as wide as its share of the samples,
callers below; a click zooms, a text field finds, a tooltip tells. It prints as it stands. With
--base it shows two profiles in one: both are taken as shares of their own samples, a box is as
wide as the mean of the two, red has grown and blue has shrunk. Functions that moved most are
then also printed as a table, each with the least and most of its files, so that one sees
whether the rounds of the two sides are apart. Clones that gcc makes of a function (.part.0,
.isra.0, ..) and its inlined copies are the function there, as two builds differ in them.
"""
import argparse
import html
import math
import re
import sys
import zlib

ROW_PX = 18
LEAST = 0.0005  # narrower boxes are less than a pixel, and their towers hide the rest
BOXES_MAX = 20000  # what a browser moves without lag
TOP_NR = 25
ROUNDS_LEAST = 3  # fewer files a side are always apart, or may as well be
NEAR = 1e-9
HUES = (12, 22, 30, 38, 46, 54)


def fail(text):
    print("flame: " + text, file=sys.stderr)
    sys.exit(2)


class Node:
    """A place in the tree: share of the base's samples and of the new ones (of 1)."""

    __slots__ = ("name", "sums", "selves", "children")

    def __init__(self, name):
        self.name = name
        self.sums = [0.0, 0.0]
        self.selves = [0.0, 0.0]
        self.children = {}

    def width(self):
        return (self.sums[0] + self.sums[1]) / 2


def read_folded(path, join_clones):
    """{stack: count} of one file."""
    counts = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for nr, line in enumerate(lines, 1):
                stack, _, count = line.strip().rpartition(" ")
                if not stack and not count:
                    continue
                if not stack or not re.fullmatch(r"[0-9]{1,18}", count):
                    fail("%s:%d: not 'frame;frame;.. count'" % (path, nr))
                if join_clones:
                    stack = re.sub(r"(\.(part|isra|constprop|cold)(\.\d+)?)*(_\[i\])?(?=;|_\[k\]|$)", "", stack)
                counts[stack] = counts.get(stack, 0) + int(count)
    except OSError as err:
        fail("%s: %s" % (path, err.strerror))
    if not sum(counts.values()):
        fail("%s: no samples" % path)
    return counts


def shares_of(files):
    """{stack: share of all samples of these files}, and how many samples there are."""
    total = sum(sum(counts.values()) for counts in files)
    shares = {}
    for counts in files:
        for stack, count in counts.items():
            shares[stack] = shares.get(stack, 0) + count / total
    return shares, total


def tree_of(base, new):
    root = Node("all")
    for side, shares in enumerate((base, new)):
        for stack, share in shares.items():
            node = root
            node.sums[side] += share
            for name in stack.split(";"):
                child = node.children.get(name)
                if child is None:
                    child = node.children[name] = Node(name)
                node = child
                node.sums[side] += share
            node.selves[side] += share
    return root


def boxes_of(root):
    """(node, left, depth), callers before what they call, siblings by name."""
    todo = [(root, 0.0, 0)]
    while todo:
        node, left, depth = todo.pop()
        yield node, left, depth
        below = []
        for name in sorted(node.children):
            below.append((node.children[name], left, depth + 1))
            left += node.children[name].width()
        todo.extend(reversed(below))


def functions_of(shares):
    """{function: [share of samples in itself, share with it anywhere on the stack]}."""
    functions = {}
    for stack, share in shares.items():
        names = stack.split(";")
        functions.setdefault(names[-1], [0.0, 0.0])[0] += share
        for name in set(names[1:]):  # [0] is the thread
            functions.setdefault(name, [0.0, 0.0])[1] += share
    return functions


def percent(share):
    return "%.2f %%" % (100 * share)


def plain(name):
    """Without the mark of fold.py, and what the mark says."""
    if name.endswith("_[k]"):
        return name[:-4], " (kernel)"
    if name.endswith("_[i]"):
        return name[:-4], " (inlined)"
    return name, ""


# ---- the page -----------------------------------------------------------------------

STYLE = """
body { font: 13px/1.4 sans-serif; margin: 12px; color: #222; background: #fff; }
h1 { font-size: 17px; margin: 0; }
p { margin: 2px 0 8px; white-space: pre-line; }
#bar { position: sticky; top: 0; background: #fff; padding: 4px 0; z-index: 1; }
#tell { display: inline-block; min-height: 1.4em; margin-left: 1em; }
#g { position: relative; overflow: hidden; border-bottom: 1px solid #888; }
#g div { position: absolute; height: 17px; font: 11px/17px sans-serif; overflow: hidden; white-space: nowrap;
 box-sizing: border-box; border-right: 1px solid #fff; text-indent: 3px; cursor: pointer;
 bottom: calc(var(--d) * 18px); -webkit-print-color-adjust: exact; print-color-adjust: exact; }
#g.down div { bottom: auto; top: calc(var(--d) * 18px); }
#g div:hover { outline: 1px solid #000; }
#g .k { background: #b9c7dd; } #g .u { background: #ccc; } #g .r { background: #ddd; }
#g .i { font-style: italic; }
#g div.m { background: #c8f !important; } #g div.p { opacity: .5; } #g div.h { display: none; }
table { border-collapse: collapse; margin-top: 12px; font-size: 12px; }
td, th { padding: 1px 10px; text-align: right; } td:first-child, th:first-child { text-align: left; }
th { border-bottom: 1px solid #888; }
@media print { #bar { display: none; } body { margin: 0; } #g div { border-right-width: .5px; } }
@page { size: landscape; margin: 10mm; }
"""

SCRIPT = """
'use strict';
const graph = document.getElementById('g'), boxes = Array.from(graph.children);
const tell = document.getElementById('tell'), find = document.getElementById('find');
const at = boxes.map(b => [parseFloat(b.style.left), parseFloat(b.style.width),
	+b.style.getPropertyValue('--d')]);
const near = 1e-4; // what rounding in the page may add up to
function zoom(n) {
	const [left, width, depth] = at[n];
	boxes.forEach((b, i) => {
		const [x, w, d] = at[i];
		const below = d < depth && x <= left + near && x + w >= left + width - near;
		const inside = d >= depth && x >= left - near && x + w <= left + width + near;
		b.classList.toggle('h', !below && !inside);
		b.classList.toggle('p', below);
		if (below) { b.style.left = '0%'; b.style.width = '100%'; }
		if (inside) {
			b.style.left = (x - left) * 100 / width + '%';
			b.style.width = w * 100 / width + '%';
		}
	});
}
function matcher(text) {
	try { return new RegExp(text, 'i'); }
	catch (e) { return { test: s => s.includes(text) }; }
}
function search() {
	const text = find.value, what = matcher(text);
	let sum = 0, end = -1;
	boxes.forEach((b, i) => {
		const hit = text !== '' && i > 0 && what.test(b.textContent);
		b.classList.toggle('m', hit);
		if (hit && at[i][0] >= end - near) { // not within one that is counted
			sum += at[i][1];
			end = at[i][0] + at[i][1];
		}
	});
	tell.textContent = text === '' ? '' : sum.toFixed(2) + ' % is in or below "' + text + '"';
}
graph.addEventListener('click', e => { const n = boxes.indexOf(e.target); if (n >= 0) zoom(n); });
graph.addEventListener('mouseover', e => { if (e.target.title) tell.textContent = e.target.title; });
find.addEventListener('input', search);
document.getElementById('all').addEventListener('click', () => zoom(0));
document.getElementById('turn').addEventListener('click', () => graph.classList.toggle('down'));
document.addEventListener('keydown', e => { if (e.key === 'Escape') { find.value = ''; search(); zoom(0); } });
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%(title)s</title>
<style>%(style)s</style></head><body>
<h1>%(title)s</h1><p>%(note)s</p>
<div id="bar"><input id="find" type="search" placeholder="find (regular expression)" size="30">
<button id="all">all</button> <button id="turn">upside down</button> <span id="tell"></span></div>
<div id="g" style="height:%(height)dpx">
%(boxes)s</div>
%(table)s
<script>%(script)s</script></body></html>
"""


def look_of(node, depth, most):
    """Class and colour; @most: the largest change of the picture, None = one profile alone."""
    name = node.name
    kind = "i" if name.endswith("_[i]") else ""
    if depth == 0:
        return "r", ""
    if most is not None:
        change = node.sums[1] - node.sums[0]
        light = 94 - 44 * math.sqrt(abs(change) / most) if most else 94
        return kind, "hsl(%d 85%% %.0f%%)" % (0 if change > 0 else 220, light)
    if name.endswith("_[k]"):
        return "k", ""
    if name.startswith("["):
        return "u", ""
    key = zlib.crc32(name.encode())
    return kind, "hsl(%d 90%% %d%%)" % (HUES[key % len(HUES)], 66 + key // 7 % 3 * 5)


def tip_of(node, totals):
    name, mark = plain(node.name)
    if totals[0] is None:
        return "%s%s: %d samples, %s; itself %s" % (
            name, mark, round(node.sums[1] * totals[1]), percent(node.sums[1]), percent(node.selves[1]))
    return "%s%s: %s, was %s (%+.2f points); itself %s, was %s" % (
        name, mark, percent(node.sums[1]), percent(node.sums[0]), 100 * (node.sums[1] - node.sums[0]),
        percent(node.selves[1]), percent(node.selves[0]))


def draw_boxes(root, totals):
    """The boxes, their depth, and a word about those that are too narrow to be there."""
    boxes = list(boxes_of(root))
    least = LEAST
    if len(boxes) > BOXES_MAX:
        least = max(least, sorted((node.width() for node, _, _ in boxes), reverse=True)[BOXES_MAX])
    most = None
    if totals[0] is not None:
        most = max(abs(node.sums[1] - node.sums[0]) for node, _, depth in boxes if depth)
    lines, deepest, left_out = [], 0, 0
    for node, left, depth in boxes:
        if node.width() < least:
            left_out += 1
            continue
        kind, colour = look_of(node, depth, most)
        deepest = max(deepest, depth)
        lines.append('<div%s style="left:%.5f%%;width:%.5f%%;--d:%d%s" title="%s">%s</div>\n' % (
            ' class="%s"' % kind if kind else "", 100 * left, 100 * node.width(), depth,
            ";background:" + colour if colour else "",
            html.escape(tip_of(node, totals)), html.escape(plain(node.name)[0])))
    word = "\n%d boxes narrower than %s are not drawn" % (left_out, percent(least)) if left_out else ""
    return "".join(lines), deepest, word


def table_html(head, rows):
    def line(tag, cells):
        return "<tr>%s</tr>\n" % "".join("<%s>%s</%s>" % (tag, html.escape(cell), tag) for cell in cells)
    return "<table>\n%s%s</table>" % (line("th", head), "".join(line("td", row) for row in rows))


def page(root, totals, title, note, table):
    boxes, deepest, word = draw_boxes(root, totals)
    return PAGE % {"title": html.escape(title), "note": html.escape(note + word), "style": STYLE, "script": SCRIPT,
                   "height": (deepest + 1) * ROW_PX, "boxes": boxes, "table": table_html(*table)}


# ---- what it says in words ----------------------------------------------------------

def name_cell(name):
    return "".join(plain(name))


def table_of_one(shares, total):
    functions = functions_of(shares)
    top = sorted(functions, key=lambda name: (-functions[name][0], name))[:TOP_NR]
    return (("function", "itself", "with callees", "samples"),
            [(name_cell(name), percent(functions[name][0]), percent(functions[name][1]),
              str(round(functions[name][0] * total))) for name in top])


def span(values):
    return "%.2f .. %.2f" % (100 * min(values), 100 * max(values))


def movers_of(base_files, new_files):
    """Functions whose own share moved most; "apart" when no file of one side reaches the other's.

    Of three files a side that happens by chance to one function in ten that did not move, of five
    to one in 126.
    """
    sides = [shares_of(files)[0] for files in (base_files, new_files)]
    base, new = (functions_of(shares) for shares in sides)
    none = (0.0, 0.0)

    def moved(name):
        return new.get(name, none)[0] - base.get(name, none)[0]

    rounds = [[functions_of(shares_of([counts])[0]) for counts in files] for files in (base_files, new_files)]
    rows = []
    names = [name for name in set(base) | set(new) if base.get(name, none)[0] + new.get(name, none)[0] > 0]
    for name in sorted(names, key=lambda name: (-abs(moved(name)), name))[:TOP_NR]:
        was, now = ([functions.get(name, none)[0] for functions in side] for side in rounds)
        apart = max(was) + NEAR < min(now) or max(now) + NEAR < min(was)
        verdict = ("yes" if apart else "no") if min(len(was), len(now)) >= ROUNDS_LEAST else "-"
        rows.append((name_cell(name), percent(base.get(name, none)[0]), percent(new.get(name, none)[0]),
                     "%+.2f" % (round(100 * moved(name), 2) + 0.0), span(was), span(now), verdict))
    return ("function itself", "base", "new", "points", "base, each", "new, each", "apart"), rows


def print_table(head, rows):
    widths = [min(44, max(len(row[i]) for row in [head] + rows)) for i in range(len(head))]
    for row in [head] + rows:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description="draws folded stacks as one HTML page", allow_abbrev=False)
    parser.add_argument("folded", nargs="+")
    parser.add_argument("--base", action="append", metavar="FOLDED", help="what to compare with; may be repeated")
    parser.add_argument("--title", default="flame graph")
    parser.add_argument("--note", default="")
    parser.add_argument("--out", required=True, metavar="FILE", help="the page")
    args = parser.parse_args()
    new_files = [read_folded(path, args.base) for path in args.folded]
    movers = None
    new, new_total = shares_of(new_files)
    if args.base:
        base_files = [read_folded(path, True) for path in args.base]
        base, base_total = shares_of(base_files)
        movers = movers_of(base_files, new_files)
        note = "%s\nbase %d samples in %d files, new %d in %d; red has grown, blue has shrunk" % (
            args.note, base_total, len(base_files), new_total, len(new_files))
        text = page(tree_of(base, new), (base_total, new_total), args.title, note.strip(), movers)
    else:
        note = "%s\n%d samples" % (args.note, new_total)
        text = page(tree_of(new, new), (None, new_total), args.title, note.strip(), table_of_one(new, new_total))
    try:
        with open(args.out, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as err:
        fail("%s: %s" % (args.out, err.strerror))
    if movers:
        print_table(*movers)


if __name__ == "__main__":
    main()
