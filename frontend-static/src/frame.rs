//! What stands around every page: who looks, where they are, and the ways on.
//!
//! Invariant: it knows the address and the name of whoever looks, and nothing of what the page is about.

use notes_schema::ProjectName;
use notes_schema::names::RESERVED_NAMES;

use crate::assets;
use crate::code::{Branches, Place};
use crate::markdown::{self, Resolve, Stands};
use crate::written::Written;

/// The frame of one page.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Where the page stands, without a twin's suffix: `/parser/issues/7`. Percent-encoded as it came.
    pub path: &'a str,
    /// What follows the `?`: the state of the view. As it came.
    pub query: &'a str,
    /// Who is signed in.
    pub viewer: Option<&'a str>,
    /// Whether what it lists is to be had as a feed.
    pub has_feed: bool,
    /// A form of the page that was refused.
    pub written: Option<&'a Written<'a>>,
    /// Where references in text lead.
    pub resolve: &'a Resolve<'a>,
}

/// A way on: where it leads, what it is called, and whether the page stands there.
pub struct Way {
    /// The address.
    pub url: String,
    /// The word.
    pub word: &'static str,
    /// Whether the page stands there or below.
    pub here: bool,
    /// The keys that lead there.
    pub keys: &'static str,
}

/// A page in another form.
pub struct Twin {
    /// The address.
    pub url: String,
    /// Its media type.
    pub kind: &'static str,
    /// The word for it.
    pub word: &'static str,
}

/// What stands beside each other on the pages of one project.
const ROOMS: &[(&str, &str, &str)] = &[
    ("", "Code", "g c"),
    ("/issues", "Issues", "g i"),
    ("/pulls", "Pull requests", "g p"),
    ("/log", "Log", "g l"),
    ("/roadmap", "Roadmap", "g r"),
    ("/health", "Health", "g h"),
];
/// Addresses that are of the room `Code`.
const CODE: &[&str] = &["tree", "blob", "blame", "find", "branches", "tags", "commit", "compare"];
/// Addresses behind which stands the path of a file, or the name of a commit.
const OF_A_FILE: &[&str] = &["tree", "blob", "blame", "log", "commit", "compare"];

/// The other forms of a page: suffix, media type, word. A feed is the last; not every page has one.
const TWINS: &[(&str, &str, &str)] = &[
    ("md", "text/markdown", "Markdown"),
    ("json", "application/json", "JSON"),
    ("atom", "application/atom+xml", "Atom"),
];

impl Frame<'_> {
    /// The project whose page it is.
    pub fn project(&self) -> Option<ProjectName> {
        let first = self.path.trim_start_matches('/').split('/').next()?;
        (!RESERVED_NAMES.contains(&first)).then(|| first.parse().ok()).flatten()
    }

    /// The ways through the whole forge.
    pub fn ways(&self) -> Vec<Way> {
        [
            ("/", "Today", "g t"),
            ("/leaderboard", "Leaderboard", "g b"),
            ("/live", "Live", "g v"),
            ("/needs", "Needs a human", "g n"),
        ]
        .into_iter()
        .map(|(url, word, keys)| Way { url: url.to_owned(), word, here: self.path == url, keys })
        .collect()
    }

    /// The ways through one project.
    pub fn rooms(&self) -> Vec<Way> {
        let Some(project) = self.project() else { return Vec::new() };
        let below = self.path.trim_start_matches('/').split('/').nth(1).unwrap_or("");
        ROOMS
            .iter()
            .map(|(path, word, keys)| Way {
                keys,
                url: format!("/{project}{path}"),
                word,
                here: path.trim_start_matches('/') == below || (path.is_empty() && CODE.contains(&below)),
            })
            .collect()
    }

    /// The same page in its other forms. Only where the path is plain: a refusal may stand under any path.
    pub fn twins(&self) -> Vec<Twin> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-.%~".contains(&b);
        if !self.path.bytes().all(plain) || self.path.starts_with("//") {
            return Vec::new();
        }
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let path = if self.path == "/" { "/index" } else { self.path };
        let of_a_file = self.is_of_a_file();
        let url = |form| if of_a_file { self.with("as", form) } else { format!("{path}.{form}{query}") };
        let forms = if self.has_feed { TWINS } else { &TWINS[..2] };
        forms.iter().map(|(form, kind, word)| Twin { url: url(form), kind, word }).collect()
    }

    /// Whether the path ends with that of a file, or with a name that may end like one: what follows a dot there is its own.
    fn is_of_a_file(&self) -> bool {
        let mut parts = self.path.trim_start_matches('/').splitn(3, '/').skip(1);
        parts.next().is_some_and(|room| OF_A_FILE.contains(&room)) && parts.next().is_some()
    }

    /// Where this page stands, its query included: where signing in leads back to.
    pub fn here(&self) -> String {
        if self.query.is_empty() { self.path.to_owned() } else { format!("{}?{}", self.path, self.query) }
    }

    /// What is looked for on this page.
    pub fn searched(&self) -> String {
        self.value("q").unwrap_or_default()
    }

    /// What is looked for among issues and pull requests; other pages look for something else.
    pub fn sought(&self) -> String {
        if self.path == "/search" { self.searched() } else { String::new() }
    }

    /// A value of the query, decoded.
    pub fn value(&self, name: &str) -> Option<String> {
        value(self.query, name)
    }

    /// The address of this page with one value of its query changed, or taken out; the rest of the view stays.
    pub fn with(&self, name: &str, value: &str) -> String {
        let others = self.query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
        let mut pairs: Vec<String> = others.map(str::to_owned).collect();
        if !value.is_empty() {
            pairs.push(format!("{name}={}", crate::filters::percent(value, false)));
        }
        if pairs.is_empty() { self.path.to_owned() } else { format!("{}?{}", self.path, pairs.join("&")) }
    }

    /// Markdown by somebody as HTML, with links where references lead, and to files of the project as they are now. In a template: `frame.prose(text)|safe`.
    pub fn prose(&self, text: &str) -> String {
        let project = self.project();
        let files = |target: &str| {
            let project = project.as_ref()?.as_str();
            let (branches, view) = (Branches::default(), "blob");
            Place { project, path: "", rev: "", view, branches }.beside("", target)
        };
        self.written_in(project.as_ref(), text, &files)
    }

    fn written_in(&self, project: Option<&ProjectName>, text: &str, beside: &markdown::Beside<'_>) -> String {
        markdown::html_of(text, self.resolve, Stands { project, beside })
    }

    /// The same for a text that stands among files; `beside` says where links to those lead.
    pub fn prose_beside(&self, text: &str, beside: &markdown::Beside<'_>) -> String {
        self.written_in(self.project().as_ref(), text, beside)
    }

    /// What was written into a field of the form whose address ends in `verb`, where that form was refused; else nothing.
    pub fn wrote(&self, verb: &str, field: &str) -> &str {
        let written = self.written.filter(|written| written.verb() == verb);
        written.and_then(|written| written.field(field)).unwrap_or_default()
    }

    /// Whether a choice is the one that was made in the form that was refused; without one, whether it is the `usual`.
    pub fn chose(&self, verb: &str, field: &str, choice: &str, usual: bool) -> bool {
        match self.wrote(verb, field) {
            "" => usual,
            chosen => chosen == choice,
        }
    }

    /// The style sheet, to stand inside the page.
    pub fn style(&self) -> &'static str {
        assets::STYLE
    }

    /// Where the script is.
    pub fn script(&self) -> &'static str {
        assets::script_path()
    }
}

/// The first value of that name in a query, decoded.
pub fn value(query: &str, name: &str) -> Option<String> {
    let of = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    };
    query.split('&').find_map(of)
}

/// A part of a query as text; what is no UTF-8 is replaced, and what is no escape stays.
pub fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (byte, digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(meant)) => {
                out.push(meant);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(path: &'a str, query: &'a str) -> Frame<'a> {
        Frame { path, query, viewer: None, has_feed: false, written: None, resolve: &|_| None }
    }

    #[test]
    fn a_view_is_changed_one_value_at_a_time() {
        let frame = at("/parser/blob/a%20b", "at=alpha%2Ffix&x=%E4+%zz");
        assert_eq!(frame.value("at").as_deref(), Some("alpha/fix"));
        assert_eq!(frame.value("x").as_deref(), Some("\u{fffd} %zz"));
        assert_eq!(frame.value("y"), None);
        assert_eq!(frame.with("at", "v1 0"), "/parser/blob/a%20b?x=%E4+%zz&at=v1%200");
        assert_eq!(at("/parser", "at=main").with("at", ""), "/parser");
    }

    #[test]
    fn the_rooms_are_those_of_the_project() {
        let here = |path: &str| {
            at(path, "").rooms().into_iter().filter(|way| way.here).map(|way| way.word).collect::<Vec<_>>()
        };
        assert_eq!(here("/parser"), ["Code"]);
        assert_eq!(here("/parser/blob/src/lib.rs"), ["Code"]);
        assert_eq!(here("/parser/pulls/47"), ["Pull requests"]);
        assert!(at("/leaderboard", "").rooms().is_empty());
        assert!(at("/<b>", "").twins().is_empty() && at("//evil.example/x", "").twins().is_empty());
        assert_eq!(at("/", "").twins()[0].url, "/index.md");
        assert_eq!(at("/parser/blob/a.md", "at=x").twins()[1].url, "/parser/blob/a.md?at=x&as=json");
        assert_eq!(at("/parser/log", "").twins()[1].url, "/parser/log.json");
        let fed = |path, query| Frame { has_feed: true, ..at(path, query) }.twins().pop().map(|twin| twin.url);
        assert_eq!(fed("/", "").as_deref(), Some("/index.atom"));
        assert_eq!(fed("/parser/issues", "state=all").as_deref(), Some("/parser/issues.atom?state=all"));
        assert_eq!(fed("/parser/log/a.md", "").as_deref(), Some("/parser/log/a.md?as=atom"));
        assert_eq!(at("/parser", "").twins().len(), 2);
    }
}
