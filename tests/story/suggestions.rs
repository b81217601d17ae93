//! Comments on lines that are gone, and suggestions that their author makes commits.

use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, open_issue};
use tests::plumbing::mirror_all;
use tests::{Agent, Forge, tool};

const FILE: &str = "one\ntwo\nthree\nfour\nfive\n";

fn n(reference: &str) -> &str {
    reference.split_once('#').unwrap().1
}

/// The number of the newest thing said on a pull request.
fn newest(agent: &Agent, pull: &str) -> i64 {
    number(list(&agent.json(&format!("details {pull}")), "/events").last().unwrap(), "/seq")
}

/// A pull request of beta's in which `two` is gone and `three` is another.
fn delivered(forge: &Forge) -> (Agent, Agent, Work, String) {
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    found_project(&alpha, "parser", &[("src/list", FILE), ("README.md", "# Parser\n")]);
    let work = Work::start(&beta, &open_issue(&alpha, "parser", "Count better"));
    let pull = work.deliver("src/list", "one\ntree\nfour\nfive\n").replacen('/', "#", 1);
    (alpha, beta, work, pull)
}

#[test]
fn a_line_that_is_gone_is_spoken_of_on_its_own_side() {
    let forge = Forge::start();
    let (alpha, _, work, pull) = delivered(&forge);
    let at = format!("/parser/pulls/{}", n(&pull));
    alpha.ssh(&format!("review comment {pull} --at src/list:-6 x")).exits(2).says("the file has 5 lines");
    alpha.ssh(&format!("review comment {pull} --at src/list:3-9 x")).exits(2).says("the file has 4 lines");
    alpha.ssh(&format!("review comment {pull} --at src/list:3-2 x")).exits(2).says("src/lib.rs:-9");
    alpha.ssh(&format!("review comment {pull} --at src/list:-2 Who needs *two*?")).ok();
    alpha.ssh(&format!("review comment {pull} --at src/list:2-3 Both of *them*?")).ok();

    let pr = alpha.json(&format!("pr {pull}"));
    let on = |at: usize, key: &str| text(&pr, &format!("/comments/{at}/on/{key}"));
    assert_eq!((on(0, "side"), on(0, "commit")), ("old".to_owned(), text(&pr, "/base")));
    assert_eq!((on(1, "side"), on(1, "commit")), ("new".to_owned(), text(&pr, "/head")));
    assert_eq!(number(&pr, "/comments/1/on/to"), 3);
    alpha.ssh(&format!("pr {pull}")).says("on src/list:-2").says("on src/list:2-3");
    for view in ["", "?view=split"] {
        let (_, page) = forge.get(&format!("{at}{view}"));
        let files = page.split("id=\"files\"").nth(1).unwrap();
        let place = |part: &str| files.find(part).unwrap_or_else(|| panic!("{part}: {files}"));
        // Below the row of its line, which is before what came instead where one stands below the other.
        assert!(place("-<bdi>two</bdi>") < place("<em>two</em>"), "{view}");
        assert!(place("<bdi>four</bdi>") < place("<em>them</em>"), "it stands below the last of its lines");
        assert_eq!((files.matches("<em>two</em>").count(), files.matches("<em>them</em>").count()), (1, 1), "{view}");
        let link = format!("/parser/blob/src/list?at={}#L2", text(&pr, "/base"));
        assert!(page.contains(&format!("<a href=\"{link}\"><bdi>src/list:-2</bdi></a>")), "{page}");
    }
    // Another round has other lines; what was said of the first stays with it.
    work.write("src/list", "one\nthree\nfour\nfive\n");
    work.record("true").ok();
    work.commit("Spell it");
    work.push().ok();
    let files = |query: &str| forge.get(&format!("{at}{query}")).1.split("id=\"files\"").nth(1).unwrap().to_owned();
    assert!(!files("").contains("<em>two</em>") && files("?round=1").contains("<em>two</em>"));
    assert!(!files("?since=1").contains("<em>two</em>"));
}

#[test]
fn an_author_makes_a_suggestion_a_commit() {
    let forge = Forge::start();
    let (alpha, beta, work, pull) = delivered(&forge);
    let at = format!("/parser/pulls/{}", n(&pull));
    let path = pull.replacen('#', "/", 1);
    let suggest = |place: &str, text: &str| {
        alpha.ssh_with(&format!("review comment {pull} --at {place} -"), text).ok();
        newest(&alpha, &pull)
    };
    let spelled = suggest("src/list:2", "It is spelled:\n```suggestion\nthree\n```\nis it not?");
    let shorter = suggest("src/list:3-4", "```suggestion\n```\n");
    let said = suggest("src/list:1", "Nothing to change here.");
    let of_gone = suggest("src/list:-2", "```suggestion\nzwei\n```\n");
    let other = suggest("src/list:2", "```suggestion\n3\n```\n");

    let pr = beta.json(&format!("pr {pull}"));
    assert_eq!(text(&pr, "/comments/0/suggests/was"), "tree\n");
    assert_eq!(text(&pr, "/comments/0/suggests/becomes"), "three\n");
    assert_eq!(text(&pr, "/comments/1/suggests/was"), "four\nfive\n");
    assert!(pr.pointer("/comments/2/suggests").is_none() && pr.pointer("/comments/3/suggests").is_none(), "{pr}");
    beta.ssh(&format!("pr {pull}")).says(&format!("→ apply {path} {spelled}"));

    // Who may, and what there is to apply.
    alpha.ssh(&format!("apply {pull} {spelled}")).exits(4).says("only beta, to whom");
    beta.ssh(&format!("apply {pull} {said}")).exits(1).says("it suggests nothing");
    beta.ssh(&format!("apply {pull} {of_gone}")).exits(1).says("it suggests nothing");
    beta.ssh(&format!("apply {pull} 999999")).exits(3).says("nothing was said there");
    beta.ssh(&format!("apply {pull} x")).exits(2).says("named by its number");

    let head = work.head();
    let done = beta.json(&format!("apply {pull} {spelled}"));
    assert_eq!((number(&done, "/round"), text(&done, "/proof")), (2, "P0".to_owned()), "{done}");
    assert!(list(&done, "/gate").iter().any(|line| text(line, "/rule") == "proof" && line["ok"] == false), "{done}");
    work.git(&["pull", "-q", "--ff-only", "origin", &text(&done, "/branch")]).ok();
    assert_eq!(work.head(), text(&done, "/head"));
    let shown = work.git(&["log", "-1", "--format=%P|%an|%cn|%B"]).ok().stdout;
    assert!(shown.starts_with(&format!("{head}|beta|forge|Apply a suggestion to src/list\n")), "{shown}");
    assert!(shown.contains("Co-authored-by: alpha <alpha@forge>"), "{shown}");
    assert_eq!(work.git(&["show", "HEAD:src/list"]).ok().stdout, "one\nthree\nfour\nfive\n");

    // Those of the same line are outdated, and the others carried on.
    beta.ssh(&format!("apply {pull} {other}")).exits(5).says("the lines changed since");
    beta.ssh(&format!("apply {pull} {spelled}")).exits(5).says("the lines changed since");
    let (_, nobody) = forge.get(&at);
    assert!(!nobody.contains("/apply\""), "{nobody}");
    let bearer = format!("Authorization: Bearer {}", beta.token(""));
    let page = forge.curl(&["-H", &bearer, &forge.http_url(&at)]).ok().stdout;
    let button = |seq: i64| format!("<button name=\"comment\" value=\"{seq}\">Apply the suggestion</button>");
    assert!(
        page.contains(&button(shorter)) && !page.contains(&button(spelled)) && !page.contains(&button(other)),
        "{page}"
    );
    assert!(page.contains("<span class=\"del\">-four</span>\n<span class=\"del\">-five</span>"), "{page}");
    let send = |seq: i64| {
        let data = format!("comment={seq}");
        forge.curl(&["-H", &bearer, "-d", &data, &forge.http_url(&format!("{at}/apply"))]).ok().stdout
    };
    assert!(send(shorter).trim().ends_with("303"));
    assert!(send(shorter).contains("the lines changed since"));
    work.git(&["pull", "-q", "--ff-only", "origin", &text(&done, "/branch")]).ok();
    assert_eq!(work.git(&["show", "HEAD:src/list"]).ok().stdout, "one\nthree\n");

    // The gate is as for any head: without a run it does not land, with one it does.
    alpha.ssh(&format!("review approve {pull}")).ok();
    beta.ssh(&format!("merge {pull}")).exits(1).says("forge run");
    work.record("true").ok();
    work.push().ok();
    beta.ssh(&format!("merge {pull}")).ok();
    beta.ssh(&format!("apply {pull} {other}")).exits(5).says("merged already");
    // What was written is what anybody may check.
    let copy = forge.scratch().join("copy");
    mirror_all(&forge, &alpha, &copy);
    tool(&["verify", copy.to_str().unwrap()]).ok();
}

#[test]
fn what_a_suggestion_brings_is_judged_as_a_push_is() {
    let forge = Forge::start();
    let (alpha, beta, _, pull) = delivered(&forge);
    // A key of a known service, made up.
    let secret = format!("aws = \"AKIA{}\"", "Z7QK2M4X6B3D5F1G");
    alpha
        .ssh_with(&format!("review comment {pull} --at src/list:2 -"), &format!("```suggestion\n{secret}\n```\n"))
        .ok();
    let seq = newest(&alpha, &pull);
    let before = text(&beta.json(&format!("pr {pull}")), "/head");
    beta.ssh(&format!("apply {pull} {seq}")).exits(1).says("src/list");
    assert_eq!(text(&beta.json(&format!("pr {pull}")), "/head"), before);
}
