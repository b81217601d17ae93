//! `forge bench`: that every row can be measured and says what it should. No number is judged.

use serde_json::Value;
use tests::{plumbing, tool};

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

#[test]
fn a_swarm_walks_the_whole_loop_and_nothing_is_lost_doubled_or_reordered() {
    let agents = 60;
    // Thirty merge into one project at once; each walks the loop once at least.
    let flags = ["--agents", &agents.to_string(), "--projects", "2", "--seconds", "2", "--json"];
    let report = tool(&[&["bench", "swarm"], &flags[..]].concat()).ok().json();
    for found in ["lost", "duplicated", "reordered", "skipped", "unasked", "faults"] {
        assert_eq!(report[found].as_array().map(Vec::len), Some(0), "{found}: {report:#}");
    }
    assert_eq!(report["errors"].as_object().map(serde_json::Map::len), Some(0), "{report:#}");
    let operations = report["operations"].as_array().unwrap();
    let names: Vec<&str> = operations.iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["feed", "issue", "merge", "push", "review", "start", "submit"]);
    for operation in operations {
        assert!(operation["count"].as_u64().is_some_and(|n| n >= agents), "{operation:#}");
        assert!(operation["p50_ms"].as_f64() <= operation["p99_ms"].as_f64(), "{operation:#}");
    }
    assert!(report["merges"].as_u64().is_some_and(|n| n >= agents), "{report:#}");
    // An act is a write: of each loop the issue, the start, branch and record, submission, review, merge, what landed, and its
    // rating; and each agent's registration.
    let acknowledged = report["merges"].as_u64().unwrap() * 9 + agents;
    assert!(report["acknowledged"].as_u64().is_some_and(|n| n >= acknowledged), "{report:#}");
    assert!(report["looks"].as_u64().is_some_and(|n| n > agents), "{report:#}");
    for key in ["connected_mib", "peak_mib", "cpu_seconds"] {
        assert!(report["server"][key].as_f64().is_some_and(|n| n > 0.0), "{key}: {report:#}");
    }
}

#[test]
fn contests_are_ranked_and_rated_and_every_ledger_says_what_agents_were_told() {
    // It fails by itself where a submission does not count, ratings do not add up, or a farm gains.
    let played = ["--agents", "12", "--contests", "12", "--sealed", "40", "--trials", "400"];
    let report = tool(&[&["bench", "contests", "--json"], &played[..]].concat()).ok().json();
    for found in ["lost", "faults"] {
        assert_eq!(report[found].as_array().map(Vec::len), Some(0), "{found}: {report:#}");
    }
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "rating against hidden skill",
            "best gain in the farm nobody vouched for",
            "best gain in the ring of three owners",
            "best gain in the judge of its own",
            "best gain in the farm nobody vouched for, by tickets",
            "best gain in the ring of three owners, by tickets",
            "best gain in the judge of its own, by tickets",
            "credibility that a liar lost",
            "submissions that counted",
            "contests ranked",
        ]
    );
    // Two contests of six at once; each farm plays one for five of them.
    let submissions = rows[8]["ours"].as_f64().unwrap();
    assert!(submissions > 12.0 * 3.0 && rows[8]["reference"].as_f64() == Some(submissions), "{report:#}");
    for farm in &rows[1..7] {
        assert!(farm["ours"].as_f64() < farm["reference"].as_f64(), "{farm:#}");
    }
    // Two rounds of contests were decided by tests that nobody saw before, and who looks at what it is given was never wrong.
    let verified = &report["verified"];
    let count = |key: &str| verified[key].as_u64().unwrap_or_else(|| panic!("no {key}: {report:#}"));
    assert!(count("contests") == 4 && count("trials") > 0 && count("wronged") == 0, "{report:#}");
    assert!(count("least_of_others") >= 3 && count("liars_credibility") <= 10, "{report:#}");
    // The leader of the farm did win: it is the bound that holds it.
    assert!(rows[1]["ours"].as_f64().is_some_and(|gain| gain > 1_000.0), "{report:#}");
    assert_eq!(rows[4]["why"], serde_json::Value::Null, "its merges rate it: {report:#}");
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

/// The same of `forge bench pages`.
const PAGES_ROWS: [&str; 18] = [
    "blob, first",
    "blob, again",
    "blame, first",
    "blame, again",
    "log, first",
    "log, again",
    "log of a path that changes often, first",
    "log of a path that changes often, again",
    "log of a path that seldom does, first",
    "log of a path that seldom does, again",
    "commit, first",
    "commit, again",
    "compare, first",
    "compare, again",
    "find, first",
    "find, again",
    "find where nobody searched, first",
    "find where nobody searched, again",
];

#[test]
fn bench_pages_looks_at_every_page_and_each_keeps_to_its_budget() {
    // It fails by itself where a page loads too much.
    let report = check(&["pages"], &PAGES_ROWS);
    let looks = report["looks"].as_array().unwrap();
    let pages: Vec<&str> = looks.iter().map(|look| look["page"].as_str().unwrap()).collect();
    let code = ["tree", "blob", "blame", "log", "log of a path", "commit", "compare"];
    let work = ["issue", "pull", "trace", "agent", "search", "find"];
    assert_eq!(pages, [&["today", "project"][..], &code, &work].concat());
    for look in looks {
        let number = |key: &str| look[key].as_u64().unwrap();
        // A page is never alone: its script is the other request.
        assert_eq!(number("requests"), 2, "{look:#}");
        // What comes is packed.
        assert!(number("bytes") > 1_000 && number("bytes") < number("text"), "{look:#}");
        for key in ["first_ms", "again_ms", "unchanged_ms"] {
            assert!(look[key].as_f64().is_some_and(|took| took > 0.0), "{look:#}");
        }
    }
    assert_eq!(report["faults"].as_array().map(Vec::len), Some(0), "{report:#}");
}

#[test]
fn bench_pages_takes_a_repository_and_leaves_it_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let shape = tests::repository::Shape { commits: 60, files: 40, blobs: 1, blob_bytes: 4096 };
    plumbing::git(dir.path(), &["init", "-q", "--bare", "-b", "trunk", "."]).ok();
    tests::repository::make(dir.path(), &shape).unwrap();
    plumbing::git(dir.path(), &["symbolic-ref", "HEAD", "refs/heads/main"]).ok();
    let refs = || plumbing::git(dir.path(), &["for-each-ref"]).ok().stdout;
    let before = refs();
    check(&["pages", "--repository", dir.path().to_str().unwrap()], &PAGES_ROWS);
    assert_eq!(refs(), before);
}

#[track_caller]
fn check(what: &[&str], names: &[&str]) -> Value {
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
    report
}
