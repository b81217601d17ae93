//! The filters of a data directory, on disk: two files for each project, the newer of which grows.
//!
//! A search reads both in full, in order, which is cheap beside reading files; so nothing of them stays in memory, and they may
//! be deleted at any time. What it met for the first time it appends. A file that is full takes the place of the older one.
//!
//! ```text
//! file:    "forge trigrams 1", then frames
//! frame:   length (u32) and CRC-32 of what follows (u32), then entries
//! entry:   id of the blob (20 bytes), bytes of its filter or what it is instead (u32), its filter
//! ```
//!
//! Invariant: never truth. A frame is believed whole, by its checksum, or it is where the file ends: what was damaged or cut off
//! is read again by the next search, which writes over it.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use notes_schema::{Oid, ProjectName};

use super::demand::Demand;
use super::{LARGEST, filter};

/// How a file begins. Change it with the form, and with what counts as binary or too large.
const MAGIC: &[u8; 16] = b"forge trigrams 1";
/// Bytes before what is in a frame.
const HEAD: usize = 8;
/// Bytes before a filter.
const ENTRY: usize = 24;
/// Instead of a length: a file that is not text, and one that is too large to be looked into.
const BINARY: u32 = u32::MAX;
const TOO_LARGE: u32 = u32::MAX - 1;
/// So much is gathered before it is appended.
const FRAME: usize = 1 << 20;
/// Largest file; there are two of each project.
/// Limit: filters of trigrams that a project keeps, twice | {:bytes}; then what was not learned lately is forgotten
const MOST_OF_ONE: u64 = 128 << 20;
/// Most files of which a search knows something before it reads them.
/// Limit: files that a `grep` knows the trigrams of, in one project | {}; others it reads
const MOST_KNOWN: usize = 1 << 20;
/// What the older file is called, behind the name of the project.
const OLDER: &str = ".old";

/// Where the filters of a data directory are.
#[derive(Debug)]
pub struct Trigrams {
    dir: PathBuf,
    /// Most bytes of all files together; with 0 there are none.
    most: u64,
    most_of_one: u64,
    /// The bytes of all files, once they were counted; held by whoever writes.
    total: Mutex<Option<u64>>,
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no match in it.
    RuledOut,
    /// There may be.
    MayMatch,
    /// It is too large to be looked into.
    TooLarge,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Text, all of it.
    Text(&'a [u8]),
    /// Anything else.
    Binary,
    /// It was not looked into.
    TooLarge,
}

impl Trigrams {
    /// Those in `dir`, which is made with the first of them, at most `most` bytes in all.
    pub fn new(dir: PathBuf, most: u64) -> Trigrams {
        Trigrams { dir, most, most_of_one: MOST_OF_ONE.min(most / 4), total: Mutex::default() }
    }

    /// Reads what is known of the files of a project, as far as it matters to `demand`. Blocks.
    pub fn sieve<'a>(&'a self, project: &'a ProjectName, demand: &Demand) -> Sieve<'a> {
        let mut sieve = Sieve {
            of: self,
            project,
            known: HashMap::new(),
            upto: (0, 0),
            frame: vec![0; HEAD],
            learns: self.most > 0,
        };
        for older in [true, false].into_iter().filter(|_| self.most > 0) {
            let mut note = |id, what: u32, filter: &[u8]| {
                let verdict = match what {
                    TOO_LARGE => Verdict::TooLarge,
                    BINARY => Verdict::RuledOut,
                    _ if demand.is_met(filter) => Verdict::MayMatch,
                    _ => Verdict::RuledOut,
                };
                if sieve.known.len() < MOST_KNOWN {
                    sieve.known.insert(id, verdict);
                }
            };
            match read(&self.path(project, older), &mut note) {
                Ok(upto) => sieve.upto = upto,
                Err(error) => {
                    tracing::warn!(%project, %error, "what is known of its files cannot be read: they are read themselves");
                    sieve.learns = false;
                }
            }
        }
        sieve
    }

    fn path(&self, project: &ProjectName, older: bool) -> PathBuf {
        self.dir.join(format!("{project}{}", if older { OLDER } else { "" }))
    }

    fn writing(&self) -> MutexGuard<'_, Option<u64>> {
        self.total.lock().expect("invariant: no panic under this lock")
    }

    /// Appends a frame. `upto` is how long the file was when it was read, and how much of it was good; nobody else cuts it
    /// off there before somebody appends, and whoever does goes first.
    fn append(&self, project: &ProjectName, frame: &[u8], upto: (u64, u64)) -> io::Result<()> {
        let mut total = self.writing();
        DirBuilder::new().mode(0o700).recursive(true).create(&self.dir)?;
        let path = self.path(project, false);
        let open = || File::options().append(true).create(true).mode(0o600).open(&path);
        let mut file = open()?;
        let mut len = file.metadata()?.len();
        if len == upto.0 && upto.1 < len {
            tracing::info!(%project, "what is known of its files is damaged behind {} of {len} bytes", upto.1);
            file.set_len(upto.1)?;
            len = upto.1;
        }
        if len + frame.len() as u64 > self.most_of_one {
            fs::rename(&path, self.path(project, true))?;
            (file, len) = (open()?, 0);
            *total = None;
        }
        let head: &[u8] = if len == 0 { MAGIC } else { &[] };
        if let Err(error) = file.write_all(head).and_then(|()| file.write_all(frame)) {
            // Behind half a frame nothing would be found.
            file.set_len(len)?;
            return Err(error);
        }
        let known = total.map(|known| known + (head.len() + frame.len()) as u64);
        *total = Some(known.map_or_else(|| self.make_room(u64::MAX), Ok)?);
        if total.is_some_and(|total| total > self.most) {
            *total = Some(self.make_room(self.most / 4 * 3)?);
        }
        Ok(())
    }

    /// Removes files until no more than `most` bytes are left, those first that were not written to for longest; how many are
    /// left.
    fn make_room(&self, most: u64) -> io::Result<u64> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            files.push((meta.modified()?, meta.len(), entry.path()));
        }
        files.sort();
        let mut left = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if left <= most {
                break;
            }
            fs::remove_file(path)?;
            left -= len;
        }
        Ok(left)
    }
}

/// A search of one project under way: says which files it need not read, and keeps what it learns of those that it read.
pub struct Sieve<'a> {
    of: &'a Trigrams,
    project: &'a ProjectName,
    known: HashMap<Oid, Verdict>,
    /// How long the newer file is, and how much of it is good.
    upto: (u64, u64),
    /// What is not yet appended, behind room for its head.
    frame: Vec<u8>,
    learns: bool,
}

impl Sieve<'_> {
    /// What is known of a blob; `None` if nothing.
    pub fn verdict(&self, id: Oid) -> Option<Verdict> {
        self.known.get(&id).copied()
    }

    /// Keeps what a blob of which nothing is known turned out to be.
    pub fn learn(&mut self, id: Oid, content: Content) {
        if !self.learns || self.known.insert(id, Verdict::MayMatch).is_some() {
            return;
        }
        self.frame.extend_from_slice(id.as_bytes());
        let at = self.frame.len();
        self.frame.extend_from_slice(&[0; 4]);
        let what = match content {
            Content::Binary => BINARY,
            Content::TooLarge => TOO_LARGE,
            Content::Text(text) => {
                filter(text, &mut self.frame);
                (self.frame.len() - at - 4) as u32
            }
        };
        self.frame[at..at + 4].copy_from_slice(&what.to_le_bytes());
        if self.frame.len() >= FRAME {
            self.append();
        }
    }

    fn append(&mut self) {
        if self.frame.len() == HEAD {
            return;
        }
        let (length, checksum) = ((self.frame.len() - HEAD) as u32, crc32fast::hash(&self.frame[HEAD..]));
        self.frame[..4].copy_from_slice(&length.to_le_bytes());
        self.frame[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
        if let Err(error) = self.of.append(self.project, &self.frame, self.upto) {
            tracing::warn!(project = %self.project, %error, "what a search learned is not kept");
            self.learns = false;
        }
        self.frame.truncate(HEAD);
    }
}

impl Drop for Sieve<'_> {
    fn drop(&mut self) {
        self.append();
    }
}

/// Hands out the entries of a file, as far as it is good: how long it is, and how far that is.
fn read(path: &Path, each: &mut dyn FnMut(Oid, u32, &[u8])) -> io::Result<(u64, u64)> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        opened => opened?,
    };
    let len = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    let mut good = 0;
    if !fill(&mut file, &mut magic)? || magic != *MAGIC {
        return Ok((len, good));
    }
    good += MAGIC.len() as u64;
    let (mut head, mut frame) = ([0; HEAD], Vec::new());
    while fill(&mut file, &mut head)? {
        let [length, checksum] = [0, 4].map(|at| number(&head[at..]).unwrap_or(0));
        // Where a file was torn by a power cut there may be zeros.
        if length == 0 || length as usize > FRAME + ENTRY + LARGEST {
            break;
        }
        frame.resize(length as usize, 0);
        if !fill(&mut file, &mut frame)? || crc32fast::hash(&frame) != checksum || !entries(&frame, each) {
            break;
        }
        good += (HEAD + frame.len()) as u64;
    }
    Ok((len, good))
}

/// Whether there were bytes enough.
fn fill(file: &mut File, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Hands out what is in a frame; whether it ends where an entry does.
fn entries(mut rest: &[u8], each: &mut dyn FnMut(Oid, u32, &[u8])) -> bool {
    while let Some((head, after)) = rest.split_at_checked(ENTRY) {
        let (Some(id), Some(what)) = (Oid::from_slice(&head[..20]), number(&head[20..])) else { return false };
        let is_filter = what != BINARY && what != TOO_LARGE;
        let bytes = if is_filter { what as usize } else { 0 };
        let Some((filter, after)) = after.split_at_checked(bytes) else { return false };
        if is_filter && !bytes.is_power_of_two() {
            return false;
        }
        each(id, what, filter);
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> ProjectName {
        "parser".parse().expect("a name")
    }

    fn id(n: u32) -> Oid {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Oid::from_bytes(bytes)
    }

    fn text(n: u32) -> String {
        format!("fn number_{n}() {{}}\n").repeat(3)
    }

    fn learn(kept: &Trigrams, numbers: impl IntoIterator<Item = u32>) {
        let project = project();
        let mut sieve = kept.sieve(&project, &Demand::of("", false));
        numbers.into_iter().for_each(|n| sieve.learn(id(n), Content::Text(text(n).as_bytes())));
    }

    /// What is known of each of `0..most`, where `number_7` is looked for.
    fn verdicts(kept: &Trigrams, most: u32) -> Vec<Option<Verdict>> {
        let project = project();
        let sieve = kept.sieve(&project, &Demand::of("number_7()", false));
        (0..most).map(|n| sieve.verdict(id(n))).collect()
    }

    #[test]
    fn what_was_learned_is_known_to_the_next_search() {
        let dir = tempfile::tempdir().expect("a directory");
        let (kept, project) = (Trigrams::new(dir.path().join("trigrams"), 1 << 20), project());
        learn(&kept, 0..5);
        learn(&kept, 3..10);
        let mut sieve = kept.sieve(&project, &Demand::of("number_7", false));
        sieve.learn(id(20), Content::Binary);
        sieve.learn(id(21), Content::TooLarge);
        sieve.learn(id(22), Content::Text(b""));
        drop(sieve);
        let known = verdicts(&kept, 24);
        assert_eq!(known[7], Some(Verdict::MayMatch));
        assert!(known[..7].iter().chain(&known[8..10]).all(|verdict| *verdict == Some(Verdict::RuledOut)), "{known:?}");
        assert_eq!((known[10], known[23]), (None, None));
        assert_eq!(known[20..23], [Some(Verdict::RuledOut), Some(Verdict::TooLarge), Some(Verdict::RuledOut)]);
        // What demands nothing is looked for in all that is text.
        let anything = kept.sieve(&project, &Demand::of("x", false));
        assert_eq!(
            [0, 20, 21].map(|n| anything.verdict(id(n))),
            [Some(Verdict::MayMatch), Some(Verdict::RuledOut), Some(Verdict::TooLarge)]
        );
        let mode = |path: PathBuf| {
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("it is there").permissions()) & 0o777
        };
        assert_eq!((mode(dir.path().join("trigrams")), mode(dir.path().join("trigrams/parser"))), (0o700, 0o600));
    }

    #[test]
    fn what_is_damaged_or_cut_off_is_not_believed_and_learned_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = Trigrams::new(dir.path().to_owned(), 1 << 20);
        for n in 0..10 {
            learn(&kept, [n]);
        }
        let path = dir.path().join("parser");
        let (whole, right) = (fs::read(&path).expect("written"), verdicts(&kept, 10));
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            for bytes in [&flipped[..], &whole[..at]] {
                fs::write(&path, bytes).expect("written");
                let known = verdicts(&kept, 10);
                assert!(known.iter().zip(&right).all(|(now, then)| now.is_none() || now == then), "{at}: {known:?}");
                assert!(known.iter().filter(|verdict| verdict.is_none()).count() > 0);
            }
            if at % 16 == 0 {
                learn(&kept, 0..10);
                assert_eq!(verdicts(&kept, 10), right, "{at}");
            }
        }
        fs::remove_dir_all(dir.path()).expect("it goes");
        learn(&kept, 0..10);
        assert_eq!(verdicts(&kept, 10), right);
    }

    #[test]
    fn a_frame_that_another_search_appended_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let (kept, project) = (Trigrams::new(dir.path().to_owned(), 1 << 20), project());
        learn(&kept, 0..3);
        let path = dir.path().join("parser");
        let torn = fs::metadata(&path).expect("written").len() - 1;
        fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(torn)).expect("cut");
        let demand = Demand::of("", false);
        let (mut one, mut other) = (kept.sieve(&project, &demand), kept.sieve(&project, &demand));
        one.learn(id(1), Content::Text(text(1).as_bytes()));
        other.learn(id(2), Content::Text(text(2).as_bytes()));
        drop((one, other));
        let known = verdicts(&kept, 3);
        assert_eq!(known, [None, Some(Verdict::RuledOut), Some(Verdict::RuledOut)]);
    }

    #[test]
    fn what_was_not_learned_lately_is_forgotten_where_there_is_no_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = Trigrams::new(dir.path().to_owned(), 16 << 10);
        for n in 0..300 {
            learn(&kept, [n]);
            let sizes = fs::read_dir(dir.path())
                .expect("listed")
                .map(|file| file.expect("a file").metadata().expect("it").len());
            assert!(sizes.sum::<u64>() <= 16 << 10);
        }
        let known = verdicts(&kept, 300);
        assert!(known[0].is_none() && known[299].is_some(), "{known:?}");
        assert!(known.iter().flatten().count() > 20);
        assert_eq!(
            known.iter().skip_while(|verdict| verdict.is_none()).flatten().count(),
            known.iter().flatten().count()
        );
        // Of other projects the one goes first that was not written to for longest.
        let (other, demand) = ("other".parse().expect("a name"), Demand::of("", false));
        for n in 0..200 {
            kept.sieve(&other, &demand).learn(id(n), Content::Text(text(n).as_bytes()));
        }
        assert!(kept.sieve(&other, &demand).verdict(id(199)).is_some());
        let none = Trigrams::new(dir.path().join("none"), 0);
        learn(&none, 0..3);
        assert!(verdicts(&none, 3).iter().all(Option::is_none) && !dir.path().join("none").exists());
    }
}
