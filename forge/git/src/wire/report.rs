//! The verdicts on the commands of one push, and the report that tells them.
//!
//! Invariant: a command has at most one verdict, the first; and every command is reported, in the client's order.

use std::collections::{HashMap, HashSet};

use super::{RefUpdate, pktline};
use crate::name::FullName;

/// What the others of an atomic push are told when one was refused.
const ATOMIC: &str = "atomic push failure";

/// One command and what has become of it so far.
pub struct Entry {
    /// The name as the client wrote it, made fit for a report.
    pub shown: String,
    /// The command, unless its name is no ref name.
    pub update: Option<RefUpdate>,
    verdict: Option<Result<(), String>>,
}

/// All commands of a push.
pub struct Ballot {
    entries: Vec<Entry>,
    atomic: bool,
    unpack: Option<String>,
}

impl Entry {
    /// A command to be judged.
    pub fn open(shown: String, update: RefUpdate) -> Entry {
        Entry { shown, update: Some(update), verdict: None }
    }

    /// A command that cannot be meant.
    pub fn refused(shown: String, why: &str) -> Entry {
        Entry { shown, update: None, verdict: Some(Err(why.to_owned())) }
    }

    /// Refuses it, unless something was found before.
    pub fn refuse(&mut self, why: impl Into<String>) {
        if self.verdict.is_none() {
            self.verdict = Some(Err(why.into()));
        }
    }
}

impl Ballot {
    /// The commands in the client's order. A name that stands in several is refused in all of them.
    pub fn new(mut entries: Vec<Entry>, atomic: bool) -> Ballot {
        let mut times: HashMap<String, usize> = HashMap::new();
        for entry in &entries {
            *times.entry(entry.shown.clone()).or_default() += 1;
        }
        for entry in &mut entries {
            if times.get(&entry.shown).is_some_and(|&n| n > 1) {
                entry.refuse("several updates of one ref");
            }
        }
        let mut ballot = Ballot { entries, atomic, unpack: None };
        ballot.settle();
        ballot
    }

    /// The updates that nothing speaks against yet.
    pub fn open(&self) -> Vec<RefUpdate> {
        let open = self.entries.iter().filter(|e| e.verdict.is_none());
        open.filter_map(|e| e.update.clone()).collect()
    }

    /// Refuses the open updates for which `judge` has a reason, and then the rest where the push is atomic.
    pub fn judge(&mut self, reasons: &HashMap<FullName, String>) {
        for entry in &mut self.entries {
            if let Some(why) = entry.update.as_ref().and_then(|u| reasons.get(&u.name)) {
                entry.refuse(why.clone());
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let lost = self.atomic && self.entries.iter().any(|e| matches!(e.verdict, Some(Err(_))));
        if lost {
            self.entries.iter_mut().for_each(|e| e.refuse(ATOMIC));
        }
    }

    /// The pack could not be taken.
    pub fn unpack_failed(&mut self, why: &str) {
        self.unpack = Some(pktline::visible(why));
        self.entries.iter_mut().for_each(|e| e.refuse("unpacker error"));
    }

    /// What the host has decided on the open updates.
    pub fn decided(&mut self, results: Vec<(FullName, Result<(), String>)>) {
        let mut results: HashMap<FullName, Result<(), String>> = results.into_iter().collect();
        for entry in self.entries.iter_mut().filter(|e| e.verdict.is_none()) {
            let result = entry.update.as_ref().and_then(|u| results.remove(&u.name));
            entry.verdict = Some(result.unwrap_or_else(|| Err("the server did not decide on it".to_owned())));
        }
    }

    /// What the reasons say beyond their first lines, each line once.
    pub fn advice(&self) -> Vec<&str> {
        let (mut lines, mut said) = (Vec::new(), HashSet::new());
        for why in self.entries.iter().filter_map(|e| e.verdict.as_ref()?.as_ref().err()) {
            // An empty line between two paragraphs may come again.
            lines.extend(why.lines().skip(1).filter(|line| line.is_empty() || said.insert(*line)));
        }
        lines
    }

    /// The report, framed, for `report-status` and `report-status-v2` alike: no command is done under another name.
    pub fn report(&self) -> Vec<u8> {
        let mut out = Vec::new();
        pktline::line(&mut out, &format!("unpack {}", self.unpack.as_deref().unwrap_or("ok")));
        for entry in &self.entries {
            match &entry.verdict {
                Some(Ok(())) => pktline::line(&mut out, &format!("ok {}", entry.shown)),
                Some(Err(why)) => {
                    let why = pktline::visible(why.lines().next().unwrap_or("refused"));
                    pktline::line(&mut out, &format!("ng {} {why}", entry.shown));
                }
                None => pktline::line(&mut out, &format!("ng {} not decided", entry.shown)),
            }
        }
        out.extend_from_slice(pktline::FLUSH);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        let update = RefUpdate { name: name.parse().unwrap(), old: None, new: None };
        Entry::open(name.to_owned(), update)
    }

    fn report(ballot: &Ballot) -> Vec<String> {
        pktline::payloads(&ballot.report()).map(|l| String::from_utf8_lossy(pktline::text(l)).into_owned()).collect()
    }

    #[test]
    fn one_refusal_sinks_an_atomic_push_and_the_first_reason_stays() {
        let commands = || vec![entry("refs/heads/a"), Entry::refused("refs/heads/-b".into(), "bad name")];
        let mut ballot = Ballot::new(commands(), true);
        assert!(ballot.open().is_empty());
        ballot.unpack_failed("too late");
        assert_eq!(report(&ballot)[1..], ["ng refs/heads/a atomic push failure", "ng refs/heads/-b bad name"]);

        let mut ballot = Ballot::new(commands(), false);
        ballot.decided(vec![("refs/heads/a".parse().unwrap(), Ok(()))]);
        assert_eq!(report(&ballot), ["unpack ok", "ok refs/heads/a", "ng refs/heads/-b bad name"]);
    }

    #[test]
    fn a_name_twice_is_refused_twice() {
        let ballot = Ballot::new(vec![entry("refs/heads/a"), entry("refs/heads/b"), entry("refs/heads/a")], false);
        assert_eq!(ballot.open().len(), 1);
        assert_eq!(report(&ballot).iter().filter(|l| l.contains("several updates")).count(), 2);
    }

    #[test]
    fn the_first_line_of_a_reason_stands_beside_the_ref_and_the_rest_is_said_once() {
        let mut ballot = Ballot::new(vec![entry("refs/heads/a"), entry("refs/heads/b")], false);
        let why = |name: &str| (name.parse().unwrap(), Err("no\nnext: git fetch".to_owned()));
        ballot.decided(vec![why("refs/heads/a"), why("refs/heads/b")]);
        assert_eq!(report(&ballot)[1..], ["ng refs/heads/a no", "ng refs/heads/b no"]);
        assert_eq!(ballot.advice(), ["next: git fetch"]);
    }

    #[test]
    fn what_the_host_forgets_is_no_success() {
        let mut ballot = Ballot::new(vec![entry("refs/heads/a")], false);
        ballot.decided(Vec::new());
        assert_eq!(report(&ballot)[1], "ng refs/heads/a the server did not decide on it");
    }
}
