//! Whether objects that are no tips may be fetched: a partial clone asks for the blobs and trees that it left out, and
//! people ask for a commit by its id.
//!
//! Invariant: an object is as visible as the refs that reach it, and not more. What only a hidden, replaced or refused
//! push left in the store is answered like what never existed.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::Oid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::stock::Running;
use super::{Advertisement, Host, Service, WireError};
use crate::object::Kind;

/// The most objects that one search visits.
const MAX_VISITED: u64 = 50_000_000;

/// The first of `ids` that no shown ref reaches.
pub async fn unreachable(host: &Arc<dyn Host>, mut ids: BTreeSet<Oid>) -> Result<Option<Oid>, WireError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let (asked, sought) = (host.clone(), ids.clone());
    let absent_or_commits = super::blocking(move || look(&*asked, &sought)).await?;
    let only_commits = match absent_or_commits {
        Err(absent) => return Ok(Some(absent)),
        Ok(only_commits) => only_commits,
    };
    let shown = super::advertisement(host, Service::UploadPack, Vec::new()).await?;
    if !only_commits {
        // What a checkout lacks is nearly always in the trees of a branch's tip, which needs no walk through history.
        let code = tips(&shown, |name| name.starts_with("refs/heads/"));
        walk(host, &["--objects", "--no-object-names", "--no-walk"], &code, &mut ids).await?;
    }
    if !ids.is_empty() {
        let options: &[&str] =
            if only_commits { &[] } else { &["--objects", "--no-object-names", "--in-commit-order"] };
        walk(host, options, &tips(&shown, |_| true), &mut ids).await?;
    }
    Ok(ids.first().copied())
}

/// An id that the store lacks, or whether all are commits.
fn look(host: &dyn Host, ids: &BTreeSet<Oid>) -> Result<bool, Oid> {
    let store = host.store();
    let mut only_commits = true;
    for &id in ids {
        match store.kind(id) {
            Ok(Some(kind)) => only_commits &= kind == Kind::Commit,
            // What cannot be read cannot be served either.
            Ok(None) | Err(_) => return Err(id),
        }
    }
    Ok(only_commits)
}

fn tips(shown: &Advertisement, choose: impl Fn(&str) -> bool) -> Vec<u8> {
    let chosen = shown.refs.iter().filter(|r| choose(r.name.as_str()));
    chosen.flat_map(|r| format!("{}\n", r.id).into_bytes()).collect()
}

/// Strikes from `ids` what a walk from `tips` meets, and stops once none is left.
async fn walk(host: &Arc<dyn Host>, options: &[&str], tips: &[u8], ids: &mut BTreeSet<Oid>) -> Result<(), WireError> {
    let mut run = Running::rev_list(host.git_dir(), options)?;
    let (mut stdin, stdout) = run.pipes()?;
    let feed = async move {
        // A child that has died says why on its error stream.
        let _ = stdin.write_all(tips).await;
    };
    let read = async {
        let mut lines = BufReader::new(stdout).lines();
        let mut visited = 0;
        while !ids.is_empty() && visited < MAX_VISITED {
            let Some(line) = lines.next_line().await? else {
                return Ok(true);
            };
            if let Ok(id) = line.parse::<Oid>() {
                ids.remove(&id);
            }
            visited += 1;
        }
        Ok::<_, WireError>(false)
    };
    let ((), exhausted) = tokio::join!(feed, read);
    if exhausted? { run.finish().await } else { Ok(()) }
}
