//! What is damaged, replayed, foreign or of a newer release is found and named, and costs its own repository alone.

use super::*;

#[test]
fn a_damaged_named_pack_makes_the_repository_read_only_not_the_forge() {
    let world = World::new();
    let open = world.open();
    for title in ["one", "two", "three"] {
        open_issue(&open.parser, title);
    }
    drop(open);
    let newest = batch_files(&world.path("parser")).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&newest, bytes).unwrap();
    fs::remove_file(newest.with_extension("idx")).unwrap();
    let open = world.open();
    assert!(open.parser.read_only().unwrap().contains("checksum"));
    assert_eq!(open.parser.snapshot().fold.issues().count(), 2);
    let refused = open.parser.commit(|draft| Ok(draft.number())).unwrap_err();
    assert_eq!(refused.code, Code::TryLater);
    assert!(newest.exists(), "evidence stays");
    assert!(open.forge.read_only().is_none());
}

#[test]
fn a_gap_in_the_tail_is_damage() {
    let world = World::new();
    let open = world.open();
    for title in ["one", "two", "three"] {
        open_issue(&open.parser, title);
    }
    drop(open);
    fs::remove_file(&batch_files(&world.path("parser"))[2]).unwrap();
    let open = world.open();
    assert!(open.parser.read_only().unwrap().contains("gap"));
    assert_eq!(open.parser.snapshot().number, 2);
}

#[test]
fn an_old_batch_replayed_under_the_next_number_is_not_taken() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "one");
    drop(open);
    let newest = batch_files(&world.path("parser")).pop().unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap().replacen("b000000000000002", "b000000000000003", 1);
    fs::copy(&newest, newest.with_file_name(name)).unwrap();
    let open = world.open();
    assert!(open.parser.read_only().is_some());
    assert_eq!(open.parser.snapshot().number, 2);
}

#[test]
fn one_flipped_byte_is_found_and_its_place_is_named() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "one");
    add(&open.parser, 1, Commented {});
    open.parser.maintain().unwrap();
    drop(open);
    let newest = batch_files(&world.path("parser")).pop().unwrap();
    let good = fs::read(&newest).unwrap();
    for at in (12..good.len() - 20).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        fs::write(&newest, &bad).unwrap();
        let faults = world.verify();
        assert!(faults.iter().any(|f| f.contains("issues/1") || f.contains("ledger commit")), "byte {at}: {faults:?}");
    }
    fs::write(&newest, &good).unwrap();
    assert_eq!(world.verify(), Vec::<String>::new());
}

/// Objects by id, without a repository.
struct Plain(std::collections::HashMap<notes_schema::Oid, git::object::Object>);

impl git::store::Objects for Plain {
    fn get(&self, id: notes_schema::Oid) -> Result<git::object::Object, git::store::ReadError> {
        self.0.get(&id).cloned().ok_or(git::store::ReadError::Missing(id))
    }
    fn contains(&self, id: notes_schema::Oid) -> bool {
        self.0.contains_key(&id)
    }
}

#[test]
fn a_batch_of_a_newer_format_is_refused_with_a_clear_word() {
    use git::object::{Kind, Mode, NewCommit, Object, TreeEntry, tree};
    let world = World::new();
    let open = world.open();
    let tip = open.parser.snapshot().tip.unwrap();
    let mut batch = read_batch(open.parser.store().as_ref(), tip).unwrap().batch;
    batch.v = notes_schema::batch::NEWEST_FORMAT + 1;
    let mut objects = std::collections::HashMap::new();
    let mut add = |object: Object| {
        let id = object.id().unwrap();
        objects.insert(id, object);
        id
    };
    let entry = |name: &str, id| TreeEntry { mode: Mode::File, name: name.as_bytes().to_vec(), id };
    let blobs = vec![
        entry("batch", add(Object::new(Kind::Blob, notes_schema::envelope::encode(&batch)))),
        entry("refs", add(Object::new(Kind::Blob, Vec::new()))),
    ];
    let root = add(tree(blobs));
    let who = draft::signature_of(&AgentName::forge(), 1000);
    let commit =
        NewCommit { tree: root, parents: vec![], author: who.clone(), committer: who, message: "x\n".to_owned() };
    let commit = add(commit.encode(None));
    let error = RecoverError::from(read_batch(&Plain(objects), commit).unwrap_err());
    assert!(matches!(error, RecoverError::Newer(_)), "{error}");
    assert!(error.to_string().contains("newer format"), "{error}");
}

#[test]
fn an_index_whose_batch_never_got_its_name_is_no_damage() {
    let world = World::new();
    let open = world.open();
    open_issue(&open.parser, "one");
    let next = open.parser.snapshot().number + 1;
    drop(open);
    // Nor are those of merged packs and of code whose names were lost with the power.
    let names = [
        format!("pack-b{next:015x}{}", "0".repeat(24)),
        format!("pack-m{}", "0".repeat(39)),
        format!("pack-c{}", "0".repeat(39)),
    ];
    let orphans = names.map(|name| world.path("parser").join(format!("objects/pack/{name}.idx")));
    for orphan in &orphans {
        fs::write(orphan, b"half an index, torn in the middle of being written").unwrap();
    }
    assert_eq!(world.verify(), Vec::<String>::new());
    world.open();
    assert!(orphans.iter().all(|orphan| !orphan.exists()));
}

#[test]
fn a_pack_that_git_named_is_no_batch_whatever_its_first_digit() {
    let world = World::new();
    open_issue(&world.open().parser, "one");
    let dir = world.path("parser").join("objects/pack");
    // Packs called by their checksum, until one begins like a batch of ours.
    let foreign = (0u32..).find_map(|k| {
        let object = git::object::Object::new(git::object::Kind::Blob, format!("blob {k}").into_bytes());
        let mut builder = git::pack::write::Builder::default();
        builder.add(object.id().unwrap(), &object);
        let pack = builder.finish();
        let name = notes_schema::names::hex(&pack.checksum);
        name.starts_with('b').then_some((name, pack))
    });
    let (name, pack) = foreign.unwrap();
    fs::write(dir.join(format!("pack-{name}.pack")), &pack.pack).unwrap();
    fs::write(dir.join(format!("pack-{name}.idx")), &pack.index).unwrap();
    let open = world.open();
    assert_eq!(open.parser.read_only(), None);
    for k in 0..40 {
        open_issue(&open.parser, &format!("issue {k}"));
    }
    open.parser.maintain().unwrap();
    assert!(dir.join(format!("pack-{name}.pack")).exists(), "it is not ours to merge");
    drop(open);
    assert_eq!(world.open().parser.snapshot().fold.issues().count(), 41);
    assert_eq!(world.verify(), Vec::<String>::new());
}
