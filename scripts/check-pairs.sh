#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-pairs.sh - both ends of every memory order name each other.
#
# In each layer: a comment "X_R1 pairs with X_A1 in f()" is answered by
# "X_A1 pairs with X_R1" in f(), a label in KM_ORDER(), km_smp_mb() or
# KM_IS_BROKEN() has such a comment in the same function and stands once in
# its file, R releases, A acquires, F fences, and no access outside lib/atomic.h has
# an order stronger than relaxed without a label.
#
# Prints "file:line: reason" and exits 1 when there is something to say.
# Usage: check-pairs.sh [folder with the layers]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1
failed=0

for layer in lib ring numa alloc cache core place sim tools; do
	[ -d "$layer" ] || continue
	files=$(find "$layer" -name '*.[ch]' ! -path lib/atomic.h | sort)
	[ -n "$files" ] || continue
	# shellcheck disable=SC2086 # names of ours have no blanks
	awk '
	function problem(where, what) {
		print where ": " what
		bad = 1
	}
	function clean(word) {
		gsub(/[^A-Za-z0-9_]/, "", word)
		return word
	}
	function is_label(word) {
		return word ~ /^[A-Z][A-Z0-9_]*_[RAFG][0-9]+$/
	}
	function role(label) {
		sub(/.*_/, "", label)
		return substr(label, 1, 1)
	}
	# "X pairs with Y and Z in f()", "X pairs with every f()"
	function take_pair(text, at, n, w, i, first, y) {
		n = split(text, w, " ")
		first = pair_nr
		for (i = 4; i <= n; i++) {
			y = clean(w[i])
			if (y == "every" && i < n) {
				y = clean(w[++i])
			} else if (!is_label(y)) {
				break
			}
			pair_x[++pair_nr] = clean(w[1])
			pair_y[pair_nr] = y
			pair_at[pair_nr] = at
			pair_fn[pair_nr] = fn
			pair_in[pair_nr] = ""
			if (w[i + 1] != "and" && w[i] !~ /,$/)
				break
			if (w[i + 1] == "and")
				i++
		}
		if (pair_nr == first)
			problem(at, clean(w[1]) " pairs with what? \"" w[4] "\" is no label")
		if (w[i + 1] == "in" && w[i + 2] ~ /\(\)/)
			for (y = first + 1; y <= pair_nr; y++)
				pair_in[y] = clean(substr(w[i + 2], 1, index(w[i + 2], "(") - 1))
	}
	function end_comment(rest) {
		gsub(/[ \t]+/, " ", comment)
		rest = comment
		if (match(rest, /[Pp]airs with [A-Z][A-Z0-9_]*_G[0-9]+/))
			answers_g[clean(substr(rest, RSTART + 11, RLENGTH - 11))] = 1
		while (match(rest, /[A-Z][A-Z0-9_]*_[RAFG][0-9]+ pairs with /)) {
			rest = substr(rest, RSTART)
			take_pair(rest, comment_at)
			rest = substr(rest, RLENGTH)
		}
		comment = ""
	}
	function take_code(line, at, what, label, order) {
		if (line ~ /memory_order_(acquire|release|acq_rel|seq_cst|consume)/)
			problem(at, "an order stronger than relaxed without a label: KM_ORDER(LABEL, order)")
		while (match(line, /(KM_ORDER|km_smp_mb|KM_IS_BROKEN)\([A-Z][A-Z0-9_]*/)) {
			what = substr(line, RSTART, RLENGTH)
			line = substr(line, RSTART + RLENGTH)
			label = what
			sub(/.*\(/, "", label)
			if (!is_label(label)) {
				problem(at, label " is no label: NAME_R1, NAME_A1, NAME_F1 or NAME_G1")
				continue
			}
			use_nr++
			use[use_nr] = label
			use_at[use_nr] = at
			use_fn[use_nr] = fn
			if ((FILENAME, label) in seen)
				problem(at, label " stands twice in this file, first at " seen[FILENAME, label])
			seen[FILENAME, label] = at
			used[label] = 1
			order = ""
			if (what ~ /^KM_ORDER/ && match(line, /^, *[a-z_]+/)) {
				order = substr(line, RSTART, RLENGTH)
				sub(/, */, "", order)
			}
			if ((role(label) == "R" && order !~ /^(release|acq_rel|)$/) ||
			    (role(label) == "A" && order !~ /^(acquire|acq_rel|)$/) ||
			    (role(label) == "F" && order !~ /^(seq_cst|)$/))
				problem(at, label " is used as " order)
		}
	}
	FNR == 1 {
		fn = ""
		in_comment = 0
		comment = ""
	}
	{
		line = $0
		code = ""
		while (line != "") {
			if (in_comment) {
				stop = index(line, "*/")
				text = stop ? substr(line, 1, stop - 1) : line
				sub(/^[ \t]*\* ?/, "", text)
				comment = comment " " text
				line = stop ? substr(line, stop + 2) : ""
				if (stop) {
					in_comment = 0
					end_comment()
				}
			} else {
				start = index(line, "/*")
				code = code (start ? substr(line, 1, start - 1) : line)
				line = start ? substr(line, start + 2) : ""
				if (start) {
					in_comment = 1
					comment_at = FILENAME ":" FNR
				}
			}
		}
		if (code ~ /^[A-Za-z_].*[A-Za-z0-9_]\(/ && code !~ /;[ \t]*$/) {
			fn = code
			sub(/\(.*/, "", fn)
			sub(/.*[^A-Za-z0-9_]/, "", fn)
			defined[fn] = 1
		} else if (code ~ /^#[ \t]*define[ \t]+[A-Za-z_0-9]+\(/) {
			fn = code
			sub(/^#[ \t]*define[ \t]+/, "", fn)
			sub(/\(.*/, "", fn)
			defined[fn] = 1
		}
		take_code(code, FILENAME ":" FNR)
	}
	END {
		for (i = 1; i <= pair_nr; i++) {
			x = pair_x[i]
			y = pair_y[i]
			documented[x, pair_fn[i]] = 1
			if (!(x in used))
				problem(pair_at[i], x " is in no access of this layer")
			if (!is_label(y)) {
				if (!(y in defined))
					problem(pair_at[i], "there is no " y "() in this layer")
				if (!(x in answers_g))
					problem(pair_at[i], y "() does not answer that it pairs with " x)
				continue
			}
			if (index("RA AR FF", role(x) role(y)) == 0)
				problem(pair_at[i], x " cannot pair with " y ": R with A, F with F")
			answer = 0
			for (j = 1; j <= pair_nr; j++)
				if (pair_x[j] == y && pair_y[j] == x) {
					answer = j
					if (pair_in[i] == "" || pair_fn[j] == pair_in[i])
						break
				}
			if (!answer)
				problem(pair_at[i], x " pairs with " y ", which does not answer")
			else if (pair_in[i] != "" && pair_fn[answer] != pair_in[i])
				problem(pair_at[i], y " is in " pair_fn[answer] "(), not in " pair_in[i] "()")
		}
		for (i = 1; i <= use_nr; i++)
			if (role(use[i]) != "G" && !((use[i], use_fn[i]) in documented))
				problem(use_at[i], use[i] " has no comment \"" use[i] " pairs with ...\" in " use_fn[i] "()")
			else if (role(use[i]) == "G") {
				found = 0
				for (j = 1; j <= pair_nr; j++)
					found += pair_x[j] == use[i]
				if (!found)
					problem(use_at[i], use[i] " has no comment \"" use[i] " pairs with ...\"")
			}
		exit bad
	}' $files || failed=1
done
exit $failed
