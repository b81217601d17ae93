# What pack.sh and check.sh share. Sourced; `here` is this directory.

export LC_ALL=C
# No setting of this machine may change an id, a patch or an answer.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_DEFAULT_HASH=sha1 GIT_TERMINAL_PROMPT=0
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY

die() {
    echo "starter: $*" >&2
    exit 1
}

# Each issue's directory, as <language>/<name>.
issues() {
    (cd "$here" && for file in */*/issue.md; do echo "${file%/issue.md}"; done)
}

# header <issue> <key>: what stands behind a key between the two lines of hyphens.
header() {
    sed -n '2,/^---$/s/^'"$2"': *//p' "$here/$1/issue.md"
}

# statement <issue>: what its reporter wrote, below the header.
statement() {
    awk 'below { print } /^---$/ && ++hyphens == 2 { below = 1 }' "$here/$1/issue.md"
}

# instance <issue>: its name in rows, and its bundle's.
instance() {
    echo "synstack__${1##*/}-1"
}
