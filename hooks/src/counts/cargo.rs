//! `cargo test`: one `test result:` line per binary and for the documentation's tests, added up.

use super::{Runner, Tally, number_and_word};

#[derive(Default)]
pub(super) struct Cargo {
    tally: Tally,
    seen: bool,
}

impl Runner for Cargo {
    fn name(&self) -> &'static str {
        "cargo-test"
    }

    fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.tally.name(name);
            return;
        }
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.seen = true;
        for (number, word) in counts.split(';').filter_map(number_and_word) {
            self.tally.count(number, word);
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        self.seen.then(|| std::mem::take(&mut self.tally))
    }
}
