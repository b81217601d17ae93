//! `docs/limits.md` is made from the caps themselves: behind the constant that is enforced stands a line `Limit: what |
//! amount`, and the amount is worked out from the constant's own value, so that no number is stated twice. A constant that is
//! named like a cap and says nothing is an error. `UPDATE_DOCS=1 cargo test -p tests documents::limits` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tests::root;

const BEGIN: &str = "<!-- limits -->\n";
const END: &str = "<!-- /limits -->\n";

/// Where caps stand, and what the part of the table is called. The first that fits counts.
const PARTS: &[(&str, &str)] = &[
    ("What is written", "notes-schema/src/"),
    ("Rules", "hooks/src/"),
    ("Search", "search/src/"),
    ("Git: requests", "forge/git/src/wire/"),
    ("Git: packs and objects", "forge/git/src/pack/"),
    ("Git: plain repositories", "forge/git/src/plain/"),
    ("Git: what is looked at for an answer", "forge/git/src/"),
    ("Settings", "forge/src/config.rs"),
    ("SSH", "forge/src/ssh/"),
    ("HTTP", "forge/src/web/"),
    ("Commands", "forge/src/commands/"),
    ("Pushes", "forge/src/gate"),
    ("Pushes, beside the rules", "forge/src/forge/"),
    ("Ledger", "forge/src/ledger/"),
    ("Recorder", "forge/src/recorder/"),
    ("Pages", "frontend-static/src/"),
    ("Recorder, as a script", "frontend-static/"),
    ("Mirrors", "forge/src/mirror/"),
    ("The rest", ""),
];

/// A constant: what stands above it and what it is.
struct Constant {
    file: String,
    name: String,
    doc: String,
    kind: String,
    value: String,
    /// The variable that sets it.
    variable: Option<String>,
}

fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["bench", "tests"].contains(&name.as_str()) {
            sources(&path, found);
        } else if name.ends_with(".sh")
            || (name.ends_with(".rs") && !["tests.rs", "testing.rs"].contains(&name.as_str()))
        {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// `const NAME: kind = value`, a setting, or an assignment of a script.
fn declared(text: &str) -> Option<(String, String, String, Option<String>)> {
    let text = text.trim();
    let bare =
        text.strip_prefix("pub").map_or(text, |rest| rest.trim_start_matches("(crate)").trim_start_matches("(super)"));
    if let Some(rest) = bare.trim_start().strip_prefix("const ") {
        let (name, rest) = rest.split_once(": ")?;
        let (kind, value) = rest.split_once(" = ")?;
        return Some((name.into(), kind.into(), value.trim_end_matches(';').into(), None));
    }
    if let Some((rest, variable)) = text.strip_suffix("\";").and_then(|rest| rest.rsplit_once(", \"FORGE_LIMIT_")) {
        let (name, rest) = rest.split_once(": ")?;
        let (kind, value) = rest.split_once(" = ")?;
        return Some((name.into(), kind.into(), value.into(), Some(format!("FORGE_LIMIT_{variable}"))));
    }
    let (name, value) = text.split_once('=')?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    (plain && value.bytes().all(|b| b.is_ascii_digit())).then(|| (name.into(), "usize".into(), value.into(), None))
}

fn constants() -> Vec<Constant> {
    let mut files = Vec::new();
    for dir in ["notes-schema/src", "hooks/src", "search/src", "forge/git/src", "forge/src", "frontend-static"] {
        sources(&root().join(dir), &mut files);
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        // Constants of tests are no caps.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let mut doc: Vec<&str> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let trimmed = line.trim();
            if let Some(said) = trimmed.strip_prefix("/// ").or_else(|| trimmed.strip_prefix("# ")) {
                doc.push(said);
                continue;
            }
            let mut whole = trimmed.to_owned();
            if trimmed.contains("const ") && trimmed.contains(": ") && trimmed.contains('=') {
                while !whole.ends_with(';') {
                    let Some(more) = lines.next() else { break };
                    whole.push(' ');
                    whole.push_str(more.trim());
                }
            }
            if let Some((name, kind, value, variable)) = declared(&whole) {
                all.push(Constant { file: file.clone(), name, doc: doc.join(" "), kind, value, variable });
            }
            doc.clear();
        }
    }
    all
}

/// What an expression of whole numbers comes to; times in milliseconds.
struct Sum<'a> {
    all: &'a [Constant],
    file: &'a str,
    rest: &'a str,
}

impl<'a> Sum<'a> {
    fn of(all: &'a [Constant], file: &'a str, text: &'a str) -> u64 {
        let mut sum = Sum { all, file, rest: text };
        let value = sum.shifted();
        assert!(sum.rest.trim().is_empty(), "{file}: `{text}` is more than this can work out");
        value
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(sign);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn shifted(&mut self) -> u64 {
        let mut value = self.added();
        while self.takes("<<") {
            value <<= self.added();
        }
        value
    }

    fn added(&mut self) -> u64 {
        let mut value = self.times();
        loop {
            match (self.takes("+"), self.rest.starts_with('-')) {
                (true, _) => value += self.times(),
                (false, true) => {
                    self.rest = &self.rest[1..];
                    value -= self.times();
                }
                (false, false) => return value,
            }
        }
    }

    fn times(&mut self) -> u64 {
        let mut value = self.one();
        while self.takes("*") {
            value *= self.one();
        }
        value
    }

    fn one(&mut self) -> u64 {
        for (call, ms) in [("Duration::from_secs(", 1000), ("Duration::from_millis(", 1), ("(", 1)] {
            if self.takes(call) {
                let value = self.shifted() * ms;
                assert!(self.takes(")"), "{}: a bracket is open", self.file);
                return value;
            }
        }
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let digits: String =
                word.chars().take_while(|c| c.is_ascii_digit() || *c == '_').filter(|c| *c != '_').collect();
            return digits.parse().unwrap();
        }
        let name = word.rsplit("::").next().unwrap();
        let here = |constant: &&Constant| constant.name == name && (word.contains("::") || constant.file == self.file);
        let found: Vec<&Constant> = self.all.iter().filter(here).collect();
        let [found] = found[..] else { panic!("{}: `{word}` names {} constants", self.file, found.len()) };
        Sum::of(self.all, &found.file, &found.value)
    }
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let pieces: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    pieces.join(",")
}

fn shown(value: u64, unit: &str) -> String {
    match unit {
        "bytes" => {
            let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
            let fitting = units.iter().find(|(bits, _)| value != 0 && value.is_multiple_of(1 << bits));
            fitting.map_or_else(
                || format!("{} bytes", grouped(value)),
                |(bits, name)| format!("{} {name}", grouped(value >> bits)),
            )
        }
        "s" => shown(value * 1000, "ms"),
        "ms" => {
            let units = [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
            let (size, name) = units
                .iter()
                .find(|(size, _)| value.is_multiple_of(*size) && (value / size >= 2 || *size <= 1000))
                .unwrap_or(&(1, "ms"));
            format!("{} {name}", grouped(value / size))
        }
        _ => grouped(value),
    }
}

/// The amount of a cap: its template, filled with the constant's value or with fields of it.
fn amount(all: &[Constant], constant: &Constant, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}').unwrap();
        let (field, unit) = place.split_once(':').unwrap_or((place, ""));
        let value = match field {
            "" => constant.value.as_str(),
            field => {
                let at = constant.value.split_once(&format!(" {field}: "));
                at.unwrap_or_else(|| panic!("{} has no field {field}", constant.name))
                    .1
                    .split([',', '}'])
                    .next()
                    .unwrap()
            }
        };
        let unit = if unit.is_empty() && constant.kind == "Duration" { "ms" } else { unit };
        out.push_str(before);
        out.push_str(&shown(Sum::of(all, &constant.file, value.trim()), unit));
        rest = after;
    }
    out + rest
}

fn document(all: &[Constant]) -> String {
    let mut parts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for constant in all {
        let Some((_, limit)) = constant.doc.split_once("Limit: ") else { continue };
        let (what, template) = limit.split_once(" | ").unwrap_or_else(|| panic!("{}: {limit}", constant.file));
        let set = constant.variable.as_ref().map_or_else(String::new, |variable| format!(", `{variable}`"));
        let row = format!("| {what} | {}{set} | `{}` |\n", amount(all, constant, template), constant.file);
        let part = PARTS.iter().position(|(_, prefix)| constant.file.starts_with(prefix)).unwrap();
        parts.entry(part).or_default().push(row);
    }
    let mut out = String::new();
    for (part, rows) in parts {
        let _ = write!(out, "\n## {}\n\n| what | limit | where |\n|---|---|---|\n{}", PARTS[part].0, rows.concat());
    }
    out
}

#[test]
fn the_table_of_limits_is_made_from_the_caps_themselves() {
    let all = constants();
    let path = root().join("docs/limits.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/limits.md marks where the tables stand");
    let (_, after) = rest.split_once(END).expect("docs/limits.md marks where the tables end");
    let wanted = format!("{before}{BEGIN}{}\n{END}{after}", document(&all));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(text == wanted, "docs/limits.md is out of date; run with UPDATE_DOCS=1");
}

#[test]
fn what_is_named_like_a_cap_says_what_it_bounds() {
    let caps = ["MOST", "LONGEST", "LARGEST", "DEEPEST", "MAX", "BUDGET"];
    let all = constants();
    let named = |constant: &&Constant| constant.name.split('_').any(|word| caps.contains(&word));
    let silent = |constant: &&Constant| !constant.doc.contains("Limit: ") && !constant.doc.contains("No limit: ");
    let whole = |constant: &&Constant| ["u8", "u32", "u64", "usize", "Duration"].contains(&constant.kind.as_str());
    let wrong: Vec<String> = all
        .iter()
        .filter(|constant| constant.variable.is_some() || named(constant))
        .filter(whole)
        .filter(silent)
        .map(|constant| format!("{}: {}", constant.file, constant.name))
        .collect();
    assert!(all.len() > 300, "{} constants", all.len());
    assert!(
        wrong.is_empty(),
        "put a line `Limit: what | amount` above each, or `No limit: why`:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn sums_and_amounts_are_worked_out() {
    let value = |text: &str| Sum::of(&[], "x", text);
    assert_eq!(value("41 * 1_000_000"), 41_000_000);
    assert_eq!(value("4 << 10 + 1"), 8192);
    assert_eq!(value("Duration::from_secs(2)"), 2000);
    assert_eq!(value("(1 + 2) * 3 - 1"), 8);
    assert_eq!(
        [shown(65_520, "bytes"), shown(16 << 20, "bytes"), shown(1 << 30, "bytes")],
        ["65,520 bytes", "16 MiB", "1 GiB"]
    );
    assert_eq!([shown(300, "s"), shown(100, "ms"), shown(86_400_000, "ms")], ["5 min", "100 ms", "24 h"]);
}
