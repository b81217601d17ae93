//! When an issue is to be done, and before what: its milestone and its priority.
//!
//! Invariant: what is not named stays as it is; `none` takes it away.

use notes_schema::EntityId;
use notes_schema::event::{IssuePlanned, Priority};

use super::issues::{Changed, may_change};
use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Refusal};
use crate::authority::{Needs, Of};
use crate::state::{IssueState, IssueStatus};

/// Longest name of a milestone, in bytes.
/// Limit: name of a milestone | {:bytes}
const LONGEST: usize = 60;
/// The release, or whatever it is to be done for.
pub(super) const MILESTONE: (&str, Takes) = ("milestone", Takes::Word);
/// What is done first.
pub(super) const PRIORITY: (&str, Takes) = ("priority", Takes::Word);

/// What is to be another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    milestone: Option<Option<String>>,
    priority: Option<Option<Priority>>,
}

impl Change {
    /// What the flags ask for.
    pub(super) fn asked(context: &Context, args: &Args) -> Result<Change, Refusal> {
        let milestone = args.value("milestone").map(str::trim).map(|name| match name {
            "none" => Ok(None),
            name if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) => {
                Err(context.usage(format!("a milestone is one line of at most {LONGEST} bytes, or none")))
            }
            name => Ok(Some(name.to_owned())),
        });
        let priority = args.value("priority").map(|word| match (word, Priority::named(word)) {
            ("none", _) => Ok(None),
            (_, Some(priority)) => Ok(Some(priority)),
            (_, None) => Err(context.usage("--priority is urgent, high, normal, low or none")),
        });
        Ok(Change { milestone: milestone.transpose()?, priority: priority.transpose()? })
    }

    /// What an issue that has `now` has after it; none where that is the same.
    pub(super) fn of(&self, now: IssuePlanned) -> Option<IssuePlanned> {
        let then = IssuePlanned {
            milestone: self.milestone.clone().unwrap_or_else(|| now.milestone.clone()),
            priority: self.priority.unwrap_or(now.priority),
        };
        (then != now).then_some(then)
    }
}

/// `issue edit`.
pub const ISSUE_EDIT: Command = Command {
    name: "issue edit",
    aliases: &["issue milestone", "issue plan"],
    needs: Needs::Agent,
    of: Of::OpenerOrMaintainer,
    shape: Shape::words(1, 1).flags(&[MILESTONE, PRIORITY]),
    usage: "<ref> [--milestone NAME|none] [--priority urgent|high|normal|low|none]",
    summary: "say for which milestone an issue is, and what is done first: `roadmap` orders by both",
    example: "issue edit parser/12 --milestone v1 --priority high",
    run: issue_edit,
};

fn issue_edit(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, reference, _) = context.item(args.word(0).unwrap_or(""))?;
    let n = reference.n;
    let issue = project.snapshot.fold.issue(n);
    let issue =
        issue.ok_or_else(|| context.usage(format!("{reference} is a pull request; milestones are of issues")))?;
    may_change(context, &project, issue)?;
    let change = Change::asked(context, args)?;
    if change == Change::default() {
        return Err(context.usage("it needs --milestone or --priority"));
    }
    let state = match issue.status {
        IssueStatus::Open => "open",
        IssueStatus::Closed => "closed",
    };
    let by = context.author()?;
    let (q, _) = context.commit(&project.repository, move |draft| {
        let issue = draft.snapshot().fold.issue(n);
        match issue.and_then(|issue| change.of(planned(issue))) {
            Some(fact) => draft.event(&by, &EntityId::Issue(n), fact, None, &[]).map(|recorded| recorded.q),
            None => Ok(issue.map_or(0, |issue| issue.last_q)),
        }
    })?;
    Ok(Answer::of(&Changed { reference, state, seq: q }))
}

/// What an issue has.
fn planned(issue: &IssueState) -> IssuePlanned {
    IssuePlanned { milestone: issue.milestone.clone(), priority: issue.priority }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let now = || IssuePlanned { milestone: Some("v1".to_owned()), priority: Some(Priority::High) };
        let change = |milestone: Option<Option<&str>>, priority| Change {
            milestone: milestone.map(|name| name.map(str::to_owned)),
            priority,
        };
        let of = |change: Change| change.of(now()).map(|then| (then.milestone, then.priority));
        assert_eq!(of(change(None, Some(None))), Some((Some("v1".to_owned()), None)));
        assert_eq!(of(change(Some(Some("v2")), None)), Some((Some("v2".to_owned()), Some(Priority::High))));
        assert_eq!(of(change(Some(Some("v1")), Some(Some(Priority::High)))), None);
    }
}
