//! `help`: generated from the registry, so it cannot lie about what there is.

use serde::Serialize;

use super::{Args, COMMANDS, Command, Context, Shape, find};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    aliases: Vec<&'static str>,
    usage: String,
    summary: &'static str,
    example: &'static str,
    flags: Vec<&'static str>,
}

impl Entry {
    fn of(command: &Command) -> Self {
        Entry {
            name: command.name,
            aliases: command.aliases.to_vec(),
            usage: format!("{} {}", command.name, command.usage).trim_end().to_owned(),
            summary: command.summary,
            example: command.example,
            flags: command.shape.flags.iter().map(|(name, _)| *name).collect(),
        }
    }
}

/// Widest usage in the overview, in characters.
const WIDEST: usize = 34;

#[derive(Serialize)]
struct Overview {
    commands: Vec<Entry>,
}

impl Render for Overview {
    fn markdown(&self) -> String {
        let mut out = String::from("# Commands\n\n");
        for entry in &self.commands {
            // Long usages are cut to the name here; `help <command>` has them whole.
            let usage =
                if entry.usage.chars().count() <= WIDEST { &entry.usage } else { &format!("{} …", entry.name) };
            out.push_str(&format!("    {usage:<WIDEST$} {}\n", entry.summary));
        }
        out.push_str(
            "\n`help <command>` shows its arguments and an example, `help record` a record made by hand, `help proof` what a proof shows, `help policy` what a project may ask for. `--json` right after a command's name gives data.\n`parser#7` and `parser/7` are the same; a bare 7 is in your ",
        );
        out.push_str(
            "current project. Longer text comes on stdin.\nExit codes: 0 done, 1 refused, 2 usage, 3 not found, ",
        );
        out.push_str("4 not allowed, 5 stale, 75 try later.\n\nThe loop: feed, start, (work, `forge run -- <tests>`, `git push`), submit, review, merge.\n");
        out.push_str("---\nnext: feed\n");
        out
    }
}

impl Render for Entry {
    fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n\n    {}\n", self.name, self.summary, self.usage);
        if !self.aliases.is_empty() {
            out.push_str(&format!("\nAlso: {}\n", self.aliases.join(", ")));
        }
        out.push_str(&format!("\nExample: `{}`\n", self.example));
        out
    }
}

/// `help`.
pub const HELP: Command = Command {
    name: "help",
    aliases: &[],
    needs: Needs::Nothing,
    of: Of::Forge,
    shape: Shape::words(0, 2),
    usage: "[command]",
    summary: "what there is, and how one command is called",
    example: "help start",
    run: help,
};

/// The recorder for machines that have `sh` and git alone; `GET /forge-run` is the same file.
pub const RECORDER_SCRIPT: &str = include_str!("../../../frontend-static/forge-run.sh");

#[derive(Serialize)]
struct Script {
    name: &'static str,
    script: &'static str,
}

impl Render for Script {
    fn markdown(&self) -> String {
        self.script.to_owned()
    }
}

/// `recorder`.
pub const RECORDER: Command = Command {
    name: "recorder",
    aliases: &[],
    needs: Needs::Nothing,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "a recorder as one shell script, for machines without the program",
    example: "recorder",
    run: |_, _| Ok(Answer::of(&Script { name: "forge-run.sh", script: RECORDER_SCRIPT })),
};

/// How a record is made with git alone.
const RECORD: &str = include_str!("../../../frontend-static/record.md");

/// What a proof shows, by level.
const PROOF: &str = include_str!("../../../frontend-static/proof.md");

/// What the policy file may hold, before its keys.
const POLICY: &str = include_str!("../../../frontend-static/policy.md");

/// How a CI is connected.
const CI: &str = include_str!("../../../frontend-static/ci.md");

#[derive(Serialize)]
struct Topic {
    topic: &'static str,
    text: String,
}

/// A name after `help`, and what makes its text.
type Explains = (&'static str, fn() -> String);

/// Texts that explain something other than a command.
const TOPICS: &[Explains] =
    &[("record", || RECORD.to_owned()), ("proof", proof), ("policy", policy), ("ci", || CI.to_owned())];

fn proof() -> String {
    let rule = |rule: &hooks::gate::GateRule| {
        let when = if rule.at_submit { "submit, merge" } else { "merge" };
        format!("| {} | {when} | {} |\n", rule.word, rule.demands)
    };
    let rules: String = hooks::gate::RULES.iter().map(rule).collect();
    PROOF.replace("{rules}\n", &format!("| rule | asked at | demands that |\n|---|---|---|\n{rules}"))
}

fn policy() -> String {
    POLICY.replace("{keys}\n", &hooks::policy::documentation())
}

impl Render for Topic {
    fn markdown(&self) -> String {
        self.text.clone()
    }
}

fn help(_: &Context, args: &Args) -> Result<Answer, Refusal> {
    if args.words.is_empty() {
        return Ok(Answer::of(&Overview { commands: COMMANDS.iter().map(|c| Entry::of(c)).collect() }));
    }
    let name = args.words.join(" ");
    if let Some((topic, text)) = TOPICS.iter().find(|(topic, _)| *topic == name) {
        return Ok(Answer::of(&Topic { topic, text: text() }));
    }
    let first = args.word(0).unwrap_or("");
    let group: Vec<Entry> =
        COMMANDS.iter().filter(|c| c.name.split(' ').next() == Some(first)).map(|c| Entry::of(c)).collect();
    match find(&name).or_else(|| find(first)) {
        Some(command) => Ok(Answer::of(&Entry::of(command))),
        None if !group.is_empty() => Ok(Answer::of(&Overview { commands: group })),
        None => Err(Refusal::new(Code::NotFound, name, "there is no such command", "help")),
    }
}
