//! `github-rest`: an issue as GitHub's REST API has it, with the pages about it that [`super::Pages`] asked for:
//! `{issue, comments?, timeline?}`.
//!
//! The API does not say which pull request closed an issue. It is taken to be the last merged one that refers to it and
//! says in its text that it closes it, or that was merged within [`AT_ONCE`] of the closing; and the commit that the
//! closing names.

use serde_json::Value;

use super::fields::{self, given, list, maybe_commit, maybe_text, maybe_time, maybe_url, number, time};
use super::github::{Names, Place, item, place};
use super::leak::Marks;
use super::{Comment, Fault, Fix, Read};

/// How far a merge and the closing that it causes lie apart at most, in milliseconds.
const AT_ONCE: u64 = 120_000;
/// Words that close an issue from a pull request's text.
const CLOSING: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];

const NAMES: Names = Names { url: "html_url", author: "user", created: "created_at", closed: "closed_at" };

/// Whether a row of a page of issues is a pull request: they have numbers in common, and pages too.
pub(super) fn is_pull(issue: &Value) -> bool {
    given(issue, "pull_request").is_some()
}

/// One issue.
pub(super) fn read(row: &Value) -> Result<Option<Read>, Fault> {
    let issue = given(row, "issue").filter(|issue| issue.is_object());
    let issue = issue.ok_or_else(|| Fault::new("row", "it is no object"))?;
    if is_pull(issue) {
        return Ok(None);
    }
    let (url, place) = place(issue, NAMES.url)?;
    let mut marks = Marks::of(&place.repo);
    let fix = fix(row, &place, maybe_time(issue, NAMES.closed)?, &mut marks)?;
    item(issue, &NAMES, (url, &place), fix, comments(row)?, &marks).map(Some)
}

/// Those of the pages of comments, or of the timeline, which has them too.
fn comments(row: &Value) -> Result<Vec<Comment>, Fault> {
    let one = |list: &str, at: usize, comment: &Value| {
        let read = || {
            Ok(Comment {
                author: fields::author(comment, "user")?,
                created_ms: time(comment, "created_at")?,
                text: fields::clean(maybe_text(comment, "body")?.unwrap_or("")),
            })
        };
        read().map_err(|fault: Fault| fault.inside(&format!("{list}[{at}]")))
    };
    let said = list(row, "comments")?.iter().enumerate().map(|(at, comment)| one("comments", at, comment));
    let timeline = list(row, "timeline")?.iter().enumerate();
    let told = timeline.filter(|(_, event)| is(event, "commented")).map(|(at, event)| one("timeline", at, event));
    said.chain(told).collect()
}

fn is(event: &Value, kind: &str) -> bool {
    given(event, "event").and_then(Value::as_str) == Some(kind)
}

fn fix(row: &Value, issue: &Place, closed_ms: Option<u64>, marks: &mut Marks) -> Result<Option<Fix>, Fault> {
    let mut best: Option<(bool, Fix)> = None;
    let mut commit = None;
    for (at, event) in list(row, "timeline")?.iter().enumerate() {
        let inside = |fault: Fault| fault.inside(&format!("timeline[{at}]"));
        if is(event, "closed") {
            commit = maybe_commit(event, "commit_id").map_err(inside)?;
        }
        let Some(source) = event.pointer("/source/issue").filter(|_| is(event, "cross-referenced")) else { continue };
        let Some(found) = merged(source, issue, marks).map_err(|fault| inside(fault.inside("source.issue")))? else {
            continue;
        };
        let near = |(merged, closed): (u64, u64)| merged.abs_diff(closed) <= AT_ONCE;
        let at_once = found.1.merged_ms.zip(closed_ms).is_some_and(near);
        // A text that says so outweighs a time that fits.
        if (found.0 || at_once) && best.as_ref().is_none_or(|best| found.0 || !best.0) {
            best = Some(found);
        }
    }
    commit.into_iter().for_each(|id| marks.commit(id));
    let Some(_) = closed_ms else { return Ok(None) };
    Ok(match (best, commit) {
        (Some((_, fix)), commit) => Some(Fix { commit, ..fix }),
        (None, Some(id)) => Some(Fix { commit: Some(id), ..Fix::default() }),
        (None, None) => None,
    })
}

/// A pull request that refers to `issue`: whether its text says that it closes it, and what it is as a fix, if merged.
/// Merged or not, it is marked: it is an attempt at the same thing.
fn merged(pull: &Value, issue: &Place, marks: &mut Marks) -> Result<Option<(bool, Fix)>, Fault> {
    let Some(as_pull) = given(pull, "pull_request") else { return Ok(None) };
    let url = maybe_url(pull, "html_url")?.ok_or_else(|| Fault::new("html_url", "it is missing"))?;
    let Some(place) = Place::of(&url) else { return Ok(None) };
    marks.pull(&place.repo, number(pull, "number")?);
    let closes = closes(maybe_text(pull, "body")?.unwrap_or(""), issue);
    let Some(merged_ms) = maybe_time(as_pull, "merged_at").map_err(|fault| fault.inside("pull_request"))? else {
        return Ok(None);
    };
    let fix = Fix {
        url: Some(url),
        author: Some(fields::author(pull, "user")?),
        commit: None,
        opened_ms: maybe_time(pull, "created_at")?,
        merged_ms: Some(merged_ms),
    };
    Ok(Some((closes, fix)))
}

/// Whether a text has `Fixes #12` of this issue.
fn closes(text: &str, issue: &Place) -> bool {
    let text = text.to_lowercase();
    let repo = issue.repo.to_lowercase();
    let names = [format!("#{}", issue.number), format!("gh-{}", issue.number), format!("{repo}#{}", issue.number)];
    let words: Vec<&str> = text.split_whitespace().map(|w| w.trim_end_matches([',', '.', ':', ';', ')'])).collect();
    words.windows(2).any(|pair| {
        let is_name =
            names.iter().any(|name| name == pair[1]) || pair[1].ends_with(&format!("{repo}/issues/{}", issue.number));
        CLOSING.contains(&pair[0].trim_start_matches('(')) && is_name
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Item;
    use super::*;

    fn pull(number: u64, body: &str, merged_at: Option<&str>) -> Value {
        json!({ "event": "cross-referenced", "source": { "type": "issue", "issue": {
            "number": number, "html_url": format!("https://github.com/owner/parser/pull/{number}"), "body": body,
            "user": { "login": "dev-1" }, "created_at": "2026-08-05T10:00:00Z", "pull_request": { "merged_at": merged_at }
        } } })
    }

    fn row(timeline: Vec<Value>) -> Value {
        let mut all = vec![
            json!({ "event": "commented", "user": null, "body": "Me too", "created_at": "2026-08-02T10:00:00Z" }),
            json!({ "event": "labeled" }),
        ];
        all.extend(timeline);
        json!({
            "issue": {
                "number": 12, "title": "It leaks", "body": null, "user": { "login": "reporter-1" }, "state": "closed",
                "html_url": "https://github.com/owner/parser/issues/12", "labels": ["bug", { "name": "rust" }],
                "created_at": "2026-08-01T10:00:00Z", "closed_at": "2026-08-09T10:00:00Z"
            },
            "timeline": all
        })
    }

    fn item(timeline: Vec<Value>) -> Item {
        read(&row(timeline)).unwrap().unwrap().item
    }

    #[test]
    fn the_pull_request_that_closed_it_is_found_by_its_words_or_by_its_moment() {
        let url = |item: Item| item.fix.and_then(|fix| fix.url);
        let of = |n: u64| Some(format!("https://github.com/owner/parser/pull/{n}"));
        let said = pull(57, "This fixes #12, at last", Some("2026-08-08T10:00:00Z"));
        let then = pull(58, "Refs #12", Some("2026-08-09T09:59:30Z"));
        assert_eq!(url(item(vec![said.clone(), then.clone()])), of(57));
        assert_eq!(url(item(vec![then.clone(), said])), of(57));
        assert_eq!(url(item(vec![then, pull(59, "fixes #120", Some("2026-08-08T10:00:00Z"))])), of(58));
        assert_eq!(url(item(vec![pull(60, "fixes #12", None)])), None);
    }

    #[test]
    fn comments_end_where_the_fix_begins_and_no_attempt_is_named() {
        let late = json!({ "event": "commented", "user": { "login": "dev-1" }, "body": "Look", "created_at": "2026-08-06T10:00:00Z" });
        let names = json!({ "event": "commented", "user": { "login": "dev-1" }, "body": "like #60", "created_at": "2026-08-03T10:00:00Z" });
        let closed = json!({ "event": "closed", "commit_id": "3f1c2ab0123456789012345678901234567890ab" });
        let fix = pull(57, "fixes #12", Some("2026-08-08T10:00:00Z"));
        let item = item(vec![late, names, pull(60, "", None), fix, closed]);
        let said: Vec<&str> = item.comments.iter().map(|c| c.text.as_str()).collect();
        assert_eq!((said, item.comments[0].author.as_str()), (vec!["Me too"], "ghost"));
        let fix = item.fix.unwrap();
        assert_eq!(
            (fix.author.as_deref(), fix.commit.map(|id| id.short()).as_deref()),
            (Some("dev-1"), Some("3f1c2ab"))
        );
        assert_eq!(fix.opened_ms, Some(1_785_924_000_000));
    }

    #[test]
    fn pull_requests_are_no_issues_and_what_is_malformed_is_named() {
        let mut as_pull = row(vec![]);
        as_pull["issue"]["pull_request"] = json!({});
        assert_eq!(read(&as_pull).unwrap(), None);
        let broken = row(vec![json!({ "event": "commented", "user": null })]);
        assert_eq!(read(&broken).unwrap_err().to_string(), "timeline[2].created_at: it is missing");
        let broken = row(vec![pull(7, "", Some("never"))]);
        assert!(
            read(&broken).unwrap_err().to_string().starts_with("timeline[2].source.issue.pull_request.merged_at: ")
        );
        assert!(read(&json!({ "issue": 7 })).is_err());
    }
}
