//! GitHub's words, which are Gitea's and Forgejo's too.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::routes::{Asks, Door};
use super::{
    Failed, Posting, Same, answer, ask, collect, is_first, lines, not_understood, or_null, project, shown, str_of, time,
};
use crate::answer::Refusal;

/// Owner, project and commit of a path.
type Place = Path<(String, String, String)>;

/// What is sent. Whatever else these clients send is theirs.
#[derive(Deserialize)]
#[serde(expecting = "an object with state and context")]
struct Sent {
    state: Option<String>,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

/// Gitea's fifth word: it did not pass cleanly.
pub(super) const SAME: &Same = &[("warning", "failure")];

pub(super) fn understand(bytes: &[u8]) -> Result<Posting, Refusal> {
    let Sent { state, context, description, target_url } = serde_json::from_slice(bytes).map_err(not_understood)?;
    Ok(Posting { state, name: context, description, url: target_url })
}

/// `POST …/statuses/<commit>`.
pub(super) async fn post(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((_, repo, commit)): Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let bytes = collect(&door, body).await?;
    let (line, body) = understand(&bytes)?.command(&repo, &commit, SAME)?;
    let said = ask(&door, asks, &headers, line, &body).await?;
    Ok(answer(StatusCode::CREATED, &word(&said, &url_of(&door, &uri, &said))))
}

/// `GET …/commits/<commit>/statuses`.
pub(super) async fn list(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((_, repo, commit)): Place,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let said = shown(&door, asks, &headers, &repo, &commit).await?;
    let url = url_of(&door, &uri, &said);
    let lines = lines(&said, true).into_iter().filter(|_| is_first(&uri));
    Ok(answer(StatusCode::OK, &lines.map(|line| word(line, &url)).collect()))
}

/// `GET …/commits/<commit>/status`: all of them together.
pub(super) async fn combined(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((_, repo, commit)): Place,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let said = shown(&door, asks, &headers, &repo, &commit).await?;
    let (url, counting) = (url_of(&door, &uri, &said), lines(&said, false));
    let statuses: Value = counting.iter().filter(|_| is_first(&uri)).map(|line| word(line, &url)).collect();
    let body = json!({
        "state": said["state"],
        "sha": said["commit"],
        "total_count": counting.len(),
        "statuses": statuses,
        "repository": named(&said, &url),
        "commit_url": format!("{url}/commits/{}", str_of(&said, "commit")),
        "url": format!("{url}/commits/{}/status", str_of(&said, "commit")),
    });
    Ok(answer(StatusCode::OK, &body))
}

/// `GET …/commits/<commit>`: as much as a client needs that looks a commit up before it posts.
pub(super) async fn commit(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((_, repo, commit)): Place,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let said = shown(&door, asks, &headers, &repo, &commit).await?;
    let url = format!("{}/commits/{}", url_of(&door, &uri, &said), str_of(&said, "commit"));
    let body = json!({ "sha": said["commit"], "url": url, "commit": { "tree": { "sha": said["tree"] } } });
    Ok(answer(StatusCode::OK, &body))
}

/// `GET /repos/<owner>/<project>`: the same of a project.
pub(super) async fn repository(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((_, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let said = ask(&door, asks, &headers, format!("project show {}", project(&repo)?), "").await?;
    let mut body = named(&said, &url_of(&door, &uri, &said));
    body["description"] = said["description"].clone();
    body["default_branch"] = said["default_branch"].clone();
    body["html_url"] = said["http_url"].clone();
    body["clone_url"] = said["http_url"].clone();
    body["ssh_url"] = said["ssh_url"].clone();
    body["private"] = false.into();
    Ok(answer(StatusCode::OK, &body))
}

/// `GET /api/v1/version`: Gitea's clients ask first whose routes these are.
pub(super) async fn version() -> Response {
    answer(StatusCode::OK, &json!({ "version": "1.22.0+forge" }))
}

/// `http://…/api/v1/repos/forge/parser`: where the caller's kind of client finds the project.
fn url_of(door: &Door, uri: &Uri, said: &Value) -> String {
    let prefix = uri.path().split_once("/repos/").map_or("", |(prefix, _)| prefix);
    format!("{}{prefix}/repos/forge/{}", door.config.public_http, str_of(said, "project"))
}

fn named(said: &Value, url: &str) -> Value {
    json!({
        "name": said["project"],
        "full_name": format!("forge/{}", str_of(said, "project")),
        "owner": { "login": "forge", "username": "forge" },
        "url": url,
    })
}

/// A word as GitHub's clients read it, and as Gitea's do, who call the state `status`.
fn word(line: &Value, repository: &str) -> Value {
    let at = time(line);
    json!({
        "id": line["seq"],
        "state": line["state"],
        "status": line["state"],
        "context": line["name"],
        "description": or_null(&line["description"]),
        "target_url": or_null(&line["url"]),
        "url": format!("{repository}/statuses/{}", str_of(line, "commit")),
        "creator": { "login": line["by"], "username": line["by"] },
        "created_at": at,
        "updated_at": at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_null() {
        let line = json!({ "description": "", "url": "https://x", "seq": 7, "commit": "ab", "state": "error" });
        let word = word(&line, "u");
        assert_eq!((&word["description"], &word["target_url"]), (&Value::Null, &"https://x".into()));
        assert_eq!(
            (&word["url"], &word["state"], &word["status"]),
            (&"u/statuses/ab".into(), &"error".into(), &"error".into())
        );
    }
}
