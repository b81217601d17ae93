#!/bin/sh
# Proves each issue of the starter pack: sh tests/starter/check.sh [--lists] [LANGUAGE | LANGUAGE/NAME …]
#
# For each one, the code comes out of its bundle and its own test command runs four times:
#   as it is            every test passes
#   sealed tests added  those of fail_to_pass fail, those of pass_to_pass pass, and there are no others
#   golden patch too    all of them pass
#   golden patch alone  the tests that were there pass
# What counts is what the runner says of each test by its name, and that its exit agrees; a test that was not built did
# not fail. Languages whose tools are missing are skipped, and said to be. With --lists, both lists are written from
# what the second run said, to be read before they are committed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

write=false
if [ "${1:-}" = --lists ]; then
    write=true
    shift
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# at_least <version> <wanted>: compares major and minor numbers. No version is none.
at_least() {
    printf '%s\n' "$1" "$2" | awk -F . '{ major[NR] = $1 + 0; minor[NR] = $2 + 0 }
        END { exit !(major[1] > major[2] || major[1] == major[2] && minor[1] >= minor[2]) }'
}

# What keeps a language from being checked here. Empty where nothing does.
lacks() {
    case "$1" in
    rust)
        version=$(cargo --version 2>/dev/null | awk '{ print $2 }')
        at_least "$version" 1.73 || echo 'needs cargo 1.73'
        ;;
    go)
        version=$(GOTOOLCHAIN=local go version 2>/dev/null | awk '{ print substr($3, 3) }')
        at_least "$version" 1.21 || echo 'needs go 1.21'
        ;;
    python)
        version=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null) || version=0
        at_least "$version" 3.8 || echo 'needs python 3.8'
        ;;
    typescript)
        version=$(node --version 2>/dev/null | tr -d v)
        at_least "$version" 22.6 && return
        at_least "$version" 20.0 && { command -v esbuild || command -v tsc; } >/dev/null 2>&1 && return
        echo 'needs node 22.6, or node 20 with esbuild or tsc'
        ;;
    *) echo 'has no runner in check.sh' ;;
    esac
}

# tested <issue> <results>: runs the tests in the work tree, and notes PASS or FAIL of each by its name. Its status is
# the command's.
tested() {
    command=$(header "$1" test)
    if [ "${1%%/*}" = typescript ] && ! at_least "$(node --version | tr -d v)" 22.6; then
        # The same tests in plain JavaScript, for a node that cannot leave out types by itself.
        if command -v esbuild >/dev/null 2>&1; then
            command='esbuild test/*.test.ts --bundle --platform=node --format=esm --log-level=error --outdir="$BUILT" \
                --out-extension:.js=.mjs && node --test --test-reporter=tap "$BUILT"/*.mjs'
        else
            command='tsc --noCheck --module nodenext --target es2022 --rewriteRelativeImportExtensions \
                --outDir "$BUILT" src/*.ts test/*.ts && cp package.json "$BUILT" &&
                node --test --test-reporter=tap "$BUILT"/test/*.test.js'
        fi
    fi
    rm -rf "$work.built"
    status=0
    (
        cd "$work"
        export BUILT="$work.built" CARGO_TARGET_DIR="$work.built.cargo" CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never
        export CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
        export GOPROXY=off GOTOOLCHAIN=local GOWORK=off GOFLAGS= PYTHONDONTWRITEBYTECODE=1 NODE_NO_WARNINGS=1
        unset RUSTFLAGS CARGO_BUILD_TARGET RUST_TEST_THREADS NODE_OPTIONS NODE_TEST_CONTEXT PYTHONPATH
        exec timeout 300 sh -c "$command"
    ) >"$work.log" 2>&1 </dev/null || status=$?
    named "${1%%/*}" <"$work.log" | sort -u >"$2"
    return "$status"
}

# What a runner says of each test, as `PASS name` or `FAIL name`.
named() {
    case "$1" in
    rust) sed -n -e 's/^test \(.*\) \.\.\. ok$/PASS \1/p' -e 's/^test \(.*\) \.\.\. FAILED$/FAIL \1/p' ;;
    # A test with others inside is one test.
    go) sed -n 's/^--- \([PF][A-Z]*\): \([^ ]*\) (.*s)$/\1 \2/p' ;;
    typescript) sed -n -e 's/^ok [0-9]* - /PASS /p' -e 's/^not ok [0-9]* - /FAIL /p' ;;
    # Before Python 3.11 what is in brackets is the class alone. Where a part of a test failed, the test's own line may
    # say nothing.
    python)
        sed -n -E -e 's/^(.* )?(test[A-Za-z0-9_]*) \(([A-Za-z0-9_.]+)\) \.\.\. ok$/PASS \3 \2/p' \
            -e 's/^(FAIL|ERROR): (test[A-Za-z0-9_]*) \(([A-Za-z0-9_.]+)\).*$/FAIL \3 \2/p' |
            awk '{ at = length($2) - length($3); print $1, (at > 0 && substr($2, at) == "." $3 ? $2 : $2 "." $3) }'
        ;;
    esac
}

# fault <what …>: notes what is wrong with the issue at hand.
fault() {
    printf '      %s\n' "$*" >>"$work.faults"
}

# Adds the end of what the last run printed.
shown() {
    tail -n 15 "$work.log" | sed 's/^/      | /' >>"$work.faults"
}

# compared <when> <expected> <results>: names each test of which something else was expected.
compared() {
    comm -23 "$2" "$3" | sed "s/^/$1: missing: /" >>"$work.differences"
    comm -13 "$2" "$3" | sed "s/^/$1: instead: /" >>"$work.differences"
    if [ -s "$work.differences" ]; then
        sed 's/^/      /' "$work.differences" >>"$work.faults"
        shown
    fi
    rm -f "$work.differences"
}

# Writes what is wrong with an issue to $work.faults.
prove() {
    name=$(instance "$1")
    bundle=$here/packed/$name.bundle
    commit=$(sed -n 's/^{"instance_id": "'"$name"'",.*"base_commit": "\([0-9a-f]*\)".*/\1/p' "$here/packed/rows.jsonl")
    if [ -z "$commit" ] || [ "$(git bundle list-heads "$bundle" 2>&1)" != "$commit refs/heads/main" ]; then
        fault "packed: bundle and row are not of one commit; next: sh tests/starter/pack.sh"
        return
    fi
    git clone -q -c core.autocrlf=false -b main "$bundle" "$work"
    # Nothing but the base may be found in what solvers get.
    git -C "$work" rev-list --objects HEAD | cut -d ' ' -f 1 | sort >"$work.reached"
    git -C "$work" cat-file --batch-all-objects --batch-check='%(objectname)' | sort >"$work.held"
    cmp -s "$work.reached" "$work.held" || fault 'packed: the bundle holds objects that its commit does not reach'
    for patch in golden test; do
        git -C "$work" apply --check "$here/$1/$patch.patch" 2>"$work.log" || fault "$patch.patch: $(cat "$work.log")"
    done
    # Sealed tests come as new files: a solver who changed what was there is not in their way.
    git -C "$work" apply --summary "$here/$1/test.patch" | grep -c '^ create mode' >"$work.log" || :
    [ "$(cat "$work.log")" = "$(git -C "$work" apply --numstat "$here/$1/test.patch" | grep -c .)" ] ||
        fault 'test.patch: changes files that are there; sealed tests are files of their own'
    [ ! -s "$work.faults" ] || return 0

    tested "$1" "$work.base" || fault 'as it is: the tests fail'
    if [ ! -s "$work.base" ]; then
        fault 'as it is: no test ran'
        shown
        return
    fi

    git -C "$work" apply "$here/$1/test.patch"
    if tested "$1" "$work.sealed"; then
        fault 'sealed tests added: nothing fails'
    fi
    if $write; then
        sed -n 's/^FAIL //p' "$work.sealed" >"$here/$1/fail_to_pass"
        sed -n 's/^PASS //p' "$work.sealed" >"$here/$1/pass_to_pass"
    fi
    {
        sed 's/^/FAIL /' "$here/$1/fail_to_pass"
        sed 's/^/PASS /' "$here/$1/pass_to_pass"
    } | sort >"$work.expected"
    compared 'sealed tests added' "$work.expected" "$work.sealed"
    comm -23 "$work.base" "$work.expected" >"$work.log"
    [ ! -s "$work.log" ] || fault "as it is: not in pass_to_pass: $(tr '\n' ';' <"$work.log")"

    git -C "$work" apply "$here/$1/golden.patch"
    tested "$1" "$work.golden" || fault 'golden patch too: the tests fail'
    sed 's/^FAIL /PASS /' "$work.expected" | sort >"$work.passing"
    compared 'golden patch too' "$work.passing" "$work.golden"

    git -C "$work" apply -R "$here/$1/test.patch"
    tested "$1" "$work.alone" || fault 'golden patch alone: the tests fail'
    compared 'golden patch alone' "$work.base" "$work.alone"
}

# lines <list>: how many names a list of the issue at hand has.
lines() {
    awk 'END { print NR }' "$here/$issue/$1"
}

# Checks the issues of one language, and writes a line for each.
check() {
    lack=$(lacks "$1")
    for issue in $(wanted | grep "^$1/"); do
        if [ -n "$lack" ]; then
            echo "skip  $issue"
            continue
        fi
        work=$scratch/$issue/work
        mkdir -p "${work%/work}"
        : >"$work.faults"
        prove "$issue"
        said=$(header "$issue" difficulty)
        if [ -s "$work.faults" ]; then
            echo "FAULT $issue ($said)"
            cat "$work.faults"
        else
            echo "ok    $issue ($said): $(lines fail_to_pass) fail until it is mended, $(lines pass_to_pass) always pass"
        fi
        rm -rf "${work%/work}"
    done
    [ -z "$lack" ] || echo "skipped: $1 $lack"
}

# The issues that were asked for.
wanted() {
    if [ -z "$asked" ]; then
        issues
        return
    fi
    for one in $asked; do
        issues | grep -E "^$one(/|\$)"
    done
}

asked=$*
for one in $asked; do
    issues | grep -qE "^$one(/|\$)" || die "there is no issue $one; next: ls tests/starter/*"
done
if $write; then
    for issue in $(wanted); do
        for list in fail_to_pass pass_to_pass; do
            [ -s "$here/$issue/$list" ] || echo 'not known yet' >"$here/$issue/$list"
        done
    done
    sh "$here/pack.sh"
else
    # What is committed in `packed` is what the files beside it make.
    sh "$here/pack.sh" "$scratch/packed"
    cmp -s "$scratch/packed/rows.jsonl" "$here/packed/rows.jsonl" ||
        die 'packed/rows.jsonl is not what the issues make; next: sh tests/starter/pack.sh'
    for bundle in "$here"/packed/*.bundle; do
        [ -e "$scratch/packed/${bundle##*/}" ] || die "$bundle is of no issue; next: sh tests/starter/pack.sh"
    done
fi
if [ -z "$asked" ]; then
    for language in rust go typescript python; do
        for difficulty in easy medium hard; do
            for issue in $(issues | grep "^$language/"); do header "$issue" difficulty; done | grep -qx "$difficulty" ||
                die "there is no $difficulty issue in $language"
        done
    done
fi

languages=$(wanted | cut -d / -f 1 | sort -u)
# Languages do not wait for one another: half of each one's time is one compiler or linker.
for language in $languages; do
    {
        set +e
        (set -e && check "$language")
        [ $? = 0 ] || echo "FAULT $language: the check itself failed"
    } >"$scratch/$language.out" 2>&1 &
done
wait
! $write || sh "$here/pack.sh"
for language in $languages; do cat "$scratch/$language.out"; done | tee "$scratch/all"
count() { grep -c "^$1 " "$scratch/all" || :; }
echo "$(count ok) passed, $(count FAULT) failed, $(count skip) skipped"
[ "$(count FAULT)" = 0 ]
