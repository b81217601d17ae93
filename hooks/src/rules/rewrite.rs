//! The command that takes files out of what was not pushed yet, for refusals of what a push brings.

use std::collections::BTreeSet;

use notes_schema::{Oid, RefName};

use crate::command::{exclude, pathspecs, quote};
use crate::{Bringing, Repo, Undecided};

/// How many paths one command mends; the next push names the others.
/// Limit: paths that the next command of a refused file takes out of a push | {}; the next push names the others
const MENDED: usize = 50;

/// What becomes of files in the work tree that stood there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// They stay.
    AsItIs,
    /// They are as before, unless they were changed since: or the next commit would take the change in again.
    Restored,
}

/// Takes the files out of every commit that was not pushed before, and pushes what was made: from any directory, whichever
/// branch is checked out. Work tree and index stay as they are, but that the index forgets the files; those that were new are
/// ignored from then on, so that neither `git add -A` nor the recorder takes them in again.
pub(crate) fn without(
    repo: &dyn Repo,
    name: &RefName,
    new: Oid,
    found: &Bringing,
    left: Left,
) -> Result<String, Undecided> {
    if name.branch_name().is_none() {
        return Ok(format!("git tag -d {}", quote(name.as_str().trim_start_matches("refs/tags/"))));
    }
    let all: BTreeSet<&str> = found.paths.iter().map(|(_, path)| path.as_str()).take(MENDED).collect();
    let known = pathspecs(found.known.iter().map(String::as_str).take(MENDED));
    let (begin, make) = match found.before {
        Some(before) => {
            let restore = match known.is_empty() {
                true => String::new(),
                false => format!("git -C \"$d\" restore --staged --source={before} -- {known} && "),
            };
            let commit = format!("git -C \"$d\" commit -qn --allow-empty --allow-empty-message -C {new}");
            (format!("--no-checkout \"$d\" {before}"), format!("git -C \"$d\" read-tree {new} && {restore}{commit}"))
        }
        None if found.is_root => (
            format!("--no-checkout \"$d\" {new}"),
            format!(
                "git -C \"$d\" read-tree {new} && git -C \"$d\" rm -qf --cached -- {known} && \
                 git -C \"$d\" commit -qn --amend --allow-empty --allow-empty-message --no-edit"
            ),
        ),
        None => {
            let filter = format!("git rm -q --cached --ignore-unmatch -- {}", pathspecs(all.iter().copied()));
            (
                format!("\"$d\" {new}"),
                format!(
                    "FILTER_BRANCH_SQUELCH_WARNING=1 git -C \"$d\" filter-branch -f --index-filter {} HEAD",
                    quote(&filter)
                ),
            )
        }
    };
    let (mut were_new, mut stood) = (Vec::new(), Vec::new());
    let tree = found.before.map_or(Ok(None), |before| repo.tree_of(before))?;
    for path in &all {
        match tree.map_or(Ok(false), |tree| repo.stands_at(tree, path))? {
            true => stood.push(*path),
            false => were_new.push(*path),
        }
    }
    let exclude = match were_new.is_empty() {
        true => String::new(),
        false => format!("{} && ", exclude(were_new.into_iter())),
    };
    let stood = pathspecs(stood.into_iter());
    let restore = match left {
        Left::Restored if !stood.is_empty() => {
            format!("{{ ! git diff --quiet {new} -- {stood} || git restore -q -- {stood} 2>/dev/null || :; }} && ")
        }
        Left::Restored | Left::AsItIs => String::new(),
    };
    let force = if found.forced { " -f" } else { "" };
    // Records go along where the clone is set up to send them.
    let records = "$(git config --get-all remote.origin.push '^refs/notes/')";
    Ok(format!(
        "d=$(mktemp -d) && git worktree add -q --detach {begin} && {make} && c=$(git -C \"$d\" rev-parse HEAD) && \
         git worktree remove -f \"$d\" && \
         git for-each-ref --format=\"update %(refname) $c\" --points-at={new} refs/heads | git update-ref --stdin && \
         git reset -q -- {} && {restore}{exclude}git push{force} origin \"$c:\"{} {records}",
        pathspecs(all.into_iter()),
        quote(name.as_str())
    ))
}
