//! Which run to make next: the command that a refusal of a run suggests.
//!
//! Invariant: a command never holds what the author of a record typed, for whoever reads the refusal may not be the author.

use notes_schema::trace::Attempt;

use crate::gate::Candidate;
use crate::policy::Policy;
use crate::{Found, Repo, Undecided, reruns};

/// Records the newest run that can be repeated once more, on the tree as it is, and sends it.
pub(crate) const AGAIN: &str = "forge run --again && git push";

/// Records a run of the first command that the policy counts, where it names any. `run` is the one that did not count:
/// whoever made it below the top of the work tree stands there.
pub(crate) fn required(policy: &Policy, run: Option<&Attempt>) -> Option<String> {
    Some(record(&policy.commands.first()?.typed(), run))
}

/// Records another run than `run`, which can be repeated by nobody, or the first one, where there is none: of what the
/// policy counts; else of what the author ran before; else of what git can tell of any change.
pub(crate) fn another(
    repo: &dyn Repo,
    candidate: &Candidate<'_>,
    policy: &Policy,
    run: Option<&Attempt>,
) -> Result<String, Undecided> {
    match required(policy, run) {
        Some(command) => Ok(command),
        None => Ok(again(repo, candidate)?.unwrap_or_else(|| of_git(candidate, run))),
    }
}

/// Records what the author ran before once more, or else another run than `run`.
pub(crate) fn again_or_another(
    repo: &dyn Repo,
    candidate: &Candidate<'_>,
    policy: &Policy,
    run: &Attempt,
) -> Result<String, Undecided> {
    match again(repo, candidate)? {
        Some(command) => Ok(command),
        None => another(repo, candidate, policy, Some(run)),
    }
}

fn again(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Option<String>, Undecided> {
    for record in candidate.mine() {
        if can_be_repeated(repo, candidate, record.last())? {
            return Ok(Some(AGAIN.to_owned()));
        }
    }
    Ok(None)
}

fn of_git(candidate: &Candidate<'_>, run: Option<&Attempt>) -> String {
    record(&format!("git diff --check {} HEAD", candidate.base), run)
}

/// Whether whoever has the tree could repeat a run: `forge run --again` repeats the newest that can be.
fn can_be_repeated(repo: &dyn Repo, candidate: &Candidate<'_>, run: &Attempt) -> Result<bool, Undecided> {
    Ok(reruns::in_full(run) && has_directory(repo, candidate, run)?)
}

/// Whether the tip has the directory that a run was in.
pub(crate) fn has_directory(repo: &dyn Repo, candidate: &Candidate<'_>, run: &Attempt) -> Result<bool, Undecided> {
    Ok(run.cwd.is_empty() || repo.found_at(candidate.tree, &run.cwd)? == Some(Found::Directory))
}

fn record(command: &str, run: Option<&Attempt>) -> String {
    let to_top = match run {
        Some(run) if !run.cwd.is_empty() => "cd \"$(git rev-parse --show-toplevel)\" && ",
        Some(_) | None => "",
    };
    format!("{to_top}forge run -- {command} && git push")
}
