//! A fetch of twenty new commits, which came in twenty pushes, by a client that has everything before them.

use super::super::capture;
use super::super::error::BenchError;
use super::super::report::Row;
use super::super::repository;
use super::super::stock;
use super::super::timing::{Pair, milliseconds};
use super::ground::{Ground, PLAIN};
use crate::bench::error::io;

/// New commits per fetch.
const COMMITS: u64 = 20;
/// How many haves git sends in its first round.
const HAVES: &str = "--max-count=16";

/// Time and bytes.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    let haves = stock::git(&ground.stock.dir, &["rev-list", HAVES, "refs/heads/main"])?;
    let haves: Vec<String> = haves.lines().map(str::to_owned).collect();
    let rounds = ground.sizes.rounds as u64;
    repository::branches(&ground.source, ground.sizes.files, "refs/heads/topic/", 0..rounds, COMMITS)
        .map_err(io("git fast-import"))?;
    let (mut times, mut bytes) = (Pair::default(), Pair::default());
    for n in 0..rounds {
        push_one_by_one(ground, n)?;
        let tip = stock::git(&ground.source, &["rev-parse", &format!("refs/heads/topic/{n}")])?;
        let body = capture::fetch(&[tip], &haves);
        let mut client = ground.ours.connect()?;
        let (ours, served) = milliseconds(|| ground.ours.upload_pack(&mut client, PLAIN, &body))?;
        // With bitmaps stock may answer sooner and larger, without them later and smaller: each figure takes the better.
        let (theirs, stocks) = milliseconds(|| ground.stock.upload_pack(&body))?;
        let (without, smaller) = milliseconds(|| ground.stock.upload_pack_without_bitmaps(&body))?;
        let (sent, expected) = (capture::objects_of(&served)?, capture::objects_of(&stocks)?);
        if sent < expected {
            let answer = format!("{sent} objects, where stock sends {expected}");
            return Err(BenchError::Answer { what: "a fetch".to_owned(), answer });
        }
        times.add(ours, theirs.min(without));
        bytes.add(served.len() as f64, stocks.len().min(smaller.len()) as f64);
    }
    let against = "git upload-pack --stateless-rpc, with or without bitmaps, whichever is better";
    Ok(vec![
        Row::cost("fetch of 20 new commits", "ms", times.medians(), against, 3.0),
        Row::cost("fetch of 20 new commits, bytes", "bytes", bytes.medians(), against, 0.5),
    ])
}

/// Brings branch `n` to both sides as it would come: a push per commit.
fn push_one_by_one(ground: &Ground, n: u64) -> Result<(), BenchError> {
    let agent = &ground.agents[0];
    let name = format!("refs/heads/{}/topic-{n}", agent.name);
    let mut client = ground.ours.connect()?;
    for before in (0..COMMITS).rev() {
        let advertised = capture::advertisement(&ground.stock.dir)?;
        let push = capture::push(&ground.source, &advertised, &format!("refs/heads/topic/{n}~{before}"), &name)?;
        ground.stock.push(&push.body, &push.name)?;
        ground.ours.push(&mut client, agent, PLAIN, &push)?;
    }
    Ok(())
}
