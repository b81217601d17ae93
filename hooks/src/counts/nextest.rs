//! `cargo nextest run`: its `Summary` line.

use super::{Runner, Tally, number_and_word};

#[derive(Default)]
pub(super) struct Nextest {
    tally: Tally,
    seen: bool,
}

impl Runner for Nextest {
    fn name(&self) -> &'static str {
        "nextest"
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_start();
        for word in ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV [", "SIGKILL ["] {
            if let Some((_, name)) = line.strip_prefix(word).and_then(|rest| rest.split_once("] ")) {
                self.tally.name(without_place(name));
                return;
            }
        }
        let counts = line.strip_prefix("Summary [").and_then(|rest| rest.split_once("] "));
        let Some((ran, counts)) = counts.and_then(|(_, rest)| rest.split_once(" run: ")) else { return };
        if !ran.ends_with("test") && !ran.ends_with("tests") {
            return;
        }
        self.seen = true;
        // `4 passed (1 slow, 1 flaky)`: what stands in brackets is counted already.
        for part in without_brackets(counts).split(',') {
            if let Some((number, word)) = number_and_word(part)
                && !self.tally.count(number, word)
                && (word.starts_with("timed out") || word.starts_with("exec failed"))
            {
                self.tally.failed = self.tally.failed.saturating_add(number);
            }
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        self.seen.then(|| std::mem::take(&mut self.tally))
    }
}

/// `(2/3) crate test` without the place in the run.
fn without_place(name: &str) -> &str {
    let name = name.trim_start();
    name.strip_prefix('(').and_then(|rest| rest.split_once(") ")).map_or(name, |(_, name)| name)
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0usize;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}
