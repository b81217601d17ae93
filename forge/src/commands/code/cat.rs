//! `cat`: a file, page by page as text, or whole as its bytes.
//!
//! Invariant: what is no text is named and not shown; a file is read only where it is small enough for it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use notes_schema::{Oid, ProjectName};
use serde::Serialize;

use super::{commit, line_number, missing, place, standing, turn, unreadable};
use crate::answer::{Answer, Code, File, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::pulls::cleaned;
use crate::commands::text::{count, inline};
use crate::commands::{Args, Command, Context, Shape, Takes};
use git::object::{Kind, Mode};
use git::store::Objects as _;

/// Most lines of one answer.
/// Limit: lines of one `cat` | {}, then `--from`
const MOST_LINES: usize = 1500;
/// Most text of one answer.
/// Limit: text of one `cat` | {:bytes}, then `--from`
const MOST_TEXT: usize = 512 << 10;
/// Longest line that is shown whole.
/// Limit: line of a file that is shown | {:bytes}, the rest is cut off
const LONGEST_LINE: usize = 8 << 10;
/// Largest file that is read to be shown.
/// Limit: file that is shown as text | {:bytes}; a larger one is named, and sent with `--raw`
pub(super) const MOST_READ: u64 = 16 << 20;
/// Largest file that is sent.
/// Limit: file that `cat --raw` and `/<project>/raw` send | {:bytes}; a larger one comes with a clone
const MOST_SENT: u64 = 100 << 20;
/// A file up to this size fits into what is made ahead of a reader.
const SMALL: u64 = 256 << 10;
/// Where git looks for a byte that no text has.
const LOOKED_FOR: usize = 8000;
/// A pointer of Git LFS is smaller than this.
const POINTER: usize = 1024;

#[derive(Serialize)]
struct Pointer {
    oid: String,
    size: u64,
}

#[derive(Serialize)]
struct Cat {
    project: ProjectName,
    path: String,
    rev: String,
    commit: Oid,
    id: Oid,
    mode: &'static str,
    size: u64,
    /// `text`, `binary`, `lfs`, `link`, `large`.
    kind: &'static str,
    total: usize,
    from: usize,
    lines: usize,
    text: String,
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs: Option<Pointer>,
    next: String,
}

impl Render for Cat {
    fn markdown(&self) -> String {
        let of = count(self.total as u64, "line");
        let mut out = format!("# {}:{} ({of}, {} bytes)\n\n", self.project, inline(&self.path), self.size);
        match self.kind {
            "binary" => out += "It is binary.\n",
            "large" => out += "It is too large to be shown.\n",
            "link" => out += &format!("It is a symbolic link to `{}`.\n", inline(&self.text)),
            _ => {
                if let Some(lfs) = &self.lfs {
                    out += &format!("It is a pointer of Git LFS to {} bytes kept elsewhere.\n\n", lfs.size);
                }
                // Four blanks: code, in which nothing means anything to Markdown.
                for line in self.text.lines() {
                    out += &format!("    {line}\n");
                }
                if self.cut {
                    out += "\nLines that are too long were cut.\n";
                }
            }
        }
        out + &format!("---\nnext: {}\n", self.next)
    }
}

/// `cat`.
pub const CAT: Command = Command {
    name: "cat",
    aliases: &[],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 2).flags(&[("from", Takes::Word), ("raw", Takes::Nothing)]),
    usage: "<project>:<path> [branch|tag|id] [--from LINE] [--raw]",
    summary: "a file at any commit; --raw sends its bytes as they are",
    example: "cat parser:src/lib.rs main",
    run: run_cat,
};

fn run_cat(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let rev = args.word(1).unwrap_or("");
    let (tip, from) = (commit(context, &project, rev)?, line_number(context, args, "from")?);
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let tree = store.commit(tip).map_err(unreadable)?.tree;
    let no_file = |why: &str, next: String| Refusal { next, ..missing(&name, &format!("{name}:{path}"), why) };
    let there = match standing(store, tree, path)? {
        None => return Err(no_file("there is no file at this path", format!("tree {name}"))),
        Some(there) if there.mode == Mode::Tree => {
            return Err(no_file("it is a directory", format!("tree {}", args.words.join(" "))));
        }
        Some(there) if there.mode == Mode::Submodule => {
            return Err(no_file("it is a submodule: a commit of another repository", format!("tree {name}")));
        }
        Some(there) => there,
    };
    let (_, size) = store.header(there.id).map_err(unreadable)?.ok_or_else(|| unreadable("its object is missing"))?;
    let raw = args.has("raw");
    if raw && size > MOST_SENT {
        let why = format!("it has {size} bytes, and at most {MOST_SENT} are sent: clone the project");
        return Err(Refusal::new(Code::Refused, path, why, format!("project show {name}")));
    }
    // What a reader may take at once needs no turn.
    let turn = match raw && size > SMALL {
        true => Some(turn::take(context)?),
        false => None,
    };
    let turn = turn.map(|mut turn| turn.sends(size).map(|()| turn)).transpose()?;
    let data = match raw || size <= MOST_READ {
        true => store.get_kind(there.id, Kind::Blob).map_err(unreadable)?.data,
        false => bytes::Bytes::new(),
    };
    let lfs = pointer(&data);
    let kind = match there.mode {
        Mode::Link => "link",
        _ if size > MOST_READ => "large",
        _ if is_binary(&data) => "binary",
        _ if lfs.is_some() => "lfs",
        _ => "text",
    };
    let page = match kind {
        "large" | "binary" => Page::default(),
        _ => page(&data, from),
    };
    let next = match page.total > from - 1 + page.lines && page.lines > 0 {
        true => format!("cat {} --from {}", args.words.join(" "), from + page.lines),
        false if matches!(kind, "large" | "binary") => format!("cat {} --raw", args.words.join(" ")),
        false => format!("blame {}", args.words.join(" ")),
    };
    let file_name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let answer = Answer::of(&Cat {
        path: path.to_owned(),
        rev: rev.to_owned(),
        commit: tip,
        id: there.id,
        mode: there.mode.as_str(),
        size,
        kind,
        total: page.total,
        from,
        lines: page.lines,
        text: page.text,
        cut: page.cut,
        lfs,
        next,
        project: name,
    });
    Ok(match turn {
        _ if !raw => answer,
        None => answer.with_file(File::of_bytes(file_name, data)),
        Some(turn) => answer.with_file(sent(file_name, data, turn)),
    })
}

/// A large file: its turn lasts until it was sent; while its bytes wait for whoever takes them, others have it.
fn sent(name: String, data: bytes::Bytes, turn: turn::Turn) -> File {
    let (size, turn) = (Some(data.len() as u64), Mutex::new(Some(turn)));
    let write = move |to: &mut dyn Write| {
        let turn = turn.lock().expect("invariant: no panic under this lock").take();
        let turn = turn.ok_or_else(|| io::Error::other("a file is written once"))?;
        turn.writing(to).write_all(&data)
    };
    File { name, size, write: Arc::new(write) }
}

/// Whether git takes it for binary.
pub(super) fn is_binary(data: &[u8]) -> bool {
    data[..data.len().min(LOOKED_FOR)].contains(&0)
}

/// What a pointer of Git LFS says.
fn pointer(data: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(data.get(..data.len().min(POINTER))?).ok()?;
    let mut lines = text.strip_prefix("version https://git-lfs.github.com/spec/v1\n")?.lines();
    let oid = lines.next()?.strip_prefix("oid ")?.to_owned();
    Some(Pointer { oid, size: lines.next()?.strip_prefix("size ")?.parse().ok()? })
}

/// Some lines of a file.
#[derive(Default)]
struct Page {
    text: String,
    lines: usize,
    total: usize,
    cut: bool,
}

/// From line `from` on, from 1, as many as an answer may have.
fn page(data: &[u8], from: usize) -> Page {
    let mut page = Page::default();
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        page.total += 1;
        if page.total < from || page.lines >= MOST_LINES || page.text.len() >= MOST_TEXT {
            continue;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        page.cut |= line.len() > LONGEST_LINE;
        page.text += &cleaned(&line[..line.len().min(LONGEST_LINE)]);
        page.text.push('\n');
        page.lines += 1;
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_and_ends_where_it_should() {
        let text: String = (1..=4000).map(|n| format!("{n}\n")).collect();
        let second = page(text.as_bytes(), 1501);
        assert_eq!((second.total, second.lines, second.cut), (4000, 1500, false));
        assert!(second.text.starts_with("1501\n") && second.text.ends_with("\n3000\n"));
        let last = page(text.as_bytes(), 3900);
        assert_eq!((last.lines, last.text.lines().last()), (101, Some("4000")));
        assert_eq!(page(b"", 1).total, 0);
        assert_eq!((page(b"a\r\nb", 1).text.as_str(), page(b"a", 9).lines), ("a\nb\n", 0));
    }

    #[test]
    fn long_lines_are_cut_and_much_text_ends_a_page() {
        let long = page(&vec![b'x'; 1 << 20], 1);
        assert_eq!((long.lines, long.text.len(), long.cut), (1, LONGEST_LINE + 1, true));
        let wide: String = (0..1000).map(|_| "y".repeat(4000) + "\n").collect();
        let first = page(wide.as_bytes(), 1);
        assert!(first.lines < 200 && first.total == 1000 && !first.cut, "{}", first.lines);
        let next = page(wide.as_bytes(), 1 + first.lines);
        assert_eq!(next.lines, first.lines);
    }

    #[test]
    fn pointers_and_binary_files_are_known() {
        let text = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let read = pointer(text).unwrap();
        assert_eq!((read.oid.as_str(), read.size), ("sha256:4d7a", 12345));
        assert!(pointer(b"version https://git-lfs.github.com/spec/v1\n").is_none() && pointer(b"").is_none());
        assert!(is_binary(b"a\0b") && !is_binary("ä".as_bytes()) && !is_binary(b""));
    }
}
