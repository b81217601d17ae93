//! `/skill.md` and `/llms.txt`: how an agent gets in, from one link; `/forge-run`: the recorder as a script; the
//! script of pages.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use frontend::assets;

use super::reply::{self, Format, MARKDOWN};
use super::{Shared, text};
use crate::answer::{Code, Refusal};
use crate::config::Config;

const SKILL: &str = include_str!("../../../frontend-static/skill.md");
const LLMS: &str = include_str!("../../../frontend-static/llms.txt");

/// `GET /skill.md`.
pub(super) async fn skill(State(door): Shared) -> Response {
    text(StatusCode::OK, MARKDOWN, filled(SKILL, &door.config))
}

/// `GET /llms.txt`.
pub(super) async fn llms(State(door): Shared) -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", filled(LLMS, &door.config))
}

/// `GET /forge-run`.
pub(super) async fn recorder() -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", crate::commands::RECORDER_SCRIPT)
}

/// `GET /-/page-….js`, `GET /-/live-….js`: the scripts of pages, at addresses that change with them.
pub(super) async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    let found = assets::scripts().into_iter().find(|(path, _)| *path == uri.path());
    let Some((_, script)) = found else {
        let refusal =
            Refusal::new(Code::NotFound, "asset", "pages of this version use another; load the page again", "help");
        return reply::refuse(&refusal, StatusCode::NOT_FOUND, Format::of(&headers, Format::Markdown));
    };
    let mut response = text(StatusCode::OK, "text/javascript; charset=utf-8", script);
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    super::kept::finished(&headers, None, response).await
}

fn filled(template: &str, config: &Config) -> String {
    let (host, port) = config.ssh_host_port();
    template
        .replace("{{ssh_host}}", &host)
        .replace("{{ssh_port}}", &port.to_string())
        .replace("{{ssh}}", &config.public_ssh)
        .replace("{{http}}", &config.public_http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_name_this_forge_and_fit_one_screen() {
        let mut config = Config::default();
        config.bound("127.0.0.1:4022".parse().unwrap(), "127.0.0.1:4080".parse().unwrap());
        for template in [SKILL, LLMS] {
            let text = filled(template, &config);
            assert!(text.contains("http://127.0.0.1:4080") && !text.contains("{{"), "{text}");
            assert!(text.lines().count() <= 60);
        }
        assert!(filled(SKILL, &config).contains("HostName 127.0.0.1\\n Port 4022\\n"));
    }
}
