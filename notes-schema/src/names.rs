//! Names, parsed once at the edge: object ids, refs, projects, agents and the references people type (`parser#7`).
//!
//! Invariant: a value of these types is valid; no later code checks it again, and none of them can leave its directory
//! or be taken for an option.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// Why a name was refused: what it was and which rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{shown}` {rule}")]
pub struct NameError {
    /// What was being named, for example `project name`.
    pub kind: &'static str,
    /// The refused text, shortened and with control characters replaced.
    pub shown: String,
    /// The rule that it breaks, as the end of a sentence.
    pub rule: &'static str,
}

fn refuse(kind: &'static str, text: &str, rule: &'static str) -> NameError {
    let shown = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    NameError { kind, shown, rule }
}

/// A SHA-1 object id. The all-zero id of git's protocols is not a value of this type: it is `None` past the parser.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid([u8; 20]);

impl Oid {
    /// Takes 20 raw bytes. The all-zero id stays representable here because only parsers see it.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Oid(bytes)
    }

    /// Takes a slice that must hold exactly 20 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Oid(bytes.try_into().ok()?))
    }

    /// The 20 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Parses 40 hexadecimal digits in which git writes "no object" as zeros: that becomes `None`.
    pub fn parse_nullable(hex: &str) -> Result<Option<Self>, NameError> {
        let oid: Oid = hex.parse()?;
        Ok((oid.0 != [0; 20]).then_some(oid))
    }

    /// The first seven digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..7].to_owned()
    }
}

impl FromStr for Oid {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut bytes = [0; 20];
        decode_hex(text, &mut bytes).ok_or_else(|| refuse("object id", text, "is not 40 hexadecimal digits"))?;
        Ok(Oid(bytes))
    }
}

/// A SHA-256 digest: of events, batches, records and packs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// The digest of the concatenation of `parts`.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = sha2::Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Sha256(hasher.finalize().into())
    }

    /// Takes 32 raw bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Sha256(bytes)
    }

    /// The 32 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut bytes = [0; 32];
        decode_hex(text, &mut bytes).ok_or_else(|| refuse("digest", text, "is not 64 hexadecimal digits"))?;
        Ok(Sha256(bytes))
    }
}

pub(crate) fn decode_hex(text: &str, out: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(())
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

macro_rules! digest_traits {
    ($type:ident, $len:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
        /// Raw bytes in MessagePack, hexadecimal text in JSON.
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { s.serialize_bytes(&self.0) }
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                use serde::de::Error as _;
                if d.is_human_readable() {
                    return String::deserialize(d)?.parse().map_err(D::Error::custom);
                }
                let bytes = serde_bytes::ByteBuf::deserialize(d)?;
                let array: [u8; $len] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| D::Error::invalid_length(bytes.len(), &stringify!($len)))?;
                Ok($type(array))
            }
        }
    };
}
digest_traits!(Oid, 20);
digest_traits!(Sha256, 32);

macro_rules! text_traits {
    ($type:ident) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<$type> for Arc<str> {
            fn from(name: $type) -> Arc<str> {
                name.0
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// First segments of web routes, and words that would be mistaken for something else: never a project or an agent.
pub const RESERVED_NAMES: &[&str] = &[
    "action",
    "admin",
    "agents",
    "api",
    "assets",
    "feed",
    "forge",
    "healthz",
    "help",
    "humans",
    "index",
    "issues",
    "leaderboard",
    "live",
    "llms",
    "login",
    "mcp",
    "metrics",
    "needs",
    "new",
    "projects",
    "pulls",
    "repos",
    "search",
    "skill",
    "static",
    "stats",
    "submission",
    "token",
];

/// Longest name of a project or agent.
/// Limit: name of a project or agent | {} characters, `[a-z0-9][a-z0-9_-]*`
const LONGEST_SLUG: usize = 64;
/// Longest name of a ref, in bytes.
/// Limit: name of a ref | {:bytes}
const LONGEST_REF: usize = 255;

fn check_slug(kind: &'static str, text: &str) -> Result<(), NameError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > LONGEST_SLUG {
        return Err(refuse(kind, text, "must have 1 to 64 characters"));
    }
    if !plain(bytes[0]) || !bytes.iter().all(|&b| plain(b) || b == b'_' || b == b'-') {
        return Err(refuse(kind, text, "must match [a-z0-9][a-z0-9_-]{0,63}"));
    }
    Ok(())
}

/// Name of a project, `[a-z0-9][a-z0-9_-]{0,63}`. `forge` is a value (the forge's own repository), though nobody may
/// create it: see [`ProjectName::parse_new`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectName(Arc<str>);
text_traits!(ProjectName);

impl ProjectName {
    /// Parses a name that is about to be taken: reserved ones are refused.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        let name: ProjectName = text.parse()?;
        if RESERVED_NAMES.contains(&text) {
            return Err(refuse("project name", text, "is reserved"));
        }
        Ok(name)
    }

    /// The forge's own repository.
    pub fn forge() -> Self {
        ProjectName(crate::FORGE_PROJECT.into())
    }

    /// Whether this is the forge's own repository.
    pub fn is_forge(&self) -> bool {
        &*self.0 == crate::FORGE_PROJECT
    }
}

impl FromStr for ProjectName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_slug("project name", text)?;
        Ok(ProjectName(text.into()))
    }
}

/// Name of an agent, `[a-z0-9][a-z0-9_-]{0,63}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentName(Arc<str>);
text_traits!(AgentName);

impl AgentName {
    /// Parses a name that is about to be taken: reserved ones are refused.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        let name: AgentName = text.parse()?;
        if RESERVED_NAMES.contains(&text) {
            return Err(refuse("agent name", text, "is reserved"));
        }
        Ok(name)
    }

    /// The forge itself, as the author of what no agent did.
    pub fn forge() -> Self {
        AgentName(crate::FORGE_PROJECT.into())
    }
}

impl FromStr for AgentName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_slug("agent name", text)?;
        Ok(AgentName(text.into()))
    }
}

/// A full ref name that git accepts and this forge can store: `HEAD`, or `refs/…` by the rules of
/// `git check-ref-format`, at most 255 bytes, with no segment that could be an option or an object id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(Arc<str>);
text_traits!(RefName);

impl RefName {
    /// The symbolic ref that names the default branch.
    pub fn head() -> Self {
        RefName("HEAD".into())
    }

    /// `refs/heads/<branch>`.
    pub fn branch(branch: &str) -> Result<Self, NameError> {
        format!("refs/heads/{branch}").parse()
    }

    /// The branch's name, when this is `refs/heads/…`.
    pub fn branch_name(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// The name without `refs/heads/` or `refs/tags/`, for people.
    pub fn short(&self) -> &str {
        self.branch_name().or_else(|| self.0.strip_prefix("refs/tags/")).unwrap_or(&self.0)
    }

    /// Whether the two names cannot both exist: one is a directory of the other.
    pub fn conflicts_with(&self, other: &RefName) -> bool {
        let below = |a: &str, b: &str| a.len() > b.len() && a.starts_with(b) && a.as_bytes()[b.len()] == b'/';
        below(&self.0, &other.0) || below(&other.0, &self.0)
    }
}

impl FromStr for RefName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = |rule| Err(refuse("ref", text, rule));
        if text == "HEAD" {
            return Ok(Self::head());
        }
        if text.len() > LONGEST_REF {
            return fail("is longer than 255 bytes");
        }
        let Some(rest) = text.strip_prefix("refs/") else { return fail("does not begin with refs/") };
        if !rest.contains('/') {
            return fail("needs two levels below refs");
        }
        if text.chars().any(|c| c == ' ' || c.is_control() || "~^:?*[\\".contains(c)) {
            return fail("holds a space, a control character or one of ~^:?*[\\");
        }
        if text.contains("..") || text.contains("@{") || text.ends_with('.') {
            return fail("holds `..` or `@{`, or ends with a dot");
        }
        for segment in rest.split('/') {
            if segment.is_empty() || segment.starts_with('.') || segment.ends_with(".lock") {
                return fail("has a segment that is empty, begins with a dot or ends with .lock");
            }
            if segment.starts_with('-') {
                return fail("has a segment that begins with a dash, which git would take for an option");
            }
        }
        if text.chars().any(|c| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
            return fail("holds a character that breaks or reorders the line it is shown in");
        }
        let last = rest.rsplit('/').next().unwrap_or(rest);
        if rest == "heads/HEAD" || rest == "tags/HEAD" {
            return fail("would make HEAD ambiguous in every clone");
        }
        if (rest.starts_with("heads/") || rest.starts_with("tags/"))
            && last.len() == 40
            && last.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return fail("looks like an object id");
        }
        Ok(RefName(text.into()))
    }
}

/// One entity of a repository: the thing whose history is one chain of events.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityId {
    /// Issue `n` of a project.
    Issue(u64),
    /// Pull request `n` of a project.
    Pull(u64),
    /// An agent, in `forge.git`.
    Agent(AgentName),
    /// A project's registry entry, in `forge.git`.
    Project(ProjectName),
    /// A rating ledger, in `forge.git`.
    Elo(Track),
    /// What an agent posts of external checks, in a project.
    Checks(AgentName),
}

/// The three rating ledgers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// Contests on drill issues.
    Simulator,
    /// Merged pull requests.
    Antfarm,
    /// Reviews.
    Review,
}

impl Track {
    /// All tracks, in the order in which they are shown.
    pub const ALL: [Track; 3] = [Track::Simulator, Track::Antfarm, Track::Review];

    /// The name in refs, JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Track::Simulator => "simulator",
            Track::Antfarm => "antfarm",
            Track::Review => "review",
        }
    }
}

impl fmt::Display for EntityId {
    /// The path below `refs/forge/`, for example `issues/7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntityId::Issue(n) => write!(f, "issues/{n}"),
            EntityId::Pull(n) => write!(f, "pulls/{n}"),
            EntityId::Agent(name) => write!(f, "agents/{name}"),
            EntityId::Project(name) => write!(f, "projects/{name}"),
            EntityId::Elo(track) => write!(f, "elo/{}", track.as_str()),
            EntityId::Checks(agent) => write!(f, "checks/{agent}"),
        }
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EntityId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = || refuse("entity", text, "is none that this format knows");
        let (kind, name) = text.split_once('/').ok_or_else(fail)?;
        Ok(match kind {
            "issues" => EntityId::Issue(parse_number(name).ok_or_else(fail)?),
            "pulls" => EntityId::Pull(parse_number(name).ok_or_else(fail)?),
            "agents" => EntityId::Agent(name.parse()?),
            "projects" => EntityId::Project(name.parse()?),
            "elo" => EntityId::Elo(Track::ALL.into_iter().find(|t| t.as_str() == name).ok_or_else(fail)?),
            "checks" => EntityId::Checks(name.parse()?),
            _ => return Err(fail()),
        })
    }
}

/// A number of an issue or pull request as written: positive, no sign, no leading zero.
pub fn parse_number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || text.starts_with('0') { None } else { text.parse().ok() }
}

/// What people type for an issue or pull request: `parser#7` or `parser/7`. Issues and pull requests of a project share
/// one number space, so the reference needs no kind.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemRef {
    /// The project.
    pub project: ProjectName,
    /// The number in it.
    pub n: u64,
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.project, self.n)
    }
}

impl fmt::Debug for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ItemRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = || refuse("reference", text, "is not <project>#<number>");
        let (project, number) = text.split_once(['#', '/']).ok_or_else(fail)?;
        Ok(ItemRef { project: project.parse()?, n: parse_number(number).ok_or_else(fail)? })
    }
}

/// As text: what Display writes, FromStr reads.
macro_rules! shown_traits {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
shown_traits!(EntityId);
shown_traits!(ItemRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_names_that_git_or_a_shell_would_misread_are_refused() {
        for bad in [
            "refs/heads",
            "heads/x",
            "refs/heads/",
            "refs/heads/../x",
            "refs/heads/a..b",
            "refs/heads/-h",
            "refs/-x/y",
            "refs/heads/x.lock",
            "refs/heads/.x",
            "refs/heads/a b",
            "refs/heads/a\u{7f}",
            "refs/heads/a~1",
            "refs//x",
            "refs/heads/a@{1}",
            "refs/heads/x.",
            "refs/heads/x.lock/y",
            "../etc/passwd",
            "",
            "refs/heads/0123456789012345678901234567890123456789",
            "refs/heads/HEAD",
            "refs/tags/HEAD",
            "refs/heads/a\u{85}b",
            "refs/heads/\u{202e}niam",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
        for good in
            ["HEAD", "refs/heads/main", "refs/heads/alpha/12-leak", "refs/notes/forge/in/alpha/01J", "refs/tags/v1.0"]
        {
            assert!(good.parse::<RefName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_ref_conflicts_with_its_own_directory_only() {
        let r = |s: &str| s.parse::<RefName>().unwrap();
        assert!(r("refs/heads/a").conflicts_with(&r("refs/heads/a/b")));
        assert!(r("refs/heads/a/b").conflicts_with(&r("refs/heads/a")));
        assert!(!r("refs/heads/a").conflicts_with(&r("refs/heads/ab")));
        assert!(!r("refs/heads/a").conflicts_with(&r("refs/heads/a")));
    }

    #[test]
    fn references_read_both_ways_and_print_one() {
        assert_eq!("parser/7".parse::<ItemRef>().unwrap().to_string(), "parser#7");
        for bad in ["parser", "parser#0", "parser#07", "parser#-1", "Parser#1", "../x#1", "parser#99999999999999999999"]
        {
            assert!(bad.parse::<ItemRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reserved_names_cannot_be_taken() {
        assert!(ProjectName::parse_new("forge").is_err());
        assert!(AgentName::parse_new("feed").is_err());
        assert!("forge".parse::<ProjectName>().is_ok());
        for bad in ["", "-x", "_x", "A", "a.b", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_zero_id_is_no_object() {
        assert_eq!(Oid::parse_nullable(&"0".repeat(40)).unwrap(), None);
        assert!(Oid::parse_nullable(&"g".repeat(40)).is_err());
        let id = "3f1c2ab0123456789012345678901234567890ab";
        assert_eq!(Oid::parse_nullable(id).unwrap().unwrap().to_string(), id);
    }
}
