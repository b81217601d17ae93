//! What a browser need not be sent again, or not at full length: tags, 304 and gzip.
//!
//! Invariant: a tag changes with everything that an answer is made of: who looks, where, the form, this build, and either
//! the refs that the answer was read from or every byte of it. It is weak, because it is the same packed and unpacked.

use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use notes_schema::Sha256;

/// Shortest answer that is worth packing, in bytes.
const WORTH_IT: usize = 860;
/// Longest answer that is packed here; what is longer comes as it is.
/// Limit: answer that is compressed for a browser | {:bytes}; a longer one comes as it is
const LONGEST: usize = 16 << 20;

/// A tag of all `parts`, none of which holds a zero byte.
pub(super) fn tag(parts: &[&str]) -> String {
    tag_of(parts.join("\0").as_bytes())
}

/// 304, where whoever sent `headers` has what `tag` names.
pub(super) fn known(headers: &HeaderMap, tag: &str) -> Option<Response> {
    let all = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let bare = tag.trim_start_matches("W/");
    let known = all.flat_map(|value| value.split(',')).any(|given| given.trim().trim_start_matches("W/") == bare);
    known.then(|| {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        name(response.headers_mut(), tag);
        response
    })
}

/// Says in the headers of an answer that `tag` names it.
fn name(headers: &mut HeaderMap, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
        headers.insert(header::VARY, HeaderValue::from_static(VARY));
    }
}

/// What the same address is answered by, beside the address.
pub(super) const VARY: &str = "accept, accept-encoding, authorization, cookie";

/// `response` to a request with these headers: with `tag`, or one of its bytes, packed where that is understood. Answers that
/// stream pass as they are.
pub(super) async fn finished(headers: &HeaderMap, tag: Option<&str>, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let size = http_body_size(&body);
    let Some(size) = size.filter(|size| *size <= LONGEST) else {
        if let Some(tag) = tag.filter(|_| parts.status == StatusCode::OK) {
            name(&mut parts.headers, tag);
        }
        return Response::from_parts(parts, body);
    };
    let Ok(bytes) = to_bytes(body, size).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if parts.status == StatusCode::OK {
        let tag = tag.map_or_else(|| tag_of(&bytes), str::to_owned);
        if let Some(known) = known(headers, &tag) {
            return known;
        }
        name(&mut parts.headers, &tag);
    }
    let text = parts.headers.get(header::CONTENT_TYPE).is_some_and(is_text);
    if bytes.len() < WORTH_IT || !text || !takes_gzip(headers) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(6));
    match packed.write_all(&bytes).and_then(|()| packed.finish()) {
        Ok(packed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(packed))
        }
        Err(_) => Response::from_parts(parts, Body::from(bytes)),
    }
}

fn tag_of(bytes: &[u8]) -> String {
    let digest = Sha256::of(bytes).to_string();
    format!("W/\"{}\"", &digest[..24.min(digest.len())])
}

/// How long a body is, where it is known before it is sent.
fn http_body_size(body: &Body) -> Option<usize> {
    use axum::body::HttpBody as _;
    usize::try_from(body.size_hint().exact()?).ok()
}

fn is_text(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or("");
    kind.starts_with("text/") || kind.starts_with("application/json") || kind.contains("xml")
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn page(text: &str) -> Response {
        super::super::text(StatusCode::OK, "text/html; charset=utf-8", text.to_owned())
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let first = finished(&HeaderMap::new(), None, page("one")).await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let asked = |text: &str, tag: &str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap())]);
            let response = page(text);
            async move { finished(&headers, None, response).await.status() }
        };
        assert_eq!(asked("one", &tag).await, StatusCode::NOT_MODIFIED);
        assert_eq!(asked("one", &format!("\"x\", {}", tag.trim_start_matches("W/"))).await, StatusCode::NOT_MODIFIED);
        assert_eq!(asked("two", &tag).await, StatusCode::OK);
        assert_ne!(super::tag(&["ab", "c"]), super::tag(&["a", "bc"]));
    }

    #[tokio::test]
    async fn text_is_packed_for_whoever_takes_it() {
        let long = "line of a page\n".repeat(1000);
        let packed = finished(&headers(header::ACCEPT_ENCODING, "br, gzip"), None, page(&long)).await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let bytes = to_bytes(packed.into_body(), 1 << 20).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert!(text == long && bytes.len() < 1000);
        for refusing in ["gzip;q=0", "br", "identity"] {
            let plain = finished(&headers(header::ACCEPT_ENCODING, refusing), None, page(&long)).await;
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING), "{refusing}");
        }
    }
}
