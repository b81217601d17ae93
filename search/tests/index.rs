//! The index through its public face, on real directories.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use notes_schema::{Oid, ProjectName};
use proptest::prelude::*;
use search::{Error, Filter, Index, Item, Kind, Moment, Sort, State};

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn at(number: u64) -> Moment {
    Moment { number, commit: Oid::from_bytes([number as u8; 20]) }
}

fn item(name: &str, n: u64, title: &str, body: &str) -> Item {
    Item {
        project: project(name),
        n,
        kind: if n == 0 { Kind::Project } else { Kind::Issue },
        state: State::Open,
        title: title.to_owned(),
        body: body.to_owned(),
        author: "alpha".to_owned(),
        labels: vec![],
        lang: None,
        seq: 1000 + n,
        opened_seq: n,
    }
}

fn open(dir: &Path) -> Index {
    Index::open(dir).unwrap().0
}

fn text(text: &str) -> Filter {
    Filter { text: text.to_owned(), ..Filter::default() }
}

fn refs(index: &Index, filter: &Filter) -> Vec<String> {
    index.list(filter, 1000, None).unwrap().iter().map(|i| format!("{}#{}", i.project, i.n)).collect()
}

/// Runs a check on what was only just written, and again on what is committed.
fn before_and_after_commit(index: &Index, check: impl Fn(&Index)) {
    check(index);
    index.flush().unwrap();
    check(index);
}

#[test]
fn a_write_is_seen_by_the_next_query_and_replaces_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let parser = project("parser");
    index
        .update(&parser, at(1), vec![item("parser", 1, "Fix memory leak", ""), item("parser", 2, "Add cache", "")])
        .unwrap();
    before_and_after_commit(&index, |index| {
        assert_eq!(refs(index, &Filter::default()), ["parser#2", "parser#1"]);
        assert_eq!(refs(index, &text("leaks")), ["parser#1"]);
    });
    let mut closed = item("parser", 1, "Fix file handle leak", "");
    closed.state = State::Closed;
    index.update(&parser, at(2), vec![closed]).unwrap();
    before_and_after_commit(&index, |index| {
        assert_eq!(refs(index, &text("memory")), Vec::<String>::new());
        assert_eq!(refs(index, &text("is:open")), ["parser#2"]);
        assert_eq!(refs(index, &text("handle is:closed")), ["parser#1"]);
        assert_eq!(index.count(&Filter::default()).unwrap(), 2);
        assert_eq!(index.reflects()[&parser], at(2));
    });
}

#[test]
fn rebuild_remove_and_clear_hide_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let (a, b) = (project("a"), project("b"));
    index.update(&a, at(1), vec![item("a", 1, "one", ""), item("a", 2, "two", "")]).unwrap();
    index.update(&b, at(1), vec![item("b", 3, "three", ""), item("a", 9, "not of b", "")]).unwrap();
    index.flush().unwrap();
    index.rebuild(&a, at(5), vec![item("a", 2, "second", "")]).unwrap();
    before_and_after_commit(&index, |index| {
        assert_eq!(refs(index, &Filter::default()), ["b#3", "a#2"]);
        assert_eq!(refs(index, &text("two")), Vec::<String>::new());
    });
    index.remove_project(&b).unwrap();
    before_and_after_commit(&index, |index| {
        assert_eq!(refs(index, &Filter::default()), ["a#2"]);
        assert_eq!(index.reflects().into_iter().collect::<Vec<_>>(), [(a.clone(), at(5))]);
    });
    index.update(&b, at(7), vec![item("b", 4, "four", "")]).unwrap();
    index.clear().unwrap();
    index.update(&a, at(8), vec![item("a", 5, "five", "")]).unwrap();
    before_and_after_commit(&index, |index| assert_eq!(refs(index, &Filter::default()), ["a#5"]));
    drop(index);
    let (index, reflects) = Index::open(dir.path()).unwrap();
    assert_eq!(reflects.into_iter().collect::<Vec<_>>(), [(a, at(8))]);
    assert_eq!(refs(&index, &Filter::default()), ["a#5"]);
}

#[test]
fn what_was_not_committed_is_not_claimed_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let parser = project("parser");
    index.update(&parser, at(1), vec![item("parser", 1, "one", "")]).unwrap();
    index.flush().unwrap();
    index.update(&parser, at(2), vec![item("parser", 2, "two", "")]).unwrap();
    drop(index);
    let (index, reflects) = Index::open(dir.path()).unwrap();
    assert_eq!(reflects[&parser], at(1));
    assert_eq!(refs(&index, &Filter::default()), ["parser#1"]);
}

#[test]
fn one_directory_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    assert!(matches!(Index::open(dir.path()), Err(Error::Busy)));
    index.update(&project("a"), at(1), vec![item("a", 1, "one", "")]).unwrap();
    index.flush().unwrap();
    drop(index);
    assert_eq!(refs(&open(dir.path()), &Filter::default()), ["a#1"]);
}

#[test]
fn damage_leaves_an_empty_index_and_no_claim() {
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        index.update(&project("a"), at(1), (1..50).map(|n| item("a", n, "one title", "and a body")).collect()).unwrap();
        index.flush().unwrap();
        drop(index);
        dir
    };
    let files = |dir: &Path| {
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|f| f.extension().is_none_or(|e| e != "lock"));
        files.sort();
        files
    };
    let count = files(make().path()).len();
    assert!(count > 5, "a segment has several files");
    for which in 0..count {
        for how in ["flip", "cut", "remove", "empty"] {
            let dir = make();
            let path = files(dir.path())[which].clone();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut bytes = std::fs::read(&path).unwrap();
            match how {
                "flip" => bytes[0] ^= 0x55,
                "cut" => bytes.truncate(bytes.len() / 2),
                _ => bytes.clear(),
            }
            std::fs::remove_file(&path).unwrap();
            if how != "remove" {
                std::fs::write(&path, &bytes).unwrap();
            }
            let (index, reflects) = Index::open(dir.path()).unwrap_or_else(|e| panic!("{name} {how}: {e}"));
            // The list of managed files is only there for collecting garbage; without it the index is still whole.
            let whole = name == ".managed.json" && reflects.len() == 1;
            let expected = if whole { 49 } else { 0 };
            assert_eq!(index.count(&Filter::default()).unwrap(), expected, "{name} {how}");
            assert_eq!(reflects.len(), usize::from(whole), "{name} {how}");
            index.rebuild(&project("a"), at(1), vec![item("a", 1, "again", "")]).unwrap();
            index.flush().unwrap();
            assert_eq!(refs(&index, &text("again")), ["a#1"]);
        }
    }
}

#[test]
fn an_index_of_another_version_is_wiped() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    index.update(&project("a"), at(1), vec![item("a", 1, "one", "")]).unwrap();
    index.flush().unwrap();
    drop(index);
    let meta = dir.path().join("meta.json");
    let text = std::fs::read_to_string(&meta).unwrap();
    assert!(text.contains("forge-search 2"));
    std::fs::write(&meta, text.replace("forge-search 2", "forge-search 0")).unwrap();
    let (index, reflects) = Index::open(dir.path()).unwrap();
    assert!(reflects.is_empty());
    assert_eq!(index.count(&Filter::default()).unwrap(), 0);
}

/// A pseudo-random sequence, the same in every run.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

const WORDS: &[&str] = &["memory", "leak", "parser", "cache", "fix", "crash", "unicode", "漏れ", "foo_bar", "12"];

fn many(count: u64, seed: u64) -> Vec<Item> {
    let mut next = numbers(seed);
    (0..count)
        .map(|i| {
            let word = |r: u64| WORDS[r as usize];
            let title = format!("{} {}", word(next(10)), word(next(10)));
            let body = (0..next(12)).map(|_| word(next(10))).collect::<Vec<_>>().join(" ");
            let mut made = item(["parser", "web", "auth"][next(3) as usize], i / 3, &title, &body);
            made.n = i + 1;
            made.kind = if next(3) == 0 { Kind::Pull } else { Kind::Issue };
            made.state = [State::Open, State::Closed, State::Merged][next(3) as usize];
            made.author = ["alpha", "beta"][next(2) as usize].to_owned();
            made.labels = [vec![], vec!["Bug".to_owned()], vec!["good first".to_owned(), "bug".to_owned()]]
                [next(3) as usize]
                .clone();
            made.lang = [None, Some("Rust".to_owned())][next(2) as usize].clone();
            // Numbers that repeat: the order must not depend on where documents lie even then.
            made.opened_seq = i / 4;
            made.seq = count - next(count / 2 + 1);
            made
        })
        .collect()
}

fn put_all(index: &Index, items: Vec<Item>, per_commit: usize) {
    for (i, made) in items.into_iter().enumerate() {
        index.update(&made.project.clone(), at(i as u64), vec![made]).unwrap();
        if i % per_commit == per_commit - 1 {
            index.flush().unwrap();
        }
    }
}

#[test]
fn lists_do_not_depend_on_how_the_index_came_to_be() {
    let items = many(300, 1);
    let mut shuffled = items.clone();
    let mut next = numbers(2);
    for i in (1..shuffled.len()).rev() {
        shuffled.swap(i, next(i as u64 + 1) as usize);
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (straight, other) = (open(dirs[0].path()), open(dirs[1].path()));
    put_all(&straight, items, 1000);
    put_all(&other, many(300, 3), 70);
    put_all(&other, shuffled, 45);
    // Projects may differ between the two seeds; only the same items must be left.
    for name in ["parser", "web", "auth"] {
        let wanted = many(300, 1).into_iter().filter(|i| i.project.as_str() == name).collect();
        other.rebuild(&project(name), at(999), wanted).unwrap();
        other.flush().unwrap();
    }
    for filter in
        ["", "is:open", "leak", "is:pr label:bug", "\"memory leak\"", "project:web lang:rust", "author:beta cache"]
    {
        for sort in [Sort::Newest, Sort::Active] {
            let filter = Filter { sort, ..text(filter) };
            let whole = straight.list(&filter, 1000, None).unwrap();
            assert!(!whole.is_empty(), "{filter:?}");
            assert_eq!(whole, other.list(&filter, 1000, None).unwrap(), "{filter:?}");
            assert_eq!(whole.len() as u64, other.count(&filter).unwrap());
            let mut paged = Vec::new();
            while let page =
                other.list(&filter, 7, paged.last().map(|i: &std::sync::Arc<Item>| i.cursor(sort))).unwrap()
                && !page.is_empty()
            {
                paged.extend(page);
            }
            assert_eq!(paged, whole, "{filter:?} by pages");
        }
        assert_eq!(straight.search(filter, 50).unwrap(), other.search(filter, 50).unwrap());
    }
}

#[test]
fn twenty_thousand_items_list_correctly() {
    let items = many(20_000, 7);
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    for name in ["parser", "web", "auth"] {
        index
            .update(&project(name), at(1), items.iter().filter(|i| i.project.as_str() == name).cloned().collect())
            .unwrap();
    }
    let mut expected: Vec<_> =
        items.iter().filter(|i| i.state == State::Open && i.kind == Kind::Issue).cloned().collect();
    expected.sort_by_key(|i| std::cmp::Reverse(i.cursor(Sort::Newest)));
    let filter = Filter { kind: Some(Kind::Issue), state: Some(State::Open), ..Filter::default() };
    before_and_after_commit(&index, |index| {
        let found = index.list(&filter, 20, None).unwrap();
        assert_eq!(found.iter().map(|i| &**i).collect::<Vec<_>>(), expected[..20].iter().collect::<Vec<_>>());
        assert_eq!(index.count(&filter).unwrap(), expected.len() as u64);
    });
}

#[test]
fn search_puts_titles_first_and_shows_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut hostile = item("parser", 3, "About\u{1b}[2J \u{202e}leaks", "");
    hostile.seq = 1;
    index
        .update(
            &project("parser"),
            at(1),
            vec![
                item("parser", 1, "Something else", "line one\n\nthere is a **memory** leak\u{7} here"),
                item("parser", 2, "Unrelated", "nothing, but see parser#1"),
                hostile,
            ],
        )
        .unwrap();
    before_and_after_commit(&index, |index| {
        let hits = index.search("leak", 10).unwrap();
        let shown: Vec<_> = hits.iter().map(|h| (h.n, h.title.as_str(), h.snippet.as_str())).collect();
        assert_eq!(
            shown,
            [(3, "About [2J leaks", ""), (1, "Something else", "line one there is a **memory** leak here")]
        );
        assert_eq!(index.search("parser#1", 10).unwrap().iter().map(|h| h.n).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(index.search("leak", 1).unwrap().len(), 1);
        for nothing in ["- *", "\"\"", "(((", "project:web leak", "is:merged"] {
            assert_eq!(index.search(nothing, 10).unwrap(), [], "{nothing}");
        }
    });
}

#[test]
fn threads_see_their_own_writes() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let index = &index;
            scope.spawn(move || {
                for n in 1..=400u64 {
                    index.update(&project(name), at(n), vec![item(name, n, "title", "")]).unwrap();
                    let mine = Filter { project: Some(project(name)), ..Filter::default() };
                    assert_eq!(index.count(&mine).unwrap(), n);
                    assert_eq!(index.list(&mine, 1, None).unwrap()[0].n, n);
                    if n % 100 == 0 {
                        index.flush().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(index.count(&Filter::default()).unwrap(), 1200);
}

fn some_query() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        2 => proptest::sample::select(vec![
            "is:open", "is:merged", "is:pr", "label:BUG", "label:\"good first\"", "author:beta", "lang:rust", "project:web",
            "web#12", "\"memory leak\"", "\"cache fix", "is:?", "label:", "- *", "\"\"",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => ".{0,12}",
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.join(" "))
}

#[test]
fn the_overlay_and_tantivy_read_every_query_alike() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (committed, fresh) = (open(dirs[0].path()), open(dirs[1].path()));
    put_all(&committed, many(150, 11), 60);
    committed.flush().unwrap();
    // Few enough that they wait; even if the clock commits them meanwhile, the answers are still the same.
    put_all(&fresh, many(150, 11), 1000);
    proptest!(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }, |(query in some_query())| {
        prop_assert_eq!(committed.list(&text(&query), 200, None).unwrap(), fresh.list(&text(&query), 200, None).unwrap());
        prop_assert_eq!(committed.search(&query, 30).unwrap(), fresh.search(&query, 30).unwrap());
        prop_assert_eq!(committed.count(&text(&query)).unwrap(), fresh.count(&text(&query)).unwrap());
    });
}

#[test]
fn a_failing_disk_loses_nothing_that_was_taken_and_says_what_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let (a, b) = (project("a"), project("b"));
    index.update(&a, at(1), vec![item("a", 1, "kept", "")]).unwrap();
    index.flush().unwrap();
    std::fs::remove_dir_all(dir.path()).unwrap();
    index.update(&a, at(2), (2..3000).map(|n| item("a", n, "waiting", "")).collect()).unwrap();
    assert!(matches!(index.flush(), Err(Error::Commit(_))));
    assert_eq!(index.count(&Filter::default()).unwrap(), 2999);
    assert!(matches!(index.update(&b, at(1), vec![item("b", 1, "too much", "")]), Err(Error::Behind(_))));
    assert_eq!(index.count(&Filter::default()).unwrap(), 2999);
    assert!(!index.reflects().contains_key(&b));
    // Forgetting makes room, and a rebuild brings back the project that was refused.
    index.clear().unwrap();
    index.rebuild(&b, at(1), vec![item("b", 1, "again", "")]).unwrap();
    assert_eq!(refs(&index, &Filter::default()), ["b#1"]);
}
