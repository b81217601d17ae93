//! E11: the times of a record run forward, from its `start` to now.

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict};

/// How far an agent's clock may be off, in milliseconds.
/// Limit: how far a record's times may lie before the start or behind the server's clock | {:ms}
const SKEW_MS: u64 = 15 * 60_000;

/// See the module. The agent's clock and the forge's need not agree to the minute.
pub const RULE: RecordRule = RecordRule {
    word: "E11",
    demands: "runs follow each other, not before the nonce was given out, and not in the future",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let issued = repo.nonce(&pushed.record.nonce)?.map_or(0, |issued| issued.started_ms);
    let now = repo.now_ms();
    let mut before = 0;
    // A record need not say when it ran.
    for (i, attempt) in pushed.record.attempts.iter().enumerate().filter(|(_, attempt)| attempt.started_ms > 0) {
        let (began, ended) = (attempt.started_ms, attempt.started_ms.saturating_add(attempt.dur_ms));
        let refuse = |why: &str| pushed.refuse(RULE.word, format!("attempts[{i}] {why}"), drop_it(pushed.name));
        if began < before {
            return refuse("began before the attempt above it");
        }
        if began.saturating_add(SKEW_MS) < issued {
            return refuse("began before `start` gave its nonce out; is your clock right?");
        }
        if ended > now.saturating_add(SKEW_MS) {
            return refuse("ends in the future; is your clock right?");
        }
        before = began;
    }
    Ok(Verdict::Ok)
}

#[cfg(test)]
mod tests {
    use super::SKEW_MS;
    use crate::testing::{NOW, STARTED, attempt, records};

    #[test]
    fn times_run_forward_from_the_nonce_to_now() {
        let at = |times: &[(u64, u64)]| {
            let attempts = times.iter().zip(1..).map(|((began, dur), seq)| {
                let mut attempt = attempt();
                (attempt.seq, attempt.started_ms, attempt.dur_ms) = (seq, *began, *dur);
                attempt
            });
            let attempts: Vec<_> = attempts.collect();
            records(move |record| record.attempts = attempts).err().map(|(rule, _)| rule)
        };
        let e11 = Some("E11".to_owned());
        assert_eq!(at(&[(0, 5)]), None, "it need not say");
        assert_eq!(at(&[(STARTED, 5), (STARTED + 5, 5), (NOW, 0)]), None);
        assert_eq!(at(&[(STARTED - SKEW_MS, 5), (NOW + SKEW_MS, 0)]), None, "clocks differ");
        assert_eq!(at(&[(STARTED + 9, 5), (STARTED + 8, 5)]), e11, "backwards");
        assert_eq!(at(&[(STARTED - SKEW_MS - 1, 5)]), e11, "before its nonce");
        assert_eq!(at(&[(NOW, SKEW_MS + 1)]), e11, "ends in the future");
        assert_eq!(at(&[(NOW, u64::MAX)]), e11);
        assert_eq!(at(&[(u64::MAX, u64::MAX)]), e11);
    }
}
