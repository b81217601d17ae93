//! E03: a record is pushed by the agent that it names.

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: RecordRule = RecordRule {
    word: "E03",
    demands: "the agent that a record names is the one that pushes it, by any of its live credentials",
    judge,
};

fn judge(_repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let (maker, agent) = (&pushed.record.agent, pushed.agent);
    let owner = notes_schema::refs::incoming_record(pushed.name).map(|(owner, _)| owner);
    if maker == agent && owner.as_ref() == Some(agent) {
        return Ok(Verdict::Ok);
    }
    pushed.refuse(RULE.word, format!("it names agent {maker}, and you are {agent}"), drop_it(pushed.name))
}
