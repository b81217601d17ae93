//! Milestones and priorities, and how a project fares.

use tests::Forge;
use tests::agent::{list, number, text};
use tests::flow::{found_project, land};

use super::contests::Days;

#[test]
fn a_roadmap_orders_by_milestone_and_priority_and_says_what_is_done() {
    let forge = Forge::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| forge.agent(name));
    found_project(&alpha, "parser", &[("x", "1\n")]);
    let open = |words: &str| text(&alpha.json(&format!("issue new parser {words}")), "/ref");
    let later = open("--milestone v10 --title 'Later'");
    let low = open("--milestone v2 --priority low --title 'Low'");
    let urgent = open("--milestone v2 --priority urgent --title 'Urgent <b>'");
    let plain = open("--milestone v2 --title 'In its turn'");
    let done = open("--milestone v2 --title 'Done'");
    let none = open("--title 'Anywhen'");
    alpha.json(&format!("issue close {done}"));

    let map = alpha.json("roadmap parser");
    let names: Vec<_> = list(&map, "/milestones").iter().map(|one| one["milestone"].as_str().unwrap_or("-")).collect();
    assert_eq!(names, ["v2", "v10", "-"]);
    let order: Vec<String> = list(&map, "/milestones/0/issues").iter().map(|step| text(step, "/ref")).collect();
    assert_eq!(order, [urgent.clone(), plain, low.clone(), done]);
    assert_eq!((number(&map, "/milestones/0/permille"), number(&map, "/permille")), (250, 166));
    assert_eq!(text(&map, "/next"), format!("start {}", urgent.replace('#', "/")));
    alpha.ssh("roadmap parser").says("## v2 · 1 of 4 done (25.0 %)").says("## no milestone");

    // Whoever opened it and the maintainer plan it; what is not named stays.
    beta.ssh(&format!("issue edit {none} --milestone v2")).exits(4).says("only alpha");
    alpha.ssh(&format!("issue edit {none}")).exits(2).says("--milestone or --priority");
    alpha.ssh(&format!("issue edit {none} --priority soon")).exits(2).says("urgent, high, normal, low or none");
    alpha.json(&format!("issue edit {low} --priority high"));
    alpha.json(&format!("issue edit {later} --milestone none"));
    let details = alpha.json(&format!("details {low}"));
    assert_eq!((text(&details, "/milestone"), text(&details, "/priority")), ("v2".to_owned(), "high".to_owned()));
    assert_eq!(text(list(&details, "/events").last().unwrap(), "/summary"), "planned: milestone v2, priority high");
    let seq = number(&alpha.json(&format!("issue edit {low} --priority high")), "/seq");
    assert_eq!(seq, number(list(&details, "/events").last().unwrap(), "/seq"), "nothing changed, nothing is written");
    assert!(alpha.json(&format!("details {later}")).get("milestone").is_none());
    alpha.ssh("issue list parser").says("v2 · urgent");

    let (_, page) = forge.get("/parser/roadmap");
    assert!(page.contains("Urgent &lt;b&gt;") && page.contains("No milestone") && page.contains("25.0 %"), "{page}");
    let bearer = format!("Authorization: Bearer {}", alpha.token(""));
    let at = format!("/parser/issues/{}/edit", none.split_once('#').unwrap().1);
    let send = |data: &str| forge.curl(&["-H", &bearer, "-d", data, &forge.http_url(&at)]).ok().stdout;
    assert!(send("milestone=next+one&priority=low").trim().ends_with("303"));
    assert!(send("milestone=x&priority=--json").trim().ends_with("400"));
    assert_eq!(text(&alpha.json(&format!("details {none}")), "/milestone"), "next one");
}

#[test]
fn health_counts_what_stands_beside_it_and_a_project_without_events_rests() {
    let days = Days::start();
    let [alpha, beta] = ["alpha", "beta"].map(|name| days.forge.agent(name));
    found_project(&alpha, "parser", &[("x", "1\n")]);
    found_project(&alpha, "lexer", &[("x", "1\n")]);
    let landed = land(&beta, &alpha, "parser", "y", "1\n");
    let health = alpha.json("health parser");
    assert_eq!(list(&health, "/landed").last().unwrap(), 1);
    assert_eq!((number(&health, "/merged"), number(&health, "/issues/permille")), (1, 1000), "{health}");
    assert_eq!(
        (number(&health, "/stability_permille"), text(&health, "/landings/0/ref")),
        (1000, landed.pull.replacen('/', "#", 1))
    );
    assert_eq!(text(&health, "/contributors/0/agent"), "beta");
    assert_eq!((number(&health, "/contributors/0/landed"), number(&health, "/contributors_in_all")), (1, 2));
    assert_eq!(text(&health, "/main/commit"), landed.commit);
    assert!(health["idle_since_ms"].is_null() && alpha.json("health lexer")["stability_permille"].is_null());
    let (_, page) = days.forge.get("/parser/health");
    assert!(page.contains("1 landed in 30 days") && page.contains("100.0 %") && page.contains("Last event"), "{page}");

    // A red check on what landed makes it unsound.
    alpha.json("check register parser ci/test alpha");
    alpha.json(&format!("check post parser {} ci/test failure", landed.commit));
    let health = alpha.json("health parser");
    assert_eq!((number(&health, "/stability_permille"), text(&health, "/main/state")), (0, "failure".to_owned()));
    let (_, checks) = days.forge.get("/parser/checks");
    assert!(checks.contains("<bdi>ci/test</bdi>") && checks.contains("</span> failure</span>"), "{checks}");

    // Fifteen days later something happens elsewhere: what rests is told by the forge's own events.
    days.later(15 * 24);
    alpha.json("issue new lexer --title Awake");
    let health = alpha.json("health parser");
    assert_eq!(number(&health, "/idle_since_ms"), number(&health, "/last_ms"));
    assert_eq!(list(&health, "/landed").iter().filter_map(|day| day.as_u64()).sum::<u64>(), 1);
    assert!(alpha.json("health lexer")["idle_since_ms"].is_null());
    let (_, today) = days.forge.get("/");
    assert!(
        today.contains("<a class=\"warn\" href=\"/parser/health\">idle since") && today.contains("100.0 % done"),
        "{today}"
    );
    alpha.ssh("health parser").says("idle since");
}
