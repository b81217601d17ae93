//! The same at the doors of `forge serve --plain`: no gate, no ledger and nobody with a name, but the same wire.

use std::path::PathBuf;

use tests::plumbing::{self, ZERO};
use tests::raw::{DOORS, Door, Pack, Raw, commit, hex, pkt, push, push_with, request, tree, zeros};
use tests::{Agent, Forge, memory};

use super::framing::FRAMES;
use super::{packs, strangers};

struct Plain {
    forge: Forge,
    agent: Agent,
    repository: PathBuf,
    main: String,
}

impl Plain {
    /// A server below whose directory one repository lies, with one commit on `main`.
    fn new() -> Plain {
        let forge = Forge::plain();
        let agent = forge.stranger("anybody");
        let repository = forge.data().join("target.git");
        let make = format!(
            "git init -q --bare '{0}' && git init -q work && cd work && echo target > README.md && git add -A && \
             git commit -q -m First && git push -q '{0}' HEAD:refs/heads/main HEAD:refs/heads/one HEAD:refs/heads/two/deep && \
             git -C '{0}' pack-refs --all && git rev-parse HEAD",
            repository.display()
        );
        let main = agent.sh(agent.home(), &make).ok().text().to_owned();
        Plain { forge, agent, repository, main }
    }

    fn raw(&self) -> Raw<'_> {
        Raw::nameless(&self.forge, &self.agent, "target.git")
    }

    fn inventory(&self) -> String {
        let refs = plumbing::git(&self.repository, &["for-each-ref"]).ok().stdout;
        let objects = plumbing::git(&self.repository, &["count-objects", "-v"]).ok().stdout;
        let locks = self.agent.sh(&self.repository, "find . -name '*.lock' -o -name 'tmp_*'").ok().stdout;
        format!("{refs}{objects}{locks}{:?}", strangers(&self.repository))
    }

    /// Runs `attack`, after which everything must be as it was, and the server alive within its memory.
    #[track_caller]
    fn survives(&self, attack: impl FnOnce(&Raw)) {
        let before = self.inventory();
        attack(&self.raw());
        assert_eq!(self.inventory(), before);
        let url = self.forge.http_url("/target.git");
        self.agent.git(self.agent.home(), &["ls-remote", &url]).ok().says(&self.main);
        let peak = self.forge.peak_memory();
        let ceiling = memory::ceiling();
        assert!(peak < ceiling, "the server held {peak} MiB, more than {ceiling}");
    }
}

#[test]
fn a_plain_server_refuses_the_same_bytes() {
    let plain = Plain::new();
    plain.survives(|raw| {
        for (frame, why) in FRAMES {
            let said = format!("ERR {why}");
            for version in [0, 1, 2] {
                assert_eq!(raw.fetch(Door::Http, version, frame.as_bytes()), said, "v{version} {frame:?}");
            }
            assert_eq!(raw.push(Door::Http, frame.as_bytes()), said, "{frame:?}");
        }
        assert_eq!(raw.push(Door::Ssh, b"zzzz"), "ERR `zzzz` is no pkt-line length: it takes four hexadecimal digits");
        for (what, pack, why) in packs::lies() {
            assert_eq!(packs::unpacked(raw, Door::Http, &pack), why, "{what}");
        }
        let bomb = zeros(128 << 20, false);
        let mut pack = Pack::default();
        pack.entry(3, 100, &[], &bomb);
        let why = "the object at byte 12 is damaged: it inflates to more than it declares";
        assert_eq!(packs::unpacked(raw, Door::Ssh, &pack.finish()), why);
        let commands: Vec<String> =
            (0..200_000).map(|n| format!("{ZERO} {} refs/heads/many-{n}", plain.main)).collect();
        let many = raw.push(Door::Http, &push(&commands, b""));
        assert!(many.starts_with("fatal: a push may have at most 10"), "{many}");
        assert!(many.ends_with(" commands; push in several parts"), "{many}");
    });
}

#[test]
fn a_plain_server_keeps_refs_apart_and_names_plain() {
    let plain = Plain::new();
    let main = &plain.main;
    plain.survives(|raw| {
        let empty = Pack::default().finish();
        let make = |name: &str| format!("{ZERO} {main} {name}");
        for name in [
            "refs/heads/one/below",
            "refs/heads/two",
            "refs/heads/two/deep/er",
            "refs/heads/a..b",
            "refs/heads/x.lock",
            "HEAD",
            "refs/../config",
            "objects/x",
            "refs/heads/a\u{1b}[2J",
        ] {
            let answer = raw.push(Door::Http, &push_with("report-status atomic", &[make(name)], &empty));
            let why = if name.starts_with("refs/heads/one") || name.starts_with("refs/heads/two") {
                "atomic transaction failed"
            } else {
                "funny refname"
            };
            assert_eq!(answer, format!("unpack ok\nng {} {why}", name.replace('\u{1b}', " ")));
        }
        for ([first, second], why) in [
            (["refs/heads/twice", "refs/heads/twice"], "several updates of one ref"),
            (["refs/heads/d", "refs/heads/d/f"], "atomic transaction failed"),
            (["refs/heads/d/f", "refs/heads/d"], "atomic transaction failed"),
        ] {
            let commands = [make(first), make(second)];
            let answer = raw.push(Door::Http, &push_with("report-status atomic", &commands, &empty));
            assert_eq!(answer, format!("unpack ok\nng {first} {why}\nng {second} {why}"));
        }
    });
}

#[test]
fn a_plain_server_shows_no_more_objects_than_refs_reach() {
    let plain = Plain::new();
    let main = &plain.main;
    let script = "blob=$(echo secret | git hash-object -w --stdin); tree=$(printf \"100644 blob $blob\\tsecret\\n\" | git mktree); \
                  echo $blob $tree $(git commit-tree -m secret $tree)";
    let made = plain.agent.sh(&plain.repository, script).ok();
    let mut ids: Vec<String> = made.text().split(' ').map(str::to_owned).collect();
    // One more that a refused push brought.
    let mut pack = Pack::default();
    let blob = pack.whole("blob", b"refused");
    let root = pack.whole("tree", &tree(&[("100644", b"refused", blob)]));
    let tip = pack.whole("commit", &commit(root, &[], "Refused"));
    let stale = format!("{} {} refs/heads/stale", "12".repeat(20), hex(&tip));
    // Like stock git's, this server keeps the objects before it moves the refs; when that fails they lie there unseen.
    let answer = plain.raw().push(Door::Http, &push(&[stale], &pack.finish()));
    let why = "cannot lock ref 'refs/heads/stale': unable to resolve reference 'refs/heads/stale'";
    assert_eq!(answer, format!("unpack ok\nng refs/heads/stale failed to update ref\nremote: error: {why}"));
    ids.extend([hex(&tip), hex(&blob), "12".repeat(20)]);
    plain.survives(|raw| {
        for id in &ids {
            for version in [0, 1, 2] {
                let body = match version {
                    2 => request(&["command=fetch", "0001", &format!("want {id}"), "done", "0000"]),
                    _ => request(&[&format!("want {id}"), "0000", "done\n"]),
                };
                for door in DOORS {
                    let answer = raw.fetch(door, version, &body);
                    assert_eq!(answer, format!("ERR upload-pack: not our ref {id}"), "{door:?} v{version}");
                }
            }
        }
        let mut haves = request(&["command=fetch", "0001", &format!("want {main}")]);
        (0..1_000_000u32).for_each(|n| haves.extend(pkt(format!("have {n:040x}"))));
        let over = "ERR the request is larger than 16777216 bytes; ask for less at once";
        assert_eq!(raw.fetch(Door::Http, 2, &haves), over);
    });
}
