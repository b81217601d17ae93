//! Records that are no records, or too much of one; and records that come twice, or from many, at once.

use std::path::Path;
use std::sync::Barrier;

use tests::Agent;
use tests::flow::{self, Work};
use tests::plumbing::{self, ZERO};
use tests::raw::{DOORS, Door, Pack, commit, push, tree, zeros};

use super::packs::unpacked;
use super::{Target, siege};

/// What is said of a record whose one file holds `content`; after it must come how to be rid of it.
#[track_caller]
fn verdict(target: &Target, door: Door, file: &str, content: &[u8]) -> String {
    let name = "refs/notes/forge/in/mallory/r1";
    let mut pack = Pack::default();
    let blob = pack.whole("blob", content);
    let holder = pack.whole("tree", &tree(&[("100644", file.as_bytes(), blob)]));
    let id = pack.whole("commit", &commit(holder, &[], "r1"));
    let answer = target.raw.push(door, &push(&[format!("{ZERO} {} {name}", tests::raw::hex(&id))], &pack.finish()));
    let next = "\nremote: next: git update-ref -d refs/notes/forge/out/r1 && git push";
    let whole = answer.strip_suffix(next).and_then(|rest| rest.strip_prefix(&format!("unpack ok\nng {name} ")));
    whole.unwrap_or_else(|| panic!("it should have been refused: {answer}")).to_owned()
}

/// A record as JSON, with `edit` put in the place of `what`.
fn json(what: &str, edit: &str) -> Vec<u8> {
    let tree = "1".repeat(40);
    let whole = format!(
        r#"{{"v":1,"id":"r1","project":"target","agent":"mallory","nonce":"{}","head_tree":"{tree}","attempts":[{{"argv":["true"],"exit":0,"tree":"{tree}"}}]}}"#,
        "0".repeat(32)
    );
    assert!(whole.contains(what));
    whole.replacen(what, edit, 1).into_bytes()
}

#[test]
fn bytes_that_are_no_record_are_refused_with_the_reason() {
    let siege = siege();
    let target = siege.project();
    let attempt = String::from_utf8(json("", "")).unwrap();
    let attempt = &attempt[attempt.find("[{").unwrap() + 1..attempt.len() - 2];
    let many = vec![attempt; 10_000].join(",");
    let thousand = vec![attempt; 1_000].join(",");
    let claims = |head: u8, depth: usize| [&vec![0x91; depth][..], &[head, 0xff, 0xff, 0xff, 0xff]].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        // MessagePack that claims four thousand million elements, bytes or levels.
        ("record", claims(0xdd, 0), "E02: the record: ends inside a value"),
        ("record", claims(0xdf, 8), "E02: the record: ends inside a value"),
        ("record", claims(0xc6, 0), "E02: the record: ends inside a value"),
        ("record", vec![0x91; 1 << 18], "E01: the record: nested deeper than 32"),
        ("record", [&[0xdd, 0, 1, 0, 0][..], &vec![0xc0; 1 << 16]].concat(), "E01: the record: more than 50000 values"),
        ("record", vec![0xc0; 600 << 10], "E01: the record: 614400 bytes, 524288 allowed"),
        ("record", vec![0xc0, 0xc0], "E02: the record: 1 bytes after the end of the value"),
        ("record", vec![0xcb; 9], "E02: the record: byte 0xcb starts no value of this format"),
        (
            "record.json",
            json("\"exit\":0", "\"exit\":0,\"exit\":0"),
            "E02: not a trace record: duplicate field `exit` at line 1 column 196",
        ),
        (
            "record.json",
            json("\"agent\"", "\"agent\":\"innocent\",\"agent\""),
            "E02: not a trace record: duplicate field `agent` at line 1 column 62",
        ),
        (
            "record.json",
            [json("", ""), json("", "")].concat(),
            "E02: not a trace record: trailing characters at line 1 column 243",
        ),
        (
            "record.json",
            vec![b'['; 1 << 19],
            "E02: not a trace record: invalid type: sequence, expected u64 at line 1 column 1",
        ),
        ("record.json", json(attempt, &many), "E01: attempts holds 65, 64 allowed"),
        ("record.json", json(attempt, &thousand), "E01: attempts holds 65, 64 allowed"),
        (
            "record.json",
            json("\"argv\":[\"true\"]", "\"argv\":[]"),
            "E02: attempts[0].argv must begin with the command's name",
        ),
        ("record.json", vec![b' '; (1 << 20) + 1], "E01: the record: 1048577 bytes, 1048576 allowed"),
    ];
    target.survives(|| {
        for (n, (file, content, why)) in cases.iter().enumerate() {
            assert_eq!(verdict(&target, DOORS[n % 2], file, content), *why, "case {n}");
        }
    });
}

#[test]
fn a_note_of_two_gigabytes_is_refused_by_what_it_declares() {
    let siege = siege();
    let target = siege.project();
    target.survives(|| {
        for door in DOORS {
            let mut pack = Pack::default();
            // The stream would go on; what comes of it is a few bytes.
            pack.entry(3, 2 << 30, &[], &zeros(64 << 10, false));
            let why = "the object at byte 12 has 2147483648 bytes, more than 134217728; keep large files out of git";
            assert_eq!(unpacked(&target.raw, door, &pack.finish()), why);
        }
    });
}

/// Two pushes in their clones at the same moment, both of which must land.
fn at_once(pushes: [(&Agent, &Path); 2]) {
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        let running = pushes.map(|(agent, dir)| {
            let both = &both;
            scope.spawn(move || {
                both.wait();
                agent.git(dir, &["push"])
            })
        });
        running.into_iter().for_each(|push| drop(push.join().expect("a push").ok()));
    });
}

/// How many records of `work`'s agent the project keeps, as a client sees it.
fn kept(work: &Work) -> usize {
    work.git(&["fetch", "-q", "origin", "+refs/forge/traces/*:refs/traces/*"]).ok();
    let said = work.git(&["log", "--format=%B", "--glob=refs/traces"]).ok().stdout;
    said.lines().filter(|line| line.starts_with(&format!("- {} ran ", work.agent.name))).count()
}

#[test]
fn records_of_two_agents_at_once_both_arrive_and_the_same_one_twice_arrives_once() {
    let siege = siege();
    let agents = ["castor", "pollux"].map(|name| siege.forge.agent(name));
    flow::found_project(&agents[0], "twins", &[("README.md", "twins\n")]);
    let works = [1, 2].map(|n| {
        let issue = flow::open_issue(&agents[0], "twins", &format!("Question {n}"));
        Work::start(&agents[n - 1], &issue)
    });
    for round in 0..4 {
        for work in &works {
            work.write("file", &format!("{round}\n"));
            work.record("true").ok();
            work.commit("Another");
        }
        at_once([0, 1].map(|n| (&agents[n], works[n].dir.as_path())));
    }
    assert_eq!([0, 1].map(|n| kept(&works[n])), [4, 4]);
    // The same clone twice: the answer to a push may have been lost.
    works[0].write("file", "once\n");
    works[0].record("true").ok();
    works[0].commit("Once");
    let copy = agents[0].home().join("copy");
    plumbing::copy_tree(&works[0].dir, &copy);
    at_once([&works[0].dir, &copy].map(|dir| (&agents[0], dir.as_path())));
    assert_eq!(kept(&works[0]), 5);
    siege.forge_is_well();
}
