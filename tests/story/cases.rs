//! Runs the documents in `tests/cases/*.md`.
//!
//! A block ```` ```sh alpha ```` is what agent `alpha` types, in a home of its own with an SSH key and `ssh forge`
//! ready. Lines that begin with `$ ` are commands (`> ` continues one); what follows is what they print: standard output,
//! then standard error. `…` stands for any text within a line, a line `...` for any number of lines. `? 3` says that the
//! command exits with 3; without it, it exits with 0. A directory change lasts for the actor's later commands.
//! `$HTTP_URL` and `$SSH_URL` hold the forge's addresses.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tests::{Agent, Forge, root};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    line: usize,
    actor: String,
    command: String,
    expected: Vec<String>,
    exit: i32,
}

fn parse(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut actor: Option<String> = None;
    for (at, line) in document.lines().enumerate() {
        match &actor {
            None => actor = line.strip_prefix("```sh ").map(|name| name.trim().to_owned()),
            Some(_) if line == "```" => actor = None,
            Some(name) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    let (actor, command) = (name.clone(), command.to_owned());
                    steps.push(Step { line: at + 1, actor, command, expected: Vec::new(), exit: 0 });
                    continue;
                }
                let step = steps.last_mut().expect("a block begins with a command");
                if let Some(more) = line.strip_prefix("> ").filter(|_| step.expected.is_empty()) {
                    step.command.push('\n');
                    step.command.push_str(more);
                } else if let Some(code) = line.strip_prefix("? ") {
                    step.exit = code.trim().parse().expect("an exit code");
                } else {
                    step.expected.push(line.to_owned());
                }
            }
        }
    }
    assert!(actor.is_none(), "a block is not closed");
    steps
}

/// Whether `line` fits `pattern`, in which `…` stands for any text.
fn line_fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or("")) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Whether `lines` fit `patterns`, in which `...` stands for any number of lines.
fn fits(patterns: &[String], lines: &[&str]) -> bool {
    // reach[j]: the patterns so far fit exactly the first j lines.
    let mut reach = vec![false; lines.len() + 1];
    reach[0] = true;
    for pattern in patterns {
        let mut next = vec![false; lines.len() + 1];
        if pattern == "..." {
            let mut any = false;
            for (j, slot) in next.iter_mut().enumerate() {
                any |= reach[j];
                *slot = any;
            }
        } else {
            for (j, line) in lines.iter().enumerate() {
                next[j + 1] = reach[j] && line_fits(pattern, line);
            }
        }
        reach = next;
    }
    reach[lines.len()]
}

struct Actor {
    agent: Agent,
    dir: PathBuf,
}

#[expect(clippy::print_stdout, reason = "a document that failed is read as it was played")]
fn play(name: &str) {
    let path = root().join("tests/cases").join(format!("{name}.md"));
    let steps = parse(&fs::read_to_string(&path).unwrap());
    assert!(!steps.is_empty(), "{} has no commands", path.display());
    let forge = Forge::start();
    let mut actors: BTreeMap<String, Actor> = BTreeMap::new();
    for step in &steps {
        let actor = actors.entry(step.actor.clone()).or_insert_with(|| {
            let agent = forge.stranger(&step.actor);
            Actor { dir: agent.home().to_owned(), agent }
        });
        let pwd = actor.agent.home().join(".pwd");
        // The trailing line break ends a here-document or a comment of the command.
        let script = format!("trap 'pwd > \"{}\"' EXIT\n{}\n", pwd.display(), step.command);
        let out = actor.agent.sh(&actor.dir, &script);
        if let Ok(text) = fs::read_to_string(&pwd) {
            actor.dir = PathBuf::from(text.trim());
        }
        let printed = out.all();
        let lines: Vec<&str> = printed.lines().collect();
        let place = format!("tests/cases/{name}.md:{}: {}$ {}", step.line, step.actor, step.command);
        assert!(out.code == step.exit, "{place}\nexited with {}, not {}; it printed\n{printed}", out.code, step.exit);
        // Read it with `--nocapture`: the whole document as it was played.
        println!("{place}\n{printed}? {}", out.code);
        let expected = step.expected.join("\n");
        assert!(fits(&step.expected, &lines), "{place}\n--- expected\n{expected}\n--- printed\n{printed}");
    }
}

macro_rules! cases {
    ($($test:ident => $name:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            play($name);
        })+

        #[test]
        fn every_document_is_played() {
            let mut found: Vec<String> = fs::read_dir(root().join("tests/cases"))
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            let mut played = vec![$($name),+];
            played.sort();
            assert_eq!(found, played);
        }
    };
}

cases! {
    onboarding => "onboarding",
    project_and_push => "project-and-push",
    the_loop => "loop",
    refusals => "refusals",
    http_loop => "http-loop",
    policy => "policy",
    landing => "landing",
    cheats => "cheats",
    checks => "checks",
    policy_merge => "policy-merge",
    the_loop_with_sh_and_git => "sh-loop",
    another_git_server => "another-server",
    reading_code => "reading-code",
    secrets => "secrets",
    levels => "levels",
    levels_at_push => "levels-at-push",
    issues_of_elsewhere => "import",
}

#[test]
fn the_runner_tells_right_from_wrong() {
    let strings = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(line_fits("a … c", "a b c") && line_fits("…", "") && line_fits("x", "x"));
    assert!(!line_fits("a … c", "a b d") && !line_fits("x", "xy") && !line_fits("ab…ba", "aba"));
    assert!(fits(&strings(&["...", "b", "..."]), &["a", "b", "c"]));
    assert!(fits(&strings(&["..."]), &[]));
    assert!(!fits(&strings(&["...", "b"]), &["a", "b", "c"]));
    assert!(!fits(&[], &["a"]));
    let steps = parse("text\n```sh alpha\n$ cat <<X\n> one\n> X\none\n? 2\n```\n```json\n{}\n```\n");
    let command = "cat <<X\none\nX".to_owned();
    let step = Step { line: 3, actor: "alpha".into(), command, expected: strings(&["one"]), exit: 2 };
    assert_eq!(steps, [step]);
}
