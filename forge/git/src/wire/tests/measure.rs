//! What a fetch of twenty new commits costs inside the server, without a door: a measurement, not a test.
//!
//! ```text
//! cargo test --release -p git wire::tests::measure -- --ignored --nocapture
//! ```
//!
//! `FETCHES` says how often (default 200), `FETCH_REPOSITORY` where the repository is kept between two runs. Instructions, which do not depend on what else the machine does, are counted by
//! running the test's binary under `valgrind --tool=callgrind` with two values of it, and taking the difference.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notes_schema::Oid;

use super::harness::{Server, call, ok};
use crate::store::Objects as _;
use crate::wire::{AdvertisedRef, Advertisement, Protocol, Service, pktline};

#[allow(dead_code, reason = "half of it is for the benchmark")]
#[path = "../../../../src/bench/repository.rs"]
mod repository;

const COMMITS: u64 = 20;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// The repository of the benchmark's fetch: one pack of stock's, and twenty pushes on top of it.
fn server() -> Server {
    let kept = std::env::var_os("FETCH_REPOSITORY").map(PathBuf::from);
    let server = match &kept {
        Some(dir) if dir.exists() => Server::of(dir),
        _ => filled(kept.as_deref()),
    };
    let store = &server.host.store;
    let new = lines(&server.bare(&["rev-list", "--objects", "topic/0", "^main"]));
    let new: Vec<Oid> = new.iter().map(|id| id.parse().unwrap()).collect();
    let new: Vec<_> = new.into_iter().map(|id| (id, store.get(id).unwrap())).collect();
    store.remember(new);
    let tip = |name: &str| AdvertisedRef {
        name: format!("refs/heads/{name}").parse().unwrap(),
        id: server.bare(&["rev-parse", name]).trim().parse().unwrap(),
        peeled: None,
    };
    let refs = vec![tip("main"), tip("topic/0")];
    *server.host.ahead.lock().unwrap() = Some(Advertisement { refs, ..Advertisement::default() });
    server
}

fn filled(kept: Option<&Path>) -> Server {
    let server = Server::start();
    let shape = repository::Shape { commits: 3_550, files: 2_000, blobs: 0, blob_bytes: 0 };
    ok(server.temp.path(), &["init", "-q", "--bare", "-b", "main", "source.git"]);
    let source = server.path("source.git");
    repository::make(&source, &shape).unwrap();
    ok(&source, &["gc", "-q"]);
    let url = server.doors()[5].1.clone();
    ok(&source, &["push", "-q", &url, "main"]);
    repository::branches(&source, shape.files, "refs/heads/topic/", 0..1, COMMITS).unwrap();
    for before in (0..COMMITS).rev() {
        ok(&source, &["push", "-q", &url, &format!("topic/0~{before}:refs/heads/topic/0")]);
    }
    if let Some(dir) = kept {
        // As it is, with a pack for each push.
        let copied = std::process::Command::new("cp").arg("-r").arg(server.path("repo.git")).arg(dir).status();
        assert!(copied.unwrap().success());
    }
    server
}

#[test]
#[ignore = "a measurement: cargo test --release -p git wire::tests::measure -- --ignored --nocapture"]
fn a_fetch_of_twenty_commits() {
    let fetches: u32 = std::env::var("FETCHES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let server = server();
    let mut body = Vec::new();
    pktline::line(&mut body, "command=fetch");
    body.extend_from_slice(pktline::DELIM);
    ["thin-pack", "no-progress", "include-tag", "ofs-delta"].iter().for_each(|word| pktline::line(&mut body, word));
    pktline::line(&mut body, &format!("want {}", server.bare(&["rev-parse", "topic/0"])));
    for have in lines(&server.bare(&["rev-list", "--max-count=16", "main"])) {
        pktline::line(&mut body, &format!("have {have}"));
    }
    body.extend_from_slice(pktline::FLUSH);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ours = timed(fetches, || {
        let asked = call(server.host.clone(), Service::UploadPack, Protocol::V2, body.clone());
        let (answer, done) = runtime.block_on(asked);
        done.unwrap();
        answer
    });
    println!("ours: {ours}");
    if fetches >= 20 {
        println!("stock: {}", timed(20, || server.stock(Protocol::V2, &body)));
    }
}

fn timed(count: u32, mut fetch: impl FnMut() -> Vec<u8>) -> String {
    let mut bytes = 0;
    let mut one = |_| {
        let began = Instant::now();
        bytes = fetch().len();
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(&mut one).collect();
    times.sort();
    let at = |share: usize| times[times.len() * share / 100];
    format!("{count} fetches of {bytes} bytes, p10 {:?} p50 {:?} p90 {:?}", at(10), at(50), at(90))
}
