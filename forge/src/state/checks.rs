//! External checks of a project: who may post which, and the newest word of each agent about each tree.
//!
//! Invariant: a word counts only while its agent is registered for that check, and only if it was said since. So a
//! maintainer who drops an agent drops at once whatever it said.

use std::collections::HashSet;

use imbl::OrdMap;
use notes_schema::event::{CheckPosted, CheckState};
use notes_schema::{AgentName, Oid};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::fold::Happened;

/// The chain of one agent's checks after its last event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksState {
    /// What it may post.
    pub names: Vec<String>,
    /// How often it posted.
    pub words: u64,
}

impl ChecksState {
    pub(super) fn registered(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    pub(super) fn dropped(&mut self, name: &str) {
        self.names.retain(|known| known != name);
    }
}

/// What an agent said last of one check and one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The commit that it named.
    pub commit: Oid,
    /// How the check stands.
    pub state: CheckState,
    /// One line for people; may be empty.
    pub description: String,
    /// Where more can be read; may be empty.
    pub url: String,
    /// When, milliseconds since 1970.
    pub t: u64,
    /// Its forge-wide number.
    pub q: u64,
    /// How many words there were about this tree so far, this one included.
    pub count: u64,
}

/// A word that counts, with who said it of which check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// The check.
    pub name: &'a str,
    /// Who.
    pub by: &'a AgentName,
    /// What.
    pub word: &'a Word,
}

type Key = (String, AgentName);

/// Everything folded of a project's checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// Since which forge-wide number an agent may post a check.
    registered: OrdMap<Key, u64>,
    words: OrdMap<Oid, OrdMap<Key, Shared<Word>>>,
}

impl Checks {
    /// Who may post which check, by its name.
    pub fn registered(&self) -> impl Iterator<Item = (&str, &AgentName)> {
        self.registered.keys().map(|(name, agent)| (name.as_str(), agent))
    }

    /// Whether `agent` may post `name`.
    pub fn may_post(&self, name: &str, agent: &AgentName) -> bool {
        self.registered.contains_key(&(name.to_owned(), agent.clone()))
    }

    /// Whether nothing was ever said: then nothing about any tree need be looked up.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words that count about `tree`, one per check and agent, oldest first. "Check `name` stands so on `tree`, says
    /// `by` at `word.q`" is all that there is to a re-run by somebody's CI.
    pub fn on(&self, tree: Oid) -> Vec<Said<'_>> {
        let words = self.words.get(&tree).into_iter().flatten();
        let counts = |((name, by), word): (&'_ Key, &'_ Shared<Word>)| {
            self.registered.get(&(name.clone(), by.clone())).is_some_and(|since| word.q > *since)
        };
        let said = words.filter(|(key, word)| counts((key, word)));
        let mut said: Vec<Said<'_>> = said.map(|((name, by), word)| Said { name, by, word }).collect();
        said.sort_by_key(|said| said.word.q);
        said
    }

    /// What `agent` said last of `name` and `tree`, where it counts.
    pub fn last(&self, tree: Oid, name: &str, agent: &AgentName) -> Option<&Word> {
        let key = (name.to_owned(), agent.clone());
        let since = self.registered.get(&key)?;
        self.words.get(&tree)?.get(&key).map(|word| &**word).filter(|word| word.q > *since)
    }

    /// The trees of which `agent` said something of `name` that counts. Looks through all, so it is asked outside the
    /// committer.
    pub fn trees(&self, name: &str, agent: &AgentName) -> HashSet<Oid> {
        let key = (name.to_owned(), agent.clone());
        let Some(since) = self.registered.get(&key) else { return HashSet::new() };
        let said = |words: &OrdMap<Key, Shared<Word>>| words.get(&key).is_some_and(|word| word.q > *since);
        self.words.iter().filter(|(_, words)| said(words)).map(|(tree, _)| *tree).collect()
    }

    pub(super) fn register(&mut self, name: &str, agent: &AgentName, q: u64) {
        self.registered.entry((name.to_owned(), agent.clone())).or_insert(q);
    }

    pub(super) fn drop(&mut self, name: &str, agent: &AgentName) {
        self.registered.remove(&(name.to_owned(), agent.clone()));
    }

    pub(super) fn posted(&mut self, fact: &CheckPosted, by: &AgentName, at: &Happened) {
        let count = self.last(fact.tree, &fact.name, by).map_or(0, |word| word.count) + 1;
        let word = Word {
            commit: fact.commit,
            state: fact.state,
            description: fact.description.clone(),
            url: fact.url.clone(),
            t: at.t,
            q: at.q,
            count,
        };
        self.words.entry(fact.tree).or_default().insert((fact.name.clone(), by.clone()), Shared::new(word));
    }
}

/// The newest word of each check, without those by `author`: nobody passes their own work. Oldest first.
pub fn newest<'a>(said: &[Said<'a>], author: Option<&AgentName>) -> Vec<Said<'a>> {
    let mut newest: Vec<Said<'a>> = Vec::new();
    for said in said.iter().filter(|said| Some(said.by) != author) {
        newest.retain(|other| other.name != said.name);
        newest.push(*said);
    }
    newest
}

/// How several checks stand together: one that failed makes them fail, one that has not ended leaves them open.
pub fn together<'a>(said: impl IntoIterator<Item = &'a Said<'a>>) -> Option<CheckState> {
    let weight = |state: CheckState| match state {
        CheckState::Success => 0,
        CheckState::Pending => 1,
        CheckState::Failure | CheckState::Error => 2,
    };
    let worst = said.into_iter().map(|said| said.word.state).max_by_key(|state| weight(*state))?;
    Some(if worst == CheckState::Error { CheckState::Failure } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentName {
        name.parse().unwrap()
    }

    fn oid(digit: u8) -> Oid {
        Oid::from_bytes([digit; 20])
    }

    fn post(checks: &mut Checks, name: &str, by: &str, tree: u8, state: CheckState, q: u64) {
        let fact = CheckPosted {
            name: name.into(),
            commit: oid(9),
            tree: oid(tree),
            state,
            description: String::new(),
            url: String::new(),
        };
        checks.posted(&fact, &agent(by), &Happened { agent: &agent(by), t: q, q, text: None });
    }

    fn said(checks: &Checks, tree: u8, author: Option<&str>) -> Vec<(String, String, CheckState)> {
        let author = author.map(agent);
        let of = |said: &Said<'_>| (said.name.to_owned(), said.by.to_string(), said.word.state);
        newest(&checks.on(oid(tree)), author.as_ref()).iter().map(of).collect()
    }

    #[test]
    fn the_newest_word_of_a_check_on_a_tree_counts() {
        let mut checks = Checks::default();
        checks.register("ci", &agent("robot"), 1);
        checks.register("ci", &agent("other"), 2);
        checks.register("lint", &agent("robot"), 3);
        post(&mut checks, "ci", "robot", 5, CheckState::Success, 4);
        post(&mut checks, "lint", "robot", 5, CheckState::Error, 5);
        post(&mut checks, "ci", "other", 5, CheckState::Pending, 6);
        post(&mut checks, "ci", "robot", 6, CheckState::Failure, 7);
        let line = |name: &str, by: &str, state| (name.to_owned(), by.to_owned(), state);
        let both = [line("lint", "robot", CheckState::Error), line("ci", "other", CheckState::Pending)];
        assert_eq!(said(&checks, 5, None), both);
        let without = [line("ci", "robot", CheckState::Success), line("lint", "robot", CheckState::Error)];
        assert_eq!(said(&checks, 5, Some("other")), without, "an author's own word is as if it were not said");
        assert_eq!(said(&checks, 6, None), [line("ci", "robot", CheckState::Failure)]);
        assert_eq!(together(&checks.on(oid(5))), Some(CheckState::Failure));
        assert_eq!(together(&checks.on(oid(7))), None);
        post(&mut checks, "lint", "robot", 5, CheckState::Success, 8);
        assert_eq!(together(&checks.on(oid(5))), Some(CheckState::Pending));
        post(&mut checks, "ci", "other", 5, CheckState::Success, 9);
        assert_eq!(together(&checks.on(oid(5))), Some(CheckState::Success));
        assert_eq!(checks.last(oid(5), "ci", &agent("other")).unwrap().count, 2);
    }

    #[test]
    fn what_a_dropped_agent_said_does_not_count_when_it_comes_back_either() {
        let mut checks = Checks::default();
        checks.register("ci", &agent("robot"), 1);
        post(&mut checks, "ci", "robot", 5, CheckState::Success, 2);
        assert_eq!(checks.on(oid(5)).len(), 1);
        checks.drop("ci", &agent("robot"));
        assert_eq!((checks.on(oid(5)).len(), checks.may_post("ci", &agent("robot"))), (0, false));
        checks.register("ci", &agent("robot"), 3);
        assert_eq!((checks.on(oid(5)).len(), checks.last(oid(5), "ci", &agent("robot"))), (0, None));
        post(&mut checks, "ci", "robot", 5, CheckState::Failure, 4);
        assert_eq!(checks.on(oid(5))[0].word.count, 1);
    }
}
