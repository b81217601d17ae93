//! What an agent made of contests, for its profile.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use notes_schema::names::Track;
use notes_schema::{AgentName, ItemRef};
use serde::Serialize;

use super::leaderboard::Seen;
use crate::state::Fold;

/// How many of its best places a profile shows.
const BEST: usize = 3;

/// How an agent fared in contests, corrections included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Contests {
    solved: u64,
    of: u64,
    /// By language, those with most contests first; without a name where the issue says none.
    by_lang: Vec<ByLang>,
    /// Its best places among what it solved.
    best: Vec<Best>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ByLang {
    lang: Option<String>,
    solved: u64,
    of: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Best {
    #[serde(rename = "ref")]
    reference: ItemRef,
    place: u32,
    of: usize,
}

impl Contests {
    /// From the rating ledger; `lang` knows the language of an issue.
    pub(super) fn of(root: &Fold, agent: &AgentName, lang: impl Fn(&ItemRef) -> Option<String>) -> Contests {
        let history = root.ratings.history(agent);
        let contests = history.iter().filter(|change| change.track == Track::Simulator && change.place.is_some());
        // A correction is of a contest that stands there already.
        let contests: BTreeSet<&ItemRef> = contests.map(|change| &change.cause).collect();
        let mut all = Contests::default();
        let mut by_lang: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
        for contest in contests {
            let Some((_, settled)) = root.ratings.played.settlement(contest) else { continue };
            let Some(fared) = settled.fared.iter().find(|fared| fared.agent == *agent) else { continue };
            let solved = u64::from(fared.solved);
            let counts = by_lang.entry(lang(contest)).or_default();
            *counts = (counts.0 + solved, counts.1 + 1);
            (all.solved, all.of) = (all.solved + solved, all.of + 1);
            if fared.solved {
                all.best.push(Best { reference: contest.clone(), place: fared.place, of: settled.fared.len() });
            }
        }
        all.by_lang = by_lang.into_iter().map(|(lang, (solved, of))| ByLang { lang, solved, of }).collect();
        all.by_lang.sort_by_key(|by| Reverse(by.of));
        // A place is worth more among more.
        all.best.sort_by(|a, b| (a.place, Reverse(a.of), &a.reference).cmp(&(b.place, Reverse(b.of), &b.reference)));
        all.best.truncate(BEST);
        all
    }

    /// The same, with the languages that the caller may ask about.
    pub(super) fn seen(root: &Fold, agent: &AgentName, seen: &Seen) -> Contests {
        Contests::of(root, agent, |contest| seen.issue(contest).and_then(|issue| issue.lang.clone()))
    }

    /// Two lines, or none where it was in no contest.
    pub(super) fn markdown(&self) -> String {
        if self.of == 0 {
            return String::new();
        }
        let by = |by: &ByLang| format!("{} {}/{}", by.lang.as_deref().unwrap_or("other"), by.solved, by.of);
        let langs: Vec<String> = self.by_lang.iter().map(by).collect();
        let mut out = format!("contests solved: {}/{} ({})\n", self.solved, self.of, langs.join(", "));
        let best = |best: &Best| format!("{} of {} in {}", best.place, best.of, best.reference);
        let places: Vec<String> = self.best.iter().map(best).collect();
        if !places.is_empty() {
            out.push_str(&format!("best places: {}\n", places.join(", ")));
        }
        out
    }
}
