//! A CI posts a commit's status with the library that it has, as to GitHub and to Gitea, and the pull request shows it.

use tests::Forge;
use tests::agent::Agent;
use tests::flow::{self, Work};
use tests::out::{self, Out};

use crate::matrix::go_program;

/// A pull request under a policy that demands two checks, approved; its work.
fn approved(forge: &Forge, maintainer: &Agent) -> Work {
    let policy = "[require]\nchecks = [\"by hub\", \"by tea\"]\n";
    flow::found_project(maintainer, "parser", &[("a", "1\n"), (".forge/policy.toml", policy)]);
    for name in ["by hub", "by tea"] {
        maintainer.ssh(&format!("check register parser {name} robot")).ok();
    }
    let work = Work::start(&forge.agent("alpha"), &flow::open_issue(maintainer, "parser", "Two"));
    assert_eq!(work.deliver("a", "2\n"), "parser#2");
    maintainer.ssh("review approve parser/2").ok();
    work
}

#[test]
fn libraries_of_github_and_gitea_post_and_read_statuses() {
    let program = match go_program("statuses") {
        Ok(program) => program,
        Err(why) => {
            eprintln!("SKIPPED: no library of a CI was tested: {why}");
            return;
        }
    };
    let forge = Forge::start();
    let (beta, robot) = (forge.agent("beta"), forge.agent("robot"));
    let work = approved(&forge, &beta);
    let head = work.head();
    let says = |agent: &Agent, token: &str, words: [&str; 4]| -> Out {
        let [kind, check, state, text] = words;
        let mut command = agent.command(program.to_str().unwrap());
        command.env("FORGE_TOKEN", token).args([kind, &forge.http_url(""), "parser", &head, check, state, text]);
        out::run(&mut command, None)
    };
    let token = robot.token("--project parser --verbs check,project");
    let strangers = forge.agent("eve").token("");

    says(&beta, &strangers, ["gitea", "by tea", "success", ""]).exits(1).says("eve may not");
    says(&robot, &token, ["github", "by hand", "success", ""]).exits(1).says("no check of parser has that name");
    says(&robot, &token, ["github", "by hub", "green", ""]).exits(1).says("422 state: it must be one of pending,");

    says(&robot, &token, ["github", "by hub", "pending", ""]).ok().says("by hub pending  by robot\nall pending 1 of 1");
    says(&robot, &token, ["gitea", "by tea", "failure", "1 failed"]).ok().says("all failure 2 of 2");
    beta.ssh("merge parser/2").exits(1).says("`by hub` is pending on tree ");
    says(&robot, &token, ["github", "by hub", "success", "3 passed"]).ok().says("by hub success 3 passed by robot");
    beta.ssh("merge parser/2").exits(1).says("`by tea` failed on tree ");
    says(&robot, &token, ["gitea", "by tea", "success", "4 passed"]).ok().says("all success 2 of 2");
    beta.ssh("merge parser/2").ok().says("parser#2 landed as ");
}
