//! `forge bench`: that every row can be measured and says what it should. No number is judged.

use serde_json::Value;
use tests::tool;

/// Beginnings of the names of the rows, in order.
const ROWS: [&str; 20] = [
    "clone of 20k objects, first after a push",
    "clone of 20k objects, repeated",
    "clone of 20k objects, first, server alone",
    "clone of 20k objects, repeated, server alone",
    "fetch of 20 new commits",
    "fetch of 20 new commits, bytes",
    "no-op mirror poll",
    "no-op mirror poll",
    "ls-refs with a prefix",
    "connect and `feed` over SSH",
    "durable events, 64 writers, POST /action",
    "durable events, 64 writers, commit point",
    "small push, one pusher",
    "small push, 64 pushers",
    "small push, 200 metadata refs",
    "small push, 200 metadata refs, stock too",
    "push while packs are merged, 99th percent",
    "push while packs are merged, longest",
    "small push, 400 events",
    "start with 400 events",
];

/// The same of `forge bench gate`.
const GATE_ROWS: [&str; 2] = ["small push, no record", "small push, a record of 64 attempts and 5"];

#[test]
fn bench_wire_measures_every_row_and_higher_is_better() {
    check(&["wire", "--events", "400"], &ROWS);
}

#[test]
fn bench_gate_measures_a_push_with_a_full_record_and_with_none() {
    check(&["gate"], &GATE_ROWS);
}

/// The same of `forge bench start`.
const START_ROWS: [&str; 4] = [
    "start, 200 events, 3 repositories, warm",
    "start, 200 events, 3 repositories, after SIGKILL",
    "start, 200 events, 3 repositories, without checkpoints",
    "start, 200 events, 3 repositories, cold, without checkpoints and index",
];

#[test]
fn bench_start_measures_a_start_with_each_set_of_caches() {
    check(&["start", "--repositories", "3"], &START_ROWS);
}

#[track_caller]
fn check(what: &[&str], names: &[&str]) {
    let report = tool(&[&["bench"], what, &["--quick", "--json"]].concat()).ok().json();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), names.len(), "{report:#}");
    for (row, name) in rows.iter().zip(names) {
        assert!(row["name"].as_str().unwrap().starts_with(name), "{row:#}");
        assert!(row["mark"].as_f64().is_some_and(|mark| mark > 0.0), "{row:#}");
        assert!(!row["reference_name"].as_str().unwrap().is_empty());
        let number = |key: &str| row[key].as_f64();
        match (number("ours"), number("reference"), number("ratio")) {
            (Some(ours), Some(reference), Some(ratio)) => {
                let better = match row["unit"].as_str().unwrap() {
                    "events/s" => ours / reference,
                    "ms" | "ms/push" | "bytes" => reference / ours,
                    unit => panic!("in which direction is {unit} better?"),
                };
                assert!((ratio - better).abs() <= ratio * 1e-9 && ratio > 0.0, "{row:#}");
            }
            // Only what is not on every machine may be missing, and it says why.
            _ => {
                assert!(name.contains("SSH") && row["ratio"] == Value::Null, "{row:#}");
                assert!(row["why"].as_str().is_some_and(|why| why.contains("sshd")), "{row:#}");
            }
        }
    }
    let machine = &report["machine"];
    for key in ["cpu", "kernel", "filesystem", "git", "build"] {
        assert!(machine[key].as_str().is_some_and(|text| !text.is_empty()), "{machine:#}");
    }
    assert!(machine["cores"].as_u64().is_some_and(|n| n > 0) && machine["memory_mib"].as_u64().is_some_and(|n| n > 0));
}
