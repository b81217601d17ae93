//! Where gix's merges read and write: the store, and in front of it what they make.
//!
//! Invariant: what is written stays in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use gix::objs::{Data, Exists, Find, FindHeader, Header, Write};
use notes_schema::Oid;

use crate::object::{self, Kind, Object};
use crate::store::{Objects as _, ReadError, Store};

/// Most bytes of trees and commits that are kept: a merge reads them again and again.
/// Limit: trees and commits that one merge keeps | {:bytes}
const MOST_KEPT: usize = 4 << 20;

pub(super) struct Scratch<'a> {
    store: &'a Store,
    made: RefCell<HashMap<Oid, Object>>,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    objects: HashMap<Oid, Object>,
    bytes: usize,
}

impl<'a> Scratch<'a> {
    pub(super) fn over(store: &'a Store) -> Scratch<'a> {
        Scratch { store, made: RefCell::default(), kept: RefCell::default() }
    }

    /// What was written.
    pub(super) fn into_made(self) -> HashMap<Oid, Object> {
        self.made.into_inner()
    }

    /// The object, `None` where it is missing.
    fn object(&self, id: Oid) -> gix::Result<Option<Object>> {
        if let Some(object) = self.made.borrow().get(&id).or(self.kept.borrow().objects.get(&id)) {
            return Ok(Some(object.clone()));
        }
        if object::to_gix(id).is_empty_tree() {
            return Ok(Some(Object::new(Kind::Tree, Vec::new())));
        }
        let object = match self.store.get(id) {
            Ok(object) => object,
            Err(ReadError::Missing(_)) => return Ok(None),
            Err(error) => return Err(gix::Error::from_error(error)),
        };
        let mut kept = self.kept.borrow_mut();
        if object.kind != Kind::Blob && kept.bytes + object.data.len() <= MOST_KEPT {
            kept.bytes += object.data.len();
            kept.objects.insert(id, object.clone());
        }
        Ok(Some(object))
    }

    fn keep(&self, kind: gix::objs::Kind, data: &[u8], id: gix::ObjectId) -> gix::ObjectId {
        self.made.borrow_mut().insert(object::from_gix(&id), Object::new(kind.into(), data.to_vec()));
        id
    }
}

impl Find for Scratch<'_> {
    fn try_find<'b>(&self, id: &gix::oid, buffer: &'b mut Vec<u8>) -> gix::Result<Option<Data<'b>>> {
        let Some(object) = self.object(object::from_gix(id))? else { return Ok(None) };
        buffer.clear();
        buffer.extend_from_slice(&object.data);
        Ok(Some(Data { kind: object.kind.into(), object_hash: gix::hash::Kind::Sha1, data: buffer }))
    }
}

impl FindHeader for Scratch<'_> {
    fn try_header(&self, id: &gix::oid) -> gix::Result<Option<Header>> {
        let id = object::from_gix(id);
        if let Some(object) = self.made.borrow().get(&id) {
            return Ok(Some(Header { kind: object.kind.into(), size: object.data.len() as u64 }));
        }
        let header = self.store.header(id).map_err(gix::Error::from_error)?;
        Ok(header.map(|(kind, size)| Header { kind: kind.into(), size }))
    }
}

impl Exists for Scratch<'_> {
    fn exists(&self, id: &gix::oid) -> bool {
        let id = object::from_gix(id);
        self.made.borrow().contains_key(&id) || self.store.contains(id)
    }
}

impl Write for Scratch<'_> {
    fn write_buf(&self, kind: gix::objs::Kind, data: &[u8]) -> gix::Result<gix::ObjectId> {
        let id = object::hash(kind.into(), data).map_err(gix::Error::from_error)?;
        Ok(self.keep(kind, data, object::to_gix(id)))
    }

    fn write_buf_with_known_id(
        &self,
        kind: gix::objs::Kind,
        data: &[u8],
        id: gix::ObjectId,
    ) -> gix::Result<gix::ObjectId> {
        Ok(self.keep(kind, data, id))
    }

    fn write_stream(&self, kind: gix::objs::Kind, _size: u64, from: &mut dyn io::Read) -> gix::Result<gix::ObjectId> {
        let mut data = Vec::new();
        from.read_to_end(&mut data).map_err(gix::Error::from_error)?;
        self.write_buf(kind, &data)
    }

    fn write_stream_with_known_id(
        &self,
        kind: gix::objs::Kind,
        _size: u64,
        from: &mut dyn io::Read,
        id: gix::ObjectId,
    ) -> gix::Result<gix::ObjectId> {
        let mut data = Vec::new();
        from.read_to_end(&mut data).map_err(gix::Error::from_error)?;
        Ok(self.keep(kind, &data, id))
    }
}
