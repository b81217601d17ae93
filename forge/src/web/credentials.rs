//! Who sent a request: the `Authorization` header, or the one that GitLab's clients send, and nothing else.
//!
//! Invariant: a credential that is no good is refused, never taken for anonymous.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::reply::{self, Format};
use crate::answer::{Code, Refusal};
use crate::hosts::Who;

/// What the sender of a request with these headers shows.
pub(super) fn who(headers: &HeaderMap) -> Result<Who, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Who::Anonymous) };
    if values.next().is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    Ok(Who::Token(token(value)?))
}

/// The same headers, with the token that GitLab's clients send where everybody else's stands.
pub(super) fn with_private_token(headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let mut values = headers.get_all("private-token").iter();
    let Some(token) = values.next() else { return Ok(headers.clone()) };
    if values.next().is_some() || headers.contains_key(header::AUTHORIZATION) {
        return Err(malformed("more than one header holds a token"));
    }
    let bearer = token.to_str().ok().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let mut headers = headers.clone();
    headers.insert(header::AUTHORIZATION, bearer.ok_or_else(|| malformed("the PRIVATE-TOKEN header is not ASCII"))?);
    Ok(headers)
}

/// The token in `Bearer <token>` or `token <token>`, or in `Basic` as the password of any user.
fn token(value: &HeaderValue) -> Result<String, Refusal> {
    let text = value.to_str().map_err(|_| malformed("the Authorization header is not ASCII"))?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(|| malformed("the Authorization header has no scheme"))?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        return Ok(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed("only Bearer, token and Basic are understood"));
    }
    let bytes = STANDARD.decode(rest).or_else(|_| STANDARD_NO_PAD.decode(rest));
    let pair = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = pair.ok_or_else(|| malformed("the Basic credentials are not base64 of text"))?;
    match pair.split_once(':') {
        Some((_, password)) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(malformed("the Basic credentials hold no password; it is the token")),
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(Code::NotAllowed, "credentials", why, "ssh forge token").by_rule("credentials")
}

/// 401 with the header that makes git and `curl` ask for credentials; who reads pages signs in on one.
pub(super) fn ask(refusal: &Refusal, format: Format) -> Response {
    let mut response = reply::refuse(refusal, StatusCode::UNAUTHORIZED, format);
    let how = if format == Format::Html { "Bearer realm=\"forge\"" } else { "Basic realm=\"forge\"" };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(how));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        token(&HeaderValue::from_str(value).unwrap()).ok()
    }

    #[test]
    fn the_token_is_the_bearer_or_any_users_password() {
        assert_eq!(read("Bearer abc.def"), Some("abc.def".into()));
        assert_eq!(read("bearer  abc"), Some("abc".into()));
        assert_eq!(read("token abc"), Some("abc".into()));
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(read(&basic("git:to:ken")), Some("to:ken".into()));
        assert_eq!(read(&basic(":token")), Some("token".into()));
        for bad in [basic("token"), basic("git:"), "Basic ???".into(), "Digest x".into(), "Bearer".into()] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_private_token_stands_alone() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            with_private_token(&headers).and_then(|headers| who(&headers))
        };
        assert!(matches!(headers(&[("private-token", "abc")]), Ok(Who::Token(token)) if token == "abc"));
        assert!(matches!(headers(&[]), Ok(Who::Anonymous)));
        assert!(headers(&[("private-token", "a"), ("private-token", "b")]).is_err());
        assert!(headers(&[("private-token", "a"), ("authorization", "Bearer b")]).is_err());
    }
}
