//! `forge mirror`: another forge followed by git fetch alone, checked on the way in, served to readers, and nothing of a
//! history that does not go on from what was seen.

use std::fs;
use std::path::{Path, PathBuf};

use tests::flow::{self, Work};
use tests::plumbing::{self, copy_tree, git, mirror_all};
use tests::{Agent, Forge, Out, tool, until};

use super::mirror::{feeds, lived_in, verify};

/// `forge mirror <url> --data <data> --once`.
pub(crate) fn mirror_once(url: &str, data: &Path) -> Out {
    tool(&["mirror", url, "--data", data.to_str().unwrap(), "--once"])
}

/// The command that a refusal names, run as it stands by `agent`.
#[track_caller]
fn run_next(agent: &Agent, out: &Out) -> Out {
    let said = out.all();
    let next = said.lines().find_map(|line| line.split_once("next: ")).unwrap_or_else(|| panic!("no next: {out}")).1;
    agent.sh(agent.home(), next)
}

fn ledger(data: &Path, project: &str) -> String {
    git(&data.join(format!("repositories/{project}.git")), &["rev-parse", "refs/forge/ledger"]).ok().text().to_owned()
}

#[test]
fn a_mirror_follows_a_forge_and_prints_the_same_feeds() {
    let (forge, agents) = lived_in();
    let [alpha, beta, _] = &agents;
    let data = forge.scratch().join("mirrored");
    mirror_once(&forge.http_url(""), &data).ok().says("good: ").says("ledger parser ");
    // Notes are written a moment behind.
    let there = || plumbing::remote_ref(alpha, "parser", "refs/forge/ledger").unwrap();
    until("the mirror catches up", || {
        mirror_once(&forge.http_url(""), &data).ok().is_ok() && ledger(&data, "parser") == there()
    });
    verify(&data).ok().keeps_quiet_about("pending");
    plumbing::assert_clean(&data.join("repositories/parser.git"));
    until("the mirror catches up", || {
        mirror_once(&forge.http_url(""), &data).ok().stdout.contains("good: 0 new batches")
    });

    let mut mirror = forge.mirror(&data, &forge.http_url(""));
    mirror.up();
    assert_eq!(feeds(&mirror, &agents), feeds(&forge, &agents));
    // Somebody waits at the mirror for what happens at the forge.
    let there = alpha.at(&mirror);
    let seq = alpha.json("feed")["seq"].to_string();
    let waiting = std::thread::spawn(move || there.ssh(&format!("feed --since {seq} --wait")).ok());
    let open = flow::open_issue(beta, "parser", "Only heard of at the mirror");
    alpha.json(&format!("reply {open} Me too"));
    beta.json("reply lexer#1 To wake alpha");
    flow::land(alpha, beta, "parser", "c.txt", "c\n");
    waiting.join().unwrap();
    flow::found_project(beta, "young", &[("README.md", "young\n")]);
    let same = |mirror: &Forge| feeds(mirror, &agents) == feeds(&forge, &agents);
    until("the mirror catches up", || same(&mirror));
    let clone = alpha.at(&mirror).clone_into(&mirror.http_url("/young.git"), "from-the-mirror", &[]);
    assert_eq!(fs::read_to_string(clone.join("README.md")).unwrap(), "young\n");
    alpha.at(&mirror).clone_into(&mirror.ssh_url("parser"), "over-ssh", &["--mirror"]);
    assert_eq!(mirror.get("/parser/issues/1.json"), forge.get("/parser/issues/1.json"));
    let found = |forge: &Forge| alpha.at(forge).ssh_json("search heard").ok().stdout;
    assert_eq!(found(&mirror), found(&forge));

    // A kill loses nothing, and a mirror of the mirror is the same again, over SSH.
    mirror.kill();
    let more = flow::open_issue(beta, "young", "While it was down");
    mirror.up();
    until("the mirror catches up", || alpha.at(&mirror).ssh(&format!("details {more}")).is_ok());
    // What is damaged in it comes from the forge again.
    let damaged = forge.scratch().join("damaged");
    copy_tree(&data, &damaged);
    git(&damaged.join("repositories/parser.git"), &["update-ref", "-d", "refs/heads/main"]).ok();
    run_next(alpha, &verify(&damaged).exits(1)).ok().says("good: ");
    verify(&forge.scratch().join("damaged.anew")).ok();
    let second = forge.scratch().join("second");
    let url = format!("ssh://127.0.0.1:{}", mirror.ssh_port());
    alpha.at(&mirror).sh(forge.scratch(), &format!("forge mirror {url} --data {} --once", second.display())).ok();
    let second = forge.beside(&second);
    assert_eq!(feeds(&second, &agents), feeds(&forge, &agents));
    assert_eq!(mirror.stop(), 0);
    verify(&data).ok().keeps_quiet_about("pending");
}

#[test]
fn a_mirror_refuses_every_write_with_the_way_to_the_forge() {
    let (forge, agents) = lived_in();
    let alpha = &agents[0];
    let data = forge.scratch().join("mirrored");
    for url in [forge.http_url(""), format!("ssh://127.0.0.1:{}", forge.ssh_port())] {
        alpha.sh(forge.scratch(), &format!("forge mirror {url} --data {} --once", data.display())).ok();
        let mut mirror = forge.beside(&data);
        let heads = [ledger(&data, "forge"), ledger(&data, "parser")];
        let there = alpha.at(&mirror);
        for line in
            ["reply parser#1 hello", "issue new parser --title x", "project new other", "start parser#3", "token"]
        {
            let (code, error) = there.refusal(line);
            assert_eq!((code, error["code"].as_str()), (4, Some("not-allowed")), "{line}: {error}");
            let out = there.ssh(line).fails().says(&url);
            run_next(alpha, &out).ok();
        }
        let stranger = mirror.stranger("delta");
        run_next(&stranger, &stranger.ssh("register delta").exits(4).says(&url)).ok();
        let dir = there.clone_into(&mirror.ssh_url("parser"), &format!("to-push-{}", mirror.ssh_port()), &[]);
        there.sh(&dir, "git checkout -qb alpha/x && git commit -q --allow-empty -m x").ok();
        let pushed = there.git(&dir, &["push", "origin", "HEAD"]).fails().says(&url);
        run_next(alpha, &pushed).ok();
        there.ssh("whoami").ok().says("alpha");
        assert_eq!(mirror.stop(), 0);
        assert_eq!([ledger(&data, "forge"), ledger(&data, "parser")], heads);
        assert!(!data.join("repositories/other.git").exists());
        verify(&data).ok();
    }
    // Without the mark it is a forge of its own, in an epoch of its own.
    fs::remove_file(data.join("upstream")).unwrap();
    let mut own = forge.beside(&data);
    alpha.at(&own).json("reply parser#1 hello");
    assert_eq!(own.stop(), 0);
    verify(&data).ok();
    // And from then on no mirror of the other, which it would have to forget what was written for.
    let out = mirror_once(&forge.http_url(""), &data).exits(1).says("is a forge of its own");
    run_next(alpha, &out).ok();
    assert!(!data.join("upstream").exists());
}

#[test]
fn a_history_that_does_not_go_on_is_not_followed() {
    let (mut forge, agents) = lived_in();
    let [alpha, beta, _] = &agents;
    let (data, old) = (forge.scratch().join("mirrored"), forge.scratch().join("old"));
    assert_eq!(forge.stop(), 0);
    copy_tree(forge.data(), &old);
    forge.up();
    flow::open_issue(alpha, "parser", "Seen by the mirror");
    mirror_once(&forge.http_url(""), &data).ok();
    let seen = [ledger(&data, "forge"), ledger(&data, "parser"), ledger(&data, "lexer")];

    // The forge comes back from an old copy, and goes another way; then it is merely behind.
    assert_eq!(forge.stop(), 0);
    let kept = forge.scratch().join("kept");
    fs::rename(forge.data(), &kept).unwrap();
    copy_tree(&old, forge.data());
    forge.up();
    let refused = |forge: &Forge| {
        let out = mirror_once(&forge.http_url(""), &data).exits(1).says("the history there was rewritten");
        assert_eq!([ledger(&data, "parser"), ledger(&data, "lexer")], seen[1..]);
        run_next(alpha, &out).ok().says("good: ");
        out
    };
    refused(&forge);
    flow::open_issue(beta, "parser", "Another history");
    refused(&forge).says("forge: forge: the history");
    // One repository that went another way is named, and the forge's own is still followed.
    let parted = forge.scratch().join("parted");
    mirror_all(&forge, alpha, &parted);
    for (project, from) in [("forge", &kept), ("lexer", &kept)] {
        let repository = format!("repositories/{project}.git");
        fs::remove_dir_all(parted.join(&repository)).unwrap();
        copy_tree(&from.join(&repository), &parted.join(&repository));
    }
    refused(&forge.plain_beside(&parted.join("repositories"))).says("forge: parser: the history there was rewritten");
    // Who serves the mirror goes on serving what was seen.
    let mut mirror = forge.mirror(&data, &forge.http_url(""));
    mirror.up();
    alpha.at(&mirror).ssh("feed").ok().says("Seen by the mirror").keeps_quiet_about("Another history");
    until("the mirror catches up", || mirror.log().contains("the history there was rewritten"));
    assert_eq!((mirror.stop(), forge.stop()), (0, 0));
    fs::remove_dir_all(forge.data()).unwrap();
    fs::rename(&kept, forge.data()).unwrap();
    forge.up();
    mirror_once(&forge.http_url(""), &data).ok();
}

#[test]
fn what_a_mirror_is_shown_is_held_against_the_ledger() {
    let (forge, agents) = lived_in();
    let copies = forge.scratch().join("copies");
    mirror_all(&forge, &agents[0], &copies);
    let forged = "git -c user.name=x -c user.email=x@x commit-tree -m x -p refs/forge/ledger refs/forge/ledger^{tree}";
    for (project, script, why) in [
        ("parser", "git update-ref refs/heads/invented refs/heads/main", "its ledger knows no such ref"),
        ("parser", "git update-ref refs/heads/main refs/heads/main~1", "refs/heads/main is shown there as"),
        ("parser", "git update-ref -d refs/forge/issues/1", "refs/forge/issues/1 is not shown there"),
        ("parser", &format!("git update-ref refs/forge/ledger $({forged})"), "parser: ledger commit"),
        ("forge", &format!("git update-ref refs/forge/ledger $({forged})"), "forge: ledger commit"),
        ("lexer", "git update-ref -d refs/forge/ledger", "shows no ledger"),
    ] {
        let altered = forge.scratch().join("altered");
        drop(fs::remove_dir_all(&altered));
        copy_tree(&copies, &altered);
        agents[0].sh(altered.join(format!("repositories/{project}.git")), script).ok();
        let plain = forge.plain_beside(&altered.join("repositories"));
        let data = forge.scratch().join("mirrored");
        drop(fs::remove_dir_all(&data));
        mirror_once(&plain.http_url(""), &data).exits(1).says(why).says("next: ");
        assert!(!data.join(format!("repositories/{project}.git/packed-refs")).exists(), "{script}");
    }
    for url in ["file:///tmp", "ext::sh", "http://user:secret@127.0.0.1"] {
        mirror_once(url, &forge.scratch().join("none")).exits(2);
    }
    mirror_once("http://127.0.0.1:9", &forge.scratch().join("nobody")).exits(1).says("next: forge mirror");
}

#[test]
fn a_new_signing_epoch_is_followed_when_an_operator_says_so() {
    let (mut forge, agents) = lived_in();
    let data = forge.scratch().join("mirrored");
    mirror_once(&forge.http_url(""), &data).ok();
    assert_eq!(forge.stop(), 0);
    fs::remove_file(forge.data().join("secrets/signing_key")).unwrap();
    forge.up();
    flow::open_issue(&agents[0], "parser", "Signed by another key");
    let before = ledger(&data, "forge");
    let out = mirror_once(&forge.http_url(""), &data).exits(1).says("opens epoch 2 with a new signing key");
    assert_eq!(ledger(&data, "forge"), before);
    run_next(&agents[0], &out).ok().says("good: ");
    until("the mirror catches up", || {
        mirror_once(&forge.http_url(""), &data).ok().stdout.contains("good: 0 new batches")
    });
    verify(&data).ok().says("signed by keys of 2 epochs");
}

/// A forge, and copies of it: all of one moment, all of a later one, and mixtures in which some are of the earlier.
pub(crate) struct Moments {
    pub forge: Forge,
    agents: [Agent; 2],
    late: PathBuf,
    early: PathBuf,
}

impl Moments {
    pub(crate) fn live() -> Moments {
        let forge = Forge::start();
        let agents = ["alpha", "beta"].map(|name| forge.agent(name));
        let [alpha, beta] = &agents;
        flow::found_project(beta, "parser", &[("README.md", "parser\n")]);
        let work = Work::start(alpha, &flow::open_issue(beta, "parser", "First"));
        let pull = work.deliver("a.txt", "a\n");
        // They are written a moment behind.
        until("the mirror catches up", || plumbing::remote_ref(alpha, "parser", "refs/notes/forge/traces").is_some());
        let early = forge.scratch().join("early");
        mirror_all(&forge, alpha, &early);
        beta.json(&format!("review approve {pull} reads well"));
        alpha.json(&format!("merge {pull}"));
        flow::open_issue(beta, "parser", "Third");
        flow::found_project(alpha, "lexer", &[("README.md", "lexer\n")]);
        let late = forge.scratch().join("late");
        mirror_all(&forge, alpha, &late);
        Moments { forge, agents, late, early }
    }

    pub(crate) fn mixed(&self, stale: &[&str]) -> PathBuf {
        let mixed = self.forge.scratch().join(format!("mixed-{}", stale.join("-")));
        copy_tree(&self.late, &mixed);
        for project in stale {
            let repository = format!("repositories/{project}.git");
            fs::remove_dir_all(mixed.join(&repository)).unwrap();
            copy_tree(&self.early.join(&repository), &mixed.join(&repository));
        }
        mixed
    }

    fn feeds(&self, forge: &Forge) -> [String; 2] {
        self.agents.each_ref().map(|agent| agent.at(forge).ssh_json("feed").ok().stdout)
    }
}

#[test]
fn copies_cut_at_different_moments_are_completed() {
    let moments = Moments::live();
    let Moments { forge, .. } = &moments;
    for stale in [&["forge"][..], &["parser"], &["forge", "parser"]] {
        let mixed = moments.mixed(stale);
        mirror_once(&forge.http_url(""), &mixed).ok().says("good: ");
        verify(&mixed).ok().keeps_quiet_about("pending");
        let mut second = forge.beside(&mixed);
        assert_eq!(moments.feeds(&second), moments.feeds(forge), "{stale:?}");
        assert_eq!(second.stop(), 0);
    }
    // A copy whose ledger speaks of a ref that another moment's list did not have, as a fetch by name makes them.
    let torn = moments.mixed(&["parser"]);
    let parser = torn.join("repositories/parser.git");
    git(&parser, &["update-ref", "-d", "refs/notes/forge/traces"]).ok();
    git(&parser, &["repack", "-q", "-a", "-d"]).ok();
    mirror_once(&forge.http_url(""), &torn).ok().says("its object is missing").says("good: ");
    verify(&torn).ok().keeps_quiet_about("pending");
    // A mirror without its copies says how it comes by them again.
    let empty = forge.scratch().join("mixed-forge");
    fs::remove_dir_all(empty.join("repositories")).unwrap();
    let line = ["serve", "--data", empty.to_str().unwrap(), "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let out = tool(&line).exits(1).says("of which nothing is here yet");
    run_next(&moments.agents[0], &out).ok().says("good: ");
    verify(&empty).ok().keeps_quiet_about("pending");
}

#[test]
fn copies_cut_at_different_moments_are_refused_unless_their_loss_is_accepted() {
    let moments = Moments::live();
    let Moments { forge, agents: [alpha, beta], .. } = &moments;
    let whole = moments.mixed(&[]);
    let serve = |data: &Path| {
        tool(&["serve", "--data", data.to_str().unwrap(), "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0"])
    };
    for (stale, why) in [(&["forge"][..], "parser cites"), (&["parser"], "forge.git settled batch")] {
        let mixed = moments.mixed(stale);
        let heads = || ["forge", "parser", "lexer"].map(|project| ledger(&mixed, project));
        let before = heads();
        let next = format!("next: forge serve --data {} --accept-loss", mixed.display());
        serve(&mixed).exits(1).says("copies of different moments").says(why).says("forge mirror").says(&next);
        assert_eq!(heads(), before, "nothing was written");

        let mut second = forge.beside_stopped(&mixed);
        second.set_flags(&["--accept-loss"]);
        second.up();
        let [alpha, beta] = [alpha, beta].map(|agent| agent.at(&second));
        // Numbers that the lost part gave away are not given again, and what lands is rated.
        let issue = flow::open_issue(&beta, "parser", "After the loss");
        assert!(issue[issue.find('#').unwrap() + 1..].parse::<u64>().unwrap() > 1000, "{issue}");
        let rated = |forge: &Forge| alpha.at(forge).json("profile alpha")["history"].as_array().unwrap().len();
        let rated_before = rated(&second);
        assert_eq!(rated_before, 1, "{stale:?}: settled before, or settled anew");
        let seq = alpha.json("feed")["seq"].as_u64().unwrap();
        assert!(seq > 1_000_000, "{seq}");
        let mut more = Work::start(&alpha, &issue);
        more.agent = alpha.clone();
        let pull = more.deliver("b.txt", "b\n");
        beta.json(&format!("review approve {pull} reads well"));
        alpha.json(&format!("merge {pull}"));
        assert_eq!(rated(&second), rated_before + 1);
        // It is given up once.
        assert_eq!(second.stop(), 0);
        second.set_flags(&[]);
        second.up();
        assert_eq!(rated(&second), rated_before + 1);
        assert_eq!(second.stop(), 0);
        verify(&mixed).ok().says("pending");
        assert_eq!(mixed.join("repositories/lexer.git").exists(), stale != ["forge"]);
        assert_eq!(mixed.join("repositories/lexer.git.lost").exists(), stale == ["forge"]);
    }
    // Copies of one moment lose nothing.
    let mut second = forge.beside(&whole);
    assert_eq!(moments.feeds(&second), moments.feeds(forge));
    assert_eq!(second.stop(), 0);
}
