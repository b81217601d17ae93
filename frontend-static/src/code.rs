//! What pages about code share: where they stand, at which commit, and the ways from there.
//!
//! Invariant: every address is made here, percent-encoded, so that no name leads elsewhere.

use serde::Deserialize;

use crate::filters::percent;
use crate::frame::decoded;
use crate::{diff, highlight};

/// The branches among which the commit of a page is chosen.
#[derive(Deserialize, Default)]
pub struct Branches {
    names: Vec<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

impl Branches {
    /// Their names.
    pub fn choices(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|branch| branch.name.as_str())
    }
}

/// The last answer of a page about code, where there is one.
pub fn branches(answers: &[&str], at: usize) -> Branches {
    crate::answer::<Option<Branches>>(answers, at).ok().flatten().unwrap_or_default()
}

/// A directory on the way.
pub struct Crumb {
    /// Its name.
    pub name: String,
    /// Its page; none for the last.
    pub url: Option<String>,
}

/// Another view of the same place.
pub struct Tab {
    /// The word for it.
    pub word: &'static str,
    /// Its page.
    pub url: String,
    /// Whether this is it.
    pub here: bool,
}

/// Where a page about code stands.
pub struct Place<'a> {
    /// The project.
    pub project: &'a str,
    /// The path, empty at the top.
    pub path: &'a str,
    /// What was asked for: a branch, tag or id; empty for the default branch.
    pub rev: &'a str,
    /// `tree`, `blob`, `blame` or `log`.
    pub view: &'static str,
    /// What may be chosen instead.
    pub branches: Branches,
}

/// Most parts of a path that lead to their directories: each names all that stands before it.
/// Limit: parts of a path that are links above a page of code | {}; of more, the first and the last
const MOST_CRUMBS: usize = 16;

impl Place<'_> {
    /// `?at=…`, or nothing for the default branch.
    fn at(&self) -> String {
        if self.rev.is_empty() { String::new() } else { format!("?at={}", percent(self.rev, false)) }
    }

    /// The address of a view of a path, at the same commit.
    pub fn url(&self, view: &str, path: &str) -> String {
        let path = if path.is_empty() { String::new() } else { format!("/{}", percent(path, true)) };
        format!("/{}/{view}{path}{}", self.project, self.at())
    }

    /// The same at a commit that will not move.
    pub fn url_at(&self, view: &str, path: &str, id: &str) -> String {
        let path = if path.is_empty() { String::new() } else { format!("/{}", percent(path, true)) };
        format!("/{}/{view}{path}?at={id}", self.project)
    }

    /// Where the form goes that chooses another commit.
    pub fn here(&self) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("/{}", percent(self.path, true)) };
        format!("/{}/{}{path}", self.project, self.view)
    }

    /// The names that the form offers.
    pub fn choices(&self) -> impl Iterator<Item = &str> {
        self.branches.choices()
    }

    /// Where a link leads that the file at `file` makes to another one, by its path from there.
    pub fn beside(&self, file: &str, target: &str) -> Option<String> {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = decoded(&path.split('?').next().unwrap_or("").replace('+', "%2B"));
        let mut parts: Vec<&str> = file.split('/').collect();
        parts.pop();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        let view = if path.ends_with('/') || parts.is_empty() { "tree" } else { "blob" };
        let anchor = if anchor.is_empty() { String::new() } else { format!("#{}", percent(&decoded(anchor), false)) };
        Some(self.url(view, &parts.join("/")) + &anchor)
    }

    /// The way from the top of the project.
    pub fn crumbs(&self) -> Vec<Crumb> {
        let mut crumbs = vec![Crumb { name: self.project.to_owned(), url: Some(self.url("tree", "")) }];
        let parts = || self.path.match_indices('/').map(|(end, _)| end).chain([self.path.len()]);
        let left_out = parts().count().saturating_sub(MOST_CRUMBS);
        let mut begin = 0;
        for (at, end) in parts().enumerate() {
            let name = &self.path[begin..end];
            begin = end + 1;
            match at {
                // The first one says where, the last ones what.
                at if at == 1 && left_out > 0 => crumbs.push(Crumb { name: "…".to_owned(), url: None }),
                at if name.is_empty() || (1..=left_out).contains(&at) => {}
                _ => crumbs.push(Crumb { name: name.to_owned(), url: Some(self.url("tree", &self.path[..end])) }),
            }
        }
        if let Some(last) = crumbs.last_mut() {
            last.url = None;
        }
        crumbs
    }

    /// The other views of the place.
    pub fn tabs(&self) -> Vec<Tab> {
        let is_file = matches!(self.view, "blob" | "blame");
        let mut tabs = vec![if is_file { ("File", "blob") } else { ("Files", "tree") }];
        if is_file {
            tabs.push(("Blame", "blame"));
        }
        tabs.push(("History", "log"));
        let tab =
            |(word, view): (&'static str, &str)| Tab { word, url: self.url(view, self.path), here: view == self.view };
        let mut tabs: Vec<Tab> = tabs.into_iter().map(tab).collect();
        if is_file {
            tabs.push(Tab { word: "Raw", url: self.url("raw", self.path), here: false });
        }
        tabs
    }
}

/// `12.3 KiB`.
pub fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < units.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

/// The name of an author without the address.
pub fn name(author: &str) -> &str {
    match author.split(" <").next() {
        None | Some("") => "nobody",
        Some(name) => name,
    }
}

/// The lines of a file as HTML.
pub fn coloured(path: &str, text: &str) -> Vec<String> {
    highlight::html_lines(highlight::language_of(path), text)
}

/// A patch as HTML; the names of its files lead to `link`.
pub fn patch(text: &str, split: bool, link: &diff::Link<'_>) -> String {
    diff::html(text, if split { diff::View::Split } else { diff::View::Unified }, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_branches_stay_inside_their_address() {
        let place = Place { project: "p", path: "a b/<i>", rev: "x/y&z", view: "blob", branches: Branches::default() };
        assert_eq!(place.url("blob", place.path), "/p/blob/a%20b/%3Ci%3E?at=x%2Fy%26z");
        assert_eq!(place.here(), "/p/blob/a%20b/%3Ci%3E");
        let crumbs = place.crumbs();
        assert_eq!(crumbs.len(), 3);
        assert_eq!(crumbs[1].url.as_deref(), Some("/p/tree/a%20b?at=x%2Fy%26z"));
        assert!(crumbs[2].url.is_none() && crumbs[2].name == "<i>");
        let beside = |target: &str| place.beside("docs/a.md", target);
        assert_eq!(beside("b%20c.md#x").as_deref(), Some("/p/blob/docs/b%20c.md?at=x%2Fy%26z#x"));
        assert_eq!(beside("../LICENSE").as_deref(), Some("/p/blob/LICENSE?at=x%2Fy%26z"));
        assert_eq!((beside("../src/").as_deref(), beside("../../x")), (Some("/p/tree/src?at=x%2Fy%26z"), None));
    }

    #[test]
    fn a_deep_path_leads_to_its_ends() {
        let path: Vec<String> = (0..5000).map(|n| format!("d{n}")).collect();
        let path = path.join("/");
        let place = Place { project: "p", path: &path, rev: "", view: "log", branches: Branches::default() };
        let crumbs = place.crumbs();
        let names: Vec<&str> = crumbs.iter().map(|crumb| crumb.name.as_str()).collect();
        assert_eq!((names[..4].join(" "), crumbs.len()), ("p d0 … d4985".to_owned(), 2 + MOST_CRUMBS));
        assert!(crumbs[3].url.as_deref().is_some_and(|url| url.ends_with("/d4984/d4985")));
        assert_eq!((names[names.len() - 1], crumbs[crumbs.len() - 1].url.as_ref()), ("d4999", None));
    }

    #[test]
    fn sizes_have_a_unit() {
        let of =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_600_000, "1.5 MiB"), (u64::MAX, "1717986918.3 GiB")];
        for (bytes, shown) in of {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!((name("A B <a@b>"), name("")), ("A B", "nobody"));
    }
}
