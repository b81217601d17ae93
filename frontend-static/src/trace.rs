//! The page of a trace: the runs behind a commit as a strip, and each with what it printed and what was changed before it.
//!
//! Invariant: what a record claims and what others found are told apart; output is drawn by [`crate::ansi`], and no more of
//! it than one page bears.

use askama::Template;
use serde::Deserialize;

use crate::chart::{self, Attempt as Cell};
use crate::{Frame, Unreadable, ansi, answer, escape, filters, words};

/// Most runs that are shown with all they have.
/// Limit: runs on the page of a trace | {}, the first; of the others the command alone
const MOST: usize = 60;
/// Lines of output of one run.
/// Limit: lines of output of one run on the page of a trace | {}, the last
const LINES: usize = 400;

#[derive(Deserialize)]
struct Traced {
    commit: String,
    tree: String,
    level: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    confirmed: Vec<String>,
    #[serde(default)]
    refuted: Vec<String>,
    attempts: Vec<Attempt>,
    #[serde(default)]
    dropped: u64,
    pull: Option<Pull>,
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Pull {
    title: String,
    author: String,
    status: String,
    landed_tree: Option<String>,
}

#[derive(Deserialize)]
struct Attempt {
    seq: u64,
    argv: Vec<String>,
    exit: Option<i64>,
    signal: Option<u64>,
    #[serde(default)]
    timed_out: bool,
    dur_ms: u64,
    tree: String,
    tests: Option<Tests>,
    agent: String,
    #[serde(default)]
    started_ms: u64,
    #[serde(default)]
    cwd: String,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    #[serde(default)]
    failed_names: Vec<String>,
    reasoning: Option<String>,
    patch: Option<String>,
    no_patch: Option<String>,
}

#[derive(Deserialize)]
struct Tests {
    passed: u64,
    failed: u64,
}

#[derive(Deserialize)]
struct Stream {
    bytes: u64,
    lines: u64,
    text: String,
    #[serde(default)]
    cut: bool,
}

#[derive(Deserialize)]
struct Record {
    record: String,
    id: String,
    agent: String,
    signed: bool,
    blob: String,
    recorder: Option<Tool>,
    model: Option<String>,
    env: Option<Environment>,
    #[serde(default)]
    redactions: Vec<(String, u64)>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Environment {
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    cpus: u64,
    #[serde(default)]
    mem_mib: u64,
    #[serde(default)]
    tools: Vec<(String, String)>,
}

impl Attempt {
    fn passed(&self) -> bool {
        self.exit == Some(0) && self.signal.is_none() && !self.timed_out
    }

    fn ending(&self) -> String {
        match (self.timed_out, self.exit, self.signal) {
            (true, ..) => "timed out".to_owned(),
            (false, Some(code), _) => format!("exit {code}"),
            (false, None, Some(signal)) => format!("signal {signal}"),
            (false, None, None) => "no exit".to_owned(),
        }
    }

    fn has_begun(&self) -> bool {
        self.started_ms != 0
    }

    fn took(&self) -> String {
        words::span(self.dur_ms)
    }

    fn command(&self) -> String {
        self.argv.join(" ")
    }

    fn outputs(&self) -> Vec<Shown> {
        let named = [("Output", &self.stdout), ("Error output", &self.stderr)];
        let shown = |(name, stream): (&'static str, &Option<Stream>)| {
            stream.as_ref().filter(|stream| stream.bytes > 0).map(|stream| Shown::of(self, name, stream))
        };
        named.into_iter().filter_map(shown).collect()
    }

    fn diff(&self) -> Option<String> {
        self.patch.as_deref().map(patch)
    }
}

/// One stream as HTML.
struct Shown {
    name: &'static str,
    /// Where it stands on the page.
    id: String,
    size: String,
    cut: bool,
    html: String,
    /// Whether a line of it reads like a failure; its id is `<id>-failed`.
    failed: bool,
    open: bool,
}

impl Shown {
    fn of(attempt: &Attempt, name: &'static str, stream: &Stream) -> Shown {
        let all = ansi::lines(&stream.text);
        let lines = &all[all.len().saturating_sub(LINES)..];
        let failure = ansi::first_failure(lines).filter(|_| !attempt.passed());
        let id = format!("{}-{}", name.to_ascii_lowercase(), attempt.seq);
        let mut html = String::new();
        for (at, line) in lines.iter().enumerate() {
            if failure == Some(at) {
                html.push_str(&format!("<span class=\"failed\" id=\"{id}-failed\">{}</span>\n", line.html));
            } else {
                html.push_str(&line.html);
                html.push('\n');
            }
        }
        let lines_word = if stream.lines == 1 { "line" } else { "lines" };
        Shown {
            name,
            id,
            size: format!("{} {lines_word}, {}", stream.lines, words::bytes(stream.bytes)),
            cut: stream.cut || lines.len() < all.len(),
            html,
            failed: failure.is_some(),
            open: !attempt.passed(),
        }
    }
}

/// A patch with its lines dressed.
fn patch(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for line in text.lines() {
        let class = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++ ") => "add",
            Some(b'-') if !line.starts_with("--- ") => "del",
            Some(b'@') => "hunk",
            _ => "",
        };
        let line = escape::text(line);
        out.push_str(&if class.is_empty() { line } else { format!("<span class=\"{class}\">{line}</span>") });
        out.push('\n');
    }
    out
}

impl Environment {
    fn words(&self) -> String {
        let mut words: Vec<String> = vec![format!("{} {}", self.os, self.arch).trim().to_owned()];
        if self.cpus > 0 {
            words.push(format!("{} processors", self.cpus));
        }
        if self.mem_mib > 0 {
            words.push(format!("{} MiB of memory", self.mem_mib));
        }
        words.extend(self.tools.iter().map(|(name, version)| format!("{name} {version}")));
        words.retain(|word| !word.is_empty());
        words.join(" · ")
    }
}

impl Record {
    fn struck(&self) -> String {
        self.redactions.iter().map(|(rule, n)| format!("{rule} ×{n}")).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Template)]
#[template(path = "trace.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    traced: &'a Traced,
    project: &'a str,
    strip: String,
    shown: &'a [Attempt],
    rest: &'a [Attempt],
}

impl Page<'_> {
    /// `fail → fail → pass`.
    fn ends(&self) -> String {
        const SHOWN: usize = 12;
        let all = &self.traced.attempts;
        let word = |attempt: &Attempt| if attempt.passed() { "pass" } else { "fail" };
        let last: Vec<&str> = all[all.len().saturating_sub(SHOWN)..].iter().map(word).collect();
        format!("{}{}", if all.len() > SHOWN { "… → " } else { "" }, last.join(" → "))
    }

    fn took(&self) -> String {
        words::span(self.traced.attempts.iter().fold(0, |sum, attempt| sum.saturating_add(attempt.dur_ms)))
    }

    fn short(&self) -> String {
        self.traced.commit.chars().take(7).collect()
    }

    /// Whether some run that passed was on the very tree of the commit.
    fn proven_tree(&self) -> bool {
        self.traced.attempts.iter().any(|attempt| attempt.passed() && attempt.tree == self.traced.tree)
    }

    fn lands(&self) -> bool {
        self.traced.pull.as_ref().is_some_and(|pull| pull.landed_tree.as_ref() == Some(&self.traced.tree))
    }

    fn pull_page(&self) -> Option<String> {
        words::page_of(self.traced.reference.as_deref()?, "pull")
    }

    /// Whose runs these are.
    fn claimants(&self) -> String {
        let mut names: Vec<&str> = self.traced.attempts.iter().map(|attempt| attempt.agent.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// Draws it.
///
/// # Errors
///
/// Where the answer is not one of `trace`.
pub fn view(frame: &Frame<'_>, answers: &[&str]) -> Result<String, Unreadable> {
    let traced: Traced = answer(answers, 0)?;
    let cell = |attempt: &Attempt| Cell {
        number: usize::try_from(attempt.seq).unwrap_or(usize::MAX),
        passed: attempt.passed(),
        ms: attempt.dur_ms,
    };
    let (shown, rest) = traced.attempts.split_at(traced.attempts.len().min(MOST));
    let cells: Vec<Cell> = shown.iter().map(cell).collect();
    let project = frame.project().map(|project| project.to_string()).unwrap_or_default();
    let strip = if cells.is_empty() { String::new() } else { chart::strip("Attempts, in order", &cells) };
    Ok(Page { frame, traced: &traced, project: &project, strip, shown, rest }.render()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>() -> Frame<'a> {
        Frame {
            path: "/parser/trace/3f1c2ab0",
            query: "",
            viewer: None,
            has_feed: false,
            written: None,
            resolve: &|_| None,
        }
    }

    fn attempt(seq: u64, exit: i64, more: &str) -> String {
        format!(
            r#"{{"seq":{seq},"argv":["cargo","test"],"exit":{exit},"signal":null,"timed_out":false,"dur_ms":61000,
            "tree":"aaaa","tests":{{"framework":"cargo-test","passed":2,"failed":1}},"agent":"alpha","record":"r",
            "started_ms":1700000000000{more}}}"#
        )
    }

    fn traced(attempts: &[String], more: &str) -> String {
        let attempts = attempts.join(",");
        format!(
            r#"{{"commit":"3f1c2ab0123","tree":"aaaa","level":"P1","ref":"parser#47","confirmed":[],"refuted":[],
            "attempts":[{attempts}],"dropped":0{more}}}"#
        )
    }

    #[test]
    fn attempts_are_told_from_the_first_failure_to_the_pass() {
        let output = r#","stdout":{"bytes":60,"lines":2,"text":"test a ... ok\n\u001b[31mtest b ... FAILED\u001b[0m\n"},
            "patch":"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-<b>\n+new\n""#;
        let pull = r#","pull":{"title":"Fix <leak>","author":"alpha","status":"merged","landed_tree":"aaaa"},
            "records":[{"record":"d1","id":"01J","agent":"alpha","signed":true,"blob":"b1","env":{"os":"linux","cpus":2}}]"#;
        let json = traced(&[attempt(1, 101, output), attempt(2, 0, "")], pull);
        let html = view(&frame(), &[&json]).unwrap();
        for part in [
            "2 attempts, 2 min, fail → pass",
            "tree equals the landed tree",
            "claimed by alpha only",
            "id=\"attempt-1\"",
            "<span class=\"failed\" id=\"output-1-failed\"><span class=\"a1\">test b ... FAILED</span></span>",
            "href=\"#output-1-failed\"",
            "<span class=\"del\">-&lt;b&gt;</span>",
            "Fix &lt;leak&gt;",
            "href=\"/parser/pulls/47\"",
            "linux · 2 processors",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        assert!(!html.contains("style=") && !html.contains("<leak>"));
    }

    #[test]
    fn hostile_commands_and_output_stay_text() {
        let hostile = r#","stderr":{"bytes":9,"lines":1,"text":"</pre><script>alert(1)</script>\u202e\u001b]8;;http://x\u0007"},
            "reasoning":"</p><img src=x>","no_patch":"<i>","cwd":"<b>","failed_names":["<u>"]"#;
        let json = traced(&[attempt(1, 1, hostile).replace("cargo", "<script>\\u202e")], "");
        let html = view(&frame(), &[&json]).unwrap();
        assert_eq!(html.matches("<script").count(), 1, "that of the frame");
        assert!(!html.contains('\u{202e}') && !html.contains("<img src=x") && !html.contains("<u>"), "{html}");
    }

    #[test]
    fn what_was_never_run_is_said() {
        let json = r#"{"commit":"3f","tree":"a","level":"P0","ref":null,"attempts":[],"dropped":2}"#;
        let html = view(&frame(), &[json]).unwrap();
        assert!(html.contains("No run was recorded") && html.contains("2 records"), "{html}");
        assert!(view(&frame(), &["{}"]).is_err() && view(&frame(), &[]).is_err());
    }
}
