//! Keys and tokens: what lets an agent in.

use notes_schema::event::{KeyAdded, KeyRevoked, PublicKey, TokenIssued, TokenRevoked};
use notes_schema::{AgentName, EntityId, Sha256};
use serde::Serialize;

use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{AgentActor, Needs, Of, Scope};
use crate::state::WRITTEN_NAMES;

/// Longest line of a public key file, in bytes: RSA of 16384 bits fits. An agent's state holds all of its keys.
/// Limit: line of a public key file | {:bytes}
const LONGEST_KEY: usize = 4096;

/// Reads one line of a public key file.
pub(super) fn public_key(text: &str) -> Result<PublicKey, Refusal> {
    let bad = |why: String| Refusal::new(Code::Usage, "key", why, "help key add");
    if text.len() > LONGEST_KEY {
        return Err(bad(format!("it is longer than {LONGEST_KEY} bytes")));
    }
    let mut key = russh::keys::PublicKey::from_openssh(text.trim())
        .map_err(|e| bad(format!("it is not the one line of a public key file: {e}")))?;
    key.set_comment("");
    let openssh = key.to_openssh().map_err(|e| bad(e.to_string()))?.trim().to_owned();
    Ok(PublicKey { openssh, fingerprint: key.fingerprint(russh::keys::HashAlg::Sha256).to_string() })
}

#[derive(Serialize)]
struct Keys {
    agent: AgentName,
    keys: Vec<PublicKey>,
    tokens: Vec<crate::state::TokenState>,
}

impl Render for Keys {
    fn markdown(&self) -> String {
        let mut out = format!("# Keys and tokens of {}\n\n", self.agent);
        for key in &self.keys {
            out.push_str(&format!("- {} {}\n", key.fingerprint, key.openssh.split(' ').next().unwrap_or("")));
        }
        for token in &self.tokens {
            out.push_str(&format!("- token:{} until {}\n", token.id, notes_schema::refs::show_time(token.expires_ms)));
        }
        out
    }
}

fn keys_of(context: &Context, agent: &AgentName) -> Result<Answer, Refusal> {
    let root = context.forge.root();
    let state = root.fold.agent(agent);
    let state =
        state.ok_or_else(|| Refusal::new(Code::NotFound, agent.as_str(), "there is no such agent", "whoami"))?;
    Ok(Answer::of(&Keys { agent: agent.clone(), keys: state.keys.clone(), tokens: state.tokens.clone() }))
}

/// `key list`.
pub const KEY_LIST: Command = Command {
    name: "key list",
    aliases: &["keys", "key"],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "your keys and tokens",
    example: "key list",
    run: key_list,
};

fn key_list(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    keys_of(context, &context.agent()?.name)
}

/// `key add`.
pub const KEY_ADD: Command = Command {
    name: "key add",
    aliases: &[],
    needs: Needs::WholeAgent,
    of: Of::Forge,
    shape: Shape::words(1, 3),
    usage: "<public key | ->",
    summary: "let one more SSH key in as you",
    example: "key add - < ~/.ssh/second.pub",
    run: key_add,
};

fn key_add(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let line = match (&context.body, args.word(0)) {
        (Some(body), Some("-")) => body.clone(),
        (None, Some("-")) => return Err(context.usage("stdin holds no key")),
        (_, _) => args.words.join(" "),
    };
    let (key, by) = (public_key(&line)?, context.author()?);
    context.commit(context.forge.root_repository(), move |draft| {
        let fold = &draft.snapshot().fold;
        if let Some(owner) = fold.keys.get(&key.fingerprint) {
            let next = if *owner == by.agent { "key list" } else { "whoami" };
            return Err(Refusal::new(Code::Stale, "key", format!("it belongs to {owner} already"), next));
        }
        if fold.agent(&by.agent).is_some_and(|a| a.keys.len() >= WRITTEN_NAMES) {
            return Err(Refusal::new(Code::Refused, "key", format!("you have {WRITTEN_NAMES} already"), "key list"));
        }
        draft.event(&by, &EntityId::Agent(by.agent.clone()), KeyAdded { key }, None, &[])
    })?;
    keys_of(context, &context.agent()?.name)
}

/// `key revoke`.
pub const KEY_REVOKE: Command = Command {
    name: "key revoke",
    aliases: &["token revoke"],
    needs: Needs::WholeAgent,
    of: Of::Forge,
    shape: Shape::words(1, 1),
    usage: "<SHA256:… | token:id>",
    summary: "make a key or token void, at once",
    example: "key revoke token:01J9Z3",
    run: key_revoke,
};

fn key_revoke(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (by, wanted) = (context.author()?, args.word(0).unwrap_or("").to_owned());
    context.commit(context.forge.root_repository(), move |draft| {
        let id = EntityId::Agent(by.agent.clone());
        let state = draft.snapshot().fold.agent(&by.agent).cloned();
        let state =
            state.ok_or_else(|| Refusal::new(Code::NotFound, by.agent.as_str(), "there is no such agent", "whoami"))?;
        let token = wanted.strip_prefix("token:").unwrap_or(&wanted);
        if state.tokens.iter().any(|t| t.id == token) {
            return draft.event(&by, &id, TokenRevoked { id: token.to_owned() }, None, &[]);
        }
        if state.keys.iter().all(|k| k.fingerprint != wanted) {
            return Err(Refusal::new(Code::NotFound, &wanted, "you have no such key or token", "key list"));
        }
        if state.keys.len() == 1 && state.tokens.is_empty() {
            return Err(Refusal::new(Code::Refused, &wanted, "it is the last thing that lets you in", "key list"));
        }
        draft.event(&by, &id, KeyRevoked { fingerprint: wanted }, None, &[])
    })?;
    keys_of(context, &context.agent()?.name)
}

#[derive(Serialize)]
struct Issued {
    token: String,
    id: String,
    expires_ms: u64,
}

impl Render for Issued {
    fn markdown(&self) -> String {
        format!(
            "Token {} until {}, shown only now:\n\n    {}\n\nAs `Authorization: Bearer …`, or as the password of git over HTTP.\n",
            self.id,
            notes_schema::refs::show_time(self.expires_ms),
            self.token
        )
    }
}

/// Thirty days.
/// Limit: life of a token that says none | {:ms}
pub(super) const DEFAULT_TTL_MS: u64 = 30 * 86_400_000;
/// Longest glob of refs of a token, in bytes.
/// Limit: glob of refs of a token | {:bytes}
const LONGEST_GLOB: usize = 255;
/// Most verbs of a token.
/// Limit: verbs of a token | {}
const MOST_VERBS: usize = 32;
/// A year.
/// Limit: life of a token | {:ms}
const LONGEST_TTL_MS: u64 = 366 * 86_400_000;

pub(super) fn new_token(
    forge: &crate::forge::Forge,
    agent: &AgentName,
    now: u64,
    ttl_ms: u64,
    scope: Scope,
) -> (String, TokenIssued) {
    let id = ulid::Ulid::new().to_string();
    let expires_ms = now + ttl_ms;
    let token = forge.tokens().issue(agent, &id, now / 1000, expires_ms / 1000);
    let hash = Sha256::of(token.as_bytes());
    let fact = TokenIssued { id, hash, expires_ms, project: scope.project, refs: scope.refs, verbs: scope.verbs };
    (token, fact)
}

/// `30d`, `12h`, `90m`, `600s`.
fn ttl(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.len().checked_sub(1)?);
    let ms = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let n: u64 = digits.parse().ok()?;
    n.checked_mul(ms).filter(|ms| (1..=LONGEST_TTL_MS).contains(ms))
}

/// `token`.
pub const TOKEN: Command = Command {
    name: "token",
    aliases: &["token new"],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0).flags(&[
        ("project", Takes::Word),
        ("refs", Takes::Word),
        ("verbs", Takes::Word),
        ("ttl", Takes::Word),
    ]),
    usage: "[--project P] [--refs GLOB] [--verbs a,b] [--ttl 30d]",
    summary: "a token for HTTP, shown once",
    example: "token --ttl 12h",
    run: token,
};

fn token(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let agent = context.agent()?.clone();
    let ttl_ms = match args.value("ttl") {
        None => DEFAULT_TTL_MS,
        Some(text) => ttl(text).ok_or_else(|| context.usage("--ttl is a number with s, m, h or d, at most 366d"))?,
    };
    let wanted = Scope {
        project: args.value("project").map(str::parse).transpose().map_err(|e| context.usage(format!("{e}")))?,
        refs: args.value("refs").map(str::to_owned),
        verbs: args.values("verbs"),
    };
    let too_long =
        wanted.refs.as_ref().is_some_and(|glob| glob.len() > LONGEST_GLOB || glob.chars().any(char::is_control));
    if too_long || wanted.verbs.len() > MOST_VERBS || wanted.verbs.iter().any(|verb| !is_verb(verb)) {
        let why = format!(
            "--refs has at most {LONGEST_GLOB} bytes, and --verbs names at most {MOST_VERBS} commands, push or fetch"
        );
        return Err(context.usage(why));
    }
    let scope = narrower(&agent, wanted)?;
    // A limited token hands on its own end too; what is good for everything may renew itself.
    let longest = match agent.scope == Scope::default() {
        true => u64::MAX,
        false => expiry(context, &agent),
    };
    let (forge, by) = (context.forge.clone(), context.author()?);
    let ((token, id, expires_ms), _) = context.commit(context.forge.root_repository(), move |draft| {
        let ttl_ms = ttl_ms.min(longest.saturating_sub(draft.now()));
        let (token, fact) = new_token(&forge, &agent.name, draft.now(), ttl_ms, scope);
        let (id, expires_ms) = (fact.id.clone(), fact.expires_ms);
        draft.event(&by, &EntityId::Agent(agent.name.clone()), fact, None, &[])?;
        Ok((token, id, expires_ms))
    })?;
    Ok(Answer::of(&Issued { token, id, expires_ms }))
}

/// When the token that an agent came with ends.
fn expiry(context: &Context, agent: &AgentActor) -> u64 {
    let id = agent.credential.strip_prefix("token:").unwrap_or("");
    context.root.fold.tokens.get(id).map_or(0, |(_, token)| token.expires_ms)
}

/// Whether a token can be limited to this: the first word of a command, or what git does.
fn is_verb(word: &str) -> bool {
    let first = |name: &'static str| name.split(' ').next().unwrap_or("");
    word == "push" || word == "fetch" || super::COMMANDS.iter().any(|command| first(command.name) == word)
}

/// A token can only hand on what it has itself.
fn narrower(agent: &AgentActor, wanted: Scope) -> Result<Scope, Refusal> {
    let own = &agent.scope;
    let wider = (own.project.is_some() && wanted.project.is_some() && own.project != wanted.project)
        || (own.refs.is_some() && wanted.refs.is_some() && own.refs != wanted.refs)
        || (!own.verbs.is_empty() && wanted.verbs.iter().any(|v| !own.verbs.contains(v)));
    if wider {
        return Err(Refusal::new(
            Code::NotAllowed,
            "token",
            "it would be good for more than the token you came with",
            "whoami",
        ));
    }
    Ok(Scope {
        project: wanted.project.or_else(|| own.project.clone()),
        refs: wanted.refs.or_else(|| own.refs.clone()),
        verbs: if wanted.verbs.is_empty() { own.verbs.clone() } else { wanted.verbs },
    })
}
