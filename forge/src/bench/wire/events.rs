//! Events that are durable when they are answered, by many writers, against what the disk itself can flush.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::super::error::{BenchError, io};
use super::super::ours;
use super::super::report::Row;
use super::super::timing::{Pair, together};
use super::ground::{Ground, PLAIN};

/// Events per flush of the ceiling.
const BATCH: u64 = 64;
/// The share of the ceiling to be reached first.
const MARK: f64 = 0.30;

/// Comments through `POST /action`, and at the commit point without a door.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    let issues = open_issues(ground)?;
    let bytes = bytes_of_a_batch(ground, issues[0])?;
    let (mut acted, mut committed) = (Pair::default(), Pair::default());
    let events = (ground.agents.len() * ground.sizes.events) as f64;
    for _ in 0..ground.sizes.rounds {
        let doors = act(ground, &issues)?;
        let ceiling = flushes(&ground.dir, bytes, ground.sizes.rounds)?;
        acted.add(events / doors * 1000.0, ceiling);
        let point = commit(ground, &issues)?;
        let ceiling = flushes(&ground.dir, bytes, ground.sizes.rounds)?;
        committed.add(events / point * 1000.0, ceiling);
    }
    let against = format!("write and fdatasync of {bytes} bytes (a batch of {BATCH} events)");
    Ok(vec![
        Row::rate("durable events, 64 writers, POST /action", "events/s", acted.medians(), &against, MARK),
        Row::rate("durable events, 64 writers, commit point", "events/s", committed.medians(), &against, MARK),
    ])
}

/// One issue per writer.
fn open_issues(ground: &Ground) -> Result<Vec<u64>, BenchError> {
    let one = |agent| {
        let said = ground.ours.act(agent, &format!("issue new {PLAIN} --title Talk here"))?;
        let number = said["ref"].as_str().and_then(|text| text.rsplit_once('#')?.1.parse().ok());
        number.ok_or_else(|| BenchError::Answer { what: "issue new".to_owned(), answer: said.to_string() })
    };
    ground.agents.iter().map(one).collect()
}

fn act(ground: &Ground, issues: &[u64]) -> Result<f64, BenchError> {
    let clients: Result<Vec<_>, BenchError> = ground.agents.iter().map(|_| ground.ours.connect()).collect();
    together(clients?, |at, mut client| {
        for _ in 0..ground.sizes.events {
            ours::act(&mut client, &ground.agents[at], &format!("reply {PLAIN}#{} Looks right to me.", issues[at]))?;
        }
        Ok(())
    })
}

fn commit(ground: &Ground, issues: &[u64]) -> Result<f64, BenchError> {
    let writers: Result<Vec<_>, BenchError> =
        ground.agents.iter().zip(issues).map(|(agent, n)| ground.ours.commenter(PLAIN, agent, *n)).collect();
    together(writers?, |_, write| (0..ground.sizes.events).try_for_each(|_| write(1).map(drop)))
}

/// How many bytes the commit point writes for a batch of [`BATCH`] events.
fn bytes_of_a_batch(ground: &Ground, issue: u64) -> Result<usize, BenchError> {
    let number = ground.ours.commenter(PLAIN, &ground.agents[0], issue)?(BATCH)?;
    let packs = ground.ours.repository(PLAIN)?.git_dir().join("objects/pack");
    let prefix = format!("pack-b{number:015x}");
    for entry in std::fs::read_dir(&packs).map_err(io(packs.display()))? {
        let entry = entry.map_err(io(packs.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".pack") {
            return Ok(entry.metadata().map_err(io(&name))?.len() as usize);
        }
    }
    Err(BenchError::Answer { what: format!("batch {number}"), answer: "no pack of its own".to_owned() })
}

/// Events per second if nothing but flushing took time: one file, written on and flushed once per batch.
fn flushes(dir: &Path, bytes: usize, rounds: usize) -> Result<f64, BenchError> {
    let path = dir.join("ceiling");
    let mut file = File::create(&path).map_err(io(path.display()))?;
    let noise: Vec<u8> = (0..bytes as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let times = if rounds > 1 { 32 } else { 4 };
    let began = std::time::Instant::now();
    for _ in 0..times {
        file.write_all(&noise).and_then(|()| file.sync_data()).map_err(io(path.display()))?;
    }
    Ok(f64::from(times) * BATCH as f64 / began.elapsed().as_secs_f64())
}
