//! `forge cat`: prints a file of the format as JSON, for people and as git's textconv.
//!
//! Invariant: what it prints is safe on a terminal, whatever the file holds.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notes_schema::budget::{self, Budget};
use notes_schema::names::hex;
use rmpv::Value;

/// The key whose bytes are a whole value of their own: the intent inside an event.
const NESTED: &str = "i";

/// Prints `file`, or standard input.
pub(super) fn run(file: Option<&Path>) -> ExitCode {
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(e) => return super::fail(format!("{name}: {e}\nnext: forge cat --help")),
    };
    match json(&bytes) {
        // A reader that has seen enough (`| head`) is no fault.
        Ok(text) => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(e) => super::fail(e),
        },
        Err(why) => super::fail(format!("{name}: {why}\nnext: forge cat --help")),
    }
}

fn read(file: Option<&Path>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than the budget, which then refuses it.
    let most = budget::BATCH.bytes as u64 + 1;
    match file {
        Some(path) => std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?,
        None => std::io::stdin().lock().take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// The file as JSON. A record may be JSON already.
fn json(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    if bytes.first() == Some(&b'{') {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|e| format!("neither MessagePack nor JSON: {e}"))?;
        let pretty = serde_json::to_string_pretty(&value).map_err(|e| e.to_string())?;
        text.extend(pretty.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }));
    } else {
        let value = decode(bytes, budget::BATCH).ok_or_else(|| match budget::check(bytes, budget::BATCH) {
            Err(e) => format!("not a file of this format: {e}"),
            Ok(()) => "not a file of this format".to_owned(),
        })?;
        print(&mut text, &value, 0);
    }
    text.push('\n');
    Ok(text)
}

fn decode(bytes: &[u8], budget: Budget) -> Option<Value> {
    budget::check(bytes, budget).ok()?;
    rmpv::decode::read_value(&mut &bytes[..]).ok()
}

/// Recursion is bounded: the budget caps the depth, and only one level of [`NESTED`] is opened per level of maps.
fn print(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Boolean(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Integer(n) => {
            let _ = write!(out, "{n}");
        }
        Value::F32(n) => {
            let _ = write!(out, "{n:?}");
        }
        Value::F64(n) => {
            let _ = write!(out, "{n:?}");
        }
        Value::String(text) => match text.as_str() {
            Some(text) => quote(out, text),
            None => quote(out, &hex(text.as_bytes())),
        },
        Value::Binary(bytes) | Value::Ext(_, bytes) => quote(out, &hex(bytes)),
        Value::Array(items) => list(out, ('[', ']'), items.len(), depth, |out, at| print(out, &items[at], depth + 1)),
        Value::Map(pairs) => list(out, ('{', '}'), pairs.len(), depth, |out, at| {
            let (key, value) = &pairs[at];
            match key.as_str() {
                Some(key) => quote(out, key),
                None => quote(out, &key.to_string()),
            }
            out.push_str(": ");
            match (key.as_str(), value) {
                (Some(NESTED), Value::Binary(bytes)) if depth == 0 => match decode(bytes, budget::EVENT) {
                    Some(inner @ Value::Map(_)) => print(out, &inner, depth + 1),
                    _ => quote(out, &hex(bytes)),
                },
                // As in the JSON form of a record, which this is then.
                (Some("patch"), Value::Binary(bytes)) => quote(out, &STANDARD.encode(bytes)),
                _ => print(out, value, depth + 1),
            }
        }),
    }
}

fn list(
    out: &mut String,
    (open, close): (char, char),
    len: usize,
    depth: usize,
    mut item: impl FnMut(&mut String, usize),
) {
    out.push(open);
    for at in 0..len {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        indent(out, depth + 1);
        item(out, at);
    }
    if len > 0 {
        out.push('\n');
        indent(out, depth);
    }
    out.push(close);
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What could move a cursor or turn a line around.
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n') || turns
}

#[cfg(test)]
mod tests {
    use notes_schema::envelope::{self, Event, NO_EVENT};
    use notes_schema::{EntityId, Fact};

    use super::*;

    fn event(fact: &Fact) -> Vec<u8> {
        let intent = envelope::intent_for(&[0xab; 20], [7; 16], &"parser".parse().unwrap(), &EntityId::Issue(7), fact);
        let event = Event {
            v: 1,
            i: envelope::encode(&intent),
            s: None,
            a: "alpha".parse().unwrap(),
            k: "forge".into(),
            n: 2,
            l: 3,
            q: 4,
            t: 5,
            p: NO_EVENT,
            r: None,
        };
        event.encode()
    }

    #[test]
    fn an_event_shows_its_intent_and_its_bytes_in_hexadecimal() {
        let text = json(&event(&Fact::Unknown { kind: "issue.sung".into() })).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["i"]["kind"], "issue.sung");
        assert_eq!(value["i"]["forge"], "ab".repeat(20));
        assert_eq!(value["p"], "0".repeat(64));
        assert_eq!(value["q"], 4);
    }

    #[test]
    fn a_record_is_shown_in_its_json_form() {
        let record = format!(
            r#"{{"v":1,"id":"r1","project":"parser","agent":"alpha","nonce":"{}","head_tree":"{}","attempts":[
                {{"argv":["true"],"exit":0,"tree":"{}","patch":"KLUv/SQAAQAAmenYUQ=="}}]}}"#,
            "07".repeat(16),
            "5".repeat(40),
            "5".repeat(40)
        );
        let record = notes_schema::trace::Record::decode_json(record.as_bytes()).unwrap();
        let shown = json(&record.canonical()).unwrap();
        assert_eq!(notes_schema::trace::Record::decode_json(shown.as_bytes()).unwrap(), record);
    }

    #[test]
    fn hostile_text_cannot_reach_the_terminal() {
        let value = Value::Map(vec![(Value::from("a\u{1b}[2J\"\\"), Value::from("\u{202e}x\u{9b}y\n"))]);
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
        let text = json(&bytes).unwrap();
        assert!(text.trim_end().chars().all(|c| !is_unsafe(c)), "{text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a\u{1b}[2J\"\\"], "\u{202e}x\u{9b}y\n");
    }

    #[test]
    fn other_bytes_are_refused_with_a_reason() {
        assert!(json(b"").unwrap_err().contains("ends inside"));
        assert!(json(b"{\"a\":").unwrap_err().contains("JSON"));
        assert!(json(&[0x91; 64]).unwrap_err().contains("deeper"));
        assert_eq!(json(b"{\"a\": 1}").unwrap(), "{\n  \"a\": 1\n}\n");
    }
}
