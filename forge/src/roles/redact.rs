//! `forge redact`: takes what people wrote in some events out of a project again, for good.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use notes_schema::{EntityId, ProjectName};

use crate::forge::redact::{NotRedacted, Redaction, Shown};

/// Flags of `forge redact`.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "redact")]
#[command(after_help = "Example: forge redact parser issues/7 --data ./forge-data --dry-run\n         \
                        forge redact parser issues/7:1 issues/7:4 --data ./forge-data --because 'a password'\n\
                        The forge must be stopped. Mirrors follow with `forge mirror … --once --accept-epoch` alone, and keep\n\
                        what they have; so does everybody who has a clone.")]
pub struct Args {
    /// The project.
    project: ProjectName,
    /// Events, as `issues/7:1`; an issue or pull request alone (`issues/7`) lists its events.
    #[arg(required = true, value_name = "EVENT")]
    events: Vec<Event>,
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "./forge-data")]
    data: PathBuf,
    /// Why, in one line: it stands in place of what was written, for everybody to read.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Say what would go, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// An entity, or one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    entity: EntityId,
    n: Option<u64>,
}

impl std::str::FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (entity, n) = text.split_once(':').map_or((text, None), |(entity, n)| (entity, Some(n)));
        let why = "an event is written as in `issues/7:1`: what it is of, and its number there";
        let entity = entity.parse().map_err(|_| why.to_owned())?;
        let n = n.map(|n| n.parse().ok().filter(|n| *n > 0).ok_or(why.to_owned())).transpose()?;
        Ok(Event { entity, n })
    }
}

/// Takes out what `args` names.
pub(super) fn run(args: &Args) -> ExitCode {
    match redact(args) {
        Ok(code) => code,
        Err(error) => {
            let (project, data) = (&args.project, args.data.display());
            let next = match &error {
                NotRedacted::Open(_) | NotRedacted::Damaged { .. } => format!("forge verify {data}"),
                NotRedacted::Reason => format!("forge redact {project} {} --data {data} --because TEXT", shown(args)),
                NotRedacted::Redact(_) => format!("forge redact {project} {} --data {data} --dry-run", entities(args)),
                _ => "forge redact --help".to_owned(),
            };
            super::fail(format_args!("{error}\nnext: {next}"))
        }
    }
}

fn shown(args: &Args) -> String {
    let one = |event: &Event| event.n.map_or(event.entity.to_string(), |n| format!("{}:{n}", event.entity));
    args.events.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn entities(args: &Args) -> String {
    let all: BTreeSet<String> = args.events.iter().map(|event| event.entity.to_string()).collect();
    Vec::from_iter(all).join(" ")
}

fn line(event: &Shown) -> String {
    let Shown { entity, n, by, subject, bytes, commit } = event;
    format!("{entity}:{n} {by}: {} ({bytes} bytes of text; git show {commit})", crate::state::snippet(subject, 120))
}

fn redact(args: &Args) -> Result<ExitCode, NotRedacted> {
    let redaction = Redaction::open(&args.data, &args.project)?;
    let (project, data) = (&args.project, args.data.display());
    if args.events.iter().any(|event| event.n.is_none()) {
        for entity in args.events.iter().map(|event| event.entity.clone()).collect::<BTreeSet<_>>() {
            for event in redaction.list(&entity)? {
                super::say(line(&event));
            }
        }
        super::say(format_args!("next: forge redact {project} {}:1 --data {data} --dry-run", args.events[0].entity));
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = args.events.iter().filter_map(|event| Some((event.entity.clone(), event.n?))).collect();
    let because = match (&args.because, args.dry_run) {
        (Some(because), _) => because.as_str(),
        (None, true) => "no reason yet",
        (None, false) => return Err(NotRedacted::Reason),
    };
    let prepared = redaction.prepare(&wanted, because)?;
    for event in &prepared.events {
        super::say(line(event));
    }
    for still in &prepared.still {
        super::say(format_args!("still there: {still}"));
    }
    if args.dry_run {
        super::say(format_args!("next: forge redact {project} {} --data {data} --because TEXT", shown(args)));
        return Ok(ExitCode::SUCCESS);
    }
    let done = redaction.carry_out(&prepared)?;
    let fact = &done.fact;
    super::say(format_args!(
        "good: {} events redacted; {project} was {} at batch {} and is {}, epoch {}",
        fact.events.len(),
        fact.old,
        fact.n,
        fact.new,
        done.epoch
    ));
    super::say("Clones, mirrors and backups of before still have what was written; whoever fetches may have read it.");
    super::say(format_args!("next: forge verify {data}"));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_an_entity_and_a_number() {
        let event = |text: &str| text.parse::<Event>();
        assert_eq!(event("issues/7:2").unwrap(), Event { entity: EntityId::Issue(7), n: Some(2) });
        assert_eq!(event("pulls/7").unwrap(), Event { entity: EntityId::Pull(7), n: None });
        for bad in ["", "7", "issues/7:", "issues/7:0", "issues/7:x", "issue/7:1", "issues/7#1"] {
            assert!(event(bad).is_err(), "{bad}");
        }
    }
}
