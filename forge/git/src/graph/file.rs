//! One file of a commit-graph, in memory (`gitformat-commit-graph(5)`).
//!
//! Invariant: what [`File::parse`] accepted is whole and its tables have the sizes they must have; positions inside them
//! are checked at each use, because nothing but the writer vouches for them.

use std::ops::Range;

use notes_schema::Oid;

use super::bloom::{Filter, Settings};
use crate::pack::write::sha1;

const HEADER: usize = 8;
const FAN: usize = 256 * 4;
const DATA: usize = 36;
const NO_PARENT: u32 = 0x7000_0000;
const MORE: u32 = 0x8000_0000;
/// Most parents that a commit is believed to have.
/// Limit: parents of a commit in a commit-graph | {}
const MOST_PARENTS: usize = 65_536;

/// A commit as the file has it.
pub(super) struct Commit {
    pub tree: Oid,
    /// Positions in the whole graph.
    pub parents: Vec<u32>,
    pub seconds: i64,
    pub generation: u32,
}

#[derive(Debug)]
pub(super) struct File {
    bytes: Vec<u8>,
    count: u32,
    /// Commits here and in the layers below.
    total: u32,
    fan: Range<usize>,
    ids: Range<usize>,
    data: Range<usize>,
    edges: Range<usize>,
    filters: Option<Filters>,
}

#[derive(Debug)]
struct Filters {
    settings: Settings,
    ends: Range<usize>,
    bits: Range<usize>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl File {
    /// Takes a file that stands on the layers `bases`, which hold `below` commits.
    pub(super) fn parse(bytes: Vec<u8>, bases: &[Oid], below: u32) -> Result<File, &'static str> {
        let end = bytes.len().checked_sub(20).ok_or("it is too short")?;
        let header = bytes.get(..HEADER).ok_or("it is too short")?;
        if !header.starts_with(b"CGPH\x01\x01") {
            return Err("it is no commit-graph of version 1 with SHA-1");
        }
        if sha1(&bytes[..end]) != bytes[end..] {
            return Err("its checksum does not match its content");
        }
        let chunks = usize::from(header[6]);
        let chunk = |id: &[u8; 4]| (0..chunks).find_map(|n| chunk_at(&bytes[..end], n, id));
        let ids = chunk(b"OIDL").ok_or("it has no ids")?;
        let count =
            u32::try_from(ids.len() / 20).ok().filter(|&count| count < NO_PARENT).ok_or("it has too many commits")?;
        let total = below.checked_add(count).filter(|&total| total < NO_PARENT).ok_or("it has too many commits")?;
        let fan = chunk(b"OIDF").filter(|fan| fan.len() == FAN).ok_or("it has no fan-out")?;
        let data = chunk(b"CDAT").ok_or("it has no commits")?;
        if ids.len() != count as usize * 20 || data.len() != count as usize * DATA {
            return Err("its tables differ in length");
        }
        let steps: Vec<u32> = (0..256).filter_map(|n| word(&bytes, fan.start + n * 4)).collect();
        if steps.last() != Some(&count) || !steps.is_sorted() {
            return Err("its fan-out is not that of its ids");
        }
        let named = chunk(b"BASE").unwrap_or(0..0);
        let same = bases
            .iter()
            .enumerate()
            .all(|(n, id)| bytes.get(named.start + n * 20..named.start + n * 20 + 20) == Some(id.as_bytes()));
        if usize::from(header[7]) != bases.len() || named.len() != bases.len() * 20 || !same {
            return Err("it stands on other layers");
        }
        let edges = chunk(b"EDGE").unwrap_or(0..0);
        let filters = chunk(b"BIDX").zip(chunk(b"BDAT")).and_then(|(ends, bits)| {
            let settings = Settings::read(bytes.get(bits.start..bits.start + 12)?)?;
            let bits = bits.start + 12..bits.end;
            (ends.len() == count as usize * 4 && bits.start <= bits.end).then_some(Filters { settings, ends, bits })
        });
        Ok(File { count, total, fan, ids, data, edges, filters, bytes })
    }

    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The name under which a chain knows it.
    pub(super) fn checksum(&self) -> Oid {
        Oid::from_slice(&self.bytes[self.bytes.len() - 20..]).expect("invariant: parsed files end with 20 bytes")
    }

    pub(super) fn id(&self, at: u32) -> Option<Oid> {
        let start = self.ids.start + usize::try_from(at).ok().filter(|_| at < self.count)? * 20;
        Oid::from_slice(&self.bytes[start..start + 20])
    }

    pub(super) fn find(&self, id: Oid) -> Option<u32> {
        let first = usize::from(id.as_bytes()[0]);
        let fan = |n: usize| word(&self.bytes, self.fan.start + n * 4);
        let mut low = if first == 0 { 0 } else { fan(first - 1)? };
        let mut high = fan(first)?;
        while low < high {
            let middle = u32::midpoint(low, high);
            match self.id(middle)?.cmp(&id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// `None` where the file contradicts itself.
    pub(super) fn commit(&self, at: u32) -> Option<Commit> {
        let start = self.data.start + usize::try_from(at).ok().filter(|_| at < self.count)? * DATA;
        let row = &self.bytes[start..start + DATA];
        let (first, second, rest) = (word(row, 20)?, word(row, 24)?, long(row, 28)?);
        let mut parents = Vec::new();
        if first != NO_PARENT {
            parents.push(first);
        }
        if second & MORE != 0 {
            self.more_parents(second & !MORE, &mut parents)?;
        } else if second != NO_PARENT {
            parents.push(second);
        }
        if parents.iter().any(|&position| position >= self.total) {
            return None;
        }
        let seconds = i64::try_from(rest & 0x3_ffff_ffff).ok()?;
        Some(Commit { tree: Oid::from_slice(&row[..20])?, parents, seconds, generation: (rest >> 34) as u32 })
    }

    /// The position of a commit's first parent; `None` where it has none, or the file contradicts itself.
    pub(super) fn first_parent(&self, at: u32) -> Option<u32> {
        let row = self.data.start + usize::try_from(at).ok().filter(|_| at < self.count)? * DATA;
        word(&self.bytes, row + 20).filter(|&position| position < self.total)
    }

    fn more_parents(&self, from: u32, parents: &mut Vec<u32>) -> Option<()> {
        let edges = &self.bytes[self.edges.clone()];
        for n in 0..MOST_PARENTS {
            let edge = word(edges, (from as usize).checked_add(n)?.checked_mul(4)?)?;
            parents.push(edge & !MORE);
            if edge & MORE != 0 {
                return Some(());
            }
        }
        None
    }

    /// Which paths a commit changed, where the file says it.
    pub(super) fn filter(&self, at: u32) -> Option<Filter<'_>> {
        let filters = self.filters.as_ref()?;
        let end = |n: u32| word(&self.bytes[filters.ends.clone()], n as usize * 4).map(|end| end as usize);
        let from = if at == 0 { 0 } else { end(at - 1)? };
        let bits = self.bytes[filters.bits.clone()].get(from..end(at)?)?;
        (!bits.is_empty()).then_some(Filter { settings: filters.settings, bits })
    }
}

/// Where chunk `n` lies, if it is `id` and lies where chunks may.
fn chunk_at(content: &[u8], n: usize, id: &[u8; 4]) -> Option<Range<usize>> {
    let row = HEADER + n * 12;
    if content.get(row..row + 4)? != id {
        return None;
    }
    let (start, end) = (long(content, row + 4)?, long(content, row + 16)?);
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    (start <= end && end <= content.len()).then_some(start..end)
}
