//! The keys of the policy file: one table that reads it, checks it and documents it.

use std::fmt::{self, Write as _};

use notes_schema::event::Level;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Command, Demands, Glob, Policy, RefPolicy, Scope, Strategy, Who};

/// Largest policy file, in bytes; a larger one is refused before it is read.
/// Limit: policy file of a project | {:bytes}
pub const LARGEST: usize = 64 << 10;
/// Most entries of a list.
/// Limit: entries of one list of a policy | {}
const LIST: usize = 64;
/// Most `[[ref]]` and `[[scope]]` each.
/// Limit: `[[ref]]` and `[[scope]]` of a policy | {} each
const TABLES: usize = 32;
/// Most globs of the whole file: each is asked about each path.
/// Limit: globs of a policy | {}
const GLOBS: usize = 256;
/// Longest text.
/// Limit: one text of a policy | {:bytes}
const TEXT: usize = 200;

/// Why a policy file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// The key, with its table; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

/// ``line 3, key `require.level`: must be P0, P1, P2 or P3``.
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!(", key `{}`", self.key) };
        write!(f, "line {}{key}: {}", self.line, self.why)
    }
}

/// Where a key was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Require,
    Medium,
    High,
    Tests,
    Merge,
    Files,
    Risk,
    TestPaths,
    Weights,
    Secrets,
    Work,
    /// The newest `[[ref]]`.
    Ref,
    /// The newest `[[scope]]`.
    Scope,
}

/// Tables of the file.
const TABLE_NAMES: &[(&str, Place)] = &[
    ("require", Place::Require),
    ("require.medium", Place::Medium),
    ("require.high", Place::High),
    ("require.tests", Place::Tests),
    ("merge", Place::Merge),
    ("files", Place::Files),
    ("risk", Place::Risk),
    ("tests", Place::TestPaths),
    ("weights", Place::Weights),
    ("secrets", Place::Secrets),
    ("work", Place::Work),
    ("ref", Place::Ref),
    ("scope", Place::Scope),
];

type Value<'i> = DeValue<'i>;

/// One key.
pub struct Key {
    tables: &'static [Place],
    /// Its name in its table.
    pub name: &'static str,
    /// What it holds.
    pub kind: &'static str,
    /// What holds where it is not there.
    pub default: &'static str,
    /// How much it may hold.
    pub bound: &'static str,
    /// What it means.
    pub doc: &'static str,
    set: fn(&mut Policy, Place, &Value<'_>) -> Result<(), String>,
}

const DEMANDS: &[Place] = &[Place::Require, Place::Medium, Place::High, Place::Tests, Place::Ref];

/// Every key of the file.
pub const KEYS: &[Key] = &[
    Key {
        tables: DEMANDS,
        name: "level",
        kind: "level",
        default: "`\"P1\"` in `[require]`, else nothing more",
        bound: "`P0` to `P3`",
        doc: "least level of the proof of the head",
        set: |p, at, v| level(v).map(|level| demands(p, at).level = level),
    },
    Key {
        tables: DEMANDS,
        name: "counts",
        kind: "boolean",
        default: "`false`",
        bound: "",
        doc: "the run that proves must have been read as tests, more than zero of them",
        set: |p, at, v| boolean(v).map(|counts| demands(p, at).counts = counts),
    },
    Key {
        tables: DEMANDS,
        name: "checks",
        kind: "list of names",
        default: "`[]`",
        bound: "64 names",
        doc: "external checks that must have passed on the head's tree",
        set: |p, at, v| texts(v).map(|checks| demands(p, at).checks = checks),
    },
    Key {
        tables: DEMANDS,
        name: "approvals",
        kind: "number",
        default: "`1` in `[require]`, else nothing more",
        bound: "0 to 20",
        doc: "approvals of the head by agents other than the author",
        set: |p, at, v| number(v, 20).map(|n| demands(p, at).approvals = n),
    },
    Key {
        tables: DEMANDS,
        name: "weight",
        kind: "number",
        default: "`0`",
        bound: "0 to 1000",
        doc: "what the weights of those approvals must come to",
        set: |p, at, v| number(v, 1000).map(|n| demands(p, at).weight = n),
    },
    Key {
        tables: &[Place::Require],
        name: "commands",
        kind: "list of commands",
        default: "`[]`: any",
        bound: "64 commands",
        doc: "commands that count as proof, run at the top of the work tree; `cargo test *` allows more words",
        set: |p, _, v| {
            let read = |text: &String| Command::parse(text).ok_or_else(|| format!("{text:?} is no command"));
            texts(v)?.iter().map(read).collect::<Result<_, _>>().map(|commands| p.commands = commands)
        },
    },
    Key {
        tables: &[Place::Risk],
        name: "medium",
        kind: "list of globs",
        default: "`[]`",
        bound: "64 globs",
        doc: "paths of medium risk: `[require.medium]` holds as well",
        set: |p, _, v| globs(v).map(|globs| p.medium_paths = globs),
    },
    Key {
        tables: &[Place::Risk],
        name: "high",
        kind: "list of globs",
        default: "`[]`",
        bound: "64 globs",
        doc: "paths of high risk: `[require.medium]` and `[require.high]` hold as well",
        set: |p, _, v| globs(v).map(|globs| p.high_paths = globs),
    },
    Key {
        tables: &[Place::TestPaths],
        name: "paths",
        kind: "list of globs",
        default: "the usual places",
        bound: "64 globs",
        doc: "tests and build configuration: touching them is flagged (E13), and `[require.tests]` holds as well",
        set: |p, _, v| globs(v).map(|globs| p.test_paths = globs),
    },
    Key {
        tables: &[Place::Merge],
        name: "by",
        kind: "list of who",
        default: "`[\"*\"]`",
        bound: "64 names",
        doc: "who may merge: agents, `@author`, `@maintainer`, `*`",
        set: |p, _, v| some_who(v).map(|who| p.merge_by = who),
    },
    Key {
        tables: &[Place::Merge],
        name: "strategies",
        kind: "list of strategies",
        default: "all",
        bound: "`merge`, `squash`, `rebase`",
        doc: "how a pull request may land",
        set: |p, _, v| {
            let read = |text: &String| strategy(text);
            let found: Vec<Strategy> = texts(v)?.iter().map(read).collect::<Result<_, _>>()?;
            p.strategies = found;
            if p.strategies.is_empty() { Err("must name at least one".to_owned()) } else { Ok(()) }
        },
    },
    Key {
        tables: &[Place::Merge],
        name: "strategy",
        kind: "strategy",
        default: "`\"merge\"`, or the first that is allowed",
        bound: "one that is allowed",
        doc: "how it lands unless `--strategy` says otherwise",
        set: |p, _, v| strategy(text(v)?).map(|strategy| p.strategy = strategy),
    },
    Key {
        tables: &[Place::Merge],
        name: "landed",
        kind: "level",
        default: "`\"P0\"`",
        bound: "`P0` to `P3`",
        doc: "least level of the proof of the very tree that lands; above `P0`, a target that moved means another run",
        set: |p, _, v| level(v).map(|level| p.landed = level),
    },
    Key {
        tables: &[Place::Files],
        name: "forbidden",
        kind: "list of globs",
        default: "`[]`",
        bound: "64 globs",
        doc: "paths that nobody may add or change",
        set: |p, _, v| globs(v).map(|globs| p.forbidden = globs),
    },
    Key {
        tables: &[Place::Files],
        name: "largest",
        kind: "number",
        default: "`0`: no cap",
        bound: "0 to 1073741824",
        doc: "largest file, in bytes",
        set: |p, _, v| number(v, 1 << 30).map(|n| p.largest_file = n),
    },
    Key {
        tables: &[Place::Files],
        name: "most",
        kind: "number",
        default: "`0`: no cap",
        bound: "0 to 10000",
        doc: "most files that one pull request changes",
        set: |p, _, v| number(v, 10_000).map(|n| p.most_files = n),
    },
    Key {
        tables: &[Place::Weights],
        name: "bronze",
        kind: "number",
        default: "`1`",
        bound: "0 to 100",
        doc: "what an approval by a Bronze agent weighs",
        set: |p, _, v| number(v, 100).map(|n| p.weights.bronze = n),
    },
    Key {
        tables: &[Place::Weights],
        name: "silver",
        kind: "number",
        default: "`2`",
        bound: "0 to 100",
        doc: "the same for Silver",
        set: |p, _, v| number(v, 100).map(|n| p.weights.silver = n),
    },
    Key {
        tables: &[Place::Weights],
        name: "gold",
        kind: "number",
        default: "`3`",
        bound: "0 to 100",
        doc: "the same for Gold",
        set: |p, _, v| number(v, 100).map(|n| p.weights.gold = n),
    },
    Key {
        tables: &[Place::Secrets],
        name: "search",
        kind: "boolean",
        default: "`true`",
        bound: "",
        doc: "a push that brings a file with a token or a private key in it is refused",
        set: |p, _, v| boolean(v).map(|search| p.search_secrets = search),
    },
    Key {
        tables: &[Place::Work],
        name: "idle_hours",
        kind: "number",
        default: "`24`",
        bound: "0 to 720",
        doc: "hours without a push, a round or a reply of its agent after which work on an issue ends; 0 for never",
        set: |p, _, v| number(v, 720).map(|n| p.idle_hours = n),
    },
    Key {
        tables: &[Place::Ref],
        name: "name",
        kind: "glob",
        default: "must be there",
        bound: "32 `[[ref]]`",
        doc: "whole names of refs, `refs/heads/release/*`; the other keys are about those",
        set: |p, _, v| {
            let name = Glob::parse(text(v)?)?;
            newest(&mut p.refs).map(|entry| entry.name = name)
        },
    },
    Key {
        tables: &[Place::Ref],
        name: "push",
        kind: "list of who",
        default: "every agent, to its own",
        bound: "64 names",
        doc: "who may push them: agents, `@maintainer`, `*`",
        set: |p, _, v| {
            let who = some_who(v)?;
            newest(&mut p.refs).map(|entry| entry.push = who)
        },
    },
    Key {
        tables: &[Place::Scope],
        name: "paths",
        kind: "list of globs",
        default: "must be there",
        bound: "32 `[[scope]]`",
        doc: "paths that only some may change",
        set: |p, _, v| {
            let paths = globs(v)?;
            newest(&mut p.scopes).map(|scope| scope.paths = paths)
        },
    },
    Key {
        tables: &[Place::Scope],
        name: "agents",
        kind: "list of who",
        default: "must be there",
        bound: "64 names",
        doc: "who may: agents, `@maintainer`, `*`",
        set: |p, _, v| {
            let agents = some_who(v)?;
            newest(&mut p.scopes).map(|scope| scope.agents = agents)
        },
    },
];

/// Tests and build configuration where the policy does not say.
const USUAL_TEST_PATHS: &[&str] = &[
    "**/tests/**",
    "**/test/**",
    "**/*_test.*",
    "**/test_*",
    "**/*.test.*",
    "**/*.spec.*",
    "**/conftest.py",
    "**/Cargo.toml",
    "**/build.rs",
    "**/package.json",
    "**/pyproject.toml",
    "**/go.mod",
    "**/Makefile",
    ".cargo/**",
    ".ci/**",
    ".github/**",
    ".forge/**",
];

pub(super) fn usual_test_paths() -> Vec<Glob> {
    USUAL_TEST_PATHS.iter().map(|text| Glob::parse(text).expect("invariant: good globs, as a test shows")).collect()
}

fn demands(policy: &mut Policy, at: Place) -> &mut Demands {
    match at {
        Place::Medium => &mut policy.medium,
        Place::High => &mut policy.high,
        Place::Tests => &mut policy.tests,
        Place::Ref if !policy.refs.is_empty() => {
            let last = policy.refs.len() - 1;
            &mut policy.refs[last].demands
        }
        _ => &mut policy.require,
    }
}

fn newest<T>(list: &mut [T]) -> Result<&mut T, String> {
    list.last_mut().ok_or_else(|| "stands in no table".to_owned())
}

fn text<'v>(value: &'v Value<'_>) -> Result<&'v str, String> {
    let text = value.as_str().ok_or_else(|| format!("must be text, not {}", value.type_str()))?;
    if text.is_empty() || text.len() > TEXT || text.chars().any(char::is_control) {
        return Err(format!("must be 1 to {TEXT} bytes of text without control characters"));
    }
    Ok(text)
}

fn texts(value: &Value<'_>) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| format!("must be a list, not {}", value.type_str()))?;
    if list.len() > LIST {
        return Err(format!("holds {} entries, and may hold {LIST}", list.len()));
    }
    list.iter().map(|entry| text(entry.get_ref()).map(str::to_owned)).collect()
}

fn boolean(value: &Value<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", value.type_str()))
}

fn number(value: &Value<'_>, most: u64) -> Result<u64, String> {
    let digits = value.as_integer().ok_or_else(|| format!("must be a number, not {}", value.type_str()))?;
    let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|n| *n <= most);
    number.ok_or_else(|| format!("must be from 0 to {most}"))
}

fn level(value: &Value<'_>) -> Result<Level, String> {
    match text(value)? {
        "P0" => Ok(Level::P0),
        "P1" => Ok(Level::P1),
        "P2" => Ok(Level::P2),
        "P3" => Ok(Level::P3),
        _ => Err("must be P0, P1, P2 or P3".to_owned()),
    }
}

fn strategy(name: &str) -> Result<Strategy, String> {
    Strategy::named(name).ok_or_else(|| "must be merge, squash or rebase".to_owned())
}

fn globs(value: &Value<'_>) -> Result<Vec<Glob>, String> {
    texts(value)?.iter().map(|text| Glob::parse(text).map_err(|why| format!("{text:?}: {why}"))).collect()
}

fn some_who(value: &Value<'_>) -> Result<Vec<Who>, String> {
    let one = |text: &String| match text.as_str() {
        "*" => Ok(Who::Anyone),
        "@author" => Ok(Who::Author),
        "@maintainer" => Ok(Who::Maintainer),
        name => name.parse().map(Who::Agent).map_err(|_| format!("{name:?} is no agent's name")),
    };
    let who: Vec<Who> = texts(value)?.iter().map(one).collect::<Result<_, _>>()?;
    if who.is_empty() { Err("must name at least one".to_owned()) } else { Ok(who) }
}

/// The file as it is read, for the lines of what is wrong.
struct Source<'t>(&'t str);

impl Source<'_> {
    fn error(&self, at: usize, key: impl Into<String>, why: impl Into<String>) -> PolicyError {
        let before = self.0.as_bytes().get(..at).unwrap_or(self.0.as_bytes());
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        // Both may hold what the file holds.
        let plain = |text: String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        PolicyError { line, key: plain(key.into()), why: plain(why.into()) }
    }

    /// The key that the line at `at` begins with, where TOML itself is not understood.
    fn key_at(&self, at: usize) -> String {
        let at = at.min(self.0.len());
        let start = self.0.as_bytes()[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let line = self.0.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        line.split('=').next().unwrap_or("").trim().chars().take(60).collect()
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > LARGEST {
        let why = format!("the file has {} bytes, and may have {LARGEST}", bytes.len());
        return Err(PolicyError { line: 1, key: String::new(), why });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        PolicyError { line, key: String::new(), why: "it is not UTF-8".to_owned() }
    })?;
    let source = Source(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        source.error(at, source.key_at(at), error.message())
    })?;
    let mut policy = Policy::default();
    read_table(&source, table.get_ref(), "", &mut policy)?;
    finish(&source, table.get_ref(), policy)
}

/// Reads one table. Its depth is that of [`TABLE_NAMES`], whatever the file holds.
fn read_table(source: &Source<'_>, table: &DeTable<'_>, path: &str, policy: &mut Policy) -> Result<(), PolicyError> {
    let place = TABLE_NAMES.iter().find(|(name, _)| *name == path).map(|(_, place)| *place);
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let whole = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let inner = TABLE_NAMES.iter().find(|(table, _)| *table == whole).map(|(_, place)| *place);
        match (inner, value.get_ref()) {
            (Some(Place::Ref | Place::Scope), DeValue::Array(entries)) => {
                read_entries(source, key.span().start, entries, &whole, policy)?;
            }
            (Some(Place::Ref | Place::Scope), _) => {
                return Err(source.error(key.span().start, &whole, format!("must be tables `[[{whole}]]`")));
            }
            (Some(_), DeValue::Table(table)) => read_table(source, table, &whole, policy)?,
            (Some(_), _) => return Err(source.error(key.span().start, &whole, "must be a table")),
            (None, value) => {
                let known = |k: &&Key| k.name == name && place.is_some_and(|place| k.tables.contains(&place));
                let Some((known, place)) = KEYS.iter().find(known).zip(place) else {
                    return Err(source.error(key.span().start, whole, unknown(place, name)));
                };
                (known.set)(policy, place, value).map_err(|why| source.error(key.span().start, whole, why))?;
            }
        }
    }
    Ok(())
}

fn read_entries(
    source: &Source<'_>,
    at: usize,
    entries: &[Spanned<DeValue<'_>>],
    path: &str,
    policy: &mut Policy,
) -> Result<(), PolicyError> {
    if entries.len() > TABLES {
        return Err(source.error(at, path, format!("there are {}, and may be {TABLES}", entries.len())));
    }
    for entry in entries {
        let at = entry.span().start;
        let table = entry.get_ref().as_table().ok_or_else(|| source.error(at, path, "must be a table"))?;
        let needed: &[&str] = if path == "ref" { &["name"] } else { &["paths", "agents"] };
        if let Some(missing) = needed.iter().find(|name| !table.contains_key(**name)) {
            return Err(source.error(at, format!("{path}.{missing}"), "must be there"));
        }
        if path == "ref" {
            let name = Glob::parse("unset").map_err(|why| source.error(at, path, why))?;
            policy.refs.push(RefPolicy { name, push: Vec::new(), demands: Demands::NONE });
        } else {
            policy.scopes.push(Scope { paths: Vec::new(), agents: Vec::new() });
        }
        read_table(source, table, path, policy)?;
    }
    Ok(())
}

/// What hangs on two keys.
fn finish(source: &Source<'_>, table: &DeTable<'_>, mut policy: Policy) -> Result<Policy, PolicyError> {
    let lists = [&policy.medium_paths, &policy.high_paths, &policy.test_paths, &policy.forbidden];
    let globs: usize = lists.into_iter().chain(policy.scopes.iter().map(|scope| &scope.paths)).map(Vec::len).sum();
    if globs > GLOBS {
        let at = table.get_key_value("scope").map_or(0, |(key, _)| key.span().start);
        return Err(source.error(at, "scope.paths", format!("the file holds {globs} globs, and may hold {GLOBS}")));
    }
    if policy.strategies.contains(&policy.strategy) {
        return Ok(policy);
    }
    let merge = table.get("merge").and_then(|merge| merge.get_ref().as_table());
    let said = merge.and_then(|merge| merge.iter().find(|(key, _)| key.get_ref() == "strategy"));
    if let Some((key, _)) = said {
        return Err(source.error(key.span().start, "merge.strategy", "is not among `merge.strategies`"));
    }
    policy.strategy = policy.strategies.first().copied().unwrap_or(Strategy::Merge);
    Ok(policy)
}

fn unknown(place: Option<Place>, name: &str) -> String {
    let known: Vec<&str> = match place {
        Some(place) => KEYS.iter().filter(|key| key.tables.contains(&place)).map(|key| key.name).collect(),
        None => TABLE_NAMES.iter().map(|(name, _)| *name).filter(|name| !name.contains('.')).collect(),
    };
    let elsewhere = KEYS.iter().find(|key| key.name == name).and_then(|key| key.tables.first());
    let elsewhere = TABLE_NAMES.iter().find(|(_, place)| Some(place) == elsewhere).map(|(table, _)| *table);
    let hint = match elsewhere {
        Some(table) => format!("; `{name}` stands in `{table}`"),
        None => format!("; here stand {}", known.join(", ")),
    };
    format!("there is no such key{hint}")
}

/// Every key as a table for people: `docs/policy.md` and `help policy` show it.
pub fn documentation() -> String {
    let mut out = String::from("| table | key | holds | default | at most | meaning |\n|---|---|---|---|---|---|\n");
    for key in KEYS {
        let shown = |place: &Place| {
            let name = TABLE_NAMES.iter().find(|(_, p)| p == place).map_or("", |(name, _)| *name);
            if matches!(place, Place::Ref | Place::Scope) { format!("`[[{name}]]`") } else { format!("`[{name}]`") }
        };
        let tables: Vec<String> = key.tables.iter().map(shown).collect();
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} |",
            tables.join(" "),
            key.name,
            key.kind,
            key.default,
            key.bound,
            key.doc
        );
    }
    out
}
