//! Pages: each is a command's Markdown in a frame, with a `.md` and a `.json` twin.
//!
//! Invariant: a page shows what the same actor would be told over SSH, because it is the same command.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use notes_schema::names::parse_number;
use notes_schema::{AgentName, ProjectName};

use super::reply::{self, Format};
use super::routes::Asks;
use super::{Shared, credentials, not_this_way};
use crate::answer::{Code, Refusal};
use crate::commands::{self, Command};

/// The title of a page, and the words behind its command's name.
type Filled = Option<(String, String)>;

/// One page.
pub(crate) struct Page {
    /// Its path, with `*` for one segment.
    pub path: &'static [&'static str],
    /// The command that fills it.
    pub command: &'static Command,
    /// What that is asked, from the segments of the path and the query; `None` where they name nothing.
    fill: fn(&[&str], &str) -> Filled,
}

const fn page_of(path: &'static [&'static str], command: &'static Command, fill: fn(&[&str], &str) -> Filled) -> Page {
    Page { path, command, fill }
}

/// Every page.
pub(crate) const TABLE: &[Page] = &[
    page_of(&["index"], &commands::PROJECT_LIST, |_, _| Some(("Projects".into(), String::new()))),
    page_of(&["leaderboard"], &commands::LEADERBOARD, |_, query| leaderboard(query)),
    page_of(&["humans"], &commands::LEADERBOARD, |_, _| Some(("Agents and humans".into(), "humans".into()))),
    page_of(&["search"], &commands::SEARCH, |_, query| search(query)),
    page_of(&["agents", "*"], &commands::PROFILE, |path, _| agent(path[1]).map(|a| (a.to_string(), a.to_string()))),
    page_of(&["*"], &commands::PROJECT_SHOW, |path, _| project(path[0]).map(|p| (p.to_string(), p.to_string()))),
    page_of(&["*", "issues"], &commands::ISSUE_LIST, |path, _| list(path)),
    page_of(&["*", "issues", "*"], &commands::DETAILS, |path, _| item(path)),
    page_of(&["*", "pulls"], &commands::PR_LIST, |path, _| list(path)),
    page_of(&["*", "pulls", "*"], &commands::PR, |path, _| item(path)),
    page_of(&["*", "checks"], &commands::CHECK_LIST, |path, _| list(path)),
];

fn project(text: &str) -> Option<ProjectName> {
    text.parse().ok()
}

fn agent(text: &str) -> Option<AgentName> {
    text.parse().ok()
}

fn list(path: &[&str]) -> Filled {
    let project = project(path[0])?;
    Some((format!("{project}: {}", path[1]), project.to_string()))
}

fn item(path: &[&str]) -> Filled {
    let (project, n) = (project(path[0])?, parse_number(path[2])?);
    Some((format!("{project}#{n}"), format!("{project}/{n}")))
}

#[derive(serde::Deserialize)]
struct Board {
    track: Option<String>,
    lang: Option<String>,
    difficulty: Option<String>,
    window: Option<String>,
    project: Option<String>,
}

/// `?track=simulator&lang=rust`, as the command's words and flags. What is not one plain word makes no page.
fn leaderboard(query: &str) -> Filled {
    let Board { track, lang, difficulty, window, project } =
        axum::extract::Query::try_from_uri(&format!("/?{query}").parse().ok()?).ok()?.0;
    let flags = [("lang", lang), ("difficulty", difficulty), ("window", window), ("project", project)];
    let mut words = Vec::new();
    // What a form leaves empty is not asked for.
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    for (flag, value) in std::iter::once(("", track)).chain(flags) {
        let Some(value) = given(value) else { continue };
        if !super::action::is_word(&value) {
            return None;
        }
        words.extend((!flag.is_empty()).then(|| format!("--{flag}")));
        words.push(value);
    }
    Some(("Leaderboard".into(), words.join(" ")))
}

#[derive(serde::Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

/// Most characters of a query; the rest is not looked at.
/// Limit: words that the search page looks for | {} characters, the rest is not looked at
const SEARCHED: usize = 256;

pub(super) fn search(query: &str) -> Filled {
    let Search { q } = axum::extract::Query::try_from_uri(&format!("/?{query}").parse().ok()?).ok()?.0;
    let words: String = q.chars().take(SEARCHED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some((format!("Search: {}", words.trim()), quoted(words.trim())))
}

/// One argument in balanced quotes, so that a word of it is never a flag.
fn quoted(text: &str) -> String {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => format!("'{text}'"),
        (true, false) => format!("\"{text}\""),
        (true, true) => format!("'{}'", text.replace('\'', " ")),
    }
}

/// The page at `path`, without its twin's suffix: its title, its command and that one's line.
fn fill(path: &str, query: &str) -> Option<(String, &'static Command, String)> {
    let segments: Vec<&str> = match path.trim_matches('/') {
        "" => vec!["index"],
        path => path.split('/').collect(),
    };
    let fits = |pattern: &[&str]| {
        pattern.len() == segments.len() && pattern.iter().zip(&segments).all(|(want, got)| *want == "*" || want == got)
    };
    let page = TABLE.iter().find(|page| fits(page.path))?;
    let (title, words) = (page.fill)(&segments, query)?;
    Some((title, page.command, format!("{} {words}", page.command.name).trim_end().to_owned()))
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
    let Some((title, command, line)) = fill(path, query.as_deref().unwrap_or("")) else {
        let refusal = Refusal::new(Code::NotFound, shown(uri.path()), "there is no such page", "project list");
        return reply::refuse(&refusal, StatusCode::NOT_FOUND, format);
    };
    match door.run(Asks::Command(command), &headers, line, b"", format == Format::Json).await {
        Ok(answer) => reply::respond(&door, &answer, format, &title, path),
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
        fill(path, "q=%2D-json+it%27s").map(|(_, _, line)| line)
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
            ("/humans", "leaderboard humans"),
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
    fn filters_of_a_leaderboard_are_words_and_bring_no_flag() {
        let of = |query: &str| leaderboard(query).map(|(_, words)| words);
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
