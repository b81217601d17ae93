//! The forge's own refs are written by the forge alone.

use notes_schema::{EntityId, ItemRef, RefName, refs};

use crate::access::{Space, denies};
use crate::command::reference;
use crate::push::{PushRule, PushedRef};
use crate::{Judgement, Repo, Verdict};

/// See the module.
pub const RULE: PushRule = PushRule {
    word: Space::Forge.rule(),
    demands: "refs of the forge (refs/forge, refs/notes/forge, refs/pull, HEAD) change through commands only",
    judge,
};

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let name = &pushed.update.name;
    if !denies(repo, pushed, Space::Forge)? {
        return Ok(Verdict::Ok);
    }
    if name.as_str().starts_with(refs::OUT_PREFIX) {
        let next = format!("git push origin '{}*:{}{}/*'", refs::OUT_PREFIX, refs::IN_PREFIX, pushed.agent);
        return pushed.refuse(RULE.word, "records arrive under the agent's own name", next);
    }
    pushed.refuse(RULE.word, "only the forge writes this ref", hint(repo, name))
}

/// The command that says or does what the ref is about.
fn hint(repo: &dyn Repo, name: &RefName) -> String {
    let item = |n| reference(&ItemRef { project: repo.project().clone(), n });
    if let Some(entity) = refs::entity_of(name) {
        return match entity {
            EntityId::Issue(n) => format!("ssh forge details {}", item(n)),
            EntityId::Pull(n) => format!("ssh forge pr {}", item(n)),
            EntityId::Agent(agent) => format!("ssh forge profile {agent}"),
            EntityId::Project(project) => format!("ssh forge project show {project}"),
            EntityId::Elo(_) => "ssh forge profile".to_owned(),
            EntityId::Checks(_) => format!("ssh forge check list {}", repo.project()),
        };
    }
    let pull = name.as_str().strip_prefix(refs::PULL_PREFIX).and_then(|rest| rest.split('/').next());
    match pull.and_then(notes_schema::names::parse_number) {
        Some(n) => format!("ssh forge pr {}", item(n)),
        None => "ssh forge help".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fake, push_table};

    #[test]
    fn refs_of_the_forge_are_refused_with_the_command_for_them() {
        push_table(
            &Fake::new(),
            "alpha",
            &[
                ("refs/forge/ledger", "server-owned", "ssh forge help"),
                ("refs/forge/issues/7", "server-owned", "ssh forge details parser/7"),
                ("-refs/forge/pulls/7", "server-owned", "ssh forge pr parser/7"),
                ("refs/forge/agents/alpha", "server-owned", "ssh forge profile alpha"),
                ("refs/forge/checks/robot", "server-owned", "ssh forge check list parser"),
                ("refs/pull/3/head", "server-owned", "ssh forge pr parser/3"),
                ("refs/notes/forge/reviews", "server-owned", "ssh forge help"),
                ("refs/notes/forge", "server-owned", "ssh forge help"),
                ("refs/queue/main", "server-owned", "ssh forge help"),
                ("HEAD", "server-owned", "ssh forge help"),
                (
                    "refs/notes/forge/out/1",
                    "server-owned",
                    "git push origin 'refs/notes/forge/out/*:refs/notes/forge/in/alpha/*'",
                ),
            ],
        );
    }
}
