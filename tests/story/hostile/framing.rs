//! Requests that are not framed as git frames them, or that never come to an end.

use tests::plumbing::ZERO;
use tests::raw::{DOORS, Door, pkt, push, push_with, request};

use super::siege;

/// What stands where a pkt-line should, and what is said to it.
pub(super) const FRAMES: [(&str, &str); 13] = [
    ("0002", "the special pkt-line 0002 is not allowed here"),
    ("0003", "the special pkt-line 0003 is not allowed here"),
    ("fff1", "a pkt-line of 65521 bytes is longer than the 65520 that git allows"),
    ("FFFF", "a pkt-line of 65535 bytes is longer than the 65520 that git allows"),
    ("zzzz", "`zzzz` is no pkt-line length: it takes four hexadecimal digits"),
    ("-001", "`-001` is no pkt-line length: it takes four hexadecimal digits"),
    ("+00a", "`+00a` is no pkt-line length: it takes four hexadecimal digits"),
    ("0x10", "`0x10` is no pkt-line length: it takes four hexadecimal digits"),
    ("  10", "`  10` is no pkt-line length: it takes four hexadecimal digits"),
    ("\0\0\0\0", "`    ` is no pkt-line length: it takes four hexadecimal digits"),
    ("\u{1b}[2J", "` [2J` is no pkt-line length: it takes four hexadecimal digits"),
    ("00", "the connection ended in the middle of a pkt-line"),
    ("0032want 01", "the connection ended in the middle of a pkt-line"),
];

#[test]
fn every_illegal_pkt_line_is_refused_at_both_doors() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    target.survives(|| {
        for door in DOORS {
            // The same code reads behind both doors, so a few have to show that.
            let every = if door == Door::Ssh { 4 } else { 1 };
            for (frame, why) in FRAMES.into_iter().step_by(every) {
                let want = pkt(format!("want {}\n", target.main));
                let update = format!("{ZERO} {} refs/heads/mallory/x", target.main);
                let command = pkt(format!("{update}\0report-status side-band-64k"));
                let said = format!("ERR {why}");
                assert_eq!(raw.fetch(door, 0, frame.as_bytes()), said, "{door:?} v0 {frame:?}");
                assert_eq!(raw.fetch(door, 1, &[&want, frame.as_bytes()].concat()), said, "{door:?} v1 {frame:?}");
                let v2 = [&request(&["command=fetch", "0001"]), &want, frame.as_bytes()].concat();
                assert_eq!(raw.fetch(door, 2, &v2), said, "{door:?} v2 {frame:?}");
                assert_eq!(raw.push(door, frame.as_bytes()), said, "{door:?} push {frame:?}");
                let second = raw.push(door, &[&command, frame.as_bytes()].concat());
                assert_eq!(second, format!("fatal: {why}"), "{door:?} push {frame:?}");
            }
            // A delimiter is v2's alone, and there it separates once.
            let delimiter = "ERR the special pkt-line 0001 is not allowed here";
            assert_eq!(raw.fetch(door, 0, b"0001"), delimiter);
            assert_eq!(raw.push(door, b"0001"), delimiter);
            assert_eq!(raw.fetch(door, 2, &request(&["command=fetch", "0001", "0001"])), "ERR a second delimiter");
            // The largest line that git allows is read, and then taken for what it says.
            let largest = raw.fetch(door, 0, &pkt("x".repeat(65_516)));
            assert!(largest.starts_with("ERR upload-pack: unexpected line: `xxx"), "{largest}");
            assert!(largest.len() < 2_100, "a refusal repeats no more than a little of what it refuses");
            assert_eq!(raw.push(door, b"0004"), "ERR protocol error: expected old/new/ref, got ``");
        }
    });
}

#[test]
fn capabilities_by_the_megabyte_are_read_and_forgotten_up_to_the_budget() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    target.survives(|| {
        let listed = format!("{} HEAD\n{} refs/heads/main", target.main, target.main);
        for door in DOORS {
            let option = pkt(format!("server-option={}", "o".repeat(60_000)));
            let ls_refs = [request(&["0001", "ref-prefix HEAD", "ref-prefix refs/heads/", "0000"])].concat();
            let asked = |lines: usize| [pkt("command=ls-refs"), option.repeat(lines), ls_refs.clone()].concat();
            assert_eq!(raw.fetch(door, 2, &asked(70)), listed, "{door:?}: 4 MB");
            let over = "ERR the request is larger than 16777216 bytes; ask for less at once";
            assert_eq!(raw.fetch(door, 2, &asked(300)), over, "{door:?}: 18 MB");
            let unknown = raw.fetch(door, 2, &request(&["command=ls-refs", &"x".repeat(65_000), "0000"]));
            assert!(unknown.starts_with("ERR unknown capability `xxx") && unknown.len() < 2_100, "{unknown}");

            // One line's worth of words behind the first want and the first command.
            let words = "word ".repeat(12_000);
            let wanted = request(&[&format!("want {} {words}", target.main), "0000", "done\n"]);
            assert!(raw.fetch(door, 0, &wanted).ends_with("PACK"), "{door:?}: capabilities that nobody knows");
            let command = format!("{} {ZERO} refs/heads/mallory/none", target.main);
            let pushed = raw.push(door, &push_with(&format!("report-status {words}"), &[command], b""));
            assert!(pushed.starts_with("unpack ok\nng refs/heads/mallory/none "), "{door:?}: {pushed}");
            // Lines that bring nothing, without end.
            let shallow: Vec<u8> = (0..110_000).flat_map(|n| pkt(format!("shallow {n:040x}"))).collect();
            assert_eq!(raw.push(door, &shallow), "ERR a push may have at most 100000 shallow lines");
        }
    });
}

#[test]
fn more_commands_than_a_push_may_have_are_refused_whole() {
    let siege = siege();
    let target = siege.project();
    let commands: Vec<String> =
        (0..200_000).map(|n| format!("{ZERO} {} refs/heads/mallory/many-{n}", target.main)).collect();
    target.survives(|| {
        for door in DOORS {
            let answer = target.raw.push(door, &push(&commands, b""));
            assert_eq!(answer, "fatal: a push may have at most 10000 commands; push in several parts", "{door:?}");
        }
        let long = format!("{ZERO} {} refs/heads/{}", target.main, "n".repeat(2_000));
        let answer = target.raw.push(Door::Http, &push(&[long], b""));
        assert_eq!(answer, "fatal: a push may have at most 1024 bytes in a ref's name");
    });
}

#[test]
fn as_many_commands_as_may_be_cost_their_sender() {
    let siege = siege();
    let target = siege.project();
    // Refused one by one: each name has a refusal and a next command of its own.
    let refused: Vec<String> =
        (0..10_000).map(|n| format!("{ZERO} {} refs/heads/main/below-{n}", target.main)).collect();
    let empty = tests::raw::Pack::default().finish();
    target.survives(|| {
        let answer = target.raw.push(Door::Http, &push(&refused, &empty));
        assert_eq!(answer.matches("\nng refs/heads/main/below-").count(), 10_000);
    });
    // And taken, while the innocent agent reads and pushes elsewhere.
    let made: Vec<String> =
        (0..10_000).map(|n| format!("{ZERO} {} refs/heads/mallory/many/{n}", target.main)).collect();
    let answer = target.raw.push(Door::Http, &push(&made, &empty));
    assert_eq!(answer.matches("\nok refs/heads/mallory/many/").count(), 10_000, "{}", &answer[..answer.len().min(300)]);
    siege.forge_is_well();
}
