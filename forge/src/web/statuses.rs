//! Commit statuses as runners post and read them: the routes of GitHub, Gitea, Forgejo and GitLab, as far as a runner needs
//! them. Any owner is taken, since a forge's projects have none.
//!
//! Invariant: translates to commands (`check post`, `check show`, `project show`), nothing else. What becomes part of a
//! command line is a name or an id; all other words travel as JSON on its stdin.

mod github;
mod gitlab;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use notes_schema::{Oid, ProjectName, RefName, refs};
use serde_json::{Value, json};

use super::routes::{Asks, Door, Route};
use super::{action, text};
use crate::answer::{Code, Refusal};
use crate::commands;

/// Longest body of a status, in bytes.
/// Limit: body of a commit status | {:bytes}
const LONGEST_BODY: usize = 64 << 10;

/// Where GitHub's clients look: by itself, on an own server, and at a Gitea or Forgejo.
const PREFIXES: [&str; 3] = ["", "/api/v3", "/api/v1"];

const SHOW: Asks = Asks::Command(&commands::CHECK_SHOW);
const POST: Asks = Asks::Command(&commands::CHECK_POST);
const PROJECT: Asks = Asks::Command(&commands::PROJECT_SHOW);

/// The routes.
pub(crate) const ROUTES: &[Route] = &[
    Route::get("/api/v1/version", Asks::Words, |by| on(by, github::version)),
    Route::post("/api/v4/projects/{id}/statuses/{commit}", POST, |by| on(by, gitlab::post)),
    Route::get("/api/v4/projects/{id}/repository/commits/{commit}/statuses", SHOW, |by| on(by, gitlab::list)),
    Route::get("/repos/{owner}/{repo}", PROJECT, |by| on(by, github::repository)).under(&PREFIXES),
    Route::get("/repos/{owner}/{repo}/commits/{commit}", SHOW, |by| on(by, github::commit)).under(&PREFIXES),
    Route::get("/repos/{owner}/{repo}/commits/{commit}/status", SHOW, |by| on(by, github::combined)).under(&PREFIXES),
    Route::get("/repos/{owner}/{repo}/commits/{commit}/statuses", SHOW, |by| on(by, github::list)).under(&PREFIXES),
    Route::get("/repos/{owner}/{repo}/statuses/{commit}", SHOW, |by| on(by, github::list)).under(&PREFIXES),
    Route::post("/repos/{owner}/{repo}/statuses/{commit}", POST, |by| on(by, github::post)).under(&PREFIXES),
];

/// A refusal as all these clients read it: `message` beside ours.
struct Failed(StatusCode, Value);

impl Failed {
    fn with(status: u16, mut body: Value) -> Failed {
        let part = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        body["message"] = format!("{}: {}; next: {}", part("what"), part("why"), part("next")).into();
        Failed(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::with(refusal.http_status(), refusal.json())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        answer(self.0, &self.1)
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    text(status, "application/json", format!("{body}\n"))
}

fn refused(what: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::Refused, what, why, "help ci")
}

fn not_understood(why: impl ToString) -> Refusal {
    Refusal::new(Code::Usage, "status", why.to_string(), "help ci")
}

async fn collect(door: &Door, body: Body) -> Result<Vec<u8>, Failed> {
    let collected = action::collect(door, body, LONGEST_BODY).await;
    collected.map_err(|torn| Failed::with(torn.status.as_u16(), torn.refusal.json()))
}

/// Runs a command and hands on its JSON.
async fn ask(door: &Door, asks: Asks, headers: &HeaderMap, line: String, body: &str) -> Result<Value, Failed> {
    let ran = door.run(asks, headers, line, body.as_bytes(), true).await;
    let reply = ran.map_err(|refusal| Failed::with(StatusCode::UNAUTHORIZED.as_u16(), refusal.json()))?;
    let said = serde_json::from_str(&reply.stdout).expect("invariant: a command that is asked for JSON answers in it");
    if reply.exit == 0 { Ok(said) } else { Err(Failed::with(reply.status, said)) }
}

/// The project at the end of `owner/project`, where the owner may be left out.
fn project(text: &str) -> Result<ProjectName, Refusal> {
    let name = text.rsplit('/').next().unwrap_or(text);
    let parsed = name.strip_suffix(".git").unwrap_or(name).parse::<ProjectName>();
    parsed.map_err(|e| Refusal::new(Code::NotFound, "project", e.to_string(), "project list"))
}

/// Words of a runner that mean what one of ours does.
type Same = [(&'static str, &'static str)];

/// What was sent, in our words.
struct Posting {
    name: Option<String>,
    state: Option<String>,
    description: Option<String>,
    url: Option<String>,
}

impl Posting {
    /// The command that posts it, and its stdin.
    fn command(self, project: &str, commit: &str, same: &Same) -> Result<(String, String), Refusal> {
        let project = self::project(project)?;
        let whole = |_| refused("commit", "a status is of a commit named by its whole id, 40 hexadecimal digits");
        let commit: Oid = commit.parse().map_err(whole)?;
        let state = state(self.state.as_deref(), same)?;
        let name = self.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
        let (description, url) = (self.description.unwrap_or_default(), self.url.unwrap_or_default());
        let body = json!({ "name": name, "state": state, "description": description, "url": url });
        Ok((format!("check post {project} {commit} -"), body.to_string()))
    }
}

/// The command that a body becomes which both dialects may send; none where it is refused.
pub(super) fn probe(body: &[u8]) -> Option<String> {
    let commit = "3f1c2ab0123456789012345678901234567890ab";
    let one = github::understand(body).and_then(|sent| sent.command("parser", commit, github::SAME));
    let other =
        gitlab::understand(body, &"/".parse().ok()?).and_then(|sent| sent.command("parser", commit, gitlab::SAME));
    one.or(other).ok().map(|(line, _)| line)
}

/// The state that a runner's word stands for.
fn state(word: Option<&str>, same: &Same) -> Result<&'static str, Refusal> {
    const OURS: [&str; 4] = ["pending", "success", "failure", "error"];
    let known = OURS.iter().map(|ours| (*ours, *ours)).chain(same.iter().copied());
    let found = word.and_then(|word| known.clone().find(|(known, _)| *known == word));
    found.map(|(_, ours)| ours).ok_or_else(|| {
        let words: Vec<&str> = known.map(|(word, _)| word).collect();
        refused("state", format!("it must be one of {}", words.join(", ")))
    })
}

/// What was said of a commit that a branch, a tag or an id names.
async fn shown(door: &Door, asks: Asks, headers: &HeaderMap, repo: &str, commit: &str) -> Result<Value, Failed> {
    let named = commit.parse::<Oid>().is_ok() || format!("refs/heads/{commit}").parse::<RefName>().is_ok();
    if !named || commit.contains(['\'', '"']) {
        let why = "it is no branch, no tag and no whole id";
        return Err(Refusal::new(Code::NotFound, "commit", why, "project list").into());
    }
    ask(door, asks, headers, format!("check show {} {commit}", project(repo)?), "").await
}

/// Lines of an answer of `check show`, newest first: all of them, or those that count.
fn lines(said: &Value, all: bool) -> Vec<&Value> {
    let mut lines: Vec<&Value> = said["checks"].as_array().into_iter().flatten().collect();
    lines.retain(|line| all || line["counts"] == true);
    lines.sort_by_key(|line| std::cmp::Reverse(line["seq"].as_u64()));
    lines
}

/// There is one page: whoever asks for the next finds it empty.
fn is_first(uri: &Uri) -> bool {
    let page = uri.query().unwrap_or("").split('&').find_map(|part| part.strip_prefix("page="));
    page.is_none_or(|page| matches!(page, "" | "0" | "1"))
}

fn str_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Null where nothing was said.
fn or_null(value: &Value) -> Value {
    if value == "" { Value::Null } else { value.clone() }
}

/// `2026-11-20T15:05:45Z`.
fn time(line: &Value) -> String {
    let ms = line["time_ms"].as_u64().unwrap_or(0);
    let (year, month, day) = refs::civil_date((ms / 86_400_000) as i64);
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(project: &str, commit: &str, word: &str) -> Result<(String, String), Refusal> {
        let posting = Posting { name: None, state: Some(word.to_owned()), description: None, url: None };
        posting.command(project, commit, &[("warning", "failure")])
    }

    #[test]
    fn what_is_sent_becomes_a_command_and_cannot_bring_more() {
        let id = "3f1c2ab0123456789012345678901234567890ab";
        let (line, body) = command("forge/parser.git", id, "warning").unwrap();
        assert_eq!(line, format!("check post parser {id} -"));
        assert_eq!(body, r#"{"description":"","name":"default","state":"failure","url":""}"#);
        for (project, commit, word) in [
            ("Parser", id, "success"),
            ("parser --json", id, "success"),
            ("parser", "3f1c2ab", "success"),
            ("parser", "main", "success"),
            ("parser", id, "passed"),
            ("parser", id, ""),
            ("parser", id, "canceled"),
        ] {
            assert!(command(project, commit, word).is_err(), "{project} {commit} {word}");
        }
    }

    #[test]
    fn there_is_one_page() {
        let first = |uri: &str| is_first(&uri.parse().unwrap());
        assert!(first("/x") && first("/x?page=1") && first("/x?per_page=2") && !first("/x?per_page=2&page=2"));
    }
}
