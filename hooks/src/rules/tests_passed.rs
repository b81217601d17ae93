//! E09: the last recorded run ended by itself with status 0; where test counts were read, tests ran and none failed.

use notes_schema::trace::Attempt;

use crate::gate::{Candidate, Finding, GateRule};
use crate::{Repo, Undecided};

/// See the module.
pub struct TestsPassed;

impl GateRule for TestsPassed {
    fn word(&self) -> &'static str {
        "tests"
    }

    fn demands(&self) -> &'static str {
        "the last recorded run exited with 0; where test counts are read, more than zero ran and none failed"
    }

    fn at_submit(&self) -> bool {
        true
    }

    fn look(&self, _repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
        let Some(record) = candidate.record() else {
            return Ok(Finding::Missing {
                code: "E00",
                why: "no recorded run has arrived".to_owned(),
                next: "git push".to_owned(),
            });
        };
        let last = record.last();
        if last.tree != candidate.tree {
            return Ok(Finding::Missing {
                code: "E09",
                why: "no recorded run on this tree yet".to_owned(),
                next: "forge run --again && git push".to_owned(),
            });
        }
        if let Some(why) = complaint(last) {
            return Ok(Finding::Missing { code: "E09", why, next: "forge run --again && git push".to_owned() });
        }
        Ok(Finding::Satisfied(match &last.tests {
            Some(tests) => format!("{} passed, {} ignored ({})", tests.passed, tests.ignored, tests.framework),
            None => "exit 0; no test counts were read".to_owned(),
        }))
    }
}

/// What speaks against a run as proof.
pub fn complaint(last: &Attempt) -> Option<String> {
    if !last.succeeded() {
        return Some(format!("the last recorded run failed: {}", last.ending()));
    }
    let tests = last.tests.as_ref()?;
    if tests.ran() == 0 {
        return Some("the last recorded run exited with 0, but ran no test".to_owned());
    }
    if tests.failed > 0 {
        return Some(format!("the last recorded run exited with 0, but {} tests failed", tests.failed));
    }
    None
}
