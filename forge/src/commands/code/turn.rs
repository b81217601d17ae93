//! Turns for what looks through much: blame, logs of a path, comparisons, searches, archives, large files.
//!
//! Of these at most as many run at once as leave half of the cores to everything else. A turn that is free goes to whoever
//! was served longest ago: who walks through all pages of a project with many connections waits behind themselves, and
//! anybody else comes next.
//!
//! Invariant: one asker has only a share under way or waiting, whatever it opens; what it asks beyond is refused at once.
//! Invariant: while bytes wait for a reader who is slow, nobody else waits for that turn, and they are bounded.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use notes_schema::AgentName;

use crate::answer::{Code, Refusal};
use crate::commands::Context;

/// Most that wait for a turn.
/// Limit: searches through code that wait for others | {}; the next one is told to come again
const MOST_WAITING: usize = 64;
/// Longest wait for a turn.
/// Limit: how long a search through code waits for others | {}; then it is told to come again
const LONGEST: Duration = Duration::from_secs(5);
/// Most bytes of archives and large files that are on their way to readers; one asker may have half of them.
/// Limit: archives and large files on their way to readers | {:bytes}, half of it for one asker; the next is told to come again
const MOST_SENT: u64 = 256 << 20;
/// What one counts for at least: it holds a thread, too.
const LEAST_SENT: u64 = 4 << 20;
/// Most askers of whom it is remembered when they were served.
/// Limit: askers of searches through code that are remembered | {}; of others it is forgotten once they have nothing under way
const MOST_KNOWN: usize = 1024;

/// Those of this process.
static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Turns::new((cores / 2).max(1))
});

/// Who asks: an agent, or else an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Agent(AgentName),
    Address(IpAddr),
    /// Whoever came without either; all of them share.
    Unknown,
}

impl Asker {
    fn of(context: &Context) -> Asker {
        match (context.actor.agent(), context.from) {
            (Some(agent), _) => Asker::Agent(agent.name.clone()),
            (None, Some(address)) => Asker::Address(crate::arrivals::source(address)),
            (None, None) => Asker::Unknown,
        }
    }
}

struct Turns {
    most: usize,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Bytes on their way.
    sent: u64,
    /// In the order in which they came.
    waiting: VecDeque<(u64, Asker)>,
    askers: HashMap<Asker, Known>,
    /// Grows with each who waits and with each who is served.
    clock: u64,
}

/// What is known of an asker.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// How many of its searches run, wait or are being sent.
    under_way: usize,
    sent: u64,
    /// When it was served last; 0 is never.
    served: u64,
}

/// The right to look through much, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    of: &'static Turns,
    asker: Asker,
    /// Whether it counts among those that run.
    runs: bool,
    sent: u64,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turns of {}", self.most)
    }
}

/// Waits for a turn. Blocks.
pub(super) fn take(context: &Context) -> Result<Turn, Refusal> {
    TURNS.take(Asker::of(context), context.forge.config().limits.searches_each, LONGEST)
}

fn busy(why: &str) -> Refusal {
    Refusal::new(Code::TryLater, "code", why, "project list")
}

impl Turns {
    fn new(most: usize) -> Turns {
        Turns { most, state: Mutex::default(), left: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: no panic under this lock")
    }

    fn take(&'static self, asker: Asker, each: usize, longest: Duration) -> Result<Turn, Refusal> {
        let mut state = self.lock();
        if each > 0 && state.of(&asker).under_way >= each {
            let why =
                format!("you have {each} searches through code under way, as many as one may: come again in a moment");
            return Err(Refusal::too_many("code", why, "project list"));
        }
        if state.running >= self.most && state.waiting.len() >= MOST_WAITING {
            return Err(busy("too many searches through code are under way: come again in a moment"));
        }
        state.of(&asker).under_way += 1;
        match self.wait(state, &asker, Some(Instant::now() + longest)) {
            true => Ok(Turn { of: self, asker, runs: true, sent: 0 }),
            false => Err(busy("other searches through code took too long: come again in a moment")),
        }
    }

    /// Waits until `asker`, who has one under way, may run; `false` when that took too long, and it is over.
    fn wait(&self, mut state: MutexGuard<'_, State>, asker: &Asker, until: Option<Instant>) -> bool {
        state.clock += 1;
        let ticket = state.clock;
        state.waiting.push_back((ticket, asker.clone()));
        while state.running >= self.most || state.next() != Some(ticket) {
            let Some(until) = until else {
                state = self.left.wait(state).expect("invariant: no panic under this lock");
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting.retain(|(other, _)| *other != ticket);
                state.of(asker).under_way -= 1;
                // It may have been the next.
                self.left.notify_all();
                return false;
            }
            state = self.left.wait_timeout(state, left).expect("invariant: no panic under this lock").0;
        }
        state.waiting.retain(|(other, _)| *other != ticket);
        state.running += 1;
        state.clock += 1;
        state.of(asker).served = state.clock;
        // There may be room for one more.
        self.left.notify_all();
        true
    }
}

impl State {
    fn of(&mut self, asker: &Asker) -> &mut Known {
        if self.askers.len() >= MOST_KNOWN && !self.askers.contains_key(asker) {
            self.askers.retain(|_, known| known.under_way > 0);
        }
        self.askers.entry(asker.clone()).or_default()
    }

    /// Who comes next: the first of the asker that was served longest ago.
    fn next(&self) -> Option<u64> {
        let served = |asker: &Asker| self.askers.get(asker).map_or(0, |known| known.served);
        self.waiting.iter().min_by_key(|(ticket, asker)| (served(asker), *ticket)).map(|(ticket, _)| *ticket)
    }
}

impl Turn {
    /// Counts `bytes` that will go to a reader, until the turn is over.
    pub(super) fn sends(&mut self, bytes: u64) -> Result<(), Refusal> {
        let bytes = bytes.max(LEAST_SENT);
        let mut state = self.of.lock();
        let (all, mine) = (state.sent, state.of(&self.asker).sent);
        // One alone may be of any size that is sent at all.
        if mine > 0 && mine + bytes > MOST_SENT / 2 {
            let why =
                "archives and large files are on their way to you, as many as one may have: come again in a moment";
            return Err(Refusal::too_many("code", why, "project list"));
        }
        if all > 0 && all + bytes > MOST_SENT {
            return Err(busy("too many archives and large files are on their way to readers: come again in a moment"));
        }
        state.sent += bytes;
        state.of(&self.asker).sent += bytes;
        self.sent += bytes;
        Ok(())
    }

    /// Does what waits for somebody else, while others have the turn; comes back when it is this one's again.
    fn aside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.rest(&mut self.of.lock());
        let done = work();
        self.runs = self.of.wait(self.of.lock(), &self.asker, None);
        done
    }

    fn rest(&mut self, state: &mut State) {
        state.running -= usize::from(std::mem::take(&mut self.runs));
        self.of.left.notify_all();
    }

    /// Writes to a reader who may be slow: others have the turn meanwhile.
    pub(super) fn writing(self, to: &mut dyn Write) -> impl Write {
        Sending { turn: self, to }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        self.rest(&mut state);
        state.sent -= self.sent;
        let sent = self.sent;
        let mine = state.of(&self.asker);
        mine.under_way -= 1;
        mine.sent -= sent;
    }
}

struct Sending<'w> {
    turn: Turn,
    to: &'w mut dyn Write,
}

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn.aside(|| self.to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.turn.aside(|| self.to.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> &'static Turns {
        Box::leak(Box::new(Turns::new(1)))
    }

    fn asker(name: &str) -> Asker {
        Asker::Agent(name.parse().unwrap())
    }

    fn take(turns: &'static Turns, name: &str) -> Result<Turn, Refusal> {
        turns.take(asker(name), 3, Duration::from_secs(60))
    }

    fn waiting(turns: &Turns, many: usize) {
        while turns.lock().waiting.len() < many {
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_comes_while_all_turns_are_taken_waits_and_is_then_sent_away() {
        let turns = turns();
        let first = take(turns, "a").unwrap();
        let late = turns.take(asker("b"), 3, Duration::from_millis(20)).unwrap_err();
        assert_eq!((late.code, late.http_status()), (Code::TryLater, 503));
        let other = std::thread::spawn(|| take(turns, "b").map(drop));
        waiting(turns, 1);
        drop(first);
        other.join().unwrap().unwrap();
        let again = take(turns, "a").unwrap();
        turns.lock().waiting = (0..MOST_WAITING as u64).map(|n| (n, asker("c"))).collect();
        let began = Instant::now();
        assert_eq!(take(turns, "b").unwrap_err().http_status(), 503);
        assert!(began.elapsed() < Duration::from_secs(30), "it does not wait");
        drop(again);
    }

    #[test]
    fn one_asker_has_its_share_and_others_come_before_what_else_it_asks() {
        let turns = turns();
        let held = take(turns, "scraper").unwrap();
        let (told, order) = std::sync::mpsc::channel();
        let run = |name: &'static str| {
            let told = told.clone();
            std::thread::spawn(move || {
                let turn = take(turns, name).unwrap();
                told.send(name).unwrap();
                drop(turn);
            })
        };
        let mut running = vec![run("scraper")];
        waiting(turns, 1);
        running.push(run("scraper"));
        waiting(turns, 2);
        let refused = take(turns, "scraper").unwrap_err();
        assert_eq!((refused.http_status(), refused.rule.as_str()), (429, "too-many"));
        running.push(run("reader"));
        waiting(turns, 3);
        drop(held);
        running.into_iter().for_each(|thread| thread.join().unwrap());
        let order: Vec<&str> = order.try_iter().collect();
        assert_eq!(order, ["reader", "scraper", "scraper"], "the reader came last, and was never served before");
        take(turns, "scraper").expect("what is over does not count");
        let many: &'static Turns = Box::leak(Box::new(Turns::new(9)));
        let any: Vec<Turn> = (0..9).map(|_| many.take(asker("a"), 0, LONGEST).unwrap()).collect();
        assert_eq!(any.len(), 9, "0 is any number");
    }

    #[test]
    fn while_a_reader_is_waited_for_others_have_the_turn() {
        let turns = turns();
        let mut slow = take(turns, "slow").unwrap();
        slow.aside(|| take(turns, "quick").map(drop)).unwrap();
        assert_eq!(turns.lock().running, 1);
        slow.sends(1).unwrap();
        assert_eq!(slow.sends(MOST_SENT / 2).unwrap_err().http_status(), 429, "half of it is for others");
        let refused = slow.aside(|| take(turns, "large").unwrap().sends(MOST_SENT).unwrap_err());
        assert_eq!(refused.http_status(), 503, "with the other it would be too much");
        drop(slow);
        let state = turns.lock();
        assert_eq!((state.running, state.sent, state.waiting.len()), (0, 0, 0));
        assert!(state.askers.values().all(|known| (known.under_way, known.sent) == (0, 0)));
    }
}
