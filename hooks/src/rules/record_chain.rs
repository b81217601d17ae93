//! E05: a record is new, and the record it says it follows is known.

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict};

/// See the module. That the identical record was not accepted before is known when this is asked.
pub const RULE: RecordRule = RecordRule {
    word: "E05",
    demands: "a record was not seen before, and its `prev` is this agent's, known or in the same push",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    if repo.ref_exists(pushed.name)? {
        let why = "another record of yours has this id already";
        return pushed.refuse(RULE.word, why, drop_it(pushed.name));
    }
    let Some(prev) = pushed.record.prev else {
        return Ok(Verdict::Ok);
    };
    if pushed.arrived.get(&prev).is_some() || repo.record_maker(&prev)?.as_ref() == Some(pushed.agent) {
        return Ok(Verdict::Ok);
    }
    let why = "the record that its `prev` names has not arrived from you";
    pushed.refuse(RULE.word, why, drop_it(pushed.name))
}
