#!/bin/sh
# Makes a copy of a text in capitals:
#
#   holdfast put texts '{"path":"in/ada.txt"}'
#   holdfast consume texts --dir loud --then count -- ./shout.sh {in} {out}
set -eu
in=$1 out=$2

if [ ! -s "$in" ]; then
	echo "there is nothing in it" >&2
	exit 65 # failed for good: no further attempt will help
fi
echo "::progress 0 begun"
tr '[:lower:]' '[:upper:]' <"$in" >"$out" # nobody sees $out before exit code 0
