//! Vouching: who answers for an agent, said by whoever may say so. Who that is, is `authority`'s business.
//!
//! Invariant: one event for each change of an owner, and none for what is so already.

use notes_schema::event::AgentVouched;
use notes_schema::{AgentName, EntityId};

use crate::answer::{Code, Refusal};
use crate::ledger::{Author, Draft};

/// Who answers for an agent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// Who answers.
    pub owner: AgentName,
    /// Forge-wide number of the event that says so.
    pub q: u64,
    /// Who answered before, where that is somebody else.
    pub before: Option<AgentName>,
}

/// In a draft of `forge.git`: `owner` answers for `agent` from the next batch on.
pub(crate) fn vouch(draft: &mut Draft, by: &Author, agent: &AgentName, owner: &AgentName) -> Result<Vouched, Refusal> {
    let (fold, id) = (&draft.snapshot().fold, EntityId::Agent(agent.clone()));
    if fold.agent(agent).is_none() {
        return Err(Refusal::new(Code::NotFound, agent.as_str(), "there is no such agent", "leaderboard"));
    }
    let before = Some(fold.owner(agent)).filter(|before| before != owner);
    if before.is_none() && fold.is_vouched(agent) {
        return Ok(Vouched { owner: owner.clone(), q: draft.snapshot().fold.max_q, before });
    }
    let event = draft.event(by, &id, AgentVouched { owner: owner.clone() }, None, &[])?;
    Ok(Vouched { owner: owner.clone(), q: event.q, before })
}
