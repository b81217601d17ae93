//! An agent adds records under its own name, and never takes one back.

use notes_schema::refs;

use crate::access::{Space, denies};
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule =
    PushRule { word: Space::Inbox.rule(), demands: "records are pushed by the agent that made them, and stay", judge };

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    if !denies(repo, pushed, Space::Inbox)? {
        return Ok(Verdict::Ok);
    }
    let Some((owner, _)) = refs::incoming_record(&pushed.update.name) else {
        return Ok(Verdict::Ok);
    };
    let (out, inbox, agent) = (refs::OUT_PREFIX, refs::IN_PREFIX, pushed.agent);
    if owner != *agent {
        let next = format!("git push origin '{out}*:{inbox}{agent}/*'");
        return pushed.refuse(RULE.word, format!("this is where {owner} pushes records, and you are {agent}"), next);
    }
    pushed.refuse(RULE.word, "a record that has arrived stays", "git push")
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn records_come_from_their_owner_and_stay() {
        push_table(
            &Fake::new(),
            "alpha",
            &[
                ("refs/notes/forge/in/alpha/01J", "", ""),
                (
                    "refs/notes/forge/in/beta/01J",
                    "E03",
                    "git push origin 'refs/notes/forge/out/*:refs/notes/forge/in/alpha/*'",
                ),
                ("-refs/notes/forge/in/alpha/01J", "E03", "git push"),
            ],
        );
    }
}
