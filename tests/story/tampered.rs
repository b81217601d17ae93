//! Copies that somebody altered, with git alone or with the forge's own key: `forge verify` names the place. What is merely
//! older, left over or not copied is told apart from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::flow::{self, Work};
use tests::plumbing::{copy_tree, git, mirror_all};
use tests::{Agent, Forge, Out};

use super::mirror::{lived_in, verify};

/// A copy of the mirrored repositories in `data`, for one alteration.
fn altered(data: &Path, name: &str) -> PathBuf {
    let to = data.with_file_name(name);
    drop(fs::remove_dir_all(&to));
    copy_tree(data, &to);
    to
}

/// Alters `project` by a script of git commands and returns what verify says.
#[track_caller]
fn verify_after(agent: &Agent, data: &Path, project: &str, script: &str) -> Out {
    let copy = altered(data, "altered");
    agent.sh(copy.join(format!("repositories/{project}.git")), &format!("set -e; {script}")).ok();
    verify(&copy)
}

/// An alteration, the repository it is made in, and what verify says of it.
type Alteration<'a> = (&'a str, &'a str, &'a [&'a str]);

#[test]
fn verify_names_what_was_altered_with_git_alone() {
    let (forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    verify(&data).ok().says("good: 3 repositories");
    let unsigned = "tip=$(git rev-parse refs/forge/ledger); git cat-file commit $tip >c; \
        { sed '/^gpgsig/,$d' c; sed -n '/^$/,$p' c; } >unsigned; ";
    let resigned = format!(
        "{unsigned} git cat-file commit $tip~1 | sed -n '/^gpgsig/,/END SSH/p' >sig; \
         {{ sed '/^gpgsig/,$d' c; cat sig; sed -n '/^$/,$p' c; }} >new; \
         git update-ref refs/forge/ledger $(git hash-object -w -t commit new)"
    );
    let unsigned = format!("{unsigned} git update-ref refs/forge/ledger $(git hash-object -w -t commit unsigned)");
    let lost = "lost=$(git rev-parse refs/forge/issues/1); git update-ref refs/keep/x $lost; \
        mkdir away; mv objects/pack/* away; for pack in away/*.pack; do git unpack-objects -q <$pack; done; \
        rm -rf refs/keep away; rm objects/$(echo $lost | cut -c1-2)/$(echo $lost | cut -c3-); echo $lost >lost";
    let body = "blob=$(echo forged | git hash-object -w --stdin); tip=refs/forge/issues/1; \
        tree=$(git ls-tree $tip | sed \"s/ blob [0-9a-f]*\\tevent/ blob $blob\\tevent/\" | git mktree); \
        git update-ref $tip $(git cat-file commit $tip | sed \"s/^tree.*/tree $tree/\" | git hash-object -w -t commit --stdin)";
    let notes = "git -c user.name=x -c user.email=x@x notes --ref=forge/reviews add -f -m forged refs/heads/main";
    let elo = "git update-ref refs/forge/elo/antfarm refs/forge/agents/alpha";
    let table: &[Alteration] = &[
        ("parser", "git update-ref refs/forge/issues/1 refs/forge/issues/1~1", &["parser: refs/forge/issues/1 names"]),
        ("parser", body, &["parser: refs/forge/issues/1 names"]),
        ("parser", "git update-ref -d refs/forge/pulls/2", &["parser: refs/forge/pulls/2 is missing"]),
        ("parser", "git update-ref -d refs/heads/main", &["parser: refs/heads/main is missing"]),
        ("parser", "git update-ref -d refs/pull/2/head", &["parser: refs/pull/2/head is missing"]),
        ("parser", "git update-ref refs/heads/main refs/heads/main~1", &["parser: refs/heads/main names"]),
        ("parser", "git symbolic-ref refs/heads/main refs/heads/x", &["parser: refs/heads/main names no object"]),
        (
            "parser",
            "git update-ref refs/heads/invented refs/heads/main",
            &["parser: refs/heads/invented", "no such ref"],
        ),
        ("lexer", "git update-ref refs/odd@name/x refs/heads/main", &["lexer: refs/odd@name/x", "no such ref"]),
        ("parser", notes, &["parser: refs/notes/forge/reviews names"]),
        ("forge", elo, &["forge: refs/forge/elo/antfarm names"]),
        ("parser", "git update-ref refs/forge/ledger refs/forge/ledger~1", &["parser: refs/", "but the ledger (batch"]),
        ("parser", "git update-ref refs/forge/ledger refs/forge/issues/1", &["parser: ledger commit"]),
        ("parser", "git update-ref -d refs/forge/ledger", &["parser: it has no refs/forge/ledger"]),
        ("parser", &unsigned, &["parser: ledger commit", "its signature is not by the key of epoch 1"]),
        ("lexer", &resigned, &["lexer: ledger commit", "its signature is not by the key of epoch 1"]),
        ("forge", &resigned, &["forge: ledger commit", "its signature is not by the key of epoch 1"]),
        ("parser", lost, &["FAULT parser: issues/1 event commit", "is missing"]),
    ];
    for (project, script, words) in table {
        let out = verify_after(&agents[0], &data, project, script).exits(1);
        words.iter().fold(out, |out, word| out.says(word)).says("checked").says("next: forge restore --help");
    }
    // Without forge.git nothing says who signs: the others are not called good.
    verify_after(&agents[0], &data, "forge", &resigned).exits(1).says("pending parser: not checked");
}

/// Given a ledger commit's `batch` and `refs`: what they are to be, where they change.
type Edit<'a> = dyn Fn(&[u8], &str) -> Option<(Vec<u8>, String)> + 'a;

/// A repository and the key that signs its ledger: what an operator who cheats has.
struct Operator {
    repository: PathBuf,
    key: PathBuf,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

/// `bytes` with every occurrence of `from` replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend(&rest[..at]);
        out.extend(to);
        rest = &rest[at + from.len()..];
    }
    out.extend(rest);
    out
}

impl Operator {
    fn git(&self, args: &[&str]) -> String {
        git(&self.repository, args).ok().text().to_owned()
    }

    /// Bytes of a program that reads `input`.
    fn pipe(&self, program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.repository).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{program} {args:?}");
        out.stdout
    }

    fn read(&self, kind: &str, what: &str) -> Vec<u8> {
        self.pipe("git", &["cat-file", kind, what], b"")
    }

    fn write(&self, kind: &str, bytes: &[u8]) -> String {
        String::from_utf8(self.pipe("git", &["hash-object", "-w", "-t", kind, "--stdin"], bytes)).unwrap().trim().into()
    }

    fn sha256(&self, bytes: &[u8]) -> String {
        String::from_utf8(self.pipe("sha256sum", &[], bytes)).unwrap()[..64].to_owned()
    }

    /// The tree `tree` with other blobs under some of its names.
    fn tree(&self, tree: &str, files: &[(&str, &[u8])]) -> String {
        let mut listed = self.git(&["ls-tree", tree]);
        for (name, bytes) in files {
            let (new, old) = (self.write("blob", bytes), self.git(&["rev-parse", &format!("{tree}:{name}")]));
            listed = listed.replace(&old, &new);
        }
        String::from_utf8(self.pipe("git", &["mktree"], format!("{listed}\n").as_bytes())).unwrap().trim().into()
    }

    /// Signs a commit's bytes, whatever signature they had.
    fn signed(&self, commit: &str) -> String {
        let (head, message) = commit.split_once("\n\n").unwrap();
        let plain = head.split_once("\ngpgsig").map_or(head, |(before, _)| before);
        let bare = format!("{plain}\n\n{message}");
        let key = self.key.to_str().unwrap();
        let armor = self.pipe("ssh-keygen", &["-Y", "sign", "-q", "-n", "git", "-f", key], bare.as_bytes());
        let armor = String::from_utf8(armor).unwrap();
        let folded = armor.trim_end().replace('\n', "\n ");
        format!("{plain}\ngpgsig {folded}\n\n{message}")
    }

    /// Writes the ledger anew from the first commit that `edit` changes on, each commit signed and linked to the one
    /// before as the forge does it. `edit` sees a commit's `batch` and `refs`.
    fn rewrite(&self, edit: &Edit, also: &[(String, String)]) {
        let mut before: Option<(String, String)> = None;
        let chain = self.git(&["rev-list", "--reverse", "--first-parent", "refs/forge/ledger"]);
        for old in chain.lines() {
            let (batch, refs) = (self.read("blob", &format!("{old}:batch")), self.read("blob", &format!("{old}:refs")));
            let refs = String::from_utf8(refs).unwrap();
            let edited = edit(&batch, &refs);
            if edited.is_none() && before.is_none() {
                continue;
            }
            let (batch, refs) = edited.unwrap_or((batch, refs));
            let tree = self.tree(&format!("{old}^{{tree}}"), &[("batch", &batch), ("refs", refs.as_bytes())]);
            let mut text = String::from_utf8(self.read("commit", old)).unwrap();
            let field = |text: &str, name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().to_owned();
            text = text.replace(&field(&text, "tree "), &tree);
            text = text.replace(&field(&text, "Forge-Digest: "), &self.sha256(&[&batch, refs.as_bytes()].concat()));
            if let Some((parent, new)) = &before {
                let digest = self.sha256(&self.read("commit", new));
                text = text.replace(parent, new).replace(&field(&text, "Forge-Prev: "), &digest);
            }
            for (from, to) in also {
                text = text.replace(from, to);
            }
            let new = self.write("commit", self.signed(&text).as_bytes());
            before = Some((old.to_owned(), new));
        }
        let (_, tip) = before.expect("a commit that is edited");
        self.git(&["update-ref", "refs/forge/ledger", &tip]);
    }

    /// Replaces bytes of the newest event of `chain` and of the state beside it, and rewrites the ledger to fit.
    fn forge(&self, chain: &str, edit: &dyn Fn(Vec<u8>) -> Vec<u8>) {
        let tip = self.git(&["rev-parse", chain]);
        let (event, state) = (self.read("blob", &format!("{tip}:event")), self.read("blob", &format!("{tip}:state")));
        let (new_event, new_state) = (edit(event.clone()), edit(state));
        let tree = self.tree(&format!("{tip}^{{tree}}"), &[("event", &new_event), ("state", &new_state)]);
        let text = String::from_utf8(self.read("commit", &tip)).unwrap();
        let old_tree = self.git(&["rev-parse", &format!("{tip}^{{tree}}")]);
        let new_tip = self.write("commit", text.replace(&old_tree, &tree).as_bytes());
        let digests = [&event, &new_event].map(|bytes| unhex(&self.sha256(bytes)));
        let fits = |batch: &[u8], refs: &str| {
            let new = replaced(batch, &digests[0], &digests[1]);
            let new = replaced(&new, &unhex(&tip), &unhex(&new_tip));
            (new != batch).then(|| (new, refs.replace(&tip, &new_tip)))
        };
        self.rewrite(&fits, &[(tip.clone(), new_tip.clone())]);
        self.git(&["update-ref", chain, &new_tip]);
    }
}

#[test]
fn what_the_operator_forges_with_the_key_is_named_where_it_contradicts_itself() {
    let (forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    let key = forge.data().join("secrets/signing_key");
    let operator = |name: &str, project: &str| {
        let copy = altered(&data, name);
        (Operator { repository: copy.join(format!("repositories/{project}.git")), key: key.clone() }, copy)
    };

    // The rewriting itself is sound: the same bytes signed again are the same ledger.
    let (same, copy) = operator("same", "forge");
    same.rewrite(&|batch, refs| Some((batch.to_vec(), refs.to_owned())), &[]);
    verify(&copy).ok();

    let (rating, copy) = operator("rating", "forge");
    rating.forge("refs/forge/elo/antfarm", &|mut bytes| {
        let word = b"delta_milli";
        if let Some(at) = bytes.windows(word.len()).position(|window| window == word) {
            // 0xcd, then sixteen bits.
            assert_eq!(bytes[at + word.len()], 0xcd, "{}", hex(&bytes));
            bytes[at + word.len() + 2] ^= 1;
        }
        bytes
    });
    verify(&copy).exits(1).says("FAULT forge: elo/antfarm event 1").says("its change is not what its inputs give");

    // A rating whose sums are right, for a merge that never was.
    let (invented, copy) = operator("invented", "forge");
    let merge = invented.sha256(
        &Operator { repository: copy.join("repositories/parser.git"), key: key.clone() }
            .read("blob", "refs/forge/pulls/2:event"),
    );
    let other = invented.sha256(b"a merge that never was");
    invented.forge("refs/forge/elo/antfarm", &|bytes| replaced(&bytes, &unhex(&merge), &unhex(&other)));
    verify(&copy)
        .exits(1)
        .says("FAULT forge: elo/antfarm event 1")
        .says("parser#2 never asked for this rating")
        .says("parser: pulls/2: alpha is owed a rating for this merge");

    let (history, copy) = operator("history", "parser");
    history.rewrite(&|batch, refs| Some((batch.to_vec(), refs.to_owned())), &[(" — beta".into(), " — gamma".into())]);
    verify(&copy).exits(1).says("parser: batch").says("its ledger was rewritten");

    // A branch that moved from where it never was, and a default branch that went elsewhere.
    let (branch, copy) = operator("branch", "parser");
    let [main, before] = ["refs/heads/main", "refs/heads/main~1"].map(|name| branch.git(&["rev-parse", name]));
    let event = branch.git(&["rev-parse", "refs/forge/issues/1"]);
    let (line, from) = (format!("refs/heads/main {main} {before}"), format!("refs/heads/main {main} {event}"));
    let moved = |batch: &[u8], refs: &str| refs.contains(&line).then(|| (batch.to_vec(), refs.replace(&line, &from)));
    branch.rewrite(&moved, &[]);
    verify(&copy).exits(1).says("FAULT parser: ledger commit").says(&format!("from {event}, where it was {before}"));

    let (elsewhere, copy) = operator("elsewhere", "parser");
    let to = format!("refs/heads/main {event} {before}");
    let moved = |batch: &[u8], refs: &str| refs.contains(&line).then(|| (batch.to_vec(), refs.replace(&line, &to)));
    elsewhere.rewrite(&moved, &[]);
    elsewhere.git(&["update-ref", "refs/heads/main", &event]);
    verify(&copy).exits(1).says("FAULT parser: ledger commit").says("which does not descend from it");

    // An event that was dropped from the middle leaves a gap in its chain.
    let (gap, copy) = operator("gap", "parser");
    let n = gap.git(&["rev-list", "--count", "refs/forge/issues/1"]);
    let (middle, tip) =
        (gap.git(&["rev-parse", "refs/forge/issues/1~1"]), gap.git(&["rev-parse", "refs/forge/issues/1"]));
    let text = String::from_utf8(gap.read("commit", &tip)).unwrap();
    let new = gap.write("commit", text.replace(&middle, &gap.git(&["rev-parse", &format!("{middle}~1")])).as_bytes());
    let fits = |batch: &[u8], refs: &str| {
        let fitting = replaced(batch, &unhex(&tip), &unhex(&new));
        (fitting != batch).then(|| (fitting, refs.replace(&tip, &new)))
    };
    gap.rewrite(&fits, &[(tip.clone(), new.clone())]);
    gap.git(&["update-ref", "refs/forge/issues/1", &new]);
    verify(&copy)
        .exits(1)
        .says(&format!("FAULT parser: issues/1 event {n}"))
        .says("its commit does not follow on the entity's commit before");
}

/// Levels are judged where the records are read, by `forge trace verify`: less than they give is no fault, more is one.
#[test]
fn a_level_stated_too_low_is_no_fault_and_one_stated_too_high_is() {
    let forge = Forge::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| forge.agent(name));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let signed = Work::start(&alpha, &flow::open_issue(&beta, "parser", "Signed"));
    signed.git(&["config", "forge.signingkey", alpha.key_path().to_str().unwrap()]).ok();
    signed.deliver("a.txt", "a\n");
    let unsigned = Work::start(&alpha, &flow::open_issue(&beta, "parser", "Unsigned"));
    unsigned.deliver("b.txt", "b\n");
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &alpha, &data);
    let key = forge.data().join("secrets/signing_key");
    let stated = |pull: &str, from: &[u8], to: &[u8]| {
        let copy = altered(&data, "levels");
        let parser = Operator { repository: copy.join("repositories/parser.git"), key: key.clone() };
        parser.forge(&format!("refs/forge/pulls/{pull}"), &|bytes| replaced(&bytes, from, to));
        // It fits together and has the key's signature, and that is all that `forge verify` asks of a level.
        verify(&copy).ok();
        let seen = alpha.clone_into(parser.repository.to_str().unwrap(), &format!("seen-{pull}"), &["--mirror"]);
        alpha.sh(&seen, &format!("forge trace verify refs/pull/{pull}/head"))
    };
    let low = stated("2", b"P2", b"P1").ok();
    low.says("the ledger states P1, which is less than its records give: P2").says("good: proof P2");
    let high = stated("4", b"P1", b"P2").exits(1);
    high.says("the ledger states P2, and its records give P1").says("NOT good: proof P1");
}

#[test]
fn an_honest_mirror_is_told_how_much_was_checked_and_what_was_not() {
    let (forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &agents[0], &data);
    let count = |args: &[&str]| -> usize {
        let one = |project: &str| git(&data.join(format!("repositories/{project}.git")), args).ok();
        ["forge", "lexer", "parser"].map(|project| one(project).text().lines().count()).iter().sum()
    };
    let batches = count(&["rev-list", "--first-parent", "refs/forge/ledger"]);
    let entities =
        ["issues", "pulls", "checks", "agents", "projects", "elo"].map(|kind| format!("--glob=refs/forge/{kind}/*"));
    let events = count(&[&["rev-list"], &entities.each_ref().map(String::as_str)[..]].concat());
    let refs = count(&["for-each-ref"]) - 3;
    let ledger = git(&data.join("repositories/parser.git"), &["rev-parse", "refs/forge/ledger"]).ok();
    verify(&data)
        .ok()
        .says(&format!(
            "good: 3 repositories, {batches} ledger commits (signed by keys of 1 epochs), {events} events, 1 rating"
        ))
        .says(&format!(" {refs} refs,"))
        .says(ledger.text())
        .says("Not shown by this: whether the operator invented unsigned events")
        .keeps_quiet_about("pending");
    // Notes and records may stay behind; nothing rests on them.
    let partial = altered(&data, "partial");
    let parser = partial.join("repositories/parser.git");
    agents[0]
        .sh(&parser, "set -e; git for-each-ref --format='delete %(refname)' refs/notes refs/forge/traces | git update-ref --stdin; \
            git -c gc.reflogExpire=now repack -qadf")
        .ok();
    verify(&partial).ok().says("not in this copy");
}

#[test]
fn copies_of_different_moments_are_pending_and_no_fault() {
    let forge = Forge::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| forge.agent(name));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let work = Work::start(&alpha, &flow::open_issue(&beta, "parser", "First"));
    let pull = work.deliver("a.txt", "a\n");
    let early = forge.scratch().join("early");
    mirror_all(&forge, &alpha, &early);
    beta.json(&format!("review approve {pull} reads well"));
    forge.agent("gamma").json("join parser");
    alpha.json(&format!("merge {pull}"));
    flow::open_issue(&beta, "parser", "Second");
    let late = forge.scratch().join("late");
    mirror_all(&forge, &alpha, &late);
    verify(&late).ok().keeps_quiet_about("pending");

    let mixed = |name: &str, project: &str| {
        let copy = altered(&late, name);
        let repository = format!("repositories/{project}.git");
        fs::remove_dir_all(copy.join(&repository)).unwrap();
        copy_tree(&early.join(&repository), &copy.join(&repository));
        verify(&copy)
    };
    mixed("older-root", "forge").ok().says("pending parser: batch").says("an older copy, or another history");
    mixed("older-project", "parser").ok().says("pending parser: forge.git settled its batch").says("this copy ends at");

    // A fetch that prunes nothing leaves the record's own ref, which went when the issue closed.
    let parser = early.join("repositories/parser.git");
    alpha.git(&parser, &["fetch", "-q", "--no-prune"]).ok();
    alpha.git(early.join("repositories/forge.git"), &["fetch", "-q"]).ok();
    verify(&early).ok().says("pending parser: refs/notes/forge/in/alpha/").says("still on disk");
    alpha.git(&parser, &["fetch", "-q", "--prune"]).ok();
    verify(&early).ok().keeps_quiet_about("pending");
}

#[test]
fn a_forged_rating_of_a_verdict_is_named() {
    let forge = Forge::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| forge.agent(name));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let work = flow::Work::start(&alpha, &flow::open_issue(&beta, "parser", "Leak"));
    let pull = work.deliver("leak.txt", "fixed\n");
    beta.json(&format!("review request-changes {pull} it leaks still"));
    work.write("leak.txt", "fixed, and tested\n");
    work.record("true").ok();
    work.commit("Stop the leak");
    work.push().ok();
    beta.json(&format!("review approve {pull} reads well"));
    let data = forge.scratch().join("mirrored");
    mirror_all(&forge, &alpha, &data);
    verify(&data).ok();
    let operator = |name: &str| {
        let copy = altered(&data, name);
        let [root, parser] = ["forge", "parser"].map(|project| Operator {
            repository: copy.join(format!("repositories/{project}.git")),
            key: forge.data().join("secrets/signing_key"),
        });
        (root, parser, copy)
    };

    let (root, _, copy) = operator("more");
    root.forge("refs/forge/elo/review", &|mut bytes| {
        let word = b"delta_milli";
        if let Some(at) = bytes.windows(word.len()).position(|window| window == word) {
            // 0xcd, then sixteen bits.
            assert_eq!(bytes[at + word.len()], 0xcd, "{}", hex(&bytes));
            bytes[at + word.len() + 2] ^= 1;
        }
        bytes
    });
    verify(&copy).exits(1).says("FAULT forge: elo/review event 1").says("its change is not what the ledger before it");

    // Sums that are right, for the approval, which nothing has judged; and so what was judged is not rated.
    let (root, parser, copy) = operator("another");
    let [asked, approved] =
        ["refs/forge/pulls/2~2:event", "refs/forge/pulls/2:event"].map(|of| root.sha256(&parser.read("blob", of)));
    root.forge("refs/forge/elo/review", &|bytes| replaced(&bytes, &unhex(&asked), &unhex(&approved)));
    verify(&copy)
        .exits(1)
        .says("FAULT forge: elo/review event 1")
        .says("parser#2 never asked for this rating")
        .says("parser: pulls/2: beta is owed a rating for its verdict");
}
