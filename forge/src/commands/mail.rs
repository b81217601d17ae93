//! A pull request as text for git: its commits as `git am` takes them, or its change as `git apply` does.
//!
//! Invariant: whole, or refused. What would not come out of it again as it went in (bytes that no text carries, what is too
//! long) is fetched instead, and no line of a message poses as the beginning of a patch or of the next mail.

use notes_schema::{ItemRef, Oid};
use serde::Serialize;

use super::context::Project;
use super::pulls::MOST_FILES;
use crate::answer::{Answer, Code, Refusal, Render};
use crate::state::PullState;
use git::object::Commit;
use git::store::Objects as _;
use git::{diff, history};

/// Most commits of a pull request that become mails.
/// Limit: commits of one `pr --as patch` | {}; more are fetched
const MOST_COMMITS: usize = 256;
/// Longest text.
/// Limit: text of one `pr --as` | {:bytes}; what is longer is fetched
const LONGEST: usize = 4 << 20;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A mail for each commit.
    Patch,
    /// One patch.
    Diff,
}

impl Form {
    /// The form that `--as` names.
    pub(super) fn named(word: &str) -> Option<Form> {
        match word {
            "patch" => Some(Form::Patch),
            "diff" => Some(Form::Diff),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Text {
    #[serde(rename = "ref")]
    reference: ItemRef,
    head: Oid,
    text: String,
}

impl Render for Text {
    fn markdown(&self) -> String {
        self.text.clone()
    }
}

/// The newest round of `pull` in that form.
pub(super) fn of(project: &Project, reference: ItemRef, pull: &PullState, form: Form) -> Result<Answer, Refusal> {
    let text = match form {
        Form::Diff => change(project, &reference, pull.base, pull.head)?,
        Form::Patch => mails(project, &reference, pull)?,
    };
    let carried = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r' | '\u{c}');
    let text = String::from_utf8(text).ok().filter(|text| text.chars().all(carried));
    let text = text.ok_or_else(|| fetched(&reference, "it holds bytes that no text carries"))?;
    Ok(Answer::of(&Text { reference, head: pull.head, text }))
}

fn fetched(reference: &ItemRef, why: &str) -> Refusal {
    let next = format!("git fetch origin refs/pull/{}/head && git format-patch --stdout HEAD..FETCH_HEAD", reference.n);
    Refusal::new(Code::Refused, format!("pr {reference}"), why, next)
}

fn unreadable(error: impl ToString) -> Refusal {
    Refusal::new(Code::TryLater, "diff", error.to_string(), "feed")
}

fn change(project: &Project, reference: &ItemRef, old: Oid, new: Oid) -> Result<Vec<u8>, Refusal> {
    let store = project.repository.store().as_ref();
    let tree = |id| store.commit(id).map(|commit| commit.tree).map_err(unreadable);
    let changes = diff::changed_paths(store, Some(tree(old)?), Some(tree(new)?), MOST_FILES + 1).map_err(unreadable)?;
    if changes.len() > MOST_FILES {
        return Err(fetched(reference, &format!("it changes more than {MOST_FILES} files")));
    }
    let patch = diff::unified(store, &changes, LONGEST).map_err(unreadable)?;
    if patch.truncated {
        return Err(fetched(reference, &format!("it is longer than {LONGEST} bytes")));
    }
    Ok(patch.text)
}

fn mails(project: &Project, reference: &ItemRef, pull: &PullState) -> Result<Vec<u8>, Refusal> {
    let store = project.repository.store().as_ref();
    let commits = history::range(store, pull.head, &[pull.base], MOST_COMMITS + 1).map_err(unreadable)?;
    if commits.len() > MOST_COMMITS {
        return Err(fetched(reference, &format!("it has more than {MOST_COMMITS} commits")));
    }
    // As `git format-patch` does: what merged something brings nothing of its own.
    let commits: Vec<_> = commits.into_iter().rev().filter(|(_, commit)| commit.parents.len() == 1).collect();
    let mut out = Vec::new();
    for (at, (id, commit)) in commits.iter().enumerate() {
        let patch = change(project, reference, commit.parents[0], *id)?;
        out.extend_from_slice(head(*id, commit, at + 1, commits.len()).as_bytes());
        out.extend_from_slice(&patch);
        out.extend_from_slice(b"-- \nforge\n\n");
        if out.len() > LONGEST {
            return Err(fetched(reference, &format!("it is longer than {LONGEST} bytes")));
        }
    }
    Ok(out)
}

/// What stands above the patch of a commit.
fn head(id: Oid, commit: &Commit, at: usize, of: usize) -> String {
    let numbered = if of == 1 { "[PATCH]".to_owned() } else { format!("[PATCH {at}/{of}]") };
    let (subject, body) = commit.message.split_once("\n\n").unwrap_or((&commit.message, ""));
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let date = date(commit.author_seconds);
    let mut out = format!("From {id} Mon Sep 17 00:00:00 2001\nFrom: {}\nDate: {date}\n", one_line(&commit.author));
    out.push_str(&format!("Subject: {numbered} {}\nMIME-Version: 1.0\n", one_line(subject)));
    out.push_str("Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n");
    for line in body.trim_end().lines() {
        let poses = ["From ", "---", "diff ", "Index: ", "-- "].iter().any(|start| line.starts_with(start));
        out.push_str(if poses { " " } else { "" });
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("---\n\n");
    out
}

/// `Mon, 30 Nov 2026 06:09:45 +0000`.
fn date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = seconds.clamp(0, 253_402_300_799);
    let (day, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, of_month) = notes_schema::refs::civil_date(day);
    let names = (DAYS[(day % 7) as usize], MONTHS[(month as usize).saturating_sub(1) % 12]);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{}, {of_month} {} {year:04} {hour:02}:{minute:02}:{second:02} +0000", names.0, names.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_mails() {
        assert_eq!(date(1_795_187_145), "Fri, 20 Nov 2026 15:05:45 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!((date(-5), date(i64::MAX).len()), ("Thu, 1 Jan 1970 00:00:00 +0000".to_owned(), 31));
    }

    #[test]
    fn a_message_poses_as_nothing_else() {
        let zero = Oid::from_bytes([0; 20]);
        let mut commit = git::object::read_commit(
            format!("tree {zero}\nauthor Ann\tB <a@b> 0 +0000\n\nOne\ntwo\n\nBody\n---\ndiff --git a/x b/x\nFrom me\n")
                .as_bytes(),
        )
        .unwrap();
        commit.author.push_str("\nX-Evil: 1");
        let out = head(zero, &commit, 2, 3);
        assert!(
            out.contains("\nFrom: Ann B <a@b> X-Evil: 1\n") && out.contains("\nSubject: [PATCH 2/3] One two\n"),
            "{out}"
        );
        assert!(out.ends_with("\n\nBody\n ---\n diff --git a/x b/x\n From me\n---\n\n"), "{out}");
    }
}
