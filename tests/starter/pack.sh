#!/bin/sh
# Makes bundles and rows of the issues beside it: sh tests/starter/pack.sh [DIR], else into `packed`.
#
# Rows are the same bytes wherever they are made, and so are the commits in the bundles. A bundle's own bytes depend on
# how this git compresses, so one that holds the right commit already is left alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
out=${1:-$here/packed}
mkdir -p "$out"
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tab=$(printf '\t')

# Text on stdin as the inside of a JSON string.
escaped() {
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$tab/\\\\t/g" | awk '{ printf "%s\\n", $0 }'
}

# Names on stdin, one a line, as a JSON list.
list() {
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' |
        awk 'BEGIN { printf "[" } { printf "%s\"%s\"", between, $0; between = ", " } END { print "]" }'
}

# field <name> <text>: one field of a row. A last end of line is the shell's, not the text's.
field() {
    text=$(printf '%s\n' "$2" | escaped)
    printf '"%s": "%s"' "$1" "${text%\\n}"
}

# file <name> <path>: one field of a row, with all that a file holds.
file() {
    printf '"%s": "%s"' "$1" "$(escaped <"$2")"
}

# Says what is not as it must be in the files of an issue.
validate() {
    for file in issue.md golden.patch test.patch fail_to_pass pass_to_pass base/README.md base/LICENSE; do
        [ -s "$here/$1/$file" ] || die "$1/$file is missing or empty"
        # Rows hold text; what JSON would have to spell out is a mistake here.
        ! tr -d '\t\n' <"$here/$1/$file" | grep -q '[[:cntrl:]]' || die "$1/$file holds control characters"
        [ -z "$(tail -c 1 "$here/$1/$file")" ] || die "$1/$file does not end with its last line"
    done
    for key in title difficulty licence version created test; do
        [ -n "$(header "$1" "$key")" ] || die "$1/issue.md has no $key in its header"
    done
    case "$(header "$1" difficulty)" in easy | medium | hard) ;; *) die "$1: difficulty is easy, medium or hard" ;; esac
    [ "$(header "$1" licence)" = MIT ] && grep -q '^MIT License$' "$here/$1/base/LICENSE" ||
        die "$1: the licence is not MIT"
    grep -q 'Copyright (c) [0-9]* The SynStack authors' "$here/$1/base/LICENSE" ||
        die "$1/base/LICENSE does not say whose it is"
}

# Commits an issue's base to a new repository, always with the same id.
commit() {
    rm -rf "$scratch/base"
    mkdir "$scratch/base"
    cp -R "$here/$1/base/." "$scratch/base"
    cd "$scratch/base"
    git init -q
    git symbolic-ref HEAD refs/heads/main
    git config core.fileMode false
    git config core.autocrlf false
    git add -A
    export GIT_AUTHOR_NAME='The SynStack authors' GIT_AUTHOR_EMAIL=starter@synstack.invalid
    export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL"
    GIT_AUTHOR_DATE=$(header "$1" created)
    GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
    export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
    git commit -q --no-gpg-sign -m "${1##*/} $(header "$1" version)"
    base=$(git rev-parse HEAD)
}

row() {
    printf '{'
    field instance_id "$(instance "$1")"
    printf ', '
    field repo "synstack/${1##*/}"
    printf ', '
    field base_commit "$base"
    printf ', '
    file patch "$here/$1/golden.patch"
    printf ', '
    file test_patch "$here/$1/test.patch"
    printf ', '
    field problem_statement "$(header "$1" title; echo; statement "$1")"
    printf ', "hints_text": "", '
    field created_at "$(header "$1" created)"
    printf ', '
    field version "$(header "$1" version)"
    printf ', '
    field FAIL_TO_PASS "$(list <"$here/$1/fail_to_pass")"
    printf ', '
    field PASS_TO_PASS "$(list <"$here/$1/pass_to_pass")"
    printf ', '
    field language "${1%%/*}"
    printf ', '
    field difficulty "$(header "$1" difficulty)"
    printf ', '
    field license "$(header "$1" licence)"
    printf ', '
    field bundle "$(instance "$1").bundle"
    printf ', '
    field test_command "$(header "$1" test)"
    printf '}\n'
}

: >"$scratch/rows.jsonl"
: >"$scratch/kept"
for issue in $(issues); do
    validate "$issue"
    commit "$issue"
    bundle=$(instance "$issue").bundle
    if [ "$(git bundle list-heads "$out/$bundle" 2>/dev/null)" != "$base refs/heads/main" ]; then
        git -c pack.threads=1 bundle create -q "$out/$bundle" refs/heads/main
    fi
    row "$issue" >>"$scratch/rows.jsonl"
    echo "$bundle" >>"$scratch/kept"
done
cp "$scratch/rows.jsonl" "$out/rows.jsonl"
for bundle in "$out"/*.bundle; do
    grep -qxF "${bundle##*/}" "$scratch/kept" || rm "$bundle"
done
