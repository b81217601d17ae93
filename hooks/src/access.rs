//! Who may do what to which ref: one table, which every rule about names asks.
//!
//! Invariant: what a ref is follows from its name alone, and each pair of that and a change has its need in [`needs`]; one
//! without does not compile. The rules put it in words, and what a policy asks for can only be more.

use notes_schema::{RefName, refs};

use crate::push::PushedRef;
use crate::{Repo, Undecided};

/// What a ref is to a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The default branch, born or not.
    Default,
    /// Another branch.
    Branch,
    /// A tag.
    Tag,
    /// A record on its way in: it names an agent.
    Inbox,
    /// What the forge alone writes.
    Forge,
    /// A magic target.
    Magic,
    /// Anything else.
    Other,
}

/// What is done to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is not there yet.
    Create,
    /// It points elsewhere from then on, be it at what stands upon what it held or not.
    Move,
    /// It is gone from then on.
    Delete,
}

/// Every space and every change, for tables.
pub const SPACES: [Space; 7] =
    [Space::Default, Space::Branch, Space::Tag, Space::Inbox, Space::Forge, Space::Magic, Space::Other];
/// See [`SPACES`].
pub const CHANGES: [Change; 3] = [Change::Create, Change::Move, Change::Delete];

/// What an agent must be to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing in particular.
    Agent,
    /// The one that created it.
    Owner,
    /// The one that created the project.
    Founder,
    /// The one whose name stands in the ref's.
    Named,
    /// There is no such agent.
    Nobody,
}

/// What one agent is to one ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ties {
    /// It created the ref, or nobody has yet.
    pub owner: bool,
    /// It created the project.
    pub founder: bool,
    /// The ref has its name in it.
    pub named: bool,
}

/// The table.
pub const fn needs(space: Space, change: Change) -> Needs {
    match (space, change) {
        (Space::Default, Change::Create) => Needs::Founder,
        (Space::Default, Change::Move | Change::Delete) => Needs::Nobody,
        (Space::Branch | Space::Tag, Change::Create) => Needs::Agent,
        (Space::Branch | Space::Tag, Change::Move | Change::Delete) => Needs::Owner,
        (Space::Inbox, Change::Create | Change::Move) => Needs::Named,
        (Space::Inbox, Change::Delete) => Needs::Nobody,
        (Space::Forge | Space::Magic | Space::Other, Change::Create | Change::Move | Change::Delete) => Needs::Nobody,
    }
}

impl Space {
    /// What `name` is where `default` is the default branch.
    pub fn of(name: &RefName, default: &RefName) -> Space {
        let text = name.as_str();
        match text {
            _ if refs::is_server_owned(name) => Space::Forge,
            _ if text.starts_with(refs::FOR_PREFIX) => Space::Magic,
            _ if refs::incoming_record(name).is_some() => Space::Inbox,
            _ if name == default => Space::Default,
            _ if text.starts_with("refs/heads/") => Space::Branch,
            _ if text.starts_with("refs/tags/") => Space::Tag,
            _ => Space::Other,
        }
    }

    /// The word of the rule that refuses what the table does not allow.
    pub const fn rule(self) -> &'static str {
        match self {
            Space::Default => "default-branch",
            Space::Branch => "branch-owner",
            Space::Tag => "tag-owner",
            Space::Inbox => "E03",
            Space::Forge => "server-owned",
            Space::Magic => "refs-for",
            Space::Other => "namespace",
        }
    }
}

impl Needs {
    /// Whether an agent with these ties is one.
    pub const fn met(self, ties: Ties) -> bool {
        match self {
            Needs::Agent => true,
            Needs::Owner => ties.owner,
            Needs::Founder => ties.founder,
            Needs::Named => ties.named,
            Needs::Nobody => false,
        }
    }
}

/// Whether the ref is in `space`, and this change of it not for this agent.
pub(crate) fn denies(repo: &dyn Repo, pushed: &PushedRef<'_>, space: Space) -> Result<bool, Undecided> {
    let name = &pushed.update.name;
    if Space::of(name, &repo.default_branch()) != space {
        return Ok(false);
    }
    let exists = repo.ref_exists(name)?;
    let change = match (pushed.update.new, exists) {
        (None, _) => Change::Delete,
        (Some(_), true) => Change::Move,
        (Some(_), false) => Change::Create,
    };
    let needs = needs(space, change);
    let ties = Ties {
        owner: needs == Needs::Owner && (!exists || repo.ref_owner(name)?.as_ref() == Some(pushed.agent)),
        founder: needs == Needs::Founder && repo.creator()? == *pushed.agent,
        named: refs::incoming_record(name).is_some_and(|(owner, _)| owner == *pushed.agent),
    };
    Ok(!needs.met(ties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::RULES;

    #[test]
    fn every_space_has_its_rule_and_names_fall_into_one() {
        for space in SPACES {
            assert!(RULES.iter().any(|rule| rule.word == space.rule()), "{space:?}");
        }
        let of = |text: &str| Space::of(&text.parse().unwrap(), &"refs/heads/main".parse().unwrap());
        for (name, space) in [
            ("refs/heads/main", Space::Default),
            ("refs/heads/main2", Space::Branch),
            ("refs/tags/main", Space::Tag),
            ("refs/notes/forge/in/alpha/01J", Space::Inbox),
            ("refs/notes/forge/in/alpha", Space::Forge),
            ("refs/notes/forge/reviews", Space::Forge),
            ("refs/pull/1/head", Space::Forge),
            ("HEAD", Space::Forge),
            ("refs/for/main", Space::Magic),
            ("refs/notes/commits", Space::Other),
        ] {
            assert_eq!(of(name), space, "{name}");
        }
    }
}
