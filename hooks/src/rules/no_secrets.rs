//! E12: nothing in a record looks like a secret, neither its texts nor what its patches inflate to, for what is pushed is
//! public for ever.

use crate::record::{PushedRecord, RecordRule, drop_it};
use crate::{Judgement, Repo, Verdict, patch, secrets};

/// See the module. Names the scanner's rule and the place, never the value.
pub const RULE: RecordRule =
    RecordRule { word: "E12", demands: "no text and no patch of a record holds what looks like a secret", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRecord<'_>) -> Judgement {
    let allowed = repo.allowed_secrets()?;
    let remark = match allowed.remark() {
        remark if remark.is_empty() => remark,
        remark => format!("; fixtures are listed in `{}`{remark}", secrets::ALLOW_PATH),
    };
    let told = pushed.record.find_text(|place, text| {
        let found = secrets::find_except(text, &allowed);
        let finding = found.first()?;
        Some(format!("{place} at byte {} looks like a secret ({}){remark}", finding.offset, finding.rule))
    });
    if let Some(why) = told {
        return pushed.refuse(RULE.word, why, drop_it(pushed.name));
    }
    for (i, attempt) in pushed.record.attempts.iter().enumerate() {
        let Some(frame) = &attempt.patch else { continue };
        // What cannot be inflated is refused by E07.
        let text = patch::unpack(repo, frame)?.unwrap_or_default();
        if let Some((rule, line)) = patch::find_secret(&text, &allowed) {
            let why = format!("attempts[{i}].patch in line {line} looks like a secret ({rule}){remark}");
            return pushed.refuse(RULE.word, why, drop_it(pushed.name));
        }
    }
    Ok(Verdict::Ok)
}
