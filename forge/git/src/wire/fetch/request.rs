//! What a client asks for when it fetches, in whichever version of the protocol.
//!
//! Invariant: nothing is looked up here. Sizes were bounded by the reader of the lines; ids and numbers are checked.

use notes_schema::Oid;

use super::super::{FetchOffer, WireError, pktline};
use crate::select::filter::{Filter, Part};
use crate::select::ids::IdSet;

/// The most refs that one request names.
/// Limit: refs that one fetch names | {}
const MOST_NAMES: usize = 100_000;

/// Which packets the client reads a pack from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Band {
    /// None: the pack is the stream.
    #[default]
    Bare,
    /// Of up to 1000 bytes.
    Small,
    /// Of up to 65520 bytes.
    Large,
}

/// How much of a negotiation the client wants to be told (v0, v1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiAck {
    /// The first common object.
    #[default]
    Single,
    /// Every common object.
    Multi,
    /// Every common object, and when there is enough.
    Detailed,
}

/// How much history the client wants.
#[derive(Debug, Clone, Default)]
pub struct Deepen {
    /// So many commits from the wants, or from where it is cut now.
    pub depth: Option<u32>,
    /// Whether [`Deepen::depth`] counts from where it is cut now.
    pub relative: bool,
    /// Commits since then, in seconds since 1970.
    pub since: Option<i64>,
    /// None that these refs reach, as the client names them.
    pub not: Vec<String>,
}

impl Deepen {
    /// Whether anything is asked for.
    pub fn is_asked(&self) -> bool {
        self.depth.is_some() || self.by_date_or_ref()
    }

    /// Whether what is asked for is decided by dates or refs.
    pub fn by_date_or_ref(&self) -> bool {
        self.since.is_some() || !self.not.is_empty()
    }
}

/// A fetch.
#[derive(Debug, Default)]
pub struct Request {
    /// Objects by id, each once.
    pub wants: Vec<Oid>,
    /// Refs by name (v2).
    pub want_refs: Vec<String>,
    /// What the client has (v2; later in v0 and v1).
    pub haves: Vec<Oid>,
    /// Where its history is cut.
    pub shallow: Vec<Oid>,
    /// Where it is to be cut.
    pub deepen: Deepen,
    /// What it wants left out.
    pub filter: Filter,
    /// No more haves follow (v2).
    pub done: bool,
    /// Deltas may refer to what it has.
    pub thin_pack: bool,
    /// Deltas may refer to offsets.
    pub ofs_delta: bool,
    /// It wants no progress.
    pub no_progress: bool,
    /// Tags follow what they point at.
    pub include_tag: bool,
    /// Haves alone are enough of a request, and never enough for a pack (v2).
    pub wait_for_done: bool,
    /// A pack may follow before the client says that it is done (v0, v1).
    pub no_done: bool,
    /// The whole answer goes over the side-band (v2).
    pub sideband_all: bool,
    /// How it reads the pack.
    pub band: Band,
    /// How it negotiates (v0, v1).
    pub multi_ack: MultiAck,
    /// Its lines as they came, framed.
    pub lines: Vec<u8>,
    /// What names the blob of a `sparse:oid` filter.
    pub sparse: Option<String>,
    known: IdSet,
    filtered: bool,
    may_filter: bool,
}

impl Request {
    /// Reads the arguments of v2's `fetch`, framed. What is in it before an error is kept.
    pub fn version2(&mut self, lines: Vec<u8>, offer: &FetchOffer) -> Result<(), WireError> {
        self.band = Band::Large;
        self.may_filter = offer.filters.served;
        for line in pktline::payloads(&lines).map(pktline::text) {
            match line {
                b"done" => self.done = true,
                b"thin-pack" => self.thin_pack = true,
                b"ofs-delta" => self.ofs_delta = true,
                b"no-progress" => self.no_progress = true,
                b"include-tag" => self.include_tag = true,
                b"wait-for-done" => self.wait_for_done = true,
                b"deepen-relative" => self.deepen.relative = true,
                b"sideband-all" if offer.sideband_all => self.sideband_all = true,
                _ => match split(line) {
                    (b"want", id) => self.want(id)?,
                    (b"have", id) => self.haves.push(oid(id)?),
                    (b"want-ref", name) if offer.want_ref => name_to(&mut self.want_refs, name)?,
                    _ => self.option(line, offer)?,
                },
            }
        }
        self.lines = lines;
        Ok(())
    }

    /// Reads one line of the first part of a conversation under v0 or v1.
    pub fn version0_line(&mut self, line: &[u8], offer: &FetchOffer) -> Result<(), WireError> {
        let (b"want", rest) = split(line) else {
            return self.option(line, offer);
        };
        let (id, capabilities) = split(rest);
        if self.wants.is_empty() {
            for word in capabilities.split(|&b| b == b' ') {
                self.capability(word, offer)?;
            }
        } else if !capabilities.is_empty() {
            return Err(unexpected(line));
        }
        self.want(id)
    }

    fn capability(&mut self, word: &[u8], offer: &FetchOffer) -> Result<(), WireError> {
        match word {
            b"multi_ack_detailed" => self.multi_ack = MultiAck::Detailed,
            b"multi_ack" if self.multi_ack == MultiAck::Single => self.multi_ack = MultiAck::Multi,
            b"side-band-64k" => self.band = Band::Large,
            b"side-band" if self.band == Band::Bare => self.band = Band::Small,
            b"thin-pack" => self.thin_pack = true,
            b"ofs-delta" => self.ofs_delta = true,
            b"no-progress" => self.no_progress = true,
            b"include-tag" => self.include_tag = true,
            b"no-done" => self.no_done = true,
            b"deepen-relative" => self.deepen.relative = true,
            b"filter" => self.may_filter = offer.filters.served,
            _ => match word.strip_prefix(b"object-format=") {
                Some(b"sha1") | None => {}
                Some(other) => return Err(super::wrong_format(&String::from_utf8_lossy(other))),
            },
        }
        Ok(())
    }

    /// Lines that all versions know.
    fn option(&mut self, line: &[u8], offer: &FetchOffer) -> Result<(), WireError> {
        match split(line) {
            (b"shallow", id) => self.shallow.push(oid(id)?),
            (b"deepen", depth) => {
                let depth = number(depth).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=INFINITE).contains(n));
                self.deepen.depth = Some(depth.ok_or_else(|| unexpected(line))?);
            }
            (b"deepen-since", time) => self.deepen.since = Some(number(time).ok_or_else(|| unexpected(line))?),
            (b"deepen-not", name) if !name.is_empty() => name_to(&mut self.deepen.not, name)?,
            (b"filter", spec) => self.filter(spec, line, offer)?,
            _ => return Err(unexpected(line)),
        }
        if self.deepen.depth.is_some() && self.deepen.by_date_or_ref() {
            return refused("deepen and deepen-since (or deepen-not) cannot be used together");
        }
        Ok(())
    }

    fn filter(&mut self, spec: &[u8], line: &[u8], offer: &FetchOffer) -> Result<(), WireError> {
        if !offer.filters.served {
            return Err(unexpected(line));
        }
        if !self.may_filter {
            return refused("filtering capability not negotiated");
        }
        if std::mem::replace(&mut self.filtered, true) {
            return refused("multiple filter-specs cannot be combined");
        }
        let mut parts = Vec::new();
        let read = Filter::parse(&String::from_utf8_lossy(spec), |part| parts.push(part));
        self.filter = read.map_err(|e| WireError::Refused(format!("upload-pack: {e}")))?;
        parts.iter().try_for_each(|part| served(part, offer))?;
        let alone = parts.len() == 1;
        self.sparse = parts.into_iter().find_map(|part| part.blob);
        if self.sparse.is_some() && !alone {
            refused("sparse:oid cannot be combined with other filters")
        } else {
            Ok(())
        }
    }

    fn want(&mut self, id: &[u8]) -> Result<(), WireError> {
        let id = oid(id)?;
        if self.known.insert(id) {
            self.wants.push(id);
        }
        Ok(())
    }
}

/// The depth that stands for all there is.
pub const INFINITE: u32 = 0x7fff_ffff;

fn served(part: &Part, offer: &FetchOffer) -> Result<(), WireError> {
    if offer.filters.refused.iter().any(|name| name == part.name) {
        return Err(WireError::Refused(format!("filter '{}' not supported", part.name)));
    }
    match (part.depth, offer.filters.tree_depth) {
        (Some(asked), Some(most)) if asked > most => {
            Err(WireError::Refused(format!("tree filter allows max depth {most}, but got {asked}")))
        }
        _ => Ok(()),
    }
}

fn refused<T>(why: &str) -> Result<T, WireError> {
    Err(WireError::Refused(format!("upload-pack: {why}")))
}

fn name_to(names: &mut Vec<String>, name: &[u8]) -> Result<(), WireError> {
    names.push(String::from_utf8_lossy(name).into_owned());
    if names.len() > MOST_NAMES { refused("more refs are named than one request may name") } else { Ok(()) }
}

/// The first word and the rest.
pub fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&b| b == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

/// An id as clients write it.
pub fn oid(hex: &[u8]) -> Result<Oid, WireError> {
    let text = String::from_utf8_lossy(hex);
    text.parse().map_err(|e: notes_schema::NameError| WireError::Refused(format!("upload-pack: {e}")))
}

fn number(text: &[u8]) -> Option<i64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The refusal of a line that has no business where it stands.
pub fn unexpected(line: &[u8]) -> WireError {
    WireError::Refused(format!("upload-pack: unexpected line: `{}`", String::from_utf8_lossy(line)))
}
