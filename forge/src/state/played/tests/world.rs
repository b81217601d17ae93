//! Honest agents are found, and farms beside them gain nothing worth having.

use std::sync::LazyLock;

use super::*;
use crate::bench::contests::world::{Chance, World, correlation};
use crate::state::elo::{START, Tier};

/// What the best of a farm may gain, milli-Elo.
const MARK: i64 = 20_000;

/// Plays so many contests of `entrants` each among honest agents, one an hour, and returns them.
fn honest(lab: &mut Lab, world: &mut World, contests: usize, entrants: usize) -> Vec<AgentName> {
    let host = lab.join("host", Some("house"));
    let agents: Vec<AgentName> =
        (0..world.skills.len()).map(|k| lab.join(&format!("agent-{k}"), Some(&format!("owner-{k}")))).collect();
    for _ in 0..contests {
        lab.t += HOUR;
        let mut issue = world.issue();
        // Who is in a lower tier than an issue may not start it.
        let may = |lab: &Lab, said| {
            let tier = Tier::of(super::super::start_of(said));
            (0..agents.len())
                .filter(|&k| Tier::of(lab.rating(&agents[k], Track::Simulator)) >= tier)
                .collect::<Vec<usize>>()
        };
        if may(lab, issue.said).len() < entrants {
            issue.said = Difficulty::Medium;
        }
        let some = world.chance.some_of(may(lab, issue.said), entrants);
        let played = world.play(issue, &some);
        let solved = played.iter().filter(|(_, solved)| *solved).count();
        let order: Vec<&AgentName> = played.iter().map(|(k, _)| &agents[*k]).collect();
        lab.contest(&host, issue.said, &places(&order, solved));
    }
    agents
}

#[test]
fn ratings_order_agents_by_their_hidden_skill() {
    let (seed, mut lab) = (1, Lab::new());
    let mut world = World::of(200, seed);
    let agents = honest(&mut lab, &mut world, 1_000, 10);
    let ratings: Vec<f64> = agents.iter().map(|agent| lab.rating(agent, Track::Simulator) as f64).collect();
    let permille = correlation(&ratings, &world.skills);
    let (least, most) = (ratings.iter().copied().fold(f64::MAX, f64::min), lab.best_gain(&agents));
    println!("seed {seed}: correlation {permille} permille, lowest {least}, best gain {most} milli-Elo");
    assert!(permille >= 900, "seed {seed}: {permille} permille");
}

/// A forge on which forty honest agents have settled a hundred and fifty contests.
fn settled() -> (Lab, Vec<AgentName>) {
    static SETTLED: LazyLock<(Lab, Vec<AgentName>)> = LazyLock::new(|| {
        let (mut lab, mut world) = (Lab::new(), World::of(40, 11));
        let agents = honest(&mut lab, &mut world, 150, 10);
        assert!(agents.iter().filter(|agent| !lab.fold.is_provisional(agent, Track::Simulator)).count() >= 30);
        (lab, agents)
    });
    SETTLED.clone()
}

/// Fifty agents nobody vouched for, of which the first wins each of two hundred contests, `apart` from each other; `lured`
/// established agents take part and lose.
fn farm(apart: u64, lured: usize) -> i64 {
    let (mut lab, agents) = settled();
    let farm: Vec<AgentName> = (0..50).map(|k| lab.join(&format!("farm-{k}"), None)).collect();
    let mut chance = Chance::of(5);
    for _ in 0..200 {
        lab.t += apart;
        let author = &farm[1 + chance.below(49)];
        let mut order = vec![&farm[0]];
        order.extend(chance.some_of(farm[1..].iter().collect(), 9));
        order.extend(chance.some_of(agents.iter().collect(), lured));
        lab.contest(author, Difficulty::Hard, &places(&order, 1));
    }
    lab.best_gain(&farm)
}

#[test]
fn fifty_agents_that_let_their_leader_win_gain_it_nothing() {
    for apart in [1, HOUR, 31 * 24 * HOUR] {
        let (among, lured) = (farm(apart, 0), farm(apart, 6));
        println!("every {apart} ms: {among} among themselves, {lured} with victims");
        assert!(among > 0 && among < MARK && lured < MARK, "every {apart} ms: {among}, {lured}");
    }
}

/// The best of colluders of three owners with `each` agents, who open issues and solve each other's. They win in turns, where
/// there are several of one owner: what the one wins another loses.
fn colluders(each: usize, apart: u64) -> (i64, i64) {
    let (mut lab, _) = settled();
    let all: Vec<Vec<AgentName>> = (0..3)
        .map(|o| (0..each).map(|k| lab.join(&format!("col-{o}-{k}"), Some(&format!("boss-{o}")))).collect())
        .collect();
    let mut of_owner = 0;
    for n in 0..400 {
        lab.t += apart;
        let (author, winner, loser) = (n % 3, (n + 1) % 3, (n + 2) % 3);
        // The first of each always wins, and the last loses.
        let mut order = vec![&all[winner][0], &all[loser][each - 1]];
        if n % 4 == 0 {
            order.push(&all[author][each - 1]);
        }
        lab.contest(&all[author][0], Difficulty::Easy, &places(&order, order.len() - 1));
        let of =
            |owner: &Vec<AgentName>| owner.iter().map(|agent| lab.rating(agent, Track::Simulator) - START).sum::<i64>();
        of_owner = all.iter().map(of).max().unwrap().max(of_owner);
    }
    (lab.best_gain(&all.concat()), of_owner)
}

#[test]
fn three_colluders_with_owners_of_their_own_gain_nothing() {
    for (each, apart) in [(1, HOUR), (1, 31 * 24 * HOUR), (2, HOUR), (2, 31 * 24 * HOUR), (5, 31 * 24 * HOUR)] {
        let (agent, owner) = colluders(each, apart);
        println!("{each} agents of each owner, every {apart} ms: an agent {agent}, an owner {owner}");
        assert!(agent < MARK && owner < MARK, "{each}, {apart}: {agent} {owner}");
    }
}

#[test]
fn who_solves_its_own_hard_issues_gains_nothing() {
    for (vouched, sock_of) in [(false, None), (true, None), (true, Some("boss")), (true, Some("other"))] {
        let (mut lab, _) = settled();
        let cheat = lab.join("cheat", vouched.then_some("boss"));
        let sock = lab.join("sock", sock_of);
        for n in 0..300 {
            lab.t += 31 * 24 * HOUR;
            let order = if n % 3 == 0 { vec![&cheat] } else { vec![&cheat, &sock] };
            let author = if n % 2 == 0 { &cheat } else { &sock };
            let fact = lab.contest(author, Difficulty::Hard, &places(&order, 1));
            assert!(fact.entrants.len() > 1 || fact.entrants[0].delta_milli == 0, "alone it gains nothing at all");
        }
        let best = lab.best_gain(&[cheat, sock]);
        println!("sock puppet of {sock_of:?}: {best}");
        assert!(best < MARK, "{sock_of:?}: {best}");
        assert!(sock_of != Some("boss") || best == 0, "one owner's agents are nothing to each other: {best}");
    }
}

/// The most that a cheat gains who solves what a friend imports from nowhere, as hard issues, alone or with victims.
fn importers(vouched: bool, lured: usize, rules: u64) -> i64 {
    let (mut lab, agents) = settled();
    (lab.imported, lab.rules) = (true, rules);
    let cheat = lab.join("cheat", vouched.then_some("boss"));
    let friend = lab.join("friend", vouched.then_some("other"));
    let mut chance = Chance::of(5);
    for _ in 0..200 {
        lab.t += 24 * HOUR;
        let mut order = vec![&cheat];
        order.extend(chance.some_of(agents.iter().collect(), lured));
        lab.contest(&friend, Difficulty::Hard, &places(&order, 1));
    }
    lab.best_gain(&[cheat])
}

#[test]
fn who_imports_for_a_friend_gains_it_nothing() {
    let unbounded = importers(false, 0, 0);
    assert!(unbounded > 10 * MARK, "by the rules of before there was something to bound: {unbounded}");
    for (vouched, lured) in [(false, 0), (false, 6), (true, 0)] {
        let best = importers(vouched, lured, super::super::RULES);
        println!("vouched {vouched}, {lured} lured: {best}, and by the rules of before {unbounded}");
        assert!(best < MARK, "vouched {vouched}, {lured} lured: {best}");
    }
}
