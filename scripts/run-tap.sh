#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs one test for prove. cmocka 1.1.5 says "not ok N # SKIP" of a skipped test, which TAP takes for a failure.
case $1 in
*.py | *.sh) exec "$1" ;;
esac
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
"$1" >"$out"
status=$?
sed 's/^not ok \([0-9]* #* *SKIP\)/ok \1/' "$out"
exit $status
