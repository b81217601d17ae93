//! For every honoured key: what stock git answers, and that the same is answered here.

use std::path::Path;

use super::{Served, says};
use crate::wire::tests::harness::{commit, git_command, ok};

/// One push to two copies of a repository: its configuration, and what is pushed.
struct Case {
    name: &'static str,
    config: &'static [&'static str],
    push: &'static [&'static str],
    /// What stock git has to say, lest both be silent for another reason.
    says: &'static str,
}

const fn case(
    name: &'static str,
    config: &'static [&'static str],
    push: &'static [&'static str],
    says: &'static str,
) -> Case {
    Case { name, config, push, says }
}

/// The seed has `main` at its third commit, `side` and `v1` at its second. `other` is beside `main`, `new` above it.
const PUSHES: &[Case] = &[
    case("plain", &[], &["new:main", "other:refs/heads/topic", "v1:refs/tags/v2"], "new -> main"),
    case("forced", &[], &["+other:main"], "(forced update)"),
    case("same", &[], &["main:main"], "Everything up-to-date"),
    case("hex", &[], &["main:refs/heads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], "new branch"),
    case("dash", &[], &["main:refs/heads/x/-h"], "new branch"),
    case("case-pair", &[], &["main:refs/heads/Topic", "other:refs/heads/topic"], "new branch"),
    case("funny", &[], &["main:refs/flat", "main:refs/heads/good"], "(funny refname)"),
    case("head", &[], &["new:refs/heads/HEAD"], "new branch"),
    case("delete", &[], &[":side", ":refs/tags/v1"], "[deleted]"),
    case("delete-head", &[], &[":main"], "(deletion of the current branch prohibited)"),
    case("delete-head-refuse", &["receive.denyDeleteCurrent=refuse"], &[":main"], "current branch prohibited"),
    case("delete-head-warn", &["receive.denyDeleteCurrent=warn"], &[":main"], "warning: deleting the current branch"),
    case("delete-head-ignore", &["receive.denyDeleteCurrent=ignore"], &[":main"], "[deleted]"),
    case("deny-deletes", &["receive.denyDeletes=true"], &[":side", ":refs/tags/v1"], "(deletion prohibited)"),
    case("deny-forced", &["receive.denyNonFastForwards=true"], &["+other:main", "new:side"], "(non-fast-forward)"),
    case("deny-forced-tag", &["receive.denyNonFastForwards"], &["+other:refs/tags/v1"], "forced update"),
    case("tree", &[], &["main^{tree}:refs/heads/tree"], "(failed to update ref)"),
    case("tree-tag", &[], &["main^{tree}:refs/tags/tree"], "new tag"),
    case("below", &[], &["main:refs/heads/side/x", "main:refs/heads/good"], "'refs/heads/side' exists; cannot create"),
    case("above", &[], &["main:refs/heads/deep", "main:refs/heads/good"], "'refs/heads/deep/er' exists; cannot create"),
    case("atomic", &[], &["--atomic", "new:main", "other:refs/heads/topic"], "new -> main"),
    case("atomic-delete", &[], &["--atomic", "new:main", ":side"], "[deleted]"),
    case("atomic-conflict", &[], &["--atomic", "new:main", "other:refs/heads/side/x"], "(atomic transaction failed)"),
    case("atomic-refused", &["receive.denyDeletes=true"], &["--atomic", "new:main", ":side"], "(atomic push failure)"),
    case("not-atomic", &["receive.advertiseAtomic=false"], &["--atomic", "new:main"], "does not support --atomic"),
    case("options", &["receive.advertisePushOptions=true"], &["-o", "x=y", "new:main"], "new -> main"),
    case("no-options", &[], &["-o", "x=y", "new:main"], "does not support push options"),
    case("hidden", &["receive.hideRefs=refs/heads/side"], &["new:side", "new:main"], "(deny updating a hidden ref)"),
    case("hidden-all", &["transfer.hideRefs=refs/tags"], &["new:refs/tags/x"], "(deny updating a hidden ref)"),
    case(
        "hidden-but",
        &["transfer.hideRefs=refs/heads", "receive.hideRefs=!refs/heads/side"],
        &["+other:side", "new:refs/heads/x"],
        "(deny updating a hidden ref)",
    ),
    case("hidden-from-readers", &["uploadpack.hideRefs=refs/heads/side"], &["new:side"], "new -> side"),
    case("unfsck", &[], &["odd:refs/heads/odd"], "odd -> odd"),
    case("fsck", &["transfer.fsckObjects=true"], &["odd:refs/heads/odd"], "(unpacker error)"),
    case("fsck-own", &["receive.fsckObjects=true"], &["odd:refs/heads/odd"], "(unpacker error)"),
    case("unfsck-own", &["transfer.fsckObjects", "receive.fsckObjects=false"], &["odd:refs/heads/odd"], "odd -> odd"),
    case("too-large", &["receive.maxInputSize=50"], &["new:main", "other:refs/heads/x"], "(unpacker error)"),
    case("large-enough", &["receive.maxInputSize=1m"], &["new:main"], "new -> main"),
    case("alias", &[], &["new:refs/heads/alias"], "new -> alias"),
    case("alias-twice", &[], &["new:refs/heads/alias", "other:side"], "(inconsistent aliased update)"),
    case("tip-of-nothing", &["core.logAllRefUpdates=always"], &["new:main", "new:refs/odd/x", ":side"], "[deleted]"),
    case("logged", &["core.logAllRefUpdates=true"], &["new:main", "new:refs/odd/x", "+other:side"], "other -> side"),
    case("kept", &["receive.unpackLimit=1"], &["new:main"], "new -> main"),
    case("kept-by-all", &["transfer.unpackLimit=1"], &["new:main"], "new -> main"),
    case("loose", &["receive.unpackLimit=100"], &["new:main"], "new -> main"),
    case("current", &["core.bare=false"], &["new:main", "new:side"], "(branch is currently checked out)"),
    case("current-refuse", &["core.bare=false", "receive.denyCurrentBranch"], &["new:main"], "currently checked out"),
    case(
        "current-warn",
        &["core.bare=false", "receive.denyCurrentBranch=warn"],
        &["new:main", ":side"],
        "warning: updating the current branch",
    ),
    case("current-ignore", &["core.bare=false", "receive.denyCurrentBranch=ignore"], &["new:main"], "new -> main"),
];

/// The lines that are the server's or are about its answer.
fn answer(said: &str, url: &str) -> Vec<String> {
    let own = |line: &&str| {
        // How a pack was refused is told by another program there; and our server does not hang up first.
        !line.contains("hung up")
            && !line.contains("unpack")
            && !line.contains("zeroPadded")
            && !line.contains("index-pack")
            && !line.contains("fsck")
            && !line.contains("exceeds")
    };
    let lines = said.lines().filter(own).map(|line| line.replace(url, "URL").trim_end().to_owned());
    let mut lines: Vec<String> = lines.collect();
    lines.dedup();
    lines
}

/// What a push leaves: refs, their logs, and how objects are kept.
fn state(dir: &Path) -> String {
    let refs = ok(dir, &["for-each-ref", "--format=%(refname) %(objectname) %(symref)"]);
    let mut logs = Vec::new();
    for entry in walk(&dir.join("logs")) {
        let text = std::fs::read_to_string(&entry).unwrap();
        let moves: Vec<String> =
            text.lines().map(|l| format!("{} {}", &l[..81], l.split_once('\t').map_or("", |(_, m)| m))).collect();
        logs.push(format!("{}: {}", entry.strip_prefix(dir).unwrap().display(), moves.join(", ")));
    }
    logs.sort();
    let packs = walk(&dir.join("objects/pack")).iter().filter(|p| p.extension().is_some_and(|e| e == "pack")).count();
    let rest: Vec<_> = walk(dir).into_iter().filter(|p| p.to_string_lossy().contains(".lock")).collect();
    format!("{refs}\n{}\npacks {packs} left {rest:?}", logs.join("\n"))
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() { files.extend(walk(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}

/// Commits to push: beside and above `main`, and one of a tree that fsck refuses.
fn prepare(served: &Served) {
    let seed = served.seed();
    ok(&seed, &["checkout", "-q", "-b", "other", "side"]);
    commit(&seed, "beside", "beside\n", 10);
    ok(&seed, &["checkout", "-q", "-b", "new", "main"]);
    commit(&seed, "above", "above\n", 11);
    let blob = ok(&seed, &["rev-parse", "main:file0"]);
    let raw: Vec<u8> = (0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()).collect();
    std::fs::write(seed.join(".git/odd"), [b"0100644 odd\0", &raw[..]].concat()).unwrap();
    let tree = ok(&seed, &["hash-object", "-t", "tree", "--literally", "-w", ".git/odd"]);
    let odd = ok(&seed, &["commit-tree", "-m", "odd", "-p", "main", &tree]);
    ok(&seed, &["branch", "odd", &odd]);
}

fn copies(served: &Served, name: &str, config: &[&str], packed: bool) {
    for dir in [served.ours(name), served.stock(name)] {
        ok(served.temp.path(), &["init", "-q", "--bare", "-b", "main", dir.to_str().unwrap()]);
        ok(&served.seed(), &["push", "-q", dir.to_str().unwrap(), "main", "side", "v1", "main:refs/heads/deep/er"]);
        ok(&dir, &["symbolic-ref", "refs/heads/alias", "refs/heads/side"]);
        if packed {
            ok(&dir, &["pack-refs", "--all"]);
        }
        for setting in config {
            let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
            ok(&dir, &["config", "--add", key, value]);
        }
    }
}

#[test]
fn pushes_end_as_they_do_with_stock_receive_pack() {
    let served = Served::start();
    prepare(&served);
    let mut other = Vec::new();
    // Where packed refs may make a difference, once more with all of them packed.
    let refs_only = ["plain", "delete", "below", "above", "atomic", "alias", "logged", "tip"];
    for packed in [false, true] {
        for case in PUSHES.iter().filter(|case| !packed || refs_only.contains(&case.name)) {
            let name = format!("{}-{packed}.git", case.name);
            copies(&served, &name, case.config, packed);
            let stock_url = served.stock(&name).to_str().unwrap().to_owned();
            let push = |url: &str| says(&served.seed(), &[&["push", url], case.push].concat());
            let (stock, stock_ok) = push(&stock_url);
            let (ours, ours_ok) = push(&served.url(&name));
            let told = (answer(&stock, &stock_url), stock_ok);
            assert!(stock.contains(case.says), "{name}: {stock}");
            if (answer(&ours, &served.url(&name)), ours_ok) != told {
                other.push(format!("{name}: here:\n{ours}\nstock git:\n{stock}"));
            }
            let (here, there) = (state(&served.ours(&name)), state(&served.stock(&name)));
            if here != there {
                other.push(format!("{name}: here:\n{here}\nstock git:\n{there}"));
            }
            let fsck = |dir: &Path| says(dir, &["fsck", "--full", "--connectivity-only", "--no-dangling"]);
            assert_eq!(fsck(&served.ours(&name)), fsck(&served.stock(&name)), "{name}");
        }
    }
    assert!(other.is_empty(), "{}", other.join("\n"));
}

#[test]
fn readers_are_shown_what_stock_upload_pack_shows() {
    let served = Served::start();
    prepare(&served);
    let configs: [&[&str]; 7] = [
        &[],
        &["transfer.hideRefs=refs/tags"],
        &["uploadpack.hideRefs=refs/heads/side/", "receive.hideRefs=refs/heads/main"],
        &["transfer.hideRefs=refs/heads", "uploadpack.hideRefs=!refs/heads/side"],
        &["transfer.hideRefs=refs", "transfer.hideRefs=!refs/heads"],
        &["uploadpack.hideRefs=^refs/heads/alias"],
        &["lsrefs.unborn=ignore"],
    ];
    for (number, config) in configs.into_iter().enumerate() {
        for packed in [false, true] {
            let name = format!("{number}-{packed}.git");
            copies(&served, &name, config, packed);
            for dir in [served.ours(&name), served.stock(&name)] {
                std::fs::write(dir.join("refs/heads/broken"), "nonsense\n").unwrap();
                std::fs::write(dir.join("refs/heads/missing"), format!("{}\n", "1".repeat(40))).unwrap();
                std::fs::write(dir.join("refs/heads/dangling"), "ref: refs/heads/nothing\n").unwrap();
                if number == 6 {
                    ok(&dir, &["symbolic-ref", "HEAD", "refs/heads/unborn"]);
                } else if number == 1 {
                    std::fs::write(dir.join("HEAD"), format!("{}\n", ok(&served.seed(), &["rev-parse", "side"])))
                        .unwrap();
                }
            }
            for version in ["0", "1", "2"] {
                let protocol = format!("protocol.version={version}");
                for asked in [&["--symref"][..], &["--symref", "--heads"], &["--symref", "x", "refs/heads/s*"]] {
                    let list = |url: &str| {
                        let (options, patterns) =
                            asked.split_at(asked.iter().take_while(|a| a.starts_with('-')).count());
                        let args = [&["-c", &protocol, "ls-remote"], options, &[url], patterns].concat();
                        says(&served.seed(), &args).0
                    };
                    let stock = list(served.stock(&name).to_str().unwrap());
                    // Stock git offers refs that nobody could fetch; here they are left out.
                    let bad =
                        |line: &&str| ["ignoring", "heads/broken", "heads/missing"].iter().any(|w| line.contains(w));
                    let without =
                        |said: String| said.lines().filter(|l| !bad(l)).fold(String::new(), |all, l| all + l + "\n");
                    assert_eq!(without(list(&served.url(&name))), without(stock), "{name} {version} {asked:?}");
                }
            }
        }
    }
}

#[test]
fn a_push_from_a_shallow_clone_ends_as_with_stock_git() {
    let served = Served::start();
    ok(
        &served.seed(),
        &["clone", "-q", "--depth", "1", "--no-local", &format!("file://{}", served.seed().display()), "../shallow"],
    );
    let shallow = served.temp.path().join("shallow");
    commit(&shallow, "x", "x\n", 50);
    for (name, config, says_so) in
        [("no", &[][..], "(shallow update not allowed)"), ("yes", &["receive.shallowUpdate=true"][..], "new branch")]
    {
        // Empty ones know nothing of what the clone lacks; those with history have it.
        for full in [false, true] {
            let name = format!("{name}-{full}.git");
            let mut told = Vec::new();
            for (dir, url) in [
                (served.ours(&name), served.url(&name)),
                (served.stock(&name), served.stock(&name).to_str().unwrap().to_owned()),
            ] {
                ok(served.temp.path(), &["init", "-q", "--bare", dir.to_str().unwrap()]);
                if full {
                    ok(&served.seed(), &["push", "-q", dir.to_str().unwrap(), "main"]);
                }
                for setting in config {
                    let (key, value) = setting.split_once('=').unwrap();
                    ok(&dir, &["config", key, value]);
                }
                let (said, done) = says(&shallow, &["push", &url, "HEAD:refs/heads/topic"]);
                assert!(full || said.contains(says_so), "{name}: {said}");
                let kept = std::fs::read_to_string(dir.join("shallow")).unwrap_or_default();
                let refs = ok(&dir, &["for-each-ref", "--format=%(refname) %(objectname)"]);
                ok(&dir, &["fsck", "--full"]);
                let lines: Vec<String> = answer(&said, &url);
                told.push((lines, done, kept, refs));
            }
            assert_eq!(told[0], told[1], "{name}");
        }
    }
    // What was pushed so can be fetched again, and pushed to.
    ok(served.temp.path(), &["clone", "-q", "--branch", "topic", &served.url("yes-false.git"), "again"]);
    let again = served.temp.path().join("again");
    commit(&again, "y", "y\n", 51);
    ok(&again, &["push", "-q", "origin", "HEAD:topic"]);
}

#[test]
fn signed_pushes_are_offered_and_taken_as_stock_git_without_hooks_does() {
    let served = Served::start();
    let key = served.temp.path().join("key");
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    for (name, seed) in [("offered.git", Some("secret")), ("not.git", None)] {
        let (mut told, url) = (Vec::new(), served.stock(name).to_str().unwrap().to_owned());
        for (dir, url) in [(served.ours(name), served.url(name)), (served.stock(name), url)] {
            ok(served.temp.path(), &["init", "-q", "--bare", dir.to_str().unwrap()]);
            if let Some(seed) = seed {
                ok(&dir, &["config", "receive.certNonceSeed", seed]);
                ok(&dir, &["config", "receive.advertisePushOptions", "true"]);
            }
            let signing = format!("user.signingKey={}", key.display());
            let mut args = vec!["-c", "gpg.format=ssh", "-c", &signing, "push", "--signed"];
            args.extend(seed.iter().flat_map(|_| ["-o", "one", "-o", "two"]));
            let (said, done) = says(&served.seed(), &[&args[..], &[&url, "main", "side"]].concat());
            told.push((answer(&said, &url), done, ok(&dir, &["for-each-ref"])));
        }
        assert_eq!(told[0], told[1], "{name}");
        assert_eq!(told[0].1, seed.is_some());
    }
}

#[test]
fn more_commands_than_allowed_are_refused_with_words_and_as_many_as_allowed_are_done() {
    let served = Served::start();
    let dir = served.bare("many.git");
    let main = ok(&served.seed(), &["rev-parse", "main"]);
    let push = |count: usize| {
        let specs: String = (0..count).map(|n| format!("{main}:refs/many/{n}\n")).collect();
        let file = served.temp.path().join("specs");
        let zero = "0".repeat(40);
        std::fs::write(&file, &specs).unwrap();
        let mut body = Vec::new();
        for n in 0..count {
            let line = format!("{zero} {main} refs/many/{n}\0report-status side-band-64k\n");
            crate::wire::pktline::data(&mut body, line.as_bytes());
        }
        body.extend_from_slice(b"0000");
        let empty = git_command(&served.seed())
            .args(["pack-objects", "--stdout", "-q"])
            .stdin(std::process::Stdio::null())
            .output();
        body.extend(empty.unwrap().stdout);
        let host = served.root.host("many", crate::wire::Service::ReceivePack, super::Door::Ssh).unwrap();
        served._runtime.block_on(async move {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            let body = std::io::Cursor::new(body);
            let done = tokio::spawn(crate::wire::rpc(
                host,
                crate::wire::Service::ReceivePack,
                crate::wire::Protocol::V0,
                body,
                far,
            ));
            let mut answer = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut near, &mut answer).await.unwrap();
            let _ = done.await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        })
    };
    assert!(push(100_001).contains("at most 100000 commands; push in several parts"));
    let answer = push(5_000);
    assert_eq!(answer.matches("ok refs/many/").count(), 5_000, "{}", &answer[..answer.len().min(500)]);
    assert_eq!(ok(&dir, &["for-each-ref", "refs/many"]).lines().count(), 5_000);
    assert!(std::fs::read_dir(dir.join("refs/many")).unwrap().next().is_none(), "they are packed in one go");
}
