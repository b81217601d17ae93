//! Forms of pages: each is one command, sent by whoever is signed in.
//!
//! Invariant: a form runs the one command of its route. Its fields become that command's text, or words of its line that
//! are checked or quoted before; done, it leads back to its page, and refused, that page is drawn again with what was
//! written. What was judged on a page is the head that it showed, or the form is refused.

use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, RawPathParams, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::on;
use frontend::frame::decoded;
use frontend::{Written, plain};
use notes_schema::ProjectName;
use notes_schema::names::parse_number;

use super::action::{collect, of_command};
use super::reply::{self, At, Format, HTML};
use super::routes::{Asks, Door, Route};
use super::{Shared, credentials, pages, text};
use crate::answer::{Code, Refusal};
use crate::commands::{self, Command, Reply, quoted};

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
    form("/{project}/issues/{n}/edit", &commands::ISSUE_EDIT, |of, fields| Some(of.item() + &planned(fields)?)),
    about("/{project}/issues/{n}/close", &commands::ISSUE_CLOSE),
    about("/{project}/issues/{n}/reopen", &commands::ISSUE_REOPEN),
    about("/{project}/pulls/{n}/reply", &commands::REPLY),
    form("/{project}/pulls/{n}/review", &commands::REVIEW, |of, fields| {
        let verdict = fields.one_of("verdict", &["approve", "request-changes", "comment"])?;
        let at = fields.given("at").map(|at| format!(" --at {}", quoted(at.trim()))).unwrap_or_default();
        Some(format!("{verdict}{at}{} {}", seen(fields)?, of.item()))
    }),
    form("/{project}/pulls/{n}/apply", &commands::APPLY, |of, fields| {
        Some(format!("{} {}", of.item(), parse_number(fields.get("comment")?)?))
    }),
    form("/{project}/pulls/{n}/merge", &commands::MERGE, |of, fields| Some(of.item() + &seen(fields)?)),
    about("/{project}/pulls/{n}/close", &commands::PR_CLOSE),
    form("/{project}/pulls/{n}/vote", &commands::VOTE, vote),
    about("/{project}/pulls/{n}/accept", &commands::ACCEPT),
];

/// ` --if-match 3f1c…`: the head that the page showed, where the form says which.
fn seen(fields: &Fields) -> Option<String> {
    match fields.given("head") {
        None => Some(String::new()),
        Some(head) => head.parse::<notes_schema::Oid>().ok().map(|head| format!(" --if-match {head}")),
    }
}

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
    Some(words + &planned(fields)?)
}

/// ` --milestone v1 --priority high`: what a form says of them; what it leaves empty is not asked for.
fn planned(fields: &Fields) -> Option<String> {
    let mut words = String::new();
    if let Some(milestone) = fields.given("milestone") {
        words += &format!(" --milestone {}", quoted(milestone.trim()));
    }
    if fields.given("priority").is_some() {
        words += &format!(" --priority {}", fields.one_of("priority", &["urgent", "high", "normal", "low", "none"])?);
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
    // Of those that take text all but `issue new` read it where `-` stands.
    let written = fields.given("text").unwrap_or("");
    let text_there = if command.shape.text && !written.is_empty() { " -" } else { "" };
    let line = format!("{} {line}{text_there}", command.name);
    let answer = match door.run(asks, &headers, line, written.as_bytes(), true).await {
        Ok(answer) => answer,
        Err(refusal) => return credentials::ask(&refusal, Format::Html),
    };
    if answer.exit != 0 {
        let action =
            named.iter().fold(matched.as_str().to_owned(), |path, (name, is)| path.replace(&format!("{{{name}}}"), is));
        return again(&door, &headers, &answer, &action, &fields).await;
    }
    let place = place(&answer.stdout, &named, matched.as_str());
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// What was refused, as a page with what was written: the one that the form stood on, where that shows the form still.
async fn again(door: &Door, headers: &HeaderMap, answer: &Reply, action: &str, fields: &Fields) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let viewer = door.viewer(headers);
    let signed_out = viewer.is_none() && answer.exit == Code::NotAllowed as u8;
    let lines = reply::lines_of(&answer.stdout);
    let written = Written { status: answer.status, lines: &lines, action, fields: &fields.0, signed_out };
    let place = page_of(action).unwrap_or("/");
    if !signed_out && let Some(page) = pages::again(door, headers, place, &written).await {
        return text(status, HTML, page);
    }
    let at = At { path: place, viewer: viewer.as_deref(), ..At::default() };
    text(status, HTML, plain::again(&at.frame(&|_| None), &written))
}

/// The page on which the form at `path` stands, where there is such a form.
pub(super) fn page_of(path: &str) -> Option<&str> {
    let fits = |pattern: &str| {
        let mut pairs = pattern.split('/').zip(path.split('/'));
        pattern.split('/').count() == path.split('/').count()
            && pairs.all(|(wanted, given)| wanted == given || wanted.starts_with('{') && !given.is_empty())
    };
    let is_form = TABLE.iter().any(|form| fits(form.route.path));
    is_form.then(|| if path.ends_with("/issues/new") { path } else { parent(path) })
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
    fn a_verdict_is_on_the_head_that_its_page_showed() {
        let of = Of { project: "parser".parse().unwrap(), n: 7 };
        let head = "3f".repeat(20);
        let words = |path: &str, text: &str| {
            let form = TABLE.iter().find(|form| form.route.path.ends_with(path)).unwrap();
            (form.words)(&of, &Fields::read(text.as_bytes()))
        };
        let given = format!("verdict=approve&at=src/a.rs:1&head={head}");
        assert_eq!(words("/review", &given), Some(format!("approve --at 'src/a.rs:1' --if-match {head} parser/7")));
        assert_eq!(words("/merge", &format!("head={head}")), Some(format!("parser/7 --if-match {head}")));
        assert_eq!(words("/merge", "head=x+--json"), None);
    }

    #[test]
    fn a_form_that_is_asked_for_leads_to_its_page() {
        assert_eq!(page_of("/parser/issues/7/reply"), Some("/parser/issues/7"));
        assert_eq!(page_of("/parser/pulls/7/review"), Some("/parser/pulls/7"));
        assert_eq!(page_of("/parser/issues/new"), Some("/parser/issues/new"));
        for other in ["/parser/git-upload-pack", "/parser/issues/7", "/parser/pulls//review", "/login"] {
            assert_eq!(page_of(other), None, "{other}");
        }
    }

    #[test]
    fn each_form_has_one_address() {
        for (at, form) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.route.path != form.route.path), "{}", form.route.path);
        }
    }
}
