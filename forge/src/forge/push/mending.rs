//! What a pusher is told to do where refs of one push are refused: one command that mends all of it, told once. Two of them
//! would be followed one after the other, and each would send again what the other is to mend.
//!
//! Invariant: decides nothing; what was refused is refused, and why stands beside each ref.

use hooks::record;
use notes_schema::{RefName, refs};

use crate::answer::Refusal;

/// Sends once more. Told where nothing else helps, for it mends nothing.
const PUSH: &str = "git push";
/// How many records one command drops; the next push names the others.
/// Limit: records that one next command drops where a push is refused | {}; the next push names the others
const DROPPED: usize = 50;

/// Leaves one next command among the refusals of a push, before which the records that can never be taken are dropped;
/// further refs that each need another keep theirs.
/// `lead` is where the work goes on that was not refused.
pub(super) fn once(results: &mut [(RefName, Result<(), Refusal>)], lead: Option<&str>) {
    let mut refused: Vec<(&RefName, &mut Refusal)> =
        results.iter_mut().filter_map(|(name, result)| Some((&*name, result.as_mut().err()?))).collect();
    let Some(first) = refused.iter().position(|(_, refusal)| !refusal.next.is_empty()) else {
        // Each is refused because of another that is none of this push.
        if let Some((_, refusal)) = refused.first_mut() {
            refusal.next = PUSH.to_owned();
        }
        return;
    };
    let (mut drops, mut after, mut mend) = (Vec::new(), None, None);
    for (name, refusal) in &refused {
        match dropped(name, &refusal.next) {
            Some((drop, rest)) => {
                drops.push(drop);
                after = after.or(rest.map(str::to_owned));
            }
            None if refusal.next.is_empty() || refusal.next == PUSH => {}
            None => mend = mend.or(Some(refusal.next.clone())),
        }
    }
    drops.truncate(DROPPED);
    let joined = match (drops.is_empty(), &mend, after, lead.filter(|lead| in_a_shell(lead))) {
        (true, Some(mend), ..) => mend.clone(),
        (true, None, ..) => PUSH.to_owned(),
        // It ends with a push, or says what has to be known before one.
        (false, Some(mend), ..) => format!("{} && {mend}", drops.join(" && ")),
        (false, None, Some(after), _) => format!("{} && {PUSH} && {after}", drops.join(" && ")),
        (false, None, None, Some(lead)) if lead.ends_with(PUSH) => format!("{} && {lead}", drops.join(" && ")),
        (false, None, None, Some(lead)) => format!("{} && {PUSH} && {lead}", drops.join(" && ")),
        (false, None, None, None) => format!("{} && {PUSH}", drops.join(" && ")),
    };
    for (at, (name, refusal)) in refused.iter_mut().enumerate() {
        if at == first {
            refusal.next.clone_from(&joined);
        } else if refusal.next == PUSH || mend.as_ref() == Some(&refusal.next) || dropped(name, &refusal.next).is_some()
        {
            refusal.next.clear();
        }
    }
}

/// What drops a record, and what its refusal says to do after the push that follows; `None` where it says something else.
fn dropped<'r>(name: &RefName, next: &'r str) -> Option<(String, Option<&'r str>)> {
    refs::incoming_record(name)?;
    let drop = record::drop_command(name);
    let rest = next.strip_prefix(&drop)?.strip_prefix(" && ")?.strip_prefix(PUSH)?;
    Some((drop, rest.strip_prefix(" && ")))
}

/// Whether a command is one of a shell; whoever came with a token is told commands as they are sent to `POST /action`.
fn in_a_shell(command: &str) -> bool {
    command.starts_with("ssh forge ") || command.ends_with(PUSH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Code;

    /// What is told of refs with these next commands; `ok` is no refusal.
    fn told(refs: &[(&str, &str)], lead: Option<&str>) -> Vec<String> {
        let mut results: Vec<(RefName, Result<(), Refusal>)> = refs
            .iter()
            .map(|(name, next)| {
                let refusal = Refusal::new(Code::Refused, *name, "why", *next);
                (name.parse().unwrap(), if *next == "ok" { Ok(()) } else { Err(refusal) })
            })
            .collect();
        once(&mut results, lead);
        results.into_iter().map(|(_, result)| result.err().map_or("ok".to_owned(), |refusal| refusal.next)).collect()
    }

    #[test]
    fn one_command_mends_a_push_and_is_told_once() {
        let (branch, one, two) = ("refs/heads/x", "refs/notes/forge/in/alpha/r1", "refs/notes/forge/in/alpha/r2");
        let drop = |id: &str| format!("git update-ref -d refs/notes/forge/out/{id}");
        let push = |id: &str| format!("{} && git push", drop(id));
        let both = format!("{} && {}", drop("r1"), drop("r2"));
        let (mend, run) = ("d=$(mktemp -d) && git push origin x", "forge run -- true && git push");
        let (submit, by_token) = ("ssh forge submit x", "submit x");
        let start = format!("{} && ssh forge start parser/1", push("r1"));
        for (refs, lead, expected) in [
            (vec![(branch, ""), (one, push("r1").as_str())], None, vec!["", &push("r1")]),
            (vec![(branch, ""), (one, "")], None, vec!["git push", ""]),
            (vec![(branch, "git push"), (one, "")], None, vec!["git push", ""]),
            (vec![(branch, mend), (one, "")], None, vec![mend, ""]),
            (vec![(branch, mend), (one, &push("r1"))], None, vec![&format!("{} && {mend}", drop("r1")), ""]),
            (vec![(one, &push("r1")), (two, &push("r2"))], None, vec![&format!("{both} && git push"), ""]),
            (vec![(branch, "ok"), (one, &push("r1"))], Some(run), vec!["ok", &format!("{} && {run}", drop("r1"))]),
            (
                vec![(branch, "ok"), (one, &push("r1"))],
                Some(submit),
                vec!["ok", &format!("{} && {submit}", push("r1"))],
            ),
            (vec![(branch, "ok"), (one, &push("r1"))], Some(by_token), vec!["ok", &push("r1")]),
            (vec![(branch, "ok"), (one, &start)], Some(run), vec!["ok", &start]),
            (vec![(branch, mend), ("refs/heads/y", "git tag -d y")], None, vec![mend, "git tag -d y"]),
            (vec![(branch, "ok"), (one, "ok")], Some(run), vec!["ok", "ok"]),
        ] {
            assert_eq!(told(&refs, lead), expected, "{refs:?} {lead:?}");
        }
    }

    #[test]
    fn a_command_drops_a_bounded_number_of_records() {
        let names: Vec<String> = (0..60).map(|n| format!("refs/notes/forge/in/alpha/r{n}")).collect();
        let nexts: Vec<String> =
            (0..60).map(|n| format!("git update-ref -d refs/notes/forge/out/r{n} && git push")).collect();
        let refs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(nexts.iter().map(String::as_str)).collect();
        assert_eq!(told(&refs, None)[0].matches("update-ref -d").count(), DROPPED);
    }
}
