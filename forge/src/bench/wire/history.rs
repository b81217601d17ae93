//! What very many events cost: pushes into a repository that has them, and the start of a server.

use super::super::error::BenchError;
use super::super::report::Row;
use super::super::timing::Pair;
use super::ground::{Ground, PLAIN};
use super::push;

/// The project with very many events.
const LONG: &str = "long";
/// Very many events may cost a push a fifth.
const FLAT: f64 = 1.0 / 1.2;
/// Milliseconds in which a server that was stopped is to answer its first request.
const START: f64 = 5_000.0;

/// Milliseconds per push with and without, and until a restarted server answers.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    let events = ground.sizes.history;
    ground.ours.project(&ground.agents[0], LONG, &ground.source, &ground.empty)?;
    ground.ours.long_threads(LONG, &ground.agents[0], events)?;
    let mut flat = Pair::default();
    for _ in 0..ground.sizes.rounds {
        let pushes = ground.pushes(ground.agents.len() * ground.sizes.each)?;
        let without = push::at_once(ground, PLAIN, &pushes)?;
        flat.add(push::at_once(ground, LONG, &pushes)?, without);
    }
    let start = ground.ours.restart(LONG)?;
    let pushed = format!("small push, {events} events");
    let started = format!("start with {events} events, to the first answer about them");
    Ok(vec![
        Row::cost(&pushed, "ms/push", flat.medians(), "itself without them", FLAT),
        Row::cost(&started, "ms", (start, START), "five seconds", 1.0),
    ])
}
