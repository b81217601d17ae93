//! `node --test`: the block that ends its output, behind `ℹ` (spec) or `#` (TAP).

use super::{Runner, Tally, number_and_word};

pub(super) const NAME: &str = "node-test";

#[derive(Default)]
pub(super) struct Node {
    tally: Tally,
    /// The block being read, and whether its counts of tests, passed and failed ones were there.
    block: Tally,
    parts: [bool; 3],
    names: Tally,
    seen: bool,
}

impl Runner for Node {
    fn name(&self) -> &'static str {
        NAME
    }

    fn line(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(name) = trimmed.strip_prefix("✖ ").and_then(|rest| rest.rsplit_once(" (")) {
            if name.1.ends_with("ms)") {
                self.names.name(name.0);
            }
            return;
        }
        if let Some(name) = trimmed.strip_prefix("not ok ").and_then(|rest| rest.split_once(" - ")) {
            self.names.name(name.1);
            return;
        }
        let Some(fact) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) else { return };
        let Some((word, number)) = fact.split_once(' ') else { return };
        let number_is = |number: &str| number_and_word(&format!("{number} .")).map(|(number, _)| number);
        match (word, number_is(number)) {
            ("tests", Some(_)) => (self.block, self.parts) = (Tally::default(), [true, false, false]),
            ("duration_ms", _) => {
                if self.parts == [true; 3] {
                    self.seen = true;
                    self.tally.add(std::mem::take(&mut self.block));
                }
                self.parts = [false; 3];
            }
            (word, Some(number)) => {
                self.parts[1] |= word == "pass";
                self.parts[2] |= word == "fail";
                self.block.count(number, word);
            }
            (_, None) => {}
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        let names = std::mem::take(&mut self.names);
        self.tally.names = names.names;
        self.seen.then(|| std::mem::take(&mut self.tally))
    }
}
