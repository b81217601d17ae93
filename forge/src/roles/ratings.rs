//! `forge ratings replay`: every rating computed again from the ledgers of a data directory or a copy.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use notes_schema::names::Track;

use crate::ledger::verify;

/// Replays; fails when a recorded change is not what its inputs give.
pub(super) fn replay(data: &Path, json: bool) -> ExitCode {
    let root = match verify::replay_root(data) {
        Ok(root) => root,
        Err(why) => return super::fail(format_args!("{why}\nnext: forge verify {}", data.display())),
    };
    let all = |name| root.fold.ratings.all_of(name);
    let agents: BTreeMap<&str, _> = root.fold.agents().map(|(name, _)| (name.as_str(), all(name))).collect();
    if json {
        super::say(serde_json::json!({ "agents": agents }));
        return ExitCode::SUCCESS;
    }
    for (name, ratings) in agents {
        let shown: Vec<String> = Track::ALL.iter().map(|t| format!("{} {}", t.as_str(), ratings[t.as_str()])).collect();
        super::say(format_args!("{name}: {} (milli-Elo)", shown.join(", ")));
    }
    ExitCode::SUCCESS
}
