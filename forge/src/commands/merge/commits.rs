//! The commits that a merge writes.
//!
//! Invariant: deterministic: every time in them is the batch's or the author's own, and nothing of a commit that is made
//! again changes but what it stands upon.

use notes_schema::{AgentName, Oid};

use crate::answer::Refusal;
use crate::gate::Landing;
use crate::ledger::Draft;
use crate::ledger::draft::signature_of;
use crate::state::PullState;
use git::history;
use git::object::{Kind, NewCommit, Object};
use git::store::{Objects as _, ReadError, Store};
use hooks::policy::Strategy;

/// Most co-authors that a squashed commit names, and most commits that are looked at for them.
/// Limit: co-authors that a squashed commit names | {}, the others in silence
const CO_AUTHORS: usize = 20;
/// Limit: commits looked at for co-authors | {}
const LOOKED_AT: usize = 1000;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An object was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A commit is not what it was when its change was made again.
    #[error("commit {0} has no header to make again")]
    Headless(Oid),
}

/// Writes what lands; answers its tip.
pub(super) fn write(
    draft: &mut Draft,
    store: &Store,
    pull: &PullState,
    landing: &Landing,
    message: String,
) -> Result<Oid, WriteError> {
    let commit = |draft: &Draft, parents, message| NewCommit {
        tree: landing.tree,
        parents,
        author: signature_of(&pull.author, draft.now()),
        committer: signature_of(&AgentName::forge(), draft.now()),
        message,
    };
    match landing.strategy {
        Strategy::Merge => {
            let commit = commit(draft, vec![landing.onto, pull.head], message);
            Ok(draft.object(commit.encode(None))?)
        }
        Strategy::Squash => {
            let message = message + &co_authors(store, pull, landing.onto)?;
            let commit = commit(draft, vec![landing.onto], message);
            Ok(draft.object(commit.encode(None))?)
        }
        Strategy::Rebase => {
            // Nothing to make again: the head stands upon the target as it is, signatures and all.
            let mut at = if landing.picks.is_empty() { pull.head } else { landing.onto };
            for (id, tree) in &landing.picks {
                let original = store.get_kind(*id, Kind::Commit)?;
                let again = again(&original.data, *tree, at, draft.now()).ok_or(WriteError::Headless(*id))?;
                at = draft.object(Object::new(Kind::Commit, again))?;
            }
            Ok(at)
        }
    }
}

/// The commits' authors other than the pull request's, as trailers. They are what the commits say, never who pushed.
fn co_authors(store: &Store, pull: &PullState, onto: Oid) -> Result<String, ReadError> {
    let mut named: Vec<String> = Vec::new();
    for (_, commit) in history::range(store, pull.head, &[onto], LOOKED_AT)?.into_iter().rev() {
        let plain: String = commit.author.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        let name = plain.split('<').next().unwrap_or("").trim().to_owned();
        if name != pull.author.as_str() && plain.ends_with('>') && !named.contains(&plain) && named.len() < CO_AUTHORS {
            named.push(plain);
        }
    }
    Ok(named.into_iter().map(|who| format!("Co-authored-by: {who}\n")).collect())
}

/// A commit upon another parent: author, encoding and message stay byte by byte; a signature would not hold and goes.
fn again(original: &[u8], tree: Oid, parent: Oid, now_ms: u64) -> Option<Vec<u8>> {
    let end = original.windows(2).position(|w| w == b"\n\n")?;
    let kept = |prefix: &[u8]| original[..end].split(|b| *b == b'\n').find(|line| line.starts_with(prefix));
    let forge = signature_of(&AgentName::forge(), now_ms);
    let mut out = format!("tree {tree}\nparent {parent}\n").into_bytes();
    out.extend_from_slice(kept(b"author ")?);
    out.extend_from_slice(format!("\ncommitter {} <{}> {} +0000", forge.name, forge.email, forge.seconds).as_bytes());
    if let Some(encoding) = kept(b"encoding ") {
        out.push(b'\n');
        out.extend_from_slice(encoding);
    }
    out.extend_from_slice(&original[end..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_made_again_keeps_its_author_encoding_and_message() {
        let original =
            b"tree 1111111111111111111111111111111111111111\nparent 2222222222222222222222222222222222222222\n\
            author B\xe9ta <b@x> 1700000000 +0130\ncommitter C <c@x> 1700000001 -0500\nencoding ISO-8859-1\n\
            gpgsig -----BEGIN SSH SIGNATURE-----\n author Mallory <m@x> 1 +0000\n -----END SSH SIGNATURE-----\n\n\
            Subject \xe9\n\nBody\n";
        let (tree, parent) = (Oid::from_bytes([3; 20]), Oid::from_bytes([4; 20]));
        let made = again(original, tree, parent, 1_800_000_000_999).unwrap();
        let expected = [
            format!("tree {tree}\nparent {parent}\n").as_bytes(),
            b"author B\xe9ta <b@x> 1700000000 +0130\ncommitter forge <forge@forge> 1800000000 +0000\n",
            b"encoding ISO-8859-1\n\nSubject \xe9\n\nBody\n",
        ]
        .concat();
        assert_eq!(made, expected);
        assert_eq!(again(b"tree 1", tree, parent, 0), None);
        assert_eq!(again(b"tree 1\n\nno author", tree, parent, 0), None);
    }
}
