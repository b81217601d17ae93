//! Every change of a ref: by `git push` where git sends it, by hand where the ref is not shown to whoever pushes.

use std::collections::BTreeMap;
use std::path::Path;

use tests::raw::{self, Door, Raw};
use tests::{Agent, Forge};

use super::Trial;
use super::actors::{Cast, Who, me};

/// A ref of a row: its name, where it is there before, and what it is to point at.
struct Change {
    name: String,
    /// Whether it is there before, by whose hand.
    there: Option<String>,
    /// `None` deletes it.
    to: Option<&'static str>,
    /// Whether git never sends it, for the ref is shown to nobody who pushes.
    by_hand: bool,
    project: String,
}

/// The commits that refs point at: what they hold before, what stands upon it, and what does not.
const BASE: &str = "refs/story/base";
const CHILD: &str = "refs/story/child";
const SIBLING: &str = "refs/story/sibling";

fn change(cast: &Cast, who: &Who, row: &str) -> Change {
    let (verb, what) = row.split_once(' ').unwrap();
    let me = me(who);
    let word = who.word;
    let to = match verb {
        "create" | "update" => Some(CHILD),
        "force" => Some(SIBLING),
        _ => None,
    };
    let makes = verb == "create";
    let own = |name: String| (name, (!makes).then(|| me.to_owned()), false);
    let others = |name: String| (name, (!makes).then(|| "gamma".to_owned()), false);
    // What is there by itself, or by nobody's hand.
    let given = |there: &str, new: &str| (if makes { new } else { there }.to_owned(), None, !makes && to.is_none());
    let mut project = "parser".to_owned();
    let (name, there, by_hand) = match what {
        "`refs/heads/main`, unborn" => {
            project = format!("unborn-{}", if who.over_http() { "http" } else { "ssh" });
            ("refs/heads/main".to_owned(), None, false)
        }
        "`refs/heads/main`" => ("refs/heads/main".to_owned(), None, false),
        "own branch" => own(format!("refs/heads/{me}/{word}-{verb}")),
        "another's branch" => others(format!("refs/heads/gamma/{verb}")),
        "own tag" => own(format!("refs/tags/{me}-{word}-{verb}")),
        "another's tag" => others(format!("refs/tags/gamma-{verb}")),
        "own `refs/notes/forge/in/*`" => given(&record(cast, me), &format!("refs/notes/forge/in/{me}/{word}")),
        "another's `refs/notes/forge/in/*`" => {
            given(&record(cast, "gamma"), &format!("refs/notes/forge/in/gamma/{word}"))
        }
        "`refs/forge/*`" => given("refs/forge/ledger", "refs/forge/made"),
        "`refs/pull/*`" => given("refs/pull/6/head", "refs/pull/99/head"),
        "`refs/notes/forge/*`" => given("refs/notes/forge/reviews", "refs/notes/forge/made"),
        "`refs/for/*`" => given("", "refs/for/main"),
        "any other ref" => given("", "refs/notes/commits"),
        other => panic!("a ref that this story cannot change yet: say here how ({other})"),
    };
    Change { name, there, to, by_hand, project }
}

/// A record of an agent that has arrived.
fn record(cast: &Cast, agent: &str) -> String {
    let found = cast.records.iter().find(|name| name.contains(&format!("/in/{agent}/")));
    found.unwrap_or_else(|| panic!("no record of {agent}")).clone()
}

/// Gives each clone the commits, and the forge the refs that are to be there before.
fn prepare(agent: &Agent, dir: &Path, changes: &[Change]) {
    let make = "set -e\n\
        git update-ref refs/story/base HEAD\n\
        git update-ref refs/story/child $(git commit-tree -p HEAD -m child HEAD^{tree})\n\
        echo other > other.txt; git add other.txt\n\
        git update-ref refs/story/sibling $(git commit-tree -m sibling $(git write-tree))\n\
        git reset -q --hard";
    agent.sh(dir, make).ok();
    let mut specs: Vec<String> = changes
        .iter()
        .filter(|change| change.there.as_deref() == Some(agent.name.as_str()))
        .map(|change| format!("{BASE}:{}", change.name))
        .collect();
    specs.sort();
    specs.dedup();
    let mut words = vec!["push", "-q", "origin"];
    words.extend(specs.iter().map(String::as_str));
    if !specs.is_empty() {
        agent.git(dir, &words).ok();
    }
}

/// What a push said of each ref: `yes`, or the word before the colon of a refusal.
fn outcomes(porcelain: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let mut parts = line.split('\t');
        let (flag, names, said) = (parts.next()?, parts.next()?, parts.next()?);
        let name = names.split_once(':')?.1.to_owned();
        let refused = said.split_once('(').map_or(said, |(_, why)| why);
        let word = refused.split(':').next().unwrap_or(refused).to_owned();
        Some((name, if flag == "!" { word } else { "yes".to_owned() }))
    };
    porcelain.lines().filter_map(line).collect()
}

/// Words by which a permitted change may still be refused: for what it brings.
const CONTENT: &[&str] = &["E02"];

/// Pushes everything that `who` has a cell for, and compares.
fn push(forge: &Forge, cast: &Cast, who: &Who, trials: &[&Trial<'_>]) -> Vec<String> {
    let changes: Vec<(&&Trial<'_>, Change)> = trials.iter().map(|t| (t, change(cast, who, t.row))).collect();
    let before = cast.everything();
    let mut found: Vec<(String, String)> = Vec::new();
    for project in ["parser", if who.over_http() { "unborn-http" } else { "unborn-ssh" }] {
        let of = |change: &&(&&Trial<'_>, Change)| !change.1.by_hand && change.1.project == project;
        let specs: Vec<String> = changes
            .iter()
            .filter(of)
            .map(|(_, change)| format!("+{}:{}", change.to.unwrap_or_default(), change.name).replacen("+:", ":", 1))
            .collect();
        // The same ref stands in several rows; one push names it once.
        for round in rounds(&specs) {
            let words: Vec<&str> = round.iter().map(String::as_str).collect();
            let out = cast.git(who, project, &["push", "--porcelain"], &words);
            let said = outcomes(&out.stdout);
            for spec in &round {
                let name = spec.rsplit_once(':').unwrap().1;
                // The whole push was turned away.
                let outcome = said.get(name).cloned().unwrap_or_else(|| whole(&out.all()));
                found.push((format!("{project} {spec}"), outcome));
            }
        }
    }
    let mut wrong = Vec::new();
    for (trial, change) in &changes {
        let outcome = match change.by_hand {
            true => by_hand(forge, who, &change.name),
            false => {
                let spec = format!("+{}:{}", change.to.unwrap_or_default(), change.name).replacen("+:", ":", 1);
                let key = format!("{} {spec}", change.project);
                found.iter().find(|(name, _)| *name == key).map(|(_, outcome)| outcome.clone()).unwrap()
            }
        };
        let permitted = trial.cell == "yes";
        let good = match permitted {
            true => outcome == "yes" || CONTENT.contains(&outcome.as_str()),
            false => outcome == *trial.cell,
        };
        if !good {
            wrong.push(format!("{} | {} | {}: {} {outcome}", trial.row, who.shown(), trial.cell, change.name));
        }
    }
    // What was refused is as it was.
    let value = |all: &str, project: &str, name: &str| {
        let part = all.split("\n\n").map(str::trim_start).find(|part| part.starts_with(&format!("{project}\n")));
        let line = part.and_then(|part| part.lines().find(|line| line.split('\t').nth(1) == Some(name)));
        line.map(str::to_owned)
    };
    let after = cast.everything();
    for (trial, change) in &changes {
        let moved = value(&before, &change.project, &change.name) != value(&after, &change.project, &change.name);
        // The ledger moves with what others were permitted.
        if trial.cell != "yes" && moved && change.name != "refs/forge/ledger" {
            wrong.push(format!("{} | {}: {} changed", trial.row, who.shown(), change.name));
        }
        if trial.cell == "yes" && !moved && !change.name.contains("/in/") {
            wrong.push(format!("{} | {}: {} did not change", trial.row, who.shown(), change.name));
        }
    }
    wrong
}

/// Parts of `specs` that name each ref once.
fn rounds(specs: &[String]) -> Vec<Vec<String>> {
    let mut rounds: Vec<Vec<String>> = Vec::new();
    for spec in specs {
        let name = |spec: &str| spec.rsplit_once(':').map(|(_, name)| name.to_owned());
        let free = rounds.iter_mut().find(|round| round.iter().all(|other| name(other) != name(spec)));
        match free {
            Some(round) => round.push(spec.clone()),
            None => rounds.push(vec![spec.clone()]),
        }
    }
    rounds
}

/// The word for a push that got no answer for its refs.
fn whole(said: &str) -> String {
    let signs =
        ["forge: push:", "HTTP 401", "HTTP 403", "error: 401", "error: 403", "Authentication failed", "Username"];
    if signs.iter().any(|sign| said.contains(sign)) { "not-allowed".to_owned() } else { format!("nothing: {said}") }
}

/// Deletes a ref that git would not send a deletion for.
fn by_hand(forge: &Forge, who: &Who, name: &str) -> String {
    let mut at = Raw::nameless(forge, &who.agent, "parser");
    at.token = who.token.clone().unwrap_or_default();
    let door = if who.over_http() { Door::Http } else { Door::Ssh };
    let command = format!("{} {} {name}", "1".repeat(40), "0".repeat(40));
    let said = at.push(door, &raw::push_with("report-status delete-refs", &[command], b""));
    match said.lines().find_map(|line| line.strip_prefix(&format!("ng {name} "))) {
        Some(why) => why.split(':').next().unwrap_or(why).to_owned(),
        None if said.contains("HTTP 401") || said.contains("HTTP 403") || said.is_empty() => "not-allowed".to_owned(),
        None => format!("nothing: {said}"),
    }
}

pub fn drive(forge: &Forge, cast: &Cast, trials: &[Trial<'_>]) {
    let all: Vec<Change> = trials.iter().map(|trial| change(cast, trial.who, trial.row)).collect();
    for agent in &cast.holders {
        let dir = &cast.clones.iter().find(|(name, _)| *name == agent.name).unwrap().1;
        prepare(agent, dir, &all);
    }
    let mut wrong = Vec::new();
    for who in &cast.everybody {
        let of: Vec<&Trial<'_>> = trials.iter().filter(|trial| std::ptr::eq(trial.who, who)).collect();
        wrong.extend(push(forge, cast, who, &of));
    }
    assert!(wrong.is_empty(), "{} cells are not as docs/authority.md says:\n{}", wrong.len(), wrong.join("\n"));
}
