//! TAP: plans and results at the left margin.

use super::Tally;

#[derive(Default)]
pub(super) struct Tap {
    tally: Tally,
    plan: Option<u64>,
}

impl Tap {
    pub(super) fn name(&self) -> &'static str {
        "tap"
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Some(plan) = line.strip_prefix("1..") {
            let digits = plan.split_whitespace().next().unwrap_or("");
            if let Ok(count) = digits.parse::<u64>() {
                self.plan = Some(self.plan.unwrap_or(0).saturating_add(count));
            }
            return;
        }
        if line.starts_with("Bail out!") {
            self.tally.failed = self.tally.failed.saturating_add(1);
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
            self.tally.ignored = self.tally.ignored.saturating_add(1);
        } else if failed {
            self.tally.failed = self.tally.failed.saturating_add(1);
            self.tally.name(name.trim().trim_start_matches('-'));
        } else {
            self.tally.passed = self.tally.passed.saturating_add(1);
        }
    }

    pub(super) fn finish(&mut self) -> Option<Tally> {
        let plan = self.plan?;
        let mut tap = std::mem::take(&mut self.tally);
        let seen = tap.passed.saturating_add(tap.failed).saturating_add(tap.ignored);
        // What was planned and never reported did not pass.
        tap.failed = tap.failed.saturating_add(plan.saturating_sub(seen));
        Some(tap)
    }
}
