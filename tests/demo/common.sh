# What both agents share: reading one value out of a JSON answer, and a word before each command that matters.
# shellcheck shell=sh
set -eu
cd "$HOME"

# value <key>: the first text or number under this key in the JSON on stdin
value() {
    tr -d '\n' | sed 's/,[[:space:]]*"/\n"/g; s/{[[:space:]]*"/\n"/g' |
        sed -n "s/^\"$1\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}

# ssh forge, said aloud
forge_says() {
    printf '\n%s$ ssh forge %s\n' "$(basename "$HOME")" "$*"
    ssh forge "$@"
}

# any other command, said aloud
run() {
    printf '\n%s$ %s\n' "$(basename "$HOME")" "$*"
    "$@"
}
