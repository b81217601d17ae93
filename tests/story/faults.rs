//! Kills: at every named fault point, and at random under mixed load. Nothing acknowledged is lost, nothing refused
//! appears, and nothing unknown happens twice.
//!
//! `FORGE_KILLS` says how many random kills (`make kill` runs many), `FORGE_SEED` repeats a run's timing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::load::{Load, PROJECT};
use tests::plumbing;
use tests::{Dice, Forge, tool};

/// How long the load looks for a fault point before the test says that it was never reached.
const SEARCH: Duration = Duration::from_secs(120);

#[track_caller]
fn verify(forge: &Forge) {
    tool(&["verify", forge.data().to_str().unwrap()]).ok();
    for project in forge.projects() {
        plumbing::assert_clean(&forge.repository(&project));
    }
}

/// Starts the server armed with `point` and lets the load run until it has died there. Recovery's own points end it
/// before it serves.
#[track_caller]
fn die_at(forge: &mut Forge, load: &mut Load, point: &str) {
    let mut env = vec![("FORGE_FAILPOINT", point)];
    if point == "code-pack-landed" {
        // Small pushes ride in their batch; here none is small.
        env.push(("FORGE_LIMIT_MEMORY_BYTES", "64"));
    }
    if forge.try_up(&env).is_err() {
        return;
    }
    let enough = AtomicBool::new(false);
    let started = Instant::now();
    load.run(&enough, || {
        while !forge.has_died() && started.elapsed() < SEARCH {
            std::thread::sleep(Duration::from_millis(10));
        }
        enough.store(true, Ordering::Relaxed);
    });
    assert!(started.elapsed() < SEARCH, "the load never came to {point}");
}

#[test]
fn a_crash_at_each_fault_point_loses_nothing_acknowledged() {
    let points = tool(&["fault-points"]).ok().stdout;
    assert!(points.lines().count() >= 5, "{points}");
    // A merged pack is renamed first, then its index: the second passage lies between the two.
    let passages = points.lines().chain(["merge-before-rename:2"]);
    let mut forge = Forge::start();
    let mut load = Load::prepare(&forge);
    for point in passages {
        println!("{point}");
        forge.kill();
        if point.starts_with("recovery-") {
            // Something to recover: batches that no ref on disk reflects, and an index that the power cut took.
            die_at(&mut forge, &mut load, "flush-before-refs");
            let newest = plumbing::packs(&forge.repository(PROJECT), "pack-b").pop().expect("a batch");
            std::fs::remove_file(newest.with_extension("idx")).expect("an index");
        }
        die_at(&mut forge, &mut load, point);
        if !point.starts_with("recovery-") {
            verify(&forge);
        }
        forge.up();
        load.check(&forge);
    }
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}

#[test]
fn random_kills_under_mixed_load_lose_nothing_acknowledged() {
    let kills: u32 = std::env::var("FORGE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let seed = Dice::seed();
    println!("FORGE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut forge = Forge::start();
    let mut load = Load::prepare(&forge);
    for kill in 1..=kills {
        let enough = AtomicBool::new(false);
        let wait = Duration::from_millis(300 + dice.below(3500));
        load.run(&enough, || {
            std::thread::sleep(wait);
            assert!(!forge.has_died(), "the server ended by itself");
            forge.kill();
            enough.store(true, Ordering::Relaxed);
        });
        forge.up();
        load.check(&forge);
        println!("kill {kill} after {wait:?}: {} acknowledged so far", load.diary.acknowledged());
    }
    assert!(load.diary.acknowledged() > kills as usize, "the load did next to nothing");
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}
