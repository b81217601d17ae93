//! Sending items to a forge, some in a call.
//!
//! Invariant: a call that was lost is sent again: what it did is known by the items' keys, and adds nothing twice.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use notes_schema::ProjectName;
use serde::Deserialize;
use serde_json::Value;

use super::Args;
use crate::import::http::{Client, HttpError, Origin, Reply};

/// Most items of one call.
/// Limit: items that `forge import` sends in one call | {}
const MOST_ITEMS: usize = 50;
/// Bytes after which a call takes no more items.
/// Limit: bytes after which `forge import` sends a call | {:bytes}
const MOST_BYTES: usize = 256 << 10;
/// Most times that one call is sent.
/// Limit: times that `forge import` sends one call | {}
const MOST_TRIES: u32 = 6;
/// Calls between two words about how far it is.
const BETWEEN: u64 = 20;

/// A forge that items are sent to.
pub(super) struct Forge {
    client: Client,
    path: String,
    project: ProjectName,
    line: String,
}

/// The project as it is.
pub(super) struct Project {
    /// Its default branch.
    pub branch: String,
    /// Whether that branch exists.
    pub is_born: bool,
}

/// What was answered so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// New issues.
    pub added: u64,
    /// Items that were there before.
    pub existing: u64,
}

#[derive(Deserialize)]
struct Answered {
    added: u64,
    existing: u64,
}

impl Forge {
    pub(super) fn new(args: &Args) -> Result<Forge, String> {
        let (origin, path) = Origin::of(&args.to).map_err(|e| e.to_string())?;
        let client = Client::new(origin, Some(&args.token)).map_err(|e| e.to_string())?;
        let mut line = format!("import {}", args.project);
        for (flag, is_given) in [(" --close", args.close), (" --with-contests", args.with_contests)] {
            line.push_str(if is_given { flag } else { "" });
        }
        Ok(Forge { client, path: path.trim_end_matches('/').to_owned(), project: args.project.clone(), line })
    }

    /// Where git finds the project.
    pub(super) fn git_url(&self) -> String {
        format!("{}{}/{}.git", self.client.origin(), self.path, self.project)
    }

    /// Asks what the project is.
    pub(super) async fn project(&mut self) -> Result<Project, String> {
        let line = format!("project show {}", self.project);
        let said = self.act(line.as_bytes()).await?;
        let branch = said["default_branch"].as_str().unwrap_or("main").to_owned();
        Ok(Project { branch, is_born: said["head"].is_string() })
    }

    /// Sends all items of `spool`, one a line.
    pub(super) async fn send(&mut self, spool: File, items: u64) -> Result<Sent, String> {
        let mut sent = Sent::default();
        let mut spool = BufReader::new(spool);
        for call in 1u64.. {
            let body = self.call(&mut spool)?;
            if body.is_empty() {
                break;
            }
            let answer = self.act(&body).await.map_err(|why| {
                let Sent { added, existing } = sent;
                format!(
                    "{why}\n{added} issues were added before that, and {existing} were there: run it again to go on"
                )
            })?;
            let answer = Answered::deserialize(&answer).map_err(|e| format!("an answer that is none: {e}"))?;
            sent.added += answer.added;
            sent.existing += answer.existing;
            if call % BETWEEN == 0 {
                eprintln!("{} of {items} issues sent, {} of them new", sent.added + sent.existing, sent.added);
            }
        }
        Ok(sent)
    }

    /// The next call; empty behind the last item.
    fn call(&self, spool: &mut BufReader<File>) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        for _ in 0..MOST_ITEMS {
            let is_over = spool.fill_buf().map(<[u8]>::is_empty).map_err(|e| format!("a temporary file: {e}"))?;
            if body.len() >= MOST_BYTES || is_over {
                break;
            }
            if body.is_empty() {
                body.extend(format!("{}\n", self.line).into_bytes());
            }
            spool.read_until(b'\n', &mut body).map_err(|e| format!("a temporary file: {e}"))?;
        }
        Ok(body)
    }

    /// One command and its JSON.
    async fn act(&mut self, body: &[u8]) -> Result<Value, String> {
        let path = format!("{}/action", self.path);
        let headers = [("accept", "application/json"), ("content-type", "text/plain; charset=utf-8")];
        for left in (0..MOST_TRIES).rev() {
            match self.client.ask("POST", &path, &headers, body).await {
                Ok(reply) if reply.status == 200 => {
                    return serde_json::from_slice(&reply.body).map_err(|e| format!("an answer that is none: {e}"));
                }
                Ok(reply) if left > 0 && matches!(reply.status, 429 | 503) => {
                    let pause = reply.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(1);
                    eprintln!("{}: waiting {pause} s", refusal(&reply).lines().next().unwrap_or("not now"));
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
                Ok(reply) => return Err(refusal(&reply)),
                Err(HttpError::Lost { .. }) if left > 0 => tokio::time::sleep(Duration::from_millis(500)).await,
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("{}: no answer", self.client.origin()))
    }
}

/// A refusal in the forge's words.
fn refusal(reply: &Reply) -> String {
    let error = serde_json::from_slice::<Value>(&reply.body).ok().map(|value| value["error"].clone());
    let text = |key: &str| error.as_ref().and_then(|e| e[key].as_str()).unwrap_or("").to_owned();
    match error {
        Some(_) => super::plain(&format!("{}: {}\nnext: ssh forge {}", text("what"), text("why"), text("next"))),
        None => format!("the forge answered {}", reply.status),
    }
}
