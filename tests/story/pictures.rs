//! The pictures of docs/pages: a forge at which agents were at work for a month, and Chromium that looks at it.
//!
//! `make pictures` takes them; without `FORGE_SHOTS` nothing is done. All that is there came in as it always does, by git, ssh
//! and the recorder; the clock of the forge and of its agents begins a month ago and ends now. Code and issues are those of the
//! starter pack, and `tests/fixtures/desk`.

mod desk;
mod drills;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tests::agent::{list, text};
use tests::flow::{Work, open_issue};
use tests::{Agent, Out, root, until};

use super::contests::Days;
use super::verifiers::push_records;
use desk::{LANDED, PLANNED};
use drills::{DRILLS, Drill};

const HOUR: i64 = 3600;
const SINCE: i64 = -27 * 24 * HOUR;

/// Who is here, and who answers for each.
const WHO: [(&str, &str); 11] = [
    ("alpha", "north"),
    ("beta", "south"),
    ("gamma", "east"),
    ("delta", "west"),
    ("epsilon", "harbour"),
    ("zeta", "mill"),
    ("eta", "quay"),
    ("theta", "north"),
    ("iota", "bridge"),
    ("kappa", "tower"),
    ("lambda", "garden"),
];

const TESTS: &str = "python3 -m pytest --color=yes -q";

struct House {
    days: Days,
    host: Agent,
    who: BTreeMap<&'static str, Agent>,
    /// How many seconds the house's clock is ahead; it is behind until the end.
    at: i64,
}

impl House {
    fn found() -> House {
        let mut days = Days::since(SINCE);
        days.forge.agent("host");
        // Who is an operator is told behind the first start.
        days.again();
        let host = days.forge.stranger("host").by_clock(&days.ahead);
        let mut who = BTreeMap::new();
        for (name, owner) in WHO {
            let agent = days.forge.agent(name).by_clock(&days.ahead);
            host.ssh(&format!("admin vouch {name} --owner {owner}")).ok();
            // Half of them sign what they ran.
            if who.len() % 2 == 0 {
                let key = agent.key_path();
                agent.git(agent.home(), &["config", "--global", "forge.signingkey", key.to_str().unwrap()]).ok();
            }
            who.insert(name, agent);
        }
        for name in ["mu", "nu"] {
            who.insert(name, days.forge.agent(name).by_clock(&days.ahead));
        }
        House { days, host, who, at: SINCE }
    }

    fn agent(&self, name: &str) -> &Agent {
        &self.who[name]
    }

    /// In one step: who reads half a file takes the clock for right.
    fn set_clock(&self) {
        let new = self.days.ahead.with_extension("new");
        fs::write(&new, self.at.to_string()).unwrap();
        fs::rename(&new, &self.days.ahead).unwrap();
    }

    /// So much time passes.
    fn minutes(&mut self, minutes: i64) {
        self.at = (self.at + minutes * 60).min(0);
        self.set_clock();
    }

    /// It becomes so many hours before now, if it is not later than that.
    fn until_hours_ago(&mut self, hours: i64) {
        self.at = self.at.max(-hours * HOUR);
        self.set_clock();
    }
}

/// A directory of `tests/` in a repository of its own, pushed as a project.
fn found(creator: &Agent, project: &str, words: &str, fill: impl Fn(&Path)) -> PathBuf {
    creator.json(&format!("project new {project} --description {words}"));
    let dir = creator.home().join(format!("{project}-first"));
    fs::create_dir_all(&dir).unwrap();
    creator.git(&dir, &["init", "-q"]).ok();
    fill(&dir);
    creator.git(&dir, &["add", "-A"]).ok();
    creator.git(&dir, &["commit", "-q", "-m", "Begin with what there was"]).ok();
    creator.git(&dir, &["push", "-q", &creator.ssh_url(project), "HEAD:refs/heads/main"]).ok();
    dir
}

/// Copies what lies in `from`, all of it, below `to`.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success());
}

/// What lies in the starter pack below `name`.
fn starter(name: &str) -> PathBuf {
    root().join("tests/starter").join(name)
}

/// The title and the text of an issue of the starter pack.
fn told(name: &str) -> (String, String) {
    let all = fs::read_to_string(starter(name).join("issue.md")).unwrap();
    let (head, body) = all.trim_start_matches("---\n").split_once("\n---\n").unwrap();
    (head.lines().find_map(|line| line.strip_prefix("title: ")).unwrap().to_owned(), unwrapped(body.trim()))
}

/// Text whose paragraphs are lines; code stays as it is.
fn unwrapped(text: &str) -> String {
    let of = |block: &str| {
        if block.starts_with("    ") || block.starts_with("- ") { block.to_owned() } else { block.replace('\n', " ") }
    };
    text.split("\n\n").map(of).collect::<Vec<_>>().join("\n\n")
}

fn quoted(title: &str) -> String {
    format!("'{}'", title.replace('\'', "'\\''"))
}

fn issue(author: &Agent, project: &str, title: &str, plan: &str, body: &str) -> String {
    text(
        &author.ssh_with(&format!("issue new --json {project} --title {} {plan}", quoted(title)), body).ok().json(),
        "/ref",
    )
}

/// Runs a command on record in a clone, with the toolchains that are here.
fn run(work: &Work, flags: &str, command: &str) -> Out {
    let home = std::env::var("HOME").unwrap_or_default();
    let kept = std::env::temp_dir().join("forge-pictures");
    let kept = kept.display();
    // Toolchains are found, and what they compiled is kept, whatever an agent's home is.
    let here = format!(
        "RUSTUP_HOME=${{RUSTUP_HOME:-{home}/.rustup}} CARGO_TARGET_DIR={kept}/cargo CARGO_TERM_COLOR=never \
         COLUMNS=100 GOCACHE={kept}/go GOTOOLCHAIN=local GOFLAGS=-mod=mod; \
         export COLUMNS RUSTUP_HOME CARGO_TARGET_DIR CARGO_TERM_COLOR GOCACHE GOTOOLCHAIN GOFLAGS"
    );
    work.agent.sh(&work.dir, &format!("{here}; forge run {flags} -- {command}"))
}

fn submit(work: &Work, title: &str) -> String {
    let line = format!("submit {} --issue {} --title {}", work.branch, work.issue, quoted(title));
    text(&work.agent.json(&line), "/ref")
}

fn apply(work: &Work, patch: &Path) {
    work.git(&["apply", patch.to_str().unwrap()]).ok();
}

fn fixture(path: &str) -> String {
    fs::read_to_string(root().join("tests/fixtures/desk").join(path)).unwrap()
}

impl House {
    /// The project that people work on beside contests: three of the starter pack in one.
    fn desk(&mut self) {
        found(&self.host, "desk", "What a small office needs every day", |dir| {
            for name in ["invoice", "columns", "keepsake"] {
                copy(&starter(&format!("python/{name}/base")), dir);
            }
            for path in ["README.md", ".forge/policy.toml"] {
                tests::flow::write(dir, path, &fixture(path));
            }
        });
        for (title, body, plan) in PLANNED {
            issue(&self.host, "desk", title, plan, body);
        }
    }

    /// Two of the issues are answered at once, so that the log has more than one lane.
    fn land(&mut self, at: usize) {
        const AUTHORS: [&str; 7] = ["beta", "alpha", "gamma", "epsilon", "delta", "alpha", "zeta"];
        let pair: Vec<_> = LANDED.iter().enumerate().skip(at * 2).take(2).collect();
        let mut open = Vec::new();
        for (n, landed) in &pair {
            let author = self.agent(AUTHORS[n % AUTHORS.len()]).clone();
            let judge = self.agent(AUTHORS[(n + 2) % AUTHORS.len()]).clone();
            let reference = issue(&judge, "desk", landed.title, landed.plan, landed.body);
            self.minutes(20);
            let work = Work::start(&author, &reference);
            for (message, path) in landed.commits {
                work.write(path, &fixture(path));
                self.minutes(25);
                run(&work, "", TESTS).ok();
                work.commit(message);
            }
            work.push().ok();
            open.push((author, judge, submit(&work, landed.pull), work));
        }
        for (n, (author, judge, pull, work)) in open.iter().enumerate() {
            self.minutes(50);
            // Every third is asked for something first.
            if (at + n).is_multiple_of(3) {
                judge.ssh(&format!("review request-changes {pull} Please say in the commit why, not only what.")).ok();
                self.minutes(35);
                work.git(&[
                    "commit",
                    "-q",
                    "--amend",
                    "-m",
                    &format!("{}\n\nSee {}.", LANDED[at * 2 + n].pull, work.issue),
                ])
                .ok();
                run(work, "", TESTS).ok();
                work.git(&["push", "-q", "--force"]).ok();
                self.minutes(15);
            }
            judge.ssh(&format!("review approve {pull} Reads well, and I ran it.")).ok();
            author.json(&format!("merge {pull} --strategy merge"));
        }
    }

    /// A contest, from its opening to its ranking.
    fn contest(&mut self, drill: &Drill) -> String {
        let (reference, entries) = self.enter(drill);
        self.minutes(25 * 60);
        if drill.sealed {
            self.verify(&reference);
        }
        let host = self.host.clone();
        let stage = || text(&host.json(&format!("submission {reference}")), "/stage");
        until("the contest is ranked", || stage() == "ranked");
        // What is best lands.
        let board = self.host.json(&format!("submission {reference}"));
        let best = &list(&board, "/submissions")[0];
        let (author, pull) = (self.agent(best["agent"].as_str().unwrap()).clone(), text(best, "/ref"));
        self.host.ssh(&format!("review approve {pull} First of {}.", entries.len())).ok();
        author.ssh(&format!("merge {pull}")).ok();
        // The others give theirs up.
        for line in list(&board, "/submissions").iter().skip(1) {
            let agent = self.agent(line["agent"].as_str().unwrap());
            agent.ssh(&format!("pr close {} Another answer is first.", text(line, "/ref"))).ok();
        }
        reference
    }

    /// A contest is opened, and all who are in it submit.
    fn enter(&mut self, drill: &Drill) -> (String, Vec<String>) {
        let project = drill.project;
        if drill.begins() {
            let words = drill.words;
            found(&self.host, project, words, |dir| {
                copy(&starter(drill.from).join("base"), dir);
                if let Some(bench) = drill.bench {
                    tests::flow::write(dir, "bench.py", &fixture(bench));
                }
                if !drill.sealed && drill.brings.is_none() {
                    let patch = starter(drill.from).join("test.patch");
                    self.host.git(dir, &["apply", patch.to_str().unwrap()]).ok();
                }
            });
        }
        let (title, body) = match drill.brings {
            None => told(drill.from),
            Some((title, _)) => (title.to_owned(), "Wanted by whoever uses it every day.".to_owned()),
        };
        let bench = drill.bench.map_or(String::new(), |path| format!("--bench 'python3 {path}'"));
        let lang = drill.from.split('/').next().unwrap();
        let plan = format!(
            "--lang {lang} --difficulty {} --command {} {bench} --deadline 24h",
            drill.difficulty,
            quoted(drill.command)
        );
        let reference = issue(&self.host, project, &title, &plan, &body);
        if drill.sealed {
            let read = |name: &str| fs::read_to_string(starter(drill.from).join(name)).unwrap();
            let names = |name: &str| read(name).lines().map(str::to_owned).collect::<Vec<_>>();
            let part = json!({
                "golden": read("golden.patch"), "tests": read("test.patch"),
                "fail_to_pass": names("fail_to_pass"), "pass_to_pass": names("pass_to_pass"),
            });
            self.host.ssh_with(&format!("issue seal {reference}"), &part.to_string()).ok();
        }
        let works: Vec<Work> = std::thread::scope(|scope| {
            let begin = |name: &'static str| {
                let (agent, reference) = (self.agent(name).clone(), &reference);
                move || {
                    let work = Work::start(&agent, reference);
                    drill.solve(name, &work);
                    work
                }
            };
            let running: Vec<_> = drill.who.iter().map(|name| scope.spawn(begin(name))).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut entries = Vec::new();
        for (n, work) in works.iter().enumerate() {
            self.minutes(17 + (n as i64 * 37) % 71);
            work.push().ok();
            entries.push(submit(work, &title));
        }
        (reference, entries)
    }

    /// Those who were drawn run what was submitted, each of them by the program that does it.
    fn verify(&mut self, reference: &str) {
        const VERIFIERS: [&str; 4] = ["iota", "kappa", "lambda", "eta"];
        let host = self.host.clone();
        until("the contest is closed", || text(&host.json(&format!("submission {reference}")), "/stage") != "open");
        for _ in 0..40 {
            for name in VERIFIERS {
                let agent = self.agent(name);
                agent.sh(agent.home(), "forge verifier --once -- env");
            }
            if text(&host.json(&format!("submission {reference}")), "/stage") == "ranked" {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        self.minutes(20);
    }
}

impl House {
    /// What is under way as the pictures are taken: work, reviews, things that need a human, refusals.
    fn under_way(&mut self) -> BTreeMap<&'static str, String> {
        let [alpha, beta, gamma, delta, epsilon, zeta] =
            ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"].map(|name| self.agent(name).clone());
        let mut facts = BTreeMap::new();

        // Judges disagree.
        let reference = issue(
            &gamma,
            "desk",
            "Write invoices as HTML",
            "--milestone 1.1 --label feature",
            "For those who mail them.",
        );
        let split = self.deliver(&alpha, &reference, &["invoice/html.py"], "Write invoices as HTML");
        self.minutes(90);
        gamma.ssh(&format!("review approve {split} Short, and it escapes what people typed.")).ok();
        self.minutes(40);
        delta
            .ssh(&format!("review request-changes {split} This belongs into a package of its own: desk has no HTML."))
            .ok();

        // It passed for who made it alone.
        let reference = issue(
            &beta,
            "desk",
            "Remember the last customer",
            "--milestone 1.1 --label feature",
            "Most invoices go to the same ten.",
        );
        tests::flow::write(epsilon.home(), ".desk/customer", "Main St 1\n");
        let doubted = self.deliver(
            &epsilon,
            &reference,
            &["invoice/customer.py", "tests/test_customer.py"],
            "Remember the last customer",
        );
        self.minutes(120);
        let again = self.challenge(&zeta, &doubted);
        run(&again, "", TESTS).fails();
        push_records(&again);
        zeta.ssh(&format!("challenge {} --record newest", again.issue)).ok();

        // Half cents: it fails, it fails otherwise, it passes; then a second round.
        let (title, body) = told("python/invoice");
        let reference = issue(&delta, "desk", &title, "--milestone 1.1 --priority urgent --label bug", &body);
        self.minutes(30);
        let work = Work::start(&beta, &reference);
        work.write("tests/test_half_cents.py", &fixture("tests/test_half_cents.py"));
        self.minutes(6);
        run(&work, "--reasoning 'See it fail first: the tests say what the tax adviser said.'", TESTS).fails();
        let money = fs::read_to_string(work.dir.join("invoice/money.py")).unwrap();
        let up = money.replace("import Decimal", "import ROUND_HALF_UP, Decimal");
        work.write(
            "invoice/money.py",
            &money
                .replace(
                    "return number.quantize(CENT)",
                    "return (number + CENT / 2).quantize(CENT, rounding=ROUND_DOWN)",
                )
                .replace("import Decimal", "import ROUND_DOWN, Decimal"),
        );
        self.minutes(9);
        run(&work, "--reasoning 'Add half a cent and cut.'", TESTS);
        work.write(
            "invoice/money.py",
            &up.replace("number.quantize(CENT)", "number.quantize(CENT, rounding=ROUND_HALF_UP)"),
        );
        self.minutes(7);
        run(&work, "--reasoning 'That breaks credit notes. ROUND_HALF_UP goes away from zero on either side.'", TESTS)
            .ok();
        work.commit("Round half a cent up");
        work.push().ok();
        let pull = submit(&work, "Round half a cent up, away from zero");
        self.minutes(45);
        let line = 1 + work_line(&work, "invoice/money.py", "ROUND_HALF_UP)");
        gamma.ssh_with(&format!("review request-changes {pull} -"), "Right for both signs. The doc string still says only that it rounds; the next reader will ask which way.").ok();
        gamma
            .ssh_with(
                &format!("review comment {pull} --at invoice/money.py:{} -", line - 1),
                "Say it here:\n```suggestion\n    \"\"\"A number rounded to cents, half a cent away from zero.\"\"\"\n```\n",
            )
            .ok();
        self.minutes(20);
        beta.ssh(&format!("reply {pull} Taken over, word for word.")).ok();
        work.write(
            "invoice/money.py",
            &fs::read_to_string(work.dir.join("invoice/money.py")).unwrap().replace(
                "\"\"\"A number rounded to cents.\"\"\"",
                "\"\"\"A number rounded to cents, half a cent away from zero.\"\"\"",
            ),
        );
        run(&work, "--reasoning 'Words only.'", TESTS).ok();
        work.commit("Say which way half a cent goes");
        work.push().ok();
        self.minutes(25);
        gamma.ssh(&format!("review approve {pull} Now it reads well.")).ok();
        delta
            .ssh_with(
                &format!("review comment {pull} --at invoice/money.py:{line} -"),
                "Is `ROUND_HALF_UP` away from zero for negative numbers too? *Answered by the tests: it is.*",
            )
            .ok();
        self.minutes(10);
        let again = self.challenge(&zeta, &pull);
        run(&again, "", TESTS).ok();
        push_records(&again);
        zeta.ssh(&format!("challenge {} --record newest", again.issue)).ok();
        self.host.json("check register desk ci/test kappa");
        let head = work.head();
        self.agent("kappa").json(&format!("check post desk {head} ci/test success"));
        facts.insert("pull", pull);
        facts.insert("trace", head);

        // At work, with what they tried so far.
        for (name, title, runs) in
            [("eta", "Long descriptions", 3), ("alpha", "Credit notes", 1), ("theta", "Read line items", 0)]
        {
            let open = self.host.json("issue list desk");
            let of =
                list(&open, "/items").iter().find(|item| item["title"].as_str().unwrap().starts_with(title)).unwrap();
            let work = Work::start(self.agent(name), &text(of, "/ref"));
            for n in 0..runs {
                self.minutes(11);
                work.write("tests/test_next.py", &format!("def test_next():\n    assert {n} == {}\n", runs - 1));
                run(&work, "", TESTS);
            }
            if runs > 0 {
                work.commit("See where it goes");
                work.push().ok();
            }
        }

        // One waits for somebody to merge it, one for a review.
        let reference = open_issue(&zeta, "desk", "Say which Python is needed");
        let waits = self.deliver(&delta, &reference, &["docs/python.md"], "Say which Python is needed");
        zeta.ssh(&format!("review approve {waits} Good.")).ok();

        // The gate refuses.
        let dir = beta.clone_into(&beta.ssh_url("desk"), "hasty", &[]);
        beta.git(&dir, &["commit", "-q", "--allow-empty", "-m", "Quickly"]).ok();
        beta.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/main"]).fails();
        let dir = epsilon.clone_into(&epsilon.ssh_url("desk"), "careless", &[]);
        let key = fs::read_to_string(epsilon.key_path()).unwrap();
        fs::write(dir.join("id_deploy"), key).unwrap();
        epsilon.git(&dir, &["add", "-A"]).ok();
        epsilon.git(&dir, &["commit", "-q", "-m", "Deploy from here"]).ok();
        epsilon.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/epsilon/deploy"]).fails();
        facts
    }

    /// Some files, one run, one pull request.
    fn deliver(&mut self, author: &Agent, reference: &str, paths: &[&str], title: &str) -> String {
        let work = Work::start(author, reference);
        for path in paths {
            work.write(path, &fixture(path));
        }
        self.minutes(12);
        run(&work, "", TESTS).ok();
        work.commit(title);
        work.push().ok();
        submit(&work, title)
    }

    /// A clone at what a pull request proposes, ready to run again.
    fn challenge(&self, doubter: &Agent, pull: &str) -> Work {
        let begun = doubter.json(&format!("challenge {pull}"));
        let (project, n) = pull.split_once('#').unwrap();
        let dir = doubter.clone_into(&doubter.ssh_url(project), &format!("again-{n}"), &[]);
        let work =
            Work { agent: doubter.clone(), dir, issue: pull.to_owned(), branch: String::new(), start: begun.clone() };
        work.paste_settings();
        work.git(&["fetch", "-q", "origin", &format!("refs/pull/{n}/head")]).ok();
        work.git(&["checkout", "-q", "--detach", &text(&begun, "/commit")]).ok();
        work
    }
}

/// The number of the first line of a file that holds `part`, counted from 0.
fn work_line(work: &Work, path: &str, part: &str) -> usize {
    let text = fs::read_to_string(work.dir.join(path)).unwrap();
    text.lines().position(|line| line.contains(part)).unwrap()
}

fn n(reference: &str) -> &str {
    reference.rsplit('#').next().unwrap()
}

#[test]
fn pictures_are_taken_of_a_forge_that_was_at_work_for_a_month() {
    let Some(shots) = std::env::var_os("FORGE_SHOTS") else { return };
    let mut house = House::found();
    house.desk();
    let mut shown = String::new();
    for name in ["iota", "kappa", "lambda", "eta"] {
        house.agent(name).ssh("verify --withdraw");
    }
    for (at, drill) in DRILLS.iter().enumerate() {
        house.until_hours_ago(24 * (26 - 2 * at as i64));
        if at % 2 == 1 {
            house.land(at / 2);
        }
        if drill.sealed {
            for name in ["iota", "kappa", "lambda", "eta"] {
                house.agent(name).ssh("verify --offer").ok();
            }
            shown = house.contest(drill);
            for name in ["iota", "kappa", "lambda", "eta"] {
                house.agent(name).ssh("verify --withdraw").ok();
            }
        } else {
            house.contest(drill);
        }
    }
    house.land(5);
    house.until_hours_ago(12);
    let (open, _) = house.enter(&drills::OPEN);
    for name in ["eta", "theta"] {
        Work::start(house.agent(name), &open);
    }
    let facts = house.under_way();
    house.until_hours_ago(0);

    let of = |reference: &str, kind: &str| format!("/{}/{kind}/{}", reference.split('#').next().unwrap(), n(reference));
    let pages = json!({
        "today": "/",
        "live": "/live",
        "needs": "/needs",
        "project": "/desk",
        "blob": "/desk/blob/invoice/lines.py",
        "log": "/desk/log",
        "roadmap": "/desk/roadmap",
        "health": "/desk/health",
        "issue": of(&open, "issues"),
        "contest": of(&shown, "issues"),
        "pull": of(&facts["pull"], "pulls"),
        "trace": format!("/desk/trace/{}", facts["trace"]),
        "agent": "/agents/alpha",
        "leaderboard": "/leaderboard?track=simulator",
    });
    let path = house.days.forge.scratch().join("pages.json");
    fs::write(&path, pages.to_string()).unwrap();
    if let Some(kept) = std::env::var_os("FORGE_PICTURES_KEEP") {
        let status = Command::new("cp").arg("-r").arg(house.days.forge.scratch()).arg(&kept).status().unwrap();
        assert!(status.success());
    }
    let script = root().join("tests/browser/pictures.mjs");
    let out =
        Command::new("node").arg(script).arg(house.days.forge.http_url("")).arg(&path).arg(&shots).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    println!("{said}");
    assert!(out.status.success(), "{said}");
}
