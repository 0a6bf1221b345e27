#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lint-text.sh - what can be seen in the text: licence lines, white space, banned
# calls, implicit memory orders, struct typedefs, and a kernel-doc comment at each
# function that a header of a layer offers (x_internal.h offers nothing).
#
# Usage: scripts/lint-text.sh [file...]   default: every source, script and build file

set -u
cd "$(dirname "$0")/.." || exit 2

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046
	set -- Makefile .clang-format .editorconfig $(find lib ring numa alloc cache core place \
		sim tools perf tests include scripts .ci Documentation \
		\( -name '*.[ch]' -o -name '*.inc' -o -name '*.sh' -o -name '*.py' \
		-o -name '*.yml' -o -name '*.mk' -o -name '*.md' -o -name '*.awk' \) \
		2>/dev/null | LC_ALL=C sort)
fi

exec perl -CSD - "$@" <<'PERL'
use strict;
use warnings;

my %banned = (
	(map { $_ => "has no bound; use snprintf() or memcpy()" }
		qw(strcpy strcat stpcpy sprintf vsprintf gets)),
	strncpy => "may leave no NUL; use snprintf() or memcpy()",
	(map { $_ => "has no bound; use an array of a stated size or malloc()" }
		qw(alloca strdupa __builtin_alloca)),
	(map { $_ => "keeps a hidden state; use the _r variant" }
		qw(strtok asctime ctime gmtime localtime strerror_l)),
	(map { $_ => "sees no error; use strtoull() and check it" } qw(atoi atol atoll atof)),
	(map { $_ => "is not repeatable; use lib/rand.h" } qw(rand srand random srandom drand48)),
	(map { $_ => "is a race; use mkstemp()" } qw(tmpnam tempnam mktemp)),
	(map { $_ => "names no order; use the _explicit one" }
		qw(atomic_load atomic_store atomic_exchange atomic_fetch_add atomic_fetch_sub
		   atomic_fetch_or atomic_fetch_and atomic_fetch_xor atomic_flag_test_and_set
		   atomic_flag_clear atomic_compare_exchange_strong atomic_compare_exchange_weak)),
	(map { $_ => "is the old form; use <stdatomic.h>" }
		qw(__sync_synchronize __sync_fetch_and_add __sync_bool_compare_and_swap
		   __sync_val_compare_and_swap)),
);
my $banned_re = join '|', sort keys %banned;
my $layer_re = qr{^(?:lib|ring|numa|alloc|cache|core|place|sim|include)/};
my $bad = 0;

sub complain
{
	my ($file, $line, $what) = @_;

	print "$file:$line: $what\n";
	$bad = 1;
}

# The text with comments, strings and characters blanked, lines kept.
sub code_of
{
	my ($text) = @_;

	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')}
		  {my $s = $1; $s =~ s/[^\n]/ /g; $s}gse;
	return $text;
}

sub check_space
{
	my ($file, $text) = @_;
	my $line = 0;

	for (split /\n/, $text, -1) {
		$line++;
		complain($file, $line, "white space at the end of the line") if /[ \t\r]$/;
		complain($file, $line, "a space before a tab") if / \t/ && $file =~ /\.[ch]$/;
	}
	complain($file, $line, "no newline at the end of the file") if $text !~ /\n\z/;
	complain($file, $line - 1, "an empty line at the end of the file") if $text =~ /\n\n\z/;
}

sub check_code
{
	my ($file, $code) = @_;
	my $line = 0;

	for (split /\n/, $code, -1) {
		$line++;
		complain($file, $line, "$1() $banned{$1}") if /(?<![\w.>])($banned_re)\s*\(/;
		complain($file, $line, "no typedef for a struct") if /^\s*typedef\s+(?:struct|union)\b/;
		complain($file, $line, "a fence goes through km_smp_mb() in lib/atomic.h")
			if /\batomic_thread_fence\s*\(/ && $file ne "lib/atomic.h";
	}
}

# Each function that a layer's header offers follows a kernel-doc comment that names it.
sub check_docs
{
	my ($file, $text) = @_;
	my ($doc, $last) = ("", "");

	# Comments and directives are one token, so is the head of anything else up to ; or {.
	while ($text =~ m{\G\s*(?:(/\*.*?\*/)|(\#(?:[^\n\\]|\\.)*)|;|([^\s;\#/][^;\{]*)([;\{]))}gcs) {
		my ($comment, $head, $end) = ($1, $3, $4);
		my $line = 1;

		if (defined $comment) {
			$doc = $comment;
			next;
		}
		next if !defined $head;
		skip_body(\$text) if $end eq "{";
		$last = $doc;
		$doc = "";
		next if $end eq "{" || $head !~ /\b(km_\w+)\s*\(/;
		my $name = $1;
		next if $head =~ /^(?:static|typedef|extern)\b/;
		next if $last =~ m{^/\*\*} && $last =~ /\b\Q$name\E\(\)/;
		$line += (substr($text, 0, pos($text)) =~ tr/\n//) - ($head =~ tr/\n//);
		complain($file, $line, "$name() has no kernel-doc comment");
	}
}

# Behind the brace that closes what is open.
sub skip_body
{
	my ($text) = @_;
	my $depth = 1;

	while ($depth > 0 && $$text =~ m{\G(?:/\*.*?\*/|(\{)|(\})|[^\{\}/]+|/)}gcs) {
		$depth++ if defined $1;
		$depth-- if defined $2;
	}
}

for my $file (@ARGV) {
	my ($fh, $text);

	if (!open($fh, "<", $file)) {
		complain($file, 0, "cannot be read");
		next;
	}
	$text = do { local $/; <$fh> } // "";
	close $fh;
	check_space($file, $text);
	next if $file =~ /\.md$/;
	complain($file, 1, "no SPDX-License-Identifier in the first three lines")
		if (join "\n", (split /\n/, $text)[0 .. 2]) !~ /SPDX-License-Identifier: \S/;
	next if $file !~ /\.(?:[ch]|inc)$/;
	check_code($file, code_of($text));
	check_docs($file, $text)
		if $file =~ /\.h$/ && $file !~ /_internal\.h$/ && $file =~ $layer_re;
}
exit $bad;
PERL
