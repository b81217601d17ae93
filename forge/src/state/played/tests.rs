//! What ratings find, and what farms gain: the fold, driven through many contests of a world in which skill is known.

mod rules;
mod world;

use notes_schema::event::{ContestSettled, Difficulty};
use notes_schema::names::Track;
use notes_schema::{AgentName, EntityId, ItemRef, Sha256};

use super::{Due, Fared};

use crate::state::lab::{HOUR, Lab};

impl Lab {
    /// What a contest of these entrants, the first place first, settles.
    fn due(&self, author: &AgentName, difficulty: Difficulty, fared: &[Fared]) -> ContestSettled {
        let contest: ItemRef = format!("arena#{}", self.games + 1).parse().unwrap();
        let key = Sha256::of(format!("contest {}", self.games).as_bytes());
        let (contest, anchored, rules) = (&contest, self.imported, self.rules);
        let due = Due { contest, author, difficulty, anchored, t: self.t, rules };
        self.fold.settle_contest(key, &due, fared)
    }

    /// Settles a contest. Nothing may be made or lost by it.
    fn contest(&mut self, author: &AgentName, difficulty: Difficulty, fared: &[Fared]) -> ContestSettled {
        let fact = self.due(author, difficulty, fared);
        self.games += 1;
        self.apply(&EntityId::Elo(Track::Simulator), &fact.clone().into());
        let issue = self.fold.ratings.played.issue(&fact.contest, difficulty);
        assert_eq!(issue, super::start_of(difficulty) + fact.issue_delta_milli);
        self.issues += fact.issue_delta_milli;
        let all = self.sum(Track::Simulator);
        assert_eq!(all + self.issues, 0, "contest {} made or lost something", self.games);
        for entrant in &fact.entrants {
            self.note_best(&entrant.agent, Track::Simulator);
        }
        fact
    }
}

/// The first `solved` of these solved it, each with a place of its own; the others did not, and tie.
fn places(agents: &[&AgentName], solved: usize) -> Vec<Fared> {
    let fared = |(at, agent): (usize, &&AgentName)| Fared {
        agent: (*agent).clone(),
        pull: at as u64 + 1,
        place: u32::try_from(at.min(solved)).unwrap() + 1,
        solved: at < solved,
    };
    agents.iter().enumerate().map(fared).collect()
}
