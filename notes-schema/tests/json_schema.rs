//! `docs/trace.schema.json` says what the types say: the same fields, the same limits, and, by a validator of others
//! (Python's `jsonschema`, where it is here), the same verdicts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use notes_schema::trace::{Record, limits};
use serde_json::{Value, json};

fn file(path: &str) -> Value {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn schema() -> Value {
    file("../docs/trace.schema.json")
}

/// A record with every field filled: one attempt ended by a signal, one by itself.
fn full() -> Value {
    file("golden/full-record.json")
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn it_has_the_fields_of_the_types() {
    let (schema, full) = (schema(), full());
    let attempts = full["attempts"].as_array().unwrap();
    let mut attempt: BTreeSet<String> = attempts.iter().flat_map(keys).collect();
    // Younger than the frozen bytes.
    attempt.insert("patch_omitted_why".to_owned());
    let mut root = keys(&full);
    // At its default, and so never written.
    root.insert("object_format".to_owned());
    let of = |pointer: &str| keys(schema.pointer(pointer).unwrap());
    assert_eq!(of("/properties"), root);
    assert_eq!(of("/$defs/attempt/properties"), attempt);
    let with = |pointer: &str| keys(full.pointer(pointer).unwrap());
    assert_eq!(of("/properties/env/properties"), with("/env"));
    assert_eq!(of("/properties/tokens/properties"), with("/tokens"));
    assert_eq!(of("/properties/recorder/properties"), with("/recorder"));
    assert_eq!(of("/$defs/output/properties"), with("/attempts/0/stdout"));
    assert_eq!(of("/$defs/attempt/properties/tests/properties"), with("/attempts/0/tests"));
}

#[test]
fn it_has_the_limits_of_the_decoder() {
    let schema = schema();
    let number = |pointer: &str| schema.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
    let attempt = "/$defs/attempt/properties";
    for (pointer, limit) in [
        ("/properties/attempts/maxItems".to_owned(), limits::ATTEMPTS),
        ("/properties/redactions/maxItems".to_owned(), limits::LIST),
        ("/properties/env/properties/tools/maxItems".to_owned(), limits::LIST),
        ("/properties/env/properties/lockfiles/maxItems".to_owned(), limits::LIST),
        ("/$defs/text/maxLength".to_owned(), limits::TEXT),
        ("/$defs/maybe_text/maxLength".to_owned(), limits::TEXT),
        ("/$defs/path/maxLength".to_owned(), limits::PATH),
        ("/$defs/output/properties/head/maxLength".to_owned(), limits::HEAD),
        ("/$defs/output/properties/tail/maxLength".to_owned(), limits::TAIL),
        (format!("{attempt}/argv/maxItems"), limits::ARGS),
        (format!("{attempt}/argv/items/maxLength"), limits::ARGV),
        (format!("{attempt}/reasoning/maxLength"), limits::REASONING),
        (format!("{attempt}/tests/properties/failed_names/maxItems"), limits::FAILED_NAMES),
    ] {
        assert_eq!(number(&pointer), limit as u64, "{pointer}");
    }
    let id = schema.pointer("/properties/id/pattern").and_then(Value::as_str).unwrap();
    assert!(id.contains(&format!("{{1,{}}}", limits::ID)), "{id}");
    let described = schema["properties"]["attempts"].to_string() + &schema["$defs"].to_string();
    assert!(described.contains(&format!("{} MiB", limits::INFLATED >> 20)));
}

/// Records that the decoder takes.
fn good() -> Vec<Value> {
    let (full, small) = (full(), small());
    let changed = |pointer: &str, value: Value| {
        let mut record = full.clone();
        *record.pointer_mut(pointer).unwrap() = value;
        record
    };
    vec![
        changed("/issue", Value::Null),
        changed("/mode", json!("simulator")),
        changed("/attempts/0/cwd", json!("a..b/...")),
        changed("/attempts/0/stdout", Value::Null),
        changed("/attempts/0/patch", Value::Null),
        changed("/attempts/1/exit", json!(-1)),
        {
            let mut record = full.clone();
            record["attempts"][1]["patch_omitted_why"] = json!("too large");
            record
        },
        changed("/attempts/0/stdout/head", json!("x".repeat(limits::HEAD))),
        full,
        small,
    ]
}

fn small() -> Value {
    let tree = "3f1c2ab0123456789012345678901234567890ab";
    json!({
        "v": 1, "id": "1795187145-77", "project": "parser", "agent": "alpha",
        "nonce": "000102030405060708090a0b0c0d0e0f", "head_tree": tree,
        "attempts": [{ "argv": ["cargo", "test"], "exit": 0, "tree": tree }]
    })
}

/// Records that the decoder refuses for something that a schema can say.
fn bad() -> Vec<(String, Value)> {
    let base = full();
    let mut all = Vec::new();
    let mut change = |pointer: &str, value: Value| {
        let mut record = base.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match record.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other}"),
        }
        all.push((format!("{pointer} = {}", value.to_string().chars().take(40).collect::<String>()), record));
    };
    change("/v", json!(2));
    change("/v", json!("1"));
    change("/attemps", json!([]));
    change("/id", json!("../x"));
    change("/id", json!("x".repeat(limits::ID + 1)));
    change("/project", json!("Parser"));
    change("/agent", Value::Null);
    change("/nonce", json!("00"));
    change("/mode", json!("other"));
    change("/object_format", json!("sha256"));
    change("/head_tree", json!("3f1c"));
    change("/prev", json!(7));
    change("/model", json!("x".repeat(limits::TEXT + 1)));
    change("/issue", json!(-1));
    change("/issue", json!(1.5));
    change("/tokens", json!({ "in": 1 }));
    change("/env/host", json!("box"));
    change("/env/lockfiles", json!([["/etc/passwd", "0".repeat(64)]]));
    change("/env/lockfiles", json!([["Cargo.lock", "00"]]));
    change("/env/tools", json!(vec![["a", "b"]; limits::LIST + 1]));
    change("/redactions", json!([["rule"]]));
    change("/attempts", json!([]));
    change("/attempts", json!(vec![base["attempts"][1].clone(); limits::ATTEMPTS + 1]));
    change("/attempts/0/argv", json!([]));
    change("/attempts/0/argv", json!([""]));
    change("/attempts/0/argv", json!(vec!["x"; limits::ARGS + 1]));
    change("/attempts/0/cwd", json!("a/../../x"));
    change("/attempts/0/cwd", json!("/x"));
    change("/attempts/0/argv", json!(["\0"]));
    change("/attempts/0/argv", json!(["a", "b\0"]));
    change("/attempts/0/cwd", json!("x\0y"));
    change("/attempts/0/exit", json!(1));
    change("/attempts/1/exit", Value::Null);
    change("/attempts/0/dur_ms", json!(0.5));
    change("/attempts/0/patch_omitted", json!(true));
    change("/attempts/0/patch_omitted_why", json!("too large"));
    change("/attempts/1/patch_omitted_why", json!("x".repeat(limits::TEXT + 1)));
    change("/attempts/0/stdout/head", json!("x".repeat(limits::HEAD + 1)));
    change("/attempts/0/stdout/more", json!(""));
    change("/attempts/0/stderr", json!({ "tail": "x".repeat(limits::TAIL + 1) }));
    change("/attempts/0/tests", json!({ "passed": 1 }));
    change("/attempts/0/reasoning", json!("x".repeat(limits::REASONING + 1)));
    change("/attempts/1/color", json!("red"));
    all
}

const VALIDATE: &str = "
import json, sys
try:
    import jsonschema
    validator = jsonschema.Draft202012Validator
except (ImportError, AttributeError):
    print('absent'); sys.exit()
given = json.load(sys.stdin)
validator.check_schema(given['schema'])
check = validator(given['schema'])
print(json.dumps([next((e.message for e in check.iter_errors(r)), None) for r in given['records']]))
";

/// What the validator has against each record; nothing where there is none.
fn validated(records: &[Value]) -> Option<Vec<Option<String>>> {
    let spawned = Command::new("python3").args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.ok()?;
    let given = json!({ "schema": schema(), "records": records }).to_string();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(given.as_bytes()));
    let output = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    if output.stdout.trim_ascii() == b"absent" {
        return None;
    }
    assert!(output.status.success(), "the schema is no schema");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_validator_agrees_with_the_decoder() {
    let (good, bad) = (good(), bad());
    let decode = |record: &Value| Record::decode_json(record.to_string().as_bytes());
    for record in &good {
        decode(record).unwrap_or_else(|e| panic!("{e}: {record:#}"));
    }
    for (what, record) in &bad {
        assert!(decode(record).is_err(), "{what} was taken");
    }
    let all: Vec<Value> = good.iter().chain(bad.iter().map(|(_, record)| record)).cloned().collect();
    let Some(found) = validated(&all) else { return };
    for (at, complaint) in found.iter().enumerate() {
        match at.checked_sub(good.len()) {
            None => assert_eq!(*complaint, None, "{:#}", all[at]),
            Some(nth) => assert!(complaint.is_some(), "the schema takes {}", bad[nth].0),
        }
    }
}
