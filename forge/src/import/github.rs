//! `github`: what `gh issue list --state all --json number,title,body,author,labels,createdAt,closedAt,state,url,comments`
//! prints, with `closedByPullRequestsReferences` where it was asked for.

use serde_json::Value;

use super::fields::{self, given, list, maybe_commit, maybe_time, maybe_url, number, text, time};
use super::leak::{self, Marks};
use super::{Comment, Fault, Fix, Item, Read, Source};

/// The host whose name is left out of keys.
const HOST: &str = "github.com";

/// An issue's or pull request's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    /// `owner/repo`.
    pub repo: String,
    /// Its number there.
    pub number: u64,
    /// Whether the page is a pull request's.
    pub is_pull: bool,
}

impl Place {
    /// `https://<host>/<owner>/<repo>/issues/<number>`.
    pub fn of(url: &str) -> Option<Place> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [host, owner, repo, kind, number] = parts[..] else { return None };
        let is_pull = match kind {
            "issues" => false,
            "pull" | "pulls" => true,
            _ => return None,
        };
        let number = notes_schema::names::parse_number(number)?;
        let named = [host, owner, repo].iter().all(|part| !part.is_empty() && !part.contains(['#', '?', '@']));
        named.then(|| Place { host: host.to_lowercase(), repo: format!("{owner}/{repo}"), number, is_pull })
    }

    /// `github:owner/repo#12`, with the host in front where it is another.
    pub fn key(&self) -> String {
        let host = if self.host == HOST { String::new() } else { format!("{}/", self.host) };
        // Names of repositories are found whatever their case is.
        format!("github:{host}{}#{}", self.repo.to_lowercase(), self.number)
    }
}

/// The page in `field`, which must be that of issue or pull request `number`.
pub(super) fn place(row: &Value, field: &str) -> Result<(String, Place), Fault> {
    let url = maybe_url(row, field)?.ok_or_else(|| Fault::new(field, "it is missing"))?;
    let place = Place::of(&url);
    let place =
        place.ok_or_else(|| Fault::new(field, "it is no page of an issue: …/<owner>/<repo>/issues/<number>"))?;
    match place.number == number(row, "number")? {
        true => Ok((url, place)),
        false => Err(Fault::new(field, "it is the page of another number")),
    }
}

/// What the fields of an issue are called where it comes from.
pub(super) struct Names {
    pub url: &'static str,
    pub author: &'static str,
    pub created: &'static str,
    pub closed: &'static str,
}

const NAMES: Names = Names { url: "url", author: "author", created: "createdAt", closed: "closedAt" };

/// One issue.
pub(super) fn read(row: &Value) -> Result<Option<Read>, Fault> {
    if !row.is_object() {
        return Err(Fault::new("row", "it is no object"));
    }
    let (url, place) = place(row, NAMES.url)?;
    if place.is_pull {
        return Ok(None);
    }
    let mut marks = Marks::of(&place.repo);
    let closed_ms = maybe_time(row, NAMES.closed)?;
    let fix = fix(row, &mut marks)?.filter(|_| closed_ms.is_some());
    item(row, &NAMES, (url, &place), fix, comments(row)?, &marks).map(Some)
}

/// An issue of any of GitHub's exports, without what names its fix.
pub(super) fn item(
    issue: &Value,
    names: &Names,
    (url, place): (String, &Place),
    fix: Option<Fix>,
    comments: Vec<Comment>,
    marks: &Marks,
) -> Result<Read, Fault> {
    let (title, body) = fields::titled(text(issue, "title")?, fields::maybe_text(issue, "body")?.unwrap_or(""))?;
    let source = Source {
        url: Some(url),
        author: Some(fields::author(issue, names.author)?),
        created_ms: Some(time(issue, names.created)?),
        closed_ms: maybe_time(issue, names.closed)?,
    };
    let labels = fields::labels(issue, "labels")?;
    let mut item = Item { key: place.key(), title, body, labels, source, fix, comments, contest: None };
    leak::seal(&mut item, marks);
    item.check()?;
    Ok(item.into())
}

fn comments(row: &Value) -> Result<Vec<Comment>, Fault> {
    let hidden = |comment: &&Value| given(comment, "isMinimized").and_then(Value::as_bool) == Some(true);
    let one = |(at, comment): (usize, &Value)| -> Result<Comment, Fault> {
        let read = || {
            Ok(Comment {
                author: fields::author(comment, "author")?,
                created_ms: time(comment, "createdAt")?,
                text: fields::clean(text(comment, "body")?),
            })
        };
        read().map_err(|fault: Fault| fault.inside(&format!("comments[{at}]")))
    };
    list(row, "comments")?.iter().enumerate().filter(|(_, comment)| !hidden(comment)).map(one).collect()
}

/// The last of the pull requests that closed it; all of them are marked.
fn fix(row: &Value, marks: &mut Marks) -> Result<Option<Fix>, Fault> {
    const FIELD: &str = "closedByPullRequestsReferences";
    let mut last = None;
    for (at, pull) in list(row, FIELD)?.iter().enumerate() {
        let mut read = || -> Result<Fix, Fault> {
            let (url, place) = place(pull, "url")?;
            marks.pull(&place.repo, place.number);
            let commit = given(pull, "mergeCommit").map_or(Ok(None), |merge| maybe_commit(merge, "oid"))?;
            commit.into_iter().for_each(|id| marks.commit(id));
            Ok(Fix {
                url: Some(url),
                author: given(pull, "author").map(|_| fields::author(pull, "author")).transpose()?,
                commit,
                opened_ms: maybe_time(pull, "createdAt")?,
                merged_ms: maybe_time(pull, "mergedAt")?,
            })
        };
        last = Some(read().map_err(|fault| fault.inside(&format!("{FIELD}[{at}]")))?);
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Value {
        json!({
            "number": 12, "title": "It leaks", "body": "See below.\r\n\r\nIt leaks.", "state": "CLOSED",
            "url": "https://github.com/Owner/parser/issues/12",
            "author": { "login": "reporter-1" }, "labels": [{ "name": "bug" }, { "name": "bug" }],
            "createdAt": "2026-08-01T10:00:00Z", "closedAt": "2026-08-09T10:00:00Z",
            "comments": [
                { "author": null, "body": "Me too", "createdAt": "2026-08-02T10:00:00Z" },
                { "author": { "login": "dev-1" }, "body": "I have #57 for it", "createdAt": "2026-08-03T10:00:00Z" },
                { "author": { "login": "dev-1" }, "body": "spam", "createdAt": "2026-08-02T11:00:00Z", "isMinimized": true },
                { "author": { "login": "dev-1" }, "body": "Done", "createdAt": "2026-08-10T10:00:00Z" }
            ],
            "closedByPullRequestsReferences": [{ "number": 57, "url": "https://github.com/owner/parser/pull/57" }]
        })
    }

    fn item(row: &Value) -> Item {
        read(row).unwrap().unwrap().item
    }

    #[test]
    fn an_issue_becomes_an_item_without_what_came_with_its_fix() {
        let item = item(&row());
        assert_eq!(item.key, "github:owner/parser#12");
        assert_eq!(item.body, "See below.\n\nIt leaks.");
        assert_eq!(item.labels, ["bug"]);
        assert_eq!(item.source.author.as_deref(), Some("reporter-1"));
        assert_eq!((item.source.created_ms, item.source.closed_ms), (Some(1_785_578_400_000), Some(1_786_269_600_000)));
        assert_eq!(item.fix.unwrap().url.as_deref(), Some("https://github.com/owner/parser/pull/57"));
        let said: Vec<(&str, &str)> = item.comments.iter().map(|c| (c.author.as_str(), c.text.as_str())).collect();
        assert_eq!(said, [("ghost", "Me too")]);
    }

    #[test]
    fn open_issues_pull_requests_and_other_hosts() {
        let mut open = row();
        open["closedAt"] = Value::Null;
        open["url"] = "https://code.example/owner/parser/issues/12".into();
        open["author"] = Value::Null;
        let open = item(&open);
        assert_eq!((open.key.as_str(), open.fix), ("github:code.example/owner/parser#12", None));
        assert_eq!(open.source.author.as_deref(), Some("ghost"));
        assert_eq!(open.comments.len(), 2, "the one that names a pull request is left out, though that one is open");
        let mut pull = row();
        pull["url"] = "https://github.com/owner/parser/pull/12".into();
        assert_eq!(read(&pull).unwrap(), None);
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (pointer, value, said) in [
            ("/title", Value::Null, "title: it is missing"),
            ("/title", 7.into(), "title: it is no text"),
            ("/number", "12".into(), "number: it is no number above 0"),
            ("/number", 13.into(), "url: it is the page of another number"),
            ("/url", "https://github.com/owner/parser".into(), "url: it is no page of an issue"),
            ("/createdAt", "soon".into(), "createdAt: no time"),
            ("/labels", json!([{}]), "labels[0]: it has no name"),
            ("/comments/3/createdAt", Value::Null, "comments[3].createdAt: it is missing"),
            ("/comments/0/author", "x".into(), "comments[0].author: it is no account"),
            (
                "/closedByPullRequestsReferences/0/url",
                Value::Null,
                "closedByPullRequestsReferences[0].url: it is missing",
            ),
        ] {
            let mut row = row();
            *row.pointer_mut(pointer).unwrap() = value;
            let fault = read(&row).unwrap_err().to_string();
            assert!(fault.starts_with(said), "{fault} / {said}");
        }
        assert!(read(&json!([])).is_err());
    }
}
