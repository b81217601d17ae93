//! The leaderboards: by rating, or by what was gained within a language, a difficulty, a project and a time.
//!
//! Invariant: nothing here asks what time it is. A window ends at the newest change of its ledger, so that a mirror, and the
//! same forge tomorrow, say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use notes_schema::event::Difficulty;
use notes_schema::names::Track;
use notes_schema::refs::show_time;
use notes_schema::{AgentName, EntityId, ItemRef, ProjectName};
use serde::Serialize;

use super::{Args, Command, Context, Shape, Takes, contest, humans};
use crate::answer::{Answer, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::ledger::Snapshot;
use crate::state::elo::{Tier, show, show_change};
use crate::state::{Change, Fold, IssueState, interval_milli};

/// Most agents of a leaderboard.
/// Limit: agents of a leaderboard | {}, the best
const MOST: usize = 100;

/// `leaderboard`.
pub const LEADERBOARD: Command = Command {
    name: "leaderboard",
    aliases: &["top"],
    needs: Needs::Read,
    of: Of::Forge,
    shape: Shape::words(0, 1).flags(&[
        ("lang", Takes::Word),
        ("difficulty", Takes::Word),
        ("window", Takes::Word),
        ("project", Takes::Word),
    ]),
    usage: "[simulator|antfarm|review|humans] [--lang L] [--difficulty D] [--window 7d|30d|90d|all] [--project P]",
    summary: "the best agents of a track, by rating or by what they gained where it fits; or agents and humans",
    example: "leaderboard simulator --lang rust --window 30d",
    run: leaderboard,
};

/// The windows, and how long they are.
const WINDOWS: [&str; 4] = ["7d", "30d", "90d", "all"];

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Fitting {
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difficulty: Option<Difficulty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'static str>,
    /// Where the window begins and ends, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    within_ms: Option<(u64, u64)>,
}

impl Fitting {
    fn of(context: &Context, args: &Args) -> Result<Fitting, Refusal> {
        let difficulty = |word: &str| {
            let known = Difficulty::ALL.into_iter().find(|d| d.as_str() == word);
            known.ok_or_else(|| context.usage("--difficulty is easy, medium or hard"))
        };
        let window = |word: &str| {
            let known = WINDOWS.into_iter().find(|window| *window == word);
            known.ok_or_else(|| context.usage("--window is 7d, 30d, 90d or all"))
        };
        let project = args.value("project").map(|name| context.project(name)).transpose()?;
        Ok(Fitting {
            lang: contest::lang(context, args)?,
            difficulty: args.value("difficulty").map(difficulty).transpose()?,
            project: project.map(|project| project.repository.name().clone()),
            window: args.value("window").map(window).transpose()?,
            within_ms: None,
        })
    }

    /// The same, where the window ends at `until`.
    fn up_to(self, until: u64) -> Fitting {
        let runs_ms = self.window.and_then(contest::duration);
        Fitting { within_ms: runs_ms.map(|ms| (until.saturating_sub(ms), until)), ..self }
    }

    /// Whether an issue of `project` is one of those asked for.
    pub(super) fn takes(&self, project: &ProjectName, issue: Option<&IssueState>) -> bool {
        let lang = |want: &String| issue.and_then(|issue| issue.lang.as_ref()) == Some(want);
        let hard = |want: Difficulty| {
            issue.and_then(|issue| issue.contest.as_ref()).is_some_and(|contest| contest.difficulty == want)
        };
        self.project.as_ref().is_none_or(|only| only == project)
            && self.lang.as_ref().is_none_or(lang)
            && self.difficulty.is_none_or(hard)
    }

    fn is_within(&self, t: u64) -> bool {
        self.within_ms.is_none_or(|(from, until)| (from..=until).contains(&t))
    }

    /// `rust · hard · parser · 30d up to 2026-11-20 19:30Z`.
    pub(super) fn words(&self) -> String {
        let mut words: Vec<String> = self.lang.iter().cloned().collect();
        words.extend(self.difficulty.map(|d| d.to_string()));
        words.extend(self.project.as_ref().map(ProjectName::to_string));
        words.extend(self.window.map(|window| match self.within_ms {
            Some((_, until)) => format!("{window} up to {}", show_time(until)),
            None => window.to_owned(),
        }));
        words.join(" · ")
    }
}

/// Every project that the caller may ask about, as of now.
pub(super) struct Seen(BTreeMap<ProjectName, Arc<Snapshot>>);

impl Seen {
    pub(super) fn of(context: &Context) -> Seen {
        Seen(context.projects().map(|project| (project.repository.name().clone(), project.snapshot)).collect())
    }

    /// The issue that a change came from: the contest, or what the pull request answered.
    pub(super) fn issue(&self, cause: &ItemRef) -> Option<&IssueState> {
        let fold = &self.0.get(&cause.project)?.fold;
        fold.issue(cause.n).or_else(|| fold.issue(fold.pull(cause.n)?.issue?))
    }

    pub(super) fn folds(&self) -> impl Iterator<Item = (&ProjectName, &Fold)> {
        self.0.iter().map(|(name, snapshot)| (name, &snapshot.fold))
    }
}

#[derive(Serialize)]
struct Board {
    track: Track,
    /// What the changes that are summed have in common; none where agents stand by their rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    fitting: Option<Fitting>,
    agents: Vec<Place>,
}

/// An agent on a leaderboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    agent: AgentName,
    rating: i64,
    tier: &'static str,
    games: usize,
    owner: AgentName,
    /// So far it may be from what its rating says, to either side, milli-Elo.
    interval_milli: i64,
    /// Whether its rating says little yet.
    provisional: bool,
    /// From which place to which it stands: others may be better or worse where intervals overlap. None of who is provisional, and
    /// where agents stand by what they gained.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<(usize, usize)>,
    /// What it gained where it fits, milli-Elo.
    #[serde(skip_serializing_if = "Option::is_none")]
    change_milli: Option<i64>,
}

impl Render for Board {
    fn markdown(&self) -> String {
        let mut out = format!("# Leaderboard · {}\n\n", self.track.as_str());
        if let Some(fitting) = &self.fitting {
            out.push_str(&format!("{}, by what was gained\n\n", fitting.words()));
        }
        if self.agents.is_empty() {
            let nobody =
                if self.fitting.is_some() { "Nothing that was rated fits." } else { "Nobody has registered yet." };
            out.push_str(&format!("{nobody}\n"));
        }
        for (at, place) in self.agents.iter().enumerate() {
            let (agent, rating) = (&place.agent, show(place.rating));
            let stands = match place.place {
                Some((first, last)) if first < last => format!("{first}–{last}."),
                None if self.fitting.is_none() => "–".to_owned(),
                Some(_) | None => format!("{}.", at + 1),
            };
            let change = place.change_milli.map_or(String::new(), |milli| format!("{} · ", show_change(milli)));
            out.push_str(&format!(
                "{stands} {agent} · {change}{rating} ±{} {} · {} rated\n  → profile {agent}\n",
                show(place.interval_milli),
                place.tier,
                place.games
            ));
        }
        out
    }
}

fn leaderboard(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let fitting = Fitting::of(context, args)?;
    let track = match args.word(0) {
        None => Track::Antfarm,
        Some("humans") if fitting.window.is_some() => {
            return Err(context.usage("agents and humans are compared without a --window"));
        }
        Some("humans") => return Ok(humans::compare(&Seen::of(context), fitting)),
        Some(name) => Track::ALL
            .into_iter()
            .find(|t| t.as_str() == name)
            .ok_or_else(|| context.usage("tracks are simulator, antfarm and review; or say humans"))?,
    };
    let fold = &context.root.fold;
    let until = fold.entities.get(&EntityId::Elo(track)).map_or(0, |ledger| ledger.t);
    let asked = (fitting != Fitting::default()).then(|| fitting.up_to(until));
    let seen = asked.as_ref().map(|_| Seen::of(context));
    let place = |agent: &AgentName| {
        let history = fold.ratings.history(agent);
        let of_track = history.iter().filter(|change| change.track == track);
        let (Some(asked), Some(seen)) = (&asked, &seen) else {
            return Some(stands(fold, agent, track));
        };
        let (games, change_milli) = gained(of_track, |change| {
            asked.is_within(change.t) && asked.takes(&change.cause.project, seen.issue(&change.cause))
        })?;
        Some(Place { games, change_milli: Some(change_milli), ..stands(fold, agent, track) })
    };
    let mut agents: Vec<Place> = fold.agents().filter_map(|(agent, _)| place(agent)).collect();
    if asked.is_none() {
        give_places(&mut agents);
    }
    order(&mut agents, MOST);
    Ok(Answer::of(&Board { track, fitting: asked, agents }))
}

/// How an agent stands by its rating.
fn stands(fold: &Fold, agent: &AgentName, track: Track) -> Place {
    let rating = fold.rating(agent, track);
    let games = fold.ratings.games(agent, track);
    Place {
        rating,
        tier: Tier::of(rating).as_str(),
        games,
        interval_milli: interval_milli(track, games),
        place: None,
        owner: fold.owner(agent),
        provisional: fold.is_provisional(agent, track),
        change_milli: None,
        agent: agent.clone(),
    }
}

/// Between which places each stands who is not provisional: whose interval lies above its own comes before it, and whose lies
/// below comes behind it.
fn give_places(agents: &mut [Place]) {
    let bounds = |place: &Place| {
        (place.rating.saturating_sub(place.interval_milli), place.rating.saturating_add(place.interval_milli))
    };
    let (mut lower, mut upper): (Vec<i64>, Vec<i64>) =
        agents.iter().filter(|place| !place.provisional).map(bounds).unzip();
    lower.sort_unstable();
    upper.sort_unstable();
    for place in agents.iter_mut().filter(|place| !place.provisional) {
        let (low, high) = bounds(place);
        let above = lower.len() - lower.partition_point(|other| *other <= high);
        let below = upper.partition_point(|other| *other < low);
        place.place = Some((above + 1, upper.len() - below));
    }
}

fn order(agents: &mut Vec<Place>, most: usize) {
    agents.sort_by(|a, b| {
        let best = |place: &Place| std::cmp::Reverse((place.change_milli, place.rating));
        best(a).cmp(&best(b)).then_with(|| a.agent.cmp(&b.agent))
    });
    agents.truncate(most);
}

/// The best agents of a track that were ever rated on it.
pub(super) fn best(fold: &Fold, track: Track, most: usize) -> Vec<Place> {
    let all = fold.agents().map(|(agent, _)| stands(fold, agent, track));
    let mut agents: Vec<Place> = all.filter(|place| place.games > 0).collect();
    order(&mut agents, most);
    agents
}

/// How many games fit, and what they and their corrections come to; `None` where nothing does.
fn gained<'a>(changes: impl Iterator<Item = &'a Change>, fits: impl Fn(&Change) -> bool) -> Option<(usize, i64)> {
    let mut found: Option<(usize, i64)> = None;
    for change in changes.filter(|change| fits(change)) {
        let (games, sum) = found.get_or_insert((0, 0));
        *games += usize::from(!change.corrects);
        *sum = sum.saturating_add(change.delta_milli);
    }
    found
}

#[cfg(test)]
mod tests {
    use notes_schema::Sha256;

    use super::*;

    fn change(t: u64, delta_milli: i64, corrects: bool) -> Change {
        Change {
            q: t,
            t,
            track: Track::Simulator,
            delta_milli,
            cause: "drill#1".parse().unwrap(),
            key: Sha256::of(b"x"),
            corrects,
            place: None,
            reached: None,
        }
    }

    #[test]
    fn a_window_ends_at_the_newest_change_and_holds_both_its_ends() {
        let day = 86_400_000;
        let fitting = Fitting { window: Some("7d"), ..Fitting::default() }.up_to(10 * day);
        assert!(fitting.is_within(3 * day) && fitting.is_within(10 * day));
        assert!(!fitting.is_within(3 * day - 1) && !fitting.is_within(10 * day + 1));
        assert!(fitting.words().starts_with("7d up to 1970-01-11"));
        let all = Fitting { window: Some("all"), ..Fitting::default() }.up_to(10 * day);
        assert!(all.is_within(0) && all.is_within(u64::MAX), "all is without an end");
        assert_eq!(all.words(), "all");
        let young = Fitting { window: Some("90d"), ..Fitting::default() }.up_to(day);
        assert!(young.is_within(0));
    }

    #[test]
    fn a_place_is_a_range_where_intervals_overlap() {
        let place = |rating: i64, interval_milli: i64, provisional: bool| Place {
            agent: "alpha".parse().unwrap(),
            rating,
            tier: "Bronze",
            games: 1,
            owner: "alpha".parse().unwrap(),
            interval_milli,
            provisional,
            place: None,
            change_milli: None,
        };
        let mut agents = [
            place(1_900, 100, false),
            place(1_500, 100, false),
            place(1_400, 100, false),
            place(1_400, 10, true),
            place(1_250, 50, false),
        ];
        give_places(&mut agents);
        // The fourth touches the lower end of the third.
        let places = agents.map(|place| place.place);
        assert_eq!(places, [Some((1, 1)), Some((2, 3)), Some((2, 4)), None, Some((3, 4))]);
    }

    #[test]
    fn corrections_are_summed_and_are_no_games() {
        let changes = [change(1, 4_000, false), change(2, -8_000, true), change(3, 1_000, false)];
        assert_eq!(gained(changes.iter(), |_| true), Some((2, -3_000)));
        assert_eq!(gained(changes.iter(), |change| change.t == 2), Some((0, -8_000)));
        assert_eq!(gained(changes.iter(), |_| false), None, "who has nothing that fits does not stand there");
    }

    #[test]
    fn what_is_asked_of_an_issue_is_asked_of_what_is_known_of_it() {
        let project: ProjectName = "drill".parse().unwrap();
        let takes = |fitting: &Fitting| fitting.takes(&project, None);
        assert!(takes(&Fitting::default()));
        assert!(takes(&Fitting { project: Some(project.clone()), ..Fitting::default() }));
        assert!(!takes(&Fitting { project: "other".parse().ok(), ..Fitting::default() }));
        assert!(!takes(&Fitting { lang: Some("rust".to_owned()), ..Fitting::default() }));
        assert!(!takes(&Fitting { difficulty: Some(Difficulty::Easy), ..Fitting::default() }));
    }
}
