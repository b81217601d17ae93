//! How a submission stands, for programs that ask again and again: `GET /submission/{project}/{n}/status`, and the same by one
//! word, `GET /submission/parser%2312/status`.
//!
//! Invariant: it is `submission <ref> --json`, nothing else; what comes in the path is a reference before it becomes part of
//! a command's line.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use notes_schema::ItemRef;

use super::reply::{self, Format};
use super::routes::{Asks, Door};
use super::{Shared, credentials};
use crate::answer::{Code, Refusal};

/// By project and number.
pub(super) async fn by_number(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    Path((project, n)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    status(&door, asks, &headers, &format!("{project}#{n}")).await
}

/// By a reference as people write it, `#` or `/` as bytes of the path.
pub(super) async fn by_reference(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Response {
    status(&door, asks, &headers, &reference).await
}

async fn status(door: &Door, asks: Asks, headers: &HeaderMap, reference: &str) -> Response {
    let reference = match line_of(reference) {
        Ok(reference) => reference,
        Err(refusal) => return reply::refuse(&refusal, StatusCode::NOT_FOUND, Format::Json),
    };
    match door.run(asks, headers, format!("submission {reference}"), b"", true).await {
        Ok(answer) => reply::respond(door, &answer, Format::Json, "Submission", reply::At::path("/submission")),
        Err(refusal) => credentials::ask(&refusal, Format::Json),
    }
}

/// `parser/12`, which is one word of a command's line whatever came.
fn line_of(reference: &str) -> Result<String, Refusal> {
    let parsed: Result<ItemRef, _> = reference.parse();
    let item = parsed.map_err(|e| Refusal::new(Code::NotFound, "submission", e.to_string(), "help submission"))?;
    Ok(format!("{}/{}", item.project, item.n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_one_reference_or_nothing() {
        for good in ["parser#12", "parser/12"] {
            assert_eq!(line_of(good).unwrap(), "parser/12");
        }
        for bad in
            ["parser", "12", "parser#12 --json", "parser#0", "parser#1#2", "../x#1", "parser# 12", "parser#12\n", ""]
        {
            assert!(line_of(bad).is_err(), "{bad}");
        }
    }
}
