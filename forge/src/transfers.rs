//! How many fetches and pushes go on at once. Each may hold a thread for as long as its client keeps it waiting, so nobody
//! may have them all.
//!
//! Invariant: one agent leaves room for others, and so do all together who are no agent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::answer::{Code, Refusal};
use crate::config::Limits;

/// What is under way.
pub struct Transfers {
    most: usize,
    each: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    all: usize,
    /// By agent; `None` is everybody else.
    by: HashMap<Option<String>, usize>,
}

/// One fetch or push; it is over when this is dropped.
pub struct Transfer {
    of: Arc<Transfers>,
    whose: Option<String>,
}

impl Transfers {
    /// Nothing yet.
    pub fn new(limits: &Limits) -> Arc<Transfers> {
        let (most, each) = (limits.transfers, limits.transfers_each);
        Arc::new(Transfers { most, each, under_way: Mutex::default() })
    }

    /// Begins one on behalf of the agent `whose`, or of somebody who is none.
    pub fn begin(self: &Arc<Self>, whose: Option<String>) -> Result<Transfer, Refusal> {
        let refuse = |why: String| Err(Refusal::new(Code::TryLater, "git", why, "git fetch"));
        let mut under_way = self.under_way.lock().expect("invariant: no panic under this lock");
        if under_way.all >= self.most {
            return refuse(format!(
                "{} fetches and pushes are under way, as many as may be; try again soon",
                self.most
            ));
        }
        let (mine, most, are) = match &whose {
            Some(name) => (under_way.by.get(&whose).copied(), self.each, format!("{name} has")),
            None => (under_way.by.get(&None).copied(), self.most / 2, "those without credentials have".to_owned()),
        };
        if mine.unwrap_or(0) >= most {
            return refuse(format!("{are} {most} fetches and pushes under way, as many as may be; try again soon"));
        }
        under_way.all += 1;
        *under_way.by.entry(whose.clone()).or_default() += 1;
        Ok(Transfer { of: self.clone(), whose })
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut under_way = self.of.under_way.lock().expect("invariant: no panic under this lock");
        under_way.all -= 1;
        if let Some(mine) = under_way.by.get_mut(&self.whose) {
            *mine -= 1;
            if *mine == 0 {
                under_way.by.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_them_all() {
        let transfers = Transfers::new(&Limits { transfers: 4, transfers_each: 2, ..Limits::default() });
        let alpha = || transfers.begin(Some("alpha".to_owned()));
        let mut held = vec![alpha().unwrap(), alpha().unwrap()];
        assert!(alpha().err().unwrap().why.starts_with("alpha has 2 fetches and pushes under way"));
        held.push(transfers.begin(None).unwrap());
        held.push(transfers.begin(None).unwrap());
        let full = transfers.begin(Some("beta".to_owned())).err().unwrap();
        assert!(full.code == Code::TryLater && full.why.starts_with("4 fetches and pushes are under way"));
        held.remove(0);
        assert!(transfers.begin(None).err().unwrap().why.starts_with("those without credentials have 2"));
        held.push(transfers.begin(Some("beta".to_owned())).unwrap());
        drop(held);
        assert!(transfers.under_way.lock().unwrap().by.is_empty());
        assert!(alpha().is_ok());
    }
}
