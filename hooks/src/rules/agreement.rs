//! E10: what a record says fits together: counts with the output that it holds, cited paths with the tree.

use notes_schema::trace::{Attempt, Tests, limits};

use crate::counts::Counter;
use crate::gate::{Candidate, Finding, GateRule};
use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Found, Judgement, Repo, Undecided, Verdict, next_run};

/// The counts of a record that arrives agree with the output in it.
pub const AT_ARRIVAL: RecordRule =
    RecordRule { word: "E10", demands: "the test counts of a record agree with the output that it holds", judge };

fn judge(_repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    for (i, attempt) in pushed.record.attempts.iter().enumerate() {
        if let Some(why) = complaint(attempt) {
            return pushed.refuse(AT_ARRIVAL.word, format!("attempts[{i}]: {why}"), drop_it(pushed.name));
        }
    }
    Ok(Verdict::Ok)
}

/// Where stated counts and held output contradict each other. Output of another runner says nothing; of output with a
/// gap, only the lines that are there do.
pub fn complaint(attempt: &Attempt) -> Option<String> {
    let stated = attempt.tests.as_ref()?;
    let outputs = [&attempt.stdout, &attempt.stderr];
    let mut found: Vec<(Tests, bool)> = Vec::new();
    for output in outputs.into_iter().flatten() {
        let kept = (output.head.len() + output.tail.len()) as u64;
        // Redaction changes lengths a little, and a record made by hand need not say how long the output was.
        let whole = output.bytes > 0 && output.bytes <= limits::TAIL as u64 && kept >= output.bytes;
        // After a gap the first line may be half of one.
        let tail = if whole { output.tail.as_str() } else { output.tail.split_once('\n').map_or("", |(_, rest)| rest) };
        let parts =
            if whole { vec![format!("{}{tail}", output.head)] } else { vec![output.head.clone(), tail.to_owned()] };
        for part in parts {
            found.extend(read(&part).filter(|read| read.framework == stated.framework).map(|read| (read, whole)));
        }
    }
    let shown = |t: &Tests| format!("{} passed, {} failed", t.passed, t.failed);
    for (read, whole) in &found {
        // After a gap, tests that were planned and not seen are no failures: only those that are named are.
        let failed = if *whole { read.failed } else { read.failed_names.len() as u64 };
        let more = read.passed > stated.passed || failed > stated.failed;
        let other = (read.passed, read.failed) != (stated.passed, stated.failed);
        if more || (*whole && found.len() == 1 && other) {
            return Some(format!("its counts say {}, and its output says {}", shown(stated), shown(read)));
        }
    }
    None
}

fn read(text: &str) -> Option<Tests> {
    let mut counter = Counter::new();
    text.lines().for_each(|line| counter.line(line));
    counter.finish()
}

/// What a record cites is in the tree that it proves as it says; a lock file need not be there.
pub const AT_GATE: GateRule = GateRule {
    word: "cited-paths",
    demands: "the directory of a recorded run is in the tree, and a lock file that it names is there as it names it, if at all",
    at_submit: true,
    quiet: true,
    look,
};

fn look(repo: &dyn Repo, candidate: &Candidate<'_>) -> Result<Finding, Undecided> {
    let base = repo.policy()?;
    let Some(record) = candidate.record_on(candidate.tree, &base.policy) else {
        return Ok(Finding::NotApplicable("no record of this tree".to_owned()));
    };
    let missing = |why: String, next: String| Ok(Finding::Missing { code: "E10", why, next });
    let last = record.last();
    if !next_run::has_directory(repo, candidate, last)? {
        let why = format!("it ran in `{}`, and the tree has no such directory", last.cwd);
        // The recorder repeats its own runs from the top, where the directory is there and no commit takes it in.
        let next = match &record.recorder {
            Some(_) => next_run::AGAIN.to_owned(),
            None => next_run::another(repo, candidate, &base.policy, Some(last))?,
        };
        return missing(why, next);
    }
    for (path, digest) in record.env.iter().flat_map(|env| &env.lockfiles) {
        match repo.found_at(candidate.tree, path)? {
            Some(Found::File(found)) if found == *digest => {}
            // An ignored file is in no tree, and a run may well have used it: of such a one nothing is known or claimed.
            None => {}
            Some(_) => {
                let why = format!("the lock file `{path}` in the tree is another than the run used");
                return missing(why, next_run::AGAIN.to_owned());
            }
        }
    }
    Ok(Finding::Satisfied("what it cites is there".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attempt, records};

    fn run(passed: u64, failed: u64, head: &str, tail: &str, bytes: u64) -> Attempt {
        let mut run = attempt();
        run.tests = Some(Tests { framework: "tap".into(), passed, failed, ..Tests::default() });
        run.stdout =
            Some(notes_schema::trace::Output { bytes, head: head.into(), tail: tail.into(), ..Default::default() });
        run
    }

    #[test]
    fn counts_that_contradict_the_output_are_e10() {
        let ok = "1..2\nok 1 - a\nok 2 - b\n";
        let bad = "1..2\nok 1 - a\nnot ok 2 - b\n";
        let cases = [
            ("as printed", run(2, 0, ok, "", ok.len() as u64), true),
            ("more than printed", run(3, 0, ok, "", ok.len() as u64), false),
            ("a failure kept quiet", run(2, 0, bad, "", bad.len() as u64), false),
            ("a failure kept quiet in the tail alone", run(2, 0, "x\n", &format!("half\n{bad}"), 90_000), false),
            ("a gap in the middle", run(200, 0, "1..200\n", "half\nok 200 - z\n", 90_000), true),
            ("output of another runner", run(2, 0, "test result: ok. 7 passed; 0 failed; 0 ignored\n", "", 47), true),
            ("no length said", run(9, 0, ok, "", 0), true),
        ];
        for (which, attempt, fine) in cases {
            assert_eq!(complaint(&attempt).is_none(), fine, "{which}: {:?}", complaint(&attempt));
        }
    }

    #[test]
    fn a_record_whose_counts_lie_is_not_taken() {
        let lie = run(5, 0, "1..1\nok 1 - a\n", "", 14);
        let why = records(|record| record.attempts = vec![lie]).unwrap_err();
        assert_eq!(why, ("E10".to_owned(), "git update-ref -d refs/notes/forge/out/r1 && git push".to_owned()));
    }
}
