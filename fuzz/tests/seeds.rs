//! What `make fuzz` starts from, and a bounded number of mutations of it that are the same each time: the stable
//! compiler's share of fuzzing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuzz::{TARGETS, Target};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Lengths, limits and bytes on which parsers turn.
const INTERESTING: [&[u8]; 16] = [
    b"0000",
    b"0001",
    b"0002",
    b"0004",
    b"fff0",
    b"fff1",
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b" ",
    b"\n",
    b"refs/heads/",
    b"\xff\xff\xff\xff",
    b"PACK\0\0\0\x02",
    b"..",
];

fn seeds(target: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let files = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let seeds: BTreeMap<_, _> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    assert!(!seeds.is_empty(), "{} holds no seeds", dir.display());
    seeds
}

/// Bytes that differ from `seed` in a few places; `other` is spliced in now and then.
fn mutated(seed: &[u8], other: &[u8], dice: &mut SmallRng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..dice.random_range(1..5) {
        let at = dice.random_range(0..=bytes.len());
        let end = (at + dice.random_range(0..16)).min(bytes.len());
        match dice.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = dice.random(),
            2 => drop(bytes.splice(at..at, INTERESTING[dice.random_range(0..INTERESTING.len())].iter().copied())),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let block = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, block));
            }
            _ => {
                let from = dice.random_range(0..=other.len());
                drop(bytes.splice(at.., other[from..].iter().copied()));
            }
        }
    }
    bytes
}

fn run(target: &Target) {
    let Target { name: target, mutations, probe } = target;
    let mutations = *mutations;
    let seeds = seeds(target);
    let others: Vec<&Vec<u8>> = seeds.values().collect();
    for (number, (name, seed)) in seeds.iter().enumerate() {
        probe(seed);
        for n in 0..mutations {
            let mut dice = SmallRng::seed_from_u64(u64::from(n) << 16 | number as u64);
            let bytes = mutated(seed, others[dice.random_range(0..others.len())], &mut dice);
            // What panics is named, so that it can become a seed of its own.
            if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| probe(&bytes))) {
                eprintln!("fuzz/seeds/{target}/{name}, mutation {n}: {}", bytes.escape_ascii());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn every_parser_returns_on_seeds_and_on_what_they_become() {
    // What they do is theirs alone, so a few at a time.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(target);
                }
            });
        }
    });
}

#[test]
fn each_parser_has_seeds_and_a_line_in_the_readme() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = fs::read_dir(dir.join("seeds")).unwrap().map(|entry| entry.unwrap().file_name());
    let seeded: BTreeSet<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(seeded, known);
    let readme = fs::read_to_string(dir.join("README.md")).unwrap();
    let named =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned()));
    assert_eq!(named.collect::<BTreeSet<_>>(), known);
}
