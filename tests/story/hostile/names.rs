//! Names of refs that cannot be, cannot be beside each other, or are meant to be taken for something else.

use tests::flow;
use tests::plumbing::{self, ZERO};
use tests::raw::{DOORS, Door, push, push_with};

use super::siege;

#[test]
fn the_same_ref_twice_is_refused_in_every_place_where_it_stands() {
    let siege = siege();
    let target = siege.project();
    let main = &target.main;
    target.survives(|| {
        for door in DOORS {
            let make = format!("{ZERO} {main} refs/heads/mallory/twice");
            let undo = format!("{main} {ZERO} refs/heads/mallory/twice");
            for commands in [vec![make.clone(), make.clone()], vec![make, undo]] {
                let answer = target.raw.push(door, &push(&commands, &empty()));
                let refused = "ng refs/heads/mallory/twice several updates of one ref";
                assert_eq!(answer, format!("unpack ok\n{refused}\n{refused}"), "{door:?}");
            }
        }
    });
}

fn empty() -> Vec<u8> {
    tests::raw::Pack::default().finish()
}

#[test]
fn no_ref_lands_below_another_of_the_same_push_or_of_the_repository() {
    let siege = siege();
    let target = siege.project();
    let (raw, main) = (&target.raw, &target.main);
    let make = |name: &str| format!("{ZERO} {main} refs/heads/{name}");
    let free = |name: &str| format!("remote: next: git push origin HEAD:refs/heads/mallory/{name}");
    let conflict = |name: &str, other: &str| {
        format!(
            "ng refs/heads/{name} ref-conflict: refs/heads/{other} is there, and git cannot keep one ref below another"
        )
    };
    let within = |commands: &[String]| {
        raw.push(Door::Http, &push_with("report-status side-band-64k atomic", commands, &empty()))
    };
    target.survives(|| {
        // Within one push, both ways round; atomic, so that nothing of it may land.
        let (above, below) = (make("mallory/d"), make("mallory/d/f"));
        for (first, second, loser, winner) in
            [(&above, &below, "mallory/d/f", "mallory/d"), (&below, &above, "mallory/d", "mallory/d/f")]
        {
            let answer = within(&[first.clone(), second.clone()]);
            assert!(answer.contains(&conflict(loser, winner)), "{answer}");
            assert!(answer.contains("refused: another ref of this atomic push was refused"), "{answer}");
            assert!(answer.contains("remote: next: git push"), "{answer}");
        }
        // With the default branch.
        let answer = raw.push(Door::Ssh, &push(&[make("main/x")], &empty()));
        assert_eq!(answer, format!("unpack ok\n{}\n{}", conflict("main/x", "main"), free("x")));
    });

    // With refs that were just made, and with the same refs once they are packed and the server has started again.
    let dir = &target.dir;
    siege
        .mallory
        .git(dir, &["push", "-q", "origin", "HEAD:refs/heads/mallory/one", "HEAD:refs/heads/mallory/two/deep"])
        .ok();
    let attacks = |raw: &tests::raw::Raw| {
        for (name, other, leaf) in [
            ("mallory/one/below", "mallory/one", "below"),
            ("mallory/two", "mallory/two/deep", "../mallory-two"),
            ("mallory/two/deep/er", "mallory/two/deep", "er"),
        ] {
            let answer = raw.push(Door::Http, &push(&[make(name)], &empty()));
            let offered = free(leaf).replace("mallory/../", "");
            assert_eq!(answer, format!("unpack ok\n{}\n{offered}", conflict(name, other)));
            // Not even when the same push takes the other one away: that may yet be refused.
            let removal = format!("{main} {ZERO} refs/heads/{other}");
            let answer = within(&[removal, make(name)]);
            assert!(answer.contains(&conflict(name, other)), "{answer}");
        }
    };
    target.survives(|| attacks(raw));
}

#[test]
fn packed_refs_count_like_any_other() {
    let mut forge = tests::Forge::start();
    let alpha = forge.agent("alpha");
    let dir = flow::found_project(&alpha, "packed", &[("README.md", "packed\n")]);
    let main = alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    alpha.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/alpha/one", "HEAD:refs/heads/alpha/two/deep"]).ok();
    assert_eq!(forge.stop(), 0);
    let packed = std::fs::read_to_string(forge.repository("packed").join("packed-refs")).unwrap();
    assert!(packed.contains("refs/heads/alpha/two/deep\n"), "a polite stop packs refs: {packed}");
    forge.up();
    let raw = tests::raw::Raw::new(&forge, &alpha, "packed");
    let before = plumbing::remote_ref(&alpha, "packed", "refs/heads/alpha/two/deep");
    for (name, other) in [("alpha/one/below", "alpha/one"), ("alpha/two", "alpha/two/deep")] {
        let answer = raw.push(Door::Http, &push(&[format!("{ZERO} {main} refs/heads/{name}")], &empty()));
        let refused = format!("ng refs/heads/{name} ref-conflict: refs/heads/{other} is there");
        assert!(answer.contains(&refused), "{answer}");
        assert_eq!(plumbing::remote_ref(&alpha, "packed", &format!("refs/heads/{name}")), None);
    }
    assert_eq!(plumbing::remote_ref(&alpha, "packed", "refs/heads/alpha/two/deep"), before);
}

#[test]
fn names_that_pose_as_something_else_are_refused_with_the_reason() {
    let siege = siege();
    let target = siege.project();
    let (raw, main) = (&target.raw, &target.main);
    target.survives(|| {
        for (name, why) in [
            (format!("refs/heads/{main}"), "looks like an object id"),
            ("refs/heads/HEAD".to_owned(), "would make HEAD ambiguous in every clone"),
            ("refs/heads/-oProxyCommand=x".to_owned(), "begins with a dash, which git would take for an option"),
            ("refs/heads/a\u{202e}b".to_owned(), "holds a character that breaks or reorders the line it is shown in"),
            ("refs/heads/a..b".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/@{-1}".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/../config".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/innocent/../main".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/.git".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/x.lock".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads//x".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/x/".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/a b".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/a\u{1b}[2Jb".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/a\\b".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("refs/heads/x~1".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            (format!("refs/heads/{}", "n".repeat(300)), "is longer than 255 bytes"),
            ("ORIG_HEAD".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("objects/pack/x".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            ("HEAD".to_owned(), "funny refname\nremote: error: refusing to create funny ref '"),
            (
                "refs/forge/ledger".to_owned(),
                "server-owned: only the forge writes this ref\nremote: next: ssh forge help",
            ),
            (
                "refs/notes/forge/in/innocent/01J".to_owned(),
                "E03: this is where innocent pushes records, and you are mallory\nremote: next: git push origin \
                 'refs/notes/forge/out/*:refs/notes/forge/in/mallory/*'",
            ),
            (
                "refs/replace/x".to_owned(),
                "namespace: only branches, tags and an agent's own records are stored here\nremote: next: git push \
                 origin HEAD:refs/heads/mallory/x",
            ),
        ] {
            let answer = raw.push(Door::Http, &push(&[format!("{ZERO} {main} {name}")], &empty()));
            assert!(answer.starts_with("unpack ok\nng ") && answer.contains(why), "{name:?}: {answer}");
            let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!answer.contains(odd), "what moves the cursor or turns a line round comes back: {answer:?}");
        }
    });
}
