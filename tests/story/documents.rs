//! The documents say what is: paths, tests and links in them exist, every room has its paragraph, and sizes hold.

mod limits;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tests::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from).into();
    for dir in ["docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "md") {
                all.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    all
}

/// Words in backticks that look like paths of this tree.
fn paths_in(text: &str) -> Vec<&str> {
    let tops = [
        "forge/",
        "hooks/",
        "search/",
        "notes-schema/",
        "tests/",
        "docs/",
        "frontend-static/",
        "fuzz/",
        "benches/",
        ".ci/",
    ];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| tops.iter().any(|top| word.starts_with(top)) && !word.contains(['<', '*', ' ', '…'])).collect()
}

#[test]
fn every_path_and_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        let text = read(document.to_str().unwrap());
        for path in paths_in(&text) {
            let path = path.split("::").next().unwrap();
            if !root().join(path).exists() {
                wrong.push(format!("{}: {path}", document.display()));
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let absolute = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !absolute && !root().join(document.parent().unwrap()).join(file).exists() {
                wrong.push(format!("{}: link to {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Names of all functions under `#[test]`, and of property tests, in the workspace.
fn test_names(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name == "target" || name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            test_names(&path, names);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| line.trim_start().trim_start_matches("async "));
            let functions = lines.filter_map(|line| line.strip_prefix("fn "));
            names.extend(functions.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
            // The documents of `tests/cases`: `the_loop => "loop",`.
            let played = text.lines().filter_map(|line| line.trim().split_once(" => \""));
            names.extend(played.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let mut known = BTreeSet::new();
    test_names(root(), &mut known);
    let text = read("docs/promises.md");
    let mut promises = 0;
    for line in text.lines().filter(|line| line.starts_with("| P") || line.starts_with("| I")) {
        promises += 1;
        let shown = line.rsplit('|').nth(1).unwrap();
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        for name in &named {
            let function = name.rsplit("::").next().unwrap();
            assert!(known.contains(function), "docs/promises.md: no test {name}");
        }
        assert!(!named.is_empty() || shown.contains("not shown"), "no test, and no word about it: {line}");
    }
    assert!(promises >= 22, "{promises} promises and invariants");
}

#[test]
fn every_configurable_cap_is_in_the_table_of_limits() {
    let variables = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words.filter(|word| word.len() > 12 && word.starts_with("FORGE_LIMIT_")).map(str::to_owned).collect()
    };
    assert_eq!(variables(&read("docs/limits.md")), variables(&read("forge/src/config.rs")));
}

#[test]
fn the_map_of_the_house_is_short_and_shows_every_room() {
    let map = read("docs/architecture.md");
    assert!(map.lines().count() <= 300);
    assert!(map.matches("**Invariant:**").count() >= 10);
    assert!(map.contains("Where do I add"));
    for dir in ["forge/src", "notes-schema/src", "hooks/src", "search/src"] {
        for entry in fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let room = if path.is_dir() { format!("{dir}/{name}/") } else { format!("{dir}/{name}") };
            // A crate's root and its small private files are described with the crate.
            let minor = !path.is_dir() && (dir != "forge/src" || name == "lib.rs");
            assert!(minor || map.contains(&room), "docs/architecture.md does not mention {room}");
        }
    }
}

#[test]
fn decisions_fit_a_page_and_are_numbered_without_gaps() {
    let mut names: Vec<String> = fs::read_dir(root().join("docs/adr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for (at, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}-", at + 1)), "{name}");
        let text = read(&format!("docs/adr/{name}"));
        assert!(text.lines().count() <= 60, "{name} is longer than a page");
        for heading in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(heading), "{name} lacks {heading}");
        }
    }
}

#[test]
fn the_commands_of_the_readme_exist() {
    let makefile = read("Makefile");
    for command in read("README.md").split("make ").skip(1) {
        let target: String = command.chars().take_while(|c| c.is_ascii_lowercase()).collect();
        assert!(target.is_empty() || makefile.contains(&format!("\n{target}:")), "make {target}");
    }
    for script in [".ci/run", "tests/setup.sh", "tests/demo/demo.sh"] {
        assert!(read(script).starts_with("#!"), "{script}");
    }
}
