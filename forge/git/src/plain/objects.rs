//! The objects of an accepted push, moved into the repository as git itself keeps them.
//!
//! Few become loose objects, as `receive.unpackLimit` has it: a pack for each push would be more packs than anybody can
//! search. Many stay the pack that they came in.
//!
//! Invariant: everything is on disk when [`land`] returns, and nothing is visible before its bytes are.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notes_schema::{Oid, names::hex};
use tempfile::NamedTempFile;

use crate::disk::sync_dir;
use crate::object::Object;
use crate::pack::intake::{Kept, Quarantine};
use crate::pack::write::Builder;
use crate::zlib;

/// Keeps the objects of `quarantine` in the repository `git_dir`; fewer than `unpack_limit` of them as loose ones.
pub(super) fn land(quarantine: Quarantine, git_dir: &Path, unpack_limit: u64) -> io::Result<()> {
    let packs = git_dir.join("objects/pack");
    match quarantine.into_kept() {
        Kept::Memory(objects) if objects.is_empty() => Ok(()),
        Kept::Memory(objects) if (objects.len() as u64) < unpack_limit => unpack(&objects, &git_dir.join("objects")),
        Kept::Memory(objects) => {
            let mut builder = Builder::default();
            objects.iter().for_each(|(id, object)| builder.add(*id, object));
            let pack = builder.finish();
            let name = format!("pack-{}", hex(&pack.checksum));
            let pack_file = temporary(&packs, "tmp_pack_", &pack.pack)?;
            let index_file = temporary(&packs, "tmp_idx_", &pack.index)?;
            // Readers look for indexes, so the pack has to be there first.
            pack_file.persist(packs.join(format!("{name}.pack"))).map_err(|e| e.error)?;
            index_file.persist(packs.join(format!("{name}.idx"))).map_err(|e| e.error)?;
            sync_dir(&packs)
        }
        Kept::Directory(pack) => pack.land_as_git_does(&packs).map(drop),
    }
}

/// A file that is on disk and waits for its name.
fn temporary(dir: &Path, prefix: &str, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(prefix).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(0o444))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn unpack(objects: &[(Oid, Object)], dir: &Path) -> io::Result<()> {
    let mut waiting: Vec<(NamedTempFile, PathBuf)> = Vec::new();
    let mut touched = BTreeSet::new();
    let mut deflated = Vec::new();
    for (id, object) in objects {
        let id = id.to_string();
        let fan = dir.join(&id[..2]);
        let path = fan.join(&id[2..]);
        if is_kept_fresh(&path) {
            continue;
        }
        match fs::create_dir(&fan) {
            Ok(()) => drop(touched.insert(dir.to_owned())),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && fs::symlink_metadata(&fan)?.is_dir() => {}
            Err(e) => return Err(e),
        }
        let mut file = tempfile::Builder::new().prefix("tmp_obj_").tempfile_in(&fan)?;
        let mut whole = format!("{} {}\0", object.kind.as_str(), object.data.len()).into_bytes();
        whole.extend_from_slice(&object.data);
        deflated.clear();
        zlib::deflate(&whole, &mut deflated);
        file.write_all(&deflated)?;
        file.as_file().set_permissions(Permissions::from_mode(0o444))?;
        touched.insert(fan);
        waiting.push((file, path));
    }
    // All are written before the first is waited for, so that the disk may take them together.
    waiting.iter().try_for_each(|(file, _)| file.as_file().sync_all())?;
    for (file, path) in waiting {
        file.persist(path).map_err(|e| e.error)?;
    }
    touched.iter().try_for_each(|dir| sync_dir(dir))
}

/// Whether the object is there already; its time is renewed, so that another process does not prune it as old.
fn is_kept_fresh(path: &Path) -> bool {
    File::open(path).and_then(|file| file.set_modified(SystemTime::now())).is_ok()
}
