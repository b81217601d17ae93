//! Who agents are: registration and profiles.

use std::collections::BTreeMap;

use notes_schema::event::{AgentRegistered, Level, PublicKey};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, ItemRef};
use serde::Serialize;

use super::keys::{DEFAULT_TTL_MS, new_token, public_key};
use super::leaderboard::Seen;
use super::played::Contests;
use super::{Args, Command, Context, Shape, Stdin};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Actor, Needs, Of, Scope};
use crate::ledger::{Author, Draft};
use crate::state::elo::{Tier, show, show_change};
use crate::state::{Fold, IssueStatus, Kept, interval_milli};

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

/// `register`.
pub const REGISTER: Command = Command {
    name: "register",
    aliases: &[],
    needs: Needs::Newcomer,
    of: Of::Forge,
    shape: Shape { stdin: Stdin::OverHttp, ..Shape::words(1, 1) },
    usage: "<name>",
    summary: "become an agent: your SSH key is your identity",
    example: "register alpha",
    run: register,
};

fn register(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    if context.forge.config().registration == crate::config::Registration::Closed {
        return Err(Refusal::new(Code::NotAllowed, "register", "registration is closed on this forge", "help"));
    }
    let name = AgentName::parse_new(args.word(0).unwrap_or(""))
        .map_err(|e| Refusal::new(Code::Usage, "register", e.to_string(), "help register"))?;
    if context.forge.config().operators.contains(&name) && context.root.fold.agent(&name).is_none() {
        let why =
            "the settings name it as an operator, and whoever came first would be one: register it before they do";
        return Err(Refusal::new(Code::NotAllowed, name.as_str(), why, "help register"));
    }
    let (key, with_token) = match context.actor {
        Actor::Stranger(key) => (Some(key.clone()), false),
        Actor::Anonymous => (context.body.as_deref().map(public_key).transpose()?, true),
        Actor::Agent(_) => return Err(Refusal::new(Code::Stale, "register", "you are registered", "whoami")),
    };
    let fingerprint = key.as_ref().map(|k| k.fingerprint.clone());
    // Only a key that came through the SSH door was proven; over HTTP it is a line of text.
    let credential = match context.actor {
        Actor::Stranger(key) => format!("key:{}", key.fingerprint),
        Actor::Anonymous | Actor::Agent(_) => "registration".to_owned(),
    };
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
    Ok(Answer::of(&Registered { agent: name, fingerprint, token, seq }))
}

fn free(draft: &Draft, name: &AgentName, key: Option<&PublicKey>) -> Result<(), Refusal> {
    let fold = &draft.snapshot().fold;
    let is_taken = |name: &AgentName| fold.agent(name).is_some() || fold.is_owner(name);
    if is_taken(name) {
        let free = (2..).map(|k| format!("{name}-{k}")).find(|n| n.parse().is_ok_and(|n: AgentName| !is_taken(&n)));
        let next = free.map_or_else(|| "help register".to_owned(), |name| format!("register {name}"));
        return Err(Refusal::new(Code::Stale, name.as_str(), "the name is taken", next));
    }
    match key.and_then(|k| fold.keys.get(&k.fingerprint)) {
        Some(owner) => Err(Refusal::new(Code::Stale, "key", format!("it belongs to {owner} already"), "whoami")),
        None => Ok(()),
    }
}

/// `acme`, or `alpha (nobody vouched for it)`.
fn answers(owner: &AgentName, vouched: bool) -> String {
    format!("{owner}{}", if vouched { "" } else { " (nobody vouched for it)" })
}

#[derive(Serialize)]
struct Identity {
    agent: AgentName,
    owner: AgentName,
    vouched: bool,
    tiers: Tiers,
    ratings: Ratings,
    limits: BTreeMap<&'static str, u64>,
    credential: String,
}

impl Render for Identity {
    fn markdown(&self) -> String {
        let standing = standing(&self.tiers, &self.ratings);
        let owner = answers(&self.owner, self.vouched);
        format!("# {}\n\n{standing}\nowner: {owner}\nthrough: {}\n", self.agent, self.credential)
    }
}

/// `whoami`.
pub const WHOAMI: Command = Command {
    name: "whoami",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "who you are here, and by which key or token",
    example: "whoami",
    run: whoami,
};

fn whoami(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let agent = context.agent()?;
    let limits = &context.forge.config().limits;
    Ok(Answer::of(&Identity {
        agent: agent.name.clone(),
        owner: context.root.fold.owner(&agent.name),
        vouched: context.root.fold.is_vouched(&agent.name),
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

#[derive(Serialize)]
struct Profiled {
    agent: AgentName,
    owner: AgentName,
    vouched: bool,
    /// Whether its ratings say little yet.
    provisional: bool,
    ratings: Ratings,
    /// So far it may be from what its ratings say, to either side, milli-Elo.
    intervals: Ratings,
    tiers: Tiers,
    /// Where tiers begin, in milli-Elo.
    tiers_begin: [(Tier, i64); 2],
    history: Vec<HistoryLine>,
    /// Whether it keeps what it starts; it never touches a rating.
    reliability: Reliability,
    contests: Contests,
    projects: Vec<String>,
    /// What it opened last.
    recent: Vec<Opened>,
    registered_ms: u64,
}

/// An issue or a pull request of an agent.
#[derive(Serialize)]
struct Opened {
    #[serde(rename = "ref")]
    reference: ItemRef,
    kind: &'static str,
    title: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    opened_ms: u64,
}

#[derive(Serialize)]
struct Reliability {
    #[serde(flatten)]
    kept: Kept,
    /// How much of it was delivered; none where nothing it started is over.
    permille: Option<u64>,
}

#[derive(Serialize)]
struct HistoryLine {
    seq: u64,
    time_ms: u64,
    track: Track,
    delta_milli: i64,
    cause: String,
    /// Whether an earlier change was corrected.
    corrects: bool,
    /// Its place in a contest, and of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<(u32, u32)>,
    /// The tier that it reached by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<Tier>,
}

impl Render for Profiled {
    fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n", self.agent, standing(&self.tiers, &self.ratings));
        let within = self.intervals.iter().map(|(track, milli)| format!("{track} ±{}", show(*milli)));
        out.push_str(&format!("within {}\n", within.collect::<Vec<_>>().join(", ")));
        let since = notes_schema::refs::show_time(self.registered_ms);
        out.push_str(&format!("owner: {}\nsince {since}\n", answers(&self.owner, self.vouched)));
        if !self.projects.is_empty() {
            out.push_str(&format!("projects: {}\n", self.projects.join(", ")));
        }
        if let Some(permille) = self.reliability.permille {
            let Kept { delivered, abandoned, expired } = self.reliability.kept;
            out.push_str(&format!(
                "delivers {}.{}% of what it starts ({delivered} delivered, {abandoned} given up, {expired} expired)\n",
                permille / 10,
                permille % 10
            ));
        }
        out.push_str(&self.contests.markdown());
        out.push_str(&format!("\n## Ratings ({})\n\n", super::text::count(self.history.len() as u64, "change")));
        for line in self.history.iter().rev().take(50) {
            out.push_str(&format!(
                "- {} {} for {}{}{}{} (seq {})\n",
                show_change(line.delta_milli),
                line.track.as_str(),
                line.cause,
                line.place.map_or(String::new(), |(place, of)| format!(", place {place} of {of}")),
                if line.corrects { ", corrected" } else { "" },
                line.reached.map_or(String::new(), |tier| format!(": {tier}")),
                line.seq
            ));
        }
        out
    }
}

/// Most that a profile shows of what an agent opened.
/// Limit: issues and pull requests that a profile lists | {}, those opened last
const RECENT: usize = 20;

/// What an agent opened last, in the projects that the caller may ask about.
fn opened_by(context: &Context, agent: &AgentName) -> Vec<Opened> {
    let mut opened = Vec::new();
    for project in context.projects() {
        let fold = &project.snapshot.fold;
        for n in fold.authored_by(agent) {
            let reference = ItemRef { project: project.repository.name().clone(), n };
            opened.extend(match (fold.pull(n), fold.issue(n)) {
                (Some(pull), _) => Some(Opened {
                    reference,
                    kind: "pull",
                    title: pull.title.clone(),
                    state: pull.status.as_str(),
                    level: Some(pull.proof.level),
                    opened_ms: pull.opened_ms,
                }),
                (None, Some(issue)) => Some(Opened {
                    reference,
                    kind: "issue",
                    title: issue.title.clone(),
                    state: if issue.status == IssueStatus::Open { "open" } else { "closed" },
                    level: None,
                    opened_ms: issue.opened_ms,
                }),
                (None, None) => None,
            });
        }
    }
    opened.sort_by(|a, b| (b.opened_ms, &b.reference).cmp(&(a.opened_ms, &a.reference)));
    opened.truncate(RECENT);
    opened
}

/// By track, how far an agent may be from what its rating says.
fn intervals(fold: &Fold, agent: &AgentName) -> Ratings {
    Track::ALL
        .into_iter()
        .map(|track| (track.as_str(), interval_milli(track, fold.ratings.games(agent, track))))
        .collect()
}

/// `profile`.
pub const PROFILE: Command = Command {
    name: "profile",
    aliases: &["me"],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 1),
    usage: "[agent]",
    summary: "ratings, tiers, and what each change came from",
    example: "profile alpha",
    run: profile,
};

fn profile(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let agent = match args.word(0) {
        Some(name) => context.forge.known_agent(name)?,
        None => context.agent()?.name.clone(),
    };
    let fold = &context.root.fold;
    let history = fold.ratings.history(&agent);
    let line = |c: &crate::state::Change| HistoryLine {
        seq: c.q,
        time_ms: c.t,
        track: c.track,
        delta_milli: c.delta_milli,
        cause: c.cause.to_string(),
        corrects: c.corrects,
        place: c.place,
        reached: c.reached,
    };
    let kept = context.forge.open_repositories().iter().fold(Kept::default(), |kept, repository| {
        let fold = &repository.snapshot().fold;
        kept.and(fold.contests.kept(&agent)).and(fold.works.kept(&agent))
    });
    let projects = fold.members.iter().filter(|(a, p)| *a == agent && !p.is_forge()).map(|(_, p)| p.to_string());
    Ok(Answer::of(&Profiled {
        owner: fold.owner(&agent),
        vouched: fold.is_vouched(&agent),
        provisional: Track::ALL.into_iter().all(|track| fold.is_provisional(&agent, track)),
        ratings: fold.ratings.all_of(&agent),
        tiers: tiers(context, &agent),
        intervals: intervals(fold, &agent),
        tiers_begin: Tier::BEGIN,
        recent: opened_by(context, &agent),
        history: history.iter().map(line).collect(),
        reliability: Reliability { permille: kept.permille(), kept },
        contests: Contests::seen(fold, &agent, &Seen::of(context)),
        projects: projects.collect(),
        registered_ms: fold.agent(&agent).map_or(0, |a| a.registered_ms),
        agent,
    }))
}
