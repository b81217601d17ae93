//! What stands in place of redacted events against what `forge.git` declares of them, both ways: nothing is redacted that is
//! not declared, in the words that are declared, and nothing is declared that stands unredacted.
//!
//! Invariant: reads only what is handed in.

use notes_schema::envelope::redacted_text;
use notes_schema::event::ProjectRedacted;
use notes_schema::{EntityId, ProjectName};

use super::{Checked, Report};
use crate::ledger::replay::ReadEvent;
use crate::ledger::snapshot::Snapshot;
use crate::state::Fold;

/// Holds event `read` of `id`, of the project whose state before it is `before`, against `forge.git`.
pub(super) fn check(authority: &Fold, before: &Snapshot, id: &EntityId, read: &ReadEvent) -> Result<(), String> {
    let declared = authority.redaction(&before.project, id, read.event.n);
    match (read.left, declared) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("forge.git declares it redacted, and it stands here as it was written".to_owned()),
        (Some(_), None) => Err("it is redacted, and forge.git declares no redaction of it".to_owned()),
        (Some(_), Some((_, h))) if h != read.digest => {
            Err(format!("it stands in place of {}, and forge.git declares that {h} was redacted", read.digest))
        }
        (Some(_), Some((redaction, _))) => is_struck(read, redaction),
    }
}

/// Whether nothing of what people write is left in it, and where they wrote stands what is declared.
fn is_struck(read: &ReadEvent, redaction: &ProjectRedacted) -> Result<(), String> {
    let is_bare =
        read.fact.redacted().as_ref() == Some(&read.fact) && read.intent.id == [0; 16] && read.event.s.is_none();
    if !is_bare {
        return Err("it is declared redacted, and still holds what somebody wrote".to_owned());
    }
    match &read.text {
        Some(text) if *text != redacted_text(&redaction.because) => {
            Err("it is declared redacted, and says something else than why".to_owned())
        }
        _ => Ok(()),
    }
}

/// In what a project, as far as it is known here, does not have the redactions that `forge.git` declares; a forge serves no
/// such copy. Those that were checked batch by batch have them all.
pub(crate) fn is_undone(authority: &Fold, project: &Snapshot) -> Option<String> {
    let name = &project.project;
    for redaction in authority.redactions.get(name).into_iter().flatten() {
        for event in &redaction.events {
            let id = event.e.parse::<EntityId>().ok();
            let found = id.and_then(|id| project.fold.redacted.get(&(id, event.n)));
            if found != Some(&event.h) {
                let why = "is declared redacted by forge.git, and this copy is from before that";
                return Some(format!("{} event {} {why}", event.e, event.n));
            }
        }
    }
    let undeclared =
        project.fold.redacted.iter().find(|((id, n), h)| authority.redaction(name, id, *n).is_none_or(|r| r.1 != **h));
    undeclared.map(|((id, n), _)| format!("{id} event {n} is redacted, and forge.git declares no redaction of it"))
}

/// Holds a checked project against all that was declared of it.
pub(super) fn check_all(report: &mut Report, project: &Checked, authority: &Checked) {
    let name = &project.snapshot.project;
    let declared = authority.snapshot.fold.redactions.get(name);
    if let Some(why) = is_undone(&authority.snapshot.fold, &project.snapshot) {
        report.faults.push(format!("{name}: {why}"));
        return;
    }
    for redaction in declared.into_iter().flatten() {
        report.redacted.extend(lines(name, redaction));
    }
    // A later redaction may have written the commits of an earlier one anew.
    let Some(newest) = declared.and_then(|all| all.last()) else { return };
    let at = usize::try_from(newest.n).ok().and_then(|n| project.chain.get(n.checked_sub(1)?));
    match at {
        Some(here) if *here == newest.new => {}
        Some(here) => {
            let why = format!("batch {} is {here}, and forge.git says that it became {}", newest.n, newest.new);
            report.faults.push(format!("{name}: {why} when it was redacted: its ledger was rewritten"));
        }
        None => {
            report.open_ends += 1;
            let why = format!("forge.git redacted its batches up to {}, and this copy ends before", newest.n);
            report.pending.push(format!("{name}: {why} (an older copy: fetch it again)"));
        }
    }
}

fn lines(name: &ProjectName, redaction: &ProjectRedacted) -> impl Iterator<Item = String> {
    let why = format!("the ledger was {} at batch {}: {}", redaction.old, redaction.n, redaction.because);
    redaction.events.iter().map(move |event| format!("{name} {} event {}, was {}; {why}", event.e, event.n, event.h))
}
