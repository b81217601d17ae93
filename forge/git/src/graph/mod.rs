//! Commits without their objects: what walks need of them, from git's commit-graph where it stands there.
//!
//! [`Commits`] is what a walk asks: each commit is looked up once, and only those that no commit-graph holds are read as
//! objects. A graph is closed (whoever stands in it, so do its ancestors), hence one that stands in it never descends
//! from one that does not.
//!
//! Invariant: reads only. A file that is damaged, of another format or contradicts itself is ignored, with a line in the
//! log; answers are then the same, and slower.

mod bloom;
mod file;
pub mod keep;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use notes_schema::Oid;

use super::object::{Kind, Malformed, read_links};
use super::store::{Objects, ReadError};

pub use bloom::PathKeys;
use file::File;

/// Most layers of a chain that are opened.
/// Limit: layers of a commit-graph that is read | {}; a larger one is ignored
const MOST_LAYERS: usize = 64;
/// Most bytes of all layers together; a commit takes about 80.
/// Limit: commit-graph that is read, all layers together | {:bytes}; a larger one is ignored
const MOST_BYTES: u64 = 512 << 20;
/// The generation of a commit that no graph holds: above all that one does.
pub const UNKNOWN: u32 = u32::MAX;

/// What a walk needs of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its tree.
    pub tree: Oid,
    /// Its parents, in order.
    pub parents: Vec<Oid>,
    /// Committer time, seconds since 1970.
    pub seconds: i64,
    /// More than that of any parent; [`UNKNOWN`] where no graph says it.
    pub generation: u32,
}

/// Commits of `objects`, each from the commit-graph or else from its object.
pub struct Commits<'o, O: ?Sized> {
    objects: &'o O,
    graph: Option<Arc<Graph>>,
}

impl<'o, O: Objects + ?Sized> Commits<'o, O> {
    /// The graph is that of this moment, for as long as the value lives.
    pub fn new(objects: &'o O) -> Self {
        Commits { objects, graph: objects.graph() }
    }

    /// Where objects are read from.
    pub fn objects(&self) -> &'o O {
        self.objects
    }

    /// What is known of a commit.
    pub fn node(&self, id: Oid) -> Result<Node, ReadError> {
        if let Some(node) = self.graph.as_ref().and_then(|graph| graph.node(id)) {
            return Ok(node);
        }
        let object = self.objects.get_kind(id, Kind::Commit)?;
        read_node(&object.data).map_err(|source| ReadError::Malformed { id, source })
    }

    /// Whether one of `paths` may differ between a commit and its first parent (or nothing, for the first of all
    /// commits). `false` is sure.
    pub fn may_change(&self, id: Oid, paths: &PathKeys) -> bool {
        self.graph.as_ref().is_none_or(|graph| graph.may_change(id, paths))
    }

    /// Goes from `id` to its first parent, and on to that one's, as long as no commit on the way changes any of `paths`, and
    /// over at most `most` of them: the commit at which it ends, and how many were passed. A commit costs a look at its
    /// filter, where one by one it costs what a walk remembers of it.
    pub fn pass(&self, id: Oid, paths: &PathKeys, most: usize) -> (Oid, usize) {
        self.graph.as_ref().and_then(|graph| graph.pass(id, paths, most)).unwrap_or((id, 0))
    }
}

/// What a walk needs of the commit `data`.
pub(crate) fn read_node(data: &[u8]) -> Result<Node, Malformed> {
    let (tree, parents, seconds) = read_links(data)?;
    Ok(Node { tree, parents, seconds, generation: UNKNOWN })
}

/// The commit-graph of one repository: one file, or a chain of them.
#[derive(Debug)]
pub struct Graph {
    layers: Vec<Arc<File>>,
    /// How many commits the layers below each one hold.
    bases: Vec<u32>,
}

/// What the files of a commit-graph looked like when they were opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(u64, u64, i64, i64)>);

/// The single file, and the list of a chain's files; the first that is there counts.
const FILES: [&str; 2] = ["objects/info/commit-graph", "objects/info/commit-graphs/commit-graph-chain"];
/// With one of these commits have other parents than their objects say, which no graph knows.
const REWRITES: [&str; 2] = ["shallow", "info/grafts"];

impl Stamp {
    /// Of the repository in `git_dir`, now.
    pub(crate) fn of(git_dir: &Path) -> Stamp {
        let one = |name: &&str| match fs::metadata(git_dir.join(name)) {
            Ok(m) => (m.ino(), m.len(), m.mtime(), m.mtime_nsec()),
            Err(_) => (0, 0, 0, 0),
        };
        Stamp(FILES.iter().chain(&REWRITES).map(one).collect())
    }

    fn is_there(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|file| file.0 != 0)
    }
}

impl Graph {
    /// Opens what `stamp` found; `None` where there is nothing of use. Lowest layers that `old` has are not read again.
    pub(crate) fn open(git_dir: &Path, stamp: &Stamp, old: Option<&Graph>) -> Option<Graph> {
        if stamp.is_there(2) || stamp.is_there(3) {
            return None;
        }
        let alone = || read_layer(&git_dir.join(FILES[0]), &[], 0, &mut { MOST_BYTES });
        let mut layers: Vec<Arc<File>> = stamp.is_there(0).then(alone).flatten().into_iter().collect();
        if layers.is_empty() && stamp.is_there(1) {
            layers = read_chain(&git_dir.join(FILES[1]), old.map_or(&[], |old| &old.layers));
        }
        let bases = layers.iter().scan(0u32, |sum, layer| Some(std::mem::replace(sum, *sum + layer.len()))).collect();
        (!layers.is_empty()).then_some(Graph { layers, bases })
    }

    /// How many commits it holds.
    pub fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.len() as usize).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds a commit.
    pub fn contains(&self, id: Oid) -> bool {
        self.find(id).is_some()
    }

    /// What it holds of a commit.
    pub fn node(&self, id: Oid) -> Option<Node> {
        let (layer, at) = self.find(id)?;
        let commit = self.layers[layer].commit(at)?;
        let parents = commit.parents.iter().map(|&position| self.id_at(position)).collect::<Option<Vec<Oid>>>()?;
        // A generation of zero is one that an old git did not compute.
        let generation = if commit.generation == 0 { UNKNOWN } else { commit.generation };
        Some(Node { tree: commit.tree, parents, seconds: commit.seconds, generation })
    }

    fn may_change(&self, id: Oid, paths: &PathKeys) -> bool {
        self.find(id)
            .is_none_or(|(layer, at)| self.layers[layer].filter(at).is_none_or(|filter| paths.may_be_in(&filter)))
    }

    fn pass(&self, id: Oid, paths: &PathKeys, most: usize) -> Option<(Oid, usize)> {
        let (mut layer, mut at) = self.find(id)?;
        let mut passed = 0;
        // Where the file contradicts itself, first parents could go round for ever.
        while passed < most.min(self.len()) {
            let file = &self.layers[layer];
            if file.filter(at).is_none_or(|filter| paths.may_be_in(&filter)) {
                break;
            }
            let Some(parent) = file.first_parent(at) else { break };
            (layer, at) = self.place(parent)?;
            passed += 1;
        }
        Some((self.layers[layer].id(at)?, passed))
    }

    /// The newest layer is the smallest and the likeliest.
    fn find(&self, id: Oid) -> Option<(usize, u32)> {
        (0..self.layers.len()).rev().find_map(|layer| Some((layer, self.layers[layer].find(id)?)))
    }

    fn id_at(&self, position: u32) -> Option<Oid> {
        let (layer, at) = self.place(position)?;
        self.layers[layer].id(at)
    }

    /// The layer in which a position of the whole graph lies, and where there.
    fn place(&self, position: u32) -> Option<(usize, u32)> {
        let layer = self.bases.partition_point(|&base| base <= position).checked_sub(1)?;
        Some((layer, position - self.bases[layer]))
    }
}

/// The layers that the list names, lowest first, as far as they are good: each stands on those below it alone. A layer is
/// named by its content, so one of `old` on the same layers is the same.
fn read_chain(list: &Path, old: &[Arc<File>]) -> Vec<Arc<File>> {
    let mut layers: Vec<Arc<File>> = Vec::new();
    let Ok(names) = read_bounded(list, (MOST_LAYERS * 64) as u64) else { return layers };
    let (mut below, mut ids, mut room) = (0u32, Vec::new(), MOST_BYTES);
    for name in String::from_utf8_lossy(&names).lines() {
        let Ok(id) = name.parse::<Oid>() else { break };
        let path = list.with_file_name(format!("graph-{id}.graph"));
        let known = old.get(layers.len()).filter(|layer| layer.checksum() == id);
        let same = layers.iter().zip(old).all(|(layer, old)| Arc::ptr_eq(layer, old));
        let layer = match known.filter(|layer| same && layer.size() <= room) {
            Some(known) => {
                room -= known.size();
                Some(known.clone())
            }
            None => read_layer(&path, &ids, below, &mut room),
        };
        let Some(layer) = layer.filter(|layer| layer.checksum() == id) else { break };
        let Some(sum) = below.checked_add(layer.len()) else { break };
        below = sum;
        ids.push(id);
        layers.push(layer);
    }
    layers
}

fn read_layer(path: &Path, bases: &[Oid], below: u32, room: &mut u64) -> Option<Arc<File>> {
    let read = read_bounded(path, *room).map_err(|e| e.to_string());
    let layer = read.and_then(|bytes| {
        *room -= bytes.len() as u64;
        File::parse(bytes, bases, below).map(Arc::new).map_err(str::to_owned)
    });
    layer.inspect_err(|why| tracing::warn!(file = %path.display(), why, "a commit-graph is ignored")).ok()
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > most {
        return Err(io::Error::other(format!("it has {length} bytes, and {most} are read at most")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, most), &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
