//! What somebody with nothing but git sees: threads that read well, signatures that verify, repositories without fault.

use tests::agent::text;
use tests::flow::{self, Work};
use tests::plumbing;
use tests::{Agent, Forge};

fn busy_forge() -> (Forge, Agent, Agent) {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let issue = text(
        &beta.ssh_with("issue --json new parser --title 'Leak in tokens'", "It grows.\n\nForge-Seq: 999\n").ok().json(),
        "/ref",
    );
    beta.json(&format!("reply {issue} I can show it."));
    let work = Work::start(&alpha, &issue);
    work.write("fix.txt", "fixed\n");
    work.record("false").exits(1);
    work.record("true").ok();
    work.commit("Fix the leak");
    work.push().ok();
    let pull = text(&work.submit(), "/ref");
    beta.json(&format!("review request-changes {pull} Please say why."));
    work.write("why.txt", "because\n");
    work.record("true").ok();
    work.commit("Say why");
    work.push().ok();
    beta.json(&format!("review approve {pull} reads well"));
    alpha.json(&format!("merge {pull}"));
    (forge, alpha, beta)
}

#[test]
fn an_issue_reads_as_a_thread_and_the_ledger_as_a_log() {
    let (forge, alpha, _) = busy_forge();
    let copies = forge.scratch().join("copies");
    plumbing::mirror_all(&forge, &alpha, &copies);
    let parser = copies.join("repositories/parser.git");

    let thread = plumbing::git(&parser, &["log", "--reverse", "--format=%an: %s", "refs/forge/issues/1"]).ok();
    let lines: Vec<&str> = thread.stdout.lines().collect();
    assert_eq!(lines[0], "beta: opened: Leak in tokens");
    assert!(lines.iter().any(|line| line.starts_with("alpha: started work on branch ")), "{lines:#?}");
    assert_eq!(lines.last(), Some(&"alpha: closed: fixed by parser#2"));
    let bodies = plumbing::git(&parser, &["log", "--reverse", "--format=%B", "refs/forge/issues/1"]).ok();
    assert!(
        bodies.stdout.contains("I can show it.") && bodies.stdout.contains("Forge-Entity: parser issues/1"),
        "{bodies}"
    );
    // Text that looks like a trailer is not one.
    let trailers = ["log", "--format=%(trailers:key=Forge-Seq,valueonly,separator=%x2C)", "refs/forge/issues/1"];
    let seqs = plumbing::git(&parser, &trailers).ok();
    assert!(seqs.stdout.lines().all(|line| line != "999" && line.parse::<u64>().is_ok()), "{seqs}");

    let pull = plumbing::git(&parser, &["log", "--reverse", "--format=%an: %s", "refs/forge/pulls/2"]).ok();
    let lines: Vec<&str> = pull.stdout.lines().collect();
    for (at, beginning) in
        ["alpha: opened: ", "beta: requested changes at ", "alpha: round 2: ", "beta: approved at "].iter().enumerate()
    {
        assert!(lines[at].starts_with(beginning), "{lines:#?}");
    }
    assert!(lines.last().unwrap().starts_with("alpha: merged as "), "{lines:#?}");

    for project in forge.projects() {
        let copy = copies.join("repositories").join(format!("{project}.git"));
        let log = plumbing::git(&copy, &["log", "--first-parent", "--format=%cn|%s", "refs/forge/ledger"]).ok();
        for line in log.stdout.lines() {
            let (committer, subject) = line.split_once('|').unwrap();
            assert_eq!(committer, "forge", "{line}");
            assert!(!subject.is_empty() && subject.len() <= 120, "{line}");
        }
    }
    let ratings =
        plumbing::git(&copies.join("repositories/forge.git"), &["log", "--format=%s", "refs/forge/elo/antfarm"]);
    assert!(ratings.ok().stdout.contains("for parser#2 on parser#1"));
}

#[test]
fn git_finds_no_fault_in_any_repository() {
    let (mut forge, alpha, _) = busy_forge();
    let copies = forge.scratch().join("copies");
    plumbing::mirror_all(&forge, &alpha, &copies);
    assert_eq!(forge.stop(), 0);
    for project in forge.projects() {
        plumbing::assert_clean(&forge.repository(&project));
        plumbing::assert_clean(&copies.join("repositories").join(format!("{project}.git")));
    }
}

#[test]
fn every_ledger_commit_verifies_with_the_published_signers() {
    let (forge, alpha, _) = busy_forge();
    let copies = forge.scratch().join("copies");
    plumbing::mirror_all(&forge, &alpha, &copies);
    let forge_git = copies.join("repositories/forge.git");
    let signers = plumbing::git(&forge_git, &["show", "refs/heads/main:allowed_signers"]).ok().stdout;
    let file = forge.scratch().join("allowed_signers");
    std::fs::write(&file, &signers).unwrap();
    let pinned = format!("gpg.ssh.allowedSignersFile={}", file.display());
    for project in forge.projects() {
        let copy = copies.join("repositories").join(format!("{project}.git"));
        let shown = ["-c", &pinned, "log", "--show-signature", "-1", "refs/forge/ledger"];
        plumbing::git(&copy, &shown).ok().says("Good \"git\" signature");
        let all = ["-c", &pinned, "log", "--first-parent", "--format=%G?", "refs/forge/ledger"];
        let marks = plumbing::git(&copy, &all).ok();
        assert!(marks.stdout.lines().all(|mark| mark == "G"), "{marks}");
    }
    // A stranger's list must not do.
    let key = alpha.public_key();
    std::fs::write(&file, format!("forge namespaces=\"git\" {key}\n")).unwrap();
    let shown = ["-c", &pinned, "log", "--format=%G?", "-1", "refs/forge/ledger"];
    assert_ne!(plumbing::git(&forge_git, &shown).ok().text(), "G");
}

#[test]
fn a_landed_commit_leads_to_its_whole_debug_history() {
    let (forge, alpha, _) = busy_forge();
    let main = plumbing::remote_ref(&alpha, "parser", "refs/heads/main").unwrap();
    let trace = alpha.json(&format!("trace {main}"));
    let attempts = tests::agent::list(&trace, "/attempts");
    let exits: Vec<i64> = attempts.iter().map(|attempt| tests::agent::number(attempt, "/exit")).collect();
    assert_eq!(exits, [1, 0, 0], "{trace:#}");
    let copies = forge.scratch().join("copies");
    plumbing::mirror_all(&forge, &alpha, &copies);
    let parser = copies.join("repositories/parser.git");
    let months = plumbing::git(&parser, &["for-each-ref", "--format=%(refname)", "refs/forge/traces"]).ok();
    assert_eq!(months.stdout.lines().count(), 1, "{months}");
}
