//! `blame`: which commit each line of a file comes from.
//!
//! Invariant: what a file's lines come from follows from a commit and a path alone, so what is kept of one asker is right
//! for another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use notes_schema::refs::show_time;
use notes_schema::{Oid, ProjectName};
use serde::Serialize;

use super::{commit, line_number, missing, path_bytes, place, turn, unreadable};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::commands::pulls::cleaned;
use crate::commands::text::{count, inline};
use crate::commands::{Args, Command, Context, Shape, Takes};
use git::blame::{self, BlameError, Blamed};
use git::store::{Objects as _, Store};

/// Most lines of one blame.
/// Limit: lines of one `blame` | {}, then `--from`
const MOST_LINES: usize = 1000;

#[derive(Serialize)]
struct BlameLine {
    line: usize,
    commit: Oid,
    original_line: usize,
    path: String,
    author: String,
    time: u64,
    subject: String,
    /// The first parent of the commit: where to look for what stood there before.
    before: Option<Oid>,
    settled: bool,
    text: String,
}

#[derive(Serialize)]
struct Blame {
    project: ProjectName,
    path: String,
    rev: String,
    commit: Oid,
    from: usize,
    total: usize,
    lines: Vec<BlameLine>,
    partial: bool,
    next: String,
}

impl Render for Blame {
    fn markdown(&self) -> String {
        let mut out =
            format!("# Blame of {}:{} ({})\n\n", self.project, inline(&self.path), count(self.total as u64, "line"));
        if self.partial {
            out += "The search ended early: lines marked with ^ are from that commit or an older one.\n\n";
        }
        for line in &self.lines {
            let mark = if line.settled { ' ' } else { '^' };
            let day: String = show_time(line.time * 1000).chars().take(10).collect();
            let who: String = line.author.split(" <").next().unwrap_or("").chars().take(16).collect();
            // Four blanks: code, in which nothing means anything to Markdown.
            out += &format!(
                "    {mark}{} {day} {:16} {:5}) {}\n",
                line.commit.short(),
                cleaned(who.as_bytes()),
                line.line,
                line.text
            );
        }
        out + &format!("---\nnext: {}\n", self.next)
    }
}

/// `blame`.
pub const BLAME: Command = Command {
    name: "blame",
    aliases: &["annotate"],
    needs: Needs::Read,
    of: Of::Project,
    shape: Shape::words(1, 2).flags(&[("from", Takes::Word)]),
    usage: "<project>:<path> [branch|tag|id] [--from LINE]",
    summary: "which commit each line of a file comes from",
    example: "blame parser:src/lib.rs --from 100",
    run: run_blame,
};

fn run_blame(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let (project, path) = place(context, args.word(0))?;
    let tip = commit(context, &project, args.word(1).unwrap_or(""))?;
    let first = line_number(context, args, "from")?;
    let (store, name) = (project.repository.store().as_ref(), project.repository.name().clone());
    let tree = store.commit(tip).map_err(unreadable)?.tree;
    let bytes = path_bytes(store, tree, path)?;
    let blamed = blamed(context, store, tip, &bytes).map_err(|failed| match failed {
        Failed::Busy(refusal) => refusal,
        Failed::Blame(BlameError::NoFile) => missing(&name, &format!("{name}:{path}"), "there is no file at this path"),
        Failed::Blame(error @ BlameError::TooLarge(..)) => {
            Refusal::new(Code::Refused, path, error.to_string(), format!("log {name}:{path}"))
        }
        Failed::Blame(BlameError::Read(error)) => unreadable(error),
    })?;
    let texts: Vec<&[u8]> = blamed.content.split_inclusive(|&byte| byte == b'\n').collect();
    let mut lines = Vec::new();
    for span in &blamed.spans {
        let range = span.first.max(first - 1)..(span.first + span.count).min(first - 1 + MOST_LINES);
        if range.is_empty() {
            continue;
        }
        let by = store.commit(span.commit).map_err(unreadable)?;
        for at in range {
            lines.push(BlameLine {
                line: at + 1,
                commit: span.commit,
                original_line: span.original + (at - span.first) + 1,
                path: String::from_utf8_lossy(&span.path).into_owned(),
                author: by.author.clone(),
                time: u64::try_from(by.author_seconds).unwrap_or(0),
                subject: by.subject().to_owned(),
                before: by.parents.first().copied(),
                settled: span.settled,
                text: cleaned(texts.get(at).map_or(b"", |text| text.strip_suffix(b"\n").unwrap_or(text))),
            });
        }
    }
    let upto = first - 1 + lines.len();
    let next = match upto < texts.len() && !lines.is_empty() {
        true => format!("blame {} --from {}", args.words.join(" "), upto + 1),
        false => format!("log {name}:{path}"),
    };
    Ok(Answer::of(&Blame {
        project: name,
        path: path.to_owned(),
        rev: args.word(1).unwrap_or("").to_owned(),
        commit: tip,
        from: first,
        total: texts.len(),
        lines,
        partial: blamed.partial,
        next,
    }))
}

/// Most blames that are kept, and most bytes of the files that they are of.
/// Limit: blames that are kept between two requests | {}
const MOST_KEPT: usize = 32;
/// Limit: files whose blames are kept between two requests | {:bytes} together
const MOST_KEPT_BYTES: usize = 32 << 20;

/// A blame, by commit and path.
type Kept = (Oid, Vec<u8>, Arc<Blamed>);

/// The newest blames, the latest in front.
static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

enum Failed {
    Busy(Refusal),
    Blame(BlameError),
}

/// A blame, kept or made: the pages of one file are asked for one after the other.
fn blamed(context: &Context, store: &Store, tip: Oid, path: &[u8]) -> Result<Arc<Blamed>, Failed> {
    let known = || {
        let kept = KEPT.lock().expect("invariant: no panic under this lock");
        kept.iter().find(|(commit, name, _)| *commit == tip && name == path).map(|(_, _, blamed)| blamed.clone())
    };
    if let Some(blamed) = known() {
        return Ok(blamed);
    }
    let _turn = turn::take(context).map_err(Failed::Busy)?;
    // Whoever had the turn before may have asked the same.
    if let Some(blamed) = known() {
        return Ok(blamed);
    }
    let blamed = Arc::new(blame::blame(store, tip, path, blame::Budget::default()).map_err(Failed::Blame)?);
    let mut kept = KEPT.lock().expect("invariant: no panic under this lock");
    kept.push_front((tip, path.to_vec(), blamed.clone()));
    let mut bytes = 0;
    let fits = kept.iter().take(MOST_KEPT).take_while(|(_, _, blamed)| {
        bytes += blamed.content.len();
        bytes <= MOST_KEPT_BYTES
    });
    let fits = fits.count();
    kept.truncate(fits);
    Ok(blamed)
}
