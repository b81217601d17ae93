//! From a tag to a version.

use std::fmt;
use std::str::FromStr;

use crate::Version;

/// Why a tag is no version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// There are not three numbers between the dots.
    NotThreeNumbers,
    /// This is not a number, has a leading zero, or is too large.
    Number(String),
    /// This may not stand behind `-` or `+`.
    Identifier(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::NotThreeNumbers => write!(f, "a version has three numbers, like 1.4.0"),
            ParseError::Number(text) => write!(f, "{text:?} is no number of a version"),
            ParseError::Identifier(text) => write!(f, "{text:?} may not stand behind - or +"),
        }
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Version {
    type Err = ParseError;

    fn from_str(tag: &str) -> Result<Self, ParseError> {
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let numbers = core
            .split('.')
            .map(number)
            .collect::<Result<Vec<u64>, _>>()?;
        let [major, minor, patch] = numbers[..] else {
            return Err(ParseError::NotThreeNumbers);
        };
        let pre = match pre {
            Some(pre) => pre
                .split('.')
                .map(pre_identifier)
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        if let Some(build) = build {
            build
                .split('.')
                .try_for_each(|text| identifier(text).map(drop))?;
        }
        Ok(Version {
            major,
            minor,
            patch,
            pre,
            build: build.map(str::to_owned),
        })
    }
}

fn number(text: &str) -> Result<u64, ParseError> {
    let wrong = || ParseError::Number(text.to_owned());
    if !all_digits(text) || leads_with_zero(text) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn identifier(text: &str) -> Result<String, ParseError> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| text.to_owned())
        .ok_or_else(|| ParseError::Identifier(text.to_owned()))
}

/// Numbers behind `-` have no leading zero; behind `+` they may, for commit ids and dates stand there.
fn pre_identifier(text: &str) -> Result<String, ParseError> {
    if all_digits(text) && leads_with_zero(text) {
        return Err(ParseError::Identifier(text.to_owned()));
    }
    identifier(text)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn leads_with_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}
