//! Writes the pack of a selection: whole objects.
//!
//! Invariant: reads one object at a time.

use std::io::Write;

use super::write::{sha1, whole_entry};
use crate::select::Selection;
use crate::store::{Objects as _, ReadError, Store};

/// How a pack may be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether deltas may refer to objects that the client has.
    pub thin: bool,
    /// Whether deltas may refer to offsets.
    pub ofs_delta: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Objects.
    pub objects: usize,
}

/// Why no pack was written.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// An object cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Whoever takes the pack is gone.
    #[error("the pack cannot be passed on: {0}")]
    Io(#[from] std::io::Error),
}

/// Writes a complete pack.
pub fn write(
    store: &Store,
    selection: &Selection,
    _options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&str),
) -> Result<Written, EmitError> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&(selection.objects.len() as u32).to_be_bytes());
    for one in &selection.objects {
        whole_entry(&mut pack, &store.get_kind(one.id, one.kind)?);
    }
    let trailer = sha1(&pack);
    out.write_all(&pack)?;
    out.write_all(&trailer)?;
    progress(&format!("Total {0} (delta 0), reused 0 (delta 0), pack-reused 0", selection.objects.len()));
    Ok(Written { objects: selection.objects.len() })
}
