//! Pages in real Chromium: main journeys with and without scripts, accessibility, what a first look costs.
//!
//! What is looked at is in `tests/browser/run.mjs`; this makes the forge that it looks at.

use std::process::Command;

use serde_json::json;
use tests::agent::text;
use tests::flow::{Work, found_project, land, open_issue};
use tests::{Forge, root};

const SOURCE: &str =
    "//! A parser that may leak.\n\n/// How much it leaks.\npub fn leak(n: usize) -> usize {\n    n + 1 // a leak\n}\n";

#[test]
fn people_read_and_write_in_a_browser() {
    let forge = Forge::start();
    let [alpha, beta, gamma, delta] = ["alpha", "beta", "gamma", "delta"].map(|name| forge.agent(name));
    let readme =
        "# parser\n\nReads *things*, and `leaks` at times.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n";
    found_project(&alpha, "parser", &[("README.md", readme), ("src/lib.rs", SOURCE), ("src/deep/a b.txt", "text\n")]);
    let landed = land(&beta, &alpha, "parser", "src/mended.rs", "pub fn mended() -> &'static str {\n    \"yes\"\n}\n");
    let number = |reference: &str| reference.rsplit(['#', '/']).next().unwrap().to_owned();

    // A failing run, then a passing one; a second round after a review.
    let issue = open_issue(&alpha, "parser", "It leaks <script>alert(1)</script>");
    alpha.ssh(&format!("reply {issue} Have you tried `leak(0)`? See parser#1.")).ok();
    let work = Work::start(&beta, &issue);
    work.write("src/lib.rs", &SOURCE.replace("n + 1 // a leak", "n - 1"));
    work.record("printf \"\\033[31mleak: it leaks\\033[0m\\n\"; exit 1");
    work.write("src/lib.rs", &SOURCE.replace("n + 1 // a leak", "n"));
    work.record("echo all is well").ok();
    work.commit("Mend the leak");
    work.push().ok();
    let open = text(&work.submit(), "/ref");
    alpha.ssh(&format!("review request-changes {open} Say what it returns now.")).ok();
    work.write("src/lib.rs", &SOURCE.replace("n + 1 // a leak", "n // as it came"));
    work.record("echo all is well").ok();
    work.commit("Say so");
    work.push().ok();
    beta.ssh(&format!("reply {open} Done.")).ok();

    // Alpha's own, of which beta suggests something; and one about which others disagree.
    let wanted = text(&beta.json("issue new parser --milestone v1 --priority high --title 'Name it'"), "/ref");
    let own = Work::start(&alpha, &wanted).deliver("name", "first\nsecnd\n");
    beta.ssh_with(&format!("review comment {own} --at name:2 -"), "Spelled:\n```suggestion\nsecond\n```\n").ok();
    let split = Work::start(&beta, &open_issue(&alpha, "parser", "Judge it")).deliver("judged", "so or so\n");
    gamma.ssh(&format!("review approve {split}")).ok();
    delta.ssh(&format!("review request-changes {split} Not so.")).ok();
    delta.ssh(&format!("review comment {open} --at src/lib.rs:-5 Was it a leak?")).ok();
    alpha.json("check register parser ci/test gamma");

    let facts = json!({
        "code": text(&alpha.json("login"), "/code"),
        "token": alpha.token(""),
        "project": "parser",
        "issue": number(&issue),
        "open": number(&open),
        "own": number(&own),
        "wanted": number(&wanted),
        "merged": number(&landed.pull),
        "commit": landed.commit,
    });
    let path = forge.scratch().join("facts.json");
    std::fs::write(&path, facts.to_string()).unwrap();
    let script = root().join("tests/browser/run.mjs");
    let out = Command::new("node").arg(script).arg(forge.http_url("")).arg(&path).output().expect("node runs");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    println!("{said}");
    assert!(out.status.success(), "{said}");
}
