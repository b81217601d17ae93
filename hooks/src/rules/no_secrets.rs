//! E12: no text of a record looks like a secret, for what is pushed is public for ever.

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict, secrets};

/// See the module. Names the scanner's rule and the place, never the value.
pub const RULE: RecordRule =
    RecordRule { word: "E12", demands: "no text of a record holds what looks like a secret", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let allowed = repo.allowed_secrets()?;
    for (place, text) in pushed.record.texts() {
        if let Some(finding) = secrets::find_except(&text, &allowed).first() {
            let why = format!("{place} at byte {} looks like a secret ({})", finding.offset, finding.rule);
            return pushed.refuse(RULE.word, why, drop_it(pushed.name));
        }
    }
    Ok(Verdict::Ok)
}
