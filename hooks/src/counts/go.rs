//! `go test`: plain, with `-v`, and with `-json`. Without `-v` or `-json` go does not say how many tests passed; then
//! packages are counted, and the name says so.

use serde::Deserialize;

use super::{Runner, Tally};

#[derive(Default)]
pub(super) struct Go {
    /// Tests, subtests among them, of `-v` and `-json`.
    tests: Tally,
    packages_passed: u64,
    packages_failed: u64,
    failed_names: Tally,
    each_test_is_shown: bool,
    seen: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Test", borrow)]
    test: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "Package")]
    package: Option<std::borrow::Cow<'a, str>>,
}

impl Runner for Go {
    fn name(&self) -> &'static str {
        if self.each_test_is_shown { "go-test" } else { "go-test-packages" }
    }

    fn line(&mut self, line: &str) {
        if line.starts_with('{') {
            return self.event(line);
        }
        if line.starts_with("=== RUN ") {
            self.each_test_is_shown = true;
        } else if let Some(rest) = line.trim_start().strip_prefix("--- ") {
            self.verdict(rest);
        } else if let Some(rest) = line.strip_prefix("ok  \t") {
            self.seen = true;
            if !rest.ends_with("[no tests to run]") {
                self.packages_passed += 1;
            }
        } else if let Some(rest) = line.strip_prefix("FAIL\t") {
            self.seen = true;
            self.packages_failed += 1;
            if rest.ends_with("failed]") {
                self.failed_names.name(rest);
            }
        }
    }

    fn finish(&mut self) -> Option<Tally> {
        let names = std::mem::take(&mut self.failed_names);
        let mut tally = std::mem::take(&mut self.tests);
        if !self.each_test_is_shown {
            tally = Tally { passed: self.packages_passed, failed: self.packages_failed, ..Tally::default() };
        }
        tally.failed_as_a_whole(self.packages_failed);
        tally.names = names.names;
        self.seen.then_some(tally)
    }
}

impl Go {
    /// `PASS: TestName (0.00s)`.
    fn verdict(&mut self, text: &str) {
        let Some((verdict, rest)) = text.split_once(": ") else { return };
        let Some((name, time)) = rest.split_once(" (") else { return };
        if !time.ends_with("s)") {
            return;
        }
        match verdict {
            "PASS" => self.tests.passed += 1,
            "SKIP" => self.tests.ignored += 1,
            "FAIL" => {
                self.tests.failed += 1;
                self.failed_names.name(name);
            }
            _ => {}
        }
    }

    fn event(&mut self, line: &str) {
        // Most lines are output, and need not be read.
        if !["\"pass\"", "\"fail\"", "\"skip\""].iter().any(|action| line.contains(action)) {
            return;
        }
        let Ok(event) = serde_json::from_str::<Event<'_>>(line) else { return };
        let Some(package) = event.package else { return };
        self.each_test_is_shown = true;
        self.seen = true;
        match (event.action, event.test) {
            ("pass", Some(_)) => self.tests.passed += 1,
            ("skip", Some(_)) => self.tests.ignored += 1,
            ("fail", Some(test)) => {
                self.tests.failed += 1;
                self.failed_names.name(&test);
            }
            ("fail", None) => {
                self.packages_failed += 1;
                if self.tests.failed == 0 {
                    self.failed_names.name(&package);
                }
            }
            _ => {}
        }
    }
}
