//! From a command's reply to an HTTP answer: as a page, as Markdown or as JSON.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use frontend::markdown::Resolve;
use frontend::{Frame, Written, plain};

use super::routes::Door;
use super::{files, kept, text};
use crate::answer::{Code, Refusal};
use crate::commands::Reply;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A page for browsers.
    Html,
    /// Markdown, as over SSH.
    Markdown,
    /// JSON, as `--json`.
    Json,
    /// A feed, of what lists something.
    Atom,
}

/// Content type of Markdown.
pub(super) const MARKDOWN: &str = "text/markdown; charset=utf-8";
/// Content type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const ATOM: &str = "application/atom+xml; charset=utf-8";
/// Content type of what is shown as it stands.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

impl Format {
    /// What `Accept` names first of the three, or `otherwise`.
    pub(super) fn of(headers: &HeaderMap, otherwise: Format) -> Format {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = |part: &str| match part.split(';').next().unwrap_or("").trim() {
            "text/html" => Some(Format::Html),
            "application/json" => Some(Format::Json),
            "text/markdown" | "text/plain" => Some(Format::Markdown),
            _ => None,
        };
        accept.split(',').find_map(kind).unwrap_or(otherwise)
    }
}

/// Where a page stands and who looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct At<'a> {
    /// Its path, without a twin's suffix.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: &'a str,
    /// Who is signed in.
    pub viewer: Option<&'a str>,
    /// A form on it that was refused.
    pub written: Option<&'a Written<'a>>,
    /// Whether what it lists is to be had as a feed.
    pub has_feed: bool,
}

impl<'a> At<'a> {
    /// A place that nobody signed in looks at.
    pub(super) fn path(path: &'a str) -> At<'a> {
        At { path, ..At::default() }
    }

    /// The frame of what stands there.
    pub(super) fn frame(self, resolve: &'a Resolve<'a>) -> Frame<'a> {
        let At { path, query, viewer, written, has_feed } = self;
        Frame { path, query, viewer, has_feed, written, resolve }
    }
}

/// A command's reply at `at`; as a page, its Markdown named `title`.
pub(super) fn respond(door: &Door, reply: &Reply, format: Format, title: &str, at: At<'_>) -> Response {
    let html = || plain::page(&at.frame(&|reference| door.path_of(reference)), title, &reply.stdout);
    respond_with(reply, format, at, html)
}

/// A command's reply at `at`, which `html` draws where it is no refusal: a page, or a feed.
pub(super) fn respond_with(reply: &Reply, format: Format, at: At<'_>, html: impl FnOnce() -> String) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match format {
        _ if reply.file.is_some() => reply.file.clone().map_or_else(|| text(status, PLAIN, ""), files::response),
        Format::Json => text(status, JSON, reply.stdout.clone()),
        Format::Markdown => text(status, MARKDOWN, both(reply)),
        Format::Html if reply.exit == 0 => text(status, HTML, html()),
        Format::Atom if reply.exit == 0 => text(status, ATOM, html()),
        // It was asked for as JSON.
        Format::Atom => text(status, PLAIN, lines_of(&reply.stdout)),
        // What draws its answers itself was asked for as JSON.
        Format::Html if reply.stderr.is_empty() => failure(status, &lines_of(&reply.stdout), at),
        Format::Html => failure(status, &reply.stderr, at),
    };
    let exit = HeaderValue::from(u16::from(reply.exit));
    response.headers_mut().insert("x-forge-exit", exit);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static(kept::VARY));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// stdout, and what SSH would print to stderr below it.
fn both(reply: &Reply) -> String {
    let gap = if reply.stdout.is_empty() || reply.stderr.is_empty() { "" } else { "\n" };
    format!("{}{gap}{}", reply.stdout, reply.stderr)
}

/// A refusal that no command made, with its own status.
pub(super) fn refuse(refusal: &Refusal, status: StatusCode, format: Format) -> Response {
    match format {
        Format::Json => text(status, JSON, format!("{}\n", refusal.json())),
        Format::Markdown | Format::Atom => text(status, PLAIN, refusal.lines()),
        Format::Html => failure(status, &refusal.lines(), At::path("/")),
    }
}

/// The lines of a refusal that was answered as JSON.
pub(super) fn lines_of(json: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        error: Error,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        what: String,
        why: String,
        next: String,
    }
    match serde_json::from_str(json) {
        Ok(Said { error: Error { what, why, next } }) => format!("{what}: {why}\nnext: {next}\n"),
        Err(_) => json.to_owned(),
    }
}

/// A page that could not be drawn: a fault of ours, which the log names.
pub(super) fn undrawn(path: &str, error: &frontend::Unreadable, format: Format) -> Response {
    tracing::error!(%error, path, "a page was not drawn");
    let refusal = Refusal::new(Code::TryLater, path, "it could not be drawn; the log says why", "help");
    refuse(&refusal, StatusCode::INTERNAL_SERVER_ERROR, format)
}

/// A page that says what, why and what next.
fn failure(status: StatusCode, lines: &str, at: At<'_>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    text(status, HTML, plain::refusal(&at.frame(&|_| None), title, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_that_is_understood_wins() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Format::of(&headers, Format::Markdown)
        };
        assert_eq!(of("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Html);
        assert_eq!(of("application/json; charset=utf-8"), Format::Json);
        assert_eq!(of("image/png, application/json"), Format::Json);
        assert_eq!(of("*/*"), Format::Markdown);
        assert_eq!(Format::of(&HeaderMap::new(), Format::Html), Format::Html);
    }
}
