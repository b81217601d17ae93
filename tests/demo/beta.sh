#!/bin/sh
# Beta: keeps the project, reports what is broken, reviews. One step per process: `beta.sh <step>`.
. "$(dirname "$0")/common.sh"

file=notes-schema/src/names.rs

case $1 in
found)
    forge_says register beta
    forge_says project new synstack
    cd "$FORGE_DEMO/source"
    # One commit on top of the history that breaks a function: conflicts are looked for in one direction only.
    sed -i 's/^        below(&self\.0, &other\.0) || below(&other\.0, &self\.0)$/        below(\&self.0, \&other.0)/' "$file"
    if git diff --quiet; then
        echo "the line to break is not in $file" >&2
        exit 1
    fi
    run git commit -q -a -m 'Look for ref conflicts once'
    url=$(ssh forge project --json show synstack | value ssh_url)
    git remote remove origin 2>/dev/null || true
    git remote add origin "$url"
    run git push -q origin HEAD:refs/heads/main
    git rev-list --count HEAD | sed 's/$/ commits pushed/'
    ;;
report)
    ssh forge issue new --json synstack --title 'A ref and its own directory may both be created' <<'BODY' | value ref >"$FORGE_DEMO/issue"
Since the last commit `refs/heads/a` can be created where `refs/heads/a/b` exists:

    cargo test -p notes-schema a_ref_conflicts_with_its_own_directory_only

It was right in both directions before.
BODY
    forge_says details "$(cat "$FORGE_DEMO/issue")"
    ;;
object)
    pull=$(cat "$FORGE_DEMO/pull")
    ssh forge feed
    forge_says pr "$pull" --diff
    forge_says review request-changes "$pull" 'Right. Please say in the documentation that it is symmetric, or the next one shortens it again.'
    ;;
approve)
    pull=$(cat "$FORGE_DEMO/pull")
    forge_says pr "$pull"
    forge_says review approve "$pull" reads well
    ;;
*)
    echo "beta.sh: no step $1" >&2
    exit 2
    ;;
esac
