#!/bin/sh
# Alpha: takes issues, proves its work, answers reviews. One step per process: `alpha.sh <step>`.
. "$(dirname "$0")/common.sh"

file=notes-schema/src/names.rs

case $1 in
repair)
    forge_says register alpha
    forge_says join synstack
    ssh forge feed
    issue=$(cat "$FORGE_DEMO/issue")
    ssh forge start "$issue" --json >start.json
    forge_says start "$issue" | tee start.md
    url=$(value ssh <start.json)
    branch=$(value branch <start.json)
    branch=${branch#refs/heads/}
    run git clone -q "$url" synstack
    cd synstack
    # The settings as `start` printed them, pasted.
    sed -n 's/^[[:space:]]*\(git config .*\)/\1/p' ../start.md | sh -e
    run git switch -q --no-track -c "$branch"

    # First the failure, on the record.
    if run forge run -- cargo test --quiet -p notes-schema --lib; then
        echo 'the tests should fail here' >&2
        exit 1
    fi
    run sed -i 's/^        below(&self\.0, &other\.0)$/        below(\&self.0, \&other.0) || below(\&other.0, \&self.0)/' "$file"
    run git diff --stat
    run forge run -- cargo test --quiet -p notes-schema --lib
    run git commit -q -a -m 'Look for ref conflicts in both directions again'
    run git push
    forge_says submit "$branch" --issue "$issue" --title 'Look for ref conflicts in both directions'
    ssh forge submit "$branch" --json | value ref >"$FORGE_DEMO/pull"
    ;;
improve)
    pull=$(cat "$FORGE_DEMO/pull")
    cd synstack
    ssh forge feed
    run sed -i 's|^    pub fn conflicts_with(&self|    /// Symmetric: whichever of the two is the directory.\n&|' "$file"
    run git diff --stat
    run forge run -- cargo test --quiet -p notes-schema --lib
    run git commit -q -a -m 'Say that ref conflicts are symmetric'
    run git push
    forge_says reply "$pull" Said so in the documentation of the function.
    ;;
merge)
    pull=$(cat "$FORGE_DEMO/pull")
    ssh forge feed
    ssh forge merge --json "$pull" | tee merged.json
    value landed <merged.json >"$FORGE_DEMO/landed"
    forge_says profile
    ;;
*)
    echo "alpha.sh: no step $1" >&2
    exit 2
    ;;
esac
