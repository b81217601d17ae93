//! Objects through `git cat-file --batch`: works wherever git does, in a quarantine, a worktree or a partial clone.
//!
//! Invariant: what was read has the id that was asked for; replacements are not followed; a size is compared with the
//! budget before it is allocated.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use git::object::{Kind, Object};
use git::store::{Objects, ReadError};
use notes_schema::Oid;

/// Largest object that is read, in bytes.
/// Limit: object that `forge trace verify` and the hook read | {:bytes}
const LARGEST: u64 = 256 << 20;

/// Why git could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("git: {0}")]
pub struct StockError(String);

/// A repository, read by stock git.
pub struct Stock {
    directory: PathBuf,
    batch: RefCell<Option<Batch>>,
}

struct Batch {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It ends when nobody asks any more; until then it would be a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stock {
    /// The repository that git finds from `directory` and the environment.
    pub fn open(directory: &Path) -> Result<Stock, StockError> {
        let stock = Stock { directory: directory.to_owned(), batch: RefCell::new(None) };
        let format = stock.line(&["rev-parse", "--show-object-format"])?;
        if format != "sha1" {
            return Err(StockError(format!("its objects are named by {format}, and this reads sha1 only")));
        }
        Ok(stock)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.directory).args(["--no-replace-objects", "--no-optional-locks"]).args(args);
        command.env("LC_ALL", "C").stderr(Stdio::piped());
        command
    }

    /// What a call of git prints.
    pub fn text(&self, args: &[&str]) -> Result<String, StockError> {
        let shown = || args.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let output = self.command(args).stdin(Stdio::null()).output();
        let output = output.map_err(|e| StockError(format!("`{}` cannot be run: {e}", shown())))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("nothing").to_owned();
        Err(StockError(format!("`{}` said: {said}", shown())))
    }

    /// The same as one line.
    pub fn line(&self, args: &[&str]) -> Result<String, StockError> {
        Ok(self.text(args)?.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// What a revision names, if anything.
    pub fn resolve(&self, revision: &str) -> Option<Oid> {
        if revision.starts_with('-') {
            return None;
        }
        self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", revision]).ok()?.parse().ok()
    }

    /// The files that can be reached from `tips` and from no ref.
    pub(super) fn new_files(&self, tips: &[Oid]) -> Result<Vec<Oid>, StockError> {
        if tips.is_empty() {
            return Ok(Vec::new());
        }
        let tips: Vec<String> = tips.iter().map(Oid::to_string).collect();
        let mut args = vec!["rev-list", "--objects", "--no-object-names"];
        args.extend(["--filter=object:type=blob", "--filter-provided-objects"]);
        args.extend(tips.iter().map(String::as_str));
        args.extend(["--not", "--all"]);
        let listed = self.text(&args)?;
        let read = |line: &str| line.parse().map_err(|_| StockError(format!("`git rev-list` said {line:?}")));
        listed.lines().map(read).collect()
    }

    fn ask(&self, id: Oid) -> Result<Option<Object>, String> {
        let mut held = self.batch.borrow_mut();
        if held.is_none() {
            let mut command = self.command(&["cat-file", "--batch"]);
            // Nothing is fetched lazily: what is not here is missing.
            command.env("GIT_NO_LAZY_FETCH", "1").stderr(Stdio::null());
            let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let mut child = spawned.map_err(|e| format!("git cannot be run: {e}"))?;
            let pipes = child.stdin.take().zip(child.stdout.take());
            let (asks, answers) = pipes.ok_or("git has no pipes")?;
            *held = Some(Batch { child, asks, answers: BufReader::new(answers) });
        }
        let Some(batch) = held.as_mut() else { return Err("git is not running".to_owned()) };
        let read = batch.read(id);
        if read.is_err() {
            // What it says next belongs to nothing that will be asked.
            *held = None;
        }
        read
    }
}

impl Batch {
    fn read(&mut self, id: Oid) -> Result<Option<Object>, String> {
        let io = |e: std::io::Error| format!("git stopped: {e}");
        writeln!(self.asks, "{id}").and_then(|()| self.asks.flush()).map_err(io)?;
        let mut header = Vec::new();
        (&mut self.answers).take(256).read_until(b'\n', &mut header).map_err(io)?;
        let header = String::from_utf8_lossy(&header).into_owned();
        let words: Vec<&str> = header.split_whitespace().collect();
        let (kind, size) = match words.as_slice() {
            [_, "missing"] => return Ok(None),
            [_, kind, size] => (*kind, size.parse::<u64>().map_err(|_| format!("git answered {header:?}"))?),
            _ => return Err("git cannot read it".to_owned()),
        };
        let kind = [Kind::Blob, Kind::Tree, Kind::Commit, Kind::Tag].into_iter().find(|k| k.as_str() == kind);
        let kind = kind.ok_or("it is of no known kind")?;
        if size > LARGEST {
            return Err(format!("it has {size} bytes, {LARGEST} are read"));
        }
        let mut data = Vec::new();
        (&mut self.answers).take(size).read_to_end(&mut data).map_err(io)?;
        let mut end = [0];
        self.answers.read_exact(&mut end).map_err(io)?;
        if data.len() as u64 != size || end != *b"\n" {
            return Err("git stopped in the midst of it".to_owned());
        }
        Ok(Some(Object::new(kind, data)))
    }
}

impl Objects for Stock {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        let broken = |why: String| ReadError::Store { id, why };
        let object = self.ask(id).map_err(broken)?.ok_or(ReadError::Missing(id))?;
        match object.id() {
            Ok(found) if found == id => Ok(object),
            _ => Err(broken("its content does not match its id".to_owned())),
        }
    }

    fn contains(&self, id: Oid) -> bool {
        self.get(id).is_ok()
    }
}

/// Reads a small file outside of git, such as a list of keys.
pub(super) fn small_file(path: impl AsRef<OsStr>) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(Path::new(path.as_ref()))?.take(1 << 20).read_to_string(&mut text)?;
    Ok(text)
}
