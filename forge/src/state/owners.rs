//! Who answers for whom, as `forge.git` records it: what was vouched for, from which batch on.
//!
//! Invariant: what was vouched for in a batch holds from the next one on, so that the number of a batch says who answered for
//! whom when it was written, whatever else it holds.

use imbl::{OrdMap, Vector};
use notes_schema::{AgentName, EntityId, Fact};
use serde::{Deserialize, Serialize};

use super::fold::Fold;

/// From behind which batch of `forge.git` on an owner answers for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSpan {
    /// Who answers.
    pub owner: AgentName,
    /// The batch that says so.
    pub said: u64,
}

impl Fold {
    pub(super) fn note_owner(&mut self, id: &EntityId, fact: &Fact, batch: u64) {
        if let (EntityId::Agent(agent), Fact::AgentVouched(fact)) = (id, fact)
            && self.agent(agent).is_some()
        {
            let span = OwnerSpan { owner: fact.owner.clone(), said: batch };
            self.owners.entry(agent.clone()).or_default().push_back(span);
        }
    }

    /// In `forge.git`: who answers for an agent: whoever it was vouched for last, or else the agent itself.
    pub fn owner(&self, agent: &AgentName) -> AgentName {
        let newest = self.owners.get(agent).and_then(|spans| spans.back());
        newest.map_or(agent, |span| &span.owner).clone()
    }

    /// In `forge.git`: who answered for an agent when batch `batch` of it was written.
    pub fn owner_at(&self, agent: &AgentName, batch: u64) -> AgentName {
        let spans = self.owners.get(agent).into_iter().flatten();
        spans.take_while(|span| span.said < batch).last().map_or(agent, |span| &span.owner).clone()
    }

    /// In `forge.git`: who answered for whom once batch `batch` of it was written, all there was said until then.
    pub fn owners_until(&self, batch: u64) -> OrdMap<AgentName, Vector<OwnerSpan>> {
        let until = |spans: &Vector<OwnerSpan>| spans.iter().take_while(|span| span.said <= batch).cloned().collect();
        let all = self.owners.iter().map(|(agent, spans)| (agent.clone(), until(spans)));
        all.filter(|(_, spans): &(_, Vector<OwnerSpan>)| !spans.is_empty()).collect()
    }

    /// In `forge.git`: whether somebody vouched for an agent.
    pub fn is_vouched(&self, agent: &AgentName) -> bool {
        self.owners.contains_key(agent)
    }

    /// In `forge.git`: whether `name` answers for some agent, or once did. Whoever took it as a name of an agent's would be
    /// taken for that owner.
    pub fn is_owner(&self, name: &AgentName) -> bool {
        self.owners.values().flatten().any(|span| span.owner == *name)
    }
}

#[cfg(test)]
mod tests {
    use notes_schema::event::{AgentRegistered, AgentVouched};
    use notes_schema::{Event, Oid, Sha256};
    use proptest::prelude::*;

    use super::*;

    fn agent(k: usize) -> AgentName {
        format!("agent-{k}").parse().unwrap()
    }

    fn owner(k: usize) -> AgentName {
        format!("owner-{k}").parse().unwrap()
    }

    fn apply(fold: &mut Fold, name: &AgentName, batch: u64, fact: impl Into<Fact>) {
        let (id, fact) = (EntityId::Agent(name.clone()), fact.into());
        let event = Event {
            v: 1,
            i: Vec::new(),
            s: None,
            a: name.clone(),
            k: String::new(),
            n: batch,
            l: batch,
            q: batch,
            t: batch,
            p: Sha256::of(b""),
            r: None,
        };
        fold.apply(&id, &event, &fact, None, Oid::from_bytes([7; 20]), Sha256::of(b"x"));
    }

    fn registered(agents: usize) -> Fold {
        let mut fold = Fold::default();
        (0..agents).for_each(|k| apply(&mut fold, &agent(k), 1, AgentRegistered { key: None }));
        fold
    }

    #[test]
    fn an_agent_answers_for_itself_until_somebody_vouches_for_it() {
        let mut fold = registered(1);
        let before = fold.clone();
        assert_eq!((fold.owner(&agent(0)), fold.is_vouched(&agent(0))), (agent(0), false));
        apply(&mut fold, &agent(0), 5, AgentVouched { owner: owner(1) });
        assert_eq!((fold.owner(&agent(0)), fold.is_vouched(&agent(0))), (owner(1), true));
        // In the batch that says so it is not so yet.
        assert_eq!(fold.owner_at(&agent(0), 5), agent(0));
        assert_eq!(fold.owner_at(&agent(0), 6), owner(1));
        assert!(fold.is_owner(&owner(1)) && !fold.is_owner(&agent(0)));
        // An operator knows who is behind it, and it is nobody else.
        apply(&mut fold, &agent(0), 7, AgentVouched { owner: agent(0) });
        assert_eq!((fold.owner(&agent(0)), fold.is_vouched(&agent(0))), (agent(0), true));
        assert!(fold.is_owner(&owner(1)), "a name that answered once is nobody else's");
        assert!(!before.is_vouched(&agent(0)), "an earlier moment stays as it was");
    }

    #[test]
    fn nobody_answers_for_what_is_no_agent() {
        let mut fold = registered(1);
        apply(&mut fold, &agent(1), 2, AgentVouched { owner: owner(1) });
        let project = EntityId::Project("parser".parse().unwrap());
        fold.note_owner(&project, &AgentVouched { owner: owner(1) }.into(), 3);
        assert!(fold.owners.is_empty() && fold.owner(&agent(1)) == agent(1));
    }

    proptest! {
        /// Whatever is vouched for later, what was said of an earlier batch stays; and the newest moment is what counts now.
        #[test]
        fn an_earlier_moment_is_what_a_replay_up_to_it_says(
            said in proptest::collection::vec((0..3_usize, 0..3_usize, 0..2_u64), 0..12)
        ) {
            let mut fold = registered(3);
            let (mut batch, mut moments) = (2, Vec::new());
            for (who, whose, later) in said {
                batch += later;
                apply(&mut fold, &agent(who), batch, AgentVouched { owner: owner(whose) });
                moments.push((batch + 1, fold.clone()));
            }
            for (at, then) in moments.iter().enumerate().filter_map(|(k, m)| {
                // The last of those of one batch.
                moments.get(k + 1).is_none_or(|next| next.0 > m.0).then_some(m)
            }) {
                for k in 0..3 {
                    prop_assert_eq!(fold.owner_at(&agent(k), *at), then.owner(&agent(k)));
                }
                prop_assert_eq!(&fold.owners_until(at - 1), &then.owners);
            }
            for k in 0..3 {
                prop_assert_eq!(fold.owner_at(&agent(k), u64::MAX), fold.owner(&agent(k)));
                prop_assert_eq!(fold.owner_at(&agent(k), 2), agent(k));
            }
        }
    }
}
