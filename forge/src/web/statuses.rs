//! Commit statuses as runners post and read them: the routes of GitHub, Gitea, Forgejo and GitLab, as far as a runner needs
//! them. Any owner is taken, since a forge's projects have none.
//!
//! Invariant: translates to `check post` and `check show`, nothing else. What becomes part of a command line is a name or
//! an id; all other words travel as JSON on its stdin.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use notes_schema::{Oid, ProjectName, RefName, refs};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::Format;
use super::{Door, Shared, action, credentials, text};
use crate::answer::{Code, Refusal};

/// Longest body of a status, in bytes.
const LONGEST_BODY: usize = 64 << 10;

/// Where GitHub's clients look: by itself, on an own server, and at a Gitea or Forgejo.
const PREFIXES: [&str; 3] = ["", "/api/v3", "/api/v1"];

/// The routes.
pub(super) fn routes() -> Router<Arc<Door>> {
    let mut router = Router::new()
        .route("/api/v4/projects/{id}/statuses/{commit}", post(post_gitlab))
        .route("/api/v4/projects/{id}/repository/commits/{commit}/statuses", get(list_gitlab));
    for prefix in PREFIXES {
        let repository = format!("{prefix}/repos/{{owner}}/{{repo}}");
        router = router
            .route(&format!("{repository}/statuses/{{commit}}"), get(list).post(post_github))
            .route(&format!("{repository}/commits/{{commit}}/statuses"), get(list))
            .route(&format!("{repository}/commits/{{commit}}/status"), get(combined));
    }
    router
}

/// Owner, project and commit of a path.
type Place = Path<(String, String, String)>;

fn refused(what: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::Refused, what, why, "help ci")
}

/// A refusal as all these clients read it, ours beside it.
fn fail(refusal: &Refusal, status: StatusCode) -> Response {
    let mut body = refusal.json();
    body["message"] = format!("{}: {}; next: {}", refusal.what, refusal.why, refusal.next).into();
    answer(status, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    text(status, "application/json", format!("{body}\n"))
}

fn status_of(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Runs a command and hands on its JSON, or its refusal as a response.
async fn ask(door: &Arc<Door>, headers: &HeaderMap, line: String, body: &Value) -> Result<Value, Box<Response>> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = match action::run(door, headers, line, body.as_bytes(), true).await {
        Ok(reply) => reply,
        Err(refusal) => return Err(Box::new(fail(&refusal, StatusCode::UNAUTHORIZED))),
    };
    let mut said: Value = serde_json::from_str(&reply.stdout).unwrap_or_default();
    if reply.exit == 0 {
        return Ok(said);
    }
    let part = |key: &str| said["error"][key].as_str().unwrap_or_default().to_owned();
    said["message"] = format!("{}: {}; next: {}", part("what"), part("why"), part("next")).into();
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Err(Box::new(answer(status, &said)))
}

/// The project at the end of `owner/project`, where the owner may be left out.
fn project(text: &str) -> Result<ProjectName, Refusal> {
    let name = text.rsplit('/').next().unwrap_or(text);
    let name = name.strip_suffix(".git").unwrap_or(name);
    name.parse()
        .map_err(|e: notes_schema::NameError| Refusal::new(Code::NotFound, "project", e.to_string(), "project list"))
}

/// What was sent, in our words.
struct Posting {
    name: Option<String>,
    state: Option<String>,
    description: Option<String>,
    url: Option<String>,
}

/// The state that a runner's word stands for: ours first, then those that mean the same.
fn state(word: Option<&str>, same: &[(&str, &'static str)]) -> Result<&'static str, Refusal> {
    const OURS: [&str; 4] = ["pending", "success", "failure", "error"];
    let known = OURS.iter().map(|ours| (*ours, *ours)).chain(same.iter().copied());
    let found = word.and_then(|word| known.clone().find(|(known, _)| *known == word));
    found.map(|(_, ours)| ours).ok_or_else(|| {
        let words: Vec<&str> = known.map(|(word, _)| word).collect();
        refused("state", format!("it must be one of {}", words.join(", ")))
    })
}

impl Posting {
    fn command(self, project: &str, commit: &str, same: &[(&str, &'static str)]) -> Result<(String, Value), Refusal> {
        let project = self::project(project)?;
        let whole = |_| refused("commit", "a status is of a commit named by its whole id, 40 hexadecimal digits");
        let commit: Oid = commit.parse().map_err(whole)?;
        let state = state(self.state.as_deref(), same)?;
        let text = |text: Option<String>| text.unwrap_or_default();
        let name = self.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
        let body = json!({
            "name": name, "state": state, "description": text(self.description), "url": text(self.url)
        });
        Ok((format!("check post {project} {commit} -"), body))
    }
}

/// What GitHub's clients send, and Gitea's and Forgejo's. Whatever else they send is theirs.
#[derive(Deserialize)]
struct FromGithub {
    state: Option<String>,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

/// Gitea's fifth word: it did not pass cleanly.
const GITEA: &[(&str, &str)] = &[("warning", "failure")];

async fn post_github(
    State(door): Shared,
    uri: Uri,
    Path((_, repo, commit)): Place,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match action::collect(&door, body, LONGEST_BODY, Format::Json).await {
        Ok(bytes) => bytes,
        Err(refused) => return *refused,
    };
    let understood = serde_json::from_slice(&bytes)
        .map_err(|e| Refusal::new(Code::Usage, "status", e.to_string(), "help ci"))
        .and_then(|FromGithub { state, context, description, target_url }| {
            Posting { state, name: context, description, url: target_url }.command(&repo, &commit, GITEA)
        });
    let (line, body) = match understood {
        Ok(understood) => understood,
        Err(refusal) => return fail(&refusal, status_of(&refusal)),
    };
    match ask(&door, &headers, line, &body).await {
        Ok(said) => answer(StatusCode::CREATED, &github(&said, &repository_url(&door, &uri, &said))),
        Err(refused) => *refused,
    }
}

/// `http://…/api/v1/repos/forge/parser`: where the caller's kind of client finds the project.
fn repository_url(door: &Door, uri: &Uri, said: &Value) -> String {
    let prefix = uri.path().split_once("/repos/").map_or("", |(prefix, _)| prefix);
    format!("{}{prefix}/repos/forge/{}", door.config.public_http, said["project"].as_str().unwrap_or_default())
}

/// Null where nothing was said.
fn or_null(value: &Value) -> Value {
    if value == "" { Value::Null } else { value.clone() }
}

/// `2026-11-20T15:05:45Z`.
fn time(value: &Value) -> String {
    let ms = value.as_u64().unwrap_or(0);
    let (year, month, day) = refs::civil_date((ms / 86_400_000) as i64);
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A word as GitHub's clients read it, and as Gitea's do, who call the state `status`.
fn github(line: &Value, repository: &str) -> Value {
    let at = time(&line["time_ms"]);
    json!({
        "id": line["seq"],
        "state": line["state"],
        "status": line["state"],
        "context": line["name"],
        "description": or_null(&line["description"]),
        "target_url": or_null(&line["url"]),
        "url": format!("{repository}/statuses/{}", line["commit"].as_str().unwrap_or_default()),
        "creator": { "login": line["by"], "username": line["by"] },
        "created_at": at,
        "updated_at": at,
    })
}

/// The words about a commit that a branch, a tag or an id names.
async fn shown(door: &Arc<Door>, headers: &HeaderMap, repo: &str, commit: &str) -> Result<Value, Box<Response>> {
    let no_commit =
        || Refusal::new(Code::NotFound, "commit", "it is no branch, no tag and no whole id", "project list");
    let named = commit.parse::<Oid>().is_ok() || format!("refs/heads/{commit}").parse::<RefName>().is_ok();
    let plain = named && !commit.contains(['\'', '"']);
    let line = project(repo).and_then(|name| match plain {
        true => Ok(format!("check show {name} {commit}")),
        false => Err(no_commit()),
    });
    match line {
        Ok(line) => ask(door, headers, line, &Value::Null).await,
        Err(refusal) => Err(Box::new(fail(&refusal, status_of(&refusal)))),
    }
}

/// Lines of an answer of `check show`, newest first: all of them, or those that count.
fn lines(said: &Value, all: bool) -> Vec<&Value> {
    let mut lines: Vec<&Value> = said["checks"].as_array().into_iter().flatten().collect();
    lines.retain(|line| all || line["counts"] == true);
    lines.sort_by_key(|line| std::cmp::Reverse(line["seq"].as_u64()));
    lines
}

/// There is one page: whoever asks for the next finds it empty.
fn is_first(uri: &Uri) -> bool {
    let page = uri.query().unwrap_or("").split('&').find_map(|part| part.strip_prefix("page="));
    page.is_none_or(|page| matches!(page, "" | "0" | "1"))
}

async fn list(State(door): Shared, uri: Uri, Path((_, repo, commit)): Place, headers: HeaderMap) -> Response {
    match shown(&door, &headers, &repo, &commit).await {
        Ok(said) => {
            let url = repository_url(&door, &uri, &said);
            let lines = lines(&said, true).into_iter().filter(|_| is_first(&uri));
            answer(StatusCode::OK, &lines.map(|line| github(line, &url)).collect())
        }
        Err(refused) => *refused,
    }
}

async fn combined(State(door): Shared, uri: Uri, Path((_, repo, commit)): Place, headers: HeaderMap) -> Response {
    let said = match shown(&door, &headers, &repo, &commit).await {
        Ok(said) => said,
        Err(refused) => return *refused,
    };
    let url = repository_url(&door, &uri, &said);
    let counting = lines(&said, false);
    let statuses: Value = counting.iter().filter(|_| is_first(&uri)).map(|line| github(line, &url)).collect();
    let (name, sha) = (&said["project"], said["commit"].as_str().unwrap_or_default());
    let repository = json!({
        "name": name,
        "full_name": format!("forge/{}", name.as_str().unwrap_or_default()),
        "owner": { "login": "forge" },
        "url": url,
    });
    let body = json!({
        "state": said["state"],
        "sha": sha,
        "total_count": counting.len(),
        "statuses": statuses,
        "repository": repository,
        "commit_url": format!("{url}/commits/{sha}"),
        "url": format!("{url}/commits/{sha}/status"),
    });
    answer(StatusCode::OK, &body)
}

/// What GitLab's clients send, as JSON, as a form or as parameters.
#[derive(Deserialize)]
struct FromGitlab {
    state: Option<String>,
    name: Option<String>,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

/// GitLab's words for what has no word here.
const GITLAB: &[(&str, &str)] = &[("running", "pending"), ("failed", "failure"), ("canceled", "error")];

fn from_gitlab(bytes: &[u8], uri: &Uri) -> Result<FromGitlab, Refusal> {
    let bad = |why: String| Refusal::new(Code::Usage, "status", why, "help ci");
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()));
    }
    let form = std::str::from_utf8(bytes).map_err(|_| bad("the request is not UTF-8".to_owned()))?.trim();
    let form: Uri = match form {
        "" => uri.clone(),
        form => format!("/?{form}").parse().map_err(|_| bad("the request is neither JSON nor a form".to_owned()))?,
    };
    let Query(said) = Query::try_from_uri(&form).map_err(|e| bad(e.body_text()))?;
    Ok(said)
}

async fn post_gitlab(
    State(door): Shared,
    uri: Uri,
    Path((id, commit)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match action::collect(&door, body, LONGEST_BODY, Format::Json).await {
        Ok(bytes) => bytes,
        Err(refused) => return *refused,
    };
    let understood = from_gitlab(&bytes, &uri).and_then(|said| {
        let FromGitlab { state, name, context, description, target_url } = said;
        let posting = Posting { state, name: name.or(context), description, url: target_url };
        Ok((credentials::with_private_token(&headers)?, posting.command(&id, &commit, GITLAB)?))
    });
    let (headers, (line, body)) = match understood {
        Ok(understood) => understood,
        Err(refusal) => return fail(&refusal, status_of(&refusal)),
    };
    match ask(&door, &headers, line, &body).await {
        Ok(said) => answer(StatusCode::CREATED, &gitlab(&said)),
        Err(refused) => *refused,
    }
}

/// A word as GitLab's clients read it.
fn gitlab(line: &Value) -> Value {
    let (at, state) = (time(&line["time_ms"]), line["state"].as_str().unwrap_or_default());
    let status = GITLAB.iter().rev().find(|(word, ours)| *ours == state && *word != "running");
    json!({
        "id": line["seq"],
        "sha": line["commit"],
        "ref": null,
        "status": status.map_or(state, |(word, _)| *word),
        "name": line["name"],
        "description": or_null(&line["description"]),
        "target_url": or_null(&line["url"]),
        "allow_failure": false,
        "author": { "username": line["by"], "name": line["by"] },
        "created_at": at,
    })
}

async fn list_gitlab(
    State(door): Shared,
    uri: Uri,
    Path((id, commit)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let headers = match credentials::with_private_token(&headers) {
        Ok(headers) => headers,
        Err(refusal) => return fail(&refusal, StatusCode::UNAUTHORIZED),
    };
    match shown(&door, &headers, &id, &commit).await {
        Ok(said) => {
            let lines = lines(&said, true).into_iter().filter(|_| is_first(&uri));
            answer(StatusCode::OK, &lines.map(gitlab).collect())
        }
        Err(refused) => *refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(
        project: &str,
        commit: &str,
        word: &str,
        same: &[(&str, &'static str)],
    ) -> Result<(String, Value), Refusal> {
        let posting = Posting { name: None, state: Some(word.to_owned()), description: None, url: None };
        posting.command(project, commit, same)
    }

    #[test]
    fn what_is_sent_becomes_a_command_and_cannot_bring_more() {
        let id = "3f1c2ab0123456789012345678901234567890ab";
        let (line, body) = command("forge/parser.git", id, "warning", GITEA).unwrap();
        assert_eq!(line, format!("check post parser {id} -"));
        assert_eq!(body, json!({"name": "default", "state": "failure", "description": "", "url": ""}));
        assert_eq!(command("parser", id, "canceled", GITLAB).unwrap().1["state"], "error");
        for (project, commit, word) in [
            ("Parser", id, "success"),
            ("parser --json", id, "success"),
            ("parser", "3f1c2ab", "success"),
            ("parser", "main", "success"),
            ("parser", id, "passed"),
            ("parser", id, ""),
            ("parser", id, "canceled"),
        ] {
            assert!(command(project, commit, word, GITEA).is_err(), "{project} {commit} {word}");
        }
    }

    #[test]
    fn gitlab_says_it_as_json_as_a_form_or_in_parameters() {
        let read = |body: &str, uri: &str| {
            let said = from_gitlab(body.as_bytes(), &uri.parse().unwrap()).unwrap();
            (said.state, said.name.or(said.context))
        };
        let wanted = (Some("failed".to_owned()), Some("a b".to_owned()));
        assert_eq!(read(r#"{"state":"failed","name":"a b","coverage":1.5}"#, "/x"), wanted);
        assert_eq!(read("state=failed&name=a%20b", "/x?state=success"), wanted);
        assert_eq!(read("", "/x?state=failed&context=a+b"), wanted);
        assert!(from_gitlab(b"{", &"/x".parse().unwrap()).is_err());
        assert!(from_gitlab(&[0xff], &"/x".parse().unwrap()).is_err());
    }

    #[test]
    fn a_word_goes_back_as_it_came() {
        let line = json!({"state": "error", "time_ms": 1_795_187_145_000_u64, "description": "", "seq": 7});
        assert_eq!(
            (gitlab(&line)["status"].as_str(), gitlab(&line)["created_at"].as_str()),
            (Some("canceled"), Some("2026-11-20T15:05:45Z"))
        );
        let of = |state: &str| gitlab(&json!({ "state": state }))["status"].clone();
        assert_eq!([of("pending"), of("success"), of("failure")], ["pending", "success", "failed"]);
        assert_eq!(github(&line, "u")["description"], Value::Null);
    }
}
