//! Runs of real toolchains, recorded by both recorders, with their counts as the forge shows them; and outputs too large
//! to hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tests::agent::{list, number, text};
use tests::flow::{self, Work};
use tests::{Agent, Forge, Out, forge_bin, root};

/// A small project with one test that fails until `fix` is applied.
struct Toolchain {
    name: &'static str,
    /// Succeeds where the toolchain is here.
    probe: &'static str,
    files: &'static [(&'static str, &'static str)],
    fix: (&'static str, &'static str),
    command: &'static str,
    framework: &'static str,
    /// Passed, failed and ignored before and after the fix.
    before: [u64; 3],
    after: [u64; 3],
}

const RUST: &str = "pub fn answer() -> u32 { 41 }\n#[cfg(test)]\nmod tests {\n    #[test] fn is_right() { assert_eq!(super::answer(), 42); }\n    \
                    #[test] fn is_even_or_odd() { assert!(super::answer() > 0); }\n    #[test] #[ignore] fn later() {}\n}\n";
const RUST_FIXED: &str = "pub fn answer() -> u32 { 42 }\n#[cfg(test)]\nmod tests {\n    #[test] fn is_right() { assert_eq!(super::answer(), 42); }\n    \
                          #[test] fn is_even_or_odd() { assert!(super::answer() > 0); }\n    #[test] #[ignore] fn later() {}\n}\n";
const PYTHON: &str = "import unittest\nimport answer\n\nclass Test(unittest.TestCase):\n    def test_right(self):\n        \
                      self.assertEqual(answer.ANSWER, 42)\n    def test_positive(self):\n        self.assertGreater(answer.ANSWER, 0)\n    \
                      @unittest.skip('later')\n    def test_later(self):\n        pass\n";
const NODE: &str = "const test = require('node:test'), assert = require('node:assert');\nconst answer = require('./answer.js');\n\
                    test('right', () => assert.equal(answer, 42));\ntest('positive', () => assert.ok(answer > 0));\n\
                    test('later', { skip: true }, () => {});\n";
const GO: &str = "package answer\n\nimport \"testing\"\n\nfunc TestRight(t *testing.T) {\n\tif Answer != 42 {\n\t\tt.Error(Answer)\n\t}\n}\n\n\
                  func TestPositive(t *testing.T) {}\n\nfunc TestLater(t *testing.T) { t.Skip() }\n";

const TOOLCHAINS: &[Toolchain] = &[
    Toolchain {
        name: "rust",
        probe: "cargo --version",
        files: &[
            ("Cargo.toml", "[package]\nname = \"answer\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n"),
            ("Cargo.lock", "version = 3\n\n[[package]]\nname = \"answer\"\nversion = \"0.1.0\"\n"),
            (".gitignore", "target\n"),
            ("src/lib.rs", RUST),
        ],
        fix: ("src/lib.rs", RUST_FIXED),
        command: "cargo test --offline --lib",
        framework: "cargo-test",
        before: [1, 1, 1],
        after: [2, 0, 1],
    },
    Toolchain {
        name: "python",
        probe: "python3 --version",
        files: &[("answer.py", "ANSWER = 41\n"), ("test_answer.py", PYTHON), (".gitignore", "__pycache__\n")],
        fix: ("answer.py", "ANSWER = 42\n"),
        command: "python3 -m unittest",
        framework: "unittest",
        before: [1, 1, 1],
        after: [2, 0, 1],
    },
    Toolchain {
        name: "pytest",
        probe: "pytest --version",
        files: &[
            ("answer.py", "ANSWER = 41\n"),
            ("test_answer.py", PYTHON),
            (".gitignore", "__pycache__\n.pytest_cache\n"),
        ],
        fix: ("answer.py", "ANSWER = 42\n"),
        command: "pytest",
        framework: "pytest",
        before: [1, 1, 1],
        after: [2, 0, 1],
    },
    Toolchain {
        name: "node",
        probe: "node --test --help",
        files: &[("answer.js", "module.exports = 41;\n"), ("answer.test.js", NODE)],
        fix: ("answer.js", "module.exports = 42;\n"),
        command: "node --test",
        framework: "node-test",
        before: [1, 1, 1],
        after: [2, 0, 1],
    },
    Toolchain {
        name: "go",
        probe: "go version",
        files: &[
            ("go.mod", "module example.com/answer\n\ngo 1.20\n"),
            ("answer.go", "package answer\n\nconst Answer = 41\n"),
            ("answer_test.go", GO),
        ],
        fix: ("answer.go", "package answer\n\nconst Answer = 42\n"),
        command: "go test -v ./...",
        framework: "go-test",
        before: [1, 1, 1],
        after: [2, 0, 1],
    },
];

/// The script in front of a command: the toolchain that these tests were built with is found whatever $HOME says.
fn found() -> String {
    let bin = std::env::var_os("CARGO").map(PathBuf::from).and_then(|cargo| Some(cargo.parent()?.to_owned()));
    let path = bin.map_or(String::new(), |bin| format!("PATH={}:$PATH; export PATH; ", bin.display()));
    format!(
        "{path}GOFLAGS=-mod=mod GOTOOLCHAIN=local CARGO_TERM_COLOR=never; export GOFLAGS GOTOOLCHAIN CARGO_TERM_COLOR; "
    )
}

fn sh(work: &Work, script: &str) -> Out {
    work.agent.sh(&work.dir, &format!("{}{script}", found()))
}

fn counts(attempt: &serde_json::Value) -> [u64; 3] {
    ["passed", "failed", "ignored"].map(|word| number(attempt, &format!("/tests/{word}")) as u64)
}

#[test]
fn real_runs_of_every_toolchain_here_are_counted_right() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let script = root().join("frontend-static/forge-run.sh");
    let mut ran = 0;
    for toolchain in TOOLCHAINS {
        let project = format!("answer-{}", toolchain.name);
        if !alpha.sh(alpha.home(), &format!("{}{}", found(), toolchain.probe)).is_ok() {
            println!("{} is not here: its runs are not recorded", toolchain.name);
            continue;
        }
        ran += 1;
        flow::found_project(&beta, &project, toolchain.files);
        let issue = flow::open_issue(&beta, &project, "The answer is wrong");
        let work = Work::start(&alpha, &issue);
        // The failure by the program, the fix by both.
        sh(&work, &format!("forge run -- {}", toolchain.command)).fails();
        work.write(toolchain.fix.0, toolchain.fix.1);
        sh(&work, &format!("sh {} -- {}", script.display(), toolchain.command)).ok();
        sh(&work, &format!("forge run -- {}", toolchain.command)).ok();
        work.commit("The right answer");
        work.push().ok().says("2 passed, 0 failed");
        let pull = text(&work.submit(), "/ref");
        let trace = alpha.json(&format!("trace {project}:{}", work.head()));
        let attempts = list(&trace, "/attempts");
        let shown: Vec<(String, [u64; 3])> =
            attempts.iter().map(|a| (text(a, "/tests/framework"), counts(a))).collect();
        let framework = toolchain.framework.to_owned();
        let expected: Vec<(String, [u64; 3])> =
            [toolchain.before, toolchain.after, toolchain.after].map(|counts| (framework.clone(), counts)).into();
        let mut sorted = shown.clone();
        // Records of one push arrive in the order of their names.
        sorted.sort_by_key(|(_, counts)| counts[0]);
        assert_eq!(sorted, expected, "{}: {pull}: {trace:#}", toolchain.name);
    }
    assert!(ran >= 2, "only {ran} toolchains are here");
}

/// Peak memory of a running process, in KiB, and whether it still runs.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A clone that is set up as `start` would, with nobody behind it.
fn lone_clone(agent: &Agent, name: &str) -> PathBuf {
    let dir = agent.home().join(name);
    fs::create_dir_all(&dir).unwrap();
    agent.git(&dir, &["init", "-q"]).ok();
    flow::write(&dir, "a", "a\n");
    agent.git(&dir, &["add", "-A"]).ok();
    agent.git(&dir, &["commit", "-q", "-m", "a"]).ok();
    for (key, value) in
        [("agent", agent.name.as_str()), ("project", "parser"), ("nonce", "000102030405060708090a0b0c0d0e0f")]
    {
        agent.git(&dir, &["config", &format!("forge.{key}"), value]).ok();
    }
    dir
}

fn newest_record(agent: &Agent, dir: &Path) -> serde_json::Value {
    let script = "ref=$(git for-each-ref --sort=-committerdate --count=1 --format='%(refname)' refs/notes/forge/out)\n\
                  git show \"$ref:record\" 2>/dev/null | forge cat || git show \"$ref:record.json\"";
    let out = agent.sh(dir, script).ok();
    serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}\n{out}"))
}

/// 256 MiB in lines of 512 bytes.
const LARGE: &str = "head -c 268435456 /dev/zero | tr '\\0' x | fold -w 511; echo; echo the end";

#[test]
fn an_output_of_any_size_is_recorded_in_little_memory() {
    let forge = Forge::start();
    let alpha = forge.stranger("alpha");
    let dir = lone_clone(&alpha, "large");
    let mut command = alpha.command("sh");
    // `exec` twice: the process whose memory is looked at is the recorder itself.
    command.args(["-c", &format!("exec {} run -- sh -c \"{LARGE}\"", forge_bin().display())]);
    command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    let status = loop {
        // The child is `timeout`; its own child is the recorder.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let recorder = fs::read_to_string(children).ok().and_then(|text| text.trim().parse().ok());
        most = most.max(recorder.and_then(peak).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success());
    assert!(most > 0 && most < 64 << 10, "the recorder took {most} KiB");
    let record = newest_record(&alpha, &dir);
    let out = &record["attempts"][0]["stdout"];
    assert!(out["bytes"].as_u64().unwrap() > 268_435_456, "{}", out["bytes"]);
    assert!(out["tail"].as_str().unwrap().ends_with("the end\n"));
}

#[test]
fn the_script_keeps_the_ends_of_a_large_output_too() {
    let forge = Forge::start();
    let alpha = forge.stranger("alpha");
    let dir = lone_clone(&alpha, "large");
    let script = root().join("frontend-static/forge-run.sh");
    // Every process of the script may hold 64 MiB of address space: far less than the output.
    let run = format!("ulimit -v 65536; sh {} -- sh -c \"{LARGE}\" | tail -n 1", script.display());
    assert_eq!(alpha.sh(&dir, &run).ok().text(), "the end");
    let record = newest_record(&alpha, &dir);
    let out = &record["attempts"][0]["stdout"];
    assert!(out["bytes"].as_u64().unwrap() > 268_435_456, "{}", out["bytes"]);
    assert!(out["tail"].as_str().unwrap().ends_with("the end\n") && out["head"].as_str().unwrap().len() > 7000);
}

#[test]
fn a_terminal_keeps_its_colours_and_the_record_none() {
    let forge = Forge::start();
    let alpha = forge.stranger("alpha");
    if !alpha.sh(alpha.home(), "command -v script").is_ok() {
        return;
    }
    let dir = lone_clone(&alpha, "colours");
    let inner = "test -t 1 && test -t 2 && printf \"\\033[31mred\\033[0m\\n\" && stty size <&1";
    flow::write(&dir, "inner.sh", &format!("{inner}\n"));
    let out =
        alpha.sh(&dir, "stty() { :; }; script -qec 'stty cols 77 rows 11; forge run -- sh inner.sh' /dev/null").ok();
    assert!(out.stdout.contains("\u{1b}[31mred\u{1b}[0m\r\n"), "the terminal ends lines once\n{out}");
    assert!(out.stdout.contains("11 77"), "the size of the terminal is passed on\n{out}");
    let record = newest_record(&alpha, &dir);
    assert_eq!(record["attempts"][0]["stdout"]["head"], "red\n11 77\n");
    // Without a terminal there is none.
    alpha.sh(&dir, "forge run -- sh inner.sh").fails();
}
