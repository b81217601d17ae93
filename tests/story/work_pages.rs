//! The pages of issues and pull requests, as a browser without a script gets them.

use std::fs;

use serde_json::json;
use tests::agent::text;
use tests::flow::{Work, found_project, land, open_issue};
use tests::{Agent, Forge, out};

use super::contests::{self, Days};
use super::sealed;

/// Most bytes of the page of an issue or a pull request on a wire.
const MARK: usize = 30 << 10;

fn agents(forge: &Forge) -> [Agent; 3] {
    ["alpha", "beta", "gamma"].map(|name| forge.agent(name))
}

/// Forty lines, some of them other ones.
fn lines(changed: &[(usize, &str)]) -> String {
    (0..40)
        .map(|n| changed.iter().find(|(at, _)| *at == n).map_or(format!("line {n}\n"), |(_, text)| format!("{text}\n")))
        .collect()
}

#[track_caller]
fn page(forge: &Forge, path: &str) -> String {
    let (status, body) = forge.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    assert!(
        body.contains("<h1>") && body.matches("<script").count() == 1 && !body.contains(" style="),
        "{path}: {body}"
    );
    body
}

/// What a page weighs once it is compressed.
fn weight(page: &str) -> usize {
    let script = "gzip -6 -c | wc -c";
    let mut command = out::limited("sh");
    command.args(["-c", script]);
    out::run(&mut command, Some(page.as_bytes())).ok().text().trim().parse().unwrap()
}

/// A pull request's number.
fn n(reference: &str) -> &str {
    reference.split_once('#').unwrap().1
}

/// A pull request of beta's with two rounds, between which gamma landed something below which beta's branch was rebased.
/// `landed` is what gamma made of the file.
fn rebased(forge: &Forge, landed: &[(usize, &str)]) -> ([Agent; 3], Work, String) {
    let [alpha, beta, gamma] = agents(forge);
    found_project(&alpha, "parser", &[("src/lib.rs", &lines(&[])), ("README.md", "# Parser\n")]);
    let work = Work::start(&beta, &open_issue(&alpha, "parser", "Count in words"));
    let pull = work.deliver("src/lib.rs", &lines(&[(30, "thirty")]));
    land(&gamma, &alpha, "parser", "src/lib.rs", &lines(landed));
    work.git(&["fetch", "-q", "origin"]).ok();
    ([alpha, beta, gamma], work, pull)
}

/// Pushes what the work tree holds as the next round.
fn next_round(work: &Work, content: &str) {
    work.write("src/lib.rs", content);
    work.record("true").ok();
    work.commit("Count further");
    work.git(&["push", "--force"]).ok();
}

#[test]
fn what_an_author_changed_between_rounds_is_told_apart_from_the_rebase() {
    let forge = Forge::start();
    let ([alpha, ..], work, pull) = rebased(&forge, &[(2, "two")]);
    work.git(&["rebase", "-q", "origin/main"]).ok();
    next_round(&work, &lines(&[(2, "two"), (30, "thirty"), (31, "thirty-one")]));
    let at = format!("/parser/pulls/{}", n(&pull));

    let whole = page(&forge, &at);
    assert!(whole.contains("+<bdi>thirty</bdi>") && whole.contains("+<bdi>thirty-one</bdi>"), "{whole}");
    assert!(!whole.contains("+<bdi>two</bdi>"), "what landed before is not its own");
    let first = page(&forge, &format!("{at}?round=1"));
    assert!(first.contains("+<bdi>thirty</bdi>") && !first.contains("<bdi>thirty-one</bdi>"), "{first}");

    let since = page(&forge, &format!("{at}?since=1"));
    assert!(since.contains("+<bdi>thirty-one</bdi>"), "{since}");
    assert_eq!((since.matches("<td>+").count(), since.matches("<td>-").count()), (1, 1), "the author's line alone");
    assert!(
        since.contains("what the author changed from round 1 to round 2") && since.contains("is left out"),
        "{since}"
    );
    let split = page(&forge, &format!("{at}?since=1&view=split"));
    assert!(split.contains("<td class=\"a\">+<bdi>thirty-one</bdi></td>"), "{split}");

    let asked = alpha.json(&format!("pr {pull} --since-round 1"));
    assert_eq!((text(&asked, "/shows/part"), asked["rounds"].as_array().unwrap().len()), ("author".into(), 2));
    alpha.ssh(&format!("pr {pull} --since-round 2")).exits(2).says("--since-round is a round before round 2");
    alpha.ssh(&format!("pr {pull} --round 9")).exits(2).says("--round is a round, from 1 to 2");
    alpha.ssh(&format!("pr {pull}")).ok().says(&format!("since round 1: `pr {}", pull.replace('#', "/")));
    assert_eq!(forge.get(&format!("{at}?round=x")).0, 404);
    assert!(weight(&whole) <= MARK, "{} bytes", weight(&whole));
}

#[test]
fn where_author_and_rebase_touch_the_same_line_both_are_shown_and_that_is_said() {
    let forge = Forge::start();
    let (_, work, pull) = rebased(&forge, &[(30, "dreißig"), (2, "two")]);
    work.git(&["reset", "-q", "--hard", "origin/main"]).ok();
    next_round(&work, &lines(&[(2, "two"), (30, "trente")]));
    let since = page(&forge, &format!("/parser/pulls/{}?since=1", n(&pull)));
    assert!(since.contains("the author&#39;s part cannot be told apart"), "{since}");
    assert!(since.contains("the same lines of src/lib.rs") && since.contains("+<bdi>two</bdi>"), "{since}");
}

#[test]
fn the_gate_says_what_is_missing_and_whose_turn_it_is() {
    let forge = Forge::start();
    let [alpha, beta, _] = agents(&forge);
    found_project(&alpha, "parser", &[("a", "1\n")]);
    let issue = open_issue(&alpha, "parser", "Make it two");
    let work = Work::start(&beta, &issue);
    let pull = work.deliver("a", "2\n");
    let (at, path) = (format!("/parser/pulls/{}", n(&pull)), pull.replace('#', "/"));

    let open = page(&forge, &at);
    assert!(open.contains("<b>Whose turn:</b> a reviewer other than beta gives a verdict"), "{open}");
    assert!(open.contains("<b>approval</b>") && open.contains(&format!("ssh forge review approve {path}")), "{open}");
    assert!(!open.contains("<form method=\"post\""), "nobody is signed in");
    assert!(open.contains(&format!("<a href=\"/parser/issues/{}\">{issue}</a>", n(&issue))), "{open}");

    alpha.ssh(&format!("review request-changes {pull} three, please")).ok();
    let asked = page(&forge, &at);
    assert!(asked.contains("</span> request-changes</span>") && asked.contains("<p>three, please</p>"), "{asked}");
    assert!(asked.contains("<b>Whose turn:</b> beta"), "{asked}");
    next(&work, "a", "3\n");
    let again = page(&forge, &at);
    assert!(again.contains("</span> void</span>") && again.contains("the head is another now"), "{again}");

    alpha.ssh(&format!("review comment {pull} --at a:9 x")).exits(2).says("the file has 1 lines");
    alpha.ssh(&format!("review comment {pull} --at b:1 x")).exits(2).says("has no such file");
    alpha.ssh(&format!("review comment {pull} --at a x")).exits(2).says("src/lib.rs:12");
    alpha.ssh(&format!("review comment {pull} --at a:1 Why not *four*?")).ok();
    let inline = page(&forge, &at);
    let below = inline.split("+<bdi>3</bdi></td></tr>").nth(1).unwrap();
    assert!(below.trim_start().starts_with("<tr class=\"t\">") && below.contains("Why not <em>four</em>?"), "{inline}");
    assert!(!page(&forge, &format!("{at}?round=1")).contains("<tr class=\"t\">"), "it is said of another head");

    alpha.ssh(&format!("review approve {pull} good")).ok();
    let token = beta.token("");
    let signed = forge.curl(&["-H", &format!("Authorization: Bearer {token}"), &forge.http_url(&at)]).ok().stdout;
    assert!(signed.contains("nothing is missing: anyone may merge it"), "{signed}");
    assert!(signed.contains(&format!("action=\"{at}/merge\"><input type=\"hidden\" name=\"head\"")), "{signed}");
    assert!(!signed.contains("name=\"verdict\""), "nobody reviews their own work");
    beta.ssh(&format!("merge {pull}")).ok();
    let landed = page(&forge, &at);
    assert!(landed.contains("</span> merged</span>") && landed.contains("landed as") && !landed.contains("Whose turn"));
    let issue = page(&forge, &format!("/parser/issues/{}", n(&issue)));
    assert!(issue.contains("</span> closed</span>") && issue.contains(&format!("<a href=\"{at}\">")), "{issue}");
    assert!(weight(&landed) <= MARK && weight(&issue) <= MARK, "{} and {} bytes", weight(&landed), weight(&issue));
}

/// Another round of one file.
fn next(work: &Work, path: &str, content: &str) {
    work.write(path, content);
    work.record("true").ok();
    work.commit("Once more");
    work.push().ok();
}

#[test]
fn git_takes_a_pull_request_as_text() {
    let forge = Forge::start();
    let [alpha, beta, _] = agents(&forge);
    found_project(&alpha, "parser", &[("a", "1\n")]);
    let work = Work::start(&beta, &open_issue(&alpha, "parser", "Make it two"));
    work.write("a", "2\n");
    work.commit(
        "First: größer\n\nBody\n---\ndiff --git a/evil b/evil\n--- /dev/null\n+++ b/evil\n@@ -0,0 +1 @@\n+evil",
    );
    let pull = work.deliver("dir/ü b", "no line break");
    let at = format!("/parser/pulls/{}", n(&pull));
    let fetched = |suffix: &str| {
        let (status, body) = forge.get(&format!("{at}{suffix}"));
        assert_eq!(status, 200, "{body}");
        body
    };
    for (suffix, how) in [(".patch", &["am", "-q"][..]), (".diff", &["apply", "--index"][..])] {
        let dir = alpha.clone_into(&alpha.ssh_url("parser"), &suffix[1..], &[]);
        fs::write(alpha.home().join("text"), fetched(suffix)).unwrap();
        alpha.git(&dir, &[how, &["../text"]].concat()).ok();
        let tree = alpha.git(&dir, &["write-tree"]).ok().text().to_owned();
        assert_eq!(tree, work.git(&["rev-parse", "HEAD^{tree}"]).ok().text(), "{suffix}");
    }
    let log = alpha.git(alpha.home().join("patch"), &["log", "-2", "--format=%an: %s"]).ok().stdout;
    assert_eq!(log, work.git(&["log", "-2", "--format=%an: %s"]).ok().stdout);
    let head = forge.curl(&["-I", &forge.http_url(&format!("{at}.patch"))]).ok().stdout;
    assert!(head.contains("text/plain") && head.contains("nosniff"), "{head}");

    fs::write(work.dir.join("binary"), b"a\0b\xff").unwrap();
    fs::write(work.dir.join("latin"), b"\xe9\n").unwrap();
    next(&work, "a", "3\n");
    let (status, refused) = forge.get(&format!("{at}.diff"));
    assert!(
        status == 422 && refused.contains("bytes that no text carries") && refused.contains("git fetch"),
        "{refused}"
    );
}

#[test]
fn lists_are_filtered_and_go_on_by_their_address() {
    let forge = Forge::start();
    let [alpha, beta, _] = agents(&forge);
    found_project(&alpha, "parser", &[("a", "1\n")]);
    assert!(page(&forge, "/parser/issues").contains("No issue is open"));
    assert!(page(&forge, "/parser/pulls").contains("ssh forge start parser/1"));
    let line = |n: usize| json!({ "key": format!("t:{n}"), "title": format!("Old thing {n}"), "body": "" });
    alpha.ssh_with("import parser", &(1..=99).map(|n| format!("{}\n", line(n))).collect::<String>()).ok();
    for title in ["Stops at the end", "Leaks memory"] {
        beta.ssh_with(&format!("issue new parser --title '{title}' --label 'good first' --lang rust"), "Body.").ok();
    }
    let first = page(&forge, "/parser/issues");
    assert_eq!(first.matches("<li><div>").count() + first.matches("<li>\n<div>").count(), 100, "{first}");
    let rest = first.split("<a href=\"").find(|link| link.contains("rel=\"next\"")).unwrap();
    let rest = page(&forge, rest.split('"').next().unwrap());
    assert!(
        rest.contains("Old thing 1<") && !rest.contains("Leaks memory") && !rest.contains("rel=\"next\""),
        "{rest}"
    );

    for (query, found) in [
        ("label=good+first", 2),
        ("author=beta&text=memory", 1),
        ("text=%22old+thing%22+5", 1),
        ("author=nobody", 0),
        ("state=closed", 0),
    ] {
        let shown = page(&forge, &format!("/parser/issues?{query}"));
        assert_eq!(shown.matches("<div class=\"dim\">#").count(), found, "{query}: {shown}");
    }
    let search = page(&forge, "/search?q=memory+is:open");
    assert!(search.contains("<a href=\"/parser/issues/101\"><bdi>Leaks memory</bdi></a>"), "{search}");
    assert!(page(&forge, "/search?q=nowhere").contains("Nothing holds all of these words."));
    assert!(page(&forge, "/parser/issues/new").contains("ssh forge issue new parser"));
    let (status, twin) = forge.get("/parser/issues.md?author=beta");
    assert!(status == 200 && twin.contains("Leaks memory") && !twin.contains("Old thing"), "{twin}");
    assert_eq!(forge.get("/parser/issues?state=--json").0, 404);
}

#[test]
fn whatever_agents_write_stays_text() {
    let forge = Forge::start();
    let [alpha, beta, _] = agents(&forge);
    let evil = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{7*7}} \u{202e}x";
    found_project(&alpha, "parser", &[("a", "1\n")]);
    let title = format!("issue new parser --title {evil} --label <b>x</b>");
    let issue = text(&alpha.json(&title), "/ref");
    alpha.ssh_with(&format!("reply {issue}"), &format!("# {evil}\n\n[x](javascript:alert(1)) <svg onload=x>\n")).ok();
    let work = Work::start(&beta, &issue);
    work.git(&["switch", "-q", "-c", "beta/<img-src=x>&\"'"]).ok();
    let name = "<svg onload=alert(3)>\"&' \u{202e}.rs";
    fs::write(work.dir.join(name), format!("{evil}\n")).unwrap();
    work.record("true").ok();
    work.commit(&format!("{evil}\n\n{evil}"));
    work.git(&["push", "-q", "origin", "HEAD"]).ok();
    let branch = work.git(&["rev-parse", "--abbrev-ref", "HEAD"]).ok().text().to_owned();
    work.git(&["push", "origin", "refs/notes/forge/out/*:refs/notes/forge/in/beta/*"]).ok();
    let pull = text(&beta.json(&format!("submit {branch} --issue {issue} --title {evil}")), "/ref");
    alpha.ssh_with(&format!("review request-changes {pull} -"), evil).ok();
    beta.ssh(&format!("note {pull} practice {evil}")).ok();
    let at = format!("/parser/pulls/{}", n(&pull));
    for path in [
        at.clone(),
        format!("{at}?view=split"),
        format!("{at}?round=1&view=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
        format!("/parser/issues/{}", n(&issue)),
        "/parser/issues?state=all".to_owned(),
        "/parser/pulls?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "/parser/pulls?state=all".to_owned(),
        "/search?q=alert".to_owned(),
        "/search?q=%22%3E%3Cscript%3E".to_owned(),
        "/parser/issues/new?title=%22%3E%3Cscript%3E&text=%3C/textarea%3E%3Cscript%3E".to_owned(),
    ] {
        let shown = page(&forge, &path);
        for bad in ["<img", "<svg onload", "<b>x", "onerror=alert(2)>", "href=\"javascript", "</title><", "\u{202e}"] {
            assert!(!shown.contains(bad), "{path} holds {bad}: {shown}");
        }
    }
    let shown = page(&forge, &at);
    assert!(shown.contains("&lt;svg onload=alert(3)&gt;") && shown.contains("‹U+202E›"), "{shown}");
}

#[test]
fn a_contest_shows_its_submissions_with_every_component() {
    let days = Days::start();
    let forge = &days.forge;
    let [host, alpha, beta] = contests::agents(forge, ["host", "alpha", "beta"]);
    let contest = contests::contest(&host, "drill", "medium", "--deadline 24h");
    host.ssh_with(&format!("issue seal {contest}"), &sealed::part(&host, "drill")).ok();
    let at = format!("/drill/issues/{}", n(&contest));
    let before = page(forge, &at);
    assert!(before.contains("</span> sealed</span>") && before.contains("nobody has started"), "{before}");
    let works = [&alpha, &beta].map(|agent| Work::start(agent, &contest));
    // Alpha signs what it ran, and beta does not.
    works[0].git(&["config", "forge.signingkey", alpha.key_path().to_str().unwrap()]).ok();
    let (first, second) = (contests::answer(&works[0], "42\n"), contests::answer(&works[1], "it is 42\n"));
    let open = page(forge, &at);
    assert!(open.contains("<dt>Working now</dt>") && !open.contains(">Place</th>"), "{open}");
    assert!(!open.contains("plugh-tests-of-nobody"), "what is sealed stays so");
    days.later(25);
    tests::until("the contest is ranked", || contests::stage(&alpha, &contest) == "ranked");
    let ranked = page(forge, &at);
    assert!(!ranked.contains(">Benchmark</th>"), "nothing measures it: {ranked}");
    for head in ["Place", "Solved", "Proof", "Regressions", "Like golden", "Took", "Apart by", "Elo"] {
        assert!(ranked.contains(&format!("<th scope=\"col\">{head}</th>")), "{head}: {ranked}");
    }
    let row = |place: u32, agent: &str, pull: &str| {
        let pull = format!("<a href=\"/drill/pulls/{0}\">#{0}</a>", n(pull));
        let agent = format!("<th scope=\"row\"><a href=\"/agents/{agent}\">{agent}</a></th>");
        format!("<tr><td data-is=\"Place\">{place}</td>{agent}<td data-is=\"Submission\">{pull}</td>")
    };
    assert!(ranked.contains(&row(1, "alpha", &first)) && ranked.contains(&row(2, "beta", &second)), "{ranked}");
    assert!(ranked.contains("</span> revealed</span>") && ranked.contains("How places come about"), "{ranked}");
    assert!(weight(&ranked) <= MARK, "{} bytes", weight(&ranked));
}
