//! What the gate refused lately, for whoever watches.
//!
//! Invariant: a refusal leaves nothing in the ledger, so this is this process's own memory: empty after a start, the newest few,
//! and of each who, where and by which rule, never what the push held.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use notes_schema::{AgentName, ProjectName};
use serde::Serialize;
use tokio::sync::watch;

use crate::answer::Refusal;

/// Most that are remembered.
/// Limit: refusals of the gate that are remembered for the live page | {}, the newest, until the server ends
const KEPT: usize = 20;

/// One refusal of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Where.
    pub project: ProjectName,
    /// Whom.
    pub agent: AgentName,
    /// What was refused: a ref, a branch by its short name, or what a command was to do.
    pub what: String,
    /// The rule's code or word, for example `E08`.
    pub rule: String,
}

/// The newest refusals, and how many there were since the start.
#[derive(Debug)]
pub struct Refusals {
    since_ms: u64,
    newest: Mutex<VecDeque<Refused>>,
    count: watch::Sender<u64>,
}

impl Refusals {
    pub(super) fn new(since_ms: u64) -> Refusals {
        Refusals { since_ms, newest: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Remembers what a rule of the gate refused; other refusals are not the gate's.
    pub(super) fn note(&self, at_ms: u64, agent: &AgentName, refusal: &Refusal) {
        let Some(project) = refusal.gate() else { return };
        let what = refusal.what.strip_prefix("push ").unwrap_or(&refusal.what);
        let what = what.strip_prefix("refs/heads/").unwrap_or(what).to_owned();
        let (project, agent, rule) = (project.clone(), agent.clone(), refusal.rule.clone());
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.push_front(Refused { at_ms, project, agent, what, rule });
        newest.truncate(KEPT);
        self.count.send_modify(|count| *count += 1);
    }

    /// Since when they are remembered, milliseconds since 1970.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// How many there were, told anew with each. (Who waits for news of the ledger is not woken by these: they would cost a look
    /// of everybody.)
    pub fn count(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// The newest first.
    pub fn newest(&self) -> Vec<Refused> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Beside, Code};

    #[test]
    fn the_newest_of_the_gates_are_remembered_and_all_are_counted() {
        let (refusals, project, agent) = (Refusals::new(5), "parser".parse().unwrap(), "alpha".parse().unwrap());
        let gate = |rule: &str| (rule != "space").then(|| ProjectName::clone(&project));
        let refused = |what: String, rule: &str| Refusal {
            beside: Some(Box::new(Beside { gate: gate(rule), details: vec![] })),
            ..Refusal::new(Code::Refused, what, "no", "help").by_rule(rule)
        };
        refusals.note(6, &agent, &refused("push".to_owned(), "space"));
        assert_eq!((*refusals.count().borrow(), refusals.newest()), (0, vec![]));
        for n in 0..30 {
            refusals.note(6 + n, &agent, &refused(format!("push refs/heads/b{n}"), "E08"));
        }
        let newest = refusals.newest();
        assert_eq!((*refusals.count().borrow(), newest.len()), (30, KEPT));
        assert_eq!((newest[0].what.as_str(), newest[0].rule.as_str(), newest[0].at_ms), ("b29", "E08", 35));
    }
}
