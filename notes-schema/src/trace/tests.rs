use proptest::prelude::*;

use super::*;
use crate::budget::Overrun;

const TREE: &str = "3f1c2ab0123456789012345678901234567890ab";

/// The smallest record that can be made by hand.
const SMALL: &str = r#"{
  "v": 1,
  "id": "1795187145-77",
  "project": "parser",
  "agent": "alpha",
  "nonce": "000102030405060708090a0b0c0d0e0f",
  "head_tree": "3f1c2ab0123456789012345678901234567890ab",
  "attempts": [
    {"argv": ["cargo", "test"], "exit": 0, "tree": "3f1c2ab0123456789012345678901234567890ab"}
  ]
}"#;

fn small() -> Record {
    Record::decode_json(SMALL.as_bytes()).unwrap()
}

fn edit(change: impl FnOnce(&mut serde_json::Value)) -> Result<Record, TraceError> {
    let mut json: serde_json::Value = serde_json::from_str(SMALL).unwrap();
    change(&mut json);
    Record::decode_json(json.to_string().as_bytes())
}

/// A record with every field filled.
pub(crate) fn full() -> Record {
    let tree: Oid = TREE.parse().unwrap();
    let output = Output {
        bytes: 70_000,
        lines: 900,
        sha256: Some(Sha256::of(b"text")),
        head: "running 2 tests\n".into(),
        tail: "test result: FAILED. 1 passed; 1 failed; 1 ignored\n".into(),
    };
    let failed = Attempt {
        seq: 1,
        started_ms: 1_795_187_145_000,
        dur_ms: 1234,
        argv: vec!["cargo".into(), "test".into()],
        cwd: "parser/core".into(),
        tree: "0123456789012345678901234567890123456789".parse().unwrap(),
        patch: Some(vec![0x28, 0xb5, 0x2f, 0xfd, 0]),
        patch_omitted: false,
        patch_omitted_why: None,
        exit: None,
        signal: Some(9),
        timed_out: true,
        stdout: Some(output.clone()),
        stderr: Some(Output::default()),
        tests: Some(Tests {
            framework: "cargo-test".into(),
            passed: 1,
            failed: 1,
            ignored: 1,
            failed_names: vec!["names::zero".into()],
        }),
        reasoning: Some("The leak is in the arena; première idée.".into()),
        cpu_ms: Some(4000),
        max_rss_kib: Some(90_000),
    };
    let passed = Attempt {
        seq: 2,
        tree,
        patch: None,
        patch_omitted: true,
        exit: Some(0),
        signal: None,
        timed_out: false,
        ..failed.clone()
    };
    Record {
        v: 1,
        id: "01JD4Q9V6T7N8M9K0H1G2F3E4D".into(),
        project: "parser".parse().unwrap(),
        issue: Some(12),
        mode: Some(Mode::Simulator),
        agent: "alpha".parse().unwrap(),
        key_fp: Some("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".into()),
        nonce: Nonce::from_bytes([7; 16]),
        object_format: ObjectFormat::Sha1,
        base_commit: Some(tree),
        base_tree: Some(tree),
        head_tree: tree,
        prev: Some(Sha256::of(b"before")),
        subject: Some("challenge/3".into()),
        recorder: Some(Tool { name: "forge".into(), version: "0.1.0".into() }),
        model: Some("m-1".into()),
        tokens: Some(Tokens { input: 1_000_000, output: 20_000, cache_read: 5 }),
        env: Some(Environment {
            os: "linux".into(),
            arch: "x86_64".into(),
            cpus: 2,
            mem_mib: 4096,
            tools: vec![("cargo".into(), "1.95.0".into())],
            lockfiles: vec![("Cargo.lock".into(), Sha256::of(b"lock"))],
            image_digest: Some("sha256:00".into()),
        }),
        redactions: vec![("github-token".into(), 2)],
        trajectory_sha256: Some(Sha256::of(b"trajectory")),
        attempts: vec![failed, passed],
    }
}

#[test]
fn canonical_bytes_are_frozen() {
    crate::envelope::golden("small-record.hex", &hex(&small().canonical()));
    crate::envelope::golden("full-record.hex", &hex(&full().canonical()));
    crate::envelope::golden("full-record.json", &serde_json::to_string_pretty(&full().to_json()).unwrap());
}

#[test]
fn both_forms_are_one_record() {
    for record in [small(), full()] {
        let bytes = record.canonical();
        assert_eq!(Record::decode_msgpack(&bytes).unwrap(), record);
        let json = record.to_json().to_string();
        let again = Record::decode_json(json.as_bytes()).unwrap();
        assert_eq!(again.canonical(), bytes);
        assert_eq!(again.digest(), Sha256::of(&bytes));
    }
}

#[test]
fn spelled_defaults_change_nothing_in_json() {
    let spelled = edit(|json| {
        json["object_format"] = "sha1".into();
        json["issue"] = serde_json::Value::Null;
        json["redactions"] = serde_json::json!([]);
        json["attempts"][0]["seq"] = 1.into();
        json["attempts"][0]["timed_out"] = false.into();
    });
    assert_eq!(spelled.unwrap().digest(), small().digest());
}

#[test]
fn only_the_canonical_encoding_is_taken() {
    let record = small();
    // In the order of declaration instead of sorted.
    assert_eq!(Record::decode_msgpack(&crate::envelope::encode(&record)), Err(TraceError::NotCanonical));
    // As arrays instead of maps.
    let positional = rmp_serde::to_vec(&record).unwrap();
    assert!(Record::decode_msgpack(&positional).is_err());
    // A default spelled out, in its sorted place.
    let mut bytes = record.canonical();
    assert_eq!(bytes[0], 0x87, "seven fields");
    bytes[0] = 0x88;
    let at = bytes.windows(8).position(|w| w == b"\xa7project").unwrap();
    bytes.splice(at..at, *b"\xadobject_format\xa4sha1");
    assert_eq!(Record::decode_msgpack(&bytes), Err(TraceError::NotCanonical));
    // An integer longer than needed.
    let mut bytes = record.canonical();
    let end = bytes.len() - 1;
    assert_eq!(bytes[end], 1, "v");
    bytes.splice(end.., [0xcc, 1]);
    assert_eq!(Record::decode_msgpack(&bytes), Err(TraceError::NotCanonical));
    // One byte more, one byte less.
    let mut bytes = record.canonical();
    bytes.push(0xc0);
    assert_eq!(Record::decode_msgpack(&bytes), Err(TraceError::Overrun(Overrun::Trailing(1))));
    bytes.truncate(bytes.len() - 2);
    assert_eq!(Record::decode_msgpack(&bytes), Err(TraceError::Overrun(Overrun::Truncated)));
}

#[test]
fn every_limit_names_its_field() {
    let long = |n: usize| serde_json::Value::from("x".repeat(n));
    type Change = Box<dyn FnOnce(&mut serde_json::Value)>;
    let attempt = |name: &'static str, value: serde_json::Value| -> Change {
        Box::new(move |json| json["attempts"][0][name] = value)
    };
    let cases: Vec<(&str, Change)> = vec![
        ("attempts[0].stdout.head", attempt("stdout", serde_json::json!({ "head": long(limits::HEAD + 1) }))),
        ("attempts[0].stderr.tail", attempt("stderr", serde_json::json!({ "tail": long(limits::TAIL + 1) }))),
        ("attempts[0].reasoning", attempt("reasoning", long(limits::REASONING + 1))),
        ("attempts[0].argv", attempt("argv", vec!["x"; limits::ARGS + 1].into())),
        ("attempts[0].argv", attempt("argv", vec![long(limits::ARGV + 1)].into())),
        ("id", Box::new(move |json| json["id"] = "x".repeat(65).into())),
        ("model", Box::new(move |json| json["model"] = "x".repeat(limits::TEXT + 1).into())),
        (
            "attempts",
            Box::new(|json| {
                let one = json["attempts"][0].clone();
                json["attempts"] = vec![one; limits::ATTEMPTS + 1].into();
            }),
        ),
    ];
    for (field, change) in cases {
        match edit(change) {
            Err(error @ TraceError::Limit { .. }) => {
                assert!(error.to_string().starts_with(&format!("{field} holds ")), "{error}");
                assert!(error.is_limit());
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    let huge = edit(|json| json["attempts"][0]["patch"] = "A".repeat(limits::JSON_BYTES - 1024).into());
    assert!(matches!(huge, Err(TraceError::Overrun(Overrun::Bytes { allowed: 524_288, .. }))), "{huge:?}");
    let json = vec![b' '; limits::JSON_BYTES + 1];
    assert!(Record::decode_json(&json).unwrap_err().is_limit());
    assert!(Record::decode_msgpack(&json).unwrap_err().is_limit());
}

#[test]
fn bombs_are_refused_before_they_are_allocated() {
    // Arrays and maps that claim four thousand million elements, at every depth that is allowed.
    for head in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdf, 0xff, 0xff, 0xff, 0xff], &[0xc6, 0xff, 0xff, 0xff, 0xff]]
    {
        for depth in 0..32 {
            let bytes = [&vec![0x91; depth][..], head].concat();
            assert!(Record::decode_msgpack(&bytes).is_err(), "{bytes:?}");
        }
    }
    let nested = vec![0x91; 1 << 18];
    assert!(Record::decode_msgpack(&nested).unwrap_err().is_limit());
    let nested = vec![b'['; 1 << 19];
    assert!(matches!(Record::decode_json(&nested), Err(TraceError::Shape(_))));
    let unknown = format!("{{\"v\":1,\"x\":{}", "[".repeat(1 << 19));
    assert!(Record::decode_json(unknown.as_bytes()).is_err());
    // More values than any record has, in few bytes.
    let many = [&[0xdd, 0, 1, 0, 0][..], &vec![0xc0; 1 << 16]].concat();
    assert_eq!(Record::decode_msgpack(&many), Err(TraceError::Overrun(Overrun::Elements(50_000))));
}

#[test]
fn ten_thousand_attempts_are_refused_in_both_forms() {
    let mut record = small();
    record.attempts = vec![record.attempts[0].clone(); 10_000];
    record.attempts.iter_mut().zip(1..).for_each(|(attempt, seq)| attempt.seq = seq);
    let bytes = record.canonical();
    assert!(matches!(Record::decode_msgpack(&bytes), Err(TraceError::Overrun(_))), "{} bytes", bytes.len());
    // Few enough bytes, and too many attempts all the same.
    record.attempts.truncate(1000);
    let refused = Record::decode_msgpack(&record.canonical()).unwrap_err();
    assert_eq!(refused.to_string(), "attempts holds 65, 64 allowed");
    let json = record.to_json().to_string();
    assert!(json.len() < limits::JSON_BYTES);
    assert_eq!(Record::decode_json(json.as_bytes()), Err(refused));
}

#[test]
fn a_key_twice_is_refused_in_both_forms() {
    for at in ["\"v\": 1,", "\"agent\": \"alpha\",", "\"exit\": 0,"] {
        let twice = SMALL.replacen(at, &format!("{at} {at}"), 1);
        assert_ne!(twice, SMALL, "{at}");
        let error = Record::decode_json(twice.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{at}: {error}");
    }
    let mut bytes = small().canonical();
    let at = bytes.windows(6).position(|w| w == b"\xa5agent").unwrap();
    let pair = bytes[at..at + 12].to_vec();
    assert_eq!(&pair[6..], b"\xa5alpha");
    bytes[0] += 1;
    bytes.splice(at..at, pair);
    assert!(Record::decode_msgpack(&bytes).is_err());
}

#[test]
fn what_follows_a_record_is_refused_in_both_forms() {
    let mut bytes = small().canonical();
    bytes.extend(small().canonical());
    assert!(matches!(Record::decode_msgpack(&bytes), Err(TraceError::Overrun(Overrun::Trailing(_)))));
    let error = Record::decode_json(format!("{SMALL} {SMALL}").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("trailing characters"), "{error}");
    assert!(Record::decode_json(format!("{SMALL}\n\n").as_bytes()).is_ok(), "white space is nothing");
}

#[test]
fn patches_that_inflate_to_too_much_are_refused() {
    use base64::Engine as _;
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let zeros = encoded(include_bytes!("../../golden/zeros-64-mib.zst"));
    let refused = edit(|json| json["attempts"][0]["patch"] = zeros.into()).unwrap_err();
    assert_eq!(refused.to_string(), "attempts[0].patch (inflated) holds 67108864, 33554432 allowed");
    assert!(refused.is_limit());
    let patch = encoded(include_bytes!("../../golden/small-patch.zst"));
    assert!(edit(|json| json["attempts"][0]["patch"] = patch.into()).is_ok());
}

#[test]
fn rules_that_types_cannot_hold_are_checked() {
    type Change = fn(&mut serde_json::Value);
    let cases: &[(&str, Change)] = &[
        ("v must be 1", |json| json["v"] = 0.into()),
        ("format 2 is newer", |json| {
            json["v"] = 2.into();
            json["from_the_future"] = true.into();
        }),
        ("unknown field `attemps`", |json| json["attemps"] = 1.into()),
        ("id must be", |json| json["id"] = "../x".into()),
        ("nonce is 32", |json| json["nonce"] = "00".into()),
        ("head_tree must be the tree", |json| json["head_tree"] = "0123456789012345678901234567890123456789".into()),
        ("attempts must hold", |json| json["attempts"] = serde_json::json!([])),
        ("attempts[0].argv must begin", |json| json["attempts"][0]["argv"] = serde_json::json!([])),
        ("attempts[0].argv must hold no zero", |json| json["attempts"][0]["argv"][1] = "a\0b".into()),
        ("attempts[0].cwd must hold no zero", |json| json["attempts"][0]["cwd"] = "a\0b".into()),
        ("attempts[0].cwd must be a path", |json| json["attempts"][0]["cwd"] = "a/../../x".into()),
        ("attempts[0].exit must be there", |json| json["attempts"][0]["exit"] = serde_json::Value::Null),
        ("attempts[0].exit must be there", |json| json["attempts"][0]["signal"] = 9.into()),
        ("attempts[1].seq must grow", |json| {
            let mut one = json["attempts"][0].clone();
            one["seq"] = 1.into();
            json["attempts"] = vec![one.clone(), one].into();
        }),
        ("invalid type: floating point", |json| json["attempts"][0]["dur_ms"] = 0.5.into()),
    ];
    for (says, change) in cases {
        let error = edit(change).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn every_text_is_found_with_its_place() {
    let full = full();
    for (place, text) in [
        ("attempts[0].argv[1]", "test"),
        ("attempts[1].stdout.head", "running 2 tests\n"),
        ("env.tools[0][0]", "cargo"),
        ("redactions[0][0]", "github-token"),
        ("subject", "challenge/3"),
    ] {
        let found = full.find_text(|p, t| (p == place).then(|| t.to_owned()));
        assert_eq!(found.as_deref(), Some(text), "{place}");
    }
}

#[test]
fn why_a_patch_was_left_out_is_kept_and_only_then() {
    let mut record = full();
    record.attempts[1].patch_omitted_why = Some("more than 32 MiB".into());
    let bytes = record.canonical();
    assert_eq!(Record::decode_msgpack(&bytes).unwrap(), record);
    assert_eq!(Record::decode_json(record.to_json().to_string().as_bytes()).unwrap(), record);
    record.attempts[1].patch_omitted = false;
    assert!(Record::decode_msgpack(&record.canonical()).unwrap_err().to_string().contains("patch_omitted_why"));
}

#[test]
fn a_first_patch_starts_where_the_chain_is_whole_or_at_the_base() {
    let (before, mut record) = (full(), full());
    record.base_tree = Some(Oid::from_bytes([5; 20]));
    assert_eq!(record.starts_from(None), record.base_tree, "it follows nothing");
    assert_eq!(record.starts_from(Some(&before)), record.base_tree, "what it follows left its last patch out");
    let mut whole = before;
    (whole.attempts[1].patch, whole.attempts[1].patch_omitted) = (Some(vec![1]), false);
    assert_eq!(record.starts_from(Some(&whole)), Some(whole.head_tree));
    whole.nonce = Nonce::from_bytes([1; 16]);
    assert_eq!(record.starts_from(Some(&whole)), record.base_tree, "what it follows is of another `start`");
    record.base_tree = None;
    assert_eq!(record.starts_from(Some(&whole)), None);
}

prop_compose! {
    fn any_output()(bytes: u64, lines in 0u64..1000, hash: Option<[u8; 32]>, head in ".{0,40}", tail in ".{0,40}") -> Output {
        Output { bytes, lines, sha256: hash.map(Sha256::from_bytes), head, tail }
    }
}

prop_compose! {
    fn any_attempt()(
        started_ms: u64, dur_ms: u64, argv in prop::collection::vec("[^\\x00\n]{1,12}", 1..4), tree: [u8; 20], exit in -2i64..300,
        signal: bool, timed_out: bool, patch: Option<Vec<u8>>, stdout in prop::option::of(any_output()),
        reasoning in prop::option::of(".{0,40}"), passed: u64, cpu_ms: Option<u64>,
    ) -> Attempt {
        Attempt {
            seq: 0, started_ms, dur_ms, argv, cwd: String::new(), tree: Oid::from_bytes(tree), patch, patch_omitted: false,
            patch_omitted_why: None, exit: (!signal).then_some(exit), signal: signal.then_some(15), timed_out, stderr: stdout.clone(), stdout,
            tests: Some(Tests { framework: "tap".into(), passed, ..Tests::default() }), reasoning, cpu_ms, max_rss_kib: None,
        }
    }
}

proptest! {
    #[test]
    fn json_and_messagepack_agree_on_any_record(attempts in prop::collection::vec(any_attempt(), 1..5), nonce: [u8; 16]) {
        let mut record = small();
        record.nonce = Nonce::from_bytes(nonce);
        record.attempts = attempts;
        record.attempts.iter_mut().zip(1..).for_each(|(attempt, seq)| attempt.seq = seq);
        record.head_tree = record.last().tree;
        let bytes = record.canonical();
        prop_assert_eq!(&Record::decode_msgpack(&bytes).unwrap(), &record);
        let back = Record::decode_json(record.to_json().to_string().as_bytes()).unwrap();
        prop_assert_eq!(back.canonical(), bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode_msgpack(&bytes);
        let _ = Record::decode_json(&bytes);
    }

    #[test]
    fn damaged_records_do_not_panic_and_never_decode_to_other_bytes(at: prop::sample::Index, byte: u8) {
        let mut bytes = full().canonical();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = Record::decode_msgpack(&bytes) {
            prop_assert_eq!(record.canonical(), bytes);
        }
    }
}
