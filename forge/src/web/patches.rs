//! What git takes of a pull request: `/parser/pulls/47.patch` and `.diff`.
//!
//! Invariant: it is `pr <ref> --as patch|diff`, nothing else, and never shown as anything but text.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use notes_schema::ProjectName;
use notes_schema::names::parse_number;

use super::credentials;
use super::reply::{self, At, Format};
use super::routes::{Asks, Door};
use crate::commands;

/// The line that a path asks for, where it is one of these.
fn line(path: &str) -> Option<String> {
    let (place, form) = ["patch", "diff"].into_iter().find_map(|form| Some((path.strip_suffix(form)?, form)))?;
    let mut segments = place.strip_suffix('.')?.strip_prefix('/')?.split('/');
    let project: ProjectName = segments.next()?.parse().ok()?;
    let n = segments.next().filter(|word| *word == "pulls").and_then(|_| parse_number(segments.next()?))?;
    segments.next().is_none().then(|| format!("pr {project}/{n} --as {form}"))
}

/// The answer, where `path` is one of these.
pub(super) async fn answer(door: &Door, headers: &HeaderMap, path: &str) -> Option<Response> {
    let line = line(path)?;
    let reply = match door.run(Asks::Command(&commands::PR), headers, line, b"", false).await {
        Ok(reply) => reply,
        Err(refusal) => return Some(credentials::ask(&refusal, Format::Markdown)),
    };
    let mut response = reply::respond(door, &reply, Format::Markdown, "", At::path("/"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply::PLAIN));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_one_line_or_nothing() {
        assert_eq!(line("/parser/pulls/47.patch").as_deref(), Some("pr parser/47 --as patch"));
        assert_eq!(line("/parser/pulls/47.diff").as_deref(), Some("pr parser/47 --as diff"));
        for other in [
            "/parser/pulls/47",
            "/parser/pulls/047.diff",
            "/parser/issues/47.diff",
            "/pulls/47.diff",
            "/p/pulls/4 7.diff",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
        for other in
            ["/parser/pulls/47/x.diff", "/parser/pulls/diff", "/-h/pulls/1.patch", "/parser/pulls/--json.diff", ".diff"]
        {
            assert_eq!(line(other), None, "{other}");
        }
    }
}
