//! Pages: each is a command's Markdown in a frame, with a `.md` and a `.json` twin.
//!
//! Invariant: a page shows what the same actor would be told over SSH, because it is the same command.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use notes_schema::names::parse_number;
use notes_schema::{AgentName, ProjectName};

use super::reply::{self, Format};
use super::{Shared, action, credentials, not_this_way};
use crate::answer::{Code, Refusal};

/// A page: its title and the command that fills it.
type Filled = Option<(String, String)>;

/// Fills a page from the segments of its path and its query; `None` where they name nothing.
type Fill = fn(&[&str], &str) -> Filled;

/// Every page: its path, with `*` for one segment, and what fills it.
pub(super) const TABLE: &[(&[&str], Fill)] = &[
    (&["index"], |_, _| Some(("Projects".into(), "project list".into()))),
    (&["leaderboard"], |_, _| Some(("Leaderboard".into(), "leaderboard".into()))),
    (&["search"], |_, query| search(query)),
    (&["agents", "*"], |path, _| agent(path[1]).map(|a| (a.to_string(), format!("profile {a}")))),
    (&["*"], |path, _| project(path[0]).map(|p| (p.to_string(), format!("project show {p}")))),
    (&["*", "issues"], |path, _| project(path[0]).map(|p| (format!("{p}: issues"), format!("issue list {p}")))),
    (&["*", "issues", "*"], |path, _| item(path, "details")),
    (&["*", "pulls"], |path, _| project(path[0]).map(|p| (format!("{p}: pulls"), format!("pr list {p}")))),
    (&["*", "pulls", "*"], |path, _| item(path, "pr")),
    (&["*", "checks"], |path, _| project(path[0]).map(|p| (format!("{p}: checks"), format!("check list {p}")))),
];

fn project(text: &str) -> Option<ProjectName> {
    text.parse().ok()
}

fn agent(text: &str) -> Option<AgentName> {
    text.parse().ok()
}

fn item(path: &[&str], command: &str) -> Filled {
    let (project, n) = (project(path[0])?, parse_number(path[2])?);
    Some((format!("{project}#{n}"), format!("{command} {project}/{n}")))
}

#[derive(serde::Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

fn search(query: &str) -> Filled {
    let Search { q } = axum::extract::Query::try_from_uri(&format!("/?{query}").parse().ok()?).ok()?.0;
    let words: String = q.chars().take(256).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some((format!("Search: {}", words.trim()), format!("search {}", quoted(words.trim()))))
}

/// One argument in balanced quotes, so that a word of it is never a flag.
fn quoted(text: &str) -> String {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => format!("'{text}'"),
        (true, false) => format!("\"{text}\""),
        (true, true) => format!("'{}'", text.replace('\'', " ")),
    }
}

/// The page at `path`, without its twin's suffix.
fn fill(path: &str, query: &str) -> Filled {
    let segments: Vec<&str> = match path.trim_matches('/') {
        "" => vec!["index"],
        path => path.split('/').collect(),
    };
    let fits = |pattern: &&[&str]| {
        pattern.len() == segments.len() && pattern.iter().zip(&segments).all(|(want, got)| *want == "*" || want == got)
    };
    let (_, make) = TABLE.iter().find(|(pattern, _)| fits(pattern))?;
    make(&segments, query)
}

/// Any page of [`TABLE`].
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
    if let Some(place) = canonical(uri.path()) {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        return (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{place}{query}"))]).into_response();
    }
    let (path, format) = twin(uri.path(), &headers);
    let Some((title, line)) = fill(path, query.as_deref().unwrap_or("")) else {
        let refusal = Refusal::new(Code::NotFound, shown(uri.path()), "there is no such page", "project list");
        return reply::refuse(&refusal, StatusCode::NOT_FOUND, format);
    };
    match action::run(&door, &headers, line, b"", format == Format::Json).await {
        Ok(answer) => reply::respond(&door.forge, &answer, format, &title, path),
        Err(refusal) => credentials::ask(&refusal, format),
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
    let place = format!("/{}", parts.join("/"));
    (place != path).then_some(place)
}

fn twin<'a>(path: &'a str, headers: &HeaderMap) -> (&'a str, Format) {
    if let Some(path) = path.strip_suffix(".md") {
        return (path, Format::Markdown);
    }
    if let Some(path) = path.strip_suffix(".json") {
        return (path, Format::Json);
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
        fill(path, "q=%2D-json+it%27s").map(|(_, line)| line)
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
            ("/", "project list"),
            ("/index", "project list"),
            ("/leaderboard", "leaderboard"),
            ("/agents/alpha", "profile alpha"),
            ("/parser", "project show parser"),
            ("/parser/", "project show parser"),
            ("/parser/issues", "issue list parser"),
            ("/parser/issues/7", "details parser/7"),
            ("/parser/pulls", "pr list parser"),
            ("/parser/pulls/47", "pr parser/47"),
            ("/parser/checks", "check list parser"),
            ("/search", "search \"--json it's\""),
        ] {
            assert_eq!(line(path).as_deref(), Some(command), "{path}");
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
        ] {
            assert_eq!(line(path), None, "{path}");
        }
    }

    #[test]
    fn quotes_stay_balanced() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"so\""), "'it s \"so\"'");
    }

    #[test]
    fn twins_have_the_suffix_of_their_form() {
        let of = |path| twin(path, &HeaderMap::new());
        assert_eq!(of("/parser/issues/7.json"), ("/parser/issues/7", Format::Json));
        assert_eq!(of("/index.md"), ("/index", Format::Markdown));
    }
}
