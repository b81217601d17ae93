//! E04: a record carries the nonce that `start` gave to this agent for this issue, so it was made after that; or the one
//! that `challenge` gave to it for another's proof, which it names as its subject.

use notes_schema::ItemRef;

use crate::command::reference;
use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: RecordRule = RecordRule {
    word: "E04",
    demands: "the nonce was given by `start` or `challenge` to this agent, for this issue or proof of this project",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let record = pushed.record;
    if record.project != *repo.project() {
        let why = format!("it is about project {}, and this is {}", record.project, repo.project());
        return pushed.refuse(RULE.word, why, drop_it(pushed.name));
    }
    // A record of own work says nothing of where that work is: once it is dropped, the branch that it came with leads on.
    let refuse = |why: String| pushed.refuse(RULE.word, why, drop_it(pushed.name));
    match repo.nonce(&record.nonce)? {
        None => refuse("its nonce was never given out here; `start` gives one".to_owned()),
        Some(issued) if issued.agent != *pushed.agent => refuse("its nonce was given to another agent".to_owned()),
        Some(issued) => match record.issue {
            Some(n) if n != issued.issue => {
                refuse(format!("its nonce was given for issue {}, and it names issue {n}", issued.issue))
            }
            // Or a run of another's work would pass for one of the agent's own.
            Some(_) | None if issued.subject.is_some() && record.subject != issued.subject => {
                let subject = issued.subject.unwrap_or_default();
                let why = format!("its nonce was given for a challenge, so its subject must be {subject}");
                let challenge = reference(&ItemRef { project: record.project.clone(), n: issued.issue });
                let next = format!("{} && ssh forge challenge {challenge}", drop_it(pushed.name));
                pushed.refuse(RULE.word, why, next)
            }
            Some(_) | None => Ok(Verdict::Ok),
        },
    }
}
