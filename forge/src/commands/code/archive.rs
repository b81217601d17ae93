//! `archive`: a tree as one compressed file.
//!
//! Invariant: the same tree at the same commit makes the same bytes; it is measured before its first byte is sent, so that
//! one that is too large is refused and never cut.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use notes_schema::{Oid, ProjectName};
use serde::Serialize;

use super::{commit, missing, place, standing, turn, unreadable};
use crate::answer::{Answer, Code, File, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::{Args, Command, Context, Shape};
use git::below::Below;
use git::object::{Kind, Mode};
use git::store::{Objects as _, Store};

/// Most entries of an archive.
/// Limit: files and directories of one `archive` | {}; more are refused
const MOST_ENTRIES: usize = 200_000;
/// Most bytes of the files in an archive.
/// Limit: files of one `archive` | {:bytes} together; more are refused
const MOST_BYTES: u64 = 1 << 30;
/// Most bytes of their names.
/// Limit: names of the files of one `archive` | {:bytes} together; more are refused
const MOST_NAMES: usize = 64 << 20;

/// What one holds in memory while it is sent, as it is counted.
const HELD: u64 = 16 << 20;

#[derive(Serialize)]
struct Archive {
    project: ProjectName,
    rev: String,
    commit: Oid,
    file: String,
    entries: usize,
    bytes: u64,
    next: String,
}

impl Render for Archive {
    fn markdown(&self) -> String {
        format!("# {} ({} entries, {} bytes)\n---\nnext: {}\n", self.file, self.entries, self.bytes, self.next)
    }
}

/// `archive`.
pub const ARCHIVE: Command = Command {
    name: "archive",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(0, 2),
    usage: "[project][:path] [branch|tag|id] > parser.tar.gz",
    summary: "a tree as a tar file, compressed by gzip",
    example: "archive parser v0.1",
    run: run_archive,
};

fn run_archive(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let rev = args.word(1).unwrap_or("");
    let tip = commit(context, &project, rev)?;
    let (store, name) = (project.repository.store().clone(), project.repository.name().clone());
    let read = store.commit(tip).map_err(unreadable)?;
    let there = standing(&store, read.tree, path)?.filter(|there| there.mode == Mode::Tree);
    let there = there.ok_or_else(|| missing(&name, &format!("{name}:{path}"), "there is no directory at this path"))?;
    let mut turn = turn::take(context)?;
    let (entries, bytes) = measured(&store, &name, there.id)?;
    turn.sends(HELD)?;
    let named: String = if rev.is_empty() { "HEAD" } else { rev }
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' })
        .collect();
    let top = format!("{name}-{named}");
    let answer = Answer::of(&Archive {
        rev: rev.to_owned(),
        commit: tip,
        file: format!("{top}.tar.gz"),
        entries,
        bytes,
        next: format!("tree {}", args.words.join(" ")).trim_end().to_owned(),
        project: name,
    });
    let (tree, time) = (there.id, u64::try_from(read.committer_seconds).unwrap_or(0));
    // The turn lasts until the bytes were sent; while they wait for whoever takes them, others have it.
    let turn = Mutex::new(Some(turn));
    let file_name = format!("{top}.tar.gz");
    let write = move |to: &mut dyn Write| {
        let turn = turn.lock().expect("invariant: no panic under this lock").take();
        let turn = turn.ok_or_else(|| io::Error::other("an archive is written once"))?;
        write(&store, tree, &top, time, &mut turn.writing(to))
    };
    Ok(answer.with_file(File { name: file_name, size: None, write: Arc::new(write) }))
}

/// How many entries and bytes it is, or that it is too much.
fn measured(store: &Store, project: &ProjectName, tree: Oid) -> Result<(usize, u64), Refusal> {
    let (mut entries, mut bytes, mut names) = (0, 0_u64, 0);
    for found in Below::new(store, b"", tree) {
        let (path, entry) = found.map_err(unreadable)?;
        entries += 1;
        names += path.len();
        if matches!(entry.mode, Mode::File | Mode::Executable | Mode::Link) {
            bytes += store.header(entry.id).map_err(unreadable)?.map_or(0, |(_, size)| size);
        }
        if entries > MOST_ENTRIES || bytes > MOST_BYTES || names > MOST_NAMES {
            let why = format!("it has more than {MOST_ENTRIES} entries or {MOST_BYTES} bytes: clone the project");
            return Err(Refusal::new(Code::Refused, "archive", why, format!("project show {project}")));
        }
    }
    Ok((entries, bytes))
}

fn write(store: &Store, tree: Oid, top: &str, time: u64, to: &mut dyn Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(to, flate2::Compression::fast()));
    let top = format!("{top}/");
    append(&mut tar, top.as_bytes(), (tar::EntryType::Directory, 0o755), time, &[])?;
    for found in Below::new(store, b"", tree) {
        let (path, entry) = found.map_err(io::Error::other)?;
        let blob = || store.get_kind(entry.id, Kind::Blob).map(|object| object.data).map_err(io::Error::other);
        let mut name = [top.as_bytes(), &path].concat();
        match entry.mode {
            Mode::Tree | Mode::Submodule => {
                name.push(b'/');
                append(&mut tar, &name, (tar::EntryType::Directory, 0o755), time, &[])?;
            }
            Mode::File => append(&mut tar, &name, (tar::EntryType::Regular, 0o644), time, &blob()?)?,
            Mode::Executable => append(&mut tar, &name, (tar::EntryType::Regular, 0o755), time, &blob()?)?,
            Mode::Link => append(&mut tar, &name, (tar::EntryType::Symlink, 0o777), time, &blob()?)?,
        }
    }
    tar.into_inner()?.finish()?.flush()
}

type Tar<'a> = tar::Builder<flate2::write::GzEncoder<&'a mut dyn Write>>;

/// One entry; what does not fit into a header goes into one of GNU's before it.
fn append(tar: &mut Tar<'_>, name: &[u8], kind: (tar::EntryType, u32), time: u64, data: &[u8]) -> io::Result<()> {
    let is_link = kind.0 == tar::EntryType::Symlink;
    for (long, of) in [(name, b'L'), (data, b'K')] {
        if (of == b'L' || is_link) && long.len() > FITS {
            let mut header = header((tar::EntryType::new(of), 0o644), 0, long.len() as u64 + 1);
            put(&mut header.as_old_mut().name, b"././@LongLink");
            header.set_cksum();
            tar.append(&header, &[long, b"\0"].concat()[..])?;
        }
    }
    let size = if is_link { 0 } else { data.len() as u64 };
    let mut header = header(kind, time, size);
    put(&mut header.as_old_mut().name, name);
    if is_link {
        put(&mut header.as_old_mut().linkname, data);
    }
    header.set_cksum();
    tar.append(&header, if is_link { &[][..] } else { data })
}

/// Longest name in a header itself.
const FITS: usize = 100;

fn header((kind, mode): (tar::EntryType, u32), time: u64, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn put(field: &mut [u8; FITS], bytes: &[u8]) {
    let fits = bytes.len().min(FITS);
    field[..fits].copy_from_slice(&bytes[..fits]);
}
