//! GitLab's words: as JSON, as a form or as parameters.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::routes::Asks;
use super::super::{Shared, credentials};
use super::{
    Failed, Posting, Same, answer, ask, collect, is_first, lines, not_understood, or_null, shown, str_of, time,
};
use crate::answer::Refusal;

/// What is sent. Whatever else these clients send is theirs.
#[derive(Deserialize)]
#[serde(expecting = "an object with state and name")]
struct Sent {
    state: Option<String>,
    name: Option<String>,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

/// GitLab's words for what has no word here.
pub(super) const SAME: &Same = &[("running", "pending"), ("failed", "failure"), ("canceled", "error")];

pub(super) fn understand(bytes: &[u8], uri: &Uri) -> Result<Posting, Refusal> {
    let Sent { state, name, context, description, target_url } = read(bytes, uri)?;
    Ok(Posting { state, name: name.or(context), description, url: target_url })
}

fn read(bytes: &[u8], uri: &Uri) -> Result<Sent, Refusal> {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return serde_json::from_slice(bytes).map_err(not_understood);
    }
    let form = std::str::from_utf8(bytes).map_err(|_| not_understood("the request is not UTF-8"))?.trim();
    let said = match form {
        "" => uri.clone(),
        form => format!("/?{form}").parse().map_err(|_| not_understood("the request is neither JSON nor a form"))?,
    };
    let Query(sent) = Query::try_from_uri(&said).map_err(|e| not_understood(e.body_text()))?;
    Ok(sent)
}

/// `POST /api/v4/projects/<id>/statuses/<commit>`.
pub(super) async fn post(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((id, commit)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let bytes = collect(&door, body).await?;
    let (line, body) = understand(&bytes, &uri)?.command(&id, &commit, SAME)?;
    let said = ask(&door, asks, &with_token(&headers)?, line, &body).await?;
    Ok(answer(StatusCode::CREATED, &word(&said)))
}

/// `GET /api/v4/projects/<id>/repository/commits/<commit>/statuses`.
pub(super) async fn list(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    uri: Uri,
    Path((id, commit)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let said = shown(&door, asks, &with_token(&headers)?, &id, &commit).await?;
    let lines = lines(&said, true).into_iter().filter(|_| is_first(&uri));
    Ok(answer(StatusCode::OK, &lines.map(word).collect()))
}

fn with_token(headers: &HeaderMap) -> Result<HeaderMap, Failed> {
    let headers = credentials::with_private_token(headers);
    headers.map_err(|refusal| Failed::with(StatusCode::UNAUTHORIZED.as_u16(), refusal.json()))
}

/// A word as GitLab's clients read it.
fn word(line: &Value) -> Value {
    let (at, state) = (time(line), str_of(line, "state"));
    let status = match state {
        "failure" => "failed",
        "error" => "canceled",
        state => state,
    };
    json!({
        "id": line["seq"],
        "sha": line["commit"],
        "ref": null,
        "status": status,
        "name": line["name"],
        "description": or_null(&line["description"]),
        "target_url": or_null(&line["url"]),
        "allow_failure": false,
        "author": { "username": line["by"], "name": line["by"] },
        "created_at": at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_as_json_as_a_form_or_in_parameters() {
        let read = |body: &str, uri: &str| {
            let sent = understand(body.as_bytes(), &uri.parse().unwrap()).unwrap();
            (sent.state, sent.name)
        };
        let wanted = (Some("failed".to_owned()), Some("a b".to_owned()));
        assert_eq!(read(r#"{"state":"failed","name":"a b","coverage":1.5}"#, "/x"), wanted);
        assert_eq!(read("state=failed&name=a%20b", "/x?state=success"), wanted);
        assert_eq!(read("", "/x?state=failed&context=a+b"), wanted);
        assert!(understand(b"{", &"/x".parse().unwrap()).is_err());
        assert!(understand(&[0xff], &"/x".parse().unwrap()).is_err());
    }

    #[test]
    fn a_word_goes_back_as_it_came() {
        let of = |state: &str| word(&json!({ "state": state, "time_ms": 1_795_187_145_000_u64 }));
        let status = |state: &str| of(state)["status"].clone();
        assert_eq!(
            ["pending", "success", "failure", "error"].map(status),
            ["pending", "success", "failed", "canceled"]
        );
        assert_eq!(of("success")["created_at"], "2026-11-20T15:05:45Z");
    }
}
