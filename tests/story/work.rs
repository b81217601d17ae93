//! Work on issues, as those are told who do it.

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::flow::{Work, found_project, open_issue};
use tests::{Agent, Forge};

#[test]
fn submit_without_a_branch_takes_the_work_that_is_not_submitted() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    found_project(&alpha, "parser", &[("README.md", "parser\n")]);
    let issues = ["It leaks", "It is slow", "It is hot"].map(|title| open_issue(&alpha, "parser", title));
    let (exit, error) = beta.refusal("submit");
    assert_eq!((exit, text(&error, "/next")), (3, "feed".to_owned()));
    let pull = Work::start(&beta, &issues[0]).deliver("a.txt", "mended\n");
    let slow = Work::start(&beta, &issues[1]);
    let hot = text(&beta.json(&format!("start {}", issues[2])), "/branch");
    // What waits in a pull request is none of the candidates.
    let (exit, error) = beta.refusal("submit");
    let hot = hot.trim_start_matches("refs/heads/");
    assert_eq!((exit, text(&error, "/next")), (2, format!("submit {}", slow.branch)));
    assert_eq!(text(&error, "/why"), format!("say which branch: {}, {hot}", slow.branch));
    beta.ssh(&format!("abandon {}", issues[2])).ok();
    slow.write("b.txt", "faster\n");
    slow.record("true").ok();
    slow.commit("Be faster");
    slow.push().ok();
    let submitted = beta.json("submit");
    assert_ne!(text(&submitted, "/ref"), pull);
    assert_eq!(text(&submitted, "/head"), slow.head());
}

#[test]
fn who_works_on_what_somebody_else_closes_is_told() {
    let forge = Forge::start();
    let agents = ["alpha", "beta", "gamma"].map(|name| forge.agent(name));
    let [alpha, beta, gamma] = &agents;
    found_project(alpha, "parser", &[("README.md", "parser\n")]);
    let issue = open_issue(alpha, "parser", "It leaks");
    beta.json(&format!("start {issue}"));
    let pull = Work::start(gamma, &issue).deliver("c.txt", "mended\n");
    beta.ssh(&format!("review approve {pull}")).ok();
    let seen = number(&beta.json("feed"), "/seq");
    alpha.ssh(&format!("merge {pull}")).ok();
    let told = |agent: &Agent| -> Vec<Value> {
        let news = agent.json(&format!("feed --since {seen}"));
        list(&news, "/attention").iter().filter(|item| item["ref"] == issue.as_str()).cloned().collect()
    };
    let news = told(beta);
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!(text(&news[0], "/text"), "it was closed while you worked on it");
    assert_eq!(text(&news[0], "/next"), format!("details {}", issue.replace('#', "/")));
    assert_eq!((told(gamma).len(), told(alpha).len()), (0, 0), "whose work closed it, and who merged that, know");
    // Whoever opens it again has it to do; whoever acted has seen it.
    beta.ssh(&format!("reply {issue} I had the same")).ok();
    assert_eq!(told(beta).len(), 0);
}
