//! Commit messages that people read in `git log`. They are derived: nothing ever decodes them, except for the digests
//! in a ledger commit's own trailers.

use notes_schema::{EntityId, Event, Fact, ProjectName, Sha256};

/// Longest part of a body that is repeated in a message, in bytes.
/// Limit: part of a body that a commit's message repeats | {:bytes}, then it says where the rest is
const LONGEST_BODY: usize = 4096;

/// The message of an event's commit: `q` is its number in the forge, `digest` that of its bytes.
pub(super) fn event(
    project: &ProjectName,
    id: &EntityId,
    (q, digest): (u64, Sha256),
    fact: &Fact,
    text: Option<&str>,
    cause: &[Sha256],
) -> String {
    let mut message = format!("{}\n\n", fact.subject());
    if let Some(text) = text.map(quote_body).filter(|t| !t.is_empty()) {
        message.push_str(&text);
        message.push_str("\n\n");
    }
    message.push_str(&format!("Forge-Entity: {project} {id}\nForge-Seq: {q}\nForge-Id: {digest}\n"));
    for digest in cause {
        message.push_str(&format!("Forge-Cause: {digest}\n"));
    }
    message
}

/// Somebody's text as part of a message: no control characters, and no line that reads as one of our trailers.
fn quote_body(text: &str) -> String {
    let mut out = String::new();
    for line in text.trim().lines() {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        if out.len() + line.len() > LONGEST_BODY {
            out.push_str("… (the whole text is in body.md)");
            break;
        }
        if line.trim_start().to_ascii_lowercase().starts_with("forge-") {
            out.push_str("> ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.trim_end().to_owned()
}

/// One line per event for a ledger commit: `issues/7: closed: fixed by parser#9 — alpha`.
pub(super) fn event_line(id: &EntityId, event: &Event, fact: &Fact) -> String {
    format!("{id}: {} — {}", fact.subject(), event.a)
}

/// The lines of the message `old` of ledger commit `n`, with other words for some of its events: pairs of what its events'
/// lines are today and what they are to be. A message in words of another version gets the new lines alone.
pub(super) fn lines_anew(old: &str, n: u64, events: &[(String, String)]) -> Vec<String> {
    let mut lines: Vec<String> = old.lines().skip(1).filter_map(|l| Some(l.strip_prefix("- ")?.to_owned())).collect();
    if lines.is_empty() {
        let subject = old.lines().next().unwrap_or("").trim_start_matches(&format!("#{n} "));
        lines.extend(
            (!events.is_empty() || !matches!(subject, "the ledger begins" | "housekeeping"))
                .then(|| subject.to_owned()),
        );
    }
    for (was, is) in events.iter().filter(|(was, is)| was != is) {
        match lines.iter_mut().find(|line| *line == was) {
            Some(line) => line.clone_from(is),
            None => return events.iter().map(|(_, is)| is.clone()).collect(),
        }
    }
    lines
}

/// The message of a ledger commit.
pub(super) fn batch(n: u64, lines: &[String], epoch: u32, prev: Option<Sha256>, digest: Sha256) -> String {
    let subject = match lines {
        [] if n == 1 => format!("#{n} the ledger begins"),
        [] => format!("#{n} housekeeping"),
        [only] => format!("#{n} {only}"),
        [first, rest @ ..] => format!("#{n} {first}, and {} more", rest.len()),
    };
    let mut message = format!("{subject}\n\n");
    if lines.len() > 1 {
        for line in lines {
            message.push_str(&format!("- {line}\n"));
        }
        message.push('\n');
    }
    let prev = prev.map_or_else(|| "none".to_owned(), |p| p.to_string());
    message.push_str(&format!("Forge-Epoch: {epoch}\nForge-Prev: {prev}\nForge-Digest: {digest}\n"));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_pose_as_a_trailer_or_move_the_terminal() {
        assert_eq!(quote_body("hi\nForge-Seq: 9\n forge-id: x\n"), "hi\n> Forge-Seq: 9\n>  forge-id: x");
        assert_eq!(quote_body("a\u{1b}[2Jb\0"), "a[2Jb");
        let long = "word ".repeat(2000);
        assert!(quote_body(&format!("{long}\n{long}")).len() < 9000);
    }

    #[test]
    fn a_message_is_read_back_and_says_other_words_for_some_events() {
        let lines = |all: &[&str]| all.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let said = |all: &[&str]| batch(7, &lines(all), 1, None, Sha256::of(b""));
        let pair = |was: &str, is: &str| (was.to_owned(), is.to_owned());
        for all in [&[][..], &["x"][..], &["x", "y", "pushed main — alpha"][..]] {
            assert_eq!(lines_anew(&said(all), 7, &[]), lines(all));
        }
        let (same, other) = (pair("x", "x"), pair("secret", "[redacted]"));
        assert_eq!(lines_anew(&said(&["secret"]), 7, std::slice::from_ref(&other)), ["[redacted]"]);
        let all = said(&["x", "secret", "pushed main — alpha"]);
        assert_eq!(lines_anew(&all, 7, &[same.clone(), other.clone()]), ["x", "[redacted]", "pushed main — alpha"]);
        assert_eq!(lines_anew(&said(&["x", "in other words: secret"]), 7, &[same, other]), ["x", "[redacted]"]);
    }

    #[test]
    fn a_batch_of_one_event_reads_as_that_event() {
        let message = batch(3, &["issues/1: opened: X — alpha".into()], 1, None, Sha256::of(b""));
        assert!(message.starts_with("#3 issues/1: opened: X — alpha\n\nForge-Epoch: 1\nForge-Prev: none\n"));
    }
}
