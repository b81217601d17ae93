//! Tells the program by which sources it folds a ledger, so that it believes no checkpoint that others made.

use std::fs;
use std::path::{Path, PathBuf};

/// What a replay depends on: the folds, the reading of the ledger, and the types of what is written.
const FOLDS: [&str; 3] = ["src/state", "src/ledger", "../notes-schema/src"];

fn main() {
    let mut files = Vec::new();
    for dir in FOLDS {
        println!("cargo::rerun-if-changed={dir}");
        gather(Path::new(dir), &mut files);
    }
    files.sort();
    // FNV-1a: this tells builds apart, and keeps nobody out.
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let bytes = fs::read(&file).expect("a source that was listed can be read");
        for byte in file.to_string_lossy().bytes().chain([0]).chain(bytes) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=FORGE_FOLDS={digest:016x}");
}

fn gather(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("the sources are there").path();
        if path.is_dir() {
            gather(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
