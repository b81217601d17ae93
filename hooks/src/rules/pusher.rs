//! E03: a record is pushed by the agent that it names.

use crate::record::{PushedRecord, drop_it};
use crate::{Judgement, Repo, Rule, Verdict};

/// See the module.
pub struct Pusher;

impl Rule<PushedRecord<'_>> for Pusher {
    fn word(&self) -> &'static str {
        "E03"
    }

    fn demands(&self) -> &'static str {
        "the agent that a record names is the one that pushes it, by any of its live credentials"
    }

    fn judge(&self, _repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
        let (maker, agent) = (&pushed.record.agent, pushed.agent);
        let owner = notes_schema::refs::incoming_record(pushed.name).map(|(owner, _)| owner);
        if maker == agent && owner.as_ref() == Some(agent) {
            return Ok(Verdict::Ok);
        }
        pushed.refuse(self.word(), format!("it names agent {maker}, and you are {agent}"), drop_it(pushed.name))
    }
}
