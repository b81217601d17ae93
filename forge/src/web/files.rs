//! Files as they are: the bytes of a blob, and archives.
//!
//! Invariant: nothing that a project holds runs in a reader's browser. Whatever a file says of itself, it goes out as plain
//! text or as a picture, in a sandbox, and never guessed at.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;

use crate::answer::File;

/// Pictures that a page may show, by how their names end.
const PICTURES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
];

/// What a file is allowed to do where it is opened by itself.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

fn kind(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    match PICTURES.iter().find(|(known, _)| *known == end) {
        Some((_, kind)) => kind,
        None if end == "gz" => "application/gzip",
        None => "text/plain; charset=utf-8",
    }
}

/// The file, sent while it is made; an error on the way cuts the connection, so that nobody takes a part for the whole.
pub(super) fn response(file: File) -> Response {
    let (kind, size) = (kind(&file.name), file.size);
    let save = (kind == "application/gzip").then(|| {
        let name: String = file.name.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
        format!("attachment; filename=\"{name}\"")
    });
    let pieces = stream::unfold(file.pieces(), |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    if let Some(size) = size {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    if let Some(save) = save.and_then(|save| HeaderValue::from_str(&save).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, save);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_more_than_text() {
        assert_eq!(kind("a.SVG"), "image/svg+xml");
        for text in ["page.html", "x.js", "png", "a.xhtml", "", "a.png.html"] {
            assert_eq!(kind(text), "text/plain; charset=utf-8", "{text}");
        }
        assert_eq!(kind("parser-v1.tar.gz"), "application/gzip");
    }
}
