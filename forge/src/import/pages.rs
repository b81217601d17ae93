//! Pages of GitHub's REST API: asked for one after the other, kept where they may be kept, waited for where that is asked.
//!
//! Invariant: a link leads on only within the origin that was named. A wait is bounded and said.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notes_schema::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::{Client, HttpError, Origin, Reply};
use super::rows::Each;
use super::{Fault, fields, rest};

/// Longest single wait that a server may ask for: its limits are by the hour.
/// Limit: wait of `forge import` where an API asks for one | {}
const LONGEST_WAIT: Duration = Duration::from_secs(3700);
/// Most times that one page is asked for.
/// Limit: times that `forge import` asks for one page | {}
const MOST_TRIES: u32 = 6;
/// Most pages of one list.
/// Limit: pages of one list of an API | {}
const MOST_PAGES: u64 = 20_000;
/// What is waited where a server says that it is too much and not for how long.
const UNSAID: Duration = Duration::from_secs(60);

/// Why pages are not read further.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An answer that cannot be used.
    #[error("{url}: {why}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What came.
        why: String,
    },
    /// An issue is not what it should be.
    #[error("{place}: {fault}")]
    Row {
        /// The page and the issue.
        place: String,
        /// The field, and why.
        fault: Fault,
    },
    /// The pages that are kept cannot be.
    #[error("{}: {source}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A page as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    url: String,
    etag: Option<String>,
    next: Option<String>,
    body: Vec<Value>,
}

/// What was asked of an API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages that came.
    pub fetched: u64,
    /// Pages that were as they are kept.
    pub unchanged: u64,
    /// Waits.
    pub waited: u64,
}

/// The issues of one repository.
pub struct Pages<'a> {
    client: Client,
    /// `/repos/<owner>/<repo>`, with what stands before it.
    path: String,
    /// Where pages are kept, if anywhere.
    kept: Option<PathBuf>,
    say: &'a dyn Fn(&str),
    tally: Tally,
}

impl<'a> Pages<'a> {
    /// Of `<base>/repos/<owner>/<repo>`. Pages are kept in `kept`, if anywhere; `say` is told of waits.
    pub fn new(
        address: &str,
        token: Option<&str>,
        kept: Option<&Path>,
        say: &'a dyn Fn(&str),
    ) -> Result<Pages<'a>, PagesError> {
        let (origin, path) = Origin::of(address)?;
        let path = path.trim_end_matches('/').to_owned();
        let parts: Vec<&str> = path.rsplit('/').take(3).collect();
        let is_repository = matches!(parts[..], [repo, owner, "repos"] if !repo.is_empty() && !owner.is_empty());
        if !is_repository || path.contains('?') {
            let why = "it is no repository of the API: <base>/repos/<owner>/<repo>".to_owned();
            return Err(PagesError::Answer { url: address.to_owned(), why });
        }
        if let Some(dir) = kept {
            std::fs::create_dir_all(dir).map_err(|source| PagesError::Kept { path: dir.to_owned(), source })?;
        }
        let client = Client::new(origin, token)?;
        Ok(Pages { client, path, kept: kept.map(Path::to_owned), say, tally: Tally::default() })
    }

    /// Every issue, oldest first, with what is about it.
    pub async fn each(&mut self, to: &mut Each<'_>) -> Result<Tally, PagesError> {
        let mut next = Some(format!("{}/issues?state=all&sort=created&direction=asc&per_page=100", self.path));
        let mut pages = 0;
        while let Some(path) = next {
            self.count(&mut pages, &path)?;
            let page = self.page(&path).await?;
            for issue in page.body {
                let n = issue.get("number").and_then(Value::as_u64);
                let place =
                    format!("{} issue {}", page.url, n.map_or("without a number".to_owned(), |n| n.to_string()));
                let row = self.row(issue, n).await?;
                to(&place, row).map_err(|fault| PagesError::Row { place, fault })?;
            }
            next = page.next;
        }
        Ok(self.tally)
    }

    /// An issue with its comments, and where it is closed with all that happened to it, the comments among it.
    async fn row(&mut self, issue: Value, n: Option<u64>) -> Result<Value, PagesError> {
        let has_comments = fields::given(&issue, "comments").and_then(Value::as_u64).unwrap_or(0) > 0;
        let is_closed = fields::given(&issue, "closed_at").is_some();
        let about = match n {
            Some(_) if rest::is_pull(&issue) => None,
            Some(n) if is_closed => Some(("timeline", n)),
            Some(n) if has_comments => Some(("comments", n)),
            _ => None,
        };
        let Some((what, n)) = about else { return Ok(json!({ "issue": issue })) };
        let mut all = Vec::new();
        let mut next = Some(format!("{}/issues/{n}/{what}?per_page=100", self.path));
        let mut pages = 0;
        while let Some(path) = next {
            self.count(&mut pages, &path)?;
            let page = self.page(&path).await?;
            all.extend(page.body);
            next = page.next;
        }
        Ok(json!({ "issue": issue, what: all }))
    }

    fn count(&self, pages: &mut u64, path: &str) -> Result<(), PagesError> {
        *pages += 1;
        match *pages > MOST_PAGES {
            true => Err(self.answer(path, format!("more than {MOST_PAGES} pages"))),
            false => Ok(()),
        }
    }

    fn answer(&self, path: &str, why: impl Into<String>) -> PagesError {
        PagesError::Answer { url: format!("{}{path}", self.client.origin()), why: why.into() }
    }

    async fn page(&mut self, path: &str) -> Result<Page, PagesError> {
        let url = format!("{}{path}", self.client.origin());
        let kept = self.kept_page(&url);
        let etag = kept.as_ref().and_then(|page| page.etag.clone());
        let mut headers = vec![("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];
        headers.extend(etag.as_deref().map(|etag| ("if-none-match", etag)));
        for left in (0..MOST_TRIES).rev() {
            let asked = self.client.ask("GET", path, &headers, b"").await;
            let reply = match asked {
                Ok(reply) => reply,
                Err(HttpError::Lost { .. }) if left > 0 => {
                    self.wait(Duration::from_secs(1), "the connection was lost").await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match reply.status {
                200 => return self.taken(path, url, &reply),
                304 => {
                    self.tally.unchanged += 1;
                    return kept.ok_or_else(|| self.answer(path, "304, and no page is kept"));
                }
                _ => {}
            }
            let pause = pause(&reply, SystemTime::now()).filter(|_| left > 0);
            let Some(pause) = pause else { return Err(self.answer(path, refusal(&reply))) };
            self.wait(pause, &format!("{} {}", self.client.origin(), reply.status)).await?;
        }
        Err(self.answer(path, format!("not answered {MOST_TRIES} times")))
    }

    async fn wait(&mut self, pause: Duration, why: &str) -> Result<(), PagesError> {
        self.tally.waited += 1;
        let seconds = pause.as_secs();
        if pause > LONGEST_WAIT {
            let why =
                format!("{why}: it asks to wait {seconds} s, and at most {} s are waited", LONGEST_WAIT.as_secs());
            return Err(self.answer("", why));
        }
        (self.say)(&format!("{why}: waiting {seconds} s"));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn taken(&mut self, path: &str, url: String, reply: &Reply) -> Result<Page, PagesError> {
        let body = serde_json::from_slice(&reply.body).map_err(|e| self.answer(path, format!("no JSON list: {e}")))?;
        let next = reply.header("link").and_then(next_of).map(|next| self.within(path, next)).transpose()?;
        let page = Page { etag: reply.header("etag").map(str::to_owned), next, body, url };
        self.tally.fetched += 1;
        self.keep(&page)?;
        Ok(page)
    }

    /// The path of a link, which must be of this origin.
    fn within(&self, path: &str, link: &str) -> Result<String, PagesError> {
        let absolute = if link.starts_with('/') && !link.starts_with("//") {
            format!("{}{link}", self.client.origin())
        } else {
            link.to_owned()
        };
        match Origin::of(&absolute) {
            Ok((origin, next)) if origin == *self.client.origin() => Ok(next),
            _ => {
                let link: String = link.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(self.answer(path, format!("its next page is elsewhere: {link}")))
            }
        }
    }

    fn file(&self, url: &str) -> Option<PathBuf> {
        Some(self.kept.as_ref()?.join(format!("{}.json", Sha256::of(url.as_bytes()))))
    }

    /// A page that is kept; one that cannot be read is as if it were not.
    fn kept_page(&self, url: &str) -> Option<Page> {
        let page: Page = serde_json::from_slice(&std::fs::read(self.file(url)?).ok()?).ok()?;
        (page.url == url).then_some(page)
    }

    fn keep(&self, page: &Page) -> Result<(), PagesError> {
        let Some(file) = self.file(&page.url).filter(|_| page.etag.is_some()) else { return Ok(()) };
        let part = file.with_extension("part");
        let bytes = serde_json::to_vec(page).unwrap_or_default();
        let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &file));
        written.map_err(|source| PagesError::Kept { path: file, source })
    }
}

/// How long to wait before asking again; `None` where that would not help.
fn pause(reply: &Reply, now: SystemTime) -> Option<Duration> {
    let seconds = |name: &str| reply.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    if reply.status >= 500 {
        return Some(Duration::from_secs(seconds("retry-after").unwrap_or(1)));
    }
    if !matches!(reply.status, 403 | 429) {
        return None;
    }
    if reply.header("retry-after").is_some() {
        // Some write a date.
        return Some(seconds("retry-after").map_or(UNSAID, Duration::from_secs));
    }
    let is_spent = reply.header("x-ratelimit-remaining").is_none_or(|left| left.trim() == "0");
    if let Some(reset) = seconds("x-ratelimit-reset").filter(|_| is_spent) {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // A second more: clocks differ.
        return Some(Duration::from_secs(reset.saturating_sub(now).saturating_add(1)));
    }
    (reply.status == 429).then_some(UNSAID)
}

/// An answer that is a no, in the API's words.
fn refusal(reply: &Reply) -> String {
    let said: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let said = said.as_ref().and_then(|value| value.get("message")).and_then(Value::as_str).unwrap_or("");
    let hint = match reply.status {
        301 | 302 | 307 | 308 => "it has moved; give its new address",
        401 => "FORGE_SOURCE_TOKEN is no good there",
        404 => "there is no such repository, or FORGE_SOURCE_TOKEN must show that you may read it",
        _ => "",
    };
    let words = [said, hint].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("; ");
    format!("{} {}", reply.status, fields::line(&words, 300)).trim_end().to_owned()
}

/// The address behind `rel="next"` in a `Link` header.
fn next_of(link: &str) -> Option<&str> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let (parameters, _) = after.split_once('<').unwrap_or((after, ""));
        let is_next = parameters.split([';', ',']).map(str::trim).any(|p| p == "rel=\"next\"" || p == "rel=next");
        if is_next {
            return Some(address);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)]) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Reply { status, headers: map, body: br#"{"message":"No\nmore"}"#.to_vec() }
    }

    #[test]
    fn waits_are_what_the_server_says() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let of = |status, headers: &[(&'static str, &str)]| pause(&reply(status, headers), now).map(|p| p.as_secs());
        assert_eq!(of(429, &[("retry-after", "7")]), Some(7));
        assert_eq!(of(403, &[("retry-after", "Fri, 20 Nov 2026 15:05:45 GMT")]), Some(60));
        assert_eq!(of(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")]), Some(31));
        assert_eq!(of(403, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1030")]), None);
        assert_eq!(of(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")]), Some(1));
        assert_eq!(of(429, &[]), Some(60));
        assert_eq!(of(403, &[]), None);
        assert_eq!(of(404, &[("retry-after", "7")]), None);
        assert_eq!(of(502, &[]), Some(1));
        assert_eq!(refusal(&reply(418, &[])), "418 No more");
    }

    #[test]
    fn the_next_page_is_the_one_that_is_called_so() {
        let link =
            r#"<https://a/?page=1>; rel="prev", <https://a/?page=3>; rel="next", <https://a/?page=9>; rel="last""#;
        assert_eq!(next_of(link), Some("https://a/?page=3"));
        assert_eq!(next_of(r#"<https://a/?page=9>; rel="last""#), None);
        assert_eq!(next_of("<"), None);
        assert_eq!(next_of(r#"<https://a/>; rel="nextish""#), None);
    }

    #[test]
    fn links_lead_nowhere_else() {
        let say = |_: &str| {};
        let pages = Pages::new("http://127.0.0.1:1/api/repos/o/r/", None, None, &say).unwrap();
        assert_eq!(pages.within("/", "http://127.0.0.1:1/x?page=2").unwrap(), "/x?page=2");
        assert_eq!(pages.within("/", "/x?page=2").unwrap(), "/x?page=2");
        for elsewhere in ["https://127.0.0.1:1/x", "http://127.0.0.1:2/x", "http://h/x", "//h/x", "x"] {
            assert!(pages.within("/", elsewhere).is_err(), "{elsewhere}");
        }
        for bad in
            ["http://h/o/r", "http://h/repos/o", "http://h/repos/o/r/issues", "http://h/repos/o/r?x", "repos/o/r"]
        {
            assert!(Pages::new(bad, None, None, &say).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_link_panics(link in "[<>;,a-z=\" ]{0,60}") {
            let _ = next_of(&link);
        }
    }
}
