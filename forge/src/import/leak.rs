//! What of an item nobody may see while it is open: whatever names its fix, and whatever was said once the fix was there.
//!
//! Invariant: what is left of an item's title, text, labels and comments names none of the [`Marks`], and no comment is as
//! late as the fix.

use notes_schema::Oid;

use super::Item;
use super::item::MOST_COMMENTS;

/// Fewest digits by which a commit is named.
const SHORT_ID: usize = 7;
/// What a title is that only named its fix.
const NAMELESS: &str = "An issue whose title named its fix";

/// By what a fix is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// `owner/repo` of the issue, in lower case: there a bare `#12` leads.
    repo: String,
    /// Repository, in lower case, and number of each fix.
    pulls: Vec<(String, u64)>,
    commits: Vec<String>,
}

impl Marks {
    /// Of an issue of the repository `owner/repo`.
    pub fn of(repo: &str) -> Marks {
        Marks { repo: repo.to_lowercase(), ..Marks::default() }
    }

    /// A fix is pull request `number` of `owner/repo`.
    pub fn pull(&mut self, repo: &str, number: u64) {
        self.pulls.push((repo.to_lowercase(), number));
    }

    /// A fix is this commit.
    pub fn commit(&mut self, id: Oid) {
        self.commits.push(id.to_string());
    }

    /// Whether `text` names a fix.
    pub fn named_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.pulls.iter().any(|(repo, number)| self.is_pull_named(&text, repo, *number))
            || text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| word.len() >= SHORT_ID && self.commits.iter().any(|id| id.starts_with(word)))
    }

    fn is_pull_named(&self, text: &str, repo: &str, number: u64) -> bool {
        let here = repo == self.repo;
        let name = repo.rsplit('/').next().unwrap_or(repo);
        let spelled = |sign: &str, fits: &dyn Fn(&str) -> bool| {
            let wanted = format!("{sign}{number}");
            text.match_indices(&wanted).any(|(at, _)| {
                let (before, after) = (text.get(..at).unwrap_or(""), text.get(at + wanted.len()..).unwrap_or(""));
                !after.starts_with(|c: char| c.is_ascii_digit()) && fits(before)
            })
        };
        // The word right before the sign.
        let word = |before: &str| {
            let part = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
            let begin = before.char_indices().rev().take_while(|(_, c)| part(*c)).last();
            before.get(begin.map_or(before.len(), |(at, _)| at)..).unwrap_or("").to_owned()
        };
        spelled("#", &|before| match word(before).as_str() {
            "" | "pr" | "gh" => here,
            other => other == repo || other == name || other.ends_with(&format!("/{repo}")),
        }) || ["/pull/", "/pulls/", "/issues/"].iter().any(|sign| spelled(sign, &|before| word(before).ends_with(repo)))
            || (here && spelled("gh-", &|before| word(before).is_empty()))
    }

    /// `text` without the lines that name a fix.
    fn without(&self, text: &str) -> String {
        text.lines().filter(|line| !self.named_in(line)).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// Takes out of `item` what only its fix's maker and those after it know.
pub(super) fn seal(item: &mut Item, marks: &Marks) {
    if marks.named_in(&item.title) {
        let words: Vec<&str> = item.title.split_whitespace().filter(|word| !marks.named_in(word)).collect();
        let title = words.join(" ");
        item.title = if title.is_empty() || marks.named_in(&title) { NAMELESS.to_owned() } else { title };
    }
    item.body = marks.without(&item.body);
    item.labels.retain(|label| !marks.named_in(label));
    let fix = item.fix.as_ref();
    let ends = [fix.and_then(|fix| fix.opened_ms), fix.and_then(|fix| fix.merged_ms), item.source.closed_ms];
    let end = ends.into_iter().flatten().min().unwrap_or(u64::MAX);
    item.comments.retain(|comment| comment.created_ms < end && !marks.named_in(&comment.text));
    item.comments.sort_by_key(|comment| comment.created_ms);
    item.comments.truncate(MOST_COMMENTS);
}

#[cfg(test)]
mod tests {
    use super::super::{Comment, Fix};
    use super::*;

    const COMMIT: &str = "3f1c2ab0123456789012345678901234567890ab";

    fn marks() -> Marks {
        let mut marks = Marks::of("Owner/Parser");
        marks.pull("owner/parser", 57);
        marks.pull("owner/lexer", 8);
        marks.commit(COMMIT.parse().unwrap());
        marks
    }

    #[test]
    fn each_way_to_name_a_fix_is_seen_and_its_neighbours_are_not() {
        for text in [
            "see #57",
            "(#57)",
            "PR #57.",
            "GH-57",
            "Owner/Parser#57",
            "parser#57",
            "https://github.com/owner/parser/pull/57/files",
            "https://github.com/OWNER/parser/issues/57#issuecomment-1",
            "owner/lexer#8",
            "https://example.org/owner/lexer/pulls/8",
            "since 3f1c2ab",
            COMMIT,
        ] {
            assert!(marks().named_in(text), "{text}");
        }
        for text in [
            "see #570 and #5",
            "#8",
            "other/parser#57x",
            "theirs/lexer#57",
            "https://github.com/other/thing/pull/57",
            "57",
            "3f1c2a",
            "3f1c2ac",
            "agh-57",
            "é#58",
        ] {
            assert!(!marks().named_in(text), "{text}");
        }
    }

    #[test]
    fn nothing_is_left_that_names_the_fix_or_came_with_it() {
        let comment =
            |created_ms, text: &str| Comment { author: "reporter-1".to_owned(), created_ms, text: text.into() };
        let mut item = Item {
            key: "github:owner/parser#12".to_owned(),
            title: "It leaks (fixed in #57)".to_owned(),
            body: "It leaks.\nEdit: mended by 3f1c2ab.\nStill here".to_owned(),
            labels: vec!["bug".to_owned(), "see #57".to_owned()],
            source: super::super::Source { closed_ms: Some(90), ..Default::default() },
            fix: Some(Fix { opened_ms: Some(50), merged_ms: Some(80), ..Fix::default() }),
            comments: vec![
                comment(50, "at once"),
                comment(20, "me too"),
                comment(10, "see GH-57"),
                comment(85, "thanks"),
            ],
            contest: None,
        };
        seal(&mut item, &marks());
        assert_eq!((item.title.as_str(), item.body.as_str()), ("It leaks (fixed in", "It leaks.\nStill here"));
        assert_eq!(item.labels, ["bug"]);
        assert_eq!(item.comments, [comment(20, "me too")]);
        item.title = "#57".to_owned();
        seal(&mut item, &marks());
        assert_eq!(item.title, NAMELESS);
    }

    proptest::proptest! {
        #[test]
        fn what_is_sealed_names_nothing(
            parts in proptest::collection::vec(
                proptest::prop_oneof!["#57", "3f1c2ab", "gh-57", "\\PC{0,6}", "owner/parser/pull/57", "\n", " "], 0..12
            )
        ) {
            let text = parts.concat();
            let mut item = Item {
                key: "a:b".to_owned(), title: text.clone(), body: text.clone(), labels: vec![text.clone()],
                source: Default::default(), fix: None, contest: None,
                comments: vec![Comment { author: String::new(), created_ms: 1, text }],
            };
            seal(&mut item, &marks());
            let left = [vec![item.title, item.body], item.labels, item.comments.into_iter().map(|c| c.text).collect()];
            for text in left.concat() {
                proptest::prop_assert!(!marks().named_in(&text), "{:?}", text);
            }
        }
    }
}
