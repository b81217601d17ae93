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

/// What the forge knows of an agent besides how it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rank {
    /// The settings name it: it moderates.
    pub operator: bool,
    /// Somebody vouched for it.
    pub vouched: bool,
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
    /// The same, and somebody vouched for it.
    Vouched,
    /// The same, and the settings name it as an operator.
    Operator,
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

/// Whether `actor`, who is of that rank, may ask for `operation`; where it is of one project, and that is known, on
/// `project`.
pub fn permit(
    actor: &Actor,
    rank: Rank,
    operation: Operation,
    project: Option<&ProjectName>,
    read: Read,
) -> Result<(), Refusal> {
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
        (Needs::Operator, Actor::Agent(_)) if !rank.operator => {
            Err(Refusal::new(Code::NotAllowed, verb, "it is for operators, whom the settings name", "whoami"))
        }
        (Needs::Vouched, Actor::Agent(_)) if !rank.vouched => {
            let why = "nobody vouched for you, and who vouches answers for it: ask an operator";
            Err(Refusal::new(Code::NotAllowed, verb, why, "whoami"))
        }
        (Needs::WholeAgent | Needs::Vouched | Needs::Operator, Actor::Agent(agent)) => {
            whole(agent, verb).and_then(|()| in_scope(agent, verb, project))
        }
        (Needs::Read | Needs::Agent, Actor::Agent(agent)) => in_scope(agent, verb, project),
    }
}

/// Whether what let `agent` in is good for every project and ref.
fn whole(agent: &AgentActor, verb: &str) -> Result<(), Refusal> {
    if agent.scope.project.is_none() && agent.scope.refs.is_none() {
        return Ok(());
    }
    let why = format!("{} is good for a part of the forge only, and this is about all of it", agent.credential);
    Err(Refusal::new(Code::NotAllowed, verb, why, "whoami"))
}

/// Whether `consent`, a token that `agent` gave out of its hands, lets somebody else do `verb` to it. One that is good for
/// more would let them do more: it is for this alone.
pub fn consents(consent: &Actor, agent: &AgentName, verb: &str) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(Code::NotAllowed, verb, why, format!("help {verb}")));
    match consent.agent() {
        Some(by) if by.name != *agent => refuse(format!("the token is {}'s, not {agent}'s", by.name)),
        Some(by) if by.scope.verbs != [verb] => {
            refuse(format!("the token must be good for `{verb}` alone: {agent} makes it by `token --verbs {verb}`"))
        }
        Some(by) => whole(by, verb),
        None => refuse(format!("that is no token of {agent}'s")),
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
            let operation = Operation { verb, needs: Needs::WholeAgent, of: Of::Forge };
            permit(actor, Rank::default(), operation, None, Read::Public)
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
    fn rank_is_needed_and_never_enough() {
        let agent = |scope| {
            let (name, credential) = ("alpha".parse().unwrap(), "token:t".to_owned());
            Actor::Agent(AgentActor { name, credential, scope })
        };
        let (operator, vouched) = (Rank { operator: true, vouched: false }, Rank { operator: false, vouched: true });
        for (needs, rank, other) in [(Needs::Operator, operator, vouched), (Needs::Vouched, vouched, operator)] {
            let may = |actor: &Actor, rank| {
                permit(actor, rank, Operation { verb: "admin", needs, of: Of::Forge }, None, Read::Public).is_ok()
            };
            let whole = agent(Scope::default());
            assert!(may(&whole, rank) && !may(&whole, other) && !may(&whole, Rank::default()), "{needs:?}");
            assert!(may(&agent(Scope { verbs: vec!["admin".to_owned()], ..Scope::default() }), rank));
            assert!(!may(&agent(Scope { verbs: vec!["push".to_owned()], ..Scope::default() }), rank));
            assert!(!may(&agent(Scope { project: "parser".parse().ok(), ..Scope::default() }), rank));
            assert!(!may(&agent(Scope { refs: Some("*".to_owned()), ..Scope::default() }), rank));
            assert!(!may(&Actor::Anonymous, rank));
        }
        for command in crate::commands::COMMANDS {
            let (admin, needs) = (command.name.starts_with("admin "), command.needs);
            assert_eq!(needs == Needs::Operator, admin, "{}", command.name);
            assert_eq!(needs == Needs::Vouched, command.name == "vouch", "{}", command.name);
        }
    }

    #[test]
    fn a_token_consents_to_what_it_was_made_for_alone() {
        let token = |name: &str, scope| {
            let (name, credential) = (name.parse().unwrap(), "token:t".to_owned());
            Actor::Agent(AgentActor { name, credential, scope })
        };
        let verbs =
            |verbs: &[&str]| Scope { verbs: verbs.iter().map(|v| (*v).to_owned()).collect(), ..Scope::default() };
        let beta = "beta".parse().unwrap();
        let consents = |actor: &Actor| super::consents(actor, &beta, "vouch").is_ok();
        assert!(consents(&token("beta", verbs(&["vouch"]))));
        assert!(!consents(&token("alpha", verbs(&["vouch"]))));
        assert!(!consents(&token("beta", Scope::default())), "it would give away everything");
        assert!(!consents(&token("beta", verbs(&["vouch", "merge"]))) && !consents(&token("beta", verbs(&["push"]))));
        assert!(!consents(&token("beta", Scope { project: "parser".parse().ok(), ..verbs(&["vouch"]) })));
        assert!(!consents(&Actor::Anonymous));
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
