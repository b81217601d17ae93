//! What holds of any story: prefixes, duplicates, corrections, names and orders.

use proptest::prelude::*;

use super::*;

/// One contest of a story: hours since the last, its author, and its entrants with place and whether they solved it.
type Story = Vec<(u64, usize, Vec<(usize, u32, bool)>)>;

const AGENTS: usize = 7;

fn story() -> impl Strategy<Value = Story> {
    let entrants = proptest::collection::btree_map(0..AGENTS, (1u32..4, any::<bool>()), 1..6);
    let entrants = entrants.prop_map(|all| all.into_iter().map(|(k, (place, solved))| (k, place, solved)).collect());
    let hours = prop_oneof![Just(0u64), Just(1), Just(30), Just(500)];
    proptest::collection::vec((hours, 0..AGENTS, entrants), 1..40)
}

/// Agents of two owners, of one of their own, and of none; `names` says what each is called.
fn lab(names: &[usize]) -> (Lab, Vec<AgentName>) {
    let mut lab = Lab::new();
    let owner = |k: usize| (k < 5).then(|| format!("owner-{}", names[k / 2]));
    let agents = (0..AGENTS).map(|k| lab.join(&format!("agent-{}", names[k]), owner(k).as_deref())).collect();
    (lab, agents)
}

fn straight() -> Vec<usize> {
    (0..AGENTS).collect()
}

fn fared(agents: &[AgentName], entrants: &[(usize, u32, bool)]) -> Vec<Fared> {
    let one = |(at, (k, place, solved)): (usize, &(usize, u32, bool))| Fared {
        agent: agents[*k].clone(),
        pull: at as u64 + 1,
        place: *place,
        solved: *solved,
    };
    entrants.iter().enumerate().map(one).collect()
}

fn play(lab: &mut Lab, agents: &[AgentName], story: &Story) -> Vec<(u64, ContestSettled)> {
    let one = |(hours, author, entrants): &(u64, usize, Vec<(usize, u32, bool)>)| {
        lab.t += hours * HOUR;
        let difficulty = Difficulty::ALL[author % 3];
        (lab.t, lab.contest(&agents[*author], difficulty, &fared(agents, entrants)))
    };
    story.iter().map(one).collect()
}

fn elo() -> EntityId {
    EntityId::Elo(Track::Simulator)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_prefix_and_what_follows_make_the_whole(story in story(), cut in 0usize..40) {
        let cut = cut % story.len();
        let (mut whole, agents) = lab(&straight());
        let facts = play(&mut whole, &agents, &story);
        // What is read of a prefix decides the rest as it was decided, and comes out at the same.
        let (mut copy, _) = lab(&straight());
        for (t, fact) in &facts[..cut] {
            (copy.t, copy.games) = (*t, copy.games + 1);
            copy.issues += fact.issue_delta_milli;
            copy.apply(&elo(), &fact.clone().into());
        }
        let rest = play(&mut copy, &agents, &story[cut..].to_vec());
        prop_assert_eq!(&rest[..], &facts[cut..]);
        prop_assert_eq!(&copy.fold.ratings, &whole.fold.ratings);
    }

    #[test]
    fn an_event_that_comes_again_changes_nothing(story in story(), which in 0usize..40) {
        let (mut lab, agents) = lab(&straight());
        let facts = play(&mut lab, &agents, &story);
        let before = lab.fold.ratings.clone();
        lab.t += HOUR;
        lab.apply(&elo(), &facts[which % facts.len()].1.clone().into());
        prop_assert_eq!(&lab.fold.ratings, &before);
    }

    #[test]
    fn a_correction_is_a_replay_with_the_corrected_outcome(
        story in story(),
        last in (0..AGENTS, proptest::collection::btree_map(0..AGENTS, ((1u32..4, any::<bool>()), (1u32..4, any::<bool>())), 1..6)),
    ) {
        let (mut wrong, agents) = lab(&straight());
        play(&mut wrong, &agents, &story);
        let mut right = wrong.clone();
        let (author, entrants) = last;
        let was: Vec<_> = entrants.iter().map(|(k, ((place, solved), _))| (*k, *place, *solved)).collect();
        let is: Vec<_> = entrants.iter().map(|(k, (_, (place, solved)))| (*k, *place, *solved)).collect();
        let settled = wrong.contest(&agents[author], Difficulty::Medium, &fared(&agents, &was));
        right.contest(&agents[author], Difficulty::Medium, &fared(&agents, &is));
        if let Some(fact) = wrong.fold.correct_contest(Sha256::of(b"again"), &settled.contest, &fared(&agents, &is)) {
            let moved: i64 = fact.entrants.iter().map(|e| e.delta_milli).sum();
            prop_assert_eq!(moved + fact.issue_delta_milli, 0);
            wrong.apply(&elo(), &fact.clone().into());
            let once = wrong.fold.ratings.clone();
            wrong.apply(&elo(), &fact.into());
            prop_assert_eq!(&wrong.fold.ratings, &once, "a correction that comes again changes nothing");
        }
        for agent in &agents {
            prop_assert_eq!(wrong.rating(agent, Track::Simulator), right.rating(agent, Track::Simulator));
        }
        let issue = |lab: &Lab| lab.fold.ratings.played.issue(&settled.contest, Difficulty::Medium);
        prop_assert_eq!(issue(&wrong), issue(&right));
        // What is played next is decided alike too.
        let all: Vec<_> = (0..AGENTS).map(|k| (k, k as u32 + 1, k < 3)).collect();
        let next = |lab: &Lab| lab.due(&agents[0], Difficulty::Easy, &fared(&agents, &all)).entrants;
        prop_assert_eq!(next(&wrong), next(&right));
    }

    #[test]
    fn names_and_the_order_of_entrants_are_nothing(
        story in story(),
        names in Just(straight()).prop_shuffle(),
        turn in 0usize..6,
    ) {
        let (mut plain, agents) = lab(&straight());
        play(&mut plain, &agents, &story);
        let (mut other, renamed) = lab(&names);
        let turned: Story = story
            .iter()
            .map(|(hours, author, entrants)| {
                let mut entrants = entrants.clone();
                let turn = turn % entrants.len();
                entrants.rotate_left(turn);
                (*hours, *author, entrants)
            })
            .collect();
        play(&mut other, &renamed, &turned);
        let ratings = |lab: &Lab, agents: &[AgentName]| agents.iter().map(|a| lab.rating(a, Track::Simulator)).collect::<Vec<i64>>();
        prop_assert_eq!(ratings(&plain, &agents), ratings(&other, &renamed));
        prop_assert_eq!(plain.issues, other.issues);
    }
}
