//! Pages: each shows what commands answer, drawn by a view, with a `.md` and a `.json` twin of the first of them, and an
//! `.atom` one where it lists what changes.
//!
//! Invariant: a page shows what the same actor would be told over SSH, because it is the same commands; a view sees their
//! answers and nothing else.

pub(crate) mod table;

pub(super) use table::{project, search};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use frontend::frame::value;
use frontend::{View, Written, assets, atom};
use notes_schema::names::RESERVED_NAMES;

use super::reply::{self, At, Format};
use super::routes::{Asks, Door};
use super::{Shared, credentials, kept, not_this_way, patches};
use crate::answer::{Code, Refusal};
use crate::commands::Reply;
use table::{Ask, Page, find};

impl Ask {
    /// Runs it.
    async fn run(&self, door: &Door, headers: &HeaderMap, line: String, json: bool) -> Result<Reply, Refusal> {
        door.run(Asks::Command(self.command), headers, line, b"", json).await
    }
}

/// A page at an address that forms are sent to as well, or that the method is none of its own.
pub(super) async fn or_not_this_way(
    door: Shared,
    method: Method,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    let first = uri.path().trim_start_matches('/').split('/').next().unwrap_or("");
    let is_page = !RESERVED_NAMES.contains(&first) && find(uri.path()).is_some();
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_this_way(method, headers).await;
    }
    if is_page {
        return page(door, method, uri, query, headers).await;
    }
    // Whoever asks for what a form is sent to is led to where it stands.
    match super::forms::page_of(uri.path()) {
        Some(place) => (StatusCode::SEE_OTHER, [(header::LOCATION, place.to_owned())]).into_response(),
        None => not_this_way(method, headers).await,
    }
}

/// Any page of [`table::TABLE`].
pub(super) async fn page(
    State(door): Shared,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_this_way(method, headers).await;
    }
    let query = query.unwrap_or_default();
    if let Some(place) = canonical(uri.path()) {
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        return (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{place}{query}"))]).into_response();
    }
    if let Some(text) = patches::answer(&door, &headers, uri.path()).await {
        return text;
    }
    let (path, format) = twin(uri.path(), &query, &headers);
    let found = find(path).and_then(|(page, named)| {
        let asks = page.asks(format)?;
        Some((page, asks, asks.line(&named, &query)?, named))
    });
    let Some((page, asks, line, named)) = found else {
        if let Some(place) = guessed(path).filter(|_| format == Format::Html) {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
        }
        let refusal = Refusal::new(Code::NotFound, shown(uri.path()), "there is no such page", "project list");
        return reply::refuse(&refusal, StatusCode::NOT_FOUND, format);
    };
    let viewer = door.viewer(&headers);
    let at = At { path, query: &query, viewer: viewer.as_deref(), has_feed: page.feed.is_some(), written: None };
    let refs = named.first().filter(|_| page.by_refs);
    let commands = || std::iter::once(asks).chain(page.also).map(|ask| ask.command);
    let refs = refs.and_then(|project| door.refs_for(&headers, commands(), project));
    let tag = refs.map(|refs| {
        let form = format!("{format:?}");
        kept::tag(&[assets::build(), &refs, viewer.as_deref().unwrap_or(""), uri.path(), &query, &form])
    });
    if let Some(known) = tag.as_deref().and_then(|tag| kept::known(&headers, tag)) {
        return known;
    }
    if let Some(kept) = tag.as_deref().and_then(|tag| kept::kept(&headers, tag)) {
        return kept;
    }
    let answer = match (format, page.feed) {
        (Format::Atom, Some((_, feed))) => fed(&door, asks, feed, line, &headers, at).await,
        _ => answer(&door, page, &named, line, &headers, format, at).await,
    };
    let answer = kept::finished(&headers, tag.as_deref(), answer).await;
    if let Some(tag) = tag.filter(|_| !page.timed) { kept::keep(&tag, answer).await } else { answer }
}

/// The feed of a page.
async fn fed(door: &Door, asks: &Ask, feed: atom::Feed, line: String, headers: &HeaderMap, at: At<'_>) -> Response {
    let answer = match asks.run(door, headers, line, true).await {
        Ok(reply) => reply,
        Err(refusal) => return credentials::ask(&refusal, Format::Atom),
    };
    if answer.exit != 0 {
        return reply::respond_with(&answer, Format::Atom, at, String::new);
    }
    match kept::aside(|| feed(&at.frame(&|_| None), &door.config.public_http, &answer.stdout)) {
        Ok(xml) => reply::respond_with(&answer, Format::Atom, at, || xml),
        Err(error) => reply::undrawn(&shown(at.path), &error, Format::Atom),
    }
}

/// What a page's commands answer, in the form that is asked for.
async fn answer(
    door: &Door,
    page: &Page,
    named: &[String],
    line: String,
    headers: &HeaderMap,
    format: Format,
    at: At<'_>,
) -> Response {
    let view = page.view.filter(|_| format == Format::Html);
    let first = match page.ask.run(door, headers, line, format == Format::Json || view.is_some()).await {
        Ok(reply) => reply,
        Err(refusal) => return credentials::ask(&refusal, format),
    };
    if format == Format::Html
        && let Some(place) = elsewhere(door, headers, &first, named, at).await
    {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
    }
    let Some(view) = view.filter(|_| first.exit == 0) else {
        return reply::respond(door, &first, format, &named.join(" "), at);
    };
    match drawn(door, page, view, named, &first, headers, at).await {
        Ok(html) => reply::respond_with(&first, format, at, || html),
        Err(error) => reply::undrawn(&shown(at.path), &error, format),
    }
}

/// A page, drawn of what its first command answered and what the others do.
async fn drawn(
    door: &Door,
    page: &Page,
    view: View,
    named: &[String],
    first: &Reply,
    headers: &HeaderMap,
    at: At<'_>,
) -> Result<String, frontend::Unreadable> {
    let mut others = Vec::with_capacity(page.also.len());
    for ask in page.also {
        others.push(match ask.line(named, at.query) {
            Some(line) => ask.run(door, headers, line, true).await.ok().filter(|reply| reply.exit == 0),
            None => None,
        });
    }
    let others = others.iter().map(|reply| reply.as_ref().map_or("null", |reply| reply.stdout.as_str()));
    let answers: Vec<&str> = std::iter::once(first.stdout.as_str()).chain(others).collect();
    kept::aside(|| view(&at.frame(&|reference| door.path_of(reference)), &answers))
}

/// The page at `path` once more, with a form on it that was refused. `None` where it cannot be drawn, or would lose what
/// was written.
pub(super) async fn again(door: &Door, headers: &HeaderMap, path: &str, written: &Written<'_>) -> Option<String> {
    let (page, named) = find(path)?;
    let viewer = door.viewer(headers);
    let at =
        At { path, viewer: viewer.as_deref(), has_feed: page.feed.is_some(), written: Some(written), ..At::default() };
    let first = page.ask.run(door, headers, page.ask.line(&named, "")?, true).await.ok()?;
    let view = page.view.filter(|_| first.exit == 0)?;
    let html = drawn(door, page, view, &named, &first, headers, at).await.ok()?;
    written.stands_in(&html).then_some(html)
}

/// Addresses that people guess, where no project has that name.
const GUESSED: [(&str, &str); 4] =
    [("/projects", "/"), ("/agents", "/leaderboard"), ("/register", "/login"), ("/logout", "/login")];

fn guessed(path: &str) -> Option<&'static str> {
    GUESSED.iter().find(|(known, _)| *known == path).map(|(_, place)| *place)
}

/// Where whoever reads pages is sent on to, where what is asked for stands there: to sign in, or to the page of what a number
/// or a path is indeed.
async fn elsewhere(door: &Door, headers: &HeaderMap, first: &Reply, named: &[String], at: At<'_>) -> Option<String> {
    let query = if at.query.is_empty() { String::new() } else { format!("?{}", at.query) };
    if first.exit == Code::NotAllowed as u8 {
        // Whoever names no kind is no browser, and is told why.
        let browses = Format::of(headers, Format::Markdown) == Format::Html;
        let to = frontend::filters::percent(&format!("{}{query}", at.path), false);
        return (browses && at.viewer.is_none()).then(|| format!("/login?to={to}"));
    }
    let is_missing = first.exit == Code::NotFound as u8;
    if let Some(place) = guessed(at.path).filter(|_| is_missing) {
        return Some(place.to_owned());
    }
    let (project, room, below) = match named {
        [project, room, below] => (project, room.as_str(), below),
        _ => return None,
    };
    match room {
        "issues" | "pulls" if is_missing || first.exit == 0 => {
            let place = door.path_of(&format!("{project}#{below}").parse().ok()?)?;
            (place != at.path).then(|| place + &query)
        }
        "tree" | "blob" if is_missing => {
            let other = if room == "tree" { "blob" } else { "tree" };
            let path = at.path.replacen(&format!("/{room}/"), &format!("/{other}/"), 1);
            let (page, named) = find(&path)?;
            let there = page.ask.run(door, headers, page.ask.line(&named, at.query)?, true).await.ok()?;
            (there.exit == 0).then(|| path + &query)
        }
        _ => None,
    }
}

/// The one address of what is asked for under another: without doubled slashes and one at the end, and without `.git`
/// behind the project of a page. Where git itself asks, the name stays as it is.
fn canonical(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let gits = matches!(parts[..], [_, "info", "refs"] | [_, "HEAD" | "git-upload-pack" | "git-receive-pack"])
        || parts.get(1) == Some(&"objects");
    if let Some(bare) =
        parts.first().and_then(|first| first.strip_suffix(".git")).filter(|bare| !gits && !bare.is_empty())
    {
        parts[0] = bare;
    }
    // A browser takes a backslash for a slash.
    let place = format!("/{}", parts.join("/").replace('\\', "%5C"));
    (place != path).then_some(place)
}

/// The page that is meant and its form: by suffix, or `?as=md`, `?as=json` and `?as=atom` where the path is that of a file.
fn twin<'a>(path: &'a str, query: &str, headers: &HeaderMap) -> (&'a str, Format) {
    if find(path).is_some_and(|(page, _)| page.path.ends_with(&["**"])) {
        return match value(query, "as").as_deref() {
            Some("md") => (path, Format::Markdown),
            Some("json") => (path, Format::Json),
            Some("atom") => (path, Format::Atom),
            _ => (path, Format::of(headers, Format::Html)),
        };
    }
    if let Some(path) = path.strip_suffix(".md") {
        return (path, Format::Markdown);
    }
    if let Some(path) = path.strip_suffix(".json") {
        return (path, Format::Json);
    }
    if let Some(path) = path.strip_suffix(".atom") {
        return (path, Format::Atom);
    }
    (path, Format::of(headers, Format::Html))
}

fn shown(path: &str) -> String {
    path.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Option<String> {
        let (page, named) = find(path)?;
        page.ask.line(&named, "q=%2D-json+it%27s")
    }

    #[test]
    fn every_page_has_one_address_and_gits_own_paths_do_not_loop() {
        for (path, place) in [
            ("/", None),
            ("/parser", None),
            ("/parser/issues/7.md", None),
            ("/parser/", Some("/parser")),
            ("//parser///issues/", Some("/parser/issues")),
            ("/parser.git", Some("/parser")),
            ("/parser.git/", Some("/parser")),
            ("/parser.git/issues", Some("/parser/issues")),
            ("/.git", None),
            ("//example.org/x", Some("/example.org/x")),
            ("//\\example.org", Some("/%5Cexample.org")),
            ("/parser.git/info/refs", None),
            ("//parser.git//info/refs", Some("/parser.git/info/refs")),
            ("/parser.git/git-upload-pack", None),
        ] {
            assert_eq!(canonical(path).as_deref(), place, "{path}");
            if let Some(place) = place {
                assert_eq!(canonical(place), None, "{path}");
            }
        }
    }

    #[test]
    fn every_page_is_a_command() {
        for (path, command) in [
            ("/", "project list --active --limit 100"),
            ("/index", "project list --active --limit 100"),
            ("/leaderboard", "leaderboard"),
            ("/humans", "leaderboard humans"),
            ("/live", "today"),
            ("/needs", "needs"),
            ("/parser/trace/3f1c2ab", "trace parser:3f1c2ab --full"),
            ("/agents/alpha", "profile alpha"),
            ("/parser", "project show parser"),
            ("/parser/", "project show parser"),
            ("/parser/issues", "issue list parser"),
            ("/parser/issues/7", "details parser/7"),
            ("/parser/pulls", "pr list parser"),
            ("/parser/issues/new", "project show parser"),
            ("/parser/pulls/47", "pr parser/47 --diff"),
            ("/parser/checks", "check list parser"),
            ("/search", "search \"--json it's\""),
        ] {
            assert_eq!(line(path).as_deref(), Some(command), "{path}");
        }
    }

    #[test]
    fn filters_of_a_leaderboard_are_words_and_bring_no_flag() {
        let of = table::leaderboard;
        assert_eq!(of("track=simulator&lang=c%2B%2B&window=").as_deref(), Some("simulator --lang c++"));
        let all = "difficulty=hard&window=30d&project=parser";
        assert_eq!(of(all).as_deref(), Some("--difficulty hard --window 30d --project parser"));
        for bad in ["lang=--json", "track=a%20b", "project=a%0Ab", "lang=%22", "track=-h"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_page() {
        for path in [
            "/../etc",
            "/-h",
            "/Parser",
            "/parser/issues/0",
            "/parser/issues/07",
            "/parser/issues/7/x",
            "/a//issues",
            "/parser/pulls/-1",
            "/agents/a%20b",
            "/%2e%2e",
            "/agents/a;b",
            "/parser/trace/HEAD",
            "/parser/trace/--json",
        ] {
            assert_eq!(line(path), None, "{path}");
        }
    }

    #[test]
    fn twins_have_the_suffix_of_their_form() {
        let of = |path| twin(path, "", &HeaderMap::new());
        assert_eq!(of("/parser/issues/7.json"), ("/parser/issues/7", Format::Json));
        assert_eq!(of("/index.md"), ("/index", Format::Markdown));
        assert_eq!(of("/parser/issues.atom"), ("/parser/issues", Format::Atom));
        let asks = |path| find(path).unwrap().0.asks(Format::Atom).map(|ask| ask.command.name);
        assert_eq!(asks("/index"), Some("today"));
        assert_eq!(asks("/parser/pulls/7"), Some("details"));
        assert_eq!(asks("/leaderboard"), None);
        assert!(table::TABLE.iter().all(|page| page.feed.is_none_or(|(at, _)| at <= page.also.len())));
    }
}
