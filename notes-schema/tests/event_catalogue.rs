//! `docs/event-catalogue.md` is made from the source of the events, so it cannot fall behind: this test fails when it
//! does. `UPDATE_DOCS=1 cargo test -p notes-schema --test event_catalogue` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use notes_schema::event::KINDS;

/// A field of an event: its name, its type as written, whether it may be absent, and what it means.
struct Field {
    name: String,
    kind: String,
    optional: bool,
    doc: String,
}

/// The struct `name` in `source`: where it may be found, its documentation and its fields.
fn fields_of(source: &str, name: &str) -> Option<Vec<Field>> {
    let start = source.find(&format!("pub struct {name} {{"))?;
    let body = &source[start..];
    let body = &body[body.find('{')? + 1..body.find('}')?];
    let (mut fields, mut doc, mut optional) = (Vec::new(), String::new(), false);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = format!("{doc} {}", text.trim()).trim().to_owned();
        } else if line.starts_with("#[") {
            optional |= line.contains("skip_serializing_if");
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|l| l.split_once(": ")) {
            let kind = kind.trim_end_matches(',').trim_start_matches("crate::");
            let kind = kind.strip_prefix("Option<").and_then(|k| k.strip_suffix('>')).unwrap_or(kind);
            fields.push(Field {
                name: name.to_owned(),
                kind: kind.trim_start_matches("crate::").to_owned(),
                optional: std::mem::take(&mut optional),
                doc: std::mem::take(&mut doc),
            });
        }
    }
    Some(fields)
}

fn catalogue(root: &Path) -> String {
    let events = root.join("notes-schema/src/event");
    let mut files: Vec<_> = fs::read_dir(&events).expect("the events").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let sources: Vec<(String, String)> = files
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("source"))
        })
        .collect();
    let table = &sources.iter().find(|(name, _)| name == "mod.rs").expect("mod.rs").1;
    let table = &table[table.find("\nfacts! {").expect("the table of facts")..];

    let mut out = String::from(
        "# Event catalogue\n\nMade from `notes-schema/src/event/` by `notes-schema/tests/event_catalogue.rs`; edit it there.\n\n\
         An event is one commit on its entity's chain (`docs/architecture.md`). These are the fields of its `d`; who, when\n\
         and in which order stand in the envelope (`notes-schema/src/envelope.rs`). Text stands in `body.md` beside it.\n\
         A reader that meets a kind or a shape that it does not know shows it and folds it to nothing.\n",
    );
    let mut described = Vec::new();
    let mut doc = String::new();
    for line in table.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = format!("{doc} {}", text.trim()).trim().to_owned();
        } else if let Some((kind, variant)) = line.strip_prefix('"').and_then(|l| l.split_once("\" => ")) {
            let variant = variant.trim_end_matches(',');
            let found = sources.iter().find_map(|(file, source)| Some((file, fields_of(source, variant)?)));
            let (file, fields) = found.unwrap_or_else(|| panic!("struct {variant} stands in no file"));
            let _ = write!(out, "\n## `{kind}`\n\n{} (`{variant}` in `event/{file}`)\n", std::mem::take(&mut doc));
            if fields.is_empty() {
                out.push_str("\nNo fields.\n");
            } else {
                out.push_str("\n| field | type | |\n|---|---|---|\n");
            }
            for field in fields {
                let absent = if field.optional { "optional; " } else { "" };
                let _ = writeln!(out, "| `{}` | `{}` | {absent}{} |", field.name, field.kind, field.doc);
            }
            described.push(kind.to_owned());
        }
    }
    assert_eq!(described, KINDS, "every kind is described, in order");
    out
}

#[test]
fn the_event_catalogue_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let path = root.join("docs/event-catalogue.md");
    let wanted = catalogue(root);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("docs/event-catalogue.md can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/event-catalogue.md is out of date; run this test with UPDATE_DOCS=1");
}
