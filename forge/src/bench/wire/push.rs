//! Small pushes, captured and replayed: what one costs the server, alone and in a crowd, with and without very many refs.

use super::super::capture::PushRequest;
use super::super::error::BenchError;
use super::super::report::Row;
use super::super::stock::Stock;
use super::super::timing::{Pair, milliseconds, together};
use super::ground::{Ground, MANY, PLAIN};

/// Ten times with 64 pushers, five times with one; very many refs may cost a fifth.
const CROWD: f64 = 10.0;
const ALONE: f64 = 5.0;
const FLAT: f64 = 1.0 / 1.2;

/// Milliseconds per push.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    ground.seed()?;
    let many = ground.stock_many()?;
    let (mut alone, mut crowd) = (Pair::default(), Pair::default());
    let (mut flat, mut stocks) = (Pair::default(), Pair::default());
    let pushers = ground.agents.len();
    for _ in 0..ground.sizes.rounds {
        let one = ground.pushes(ground.sizes.alone)?;
        alone.add(one_by_one(ground, PLAIN, &one)?, stock_one_by_one(&ground.stock, &one)?);

        let pushes = ground.pushes(pushers * ground.sizes.each)?;
        let without = at_once(ground, PLAIN, &pushes)?;
        crowd.add(without, stock_at_once(&ground.stock, pushers, &pushes)?);
        let with = at_once(ground, MANY, &pushes)?;
        flat.add(with, without);
        // Stock takes so long over these that one push of each pusher is enough.
        stocks.add(with, stock_at_once(&many, pushers, &pushes[..pushers])?);
    }
    let backend = "git http-backend, no-op pre-receive, no flush";
    let refs = ground.sizes.many;
    Ok(vec![
        Row::cost("small push, one pusher", "ms/push", alone.medians(), backend, ALONE),
        Row::cost(&format!("small push, {pushers} pushers"), "ms/push", crowd.medians(), backend, CROWD),
        Row::cost(&format!("small push, {refs} metadata refs"), "ms/push", flat.medians(), "itself without them", FLAT),
        Row::cost(
            &format!("small push, {refs} metadata refs, stock too"),
            "ms/push",
            stocks.medians(),
            "git http-backend with as many refs",
            CROWD,
        ),
    ])
}

fn one_by_one(ground: &Ground, project: &str, pushes: &[PushRequest]) -> Result<f64, BenchError> {
    let mut client = ground.ours.connect()?;
    let (took, ()) = milliseconds(|| {
        let mut numbered = pushes.iter().enumerate();
        numbered.try_for_each(|(n, push)| ground.ours.push(&mut client, ground.pusher(n), project, push))
    })?;
    Ok(took / pushes.len() as f64)
}

fn stock_one_by_one(stock: &Stock, pushes: &[PushRequest]) -> Result<f64, BenchError> {
    let (took, ()) = milliseconds(|| pushes.iter().try_for_each(|push| stock.push(&push.body, &push.name)))?;
    Ok(took / pushes.len() as f64)
}

/// Pushes of all agents at once, each over a connection of its own.
pub fn at_once(ground: &Ground, project: &str, pushes: &[PushRequest]) -> Result<f64, BenchError> {
    let pushers = ground.agents.len();
    let clients: Result<Vec<_>, BenchError> = (0..pushers).map(|_| ground.ours.connect()).collect();
    let took = together(clients?, |at, mut client| {
        let mut mine = pushes.iter().skip(at).step_by(pushers);
        mine.try_for_each(|push| ground.ours.push(&mut client, ground.pusher(at), project, push))
    })?;
    Ok(took / pushes.len() as f64)
}

fn stock_at_once(stock: &Stock, pushers: usize, pushes: &[PushRequest]) -> Result<f64, BenchError> {
    let took = together(vec![(); pushers], |at, ()| {
        pushes.iter().skip(at).step_by(pushers).try_for_each(|push| stock.push(&push.body, &push.name))
    })?;
    Ok(took / pushes.len() as f64)
}
