//! Asking for what is not shown: an object is as visible as the refs that reach it, whichever way it is asked for.

use tests::raw::{DOORS, Door, Pack, commit, hex, pkt, push, request, tree};

use super::{Target, siege};

/// Makes objects that lie in the repository without a ref, were pushed and refused, or are known to nobody; what each is
/// and its name.
fn hide(target: &Target) -> Vec<(&'static str, String)> {
    let repository = target.siege.forge.repository(&target.name);
    let mut ids = Vec::new();
    // As a pack that was made durable for a push that then failed leaves them: in the store, below no ref.
    let script = |text: &str| {
        let mut sh = tests::out::limited("sh");
        sh.args(["-c", text]).current_dir(&repository).env("GIT_DIR", ".");
        sh.env("GIT_AUTHOR_NAME", "x").env("GIT_AUTHOR_EMAIL", "x").env("GIT_COMMITTER_NAME", "x");
        sh.env("GIT_COMMITTER_EMAIL", "x").env("GIT_CONFIG_GLOBAL", "/dev/null");
        tests::out::run(&mut sh, None).ok().text().to_owned()
    };
    let blob = script("echo unreferenced | git hash-object -w --stdin");
    let root = script(&format!("printf '100644 blob {blob}\\tsecret\\n' | git mktree"));
    let orphan = script(&format!("git commit-tree -m unreferenced {root}"));
    let tag = script(&format!(
        "printf 'object {orphan}\\ntype commit\\ntag hidden\\ntagger x <x> 1 +0000\\n\\nx\\n' | git mktag"
    ));
    ids.extend([("a blob without a ref", blob), ("a tree without a ref", root), ("a tag without a ref", tag)]);
    ids.push(("a commit without a ref", orphan));
    // Pushed in full, and refused at the very end.
    let mut pack = Pack::default();
    let blob = pack.whole("blob", b"refused");
    let root = pack.whole("tree", &tree(&[("100644", b"refused", blob)]));
    let tip = pack.whole("commit", &commit(root, &[], "Refused"));
    let pack = pack.finish();
    let name = "refs/heads/mallory/aborted";
    let stale = format!("{} {} {name}", target.main, hex(&tip));
    let answer = target.raw.push(Door::Http, &push(&[stale], &pack));
    assert!(answer.starts_with(&format!("unpack ok\nng {name} ")), "{answer}");
    ids.extend([("a refused commit", hex(&tip)), ("a refused tree", hex(&root)), ("a refused blob", hex(&blob))]);
    ids.push(("no object", "1234567890123456789012345678901234567890".to_owned()));
    ids
}

#[test]
fn what_no_ref_reaches_is_answered_like_what_does_not_exist_in_every_version() {
    let siege = siege();
    let target = siege.project();
    let secrets = hide(&target);
    let (raw, main) = (&target.raw, &target.main);
    target.survives(|| {
        for (what, id) in &secrets {
            let refused = format!("ERR upload-pack: not our ref {id}");
            for door in DOORS {
                for version in [0, 1] {
                    let body = request(&[&format!("want {id} ofs-delta side-band-64k"), "0000", "done\n"]);
                    assert_eq!(raw.fetch(door, version, &body), refused, "{door:?} v{version}: {what}");
                    if door == Door::Ssh {
                        break;
                    }
                }
                let body = request(&["command=fetch", "0001", &format!("want {id}"), "done", "0000"]);
                assert_eq!(raw.fetch(door, 2, &body), refused, "{door:?} v2: {what}");
            }
            // Beside what may be had, and behind every line that changes how history is cut.
            for lines in [
                vec![format!("want {main}"), format!("want {id}")],
                vec![format!("want {main}"), format!("want {id}"), "deepen 1".to_owned()],
                vec![format!("want {id}"), format!("shallow {main}"), "deepen 2".to_owned()],
                vec![format!("want {id}"), "deepen-since 1".to_owned()],
                vec![format!("want {id}"), "deepen-not refs/heads/main".to_owned()],
                vec![format!("want {id}"), "filter blob:none".to_owned()],
                vec![format!("want {id}"), format!("have {main}")],
            ] {
                let mut body = request(&["command=fetch", "0001"]);
                lines.iter().for_each(|line| body.extend(pkt(line)));
                body.extend(request(&["done", "0000"]));
                assert_eq!(raw.fetch(Door::Http, 2, &body), refused, "{what}: {lines:?}");
            }
        }
    });
}

#[test]
fn a_deleted_branch_takes_its_history_with_it() {
    let siege = siege();
    let target = siege.project();
    let (mallory, dir) = (&siege.mallory, &target.dir);
    tests::flow::write(dir, "password", "hunter2\n");
    mallory.git(dir, &["add", "-A"]).ok();
    mallory.git(dir, &["commit", "-q", "-m", "By mistake"]).ok();
    let of = |name: &str| mallory.git(dir, &["rev-parse", name]).ok().text().to_owned();
    let (mistake, root, blob) = (of("HEAD"), of("HEAD^{tree}"), of("HEAD:password"));
    mallory.git(dir, &["commit", "-q", "--allow-empty", "-m", "And on"]).ok();
    mallory.git(dir, &["push", "-q", "origin", "HEAD:refs/heads/mallory/oops"]).ok();
    for id in [&mistake, &root, &blob] {
        let body = request(&["command=fetch", "0001", &format!("want {id}"), "done", "0000"]);
        let answer = target.raw.fetch(Door::Http, 2, &body);
        assert!(served(&answer), "reached by a branch: {id}: {answer}");
    }
    mallory.git(dir, &["push", "-q", "origin", ":refs/heads/mallory/oops"]).ok();
    for id in [&mistake, &root, &blob] {
        for version in [0, 2] {
            let want = format!("want {id}");
            let body = match version {
                0 => request(&[&want, "0000", "done\n"]),
                _ => request(&["command=fetch", "0001", &want, "done", "0000"]),
            };
            let answer = target.raw.fetch(Door::Http, version, &body);
            assert_eq!(answer, format!("ERR upload-pack: not our ref {id}"), "v{version}");
        }
    }
}

#[test]
fn other_ways_to_learn_of_an_object_tell_nothing() {
    let siege = siege();
    let target = siege.project();
    let secrets = hide(&target);
    let (raw, main) = (&target.raw, &target.main);
    target.survives(|| {
        for (what, id) in &secrets {
            let fetch = |line: &str| {
                let wanted = format!("want {main}");
                raw.fetch(Door::Http, 2, &request(&["command=fetch", "0001", &wanted, line, "done", "0000"]))
            };
            let info = request(&["command=object-info", "0001", "size", &format!("oid {id}"), "0000"]);
            assert_eq!(
                raw.fetch(Door::Http, 2, &info),
                format!("size\n{id}"),
                "{what}: no size, as of what is not there"
            );
            let by_name = format!("want-ref {id}");
            assert_eq!(fetch(&by_name), format!("ERR upload-pack: unexpected line: `{by_name}`"), "{what}");
            let ambiguous = format!("ERR upload-pack: ambiguous deepen-not: deepen-not {id}");
            assert_eq!(fetch(&format!("deepen-not {id}")), ambiguous, "{what}");
            let sparse = format!("ERR upload-pack: unable to access sparse blob in '{id}' (sparse:oid)");
            assert_eq!(fetch(&format!("filter sparse:oid={id}")), sparse, "{what}");
        }
        // Nor is anything fetched by name, whether there is such a ref or not: a copy would be of two moments.
        for name in ["refs/heads/main", "refs/heads/none", "refs/notes/forge/in/innocent/01J", "HEAD~1", "../../config"]
        {
            let asked = request(&["command=fetch", "0001", &format!("want-ref {name}"), "done", "0000"]);
            let answer = raw.fetch(Door::Http, 2, &asked);
            assert_eq!(answer, format!("ERR upload-pack: unexpected line: `want-ref {name}`"), "{name}");
        }
    });
}

/// A filter nested so deep; each level is encoded once more.
fn nested(depth: usize) -> String {
    (0..depth)
        .fold("blob:none".to_owned(), |inner, _| format!("combine:{}", inner.replace('%', "%25").replace(':', "%3A")))
}

#[test]
fn filters_and_haves_without_measure_are_refused() {
    let siege = siege();
    let target = siege.project();
    let (raw, main) = (&target.raw, &target.main);
    let fetch = |lines: &[String]| {
        let mut body = request(&["command=fetch", "0001"]);
        body.extend(pkt(format!("want {main}")));
        lines.iter().for_each(|line| body.extend(pkt(line)));
        body.extend(request(&["done", "0000"]));
        body
    };
    target.survives(|| {
        let large = "ERR upload-pack: a filter may combine at most 64 filters, nested at most 10 deep";
        let wide = format!("filter combine:{}", vec!["blob:none"; 6_000].join("+"));
        for lines in [vec![format!("filter {}", nested(100))], vec![wide.clone()], vec![wide; 20]] {
            assert_eq!(raw.fetch(Door::Http, 2, &fetch(&lines)), large);
        }
        for filter in [
            format!("tree:{}", "9".repeat(60_000)),
            format!("blob:{}", "x".repeat(60_000)),
            "combine:".to_owned(),
            "blob:limit=-1".to_owned(),
        ] {
            let answer = raw.fetch(Door::Http, 2, &fetch(&[format!("filter {filter}")]));
            let refused = format!("ERR upload-pack: invalid filter-spec '{filter}'");
            // A refusal repeats no more than its beginning.
            assert_eq!(answer, refused.chars().take(2_004).collect::<String>());
        }

        let haves: Vec<String> = (0..1_000_000u32).map(|n| format!("have {n:040x}")).collect();
        for door in DOORS {
            let over = "ERR the request is larger than 16777216 bytes; ask for less at once";
            assert_eq!(raw.fetch(door, 2, &fetch(&haves)), over, "{door:?}");
        }
        let answer = raw.fetch(Door::Http, 2, &fetch(&haves[..300_000]));
        assert!(served(&answer), "as many as fit are read: {answer}");
    });
}

/// Whether an answer brings a pack.
fn served(answer: &str) -> bool {
    answer.lines().any(|line| line == "PACK") && !answer.contains("ERR ")
}
