//! Commands over HTTP: `POST /action`, `GET /feed`, `POST /agents/register`.
//!
//! Invariant: what comes as parameters is checked before it becomes part of a command line, so that no value can bring a
//! flag or a second word with it.

use std::fmt::Write as _;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use notes_schema::{AgentName, ProjectName};
use serde::Deserialize;
use tokio::time::timeout;

use super::reply::{self, Format};
use super::routes::{Asks, Door};
use super::{Shared, credentials};
use crate::answer::{Code, Refusal};

/// What a JSON document around a body may add to it, in bytes.
/// Limit: what a JSON document around a command's body adds to it | {:bytes}
const WRAPPING: u64 = 64 << 10;

fn usage(what: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::Usage, what, why, "help")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub(super) command: String,
    #[serde(default)]
    body: String,
}

/// `POST /action`: one command. As text, the first line is the command and the rest its stdin; as JSON,
/// `{"command": …, "body": …}`.
pub(super) async fn action(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let format = Format::of(&headers, if is_json(&headers) { Format::Json } else { Format::Markdown });
    let bytes = match collect(&door, body, of_command(&door)).await {
        Ok(bytes) => bytes,
        Err(torn) => return reply::refuse(&torn.refusal, torn.status, format),
    };
    let command = match understand(&headers, &bytes) {
        Ok(command) => command,
        Err(refusal) => return reply::refuse(&refusal, StatusCode::BAD_REQUEST, format),
    };
    let json = format == Format::Json;
    match door.run(asks, &headers, command.command, command.body.as_bytes(), json).await {
        Ok(answer) => reply::respond(&door, &answer, format, "Command", reply::At::path("/action")),
        Err(refusal) => credentials::ask(&refusal, format),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json")
}

pub(super) fn understand(headers: &HeaderMap, bytes: &[u8]) -> Result<Command, Refusal> {
    if is_json(headers) {
        let command: Command = serde_json::from_slice(bytes).map_err(|e| usage("action", e.to_string()))?;
        return match command.command.contains(['\n', '\r']) {
            true => Err(usage("action", "a command is one line; longer text belongs in `body`")),
            false => Ok(command),
        };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| usage("action", "the request is not UTF-8"))?;
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    Ok(Command { command: line.trim().to_owned(), body: rest.to_owned() })
}

/// Longest body of a command, with what wraps it.
pub(super) fn of_command(door: &Door) -> usize {
    usize::try_from(door.config.limits.body_bytes.saturating_add(WRAPPING)).unwrap_or(usize::MAX)
}

/// Why a body was not taken.
pub(super) struct Torn {
    /// What its sender is told.
    pub refusal: Refusal,
    /// As a status of HTTP, which has more of them.
    pub status: StatusCode,
}

/// The whole body, within its limit in size and time.
pub(super) async fn collect(door: &Door, body: Body, most: usize) -> Result<Vec<u8>, Box<Torn>> {
    let refuse = |why: &str, status| Err(Box::new(Torn { refusal: usage("request", why), status }));
    match timeout(door.config.limits.idle(), to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(e)) if is_too_long(&e) => {
            refuse(&format!("its body is longer than {most} bytes"), StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => refuse("its body was torn", StatusCode::BAD_REQUEST),
        Err(_) => refuse("its body took too long", StatusCode::REQUEST_TIMEOUT),
    }
}

fn is_too_long(e: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(e) = cause {
        if e.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = e.source();
    }
    false
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newcomer {
    name: String,
    #[serde(default)]
    ssh_key: Option<String>,
}

/// `POST /agents/register {name, ssh_key?}`: a new agent and its token, shown this once.
pub(super) async fn register(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match collect(&door, body, of_command(&door)).await {
        Ok(bytes) => bytes,
        Err(torn) => return reply::refuse(&torn.refusal, torn.status, Format::Json),
    };
    let (line, key) = match understand_newcomer(&bytes) {
        Ok(understood) => understood,
        Err(refusal) => return reply::refuse(&refusal, StatusCode::BAD_REQUEST, Format::Json),
    };
    match door.run(asks, &headers, line, key.as_bytes(), true).await {
        Ok(answer) => reply::respond(&door, &answer, Format::Json, "Register", reply::At::path("/agents/register")),
        Err(refusal) => credentials::ask(&refusal, Format::Json),
    }
}

/// The command that registers whom the body names, and its stdin.
pub(super) fn understand_newcomer(body: &[u8]) -> Result<(String, String), Refusal> {
    let newcomer: Newcomer = serde_json::from_slice(body).map_err(|e| usage("register", e.to_string()))?;
    let name: AgentName = newcomer.name.parse().map_err(|e| usage("register", format!("{e}")))?;
    let key = newcomer.ssh_key.unwrap_or_default();
    let key = key.trim();
    if key.chars().any(char::is_control) {
        return Err(usage("register", "ssh_key must be the one line of a public key file"));
    }
    let line = if key.is_empty() { String::new() } else { format!("{key}\n") };
    Ok((format!("register {name}"), line))
}

/// What `GET /feed` understands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    since: Option<String>,
    wait: Option<String>,
    max: Option<String>,
    project: Option<String>,
    lang: Option<String>,
    label: Option<String>,
}

/// `GET /feed`: the command `feed` with its flags as parameters.
pub(super) async fn feed(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    headers: HeaderMap,
    query: Result<Query<FeedQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let format = Format::of(&headers, Format::Markdown);
    let line = query.map_err(|e| usage("feed", e.body_text())).and_then(|Query(query)| feed_line(&query));
    let line = match line {
        Ok(line) => line,
        Err(refusal) => return reply::refuse(&refusal, StatusCode::BAD_REQUEST, format),
    };
    match door.run(asks, &headers, line, b"", format == Format::Json).await {
        Ok(answer) => reply::respond(&door, &answer, format, "Feed", reply::At::path("/feed")),
        Err(refusal) => credentials::ask(&refusal, format),
    }
}

/// Most digits of a number in a parameter.
/// Limit: number in a parameter of `/feed` | {} digits
const NUMBER: usize = 18;
/// Longest word in a parameter, in bytes.
/// Limit: word in a parameter of `/feed` or `/leaderboard` | {:bytes}
const WORD: usize = 64;

/// The line that a query becomes; none where it is refused.
pub(super) fn feed_of(query: &str) -> Option<String> {
    let Query(query) = Query::try_from_uri(&format!("/?{query}").parse().ok()?).ok()?;
    feed_line(&query).ok()
}

/// Whether a value is one plain word, and no flag.
pub(super) fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+#._:/-".contains(&b);
    (1..=WORD).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

fn feed_line(query: &FeedQuery) -> Result<String, Refusal> {
    let mut line = "feed".to_owned();
    let number = |text: &str| !text.is_empty() && text.len() <= NUMBER && text.bytes().all(|b| b.is_ascii_digit());
    type Check<'a> = &'a dyn Fn(&str) -> bool;
    let flags: [(&str, &Option<String>, Check<'_>); 5] = [
        ("since", &query.since, &number),
        ("max", &query.max, &|text| number(text.strip_suffix(['k', 'K']).unwrap_or(text))),
        ("project", &query.project, &|text| text.parse::<ProjectName>().is_ok()),
        ("lang", &query.lang, &is_word),
        ("label", &query.label, &is_word),
    ];
    for (flag, value, good) in flags {
        let Some(value) = value else { continue };
        if !good(value) {
            return Err(usage("feed", format!("the parameter `{flag}` has a value that it cannot have")));
        }
        let _ = write!(line, " --{flag} {value}");
    }
    if query.wait.as_deref().is_some_and(|wait| !matches!(wait, "0" | "false")) {
        line.push_str(" --wait");
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_flags_and_cannot_bring_more() {
        let text = |text: &str| Some(text.to_owned());
        let query = FeedQuery {
            since: text("8812"),
            wait: text(""),
            max: text("4k"),
            lang: text("c++"),
            ..FeedQuery::default()
        };
        assert_eq!(feed_line(&query).unwrap(), "feed --since 8812 --max 4k --lang c++ --wait");
        for bad in [
            FeedQuery { since: text("1 --json"), ..FeedQuery::default() },
            FeedQuery { since: text(""), ..FeedQuery::default() },
            FeedQuery { max: text("k"), ..FeedQuery::default() },
            FeedQuery { project: text("../x"), ..FeedQuery::default() },
            FeedQuery { lang: text("--json"), ..FeedQuery::default() },
            FeedQuery { label: text("a b"), ..FeedQuery::default() },
            FeedQuery { label: text("a\nb"), ..FeedQuery::default() },
        ] {
            assert!(feed_line(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_first_line_is_the_command_and_the_rest_its_stdin() {
        let command = understand(&HeaderMap::new(), b"reply parser/7\r\nline one\nline two\n").unwrap();
        assert_eq!((command.command.as_str(), command.body.as_str()), ("reply parser/7", "line one\nline two\n"));
        assert!(understand(&HeaderMap::new(), &[0xff]).is_err());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
        assert_eq!(understand(&headers, br#"{"command":"start 3"}"#).unwrap().command, "start 3");
        for bad in [r#"{"command":"a\nb"}"#, r#"{"comand":"a"}"#, r#"{"command":"a","x":1}"#, "start 3"] {
            assert!(understand(&headers, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_newcomer_brings_one_name_and_at_most_one_line() {
        let of = |json: &str| understand_newcomer(json.as_bytes());
        assert_eq!(of(r#"{"name":"alpha"}"#).unwrap(), ("register alpha".into(), String::new()));
        assert_eq!(of(r#"{"name":"a","ssh_key":" ssh-ed25519 AAAA me \n"}"#).unwrap().1, "ssh-ed25519 AAAA me\n");
        for bad in [r#"{"name":"a --json"}"#, r#"{"name":"-h"}"#, r#"{"name":"a","ssh_key":"x\ny"}"#] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
