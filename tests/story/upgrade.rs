//! Data across releases: what the release before wrote is opened, read, written on and verified; what a newer format wrote is
//! refused with a clear word and left as it is.
//!
//! The data stand in `tests/fixtures`, written by the programs that its README names. [`write`] writes such a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::{Agent, Forge, flow, out, plumbing, tool};

use crate::mirror;

/// Agents of the data, in the order in which they were asked.
const AGENTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// What the agents were told is held against what they are told by a later program.
const ASKED: &[&str] = &[
    "whoami",
    "feed",
    "my-work",
    "details parser#1",
    "pr parser/2",
    "pr parser/5",
    "pr parser/7",
    "details parser/3",
    "pr list parser",
    "issue list parser",
    "issue list lexer",
    "search digits",
    "check show parser refs/pull/5/head",
    "profile alpha",
    "leaderboard",
    "project list",
    "key list",
    "log parser main",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.tar.gz"))
}

fn tar(args: &[&str]) {
    let mut command = out::limited("tar");
    command.args(args);
    out::run(&mut command, None).ok();
}

/// A fixture, unpacked beside the data of `forge`, which is stopped: the directory, and a server for what is in it, not yet
/// started.
fn unpacked(forge: &mut Forge, name: &str) -> (PathBuf, Forge) {
    forge.stop();
    let file = fixture(name);
    assert!(file.exists(), "{} is missing; tests/fixtures/README.md says how it is made", file.display());
    tar(&["-xzf", file.to_str().unwrap(), "-C", forge.scratch().to_str().unwrap()]);
    let at = forge.scratch().join("release");
    let server = forge.beside_stopped(&at.join("data"));
    (at, server)
}

/// The agents whose keys are in the data, in front of `forge`.
fn agents(at: &Path, forge: &Forge) -> [Agent; 3] {
    AGENTS.map(|name| {
        let agent = forge.stranger(name);
        for file in ["forge", "forge.pub"] {
            fs::remove_file(agent.home().join(".ssh").join(file)).unwrap();
            fs::copy(at.join("keys").join(name).join(file), agent.home().join(".ssh").join(file)).unwrap();
        }
        agent
    })
}

fn answers(agents: &[Agent]) -> Value {
    let asked = |agent: &Agent| -> Value {
        ASKED.iter().map(|line| ((*line).to_owned(), agent.json(line))).collect::<serde_json::Map<_, _>>().into()
    };
    agents.iter().map(|agent| (agent.name.clone(), asked(agent))).collect::<serde_json::Map<_, _>>().into()
}

/// What was told before and is not told any more, by its place. What is told beyond it may grow from release to release.
fn lost(before: &Value, now: &Value, place: &str, into: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                match new.get(key) {
                    // The address of the server that was asked is another one's now.
                    Some(_) if key == "url" => {}
                    Some(found) => lost(value, found, &format!("{place}/{key}"), into),
                    None => into.push(format!("{place}/{key}: gone")),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (value, found)) in old.iter().zip(new).enumerate() {
                lost(value, found, &format!("{place}/{number}"), into);
            }
        }
        (old, new) if old != new => into.push(format!("{place}: {old} became {new}")),
        _ => {}
    }
}

/// Every ref of every repository, and what it points at.
fn refs(data: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for project in ["forge", "lexer", "parser"] {
        let dir = data.join("repositories").join(format!("{project}.git"));
        let listed = plumbing::git(&dir, &["for-each-ref", "--format=%(objectname) %(refname)"]).ok();
        all.extend(listed.stdout.lines().map(|line| format!("{project} {line}")));
    }
    all
}

/// Every file below `dir` and its bytes.
fn bytes(dir: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    let mut unread = vec![dir.to_owned()];
    while let Some(dir) = unread.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                unread.push(path);
            } else {
                all.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    all
}

#[test]
fn data_of_the_release_before_are_opened_read_written_on_and_verified() {
    let mut scratch = Forge::start();
    let (at, mut server) = unpacked(&mut scratch, "release-0.1.0");
    let before = refs(server.data());
    server.up();
    let agents = agents(&at, &server);
    let told: Value = serde_json::from_slice(&fs::read(at.join("answers.json")).unwrap()).unwrap();
    let mut gone = Vec::new();
    lost(&told, &answers(&agents), "", &mut gone);
    assert!(gone.is_empty(), "{gone:#?}");

    // A start writes nothing into git; the search index is made anew from it.
    assert_eq!(server.stop(), 0);
    assert_eq!(refs(server.data()), before);
    fs::remove_dir_all(server.data().join("index")).unwrap();
    server.up();
    let [alpha, beta, _] = &agents;
    let mut gone = Vec::new();
    lost(&told, &answers(&agents), "", &mut gone);
    assert!(gone.is_empty(), "{gone:#?}");

    // What was open goes on: the pull request that waits is merged and rated, new work is begun.
    beta.json("review approve parser/5 reads well");
    beta.json("check drop parser ci/test gamma");
    let merged = alpha.json("merge parser/5");
    assert!(merged.pointer("/landed").is_some(), "{merged}");
    flow::land(alpha, beta, "parser", "d.txt", "d\n");
    assert_eq!(server.stop(), 0);
    let verified = tool(&["verify", server.data().to_str().unwrap()]).ok();
    verified.says("good");
    for project in ["forge", "lexer", "parser"] {
        plumbing::assert_clean(&server.repository(project));
    }
    server.up();
    assert_eq!(alpha.json("pr parser/5").pointer("/state").and_then(Value::as_str), Some("merged"));
}

#[test]
fn data_of_a_newer_format_are_refused_with_a_clear_word_and_left_as_they_are() {
    let mut scratch = Forge::start();
    let (_, mut server) = unpacked(&mut scratch, "format-2");
    let before = bytes(server.data());
    let died = server.try_up(&[]).unwrap_err();
    assert_ne!(died.code, 0);
    assert!(died.log.contains("format 2 is newer than 1, the newest that this program reads"), "{}", died.log);
    assert!(died.log.contains("next: "), "{}", died.log);
    assert_eq!(bytes(server.data()), before);
    let verified = tool(&["verify", server.data().to_str().unwrap()]).fails();
    verified.says("format 2 is newer than 1");
    assert_eq!(bytes(server.data()), before);
}

/// Not a test: writes `tests/fixtures/$FORGE_FIXTURE.tar.gz` with the program that stands in `FORGE_BIN`
/// (`tests/fixtures/README.md`).
#[test]
#[ignore = "writes the data of a release; tests/fixtures/README.md says when"]
fn write() {
    let name = std::env::var("FORGE_FIXTURE").expect("FORGE_FIXTURE names the file to write");
    let (mut forge, agents) = mirror::lived_in();
    let [alpha, beta, gamma] = &agents;
    // A signed record and a challenge that confirms it, a token, a policy, and a pull request that was closed.
    let signed = flow::Work::start(gamma, &flow::open_issue(beta, "parser", "Signed"));
    signed.git(&["config", "forge.signingkey", gamma.key_path().to_str().unwrap()]).ok();
    let pull = signed.deliver("c.txt", "c\n");
    let how = alpha.ssh(&format!("challenge {pull}")).ok().stdout;
    let script = how.split("```sh\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("a block of commands");
    alpha.sh(alpha.home(), script).ok();
    beta.json(&format!("review approve {pull} reads well"));
    gamma.json(&format!("merge {pull}"));
    let dropped = flow::Work::start(alpha, &flow::open_issue(gamma, "lexer", "Dropped"));
    let pull = dropped.deliver("x.txt", "x\n");
    alpha.json(&format!("pr close {pull}"));
    alpha.token("--project parser");
    let told = answers(&agents);
    assert_eq!(forge.stop(), 0);

    let at = forge.scratch().join("release");
    fs::create_dir_all(&at).unwrap();
    plumbing::copy_tree(forge.data(), &at.join("data"));
    fs::remove_dir_all(at.join("data/clones")).ok();
    for agent in &agents {
        let keys = at.join("keys").join(&agent.name);
        fs::create_dir_all(&keys).unwrap();
        for file in ["forge", "forge.pub"] {
            fs::copy(agent.home().join(".ssh").join(file), keys.join(file)).unwrap();
        }
    }
    serde_json::to_writer_pretty(File::create(at.join("answers.json")).unwrap(), &told).unwrap();
    fs::write(at.join("written-by"), tool(&["--version"]).ok().stdout).unwrap();
    tar(&["-czf", fixture(&name).to_str().unwrap(), "-C", forge.scratch().to_str().unwrap(), "release"]);
    eprintln!("{} with {} refs", fixture(&name).display(), refs(forge.data()).len());
}
