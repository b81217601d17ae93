//! The words of the commands that pages about code ask.
//!
//! Invariant: whatever stands in a path or a query arrives as one word, never as a flag; what is no number makes no page.

use frontend::frame::value;

use super::pages::project;
use crate::commands::quoted;

/// The commit that a page is about: `?at=`.
fn at(query: &str) -> Option<String> {
    value(query, "at").filter(|at| !at.trim().is_empty())
}

/// `project:path` and the commit, each in quotes.
fn place(path: &[&str], query: &str) -> Option<String> {
    let project = project(path[0])?;
    let below = path.get(2).copied().unwrap_or("");
    let place = if below.is_empty() { project } else { quoted(&format!("{project}:{below}")) };
    let at = at(query).map(|at| format!(" {}", quoted(&at))).unwrap_or_default();
    Some(format!("{place}{at}"))
}

/// ` --flag 7`, where the query holds a number of that name; `None` where it holds something else.
pub(super) fn number(query: &str, flag: &str) -> Option<String> {
    match value(query, flag).filter(|value| !value.is_empty()) {
        None => Some(String::new()),
        Some(value) => Some(format!(" --{flag} {}", value.parse::<u32>().ok()?)),
    }
}

/// A directory, or a page of a file.
pub(super) fn paged(path: &[&str], query: &str) -> Option<String> {
    Some(place(path, query)? + &number(query, "from")?)
}

/// The bytes of a file.
pub(super) fn raw(path: &[&str], query: &str) -> Option<String> {
    Some(place(path, query)? + " --raw")
}

/// A page of a log: `?at=` may be `A..B`, `?after=` an id.
pub(super) fn log(path: &[&str], query: &str) -> Option<String> {
    let mut line = place(path, query)? + " --limit 50";
    if value(query, "follow").is_some_and(|follow| !follow.is_empty()) {
        line += " --follow";
    }
    match value(query, "after").filter(|after| !after.is_empty()) {
        None => Some(line),
        Some(after) => Some(format!("{line} --after {}", after.parse::<notes_schema::Oid>().ok()?)),
    }
}

/// A commit by its id or name.
pub(super) fn commit(path: &[&str], _: &str) -> Option<String> {
    Some(format!("{} {}", project(path[0])?, quoted(path[2])))
}

/// `A..B` in the path, or the two fields of the form; nothing compares the default branch with itself.
pub(super) fn compare(path: &[&str], query: &str) -> Option<String> {
    let project = project(path[0])?;
    let range = match path.get(2) {
        Some(range) => (*range).to_owned(),
        None => {
            let end = |name| value(query, name).map(|end| end.trim().to_owned()).unwrap_or_default();
            format!("{}...{}", end("from"), end("to"))
        }
    };
    let place = match value(query, "path").filter(|path| !path.is_empty()) {
        Some(path) => quoted(&format!("{project}:{path}")),
        None => project,
    };
    Some(format!("{place} {}", quoted(&range)))
}

/// A project's branches or tags.
pub(super) fn names(path: &[&str], query: &str) -> Option<String> {
    let wanted = value(query, "q").filter(|wanted| !wanted.is_empty());
    Some(project(path[0])? + &wanted.map(|wanted| format!(" --match {}", quoted(&wanted))).unwrap_or_default())
}

/// The names for whoever chooses a commit.
pub(super) fn picked(path: &[&str], _: &str) -> Option<String> {
    Some(format!("{} --names --limit 50", project(path[0])?))
}

/// A search in code; without a text nothing is looked for.
pub(super) fn grep(path: &[&str], query: &str) -> Option<String> {
    let project = project(path[0])?;
    let text = value(query, "q").filter(|text| !text.trim().is_empty()).unwrap_or_default();
    let below = value(query, "path").filter(|path| !path.is_empty());
    let place = below.map_or(project.clone(), |below| quoted(&format!("{project}:{below}")));
    let mut line = format!("{place} {}", quoted(&text));
    if let Some(at) = at(query) {
        line += &format!(" --at {}", quoted(&at));
    }
    for flag in ["regex", "ignore-case"] {
        if value(query, flag).is_some_and(|on| !on.is_empty()) {
            line += &format!(" --{flag}");
        }
    }
    Some(line)
}

/// `v0.1.tar.gz`, where a branch may hold slashes.
pub(super) fn archive(path: &[&str], _: &str) -> Option<String> {
    let rev = path[2].strip_suffix(".tar.gz").filter(|rev| !rev.is_empty())?;
    let project = project(path[0])?;
    Some(if rev == "HEAD" { project } else { format!("{project} {}", quoted(rev)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_words() {
        let file = ["parser", "blob", "src/it's \"x\" --raw"];
        assert!(paged(&file, "").unwrap().starts_with("'parser:src/it"));
        assert_eq!(paged(&["parser", "tree"], "at=a/b&from=7").as_deref(), Some("parser 'a/b' --from 7"));
        assert_eq!(paged(&["parser", "tree"], "from=x"), None);
        assert_eq!(paged(&["-h", "tree"], ""), None);
        assert_eq!(log(&["parser", "log"], "after=--json"), None);
        assert_eq!(compare(&["p", "compare"], "from=a&to=b").as_deref(), Some("p 'a...b'"));
        assert_eq!(compare(&["p", "compare", "a/x..b"], "").as_deref(), Some("p 'a/x..b'"));
        assert_eq!(grep(&["p", "find"], "q=--json&at=v1&regex=1").as_deref(), Some("p '--json' --at 'v1' --regex"));
        assert_eq!(grep(&["p", "find"], "q=+").as_deref(), Some("p ''"));
        assert_eq!(archive(&["p", "archive", "a/b.tar.gz"], "").as_deref(), Some("p 'a/b'"));
        assert_eq!(archive(&["p", "archive", "a.zip"], ""), None);
    }
}
