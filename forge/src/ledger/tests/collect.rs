//! Collecting what nothing reaches: what comes back at the last moment, and a disk that fails in the middle.

use std::sync::Mutex;

use super::*;
use crate::ledger::Keeps;
use git::object::{Kind, NewCommit, Signature, TreeEntry, tree};
use notes_schema::Oid;

fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

/// Pushes a branch with a file of its own; its tip, and the file.
fn push(repository: &Repository, name: &str) -> (Oid, Oid) {
    let name = name.to_owned();
    let pushed = move |draft: &mut Draft| {
        let blob = draft.object(Object::new(Kind::Blob, format!("{name}\n").repeat(1000).into_bytes()))?;
        let file = TreeEntry { mode: git::object::Mode::File, name: b"file".to_vec(), id: blob };
        let root = draft.object(tree(vec![file]))?;
        let by = Signature { name: "alpha".into(), email: "alpha@forge".into(), seconds: 0 };
        let message = format!("{name}\n");
        let commit = NewCommit { tree: root, parents: vec![], author: by.clone(), committer: by, message };
        let commit = draft.object(commit.encode(None))?;
        draft.set_ref(&branch(&name), None, Some(commit), None, Some(&alpha().agent))?;
        Ok((commit, blob))
    };
    repository.commit(pushed).unwrap().0
}

fn set(repository: &Repository, name: &str, old: Option<Oid>, new: Option<Oid>) {
    let name = branch(name);
    repository.commit(move |draft| draft.set_ref(&name, old, new, None, Some(&alpha().agent))).unwrap();
}

fn nothing() -> Keeps {
    Arc::new(|_| Vec::new())
}

#[test]
fn what_is_named_again_at_the_last_moment_stays() {
    let world = World::new();
    let parser = Arc::new(world.open().parser);
    let (back, file) = push(&parser, "back");
    let (gone, of_gone) = push(&parser, "gone");
    let (kept, of_kept) = push(&parser, "kept");
    parser.forget_left_behind();
    set(&parser, "back", Some(back), None);
    set(&parser, "gone", Some(gone), None);
    assert!(parser.has_left_behind());
    // Asked while it is marked what is needed: then it is named again, and one more batch comes.
    let (asked, again) = (Mutex::new(false), parser.clone());
    let keeps: Keeps = Arc::new(move |_| {
        if !std::mem::replace(&mut *asked.lock().unwrap(), true) {
            set(&again, "again", None, Some(back));
            open_issue(&again, "meanwhile");
        }
        Vec::new()
    });
    let collected = parser.collect(true, &keeps, &|| true).unwrap();
    assert!(collected.orphans > 0, "{collected:?}");
    assert_eq!(parser.pack_bytes(), collected.after);
    for (id, is_there) in [(back, true), (file, true), (kept, true), (of_kept, true), (gone, false), (of_gone, false)] {
        assert_eq!(parser.store().contains(id), is_there, "{id}");
        assert_eq!(parser.store().get(id).is_ok(), is_there, "{id}");
    }
    assert!(!parser.has_left_behind());
    assert_eq!(world.verify(), Vec::<String>::new());
    world.git("parser", &["fsck", "--full", "--strict"]);
    // What is gone comes back as it came first.
    assert_eq!(push(&parser, "gone"), (gone, of_gone));
    drop((parser, keeps));
    let parser = world.open().parser;
    assert!([back, file, gone, of_gone].iter().all(|id| parser.store().get(*id).is_ok()));
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[test]
fn what_is_to_be_kept_and_what_pushes_may_rest_on_stays() {
    let world = World::new();
    let parser = Arc::new(world.open().parser);
    let (kept, file) = push(&parser, "kept");
    set(&parser, "kept", Some(kept), None);
    let keeps: Keeps = Arc::new(move |_| vec![kept]);
    parser.collect(true, &keeps, &|| true).unwrap();
    assert!(parser.store().contains(file), "somebody keeps it");
    let push = parser.pushes().begin();
    let busy = parser.collect(true, &nothing(), &|| true).unwrap_err();
    assert!(busy.to_string().contains("pushes are under way"), "{busy}");
    assert!(parser.store().contains(file), "a push may rest on it");
    drop(push);
    parser.collect(true, &nothing(), &|| true).unwrap();
    assert!(!parser.store().contains(file));
    assert_eq!(world.verify(), Vec::<String>::new());
}

#[cfg(debug_assertions)]
#[test]
fn a_collection_that_fails_anywhere_loses_nothing_and_is_ended_later() {
    let mut places = 0;
    for how in ["EIO", "after", "torn"] {
        for at in 1.. {
            let world = World::new();
            let parser = Arc::new(world.open().parser);
            let (kept, file) = push(&parser, "kept");
            let (gone, of_gone) = push(&parser, "gone");
            set(&parser, "gone", Some(gone), None);
            let when = format!("{how} at {at}");
            let fault = git::disk::faults::inject(&world.path("parser"), &format!("any {at} {how}"));
            let told = parser.collect(true, &nothing(), &|| true);
            let fired = fault.fired();
            drop(fault);
            if !fired {
                told.unwrap();
                break;
            }
            places += 1;
            assert!([kept, file].iter().all(|id| parser.store().get(*id).is_ok()), "{when}");
            if parser.read_only().is_none() {
                open_issue(&parser, "goes on");
            }
            drop(parser);
            let parser = Arc::new(world.open().parser);
            assert_eq!(world.verify(), Vec::<String>::new(), "{when}: {told:?}");
            world.git("parser", &["fsck", "--full", "--strict"]);
            open_issue(&parser, "goes on");
            parser.collect(true, &nothing(), &|| true).unwrap();
            assert!([kept, file].iter().all(|id| parser.store().get(*id).is_ok()), "{when}");
            assert!(![gone, of_gone].iter().any(|id| parser.store().contains(*id)), "{when}");
        }
    }
    assert!(places > 30, "{places}");
}
