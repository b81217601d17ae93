//! The one file that spells ref names of the forge's own namespace.

use crate::names::{AgentName, EntityId, RefName};

/// The commit point of a repository: one signed commit per batch of events.
pub const LEDGER: &str = "refs/forge/ledger";
/// Prefix of all refs that only the server writes.
pub const FORGE_PREFIX: &str = "refs/forge/";
/// Prefix of months of trace records.
pub const TRACES_PREFIX: &str = "refs/forge/traces/";
/// Prefix of the tips of pull requests.
pub const PULL_PREFIX: &str = "refs/pull/";
/// Prefix of magic push targets, never stored.
pub const FOR_PREFIX: &str = "refs/for/";
/// Prefix of the forge's notes.
pub const NOTES_PREFIX: &str = "refs/notes/forge/";
/// Notes on commits that say which trace proves them.
pub const TRACE_NOTES: &str = "refs/notes/forge/traces";
/// Notes on commits that hold what reviewers said of them.
pub const REVIEW_NOTES: &str = "refs/notes/forge/reviews";
/// Prefix of the refs through which agents push records.
pub const IN_PREFIX: &str = "refs/notes/forge/in/";
/// Where the recorder keeps records in an agent's clone until `git push` sends them.
pub const OUT_PREFIX: &str = "refs/notes/forge/out/";

fn known(text: String) -> RefName {
    text.parse().expect("invariant: built from validated names")
}

/// The ledger ref as a name.
pub fn ledger() -> RefName {
    known(LEDGER.to_owned())
}

/// The chain of an entity: `refs/forge/issues/7`, `refs/forge/agents/alpha` …
pub fn entity(id: &EntityId) -> RefName {
    known(format!("{FORGE_PREFIX}{id}"))
}

/// The entity whose chain `name` is, if it is one.
pub fn entity_of(name: &RefName) -> Option<EntityId> {
    name.as_str().strip_prefix(FORGE_PREFIX)?.parse().ok()
}

/// `refs/pull/<n>/head`.
pub fn pull_head(n: u64) -> RefName {
    known(format!("{PULL_PREFIX}{n}/head"))
}

/// Prefix of what verifiers of contests run.
pub const SEALED_PREFIX: &str = "refs/forge/sealed/";

/// `refs/forge/sealed/<n>`: what verifiers of contest `n` run, trees with its sealed tests laid over them. They are the parents of the
/// commit that it names.
pub fn sealed_runs(n: u64) -> RefName {
    known(format!("{SEALED_PREFIX}{n}"))
}

/// The issue or pull request with which `name` is folded once that has come to rest, if it is a ref of one: its chain, and the
/// head of a pull request. The ledger reaches what such a ref names; it is never deleted.
pub fn folded_with(name: &RefName) -> Option<EntityId> {
    let of_head = || name.as_str().strip_prefix(PULL_PREFIX)?.strip_suffix("/head")?.parse().ok().map(EntityId::Pull);
    match entity_of(name) {
        Some(id @ (EntityId::Issue(_) | EntityId::Pull(_))) => Some(id),
        Some(_) => None,
        None => of_head().filter(|id| matches!(id, EntityId::Pull(n) if pull_head(*n) == *name)),
    }
}

/// The ref of the month (UTC) that `unix_ms` falls into: `refs/forge/traces/2026-11`.
pub fn trace_month(unix_ms: u64) -> RefName {
    let (year, month, _) = civil_date((unix_ms / 86_400_000) as i64);
    known(format!("{TRACES_PREFIX}{year:04}-{month:02}"))
}

/// The agent that may write `refs/notes/forge/in/<agent>/<id>`, and the id.
pub fn incoming_record(name: &RefName) -> Option<(AgentName, &str)> {
    let (agent, id) = name.as_str().strip_prefix(IN_PREFIX)?.split_once('/')?;
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return None;
    }
    Some((agent.parse().ok()?, id))
}

/// Whether `name` belongs to the server: agents may read but never push it.
pub fn is_server_owned(name: &RefName) -> bool {
    let text = name.as_str();
    text == "HEAD"
        || text.starts_with(FORGE_PREFIX)
        || text.starts_with(PULL_PREFIX)
        || text.starts_with("refs/queue/")
        || (text.starts_with("refs/notes/forge") && incoming_record(name).is_none())
}

/// Year, month and day of a day number since 1970-01-01 (proleptic Gregorian; Howard Hinnant's `civil_from_days`).
pub fn civil_date(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `2026-11-20 19:30Z`: how times are shown to people, always in UTC.
pub fn show_time(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (year, month, day) = civil_date((minutes / 1440) as i64);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}Z", minutes / 60 % 24, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RefName {
        text.parse().unwrap()
    }

    #[test]
    fn the_server_owns_its_namespaces_but_not_an_agents_inbox() {
        for owned in [
            "refs/forge/ledger",
            "refs/forge/issues/1",
            "refs/pull/3/head",
            "refs/notes/forge/traces",
            "HEAD",
            "refs/notes/forge/in/alpha/a/b",
        ] {
            assert!(is_server_owned(&name(owned)), "{owned}");
        }
        for free in ["refs/heads/main", "refs/tags/v1", "refs/notes/forge/in/alpha/01J", "refs/notes/commits"] {
            assert!(!is_server_owned(&name(free)), "{free}");
        }
    }

    #[test]
    fn months_and_times_are_utc() {
        assert_eq!(trace_month(0).as_str(), "refs/forge/traces/1970-01");
        assert_eq!(trace_month(1_795_187_145_000).as_str(), "refs/forge/traces/2026-11");
        assert_eq!(show_time(1_795_187_145_000), "2026-11-20 15:05Z");
        assert_eq!(civil_date(11_016), (2000, 2, 29));
    }

    #[test]
    fn entities_and_their_refs_are_two_spellings_of_one_thing() {
        for text in ["issues/7", "pulls/12", "agents/alpha", "projects/parser", "elo/antfarm", "checks/ci"] {
            let id: EntityId = text.parse().unwrap();
            assert_eq!(entity_of(&entity(&id)), Some(id));
        }
        assert_eq!(entity_of(&ledger()), None);
    }

    #[test]
    fn refs_of_issues_and_pull_requests_are_folded_and_no_others() {
        for (text, id) in [
            ("refs/forge/issues/7", EntityId::Issue(7)),
            ("refs/forge/pulls/12", EntityId::Pull(12)),
            ("refs/pull/12/head", EntityId::Pull(12)),
        ] {
            assert_eq!(folded_with(&name(text)), Some(id));
        }
        for text in [
            "refs/forge/ledger",
            "refs/forge/agents/alpha",
            "refs/forge/checks/ci",
            "refs/forge/traces/2026-11",
            "refs/pull/012/head",
            "refs/pull/+1/head",
            "refs/pull/1/merge",
            "refs/pull/head",
            "refs/heads/main",
        ] {
            assert_eq!(folded_with(&name(text)), None, "{text}");
        }
    }
}
