//! What a project asks of changes: `.forge/policy.toml` on its default branch, and what holds where that says nothing.
//!
//! The keys stand in one table, [`KEYS`], which reads the file and from which the documentation is made.
//!
//! Invariant: what no key says is as it was before there was a policy. A tier, a ref or touched tests can only add to
//! what is demanded of everything. A file that is not understood whole is refused whole, with line and key.

mod glob;
mod keys;

use std::fmt;

use notes_schema::event::Level;
use notes_schema::{AgentName, Oid, RefName};
use serde::Serialize;

pub use glob::Glob;
pub use keys::{KEYS, Key, LARGEST, PolicyError, documentation};

/// Where the policy stands.
pub const PATH: &str = ".forge/policy.toml";

/// How much a change can break, by the paths that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Everything that is not listed.
    Low,
    /// A path of `risk.medium` is touched.
    Medium,
    /// A path of `risk.high` is touched.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        })
    }
}

/// How a pull request becomes part of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A commit with both as parents.
    Merge,
    /// One commit of all changes, with the target as its parent.
    Squash,
    /// Each commit made again upon the target.
    Rebase,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 3] = [Strategy::Merge, Strategy::Squash, Strategy::Rebase];

    /// As in the file, commands and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Merge => "merge",
            Strategy::Squash => "squash",
            Strategy::Rebase => "rebase",
        }
    }

    /// The strategy of that name.
    pub fn named(name: &str) -> Option<Strategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

/// Who may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// `*`: every agent.
    Anyone,
    /// `@author`: who opened the pull request.
    Author,
    /// `@maintainer`: who created the project.
    Maintainer,
    /// An agent by name.
    Agent(AgentName),
}

impl Who {
    /// Whether `agent` is meant, in a project of `maintainer`, for work of `author`.
    pub fn is(&self, agent: &AgentName, maintainer: &AgentName, author: Option<&AgentName>) -> bool {
        match self {
            Who::Anyone => true,
            Who::Author => author == Some(agent),
            Who::Maintainer => agent == maintainer,
            Who::Agent(name) => name == agent,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anyone => f.write_str("*"),
            Who::Author => f.write_str("@author"),
            Who::Maintainer => f.write_str("@maintainer"),
            Who::Agent(name) => fmt::Display::fmt(name, f),
        }
    }
}

/// Names of those who may, for people.
pub(crate) fn listed(who: &[Who]) -> String {
    who.iter().map(Who::to_string).collect::<Vec<_>>().join(", ")
}

/// A command that counts as proof: its words, and whether more may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<String>,
    open: bool,
}

impl Command {
    fn parse(text: &str) -> Option<Command> {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let open = words.last().is_some_and(|word| word == "*");
        if open {
            words.pop();
        }
        (!words.is_empty()).then_some(Command { words, open })
    }

    /// Whether a run of `argv` is a run of this command.
    pub fn is(&self, argv: &[String]) -> bool {
        if self.open { argv.starts_with(&self.words) } else { argv == self.words }
    }

    /// The command as it is typed.
    pub fn typed(&self) -> String {
        self.words.iter().map(|word| crate::command::quote(word)).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.words.join(" "), if self.open { " *" } else { "" })
    }
}

/// What is demanded of a change before it lands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demands {
    /// Least level of its proof.
    pub level: Level,
    /// Test counts must have been read, and be above zero.
    pub counts: bool,
    /// Names of checks that must have passed on its tree.
    pub checks: Vec<String>,
    /// Approvals of its head by others.
    pub approvals: u64,
    /// What their weights must come to.
    pub weight: u64,
}

impl Demands {
    const NONE: Demands = Demands { level: Level::P0, counts: false, checks: Vec::new(), approvals: 0, weight: 0 };

    /// Whether anything is demanded.
    pub fn is_none(&self) -> bool {
        *self == Demands::NONE
    }

    /// Both together.
    fn and(mut self, other: &Demands) -> Demands {
        self.level = self.level.max(other.level);
        self.counts |= other.counts;
        self.approvals = self.approvals.max(other.approvals);
        self.weight = self.weight.max(other.weight);
        let more: Vec<String> = other.checks.iter().filter(|c| !self.checks.contains(c)).cloned().collect();
        self.checks.extend(more);
        self
    }
}

/// Whether `level` is at least `least`. What was refuted is never enough.
pub fn reaches(level: Level, least: Level) -> bool {
    match level {
        Level::PX => false,
        Level::P0 | Level::P1 | Level::P2 | Level::P3 => level >= least,
    }
}

/// What is asked of the refs that a glob matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefPolicy {
    /// Whole names, `refs/heads/release/*`.
    pub name: Glob,
    /// Who may push them; nobody named: as without the policy.
    pub push: Vec<Who>,
    /// What is demanded of pull requests into them, on top of the rest.
    pub demands: Demands,
}

/// Paths that not everybody may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The paths.
    pub paths: Vec<Glob>,
    /// Who may change them.
    pub agents: Vec<Who>,
}

/// What an approval weighs, by the reviewer's tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Bronze.
    pub bronze: u64,
    /// Silver.
    pub silver: u64,
    /// Gold.
    pub gold: u64,
}

/// How well an agent is proven here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Where everybody begins.
    #[default]
    Bronze,
    /// The middle.
    Silver,
    /// The top.
    Gold,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Of every change.
    pub require: Demands,
    /// Also of medium risk.
    pub medium: Demands,
    /// Also of high risk.
    pub high: Demands,
    /// Also where tests or build configuration are touched.
    pub tests: Demands,
    /// The commands that count as proof; none named: any.
    pub commands: Vec<Command>,
    /// Paths of medium risk.
    pub medium_paths: Vec<Glob>,
    /// Paths of high risk.
    pub high_paths: Vec<Glob>,
    /// Paths of tests and build configuration.
    pub test_paths: Vec<Glob>,
    /// Who may merge.
    pub merge_by: Vec<Who>,
    /// How it may be merged.
    pub strategies: Vec<Strategy>,
    /// How it is merged unless somebody says.
    pub strategy: Strategy,
    /// Least level of the proof of the tree that lands.
    pub landed: Level,
    /// Paths that nobody may add or change.
    pub forbidden: Vec<Glob>,
    /// Largest file, in bytes; 0 for no cap.
    pub largest_file: u64,
    /// Most files that one pull request changes; 0 for no cap.
    pub most_files: u64,
    /// Paths that only some may change.
    pub scopes: Vec<Scope>,
    /// Refs with rules of their own.
    pub refs: Vec<RefPolicy>,
    /// What approvals weigh.
    pub weights: Weights,
    /// Whether what is pushed is searched for secrets.
    pub search_secrets: bool,
    /// Hours without a sign of life after which work on an issue ends; 0 for never.
    pub idle_hours: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            require: Demands { level: Level::P1, approvals: 1, ..Demands::NONE },
            medium: Demands::NONE,
            high: Demands::NONE,
            tests: Demands::NONE,
            commands: Vec::new(),
            medium_paths: Vec::new(),
            high_paths: Vec::new(),
            test_paths: keys::usual_test_paths(),
            merge_by: vec![Who::Anyone],
            strategies: Strategy::ALL.to_vec(),
            strategy: Strategy::Merge,
            landed: Level::P0,
            forbidden: Vec::new(),
            largest_file: 0,
            most_files: 0,
            scopes: Vec::new(),
            refs: Vec::new(),
            weights: Weights { bronze: 1, silver: 2, gold: 3 },
            search_secrets: true,
            idle_hours: 24,
        }
    }
}

impl Policy {
    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Policy, PolicyError> {
        keys::parse(bytes)
    }

    /// Every check that some change may need, each once.
    pub fn checks(&self) -> Vec<&str> {
        let demands = [&self.require, &self.medium, &self.high, &self.tests].into_iter();
        let all = demands.chain(self.refs.iter().map(|of| &of.demands));
        let names: std::collections::BTreeSet<&str> =
            all.flat_map(|demands| demands.checks.iter().map(String::as_str)).collect();
        names.into_iter().collect()
    }

    /// Whether anything is asked of single files, so that a push must be looked through.
    pub fn asks_about_files(&self) -> bool {
        !self.forbidden.is_empty() || self.largest_file > 0 || !self.scopes.is_empty()
    }

    /// Whether anything hangs on which paths a change touches.
    pub fn asks_about_paths(&self) -> bool {
        self.asks_about_files()
            || self.most_files > 0
            || !(self.medium.is_none() && self.high.is_none() && self.tests.is_none())
    }

    /// The risk of a change of `paths`, and the first path that makes it so.
    pub fn risk<'p>(&self, paths: impl Iterator<Item = &'p str> + Clone) -> (Risk, Option<&'p str>) {
        let first = |globs: &[Glob]| paths.clone().find(|path| globs.iter().any(|glob| glob.matches(path)));
        match (first(&self.high_paths), first(&self.medium_paths)) {
            (Some(path), _) => (Risk::High, Some(path)),
            (None, Some(path)) => (Risk::Medium, Some(path)),
            (None, None) => (Risk::Low, None),
        }
    }

    /// Whether a path is one of tests or of build configuration.
    pub fn is_test_path(&self, path: &str) -> bool {
        self.test_paths.iter().any(|glob| glob.matches(path))
    }

    /// The first entry that says who may push `name`.
    pub fn reserved(&self, name: &RefName) -> Option<&RefPolicy> {
        self.refs.iter().find(|entry| !entry.push.is_empty() && entry.name.matches(name.as_str()))
    }

    /// What is demanded of a change of that risk into `target`.
    pub fn demands(&self, target: &RefName, risk: Risk) -> Demands {
        let mut demands = self.require.clone();
        for entry in self.refs.iter().filter(|entry| entry.name.matches(target.as_str())) {
            demands = demands.and(&entry.demands);
        }
        if risk >= Risk::Medium {
            demands = demands.and(&self.medium);
        }
        if risk >= Risk::High {
            demands = demands.and(&self.high);
        }
        demands
    }

    /// What an approval by such an agent weighs.
    pub fn weight(&self, standing: Standing) -> u64 {
        match standing {
            Standing::Bronze => self.weights.bronze,
            Standing::Silver => self.weights.silver,
            Standing::Gold => self.weights.gold,
        }
    }
}

/// The policy that judges, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// What it says.
    pub policy: Policy,
    /// The blob that it was read from; absent where the default branch has none.
    pub blob: Option<Oid>,
    /// Why that blob could not be read: then `policy` is the one by which the maintainer may mend it.
    pub broken: Option<PolicyError>,
}

impl Base {
    /// The policy of a default branch that has this file, or none.
    pub fn of(file: Option<(Oid, &[u8])>) -> Base {
        let Some((blob, bytes)) = file else { return Base::default() };
        match Policy::parse(bytes) {
            Ok(policy) => Base { policy, blob: Some(blob), broken: None },
            // It can only have come before files were checked. Everything asked as ever, by the maintainer alone, lets it
            // be mended and nobody use it.
            Err(error) => {
                let policy = Policy { merge_by: vec![Who::Maintainer], ..Policy::default() };
                Base { policy, blob: Some(blob), broken: Some(error) }
            }
        }
    }

    /// Where it stands, for people.
    pub fn cited(&self) -> String {
        match self.blob {
            Some(blob) => format!("`{PATH}` (blob {})", blob.short()),
            None => format!("the defaults (there is no `{PATH}`)"),
        }
    }
}

#[cfg(test)]
mod tests;
