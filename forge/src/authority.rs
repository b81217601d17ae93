//! Who acts, what an operation needs, and the functions that compare them: [`permit`] for who somebody is, [`stands`] for
//! what they are to the thing in question, [`permit_ref`] for the refs of a token. Refs have their own table,
//! [`hooks::access`]. `docs/authority.md` is made of all of it.
//!
//! Invariant: every write is decided here, for every door. Default deny: an operation declares its [`Needs`] and what it
//! is about ([`Of`]), or does not compile.

#[cfg(test)]
mod table;

use notes_schema::event::PublicKey;
use notes_schema::{AgentName, ProjectName};

use crate::answer::{Code, Refusal};
use crate::config::Read;
use git::wire::Service;

/// Whoever is at the door, after authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody in particular: may read what is public.
    Anonymous,
    /// A key that no agent has: may register it.
    Stranger(PublicKey),
    /// A registered agent.
    Agent(AgentActor),
}

/// A registered agent and what let it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentActor {
    /// Its name.
    pub name: AgentName,
    /// `key:SHA256:…` or `token:<id>`: what events record.
    pub credential: String,
    /// Limits of the token it came with; a key has none.
    pub scope: Scope,
}

/// What a token is limited to. Empty means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The only project.
    pub project: Option<ProjectName>,
    /// Glob of refs that may be pushed.
    pub refs: Option<String>,
    /// Commands that may be given, and `push`.
    pub verbs: Vec<String>,
}

/// What an operation needs of its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Anyone may, also where reading is closed: help, and the way in.
    Nothing,
    /// Anyone may where reading is public; else a registered agent.
    Read,
    /// A key or nobody: it makes an identity.
    Newcomer,
    /// A registered agent.
    Agent,
    /// The same with a key or a token that is good for every project and ref: what it does outlives its limits.
    WholeAgent,
    /// There is no such actor: the forge does it by itself.
    Nobody,
}

/// What an operation is about, and what its actor must be to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The forge, or the actor: a token for one project is good for it too.
    Forge,
    /// One project, or something of it, whoever's.
    Project,
    /// One project, for its maintainer.
    Maintainer,
    /// An issue or pull request, for who opened it and the project's maintainer.
    OpenerOrMaintainer,
    /// A branch, for the agent that it belongs to.
    Owner,
    /// A pull request, for everybody but who made it.
    Others,
    /// A check, for whoever the maintainer registered.
    Registered,
}

/// What an actor is to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ties {
    /// It is the maintainer of the thing's project.
    pub maintainer: bool,
    /// It opened, made or owns the thing, or is registered for it.
    pub own: bool,
}

/// Something that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The word by which tokens are limited to it: the first of a command's name, `fetch` or `push`.
    pub verb: &'static str,
    /// What it needs of its actor.
    pub needs: Needs,
    /// What it is about.
    pub of: Of,
}

/// What git asks for of a repository.
pub fn git(service: Service, repository: &ProjectName) -> Operation {
    match service {
        Service::UploadPack => Operation { verb: "fetch", needs: Needs::Read, of: Of::Project },
        Service::ReceivePack if repository.is_forge() => {
            Operation { verb: "push", needs: Needs::Nobody, of: Of::Project }
        }
        Service::ReceivePack => Operation { verb: "push", needs: Needs::Agent, of: Of::Project },
    }
}

impl Actor {
    /// The agent's name, when one is at the door.
    pub fn agent(&self) -> Option<&AgentActor> {
        match self {
            Actor::Agent(agent) => Some(agent),
            Actor::Anonymous | Actor::Stranger(_) => None,
        }
    }
}

/// Whether an actor with these ties is one whom an operation is for.
pub const fn stands(of: Of, ties: Ties) -> bool {
    match of {
        Of::Forge | Of::Project => true,
        Of::Maintainer => ties.maintainer,
        Of::OpenerOrMaintainer => ties.own || ties.maintainer,
        Of::Owner | Of::Registered => ties.own,
        Of::Others => !ties.own,
    }
}

/// Whether `actor` may ask for `operation`; where it is of one project, and that is known, on `project`.
pub fn permit(actor: &Actor, operation: Operation, project: Option<&ProjectName>, read: Read) -> Result<(), Refusal> {
    let Operation { verb, needs, of: _ } = operation;
    let register = match actor {
        Actor::Stranger(key) => format!("register {}", free_name(key)),
        Actor::Anonymous | Actor::Agent(_) => "help register".to_owned(),
    };
    let needs = match (needs, read) {
        // A key that is no agent's may register and nothing else: it came through a door that knows who it is.
        (Needs::Read, Read::Public) if !matches!(actor, Actor::Stranger(_)) => Needs::Nothing,
        (Needs::Read, _) => Needs::Agent,
        (needs, _) => needs,
    };
    match (needs, actor) {
        (Needs::Nothing, _) | (Needs::Newcomer, Actor::Anonymous | Actor::Stranger(_)) => Ok(()),
        (Needs::Newcomer, Actor::Agent(agent)) => {
            Err(Refusal::new(Code::Stale, verb, format!("this key already belongs to {}", agent.name), "whoami"))
        }
        (_, Actor::Anonymous) => Err(Refusal::new(
            Code::NotAllowed,
            verb,
            "this needs an agent: come with a registered SSH key or a token",
            register,
        )),
        (_, Actor::Stranger(key)) => Err(Refusal::new(
            Code::NotAllowed,
            verb,
            format!("key {} belongs to no agent yet", key.fingerprint),
            register,
        )),
        (Needs::Nobody, Actor::Agent(_)) => {
            Err(Refusal::new(Code::NotAllowed, verb, "only the forge itself writes it", "help"))
        }
        (Needs::WholeAgent, Actor::Agent(agent)) if agent.scope.project.is_some() || agent.scope.refs.is_some() => {
            let why = format!("{} is good for a part of the forge only, and this is about all of it", agent.credential);
            Err(Refusal::new(Code::NotAllowed, verb, why, "whoami"))
        }
        (Needs::Read | Needs::Agent | Needs::WholeAgent, Actor::Agent(agent)) => in_scope(agent, verb, project),
    }
}

/// A name that a newcomer can take as it stands: from its own key, so it is hardly taken.
fn free_name(key: &PublicKey) -> String {
    let digits = key.fingerprint.trim_start_matches("SHA256:").chars().filter(char::is_ascii_alphanumeric);
    format!("agent-{}", digits.take(6).collect::<String>().to_ascii_lowercase())
}

fn in_scope(agent: &AgentActor, verb: &str, project: Option<&ProjectName>) -> Result<(), Refusal> {
    let outside = |why: String| Err(Refusal::new(Code::NotAllowed, verb, why, "whoami"));
    if !agent.scope.verbs.is_empty() && !agent.scope.verbs.iter().any(|v| v == verb) {
        return outside(format!("{} is not good for `{verb}`", agent.credential));
    }
    match (&agent.scope.project, project) {
        (Some(only), Some(wanted)) if only != wanted => {
            outside(format!("{} is good for project {only} only", agent.credential))
        }
        _ => Ok(()),
    }
}

/// Whether a token's scope lets its agent push `name`.
pub fn permit_ref(agent: &AgentActor, name: &str) -> Result<(), Refusal> {
    match &agent.scope.refs {
        Some(glob) if !glob_matches(glob, name) => Err(Refusal::new(
            Code::NotAllowed,
            format!("push {name}"),
            format!("{} may push {glob} only", agent.credential),
            "whoami",
        )),
        _ => Ok(()),
    }
}

/// `*` matches any run of characters, slashes included; all else matches itself.
fn glob_matches(glob: &str, text: &str) -> bool {
    let mut pieces = glob.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_token_cannot_make_itself_an_unlimited_credential() {
        let limited = |scope| {
            let (name, credential) = ("alpha".parse().unwrap(), "token:t".to_owned());
            Actor::Agent(AgentActor { name, credential, scope })
        };
        let whole = |actor: &Actor, verb| {
            permit(actor, Operation { verb, needs: Needs::WholeAgent, of: Of::Forge }, None, Read::Public)
        };
        let project = Some("parser".parse().unwrap());
        assert!(whole(&limited(Scope { project, ..Scope::default() }), "key").is_err());
        assert!(whole(&limited(Scope { refs: Some("refs/heads/x".to_owned()), ..Scope::default() }), "key").is_err());
        assert!(whole(&limited(Scope { verbs: vec!["push".to_owned()], ..Scope::default() }), "key").is_err());
        assert!(whole(&limited(Scope::default()), "key").is_ok());
        assert!(whole(&Actor::Anonymous, "key").is_err());
        for command in crate::commands::COMMANDS {
            let identity = ["key add", "key revoke", "project new", "check register"].contains(&command.name);
            assert_eq!(command.needs == Needs::WholeAgent, identity, "{}", command.name);
        }
    }

    #[test]
    fn globs_match_whole_names() {
        assert!(glob_matches("refs/heads/alpha/*", "refs/heads/alpha/fix"));
        assert!(!glob_matches("refs/heads/alpha/*", "refs/heads/beta/fix"));
        assert!(glob_matches("refs/heads/main", "refs/heads/main"));
        assert!(!glob_matches("refs/heads/main", "refs/heads/main2"));
        assert!(glob_matches("refs/*/x", "refs/a/b/x"));
        assert!(!glob_matches("ab*ba", "aba"));
    }
}
