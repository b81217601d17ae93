//! Objects that `git fsck` refuses, held against what it says of them.

use super::*;

const PERSON: &str = "alpha <alpha@example.org> 1700000000 +0000";
const SOME: &str = "1111111111111111111111111111111111111111";
const PARENT: &str = "2222222222222222222222222222222222222222";

fn raw_tree(entries: &[(&str, &[u8])]) -> Object {
    let mut data = Vec::new();
    for (mode, name) in entries {
        data.extend_from_slice(&[mode.as_bytes(), b" ", name, b"\0", &[0x11; 20]].concat());
    }
    Object::new(Kind::Tree, data)
}

fn rule_for(object: &Object) -> Option<&'static str> {
    let mut builder = Builder::default();
    builder.add(object.id().expect("no collision"), object);
    let server = Repo::bare();
    match taken(&builder.finish().pack, &server.store(), &Limits::default()) {
        Ok(_) => None,
        Err(PackError::Malformed { rule, .. }) => Some(rule),
        Err(other) => panic!("{other}"),
    }
}

/// What `git fsck --strict` calls a loose object, if it calls it an error.
fn rule_of_git(object: &Object) -> Option<String> {
    let repo = Repo::bare();
    repo.git_bytes(&["hash-object", "-w", "--literally", "-t", object.kind.as_str(), "--stdin"], &object.data);
    let (_, stdout, stderr) = repo.try_git(&["fsck", "--strict", "--no-dangling"], b"");
    let said = format!("{}{stderr}", String::from_utf8_lossy(&stdout));
    // The objects stand alone, so what they refer to is always missing.
    let mut errors = said.lines().filter(|line| line.starts_with("error") && !line.ends_with("broken links"));
    let error = errors.next()?;
    Some(match error.strip_prefix("error in ") {
        Some(error) => error.split(": ").nth(1).expect("a rule").to_owned(),
        None => UNPARSABLE.to_owned(),
    })
}

/// What git does not even parse it does not check by rules.
const UNPARSABLE: &str = "unparsable";

#[track_caller]
fn assert_rule(object: &Object, rule: &str) {
    assert_eq!(rule_for(object), Some(rule));
    let theirs = rule_of_git(object).expect("git refuses it");
    assert!(theirs == rule || theirs == UNPARSABLE, "git says {theirs}, not {rule}");
}

#[test]
fn refuses_trees_that_git_refuses() {
    for (entries, rule) in [
        (&[("100644", &b"b"[..]), ("100644", b"a")][..], "treeNotSorted"),
        (&[("40000", b"a"), ("100644", b"a.b")], "treeNotSorted"),
        (&[("100644", b"a"), ("100644", b"a")], "duplicateEntries"),
        (&[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")], "duplicateEntries"),
        (&[("100644", b"a/b")], "fullPathname"),
        (&[("100644", b".")], "hasDot"),
        (&[("40000", b"..")], "hasDotdot"),
        (&[("40000", b".git")], "hasDotgit"),
        (&[("40000", b".GiT. ")], "hasDotgit"),
        (&[("40000", b"git~1")], "hasDotgit"),
        (&[("40000", ".g\u{200c}it".as_bytes())], "hasDotgit"),
        (&[("040000", b"a")], "zeroPaddedFilemode"),
        (&[("120000", b".gitmodules")], "gitmodulesSymlink"),
    ] {
        assert_rule(&raw_tree(entries), rule);
    }
    for entries in [&[("100664", &b"a"[..])][..], &[("120000", b".gitignore")], &[("160000", b"sub")], &[]] {
        let object = raw_tree(entries);
        assert_eq!((rule_for(&object), rule_of_git(&object)), (None, None), "{entries:?}");
    }
    // git only warns of what it cannot check out as it stands; there is no honest use of it.
    assert_eq!(rule_for(&raw_tree(&[("100600", b"a")])), Some("badFilemode"));
    let mut null = raw_tree(&[("100644", b"a")]).data.to_vec();
    null.truncate(9);
    null.extend_from_slice(&[0; 20]);
    assert_rule(&Object::new(Kind::Tree, null), "nullSha1");
    assert_eq!(rule_for(&Object::new(Kind::Tree, &b"100644 a\0short"[..])), Some("badTree"));
}

#[test]
fn refuses_commits_that_git_refuses() {
    let good = format!("tree {SOME}\nparent {PARENT}\nauthor {PERSON}\ncommitter {PERSON}\n\nmessage\n");
    let with = |from: &str, to: &str| Object::new(Kind::Commit, good.replacen(from, to, 1).into_bytes());
    assert_eq!((rule_for(&with("", "")), rule_of_git(&with("", ""))), (None, None));
    for (from, to, rule) in [
        ("tree ", "tee ", "missingTree"),
        ("tree 1", "tree ", "badTreeSha1"),
        ("parent 2", "parent ", "badParentSha1"),
        ("author", "autor", "missingAuthor"),
        ("committer", "author", "multipleAuthors"),
        ("committer", "comitter", "missingCommitter"),
        ("alpha <", "<", "missingNameBeforeEmail"),
        ("alpha <", "al>pha <", "badName"),
        ("alpha <", "alpha<", "missingSpaceBeforeEmail"),
        ("<alpha@example.org>", "alpha", "missingEmail"),
        ("example.org>", "example.org", "badEmail"),
        ("org> 17", "org>17", "missingSpaceBeforeDate"),
        ("1700000000", "x", "badDate"),
        ("1700000000", "01700000000", "zeroPaddedDate"),
        ("1700000000", "17000000000000000000000000", "badDateOverflow"),
        ("+0000", "+000", "badTimezone"),
        ("+0000", "UTC", "badTimezone"),
        ("message", "mess\0age", "nulInCommit"),
        ("author", "auth\0or", "nulInHeader"),
    ] {
        assert_rule(&with(from, to), rule);
    }
    let cut =
        Object::new(Kind::Commit, good.trim_end().split("\n\n").next().expect("a header").to_owned().into_bytes());
    assert_rule(&cut, "unterminatedHeader");
}

#[test]
fn refuses_tags_that_git_refuses() {
    let good = format!("object {SOME}\ntype commit\ntag v1\ntagger {PERSON}\n\nmessage\n");
    let with = |from: &str, to: &str| Object::new(Kind::Tag, good.replacen(from, to, 1).into_bytes());
    assert_eq!((rule_for(&with("", "")), rule_of_git(&with("", ""))), (None, None));
    let old = with(&format!("tagger {PERSON}\n"), "");
    assert_eq!((rule_for(&old), rule_of_git(&old)), (None, None));
    for (from, to, rule) in [
        ("object ", "obect ", "missingObject"),
        ("object 1", "object ", "badObjectSha1"),
        ("type commit\n", "", "missingTypeEntry"),
        ("type commit", "type comit", "badType"),
        ("tag v1\n", "", "missingTagEntry"),
        ("+0000", "0000", "badTimezone"),
    ] {
        assert_rule(&with(from, to), rule);
    }
}

#[test]
fn refuses_links_to_the_wrong_kind() {
    let blob = Object::new(Kind::Blob, &b"x\n"[..]);
    let blob_id = blob.id().expect("no collision");
    let root = tree(vec![TreeEntry { mode: Mode::Tree, name: b"dir".to_vec(), id: blob_id }]);
    let root_id = root.id().expect("no collision");
    let mut both = Builder::default();
    both.add(blob_id, &blob);
    both.add(root_id, &root);
    let server = Repo::bare();
    let refused = taken(&both.finish().pack, &server.store(), &Limits::default()).err();
    assert!(matches!(refused, Some(PackError::WrongKind { .. })), "{refused:?}");
    server.git_bytes(&["hash-object", "-w", "--stdin"], b"x\n");
    let mut one = Builder::default();
    one.add(root_id, &root);
    let quarantine = taken(&one.finish().pack, &server.store(), &Limits::default()).expect("good in itself");
    let refused = connect::check(&[root_id], &quarantine, &server.store()).expect_err("the store has a blob there");
    assert!(matches!(refused, Disconnected::WrongKind { .. }), "{refused}");
}

#[test]
fn refuses_dangerous_gitmodules_wherever_the_blob_is() {
    let evil = Object::new(Kind::Blob, &b"[submodule \"a\"]\n\tpath = a\n\turl = --upload-pack=x\n"[..]);
    let evil_id = evil.id().expect("no collision");
    let root = tree(vec![TreeEntry { mode: Mode::File, name: b".gitmodules".to_vec(), id: evil_id }]);
    let server = Repo::bare();
    for in_store in [false, true] {
        let mut builder = Builder::default();
        builder.add(root.id().expect("no collision"), &root);
        if in_store {
            server.git_bytes(&["hash-object", "-w", "--stdin"], &evil.data);
        } else {
            builder.add(evil_id, &evil);
        }
        let refused = taken(&builder.finish().pack, &server.store(), &Limits::default()).err();
        assert!(matches!(refused, Some(PackError::Malformed { rule: "gitmodulesUrl", .. })), "{refused:?}");
    }
}

#[test]
fn own_commits_pass() {
    let alpha = Signature { name: "alpha".into(), email: "alpha@example.org".into(), seconds: 1_700_000_000 };
    let root = tree(Vec::new());
    let commit = NewCommit {
        tree: root.id().expect("no collision"),
        parents: Vec::new(),
        author: alpha.clone(),
        committer: alpha,
        message: "one\n".into(),
    };
    for armor in [None, Some("-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n")] {
        let object = commit.encode(armor);
        assert_eq!((rule_for(&object), rule_of_git(&object)), (None, None));
    }
}
