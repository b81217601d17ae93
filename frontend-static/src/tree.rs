//! A directory.

use askama::Template;
use serde::Deserialize;

use crate::code::{self, Branches, Place, branches};
use crate::{Frame, Unreadable, filters};

/// What `tree` answers.
#[derive(Deserialize)]
pub struct Tree {
    project: String,
    path: String,
    rev: String,
    commit: Last,
    total: u64,
    from: u64,
    entries: Vec<Entry>,
    left_out: u64,
    readme: Option<Readme>,
}

#[derive(Deserialize)]
struct Last {
    id: String,
    author: String,
    time: u64,
    subject: String,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    path: String,
    kind: String,
    id: String,
    size: Option<u64>,
    target: Option<String>,
}

#[derive(Deserialize)]
struct Readme {
    path: String,
    text: String,
    cut: bool,
}

impl Entry {
    fn view(&self) -> &'static str {
        if self.kind == "tree" { "tree" } else { "blob" }
    }

    fn size(&self) -> String {
        self.size.filter(|_| self.kind == "blob").map(code::size).unwrap_or_default()
    }
}

impl Tree {
    /// As people look for them; git itself sorts by name alone.
    pub(crate) fn directories_first(&mut self) {
        self.entries.sort_by_key(|entry| entry.kind != "tree");
    }

    fn place(&self, branches: Branches) -> Place<'_> {
        Place { project: &self.project, path: &self.path, rev: &self.rev, view: "tree", branches }
    }
}

/// The listing of a directory, for its own page and for that of the project.
#[derive(Template)]
#[template(path = "tree_list.html")]
struct Listing<'a> {
    frame: &'a Frame<'a>,
    place: &'a Place<'a>,
    tree: &'a Tree,
}

/// The listing of a directory as HTML.
pub(crate) fn listing(frame: &Frame<'_>, tree: &Tree) -> Result<String, Unreadable> {
    Ok(Listing { frame, place: &tree.place(Branches::default()), tree }.render()?)
}

impl Listing<'_> {
    /// The directory above, where there is one.
    fn above(&self) -> Option<String> {
        let path = &self.tree.path;
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        (!path.is_empty()).then(|| self.place.url("tree", above))
    }

    /// Where the entries go on.
    fn more(&self) -> Option<String> {
        let next = self.tree.from + self.tree.entries.len() as u64;
        (self.tree.left_out > 0).then(|| self.frame.with("from", &next.to_string()))
    }

    fn author(&self) -> &str {
        code::name(&self.tree.commit.author)
    }

    /// The README as HTML: its Markdown, or its text as it stands.
    fn prose(&self) -> Option<String> {
        let readme = self.tree.readme.as_ref()?;
        let name = readme.path.to_ascii_lowercase();
        Some(match name.ends_with(".md") || name.ends_with(".markdown") {
            true => self.frame.prose_beside(&readme.text, &|target| self.place.beside(&readme.path, target)),
            false => format!("<pre tabindex=\"0\"><code>{}</code></pre>", crate::escape::text(&readme.text)),
        })
    }
}

#[derive(Template)]
#[template(path = "tree.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    place: Place<'a>,
    listing: String,
    tree: &'a Tree,
}

/// The page.
///
/// # Errors
///
/// Where an answer is none of `tree`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let mut tree: Tree = crate::answer(answers, 0)?;
    tree.directories_first();
    let (place, listing) = (tree.place(branches(answers, 1)), listing(frame, &tree)?);
    Ok(Page { frame, place, listing, tree: &tree }.render()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What `tree` answers of a directory in which every name means something to a browser.
    pub(crate) const ANSWER: &str = r##"{"project":"parser","path":"src/<b>","rev":"a/b","default_branch":"main",
        "commit":{"id":"0123456789012345678901234567890123456789","author":"<i> <a@b>","time":1700000000,"subject":"<script>"},
        "tree":"1123456789012345678901234567890123456789","from":1,"total":1004,"left_out":1000,"entries":[
        {"name":"\"><img src=x>","path":"src/<b>/\"><img src=x>","mode":"100644","kind":"blob","id":"2123456789012345678901234567890123456789","size":12},
        {"name":"d\u202e","path":"src/<b>/d\u202e","mode":"40000","kind":"tree","id":"3123456789012345678901234567890123456789"},
        {"name":"l","path":"src/<b>/l","mode":"120000","kind":"link","id":"4123456789012345678901234567890123456789","size":3,"target":"/etc/<x>"},
        {"name":"s","path":"src/<b>/s","mode":"160000","kind":"commit","id":"5123456789012345678901234567890123456789"}],
        "readme":{"path":"src/<b>/README.md","text":"# Hi <script>\n[a](docs/a.md) [b](javascript:alert(1)) [c](x.md)\n","cut":false},"next":"log"}"##;

    #[test]
    fn a_directory_lists_what_it_holds() {
        let frame = Frame {
            path: "/parser/tree/src/%3Cb%3E",
            query: "at=a%2Fb",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        };
        let out = view(&frame, &[ANSWER, r#"{"names":[{"name":"main"}]}"#]).unwrap();
        let file = "<a href=\"/parser/blob/src/%3Cb%3E/%22%3E%3Cimg%20src%3Dx%3E?at=a%2Fb\"><bdi>&quot;&gt;&lt;img src=x&gt;</bdi></a>";
        assert!(out.contains(file), "{out}");
        assert!(out.contains("<bdi>d‹U+202E›/</bdi>") && out.contains("/etc/&lt;x&gt;"), "{out}");
        assert!(
            out.contains("href=\"/parser/tree/src/%3Cb%3E?at=a%2Fb&amp;from=5\"") && out.contains("1000 more"),
            "{out}"
        );
        assert!(out.contains("<option value=\"main\">") && out.contains("href=\"/parser/tree/src?at=a%2Fb\""), "{out}");
        assert_eq!(out.matches("<script").count(), 1);
        assert!(out.contains("/parser/blob/src/%3Cb%3E/docs/a.md?at=a%2Fb") && !out.contains("javascript:"), "{out}");
        assert!(!out.contains("<img") && !out.contains(" style="));
        assert!(view(&frame, &["{}"]).is_err() && view(&frame, &[]).is_err());
    }
}
