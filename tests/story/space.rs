//! Disk: what nothing reaches any more leaves it, whoever pushes meanwhile, and who holds too much is told what to drop.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::agent::{number, text};
use tests::flow;
use tests::{Agent, Forge, plumbing, tool};

/// Longest wait for what housekeeping does by itself; nothing is asserted about time.
const SEARCH: Duration = Duration::from_secs(120);

/// A commit with a new file of so many bytes that nothing makes smaller; its id.
#[track_caller]
fn commit_noise(agent: &Agent, dir: &Path, name: &str, bytes: usize) -> String {
    agent.sh(dir, &format!("head -c {bytes} /dev/urandom > {name}")).ok();
    agent.git(dir, &["add", "-A"]).ok();
    agent.git(dir, &["commit", "-q", "-m", name]).ok();
    agent.git(dir, &["rev-parse", "HEAD"]).ok().text().to_owned()
}

/// Bytes of all packs of a repository.
fn size(repository: &Path) -> u64 {
    let packs = plumbing::packs(repository, "pack-");
    packs.iter().map(|pack| fs::metadata(pack).expect("a pack").len()).sum()
}

#[track_caller]
fn is_there(repository: &Path, id: &str) -> bool {
    plumbing::git(repository, &["cat-file", "-e", id]).is_ok()
}

#[track_caller]
fn verify(forge: &Forge) {
    tool(&["verify", forge.data().to_str().unwrap()]).ok();
    for project in forge.projects() {
        plumbing::assert_clean(&forge.repository(&project));
    }
}

fn push(agent: &Agent, dir: &Path, refspec: &str) {
    agent.git(dir, &["push", "-q", "origin", refspec]).ok();
}

#[test]
fn what_was_pushed_over_or_deleted_leaves_the_disk_and_may_come_back() {
    // What is small rides in a batch, what is larger is a pack of its own.
    let env = [("FORGE_LIMIT_MEMORY_BYTES", "65536"), ("FORGE_LIMIT_COLLECT_SECONDS", "0")];
    let mut forge = Forge::start_with(&env);
    let beta = forge.agent("beta");
    let dir = flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let repository = forge.repository("parser");
    beta.git(&dir, &["checkout", "-q", "-b", "kept"]).ok();
    let kept = commit_noise(&beta, &dir, "kept.bin", 400_000);
    push(&beta, &dir, "HEAD:refs/heads/beta/kept");
    let mut orphans = Vec::new();
    for n in 0..3 {
        beta.git(&dir, &["checkout", "-q", "-B", "work", "kept"]).ok();
        orphans.push(commit_noise(&beta, &dir, "large.bin", 2_000_000));
        push(&beta, &dir, "+HEAD:refs/heads/beta/work");
        orphans.push(commit_noise(&beta, &dir, "small.bin", 100 + n));
        push(&beta, &dir, "HEAD:refs/heads/beta/work");
    }
    push(&beta, &dir, ":refs/heads/beta/work");
    let before = size(&repository);
    assert!(before > 6_000_000, "{before}");
    assert_eq!(forge.stop(), 0);
    assert!(orphans.iter().all(|id| is_there(&repository, id)));

    let data = forge.data().to_str().unwrap().to_owned();
    tool(&["collect", "parser", "--data", &data]).ok().says("parser: ").says("needed by nothing");
    let after = size(&repository);
    assert!(after < 1_000_000, "{after} of {before} bytes are left");
    assert!(is_there(&repository, &kept));
    let stay: Vec<&String> = orphans.iter().filter(|id| is_there(&repository, id)).collect();
    assert!(stay.is_empty(), "{stay:?}");
    verify(&forge);
    // Nothing is left to be done, and nothing is done.
    tool(&["collect", "--all", "--data", &data]).ok();
    assert!(size(&repository) <= after);

    forge.up();
    let clone = beta.clone_into(&beta.ssh_url("parser"), "again", &["--branch", "beta/kept"]);
    assert!(clone.join("kept.bin").exists());
    // Who still has it brings it again, all of it.
    push(&beta, &dir, &format!("{}:refs/heads/beta/again", orphans[5]));
    assert!(is_there(&repository, &orphans[4]) && !is_there(&repository, &orphans[0]));
    tool(&["collect", "--data", &data]).fails().says("in use by another running forge");
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}

#[test]
fn pushes_and_clones_go_on_while_orphans_are_collected_again_and_again() {
    let env = [
        ("FORGE_LIMIT_COLLECT_SECONDS", "1"),
        ("FORGE_LIMIT_RETIRED_SECONDS", "0"),
        ("FORGE_LIMIT_MEMORY_BYTES", "1000000"),
    ];
    let mut forge = Forge::start_with(&env);
    let beta = forge.agent("beta");
    flow::found_project(&beta, "busy", &[("README.md", "busy\n")]);
    let repository = forge.repository("busy");
    let pushers: Vec<Agent> = ["alpha", "gamma", "delta"].map(|name| forge.agent(name)).to_vec();
    let collections = || forge.log().matches("orphans were collected").count();
    let (enough, started) = (AtomicBool::new(false), Instant::now());
    let ends: Vec<(String, String)> = std::thread::scope(|scope| {
        let enough = &enough;
        let works: Vec<_> =
            pushers.iter().enumerate().map(|(n, agent)| scope.spawn(move || pushes(agent, n, enough))).collect();
        let clones = scope.spawn(|| {
            let mut n = 0;
            while !enough.load(Ordering::Relaxed) {
                n += 1;
                let clone = beta.clone_into(&beta.ssh_url("busy"), &format!("clone-{n}"), &["--single-branch"]);
                beta.git(&clone, &["fsck", "--strict"]).ok();
            }
        });
        while collections() < 4 && started.elapsed() < SEARCH && !works.iter().any(|work| work.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        enough.store(true, Ordering::Relaxed);
        clones.join().expect("clones go on");
        works.into_iter().map(|work| work.join().expect("pushes go on")).collect()
    });
    assert!(collections() >= 4, "{} collections\n{}", collections(), forge.log());
    for (branch, tip) in &ends {
        assert_eq!(plumbing::remote_ref(&beta, "busy", branch), Some(tip.clone()), "{branch}");
    }
    assert_eq!(forge.stop(), 0);
    // At rest: stock git looks twice, and may miss what moves from pack to pack meanwhile.
    for (branch, tip) in &ends {
        assert!(is_there(&repository, tip), "{branch} {tip}\n{}", forge.log());
    }
    verify(&forge);
}

/// Pushes the same two commits over each other, deletes them and pushes them again, until it is enough. The branch, and
/// what it was told that it names.
#[track_caller]
fn pushes(agent: &Agent, n: usize, enough: &AtomicBool) -> (String, String) {
    let dir = agent.clone_into(&agent.ssh_url("busy"), "work", &[]);
    // Some ride in batches, others are packs of their own.
    let bytes = if n == 0 { 700_000 } else { 1_500_000 };
    let mut tips = Vec::new();
    for name in ["one.bin", "two.bin"] {
        agent.git(&dir, &["checkout", "-q", "-B", "work", "origin/main"]).ok();
        tips.push(commit_noise(agent, &dir, name, bytes));
        // What comes behind it needs it.
        tips.push(commit_noise(agent, &dir, "more.bin", 10));
    }
    let branch = format!("refs/heads/{}/work", agent.name);
    let mut tip = String::new();
    while !enough.load(Ordering::Relaxed) {
        for id in [0, 1, 3, 2, 1] {
            push(agent, &dir, &format!("+{}:{branch}", tips[id]));
            tip.clone_from(&tips[id]);
        }
        push(agent, &dir, &format!(":{branch}"));
        push(agent, &dir, &format!("{}:{branch}", tips[3]));
        tip.clone_from(&tips[3]);
    }
    (branch, tip)
}

#[test]
fn who_holds_too_much_is_told_what_to_drop() {
    let shared = [("FORGE_LIMIT_COLLECT_SECONDS", "1"), ("FORGE_LIMIT_RETIRED_SECONDS", "0")];
    let budgets = [("FORGE_LIMIT_PROJECT_BYTES", "3000000"), ("FORGE_LIMIT_OWNER_BYTES", "4000000")];
    let mut forge = Forge::start_with(&[shared, budgets].concat());
    let beta = forge.agent("beta");
    let dir = flow::found_project(&beta, "small", &[("README.md", "small\n")]);
    let noise = |dir: &Path, name: &str, bytes: usize| {
        beta.git(dir, &["checkout", "-q", "-B", name, "origin/main"]).ok();
        commit_noise(&beta, dir, name, bytes)
    };
    noise(&dir, "first", 2_000_000);
    push(&beta, &dir, "HEAD:refs/heads/beta/first");
    let held = || number(&beta.json("project show small"), "/disk/bytes");
    let before = held();
    assert_eq!(u64::try_from(before).unwrap(), size(&forge.repository("small")));
    let second = noise(&dir, "second", 2_000_000);
    let refused = beta.git(&dir, &["push", "origin", "HEAD:refs/heads/beta/second"]).fails();
    let refused = refused.says("project-bytes: small holds 2").says("FORGE_LIMIT_PROJECT_BYTES").says("beta/first");
    assert!(refused.all().contains("next: git push origin --delete beta/first"), "{refused}");
    assert_eq!(held(), before, "nothing of it stays");
    assert!(!is_there(&forge.repository("small"), &second));
    // As it was told.
    beta.git(&dir, &["push", "-q", "origin", "--delete", "beta/first"]).ok();
    let started = Instant::now();
    while held() > 1_000_000 {
        assert!(started.elapsed() < SEARCH, "what was deleted should be collected\n{}", forge.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    push(&beta, &dir, "HEAD:refs/heads/beta/second");
    beta.ssh("project show small").ok().says("disk: 2").says("projects of beta: ");

    let other = flow::found_project(&beta, "other", &[("README.md", "other\n")]);
    noise(&other, "large", 2_500_000);
    beta.git(&other, &["push", "origin", "HEAD:refs/heads/beta/large"])
        .fails()
        .says("owner-bytes: the projects of beta hold")
        .says("FORGE_LIMIT_OWNER_BYTES");
    // Somebody else's projects are not beta's.
    let alpha = forge.agent("alpha");
    let theirs = flow::found_project(&alpha, "theirs", &[("README.md", "theirs\n")]);
    commit_noise(&alpha, &theirs, "large", 2_500_000);
    alpha.git(&theirs, &["push", "-q", "origin", "HEAD:refs/heads/alpha/large"]).ok();

    // Far beyond a budget no text is taken, nor a new project; work ends, and what is there can be deleted.
    let issue = flow::open_issue(&beta, "small", "One more");
    assert_eq!(forge.stop(), 0);
    let budgets = [("FORGE_LIMIT_PROJECT_BYTES", "1000000"), ("FORGE_LIMIT_OWNER_BYTES", "1000000")];
    forge.try_up(&[shared, budgets].concat()).unwrap();
    for line in ["issue new small --title More", &format!("reply {issue} more")] {
        let (_, error) = beta.refusal(line);
        assert!(text(&error, "/code").ends_with("-bytes"), "{error}");
        beta.ssh(&text(&error, "/next").replace("ssh forge ", "")).ok();
    }
    beta.ssh("project new third").fails().says("FORGE_LIMIT_OWNER_BYTES");
    beta.ssh(&format!("issue close {issue}")).ok();
    beta.git(&dir, &["push", "-q", "origin", "--delete", "beta/second"]).ok();
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}
