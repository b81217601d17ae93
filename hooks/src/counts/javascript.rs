//! `jest` and `vitest`: the line with all tests at their end, and the one with all files: a file that could not even be
//! loaded has no tests to fail.

use super::{Runner, Tally, number_and_word};

#[derive(Default)]
pub(super) struct Jest {
    counted: Counted,
}

#[derive(Default)]
pub(super) struct Vitest {
    counted: Counted,
}

#[derive(Default)]
struct Counted {
    tally: Tally,
    files_failed: u64,
    seen: bool,
}

impl Counted {
    fn tests(&mut self, counts: &str, between: &str) {
        self.seen = true;
        for (number, word) in counts.split(between).filter_map(number_and_word) {
            // Vitest puts the sum behind the last count: `3 passed (6)`.
            self.tally.count(number, word.split(' ').next().unwrap_or(word));
        }
    }

    fn files(&mut self, counts: &str, between: &str) {
        let failed = counts.split(between).filter_map(number_and_word).find(|(_, word)| word.starts_with("failed"));
        self.files_failed = self.files_failed.saturating_add(failed.map_or(0, |(number, _)| number));
    }

    fn finish(&mut self) -> Option<Tally> {
        self.tally.failed_as_a_whole(self.files_failed);
        (self.seen || self.files_failed > 0).then(|| std::mem::take(&mut self.tally))
    }
}

impl Runner for Jest {
    fn name(&self) -> &'static str {
        "jest"
    }

    fn line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("Tests:").filter(|counts| counts.trim_end().ends_with("total")) {
            self.counted.tests(counts, ",");
        } else if let Some(counts) = line.strip_prefix("Test Suites:") {
            self.counted.files(counts, ",");
        } else if let Some(name) = line.strip_prefix("  ● ") {
            self.counted.tally.name(name);
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        self.counted.finish()
    }
}

impl Runner for Vitest {
    fn name(&self) -> &'static str {
        "vitest"
    }

    fn line(&mut self, line: &str) {
        if !line.starts_with(' ') {
            return;
        }
        let line = line.trim_start();
        let sums_up = |text: &str| text.ends_with(')') || text == "no tests";
        if let Some(counts) = line.strip_prefix("Tests ").map(str::trim).filter(|text| sums_up(text)) {
            self.counted.tests(counts, "|");
        } else if let Some(counts) = line.strip_prefix("Test Files ").map(str::trim).filter(|text| sums_up(text)) {
            self.counted.files(counts, "|");
        } else if let Some(name) = line.strip_prefix("FAIL ").filter(|name| name.contains(" > ")) {
            self.counted.tally.name(name);
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        self.counted.finish()
    }
}
