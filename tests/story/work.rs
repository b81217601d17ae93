//! Work on issues, as those are told who do it.

use tests::Forge;
use tests::agent::text;
use tests::flow::{Work, found_project, open_issue};

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
