//! What pages are dressed with: one style sheet, inside each page; one script, which only refines.
//!
//! Invariant: the sheet is named by its digest in [`csp`], so that no other style works; nothing is loaded from elsewhere.

use std::sync::LazyLock;

use base64::Engine as _;
use sha2::Digest as _;

/// The style sheet: one file for each room of the pages, in this order.
pub const STYLE: &str = concat!(
    include_str!("../style/base.css"),
    include_str!("../style/code.css"),
    include_str!("../style/people.css"),
    include_str!("../style/syntax.css"),
    include_str!("../style/trace.css"),
    include_str!("../style/work.css"),
);

/// The script: keys, times relative to now, live fragments, and no form sent twice.
pub const SCRIPT: &str = include_str!("../page.js");

/// The script of the page that watches: its rows change while it is looked at.
pub const LIVE: &str = include_str!("../live.js");

/// Where that one stands.
pub fn live_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| format!("/-/live-{}.js", &hex(LIVE)[..12]));
    &PATH
}

/// Every script, by where it stands.
pub fn scripts() -> [(&'static str, &'static str); 2] {
    [(script_path(), SCRIPT), (live_path(), LIVE)]
}

/// Where the script stands: its address changes with it, so that it may be kept for ever.
pub fn script_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| format!("/-/page-{}.js", &hex(SCRIPT)[..12]));
    &PATH
}

/// A word that changes with anything that pages are made of beside answers: templates, sheet, script, code.
pub fn build() -> &'static str {
    static BUILD: LazyLock<String> = LazyLock::new(|| {
        let made_of = [STYLE, SCRIPT, LIVE, env!("CARGO_PKG_VERSION"), env!("FRONTEND_SOURCES")].join("\n");
        hex(&made_of)[..12].to_owned()
    });
    &BUILD
}

/// The `Content-Security-Policy` of pages.
pub fn csp() -> &'static str {
    static CSP: LazyLock<String> = LazyLock::new(|| {
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE));
        format!(
            "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'sha256-{digest}'; \
             img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    });
    &CSP
}

fn hex(text: &str) -> String {
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_cannot_end_its_element_and_loads_nothing() {
        assert!(!STYLE.contains("</") && !STYLE.contains("url(") && !STYLE.contains("@import"));
        assert!(csp().contains("style-src 'sha256-"));
    }
}
