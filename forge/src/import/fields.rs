//! Fields of foreign rows, each read with its name, and texts made to fit.

use hooks::command::is_invisible;
use notes_schema::Oid;
use serde_json::Value;

use super::item::{LONGEST_AUTHOR, LONGEST_LABEL, LONGEST_TEXT, LONGEST_TITLE, MOST_LABELS};
use super::{Fault, time};

/// Who is named where an account is gone.
pub(super) const GHOST: &str = "ghost";

/// A field that holds something: neither missing nor null.
pub(super) fn given<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    row.get(field).filter(|value| !value.is_null())
}

/// A field that must hold text.
pub(super) fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str, Fault> {
    maybe_text(row, field)?.ok_or_else(|| Fault::new(field, "it is missing"))
}

/// A field that holds text, or nothing.
pub(super) fn maybe_text<'a>(row: &'a Value, field: &str) -> Result<Option<&'a str>, Fault> {
    match given(row, field) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| Fault::new(field, "it is no text")),
    }
}

/// A field that must hold a number above 0.
pub(super) fn number(row: &Value, field: &str) -> Result<u64, Fault> {
    let value = given(row, field).ok_or_else(|| Fault::new(field, "it is missing"))?;
    value.as_u64().filter(|n| *n > 0).ok_or_else(|| Fault::new(field, "it is no number above 0"))
}

/// A field that holds a list; nothing is an empty one.
pub(super) fn list<'a>(row: &'a Value, field: &str) -> Result<&'a [Value], Fault> {
    match given(row, field) {
        None => Ok(&[]),
        Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| Fault::new(field, "it is no list")),
    }
}

/// A field that holds a time, or nothing.
pub(super) fn maybe_time(row: &Value, field: &str) -> Result<Option<u64>, Fault> {
    match given(row, field) {
        None | Some(Value::Bool(false)) => Ok(None),
        // `gh` has this where there is none.
        Some(Value::String(text)) if text.is_empty() || text.starts_with("0001-01-01") => Ok(None),
        Some(value) => time::ms(field, value).map(Some),
    }
}

/// A field that must hold a time.
pub(super) fn time(row: &Value, field: &str) -> Result<u64, Fault> {
    maybe_time(row, field)?.ok_or_else(|| Fault::new(field, "it is missing"))
}

/// A field that holds the id of a commit, or nothing.
pub(super) fn maybe_commit(row: &Value, field: &str) -> Result<Option<Oid>, Fault> {
    let Some(text) = maybe_text(row, field)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Fault::new(field, "it is no commit: 40 hexadecimal digits are wanted"))
}

/// Whose `login` stands in a field: the account that is gone where nobody's does.
pub(super) fn author(row: &Value, field: &str) -> Result<String, Fault> {
    let Some(account) = given(row, field) else { return Ok(GHOST.to_owned()) };
    if !account.is_object() {
        return Err(Fault::new(field, "it is no account: an object with a `login` is wanted"));
    }
    let login = maybe_text(account, "login").map_err(|fault| fault.inside(field))?.unwrap_or("");
    let login = line(login, LONGEST_AUTHOR);
    Ok(if login.is_empty() { GHOST.to_owned() } else { login })
}

/// An address of the web.
pub(super) fn web(field: &str, url: &str) -> Result<(), Fault> {
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"`\\".contains(&b));
    match plain && (url.starts_with("https://") || url.starts_with("http://")) {
        true => Ok(()),
        false => Err(Fault::new(field, "it is no address that begins with https:// or http://")),
    }
}

/// A field that holds an address of the web, or nothing.
pub(super) fn maybe_url(row: &Value, field: &str) -> Result<Option<String>, Fault> {
    let Some(url) = maybe_text(row, field)?.filter(|url| !url.is_empty()) else { return Ok(None) };
    web(field, url)?;
    Ok(Some(url.to_owned()))
}

/// Names of labels: each a text, or an object with a `name`.
pub(super) fn labels(row: &Value, field: &str) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for (at, value) in list(row, field)?.iter().enumerate() {
        let name = value.as_str().or_else(|| value.get("name").and_then(Value::as_str));
        names.push(name.ok_or_else(|| Fault::new(format!("{field}[{at}]"), "it has no name"))?);
    }
    Ok(fitting_labels(names))
}

/// Labels as an issue here may have them.
pub(super) fn fitting_labels<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for name in names {
        let label = line(name, LONGEST_LABEL);
        if !label.is_empty() && !labels.contains(&label) && labels.len() < MOST_LABELS {
            labels.push(label);
        }
    }
    labels
}

/// A title as an issue here may have it, and the text below it: with the whole title where that is longer.
pub(super) fn titled(title: &str, body: &str) -> Result<(String, String), Fault> {
    let short = line(title, LONGEST_TITLE);
    if short.is_empty() {
        return Err(Fault::new("title", "it is empty"));
    }
    let body = clean(body);
    let body = if short.ends_with('…') && !title.trim().ends_with('…') {
        format!("{}\n\n{body}", line(title, LONGEST_TEXT))
    } else {
        body
    };
    Ok((short, body))
}

/// One line of at most `most` bytes, cut where it is longer.
pub(super) fn line(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.len() <= most {
        return clean.to_owned();
    }
    let mark = '…';
    let mut end = most.saturating_sub(mark.len_utf8());
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}", clean.get(..end).unwrap_or("").trim_end())
}

/// Text of several lines, without what is no text in it.
pub(super) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect::<String>().trim_end().to_owned()
}

/// What a decoder of a whole row says, as a fault of the field that it names.
pub(super) fn misshapen(error: &serde_json::Error) -> Fault {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    match said.split('`').nth(1).filter(|_| said.contains("field")) {
        Some(field) => Fault::new(field, said.to_owned()),
        None => Fault::new("row", said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_a_character_and_say_so() {
        assert_eq!(line(" a\tb\u{202e} ", 10), "a b");
        assert_eq!(line("ééééé", 8), "éé…");
        assert!(line(&"é".repeat(300), 200).len() <= 200);
        let (title, body) = titled(&"word ".repeat(100), "below").unwrap();
        assert!(title.ends_with('…') && body.starts_with("word word") && body.ends_with("\n\nbelow"));
        assert_eq!(titled("Short", "a\r\nb\0c\n").unwrap(), ("Short".to_owned(), "a\nbc".to_owned()));
    }

    #[test]
    fn whoever_is_gone_is_the_ghost() {
        for row in [r#"{}"#, r#"{"user":null}"#, r#"{"user":{"login":null}}"#, r#"{"user":{"login":""}}"#] {
            assert_eq!(author(&serde_json::from_str(row).unwrap(), "user").unwrap(), GHOST, "{row}");
        }
        let row = serde_json::json!({ "user": { "login": "reporter-1" }, "odd": "reporter-1" });
        assert_eq!(author(&row, "user").unwrap(), "reporter-1");
        assert!(author(&row, "odd").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_title_holds_it_fits(title in "\\PC{1,300}", body in "(?s).{0,50}") {
            if let Ok((title, body)) = titled(&title, &body) {
                proptest::prop_assert!(title.len() <= LONGEST_TITLE && !title.chars().any(char::is_control));
                proptest::prop_assert!(!body.contains(['\0', '\r']));
            }
        }
    }
}
