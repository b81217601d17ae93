//! A first look at a page, as a browser that knows nothing yet takes it: the page, and all that it loads.
//!
//! Pages carry a policy by which nothing loads that is not named in them, so what a browser would ask for follows from the
//! page's text. (The story `browser` counts the same with real Chromium.)

use serde::Serialize;

use crate::bench::error::{BenchError, io, unusable};
use crate::bench::http::{Answer, Client};
use crate::bench::timing::milliseconds;

/// What Chromium and Firefox say they take.
const TAKEN: [(&str, &str); 2] = [("accept", "text/html,*/*;q=0.8"), ("accept-encoding", "gzip, deflate, br, zstd")];

/// What a first look costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Look {
    /// What the page is.
    pub page: String,
    /// Where it is.
    pub path: String,
    /// How many requests it takes, itself included.
    pub requests: usize,
    /// Bytes of all answers as they come over the wire, heads included.
    pub bytes: usize,
    /// Bytes of the page's text, unpacked by whoever shows it.
    pub text: usize,
    /// Milliseconds until its page was there, asked for the first time.
    pub first_ms: f64,
}

/// Asks for a page as a browser does.
pub(super) fn get(client: &mut Client, path: &str) -> Result<Answer, BenchError> {
    found(path, client.get(path, &TAKEN).map_err(io(path))?)
}

/// Asks again for what a browser has: milliseconds until it is told so.
pub(super) fn known(client: &mut Client, path: &str, tag: &str) -> Result<f64, BenchError> {
    let headers = [TAKEN[0], TAKEN[1], ("if-none-match", tag)];
    let (took, answer) = milliseconds(|| client.get(path, &headers).map_err(io(path)))?;
    if answer.status == 304 { Ok(took) } else { Err(unusable(path, answer.status)) }
}

fn found(path: &str, answer: Answer) -> Result<Answer, BenchError> {
    match answer.status {
        200 => Ok(answer),
        status => Err(unusable(path, format!("{status} {}", text(&answer.body)?))),
    }
}

/// Looks at a page for the first time.
pub(super) fn look(client: &mut Client, page: &str, path: &str) -> Result<Look, BenchError> {
    let (first_ms, answer) = milliseconds(|| get(client, path))?;
    let html = text(&answer.body)?;
    let mut look = Look {
        page: page.to_owned(),
        path: path.to_owned(),
        requests: 1,
        bytes: answer.head + answer.body.len(),
        text: html.len(),
        first_ms,
    };
    for wanted in loads(&html) {
        let answer = get(client, &wanted)?;
        look.requests += 1;
        look.bytes += answer.head + answer.body.len();
    }
    Ok(look)
}

/// The text of a body, unpacked where it is packed.
fn text(body: &[u8]) -> Result<String, BenchError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    match body.starts_with(&[0x1f, 0x8b]) {
        true => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).map_err(io("a packed page"))?),
        false => bytes.extend_from_slice(body),
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a page makes a browser ask for, each once: scripts, sheets, pictures and frames, whatever its sheet draws, and an
/// icon where it names none.
fn loads(html: &str) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    let mut has_icon = false;
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        let name = tag.split([' ', '\n', '/']).next().unwrap_or("");
        let is_icon = name == "link" && value(tag, "rel").is_some_and(|rel| rel.contains("icon"));
        has_icon |= is_icon;
        let at = match name {
            "script" | "img" | "iframe" | "source" | "video" | "audio" | "embed" => value(tag, "src"),
            "link" if is_icon => value(tag, "href"),
            "link" if value(tag, "rel").is_some_and(|rel| rel.contains("stylesheet") || rel.contains("load")) => {
                value(tag, "href")
            }
            "object" => value(tag, "data"),
            _ => None,
        };
        wanted.extend(at);
    }
    let sheets = html.split("<style").skip(1).filter_map(|rest| rest.split("</style>").next());
    for drawn in sheets.flat_map(|sheet| sheet.split("url(").skip(1)) {
        wanted.extend(drawn.split(')').next().map(|at| at.trim_matches(['"', '\'', ' ']).to_owned()));
    }
    if !has_icon {
        wanted.push("/favicon.ico".to_owned());
    }
    let mut once = Vec::new();
    for at in wanted.into_iter().filter(|at| !at.starts_with("data:") && !at.is_empty()) {
        if !once.contains(&at) {
            once.push(at);
        }
    }
    once
}

/// The value of an attribute, in quotes.
fn value(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_loads_is_counted_once_and_what_it_carries_is_not() {
        let page = "<html><head><link rel=\"icon\" href=\"data:,\"><style>a{background:url('/b.png')}</style>\
            <script src=\"/-/page.js\" defer></script></head><body><a href=\"/x\">x</a><img alt=\"\" src=\"/a?b&amp;c\">\
            <img src=\"/-/page.js\"><img src=\"data:image/png;base64,AA\"><p>src=\"/no\"</p></body>";
        assert_eq!(loads(page), ["/-/page.js", "/a?b&c", "/b.png"]);
        assert_eq!(loads("<p>x</p>"), ["/favicon.ico"], "browsers ask for it where nothing is named");
        assert_eq!(loads("<link rel=\"stylesheet\" href=\"/s.css\"><link rel=\"icon\" href=\"data:,\">"), ["/s.css"]);
    }
}
