//! What templates do to values beside escaping them.
//!
//! Invariant: each gives HTML that is whole in itself, with everything that came in escaped.

#![allow(missing_docs, reason = "the macro that makes a filter passes its documentation to nothing that it makes")]

use std::fmt::Write as _;

use askama::filters::Safe;
use askama::{Result, Values};
use notes_schema::refs::show_time;

use crate::{escape, words};

/// Milliseconds since 1970 as a moment: absolute for whoever has no script, relative with it.
#[askama::filter_fn]
pub fn time(ms: &u64, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(moment(*ms)))
}

/// The same, outside templates.
pub fn moment(ms: u64) -> String {
    let shown = show_time(ms);
    let machine = shown.replacen(' ', "T", 1);
    format!("<time datetime=\"{}\">{}</time>", escape::text(&machine), escape::text(&shown))
}

/// The first seven digits of an object's id, whole on hover.
#[askama::filter_fn]
pub fn short(id: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    let id = id.as_ref();
    let short: String = id.chars().take(7).collect();
    Ok(Safe(format!("<code title=\"{}\">{}</code>", escape::text(id), escape::text(&short))))
}

/// Milli-Elo as a rating: `1450`.
#[askama::filter_fn]
pub fn rating(milli: &i64, _: &dyn Values) -> Result<String> {
    Ok((milli.saturating_add(500).div_euclid(1000)).to_string())
}

/// Milli-Elo as a change: `+15`, `−3.5` or `±0`.
#[askama::filter_fn]
pub fn delta(milli: &i64, _: &dyn Values) -> Result<String> {
    let sign = match milli {
        ..0 => "−",
        0 => "±",
        1.. => "+",
    };
    let (whole, rest) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000 / 100);
    let mut out = format!("{sign}{whole}");
    if rest != 0 {
        // Writing to a String cannot fail.
        let _ = write!(out, ".{rest}");
    }
    Ok(out)
}

/// Permille as a share: `66.6 %`.
#[askama::filter_fn]
pub fn share(permille: &u64, _: &dyn Values) -> Result<String> {
    Ok(words::share(*permille))
}

/// `1 file`, `2 files`.
#[askama::filter_fn]
pub fn count(n: &u64, _: &dyn Values, word: &str) -> Result<String> {
    Ok(format!("{n} {word}{}", if *n == 1 { "" } else { "s" }))
}

/// One segment of an address, or a value of a query: percent-encoded.
#[askama::filter_fn]
pub fn encode(text: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(percent(text.as_ref(), false)))
}

/// A path in an address: percent-encoded but for its slashes.
#[askama::filter_fn]
pub fn path(text: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(percent(text.as_ref(), true)))
}

/// Percent-encodes all but letters, digits and `-._~`; slashes too, unless they `stay`.
pub fn percent(text: &str, slashes_stay: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if slashes_stay => out.push('/'),
            byte => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
