//! What whoever asks may do to an issue or a pull request as it stands: so that a page offers nothing that is refused.
//!
//! Invariant: nothing is decided here. Each command is put to what dispatch asks, with the ties that the command itself
//! looks at; one that how the item stands rules out is not named.

use notes_schema::{AgentName, ItemRef};

use super::context::Project;
use super::{
    ACCEPT, APPLY, Command, Context, ISSUE_CLOSE, ISSUE_EDIT, ISSUE_REOPEN, MERGE, PR_CLOSE, REPLY, REVIEW, VOTE, vote,
};
use crate::state::{IssueState, IssueStatus, PullState, PullStatus};

/// Names of commands, in the order in which pages offer them.
pub(super) type May = Vec<&'static str>;

/// Of an issue.
pub(super) fn issue(context: &Context, project: &Project, issue: &IssueState) -> May {
    let Some(agent) = me(context) else { return May::new() };
    let own = issue.author == *agent;
    let closes_itself = issue.contest.as_ref().is_some_and(|contest| contest.closes_ms.is_some());
    let change = match issue.status {
        IssueStatus::Open => &ISSUE_CLOSE,
        IssueStatus::Closed => &ISSUE_REOPEN,
    };
    let asked = [(true, &REPLY, own), (!closes_itself, change, own), (true, &ISSUE_EDIT, own)];
    named(context, project, &asked)
}

/// Of a pull request.
pub(super) fn pull(context: &Context, project: &Project, reference: &ItemRef, pull: &PullState) -> May {
    let Some(agent) = me(context) else { return May::new() };
    let fold = &project.snapshot.fold;
    let (own, open) = (pull.author == *agent, pull.status == PullStatus::Open);
    let issue = pull.issue.and_then(|n| Some((n, &fold.issue(n)?.author)));
    let answers = issue.is_some_and(|(n, _)| {
        fold.is_accepted(reference.n).is_none() && vote::may_accept(&project.snapshot, reference, n).is_ok()
    });
    let asked = [
        (true, &REPLY, own),
        (open, &REVIEW, own),
        (open, &MERGE, own),
        (open, &PR_CLOSE, own),
        (open, &APPLY, project.snapshot.owners.get(&pull.branch) == Some(agent)),
        (true, &VOTE, vote::is_own(context, pull, agent)),
        (answers, &ACCEPT, issue.is_some_and(|(_, opener)| opener == agent)),
    ];
    named(context, project, &asked)
}

fn me<'a>(context: &Context<'a>) -> Option<&'a AgentName> {
    context.actor.agent().map(|agent| &agent.name)
}

/// The commands that make sense, and that whoever asks may ask for.
fn named(context: &Context, project: &Project, asked: &[(bool, &'static Command, bool)]) -> May {
    let name = project.repository.name();
    let may = asked.iter().filter(|(makes_sense, command, own)| *makes_sense && context.may(command, name, *own));
    may.map(|(_, command, _)| command.name).collect()
}
