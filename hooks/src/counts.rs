//! Reads test counts from what a run printed, line by line: `cargo test` and TAP.

use notes_schema::trace::{Tests, limits};

/// Counts tests in the lines it is shown. Memory is bounded whatever they hold.
#[derive(Debug, Default)]
pub struct Counter {
    cargo: Tally,
    tap: Tally,
    plan: Option<u64>,
    cargo_seen: bool,
}

#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    names: Vec<String>,
}

impl Tally {
    fn fail(&mut self, name: &str) {
        let name: String = name.chars().take(limits::TEXT / 4).collect();
        if self.names.len() < limits::FAILED_NAMES && !name.is_empty() && !self.names.contains(&name) {
            self.names.push(name);
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

impl Counter {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, without its line break.
    pub fn line(&mut self, line: &str) {
        let plain = without_colour(line);
        let line = plain.trim_end();
        self.cargo_line(line);
        self.tap_line(line);
    }

    /// What was counted, when the output was of a runner that is known.
    pub fn finish(self) -> Option<Tests> {
        if self.cargo_seen {
            return Some(self.cargo.into_tests("cargo-test"));
        }
        let plan = self.plan?;
        let mut tap = self.tap;
        let seen = tap.passed.saturating_add(tap.failed).saturating_add(tap.ignored);
        // What was planned and never reported did not pass.
        tap.failed = tap.failed.saturating_add(plan.saturating_sub(seen));
        Some(tap.into_tests("tap"))
    }

    fn cargo_line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let Some((_, counts)) = rest.split_once(". ") else {
                return;
            };
            self.cargo_seen = true;
            for part in counts.split(';') {
                let mut words = part.split_whitespace();
                let (Some(number), Some(word)) = (words.next(), words.next()) else {
                    continue;
                };
                let Ok(number) = number.parse::<u64>() else { continue };
                let field = match word {
                    "passed" => &mut self.cargo.passed,
                    "failed" => &mut self.cargo.failed,
                    "ignored" => &mut self.cargo.ignored,
                    _ => continue,
                };
                *field = field.saturating_add(number);
            }
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.cargo.fail(name);
        }
    }

    fn tap_line(&mut self, line: &str) {
        if let Some(plan) = line.strip_prefix("1..") {
            let digits = plan.split_whitespace().next().unwrap_or("");
            if let Ok(count) = digits.parse::<u64>() {
                self.plan = Some(self.plan.unwrap_or(0).saturating_add(count));
            }
            return;
        }
        if line.starts_with("Bail out!") {
            self.tap.failed = self.tap.failed.saturating_add(1);
            return;
        }
        let (failed, rest) = match (line.strip_prefix("not ok"), line.strip_prefix("ok")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return,
        };
        // `ok 3 - name` or `ok - name`; anything else is some program that says "ok".
        let rest = match rest.strip_prefix(' ') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => "",
            None => return,
        };
        let after_number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let numbered = after_number.len() < rest.len();
        if !numbered && !rest.is_empty() && !rest.starts_with('-') {
            return;
        }
        let (name, directive) = after_number.split_once('#').unwrap_or((after_number, ""));
        let directive = directive.trim_start().to_ascii_lowercase();
        if directive.starts_with("skip") || (directive.starts_with("todo") && failed) {
            self.tap.ignored = self.tap.ignored.saturating_add(1);
        } else if failed {
            self.tap.failed = self.tap.failed.saturating_add(1);
            self.tap.fail(name.trim().trim_start_matches('-').trim());
        } else {
            self.tap.passed = self.tap.passed.saturating_add(1);
        }
    }
}

/// The line without terminal colour sequences.
fn without_colour(line: &str) -> std::borrow::Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if chars.as_str().starts_with('[') {
            chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Option<(String, u64, u64, u64, Vec<String>)> {
        let mut counter = Counter::new();
        text.lines().for_each(|line| counter.line(line));
        counter.finish().map(|t| (t.framework, t.passed, t.failed, t.ignored, t.failed_names))
    }

    #[test]
    fn cargo_test_binaries_are_added_up() {
        let text = "\
running 3 tests
test a::ok ... ok
test a::bad ... FAILED
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/story.rs (target/debug/deps/story-0123456789abcdef)
test result: \u{1b}[32mok\u{1b}[0m. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        assert_eq!(count(text), Some(("cargo-test".into(), 5, 1, 1, vec!["a::bad".into()])));
        assert_eq!(
            count("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out"),
            Some(("cargo-test".into(), 0, 0, 0, vec![]))
        );
    }

    #[test]
    fn tap_is_read_with_its_plan() {
        let text = "TAP version 14\n1..6\nok 1 - reads\nnot ok 2 - writes\n  not ok 1 - inner\nok 3 # SKIP no disk\n\
                    not ok 4 - later # TODO soon\nok\n";
        assert_eq!(count(text), Some(("tap".into(), 2, 2, 2, vec!["writes".into()])), "one of six is missing");
        assert_eq!(count("1..0 # skipped: nothing here\n"), Some(("tap".into(), 0, 0, 0, vec![])));
        assert_eq!(count("ok 1\n1..1\n"), Some(("tap".into(), 1, 0, 0, vec![])), "the plan may come last");
        assert_eq!(count("1..1\nBail out! no database\n"), Some(("tap".into(), 0, 1, 0, vec![])));
    }

    #[test]
    fn other_output_counts_nothing() {
        for text in
            ["", "ok  \tgithub.com/x/y\t0.12s\n", "ok, done\n", "error: test failed\n", "ok 1 - no plan\n", "1..x\n"]
        {
            assert_eq!(count(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(lines in proptest::collection::vec("(ok|not ok|1\\.\\.|test result: )?.{0,30}", 0..20)) {
            let _ = count(&lines.join("\n"));
        }
    }
}
