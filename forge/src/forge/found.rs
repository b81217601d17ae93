//! Founding a forge, opening `forge.git`, and the generated branch by which anyone checks its signatures.

use std::path::{Path, PathBuf};

use notes_schema::event::ForgeFounded;
use notes_schema::{AgentName, EntityId, FORMAT_VERSION, Oid, ProjectName, RefName};

use super::OpenError;
use super::loss::Lost;
use crate::answer::Refusal;
use crate::ledger::{Author, Deps, Draft, RecoverError, Repository, Snapshot};
use git::object::{Kind, Mode, NewCommit, Object, TreeEntry, tree};
use git::packed_refs;

/// Where a repository stands in a data directory.
pub(super) fn git_dir(data: &Path, name: &ProjectName) -> PathBuf {
    data.join("repositories").join(format!("{name}.git"))
}

fn main_branch() -> RefName {
    RefName::branch("main").expect("invariant: a good name")
}

/// Opens `forge.git`, making it first where there is none.
pub(super) fn open_root(data: &Path, deps: Deps) -> Result<Repository, OpenError> {
    let name = ProjectName::forge();
    let dir = git_dir(data, &name);
    if !dir.exists() {
        packed_refs::init_bare(&dir, &main_branch()).map_err(|source| OpenError::Io { path: dir.clone(), source })?;
    }
    let root = Repository::open(&dir, name.clone(), deps).map_err(|source| match source {
        RecoverError::Newer(_) => OpenError::Newer { project: name, source },
        source => OpenError::Root { source, dir: data.to_owned() },
    })?;
    match root.read_only() {
        Some(why) => Err(OpenError::RootReadOnly(why)),
        None => Ok(root),
    }
}

/// Writes the first batch of `forge.git` where there is none; it is the forge's identity.
pub(super) fn begin(root: &Repository) -> Result<(), OpenError> {
    match root.snapshot().number {
        0 => root.begin(&main_branch()).map_err(OpenError::Write),
        _ => Ok(()),
    }
}

/// Writes what else a forge begins with, as far as it is missing, and opens a new epoch where the signing key is new, or
/// where a loss is accepted.
pub(super) fn found(root: &Repository, deps: &Deps, lost: Option<Lost>) -> Result<(), OpenError> {
    let key = deps.signer.public_openssh();
    if lost.is_none() && is_founded(&root.snapshot(), &key) {
        // Nor does it have to take writes just now: whoever reads is served.
        return Ok(());
    }
    root.commit(move |draft| begin_or_go_on(draft, key, lost)).map(drop).map_err(OpenError::Write)
}

/// Whether nothing of what a forge begins with is missing, and `key` signs its newest epoch.
fn is_founded(snapshot: &Snapshot, key: &str) -> bool {
    let forge = EntityId::Project(ProjectName::forge());
    let newest = snapshot.epochs.get_max().map(|(_, key)| key.as_str());
    snapshot.fold.entities.contains_key(&forge) && newest == Some(key) && snapshot.ref_id(&main_branch()).is_some()
}

fn begin_or_go_on(draft: &mut Draft, key: String, lost: Option<Lost>) -> Result<(), Refusal> {
    let forge = EntityId::Project(ProjectName::forge());
    if !draft.snapshot().fold.entities.contains_key(&forge) {
        let founded = ForgeFounded { format: FORMAT_VERSION, object_format: "sha1".to_owned() };
        draft.event(&Author::forge(), &forge, founded, None, &[])?;
    }
    for (project, n, tip) in lost.iter().flat_map(|lost| &lost.behind) {
        draft.remark(format!("lost what {project} had after batch {n}"));
        draft.cursor(project, *n, *tip);
    }
    let newest = draft.snapshot().epochs.get_max().map(|(_, key)| key.clone()).filter(|_| lost.is_none());
    if newest.as_ref() != Some(&key) {
        tracing::warn!(
            "the signing key is new: opening epoch {}; tokens of before are void",
            draft.snapshot().epoch + 1
        );
        draft.open_epoch(key);
    }
    let is_shown = draft.snapshot().ref_id(&main_branch()).is_some();
    if !is_shown || newest.as_ref() != draft.snapshot().epochs.get_max().map(|(_, key)| key) {
        show_keys(draft)?;
    }
    Ok(())
}

/// Shows the keys of all epochs on the generated branch.
pub(super) fn show_keys(draft: &mut Draft) -> Result<(), Refusal> {
    let (files, commit) = generated(draft.snapshot(), draft.now());
    let known = draft.snapshot().ref_id(&main_branch());
    for file in files {
        draft.object(file)?;
    }
    let id = draft.object(commit)?;
    draft.set_ref(&main_branch(), known, Some(id), None, Some(&AgentName::forge()))
}

/// `refs/heads/main` of `forge.git`: a README and the keys that have signed, oldest first.
fn generated(snapshot: &Snapshot, now: u64) -> (Vec<Object>, Object) {
    let signers: String = snapshot
        .epochs
        .iter()
        .map(|(epoch, key)| format!("# epoch {epoch}\nforge@forge namespaces=\"git\" {key}\n"))
        .collect();
    let contents = [("README.md", README.to_owned()), ("allowed_signers", signers)];
    let blobs: Vec<(&str, Object)> =
        contents.into_iter().map(|(name, text)| (name, Object::new(Kind::Blob, text.into_bytes()))).collect();
    let entry = |(name, blob): &(&str, Object)| {
        let id = blob.id().expect("invariant: generated text does not collide");
        TreeEntry { mode: Mode::File, name: name.as_bytes().to_vec(), id }
    };
    let root = tree(blobs.iter().map(entry).collect());
    let forge = crate::ledger::draft::signature_of(&AgentName::forge(), now);
    let commit = NewCommit {
        tree: root.id().expect("invariant: generated text does not collide"),
        parents: snapshot.ref_id(&main_branch()).into_iter().collect::<Vec<Oid>>(),
        author: forge.clone(),
        committer: forge,
        message: format!("Keys of epoch {}\n", snapshot.epoch),
    }
    .encode(None);
    let mut objects: Vec<Object> = blobs.into_iter().map(|(_, blob)| blob).collect();
    objects.push(root);
    (objects, commit)
}

const README: &str = "# The forge's own repository

Who the agents are, which projects there are, and every rating, as git refs:

    git log refs/forge/agents/<name>      an agent: its keys and tokens
    git log refs/forge/projects/<name>    a project's registry entry
    git log refs/forge/elo/antfarm        every rating change and what caused it
    git log --first-parent refs/forge/ledger   every batch, signed

`git clone --mirror` fetches all of it. `allowed_signers` holds the keys that sign ledger commits:

    git show main:allowed_signers > /tmp/allowed_signers
    git -c gpg.ssh.allowedSignersFile=/tmp/allowed_signers log --show-signature -1 refs/forge/ledger

This branch is generated; pushes to it are refused.
";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::Forge;
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_forge_whose_clock_fell_behind_starts_and_takes_writes_once_that_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicU64::new(10 * 86_400_000));
        let open = |accept_clock| {
            let mut config = Config::default();
            (config.data, config.accept_clock) = (dir.path().to_owned(), accept_clock);
            let time = time.clone();
            Forge::open_at(&config, Arc::new(move || time.load(Ordering::SeqCst)))
        };
        let end = |forge: Arc<Forge>| {
            forge.close();
            // Housekeeping may hold it for another moment.
            let mut forge = forge;
            while let Err(shared) = Arc::try_unwrap(forge) {
                forge = shared;
                std::thread::yield_now();
            }
        };
        let write = |forge: &Forge| {
            let set = |draft: &mut Draft| {
                let tip = draft.snapshot().ref_id(&main_branch());
                draft.set_ref(&RefName::branch("x").unwrap(), None, tip, None, None)
            };
            forge.root_repository().commit(set).map(drop)
        };
        end(open(false).unwrap());
        time.store(5 * 86_400_000, Ordering::SeqCst);
        let forge = open(false).unwrap();
        assert!(write(&forge).unwrap_err().why.contains("--accept-clock"));
        end(forge);
        let forge = open(true).unwrap();
        write(&forge).unwrap();
        end(forge);
    }
}
