//! E00 and E08: the author recorded a run, and the last tested tree is the tip's tree.

use notes_schema::ItemRef;
use notes_schema::event::Level;

use super::patches;
use crate::command::reference;
use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided, next_run};

/// How many differing paths are looked at and named, and how many of those that no commit holds.
const LOOKED_AT: usize = 64;
const NAMED: usize = 5;
const NAMED_LEFT_OUT: usize = 3;

/// See the module.
pub const RULE: GateRule = GateRule {
    word: "proof",
    demands: "the author pushed a record whose last run was on exactly this tree",
    at_submit: true,
    quiet: false,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let Some(record) = candidate.record(&base.policy) else {
        if candidate.demands(&base.policy)?.level == Level::P0 {
            return Ok(Finding::NotApplicable("the policy demands no record".to_owned()));
        }
        if let Some(finding) = for_another_issue(repo, candidate, "E00") {
            return Ok(finding);
        }
        return Ok(Finding::Missing {
            code: "E00",
            why: format!(
                "the branch arrived, but no record of a run by {} did; `forge run -- <command>` makes one, and plain \
                 `git push` sends it",
                candidate.author
            ),
            next: next_run::another(repo, candidate, &base.policy, None)?,
        });
    };
    let tested = record.last().tree;
    if tested != candidate.tree && candidate.demands(&base.policy)?.level == Level::P0 {
        return Ok(Finding::NotApplicable("the policy demands no record of this very tree".to_owned()));
    }
    if tested == candidate.tree {
        return Ok(Finding::Satisfied(format!("{} recorded a run on tree {}", record.agent, tested.short())));
    }
    if let Some(finding) = for_another_issue(repo, candidate, "E08") {
        return Ok(finding);
    }
    // The tested tree is often not here, since it was never committed: the patches of the records may make it.
    let mut differing = repo.differing_paths(tested, candidate.tree, LOOKED_AT);
    let never_committed = differing.is_err();
    if never_committed {
        // That they differ is certain, whatever can be named.
        differing =
            patches::make_tested(repo, record).and_then(|()| repo.differing_paths(tested, candidate.tree, LOOKED_AT));
    }
    let differing = differing.unwrap_or_default();
    let differ =
        if differing.is_empty() { String::new() } else { format!("; they differ in {}", list(&differing, NAMED)) };
    let (last, tip) = (tested.short(), candidate.tree.short());
    let why = format!("the last recorded run was on tree {last}, and the tip has tree {tip}{differ}");
    let left_out = left_out(repo, candidate, &differing).unwrap_or_default();
    let again = next_run::again_or_another(repo, candidate, &base.policy, record.last())?;
    if left_out.is_empty() && !never_committed {
        return Ok(Finding::Missing { code: "E08", why, next: again });
    }
    let why = match left_out.is_empty() {
        true => format!("{why}; what was run is in no commit here: commit what belongs to it"),
        false => format!(
            "{why}; the tip lacks {}: commit what belongs to it, and name the rest in `.git/info/exclude`",
            list(&left_out, NAMED_LEFT_OUT)
        ),
    };
    // The work tree may be as it was for that run, and another run would be on the same tree once more.
    let next = format!("git add -A && git commit -q --allow-empty -m 'What the run was on' && {again}");
    Ok(Finding::Missing { code: "E08", why, next })
}

/// Those of the paths that neither the tip nor its base has: they were in the work tree of the run.
fn left_out(repo: &dyn Repo, candidate: &Candidate<'_>, differing: &[String]) -> Result<Vec<String>, Undecided> {
    let base = repo.tree_of(candidate.base)?;
    let mut left_out = Vec::new();
    for path in differing {
        let in_base = base.map_or(Ok(false), |base| repo.stands_at(base, path))?;
        if !in_base && !repo.stands_at(candidate.tree, path)? {
            left_out.push(path.clone());
        }
    }
    Ok(left_out)
}

fn list(paths: &[String], most: usize) -> String {
    let named: Vec<String> = paths.iter().take(most).map(|path| format!("`{path}`")).collect();
    format!("{}{}", named.join(", "), if paths.len() > most { " and more" } else { "" })
}

/// A clone records for the issue that was started last in it; whoever goes back to an earlier branch has to say so.
fn for_another_issue(repo: &dyn Repo, candidate: &Candidate<'_>, code: &'static str) -> Option<Finding> {
    let (issue, other) = (candidate.issue?, candidate.issue_of_run()?);
    let why = format!("the run of this tree was recorded for issue {other}, and this branch answers issue {issue}");
    // What `start` has to paste would switch branches as well; its settings are what lacks.
    let item = ItemRef { project: repo.project().clone(), n: issue };
    let next = format!(
        "c=$(ssh forge start {}) && printf '%s\\n' \"$c\" | sed -n '/^git config /p' | sh -e && {}",
        reference(&item),
        next_run::AGAIN
    );
    Some(Finding::Missing { code, why, next })
}
