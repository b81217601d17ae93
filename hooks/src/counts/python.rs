//! `pytest` (with or without `-q`) and `python -m unittest`: their last lines.

use super::{Runner, Tally, number_and_word};

#[derive(Default)]
pub(super) struct Pytest {
    tally: Tally,
    seen: bool,
}

/// Words that pytest puts beside the counts of tests.
const BESIDE: &[&str] = &["deselected", "warning", "warnings", "rerun", "subtests passed"];

impl Runner for Pytest {
    fn name(&self) -> &'static str {
        "pytest"
    }

    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")) {
            let name = rest.split(" - ").next().unwrap_or(rest);
            if name.contains("::") || name.ends_with(".py") {
                self.tally.name(name);
            }
            return;
        }
        let bare = line.trim_matches(['=', ' ']);
        // `5 passed in 0.1s`, `no tests ran in 0.1s`: most lines begin otherwise.
        if !bare.starts_with(|c: char| c.is_ascii_digit() || c == 'n') {
            return;
        }
        let Some((counts, time)) = bare.rsplit_once(" in ") else { return };
        let is_time = |text: &str| text.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
        if !is_time(time.split(' ').next().unwrap_or("")) {
            return;
        }
        let mut sum = Tally::default();
        if counts != "no tests ran" {
            for part in counts.split(", ") {
                let Some((number, word)) = number_and_word(part) else { return };
                let known = match word {
                    "subtests failed" => sum.count(number, "failed"),
                    _ => sum.count(number, word),
                };
                if !known && !BESIDE.contains(&word) {
                    return;
                }
            }
        }
        self.seen = true;
        self.tally.add(sum);
    }

    fn finish(&mut self) -> Option<Tally> {
        self.seen.then(|| std::mem::take(&mut self.tally))
    }
}

/// `Ran 5 tests in 0.000s`, then, after an empty line, `FAILED (failures=1, errors=1, skipped=1)`.
#[derive(Default)]
pub(super) struct Unittest {
    tally: Tally,
    ran: Option<u64>,
    seen: bool,
}

impl Runner for Unittest {
    fn name(&self) -> &'static str {
        "unittest"
    }

    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Ran ") {
            let (count, rest) = rest.split_once(' ').unwrap_or_default();
            if rest.starts_with("test in ") || rest.starts_with("tests in ") {
                self.ran = count.parse().ok();
            }
            return;
        }
        if let Some(name) = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: ")) {
            if name.ends_with(')') {
                self.tally.name(name);
            }
            return;
        }
        let (verdict, rest) = line.split_once(" (").unwrap_or((line, ""));
        if !matches!(verdict, "OK" | "FAILED" | "NO TESTS RAN") {
            return;
        }
        let Some(ran) = self.ran.take() else { return };
        self.seen = true;
        let (mut failed, mut ignored) = (0u64, 0u64);
        for part in rest.trim_end_matches(')').split(", ") {
            let Some((word, Ok(number))) = part.split_once('=').map(|(word, n)| (word, n.parse::<u64>())) else {
                continue;
            };
            match word {
                "failures" | "errors" | "unexpected successes" => failed = failed.saturating_add(number),
                "skipped" | "expected failures" => ignored = ignored.saturating_add(number),
                _ => {}
            }
        }
        if verdict == "FAILED" {
            failed = failed.max(1);
        }
        let passed = ran.saturating_sub(failed).saturating_sub(ignored);
        self.tally.add(Tally { passed, failed, ignored, names: Vec::new() });
    }

    fn finish(&mut self) -> Option<Tally> {
        self.seen.then(|| std::mem::take(&mut self.tally))
    }
}
