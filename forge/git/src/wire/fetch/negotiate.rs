//! Finding out what a client has that we have too.
//!
//! Invariant: every line is answered as git's own server answers it. What is kept is what both have; and finding out
//! whether that is enough costs no more, in all, than a budget.

use std::sync::Arc;

use notes_schema::Oid;

use super::request::MultiAck;
use crate::object::Kind;
use crate::select::Named;
use crate::select::commits::{Commits, THEIRS};
use crate::select::ids::IdSet;
use crate::store::{Known, ReadError, Store};
use crate::wire::pktline;

/// How many commits one conversation may look at to find out whether enough is known.
/// Limit: commits looked at in one negotiation to find out whether enough is known | {}; beyond, the client says
/// when it is done
const BUDGET: u64 = 20_000_000;

/// What is known so far.
pub struct Negotiation {
    /// The commits looked at.
    pub commits: Commits,
    /// What the client wants.
    pub wants: Named,
    /// What both have, each once, as the client named it.
    pub common: Vec<Oid>,
    known: IdSet,
    packs: Known,
    oldest: i64,
    /// Whether what both have is known to be enough; `None` where that must be looked at.
    enough: Option<bool>,
    budget: u64,
    last: Option<Oid>,
    got_common: bool,
    got_other: bool,
    ready: bool,
}

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a flush: the client waits for an answer.
    Flush,
    /// With `done`: the client waits for a pack.
    Done,
}

impl Negotiation {
    /// About `wants`.
    pub fn new(store: &Arc<Store>, commits: Commits, wants: Named) -> Negotiation {
        Negotiation {
            commits,
            wants,
            common: Vec::new(),
            known: IdSet::default(),
            packs: store.known(),
            oldest: i64::MAX,
            enough: None,
            budget: BUDGET,
            last: None,
            got_common: false,
            got_other: false,
            ready: false,
        }
    }

    fn kind(&self, id: Oid) -> Option<Kind> {
        let recent = self.commits.store().recent(id).map(|object| object.kind);
        recent.or_else(|| self.packs.kind(self.commits.store(), id))
    }

    /// The client has `id`. Whether we have it too.
    pub fn have(&mut self, id: Oid) -> Result<bool, ReadError> {
        let Some(kind) = self.kind(id) else { return Ok(false) };
        let mut new = self.known.insert(id);
        if kind == Kind::Commit {
            let node = self.commits.node(id);
            self.commits.need(node)?;
            new &= !self.commits.is(node, THEIRS);
            self.oldest = self.oldest.min(self.commits.date(node));
            self.commits.mark(node, THEIRS);
            for at in 0..self.commits.parents(node).len() {
                let parent = self.commits.parents(node)[at];
                self.commits.mark(parent, THEIRS);
            }
        }
        if new {
            self.common.push(id);
            self.enough = self.enough.filter(|&enough| enough);
        }
        Ok(true)
    }

    /// Whether every want reaches something that both have.
    pub fn is_enough(&mut self) -> Result<bool, ReadError> {
        if self.common.is_empty() {
            return Ok(false);
        }
        if let Some(known) = self.enough {
            return Ok(known);
        }
        let enough = self.commits.all_reach_theirs(&self.wants.commits, self.oldest, &mut self.budget)?;
        self.enough = Some(enough);
        Ok(enough)
    }

    /// One round under v0 or v1. Appends the answer to `out`; true when a pack follows.
    pub fn round(
        &mut self,
        haves: &[Oid],
        end: End,
        multi: MultiAck,
        no_done: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        for &id in haves {
            self.answer(id, multi, out)?;
        }
        let last = self.last;
        let ack = |out: &mut Vec<u8>, suffix: &str| match last {
            Some(id) => pktline::line(out, &format!("ACK {id}{suffix}")),
            None => pktline::line(out, "NAK"),
        };
        if end == End::Done {
            if self.common.is_empty() || multi != MultiAck::Single {
                ack(out, "");
            }
            return Ok(true);
        }
        if multi == MultiAck::Detailed && self.got_common && !self.got_other && self.is_enough()? {
            self.ready = true;
            ack(out, " ready");
        }
        if self.common.is_empty() || multi != MultiAck::Single {
            pktline::line(out, "NAK");
        }
        (self.got_common, self.got_other) = (false, false);
        if no_done && self.ready {
            ack(out, "");
            return Ok(true);
        }
        Ok(false)
    }

    fn answer(&mut self, id: Oid, multi: MultiAck, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let line = |out: &mut Vec<u8>, suffix: &str| pktline::line(out, &format!("ACK {id}{suffix}"));
        if self.have(id)? {
            self.got_common = true;
            self.last = Some(id);
            match multi {
                MultiAck::Detailed => line(out, " common"),
                MultiAck::Multi => line(out, " continue"),
                MultiAck::Single if self.common.len() == 1 => line(out, ""),
                MultiAck::Single => {}
            }
            return Ok(());
        }
        self.got_other = true;
        if multi == MultiAck::Single || !self.is_enough()? {
            return Ok(());
        }
        if multi == MultiAck::Detailed {
            self.ready = true;
            line(out, " ready");
        } else {
            line(out, " continue");
        }
        Ok(())
    }
}
