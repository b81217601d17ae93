//! Forms of pages: each is one command, sent by whoever is signed in.
//!
//! Invariant: a form runs the one command of its route. Its fields become that command's text, or words of its line that
//! are checked or quoted before; done, it leads back to its page, and refused, nothing that was written is lost.

use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, RawPathParams, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::on;
use frontend::frame::decoded;
use frontend::plain;
use notes_schema::ProjectName;
use notes_schema::names::parse_number;

use super::action::{collect, of_command};
use super::reply::{self, At, Format, HTML};
use super::routes::{Asks, Route};
use super::{Shared, credentials, text};
use crate::answer::{Code, Refusal};
use crate::commands::{self, Command, quoted};

/// Longest form without text in it, in bytes.
/// Limit: a form of a page that holds no text | {:bytes}
pub(super) const SMALL: usize = 8 << 10;
/// Most fields of a form; others are not looked at.
/// Limit: fields of a form | {}; others are not looked at
const MOST_FIELDS: usize = 32;

/// What a form says, in its order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(body: &[u8]) -> Fields {
        let text = String::from_utf8_lossy(body);
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value).replace("\r\n", "\n"))
        };
        Fields(text.split('&').filter(|pair| !pair.is_empty()).take(MOST_FIELDS).map(pair).collect())
    }

    /// A field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field that is not empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// A field that is one of these words.
    fn one_of(&self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        let given = self.get(name)?;
        words.iter().copied().find(|word| *word == given)
    }
}

/// The project that a form's address names, and the number of the item.
struct Of {
    project: ProjectName,
    n: u64,
}

impl Of {
    fn item(&self) -> String {
        format!("{}/{}", self.project, self.n)
    }
}

/// One form.
pub(crate) struct Form {
    /// Where it is sent, and the command that it is.
    pub route: Route,
    /// The words behind that command's name; `None` where a field holds what it cannot.
    words: fn(&Of, &Fields) -> Option<String>,
}

const fn form(path: &'static str, command: &'static Command, words: fn(&Of, &Fields) -> Option<String>) -> Form {
    Form { route: Route::post(path, Asks::Command(command), |by| on(by, send)), words }
}

const fn about(path: &'static str, command: &'static Command) -> Form {
    form(path, command, |of, _| Some(of.item()))
}

/// Every form. Its field `text` is the command's text.
pub(crate) const TABLE: &[Form] = &[
    form("/{project}/issues/new", &commands::ISSUE_NEW, new_issue),
    about("/{project}/issues/{n}/reply", &commands::REPLY),
    about("/{project}/issues/{n}/close", &commands::ISSUE_CLOSE),
    about("/{project}/issues/{n}/reopen", &commands::ISSUE_REOPEN),
    about("/{project}/pulls/{n}/reply", &commands::REPLY),
    form("/{project}/pulls/{n}/review", &commands::REVIEW, |of, fields| {
        let verdict = fields.one_of("verdict", &["approve", "request-changes", "comment"])?;
        Some(match fields.given("at") {
            Some(at) => format!("{verdict} --at {} {}", quoted(at.trim()), of.item()),
            None => format!("{verdict} {}", of.item()),
        })
    }),
    form("/{project}/pulls/{n}/apply", &commands::APPLY, |of, fields| {
        Some(format!("{} {}", of.item(), parse_number(fields.get("comment")?)?))
    }),
    about("/{project}/pulls/{n}/merge", &commands::MERGE),
    about("/{project}/pulls/{n}/close", &commands::PR_CLOSE),
    form("/{project}/pulls/{n}/vote", &commands::VOTE, vote),
    about("/{project}/pulls/{n}/accept", &commands::ACCEPT),
];

fn vote(of: &Of, fields: &Fields) -> Option<String> {
    Some(format!("{} {}", of.item(), fields.one_of("vote", &["up", "down", "none"])?))
}

fn new_issue(of: &Of, fields: &Fields) -> Option<String> {
    let mut words = format!("{} --title {}", of.project, quoted(fields.get("title").unwrap_or("")));
    for flag in ["label", "lang"] {
        if let Some(value) = fields.given(flag) {
            words += &format!(" --{flag} {}", quoted(value.trim()));
        }
    }
    Some(words)
}

/// Any form of [`TABLE`].
async fn send(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    matched: MatchedPath,
    named: RawPathParams,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match collect(&door, body, of_command(&door)).await {
        Ok(bytes) => bytes,
        Err(torn) => return reply::refuse(&torn.refusal, torn.status, Format::Html),
    };
    let fields = Fields::read(&bytes);
    let Some(form) = TABLE.iter().find(|form| form.route.path == matched.as_str()) else {
        let refusal = Refusal::new(Code::NotFound, "form", "there is no such form", "help");
        return reply::refuse(&refusal, StatusCode::NOT_FOUND, Format::Html);
    };
    let line = of(&named)
        .ok_or("its address names no issue and no pull request")
        .and_then(|of| (form.words)(&of, &fields).ok_or("a field holds what it cannot hold"));
    let (Asks::Command(command), Ok(line)) = (asks, line.as_ref()) else {
        let refusal = Refusal::new(Code::Usage, "form", line.err().unwrap_or("it runs no command"), "help");
        return reply::refuse(&refusal, StatusCode::BAD_REQUEST, Format::Html);
    };
    // Refused, its page is drawn again with what was written.
    let again = |status: StatusCode, lines: &str| {
        let path = matched.as_str();
        let action =
            named.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        let viewer = door.viewer(&headers);
        let at = At { path: parent(&action), query: "", viewer: viewer.as_deref(), has_feed: false };
        let form = plain::Form { action: &action, fields: &fields.0 };
        let title = status.canonical_reason().unwrap_or("Refused");
        text(status, HTML, plain::refusal(&at.frame(&|_| None), title, lines, Some(&form)))
    };
    // Of those that take text all but `issue new` read it where `-` stands.
    let written = fields.given("text").unwrap_or("");
    let text_there = if command.shape.text && !written.is_empty() { " -" } else { "" };
    let line = format!("{} {line}{text_there}", command.name);
    let answer = match door.run(asks, &headers, line, written.as_bytes(), true).await {
        Ok(answer) => answer,
        Err(refusal) => return credentials::ask(&refusal, Format::Html),
    };
    if answer.exit != 0 {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return again(status, &reply::lines_of(&answer.stdout));
    }
    let place = place(&answer.stdout, &named, matched.as_str());
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// What the address names, checked.
fn of(named: &RawPathParams) -> Option<Of> {
    let value = |wanted: &str| named.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let n = value("n").map_or(Some(0), parse_number)?;
    Some(Of { project: value("project")?.parse().ok()?, n })
}

/// The page of an address, without what it does.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// Where to go when it is done: the page of what was made, or the one that the form stood on, at what was said last.
fn place(answer: &str, named: &RawPathParams, matched: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Made {
        #[serde(rename = "ref")]
        reference: Option<notes_schema::ItemRef>,
    }
    let value = |wanted: &str| named.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
    if value("n").is_empty()
        && let Ok(Made { reference: Some(item) }) = serde_json::from_str(answer)
    {
        return format!("/{}/issues/{}", item.project, item.n);
    }
    let page = parent(matched).replace("{project}", value("project")).replace("{n}", value("n"));
    format!("{page}#latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_words_that_bring_no_flag() {
        let of = Of { project: "parser".parse().unwrap(), n: 7 };
        let fields = |text: &str| Fields::read(text.as_bytes());
        assert_eq!(vote(&of, &fields("vote=up")).as_deref(), Some("parser/7 up"));
        assert_eq!(vote(&of, &fields("vote=up+--json")), None);
        let issue = new_issue(&of, &fields("title=--label+x&label=a%27b&lang=&text=1%0D%0A2"));
        assert_eq!(issue.as_deref(), Some("parser --title '--label x' --label \"a'b\""));
        assert_eq!(fields("text=1%0D%0A2&x").get("text"), Some("1\n2"));
        assert_eq!(fields("&&=&a").0.len(), 2);
    }

    #[test]
    fn each_form_has_one_address() {
        for (at, form) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.route.path != form.route.path), "{}", form.route.path);
        }
    }
}
