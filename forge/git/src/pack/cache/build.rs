//! Building a cached pack on a thread of its own.
//!
//! Invariant: whatever becomes of a builder, those who follow it hear of its end, and the next who asks starts anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use notes_schema::Oid;
use tempfile::NamedTempFile;

use super::file::{self, Facts};
use super::growth::{Grower, Growth};
use super::{BUILDS, Base, CacheError, Found, PackCache, Wish};
use crate::pack::emit::{self, EmitError, Written};

/// Starts a builder, or finds what somebody else has started or made meanwhile. Nothing when there is no room for it.
pub(super) fn start(cache: &Arc<PackCache>, name: &str, wish: &Wish, base: Option<Base>) -> Found {
    let mut state = cache.state();
    if let Some(growth) = state.growing.get(name) {
        return Found::Growing(growth.clone());
    }
    if let Some(ready) = state.ready.get(name) {
        return Found::Ready(ready.clone());
    }
    if state.growing.len() >= BUILDS || state.unfit.contains(&wish.key.family) {
        return Found::Nothing;
    }
    let (temporary, file) = match temporary(cache) {
        Ok(made) => made,
        Err(error) => return not_cached(&error),
    };
    let growth = Arc::new(Growth::new(file));
    let building = Building { cache: cache.clone(), name: name.to_owned(), growth: growth.clone() };
    let wish = wish.clone();
    state.growing.insert(name.to_owned(), growth.clone());
    drop(state);
    // A thread that cannot be started drops `building`, which tells whoever waits.
    let thread = std::thread::Builder::new().name("pack-cache".to_owned());
    match thread.spawn(move || building.run(&wish, base, temporary)) {
        Ok(_) => Found::Growing(growth),
        Err(error) => not_cached(&error),
    }
}

fn temporary(cache: &PackCache) -> io::Result<(NamedTempFile, File)> {
    fs::create_dir_all(&cache.dir)?;
    let temporary = tempfile::Builder::new().prefix(file::TEMPORARY).tempfile_in(&cache.dir)?;
    let file = temporary.as_file().try_clone()?;
    Ok((temporary, file))
}

fn not_cached(why: &io::Error) -> Found {
    tracing::warn!("a clone is not cached: {why}");
    Found::Nothing
}

/// A pack under construction. Dropped before its time, it leaves an error to those who follow.
struct Building {
    cache: Arc<PackCache>,
    name: String,
    growth: Arc<Growth>,
}

impl Building {
    fn run(self, wish: &Wish, base: Option<Base>, temporary: NamedTempFile) {
        let mut out = Grower::new(&self.growth);
        match self.make(wish, base, &mut out) {
            Ok((written, ids)) => {
                let ids = file::encode_ids(ids);
                let (crc32, ids_crc32) = (out.crc32(), crc32fast::hash(&ids));
                let facts = Facts { key: wish.key.clone(), written, crc32, ids_crc32 };
                if let Err(error) = self.keep(facts, &ids, temporary) {
                    tracing::warn!("a clone is not cached: {error}");
                }
                self.leave();
                self.growth.finish(written);
            }
            Err(error) => {
                tracing::warn!("a clone could not be built: {error}");
                if matches!(error, CacheError::Emit(EmitError::Out(_))) {
                    self.cache.state().set_unfit(&wish.key.family);
                }
                self.leave();
                self.growth.fail(&error.to_string());
            }
        }
    }

    /// Writes the pack; what was written, and the ids of all in it.
    fn make(&self, wish: &Wish, base: Option<Base>, out: &mut dyn Write) -> Result<(Written, Vec<Oid>), CacheError> {
        let mut progress = |line: &str| self.growth.say(line);
        let (written, selection, mut ids) = match base {
            Some(Base { facts, file, selection }) => {
                let ids = file::ids(&file, &facts)?;
                (self.cache.extended(wish, &facts, &file, &selection, out, &mut progress)?, selection, ids)
            }
            None => {
                let selection = (wish.select)(&[])?;
                let options = wish.key.options(false);
                (emit::write(&wish.store, &selection, &options, out, &mut progress)?, selection, Vec::new())
            }
        };
        ids.extend(selection.objects.iter().map(|object| object.id));
        Ok((written, ids))
    }

    /// Lets the next who asks start anew.
    fn leave(&self) {
        let mut state = self.cache.state();
        if state.growing.get(&self.name).is_some_and(|growth| Arc::ptr_eq(growth, &self.growth)) {
            state.growing.remove(&self.name);
        }
    }

    fn keep(&self, facts: Facts, ids: &[u8], temporary: NamedTempFile) -> io::Result<()> {
        if facts.file_bytes() > self.cache.max_bytes {
            self.cache.state().set_unfit(&facts.key.family);
            return Ok(());
        }
        let behind = [ids, &facts.encode()].concat();
        temporary.as_file().write_all_at(&behind, facts.written.bytes)?;
        let mut state = self.cache.state();
        temporary.persist(self.cache.dir.join(&self.name)).map_err(|e| e.error)?;
        state.insert(facts, true);
        self.cache.evict(&mut state);
        Ok(())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.leave();
        self.growth.fail("its builder ended without a word");
    }
}
