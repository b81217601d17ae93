//! Reads test counts from what a run printed, line by line: one small reader per runner, in the slice [`runners`].
//!
//! Invariant: memory is bounded whatever the lines hold. A reader that saw its runner fail never answers with no failed
//! test; where several runners printed into one stream, their counts are added up.

mod cargo;
mod go;
mod javascript;
mod nextest;
mod node;
mod python;
mod tap;

use std::borrow::Cow;

use notes_schema::trace::{Tests, limits};

/// Reads one runner's output.
trait Runner {
    /// As records name it.
    fn name(&self) -> &'static str;
    /// Takes the next line, without colours and trailing space.
    fn line(&mut self, line: &str);
    /// What was counted, when the output was of this runner.
    fn finish(&mut self) -> Option<Tally>;
}

/// Every reader, new.
fn runners() -> Vec<Box<dyn Runner + Send>> {
    vec![
        Box::new(cargo::Cargo::default()),
        Box::new(nextest::Nextest::default()),
        Box::new(go::Go::default()),
        Box::new(python::Pytest::default()),
        Box::new(python::Unittest::default()),
        Box::new(node::Node::default()),
        Box::new(javascript::Jest::default()),
        Box::new(javascript::Vitest::default()),
    ]
}

/// Counts tests in the lines it is shown.
pub struct Counter {
    runners: Vec<Box<dyn Runner + Send>>,
    tap: tap::Tap,
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Counter { runners: runners(), tap: tap::Tap::default() }
    }

    /// Takes the next line, without its line break.
    pub fn line(&mut self, line: &str) {
        let plain = without_colour(line);
        let line = plain.trim_end();
        self.runners.iter_mut().for_each(|runner| runner.line(line));
        self.tap.line(line);
    }

    /// What was counted, when the output was of a runner that is known.
    pub fn finish(mut self) -> Option<Tests> {
        let mut names = Vec::new();
        let mut sum = Tally::default();
        for runner in &mut self.runners {
            if let Some(tally) = runner.finish() {
                names.push(runner.name());
                sum.add(tally);
            }
        }
        // Node's runner speaks TAP and sums it up itself: what was summed up is not counted again.
        if !names.contains(&node::NAME)
            && let Some(tally) = self.tap.finish()
        {
            names.push(self.tap.name());
            sum.add(tally);
        }
        (!names.is_empty()).then(|| sum.into_tests(&names.join("+")))
    }
}

#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    names: Vec<String>,
}

impl Tally {
    /// Remembers the name of a failed test; the first ones only, and each once.
    fn name(&mut self, name: &str) {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(limits::TEXT / 4).collect();
        if self.names.len() < limits::FAILED_NAMES && !name.is_empty() && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    fn add(&mut self, other: Tally) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ignored = self.ignored.saturating_add(other.ignored);
        other.names.iter().for_each(|name| self.name(name));
    }

    /// Adds to what a word of a summary stands for; answers whether the word is known.
    fn count(&mut self, number: u64, word: &str) -> bool {
        let field = match word {
            "passed" | "pass" | "xpassed" => &mut self.passed,
            "failed" | "fail" | "failure" | "failures" | "error" | "errors" | "cancelled" => &mut self.failed,
            "ignored" | "skipped" | "todo" | "xfailed" | "pending" => &mut self.ignored,
            _ => return false,
        };
        *field = field.saturating_add(number);
        true
    }

    /// What failed as a whole counts as one failed test, when no failed test was counted.
    fn failed_as_a_whole(&mut self, times: u64) {
        if self.failed == 0 {
            self.failed = times;
        }
    }

    fn into_tests(self, framework: &str) -> Tests {
        Tests {
            framework: framework.to_owned(),
            passed: self.passed,
            failed: self.failed,
            ignored: self.ignored,
            failed_names: self.names,
        }
    }
}

/// `12 passed` as number and word.
fn number_and_word(text: &str) -> Option<(u64, &str)> {
    let (number, word) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, word.trim()))
}

/// The line without terminal colour sequences.
pub fn without_colour(line: &str) -> Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => drop(chars.by_ref().find(|c| ('@'..='~').contains(c))),
            // `ESC ( B` and its like choose a character set, in one more character.
            Some('(' | ')' | '*' | '+') => drop(chars.next()),
            Some(_) | None => {}
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests;
