//! Pages of people and of the day, as a browser gets them: traces, agents, boards, what goes on, what needs a human.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, land, open_issue};
use tests::{Agent, Forge};

/// A page, as a browser asks for it.
#[track_caller]
fn page(forge: &Forge, path: &str) -> String {
    let (status, body) = forge.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[track_caller]
fn holds(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert_eq!(html.matches("<h1").count(), 1);
    assert!(!html.contains(" style=") && !html.contains("onerror="));
}

#[test]
fn a_trace_tells_fail_to_pass_with_output_and_changes() {
    let forge = Forge::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| forge.agent(name));
    found_project(&beta, "parser", &[("x", "old\n")]);
    let issue = open_issue(&beta, "parser", "Mend </h1><script>alert(1)</script>");
    let work = Work::start(&alpha, &issue);
    assert_ne!(work.record("printf \"test b ... FAILED\\n<img src=x>\\n\"; exit 3").code, 0);
    work.write("x", "new\n");
    work.record("echo all well").ok();
    let head = work.commit("Mend it");
    work.push().ok();
    let pull = text(&work.submit(), "/ref");

    let html = page(&forge, &format!("/parser/trace/{head}"));
    holds(
        &html,
        &[
            "fail → pass",
            "2 attempts",
            "claimed by alpha only",
            "a passing run is on this tree",
            "✗ exit 3",
            "✓ exit 0",
            "id=\"output-1-failed\">test b ... FAILED</span>",
            "&lt;img src=x&gt;",
            "<span class=\"del\">-old</span>",
            "<span class=\"add\">+new</span>",
            "class=\"strip\"",
            "forge cat",
        ],
    );
    assert!(!html.contains("<img src=x"));
    // Its twins say the same; over SSH the output comes where it is asked for.
    let twin: serde_json::Value = serde_json::from_str(&forge.get(&format!("/parser/trace/{head}.json")).1).unwrap();
    assert_eq!(list(&twin, "/attempts").len(), 2);
    assert!(text(&twin, "/attempts/0/stdout/text").contains("FAILED"));
    assert!(alpha.json(&format!("trace {head}"))["attempts"][0]["stdout"].is_null());

    // Beta says otherwise: the page says whose word stands against whose, and a human is asked.
    beta.json(&format!("review approve {pull}"));
    alpha.json(&format!("merge {pull}"));
    let html = page(&forge, &format!("/parser/trace/{head}"));
    holds(&html, &["merged", "href=\"/parser/pulls/"]);
    for (path, status) in [("/parser/trace/HEAD", 404), ("/parser/trace/0000000", 404), ("/nothing/trace/0000000", 404)]
    {
        assert_eq!(forge.get(path).0, status, "{path}");
    }
}

#[test]
fn today_says_who_works_what_landed_and_what_needs_a_human() {
    let forge = Forge::start();
    let [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(|name| forge.agent(name));
    let html = page(&forge, "/");
    holds(&html, &["This forge is empty", "ssh forge register"]);
    holds(&page(&forge, "/needs"), &["Nothing waits for a human"]);

    found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let landed = land(&alpha, &beta, "parser", "a.txt", "mended\n");
    let issue = open_issue(&beta, "parser", "Another <b>one</b>");
    let work = Work::start(&alpha, &issue);
    assert_ne!(work.record("exit 1").code, 0);
    let html = page(&forge, "/");
    holds(
        &html,
        &[
            "1 agent at work, 0 pull requests open, 1 landed",
            "Another &lt;b&gt;one&lt;/b&gt;",
            "Please change a.txt",
            "1 landed in 30 days",
            &format!("/parser/trace/{}", landed.commit),
        ],
    );
    holds(&page(&forge, "/live"), &["Working", "on parser#", "id=\"live\"", "/-/live-", ">Refresh</a>"]);

    // Two reviewers who disagree are a matter for a human, with both their names.
    let pull = work_done(&work);
    beta.json(&format!("review approve {pull}"));
    gamma.json(&format!("review request-changes {pull} it leaks still"));
    let needs = alpha.json("needs");
    assert_eq!((number(&needs, "/count"), text(&needs, "/waiting/0/why")), (1, "split-review".to_owned()));
    assert_eq!(text(&needs, "/waiting/0/evidence/1"), "request changes: gamma");
    let said = list(&needs, "/waiting/0/sides").iter().map(|side| number(side, "/by/0/seq"));
    let html = page(&forge, "/needs");
    let url = pull.replacen(['#', '/'], "/pulls/", 1);
    for seq in said {
        holds(&html, &[&format!("<a href=\"/{url}#s{seq}\">")]);
    }
    holds(
        &html,
        &[
            "reviewers disagree",
            "<b>approve:</b>",
            "\">beta</a>",
            "<b>request changes:</b>",
            "\">gamma</a>",
            "ssh forge pr parser/",
        ],
    );
    holds(&page(&forge, "/"), &["1 thing needs a human</a>"]);

    let profile = page(&forge, "/agents/alpha");
    holds(&profile, &["unvouched, provisional", "class=\"chart\"", &landed.pull, "antfarm", "Opened last"]);
    holds(
        &page(&forge, "/leaderboard?track=antfarm&lang="),
        &["Provisional", ">alpha<", "<option value=\"antfarm\" selected>"],
    );
    holds(&page(&forge, "/leaderboard?track=antfarm&lang=cobol"), &["Nobody stands here"]);
    holds(&page(&forge, "/humans"), &["nothing to compare"]);
    assert_eq!(forge.get("/agents/nobody").0, 404);
    // What stands in git says the same to a mirror and tomorrow: no clock is in it.
    assert_eq!(alpha.ssh("today").ok().stdout, beta.ssh("live").ok().stdout);
}

fn work_done(work: &Work) -> String {
    work.write("b.txt", "mended too\n");
    work.record("true").ok();
    work.commit("Mend b");
    work.push().ok();
    text(&work.submit(), "/ref")
}

#[test]
fn a_proof_that_failed_for_others_is_shown_with_both_words() {
    let forge = Forge::start();
    let [alpha, beta, gamma, delta] = ["alpha", "beta", "gamma", "delta"].map(|name| forge.agent(name));
    found_project(&beta, "parser", &[("check.sh", "test -z \"$ILL\"\n")]);
    let work = Work::start(&alpha, &open_issue(&beta, "parser", "It leaks"));
    work.write("a.txt", "mended\n");
    work.agent.sh(&work.dir, "forge run -- sh check.sh").ok();
    let head = work.commit("Mend it");
    work.push().ok();
    let pull = text(&work.submit(), "/ref");
    assert_eq!(number(&alpha.json("needs"), "/count"), 0);

    // On their machines it fails.
    for doubter in [&gamma, &delta] {
        let how = doubter.ssh(&format!("challenge {pull}")).ok().stdout;
        let block = how.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        doubter.sh(doubter.home(), &format!("set +e\nexport ILL=1\n{block}"));
    }
    assert_eq!(text(&alpha.json(&format!("pr {pull}")), "/proof"), "PX");
    let needs = alpha.json("needs");
    assert_eq!((number(&needs, "/count"), text(&needs, "/waiting/0/why")), (1, "disputed-proof".to_owned()), "{needs}");
    holds(&page(&forge, "/needs"), &["a proof is disputed", "alpha claims proof PX", "refuted by gamma, delta"]);
    let html = page(&forge, &format!("/parser/trace/{head}"));
    holds(&html, &["✗ refuted by gamma, delta", "proof PX", "1 attempt,"]);
    assert!(!html.contains("claimed by alpha only"));
}

/// Reads a stream of events, and is ended when it goes.
struct Watching(Child, BufReader<std::process::ChildStdout>);

impl Watching {
    fn start(agent: &Agent, url: &str) -> Watching {
        let mut curl = agent.command("curl");
        curl.args(["-sSN", "--max-time", "60", "-H", "Accept: text/event-stream", url]).stdout(Stdio::piped());
        let mut child = curl.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Watching(child, out)
    }

    /// The next rows that are sent; nothing at the end.
    fn rows(&mut self) -> String {
        let mut rows = String::new();
        let mut line = String::new();
        loop {
            line.clear();
            if self.1.read_line(&mut line).unwrap() == 0 {
                return rows;
            }
            match line.strip_prefix("data: ") {
                Some(data) => rows.push_str(data),
                None if line == "\n" && !rows.is_empty() => return rows,
                None => {}
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_watches_is_told_and_goes_home_with_the_forge() {
    let mut forge = Forge::start();
    let alpha = forge.agent("alpha");
    found_project(&alpha, "parser", &[("README.md", "parser\n")]);
    let issue = open_issue(&alpha, "parser", "It leaks");
    let url = forge.http_url("/live/events");
    let mut watching = Watching::start(&alpha, &url);
    let first = watching.rows();
    assert!(first.starts_with("<div id=\"live\"") && first.contains("Nobody has started anything"), "{first}");
    alpha.json(&format!("start {issue}"));
    let next = watching.rows();
    assert!(next.contains("It leaks") && next.contains("/agents/alpha"), "{next}");
    assert!(next.contains("Nothing since this server began"), "{next}");
    // What the gate refuses changes no ref, and is told all the same.
    let dir = alpha.clone_into(&alpha.ssh_url("parser"), "refused", &[]);
    alpha.git(&dir, &["commit", "-q", "--allow-empty", "-m", "Past every review"]).ok();
    alpha.git(&dir, &["push", "origin", "HEAD:main"]).fails();
    let next = watching.rows();
    assert!(next.contains("1 since this server began") && next.contains("<bdi>main</bdi>"), "{next}");
    // Whoever does not ask for events has the rows once.
    assert!(forge.get("/live/events").1.contains("It leaks"));
    let began = std::time::Instant::now();
    forge.stop();
    assert_eq!(watching.rows(), "");
    assert!(began.elapsed().as_secs() < 10, "nobody waits for who watches");
}
