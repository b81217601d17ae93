//! Objects that git itself refuses, or that would do harm where they are checked out.

use tests::plumbing::ZERO;
use tests::raw::{Door, Pack, commit, hex, push, tree};

use super::{Target, siege};

const NAME: &str = "refs/heads/mallory/objects";
const WHO: &str = "m <m@x> 1700000000 +0000";

/// What is said of one object of that kind, pushed alone.
#[track_caller]
fn verdict(target: &Target, kind: &str, content: &[u8]) -> String {
    let mut pack = Pack::default();
    let object = hex(&pack.whole(kind, content));
    let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {object} {NAME}")], &pack.finish()));
    let whole = format!("unpack {kind} {object}: ");
    let end = format!("\nng {NAME} unpacker error");
    match answer.strip_prefix(&whole).and_then(|rest| rest.strip_suffix(&end)) {
        Some(why) => why.to_owned(),
        None => answer,
    }
}

#[test]
fn trees_that_would_do_harm_are_refused_by_gits_own_word() {
    let siege = siege();
    let target = siege.project();
    let blob = [0x5a; 20];
    let entry = |name: &[u8]| tree(&[("100644", name, blob)]);
    let directory = |name: &[u8]| tree(&[("40000", name, blob)]);
    let long = vec![b'n'; 5000];
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (directory(b".git"), "hasDotgit: `.git` would be taken for .git"),
        (directory(b".GIT"), "hasDotgit: `.GIT` would be taken for .git"),
        (directory(b"git~1"), "hasDotgit: `git~1` would be taken for .git"),
        (directory(b".git "), "hasDotgit: `.git ` would be taken for .git"),
        (directory(b".git. . "), "hasDotgit: `.git. . ` would be taken for .git"),
        (directory(b".git::$INDEX_ALLOCATION"), "hasDotgit: `.git::$INDEX_ALLOCATION` would be taken for .git"),
        (directory(b".git\\hooks"), "hasDotgit: `.git\\hooks` would be taken for .git"),
        (directory(b"a\\.git"), "hasDotgit: `a\\.git` would be taken for .git"),
        (directory(".g\u{200c}it".as_bytes()), "hasDotgit: `.g\u{200c}it` would be taken for .git"),
        (directory(".\u{feff}Git".as_bytes()), "hasDotgit: `.\u{feff}Git` would be taken for .git"),
        (entry(b"."), "hasDot: it holds `.`"),
        (entry(b".."), "hasDotdot: it holds `..`"),
        (entry(b""), "emptyName: an entry has no name"),
        (entry(b"a/b"), "fullPathname: the name `a/b` holds a slash"),
        (tree(&[("100644", b"b", blob), ("100644", b"a", blob)]), "treeNotSorted: `a` stands in the wrong place"),
        (tree(&[("100644", b"a", blob), ("100644", b"a", blob)]), "duplicateEntries: it holds `a` twice"),
        (
            tree(&[("100644", b"a", blob), ("100644", b"a.b", blob), ("40000", b"a", blob)]),
            "duplicateEntries: it holds `a` twice",
        ),
        (tree(&[("0100644", b"a", blob)]), "zeroPaddedFilemode: a mode begins with zero"),
        (tree(&[("120000", b".gitmodules", blob)]), "gitmodulesSymlink: .gitmodules is a symbolic link"),
        (tree(&[("120000", b"gitmod~1", blob)]), "gitmodulesSymlink: .gitmodules is a symbolic link"),
        (tree(&[("100644", b"a", [0; 20])]), "nullSha1: `a` points at nothing"),
        (b"100644 a\0short".to_vec(), "badTree: an entry has no id"),
        (b"100644 without an end".to_vec(), "badTree: an entry has no end"),
        (b"rubbish\0aaaaaaaaaaaaaaaaaaaa".to_vec(), "badTree: an entry has no mode"),
        (entry(&long), "largePathname: a name has 5000 bytes"),
    ];
    target.survives(|| {
        for (content, why) in &cases {
            assert_eq!(verdict(&target, "tree", content), *why);
        }
    });
}

#[test]
fn commits_and_tags_that_git_cannot_read_are_refused_by_gits_own_word() {
    let siege = siege();
    let target = siege.project();
    let t = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let commits: Vec<(String, &str)> = vec![
        (String::new(), "unterminatedHeader: its header does not end"),
        (format!("tree {t}"), "unterminatedHeader: its header does not end"),
        (
            format!("tree {}\nauthor {WHO}\ncommitter {WHO}\n\n", &t[1..]),
            "badTreeSha1: `tree `b825dc642cb6eb9a060e54bf8d69288fbee4904`` names no object",
        ),
        (
            format!("tree {t}\nparent 12\nauthor {WHO}\ncommitter {WHO}\n\n"),
            "badParentSha1: `parent `12`` names no object",
        ),
        (format!("tree {t}\ncommitter {WHO}\n\n"), "missingAuthor: there is no author line"),
        (
            format!("tree {t}\nauthor {WHO}\nauthor {WHO}\ncommitter {WHO}\n\n"),
            "multipleAuthors: there is more than one author line",
        ),
        (format!("tree {t}\nauthor {WHO}\n\n"), "missingCommitter: there is no committer line"),
        (format!("tree {t}\nauthor m m@x 1 +0000\ncommitter {WHO}\n\n"), "missingEmail: a person has no address"),
        (format!("tree {t}\nauthor m <m@x 1 +0000\ncommitter {WHO}\n\n"), "badEmail: a person's address does not end"),
        (
            format!("tree {t}\nauthor m <m@x> 99999999999999999999 +0000\ncommitter {WHO}\n\n"),
            "badDateOverflow: a date is absurdly large",
        ),
        (format!("tree {t}\nauthor m <m@x> 01 +0000\ncommitter {WHO}\n\n"), "zeroPaddedDate: a date begins with zero"),
        (
            format!("tree {t}\nauthor m <m@x> soon +0000\ncommitter {WHO}\n\n"),
            "badDate: a date is no number of seconds",
        ),
        (
            format!("tree {t}\nauthor m <m@x> 1 UTC\ncommitter {WHO}\n\n"),
            "badTimezone: a time zone is not of the form +hhmm",
        ),
        (format!("tree {t}\nauthor {WHO}\ncommitter {WHO}\n\na\0b"), "nulInCommit: it holds a zero byte"),
        (format!("tree {t}\nau\0thor {WHO}\ncommitter {WHO}\n\n"), "nulInHeader: its header holds a zero byte"),
    ];
    let tags: Vec<(String, &str)> = vec![
        (String::new(), "unterminatedHeader: its header does not end"),
        (format!("object {t}\n"), "missingTypeEntry: there is no type line"),
        (format!("object {t}\ntype ghost\ntag v1\ntagger {WHO}\n\n"), "badType: the type `ghost` is unknown"),
        (format!("object {t}\ntype tree\n"), "missingTagEntry: there is no tag line"),
    ];
    target.survives(|| {
        for (kind, cases) in [("commit", &commits), ("tag", &tags)] {
            for (content, why) in cases {
                assert_eq!(verdict(&target, kind, content.as_bytes()), *why, "{content:?}");
            }
        }
    });
}

#[test]
fn submodules_that_would_run_or_overwrite_something_are_refused() {
    let siege = siege();
    let target = siege.project();
    let cases = [
        (
            "[submodule \"a\"]\n\turl = --upload-pack=touch x\n",
            "gitmodulesUrl: the url `--upload-pack=touch x` is not allowed",
        ),
        ("[submodule \"a\"]\n\turl = ext::sh -c x\n", "gitmodulesUrl: the url `ext::sh -c x` is not allowed"),
        ("[submodule \"../../x\"]\n\turl = https://x/y\n", "gitmodulesName: a submodule is called `../../x`"),
        ("[submodule \"a\"]\n\tpath = -h\n", "gitmodulesPath: the path `-h` is an option"),
        ("[submodule \"a\"]\n\tupdate = !touch x\n", "gitmodulesUpdate: the update `!touch x` is a command"),
        (
            "[submodule \"a\"]\n\turl = https://host%0acredentials/x\n",
            "gitmodulesUrl: the url `https://host%0acredentials/x` is not allowed",
        ),
    ];
    target.survives(|| {
        for (content, why) in cases {
            // The blob comes before the tree that makes it dangerous, and the tree names it as Windows would.
            let mut pack = Pack::default();
            let blob = pack.whole("blob", content.as_bytes());
            let root = pack.whole("tree", &tree(&[("100644", b"GITMOD~1", blob)]));
            let tip = hex(&pack.whole("commit", &commit(root, &[], "With a submodule")));
            let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {tip} {NAME}")], &pack.finish()));
            assert_eq!(answer, format!("unpack blob {}: {why}\nng {NAME} unpacker error", hex(&blob)));
        }
    });
}

#[test]
fn what_names_an_object_as_what_it_is_not_or_names_none_is_refused() {
    let siege = siege();
    let target = siege.project();
    let absent = [0x77; 20];
    target.survives(|| {
        let mut pack = Pack::default();
        let blob = pack.whole("blob", b"a blob");
        let root = pack.whole("tree", &tree(&[("40000", b"dir", blob)]));
        let tip = hex(&pack.whole("commit", &commit(root, &[], "A blob as a directory")));
        let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {tip} {NAME}")], &pack.finish()));
        let why = format!("object {} is named as a tree by {}, but is a blob", hex(&blob), hex(&root));
        assert_eq!(answer, format!("unpack {why}\nng {NAME} unpacker error"));

        // Complete but for one blob, one tree, one parent.
        for (what, root_of, parent) in [("blob", true, false), ("tree", false, false), ("commit", true, true)] {
            let mut pack = Pack::default();
            let blob = if what == "blob" { absent } else { pack.whole("blob", b"a blob") };
            let content = tree(&[("100644", b"a", blob)]);
            let root = if root_of { pack.whole("tree", &content) } else { absent };
            let parents: &[[u8; 20]] = if parent { &[absent] } else { &[] };
            let tip = hex(&pack.whole("commit", &commit(root, parents, "With a hole")));
            let by = if what == "blob" { hex(&root) } else { tip.clone() };
            let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {tip} {NAME}")], &pack.finish()));
            let hole =
                format!("{by} needs the {what} {}, which is neither in the pack nor in this repository", hex(&absent));
            // Beside the ref or as a line of its own: both are shown.
            assert!(answer.starts_with(&format!("unpack ok\nng {NAME} missing necessary objects")), "{answer}");
            assert!(answer.ends_with(&format!("{hole}; push it as well")), "{answer}");
        }

        // A branch at what is no commit.
        for (kind, content) in [("blob", &b"a blob"[..]), ("tree", b"")] {
            let mut pack = Pack::default();
            let tip = hex(&pack.whole(kind, content));
            let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {tip} {NAME}")], &pack.finish()));
            let why = format!("it must point at a commit, and {} is a {kind}", &tip[..7]);
            assert_eq!(answer, format!("unpack ok\nng {NAME} refused: {why}\nremote: next: git push"));
        }
    });
}
