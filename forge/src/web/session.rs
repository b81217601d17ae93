//! Signing in and out with a browser: `/login` and `/logout`.
//!
//! Invariant: a session begins with a code from `ssh forge login` or with a token, and its id leaves in a cookie that no
//! script reads and that no other site's form sends. Where one leads back to is a path of this forge.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use frontend::frame::value;

use super::action::collect;
use super::forms::{Fields, SMALL};
use super::reply::{self, At, Format, HTML};
use super::routes::Door;
use super::{Shared, kept, text};
use crate::answer::{Code, Refusal};
use crate::sessions::LASTS_MS;

const COOKIE: &str = "forge_session";

/// The session that a request's cookie names.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, id)| id).filter(|id| !id.is_empty())
}

/// `GET /login`: a form for a code or a token; `?to=` is where it leads back to.
pub(super) async fn form(State(door): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    kept::finished(&headers, None, page(&door, &headers, &query, StatusCode::OK, None)).await
}

fn page(door: &Door, headers: &HeaderMap, query: &str, status: StatusCode, refusal: Option<&Refusal>) -> Response {
    let viewer = door.viewer(headers);
    let at = At { path: "/login", query, viewer: viewer.as_deref(), ..At::default() };
    let to = back(&value(query, "to").unwrap_or_default());
    let (host, port) = door.config.ssh_host_port();
    let why = refusal.map(|refusal| refusal.why.as_str());
    let page = frontend::login::Page { to: &to, host: &host, port, why };
    match page.draw(&at.frame(&|_| None)) {
        Ok(html) => text(status, HTML, html),
        Err(error) => reply::undrawn("/login", &error, Format::Html),
    }
}

/// `POST /login`: `code` or `token`, and `to`.
pub(super) async fn begin(State(door): Shared, headers: HeaderMap, body: Body) -> Response {
    let bytes = match collect(&door, body, SMALL).await {
        Ok(bytes) => bytes,
        Err(torn) => return reply::refuse(&torn.refusal, torn.status, Format::Html),
    };
    let fields = Fields::read(&bytes);
    let to = fields.get("to").unwrap_or_default();
    let begun = match (fields.given("code"), fields.given("token")) {
        (Some(code), _) => door.sign_in_by_code(code).await,
        (None, Some(token)) => door.sign_in_by_token(token.trim()).await,
        (None, None) => Err(Refusal::new(Code::Usage, "login", "it takes a code or a token", "ssh forge login")),
    };
    match begun {
        Ok(id) => see(&door, &back(to), Some(&format!("{id}; Max-Age={}", LASTS_MS / 1000))),
        Err(refusal) => {
            let query = format!("to={}", frontend::filters::percent(&back(to), false));
            let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::FORBIDDEN);
            page(&door, &headers, &query, status, Some(&refusal))
        }
    }
}

/// `POST /logout`: ends this session, and with `everywhere` all of the agent's.
pub(super) async fn end(State(door): Shared, headers: HeaderMap, body: Body) -> Response {
    let bytes = match collect(&door, body, SMALL).await {
        Ok(bytes) => bytes,
        Err(torn) => return reply::refuse(&torn.refusal, torn.status, Format::Html),
    };
    let everywhere = Fields::read(&bytes).given("everywhere").is_some();
    match door.sign_out(&headers, everywhere).await {
        Ok(()) => see(&door, "/", Some("; Max-Age=0")),
        Err(refusal) => reply::refuse(&refusal, StatusCode::SERVICE_UNAVAILABLE, Format::Html),
    }
}

/// On to `place`, with the cookie that begins or ends a session.
fn see(door: &Door, place: &str, cookie: Option<&str>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, place.to_owned())]).into_response();
    let secure = if door.config.public_http.starts_with("https:") { "; Secure" } else { "" };
    let cookie = cookie.map(|value| format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"));
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Where to go afterwards: a path of this forge, whatever was asked for.
fn back(to: &str) -> String {
    let plain = to.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
    let first = to.trim_start_matches('/').split(['/', '?', '#']).next();
    let ours = to.starts_with('/') && !to.starts_with("//") && !matches!(first, Some("login" | "logout"));
    if plain && ours { to.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leads_back_to_this_forge_alone() {
        for here in ["/parser/issues/7?state=all", "/logs", "/parser/log"] {
            assert_eq!(back(here), here);
        }
        for elsewhere in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/login",
            "/logout?everywhere=yes",
            "javascript:alert(1)",
        ] {
            assert_eq!(back(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn a_session_is_one_cookie_among_others() {
        let of = |cookie: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
            of(&headers).map(str::to_owned)
        };
        assert_eq!(of("a=b; forge_session=abc; c=d").as_deref(), Some("abc"));
        assert_eq!(of("xforge_session=abc"), None);
        assert_eq!(of("forge_session="), None);
    }
}
