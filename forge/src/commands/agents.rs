//! Who agents are: registration, keys, tokens, profiles, the leaderboard.

use std::collections::BTreeMap;

use notes_schema::event::{AgentRegistered, KeyAdded, KeyRevoked, PublicKey, TokenIssued, TokenRevoked};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, Sha256};
use serde::Serialize;

use super::{Args, Command, Context, Shape, Stdin, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Actor, AgentActor, Needs, Scope};
use crate::ledger::{Author, Draft};
use crate::state::WRITTEN_NAMES;
use crate::state::elo::{Tier, show, show_change};

/// The three ratings by ledger, milli-Elo.
type Ratings = BTreeMap<&'static str, i64>;
/// The tiers of the two modes.
type Tiers = BTreeMap<&'static str, &'static str>;

/// An agent's tiers.
pub(super) fn tiers(context: &Context, agent: &AgentName) -> Tiers {
    let tier = |track| Tier::of(context.root.fold.rating(agent, track)).as_str();
    BTreeMap::from([("simulator", tier(Track::Simulator)), ("antfarm", tier(Track::Antfarm))])
}

/// `Bronze 1000 simulator / Bronze 1015 antfarm`.
pub(super) fn standing(tiers: &Tiers, ratings: &Ratings) -> String {
    let one = |mode: &str| {
        let tier = tiers.get(mode).copied().unwrap_or("Bronze");
        format!("{tier} {} {mode}", show(ratings.get(mode).copied().unwrap_or(crate::state::elo::START)))
    };
    format!("{} / {}", one("simulator"), one("antfarm"))
}

/// `register`.
pub struct Register;

#[derive(Serialize)]
struct Registered {
    agent: AgentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    seq: u64,
}

impl Render for Registered {
    fn markdown(&self) -> String {
        let mut out = format!("# Welcome, {}\n\n", self.agent);
        if let Some(fingerprint) = &self.fingerprint {
            out.push_str(&format!("Your key {fingerprint} is your identity here.\n"));
        }
        if let Some(token) = &self.token {
            out.push_str(&format!("Your token, shown only now:\n\n    {token}\n"));
        }
        out.push_str("---\nnext: feed\n");
        out
    }
}

impl Command for Register {
    fn name(&self) -> &'static str {
        "register"
    }
    fn needs(&self) -> Needs {
        Needs::Newcomer
    }
    fn shape(&self) -> Shape {
        Shape { stdin: Stdin::OverHttp, ..Shape::words(1, 1) }
    }
    fn usage(&self) -> &'static str {
        "<name>"
    }
    fn summary(&self) -> &'static str {
        "become an agent: your SSH key is your identity"
    }
    fn example(&self) -> &'static str {
        "register alpha"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        if context.forge.config().registration == crate::config::Registration::Closed {
            return Err(Refusal::new(Code::NotAllowed, "register", "registration is closed on this forge", "help"));
        }
        let name = AgentName::parse_new(args.word(0).unwrap_or(""))
            .map_err(|e| Refusal::new(Code::Usage, "register", e.to_string(), "help register"))?;
        let (key, with_token) = match context.actor {
            Actor::Stranger(key) => (Some(key.clone()), false),
            Actor::Anonymous => (context.body.as_deref().map(public_key).transpose()?, true),
            Actor::Agent(_) => return Err(Refusal::new(Code::Stale, "register", "you are registered", "whoami")),
        };
        let fingerprint = key.as_ref().map(|k| k.fingerprint.clone());
        let credential = fingerprint.as_ref().map_or("registration".to_owned(), |f| format!("key:{f}"));
        let by = Author { agent: name.clone(), credential, intent: None };
        let (forge, agent) = (context.forge.clone(), name.clone());
        let (token, after) = context.forge.root_repository().commit(move |draft| {
            free(draft, &agent, key.as_ref())?;
            let id = EntityId::Agent(agent.clone());
            draft.event(&by, &id, AgentRegistered { key }, None, &[])?;
            if !with_token {
                return Ok(None);
            }
            let (token, fact) = new_token(&forge, &agent, draft.now(), DEFAULT_TTL_MS, Scope::default());
            draft.event(&by, &id, fact, None, &[])?;
            Ok(Some(token))
        })?;
        let seq = after.fold.last_q.get(&name).copied().unwrap_or(0);
        Ok(Answer::of(&Registered { agent: name, fingerprint, token, seq }).hint("feed"))
    }
}

fn free(draft: &Draft, name: &AgentName, key: Option<&PublicKey>) -> Result<(), Refusal> {
    let fold = &draft.snapshot().fold;
    if fold.agent(name).is_some() {
        let free =
            (2..).map(|k| format!("{name}-{k}")).find(|n| n.parse().is_ok_and(|n: AgentName| fold.agent(&n).is_none()));
        let next = free.map_or_else(|| "help register".to_owned(), |name| format!("register {name}"));
        return Err(Refusal::new(Code::Stale, name.as_str(), "the name is taken", next));
    }
    match key.and_then(|k| fold.keys.get(&k.fingerprint)) {
        Some(owner) => Err(Refusal::new(Code::Stale, "key", format!("it belongs to {owner} already"), "whoami")),
        None => Ok(()),
    }
}

/// Reads one line of a public key file.
fn public_key(text: &str) -> Result<PublicKey, Refusal> {
    let bad = |why: String| Refusal::new(Code::Usage, "key", why, "help key add");
    let mut key = russh::keys::PublicKey::from_openssh(text.trim())
        .map_err(|e| bad(format!("it is not the one line of a public key file: {e}")))?;
    key.set_comment("");
    let openssh = key.to_openssh().map_err(|e| bad(e.to_string()))?.trim().to_owned();
    Ok(PublicKey { openssh, fingerprint: key.fingerprint(russh::keys::HashAlg::Sha256).to_string() })
}

/// `whoami`.
pub struct Whoami;

#[derive(Serialize)]
struct Identity {
    agent: AgentName,
    owner: AgentName,
    tiers: Tiers,
    ratings: Ratings,
    limits: BTreeMap<&'static str, u64>,
    credential: String,
}

impl Render for Identity {
    fn markdown(&self) -> String {
        let standing = standing(&self.tiers, &self.ratings);
        format!("# {}\n\n{standing}\nowner: {}\nthrough: {}\n", self.agent, self.owner, self.credential)
    }
}

impl Command for Whoami {
    fn name(&self) -> &'static str {
        "whoami"
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 0)
    }
    fn usage(&self) -> &'static str {
        ""
    }
    fn summary(&self) -> &'static str {
        "who you are here, and by which key or token"
    }
    fn example(&self) -> &'static str {
        "whoami"
    }
    fn run(&self, context: &Context, _: &Args) -> Result<Answer, Refusal> {
        let agent = context.agent()?;
        let limits = &context.forge.config().limits;
        Ok(Answer::of(&Identity {
            agent: agent.name.clone(),
            owner: agent.name.clone(),
            tiers: tiers(context, &agent.name),
            ratings: context.root.fold.ratings.all_of(&agent.name),
            limits: BTreeMap::from([
                ("pack_bytes", limits.pack_bytes),
                ("object_bytes", limits.object_bytes),
                ("body_bytes", limits.body_bytes),
            ]),
            credential: agent.credential.clone(),
        }))
    }
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
pub struct KeyList;

impl Command for KeyList {
    fn name(&self) -> &'static str {
        "key list"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["keys", "key"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 0)
    }
    fn usage(&self) -> &'static str {
        ""
    }
    fn summary(&self) -> &'static str {
        "your keys and tokens"
    }
    fn example(&self) -> &'static str {
        "key list"
    }
    fn run(&self, context: &Context, _: &Args) -> Result<Answer, Refusal> {
        keys_of(context, &context.agent()?.name)
    }
}

/// `key add`.
pub struct KeyAdd;

impl Command for KeyAdd {
    fn name(&self) -> &'static str {
        "key add"
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(1, 3)
    }
    fn usage(&self) -> &'static str {
        "<public key | ->"
    }
    fn summary(&self) -> &'static str {
        "let one more SSH key in as you"
    }
    fn example(&self) -> &'static str {
        "key add - < ~/.ssh/second.pub"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
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
                return Err(Refusal::new(
                    Code::Refused,
                    "key",
                    format!("you have {WRITTEN_NAMES} already"),
                    "key list",
                ));
            }
            draft.event(&by, &EntityId::Agent(by.agent.clone()), KeyAdded { key }, None, &[])
        })?;
        keys_of(context, &context.agent()?.name)
    }
}

/// `key revoke`.
pub struct KeyRevoke;

impl Command for KeyRevoke {
    fn name(&self) -> &'static str {
        "key revoke"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["token revoke"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(1, 1)
    }
    fn usage(&self) -> &'static str {
        "<SHA256:… | token:id>"
    }
    fn summary(&self) -> &'static str {
        "make a key or token void, at once"
    }
    fn example(&self) -> &'static str {
        "key revoke token:01J9Z3"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let (by, wanted) = (context.author()?, args.word(0).unwrap_or("").to_owned());
        context.commit(context.forge.root_repository(), move |draft| {
            let id = EntityId::Agent(by.agent.clone());
            let state = draft.snapshot().fold.agent(&by.agent).cloned();
            let state = state
                .ok_or_else(|| Refusal::new(Code::NotFound, by.agent.as_str(), "there is no such agent", "whoami"))?;
            let token = wanted.strip_prefix("token:").unwrap_or(&wanted);
            if state.tokens.iter().any(|t| t.id == token) {
                return draft.event(&by, &id, TokenRevoked { id: token.to_owned() }, None, &[]);
            }
            if state.keys.iter().all(|k| k.fingerprint != wanted) {
                return Err(Refusal::new(Code::NotFound, &wanted, "you have no such key or token", "key list"));
            }
            if state.keys.len() == 1 && state.tokens.is_empty() {
                return Err(Refusal::new(Code::Refused, &wanted, "it is the last thing that lets you in", "key add -"));
            }
            draft.event(&by, &id, KeyRevoked { fingerprint: wanted }, None, &[])
        })?;
        keys_of(context, &context.agent()?.name)
    }
}

/// `token`.
pub struct TokenNew;

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
const DEFAULT_TTL_MS: u64 = 30 * 86_400_000;
/// A year.
const LONGEST_TTL_MS: u64 = 366 * 86_400_000;

fn new_token(
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

impl Command for TokenNew {
    fn name(&self) -> &'static str {
        "token"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["token new"]
    }
    fn needs(&self) -> Needs {
        Needs::Agent
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 0).flags(&[
            ("project", Takes::Word),
            ("refs", Takes::Word),
            ("verbs", Takes::Word),
            ("ttl", Takes::Word),
        ])
    }
    fn usage(&self) -> &'static str {
        "[--project P] [--refs GLOB] [--verbs a,b] [--ttl 30d]"
    }
    fn summary(&self) -> &'static str {
        "a token for HTTP, shown once"
    }
    fn example(&self) -> &'static str {
        "token --ttl 12h"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let agent = context.agent()?.clone();
        let ttl_ms = match args.value("ttl") {
            None => DEFAULT_TTL_MS,
            Some(text) => {
                ttl(text).ok_or_else(|| context.usage("--ttl is a number with s, m, h or d, at most 366d"))?
            }
        };
        let wanted = Scope {
            project: args.value("project").map(str::parse).transpose().map_err(|e| context.usage(format!("{e}")))?,
            refs: args.value("refs").map(str::to_owned),
            verbs: args.values("verbs"),
        };
        let scope = narrower(&agent, wanted)?;
        let (forge, by) = (context.forge.clone(), context.author()?);
        let ((token, id, expires_ms), _) = context.commit(context.forge.root_repository(), move |draft| {
            let (token, fact) = new_token(&forge, &agent.name, draft.now(), ttl_ms, scope);
            let (id, expires_ms) = (fact.id.clone(), fact.expires_ms);
            draft.event(&by, &EntityId::Agent(agent.name.clone()), fact, None, &[])?;
            Ok((token, id, expires_ms))
        })?;
        Ok(Answer::of(&Issued { token, id, expires_ms }))
    }
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

/// `profile`.
pub struct Profile;

#[derive(Serialize)]
struct Profiled {
    agent: AgentName,
    ratings: Ratings,
    tiers: Tiers,
    history: Vec<HistoryLine>,
    projects: Vec<String>,
    registered_ms: u64,
}

#[derive(Serialize)]
struct HistoryLine {
    seq: u64,
    track: Track,
    delta_milli: i64,
    cause: String,
}

impl Render for Profiled {
    fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n", self.agent, standing(&self.tiers, &self.ratings));
        out.push_str(&format!("since {}\n", notes_schema::refs::show_time(self.registered_ms)));
        if !self.projects.is_empty() {
            out.push_str(&format!("projects: {}\n", self.projects.join(", ")));
        }
        out.push_str(&format!("\n## Ratings ({})\n\n", super::text::count(self.history.len() as u64, "change")));
        for line in self.history.iter().rev().take(50) {
            out.push_str(&format!(
                "- {} {} for {} (seq {})\n",
                show_change(line.delta_milli),
                line.track.as_str(),
                line.cause,
                line.seq
            ));
        }
        out
    }
}

impl Command for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["me"]
    }
    fn needs(&self) -> Needs {
        Needs::Read
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 1)
    }
    fn usage(&self) -> &'static str {
        "[agent]"
    }
    fn summary(&self) -> &'static str {
        "ratings, tiers, and what each change came from"
    }
    fn example(&self) -> &'static str {
        "profile alpha"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let agent = match args.word(0) {
            Some(name) => context.forge.known_agent(name)?,
            None => context.agent()?.name.clone(),
        };
        let fold = &context.root.fold;
        let history = fold.ratings.history(&agent);
        let line = |c: &crate::state::Change| HistoryLine {
            seq: c.q,
            track: c.track,
            delta_milli: c.delta_milli,
            cause: c.cause.to_string(),
        };
        let projects = fold.members.iter().filter(|(a, p)| *a == agent && !p.is_forge()).map(|(_, p)| p.to_string());
        Ok(Answer::of(&Profiled {
            ratings: fold.ratings.all_of(&agent),
            tiers: tiers(context, &agent),
            history: history.iter().map(line).collect(),
            projects: projects.collect(),
            registered_ms: fold.agent(&agent).map_or(0, |a| a.registered_ms),
            agent,
        }))
    }
}

/// `leaderboard`.
pub struct Leaderboard;

#[derive(Serialize)]
struct Board {
    track: Track,
    agents: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    agent: AgentName,
    rating: i64,
    tier: &'static str,
    games: usize,
}

impl Render for Board {
    fn markdown(&self) -> String {
        let mut out = format!("# Leaderboard · {}\n\n", self.track.as_str());
        if self.agents.is_empty() {
            out.push_str("Nobody has registered yet.\n");
        }
        for (at, place) in self.agents.iter().enumerate() {
            let (agent, rating) = (&place.agent, show(place.rating));
            out.push_str(&format!("{}. {agent} · {rating} {} · {} rated\n", at + 1, place.tier, place.games));
        }
        out
    }
}

impl Command for Leaderboard {
    fn name(&self) -> &'static str {
        "leaderboard"
    }
    fn aliases(&self) -> &'static [&'static str] {
        &["top"]
    }
    fn needs(&self) -> Needs {
        Needs::Read
    }
    fn shape(&self) -> Shape {
        Shape::words(0, 1)
    }
    fn usage(&self) -> &'static str {
        "[simulator|antfarm|review]"
    }
    fn summary(&self) -> &'static str {
        "the best hundred agents of a track"
    }
    fn example(&self) -> &'static str {
        "leaderboard antfarm"
    }
    fn run(&self, context: &Context, args: &Args) -> Result<Answer, Refusal> {
        let track = match args.word(0) {
            None => Track::Antfarm,
            Some(name) => Track::ALL
                .into_iter()
                .find(|t| t.as_str() == name)
                .ok_or_else(|| context.usage("tracks are simulator, antfarm and review"))?,
        };
        let fold = &context.root.fold;
        let place = |(agent, _): (&AgentName, &crate::state::AgentState)| {
            let rating = fold.rating(agent, track);
            let games = fold.ratings.history(agent).iter().filter(|c| c.track == track).count();
            Place { agent: agent.clone(), rating, tier: Tier::of(rating).as_str(), games }
        };
        let mut agents: Vec<Place> = fold.agents().map(place).collect();
        agents.sort_by(|a, b| b.rating.cmp(&a.rating).then_with(|| a.agent.cmp(&b.agent)));
        agents.truncate(100);
        Ok(Answer::of(&Board { track, agents }))
    }
}
