//! The ledger on a disk that fails: at each operation, in each way, and what everybody is told then.

use std::os::unix::fs::MetadataExt as _;

use super::*;
use git::disk::faults::{Injected, inject};

const WAYS: [&str; 4] = ["EIO", "ENOSPC", "after", "torn"];

/// Writes one issue: its number, or what the writer was told instead.
fn try_issue(repository: &Repository, title: &str) -> Result<u64, Refusal> {
    let fact = IssueOpened { title: title.to_owned(), labels: vec![], lang: None, dedupe: None };
    let plan = move |draft: &mut Draft| {
        let n = draft.number();
        draft.event(&alpha(), &EntityId::Issue(n), fact, None, &[]).map(|_| n)
    };
    repository.commit(plan).map(|(n, _)| n)
}

fn some_issues(open: &Open, count: usize) {
    for k in 0..count {
        open_issue(&open.parser, &k.to_string());
    }
}

fn count(repository: &Repository, title: &str) -> usize {
    repository.snapshot().fold.issues().filter(|(_, issue)| issue.title == title).count()
}

/// What is acknowledged is there once, what is refused is not, and what is unknown is there at most once.
#[track_caller]
fn agrees(told: &Result<u64, Refusal>, found: usize, when: &str) {
    match told {
        Ok(_) => assert_eq!(found, 1, "{when}: acknowledged"),
        Err(refusal) if refusal.rule == "unknown" => assert!(found <= 1, "{when}: unknown"),
        Err(refusal) => assert_eq!(found, 0, "{when}: {refusal}"),
    }
}

impl World {
    fn fails(&self, lines: &str) -> Injected {
        inject(&self.path("parser"), lines)
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.verify(), Vec::<String>::new());
        self.git("parser", &["fsck", "--full", "--strict"]);
    }
}

#[test]
fn a_write_that_fails_anywhere_is_told_truly_and_writes_go_on_without_a_restart() {
    let mut places = 0;
    for how in WAYS {
        for at in 1.. {
            let world = World::new();
            let open = world.open();
            let shown = open_issue(&open.parser, "before");
            let title = format!("{how} at {at}");
            let fault = world.fails(&format!("any {at} {how}"));
            let told = try_issue(&open.parser, &title);
            if !fault.fired() {
                assert!(told.is_ok());
                break;
            }
            places += 1;
            let refusal = told.as_ref().expect_err("a write whose disk failed is no yes");
            assert_eq!(refusal.code, Code::TryLater, "{title}");
            assert!(refusal.why.contains("os error"), "{title}: {refusal}");
            // Reads go on as before.
            let tip = open.parser.snapshot().fold.entities[&EntityId::Issue(shown)].tip;
            assert!(open.parser.store().get(tip).is_ok() && count(&open.parser, &title) == 0);
            drop(fault);
            assert!(try_issue(&open.parser, "after").is_ok(), "{title}: writes go on");
            assert_eq!((count(&open.parser, "before"), count(&open.parser, "after")), (1, 1));
            agrees(&told, count(&open.parser, &title), &title);
            let (served, cursor) = (open.parser.snapshot(), open.sequence.shown());
            assert_eq!(cursor, served.fold.max_q, "{title}: nothing is in flight");
            open.parser.maintain().unwrap();
            drop(open);
            let again = world.open().parser.snapshot();
            assert_eq!(served.fold.entities, again.fold.entities, "{title}");
            assert_eq!((served.tip, &served.refs), (again.tip, &again.refs), "{title}");
            world.is_whole();
        }
    }
    assert!(places >= 16, "{places} places");
}

#[test]
fn a_disk_that_goes_on_failing_takes_no_writes_and_serves_on() {
    for line in ["any 1+ ENOSPC", "sync 1+ EIO", "rename 1+ EIO", "rename 1+ after", "sync-dir 1+ EIO"] {
        let world = World::new();
        let open = world.open();
        let n = open_issue(&open.parser, "before");
        let fault = world.fails(line);
        let told: Vec<_> = (0..4).map(|k| (format!("try {k}"), try_issue(&open.parser, &format!("try {k}")))).collect();
        assert!(
            told.iter().all(|(_, told)| told.as_ref().is_err_and(|r| r.why.contains("os error"))),
            "{line}: {told:?}"
        );
        // Of one batch alone it can be unknown: nothing is begun behind it.
        assert!(told.iter().skip(1).all(|(_, told)| told.as_ref().is_err_and(|r| r.rule == "try-later")), "{line}");
        assert!(open.parser.flush().is_err(), "{line}: refs on disk lag");
        assert!(open.parser.snapshot().fold.issue(n).is_some());
        // A restart meanwhile finds what is there, and tells the same.
        drop(open);
        drop(fault);
        let open = world.open();
        assert!(try_issue(&open.parser, "after").is_ok());
        for (title, told) in &told {
            agrees(told, count(&open.parser, title), &format!("{line}: {title}"));
        }
        open.parser.maintain().unwrap();
        drop(open);
        world.is_whole();
    }
}

#[test]
fn what_is_in_doubt_is_written_again_never_synced_again_and_no_cursor_passes_it() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "before");
    let cursor = open.sequence.shown();
    let fault = world.fails("sync-dir 1+ EIO objects/pack");
    let told = try_issue(&open.parser, "in doubt");
    assert_eq!(told.unwrap_err().rule, "unknown");
    let newest = || batch_files(&world.path("parser")).pop().unwrap();
    let (first, inode) = (newest(), fs::metadata(newest()).unwrap().ino());
    open.parser.leave_doubt();
    assert!(open.parser.read_only().is_some_and(|why| why.contains("batch 3")));
    // Another repository writes on, and its cursors wait.
    let joined = notes_schema::event::ProjectJoined {};
    open.forge
        .commit(move |d| d.event(&alpha(), &EntityId::Project("parser".parse().unwrap()), joined, None, &[]))
        .unwrap();
    assert_eq!(open.sequence.shown(), cursor);
    drop(fault);
    open.parser.leave_doubt();
    assert_eq!(open.parser.read_only(), None);
    assert_eq!(count(&open.parser, "in doubt"), 1);
    assert_eq!(open.sequence.shown(), open.forge.snapshot().fold.max_q);
    assert!(newest() == first && fs::metadata(newest()).unwrap().ino() != inode, "the same batch in a new file");
    // A restart cannot know what was told: it writes the newest one anew as well.
    let inode = fs::metadata(newest()).unwrap().ino();
    drop(open);
    assert_eq!(count(&world.open().parser, "in doubt"), 1);
    assert_ne!(fs::metadata(newest()).unwrap().ino(), inode);
    // A full disk is no reason not to serve what it holds.
    let _full = world.fails("create 1+ ENOSPC");
    assert_eq!(count(&world.open().parser, "in doubt"), 1);
    world.is_whole();
}

#[test]
fn a_doubt_that_the_disk_contradicts_is_not_settled() {
    let world = World::new();
    let open = world.open();
    let fault = world.fails("sync-dir 1+ EIO objects/pack");
    assert!(try_issue(&open.parser, "in doubt").is_err());
    drop(fault);
    let newest = batch_files(&world.path("parser")).pop().unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap().replacen("b000000000000002", "b000000000000003", 1);
    fs::copy(&newest, newest.with_file_name(&name)).unwrap();
    open.parser.leave_doubt();
    assert!(open.parser.read_only().is_some() && count(&open.parser, "in doubt") == 0);
    fs::remove_file(newest.with_file_name(&name)).unwrap();
    open.parser.leave_doubt();
    assert!(open.parser.read_only().is_none() && count(&open.parser, "in doubt") == 1);
}

#[test]
fn flushes_and_merges_that_fail_anywhere_lose_nothing_and_are_made_up_for() {
    let mut places = 0;
    for how in WAYS {
        for at in (1..).step_by(3) {
            let world = World::new();
            let open = world.open();
            some_issues(&open, 20);
            let fault = world.fails(&format!("any {at} {how}"));
            let maintained = open.parser.maintain();
            if !fault.fired() {
                break;
            }
            places += 1;
            assert!(maintained.is_err(), "{how} at {at}");
            drop(fault);
            assert!(try_issue(&open.parser, "after").is_ok());
            // What is asked of packs alone from here on is there as before.
            open.parser.store().forget(0);
            open.parser.store().forget(0);
            let tips = |open: &Open| open.parser.snapshot().fold.entities.values().map(|e| e.tip).collect::<Vec<_>>();
            assert!(tips(&open).into_iter().all(|tip| open.parser.store().get(tip).is_ok()), "{how} at {at}");
            some_issues(&open, 20);
            open.parser.maintain().unwrap();
            assert!(batch_files(&world.path("parser")).len() < 20, "{how} at {at}");
            drop(open);
            let open = world.open();
            assert!(open.parser.snapshot().fold.issues().count() == 41 && open.parser.read_only().is_none());
            world.is_whole();
        }
    }
    assert!(places >= 40, "{places} places");
}

#[test]
fn a_recovery_that_fails_anywhere_succeeds_when_the_disk_works_again() {
    let mut places = 0;
    for how in WAYS {
        for at in 1.. {
            let world = World::new();
            let open = world.open();
            some_issues(&open, 3);
            let deps = open.parser_deps();
            drop(open);
            fs::remove_file(batch_files(&world.path("parser"))[1].with_extension("idx")).unwrap();
            fs::write(world.path("parser").join("objects/pack/tmp_torn.pack"), b"PACK").unwrap();
            let fault = world.fails(&format!("any {at} {how}"));
            let opened = Repository::open(&world.path("parser"), "parser".parse().unwrap(), deps);
            if !fault.fired() {
                assert!(opened.is_ok());
                break;
            }
            places += 1;
            // It may be served, and then whole: a cache that cannot be written is no reason against it.
            assert!(opened.is_err() || opened.is_ok_and(|r| r.snapshot().number == 4), "{how} at {at}");
            drop(fault);
            let open = world.open();
            assert!(open.parser.snapshot().number == 4 && open.parser.read_only().is_none(), "{how} at {at}");
            world.is_whole();
        }
    }
    assert!(places >= 16, "{places} places");
}
