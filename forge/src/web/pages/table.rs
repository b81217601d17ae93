//! Every page: at which address, of which commands, drawn by what.
//!
//! Invariant: a row is all that there is of a page; who may ask for it is asked of its commands.

use frontend::frame::{decoded, value};
use frontend::{View, atom};
use notes_schema::{AgentName, ProjectName};

use crate::commands::{self, Command, quoted};
use crate::web::reply::Format;
use crate::web::{action, code, work};

/// What a page asks: a command, and the words behind its name from the segments of the path and the query; `None` where
/// they name nothing.
pub(crate) struct Ask {
    /// The command.
    pub command: &'static Command,
    fill: fn(&[&str], &str) -> Option<String>,
}

impl Ask {
    /// The line that is run.
    pub(super) fn line(&self, path: &[String], query: &str) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let words = (self.fill)(&path, query)?;
        Some(format!("{} {words}", self.command.name).trim_end().to_owned())
    }
}

/// One page.
pub(crate) struct Page {
    /// Its path: `*` for one segment, and `**` at the end for all that follows.
    pub path: &'static [&'static str],
    /// What it is about: its twins are this command's Markdown and JSON.
    pub ask: Ask,
    /// What else it shows. Where one of these is refused, the page does without.
    pub also: &'static [Ask],
    /// What draws it; without one, it is its command's Markdown.
    pub view: Option<View>,
    /// The feed of what it lists: of which of its answers, and what draws it.
    pub feed: Option<(usize, atom::Feed)>,
    /// Whether refs alone decide what it says: those of its project and of `forge.git`. Then whoever has it, and may ask for it,
    /// is told so before any command runs. (A link to what another project made since may be missing until either moves.)
    pub by_refs: bool,
    /// Whether it may have ended early for want of time: then the next one who asks may be shown more.
    pub timed: bool,
}

impl Page {
    const fn drawn(self, view: View) -> Page {
        Page { view: Some(view), ..self }
    }

    const fn with(self, also: &'static [Ask]) -> Page {
        Page { also, ..self }
    }

    const fn by_refs(self) -> Page {
        Page { by_refs: true, ..self }
    }

    /// With a feed, of the answer at `at`: the first is that of [`Page::ask`].
    const fn fed(self, at: usize, feed: atom::Feed) -> Page {
        Page { feed: Some((at, feed)), ..self }
    }

    /// What is asked first for its form `format`; none where it has no such form.
    pub(super) fn asks(&self, format: Format) -> Option<&Ask> {
        match (format, self.feed) {
            (Format::Atom, None) => None,
            (Format::Atom, Some((at, _))) if at > 0 => self.also.get(at - 1),
            (Format::Atom | Format::Html | Format::Markdown | Format::Json, _) => Some(&self.ask),
        }
    }

    const fn timed(self) -> Page {
        Page { timed: true, ..self }
    }
}

const fn ask(command: &'static Command, fill: fn(&[&str], &str) -> Option<String>) -> Ask {
    Ask { command, fill }
}

const fn page_of(path: &'static [&'static str], ask: Ask) -> Page {
    Page { path, ask, also: &[], view: None, feed: None, by_refs: false, timed: false }
}

/// A page about code, with the branches among which its commit is chosen.
const fn code(path: &'static [&'static str], ask: Ask, view: View) -> Page {
    page_of(path, ask).with(&[BRANCHES]).drawn(view).by_refs()
}

const BRANCHES: Ask = ask(&commands::BRANCH_LIST, code::picked);

/// Every page.
pub(crate) const TABLE: &[Page] = &[
    page_of(&["index"], ask(&commands::PROJECT_LIST, |_, query| projects(query)))
        .with(&[ask(&commands::TODAY, nothing)])
        .drawn(frontend::home::view)
        .fed(1, atom::today),
    page_of(&["live"], ask(&commands::TODAY, nothing)).drawn(frontend::live::view),
    page_of(&["needs"], ask(&commands::NEEDS, nothing)).drawn(frontend::needs::view),
    page_of(&["leaderboard"], ask(&commands::LEADERBOARD, |_, query| leaderboard(query))).drawn(frontend::board::view),
    page_of(&["humans"], ask(&commands::LEADERBOARD, |_, _| Some("humans".into()))).drawn(frontend::humans::view),
    page_of(&["search"], ask(&commands::SEARCH, |_, query| Some(search(query))))
        .drawn(frontend::search_page::view)
        .fed(0, atom::search),
    page_of(&["agents", "*"], ask(&commands::PROFILE, |path, _| agent(path[1])))
        .drawn(frontend::agent::view)
        .fed(0, atom::agent),
    page_of(&["*"], ask(&commands::PROJECT_SHOW, |path, _| project(path[0])))
        .with(&[ask(&commands::TREE, |path, _| project(path[0]))])
        .drawn(frontend::project::view)
        .fed(0, atom::project),
    code(&["*", "tree"], ask(&commands::TREE, code::paged), frontend::tree::view),
    code(&["*", "tree", "**"], ask(&commands::TREE, code::paged), frontend::tree::view),
    code(&["*", "blob", "**"], ask(&commands::CAT, code::paged), frontend::blob::view),
    code(&["*", "blame", "**"], ask(&commands::BLAME, code::paged), frontend::blame::view),
    code(&["*", "log"], ask(&commands::LOG, code::log), frontend::log::view).fed(0, atom::log),
    code(&["*", "log", "**"], ask(&commands::LOG, code::log), frontend::log::view).fed(0, atom::log),
    code(&["*", "commit", "**"], ask(&commands::SHOW, code::commit), frontend::commit::view),
    code(&["*", "compare"], ask(&commands::DIFF, code::compare), frontend::compare::view),
    code(&["*", "compare", "**"], ask(&commands::DIFF, code::compare), frontend::compare::view),
    code(&["*", "branches"], ask(&commands::BRANCH_LIST, code::names), frontend::refs::view),
    code(&["*", "tags"], ask(&commands::TAG_LIST, code::names), frontend::refs::view),
    code(&["*", "find"], ask(&commands::GREP, code::grep), frontend::find::view).timed(),
    page_of(&["*", "raw", "**"], ask(&commands::CAT, code::raw)).by_refs(),
    page_of(&["*", "archive", "**"], ask(&commands::ARCHIVE, code::archive)).by_refs(),
    page_of(&["*", "trace", "*"], ask(&commands::TRACE, |path, _| traced(path))).drawn(frontend::trace::view).by_refs(),
    page_of(&["*", "issues"], ask(&commands::ISSUE_LIST, work::list)).drawn(frontend::issues::view).fed(0, atom::list),
    page_of(&["*", "issues", "new"], ask(&commands::PROJECT_SHOW, |path, _| project(path[0])))
        .drawn(frontend::issues::new),
    page_of(&["*", "issues", "*"], ask(&commands::DETAILS, |path, _| work::item(path)))
        .with(&[ask(&commands::SUBMISSION, |path, _| work::item(path))])
        .drawn(frontend::issue::view)
        .fed(0, atom::thread)
        .by_refs(),
    page_of(&["*", "pulls"], ask(&commands::PR_LIST, work::list)).drawn(frontend::pulls::view).fed(0, atom::list),
    page_of(&["*", "pulls", "*"], ask(&commands::PR, work::pull))
        .with(&[ask(&commands::DETAILS, |path, _| work::item(path))])
        .drawn(frontend::pull::view)
        .fed(1, atom::thread)
        .by_refs(),
    page_of(&["*", "roadmap"], ask(&commands::ROADMAP, |path, _| project(path[0]))).drawn(frontend::roadmap::view),
    page_of(&["*", "health"], ask(&commands::HEALTH, |path, _| project(path[0]))).drawn(frontend::health::view),
    page_of(&["*", "checks"], ask(&commands::CHECK_LIST, |path, _| project(path[0])))
        .with(&[ask(&commands::CHECK_SHOW, |path, _| project(path[0]))])
        .drawn(frontend::checks::view),
];

pub(in crate::web) fn project(text: &str) -> Option<String> {
    text.parse::<ProjectName>().ok().map(|name| name.to_string())
}

fn agent(text: &str) -> Option<String> {
    text.parse::<AgentName>().ok().map(|name| name.to_string())
}

/// Projects of one first page.
/// Limit: projects of one first page | {}, those where something happened last; then `?from=`
const PROJECTS: usize = 100;

fn projects(query: &str) -> Option<String> {
    Some(format!("--active --limit {PROJECTS}{}", code::number(query, "from")?))
}

fn nothing(_: &[&str], _: &str) -> Option<String> {
    Some(String::new())
}

/// `parser:3f1c2ab --full`.
fn traced(path: &[&str]) -> Option<String> {
    let commit = path[2];
    let is_id = commit.len() <= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(format!("{}:{commit} --full", project(path[0])?)).filter(|_| is_id)
}

/// `?track=simulator&lang=rust`, as the command's words and flags. What is not one plain word makes no page.
pub(super) fn leaderboard(query: &str) -> Option<String> {
    let mut words = Vec::new();
    for flag in ["track", "lang", "difficulty", "window", "project"] {
        // What a form leaves empty is not asked for.
        let Some(value) = value(query, flag).filter(|value| !value.is_empty()) else { continue };
        if !action::is_word(&value) {
            return None;
        }
        words.extend((flag != "track").then(|| format!("--{flag}")));
        words.push(value);
    }
    Some(words.join(" "))
}

/// Most characters of a query; the rest is not looked at.
/// Limit: words that the search page looks for | {} characters, the rest is not looked at
const SEARCHED: usize = 256;

pub(in crate::web) fn search(query: &str) -> String {
    let words = value(query, "q").unwrap_or_default();
    let words: String = words.chars().take(SEARCHED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    quoted(words.trim())
}

/// The page at `path` (without its twin's suffix), and its segments, decoded.
pub(super) fn find(path: &str) -> Option<(&'static Page, Vec<String>)> {
    let segments: Vec<String> = match path.trim_matches('/') {
        "" => vec!["index".to_owned()],
        path => path.split('/').map(|segment| decoded(&segment.replace('+', "%2B"))).collect(),
    };
    let page = TABLE.iter().find(|page| {
        let (fixed, rest) = match page.path.split_last() {
            Some((&"**", fixed)) => (fixed, true),
            _ => (page.path, false),
        };
        (segments.len() == fixed.len() || rest && segments.len() > fixed.len())
            && fixed.iter().zip(&segments).all(|(want, got)| *want == "*" || want == got)
    })?;
    let fixed = page.path.len() - usize::from(page.path.ends_with(&["**"]));
    let mut named = segments;
    if page.path.len() > fixed {
        let rest = named.split_off(fixed).join("/");
        named.push(rest);
    }
    Some((page, named))
}
