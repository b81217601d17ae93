//! Stand-in until the real one is merged: takes a pack straight into the store's directory.

use crate::git::store::Store;

/// Stand-in.
pub struct Quarantine;

impl Quarantine {
    /// No objects.
    pub fn empty() -> Quarantine {
        Quarantine
    }
}

/// Stand-in.
#[derive(Default)]
pub struct Limits;

/// Stand-in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PackError(String);

/// Stand-in.
pub fn take(
    reader: &mut impl std::io::Read,
    store: &Store,
    _limits: &Limits,
    progress: &mut dyn FnMut(&str),
) -> Result<Quarantine, PackError> {
    progress("Unpacking objects");
    let lookup = store.gix().objects.clone();
    gix_pack::Bundle::write_to_directory(
        &mut std::io::BufReader::new(reader),
        Some(&store.git_dir().join("objects/pack")),
        &mut gix::progress::Discard,
        &std::sync::atomic::AtomicBool::new(false),
        Some(lookup),
        gix::hash::Kind::Sha1,
        gix_pack::bundle::write::Options::default(),
    )
    .map_err(|e| PackError(e.to_string()))?;
    Ok(Quarantine)
}
