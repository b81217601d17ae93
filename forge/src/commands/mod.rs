//! One command language for every door: one file per group of commands, one slice that lists them all.
//!
//! Invariant: only [`dispatch`] authorises, by what each command declares it needs; a command cannot forget to ask,
//! because it is no value without that field.

mod agents;
mod answers;
mod apply;
mod challenge;
mod checks;
mod code;
mod contest;
mod context;
mod feed;
mod finding;
mod gate;
mod health;
mod help;
mod humans;
pub mod import;
mod issues;
mod items;
mod keys;
mod leaderboard;
mod line;
mod lists;
mod login;
mod mail;
mod may;
mod merge;
mod merges;
mod needs;
mod notes;
mod place;
mod plan;
mod played;
pub mod probe;
mod projects;
mod pulls;
mod recent;
mod restate;
mod review;
mod roadmap;
mod rounds;
mod same;
mod sealed;
mod submission;
mod submit;
mod suggest;
mod text;
mod today;
pub(crate) mod trace;
mod turn;
mod verify;
mod vote;
mod vouch;
mod work;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

pub use agents::{PROFILE, REGISTER};
pub use apply::APPLY;
pub use checks::{CHECK_LIST, CHECK_POST, CHECK_SHOW};
pub use code::{ARCHIVE, BLAME, BRANCH_LIST, CAT, DIFF, GREP, LOG, SHOW, TAG_LIST, TREE};
pub use context::Context;
pub use feed::FEED;
pub use finding::SEARCH;
pub use health::HEALTH;
pub use help::RECORDER_SCRIPT;
pub use issues::{ISSUE_CLOSE, ISSUE_LIST, ISSUE_NEW, ISSUE_REOPEN};
pub use items::{DETAILS, REPLY};
pub use leaderboard::LEADERBOARD;
pub use line::{Args, Shape, Stdin, Takes, quoted};
pub use login::LOGOUT;
pub use merge::MERGE;
pub use needs::NEEDS;
pub use plan::ISSUE_EDIT;
pub use projects::{PROJECT_LIST, PROJECT_SHOW};
pub use pulls::{PR, PR_CLOSE, PR_LIST};
pub use review::REVIEW;
pub use roadmap::ROADMAP;
pub use submission::SUBMISSION;
pub use today::TODAY;
pub use trace::TRACE;
pub use vote::{ACCEPT, VOTE};
pub use work::{ABANDON, START};

use crate::answer::{Answer, Code, File, Refusal};
use crate::authority::{self, Actor, Needs, Of, Operation};
use crate::forge::Forge;

/// Which door a command came through; answers may name that door's URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `ssh forge <command>`.
    Ssh,
    /// `POST /action` and the routes.
    Http,
}

/// One command as it arrived.
#[derive(Clone)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// From where, as far as the door knows.
    pub from: Option<IpAddr>,
    /// Through what.
    pub door: Door,
    /// The command line, as ssh joins it or `POST /action` carries it.
    pub line: String,
    /// The one command that the line may hold, where the door's address stands for one.
    pub only: Option<&'static Command>,
    /// Whether JSON was asked for outside the line (`Accept`).
    pub json: bool,
}

/// What goes back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Data: Markdown or JSON, ending with a line break.
    pub stdout: String,
    /// Without `--json`, refusals.
    pub stderr: String,
    /// 0, or the refusal's code.
    pub exit: u8,
    /// The same as an HTTP status.
    pub status: u16,
    /// A file that goes out instead of `stdout`.
    pub file: Option<File>,
}

/// One command, as data: it does not exist without saying what it needs.
pub struct Command {
    /// Its name: one word, or two.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it needs of the actor.
    pub needs: Needs,
    /// What it is about, and what its actor must be to that.
    pub of: Of,
    /// What its line may hold.
    pub shape: Shape,
    /// How it is called, for help: the part after its name.
    pub usage: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// A line that runs.
    pub example: &'static str,
    /// Does it. Blocks.
    pub run: fn(&Context, &Args) -> Result<Answer, Refusal>,
}

impl Command {
    /// What permission is asked for.
    pub const fn operation(&self) -> Operation {
        Operation { verb: first_word(self.name), needs: self.needs, of: self.of }
    }
}

const fn first_word(name: &'static str) -> &'static str {
    let mut at = 0;
    while at < name.len() && name.as_bytes()[at] != b' ' {
        at += 1;
    }
    name.split_at(at).0
}

/// Every command, in the order in which help lists them.
pub const COMMANDS: &[&Command] = &[
    &help::HELP,
    &help::RECORDER,
    &agents::REGISTER,
    &agents::WHOAMI,
    &keys::KEY_ADD,
    &keys::KEY_LIST,
    &keys::KEY_REVOKE,
    &keys::TOKEN,
    &login::LOGIN,
    &login::LOGOUT,
    &feed::FEED,
    &feed::MY_WORK,
    &finding::SEARCH,
    &items::DETAILS,
    &items::REPLY,
    &projects::PROJECT_NEW,
    &projects::PROJECT_LIST,
    &projects::PROJECT_SHOW,
    &roadmap::ROADMAP,
    &health::HEALTH,
    &projects::JOIN,
    &issues::ISSUE_NEW,
    &issues::ISSUE_LIST,
    &plan::ISSUE_EDIT,
    &issues::ISSUE_CLOSE,
    &issues::ISSUE_REOPEN,
    &sealed::ISSUE_SEAL,
    &sealed::ISSUE_SEALED,
    &import::IMPORT,
    &work::START,
    &work::ABANDON,
    &submit::SUBMIT,
    &submission::SUBMISSION,
    &pulls::PR,
    &pulls::PR_LIST,
    &pulls::PR_CLOSE,
    &review::REVIEW,
    &apply::APPLY,
    &vote::VOTE,
    &vote::ACCEPT,
    &merge::MERGE,
    &trace::TRACE,
    &challenge::CHALLENGE,
    &verify::VERIFY,
    &notes::NOTE,
    &checks::CHECK_REGISTER,
    &checks::CHECK_DROP,
    &checks::CHECK_LIST,
    &checks::CHECK_SHOW,
    &checks::CHECK_POST,
    &code::TREE,
    &code::CAT,
    &code::GREP,
    &code::LOG,
    &code::SHOW,
    &code::BLAME,
    &code::DIFF,
    &code::BRANCH_LIST,
    &code::TAG_LIST,
    &code::ARCHIVE,
    &agents::PROFILE,
    &leaderboard::LEADERBOARD,
    &today::TODAY,
    &needs::NEEDS,
    &vouch::VOUCH,
    &vouch::ADMIN_VOUCH,
];

/// Finds a command by name or alias.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|c| c.name == name || c.aliases.contains(&name))
}

/// How long `--wait` waits before it answers with nothing new.
/// Limit: what `--wait` waits | {}, then it answers with nothing new
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Parses, authorises and runs one command. Reads `body` only where the command takes one.
pub async fn dispatch(forge: &Arc<Forge>, call: Call, body: &mut (dyn AsyncRead + Send + Unpin)) -> Reply {
    let mut args = Args::default();
    let outcome = answer(forge, &call, body, &mut args).await;
    if let (Err(refusal), Some(agent)) = (&outcome, call.actor.agent()) {
        forge.note_refusal(&agent.name, refusal);
    }
    let outcome = outcome.map_err(Refusal::to_a_command);
    let json = call.json || args.has("json");
    match outcome {
        Ok(answer) => Reply {
            stdout: if json { format!("{}\n", answer.json) } else { answer.markdown },
            stderr: String::new(),
            exit: 0,
            status: 200,
            file: answer.file.filter(|_| !json),
        },
        Err(refusal) => Reply {
            stdout: if json { format!("{}\n", refusal.json()) } else { String::new() },
            stderr: if json { String::new() } else { refusal.lines() },
            exit: refusal.code as u8,
            status: refusal.http_status(),
            file: None,
        },
    }
}

async fn answer(
    forge: &Arc<Forge>,
    call: &Call,
    body: &mut (dyn AsyncRead + Send + Unpin),
    args: &mut Args,
) -> Result<Answer, Refusal> {
    let names = line::head(&call.line, args)?;
    let found = names.iter().find_map(|(name, rest)| Some((find(name)?, name, *rest)));
    let (command, rest) = match found {
        Some((command, name, rest)) => {
            args.called.clone_from(name);
            (command, rest)
        }
        None => unknown(names.last().map_or("", |(name, _)| name))?,
    };
    if call.only.is_some_and(|only| only.name != command.name) {
        let why = format!("this address asks for `{}` alone", call.only.map_or("", |only| only.name));
        return Err(Refusal::new(Code::NotAllowed, command.name, why, "help"));
    }
    // Whoever may not do it is told so before being told how it is spelled.
    authority::permit(&call.actor, forge.rank(&call.actor), command.operation(), None, forge.config().read)?;
    // A bare number is a reference: it is shown.
    let rest = if command.name == "details" && line_is_number(&call.line) { call.line.trim() } else { rest };
    let shape = command.shape;
    line::tail(command.name, rest, &shape, args)?;
    let text = read_body(forge, call, &shape, args, body).await?;
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    let (mut changes, mut stopping) = (forge.changes(), forge.stopping());
    let _one_after_the_other = merge::turn(forge, command, args).await;
    loop {
        // Whoever waits for news takes turns with the others who do.
        let turn = if args.has("wait") {
            tokio::select! {
                turn = forge.turn_to_look() => turn,
                _ = stopping.wait_for(|stopping| *stopping) => None,
            }
        } else {
            None
        };
        changes.mark_unchanged();
        let answer = run(forge, call, command, args, text.clone()).await?;
        drop(turn);
        if !(answer.nothing_new && args.has("wait")) {
            return Ok(answer);
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(answer) },
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(answer),
            () = tokio::time::sleep_until(deadline) => return Ok(answer),
        }
    }
}

fn line_is_number(line: &str) -> bool {
    notes_schema::names::parse_number(line.trim()).is_some()
}

fn unknown(name: &str) -> Result<(&'static Command, &'static str), Refusal> {
    if notes_schema::names::parse_number(name).is_some() {
        return Ok((&items::DETAILS, ""));
    }
    if COMMANDS.iter().any(|c| c.name.split_once(' ').is_some_and(|(first, _)| first == name)) {
        return Err(Refusal::new(Code::Usage, name, "it needs a second word", format!("help {name}")));
    }
    let near = COMMANDS.iter().map(|c| c.name).min_by_key(|known| distance(known, name));
    let near = near.filter(|known| distance(known, name) <= 2);
    let next = near.map_or("help".to_owned(), |near| format!("help {near}"));
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(Refusal::new(Code::Usage, shown, "there is no such command", next))
}

/// Edit distance of two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

async fn read_body(
    forge: &Arc<Forge>,
    call: &Call,
    shape: &Shape,
    args: &Args,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<Option<String>, Refusal> {
    let dash = args.dash || args.words.iter().any(|w| w == "-") || args.value("record") == Some("-");
    let wanted = match shape.stdin {
        Stdin::Dash => dash,
        Stdin::InsteadOfText => args.text.is_none() && args.word(0).is_none_or(line::is_reference),
        Stdin::Always => true,
        Stdin::OverHttp => call.door == Door::Http,
    };
    if !wanted {
        return Ok(None);
    }
    let most = forge.config().limits.body_bytes;
    let refuse = |why: String| Refusal::new(Code::Usage, "body", why, "help");
    let mut bytes = Vec::new();
    body.take(most + 1).read_to_end(&mut bytes).await.map_err(|e| refuse(format!("it could not be read: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(refuse(format!("it is longer than {most} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    Ok(Some(text).filter(|t| !t.trim().is_empty()))
}

async fn run(
    forge: &Arc<Forge>,
    call: &Call,
    command: &'static Command,
    args: &Args,
    body: Option<String>,
) -> Result<Answer, Refusal> {
    let (forge, call, args) = (forge.clone(), call.clone(), args.clone());
    let ran = tokio::task::spawn_blocking(move || {
        let context = Context::new(&forge, &call, command, &args, body)?;
        (command.run)(&context, &args)
    });
    ran.await.unwrap_or_else(|error| {
        tracing::error!(%error, command = command.name, "a command failed unexpectedly");
        Err(Refusal::new(Code::TryLater, command.name, "it failed unexpectedly; the log says how", "help"))
    })
}
